// Package probe checks that a remote.Backend keeps the promises of its
// interface. The checks are those that each driver's tests run
// (remotetest.Run), and those that a user runs against a remote of their own
// with [Run]: it works below a scratch prefix, tells what is wrong in words,
// and leaves nothing behind.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/remote"
)

// T is what a check reports to. A *testing.T is one. Fatalf and Skip end the
// check; Errorf may be called from several goroutines.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// Check is one promise of a backend.
type Check struct {
	Name string
	run  func(T, remote.Backend)
}

// Run checks b, which must be empty, and the check's own while it runs.
func (c Check) Run(t T, b remote.Backend) { c.run(t, b) }

// Checks are all that every backend must pass.
func Checks() []Check {
	return []Check{
		{"values", values},
		{"missing", missing},
		{"range", ranges},
		{"replace", replace},
		{"wrong length", wrongLength},
		{"broken source", brokenSource},
		{"interrupted", interrupted},
		{"no seek needed", noSeek},
		{"parts", parts},
		{"parts aborted", partsAborted},
		{"list", lists},
		{"list long", listLong},
		{"delete", deletes},
		{"concurrent", concurrent},
		{"many requests", manyRequests},
		{"odd keys", oddKeys},
		{"refused keys", refusedKeys},
		{"describe", describes},
	}
}

// VersionCheck is one promise of the remote.Versioned side of a backend.
type VersionCheck struct {
	Name string
	run  func(T, remote.Backend, remote.Versioned)
}

// Run checks b, which must be empty, in a place that keeps every version.
func (c VersionCheck) Run(t T, b remote.Backend) {
	t.Helper()
	v, ok := remote.As[remote.Versioned](b)
	if !ok {
		t.Fatalf("the backend knows no versions")
	}
	c.run(t, b, v)
}

// VersionChecks are what every backend that knows versions must pass.
func VersionChecks() []VersionCheck {
	return []VersionCheck{{"versions", versions}, {"list versions", listVersions}, {"gone versions", goneVersions}}
}

// Bytes are n random bytes, the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// brief reports whether whoever asks would rather have less moved: the line
// is theirs.
func brief(t T) bool {
	b, ok := t.(interface{ Brief() bool })
	return ok && b.Brief()
}

// pick is all, or few if that is enough.
func pick[V any](t T, all, few V) V {
	if brief(t) {
		return few
	}
	return all
}

