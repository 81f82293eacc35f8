package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	// bufferBudget bounds what uploads of one store hold in memory together,
	// whatever the number of jobs.
	bufferBudget = 96 << 20
	// wholeLimit is up to what size an object is held in memory, proven, and
	// sent in one request, which can then be tried again. It is also the
	// usual size of a part.
	wholeLimit = 8 << 20
	// abortTime bounds the cleaning up after a failed upload.
	abortTime = 15 * time.Second
)

// Store is an object.Store on a [Backend]: DVC's layout, every byte hashed on
// its way in and out. It is safe for concurrent use.
type Store struct {
	b      Backend
	p      Properties
	name   string
	slots  *semaphore.Weighted // requests under way
	budget *semaphore.Weighted // bytes in buffers

	mu       sync.Mutex
	samples  map[object.Algorithm]*sample // of what is there, for planning
	receipts map[object.Digest]bool       // manifests whose receipt was seen and holds

	noRanges   atomic.Bool   // the server sends all when it is asked for a part
	unanswered atomic.Int32  // parts that did not come in time
	hungry     float64       // rangeHungry,
	partWait   time.Duration // rangeWait: for tests
}

var _ object.Store = (*Store)(nil)

// NewStore makes an object store of b, which it closes with itself. name is
// what messages call it. b is used as it is: wrap it in [WithRetry] first.
func NewStore(b Backend, name string) *Store {
	p := b.Properties()
	p.Concurrency = max(1, p.Concurrency)
	return &Store{b: b, p: p, name: name,
		slots: semaphore.NewWeighted(int64(p.Concurrency)), budget: semaphore.NewWeighted(bufferBudget),
		samples: map[object.Algorithm]*sample{}, receipts: map[object.Digest]bool{}, hungry: rangeHungry, partWait: rangeWait}
}

// Close releases the backend's connections.
func (s *Store) Close() error { return s.b.Close() }

// Backend is what the store keeps its objects in: for values there that are no
// objects, such as runs. Their keys are relative to the remote's address. It
// is closed with the store.
func (s *Store) Backend() Backend { return s.b }

// BackendOf returns the backend below an object store that has one: every
// remote but a folder of this machine.
func BackendOf(s object.Store) (Backend, bool) {
	if w, ok := s.(interface{ Backend() Backend }); ok {
		return w.Backend(), true
	}
	return nil, false
}

// Properties are the backend's.
func (s *Store) Properties() object.Properties { return s.p.Properties }

// request calls f when fewer than Concurrency requests are under way.
func (s *Store) request(ctx context.Context, f func() error) error {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.slots.Release(1)
	return f()
}

// wrap says which object of which store an error is about.
func (s *Store) wrap(err error, op string, d object.Digest) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case op == "read" && errs.Is(err, errs.NotFound):
		return errs.New(errs.NotFound, "object %s is not in %s", d, s.name)
	case errs.Is(err, errs.Corrupt):
		return err // names the object already
	}
	return fmt.Errorf("%s object %s, %s: %w", op, d, s.name, err)
}

// Open reads an object and proves it.
func (s *Store) Open(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	r, size, err := s.OpenUnverified(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	return object.NewVerifier(d, r), size, nil
}

// OpenUnverified reads an object for a reader that proves it itself.
func (s *Store) OpenUnverified(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	if d.IsZero() {
		return nil, 0, errs.New(errs.Invalid, "no digest")
	}
	var r io.ReadCloser
	var size int64
	err := s.request(ctx, func() (err error) {
		r, size, err = s.b.Open(ctx, d.Key(), 0, -1)
		return err
	})
	if err != nil {
		return nil, 0, s.wrap(err, "read", d)
	}
	return named{r, s, d}, size, nil
}

// named names the object in errors of its body.
type named struct {
	io.ReadCloser
	s *Store
	d object.Digest
}

func (n named) Read(p []byte) (int, error) {
	k, err := n.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = n.s.wrap(err, "read", n.d)
	}
	return k, err
}

// deleteBatch is how many keys one Delete call gets: what S3 takes at once.
const deleteBatch = 1000

