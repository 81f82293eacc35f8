package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// repoSeams connects the command line to repositories.
func (a *App) repoSeams() seams {
	return seams{
		findRoot: a.findRoot,
		configDirs: func() (string, string) {
			return filepath.Join(a.Env.Home, ".config", "dvc"), "/etc/xdg/dvc"
		},
		repoInfo:   func(context.Context) ([]infoLine, error) { return nil, nil },
		candidates: func(context.Context, Candidates) ([]string, error) { return nil, nil },
	}
}

// findRoot walks up to the nearest folder with a .dvc folder, within the file
// system.
func (a *App) findRoot() (string, error) {
	dir := a.Dir
	dev := deviceOf(dir)
	for {
		if st, err := os.Stat(filepath.Join(dir, ".dvc")); err == nil && st.IsDir() {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir || deviceOf(parent) != dev {
			return "", errs.New(errs.NotInRepo,
				"you are not inside of a DVC repository (checked up to mount point '%s')", dir)
		}
		dir = parent
	}
}

// deviceOf identifies the file system of a folder; 0 if it cannot be told.
func deviceOf(dir string) uint64 {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return 0
	}
	defer d.Close()
	st, err := d.Stat()
	if err != nil {
		return 0
	}
	return st.Dev
}
