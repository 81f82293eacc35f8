package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/repo"
)

func newImportURL(a *App) *cobra.Command {
	var o repo.ImportURLOptions
	cmd := &cobra.Command{
		Use:   "import-url url [out]",
		Short: "Download or copy file from URL and take it under DVC control.",
		Long: `Bring what a URL or a path of this machine names into the workspace and track it,
with what tells "update" later whether it changed there: a digest, or the ETag or
checksum that the server gives. A URL is one of:

    /absolute/path or relative/path    a file or directory of this machine
    https://example.com/path/to/file
    s3://bucket/key, gs://bucket/key, azure://container/key
    ssh://host/absolute/path, webdavs://host/path
    remote://name/path                 a path below a configured remote

With --to-remote the bytes go straight to a remote, not to this machine; with
--version-aware the versions that a bucket keeps are recorded, and stay where
they are.`,
		Example: "  cairn import-url s3://bucket/data/2024\n  cairn import-url remote://lake/raw.csv raw.csv --no-download\n  cairn import-url https://example.com/big.tar --to-remote",
	}
	f := cmd.Flags()
	f.BoolVar(&o.ToRemote, "to-remote", false, "Download it directly to the remote.")
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` to download to.")
	f.BoolVar(&o.NoExec, "no-exec", false, "Only create .dvc file without actually importing target data.")
	f.BoolVar(&o.NoDownload, "no-download", false, "Create .dvc file including target data hash value(s) but do not actually download the file(s).")
	exclusive(cmd, "no-exec", "no-download")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	f.BoolVarP(&o.Force, "force", "f", false, "Override local file or folder if exists.")
	f.BoolVar(&o.VersionAware, "version-aware", false, "Import using cloud versioning. Implied if the URL contains a version ID.")
	fsConfigFlag(cmd, &o.FSConfig)
	a.JSONFlag(cmd)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	argHelp(cmd, "url", "Location of the data to download.")
	argHelp(cmd, "out", "Destination path to put files to.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.URL = args[0]
		if len(args) > 1 {
			o.Out = args[1]
		}
		if _, err := parsePairs(cmd, "fs-config", o.FSConfig); err != nil {
			return err
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if !a.JSON {
			o.Say = a.say
		}
		res, err := r.ImportURL(ctx, o)
		if err != nil {
			return Handled("failed to import "+ui.Quote(config.Redact(o.URL))+". You could also try downloading it manually, and adding it with `"+a.Prog+" add`.", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.gitHint(r, res.Changed)
		return nil
	})
	return cmd
}

func fsConfigFlag(cmd *cobra.Command, pairs *[]string) {
	cmd.Flags().StringArrayVar(pairs, "fs-config", nil, "Config options for the target url, as `<name=value>`.")
	nargs(cmd, "fs-config", "*")
}
