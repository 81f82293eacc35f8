package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"sort"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/report/plot"
)

// ReportOptions of [Repo.Report].
type ReportOptions struct {
	Rev       string // to compare with; see FindBase
	MergeBase bool
	All       bool // also metrics, params and plots that have not changed
	NoPlots   bool
}

// Report is what differs between the workspace, as it is recorded, and a
// revision.
type Report struct {
	Base    Base
	Against string // how plots call the base
	Checks  *CheckResult
	Metrics ValuesDiff
	Params  ValuesDiff
	Plots   []*plot.Plot
	Data    []DataChange
	Stages  []StageChange
	// Notes are what could not be read.
	Notes []ReportNote
}

// ReportNote is what could not be read: Name of a revision, file or the like,
// and why.
type ReportNote struct{ What, Name, Why string }

// DataChange is what became of an out, or of a file in one. Sizes are bytes,
// Files those of a folder; -1 if not known.
type DataChange struct {
	Path     string `json:"path"`
	New      string `json:"new,omitempty"` // the new path of what was renamed
	State    string `json:"state"`         // added, deleted, modified or renamed
	IsDir    bool   `json:"isdir"`
	OldSize  int64  `json:"old_size"`
	NewSize  int64  `json:"new_size"`
	OldFiles int    `json:"old_files"`
	NewFiles int    `json:"new_files"`
	// InFolder is set for a file of a folder that has its own entry.
	InFolder bool `json:"in_folder"`
}

// StageChange is what became of a stage.
type StageChange struct {
	Stage string        `json:"stage"`
	State string        `json:"state"` // added, deleted or modified
	What  []StageDetail `json:"what"`
}

// StageDetail is a part of a stage that changed.
type StageDetail struct {
	Part  string   `json:"part"` // command, dependencies, parameters, outputs, definition
	Names []string `json:"names,omitempty"`
}

// Report compares the workspace with a revision. Data is compared by what
// stage files record, so that it need not be there; what cannot be read is in
// the notes.
func (r *Repo) Report(ctx context.Context, o ReportOptions) (Report, error) {
	var rep Report
	var err error
	if rep.Base, err = r.FindBase(ctx, o.Rev, o.MergeBase); err != nil {
		return rep, err
	}
	if rep.Against = rep.Base.Name; rep.Base.Fork {
		rep.Against = r.shortest(ctx, rep.Base.SHA)
	}
	base, err := r.Revision(ctx, rep.Base.SHA)
	if err != nil {
		return rep, err
	}
	base.Label = rep.Against
	now := r.Workspace(WorkspaceLabel)
	for _, part := range []func(context.Context, ReportOptions, *Revision, *Revision, *Report) error{
		r.reportValues, r.reportChecks, r.reportPlots, r.reportData, r.reportStages,
	} {
		if err := part(ctx, o, base, now, &rep); err != nil {
			return rep, err
		}
	}
	return rep, ctx.Err()
}

// shortest is the beginning of a SHA that names it, of seven digits or more.
func (r *Repo) shortest(ctx context.Context, sha string) string {
	for n := 7; n < len(sha); n++ {
		if full, err := r.Git.Resolve(ctx, sha[:n]); err == nil && full == sha {
			return sha[:n]
		}
	}
	return sha
}

func (rep *Report) note(what, name, why string) {
	n := ReportNote{what, name, why}
	if !slices.Contains(rep.Notes, n) {
		rep.Notes = append(rep.Notes, n)
	}
}

// quietly runs f without its warnings, which are in the notes.
func (r *Repo) quietly(f func() error) error {
	warn := r.env.Warn
	r.env.Warn = nil
	defer func() { r.env.Warn = warn }()
	return f()
}

func (r *Repo) reportValues(ctx context.Context, o ReportOptions, base, now *Revision, rep *Report) error {
	revs := RevisionOptions{Revs: []string{rep.Base.SHA}}
	names := MetricsDiffOptions{A: rep.Base.SHA, B: WorkspaceLabel, All: o.All}
	return r.quietly(func() error {
		metrics, err := r.Metrics(ctx, MetricsOptions{RevisionOptions: revs, KeepWorkspace: true})
		if err != nil {
			return err
		}
		params, err := r.Params(ctx, ParamsOptions{RevisionOptions: revs, KeepWorkspace: true})
		if err != nil {
			return err
		}
		rep.Metrics, rep.Params = compareRevisions(metrics, names), compareRevisions(params, names)
		for _, v := range append(metrics, params...) {
			label := v.Label
			if label != WorkspaceLabel {
				label = rep.Against
			}
			if v.Err != nil {
				rep.note("stage files of", label, v.Err.Error())
			}
			for _, f := range v.Files {
				if f.Err != nil {
					rep.note(label+":", f.Path, f.Err.Error())
				}
			}
		}
		return nil
	})
}

