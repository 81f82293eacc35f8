package cache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cairndata/cairn/pkg/object"
)

// legacy stores bytes as DVC 2 did.
func legacy(t *testing.T, dir string, b []byte, isDir bool) object.Digest {
	t.Helper()
	d := object.Sum(object.MD5Legacy, b)
	if isDir {
		d = d.AsDir()
	}
	p := filepath.Join(dir, filepath.FromSlash(d.Key()))
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	crlf := legacy(t, dir, []byte("a\r\nb\r\n"), false)
	plain := legacy(t, dir, []byte("plain\n"), false)
	manifest := legacy(t, dir, []byte("[]"), true)
	broken := legacy(t, dir, []byte("whole"), false)
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(broken.Key())), []byte("hole"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := Open(dir, Options{})
	defer c.Close()

	done, err := c.Migrate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if done.Added != 3 || len(done.Damaged) != 1 || done.Damaged[0] != broken {
		t.Errorf("added %d, damaged %v; want 3 and %s", done.Added, done.Damaged, broken)
	}
	want := map[object.Digest]object.Digest{
		crlf:     object.Sum(object.MD5, []byte("a\r\nb\r\n")),
		plain:    object.Sum(object.MD5, []byte("plain\n")),
		manifest: object.Sum(object.MD5, []byte("[]")).AsDir(),
	}
	for from, to := range want {
		if done.New[from] != to {
			t.Errorf("%s became %s, want %s", from, done.New[from], to)
		}
		was, err1 := os.Stat(filepath.Join(dir, filepath.FromSlash(from.Key())))
		is, err2 := os.Stat(filepath.Join(dir, filepath.FromSlash(to.Key())))
		if err1 != nil || err2 != nil || !os.SameFile(was, is) {
			t.Errorf("%s is no link to %s: %v, %v", to, from, err1, err2)
		}
		if err2 == nil && is.Mode().Perm()&0o222 != 0 {
			t.Errorf("%s can be written: %v", to, is.Mode())
		}
	}
	if _, ok := done.New[broken]; ok {
		t.Error("a damaged object got a new name")
	}
	again, err := c.Migrate(t.Context(), nil)
	if err != nil || again.Added != 0 || len(again.New) != 3 {
		t.Errorf("again: %+v, %v; want nothing added", again, err)
	}
}
