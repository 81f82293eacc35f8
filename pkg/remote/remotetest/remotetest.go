// Package remotetest checks that a remote.Backend keeps the promises of its
// interface, and has a backend in memory and one that fails on demand. A
// driver's own test is a few lines that open it on a server in the process.
package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
)

// Run tests the backends that open makes, each fresh and empty, in a subtest
// of its own.
func Run(t *testing.T, open func(t *testing.T) remote.Backend) {
	for name, test := range map[string]func(*testing.T, remote.Backend){
		"values":         values,
		"odd keys":       oddKeys,
		"refused keys":   refusedKeys,
		"missing":        missing,
		"range":          ranges,
		"replace":        replace,
		"wrong length":   wrongLength,
		"broken source":  brokenSource,
		"list":           lists,
		"list long":      listLong,
		"delete":         deletes,
		"concurrent":     concurrent,
		"interrupted":    interrupted,
		"parts":          parts,
		"parts aborted":  partsAborted,
		"many requests":  manyRequests,
		"no seek needed": noSeek,
		"describe":       describes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			defer func() {
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			test(t, b)
		})
	}
}

func put(t *testing.T, b remote.Backend, key string, v []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, int64(len(v)), bytes.NewReader(v)); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func get(ctx context.Context, b remote.Backend, key string, off, n int64) ([]byte, int64, error) {
	r, size, err := b.Open(ctx, key, off, n)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	v, err := io.ReadAll(r)
	return v, size, err
}

func want(t *testing.T, b remote.Backend, key string, v []byte) {
	t.Helper()
	got, size, err := get(t.Context(), b, key, 0, -1)
	if err != nil || size != int64(len(v)) || !bytes.Equal(got, v) {
		t.Errorf("open %q: got %d bytes of %d, %v, want %d", key, len(got), size, err, len(v))
	}
	if n, err := b.Stat(t.Context(), key); err != nil || n != int64(len(v)) {
		t.Errorf("stat %q: got %d, %v, want %d", key, n, err, len(v))
	}
}

func wantMissing(t *testing.T, b remote.Backend, key string) {
	t.Helper()
	if _, err := b.Stat(t.Context(), key); !errs.Is(err, errs.NotFound) {
		t.Errorf("stat missing %q: %v", key, err)
	}
	for _, n := range []int64{-1, 0, 5} {
		if _, _, err := get(t.Context(), b, key, 0, n); !errs.Is(err, errs.NotFound) {
			t.Errorf("open missing %q: %v", key, err)
		}
	}
}

// canList is whether a backend lists; one that says it does not must refuse,
// and not claim that there is nothing.
func canList(t *testing.T, b remote.Backend) bool {
	t.Helper()
	if b.Properties().ListPrice > 0 {
		return true
	}
	for e, err := range b.List(t.Context(), "") {
		if !errs.Is(err, errs.Unsupported) {
			t.Errorf("list, without that ability: got %v, %v, want Unsupported", e, err)
		}
		return false
	}
	t.Error("list, without that ability, says that there is nothing")
	return false
}

func needList(t *testing.T, b remote.Backend) {
	t.Helper()
	if !canList(t, b) {
		t.Skip("the backend cannot list")
	}
}

// wantKeys checks how many keys there are, if the backend can tell.
func wantKeys(t *testing.T, b remote.Backend, prefix string, n int) {
	t.Helper()
	if !canList(t, b) {
		return
	}
	if got := keys(t, b, prefix); len(got) != n {
		t.Errorf("list %q: got %q, want %d keys", prefix, got, n)
	}
}

func keys(t *testing.T, b remote.Backend, prefix string) []string {
	t.Helper()
	var got []string
	for e, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		got = append(got, fmt.Sprintf("%s=%d", e.Key, e.Size))
	}
	slices.Sort(got)
	return got
}

