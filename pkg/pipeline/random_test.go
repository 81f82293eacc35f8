package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// inventor makes projects up.
type inventor struct {
	*rand.Rand
	names []string // dotted, of the values that there are
	outs  []string
}

func (r *inventor) pick(list ...string) string { return list[r.Intn(len(list))] }

func (r *inventor) scalar() any {
	switch r.Intn(9) {
	case 0:
		return int64(r.Intn(20) - 5)
	case 1:
		return []float64{0.1, 1e-5, 1.5, 2, 1e20, -0.25}[r.Intn(6)]
	case 2:
		return r.Intn(2) == 0
	case 3:
		return nil
	}
	return r.pick("x", "data", "a b", "it's", "é", "1", "true", "a.b", "p/q", "--f", "${", "$x", `q"q`)
}

func (r *inventor) value(depth int) any {
	switch n := r.Intn(6); {
	case n == 0 && depth < 3:
		list := []any{}
		for range r.Intn(4) {
			list = append(list, r.value(depth+1))
		}
		return list
	case n <= 2 && depth < 3:
		return r.mapping(depth + 1)
	}
	return r.scalar()
}

func (r *inventor) mapping(depth int) *yamlfmt.Map {
	m := &yamlfmt.Map{}
	for range r.Intn(4) + 1 {
		m.Set(r.pick("a", "b", "c", "lr", "item", "d"), r.value(depth))
	}
	return m
}

func (r *inventor) note(prefix string, v any) {
	// Collections can be used in few places, so they are rare.
	if prefix != "" && (!isCollection(v) || r.Intn(12) == 0) {
		r.names = append(r.names, prefix)
	}
	join := func(k string) string { return strings.TrimPrefix(prefix+"."+k, ".") }
	switch x := v.(type) {
	case *yamlfmt.Map:
		for k, e := range x.All() {
			r.note(join(k), e)
		}
	case []any:
		for i, e := range x {
			if r.Intn(2) == 0 {
				r.note(prefix+"["+strconv.Itoa(i)+"]", e)
			} else {
				r.note(join(strconv.Itoa(i)), e)
			}
		}
	}
}

func (r *inventor) expr(extra ...string) string {
	if len(extra) > 0 && r.Intn(2) == 0 {
		return "${" + r.pick(extra...) + "}"
	}
	if r.Intn(60) == 0 || len(r.names) == 0 {
		return "${" + r.pick("nope", "a.", "a[0", "", " a ", "item", "key", "a.b.c.d", "a[-1]") + "}"
	}
	return "${" + r.pick(r.names...) + "}"
}

// text is a text that may hold expressions.
func (r *inventor) text(extra ...string) string {
	s := r.pick("run", "echo", "x y")
	for range r.Intn(3) {
		if r.Intn(3) > 0 {
			s += " " + r.expr(extra...)
		} else {
			s += r.pick(" z", ` \${x}`, " $", " }", " ${", " 'q'")
		}
	}
	if r.Intn(12) == 0 {
		return r.expr(extra...)
	}
	return s
}

func (r *inventor) path(extra ...string) string {
	p := r.pick("d", "e", "f", "d/e", "sub/x", "p", "q", "r", "s") + strconv.Itoa(r.Intn(40))
	if r.Intn(6) == 0 {
		p += r.expr(extra...)
	}
	return p
}

func (r *inventor) outItems(extra ...string) []any {
	list := []any{}
	for range r.Intn(3) {
		p := r.path(extra...)
		if len(extra) > 0 {
			p += "-" + r.expr(extra...)
		}
		r.outs = append(r.outs, p)
		if r.Intn(2) == 0 {
			list = append(list, p)
			continue
		}
		flags := &yamlfmt.Map{}
		for range r.Intn(3) + 1 {
			switch k := r.pick("cache", "persist", "push", "desc", "remote", "meta", "labels"); k {
			case "desc", "remote":
				flags.Set(k, r.text(extra...))
			case "meta":
				flags.Set(k, r.mapping(2))
			case "labels":
				flags.Set(k, []any{"l", r.text(extra...)})
			default:
				flags.Set(k, r.Intn(2) == 0)
			}
		}
		list = append(list, yamlfmt.NewMap(p, flags))
	}
	return list
}

func (r *inventor) stage(extra ...string) *yamlfmt.Map {
	m := &yamlfmt.Map{}
	if r.Intn(4) == 0 {
		m.Set("cmd", []any{r.text(extra...), r.text(extra...)})
	} else {
		m.Set("cmd", r.text(extra...))
	}
	if r.Intn(3) > 0 {
		deps := []any{}
		for range r.Intn(3) {
			if len(r.outs) > 0 && r.Intn(2) == 0 {
				deps = append(deps, r.pick(r.outs...))
			} else {
				deps = append(deps, r.path(extra...))
			}
		}
		m.Set("deps", deps)
	}
	if r.Intn(3) == 0 {
		m.Set("params", []any{"a", yamlfmt.NewMap("p.json", []any{"x", r.text(extra...)}), yamlfmt.NewMap("w.yaml", nil)})
	}
	for _, field := range []string{"outs", "metrics", "plots"} {
		if r.Intn(2) == 0 {
			m.Set(field, r.outItems(extra...))
		}
	}
	if r.Intn(6) == 0 {
		m.Set("wdir", r.pick("sub", ".", "x/../sub", "sub/"+r.expr(extra...)))
	}
	if r.Intn(8) == 0 {
		m.Set(r.pick("frozen", "always_changed"), r.Intn(2) == 0)
	}
	if r.Intn(8) == 0 {
		m.Set("desc", r.text(extra...))
	}
	if r.Intn(8) == 0 {
		m.Set("meta", yamlfmt.NewMap("k", r.text(extra...), r.text(), int64(1)))
	}
	if r.Intn(12) == 0 {
		m.Set("vars", []any{r.mapping(1)})
	}
	if r.Intn(40) == 0 {
		m.Set(r.pick("outs", "foo", "deps", "cmd"), r.value(0))
	}
	return m
}

