package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func newMetricsCheck(a *App) *cobra.Command {
	var o repo.CheckOptions
	var markdown bool
	var precision int
	cmd := &cobra.Command{
		Use:   "check [conditions ...]",
		Short: "Check conditions on metrics, as a gate for CI.",
		Long: `Check conditions on the metrics of the workspace, and on how they changed since
another revision. Exit code 0: all are met; 1: one is not; 2: a metric that one
names is not there.

A condition compares metrics with numbers, texts or each other:

  accuracy >= 0.8 and loss.val < 0.3
  accuracy.diff > -0.01           the change since the revision of --rev
  f1 >= f1.old or abs(f1.diff) < 0.001
  eval/b.json:accuracy > 0.7      where several files have it
  model == "resnet" and not overfit

There are == != < <= > >=, and or not, + - * /, parentheses, abs min max.
Names take all letters, digits and . _ / : - @ that follow each other, so write
blanks around minus and division; other names go between backquotes. A metric
that is not a number (NaN) meets no condition.

Without conditions, those in dvc.yaml are checked, which stages have where DVC
too allows anything. Their paths start where those of the stage do:

  stages:
    evaluate:
      meta:
        cairn:
          check:
          - accuracy >= 0.8
          - accuracy.diff > -0.01`,
		Example: "  cairn metrics check 'accuracy >= 0.8' 'accuracy.diff > -0.01' --rev main\n  cairn metrics check --json",
	}
	f := cmd.Flags()
	f.StringVar(&o.Rev, "rev", "", "`<revision>` to compare with. By default HEAD; in CI what a request is to be merged into, or else the parent of HEAD.")
	f.BoolVar(&o.MergeBase, "merge-base", false, "Compare with the commit at which HEAD left the revision.")
	a.JSONFlag(cmd)
	f.BoolVar(&markdown, "md", false, "Show tabulated output in the Markdown format (GFM).")
	f.IntVar(&precision, "precision", 0, "Round metrics to `<n>` digits precision after the decimal point (5 by default).")
	argHelp(cmd, "conditions", "Conditions to check, in place of those in dvc.yaml.")
	a.CompleteFlag(cmd, "rev", CompleteRevs)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Conditions = args
		r, err := a.Anywhere()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.CheckMetrics(ctx, o)
		if ce, ok := errors.AsType[*report.ConditionError](err); ok {
			return &usageError{cmd: cmd, msg: err.Error(), hint: pointAt(ce)}
		}
		if err != nil {
			return err
		}
		if err := a.showChecks(res, orDefault(precision), markdown); err != nil {
			return err
		}
		for _, code := range []struct {
			state report.State
			exit  int
		}{{report.Missing, exitMissing}, {report.Failed, exitHandled}} {
			for _, c := range res.Conditions {
				if c.State == code.state {
					return ExitWith(code.exit)
				}
			}
		}
		return nil
	})
	return cmd
}

// pointAt shows a condition with a mark under what is wrong in it.
func pointAt(e *report.ConditionError) string {
	if strings.ContainsAny(e.Text, "\n\t") {
		return ""
	}
	return "  " + e.Text + "\n  " + strings.Repeat(" ", e.Column-1) + "^"
}

func (a *App) showChecks(res repo.CheckResult, digits int, markdown bool) error {
	if a.JSON {
		return a.UI.JSON(checksObject(res))
	}
	compares := false
	for _, c := range res.Conditions {
		for _, m := range c.Metrics {
			compares = compares || m.Old != nil
		}
	}
	t := &report.Table{Headers: []string{"Condition", "State", "Metric", "Value"}}
	if compares {
		t.Headers = append(t.Headers, res.Rev, "Change")
	}
	show := func(v any) any {
		if v == nil {
			return nil
		}
		return report.Rounded(v, digits)
	}
	for _, c := range res.Conditions {
		for _, m := range c.Metrics {
			if m.Near != "" {
				a.UI.Notef("There is no metric '%s'. Did you mean '%s'?", ui.Quote(m.Name), ui.Quote(m.Near))
			}
		}
		text, state := any(c.Condition), any(string(c.State))
		for _, m := range c.Metrics {
			t.Add(text, state, m.Name, show(m.Value), show(m.Old), show(m.Diff))
			text, state = "", "" // said once
		}
		if len(c.Metrics) == 0 {
			t.Add(text, state)
		}
	}
	for i, row := range t.Rows {
		t.Rows[i] = row[:min(len(row), len(t.Headers))]
	}
	return a.showTable(t, markdown)
}

// checksObject is the result with the metrics' values as they are.
func checksObject(res repo.CheckResult) *yamlfmt.Map {
	list := []any{}
	for _, c := range res.Conditions {
		metrics := []any{}
		for _, m := range c.Metrics {
			e := yamlfmt.NewMap("name", m.Name)
			if m.File != "" {
				e.Set("file", m.File)
				e.Set("key", m.Key)
			}
			e.Set("value", jsonValue(m.Value))
			if m.Near != "" {
				e.Set("near", m.Near)
			}
			if m.Old != nil {
				e.Set("old", jsonValue(m.Old))
			}
			if m.Diff != nil {
				e.Set("diff", m.Diff)
			}
			metrics = append(metrics, e)
		}
		e := yamlfmt.NewMap("condition", c.Condition, "state", string(c.State))
		if c.Stage != "" {
			e.Set("stage", c.Stage)
		}
		e.Set("metrics", metrics)
		list = append(list, e)
	}
	top := yamlfmt.NewMap("ok", res.OK)
	if res.Rev != "" {
		top.Set("rev", res.Rev)
	}
	top.Set("conditions", list)
	return top
}
