package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ValuesError is why a file of values, or all of a revision, cannot be read,
// with the name and the words that DVC has for it.
type ValuesError struct {
	Type, Msg string
	Err       error
}

func (e *ValuesError) Error() string { return e.Msg }
func (e *ValuesError) Unwrap() error { return e.Err }

// MetricsOptions of [Repo.Metrics].
type MetricsOptions struct {
	RevisionOptions
	// Targets are files and folders to read in place of the metrics that the
	// stages declare, relative to the root: see [Repo.RelAny].
	Targets []string
	// KeepWorkspace shows the workspace also if it is the same as the branch
	// that is checked out.
	KeepWorkspace bool
}

// Metrics reads the metrics of revisions. What cannot be read is in the
// result; the error is that of revisions that do not exist.
func (r *Repo) Metrics(ctx context.Context, o MetricsOptions) ([]report.RevisionValues, error) {
	g := &gatherer{repo: r, what: "metrics", memo: map[string]loaded{}}
	g.paths = func(v *Revision) ([]valuesFile, error) { return v.metricFiles(ctx, o.Targets) }
	g.pick = func(_ valuesFile, v any) any { return report.Metrics(v) }
	return g.run(ctx, o.RevisionOptions, o.KeepWorkspace)
}

// metricFiles lists the files of metrics.
func (v *Revision) metricFiles(ctx context.Context, targets []string) ([]valuesFile, error) {
	paths := targets
	if len(targets) == 0 {
		stages, err := v.Stages(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range stages.All {
			for _, o := range s.Outs {
				if o.Metric != nil && o.Metric != false {
					paths = append(paths, o.RepoPath())
				}
			}
		}
		for _, f := range stages.Files {
			for _, p := range f.Top.Metrics {
				paths = append(paths, path.Join(path.Dir(f.Path), p))
			}
		}
	}
	files, err := v.Expand(ctx, paths)
	list := make([]valuesFile, len(files))
	for i, f := range files {
		list[i].path = f
	}
	return list, err
}

// valuesFile is a file of values and which of them are wanted.
type valuesFile struct {
	path   string
	keys   []string     // nil is all
	values *yamlfmt.Map // known already, without reading the file
}

// gatherer reads files of values at revisions, each content once.
type gatherer struct {
	repo  *Repo
	what  string // "metrics" or "params"
	paths func(*Revision) ([]valuesFile, error)
	pick  func(valuesFile, any) any
	memo  map[string]loaded
}

type loaded struct {
	value any
	err   error
}

func (g *gatherer) run(ctx context.Context, o RevisionOptions, keepWorkspace bool) ([]report.RevisionValues, error) {
	revs, err := g.repo.Revisions(ctx, o)
	if err != nil {
		return nil, err
	}
	var list []report.RevisionValues
	for _, v := range revs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rv := report.RevisionValues{Label: v.Label}
		rv.Files, rv.Err = g.revision(ctx, v)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if rv.Err != nil {
			rv.Err = v.explainStages(rv.Err)
			g.repo.warn("failed to load %s in revision %s, %v", g.what, yamlfmt.PyRepr(v.Label), rv.Err)
		}
		list = append(list, rv)
	}
	if !keepWorkspace {
		list = g.repo.hideWorkspace(list)
	}
	return list, nil
}

func (g *gatherer) revision(ctx context.Context, v *Revision) ([]report.FileValues, error) {
	files, err := g.paths(v)
	if err != nil {
		return nil, err
	}
	list := make([]report.FileValues, 0, len(files))
	for _, f := range files {
		fv := report.FileValues{Path: g.repo.Show(f.path)}
		if f.values != nil {
			fv.Values = f.values
		} else if fv.Values, fv.Err = g.load(ctx, v, f); fv.Err != nil {
			fv.Values = nil
		}
		list = append(list, fv)
	}
	return list, nil
}

