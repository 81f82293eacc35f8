package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// runText is a run as DVC 3.67.1 stored it, under runKey and runValue.
const (
	runText = `cmd:
- cp o1 o2
- echo '{"a":1}' > m.json
deps:
- path: o1
  hash: md5
  md5: 2306b4377429730ee03a806cff76e92b
  size: 4
params:
  params.yaml:
    n.x: 1
outs:
- path: m.json
  hash: md5
  md5: 4588ff3797b78d819d858fa3bdd82b09
  size: 8
- path: o2
  hash: md5
  md5: 2306b4377429730ee03a806cff76e92b
  size: 4
`
	runKey   = "53564725dd73d7117735dad54a0297ac5405c071186974eb1d0f21030e6e7c15"
	runValue = "0cd0583968aab22a7d3f2496b1ead6ce4c4fd6092a32b3a8e723d56cbe1ef167"
)

func runEntry(t *testing.T) *yamlfmt.Map {
	t.Helper()
	entry, err := CheckLockEntry("run", []byte(runText))
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func TestRunNames(t *testing.T) {
	t.Parallel()
	e := runEntry(t)
	if k, v := RunKey(e), RunValue(e); k != runKey || v != runValue {
		t.Errorf("key %s, value %s", k, v)
	}
	if string(yamlfmt.Marshal(e)) != runText {
		t.Errorf("written as\n%s", yamlfmt.Marshal(e))
	}
}

func TestRunCache(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir())
	c := NewRunCache(dir)
	warned := 0
	c.Warn = func(string, ...any) { warned++ }
	if e, err := c.Lookup(runKey); e != nil || err != nil {
		t.Fatal("found in an empty cache", e, err)
	}
	for range 2 {
		if err := c.Save(runEntry(t)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, filepath.FromSlash(RunPath(runKey, runValue)))
	if b, err := os.ReadFile(file); err != nil || string(b) != runText {
		t.Fatalf("%v\n%s", err, b)
	}
	e, err := c.Lookup(runKey)
	if err != nil || e == nil || !yamlfmt.Equal(e, runEntry(t)) {
		t.Fatal(e, err)
	}
	if names, err := c.List(); err != nil || len(names) != 1 || names[0] != RunPath(runKey, runValue) {
		t.Fatal(names, err)
	}
	for name, text := range map[string]string{
		"other content": strings.Replace(runText, "o2\n  hash", "o3\n  hash", 1),
		"cut":           runText[:100], "empty": "", "no yaml": "{", "way out": strings.ReplaceAll(runText, "path: o2", "path: ../../o2"),
	} {
		if _, err := c.Put(runKey, runValue, []byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		before := warned
		if e, err := c.Lookup(runKey); e != nil || err != nil || warned != before+1 {
			t.Errorf("%s: found %v, %v, %d warnings", name, e, err, warned-before)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: still there", name)
		}
	}
	if added, err := c.Put(runKey, runValue, []byte(runText)); !added || err != nil || !c.Has(runKey, runValue) {
		t.Error(added, err)
	}
}

func TestParseRunPath(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]bool{
		RunPath(runKey, runValue):                                    true,
		"runs/54/" + runKey + "/" + runValue:                         false,
		"runs/53/" + runKey + "/../" + runValue:                      false,
		"runs/53/" + runKey + "/" + strings.ToUpper(runValue):        false,
		"runs/53/" + runKey:                                          false,
		"files/53/" + runKey + "/" + runValue:                        false,
		"runs/53/" + runKey + "/" + strings.Repeat("g", 64):          false,
		"runs/53/" + runKey[:60] + "/../" + "/" + runValue[:len("")]: false,
	} {
		if _, _, ok := ParseRunPath(p); ok != want {
			t.Errorf("%q: %v", p, ok)
		}
	}
}

func TestCanRemember(t *testing.T) {
	t.Parallel()
	make := func(change func(*Stage)) *Stage {
		s := &Stage{Name: "s", WDir: ".", Cmd: []string{"x"}, Deps: []*Dep{{Entry: Entry{Path: "d"}}}, Outs: []*Out{{Entry: Entry{Path: "o"}, Cache: true}}}
		s.Outs[0].Stage = s
		change(s)
		return s
	}
	for name, c := range map[string]struct {
		change func(*Stage)
		want   bool
	}{
		"plain":            {func(*Stage) {}, true},
		"params only":      {func(s *Stage) { s.Deps, s.Params = nil, []*ParamDep{{}} }, true},
		"no deps":          {func(s *Stage) { s.Deps = nil }, false},
		"no outs":          {func(s *Stage) { s.Outs = nil }, false},
		"no command":       {func(s *Stage) { s.Cmd = nil }, false},
		"always":           {func(s *Stage) { s.AlwaysChanged = true }, false},
		"persist":          {func(s *Stage) { s.Outs[0].Persist = true }, false},
		"outside":          {func(s *Stage) { s.Outs[0].Path = "../o" }, false},
		"absolute":         {func(s *Stage) { s.Outs[0].Path = "/o" }, false},
		"url":              {func(s *Stage) { s.Deps[0].Path = "s3://b/d" }, false},
		"dep outside":      {func(s *Stage) { s.Deps[0].Path = "/d" }, true},
		"not in the cache": {func(s *Stage) { s.Outs[0].Cache = false }, true},
	} {
		if got := make(c.change).CanRemember(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
