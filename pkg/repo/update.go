package repo

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// UpdateOptions of [Repo.Update].
type UpdateOptions struct {
	Targets    []string
	Rev        string // to follow from now on; "" is what each import follows
	Recursive  bool
	NoDownload bool   // pin anew and bring no data
	ToRemote   bool   // of a URL: send what is new to a remote, not to the cache
	Remote     string // for ToRemote
	Jobs       int
	Say        func(format string, args ...any) // of results, may be nil
}

// UpdateResult tells what Update did.
type UpdateResult struct {
	Updated   []ImportResult `json:"updated"`
	Unchanged []string       `json:"unchanged"` // pointer files
	Changed   []string       `json:"-"`
}

// Update brings imports up to date with where they come from. Each is finished
// before the next begins.
func (r *Repo) Update(ctx context.Context, o UpdateOptions) (UpdateResult, error) {
	res := UpdateResult{Updated: []ImportResult{}, Unchanged: []string{}}
	switch {
	case o.ToRemote && o.NoDownload:
		return res, errs.New(errs.Invalid, "--to-remote can't be used with --no-download")
	case !o.ToRemote && o.Remote != "":
		return res, errs.New(errs.Invalid, "--remote can't be used without --to-remote")
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	imports, others, err := r.updateTargets(ctx, o)
	if err != nil {
		return res, err
	}
	for _, s := range imports {
		done, err := r.updateOne(ctx, s, o)
		if err != nil {
			return res, errors.Join(err, r.saveState())
		}
		if done == nil {
			res.Unchanged = append(res.Unchanged, s.File)
			continue
		}
		res.Updated = append(res.Updated, *done)
		res.Changed = unique(append(res.Changed, done.Changed...))
	}
	for _, s := range others {
		for _, out := range s.Outs {
			r.warn("Could not update '%s', it was never pushed to a remote", disk.Quote(r.Show(out.RepoPath())))
		}
	}
	return res, r.saveState()
}

// updateTargets sorts the targets' stages: imports, and others, which have no
// source to follow.
func (r *Repo) updateTargets(ctx context.Context, o UpdateOptions) (imports, others []*pipeline.Stage, err error) {
	for _, t := range o.Targets {
		if rel, err := r.Rel(t); err == nil && strings.HasSuffix(rel, ".dvc") {
			if there, err := r.exists(rel); err == nil && !there {
				return nil, nil, errs.New(errs.NotFound, "'%s' does not exist", r.abs(rel))
			}
		}
	}
	targets, err := r.Collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive})
	if err != nil {
		return nil, nil, err
	}
	seen := map[*pipeline.Stage]bool{}
	for _, t := range targets {
		if seen[t.Stage] {
			continue
		}
		seen[t.Stage] = true
		if t.Stage.IsImport() {
			imports = append(imports, t.Stage)
		} else {
			others = append(others, t.Stage)
		}
	}
	if len(others) > 0 {
		for _, flag := range []struct {
			given bool
			name  string
		}{{o.Rev != "", "--rev"}, {o.NoDownload, "--no-download"}, {o.ToRemote, "--to-remote"}} {
			if flag.given {
				return nil, nil, errs.New(errs.Invalid, "%s can't be used with worktree update", flag.name)
			}
		}
	}
	return imports, others, nil
}

// updateOne returns nil if there was nothing to do.
func (r *Repo) updateOne(ctx context.Context, s *pipeline.Stage, o UpdateOptions) (*ImportResult, error) {
	d := s.Deps[0]
	old, err := r.Dir.ReadFile(s.File)
	if err != nil {
		return nil, err
	}
	p := &importPlan{rel: s.Outs[0].RepoPath(), stage: s, out: s.Outs[0], old: old}
	switch {
	case d.DB != nil:
		return nil, errs.New(errs.Unsupported, "'%s' is an import from a database, which cairn cannot update", r.address(s))
	case d.Repo == nil:
		return r.updateURL(ctx, p, o)
	case o.ToRemote:
		return nil, errs.New(errs.Invalid, "Data imported from other DVC or Git repositories can't be updated with --to-remote")
	}
	if o.Rev != "" {
		d.Repo.Rev = o.Rev
	}
	if d.Repo.RevLock, err = r.sourceRev(ctx, d, d.Repo.Rev); err != nil {
		return nil, err
	}
	changed, err := r.importChanged(ctx, s)
	if err != nil {
		return nil, err
	}
	if !changed {
		o.Say("'%s' didn't change, skipping", disk.Quote(r.address(s)))
		return nil, r.writePointer(s, old)
	}
	pin := d.Repo.Rev
	if err := r.bringImport(ctx, p, importing{rev: pin, say: o.Say, noDownload: o.NoDownload, jobs: o.Jobs}); err != nil {
		return nil, err
	}
	res, err := r.finishImport(ctx, p, true)
	return &res, err
}

