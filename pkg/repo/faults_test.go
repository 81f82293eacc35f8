package repo

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
)

// world is a repository with a remote, in a folder of its own.
type world struct {
	t   *testing.T
	dir string
}

func (w *world) path(rel string) string { return filepath.Join(w.dir, "w", filepath.FromSlash(rel)) }

func (w *world) write(rel, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(rel)), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(rel), []byte(text), 0o666); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(rel string) {
	w.t.Helper()
	if err := os.RemoveAll(w.path(rel)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.path(".")
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_NOSYSTEM=1", "HOME="+w.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// with opens the repository with faults, which may be nil, and does something
// with it.
func (w *world) with(f *disktest.Faults, do func(ctx context.Context, r *Repo) error) error {
	env := Env{Dir: w.path("."), Home: w.dir, Getenv: func(string) string { return "" }, Now: time.Now, Program: "cairn",
		Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir}}
	if f != nil {
		env.Hook = f.Hook
	}
	r, err := Open(env)
	if err != nil {
		return err
	}
	return joinClose(do(w.t.Context(), r), r.Close())
}

func joinClose(err, cerr error) error {
	if err == nil {
		return cerr
	}
	return err
}

// must does something without faults.
func (w *world) must(do func(ctx context.Context, r *Repo) error) {
	w.t.Helper()
	if err := w.with(nil, do); err != nil {
		w.t.Fatal(err)
	}
}

// newWorld has two commits of data, pushed, and a pipeline.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t, disktest.Scratch(t)}
	if err := os.Mkdir(w.path("."), 0o777); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q")
	err := Init(t.Context(), Env{Dir: w.path("."), Home: w.dir, Getenv: func(string) string { return "" }, Now: time.Now, Program: "cairn"}, InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(w.path(".dvc/config"))
	if err != nil {
		t.Fatal(err)
	}
	w.write(".dvc/config", string(config)+"[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n")
	w.write("data/a", "first a")
	w.write("data/sub/b", "first b")
	w.write("one", "first one")
	w.must(func(ctx context.Context, r *Repo) error {
		_, err := r.Add(ctx, AddOptions{Targets: []string{"data", "one"}})
		return err
	})
	w.git("add", "-A")
	w.git("commit", "-qm", "first")
	w.write("data/a", "second a")
	w.write("data/sub/c", "second c")
	w.write("one", "second one")
	w.must(func(ctx context.Context, r *Repo) error {
		_, err := r.Add(ctx, AddOptions{Targets: []string{"data", "one"}})
		return err
	})
	w.write("dvc.yaml", "stages:\n  up:\n    cmd: tr a-z A-Z < one > up && mkdir -p made && cp one made/x\n    deps: [one]\n    outs: [up, made]\n")
	w.git("add", "-A")
	w.git("commit", "-qm", "second")
	w.must(func(ctx context.Context, r *Repo) error {
		if _, err := r.Repro(ctx, ReproOptions{}); err != nil {
			return err
		}
		_, err := r.Push(ctx, CloudOptions{})
		return err
	})
	w.git("add", "-A")
	w.git("commit", "-qm", "run")
	return w
}

// copy is a world of its own with the same content.
func (w *world) copy(t *testing.T) *world {
	t.Helper()
	c := &world{t, disktest.Scratch(t)}
	if out, err := exec.Command("cp", "-a", w.dir+"/.", c.dir).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
	return c
}

// files are the texts of data in the workspace.
func (w *world) files() map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(w.path("."), func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(w.path("."), p)
		if err != nil || rel == ".git" || rel == ".dvc" {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return nil
		}
		text, err := os.ReadFile(p)
		out[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// leftovers are the temporary names that processes left.
func (w *world) leftovers() (left []string) {
	_ = filepath.WalkDir(w.dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && disk.IsTempName(e.Name()) {
			left = append(left, p)
		}
		return nil
	})
	return left
}

// sound fails if an object has the wrong bytes.
func (w *world) sound() {
	w.t.Helper()
	err := w.with(nil, func(ctx context.Context, r *Repo) error {
		res, err := r.Fsck(ctx, FsckOptions{Cache: true, Remotes: []string{"store"}, Dry: true})
		for _, p := range res.Places {
			for _, o := range p.Damaged {
				w.t.Errorf("%s: %s: %s", p.Name, o.Digest, o.What)
			}
		}
		return err
	})
	if err != nil && !errs.Is(err, errs.Corrupt) {
		w.t.Errorf("fsck: %v", err)
	}
}

// TestEveryFailure fails every operation that a verb does to the disk, once,
// for good, and as on a full disk. After each of them no object has wrong
// bytes, the verb has not claimed success, and the same call without faults
// ends in the same state as a call that never failed.
func TestEveryFailure(t *testing.T) {
	t.Parallel()
	eachFaultCase(t, func(t *testing.T, c faultCase, ready *world, want map[string]string) {
		tried := 0
		defer func() { t.Logf("%d failures tried", tried) }()
		disktest.FailEach(t, mayHide, func(t *testing.T, f *disktest.Faults) error {
			tried++
			w := ready.copy(t)
			err := w.with(f, c.do)
			if f.Failed() == 0 && err != nil {
				return err
			}
			w.again(c, want)
			// Our process lives, so what it could not remove nobody removes.
			cleans := f.Failed() == 0 || !f.Dead && f.Ops()[f.FailAt-1].Name != "remove"
			if left := w.leftovers(); len(left) > 0 && cleans {
				t.Errorf("left behind: %q", left)
			}
			_ = os.RemoveAll(w.dir)
			return err
		})
	})
}

// eachFaultCase calls test for every case, with its situation and with the
// files that a run without faults ends with.
func eachFaultCase(t *testing.T, test func(t *testing.T, c faultCase, ready *world, want map[string]string)) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	template := newWorld(t)
	for _, c := range faultCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ready := template.copy(t)
			c.prepare(ready)
			undisturbed := ready.copy(t)
			undisturbed.must(c.do)
			test(t, c, ready, undisturbed.files())
		})
	}
}