func (g *gatherer) load(ctx context.Context, v *Revision, f valuesFile) (any, error) {
	c, err := v.Find(ctx, f.path)
	if err != nil {
		return nil, v.explainFile(f.path, err)
	}
	key := ""
	if c.ID != "" {
		key = c.ID + "\x00" + f.path + "\x00" + strings.Join(f.keys, "\x00")
		if l, ok := g.memo[key]; ok {
			return l.value, l.err
		}
	}
	l := g.read(ctx, v, f, c)
	if key != "" {
		g.memo[key] = l
	}
	return l.value, l.err
}

func (g *gatherer) read(ctx context.Context, v *Revision, f valuesFile, c Content) loaded {
	text, err := c.Read(ctx)
	if err != nil {
		return loaded{err: v.explainFile(f.path, err)}
	}
	value, err := pipeline.LoadParams(v.repo.showAtRoot(f.path), text)
	if err != nil {
		return loaded{err: v.explainFile(f.path, err)}
	}
	return loaded{value: g.pick(f, value)}
}

// showAtRoot is how DVC calls a file that it has read as data: it takes the
// path from the repository's root for one from the root of the file system.
func (r *Repo) showAtRoot(rel string) string {
	abs := string(filepath.Separator) + filepath.FromSlash(rel)
	if out, err := filepath.Rel(r.env.Dir, abs); err == nil {
		return out
	}
	return abs
}

// explainFile gives the failure to read a file of values DVC's words.
func (v *Revision) explainFile(rel string, err error) *ValuesError {
	e := &ValuesError{Err: err}
	name := disk.Quote(path.Join("/", rel)[1:])
	abs := "/" + path.Join(v.sub, rel)
	if v.IsWorkspace() {
		abs = v.repo.abs(rel)
	}
	_, unavailable := errors.AsType[*UnavailableError](err)
	_, folder := errors.AsType[*isFolderError](err)
	switch {
	case unavailable:
		e.Type, e.Msg = "FileNotFoundError", "[Errno 2] No storage files available: '"+name+"'"
	case folder:
		e.Type, e.Msg = "IsADirectoryError", "[Errno 21] Is a directory: '"+disk.Quote(abs)+"'"
	case disk.IsNotDir(err) && v.IsWorkspace():
		e.Type, e.Msg = "NotADirectoryError", "[Errno 20] Not a directory: '"+disk.Quote(abs)+"'"
	case errors.Is(err, fs.ErrNotExist):
		e.Type, e.Msg = "FileNotFoundError", "[Errno 2] No such file or directory: '"+name+"'"
	case errors.Is(err, fs.ErrPermission):
		e.Type, e.Msg = "PermissionError", "[Errno 13] Permission denied: '"+disk.Quote(abs)+"'"
	case pipeline.ParseMessage(err) != "":
		e.Type, e.Msg = pipeline.ErrorName(err), pipeline.ParseMessage(err)
	default:
		return v.explainStages(err)
	}
	return e
}

// explainStages gives the failure to read stage files DVC's words.
func (v *Revision) explainStages(err error) *ValuesError {
	if known, ok := errors.AsType[*ValuesError](err); ok {
		return known
	}
	e := &ValuesError{Type: pipeline.ErrorName(err), Msg: err.Error(), Err: err}
	fe, ok := errors.AsType[*pipeline.FileError](err)
	switch {
	case !ok:
		if msg := pipeline.Unplaced(err); msg != "" {
			e.Msg = msg
		}
		return e
	case fe.BadEncoding():
		shown := v.repo.Show(fe.File)
		if !v.IsWorkspace() {
			shown = v.repo.showAtRoot(path.Join(v.sub, fe.File))
		}
		e.Msg = fmt.Sprintf("unable to read: '%s', is not valid utf-8", shown)
		return e
	case fe.Syntax:
		e.Msg = fmt.Sprintf("unable to read: '%s', YAML file structure is corrupted", v.repo.Show(fe.File))
		return e
	}
	shown := v.repo.Show(fe.File)
	if !strings.HasPrefix(shown, "..") {
		shown = "./" + shown
	}
	e.Msg = fmt.Sprintf("'%s' validation failed", shown)
	if !v.IsWorkspace() {
		e.Msg += fmt.Sprintf(" in revision '%s'", v.SHA[:7])
	}
	if n := len(fe.Problems); n > 1 {
		e.Msg += fmt.Sprintf(": %d errors", n)
	}
	return e
}

