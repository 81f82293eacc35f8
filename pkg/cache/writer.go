package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Writer is one batch of writes to a cache. It is safe for concurrent use.
type Writer struct {
	c       *Cache
	root    *disk.Dir
	staging *disk.Staging
	batch   disk.Batch
	turn    atomic.Int64 // spreads new files over the staging folder's shards
	// absent holds the shards that did not exist when they were first asked
	// for. If another process makes one later, its objects are written twice,
	// to the same bytes.
	absent sync.Map

	// whole are folders of objects that the cache did not have, staged under
	// the objects' own names: one rename places all of them. Nobody else
	// touches one until Commit.
	wholeMu   sync.Mutex
	whole     map[string]*wholeShard
	wholeMost int

	mu      sync.Mutex
	pending map[object.Digest]staged
	bytes   int64     // of pending
	since   time.Time // when pending was empty
	closed  bool
	sums    map[object.Digest]uint64 // see sumIs
	seed    maphash.Seed

	checkpointing sync.Mutex
}

// A batch makes its objects durable and visible in between once so much of
// them is pending, so that whoever is killed in the middle of a million files
// goes on from there. Objects without a manifest yet are safe to have.
const (
	checkpointObjects = 100_000
	checkpointBytes   = 4 << 30
	checkpointTime    = 20 * time.Second
)

// wholeShard is a folder of objects on its way.
type wholeShard struct {
	dir  *disk.Dir
	name string // in staging
}

// staged is an object that has its bytes but not its name.
type staged struct {
	dir   *disk.Dir
	name  string
	chmod bool       // a link to a workspace file, whose mode is still the user's
	st    *disk.Stat // as it was written, of what is worth remembering
}

var _ object.Writer = (*Writer)(nil)

// Begin starts a batch, making the cache's folder if it is missing.
func (c *Cache) Begin(ctx context.Context) (object.Writer, error) { return c.BeginAdd() }

// BeginAdd is [Cache.Begin] for callers that also add files.
func (c *Cache) BeginAdd() (*Writer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	root, err := c.openRoot(true)
	if err != nil {
		return nil, err
	}
	return &Writer{
		c: c, root: root, staging: disk.NewStaging(root), pending: map[object.Digest]staged{}, since: time.Now(),
		sums: map[object.Digest]uint64{}, seed: maphash.MakeSeed(),
		whole: map[string]*wholeShard{}, wholeMost: c.spare / 2, // as many descriptors as shards may have
	}, nil
}

// create makes a file in staging.
func (w *Writer) create() (*disk.File, staged, error) {
	if w.isClosed() {
		return nil, staged{}, errClosed
	}
	dir, err := w.staging.Shard(int(w.turn.Add(1)))
	if err != nil {
		return nil, staged{}, w.fail(err)
	}
	s := staged{dir: dir, name: w.staging.Next()}
	f, err := dir.Create(s.name, objectMode)
	if err != nil {
		return nil, staged{}, w.fail(err)
	}
	if w.c.umask&objectMode != 0 {
		if err := f.Chmod(objectMode); err != nil {
			w.drop(f, s)
			return nil, staged{}, w.fail(err)
		}
	}
	return f, s, nil
}

// createFor makes a file in staging for an object that is known: in a folder
// that will be placed whole, if the cache has none for it.
func (w *Writer) createFor(d object.Digest) (*disk.File, staged, error) {
	sh, err := w.wholeFor(d)
	if err != nil {
		return nil, staged{}, w.fail(err)
	}
	if sh == nil {
		return w.create()
	}
	if w.isClosed() {
		return nil, staged{}, errClosed
	}
	s := staged{dir: sh.dir, name: d.String()[2:]}
	f, err := s.dir.Create(s.name, objectMode)
	if errors.Is(err, fs.ErrExist) {
		return w.create() // somebody is at the same object
	}
	if err == nil && w.c.umask&objectMode != 0 {
		if err = f.Chmod(objectMode); err != nil {
			w.drop(f, s)
		}
	}
	return f, s, w.fail(err)
}

