package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// LinkType is a way for a workspace file to share bytes with the cache.
type LinkType string

// The link types, as in cache.type.
const (
	Reflink  LinkType = "reflink"
	Hardlink LinkType = "hardlink"
	Symlink  LinkType = "symlink"
	Copy     LinkType = "copy"
)

// Options of a cache.
type Options struct {
	Links  []LinkType // in order of preference; nil is reflink, copy
	Shared bool       // cache.shared = group: folders and files writable by the group
	Hook   disk.Hook  // for tests

	Phases *progress.Phases // hears how long the parts take; may be nil
}

// Cache is a local object store. It is safe for concurrent use, also by
// several processes.
type Cache struct {
	path  string
	opts  Options
	umask fs.FileMode

	mu     sync.Mutex
	root   *disk.Dir            // nil until the folder exists
	bases  map[string]*disk.Dir // the folders of algorithms: "files/md5/"
	shards map[string]*shard
	spare  int // how many more shards may stay open

	noReflink sync.Map // device of a workspace file → true: it cannot be cloned here
	lent      sync.Map // digest → manifest that is known without being stored
	proven    provenSet
}

// shard is the folder of the objects whose digests share an algorithm and
// the first two digits.
type shard struct {
	dir  *disk.Dir
	kept bool // stays open until the cache is closed
}

// objectMode is what every object has: DVC takes a writable one for damaged.
const objectMode = 0o444

var _ object.Store = (*Cache)(nil)

// Open prepares a cache in the folder at path, which is made when the first
// object is stored.
func Open(path string, o Options) *Cache {
	if len(o.Links) == 0 {
		o.Links = []LinkType{Reflink, Copy}
	}
	return &Cache{path: filepath.Clean(path), opts: o, umask: disk.Umask(), bases: map[string]*disk.Dir{}, shards: map[string]*shard{}, spare: openShards()}
}

// Path is the cache's folder.
func (c *Cache) Path() string { return c.path }

// Links are the link types to try, in order.
func (c *Cache) Links() []LinkType { return c.opts.Links }

// Close releases what the cache holds open.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, s := range c.shards {
		s.dir.Close()
		delete(c.shards, k)
	}
	for k, d := range c.bases {
		d.Close()
		delete(c.bases, k)
	}
	if c.root != nil {
		c.root.Close()
		c.root = nil
	}
	return nil
}

func (c *Cache) dirMode() fs.FileMode {
	if c.opts.Shared {
		return 0o775
	}
	return 0o777
}

// openRoot opens the cache's folder, making it if asked.
func (c *Cache) openRoot(create bool) (*disk.Dir, error) {
	if c.root != nil {
		return c.root, nil
	}
	if create {
		if err := c.makeRoot(); err != nil {
			return nil, fmt.Errorf("make the cache folder: %w", err)
		}
		if c.opts.Shared {
			_ = os.Chmod(c.path, 0o775|fs.ModeSetgid) // only its owner may
		}
	}
	d, err := disk.OpenDir(c.path)
	if err != nil {
		return nil, err
	}
	if c.opts.Hook != nil {
		d = d.WithHook(c.opts.Hook)
	}
	c.root = d
	return d, nil
}

