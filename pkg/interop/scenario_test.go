//go:build unix

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// scenario is a named story that both tools play.
type scenario struct {
	name  string
	steps []step
}

// step is one act of a scenario. Steps that run the tool or git are compared; the others prepare.
type step struct {
	label    string
	do       func(*sandbox) output
	compared bool
	tol      tolerance
}

// tolerance lists what may differ in a step, each with its reason.
type tolerance struct {
	stdout, stderr, exit string            // reasons; empty means: must be equal
	anyOrder             string            // lines (or JSON members) may come in any order
	files                map[string]string // pattern of paths → reason
	question             string            // DVC writes to its cache, cairn need not
	fails                bool              // cairn must not exit with 0
	lines                map[string]string // base name of files whose lines may come in any order → reason
}

// command is a step that runs a program, with its surroundings.
type command struct {
	argv  []string
	dir   string
	stdin string
	env   []string
}

func (c command) step() step {
	label := quoteArgs(c.argv)
	if c.dir != "" {
		label = "(in " + c.dir + ") " + label
	}
	if c.stdin != "" {
		label += " <<< " + strconv.Quote(c.stdin)
	}
	if len(c.env) > 0 {
		label = strings.Join(c.env, " ") + " " + label
	}
	var tol tolerance
	if len(c.argv) > 1 && c.argv[0] == "dvc" {
		tol.anyOrder, tol.question = chanceOrder[c.argv[1]], questions[c.argv[1]]
	}
	return step{label: label, compared: true, tol: tol, do: func(s *sandbox) output {
		argv := make([]string, len(c.argv))
		for i, a := range c.argv {
			argv[i] = strings.ReplaceAll(a, "$ROOT", s.root)
		}
		if argv[0] == "dvc" {
			return s.runTool(c.dir, c.stdin, c.env, argv[1:]...)
		}
		return s.exec(c.dir, c.stdin, c.env, argv...)
	}}
}

// chanceOrder names the verbs whose lines DVC prints in the order in which the disk or a set returns them.
var chanceOrder = map[string]string{
	"status":   "DVC lists stages in the order the disk returns them",
	"checkout": "DVC lists outs in the order of a set",
	"du":       "DVC lists in the order the disk returns names",
	"pull":     "DVC lists outs in the order of a set",
	"metrics":  "DVC lists files in the order the disk returns them, changes in that of a set and commits of one date by chance",
	"params":   "DVC lists changes in the order of a set",
	"data":     "DVC groups and lists in an order that changes from run to run",
}

const askingWrites = "DVC stores manifests it computed or fetched, and drops damaged objects, while it answers; cairn's answers change nothing"

// questions names the verbs that only look.
var questions = map[string]string{"status": askingWrites, "diff": askingWrites, "data": askingWrites, "ls": askingWrites, "du": askingWrites, "plots": askingWrites}

// dvc runs the tool under test in the workspace's root.
func dvc(args ...string) step { return command{argv: append([]string{"dvc"}, args...)}.step() }

// dvcIn runs the tool under test in a folder relative to the workspace's root.
func dvcIn(dir string, args ...string) step {
	return command{argv: append([]string{"dvc"}, args...), dir: dir}.step()
}

// dvcStdin runs the tool with an input.
func dvcStdin(stdin string, args ...string) step {
	return command{argv: append([]string{"dvc"}, args...), stdin: stdin}.step()
}

// git runs git; what it says is not compared unless it runs the tool through a hook or driver (see gitShown).
func git(args ...string) step { return gitIn("", args...) }

func gitIn(dir string, args ...string) step {
	st := gitShown(dir, args...)
	st.compared = false
	inner := st.do
	st.do = func(s *sandbox) output {
		out := inner(s)
		if out.Exit != 0 {
			s.t.Fatalf("%s: exit %d\n%s%s", st.label, out.Exit, out.Stdout, out.Stderr)
		}
		return out
	}
	return st
}

// gitShown runs git as a compared step, for hooks and the merge driver.
func gitShown(dir string, args ...string) step {
	return command{argv: append([]string{"git"}, args...), dir: dir}.step()
}

// prepare is a step that only changes files.
func prepare(label string, f func(s *sandbox) error) step {
	return step{label: label, do: func(s *sandbox) output {
		if err := f(s); err != nil {
			s.t.Fatalf("%s: %v", label, err)
		}
		return output{}
	}}
}

