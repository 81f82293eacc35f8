package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newUnprotect(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unprotect targets [targets ...]",
		Short: "Unprotect tracked files or directories (when hardlinks or symlinks are in use).",
		Long: `Make files that are links into the cache, or read-only, plain files that are safe
to change. The cache stays as it is.`,
		Example: "  cairn unprotect data",
	}
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		return r.Unprotect(ctx, args)
	})
	return cmd
}
