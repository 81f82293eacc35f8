package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// groupSep stands between the name of a group and that of its member.
const groupSep = "@"

// resolver expands the definitions of one dvc.yaml: templates, foreach and
// matrix. Stages are expanded one by one, when they are asked for.
type resolver struct {
	l      *Loader
	file   string // of the dvc.yaml, relative to the root
	dir    string
	shown  string
	doc    *yamlfmt.Doc
	scope  tmplScope
	stages *yamlfmt.Map
	groups map[string]*group

	warnings []string
}

// group is the definition of stages that foreach or matrix makes.
type group struct {
	template *yamlfmt.Map
	at       []any // of the template in the file
	keys     []string
	items    map[string]any // nodes, or plain values with nodes in them
	withKey  bool           // ${key} is defined
	syntax   error          // of the template
	checked  bool
	err      error // nothing of the group can be expanded
}

// expanded is one stage with its templates filled in.
type expanded struct {
	name      string
	data      *yamlfmt.Map
	wdir      string // relative to the root
	at        []any  // of its definition in the file
	generated bool
	uses      []Use
}

func newResolver(l *Loader, file string, doc *yamlfmt.Doc, top *yamlfmt.Map) (*resolver, error) {
	r := &resolver{l: l, file: file, dir: path.Dir(file), shown: l.show(file), doc: doc, scope: newScope(), groups: map[string]*group{}}
	if m, ok := top.Get("stages"); ok {
		r.stages, _ = m.(*yamlfmt.Map)
	}
	vars := listAt(top, "vars")
	if anyExpression(vars) {
		return nil, r.plainFail("failed to parse 'vars' in '"+r.shown+"': interpolating is not allowed", "vars")
	}
	if err := r.loadVars(&r.scope, vars, r.dir, "", true); err != nil {
		return nil, r.fail(err, "'vars'", "vars")
	}
	return r, nil
}

func listAt(m *yamlfmt.Map, key string) []any {
	v, _ := m.Get(key)
	list, _ := v.([]any)
	return list
}

// plainFail is an error with a place.
func (r *resolver) plainFail(msg string, at ...any) error {
	e := &errs.Error{Kind: errs.Invalid, Msg: msg, File: r.shown}
	for ; len(at) > 0; at = at[:len(at)-1] {
		if pos, ok := r.doc.KeyPos(at...); ok {
			e.Line = pos.Line
			break
		}
	}
	return e
}

// fail words a failure of templating as DVC does. what is the part of the
// file that was expanded.
func (r *resolver) fail(err error, what string, at ...any) error {
	var t *tmplError
	if !errors.As(err, &t) {
		return err
	}
	if t.kind == tmplBroken {
		return r.plainFail(t.msg, at...)
	}
	return r.plainFail(fmt.Sprintf("failed to parse %s in '%s':%s%s", what, r.shown, t.spacing(), t.msg), at...)
}

