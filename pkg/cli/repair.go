package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newRepair(a *App) *cobra.Command {
	var dry bool
	var age string
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Remove what interrupted commands left behind.",
		Long: `Remove temporary files and directories of processes that are gone, from the
workspace, the cache and remotes that are folders, and the notes of stages that do
not run any more. Whether a process of this machine lives is known; what others
left must be older than seven days.

Every command removes what it meets of this by itself; nothing is wrong while it
is there. Damaged data are what "cairn fsck --repair" is for.`,
		Example: "  cairn repair --dry\n  cairn repair --older-than 1d",
	}
	cmd.Flags().BoolVar(&dry, "dry", false, "Only show what would be removed.")
	cmd.Flags().StringVar(&age, "older-than", "", "Age of what other machines and DVC left, such as 12h or 30d; the default is 7d.")
	a.JSONFlag(cmd)
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) (err error) {
		limit := time.Duration(repo.DefaultLeftoverAge)
		if age != "" {
			if limit, err = parseAge(age); err != nil {
				return UsageErrorf(cmd, "argument --older-than: "+err.Error())
			}
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Repair(ctx, limit, dry)
		if err != nil {
			return Handled("failed to repair", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		for _, p := range res.Removed {
			a.UI.Printf("Removing %s\n", ui.Quote(p))
		}
		if len(res.Removed) == 0 {
			a.UI.Printf("Nothing was left behind.\n")
		}
		return nil
	})
	return cmd
}
