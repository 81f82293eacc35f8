package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
)

func newUpdate(a *App) *cobra.Command {
	var o repo.UpdateOptions
	cmd := &cobra.Command{
		Use:   "update targets [targets ...]",
		Short: "Update data artifact imported (via dvc import or dvc import-url) from an external DVC repository or URL.",
		Long: `Bring imports up to date with where they come from: of a repository, with the
commit that the branch or tag an import follows names now, or that --rev names
from now on; of a URL, with what is there. What did not change is left alone.

Changes to imported files in the workspace that were stored nowhere are kept in
the cache before they are replaced, which is said.`,
		Example: "  cairn update model.dvc\n  cairn update --rev v2 data.dvc\n  cairn update -R . --no-download",
	}
	f := cmd.Flags()
	f.StringVar(&o.Rev, "rev", "", "Git revision: SHA, branch or tag of a `<commit>`.")
	nargs(cmd, "rev", "?")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Update all stages in the specified directory.")
	f.BoolVar(&o.NoDownload, "no-download", false, "Update .dvc file git revision/hash value(s) but do not download the file(s).")
	f.BoolVar(&o.ToRemote, "to-remote", false, "Update data directly on the remote.")
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` to perform updates to.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	a.JSONFlag(cmd)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	argHelp(cmd, "targets", ".dvc files to update.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if !a.JSON {
			o.Say = a.say
		}
		res, err := r.Update(ctx, o)
		if err != nil {
			return Handled("failed update data", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		return nil
	})
	return cmd
}
