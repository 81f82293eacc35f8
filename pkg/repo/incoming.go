package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/progress"
	"github.com/cairndata/cairn/pkg/remote"
)

// incoming is data on its way from elsewhere: a file, or the files of a folder.
type incoming struct {
	isDir bool
	files []incomingFile // sorted by path; of a file one, with the path ""
	want  object.Digest  // what the whole must have, if that is known
}

// incomingFile is one file of it: recorded, so that its object may be in one of
// several stores, or bytes that only reading tells.
type incomingFile struct {
	path   string
	size   int64          // bytes; -1 if not known
	digest object.Digest  // zero for bytes without a record
	stores []object.Store // in the order to ask
	lack   error          // why there is no further store
	open   func(context.Context) (io.ReadCloser, int64, error)
}

// check refuses paths that may not become files here: whoever made the list may
// mean harm.
func (in *incoming) check() error {
	sort.Slice(in.files, func(i, j int) bool { return in.files[i].path < in.files[j].path })
	if !in.isDir {
		return nil
	}
	seen := make(map[string]bool, len(in.files))
	for _, f := range in.files {
		if err := disk.CheckRel(f.path); err != nil {
			return err
		}
		if seen[f.path] {
			return errs.New(errs.Invalid, "'%s' is there twice", disk.Quote(f.path))
		}
		seen[f.path] = true
	}
	for _, f := range in.files {
		for up := path.Dir(f.path); up != "."; up = path.Dir(up) {
			if seen[up] {
				return errs.New(errs.Invalid, "'%s' is both a file and a folder", disk.Quote(up))
			}
		}
	}
	return nil
}

// maxIncomingDepth bounds folders in folders.
const maxIncomingDepth = 1000

// gather lists what is at a path of a repository elsewhere.
func (t *tree) gather(ctx context.Context, rel string) (*incoming, error) {
	top, err := t.stat(ctx, rel)
	if err != nil {
		return nil, err
	}
	if sub, at, err := t.unrecorded(ctx, &top); sub != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return sub.gather(ctx, at)
	}
	in := &incoming{isDir: top.isDir()}
	if !in.isDir {
		f, err := t.incomingFile(ctx, &top, "")
		in.files = []incomingFile{f}
		return in, err
	}
	if t.far != nil && !top.isOut {
		if err := t.far.prefetch(ctx, t.inFar(rel), func(string) bool { return true }); err != nil {
			return nil, err
		}
	}
	if err := t.gatherFolder(ctx, rel, "", 0, in); err != nil {
		return nil, err
	}
	if top.isOut && !top.hasFile && top.under == "" {
		in.want = top.digest
	}
	return in, in.check()
}

// inFar is a path relative to the root of the far repository, of which the tree
// may be a folder.
func (t *tree) inFar(rel string) string {
	sub, err := filepath.Rel(t.far.root, t.root)
	if err != nil {
		return rel
	}
	return path.Join(filepath.ToSlash(sub), rel)
}

func (t *tree) gatherFolder(ctx context.Context, rel, into string, depth int, in *incoming) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxIncomingDepth {
		return errs.New(errs.Invalid, "'%s' is nested too deeply", disk.Quote(rel))
	}
	nodes, err := t.list(ctx, rel, false, false)
	if err != nil {
		return err
	}
	for i := range nodes {
		n := &nodes[i]
		p := path.Join(into, path.Base(n.path))
		if n.isDir() {
			if err := t.gatherFolder(ctx, n.path, p, depth+1, in); err != nil {
				return err
			}
			continue
		}
		if t.isFolderLink(n) {
			continue // as in a folder that is added
		}
		if sub, at, err := t.unrecorded(ctx, n); err != nil {
			return err
		} else if sub != nil {
			more, err := sub.gather(ctx, at)
			if err != nil {
				return err
			}
			for _, f := range more.files {
				f.path = path.Join(p, f.path)
				in.files = append(in.files, f)
			}
			continue
		}
		f, err := t.incomingFile(ctx, n, p)
		if err != nil {
			return err
		}
		in.files = append(in.files, f)
	}
	return nil
}

// unrecorded finds where something comes from that the repository has imported
// without its content; nil for anything else.
func (t *tree) unrecorded(ctx context.Context, n *node) (*tree, string, error) {
	if n.hasFile || !n.digest.IsZero() || n.out == nil || !isRepoImport(n.out.Stage) || n.out.Digest.IsDir() {
		return nil, "", nil
	}
	sub, rel, err := t.chain(ctx, n.out)
	return sub, path.Join(rel, n.under), err
}

