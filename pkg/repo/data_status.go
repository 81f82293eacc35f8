package repo

import (
	"context"
	"sort"

	"github.com/cairndata/cairn/pkg/errs"
)

// DataStatusOptions of [Repo.DataStatus].
type DataStatusOptions struct {
	Targets     []string
	Granular    bool // the files of folders, not only the folders
	Untracked   bool // also the files that neither Git nor cairn tracks
	NotInRemote bool
	Remote      string // for NotInRemote; "" is the default
	Git         bool   // whether Git has changes of its own
}

// DataStatus is how HEAD, the pointer files and the workspace differ. Paths
// are relative to the repository's root; a folder ends in a slash.
type DataStatus struct {
	NotInCache  []string  `json:"not_in_cache,omitempty"`
	NotInRemote []string  `json:"not_in_remote,omitempty"`
	Committed   *DataDiff `json:"committed,omitempty"`   // HEAD against the pointer files
	Uncommitted *DataDiff `json:"uncommitted,omitempty"` // pointer files against the workspace
	Untracked   []string  `json:"untracked,omitempty"`
	Unchanged   []string  `json:"unchanged,omitempty"`
	Git         DataGit   `json:"-"`
}

// DataGit is what Git says next to it.
type DataGit struct {
	Empty bool // no commit yet
	Dirty bool // changes that Git tracks itself
}

// DataDiff lists paths by what became of them.
type DataDiff struct {
	Added    []string `json:"added,omitempty"`
	Deleted  []string `json:"deleted,omitempty"`
	Modified []string `json:"modified,omitempty"`
	Renamed  []Rename `json:"renamed,omitempty"`
	Unknown  []string `json:"unknown,omitempty"`
}

// Rename is a path whose content has another name now.
type Rename struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// DataStatus compares three states of the data: HEAD, the pointer files, and
// the workspace. It takes no lock.
func (r *Repo) DataStatus(ctx context.Context, o DataStatusOptions) (DataStatus, error) {
	var res DataStatus
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	paths, err := r.pathsOf(stages, o.Targets)
	if err != nil {
		return res, err
	}
	record, err := r.recordedSide(ctx, stages, o.Granular)
	if err != nil {
		return res, err
	}
	work, err := r.workspaceSide(ctx, stages)
	if err != nil {
		return res, err
	}
	now := filterChanges(findRenames(compareSides(record, work, o.Granular)), paths)
	missing, err := r.notCached(ctx, now)
	if err != nil {
		return res, err
	}
	for _, c := range missing {
		res.NotInCache = append(res.NotInCache, c.shown())
	}
	sort.Strings(res.NotInCache)
	if o.NotInRemote {
		if res.NotInRemote, err = r.notInRemote(ctx, stages, paths, o); err != nil {
			return res, err
		}
	}
	same := map[string]bool{}
	res.Uncommitted = sortChanges(now, same)
	if err := r.committed(ctx, record, paths, o, same, &res); err != nil {
		return res, err
	}
	for p := range same {
		res.Unchanged = append(res.Unchanged, p)
	}
	sort.Strings(res.Unchanged)
	if err := r.gitStatus(ctx, o, paths, &res); err != nil {
		return res, err
	}
	return res, r.saveState()
}

// committed compares HEAD with the pointer files and takes what differs out
// of same.
func (r *Repo) committed(ctx context.Context, record side, paths []string, o DataStatusOptions, same map[string]bool, res *DataStatus) error {
	if r.Git == nil {
		return nil
	}
	head := side{}
	stages, err := r.StagesAt(ctx, "HEAD")
	switch {
	case errs.Is(err, errs.NotFound):
		res.Git.Empty = true // no commit yet
	case err != nil:
		return err
	default:
		if head, err = r.recordedSide(ctx, stages, o.Granular); err != nil {
			return err
		}
	}
	still := map[string]bool{}
	res.Committed = sortChanges(filterChanges(findRenames(compareSides(head, record, o.Granular)), paths), still)
	for p := range same {
		if !still[p] {
			delete(same, p)
		}
	}
	return nil
}

// sortChanges puts changes into their lists; nil if there are none. Unchanged
// paths go to same.
func sortChanges(list []change, same map[string]bool) *DataDiff {
	var d DataDiff
	for _, c := range list {
		switch c.typ {
		case unchanged:
			same[c.shown()] = true
		case added:
			d.Added = append(d.Added, c.shown())
		case deleted:
			d.Deleted = append(d.Deleted, c.shown())
		case modified:
			d.Modified = append(d.Modified, c.shown())
		case renamed:
			to := change{path: c.newPath, isDir: c.isDir}
			d.Renamed = append(d.Renamed, Rename{Old: c.shown(), New: to.shown()})
		case unknown:
			// Of a folder whose list is not at hand, only what is there now
			// can be named.
			if !c.new.IsZero() {
				d.Unknown = append(d.Unknown, c.shown())
			}
		}
	}
	if d.Added == nil && d.Deleted == nil && d.Modified == nil && d.Renamed == nil && d.Unknown == nil {
		return nil
	}
	return &d
}

// gitStatus adds what Git knows: untracked files, and whether it has changes
// of its own.
func (r *Repo) gitStatus(ctx context.Context, o DataStatusOptions, paths []string, res *DataStatus) error {
	if r.Git == nil || !o.Untracked && !o.Git {
		return nil
	}
	s, err := r.Git.Status(ctx, o.Untracked)
	if err != nil {
		if ctx.Err() == nil && !o.Untracked {
			r.warn("%v", err)
			return nil // only a remark is missing
		}
		return err
	}
	res.Git.Dirty = s.Dirty
	var found []change
	for _, rel := range r.fromGit(s.Untracked) {
		if !outOfRoot(rel) {
			found = append(found, change{typ: added, path: rel})
		}
	}
	for _, c := range filterChanges(found, paths) {
		res.Untracked = append(res.Untracked, r.Show(c.path))
	}
	sort.Strings(res.Untracked)
	return nil
}
