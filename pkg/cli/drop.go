package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newDrop(a *App) *cobra.Command {
	var o repo.DropOptions
	cmd := &cobra.Command{
		Use:   "drop targets [targets ...]",
		Short: "Free the space of data that a remote has.",
		Long: `Delete data from the workspace and the cache, once it is proven that a remote has
all of it: every object is read there and hashed, unless --trust says to believe
names and sizes. If anything is lacking, or differs in the workspace from what is
recorded, nothing is deleted. "cairn pull" brings the data back.`,
		Example: "  cairn drop data/raw\n  cairn drop --cache-only --trust model.bin\n  cairn drop -r backup data --dry",
	}
	f := cmd.Flags()
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` whose copies count; the default remote if not given.")
	f.BoolVar(&o.Trust, "trust", false, "Believe the remote's listing, names and sizes, instead of reading what is there.")
	f.BoolVar(&o.CacheOnly, "cache-only", false, "Leave the workspace alone.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Also what lies in subdirectories of the targets.")
	f.BoolVar(&o.Glob, "glob", false, "Allows targets containing shell-style wildcards.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of objects read at the same time.")
	f.BoolVar(&o.Dry, "dry", false, "Prove it, and delete nothing.")
	a.JSONFlag(cmd)
	argHelp(cmd, "targets", "Data to be dropped: paths, .dvc files, stages.")
	a.Complete(cmd, CompleteTargets)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Drop(ctx, o)
		if err != nil {
			return Handled("failed to drop", err)
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		done := "Dropped"
		if o.Dry {
			done = "Would drop"
		}
		a.UI.Printf("%s %s of the cache, %s.\n", done, objects(res.Objects), ui.FormatBytes(res.Bytes))
		if res.Kept > 0 {
			a.UI.Printf("Kept %s that other data of the workspace use.\n", objects(res.Kept))
		}
		return nil
	})
	return cmd
}
