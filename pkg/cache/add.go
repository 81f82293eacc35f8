package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Added is what became of a file that was read.
type Added struct {
	Digest object.Digest
	Stat   disk.Stat // the file as it was when its bytes were read
}

// readTries is how often a file that changes under our hands is begun again.
const readTries = 3

// AddFile stores a plain file of the workspace and returns its digest. The
// bytes are read once, hashed as they are stored; if the file changed in the
// meantime it is read again, and after a few times refused with
// errs.Conflict. A known digest that is likely still the file's, or the zero
// Digest, is given as hint: if the object is there with the same bytes,
// nothing is written. tick, if not nil, hears of the bytes as they go by.
func (w *Writer) AddFile(dir *disk.Dir, name string, a object.Algorithm, hint object.Digest, tick func(int64)) (Added, error) {
	return steady(dir, name, func(f *disk.File, st disk.Stat) (object.Digest, error) {
		if st.Size <= smallFile {
			return w.addSmall(f, st, a)
		}
		if hint.Algorithm() == a && w.c.sameBytes(hint, f, st.Size, tick) {
			return hint, nil
		}
		return w.addLarge(dir, name, f, st, a, tick)
	}, tick)
}

// HashFile hashes a plain file of the workspace, as AddFile does without
// storing it.
func HashFile(dir *disk.Dir, name string, a object.Algorithm, tick func(int64)) (Added, error) {
	return steady(dir, name, func(f *disk.File, st disk.Stat) (object.Digest, error) {
		if st.Size <= smallFile {
			bp := smallBuf(int(st.Size) + 1)
			defer smallBufs.Put(bp)
			n, err := readSized(f, *bp, int(st.Size))
			if err != nil {
				return object.Digest{}, err
			}
			if int64(n) != st.Size {
				return object.Digest{}, errChanged
			}
			return object.Sum(a, (*bp)[:n]), nil
		}
		return hashFile(context.Background(), f, st.Size, a, tick)
	}, tick)
}

// errChanged is how a reader says that the file is not what it was.
var errChanged = errs.New(errs.Conflict, "the file changed")

// steady opens a plain file and calls read until the file is the same before
// and after.
func steady(dir *disk.Dir, name string, read func(*disk.File, disk.Stat) (object.Digest, error), tick func(int64)) (Added, error) {
	for range readTries {
		f, err := dir.OpenFile(name)
		if err != nil {
			return Added{}, err
		}
		before, err := f.Stat()
		if err == nil {
			err = disk.CheckRegular(f.Name(), before)
		}
		if err != nil {
			f.Close()
			return Added{}, err
		}
		d, err := read(f, before)
		var after disk.Stat
		if err == nil {
			after, err = f.Stat()
		}
		f.Close()
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return Added{}, err
		}
		if before.SameContent(after) || after.Nlink > before.Nlink && sameBytesStat(before, after) {
			if tick != nil && before.Size <= smallFile {
				tick(before.Size)
			}
			return Added{Digest: d, Stat: after}, nil
		}
	}
	return Added{}, errs.WithHint(errs.New(errs.Conflict, "%q changes while it is read", dir.Path()+"/"+name),
		"Wait until nothing writes to it, then try again.")
}

// sameBytesStat is SameContent for a file that got another link meanwhile,
// which changes its change time.
func sameBytesStat(a, b disk.Stat) bool {
	b.CTime = a.CTime
	return a.SameContent(b)
}

// addSmall stores a file that fits in memory.
func (w *Writer) addSmall(f *disk.File, st disk.Stat, a object.Algorithm) (object.Digest, error) {
	bp := smallBuf(int(st.Size) + 1)
	defer smallBufs.Put(bp)
	n, err := readSized(f, *bp, int(st.Size))
	if err != nil {
		return object.Digest{}, err
	}
	if int64(n) != st.Size {
		return object.Digest{}, errChanged
	}
	b := (*bp)[:n]
	d := object.Sum(a, b)
	if held, err := w.hasBytes(d, b); held || err != nil {
		return d, err
	}
	if n > 0 && w.shares(st) {
		return d, w.addShared(f, st, d, b)
	}
	return d, w.write(d, b)
}

// shares reports whether the first choice of link type shares blocks with the
// workspace, so that storing a file is better done by the file system.
func (w *Writer) shares(st disk.Stat) bool {
	_, failed := w.c.noReflink.Load(st.Dev)
	return w.c.opts.Links[0] == Reflink && !failed
}

// addShared stores a small file whose bytes b are known by cloning it, or by
// writing them where that is not possible. The caller compares the file's
// state before and after, which covers the clone.
func (w *Writer) addShared(f *disk.File, st disk.Stat, d object.Digest, b []byte) error {
	dst, s, err := w.create()
	if err != nil {
		return err
	}
	ok, err := disk.Reflink(dst, f)
	if err == nil && !ok {
		w.c.noReflink.Store(st.Dev, true)
		_, err = dst.Write(b)
	}
	if err != nil {
		w.drop(dst, s)
		return w.fail(err)
	}
	return w.finish(dst, s, d, int64(len(b)))
}

// readerAt reads a file from its beginning, wherever it stands, up to one byte
// more than the size it should have.
func readerAt(f *disk.File, size int64) io.Reader { return io.NewSectionReader(f, 0, size+1) }

