package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// DropOptions of [Repo.Drop].
type DropOptions struct {
	Targets   []string
	Recursive bool
	Glob      bool
	Remote    string // whose copies count; "" is each out's own, or the default
	// Trust believes a remote's listing, names and sizes, instead of reading
	// what is there.
	Trust     bool
	CacheOnly bool // leave the workspace alone
	Jobs      int
	Dry       bool
}

// DropResult tells what was freed.
type DropResult struct {
	Paths   []string `json:"paths"`
	Objects int      `json:"objects"` // of the cache
	Bytes   int64    `json:"bytes"`
	Proven  int      `json:"proven"` // objects that were read on the remote
	// Kept counts objects of the cache that other outs of the workspace use.
	Kept int `json:"kept"`
}

// Drop frees the space that data take on this machine, once it is proven that
// a remote has all of it: nothing is deleted before. Lists of files stay, since
// they are small and say what was there. Data of the workspace that differ
// from what is recorded are never dropped.
func (r *Repo) Drop(ctx context.Context, o DropOptions) (DropResult, error) {
	res := DropResult{Paths: []string{}}
	if len(o.Targets) == 0 {
		return res, errs.New(errs.Usage, "say what is to be dropped")
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	if err := r.nobodyAtWork(); err != nil {
		return res, err
	}
	targets, err := r.Collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, Glob: o.Glob})
	if err != nil {
		return res, err
	}
	targets = slices.DeleteFunc(targets, func(t Target) bool {
		return !t.Out.Cache || t.Out.IsExternal() || t.Out.Digest.IsZero()
	})
	list, err := r.wantedObjects(ctx, CloudOptions{Targets: o.Targets, Recursive: o.Recursive, Glob: o.Glob, Remote: o.Remote}, false)
	if err != nil {
		return res, err
	}
	if !o.CacheOnly {
		if err := r.checkUnchanged(ctx, targets); err != nil {
			return res, err
		}
	}
	var going []object.Digest
	for _, w := range list {
		ds, err := r.proveRemote(ctx, w, o, &res)
		if err != nil {
			return res, err
		}
		going = append(going, ds...)
	}
	others, err := r.usedElsewhere(ctx, targets)
	if err != nil {
		return res, err
	}
	have, err := r.Cache.Has(ctx, going)
	if err != nil {
		return res, err
	}
	var free []object.Digest
	for d, i := range have {
		if others[d] {
			res.Kept++
			continue
		}
		free = append(free, d)
		res.Objects++
		res.Bytes += i.Size
	}
	for _, t := range targets {
		res.Paths = append(res.Paths, r.Show(t.Path()))
	}
	res.Paths = unique(res.Paths)
	if o.Dry {
		return res, nil
	}
	if !o.CacheOnly {
		for _, t := range targets {
			if err := r.deleteOut(t.Path()); err != nil {
				return res, errors.Join(err, r.saveState())
			}
		}
	}
	return res, errors.Join(r.Cache.Delete(ctx, free), r.saveState())
}

