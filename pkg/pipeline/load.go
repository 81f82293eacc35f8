package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ProjectFile is the name of the files of stages.
const ProjectFile = "dvc.yaml"

// Options say how stage files are read. The zero Options are the usual case.
type Options struct {
	Templating Templating
	// Root is the absolute path of the repository with slashes. Paths below
	// it are taken for paths of the workspace. It may be empty.
	Root string
	// Show gives the path from the root as messages name it, relative to
	// where the user is. Without it messages have paths from the root.
	Show func(file string) string
	// Ignored reports whether .dvcignore hides a file. It may be nil.
	Ignored func(file string) bool
	// Read is told each stage file before it is read. It may be nil, and is
	// called concurrently.
	Read func(file string)
}

// Loader reads stage files of a workspace or a commit, each once. It may be
// used concurrently.
type Loader struct {
	fsys fs.FS
	opt  Options

	mu    sync.Mutex
	files map[string]*lazyFile
	vars  map[string]*lazyVars
}

// NewLoader returns a Loader for the files of fsys, whose root is that of the
// repository.
func NewLoader(fsys fs.FS, opt Options) *Loader {
	return &Loader{fsys: fsys, opt: opt, files: map[string]*lazyFile{}, vars: map[string]*lazyVars{}}
}

// File is what one stage file says: a dvc.yaml with its lock, or a .dvc file.
type File struct {
	Path   string // relative to the repository's root
	Stages []*Stage
	Top    TopLevel
	// DatasetsLock is the datasets list of the lock.
	DatasetsLock []any
	// Uses are the values of files that expressions used, by stage name.
	Uses map[string][]Use
	// Errors are those of stages and sections that cannot be read; the others
	// are there all the same. DVC refuses the whole file for any of them.
	Errors   []error
	Warnings []string
}

// Pipeline is the content of many stage files.
type Pipeline struct {
	Files  []*File
	Stages []*Stage // of all files, in order
	Errors []error  // of all files
	Root   string   // as [Options.Root]
	show   func(string) string
}

func (l *Loader) show(file string) string {
	if l.opt.Show == nil {
		return file
	}
	return l.opt.Show(file)
}

// absolute is how DVC names a file that was given as a path.
func (l *Loader) absolute(file string) string {
	if l.opt.Root == "" {
		return l.show(file)
	}
	return path.Join(l.opt.Root, file)
}

// join is path.Join for a second path that may be absolute.
func (l *Loader) join(dir, p string) string {
	if !path.IsAbs(p) {
		return path.Join(dir, p)
	}
	if rel, ok := l.below(p); ok {
		return rel
	}
	return path.Clean(p)
}

// below makes an absolute path in the repository relative to its root.
func (l *Loader) below(p string) (string, bool) {
	root := l.opt.Root
	p = path.Clean(p)
	if root == "" || p != root && !strings.HasPrefix(p, strings.TrimSuffix(root, "/")+"/") {
		return "", false
	}
	return path.Join(".", strings.TrimPrefix(p, root)), true
}

// local makes an absolute path in the repository relative to wdir, as DVC
// does when it reads the path.
func (l *Loader) local(p, wdir string) string {
	if path.IsAbs(p) {
		if rel, ok := l.below(p); ok && !path.IsAbs(wdir) {
			return relativeTo(wdir, rel)
		}
	}
	return p
}

// lazyVars is a file of values, read once.
type lazyVars struct {
	once  sync.Once
	mu    sync.Mutex
	value any
	root  *tmplNode // of all values; nil if they cannot all be used
	err   error     // of reading
	bad   error     // of using all values
}

// varsFile returns the values of a file for a context, all or those of keys.
func (l *Loader) varsFile(file string, keys []string) (*tmplNode, error) {
	l.mu.Lock()
	v := l.vars[file]
	if v == nil {
		v = &lazyVars{}
		l.vars[file] = v
	}
	l.mu.Unlock()
	o := &tmplOrigin{name: l.show(file), file: file}
	v.once.Do(func() {
		if v.value, v.err = l.readVars(file); v.err == nil {
			v.root, v.bad = newTmplNode(v.value, o, nil, "")
		}
	})
	switch {
	case v.err != nil:
		return nil, v.err
	case len(keys) == 0:
		return v.root, v.bad
	}
	if v.root != nil {
		n := &tmplNode{kind: dictNode, dict: map[string]*tmplNode{}, origin: o}
		for _, k := range keys {
			child := v.root.dict[k]
			if child == nil {
				return nil, tmplErr(tmplVars, "could not find '%s' in '%s'", k, l.show(file))
			}
			n.put(k, child)
		}
		return n, nil
	}
	return v.some(keys, o)
}

