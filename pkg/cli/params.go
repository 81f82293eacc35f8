package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
)

func newParams(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "params",
		Short:   "Commands to display params.",
		Long:    "Commands to display params.",
		Example: "  cairn params diff main",
	}
	cmd.AddCommand(newParamsDiff(a))
	return cmd
}

func newParamsDiff(a *App) *cobra.Command {
	o := repo.ParamsDiffOptions{MetricsDiffOptions: repo.MetricsDiffOptions{A: "HEAD", B: repo.WorkspaceLabel}}
	var markdown, noPath bool
	cmd := &cobra.Command{
		Use:   "diff [a_rev] [b_rev]",
		Short: "Show changes in params between commits in the DVC repository, or between a commit and the workspace.",
		Long: `Show which parameters differ between two commits, or between a commit (HEAD if
none is given) and the workspace: those that stages depend on, all of params.yaml
and of the files in the params section of dvc.yaml, and values of other files
that expressions in dvc.yaml used. Nothing is checked out.`,
		Example: "  cairn params diff\n  cairn params diff main --md --no-path\n  cairn params diff v1 v2 --targets conf/train.toml --json",
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Targets, "targets", nil, "Specific params files to compare, from the repository's root, even if dvc.yaml does not name them: one or more `<paths>`.")
	nargs(cmd, "targets", "*")
	f.BoolVar(&o.All, "all", false, "Show unchanged params as well.")
	f.BoolVar(&o.DepsOnly, "deps", false, "Show only params that are stage dependencies.")
	a.JSONFlag(cmd)
	f.BoolVar(&markdown, "md", false, "Show tabulated output in the Markdown format (GFM).")
	f.BoolVar(&noPath, "no-path", false, "Don't show params path.")
	revHelp(cmd)
	a.Complete(cmd, CompleteRevs)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		takeRevs(&o.MetricsDiffOptions, args)
		r, err := a.Anywhere()
		if err != nil {
			return err
		}
		defer r.Close()
		for i, t := range o.Targets {
			if o.Targets[i], err = r.RelFromRoot(t); err != nil {
				return err
			}
		}
		d, err := r.ParamsDiff(ctx, o)
		if err != nil {
			return err
		}
		return a.showValueChanges(d, report.ChangesOptions{Title: "Param", Old: o.A, New: o.B, NoPath: noPath, NoChange: true}, markdown)
	})
	return cmd
}
