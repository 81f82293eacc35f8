package plot

import (
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// absent is the value of a field that a point does not have.
type absent struct{}

// Column is one field of a run of points.
type Column struct {
	Name string
	// One of these has the values; kind says which.
	kind  columnKind
	vals  []any
	texts []string
	fixed any
	// nameless is set for what rows of a table have beyond their header: a
	// field that nobody can name.
	nameless bool
}

type columnKind uint8

const (
	mixed  columnKind = iota // vals, absent{} where a point lacks the field
	text                     // texts
	same                     // fixed, for all points
	number                   // the number of the point, from 0
)

// At is the value of point i; ok is false if it lacks the field.
func (c *Column) At(i int) (v any, ok bool) {
	switch c.kind {
	case text:
		return c.texts[i], true
	case same:
		return c.fixed, true
	case number:
		return int64(i), true
	}
	if _, none := c.vals[i].(absent); none {
		return nil, false
	}
	return c.vals[i], true
}

// Points are the data points of one field of one file at one revision.
type Points struct {
	N    int
	Cols []Column
}

// column finds a field; nil if no point has it.
func (p *Points) column(name string) *Column {
	for i := range p.Cols {
		if p.Cols[i].Name == name {
			return &p.Cols[i]
		}
	}
	return nil
}

// has reports whether some point has the field.
func (p *Points) has(name string) bool {
	c := p.column(name)
	if c == nil || p.N == 0 {
		return false
	}
	if c.kind != mixed {
		return true
	}
	for _, v := range c.vals {
		if _, none := v.(absent); !none {
			return true
		}
	}
	return false
}

// set gives all points a field, in its place if it is there.
func (p *Points) set(c Column) {
	if old := p.column(c.Name); old != nil {
		*old = c
		return
	}
	p.Cols = append(p.Cols, c)
}

func (p *Points) drop(name string) {
	for i := range p.Cols {
		if p.Cols[i].Name == name {
			p.Cols = append(p.Cols[:i:i], p.Cols[i+1:]...)
			return
		}
	}
}

// clone shares the values and nothing else.
func (p *Points) clone() *Points {
	return &Points{N: p.N, Cols: append([]Column(nil), p.Cols...)}
}

// pick is the points of the indices given, in their order.
func (p *Points) pick(rows []int) *Points {
	out := &Points{N: len(rows)}
	for _, c := range p.Cols {
		switch c.kind {
		case text:
			texts := make([]string, len(rows))
			for j, i := range rows {
				texts[j] = c.texts[i]
			}
			c.texts = texts
		case mixed:
			vals := make([]any, len(rows))
			for j, i := range rows {
				vals[j] = c.vals[i]
			}
			c.vals = vals
		case number:
			vals := make([]any, len(rows))
			for j, i := range rows {
				vals[j] = int64(i)
			}
			c.kind, c.vals = mixed, vals
		}
		out.Cols = append(out.Cols, c)
	}
	return out
}

// appendJSON writes the points, joined with commas.
func (p *Points) appendJSON(b []byte) []byte {
	names := make([][]byte, len(p.Cols))
	fixed := make([][]byte, len(p.Cols))
	for j := range p.Cols {
		names[j] = append(yamlfmt.JSON(p.Cols[j].Name, false), ": "...)
		if p.Cols[j].kind == same {
			fixed[j] = AppendJSON(nil, p.Cols[j].fixed)
		}
	}
	for i := range p.N {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '{')
		first := true
		for j := range p.Cols {
			c := &p.Cols[j]
			if c.kind == mixed {
				if _, none := c.vals[i].(absent); none {
					continue
				}
			}
			if !first {
				b = append(b, ", "...)
			}
			first = false
			b = append(b, names[j]...)
			switch c.kind {
			case same:
				b = append(b, fixed[j]...)
			case number:
				b = strconv.AppendInt(b, int64(i), 10)
			case text:
				b = append(b, yamlfmt.JSON(c.texts[i], false)...)
			default:
				b = AppendJSON(b, c.vals[i])
			}
		}
		b = append(b, '}')
	}
	return b
}

// Data is all points of a plot, a run for each revision and field.
type Data []*Points

// N is the number of points.
func (d Data) N() int {
	n := 0
	for _, p := range d {
		n += p.N
	}
	return n
}

func (d Data) has(field string) bool {
	for _, p := range d {
		if p.has(field) {
			return true
		}
	}
	return false
}

// AppendJSON writes a value as Python's json.dumps does; besides the types of
// yamlfmt it takes [Data], which becomes a list of points.
func AppendJSON(b []byte, v any) []byte {
	switch x := v.(type) {
	case Data:
		b = append(b, '[')
		first := true
		for _, p := range x {
			if p.N == 0 {
				continue
			}
			if !first {
				b = append(b, ", "...)
			}
			first = false
			b = p.appendJSON(b)
		}
		return append(b, ']')
	case *yamlfmt.Map:
		b = append(b, '{')
		first := true
		for k, e := range x.AllKeys() {
			if !first {
				b = append(b, ", "...)
			}
			first = false
			// A mapping of one pair knows how keys of other types are written.
			pair := yamlfmt.NewMap(k, nil)
			text := yamlfmt.JSON(pair, false)
			b = append(b, text[1:len(text)-len("null}")]...)
			b = AppendJSON(b, e)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = AppendJSON(b, e)
		}
		return append(b, ']')
	}
	return append(b, yamlfmt.JSON(v, false)...)
}

// asNumber reads a value as a chart does: numbers, and texts of numbers.
func asNumber(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int64:
		return float64(x), true
	case int:
		return float64(x), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case string:
		s := strings.TrimSpace(x)
		if s == "" || strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") || strings.Contains(s, "_") {
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
	f, err := strconv.ParseFloat(yamlfmt.PyStr(v), 64)
	return f, err == nil
}
