package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// project is a small repository, and what DVC 3.67.1 makes of it.
type project struct {
	Name  string            `json:"name"`
	Files map[string]string `json:"files,omitempty"`
	Want  map[string]any    `json:"want"`
}

// readProjects reads "== name", "-- path", text.
func readProjects(t *testing.T, file string) []project {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []project
	name := ""
	for line := range strings.Lines(string(data)) {
		if head, ok := strings.CutPrefix(line, "== "); ok {
			out = append(out, project{Name: strings.TrimSpace(head), Files: map[string]string{}})
		} else if head, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSpace(head)
			out[len(out)-1].Files[name] = ""
		} else {
			out[len(out)-1].Files[name] += line
		}
	}
	return out
}

// askDVC fills in what DVC makes of projects.
func askDVC(t *testing.T, projects []project) {
	t.Helper()
	dvc := os.Getenv("CAIRN_DVC")
	if dvc == "" {
		t.Skip("CAIRN_DVC does not name a DVC to compare with")
	}
	var in []map[string]string
	for _, p := range projects {
		in = append(in, p.Files)
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(dvc), "python"), filepath.Join("testdata", "oracle.py"))
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle: %v\n%s", err, stderr.Bytes())
	}
	var want []map[string]any
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber() // 2.0 is not 2
	if err := dec.Decode(&want); err != nil {
		t.Fatal(err)
	}
	for i := range projects {
		projects[i].Want = want[i]
	}
}

