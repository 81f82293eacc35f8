package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newPurge(a *App) *cobra.Command {
	var o repo.PurgeOptions
	var force bool
	cmd := &cobra.Command{
		Use:   "purge targets [targets ...]",
		Short: "Delete data from everywhere: workspace, cache, trash and all remotes.",
		Long: `Delete all that a path ever had, as far as the workspace and any commit say: its
content is removed from the workspace, the cache, its trash and every remote. It
is meant for data that must not be kept, such as those of a person who asked for
it, and cannot be undone.

Before it asks, it shows what would go and which other paths have the same
content; these are refused unless --shared is given. The pointer files and lists
of files of commits go on naming what is gone; checking such a commit out reports
it as missing. Other clones have caches of their own.`,
		Example: "  cairn purge data/people/0042.json --dry\n  cairn purge data/people/0042.json\n  cairn commit data.dvc",
	}
	f := cmd.Flags()
	f.BoolVar(&o.Shared, "shared", false, "Also what other paths have too.")
	f.BoolVarP(&force, "force", "f", false, "Do not ask.")
	f.BoolVar(&o.Dry, "dry", false, "Only show what would be deleted.")
	a.JSONFlag(cmd)
	argHelp(cmd, "targets", "Paths of data: whole outputs, or files and directories in them.")
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		refused := false
		if !force {
			o.Confirm = func(res *repo.PurgeResult) bool {
				a.showPurge(res)
				refused = !a.confirm("This cannot be undone. Are you sure you want to proceed?")
				return !refused
			}
		}
		res, err := r.Purge(ctx, o)
		if refused {
			return Handled("failed to purge", errs.New(errs.Conflict, "nothing was deleted without a confirmation. Use `-f` to force."))
		}
		if a.JSON && res != nil {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else if res != nil && (o.Dry || errs.Is(err, errs.Conflict)) {
			a.showPurge(res)
		}
		if err != nil {
			return Handled("failed to purge", err)
		}
		if !a.JSON && !o.Dry {
			var where []string
			for _, place := range slices.Sorted(maps.Keys(res.Deleted)) {
				where = append(where, fmt.Sprintf("%d in %s", res.Deleted[place], ui.Quote(place)))
			}
			a.UI.Printf("Purged %s: %s.\n", objects(res.Objects), orElse(strings.Join(where, ", "), "none was there any more"))
			a.UI.Notef("Pointer files and commits still name what is gone: `%[1]s commit` or `%[1]s remove` brings the workspace's up to date.", a.Prog)
		}
		return nil
	})
	return cmd
}

func (a *App) showPurge(res *repo.PurgeResult) {
	a.UI.Notef("%s had %s.", strings.Join(res.Paths, ", "), plural(res.Objects, "content", "different contents"))
	if len(res.OthersUse) > 0 {
		a.UI.Notef("The same content is used by:")
		for _, u := range res.OthersUse {
			a.UI.Notef("  %s in %s", ui.Quote(u.Path), u.Rev)
		}
		if res.MoreOthers > 0 {
			a.UI.Notef("  and %s", plural(res.MoreOthers, "more", "more"))
		}
	}
}
