package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// InitOptions of [Init].
type InitOptions struct {
	Hash   object.Algorithm // BLAKE3 or MD5
	NoSCM  bool             // without Git
	Subdir bool             // in a folder of a Git repository
	Force  bool             // delete a repository that is there
}

const dvcignoreText = `# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
`

// Init makes a repository in the working directory of env.
func Init(ctx context.Context, env Env, o InitOptions) error {
	if o.NoSCM && o.Subdir {
		return errs.New(errs.Unsupported, "Cannot initialize repo with `--no-scm` and `--subdir`")
	}
	g, err := gitForInit(env, o)
	if err != nil {
		return err
	}
	if g != nil {
		defer g.Close()
		if err := checkNotIgnored(g, env.Dir); err != nil {
			return err
		}
	}
	dir, err := disk.OpenDir(env.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if dir.Exists(dvcDir) {
		if !o.Force {
			return errs.New(errs.Conflict, "'%s' exists. Use `-f` to force.", dvcDir)
		}
		if err := dir.RemoveAll(dvcDir); err != nil {
			return err
		}
	}
	if err := writeInit(dir, o); err != nil {
		return err
	}
	if g == nil {
		return nil
	}
	var files []string
	for _, f := range []string{".dvc/config", ".dvc/.gitignore", ".dvcignore"} {
		rel, err := filepath.Rel(g.Root(), filepath.Join(env.Dir, filepath.FromSlash(f)))
		if err != nil {
			return err
		}
		files = append(files, filepath.ToSlash(rel))
	}
	if err := g.Stage(ctx, files...); err != nil {
		return fmt.Errorf("the repository is made, but its files are not in Git's index: %w", err)
	}
	return nil
}

// gitForInit opens the Git repository that the new one will live in.
func gitForInit(env Env, o InitOptions) (*git.Repo, error) {
	if o.NoSCM {
		return nil, nil
	}
	g, err := git.Open(env.Dir, git.Options{Env: env.Environ})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if err == nil && (o.Subdir || sameFolder(g.Root(), env.Dir)) {
		return g, nil
	}
	return nil, errs.New(errs.Conflict, "%s is not tracked by any supported SCM tool (e.g. Git). Use `--no-scm` if you don't want to use any SCM or `--subdir` if initializing inside a subdirectory of a parent SCM repository.", env.Dir)
}

// checkNotIgnored refuses a place where Git would never see the repository's
// files.
func checkNotIgnored(g *git.Repo, at string) error {
	dir := filepath.Join(at, dvcDir)
	rel, err := filepath.Rel(g.Root(), dir)
	if err != nil {
		return err
	}
	ignored, err := g.IsIgnored(filepath.ToSlash(rel), true)
	if err != nil || !ignored {
		return err
	}
	return errs.New(errs.Conflict, "%s is ignored by your SCM tool. \nMake sure that it's tracked, for example, by adding '!.dvc' to .gitignore.", dir)
}

func sameFolder(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func writeInit(dir *disk.Dir, o InitOptions) error {
	tmp, err := dir.MakePath(tmpDir, 0o777)
	if err != nil {
		return err
	}
	defer tmp.Close()
	// DVC tells checkouts apart by this file's time.
	if f, err := tmp.Create("btime", 0o666); err == nil {
		f.Close()
	}
	if !o.NoSCM {
		if err := dir.WriteFile(".dvc/.gitignore", []byte("/config.local\n/tmp\n/cache\n"), 0o666); err != nil {
			return err
		}
	}
	if !dir.Exists(".dvcignore") {
		if err := dir.WriteFile(".dvcignore", []byte(dvcignoreText), 0o666); err != nil {
			return err
		}
	}
	config := ""
	if o.Hash == object.BLAKE3 {
		config += "    hash = blake3\n"
	}
	if o.NoSCM {
		config += "    no_scm = True\n"
	}
	if config != "" {
		config = "[core]\n" + config
	}
	// The configuration comes last: without it there is no repository yet
	// that a command could take for an md5 one.
	return dir.WriteFile(".dvc/config", []byte(config), 0o666)
}

// Destroy removes the repository: .dvc with the cache in it, pointer files,
// dvc.yaml and dvc.lock, and .dvcignore. The data in the workspace stays; what
// was a link into the cache becomes a file first. Its lines in .gitignore stay:
// nobody wants to find the data in the next commit.
func (r *Repo) Destroy(ctx context.Context) error {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	stages, err := r.Stages(ctx)
	if err != nil {
		return err
	}
	for _, t := range stages.Outs() {
		if rel := t.Out.RepoPath(); !t.Out.IsExternal() && !outOfRoot(rel) {
			if err := r.unprotect(ctx, rel); err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
		}
	}
	for _, s := range stages.All {
		if err := r.removeFile(s.File); err != nil {
			return err
		}
		if !s.IsPointer() {
			if err := r.removeFile(pipeline.LockFile(s.File)); err != nil {
				return err
			}
		}
	}
	if err := r.removeFile(".dvcignore"); err != nil {
		return err
	}
	return r.Dir.RemoveAll(dvcDir)
}

// removeFile deletes a file of the repository; one that is gone is fine.
func (r *Repo) removeFile(rel string) error {
	dir, name, err := r.Dir.Parent(rel)
	if err != nil {
		return ignoreMissing(err)
	}
	defer dir.Close()
	return ignoreMissing(dir.Remove(name))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
