package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/object"
)

// bulk reads a plain file too large for memory once, by its pieces, and hashes
// it; what it reads is copied or compared on the way. Holes are not read, and
// stay holes in the copy.
//
// With BLAKE3 the pieces are worked on side by side by as many goroutines as
// there are cores that no other bulk is using. md5 knows one order only, so
// there reading and writing run ahead of hashing. Memory is a piece or two for
// each core, whatever the size.
type bulk struct {
	f    *disk.File
	size int64 // what f has; another length is errChanged
	alg  object.Algorithm
	tick func(int64) // hears of the bytes, once at a time; may be nil

	to   *disk.File // an empty file that is to have the bytes; may be nil
	with *disk.File // a file that must have the same bytes, else errDiffers; may be nil

	hearing sync.Mutex

	sparse bool        // f has holes
	afar   atomic.Bool // f's server copies for us
}

// pieceSize is one more than a core's share of cache memory would like, and
// costs one system call to read and one to write.
const pieceSize = object.PieceSize

// mostWorkers bounds the goroutines of one file. A core hashes several GB/s, so
// that a few of them wait for memory.
const mostWorkers = 16

// cores has a place for each core: a bulk takes one for each goroutine beyond
// the caller's, so that several bulks do not multiply.
var cores = make(chan struct{}, runtime.GOMAXPROCS(0))

// zeros are the bytes of a hole.
var zeros [pieceSize]byte

var pieceBufs = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// run returns the digest of what was read.
func (b *bulk) run(ctx context.Context) (object.Digest, error) {
	b.sparse = hasHoles(b.f, b.size)
	if b.to != nil && b.sparse {
		// It may end in a hole; and where a write extends a file, XFS takes
		// space for more of them.
		if err := b.to.Truncate(b.size); err != nil {
			return object.Digest{}, err
		}
	}
	if b.to != nil {
		b.afar.Store(!b.sparse && b.f.CopiesAfar() && b.to.CopiesAfar())
	}
	if !b.afar.Load() {
		disk.WillRead(b.f)
	}
	var d object.Digest
	var err error
	if b.alg.Splits() {
		d, err = b.sideBySide(ctx)
	} else {
		d, err = b.inOrder(ctx)
	}
	if err == nil {
		err = b.unchanged()
	}
	if err != nil {
		return object.Digest{}, err
	}
	return d, nil
}

func hasHoles(f *disk.File, size int64) bool {
	from, to := f.Data(0, size)
	return from > 0 || to < size
}

// unchanged is errChanged if the file has grown, or was cut in a hole.
func (b *bulk) unchanged() error {
	if st, err := b.f.Stat(); err != nil || st.Size != b.size {
		return errors.Join(err, errChanged)
	}
	return nil
}

// sideBySide hashes pieces in the order in which cores are free.
func (b *bulk) sideBySide(ctx context.Context) (object.Digest, error) {
	h := object.NewPieces(b.size)
	var next atomic.Int64
	var failure atomic.Pointer[error]
	// one works on the next piece; false if there is none.
	one := func(buf, other *[pieceSize]byte) bool {
		i := next.Add(1) - 1
		if i >= h.Count() || failure.Load() != nil {
			return false
		}
		err := ctx.Err()
		if err == nil {
			var p []byte
			if p, err = b.piece(i*pieceSize, buf, other); err == nil {
				h.Add(i, p)
				b.heard(len(p))
			}
		}
		if err != nil {
			failure.CompareAndSwap(nil, &err)
		}
		return err == nil
	}
	worker := func(more func()) {
		buf, other := b.buffers()
		defer b.release(buf, other)
		for one(buf, other) {
			more()
		}
	}
	// The caller's core counts as well, if one is free; it works in any case.
	select {
	case cores <- struct{}{}:
		defer func() { <-cores }()
	default:
	}
	var wg sync.WaitGroup
	helpers := 0
	worker(func() {
		// Others may have finished meanwhile: a core is asked for each time.
		if helpers+1 >= mostWorkers || next.Load() >= h.Count() {
			return
		}
		select {
		case cores <- struct{}{}:
			helpers++
			wg.Go(func() {
				defer func() { <-cores }()
				worker(func() {})
			})
		default:
		}
	})
	wg.Wait()
	if err := failure.Load(); err != nil {
		return object.Digest{}, *err
	}
	return h.Sum(), nil
}

// inOrder hashes pieces from first to last, a few pieces behind their reading.
func (b *bulk) inOrder(ctx context.Context) (object.Digest, error) {
	const depth = 4
	free := make(chan *[pieceSize]byte, depth)
	for range depth {
		buf := pieceBufs.Get().(*[pieceSize]byte)
		defer pieceBufs.Put(buf)
		free <- buf
	}
	type read struct {
		p   []byte
		buf *[pieceSize]byte
	}
	full := make(chan read, depth)
	h := b.alg.New()
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for r := range full {
			h.Write(r.p)
			b.heard(len(r.p))
			free <- r.buf
		}
	}()
	var other *[pieceSize]byte
	if b.with != nil {
		other = pieceBufs.Get().(*[pieceSize]byte)
		defer pieceBufs.Put(other)
	}
	var err error
	for off := int64(0); off < b.size && err == nil; off += pieceSize {
		buf := <-free
		var p []byte
		if p, err = b.piece(off, buf, other); err == nil {
			err = ctx.Err()
		}
		if err == nil {
			full <- read{p, buf}
		}
	}
	close(full)
	<-hashed
	if err != nil {
		return object.Digest{}, err
	}
	return object.NewDigest(b.alg, h.Sum(nil), false), nil
}

