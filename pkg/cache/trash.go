package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// trashDir is where deleted objects wait, below the cache's folder, in one
// folder a deletion: its name is the time, and in it are the objects under
// their keys. DVC does not look there.
const trashDir = "trash.cairn"

// Trash is what one deletion put into the trash.
type Trash struct {
	Name string    // of its folder
	When time.Time // to the second
}

// Discard moves objects into the trash, from where Restore brings them back.
// Each move is one rename. Manifests go first, so that whatever happens
// meanwhile no manifest is left whose files are gone. Absent objects are no
// error. It returns how many were moved.
func (c *Cache) Discard(ctx context.Context, ds []object.Digest, now time.Time) (n int, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	root, err := c.openRoot(false)
	c.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	base, err := newTrash(root, c.dirMode(), now)
	if err != nil {
		return 0, err
	}
	defer base.Close()
	folders := map[string]*disk.Dir{}
	defer func() {
		for _, d := range folders {
			d.Close()
		}
	}()
	ds = slices.Clone(ds)
	slices.SortFunc(ds, manifestsFirst)
	for _, d := range ds {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		to := folders[shardOf(d)]
		if to == nil {
			if to, err = base.MakePath(strings.TrimSuffix(shardOf(d), "/"), c.dirMode()); err != nil {
				return n, err
			}
			folders[shardOf(d)] = to
		}
		err := c.withShard(d, false, func(dir *disk.Dir, name string) error { return dir.Rename(name, to, name) })
		switch {
		case err == nil:
			n++
		case !errors.Is(err, fs.ErrNotExist):
			return n, c.classify(d, err)
		}
	}
	return n, nil
}

func manifestsFirst(a, b object.Digest) int {
	if a.IsDir() != b.IsDir() {
		if a.IsDir() {
			return -1
		}
		return 1
	}
	return a.Compare(b)
}

// newTrash makes a folder for one deletion.
func newTrash(root *disk.Dir, mode fs.FileMode, now time.Time) (*disk.Dir, error) {
	top, err := root.MakePath(trashDir, mode)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	for i := 0; ; i++ {
		name := strconv.FormatInt(now.Unix(), 10) + "-" + strconv.Itoa(i)
		if top.Exists(name) {
			continue // of another deletion within the second
		}
		if err := top.Mkdir(name, mode); err != nil {
			return nil, err
		}
		return top.Open(name)
	}
}

// Trashes lists what is in the trash, the newest first.
func (c *Cache) Trashes() ([]Trash, error) {
	top, err := c.openTrash()
	if top == nil || err != nil {
		return nil, err
	}
	defer top.Close()
	names, err := top.ReadDir()
	if err != nil {
		return nil, err
	}
	var list []Trash
	for _, e := range names {
		sec, seq, ok := strings.Cut(e.Name, "-")
		s, serr := strconv.ParseInt(sec, 10, 64)
		_, qerr := strconv.Atoi(seq)
		if ok && serr == nil && qerr == nil && e.Type.IsDir() {
			list = append(list, Trash{e.Name, time.Unix(s, 0)})
		}
	}
	slices.SortFunc(list, func(a, b Trash) int {
		if c := b.When.Compare(a.When); c != 0 {
			return c
		}
		_, x, _ := strings.Cut(a.Name, "-")
		_, y, _ := strings.Cut(b.Name, "-")
		i, _ := strconv.Atoi(x)
		j, _ := strconv.Atoi(y)
		return cmp.Compare(j, i)
	})
	return list, nil
}

