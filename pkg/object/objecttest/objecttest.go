// Package objecttest checks that an object.Store keeps the promises of its
// interface. Every store runs it: the cache, and each remote driver.
package objecttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Fixture is a fresh, empty store to be tested.
type Fixture struct {
	Store object.Store

	// Damage replaces the stored bytes of an object behind the store's back.
	// If it is nil, nothing is tested on damaged objects.
	Damage func(t *testing.T, d object.Digest, change func([]byte) []byte)

	// Leftovers lists what lies in the store's place besides objects, such
	// as temporary files and unfinished uploads. It may be nil.
	Leftovers func(t *testing.T) []string
}

// Run tests the stores that open makes, each in a subtest of its own.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"round trip":          roundTrip,
		"large object":        largeObject,
		"unknown size":        unknownSize,
		"missing":             missing,
		"empty batch":         emptyBatch,
		"wrong bytes":         wrongBytes,
		"broken source":       brokenSource,
		"replace other size":  replaceOtherSize,
		"keep whole":          keepWhole,
		"algorithms apart":    algorithmsApart,
		"legacy text":         legacyText,
		"many":                many,
		"list ends early":     listEndsEarly,
		"delete":              deleteSome,
		"concurrent same":     concurrentSame,
		"concurrent writers":  concurrentWriters,
		"abort":               abort,
		"cancelled":           cancelled,
		"cancelled while put": cancelledWhilePut,
		"damaged":             damaged,
		"no digest":           noDigest,
		"properties":          properties,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			test(t, f)
			if t.Failed() || f.Leftovers == nil {
				return
			}
			if left := f.Leftovers(t); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// algorithms are all that a store must take.
var algorithms = []object.Algorithm{object.MD5, object.BLAKE3, object.MD5Legacy}

