package repo

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// usersDir, in a cache that lies outside of its repository, names the
// repositories that use it, one file each, so that gc knows of them.
const usersDir = "users.cairn"

// isShared reports whether the cache lies outside of the repository, where
// others may use it too.
func (r *Repo) isShared() bool {
	rel, err := filepath.Rel(r.Root, r.Cache.Path())
	return err != nil || !filepath.IsLocal(rel)
}

// checkCache refuses to write into a folder that came with the clone's
// configuration and is neither empty nor a cache: a hostile repository could
// name any folder of the user's.
func (r *Repo) checkCache() error {
	if !r.Config.Cache.Committed || !r.isShared() {
		return nil
	}
	dir, err := disk.OpenDir(r.Cache.Path())
	if err != nil {
		return nil // what is not there yet can be made
	}
	defer dir.Close()
	list, err := dir.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Type.IsDir() && (e.Name == "files" || e.Name == "runs" || e.Name == usersDir || len(e.Name) == 2) {
			return nil
		}
	}
	if len(list) == 0 {
		return nil
	}
	return errs.WithHint(errs.New(errs.Denied, "cache.dir in the committed .dvc/config names '%s', which holds other things than a cache", disk.Quote(r.Cache.Path())),
		"If you want the cache there, say so on this machine: %s cache dir --local PATH", r.env.Program)
}

// enrol leaves word in a shared cache that this repository uses it. Where that
// is not possible nobody deletes anything either.
func (r *Repo) enrol() {
	if r.enrolled || !r.isShared() {
		return
	}
	dir, err := disk.OpenDir(r.Cache.Path())
	if err != nil {
		return // it comes with the first object
	}
	defer dir.Close()
	r.enrolled = true
	name := path.Join(usersDir, object.Sum(object.MD5, []byte(r.Root)).String())
	if _, err := dir.LstatPath(name); err == nil {
		return
	}
	users, err := dir.MakePath(usersDir, 0o777)
	if err != nil {
		return
	}
	users.Close()
	if r.Config.Cache.Shared {
		// Whoever shares the cache must be able to leave word too; only the
		// folder's owner may see to that.
		_ = dir.Chmod(usersDir, 0o775|fs.ModeSetgid)
	}
	_ = dir.WriteFile(name, []byte(r.Root+"\n"), 0o666)
}

// cacheUsers lists the other repositories that have used a shared cache and
// still do.
func (r *Repo) cacheUsers() ([]string, error) {
	if !r.isShared() {
		return nil, nil
	}
	dir, err := disk.OpenDir(r.Cache.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	users, err := dir.OpenPath(usersDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer users.Close()
	list, err := users.ReadDir()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, e := range list {
		text, err := users.ReadFile(e.Name)
		if err != nil {
			return nil, err
		}
		root := strings.TrimSuffix(string(text), "\n")
		if root == r.Root || !filepath.IsAbs(root) {
			continue
		}
		env := r.env
		env.Dir = root
		other, err := openAt(root, env)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted
		}
		if err != nil {
			roots = append(roots, root) // what it uses cannot be known
			continue
		}
		if _, err := other.Dir.LstatPath(dvcDir); err == nil && other.Cache.Path() == r.Cache.Path() {
			roots = append(roots, root)
		}
		_ = other.Close()
	}
	slices.Sort(roots)
	return roots, nil
}

// checkSharing fails if a repository that uses the same cache was not named.
func (g *collection) checkSharing() error {
	roots, err := g.cacheUsers()
	if err != nil {
		return err
	}
	var missing []string
	for _, root := range roots {
		if !slices.ContainsFunc(g.others, func(r *Repo) bool { return r.Root == root }) {
			missing = append(missing, root)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errs.WithHint(errs.New(errs.Conflict, "the cache '%s' is used by other repositories too: %s",
		disk.Quote(g.Cache.Path()), strings.Join(quoteAll(missing), ", ")),
		"Nothing was deleted. Keep their data too: -p %s", strings.Join(quoteAll(missing), " "))
}

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = disk.Quote(n)
	}
	return out
}
