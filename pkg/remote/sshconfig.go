package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// sshSystemConfig is read after the user's own file.
const sshSystemConfig = "/etc/ssh/ssh_config"

// sshSettings are what ssh_config says of one host: by keyword in lower case,
// the first that was found, all of them for keywords that add up.
type sshSettings map[string][]string

func (s sshSettings) get(keyword string) string {
	if v := s[keyword]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// sshFinder looks a host up in ssh_config(5).
type sshFinder struct {
	env       Env
	host      string // as the user wrote it
	user      string // as asked for, "" if not
	localUser string

	got      sshSettings
	final    bool // the second pass, for Match final
	sawFinal bool
	depth    int
}

// readSSHConfig returns the settings of host from the user's and the system's
// files. Nothing that a repository brings is read.
func readSSHConfig(env Env, host, user string) (sshSettings, error) {
	f := &sshFinder{env: env, host: host, user: user, localUser: env.localUser(), got: sshSettings{}}
	for pass := range 2 {
		f.final = pass == 1
		if f.final && !f.sawFinal {
			break
		}
		if env.Home != "" {
			own := filepath.Join(env.Home, ".ssh", "config")
			if err := writableByOthers(own); err != nil {
				return nil, err
			}
			if err := f.file(own, true); err != nil {
				return nil, err
			}
		}
		if err := f.file(sshSystemConfig, true); err != nil {
			return nil, err
		}
	}
	return f.got, nil
}

// writableByOthers refuses a file that can name programs, if others could
// have written them there, as ssh does.
func writableByOthers(path string) error {
	fi, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || fi.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return errs.WithHint(errs.New(errs.Config, "%s can be written to by other users", path), "chmod 600 %s", path)
}

// file applies a file's settings. Include'd files stand in the block that
// includes them.
func (f *sshFinder) file(path string, active bool) error {
	const deepest, longest = 16, 1 << 20 // ssh's limit of nesting
	if f.depth++; f.depth > deepest {
		return errs.New(errs.Config, "%s: more than %d files include each other", path, deepest)
	}
	defer func() { f.depth-- }()
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > longest {
		if err == nil {
			err = errs.New(errs.Config, "%s is not a file of settings", path)
		}
		if errors.Is(err, fs.ErrNotExist) || path == sshSystemConfig {
			return nil
		}
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	outer := active
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		keyword, args, err := splitSSHLine(line)
		if err == nil && keyword != "" {
			active, err = f.directive(path, keyword, args, active, outer)
		}
		if err != nil {
			return &errs.Error{Kind: errs.Config, File: path, Line: n, Msg: err.Error()}
		}
	}
	return nil
}

// adding are the keywords that may stand more than once.
var adding = []string{"identityfile", "certificatefile"}

func (f *sshFinder) directive(path, keyword string, args []string, active, outer bool) (bool, error) {
	switch keyword {
	case "host":
		return outer && matchPatterns(f.host, args), nil
	case "match":
		if !outer {
			return false, nil
		}
		return f.match(args)
	case "include":
		if !active {
			return active, nil
		}
		for _, pattern := range args {
			pattern = f.env.sshPath(pattern)
			if !filepath.IsAbs(pattern) {
				dir := filepath.Dir(sshSystemConfig)
				if path != sshSystemConfig && !strings.HasPrefix(path, dir+"/") {
					dir = filepath.Join(f.env.Home, ".ssh")
				}
				pattern = filepath.Join(dir, pattern)
			}
			list, err := filepath.Glob(pattern) // sorted
			if err != nil {
				return active, err
			}
			for _, p := range list {
				if err := f.file(p, true); err != nil {
					return active, err
				}
			}
		}
		return active, nil
	}
	if !active || len(args) == 0 {
		return active, nil
	}
	if slices.Contains(adding, keyword) {
		if !slices.Contains(f.got[keyword], args[0]) {
			f.got[keyword] = append(f.got[keyword], args[0])
		}
	} else if _, twice := f.got[keyword]; !twice {
		f.got[keyword] = args
	}
	return active, nil
}

// match evaluates the criteria of a Match line.
func (f *sshFinder) match(args []string) (bool, error) {
	if len(args) == 0 {
		return false, errors.New("no criterion of Match")
	}
	for i := 0; i < len(args); i++ {
		word, not := strings.CutPrefix(strings.ToLower(args[i]), "!")
		value := ""
		word, value, inline := strings.Cut(word, "=")
		if inline {
			_, value, _ = strings.Cut(args[i], "=")
		}
		var ok bool
		switch word {
		case "all":
			ok = true
		case "canonical":
			ok = false // names are not canonicalized here
		case "final":
			f.sawFinal = true
			ok = f.final
		case "host", "originalhost", "user", "localuser", "exec", "localnetwork", "tagged", "command", "version", "sessiontype":
			if !inline {
				if i++; i >= len(args) {
					return false, fmt.Errorf("criterion %q of Match needs a value", word)
				}
				value = args[i]
			}
			var err error
			if ok, err = f.criterion(word, value); err != nil {
				return false, err
			}
		default:
			return false, fmt.Errorf("unknown criterion %q of Match", word)
		}
		if ok == not {
			return false, nil
		}
	}
	return true, nil
}

func (f *sshFinder) criterion(word, value string) (bool, error) {
	host := f.host
	if h := f.got.get("hostname"); h != "" {
		host = strings.ReplaceAll(h, "%h", f.host)
	}
	user := f.user
	if user == "" {
		user = f.got.get("user")
	}
	if user == "" {
		user = f.localUser
	}
	patterns := strings.Split(value, ",")
	switch word {
	case "host":
		return matchPatterns(host, patterns), nil
	case "originalhost":
		return matchPatterns(f.host, patterns), nil
	case "user":
		return matchPatterns(user, patterns), nil
	case "localuser":
		return matchPatterns(f.localUser, patterns), nil
	case "exec":
		t := f.env.sshTokens(f.host, host, "", user, f.localUser, "")
		command, err := t.expand(value)
		if err != nil {
			return false, err
		}
		cmd := shellCommand(context.Background(), command)
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			return false, fmt.Errorf("program of Match exec: %w", err)
		} else {
			return err == nil, nil
		}
	}
	return false, nil // networks, tags and kinds of session: nothing of ours
}

