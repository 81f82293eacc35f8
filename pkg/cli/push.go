package cli

import (
	"context"
	"slices"
	"strings"

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
If somebody deletes objects from the remote by other means, use --verify-remote.

--remote can be given several times, or name several remotes separated by commas:
each gets what it lacks, and one that fails does not keep the others. With --from,
what the cache lacks is copied from that remote, straight through, without being
stored here.

On a remote with the option version_aware, in a bucket that keeps versions, files
lie under their own names, and push records the version of each in .dvc files and
dvc.lock. A file whose version is there is not sent again.`,
		Example: "  cairn push\n  cairn push -r backup data/raw\n  cairn push -r store,backup\n  cairn push -r backup --from store\n  cairn push --all-tags -j 16",
	}
	var remotes []string
	cloudFlagsBut(a, cmd, &o)
	cmd.Flags().StringArrayVarP(&remotes, "remote", "r", nil, "Remote storage `<name>`; the default remote if not given. May be given several times.")
	cmd.Flags().StringVar(&o.From, "from", "", "Copy what the cache lacks from the remote `<name>`.")
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	a.CompleteFlag(cmd, "from", CompleteRemotes)
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
		o.Remotes = remoteNames(r, remotes)
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

// remoteNames are the remotes that the values of --remote name, each once. A
// value is a name, or, if there is no remote of that name, several with commas
// between.
func remoteNames(r *repo.Repo, values []string) []string {
	var names []string
	add := func(n string) {
		if n = strings.TrimSpace(n); n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, v := range values {
		if _, err := r.Config.Remote(v); err == nil || !strings.Contains(v, ",") {
			add(v)
			continue
		}
		for n := range strings.SplitSeq(v, ",") {
			add(n)
		}
	}
	return names
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