func values(t *testing.T, b remote.Backend) {
	for _, n := range []int{0, 1, 100, 64 << 10, 5<<20 + 3} {
		key := fmt.Sprintf("files/md5/aa/%d", n)
		v := objecttest.Bytes(uint64(n), n)
		put(t, b, key, v)
		want(t, b, key, v)
	}
}

func oddKeys(t *testing.T, b remote.Backend) {
	odd := []string{"a b", "plus+sign", "per%20cent", "100%", "qu\"ote", "apo'strophe", "amp&and", "lt<gt>", "hash#tag", "que?ry=1",
		"semi;colon", "com,ma", "at@", "dollar$", "é/ü/日本", "tilde~", "caret^", "pipe|", "brace{}", "star*", "...", "-dash", "a.dir", "A", "__x"}
	for i, k := range odd {
		put(t, b, "odd/"+k, objecttest.Bytes(uint64(i), i+1))
	}
	for i, k := range odd {
		want(t, b, "odd/"+k, objecttest.Bytes(uint64(i), i+1))
	}
	wantKeys(t, b, "odd/", len(odd))
	all := make([]string, len(odd))
	for i, k := range odd {
		all[i] = "odd/" + k
	}
	if err := b.Delete(t.Context(), all); err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, k := range all {
		wantMissing(t, b, k)
	}
	wantKeys(t, b, "", 0)
}

func refusedKeys(t *testing.T, b remote.Backend) {
	for _, k := range []string{"", "/abs", "a//b", "../up", "a/../../b", "a/.", "a\nb", "nul\x00", "a\\b", "bad\xffutf8", "dir/"} {
		if err := b.Put(t.Context(), k, 1, strings.NewReader("x")); !errs.Is(err, errs.Invalid) {
			t.Errorf("put %q: got %v, want Invalid", k, err)
		}
		if _, err := b.Stat(t.Context(), k); err == nil {
			t.Errorf("stat %q succeeds", k)
		}
	}
	wantKeys(t, b, "", 0)
}

func missing(t *testing.T, b remote.Backend) {
	wantMissing(t, b, "files/md5/aa/bb")
	put(t, b, "files/md5/aa/bb", []byte("x"))
	wantMissing(t, b, "files/md5/aa/b")
	wantMissing(t, b, "files/md5/aa")
	wantMissing(t, b, "files/md5/aa/bb/cc")
}

func ranges(t *testing.T, b remote.Backend) {
	v := objecttest.Bytes(1, 10_000)
	put(t, b, "k", v)
	put(t, b, "empty", nil)
	for _, c := range []struct{ off, n, lo, hi int64 }{
		{0, -1, 0, 10000}, {1, -1, 1, 10000}, {9999, -1, 9999, 10000}, {0, 1, 0, 1}, {5000, 100, 5000, 5100},
		{9990, 100, 9990, 10000}, {0, 0, 0, 0}, {10000, -1, 0, 0}, {10000, 5, 0, 0}, {20000, -1, 0, 0}, {0, 1 << 40, 0, 10000},
	} {
		got, size, err := get(t.Context(), b, "k", c.off, c.n)
		if err != nil || size != int64(len(v)) || !bytes.Equal(got, v[c.lo:c.hi]) {
			t.Errorf("open at %d, %d bytes: got %d bytes of %d, %v, want %d of %d", c.off, c.n, len(got), size, err, c.hi-c.lo, len(v))
		}
	}
	for _, c := range [][2]int64{{0, -1}, {0, 0}, {0, 5}, {5, -1}} {
		if got, size, err := get(t.Context(), b, "empty", c[0], c[1]); err != nil || size != 0 || len(got) != 0 {
			t.Errorf("open empty value at %d, %d bytes: got %d bytes of %d, %v", c[0], c[1], len(got), size, err)
		}
	}
}

func replace(t *testing.T, b remote.Backend) {
	for _, v := range [][]byte{[]byte("first, longer"), []byte("second"), {}, []byte("third")} {
		put(t, b, "k", v)
		want(t, b, "k", v)
	}
}

