package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
)

// listFlags are the options of list that concern its output.
type listFlags struct{ tree, size, hash bool }

func newList(a *App) *cobra.Command {
	var o repo.ListOptions
	var show listFlags
	var remoteConfig []string
	cmd := &cobra.Command{
		Use:     "list [url] [path]",
		Aliases: []string{"ls"},
		Short:   "List repository contents, including files and directories tracked by DVC and by Git.",
		Long: `List what a repository holds: files and directories of Git and of the workspace,
and tracked data, whether it is checked out or not. Without arguments that is
the working directory; url is a directory in any repository on this machine, or a
repository's Git address, of which one commit is fetched; path is one in that
repository, whose root is listed if it is not given.

Directories of other repositories inside and what .dvcignore excludes are left
out. Lists of files that the cache lacks are read from the remote. Nothing is
changed.`,
		Example: "  cairn ls\n  cairn ls . data -R --size\n  cairn ls ../project --rev v1.0 --dvc-only",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Recursively list files.")
	f.BoolVarP(&show.tree, "tree", "T", false, "Recurse into directories as a tree.")
	f.IntVarP(&o.Level, "level", "L", -1, "Limit the `<depth>` of recursion.")
	f.BoolVar(&o.DataOnly, "dvc-only", false, "Show only DVC outputs.")
	a.JSONFlag(cmd)
	sourceFlags(a, cmd, &o.SourceOptions, &remoteConfig)
	f.BoolVar(&show.size, "size", false, "Show sizes.")
	f.BoolVar(&show.hash, "show-hash", false, "Display hash value for each item.")
	argHelp(cmd, "url", "Location of the repository to list.")
	argHelp(cmd, "path", "Path to directory within the repository to list outputs for.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if show.tree && a.JSON {
			return errs.New(errs.Invalid, "Cannot use --tree and --json options together.")
		}
		if f.Changed("level") && o.Level < 0 {
			o.Level = -2 // a limit that nothing reaches
		}
		if err := readSource(cmd, args, &o.SourceOptions, remoteConfig); err != nil {
			return err
		}
		return a.listFailed(a.list(ctx, o, show), args)
	})
	return cmd
}

// sourceFlags are the options that list and du share.
func sourceFlags(a *App, cmd *cobra.Command, o *repo.SourceOptions, remoteConfig *[]string) {
	f := cmd.Flags()
	f.StringVar(&o.Rev, "rev", "", "Git revision: SHA, branch or tag of a `<commit>`.")
	nargs(cmd, "rev", "?")
	remoteFlags(a, cmd, &o.Config, &o.Remote, remoteConfig)
}

// readSource reads the arguments that say what is looked at.
func readSource(cmd *cobra.Command, args []string, o *repo.SourceOptions, remoteConfig []string) error {
	switch len(args) {
	case 2:
		o.Path = args[1]
		fallthrough
	case 1:
		if o.URL = args[0]; o.URL == "" {
			return errs.New(errs.Invalid, "cannot set empty URL")
		}
	default:
		o.Here = true
	}
	var err error
	o.RemoteConfig, err = parsePairs(cmd, "remote-config", remoteConfig)
	return err
}

// listFailed words a failure as DVC does: a missing path speaks for itself.
func (a *App) listFailed(err error, args []string) error {
	if errors.Is(err, fs.ErrNotExist) || err == nil {
		return Handled("", err)
	}
	url := "."
	if len(args) > 0 {
		url = args[0]
	}
	return Handled("failed to list '"+ui.Quote(url)+"'", err)
}

func (a *App) list(ctx context.Context, o repo.ListOptions, show listFlags) error {
	if show.tree {
		top, err := repo.ListTree(ctx, a.repoEnv(), o)
		if err != nil {
			return err
		}
		return a.showListTree(top, show)
	}
	list, err := repo.List(ctx, a.repoEnv(), o)
	if err != nil {
		return err
	}
	return a.showList(list, show)
}

// showListTree draws entries with what is in them.
func (a *App) showListTree(top repo.ListEntry, show listFlags) error {
	t := report.Table{KeepSpace: true, Align: listAlign(show)}
	addTree(&t, []repo.ListEntry{top}, show, 0, "")
	return t.WriteText(a.UI.Out())
}

// showList prints entries: one name a line, a table if more is asked for, or
// JSON.
func (a *App) showList(list []repo.ListEntry, show listFlags) error {
	switch {
	case a.JSON:
		return a.UI.JSON(list)
	case !show.size && !show.hash:
		for _, e := range list {
			fmt.Fprintln(a.UI.Out(), ui.Quote(e.Path))
		}
		return nil
	}
	t := report.Table{Align: listAlign(show)}
	for _, e := range list {
		t.Add(listRow(e, e.Path, show)...)
	}
	return t.WriteText(a.UI.Out())
}

func listAlign(show listFlags) []report.Align {
	if show.size {
		return []report.Align{report.Right}
	}
	return nil
}

// listRow is an entry's line in a table. A hash that is not recorded is nil,
// a size that is not known is empty.
func listRow(e repo.ListEntry, name string, show listFlags) []any {
	var row []any
	if show.size {
		size := ""
		if e.Size != nil && (*e.Size > 0 || !e.IsDir) {
			size = naturalSize(*e.Size)
		}
		row = append(row, size)
	}
	if show.hash {
		var hash any
		if h := e.Hash(); h != "" {
			hash = h
		}
		row = append(row, hash)
	}
	return append(row, name)
}

// addTree draws entries with what is in them.
func addTree(t *report.Table, list []repo.ListEntry, show listFlags, depth int, prefix string) {
	for i, e := range list {
		branch, below := "", ""
		if depth > 0 {
			if branch, below = "├── ", "│   "; i == len(list)-1 {
				branch, below = "└── ", "    "
			}
		}
		t.Add(listRow(e, prefix+branch+ui.Quote(e.Path), show)...)
		addTree(t, e.Contents, show, depth+1, prefix+below)
	}
}

// naturalSize shows a number of bytes as DVC does: three digits and a letter.
func naturalSize(n int64) string {
	const base = 1024
	if n < base {
		return fmt.Sprint(n)
	}
	f := float64(n)
	for _, unit := range []string{"", "k", "M", "G", "T", "P", "E"} {
		switch {
		case f < 9.995:
			return fmt.Sprintf("%.2f%s", f, unit)
		case f < 99.95:
			return fmt.Sprintf("%.1f%s", f, unit)
		case f < 999.5:
			return fmt.Sprintf("%.0f%s", f, unit)
		}
		f /= base
	}
	return fmt.Sprintf("%.1fZ", f)
}
