package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/progress"
)

// farSource is a Git repository of which one commit is read and nothing is
// checked out: one on another machine, of which a mirror has that commit, or
// one on this machine that was named by its address or has no working tree.
type farSource struct {
	url     string
	git     *git.Repo
	mirror  *git.Mirror // nil on this machine
	sha     string
	root    string // where paths of its configuration start; of a mirror nothing is there
	foreign bool   // on another machine
	temp    string // a folder that goes with it, or ""
}

func (f *farSource) close() {
	_ = f.git.Close()
	if f.temp != "" {
		_ = os.RemoveAll(f.temp)
	}
}

// openFar opens the commit that the options name of a repository that is not a
// folder with a working tree.
func openFar(ctx context.Context, env Env, url string, o SourceOptions) (*tree, error) {
	f, err := env.openFarSource(url)
	if err != nil {
		return nil, cloneError(err)
	}
	if err := f.fetch(ctx, env, o.Rev); err != nil {
		f.close()
		return nil, cloneError(err)
	}
	t, err := f.open(ctx, env, ".", o)
	if err != nil {
		f.close()
		return nil, err
	}
	return t, nil
}

// openFarSource prepares to read a repository by its address. Nothing is asked
// of the other side yet.
func (e Env) openFarSource(url string) (*farSource, error) {
	opts := git.Options{Env: e.Environ}
	if st, err := os.Stat(url); filepath.IsAbs(url) && err == nil && st.IsDir() {
		g, err := git.OpenBare(url, opts)
		return &farSource{url: url, git: g, root: url}, err
	}
	a, err := git.ParseAddress(url)
	if err != nil {
		return nil, err
	}
	if a.Path != "" {
		g, err := git.OpenBare(filepath.Clean(a.Path), opts)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.New(errs.NotFound, "Failed to clone repo '%s': No git repository was found at %s", disk.Quote(url), disk.Quote(url))
		}
		return &farSource{url: url, git: g, root: filepath.Clean(a.Path)}, err
	}
	dir, temp, err := e.mirrorDir(url)
	if err != nil {
		return nil, err
	}
	m, err := git.OpenMirror(url, dir, opts)
	if err != nil {
		return nil, err
	}
	return &farSource{url: url, git: m.Repo, mirror: m, root: dir, foreign: true, temp: temp}, nil
}

// mirrorAge is how long a mirror is kept that nothing uses.
const mirrorAge = 30 * 24 * time.Hour

// mirrorDir is the folder of a mirror. It lies with the user, not in the
// repository, since git heeds the configuration in it and a clone may bring
// any file. Without a home it is a temporary one, returned twice.
func (e Env) mirrorDir(url string) (dir, temp string, err error) {
	base := e.userCache()
	if base == "" {
		dir, err = os.MkdirTemp("", "cairn-git-")
		return dir, dir, err
	}
	all := filepath.Join(base, "cairn", "git")
	sum := sha256.Sum256([]byte(url))
	git.PruneMirrors(all, e.Now().Add(-mirrorAge))
	return filepath.Join(all, hex.EncodeToString(sum[:12])), "", nil
}

// userCache is the user's folder for what can be made again, or "".
func (e Env) userCache() string {
	get := func(name string) string {
		if e.Getenv == nil {
			return ""
		}
		return e.Getenv(name)
	}
	switch {
	case runtime.GOOS == "windows":
		return get("LOCALAPPDATA")
	case filepath.IsAbs(get("XDG_CACHE_HOME")):
		return get("XDG_CACHE_HOME")
	case e.Home == "":
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(e.Home, "Library", "Caches")
	}
	return filepath.Join(e.Home, ".cache")
}

// tip is the commit that a revision is now.
func (f *farSource) tip(ctx context.Context, rev string) (string, error) {
	if f.mirror == nil {
		if rev == "" {
			rev = "HEAD"
		}
		return f.git.Resolve(ctx, rev)
	}
	sha, _, err := f.mirror.Tip(ctx, rev)
	if errs.Is(err, errs.NotFound) {
		// The beginning of a SHA, or main~2.
		return f.mirror.Fetch(ctx, rev)
	}
	return sha, err
}

// fetch makes sure that a commit can be read, and of a mirror the files that
// say what is recorded.
func (f *farSource) fetch(ctx context.Context, env Env, rev string) (err error) {
	defer env.Phases.Begin("fetch from git", "").End()
	if f.mirror == nil {
		f.sha, err = f.tip(ctx, rev)
		return err
	}
	task := progress.Or(env.Progress).Start("Fetching the repository", -1, -1)
	defer task.Done()
	if f.sha, err = f.mirror.Fetch(ctx, rev); err != nil {
		return err
	}
	return f.prefetch(ctx, ".", func(p string) bool {
		name := path.Base(p)
		return pipeline.IsStageFile(name) || name == "dvc.lock" || name == ignore.DVCFile || path.Base(path.Dir(p)) == dvcDir
	})
}

