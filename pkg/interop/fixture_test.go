//go:build unix

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Fixtures are whole worlds made once by the real DVC with verbs that scenarios need but do not compare, above all repro.
// They are kept as snapshots: everything in them is small text.
const fixtures = "testdata/fixtures"

// fixtureBuilders make the fixtures when scenarios are recorded anew.
var fixtureBuilders = map[string][]step{
	// pipeline: two stages over tracked data, with a metric kept in Git, a parameter file and the run cache.
	"pipeline": repo(
		write("raw.txt", "3\n1\n2\n"), dvc("add", "-q", "raw.txt"), write("params.yaml", "n: 2\nlr: 0.1\n"),
		write("dvc.yaml", `stages:
  sort:
    cmd: mkdir -p out && sort raw.txt > out/sorted && echo é > "out/a b"
    deps:
    - raw.txt
    outs:
    - out
  head:
    cmd: head -n 2 out/sorted > head.txt && echo '{"n":2}' > m.json
    deps:
    - out/sorted
    params:
    - n
    outs:
    - head.txt
    metrics:
    - m.json:
        cache: false
  nested:
    wdir: sub
    cmd: cp ../head.txt copy && chmod +x copy
    deps:
    - ../head.txt
    outs:
    - copy:
        desc: a copy
`), mkdir("sub"), dvc("repro", "-q")),
}

// fixture puts a recorded world into a new sandbox and makes it a Git repository with one commit.
func fixture(name string) []step {
	return steps(prepare("fixture "+name, func(s *sandbox) error {
		data, err := os.ReadFile(filepath.Join(fixtures, name+".json"))
		if err != nil {
			return err
		}
		var snap snapshot
		if err := json.Unmarshal(data, &snap); err != nil {
			return err
		}
		return s.restore(snap)
	}), git("init", "-q"), git("add", "-A"), git("commit", "-qm", "fixture"))
}

// restore makes what a snapshot says. Only what fixtures hold is supported: folders and small text files.
func (s *sandbox) restore(snap snapshot) error {
	paths := make([]string, 0, len(snap))
	for p := range snap {
		if !strings.Contains(p, ".git:index/") && !strings.Contains(p, ".git/") {
			paths = append(paths, p)
		}
	}
	sort.Strings(paths)
	for _, p := range paths {
		full, e := filepath.Join(s.root, p), snap[p]
		kind, rest, _ := strings.Cut(e, " ")
		mode, text, _ := strings.Cut(rest, " = ")
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil {
			return fmt.Errorf("%s: cannot restore %q", p, e)
		}
		switch kind {
		case "d":
			err = os.MkdirAll(full, os.FileMode(bits))
		case "f":
			if err = os.WriteFile(full, []byte(text), 0o644); err == nil {
				err = os.Chmod(full, os.FileMode(bits))
			}
		default:
			err = fmt.Errorf("%s: cannot restore %q", p, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// buildFixtures records all fixtures anew with the real DVC.
func buildFixtures(s *sandbox, name string) error {
	for _, st := range fixtureBuilders[name] {
		if out := st.do(s); out.Exit != 0 {
			return fmt.Errorf("fixture %s: %s: exit %d\n%s", name, st.label, out.Exit, out.Stderr)
		}
	}
	data, err := json.MarshalIndent(s.snap(), "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(fixtures, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(fixtures, name+".json"), append(data, '\n'), 0o644)
}
