package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// walkStageFiles calls visit for every stage file below start, folders in
// order, a folder's files before those of its sub-folders. visit returns the
// paths of outs that are declared there: no folder of an out is entered,
// since what lies in it is data. skip, which may be nil, says what else is left
// out. It is for commits; the workspace has [Repo.loadWorkspace].
func walkStageFiles(src fs.FS, m *ignore.Matcher, start string, skip func(rel string, isDir bool) bool, visit func(file string) (outs []string)) error {
	top, err := m.Dir(start)
	if err != nil {
		return err
	}
	if top.Ignored() {
		return nil
	}
	if skip == nil {
		skip = func(string, bool) bool { return false }
	}
	w := &stageWalk{src: src, visit: visit, skip: skip, outs: map[string]bool{}}
	list, err := fs.ReadDir(src, start)
	if err != nil {
		return err
	}
	return w.folder(start, list, top)
}

type stageWalk struct {
	src   fs.FS
	visit func(string) []string
	skip  func(string, bool) bool
	outs  map[string]bool
}

func (w *stageWalk) folder(rel string, list []fs.DirEntry, rules *ignore.Dir) error {
	var folders []string
	var files []string
	for _, e := range list {
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case pipeline.IsStageFile(e.Name()) && !rules.Match(e.Name(), false) && !w.skip(path.Join(rel, e.Name()), false):
			files = append(files, e.Name())
		}
	}
	sort.Strings(files)
	for _, f := range files {
		for _, out := range w.visit(path.Join(rel, f)) {
			w.outs[out] = true
		}
	}
	sort.Strings(folders)
	for _, name := range folders {
		sub := path.Join(rel, name)
		if w.outs[sub] || rules.Match(name, true) || w.skip(sub, true) {
			continue
		}
		if err := w.enter(sub, name, rules); err != nil {
			return err
		}
	}
	return nil
}

func (w *stageWalk) enter(sub, name string, rules *ignore.Dir) error {
	list, err := fs.ReadDir(w.src, sub)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errs.Is(err, errs.Invalid):
		return nil // gone, closed to us, or a link by now: no stage files for us
	case err != nil:
		return err
	}
	var marks ignore.Marks
	for _, e := range list {
		marks |= ignore.Mark(e.Name())
	}
	child, err := rules.Child(name, marks)
	if err != nil {
		return err
	}
	if child.Ignored() {
		return nil
	}
	return w.folder(sub, list, child)
}

// Stages are all stages of the workspace or of a commit, with their outs by
// path.
type Stages struct {
	All   []*pipeline.Stage
	Files []*pipeline.File // what the stages stand in
	Graph *pipeline.Graph

	index sync.Once // what follows is made when it is asked for
	outs  map[string]*pipeline.Out
	file  map[string][]*pipeline.Stage
}

// Target is an out, or a part of one, that a command is about.
type Target struct {
	Stage *pipeline.Stage
	Out   *pipeline.Out
	Under string // a path below the out, "" for all of it
}

// Path is the target's path relative to the root.
func (t Target) Path() string { return path.Join(t.Out.RepoPath(), t.Under) }

func newStages(all []*pipeline.Stage) *Stages { return &Stages{All: all} }

func (s *Stages) lookup() {
	s.index.Do(func() {
		s.outs = make(map[string]*pipeline.Out, len(s.All))
		s.file = make(map[string][]*pipeline.Stage)
		for _, st := range s.All {
			s.file[st.File] = append(s.file[st.File], st)
			for _, o := range st.Outs {
				s.outs[o.RepoPath()] = o
			}
		}
	})
}

// File returns the stages of one stage file.
func (s *Stages) File(file string) []*pipeline.Stage {
	s.lookup()
	return s.file[file]
}

// byPath are the outs by their paths, not to be changed.
func (s *Stages) byPath() map[string]*pipeline.Out {
	s.lookup()
	return s.outs
}

