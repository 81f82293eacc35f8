package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/errs"
)

var small = map[string]string{
	"dvc.yaml": `stages:
  prep: {cmd: p, deps: [data], outs: [raw]}
  g:
    foreach: [a, b]
    do: {cmd: "g ${item}", deps: [raw], outs: ["g-${item}"]}
  last: {cmd: l, deps: [g-a, g-b], outs: [res/x]}
  alone: {cmd: a}
`,
	"data.dvc":     "outs: [{path: data, md5: 2306b4377429730ee03a806cff76e92b.dir, hash: md5}]\n",
	"sub/dvc.yaml": "stages:\n  use: {cmd: u, deps: [../res], outs: [out]}\n",
	"sub/f.dvc":    "outs: [{path: f, md5: 2306b4377429730ee03a806cff76e92b, hash: md5}]\n",
	"data/in/x":    "", "notes.txt": "",
}

func stageFiles(fsys fstest.MapFS) []string {
	var out []string
	for name := range fsys {
		if IsStageFile(name[strings.LastIndexByte(name, '/')+1:]) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func addresses(stages []*Stage) string {
	var out []string
	for _, s := range stages {
		out = append(out, s.Address())
	}
	return strings.Join(out, " ")
}

func loadAll(t testing.TB, files map[string]string, opt Options) (*Loader, *Pipeline, *Graph) {
	t.Helper()
	fsys := mapFS(files)
	l := NewLoader(fsys, opt)
	p := l.Load(slices.Values(stageFiles(fsys)))
	if len(p.Errors) > 0 {
		t.Fatal(p.Errors)
	}
	g, err := p.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return l, p, g
}

func TestCollect(t *testing.T) {
	t.Parallel()
	l, _, g := loadAll(t, small, Options{Root: "/repo"})
	tests := []struct {
		name, target string
		o            CollectOptions
		want         string
		err          string
	}{
		{"stage", "prep", CollectOptions{}, "prep", ""},
		{"file", "dvc.yaml", CollectOptions{}, "prep g@a g@b last alone", ""},
		{"file and stage", "sub/dvc.yaml:use", CollectOptions{}, "sub/dvc.yaml:use", ""},
		{"from a folder", "use", CollectOptions{Dir: "sub"}, "sub/dvc.yaml:use", ""},
		{"up from a folder", "../dvc.yaml:g", CollectOptions{Dir: "sub"}, "g@a g@b", ""},
		{"pointer file", "data.dvc", CollectOptions{}, "data.dvc", ""},
		{"group", "g", CollectOptions{}, "g@a g@b", ""},
		{"member", "g@b", CollectOptions{}, "g@b", ""},
		{"member in a file", "dvc.yaml:g@b", CollectOptions{}, "g@b", ""},
		{"pattern", "g@*", CollectOptions{Glob: true}, "g@a g@b", ""},
		{"pattern in a file", "sub/dvc.yaml:u?e", CollectOptions{Glob: true}, "sub/dvc.yaml:use", ""},
		{"with deps", "last", CollectOptions{WithDeps: true}, "data.dvc prep g@a g@b last", ""},
		{"folder", "sub", CollectOptions{Recursive: true}, "sub/dvc.yaml:use sub/f.dvc", ""},
		{"out", "raw", CollectOptions{Outs: true}, "prep=raw", ""},
		{"in an out", "data/in/x", CollectOptions{Outs: true}, "data.dvc=data/in/x", ""},
		{"out from a folder", "f", CollectOptions{Outs: true, Dir: "sub"}, "sub/f.dvc=sub/f", ""},
		{"absolute out", "/repo/raw", CollectOptions{Outs: true}, "prep=raw", ""},
		{"granular stage", "prep", CollectOptions{Outs: true}, "prep", ""},
		{"granular group", "g", CollectOptions{Outs: true}, "g@a g@b", ""},
		{"granular file", "data.dvc", CollectOptions{Outs: true}, "data.dvc", ""},
		{"granular with deps", "g@a", CollectOptions{Outs: true, WithDeps: true}, "data.dvc prep g@a", ""},
		{"all", "", CollectOptions{Outs: true}, "data.dvc prep g@a g@b last alone sub/dvc.yaml:use sub/f.dvc", ""},
		{"no stage", "nope", CollectOptions{}, "", "Stage 'nope' not found inside 'dvc.yaml' file"},
		{"no member", "g@c", CollectOptions{}, "", "Stage 'g@c' not found inside 'dvc.yaml' file"},
		{"no file", "x/dvc.yaml", CollectOptions{}, "", "'/repo/x/dvc.yaml' does not exist"},
		{"no pointer", "x.dvc", CollectOptions{}, "", "'/repo/x.dvc' does not exist"},
		{"no dvc.yaml here", "x", CollectOptions{Dir: "data"}, "", "'dvc.yaml' does not exist"},
		{"no stage file", "notes.txt:x", CollectOptions{}, "", "bad DVC file name 'notes.txt'. DVC files should be named 'dvc.yaml' or have a '.dvc' suffix (e.g. 'notes.txt.dvc')."},
		{"lock", "dvc.lock:x", CollectOptions{}, "", "Did you mean: `dvc.yaml:x`?"},
		{"neither", "nope", CollectOptions{Outs: true}, "", "'nope' does not exist as an output or a stage name in 'dvc.yaml'"},
		{"granular no pointer", "x.dvc", CollectOptions{Outs: true}, "", "'/repo/x.dvc' does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := l.Collect(tt.target, tt.o, func() (*Graph, error) { return g, nil })
			var names []string
			for _, m := range got {
				name := m.Stage.Address()
				if m.Path != "" {
					name += "=" + m.Path
				}
				names = append(names, name)
			}
			msg := ""
			if e, ok := errors.AsType[*errs.Error](err); ok {
				msg = e.Msg
			}
			if strings.Join(names, " ") != tt.want || msg != tt.err {
				t.Errorf("got %q, %v, want %q, %q", names, err, tt.want, tt.err)
			}
		})
	}
}

func TestGraphWalks(t *testing.T) {
	t.Parallel()
	_, p, g := loadAll(t, small, Options{})
	by := map[string]*Stage{}
	for _, s := range p.Stages {
		by[s.Address()] = s
	}
	for _, tt := range []struct{ name, got, want string }{
		{"upstream", addresses(g.Upstream(by["last"])), "data.dvc prep g@a g@b last"},
		{"downstream", addresses(g.Downstream(by["g@a"])), "g@a last sub/dvc.yaml:use"},
		{"whole", addresses(g.Whole(by["g@a"])), "data.dvc prep g@a g@b last sub/dvc.yaml:use"},
		{"needs", addresses(g.Needs(by["last"])), "g@a g@b"},
		{"needed by", addresses(g.NeededBy(by["prep"])), "g@a g@b"},
		{"outs at", g.OutsAt("res")[0].RepoPath(), "res/x"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	by["g@a"].Frozen = true
	if got, want := addresses(g.WithoutFrozen().Upstream(by["last"])), "g@a data.dvc prep g@b last"; got != want {
		t.Errorf("frozen: got %s, want %s", got, want)
	}
}

func TestErrorsHavePlaces(t *testing.T) {
	t.Parallel()
	fsys := mapFS(map[string]string{
		"dvc.yaml":     "stages:\n  a:\n    cmd: ${x}\n  b:\n    cmd: b\n  c:\n    foreach: ${y}\n    do:\n      cmd: c\n",
		"bad/dvc.yaml": "stages:\n  a:\n    cmd: x\n    foo: 1\n",
		"x.dvc":        "outs: [\n",
	})
	p := NewLoader(fsys, Options{}).Load(slices.Values([]string{"dvc.yaml", "gone.dvc", "bad/dvc.yaml", "x.dvc"}))
	var got []string
	for _, err := range p.Errors {
		got = append(got, err.Error())
	}
	want := []string{
		"dvc.yaml:7: failed to parse 'stages.c.foreach' in 'dvc.yaml': Could not find 'y'",
		"dvc.yaml:3: failed to parse 'stages.a.cmd' in 'dvc.yaml': Could not find 'x'",
		"'bad/dvc.yaml' validation failed: extra keys not allowed, in stages -> a -> foo, line 3, column 5",
	}
	if diff := cmp.Diff(want, got[:3]); diff != "" || len(got) != 4 {
		t.Errorf("want (-), got (+):\n%s\n%q", diff, got)
	}
	if addresses(p.Stages) != "b" {
		t.Errorf("stages that can be read: got %s, want b", addresses(p.Stages))
	}
	_, err := NewLoader(mapFS(map[string]string{"dvc.yaml": "stages:\n  a: {cmd: x, outs: [o]}\n", "o.dvc": "outs: [{path: o}]\n"}), Options{}).
		Load(slices.Values([]string{"dvc.yaml", "o.dvc"})).Graph()
	if !errs.Is(err, errs.Conflict) || !strings.HasSuffix(err.Error(), "(dvc.yaml:2, o.dvc:1)") {
		t.Errorf("got %v, want a conflict with places", err)
	}
}

func TestOneStageDoesNotNeedTheOthers(t *testing.T) {
	t.Parallel()
	l := NewLoader(mapFS(map[string]string{"dvc.yaml": "stages:\n  a: {cmd: '${nope}'}\n  b: {cmd: b}\n"}), Options{})
	if s, err := l.Stages("dvc.yaml", "b", false); err != nil || len(s) != 1 {
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := l.Stages("dvc.yaml", "a", false); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
	if _, err := l.Stages("../dvc.yaml", "a", false); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func FuzzDvcYAML(f *testing.F) {
	for _, seed := range []string{small["dvc.yaml"], commented, "vars: [{a: [1, {b: 2}]}]\nstages:\n  m:\n    matrix: {x: ['${a[0]}', 2], y: xyz}\n    cmd: ${a[1].b} ${item.x} \\${z}\n"} {
		f.Add([]byte(seed), []byte("a: {b: 1}\nl: [1, 2]\n"))
	}
	f.Fuzz(func(t *testing.T, text, params []byte) {
		l := NewLoader(fstest.MapFS{"dvc.yaml": {Data: text}, "params.yaml": {Data: params}}, Options{})
		p := l.Load(slices.Values([]string{"dvc.yaml"}))
		_, _ = p.Graph()
		for _, s := range p.Stages[:min(len(p.Stages), 3)] {
			if s.Generated {
				continue
			}
			if frozen, err := SetFrozen("dvc.yaml", text, s.Name, true); err == nil {
				if _, err := SetFrozen("dvc.yaml", frozen, s.Name, false); err != nil {
					t.Errorf("froze %q, but cannot undo it: %v", s.Name, err)
				}
			}
			_, _ = RemoveStage("dvc.yaml", text, s.Name)
			_, _ = AddStage("dvc.yaml", text, s.Name+"x", s.Definition())
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"${a}", `x ${a[0].b} \${c} ${`, "${ a }", "${a..b}", "${a\t[0] .b}"} {
		f.Add(seed)
	}
	root, err := newTmplNode(must(LoadParams("p.yaml", []byte("a: [{b: 1}]\nc: {d: [x, y z]}\n"))), &tmplOrigin{}, nil, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := expander{ctx: &tmplScope{root: root}, opt: &Templating{}, field: "cmd", inField: true}
		v, err := x.value(s)
		if syntax := checkSyntax(s); syntax != nil && err == nil {
			t.Errorf("%q was expanded though it is wrong: %v", s, syntax)
		}
		if err == nil && !x.changed && v != s {
			t.Errorf("%q became %v unnoticed", s, v)
		}
	})
}

func must(v any, err error) any {
	if err != nil {
		panic(err)
	}
	return v
}

func BenchmarkLoadPointers(b *testing.B) {
	files := map[string]string{}
	for i := range 10000 {
		files[fmt.Sprintf("d%d/f%d.dvc", i%100, i)] = fmt.Sprintf("outs:\n- md5: a%031x\n  size: 10\n  hash: md5\n  path: f%d\n", i, i)
	}
	fsys := mapFS(files)
	paths := stageFiles(fsys)
	total := 0
	for _, text := range files {
		total += len(text)
	}
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		p := NewLoader(fsys, Options{}).Load(slices.Values(paths))
		if _, err := p.Graph(); err != nil || len(p.Stages) != 10000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadForeach(b *testing.B) {
	var params, lock strings.Builder
	params.WriteString("items:\n")
	lock.WriteString("schema: '2.0'\nstages:\n")
	for i := range 3000 {
		fmt.Fprintf(&params, "- {name: n%d, lr: 0.1}\n", i)
		fmt.Fprintf(&lock, "  g@%d:\n    cmd: run n%d 0.1\n    deps:\n    - path: in\n      hash: md5\n      md5: 2306b4377429730ee03a806cff76e92b\n      size: 4\n    outs:\n    - path: out/n%d\n      hash: md5\n      md5: 2306b4377429730ee03a806cff76e92b\n      size: 4\n", i, i, i)
	}
	fsys := mapFS(map[string]string{
		"params.yaml": params.String(), "dvc.lock": lock.String(),
		"dvc.yaml": "stages:\n  g:\n    foreach: ${items}\n    do:\n      cmd: run ${item.name} ${item.lr}\n      deps: [in]\n      outs: ['out/${item.name}']\n",
	})
	for b.Loop() {
		p := NewLoader(fsys, Options{}).Load(slices.Values([]string{"dvc.yaml"}))
		if _, err := p.Graph(); err != nil || len(p.Stages) != 3000 {
			b.Fatal(err, p.Errors)
		}
	}
}
