package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// StageCounts say what it took to know the stages: numbers that do not depend
// on the machine.
type StageCounts struct {
	Folders int64 // listed to find stage files
	Looked  int64 // pointer files of which the stat was asked for
	Read    int64 // stage files that were read and parsed
}

type stageCounters struct{ folders, looked, read atomic.Int64 }

// StageCounts returns what has been done up to now.
func (r *Repo) StageCounts() StageCounts {
	return StageCounts{r.counters.folders.Load(), r.counters.looked.Load(), r.counters.read.Load()}
}

// liveFS is the workspace as a walk for stage files goes through it: the files
// of the folder it is in are read from its open handle, and what it knows of
// ignore rules there is not asked again. Outside of a walk it is workFS.
type liveFS struct {
	workFS
	at    string // the folder; "" if no walk is under way
	dir   *disk.Dir
	rules *ignore.Dir
	last  disk.Stat // of the file in the folder that was read last, before that
}

func (l *liveFS) here(name string) (base string, ok bool) {
	if l.at == "" || !fs.ValidPath(name) {
		return "", false
	}
	dir, base := path.Split(name)
	if dir == "" {
		return base, l.at == "." && base != "."
	}
	return base, dir[:len(dir)-1] == l.at
}

func (l *liveFS) ReadFile(name string) ([]byte, error) {
	base, ok := l.here(name)
	if !ok {
		return l.workFS.ReadFile(name)
	}
	f, err := l.dir.OpenFile(base)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if l.last, err = f.Stat(); err != nil {
		return nil, err
	}
	return f.ReadText()
}

func (l *liveFS) Stat(name string) (fs.FileInfo, error) {
	base, ok := l.here(name)
	if !ok {
		return l.workFS.Stat(name)
	}
	st, err := l.dir.Lstat(base)
	return workInfo{base, st}, err
}

func (l *liveFS) Open(name string) (fs.File, error) { return openFile(l, name) }

// workspaceLoader returns a loader of the workspace's stage files and what it
// reads them from.
func (r *Repo) workspaceLoader() (*pipeline.Loader, *liveFS) {
	src := &liveFS{workFS: workFS{r.Dir}}
	return pipeline.NewLoader(src, r.liveOptions(src)), src
}

// liveOptions are the options of a loader that reads from src.
func (r *Repo) liveOptions(src *liveFS) pipeline.Options {
	o := r.loaderOptions(r.Ignore)
	ignored := o.Ignored
	o.Ignored = func(file string) bool {
		if base, ok := src.here(file); ok {
			return src.rules.Match(base, false)
		}
		return ignored(file)
	}
	return o
}

// loadWorkspace reads all stage files of the workspace with l, which reads from
// src, and tells the files that are as they were from the memory. With git set,
// what Git ignores is left out. Files of more are loaded if the walk does not
// come to them. Each folder is opened and listed once.
func (r *Repo) loadWorkspace(ctx context.Context, l *pipeline.Loader, src *liveFS, git bool, more ...string) (*pipeline.Pipeline, error) {
	span := r.phase("load stages", "stage files")
	defer span.End()
	rules, err := r.Ignore.Dir(".")
	if err != nil {
		return nil, err
	}
	w := &workspaceWalk{
		ctx: ctx, r: r, l: l, src: src, outs: map[string]bool{},
		memory: loadStageMemory(r.Dir), readAt: r.now(),
	}
	defer func() { src.at = "" }()
	list, err := r.Dir.ReadDir()
	if err != nil {
		return nil, err
	}
	var gitRules *ignore.Dir
	if git && r.Git != nil {
		gitRules = r.gitRules(src)
	}
	if err := w.folder(".", 0, r.Dir, list, rules, gitRules); err != nil {
		return nil, err
	}
	src.at = ""
	span.Add(int64(len(w.files)), 0)
	if err := w.memory.save(r.Dir); err != nil {
		r.warn("what was read of stage files was not remembered: %v", err)
	}
	for _, file := range more {
		if !slices.Contains(w.files, file) {
			w.files = append(w.files, file)
		}
	}
	return l.Load(slices.Values(w.files)), nil
}

// gitRules are Git's ignore rules in the root; nil if they cannot be had, and
// nothing is ignored then.
func (r *Repo) gitRules(src *liveFS) *ignore.Dir {
	prefix := r.gitPath(".")
	m, err := r.Git.IgnoreRules(func(disk ignore.Reader) ignore.Reader { return &liveReader{disk, src, prefix} })
	if err != nil {
		return nil
	}
	d, err := m.Dir(prefix)
	if err != nil {
		return nil
	}
	return d
}

// liveReader reads the ignore files of Git's working tree, those of the folder
// that a walk is in from its handle. prefix is the repository in it.
type liveReader struct {
	ignore.Reader
	src    *liveFS
	prefix string
}

