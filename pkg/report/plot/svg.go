package plot

import (
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// SVGOptions say how large a drawing is; the zero value is a usual one.
type SVGOptions struct {
	Width, Height int // pixels; 0 is 640 by 360, or as high as the content needs
}

// Measures of a drawing, in pixels.
const (
	svgWidth, svgHeight = 640, 360
	fontSize            = 11.0
	titleSize           = 14.0
	margin              = 12.0
	legendRow           = 18.0
	tickLength          = 4.0
	barHeight           = 13.0
	// pointsPerRun is what a line of a drawing is thinned to: two a pixel.
	pointsPerRun = 1200
	// cloudPoints is what the points of a cloud are thinned to, all together.
	cloudPoints = 4000
)

// svgStyle colours by class, so that one drawing is good on white and on dark.
const svgStyle = `<style>
.cp-bg{fill:#fff}.cp-t{fill:#24292f;font:11px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
.cp-h{font-size:14px;font-weight:600}.cp-m{fill:#57606a}.cp-g{stroke:#d8dee4;stroke-width:1}.cp-a{stroke:#8c959f;stroke-width:1}
.cp-l{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.cp-c{stroke:#fff;stroke-width:1}
.cp-on{fill:#fff}
@media (prefers-color-scheme:dark){.cp-bg{fill:#0d1117}.cp-t{fill:#e6edf3}.cp-m{fill:#9198a1}.cp-g{stroke:#2b323b}.cp-a{stroke:#656c76}.cp-c{stroke:#0d1117}.cp-on{fill:#fff}}
</style>
`

// svg writes elements and remembers the first error of the writer.
type svg struct {
	b strings.Builder
}

func (s *svg) f(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

// xmlText escapes a text; what XML cannot hold becomes a mark.
func xmlText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r < ' ' && r != '\t' && r != '\n', r == 0x7f, r == utf8.RuneError, r == 0xfffe, r == 0xffff, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// n writes a coordinate.
func n(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

// textWidth estimates how wide a text is.
func textWidth(s string, size float64) float64 {
	return float64(runewidth.StringWidth(s)) * size * 0.56
}

// shorten cuts a text in the middle to a width.
func shorten(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	r := []rune(s)
	keep := max(3, int(width/(size*0.56))-1)
	if keep >= len(r) {
		return s
	}
	head := keep * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(keep-head):])
}

func (s *svg) text(x, y float64, class, anchor, text, more string) {
	a := ""
	if anchor != "" {
		a = ` text-anchor="` + anchor + `"`
	}
	s.f(`<text class="cp-t%s" x="%s" y="%s"%s%s>%s</text>`+"\n", class, n(x), n(y), a, more, xmlText(text))
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	s.f(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, n(x1), n(y1), n(x2), n(y2))
}

// SVG draws the plot without a browser: one picture that is good on white and
// on dark. A plot without data says so in its drawing.
func (p *Plot) SVG(w io.Writer, o SVGOptions) error {
	if o.Width <= 0 {
		o.Width = svgWidth
	}
	s := &svg{}
	switch {
	case p.IsImage:
		p.svgImages(s, o)
	default:
		c := p.chart()
		switch {
		case c.mark == cellMark && len(c.grids) > 0:
			c.svgGrids(s, o)
		default:
			c.svgAxes(s, o)
		}
	}
	if _, err := io.WriteString(w, s.b.String()); err != nil {
		return fmt.Errorf("write drawing: %w", err)
	}
	return nil
}

func (s *svg) begin(width, height float64, title string) {
	s.f(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img" aria-label="%s">`+"\n",
		n(width), n(height), n(width), n(height), xmlText(title))
	s.b.WriteString(svgStyle)
	s.f(`<rect class="cp-bg" width="%s" height="%s"/>`+"\n", n(width), n(height))
}

// Colour of a revision.
func colour(i int) string { return Palette[i%len(Palette)] }

// legend places the names of runs in rows; it returns the place of each and the
// height.
func (c *chart) legend(width float64) (at [][2]float64, names []string, height float64) {
	if len(c.runs) < 2 && (len(c.runs) == 0 || c.runs[0].name == "" || c.runs[0].name == "workspace") {
		return nil, nil, 0
	}
	const symbol, gap, most = 26.0, 16.0, 24
	x, y := 0.0, 0.0
	for i, r := range c.runs {
		name := shorten(r.name, fontSize, width-symbol)
		if i == most && len(c.runs) > most+1 {
			name = fmt.Sprintf("and %d more", len(c.runs)-most)
		}
		w := symbol + textWidth(name, fontSize) + gap
		if x > 0 && x+w > width {
			x, y = 0, y+legendRow
		}
		at, names = append(at, [2]float64{x, y}), append(names, name)
		x += w
		if i == most && len(c.runs) > most+1 {
			break
		}
	}
	return at, names, y + legendRow
}

func dashOf(style int) string {
	d := dashes[style%len(dashes)]
	if d[1] == 0 {
		return ""
	}
	return fmt.Sprintf(` stroke-dasharray="%d %d"`, d[0], d[1])
}

// symbol draws what stands for a run in the legend.
func (c *chart) symbol(s *svg, r run, x, y float64) {
	switch c.mark {
	case lineMark:
		s.f(`<path class="cp-l" d="M%s %sh20" stroke="%s"%s/>`+"\n", n(x), n(y), colour(r.rev), dashOf(r.style))
	case barMark:
		s.f(`<rect x="%s" y="%s" width="12" height="10" fill="%s" opacity="%s"/>`+"\n", n(x+4), n(y-5), colour(r.rev), n(barOpacity(r.style)))
	default:
		s.f(`<path d="%s" transform="translate(%s %s)" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", shapes[r.style%len(shapes)], n(x+10), n(y), colour(r.rev))
	}
}

func barOpacity(style int) float64 { return max(0.3, 1-0.2*float64(style)) }

// shapes of points around the origin: circle, square, triangle, diamond.
var shapes = []string{
	"M3.5 0a3.5 3.5 0 1 1-7 0 3.5 3.5 0 1 1 7 0z", "M-3-3h6v6h-6z", "M0-3.6L3.6 3h-7.2z", "M0-4L3 0 0 4-3 0z",
}

// frame is where the data is drawn.
type frame struct {
	left, top, width, height float64
	x, y                     scale
}

func (f *frame) px(v float64) float64 {
	return f.left + (v-f.x.lo)/(f.x.hi-f.x.lo)*f.width
}

func (f *frame) py(v float64) float64 {
	return f.top + f.height - (v-f.y.lo)/(f.y.hi-f.y.lo)*f.height
}

func (c *chart) svgAxes(s *svg, o SVGOptions) {
	width := float64(o.Width)
	height := float64(o.Height)
	top := margin
	if c.title != "" {
		top += titleSize + 8
	}
	legendAt, legendNames, legendHeight := c.legend(width - 2*margin)
	top += legendHeight
	x0, x1, y0, y1, ok := c.bounds()
	f := frame{top: top + 4}
	bottom := margin + fontSize + 10
	if c.xLabel != "" {
		bottom += fontSize + 8
	}
	rows := 0.0
	if c.mark == barMark {
		rows = float64(max(1, len(c.cats)))
		if height == 0 {
			height = f.top + bottom + rows*(barHeight*float64(max(1, len(c.runs)))+6)
		}
	}
	if height == 0 {
		height = svgHeight
	}
	f.height = max(40, height-f.top-bottom)
	if height < f.top+f.height+bottom {
		height = f.top + f.height + bottom
	}
	switch {
	case !ok:
		f.x, f.y = niceScale(0, 1, 5, true), niceScale(0, 1, 4, true)
	case c.mark == barMark:
		f.y = categories(c.cats)
		f.y.lo, f.y.hi = rows-0.5, -0.5 // the first on top
	default:
		f.y = niceScale(y0, y1, max(2, int(f.height/48)), false)
	}
	wide := 0.0
	for _, t := range f.y.ticks {
		wide = max(wide, textWidth(t.text, fontSize))
	}
	wide = min(wide, width*0.35)
	f.left = margin + wide + 8
	if c.yLabel != "" {
		f.left += fontSize + 8
	}
	f.width = max(40, width-f.left-margin-10)
	if ok {
		if c.cats != nil && c.mark != barMark {
			f.x = categories(c.cats)
			f.x.lo, f.x.hi = -0.5, float64(len(c.cats))-0.5
		} else {
			f.x = niceScale(x0, x1, max(2, int(f.width/80)), c.mark == lineMark)
		}
	}
	s.begin(width, height, c.title)
	if c.title != "" {
		s.text(width/2, margin+titleSize, " cp-h", "middle", shorten(c.title, titleSize, width-2*margin), "")
	}
	for i, at := range legendAt {
		y := top - legendHeight + at[1] + legendRow/2
		if i < len(c.runs) && !strings.HasPrefix(legendNames[i], "and ") || i < len(c.runs) && legendNames[i] == c.runs[i].name {
			c.symbol(s, c.runs[i], margin+at[0], y)
		}
		s.text(margin+at[0]+26, y+4, "", "", legendNames[i], "")
	}
	c.svgGrid(s, &f, wide)
	if !ok {
		why := "no data"
		if c.ofs > 0 {
			why = "no numbers to draw"
		}
		s.text(f.left+f.width/2, f.top+f.height/2, " cp-m", "middle", why, "")
	}
	c.svgMarks(s, &f)
	s.b.WriteString("</svg>\n")
}

// categories is an axis of names.
func categories(names []string) scale {
	var sc scale
	every := max(1, (len(names)+39)/40)
	for i, name := range names {
		if i%every == 0 {
			sc.ticks = append(sc.ticks, tick{float64(i), name})
		}
	}
	return sc
}

func (c *chart) svgGrid(s *svg, f *frame, wide float64) {
	bottom := f.top + f.height
	for _, t := range f.y.ticks {
		y := f.py(t.at)
		if c.mark != barMark {
			s.line("cp-g", f.left, y, f.left+f.width, y)
		}
		s.text(f.left-6, y+4, " cp-m", "end", shorten(t.text, fontSize, wide), "")
	}
	room := math.Inf(1)
	if len(f.x.ticks) > 1 {
		room = math.Abs(f.px(f.x.ticks[1].at)-f.px(f.x.ticks[0].at)) - 4
	}
	last := math.Inf(-1)
	for _, t := range f.x.ticks {
		x := f.px(t.at)
		label := t.text
		if c.cats != nil && c.mark != barMark {
			label = shorten(label, fontSize, max(room, 40))
		}
		if c.mark != lineMark {
			s.line("cp-g", x, f.top, x, bottom)
		}
		s.line("cp-a", x, bottom, x, bottom+tickLength)
		half := textWidth(label, fontSize) / 2
		if x-half < last+4 {
			continue // would touch the one before
		}
		last = x + half
		s.text(x, bottom+tickLength+fontSize+1, " cp-m", "middle", label, "")
	}
	s.line("cp-a", f.left, bottom, f.left+f.width, bottom)
	if c.xLabel != "" {
		s.text(f.left+f.width/2, bottom+tickLength+2*fontSize+9, "", "middle", shorten(c.xLabel, fontSize, f.width), "")
	}
	if c.yLabel != "" {
		x, y := margin+fontSize-2, f.top+f.height/2
		s.text(x, y, "", "middle", shorten(c.yLabel, fontSize, f.height), fmt.Sprintf(` transform="rotate(-90 %s %s)"`, n(x), n(y)))
	}
}

func (c *chart) svgMarks(s *svg, f *frame) {
	switch c.mark {
	case lineMark:
		for _, r := range c.runs {
			c.svgLine(s, f, r)
		}
	case barMark:
		per := f.height / float64(max(1, len(c.cats)))
		each := per * 0.84 / float64(max(1, len(c.runs)))
		for k, r := range c.runs {
			for i := range r.x {
				y := f.top + r.y[i]*per + per*0.08 + float64(k)*each
				a, b := f.px(min(0, r.x[i])), f.px(max(0, r.x[i]))
				s.f(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s" opacity="%s"><title>%s</title></rect>`+"\n",
					n(a), n(y), n(max(0.5, b-a)), n(each*0.92), colour(r.rev), n(barOpacity(r.style)), xmlText(strings.TrimSpace(r.name+" "+plainNumber(r.x[i]))))
			}
		}
	case pointMark:
		total := 0
		for _, r := range c.runs {
			total += len(r.x)
		}
		for _, r := range c.runs {
			keep := len(r.x)
			if total > cloudPoints {
				keep = max(1, len(r.x)*cloudPoints/total)
			}
			s.f(`<g fill="none" stroke="%s" stroke-width="1.5">`+"\n", colour(r.rev))
			for _, i := range spread(len(r.x), keep) {
				s.f(`<path d="%s" transform="translate(%s %s)"/>`+"\n", shapes[r.style%len(shapes)], n(f.px(r.x[i])), n(f.py(r.y[i])))
			}
			s.b.WriteString("</g>\n")
		}
	}
}

