package plot

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/cairndata/cairn/pkg/disk"
)

// TextOptions say what a terminal can do; the zero value is 80 columns without
// colours.
type TextOptions struct {
	Width    int // columns
	Height   int // rows of the drawing itself; 0 is a usual number
	Colour   bool
	Pictures PictureProtocol
}

// Measures of a drawing in a terminal, in cells.
const (
	textWidthDefault = 80
	textHeight       = 16
	maxLabel         = 24
	minPlot          = 16
)

// ansi are the colours of revisions, near to those of the palette.
var ansi = []int{141, 38, 208, 71, 75, 214, 203}

// Dots of a braille cell: bit by column and row.
var braille = [2][4]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// canvas is cells of two by four dots.
type canvas struct {
	w, h   int
	dots   []rune
	colour []int // of the run that drew last; -1 for none
}

func newCanvas(w, h int) *canvas {
	c := &canvas{w: w, h: h, dots: make([]rune, w*h), colour: make([]int, w*h)}
	for i := range c.colour {
		c.colour[i] = -1
	}
	return c
}

func (c *canvas) set(x, y, colour int) {
	if x < 0 || y < 0 || x >= 2*c.w || y >= 4*c.h {
		return
	}
	at := y/4*c.w + x/2
	c.dots[at] |= braille[x%2][y%4]
	c.colour[at] = colour
}