// makeRoot makes the cache's folder with its parents, and their names durable.
func (c *Cache) makeRoot() error {
	var fresh []string // folders that get a new name in them
	for p := c.path; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if fresh = append(fresh, filepath.Dir(p)); filepath.Dir(p) == p {
			break
		}
	}
	if err := os.MkdirAll(c.path, c.dirMode()); err != nil {
		return err
	}
	for _, p := range fresh {
		d, err := disk.OpenDir(p)
		if err != nil {
			continue // one may make folders where one may not look
		}
		err = d.Sync()
		d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// withShard calls f with the folder of d's objects and d's name in it. If the
// folder is missing and not to be created, f is not called and the error is
// fs.ErrNotExist.
func (c *Cache) withShard(d object.Digest, create bool, f func(dir *disk.Dir, name string) error) error {
	if d.IsZero() {
		return errs.New(errs.Invalid, "no digest")
	}
	s, err := c.shard(shardOf(d), create)
	if err != nil {
		return err
	}
	if !s.kept {
		defer s.dir.Close()
	}
	return f(s.dir, d.String()[2:])
}

// shardOf is the folder of d's objects: "files/md5/d4".
func shardOf(d object.Digest) string { return shardPaths()[d.Algorithm()][d.First()] }

// shardPaths are all there can be: an object's place is asked for so often
// that putting it together each time shows.
var shardPaths = sync.OnceValue(func() *[4][256]string {
	var paths [4][256]string
	for a := object.MD5; a <= object.MD5Legacy; a++ {
		for i := range paths[a] {
			paths[a][i] = fmt.Sprintf("%s%02x", a.Prefix(), i)
		}
	}
	return &paths
})

func (c *Cache) shard(prefix string, create bool) (*shard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.shards[prefix]; s != nil {
		return s, nil
	}
	root, err := c.openRoot(create)
	if err != nil {
		return nil, err
	}
	dir, err := c.openShard(root, prefix)
	if create && errors.Is(err, fs.ErrNotExist) {
		dir, err = c.makeShard(root, prefix)
	}
	if err != nil {
		return nil, err
	}
	s := &shard{dir: dir}
	if c.spare > 0 {
		c.spare--
		s.kept = true
		c.shards[prefix] = s
	}
	return s, nil
}

// openShard opens a shard by way of the folder of its algorithm, which stays open.
func (c *Cache) openShard(root *disk.Dir, prefix string) (*disk.Dir, error) {
	at, name := path.Split(prefix)
	if at == "" {
		return root.Open(name)
	}
	base := c.bases[at]
	if base == nil {
		var err error
		if base, err = root.OpenPath(strings.TrimSuffix(at, "/")); err != nil {
			return nil, err
		}
		c.bases[at] = base
	}
	dir, err := base.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		// Deleted meanwhile, and perhaps made anew.
		if st, serr := base.Stat(); serr != nil || st.Nlink == 0 {
			base.Close()
			delete(c.bases, at)
			return root.OpenPath(prefix)
		}
	}
	return dir, err
}

func (c *Cache) makeShard(root *disk.Dir, prefix string) (*disk.Dir, error) {
	dir, err := root.MakePath(prefix, c.dirMode())
	if err == nil && c.opts.Shared {
		// The umask may have taken the group's bit; setgid must be asked for.
		for p := prefix; p != "."; p = filepath.ToSlash(filepath.Dir(p)) {
			if parent, name, perr := root.Parent(p); perr == nil {
				_ = parent.Chmod(name, 0o775|fs.ModeSetgid)
				parent.Close()
			}
		}
	}
	return dir, err
}

// Properties describe a folder on this machine.
func (c *Cache) Properties() object.Properties {
	return object.Properties{Concurrency: max(2, runtime.GOMAXPROCS(0)), CheapStat: true, ListPrice: 1 << 30, Local: true}
}

// Stat returns an object's size. A missing object, or anything but a plain
// file in its place, is errs.NotFound.
func (c *Cache) Stat(d object.Digest) (disk.Stat, error) {
	var st disk.Stat
	err := c.withShard(d, false, func(dir *disk.Dir, name string) (err error) {
		st, err = dir.Lstat(name)
		return err
	})
	if err == nil && !st.IsRegular() {
		err = fs.ErrNotExist
	}
	return st, c.classify(d, err)
}

// looking measures a look for so many objects.
func (c *Cache) looking(n int) *progress.Span {
	span := c.opts.Phases.Begin("look in the cache", "objects")
	span.Add(int64(n), 0)
	return span
}

