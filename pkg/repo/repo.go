package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// Env is the world a repository lives in. The command line fills it.
type Env struct {
	Dir      string // the working directory, absolute
	Home     string
	Getenv   func(string) string
	Environ  []string // the whole environment, for programs that are started
	Now      func() time.Time
	Progress progress.Sink
	// Warn shows one line to the user. It may be called concurrently.
	Warn func(format string, args ...any)
	// Prompt asks the user for a line, shown if echo; nil is nobody to ask.
	Prompt func(ctx context.Context, question string, echo bool) (string, error)
	// Program is the name the user runs: "cairn", or "dvc" through a link.
	Program string
	// WaitForLock waits for the repository's lock without limit.
	WaitForLock bool
	Hook        disk.Hook // for tests
	// Phases hears how long the parts of a verb take; nil measures nothing.
	Phases *progress.Phases
}

// ConfigOptions say where configuration is, for a repository's root or, with
// "", outside of one.
func (e Env) ConfigOptions(root string) config.LoadOptions {
	o := config.LoadOptions{Dir: e.Dir, Home: e.Home, Getenv: e.Getenv}
	if root != "" {
		o.DvcDir = filepath.Join(root, dvcDir)
	}
	return o
}

// Repo is an open repository. Its methods are not safe for concurrent use.
type Repo struct {
	Root   string    // absolute path
	Dir    *disk.Dir // the root, held open
	Config *config.Config
	Git    *git.Repo // nil without Git
	Cache  *cache.Cache
	Alg    object.Algorithm
	Ignore *ignore.Matcher

	Progress progress.Sink
	env      Env
	cwd      string // of the user, relative to Root; may begin with ".."
	state    *index.State
	enrolled bool // the shared cache knows of us
	stages   *Stages
	named    namedStages
	counters stageCounters
	history  *history
	imports  *importMemory
	tips     map[string]tip // what sources of imports answered, by URL and revision
	warning  sync.Mutex     // held while Env.Warn is told something
	versions versionBook    // what cloud-versioned remotes have, by the stage files
}

const (
	dvcDir = ".dvc"
	tmpDir = ".dvc/tmp"
	// indexFile lies below .dvc/tmp, which DVC keeps out of Git.
	indexFile = "cairn-index"
)

// FindRoot returns the nearest folder at or above dir that holds a folder
// .dvc, without crossing into another file system, and is errs.NotInRepo if
// there is none.
func FindRoot(dir string) (string, error) {
	var dev uint64
	for at := dir; ; at = filepath.Dir(at) {
		d, err := disk.OpenDir(at)
		if err != nil {
			return "", fmt.Errorf("look for a repository: %w", err)
		}
		here, err := d.Stat()
		st, derr := d.Lstat(dvcDir)
		d.Close()
		if err != nil {
			return "", err
		}
		if dev != 0 && here.Dev != dev {
			break
		}
		dev = here.Dev
		if derr == nil && st.IsDir() {
			return at, nil
		}
		if filepath.Dir(at) == at {
			break
		}
	}
	return "", errs.WithHint(errs.New(errs.NotInRepo, "you are not inside of a DVC repository (checked up to mount point '%s')", mountPoint(dir)),
		"Make one here with: cairn init")
}

// mountPoint is the highest folder above dir on dir's file system.
func mountPoint(dir string) string {
	at := dir
	st, err := os.Stat(at)
	for err == nil && filepath.Dir(at) != at {
		up, uerr := os.Stat(filepath.Dir(at))
		if uerr != nil || !sameDevice(st, up) {
			break
		}
		at, st = filepath.Dir(at), up
	}
	return at
}

// Open opens the repository that dir lies in.
func Open(env Env) (*Repo, error) {
	defer env.Phases.Begin("open the repository", "").End()
	root, err := FindRoot(env.Dir)
	if err != nil {
		return nil, err
	}
	return openAt(root, env)
}

// OpenAnywhere is Open for commands that also work on files outside of a
// repository: there, the root is that of Git's working tree or else the
// working directory.
func OpenAnywhere(env Env) (*Repo, error) {
	r, err := Open(env)
	if !errs.Is(err, errs.NotInRepo) {
		return r, err
	}
	root := env.Dir
	if g, err := git.Open(env.Dir, git.Options{Env: env.Environ}); err == nil {
		root = g.Root()
		_ = g.Close()
	}
	return openAt(root, env)
}