// wholeFor returns the folder for d that is placed whole, nil if there is
// none. Manifests come after their files, so they have none.
func (w *Writer) wholeFor(d object.Digest) (*wholeShard, error) {
	if !disk.CanPlaceFolders || d.IsDir() || d.Algorithm() == object.MD5Legacy {
		return nil, nil
	}
	if _, gone := w.absent.Load([2]byte{byte(d.Algorithm()), d.First()}); !gone {
		return nil, nil
	}
	key := path.Dir(d.Key())
	w.wholeMu.Lock()
	defer w.wholeMu.Unlock()
	if sh, ok := w.whole[key]; ok || len(w.whole) >= w.wholeMost {
		return sh, nil
	}
	perm := w.c.dirMode()
	if w.c.opts.Shared {
		perm |= fs.ModeSetgid
	}
	name := strings.ReplaceAll(key, "/", "-")
	dir, err := w.staging.Folder(name, perm)
	if err != nil {
		return nil, err
	}
	sh := &wholeShard{dir: dir, name: name}
	w.whole[key] = sh
	return sh, nil
}

// placeWhole gives the objects in whole folders their names and takes them
// out of the set. A folder that somebody else made meanwhile, or that holds
// anything but its pending objects, is left to be renamed file by file.
func (w *Writer) placeWhole(objects map[object.Digest]staged) error {
	byDir := map[*disk.Dir][]object.Digest{}
	for d, s := range objects {
		byDir[s.dir] = append(byDir[s.dir], d)
	}
	for key, sh := range w.whole {
		ds := byDir[sh.dir]
		names, err := sh.dir.ReadDir()
		if err != nil {
			return err
		}
		if len(ds) == 0 || len(names) != len(ds) {
			continue
		}
		parent, err := w.root.MakePath(path.Dir(key), w.c.dirMode())
		if err != nil {
			return err
		}
		err = w.staging.Place(sh.name, parent, path.Base(key))
		parent.Close()
		if errors.Is(err, fs.ErrExist) {
			continue // another process made it meanwhile
		}
		if err != nil {
			return err
		}
		for _, d := range ds {
			delete(objects, d)
		}
	}
	return nil
}

// closeWhole releases the handles of whole folders.
func (w *Writer) closeWhole() {
	w.wholeMu.Lock()
	defer w.wholeMu.Unlock()
	for _, sh := range w.whole {
		sh.dir.Close()
	}
	w.whole, w.wholeMost = nil, 0
}

var errClosed = errors.New("the batch of writes to the cache is over")

