package plot

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Names of fields that are added to points, and of those that stand for
// several.
const (
	stepField     = "step"
	revField      = "rev"
	filenameField = "filename"
	fieldField    = "field"
	joinedX       = "dvc_inferred_x_value"
	joinedY       = "dvc_inferred_y_value"
)

// fail is an error with DVC's class.
func fail(class, format string, args ...any) error {
	return &Failure{Type: class, Msg: fmt.Sprintf(format, args...), Err: errs.New(errs.Invalid, "plot")}
}

// fileField is a field of a file; hasField is false for the last field of a
// point that has none.
type fileField struct{ file, field string }

// axis is what an x or y says: fields of files, in order.
type axis []axisFile

type axisFile struct {
	file   string
	fields any // string, []any of strings, or nil
}

func axisOf(v any) axis {
	m, ok := v.(*yamlfmt.Map)
	if !ok {
		return nil
	}
	a := axis{}
	for file, fields := range m.All() {
		a = append(a, axisFile{file, fields})
	}
	return a
}

// each lists the pairs of an axis.
func (a axis) each() []fileField {
	var out []fileField
	for _, f := range a {
		switch v := f.fields.(type) {
		case string:
			out = append(out, fileField{f.file, v})
		case []any:
			for _, e := range v {
				out = append(out, fileField{f.file, yamlfmt.PyStr(e)})
			}
		}
	}
	return out
}

// label is the one field of an axis, or what stands for several.
func (a axis) label(several string) string {
	name, n := "", 0
	seen := map[string]bool{}
	for _, p := range a.each() {
		if !seen[p.field] {
			seen[p.field] = true
			name = p.field
			n++
		}
	}
	if n == 1 {
		return name
	}
	return several
}

// Sources are the files that a plot's definition reads, in order.
func Sources(id string, props *yamlfmt.Map) []string {
	var out []string
	add := func(name string) {
		for _, have := range out {
			if have == name {
				return
			}
		}
		out = append(out, name)
	}
	y, _ := props.Get("y")
	if m, ok := y.(*yamlfmt.Map); ok {
		for _, k := range m.Keys() {
			add(k)
		}
	} else {
		add(id)
	}
	x, _ := props.Get("x")
	if m, ok := x.(*yamlfmt.Map); ok && m.Len() > 0 {
		add(m.Keys()[0])
	}
	return out
}

