package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/progress"
)

// LocalConfigOptions say where the configuration is that the working directory
// sees, in a repository or not. It does not read any of it, so it serves to
// mend a broken one.
func (e Env) LocalConfigOptions() (config.LoadOptions, error) {
	root, err := FindRoot(e.Dir)
	if err != nil && !errs.Is(err, errs.NotInRepo) {
		return config.LoadOptions{}, err
	}
	return e.ConfigOptions(root), nil
}

// EditConfig changes one level of the configuration. Nothing is written if
// change fails or the result would be wrong. Others that change it wait.
func EditConfig(ctx context.Context, env Env, l config.Level, change func(*config.Editor) error) error {
	return withConfigLock(ctx, env, l, func(o config.LoadOptions) error {
		ed, err := config.Open(o, l)
		if err != nil {
			return err
		}
		if o.DvcDir != "" {
			ed.GuardHash = func(to object.Algorithm) error {
				return guardHash(ctx, env, filepath.Dir(o.DvcDir), to)
			}
		}
		if err := change(ed); err != nil {
			return err
		}
		return ed.Save()
	})
}

// RemoveRemote removes a remote from a level; see [config.RemoveRemote].
func RemoveRemote(ctx context.Context, env Env, name string, l config.Level) (notes []string, err error) {
	err = withConfigLock(ctx, env, l, func(o config.LoadOptions) error {
		notes, err = config.RemoveRemote(o, name, l)
		return err
	})
	return notes, err
}

// RenameRemote renames a remote at a level and wherever the repository refers
// to it; see [config.RenameRemote].
func RenameRemote(ctx context.Context, env Env, from, to string, l config.Level) (notes []string, err error) {
	err = withConfigLock(ctx, env, l, func(o config.LoadOptions) error {
		notes, err = config.RenameRemote(o, from, to, l)
		return err
	})
	return notes, err
}

// withConfigLock calls change while nobody else changes the configuration: the
// repository's lock is held if there is a repository, and for the levels that
// repositories share one beside their file.
func withConfigLock(ctx context.Context, env Env, l config.Level, change func(config.LoadOptions) error) error {
	o, err := env.LocalConfigOptions()
	if err != nil {
		return err
	}
	if l >= config.Project && o.DvcDir == "" {
		_, err := config.Open(o, l) // its words
		return err
	}
	release, err := lockConfig(ctx, env, o, l)
	if err != nil {
		return err
	}
	defer release()
	// Secrets are kept out of Git before they are written.
	if err := ignoreLocal(env, o, l, o.Path(l)); err != nil {
		return err
	}
	if err := change(o); err != nil {
		return err
	}
	own := o.Path(l) + config.CairnSuffix
	if _, err := os.Lstat(own); err != nil {
		return nil
	}
	return ignoreLocal(env, o, l, own)
}

func lockConfig(ctx context.Context, env Env, o config.LoadOptions, l config.Level) (release func(), err error) {
	release = func() {}
	if o.DvcDir != "" {
		// A repository on a read-only disk must not keep its user from
		// changing their own configuration.
		unlock, err := lockBare(ctx, env, o)
		if err != nil && (l >= config.Project || !errs.Is(err, errs.Denied)) {
			return nil, err
		}
		if err == nil {
			release = unlock
		}
	}
	if l >= config.Project {
		return release, nil
	}
	own, err := lockBeside(ctx, env, o, l)
	if err != nil {
		release()
		return nil, err
	}
	repoLock := release
	return func() { own(); repoLock() }, nil
}

// lockBare takes the repository's lock even if its configuration is broken,
// which is when it has to be edited.
func lockBare(ctx context.Context, env Env, o config.LoadOptions) (unlock func(), err error) {
	cfg, err := config.Load(o)
	if err != nil {
		if cfg, err = config.Load(config.LoadOptions{}); err != nil {
			return nil, err
		}
	}
	root := filepath.Dir(o.DvcDir)
	dir, err := disk.OpenDir(root)
	if err != nil {
		return nil, err
	}
	r := &Repo{Root: root, Dir: dir, Config: cfg, Progress: progress.Or(env.Progress), env: env}
	if err := r.openCache(); err != nil {
		dir.Close()
		return nil, err
	}
	release, err := r.lockOnly(ctx)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return func() { release(); _ = r.Close() }, nil
}