func (w *Writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// drop removes a file from staging. f may be nil.
func (w *Writer) drop(f *disk.File, s staged) {
	if f != nil {
		f.Close()
	}
	_ = s.dir.Remove(s.name)
}

// finish makes a written file part of the batch.
func (w *Writer) finish(f *disk.File, s staged, d object.Digest, size int64) error {
	err := w.batch.Written(f)
	if err == nil && size >= provenLeast {
		var st disk.Stat
		st, err = f.Stat()
		s.st = &st
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		w.drop(nil, s)
		return w.fail(err)
	}
	return w.pend(d, s, size)
}

// pend records the bytes of d as staged; of two stagings one is dropped.
func (w *Writer) pend(d object.Digest, s staged, size int64) error {
	w.mu.Lock()
	first, twice := w.pending[d]
	if !twice {
		w.pending[d] = s
		w.bytes += size
	}
	due := len(w.pending) >= checkpointObjects || w.bytes >= checkpointBytes ||
		len(w.pending)%1024 == 0 && time.Since(w.since) > checkpointTime
	w.mu.Unlock()
	if twice {
		err := collision(d, first, s)
		w.drop(nil, s)
		if err != nil {
			return err
		}
	}
	if due && w.checkpointing.TryLock() {
		defer w.checkpointing.Unlock()
		return w.checkpoint()
	}
	return nil
}

// checkpoint publishes the files that are pending now. Manifests wait for
// Commit, which comes after all files.
func (w *Writer) checkpoint() error {
	w.mu.Lock()
	files := w.pending
	w.pending = map[object.Digest]staged{}
	for d, s := range files {
		if d.IsDir() {
			w.pending[d] = s
			delete(files, d)
		}
	}
	w.bytes, w.since = 0, time.Now()
	clear(w.sums)
	w.mu.Unlock()
	// The absence of a folder of objects is no longer certain.
	w.absent.Clear()
	if err := w.flush(); err != nil {
		return w.fail(err)
	}
	names, written := slices.Collect(maps.Keys(files)), writtenIn(files)
	if err := w.publish(files); err != nil {
		return w.fail(err)
	}
	w.remember(written)
	return w.fail(w.syncNames(names))
}

// Keep makes the objects that the batch has so far durable and visible, all but
// manifests, for a caller who is interrupted: the next run finds them.
func (w *Writer) Keep() error {
	w.checkpointing.Lock()
	defer w.checkpointing.Unlock()
	if w.isClosed() {
		return nil
	}
	return w.checkpoint()
}

func (w *Writer) isPending(d object.Digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.pending[d]
	return ok
}

// room refuses a large file that the disk has no space for, before any of it
// is copied. A clone needs none, so a full disk that can clone says so late.
func (w *Writer) room(size int64) error {
	const worthAsking = 64 << 20
	if size < worthAsking || w.c.opts.Links[0] != Copy && w.c.opts.Links[0] != Reflink {
		return nil
	}
	if free, ok := w.root.Free(); ok && free < size && !w.mayClone() {
		return errs.WithHint(errs.New(errs.Unavailable, "no space left for the cache in %q: %d bytes are needed, %d are free", w.c.path, size, free),
			"Free some space, or move the cache with: cairn cache dir PATH.")
	}
	return nil
}

// mayClone reports whether cloning has not been seen to fail.
func (w *Writer) mayClone() bool {
	failed := false
	w.c.noReflink.Range(func(any, any) bool { failed = true; return false })
	return w.c.opts.Links[0] == Reflink && !failed
}

// fail names the cache in an error of the disk.
func (w *Writer) fail(err error) error {
	switch {
	case disk.IsNoSpace(err):
		return &errs.Error{Kind: errs.Unavailable, Msg: fmt.Sprintf("no space left for the cache in %q", w.c.path), Err: err,
			Hint: "Free some space, or move the cache with: cairn cache dir PATH."}
	case errors.Is(err, fs.ErrPermission):
		return &errs.Error{Kind: errs.Denied, Msg: fmt.Sprintf("write to the cache in %q", w.c.path), Err: err}
	}
	return err
}

// Put stores an object that is proven while it is written.
func (w *Writer) Put(ctx context.Context, d object.Digest, size int64, r io.Reader) error {
	if d.IsZero() {
		return errs.New(errs.Invalid, "no digest")
	}
	if st, err := w.stat(d); err == nil && size >= 0 && st.Size == size {
		return nil
	}
	if w.isPending(d) {
		return nil
	}
	if size >= 0 && size <= smallFile {
		return w.putSmall(d, int(size), r)
	}
	if err := w.room(size); err != nil {
		return err
	}
	f, s, err := w.create()
	if err != nil {
		return err
	}
	got, n, err := copyHash(f, ctxReader{ctx, r}, d.Algorithm(), nil)
	if err == nil {
		err = checkPut(d, got, size, n)
	}
	if err != nil {
		w.drop(f, s)
		return w.fail(err)
	}
	return w.finish(f, s, d, n)
}

func (w *Writer) putSmall(d object.Digest, size int, r io.Reader) error {
	bp := smallBuf(size + 1)
	defer smallBufs.Put(bp)
	n, err := readAtMost(r, (*bp)[:size+1])
	if err != nil {
		return err
	}
	if err := checkPut(d, object.Sum(d.Algorithm(), (*bp)[:n]), int64(size), int64(n)); err != nil {
		return err
	}
	return w.write(d, (*bp)[:n])
}

// CopyFrom stores an object that the caller has just found lacking, straight
// from another cache: small ones in one read, one hash and one write, large
// ones by the file system's own means. The stored bytes are proven. copied is
// false, and nothing is stored, if that is not possible, whatever the reason:
// [Writer.Put] then tells it. size is what the object is known to have, -1 if
// it is not known; tick, if not nil, hears of the bytes.
func (w *Writer) CopyFrom(ctx context.Context, src object.Store, d object.Digest, size int64, tick func(int64)) (copied bool, err error) {
	from, ok := src.(*Cache)
	if !ok || size < 0 || d.IsZero() || w.isPending(d) {
		return false, nil
	}
	var f *disk.File
	if err := from.withShard(d, false, func(dir *disk.Dir, name string) (err error) {
		f, err = dir.OpenFile(name)
		return err
	}); err != nil {
		return false, nil
	}
	defer f.Close()
	if size > smallFile {
		return w.copyLarge(ctx, f, d, size, tick)
	}
	bp := smallBuf(int(size) + 1)
	defer smallBufs.Put(bp)
	n, err := readSized(f, *bp, int(size))
	if err != nil || checkPut(d, object.Sum(d.Algorithm(), (*bp)[:n]), size, int64(n)) != nil {
		return false, nil
	}
	if tick != nil {
		tick(size)
	}
	return true, w.write(d, (*bp)[:n])
}

// copyLarge is CopyFrom for an object that is not held in memory.
func (w *Writer) copyLarge(ctx context.Context, f *disk.File, d object.Digest, size int64, tick func(int64)) (copied bool, err error) {
	st, err := f.Stat()
	if err != nil || !st.IsRegular() || st.Size != size {
		return false, nil
	}
	dst, s, err := w.create()
	if err != nil {
		return false, err
	}
	got, err := w.copyOrClone(ctx, dst, f, st, d.Algorithm(), tick)
	if errors.Is(err, errChanged) || err == nil && got != d.AsFile() {
		w.drop(dst, s)
		return false, nil
	}
	if err != nil {
		w.drop(dst, s)
		return false, w.fail(err)
	}
	return true, w.finish(dst, s, d, size)
}

// write stages bytes that are known to have the digest d.
func (w *Writer) write(d object.Digest, b []byte) error {
	f, s, err := w.createFor(d)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		w.drop(f, s)
		return w.fail(err)
	}
	return w.finish(f, s, d, int64(len(b)))
}

