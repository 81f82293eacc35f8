package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

func scratchDir(t testing.TB) *disk.Dir {
	t.Helper()
	d, err := disk.OpenDir(disktest.Scratch(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// layout is a file by its runs of bytes; what lies between them is holes.
type layout struct {
	size int64
	data [][2]int64
}

// layouts are sparse files, and sizes about the borders of pieces.
func layouts() map[string]layout {
	const p = pieceSize
	all := map[string]layout{
		"one hole":           {3*p + 5, nil},
		"hole first":         {4 * p, [][2]int64{{3 * p, 4 * p}}},
		"hole last":          {4*p + 1, [][2]int64{{0, 8192}}},
		"hole in a piece":    {2 * p, [][2]int64{{0, 64 << 10}, {128 << 10, 2 * p}}},
		"hole across pieces": {6 * p, [][2]int64{{0, p - 8192}, {2*p + 8192, 6 * p}}},
		"a byte here, there": {9*p + 3, [][2]int64{{p + 100, p + 101}, {5*p - 1, 5*p + 1}, {9*p + 2, 9*p + 3}}},
	}
	for _, size := range []int64{0, 1, p - 1, p, p + 1, 2*p - 1, 2 * p, 2*p + 1, 4*p - 1, 4 * p, 4*p + 1, 7*p + 1023, 8*p + 1024, 8*p + 1025, 16*p + 1} {
		all[fmt.Sprint(size, " bytes")] = layout{size, [][2]int64{{0, size}}}
	}
	return all
}

// write makes the file and returns what it reads as.
func (l layout) write(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(l.size); err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, l.size)
	random := rand.NewChaCha8([32]byte{byte(l.size)})
	for _, d := range l.data {
		random.Read(whole[d[0]:d[1]])
		if _, err := f.WriteAt(whole[d[0]:d[1]], d[0]); err != nil {
			t.Fatal(err)
		}
	}
	return whole
}

// takes is how much of the disk a file has.
func takes(t testing.TB, dir *disk.Dir, name string) int64 {
	t.Helper()
	f, err := dir.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Allocated()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func open(t testing.TB, dir *disk.Dir, name string) *disk.File {
	t.Helper()
	f, err := dir.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A file is the same by each way through bulk, whatever its size and holes,
// and the copy has the holes of the original.
func TestBulk(t *testing.T) {
	t.Parallel()
	for name, l := range layouts() {
		for _, a := range object.Algorithms() {
			t.Run(name+" "+a.Name(), func(t *testing.T) {
				t.Parallel()
				dir := scratchDir(t)
				want := l.write(t, filepath.Join(dir.Path(), "src"))
				sum := object.Sum(a, want)
				src := open(t, dir, "src")
				var heard atomic.Int64
				tick := func(n int64) { heard.Add(n) }
				if d, err := hashFile(t.Context(), src, l.size, a, tick); err != nil || d != sum {
					t.Errorf("hash: %s, %v, want %s", d, err, sum)
				}
				if heard.Load() != l.size {
					t.Errorf("%d bytes were heard of, want %d", heard.Load(), l.size)
				}
				for _, afar := range []bool{false, true} {
					name := fmt.Sprint("dst", afar)
					dst, err := dir.Create(name, 0o644)
					if err != nil {
						t.Fatal(err)
					}
					d, err := copyVia(t.Context(), dst, src, l.size, a, afar)
					dst.Close()
					got, rerr := os.ReadFile(filepath.Join(dir.Path(), name))
					if err != nil || d != sum || rerr != nil || !bytes.Equal(got, want) {
						t.Fatalf("copy, afar %v: %s, %v, %d bytes, %v; want %s", afar, d, err, len(got), rerr, sum)
					}
					if have, had := takes(t, dir, name), takes(t, dir, "src"); have > had+4096 {
						t.Errorf("the copy takes %d bytes of the disk, the original %d", have, had)
					}
				}
				with := open(t, dir, "dstfalse")
				if d, same, err := compareFiles(t.Context(), src, with, l.size, a, nil); err != nil || !same || d != sum {
					t.Errorf("compare: %s, same %v, %v", d, same, err)
				}
				if l.size == 0 {
					return
				}
				for _, at := range []int64{0, l.size / 2, l.size - 1} {
					flip(t, filepath.Join(dir.Path(), "dstfalse"), at)
					if _, same, err := compareFiles(t.Context(), src, with, l.size, a, nil); err != nil || same {
						t.Errorf("compare with byte %d changed: same %v, %v", at, same, err)
					}
					flip(t, filepath.Join(dir.Path(), "dstfalse"), at)
				}
			})
		}
	}
}

// copyVia is copyFile, with the copying left to the kernel if afar.
func copyVia(ctx context.Context, dst, src *disk.File, size int64, a object.Algorithm, afar bool) (object.Digest, error) {
	b := &bulk{f: src, size: size, alg: a, to: dst}
	if !afar {
		return b.run(ctx)
	}
	if b.sparse = hasHoles(src, size); b.sparse {
		if err := dst.Truncate(size); err != nil {
			return object.Digest{}, err
		}
	}
	b.afar.Store(true)
	d, err := b.inOrder(ctx)
	if a.Splits() {
		d, err = b.sideBySide(ctx)
	}
	return d, errors.Join(err, b.unchanged())
}

func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// Sparse files stay sparse in the cache, in the workspace, and in another
// cache, also where the copy is of a proven object.
func TestSparseStaysSparse(t *testing.T) {
	t.Parallel()
	for name, l := range layouts() {
		if l.size <= smallFile {
			continue
		}
		for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
			t.Run(name+" "+a.Name(), func(t *testing.T) {
				t.Parallel()
				dir := scratchDir(t)
				want := l.write(t, filepath.Join(dir.Path(), "src"))
				had := takes(t, dir, "src")
				c := Open(filepath.Join(dir.Path(), "cache"), Options{Links: []LinkType{Copy}})
				defer c.Close()
				w, err := c.BeginAdd()
				if err != nil {
					t.Fatal(err)
				}
				added, err := w.AddFile(dir, "src", a, object.Digest{}, nil)
				if err == nil {
					err = w.Commit(t.Context())
				}
				if err != nil || added.Digest != object.Sum(a, want) {
					t.Fatalf("add: %s, %v", added.Digest, err)
				}
				at, name := filepath.Split(filepath.Join(c.Path(), filepath.FromSlash(added.Digest.Key())))
				shard, err := disk.OpenDir(at)
				if err != nil {
					t.Fatal(err)
				}
				defer shard.Close()
				if n := takes(t, shard, name); n > had+4096 {
					t.Errorf("the object takes %d bytes of the disk, the file %d", n, had)
				}
				staging := disk.NewStaging(dir)
				defer staging.Close()
				for _, out := range []string{"first", "proven"} {
					if out == "first" {
						c.proven.files = nil
					}
					if _, err := c.Checkout(t.Context(), added.Digest, Target{Dir: dir, Name: out}, staging, 0, nil); err != nil {
						t.Fatal(err)
					}
					if got, err := os.ReadFile(filepath.Join(dir.Path(), out)); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %d bytes, %v", out, len(got), err)
					}
					if n := takes(t, dir, out); n > had+4096 {
						t.Errorf("%s takes %d bytes of the disk, the original %d", out, n, had)
					}
					if ok, err := c.Verify(t.Context(), added.Digest); !ok || err != nil {
						t.Errorf("verify: %v, %v", ok, err)
					}
				}
				other := Open(filepath.Join(dir.Path(), "other"), Options{Links: []LinkType{Copy}})
				defer other.Close()
				ow, err := other.BeginAdd()
				if err != nil {
					t.Fatal(err)
				}
				if ok, err := ow.CopyFrom(t.Context(), c, added.Digest, l.size, nil); !ok || err != nil {
					t.Fatalf("copy to another cache: %v, %v", ok, err)
				}
				if err := ow.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				if ok, err := other.Verify(t.Context(), added.Digest); !ok || err != nil {
					t.Errorf("the other cache: %v, %v", ok, err)
				}
			})
		}
	}
}

// A damaged sparse object is found in its data and where its holes were.
func TestSparseObjectDamaged(t *testing.T) {
	t.Parallel()
	const size = 8 * pieceSize
	l := layout{size, [][2]int64{{2 * pieceSize, 3 * pieceSize}}}
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
		dir := scratchDir(t)
		d := object.Sum(a, l.write(t, filepath.Join(dir.Path(), "o")))
		for _, at := range []int64{0, pieceSize, 2*pieceSize + 7, size - 1} {
			path := filepath.Join(dir.Path(), "o")
			flip(t, path, at)
			f := open(t, dir, "o")
			if err := prove(t.Context(), d, f, nil); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%s, byte %d: %v", a.Name(), at, err)
			}
			flip(t, path, at)
			if err := prove(t.Context(), d, f, nil); err != nil {
				t.Errorf("%s, whole again: %v", a.Name(), err)
			}
		}
		if err := os.Truncate(filepath.Join(dir.Path(), "o"), size-1); err != nil {
			t.Fatal(err)
		}
		if _, err := hashFile(t.Context(), open(t, dir, "o"), size, a, nil); !errors.Is(err, errChanged) {
			t.Errorf("%s, cut in a hole: %v", a.Name(), err)
		}
	}
}

