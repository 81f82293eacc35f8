package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
)

func newPush(a *App) *cobra.Command {
	var o repo.CloudOptions
	cmd := &cobra.Command{
		Use:   "push [targets ...]",
		Short: "Upload tracked files or directories to remote storage.",
		Long: `Send to a remote what it lacks of the tracked files and directories. What the
remote has is asked of it each time, with sizes. Objects are proven while they
are sent, and a directory's list of files goes only after all its files. If
anything that was asked for could not be sent, the exit code is not 0.

Once all files of a directory were seen on a remote, a receipt is left there, so
that the next push, from whatever clone, need not ask for each file. It is
believed only where asking for everything costs much more, and never by a pull.
If somebody deletes objects from the remote by other means, use --verify-remote.`,
		Example: "  cairn push\n  cairn push -r backup data/raw\n  cairn push --all-tags -j 16",
	}
	cloudFlags(a, cmd, &o)
	cmd.Flags().BoolVar(&o.Glob, "glob", false, "Allows targets containing shell-style wildcards.")
	runCacheFlag(cmd, &o)
	verifyFlag(cmd, &o)
	a.JSONFlag(cmd)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Push(ctx, o)
		if a.JSON {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else if err == nil || res.Pushed > 0 {
			a.UI.Printf("%s\n", orElse(countFiles([]counted{{res.Pushed, "pushed"}}), "Everything is up to date."))
		}
		return Handled("failed to push data to the cloud", err)
	})
	return cmd
}

// verifyFlag is for what believes a remote that says a folder is whole.
func verifyFlag(cmd *cobra.Command, o *repo.CloudOptions) {
	cmd.Flags().BoolVar(&o.VerifyRemote, "verify-remote", false, "Ask the remote for each object, with its size, whatever it says of whole folders.")
}

// runCacheFlag is DVC's --run-cache with its negation.
func runCacheFlag(cmd *cobra.Command, o *repo.CloudOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.RunCache, "run-cache", false, "Also the history of stage runs.")
	f.BoolVar(&o.NoRunCache, "no-run-cache", false, "Not the history of stage runs (the default).")
	exclusive(cmd, "run-cache", "no-run-cache")
}