// line draws between two dots. skip leaves out every so many, for dashes.
func (c *canvas) line(x0, y0, x1, y1, colour, skip int) {
	dx, dy := abs(x1-x0), abs(y1-y0)
	n := max(dx, dy)
	for i := 0; i <= n; i++ {
		if skip > 0 && i%(2*skip) >= skip && n > skip {
			continue
		}
		f := 0.0
		if n > 0 {
			f = float64(i) / float64(n)
		}
		c.set(x0+int(math.Round(f*float64(x1-x0))), y0+int(math.Round(f*float64(y1-y0))), colour)
	}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// pen writes text with colours, if there are any.
type pen struct {
	b      strings.Builder
	colour bool
}

func (p *pen) paint(colour int, s string) {
	if !p.colour || colour < 0 {
		p.b.WriteString(s)
		return
	}
	fmt.Fprintf(&p.b, "\x1b[38;5;%dm%s\x1b[0m", ansi[colour%len(ansi)], s)
}

func (p *pen) dim(s string) {
	if !p.colour {
		p.b.WriteString(s)
		return
	}
	p.b.WriteString("\x1b[2m" + s + "\x1b[0m")
}

func (p *pen) bold(s string) {
	if !p.colour {
		p.b.WriteString(s)
		return
	}
	p.b.WriteString("\x1b[1m" + s + "\x1b[0m")
}

// clean makes a name one that a terminal shows and does not obey.
func clean(s string) string { return disk.Quote(s) }

// fitText cuts a text to a number of columns.
func fitText(s string, w int) string {
	return runewidth.Truncate(clean(s), max(1, w), "…")
}

func padLeft(s string, w int) string {
	return strings.Repeat(" ", max(0, w-runewidth.StringWidth(s))) + s
}

func padRight(s string, w int) string {
	return s + strings.Repeat(" ", max(0, w-runewidth.StringWidth(s)))
}

func center(s string, w int) string {
	return strings.Repeat(" ", max(0, (w-runewidth.StringWidth(s))/2)) + s
}

// Text draws the plot for a terminal.
func (p *Plot) Text(w io.Writer, o TextOptions) error {
	if o.Width <= 0 {
		o.Width = textWidthDefault
	}
	out := &pen{colour: o.Colour}
	out.bold(strings.TrimRight(center(fitText(p.Title(), o.Width), o.Width), " "))
	out.b.WriteString("\n")
	switch {
	case p.IsImage:
		p.textImages(out, o)
	default:
		c := p.chart()
		switch c.mark {
		case cellMark:
			c.textGrids(out, o)
		case barMark:
			c.textLegend(out, o)
			c.textBars(out, o)
		default:
			c.textLegend(out, o)
			c.textAxes(out, o)
		}
		if c.skipped > 0 {
			out.dim(fmt.Sprintf("%s of %s points are not numbers, or too many to show\n", grouped(c.skipped), grouped(c.ofs)))
		}
	}
	if _, err := io.WriteString(w, out.b.String()); err != nil {
		return fmt.Errorf("write drawing: %w", err)
	}
	return nil
}

// marker stands for a run: a line, or the sign of its style.
func (c *chart) marker(r run) string {
	switch c.mark {
	case barMark:
		return []string{"█", "▓", "▒", "░"}[r.style%4]
	case pointMark:
		return []string{"●", "■", "▲", "◆"}[r.style%4]
	}
	return []string{"━━", "╍╍", "┅┅", "┉┉"}[r.style%4]
}

func (c *chart) textLegend(out *pen, o TextOptions) {
	if len(c.runs) < 2 && (len(c.runs) == 0 || c.runs[0].name == "" || c.runs[0].name == "workspace") {
		return
	}
	col := 0
	for _, r := range c.runs {
		name := fitText(r.name, o.Width-4)
		w := runewidth.StringWidth(name) + 6
		if col > 0 && col+w > o.Width {
			out.b.WriteString("\n")
			col = 0
		}
		if col > 0 {
			out.b.WriteString("  ")
		}
		out.paint(r.rev, c.marker(r))
		out.b.WriteString(" " + name)
		col += w
	}
	out.b.WriteString("\n")
}

func (c *chart) textAxes(out *pen, o TextOptions) {
	x0, x1, y0, y1, ok := c.bounds()
	if !ok {
		out.dim("  no data\n")
		return
	}
	rows := o.Height
	if rows <= 0 {
		rows = textHeight
	}
	ys := niceScale(y0, y1, max(2, rows/4), false)
	left := 0
	for _, t := range ys.ticks {
		left = max(left, runewidth.StringWidth(t.text))
	}
	left = min(left, maxLabel)
	cols := max(minPlot, o.Width-left-2)
	xs := niceScale(x0, x1, max(2, cols/14), c.mark == lineMark)
	if c.cats != nil {
		xs = categories(c.cats)
		xs.lo, xs.hi = -0.5, float64(len(c.cats))-0.5
	}
	cv := newCanvas(cols, rows)
	px := func(v float64) int { return int(math.Round((v - xs.lo) / (xs.hi - xs.lo) * float64(2*cols-1))) }
	py := func(v float64) int { return int(math.Round((ys.hi - v) / (ys.hi - ys.lo) * float64(4*rows-1))) }
	c.dotRuns(cv, px, py)
	if c.yLabel != "" {
		out.dim(fitText(c.yLabel, o.Width) + "\n")
	}
	label := map[int]string{}
	for _, t := range ys.ticks {
		label[py(t.at)/4] = t.text
	}
	for row := range rows {
		text, edge := label[row], "│"
		if text != "" {
			edge = "┤"
		}
		out.dim(padLeft(fitText0(text, left), left) + " " + edge)
		out.row(cv, row)
		out.b.WriteString("\n")
	}
	out.axis(xs, px, left, cols)
	if c.xLabel != "" {
		out.dim(strings.Repeat(" ", left+2) + strings.TrimRight(center(fitText(c.xLabel, cols), cols), " ") + "\n")
	}
}

// fitText0 is fitText that keeps an empty text empty.
func fitText0(s string, w int) string {
	if s == "" {
		return ""
	}
	return fitText(s, w)
}

// row writes a row of dots, blanks at its end left out.
func (p *pen) row(cv *canvas, row int) {
	end := cv.w
	for end > 0 && cv.dots[row*cv.w+end-1] == 0 {
		end--
	}
	for i := 0; i < end; {
		at := row*cv.w + i
		colour := cv.colour[at]
		var s strings.Builder
		for i < end && cv.colour[row*cv.w+i] == colour {
			if d := cv.dots[row*cv.w+i]; d == 0 {
				s.WriteByte(' ')
			} else {
				s.WriteRune(0x2800 + d)
			}
			i++
		}
		p.paint(colour, s.String())
	}
}

// axis writes the line below a drawing, with ticks and their numbers.
func (p *pen) axis(xs scale, px func(float64) int, left, cols int) {
	line := []rune(strings.Repeat("─", cols))
	numbers := strings.Repeat(" ", cols)
	for _, t := range xs.ticks {
		at := px(t.at) / 2
		if at < 0 || at >= cols {
			continue
		}
		text := fitText(t.text, maxLabel)
		w := runewidth.StringWidth(text)
		from := min(max(0, at-w/2), max(0, cols-w))
		// Room for it, with a blank on both sides?
		lo, hi := max(0, from-1), min(cols, from+w+1)
		if w > cols || strings.TrimSpace(cut(numbers, lo, hi)) != "" {
			continue
		}
		line[at] = '┬'
		numbers = cut(numbers, 0, from) + text + cut(numbers, from+w, cols)
	}
	p.dim(strings.Repeat(" ", left+1) + "└" + string(line) + "\n")
	p.dim(strings.TrimRight(strings.Repeat(" ", left+2)+numbers, " ") + "\n")
}

// cut is the part of a text between two columns.
func cut(s string, from, to int) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		if col >= from && col < to {
			b.WriteRune(r)
		}
		col += runewidth.RuneWidth(r)
	}
	return b.String()
}