// A large file that changes in any way while it is read is never taken.
func TestBulkFileChanges(t *testing.T) {
	t.Parallel()
	const size = 12*pieceSize + 77
	dense, sparse := layout{size, [][2]int64{{0, size}}}, layout{size, [][2]int64{{5 * pieceSize, 5*pieceSize + 9}}}
	for name, l := range map[string]layout{"dense": dense, "sparse": sparse} {
		for change, do := range map[string]func(path string) error{
			"grows":          func(p string) error { return os.Truncate(p, size+1) },
			"is cut":         func(p string) error { return os.Truncate(p, size-1) },
			"is cut to none": func(p string) error { return os.Truncate(p, 0) },
		} {
			for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
				t.Run(fmt.Sprint(name, " ", change, " ", a.Name()), func(t *testing.T) {
					t.Parallel()
					dir := scratchDir(t)
					path := filepath.Join(dir.Path(), "f")
					l.write(t, path)
					var done atomic.Bool
					tick := func(int64) {
						if done.CompareAndSwap(false, true) {
							if err := do(path); err != nil {
								t.Error(err)
							}
						}
					}
					if d, err := hashFile(t.Context(), open(t, dir, "f"), size, a, tick); !errors.Is(err, errChanged) {
						t.Errorf("hashed to %s, %v", d, err)
					}
				})
			}
		}
	}
}

