package cli

import (
	"context"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newRemote(a *App) *cobra.Command {
	return group(&cobra.Command{
		Use:   "remote",
		Short: "Set up and manage data remotes.",
		Long: `A remote is a store of objects elsewhere: a folder, a bucket, a server. What push
uploads to it, others get with pull.`,
		Example: "  cairn remote add -d store s3://bucket/path\n  cairn remote list",
	}, newRemoteAdd(a), newRemoteDefault(a), newRemoteModify(a), newRemoteList(a), newRemoteRemove(a), newRemoteRename(a), newRemoteTest(a))
}

// coreRemote names the default remote.
var coreRemote = config.Key{Section: "core", Option: "remote"}

func newRemoteAdd(a *App) *cobra.Command {
	var isDefault, force bool
	cmd := &cobra.Command{
		Use:   "add name url",
		Short: "Add a new data remote.",
		Long: `Add a remote. The URL is a folder, or one of s3://, gs://, azure://, ssh://,
webdav(s)://, http(s)://, hdfs://, webhdfs://, oss://, gdrive://, or
remote://name/path for a place below another remote. A relative folder is meant
relative to the current directory, and is written relative to the config file.

A URL with credentials makes the remote a local one, so that they are not
committed, unless --project is spelled out.`,
		Example: "  cairn remote add -d store s3://bucket/path\n  cairn remote add backup ../backup\n  cairn remote add --local fast /mnt/fast",
	}
	levels := newLevelFlags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&isDefault, "default", "d", false, "Set as default remote.")
	f.BoolVarP(&force, "force", "f", false, "Force overwriting existing configs")
	argHelp(cmd, "name", "Name of the remote")
	argHelp(cmd, "url", "Remote location.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		name, url := strings.ToLower(args[0]), args[1]
		err := a.setOption(ctx, levels, config.RemoteKey(name, "url"), url, func(ed *config.Editor) error {
			if _, explicit := levels.level(); !explicit && !force {
				if err := a.notInProject(name); err != nil {
					return err
				}
			}
			return ed.AddRemote(name, url, isDefault, force)
		})
		if err == nil && isDefault {
			a.UI.Printf("Setting '%s' as a default remote.\n", ui.Clean(name))
		}
		return err
	})
	return cmd
}

// notInProject refuses a remote that the project has already, even where the
// new one would go to another level for the secrets in it.
func (a *App) notInProject(name string) error {
	o, err := a.repoEnv().LocalConfigOptions()
	if err != nil {
		return err
	}
	ed, err := config.Open(o, config.Project)
	if err != nil {
		return err
	}
	if ed.HasRemote(name) {
		return ed.AddRemote(name, "", false, false) // refuses it
	}
	return nil
}

func newRemoteDefault(a *App) *cobra.Command {
	var unset bool
	cmd := &cobra.Command{
		Use:   "default [name]",
		Short: "Set/unset the default data remote.",
		Long: `Print, set or unset the remote that is used when none is named: the option
core.remote.`,
		Example: "  cairn remote default\n  cairn remote default store\n  cairn remote default -u --local",
	}
	levels := newLevelFlags(cmd)
	cmd.Flags().BoolVarP(&unset, "unset", "u", false, "Unset default remote.")
	argHelp(cmd, "name", "Name of the remote")
	a.Complete(cmd, CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		switch {
		case unset:
			return a.unsetOption(ctx, levels, coreRemote, func(ed *config.Editor) error {
				ed.UnsetDefaultRemote()
				return nil
			})
		case len(args) > 0:
			return a.setOption(ctx, levels, coreRemote, args[0], func(ed *config.Editor) error {
				return ed.SetDefaultRemote(args[0])
			})
		}
		o, at, err := levels.read(a)
		if err != nil {
			return err
		}
		e, ok, err := config.Get(o, coreRemote, at...)
		if err != nil {
			return err
		}
		if !ok {
			a.UI.Printf("No default remote set\n")
			return ExitWith(exitHandled)
		}
		return printer{a: a}.print(e, "")
	})
	return cmd
}

