package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newMove(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "move src dst",
		Aliases: []string{"mv"},
		Short:   "Rename or move a tracked data file or directory.",
		Long: `Give a tracked file or directory another path, together with its .dvc file and
its line in .gitignore. The cache is not touched.`,
		Example: "  cairn move data.csv raw.csv\n  cairn move model.bin models/",
	}
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Move(ctx, args[0], args[1])
		if err != nil {
			return Handled(fmt.Sprintf("failed to move '%s' -> '%s'", args[0], args[1]), err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.gitHint(r, res.Changed)
		return nil
	})
	return cmd
}
