package repo

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// DiffOptions of [Repo.Diff].
type DiffOptions struct {
	A       string // the old revision; "" is HEAD
	B       string // the new one; "" is the workspace
	Targets []string
}

// DiffResult lists the paths that differ. Its paths are relative to the root.
type DiffResult struct {
	Added      []DiffPath
	Deleted    []DiffPath
	Modified   []DiffPath
	Renamed    []DiffPath
	NotInCache []DiffPath
}

// DiffPath is one path that differs. New is set for a rename, both hashes for
// a modified path.
type DiffPath struct {
	Path    string
	New     string
	Hash    string
	NewHash string
}

// Empty reports whether nothing differs.
func (d *DiffResult) Empty() bool {
	return len(d.Added)+len(d.Deleted)+len(d.Modified)+len(d.Renamed)+len(d.NotInCache) == 0
}

// Diff compares the data of two commits, or of a commit and the workspace.
func (r *Repo) Diff(ctx context.Context, o DiffOptions) (DiffResult, error) {
	var res DiffResult
	if r.Git == nil {
		return res, errs.New(errs.Unsupported, "only supported for Git repositories")
	}
	if o.A == "" {
		o.A = "HEAD"
	}
	if _, err := r.Git.Resolve(ctx, "HEAD"); errs.Is(err, errs.NotFound) {
		return res, nil // no commit to compare with
	}
	oldStages, err := r.StagesAt(ctx, o.A)
	if err != nil {
		return res, err
	}
	old, err := r.recordedSide(ctx, oldStages, true)
	if err != nil {
		return res, err
	}
	newStages, now, err := r.diffTo(ctx, o.B)
	if err != nil {
		return res, err
	}
	var paths []string
	for _, t := range o.Targets {
		p, err := r.diffTarget(oldStages, newStages, t)
		if err != nil {
			return res, err
		}
		paths = append(paths, p...)
	}
	span := r.phase("compare", "")
	list := filterChanges(findRenames(compareSides(old, now, true)), paths)
	span.End()
	if o.B == "" {
		missing, err := r.notCached(ctx, list)
		if err != nil {
			return res, err
		}
		for _, c := range missing {
			res.NotInCache = append(res.NotInCache, DiffPath{Path: c.shown(), Hash: c.old.String()})
		}
	}
	res.fill(list)
	return res, r.saveState()
}

func (r *Repo) diffTo(ctx context.Context, rev string) (*Stages, side, error) {
	if rev != "" {
		stages, err := r.StagesAt(ctx, rev)
		if err != nil {
			return nil, side{}, err
		}
		s, err := r.recordedSide(ctx, stages, true)
		return stages, s, err
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, side{}, err
	}
	s, err := r.workspaceSide(ctx, stages)
	return stages, s, err
}

// diffTarget finds a target in either state.
func (r *Repo) diffTarget(old, new *Stages, target string) ([]string, error) {
	rel, err := r.Rel(target)
	if err != nil {
		return nil, err
	}
	for _, s := range []*Stages{new, old} {
		if list := s.File(rel); len(list) > 0 {
			return r.pathsOf(s, []string{target})
		}
		if s.Find(rel) != nil || len(s.Inside(rel)) > 0 {
			return []string{rel}, nil
		}
	}
	return nil, &DiffTargetError{target}
}

// DiffTargetError says that a target is in neither of the states compared.
type DiffTargetError struct{ Target string }

func (e *DiffTargetError) Error() string {
	return fmt.Sprintf("[Errno 2] No such file or directory: '%s'", e.Target)
}

// Unwrap gives the failure its class.
func (e *DiffTargetError) Unwrap() error { return errs.New(errs.NotFound, "%s", e.Error()) }

func (d *DiffResult) fill(list []change) {
	for _, c := range list {
		p := DiffPath{Path: c.shown(), Hash: c.old.String()}
		switch c.typ {
		case added:
			p.Hash = c.new.String()
			d.Added = append(d.Added, p)
		case deleted:
			d.Deleted = append(d.Deleted, p)
		case modified:
			p.NewHash = c.new.String()
			// DVC names a path by what it was.
			if c.old.IsDir() != c.isDir {
				p.Path = strings.TrimSuffix(p.Path, "/")
				if c.old.IsDir() {
					p.Path += "/"
				}
			}
			d.Modified = append(d.Modified, p)
		case renamed:
			to := change{path: c.newPath, isDir: c.isDir}
			p.New = to.shown()
			d.Renamed = append(d.Renamed, p)
		}
	}
	for _, l := range [][]DiffPath{d.Added, d.Deleted, d.Modified, d.Renamed, d.NotInCache} {
		sort.SliceStable(l, func(i, j int) bool { return l[i].Path < l[j].Path })
	}
}
