package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// StageOut is an out as the command line declares it.
type StageOut struct {
	Path             string
	NoCache          bool
	Persist          bool
	IsMetric, IsPlot bool
}

// StageAddOptions of [Repo.StageAdd]. Paths are as the user typed them, and
// relative to WDir.
type StageAddOptions struct {
	Name          string
	Cmd           string
	Deps          []string
	Params        []string // "[file:]key,key"; "file:" is the whole file
	Outs          []StageOut
	WDir          string // relative to the working directory
	Desc          string
	AlwaysChanged bool
	Force         bool // replace a stage of that name
}

// StageAddResult tells what was added.
type StageAddResult struct {
	Stage   string   `json:"stage"`
	File    string   `json:"file"`
	Changed []string `json:"files"`
	// Unignored are the .gitignore files that could not be written yet, since
	// their folders do not exist.
	Unignored []string `json:"not_ignored,omitempty"`
}

// StageAdd adds a stage to the dvc.yaml of the working directory, or replaces
// it. Nothing is written unless the pipeline with the stage makes sense.
func (r *Repo) StageAdd(ctx context.Context, o StageAddOptions) (StageAddResult, error) {
	var res StageAddResult
	if err := checkStageName(o); err != nil {
		return res, err
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	s, err := r.newStage(o)
	if err != nil {
		return res, err
	}
	if err := r.checkNewStage(s); err != nil {
		return res, err
	}
	text, err := r.withStage(s, o)
	if err != nil {
		return res, err
	}
	added, err := r.checkGraphWith(ctx, s, text)
	if err != nil {
		return res, err
	}
	if err := r.Dir.WriteFile(s.File, text, 0o666); err != nil {
		return res, fmt.Errorf("write %q: %w", r.Show(s.File), err)
	}
	r.forgetStages()
	res = StageAddResult{Stage: s.Name, File: r.Show(s.File), Changed: []string{s.File}}
	if err := r.ignoreNew(inOrderOf(s.Outs, added.Outs), &res); err != nil {
		return res, err
	}
	return res, r.autostage(ctx, res.Changed)
}

func checkStageName(o StageAddOptions) error {
	switch {
	case o.Cmd == "":
		return errs.New(errs.Invalid, "command is not specified")
	case o.Name == "":
		return errs.New(errs.Invalid, "`-n|--name` is required")
	case strings.ContainsAny(o.Name, "!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~"):
		return errs.New(errs.Invalid, "Stage name cannot contain punctuation characters.")
	}
	return nil
}

// newStage makes the stage that the options describe.
func (r *Repo) newStage(o StageAddOptions) (*pipeline.Stage, error) {
	file := path.Join(r.cwd, pipeline.ProjectFile)
	if r.Git != nil {
		for _, f := range []string{file, pipeline.LockFile(file)} {
			if !r.gitIgnored(f, false) {
				continue
			}
			if f == file {
				return nil, errs.WithHint(errs.New(errs.Conflict, "bad DVC file name '%s' is git-ignored.", r.Show(f)), "Take the rule out of .gitignore.")
			}
			return nil, errs.WithHint(errs.New(errs.Conflict, "'%s' is git-ignored.", r.abs(f)), "Take the rule out of .gitignore.")
		}
	}
	wdir, err := r.stageFolder(o.WDir)
	if err != nil {
		return nil, err
	}
	s := &pipeline.Stage{File: file, Name: o.Name, WDir: wdir, Cmd: []string{o.Cmd}, Desc: o.Desc, AlwaysChanged: o.AlwaysChanged}
	for _, d := range o.Deps {
		s.Deps = append(s.Deps, &pipeline.Dep{Stage: s, Entry: pipeline.Entry{Path: r.fromWDir(s, d), Size: -1, NFiles: -1}})
	}
	for _, p := range o.Params {
		r.addParams(s, p)
	}
	for _, out := range o.Outs {
		n := &pipeline.Out{Stage: s, Entry: pipeline.Entry{Path: r.fromWDir(s, out.Path), Size: -1, NFiles: -1}, Cache: !out.NoCache, Persist: out.Persist, Push: true}
		if out.IsMetric {
			n.Metric = true
		}
		if out.IsPlot {
			n.Plot = true
		}
		s.Outs = append(s.Outs, n)
	}
	return s, nil
}

// stageFolder is the working directory of a new stage.
func (r *Repo) stageFolder(typed string) (string, error) {
	abs := filepath.Join(r.env.Dir, filepath.FromSlash(typed))
	if filepath.IsAbs(typed) {
		abs = filepath.Clean(typed)
	}
	rel, err := r.relative(abs)
	if err != nil || outOfRoot(rel) {
		return "", errs.New(errs.Invalid, "stage working dir '%s' is outside of DVC repo", abs)
	}
	st, err := r.Dir.LstatPath(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err):
		return "", errs.New(errs.NotFound, "stage working dir '%s' does not exist", abs)
	case err != nil:
		return "", err
	case !st.IsDir():
		return "", errs.New(errs.Invalid, "stage working dir '%s' is not directory", abs)
	}
	return rel, nil
}

