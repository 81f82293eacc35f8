package pipeline

import (
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// deepest checks a value against alternatives; if none fits, the problems of
// the one that got deepest are reported, as the library does that DVC uses.
func deepest(checks ...check) check {
	return func(path []any, v any, bad *[]schemaError) {
		var worst []schemaError
		for _, c := range checks {
			var found []schemaError
			if c(path, v, &found); len(found) == 0 {
				return
			}
			if worst == nil || len(found[0].path) > len(worst[0].path) {
				worst = found
			}
		}
		*bad = append(*bad, worst...)
	}
}

// eachOf checks the items of a list, each against alternatives, of which the
// last one's problem is reported. A problem inside of an item hides all others.
func eachOf(checks ...check) check {
	return func(path []any, v any, bad *[]schemaError) {
		items, ok := v.([]any)
		if !ok {
			say(bad, path, "expected a list")
			return
		}
		before := len(*bad)
		for i, item := range items {
			at := append(path[:len(path):len(path)], i)
			var found []schemaError
			for _, c := range checks {
				found = nil
				if c(at, item, &found); len(found) == 0 {
					break
				}
				if len(found[0].path) > len(at) {
					*bad = append((*bad)[:before], found...)
					return
				}
			}
			*bad = append(*bad, found[:min(len(found), 1)]...)
		}
	}
}

// namesOf checks a mapping of names to anything that c accepts.
func namesOf(c check) check {
	return func(path []any, v any, bad *[]schemaError) {
		m, ok := v.(*yamlfmt.Map)
		if !ok {
			say(bad, path, "expected a dictionary")
			return
		}
		for k, e := range m.AllKeys() {
			at := append(path[:len(path):len(path)], k)
			if _, ok := k.(string); !ok {
				say(bad, at, "expected str")
				continue
			}
			c(at, e, bad)
		}
	}
}

func isNull(path []any, v any, bad *[]schemaError) {
	if v != nil {
		say(bad, path, "not a valid value")
	}
}

// dvcYAMLSchema is made when the first file is checked.
var dvcYAMLSchema = sync.OnceValue(func() check {
	annotation := fields{"desc": isStr, "type": isStr, "labels": eachOf(isStr), "meta": isAnything}
	stageOutFields := with(annotation, fields{"cache": isBool, "persist": isBool, "checkpoint": isBool, "remote": isStr, "push": isBool})
	plotFields := fields{"template": isStr, "x": isStr, "y": isStr, "x_label": isStr, "y_label": isStr, "title": isStr, "header": isBool}
	stageOut := eachOf(deepest(isStr, namesOf(mapping(stageOutFields))))
	plotProps := mapping(with(stageOutFields, plotFields))
	stagePlot := eachOf(deepest(isStr, namesOf(deepest(plotProps, eachOf(plotProps)))))
	vars := eachOf(isStr, isDict)

	stage := mapping(fields{
		"matrix": namesOf(deepest(isStr, isList)), "cmd": deepest(isStr, isList), "wdir": isStr, "deps": eachOf(isStr),
		"params": eachOf(deepest(isStr, isDict)), "vars": vars, "frozen": isBool, "meta": isAnything, "desc": isStr,
		"always_changed": isBool, "outs": stageOut, "metrics": stageOut, "plots": stagePlot,
	}, "cmd")
	foreach := mapping(fields{"foreach": deepest(isDict, isList, isStr), "do": stage}, "foreach", "do")

	plotDefinition := mapping(fields{
		"x": deepest(isStr, namesOf(isStr)), "y": deepest(isStr, eachOf(isStr), namesOf(deepest(isStr, eachOf(isStr)))),
		"x_label": isStr, "y_label": isStr, "title": isStr, "template": isStr,
	})

	isStageDefinition := func(path []any, v any, bad *[]schemaError) {
		if m, ok := v.(*yamlfmt.Map); ok && (m.Has("foreach") || m.Has("do")) {
			foreach(path, v, bad)
			return
		}
		stage(path, v, bad)
	}
	plots := namesOf(deepest(plotDefinition, isNull))
	isTopPlot := func(path []any, v any, bad *[]schemaError) {
		if m, ok := v.(*yamlfmt.Map); ok && m.Len() == 0 {
			say(bad, path, "expected the path or name of a plot")
			return
		}
		plots(path, v, bad)
	}
	return mapping(fields{
		"datasets": isAnything, "plots": eachOf(deepest(isStr, isTopPlot)), "stages": namesOf(isStageDefinition),
		"vars": vars, "params": eachOf(isStr), "metrics": eachOf(isStr),
		"artifacts": namesOf(mapping(with(annotation, fields{"path": isStr}), "path")),
	})
})

// parseDvcYAML reads a dvc.yaml. An empty one is an empty mapping.
func parseDvcYAML(file string, data []byte) (*yamlfmt.Doc, *yamlfmt.Map, error) {
	doc, err := loadYAML(file, data)
	if err != nil {
		return nil, nil, err
	}
	v := doc.Value()
	if isFalsy(v) {
		v = yamlfmt.NewMap()
	}
	if err := validate(file, doc, v, dvcYAMLSchema()); err != nil {
		return nil, nil, err
	}
	return doc, v.(*yamlfmt.Map), nil
}

// stageBuilder makes a stage of its expanded definition.
type stageBuilder struct {
	l *Loader
	r *resolver
	e *expanded
	s *Stage
}

// build makes the model of an expanded stage, as the lock does not know it.
func (r *resolver) build(e *expanded) (*Stage, error) {
	s := &Stage{
		File: r.file, Name: e.name, WDir: e.wdir, Generated: e.generated,
		Frozen: flag(e.data, "frozen"), AlwaysChanged: flag(e.data, "always_changed"), Meta: value(e.data, "meta"),
	}
	if d := value(e.data, "desc"); d != nil {
		s.Desc = pyStr(d)
	}
	if pos, ok := r.doc.KeyPos(e.at[:2]...); ok {
		s.Line = pos.Line
	}
	b := &stageBuilder{l: r.l, r: r, e: e, s: s}
	for _, step := range []func() error{b.cmd, b.deps, b.params, b.outs} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// fail is an error in a field of the definition.
func (b *stageBuilder) fail(field, format string, args ...any) error {
	msg := fmt.Sprintf("failed to parse 'stages.%s.%s' in '%s': ", b.s.Name, field, b.r.shown) + fmt.Sprintf(format, args...)
	return b.r.plainFail(msg, append(b.e.at[:len(b.e.at):len(b.e.at)], field)...)
}

func (b *stageBuilder) cmd() error {
	switch c := value(b.e.data, "cmd").(type) {
	case []any:
		b.s.CmdIsList = true
		b.s.Cmd = make([]string, len(c))
		for i, item := range c {
			if isCollection(item) {
				return b.fail("cmd", "expected str, got %s", pyType(item))
			}
			b.s.Cmd[i] = pyStr(item)
		}
	case *yamlfmt.Map, nil:
		return b.fail("cmd", "expected str, got %s", pyType(c))
	default:
		b.s.Cmd = []string{pyStr(c)}
	}
	return nil
}

// path checks a path of a dep, a file of parameters or an out.
func (b *stageBuilder) path(field string, v any) (string, error) {
	p, ok := v.(string)
	switch {
	case !ok:
		return "", b.fail(field, "expected str, got %s", pyType(v))
	case p == "":
		return "", b.fail(field, "a path is empty")
	case strings.IndexByte(p, 0) >= 0:
		return "", b.fail(field, "path %q holds a NUL byte", p)
	}
	return b.l.local(p, b.s.WDir), nil
}

func (b *stageBuilder) deps() error {
	for _, v := range list(b.e.data, "deps") {
		p, err := b.path("deps", v)
		if err != nil {
			return err
		}
		b.s.Deps = append(b.s.Deps, &Dep{Entry: newEntry(p), Stage: b.s})
	}
	return nil
}

func newEntry(p string) Entry { return Entry{Path: p, Size: -1, NFiles: -1} }

// params merges the items for each file; an item without keys makes it the
// whole file.
func (b *stageBuilder) params() error {
	items := list(b.e.data, "params")
	whole := map[string]bool{}
	for _, item := range items {
		m, _ := item.(*yamlfmt.Map)
		for file, keys := range m.All() {
			whole[file] = whole[file] || isFalsy(keys)
		}
	}
	deps := map[string]*ParamDep{}
	add := func(file string, keys ...any) error {
		d := deps[file]
		if d == nil {
			p, err := b.path("params", file)
			if err != nil {
				return err
			}
			d = &ParamDep{Path: p}
			deps[file] = d
			b.s.Params = append(b.s.Params, d)
		}
		for _, k := range keys {
			if isCollection(k) {
				return b.fail("params", "expected str, got %s", pyType(k))
			}
			d.Keys = append(d.Keys, pyStr(k))
		}
		return nil
	}
	for _, item := range items {
		m, ok := item.(*yamlfmt.Map)
		if !ok {
			if !whole[DefaultParamsFile] {
				if err := add(DefaultParamsFile, item); err != nil {
					return err
				}
			}
			continue
		}
		for file, v := range m.All() {
			keys, ok := v.([]any)
			if !ok && !whole[file] {
				return b.fail("params", "Expected list of params for custom params file '%s', got '%s'.", file, pyType(v))
			}
			if whole[file] {
				keys = nil
			}
			if err := add(file, keys...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *stageBuilder) outs() error {
	for _, field := range []string{"outs", "metrics", "plots"} {
		merged, err := b.mergeOuts(field)
		if err != nil {
			return err
		}
		for name, flags := range merged.AllKeys() {
			p, err := b.path(field, name)
			if err != nil {
				return err
			}
			o := newOut(b.s, p, flags.(*yamlfmt.Map))
			if err := b.checkPlace(field, o); err != nil {
				return err
			}
			switch field {
			case "metrics":
				o.Metric = true
			case "plots":
				o.Plot = plotProps(flags.(*yamlfmt.Map))
			}
			b.s.Outs = append(b.s.Outs, o)
		}
	}
	return nil
}

// checkPlace refuses outs that cairn must not write to: cached ones outside
// of the repository, and any in its own or Git's folders.
func (b *stageBuilder) checkPlace(field string, o *Out) error {
	full := o.RepoPath()
	outside := o.IsExternal() || leaves(full) || path.IsAbs(full)
	switch {
	case outside && o.Cache:
		return b.fail(field, "cached output '%s' is outside of the repository", o.Path)
	case outside || full == ".":
		return nil
	}
	if err := disk.CheckRel(full); err != nil {
		return b.fail(field, "%v", err)
	}
	return nil
}

// mergeOuts collects the flags of each path of a list of outs.
func (b *stageBuilder) mergeOuts(field string) (*yamlfmt.Map, error) {
	merged := &yamlfmt.Map{}
	flagsOf := func(name any) *yamlfmt.Map {
		if v, ok := merged.GetKey(name); ok {
			return v.(*yamlfmt.Map)
		}
		m := &yamlfmt.Map{}
		merged.SetKey(name, m)
		return m
	}
	for _, item := range list(b.e.data, field) {
		m, ok := item.(*yamlfmt.Map)
		if !ok {
			if isCollection(item) {
				return nil, b.fail(field, "expected str, got %s", pyType(item))
			}
			flagsOf(item)
			continue
		}
		for name, v := range m.AllKeys() {
			flags, ok := v.(*yamlfmt.Map)
			if !ok {
				return nil, b.fail(field, "Expected dict for '%s', got: '%s'", pyStr(name), pyType(v))
			}
			update(flagsOf(name), flags)
		}
	}
	return merged, nil
}

func newOut(s *Stage, path string, flags *yamlfmt.Map) *Out {
	o := &Out{
		Entry: newEntry(path), Stage: s, Cache: value(flags, "cache") != false, Persist: flag(flags, "persist"),
		Push: value(flags, "push") != false, Meta: value(flags, "meta"),
	}
	for key, to := range map[string]*string{"remote": &o.Remote, "desc": &o.Desc, "type": &o.Type} {
		if v := value(flags, key); v != nil {
			*to = pyStr(v)
		}
	}
	for _, label := range list(flags, "labels") {
		o.Labels = append(o.Labels, pyStr(label))
	}
	return o
}

// plotProps picks what the plots item says of the plot, or true.
func plotProps(flags *yamlfmt.Map) any {
	props := &yamlfmt.Map{}
	for _, key := range []string{"template", "x", "y", "x_label", "y_label", "title", "header"} {
		if v, ok := flags.Get(key); ok {
			props.Set(key, v)
		}
	}
	if props.Len() == 0 {
		return true
	}
	return props
}

// TopLevel holds the sections of a dvc.yaml beside its stages, expanded.
type TopLevel struct {
	Params, Metrics []string     // paths, relative to the folder of the file
	Plots           []any        // a path, or a mapping of one id to its properties or nil
	Artifacts       *yamlfmt.Map // name → mapping with path
	Datasets        []any        // mappings
}

// topLevel expands the sections; errors of several are joined in errlist.
func (r *resolver) topLevel(top *yamlfmt.Map) (t TopLevel, bad []error) {
	items := func(section string) []any {
		var out []any
		for i, item := range list(top, section) {
			v, err := r.top(item, section, i)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			out = append(out, v)
		}
		return out
	}
	texts := func(section string) []string {
		var out []string
		for _, v := range items(section) {
			out = append(out, pyStr(v))
		}
		return out
	}
	t.Params, t.Metrics = texts("params"), texts("metrics")
	t.Plots = items("plots")
	if d := value(top, "datasets"); d != nil {
		if _, ok := d.([]any); !ok {
			bad = append(bad, r.plainFail(fmt.Sprintf("failed to parse 'datasets' in '%s': expected a list, got %s", r.shown, pyType(d)), "datasets"))
		}
	}
	t.Datasets = items("datasets")
	artifacts, _ := value(top, "artifacts").(*yamlfmt.Map)
	for name, def := range artifacts.All() {
		if t.Artifacts == nil {
			t.Artifacts = &yamlfmt.Map{}
		}
		n, err := r.top(name, "artifacts", name)
		text, isText := n.(string)
		if err == nil && !isText {
			err = r.plainFail(fmt.Sprintf("failed to resolve 'artifacts.%s' in '%s': expected str, got %s", name, r.shown, pyType(n)), "artifacts", name)
		}
		var v any
		if err == nil {
			v, err = r.top(def, "artifacts", name)
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		t.Artifacts.Set(text, v)
	}
	return t, bad
}

// fileMissing is a stage file that does not exist.
func fileMissing(shown string, ignored bool) error {
	what := "does not exist"
	if ignored {
		what = "is dvc-ignored"
	}
	return &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("'%s' %s", shown, what)}
}
