package repo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ModifyPlotOptions of [Repo.ModifyPlot].
type ModifyPlotOptions struct {
	Target string       // the out
	Props  *yamlfmt.Map // display properties to set
	Unset  []string     // and to take away
	Unsets bool         // the user asked to take some away, be it none
}

// ModifyPlotResult tells what was written. Stage is "" for a .dvc file.
type ModifyPlotResult struct {
	Stage   string `json:"stage,omitempty"`
	File    string `json:"file"`
	Changed bool   `json:"changed"`
}

// ModifyPlot sets how an out is drawn. An out that is no plot becomes one.
func (r *Repo) ModifyPlot(ctx context.Context, o ModifyPlotOptions) (ModifyPlotResult, error) {
	var res ModifyPlotResult
	if t, ok := o.Props.Get("template"); ok {
		if _, err := r.plotTemplate(yamlfmt.PyStr(t)); err != nil {
			return res, err
		}
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	rel, err := r.Rel(o.Target)
	if err != nil {
		return res, err
	}
	t := stages.Find(rel)
	if t == nil || t.Under != "" {
		return res, errs.New(errs.NotFound, "Unable to find DVC file with output '%s'", o.Target)
	}
	if o.Unsets && !isPlot(t.Out) {
		return res, errs.New(errs.Invalid, "'%s' is not a known plot. Use `%s plots modify` to turn it into one.", o.Target, r.program())
	}
	have, _ := t.Out.Plot.(*yamlfmt.Map)
	var missing []string
	for _, key := range o.Unset {
		if !have.Has(key) && !slices.Contains(missing, "'"+key+"'") {
			missing = append(missing, "'"+key+"'")
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return res, errs.New(errs.NotFound, "display properties [%s] not found in plot '%s'", strings.Join(missing, ", "), o.Target)
	}
	return r.writePlot(t, o)
}

// program is what the user calls cairn.
func (r *Repo) program() string {
	if r.env.Program == "" {
		return "cairn"
	}
	return r.env.Program
}

func (r *Repo) writePlot(t *Target, o ModifyPlotOptions) (ModifyPlotResult, error) {
	s := t.Stage
	res := ModifyPlotResult{Stage: s.Name, File: r.Show(s.File)}
	if err := pipeline.CheckRewritable(s, "dump", r.address(s)); err != nil {
		return res, errs.WithHint(err, "Its text is that of a template: write the properties there by hand.")
	}
	old, err := r.Dir.ReadFile(s.File)
	if err != nil {
		return res, err
	}
	var text []byte
	if s.IsPointer() {
		have, _ := t.Out.Plot.(*yamlfmt.Map)
		props := merged(have, o.Props)
		for _, key := range o.Unset {
			props.Delete(key)
		}
		if t.Out.Plot = any(props); props.Len() == 0 {
			t.Out.Plot = true
		}
		text = s.EncodeDvcFile(old)
	} else if text, err = pipeline.SetPlot(s.File, old, s.Name, t.Out.Path, o.Props, o.Unset); err != nil {
		return res, err
	}
	r.forgetStages()
	if res.Changed = !bytes.Equal(text, old); !res.Changed {
		return res, nil
	}
	if err := r.Dir.WriteFile(s.File, text, 0o666); err != nil {
		return res, fmt.Errorf("write %q: %w", r.Show(s.File), err)
	}
	return res, nil
}
