package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/repo"
)

func newImport(a *App) *cobra.Command {
	var o repo.ImportOptions
	var remoteConfig []string
	cmd := &cobra.Command{
		Use:   "import url path",
		Short: "Download file or directory tracked by DVC or by Git into the workspace, and track it.",
		Long: `Bring a file or directory of another repository into the workspace and track it,
pinned to a commit. url is the repository's Git address, or its directory on this
machine, which is read as it is now unless --rev names a commit; path is tracked
data, a part of it, or files of Git. Later, "update" follows the source, and
"pull" brings the data again where neither the cache nor the remote has them.

Of a repository elsewhere one commit is fetched, without its history and, where
the server can do that, only with the files that are needed. Git does it: its
credential helpers, SSH agent and configuration apply. Data are brought from the
repository's own remote, each object verified.`,
		Example: "  cairn import https://example.com/registry.git models/bert\n  cairn import ../registry data/2024 -o data --rev v1.2\n  cairn import git@example.com:org/registry.git data --no-download",
	}
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "Destination `<path>` to download files to.")
	nargs(cmd, "out", "?")
	f.BoolVarP(&o.Force, "force", "f", false, "Override destination file or folder if exists.")
	f.StringVar(&o.Rev, "rev", "", "Git revision: SHA, branch or tag of a `<commit>`.")
	nargs(cmd, "rev", "?")
	f.BoolVar(&o.NoExec, "no-exec", false, "Only create .dvc file without actually importing target data.")
	f.BoolVar(&o.NoDownload, "no-download", false, "Create .dvc file including target data hash value(s) but do not actually download the file(s).")
	exclusive(cmd, "no-exec", "no-download")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
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
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if !a.JSON {
			o.Say = a.say
		}
		res, err := r.Import(ctx, o)
		if err != nil {
			if _, ok := errors.AsType[*repo.CloneError](err); ok {
				return Handled("failed to import '"+ui.Quote(o.Path)+"'", err)
			}
			return importFailed(err, "failed to import '"+ui.Quote(o.Path)+"' from '"+ui.Quote(git.Redact(o.URL))+"'.")
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.gitHint(r, res.Changed)
		return nil
	})
	return cmd
}

// importFailed words a failure as DVC does, which takes a path that the source
// lacks for an error nobody foresaw.
func importFailed(err error, msg string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s - %w", msg, err)
	}
	return Handled(msg, err)
}

// say prints a line of a result.
func (a *App) say(format string, args ...any) {
	a.UI.Printf("%s\n", ui.Clean(fmt.Sprintf(format, args...)))
}

// remoteFlags are the options that say how a repository's remote is found.
func remoteFlags(a *App, cmd *cobra.Command, config, remote *string, pairs *[]string) {
	f := cmd.Flags()
	f.StringVar(config, "config", "", "Configuration `<file>` that is merged with that of the repository.")
	f.StringVar(remote, "remote", "", "Remote `<name>` to set as a default in the repository.")
	f.StringArrayVar(pairs, "remote-config", nil, "Options of the remote, as `<name=value>`, merged with its configuration.")
	nargs(cmd, "remote-config", "*")
	a.CompleteFlag(cmd, "rev", CompleteRevs)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
}

// parsePairs reads options given as name=value.
func parsePairs(cmd *cobra.Command, flag string, pairs []string) (map[string]string, error) {
	given := map[string]string{}
	for _, kv := range pairs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || v == "" {
			return nil, UsageErrorf(cmd, "argument --"+flag+": Could not parse argument "+pyQuote(kv)+" as k1=v1 k2=v2 ... format")
		}
		given[strings.ToLower(k)] = v
	}
	return given, nil
}
