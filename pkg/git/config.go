package git

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Config is Git's configuration: the last value of each variable wins. Names
// are written "section.key" or "section.Subsection.key", section and key in
// lower case.
type Config struct {
	values map[string][]string
}

// Get returns the last value, or "".
func (c *Config) Get(name string) string {
	if all := c.values[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// subsections lists the subsections of a section.
func (c *Config) subsections(section string) []string {
	seen := map[string]bool{}
	var list []string
	for name := range c.values {
		rest, ok := strings.CutPrefix(name, section+".")
		if i := strings.LastIndexByte(rest, '.'); ok && i > 0 && !seen[rest[:i]] {
			seen[rest[:i]] = true
			list = append(list, rest[:i])
		}
	}
	return list
}

// readConfig reads the system's, the user's and the repository's files.
// Conditional includes are not followed.
func (r *Repo) readConfig() (*Config, error) {
	c := &Config{values: map[string][]string{}}
	for _, p := range r.userConfigFiles() {
		if err := r.loadConfig(c, p, 0); err != nil {
			return nil, err
		}
	}
	local, err := r.localConfig()
	if err != nil {
		return nil, err
	}
	for k, v := range local.values {
		c.values[k] = append(c.values[k], v...)
	}
	return c, nil
}

func (r *Repo) localConfig() (*Config, error) {
	c := &Config{values: map[string][]string{}}
	if err := r.loadConfig(c, filepath.Join(r.commonDir, "config"), 0); err != nil {
		return nil, err
	}
	if isTrue(c.Get("extensions.worktreeconfig")) {
		if err := r.loadConfig(c, filepath.Join(r.gitDir, "config.worktree"), 0); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func isTrue(v string) bool {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

func (r *Repo) userConfigFiles() []string {
	var list []string
	if !isTrue(r.getenv("GIT_CONFIG_NOSYSTEM")) {
		switch p := r.getenv("GIT_CONFIG_SYSTEM"); {
		case p != "":
			list = append(list, p)
		case runtime.GOOS == "windows":
			list = append(list, filepath.Join(r.getenv("PROGRAMDATA"), "Git", "config"),
				filepath.Join(r.getenv("PROGRAMFILES"), "Git", "etc", "gitconfig"))
		default:
			list = append(list, "/etc/gitconfig")
		}
	}
	if p := r.getenv("GIT_CONFIG_GLOBAL"); p != "" {
		return append(list, p)
	}
	if dir := r.xdgGit(); dir != "" {
		list = append(list, filepath.Join(dir, "config"))
	}
	if home := r.home(); home != "" {
		list = append(list, filepath.Join(home, ".gitconfig"))
	}
	return list
}

func (r *Repo) home() string {
	if h := r.getenv("HOME"); h != "" || runtime.GOOS != "windows" {
		return h
	}
	return r.getenv("USERPROFILE")
}

// xdgGit is the user's folder for Git's configuration, or "".
func (r *Repo) xdgGit() string {
	if dir := r.getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "git")
	}
	if home := r.home(); home != "" {
		return filepath.Join(home, ".config", "git")
	}
	return ""
}

// expandHome resolves a leading "~/" as Git does for paths in its files.
func (r *Repo) expandHome(p string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok && r.home() != "" {
		return filepath.Join(r.home(), rest)
	}
	return p
}

// maxIncludes is how deep Git lets configuration files include each other.
const maxIncludes = 10

func (r *Repo) loadConfig(c *Config, file string, depth int) error {
	if depth > maxIncludes || file == os.DevNull {
		return nil
	}
	data, err := readSmall(file)
	if err != nil {
		if missing(err) || os.IsPermission(err) {
			return nil
		}
		return err
	}
	return parseConfig(file, string(data), func(name, value string) error {
		c.values[name] = append(c.values[name], value)
		if name != "include.path" {
			return nil
		}
		p := r.expandHome(value)
		if !filepath.IsAbs(p) {
			p = filepath.Join(filepath.Dir(file), p)
		}
		return r.loadConfig(c, p, depth+1)
	})
}

// parseConfig calls set for each variable of a configuration file, in order.
func parseConfig(file, text string, set func(name, value string) error) error {
	return scanConfig(file, text, func(i configItem) error {
		if i.key == "" {
			return nil
		}
		return set(i.section+"."+i.key, i.value)
	})
}

// configItem is a section's header, with an empty key, or a variable. It
// stands in text[start:end].
type configItem struct {
	section, key, value string
	start, end          int
}

// scanConfig calls visit for each item of a configuration file, in order.
func scanConfig(file, text string, visit func(configItem) error) error {
	p := configParser{text: text, line: 1}
	if strings.HasPrefix(text, "\ufeff") {
		p.at = len("\ufeff")
	}
	section := ""
	for {
		p.skipBlank()
		if p.at == len(p.text) {
			return nil
		}
		item, ok := configItem{start: p.at}, false
		if p.text[p.at] == '[' {
			section, ok = p.section()
		} else {
			item.key, item.value, ok = p.variable()
		}
		if !ok || section == "" {
			return p.bad(file)
		}
		item.section, item.end = section, p.at
		if err := visit(item); err != nil {
			return err
		}
	}
}

type configParser struct {
	text string
	at   int
	line int
}

func (p *configParser) bad(file string) error {
	return &errs.Error{Kind: errs.Config, File: file, Line: p.line, Msg: "not understood as Git configuration"}
}

// skipBlank goes to the next section or variable.
func (p *configParser) skipBlank() {
	comment := false
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\n':
			comment = false
			p.line++
		case comment || c == ' ' || c == '\t' || c == '\r':
		case c == '#' || c == ';':
			comment = true
		default:
			return
		}
	}
}

// section reads a header and returns it as a prefix of names.
func (p *configParser) section() (string, bool) {
	end := strings.IndexAny(p.text[p.at:], " \t]\n")
	if end < 0 || p.text[p.at+end] == '\n' {
		return "", false
	}
	name := strings.ToLower(p.text[p.at+1 : p.at+end])
	p.at += end
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '"' {
		var sub strings.Builder
		for p.at++; ; p.at++ {
			if p.at >= len(p.text) || p.text[p.at] == '\n' {
				return "", false
			}
			c := p.text[p.at]
			if c == '"' {
				break
			}
			if c == '\\' {
				if p.at++; p.at >= len(p.text) {
					return "", false
				}
				c = p.text[p.at]
			}
			sub.WriteByte(c)
		}
		p.at++
		name += "." + sub.String()
	}
	if p.at >= len(p.text) || p.text[p.at] != ']' || name == "" {
		return "", false
	}
	p.at++
	return name, true
}

func (p *configParser) variable() (name, value string, ok bool) {
	start := p.at
	for p.at < len(p.text) && isConfigName(p.text[p.at]) {
		p.at++
	}
	name = strings.ToLower(p.text[start:p.at])
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if name == "" {
		return "", "", false
	}
	if p.at == len(p.text) || strings.IndexByte("\r\n#;", p.text[p.at]) >= 0 {
		return name, "true", true
	}
	if p.text[p.at] != '=' {
		return "", "", false
	}
	p.at++
	value, ok = p.value()
	return name, value, ok
}

func isConfigName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// value reads up to the end of the line, with quotes, escapes, continued
// lines and comments; blanks outside quotes are cut at both ends.
func (p *configParser) value() (string, bool) {
	var b strings.Builder
	keep := 0 // length of b without trailing blanks
	quoted, comment := false, false
	for ; p.at < len(p.text) && p.text[p.at] != '\n'; p.at++ {
		c := p.text[p.at]
		switch {
		case comment:
			continue
		case c == '\\':
			p.at++
			if p.at+1 < len(p.text) && p.text[p.at] == '\r' && p.text[p.at+1] == '\n' {
				p.at++
			}
			if p.at >= len(p.text) {
				return "", false
			}
			switch e := p.text[p.at]; e {
			case '\n':
				p.line++
				continue
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'b':
				b.WriteByte('\b')
			case '"', '\\':
				b.WriteByte(e)
			default:
				return "", false
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '#' || c == ';'):
			comment = true
			continue
		case !quoted && (c == ' ' || c == '\t' || c == '\r'):
			if b.Len() > 0 {
				b.WriteByte(c)
			}
			continue
		default:
			b.WriteByte(c)
		}
		keep = b.Len()
	}
	return b.String()[:keep], !quoted
}