// reportChecks checks the conditions in dvc.yaml, if there are any.
func (r *Repo) reportChecks(ctx context.Context, _ ReportOptions, _, now *Revision, rep *Report) error {
	stages, err := now.Stages(ctx)
	if err != nil {
		return nil // noted with the values
	}
	some := false
	for _, s := range stages.All {
		texts, err := checksOf(s)
		some = some || err != nil || len(texts) > 0
	}
	if !some {
		return nil
	}
	return r.quietly(func() error {
		res, err := r.CheckMetrics(ctx, CheckOptions{Rev: rep.Base.SHA})
		if err != nil {
			rep.note("conditions in", "dvc.yaml", err.Error())
			return nil
		}
		res.Rev = rep.Against
		rep.Checks = &res
		return nil
	})
}

func (r *Repo) reportPlots(ctx context.Context, o ReportOptions, _, _ *Revision, rep *Report) error {
	if o.NoPlots {
		return nil
	}
	return r.quietly(func() error {
		res, err := r.Plots(ctx, PlotsOptions{Revs: []string{WorkspaceLabel, rep.Against}})
		if _, bad := errors.AsType[*PlotTemplateError](err); bad {
			rep.note("plots with", "a template", err.Error())
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range res.Plots {
			if o.All || p.Changed(WorkspaceLabel, rep.Against) {
				rep.Plots = append(rep.Plots, p)
			}
			for _, e := range p.SourceErrs {
				rep.note(e.Rev+":", e.File, e.Err.Error())
			}
			for _, e := range p.DefErrs {
				rep.note("plot", p.ID, e.Err.Error())
			}
		}
		return nil
	})
}

// reportData compares what is recorded of data.
func (r *Repo) reportData(ctx context.Context, _ ReportOptions, base, now *Revision, rep *Report) error {
	sides := [2]side{{outs: map[string]sideOut{}}, {outs: map[string]sideOut{}}}
	trees := [2]*tree{}
	for i, v := range []*Revision{base, now} {
		t, err := v.tree(ctx)
		if err != nil {
			rep.note("stage files of", v.Label, v.explainStages(err).Error())
			return nil
		}
		trees[i] = t
	}
	for i, t := range trees {
		other := trees[1-i].stages.byPath()
		for p, o := range t.stages.byPath() {
			if old := other[p]; old != nil && old.Digest == o.Digest {
				continue
			}
			out := sideOut{digest: o.Digest, isDir: o.Digest.IsDir()}
			if out.isDir {
				m, err := t.manifest(ctx, o)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if out.files = m; err != nil {
					out.unknown = true
					rep.note("the list of files of", r.Show(p), "it is neither in the cache nor to be had from a remote")
				}
			}
			sides[i].outs[p] = out
		}
	}
	list := findRenames(compareSides(sides[0], sides[1], true))
	sizes := r.knownSizes(ctx, sides)
	rep.Data = r.dataChanges(list, trees, sizes)
	return nil
}

// knownSizes are the sizes of objects that the manifests or the cache know.
func (r *Repo) knownSizes(ctx context.Context, sides [2]side) map[object.Digest]int64 {
	sizes := map[object.Digest]int64{}
	var ask []object.Digest
	for _, s := range sides {
		for _, o := range s.outs {
			for _, f := range o.files {
				if f.Size >= 0 {
					sizes[f.Digest] = f.Size
				} else {
					ask = append(ask, f.Digest)
				}
			}
		}
	}
	have, err := r.Cache.Has(ctx, ask)
	if err != nil {
		return sizes // they are left out
	}
	for d, info := range have {
		sizes[d] = info.Size
	}
	return sizes
}

func (r *Repo) dataChanges(list []change, trees [2]*tree, sizes map[object.Digest]int64) []DataChange {
	var out []DataChange
	folders := map[string]string{} // of the list, with their state
	names := map[changeType]string{added: "added", deleted: "deleted", modified: "modified", renamed: "renamed"}
	for _, c := range list {
		state := names[c.typ]
		if state == "" {
			continue
		}
		d := DataChange{State: state, Path: c.path, New: c.newPath, IsDir: c.isDir, OldSize: -1, NewSize: -1, OldFiles: -1, NewFiles: -1}
		at := c.path
		if c.typ == renamed {
			at = c.newPath
		}
		before, after := trees[0].stages.byPath()[c.path], trees[1].stages.byPath()[at]
		if before != nil || after != nil {
			if c.isDir || c.typ != added && c.old.IsDir() {
				folders[c.path], folders[at] = state, state
			}
			d.OldSize, d.OldFiles = recordedSize(before)
			d.NewSize, d.NewFiles = recordedSize(after)
		} else {
			d.InFolder = true
			if n, ok := sizes[c.old]; ok && c.typ != added {
				d.OldSize = n
			}
			if n, ok := sizes[c.new]; ok && c.typ != deleted {
				d.NewSize = n
			}
		}
		d.Path = r.Show(d.Path)
		if d.New != "" {
			d.New = r.Show(d.New)
		}
		if d.InFolder && !inModified(folders, at) {
			continue // what was said of the folder says it
		}
		out = append(out, d)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// inModified reports whether a path lies in a folder of which the files are to
// be told apart.
func inModified(folders map[string]string, p string) bool {
	for at := path.Dir(p); at != "." && at != "/"; at = path.Dir(at) {
		if state, ok := folders[at]; ok {
			return state == "modified"
		}
	}
	return true
}

func recordedSize(o *pipeline.Out) (size int64, files int) {
	if o == nil {
		return -1, -1
	}
	return o.Size, o.NFiles
}

// reportStages compares the stages of pipelines.
func (r *Repo) reportStages(ctx context.Context, _ ReportOptions, base, now *Revision, rep *Report) error {
	sides := [2]map[string]*pipeline.Stage{{}, {}}
	names := map[string]bool{}
	for i, v := range []*Revision{base, now} {
		stages, err := v.Stages(ctx)
		if err != nil {
			return nil // noted with the values
		}
		for _, s := range stages.All {
			if !s.IsPointer() {
				sides[i][s.Address()] = s
				names[s.Address()] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := sides[0][name], sides[1][name]
		c := StageChange{Stage: name, What: []StageDetail{}}
		switch {
		case before == nil:
			c.State = "added"
		case after == nil:
			c.State = "deleted"
		default:
			c.State = "modified"
			if c.What = compareStages(before, after); len(c.What) == 0 {
				continue
			}
		}
		rep.Stages = append(rep.Stages, c)
	}
	return nil
}

// compareStages says which parts of a stage are others than before.
func compareStages(a, b *pipeline.Stage) []StageDetail {
	var list []StageDetail
	if !slices.Equal(a.Cmd, b.Cmd) {
		list = append(list, StageDetail{Part: "command"})
	}
	deps := func(s *pipeline.Stage) map[string]any {
		m := map[string]any{}
		for _, d := range s.Deps {
			m[d.RepoPath()] = d.Digest
		}
		return m
	}
	outs := func(s *pipeline.Stage) map[string]any {
		m := map[string]any{}
		for _, o := range s.Outs {
			m[o.RepoPath()] = o.Digest
		}
		return m
	}
	params := func(s *pipeline.Stage) map[string]any {
		m := map[string]any{}
		for _, p := range s.Params {
			file := path.Join(s.WDir, p.Path)
			recorded := map[string]any{}
			if p.Values != nil {
				recorded = p.Values.Values
			}
			for _, k := range p.Keys {
				m[file+":"+k] = recorded[k]
			}
			if len(p.Keys) == 0 {
				m[file] = ""
				for k, v := range recorded {
					m[file+":"+k] = v
				}
			}
		}
		return m
	}
	for _, part := range []struct {
		name string
		of   func(*pipeline.Stage) map[string]any
	}{{"dependencies", deps}, {"parameters", params}, {"outputs", outs}} {
		if names := differing(part.of(a), part.of(b)); len(names) > 0 {
			list = append(list, StageDetail{part.name, names})
		}
	}
	if len(list) == 0 && (a.WDir != b.WDir || a.Frozen != b.Frozen || a.AlwaysChanged != b.AlwaysChanged) {
		list = append(list, StageDetail{Part: "definition"})
	}
	return list
}

// differing lists the keys of which two mappings have not the same value.
func differing(a, b map[string]any) []string {
	names := map[string]bool{}
	for k, v := range a {
		w, ok := b[k]
		names[k] = !ok || !sameRecorded(v, w)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			names[k] = true
		}
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

func sameRecorded(a, b any) bool {
	d, ok := a.(object.Digest)
	e, ok2 := b.(object.Digest)
	if ok || ok2 {
		return ok && ok2 && d == e
	}
	return pipeline.EqualParams(a, b)
}

// WriteReport writes a file where the user wants it and, in a folder beside it,
// those that it shows. Paths of others are relative to that of the file.
func (r *Repo) WriteReport(typed string, page []byte, others map[string][]byte) error {
	abs := filepath.FromSlash(typed)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	dir, err := r.outDir(filepath.Dir(abs))
	if err != nil {
		return fmt.Errorf("write a report to '%s': %w", disk.Quote(typed), err)
	}
	defer dir.Close()
	for _, name := range slices.Sorted(maps.Keys(others)) {
		sub, err := dir.MakePath(path.Dir(name), 0o777)
		if err != nil {
			return err
		}
		err = sub.WriteFile(path.Base(name), others[name], 0o666)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return dir.WriteFile(filepath.Base(abs), page, 0o666)
}
