package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/repo"
)

func newCache(a *App) *cobra.Command {
	return group(&cobra.Command{
		Use:     "cache",
		Short:   "Manage cache settings.",
		Long:    "Where the cache is, and bringing what DVC 2 left in it up to date.",
		Example: "  cairn cache dir /mnt/shared/cache",
	}, newCacheDir(a), newCacheMigrate(a))
}

func newCacheDir(a *App) *cobra.Command {
	var unset bool
	cmd := &cobra.Command{
		Use:   "dir [value]",
		Short: "Configure cache directory location.",
		Long: `Print the cache's folder, or set or unset the option cache.dir. Relative paths are
meant relative to the current directory, and are written relative to the config
file. The objects in the old cache stay there.`,
		Example: "  cairn cache dir\n  cairn cache dir --local /mnt/big/cache\n  cairn cache dir -u",
	}
	levels := newLevelFlags(cmd)
	cmd.Flags().BoolVarP(&unset, "unset", "u", false, "Unset option.")
	argHelp(cmd, "value", "Path to cache directory. Without it the current one is printed.")
	key := config.Key{Section: "cache", Option: "dir"}
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		switch {
		case unset:
			return a.unsetOption(ctx, levels, key, func(ed *config.Editor) error { return ed.Unset(key) })
		case len(args) > 0:
			return a.setOption(ctx, levels, key, args[0], func(ed *config.Editor) error { return ed.Set(key, args[0]) })
		}
		dir, err := cacheDir(a, levels, key)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.UI.Out(), ui.Clean(dir))
		return err
	})
	return cmd
}

// cacheDir is the folder that the levels say, or the repository's own.
func cacheDir(a *App, levels *levelFlags, key config.Key) (string, error) {
	o, at, err := levels.read(a)
	if err != nil {
		return "", err
	}
	e, ok, err := config.Get(o, key, at...)
	switch {
	case err != nil:
		return "", err
	case ok:
		return e.Value, nil
	case len(at) > 1 && o.DvcDir != "":
		return filepath.Join(o.DvcDir, "cache"), nil
	}
	ed, err := config.Open(o, at[len(at)-1])
	if err != nil && len(at) > 1 {
		ed, err = config.Open(o, config.Global)
	}
	if err != nil {
		return "", err
	}
	return "", ed.Unset(key) // its words; nothing is saved
}

func newCacheMigrate(a *App) *cobra.Command {
	var o repo.MigrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate cached files to the DVC 3.0 cache location.",
		Long: `Give the objects that DVC 2 stored the names that DVC 3 has for them, by links, so
that it takes no space. With --dvc-files the entries in pointer files and dvc.lock
are rewritten to those names, too. What is recorded stays the same data,
whatever the workspace holds. Damaged objects are reported and left as they are.`,
		Example: "  cairn cache migrate --dry --dvc-files\n  cairn cache migrate --dvc-files",
	}
	f := cmd.Flags()
	f.BoolVar(&o.DvcFiles, "dvc-files", false, "Migrate entries in all existing DVC files in the repository to the DVC 3.0 format.")
	f.BoolVar(&o.Dry, "dry", false, "Only print actions which would be taken without actually migrating any data.")
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.MigrateCache(ctx, o)
		if err == nil || res.Objects > 0 || len(res.Files) > 0 {
			a.migrated(r, o, res, err)
		}
		return err
	})
	return cmd
}

// migrated says what was or would be done.
func (a *App) migrated(r *repo.Repo, o repo.MigrateOptions, res repo.MigrateResult, err error) {
	if o.Dry {
		a.UI.Printf("%d files will be re-hashed and migrated to the DVC 3.0 cache location.\n", res.Objects)
	} else {
		a.UI.Printf("Migrated %d files to DVC 3.0 cache location.\n", res.Objects)
	}
	switch {
	case !o.DvcFiles:
	case len(res.Files) == 0 && err == nil:
		a.UI.Printf("No DVC files in the repo to migrate to the 3.0 format.\n")
	case o.Dry:
		a.UI.Printf("Entries in following DVC files will be migrated to the 3.0 format:\n")
		for _, f := range res.Files {
			shown := ui.Quote(r.Show(f))
			if !strings.HasSuffix(f, ".dvc") {
				shown += " (" + ui.Quote(r.Show(pipeline.LockFile(f))) + ")"
			}
			a.UI.Printf("\t%s\n", shown)
		}
	default:
		for _, f := range res.Files {
			what := "DVC"
			if !strings.HasSuffix(f, ".dvc") {
				what = "lock"
			}
			a.UI.Printf("Updating %s file '%s'\n", what, ui.Clean(r.Show(f)))
		}
		a.gitHint(r, res.Files)
	}
	if !o.Dry && res.Objects > 0 && r.LinksByName() {
		a.UI.Notef("Links in the workspace still point to the old places. To change them, run: %s checkout --relink", a.Prog)
	}
}
