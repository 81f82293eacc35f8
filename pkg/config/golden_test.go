package config

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// goldens calls test with each line of a file that testdata/record.py wrote.
func goldens(t *testing.T, name string, test func(t *testing.T, line []byte)) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		test(t, lines.Bytes())
		n++
	}
	if lines.Err() != nil || n == 0 {
		t.Fatalf("%d lines: %v", n, lines.Err())
	}
}

// asPairs turns a tree into the form that the recorder writes.
func asPairs(s *section) any {
	out := []any{}
	for _, e := range s.entries {
		var v any = e.val.text
		if e.val.sect != nil {
			v = asPairs(e.val.sect)
		} else if e.val.isList {
			list := []any{}
			for _, i := range e.val.list {
				list = append(list, i)
			}
			v = map[string]any{"l": list}
		}
		out = append(out, []any{e.key, v})
	}
	return out
}

func mustJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

func TestParseAsDVC(t *testing.T) {
	t.Parallel()
	goldens(t, "parse.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Text    string
			Error   *int
			Tree    any
			Written *string
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		top, err := parse([]byte(want.Text), nil)
		if want.Error != nil {
			bad, _ := errors.AsType[*syntaxError](err)
			if bad == nil {
				t.Errorf("%q is accepted, DVC refuses line %d", want.Text, *want.Error)
			} else if *want.Error > 0 && bad.line != *want.Error {
				t.Errorf("%q: error at line %d, DVC says %d", want.Text, bad.line, *want.Error)
			}
			return
		}
		if err != nil {
			t.Errorf("%q: %v, DVC accepts", want.Text, err)
			return
		}
		tree := named(lowered(top))
		if got, want2 := mustJSON(asPairs(tree)), mustJSON(want.Tree); got != want2 {
			t.Errorf("%q:\n got %s\nwant %s", want.Text, got, want2)
			return
		}
		if want.Written == nil {
			return
		}
		if got, err := render(titled(tree)); err != nil || string(got) != *want.Written {
			t.Errorf("%q is written\n%q (%v)\nwant\n%q", want.Text, got, err, *want.Written)
		}
	})
}

func TestCheckAsDVC(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("recorded with POSIX paths")
	}
	o := LoadOptions{DvcDir: "/r/.dvc", Home: "/home/u"}
	goldens(t, "check.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Text  string
			Error *string
			OK    bool
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		f := o.file(Project, false)
		top, err := parse([]byte(want.Text), f)
		if err != nil {
			t.Fatalf("%q: %v", want.Text, err)
		}
		f.tree = named(lowered(top))
		empty := func(l Level) *levelFile { f := o.file(l, false); f.tree = &section{}; return f }
		tree, err := o.mergeFiles([]*levelFile{{tree: &section{}}, {tree: &section{}}, f, empty(Local)})
		if err != nil {
			t.Fatalf("%q: %v", want.Text, err)
		}
		problems := check(tree).problems
		switch {
		case want.OK && len(problems) > 0 && (want.Text == "core = x" || strings.Contains(problems[0].Msg, "expected a name")):
			// DVC takes a section for a name, and forgets an option in a
			// section's place when it merges the next level.
		case want.OK && len(problems) > 0:
			t.Errorf("%q: %v, DVC accepts", want.Text, problems[0])
		case !want.OK && len(problems) == 0:
			t.Errorf("%q is accepted, DVC: %v", want.Text, deref(want.Error))
		case want.Error != nil && *want.Error != "config file error: "+problems[0].Msg && !strings.Contains(*want.Error, "Unsupported cache"):
			// The order of unsupported types is random in DVC.
			t.Errorf("%q:\n got %v\nwant %v", want.Text, problems[0], *want.Error)
		}
	})
}

func deref(s *string) string {
	if s == nil {
		return "an unexpected error"
	}
	return *s
}
