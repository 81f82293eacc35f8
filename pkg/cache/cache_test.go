package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const alg = object.BLAKE3

var ctx = context.Background()

func openDir(t testing.TB, path string) *disk.Dir {
	t.Helper()
	d, err := disk.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func openCache(t testing.TB, path string, o cache.Options) *cache.Cache {
	c := cache.Open(path, o)
	t.Cleanup(func() { c.Close() })
	return c
}

// big is more than a file that is held in memory, and no multiple of a chunk.
var big = bytes.Repeat([]byte("0123456789abcdef!"), 150_001)

// contents are files of every way to be stored.
func contents() map[string][]byte {
	return map[string][]byte{"empty": {}, "small": []byte("small"), "same": []byte("small"), "edge": big[:1<<20], "over": big[:1<<20+1], "big": big}
}

func writeAll(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func objectPath(c *cache.Cache, d object.Digest) string {
	return filepath.Join(c.Path(), filepath.FromSlash(d.Key()))
}

// checkNames fails if a final name in the cache holds bytes of another digest.
func checkNames(t *testing.T, path string) {
	t.Helper()
	filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(p, ".cairn-") {
			return nil
		}
		rel, _ := filepath.Rel(path, p)
		d, ok := object.ParseKey(filepath.ToSlash(rel))
		b, err := os.ReadFile(p)
		if !ok || err != nil || object.Sum(d.Algorithm(), b) != d.AsFile() {
			t.Errorf("%s is no whole object: %v", rel, err)
		}
		return nil
	})
}

func checkNoStaging(t *testing.T, path string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(path, ".cairn-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// addAll stores files and a manifest of them in one batch.
func addAll(c *cache.Cache, ws *disk.Dir, files map[string][]byte) (object.Digest, error) {
	w, err := c.BeginAdd()
	if err != nil {
		return object.Digest{}, err
	}
	defer w.Abort()
	var m object.Manifest
	for name := range files {
		a, err := w.AddFile(ws, name, alg, object.Digest{}, nil)
		if err != nil {
			return object.Digest{}, err
		}
		m = append(m, object.File{Path: name, Digest: a.Digest, Size: a.Stat.Size})
	}
	m.Sort()
	text, d := m.Encode(alg)
	if err := w.PutBytes(d, text); err != nil {
		return d, err
	}
	return d, w.Commit(ctx)
}

func checkStored(t *testing.T, c *cache.Cache, files map[string][]byte) {
	t.Helper()
	for name, want := range files {
		r, size, err := c.Open(ctx, object.Sum(alg, want))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || size != int64(len(want)) || !bytes.Equal(got, want) {
			t.Errorf("%s: size %d, %v", name, size, err)
		}
	}
}

func allLinks() map[string][]cache.LinkType {
	return map[string][]cache.LinkType{"copy": {cache.Copy}, "reflink": {cache.Reflink, cache.Copy}, "hardlink": {cache.Hardlink, cache.Copy}, "symlink": {cache.Symlink, cache.Copy}}
}

func TestAddFailsAtEachOperation(t *testing.T) {
	t.Parallel()
	for name, links := range allLinks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Few files are flushed one by one, many together.
			few := map[string][]byte{"small": []byte("small"), "large": big[:1<<20+1]}
			many := map[string][]byte{"a": []byte("a"), "b": []byte("b"), "c": []byte("c"), "empty": {}, "large": big[:1<<20+1]}
			for _, files := range []map[string][]byte{few, many} {
				ws := disktest.Scratch(t)
				writeAll(t, ws, files)
				dir := openDir(t, ws)
				mayHide := func(op disktest.Op) bool {
					// What cannot be cleaned up is left to the next cleaner, and
					// where a link fails there is a copy.
					return op.Name == "remove" || op.Name == "link"
				}
				disktest.FailEach(t, mayHide, func(t *testing.T, f *disktest.Faults) error {
					path := filepath.Join(disktest.Scratch(t), "cache")
					c := cache.Open(path, cache.Options{Links: links, Hook: f.Hook})
					_, err := addAll(c, dir, files)
					c.Close()
					checkNames(t, path)
					cleanOnce := f.FailAt == 0 || !f.Dead && f.Failed() > 0 && f.Ops()[f.FailAt-1].Name != "remove"
					if cleanOnce || f.Err == disktest.ErrFull {
						checkNoStaging(t, path)
					}
					for name, want := range files {
						if got, rerr := os.ReadFile(filepath.Join(ws, name)); !bytes.Equal(got, want) {
							t.Errorf("the workspace's %s changed: %v", name, rerr)
						}
					}
					again := cache.Open(path, cache.Options{Links: links})
					defer again.Close()
					d, rerr := addAll(again, dir, files)
					if rerr != nil {
						t.Errorf("retry: %v", rerr)
						return err
					}
					checkStored(t, again, files)
					if _, rerr := again.ReadManifest(ctx, d); rerr != nil {
						t.Error(rerr)
					}
					return err
				})
			}
		})
	}
}