// Delete removes objects, after the receipts that would say more than is true.
func (s *Store) Delete(ctx context.Context, ds []object.Digest) error {
	if err := s.dropReceipts(ctx, s.doubtful(ds)); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.p.Concurrency)
	for lo := 0; lo < len(ds); lo += deleteBatch {
		part := ds[lo:min(lo+deleteBatch, len(ds))]
		g.Go(func() error {
			keys := make([]string, len(part))
			for i, d := range part {
				keys[i] = d.Key()
			}
			return s.request(gctx, func() error { return s.b.Delete(gctx, keys) })
		})
	}
	if err := g.Wait(); err != nil {
		return orCtx(ctx, fmt.Errorf("delete from %s: %w", s.name, err))
	}
	return nil
}

// Begin starts a batch. Objects of a remote are visible as soon as each is
// whole, so the batch has nothing to commit or drop.
func (s *Store) Begin(ctx context.Context) (object.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &storeWriter{s: s}, nil
}

type storeWriter struct {
	s     *Store
	ended atomic.Bool
}

func (w *storeWriter) Commit(ctx context.Context) error { w.ended.Store(true); return ctx.Err() }
func (w *storeWriter) Abort()                           { w.ended.Store(true) }

func (w *storeWriter) Put(ctx context.Context, d object.Digest, size int64, r io.Reader) error {
	switch {
	case w.ended.Load():
		return errs.New(errs.Invalid, "write after the end of a batch")
	case d.IsZero():
		return errs.New(errs.Invalid, "no digest")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.s.wrap(w.s.put(ctx, d, size, r), "write", d)
}

// put sends an object whole if it is small or has few bytes after all, else
// in parts, else as the stream it is.
func (s *Store) put(ctx context.Context, d object.Digest, size int64, r io.Reader) error {
	if size < 0 || size <= wholeLimit {
		b, done, err := s.readWhole(ctx, size, r)
		if err != nil {
			return err
		}
		if done {
			defer b.free()
			if err := checkPut(d, object.Sum(d.Algorithm(), b.bytes()), size, int64(len(b.bytes()))); err != nil {
				return err
			}
			return s.request(ctx, func() error {
				return s.b.Put(ctx, d.Key(), int64(len(b.bytes())), bytes.NewReader(b.bytes()))
			})
		}
		r = io.MultiReader(bytes.NewReader(b.bytes()), r)
		defer b.free()
	}
	p := &prover{d: d, size: size, r: r, h: d.Algorithm().New()}
	if pp, ok := As[PartPutter](s.b); ok && s.p.PartSize > 0 {
		return s.putParts(ctx, pp, d.Key(), size, p)
	}
	if size < 0 {
		return s.putSpooled(ctx, d, p)
	}
	err := s.request(ctx, func() error { return s.b.Put(ctx, d.Key(), size, p) })
	if p.err != nil && p.err != io.EOF {
		return p.err // the backend's words for it are worse
	}
	return err
}

// putSpooled sends an object of unknown length to a backend that must know
// it, by way of a file.
func (s *Store) putSpooled(ctx context.Context, d object.Digest, src *prover) error {
	f, err := os.CreateTemp("", "cairn-")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		_ = os.Remove(f.Name())
	}()
	n, err := io.Copy(f, ctxReader{ctx, src})
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.request(ctx, func() error { return s.b.Put(ctx, d.Key(), n, f) })
}

// readWhole reads all of a small object. done is false if there is more than
// wholeLimit. size may be unknown.
func (s *Store) readWhole(ctx context.Context, size int64, r io.Reader) (b *buffer, done bool, err error) {
	most := size
	if size < 0 {
		most = wholeLimit
	}
	// One byte of room tells an object that is too long.
	if b, err = s.buffer(ctx, most+1); err != nil {
		return nil, false, err
	}
	n, err := io.ReadFull(ctxReader{ctx, r}, b.b)
	b.n = n
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return b, true, nil
	case nil:
		// Longer than announced is wrong; longer than wholeLimit is large.
		return b, size >= 0, nil
	}
	b.free()
	return nil, false, err
}

func checkPut(want, got object.Digest, size, n int64) error {
	if size >= 0 && n != size {
		return wrongLength(want, size, n)
	}
	if got.AsFile() != want.AsFile() {
		return object.Mismatch(want, got)
	}
	return nil
}