// fromWDir is a path as a stage has it: absolute ones in the repository are
// relative to its working directory.
func (r *Repo) fromWDir(s *pipeline.Stage, p string) string {
	if strings.Contains(p, "://") {
		return p
	}
	if filepath.IsAbs(p) {
		if rel, err := r.relative(p); err == nil && !outOfRoot(rel) {
			if from, err := filepath.Rel(r.abs(s.WDir), r.abs(rel)); err == nil {
				p = from
			}
		}
	}
	return filepath.ToSlash(p)
}

// addParams adds what one --params says.
func (r *Repo) addParams(s *pipeline.Stage, spec string) {
	file, keys := pipeline.DefaultParamsFile, spec
	if i := strings.LastIndexByte(spec, ':'); i >= 0 {
		file, keys = orDefault(spec[:i], file), spec[i+1:]
	}
	file = r.fromWDir(s, file)
	i := slices.IndexFunc(s.Params, func(d *pipeline.ParamDep) bool { return d.Path == file })
	if i < 0 {
		i = len(s.Params)
		s.Params = append(s.Params, &pipeline.ParamDep{Path: file})
	}
	for k := range strings.SplitSeq(keys, ",") {
		if k != "" {
			s.Params[i].Keys = append(s.Params[i].Keys, k)
		}
	}
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// checkNewStage refuses paths that a stage may not have.
func (r *Repo) checkNewStage(s *pipeline.Stage) error {
	at := func(rel string) string {
		if strings.Contains(rel, "://") || path.IsAbs(rel) {
			return rel
		}
		return r.abs(rel)
	}
	var outside []string
	for _, o := range s.Outs {
		rel := o.RepoPath()
		switch {
		case o.Path == "":
			return errs.New(errs.Invalid, "the path of an output is empty")
		case o.Cache && (o.IsExternal() || outOfRoot(rel)):
			outside = append(outside, at(rel))
		case !o.IsExternal() && !outOfRoot(rel) && rel != ".":
			if err := disk.CheckRel(rel); err != nil {
				return errs.New(errs.Invalid, "cannot make %q an output: %w", o.Path, err)
			}
		}
		if pipeline.IsStageFile(path.Base(rel)) {
			return errs.New(errs.Invalid, "DVC file '%s' cannot be an output.", o.Path)
		}
	}
	if len(outside) > 0 {
		return errs.New(errs.Unsupported, "Cached output(s) outside of DVC project: %s. "+
			"See <https://dvc.org/doc/user-guide/pipelines/external-dependencies-and-outputs> for more info.", strings.Join(outside, ", "))
	}
	uses, makes := map[string]int{}, map[string]int{}
	var order []string
	for _, d := range s.Deps {
		order = append(order, d.RepoPath())
		uses[d.RepoPath()]++
	}
	for _, d := range s.Params {
		p := joinAny(s.WDir, d.Path)
		order = append(order, p)
		uses[p]++
	}
	for _, o := range s.Outs {
		order = append(order, o.RepoPath())
		makes[o.RepoPath()]++
	}
	for _, p := range order {
		if uses[p] > 0 && makes[p] > 0 {
			return errs.New(errs.Conflict, "'%s' is specified as an output and as a dependency.", at(p))
		}
	}
	for _, p := range order {
		if uses[p]+makes[p] > 1 {
			return errs.New(errs.Invalid, "file '%s' is specified more than once.", at(p))
		}
	}
	for _, o := range s.Outs {
		if rel := o.RepoPath(); o.Cache && !o.IsExternal() && !outOfRoot(rel) {
			if err := r.checkUntracked(rel); err != nil {
				return err
			}
		}
	}
	return nil
}

// withStage is the text of dvc.yaml with a stage. Of one that is replaced, what
// the command line cannot say stays: meta, and what outs have besides flags.
func (r *Repo) withStage(s *pipeline.Stage, o StageAddOptions) ([]byte, error) {
	text, err := r.Dir.ReadFile(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return pipeline.AddStage(s.File, nil, s.Name, s.Definition())
	}
	if err != nil {
		return nil, err
	}
	there, err := pipeline.HasStage(s.File, text, s.Name)
	if err != nil {
		return nil, err
	}
	if there && !o.Force {
		return nil, errs.New(errs.Conflict, "Stage '%s' already exists in '%s'. Use '--force' to overwrite.", s.Name, r.Show(s.File))
	}
	if there {
		l := pipeline.NewLoader(workFS{r.Dir}, r.loaderOptions(r.Ignore))
		old, err := l.Stages(s.File, s.Name, false)
		if err == nil && len(old) == 1 && old[0].Name == s.Name {
			keepAnnotations(s, old[0])
		}
	}
	return pipeline.AddStage(s.File, text, s.Name, s.Definition())
}

func keepAnnotations(s, old *pipeline.Stage) {
	s.Meta, s.Desc = old.Meta, orDefault(s.Desc, old.Desc)
	for _, o := range s.Outs {
		for _, was := range old.Outs {
			if was.Path == o.Path {
				o.Desc, o.Type, o.Labels, o.Meta, o.Remote, o.Push = was.Desc, was.Type, was.Labels, was.Meta, was.Remote, was.Push
			}
		}
	}
}

// checkGraphWith makes sure that all stages go together when a dvc.yaml has
// another text, and returns the stage s as that text has it.
func (r *Repo) checkGraphWith(ctx context.Context, s *pipeline.Stage, text []byte) (*pipeline.Stage, error) {
	live := &liveFS{workFS: workFS{r.Dir}}
	l := pipeline.NewLoader(patchedFS{live, s.File, text}, r.liveOptions(live))
	p, err := r.loadWorkspace(ctx, l, live, true, s.File)
	if err != nil {
		return nil, err
	}
	if len(p.Errors) > 0 {
		return nil, p.Errors[0]
	}
	var added *pipeline.Stage
	for _, t := range p.Stages {
		if t.File == s.File && t.Name == s.Name {
			added = t
		}
	}
	if added == nil {
		return nil, errs.New(errs.Invalid, "'%s' hides the stage: it is ignored by .dvcignore", r.Show(s.File))
	}
	if err := r.checkOverlap(p, added); err != nil {
		return nil, err
	}
	_, err = p.Graph()
	return added, err
}

// checkOverlap names the other stage that has an out of a new one.
func (r *Repo) checkOverlap(p *pipeline.Pipeline, added *pipeline.Stage) error {
	mine := map[string]bool{}
	for _, o := range added.Outs {
		mine[o.RepoPath()] = true
	}
	for _, t := range p.Stages {
		for _, o := range t.Outs {
			if t != added && mine[o.RepoPath()] {
				return &errs.Error{Kind: errs.Conflict, Err: &pipeline.GraphError{
					Msg: fmt.Sprintf("output '%s' is already specified in stage: '%s'.\nUse `dvc remove %s` to stop tracking the overlapping output.",
						r.Show(o.RepoPath()), p.Address(t), p.Address(t)),
					Places: []string{fmt.Sprintf("%s:%d", r.Show(t.File), max(t.Line, 1))},
				}}
			}
		}
	}
	return nil
}

// inOrderOf sorts outs as others of the same paths were given; what templates
// gave another path goes last.
func inOrderOf(given, outs []*pipeline.Out) []*pipeline.Out {
	at := map[string]int{}
	for i, o := range given {
		at[o.Path] = i - len(given)
	}
	sorted := slices.Clone(outs)
	slices.SortStableFunc(sorted, func(a, b *pipeline.Out) int { return at[a.Path] - at[b.Path] })
	return sorted
}

// ignoreNew keeps Git from the outs of a new stage, where their folders exist.
func (r *Repo) ignoreNew(outs []*pipeline.Out, res *StageAddResult) error {
	for _, o := range outs {
		rel := o.RepoPath()
		if !o.Cache || o.IsExternal() || outOfRoot(rel) || r.Git == nil {
			continue
		}
		if ok, err := r.exists(path.Dir(rel)); err != nil || !ok {
			res.Unignored = append(res.Unignored, r.abs(path.Join(path.Dir(rel), ".gitignore")))
			continue
		}
		changed, err := r.gitIgnore(rel)
		if err != nil {
			return err
		}
		res.Changed = unique(append(res.Changed, changed...))
	}
	return nil
}

// patchedFS is a workspace in which one file has another text.
type patchedFS struct {
	*liveFS
	file string
	text []byte
}

func (p patchedFS) ReadFile(name string) ([]byte, error) {
	if name == p.file {
		return p.text, nil
	}
	return p.liveFS.ReadFile(name)
}

func (p patchedFS) Stat(name string) (fs.FileInfo, error) {
	info, err := p.liveFS.Stat(name)
	if name == p.file && errors.Is(err, fs.ErrNotExist) {
		return workInfo{path.Base(name), disk.Stat{Mode: 0o644, Size: int64(len(p.text))}}, nil
	}
	return info, err
}