func (l *liveReader) ReadFile(rel string) ([]byte, error) {
	if l.prefix != "." {
		in, ok := strings.CutPrefix(rel, l.prefix+"/")
		if !ok {
			return l.Reader.ReadFile(rel)
		}
		rel = in
	}
	if _, ok := l.src.here(rel); ok {
		return l.src.ReadFile(rel)
	}
	return l.Reader.ReadFile(path.Join(l.prefix, rel))
}

type workspaceWalk struct {
	ctx    context.Context
	r      *Repo
	l      *pipeline.Loader
	src    *liveFS
	outs   map[string]bool
	memory *stageMemory
	readAt time.Time
	files  []string
}

// keepOpen is how deep below the root the folders on the way stay open: few
// descriptors must do.
const keepOpen = 8

// folder visits the stage files of a folder, then its sub-folders but those
// that are outs: what lies in them is data. git may be nil.
func (w *workspaceWalk) folder(rel string, depth int, dir *disk.Dir, list []disk.Entry, rules, git *ignore.Dir) error {
	w.r.counters.folders.Add(1)
	if err := w.ctx.Err(); err != nil {
		return err
	}
	var folders, files []string
	for _, e := range list {
		isDir := e.Type.IsDir()
		isFile := !isDir && pipeline.IsStageFile(e.Name)
		if e.Type == fs.ModeIrregular { // the file system does not tell
			st, err := dir.Lstat(e.Name)
			isDir = err == nil && st.IsDir()
			isFile = isFile && !isDir
		}
		switch {
		case isDir:
			folders = append(folders, e.Name)
		case isFile && !rules.Match(e.Name, false) && (git == nil || !git.Match(e.Name, false)):
			files = append(files, e.Name)
		}
	}
	slices.Sort(files)
	slices.Sort(folders)
	w.src.at, w.src.dir, w.src.rules = rel, dir, rules
	visit := w.memory.folder(rel)
	for _, name := range files {
		w.file(visit, rel, name, folders)
	}
	visit.done()
	w.src.at = ""
	if depth >= keepOpen {
		dir.Close()
		dir = nil
	}
	for _, name := range folders {
		sub := path.Join(rel, name)
		if w.outs[sub] || rules.Match(name, true) || git != nil && git.Match(name, true) {
			continue
		}
		if err := w.enter(sub, name, depth+1, dir, rules, git); err != nil {
			return err
		}
	}
	return nil
}

// enter goes into a folder of dir, or, if that is nil, of the root.
func (w *workspaceWalk) enter(sub, name string, depth int, dir *disk.Dir, rules, git *ignore.Dir) error {
	var child *disk.Dir
	var err error
	if dir != nil {
		child, err = dir.Open(name)
	} else {
		child, err = w.r.Dir.OpenPath(sub)
	}
	var list []disk.Entry
	if err == nil {
		defer child.Close() // deep down, folder has done so before
		list, err = child.ReadDir()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, disk.ErrLink), errs.Is(err, errs.Invalid), disk.IsNotDir(err):
		return nil // gone, closed to us, or a link by now: no stage files for us
	case err != nil:
		return err
	}
	var marks ignore.Marks
	for _, e := range list {
		marks |= ignore.Mark(e.Name)
	}
	if rules, err = rules.Child(name, marks); err != nil || rules.Ignored() {
		return err
	}
	if git != nil {
		w.src.at, w.src.dir, w.src.rules = sub, child, rules
		if git, err = git.Child(name, marks); err != nil {
			git = nil
		}
		w.src.at = ""
	}
	return w.folder(sub, depth, child, list, rules, git)
}

// file reads a stage file of the folder that the walk is in, or remembers it.
func (w *workspaceWalk) file(visit *folderVisit, rel, name string, folders []string) {
	file := path.Join(rel, name)
	w.files = append(w.files, file)
	isPointer := path.Ext(name) == ".dvc"
	if isPointer {
		w.r.counters.looked.Add(1)
		if st, err := w.src.dir.Lstat(name); err == nil {
			if form, ok := visit.lookup(name, st); ok {
				if s, ok := pipeline.ReadPointer(file, form); ok {
					if f, err := w.l.Put(file, s); err == nil {
						visit.keep()
						w.note(f, rel, folders)
						return
					}
				}
			}
		}
	}
	w.src.last = disk.Stat{}
	f, err := w.l.File(file)
	if err != nil {
		return // Load reports it
	}
	w.note(f, rel, folders)
	if !isPointer || w.src.last == (disk.Stat{}) || len(f.Stages) != 1 {
		return
	}
	if form, ok := pipeline.AppendPointer(nil, f.Stages[0]); ok {
		visit.set(name, w.src.last, string(form), w.readAt)
	}
}

// note keeps in mind which folders are data. The file is one of the folder rel,
// which has these sub-folders.
func (w *workspaceWalk) note(f *pipeline.File, rel string, folders []string) {
	for _, s := range f.Stages {
		for _, o := range s.Outs {
			if s.WDir == rel && !strings.Contains(o.Path, "/") {
				if _, isFolder := slices.BinarySearch(folders, o.Path); !isFolder {
					continue // most are files beside their pointer files
				}
			}
			w.outs[o.RepoPath()] = true
		}
	}
}
