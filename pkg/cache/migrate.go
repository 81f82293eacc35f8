package cache

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// Migrated is what [Cache.Migrate] did.
type Migrated struct {
	New     map[object.Digest]object.Digest // the new name of each sound legacy object
	Added   int                             // how many of them the cache did not have by that name
	Damaged []object.Digest                 // sorted; they keep their old name only
}

// Migrate gives every object of DVC 2 (object.MD5Legacy) its MD5 name as well:
// by a link where the file system has them, or else by a copy. Each is proven
// by its old name first, so that a damaged one does not get a name that vouches
// for it.
func (c *Cache) Migrate(ctx context.Context, sink progress.Sink) (Migrated, error) {
	m := migration{c: c, done: Migrated{New: map[object.Digest]object.Digest{}}}
	var todo []object.Digest
	var size int64
	for info, err := range c.List(ctx, object.MD5Legacy) {
		if err != nil {
			return m.done, err
		}
		todo = append(todo, info.Digest)
		size += info.Size
	}
	if len(todo) == 0 {
		return m.done, nil
	}
	var err error
	if m.w, err = c.BeginAdd(); err != nil {
		return m.done, err
	}
	defer m.w.Abort()
	m.task = progress.Or(sink).Start("Migrating", int64(len(todo)), size)
	defer m.task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for _, d := range todo {
		g.Go(func() error { return m.object(ctx, d) })
	}
	if err := g.Wait(); err != nil {
		return m.done, err
	}
	slices.SortFunc(m.done.Damaged, func(a, b object.Digest) int { return strings.Compare(a.String(), b.String()) })
	if err := m.w.syncNames(m.linked); err != nil {
		return m.done, m.w.fail(err)
	}
	return m.done, m.w.Commit(ctx)
}

// migration is one run of Migrate.
type migration struct {
	c    *Cache
	w    *Writer
	task progress.Task

	mu     sync.Mutex
	done   Migrated
	linked []object.Digest
}

func (m *migration) object(ctx context.Context, d object.Digest) error {
	f, st, err := m.c.open(d)
	if errs.Is(err, errs.NotFound) {
		return nil // gone meanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close()
	was, is := object.MD5Legacy.New(), object.MD5.New()
	if _, err := io.Copy(io.MultiWriter(was, is), ctxReader{ctx, f}); err != nil {
		return err
	}
	m.task.Add(1, st.Size)
	if object.NewDigest(object.MD5Legacy, was.Sum(nil), d.IsDir()) != d {
		m.mu.Lock()
		m.done.Damaged = append(m.done.Damaged, d)
		m.mu.Unlock()
		return nil
	}
	to := object.NewDigest(object.MD5, is.Sum(nil), d.IsDir())
	there, err := m.c.Stat(to)
	added := err != nil || there.Size != st.Size
	if added {
		if err := m.store(ctx, d, to, f, st); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.New[d] = to
	if added {
		m.done.Added++
	}
	return nil
}

// store makes the file of the object from known by the name to.
func (m *migration) store(ctx context.Context, from, to object.Digest, f *disk.File, st disk.Stat) error {
	if m.link(from, to, st) {
		m.mu.Lock()
		m.linked = append(m.linked, to)
		m.mu.Unlock()
		return nil
	}
	return m.w.Put(ctx, to, st.Size, io.NewSectionReader(f, 0, st.Size))
}

// link reports whether a link could be made, to the very file that was hashed.
func (m *migration) link(from, to object.Digest, st disk.Stat) (ok bool) {
	err := m.c.withShard(from, false, func(old *disk.Dir, name string) error {
		return m.c.withShard(to, true, func(dir *disk.Dir, as string) error {
			if err := old.Link(name, dir, as); err != nil {
				return err
			}
			now, err := dir.Lstat(as)
			if err == nil && now.Ino == st.Ino && now.Dev == st.Dev && now.Size == st.Size && now.MTime == st.MTime {
				ok = dir.Chmod(as, objectMode) == nil
			}
			if !ok {
				return dir.Remove(as)
			}
			return nil
		})
	})
	return ok && err == nil
}
