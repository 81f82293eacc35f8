//go:build unix

package interop

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBlake3RefusedByDVC: in a repository of cairn's own kind every verb of the real DVC must fail and change nothing. The
// danger is not the failure but a DVC that takes entries it cannot read for new ones and writes md5 beside them.
func TestBlake3RefusedByDVC(t *testing.T) {
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	t.Parallel()
	s := newSandbox(t, dvcTool, "dvc")
	if err := os.Symlink(cairnTool.path, s.root+"/.bin/cairn"); err != nil {
		t.Fatal(err)
	}
	for _, st := range steps(git("init", "-q"), write("f", "1"), write("d/x", "2"), write("new", "3")) {
		st.do(s)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-q", "f", "d"}, {"remote", "add", "-q", "-d", "r", "../rem"}, {"push", "-q"}} {
		if out := s.exec("", "", nil, append([]string{"cairn"}, args...)...); out.Exit != 0 {
			t.Fatalf("cairn %s: exit %d\n%s", quoteArgs(args), out.Exit, out.Stderr)
		}
	}
	for _, st := range commit("blake3") {
		st.do(s)
	}
	for _, args := range [][]string{{"status"}, {"status", "-c"}, {"add", "new"}, {"add", "f"}, {"checkout"}, {"checkout", "-f"}, {"commit", "-f"}, {"push"}, {"pull"}, {"fetch"},
		{"diff"}, {"data", "status"}, {"remove", "f.dvc"}, {"move", "f", "g"}, {"gc", "-w", "-f"}, {"repro"}} {
		before := s.snap()
		out := s.exec("", "", nil, append([]string{"dvc"}, args...)...)
		if out.Exit == 0 {
			t.Errorf("dvc %s: exit 0, want a refusal\n%s", quoteArgs(args), out.Stdout)
		}
		if delta := changes(before, s.snap()); len(delta) > 0 {
			t.Errorf("dvc %s changed %v", quoteArgs(args), delta)
		}
	}
}

