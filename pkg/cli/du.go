package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
)

func newDu(a *App) *cobra.Command {
	var o repo.DiskUsageOptions
	var remoteConfig []string
	cmd := &cobra.Command{
		Use:   "du [url] [path]",
		Short: "Show disk usage.",
		Long: `Show how much each file and directory of a repository holds, tracked data
included whether it is checked out or not, and the total last. Without arguments
that is the working directory. Pointer and pipeline files do not count.`,
		Example: "  cairn du\n  cairn du . data\n  cairn du -s ../project --rev v1.0",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Summarize, "summarize", "s", false, "Show total disk usage.")
	a.JSONFlag(cmd)
	sourceFlags(a, cmd, &o.SourceOptions, &remoteConfig)
	argHelp(cmd, "url", "Location of the repository.")
	argHelp(cmd, "path", "Path to directory within the repository.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if err := readSource(cmd, args, &o.SourceOptions, remoteConfig); err != nil {
			return err
		}
		list, err := repo.DiskUsage(ctx, a.repoEnv(), o)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.UI.JSON(list)
		}
		var t report.Table
		for _, u := range list {
			t.Add(naturalSize(u.Bytes), u.Path)
		}
		return t.WriteText(a.UI.Out())
	})
	return cmd
}