// classify gives a failure with an object its class.
func (c *Cache) classify(d object.Digest, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), disk.IsNotDir(err):
		return errs.New(errs.NotFound, "object %s is not in the cache", d)
	case errors.Is(err, disk.ErrLink):
		return errs.New(errs.NotFound, "object %s is not in the cache: its place is taken by a symbolic link", d)
	case errors.Is(err, fs.ErrPermission):
		return &errs.Error{Kind: errs.Denied, Msg: "cache object " + d.String(), Err: err}
	}
	return err
}

// Has stats each object, folder by folder and in parallel. A folder that is
// missing costs one question, whatever the number of its objects.
func (c *Cache) Has(ctx context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	sizes, err := c.Sizes(ctx, len(ds), func(i int) object.Digest { return ds[i] })
	if err != nil {
		return nil, err
	}
	have := 0
	for _, size := range sizes {
		have += int(min(size, 0)) + 1
	}
	found := make(map[object.Digest]object.Info, have)
	for i, d := range ds {
		if sizes[i] >= 0 {
			found[d] = object.Info{Digest: d, Size: sizes[i]}
		}
	}
	return found, nil
}

// Sizes is Has for n digests that are not in a list, with the sizes in their
// order; that of a missing object is -1.
func (c *Cache) Sizes(ctx context.Context, n int, at func(int) object.Digest) ([]int64, error) {
	defer c.looking(n).End()
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = -1
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for _, part := range byShard(n, at) {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			return c.sizesIn(at, part, sizes)
		})
	}
	return sizes, g.Wait()
}

// byShard sorts the places of n digests by the folder of their objects. No
// digest is nowhere.
func byShard(n int, digest func(int) object.Digest) [][]int32 {
	const folders = 256 // of an algorithm
	at := func(d object.Digest) int { return int(d.Algorithm())*folders + int(d.First()) }
	var count [4 * folders]int32
	for i := range n {
		if d := digest(i); !d.IsZero() {
			count[at(d)]++
		}
	}
	all := make([]int32, n)
	var parts [][]int32
	var next [len(count)]int32
	var end int32
	for i, n := range count {
		if next[i] = end; n > 0 {
			end += n
			parts = append(parts, all[end-n:end:end])
		}
	}
	for i := range n {
		if d := digest(i); !d.IsZero() {
			all[next[at(d)]] = int32(i)
			next[at(d)]++
		}
	}
	return parts
}

// sizesIn sets the sizes of the digests in part, which share a folder; those of
// missing objects stay.
func (c *Cache) sizesIn(at func(int) object.Digest, part []int32, sizes []int64) error {
	first := at(int(part[0]))
	s, err := c.shard(shardOf(first), false)
	if err != nil {
		return c.unlessMissing(first, err)
	}
	if !s.kept {
		defer s.dir.Close()
	}
	for _, i := range part {
		d := at(int(i))
		st, err := s.dir.Lstat(d.String()[2:])
		if err != nil {
			if err := c.unlessMissing(d, err); err != nil {
				return err
			}
		} else if st.IsRegular() {
			sizes[i] = st.Size
		}
	}
	return nil
}

