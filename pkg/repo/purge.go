package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// PurgeOptions of [Repo.Purge].
type PurgeOptions struct {
	Targets []string // paths of data, now or in any commit; parts of folders too
	// Shared deletes also what other paths use, in any revision.
	Shared bool
	Dry    bool
	// Confirm is shown what would go and may refuse. nil agrees.
	Confirm func(*PurgeResult) bool
}

// PurgeResult tells what would go, and where it was deleted.
type PurgeResult struct {
	Paths   []string `json:"paths"`
	Objects int      `json:"objects"` // different contents that the paths ever had
	// OthersUse are paths that have some of the same contents, with a revision
	// each; MoreOthers counts what the list leaves out.
	OthersUse  []FsckUser `json:"others_use,omitempty"`
	MoreOthers int        `json:"more_others,omitempty"`
	// Deleted counts objects by where they were: "workspace", "cache",
	// "trash", "remote NAME".
	Deleted map[string]int `json:"deleted"`
	Bytes   int64          `json:"bytes"` // of the cache
}

// maxOthers bounds PurgeResult.OthersUse.
const maxOthers = 20

// Purge deletes all that the paths ever had, as far as any commit says, from
// everywhere: the workspace, the cache, its trash, and all remotes. What other
// paths have too is refused unless Shared is set. Lists of files that name it
// stay, but for those of whole folders that go. What cannot be read in a
// revision makes an error, since data of it may be left.
func (r *Repo) Purge(ctx context.Context, o PurgeOptions) (*PurgeResult, error) {
	if len(o.Targets) == 0 {
		return nil, errs.New(errs.Usage, "say what is to be purged")
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := r.nobodyAtWork(); err != nil {
		return nil, err
	}
	p := &purge{Repo: r, res: &PurgeResult{Deleted: map[string]int{}}, going: map[object.Digest]bool{}}
	for _, t := range o.Targets {
		rel, err := r.Rel(t)
		if err != nil {
			return nil, err
		}
		if rel == "." {
			return nil, errs.New(errs.Invalid, "'%s' is the whole repository: name what is to be purged", disk.Quote(t))
		}
		p.paths = append(p.paths, rel)
		p.res.Paths = append(p.res.Paths, r.Show(rel))
	}
	if err := p.find(ctx); err != nil {
		return p.res, err
	}
	p.res.Objects = len(p.going)
	if o.Dry {
		return p.res, nil
	}
	if len(p.res.OthersUse) > 0 && !o.Shared {
		return p.res, errs.WithHint(errs.New(errs.Conflict, "nothing was deleted: other paths have the same content"),
			"Purge them as well, or say that they may lose it: --shared.")
	}
	if o.Confirm != nil && !o.Confirm(p.res) {
		return p.res, errs.New(errs.Cancelled, "refused")
	}
	return p.res, p.delete(ctx)
}

type purge struct {
	*Repo
	res    *PurgeResult
	paths  []string
	going  map[object.Digest]bool
	others map[object.Digest][]FsckUser
}

// covers reports whether a path is one that goes, or lies in one.
func (p *purge) covers(rel string) bool {
	return slices.ContainsFunc(p.paths, func(t string) bool { return rel == t || strings.HasPrefix(rel, t+"/") })
}

// find collects the digests that the paths have had, and who else has them.
func (p *purge) find(ctx context.Context) error {
	unread, err := p.completeManifests(ctx)
	if err != nil {
		return err
	}
	p.others = map[object.Digest][]FsckUser{}
	err = p.eachUse(ctx, func(d object.Digest, u FsckUser) {
		if p.covers(u.Path) {
			p.going[d] = true
		} else {
			p.others[d] = append(p.others[d], u)
		}
	})
	if err != nil {
		return err
	}
	if len(p.going) == 0 {
		return errs.WithHint(errs.New(errs.NotFound, "no data are recorded at %s, neither in the workspace nor in any commit", strings.Join(quoteAll(p.res.Paths), ", ")),
			"Name data by path: `%s ls -R --dvc-only` lists them.", p.env.Program)
	}
	for d := range p.going {
		for _, u := range p.others[d] {
			if d.IsDir() {
				continue // an equal folder elsewhere keeps its own files, or shares them
			}
			if len(p.res.OthersUse) < maxOthers {
				p.res.OthersUse = append(p.res.OthersUse, u)
			} else {
				p.res.MoreOthers++
			}
		}
	}
	slices.SortFunc(p.res.OthersUse, func(a, b FsckUser) int {
		return strings.Compare(a.Path+"\x00"+a.Rev, b.Path+"\x00"+b.Rev)
	})
	if unread != nil {
		return errs.WithHint(fmt.Errorf("nothing was deleted: %w", unread), "What such revisions have at these paths is not known. Mend or fetch what cannot be read, then run the command again.")
	}
	return nil
}

// completeManifests brings the lists of files that may name the paths into the
// cache. It returns why some of them are not known.
func (p *purge) completeManifests(ctx context.Context) (unread, err error) {
	missing := map[object.Digest]*bundle{}
	look := func(stages *Stages) {
		for _, t := range stages.Outs() {
			d, at := t.Out.Digest, t.Out.RepoPath()
			if !d.IsDir() || missing[d] != nil {
				continue
			}
			// Only folders at, above or below a path can name it.
			if !p.covers(at) && !slices.ContainsFunc(p.paths, func(t string) bool { return strings.HasPrefix(t, at+"/") }) {
				continue
			}
			if ok, err := p.Cache.Verify(ctx, d); err == nil && !ok {
				missing[d] = &bundle{path: at, digest: d}
			}
		}
	}
	stages, err := p.Stages(ctx)
	if err != nil {
		return nil, err
	}
	look(stages)
	if p.Git != nil {
		commits, err := p.Git.Commits(ctx)
		if err != nil {
			return nil, err
		}
		for _, sha := range commits {
			v, err := p.commitRevision(sha, sha)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				stages, err = v.Stages(ctx)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				unread = errors.Join(unread, &revisionError{sha, err})
				continue
			}
			look(stages)
		}
	}
	if len(missing) == 0 {
		return unread, nil
	}
	w := &wanted{}
	for _, b := range missing {
		p.dropDamaged(ctx, b.digest)
		w.bundles = append(w.bundles, b)
	}
	for _, name := range p.Config.Remotes() {
		store, _, err := p.openRemote(ctx, name)
		if err != nil {
			return nil, err
		}
		_ = readManifests(ctx, w.bundles, store)
		closeStore(store)
	}
	writer, err := p.Cache.BeginAdd()
	if err != nil {
		return nil, err
	}
	defer writer.Abort()
	for _, b := range w.bundles {
		if !b.known {
			unread = errors.Join(unread, errs.New(errs.NotFound, "the list of files of '%s' (%s) is nowhere to be had", disk.Quote(b.path), b.digest))
			continue
		}
		text, sum := b.files.Encode(b.digest.Algorithm())
		if sum == b.digest {
			err = writer.PutBytes(sum, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return unread, writer.Commit(ctx)
}

// delete does it: the workspace first, so that nobody adds it again, then the
// remotes, then the cache, which is what a second run would find it by.
func (p *purge) delete(ctx context.Context) error {
	var ds []object.Digest
	for d := range p.going {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, object.Digest.Compare)
	for _, rel := range p.paths {
		if _, err := p.Dir.LstatPath(rel); err == nil {
			if err := p.deleteOut(rel); err != nil {
				return err
			}
			p.res.Deleted["workspace"]++
		}
	}
	var failed []error
	for _, name := range p.Config.Remotes() {
		if err := p.fromRemote(ctx, name, ds); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed = append(failed, fmt.Errorf("remote '%s': %w", name, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(errs.WithHint(joinErrors(failed), "The cache still has the data. Run the command again when the remotes can be reached."), p.saveState())
	}
	have, err := p.Cache.Has(ctx, ds)
	if err != nil {
		return err
	}
	for _, i := range have {
		p.res.Bytes += i.Size
	}
	if n := len(have); n > 0 {
		p.res.Deleted["cache"] = n
	}
	if err := p.fromCache(ctx, p.Cache, ds, "trash"); err != nil {
		return err
	}
	return p.saveState()
}

func (p *purge) fromRemote(ctx context.Context, name string, ds []object.Digest) error {
	store, _, err := p.openRemote(ctx, name)
	if err != nil {
		return err
	}
	defer closeStore(store)
	have, err := store.Has(ctx, ds)
	if err != nil {
		return err
	}
	if len(have) > 0 {
		p.res.Deleted["remote "+name] = len(have)
	}
	if folder, ok := store.(*cache.Cache); ok {
		return p.fromCache(ctx, folder, ds, "trash of remote "+name)
	}
	there := make([]object.Digest, 0, len(have))
	for d := range have {
		there = append(there, d)
	}
	return store.Delete(ctx, there)
}

// fromCache deletes objects from a folder and from its trash, also those that
// were moved aside as damaged.
func (p *purge) fromCache(ctx context.Context, c *cache.Cache, ds []object.Digest, trash string) error {
	if err := c.Delete(ctx, ds); err != nil {
		return err
	}
	if err := c.DeleteDamaged(ctx, ds); err != nil {
		return err
	}
	list, err := c.Trashes()
	if err != nil {
		return err
	}
	for _, t := range list {
		in := c.OpenTrash(t)
		have, err := in.Has(ctx, ds)
		if err == nil && len(have) > 0 {
			p.res.Deleted[trash] += len(have)
			err = in.Delete(ctx, ds)
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}
