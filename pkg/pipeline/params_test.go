package pipeline

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// marked is a value as the oracle writes it.
func marked(v any) any {
	all := func(l []any) any {
		out := []any{}
		for _, e := range l {
			out = append(out, marked(e))
		}
		return out
	}
	switch x := v.(type) {
	case *yamlfmt.Map:
		pairs := []any{}
		for k, e := range x.AllKeys() {
			pairs = append(pairs, []any{marked(k), marked(e)})
		}
		return map[string]any{"dict": pairs}
	case []any:
		return all(x)
	case Tuple:
		return map[string]any{"tuple": all(x)}
	case Set:
		list := all(x).([]any)
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(pyText(a), pyText(b)) })
		return map[string]any{"set": list}
	case Bytes:
		return map[string]any{"bytes": string(x)}
	case string, bool, nil:
		return x
	case int64, *big.Int, float64, yamlfmt.Date:
		return map[string]any{pyType(x): pyStr(x)}
	}
	return pyType(v)
}

func pyText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestParamsAsDVC(t *testing.T) {
	t.Parallel()
	projects := readProjects(t, "params.txt")
	answers := filepath.Join("testdata", "params.json")
	if *record {
		recordParams(t, projects, answers)
	}
	data, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	for _, p := range projects {
		for name, text := range p.Files {
			t.Run(p.Name, func(t *testing.T) {
				t.Parallel()
				v, err := LoadParams(name, []byte(text))
				var got any
				if err == nil {
					got = []any{marked(v)}
				} else if !errs.Is(err, errs.Invalid) {
					t.Errorf("the error is not invalid: %v", err)
				}
				if diff := cmp.Diff(want[p.Name], got); diff != "" {
					t.Errorf("DVC (-) and we (+) differ (error %v):\n%s", err, diff)
				}
			})
		}
	}
}

func recordParams(t *testing.T, projects []project, answers string) {
	t.Helper()
	dvc := os.Getenv("CAIRN_DVC")
	if dvc == "" {
		t.Skip("CAIRN_DVC does not name a DVC to compare with")
	}
	var in [][]string
	for _, p := range projects {
		for name, text := range p.Files {
			in = append(in, []string{strings.TrimPrefix(filepath.Ext(name), "."), text})
		}
	}
	data, _ := json.Marshal(in)
	cmd := exec.Command(filepath.Join(filepath.Dir(dvc), "python"), filepath.Join("testdata", "oracle_params.py"))
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []any
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	byName := map[string]any{}
	for i, p := range projects {
		byName[p.Name] = list[i]
	}
	data, _ = json.MarshalIndent(byName, "", " ")
	if err := os.WriteFile(answers, append(data, '\n'), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestFindParam(t *testing.T) {
	t.Parallel()
	v, err := LoadParams("p.yaml", []byte("a: {b: [1, {c: 2}], d.e: 3, 5: x}\nz: null\nlist: [[7]]\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		key  string
		want any
		ok   bool
	}{
		{"a.b.0", int64(1), true}, {"a.b.1.c", int64(2), true}, {"a.b.-1", nil, false}, {"a.d.e", nil, false},
		{"a.5", "x", true}, {"z", nil, true}, {"z.y", nil, false}, {"list.0.0", int64(7), true}, {".z", nil, true},
		{"a.b.2", nil, false}, {"l*.0.0", int64(7), true}, {"", nil, false},
	}
	for _, tt := range tests {
		got, ok, err := FindParam(v, tt.key)
		if err != nil || ok != tt.ok || got != tt.want {
			t.Errorf("%q: got %v, %v, %v, want %v, %v", tt.key, got, ok, err, tt.want, tt.ok)
		}
	}
	if _, _, err := FindParam(v, "a.*"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a pattern of two values: got %v, want invalid", err)
	}
}

func TestEqualParams(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b any
		want bool
	}{
		{int64(1), 1.0, true}, {int64(1), true, true}, {"1", int64(1), false}, {nil, false, false},
		{Tuple{int64(1), Tuple{2.0}}, []any{1.0, []any{int64(2)}}, true}, {[]any{int64(1)}, []any{}, false},
		{yamlfmt.NewMap("a", int64(1), "b", 2.0), yamlfmt.NewMap("b", int64(2), "a", true), true},
		{Set{"a", "b"}, Set{"b", "a"}, true}, {Set{"b", "a"}, []any{"a", "b"}, true},
	}
	for _, tt := range tests {
		if got := EqualParams(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v: got %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestReadParams(t *testing.T) {
	t.Parallel()
	fsys := mapFS(map[string]string{"params.yaml": "a: {x: 1}\nb: 2\n"})
	got, err := ReadParams(fsys, "params.yaml", []string{"b", "nope", "a.x", "b"})
	if err != nil || !slices.Equal(got.Keys, []string{"b", "a.x"}) || got.Values["a.x"] != int64(1) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err = ReadParams(fsys, "params.yaml", nil); err != nil || !slices.Equal(got.Keys, []string{"a", "b"}) {
		t.Errorf("whole file: got %v, %v", got, err)
	}
	if _, err = ReadParams(fsys, "nope.yaml", nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func FuzzLoadParams(f *testing.F) {
	for _, seed := range []string{"a = (1, 'x')\nclass A:\n  b: int = 2\n", "{\"a\": [1, 2.5, null]}", "a = 1\n[t]\nb = 2\n", "a: {b: [1]}\n", "x = \"\\u00e9\" b'\\x'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range []string{"p.py", "p.json", "p.toml", "p.yaml"} {
			v, err := LoadParams(name, text)
			if err != nil {
				continue
			}
			if plain := PlainParam(v); name != "p.yaml" && strings.Contains(pyStr(plain), "nan") == false && !EqualParams(v, v) {
				t.Errorf("%s: %v is not equal to itself", name, v)
			}
		}
	})
}

func TestParamChanges(t *testing.T) {
	t.Parallel()
	lookup := func(pairs ...any) *Lookup {
		l := &Lookup{Values: map[string]any{}}
		for i := 0; i < len(pairs); i += 2 {
			l.Keys = append(l.Keys, pairs[i].(string))
			l.Values[pairs[i].(string)] = pairs[i+1]
		}
		return l
	}
	recorded := lookup("a", int64(1), "b", int64(2), "gone", nil)
	actual := lookup("c", "x", "b", int64(3), "a", 1.0)
	states := func(changes []ParamChange) string {
		var b strings.Builder
		for _, c := range changes {
			b.WriteString(c.Key + ":" + c.State + " ")
		}
		return strings.TrimSpace(b.String())
	}
	for _, tt := range []struct {
		name   string
		dep    ParamDep
		actual *Lookup
		want   string
	}{
		{"keys", ParamDep{Keys: []string{"a", "b", "c", "gone", "b"}, Values: recorded}, actual, "b:modified c:new gone:deleted"},
		{"whole file", ParamDep{Values: recorded}, actual, "c:new b:modified gone:deleted"},
		{"no lock", ParamDep{Keys: []string{"a"}}, actual, ":new"},
		{"no file", ParamDep{Keys: []string{"a"}, Values: recorded}, nil, ":deleted"},
	} {
		if got := states(tt.dep.Changes(tt.actual)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	d := ParamDep{Keys: []string{"a", "y", "z", "y"}}
	if got := d.Missing(actual); !slices.Equal(got, []string{"y", "z"}) {
		t.Errorf("missing: got %v", got)
	}
}