// write makes a file with its folders. An existing one is replaced, not written through: it may be a link into the cache.
func write(path, content string) step {
	return prepare("write "+strconv.Quote(path)+" "+strconv.Quote(content), func(s *sandbox) error {
		p := s.path(path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.Remove(p); err != nil && !os.IsNotExist(err) {
			return err
		}
		return os.WriteFile(p, []byte(strings.ReplaceAll(content, "$ROOT", s.root)), 0o644)
	})
}

// writeMode is write with the mode bits.
func writeMode(path, content string, mode os.FileMode) step {
	w := write(path, content)
	return prepare(fmt.Sprintf("%s %04o", w.label, mode), func(s *sandbox) error {
		w.do(s)
		return os.Chmod(s.path(path), mode)
	})
}

func mkdir(path string) step {
	return prepare("mkdir "+strconv.Quote(path), func(s *sandbox) error { return os.MkdirAll(s.path(path), 0o755) })
}

func rm(paths ...string) step {
	return prepare("rm "+quoteArgs(paths), func(s *sandbox) error {
		for _, p := range paths {
			if err := os.RemoveAll(s.path(p)); err != nil {
				return err
			}
		}
		return nil
	})
}

func mv(from, to string) step {
	return prepare("mv "+quoteArgs([]string{from, to}), func(s *sandbox) error {
		if err := os.MkdirAll(filepath.Dir(s.path(to)), 0o755); err != nil {
			return err
		}
		return os.Rename(s.path(from), s.path(to))
	})
}

func chmod(path string, mode os.FileMode) step {
	return prepare(fmt.Sprintf("chmod %04o %q", mode, path), func(s *sandbox) error { return os.Chmod(s.path(path), mode) })
}

func link(target, path string) step {
	return prepare("link "+quoteArgs([]string{target, path}), func(s *sandbox) error {
		if err := os.MkdirAll(filepath.Dir(s.path(path)), 0o755); err != nil {
			return err
		}
		return os.Symlink(strings.ReplaceAll(target, "$ROOT", s.root), s.path(path))
	})
}

// appendTo adds text to a file that the tool or a former step made.
func appendTo(path, text string) step {
	return prepare("append "+strconv.Quote(path)+" "+strconv.Quote(text), func(s *sandbox) error {
		old, err := os.ReadFile(s.path(path))
		if err != nil {
			return err
		}
		return os.WriteFile(s.path(path), append(old, text...), 0o644)
	})
}

// replaceIn edits a text file in place.
func replaceIn(path, old, new string) step {
	return prepare(fmt.Sprintf("replace in %q %q by %q", path, old, new), func(s *sandbox) error {
		data, err := os.ReadFile(s.path(path))
		if err != nil {
			return err
		}
		if !strings.Contains(string(data), old) {
			return fmt.Errorf("%q not found in %q", old, data)
		}
		return os.WriteFile(s.path(path), []byte(strings.ReplaceAll(string(data), old, new)), 0o644)
	})
}

// wipeCache removes the local cache, so that data must come from a remote.
func wipeCache() step { return rm(".dvc/cache") }

func quoteArgs(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if a == "" || strings.ContainsAny(a, " \t\n\"'#[]*?$&;|<>()\\`!") {
			b.WriteString(strconv.Quote(a))
		} else {
			b.WriteString(a)
		}
	}
	return b.String()
}

// repo starts a Git repository with DVC in it.
func repo(more ...any) []step { return steps(git("init", "-q"), dvc("init", "-q"), more) }

// commit records everything in Git.
func commit(msg string) []step { return steps(git("add", "-A"), git("commit", "-qm", msg)) }

// steps flattens steps and lists of steps.
func steps(parts ...any) []step {
	var out []step
	for _, p := range parts {
		switch p := p.(type) {
		case step:
			out = append(out, p)
		case []step:
			out = append(out, p...)
		case []any:
			out = append(out, steps(p...)...)
		default:
			panic(fmt.Sprintf("not a step: %T", p))
		}
	}
	return out
}

// Reasons that several steps share. Each is a decision about cairn, not about one step.
const (
	tellsMissing  = "DVC exits with 0 although objects were missing; cairn fails and names them"
	saysUpToDate  = "DVC says that everything is up to date beside the failure"
	fetchesRest   = "cairn keeps what could be had, says so, and fails for the rest; DVC stops"
	sendsNoClaim  = "cairn sends a folder's manifest after all its files only, as the manifest claims that they are there; after a part of a folder DVC sends it, and takes what it lacks for sent"
	coversAll     = "DVC's -T, -a and -A leave out objects that revisions other than the workspace's need; cairn covers all"
	keepsModes    = "cairn keeps mode bits; DVC sets or drops them as a side effect"
	overlaps      = "DVC's read-only verbs go on where its others refuse overlapping outs; cairn always refuses"
	addsAllOrNone = "cairn adds all targets or none"
	losesExec     = "DVC's status takes the x bit from an executable hard link, its checkout gives it back and then does not relink it; cairn leaves it"
	othersGoOn    = "one out with unsaved changes does not keep cairn from checking out the others; it fails for that one"
)

