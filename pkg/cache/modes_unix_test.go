//go:build unix

package cache_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/object"
)

// again runs one test of this binary in a process of its own, since masks and
// limits are of a process. It reports whether this is that process.
func again(t *testing.T, prepare func()) bool {
	t.Helper()
	const env = "CAIRN_TEST_AGAIN"
	if os.Getenv(env) != "" {
		prepare()
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestModesUnderUmask(t *testing.T) {
	if !again(t, func() { syscall.Umask(0o077) }) {
		return
	}
	for name, links := range allLinks() {
		for _, shared := range []bool{false, true} {
			ws, path := disktest.Scratch(t), filepath.Join(disktest.Scratch(t), "cache")
			files := contents()
			writeAll(t, ws, files)
			c := openCache(t, path, cache.Options{Links: links, Shared: shared})
			dir := openDir(t, ws)
			if _, err := addAll(c, dir, files); err != nil {
				t.Fatal(err)
			}
			filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
				fi, ierr := e.Info()
				want := fs.FileMode(objectModeWanted)
				if e.IsDir() {
					want = fs.ModeDir | 0o700
					if shared {
						want = fs.ModeDir | fs.ModeSetgid | 0o775
					}
				}
				if err != nil || ierr != nil || fi.Mode() != want {
					t.Errorf("%s, shared %v: %s has %v, want %v", name, shared, p, fi.Mode(), want)
				}
				return nil
			})
			out := disktest.Scratch(t)
			to := openDir(t, out)
			staging := disk.NewStaging(to)
			for f, b := range files {
				link, err := c.Checkout(ctx, object.Sum(alg, b), cache.Target{Dir: to, Name: f}, staging, 0, nil)
				st, serr := to.Lstat(f)
				want := fs.FileMode(0o600)
				if link == cache.Hardlink && len(b) > 0 {
					want = objectModeWanted
				}
				if err != nil || serr != nil || !st.IsLink() && st.Mode != want {
					t.Errorf("%s by %s: %v, want %v; %v", f, link, st.Mode, want, err)
				}
			}
			staging.Close()
		}
	}
}

const objectModeWanted = 0o444

// A writable object, from elsewhere, must not be shared as it is.
func TestLinkedObjectIsProtected(t *testing.T) {
	t.Parallel()
	for _, l := range []cache.LinkType{cache.Hardlink, cache.Symlink} {
		c := openCache(t, filepath.Join(t.TempDir(), "cache"), cache.Options{Links: []cache.LinkType{l}})
		d := object.Sum(alg, []byte("text"))
		os.MkdirAll(filepath.Dir(objectPath(c, d)), 0o777)
		os.WriteFile(objectPath(c, d), []byte("text"), 0o664)
		to := openDir(t, t.TempDir())
		staging := disk.NewStaging(to)
		if _, err := c.Checkout(ctx, d, cache.Target{Dir: to, Name: "f"}, staging, 0, nil); err != nil {
			t.Error(err)
		}
		staging.Close()
		if st, err := os.Stat(filepath.Join(to.Path(), "f")); err != nil || st.Mode().Perm() != 0o444 {
			t.Errorf("%s: %v %v", l, st.Mode(), err)
		}
	}
}

func TestFewDescriptors(t *testing.T) {
	if !again(t, func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}) }) {
		return
	}
	ws := disktest.Scratch(t)
	files := contents()
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		for i := range 10 {
			files[strings.Repeat(string(c), i+1)] = []byte(strings.Repeat(string(c), i+2))
		}
	}
	writeAll(t, ws, files)
	c := openCache(t, filepath.Join(disktest.Scratch(t), "cache"), cache.Options{})
	d, err := addAll(c, openDir(t, ws), files)
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, c, files)
	if _, err := c.ReadManifest(ctx, d); err != nil {
		t.Error(err)
	}
}

// The staging folder and the target lie on different file systems.
func TestCheckoutAcrossFileSystems(t *testing.T) {
	t.Parallel()
	here := t.TempDir()
	there, err := os.MkdirTemp("/dev/shm", "cairn-test-")
	if err != nil {
		t.Skip("no RAM disk: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(there) })
	a, b := openDir(t, here), openDir(t, there)
	sa, _ := a.Stat()
	sb, _ := b.Stat()
	if sa.Dev == sb.Dev {
		t.Skip("the RAM disk is the temporary folder's file system")
	}
	for name, links := range allLinks() {
		for where, path := range map[string]string{"cache here": here, "cache there": there} {
			files := contents()
			src := t.TempDir()
			writeAll(t, src, files)
			c := openCache(t, filepath.Join(path, "cache-"+name), cache.Options{Links: links})
			if _, err := addAll(c, openDir(t, src), files); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(there, name+where)
			os.Mkdir(out, 0o777)
			to := openDir(t, out)
			staging := disk.NewStaging(a)
			for f, want := range files {
				if _, err := c.Checkout(ctx, object.Sum(alg, want), cache.Target{Dir: to, Name: f}, staging, 0, nil); err != nil {
					t.Errorf("%s, %s: %s: %v", name, where, f, err)
				}
				if got, err := os.ReadFile(filepath.Join(out, f)); err != nil || string(got) != string(want) {
					t.Errorf("%s, %s: %s: %d bytes, %v", name, where, f, len(got), err)
				}
			}
			staging.Close()
			if list, _ := os.ReadDir(out); len(list) != len(files) {
				t.Errorf("%s, %s: %v", name, where, list)
			}
		}
	}
}
