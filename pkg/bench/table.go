package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/report"
)

// dash is a cell of a tool that cannot do a scenario.
const dash = "—"

// WriteText writes the tables for a terminal.
func (r *Result) WriteText(w io.Writer) error {
	return r.writeTables(w, func(t *report.Table) error {
		if err := t.WriteText(w); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	})
}

// WriteMarkdown writes them as the README has them.
func (r *Result) WriteMarkdown(w io.Writer) error {
	return r.writeTables(w, func(t *report.Table) error { return t.WriteMarkdown(w) })
}

func (r *Result) writeTables(w io.Writer, write func(*report.Table) error) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", r.Header()); err != nil {
		return err
	}
	if err := write(r.times()); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "Seconds of processor time, and peak memory in MiB:\n\n"); err != nil {
		return err
	}
	return write(r.costs())
}

// Header names all that a figure depends on, and how to get it again.
func (r *Result) Header() string {
	m := r.Machine
	system := m.OS + "/" + m.Arch
	if m.Kernel != "" {
		system += " " + m.Kernel
	}
	parts := []string{fmt.Sprintf("%d cores", m.Cores), system}
	if m.FileSystem != "" {
		parts = append(parts, m.FileSystem)
	}
	for _, t := range r.Tools {
		text := t.Name
		if t.Version != "" {
			text += " " + t.Version
		}
		switch t.Kind {
		case Cairn:
			text += " (" + r.Hash + ")"
		case DVC:
			text += " (md5)"
		}
		parts = append(parts, text)
	}
	how := "in turn"
	if r.Alone {
		how = "one tool after the other in each round"
	}
	times := fmt.Sprintf("medians of %d", r.Rounds)
	if r.Rounds == 1 {
		times = "one round"
	}
	return fmt.Sprintf("%s; seconds of wall time, %s, %s; `%s`", strings.Join(parts, ", "), times, how, r.Command)
}

// shown are the tools that could do anything, cairn first.
func (r *Result) shown() (tools []Tool) {
	for i, t := range r.Tools {
		if i == 0 || slices.ContainsFunc(r.Rows, func(row *Row) bool { return row.Cell(t.Name) != nil }) {
			tools = append(tools, t)
		}
	}
	return tools
}

// times is the table of wall times and ratios.
func (r *Result) times() *report.Table {
	t := &report.Table{Headers: []string{"scenario"}, Align: []report.Align{report.Left}}
	column := func(h string) {
		t.Headers, t.Align = append(t.Headers, h), append(t.Align, report.Right)
	}
	hasFloor := false
	for _, row := range r.Rows {
		hasFloor = hasFloor || len(row.Floors) > 0
	}
	if hasFloor {
		column("floor")
	}
	for i, tool := range r.shown() {
		column(tool.Name)
		switch {
		case i > 0:
			column("x cairn")
		case hasFloor:
			column("x floor")
		}
	}
	for _, row := range r.Rows {
		cells := []any{row.Title}
		if hasFloor {
			cells = append(cells, floorCell(row.Floor()))
		}
		for i, tool := range r.shown() {
			c := row.Cell(tool.Name)
			cells = append(cells, wallCell(c))
			switch {
			case i > 0:
				cells = append(cells, ratioCell(c, func(c *Cell) *float64 { return c.Cairn }))
			case hasFloor:
				cells = append(cells, ratioCell(c, func(c *Cell) *float64 { return c.Floor }))
			}
		}
		t.Add(cells...)
	}
	return t
}

// costs is the table of processor time and memory.
func (r *Result) costs() *report.Table {
	t := &report.Table{Headers: []string{"scenario"}, Align: []report.Align{report.Left}}
	for _, tool := range r.shown() {
		t.Headers, t.Align = append(t.Headers, tool.Name, "MiB"), append(t.Align, report.Right, report.Right)
	}
	for _, row := range r.Rows {
		cells := []any{row.Title}
		for _, tool := range r.shown() {
			if c := row.Cell(tool.Name); c != nil {
				cells = append(cells, seconds(c.CPU), mebibytes(c.Peak))
			} else {
				cells = append(cells, dash, dash)
			}
		}
		t.Add(cells...)
	}
	return t
}

func floorCell(c *Cell) string {
	if c == nil {
		return ""
	}
	return seconds(c.Wall) + " (" + c.Name + ")"
}

func wallCell(c *Cell) string {
	if c == nil {
		return dash
	}
	return seconds(c.Wall)
}

func ratioCell(c *Cell, of func(*Cell) *float64) string {
	if c == nil || of(c) == nil {
		return ""
	}
	f := *of(c)
	if f >= 10 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

func seconds(s float64) string {
	switch {
	case s >= 100:
		return strconv.FormatFloat(s, 'f', 0, 64)
	case s >= 10:
		return strconv.FormatFloat(s, 'f', 1, 64)
	case s >= 1:
		return strconv.FormatFloat(s, 'f', 2, 64)
	}
	return strconv.FormatFloat(s, 'f', 3, 64)
}

// mebibytes is "-" where the system does not tell.
func mebibytes(n int64) any {
	if n == 0 {
		return nil
	}
	return strconv.FormatInt((n+1<<19)>>20, 10)
}