func wrongLength(t *testing.T, b remote.Backend) {
	put(t, b, "old", []byte("old"))
	for _, n := range []int{10, 100_000, 9 << 20} {
		v := objecttest.Bytes(2, n)
		for _, size := range []int64{int64(n) - 1, int64(n) + 1, 0} {
			for _, k := range []string{"new", "old"} {
				if err := b.Put(t.Context(), k, size, bytes.NewReader(v)); err == nil {
					t.Errorf("put of %d bytes as %d succeeds", n, size)
				}
				if err := b.Put(t.Context(), k, size, io.MultiReader(bytes.NewReader(v))); err == nil {
					t.Errorf("put of a stream of %d bytes as %d succeeds", n, size)
				}
			}
		}
	}
	wantMissing(t, b, "new")
	want(t, b, "old", []byte("old"))
}

func brokenSource(t *testing.T, b remote.Backend) {
	put(t, b, "old", []byte("old"))
	boom := errs.New(errs.Corrupt, "the source broke")
	for _, n := range []int{10, 9 << 20} {
		for _, k := range []string{"new", "old"} {
			src := io.MultiReader(bytes.NewReader(make([]byte, n-1)), iotest.ErrReader(boom))
			if err := b.Put(t.Context(), k, int64(n), src); !errors.Is(err, boom) {
				t.Errorf("put from a broken source: got %v, want its error", err)
			}
		}
	}
	wantMissing(t, b, "new")
	want(t, b, "old", []byte("old"))
}

func lists(t *testing.T, b remote.Backend) {
	needList(t, b)
	if got := keys(t, b, ""); len(got) != 0 {
		t.Errorf("an empty backend lists %q", got)
	}
	for _, k := range []string{"files/md5/00/0a", "files/md5/00/1b", "files/md5/01/0c", "files/blake3/00/0d", "00/0e", "files2"} {
		put(t, b, k, []byte(k))
	}
	for prefix, want := range map[string]int{"": 6, "files/": 4, "files/md5/": 3, "files/md5/00/": 2, "files/md5/00/0": 1, "files/md5/0": 3,
		"00/": 1, "files": 5, "nothing/": 0, "files/md5/00/0a": 1, "files/md5/00/0ab": 0, "files/md": 3} {
		if got := keys(t, b, prefix); len(got) != want {
			t.Errorf("list %q: got %q, want %d keys", prefix, got, want)
		}
	}
	if got := keys(t, b, "files2"); len(got) != 1 || got[0] != "files2=6" {
		t.Errorf("list of one: got %q", got)
	}
	n := 0
	for range b.List(t.Context(), "") {
		if n++; n == 2 {
			break
		}
	}
}

// listLong needs several pages of a server.
func listLong(t *testing.T, b remote.Backend) {
	const n = 1203
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := b.Put(t.Context(), fmt.Sprintf("l/%04d", i), 1, strings.NewReader("x")); err != nil {
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if canList(t, b) {
		if got := keys(t, b, "l/"); len(slices.Compact(got)) != n {
			t.Errorf("list: got %d keys, want %d", len(got), n)
		}
	}
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("l/%04d", i)
	}
	if err := b.Delete(t.Context(), all); err != nil {
		t.Errorf("delete %d keys: %v", n, err)
	}
	wantMissing(t, b, all[n/2])
	wantKeys(t, b, "", 0)
}

func deletes(t *testing.T, b remote.Backend) {
	put(t, b, "a/b", []byte("1"))
	put(t, b, "a/c", []byte("2"))
	if err := b.Delete(t.Context(), []string{"a/b", "never"}); err != nil {
		t.Errorf("delete: %v", err)
	}
	wantMissing(t, b, "a/b")
	want(t, b, "a/c", []byte("2"))
	for _, ks := range [][]string{nil, {"never"}, {"a/b"}} {
		if err := b.Delete(t.Context(), ks); err != nil {
			t.Errorf("delete absent %q: %v", ks, err)
		}
	}
}