func (c *chart) svgLine(s *svg, f *frame, r run) {
	if len(r.x) == 0 {
		return
	}
	rows := thin(r.x, r.y, pointsPerRun)
	s.f(`<path class="cp-l" stroke="%s"%s d="`, colour(r.rev), dashOf(r.style))
	for k, i := range rows {
		cmd := "L"
		if k == 0 {
			cmd = "M"
		}
		s.f("%s%s %s", cmd, n(f.px(r.x[i])), n(f.py(r.y[i])))
	}
	s.b.WriteString("\"/>\n")
	if len(rows) <= 40 {
		for _, i := range rows {
			s.f(`<circle cx="%s" cy="%s" r="2.4" fill="%s"><title>%s</title></circle>`+"\n", n(f.px(r.x[i])), n(f.py(r.y[i])), colour(r.rev),
				xmlText(strings.TrimSpace(r.name+" "+plainNumber(r.x[i])+": "+plainNumber(r.y[i]))))
		}
	}
}

// heat is the colour of a share from 0 to 1, and whether light text is read
// better on it.
func heat(v float64) (fill string, dark bool) {
	v = min(1, max(0, v))
	from, to := [3]float64{0xea, 0xf3, 0xfb}, [3]float64{0x08, 0x40, 0x81}
	var c [3]int
	for i := range c {
		c[i] = int(math.Round(from[i] + (to[i]-from[i])*v))
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]), v > 0.5
}

