//go:build unix

package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// TestImportKilled kills and interrupts what brings data from elsewhere at random moments. What is at the destination then
// is whole or not there, what was there before is whole or was replaced by what is; the same command again completes, and
// nothing is left behind.
func TestImportKilled(t *testing.T) {
	if *update {
		t.Skip("nothing of DVC's to be recorded")
	}
	for _, hash := range []string{"md5", "blake3"} {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
			t.Run(fmt.Sprintf("%s %s", hash, sig), func(t *testing.T) {
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
				w := &importWorld{t: t, sandbox: newSandbox(t, cairnTool, "cairn"), r: rand.New(rand.NewPCG(seed, 1)), sig: sig, took: map[string]time.Duration{}}
				w.start(hash)
				for i := range max(1, kills(t)/8) {
					w.round(i)
				}
				t.Logf("%d commands ended early", w.ended)
			})
		}
	}
}

// importWorld is a repository, and two sources of what lies in want.
type importWorld struct {
	*sandbox
	t     *testing.T
	r     *rand.Rand
	sig   syscall.Signal
	took  map[string]time.Duration
	want  map[string]string
	put   func(rel, text string)
	ended int
}

func (w *importWorld) sh(dir string, argv ...string) {
	w.t.Helper()
	if out := w.exec(dir, "", nil, argv...); out.Exit != 0 {
		w.t.Fatalf("%v: exit %d\n%s%s", argv, out.Exit, out.Stdout, out.Stderr)
	}
}

func (w *importWorld) start(hash string) {
	m := s3server.NewMemory(s3server.MemoryOptions{})
	w.t.Cleanup(m.Close)
	b, err := remote.OpenBackend(w.t.Context(), remote.Config{Name: "lake", URL: "s3://" + m.Bucket + "/lake", Options: m.Options()}, remote.Env{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.Close() })
	w.put = func(rel, text string) {
		if err := b.Put(w.t.Context(), "data/"+rel, int64(len(text)), strings.NewReader(text)); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "../src"} {
		if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
			w.t.Fatal(err)
		}
		w.sh(dir, "git", "init", "-q", "-b", "main")
		w.sh(dir, "cairn", "init", "-q", "--hash", hash)
		w.sh(dir, "cairn", "remote", "add", "-q", "lake", "s3://"+m.Bucket+"/lake")
		for k, v := range m.Options() {
			w.sh(dir, "cairn", "remote", "modify", "-q", "--project", "lake", k, v)
		}
	}
	w.edit(0)
	w.sh("", "cairn", "import", "-q", "../src", "data", "-o", "import")
	w.sh("", "cairn", "import-url", "-q", "remote://lake/data", "import-url")
}

// edit changes both sources.
func (w *importWorld) edit(i int) {
	w.want = map[string]string{}
	if err := os.RemoveAll(w.path("../src/data")); err != nil {
		w.t.Fatal(err)
	}
	for j := range 60 {
		w.want[fmt.Sprintf("%d/%d", j%5, j)] = strings.Repeat(fmt.Sprintf("%d of %d ", j, i), 1+w.r.IntN(500))
	}
	w.want["big"] = strings.Repeat(fmt.Sprintf("%07d\n", i), 1<<18)
	for rel, text := range w.want {
		p := w.path("../src/data/" + rel)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
		w.put(rel, text)
	}
	w.sh("../src", "cairn", "add", "-q", "data")
	w.sh("../src", "git", "add", "-A")
	w.sh("../src", "git", "commit", "-qm", fmt.Sprint(i))
}

func (w *importWorld) round(i int) {
	w.edit(i + 1)
	w.again("import", nil, "update", "-q", "import.dvc")
	w.again("import-url", nil, "update", "-q", "import-url.dvc")
	for _, c := range [][]string{{"get", "-q", "../src", "data", "-o"}, {"get-url", "-q", "remote://lake/data"}, {"import", "-q", "../src", "data", "-o"}, {"import-url", "-q", "remote://lake/data"}} {
		out := fmt.Sprintf("%s-%d", c[0], i)
		w.again(out, []string{}, append(c, out)...)
	}
	if out := w.exec("", "", nil, "cairn", "status", "--json"); strings.TrimSpace(out.Stdout) != "{}" {
		w.t.Errorf("status: %s%s", out.Stdout, out.Stderr)
	}
	for _, out := range []string{"import", "import-url"} {
		out = fmt.Sprintf("%s-%d", out, i)
		w.sh("", "cairn", "remove", "-q", out+".dvc", "--outs")
	}
	_ = filepath.WalkDir(w.root, func(p string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".cairn-") {
			w.t.Errorf("left behind: %s", p)
		}
		return nil
	})
}

// again runs a command that makes or changes out, ends it at a random moment, looks, and runs it again. none, if not nil,
// says that there was nothing at out.
func (w *importWorld) again(out string, none []string, args ...string) {
	w.t.Helper()
	limit := w.took[args[0]]
	if limit == 0 {
		limit = 100 * time.Millisecond
	}
	cmd := exec.Command(cairnTool.path, args...)
	cmd.Dir, cmd.Env = w.path(""), append(append([]string(nil), w.env...), "PWD="+w.path(""))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Duration(w.r.Int64N(int64(limit)+1)), func() { _ = cmd.Process.Signal(w.sig) })
	err := cmd.Wait()
	timer.Stop()
	switch status := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case err == nil:
	case status.Signaled(), w.sig == syscall.SIGINT && status.ExitStatus() == 252:
		w.ended++
	default:
		w.t.Fatalf("%v: %v\n%s", args, err, said.String())
	}
	if none != nil {
		if _, serr := os.Lstat(w.path(out)); serr == nil {
			if args[0] == "get" || args[0] == "get-url" || err == nil {
				w.whole(out, "after the first time")
				return // it asks before it replaces what is there
			}
			if w.exec("", "", nil, "cairn", "status", "-q", out+".dvc").Exit == 0 {
				w.whole(out, "done but for the end")
				return // another one goes into the folder, as with DVC
			}
		} else if err == nil {
			w.t.Fatalf("%v: nothing came", args)
		}
	}
	begin := time.Now()
	w.sh("", append([]string{"cairn"}, args...)...)
	w.took[args[0]] = max(w.took[args[0]], time.Since(begin))
	w.whole(out, "after the second time")
}

// whole requires that a folder has what it should.
func (w *importWorld) whole(out, when string) {
	w.t.Helper()
	n := 0
	err := filepath.WalkDir(w.path(out), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(w.path(out), p)
		b, err := os.ReadFile(p)
		if text, ok := w.want[rel]; !ok || text != string(b) {
			w.t.Errorf("%s: %s/%s has %d bytes, not those of the source", when, out, rel, len(b))
		}
		n++
		return err
	})
	if err != nil {
		w.t.Errorf("%s: %v", when, err)
	}
	if n != len(w.want) {
		w.t.Errorf("%s: %s has %d files of %d", when, out, n, len(w.want))
	}
}