// unlessMissing is classify for those to whom absence is an answer.
func (c *Cache) unlessMissing(d object.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = c.classify(d, err); errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// open opens an object's file; the caller closes it.
func (c *Cache) open(d object.Digest) (f *disk.File, st disk.Stat, err error) {
	err = c.withShard(d, false, func(dir *disk.Dir, name string) error {
		if f, err = dir.OpenFile(name); err != nil {
			return err
		}
		if st, err = f.Stat(); err != nil {
			f.Close()
			return err
		}
		if !st.IsRegular() {
			f.Close()
			return fs.ErrNotExist
		}
		return nil
	})
	return f, st, c.classify(d, err)
}

// Open reads an object and proves it.
func (c *Cache) Open(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	f, st, err := c.open(d)
	if err != nil {
		return nil, 0, err
	}
	return object.NewVerifier(d, f), st.Size, nil
}

// OpenUnverified reads an object for a reader that proves it itself.
func (c *Cache) OpenUnverified(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	f, st, err := c.open(d)
	if err != nil {
		return nil, 0, err
	}
	return f, st.Size, nil
}

// Lend makes a manifest known that lies elsewhere, in a stage file: it is read
// as if it were here, but is not held. d must be its digest.
func (c *Cache) Lend(d object.Digest, m object.Manifest) { c.lent.Store(d, m) }

// Lent is a manifest that [Cache.Lend] was told of; [object.ReadManifest] asks.
func (c *Cache) Lent(d object.Digest) (object.Manifest, bool) {
	m, ok := c.lent.Load(d)
	if !ok {
		return nil, false
	}
	return m.(object.Manifest), true
}

// ReadManifest reads and proves a folder's manifest.
func (c *Cache) ReadManifest(ctx context.Context, d object.Digest) (object.Manifest, error) {
	span := c.opts.Phases.Begin("read manifests", "files")
	defer span.End()
	m, err := object.ReadManifest(ctx, c, d)
	span.Add(int64(len(m)), 0)
	return m, err
}

// List yields all objects of an algorithm.
func (c *Cache) List(ctx context.Context, a object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		c.mu.Lock()
		root, err := c.openRoot(false)
		c.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(object.Info{}, err)
			return
		}
		listBelow(ctx, root, a)(yield)
	}
}

// listBelow yields the objects of an algorithm below a folder that is laid out
// as a cache.
func listBelow(ctx context.Context, root *disk.Dir, a object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		base := a.Prefix()
		if base == "" {
			base = "."
		}
		top, err := root.OpenPath(base[:max(1, len(base)-1)])
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(object.Info{}, err)
			return
		}
		defer top.Close()
		names, err := top.ReadDir()
		if err != nil {
			yield(object.Info{}, err)
			return
		}
		for _, n := range names {
			if len(n.Name) == 2 && !listShard(ctx, top, a, n.Name, yield) {
				return
			}
		}
	}
}

