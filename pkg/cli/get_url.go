package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/repo"
)

func newGetURL(a *App) *cobra.Command {
	var o repo.GetURLOptions
	var pairs []string
	cmd := &cobra.Command{
		Use:   "get-url url [out]",
		Short: "Download or copy files from URL.",
		Long: `Bring what a URL or a path of this machine names to this machine and track
nothing; see "import-url" for what a URL may be. It works anywhere, also outside of
a repository; in one, remote://name/path is a path below a remote. The destination
has all of it in the end or nothing.`,
		Example: "  cairn get-url s3://bucket/data/2024\n  cairn get-url remote://lake/raw.csv raw.csv",
	}
	f := cmd.Flags()
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	f.BoolVarP(&o.Force, "force", "f", false, "Override local file or folder if exists.")
	fsConfigFlag(cmd, &pairs)
	a.JSONFlag(cmd)
	argHelp(cmd, "url", "See `import-url` for supported URLs.")
	argHelp(cmd, "out", "Destination path to put data to.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.URL = args[0]
		if len(args) > 1 {
			o.Out = args[1]
		}
		var err error
		if o.FSConfig, err = parsePairs(cmd, "fs-config", pairs); err != nil {
			return err
		}
		res, err := repo.GetURL(ctx, a.repoEnv(), o)
		if err != nil {
			return Handled("failed to get '"+ui.Quote(config.Redact(o.URL))+"'", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		return nil
	})
	return cmd
}
