package remote_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/chaostest"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
)

const (
	rangedSize = 50<<20 + 12345
	rangedPart = 8 << 20
)

var rangedBytes = sync.OnceValue(func() []byte { return objecttest.Bytes(77, rangedSize) })

// watched counts what is open of a backend, and lets a test step in.
type watched struct {
	remote.Backend
	opening func(off, n int64) // before an Open
	whole   bool               // the server has no ranges

	mu    sync.Mutex
	opens [][2]int64
	now   int // bodies open
	most  int
}

func (w *watched) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	w.mu.Lock()
	w.opens = append(w.opens, [2]int64{off, n})
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	if w.opening != nil {
		w.opening(off, n)
	}
	r, size, err := w.Backend.Open(ctx, key, off, n)
	if err != nil {
		w.closed()
		return nil, 0, err
	}
	return &watchedBody{r, w, sync.Once{}}, size, nil
}

func (w *watched) closed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now--
}

func (w *watched) parts() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.opens {
		if o[1] >= 0 {
			n++
		}
	}
	return n
}

type watchedBody struct {
	io.ReadCloser
	w    *watched
	once sync.Once
}

func (b *watchedBody) Partial() bool { return !b.w.whole && remote.IsPartial(b.ReadCloser) }
func (b *watchedBody) Close() error {
	b.once.Do(b.w.closed)
	return b.ReadCloser.Close()
}

// ranged is a store with one large object, whose readers are always hungry.
func ranged(t *testing.T) (*watched, *remote.Store, object.Digest) {
	t.Helper()
	w := &watched{Backend: remotetest.NewMemory()}
	s := memoryStore(w, "src")
	s.SetHungry()
	d := objecttest.Put(t, s, object.BLAKE3, rangedBytes())[0]
	w.opens = nil
	return w, s, d
}

func move(ctx context.Context, s *remote.Store, d object.Digest, jobs int) (*remote.Store, error) {
	dst := memoryStore(remotetest.NewMemory(), "dst")
	_, err := remote.Transfer(ctx, dst, s, []remote.Item{item(d, rangedSize, "big")}, remote.TransferOptions{Jobs: jobs})
	return dst, err
}

// check that nothing is left open or taken.
func (w *watched) checkIdle(t *testing.T, s *remote.Store) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now != 0 || !s.BuffersFree() {
		t.Errorf("%d bodies are open, buffers free: %t", w.now, s.BuffersFree())
	}
}

// One large object comes in several streams, no more than there may be.
func TestRangedInParallel(t *testing.T) {
	t.Parallel()
	for _, jobs := range []int{2, 3, 8} {
		w, s, d := ranged(t)
		dst, err := move(t.Context(), s, d, jobs)
		if err != nil || !has(t, dst, d) {
			t.Fatalf("%d jobs: %v", jobs, err)
		}
		if w.parts() < 4 || w.most > jobs {
			t.Errorf("%d jobs: %d parts, %d bodies at once", jobs, w.parts(), w.most)
		}
		w.checkIdle(t, s)
	}
}