// PutBytes stores a small object that the caller has just hashed, such as a
// manifest. A damaged object in its place is replaced.
func (w *Writer) PutBytes(d object.Digest, b []byte) error {
	if held, err := w.hasBytes(d, b); held || err != nil {
		return err
	}
	return w.write(d, b)
}

// PutManifest stores a folder's manifest and returns its digest. A damaged object
// in its place is replaced.
func (w *Writer) PutManifest(m object.Manifest, a object.Algorithm) (object.Digest, error) {
	d, size := m.Digest(a)
	if size <= smallFile {
		b, _ := m.Encode(a)
		return d, w.PutBytes(d, b)
	}
	if w.isPending(d) || w.holdsManifest(d, size, m) {
		return d, nil
	}
	f, s, err := w.create()
	if err != nil {
		return d, err
	}
	if err := m.Write(f, a); err != nil {
		w.drop(f, s)
		return d, w.fail(err)
	}
	return d, w.finish(f, s, d, size)
}

// holdsManifest reports whether the cache has a large manifest with exactly
// these bytes.
func (w *Writer) holdsManifest(d object.Digest, size int64, m object.Manifest) bool {
	f, st, err := w.c.open(d)
	if err != nil {
		return false
	}
	defer f.Close()
	return st.Size == size && m.Write(&comparer{with: f}, d.Algorithm()) == nil
}

// hasBytes reports whether the batch or the cache has an object with exactly
// these bytes. Other bytes of the same md5 are an error.
func (w *Writer) hasBytes(d object.Digest, b []byte) (bool, error) {
	if d.Algorithm() == object.MD5 && !w.sumIs(d, maphash.Bytes(w.seed, b)) {
		return false, errCollision(d)
	}
	if w.isPending(d) {
		return true, nil
	}
	switch w.holds(d, b) {
	case heldWhole:
		return true, nil
	case heldOther:
		if ok, err := w.c.Verify(context.Background(), d); d.Algorithm() == object.MD5 && err == nil && ok {
			return false, errCollision(d)
		}
	}
	return false, nil
}

