package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newRemove(a *App) *cobra.Command {
	var outs bool
	cmd := &cobra.Command{
		Use:   "remove targets [targets ...]",
		Short: "Remove stages from dvc.yaml and/or stop tracking files or directories.",
		Long: `Stop tracking what .dvc files track, or remove stages from dvc.yaml and dvc.lock.
The data stay in the workspace as plain files unless --outs is given.`,
		Example: "  cairn remove data.dvc\n  cairn remove --outs model.bin.dvc",
	}
	cmd.Flags().BoolVar(&outs, "outs", false, "Remove outputs as well.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Remove(ctx, args, outs)
		if err != nil {
			return Handled("", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		return nil
	})
	return cmd
}
