package pipeline

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Edits of dvc.yaml change the lines they must and leave all others as the
// user wrote them. What the edit made is read again; if it does not say what
// it should, as may be with flow style and anchors, the file is rewritten as
// DVC rewrites it, which keeps comments but not every blank.

// CheckRewritable refuses to change a stage that templates made, since its
// text is not its own. action is "dump" or "remove", address as DVC's.
func CheckRewritable(s *Stage, action, address string) error {
	if !s.Generated {
		return nil
	}
	return errs.New(errs.Invalid, "cannot %s a parametrized stage: '%s'", action, address)
}

// AddStage returns the text of a dvc.yaml with a stage added after the others.
// A stage that is there already is replaced, keeping what stays the same of it.
// An empty text makes a new file. def is as [Stage.Definition] gives it.
func AddStage(file string, text []byte, name string, def *yamlfmt.Map) ([]byte, error) {
	if bad, found := notUTF8(yamlfmt.NewMap(name, def)); found {
		return nil, errs.New(errs.Invalid, "%q is not UTF-8, so '%s' cannot hold it", bad, file)
	}
	e, err := newEdit(file, text)
	if err != nil {
		return nil, err
	}
	stages := e.stages.Clone()
	if stages == nil {
		stages = &yamlfmt.Map{}
	}
	stages.Set(name, def)
	e.want.Set("stages", stages)
	block := yamlfmt.Marshal(yamlfmt.NewMap("stages", yamlfmt.NewMap(name, def)))
	switch {
	case !e.top.Has("stages"):
		if len(e.lines) == 0 || e.endMark() == len(e.lines) {
			return e.done(e.splice(len(e.lines), len(e.lines), splitLines(block)...), nil)
		}
	case e.stages.Len() > 0 && !e.stages.Has(name):
		indent, ok := e.blockIndent("stages")
		if !ok {
			break
		}
		lines := splitLines(block)[1:]
		for i, line := range lines {
			if line = strings.TrimPrefix(line, "  "); strings.TrimSpace(line) != "" {
				lines[i] = strings.Repeat(" ", indent) + line
			}
		}
		at := e.blockEnd("stages", len(e.stages.Keys())-1, e.stages)
		if added, err := e.done(e.splice(at, at, lines...), nil); err == nil {
			return added, nil
		}
	}
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) {
		if root.Sub("stages") == nil {
			root.Set("stages", stages)
			return
		}
		root.Sub("stages").Apply(name, def)
	}), nil)
}

// notUTF8 finds a text in a value that YAML cannot hold.
func notUTF8(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, !utf8.ValidString(x)
	case []any:
		for _, e := range x {
			if bad, found := notUTF8(e); found {
				return bad, true
			}
		}
	case *yamlfmt.Map:
		for k, e := range x.AllKeys() {
			if bad, found := notUTF8(k); found {
				return bad, true
			}
			if bad, found := notUTF8(e); found {
				return bad, true
			}
		}
	}
	return "", false
}

// HasStage reports whether a dvc.yaml has a stage or group of that name.
func HasStage(file string, text []byte, name string) (bool, error) {
	e, err := newEdit(file, text)
	if err != nil {
		return false, err
	}
	return e.stages.Has(name), nil
}

// RemoveStage returns the text of a dvc.yaml without a stage. It is nil if
// nothing is left: the file is to be deleted. Other sections stay when the
// last stage goes, unlike with DVC, which deletes them.
func RemoveStage(file string, text []byte, name string) ([]byte, error) {
	e, err := newEdit(file, text)
	if err != nil {
		return nil, err
	}
	if !e.stages.Has(name) {
		return nil, errs.New(errs.NotFound, "Stage '%s' not found inside '%s' file", name, file)
	}
	if e.stages.Len() == 1 {
		return e.dropStages()
	}
	stages := e.stages.Clone()
	stages.Delete(name)
	e.want.Set("stages", stages)
	if cut, err := e.cutKey(e.stages, "stages", name); err == nil {
		return cut, nil
	}
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) { root.Sub("stages").Delete(name) }), nil)
}

func (e *edit) dropStages() ([]byte, error) {
	if e.top.Len() == 1 {
		return nil, nil
	}
	e.want.Delete("stages")
	if cut, err := e.cutKey(e.top, "stages"); err == nil {
		return cut, nil
	}
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) { root.Delete("stages") }), nil)
}

