package report

import (
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Align is where a column's cells stand.
type Align uint8

// The alignments.
const (
	Left Align = iota
	Right
	Center
)

// Code is a cell, or a part of one, that someone else has named: a path, a key,
// a value. In Markdown and HTML nothing in it is markup.
type Code string

// Rich is a cell of several parts, each a string or Code.
type Rich []any

func (r Rich) String() string {
	var b strings.Builder
	for _, part := range r {
		b.WriteString(Text(part))
	}
	return b.String()
}

// Table is rows of cells under headers. A cell is a string, a number, a bool,
// Code, Rich, or nil, which is a value that is missing. Rows may be shorter than
// others.
type Table struct {
	Headers []string
	Rows    [][]any
	Align   []Align // by column; Left for those beyond its end
	// KeepSpace keeps blanks around the text of a cell, which are cut otherwise.
	KeepSpace bool
}

// Add appends a row.
func (t *Table) Add(cells ...any) { t.Rows = append(t.Rows, cells) }

// columns is the number of columns.
func (t *Table) columns() int {
	n := len(t.Headers)
	for _, r := range t.Rows {
		n = max(n, len(r))
	}
	return n
}

// missing stands for a nil in text and Markdown.
const missing = "-"

// cell is the text of a cell in text, Markdown and HTML. Names with control
// characters are quoted.
func (t *Table) cell(v any) string {
	if v == nil {
		return missing
	}
	s := disk.Quote(Text(v))
	if !t.KeepSpace {
		s = strings.TrimSpace(s)
	}
	return s
}

// Text shows a value as Python's str does.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case Code:
		return string(v)
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		return floatText(v)
	}
	return fmt.Sprint(v)
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	}
	return string(yamlfmt.JSON(f, false))
}

// widths measures East Asian characters as two columns, whatever the locale.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// grid is a table's cells as text, all rows of one length, with the widths of
// the columns.
type grid struct {
	header []string
	rows   [][]string
	width  []int
	align  []Align
}

// headerPad is how much wider than its header a column is at least. It is a
// habit of DVC's tables that scripts which cut columns have learnt.
const headerPad = 2

// plainCell leaves a text as it is.
func plainCell(s string) string { return s }