// Parts are read in their order, in whatever order they come.
func TestRangedOutOfOrder(t *testing.T) {
	t.Parallel()
	w, s, d := ranged(t)
	var gates [rangedSize/rangedPart + 1]chan struct{}
	for i := range gates {
		gates[i] = make(chan struct{})
	}
	var first atomic.Int64
	w.opening = func(off, n int64) {
		if n >= 0 && !first.CompareAndSwap(0, off) {
			<-gates[(off-first.Load())/rangedPart]
		}
	}
	r, _, _, err := s.OpenRanged(t.Context(), d, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	_, err = io.CopyN(&got, r, rangedPart+1)
	for _, g := range slices.Backward(gates[:]) {
		close(g)
	}
	if err == nil {
		_, err = io.Copy(&got, r)
	}
	if err != nil || !bytes.Equal(got.Bytes(), rangedBytes()) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// With one job, or as many objects as jobs, an object is one plain request.
func TestRangedNeedsSpareStreams(t *testing.T) {
	t.Parallel()
	w, s, d := ranged(t)
	if _, err := move(t.Context(), s, d, 1); err != nil {
		t.Fatal(err)
	}
	if len(w.opens) != 1 || w.opens[0] != [2]int64{0, -1} {
		t.Errorf("opened %v", w.opens)
	}
}

// Whatever goes wrong with any one of the requests, what arrives is whole.
func TestRangedFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]remotetest.Fault{
		"before": remotetest.Before, "short": remotetest.Short, "cut": remotetest.Cut, "flip": remotetest.Flip,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 1; at <= 6; at++ {
				w, _, d := ranged(t)
				f := &remotetest.Faulty{Backend: w, Plan: func(op, _ string, n int) remotetest.Fault {
					if op == "open" && n == at {
						return fault
					}
					return remotetest.None
				}}
				s := memoryStore(f, "src")
				s.SetHungry()
				dst, err := move(t.Context(), s, d, 8)
				if err != nil || !has(t, dst, d) {
					t.Errorf("open %d: %v", at, err)
				}
				w.checkIdle(t, s)
			}
		})
	}
}

// Wrong bytes in a range, every time, are refused.
func TestRangedWrongBytes(t *testing.T) {
	t.Parallel()
	w, _, d := ranged(t)
	f := &remotetest.Faulty{Backend: w, Plan: func(op, _ string, n int) remotetest.Fault {
		if op == "open" && n > 1 {
			return remotetest.Flip
		}
		return remotetest.None
	}}
	s := memoryStore(f, "src")
	s.SetHungry()
	dst, err := move(t.Context(), s, d, 8)
	if !errs.Is(err, errs.Corrupt) || has(t, dst, d) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
	w.checkIdle(t, s)
}

// A part that cannot be had is not waited for for ever, and is what is said,
// unless the plain stream goes on without it.
func TestRangedRefused(t *testing.T) {
	t.Parallel()
	for at := 2; at <= 5; at++ {
		w, _, d := ranged(t)
		f := &remotetest.Faulty{Backend: w, Plan: func(op, _ string, n int) remotetest.Fault {
			if op == "open" && n == at {
				return remotetest.Refuse
			}
			return remotetest.None
		}}
		s := memoryStore(f, "src")
		s.SetHungry()
		dst, err := move(t.Context(), s, d, 8)
		if whole := has(t, dst, d); err != nil && !errs.Is(err, errs.Denied) || whole != (err == nil) || at == 2 && !whole {
			t.Errorf("open %d: %v, whole: %t", at, err, whole)
		}
		w.checkIdle(t, s)
	}
}

// An object that changes between two ranges is never put together from both.
func TestRangedReplaced(t *testing.T) {
	t.Parallel()
	other := objecttest.Bytes(78, rangedSize)
	for name, c := range map[string]struct {
		then   []byte
		healed bool // and back, before it is read again
	}{
		"same length": {other, false}, "longer": {append(bytes.Clone(other), 1), false}, "shorter": {other[:rangedSize-1], false},
		"healed": {other, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s, d := ranged(t)
			m := w.Backend.(*remotetest.Memory)
			put := func(b []byte) { m.Change(d.Key(), func([]byte) []byte { return b }) }
			var parts, reads atomic.Int64
			w.opening = func(off, n int64) {
				if n >= 0 && parts.Add(1) == 3 {
					put(c.then)
				}
				if off == 0 && reads.Add(1) == 2 && c.healed {
					put(rangedBytes())
				}
			}
			dst, err := move(t.Context(), s, d, 8)
			if c.healed {
				if err != nil || !has(t, dst, d) {
					t.Errorf("read again: %v", err)
				}
			} else if !errs.Is(err, errs.Corrupt) || has(t, dst, d) {
				t.Errorf("got %v, want errs.Corrupt", err)
			}
			if parts.Load() >= 3 && reads.Load() != 2 {
				t.Errorf("read %d times", reads.Load())
			}
			w.checkIdle(t, s)
		})
	}
}