// SetFrozen returns the text of a dvc.yaml with frozen set or taken away from
// a stage.
func SetFrozen(file string, text []byte, name string, frozen bool) ([]byte, error) {
	e, err := newEdit(file, text)
	if err != nil {
		return nil, err
	}
	v, _ := e.stages.Get(name)
	old, ok := v.(*yamlfmt.Map)
	if !ok || old.Has("foreach") {
		return nil, errs.New(errs.NotFound, "Stage '%s' not found inside '%s' file", name, file)
	}
	def := old.Clone()
	if frozen {
		def.Set("frozen", true)
	} else {
		def.Delete("frozen")
	}
	if yamlfmt.Equal(old, def) {
		return text, nil
	}
	stages := e.stages.Clone()
	stages.Set(name, def)
	e.want.Set("stages", stages)
	if spliced, err := e.freeze(name, old, frozen); err == nil {
		return spliced, nil
	}
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) {
		if s := root.Sub("stages").Sub(name); frozen {
			s.Set("frozen", true)
		} else {
			s.Delete("frozen")
		}
	}), nil)
}

func (e *edit) freeze(name string, old *yamlfmt.Map, frozen bool) ([]byte, error) {
	switch {
	case !frozen:
		return e.cutKey(old, "stages", name, "frozen")
	case old.Has("frozen"):
		return e.replaceAt("false", "true", false, "stages", name, "frozen")
	}
	indent, ok := e.blockIndent("stages", name)
	if !ok {
		return nil, errNoSplice
	}
	at := e.blockEndOf([]any{"stages", name}, old.Len()-1, old)
	return e.done(e.splice(at, at, strings.Repeat(" ", indent)+"frozen: true"), nil)
}

// RenameOut returns the text of a dvc.yaml in which an out of a stage has
// another path. Both are as written in the file. Deps of other stages stay.
func RenameOut(file string, text []byte, stage, from, to string) ([]byte, error) {
	e, err := newEdit(file, text)
	if err != nil {
		return nil, err
	}
	v, _ := e.stages.Get(stage)
	old, _ := v.(*yamlfmt.Map)
	def := old.Clone()
	type place struct {
		isKey bool
		path  []any
	}
	var places []place
	for _, field := range []string{"outs", "metrics", "plots"} {
		items := append([]any(nil), list(old, field)...)
		for i, item := range items {
			at := []any{"stages", stage, field, i}
			if m, ok := item.(*yamlfmt.Map); ok && m.Has(from) {
				items[i] = renamed(m, from, to)
				places = append(places, place{true, append(at, from)})
			} else if item == from {
				items[i] = to
				places = append(places, place{false, at})
			}
		}
		if len(items) > 0 {
			def.Set(field, items)
		}
	}
	if len(places) == 0 {
		return nil, errs.New(errs.NotFound, "stage '%s' in '%s' has no output '%s'", stage, file, from)
	}
	stages := e.stages.Clone()
	stages.Set(stage, def)
	e.want.Set("stages", stages)
	if len(places) == 1 {
		if spliced, err := e.replaceAt(from, to, places[0].isKey, places[0].path...); err == nil {
			return spliced, nil
		}
	}
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) {
		for _, field := range []string{"outs", "metrics", "plots"} {
			if items, ok := def.Get(field); ok {
				root.Sub("stages").Sub(stage).Apply(field, items)
			}
		}
	}), nil)
}

func renamed(m *yamlfmt.Map, from, to string) *yamlfmt.Map {
	out := &yamlfmt.Map{}
	for k, v := range m.AllKeys() {
		if k == from {
			k = to
		}
		out.SetKey(k, v)
	}
	return out
}

// Definition is the entry of dvc.yaml that says what the stage is, as DVC
// writes it: deps, outs and keys of parameters sorted.
func (s *Stage) Definition() *yamlfmt.Map {
	m := &yamlfmt.Map{}
	put(m, "desc", s.Desc)
	if s.CmdIsList {
		m.Set("cmd", labels(s.Cmd))
	} else if len(s.Cmd) > 0 {
		m.Set("cmd", s.Cmd[0])
	}
	if w := relativeTo(path.Dir(s.File), s.WDir); w != "." {
		m.Set("wdir", w)
	}
	var deps []string
	for _, d := range s.Deps {
		deps = append(deps, d.Path)
	}
	put(m, "deps", labels(sortedCopy(deps)))
	put(m, "params", s.paramItems())
	for _, field := range []string{"outs", "metrics", "plots"} {
		put(m, field, s.outItems(field))
	}
	put(m, "frozen", s.Frozen)
	put(m, "always_changed", s.AlwaysChanged)
	put(m, "meta", s.Meta)
	return m
}