// Find returns the out that tracks a path: the out itself or the folder it
// lies in; nil if nothing does.
func (s *Stages) Find(rel string) *Target {
	outs := s.byPath()
	for at, under := rel, ""; ; {
		if o := outs[at]; o != nil {
			return &Target{Stage: o.Stage, Out: o, Under: under}
		}
		up := path.Dir(at)
		if up == at || up == "." || up == "/" {
			return nil
		}
		under = path.Join(path.Base(at), under)
		at = up
	}
}

// Inside returns the outs strictly below a folder, sorted by path.
func (s *Stages) Inside(rel string) []*pipeline.Out {
	var list []*pipeline.Out
	for p, o := range s.byPath() {
		if strings.HasPrefix(p, rel+"/") || rel == "." && p != "." {
			list = append(list, o)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].RepoPath() < list[j].RepoPath() })
	return list
}

// Outs returns every out as a whole target, in the order of the files.
func (s *Stages) Outs() []Target {
	var list []Target
	for _, st := range s.All {
		list = append(list, outsOf(st)...)
	}
	return list
}

func outsOf(st *pipeline.Stage) []Target {
	list := make([]Target, len(st.Outs))
	for i, o := range st.Outs {
		list[i] = Target{Stage: st, Out: o}
	}
	return list
}

// Stages returns the stages of the workspace, loaded at first use.
func (r *Repo) Stages(ctx context.Context) (*Stages, error) {
	if r.stages != nil {
		return r.stages, nil
	}
	s, err := r.loadStages(ctx, workFS{r.Dir}, r.Ignore, "")
	if err == nil {
		r.stages = s
	}
	return s, err
}

// StagesAt returns the stages of a commit.
func (r *Repo) StagesAt(ctx context.Context, rev string) (*Stages, error) {
	tree, err := r.treeAt(ctx, rev)
	if err != nil {
		return nil, err
	}
	s, err := r.loadStages(ctx, tree, ignore.New(ignore.FS(tree), ignore.Options{}), rev)
	if err != nil && ctx.Err() == nil {
		return nil, &revisionError{rev, err}
	}
	return s, err
}

// ErrInRevision marks a failure to read what stands in a commit, as opposed to
// the workspace. Ask with errors.Is.
var ErrInRevision = errors.New("in a revision")

type revisionError struct {
	rev string
	err error
}

func (e *revisionError) Error() string {
	rev := e.rev
	if len(rev) == 40 {
		rev = rev[:7]
	}
	return fmt.Sprintf("revision '%s': %v", rev, e.err)
}

func (e *revisionError) Unwrap() []error { return []error{e.err, ErrInRevision} }