// lockBeside locks the file "config.lock" beside a level's file.
func lockBeside(ctx context.Context, env Env, o config.LoadOptions, l config.Level) (release func(), err error) {
	file := o.Path(l)
	if file == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("write the %s config: %w", l, err)
	}
	lo := disk.LockOptions{Waiting: func(holder string) {
		if env.Warn != nil {
			env.Warn("waiting for %s, which changes the %s config", holder, l)
		}
	}}
	if cfg, err := config.Load(o); err == nil {
		lo.Timeout = cfg.Cairn.LockTimeout
	} else if cfg, err := config.Load(config.LoadOptions{}); err == nil {
		lo.Timeout = cfg.Cairn.LockTimeout
	}
	if env.WaitForLock {
		lo.Timeout = -1
	}
	lock, err := disk.Acquire(ctx, file+".lock", lo)
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil
}

// ignoreLocal keeps a file of the local level out of Git. Repositories of old,
// and cairn's own file, may lack the line.
func ignoreLocal(env Env, o config.LoadOptions, l config.Level, file string) error {
	if l != config.Local {
		return nil
	}
	if cfg, err := config.Load(o); err == nil && cfg.Core.NoSCM {
		return nil
	}
	g, err := git.Open(filepath.Dir(o.DvcDir), git.Options{Env: env.Environ})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer g.Close()
	rel, err := filepath.Rel(g.Root(), file)
	if err != nil {
		return err
	}
	_, err = g.IgnoreAdd(filepath.ToSlash(rel))
	return err
}

// guardHash refuses to change a repository's hash while it records digests of
// another: their objects would be out of reach.
func guardHash(ctx context.Context, env Env, root string, to object.Algorithm) error {
	r, err := openAt(root, env)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Alg == to {
		return nil
	}
	// As a BLAKE3 repository it may hold any digest while we look.
	r.Alg = object.BLAKE3
	stages, err := r.Stages(ctx)
	if err != nil {
		return fmt.Errorf("find out which hash the tracked data have: %w", err)
	}
	var files []string
	for _, s := range stages.All {
		if records(s, func(a object.Algorithm) bool { return (a == object.BLAKE3) != (to == object.BLAKE3) }) {
			files = append(files, r.Show(recordOf(s)))
		}
	}
	files = unique(files)
	if len(files) == 0 {
		return nil
	}
	other := object.MD5
	if to == object.MD5 {
		other = object.BLAKE3
	}
	what := disk.Quote(files[0])
	if n := len(files) - 1; n > 0 {
		what = fmt.Sprintf("%s and %d more", what, n)
	}
	err = errs.New(errs.Config, "config file error: core.hash cannot become %s: data are tracked with %s already (%s)", to.Name(), other.Name(), what)
	return errs.WithHint(err, "Keep the hash; or stop tracking the data with `cairn remove`, set core.hash, and add them again.")
}

// recordOf is the file that holds a stage's digests.
func recordOf(s *pipeline.Stage) string {
	if s.IsPointer() {
		return s.File
	}
	return pipeline.LockFile(s.File)
}

// records reports whether a stage records a digest of such an algorithm.
func records(s *pipeline.Stage, of func(object.Algorithm) bool) bool {
	has := func(e *pipeline.Entry) bool {
		return !e.Digest.IsZero() && of(e.Digest.Algorithm()) ||
			slices.ContainsFunc(e.Files, func(f pipeline.FileEntry) bool {
				return !f.Digest.IsZero() && of(f.Digest.Algorithm())
			})
	}
	return slices.ContainsFunc(s.Outs, func(o *pipeline.Out) bool { return has(&o.Entry) }) ||
		slices.ContainsFunc(s.Deps, func(d *pipeline.Dep) bool { return has(&d.Entry) })
}
