package git

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// hookNames in the order in which DVC installs them.
var hookNames = []string{"post-checkout", "pre-commit", "pre-push"}

// HooksDir is the absolute path of the folder Git runs hooks from, with
// core.hooksPath heeded. It need not exist.
func (r *Repo) HooksDir() (string, error) {
	if r.HasProgram() {
		// The program also knows conditional includes.
		out, err := r.run(context.Background(), "find the hooks", nil, "rev-parse", "--git-path", "hooks")
		if err != nil {
			return "", err
		}
		return r.absolute(strings.TrimSuffix(string(out), "\n")), nil
	}
	c, err := r.config()
	if err != nil {
		return "", err
	}
	if p := c.Get("core.hookspath"); p != "" {
		return r.absolute(r.expandHome(p)), nil
	}
	return filepath.Join(r.commonDir, "hooks"), nil
}

func (r *Repo) absolute(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(r.root, p)
}

func (r *Repo) hookScript(program, hook string) []byte {
	sh := r.lookPath("sh")
	if sh == "" {
		sh = "/bin/sh"
	}
	return []byte("#!" + filepath.ToSlash(sh) + "\nexec " + program + " git-hook " + hook + " $@\n")
}

// InstallHooks makes Git run `<program> git-hook <name>` after a checkout,
// before a commit and before a push, and returns the hooks' paths. A hook
// that is ours already stays; any other is errs.Conflict, and then nothing is
// installed.
func (r *Repo) InstallHooks(program string) ([]string, error) {
	dir, err := r.HooksDir()
	if err != nil {
		return nil, err
	}
	var todo, all []string
	for _, name := range hookNames {
		p := filepath.Join(dir, name)
		all = append(all, p)
		old, err := readSmall(p)
		switch {
		case missing(err):
			if _, err := os.Lstat(p); err == nil {
				return nil, hookExists(name) // a link that leads nowhere
			}
			todo = append(todo, name)
		case err != nil && !errs.Is(err, errs.Invalid):
			return nil, err
		case !bytes.Equal(old, r.hookScript(program, name)):
			return nil, hookExists(name)
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	for _, name := range todo {
		if err := writeHook(filepath.Join(dir, name), r.hookScript(program, name)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func hookExists(name string) error {
	return errs.New(errs.Conflict, "Hook '%s' already exists. Please refer to <https://man.dvc.org/install> for more info.", name)
}

// writeHook gives the name to a whole file that may be run, never to less.
func writeHook(p string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(p), ".cairn-hook-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Chmod(f.Name(), 0o777); err != nil {
		return err
	}
	return os.Rename(f.Name(), p)
}

// InstallMergeDriver sets merge.dvc in the repository's configuration, so
// that files with the attribute merge=dvc are merged by program. What else
// the file holds stays byte for byte.
func (r *Repo) InstallMergeDriver(program string) error {
	file := filepath.Join(r.commonDir, "config")
	lock, err := lockFile(file)
	if err != nil {
		return err
	}
	defer func() { _ = lock.rollback() }()
	old, err := readSmall(file)
	if err != nil && !missing(err) {
		return err
	}
	text, err := setConfig(file, string(old), "merge", "dvc", [][2]string{
		{"name", "DVC merge driver"},
		{"driver", program + " git-hook merge-driver --ancestor %O --our %A --their %B "},
	})
	if err != nil {
		return err
	}
	return lock.commit([]byte(text))
}

// setConfig sets variables of a subsection in the text of a configuration
// file: it takes out the lines that set them and writes them anew below the
// section's header, or below a new one at the end.
func setConfig(file, text, section, sub string, values [][2]string) (string, error) {
	// Refuse to edit what Git would not read.
	if err := parseConfig(file, text, func(_, _ string) error { return nil }); err != nil {
		return "", err
	}
	var added strings.Builder
	for _, v := range values {
		added.WriteString("\t" + v[0] + " = " + quoteConfig(v[1]) + "\n")
	}
	header := "[" + section + " \"" + sub + "\"]"
	lines := slices.Collect(strings.Lines(text))
	var b strings.Builder
	inside, written := false, false
	for i := 0; i < len(lines); i++ {
		trimmed := strings.TrimSpace(lines[i])
		if strings.HasPrefix(trimmed, "[") {
			inside = sameHeader(trimmed, header)
			b.WriteString(lines[i])
			if inside && !written && trimmed == header {
				if !strings.HasSuffix(lines[i], "\n") {
					b.WriteByte('\n')
				}
				b.WriteString(added.String())
				written = true
			}
			continue
		}
		if inside && setsOne(trimmed, values) {
			for continued(lines[i]) && i+1 < len(lines) {
				i++
			}
			continue
		}
		b.WriteString(lines[i])
	}
	out := b.String()
	if written {
		return out, nil
	}
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out + header + "\n" + added.String(), nil
}

func sameHeader(line, header string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(line), " "), header) || strings.HasPrefix(line, header)
}

func setsOne(line string, values [][2]string) bool {
	key, _, _ := strings.Cut(line, "=")
	for _, v := range values {
		if strings.EqualFold(strings.TrimSpace(key), v[0]) {
			return true
		}
	}
	return false
}

// continued reports whether the next line belongs to this one: it ends in an
// odd number of backslashes.
func continued(line string) bool {
	line = strings.TrimRight(line, "\r\n")
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func quoteConfig(v string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(v)
	if v != strings.TrimSpace(v) || strings.ContainsAny(v, "#;") {
		return `"` + escaped + `"`
	}
	return escaped
}