// Objects are flushed before they are named, and manifests named last.
func TestCommitOrder(t *testing.T) {
	t.Parallel()
	f := &disktest.Faults{}
	ws := disktest.Scratch(t)
	files := contents()
	writeAll(t, ws, files)
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{Links: []cache.LinkType{cache.Copy}, Hook: f.Hook})
	if _, err := addAll(c, openDir(t, ws), files); err != nil {
		t.Fatal(err)
	}
	lastWrite, firstRename, lastFile, manifest, flush, lastFlush := 0, 0, 0, 0, 0, 0
	for i, op := range f.Ops() {
		switch {
		case op.Name == "write":
			lastWrite = i
		case op.Name == "syncfs" || op.Name == "sync":
			if firstRename == 0 {
				flush = i
			}
			lastFlush = i
		case op.Name == "rename":
			if firstRename == 0 {
				firstRename = i
			}
			if strings.HasSuffix(op.Path, object.DirSuffix) {
				manifest = i
			} else {
				lastFile = i
			}
		}
	}
	if !(lastWrite < flush && flush < firstRename && lastFile < manifest && manifest < lastFlush) {
		t.Errorf("last write %d, flush %d, first rename %d, last file %d, manifest %d, last flush %d", lastWrite, flush, firstRename, lastFile, manifest, lastFlush)
	}
}

func TestCheckoutFailsAtEachOperation(t *testing.T) {
	t.Parallel()
	for name, links := range allLinks() {
		for _, old := range []string{"nothing", "a file", "a link"} {
			t.Run(name+" over "+old, func(t *testing.T) {
				t.Parallel()
				files := map[string][]byte{"empty": {}, "small": []byte("small"), "large": big[:1<<20+1]}
				src := disktest.Scratch(t)
				writeAll(t, src, files)
				c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{Links: links})
				if _, err := addAll(c, openDir(t, src), files); err != nil {
					t.Fatal(err)
				}
				mayHide := func(op disktest.Op) bool {
					return op.Name == "remove" || op.Name == "link" || op.Name == "symlink"
				}
				for file, want := range files {
					disktest.FailEach(t, mayHide, func(t *testing.T, f *disktest.Faults) error {
						ws := disktest.Scratch(t)
						target := filepath.Join(ws, "out")
						switch old {
						case "a file":
							os.WriteFile(target, []byte("old"), 0o600)
						case "a link":
							os.Symlink("nowhere", target)
						}
						dir := openDir(t, ws)
						staging := disk.NewStaging(dir.WithHook(f.Hook))
						to := cache.Target{Dir: dir.WithHook(f.Hook), Name: "out"}
						_, err := c.Checkout(ctx, object.Sum(alg, want), to, staging, 0, nil)
						staging.Close()
						got, rerr := os.ReadFile(target)
						isOld := old == "a file" && string(got) == "old" || old != "a file" && errors.Is(rerr, fs.ErrNotExist)
						if !(rerr == nil && bytes.Equal(got, want)) && !(isOld && err != nil) {
							t.Errorf("%s: holds %d bytes (%v) after %v", file, len(got), rerr, err)
						}
						clean := disk.NewStaging(dir)
						defer clean.Close()
						if _, err := c.Checkout(ctx, object.Sum(alg, want), cache.Target{Dir: dir, Name: "out"}, clean, 0, nil); err != nil {
							t.Errorf("%s: retry: %v", file, err)
						}
						if got, rerr := os.ReadFile(target); rerr != nil || !bytes.Equal(got, want) {
							t.Errorf("%s: after the retry %d bytes, %v", file, len(got), rerr)
						}
						return err
					})
				}
			})
		}
	}
}

