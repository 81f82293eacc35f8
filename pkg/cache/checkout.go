package cache

import (
	"context"
	"errors"
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
}

// Checkout gives an object a name in the workspace, replacing what is there,
// with the first of the cache's link types that works. The bytes are proven
// first: a damaged object is errs.Corrupt and touches nothing. The name holds
// either what it held before or the whole object. Staging lies on the
// workspace's file system.
func (c *Cache) Checkout(ctx context.Context, d object.Digest, to Target, staging *disk.Staging, shard int, tick func(int64)) (LinkType, error) {
	dir, err := staging.Shard(shard)
	if err != nil {
		return "", err
	}
	link, err := c.checkoutVia(ctx, d, to, dir, staging.Next(), tick)
	if err != nil && disk.IsCrossDevice(err) {
		// Another file system is mounted here; the staging folder is of no
		// use to it.
		name := ".cairn-" + staging.Next() + ".tmp"
		return c.checkoutVia(ctx, d, to, to.Dir, name, tick)
	}
	return link, err
}

func (c *Cache) checkoutVia(ctx context.Context, d object.Digest, to Target, tmpDir *disk.Dir, tmp string, tick func(int64)) (LinkType, error) {
	f, st, err := c.open(d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	link, err := c.materialise(ctx, d, f, st, to, tmpDir, tmp, tick)
	if err == nil {
		err = tmpDir.Rename(tmp, to.Dir, to.Name)
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
	return link, nil
}

// materialise makes tmp out of the object, with the first link type that works.
func (c *Cache) materialise(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) (LinkType, error) {
	for _, l := range c.opts.Links {
		var ok bool
		var err error
		switch l {
		case Reflink:
			ok, err = c.reflinkOut(ctx, d, f, st, to, dir, tmp, tick)
		case Hardlink:
			ok, err = c.hardlinkOut(ctx, d, f, st, to, dir, tmp, tick)
		case Symlink:
			ok, err = c.symlinkOut(ctx, d, f, dir, tmp, tick)
		case Copy:
			ok, err = true, c.copyOut(ctx, d, f, st, to, dir, tmp, tick)
		}
		if ok || err != nil {
			return l, err
		}
	}
	return "", errs.WithHint(errs.New(errs.Unsupported, "no link type of %v works between %q and %q", c.opts.Links, c.path, to.Dir.Path()),
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
	got, _, err := copyHash(nil, ctxReader{ctx, readerAt(f)}, d.Algorithm(), tick)
	if err == nil && got != d.AsFile() {
		err = object.Mismatch(d, got)
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
		err = prove(ctx, d, out, tick)
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

func (c *Cache) hardlinkOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) (bool, error) {
	if st.Size == 0 {
		// An empty file shares nothing, and a link would make it read-only.
		return true, c.copyOut(ctx, d, f, st, to, dir, tmp, tick)
	}
	if err := prove(ctx, d, f, tick); err != nil {
		return false, err
	}
	linked := false
	err := c.withShard(d, false, func(from *disk.Dir, name string) error {
		if err := from.Link(name, dir, tmp); err != nil {
			return nil // another device, or links not allowed: try the next type
		}
		linked = true
		if to.Exec {
			return dir.Chmod(tmp, objectMode|0o100)
		}
		return nil
	})
	return linked, err
}

func (c *Cache) symlinkOut(ctx context.Context, d object.Digest, f *disk.File, dir *disk.Dir, tmp string, tick func(int64)) (bool, error) {
	if err := prove(ctx, d, f, tick); err != nil {
		return false, err
	}
	abs, err := filepath.Abs(filepath.Join(c.path, filepath.FromSlash(d.Key())))
	if err != nil {
		return false, err
	}
	return dir.Symlink(abs, tmp) == nil, nil
}

func (c *Cache) copyOut(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, to Target, dir *disk.Dir, tmp string, tick func(int64)) error {
	if st.Size <= smallFile {
		return c.copySmall(d, f, st, to, dir, tmp, tick)
	}
	out, err := dir.Create(tmp, workMode(to.Exec))
	if err != nil {
		return err
	}
	disk.WillRead(f)
	got, _, err := copyHash(out, ctxReader{ctx, readerAt(f)}, d.Algorithm(), tick)
	if err == nil && got != d.AsFile() {
		err = object.Mismatch(d, got)
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
	rel, err := filepath.Rel(abs, target)
	if err != nil {
		return object.Digest{}, false
	}
	return object.ParseKey(filepath.ToSlash(rel))
}
