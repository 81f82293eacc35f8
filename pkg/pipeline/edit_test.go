package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

const commented = `# the pipeline
vars:
- a: 1   # one

stages:
  # first
  prep:
    cmd: echo   "prep"   # keep  this
    outs: [raw.csv, 'b.csv']
    # end of prep

  # second
  train:
    cmd: |
      line
      # not a comment
    frozen: false
    outs:
      - "model bin":  # model
          cache: false
  last:
    cmd: x

# plots come here
plots:
- p.csv
`

func cut(s string, parts ...string) string {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			panic("not there: " + p)
		}
		s = strings.Replace(s, p, "", 1)
	}
	return s
}

func TestEditsKeepLayout(t *testing.T) {
	t.Parallel()
	def := yamlfmt.NewMap("cmd", "echo new", "deps", []any{"a", "b"})
	add := func(name string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return AddStage("dvc.yaml", b, name, def) }
	}
	remove := func(name string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return RemoveStage("dvc.yaml", b, name) }
	}
	freeze := func(name string, on bool) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetFrozen("dvc.yaml", b, name, on) }
	}
	rename := func(stage, from, to string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return RenameOut("dvc.yaml", b, stage, from, to) }
	}
	const newStage = "  new:\n    cmd: echo new\n    deps:\n    - a\n    - b\n"
	tests := []struct {
		name string
		text string
		edit func([]byte) ([]byte, error)
		want string
	}{
		{"add before other sections", commented, add("new"), strings.Replace(commented, "    cmd: x\n", "    cmd: x\n"+newStage, 1)},
		{"add to nothing", "", add("new"), "stages:\n" + newStage},
		{"add to a comment", "# hi\n", add("new"), "# hi\nstages:\n" + newStage},
		{"add without stages", "plots: [a]\n", add("new"), "plots: [a]\nstages:\n" + newStage},
		{"add without final line end", "stages:\n  a:\n    cmd: x", add("new"), "stages:\n  a:\n    cmd: x\n" + newStage},
		{"add indented by four", "stages:\n    a:\n        cmd: x\n", add("new"), "stages:\n    a:\n        cmd: x\n    " + strings.ReplaceAll(strings.TrimPrefix(newStage, "  "), "\n ", "\n   ")},
		{"add with crlf", "stages:\r\n  a:\r\n    cmd: x\r\n", add("new"), "stages:\r\n  a:\r\n    cmd: x\r\n" + strings.ReplaceAll(newStage, "\n", "\r\n")},
		{"add to empty stages", "stages: {}\n", add("new"), "stages:\n" + newStage},
		{"add over one", "stages:\n  new: # mine\n    cmd: old # c\n    deps: [a, b]\n", add("new"), "stages:\n  new: # mine\n    cmd: echo new # c\n    deps: [a, b]\n"},
		{"remove the first", commented, remove("prep"), cut(commented, "  prep:\n    cmd: echo   \"prep\"   # keep  this\n    outs: [raw.csv, 'b.csv']\n    # end of prep\n")},
		{"remove the middle", commented, remove("train"), cut(commented, "  train:\n    cmd: |\n      line\n      # not a comment\n    frozen: false\n    outs:\n      - \"model bin\":  # model\n          cache: false\n")},
		{"remove the last", commented, remove("last"), cut(commented, "  last:\n    cmd: x\n")},
		{"remove the only one", "stages:\n  a:\n    cmd: x\n", remove("a"), ""},
		{"remove the only one of more", "vars: [a: 1]\nstages:\n  a:\n    cmd: x\nplots: [p]\n", remove("a"), "vars: [a: 1]\nplots: [p]\n"},
		{"remove in flow style", "stages: {a: {cmd: x}, b: {cmd: y}}\n", remove("a"), "stages: {b: {cmd: y}}\n"},
		{"freeze", commented, freeze("prep", true), strings.Replace(commented, "    # end of prep\n", "    frozen: true\n    # end of prep\n", 1)},
		{"freeze where it was false", commented, freeze("train", true), strings.Replace(commented, "frozen: false", "frozen: true", 1)},
		{"unfreeze", commented, freeze("train", false), cut(commented, "    frozen: false\n")},
		{"unfreeze what is not frozen", commented, freeze("last", false), commented},
		{"freeze the last", "stages:\n  a:\n    cmd: x\n    deps:\n    - d\n", freeze("a", true), "stages:\n  a:\n    cmd: x\n    deps:\n    - d\n    frozen: true\n"},
		{"freeze in flow style", "stages: {a: {cmd: x}} # c\n", freeze("a", true), "stages: {a: {cmd: x, frozen: true}} # c\n"},
		{"rename in flow style", commented, rename("prep", "raw.csv", "a, b.csv"), strings.Replace(commented, "raw.csv", "'a, b.csv'", 1)},
		{"rename quoted", commented, rename("prep", "b.csv", "c.csv"), strings.Replace(commented, "'b.csv'", "c.csv", 1)},
		{"rename a key", commented, rename("train", "model bin", "model: x"), strings.Replace(commented, `"model bin"`, "'model: x'", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.edit([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestEditsOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	if _, err := RemoveStage("dvc.yaml", []byte(commented), "nope"); !errs.Is(err, errs.NotFound) {
		t.Errorf("remove: got %v, want not found", err)
	}
	if _, err := SetFrozen("dvc.yaml", []byte(commented), "nope", true); !errs.Is(err, errs.NotFound) {
		t.Errorf("freeze: got %v, want not found", err)
	}
	if _, err := RenameOut("dvc.yaml", []byte(commented), "prep", "nope", "x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("rename: got %v, want not found", err)
	}
	if _, err := AddStage("dvc.yaml", []byte("stages: ["), "a", yamlfmt.NewMap("cmd", "x")); !errs.Is(err, errs.Invalid) {
		t.Errorf("add to a broken file: got %v, want invalid", err)
	}
}

// The text is what DVC 3.67.1 wrote for two runs of dvc stage add.
func TestDefinitionAsDVCWritesIt(t *testing.T) {
	t.Parallel()
	const want = `stages:
  one:
    desc: 'some: text'
    cmd: python train.py --alpha 0.1 --beta 0.2 --gamma 0.3 --delta 0.4 
      --epsilon 0.5 --zeta 0.6
    deps:
    - a
    - b
    params:
    - b.c
    - lr
    - q.yaml:
      - y
      - z
    - whole.toml:
    outs:
    - k:
        persist: true
    - y:
        cache: false
    - z
    metrics:
    - m.json
    - n.json:
        cache: false
    plots:
    - p.csv
  two:
    cmd: echo 'hi' > x
    wdir: sub
    deps:
    - ../z
    always_changed: true
`
	f, err := NewLoader(mapFS(map[string]string{"dvc.yaml": want}), Options{}).File("dvc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, s := range f.Stages {
		if text, err = AddStage("dvc.yaml", text, s.Name, s.Definition()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// Whatever text is a valid dvc.yaml, an edit of it gives another one, or says
// that it cannot.
func FuzzEdits(f *testing.F) {
	for _, text := range []string{
		"", "stages: {a: {cmd: x}}", "# c\nstages:\n  a:\n    cmd: x # y\n    outs:\n      - b\n\n  # d\n  b: {cmd: z, frozen: true}\n",
		"vars: [{x: 1}]\nstages:\n  g:\n    foreach: [a]\n    do: {cmd: x}\n", "stages:\r\n  a:\r\n    cmd: x\r\nmetrics: [m]\r\n...\n",
		"a: &a {cmd: x}\nstages:\n  b: *a\n", "stages:\n  a:\n    <<: {cmd: x}\n    desc: |\n      text\n\n  'b c': {\"cmd\": [x,\n y]}", "\ufeffstages:\n  a: {cmd: x}\n",
	} {
		f.Add(text, "a")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		_, top, err := parseDvcYAML(ProjectFile, []byte(text))
		if err != nil {
			return
		}
		check := func(what string, edited []byte, err error) {
			if err != nil || edited == nil {
				return
			}
			if _, _, err := parseDvcYAML(ProjectFile, edited); err != nil {
				t.Errorf("%s: %v in\n%q\nof\n%q", what, err, edited, text)
			}
		}
		added, err := AddStage(ProjectFile, []byte(text), name, yamlfmt.NewMap("cmd", "x", "outs", []any{"o"}))
		check("add", added, err)
		stages, _ := value(top, "stages").(*yamlfmt.Map)
		for _, s := range stages.Keys() {
			removed, err := RemoveStage(ProjectFile, []byte(text), s)
			check("remove", removed, err)
			for _, frozen := range []bool{true, false} {
				set, err := SetFrozen(ProjectFile, []byte(text), s, frozen)
				check("freeze", set, err)
			}
		}
	})
}