// concurrent: writers of one key leave the value of one of them, and a reader
// meets no mixture.
func concurrent(t *testing.T, b remote.Backend) {
	const size = 200_000
	value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, size) }
	put(t, b, "k", value(0))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 3 {
				if err := b.Put(t.Context(), "k", size, bytes.NewReader(value(i))); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 3 {
				v, _, err := get(t.Context(), b, "k", 0, -1)
				if b.Properties().ReplaceGap && errs.Is(err, errs.NotFound) {
					continue
				}
				if err != nil || len(v) != size || bytes.Count(v, v[:1]) != size {
					t.Errorf("a reader met %d bytes, %v", len(v), err)
				}
			}
		})
	}
	wg.Wait()
}

func interrupted(t *testing.T, b remote.Backend) {
	put(t, b, "old", []byte("old"))
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := b.Open(ctx, "old", 0, -1)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	cancel()
	_, _ = io.ReadAll(r) // must end
	r.Close()
	ended := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: got %v, want context.Canceled", what, err)
		}
	}
	_, err = b.Stat(ctx, "old")
	ended("stat", err)
	_, _, err = get(ctx, b, "old", 0, -1)
	ended("open", err)
	ended("put", b.Put(ctx, "new", 3, strings.NewReader("new")))
	ended("delete", b.Delete(ctx, []string{"old", "x"}))
	if b.Properties().ListPrice > 0 {
		for _, err := range b.List(ctx, "") {
			ended("list", err)
		}
	}
	wantMissing(t, b, "new")
	want(t, b, "old", []byte("old"))

	// In the middle of an upload.
	ctx, cancel = context.WithCancel(t.Context())
	v := make([]byte, 12<<20)
	src := io.MultiReader(bytes.NewReader(v[:10<<20]), readFunc(func(p []byte) (int, error) { cancel(); return 1, nil }))
	if err := b.Put(ctx, "new", int64(len(v)), src); err == nil {
		t.Error("an interrupted put succeeds")
	}
	wantMissing(t, b, "new")
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func beginParts(t *testing.T, b remote.Backend, key string) (remote.Parts, int) {
	t.Helper()
	p := b.Properties()
	if p.PartSize == 0 {
		t.Skip("the backend takes no parts")
	}
	pp, ok := remote.As[remote.PartPutter](b)
	if !ok {
		t.Fatal("the backend has a part size and takes no parts")
	}
	parts, err := pp.BeginParts(t.Context(), key)
	if err != nil {
		t.Fatalf("begin parts: %v", err)
	}
	return parts, int(max(p.PartSize, 5<<20))
}

func parts(t *testing.T, b remote.Backend) {
	p, size := beginParts(t, b, "k")
	v := objecttest.Bytes(1, 2*size+100)
	for _, i := range []int{2, 0, 1, 0} { // any order, one twice
		part := v[i*size : min((i+1)*size, len(v))]
		if i == 0 {
			// What counts is the later call.
			if err := p.Put(t.Context(), i, make([]byte, size)); err != nil {
				t.Fatalf("put part: %v", err)
			}
		}
		if err := p.Put(t.Context(), i, part); err != nil {
			t.Fatalf("put part: %v", err)
		}
	}
	wantMissing(t, b, "k")
	if err := p.Complete(t.Context(), 3, int64(len(v))); err != nil {
		t.Fatalf("complete: %v", err)
	}
	want(t, b, "k", v)
}

func partsAborted(t *testing.T, b remote.Backend) {
	p, size := beginParts(t, b, "k")
	if err := p.Put(t.Context(), 0, make([]byte, size)); err != nil {
		t.Fatalf("put part: %v", err)
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Errorf("abort: %v", err)
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Errorf("abort again: %v", err)
	}
	wantMissing(t, b, "k")
	wantKeys(t, b, "", 0)
}