// sumIs remembers a second sum of the small objects of a batch, and reports
// whether it is the same as before: another content with the same md5 has
// another one.
func (w *Writer) sumIs(d object.Digest, sum uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, ok := w.sums[d]
	if !ok {
		w.sums[d] = sum
	}
	return !ok || was == sum
}

// stat is [Cache.Stat], which it asks only if the object's shard was there.
func (w *Writer) stat(d object.Digest) (disk.Stat, error) {
	shard := [2]byte{byte(d.Algorithm()), d.First()}
	if _, gone := w.absent.Load(shard); gone {
		return disk.Stat{}, fs.ErrNotExist
	}
	entered := false
	var st disk.Stat
	err := w.c.withShard(d, false, func(dir *disk.Dir, name string) (err error) {
		entered = true
		st, err = dir.Lstat(name)
		return err
	})
	if !entered && errors.Is(err, fs.ErrNotExist) {
		w.absent.Store(shard, true)
	}
	if err == nil && !st.IsRegular() {
		err = fs.ErrNotExist
	}
	return st, err
}

// holds is [Cache.holds], which it asks only if the object's shard was there.
func (w *Writer) holds(d object.Digest, b []byte) held {
	shard := [2]byte{byte(d.Algorithm()), d.First()}
	if _, gone := w.absent.Load(shard); gone {
		return heldNot
	}
	h := w.c.holds(d, b)
	if h == heldNoShard {
		w.absent.Store(shard, true)
	}
	return h
}

func checkPut(want, got object.Digest, size, n int64) error {
	if size >= 0 && n != size {
		return errs.New(errs.Corrupt, "object %s should have %d bytes, but %d came", want, size, n)
	}
	if got.AsFile() != want.AsFile() {
		return object.Mismatch(want, got)
	}
	return nil
}

// ctxReader ends a long copy when the context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Commit makes the batch durable, then visible, then its names durable.
func (w *Writer) Commit(ctx context.Context) error {
	defer w.Abort()
	w.mu.Lock()
	if w.closed || len(w.pending) == 0 {
		w.mu.Unlock()
		return nil
	}
	files, manifests := map[object.Digest]staged{}, map[object.Digest]staged{}
	for d, s := range w.pending {
		if d.IsDir() {
			manifests[d] = s
		} else {
			files[d] = s
		}
	}
	w.mu.Unlock()

	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return w.fail(err)
	}
	span := w.c.opts.Phases.Begin("name objects", "objects")
	defer span.End()
	span.Add(int64(len(files)+len(manifests)), 0)
	names, written := slices.Collect(maps.Keys(files)), writtenIn(files)
	if err := w.placeWhole(files); err != nil {
		return w.fail(err)
	}
	if err := w.publish(files); err != nil {
		return w.fail(err)
	}
	w.remember(written)
	if err := w.syncNames(names); err != nil {
		return w.fail(err)
	}
	// Where a manifest is, its files are taken to be.
	if err := w.publish(manifests); err != nil {
		return w.fail(err)
	}
	return w.fail(w.syncNames(slices.Collect(maps.Keys(manifests))))
}

// flush makes the bytes of the batch durable.
func (w *Writer) flush() error {
	defer w.c.opts.Phases.Begin("flush", "").End()
	return w.batch.Flush(w.root)
}