// some wraps the values of keys of a file that holds others which cannot be
// used.
func (v *lazyVars) some(keys []string, o *tmplOrigin) (*tmplNode, error) {
	v.mu.Lock() // looking up a key may change the Map
	defer v.mu.Unlock()
	m := &yamlfmt.Map{}
	for _, k := range keys {
		e, ok := v.value.(*yamlfmt.Map).Get(k)
		if !ok {
			return nil, tmplErr(tmplVars, "could not find '%s' in '%s'", k, o.name)
		}
		m.Set(k, e)
	}
	return newTmplNode(m, o, nil, "")
}

func (l *Loader) readVars(file string) (any, error) {
	shown := l.show(file)
	if !fs.ValidPath(file) {
		return nil, tmplErr(tmplVars, "'%s' is outside of the repository", shown)
	}
	data, err := fs.ReadFile(l.fsys, file)
	if err != nil {
		if info, statErr := fs.Stat(l.fsys, file); statErr == nil && info.IsDir() {
			return nil, tmplErr(tmplVars, "'%s' is a directory", shown)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, tmplErr(tmplVars, "'%s' does not exist", shown)
		}
		return nil, fmt.Errorf("read '%s': %w", shown, err)
	}
	v, err := LoadParams(shown, data)
	if err != nil {
		return nil, err
	}
	if _, ok := v.(*yamlfmt.Map); !ok {
		return nil, tmplErr(tmplVars, "expected a dictionary, got '%s' in file '%s'", pyType(v), shown)
	}
	return v, nil
}

// lazyFile is a stage file in the stages of being read.
type lazyFile struct {
	mu     sync.Mutex
	opened bool
	err    error // the file cannot be read at all

	pointer *Stage // of a .dvc file

	r      *resolver // of a dvc.yaml
	top    *yamlfmt.Map
	lock   *Lock
	stages map[string]*Stage
	uses   map[string][]Use

	file *File // everything
}

func (l *Loader) lazy(file string) *lazyFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.files[file]
	if f == nil {
		f = &lazyFile{}
		l.files[file] = f
	}
	return f
}

// open reads the text of a file. f is locked.
func (l *Loader) open(file string, f *lazyFile) error {
	if f.opened {
		return f.err
	}
	f.opened = true
	f.err = l.read(file, f)
	return f.err
}

func (l *Loader) read(file string, f *lazyFile) error {
	if l.opt.Read != nil {
		l.opt.Read(file)
	}
	data, err := l.readStageFile(file)
	if err != nil {
		return err
	}
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" {
		f.pointer, err = ParseDvcFile(file, data)
		return err
	}
	doc, top, err := parseDvcYAML(file, data)
	if err != nil {
		return err
	}
	if f.lock, err = l.readLock(LockFile(file)); err != nil {
		return err
	}
	f.top = top
	f.r, err = newResolver(l, file, doc, top)
	return err
}

// readLock reads a dvc.lock; one that does not exist or is ignored holds
// nothing.
func (l *Loader) readLock(file string) (*Lock, error) {
	if l.opt.Ignored != nil && l.opt.Ignored(file) {
		return &Lock{File: file}, nil
	}
	data, err := fs.ReadFile(l.fsys, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Lock{File: file}, nil
	case err != nil:
		return nil, fmt.Errorf("read '%s': %w", l.show(file), err)
	}
	return ParseLock(file, data)
}

func (l *Loader) readStageFile(file string) ([]byte, error) {
	if l.opt.Ignored != nil && l.opt.Ignored(file) {
		return nil, fileMissing(l.absolute(file), true)
	}
	if !fs.ValidPath(file) {
		return nil, errs.New(errs.Invalid, "'%s' is outside of the repository", l.show(file))
	}
	info, err := fs.Stat(l.fsys, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fileMissing(l.absolute(file), false)
	}
	base := path.Base(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read '%s': %w", l.show(file), err)
	case !IsStageFile(base):
		return nil, errs.New(errs.Invalid, "bad DVC file name '%s'. DVC files should be named 'dvc.yaml' or have a '.dvc' suffix (e.g. '%s.dvc').", l.show(file), base)
	case !info.Mode().IsRegular():
		return nil, errs.New(errs.Invalid, "'%s' is not a .dvc file", l.absolute(file))
	}
	data, err := fs.ReadFile(l.fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read '%s': %w", l.show(file), err)
	}
	return data, nil
}

