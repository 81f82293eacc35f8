package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// StatusOptions of [Repo.Status].
type StatusOptions struct {
	Targets   []string
	WithDeps  bool
	Recursive bool
	NoUpdates bool // do not ask the sources of imports
}

// The words for how a path differs from what is recorded.
const (
	IsNew        = "new"
	IsModified   = "modified"
	IsDeleted    = "deleted"
	IsNotInCache = "not in cache"
	IsBehind     = "update available" // of an import: the source has gone on
)

// StageStatus is how one stage differs from what is recorded.
type StageStatus struct {
	Address string
	Deps    []PathStatus // of changed dependencies and parameters
	Outs    []PathStatus
	Always  bool // the stage runs always
	Command bool // its command changed
	Sum     bool // its own checksum changed
}

// Changed reports whether anything differs.
func (s *StageStatus) Changed() bool {
	return len(s.Deps) > 0 || len(s.Outs) > 0 || s.Always || s.Command || s.Sum
}

// PathStatus is how one path differs.
type PathStatus struct {
	Path   string // as the user sees it
	State  string // one of the words above; "" if Params tells
	Params []ParamStatus
}

// ParamStatus is how one parameter differs.
type ParamStatus struct{ Key, State string }

// Status compares stages with the workspace and the cache. Only stages that
// differ are returned, in the order of the files. It takes no lock.
func (r *Repo) Status(ctx context.Context, o StatusOptions) ([]StageStatus, error) {
	stages, targets, err := r.collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, WithDeps: o.WithDeps})
	if err != nil {
		return nil, err
	}
	var list []StageStatus
	for _, g := range r.groups(stages, targets, o.Targets) {
		s, err := r.stageStatus(ctx, g, o)
		if err != nil {
			return nil, err
		}
		if s.Changed() {
			list = append(list, s)
		}
	}
	return list, r.saveState()
}

// StatusExplain finds out why stages and data differ from what is recorded, with
// old and new values, in the order in which repro would come to them. Targets
// are those of status; none is everything.
func (r *Repo) StatusExplain(ctx context.Context, o StatusOptions) (ReproResult, error) {
	ro := ReproOptions{Explain: true, AllPipelines: len(o.Targets) == 0, SingleItem: len(o.Targets) > 0 && !o.WithDeps}
	if len(o.Targets) > 0 {
		stages, err := r.Stages(ctx)
		if err != nil {
			return ReproResult{}, err
		}
		for _, t := range o.Targets {
			found, err := r.collectOne(stages, t, CollectOptions{Recursive: o.Recursive})
			if err != nil {
				return ReproResult{}, err
			}
			for _, f := range found {
				ro.Targets = append(ro.Targets, r.address(f.Stage))
			}
			for _, s := range r.stagesMeant(stages, t) {
				ro.Targets = append(ro.Targets, r.address(s))
			}
		}
		if ro.Targets = unique(ro.Targets); len(ro.Targets) == 0 {
			return ReproResult{Stages: []StageRun{}, Changed: []string{}}, nil
		}
	}
	return r.Repro(ctx, ro)
}

// stagesMeant are the stages that a target names, alone or with their file.
func (r *Repo) stagesMeant(stages *Stages, target string) []*pipeline.Stage {
	if file, name, ok := splitStage(target); ok {
		if named := r.stagesNamed(stages, file, name); len(named) > 0 {
			return named
		}
	}
	if rel, err := r.Rel(target); err == nil {
		return stages.File(rel)
	}
	return nil
}

// groups sorts what the arguments of a verb stand for by stage, stages without
// outs included. No arguments are everything.
func (r *Repo) groups(stages *Stages, targets []Target, args []string) []stageGroup {
	list := groupByStage(stages, targets, len(args) == 0)
	for _, t := range args {
		for _, s := range r.stagesMeant(stages, t) {
			if len(s.Outs) == 0 {
				list = append(list, stageGroup{stage: s})
			}
		}
	}
	return list
}

// stageGroup is a stage with the targets among its outs.
type stageGroup struct {
	stage   *pipeline.Stage
	targets []Target
}

