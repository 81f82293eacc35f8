package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newCheckout(a *App) *cobra.Command {
	var o repo.CheckoutOptions
	var summary bool
	cmd := &cobra.Command{
		Use:   "checkout [targets ...]",
		Short: "Checkout data files from cache.",
		Long: `Make the data in the workspace what the pointer files and dvc.lock say, from the
cache. Every byte is proven on its way: a damaged object is reported and not
checked out. Files whose present bytes are stored nowhere are not replaced
without a question or --force.`,
		Example: "  git checkout v1.0 && cairn checkout\n  cairn checkout data/images\n  cairn checkout --relink",
	}
	f := cmd.Flags()
	f.BoolVar(&summary, "summary", false, "Show summary of the changes.")
	f.BoolVarP(&o.WithDeps, "with-deps", "d", false, "Checkout all dependencies of the specified target.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Checkout all subdirectories of the specified directory.")
	f.BoolVarP(&o.Force, "force", "f", false, "Do not prompt when removing working directory files.")
	f.BoolVar(&o.Relink, "relink", false, "Recreate links or copies from cache to workspace.")
	f.BoolVar(&o.AllowMissing, "allow-missing", false, "Ignore errors if some of the files or directories are missing.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteTargets)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		o.Confirm = a.confirm
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Checkout(ctx, o)
		switch {
		case a.JSON:
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		case summary:
			a.UI.Printf("%s\n", orElse(countFiles(fileCounts(res)), "No changes."))
		default:
			a.showChanges(res)
		}
		if err != nil {
			return checkoutFailed(err, "Get what is missing with: cairn pull.")
		}
		if o.Relink && !a.JSON {
			a.UI.Printf("Relinked successfully\n")
		}
		return nil
	})
	return cmd
}

// showChanges prints a line for each out that changed: modified, added,
// deleted.
func (a *App) showChanges(res repo.CheckoutResult) {
	for _, l := range []struct {
		letter string
		paths  []string
	}{{"M", res.Modified}, {"A", res.Added}, {"D", res.Deleted}} {
		for _, p := range l.paths {
			a.UI.Printf("%-8s%s\n", l.letter, ui.Quote(p))
		}
	}
}

// fileCounts are the numbers of files that a checkout changed.
func fileCounts(res repo.CheckoutResult) []counted {
	return []counted{{res.Files.Modified, "modified"}, {res.Files.Added, "added"}, {res.Files.Deleted, "deleted"}}
}

// counted is a number of files and what became of them.
type counted struct {
	n    int
	what string
}

// countFiles says "2 files fetched and 1 file added"; "" if nothing happened.
func countFiles(list []counted) string {
	var parts []string
	for _, c := range list {
		if c.n > 0 {
			s := ""
			if c.n > 1 {
				s = "s"
			}
			parts = append(parts, fmt.Sprintf("%d file%s %s", c.n, s, c.what))
		}
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
