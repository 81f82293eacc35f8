package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// defaultPrecision is the number of digits after the point that metrics are
// shown with.
const defaultPrecision = 5

func newMetrics(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "metrics",
		Short:   "Commands to display and compare metrics.",
		Long:    "Commands to display and compare metrics.",
		Example: "  cairn metrics show --all-branches\n  cairn metrics diff main\n  cairn metrics check 'accuracy >= 0.8'",
	}
	cmd.AddCommand(newMetricsShow(a), newMetricsDiff(a), newMetricsCheck(a))
	return cmd
}

func newMetricsShow(a *App) *cobra.Command {
	var o repo.MetricsOptions
	var markdown, recursive bool
	var precision int
	cmd := &cobra.Command{
		Use:   "show [targets ...]",
		Short: "Print metrics, with optional formatting.",
		Long: `Print the metrics that the stages and the metrics sections of dvc.yaml name, or
those of the files and folders given. Files are read from the workspace, from
Git or from the cache; nothing is checked out. A file that cannot be read does
not keep the others from being shown.`,
		Example: "  cairn metrics show\n  cairn metrics show -A --json\n  cairn metrics show eval/metrics.json -a -T --md",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.AllBranches, "all-branches", "a", false, "Show metrics for all branches.")
	f.BoolVarP(&o.AllTags, "all-tags", "T", false, "Show metrics for all tags.")
	f.BoolVarP(&o.AllCommits, "all-commits", "A", false, "Show metrics for all commits.")
	a.JSONFlag(cmd)
	f.BoolVar(&markdown, "md", false, "Show tabulated output in the Markdown format (GFM).")
	f.BoolVarP(&recursive, "recursive", "R", false, "If any target is a directory, search it for metrics files; that is done in any case.")
	f.IntVar(&precision, "precision", 0, "Round metrics to `<n>` digits precision after the decimal point (5 by default).")
	argHelp(cmd, "targets", "Metrics files, and directories to search for such, in place of those that dvc.yaml names.")
	a.Complete(cmd, CompleteMetrics)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Anywhere()
		if err != nil {
			return err
		}
		defer r.Close()
		if o.Targets, err = relAll(r, args); err != nil {
			return err
		}
		revs, err := r.Metrics(ctx, o)
		if err != nil {
			return err
		}
		var unread []string
		for _, v := range revs {
			if v.Unread() {
				unread = append(unread, v.Label)
			}
		}
		a.noteUnread(unread)
		if a.JSON {
			return a.UI.JSON(valuesObject(revs))
		}
		withRev := o.AllBranches || o.AllTags || o.AllCommits
		return a.showTable(report.MetricsTable(revs, withRev, orDefault(precision)), markdown)
	})
	return cmd
}

// relAll makes targets relative to the repository's root.
func relAll(r *repo.Repo, targets []string) ([]string, error) {
	var out []string
	for _, t := range targets {
		rel, err := r.RelAny(t)
		if err != nil {
			return nil, err
		}
		out = append(out, rel)
	}
	return out, nil
}

func orDefault(precision int) int {
	if precision == 0 {
		return defaultPrecision
	}
	return precision
}

// noteUnread says on standard error which revisions are shown in part.
func (a *App) noteUnread(labels []string) {
	if len(labels) > 0 {
		a.UI.Notef("DVC failed to load some metrics for following revisions: '%s'.", strings.Join(labels, ", "))
	}
}

// showTable prints a table; one without rows has no text.
func (a *App) showTable(t *report.Table, markdown bool) error {
	switch {
	case markdown:
		return t.WriteMarkdown(a.UI.Out())
	case len(t.Rows) == 0:
		return nil
	}
	return t.WriteText(a.UI.Out())
}

// valuesObject is what was read at revisions as DVC's JSON has it.
func valuesObject(revs []report.RevisionValues) *yamlfmt.Map {
	top := yamlfmt.NewMap()
	for _, v := range revs {
		if v.Err != nil {
			top.Set(v.Label, yamlfmt.NewMap("error", errorValue(v.Err)))
			continue
		}
		files := yamlfmt.NewMap()
		for _, f := range v.Files {
			if f.Err != nil {
				files.Set(f.Path, yamlfmt.NewMap("error", errorValue(f.Err)))
			} else {
				files.Set(f.Path, yamlfmt.NewMap("data", jsonValue(f.Values)))
			}
		}
		top.Set(v.Label, yamlfmt.NewMap("data", files))
	}
	return top
}

