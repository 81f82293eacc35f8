//go:build unix

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// kills is how many times TestKilled kills the program in each of its worlds: CAIRN_KILLS, or a number that takes half a
// minute.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("CAIRN_KILLS"))
	if err != nil {
		n = 40
	}
	if testing.Short() {
		n = 5
	}
	return n
}

// TestKilled kills the program with SIGKILL at random moments of random commands, in repositories of both kinds, with a
// folder and with an S3 server as the remote. After each the same command is run again: it must succeed and leave just what
// a plain record says must be there, and every object must be whole. In the end a fresh clone has all that was pushed.
func TestKilled(t *testing.T) {
	if *update {
		t.Skip("nothing of DVC's to be recorded")
	}
	for _, hash := range []string{"blake3", "md5"} {
		for _, remote := range []string{"folder", "s3"} {
			t.Run(hash+" "+remote, func(t *testing.T) {
				t.Parallel()
				seed := uint64(time.Now().UnixNano())
				if s, err := strconv.ParseUint(os.Getenv("CAIRN_SEED"), 10, 64); err == nil {
					seed = s
				}
				defer func() {
					if t.Failed() {
						t.Logf("CAIRN_SEED=%d", seed)
					}
				}()
				w := newKillWorld(t, hash, remote, rand.New(rand.NewPCG(seed, 1)))
				w.play(kills(t))
			})
		}
	}
}

// killWorld is a repository and a plain record of what must be in it.
type killWorld struct {
	*sandbox
	t    *testing.T
	r    *rand.Rand
	took map[string]time.Duration // how long a command takes, from runs that were let be

	data    map[string][]byte // what the workspace must have
	commits []map[string][]byte
	pushed  int // how many of the commits
	killed  int // how often the command was still running
}

func newKillWorld(t *testing.T, hash, remote string, r *rand.Rand) *killWorld {
	w := &killWorld{sandbox: newSandbox(t, cairnTool, "cairn"), t: t, r: r, took: map[string]time.Duration{}, data: map[string][]byte{}}
	w.sh("git", "init", "-q")
	w.sh("cairn", "init", "-q", "--hash", hash)
	if remote == "folder" {
		w.sh("cairn", "remote", "add", "-q", "-d", "store", filepath.Join(w.root, "store"))
	} else {
		m := s3server.NewMemory(s3server.MemoryOptions{})
		t.Cleanup(m.Close)
		w.sh("cairn", "remote", "add", "-q", "-d", "store", "s3://"+m.Bucket+"/some")
		for k, v := range m.Options() {
			w.sh("cairn", "remote", "modify", "-q", "--project", "store", k, v)
		}
	}
	w.edit()
	for i := range 150 {
		w.set(fmt.Sprintf("data/many/%d/%d", i%7, i), w.bytes(r.IntN(4000)))
	}
	w.set("data/big", w.bytes(3<<20))
	w.sh("cairn", "add", "-q", "data")
	w.commit()
	return w
}

func (w *killWorld) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	return b
}

func (w *killWorld) sh(argv ...string) {
	w.t.Helper()
	if out := w.exec("", "", nil, argv...); out.Exit != 0 {
		w.t.Fatalf("%v: exit %d\n%s%s", argv, out.Exit, out.Stdout, out.Stderr)
	}
}

// set writes a file, or removes it, and the record of it. Files of a cache are not written into but replaced.
func (w *killWorld) set(rel string, b []byte) {
	p := w.path(rel)
	os.Remove(p)
	delete(w.data, rel)
	if b == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, b, 0o666); err != nil {
		w.t.Fatal(err)
	}
	w.data[rel] = b
}

// edit changes some files.
func (w *killWorld) edit() {
	for range 1 + w.r.IntN(20) {
		rel := fmt.Sprintf("data/many/%d/%d", w.r.IntN(7), w.r.IntN(200))
		if w.r.IntN(4) == 0 {
			w.set(rel, nil)
		} else {
			w.set(rel, w.bytes(w.r.IntN(20_000)))
		}
	}
	if w.r.IntN(3) == 0 {
		w.set("data/big", w.bytes(1<<20+w.r.IntN(4<<20)))
	}
}

