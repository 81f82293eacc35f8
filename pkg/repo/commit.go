package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// CommitOptions of [Repo.Commit].
type CommitOptions struct {
	Targets   []string
	Force     bool // record changes without asking
	WithDeps  bool
	Recursive bool
	NoRelink  bool
	// Confirm is asked for each changed stage; nil refuses.
	Confirm func(question string) bool
}

// CommitResult tells which files changed.
type CommitResult struct {
	Changed []string `json:"files"`
	// Locks are the lock files among them, NewLocks those that were not there.
	Locks    []string `json:"-"`
	NewLocks []string `json:"-"`
}

// Commit records the workspace's outs, and for stages their dependencies and
// parameters, as they are now, storing the outs in the cache.
func (r *Repo) Commit(ctx context.Context, o CommitOptions) (CommitResult, error) {
	var res CommitResult
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	stages, targets, err := r.collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, WithDeps: o.WithDeps})
	if err != nil {
		return res, err
	}
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return res, err
	}
	defer w.Abort()
	rec := newRecorder(r)
	defer rec.close()
	var done []commitment
	for _, g := range r.groups(stages, targets, o.Targets) {
		c, err := r.commitStage(ctx, g, o, w, rec)
		if err != nil {
			r.keepWork(ctx, w)
			return res, err
		}
		done = append(done, c)
	}
	if err := w.Commit(ctx); err != nil {
		return res, err
	}
	if err := rec.store(ctx); err != nil {
		return res, err
	}
	if !o.NoRelink {
		var adds []*addition
		for _, c := range done {
			for _, a := range c.adds {
				if a.out.Cache {
					adds = append(adds, a)
				}
			}
		}
		if err := r.relinkAdds(ctx, adds); err != nil {
			return res, err
		}
	}
	for _, c := range done {
		lock := pipeline.LockFile(c.stage.File)
		old, err := r.exists(lock)
		if err != nil {
			return res, err
		}
		span := r.phase("write pointer files", "files")
		files, err := r.recordCommit(ctx, c, rec.runs)
		span.End()
		if err != nil {
			return res, err
		}
		if slices.Contains(files, lock) {
			res.Locks = append(res.Locks, lock)
			if !old {
				res.NewLocks = append(res.NewLocks, lock)
			}
		}
		res.Changed = append(res.Changed, files...)
	}
	var outs []string
	for _, c := range done {
		for _, a := range c.adds {
			if a.out.Cache {
				outs = append(outs, a.rel)
			}
		}
	}
	r.rememberOuts(outs...)
	ignored, err := r.gitIgnore(outs...)
	if err != nil {
		return res, err
	}
	res.Changed = append(res.Changed, ignored...)
	res.Changed = unique(res.Changed)
	return res, errors.Join(r.autostage(ctx, res.Changed), r.saveState())
}

// commitment is a stage whose outs are stored and not yet recorded.
type commitment struct {
	stage *pipeline.Stage
	adds  []*addition
	save  bool // its record changes
	run   bool // what is recorded goes to the run cache, too
}

func (r *Repo) commitStage(ctx context.Context, g stageGroup, o CommitOptions, w *cache.Writer, rec *recorder) (commitment, error) {
	c := commitment{stage: g.stage, save: o.Force}
	if !o.Force {
		s, err := r.stageStatus(ctx, stageGroup{g.stage, outsOf(g.stage)}, StatusOptions{NoUpdates: true})
		if err != nil {
			return c, err
		}
		// What is only missing from the cache is stored without a question.
		changed := s.Command || s.Sum || len(s.Deps) > 0
		for _, p := range s.Outs {
			changed = changed || p.State != IsNotInCache
		}
		if !changed {
			changed, err = r.differs(ctx, g)
			if err != nil {
				return c, err
			}
		}
		if changed {
			if o.Confirm == nil || !o.Confirm(commitQuestion(r, g.stage, s)) {
				return c, errs.New(errs.Conflict, "unable to commit changed %s. Use `-f|--force` to force.", r.stageName(g.stage))
			}
			c.save = true
		}
	}
	c.run = c.save && isRun(g)
	for _, t := range g.targets {
		if t.Out.IsExternal() {
			continue
		}
		a, err := r.storeOut(ctx, t, w, rec, c.run)
		if err != nil {
			return c, err
		}
		c.adds = append(c.adds, a)
	}
	return c, nil
}

// isRun reports whether what is committed is all that a run of the stage would
// make, so that it may stand for one.
func isRun(g stageGroup) bool {
	s := g.stage
	return s.CanRemember() && len(g.targets) == len(s.Outs) &&
		!slices.ContainsFunc(g.targets, func(t Target) bool { return t.Under != "" }) &&
		!slices.ContainsFunc(s.Deps, func(d *pipeline.Dep) bool { return d.Dataset != nil })
}