// lists calls visit for the lists in a file's content, not those in lists.
func lists(v any, visit func([]any) error) error {
	switch x := v.(type) {
	case []any:
		return visit(x)
	case *yamlfmt.Map:
		for _, e := range x.All() {
			switch e.(type) {
			case []any, *yamlfmt.Map:
				if err := lists(e, visit); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return fail("AttributeError", "'%s' object has no attribute 'values'", pyType(v))
}

func pyType(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case string:
		return "str"
	case bool:
		return "bool"
	case float64:
		return "float"
	case []byte:
		return "bytes"
	}
	return "int"
}

// firstOf is the first mapping of a list of mappings; ok is false if the list
// holds anything else. An empty list is DVC's stumbling block.
func firstOf(list []any) (first *yamlfmt.Map, ok bool, err error) {
	for _, e := range list {
		if _, isMap := e.(*yamlfmt.Map); !isMap {
			return nil, false, nil
		}
	}
	if len(list) == 0 {
		return nil, false, fail("AttributeError", "'NoneType' object has no attribute 'keys'")
	}
	return list[0].(*yamlfmt.Map), true, nil
}

// lastField is the y that nobody named: the last field of the first list of
// points. ok is false if there is none.
func lastField(v any) (field string, ok bool, err error) {
	if p, isTable := v.(*Points); isTable {
		last := ""
		for i := range p.Cols {
			if _, has := p.Cols[i].At(0); has {
				last, ok = p.Cols[i].Name, !p.Cols[i].nameless
			}
		}
		return last, ok, nil
	}
	done := false
	err = lists(v, func(list []any) error {
		if done {
			return nil
		}
		first, isPoints, err := firstOf(list)
		if err != nil || !isPoints {
			return err
		}
		done = true
		if keys := first.Keys(); len(keys) > 0 {
			field, ok = keys[len(keys)-1], true
		}
		return nil
	})
	return field, ok, err
}

// pointsOf are the points of a file: of all its lists whose items have the
// same fields, side by side.
func pointsOf(v any) (*Points, error) {
	if p, ok := v.(*Points); ok {
		for i := range p.Cols {
			if _, has := p.Cols[i].At(0); !has {
				return &Points{}, nil
			}
		}
		return p, nil
	}
	out := &Points{}
	err := lists(v, func(list []any) error {
		first, ok, err := firstOf(list)
		if err != nil || !ok {
			return err
		}
		for _, e := range list[1:] {
			for k := range e.(*yamlfmt.Map).All() {
				if !first.Has(k) {
					if _, has := lookup(first, k); !has {
						return nil
					}
				}
			}
		}
		out.addList(list, first)
		return nil
	})
	return out, err
}

// lookup finds a key by its text, whatever its type.
func lookup(m *yamlfmt.Map, key string) (any, bool) {
	if v, ok := m.Get(key); ok {
		return v, true
	}
	for k, v := range m.All() {
		if k == key {
			return v, true
		}
	}
	return nil, false
}

// addList lays a list beside what is there, the later winning.
func (p *Points) addList(list []any, first *yamlfmt.Map) {
	grow := max(0, len(list)-p.N)
	for i := range p.Cols {
		for range grow {
			p.Cols[i].vals = append(p.Cols[i].vals, absent{})
		}
	}
	p.N += grow
	for _, key := range first.Keys() {
		c := p.column(key)
		if c == nil {
			vals := make([]any, p.N)
			for i := range vals {
				vals[i] = absent{}
			}
			p.Cols = append(p.Cols, Column{Name: key, vals: vals})
			c = &p.Cols[len(p.Cols)-1]
		}
		for i, e := range list {
			if v, ok := lookup(e.(*yamlfmt.Map), key); ok {
				c.vals[i] = v
			}
		}
	}
}

// verify reports that a field is not in a file that has content.
func verify(files map[string]*Points, at fileField) error {
	p, ok := files[at.file]
	if !ok {
		return nil
	}
	if p.N == 0 {
		return fail("TypeError", "argument of type 'NoneType' is not iterable")
	}
	var found []string
	for i := range p.Cols {
		if _, has := p.Cols[i].At(0); has {
			if p.Cols[i].Name == at.field {
				return nil
			}
			found = append(found, p.Cols[i].Name)
		}
	}
	return fail("FieldNotFoundError", "Could not find provided field ('%s') in data fields ('%s').", at.field, strings.Join(found, ", "))
}

// yDef is a field of a file as legends name it.
type yDef struct{ file, field string }

// flat is the data of one revision in DVC's flat form, with the properties it
// gives the plot; props is nil if there is none.
type flat struct {
	data  Data
	props *yamlfmt.Map
	ys    []yDef
}

// flatten makes points of the files of one revision. props are the plot's,
// over all revisions; files are those with content.
func flatten(id, rev string, props *yamlfmt.Map, files []namedSource) (flat, error) {
	content := map[string]any{}
	for _, f := range files {
		content[f.name] = f.src.Value
	}
	x, y, err := inferAxes(id, props, content)
	if err != nil {
		return flat{}, err
	}
	points := map[string]*Points{}
	for _, f := range files {
		if points[f.name], err = pointsOf(f.src.Value); err != nil {
			return flat{}, err
		}
	}
	xs, ys := x.each(), y.each()
	for _, at := range xs {
		if err := verify(points, at); err != nil {
			return flat{}, err
		}
	}
	severalX := len(xs) > 1 && differ(xs, func(f fileField) string { return f.field })
	for _, at := range ys {
		if err := verify(points, at); err != nil {
			return flat{}, err
		}
	}
	if len(xs) > 1 && len(xs) != len(ys) {
		return flat{}, fail("DvcException", "Cannot have different number of x and y data sources. Found %d x and %d y data sources.", len(xs), len(ys))
	}
	severalY := differ(ys, func(f fileField) string { return f.field })
	prefix := 0
	if differ(ys, func(f fileField) string { return f.file }) {
		if prefix, err = commonPrefix(ys); err != nil {
			return flat{}, err
		}
	}
	out := flat{props: completed(props, x, y, xs, ys, severalX, severalY)}
	for i, at := range ys {
		short := strings.Trim(at.file[prefix:], "/\\")
		out.ys = append(out.ys, yDef{short, at.field})
		p := &Points{}
		if have := points[at.file]; have != nil {
			p = have.clone()
		}
		if severalY {
			p.copyField(joinedY, p, at.field)
		}
		if err := setX(p, at, xs, i, severalX, points); err != nil {
			return flat{}, err
		}
		p.set(Column{Name: revField, kind: same, fixed: rev})
		p.set(Column{Name: filenameField, kind: same, fixed: short})
		p.set(Column{Name: fieldField, kind: same, fixed: at.field})
		if p.N > 0 {
			out.data = append(out.data, p)
		}
	}
	if len(out.data) == 0 {
		return flat{}, nil
	}
	return out, nil
}

// setX gives points their x: that of their own file, of the only file of an
// x, or their number.
func setX(p *Points, at fileField, xs []fileField, i int, severalX bool, points map[string]*Points) error {
	if len(xs) == 0 {
		p.set(Column{Name: stepField, kind: number})
		return nil
	}
	from := xs[0]
	if len(xs) > 1 {
		from = xs[i]
	}
	src := points[from.file]
	if src == nil {
		src = &Points{}
	}
	if src.N != p.N {
		return fail("DvcException", "Cannot join '%s' from '%s' and '%s' from '%s'. They have to have same length.", from.field, from.file, at.field, at.file)
	}
	name := from.field
	if severalX {
		name = joinedX
	}
	p.copyField(name, src, from.field)
	return nil
}

// copyField gives points the values that others have in a field; points whose
// counterpart lacks it keep what they have.
func (p *Points) copyField(name string, from *Points, field string) {
	src := from.column(field)
	if src == nil {
		return
	}
	c := *src
	c.Name = name
	if old := p.column(name); old != nil && c.kind == mixed {
		vals := append([]any(nil), c.vals...)
		for i := range vals {
			if _, none := vals[i].(absent); none {
				if v, ok := old.At(i); ok {
					vals[i] = v
				}
			}
		}
		c.vals = vals
	}
	p.set(c)
}

func differ(list []fileField, key func(fileField) string) bool {
	for _, f := range list {
		if key(f) != key(list[0]) {
			return true
		}
	}
	return false
}

// commonPrefix is the length of the folder that all files of an axis are in.
func commonPrefix(ys []fileField) (int, error) {
	var dirs [][]string
	abs := path.IsAbs(ys[0].file)
	for _, f := range ys {
		if path.IsAbs(f.file) != abs {
			return 0, fail("ValueError", "Can't mix absolute and relative paths")
		}
		var parts []string
		for _, p := range strings.Split(f.file, "/") {
			if p != "" && p != "." {
				parts = append(parts, p)
			}
		}
		dirs = append(dirs, parts)
	}
	sort.Slice(dirs, func(i, j int) bool { return less(dirs[i], dirs[j]) })
	a, b := dirs[0], dirs[len(dirs)-1]
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	common := strings.Join(a[:n], "/")
	if abs {
		common = "/" + common
	}
	return len(common), nil
}

func less(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return len(a) < len(b)
}

// inferAxes fills in what a definition leaves open.
func inferAxes(id string, props *yamlfmt.Map, content map[string]any) (x, y axis, err error) {
	given, _ := props.Get("x")
	ydef, hasY := props.Get("y")
	if ydef == nil {
		hasY = false
	}
	switch v := given.(type) {
	case *yamlfmt.Map:
		x = axisOf(v)
	case string:
		x = axis{}
		if files, ok := ydef.(*yamlfmt.Map); ok {
			for file, fields := range files.All() {
				if list, ok := fields.([]any); ok {
					same := make([]any, len(list))
					for i := range same {
						same[i] = v
					}
					x = append(x, axisFile{file, same})
				} else {
					x = append(x, axisFile{file, v})
				}
			}
		} else {
			x = append(x, axisFile{id, v})
		}
	}
	switch v := ydef.(type) {
	case *yamlfmt.Map:
		y = axisOf(v)
	default:
		if hasY {
			return x, axis{{id, v}}, nil
		}
		if src, ok := content[id]; ok {
			field, found, err := lastField(src)
			if err != nil {
				return nil, nil, err
			}
			if found {
				y = axis{{id, field}}
			}
		}
	}
	return x, y, nil
}

// completed are the properties with x, y and labels as templates take them:
// names of fields.
func completed(props *yamlfmt.Map, x, y axis, xs, ys []fileField, severalX, severalY bool) *yamlfmt.Map {
	out := props.Clone()
	switch {
	case severalX:
		out.Set("x", joinedX)
	case len(xs) > 0:
		out.Set("x", xs[0].field)
	default:
		out.Set("x", stepField)
	}
	switch {
	case severalY:
		out.Set("y", joinedY)
	case len(ys) > 0:
		out.Set("y", ys[0].field)
	default:
		out.Set("y", nil)
	}
	if v, _ := props.Get("y_label"); v == nil && y != nil {
		out.Set("y_label", y.label("y"))
	}
	if v, _ := props.Get("x_label"); v == nil {
		out.Set("x_label", stepField)
		if x != nil {
			out.Set("x_label", x.label("x"))
		}
	}
	return out
}