// dotRuns draws lines and points.
func (c *chart) dotRuns(cv *canvas, px, py func(float64) int) {
	for _, r := range c.runs {
		if c.mark == pointMark {
			for i := range r.x {
				cv.set(px(r.x[i]), py(r.y[i]), r.rev)
			}
			continue
		}
		rows := thin(r.x, r.y, 8*cv.w)
		skip := []int{0, 3, 2, 1}[r.style%4]
		for k, i := range rows {
			x, y := px(r.x[i]), py(r.y[i])
			if k == 0 {
				cv.set(x, y, r.rev)
				continue
			}
			j := rows[k-1]
			cv.line(px(r.x[j]), py(r.y[j]), x, y, r.rev, skip)
		}
	}
}

// eighths are parts of a block, for the ends of bars.
var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

func (c *chart) textBars(out *pen, o TextOptions) {
	x0, x1, _, _, ok := c.bounds()
	if !ok {
		out.dim("  no data\n")
		return
	}
	left := 0
	for _, name := range c.cats {
		left = max(left, runewidth.StringWidth(clean(name)))
	}
	left = min(left, min(maxLabel, o.Width/3))
	const numberWidth = 10
	cols := max(minPlot, o.Width-left-3-numberWidth)
	span := x1 - x0
	if span == 0 {
		span = 1
	}
	for i, name := range c.cats {
		first := true
		for _, r := range c.runs {
			for k := range r.y {
				if int(r.y[k]) != i {
					continue
				}
				label := ""
				if first {
					label = fitText(name, left)
				}
				first = false
				out.dim(padRight(label, left) + " │")
				from := (min(0, r.x[k]) - x0) / span * float64(cols)
				to := (max(0, r.x[k]) - x0) / span * float64(cols)
				blank := int(math.Round(from))
				full := int(to) - blank
				out.b.WriteString(strings.Repeat(" ", max(0, blank)))
				bar := strings.Repeat(c.marker(r), max(0, full))
				if r.style == 0 && full >= 0 {
					bar += eighths[int((to-math.Floor(to))*8)]
				}
				out.paint(r.rev, bar)
				out.b.WriteString(" " + plainNumber(r.x[k]) + "\n")
			}
		}
	}
	if c.xLabel != "" {
		out.dim(strings.Repeat(" ", left+2) + fitText(c.xLabel, cols) + "\n")
	}
}

// shades are how dark a cell of a heat map is, without and with colours.
var shades = []string{"  ", "░░", "▒▒", "▓▓", "██"}

func (c *chart) textGrids(out *pen, o TextOptions) {
	if len(c.grids) == 0 {
		out.dim("  no data\n")
		return
	}
	left := 0
	for _, name := range c.cats {
		left = max(left, runewidth.StringWidth(clean(name)))
	}
	left = min(left, min(maxLabel, o.Width/4))
	cell := 3
	text := func(v float64) string {
		if c.share {
			return strconv.FormatFloat(v, 'f', 2, 64)
		}
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	most := 1.0
	for _, g := range c.grids {
		for _, row := range g.count {
			for _, v := range row {
				cell = max(cell, len(text(v))+2)
				if !c.share {
					most = max(most, v)
				}
			}
		}
	}
	for _, name := range c.cats {
		cell = max(cell, min(8, runewidth.StringWidth(clean(name))+1))
	}
	show := max(1, min(len(c.cats), (o.Width-left-2)/cell))
	for _, g := range c.grids {
		if g.name != "" {
			out.b.WriteString(fitText(g.name, o.Width) + "\n")
		}
		if c.yLabel != "" || c.xLabel != "" {
			out.dim(fitText(c.yLabel+" \\ "+c.xLabel, o.Width) + "\n")
		}
		out.b.WriteString(strings.Repeat(" ", left+1))
		for i := range show {
			out.dim(padLeft(fitText(c.cats[i], cell-1), cell))
		}
		out.b.WriteString("\n")
		for j := range show {
			out.dim(padRight(fitText(c.cats[j], left), left) + " ")
			for i := range show {
				v := g.count[j][i]
				s := padLeft(text(v), cell-1) + " "
				if !out.colour {
					// The shade stands where there is room for it.
					mark := shades[min(len(shades)-1, int(v/most*float64(len(shades))))]
					if room := cell - len(text(v)) - 1; room >= 2 {
						s = mark + padLeft(text(v), cell-2)
					}
					out.b.WriteString(s)
					continue
				}
				fill, dark := heat(v / most)
				ink := 0
				if dark {
					ink = 15
				}
				var r, g, b int
				fmt.Sscanf(fill, "#%02x%02x%02x", &r, &g, &b)
				fmt.Fprintf(&out.b, "\x1b[48;2;%d;%d;%dm\x1b[38;5;%dm%s\x1b[0m", r, g, b, ink, s)
			}
			out.b.WriteString("\n")
		}
	}
	if show < len(c.cats) {
		out.dim(fmt.Sprintf("%d more are not shown\n", len(c.cats)-show))
	}
}