// publish renames staged objects to their digests.
func (w *Writer) publish(objects map[object.Digest]staged) error {
	if len(objects) == 0 {
		return nil
	}
	todo := slices.Collect(maps.Keys(objects))
	var g errgroup.Group
	workers := max(2, runtime.GOMAXPROCS(0))
	g.SetLimit(workers)
	const slice = 256
	for lo := 0; lo < len(todo); lo += slice {
		part := todo[lo:min(lo+slice, len(todo))]
		g.Go(func() error {
			for _, d := range part {
				s := objects[d]
				if s.chmod {
					if err := s.dir.Chmod(s.name, objectMode); err != nil {
						return err
					}
				}
				err := w.c.withShard(d, true, func(dir *disk.Dir, name string) error { return w.place(d, s, dir, name) })
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// place gives a staged object its name. What has the name already is replaced,
// as it may be damaged, unless it is whole and another content with the same
// md5.
func (w *Writer) place(d object.Digest, s staged, dir *disk.Dir, name string) error {
	if d.Algorithm() != object.MD5 {
		return s.dir.Rename(s.name, dir, name)
	}
	err := s.dir.RenameNew(s.name, dir, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := collision(d, staged{dir: dir, name: name}, s); err != nil {
		return err
	}
	return s.dir.Rename(s.name, dir, name)
}

// collision is the error if two files have different bytes and both the md5
// that d says. One that cannot be read, or has another md5, collides with
// nothing.
func collision(d object.Digest, a, b staged) error {
	if d.Algorithm() != object.MD5 {
		return nil
	}
	if sum, same := compare(a, b); same || sum != d.AsFile() {
		return nil
	}
	if sum, _ := compare(b, b); sum != d.AsFile() {
		return nil
	}
	return errCollision(d)
}

// errCollision says that md5 does not tell two contents apart.
func errCollision(d object.Digest) error {
	return errs.WithHint(errs.New(errs.Conflict, "the cache has other bytes with the same md5 %s: somebody has made them collide", d),
		"Nothing was replaced. A repository with BLAKE3 (`cairn init`) can hold both.")
}

// compare hashes a, and reports whether b has the same bytes.
func compare(a, b staged) (sum object.Digest, same bool) {
	f, err := a.dir.OpenFile(a.name)
	if err != nil {
		return sum, false
	}
	defer f.Close()
	g, err := b.dir.OpenFile(b.name)
	if err != nil {
		return sum, false
	}
	defer g.Close()
	c := &differing{comparer: comparer{with: g}}
	sum, n, err := copyHash(c, readerAt(f, math.MaxInt64-1), object.MD5, nil)
	if err != nil {
		return object.Digest{}, false
	}
	st, err := g.Stat()
	return sum, err == nil && !c.differs && st.Size == n
}

// differing notes that what is written differs from a reader, and goes on.
type differing struct {
	comparer
	differs bool
}

func (d *differing) Write(p []byte) (int, error) {
	if !d.differs {
		if _, err := d.comparer.Write(p); err != nil {
			d.differs = true
		}
	}
	return len(p), nil
}

// syncNames makes the names of the objects durable, and those of the folders
// above them, which may be new.
func (w *Writer) syncNames(todo []object.Digest) error {
	defer w.c.opts.Phases.Begin("flush", "").End()
	const few = 4
	if len(todo) > few {
		if all, err := w.root.SyncFS(); all {
			return err
		}
	}
	folders := map[string]bool{}
	for _, d := range todo {
		for p := path.Dir(d.Key()); !folders[p]; p = path.Dir(p) {
			folders[p] = true
		}
	}
	for p := range folders {
		dir, err := w.root.OpenPath(p)
		if err != nil {
			return err
		}
		err = dir.Sync()
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Abort drops what has no name yet.
func (w *Writer) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	w.closeWhole()
	_ = w.staging.Close()
}

// held is what a cache has under a digest.
type held uint8

const (
	heldNot     held = iota
	heldNoShard      // not even the folder
	heldOther        // something with other bytes
	heldWhole        // these bytes
)

// holds compares bytes with what the cache has under their digest.
func (c *Cache) holds(d object.Digest, b []byte) held {
	h := heldNoShard
	var f *disk.File
	err := c.withShard(d, false, func(dir *disk.Dir, name string) (err error) {
		h = heldNot
		f, err = dir.OpenFile(name)
		return err
	})
	if err != nil {
		return h
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.IsRegular() || st.Size != int64(len(b)) {
		return heldOther
	}
	bp := smallBuf(len(b) + 1)
	defer smallBufs.Put(bp)
	if n, err := readSized(f, *bp, len(b)); err != nil || !bytes.Equal((*bp)[:n], b) {
		return heldOther
	}
	return heldWhole
}

// Holds reports whether the batch has the object, not yet visible.
func (w *Writer) Holds(d object.Digest) bool { return w.isPending(d) }
