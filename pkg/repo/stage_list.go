package repo

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// StageListOptions of [Repo.StageList].
type StageListOptions struct {
	Targets   []string // none is the dvc.yaml of the working directory
	All       bool     // of the repository, whatever the targets
	Fail      bool     // a stage file that cannot be read is a failure
	Recursive bool     // a folder stands for the stages in it
}

// StageInfo describes a stage.
type StageInfo struct {
	Stage   string       `json:"stage"` // its address from the working directory
	Name    string       `json:"name,omitempty"`
	File    string       `json:"file"`
	Summary string       `json:"summary"` // a line on what it is
	Desc    string       `json:"desc,omitempty"`
	Cmd     any          `json:"cmd,omitempty"` // text, or a list
	WDir    string       `json:"wdir,omitempty"`
	Deps    []string     `json:"deps"` // from the working directory
	Params  *yamlfmt.Map `json:"params,omitempty"`
	Outs    []string     `json:"outs"`
	Metrics []string     `json:"metrics,omitempty"`
	Plots   []string     `json:"plots,omitempty"`
	Frozen  bool         `json:"frozen,omitempty"`
	Always  bool         `json:"always_changed,omitempty"`
}

// StageList describes stages. Unless Fail is set, stage files that cannot be
// read are left out where all or many are asked for, as with DVC.
func (r *Repo) StageList(ctx context.Context, o StageListOptions) ([]StageInfo, error) {
	l, src := r.workspaceLoader()
	all := func() (*pipeline.Graph, error) { return r.lenientGraph(ctx, l, src, o.Fail) }
	var stages []*pipeline.Stage
	if o.All {
		g, err := all()
		if err != nil {
			return nil, err
		}
		stages = g.Stages
	} else {
		targets := o.Targets
		if len(targets) == 0 {
			targets = []string{pipeline.ProjectFile}
		}
		for _, t := range targets {
			found, err := l.Collect(filepath.ToSlash(t), pipeline.CollectOptions{Dir: r.cwd, Recursive: o.Recursive}, all)
			if err != nil {
				return nil, err
			}
			for _, m := range found {
				if !slices.Contains(stages, m.Stage) {
					stages = append(stages, m.Stage)
				}
			}
		}
	}
	list := make([]StageInfo, len(stages))
	for i, s := range stages {
		list[i] = r.stageInfo(s)
	}
	return list, nil
}

// lenientGraph connects the stages of all files that can be read. Stages that
// do not go together are listed without edges.
func (r *Repo) lenientGraph(ctx context.Context, l *pipeline.Loader, src *liveFS, fail bool) (*pipeline.Graph, error) {
	p, err := r.loadWorkspace(ctx, l, src, true)
	if err != nil {
		return nil, err
	}
	if len(p.Errors) > 0 {
		if fail {
			return nil, p.Errors[0]
		}
		good := p.Files[:0:0]
		p.Stages = nil
		for _, f := range p.Files {
			if len(f.Errors) == 0 {
				good = append(good, f)
				p.Stages = append(p.Stages, f.Stages...)
			}
		}
		p.Files = good
	}
	return p.Graph()
}

func (r *Repo) stageInfo(s *pipeline.Stage) StageInfo {
	info := StageInfo{
		Stage: r.address(s), Name: s.Name, File: r.Show(s.File), Desc: s.Desc, Summary: summary(s),
		Frozen: s.Frozen, Always: s.AlwaysChanged, Deps: []string{}, Outs: []string{},
	}
	switch {
	case s.CmdIsList:
		info.Cmd = s.Cmd
	case len(s.Cmd) == 1:
		info.Cmd = s.Cmd[0]
	}
	if !s.IsPointer() {
		info.WDir = r.Show(s.WDir)
	}
	show := func(e *pipeline.Entry, rel string) string {
		if e.IsExternal() || outOfRoot(rel) {
			return e.Path
		}
		return r.Show(rel)
	}
	for _, d := range s.Deps {
		info.Deps = append(info.Deps, show(&d.Entry, d.RepoPath()))
	}
	for _, p := range s.Params {
		if info.Params == nil {
			info.Params = &yamlfmt.Map{}
		}
		keys := make([]any, len(p.Keys))
		for i, k := range p.Keys {
			keys[i] = k
		}
		info.Params.Set(r.Show(joinAny(s.WDir, p.Path)), keys)
	}
	for _, o := range s.Outs {
		at := show(&o.Entry, o.RepoPath())
		switch {
		case isSet(o.Plot):
			info.Plots = append(info.Plots, at)
		case isSet(o.Metric):
			info.Metrics = append(info.Metrics, at)
		default:
			info.Outs = append(info.Outs, at)
		}
	}
	return info
}

// isSet reports whether a metric or plot field makes an out one.
func isSet(v any) bool {
	m, isMap := v.(*yamlfmt.Map)
	return v != nil && v != false && (!isMap || m.Len() > 0)
}

// summary is a line on what a stage is: of its description, or of its outs.
func summary(s *pipeline.Stage) string {
	for line := range strings.FieldsFuncSeq(s.Desc, func(c rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029", c) }) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
		break
	}
	var outs, reports, deps []string
	for _, o := range s.Outs {
		if isSet(o.Plot) || isSet(o.Metric) {
			reports = append(reports, o.Path)
		} else {
			outs = append(outs, o.Path)
		}
	}
	for _, d := range s.Deps {
		deps = append(deps, d.Path)
	}
	for _, d := range s.Params {
		deps = append(deps, d.Path)
	}
	switch {
	case len(s.Outs) == 0 && len(deps) == 0:
		return "No outputs or dependencies"
	case len(s.Outs) == 0:
		return "Depends on " + strings.Join(deps, ", ")
	}
	var parts []string
	if len(outs) > 0 {
		parts = append(parts, "Outputs "+strings.Join(outs, ", "))
	}
	if len(reports) > 0 {
		parts = append(parts, "Reports "+strings.Join(reports, ", "))
	}
	return strings.Join(parts, "; ")
}
