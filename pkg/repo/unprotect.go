package repo

import (
	"context"
	"errors"
	"io/fs"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Unprotect makes files that are links into the cache, or read-only, plain
// files that are safe to change. Paths are as the user typed them.
func (r *Repo) Unprotect(ctx context.Context, targets []string) error {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, t := range targets {
		rel, err := r.Rel(t)
		if err != nil {
			return err
		}
		if err := r.unprotect(ctx, rel); err != nil {
			if errs.Is(err, errs.NotFound) {
				return errs.New(errs.NotFound, "can't unprotect non-existing data '%s'", t)
			}
			return err
		}
	}
	return r.saveState()
}

func (r *Repo) unprotect(ctx context.Context, rel string) error {
	dir, name, err := r.Dir.Parent(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "'%s' does not exist", r.Show(rel))
	}
	if err != nil {
		return r.behindLink(rel, err)
	}
	defer dir.Close()
	st, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "'%s' does not exist", r.Show(rel))
	}
	if err != nil {
		return err
	}
	// A copy of the file is a cache of no link type but copy.
	plain := cache.Open(r.Cache.Path(), cache.Options{Links: []cache.LinkType{cache.Copy}})
	defer plain.Close()
	staging, done, err := r.staging()
	if err != nil {
		return err
	}
	defer done()
	u := unprotector{r: r, ctx: ctx, plain: plain, staging: staging}
	return u.visit(dir, name, st)
}

type unprotector struct {
	r       *Repo
	ctx     context.Context
	plain   *cache.Cache
	staging *disk.Staging
}

func (u *unprotector) visit(dir *disk.Dir, name string, st disk.Stat) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	switch {
	case st.IsDir():
		return u.folder(dir, name)
	case st.IsLink():
		return u.link(dir, name)
	case st.IsRegular() && st.Nlink > 1:
		return u.copyFile(dir, name)
	case st.IsRegular() && st.Mode&0o200 == 0:
		return dir.Chmod(name, st.Mode.Perm()|0o666&^disk.Umask())
	}
	return nil
}

func (u *unprotector) folder(dir *disk.Dir, name string) error {
	sub, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	list, err := sub.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range list {
		st, err := sub.Lstat(e.Name)
		if err != nil {
			return err
		}
		if err := u.visit(sub, e.Name, st); err != nil {
			return err
		}
	}
	return nil
}

// link replaces a link into the cache by the object's bytes. Other links are
// the user's own.
func (u *unprotector) link(dir *disk.Dir, name string) error {
	target, err := dir.Readlink(name)
	if err != nil {
		return err
	}
	d, ok := u.r.Cache.LinkedTo(target)
	if !ok {
		return nil
	}
	_, err = u.plain.Checkout(u.ctx, d, cache.Target{Dir: dir, Name: name}, u.staging, 0, nil)
	return err
}

// copyFile gives a file that shares its bytes by a hard link bytes of its own.
func (u *unprotector) copyFile(dir *disk.Dir, name string) error {
	added, err := cache.HashFile(dir, name, u.r.Alg, nil)
	if err != nil {
		return err
	}
	if _, err := u.r.Cache.Stat(added.Digest); err == nil {
		_, err = u.plain.Checkout(u.ctx, added.Digest, cache.Target{Dir: dir, Name: name}, u.staging, 0, nil)
		return err
	}
	return u.rewrite(dir, name, added.Digest)
}

// rewrite copies a file over itself, for one that is linked to something else
// than this repository's cache.
func (u *unprotector) rewrite(dir *disk.Dir, name string, d object.Digest) error {
	tmp, err := u.staging.Shard(0)
	if err != nil {
		return err
	}
	return cache.CopyFile(u.ctx, dir, name, tmp, u.staging.Next(), d)
}