// hideWorkspace leaves out the workspace if it is the same as the branch that
// is checked out.
func (r *Repo) hideWorkspace(list []report.RevisionValues) []report.RevisionValues {
	if r.Git == nil || len(list) < 2 || list[0].Label != WorkspaceLabel {
		return list
	}
	head, err := r.Git.Head()
	branch := strings.TrimPrefix(head.Branch, "refs/heads/")
	if err != nil || branch == "" {
		return list
	}
	for _, v := range list[1:] {
		if v.Label == branch && sameValues(list[0], v) {
			return list[1:]
		}
	}
	return list
}

// sameValues reports whether two revisions have equal values. What could not
// be read is equal to nothing.
func sameValues(a, b report.RevisionValues) bool {
	if a.Err != nil || b.Err != nil || len(a.Files) != len(b.Files) {
		return false
	}
	at := map[string]report.FileValues{}
	for _, f := range b.Files {
		at[f.Path] = f
	}
	for _, f := range a.Files {
		g, ok := at[f.Path]
		if !ok || f.Err != nil || g.Err != nil || !pipeline.EqualParams(f.Values, g.Values) {
			return false
		}
	}
	return true
}

// RelAny turns a path that the user typed into one relative to the root. A
// path that leads out of it begins with "../": nothing is found there.
func (r *Repo) RelAny(typed string) (string, error) {
	abs := filepath.FromSlash(typed)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	return r.relative(filepath.Clean(abs))
}

// ValuesDiff compares the values of two revisions.
type ValuesDiff struct {
	Files []report.FileChanges
	// Unread names the revisions of which something could not be read.
	Unread []string
}

// MetricsDiffOptions of [Repo.MetricsDiff] and, but for targets, of
// [Repo.ParamsDiff].
type MetricsDiffOptions struct {
	A, B    string   // revisions; "workspace" is the workspace
	Targets []string // as in MetricsOptions
	All     bool     // also what has not changed
}

// MetricsDiff compares the metrics of two revisions. In a repository without
// commits nothing differs.
func (r *Repo) MetricsDiff(ctx context.Context, o MetricsDiffOptions) (ValuesDiff, error) {
	if some, err := r.hasCommits(ctx); !some {
		return ValuesDiff{}, err
	}
	revs, err := r.Metrics(ctx, MetricsOptions{
		RevisionOptions: RevisionOptions{Revs: []string{o.A, o.B}}, Targets: o.Targets, KeepWorkspace: true,
	})
	return compareRevisions(revs, o), err
}

// hasCommits is an error without Git.
func (r *Repo) hasCommits(ctx context.Context) (bool, error) {
	if r.Git == nil {
		return false, r.noGit()
	}
	h, err := r.Git.Head()
	if err != nil {
		return false, err
	}
	if h.SHA != "" {
		return true, nil
	}
	all, err := r.Git.Commits(ctx)
	return len(all) > 0, err
}

// compareRevisions compares what was read at the two revisions named. Two
// names of one commit have one label, and nothing differs between them.
func compareRevisions(revs []report.RevisionValues, o MetricsDiffOptions) ValuesDiff {
	var d ValuesDiff
	var sides [2][]report.FileValues
	for i, name := range []string{o.A, o.B} {
		for _, v := range revs {
			if v.Label != name {
				continue
			}
			sides[i] = v.Files
			if v.Unread() && !(i == 1 && o.A == o.B) {
				d.Unread = append(d.Unread, name)
			}
			break
		}
	}
	d.Files = report.CompareFiles(sides[0], sides[1], o.All)
	return d
}

// MetricNames are the files of metrics in the workspace, as seen from the
// working directory.
func (r *Repo) MetricNames(ctx context.Context) ([]string, error) {
	files, err := r.Workspace("").metricFiles(ctx, nil)
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = r.Show(f.path)
	}
	return names, err
}