// openTrash opens the trash; nil if there is none.
func (c *Cache) openTrash() (*disk.Dir, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	root, err := c.openRoot(false)
	if err == nil {
		var top *disk.Dir
		if top, err = root.Open(trashDir); err == nil {
			return top, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return nil, err
}

// InTrash yields the objects of one deletion.
func (c *Cache) InTrash(ctx context.Context, t Trash, yield func(object.Info) error) error {
	top, err := c.openTrash()
	if top == nil || err != nil {
		return err
	}
	defer top.Close()
	base, err := top.Open(t.Name)
	if err != nil {
		return err
	}
	defer base.Close()
	for _, a := range object.Algorithms() {
		for i, err := range listBelow(ctx, base, a) {
			if err != nil {
				return err
			}
			if err := yield(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// Restore brings back what one deletion put into the trash: files first, so
// that a manifest comes back to whole folders. An object that has been stored
// again meanwhile stays as it is. It returns how many came back and their
// bytes.
func (c *Cache) Restore(ctx context.Context, t Trash) (n int, size int64, err error) {
	var list []object.Info
	err = c.InTrash(ctx, t, func(i object.Info) error {
		list = append(list, i)
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	slices.SortFunc(list, func(a, b object.Info) int { return -manifestsFirst(a.Digest, b.Digest) })
	top, err := c.openTrash()
	if top == nil || err != nil {
		return 0, 0, err
	}
	defer top.Close()
	base, err := top.Open(t.Name)
	if err != nil {
		return 0, 0, err
	}
	defer base.Close()
	for _, i := range list {
		if err := ctx.Err(); err != nil {
			return n, size, err
		}
		key := i.Digest.Key()
		from, name, err := base.Parent(key)
		if err != nil {
			return n, size, err
		}
		err = c.withShard(i.Digest, true, func(dir *disk.Dir, to string) error { return from.RenameNew(name, dir, to) })
		from.Close()
		switch {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return n, size, fmt.Errorf("restore object %s: %w", i.Digest, err)
		default:
			n++
			size += i.Size
		}
	}
	return n, size, top.RemoveAll(t.Name)
}

// EmptyTrash deletes for good what was put into the trash before a time. It
// returns how many deletions went.
func (c *Cache) EmptyTrash(ctx context.Context, before time.Time) (int, error) {
	list, err := c.Trashes()
	if err != nil || len(list) == 0 {
		return 0, err
	}
	top, err := c.openTrash()
	if top == nil || err != nil {
		return 0, err
	}
	defer top.Close()
	n := 0
	for _, t := range list {
		if !t.When.Before(before) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if err := top.RemoveAll(t.Name); err != nil {
			return n, fmt.Errorf("empty the trash: %w", err)
		}
		n++
	}
	return n, nil
}

// Writers tells which processes of this machine are writing into the cache,
// other than our own.
func (c *Cache) Writers() ([]int, error) {
	c.mu.Lock()
	root, err := c.openRoot(false)
	c.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return disk.LiveStaging(root)
}

// TrashedManifest reads a manifest from the trash. NotFound if none has it.
func (c *Cache) TrashedManifest(ctx context.Context, d object.Digest) (object.Manifest, error) {
	list, err := c.Trashes()
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		trash := c.OpenTrash(t)
		m, err := trash.ReadManifest(ctx, d)
		_ = trash.Close()
		if err == nil {
			return m, nil
		}
	}
	return nil, errs.New(errs.NotFound, "the trash has no object %s", d)
}

// HasTrashed reports whether the trash has an object, whichever deletion put
// it there.
func (c *Cache) HasTrashed(d object.Digest) (bool, error) {
	list, err := c.Trashes()
	if err != nil || len(list) == 0 {
		return false, err
	}
	top, err := c.openTrash()
	if top == nil || err != nil {
		return false, err
	}
	defer top.Close()
	for _, t := range list {
		st, err := top.LstatPath(t.Name + "/" + d.Key())
		switch {
		case err == nil && st.IsRegular():
			return true, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !disk.IsNotDir(err):
			return false, fmt.Errorf("look into the trash: %w", err)
		}
	}
	return false, nil
}

// OpenTrash opens what one deletion put into the trash as a cache of its own,
// to be read. The caller closes it.
func (c *Cache) OpenTrash(t Trash) *Cache {
	return Open(filepath.Join(c.path, trashDir, t.Name), Options{})
}
