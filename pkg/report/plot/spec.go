package plot

import (
	"slices"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// separator joins a file and a field.
const separator = "::"

// Spec is the plot as a Vega-Lite specification. With split, what a client
// may want to choose itself stays an anchor in content, and anchors has its
// values. Both are nil without data. Values may be of type [Data]: see
// [AppendJSON].
func (p *Plot) Spec(split bool) (content, anchors *yamlfmt.Map, err error) {
	return p.spec(split, nil)
}

// spec is Spec with other data in place of all of it, unless instead is nil. It
// is called when runs have the fields that tell them apart.
func (p *Plot) spec(split bool, instead func() Data) (content, anchors *yamlfmt.Map, err error) {
	if p.Data.N() == 0 {
		return nil, nil, nil
	}
	for _, field := range []string{"x", "y"} {
		if f := p.prop(field); f != "" && !p.Data.has(f) {
			return nil, nil, errs.New(errs.Invalid, "Field '%s' does not exist in provided data.", f)
		}
	}
	f := &filler{plot: p, content: p.Template.Content, anchors: &yamlfmt.Map{}, split: split}
	varied, ok, err := f.optional()
	if err != nil {
		return nil, nil, err
	}
	if ok {
		p.settle(varied)
	}
	data := p.Data
	if instead != nil {
		data = instead()
	}
	values := map[string]any{"title": "", "x_label": p.prop("x"), "y_label": p.prop("y")}
	for _, name := range []string{"title", "x", "y", "x_label", "y_label"} {
		if v, ok := p.Props.Get(name); ok {
			values[name] = v
		}
	}
	values["data"] = data
	for _, name := range []string{"title", "x", "y", "x_label", "y_label", "data"} {
		v := values[name]
		switch {
		case v == nil:
		case f.split && splitAnchors[name]:
			f.anchors.Set(anchor(name), v)
		default:
			if name == "data" && !holds(f.content, anchor("data")) {
				return nil, nil, errs.New(errs.Invalid, "Template '%s' is not using '%s' anchor", p.Template.Name, anchor("data"))
			}
			if s, isText := v.(string); isText && (name == "x" || name == "y") {
				v = strings.NewReplacer(".", `\.`, "[", `\[`, "]", `\]`).Replace(s)
			}
			f.fill(name, v)
		}
	}
	return f.content, f.anchors, nil
}

// filler fills one template.
type filler struct {
	plot    *Plot
	content *yamlfmt.Map
	anchors *yamlfmt.Map
	split   bool
	open    []string // optional anchors that the template has and that are not filled
}

func (f *filler) fill(name string, v any) {
	f.content = fill(f.content, anchor(name), v).(*yamlfmt.Map)
}

// maybe fills an optional anchor, or keeps its value for the client.
func (f *filler) maybe(name string, v any) {
	i := slices.Index(f.open, name)
	if i < 0 {
		return
	}
	f.open = slices.Delete(f.open, i, i+1)
	if f.split && splitAnchors[name] {
		f.anchors.Set(anchor(name), v)
		return
	}
	f.fill(name, v)
}

// optional fills the anchors that tell runs apart. It returns the keys that
// differ between files and fields; ok is false if the template has no such
// anchor.
func (f *filler) optional() (varied []string, ok bool, err error) {
	for _, name := range optionalAnchors {
		if holds(f.content, anchor(name)) {
			f.open = append(f.open, name)
		}
	}
	if len(f.open) == 0 {
		return nil, false, nil
	}
	f.maybe("color", encoding(revField, "color", f.plot.Revs))
	f.maybe("zoom_and_pan", yamlfmt.NewMap("name", "grid", "select", "interval", "bind", "scales"))
	f.maybe("plot_height", int64(300))
	f.maybe("plot_width", int64(300))
	if len(f.plot.ys) <= 1 {
		f.groupBy(revField)
		f.maybe("pivot_field", "datum.rev")
		f.tooltip()
		for _, name := range f.open {
			f.fill(name, &yamlfmt.Map{})
		}
		return nil, true, nil
	}
	varied, domain := f.plot.variations()
	if len(varied) == 0 {
		return nil, false, errs.New(errs.Invalid, "plot '%s' has the same field of a file more than once", f.plot.ID)
	}
	if len(f.open) == 0 {
		return varied, true, nil
	}
	joined := strings.Join(varied, separator)
	f.groupBy(revField, joined)
	pivot := "datum.rev"
	for _, key := range varied {
		pivot += " + '" + separator + "' + datum." + key
	}
	f.maybe("pivot_field", pivot)
	for _, name := range []string{"row", "column"} {
		f.maybe(name, yamlfmt.NewMap("field", joined, "sort", []any{}))
	}
	f.tooltip(joined)
	f.maybe("stroke_dash", encoding(joined, "stroke_dash", domain))
	f.maybe("shape", encoding(joined, "shape", domain))
	return varied, true, nil
}

func (f *filler) groupBy(keys ...string) {
	list := func(more ...any) []any {
		var out []any
		for _, k := range keys {
			out = append(out, k)
		}
		return append(out, more...)
	}
	x, _ := f.plot.Props.Get("x")
	y, _ := f.plot.Props.Get("y")
	f.maybe("group_by", list())
	f.maybe("group_by_x", list(x))
	f.maybe("group_by_y", list(y))
}

func (f *filler) tooltip(more ...string) {
	x, _ := f.plot.Props.Get("x")
	y, _ := f.plot.Props.Get("y")
	list := []any{yamlfmt.NewMap("field", revField), yamlfmt.NewMap("field", x), yamlfmt.NewMap("field", y)}
	for _, m := range more {
		list = append(list, yamlfmt.NewMap("field", m))
	}
	f.maybe("tooltip", list)
}

// encoding maps the values of a field to colours, dashes or shapes.
func encoding(field, name string, domain []string) *yamlfmt.Map {
	all := ranges(name)
	names, values := []any{}, []any{}
	for i, d := range domain {
		names, values = append(names, d), append(values, all[i%len(all)])
	}
	m := yamlfmt.NewMap("field", field, "scale", yamlfmt.NewMap("domain", names, "range", values))
	if name != "color" {
		m.Set("legend", yamlfmt.NewMap("symbolFillColor", "transparent", "symbolStrokeColor", "grey"))
	}
	return m
}

// variations are the keys by which the runs of a revision differ, and the
// values they have, sorted.
func (p *Plot) variations() (varied, domain []string) {
	files, fields, both := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range p.ys {
		files[d.file], fields[d.field], both[d.file+separator+d.field] = true, true, true
	}
	values := both
	if len(files) > 1 {
		varied, values = append(varied, filenameField), files
	}
	if len(fields) > 1 {
		varied, values = append(varied, fieldField), fields
	}
	if len(varied) == 2 {
		values = both
	}
	for v := range values {
		domain = append(domain, v)
	}
	sort.Strings(domain)
	return varied, domain
}

// settle gives points the field that tells runs apart and takes away those
// that say nothing. It is done once.
func (p *Plot) settle(varied []string) {
	if p.ready {
		return
	}
	p.ready = true
	for _, run := range p.Data {
		if len(varied) == 2 {
			file, _ := run.column(filenameField).At(0)
			field, _ := run.column(fieldField).At(0)
			run.set(Column{Name: filenameField + separator + fieldField, kind: same, fixed: file.(string) + separator + field.(string)})
		}
		for _, key := range []string{filenameField, fieldField} {
			if len(varied) == 2 || !slices.Contains(varied, key) {
				run.drop(key)
			}
		}
	}
}