// svgGrids draws a heat map for each revision, side by side.
func (c *chart) svgGrids(s *svg, o SVGOptions) {
	width := float64(o.Width)
	wide := 0.0
	for _, name := range c.cats {
		wide = max(wide, textWidth(name, fontSize))
	}
	wide = min(wide, 90)
	across := min(len(c.grids), max(1, int(width/300)))
	left := margin + wide + 8
	if c.yLabel != "" {
		left += fontSize + 8
	}
	each := (width - margin) / float64(across)
	side := each - left - margin
	cell := side / float64(max(1, len(c.cats)))
	if cell > 56 {
		cell = 56
		side = cell * float64(len(c.cats))
	}
	top := margin
	if c.title != "" {
		top += titleSize + 8
	}
	down := side + 2*fontSize + 34 + fontSize
	rows := (len(c.grids) + across - 1) / across
	height := top + down*float64(rows) + margin
	s.begin(width, height, c.title)
	if c.title != "" {
		s.text(width/2, margin+titleSize, " cp-h", "middle", shorten(c.title, titleSize, width-2*margin), "")
	}
	most := 0.0
	for _, g := range c.grids {
		for _, row := range g.count {
			for _, v := range row {
				most = max(most, v)
			}
		}
	}
	if c.share || most == 0 {
		most = 1
	}
	for k, g := range c.grids {
		c.svgGridOne(s, g, float64(k%across)*each+left, top+float64(k/across)*down+fontSize+10, cell, most, wide)
	}
	s.b.WriteString("</svg>\n")
}

