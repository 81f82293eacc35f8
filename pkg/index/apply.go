package index

import (
	"context"
	"errors"
	"io/fs"
	"path"
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

// Want is what the workspace should have at a path.
type Want struct {
	Path   string        // relative to the repository's root
	Digest object.Digest // of the file or manifest; zero if nothing should be there
	Exec   bool          // of a file
	Files  object.Manifest
	// Under limits the change to a part of a folder: a path relative to it,
	// "" for all of it.
	Under string
}

// Plan is how to get from what is at a path to what is wanted.
type Plan struct {
	Path  string
	IsDir bool // what is wanted is a folder
	Exec  bool // of a file
	// Create are new files and files of other content, with their paths
	// relative to Path, "" for Path itself. It may share its memory with the
	// manifest that is wanted and is not to be changed.
	Create object.Manifest
	Remove []string // files to delete, relative to the repository
	// RemoveTree is a folder that stands where a file is wanted, or whose
	// out is gone: its files are in Remove, and it goes once it is empty.
	RemoveTree string
	// Change tells the out's own fate.
	Change Change
	// Losing are the files of Create and Remove that exist now, with the
	// digests they have. Their bytes go.
	Losing []object.File

	wanted object.Manifest // all that is to be at Path afterwards, within Under
}

// Change is the difference of an out.
type Change byte

// The changes, as pull prints them.
const (
	Unchanged Change = 0
	Added     Change = 'A'
	Modified  Change = 'M'
	Deleted   Change = 'D'
)

// Empty reports whether nothing is to be done.
func (p *Plan) Empty() bool { return p.Change == Unchanged }

// MakePlan compares what is wanted with what is there; have is nil if nothing
// is. With relink set, every wanted file is checked out anew.
func MakePlan(want Want, have *Tree, relink bool) Plan {
	p := Plan{Path: want.Path, IsDir: want.Digest.IsDir(), Exec: want.Exec}
	switch {
	case want.Digest.IsZero():
		if have != nil {
			p.Change = Deleted
			p.removeAll(have, "")
		}
	case !p.IsDir:
		p.planFile(want, have, relink)
	default:
		p.planDir(want, have, relink)
	}
	return p
}

// hasExec is whether files here can be executable or not.
const hasExec = runtime.GOOS != "windows"

func (p *Plan) planFile(want Want, have *Tree, relink bool) {
	switch {
	case have == nil:
		p.Change = Added
	case have.IsDir:
		p.Change = Modified
		p.removeAll(have, "")
	case have.Digest == want.Digest && (have.Exec == want.Exec || !hasExec) && !relink:
		return
	default:
		p.Change = Modified
		if have.Digest != want.Digest {
			p.Losing = append(p.Losing, object.File{Path: want.Path, Digest: have.Digest, Size: have.Size})
		}
	}
	p.Create = object.Manifest{{Digest: want.Digest, Size: -1}}
}

func (p *Plan) planDir(want Want, have *Tree, relink bool) {
	var now object.Manifest
	switch {
	case have == nil:
		p.Change = Added
	case !have.IsDir:
		p.Change = Modified
		p.Losing = append(p.Losing, object.File{Path: want.Path, Digest: have.Digest, Size: have.Size})
		p.Remove = append(p.Remove, want.Path)
	case have.Digest == want.Digest && !relink:
		return
	default:
		now = have.Files.Under(want.Under)
	}
	files := want.Files.Under(want.Under)
	p.wanted = want.Files
	if len(now) == 0 || relink && slices.EqualFunc(files, now, func(a, b object.File) bool { return a.Path == b.Path && a.Digest == b.Digest }) {
		p.Create = files
	} else {
		p.merge(files, now, relink)
	}
	if p.Change == Unchanged && (len(p.Create) > 0 || len(p.Remove) > 0) {
		p.Change = Modified
	}
}

// merge walks two sorted lists and plans the difference.
func (p *Plan) merge(want, have object.Manifest, relink bool) {
	i, j := 0, 0
	for i < len(want) || j < len(have) {
		c := 0
		switch {
		case i == len(want):
			c = 1
		case j == len(have):
			c = -1
		default:
			c = strings.Compare(want[i].Path, have[j].Path)
		}
		switch {
		case c < 0:
			p.Create = append(p.Create, want[i])
			i++
		case c > 0:
			p.lose(have[j])
			p.Remove = append(p.Remove, path.Join(p.Path, have[j].Path))
			j++
		default:
			if want[i].Digest != have[j].Digest {
				p.lose(have[j])
				p.Create = append(p.Create, want[i])
			} else if relink {
				p.Create = append(p.Create, want[i])
			}
			i++
			j++
		}
	}
}

func (p *Plan) lose(f object.File) {
	p.Losing = append(p.Losing, object.File{Path: path.Join(p.Path, f.Path), Digest: f.Digest, Size: f.Size})
}

func (p *Plan) removeAll(have *Tree, under string) {
	if !have.IsDir {
		p.Remove = append(p.Remove, have.Path)
		p.lose(object.File{Digest: have.Digest, Size: have.Size})
		return
	}
	p.RemoveTree = have.Path
	for _, f := range have.Files.Under(under) {
		p.lose(f)
		p.Remove = append(p.Remove, path.Join(have.Path, f.Path))
	}
}

// Applier makes plans happen. Its fields are set before use.
type Applier struct {
	Root    *disk.Dir
	State   *State
	Cache   *cache.Cache
	Staging *disk.Staging // on the workspace's file system
	Jobs    int
	Task    progress.Task
	Now     func() time.Time
	// FoldsCase forbids names that differ in case only even where the file
	// system, which is asked, tells them apart.
	FoldsCase bool
	// Phases hears how long the parts take; may be nil.
	Phases *progress.Phases
}

// Applied is what came of plans.
type Applied struct {
	Created, Removed int
	// Failed are the files that could not be made, sorted by path.
	Failed []FileError
}

// FileError is a failure with one file.
type FileError struct {
	Path   string
	Digest object.Digest
	Err    error
}

// Err joins the failures, bounded, or is nil.
func (a Applied) Err() error {
	if len(a.Failed) == 0 {
		return nil
	}
	return a.Failed[0].Err
}

// Apply carries plans out: removals, then new files. It goes on after a
// failure with a single file. The returned error is that of the whole, such
// as a cancelled context, or files that this file system cannot hold side by
// side; nothing was changed then.
//
// A file that is to be removed or replaced must still be as the state
// remembers it. If it changed since it was scanned it is kept, and the
// failure is errs.Conflict.
func (a *Applier) Apply(ctx context.Context, plans []Plan) (Applied, error) {
	span := a.Phases.Begin("apply", "files")
	defer span.End()
	r := &applying{Applier: a, ctx: ctx}
	defer func() { span.Add(int64(r.done.Created+r.done.Removed), 0) }()
	if err := r.checkCase(plans); err != nil {
		return r.done, err
	}
	for i := range plans {
		r.remove(&plans[i])
	}
	r.createAll(plans)
	slices.SortFunc(r.done.Failed, func(x, y FileError) int { return strings.Compare(x.Path, y.Path) })
	if r.linked {
		r.restat()
	}
	if r.latest.MTime != 0 && !Settle(r.latest, a.Now) {
		r.markRacy()
	}
	return r.done, ctx.Err()
}

// checkCase refuses names that differ in case only, where the file system
// takes them for one.
func (r *applying) checkCase(plans []Plan) error {
	if !slices.ContainsFunc(plans, func(p Plan) bool { return len(p.Create) > 0 }) || !r.FoldsCase && !r.Staging.FoldsCase() {
		return nil
	}
	var all object.Manifest
	for i := range plans {
		p := &plans[i]
		if len(p.Create) == 0 {
			continue
		}
		for _, f := range p.wanted {
			all = append(all, object.File{Path: path.Join(p.Path, f.Path)})
		}
		if p.wanted == nil {
			for _, f := range p.Create {
				all = append(all, object.File{Path: path.Join(p.Path, f.Path)})
			}
		}
	}
	if a, b, found := all.CaseTwins(); found {
		return errs.WithHint(errs.New(errs.Conflict, "%q and %q differ in case only, which this file system does not tell apart", a, b),
			"Rename one of them on a system that does, or use a case-sensitive volume.")
	}
	return nil
}

// unchanged returns an errs.Conflict error unless what is at a name may go: a
// link, or a plain file that is as it was when it was scanned.
func (r *applying) unchanged(rel string, st disk.Stat) error {
	if st.IsLink() {
		return nil
	}
	if st.IsDir() {
		return r.removeHollow(rel)
	}
	rec, ok := r.State.Folder(path.Dir(rel)).Find(path.Base(rel))
	if !ok {
		return nil
	}
	// Another link to the file changes its change time, so that is left out.
	old := rec.Stat
	if old.Size == st.Size && old.MTime == st.MTime && old.Ino == st.Ino && old.Dev == st.Dev {
		return nil
	}
	return errs.WithHint(errs.New(errs.Conflict, "%q changed while cairn was at work; it was kept", rel),
		"Look at it, then try again.")
}

type applying struct {
	*Applier
	ctx   context.Context
	queue queue

	mu      sync.Mutex
	done    Applied
	latest  disk.Stat           // of the files written
	inner   map[string]bool     // folders with folders to make in them
	touched map[string][]string // folders with new records, and their names
	linked  bool                // some file is a hard link
}

func (r *applying) fail(p string, d object.Digest, err error) {
	r.mu.Lock()
	r.done.Failed = append(r.done.Failed, FileError{Path: p, Digest: d, Err: err})
	r.mu.Unlock()
}

// remove deletes a plan's files and the folders that are empty after it.
func (r *applying) remove(p *Plan) {
	folders := map[string]bool{}
	for _, rel := range p.Remove {
		if r.ctx.Err() != nil {
			return
		}
		err := r.removeFile(rel)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !disk.IsNotDir(err) {
			r.fail(rel, object.Digest{}, err)
			continue
		}
		r.done.Removed++
		for f := path.Dir(rel); f != "." && f != path.Dir(p.Path) && !folders[f]; f = path.Dir(f) {
			folders[f] = true
		}
	}
	if p.RemoveTree != "" {
		folders[p.RemoveTree] = true
		r.subfolders(p.RemoveTree, folders)
	}
	if p.IsDir {
		delete(folders, p.Path) // the out itself stays, even if it is empty for now
	}
	_ = r.removeFolders(folders) // not empty: somebody else's files
}

func (r *applying) removeFile(rel string) error {
	dir, name, err := r.Root.Parent(rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	st, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	if err := r.unchanged(rel, st); err != nil {
		return err
	}
	return dir.Remove(name)
}

// removeHollow deletes a folder that holds nothing but folders, such as one
// whose files were removed by a cairn that was killed then. One with files in
// it is an errs.Conflict and stays as it is.
func (r *applying) removeHollow(rel string) error {
	folders := map[string]bool{rel: true}
	if !r.subfolders(rel, folders) {
		return errs.WithHint(errs.New(errs.Conflict, "a folder with files that are not tracked is in the place of %q", rel),
			"Move it away, then try again.")
	}
	return r.removeFolders(folders)
}

// removeFolders deletes those of the folders that are empty, the deepest
// first, and returns the last failure.
func (r *applying) removeFolders(folders map[string]bool) (err error) {
	deepest := make([]string, 0, len(folders))
	for f := range folders {
		deepest = append(deepest, f)
	}
	slices.SortFunc(deepest, func(x, y string) int { return len(y) - len(x) })
	for _, f := range deepest {
		dir, name, perr := r.Root.Parent(f)
		if perr != nil {
			err = perr
			continue
		}
		err = dir.RemoveDir(name)
		dir.Close()
	}
	return err
}

// subfolders adds the folders below rel and reports whether there is nothing
// else.
func (r *applying) subfolders(rel string, into map[string]bool) (hollow bool) {
	dir, err := r.Root.OpenPath(rel)
	if err != nil {
		return false
	}
	list, err := dir.ReadDir()
	dir.Close()
	hollow = err == nil
	for _, e := range list {
		if !e.Type.IsDir() {
			hollow = false
			continue
		}
		into[rel+"/"+e.Name] = true
		hollow = r.subfolders(rel+"/"+e.Name, into) && hollow
	}
	return hollow
}

// createAll checks out the files of all plans, a folder's slice at a time.
func (r *applying) createAll(plans []Plan) {
	byFolder := map[string][]run{}
	var folders []string
	add := func(dir string, r run) {
		if byFolder[dir] == nil {
			folders = append(folders, dir)
		}
		byFolder[dir] = append(byFolder[dir], r)
	}
	for i := range plans {
		p := &plans[i]
		if p.IsDir && len(p.Create) == 0 && p.Change != Unchanged {
			if d, err := r.Root.MakePath(p.Path, 0o777); err != nil {
				r.fail(p.Path, object.Digest{}, err)
			} else {
				d.Close()
			}
		}
		for lo := 0; lo < len(p.Create); {
			dir, hi := parentOf(p.Create[lo].Path), lo+1
			for hi < len(p.Create) && parentOf(p.Create[hi].Path) == dir {
				hi++
			}
			at := path.Join(p.Path, dir)
			if p.Create[lo].Path == "" {
				at = path.Dir(p.Path)
			}
			add(at, run{p, lo, hi})
			lo = hi
		}
	}
	r.inner = map[string]bool{}
	for _, dir := range folders {
		for up := path.Dir(dir); up != "." && !r.inner[up]; up = path.Dir(up) {
			r.inner[up] = true
		}
	}
	// Last in, first out: push in reverse so that work goes in order.
	slices.Reverse(folders)
	for _, dir := range folders {
		runs := byFolder[dir]
		r.queue.push(func() { r.folder(dir, runs) })
	}
	jobs := r.Jobs
	if jobs <= 0 {
		jobs = (&Scanner{}).jobs()
	}
	r.queue.run(jobs)
}

// run is some of a plan's new files, side by side in one folder.
type run struct {
	p      *Plan
	lo, hi int
}

// createFile is one file to be checked out.
type createFile struct {
	path   string // relative to the repository
	digest object.Digest
	exec   bool
}

func createFiles(runs []run) []createFile {
	n := 0
	for _, r := range runs {
		n += r.hi - r.lo
	}
	files := make([]createFile, 0, n)
	for _, r := range runs {
		for _, f := range r.p.Create[r.lo:r.hi] {
			files = append(files, createFile{path.Join(r.p.Path, f.Path), f.Digest, r.p.Exec && !r.p.IsDir})
		}
	}
	return files
}

func parentOf(p string) string { return p[:max(0, strings.LastIndexByte(p, '/'))] }

// A folder that is new is filled in staging and placed whole, which spares a
// rename a file. Of a very large one too much would be lost if the process
// was killed.
const (
	wholeLeast = 4
	wholeMost  = 4096
)

// folder makes one folder and the files in it.
func (r *applying) folder(rel string, runs []run) {
	if r.ctx.Err() != nil {
		return
	}
	files := createFiles(runs)
	if !r.inner[rel] && len(files) >= wholeLeast && len(files) <= wholeMost && disk.CanPlaceFolders {
		if _, err := r.Root.LstatPath(rel); errors.Is(err, fs.ErrNotExist) {
			r.wholeFolder(rel, files)
			return
		}
	}
	dir, err := r.Root.MakePath(rel, 0o777)
	if err != nil {
		r.failAll(files, err)
		return
	}
	r.fill(dir, files, r.replace, func(recs []Record) { r.remember(rel, recs) })
}

func (r *applying) failAll(files []createFile, err error) {
	for _, f := range files {
		r.fail(f.path, f.digest, err)
	}
}

// wholeFolder makes a new folder in staging and gives it its name when it is
// complete.
func (r *applying) wholeFolder(rel string, files []createFile) {
	name := "f" + r.Staging.Next()
	dir, err := r.Staging.Folder(name, 0o777)
	if err != nil {
		r.failAll(files, err)
		return
	}
	create := func(to cache.Target, d object.Digest, _ string, _ int, tick func(int64)) (cache.LinkType, error) {
		return r.Cache.CheckoutStaged(r.ctx, d, to, tick)
	}
	r.fill(dir, files, create, func(recs []Record) {
		if r.ctx.Err() != nil {
			return
		}
		switch err := r.place(name, rel); {
		case err == nil:
			r.remember(rel, recs)
		case errors.Is(err, fs.ErrExist), disk.IsCrossDevice(err):
			// Somebody made the folder meanwhile, perhaps we for a folder in
			// it, or another file system begins above it: file by file then.
			r.mu.Lock()
			r.done.Created -= len(recs)
			r.mu.Unlock()
			// Now, since a hard link that goes changes its file's times.
			if err := r.Staging.Drop(name); err != nil {
				r.failAll(files, err)
				return
			}
			r.again(rel, files, recs)
		default:
			r.failAll(files, err)
		}
	})
}

// again checks out, one by one, the files that went well in staging.
func (r *applying) again(rel string, files []createFile, went []Record) {
	names := make(map[string]bool, len(went))
	for _, rec := range went {
		names[rec.Name] = true
	}
	var todo []createFile
	for _, f := range files {
		if names[path.Base(f.path)] {
			todo = append(todo, f)
		}
	}
	dir, err := r.Root.MakePath(rel, 0o777)
	if err != nil {
		r.failAll(todo, err)
		return
	}
	r.fill(dir, todo, r.replace, func(recs []Record) { r.remember(rel, recs) })
}

func (r *applying) place(name, rel string) error {
	parent, err := r.Root.MakePath(path.Dir(rel), 0o777)
	if err != nil {
		return err
	}
	defer parent.Close()
	return r.Staging.Place(name, parent, path.Base(rel))
}

// creator makes one file.
type creator func(to cache.Target, d object.Digest, rel string, shard int, tick func(int64)) (cache.LinkType, error)

// replace makes a file in a folder of the workspace.
func (r *applying) replace(to cache.Target, d object.Digest, rel string, shard int, tick func(int64)) (cache.LinkType, error) {
	to.Replace = func(old disk.Stat) error { return r.unchanged(rel, old) }
	return r.Cache.Checkout(r.ctx, d, to, r.Staging, shard, tick)
}

// fill makes files in dir, which it owns, in slices, and hands what to
// remember to done.
func (r *applying) fill(dir *disk.Dir, files []createFile, create creator, done func([]Record)) {
	if len(files) == 0 {
		dir.Close()
		return
	}
	shared := &sharedDir{dir: dir}
	parts := (len(files) + sliceFiles - 1) / sliceFiles
	shared.users.Store(int64(parts))
	gather := &gathering{done: done}
	gather.left.Store(int64(parts))
	for i := range parts {
		part := files[i*sliceFiles : min((i+1)*sliceFiles, len(files))]
		work := func() {
			recs := r.files(shared.dir, part, i, create)
			shared.release()
			gather.add(recs)
		}
		if i == parts-1 {
			work()
		} else {
			r.queue.push(work)
		}
	}
}

// files checks out files into one folder and returns what to remember.
func (r *applying) files(dir *disk.Dir, files []createFile, shard int, create creator) []Record {
	records := make([]Record, 0, len(files))
	for _, f := range files {
		if r.ctx.Err() != nil {
			break
		}
		rec, err := r.file(dir, f, shard, create)
		if err != nil {
			r.fail(f.path, f.digest, err)
			continue
		}
		records = append(records, rec)
	}
	r.mu.Lock()
	r.done.Created += len(records)
	r.mu.Unlock()
	if r.Task != nil {
		r.Task.Add(int64(len(files)), 0)
	}
	return records
}

func (r *applying) file(dir *disk.Dir, f createFile, shard int, create creator) (Record, error) {
	name := path.Base(f.path)
	var tick func(int64)
	if r.Task != nil {
		tick = func(n int64) { r.Task.Add(0, n) }
	}
	link, err := create(cache.Target{Dir: dir, Name: name, Exec: f.exec}, f.digest, f.path, shard, tick)
	if err != nil {
		return Record{}, err
	}
	if link == cache.Hardlink {
		r.mu.Lock()
		r.linked = true
		r.mu.Unlock()
	}
	st, err := dir.Lstat(name)
	if err != nil {
		return Record{}, err
	}
	return Record{Name: name, Stat: st, Digest: f.digest}, nil
}

// gathering joins the records of a folder's slices.
type gathering struct {
	done func([]Record)
	left atomic.Int64
	mu   sync.Mutex
	recs []Record
}

func (g *gathering) add(recs []Record) {
	g.mu.Lock()
	g.recs = append(g.recs, recs...)
	g.mu.Unlock()
	if g.left.Add(-1) == 0 {
		g.done(g.recs)
	}
}

// remember merges new records into a folder's.
func (r *applying) remember(rel string, fresh []Record) {
	if len(fresh) == 0 {
		return
	}
	byName := make(map[string]bool, len(fresh))
	merged := make([]Record, 0, len(fresh))
	var latest disk.Stat
	for _, f := range fresh {
		byName[f.Name] = true
		if f.Stat.IsLink() {
			continue // what a link points to has a stat of its own
		}
		if max(f.Stat.MTime, f.Stat.CTime) > max(latest.MTime, latest.CTime) {
			latest = f.Stat
		}
		f.Stat = f.Stat.Content()
		merged = append(merged, f)
	}
	for _, old := range r.State.Folder(rel).All() {
		if !byName[old.Name] {
			merged = append(merged, old)
		}
	}
	slices.SortFunc(merged, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	r.State.SetFolder(rel, merged)
	r.mu.Lock()
	if r.touched == nil {
		r.touched = map[string][]string{}
	}
	if r.linked { // as the files here may be: only these are looked at again
		for _, f := range fresh {
			r.touched[rel] = append(r.touched[rel], f.Name)
		}
	} else if _, known := r.touched[rel]; !known {
		r.touched[rel] = nil
	}
	if max(latest.MTime, latest.CTime) > max(r.latest.MTime, r.latest.CTime) {
		r.latest = latest
	}
	r.mu.Unlock()
}

// restat looks at hard-linked files once more: each further link to an object
// changed the change time of those before.
func (r *applying) restat() {
	for rel, names := range r.touched {
		dir, err := r.Root.OpenPath(rel)
		if err != nil {
			continue
		}
		records := r.State.Folder(rel).All()
		for _, name := range names {
			i, ok := slices.BinarySearchFunc(records, name, func(r Record, n string) int { return strings.Compare(r.Name, n) })
			if !ok {
				continue
			}
			st, err := dir.Lstat(records[i].Name)
			old := records[i].Stat
			if err == nil && st.Ino == old.Ino && st.MTime == old.MTime && st.Size == old.Size {
				records[i].Stat = st.Content()
				if st.CTime > max(r.latest.MTime, r.latest.CTime) {
					r.latest = st
				}
			}
		}
		dir.Close()
		r.State.SetFolder(rel, records)
	}
}

// markRacy distrusts what was just remembered, where the clock of file times
// is too coarse to wait for.
func (r *applying) markRacy() {
	now := r.Now()
	for rel := range r.touched {
		records := r.State.Folder(rel).All()
		for i := range records {
			if IsRacy(records[i].Stat, now) {
				records[i].Racy = true
			}
		}
		r.State.SetFolder(rel, records)
	}
}
