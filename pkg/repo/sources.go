package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// openSources opens what objects are read from: the remote name, "" being the
// default, and after it those of cairn.read_remotes, for what it lacks. only
// leaves them out: who names a remote on the command line means that one.
// jobs is as for openRemoteJobs. Remotes that cannot be opened are left out with a warning, unless it is all.
func (r *Repo) openSources(ctx context.Context, name string, jobs int, only bool) (object.Store, error) {
	names := []string{name}
	if name == "" {
		cfg, err := r.remoteConfig("")
		switch {
		case err == nil:
			names[0] = cfg.Name
		case len(r.Config.Cairn.ReadRemotes) == 0 || only || !errs.Is(err, errs.NotFound):
			return nil, err
		default:
			names = nil // there is no default, but there are others
		}
	}
	if !only {
		for _, more := range r.Config.Cairn.ReadRemotes {
			if _, err := r.Config.Remote(more); err != nil {
				return nil, errs.WithHint(fmt.Errorf("cairn.read_remotes: %w", err), "Correct it with `cairn config cairn.read_remotes NAME,NAME`.")
			}
			if !slices.Contains(names, more) {
				names = append(names, more)
			}
		}
	}
	if len(names) == 1 {
		s, _, err := r.openRemoteJobs(ctx, names[0], jobs)
		return s, err
	}
	var links []remote.Link
	var failed []error
	for _, n := range names {
		s, _, err := r.openRemoteJobs(ctx, n, jobs)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if f, ok := s.(*cache.Cache); ok && !folderThere(f) {
			r.warn("remote '%s' is not there: %s", n, f.Path())
		}
		links = append(links, remote.Link{Store: s, Name: fmt.Sprintf("remote %q", n)})
	}
	if len(links) == 0 {
		return nil, errors.Join(failed...)
	}
	for _, err := range failed {
		r.warn("%v", err)
	}
	return remote.NewChain(links, r.warn), nil
}

func folderThere(c *cache.Cache) bool {
	d, err := disk.OpenDir(c.Path())
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	d.Close()
	return true
}

// verifyRemote asks a remote for all objects of the bundles, and reports what it
// lacks or has with another size than the cache.
func (r *Repo) verifyRemote(ctx context.Context, store object.Store, bundles []*bundle) error {
	items := transferItems(bundles)
	there, err := remote.Look(ctx, store, items, true)
	if err != nil {
		return err
	}
	var all []remote.Item
	for _, b := range bundles {
		all = slices.AppendSeq(all, b.items())
	}
	ds := make([]object.Digest, len(all))
	for i, it := range all {
		ds[i] = it.Digest
	}
	here, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return err
	}
	var e remote.TransferError
	seen := map[object.Digest]bool{}
	for _, it := range all {
		far, ok := there.Size(it.Digest)
		local, known := here[it.Digest]
		if seen[it.Digest] || ok && (!known || local.Size == far) {
			continue
		}
		seen[it.Digest] = true
		if !ok {
			e.Stats.Missing = append(e.Stats.Missing, it)
			continue
		}
		e.Stats.Failed = append(e.Stats.Failed, remote.ItemError{Item: it,
			Err: errs.New(errs.Corrupt, "object %s has %d bytes there, not %d", it.Digest, far, local.Size)})
	}
	if len(seen) == 0 {
		return nil
	}
	r.distrust(ctx, store, bundles, e.Stats)
	return errs.WithHint(&errs.Error{Kind: errs.NotFound, Msg: "the remote is not complete: " + e.Lacking()}, "Push from where the data are.")
}

// distrust drops what a remote says of the folders that turned out to lack
// something there, so that the next push asks for each file.
func (r *Repo) distrust(ctx context.Context, store object.Store, bundles []*bundle, s remote.Stats) {
	wrong := map[object.Digest]bool{}
	for _, it := range s.Missing {
		wrong[it.Digest] = true
	}
	for _, f := range s.Failed {
		if errs.Is(f.Err, errs.Corrupt) {
			wrong[f.Item.Digest] = true
		}
	}
	if len(wrong) == 0 || ctx.Err() != nil {
		return
	}
	var folders []object.Digest
	for _, b := range bundles {
		if b.digest.IsDir() && (wrong[b.digest] || slices.ContainsFunc(b.files, func(f object.File) bool { return wrong[f.Digest] })) {
			folders = append(folders, b.digest)
		}
	}
	if len(folders) > 0 {
		_ = remote.DropReceipts(ctx, store, folders) // it may be read-only
	}
}
