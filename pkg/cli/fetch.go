package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
)

func newFetch(a *App) *cobra.Command {
	var o repo.CloudOptions
	cmd := &cobra.Command{
		Use:   "fetch [targets ...]",
		Short: "Download files or directories from remote storage to the cache.",
		Long: `Bring what the cache lacks of the tracked files and directories from the remote.
The workspace stays as it is. Every object is proven as it arrives; wrong bytes
are refused.

With --verify-remote the remote is also asked for what the cache has already; what
it lacks, or has with another size, is named, and the exit code is not 0.`,
		Example: "  cairn fetch\n  cairn fetch --all-branches\n  cairn fetch -r backup data.dvc",
	}
	cloudFlags(a, cmd, &o)
	runCacheFlag(cmd, &o)
	verifyFlag(cmd, &o)
	f := cmd.Flags()
	f.Int64Var(&o.MaxSize, "max-size", 0, "Only files/directories that are each below this size (`<bytes>`).")
	f.StringArrayVar(&o.Types, "type", nil, "Only files/directories of a `<type>`: metrics, plots.")
	choices(cmd, "type", "metrics", "plots")
	a.JSONFlag(cmd)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Fetch(ctx, o)
		if a.JSON {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else if err == nil || res.Fetched > 0 {
			a.UI.Printf("%s\n", orElse(countFiles([]counted{{res.Fetched, "fetched"}}), "Everything is up to date."))
		}
		return Handled("failed to fetch data from the cloud", err)
	})
	return cmd
}
