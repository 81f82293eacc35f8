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
// file: it takes out what sets them and writes them anew below the section's
// header, or below a new one at the end. A text that Git would not read is
// errs.Config.
func setConfig(file, text, section, sub string, values [][2]string) (string, error) {
	at := -1 // where the first header's line ends
	var b strings.Builder
	done := 0
	insertAt := 0
	open := false // the last item has no line break after it
	err := scanConfig(file, text, func(i configItem) error {
		open = i.end == len(text)
		switch {
		case i.section != section+"."+sub:
		case i.key == "":
			if eol := lineEnd(text, i.end); at < 0 && strings.TrimSpace(text[i.end:eol]) == "" {
				b.WriteString(text[done:eol])
				at, done, insertAt = eol, eol, b.Len()
			}
		case slices.ContainsFunc(values, func(v [2]string) bool { return v[0] == i.key }):
			start, end := i.start, i.end
			if bol := strings.LastIndexByte(text[:start], '\n') + 1; strings.TrimSpace(text[bol:start]) == "" {
				start, end = max(bol, done), lineEnd(text, end)
			}
			b.WriteString(text[done:start])
			done, open = end, false
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	b.WriteString(text[done:])
	if open {
		b.WriteByte('\n') // also ends a line that a backslash would continue
	}
	out := b.String()
	var added strings.Builder
	for _, v := range values {
		added.WriteString("\t" + v[0] + " = " + quoteConfig(v[1]) + "\n")
	}
	if at >= 0 {
		return endLine(out[:insertAt]) + added.String() + out[insertAt:], nil
	}
	return endLine(out) + "[" + section + " \"" + sub + "\"]\n" + added.String(), nil
}

// lineEnd is the offset behind the line break at or after at.
func lineEnd(text string, at int) int {
	if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(text)
}

func endLine(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

func quoteConfig(v string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(v)
	if v != strings.TrimSpace(v) || strings.ContainsAny(v, "#;") {
		return `"` + escaped + `"`
	}
	return escaped
}