// listShard yields the objects of one folder; false ends the listing.
func listShard(ctx context.Context, top *disk.Dir, a object.Algorithm, shard string, yield func(object.Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(object.Info{}, err)
		return false
	}
	dir, err := top.Open(shard)
	switch {
	case errors.Is(err, disk.ErrLink), errors.Is(err, fs.ErrNotExist), err != nil && disk.IsNotDir(err):
		return true // not a folder, so no objects
	case err != nil:
		yield(object.Info{}, err)
		return false
	}
	defer dir.Close()
	names, err := dir.ReadDir()
	if err != nil {
		yield(object.Info{}, err)
		return false
	}
	for _, n := range names {
		d, ok := object.ParseKey(a.Prefix() + shard + "/" + n.Name)
		if !ok {
			continue
		}
		st, err := dir.Lstat(n.Name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsRegular() {
			continue
		}
		if err != nil {
			yield(object.Info{}, err)
			return false
		}
		if !yield(object.Info{Digest: d, Size: st.Size, ModTime: st.MTime}, nil) {
			return false
		}
	}
	return true
}

// Delete removes objects.
func (c *Cache) Delete(ctx context.Context, ds []object.Digest) error {
	for _, d := range ds {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.withShard(d, false, func(dir *disk.Dir, name string) error { return dir.Remove(name) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c.classify(d, err)
		}
	}
	return nil
}

// Quarantine moves a damaged object out of the way, to a name that is no
// object, so that a good copy can take its place and nothing is destroyed.
func (c *Cache) Quarantine(d object.Digest) error {
	return c.withShard(d, false, func(dir *disk.Dir, name string) error {
		return dir.Rename(name, dir, name+damagedSuffix)
	})
}

// DeleteDamaged deletes what Quarantine moved aside of objects.
func (c *Cache) DeleteDamaged(ctx context.Context, ds []object.Digest) error {
	for _, d := range ds {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.withShard(d, false, func(dir *disk.Dir, name string) error {
			if !dir.Exists(name + damagedSuffix) {
				return nil
			}
			return dir.Remove(name + damagedSuffix)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c.classify(d, err)
		}
	}
	return nil
}

// Foreign lists what lies among the objects and is none: neither an object nor
// a temporary file nor what Quarantine moved aside. Paths are relative to the
// cache's folder. What lies in other folders, such as runs, is not looked at.
func (c *Cache) Foreign(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	root, err := c.openRoot(false)
	c.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
		base := strings.TrimSuffix(a.Prefix(), "/")
		top, err := root.OpenPath(base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = foreignIn(ctx, top, a, &list)
		top.Close()
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func foreignIn(ctx context.Context, top *disk.Dir, a object.Algorithm, list *[]string) error {
	shards, err := top.ReadDir()
	if err != nil {
		return err
	}
	for _, s := range shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir, err := top.Open(s.Name)
		if err != nil {
			if !disk.IsTempName(s.Name) {
				*list = append(*list, a.Prefix()+s.Name)
			}
			continue
		}
		names, err := dir.ReadDir()
		dir.Close()
		if err != nil {
			return err
		}
		for _, n := range names {
			key := a.Prefix() + s.Name + "/" + n.Name
			_, isObject := object.ParseKey(key)
			_, wasObject := object.ParseKey(strings.TrimSuffix(key, damagedSuffix))
			if n.Type.IsRegular() && (isObject || wasObject || disk.IsTempName(n.Name) || isForeignTemp(n.Name)) {
				continue
			}
			*list = append(*list, key)
		}
	}
	slices.Sort(*list)
	return nil
}

// isForeignTemp knows DVC's temporary files: ".<random>.tmp".
func isForeignTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp")
}

// damagedSuffix ends the names of objects that were moved aside.
const damagedSuffix = ".damaged"

// Clean removes what dead processes left in staging.
func (c *Cache) Clean() {
	c.mu.Lock()
	root, err := c.openRoot(false)
	c.mu.Unlock()
	if err == nil {
		disk.CleanStaging(root)
	}
}

// worthListing is from how many objects on a folder's names are read whole
// instead of asking for each object: a name from a listing costs a tenth of a
// question.
const worthListing = 2048

// Missing returns which of n objects the cache lacks, in their order. Of many it
// lists the folders, so it goes by names; of few an object of another size,
// where one is given and not -1, counts as missing too.
func (c *Cache) Missing(ctx context.Context, n int, at func(int) (d object.Digest, size int64)) ([]int32, error) {
	digest := func(i int) object.Digest { d, _ := at(i); return d }
	var missing []int32
	if n < worthListing {
		sizes, err := c.Sizes(ctx, n, digest)
		for i, size := range sizes {
			if _, want := at(i); size < 0 || want >= 0 && want != size {
				missing = append(missing, int32(i))
			}
		}
		return missing, err
	}
	defer c.looking(n).End()
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for _, part := range byShard(n, digest) {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			lacks, err := c.missingIn(digest, part)
			mu.Lock()
			missing = append(missing, lacks...)
			mu.Unlock()
			return err
		})
	}
	err := g.Wait()
	for i := range n {
		if digest(i).IsZero() {
			missing = append(missing, int32(i))
		}
	}
	slices.Sort(missing)
	return missing, err
}

// missingIn returns what a folder lacks of the objects in part, which share it.
func (c *Cache) missingIn(at func(int) object.Digest, part []int32) ([]int32, error) {
	first := at(int(part[0]))
	s, err := c.shard(shardOf(first), false)
	if err != nil {
		return part, c.unlessMissing(first, err)
	}
	if !s.kept {
		defer s.dir.Close()
	}
	names, err := s.dir.ReadDir()
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(names))
	for _, n := range names {
		if n.Type.IsRegular() || n.Type&fs.ModeIrregular != 0 {
			have[n.Name] = true
		}
	}
	var missing []int32
	var name []byte
	for _, i := range part {
		name = at(int(i)).AppendText(name[:0])
		if !have[string(name[2:])] {
			missing = append(missing, i)
		}
	}
	return missing, nil
}