// errReader is a source that breaks.
type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func put(t T, b remote.Backend, key string, v []byte) {
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

func want(t T, b remote.Backend, key string, v []byte) {
	t.Helper()
	got, size, err := get(t.Context(), b, key, 0, -1)
	if err != nil || size != int64(len(v)) || !bytes.Equal(got, v) {
		t.Errorf("open %q: got %d bytes of %d, %v, want %d", key, len(got), size, err, len(v))
	}
	if n, err := b.Stat(t.Context(), key); err != nil || n != int64(len(v)) {
		t.Errorf("stat %q: got %d, %v, want %d", key, n, err, len(v))
	}
}

func wantMissing(t T, b remote.Backend, key string) {
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
func canList(t T, b remote.Backend) bool {
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
	t.Errorf("list, without that ability, says that there is nothing")
	return false
}

func needList(t T, b remote.Backend) {
	t.Helper()
	if !canList(t, b) {
		t.Skip("the backend cannot list")
	}
}

// wantKeys checks how many keys there are, if the backend can tell.
func wantKeys(t T, b remote.Backend, prefix string, n int) {
	t.Helper()
	if !canList(t, b) {
		return
	}
	if got := keys(t, b, prefix); len(got) != n {
		t.Errorf("list %q: got %q, want %d keys", prefix, got, n)
	}
}

func keys(t T, b remote.Backend, prefix string) []string {
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

func values(t T, b remote.Backend) {
	for _, n := range pick(t, []int{0, 1, 100, 64 << 10, 5<<20 + 3}, []int{0, 1, 64 << 10}) {
		key := fmt.Sprintf("files/md5/aa/%d", n)
		v := Bytes(uint64(n), n)
		put(t, b, key, v)
		want(t, b, key, v)
	}
}

func oddKeys(t T, b remote.Backend) {
	odd := []string{"a b", "plus+sign", "per%20cent", "100%", "qu\"ote", "apo'strophe", "amp&and", "lt<gt>", "hash#tag", "que?ry=1",
		"semi;colon", "com,ma", "at@", "dollar$", "é/ü/日本", "tilde~", "caret^", "pipe|", "brace{}", "star*", "...", "-dash", "a.dir", "A", "__x"}
	for i, k := range odd {
		put(t, b, "odd/"+k, Bytes(uint64(i), i+1))
	}
	for i, k := range odd {
		want(t, b, "odd/"+k, Bytes(uint64(i), i+1))
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

func refusedKeys(t T, b remote.Backend) {
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

func missing(t T, b remote.Backend) {
	wantMissing(t, b, "files/md5/aa/bb")
	put(t, b, "files/md5/aa/bb", []byte("x"))
	wantMissing(t, b, "files/md5/aa/b")
	wantMissing(t, b, "files/md5/aa")
	wantMissing(t, b, "files/md5/aa/bb/cc")
}

func ranges(t T, b remote.Backend) {
	v := Bytes(1, 10_000)
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

func replace(t T, b remote.Backend) {
	for _, v := range [][]byte{[]byte("first, longer"), []byte("second"), {}, []byte("third")} {
		put(t, b, "k", v)
		want(t, b, "k", v)
	}
}

func wrongLength(t T, b remote.Backend) {
	put(t, b, "old", []byte("old"))
	for _, n := range pick(t, []int{10, 100_000, 9 << 20}, []int{10, 5000}) {
		v := Bytes(2, n)
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

func brokenSource(t T, b remote.Backend) {
	put(t, b, "old", []byte("old"))
	boom := errs.New(errs.Corrupt, "the source broke")
	for _, n := range pick(t, []int{10, 9 << 20}, []int{5000}) {
		for _, k := range []string{"new", "old"} {
			src := io.MultiReader(bytes.NewReader(make([]byte, n-1)), errReader{boom})
			if err := b.Put(t.Context(), k, int64(n), src); !errors.Is(err, boom) {
				t.Errorf("put from a broken source: got %v, want its error", err)
			}
		}
	}
	wantMissing(t, b, "new")
	want(t, b, "old", []byte("old"))
}

func lists(t T, b remote.Backend) {
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
func listLong(t T, b remote.Backend) {
	n := pick(t, 1203, 40)
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

func deletes(t T, b remote.Backend) {
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
func concurrent(t T, b remote.Backend) {
	size := pick(t, 200_000, 20_000)
	value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, size) }
	put(t, b, "k", value(0))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 3 {
				if err := b.Put(t.Context(), "k", int64(size), bytes.NewReader(value(i))); err != nil {
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

func interrupted(t T, b remote.Backend) {
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
	n := pick(t, 12<<20, 100_000)
	v := make([]byte, n)
	src := io.MultiReader(bytes.NewReader(v[:n-2000]), readFunc(func(p []byte) (int, error) { cancel(); return 1, nil }))
	if err := b.Put(ctx, "new", int64(len(v)), src); err == nil {
		t.Errorf("an interrupted put succeeds")
	}
	wantMissing(t, b, "new")
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func beginParts(t T, b remote.Backend, key string) (remote.Parts, int) {
	t.Helper()
	p := b.Properties()
	if p.PartSize == 0 {
		t.Skip("the backend takes no parts")
	}
	pp, ok := remote.As[remote.PartPutter](b)
	if !ok {
		t.Fatalf("the backend has a part size and takes no parts")
	}
	parts, err := pp.BeginParts(t.Context(), key)
	if err != nil {
		t.Fatalf("begin parts: %v", err)
	}
	return parts, int(max(p.PartSize, 5<<20))
}

func parts(t T, b remote.Backend) {
	p, size := beginParts(t, b, "k")
	n := pick(t, 3, 2)
	v := Bytes(1, (n-1)*size+100)
	for k, i := range pick(t, []int{2, 0, 1, 0}, []int{1, 0}) { // any order, one twice
		part := v[i*size : min((i+1)*size, len(v))]
		if k == 1 && !brief(t) {
			part = make([]byte, size) // the later call counts
		}
		if err := p.Put(t.Context(), i, part); err != nil {
			t.Fatalf("put part: %v", err)
		}
	}
	wantMissing(t, b, "k")
	if err := p.Complete(t.Context(), n, int64(len(v))); err != nil {
		t.Fatalf("complete: %v", err)
	}
	want(t, b, "k", v)
}

func partsAborted(t T, b remote.Backend) {
	p, size := beginParts(t, b, "k")
	if err := p.Put(t.Context(), 0, make([]byte, pick(t, size, 100))); err != nil {
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
func manyRequests(t T, b remote.Backend) {
	n := b.Properties().Concurrency
	if n < 1 {
		t.Fatalf("concurrency %d", n)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			k, v := fmt.Sprintf("c/%d", i), Bytes(uint64(i), 1000)
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

func noSeek(t T, b remote.Backend) {
	for _, n := range pick(t, []int{0, 1, 5000, 8 << 20, 20<<20 + 1}, []int{0, 5000}) {
		v := Bytes(uint64(n), n)
		if err := b.Put(t.Context(), "k", int64(n), io.MultiReader(bytes.NewReader(v))); err != nil {
			t.Fatalf("put a stream of %d bytes: %v", n, err)
		}
		want(t, b, "k", v)
	}
}

// describes: who can tell more of a value than its length tells it of each, and
// something else when the value is another.
func describes(t T, b remote.Backend) {
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

func putVersion(t T, v remote.Versioned, key string, value []byte) remote.Entry {
	t.Helper()
	e, err := v.PutVersion(t.Context(), key, int64(len(value)), bytes.NewReader(value))
	if err != nil || e.Meta.VersionID == "" || e.Meta.ETag == "" || e.Size != int64(len(value)) || e.Key != key {
		t.Fatalf("put %q: got %+v, %v", key, e, err)
	}
	return e
}

func versions(t T, b remote.Backend, v remote.Versioned) {
	values := [][]byte{[]byte("first, the longest"), {}, []byte("third"), Bytes(1, 9<<20), []byte("last")}
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
		t.Errorf("a versioned backend describes nothing")
	} else if e, err := d.Describe(t.Context(), "a/k"); err != nil || e.Meta.VersionID != last.Meta.VersionID || e.Meta.ETag != last.Meta.ETag {
		t.Errorf("describe: got %+v, %v, want the last version %+v", e, err, last)
	}
	want(t, b, "a/k", values[len(values)-1])
}

func listVersions(t T, b remote.Backend, v remote.Versioned) {
	latest := map[string]remote.Entry{}
	for round := range 3 {
		for i := range 4 {
			k := fmt.Sprintf("a/%d", i)
			latest[k] = putVersion(t, v, k, Bytes(uint64(round), 10*round+i))
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

func goneVersions(t T, b remote.Backend, v remote.Versioned) {
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