// Bytes returns n bytes that look random and are the same for a seed.
func Bytes(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// Put stores bodies in one batch.
func Put(t *testing.T, s object.Store, a object.Algorithm, bodies ...[]byte) []object.Digest {
	t.Helper()
	w, err := s.Begin(t.Context())
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer w.Abort()
	var ds []object.Digest
	for _, b := range bodies {
		d := object.Sum(a, b)
		if err := w.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatalf("put %v: %v", d, err)
		}
		ds = append(ds, d)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	return ds
}

// Get reads an object whole.
func Get(ctx context.Context, s object.Store, d object.Digest) ([]byte, error) {
	r, size, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && size != int64(len(b)) {
		err = errors.New("the size that Open gave is not that of the bytes")
	}
	return b, err
}

func begin(t *testing.T, s object.Store) object.Writer {
	t.Helper()
	w, err := s.Begin(t.Context())
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	t.Cleanup(w.Abort)
	return w
}

func wantKind(t *testing.T, what string, err error, k errs.Kind) {
	t.Helper()
	if !errs.Is(err, k) {
		t.Errorf("%s: got error %v of kind %v, want kind %v", what, err, errs.KindOf(err), k)
	}
}

func wantBytes(t *testing.T, s object.Store, d object.Digest, want []byte) {
	t.Helper()
	got, err := Get(t.Context(), s, d)
	if err != nil {
		t.Errorf("read %v: %v", d, err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("read %v: got %d bytes that differ from the %d stored", d, len(got), len(want))
	}
}

func wantAbsent(t *testing.T, s object.Store, d object.Digest) {
	t.Helper()
	has, err := s.Has(t.Context(), []object.Digest{d})
	if err != nil || len(has) != 0 {
		t.Errorf("has %v: got %v, %v, want nothing", d, has, err)
	}
	_, err = Get(t.Context(), s, d)
	wantKind(t, "open absent "+d.String(), err, errs.NotFound)
}

// canList is whether a store lists; one that does not must refuse, and not
// claim that there is nothing.
func canList(t *testing.T, s object.Store) bool {
	t.Helper()
	if s.Properties().ListPrice > 0 {
		return true
	}
	for i, err := range s.List(t.Context(), object.MD5) {
		if !errs.Is(err, errs.Unsupported) {
			t.Errorf("list, without that ability: got %v, %v, want Unsupported", i, err)
		}
		return false
	}
	t.Error("list, without that ability, says that there is nothing")
	return false
}

// wantListed checks how many objects there are, if the store can tell.
func wantListed(t *testing.T, s object.Store, a object.Algorithm, n int) {
	t.Helper()
	if !canList(t, s) {
		return
	}
	if got := list(t, s, a); len(got) != n {
		t.Errorf("%s: list: got %v, want %d objects", a.Name(), got, n)
	}
}

func list(t *testing.T, s object.Store, a object.Algorithm) map[object.Digest]int64 {
	t.Helper()
	got := map[object.Digest]int64{}
	for i, err := range s.List(t.Context(), a) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if _, twice := got[i.Digest]; twice {
			t.Errorf("list yields %v twice", i.Digest)
		}
		got[i.Digest] = i.Size
	}
	return got
}

func roundTrip(t *testing.T, f Fixture) {
	for _, a := range algorithms {
		bodies := [][]byte{{}, []byte("x"), Bytes(1, 2048), Bytes(2, 64<<10), Bytes(3, 1<<20), Bytes(4, 1<<20+1)}
		ds := Put(t, f.Store, a, bodies...)
		manifest, md := object.Manifest{{Path: "a", Digest: ds[1], Size: 1}}.Encode(a)
		if a == object.MD5Legacy {
			md = object.Sum(a, manifest).AsDir()
		}
		w := begin(t, f.Store)
		if err := w.Put(t.Context(), md, int64(len(manifest)), bytes.NewReader(manifest)); err != nil {
			t.Fatalf("put manifest: %v", err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatalf("commit: %v", err)
		}
		ds, bodies = append(ds, md), append(bodies, manifest)
		has, err := f.Store.Has(t.Context(), ds)
		if err != nil {
			t.Fatalf("has: %v", err)
		}
		listed := has
		if canList(t, f.Store) {
			listed = map[object.Digest]object.Info{}
			for d, size := range list(t, f.Store, a) {
				listed[d] = object.Info{Digest: d, Size: size}
			}
		}
		if len(listed) != len(ds) || len(has) != len(ds) {
			t.Errorf("%s: %d objects put, %d had, %d listed", a.Name(), len(ds), len(has), len(listed))
		}
		for i, d := range ds {
			wantBytes(t, f.Store, d, bodies[i])
			want := int64(len(bodies[i]))
			if got := has[d]; got.Size != want || got.Digest != d {
				t.Errorf("has %v: got %v, want size %d", d, got, want)
			}
			if got, ok := listed[d]; !ok || got.Size != want {
				t.Errorf("list: %v has size %d (%v), want %d", d, got.Size, ok, want)
			}
		}
		// The manifest's name is not that of a file with the same bytes.
		wantAbsent(t, f.Store, md.AsFile())
	}
}

func largeObject(t *testing.T, f Fixture) {
	// On both sides of what stores hold in memory or send in one part.
	for i, n := range []int{8 << 20, 8<<20 + 1, 16 << 20, 21<<20 + 7} {
		b := Bytes(uint64(i), n)
		ds := Put(t, f.Store, object.BLAKE3, b)
		wantBytes(t, f.Store, ds[0], b)
	}
}

func unknownSize(t *testing.T, f Fixture) {
	for _, n := range []int{0, 1, 3000, 9 << 20, 33 << 20} {
		b := Bytes(uint64(n), n)
		d := object.Sum(object.MD5, b)
		w := begin(t, f.Store)
		if err := w.Put(t.Context(), d, -1, iotest.DataErrReader(bytes.NewReader(b))); err != nil {
			t.Fatalf("put %d bytes of unknown size: %v", n, err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatalf("commit: %v", err)
		}
		wantBytes(t, f.Store, d, b)
	}
}

func missing(t *testing.T, f Fixture) {
	for _, a := range algorithms {
		wantAbsent(t, f.Store, object.Sum(a, []byte("nobody put this")))
		wantAbsent(t, f.Store, object.Sum(a, []byte("nobody put this")).AsDir())
		wantListed(t, f.Store, a, 0)
	}
	if has, err := f.Store.Has(t.Context(), nil); err != nil || len(has) != 0 {
		t.Errorf("has nothing: got %v, %v", has, err)
	}
	Put(t, f.Store, object.MD5, []byte("another"))
	wantAbsent(t, f.Store, object.Sum(object.MD5, []byte("nobody put this")))
}

func emptyBatch(t *testing.T, f Fixture) {
	w := begin(t, f.Store)
	if err := w.Commit(t.Context()); err != nil {
		t.Errorf("commit of nothing: %v", err)
	}
	w.Abort()
	w.Abort()
	w = begin(t, f.Store)
	w.Abort()
}

func wrongBytes(t *testing.T, f Fixture) {
	for _, a := range algorithms {
		for _, n := range []int{0, 10, 2048, 3 << 20, 12 << 20} {
			if testing.Short() && n > 1<<20 && a != algorithms[0] {
				continue
			}
			b := Bytes(9, n)
			d := object.Sum(a, append([]byte("other"), b...))
			flipped := object.Sum(a, b)
			for name, c := range map[string]struct {
				d    object.Digest
				size int64
				b    []byte
				skip bool
			}{
				"other content":      {d, int64(n), b, false},
				"other, size -1":     {d, -1, b, false},
				"shorter than said":  {flipped, int64(n) + 1, b, false},
				"longer than said":   {flipped, int64(n) - 1, b, n == 0},
				"one bit":            {flipped, int64(n), flip(b), n == 0},
				"one bit, manifest":  {flipped.AsDir(), int64(n), flip(b), n == 0},
				"cut":                {flipped, int64(n) / 2, b[:n/2], n == 0},
				"cut, size -1":       {flipped, -1, b[:n/2], n == 0},
				"longer, size -1":    {flipped, -1, append(b[:n:n], 0), false},
				"cut but said whole": {flipped, int64(n), b[:n/2], n == 0},
			} {
				if c.skip {
					continue
				}
				w := begin(t, f.Store)
				err := w.Put(t.Context(), c.d, c.size, bytes.NewReader(c.b))
				wantKind(t, a.Name()+", "+name, err, errs.Corrupt)
				if err := w.Commit(t.Context()); err != nil {
					t.Errorf("commit after a refused object: %v", err)
				}
				wantAbsent(t, f.Store, c.d)
			}
		}
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[len(b)/2] ^= 0x10
	}
	return b
}

func brokenSource(t *testing.T, f Fixture) {
	boom := errs.New(errs.Denied, "the source broke")
	good := []byte("a good one in the same batch")
	for _, size := range []int64{-1, 5000, 12 << 20} {
		b := Bytes(5, int(max(size, 5000)))
		d := object.Sum(object.BLAKE3, b)
		w := begin(t, f.Store)
		err := w.Put(t.Context(), d, size, io.MultiReader(bytes.NewReader(b[:len(b)-1]), iotest.ErrReader(boom)))
		wantKind(t, "put from a broken source", err, errs.Denied)
		gd := object.Sum(object.BLAKE3, good)
		if err := w.Put(t.Context(), gd, int64(len(good)), bytes.NewReader(good)); err != nil {
			t.Errorf("put after a failure: %v", err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Errorf("commit: %v", err)
		}
		wantAbsent(t, f.Store, d)
		wantBytes(t, f.Store, gd, good)
	}
}

// replaceOtherSize: what has another length than it must have is replaced.
func replaceOtherSize(t *testing.T, f Fixture) {
	if f.Damage == nil {
		return // nothing to look at
	}
	b := Bytes(6, 5000)
	ds := Put(t, f.Store, object.MD5, b)
	f.Damage(t, ds[0], func(b []byte) []byte { return b[:100] })
	has, err := f.Store.Has(t.Context(), ds)
	if err != nil || has[ds[0]].Size != 100 {
		t.Errorf("has a cut object: got %v, %v, want size 100", has, err)
	}
	Put(t, f.Store, object.MD5, b)
	wantBytes(t, f.Store, ds[0], b)
}

func keepWhole(t *testing.T, f Fixture) {
	b := Bytes(7, 5000)
	ds := Put(t, f.Store, object.BLAKE3, b)
	Put(t, f.Store, object.BLAKE3, b)
	w := begin(t, f.Store)
	for range 3 { // also within one batch
		if err := w.Put(t.Context(), ds[0], int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Errorf("put again: %v", err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Errorf("commit: %v", err)
	}
	wantBytes(t, f.Store, ds[0], b)
	wantListed(t, f.Store, object.BLAKE3, 1)
}

func algorithmsApart(t *testing.T, f Fixture) {
	b := Bytes(8, 100) // not text, so that the legacy digest has the same digits
	Put(t, f.Store, object.MD5, b)
	wantAbsent(t, f.Store, object.Sum(object.MD5Legacy, b))
	wantAbsent(t, f.Store, object.Sum(object.BLAKE3, b))
	for _, a := range []object.Algorithm{object.MD5Legacy, object.BLAKE3} {
		wantListed(t, f.Store, a, 0)
	}
	both := []object.Digest{object.Sum(object.MD5, b), object.Sum(object.MD5Legacy, b)}
	if has, err := f.Store.Has(t.Context(), both); err != nil || len(has) != 1 {
		t.Errorf("has: got %v, %v, want only the md5 object", has, err)
	}
}

// legacyText: a legacy digest is that of the text with Unix line ends, and the
// bytes stay as they are.
func legacyText(t *testing.T, f Fixture) {
	b := []byte("one\r\ntwo\r\n")
	ds := Put(t, f.Store, object.MD5Legacy, b)
	if want := object.Sum(object.MD5, []byte("one\ntwo\n")).String(); ds[0].String() != want {
		t.Fatalf("digest %v, want %v", ds[0], want)
	}
	wantBytes(t, f.Store, ds[0], b)
}

// some are the algorithms that a short run, such as one with the race
// detector, tries where the algorithm makes little difference.
func some() []object.Algorithm {
	if testing.Short() {
		return algorithms[:1]
	}
	return algorithms
}

func many(t *testing.T, f Fixture) {
	const n = 700 // more than is asked one by one
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = Bytes(uint64(i), i%50+1)
	}
	for _, a := range some() {
		ds := Put(t, f.Store, a, bodies...)
		ask := append(ds[:n:n], object.Sum(a, []byte("no")), object.Sum(a, []byte("nor this")).AsDir())
		has, err := f.Store.Has(t.Context(), ask)
		if err != nil {
			t.Fatalf("has: %v", err)
		}
		want := map[object.Digest]int64{}
		for i, d := range ds {
			want[d] = int64(len(bodies[i]))
		}
		if len(has) != len(want) {
			t.Errorf("has: got %d objects, want %d", len(has), len(want))
		}
		listed := want
		if canList(t, f.Store) {
			listed = list(t, f.Store, a)
		}
		if len(listed) != len(want) {
			t.Errorf("list: got %d objects, want %d", len(listed), len(want))
		}
		for d, size := range want {
			if has[d].Size != size || listed[d] != size {
				t.Errorf("%v: has says %d, list says %d bytes, want %d", d, has[d].Size, listed[d], size)
			}
		}
	}
}

func listEndsEarly(t *testing.T, f Fixture) {
	if !canList(t, f.Store) {
		return // and canList has looked that it refuses
	}
	for _, a := range algorithms {
		for i := range 5 {
			Put(t, f.Store, a, Bytes(uint64(i), 10))
		}
		n := 0
		for _, err := range f.Store.List(t.Context(), a) {
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			if n++; n == 2 {
				break
			}
		}
	}
}

func deleteSome(t *testing.T, f Fixture) {
	bodies := [][]byte{Bytes(1, 10), Bytes(2, 10), Bytes(3, 10), {}}
	ds := Put(t, f.Store, object.MD5, bodies...)
	absent := object.Sum(object.MD5, []byte("never put"))
	if err := f.Store.Delete(t.Context(), []object.Digest{ds[0], absent, ds[3]}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	wantAbsent(t, f.Store, ds[0])
	wantAbsent(t, f.Store, ds[3])
	wantBytes(t, f.Store, ds[1], bodies[1])
	wantListed(t, f.Store, object.MD5, 2)
	if err := f.Store.Delete(t.Context(), ds); err != nil {
		t.Errorf("delete what is partly gone: %v", err)
	}
	if err := f.Store.Delete(t.Context(), nil); err != nil {
		t.Errorf("delete nothing: %v", err)
	}
	Put(t, f.Store, object.MD5, bodies...)
	wantBytes(t, f.Store, ds[0], bodies[0])
}

func concurrentSame(t *testing.T, f Fixture) {
	small, large := Bytes(1, 3000), Bytes(2, 9<<20)
	w := begin(t, f.Store)
	var wg sync.WaitGroup
	for range 4 {
		for _, b := range [][]byte{small, large} {
			wg.Go(func() {
				if err := w.Put(t.Context(), object.Sum(object.MD5, b), int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Errorf("put: %v", err)
				}
			})
		}
	}
	wg.Wait()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	wantBytes(t, f.Store, object.Sum(object.MD5, small), small)
	wantBytes(t, f.Store, object.Sum(object.MD5, large), large)
}

func concurrentWriters(t *testing.T, f Fixture) {
	shared := Bytes(99, 4000)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			w, err := f.Store.Begin(t.Context())
			if err != nil {
				t.Errorf("begin: %v", err)
				return
			}
			defer w.Abort()
			for _, b := range [][]byte{shared, Bytes(uint64(i), 1000)} {
				if err := w.Put(t.Context(), object.Sum(object.BLAKE3, b), int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Errorf("put: %v", err)
				}
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	wantBytes(t, f.Store, object.Sum(object.BLAKE3, shared), shared)
	wantListed(t, f.Store, object.BLAKE3, 7)
}

// abort: what was put before is there or not, but never half.
func abort(t *testing.T, f Fixture) {
	b := Bytes(3, 5000)
	d := object.Sum(object.MD5, b)
	w := begin(t, f.Store)
	if err := w.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatalf("put: %v", err)
	}
	w.Abort()
	w.Abort()
	if got, err := Get(t.Context(), f.Store, d); err == nil {
		if !bytes.Equal(got, b) {
			t.Errorf("half an object is visible after abort")
		}
	} else {
		wantKind(t, "open after abort", err, errs.NotFound)
	}
	Put(t, f.Store, object.MD5, b)
	wantBytes(t, f.Store, d, b)
}

func cancelled(t *testing.T, f Fixture) {
	b := Bytes(4, 5000)
	ds := Put(t, f.Store, object.MD5, b)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := f.Store.Begin(ctx)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer w.Abort()
	cancel()
	other := Bytes(5, 9<<20)
	if err := w.Put(ctx, object.Sum(object.MD5, other), int64(len(other)), bytes.NewReader(other)); err == nil {
		t.Error("put with an ended context succeeds")
	}
	w.Abort()
	for _, err := range f.Store.List(ctx, object.MD5) {
		if err == nil || errs.Is(err, errs.Unsupported) {
			continue // what was under way may still come
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("list with an ended context: %v", err)
		}
	}
	wantAbsent(t, f.Store, object.Sum(object.MD5, other))
	wantBytes(t, f.Store, ds[0], b)
}

func cancelledWhilePut(t *testing.T, f Fixture) {
	b := Bytes(6, 20<<20)
	d := object.Sum(object.BLAKE3, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := f.Store.Begin(ctx)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer w.Abort()
	half := io.MultiReader(bytes.NewReader(b[:17<<20]), readFunc(func(p []byte) (int, error) {
		cancel()
		return bytes.NewReader(b[17<<20:]).Read(p[:1])
	}))
	err = w.Put(ctx, d, int64(len(b)), half)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("put, cancelled: got %v, want context.Canceled", err)
	}
	w.Abort()
	wantAbsent(t, f.Store, d)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// damaged: wrong bytes are noticed before the reader ends, whatever is wrong
// with them and wherever.
func damaged(t *testing.T, f Fixture) {
	if f.Damage == nil {
		return // nothing to look at
	}
	for _, n := range []int{10, 5000, 9 << 20} {
		for name, change := range map[string]func([]byte) []byte{
			"first bit":  func(b []byte) []byte { b[0] ^= 1; return b },
			"middle bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"last bit":   func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
			"cut":        func(b []byte) []byte { return b[:len(b)-1] },
			"emptied":    func(b []byte) []byte { return nil },
			"longer":     func(b []byte) []byte { return append(b, 0) },
			"login page": func(b []byte) []byte { return []byte("<html>please log in</html>") },
		} {
			if testing.Short() && n > 1<<20 && name != "middle bit" && name != "cut" {
				continue
			}
			b := Bytes(uint64(n), n)
			for _, dir := range []bool{false, true} {
				if testing.Short() && n > 1<<20 && dir {
					continue
				}
				d := object.Sum(object.MD5, b)
				if dir {
					d = d.AsDir()
				}
				w := begin(t, f.Store)
				if err := w.Put(t.Context(), d, int64(n), bytes.NewReader(b)); err != nil {
					t.Fatalf("put: %v", err)
				}
				if err := w.Commit(t.Context()); err != nil {
					t.Fatalf("commit: %v", err)
				}
				f.Damage(t, d, change)
				_, err := Get(t.Context(), f.Store, d)
				wantKind(t, "read damaged object, "+name, err, errs.Corrupt)
				if err := f.Store.Delete(t.Context(), []object.Digest{d}); err != nil {
					t.Fatalf("delete: %v", err)
				}
			}
		}
	}
}

func noDigest(t *testing.T, f Fixture) {
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("the zero digest panics: %v", p)
		}
	}()
	if _, err := Get(t.Context(), f.Store, object.Digest{}); err == nil {
		t.Error("no digest opens")
	}
	w := begin(t, f.Store)
	if err := w.Put(t.Context(), object.Digest{}, 0, bytes.NewReader(nil)); err == nil {
		t.Error("no digest is stored")
	}
	w.Abort()
	if has, err := f.Store.Has(t.Context(), []object.Digest{{}}); err == nil && len(has) != 0 {
		t.Errorf("has no digest: %v", has)
	}
}

func properties(t *testing.T, f Fixture) {
	p := f.Store.Properties()
	if p.Concurrency < 1 || p.ListPrice < 0 {
		t.Errorf("properties %+v", p)
	}
	if p.Local && !p.CheapStat {
		t.Errorf("a local store without cheap stats: %+v", p)
	}
}
