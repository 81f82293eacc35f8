//go:build unix

package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// churnUnlike are the outputs of examples/churn that differ from run to run: MLflow gives each run a new id, Evidently puts
// random ids into its page.
var churnUnlike = []string{"reports/mlflow_run.json", "reports/drift.html"}

// TestChurn: a whole project, run by each tool from a clean start and again after edits: the same lock, outputs, metrics and
// exit codes; cairn beside itself with two stages at a time; and what one tool ran the other finds up to date.
func TestChurn(t *testing.T) {
	python := os.Getenv("CAIRN_CHURN_PYTHON")
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	if python == "" {
		t.Skip("needs a Python with examples/churn/requirements.txt: set CAIRN_CHURN_PYTHON to its path")
	}
	t.Parallel()
	dvc, cairn := churnWorld(t, dvcTool, "dvc", python), churnWorld(t, cairnTool, "cairn", python)
	beside := churnWorld(t, cairnTool, "cairn", python)
	for _, w := range []struct {
		s    *sandbox
		args []string
	}{{dvc, []string{"repro"}}, {cairn, []string{"repro"}}, {beside, []string{"repro", "-j", "2"}}} {
		if out := w.s.runTool("", "", nil, w.args...); out.Exit != 0 {
			t.Fatalf("%s %v: exit %d\n%s%s", w.s.name, w.args, out.Exit, out.Stdout, out.Stderr)
		}
	}
	sameChurn(t, "first run", dvc, cairn)
	sameChurn(t, "first run, two at a time", dvc, beside)

	// Both show the same metrics; cairn checks the conditions that DVC leaves alone.
	a, b := dvc.runTool("", "", nil, "metrics", "show", "--json"), cairn.runTool("", "", nil, "metrics", "show", "--json")
	if a.Exit != 0 || b.Exit != 0 || !sameJSON(a.Stdout, b.Stdout) {
		t.Errorf("metrics: %s %s\n%s %s", dvc.name, a.Stdout, cairn.name, b.Stdout)
	}
	if out := cairn.runTool("", "", nil, "metrics", "check"); out.Exit != 0 || !strings.Contains(out.Stdout, "met") {
		t.Errorf("metrics check: exit %d\n%s%s", out.Exit, out.Stdout, out.Stderr)
	}

	// Each finds the other's work up to date.
	cairn.install(dvcTool, "dvc")
	dvc.install(cairnTool, "cairn")
	for _, s := range []*sandbox{cairn, dvc} {
		before, _ := os.ReadFile(s.path("dvc.lock"))
		out := s.runTool("", "", nil, "repro")
		if after, _ := os.ReadFile(s.path("dvc.lock")); out.Exit != 0 || !strings.Contains(out.Stdout, "Data and pipelines are up to date.") || string(after) != string(before) {
			t.Errorf("%s repro on the other's work: exit %d\n%s%s", s.name, out.Exit, out.Stdout, out.Stderr)
		}
		if out := s.runTool("", "", nil, "status", "--json"); strings.TrimSpace(out.Stdout) != "{}" {
			t.Errorf("%s status on the other's work: %s%s", s.name, out.Stdout, out.Stderr)
		}
	}

	// A better model: generate, prepare and validate are left alone. Then a gate that it does not pass.
	for _, edit := range [][2]string{
		{`(?m)^(  max_depth:) .*$`, "$1 3"},
		{`(?m)^(  learning_rate:) .*$`, "$1 0.05"},
	} {
		editChurn(t, edit, cairn, dvc)
	}
	a, b = dvc.runTool("", "", nil, "repro"), cairn.runTool("", "", nil, "repro")
	if a.Exit != 0 || b.Exit != 0 || strings.Count(a.Stdout, "didn't change, skipping") != 4 || ranStages(a.Stdout) != ranStages(b.Stdout) {
		t.Errorf("another model: %s exit %d\n%s%s\n%s exit %d\n%s%s", dvc.name, a.Exit, a.Stdout, a.Stderr, cairn.name, b.Exit, b.Stdout, b.Stderr)
	}
	sameChurn(t, "another model", dvc, cairn)
	editChurn(t, [2]string{`(?m)^(  min_auc:) .*$`, "$1 0.99"}, cairn, dvc)
	a, b = dvc.runTool("", "", nil, "repro"), cairn.runTool("", "", nil, "repro")
	if a.Exit != 255 || b.Exit != 255 || ranStages(a.Stdout) != "gate" || ranStages(b.Stdout) != "gate" {
		t.Errorf("a gate too high: %s exit %d\n%s%s\n%s exit %d\n%s%s", dvc.name, a.Exit, a.Stdout, a.Stderr, cairn.name, b.Exit, b.Stdout, b.Stderr)
	}
	sameChurn(t, "a gate too high", dvc, cairn)
}

