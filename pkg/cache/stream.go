package cache

import (
	"context"
	"io"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	// smallFile is up to what size a file is held in memory whole, so that
	// it takes one read, one hash call and one write.
	smallFile = 1 << 20
	// streamChunk and streamDepth bound the memory of a larger file to 2 MiB
	// whatever its size. A chunk fits a core's cache with room to spare; the
	// depth lets reading run ahead of hashing.
	streamChunk = 256 << 10
	streamDepth = 8
)

var smallBufs = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// smallBuf returns a pooled buffer of at least n bytes.
func smallBuf(n int) *[]byte {
	bp := smallBufs.Get().(*[]byte)
	if cap(*bp) < n {
		// Powers of two keep the pool from growing by small steps.
		size := 64 << 10
		for size < n {
			size *= 2
		}
		*bp = make([]byte, size)
	}
	*bp = (*bp)[:cap(*bp)]
	return bp
}

// readAtMost reads until p is full or the reader ends.
func readAtMost(r io.Reader, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readSized reads a file that should have size bytes into p, which has room
// for one more. A short read of a plain file is its end, so that an unchanged
// file costs one system call.
func readSized(f *disk.File, p []byte, size int) (int, error) {
	n := 0
	for n <= size {
		m, err := f.Read(p[n : size+1])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n == size && m > 0 {
			return n, nil
		}
	}
	return n, nil
}

// copyHash copies r to w, which may be nil, and returns the digest and the
// length of what went by. Hashing runs beside reading and writing. tick, if
// not nil, hears of each chunk.
func copyHash(w io.Writer, r io.Reader, a object.Algorithm, tick func(int64)) (object.Digest, int64, error) {
	free := make(chan []byte, streamDepth)
	full := make(chan []byte, streamDepth)
	block := streamBufs.Get().(*[]byte)
	defer streamBufs.Put(block)
	for i := range streamDepth {
		free <- (*block)[i*streamChunk : (i+1)*streamChunk]
	}
	h := a.New()
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for b := range full {
			h.Write(b)
			free <- b[:streamChunk]
		}
	}()
	var total int64
	var err error
	for err == nil {
		b := <-free
		var n int
		if n, err = readAtMost(r, b); n == 0 {
			break
		}
		total += int64(n)
		full <- b[:n]
		if w != nil && err == nil {
			_, err = w.Write(b[:n])
		}
		if tick != nil {
			tick(int64(n))
		}
		if n < len(b) {
			break
		}
	}
	close(full)
	<-hashed
	if err != nil {
		return object.Digest{}, total, err
	}
	return object.NewDigest(a, h.Sum(nil), false), total, nil
}

var streamBufs = sync.Pool{New: func() any { b := make([]byte, streamChunk*streamDepth); return &b }}

// AddReader stores the bytes of r, which come from elsewhere and have no known
// digest, and returns the digest of what was stored and its length. A size of -1
// is not known; any other must be met, else the error is errs.Corrupt and
// nothing is stored. tick, if not nil, hears of the bytes.
func (w *Writer) AddReader(ctx context.Context, r io.Reader, size int64, a object.Algorithm, tick func(int64)) (object.Digest, int64, error) {
	r = ctxReader{ctx, r}
	if size >= 0 && size <= smallFile {
		bp := smallBuf(int(size) + 1)
		defer smallBufs.Put(bp)
		n, err := readAtMost(r, (*bp)[:size+1])
		if err == nil && int64(n) != size {
			err = errs.New(errs.Corrupt, "%d bytes were announced, but %d came", size, n)
		}
		if err != nil {
			return object.Digest{}, int64(n), err
		}
		if tick != nil {
			tick(size)
		}
		b := (*bp)[:n]
		d := object.Sum(a, b)
		return d, size, w.PutBytes(d, b)
	}
	if err := w.room(size); err != nil {
		return object.Digest{}, 0, err
	}
	f, s, err := w.create()
	if err != nil {
		return object.Digest{}, 0, err
	}
	d, n, err := copyHash(f, r, a, tick)
	if err == nil && size >= 0 && n != size {
		err = errs.New(errs.Corrupt, "%d bytes were announced, but %d came", size, n)
	}
	if err != nil {
		w.drop(f, s)
		return object.Digest{}, n, w.fail(err)
	}
	if st, serr := w.stat(d); serr == nil && st.Size == n {
		// Held already, by name and length as [Writer.Put] has it.
		w.drop(f, s)
		return d, n, nil
	}
	return d, n, w.finish(f, s, d, n)
}
