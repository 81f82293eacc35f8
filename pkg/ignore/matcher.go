package ignore

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// Names that mean something to a [Matcher].
const (
	DVCFile = ".dvcignore"
	GitFile = ".gitignore"
	dvcDir  = ".dvc"
)

// Reader is how a Matcher looks at a tree: a folder on disk ([Disk]) or a
// commit ([FS]). Paths are relative, with slashes. It must be safe for
// concurrent use.
type Reader interface {
	// ReadFile reads a plain file; fs.ErrNotExist if there is none.
	ReadFile(rel string) ([]byte, error)
	// Exists reports whether there is anything at a path. A parent that is
	// no folder is no error.
	Exists(rel string) (bool, error)
}

// Disk reads a folder without following links.
func Disk(root *disk.Dir) Reader { return diskReader{root} }

type diskReader struct{ root *disk.Dir }

func (r diskReader) ReadFile(rel string) ([]byte, error) { return r.root.ReadFile(rel) }

func (r diskReader) Exists(rel string) (bool, error) {
	_, err := r.root.LstatPath(rel)
	return err == nil, notMissing(err)
}

// FS reads any file tree, such as that of a commit.
func FS(tree fs.FS) Reader { return fsReader{tree} }

type fsReader struct{ tree fs.FS }

func (r fsReader) ReadFile(rel string) ([]byte, error) { return fs.ReadFile(r.tree, rel) }

func (r fsReader) Exists(rel string) (bool, error) {
	_, err := fs.Stat(r.tree, rel)
	return err == nil, notMissing(err)
}

// notMissing is err unless it says that there is nothing to read: no such
// name, or a parent that is a file or link.
func notMissing(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) || errors.Is(err, disk.ErrLink) {
		return nil
	}
	return err
}

// Source is an ignore file from outside the tree.
type Source struct {
	Name string // as explanations name it
	Data []byte
}

// Options of a Matcher. The zero value reads .dvcignore.
type Options struct {
	Syntax Syntax
	// Extra rules are anchored at the root and come before those of the
	// tree's own files, the first being the weakest.
	Extra []Source
}

// Matcher answers for one tree. It is safe for concurrent use and remembers
// the ignore files it has read.
type Matcher struct {
	reader Reader
	opts   Options

	mu   sync.Mutex
	dirs map[string]*Dir // by path; only those asked for by path
}

// New makes a Matcher. Nothing is read until it is asked.
func New(r Reader, o Options) *Matcher {
	return &Matcher{reader: r, opts: o, dirs: map[string]*Dir{}}
}

func (m *Matcher) fileName() string {
	if m.opts.Syntax == Git {
		return GitFile
	}
	return DVCFile
}

// mark is the mark of a folder with an ignore file.
func (m *Matcher) mark() Marks {
	if m.opts.Syntax == Git {
		return hasGitFile
	}
	return hasDVCFile
}

// Dir returns the rules for the names in a folder; "" or "." is the root. It
// need not exist. Errors are those of reading ignore files, and errs.Invalid
// for what is written in them.
func (m *Matcher) Dir(rel string) (*Dir, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dir(clean(rel))
}

func clean(rel string) string {
	rel = path.Clean(rel)
	if rel == "." {
		return ""
	}
	return rel
}

func (m *Matcher) dir(rel string) (*Dir, error) {
	if d := m.dirs[rel]; d != nil {
		return d, nil
	}
	var d *Dir
	if rel == "" {
		root, err := m.root()
		if err != nil {
			return nil, err
		}
		d = root
	} else {
		up, name := path.Split(rel)
		parent, err := m.dir(strings.TrimSuffix(up, "/"))
		if err != nil {
			return nil, err
		}
		if d, err = m.enter(parent, name); err != nil {
			return nil, err
		}
	}
	m.dirs[rel] = d
	return d, nil
}

func (m *Matcher) root() (*Dir, error) {
	d := &Dir{m: m, fileFrom: noFloor, dirFrom: noFloor}
	for _, x := range m.opts.Extra {
		rules, err := parse(x.Name, x.Data, m.opts.Syntax)
		if err != nil {
			return nil, err
		}
		d.addLevel(rules)
	}
	return d, d.read()
}

// enter is Child for a folder whose entries are not at hand.
func (m *Matcher) enter(parent *Dir, name string) (*Dir, error) {
	var marks Marks
	if !parent.ignored && !parent.Match(name, true) {
		marks = m.mark() // reading tells whether it is there
		if m.opts.Syntax == DVC {
			is, err := m.reader.Exists(join(parent.Path(), name) + "/" + dvcDir)
			if err != nil {
				return nil, err
			}
			if is {
				marks |= isSubrepo
			}
		}
	}
	return parent.Child(name, marks)
}

// Ignored reports whether a path is ignored, itself or by a folder above it.
// The root never is.
func (m *Matcher) Ignored(rel string, isDir bool) (bool, error) {
	rel = clean(rel)
	if rel == "" {
		return false, nil
	}
	up, name := path.Split(rel)
	d, err := m.Dir(up)
	if err != nil {
		return false, err
	}
	if d.Match(name, isDir) {
		return true, nil
	}
	if !isDir || m.opts.Syntax != DVC {
		return false, nil
	}
	child, err := m.Dir(rel)
	return err == nil && child.Ignored(), err
}

// Explanation says why a path is or is not ignored.
type Explanation struct {
	Ignored bool
	Rule    *Rule // what decided; nil if no rule matched
}

// Explain is Ignored with the rule that decided. Of adjoining rules that would
// all have ignored the path, DVC names the first and Git the last.
func (m *Matcher) Explain(rel string, isDir bool) (Explanation, error) {
	rel = clean(rel)
	if rel == "" {
		return Explanation{}, nil
	}
	parts := strings.Split(rel, "/")
	var last *Rule
	for i := 1; i <= len(parts); i++ {
		d, err := m.Dir(strings.Join(parts[:i-1], "/"))
		if err != nil {
			return Explanation{}, err
		}
		dirHere := isDir || i < len(parts)
		last = d.explain(parts[:i], dirHere)
		if last == nil || last.Negated {
			if dirHere && m.opts.Syntax == DVC {
				sub, err := m.Dir(strings.Join(parts[:i], "/"))
				if err != nil {
					return Explanation{}, err
				}
				if sub.subrepo {
					return Explanation{Ignored: true, Rule: &Rule{Subrepo: parts[i-1]}}, nil
				}
			}
			continue
		}
		return Explanation{Ignored: true, Rule: last}, nil
	}
	return Explanation{Rule: last}, nil
}

// readRules reads the ignore file of a folder; none is no rules.
func (m *Matcher) readRules(dir string) ([]Rule, error) {
	file := join(dir, m.fileName())
	data, err := m.reader.ReadFile(file)
	if errors.Is(err, disk.ErrLink) {
		// A link on the way there is nobody's ignore file; one in its place is.
		if is, eerr := m.reader.Exists(file); is || eerr != nil {
			return nil, m.readError(file, err)
		}
		return nil, nil
	}
	if notMissing(err) != nil {
		return nil, m.readError(file, err)
	}
	if err != nil {
		return nil, nil
	}
	return parse(file, data, m.opts.Syntax)
}

func (m *Matcher) readError(file string, err error) error {
	k := errs.KindOf(err)
	if k == errs.Other {
		k = errs.Invalid
		if errors.Is(err, fs.ErrPermission) {
			k = errs.Denied
		}
	}
	return &errs.Error{Kind: k, File: file, Msg: "cannot read the ignore file", Err: err,
		Hint: "Make it a plain file that you may read, or delete it."}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