func sortedCopy(list []string) []string { return slices.Sorted(slices.Values(list)) }

// paramItems lists the keys of params.yaml, then the other files.
func (s *Stage) paramItems() []any {
	byPath := map[string]*ParamDep{}
	var files []string
	for _, d := range s.Params {
		byPath[d.Path] = d
		files = append(files, d.Path)
	}
	var first, items []any
	for _, file := range sortedCopy(files) {
		keys := labels(sortedCopy(byPath[file].Keys))
		switch {
		case len(keys) == 0:
			items = append(items, yamlfmt.NewMap(file, nil))
		case file == DefaultParamsFile:
			first = append(keys, first...)
		default:
			items = append(items, yamlfmt.NewMap(file, keys))
		}
	}
	return append(first, items...)
}

func (s *Stage) outItems(field string) []any {
	byPath := map[string]*Out{}
	var paths []string
	for _, o := range s.Outs {
		in := "outs"
		if !isFalsy(o.Plot) {
			in = "plots"
		} else if !isFalsy(o.Metric) {
			in = "metrics"
		}
		if in == field {
			byPath[o.Path] = o
			paths = append(paths, o.Path)
		}
	}
	var items []any
	for _, p := range sortedCopy(paths) {
		if flags := byPath[p].flags(); flags.Len() > 0 {
			items = append(items, yamlfmt.NewMap(p, flags))
		} else {
			items = append(items, p)
		}
	}
	return items
}

func (o *Out) flags() *yamlfmt.Map {
	m := &yamlfmt.Map{}
	put(m, "desc", o.Desc)
	put(m, "type", o.Type)
	put(m, "labels", labels(o.Labels))
	put(m, "meta", o.Meta)
	if !o.Cache {
		m.Set("cache", false)
	}
	put(m, "persist", o.Persist)
	if props, ok := o.Plot.(*yamlfmt.Map); ok {
		update(m, props)
	}
	put(m, "remote", o.Remote)
	if !o.Push {
		m.Set("push", false)
	}
	return m
}

// edit is a dvc.yaml that is being changed line by line.
type edit struct {
	file   string
	doc    *yamlfmt.Doc
	crlf   bool
	odd    bool     // YAML sees line ends where lines has none
	lines  []string // without line ends
	top    *yamlfmt.Map
	stages *yamlfmt.Map // nil if there is no such section
	want   *yamlfmt.Map // what the changed text must say
}

var errNoSplice = errs.New(errs.Other, "the edit needs the file rewritten")

