package cli

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/repo"
)

func newAdd(a *App) *cobra.Command {
	var o repo.AddOptions
	var noRelink bool
	cmd := &cobra.Command{
		Use:   "add targets [targets ...]",
		Short: "Track data files or directories.",
		Long: `Track data files or directories: their bytes go to the cache, and a small
pointer file (data.dvc) that Git tracks takes their place in the history.

A target inside a folder that is tracked already updates that folder's pointer
file. Bytes are read once, hashed as they are stored; files that did not change
since the last time are not read at all. Either all targets are added or none.`,
		Example: "  cairn add data model.bin\n  cairn add data/new.png\n  cairn add --glob 'raw/*.csv'",
	}
	f := cmd.Flags()
	f.BoolVar(&o.NoCommit, "no-commit", false, "Don't put files/directories into cache.")
	f.BoolVar(&o.Glob, "glob", false, "Allows targets containing shell-style wildcards.")
	f.StringVarP(&o.Out, "out", "o", "", "Destination `<path>` to put files to.")
	f.BoolVar(&o.ToRemote, "to-remote", false, "Send it directly to the remote, not to the cache.")
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` for --to-remote.")
	f.IntVar(&o.RemoteJobs, "remote-jobs", 0, "`<number>` of transfers at the same time, with --to-remote.")
	f.BoolVarP(&o.Force, "force", "f", false, "Override local file or folder if exists.")
	f.BoolVar(&noRelink, "no-relink", false, "Don't recreate links from cache to workspace.")
	f.BoolVar(&o.Follow, "follow-links", false, "Follow symbolic links that lead out of the repository.")
	a.JSONFlag(cmd)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		o.NoRelink = noRelink
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Add(ctx, o)
		if _, ok := errors.AsType[*index.IgnoreFileError](err); ok {
			return err // with DVC's exit code
		}
		if err != nil {
			return Handled("", err)
		}
		for _, s := range res.Skipped {
			a.UI.Warnf("%s is a symbolic link to a folder and is left out", ui.Quote(r.Show(s)))
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.gitHint(r, res.Changed)
		return nil
	})
	return cmd
}

// gitHint tells which files Git is to track now.
func (a *App) gitHint(r *repo.Repo, files []string) {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		// Git knows no .gitignore that was emptied and went.
		_, err := r.Dir.LstatPath(f)
		return err != nil && path.Base(f) == ".gitignore"
	})
	if len(files) == 0 || !r.HasGit() || r.Autostage() {
		return
	}
	shown := make([]string, len(files))
	for i, f := range files {
		shown[i] = shellQuote(r.Show(f))
	}
	a.UI.Printf("\nTo track the changes with git, run:\n\n\tgit add %s\n\nTo enable auto staging, run:\n\n\t%s config core.autostage true\n",
		strings.Join(shown, " "), a.Prog)
}

// shellQuote makes a word one word for a shell, as Python's shlex.quote does.
func shellQuote(s string) string {
	if s == "" {
		return "''"
	}
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r))
	}) < 0
	if plain {
		return s
	}
	if q := ui.Quote(s); q != s && strings.HasPrefix(q, `"`) {
		// A terminal must not see these bytes; shells read them like this.
		return "$'" + strings.ReplaceAll(q[1:len(q)-1], "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}