func (w *killWorld) commit() {
	w.sh("git", "add", "-A")
	w.sh("git", "commit", "-q", "--allow-empty", "-m", fmt.Sprint(len(w.commits)))
	w.commits = append(w.commits, maps.Clone(w.data))
}

func (w *killWorld) play(n int) {
	for range n {
		if w.t.Failed() {
			return
		}
		switch w.r.IntN(6) {
		case 0, 1:
			w.edit()
			w.kill("add", "-q", "data")
			w.check("add")
			w.commit()
		case 2:
			w.kill("push", "-q", "-A")
			w.pushed = len(w.commits)
		case 3:
			// Another commit and back.
			at := w.r.IntN(len(w.commits))
			w.sh("git", "checkout", "-q", fmt.Sprint("HEAD~", len(w.commits)-1-at))
			last := w.data
			w.data = w.commits[at]
			w.kill("checkout", "-q")
			w.check("checkout")
			w.sh("git", "checkout", "-q", "main")
			w.data = last
			w.kill("checkout", "-q")
			w.check("checkout back")
		case 4:
			if w.pushed < len(w.commits) {
				w.kill("push", "-q", "-A")
				w.pushed = len(w.commits)
			}
			os.RemoveAll(w.path(".dvc/cache"))
			os.RemoveAll(w.path("data"))
			w.kill("pull", "-q", "-A")
			w.check("pull")
		case 5:
			w.kill("gc", "-q", "-A", "-f", "--no-trash")
			w.check("gc")
		}
	}
	w.t.Logf("%d commands killed while they ran", w.killed)
	w.sh("cairn", "push", "-q", "-A")
	w.sh("cairn", "fsck", "-q", "--all", "-A")
	if left := w.leftovers(); len(left) > 0 {
		w.t.Errorf("left behind: %q", left)
	}
	// A fresh clone.
	w.sh("git", "clone", "-q", ".", filepath.Join(w.root, "clone"))
	if text, err := os.ReadFile(w.path(".dvc/config.local")); err == nil {
		if err := os.WriteFile(filepath.Join(w.root, "clone", ".dvc", "config.local"), text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	if out := w.exec("../clone", "", nil, "cairn", "pull", "-q"); out.Exit != 0 {
		w.t.Fatalf("pull in a clone: exit %d\n%s", out.Exit, out.Stderr)
	}
	w.same(filepath.Join(w.root, "clone"), "in the clone")
}

// kill runs a command, kills it at a random moment, and runs it again.
func (w *killWorld) kill(args ...string) {
	w.t.Helper()
	verb := args[0]
	limit := w.took[verb]
	if limit == 0 {
		limit = 50 * time.Millisecond
	}
	cmd := exec.Command(filepath.Join(w.root, ".bin", "cairn"), args...)
	cmd.Dir, cmd.Env = w.path(""), append(w.env, "PWD="+w.path(""))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Duration(w.r.Int64N(int64(limit)+1)), func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		w.killed++
	default:
		w.t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
	begin := time.Now()
	w.sh(append([]string{"cairn"}, args...)...)
	w.took[verb] = max(w.took[verb], time.Since(begin))
}

// check compares the workspace with the record, and every object of the cache with its name.
func (w *killWorld) check(when string) {
	w.t.Helper()
	w.same(w.path(""), "after "+when)
	if w.t.Failed() {
		return
	}
	if out := w.exec("", "", nil, "cairn", "fsck", "-q", "--json"); out.Exit != 0 {
		w.t.Fatalf("after %s: fsck: exit %d\n%s%s", when, out.Exit, out.Stdout, out.Stderr)
	}
}

func (w *killWorld) same(root, when string) {
	w.t.Helper()
	left := maps.Clone(w.data)
	err := filepath.WalkDir(filepath.Join(root, "data"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		b, err := os.ReadFile(p)
		want, ok := left[rel]
		if !ok {
			w.t.Errorf("%s: %s should not be there", when, rel)
		} else if !bytes.Equal(b, want) {
			w.t.Errorf("%s: %s has %d other bytes, want %d", when, rel, len(b), len(want))
		}
		delete(left, rel)
		return err
	})
	if err != nil {
		w.t.Errorf("%s: %v", when, err)
	}
	for rel := range left {
		w.t.Errorf("%s: %s is missing", when, rel)
	}
}

func (w *killWorld) leftovers() (left []string) {
	_ = filepath.WalkDir(w.root, func(p string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".cairn-") {
			left = append(left, p)
		}
		return nil
	})
	return left
}

// TestCrowd: ten processes at once on one repository, its cache and its remote. None fails for want of a lock, no pointer and
// no line of .gitignore is lost, and in the end a clone has everything.
func TestCrowd(t *testing.T) {
	if *update {
		t.Skip("nothing of DVC's to be recorded")
	}
	for _, hash := range []string{"blake3", "md5"} {
		t.Run(hash, func(t *testing.T) {
			t.Parallel()
			w := &killWorld{sandbox: newSandbox(t, cairnTool, "cairn"), t: t, r: rand.New(rand.NewPCG(1, 2)), data: map[string][]byte{}}
			w.sh("git", "init", "-q")
			w.sh("cairn", "init", "-q", "--hash", hash)
			w.sh("cairn", "remote", "add", "-q", "-d", "store", filepath.Join(w.root, "store"))
			const each = 4
			var stages strings.Builder
			stages.WriteString("stages:\n")
			for p := range 10 {
				for i := range each {
					name := fmt.Sprintf("data/p%d/f%d", p, i)
					w.set(name, w.bytes(50_000))
				}
				if p < 3 {
					fmt.Fprintf(&stages, "  s%d:\n    cmd: cat data/p%d/f0 > out%d\n    deps: [data/p%d/f0]\n    outs: [out%d]\n", p, p, p, p, p)
				}
			}
			w.set("dvc.yaml", []byte(stages.String()))
			w.sh("git", "add", "-A")
			var wg sync.WaitGroup
			fail := func(format string, args ...any) { t.Errorf(format, args...) }
			run := func(args ...string) {
				if out := w.exec("", "", nil, append([]string{"cairn"}, args...)...); out.Exit != 0 {
					fail("%v: exit %d\n%s%s", args, out.Exit, out.Stdout, out.Stderr)
				}
			}
			w.sh("git", "rm", "-rq", "--cached", "data")
			for p := range 10 {
				wg.Go(func() {
					for i := range each {
						run("add", "-q", fmt.Sprintf("data/p%d/f%d", p, i))
						switch p {
						case 0, 1, 2:
							run("push", "-q", fmt.Sprintf("data/p%d/f%d", p, i))
						case 3, 4:
							run("repro", "-q", fmt.Sprintf("s%d", (p+i)%3))
						case 5:
							run("status", "-q", fmt.Sprintf("data/p%d/f%d", p, i))
						case 6:
							run("data", "status", "--json")
						}
					}
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			run("push", "-q")
			run("gc", "-q", "-w", "-f")
			run("fsck", "-q", "--all")
			run("repro", "-q")
			run("push", "-q")
			w.sh("git", "add", "-A")
			if out := w.exec("", "", nil, "git", "ls-files", "data"); strings.Count(out.Stdout, ".dvc\n") != 10*each || strings.Count(out.Stdout, ".gitignore\n") != 10 {
				t.Errorf("Git would track\n%s", out.Stdout)
			}
			w.sh("git", "commit", "-qm", "all")
			w.sh("git", "clone", "-q", ".", filepath.Join(w.root, "clone"))
			if out := w.exec("../clone", "", nil, "cairn", "pull", "-q"); out.Exit != 0 {
				t.Fatalf("pull in a clone: exit %d\n%s", out.Exit, out.Stderr)
			}
			for name, want := range w.data {
				if got, err := os.ReadFile(filepath.Join(w.root, "clone", name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s in the clone: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
}