// isPinned reports whether an import is pinned to one state of its source, so
// that the source may have gone on: to a commit, or to a version in a bucket.
func isPinned(s *pipeline.Stage) bool {
	return isRepoImport(s) || s.IsImport() && isVersioned(s.Deps[0])
}

// isVersioned reports whether a dependency names one version in a bucket.
func isVersioned(d *pipeline.Dep) bool {
	return d.VersionID != "" || len(d.Files) > 0 && d.Files[0].VersionID != ""
}

// updateStatus tells whether the source of a pinned import has gone on. Not to
// reach it is no failure of status.
func (r *Repo) updateStatus(ctx context.Context, s *pipeline.Stage, into *StageStatus) error {
	d := s.Deps[0]
	behind := false
	var err error
	if d.Repo != nil {
		if d.Repo.RevLock == "" {
			return nil
		}
		var now string
		now, err = r.sourceRev(ctx, d, d.Repo.Rev)
		behind = err == nil && now != d.Repo.RevLock
	} else {
		var state string
		state, err = r.placeState(ctx, d)
		if state == IsModified && len(d.Files) > 0 || state == IsDeleted {
			into.Deps = append(into.Deps, PathStatus{Path: r.depName(d), State: state})
			return nil
		}
		behind = err == nil && state != ""
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.warn("whether '%s' can be updated is not known: %v", disk.Quote(r.address(s)), err)
	case behind:
		into.Deps = append(into.Deps, PathStatus{Path: r.depName(d), State: IsBehind})
	}
	return nil
}

// importChanged reports whether an import's own checksum or its out are not
// what is recorded.
func (r *Repo) importChanged(ctx context.Context, s *pipeline.Stage) (bool, error) {
	if s.MD5 != s.ComputeMD5() {
		return true, nil
	}
	state, err := r.outStatus(ctx, Target{Stage: s, Out: s.Outs[0]})
	return state != "", err
}

// sourceRev asks which commit a revision of an import's source is now. Nothing
// is fetched. One command asks once for each.
func (r *Repo) sourceRev(ctx context.Context, d *pipeline.Dep, rev string) (string, error) {
	key := d.Repo.URL + "\x00" + rev
	if t, ok := r.tips[key]; ok {
		return t.sha, t.err
	}
	sha, err := r.askRev(ctx, depSource(r.env, d, rev, r.Root, r.abs(d.Stage.WDir)))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if r.tips == nil {
		r.tips = map[string]tip{}
	}
	r.tips[key] = tip{sha, err}
	return sha, err
}

// tip is an answer of a source.
type tip struct {
	sha string
	err error
}

func (r *Repo) askRev(ctx context.Context, o SourceOptions) (string, error) {
	dir, err := sourceDir(r.env, o.URL)
	if errors.Is(err, errFar) {
		f, err := r.env.openFarSource(dir)
		if err != nil {
			return "", err
		}
		defer f.close()
		return f.tip(ctx, o.Rev)
	}
	if err != nil {
		return "", err
	}
	g, err := git.Open(dir, git.Options{Env: r.env.Environ})
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.Unsupported, "Only supported for Git repositories. If you're seeing this error in a Git repo, try updating the DVC configuration with `dvc config core.no_scm false`.")
	}
	if err != nil {
		return "", err
	}
	defer g.Close()
	if o.Rev == "" {
		o.Rev = "HEAD"
	}
	return g.Resolve(ctx, o.Rev)
}

// isBelow reports whether an absolute path lies in the repository.
func (r *Repo) isBelow(abs string) bool {
	rel, err := filepath.Rel(r.Root, abs)
	return err == nil && !outOfRoot(filepath.ToSlash(rel))
}