// IsStageFile reports whether a file of that base name may hold stages.
func IsStageFile(base string) bool {
	return base == ProjectFile || strings.HasSuffix(base, ".dvc") && base != ".dvc"
}

// File reads a stage file with all of its stages. The error is that of a file
// that cannot be read at all; see [File.Errors] for others.
func (l *Loader) File(file string) (*File, error) {
	f := l.lazy(file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := l.open(file, f); err != nil {
		return nil, err
	}
	if f.file == nil {
		f.file = f.everything(file)
	}
	return f.file, nil
}

func (f *lazyFile) everything(file string) *File {
	out := &File{Path: file}
	if f.pointer != nil {
		out.Stages = []*Stage{f.pointer}
		return out
	}
	var names []string
	names, out.Errors = f.r.names()
	for _, name := range names {
		s, err := f.stage(name)
		if err != nil {
			out.Errors = append(out.Errors, err)
			continue
		}
		out.Stages = append(out.Stages, s)
	}
	var bad []error
	out.Top, bad = f.r.topLevel(f.top)
	out.Errors = append(out.Errors, bad...)
	out.DatasetsLock = f.lock.Datasets
	out.Uses = f.uses
	out.Warnings = f.r.warnings
	return out
}

// stage makes one stage of a dvc.yaml. f is locked.
func (f *lazyFile) stage(name string) (*Stage, error) {
	if s := f.stages[name]; s != nil {
		return s, nil
	}
	e, err := f.r.stage(name)
	if err != nil {
		return nil, err
	}
	s, err := f.r.build(e)
	if err != nil {
		return nil, err
	}
	f.lock.Fill(s)
	if f.stages == nil {
		f.stages = map[string]*Stage{}
	}
	f.stages[name] = s
	if len(e.uses) > 0 {
		if f.uses == nil {
			f.uses = map[string][]Use{}
		}
		f.uses[name] = e.uses
	}
	return s, nil
}

// Stages reads stages of one file without expanding the others: the one of
// that name, all of the group of that name, those whose names match if glob
// is set, or all if name is empty. The name of a stage in a .dvc file does
// not count.
func (l *Loader) Stages(file, name string, glob bool) ([]*Stage, error) {
	f := l.lazy(file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := l.open(file, f); err != nil {
		return nil, err
	}
	if f.pointer != nil {
		return []*Stage{f.pointer}, nil
	}
	names, err := f.names(name, glob)
	if err != nil {
		return nil, err
	}
	out := make([]*Stage, 0, len(names))
	for _, n := range names {
		s, err := f.stage(n)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (f *lazyFile) names(name string, glob bool) ([]string, error) {
	if name != "" && f.r.isGroup(name) {
		g, err := f.r.group(name)
		if err != nil {
			return nil, err
		}
		return g.names(name), nil
	}
	if name != "" && !glob {
		return []string{name}, nil
	}
	all, bad := f.r.names()
	if len(bad) > 0 {
		return nil, bad[0]
	}
	if name == "" {
		return all, nil
	}
	return slices.DeleteFunc(all, func(n string) bool { return !fnmatch(name, n) }), nil
}

// Put gives the loader the stage of a pointer file, which then is not read. It
// returns what the loader has of the file, which may be an earlier stage.
func (l *Loader) Put(file string, s *Stage) (*File, error) {
	f := l.lazy(file)
	f.mu.Lock()
	if !f.opened {
		f.opened, f.pointer = true, s
	}
	f.mu.Unlock()
	return l.File(file)
}

// Load reads many stage files, in parallel. The order of the result is that
// of files. Files and stages that cannot be read are in [Pipeline.Errors];
// files that do not exist any more are left out.
func (l *Loader) Load(files iter.Seq[string]) *Pipeline {
	paths := slices.Collect(files)
	got := make([]*File, len(paths))
	failed := make([]error, len(paths))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(paths)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(paths)); i = next.Add(1) - 1 {
				got[i], failed[i] = l.File(paths[i])
			}
		})
	}
	wg.Wait()
	p := &Pipeline{Root: l.opt.Root, show: l.show}
	for i, f := range got {
		switch {
		case errs.Is(failed[i], errs.NotFound):
		case failed[i] != nil:
			p.Errors = append(p.Errors, failed[i])
		default:
			p.Files = append(p.Files, f)
			p.Stages = append(p.Stages, f.Stages...)
			p.Errors = append(p.Errors, f.Errors...)
		}
	}
	return p
}