// manyRequests uses as many at once as the backend says pay.
func manyRequests(t *testing.T, b remote.Backend) {
	n := b.Properties().Concurrency
	if n < 1 {
		t.Fatalf("concurrency %d", n)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			k, v := fmt.Sprintf("c/%d", i), objecttest.Bytes(uint64(i), 1000)
			if err := b.Put(t.Context(), k, 1000, bytes.NewReader(v)); err != nil {
				t.Errorf("put: %v", err)
			}
			if got, _, err := get(t.Context(), b, k, 0, -1); err != nil || !bytes.Equal(got, v) {
				t.Errorf("get: %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

func noSeek(t *testing.T, b remote.Backend) {
	for _, n := range []int{0, 1, 5000, 8 << 20, 20<<20 + 1} {
		v := objecttest.Bytes(uint64(n), n)
		if err := b.Put(t.Context(), "k", int64(n), io.MultiReader(bytes.NewReader(v))); err != nil {
			t.Fatalf("put a stream of %d bytes: %v", n, err)
		}
		want(t, b, "k", v)
	}
}

// describes: who can tell more of a value than its length tells it of each, and
// something else when the value is another.
func describes(t *testing.T, b remote.Backend) {
	d, ok := remote.As[remote.Describer](b)
	if !ok {
		return
	}
	seen, onlyTime := map[string]bool{}, false
	for _, v := range []string{"first", "other"} {
		put(t, b, "a/k", []byte(v))
		e, err := d.Describe(t.Context(), "a/k")
		again, aerr := d.Describe(t.Context(), "a/k")
		switch {
		case err != nil || aerr != nil:
			t.Fatalf("describe: %v, %v", err, aerr)
		case e.Key != "a/k" || e.Size != 5:
			t.Errorf("describe: got %q of %d bytes", e.Key, e.Size)
		case e.Meta != again.Meta:
			t.Errorf("describe: %+v, then %+v", e.Meta, again.Meta)
		}
		onlyTime = e.Meta.ETag+e.Meta.Checksum == "" // perhaps in whole seconds
		seen[e.Meta.ETag+"|"+e.Meta.Checksum+"|"+e.Meta.ModTime.String()] = true
		for l, err := range b.List(t.Context(), "a/") {
			if b.Properties().ListPrice == 0 {
				break
			}
			if err != nil || l.Meta.ETag != "" && l.Meta.ETag != e.Meta.ETag {
				t.Errorf("list: %+v, %v, want the ETag %q", l, err, e.Meta.ETag)
			}
		}
	}
	if len(seen) != 2 && !onlyTime {
		t.Errorf("two values are described alike: %v", seen)
	}
	for _, k := range []string{"a/missing", "a"} {
		if _, err := d.Describe(t.Context(), k); !errs.Is(err, errs.NotFound) {
			t.Errorf("describe missing %q: %v", k, err)
		}
	}
}

// RunVersions tests the [remote.Versioned] side of the backends that open makes,
// each fresh and empty, in a place that keeps every version.
func RunVersions(t *testing.T, open func(t *testing.T) remote.Backend) {
	for name, test := range map[string]func(*testing.T, remote.Backend, remote.Versioned){
		"versions":      versions,
		"list versions": listVersions,
		"gone versions": goneVersions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			defer b.Close()
			v, ok := remote.As[remote.Versioned](b)
			if !ok {
				t.Fatal("the backend knows no versions")
			}
			test(t, b, v)
		})
	}
}

func putVersion(t *testing.T, v remote.Versioned, key string, value []byte) remote.Entry {
	t.Helper()
	e, err := v.PutVersion(t.Context(), key, int64(len(value)), bytes.NewReader(value))
	if err != nil || e.Meta.VersionID == "" || e.Meta.ETag == "" || e.Size != int64(len(value)) || e.Key != key {
		t.Fatalf("put %q: got %+v, %v", key, e, err)
	}
	return e
}

func versions(t *testing.T, b remote.Backend, v remote.Versioned) {
	values := [][]byte{[]byte("first, the longest"), {}, []byte("third"), objecttest.Bytes(1, 9<<20), []byte("last")}
	var made []remote.Entry
	for _, value := range values {
		made = append(made, putVersion(t, v, "a/k", value))
	}
	for i, e := range made {
		id := e.Meta.VersionID
		for _, lo := range []int{0, len(values[i]) / 2} {
			r, size, err := v.OpenVersion(t.Context(), "a/k", id, int64(lo), -1)
			if err != nil {
				t.Fatalf("open version %d: %v", i, err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || size != int64(len(values[i])) || !bytes.Equal(got, values[i][lo:]) {
				t.Errorf("open version %d from %d: got %d bytes of %d, %v", i, lo, len(got), size, err)
			}
		}
		d, err := v.DescribeVersion(t.Context(), "a/k", id)
		if err != nil || d.Size != e.Size || d.Meta.VersionID != id || d.Meta.ETag != e.Meta.ETag {
			t.Errorf("describe version %d: got %+v, %v, want %+v", i, d, err, e)
		}
	}
	last := made[len(made)-1]
	if d, ok := remote.As[remote.Describer](b); !ok {
		t.Error("a versioned backend describes nothing")
	} else if e, err := d.Describe(t.Context(), "a/k"); err != nil || e.Meta.VersionID != last.Meta.VersionID || e.Meta.ETag != last.Meta.ETag {
		t.Errorf("describe: got %+v, %v, want the last version %+v", e, err, last)
	}
	want(t, b, "a/k", values[len(values)-1])
}

func listVersions(t *testing.T, b remote.Backend, v remote.Versioned) {
	latest := map[string]remote.Entry{}
	for round := range 3 {
		for i := range 4 {
			k := fmt.Sprintf("a/%d", i)
			latest[k] = putVersion(t, v, k, objecttest.Bytes(uint64(round), 10*round+i))
		}
	}
	putVersion(t, v, "b", []byte("elsewhere"))
	if err := b.Delete(t.Context(), []string{"a/2"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	delete(latest, "a/2")
	for e, err := range v.ListVersions(t.Context(), "a/") {
		want := latest[e.Key]
		if err != nil || want.Key == "" || e.Size != want.Size || e.Meta.VersionID != want.Meta.VersionID || e.Meta.ETag != want.Meta.ETag {
			t.Errorf("list versions: got %+v, %v, want %+v", e, err, want)
		}
		delete(latest, e.Key)
	}
	if len(latest) > 0 {
		t.Errorf("list versions lacks %v", latest)
	}
}

func goneVersions(t *testing.T, b remote.Backend, v remote.Versioned) {
	e := putVersion(t, v, "a/k", []byte("value"))
	if err := b.Delete(t.Context(), []string{"a/k"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	wantMissing(t, b, "a/k")
	if r, _, err := v.OpenVersion(t.Context(), "a/k", e.Meta.VersionID, 0, -1); err != nil {
		t.Errorf("a version under a deletion: %v", err)
	} else {
		r.Close()
	}
	for _, c := range [][2]string{{"a/k", e.Meta.VersionID + "x"}, {"a/other", e.Meta.VersionID}, {"a/k", "0"}} {
		if _, err := v.DescribeVersion(t.Context(), c[0], c[1]); !errs.Is(err, errs.NotFound) {
			t.Errorf("describe version %q of %q: %v", c[1], c[0], err)
		}
		if _, _, err := v.OpenVersion(t.Context(), c[0], c[1], 0, -1); !errs.Is(err, errs.NotFound) {
			t.Errorf("open version %q of %q: %v", c[1], c[0], err)
		}
	}
}