// groupByStage sorts targets by stage. With all set, stages without outs are
// in it as well.
func groupByStage(stages *Stages, targets []Target, all bool) []stageGroup {
	at := map[*pipeline.Stage]int{}
	var groups []stageGroup
	need := func(s *pipeline.Stage) int {
		i, ok := at[s]
		if !ok {
			i = len(groups)
			at[s] = i
			groups = append(groups, stageGroup{stage: s})
		}
		return i
	}
	if all {
		for _, s := range stages.All {
			need(s)
		}
	}
	for _, t := range targets {
		i := need(t.Stage)
		groups[i].targets = append(groups[i].targets, t)
	}
	return groups
}

func (r *Repo) stageStatus(ctx context.Context, g stageGroup, o StatusOptions) (StageStatus, error) {
	span := r.phase("compare", "stages")
	defer span.End()
	span.Add(1, 0)
	s := StageStatus{Address: r.address(g.stage)}
	if isPinned(g.stage) {
		if !o.NoUpdates {
			if err := r.updateStatus(ctx, g.stage, &s); err != nil {
				return s, err
			}
		}
	} else if g.stage.Frozen {
		r.warnFrozen(g.stage)
	} else if err := r.depsStatus(ctx, g.stage, &s); err != nil {
		return s, err
	}
	for _, t := range g.targets {
		state, err := r.outStatus(ctx, t)
		if err != nil {
			return s, err
		}
		if state != "" {
			s.Outs = append(s.Outs, PathStatus{Path: r.Show(t.Out.RepoPath()), State: state})
		}
	}
	s.Always = g.stage.AlwaysChanged || isCallback(g.stage)
	s.Sum = g.stage.IsPointer() && g.stage.MD5 != g.stage.ComputeMD5()
	s.Command = !g.stage.IsPointer() && g.stage.HasLock && commandChanged(g.stage)
	return s, nil
}

// isCallback reports whether a stage neither reads nor makes anything, so that
// nothing can tell whether it must run.
func isCallback(s *pipeline.Stage) bool {
	return len(s.Cmd) > 0 && len(s.Deps)+len(s.Params)+len(s.Outs) == 0
}

// address is a stage's name as seen from the working directory.
func (r *Repo) address(s *pipeline.Stage) string {
	file := r.Show(s.File)
	switch {
	case s.IsPointer():
		return file
	case file == "dvc.yaml":
		return s.Name
	}
	return file + ":" + s.Name
}

func (r *Repo) warnFrozen(s *pipeline.Stage) {
	r.warn("%s is frozen. Its dependencies are not going to be shown in the status output.", r.stageName(s))
}

// stageName is how messages call a stage.
func (r *Repo) stageName(s *pipeline.Stage) string {
	return "stage: '" + r.address(s) + "'"
}

// outStatus is how an out, or the part of it that a target names, differs
// from what is recorded; "" if it does not.
func (r *Repo) outStatus(ctx context.Context, t Target) (string, error) {
	o := t.Out
	if o.IsExternal() {
		return "", nil
	}
	cached := o.Cache && !o.Digest.IsZero()
	if cached && !r.mayHave(o.Digest) {
		return IsNotInCache, nil
	}
	state, have, err := r.compareWith(ctx, o.RepoPath(), &o.Entry, t.Under)
	if err != nil || !cached {
		return state, err
	}
	ok, err := r.inCache(ctx, t, have)
	if err == nil && !ok {
		state = IsNotInCache
	}
	return state, err
}

// pathStatus compares a recorded path with the workspace.
func (r *Repo) pathStatus(ctx context.Context, rel string, e *pipeline.Entry, under string) (string, error) {
	state, _, err := r.compareWith(ctx, rel, e, under)
	return state, err
}

// compareWith is pathStatus, with what is in the workspace if that was looked at.
func (r *Repo) compareWith(ctx context.Context, rel string, e *pipeline.Entry, under string) (string, *index.Tree, error) {
	alg := e.Digest.Algorithm()
	if alg == object.None {
		ok, err := r.exists(rel)
		switch {
		case err != nil && !disk.IsNotDir(err):
			return "", nil, err
		case !ok:
			return IsDeleted, nil, nil
		}
		return IsModified, nil, nil // as DVC calls it, which compares with no digest
	}
	have, err := r.scanner(alg).Scan(ctx, rel, r.rulesAbove(rel))
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return IsDeleted, nil, nil
	}
	if errs.Is(err, errs.Invalid) {
		// What stands there, a link out of the repository or a pipe, cannot
		// be what is recorded.
		r.warn("%v", r.behindLink(rel, err))
		return IsModified, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	if have.Digest == e.Digest {
		return "", have, nil
	}
	if under == "" || !have.IsDir {
		return IsModified, nil, nil
	}
	state, err := r.partStatus(ctx, have, e, under)
	return state, nil, err
}

