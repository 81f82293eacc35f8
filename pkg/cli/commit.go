package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newCommit(a *App) *cobra.Command {
	var o repo.CommitOptions
	cmd := &cobra.Command{
		Use:   "commit [targets ...]",
		Short: "Record changes to tracked files and store them in the cache.",
		Long: `Record changes to files or directories tracked by cairn: store their present
bytes in the cache and bring pointer files and dvc.lock up to date. For a stage
this also records its dependencies and parameters, without running it.

What changed is recorded only after a question, or with --force.`,
		Example: "  cairn commit\n  cairn commit -f data.dvc",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Force, "force", "f", false, "Record changes without asking.")
	f.BoolVarP(&o.WithDeps, "with-deps", "d", false, "Commit all dependencies of the specified target.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Commit cache for subdirectories of the specified directory.")
	f.BoolVar(&o.NoRelink, "no-relink", false, "Don't recreate links from cache to workspace.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		o.Confirm = a.confirm
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Commit(ctx, o)
		if err != nil {
			return Handled(strings.Join(append([]string{"failed to commit"}, args...), " "), err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		for _, l := range res.NewLocks {
			a.UI.Printf("Generating lock file '%s'\n", ui.Quote(r.Show(l)))
		}
		for _, l := range slices.Compact(res.Locks) {
			a.UI.Printf("Updating lock file '%s'\n", ui.Quote(r.Show(l)))
		}
		return nil
	})
	return cmd
}

// confirm asks a question; without a terminal the answer is no.
func (a *App) confirm(question string) bool {
	yes, err := a.UI.Confirm(question)
	return err == nil && yes
}