func newEdit(file string, text []byte) (*edit, error) {
	doc, top, err := parseDvcYAML(file, text)
	if err != nil {
		return nil, err
	}
	e := &edit{file: file, doc: doc, top: top, want: top.Clone(), crlf: bytes.Contains(text, []byte("\r\n"))}
	e.lines = splitLines(doc.Text())
	e.odd = bytes.ContainsAny(text, "\u0085\u2028\u2029\ufeff")
	e.stages, _ = value(top, "stages").(*yamlfmt.Map)
	return e, nil
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// splice replaces the lines from begin up to end.
func (e *edit) splice(begin, end int, lines ...string) []byte {
	all := append(append(append([]string(nil), e.lines[:begin]...), lines...), e.lines[end:]...)
	return []byte(strings.Join(all, "\n") + "\n")
}

// done checks that a changed text says what it must.
func (e *edit) done(text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	doc, err := yamlfmt.Parse(text)
	if err != nil || !yamlfmt.Equal(doc.Value(), e.want) {
		return nil, errs.New(errs.Other, "cannot change '%s' safely; edit it by hand", e.file)
	}
	if e.crlf {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return text, nil
}

// endMark is the line of a document end marker, or the number of lines.
func (e *edit) endMark() int {
	for i, line := range e.lines {
		if line == "..." || strings.HasPrefix(line, "... ") {
			return i
		}
	}
	return len(e.lines)
}

// blockIndent is how far the keys of a mapping in block style are indented.
func (e *edit) blockIndent(path ...any) (int, bool) {
	key, ok := e.doc.KeyPos(path...)
	pos, ok2 := e.doc.Pos(true, path...)
	if !ok || !ok2 || e.odd || pos.Line <= key.Line || pos.Col <= key.Col {
		return 0, false
	}
	line := e.lines[pos.Line-1]
	if strings.TrimLeft(line[:min(pos.Col-1, len(line))], " ") != "" || strings.HasPrefix(line[pos.Col-1:], "{") {
		return 0, false
	}
	return pos.Col - 1, true
}

// blockEnd is the line after the last one of the i-th entry of a section.
func (e *edit) blockEnd(section string, i int, m *yamlfmt.Map) int {
	return e.blockEndOf([]any{section}, i, m)
}

// blockEndOf is the line after the last one that belongs to the i-th key of
// the mapping at path. Blank lines and comments that are not indented below
// the key belong to what follows.
func (e *edit) blockEndOf(path []any, i int, m *yamlfmt.Map) int {
	key := keyAt(m, i)
	own, _ := e.doc.KeyPos(append(path[:len(path):len(path)], key)...)
	end := e.endMark()
	for at, next := path, i+1; ; {
		if next < m.Len() {
			if pos, ok := e.doc.KeyPos(append(at[:len(at):len(at)], keyAt(m, next))...); ok && pos.Line > own.Line {
				end = pos.Line - 1
			}
			break
		}
		if len(at) == 0 {
			break
		}
		parent := e.mapAt(at[:len(at)-1])
		for next = 0; next < parent.Len() && keyAt(parent, next) != at[len(at)-1]; next++ {
		}
		at, m, next = at[:len(at)-1], parent, next+1
	}
	for end > own.Line && belongsToNext(e.lines[end-1], own.Col-1) {
		end--
	}
	return end
}

func belongsToNext(line string, indent int) bool {
	text := strings.TrimLeft(line, " \t")
	return text == "" || text[0] == '#' && len(line)-len(text) <= indent
}

func keyAt(m *yamlfmt.Map, i int) any {
	for k := range m.AllKeys() {
		if i == 0 {
			return k
		}
		i--
	}
	return nil
}

func (e *edit) mapAt(path []any) *yamlfmt.Map {
	m := e.top
	for _, step := range path {
		v, _ := m.GetKey(step)
		m, _ = v.(*yamlfmt.Map)
	}
	return m
}

// cutKey removes the lines of the last key of path, which is one of m.
func (e *edit) cutKey(m *yamlfmt.Map, path ...any) ([]byte, error) {
	key := path[len(path)-1]
	i := 0
	for keyAt(m, i) != key {
		i++
	}
	pos, ok := e.doc.KeyPos(path...)
	if !ok || e.odd || strings.TrimSpace(e.lines[pos.Line-1][:pos.Col-1]) != "" {
		return nil, errNoSplice
	}
	begin := pos.Line - 1
	end := e.blockEndOf(path[:len(path)-1], i, m)
	// Of the blank lines on both sides, those of one side stay.
	blankBefore := begin == 0 || isBlank(e.lines[begin-1])
	for len(path) < 3 && blankBefore && end < len(e.lines) && isBlank(e.lines[end]) {
		end++
	}
	for end == len(e.lines) && begin > 0 && isBlank(e.lines[begin-1]) {
		begin--
	}
	return e.done(e.splice(begin, end), nil)
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// replaceAt replaces the scalar at a path, which reads from, wherever it is
// written in one line.
func (e *edit) replaceAt(from, to string, isKey bool, path ...any) ([]byte, error) {
	pos, ok := e.doc.Pos(false, path...)
	if isKey {
		pos, ok = e.doc.KeyPos(path...)
	}
	if !ok || e.odd {
		return nil, errNoSplice
	}
	runes := []rune(e.lines[pos.Line-1])
	if pos.Col-1 > len(runes) {
		return nil, errNoSplice
	}
	head, rest := string(runes[:pos.Col-1]), string(runes[pos.Col-1:])
	for _, old := range []string{from, "'" + strings.ReplaceAll(from, "'", "''") + "'", `"` + from + `"`} {
		tail, ok := strings.CutPrefix(rest, old)
		if !ok || tail != "" && !strings.ContainsAny(tail[:1], " ,:]}") {
			continue
		}
		for _, new := range spellings(to) {
			if out, err := e.done(e.splice(pos.Line-1, pos.Line, head+new+tail), nil); err == nil {
				return out, nil
			}
		}
	}
	return nil, errNoSplice
}

// spellings are ways to write a scalar in one line, the plainest first.
func spellings(s string) []string {
	if s == "true" {
		return []string{s}
	}
	var out []string
	if plain := strings.TrimPrefix(strings.TrimSuffix(string(yamlfmt.Marshal([]any{s})), "\n"), "- "); !strings.Contains(plain, "\n") {
		out = append(out, plain)
	}
	if !strings.ContainsAny(s, "\n\r\t") {
		out = append(out, "'"+strings.ReplaceAll(s, "'", "''")+"'")
	}
	return append(out, string(yamlfmt.JSON(s, false)))
}

// SetPlot returns the text of a dvc.yaml in which an out of a stage is a plot
// with display properties set and others taken away. An out of another section
// moves to plots. out is its path as written there.
func SetPlot(file string, text []byte, name, out string, set *yamlfmt.Map, unset []string) ([]byte, error) {
	e, err := newEdit(file, text)
	if err != nil {
		return nil, err
	}
	v, _ := e.stages.Get(name)
	old, ok := v.(*yamlfmt.Map)
	if !ok || old.Has("foreach") || old.Has("matrix") {
		return nil, errs.New(errs.NotFound, "Stage '%s' not found inside '%s' file", name, file)
	}
	def := old.Clone()
	if !setPlot(def, out, set, unset) {
		return nil, errs.New(errs.NotFound, "Stage '%s' in '%s' has no output '%s'", name, file, out)
	}
	if yamlfmt.Equal(old, def) {
		return text, nil
	}
	stages := e.stages.Clone()
	stages.Set(name, def)
	e.want.Set("stages", stages)
	return e.done(e.doc.Edit(func(root *yamlfmt.Tree) {
		s := root.Sub("stages").Sub(name)
		for _, section := range []string{"outs", "metrics", "plots"} {
			was, had := old.Get(section)
			now, has := def.Get(section)
			switch {
			case has && !(had && yamlfmt.Equal(was, now)):
				s.Apply(section, now)
			case had && !has:
				s.Delete(section)
			}
		}
	}), nil)
}

// setPlot changes the definition of a stage; false if it has no such out.
func setPlot(def *yamlfmt.Map, out string, set *yamlfmt.Map, unset []string) bool {
	for _, section := range []string{"plots", "outs", "metrics"} {
		v, _ := def.Get(section)
		items, _ := v.([]any)
		for i, item := range items {
			flags, rest, ok := outOf(item, out)
			if !ok {
				continue
			}
			update(flags, set)
			for _, key := range unset {
				flags.Delete(key)
			}
			var changed any = out
			if flags.Len() > 0 {
				changed = yamlfmt.NewMap(out, flags)
			}
			list := slices.Clone(items)
			if section == "plots" && rest == nil {
				list[i] = changed
				def.Set("plots", list)
				return true
			}
			if rest != nil {
				list[i] = rest
			} else {
				list = slices.Delete(list, i, i+1)
			}
			if def.Set(section, list); len(list) == 0 {
				def.Delete(section)
			}
			plots, _ := def.Get("plots")
			have, _ := plots.([]any)
			def.Set("plots", append(slices.Clone(have), changed))
			return true
		}
	}
	return false
}

// outOf finds an out in an item of a section: its flags, copied, and what else
// the item has.
func outOf(item any, out string) (flags, rest *yamlfmt.Map, ok bool) {
	m, isMap := item.(*yamlfmt.Map)
	if !isMap {
		return &yamlfmt.Map{}, nil, item == out
	}
	v, ok := m.Get(out)
	if !ok {
		return nil, nil, false
	}
	flags = &yamlfmt.Map{}
	if f, isFlags := v.(*yamlfmt.Map); isFlags {
		flags = f.Clone()
	}
	if m.Len() > 1 {
		rest = m.Clone()
		rest.Delete(out)
	}
	return flags, rest, true
}