// isFolderLink reports whether a node is a link to a folder of the workspace.
func (t *tree) isFolderLink(n *node) bool {
	if !n.hasFile || !t.live {
		return false
	}
	abs := filepath.Join(t.root, filepath.FromSlash(n.path))
	l, err := os.Lstat(abs)
	if err != nil || l.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	st, err := os.Stat(abs)
	return err == nil && st.IsDir()
}

// incomingFile says where a file's bytes are.
func (t *tree) incomingFile(ctx context.Context, n *node, p string) (incomingFile, error) {
	f := incomingFile{path: p, size: -1, digest: n.digest}
	if n.hasFile && !(n.isOut && t.dangling(n)) {
		f.digest = object.Digest{}
		f.open = t.opener(n)
		if !t.live {
			return f, nil
		}
		// A link into the cache stands for its object.
		if d, ok := t.cacheLink(n.path); ok {
			f.digest, f.open = d, nil
			f.stores = t.cacheStores()
		}
		return f, nil
	}
	if n.digest.IsZero() {
		return f, errs.New(errs.NotFound, "'%s' has no recorded content", disk.Quote(n.path))
	}
	f.size = n.dataSize
	f.stores = t.cacheStores()
	s, err := t.storeOf(ctx, n.out)
	switch {
	case err == nil:
		f.stores = append(f.stores, s)
	case ctx.Err() != nil:
		return f, ctx.Err()
	default:
		f.lack = err
	}
	if isRepoImport(n.out.Stage) {
		f.stores = append(f.stores, &chainStore{t: t, out: n.out})
	}
	return f, nil
}

// dangling reports whether a node of the workspace is a link to what is gone.
func (t *tree) dangling(n *node) bool {
	if !t.live {
		return false
	}
	_, err := os.Stat(filepath.Join(t.root, filepath.FromSlash(n.path)))
	return errors.Is(err, fs.ErrNotExist)
}

func (t *tree) cacheStores() []object.Store {
	var list []object.Store
	for _, c := range t.caches() {
		list = append(list, c)
	}
	return list
}

// opener reads a file of the workspace or the commit. Links are followed as far
// as they stay in the repository.
func (t *tree) opener(n *node) func(context.Context) (io.ReadCloser, int64, error) {
	rel := n.path
	if !t.live {
		return func(ctx context.Context) (io.ReadCloser, int64, error) { return t.openCommitted(rel) }
	}
	return func(ctx context.Context) (io.ReadCloser, int64, error) {
		real, err := t.insideRoot(rel)
		if err != nil {
			return nil, 0, err
		}
		f, err := os.Open(real)
		if err != nil {
			return nil, 0, err
		}
		st, err := f.Stat()
		if err == nil && !st.Mode().IsRegular() {
			err = errs.New(errs.Invalid, "'%s' is not a plain file", disk.Quote(rel))
		}
		if err != nil {
			f.Close()
			return nil, 0, err
		}
		return f, st.Size(), nil
	}
}

// insideRoot resolves the links on the way to a path of the workspace, and
// refuses one that leads out of it.
func (t *tree) insideRoot(rel string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join(t.root, filepath.FromSlash(rel)))
	if err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(t.root)
	if err != nil {
		return "", err
	}
	in, err := filepath.Rel(root, real)
	if err != nil || outOfRoot(filepath.ToSlash(in)) {
		return "", leadsOut(rel)
	}
	return real, nil
}

func leadsOut(rel string) error {
	return errs.WithHint(errs.New(errs.Invalid, "'%s' is a symbolic link that leads out of the repository", disk.Quote(rel)),
		"Get the file from where it lies.")
}

// cacheLink finds the object that a link in a workspace leads to, where links
// are how the workspace shares the cache's bytes.
func (t *tree) cacheLink(rel string) (object.Digest, bool) {
	abs := filepath.Join(t.root, filepath.FromSlash(rel))
	st, err := os.Lstat(abs)
	if err != nil || st.Mode()&fs.ModeSymlink == 0 || t.repo == nil {
		return object.Digest{}, false
	}
	to, err := os.Readlink(abs)
	if err != nil {
		return object.Digest{}, false
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(abs), to)
	}
	for _, c := range t.caches() {
		if d, ok := c.LinkedTo(to); ok {
			return d, true
		}
	}
	return object.Digest{}, false
}

