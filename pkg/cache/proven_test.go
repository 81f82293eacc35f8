package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

func putOne(t *testing.T, c *cache.Cache, b []byte) object.Digest {
	t.Helper()
	d := object.Sum(alg, b)
	w, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Put(ctx, d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

func checkOut(t *testing.T, c *cache.Cache, d object.Digest, ws *disk.Dir, name string) ([]byte, error) {
	t.Helper()
	staging := disk.NewStaging(ws)
	defer staging.Close()
	if _, err := c.Checkout(ctx, d, cache.Target{Dir: ws, Name: name}, staging, 0, nil); err != nil {
		if ws.Exists(name) {
			t.Error("a failed checkout left the name")
		}
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(ws.Path(), name))
	if err != nil {
		t.Fatal(err)
	}
	return b, nil
}

// What this process wrote and hashed is given to the workspace without being
// read again, as often as it is wanted; another process reads it.
func TestProvenIsNotReadTwice(t *testing.T) {
	for name, links := range allLinks() {
		for what, body := range map[string][]byte{"large": big, "middle": big[:1<<20]} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir := t.TempDir()
				c, ws := openCache(t, dir+"/cache", cache.Options{Links: links}), openDir(t, t.TempDir())
				d := putOne(t, c, body)
				if !c.Proven(d) {
					t.Fatal("not known to be whole")
				}
				for _, to := range []string{"a", "b"} {
					if got, err := checkOut(t, c, d, ws, to); err != nil || !bytes.Equal(got, body) {
						t.Fatalf("%d bytes, %v", len(got), err)
					}
					if !c.Proven(d) {
						t.Fatalf("not known to be whole after %s", to)
					}
				}
				// A wrong entry shows that nothing is read: nothing else could.
				flip(t, objectPath(c, d))
				c.Trust(d)
				if got, err := checkOut(t, c, d, ws, "c"); err != nil || bytes.Equal(got, body) {
					t.Errorf("the bytes were read: %v", err)
				}
				if ok, err := c.Verify(ctx, d); ok || err != nil {
					t.Errorf("Verify believes it: %v, %v", ok, err)
				}
				other := openCache(t, dir+"/cache", cache.Options{Links: links})
				if other.Proven(d) {
					t.Error("another process believes it")
				}
				if _, err := checkOut(t, other, d, ws, "d"); !errs.Is(err, errs.Corrupt) {
					t.Errorf("another process: %v", err)
				}
			})
		}
	}
}

// flip changes a byte and gives the file its time of modification back.
func flip(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err == nil {
		err = os.Chmod(path, 0o644)
	}
	f, err2 := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if _, err = f.WriteAt([]byte{'#'}, 70_000); err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Chmod(path, 0o444)
	}
	if err == nil {
		err = os.Chtimes(path, st.ModTime(), st.ModTime())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to a proven object's file, its bytes are hashed again.
func TestProvenThenDamaged(t *testing.T) {
	damage := map[string]func(t *testing.T, path string){
		"byte": flip,
		"cut":  func(t *testing.T, path string) { os.Chmod(path, 0o644); os.Truncate(path, int64(len(big)-1)) },
		"grown": func(t *testing.T, path string) {
			os.Chmod(path, 0o644)
			os.Truncate(path, int64(len(big)+1))
		},
		"replaced": func(t *testing.T, path string) {
			other := bytes.Clone(big)
			other[5] ^= 1
			tmp := path + "x"
			if err := os.WriteFile(tmp, other, 0o444); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(tmp, path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, links := range allLinks() {
		for what, harm := range damage {
			t.Run(name+"/"+what, func(t *testing.T) {
				c, ws := openCache(t, t.TempDir()+"/cache", cache.Options{Links: links}), openDir(t, t.TempDir())
				d := putOne(t, c, big)
				if _, err := checkOut(t, c, d, ws, "a"); err != nil {
					t.Fatal(err)
				}
				if name == "hardlink" || name == "symlink" {
					os.Remove(filepath.Join(ws.Path(), "a")) // or it would be harmed with the object
				}
				harm(t, objectPath(c, d))
				if _, err := checkOut(t, c, d, ws, "b"); !errs.Is(err, errs.Corrupt) {
					t.Errorf("got %v, want errs.Corrupt", err)
				}
			})
		}
	}
}

// What is remembered has a bound.
func TestProvenIsBounded(t *testing.T) {
	c := openCache(t, t.TempDir()+"/cache", cache.Options{})
	if got, want := c.ProvenAfter(3*cache.ProvenMost), cache.ProvenMost; got != want {
		t.Errorf("%d objects are remembered, want %d", got, want)
	}
}

// A file that is linked into the cache was hashed, and is linked back without
// being read once more: unless it changed so lately that another change might
// not show in its times.
func TestLinkedFileIsProven(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		changed time.Duration // before now
		want    bool
	}{
		"an hour ago":           {time.Hour, true},
		"later than it is read": {-time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws := disktest.Scratch(t)
			writeAll(t, ws, map[string][]byte{"f": big})
			at := time.Now().Add(-tt.changed).Truncate(time.Second).Add(7 * time.Millisecond)
			if err := os.Chtimes(filepath.Join(ws, "f"), at, at); err != nil {
				t.Fatal(err)
			}
			c := openCache(t, filepath.Join(ws, "cache"), cache.Options{Links: []cache.LinkType{cache.Hardlink}})
			w, err := c.BeginAdd()
			if err != nil {
				t.Fatal(err)
			}
			dir := openDir(t, ws)
			a, err := w.AddFile(dir, "f", alg, object.Digest{}, nil)
			if err == nil {
				err = w.Commit(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Proven(a.Digest); got != tt.want {
				t.Errorf("proven: %v, want %v", got, tt.want)
			}
			st, err := dir.Lstat("f")
			if err != nil || st.Nlink != 2 || st.Mode.Perm() != 0o444 {
				t.Errorf("the file has %d names and the mode %v, %v; want 2 and read-only", st.Nlink, st.Mode, err)
			}
		})
	}
}