func TestCheckoutReplaceIsAsked(t *testing.T) {
	t.Parallel()
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
	src := disktest.Scratch(t)
	writeAll(t, src, contents())
	if _, err := addAll(c, openDir(t, src), contents()); err != nil {
		t.Fatal(err)
	}
	ws := disktest.Scratch(t)
	dir := openDir(t, ws)
	staging := disk.NewStaging(dir)
	defer staging.Close()
	no := errors.New("no")
	to := cache.Target{Dir: dir, Name: "out", Replace: func(disk.Stat) error { return no }}
	if _, err := c.Checkout(ctx, object.Sum(alg, big), to, staging, 0, nil); err != nil {
		t.Errorf("new name: %v", err)
	}
	os.WriteFile(filepath.Join(ws, "out"), []byte("mine"), 0o666)
	if _, err := c.Checkout(ctx, object.Sum(alg, big), to, staging, 0, nil); err != no {
		t.Errorf("over a file: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(ws, "out")); string(b) != "mine" {
		t.Error("replaced all the same")
	}
}

func TestCheckoutOverFolderFails(t *testing.T) {
	t.Parallel()
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
	src := disktest.Scratch(t)
	writeAll(t, src, contents())
	addAll(c, openDir(t, src), contents())
	ws := disktest.Scratch(t)
	os.MkdirAll(filepath.Join(ws, "out", "sub"), 0o777)
	dir := openDir(t, ws)
	staging := disk.NewStaging(dir)
	if _, err := c.Checkout(ctx, object.Sum(alg, big), cache.Target{Dir: dir, Name: "out"}, staging, 0, nil); err == nil {
		t.Error("replaced a folder")
	}
	staging.Close()
	checkNoStaging(t, ws)
}

// Every kind of damage is told from good bytes by every way out.
func TestDamagedObject(t *testing.T) {
	t.Parallel()
	damages := map[string]func([]byte) []byte{
		"first bit":  func(b []byte) []byte { b[0] ^= 1; return b },
		"middle bit": func(b []byte) []byte { b[len(b)/2] ^= 0x80; return b },
		"last bit":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"empty":      func(b []byte) []byte { return nil },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"other":      func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"login page": func(b []byte) []byte { return []byte("<html>log in</html>") },
	}
	for name, links := range allLinks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for damage, spoil := range damages {
				for _, good := range [][]byte{[]byte("small"), big} {
					src, ws := disktest.Scratch(t), disktest.Scratch(t)
					os.WriteFile(filepath.Join(src, "f"), good, 0o644)
					c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{Links: links})
					dir := openDir(t, src)
					if _, err := addAll(c, dir, map[string][]byte{"f": good}); err != nil {
						t.Fatal(err)
					}
					d := object.Sum(alg, good)
					// A new inode, so that a hard-linked workspace file stays good.
					os.Remove(objectPath(c, d))
					os.WriteFile(objectPath(c, d), spoil(bytes.Clone(good)), 0o444)
					to := openDir(t, ws)
					staging := disk.NewStaging(to)
					_, err := c.Checkout(ctx, d, cache.Target{Dir: to, Name: "out"}, staging, 0, nil)
					staging.Close()
					if !errs.Is(err, errs.Corrupt) {
						t.Errorf("%s: checkout: %v", damage, err)
					}
					if left, _ := os.ReadDir(ws); len(left) > 0 {
						t.Errorf("%s: checkout left %v", damage, left)
					}
					if ok, err := c.Verify(ctx, d); ok || err != nil {
						t.Errorf("%s: verify: %v %v", damage, ok, err)
					}
					if r, _, err := c.Open(ctx, d); err == nil {
						if _, err := io.ReadAll(r); !errs.Is(err, errs.Corrupt) {
							t.Errorf("%s: read: %v", damage, err)
						}
						r.Close()
					}
					if _, err := addAll(c, dir, map[string][]byte{"f": good}); err != nil {
						t.Errorf("%s: add again: %v", damage, err)
					}
					checkStored(t, c, map[string][]byte{"f": good})
				}
			}
		})
	}
}

