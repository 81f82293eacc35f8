package repo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
)

// runStore is a run cache, here or on a remote. Its methods may be called
// concurrently.
type runStore interface {
	// list names all runs, sorted by path.
	list(ctx context.Context) ([]string, error)
	// read returns the text of a run that list named.
	read(ctx context.Context, name string) ([]byte, error)
	// put keeps a run whose text is what its name says; added is false if it
	// was there. Other text is errs.Corrupt or errs.Invalid.
	put(ctx context.Context, name string, text []byte) (added bool, err error)
}

// localRuns is the run cache of a folder of this machine.
type localRuns struct{ c *pipeline.RunCache }

func (l localRuns) list(context.Context) ([]string, error)              { return l.c.List() }
func (l localRuns) read(_ context.Context, name string) ([]byte, error) { return l.c.Read(name) }

func (l localRuns) put(_ context.Context, name string, text []byte) (bool, error) {
	key, value, _ := pipeline.ParseRunPath(name)
	return l.c.Put(key, value, text)
}

// remoteRuns is the run cache of any other remote, under the keys that DVC has.
type remoteRuns struct {
	b remote.Backend

	once  sync.Once
	sizes map[string]int64 // what the remote holds
	err   error
}

// runMost bounds what is read of a run: the record of a stage.
const runMost = 64 << 20

func (r *remoteRuns) load(ctx context.Context) error {
	r.once.Do(func() {
		r.sizes = map[string]int64{}
		for e, err := range r.b.List(ctx, pipeline.RunsDir+"/") {
			if err != nil {
				r.err = err
				return
			}
			if _, _, ok := pipeline.ParseRunPath(e.Key); ok {
				r.sizes[e.Key] = e.Size
			}
		}
	})
	return r.err
}

func (r *remoteRuns) list(ctx context.Context) ([]string, error) {
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(r.sizes))
	for name := range r.sizes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *remoteRuns) read(ctx context.Context, name string) ([]byte, error) {
	body, size, err := r.b.Open(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if size > runMost {
		return nil, errs.New(errs.Invalid, "it has %d bytes, too many for a run", size)
	}
	return io.ReadAll(io.LimitReader(body, runMost))
}

// put trusts a run that is there with the length of this one: its name is the
// sum of what it says, and who fetches it checks.
func (r *remoteRuns) put(ctx context.Context, name string, text []byte) (bool, error) {
	key, value, _ := pipeline.ParseRunPath(name)
	if _, err := pipeline.CheckRun(key, value, text); err != nil {
		return false, err
	}
	if err := r.load(ctx); err != nil {
		return false, err
	}
	if size, ok := r.sizes[name]; ok && size == int64(len(text)) {
		return false, nil
	}
	return true, r.b.Put(ctx, name, int64(len(text)), bytes.NewReader(text))
}

// withRuns calls f with the run cache of a remote and how many of its requests
// pay at the same time. Remotes that cannot list have none, in DVC too; the user
// is told, and the rest goes on.
func (r *Repo) withRuns(ctx context.Context, name string, create bool, f func(runs runStore, jobs int) error) error {
	store, known, err := r.openRemote(ctx, name)
	if err != nil {
		return err
	}
	defer closeStore(store)
	if folder, ok := store.(*cache.Cache); ok {
		if create {
			if err := makeFolder(ctx, folder); err != nil {
				return err
			}
		}
		runs := pipeline.NewRunCache(folder.Path())
		runs.Warn = r.warn
		return f(localRuns{runs}, 1)
	}
	if _, versions := store.(*remote.Versions); versions {
		r.warn("run-cache is not supported for the remote '%s': it is cloud versioned", known)
		return nil
	}
	b, ok := remote.BackendOf(store)
	if !ok || store.Properties().ListPrice == 0 {
		r.warn("run-cache is not supported for the remote '%s': it cannot list what it holds", known)
		return nil
	}
	return f(&remoteRuns{b: b}, max(1, store.Properties().Concurrency))
}

// makeFolder makes a remote's folder, as the first object would.
func makeFolder(ctx context.Context, folder *cache.Cache) error {
	w, err := folder.BeginAdd()
	if err != nil {
		return err
	}
	w.Abort()
	return ctx.Err()
}

// pushRuns sends the runs that a remote lacks, and counts them.
func (r *Repo) pushRuns(ctx context.Context, name string) (n int, err error) {
	err = r.withRuns(ctx, name, true, func(runs runStore, jobs int) error {
		n, err = r.copyRuns(ctx, runs, localRuns{pipeline.NewRunCache(r.Cache.Path())}, jobs)
		return err
	})
	return n, err
}

// fetchRuns brings the runs that the cache lacks, and counts them.
func (r *Repo) fetchRuns(ctx context.Context, name string) (n int, err error) {
	err = r.withRuns(ctx, name, false, func(runs runStore, jobs int) error {
		if err := makeFolder(ctx, r.Cache); err != nil {
			return err
		}
		n, err = r.copyRuns(ctx, localRuns{pipeline.NewRunCache(r.Cache.Path())}, runs, jobs)
		return err
	})
	return n, err
}

// copyRuns copies runs, each checked against its name. One that is damaged is
// left out with a warning: without it a stage runs again.
func (r *Repo) copyRuns(ctx context.Context, dst, src runStore, jobs int) (int, error) {
	names, err := src.list(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the run cache: %w", err)
	}
	task := r.Progress.Start("Run cache", int64(len(names)), -1)
	defer task.Done()
	var n atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, name := range names {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			added, err := r.copyRun(gctx, dst, src, name)
			if added {
				n.Add(1)
			}
			task.Add(1, 0)
			return err
		})
	}
	err = g.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return int(n.Load()), err
}

func (r *Repo) copyRun(ctx context.Context, dst, src runStore, name string) (added bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	text, err := src.read(ctx, name)
	if err == nil {
		added, err = dst.put(ctx, name, text)
	}
	switch {
	case errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Invalid):
		r.warn("%s is damaged and was left out: %v", disk.Quote(name), err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("copy %s of the run cache: %w", disk.Quote(name), err)
	}
	return added, nil
}