// openCommitted reads a file of a commit.
func (t *tree) openCommitted(rel string) (io.ReadCloser, int64, error) {
	at := rel
	for range maxLinks {
		st, err := fs.Stat(t.src, at)
		if err != nil {
			return nil, 0, err
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			b, err := fs.ReadFile(t.src, at)
			if err != nil {
				return nil, 0, err
			}
			return io.NopCloser(strings.NewReader(string(b))), int64(len(b)), nil
		}
		to, err := t.readlink(at)
		if err != nil {
			return nil, 0, err
		}
		next := path.Join(path.Dir(at), to)
		if path.IsAbs(to) || outOfRoot(next) || strings.ContainsRune(to, '\\') {
			return nil, 0, leadsOut(rel)
		}
		at = next
	}
	return nil, 0, errs.New(errs.Invalid, "'%s' is a symbolic link that leads in a circle", disk.Quote(rel))
}

func (t *tree) readlink(rel string) (string, error) {
	type linker interface{ Readlink(string) (string, error) }
	switch src := t.src.(type) {
	case linker:
		return src.Readlink(rel)
	case subTree:
		return src.tree.Readlink(path.Join(src.dir, rel))
	}
	return "", disk.ErrLink
}

// isRepoImport reports whether a stage was made by import, not import-url.
func isRepoImport(s *pipeline.Stage) bool { return s != nil && s.IsImport() && s.Deps[0].Repo != nil }

// sizeError says which file a failure is about.
func (f *incomingFile) wrap(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	p := path.Join(name, f.path)
	return fmt.Errorf("'%s': %w", disk.Quote(p), err)
}

// arrive brings incoming data into the cache, recorded with the algorithm a.
// name is what messages call it. Objects that the cache has are
// not asked for again, so that a second try goes on from where the first ended.
func (r *Repo) arrive(ctx context.Context, in *incoming, a object.Algorithm, name string, jobs int) (*index.Tree, error) {
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	got, err := r.arriveInto(ctx, in, a, name, jobs, r.Cache, w)
	if err != nil {
		return nil, err
	}
	return got, w.Commit(ctx)
}

// arriveInto is arrive for a batch, which the caller commits. Recorded objects
// of the algorithm go straight to dst.
func (r *Repo) arriveInto(ctx context.Context, in *incoming, a object.Algorithm, name string, jobs int, dst object.Store, w *cache.Writer) (*index.Tree, error) {
	digests := make([]object.Digest, len(in.files))
	sizes := make([]int64, len(in.files))
	var move, read []int
	for i := range in.files {
		f := &in.files[i]
		sizes[i] = f.size
		if f.digest.Algorithm() == a {
			digests[i] = f.digest
			move = append(move, i)
		} else {
			read = append(read, i)
		}
	}
	if err := moveObjects(ctx, in, move, name, dst, remote.TransferOptions{Jobs: jobs, Progress: r.Progress, Phases: r.env.Phases, Label: "Importing"}); err != nil {
		return nil, err
	}
	if err := r.readIncoming(ctx, in, read, a, name, jobs, w, digests, sizes); err != nil {
		return nil, err
	}
	if err := knowSizes(ctx, dst, digests, sizes); err != nil {
		return nil, err
	}
	if !in.isDir {
		return &index.Tree{Digest: digests[0], Size: sizes[0]}, nil
	}
	files := make(object.Manifest, len(in.files))
	for i, f := range in.files {
		files[i] = object.File{Path: f.path, Digest: digests[i], Size: sizes[i]}
	}
	files.Sort()
	got := &index.Tree{IsDir: true, Files: files, Size: max(files.Size(), 0)}
	got.Digest, _ = files.Digest(a)
	if in.want.Algorithm() == a && in.want != got.Digest {
		return nil, fmt.Errorf("'%s': %w", disk.Quote(name), object.Mismatch(in.want, got.Digest))
	}
	_, err := w.PutManifest(files, a)
	return got, err
}

