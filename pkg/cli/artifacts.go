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

func newArtifacts(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "artifacts",
		Short: "DVC model registry artifact commands.",
		Long: `Commands for artifacts: data that dvc.yaml gives a name, in versions that annotated
Git tags mark as GTO writes them ("model@v1.2.0", "model#prod#3").`,
		Example: "  cairn artifacts get https://example.com/registry.git mymodel",
	}
	cmd.AddCommand(newArtifactsGet(a))
	return cmd
}

func newArtifactsGet(a *App) *cobra.Command {
	var o repo.ArtifactOptions
	var remoteConfig []string
	var showURL bool
	cmd := &cobra.Command{
		Use:   "get url name",
		Short: "Download an artifact from a DVC project.",
		Long: `Bring an artifact of a repository to this machine and track nothing. url is the
repository's Git address or its directory on this machine; name is that of the
artifact in the dvc.yaml at the repository's root, or "directory:name". Without
--rev and --stage it is the newest version.`,
		Example: "  cairn artifacts get https://example.com/registry.git mymodel\n  cairn artifacts get ../registry nlp:mymodel --rev v1.2.0 -o model\n  cairn artifacts get ../registry mymodel --stage prod",
	}
	f := cmd.Flags()
	f.StringVar(&o.Version, "rev", "", "Artifact `<version>`.")
	nargs(cmd, "rev", "?")
	f.StringVar(&o.Stage, "stage", "", "Artifact `<stage>`.")
	nargs(cmd, "stage", "?")
	f.StringVarP(&o.Out, "out", "o", "", "Destination `<path>` to download artifact to.")
	nargs(cmd, "out", "?")
	f.BoolVar(&showURL, "show-url", false, "Print the storage location (URL) the target data would be downloaded from, and exit.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	f.BoolVarP(&o.Force, "force", "f", false, "Override local file or folder if exists.")
	f.StringVar(&o.Config, "config", "", "Configuration `<file>` that is merged with that of the repository.")
	f.StringVar(&o.Remote, "remote", "", "Remote `<name>` to set as a default in the repository.")
	f.StringArrayVar(&remoteConfig, "remote-config", nil, "Options of the remote, as `<name=value>`, merged with its configuration.")
	nargs(cmd, "remote-config", "*")
	a.JSONFlag(cmd)
	argHelp(cmd, "url", "Location of DVC repository to download from.")
	argHelp(cmd, "name", "Name of artifact in the repository.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.URL, o.Name = args[0], args[1]
		if o.URL == "" {
			return errs.New(errs.Invalid, "cannot set empty URL")
		}
		var err error
		if o.RemoteConfig, err = parsePairs(cmd, "remote-config", remoteConfig); err != nil {
			return err
		}
		if showURL {
			u, err := repo.ArtifactURL(ctx, a.repoEnv(), o)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(map[string]string{"url": u})
			}
			a.UI.Printf("%s\n", ui.Clean(u))
			return nil
		}
		res, err := repo.GetArtifact(ctx, a.repoEnv(), o)
		if err != nil {
			return artifactFailed(err, o)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.UI.Printf("Downloaded %d file(s) to '%s'\n", res.Files, ui.Clean(res.Out))
		return nil
	})
	return cmd
}

func artifactFailed(err error, o repo.ArtifactOptions) error {
	name := ui.Quote(o.Name)
	if _, ok := errors.AsType[*repo.CloneError](err); ok {
		return Handled("failed to get '"+name+"'", err)
	}
	msg := "failed to get '" + name + "' from '" + ui.Quote(git.Redact(o.URL)) + "'"
	if _, ok := errors.AsType[*repo.ArtifactNotFoundError](err); ok {
		err = errs.New(errs.NotFound, "Failed to download artifact '%s' via DVC remote: %w", name, err)
	}
	return Handled(msg, err)
}
