package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/repo"
)

func newInit(a *App) *cobra.Command {
	var o repo.InitOptions
	var hash string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Initialize cairn in the current directory.",
		Long: `Make the current directory, usually the root of a Git repository, one whose data
cairn versions: a folder .dvc with the configuration and, later, the cache.

With --hash blake3, the default, data are named by their BLAKE3 digest, and only
cairn can work with the repository. With --hash md5 everything is as DVC has it,
to the byte, and both tools can take turns. Run under the name dvc, md5 is the
default.`,
		Example: "  git init && cairn init\n  cairn init --hash md5\n  cairn init --subdir",
	}
	f := cmd.Flags()
	f.StringVar(&hash, "hash", defaultHash(a), "How data are named: `blake3` or md5.")
	choices(cmd, "hash", "blake3", "md5")
	f.BoolVar(&o.NoSCM, "no-scm", false, "Initiate in a directory that is not tracked by any SCM tool (e.g. Git).")
	f.BoolVarP(&o.Force, "force", "f", false, "Overwrite existing '.dvc/' directory. This operation removes local cache.")
	f.BoolVar(&o.Subdir, "subdir", false, "Initiate for a subdirectory of a Git repository.")
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		o.Hash, _ = object.AlgorithmByName(hash)
		if o.NoSCM && o.Subdir {
			return repo.Init(ctx, a.repoEnv(), o)
		}
		if err := repo.Init(ctx, a.repoEnv(), o); err != nil {
			return Handled("failed to initiate DVC", err)
		}
		a.UI.Printf("Initialized DVC repository.\n")
		if !o.NoSCM {
			a.UI.Printf("\nYou can now commit the changes to git.\n")
		}
		return nil
	})
	return cmd
}

// defaultHash is BLAKE3, but under DVC's name what DVC would do.
func defaultHash(a *App) string {
	if a.Prog == "dvc" {
		return "md5"
	}
	return "blake3"
}