// addLarge stores a file that is streamed: by a clone, by a hard link where
// the workspace is to share the cache's files, or by a copy.
func (w *Writer) addLarge(dir *disk.Dir, name string, f *disk.File, st disk.Stat, a object.Algorithm, tick func(int64)) (object.Digest, error) {
	if w.linksFiles() && st.Nlink == 1 {
		if d, ok, err := w.addLink(dir, name, f, st, a, tick); ok || err != nil {
			return d, err
		}
	}
	takes := st.Size
	if n, err := f.Allocated(); err == nil {
		takes = min(takes, n) // holes stay holes
	}
	if err := w.room(takes); err != nil {
		return object.Digest{}, err
	}
	dst, s, err := w.create()
	if err != nil {
		return object.Digest{}, err
	}
	d, err := w.copyOrClone(context.Background(), dst, f, st, a, tick)
	if err != nil {
		w.drop(dst, s)
		return object.Digest{}, w.fail(err)
	}
	return d, w.finish(dst, s, d, st.Size)
}

// copyOrClone gives the empty file dst the bytes of f and returns the digest
// of what dst holds then. A file of another size than st has is errChanged.
func (w *Writer) copyOrClone(ctx context.Context, dst, f *disk.File, st disk.Stat, a object.Algorithm, tick func(int64)) (object.Digest, error) {
	if w.shares(st) {
		cloned, err := disk.Reflink(dst, f)
		if err != nil {
			return object.Digest{}, err
		}
		if cloned {
			return hashFile(ctx, dst, st.Size, a, tick)
		}
		w.c.noReflink.Store(st.Dev, true)
	}
	return copyFile(ctx, dst, f, st.Size, a, tick)
}

// linksFiles reports whether workspace files are to be links into the cache.
func (w *Writer) linksFiles() bool {
	first := w.c.opts.Links[0]
	return first == Hardlink || first == Symlink
}

// clockGrain is how coarse the clock of a file's times may be: a tick of the
// slowest common kernel, unless the file system keeps whole seconds.
func clockGrain(mtime int64) time.Duration {
	if mtime%int64(time.Second) == 0 {
		return 2 * time.Second
	}
	return 15 * time.Millisecond
}

// addLink stores a file by giving it a second name, at the cost of hashing
// alone. ok is false if the file system cannot.
func (w *Writer) addLink(dir *disk.Dir, name string, f *disk.File, before disk.Stat, a object.Algorithm, tick func(int64)) (d object.Digest, ok bool, err error) {
	hashed := time.Now() // no later
	d, err = hashFile(context.Background(), f, before.Size, a, tick)
	if err != nil {
		return d, false, err
	}
	// A link changes the change time, so what the hash is of is settled now.
	if after, err := f.Stat(); err != nil || !before.SameContent(after) {
		return d, false, errors.Join(err, errChanged)
	}
	if st, err := w.c.Stat(d); err == nil && st.Nlink > 1 {
		// Others link to the object: keep it, if it is what it says.
		if w.c.sameBytes(d, f, st.Size, nil) {
			return d, true, nil
		}
	}
	shard, err := w.staging.Shard(int(w.turn.Add(1)))
	if err != nil {
		return d, false, w.fail(err)
	}
	s := staged{dir: shard, name: w.staging.Next(), chmod: true}
	if err := dir.Link(name, shard, s.name); err != nil {
		if disk.IsNoSpace(err) {
			return d, false, w.fail(err)
		}
		return d, false, nil
	}
	// The name may be another file's by now.
	st, err := shard.Lstat(s.name)
	if err == nil && (st.Ino != before.Ino || st.Dev != before.Dev || st.Size != before.Size || st.MTime != before.MTime) {
		err = errChanged
	}
	if err == nil {
		err = w.batch.Written(f)
	}
	if err != nil {
		w.drop(nil, s)
		return d, false, w.fail(err)
	}
	if hashed.Sub(time.Unix(0, st.MTime)) > clockGrain(st.MTime) {
		// What was hashed is linked back to the workspace without being read
		// again. Others may write to it until it is protected, which its times
		// tell of unless the last change was just now.
		s.st = &st
	}
	return d, true, w.pend(d, s, 0)
}

// sameBytes reports whether the object d is stored with exactly the bytes of
// f, which has size bytes, and those bytes have the digest d.
func (c *Cache) sameBytes(d object.Digest, f *disk.File, size int64, tick func(int64)) bool {
	o, st, err := c.open(d)
	if err != nil {
		return false
	}
	defer o.Close()
	if st.Size != size {
		return false
	}
	// Hashing too tells a good object from a damaged one that the workspace
	// file is a link to.
	got, same, err := compareFiles(context.Background(), f, o, size, d.Algorithm(), tick)
	return err == nil && same && got == d
}

// comparer is a writer that fails once what is written differs from a reader.
type comparer struct {
	with io.Reader
	buf  []byte
}

var errDiffers = errs.New(errs.Conflict, "bytes differ")

func (c *comparer) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	n, err := readAtMost(c.with, c.buf[:len(p)])
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(c.buf[:n], p) {
		return 0, errDiffers
	}
	return len(p), nil
}
