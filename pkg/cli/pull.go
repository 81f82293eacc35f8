package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newPull(a *App) *cobra.Command {
	var o repo.PullOptions
	cmd := &cobra.Command{
		Use:   "pull [targets ...]",
		Short: "Download tracked files or directories from remote storage.",
		Long: `Fetch what the cache lacks from the remote, then check it out. What could be had
is checked out even if something is missing; the exit code then is not 0 and the
message names what is missing. A damaged object of the cache is replaced by the
remote's good copy.`,
		Example: "  cairn pull\n  cairn pull data/images\n  cairn pull -r backup -j 16",
	}
	cloudFlags(a, cmd, &o.CloudOptions)
	runCacheFlag(cmd, &o.CloudOptions)
	f := cmd.Flags()
	f.BoolVarP(&o.Force, "force", "f", false, "Do not prompt when removing working directory files.")
	f.BoolVar(&o.Glob, "glob", false, "Allows targets containing shell-style wildcards.")
	f.BoolVar(&o.AllowMissing, "allow-missing", false, "Ignore errors if some of the files or directories are missing.")
	a.JSONFlag(cmd)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		o.Confirm = a.confirm
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Pull(ctx, o)
		if a.JSON {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else {
			a.showChanges(res.Checkout)
			summary := countFiles(append([]counted{{res.Fetched.Fetched, "fetched"}}, fileCounts(res.Checkout)...))
			if err == nil || summary != "" {
				a.UI.Printf("%s\n", orElse(summary, "Everything is up to date."))
			}
		}
		return Handled("failed to pull data from the cloud", checkoutFailed(err, "Neither the cache nor the remote has them: push them from where they are."))
	})
	return cmd
}

// checkoutFailed words a checkout that lacks objects as DVC does. remedy says
// where to get them.
func checkoutFailed(err error, remedy string) error {
	p, ok := errors.AsType[*repo.PartialError](err)
	if ok && p.Unsaved() {
		return errs.WithHint(&errs.Error{Kind: errs.Conflict, Msg: "Can't remove the following unsaved files without confirmation. Use `--force` to force." + listPaths(p.Paths())},
			"%s", errs.HintOf(err))
	}
	if !ok || !p.Missing() {
		return err
	}
	msg := "Checkout failed for following targets:" + listPaths(p.Paths())
	return errs.WithHint(&errs.Error{Kind: errs.NotFound, Msg: msg + "\nIs your cache up to date?\n<https://error.dvc.org/missing-files>"},
		"%s", remedy)
}

// listPaths is a line for each path, up to maxListed.
func listPaths(paths []string) string {
	var b strings.Builder
	for i, path := range paths {
		if i == maxListed {
			fmt.Fprintf(&b, "\nand %d more", len(paths)-maxListed)
			break
		}
		b.WriteString("\n" + ui.Quote(path))
	}
	return b.String()
}

// maxListed is how many targets a message names.
const maxListed = 20
