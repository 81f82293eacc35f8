package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newData(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "data",
		Short:   "Commands related to data management.",
		Long:    "Commands related to data management.",
		Example: "  cairn data status --granular",
	}
	cmd.AddCommand(newDataStatus(a))
	return cmd
}

func newDataStatus(a *App) *cobra.Command {
	var o repo.DataStatusOptions
	var showUnchanged, noRefresh bool
	var untracked string
	cmd := &cobra.Command{
		Use:   "status [targets ...]",
		Short: "Show changes between the last git commit, the dvcfiles and the workspace.",
		Long: `Show how the data differ between the last Git commit, the pointer files and
dvc.lock, and the workspace. Only files that changed since they were last looked
at are read. Takes no lock and changes nothing.`,
		Example: "  cairn data status --granular\n  cairn data status --json --unchanged --untracked-files",
	}
	f := cmd.Flags()
	a.JSONFlag(cmd)
	f.BoolVar(&o.Granular, "granular", false, "Show granular file-level info for tracked directories.")
	f.BoolVar(&showUnchanged, "unchanged", false, "Show unmodified tracked files.")
	f.StringVar(&untracked, "untracked-files", "no", "Show untracked files: `no` or all.")
	f.Lookup("untracked-files").NoOptDefVal = "all"
	nargs(cmd, "untracked-files", "?")
	choices(cmd, "untracked-files", "no", "all")
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` to check (only with --not-in-remote).")
	f.BoolVar(&o.NotInRemote, "not-in-remote", false, "Show files not in remote.")
	f.BoolVar(&noRefresh, "no-remote-refresh", false, "Accepted for DVC's sake: the remote is always asked.")
	a.Complete(cmd, CompleteTargets)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		o.Untracked = untracked == "all"
		o.Git = !a.JSON
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.DataStatus(ctx, o)
		if err != nil {
			return err
		}
		if !showUnchanged {
			res.Unchanged = nil
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		a.showDataStatus(res)
		return nil
	})
	return cmd
}

// dataSection is one heading of `data status` with its lines.
type dataSection struct {
	title string
	hints []string
	lines []string
}

func (a *App) showDataStatus(res repo.DataStatus) {
	commit := fmt.Sprintf(`use "%s commit <file>..." to track changes`, a.Prog)
	sections := []dataSection{
		{"Not in cache", []string{fmt.Sprintf(`use "%s fetch <file>..." to download files`, a.Prog)}, quoted(res.NotInCache)},
		{"Not in remote", []string{fmt.Sprintf(`use "%s push <file>..." to upload files`, a.Prog)}, quoted(res.NotInRemote)},
		{"DVC committed changes", []string{"git commit the corresponding dvc files to update the repo"}, diffLines(res.Committed)},
		{"DVC uncommitted changes", []string{commit, fmt.Sprintf(`use "%s checkout <file>..." to discard changes`, a.Prog)}, diffLines(res.Uncommitted)},
		{"Untracked files", []string{fmt.Sprintf(`use "git add <file> ..." or "%s add <file>..." to commit to git or to dvc`, a.Prog)}, quoted(res.Untracked)},
		{"DVC unchanged files", nil, quoted(res.Unchanged)},
	}
	shown := 0
	for _, s := range sections {
		if len(s.lines) == 0 {
			continue
		}
		if shown++; shown > 1 {
			a.UI.Printf("\n")
		}
		a.UI.Printf("%s:\n", s.title)
		for _, h := range s.hints {
			a.UI.Printf("  (%s)\n", h)
		}
		for _, l := range s.lines {
			a.UI.Printf("        %s\n", l)
		}
	}
	if shown == 0 {
		in := ""
		if res.Git.Empty {
			in = " in an empty git repo"
		}
		a.UI.Printf("No changes%s.\n", in)
	}
	if res.Git.Dirty {
		other := ""
		if shown > 0 {
			other = "other "
		}
		a.UI.Printf("(there are %schanges not tracked by dvc, use \"git status\" to see)\n", other)
	}
}

func quoted(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = ui.Quote(p)
	}
	return out
}

func diffLines(d *repo.DataDiff) []string {
	if d == nil {
		return nil
	}
	var lines []string
	for _, l := range []struct {
		state string
		paths []string
	}{{"added", d.Added}, {"deleted", d.Deleted}, {"modified", d.Modified}, {"unknown", d.Unknown}} {
		for _, p := range l.paths {
			lines = append(lines, l.state+": "+ui.Quote(p))
		}
	}
	for _, r := range d.Renamed {
		lines = append(lines, "renamed: "+ui.Quote(r.Old)+" -> "+ui.Quote(r.New))
	}
	return lines
}