// proveRemote makes sure that a remote has all objects of bundles, and returns
// the files among them.
func (r *Repo) proveRemote(ctx context.Context, w *wanted, o DropOptions, res *DropResult) ([]object.Digest, error) {
	store, name, err := r.openRemote(ctx, w.remote)
	if err != nil {
		return nil, err
	}
	defer closeStore(store)
	if err := readManifests(ctx, w.bundles, r.Cache, store); err != nil {
		return nil, err
	}
	items := map[object.Digest]remote.Item{}
	for _, b := range w.bundles {
		if b.digest.IsDir() && !b.known {
			return nil, errs.New(errs.NotFound, "the list of files of '%s' is neither in the cache nor on remote '%s'", disk.Quote(b.path), name)
		}
		for it := range b.items() {
			items[it.Digest] = it
		}
	}
	ds := make([]object.Digest, 0, len(items))
	for d := range items {
		ds = append(ds, d)
	}
	there, err := store.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	here, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	var lacking failures
	var total int64
	for _, d := range ds {
		i, ok := there[d]
		local, cached := here[d]
		total += i.Size
		if !ok || cached && local.Size != i.Size {
			lacking.add(items[d].Path, errs.New(errs.NotFound, "remote '%s' lacks it", name))
		}
	}
	if !o.Trust && len(lacking.list) == 0 {
		task := r.Progress.Start("Reading remote "+name, int64(len(ds)), total)
		var mu sync.Mutex
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(max(1, o.Jobs, store.Properties().Concurrency))
		for _, d := range ds {
			g.Go(func() error {
				err := object.Check(gctx, store, d)
				task.Add(1, there[d].Size)
				mu.Lock()
				defer mu.Unlock()
				if gctx.Err() != nil {
					return gctx.Err()
				}
				if err != nil {
					lacking.add(items[d].Path, err)
				} else {
					res.Proven++
				}
				return nil
			})
		}
		err := g.Wait()
		task.Done()
		if err != nil {
			return nil, err
		}
	}
	if err := lacking.err("Drop"); err != nil {
		return nil, errs.WithHint(err, "Nothing was dropped. Push it first: %s push -r %s %s", r.env.Program, name, disk.Quote(o.Targets[0]))
	}
	return slices.DeleteFunc(ds, object.Digest.IsDir), nil
}

// checkUnchanged fails if the workspace has something else at targets than
// what is recorded.
func (r *Repo) checkUnchanged(ctx context.Context, targets []Target) error {
	var bad failures
	for _, t := range targets {
		same, err := r.isAsRecorded(ctx, t)
		if err != nil {
			return err
		}
		if !same {
			bad.add(r.Show(t.Path()), errs.New(errs.Conflict, "it differs from what is recorded"))
		}
	}
	if err := bad.err("Drop"); err != nil {
		return errs.WithHint(err, "Nothing was dropped. Record it with `%[1]s commit` or give it up with `%[1]s checkout --force`, or drop the cache's copy alone: --cache-only.", r.env.Program)
	}
	return nil
}

// isAsRecorded reports whether a path of the workspace has nothing but what is
// recorded for it. Some of it, or all, may be missing.
func (r *Repo) isAsRecorded(ctx context.Context, t Target) (bool, error) {
	d := t.Out.Digest
	have, err := r.scanner(d.Algorithm()).Scan(ctx, t.Path(), r.rulesAbove(t.Path()))
	switch {
	case errors.Is(err, fs.ErrNotExist), err != nil && disk.IsNotDir(err):
		return true, nil
	case err != nil:
		return false, err
	case !d.IsDir() || t.Under == "" && have.Digest == d:
		return have.Digest == d, nil
	}
	m, err := r.Cache.ReadManifest(ctx, d)
	if err != nil {
		return false, err
	}
	recorded := func(rel string, d object.Digest) bool {
		f, ok := m.Find(path.Join(t.Under, rel))
		return ok && f.Digest == d
	}
	if !have.IsDir {
		return recorded("", have.Digest), nil
	}
	return !slices.ContainsFunc(have.Files, func(f object.File) bool { return !recorded(f.Path, f.Digest) }), nil
}

// usedElsewhere are the objects that outs of the workspace use besides targets.
func (r *Repo) usedElsewhere(ctx context.Context, targets []Target) (map[object.Digest]bool, error) {
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	isTarget := func(p string) bool {
		return slices.ContainsFunc(targets, func(t Target) bool { return p == t.Path() || strings.HasPrefix(p, t.Path()+"/") })
	}
	used := map[object.Digest]bool{}
	for _, t := range stages.Outs() {
		d, p := t.Out.Digest, t.Out.RepoPath()
		if d.IsZero() || !t.Out.Cache || isTarget(p) {
			continue
		}
		used[d] = true
		if !d.IsDir() {
			continue
		}
		m, err := r.Cache.ReadManifest(ctx, d)
		if err != nil {
			continue // what it names is not known here, and so not here
		}
		for _, f := range m {
			if !isTarget(path.Join(p, f.Path)) {
				used[f.Digest] = true
			}
		}
	}
	return used, nil
}