func openAt(root string, env Env) (*Repo, error) {
	cfg, err := config.Load(env.ConfigOptions(root))
	if err != nil {
		return nil, err
	}
	dir, err := disk.OpenDir(root)
	if err != nil {
		return nil, err
	}
	dir = dir.WithScratch(tmpDir)
	if env.Hook != nil {
		dir = dir.WithHook(env.Hook)
	}
	r := &Repo{Root: root, Dir: dir, Config: cfg, Alg: cfg.Core.Hash, env: env, Progress: progress.Or(env.Progress)}
	if r.Alg == object.None {
		r.Alg = object.MD5
	}
	for _, w := range cfg.Warnings {
		r.warn("%s", w)
	}
	if r.cwd, err = r.relative(env.Dir); err != nil {
		return nil, err
	}
	r.Ignore = ignore.New(ignore.Disk(dir), ignore.Options{})
	if !cfg.Core.NoSCM {
		r.Git, err = git.Open(root, git.Options{Env: env.Environ, Scratch: filepath.Join(root, filepath.FromSlash(tmpDir))})
		if err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	return r, r.openCache()
}

func (r *Repo) openCache() error {
	c := r.Config.Cache
	o := cache.Options{Shared: c.Shared, Hook: r.env.Hook, Phases: r.env.Phases}
	for _, t := range c.Types {
		o.Links = append(o.Links, cache.LinkType(t))
	}
	dir := c.Dir
	if dir == "" {
		dir = filepath.Join(r.Root, dvcDir, "cache")
	}
	r.Cache = cache.Open(dir, o)
	return nil
}

// Close releases the repository.
func (r *Repo) Close() error {
	r.history.close()
	err := r.Cache.Close()
	if r.state != nil {
		err = errors.Join(err, r.state.Close())
	}
	if r.Dir == nil { // a commit
		return err
	}
	return errors.Join(err, r.Dir.Close())
}

func (r *Repo) now() time.Time { return r.env.Now() }

// phase enters a phase of the verb; see [progress.Phases].
func (r *Repo) phase(name, unit string) *progress.Span { return r.env.Phases.Begin(name, unit) }

func (r *Repo) warn(format string, args ...any) {
	if r.env.Warn != nil {
		r.warning.Lock()
		defer r.warning.Unlock()
		r.env.Warn(format, args...)
	}
}

// abs is the absolute path of a relative one, for messages and for Git.
func (r *Repo) abs(rel string) string { return filepath.Join(r.Root, filepath.FromSlash(rel)) }

// relative makes an absolute path relative to the root, with slashes.
func (r *Repo) relative(abs string) (string, error) {
	rel, err := filepath.Rel(r.Root, abs)
	if err != nil {
		return "", errs.New(errs.Invalid, "%q is not in the repository %q", abs, r.Root)
	}
	return filepath.ToSlash(rel), nil
}

// Rel turns a path that the user typed into one relative to the root. A path
// out of the repository is errs.Invalid.
func (r *Repo) Rel(typed string) (string, error) {
	if typed == "" {
		return "", errs.New(errs.Invalid, "empty path")
	}
	if strings.IndexByte(typed, 0) >= 0 {
		return "", errs.New(errs.Invalid, "path %q holds a NUL byte", typed)
	}
	abs := filepath.FromSlash(typed)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	rel, err := r.relative(filepath.Clean(abs))
	if err == nil && outOfRoot(rel) {
		// The root may be reached through another name than the working
		// directory is.
		if real, rerr := filepath.EvalSymlinks(filepath.Dir(abs)); rerr == nil {
			if root, rerr := filepath.EvalSymlinks(r.Root); rerr == nil {
				if again, rerr := filepath.Rel(root, filepath.Join(real, filepath.Base(abs))); rerr == nil {
					rel = filepath.ToSlash(again)
				}
			}
		}
	}
	if err != nil || outOfRoot(rel) {
		return "", errs.New(errs.Invalid, "%q is outside of the repository %q", typed, r.Root)
	}
	return rel, nil
}

func outOfRoot(rel string) bool { return rel == ".." || strings.HasPrefix(rel, "../") }

// Show is a path as the user would type it from the working directory.
func (r *Repo) Show(rel string) string {
	if path.IsAbs(rel) || strings.Contains(rel, "://") {
		return rel
	}
	out, err := filepath.Rel(filepath.FromSlash(r.cwd), filepath.FromSlash(rel))
	if err != nil {
		return rel
	}
	return out
}

// gitPath is a path relative to Git's root.
func (r *Repo) gitPath(rel string) string {
	in, err := filepath.Rel(r.Git.Root(), r.abs(rel))
	if err != nil {
		return rel
	}
	return filepath.ToSlash(in)
}

// Lock takes the repository's lock for a change, waiting for its holder. The
// lock is DVC's own, so that both tools can work on one repository.
func (r *Repo) Lock(ctx context.Context) (unlock func(), err error) {
	if err := r.checkCache(); err != nil {
		return nil, err
	}
	release, err := r.lockOnly(ctx)
	if err != nil {
		return nil, err
	}
	defer r.phase("clean up after the dead", "").End()
	if tmp, err := r.Dir.OpenPath(tmpDir); err == nil {
		disk.CleanStaging(tmp)
		tmp.Close()
	}
	disk.CleanStaging(r.Dir) // what a killed process was about to rename there
	r.Cache.Clean()
	r.enrol()
	return func() {
		r.enrol() // there may be a cache now
		release()
	}, nil
}

// lockOnly is Lock that leaves what dead processes left where it is.
func (r *Repo) lockOnly(ctx context.Context) (unlock func(), err error) {
	defer r.phase("wait for the lock", "").End()
	if r.Config.Core.HardlinkLock {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "core.hardlink_lock is set, and cairn takes only kernel locks"),
			"Where the file system has kernel locks, unset it: cairn config --unset core.hardlink_lock.")
	}
	tmp, err := r.Dir.MakePath(tmpDir, 0o777)
	if err != nil {
		return nil, err
	}
	defer tmp.Close()
	timeout := r.Config.Cairn.LockTimeout
	if r.env.WaitForLock {
		timeout = -1
	}
	lock, err := disk.Acquire(ctx, filepath.Join(r.Root, filepath.FromSlash(tmpDir), "lock"), disk.LockOptions{
		Timeout: timeout,
		Waiting: func(holder string) { r.warn("waiting for %s, which holds the lock of the repository", holder) },
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil
}

// State returns the index, loaded at first use.
func (r *Repo) State() *index.State {
	if r.state != nil {
		return r.state
	}
	defer r.phase("read the index", "").End()
	tmp, err := r.Dir.OpenPath(tmpDir)
	if err != nil {
		r.state = index.NewState()
		return r.state
	}
	defer tmp.Close()
	var note string
	if r.state, note = index.LoadState(tmp, indexFile); note != "" {
		r.warn("%s", note)
	}
	return r.state
}

// saveState writes the index. It is only a memory: failing to write it, on a
// read-only disk say, is no failure of the command.
func (r *Repo) saveState() error {
	if r.state == nil {
		return nil
	}
	defer r.phase("write the index", "").End()
	tmp, err := r.Dir.OpenPath(tmpDir)
	if err != nil {
		return nil
	}
	defer tmp.Close()
	if err := r.state.Save(tmp, indexFile); err != nil && !errors.Is(err, fs.ErrPermission) && !disk.IsReadOnly(err) {
		r.warn("the index was not saved: %v", err)
	}
	return nil
}

// staging prepares a folder for files on their way into the workspace.
func (r *Repo) staging() (*disk.Staging, func(), error) {
	tmp, err := r.Dir.MakePath(tmpDir, 0o777)
	if err != nil {
		return nil, nil, err
	}
	s := disk.NewStaging(tmp)
	return s, func() { _ = s.Close(); tmp.Close() }, nil
}

// apply makes the workspace follow plans.
func (r *Repo) apply(ctx context.Context, plans []index.Plan, task progress.Task) (index.Applied, error) {
	staging, done, err := r.staging()
	if err != nil {
		return index.Applied{}, err
	}
	defer done()
	a := index.Applier{Root: r.Dir, State: r.State(), Cache: r.Cache, Staging: staging, Task: task, Now: r.now, Phases: r.env.Phases}
	return a.Apply(ctx, plans)
}

// scanner prepares to read outs of the workspace without storing them.
func (r *Repo) scanner(a object.Algorithm) *index.Scanner {
	s := &index.Scanner{Root: r.Dir, State: r.State(), Cache: r.Cache, Alg: a, Now: r.now, Phases: r.env.Phases}
	if a == object.MD5Legacy {
		// The index remembers digests of today's algorithms only; a file
		// has one digest in it.
		s.State = index.NewState()
	}
	return s
}

// rules adapts ignore rules to a scan.
type rules struct{ dir *ignore.Dir }

func (r rules) Skip(name string, isDir bool) bool { return r.dir.Match(name, isDir) }

func (r rules) Child(name string) index.Rules {
	// Without marks no ignore file is read, so there is no error: a scan
	// refuses an ignore file among data.
	c, _ := r.dir.Child(name, 0)
	return rules{c}
}

// rulesAbove returns the rules of the folder that rel lies in.
func (r *Repo) rulesAbove(rel string) index.Rules {
	d, err := r.Ignore.Dir(path.Dir(rel))
	if err != nil {
		return nil
	}
	return rules{d}
}

// ignoredBy returns the ignore rule that leaves a path out, or "".
func (r *Repo) ignoredBy(rel string) (string, error) {
	st, err := r.Dir.LstatPath(rel)
	if err != nil {
		return "", err
	}
	x, err := r.Ignore.Explain(rel, st.IsDir())
	if err != nil || !x.Ignored {
		return "", err
	}
	return x.Rule.String(), nil
}