func (c *chart) svgGridOne(s *svg, g confusion, left, top, cell, most, wide float64) {
	side := cell * float64(len(c.cats))
	s.text(left+side/2, top-6, "", "middle", shorten(g.name, fontSize, side+wide), "")
	for j, row := range g.count {
		y := top + float64(j)*cell
		s.text(left-6, y+cell/2+4, " cp-m", "end", shorten(c.cats[j], fontSize, wide), "")
		for i, v := range row {
			fill, dark := heat(v / most)
			x := left + float64(i)*cell
			s.f(`<rect class="cp-c" x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n", n(x), n(y), n(cell), n(cell), fill)
			label := strconv.FormatFloat(v, 'f', 0, 64)
			if c.share {
				label = strconv.FormatFloat(v, 'f', 2, 64)
			}
			if cell >= 14 && textWidth(label, fontSize) <= cell {
				ink := "#24292f"
				if dark {
					ink = "#fff"
				}
				s.f(`<text x="%s" y="%s" text-anchor="middle" style="font:11px system-ui,sans-serif;fill:%s">%s</text>`+"\n", n(x+cell/2), n(y+cell/2+4), ink, label)
			}
		}
	}
	for i, name := range c.cats {
		x := left + (float64(i)+0.5)*cell
		if i > 0 && cell < 12 {
			continue
		}
		s.text(x, top+side+fontSize+3, " cp-m", "middle", shorten(name, fontSize, max(cell-2, 14)), "")
	}
	if c.xLabel != "" {
		s.text(left+side/2, top+side+2*fontSize+9, "", "middle", shorten(c.xLabel, fontSize, side+wide), "")
	}
	if c.yLabel != "" {
		x, y := left-wide-10, top+side/2
		s.text(x, y, "", "middle", shorten(c.yLabel, fontSize, max(side, 60)), fmt.Sprintf(` transform="rotate(-90 %s %s)"`, n(x), n(y)))
	}
}

// DataURL is a picture as a URL that holds it, of a type that a browser shows
// as a picture only.
func (i Image) DataURL() string {
	return "data:" + i.mediaType() + ";base64," + base64.StdEncoding.EncodeToString(i.Content)
}

func (i Image) mediaType() string {
	switch suffix(i.File) {
	case ".svg":
		return "image/svg+xml"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	}
	if t := http.DetectContentType(i.Content); strings.HasPrefix(t, "image/") {
		return t
	}
	return "image/png"
}

// svgImages lays pictures side by side.
func (p *Plot) svgImages(s *svg, o SVGOptions) {
	width := float64(o.Width)
	across := min(max(1, len(p.Images)), 3)
	each := (width - margin) / float64(across)
	side := each - margin
	high := side * 0.75
	rows := (len(p.Images) + across - 1) / across
	top := margin + titleSize + 12
	s.begin(width, top+float64(max(1, rows))*(high+fontSize+16)+margin, p.Title())
	s.text(width/2, margin+titleSize, " cp-h", "middle", shorten(p.Title(), titleSize, width-2*margin), "")
	for k, img := range p.Images {
		x, y := margin+float64(k%across)*each, top+float64(k/across)*(high+fontSize+16)
		s.text(x+side/2, y+fontSize, " cp-m", "middle", shorten(img.Rev, fontSize, side), "")
		s.f(`<image x="%s" y="%s" width="%s" height="%s" href="%s"/>`+"\n", n(x), n(y+fontSize+6), n(side), n(high), img.DataURL())
	}
	if len(p.Images) == 0 {
		s.text(width/2, top+40, " cp-m", "middle", "no data", "")
	}
	s.b.WriteString("</svg>\n")
}