func (t *Table) grid(escape, code func(string) string) grid {
	n := t.columns()
	g := grid{width: make([]int, n), align: make([]Align, n)}
	copy(g.align, t.Align)
	if len(t.Headers) > 0 {
		g.header = make([]string, n)
		for i, h := range t.Headers {
			g.header[i] = escape(disk.Quote(h))
			g.width[i] = widths.StringWidth(g.header[i]) + headerPad
		}
	}
	for _, r := range t.Rows {
		row := make([]string, n)
		for i := range row {
			if i < len(r) {
				row[i] = t.marked(r[i], escape, code)
			}
			g.width[i] = max(g.width[i], widths.StringWidth(row[i]))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// marked is the text of a cell with what stands in it escaped.
func (t *Table) marked(v any, escape, code func(string) string) string {
	switch v := v.(type) {
	case Code:
		return code(disk.Quote(string(v)))
	case Rich:
		var b strings.Builder
		for _, part := range v {
			if c, ok := part.(Code); ok {
				b.WriteString(code(disk.Quote(string(c))))
			} else {
				b.WriteString(escape(Text(part)))
			}
		}
		return b.String()
	}
	return escape(t.cell(v))
}

// MarkdownCode puts a text between as many backquotes as it takes to have
// nothing in it understood as Markdown or HTML, on one line.
func MarkdownCode(s string) string {
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	// One blank at each end is cut off by readers.
	if strings.ContainsAny(s[:1]+s[len(s)-1:], "` ") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// cellCode is MarkdownCode for a cell of a table. Readers differ in what a bar
// after two backslashes is, so a name with such is spelled by numbers.
func cellCode(s string) string {
	if !strings.Contains(s, `\|`) {
		return escapeBar(MarkdownCode(s))
	}
	var b strings.Builder
	b.WriteString("<code>")
	for _, r := range s {
		if r < 0x80 && !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteString("</code>")
	return b.String()
}

func escapeBar(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func pad(s string, width int, a Align) string {
	n := max(0, width-widths.StringWidth(s))
	switch a {
	case Right:
		return strings.Repeat(" ", n) + s
	case Center:
		return strings.Repeat(" ", n/2) + s + strings.Repeat(" ", n-n/2)
	}
	return s + strings.Repeat(" ", n)
}

// WriteText writes columns with two blanks between them, as DVC's tables are.
func (t *Table) WriteText(w io.Writer) error {
	g := t.grid(plainCell, plainCell)
	var b strings.Builder
	line := func(cells []string) {
		padded := make([]string, len(cells))
		for i, c := range cells {
			padded[i] = pad(c, g.width[i], g.align[i])
		}
		b.WriteString(strings.TrimRight(strings.Join(padded, "  "), " ") + "\n")
	}
	if g.header != nil {
		line(g.header)
	}
	for _, r := range g.rows {
		line(r)
	}
	return write(w, b.String())
}

// WriteMarkdown writes a table as GitHub renders it, with an empty line after
// it, as DVC's --md does.
func (t *Table) WriteMarkdown(w io.Writer) error {
	g := t.grid(escapeBar, cellCode)
	var b strings.Builder
	line := func(cells []string) {
		for i, c := range cells {
			b.WriteString("| " + pad(c, g.width[i], g.align[i]) + " ")
		}
		b.WriteString("|\n")
	}
	if g.header != nil {
		line(g.header)
	}
	for i := range g.width {
		b.WriteString("|" + strings.Repeat("-", g.width[i]+2))
	}
	b.WriteString("|\n")
	for _, r := range g.rows {
		line(r)
	}
	b.WriteString("\n")
	return write(w, b.String())
}

// WriteCSV writes comma-separated values with CRLF line ends, as Python's csv
// module does. Missing values are empty, names are as they are.
func (t *Table) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if len(t.Headers) > 0 {
		if err := c.Write(t.Headers); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	for _, r := range t.Rows {
		row := make([]string, t.columns())
		for i, v := range r {
			row[i] = Text(v)
		}
		if err := c.Write(row); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	c.Flush()
	return c.Error()
}

// WriteJSON writes one line: a list with an object for each row, keyed by the
// headers. Missing values are null.
func (t *Table) WriteJSON(w io.Writer) error {
	list := []any{}
	for _, r := range t.Rows {
		m := yamlfmt.NewMap()
		for i, h := range t.Headers {
			var v any
			if i < len(r) {
				v = plain(r[i])
			}
			m.Set(h, v)
		}
		list = append(list, m)
	}
	return write(w, string(yamlfmt.JSON(list, false))+"\n")
}

// plain makes a cell one of the types that yamlfmt knows.
func plain(v any) any {
	switch v := v.(type) {
	case nil, string, bool, float64, int64:
		return v
	case int:
		return int64(v)
	}
	return fmt.Sprint(v)
}

// WriteHTML writes a table element.
func (t *Table) WriteHTML(w io.Writer) error {
	g := t.grid(html.EscapeString, htmlCode)
	var b strings.Builder
	line := func(tag string, cells []string) {
		b.WriteString("<tr>")
		for i, c := range cells {
			style := map[Align]string{Right: ` style="text-align: right"`, Center: ` style="text-align: center"`}[g.align[i]]
			fmt.Fprintf(&b, "<%s%s>%s</%s>", tag, style, c, tag)
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("<table>\n")
	if g.header != nil {
		b.WriteString("<thead>\n")
		line("th", g.header)
		b.WriteString("</thead>\n")
	}
	b.WriteString("<tbody>\n")
	for _, r := range g.rows {
		line("td", r)
	}
	b.WriteString("</tbody>\n</table>\n")
	return write(w, b.String())
}

func htmlCode(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + html.EscapeString(s) + "</code>"
}

func write(w io.Writer, s string) error {
	if _, err := io.WriteString(w, s); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
