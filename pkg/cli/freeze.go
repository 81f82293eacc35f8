package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newFreeze(a *App) *cobra.Command {
	return freezer(a, "freeze", true, "Freeze stages or .dvc files.",
		`Mark stages as frozen: repro takes what they made as it is and neither runs them
nor looks at what they depend on, and update leaves imports alone. The mark is the
line "frozen: true" in dvc.yaml or the .dvc file; nothing else in it changes.`)
}

func newUnfreeze(a *App) *cobra.Command {
	return freezer(a, "unfreeze", false, "Unfreeze stages or .dvc files.",
		`Take away what freeze set: the stages depend on their dependencies again.`)
}

func freezer(a *App, verb string, frozen bool, short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " targets [targets ...]",
		Short:   short,
		Long:    long,
		Example: "  cairn " + verb + " train\n  cairn " + verb + " sub/dvc.yaml:prepare raw.csv.dvc",
	}
	argHelp(cmd, "targets", "Stages or .dvc files to "+verb+".")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteStages)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		done := []repo.FreezeResult{}
		failed := false
		for _, target := range args {
			res, err := r.Freeze(ctx, target, frozen)
			if ctx.Err() != nil {
				return err
			}
			if err != nil {
				a.report(Handled(fmt.Sprintf("failed to %s '%s'", verb, target), err))
				failed = true
				continue
			}
			done = append(done, res)
			if !a.JSON && !res.IsPointer {
				a.UI.Printf("Modifying stage '%s' in '%s'\n", ui.Quote(res.Name), ui.Quote(res.File))
			}
		}
		if a.JSON {
			if err := a.UI.JSON(done); err != nil {
				return err
			}
		}
		if failed {
			return ExitWith(exitHandled)
		}
		return nil
	})
	return cmd
}
