package repo

import (
	"context"
	"fmt"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// remoteRuns is the run cache of a remote. Only a folder can be used for it so
// far: the stores of other remotes take objects and nothing else.
func (r *Repo) remoteRuns(ctx context.Context, name string, create bool) (*pipeline.RunCache, error) {
	store, known, err := r.openRemote(ctx, name)
	if err != nil {
		return nil, err
	}
	defer closeStore(store)
	folder, ok := store.(*cache.Cache)
	if !ok {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "the run cache cannot be sent to or brought from the remote '%s' yet: it is not a folder of this machine", known),
			"Leave --run-cache out.")
	}
	if create {
		if err := makeFolder(ctx, folder); err != nil {
			return nil, err
		}
	}
	runs := pipeline.NewRunCache(folder.Path())
	runs.Warn = r.warn
	return runs, nil
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
func (r *Repo) pushRuns(ctx context.Context, name string) (int, error) {
	runs, err := r.remoteRuns(ctx, name, true)
	if err != nil {
		return 0, err
	}
	return r.copyRuns(ctx, runs, pipeline.NewRunCache(r.Cache.Path()))
}

// fetchRuns brings the runs that the cache lacks, and counts them.
func (r *Repo) fetchRuns(ctx context.Context, name string) (int, error) {
	runs, err := r.remoteRuns(ctx, name, false)
	if err != nil {
		return 0, err
	}
	if err := makeFolder(ctx, r.Cache); err != nil {
		return 0, err
	}
	return r.copyRuns(ctx, pipeline.NewRunCache(r.Cache.Path()), runs)
}

// copyRuns copies runs, each checked against its name. One that is damaged is
// left out with a warning: without it a stage runs again.
func (r *Repo) copyRuns(ctx context.Context, dst, src *pipeline.RunCache) (int, error) {
	names, err := src.List()
	if err != nil {
		return 0, fmt.Errorf("list the run cache: %w", err)
	}
	task := r.Progress.Start("Run cache", int64(len(names)), -1)
	defer task.Done()
	n := 0
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		key, value, _ := pipeline.ParseRunPath(name)
		text, err := src.Read(name)
		if err != nil {
			return n, fmt.Errorf("read the run cache: %w", err)
		}
		added, err := dst.Put(key, value, text)
		switch {
		case errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Invalid):
			r.warn("%s is damaged and was left out: %v", disk.Quote(name), err)
		case err != nil:
			return n, fmt.Errorf("write the run cache: %w", err)
		case added:
			n++
		}
		task.Add(1, 0)
	}
	return n, nil
}
