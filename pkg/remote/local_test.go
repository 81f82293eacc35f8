package remote_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
)

// openFolder opens a remote in a folder of this machine, as the program does.
func openFolder(t testing.TB, dir string) *cache.Cache {
	t.Helper()
	s, err := remote.Open(t.Context(), remote.Config{Name: "r", URL: dir}, remote.Env{
		Local: func(dir string, shared bool) (object.Store, error) {
			return cache.Open(dir, cache.Options{Shared: shared}), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	c := s.(*cache.Cache)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestStoreFolder(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture {
		dir := filepath.Join(t.TempDir(), "a remote")
		place := func(d object.Digest) string { return filepath.Join(dir, filepath.FromSlash(d.Key())) }
		return objecttest.Fixture{
			Store: openFolder(t, dir),
			Damage: func(t *testing.T, d object.Digest, change func([]byte) []byte) {
				b, err := os.ReadFile(place(d))
				if err == nil {
					err = os.Remove(place(d))
				}
				if err == nil {
					err = os.WriteFile(place(d), change(b), 0o444)
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			Leftovers: func(t *testing.T) (left []string) {
				_ = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
					rel, _ := filepath.Rel(dir, p)
					rel = filepath.ToSlash(rel)
					if _, ok := object.ParseKey(rel); err == nil && !ok && (!e.IsDir() || strings.Contains(rel, "/.")) {
						left = append(left, rel)
					}
					return nil
				})
				return left
			},
		}
	})
}

// From folder to folder there is a shorter way; it keeps all promises.
func TestTransferFolders(t *testing.T) {
	t.Parallel()
	for _, alg := range []object.Algorithm{object.MD5, object.BLAKE3, object.MD5Legacy} {
		t.Run(alg.Name(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			src, dst := openFolder(t, filepath.Join(dir, "src")), openFolder(t, filepath.Join(dir, "dst"))
			place := func(d object.Digest) string { return filepath.Join(dir, "src", filepath.FromSlash(d.Key())) }
			bodies := map[string][]byte{}
			var items []remote.Item
			add := func(name string, n int, size int64) object.Digest {
				body := objecttest.Bytes(uint64(len(items)), n)
				bodies[name] = body
				d := objecttest.Put(t, src, alg, body)[0]
				items = append(items, remote.Item{Digest: d, Size: size, Path: name})
				return d
			}
			for i, n := range []int{0, 1, 2000, 1 << 20, 1<<20 + 1, 9 << 20} {
				add(fmt.Sprintf("good/%d", n), n, int64(n))
				add(fmt.Sprintf("unknown/%d", n), n+7, -1)
				add(fmt.Sprintf("hint too large/%d", n), n+13, int64(n)*2+14)
				add(fmt.Sprintf("hint too small/%d", n), n+17, int64(i))
			}
			bad := map[string]bool{}
			for _, n := range []int{3000, 3 << 20} {
				for how, change := range map[string]func(p string, b []byte) error{
					"flipped":  func(p string, b []byte) error { b[n/2] ^= 4; return os.WriteFile(p, b, 0o444) },
					"cut":      func(p string, b []byte) error { return os.WriteFile(p, b[:n-1], 0o444) },
					"longer":   func(p string, b []byte) error { return os.WriteFile(p, append(b, 1), 0o444) },
					"a folder": func(p string, _ []byte) error { return os.Mkdir(p, 0o777) },
					"gone":     func(string, []byte) error { return nil },
				} {
					name := fmt.Sprintf("bad/%s %d", how, n)
					p := place(add(name, n, int64(n)))
					bad[name] = true
					if err := os.Remove(p); err != nil {
						t.Fatal(err)
					}
					if err := change(p, bytes.Clone(bodies[name])); err != nil {
						t.Fatal(err)
					}
				}
			}
			st, err := remote.Transfer(t.Context(), dst, src, items, remote.TransferOptions{})
			if !errs.Is(err, errs.Corrupt) || st.Done != len(items)-len(bad) || len(st.Failed)+len(st.Missing) != len(bad) {
				t.Errorf("got %d done, failed %v, missing %v, %v", st.Done, st.Failed, st.Missing, err)
			}
			for _, it := range items {
				got, err := objecttest.Get(t.Context(), dst, it.Digest)
				if bad[it.Path] != errs.Is(err, errs.NotFound) || !bad[it.Path] && !bytes.Equal(got, bodies[it.Path]) {
					t.Errorf("%s: %d bytes, %v", it.Path, len(got), err)
				}
				if fi, err := os.Stat(filepath.Join(dir, "dst", filepath.FromSlash(it.Digest.Key()))); err == nil && fi.Mode().Perm()&0o222 != 0 {
					t.Errorf("%s: mode %v", it.Path, fi.Mode())
				}
			}
		})
	}
}

// manyObjects stores n objects of size bytes and lists them.
func manyObjects(b *testing.B, s object.Store, n, size int) []remote.Item {
	b.Helper()
	w, err := s.Begin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Abort()
	items := make([]remote.Item, n)
	for i := range items {
		body := objecttest.Bytes(uint64(i), size)
		d := object.Sum(object.BLAKE3, body)
		if err := w.(*cache.Writer).PutBytes(d, body); err != nil {
			b.Fatal(err)
		}
		items[i] = remote.Item{Digest: d, Size: int64(size)}
	}
	if err := w.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	return items
}

// BenchmarkTransferFolders pushes 50,000 objects of 2 KB to an empty folder.
// Compare with cp -r of the same; CAIRN_BENCH_DIR names a RAM disk.
func BenchmarkTransferFolders(b *testing.B) {
	dir, err := os.MkdirTemp(os.Getenv("CAIRN_BENCH_DIR"), "cairn-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	src := openFolder(b, filepath.Join(dir, "src"))
	items := manyObjects(b, src, 50_000, 2000)
	to := filepath.Join(dir, "dst")
	for b.Loop() {
		b.StopTimer()
		os.RemoveAll(to)
		b.StartTimer()
		if _, err := remote.Transfer(b.Context(), openFolder(b, to), src, items, remote.TransferOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
