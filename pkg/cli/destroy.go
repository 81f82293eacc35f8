package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/errs"
)

func newDestroy(a *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Remove dvc files, local config and data cache.",
		Long: `Remove all that makes this a repository: .dvc with the cache in it, pointer
files, dvc.yaml and dvc.lock, .dvcignore. The data in the workspace stay, as
plain files; older versions that only the cache has are gone.`,
		Example: "  cairn destroy -f",
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Force destruction.")
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		const question = "This will destroy all information about your pipelines, all data files, as well \nas cache in .dvc/cache.\nAre you sure you want to continue?"
		if !force && !a.UI.Ask(question) {
			return Handled("failed to destroy DVC", errs.New(errs.Conflict, "cannot destroy without a confirmation from the user. Use `-f` to force."))
		}
		return Handled("failed to destroy DVC", r.Destroy(ctx))
	})
	return cmd
}
