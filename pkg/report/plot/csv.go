package plot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// maxField is the longest field of a table that Python's csv module, and so
// DVC, takes, in characters.
const maxField = 131072

// readTable reads comma- or tab-separated values as Python's csv.DictReader
// does: a quote matters at the beginning of a field only, rows without a field
// are left out, a short row has nulls, what a long row has more is a list
// under the key null. Without header the fields are named 0, 1, 2...
func readTable(content string, comma byte, header bool) (*Points, error) {
	content = strings.ReplaceAll(strings.ReplaceAll(content, "\r\n", "\n"), "\r", "\n")
	rd := &tableReader{rest: content, comma: comma}
	if !header {
		// DVC counts the fields with commas, whatever the file has.
		first, ok, err := (&tableReader{rest: content, comma: ','}).row()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &Failure{Type: "TypeError", Msg: "object of type 'NoneType' has no len()"}
		}
		names := make([]string, len(first))
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
		return rd.table(names)
	}
	names, ok, err := rd.row()
	if err != nil || !ok {
		return &Points{}, err
	}
	return rd.table(slices.Clone(names))
}

// overflow is the name of the field that holds what a row has too much.
const overflow = "null"

func (r *tableReader) table(names []string) (*Points, error) {
	p := &Points{}
	at := make([]int, len(names)) // field → column: the last of a name wins
	for i, name := range names {
		at[i] = -1
		for j := range p.Cols {
			if p.Cols[j].Name == name {
				at[i] = j
			}
		}
		if at[i] < 0 {
			at[i] = len(p.Cols)
			p.Cols = append(p.Cols, Column{Name: name, kind: text})
		}
	}
	var short []int // rows that lack fields
	var shortAt []int
	var long map[int][]any
	for {
		row, ok, err := r.row()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if len(row) == 0 {
			continue
		}
		for j := range p.Cols {
			p.Cols[j].texts = append(p.Cols[j].texts, "")
		}
		for i, v := range row[:min(len(row), len(names))] {
			p.Cols[at[i]].texts[p.N] = v
		}
		if len(row) < len(names) {
			short, shortAt = append(short, p.N), append(shortAt, len(row))
		}
		if len(row) > len(names) {
			if long == nil {
				long = map[int][]any{}
			}
			for _, v := range row[len(names):] {
				long[p.N] = append(long[p.N], v)
			}
		}
		p.N++
	}
	for k, i := range short {
		for f := shortAt[k]; f < len(names); f++ {
			p.Cols[at[f]].toMixed()
			p.Cols[at[f]].vals[i] = nil
		}
	}
	if long != nil {
		c := Column{Name: overflow, vals: make([]any, p.N), nameless: true}
		for i := range c.vals {
			c.vals[i] = absent{}
			if more, ok := long[i]; ok {
				c.vals[i] = more
			}
		}
		p.Cols = append(p.Cols, c)
	}
	return p, nil
}

func (c *Column) toMixed() {
	if c.kind == mixed {
		return
	}
	c.vals = make([]any, len(c.texts))
	for i, s := range c.texts {
		c.vals[i] = s
	}
	c.kind, c.texts = mixed, nil
}

// tableReader cuts a text into rows of fields.
type tableReader struct {
	rest  string
	comma byte
	row_  []string
}

// row reads the next row; the slice is good until the next call. ok is false
// at the end.
func (r *tableReader) row() (fields []string, ok bool, err error) {
	if r.rest == "" {
		return nil, false, nil
	}
	r.row_ = r.row_[:0]
	line, _, _ := strings.Cut(r.rest, "\n")
	if strings.IndexByte(line, '"') < 0 {
		r.rest = r.rest[min(len(line)+1, len(r.rest)):]
		if line == "" {
			return nil, true, nil
		}
		for more := true; more; {
			var f string
			f, line, more = strings.Cut(line, string(r.comma))
			if err := r.add(f); err != nil {
				return nil, false, err
			}
		}
		return r.row_, true, nil
	}
	return r.quotedRow()
}

func (r *tableReader) add(f string) error {
	if len(f) > maxField {
		return &Failure{Type: "Error", Msg: fmt.Sprintf("field larger than field limit (%d)", maxField), Err: errs.New(errs.Invalid, "field too long")}
	}
	r.row_ = append(r.row_, f)
	return nil
}

func (r *tableReader) quotedRow() ([]string, bool, error) {
	var b strings.Builder
	inQuotes, start := false, true // start: nothing of the field was read yet
	i := 0
	for ; i < len(r.rest); i++ {
		c := r.rest[i]
		switch {
		case inQuotes && c == '"' && i+1 < len(r.rest) && r.rest[i+1] == '"':
			b.WriteByte('"')
			i++
		case inQuotes && c == '"':
			inQuotes = false
		case inQuotes:
			b.WriteByte(c)
		case c == '"' && start:
			inQuotes, start = true, false
		case c == r.comma:
			if err := r.add(b.String()); err != nil {
				return nil, false, err
			}
			b.Reset()
			start = true
		case c == '\n':
			r.rest = r.rest[i+1:]
			return r.row_, true, r.add(b.String())
		default:
			b.WriteByte(c)
			start = false
		}
	}
	r.rest = ""
	err := r.add(b.String())
	return r.row_, true, err
}
