package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Key names an option as the config command does: "core.remote" or
// "remote.myrem.url".
type Key struct {
	Top     string // "remote" or "db", or ""
	Section string // the section, or the name below Top
	Option  string
}

var keyPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:(remote|db)\.)?([^.]*)\.([^.]*)$`)
})

// ParseKey reads a key; a wrong one is errs.Usage.
func ParseKey(s string) (Key, error) {
	m := keyPattern().FindStringSubmatch(s)
	if m == nil {
		return Key{}, errs.New(errs.Usage, "name argument should look like remote.name.option or db.name.option or section.option")
	}
	return Key{m[1], strings.ToLower(m[2]), strings.ToLower(m[3])}, nil
}

// RemoteKey is the key of a remote's option, whatever letters the name has.
func RemoteKey(remote, option string) Key {
	return Key{"remote", strings.ToLower(remote), strings.ToLower(option)}
}

// String is the inverse of ParseKey.
func (k Key) String() string {
	if k.Top != "" {
		return k.Top + "." + k.Section + "." + k.Option
	}
	return k.Section + "." + k.Option
}

// Hint says what a key that names no option may be meant to be, and is "" for
// one that does, or that is like none.
func (k Key) Hint() string {
	if k.Top == "" && k.Section != cairnSection && !slices.Contains(sections, k.Section) {
		if near := Nearest(k.Section, append(slices.Clone(sections), cairnSection)); near != "" {
			return fmt.Sprintf("Did you mean %q?", near+"."+k.Option)
		}
		return ""
	}
	word := k.word()
	if slices.Contains(namedSections, word) && k.Top == "" || option(word, k.Option, "*") != nil {
		return ""
	}
	near := Nearest(k.Option, knownNames(word, "*"))
	if near == "" {
		return ""
	}
	k.Option = near
	return fmt.Sprintf("Did you mean %q?", k)
}

func (k Key) sibling() bool { return k.Top == "" && k.Section == cairnSection }

// word is the section as the table of options has it.
func (k Key) word() string {
	if k.Top != "" {
		return k.Top
	}
	return k.Section
}

// holder is the section of the tree that the key's option is in.
func (k Key) holder(tree *section) *section {
	if k.Top != "" {
		tree = tree.sub(k.Top)
	}
	return tree.sub(k.Section)
}

// Entry is one option as it stands in a file.
type Entry struct {
	Key    string // "remote.myrem.url"
	Value  string // as DVC prints it, paths absolute; may be secret, see [RedactValue]
	Origin string // the file, relative to the repository's root at the project and local level
	Level  Level
	Line   int
}

// List returns what stands at the levels, unchecked, level by level and in the
// order of the files. Without levels it is all.
func List(o LoadOptions, at ...Level) ([]Entry, error) {
	if len(at) == 0 {
		at = Levels()
	}
	var out []Entry
	for _, l := range at {
		files, err := o.readLevel(l)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			out = appendEntries(out, f, "", f.resolved(&o))
		}
	}
	return out, nil
}

func appendEntries(out []Entry, f *levelFile, prefix string, s *section) []Entry {
	for _, e := range s.entries {
		if e.val.sect != nil {
			out = appendEntries(out, f, prefix+e.key+".", e.val.sect)
			continue
		}
		out = append(out, Entry{prefix + e.key, e.val.String(), f.shown, f.level, e.val.origin.line})
	}
	return out
}

// Get finds an option at the strongest of the levels where it stands,
// unchecked. Without levels it looks at all. An absent one is not an error.
func Get(o LoadOptions, k Key, at ...Level) (e Entry, ok bool, err error) {
	if len(at) == 0 {
		at = Levels()
	}
	for _, l := range slices.Backward(at) {
		ed, err := Open(o, l)
		if err != nil && len(at) > 1 && o.Path(l) == "" {
			continue
		}
		if err != nil {
			return Entry{}, false, err
		}
		if e, ok = ed.Get(k); ok {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// Editor changes the files of one level. Nothing is written before Save.
// It is not safe for concurrent use.
type Editor struct {
	// GuardHash is asked before core.hash is changed; an error refuses it.
	// Objects of the other hash would be out of reach. Nil allows it.
	GuardHash func(to object.Algorithm) error

	o     LoadOptions
	level Level
	files []*levelFile // DVC's and its sibling
	was   []*section   // their trees as read
	grew  bool         // something was set, not only unset
	dirty [2]bool
}

// Open reads a level for editing. The file need not exist. Outside of a
// repository there is no project or local level: errs.Config.
func Open(o LoadOptions, l Level) (*Editor, error) {
	if o.Path(l) == "" {
		if l >= Project {
			return nil, failf("Not inside a DVC repo")
		}
		return nil, failf("there is no home folder for the %s config", l)
	}
	files, err := o.readLevel(l)
	if err != nil {
		return nil, err
	}
	e := &Editor{o: o, level: l, files: files}
	for _, f := range files {
		e.was = append(e.was, f.tree.clone())
		if !f.sibling {
			for _, k := range sections {
				f.tree.ensureSection(k)
			}
		}
	}
	return e, nil
}

func (e *Editor) file(k Key) (*levelFile, *bool) {
	if k.sibling() {
		return e.files[1], &e.dirty[1]
	}
	return e.files[0], &e.dirty[0]
}

// Level is the level being edited.
func (e *Editor) Level() Level { return e.level }

// File is the file that holds the key at this level, as messages name it.
func (e *Editor) File(k Key) string {
	f, _ := e.file(k)
	return f.shown
}

// Get finds an option at this level.
func (e *Editor) Get(k Key) (Entry, bool) {
	f, _ := e.file(k)
	n := k.holder(f.tree).get(k.Option)
	if n == nil || n.sect != nil {
		return Entry{}, false
	}
	v := n.String()
	if !n.isList && pathOption(k.word(), k.Option) {
		v = e.o.resolve(v, f.path)
	}
	return Entry{k.String(), v, f.shown, e.level, n.origin.line}, true
}

// Set gives an option a value. Relative paths are meant relative to the working
// folder. Whether the result is right is found out by Save.
func (e *Editor) Set(k Key, value string) error {
	if k == (Key{Section: "core", Option: "hash"}) {
		return e.setHash(value)
	}
	return e.set(k, value)
}

func (e *Editor) set(k Key, value string) error {
	f, dirty := e.file(k)
	if strings.ContainsRune(value, 0) {
		return failf("option '%s' may not hold a NUL byte", k)
	}
	tree := f.tree
	if k.Top != "" {
		tree = tree.ensure(k.Top)
	}
	if pathOption(k.word(), k.Option) && (k.word() == "cache" || k.Top != "") {
		value = e.o.stored(value, e.o.Dir, f.path)
	}
	n := textNode(value)
	n.origin.file = f
	s := tree.ensure(k.Section)
	if have := tree.get(k.Section); have.origin.file == nil {
		have.origin.file = f
	}
	s.set(k.Option, n)
	*dirty, e.grew = true, true
	return nil
}

// setHash sets core.hash. An md5 repository has no such key, so that DVC can
// use it.
func (e *Editor) setHash(value string) error {
	k := Key{Section: "core", Option: "hash"}
	a, ok := object.AlgorithmByName(strings.ToLower(value))
	if !ok || option("core", "hash", "").check(textNode(value)) != "" {
		return errs.WithHint(failf("unknown hash %s", pyRepr(value)), "Use blake3 or md5.")
	}
	if e.level != Project {
		return errs.WithHint(failf("core.hash may stand in .dvc/config only"), "Use --project.")
	}
	if e.GuardHash != nil {
		if err := e.GuardHash(a); err != nil {
			return err
		}
	}
	if a == object.MD5 {
		e.drop(k)
		return nil
	}
	return e.set(k, strings.ToLower(value))
}

func (e *Editor) drop(k Key) bool {
	f, dirty := e.file(k)
	s := k.holder(f.tree)
	if s.get(k.Option) == nil {
		return false
	}
	s.remove(k.Option)
	*dirty = true
	return true
}

// Unset removes an option; that it is not there is errs.Config.
func (e *Editor) Unset(k Key) error {
	f, _ := e.file(k)
	s := k.holder(f.tree)
	what := "section"
	if k.Top != "" {
		what = k.Top
	}
	if s == nil {
		return failf("%s '%s' doesn't exist", what, k.Section)
	}
	if s.get(k.Option) == nil {
		return failf("option '%s' doesn't exist in %s '%s'", k.Option, what, k.Section)
	}
	if k == (Key{Section: "core", Option: "hash"}) && e.GuardHash != nil {
		if err := e.GuardHash(object.MD5); err != nil {
			return err
		}
	}
	e.drop(k)
	return nil
}

// HasRemote reports whether the remote has a section at this level.
func (e *Editor) HasRemote(name string) bool {
	return e.files[0].tree.sub("remote").get(strings.ToLower(name)) != nil
}

// Remotes are the names of the remotes with a section at this level.
func (e *Editor) Remotes() []string {
	s := e.files[0].tree.sub("remote")
	if s == nil {
		return nil
	}
	var names []string
	for _, r := range s.entries {
		names = append(names, r.key)
	}
	return names
}

// dropRemote removes a remote's section.
func (e *Editor) dropRemote(name string) {
	if s := e.files[0].tree.sub("remote"); s != nil && s.get(name) != nil {
		s.remove(name)
		e.dirty[0] = true
	}
}

// touchRemote makes an empty section for a remote, as DVC leaves when an option
// is unset that was never there.
func (e *Editor) touchRemote(name string) *section {
	e.dirty[0], e.grew = true, true
	holder := e.files[0].tree.ensure("remote")
	s := holder.ensure(name)
	if n := holder.get(name); n.origin.file == nil {
		n.origin.file = e.files[0]
	}
	return s
}

// Save checks what the configuration would become and writes this level's
// files, each at once and whole. It refuses, with errs.Config, what would be
// wrong, or break a stronger level; a configuration that is wrong already may
// be made less wrong by unsetting. If a file has changed since Open the error
// is errs.Conflict. Nothing is written then.
func (e *Editor) Save() error {
	if err := e.check(); err != nil {
		return err
	}
	for i, f := range e.files {
		if !e.dirty[i] {
			continue
		}
		data, err := e.encode(f)
		if err != nil {
			return err
		}
		if err := e.write(f, data); err != nil {
			return err
		}
		e.dirty[i] = false
		e.was[i] = f.tree.clone()
	}
	e.grew = false
	return nil
}

func (e *Editor) check() error {
	var now, before []*levelFile
	upTo := 0
	for _, l := range Levels() {
		if l == e.level {
			now = append(now, e.files...)
			for i, f := range e.files {
				c := *f
				c.tree = e.was[i]
				before = append(before, &c)
			}
			upTo = len(now)
			continue
		}
		files, err := e.o.readLevel(l)
		if err != nil {
			return err
		}
		now, before = append(now, files...), append(before, files...)
	}
	own, ownErr := e.problems(now[:upTo])
	old, _ := e.problems(before)
	all, err := e.problems(now)
	if ownErr != nil || err != nil {
		return errors.Join(ownErr, err)
	}
	if e.grew && len(own) > 0 {
		return own[0].asError()
	}
	for _, p := range slices.Concat(own, all) {
		if !slices.ContainsFunc(old, func(q *Problem) bool { return q.Msg == p.Msg }) {
			return p.asError()
		}
	}
	return nil
}

func (e *Editor) problems(files []*levelFile) ([]*Problem, error) {
	tree, err := e.o.mergeFiles(files)
	if err != nil {
		return nil, err
	}
	return check(tree).problems, nil
}

// encode writes a file's tree, and proves that it reads back.
func (e *Editor) encode(f *levelFile) ([]byte, error) {
	tree := f.tree.clone()
	dir := filepath.Dir(f.path)
	mapPaths(tree, func(p string) string { return e.o.stored(p, dir, f.path) })
	tree = titled(tree)
	data, err := render(tree)
	if err != nil {
		return nil, failf("%v", err)
	}
	back, err := parse(data, f)
	if err != nil || !sameTree(tree, titled(named(lowered(back)))) {
		return nil, failf("%s: %v", f.shown, errQuote)
	}
	return data, nil
}

func sameTree(a, b *section) bool {
	return slices.EqualFunc(a.entries, b.entries, func(x, y entry) bool {
		if x.key != y.key || (x.val.sect == nil) != (y.val.sect == nil) {
			return false
		}
		if x.val.sect != nil {
			return sameTree(x.val.sect, y.val.sect)
		}
		return x.val.isList == y.val.isList && x.val.text == y.val.text && slices.Equal(x.val.list, y.val.list)
	})
}

// write puts a file's bytes in place, if it is still as it was read.
func (e *Editor) write(f *levelFile, data []byte) error {
	at := f.path
	if f.level < Project {
		// People keep their own config elsewhere and link to it.
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return writeError(f, err)
		}
	} else if st, err := os.Lstat(at); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		err := errs.New(errs.Conflict, "%s is a symbolic link", f.shown)
		return errs.WithHint(err, "Edit the file it points to, or put a plain file in its place.")
	}
	if now, err := readRegular(at); err == nil && !(f.exists && bytes.Equal(now, f.data)) ||
		errors.Is(err, fs.ErrNotExist) && f.exists {
		return errs.WithHint(errs.New(errs.Conflict, "%s was changed by somebody else meanwhile", f.shown), "Run the command again.")
	}
	dir, err := disk.OpenDir(filepath.Dir(at))
	if err != nil {
		return writeError(f, err)
	}
	defer dir.Close()
	name := filepath.Base(at)
	if f.sibling && string(data) == "\n" {
		if f.exists {
			err = dir.Remove(name)
		}
		if err != nil {
			return writeError(f, err)
		}
		f.data, f.exists = nil, false
		return nil
	}
	if err := replace(dir, name, data, f.level); err != nil {
		return writeError(f, err)
	}
	f.data, f.exists = data, true
	return nil
}

// replace writes the file; those that may hold secrets are for the owner only.
func replace(dir *disk.Dir, name string, data []byte, l Level) error {
	perm := fs.FileMode(0o666)
	if l == Local || l == Global {
		perm = 0o600
	}
	if l == Local && dir.Exists(name) {
		if err := dir.Chmod(name, perm); err != nil {
			return err
		}
	}
	return dir.WriteFile(name, data, perm)
}

func writeError(f *levelFile, err error) error {
	kind := errs.KindOf(err)
	if errors.Is(err, fs.ErrPermission) || disk.IsReadOnly(err) {
		kind = errs.Denied
	}
	return errs.New(kind, "write %s: %w", f.shown, err)
}