func TestObjectPlaceTakenByOthers(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(disktest.Scratch(t), "outside")
	good := []byte("small")
	os.WriteFile(outside, good, 0o666)
	d := object.Sum(alg, good)
	for name, make := range map[string]func(p string){
		"link":    func(p string) { os.Symlink(outside, p) },
		"folder":  func(p string) { os.Mkdir(p, 0o777) },
		"no read": func(p string) { os.Symlink(p, p) },
	} {
		c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
		p := objectPath(c, d)
		os.MkdirAll(filepath.Dir(p), 0o777)
		make(p)
		if _, err := c.Stat(d); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: stat: %v", name, err)
		}
		if _, _, err := c.Open(ctx, d); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: open: %v", name, err)
		}
		for info, err := range c.List(ctx, alg) {
			t.Errorf("%s: listed %v %v", name, info, err)
		}
	}
	// A shard that is a link out is not followed, for reading or writing.
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
	shard := filepath.Dir(objectPath(c, d))
	os.MkdirAll(filepath.Dir(shard), 0o777)
	elsewhere := disktest.Scratch(t)
	os.Symlink(elsewhere, shard)
	w, _ := c.BeginAdd()
	err := w.PutBytes(d, good)
	if err == nil {
		err = w.Commit(ctx)
	}
	if left, _ := os.ReadDir(elsewhere); err == nil || len(left) > 0 {
		t.Errorf("stored through a link: %v, %v", err, left)
	}
}

func TestPutRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(disktest.Scratch(t), "cache")
	c := openCache(t, path, cache.Options{})
	for name, b := range map[string][]byte{"small": []byte("small"), "big": big} {
		d := object.Sum(alg, b)
		for bad, in := range map[string][]byte{"cut": b[:len(b)-1], "longer": append(bytes.Clone(b), 'x'), "other": bytes.Repeat([]byte("y"), len(b)), "empty": nil} {
			for _, size := range []int64{int64(len(b)), int64(len(in)), -1} {
				w, _ := c.BeginAdd()
				if err := w.Put(ctx, d, size, bytes.NewReader(in)); !errs.Is(err, errs.Corrupt) {
					t.Errorf("%s %s of size %d: %v", bad, name, size, err)
				}
				if err := w.Commit(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := c.Stat(d); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s got its name: %v", name, err)
		}
		w, _ := c.BeginAdd()
		if err := errors.Join(w.Put(ctx, d, -1, bytes.NewReader(b)), w.Put(ctx, d, int64(len(b)), bytes.NewReader(b)), w.Commit(ctx)); err != nil {
			t.Error(err)
		}
		if err := w.PutBytes(object.Sum(alg, []byte("late")), []byte("late")); err == nil {
			t.Error("wrote after the commit")
		}
	}
	checkNames(t, path)
	checkNoStaging(t, path)
	checkStored(t, c, map[string][]byte{"small": []byte("small"), "big": big})
}

func TestManyWritersOfTheSameObjects(t *testing.T) {
	t.Parallel()
	path := filepath.Join(disktest.Scratch(t), "cache")
	ws := disktest.Scratch(t)
	files := contents()
	for i := range 300 {
		files[fmt.Sprintf("f%d", i)] = []byte(fmt.Sprint(i / 2))
	}
	writeAll(t, ws, files)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := cache.Open(path, cache.Options{Links: []cache.LinkType{cache.Copy}})
			defer c.Close()
			c.Clean()
			dir, err := disk.OpenDir(ws)
			if err != nil {
				t.Error(err)
				return
			}
			defer dir.Close()
			if _, err := addAll(c, dir, files); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	checkNames(t, path)
	checkNoStaging(t, path)
	checkStored(t, openCache(t, path, cache.Options{}), files)
}

// A file is changed by each write of its copy: it is read again, and refused
// in the end. What was stored is what its digest says.
func TestFileChangesWhileRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p string){
		"grows":   func(p string) { f, _ := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0); f.WriteString("more"); f.Close() },
		"shrinks": func(p string) { st, _ := os.Stat(p); os.Truncate(p, st.Size()-1) },
		"edited":  func(p string) { f, _ := os.OpenFile(p, os.O_WRONLY, 0); f.WriteAt([]byte{'#'}, 7); f.Close() },
		"replaced": func(p string) {
			os.WriteFile(p+".new", bytes.Repeat([]byte("n"), len(big)), 0o666)
			os.Rename(p+".new", p)
		},
	} {
		for _, always := range []bool{false, true} {
			t.Run(fmt.Sprint(name, always), func(t *testing.T) {
				t.Parallel()
				ws := disktest.Scratch(t)
				p := filepath.Join(ws, "f")
				os.WriteFile(p, big, 0o666)
				// An edit within a tick of the clock would not show.
				os.Chtimes(p, time.Time{}, time.Now().Add(-time.Hour))
				var once sync.Once
				f := &disktest.Faults{Only: []string{"write"}, Before: func(n int, op disktest.Op) {
					if always {
						change(p)
					} else {
						once.Do(func() { change(p) })
					}
				}}
				path := filepath.Join(disktest.Scratch(t), "cache")
				c := openCache(t, path, cache.Options{Links: []cache.LinkType{cache.Copy}, Hook: f.Hook})
				w, _ := c.BeginAdd()
				a, err := w.AddFile(openDir(t, ws), "f", alg, object.Digest{}, nil)
				switch {
				case name == "replaced":
					// The name is another file's now; what was read is whole.
					if err == nil && a.Digest != object.Sum(alg, big) && a.Digest != object.Sum(alg, bytes.Repeat([]byte("n"), len(big))) {
						t.Error("a mixture was stored")
					}
				case always && !errs.Is(err, errs.Conflict):
					t.Errorf("accepted: %v", err)
				case !always:
					now, _ := os.ReadFile(p)
					if err != nil || a.Digest != object.Sum(alg, now) {
						t.Errorf("after one change: %v", err)
					}
				}
				w.Commit(ctx)
				checkNames(t, path)
				checkNoStaging(t, path)
			})
		}
	}
}

func TestFullDiskIsSaid(t *testing.T) {
	t.Parallel()
	ws := disktest.Scratch(t)
	writeAll(t, ws, contents())
	f := disktest.Full(3)
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{Links: []cache.LinkType{cache.Copy}, Hook: f.Hook})
	_, err := addAll(c, openDir(t, ws), contents())
	if !errs.Is(err, errs.Unavailable) || errs.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestListAndDelete(t *testing.T) {
	t.Parallel()
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
	for range c.List(ctx, alg) {
		t.Error("an empty cache lists something")
	}
	w, _ := c.BeginAdd()
	want := map[object.Digest]bool{}
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3, object.MD5Legacy} {
		for i := range 40 {
			b := []byte(fmt.Sprint(i))
			d := object.Sum(a, b)
			want[d] = true
			if err := w.PutBytes(d, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(c.Path(), "files", "md5", "stray"), nil, 0o666)
	os.MkdirAll(filepath.Join(c.Path(), "runs", "ab"), 0o777)
	var all []object.Digest
	for _, a := range []object.Algorithm{object.MD5, object.BLAKE3, object.MD5Legacy} {
		for i, err := range c.List(ctx, a) {
			if err != nil || !want[i.Digest] || i.Digest.Algorithm() != a {
				t.Errorf("%v %v", i, err)
			}
			all = append(all, i.Digest)
		}
	}
	if len(all) != len(want) {
		t.Errorf("listed %d of %d", len(all), len(want))
	}
	if err := c.Delete(ctx, append(all, all[0])); err != nil {
		t.Error(err)
	}
	if have, err := c.Has(ctx, all); len(have) != 0 || err != nil {
		t.Errorf("after delete: %v %v", have, err)
	}
}