// treeAt is the repository's folder in a commit.
func (r *Repo) treeAt(ctx context.Context, rev string) (fs.FS, error) {
	if r.Git == nil {
		return nil, errs.New(errs.Unsupported, "this repository has no Git, so there is no revision %q", rev)
	}
	sha, err := r.Git.Resolve(ctx, rev)
	if err != nil {
		return nil, err
	}
	t, err := r.Git.Tree(sha)
	if err != nil {
		return nil, err
	}
	var tree fs.FS = t
	if sub := r.gitPath("."); sub != "." {
		if tree, err = fs.Sub(tree, sub); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// workspaceSkip leaves out what Git ignores.
func (r *Repo) workspaceSkip() func(string, bool) bool {
	if r.Git == nil {
		return nil
	}
	return r.gitIgnored
}

func (r *Repo) loadStages(ctx context.Context, src fs.FS, m *ignore.Matcher, rev string) (*Stages, error) {
	var skip func(string, bool) bool
	if rev == "" {
		skip = r.workspaceSkip()
	}
	p, err := r.loadPipeline(ctx, src, m, skip)
	if err != nil {
		return nil, err
	}
	graph, err := p.Graph()
	if err != nil && rev == "" {
		return nil, err // of a commit, nothing is built or checked out at once
	}
	if rev == "" {
		if err := r.checkAlgorithms(p.Stages); err != nil {
			return nil, err
		}
	}
	r.learnVersions(p.Stages)
	s := newStages(p.Stages)
	s.Files, s.Graph = p.Files, graph
	return s, nil
}

// loadStageFiles reads stages to be looked at only: they need not be fit to
// be built.
func (r *Repo) loadStageFiles(ctx context.Context, src fs.FS, m *ignore.Matcher, skip func(string, bool) bool) (*Stages, error) {
	p, err := r.loadPipeline(ctx, src, m, skip)
	if err != nil {
		return nil, err
	}
	r.learnVersions(p.Stages)
	s := newStages(p.Stages)
	s.Files = p.Files
	return s, nil
}

// loadPipeline reads all stage files but those that skip, which may be nil,
// leaves out.
func (r *Repo) loadPipeline(ctx context.Context, src fs.FS, m *ignore.Matcher, skip func(string, bool) bool) (*pipeline.Pipeline, error) {
	p, err := r.readStageFiles(ctx, src, m, skip)
	if err != nil {
		return nil, err
	}
	if len(p.Errors) > 0 {
		return nil, p.Errors[0]
	}
	return p, nil
}

func (r *Repo) readStageFiles(ctx context.Context, src fs.FS, m *ignore.Matcher, skip func(string, bool) bool) (*pipeline.Pipeline, error) {
	if _, live := src.(workFS); live {
		l, from := r.workspaceLoader()
		return r.loadWorkspace(ctx, l, from, skip != nil)
	}
	span := r.phase("load stages", "stage files")
	defer span.End()
	l := pipeline.NewLoader(src, r.loaderOptions(m))
	files, err := r.stageFiles(ctx, l, src, m, skip)
	if err != nil {
		return nil, err
	}
	span.Add(int64(len(files)), 0)
	return l.Load(slices.Values(files)), nil
}

// stageFiles lists the stage files as l reads them, without those that skip,
// which may be nil, leaves out.
func (r *Repo) stageFiles(ctx context.Context, l *pipeline.Loader, src fs.FS, m *ignore.Matcher, skip func(string, bool) bool) ([]string, error) {
	var files []string
	err := walkStageFiles(src, m, ".", skip, func(file string) []string {
		if ctx.Err() != nil {
			return nil
		}
		files = append(files, file)
		f, err := l.File(file)
		if err != nil {
			return nil // Load reports it
		}
		var outs []string
		for _, s := range f.Stages {
			for _, o := range s.Outs {
				outs = append(outs, o.RepoPath())
			}
		}
		return outs
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return files, err
}

// gitIgnored reports whether Git's ignore files cover a path.
func (r *Repo) gitIgnored(rel string, isDir bool) bool {
	ignored, err := r.Git.IsIgnored(r.gitPath(rel), isDir)
	return err == nil && ignored
}

// loaderOptions say how stage files are read.
func (r *Repo) loaderOptions(m *ignore.Matcher) pipeline.Options {
	return pipeline.Options{
		Root: filepath.ToSlash(r.Root),
		Show: r.Show,
		Read: func(string) { r.counters.read.Add(1) },
		Templating: pipeline.Templating{
			BoolOptional:   r.Config.Parsing.Bool == "boolean_optional",
			ListAppend:     r.Config.Parsing.List == "append",
			WindowsQuoting: runtime.GOOS == "windows",
		},
		Ignored: func(file string) bool {
			ignored, err := m.Ignored(file, false)
			return err == nil && ignored
		},
	}
}

// checkAlgorithms refuses digests that the repository may not hold: BLAKE3 in
// one that DVC reads as well.
func (r *Repo) checkAlgorithms(all []*pipeline.Stage) error {
	if r.Alg == object.BLAKE3 {
		return nil
	}
	for _, s := range all {
		for _, o := range s.Outs {
			if o.Digest.Algorithm() == object.BLAKE3 {
				return &errs.Error{Kind: errs.Invalid, File: s.File, Msg: "has a blake3 digest, but the repository is an md5 one",
					Hint: "If the repository is a BLAKE3 one, say so: cairn config core.hash blake3"}
			}
		}
	}
	return nil
}

// Collect finds what targets mean: stage files, stages, outs, and paths in
// outs. No targets means everything.
func (r *Repo) Collect(ctx context.Context, targets []string, o CollectOptions) ([]Target, error) {
	_, list, err := r.collect(ctx, targets, o)
	return list, err
}

// collect is Collect with the stages among which the targets were found.
func (r *Repo) collect(ctx context.Context, targets []string, o CollectOptions) (*Stages, []Target, error) {
	stages, err := r.StagesFor(ctx, targets, o)
	if err != nil {
		return nil, nil, err
	}
	list, err := r.collectFrom(stages, targets, o)
	return stages, list, err
}

// CollectOptions of [Repo.Collect].
type CollectOptions struct {
	Recursive bool // a folder means all stage files and outs in it
	Glob      bool // targets are patterns over paths and stage names
	WithDeps  bool // also the outs that the targets' stages depend on
}

func (r *Repo) collectFrom(stages *Stages, targets []string, o CollectOptions) ([]Target, error) {
	if len(targets) == 0 {
		return stages.Outs(), nil
	}
	var list []Target
	for _, t := range targets {
		found, err := r.collectOne(stages, t, o)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if o.WithDeps {
		list = withDeps(stages, list)
	}
	seen := map[Target]bool{}
	out := list[:0]
	for _, t := range list {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out, nil
}

func (r *Repo) collectOne(stages *Stages, target string, o CollectOptions) ([]Target, error) {
	if o.Glob {
		return r.collectGlob(stages, target)
	}
	if file, name, ok := splitStage(target); ok {
		if named := r.stagesNamed(stages, file, name); len(named) > 0 {
			var found []Target
			for _, s := range named {
				found = append(found, outsOf(s)...)
			}
			return found, nil
		}
	}
	rel, err := r.Rel(target)
	if err != nil {
		return nil, err
	}
	if list := stages.File(rel); len(list) > 0 {
		var found []Target
		for _, s := range list {
			found = append(found, outsOf(s)...)
		}
		return found, nil
	}
	if t := stages.Find(rel); t != nil {
		return []Target{*t}, nil
	}
	if o.Recursive {
		if found := recursive(stages, rel); len(found) > 0 {
			return found, nil
		}
	}
	return nil, r.noTarget(stages, target, rel)
}

// splitStage splits "file:stage" and "stage"; a bare name may also be a path.
func splitStage(target string) (file, name string, ok bool) {
	if i := strings.LastIndex(target, ":"); i > 0 && strings.HasSuffix(target[:i], ".yaml") {
		return target[:i], target[i+1:], true
	}
	if strings.ContainsAny(target, "/\\") || strings.HasSuffix(target, ".dvc") {
		return "", "", false
	}
	return "dvc.yaml", strings.TrimPrefix(target, ":"), true
}

// stagesNamed finds a stage, or all of a foreach or matrix group.
func (r *Repo) stagesNamed(stages *Stages, file, name string) []*pipeline.Stage {
	rel, err := r.Rel(file)
	if err != nil {
		return nil
	}
	var found []*pipeline.Stage
	for _, s := range stages.File(rel) {
		if group, _, _ := strings.Cut(s.Name, "@"); s.Name == name || s.Generated && group == name {
			found = append(found, s)
		}
	}
	return found
}

func recursive(stages *Stages, rel string) []Target {
	var found []Target
	for _, s := range stages.All {
		if rel == "." || strings.HasPrefix(s.File, rel+"/") {
			found = append(found, outsOf(s)...)
		}
	}
	for _, o := range stages.Inside(rel) {
		found = append(found, Target{Stage: o.Stage, Out: o})
	}
	return found
}

func (r *Repo) collectGlob(stages *Stages, pattern string) ([]Target, error) {
	rel, err := r.Rel(pattern)
	if err != nil {
		return nil, err
	}
	if !doublestar.ValidatePattern(rel) {
		return nil, errs.New(errs.Invalid, "%q is not a valid pattern", pattern)
	}
	var found []Target
	for _, s := range stages.All {
		if ok, _ := doublestar.Match(rel, s.File); ok && s.IsPointer() {
			found = append(found, outsOf(s)...)
			continue
		}
		if ok, _ := doublestar.Match(pattern, s.Name); ok && !s.IsPointer() {
			found = append(found, outsOf(s)...)
			continue
		}
		for _, o := range s.Outs {
			if ok, _ := doublestar.Match(rel, o.RepoPath()); ok {
				found = append(found, Target{Stage: s, Out: o})
			}
		}
	}
	if len(found) == 0 {
		return nil, errs.New(errs.NotFound, "%q matches no output, stage or .dvc file", pattern)
	}
	return found, nil
}

// withDeps adds the outs of all stages that the targets' stages need.
func withDeps(stages *Stages, list []Target) []Target {
	seen := map[*pipeline.Stage]bool{}
	var visit func(s *pipeline.Stage)
	visit = func(s *pipeline.Stage) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, d := range s.Deps {
			rel := d.RepoPath()
			if t := stages.Find(rel); t != nil {
				list = append(list, Target{Stage: t.Stage, Out: t.Out})
				visit(t.Stage)
			}
			for _, o := range stages.Inside(rel) {
				list = append(list, Target{Stage: o.Stage, Out: o})
				visit(o.Stage)
			}
		}
	}
	for _, t := range append([]Target(nil), list...) {
		visit(t.Stage)
	}
	return list
}

// noTarget says that a target is unknown, and what may have been meant.
func (r *Repo) noTarget(stages *Stages, target, rel string) error {
	_, err := r.Dir.LstatPath(rel)
	var e error
	switch {
	case err == nil && r.Git != nil && pipeline.IsStageFile(path.Base(rel)) && r.gitIgnored(rel, false):
		return errs.WithHint(errs.New(errs.Invalid, "bad DVC file name '%s' is git-ignored.", r.Show(rel)), "Take the rule out of .gitignore.")
	case strings.HasSuffix(rel, ".dvc") || path.Base(rel) == "dvc.yaml":
		e = errs.New(errs.NotFound, "'%s' does not exist", r.Show(rel))
	case err == nil:
		e = errs.New(errs.NotFound, "'%s' is not tracked by DVC: no output, stage or .dvc file has that name", target)
	default:
		why := "'dvc.yaml' does not exist"
		if there, xerr := r.exists(path.Join(r.cwd, "dvc.yaml")); xerr == nil && there {
			why = fmt.Sprintf("Stage '%s' not found inside 'dvc.yaml' file", target)
		}
		e = errs.New(errs.NotFound, "'%s' does not exist as an output or a stage name in 'dvc.yaml': %s", target, why)
	}
	if r.Git != nil {
		if tracked, terr := r.Git.IsTracked(r.gitPath(rel)); terr == nil && tracked && err != nil {
			return errs.WithHint(e, "Git has it: did you mean `git checkout -- %s`?", r.Show(rel))
		}
	}
	if near := nearest(target, r.names(stages)); near != "" {
		e = errs.WithHint(e, "Did you mean '%s'?", near)
	}
	return e
}

// names are what a target may be.
func (r *Repo) names(stages *Stages) []string {
	var names []string
	for _, s := range stages.All {
		if s.IsPointer() {
			names = append(names, r.Show(s.File))
		} else {
			names = append(names, s.Address())
		}
		for _, o := range s.Outs {
			names = append(names, r.Show(o.RepoPath()))
		}
	}
	return names
}