// differs reports whether an out that the cache lacks is also not what is
// recorded.
func (r *Repo) differs(ctx context.Context, g stageGroup) (bool, error) {
	for _, t := range g.targets {
		state, err := r.pathStatus(ctx, t.Out.RepoPath(), &t.Out.Entry, t.Under)
		if err != nil || state != "" {
			return state != "", err
		}
	}
	return false, nil
}

func commitQuestion(r *Repo, s *pipeline.Stage, st StageStatus) string {
	what := ""
	switch {
	case len(st.Deps) > 0 && len(st.Outs) > 0:
		what = "dependencies and outputs of "
	case len(st.Deps) > 0:
		what = "dependencies of "
	case len(st.Outs) > 0:
		what = "outputs of "
	}
	return fmt.Sprintf("%s%s changed. Are you sure you want to commit it?", what, r.stageName(s))
}

// storeOut reads an out into the cache. Of a run also those outs are stored that
// Git tracks; they stay files of their own.
func (r *Repo) storeOut(ctx context.Context, t Target, w *cache.Writer, rec *recorder, run bool) (*addition, error) {
	a := &addition{rel: t.Out.RepoPath(), under: t.Under, stage: t.Stage, out: t.Out}
	s := r.scanner(r.Alg)
	legacy := *s
	var err error
	if t.Out.Cache {
		if err := r.checkUntracked(t.Out.RepoPath()); err != nil {
			return nil, err
		}
	}
	switch {
	case t.Out.Cache:
		s.Store = w
	case run:
		if s.Store, err = rec.writer(true); err != nil {
			return nil, err
		}
		s.Cache = rec.copies
	}
	same, err := r.sameLegacy(ctx, a, legacy, s.Store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if same {
		a.keep = true
		return a, nil
	}
	err = r.scanAdd(ctx, a, s, w, AddOptions{})
	return a, err
}

// recordCommit writes a stage's record and returns the files that changed.
func (r *Repo) recordCommit(ctx context.Context, c commitment, runs *pipeline.RunCache) ([]string, error) {
	for _, a := range c.adds {
		if a.keep {
			c.run = false // DVC 2's digests name no run of DVC 3
			continue
		}
		if c.save || a.out.Digest.IsZero() {
			setOut(&a.out.Entry, a.tree)
		}
	}
	if c.stage.IsPointer() {
		old, err := r.Dir.ReadFile(c.stage.File)
		if err != nil {
			return nil, err
		}
		return []string{c.stage.File}, r.writePointer(c.stage, old)
	}
	if !c.save {
		return nil, nil
	}
	if err := r.saveDeps(ctx, c.stage); err != nil {
		return nil, err
	}
	if c.run && !slices.ContainsFunc(c.stage.Params, func(p *pipeline.ParamDep) bool { return p.Values == nil || len(p.Values.Keys) == 0 }) {
		if err := runs.Save(c.stage.RunEntry()); err != nil {
			return nil, fmt.Errorf("save to the run cache: %w", err)
		}
	}
	return r.writeLock(c.stage)
}

// saveDeps records a stage's dependencies and parameters as they are now.
func (r *Repo) saveDeps(ctx context.Context, s *pipeline.Stage) error {
	for _, d := range s.Deps {
		rel := d.RepoPath()
		if d.IsExternal() || d.Repo != nil || d.DB != nil || d.Dataset != nil || outOfRoot(rel) {
			continue
		}
		if err := r.saveDep(ctx, rel, &d.Entry); err != nil {
			return err
		}
	}
	for _, p := range s.Params {
		now, err := pipeline.ReadParams(workFS{r.Dir}, path.Join(s.WDir, p.Path), p.Keys)
		if err != nil {
			return err
		}
		for _, k := range p.Keys {
			if _, ok := now.Values[k]; !ok {
				return errs.New(errs.NotFound, "Parameters '%s' are missing from '%s'.", k, r.Show(path.Join(s.WDir, p.Path)))
			}
		}
		p.Values = now
	}
	return nil
}

func (r *Repo) saveDep(ctx context.Context, rel string, e *pipeline.Entry) error {
	if e.Digest.Algorithm() == object.MD5Legacy {
		// What DVC 2 recorded stays as it is while it is right.
		if state, err := r.pathStatus(ctx, rel, e, ""); err != nil || state == "" {
			return err
		}
	}
	tree, err := r.scanner(r.Alg).Scan(ctx, rel, r.rulesAbove(rel))
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "missing data 'source': %s", r.Show(rel))
	}
	if err != nil {
		return err
	}
	setEntry(e, tree)
	return nil
}
