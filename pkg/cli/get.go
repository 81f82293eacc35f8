package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/repo"
)

func newGet(a *App) *cobra.Command {
	var o repo.GetOptions
	var remoteConfig []string
	var showURL bool
	cmd := &cobra.Command{
		Use:   "get url path",
		Short: "Download file or directory tracked by DVC or by Git.",
		Long: `Bring a file or directory of a repository to this machine and track nothing. It
works anywhere, also outside of a repository. url is the repository's Git address,
or its directory on this machine, which is read as it is now unless --rev names a
commit. The destination has all of it in the end or nothing.`,
		Example: "  cairn get https://example.com/registry.git models/bert\n  cairn get ../registry data/2024 -o data --rev v1.2\n  cairn get ../registry model.bin --show-url",
	}
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "Destination `<path>` to download files to.")
	nargs(cmd, "out", "?")
	f.StringVar(&o.Rev, "rev", "", "Git revision: SHA, branch or tag of a `<commit>`.")
	nargs(cmd, "rev", "?")
	f.BoolVar(&showURL, "show-url", false, "Print the storage location (URL) the target data would be downloaded from, and exit.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	f.BoolVarP(&o.Force, "force", "f", false, "Override local file or folder if exists.")
	remoteFlags(a, cmd, &o.Config, &o.Remote, &remoteConfig)
	a.JSONFlag(cmd)
	argHelp(cmd, "url", "Location of DVC or Git repository to download from.")
	argHelp(cmd, "path", "Path to a file or directory within the repository.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.URL, o.Path = args[0], args[1]
		var err error
		if o.RemoteConfig, err = parsePairs(cmd, "remote-config", remoteConfig); err != nil {
			return err
		}
		if o.URL == "" {
			return errs.New(errs.Invalid, "cannot set empty URL")
		}
		if showURL {
			u, err := repo.StorageURL(ctx, a.repoEnv(), o.SourceOptions)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(map[string]string{"url": u})
			}
			a.UI.Printf("%s\n", ui.Clean(u))
			return nil
		}
		res, err := repo.Get(ctx, a.repoEnv(), o)
		if err != nil {
			if _, ok := errors.AsType[*repo.CloneError](err); ok {
				return Handled("failed to get '"+ui.Quote(o.Path)+"'", err)
			}
			return importFailed(err, "failed to get '"+ui.Quote(o.Path)+"' from '"+ui.Quote(git.Redact(o.URL))+"'")
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		return nil
	})
	return cmd
}
