package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// Rules say what a scan leaves out. A nil Rules leaves out nothing. They are
// used concurrently.
type Rules interface {
	// Skip reports whether the name in this folder is ignored.
	Skip(name string, isDir bool) bool
	// Child returns the rules of a folder that is not ignored.
	Child(name string) Rules
}

// Scanner reads outs in the workspace. Its fields are set before the first
// scan and not changed after it.
type Scanner struct {
	Root  *disk.Dir // the repository's root
	State *State
	Cache *cache.Cache  // to understand links into it; may be nil
	Store *cache.Writer // stores what is read; nil hashes only
	Alg   object.Algorithm
	Jobs  int // how many files are read at once; 0 is one a core
	Task  progress.Task
	// Follow allows links that lead out of the repository.
	Follow bool
	// Now is the clock.
	Now func() time.Time
	// Phases hears how long the parts take; may be nil.
	Phases *progress.Phases
	// Checkpoint, if not nil, is called now and then in a long scan, to save
	// the state: whoever is interrupted need not read again what it has. It
	// is called by several goroutines.
	Checkpoint func()
}

// Tree is an out as it lies in the workspace.
type Tree struct {
	Path   string // relative to the repository's root
	IsDir  bool
	Digest object.Digest   // of the file, or of the manifest
	Size   int64           // bytes, of a folder the sum
	Exec   bool            // of a file
	Files  object.Manifest // of a folder
	// Links are the files of the out that are symbolic links to files, by
	// path relative to the out, "" for the out itself.
	Links []string
	// Skipped are links to folders, which are left out.
	Skipped []string
	// Read counts the files whose bytes were read.
	Read int
}

// Scan reads the out at a path relative to the root. A missing out is
// fs.ErrNotExist. Failures with single files are gathered into one error.
// rules are those of the folder the out lies in.
func (s *Scanner) Scan(ctx context.Context, rel string, rules Rules) (*Tree, error) {
	span := s.Phases.Begin("scan", "files")
	defer span.End()
	t, err := s.scan(ctx, rel, rules)
	if err == nil && t.IsDir {
		span.Add(int64(len(t.Files)), t.Size)
	} else if err == nil {
		span.Add(1, t.Size)
	}
	return t, err
}