// splitSSHLine splits a line into its keyword, in lower case, and arguments.
func splitSSHLine(line string) (string, []string, error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), nil, nil
	}
	keyword := strings.ToLower(line[:i])
	rest := strings.TrimLeft(line[i:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if keyword == "proxycommand" {
		return keyword, []string{rest}, nil
	}
	var args []string
	for rest != "" {
		if rest[0] == '#' {
			break
		}
		var word strings.Builder
		var quote byte
		j := 0
	word:
		for ; j < len(rest); j++ {
			c := rest[j]
			switch {
			case c == '\\' && j+1 < len(rest) && (rest[j+1] == '"' || rest[j+1] == '\'' || rest[j+1] == '\\' || rest[j+1] == ' ' && quote == 0):
				j++
				word.WriteByte(rest[j])
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote == 0 && (c == ' ' || c == '\t'):
				break word
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return "", nil, errors.New("a quotation has no end")
		}
		args = append(args, word.String())
		rest = strings.TrimLeft(rest[j:], " \t")
	}
	return keyword, args, nil
}

// matchPatterns reports whether s matches one of the patterns, and none that
// begins with "!".
func matchPatterns(s string, patterns []string) bool {
	s = strings.ToLower(s)
	found := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(strings.ToLower(p), "!")
		if !wildcard(p, s) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// wildcard matches "*" and "?".
func wildcard(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}

// sshTokens are what "%" stands for in ssh_config.
type sshTokens map[byte]string

func (e Env) sshTokens(alias, host, port, user, localUser, hostKeyAlias string) sshTokens {
	if hostKeyAlias == "" {
		hostKeyAlias = host
	}
	local, _ := os.Hostname()
	short, _, _ := strings.Cut(local, ".")
	return sshTokens{'%': "%", 'd': e.Home, 'h': host, 'k': hostKeyAlias, 'L': short, 'l': local, 'n': alias, 'p': port, 'r': user, 'u': localUser,
		'i': fmt.Sprint(os.Getuid())}
}

func (t sshTokens) expand(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i >= len(s) {
			return "", errors.New("a % stands at the end")
		}
		v, ok := t[s[i]]
		if !ok {
			return "", fmt.Errorf("%%%c is not known here", s[i])
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// sshPath expands "~" and "${NAME}".
func (e Env) sshPath(p string) string {
	if q, err := e.path(p); err == nil {
		p = q
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(p, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			b.WriteString(p)
			return b.String()
		}
		b.WriteString(before)
		b.WriteString(e.getenv(name))
		p = after
	}
}