// behindLink names the link in the failure to follow a path through it.
func (r *Repo) behindLink(rel string, err error) error {
	if !errors.Is(err, disk.ErrLink) {
		return err
	}
	link := rel
	for at := rel; at != "."; at = path.Dir(at) {
		if st, lerr := r.Dir.LstatPath(at); lerr == nil && st.IsLink() {
			link = at
		}
	}
	return errs.WithHint(errs.New(errs.Invalid, "'%s' cannot be reached: '%s' is a symbolic link", r.Show(rel), r.Show(link)),
		"Put a folder in the place of the link. Links on the way to data are not followed, since they may lead out of the repository.")
}

// partStatus compares a part of a folder with its manifest.
func (r *Repo) partStatus(ctx context.Context, have *index.Tree, e *pipeline.Entry, under string) (string, error) {
	m, err := r.Cache.ReadManifest(ctx, e.Digest)
	if err != nil {
		return "", err
	}
	want, got := m.Under(under), have.Files.Under(under)
	if len(got) == 0 && len(want) > 0 {
		return IsDeleted, nil
	}
	p := index.MakePlan(index.Want{Path: have.Path, Digest: e.Digest, Files: want}, &index.Tree{Path: have.Path, IsDir: true, Files: got}, false)
	if p.Empty() {
		return "", nil
	}
	return IsModified, nil
}

// mayHave reports whether the cache has at least an object of the name.
func (r *Repo) mayHave(d object.Digest) bool {
	_, err := r.Cache.Stat(d)
	_, lent := r.Cache.Lent(d)
	return err == nil || lent
}

// inCache reports whether the cache has all objects of a target. have is the
// target in the workspace if it is as recorded: it spares parsing the manifest.
func (r *Repo) inCache(ctx context.Context, t Target, have *index.Tree) (bool, error) {
	d := t.Out.Digest
	if !d.IsDir() {
		have, err := r.Cache.Has(ctx, []object.Digest{d})
		return len(have) > 0, err
	}
	// A damaged manifest is as good as none: checkout would refuse it.
	var m object.Manifest
	if have != nil && have.Digest == d {
		ok, err := r.Cache.Verify(ctx, d)
		if _, lent := r.Cache.Lent(d); !lent && (err != nil || !ok) {
			return false, ctx.Err()
		}
		m = have.Files
	} else {
		var err error
		if m, err = r.Cache.ReadManifest(ctx, d); err != nil {
			return false, ctx.Err()
		}
	}
	part := m.Under(t.Under)
	missing, err := r.Cache.Missing(ctx, len(part), func(i int) (object.Digest, int64) { return part[i].Digest, -1 })
	return err == nil && len(missing) == 0, err
}

// depsStatus compares a stage's dependencies and parameters with the lock.
func (r *Repo) depsStatus(ctx context.Context, s *pipeline.Stage, into *StageStatus) error {
	for _, d := range s.Deps {
		if d.Repo != nil || d.DB != nil || d.Dataset != nil || strings.HasPrefix(d.Path, "ds://") {
			continue // their state is asked of the source by update
		}
		if d.IsExternal() || outOfRoot(d.RepoPath()) {
			state, err := r.urlStatus(ctx, d)
			if err != nil {
				return err
			}
			if state != "" {
				into.Deps = append(into.Deps, PathStatus{Path: r.showURL(d), State: state})
			}
			continue
		}
		rel := d.RepoPath()
		state, err := r.pathStatus(ctx, rel, &d.Entry, "")
		if err != nil {
			return err
		}
		if state != "" {
			into.Deps = append(into.Deps, PathStatus{Path: r.Show(rel), State: state})
		}
	}
	return r.paramsStatus(s, into)
}