// again does the same once more, without faults: before and after no object
// has wrong bytes, and in the end the files are those that are wanted.
func (w *world) again(c faultCase, want map[string]string) {
	w.t.Helper()
	if c.name != "fsck" { // it begins with damaged ones
		w.sound()
	}
	if err := w.with(nil, c.do); err != nil {
		w.t.Errorf("another try: %v", err)
	}
	if got := w.files(); !maps.Equal(got, want) {
		w.t.Errorf("after another try: %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		for name := range want {
			if got[name] != want[name] {
				w.t.Logf("%s: %q, want %q", name, got[name], want[name])
			}
		}
	}
	w.sound()
}

// mayHide are the failures that nobody need be told of: what is only a memory
// or a note is not written, and what is cleaned up by whoever comes next.
func mayHide(op disktest.Op) bool {
	switch {
	case strings.Contains(op.Path, "/.dvc/tmp/"), strings.HasSuffix(op.Path, "/.dvc/tmp"):
		return true
	case op.Name == "remove", op.Name == "chmod":
		return true
	}
	return false
}

// faultCase is a verb in a situation.
type faultCase struct {
	name    string
	prepare func(w *world)
	do      func(ctx context.Context, r *Repo) error
}

func faultCases() []faultCase {
	return []faultCase{
		{"add", func(w *world) { w.write("data/a", "third a"); w.write("new/x", "new x"); w.write("one", "third one") },
			func(ctx context.Context, r *Repo) error {
				_, err := r.Add(ctx, AddOptions{Targets: []string{"data", "new", "one"}})
				return err
			}},
		{"commit", func(w *world) { w.write("data/sub/b", "third b"); w.write("up", "edited") },
			func(ctx context.Context, r *Repo) error {
				_, err := r.Commit(ctx, CommitOptions{Force: true})
				return err
			}},
		{"checkout", func(w *world) { w.git("checkout", "-q", "HEAD~2") },
			func(ctx context.Context, r *Repo) error {
				_, err := r.Checkout(ctx, CheckoutOptions{})
				return err
			}},
		{"push", func(w *world) {
			w.write("data/d", "third d")
			w.must(func(ctx context.Context, r *Repo) error {
				_, err := r.Add(ctx, AddOptions{Targets: []string{"data"}})
				return err
			})
		}, func(ctx context.Context, r *Repo) error {
			_, err := r.Push(ctx, CloudOptions{})
			return err
		}},
		{"pull", func(w *world) { w.remove(".dvc/cache"); w.remove("data"); w.remove("one"); w.remove("up") },
			func(ctx context.Context, r *Repo) error {
				_, err := r.Pull(ctx, PullOptions{})
				return err
			}},
		{"repro", func(w *world) {
			w.write("one", "third one")
			w.must(func(ctx context.Context, r *Repo) error {
				_, err := r.Add(ctx, AddOptions{Targets: []string{"one"}})
				return err
			})
		}, func(ctx context.Context, r *Repo) error {
			_, err := r.Repro(ctx, ReproOptions{})
			return err
		}},
		{"gc", func(*world) {}, func(ctx context.Context, r *Repo) error {
			_, err := r.GC(ctx, GCOptions{Workspace: true, Cloud: true})
			return err
		}},
		{"gc for good", func(*world) {}, func(ctx context.Context, r *Repo) error {
			_, err := r.GC(ctx, GCOptions{Workspace: true, NoTrash: true})
			return err
		}},
		{"remove", func(*world) {}, func(ctx context.Context, r *Repo) error {
			_, err := r.Remove(ctx, []string{"data.dvc"}, true)
			if errs.Is(err, errs.NotFound) {
				return nil // done before it failed
			}
			return err
		}},
		{"drop", func(*world) {}, func(ctx context.Context, r *Repo) error {
			_, err := r.Drop(ctx, DropOptions{Targets: []string{"data"}})
			return err
		}},
		{"purge", func(*world) {}, func(ctx context.Context, r *Repo) error {
			_, err := r.Purge(ctx, PurgeOptions{Targets: []string{"data/a"}})
			return err
		}},
		{"fsck", func(w *world) {
			store := filepath.Join(w.dir, "store")
			names, _ := filepath.Glob(filepath.Join(store, "files/*/*/*"))
			for _, n := range names[:2] {
				n = filepath.Join(w.path(".dvc/cache"), strings.TrimPrefix(n, store))
				w.must(func(context.Context, *Repo) error { return os.Chmod(n, 0o644) })
				w.must(func(context.Context, *Repo) error { return os.WriteFile(n, []byte("damaged"), 0o644) })
			}
		}, func(ctx context.Context, r *Repo) error {
			_, err := r.Fsck(ctx, FsckOptions{Repair: true})
			return err
		}},
	}
}

// TestPowerCut is TestEveryFailure for a machine that goes down: nothing
// happens from the n-th operation on, and what was written and not flushed by
// then is gone, while its names are there.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	eachFaultCase(t, func(t *testing.T, c faultCase, ready *world, want map[string]string) {
		tried, lost := 0, 0
		defer func() { t.Logf("%d cuts, %d files emptied", tried, lost) }()
		for n := 1; ; n += disktest.Step() {
			w := ready.copy(t)
			f := &disktest.Faults{FailAt: n, Dead: true, Volatile: true}
			_ = w.with(f, c.do)
			if f.Failed() == 0 {
				return
			}
			tried++
			emptied, err := f.PowerCut(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			lost += emptied
			w.again(c, want)
			_ = os.RemoveAll(w.dir)
			if op := f.Ops()[n-1]; t.Failed() {
				t.Fatalf("power cut at operation %d, %s %s", n, op.Name, op.Path)
			}
		}
	})
}