// Tolerances. Each takes its reason, which is printed when it was needed.

func (st step) stdoutMayDiffer(reason string) step { st.tol.stdout = reason; return st }
func (st step) stderrMayDiffer(reason string) step { st.tol.stderr = reason; return st }
func (st step) exitMayDiffer(reason string) step   { st.tol.exit = reason; return st }

// mayDiffer is for a step that cairn refuses where DVC does harm.
func (st step) mayDiffer(reason string) step {
	return st.stdoutMayDiffer(reason).stderrMayDiffer(reason).exitMayDiffer(reason).fileMayDiffer("*", reason)
}

// mustFail is mayDiffer for a step in which DVC hides a failure: cairn's exit code must not be 0.
func (st step) mustFail(reason string) step {
	st = st.mayDiffer(reason)
	st.tol.fails = true
	return st
}

// fileMayDiffer leaves out the paths (relative to the sandbox) that match a pattern of path/filepath, and all below them.
func (st step) fileMayDiffer(pattern, reason string) step {
	files := map[string]string{pattern: reason}
	for k, v := range st.tol.files {
		files[k] = v
	}
	st.tol.files = files
	return st
}

// linesInAnyOrder is for files to which DVC appends in an order of chance.
func (st step) linesInAnyOrder(base, reason string) step {
	st.tol.lines = map[string]string{base: reason}
	return st
}

// scenarios is the table, filled by the scenarios_*_test.go files.
var scenarios = [][]scenario{
	nameScenarios, addScenarios, checkoutScenarios, remoteScenarios, statusScenarios, configScenarios, ignoreScenarios, pipelineScenarios,
	legacyScenarios, stageScenarios, gitScenarios, errorScenarios, metricsScenarios, plotScenarios, importScenarios,
}

// TestScenarios plays every scenario with DVC, live or from its recording, and with cairn under both of its names.
func TestScenarios(t *testing.T) {
	if *update {
		for name := range fixtureBuilders {
			if err := buildFixtures(newSandbox(t, dvcTool, "dvc"), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for _, theme := range scenarios {
		for _, sc := range theme {
			if seen[sc.name] {
				t.Fatalf("two scenarios are called %q", sc.name)
			}
			seen[sc.name] = true
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				sc.test(t)
			})
		}
	}
	checkOrphans(t, seen)
}

func (sc scenario) test(t *testing.T) {
	want := sc.oracle(t)
	if *update {
		return
	}
	for _, name := range []string{"dvc", "cairn"} {
		t.Run("as "+name, func(t *testing.T) {
			got := sc.play(t, cairnTool, name)
			sc.compare(t, want, got)
			for i, st := range sc.compared() {
				if st.tol.fails && got.Steps[i].Exit == 0 {
					t.Errorf("step %d: %s: exit 0: %s", i+1, st.label, st.tol.exit)
				}
			}
		})
	}
}

// compared are the steps whose outcome is recorded.
func (sc scenario) compared() []step {
	var list []step
	for _, st := range sc.steps {
		if st.compared {
			list = append(list, st)
		}
	}
	return list
}

// oracle is DVC's side: recorded, and checked or recorded anew when the real one is there.
func (sc scenario) oracle(t *testing.T) recording {
	if dvcTool == nil {
		return sc.load(t)
	}
	live := sc.play(t, dvcTool, "dvc")
	if *update {
		sc.save(t, live)
		return live
	}
	stored := sc.load(t)
	t.Run("recording", func(t *testing.T) { sc.compare(t, stored, live) })
	return live
}

// play runs the scenario in a new sandbox.
func (sc scenario) play(t *testing.T, tl *tool, name string) recording {
	s := newSandbox(t, tl, name)
	s.keep = s.snap()
	rec := recording{Scenario: sc.name, Definition: sc.definition()}
	for _, st := range sc.steps {
		out := st.do(s)
		now := s.snap()
		if st.compared {
			rec.Steps = append(rec.Steps, recordedStep{
				Step: st.label, Exit: out.Exit, Stdout: s.normalise(out.Stdout), Stderr: s.normalise(out.Stderr),
				Changes: changes(s.keep, now),
			})
		}
		s.keep = now
	}
	return rec
}