// A server without ranges is asked for one once.
func TestRangedServerWithoutRanges(t *testing.T) {
	t.Parallel()
	w, s, d := ranged(t)
	w.whole = true
	for i, want := range []int{2, 3} {
		dst, err := move(t.Context(), s, d, 8)
		if err != nil || !has(t, dst, d) {
			t.Fatal(err)
		}
		if len(w.opens) != want {
			t.Errorf("transfer %d: opened %v", i, w.opens)
		}
		w.checkIdle(t, s)
	}
}

// A server that answers one request after another does not stand still.
func TestRangedServerOneByOne(t *testing.T) {
	t.Parallel()
	w, _, d := ranged(t)
	one := &oneByOne{w, make(chan struct{}, 1)}
	s := memoryStore(one, "src")
	s.SetHungry()
	s.SetImpatient()
	dst, err := move(t.Context(), s, d, 8)
	if err != nil || !has(t, dst, d) {
		t.Fatal(err)
	}
	w.checkIdle(t, s)
}

type oneByOne struct {
	*watched
	turn chan struct{}
}

func (o *oneByOne) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	r, size, err := o.watched.Open(ctx, key, off, n)
	if err != nil {
		<-o.turn
		return nil, 0, err
	}
	return &turnBody{r, o, sync.Once{}}, size, nil
}

type turnBody struct {
	io.ReadCloser
	o    *oneByOne
	once sync.Once
}

func (b *turnBody) Partial() bool { return true }
func (b *turnBody) Close() error {
	b.once.Do(func() { <-b.o.turn })
	return b.ReadCloser.Close()
}

// One that has ranges at first and then none is read in one stream from there.
func TestRangedServerForgetsRanges(t *testing.T) {
	t.Parallel()
	w, _, d := ranged(t)
	var parts atomic.Int64
	forgets := &forgetful{watched: w, parts: &parts}
	s := memoryStore(forgets, "src")
	s.SetHungry()
	dst, err := move(t.Context(), s, d, 8)
	if err != nil || !has(t, dst, d) {
		t.Fatal(err)
	}
	if last := w.opens[len(w.opens)-1]; last[1] >= 0 {
		t.Errorf("opened %v", w.opens)
	}
	w.checkIdle(t, s)
}

type forgetful struct {
	*watched
	parts *atomic.Int64
}

func (f *forgetful) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	r, size, err := f.watched.Open(ctx, key, off, n)
	if err == nil && n >= 0 && f.parts.Add(1) > 2 {
		r = struct{ io.ReadCloser }{r}
	}
	return r, size, err
}

// An end in the middle leaves nothing open, whether the context's or the reader's.
func TestRangedCancelled(t *testing.T) {
	t.Parallel()
	w, s, d := ranged(t)
	ctx, cancel := context.WithCancel(t.Context())
	var parts atomic.Int64
	w.opening = func(_, n int64) {
		if n >= 0 && parts.Add(1) == 3 {
			cancel()
		}
	}
	dst, err := move(ctx, s, d, 8)
	if !errs.Is(err, errs.Cancelled) || has(t, dst, d) {
		t.Errorf("got %v, want errs.Cancelled", err)
	}
	w.checkIdle(t, s)

	w.opening = nil
	for _, n := range []int64{0, 1 << 20, rangedPart, 20 << 20, 45 << 20} {
		r, _, streams, err := s.OpenRanged(t.Context(), d, 5)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			t.Errorf("after %d bytes: %v", n, err)
		}
		r.Close()
		w.checkIdle(t, s)
		if got := streams.Spare(); got != 5 {
			t.Errorf("after %d bytes: %d streams to spare of 5", n, got)
		}
	}
}

