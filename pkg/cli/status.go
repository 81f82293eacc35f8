package cli

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func newStatus(a *App) *cobra.Command {
	var o repo.CloudOptions
	var cloud, noUpdates, explain bool
	cmd := &cobra.Command{
		Use:   "status [targets ...]",
		Short: "Show changed stages, compare local cache and a remote storage.",
		Long: `Show which stages and pointer files differ from the workspace and the cache, or,
with --cloud, how the cache differs from a remote. Only files that changed since
they were last looked at are read. Takes no lock and changes nothing.

With --explain the reasons are shown as by repro --explain: which dependency,
parameter, output or command differs, what was recorded and what is there now.

With --quiet nothing is printed and the exit code is 1 if something differs.`,
		Example: "  cairn status\n  cairn status --json data.dvc\n  cairn status -c -r backup",
	}
	f := cmd.Flags()
	f.BoolVarP(&cloud, "cloud", "c", false, "Show status of the local cache compared to a remote.")
	cloudFlags(a, cmd, &o)
	verifyFlag(cmd, &o)
	f.BoolVar(&noUpdates, "no-updates", false, "Ignore updates to imported data.")
	f.BoolVar(&explain, "explain", false, "Show for each stage that differs why, with old and new values.")
	exclusive(cmd, "cloud", "explain")
	a.JSONFlag(cmd)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if explain && o.Remote != "" {
			return UsageErrorf(cmd, "argument --explain: not allowed with argument -r/--remote")
		}
		if cloud || o.Remote != "" {
			return a.cloudStatus(ctx, r, o)
		}
		if given := unusedFlags(o); given != "" {
			return Handled("", errs.New(errs.Usage, "The following options are meaningless for local status: %s", given))
		}
		if explain {
			return a.explainStatus(ctx, r, repo.StatusOptions{Targets: args, WithDeps: o.WithDeps, Recursive: o.Recursive})
		}
		so := repo.StatusOptions{Targets: args, WithDeps: o.WithDeps, Recursive: o.Recursive, NoUpdates: noUpdates}
		list, err := r.Status(ctx, so)
		if err != nil {
			return Handled("", err)
		}
		return a.showStatus(ctx, r, so, list)
	})
	return cmd
}

// explainStatus prints why stages differ. With --json it is the object that
// repro --explain prints.
func (a *App) explainStatus(ctx context.Context, r *repo.Repo, o repo.StatusOptions) error {
	res, err := r.StatusExplain(ctx, o)
	if err != nil {
		return Handled("", err)
	}
	changed := repo.ReproResult{Stages: slices.DeleteFunc(slices.Clone(res.Stages), func(s repo.StageRun) bool { return s.Outcome == repo.StageSkipped })}
	switch {
	case a.JSON:
		return a.UI.JSON(res)
	case a.Quiet > 0 && len(changed.Stages) > 0:
		return ExitWith(exitHandled)
	case a.Quiet > 0:
	case len(changed.Stages) == 0:
		a.UI.Printf("Data and pipelines are up to date.\n")
	default:
		a.showWhy(changed)
	}
	return nil
}