func (s *Scanner) scan(ctx context.Context, rel string, rules Rules) (*Tree, error) {
	dir, name, err := s.Root.Parent(rel)
	if err != nil && disk.IsNotDir(err) {
		// A file stands where a folder above the out was.
		return nil, &fs.PathError{Op: "scan", Path: rel, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	st, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		if rules != nil {
			rules = rules.Child(name)
		}
		return s.scanDir(ctx, dir, name, rel, rules)
	}
	return s.scanFile(dir, name, rel, st)
}

func (s *Scanner) scanFile(dir *disk.Dir, name, rel string, st disk.Stat) (*Tree, error) {
	t := &Tree{Path: rel}
	folder := path.Dir(rel)
	item, err := s.file(dir, name, rel, st, s.State.File(folder, name))
	if err != nil {
		return nil, err
	}
	if item.kind == linkToDir {
		return nil, errs.New(errs.Invalid, "%q is a symbolic link to a folder", rel)
	}
	if item.remember {
		s.State.SetFile(folder, item.record)
	}
	if item.kind == linkToFile {
		t.Links = []string{""}
	}
	t.Digest, t.Size, t.Exec = item.record.Digest, item.record.Stat.Size, item.exec
	if item.read {
		t.Read = 1
	} else if err := s.storeKnown(dir, name, rel, item); err != nil {
		return nil, err
	}
	return t, nil
}

// storeKnown makes sure that the object of a file that need not be read is in
// the store, where the scan stores.
func (s *Scanner) storeKnown(dir *disk.Dir, name, rel string, it item) error {
	if s.Store == nil || it.kind != plainFile {
		return nil
	}
	st, err := s.Cache.Stat(it.record.Digest)
	if err == nil && st.Size == it.record.Stat.Size {
		return nil
	}
	added, err := s.readFile(dir, name, object.Digest{})
	if err == nil && added.Digest != it.record.Digest {
		err = errs.New(errs.Conflict, "%q changes while it is read", rel)
	}
	return err
}

// item is one name of a folder, once looked at.
type item struct {
	name     string
	kind     itemKind
	exec     bool
	read     bool // its bytes were read
	remember bool // record goes to the state
	record   Record
	dir      *node // for a folder
}

type itemKind uint8

const (
	plainFile itemKind = iota
	linkToFile
	linkToDir
	subFolder
)

// node is one folder of a scan.
type node struct {
	rel   string       // relative to the repository
	items []item       // in the order of the manifest: folders sort as name + "/"
	left  atomic.Int64 // slices of items that are not done

	// What is kept of the items once all are done.
	files   object.Manifest // with their paths in the out
	links   []int32         // those of files that are links
	skipped []string
	folders []subNode
}

// subNode is a folder within another.
type subNode struct {
	at int32 // it comes before this file
	n  *node
}

func (it *item) sortKey() string {
	if it.kind == subFolder {
		return it.name + "/"
	}
	return it.name
}

// sliceFiles is how many files of one folder are a task of their own, so that
// a folder with a million of them still keeps every core busy.
const sliceFiles = 256

// walk is the state of one scan of a folder.
type walk struct {
	s     *Scanner
	ctx   context.Context
	rel   string // the out
	queue queue

	mu      sync.Mutex
	failed  []error
	nFailed int
	broken  atomic.Bool // something failed
	reads   atomic.Int64
	unsaved atomic.Int64 // reads since Checkpoint was called
}

// saveReads is after how many files that were read a scan calls Checkpoint.
const saveReads = 100_000

// maxErrors is how many failures of a scan are kept; the rest is counted.
const maxErrors = 20

func (w *walk) fail(err error) {
	w.broken.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nFailed++
	if len(w.failed) < maxErrors {
		w.failed = append(w.failed, err)
	}
}

func (w *walk) err() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.nFailed == 0 {
		return nil
	}
	slices.SortFunc(w.failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if more := w.nFailed - len(w.failed); more > 0 {
		w.failed = append(w.failed, fmt.Errorf("and %d more", more))
	}
	if len(w.failed) == 1 {
		return w.failed[0]
	}
	return &errs.Error{Kind: errs.KindOf(w.failed[0]), Err: errors.Join(w.failed...)}
}

func (s *Scanner) jobs() int {
	if s.Jobs > 0 {
		return s.Jobs
	}
	return max(2, runtime.GOMAXPROCS(0))
}

func (s *Scanner) tick() func(int64) {
	if s.Task == nil {
		return nil
	}
	return func(n int64) { s.Task.Add(0, n) }
}

func (s *Scanner) scanDir(ctx context.Context, parent *disk.Dir, name, rel string, rules Rules) (*Tree, error) {
	dir, err := parent.Open(name)
	if err != nil {
		return nil, err
	}
	w := &walk{s: s, ctx: ctx, rel: rel}
	root := &node{rel: rel}
	w.queue.push(func() { w.folder(dir, root, rules) })
	w.queue.run(s.jobs())
	if err := w.err(); err != nil {
		return nil, err
	}
	t := &Tree{Path: rel, IsDir: true, Read: int(w.reads.Load())}
	t.collect(root)
	if err := s.storeMissing(ctx, t); err != nil {
		return nil, err
	}
	span := s.Phases.Begin("make manifests", "files")
	defer span.End()
	span.Add(int64(len(t.Files)), 0)
	if s.Store == nil {
		t.Digest, _ = t.Files.Digest(s.Alg)
		return t, nil
	}
	t.Digest, err = s.Store.PutManifest(t.Files, s.Alg)
	return t, err
}

func countFiles(n *node) int {
	c := len(n.files)
	for _, d := range n.folders {
		c += countFiles(d.n)
	}
	return c
}

// collect puts the files of all folders in the order of the manifest.
func (t *Tree) collect(root *node) {
	if len(root.folders) == 0 {
		t.Files = root.files
		t.note(root)
	} else {
		t.Files = make(object.Manifest, 0, countFiles(root))
		t.take(root)
	}
	for i := range t.Files {
		t.Size += t.Files[i].Size
	}
}

func (t *Tree) note(n *node) {
	for _, i := range n.links {
		t.Links = append(t.Links, n.files[i].Path)
	}
	t.Skipped = append(t.Skipped, n.skipped...)
}

func (t *Tree) take(n *node) {
	t.note(n)
	done := 0
	for _, d := range n.folders {
		t.Files = append(t.Files, n.files[done:d.at]...)
		done = int(d.at)
		t.take(d.n)
	}
	t.Files = append(t.Files, n.files[done:]...)
	n.files = nil
}

// finish boils a folder's items down to what the manifest needs, and tells the
// state what is new.
func (w *walk) finish(n *node, old Records) {
	if w.ctx.Err() != nil || w.broken.Load() {
		return
	}
	prefix := strings.TrimPrefix(n.rel[len(w.rel):]+"/", "/")
	size, count, plain, fresh := 0, 0, 0, 0
	for i := range n.items {
		switch it := &n.items[i]; it.kind {
		case plainFile:
			plain++
			if it.remember {
				fresh++
			}
			fallthrough
		case linkToFile:
			count++
			size += len(prefix) + len(it.name)
		}
	}
	var paths strings.Builder // they lie side by side
	paths.Grow(size)
	n.files = make(object.Manifest, 0, count)
	for i := range n.items {
		it := &n.items[i]
		switch it.kind {
		case subFolder:
			n.folders = append(n.folders, subNode{int32(len(n.files)), it.dir})
			continue
		case linkToDir:
			n.skipped = append(n.skipped, prefix+it.name)
			continue
		case linkToFile:
			n.links = append(n.links, int32(len(n.files)))
		}
		at := paths.Len()
		paths.WriteString(prefix)
		paths.WriteString(it.name)
		n.files = append(n.files, object.File{Path: paths.String()[at:], Digest: it.record.Digest, Size: it.record.Stat.Size})
	}
	if fresh > 0 || plain != old.Len() {
		records := make([]Record, 0, plain)
		for i := range n.items {
			if n.items[i].kind == plainFile {
				records = append(records, n.items[i].record)
			}
		}
		// Manifest order sorts files among themselves by name already.
		w.s.State.SetFolder(n.rel, records)
	}
	n.items = nil
	if w.unsaved.Add(int64(fresh)) >= saveReads && w.s.Checkpoint != nil {
		w.unsaved.Store(0)
		w.s.Checkpoint()
	}
}

// storeMissing reads again the files that the state knew but the cache does
// not hold.
func (s *Scanner) storeMissing(ctx context.Context, t *Tree) error {
	if s.Store == nil || t.Read == len(t.Files) {
		return nil
	}
	missing, err := s.Cache.Missing(ctx, len(t.Files), func(i int) (object.Digest, int64) { return t.Files[i].Digest, t.Files[i].Size })
	if err != nil {
		return err
	}
	links := make(map[string]bool, len(t.Links))
	for _, l := range t.Links {
		links[l] = true
	}
	for _, i := range missing {
		f := &t.Files[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		// What was read in this scan waits in the store already.
		if s.Store.Holds(f.Digest) || links[f.Path] {
			continue
		}
		dir, name, err := s.Root.Parent(path.Join(t.Path, f.Path))
		if err != nil {
			return err
		}
		added, err := s.readFile(dir, name, object.Digest{})
		dir.Close()
		if err != nil {
			return err
		}
		if added.Digest != f.Digest {
			return errs.New(errs.Conflict, "%q changes while it is read", path.Join(t.Path, f.Path))
		}
	}
	return nil
}

// folder lists one folder and queues what is in it. It owns dir.
func (w *walk) folder(dir *disk.Dir, n *node, rules Rules) {
	if w.ctx.Err() != nil {
		dir.Close()
		return
	}
	names, err := dir.ReadDir()
	if err != nil {
		w.fail(err)
		dir.Close()
		return
	}
	n.items = make([]item, 0, len(names))
	for _, e := range names {
		if err := w.enter(dir, n, e, rules); err != nil {
			w.fail(err)
		}
	}
	slices.SortFunc(n.items, func(a, b item) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	// Noted now, since the files' items are written by others from here on.
	var subfolders []*node
	for i := range n.items {
		if it := &n.items[i]; it.kind == subFolder {
			subfolders = append(subfolders, it.dir)
		}
	}
	old := w.s.State.Folder(n.rel)
	open := &sharedDir{dir: dir}
	open.users.Store(1)
	items := n.items // not ours any more once the last slice is done
	parts := max(1, (len(items)+sliceFiles-1)/sliceFiles)
	n.left.Store(int64(parts))
	for i := range parts {
		part := items[i*sliceFiles : min((i+1)*sliceFiles, len(items))]
		if i == parts-1 {
			w.files(dir, n, part, old) // the last slice is ours
			break
		}
		open.users.Add(1)
		w.queue.push(func() {
			w.files(dir, n, part, old)
			open.release()
		})
	}
	for _, sub := range subfolders {
		w.subfolder(open, sub, rules)
	}
	open.release()
}

// maxHeld is down to what depth a folder stays open for its subfolders. Those
// deeper are found by their path again, so that a deep tree does not need a
// descriptor a level.
const maxHeld = 8

// sharedDir is closed by its last user.
type sharedDir struct {
	dir   *disk.Dir
	users atomic.Int64
}

func (d *sharedDir) release() {
	if d.users.Add(-1) == 0 {
		d.dir.Close()
	}
}

func (w *walk) subfolder(open *sharedDir, n *node, rules Rules) {
	name := path.Base(n.rel)
	if rules != nil {
		rules = rules.Child(name)
	}
	if strings.Count(n.rel, "/") > maxHeld {
		w.queue.push(func() {
			sub, err := w.s.Root.OpenPath(n.rel)
			if err != nil {
				w.fail(err)
				return
			}
			w.folder(sub, n, rules)
		})
		return
	}
	open.users.Add(1)
	w.queue.push(func() {
		defer open.release()
		sub, err := open.dir.Open(name)
		if err != nil {
			w.fail(err)
			return
		}
		w.folder(sub, n, rules)
	})
}

// IgnoreFileError refuses a folder of data that has a .dvcignore in it: it would
// change with its own rules.
type IgnoreFileError struct{ Folder string }

func (e *IgnoreFileError) Error() string {
	return fmt.Sprintf(".dvcignore file should not be in collected dir path: '%s'", e.Folder)
}

// Unwrap gives the failure its class.
func (e *IgnoreFileError) Unwrap() error { return errs.New(errs.Invalid, "%s", e.Error()) }

// enter takes a name of a folder into the node unless it is ignored.
func (w *walk) enter(dir *disk.Dir, n *node, e disk.Entry, rules Rules) error {
	if disk.IsTempName(e.Name) {
		return nil // left behind by a cairn that was killed
	}
	isDir := e.Type.IsDir()
	if e.Type&fs.ModeIrregular != 0 { // the file system does not tell
		st, err := dir.Lstat(e.Name)
		if err != nil {
			return err
		}
		isDir = st.IsDir()
	}
	if rules != nil && rules.Skip(e.Name, isDir) {
		return nil
	}
	if err := disk.CheckRel(e.Name); err != nil {
		return errs.WithHint(errs.New(errs.Invalid, "%q cannot be tracked: %w", path.Join(n.rel, e.Name), err),
			"Rename it, or list it in .dvcignore.")
	}
	if e.Name == ".dvcignore" && !isDir {
		return &IgnoreFileError{Folder: n.rel}
	}
	it := item{name: e.Name}
	if isDir {
		it.kind = subFolder
		it.dir = &node{rel: n.rel + "/" + e.Name}
	}
	n.items = append(n.items, it)
	return nil
}

// files looks at the files among the items.
func (w *walk) files(dir *disk.Dir, n *node, items []item, old Records) {
	defer func() {
		if n.left.Add(-1) == 0 {
			w.finish(n, old)
		}
	}()
	var seen int64
	for i := range items {
		it := &items[i]
		if it.kind == subFolder {
			continue
		}
		if w.ctx.Err() != nil {
			return
		}
		st, err := dir.Lstat(it.name)
		if err == nil {
			*it, err = w.s.file(dir, it.name, n.rel+"/"+it.name, st, old)
		}
		if err != nil {
			w.fail(err)
			continue
		}
		if it.read {
			w.reads.Add(1)
		}
		seen++
	}
	if w.s.Task != nil {
		w.s.Task.Add(seen, 0)
	}
}

// file finds one file's digest: from the state if it is unchanged, else from
// its bytes.
func (s *Scanner) file(dir *disk.Dir, name, rel string, st disk.Stat, old Records) (item, error) {
	it := item{name: name, exec: st.IsExec()}
	if st.IsLink() {
		return s.link(dir, name, rel)
	}
	if err := disk.CheckRegular(rel, st); err != nil {
		return it, errs.WithHint(err, "Only files and folders can be tracked; remove it, or list it in .dvcignore.")
	}
	hint, sure := old.Lookup(name, st, s.Alg)
	if sure {
		it.record = Record{Name: name, Stat: st.Content(), Digest: hint}
		return it, nil
	}
	readAt := s.Now()
	added, err := s.readFile(dir, name, hint)
	if err != nil {
		return it, err
	}
	it.read, it.remember = true, true
	it.exec = added.Stat.IsExec()
	it.record = Record{Name: name, Stat: added.Stat.Content(), Digest: added.Digest, Racy: IsRacy(added.Stat, readAt)}
	return it, nil
}

func (s *Scanner) readFile(dir *disk.Dir, name string, hint object.Digest) (cache.Added, error) {
	what := "hash"
	if s.Store != nil {
		what = "hash and store"
	}
	meter := s.Phases.Meter(what, "files")
	began := meter.Start()
	var added cache.Added
	var err error
	if s.Store != nil {
		added, err = s.Store.AddFile(dir, name, s.Alg, hint, s.tick())
	} else {
		added, err = cache.HashFile(dir, name, s.Alg, s.tick())
	}
	if err == nil {
		meter.Done(began, 1, added.Stat.Size)
	}
	return added, err
}

// maxLinks is how many links are followed one after the other.
const maxLinks = 16

// link finds what a symbolic link stands for. A link into the cache is the
// object it points to. A link to a file of the repository is that file.
func (s *Scanner) link(dir *disk.Dir, name, rel string) (item, error) {
	it := item{name: name, kind: linkToFile}
	target, err := dir.Readlink(name)
	if err != nil {
		return it, err
	}
	if s.Cache != nil && filepath.IsAbs(target) {
		if d, ok := s.Cache.LinkedTo(target); ok {
			st, err := s.Cache.Stat(d)
			if err != nil {
				return it, fmt.Errorf("link %q: %w", rel, err)
			}
			it.exec = st.IsExec()
			it.record = Record{Name: name, Stat: st.Content(), Digest: d}
			if d.Algorithm() == s.Alg && !d.IsDir() {
				return it, nil
			}
		}
	}
	at, st, err := s.follow(rel)
	if err != nil {
		return it, err
	}
	if st.IsDir() {
		it.kind = linkToDir
		return it, nil
	}
	if err := disk.CheckRegular(at, st); err != nil {
		return it, fmt.Errorf("link %q: %w", rel, err)
	}
	from, base, err := s.openTarget(at)
	if err != nil {
		return it, err
	}
	defer from.Close()
	added, err := s.readFile(from, base, object.Digest{})
	if err != nil {
		return it, err
	}
	it.read, it.exec = true, added.Stat.IsExec()
	it.record = Record{Name: name, Stat: added.Stat.Content(), Digest: added.Digest}
	return it, nil
}

// follow resolves a link inside the repository, or anywhere if the scanner
// may. The result is relative to the root, or absolute.
func (s *Scanner) follow(rel string) (string, disk.Stat, error) {
	if s.Follow {
		return s.followAnywhere(rel)
	}
	root := filepath.ToSlash(s.Root.Path())
	at := rel
	for range maxLinks {
		st, err := s.Root.LstatPath(at)
		if err != nil {
			return "", st, fmt.Errorf("link %q: %w", rel, err)
		}
		if !st.IsLink() {
			return at, st, nil
		}
		dir, name, err := s.Root.Parent(at)
		if err != nil {
			return "", st, err
		}
		target, err := dir.Readlink(name)
		dir.Close()
		if err != nil {
			return "", st, err
		}
		target = filepath.ToSlash(target)
		if in, ok := strings.CutPrefix(target, root+"/"); ok {
			at = path.Clean(in)
		} else if path.IsAbs(target) || filepath.IsAbs(target) {
			return "", st, outside(rel)
		} else {
			at = path.Join(path.Dir(at), target)
		}
		if at == ".." || strings.HasPrefix(at, "../") {
			return "", st, outside(rel)
		}
		if at == "." {
			st, err := s.Root.Stat()
			return at, st, err
		}
		if err := disk.CheckRel(at); err != nil {
			return "", st, errs.New(errs.Invalid, "link %q: %w", rel, err)
		}
	}
	return "", disk.Stat{}, errs.New(errs.Invalid, "link %q leads in a circle", rel)
}

func outside(rel string) error {
	return errs.WithHint(errs.New(errs.Invalid, "%q is a symbolic link out of the repository", rel),
		"Replace it by the file it points to, or allow it with --follow-links.")
}

func (s *Scanner) followAnywhere(rel string) (string, disk.Stat, error) {
	at, err := filepath.EvalSymlinks(filepath.Join(s.Root.Path(), filepath.FromSlash(rel)))
	if err != nil {
		return "", disk.Stat{}, err
	}
	dir, err := disk.OpenDir(filepath.Dir(at))
	if err != nil {
		return "", disk.Stat{}, err
	}
	defer dir.Close()
	st, err := dir.Lstat(filepath.Base(at))
	return at, st, err
}

func (s *Scanner) openTarget(at string) (*disk.Dir, string, error) {
	if filepath.IsAbs(at) {
		dir, err := disk.OpenDir(filepath.Dir(at))
		return dir, filepath.Base(at), err
	}
	return s.Root.Parent(at)
}

// queue runs tasks that make more tasks, last in first out so that few
// folders are open at a time.
type queue struct {
	mu      sync.Mutex
	wake    *sync.Cond
	tasks   []func()
	running int
}

func (q *queue) push(t func()) {
	q.mu.Lock()
	q.tasks = append(q.tasks, t)
	if q.wake != nil {
		q.wake.Signal()
	}
	q.mu.Unlock()
}

// run works with n goroutines until no task is left.
func (q *queue) run(n int) {
	q.wake = sync.NewCond(&q.mu)
	var wg sync.WaitGroup
	for range n {
		wg.Go(q.work)
	}
	wg.Wait()
}

func (q *queue) work() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.tasks) == 0 {
			if q.running == 0 {
				q.wake.Broadcast()
				return
			}
			q.wake.Wait()
		}
		last := len(q.tasks) - 1
		t := q.tasks[last]
		q.tasks[last] = nil
		q.tasks = q.tasks[:last]
		q.running++
		q.mu.Unlock()
		t()
		q.mu.Lock()
		q.running--
		if q.running == 0 && len(q.tasks) == 0 {
			q.wake.Broadcast()
		}
	}
}