// Wherever writing a large file fails, the error is told and no worker hangs.
func TestBulkWriteFails(t *testing.T) {
	t.Parallel()
	dir := scratchDir(t)
	const pieces = 10
	layout{pieces * pieceSize, [][2]int64{{0, pieces * pieceSize}}}.write(t, filepath.Join(dir.Path(), "f"))
	f := open(t, dir, "f")
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
		for n := 1; n <= pieces; n++ {
			faults := &disktest.Faults{FailAt: n, Only: []string{"write"}, Err: disktest.ErrFull}
			dst, err := dir.WithHook(faults.Hook).Create(fmt.Sprint(a.Name(), n), 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := copyFile(t.Context(), dst, f, pieces*pieceSize, a, nil); !disk.IsNoSpace(err) {
				t.Errorf("%s, write %d: %v", a.Name(), n, err)
			}
			dst.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hashFile(ctx, f, pieces*pieceSize, object.BLAKE3, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if n := len(cores); n > cap(cores) {
		t.Errorf("%d cores of %d are taken", n, cap(cores))
	}
}

// Memory does not grow with the file.
func TestBulkMemory(t *testing.T) {
	dir := scratchDir(t)
	const size = 256 << 20
	l := layout{size, [][2]int64{{0, 16 << 20}}}
	l.write(t, filepath.Join(dir.Path(), "f"))
	f := open(t, dir, "f")
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3} {
		var used []uint64
		for range 3 { // another test's garbage collection may empty the pools
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			dst, err := dir.Create(fmt.Sprint("dst", a.Name(), len(used)), 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := copyFile(t.Context(), dst, f, size, a, nil); err != nil {
				t.Fatal(err)
			}
			dst.Close()
			runtime.ReadMemStats(&after)
			used = append(used, after.TotalAlloc-before.TotalAlloc)
		}
		if most := uint64(mostWorkers+4) * pieceSize * 2; slices.Min(used) > most {
			t.Errorf("%s: %d bytes were allocated for a file of %d, want at most %d", a.Name(), used, size, most)
		}
	}
}
