package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Target is where a checked-out object goes.
type Target struct {
	Dir  *disk.Dir // the folder in the workspace
	Name string
	Exec bool // the file is to be executable
	// Replace is asked before anything that is there is replaced, which an
	// error prevents. Nil replaces always.
	Replace func(old disk.Stat) error
}

// Checkout gives an object a name in the workspace, replacing what is there,
// with the first of the cache's link types that works. The bytes are proven
// first: a damaged object is errs.Corrupt and touches nothing. The name holds
// either what it held before or the whole object. Staging lies on the
// workspace's file system.
func (c *Cache) Checkout(ctx context.Context, d object.Digest, to Target, staging *disk.Staging, shard int, tick func(int64)) (LinkType, error) {
	if !staging.Foreign(to.Dir) {
		dir, err := staging.Shard(shard)
		if err != nil {
			return "", err
		}
		link, err := c.checkoutVia(ctx, d, to, dir, staging.Next(), tick)
		if err == nil || !disk.IsCrossDevice(err) {
			return link, err
		}
		// Another file system is mounted here; the staging folder is of no
		// use to it.
		staging.MarkForeign(to.Dir)
	}
	return c.checkoutVia(ctx, d, to, to.Dir, disk.TempName(), tick)
}

func (c *Cache) checkoutVia(ctx context.Context, d object.Digest, to Target, tmpDir *disk.Dir, tmp string, tick func(int64)) (LinkType, error) {
	f, st, err := c.open(d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	link, err := c.materialise(ctx, d, f, st, to, tmpDir, tmp, tick)
	if err == nil {
		err = to.take(tmpDir, tmp)
		if err == nil && link == Hardlink {
			// Renaming one name of a file onto another of its names leaves
			// both, by POSIX.
			_ = tmpDir.Remove(tmp)
		}
	}
	if err != nil {
		_ = tmpDir.Remove(tmp)
		return "", err
	}
	c.linked(d, f, st, link)
	return link, nil
}

// CheckoutStaged is Checkout into a folder that nobody else sees yet, so that
// the file can have its name at once.
func (c *Cache) CheckoutStaged(ctx context.Context, d object.Digest, to Target, tick func(int64)) (LinkType, error) {
	f, st, err := c.open(d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	link, err := c.materialise(ctx, d, f, st, to, to.Dir, to.Name, tick)
	if err != nil {
		_ = to.Dir.Remove(to.Name)
	} else {
		c.linked(d, f, st, link)
	}
	return link, err
}

// take gives tmp the target's name.
func (t Target) take(from *disk.Dir, tmp string) error {
	if t.Replace == nil {
		return from.Rename(tmp, t.Dir, t.Name)
	}
	err := from.RenameNew(tmp, t.Dir, t.Name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := t.Dir.Lstat(t.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := t.Replace(old); err != nil {
			return err
		}
	}
	return from.Rename(tmp, t.Dir, t.Name)
}

// materialise makes tmp out of the object, with the first link type that works.
func (c *Cache) materialise(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) (LinkType, error) {
	var why error // the last link type did not work
	for _, l := range c.opts.Links {
		var ok bool
		var err error
		switch l {
		case Reflink:
			ok, err = c.reflinkOut(ctx, d, f, st, to, dir, tmp, tick)
		case Hardlink:
			ok, err = c.hardlinkOut(ctx, d, f, st, to, dir, tmp, tick, &why)
		case Symlink:
			ok, err = c.symlinkOut(ctx, d, f, st, to, dir, tmp, tick, &why)
		case Copy:
			ok, err = true, c.copyOut(ctx, d, f, st, to, dir, tmp, tick)
		}
		if ok || err != nil {
			return l, err
		}
	}
	return "", errs.WithHint(&errs.Error{Kind: errs.Unsupported, Err: why,
		Msg: fmt.Sprintf("no link type of %v works between %q and %q", c.opts.Links, c.path, to.Dir.Path())},
		"Allow copies: cairn config cache.type \"reflink,copy\".")
}

// workMode is the permission of a file that is the user's to change.
func workMode(exec bool) fs.FileMode {
	if exec {
		return 0o777
	}
	return 0o666
}

// prove hashes an object's bytes.
func prove(ctx context.Context, d object.Digest, f *disk.File, tick func(int64)) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size <= smallFile {
		return proveSmall(d, f, int(st.Size), tick)
	}
	got, err := hashFile(ctx, f, st.Size, d.Algorithm(), tick)
	return proven(d, got, err)
}

// proven is the error for an object whose bytes were found to have a digest.
func proven(d, got object.Digest, err error) error {
	switch {
	case errors.Is(err, errChanged):
		return &errs.Error{Kind: errs.Corrupt, Msg: fmt.Sprintf("object %s is damaged: its length changes", d), Err: err}
	case err == nil && got != d.AsFile():
		return object.Mismatch(d, got)
	}
	return err
}

// proveSmall is prove for what fits in memory.
func proveSmall(d object.Digest, f *disk.File, size int, tick func(int64)) error {
	bp := smallBuf(size + 1)
	defer smallBufs.Put(bp)
	n, err := f.ReadAt((*bp)[:size+1], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if got := object.Sum(d.Algorithm(), (*bp)[:n]); got != d.AsFile() {
		return object.Mismatch(d, got)
	}
	if tick != nil {
		tick(int64(n))
	}
	return nil
}

// protect takes the right to write from an object that a workspace file is to
// share: a change through the link would damage it. An executable file makes
// the object executable, as DVC has it.
func protect(dir *disk.Dir, name string, st disk.Stat, exec bool) error {
	mode := st.Mode.Perm()&^0o222 | objectMode
	if exec {
		mode |= 0o100
	}
	if mode == st.Mode.Perm() {
		return nil
	}
	err := dir.Chmod(name, mode)
	if errors.Is(err, fs.ErrPermission) && st.Mode&0o222 == 0 {
		return nil // another user's object in a shared cache; only the bit to execute is lacking
	}
	return err
}

func (c *Cache) reflinkOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) (bool, error) {
	if _, failed := c.noReflink.Load(st.Dev); failed || st.Size == 0 {
		return false, nil
	}
	out, err := dir.Create(tmp, workMode(to.Exec))
	if err != nil {
		return false, err
	}
	ok, err := disk.Reflink(out, f)
	if ok && err == nil {
		err = c.proveClone(ctx, d, out, f, st, tick)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil || !ok {
		_ = dir.Remove(tmp)
		if err == nil {
			c.noReflink.Store(st.Dev, true)
		}
	}
	return ok, err
}

// proveClone proves what the clone out of the object's file f holds: by its
// hash, or by f having been proven and being what it was, before and after.
func (c *Cache) proveClone(ctx context.Context, d object.Digest, out, f *disk.File, st disk.Stat, tick func(int64)) error {
	if c.proven.has(d, st) {
		if now, err := f.Stat(); err == nil && now.SameContent(st) {
			if tick != nil {
				tick(st.Size)
			}
			return nil
		}
	}
	return prove(ctx, d, out, tick)
}

func (c *Cache) hardlinkOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64), why *error) (bool, error) {
	if st.Size == 0 {
		// An empty file shares nothing, and a link would make it read-only.
		return true, c.copyOut(ctx, d, f, st, to, dir, tmp, tick)
	}
	if err := c.prove(ctx, d, f, st, tick); err != nil {
		return false, err
	}
	linked := false
	err := c.withShard(d, false, func(from *disk.Dir, name string) error {
		if *why = protect(from, name, st, to.Exec); *why != nil {
			return nil
		}
		if *why = from.Link(name, dir, tmp); *why != nil {
			return nil // another device, or links not allowed: try the next type
		}
		linked = true
		now, err := dir.Lstat(tmp)
		if err != nil || now.Ino != st.Ino || now.Size != st.Size || now.MTime != st.MTime {
			// What was proven is not what was linked.
			return errors.Join(err, errs.New(errs.Conflict, "object %s was replaced while it was linked", d))
		}
		return nil
	})
	return linked, err
}

func (c *Cache) symlinkOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64), why *error) (bool, error) {
	if err := c.prove(ctx, d, f, st, tick); err != nil {
		return false, err
	}
	abs, err := filepath.Abs(filepath.Join(c.path, filepath.FromSlash(d.Key())))
	if err != nil {
		return false, err
	}
	err = c.withShard(d, false, func(from *disk.Dir, name string) error {
		if *why = protect(from, name, st, to.Exec); *why == nil {
			*why = dir.Symlink(abs, tmp)
		}
		return nil
	})
	return *why == nil, err
}

