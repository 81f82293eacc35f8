package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newListURL(a *App) *cobra.Command {
	var o repo.ListURLOptions
	var show listFlags
	var pairs []string
	cmd := &cobra.Command{
		Use:     "list-url url",
		Aliases: []string{"ls-url"},
		Short:   "List directory contents from URL.",
		Long: `List what is at a URL or a path of this machine, files first; see "import-url"
for what a URL may be. It works anywhere, also outside of a repository; in one,
remote://name/path is a path below a remote.`,
		Example: "  cairn ls-url s3://bucket/data\n  cairn ls-url remote://lake -R --size",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Recursively list files.")
	f.BoolVarP(&show.tree, "tree", "T", false, "Recurse into directories as a tree.")
	f.IntVarP(&o.Level, "level", "L", -1, "Limit the `<depth>` of recursion.")
	f.BoolVar(&show.size, "size", false, "Show sizes.")
	fsConfigFlag(cmd, &pairs)
	a.JSONFlag(cmd)
	argHelp(cmd, "url", "See `import-url` for supported URLs.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.URL = args[0]
		if show.tree && a.JSON {
			return errs.New(errs.Invalid, "Cannot use --tree and --json options together.")
		}
		var err error
		if o.FSConfig, err = parsePairs(cmd, "fs-config", pairs); err != nil {
			return err
		}
		if show.tree {
			top, err := repo.ListURLTree(ctx, a.repoEnv(), o)
			if err != nil {
				return err
			}
			return a.showListTree(top, show)
		}
		list, err := repo.ListURL(ctx, a.repoEnv(), o)
		if err != nil {
			return err
		}
		return a.showList(list, show)
	})
	return cmd
}