// churnWorld is the project in a new Git repository, with python in its PATH.
func churnWorld(t *testing.T, tool *tool, name, python string) *sandbox {
	s := newSandbox(t, tool, name)
	if err := os.CopyFS(s.path(""), os.DirFS(filepath.Join("..", "..", "examples", "churn"))); err != nil {
		t.Fatal(err)
	}
	s.env[0] = "PATH=" + filepath.Join(s.root, ".bin") + ":" + filepath.Dir(python) + ":" + os.Getenv("PATH")
	s.env = append(s.env, "NO_COLOR=1", "PYTHONHASHSEED=0")
	for _, st := range steps(git("init", "-q")) {
		st.do(s)
	}
	if out := s.runTool("", "", nil, "init", "-q"); out.Exit != 0 {
		t.Fatalf("%s init: exit %d\n%s", name, out.Exit, out.Stderr)
	}
	for _, st := range steps(git("add", "-A"), git("commit", "-qm", "start")) {
		st.do(s)
	}
	return s
}

// editChurn changes a parameter in the worlds; it must be there.
func editChurn(t *testing.T, edit [2]string, worlds ...*sandbox) {
	t.Helper()
	for _, s := range worlds {
		text, err := os.ReadFile(s.path("params.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		changed := regexp.MustCompile(edit[0]).ReplaceAll(text, []byte(edit[1]))
		if string(changed) == string(text) {
			t.Fatalf("params.yaml has nothing like %s", edit[0])
		}
		if err := os.WriteFile(s.path("params.yaml"), changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ranStages lists the stages whose commands ran, in order.
func ranStages(stdout string) string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^Running stage '(.*)':$`).FindAllStringSubmatch(stdout, -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, " ")
}

// sameChurn compares the lock, the outputs and what Git is to ignore.
func sameChurn(t *testing.T, when string, a, b *sandbox) {
	t.Helper()
	read := func(s *sandbox) map[string]string {
		files := map[string]string{"dvc.lock": maskedLock(t, s)}
		for _, dir := range []string{"data", "models", "reports"} {
			err := filepath.WalkDir(s.path(dir), func(p string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				rel, _ := filepath.Rel(s.path(""), p)
				if contains(churnUnlike, rel) {
					files[rel] = "(there)"
					return nil
				}
				text, err := os.ReadFile(p)
				files[rel] = string(text)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	left, right := read(a), read(b)
	for name, text := range left {
		if other, ok := right[name]; !ok || other != text {
			t.Errorf("%s: %s differs (there: %v)", when, name, ok)
			if name == "dvc.lock" {
				t.Logf("want\n%s\ngot\n%s", text, other)
			}
		}
	}
	for name := range right {
		if _, ok := left[name]; !ok {
			t.Errorf("%s: %s should not be there", when, name)
		}
	}
	if len(left) < 20 {
		t.Errorf("%s: only %d files", when, len(left))
	}
}

// maskedLock is the lock without the hashes and sizes of what differs from run to run.
func maskedLock(t *testing.T, s *sandbox) string {
	text, err := os.ReadFile(s.path("dvc.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	masked := false
	for i, line := range lines {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "- path":
			masked = contains(churnUnlike, value)
		case "md5", "size":
			if masked {
				lines[i] = "      " + key + ": -"
			}
		}
	}
	return strings.Join(lines, "\n")
}