// TestBlake3Story plays cairn's own kind of repository from the first file to a second clone.
func TestBlake3Story(t *testing.T) {
	if *update {
		t.Skip("nothing to record: the expectations are in the test")
	}
	t.Parallel()
	s := newSandbox(t, cairnTool, "cairn")
	if !cairnTool.hashFlag {
		t.Skip("the binary under test has no init --hash")
	}
	run := func(dir string, args ...string) output {
		t.Helper()
		out := s.exec(dir, "", nil, append([]string{"cairn"}, args...)...)
		if out.Exit != 0 {
			t.Errorf("cairn %s: exit %d\n%s%s", quoteArgs(args), out.Exit, out.Stdout, out.Stderr)
		}
		return out
	}
	play := func(parts ...any) {
		for _, st := range steps(parts...) {
			st.do(s)
		}
	}
	clean := func(dir, when string) {
		t.Helper()
		if got := strings.TrimSpace(run(dir, "status", "--json").Stdout); got != "{}" {
			t.Errorf("%s: status --json: %s", when, got)
		}
	}
	play(git("init", "-q"))
	run("", "init", "-q")
	if cfg, _ := os.ReadFile(s.path(".dvc/config")); !strings.Contains(string(cfg), "hash = blake3") {
		t.Errorf(".dvc/config does not say the hash, so DVC would use the repository:\n%s", cfg)
	}
	play(awkward())
	run("", append([]string{"add", "-q"}, awkwardTargets()...)...)
	clean("", "after add")

	// BLAKE3 of "plain\n" and of nothing, from the reference implementation (b3sum).
	for file, want := range map[string]string{"plain.dvc": plainPointer, "empty.dvc": emptyPointer} {
		if got, _ := os.ReadFile(s.path(file)); string(got) != want {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
	dirPointer := regexp.MustCompile(`^outs:\n- blake3: [0-9a-f]{64}\.dir\n  size: [0-9]+\n  nfiles: 7\n  hash: blake3\n  path: d\n$`)
	if got, _ := os.ReadFile(s.path("d.dvc")); !dirPointer.Match(got) {
		t.Errorf("d.dvc:\n%s\nwant a match of %s", got, dirPointer)
	}
	object := regexp.MustCompile(`^(w/\.dvc/cache|rem)/files/blake3/[0-9a-f]{2}/[0-9a-f]{62}(\.dir)?$`)
	checkLayout := func() {
		t.Helper()
		n := map[string]int{}
		for p, e := range s.snap() {
			top := ""
			switch {
			case strings.HasPrefix(p, "w/.dvc/cache/"):
				top = "cache"
			case strings.HasPrefix(p, "rem/"):
				top = "rem"
			}
			if top == "" || strings.HasPrefix(e, "d ") {
				continue
			}
			n[top]++
			if !object.MatchString(p) {
				t.Errorf("not a place for an object: %s", p)
			}
			if !strings.HasPrefix(e, "f 0444") {
				t.Errorf("%s is not protected: %.40s", p, e)
			}
		}
		if n["cache"] == 0 || n["rem"] != 0 && n["rem"] != n["cache"] {
			t.Errorf("objects: %v", n)
		}
	}
	checkLayout()

	run("", "remote", "add", "-q", "-d", "r", "../rem")
	play(commit("one"))
	run("", "push", "-q")
	checkLayout()
	play(git("clone", "-q", ".", "../w2"))
	run("../w2", "pull", "-q")
	clean("../w2", "in the clone")
	for _, p := range awkwardTargets() {
		if want, got := tree(t, s.path(p)), tree(t, s.path("../w2/"+p)); want != got {
			t.Errorf("%s pulled: want\n%s\ngot\n%s", p, want, got)
		}
	}

	play(write("d/a", "changed"), write("plain", "changed"), write("d/new", "n"))
	if got := sorted(run("", "status", "--json").Stdout); got != sorted(`{"plain.dvc": [{"changed outs": {"plain": "modified"}}], "d.dvc": [{"changed outs": {"d": "modified"}}]}`) {
		t.Errorf("status: %s", got)
	}
	run("", "add", "-q", "d/a", "plain")
	run("", "commit", "-f", "-q")
	clean("", "after commit")
	diff := run("", "diff", "--json").Stdout
	for _, want := range []string{`{"path": "d/new"}`, `{"path": "d/a"}`, `{"path": "plain"}`} {
		if !strings.Contains(diff, want) {
			t.Errorf("diff lacks %s: %s", want, diff)
		}
	}
	play(git("commit", "-qam", "two"), git("checkout", "-q", "HEAD~1"))
	run("", "checkout", "-q")
	clean("", "at the first commit")
	play(git("checkout", "-q", "main"))
	run("", "checkout", "-q")
	run("", "move", "plain", "moved")
	run("", "remove", "empty.dvc")
	clean("", "after move and remove")
	run("", "push", "-q")
	play(rm("d"), wipeCache())
	if out := s.exec("", "", nil, "cairn", "checkout"); out.Exit == 0 {
		t.Error("checkout without cache: exit 0")
	}
	play(rm("moved"), rm("big"))
	run("", "pull", "d/s")
	if got, err := os.ReadFile(s.path("d/s/deep/f")); err != nil || string(got) != "4" {
		t.Errorf("part pulled: %q %v", got, err)
	}
}

// pointer is a pointer file of cairn's own kind.
func pointer(sum string, size int, path string) string {
	return fmt.Sprintf("outs:\n- blake3: %s\n  size: %d\n  hash: blake3\n  path: %s\n", sum, size, path)
}

var (
	emptyPointer = pointer("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", 0, "empty")
	plainPointer = pointer("dc951419a10809a434316053c2b152355f4c0774beab132bf4935c57d2d8e965", 6, "plain")
)