// moveObjects transfers recorded objects, from the first store that has each.
func moveObjects(ctx context.Context, in *incoming, which []int, name string, dst object.Store, o remote.TransferOptions) error {
	var left []remote.Item
	byItem := map[object.Digest]*incomingFile{}
	for _, i := range which {
		f := &in.files[i]
		if byItem[f.digest] == nil {
			byItem[f.digest] = f
			left = append(left, remote.Item{Digest: f.digest, Size: f.size, Path: path.Join(name, f.path)})
		}
	}
	have, err := hasAll(ctx, dst, left)
	if err != nil {
		return err
	}
	left = slices.DeleteFunc(left, func(it remote.Item) bool {
		info, ok := have[it.Digest]
		return ok && (it.Size < 0 || info.Size == it.Size)
	})
	var last error
	for turn := 0; len(left) > 0; turn++ {
		groups := map[object.Store][]remote.Item{}
		for _, it := range left {
			if f := byItem[it.Digest]; turn < len(f.stores) {
				groups[f.stores[turn]] = append(groups[f.stores[turn]], it)
			}
		}
		if len(groups) == 0 {
			break
		}
		done := map[object.Digest]bool{}
		for store, items := range groups {
			moved, err := moveFrom(ctx, dst, store, items, o)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				last = err
			}
			for d := range moved {
				done[d] = true
			}
		}
		left = slices.DeleteFunc(left, func(it remote.Item) bool { return done[it.Digest] })
	}
	if len(left) == 0 {
		return nil
	}
	if last == nil {
		last = byItem[left[0].Digest].lack
	}
	return missingObjects(left, last)
}

// missingObjects is the failure to find objects anywhere.
func missingObjects(left []remote.Item, why error) error {
	const shown = 10
	var lines []string
	for _, it := range left[:min(shown, len(left))] {
		lines = append(lines, fmt.Sprintf("%s: %s", it.Digest.Algorithm().Key(), it.Digest))
	}
	if more := len(left) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	msg := fmt.Sprintf("%d objects are neither in a cache nor on the remote of the repository, such as that of '%s'", len(left), disk.Quote(left[0].Path))
	if len(left) == 1 {
		msg = fmt.Sprintf("the object of '%s' is neither in a cache nor on the remote of the repository", disk.Quote(left[0].Path))
	}
	kind := errs.NotFound
	if why != nil {
		if k := errs.KindOf(why); k != errs.Other && k != errs.NotFound {
			kind = k
		}
		msg += ": " + why.Error()
	}
	return &errs.Error{Kind: kind, Msg: msg + " (" + strings.Join(lines, ", ") + ")", Hint: errs.HintOf(why)}
}

func hasAll(ctx context.Context, s object.Store, items []remote.Item) (map[object.Digest]object.Info, error) {
	ds := make([]object.Digest, len(items))
	for i, it := range items {
		ds[i] = it.Digest
	}
	return s.Has(ctx, ds)
}

// moveFrom transfers what a store has of items, and returns what is now there.
// An object that turns out to be damaged is left for the next store.
func moveFrom(ctx context.Context, dst, src object.Store, items []remote.Item, o remote.TransferOptions) (map[object.Digest]bool, error) {
	have, err := hasAll(ctx, src, items)
	if err != nil {
		return nil, err
	}
	var take []remote.Item
	for _, it := range items {
		info, ok := have[it.Digest]
		if !ok {
			continue
		}
		if it.Size >= 0 && info.Size >= 0 && info.Size != it.Size {
			err = errs.New(errs.Corrupt, "object %s has %d bytes instead of %d", it.Digest, info.Size, it.Size)
			continue
		}
		take = append(take, it)
	}
	if len(take) == 0 {
		return nil, err
	}
	stats, terr := remote.Transfer(ctx, dst, src, take, o)
	moved := map[object.Digest]bool{}
	for _, it := range take {
		moved[it.Digest] = true
	}
	for _, m := range stats.Missing {
		delete(moved, m.Digest)
	}
	for _, f := range stats.Failed {
		delete(moved, f.Item.Digest)
	}
	if stats.NotTried > 0 {
		return nil, terr
	}
	return moved, errors.Join(err, terr)
}

// readJobs is how many files are read at once that are no objects of ours.
const readJobs = 8

