package git

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/ignore"
)

// IsIgnored reports whether Git's ignore files cover a path: those of the
// working tree, .git/info/exclude and the user's own. Whether the path is
// tracked plays no part.
func (r *Repo) IsIgnored(rel string, isDir bool) (bool, error) {
	m, err := r.ignoreMatcher()
	if err != nil {
		return false, err
	}
	return m.Ignored(rel, isDir)
}

// IgnoreRules returns Git's rules as IsIgnored has them, for who goes through
// many folders: wrap, which may be nil, makes of the reader of the working tree
// the one that ignore files are read with. It is as of now.
func (r *Repo) IgnoreRules(wrap func(ignore.Reader) ignore.Reader) (*ignore.Matcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newMatcher(wrap)
}

func (r *Repo) ignoreMatcher() (*ignore.Matcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.matcher != nil {
		return r.matcher, nil
	}
	var err error
	r.matcher, err = r.newMatcher(nil)
	return r.matcher, err
}

// newMatcher is called with r.mu held.
func (r *Repo) newMatcher(wrap func(ignore.Reader) ignore.Reader) (*ignore.Matcher, error) {
	c, err := r.config()
	if err != nil {
		return nil, err
	}
	excludes := r.expandHome(c.Get("core.excludesfile"))
	if excludes == "" {
		if dir := r.xdgGit(); dir != "" {
			excludes = filepath.Join(dir, "ignore")
		}
	} else if !filepath.IsAbs(excludes) {
		excludes = filepath.Join(r.root, excludes)
	}
	var extra []ignore.Source
	for _, p := range []string{excludes, filepath.Join(r.commonDir, "info", "exclude")} {
		if p == "" {
			continue
		}
		// Like git, go on without a file that cannot be read.
		if data, err := readSmall(p); err == nil {
			extra = append(extra, ignore.Source{Name: p, Data: data})
		}
	}
	reader := ignore.Disk(r.dir)
	if wrap != nil {
		reader = wrap(reader)
	}
	return ignore.New(reader, ignore.Options{Syntax: ignore.Git, Extra: extra}), nil
}

func (r *Repo) forgetMatcher() {
	r.mu.Lock()
	r.matcher = nil
	r.mu.Unlock()
}

// IgnoreAdd makes Git ignore the paths: each that is not ignored yet gets a
// line in the .gitignore of its own folder, in the order given. It returns
// the .gitignore files that were changed. The paths may be files or folders,
// there or not. All names are checked before anything is written; each file
// is replaced as a whole. Edits of one repository must be made under its lock.
func (r *Repo) IgnoreAdd(paths ...string) ([]string, error) {
	lines := make([]string, len(paths))
	for i, rel := range paths {
		if err := checkRel(rel); err != nil {
			return nil, err
		}
		line, err := ignoreLine(path.Base(rel))
		if err != nil {
			return nil, err
		}
		lines[i] = line
	}
	var order []string
	add := map[string][]string{} // by .gitignore
	for i, rel := range paths {
		st, err := r.dir.LstatPath(rel)
		if err != nil && !missing(err) {
			return nil, err
		}
		ignored, err := r.IsIgnored(rel, err == nil && st.IsDir())
		if err != nil {
			return nil, err
		}
		file := path.Join(path.Dir(rel), ignore.GitFile)
		if ignored || contains(add[file], lines[i]) {
			continue
		}
		if add[file] == nil {
			order = append(order, file)
		}
		add[file] = append(add[file], lines[i])
	}
	for i, file := range order {
		if err := r.appendLines(file, add[file]); err != nil {
			return order[:i], err
		}
	}
	return order, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// ignoreLine is the line that makes Git ignore exactly that name in the
// folder of the file.
func ignoreLine(name string) (string, error) {
	if strings.ContainsAny(name, "\n\x00") {
		return "", errs.WithHint(errs.New(errs.Invalid, "the name %q holds a line break and cannot stand in .gitignore", name),
			"Rename it.")
	}
	var b strings.Builder
	b.WriteByte('/')
	for i := 0; i < len(name); i++ {
		if strings.IndexByte(`\[]!*#?`, name[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	line := b.String()
	// Git cuts off final blanks, and a final carriage return.
	switch last := name[len(name)-1]; last {
	case ' ':
		line = line[:len(line)-1] + `\ `
	case '\r':
		line = line[:len(line)-1] + "[\r]"
	}
	return line, nil
}

func (r *Repo) appendLines(file string, lines []string) error {
	defer r.forgetMatcher()
	old, err := r.dir.ReadFile(file)
	if err != nil && !missing(err) {
		return r.gitignoreError(file, err)
	}
	text := string(old)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += strings.Join(lines, "\n") + "\n"
	dir, err := r.dir.MakePath(path.Dir(file), 0o777)
	if err != nil {
		return r.gitignoreError(file, err)
	}
	dir.Close()
	return r.gitignoreError(file, r.dir.WriteFile(file, []byte(text), 0o666))
}

func (r *Repo) gitignoreError(file string, err error) error {
	if err == nil {
		return nil
	}
	k := errs.KindOf(err)
	if k == errs.Other && errors.Is(err, fs.ErrPermission) {
		k = errs.Denied
	}
	if errors.Is(err, disk.ErrLink) {
		k = errs.Invalid
	}
	return &errs.Error{Kind: k, File: file, Msg: "cannot edit the ignore file", Err: err}
}

// IgnoreRemove takes the lines of the paths out of the .gitignore of their
// folders, and returns the files that were changed. A file left empty is
// deleted. As DVC does it, a changed file has LF line ends throughout.
func (r *Repo) IgnoreRemove(paths ...string) ([]string, error) {
	var order []string
	drop := map[string]map[string]bool{}
	for _, rel := range paths {
		if err := checkRel(rel); err != nil {
			return nil, err
		}
		line, err := ignoreLine(path.Base(rel))
		if err != nil {
			continue // it cannot have been added
		}
		file := path.Join(path.Dir(rel), ignore.GitFile)
		if drop[file] == nil {
			drop[file] = map[string]bool{}
			order = append(order, file)
		}
		drop[file][line] = true
		// The same line as people write it: after a slash, "!" and "#" need
		// no escape.
		if base := path.Base(rel); !strings.ContainsAny(base, `\[]*?`) {
			drop[file]["/"+base] = true
		}
	}
	var changed []string
	for _, file := range order {
		did, err := r.dropLines(file, drop[file])
		if err != nil {
			return changed, err
		}
		if did {
			changed = append(changed, file)
		}
	}
	return changed, nil
}

func (r *Repo) dropLines(file string, drop map[string]bool) (bool, error) {
	old, err := r.dir.ReadFile(file)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, r.gitignoreError(file, err)
	}
	var b strings.Builder
	found := false
	for line := range strings.Lines(string(old)) {
		text := strings.TrimSuffix(line, "\n")
		if drop[strings.TrimSuffix(text, "\r")] || drop[strings.TrimSpace(text)] {
			found = true
			continue
		}
		if cut, ok := strings.CutSuffix(line, "\r\n"); ok {
			line = cut + "\n"
		}
		b.WriteString(line)
	}
	if !found {
		return false, nil
	}
	defer r.forgetMatcher()
	if b.Len() > 0 {
		return true, r.gitignoreError(file, r.dir.WriteFile(file, []byte(b.String()), 0o666))
	}
	dir, name, err := r.dir.Parent(file)
	if err != nil {
		return false, r.gitignoreError(file, err)
	}
	defer dir.Close()
	return true, r.gitignoreError(file, dir.Remove(name))
}
