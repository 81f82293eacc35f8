package cache

import (
	"context"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	// provenLeast is from what size on it is remembered that an object was
	// proven: below it, the hash costs no more than the two stats.
	provenLeast = 64 << 10
	// provenMost bounds the memory of it, to some 10 MB.
	provenMost = 64 << 10
)

// provenSet remembers which objects this process has itself hashed, and the
// state their files had then, so that a pull does not read twice what it has
// just written. A file in any other state is hashed again: another inode,
// length, or time of change, which no program can set. It lives as long as the
// cache is open and is never stored: what happens to a disk while nobody looks
// is for the hash to find.
type provenSet struct {
	mu    sync.Mutex
	files map[object.Digest]disk.Stat
}

// add remembers that the file with the state st holds the bytes of d.
func (p *provenSet) add(d object.Digest, st disk.Stat) {
	if st.Size < provenLeast || st.Ino == 0 || st.CTime == 0 {
		return // small, or the system does not tell files apart
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.files == nil {
		p.files = map[object.Digest]disk.Stat{}
	}
	if _, ok := p.files[d]; !ok && len(p.files) >= provenMost {
		for other := range p.files { // any will do
			delete(p.files, other)
			break
		}
	}
	p.files[d] = st
}

// has reports whether a file in the state st was proven to hold d.
func (p *provenSet) has(d object.Digest, st disk.Stat) bool {
	if st.Size < provenLeast {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.files[d]
	return ok && was.SameContent(st)
}

// moved remembers the new state of a proven file of which only the time of
// change is another: it was given a name, or lost one.
func (p *provenSet) moved(d object.Digest, before, after disk.Stat) {
	before.CTime = after.CTime
	if before.SameContent(after) {
		p.add(d, after)
	}
}

// remember notes the objects of a batch that were hashed while they were
// written, now that they have their names.
func (w *Writer) remember(written map[object.Digest]disk.Stat) {
	for d, st := range written {
		if now, err := w.c.Stat(d); err == nil {
			w.c.proven.moved(d, st, now)
		}
	}
}

// writtenIn are the files of a batch that are worth remembering.
func writtenIn(objects map[object.Digest]staged) map[object.Digest]disk.Stat {
	var written map[object.Digest]disk.Stat
	for d, s := range objects {
		if s.st == nil {
			continue
		}
		if written == nil {
			written = map[object.Digest]disk.Stat{}
		}
		written[d] = *s.st
	}
	return written
}

// prove hashes the bytes of an object's file, unless this process has done it
// and the file is as it was then.
func (c *Cache) prove(ctx context.Context, d object.Digest, f *disk.File, st disk.Stat, tick func(int64)) error {
	if c.proven.has(d, st) {
		if tick != nil {
			tick(st.Size)
		}
		return nil
	}
	if err := prove(ctx, d, f, tick); err != nil {
		return err
	}
	if st.Size >= provenLeast {
		if after, err := f.Stat(); err == nil && after.SameContent(st) {
			c.proven.add(d, st)
		}
	}
	return nil
}

// linked remembers an object's file after a hard link to it was made, which
// has proven it and changed its state from st.
func (c *Cache) linked(d object.Digest, f *disk.File, st disk.Stat, link LinkType) {
	if link != Hardlink || st.Size < provenLeast {
		return
	}
	if now, err := f.Stat(); err == nil {
		c.proven.moved(d, st, now)
	}
}

// provenPiece is how much of a proven file the kernel copies at a time.
const provenPiece = 16 << 20

// copyProven copies an object that need not be hashed. ok is false, and dst
// without data, if it must be, or the kernel cannot copy. A file that changes
// meanwhile is hashed after all.
func (c *Cache) copyProven(ctx context.Context, d object.Digest, dst, src *disk.File, st disk.Stat, tick func(int64)) (ok bool, err error) {
	if !c.proven.has(d, st) {
		return false, nil
	}
	if hasHoles(src, st.Size) {
		if err := dst.Truncate(st.Size); err != nil {
			return true, err
		}
	}
	any := false
	for at := int64(0); at < st.Size; {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		was := at
		from, to := src.Data(at, st.Size)
		if at = from; from < to {
			n, can, err := disk.CopyRange(dst, src, from, int(min(provenPiece, to-from)))
			switch {
			case err != nil:
				return true, err
			case !can && !any:
				return false, nil
			case !can:
				return true, errs.New(errs.Unavailable, "copying %q stopped half way", src.Name())
			case n == 0: // somebody cut it
				return true, prove(ctx, d, dst, nil)
			}
			any = true
			at += int64(n)
		}
		if tick != nil {
			tick(at - was)
		}
	}
	if after, err := src.Stat(); err != nil || !after.SameContent(st) {
		return true, prove(ctx, d, dst, nil)
	}
	return true, nil
}