func (b *bulk) heard(n int) {
	if b.tick != nil {
		b.hearing.Lock()
		defer b.hearing.Unlock()
		b.tick(int64(n))
	}
}

// buffers returns one for a piece, and another if there is something to
// compare with.
func (b *bulk) buffers() (buf, other *[pieceSize]byte) {
	if b.with != nil {
		other = pieceBufs.Get().(*[pieceSize]byte)
	}
	return pieceBufs.Get().(*[pieceSize]byte), other
}

func (b *bulk) release(buf, other *[pieceSize]byte) {
	pieceBufs.Put(buf)
	if other != nil {
		pieceBufs.Put(other)
	}
}

// piece reads, copies and compares the piece at off and returns its bytes,
// which are in buf or are zeros.
func (b *bulk) piece(off int64, buf, other *[pieceSize]byte) ([]byte, error) {
	p := buf[:min(pieceSize, b.size-off)]
	if b.sparse {
		return b.sparsePiece(off, p, other)
	}
	if b.afar.Load() {
		if done, err := b.copyAfar(off, len(p)); err != nil {
			return nil, err
		} else if done {
			return p, readPiece(b.to, p, off)
		}
	}
	return p, b.data(off, p, other)
}

// sparsePiece is piece for a file that has holes.
func (b *bulk) sparsePiece(off int64, p []byte, other *[pieceSize]byte) ([]byte, error) {
	end := off + int64(len(p))
	for at := off; at < end; {
		from, to := b.f.Data(at, end)
		if at == off && from == end {
			p = zeros[:len(p)]
			if b.with != nil {
				if from, _ = b.with.Data(off, end); from == end {
					return p, nil
				}
			}
			return p, b.compare(off, p, other)
		}
		clear(p[at-off : from-off])
		if err := b.compare(at, p[at-off:from-off], other); err != nil {
			return nil, err
		}
		if err := b.data(from, p[from-off:to-off], other); err != nil {
			return nil, err
		}
		at = to
	}
	return p, nil
}

// data reads bytes that are no hole.
func (b *bulk) data(off int64, p []byte, other *[pieceSize]byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := readPiece(b.f, p, off); err != nil {
		return err
	}
	if b.to != nil {
		if _, err := b.to.WriteAt(p, off); err != nil {
			return err
		}
	}
	return b.compare(off, p, other)
}

func (b *bulk) compare(off int64, p []byte, other *[pieceSize]byte) error {
	if b.with == nil || len(p) == 0 {
		return nil
	}
	q := other[:len(p)]
	if err := readPiece(b.with, q, off); err != nil {
		return err
	}
	if !bytes.Equal(p, q) {
		return errDiffers
	}
	return nil
}

// readPiece fills p, or the file is shorter than it was.
func readPiece(f *disk.File, p []byte, off int64) error {
	_, err := f.ReadAt(p, off)
	if err == io.EOF {
		err = errChanged
	}
	return err
}

// copyAfar has the file's server copy n bytes. If it will not, the file goes
// through this machine from then on.
func (b *bulk) copyAfar(off int64, n int) (done bool, err error) {
	for n > 0 {
		m, ok, err := disk.CopyRange(b.to, b.f, off, n)
		switch {
		case err != nil:
			return false, err
		case !ok:
			b.afar.Store(false)
			return false, nil
		case m == 0:
			return false, errChanged
		}
		off, n = off+int64(m), n-m
	}
	return true, nil
}

// hashFile hashes a file of the size that it has; another length is errChanged.
func hashFile(ctx context.Context, f *disk.File, size int64, a object.Algorithm, tick func(int64)) (object.Digest, error) {
	return (&bulk{f: f, size: size, alg: a, tick: tick}).run(ctx)
}

// copyFile copies a file of the size that it has to the empty file dst and
// returns the digest of the bytes that were written; another length is
// errChanged.
func copyFile(ctx context.Context, dst, src *disk.File, size int64, a object.Algorithm, tick func(int64)) (object.Digest, error) {
	return (&bulk{f: src, size: size, alg: a, tick: tick, to: dst}).run(ctx)
}

// compareFiles hashes f, which has size bytes, and reports whether the file
// with has the same.
func compareFiles(ctx context.Context, f, with *disk.File, size int64, a object.Algorithm, tick func(int64)) (d object.Digest, same bool, err error) {
	d, err = (&bulk{f: f, size: size, alg: a, tick: tick, with: with}).run(ctx)
	if errors.Is(err, errDiffers) {
		return object.Digest{}, false, nil
	}
	return d, err == nil, err
}