func wrongLength(d object.Digest, size, n int64) error {
	if n > size {
		return errs.New(errs.Corrupt, "object %s should have %d bytes, but more came", d, size)
	}
	return errs.New(errs.Corrupt, "object %s should have %d bytes, but %d came", d, size, n)
}

// prover is a reader that fails with Corrupt in place of io.EOF unless the
// bytes have the digest and the length.
type prover struct {
	d    object.Digest
	size int64 // -1: unknown
	n    int64
	r    io.Reader
	h    interface {
		io.Writer
		Sum([]byte) []byte
	}
	err error // the last error
}

func (p *prover) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.r.Read(b)
	p.h.Write(b[:n])
	p.n += int64(n)
	if p.size >= 0 && p.n > p.size {
		n, err = 0, wrongLength(p.d, p.size, p.n)
	}
	if err == io.EOF {
		if cerr := checkPut(p.d, object.NewDigest(p.d.Algorithm(), p.h.Sum(nil), false), p.size, p.n); cerr != nil {
			err = cerr
		}
	}
	p.err = err
	return n, err
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// putParts sends a large object in parts and joins them only after the last
// byte has proven the whole.
func (s *Store) putParts(ctx context.Context, pp PartPutter, key string, size int64, src *prover) (err error) {
	partSize := s.partSize(size)
	parts, err := pp.BeginParts(ctx, key)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// The parts cost money until they are dropped: also after Ctrl-C.
			actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
			defer cancel()
			_ = parts.Abort(actx)
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	n := 0
	for last := false; !last && err == nil; {
		var b *buffer
		if b, err = s.buffer(gctx, partSize); err != nil {
			break
		}
		b.n, err = io.ReadFull(ctxReader{gctx, src}, b.b)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			last, err = true, nil
		}
		if err == nil && b.n > 0 && s.p.MaxParts > 0 && n >= s.p.MaxParts {
			err = errs.New(errs.Unsupported, "the object needs more than %d parts", s.p.MaxParts)
		}
		if err != nil || b.n == 0 && n > 0 {
			b.free()
			continue
		}
		i := n
		n++
		g.Go(func() error {
			defer b.free()
			return s.request(gctx, func() error { return parts.Put(gctx, i, b.bytes()) })
		})
	}
	if perr := g.Wait(); perr != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = perr
	}
	if err != nil {
		return orCtx(ctx, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.request(ctx, func() error { return parts.Complete(ctx, n, src.n) })
}

// partSize is the least that fits an object of size into the most parts.
func (s *Store) partSize(size int64) int64 {
	n := max(s.p.PartSize, wholeLimit)
	if size < 0 {
		n = max(n, 2*wholeLimit) // an object of unknown length may be large
	} else if s.p.MaxParts > 0 {
		if need := (size + int64(s.p.MaxParts) - 1) / int64(s.p.MaxParts); need > n {
			n = (need + 1<<20 - 1) &^ (1<<20 - 1)
		}
	}
	return n
}

// buffer is memory that counts against a store's budget.
type buffer struct {
	s     *Store
	bp    *[]byte
	b     []byte // of the asked size
	n     int    // how much of it is filled
	claim int64
}

func (b *buffer) bytes() []byte { return b.b[:b.n] }

func (b *buffer) free() {
	b.s.budget.Release(b.claim)
	buffers[b.class()].Put(b.bp)
}

// buffers are pools of 64 KiB, 1 MiB and whole parts, so that a small object
// does not hold the memory of a large one.
var buffers [3]sync.Pool

func classOf(size int64) int {
	switch {
	case size <= 64<<10:
		return 0
	case size <= 1<<20:
		return 1
	}
	return 2
}

func (b *buffer) class() int { return classOf(int64(cap(*b.bp))) }

func (s *Store) buffer(ctx context.Context, size int64) (*buffer, error) {
	room := roomFor(size)
	if err := s.budget.Acquire(ctx, min(room, bufferBudget)); err != nil {
		return nil, err
	}
	return s.newBuffer(size, room), nil
}

// tryBuffer is buffer if that takes no waiting, else nil.
func (s *Store) tryBuffer(size int64) *buffer {
	room := roomFor(size)
	if !s.budget.TryAcquire(min(room, bufferBudget)) {
		return nil
	}
	return s.newBuffer(size, room)
}

// roomFor is the length of the memory for size bytes.
func roomFor(size int64) int64 {
	switch classOf(size) {
	case 0:
		return 64 << 10
	case 1:
		return 1 << 20
	}
	return max(size, wholeLimit+1)
}

func (s *Store) newBuffer(size, room int64) *buffer {
	bp, _ := buffers[classOf(room)].Get().(*[]byte)
	if bp == nil || int64(cap(*bp)) < size {
		m := make([]byte, room)
		bp = &m
	}
	*bp = (*bp)[:cap(*bp)]
	return &buffer{s: s, bp: bp, b: (*bp)[:size], claim: min(room, bufferBudget)}
}

// How listing and asking compare: a page of a listing takes a server about as
// long as pagePrice questions for one key.
const (
	pagePrice = 4
	// fewQuestions is up to how many objects are asked for one by one without
	// looking at how a listing would compare.
	fewQuestions = 20
	// fewPages is up to how many pages one listing after another is quick
	// enough; beyond it the digests' first two digits split the work.
	fewPages = 8
	shards   = 256
)

// Has looks up objects by listing or one by one, whichever is expected to
// take fewer requests.
func (s *Store) Has(ctx context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	found := make(map[object.Digest]object.Info, len(ds))
	var mu sync.Mutex
	err := s.look(ctx, ds, func(i object.Info) {
		mu.Lock()
		found[i.Digest] = i
		mu.Unlock()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// look calls add, from several goroutines, for each of ds that is there.
func (s *Store) look(ctx context.Context, ds []object.Digest, add func(object.Info)) error {
	byAlg := map[object.Algorithm][]object.Digest{}
	for _, d := range ds {
		if !d.IsZero() {
			byAlg[d.Algorithm()] = append(byAlg[d.Algorithm()], d)
		}
	}
	for a, want := range byAlg {
		if err := s.hasOf(ctx, a, want, add); err != nil {
			return orCtx(ctx, fmt.Errorf("look up objects in %s: %w", s.name, err))
		}
	}
	return nil
}

func (s *Store) hasOf(ctx context.Context, a object.Algorithm, want []object.Digest, add func(object.Info)) error {
	list := s.p.ListPrice > 0 && !s.p.CheapStat && len(want) > fewQuestions
	if !list {
		return s.stat(ctx, want, add)
	}
	there, err := s.sample(ctx, a)
	if err != nil {
		return err
	}
	pages := there.pages
	sorted := slices.SortedFunc(slices.Values(want), object.Digest.Compare)
	want = slices.Compact(sorted)
	pick := func(i object.Info) bool {
		if _, ok := slices.BinarySearchFunc(want, i.Digest, object.Digest.Compare); ok {
			add(i)
		}
		return true
	}
	if pages <= fewPages && a.Prefix() != "" {
		return s.listPrefix(ctx, a, a.Prefix(), pick)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.p.Concurrency)
	perShard := max(1, (pages+shards-1)/shards)
	var single []object.Digest
	for lo := 0; lo < len(want); {
		hi := lo
		for hi < len(want) && want[hi].First() == want[lo].First() {
			hi++
		}
		shard := want[lo:hi]
		if lo = hi; perShard*pagePrice >= len(shard) {
			single = append(single, shard...)
			continue
		}
		g.Go(func() error { return s.listPrefix(gctx, a, fmt.Sprintf("%s%02x/", a.Prefix(), shard[0].First()), pick) })
	}
	if err := g.Wait(); err != nil {
		return orCtx(ctx, err)
	}
	return s.stat(ctx, single, add)
}

// stat asks for each object by itself.
func (s *Store) stat(ctx context.Context, ds []object.Digest, add func(object.Info)) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.p.Concurrency)
	for _, d := range ds {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			var size int64
			err := s.request(gctx, func() (err error) {
				size, err = s.b.Stat(gctx, d.Key())
				return err
			})
			switch {
			case err == nil:
				add(object.Info{Digest: d, Size: size})
			case !errs.Is(err, errs.NotFound):
				return err
			}
			return nil
		})
	}
	return orCtx(ctx, g.Wait())
}