// prefetch brings the files below a folder for which want is true.
func (f *farSource) prefetch(ctx context.Context, dir string, want func(string) bool) error {
	if f.mirror == nil {
		return nil
	}
	t, err := f.git.Tree(f.sha)
	if err != nil {
		return err
	}
	files, err := t.Files(dir)
	if err != nil {
		return nil // a file, or nothing
	}
	var blobs []string
	for _, file := range files {
		if want(file.Path) {
			blobs = append(blobs, file.Blob)
		}
	}
	return f.mirror.Prefetch(ctx, blobs)
}

// open opens the commit as a tree. sub is the folder of a repository inside of
// it, "." for the whole.
func (f *farSource) open(ctx context.Context, env Env, sub string, o SourceOptions) (*tree, error) {
	src, err := f.git.Tree(f.sha)
	if err != nil {
		return nil, err
	}
	o.Rev = f.sha
	t := &tree{opts: o, env: env, far: f, rev: f.sha, root: filepath.Join(f.root, filepath.FromSlash(sub)),
		stores: map[string]object.Store{}, manifests: map[object.Digest]object.Manifest{}}
	if st, err := fs.Stat(src, path.Join(sub, dvcDir)); err != nil || !st.IsDir() {
		t.stages = newStages(nil)
		t.src, t.rules = src, ignore.New(ignore.FS(src), ignore.Options{})
		return t, nil
	}
	if t.repo, err = f.commitRepo(env, src, sub); err != nil {
		return nil, err
	}
	return t, t.load(ctx)
}

// commitRepo is a repository as a commit has it. It has no folder, and its cache
// is that of the working tree, if there is one on this machine.
func (f *farSource) commitRepo(env Env, src *git.Tree, sub string) (*Repo, error) {
	root := filepath.Join(f.root, filepath.FromSlash(sub))
	opts := env.ConfigOptions(root)
	opts.ReadProject = func(name string) ([]byte, error) {
		b, err := src.ReadFile(path.Join(sub, dvcDir, name))
		if errors.Is(err, disk.ErrLink) {
			return nil, errs.New(errs.Invalid, "'%s' is a symbolic link", path.Join(dvcDir, name))
		}
		return b, err
	}
	cfg, err := config.Load(opts)
	if err != nil {
		return nil, fmt.Errorf("the configuration of '%s': %w", disk.Quote(git.Redact(f.url)), err)
	}
	r := &Repo{Root: root, Config: cfg, Alg: cfg.Core.Hash, Git: f.git, env: env, Progress: progress.Or(env.Progress), cwd: "."}
	if r.Alg == object.None {
		r.Alg = object.MD5
	}
	dir := cfg.Cache.Dir
	if f.foreign || dir == "" {
		dir = filepath.Join(root, dvcDir, "cache") // where nothing is
	}
	r.Cache = cache.Open(dir, cache.Options{Links: []cache.LinkType{cache.Copy}})
	return r, nil
}

// trusted refuses a remote of a commit whose committed options would make this
// machine run a program or hand out a file that the repository chose. Options
// that the user gave for it are the user's.
func (t *tree) trusted(use *config.Remote) error {
	if t.far == nil || t.repo == nil {
		return nil
	}
	for _, risk := range config.RiskyProjectOptions(t.repo.Config) {
		where, name, ok := cutLast(risk.Key, ".")
		where, isRemote := strings.CutPrefix(where, "remote.")
		if !ok || !isRemote || risk.Harms != config.RunsPrograms && risk.Harms != config.ReadsFiles {
			continue
		}
		// It may be inherited, and the user's --config or --remote-config may
		// have put another value in its place.
		set, err := t.repo.Config.Remote(where)
		if err != nil || use.Options[name] == "" || use.Options[name] != set.Options[name] || t.opts.RemoteConfig[name] != "" {
			continue
		}
		return errs.WithHint(errs.New(errs.Denied, "the repository '%s' sets %s, which %s: it was not used", disk.Quote(git.Redact(t.far.url)), risk.Key, risk.Reason),
			"Give a value of your own with --remote-config %s=VALUE.", name)
	}
	return nil
}

// revision is the commit that a tree shows: of a workspace the one that is
// checked out.
func (t *tree) revision(ctx context.Context) (string, error) {
	if t.rev != "" {
		return t.rev, nil
	}
	g := t.git
	if t.repo != nil {
		g = t.repo.Git
	}
	if g == nil {
		return "", errs.New(errs.Unsupported, "Only supported for Git repositories. If you're seeing this error in a Git repo, try updating the DVC configuration with `dvc config core.no_scm false`.")
	}
	rev := t.opts.Rev
	if rev == "" {
		rev = "HEAD"
	}
	sha, err := g.Resolve(ctx, rev)
	if err == nil {
		t.rev = sha
	}
	return sha, err
}

// cutLast splits around the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
