package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
)

func newCache(a *App) *cobra.Command {
	return group(&cobra.Command{
		Use:     "cache",
		Short:   "Manage cache settings.",
		Long:    "Where the cache is, and bringing what DVC 2 left in it up to date.",
		Example: "  cairn cache dir /mnt/shared/cache",
	}, newCacheDir(a))
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