// sample is the part of an algorithm's objects whose digests begin with some
// digits of chance. Digests are evenly spread, so it tells how many there are;
// and it is true for what was looked at.
type sample struct {
	prefix string // of the keys looked at
	sizes  map[object.Digest]int64
	pages  int // of a listing of all, about
}

// sample looks at a part of a's objects, once: a 256th, or of very many a
// 4096th.
func (s *Store) sample(ctx context.Context, a object.Algorithm) (*sample, error) {
	s.mu.Lock()
	known := s.samples[a]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	const digits = "0123456789abcdef"
	prefix := fmt.Sprintf("%s%02x/", a.Prefix(), rand.N(shards))
	n, all, err := s.part(ctx, a, prefix, shards)
	if err == nil && !all {
		n, _, err = s.part(ctx, a, prefix+string(digits[rand.N(16)]), 16*shards)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.samples[a] = n
	s.mu.Unlock()
	return n, nil
}

// part lists a's objects below prefix, one in of of all. It gives up when they
// are more than two pages and a smaller part would do; all is false then.
func (s *Store) part(ctx context.Context, a object.Algorithm, prefix string, of int) (n *sample, all bool, err error) {
	n, all = &sample{prefix: prefix, sizes: map[object.Digest]int64{}}, true
	page := max(1, s.p.ListPrice)
	err = s.listPrefix(ctx, a, prefix, func(i object.Info) bool {
		n.sizes[i.Digest] = i.Size
		all = of > shards || page == 1 || len(n.sizes) < 2*page
		return all
	})
	n.pages = (len(n.sizes)*of + page - 1) / page
	return n, all, err
}

// listPrefix calls f for every object of a whose key begins with prefix,
// until f returns false.
func (s *Store) listPrefix(ctx context.Context, a object.Algorithm, prefix string, f func(object.Info) bool) error {
	return s.request(ctx, func() error {
		for e, err := range s.b.List(ctx, prefix) {
			if err != nil {
				return err
			}
			d, ok := object.ParseKey(e.Key)
			if ok && d.Algorithm() == a && !f(infoOf(d, e)) {
				return nil
			}
			if folder, ok := ParseReceiptKey(e.Key); ok {
				s.sawReceipt(folder)
			}
		}
		return ctx.Err()
	})
}

func infoOf(d object.Digest, e Entry) object.Info {
	i := object.Info{Digest: d, Size: e.Size}
	if !e.Meta.ModTime.IsZero() {
		i.ModTime = e.Meta.ModTime.UnixNano()
	}
	return i
}

// List yields all objects of an algorithm. Large remotes are listed in many
// parts at once; legacy objects always, since they lie beside all others.
func (s *Store) List(ctx context.Context, a object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		err := s.list(ctx, a, func(i object.Info) bool { return yield(i, nil) })
		if err != nil {
			yield(object.Info{}, fmt.Errorf("list %s: %w", s.name, err))
		}
	}
}

func (s *Store) list(ctx context.Context, a object.Algorithm, yield func(object.Info) bool) error {
	if a.Prefix() != "" {
		there, err := s.sample(ctx, a)
		if err != nil {
			return err
		}
		if there.pages <= fewPages {
			return s.listPrefix(ctx, a, a.Prefix(), yield)
		}
	}
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan object.Info, 1024)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		inner, ictx := errgroup.WithContext(gctx)
		inner.SetLimit(s.p.Concurrency)
		for i := range shards {
			inner.Go(func() error {
				return s.listPrefix(ictx, a, fmt.Sprintf("%s%02x/", a.Prefix(), i), func(i object.Info) bool {
					select {
					case found <- i:
						return true
					case <-ictx.Done():
						return false
					}
				})
			})
		}
		err := inner.Wait()
		close(found)
		return err
	})
	for i := range found {
		if !yield(i) {
			cancel()
			for range found { // let the listers see it and end
			}
			_ = g.Wait()
			return nil
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return outer.Err()
}
