//go:build unix

package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// recordings is where DVC's side is kept, by the version that made it.
const recordings = "testdata/dvc-3.67.1"

// recording is what a tool did in a scenario.
type recording struct {
	Scenario   string         `json:"scenario"`
	Definition string         `json:"definition"` // sum of the steps: a changed scenario must be recorded anew
	Steps      []recordedStep `json:"steps"`      // the compared ones
}

type recordedStep struct {
	Step    string            `json:"step"`
	Exit    int               `json:"exit"`
	Stdout  string            `json:"stdout,omitempty"`
	Stderr  string            `json:"stderr,omitempty"`
	Changes map[string]string `json:"changes,omitempty"` // path → entry, "-" when gone; see snapshot
}

func (sc scenario) file() string {
	return filepath.Join(recordings, strings.ReplaceAll(sc.name, " ", "-")+".json")
}

func (sc scenario) definition() string {
	h := sha256.New()
	for _, st := range sc.steps {
		fmt.Fprintf(h, "%s\x00", st.label)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

func (sc scenario) load(t *testing.T) recording {
	data, err := os.ReadFile(sc.file())
	if err != nil {
		t.Fatalf("%v; record it with CAIRN_DVC=<dvc> go test ./pkg/interop -run 'TestScenarios/%s' -update", err, sc.name)
	}
	var rec recording
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatalf("%s: %v", sc.file(), err)
	}
	if rec.Definition != sc.definition() {
		t.Fatalf("%s was recorded for other steps; record it anew with -update", sc.file())
	}
	return rec
}

func (sc scenario) save(t *testing.T, rec recording) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(rec); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(recordings, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sc.file(), buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkOrphans finds recordings whose scenario has gone.
func checkOrphans(t *testing.T, seen map[string]bool) {
	files, _ := filepath.Glob(recordings + "/*.json")
	known := map[string]bool{}
	for name := range seen {
		known[scenario{name: name}.file()] = true
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s belongs to no scenario", f)
		}
	}
}

// exactErrors compares the words of errors too. Without it only the exit code and whether there is an ERROR line count:
// DVC's texts are often those of Python exceptions, cairn's name the file, the place and the remedy.
var exactErrors = flag.Bool("exact-errors", false, "compare the words of ERROR lines, too")

// usageExit is the code of a wrong command line. What DVC prints with it is its help text, which is each tool's own.
const usageExit = 254

// advice is what DVC's init adds: links to its documentation, chat and repository.
var advice = regexp.MustCompile(`\nWhat's next\?\n-+\n(- .*\n)*`)

// compare reports every difference that no tolerance covers.
func (sc scenario) compare(t *testing.T, want, got recording) {
	t.Helper()
	compared := sc.compared()
	if len(want.Steps) != len(compared) || len(got.Steps) != len(compared) {
		t.Fatalf("%d steps, %d recorded, %d played", len(compared), len(want.Steps), len(got.Steps))
	}
	states := states{map[string]string{}, map[string]string{}}
	for i, st := range compared {
		for _, d := range st.differences(states, want.Steps[i], got.Steps[i]) {
			t.Errorf("step %d: %s\n%s", i+1, st.label, d)
		}
	}
}

// states is what the steps so far have made of each path on both sides, as far as steps touched it. It is why a
// path that one side changed earlier than the other is not reported twice: where both end alike, nothing is left to say.
type states struct{ want, got map[string]string }

// differences compares one step.
func (st step) differences(seen states, want, got recordedStep) []string {
	var out []string
	if st.tol.exit == "" && want.Exit != got.Exit {
		out = append(out, fmt.Sprintf("exit: want %d, got %d\n  want stderr %q\n  got stderr  %q", want.Exit, got.Exit, want.Stderr, got.Stderr))
	}
	if st.tol.stdout == "" && want.Exit != usageExit {
		w, g := advice.ReplaceAllString(want.Stdout, ""), advice.ReplaceAllString(got.Stdout, "")
		if strings.Contains(st.label, "remote list") { // the columns' width is that of the sandbox's path
			w, g = wideBlanks.ReplaceAllString(w, "  "), wideBlanks.ReplaceAllString(g, "  ")
		}
		if st.tol.anyOrder != "" {
			w, g = sorted(w), sorted(g)
		}
		if w != g && !sameJSON(w, g) {
			out = append(out, fmt.Sprintf("stdout:\n  want %q\n  got  %q", want.Stdout, got.Stdout))
		}
	}
	if st.tol.stderr == "" {
		w, g := errorLines(want.Stderr), errorLines(got.Stderr)
		silent, loud := w != "" && g == "", g != "" && got.Exit == 0
		if *exactErrors && w != g || silent || loud && w == "" {
			out = append(out, fmt.Sprintf("stderr:\n  want %q\n  got  %q", w, g))
		}
	}
	return append(out, st.fileDifferences(seen, want.Changes, got.Changes)...)
}

func (st step) fileDifferences(seen states, want, got map[string]string) []string {
	paths := map[string]bool{}
	for p, e := range want {
		paths[p], seen.want[p] = true, e
	}
	for p, e := range got {
		paths[p], seen.got[p] = true, e
	}
	var out []string
	for p := range paths {
		w, g := seen.want[p], seen.got[p]
		switch {
		case w == g, st.tolerated(p):
		// It may hold secrets: DVC lets everyone read them, cairn the owner only.
		case filepath.Base(p) == "config.local" && strings.TrimPrefix(w, "f 0644") == strings.TrimPrefix(g, "f 0600"):
		case st.tol.lines[filepath.Base(p)] != "" && sorted(w) == sorted(g):
		case st.tol.question != "" && got[p] == "" && strings.Contains(p, ".dvc/cache"):
		default:
			out = append(out, fmt.Sprintf("file %s:\n  want %q\n  got  %q", p, orUntouched(w), orUntouched(g)))
		}
	}
	sort.Strings(out)
	return out
}

func orUntouched(entry string) string {
	if entry == "" {
		return "(untouched)"
	}
	return entry
}

func (st step) tolerated(path string) bool {
	for pattern := range st.tol.files {
		for p := path; p != "."; p = filepath.Dir(p) {
			if ok, _ := filepath.Match(pattern, p); ok {
				return true
			}
		}
	}
	return false
}

// errorLines keeps the lines of stderr that scripts look at; warnings and advice may be worded otherwise.
func errorLines(stderr string) string {
	var b strings.Builder
	for _, l := range strings.SplitAfter(stderr, "\n") {
		if strings.HasPrefix(l, "ERROR: ") {
			b.WriteString(l)
		}
	}
	return b.String()
}

// sorted brings output whose order is chance into one order: JSON by key, with lists sorted, text by line.
func sorted(text string) string {
	var v any
	if readJSON(text, &v) == nil {
		data, _ := json.Marshal(sortLists(v))
		return string(data)
	}
	if head, body, ok := strings.Cut(text, " = "); ok && strings.HasPrefix(head, "f 0") {
		return head + sorted(body) // an entry of a snapshot
	}
	lines := strings.Split(text, "\n")
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// sameJSON compares two texts as JSON: the order of an object's members says nothing, that of a list does.
func sameJSON(a, b string) bool {
	var x, y any
	return readJSON(a, &x) == nil && readJSON(b, &y) == nil && reflect.DeepEqual(x, y)
}

// noNumber are the values that Python writes and JSON does not have.
var noNumber = regexp.MustCompile(`([:,\[] ?)(NaN|-?Infinity)\b`)

func readJSON(text string, v *any) error {
	return json.Unmarshal([]byte(noNumber.ReplaceAllString(text, `$1"$2"`)), v)
}

func sortLists(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = sortLists(v[k])
		}
	case []any:
		for i := range v {
			v[i] = sortLists(v[i])
		}
		sort.Slice(v, func(i, j int) bool { return fmt.Sprint(v[i]) < fmt.Sprint(v[j]) })
	}
	return v
}