// loadVars adds the entries of a vars section, whose files are relative to
// wdir. stage is "" for the section of the file, to which params.yaml belongs.
func (r *resolver) loadVars(c *tmplScope, vars []any, wdir, stage string, withDefault bool) error {
	if withDefault {
		file := path.Join(wdir, DefaultParamsFile)
		if _, err := fs.Stat(r.l.fsys, file); err == nil {
			if err := r.importVars(c, DefaultParamsFile, wdir); err != nil {
				return err
			}
		}
	}
	for i, item := range vars {
		switch x := item.(type) {
		case string:
			if err := r.importVars(c, x, wdir); err != nil {
				return err
			}
		case *yamlfmt.Map:
			name := "vars[" + strconv.Itoa(i) + "]"
			if stage != "" {
				name = stage + "." + name
			}
			n, err := newTmplNode(x, &tmplOrigin{name: name}, nil, "")
			if err == nil {
				err = c.add(n, "")
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// importVars loads "file" or "file:key,key".
func (r *resolver) importVars(c *tmplScope, item, wdir string) error {
	name, list, _ := strings.Cut(item, ":")
	file := path.Join(wdir, name)
	var keys []string
	for _, k := range strings.Split(list, ",") {
		if k != "" {
			keys = append(keys, k)
		}
	}
	if skip, err := c.checkImport(file, item, keys); skip || err != nil {
		return err
	}
	values, err := r.l.varsFile(file, keys)
	if err != nil {
		return err
	}
	if err := c.add(values, item); err != nil {
		return err
	}
	c.imported(file, keys)
	return nil
}

// names lists the stages in order, and what is wrong with groups whose
// members cannot be found out.
func (r *resolver) names() (out []string, bad []error) {
	for name := range r.stages.All() {
		g, err := r.group(name)
		switch {
		case err != nil:
			bad = append(bad, err)
		case g == nil:
			out = append(out, name)
		default:
			out = append(out, g.names(name)...)
		}
	}
	return out, bad
}

func (g *group) names(group string) []string {
	out := make([]string, len(g.keys))
	for i, k := range g.keys {
		out[i] = group + groupSep + k
	}
	return out
}

// isGroup reports whether name is a foreach or matrix definition.
func (r *resolver) isGroup(name string) bool {
	d, _ := r.stages.Get(name)
	m, _ := d.(*yamlfmt.Map)
	return m.Has("foreach") || m.Has("matrix")
}

// group returns the group of a name, or nil if it is a plain stage.
func (r *resolver) group(name string) (*group, error) {
	if g, ok := r.groups[name]; ok {
		return g, g.err
	}
	if !r.isGroup(name) {
		return nil, nil
	}
	d, _ := r.stages.Get(name)
	def := d.(*yamlfmt.Map)
	g := &group{items: map[string]any{}}
	if matrix, ok := def.Get("matrix"); ok {
		g.template = def.Clone()
		g.template.Delete("matrix")
		g.at = []any{"stages", name}
		g.withKey = true
		g.err = r.matrix(g, name, matrix)
	} else {
		do, _ := def.Get("do")
		g.template, _ = do.(*yamlfmt.Map)
		g.at = []any{"stages", name, "do"}
		data, _ := def.Get("foreach")
		g.err = r.foreach(g, name, data)
	}
	r.groups[name] = g
	return g, g.err
}

// expandData fills in the templates of the data of a loop; the result holds
// nodes where expressions were.
func (r *resolver) expandData(name, field string, data any) (any, error) {
	x := expander{ctx: &r.scope, opt: &r.l.opt.Templating, keep: true}
	v, err := x.value(data)
	if err != nil {
		return nil, r.fail(err, fmt.Sprintf("'stages.%s.%s'", name, field), "stages", name, field)
	}
	return v, nil
}

// warnOverwritten notes that a loop hides variables.
func (r *resolver) warnOverwritten(name string, keys ...string) {
	var hidden []string
	for _, k := range keys {
		if r.scope.root.dict[k] != nil {
			hidden = append(hidden, k)
		}
	}
	if len(hidden) == 0 {
		return
	}
	verb := "is"
	if len(hidden) > 1 {
		verb = "are"
	}
	r.warnings = append(r.warnings, fmt.Sprintf("%s %s already specified, will be overwritten for stages generated from '%s'",
		strings.Join(hidden, " and "), verb, name))
}

// member adds an item; the last of equal keys counts, in the first's place.
func (g *group) member(key string, item any) {
	if _, ok := g.items[key]; !ok {
		g.keys = append(g.keys, key)
	}
	g.items[key] = item
}

func (r *resolver) foreach(g *group, name string, data any) error {
	v, err := r.expandData(name, "foreach", data)
	if err != nil {
		return err
	}
	if each := mapItems(v); each != nil {
		g.withKey = true
		each(g.member)
		r.warnOverwritten(name, "item", "key")
		return nil
	}
	list, ok := listItems(v)
	if !ok {
		return r.plainFail(fmt.Sprintf("failed to resolve 'stages.%s.foreach' in '%s': expected list/dictionary, got %s",
			name, r.shown, pyType(v)), "stages", name, "foreach")
	}
	byIndex := false
	for _, e := range list {
		byIndex = byIndex || isCollection(e)
	}
	for i, e := range list {
		if byIndex {
			g.member(strconv.Itoa(i), e)
		} else {
			g.member(keyText(e), e)
		}
	}
	r.warnOverwritten(name, "item")
	return nil
}

// mapItems returns an iterator over a mapping, or nil if v is none.
func mapItems(v any) func(visit func(key string, item any)) {
	switch x := v.(type) {
	case *yamlfmt.Map:
		return func(visit func(string, any)) {
			for k, e := range x.AllKeys() {
				visit(keyText(k), e)
			}
		}
	case *tmplNode:
		if x.kind == dictNode {
			return func(visit func(string, any)) {
				for _, k := range x.keys {
					visit(k, x.dict[k])
				}
			}
		}
	}
	return nil
}

func listItems(v any) ([]any, bool) {
	switch x := v.(type) {
	case []any:
		return x, true
	case *tmplNode:
		if x.kind == listNode {
			list := make([]any, len(x.list))
			for i, e := range x.list {
				list[i] = e
			}
			return list, true
		}
	}
	return nil, false
}

func isCollection(v any) bool {
	switch x := v.(type) {
	case []any, *yamlfmt.Map:
		return true
	case *tmplNode:
		return x.kind != scalarNode
	}
	return false
}

// keyText is how an item names a stage. A boolean is true or false if it was
// written in place, but True or False if it came from a variable.
func keyText(v any) string {
	if b, ok := v.(bool); ok {
		return strconv.FormatBool(b)
	}
	return pyStr(v)
}

// maxProduct bounds the stages that one matrix makes, so that a small file
// cannot fill the memory.
const maxProduct = 1 << 17

func (r *resolver) matrix(g *group, name string, data any) error {
	v, err := r.expandData(name, "matrix", data)
	if err != nil {
		return err
	}
	m, _ := v.(*yamlfmt.Map)
	var keys []string
	var axes [][]any
	total := 1
	for k, e := range m.All() {
		axis, ok := axisItems(e)
		if !ok {
			return r.plainFail(fmt.Sprintf("failed to resolve 'stages.%s.matrix.%s' in '%s': expected list, got %s",
				name, k, r.shown, pyType(e)), "stages", name, "matrix", k)
		}
		keys, axes = append(keys, k), append(axes, axis)
		if total *= len(axis); total > maxProduct {
			return r.plainFail(fmt.Sprintf("the matrix of '%s' stands for more than %d stages", name, maxProduct), "stages", name, "matrix")
		}
	}
	r.warnOverwritten(name, "key", "item")
	if len(keys) == 0 {
		return r.plainFail(fmt.Sprintf("the matrix of '%s' is empty", name), "stages", name, "matrix")
	}
	at := make([]int, len(axes))
	for range total {
		item := &yamlfmt.Map{}
		parts := make([]string, len(axes))
		for i, axis := range axes {
			e := axis[at[i]]
			item.Set(keys[i], e)
			if parts[i] = keyText(e); isCollection(e) {
				parts[i] = keys[i] + strconv.Itoa(at[i])
			}
		}
		g.member(strings.Join(parts, "-"), item)
		for i := len(at) - 1; i >= 0; i-- {
			if at[i]++; at[i] < len(axes[i]) {
				break
			}
			at[i] = 0
		}
	}
	return nil
}

// axisItems is what Python iterates over: items of a list, keys of a
// mapping, characters of a text.
func axisItems(v any) ([]any, bool) {
	if list, ok := listItems(v); ok {
		return list, true
	}
	var out []any
	if each := mapItems(v); each != nil {
		each(func(k string, _ any) { out = append(out, k) })
		return out, true
	}
	s, ok := v.(string)
	for _, c := range s {
		out = append(out, string(c))
	}
	return out, ok
}

// noStage is the error for a name that a dvc.yaml does not have.
func (r *resolver) noStage(name string) error {
	return &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("Stage '%s' not found inside '%s' file", name, r.shown)}
}

// has reports whether there is a stage of that name, which is not that of a
// group.
func (r *resolver) has(name string) bool {
	if !r.stages.Has(name) {
		g, _, err := r.memberOf(name)
		return g != nil && err == nil
	}
	return !r.isGroup(name) && !strings.Contains(name, groupSep)
}

// memberOf finds the group that a name belongs to, and its key; nil if it is
// no such name.
func (r *resolver) memberOf(name string) (*group, string, error) {
	i := strings.LastIndex(name, groupSep)
	if i < 0 || !r.stages.Has(name[:i]) {
		return nil, "", nil
	}
	g, err := r.group(name[:i])
	if g == nil || err != nil {
		return nil, "", err
	}
	key := name[i+1:]
	if _, ok := g.items[key]; !ok || key == "" {
		return nil, "", nil
	}
	return g, key, nil
}

// stage expands one stage.
func (r *resolver) stage(name string) (*expanded, error) {
	g, key, err := r.memberOf(name)
	if err != nil {
		return nil, err
	}
	if g != nil {
		return r.generate(g, name, key)
	}
	if !r.has(name) {
		return nil, r.noStage(name)
	}
	def, _ := r.stages.Get(name)
	at := []any{"stages", name}
	if err := r.checkSyntax(name, def.(*yamlfmt.Map), at); err != nil {
		return nil, err
	}
	return r.expand(&r.scope, name, def.(*yamlfmt.Map), at, false)
}

// generate expands one member of a group.
func (r *resolver) generate(g *group, name, key string) (*expanded, error) {
	if !g.checked {
		g.checked = true
		g.syntax = r.checkSyntax(name[:len(name)-len(key)-len(groupSep)], g.template, g.at)
	}
	if g.syntax != nil {
		return nil, g.syntax
	}
	scope := r.scope
	var err error
	holder := &tmplNode{kind: dictNode}
	if scope.item, err = newTmplNode(g.items[key], nil, holder, "item"); err != nil {
		return nil, r.fail(err, "stage '"+name+"'", g.at...)
	}
	if g.withKey {
		scope.key = &tmplNode{scalar: key, parent: holder, name: "key"}
	}
	e, err := r.expand(&scope, name, g.template, g.at, true)
	if err == nil {
		e.generated = true
	}
	return e, err
}

// checkSyntax checks the expressions of all fields of a definition.
func (r *resolver) checkSyntax(name string, def *yamlfmt.Map, at []any) error {
	for k, v := range def.All() {
		if err := checkSyntax(v); err != nil {
			return r.fail(err, fmt.Sprintf("'stages.%s.%s'", name, k), append(at[:len(at):len(at)], k)...)
		}
	}
	return nil
}

func (r *resolver) expand(scope *tmplScope, name string, def *yamlfmt.Map, at []any, checked bool) (*expanded, error) {
	e := &expanded{name: name, at: at, wdir: r.dir, data: &yamlfmt.Map{}}
	sub := func(k any) []any { return append(at[:len(at):len(at)], k) }
	x := expander{ctx: scope, opt: &r.l.opt.Templating}
	if w, _ := def.Get("wdir"); w != nil && w != "" {
		v, err := x.value(w)
		if err != nil {
			return nil, r.fail(err, fmt.Sprintf("'stages.%s.wdir'", name), sub("wdir")...)
		}
		text, _ := x.opt.text(v)
		e.wdir = r.l.join(r.dir, text)
	}
	if def.Has("vars") {
		own, err := r.stageVars(scope, name, def, e.wdir, at)
		if err != nil {
			return nil, err
		}
		x.ctx = own
		x.changed = true
	}
	x.checked, x.inField, x.uses = checked, true, &e.uses
	for k, v := range def.All() {
		if k == "vars" {
			continue
		}
		x.field = k
		out, err := x.value(v)
		if err != nil {
			return nil, r.fail(err, fmt.Sprintf("'stages.%s.%s'", name, k), sub(k)...)
		}
		e.data.Set(k, out)
	}
	e.generated = x.changed
	return e, nil
}

// stageVars is the scope of a stage that has variables of its own.
func (r *resolver) stageVars(scope *tmplScope, name string, def *yamlfmt.Map, wdir string, at []any) (*tmplScope, error) {
	place := append(at[:len(at):len(at)], "vars")
	vars := listAt(def, "vars")
	if anyExpression(vars) {
		return nil, r.plainFail(fmt.Sprintf("failed to parse 'stages.%s.vars' in '%s': interpolating is not allowed", name, r.shown), place...)
	}
	own := *scope
	err := r.loadVars(&own, vars, wdir, name, false)
	var t *tmplError
	switch {
	case err == nil:
		return &own, nil
	case errors.As(err, &t) && t.kind == tmplReloaded:
		return nil, r.fail(err, fmt.Sprintf("'stages.%s.vars'", name), place...)
	}
	return nil, r.fail(err, "stage '"+name+"'", place...)
}

// top expands one of the sections beside stages. what is its place in words.
func (r *resolver) top(v any, at ...any) (any, error) {
	what := make([]string, len(at))
	for i, step := range at {
		what[i] = pyStr(step)
	}
	err := checkSyntax(v)
	if err == nil {
		x := expander{ctx: &r.scope, opt: &r.l.opt.Templating}
		v, err = x.value(v)
	}
	if err != nil {
		return nil, r.fail(err, "'"+strings.Join(what, ".")+"'", at...)
	}
	return v, nil
}