// However far the server is ahead, what waits for the reader is bounded, and
// a store whose memory is in use elsewhere reads on.
func TestRangedMemory(t *testing.T) {
	t.Parallel()
	w, s, d := ranged(t)
	var at, ahead atomic.Int64
	w.opening = func(off, n int64) {
		if n >= 0 {
			for was := ahead.Load(); off+n-at.Load() > was && !ahead.CompareAndSwap(was, off+n-at.Load()); was = ahead.Load() {
			}
		}
	}
	read := func() []byte {
		at.Store(0)
		r, _, _, err := s.OpenRanged(t.Context(), d, 100)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got := make([]byte, 0, rangedSize)
		for buf := make([]byte, 256<<10); ; {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			at.Add(int64(n))
			if err == io.EOF {
				return got
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(read(), rangedBytes()) {
		t.Error("other bytes came")
	}
	if n := ahead.Load(); n == 0 || n > remote.RangeWindow {
		t.Errorf("%d bytes ahead of the reader", n)
	}
	release := s.TakeBuffers(t)
	n := w.parts()
	if !bytes.Equal(read(), rangedBytes()) || w.parts() != n {
		t.Error("without memory for it, parts came or other bytes")
	}
	release()
	w.checkIdle(t, s)
}

// On a line that refuses, breaks, shortens and damages ranges nothing wrong is
// taken, and trying again comes to an end.
func TestRangedOnBadLine(t *testing.T) {
	t.Parallel()
	m := s3server.NewMemory(s3server.MemoryOptions{})
	t.Cleanup(m.Close)
	good := remote.OpenS3At(t, &m.Server, "p")
	d := objecttest.Put(t, remote.NewStore(good, "good"), object.BLAKE3, rangedBytes())[0]
	line := chaostest.HTTP(t, m.URL, chaostest.Options{Seed: rand.Uint64(), Rate: 0.2,
		Faults: []chaostest.Fault{chaostest.Refuse, chaostest.Reset, chaostest.ResetLate, chaostest.Short, chaostest.FlipDown}})
	defer func() { t.Log(line) }()
	through := m.Server
	through.URL = line.URL
	s := memoryStore(remote.OpenS3At(t, &through, "p"), "bad")
	s.SetHungry()
	for try := range 20 {
		if try == 12 {
			line.Calm()
		}
		dst, err := move(t.Context(), s, d, 8)
		switch whole := has(t, dst, d); {
		case err == nil && whole:
			return
		case err == nil || whole:
			t.Fatalf("object there: %t, error %v", whole, err)
		case !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Unavailable):
			t.Errorf("try %d: %v", try, err)
		}
	}
	t.Error("no try came to an end")
}

// Every driver knows whether it got a range.
func TestPartialBodies(t *testing.T) {
	open := map[string]func(t *testing.T) remote.Backend{
		"s3":    func(t *testing.T) remote.Backend { return remote.OpenTestS3(t) },
		"gcs":   func(t *testing.T) remote.Backend { return remote.OpenTestGCS(t, false) },
		"azure": func(t *testing.T) remote.Backend { return remote.OpenTestAzure(t) },
		"ssh": func(t *testing.T) remote.Backend {
			return remote.OpenSSHAt(t, sshserver.New(t, sshserver.Options{}).Server, "some/folder")
		},
	}
	for name, web := range webServers() {
		open["web "+name] = func(t *testing.T) remote.Backend { b, _ := web(t); return b }
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := remote.WithRetry(open(t), noWait)
			t.Cleanup(func() { b.Close() })
			s := remote.NewStore(b, name)
			s.SetHungry()
			if name == "gcs" || name == "azure" {
				s.SetImpatient() // the servers in the process answer one by one
			}
			d := objecttest.Put(t, s, object.BLAKE3, rangedBytes())[0]
			for _, c := range [][2]int64{{0, 5}, {5, 10}, {100, rangedPart}} {
				r, size, err := b.Open(t.Context(), d.Key(), c[0], c[1])
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || size != rangedSize || !bytes.Equal(got, rangedBytes()[c[0]:c[0]+c[1]]) {
					t.Errorf("%v: %d bytes of %d, %v", c, len(got), size, err)
				}
				if !remote.IsPartial(r) {
					t.Errorf("%v: not known to be a part", c)
				}
				r.Close()
			}
			r, _, _, err := s.OpenRanged(t.Context(), d, 7)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, rangedBytes()) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