func (c *Cache) copyOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) error {
	if st.Size <= smallFile && !c.proven.has(d, st) {
		return c.copySmall(d, f, st, to, dir, tmp, tick)
	}
	out, err := dir.Create(tmp, workMode(to.Exec))
	if err != nil {
		return err
	}
	done, err := c.copyProven(ctx, d, out, f, st, tick)
	if err == nil && !done {
		var got object.Digest
		got, err = copyFile(ctx, out, f, st.Size, d.Algorithm(), tick)
		err = proven(d, got, err)
	}
	return errors.Join(err, out.Close())
}

func (c *Cache) copySmall(d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) error {
	bp := smallBuf(int(st.Size) + 1)
	defer smallBufs.Put(bp)
	n, err := readSized(f, *bp, int(st.Size))
	if err != nil {
		return err
	}
	b := (*bp)[:n]
	if got := object.Sum(d.Algorithm(), b); got != d.AsFile() {
		return object.Mismatch(d, got)
	}
	out, err := dir.Create(tmp, workMode(to.Exec))
	if err != nil {
		return err
	}
	if n > 0 {
		_, err = out.Write(b)
	}
	if tick != nil {
		tick(int64(n))
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// LinkedTo reports which object of this cache a symbolic link's target is.
func (c *Cache) LinkedTo(target string) (object.Digest, bool) {
	abs, err := filepath.Abs(c.path)
	if err != nil {
		return object.Digest{}, false
	}
	if d, ok := keyBelow(abs, target); ok {
		return d, true
	}
	// The same cache by another path, through a link above it.
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return object.Digest{}, false
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(target))
	if err != nil {
		return object.Digest{}, false
	}
	return keyBelow(abs, filepath.Join(folder, filepath.Base(target)))
}

func keyBelow(root, target string) (object.Digest, bool) {
	rel, err := filepath.Rel(root, target)
	if err != nil {
		return object.Digest{}, false
	}
	return object.ParseKey(filepath.ToSlash(rel))
}

// Verify reads an object and reports whether its bytes have the digest. A
// missing object is false without an error.
func (c *Cache) Verify(ctx context.Context, d object.Digest) (bool, error) {
	f, _, err := c.open(d)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = prove(ctx, d, f, nil)
	if errs.Is(err, errs.Corrupt) {
		return false, nil
	}
	return err == nil, err
}

// CopyFile replaces a plain file by a copy of it that shares nothing with
// other names, by way of a temporary name in tmpDir. The copy has the digest d
// or the file is left alone.
func CopyFile(ctx context.Context, dir *disk.Dir, name string, tmpDir *disk.Dir, tmp string, d object.Digest) error {
	src, err := dir.OpenFile(name)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err == nil {
		err = disk.CheckRegular(src.Name(), st)
	}
	if err != nil {
		return err
	}
	out, err := tmpDir.Create(tmp, workMode(false))
	if err != nil {
		return err
	}
	got, err := copyFile(ctx, out, src, st.Size, d.Algorithm(), nil)
	if errors.Is(err, errChanged) || err == nil && got != d {
		err = errs.New(errs.Conflict, "%q changes while it is read", src.Name())
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = tmpDir.Rename(tmp, dir, name)
	}
	if err != nil {
		_ = tmpDir.Remove(tmp)
	}
	return err
}
