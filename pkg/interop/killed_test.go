//go:build unix

package interop

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killedRuns is how often a run is killed for each way of running.
const killedRuns = 12

// slowPipeline is a pipeline whose run takes long enough to be killed in its midst.
func slowPipeline() []step {
	var b strings.Builder
	b.WriteString("stages:\n")
	for i := range 8 {
		dep := "src"
		if i > 0 {
			dep = fmt.Sprintf("dir%d", (i-1)/2)
		}
		fmt.Fprintf(&b, "  s%d:\n    cmd: mkdir -p dir%d/in && find %s -type f | sort | xargs cat > dir%d/a && cat dir%d/a > dir%d/in/b && echo [%d] > m%d.json\n"+
			"    deps: [%s]\n    outs: [dir%d]\n    metrics:\n    - m%d.json: {cache: false}\n", i, i, dep, i, i, i, i, i, dep, i, i)
	}
	return steps(git("init", "-q"), dvc("init", "-q"), write("src", strings.Repeat("some data\n", 10_000)), write("dvc.yaml", b.String()))
}

// A run that is killed at any moment leaves whole objects only, and the next run ends as if nothing had been.
func TestReproKilled(t *testing.T) {
	if *update {
		t.Skip("it is about cairn alone")
	}
	t.Parallel()
	for _, args := range [][]string{{"repro"}, {"repro", "-j", "3"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			play := func() *sandbox {
				s := newSandbox(t, cairnTool, "cairn")
				for _, st := range slowPipeline() {
					st.do(s)
				}
				return s
			}
			clean := play()
			begin := time.Now()
			if out := clean.runTool("", "", nil, args...); out.Exit != 0 {
				t.Fatalf("exit %d\n%s%s", out.Exit, out.Stdout, out.Stderr)
			}
			took := time.Since(begin)
			want := clean.snap()
			for seed := range int64(killedRuns) {
				s := play()
				after := time.Duration(rand.New(rand.NewSource(seed)).Int63n(int64(took) * 5 / 4))
				s.kill(after, args...)
				s.wholeObjects(fmt.Sprintf("seed %d, killed after %s", seed, after))
				if out := s.runTool("", "", nil, args...); out.Exit != 0 {
					t.Fatalf("seed %d, killed after %s, then exit %d\n%s%s", seed, after, out.Exit, out.Stdout, out.Stderr)
				}
				for p, e := range changes(want, s.snap()) {
					if base := filepath.Base(p); len(args) > 1 && (base == ".gitignore" || base == "dvc.lock") && sorted(e) == sorted(want[p]) {
						continue // beside others stages end, and are recorded, in an order of chance
					}
					t.Errorf("seed %d, killed after %s: %s\n  clean %q\n  then  %q", seed, after, p, want[p], e)
				}
				if out := s.runTool("", "", nil, "status", "--json"); strings.TrimSpace(out.Stdout) != "{}" {
					t.Errorf("seed %d: status %s", seed, out.Stdout)
				}
				removeAll(t, s.root)
			}
		})
	}
}

// kill runs the tool and kills it, with all in its process group, after some time.
func (s *sandbox) kill(after time.Duration, args ...string) {
	cmd := exec.Command(s.tool.path, args...)
	cmd.Dir, cmd.Env = s.path(""), append(append([]string(nil), s.env...), "PWD="+s.path(""))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait()
	timer.Stop()
}

// wholeObjects requires that every object in the cache is what its name says.
func (s *sandbox) wholeObjects(when string) {
	found, _ := filepath.Glob(s.path(".dvc/cache/files/md5/??/*"))
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		sum := md5.Sum(data)
		name := filepath.Base(filepath.Dir(f)) + strings.TrimSuffix(filepath.Base(f), ".dir")
		if got := hex.EncodeToString(sum[:]); got != name {
			s.t.Errorf("%s: object %s is %s", when, name, got)
		}
	}
}