// readIncoming reads files whose digest in our algorithm is not known.
func (r *Repo) readIncoming(ctx context.Context, in *incoming, which []int, a object.Algorithm, name string, jobs int, w *cache.Writer, digests []object.Digest, sizes []int64) error {
	if len(which) == 0 {
		return nil
	}
	span := r.phase("read the source", "files")
	defer span.End()
	span.Add(int64(len(which)), 0)
	if jobs <= 0 {
		jobs = readJobs
	}
	task := r.Progress.Start("Importing", int64(len(which)), -1)
	defer task.Done()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, i := range which {
		g.Go(func() error {
			f := &in.files[i]
			body, size, err := f.read(gctx)
			if err != nil {
				return f.wrap(name, err)
			}
			defer body.Close()
			digests[i], sizes[i], err = w.AddReader(gctx, body, size, a, func(n int64) { task.Add(0, n) })
			task.Add(1, 0)
			return f.wrap(name, err)
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// read opens the bytes, from the first store that has them. A recorded digest
// is proven before the end.
func (f *incomingFile) read(ctx context.Context) (io.ReadCloser, int64, error) {
	if f.open != nil {
		return f.open(ctx)
	}
	last := f.lack
	for _, s := range f.stores {
		body, size, err := s.Open(ctx, f.digest)
		if err == nil {
			return body, size, nil
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if last == nil || !errs.Is(err, errs.NotFound) {
			last = err
		}
	}
	return nil, 0, missingObjects([]remote.Item{{Digest: f.digest, Path: f.path}}, last)
}

// knowSizes fills in the sizes of objects whose record does not say.
func knowSizes(ctx context.Context, s object.Store, ds []object.Digest, sizes []int64) error {
	var ask []object.Digest
	for i, n := range sizes {
		if n < 0 {
			ask = append(ask, ds[i])
		}
	}
	if len(ask) == 0 {
		return nil
	}
	have, err := s.Has(ctx, ask)
	if err != nil {
		return err
	}
	for i := range sizes {
		if info, ok := have[ds[i]]; ok && sizes[i] < 0 {
			sizes[i] = info.Size
		}
	}
	return nil
}

// placeTree makes the workspace have what arrived at a path, in place of what is
// there. What was there and is stored nowhere is kept in the cache first, unless
// discard is set.
func (r *Repo) placeTree(ctx context.Context, rel string, got *index.Tree, discard bool) error {
	if err := r.clearForeign(rel); err != nil {
		return err
	}
	have, err := r.scanner(r.Alg).Scan(ctx, rel, r.rulesAbove(rel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !disk.IsNotDir(err) {
		return r.behindLink(rel, err)
	}
	want := index.Want{Path: rel, Digest: got.Digest, Files: got.Files}
	plan := index.MakePlan(want, have, false)
	if plan.Empty() {
		return nil
	}
	if !discard {
		if err := r.keepLosing(ctx, plan); err != nil {
			return err
		}
	}
	task := progress.Or(r.Progress).Start("Checking out", int64(len(plan.Create)), -1)
	defer task.Done()
	done, err := r.apply(ctx, []index.Plan{plan}, task)
	if err == nil {
		err = done.Err()
	}
	return err
}

// clearForeign removes a link, pipe or socket that stands where data go.
func (r *Repo) clearForeign(rel string) error {
	st, err := r.Dir.LstatPath(rel)
	if err != nil || st.IsDir() || st.IsRegular() {
		return nil // what is wrong with the way shows when it is gone
	}
	return r.removeFile(rel)
}

// keepLosing stores the files that a plan replaces or removes and whose bytes
// are stored nowhere.
func (r *Repo) keepLosing(ctx context.Context, plan index.Plan) error {
	lost, err := r.unstored(ctx, plan.Losing)
	if err != nil || len(lost) == 0 {
		return err
	}
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return err
	}
	defer w.Abort()
	kept := make([]string, 0, len(lost))
	for _, f := range lost {
		rel := f.Path
		dir, base, err := r.Dir.Parent(rel)
		if err != nil {
			return err
		}
		added, err := w.AddFile(dir, base, r.Alg, object.Digest{}, nil)
		dir.Close()
		if err != nil {
			return fmt.Errorf("keep '%s': %w", r.Show(rel), err)
		}
		kept = append(kept, fmt.Sprintf("'%s' as %s", disk.Quote(r.Show(rel)), added.Digest))
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	const shown = 5
	if more := len(kept) - shown; more > 0 {
		kept = append(kept[:shown], fmt.Sprintf("%d more", more))
	}
	r.warn("changes that were stored nowhere were kept in the cache before they are replaced: %s", strings.Join(kept, ", "))
	return nil
}
