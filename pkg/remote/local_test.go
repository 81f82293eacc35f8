package remote_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/cache"
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