func newRemoteModify(a *App) *cobra.Command {
	var unset bool
	cmd := &cobra.Command{
		Use:   "modify name option [value]",
		Short: "Modify the configuration of a data remote.",
		Long: `Set or unset an option of a remote. The remote must exist at the level that is
written, or at a weaker one.

A secret is written to the local level, which is not committed and which only
its owner can read, unless --project is spelled out.`,
		Example: "  cairn remote modify store endpointurl https://minio.example.com\n" +
			"  cairn remote modify store secret_access_key ...\n  cairn remote modify -u store jobs",
	}
	levels := newLevelFlags(cmd)
	cmd.Flags().BoolVarP(&unset, "unset", "u", false, "Unset option.")
	argHelp(cmd, "name", "Name of the remote")
	argHelp(cmd, "option", "Name of the option to modify.")
	argHelp(cmd, "value", "(optional) Value of the option.")
	a.Complete(cmd, CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		name, key := args[0], config.RemoteKey(args[0], args[1])
		switch {
		case unset:
			return a.unsetOption(ctx, levels, key, func(ed *config.Editor) error {
				return ed.ModifyRemote(name, args[1], "", true)
			})
		case len(args) < 3:
			err := errs.New(errs.Config, "config file error: no value for option '%s' of remote '%s'", ui.Clean(key.Option), ui.Clean(key.Section))
			return errs.WithHint(err, "Give one, or remove the option with `cairn remote modify -u %s %s`.", shellQuote(name), shellQuote(args[1]))
		}
		return a.setOption(ctx, levels, key, args[2], func(ed *config.Editor) error {
			return ed.ModifyRemote(name, args[1], args[2], false)
		})
	})
	return cmd
}

// remoteEntry is a remote as the list shows it.
type remoteEntry struct{ name, url string }

// remoteEntries are the remotes with a section at the levels, in the order of
// the files, with the URL of the strongest level.
func remoteEntries(o config.LoadOptions, at []config.Level) ([]remoteEntry, error) {
	var out []remoteEntry
	seen := map[string]bool{}
	for _, l := range at {
		if o.Path(l) == "" {
			continue
		}
		ed, err := config.Open(o, l)
		if err != nil {
			return nil, err
		}
		for _, name := range ed.Remotes() {
			if seen[name] {
				continue
			}
			seen[name] = true
			url := config.RemoteKey(name, "url")
			e, ok, err := config.Get(o, url, at...)
			if err == nil && !ok {
				// A level may have options only.
				e, _, err = config.Get(o, url)
			}
			if err == nil && e.Value == "" {
				err = errs.WithHint(errs.New(errs.Config, "config file error: expected 'url' for dictionary value @ data['remote']['%s']", name),
					"Give the remote its place: cairn remote modify %s url <url>", name)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, remoteEntry{name, e.Value})
		}
	}
	return out, nil
}

func newRemoteList(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List all available data remotes.",
		Long:    "Print the remotes with their URLs, without the passwords in them.",
		Example: "  cairn remote list\n  cairn remote list --local",
	}
	levels := newLevelFlags(cmd)
	cmd.RunE = a.Run(func(context.Context, []string) error {
		o, at, err := levels.read(a)
		if err != nil {
			return err
		}
		remotes, err := remoteEntries(o, at)
		if err != nil {
			return err
		}
		def, _, err := config.Get(o, coreRemote, at...)
		if err != nil {
			return err
		}
		var b strings.Builder
		for _, r := range remotes {
			line := ui.Clean(r.name) + "\t" + ui.Clean(config.Redact(r.url))
			if r.name == def.Value {
				line += "\t(default)"
			}
			b.WriteString(expandTabs(line) + "\n")
		}
		_, err = a.UI.Out().Write([]byte(b.String()))
		return err
	})
	return cmd
}

// expandTabs replaces tabs by blanks up to the next column divisible by eight.
func expandTabs(s string) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		if r != '\t' {
			b.WriteRune(r)
			col += runewidth.RuneWidth(r)
			continue
		}
		n := 8 - col%8
		b.WriteString(strings.Repeat(" ", n))
		col += n
	}
	return b.String()
}

func newRemoteRemove(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove name",
		Short: "Remove a data remote.",
		Long: `Remove a remote from the configuration, and from the stronger levels what makes no
sense without it. The data in the remote are not touched.`,
		Example: "  cairn remote remove store",
	}
	levels := newLevelFlags(cmd)
	argHelp(cmd, "name", "Name of the remote to remove.")
	a.Complete(cmd, CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		l, _ := levels.level()
		return a.notes(repo.RemoveRemote(ctx, a.repoEnv(), args[0], l))
	})
	return cmd
}

func newRemoteRename(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rename name new",
		Short: "Rename a DVC remote",
		Long: `Rename a remote, with all that refers to it at the level that is written and at the
project and local levels: its options there, core.remote, and the URLs of
remotes that are built upon it.`,
		Example: "  cairn remote rename store archive",
	}
	levels := newLevelFlags(cmd)
	argHelp(cmd, "name", "Remote to be renamed")
	argHelp(cmd, "new", "New name of the remote")
	a.Complete(cmd, CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		l, _ := levels.level()
		return a.notes(repo.RenameRemote(ctx, a.repoEnv(), args[0], args[1], l))
	})
	return cmd
}

// notes shows what an edit changed beyond what was asked for.
func (a *App) notes(lines []string, err error) error {
	for _, l := range lines {
		a.UI.Notef("%s", l)
	}
	return err
}