// recordedProjects gives projects the answers in a file, which -record makes.
func recordedProjects(t *testing.T, projects []project, answers string) {
	t.Helper()
	answers = filepath.Join("testdata", answers)
	if *record {
		askDVC(t, projects)
		var list []project
		for _, p := range projects {
			list = append(list, project{Name: p.Name, Want: p.Want})
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, p := range list {
			if err := enc.Encode(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(answers, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.UseNumber(); dec.More(); {
		var p project
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		byName[p.Name] = p.Want
	}
	for i := range projects {
		if projects[i].Want = byName[projects[i].Name]; projects[i].Want == nil {
			t.Fatalf("%s has no answer in %s; run with -record", projects[i].Name, answers)
		}
	}
}

func mapFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// describe says of a project what the oracle says.
func describe(files map[string]string) map[string]any {
	opt := Options{Root: "/repo"}
	if strings.Contains(files["config.json"], "parsing") {
		opt.Templating = Templating{BoolOptional: true, ListAppend: true}
	}
	l := NewLoader(mapFS(files), opt)
	f, err := l.File(ProjectFile)
	if err == nil && len(f.Errors) > 0 {
		err = f.Errors[0]
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if IsStageFile(filepath.Base(name)) {
			paths = append(paths, name)
		}
	}
	p := l.Load(slices.Values(paths))
	if err == nil && len(p.Errors) > 0 {
		err = p.Errors[0]
	}
	var g *Graph
	if err == nil {
		g, err = p.Graph()
	}
	if err != nil {
		return describeError(err)
	}
	stages := []any{}
	for _, s := range p.Stages {
		stages = append(stages, describeStage(p, s, f.Uses[s.Name]))
	}
	slices.SortFunc(stages, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["address"].(string), b.(map[string]any)["address"].(string))
	})
	order := []any{}
	edges := []string{}
	for _, s := range p.Stages {
		if s.File == ProjectFile {
			order = append(order, p.Address(s))
		}
		for _, n := range g.Needs(s) {
			edges = append(edges, p.Address(s)+"\x00"+p.Address(n))
		}
	}
	slices.Sort(edges)
	pairs := []any{}
	for _, e := range edges {
		a, b, _ := strings.Cut(e, "\x00")
		pairs = append(pairs, []any{a, b})
	}
	return map[string]any{"stages": stages, "order": order, "edges": pairs, "top": describeTop(f.Top)}
}

func describeTop(t TopLevel) []any {
	var artifacts any
	if t.Artifacts != nil {
		artifacts = t.Artifacts
	}
	texts := func(l []string) any {
		if l == nil {
			return nil
		}
		return l
	}
	values := func(l []any) any {
		if l == nil {
			return nil
		}
		return l
	}
	return []any{texts(t.Metrics), values(t.Plots), texts(t.Params), artifacts, values(t.Datasets)}
}

func describeError(err error) map[string]any {
	if e, ok := errors.AsType[*FileError](err); ok {
		if e.Syntax {
			return map[string]any{"syntax": true}
		}
		var list []any
		for _, p := range e.Problems {
			path := []any{}
			for _, step := range p.Path {
				path = append(path, pyStr(step))
			}
			list = append(list, []any{p.Msg, path})
		}
		return map[string]any{"schema": list}
	}
	if e, ok := errors.AsType[*GraphError](err); ok {
		return map[string]any{"error": e.Msg}
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return map[string]any{"error": e.Msg}
	}
	return map[string]any{"error": err.Error()}
}

func describeStage(p *Pipeline, s *Stage, uses []Use) map[string]any {
	m := map[string]any{
		"address": p.Address(s), "wdir": s.WDir, "frozen": s.Frozen, "always_changed": s.AlwaysChanged,
		"desc": orNil(s.Desc), "meta": s.Meta, "generated": s.Generated,
	}
	switch {
	case s.IsPointer():
		m["cmd"] = nil
	case s.CmdIsList:
		m["cmd"] = s.Cmd
	default:
		m["cmd"] = s.Cmd[0]
	}
	deps, params, outs := []any{}, []any{}, []any{}
	for _, d := range s.Deps {
		sum := any(orNil(d.Digest.String()))
		if d.Digest.IsZero() {
			sum = nil
		}
		if strings.HasPrefix(d.Path, "ds://") {
			sum = map[string]any{}
		}
		deps = append(deps, []any{d.Path, sum})
	}
	for _, d := range s.Params {
		keys := []any{}
		for _, k := range d.Keys {
			keys = append(keys, k)
		}
		var values any
		if d.Values != nil {
			m := &yamlfmt.Map{}
			for _, k := range d.Values.Keys {
				m.Set(k, d.Values.Values[k])
			}
			values = m
		}
		params = append(params, []any{d.Path, keys, values})
	}
	for _, o := range s.Outs {
		outs = append(outs, describeOut(o))
	}
	vars := map[string]any{}
	for _, u := range uses {
		if vars[u.File] == nil {
			vars[u.File] = map[string]any{}
		}
		vars[u.File].(map[string]any)[u.Key] = u.Value
	}
	m["deps"], m["params"], m["outs"], m["vars"] = deps, params, outs, vars
	return m
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func describeOut(o *Out) map[string]any {
	annot := map[string]any{}
	for k, v := range map[string]string{"desc": o.Desc, "type": o.Type} {
		if v != "" {
			annot[k] = v
		}
	}
	if len(o.Labels) > 0 {
		annot["labels"] = o.Labels
	}
	if !isFalsy(o.Meta) {
		annot["meta"] = o.Meta
	}
	orFalse := func(v any) any {
		if v == nil {
			return false
		}
		return v
	}
	var sum any
	if !o.Digest.IsZero() {
		sum = o.Digest.String()
	}
	return map[string]any{
		"path": o.Path, "cache": o.Cache, "persist": o.Persist, "push": o.Push, "remote": orNil(o.Remote),
		"metric": orFalse(o.Metric), "plot": orFalse(o.Plot), "annot": annot, "md5": sum,
	}
}

// jsonOf makes values comparable with the oracle's.
func jsonOf(t *testing.T, v any) any {
	t.Helper()
	var b bytes.Buffer
	writeJSON(&b, v)
	dec := json.NewDecoder(&b)
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	return out
}

func writeJSON(b *bytes.Buffer, v any) {
	switch x := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "%s:", yamlfmt.JSON(k, false))
			writeJSON(b, x[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	default:
		b.Write(yamlfmt.JSON(v, true))
	}
}

func compareProject(t *testing.T, p project) {
	t.Helper()
	got := jsonOf(t, describe(p.Files)).(map[string]any)
	raw, err := json.Marshal(p.Want)
	if err != nil {
		t.Fatal(err)
	}
	want := jsonOf(t, mustDecode(t, raw)).(map[string]any)
	if crash, ok := want["crash"]; ok {
		if got["stages"] != nil {
			t.Errorf("accepted what DVC fails on: %v", crash)
		}
		return
	}
	if e, _ := got["error"].(string); strings.Contains(e, ".cmd' in 'dvc.yaml': expected str, got ") {
		return // a mapping or nothing as a command, which DVC notices when it runs
	}
	for _, m := range []map[string]any{want, got} {
		tolerate(m)
		if e, ok := m["error"].(string); ok && strings.Contains(e, "is specified in:") {
			lines := strings.Split(e, "\n") // of a set, in any order
			slices.Sort(lines)
			m["error"] = lines
		}
		if e, ok := m["error"].(string); ok && strings.Contains(e, "in stages: ") {
			words := strings.FieldsFunc(e, func(r rune) bool { return strings.ContainsRune(" ,.", r) })
			slices.Sort(words)
			m["error"] = words
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DVC (-) and we (+) differ:\n%s\n%s", diff, p.Files[ProjectFile])
	}
}

// tolerate evens out where we differ from DVC on purpose.
func tolerate(m map[string]any) {
	if e, ok := m["error"].(string); ok {
		// DVC forgets where collections came from once a stage has vars.
		if i := strings.Index(e, " as it already exists in "); i >= 0 {
			m["error"] = e[:i]
		}
	}
	texts := func(m map[string]any, keys ...string) {
		for _, k := range keys {
			switch v := m[k].(type) {
			case bool:
				m[k] = pyStr(v)
			case json.Number:
				m[k] = v.String()
			case []any: // a command of several
				for i := range v {
					switch x := v[i].(type) {
					case nil, bool:
						v[i] = pyStr(x)
					case json.Number:
						v[i] = pyStr(parseNumber(x.String(), strings.ContainsAny(x.String(), ".e")))
					}
				}
			}
		}
	}
	stages, _ := m["stages"].([]any)
	for _, s := range stages {
		texts(s.(map[string]any), "cmd", "desc")
		for _, o := range s.(map[string]any)["outs"].([]any) {
			texts(o.(map[string]any), "remote")
			texts(o.(map[string]any)["annot"].(map[string]any), "desc", "type", "labels")
		}
	}
}

func mustDecode(t *testing.T, raw []byte) any {
	t.Helper()
	v, err := parseJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProjectsAsDVC(t *testing.T) {
	t.Parallel()
	projects := readProjects(t, "projects.txt")
	recordedProjects(t, projects, "projects.json")
	for _, p := range projects {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			compareProject(t, p)
		})
	}
}