func errorValue(err error) *yamlfmt.Map {
	if e, ok := errors.AsType[*repo.ValuesError](err); ok {
		return yamlfmt.NewMap("type", e.Type, "msg", e.Msg)
	}
	return yamlfmt.NewMap("type", "DvcException", "msg", err.Error())
}

// jsonValue is a value of a file as JSON can have it.
func jsonValue(v any) any {
	switch x := pipeline.PlainParam(v).(type) {
	case yamlfmt.Date:
		return x.String()
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = jsonValue(e)
		}
		return out
	case *yamlfmt.Map:
		out := yamlfmt.NewMap()
		for k, e := range x.AllKeys() {
			out.SetKey(k, jsonValue(e))
		}
		return out
	default:
		return x
	}
}

func newMetricsDiff(a *App) *cobra.Command {
	o := repo.MetricsDiffOptions{A: "HEAD", B: repo.WorkspaceLabel}
	var markdown, noPath, recursive bool
	var precision int
	cmd := &cobra.Command{
		Use:   "diff [a_rev] [b_rev]",
		Short: "Show changes in metrics between commits in the DVC repository, or between a commit and the workspace.",
		Long: `Show which metrics differ between two commits, or between a commit (HEAD if none
is given) and the workspace. Nothing is checked out.`,
		Example: "  cairn metrics diff\n  cairn metrics diff main --md\n  cairn metrics diff v1 v2 --targets eval/metrics.json --json",
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Targets, "targets", nil, "Specific metrics files to compare, even if dvc.yaml does not name them: one or more `<paths>`.")
	nargs(cmd, "targets", "*")
	f.BoolVarP(&recursive, "recursive", "R", false, "If any target is a directory, search it for metrics files; that is done in any case.")
	f.BoolVar(&o.All, "all", false, "Show unchanged metrics as well.")
	a.JSONFlag(cmd)
	f.BoolVar(&markdown, "md", false, "Show tabulated output in the Markdown format (GFM).")
	f.BoolVar(&noPath, "no-path", false, "Don't show metric path.")
	f.IntVar(&precision, "precision", 0, "Round metrics to `<n>` digits precision after the decimal point (5 by default).")
	revHelp(cmd)
	a.Complete(cmd, CompleteRevs)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		takeRevs(&o, args)
		r, err := a.Anywhere()
		if err != nil {
			return err
		}
		defer r.Close()
		if o.Targets, err = relAll(r, o.Targets); err != nil {
			return err
		}
		d, err := r.MetricsDiff(ctx, o)
		if err != nil {
			return err
		}
		return a.showValueChanges(d, report.ChangesOptions{
			Title: "Metric", Old: o.A, New: o.B, NoPath: noPath, Digits: orDefault(precision),
		}, markdown)
	})
	return cmd
}

// revHelp explains the positional arguments a_rev and b_rev.
func revHelp(cmd *cobra.Command) {
	argHelp(cmd, "a_rev", "Old Git commit to compare (defaults to HEAD).")
	argHelp(cmd, "b_rev", "New Git commit to compare (defaults to the current workspace).")
}

// takeRevs reads the positional arguments a_rev and b_rev.
func takeRevs(o *repo.MetricsDiffOptions, args []string) {
	if len(args) > 0 {
		o.A = args[0]
	}
	if len(args) > 1 {
		o.B = args[1]
	}
}

// showValueChanges prints what differs in values.
func (a *App) showValueChanges(d repo.ValuesDiff, o report.ChangesOptions, markdown bool) error {
	a.noteUnread(d.Unread)
	if a.JSON {
		return a.UI.JSON(changesObject(d.Files))
	}
	return a.showTable(report.ChangesTable(d.Files, o), markdown)
}

// changesObject is what differs as DVC's JSON has it.
func changesObject(files []report.FileChanges) *yamlfmt.Map {
	top := yamlfmt.NewMap()
	for _, f := range files {
		values := yamlfmt.NewMap()
		for _, c := range f.Changes {
			m := yamlfmt.NewMap("old", jsonValue(c.Old), "new", jsonValue(c.New))
			if c.Diff != nil {
				m.Set("diff", c.Diff)
			}
			values.SetKey(c.Key, m)
		}
		top.Set(f.Path, values)
	}
	return top
}
