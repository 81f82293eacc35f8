package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/probe"
)

// RemoteTestOptions of [Repo.TestRemote].
type RemoteTestOptions struct {
	Remote string // "" is the default remote
	probe.Options

	// Begin is called with the remote before the first check; nil is nobody.
	Begin func(name, url string)
}

// RemoteTest is what became of testing a remote.
type RemoteTest struct {
	Remote string `json:"remote"`
	URL    string `json:"url"` // without secrets
	probe.Report
}

// TestRemote checks that a remote does what cairn needs of it, in a scratch
// folder or below a scratch prefix, which is removed again. What does not hold
// is in the result; the error is for a remote that cannot even be opened, and
// for an interruption.
func (r *Repo) TestRemote(ctx context.Context, o RemoteTestOptions) (RemoteTest, error) {
	cfg, err := r.remoteConfig(o.Remote)
	if err != nil {
		return RemoteTest{}, err
	}
	res := RemoteTest{Remote: cfg.Name, URL: config.Redact(cfg.URL)}
	settings, env := remoteSettings(cfg), r.remoteEnv()
	if o.Begin != nil {
		o.Begin(res.Remote, res.URL)
	}
	if s := remote.Scheme(cfg.URL); s == "" || s == "file" {
		res.Report, err = r.testFolder(ctx, settings, env, o.Options)
		res.OK = res.OK && err == nil
		return res, err
	}
	b, err := remote.OpenBackend(ctx, settings, env)
	if err != nil {
		return res, err
	}
	defer b.Close()
	res.Report, err = probe.Run(ctx, b, o.Options)
	res.OK = res.OK && err == nil
	return res, err
}

// testFolder checks a folder that is a remote, in a folder of its own inside.
func (r *Repo) testFolder(ctx context.Context, c remote.Config, env remote.Env, o probe.Options) (report probe.Report, err error) {
	name := probe.ScratchName()
	var dir string
	env.Local = func(d string, shared bool) (object.Store, error) {
		dir = d
		if !o.ReadOnly {
			d = filepath.Join(d, name)
		}
		return cache.Open(d, cache.Options{Shared: shared, Hook: r.env.Hook}), nil
	}
	s, err := remote.Open(ctx, c, env)
	if err != nil {
		return report, err
	}
	defer closeStore(s)
	made := missingDirs(dir)
	if o.ReadOnly {
		if len(made) > 0 {
			return report, errs.WithHint(errs.New(errs.NotFound, "remote %q: the folder %s does not exist", c.Name, disk.Quote(dir)), "Push makes it.")
		}
		return probe.RunStore(ctx, s, o)
	}
	defer func() {
		closeStore(s)
		if rerr := removeScratch(dir, name, made); rerr != nil && err == nil {
			report.Left = append(report.Left, name)
			report.OK = false
			err = rerr
		}
	}()
	report, err = probe.RunStore(ctx, s, o)
	report.Scratch = name
	return report, err
}

// missingDirs are the folders that have to be made for path, the outermost
// last.
func missingDirs(path string) (list []string) {
	for path != filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		list = append(list, path)
		path = filepath.Dir(path)
	}
	return list
}

// removeScratch removes a folder in dir, then the folders that were made for
// it, as far as they are empty.
func removeScratch(dir, name string, made []string) error {
	d, err := disk.OpenDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = d.RemoveAll(name)
	d.Close()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, p := range made {
		if os.Remove(p) != nil {
			break // others put something there meanwhile
		}
	}
	return nil
}