// cloudFlags are the options that push, pull, fetch and status share.
func cloudFlags(a *App, cmd *cobra.Command, o *repo.CloudOptions) {
	cloudFlagsBut(a, cmd, o)
	cmd.Flags().StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>`; the default remote if not given.")
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
}

// cloudFlagsBut are they without --remote.
func cloudFlagsBut(a *App, cmd *cobra.Command, o *repo.CloudOptions) {
	f := cmd.Flags()
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
	f.BoolVarP(&o.Branches, "all-branches", "a", false, "Also what all branches use.")
	f.BoolVarP(&o.Tags, "all-tags", "T", false, "Also what all tags use.")
	f.BoolVarP(&o.Commits, "all-commits", "A", false, "Also what all commits use.")
	f.BoolVarP(&o.WithDeps, "with-deps", "d", false, "Also the dependencies of the targets.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Also what lies in subdirectories of the targets.")
	a.Complete(cmd, CompleteTargets)
}

func unusedFlags(o repo.CloudOptions) string {
	given := ""
	for _, f := range []struct {
		on   bool
		name string
	}{{o.Branches, "--all-branches"}, {o.Tags, "--all-tags"}, {o.Commits, "--all-commits"}, {o.Jobs != 0, "--jobs"}, {o.VerifyRemote, "--verify-remote"}} {
		if f.on {
			if given != "" {
				given += ", "
			}
			given += f.name
		}
	}
	return given
}

// showStatus prints what differs.
func (a *App) showStatus(ctx context.Context, r *repo.Repo, o repo.StatusOptions, list []repo.StageStatus) error {
	switch {
	case a.JSON:
		return a.UI.JSON(statusObject(list))
	case a.Quiet > 0:
		if len(list) > 0 {
			return ExitWith(exitHandled)
		}
		return nil
	case len(list) == 0:
		stages, err := r.StagesFor(ctx, o.Targets, repo.CollectOptions{Recursive: o.Recursive, WithDeps: o.WithDeps})
		if err != nil {
			return err
		}
		if len(stages.All) == 0 {
			a.UI.Printf("There are no data or pipelines tracked in this project yet.\nSee <https://dvc.org/doc/start> to get started!\n")
			return nil
		}
		a.UI.Printf("Data and pipelines are up to date.\n")
		return nil
	}
	for _, s := range list {
		a.UI.Printf("%s:\n", ui.Quote(s.Address))
		a.showPaths("changed deps", s.Deps)
		a.showPaths("changed outs", s.Outs)
		for _, line := range flagLines(s) {
			a.UI.Printf("\t%s\n", line)
		}
	}
	return nil
}

func (a *App) showPaths(title string, list []repo.PathStatus) {
	if len(list) == 0 {
		return
	}
	a.UI.Printf("\t%s:\n", title)
	for _, p := range list {
		if p.State != "" {
			a.UI.Printf("\t\t%-20s%s\n", p.State+":", ui.Quote(p.Path))
			continue
		}
		a.UI.Printf("\t\t%s:\n", ui.Quote(p.Path))
		for _, q := range p.Params {
			a.UI.Printf("\t\t\t%-20s%s\n", q.State+":", ui.Quote(q.Key))
		}
	}
}

// flagLines are the changes of a stage that concern no path.
func flagLines(s repo.StageStatus) []string {
	var lines []string
	if s.Always {
		lines = append(lines, "always changed")
	}
	if s.Command {
		lines = append(lines, "changed command")
	}
	if s.Sum {
		lines = append(lines, "changed checksum")
	}
	return lines
}

// statusObject is the status as DVC's JSON has it.
func statusObject(list []repo.StageStatus) any {
	top := yamlfmt.NewMap()
	for _, s := range list {
		var parts []any
		if len(s.Deps) > 0 {
			parts = append(parts, yamlfmt.NewMap("changed deps", pathObject(s.Deps)))
		}
		if len(s.Outs) > 0 {
			parts = append(parts, yamlfmt.NewMap("changed outs", pathObject(s.Outs)))
		}
		for _, l := range flagLines(s) {
			parts = append(parts, l)
		}
		top.Set(s.Address, parts)
	}
	return top
}

func pathObject(list []repo.PathStatus) *yamlfmt.Map {
	o := yamlfmt.NewMap()
	for _, p := range list {
		if p.State != "" {
			o.Set(p.Path, p.State)
			continue
		}
		params := yamlfmt.NewMap()
		for _, q := range p.Params {
			params.Set(q.Key, q.State)
		}
		o.Set(p.Path, params)
	}
	return o
}

// cloudStatus prints how the cache and a remote differ.
func (a *App) cloudStatus(ctx context.Context, r *repo.Repo, o repo.CloudOptions) error {
	st, err := r.StatusCloud(ctx, o)
	if err != nil {
		return Handled("", err)
	}
	paths := make([]string, 0, len(st.State))
	for p := range st.State {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	switch {
	case a.JSON:
		obj := yamlfmt.NewMap()
		for _, p := range paths {
			obj.Set(p, st.State[p])
		}
		return a.UI.JSON(obj)
	case a.Quiet > 0:
		if len(paths) > 0 {
			return ExitWith(exitHandled)
		}
	case len(paths) == 0:
		a.UI.Printf("Cache and remote '%s' are in sync.\n", st.Remote)
	default:
		for _, p := range paths {
			fmt.Fprintf(a.UI.Out(), "\t%-20s%s\n", st.State[p]+":", ui.Quote(p))
		}
	}
	return nil
}