func (r *inventor) definition() *yamlfmt.Map {
	switch r.Intn(4) {
	case 0:
		var v any = r.expr()
		switch r.Intn(8) {
		case 0:
		case 1, 2:
			return yamlfmt.NewMap("foreach", r.mapping(3), "do", r.stage("item", "key"))
		case 3:
			v = "${loop}"
		case 4, 5:
			v = []any{yamlfmt.NewMap("a", r.scalar(), "b", r.expr()), yamlfmt.NewMap("a", r.scalar(), "b", r.scalar())}
			return yamlfmt.NewMap("foreach", v, "do", r.stage("item.a", "item.b"))
		default:
			v = []any{r.scalar(), r.scalar(), r.expr()}
		}
		return yamlfmt.NewMap("foreach", v, "do", r.stage("item"))
	case 1:
		axes := &yamlfmt.Map{}
		for i := range r.Intn(2) + 1 {
			var axis any = []any{r.scalar(), r.scalar(), r.expr()}
			if r.Intn(4) == 0 {
				axis = "${loop}"
			}
			axes.Set(string(rune('a'+i)), axis)
		}
		m := r.stage("item.a", "key")
		m.Set("matrix", axes)
		return m
	}
	return r.stage()
}

// invent makes a project of a seed.
func invent(seed int64) project {
	r := &inventor{Rand: rand.New(rand.NewSource(seed))}
	p := project{Name: fmt.Sprintf("seed %d", seed), Files: map[string]string{"sub/keep": "", "sub/x/keep": "", "x/keep": ""}}
	top := &yamlfmt.Map{}
	params := r.mapping(0)
	r.note("", params)
	params.Set("loop", []any{r.scalar(), r.scalar()})
	p.Files[DefaultParamsFile] = string(yamlfmt.Marshal(params))
	if r.Intn(3) == 0 {
		vars := yamlfmt.NewMap(r.pick("v", "w", "a"), r.value(1))
		r.note("", vars)
		top.Set("vars", []any{vars})
	}
	stages := &yamlfmt.Map{}
	for i := range r.Intn(3) + 1 {
		stages.Set(r.pick("s", "train", "a-b", "x_y")+strconv.Itoa(i), r.definition())
	}
	top.Set("stages", stages)
	if r.Intn(4) == 0 {
		top.Set(r.pick("metrics", "params"), []any{r.path()})
	}
	if r.Intn(5) == 0 {
		p.Files["config.json"] = `{"parsing": {"bool": "boolean_optional", "list": "append"}}`
	}
	p.Files[ProjectFile] = string(yamlfmt.Marshal(top))
	return p
}

// The projects and answers are recorded, since another Go may invent others.
func TestInventedProjectsAsDVC(t *testing.T) {
	t.Parallel()
	file := filepath.Join("testdata", "invented.json")
	if *record {
		var projects []project
		for seed := range int64(250) {
			projects = append(projects, invent(seed))
		}
		askDVC(t, projects)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, p := range projects {
			if err := enc.Encode(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.UseNumber(); dec.More(); {
		var p project
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			compareProject(t, p)
		})
	}
}

// TestFreshProjectsAsDVC needs the real DVC and compares projects that were
// not recorded.
func TestFreshProjectsAsDVC(t *testing.T) {
	t.Parallel()
	var projects []project
	for seed := range int64(40) {
		projects = append(projects, invent(1000+seed))
	}
	askDVC(t, projects)
	for _, p := range projects {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			compareProject(t, p)
		})
	}
}

// Edits of whatever is valid succeed, and say what they must, which they
// check themselves.
func TestEditsOfInventedProjects(t *testing.T) {
	t.Parallel()
	for seed := range int64(300) {
		text := []byte(invent(seed).Files[ProjectFile])
		_, top, err := parseDvcYAML(ProjectFile, text)
		if err != nil {
			continue
		}
		stages := value(top, "stages").(*yamlfmt.Map)
		for _, name := range stages.Keys() {
			if _, err := RemoveStage(ProjectFile, text, name); err != nil {
				t.Errorf("seed %d: remove %s: %v", seed, name, err)
			}
			if d := value(stages, name).(*yamlfmt.Map); d.Has("foreach") {
				continue
			}
			for _, frozen := range []bool{true, false} {
				if _, err := SetFrozen(ProjectFile, text, name, frozen); err != nil {
					t.Errorf("seed %d: freeze %s: %v", seed, name, err)
				}
			}
		}
		if _, err := AddStage(ProjectFile, text, "added", yamlfmt.NewMap("cmd", "x")); err != nil {
			t.Errorf("seed %d: add: %v", seed, err)
		}
	}
}
