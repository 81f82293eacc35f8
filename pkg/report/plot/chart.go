package plot

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// mark is how a chart shows its points.
type mark uint8

const (
	lineMark mark = iota
	pointMark
	barMark
	cellMark
)

// chart is a plot as cairn draws it itself: numbers, in the terminal and as SVG.
type chart struct {
	mark                  mark
	title, xLabel, yLabel string
	runs                  []run
	cats                  []string // names on the axis of categories; nil if it has numbers
	grids                 []confusion
	share                 bool // grids show shares of a row, not counts
	skipped               int  // points without numbers
	points                int  // points drawn, before thinning
	ofs                   int  // points of the plot
}

// run is the points of one revision, file and field.
type run struct {
	name       string
	rev, style int // which of the revisions, and of the files and fields
	x, y       []float64
}

// confusion is how often each pair of values occurs.
type confusion struct {
	name  string
	count [][]float64 // by row and column
}

// marks finds the kind of a template: by its name, or by what it draws.
func (p *Plot) mark() (m mark, share bool) {
	if !p.Template.own {
		switch p.Template.Name {
		case "scatter", "scatter_jitter":
			return pointMark, false
		case "bar_horizontal", "bar_horizontal_sorted":
			return barMark, false
		case "confusion":
			return cellMark, false
		case "confusion_normalized":
			return cellMark, true
		}
		return lineMark, false
	}
	switch found := marksIn(p.Template.Content); {
	case found["line"], found["area"], found["trail"]:
		return lineMark, false
	case found["rect"]:
		return cellMark, false
	case found["bar"]:
		return barMark, false
	case found["point"], found["circle"], found["square"]:
		return pointMark, false
	}
	return lineMark, false
}

// marksIn lists the marks that a specification names.
func marksIn(v any) map[string]bool {
	out := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case *yamlfmt.Map:
			for k, e := range x.All() {
				if k == "mark" {
					if m, ok := e.(*yamlfmt.Map); ok {
						e, _ = m.Get("type")
					}
					if s, ok := e.(string); ok {
						out[s] = true
					}
					continue
				}
				walk(e)
			}
		}
	}
	walk(v)
	return out
}

// ordinal gives texts that are no numbers places on an axis, in the order in
// which they come.
type ordinal struct {
	at    map[string]float64
	names []string
}

func (o *ordinal) place(v any) float64 {
	s := yamlfmt.PyStr(v)
	if f, ok := o.at[s]; ok {
		return f
	}
	if o.at == nil {
		o.at = map[string]float64{}
	}
	f := float64(len(o.names))
	o.at[s] = f
	o.names = append(o.names, s)
	return f
}

// Limits of what is drawn: more would not be legible.
const (
	maxCategories = 60
	maxCells      = 40
)

// chart reads the plot's points as numbers.
func (p *Plot) chart() *chart {
	c := &chart{title: p.Title(), xLabel: p.prop("x_label"), yLabel: p.prop("y_label"), ofs: p.Data.N()}
	c.mark, c.share = p.mark()
	xf, yf := p.prop("x"), p.prop("y")
	if c.mark == cellMark {
		c.confusions(p, xf, yf)
		return c
	}
	var cats ordinal
	// The axis of categories: x, or y of bars. Lines and points have one only
	// if nothing on it is a number.
	catField := xf
	if c.mark == barMark {
		catField = yf
	}
	useCats := c.mark == barMark || !p.anyNumber(catField)
	multi := len(p.ys) > 1
	for _, pts := range p.Data {
		xc, yc := pts.column(xf), pts.column(yf)
		if xc == nil || yc == nil {
			c.skipped += pts.N
			continue
		}
		r := p.newRun(pts, multi)
		for i := range pts.N {
			xv, okx := xc.At(i)
			yv, oky := yc.At(i)
			if !okx || !oky {
				c.skipped++
				continue
			}
			x, isX := asNumber(xv)
			y, isY := asNumber(yv)
			switch {
			case c.mark == barMark:
				y, isY = cats.place(yv), true
			case useCats:
				x, isX = cats.place(xv), true
			}
			if !isX || !isY || !drawable(x) || !drawable(y) {
				c.skipped++
				continue
			}
			r.x, r.y = append(r.x, x), append(r.y, y)
			c.points++
		}
		if c.mark == lineMark {
			r.sortByX()
		}
		c.runs = append(c.runs, r)
	}
	if useCats {
		c.cats = cats.names
	}
	if c.mark == barMark {
		c.orderBars(p.Template.Name)
	}
	return c
}

// drawable reports whether a number has a place on an axis: differences of such
// numbers are finite.
func drawable(v float64) bool { return math.Abs(v) <= 1e300 }

// anyNumber reports whether a field has a number anywhere.
func (p *Plot) anyNumber(field string) bool {
	for _, pts := range p.Data {
		if col := pts.column(field); col != nil {
			for i := range pts.N {
				if v, ok := col.At(i); ok {
					if _, isNumber := asNumber(v); isNumber {
						return true
					}
				}
			}
		}
	}
	return false
}

// newRun names a run by what tells it from the others.
func (p *Plot) newRun(pts *Points, multi bool) run {
	rev, style, detail := p.tell(pts)
	r := run{rev: rev, style: style}
	name := ""
	if rev < len(p.Revs) {
		name = p.Revs[rev]
	}
	switch {
	case !multi:
		r.name = name
	case len(p.Revs) > 1:
		r.name = name + " " + detail
	default:
		r.name = detail
	}
	return r
}

// tell says which revision a run is of, and which of the files and fields.
func (p *Plot) tell(pts *Points) (rev, style int, detail string) {
	at := func(name string) string {
		if col := pts.column(name); col != nil && pts.N > 0 {
			v, _ := col.At(0)
			return yamlfmt.PyStr(v)
		}
		return ""
	}
	rev = max(0, slices.Index(p.Revs, at(revField)))
	varied, domain := p.variations()
	switch len(varied) {
	case 1:
		detail = at(varied[0])
	case 2:
		if detail = at(filenameField + separator + fieldField); detail == "" {
			detail = at(filenameField) + separator + at(fieldField)
		}
	}
	return rev, max(0, slices.Index(domain, detail)), detail
}

func (r *run) sortByX() {
	if sort.Float64sAreSorted(r.x) {
		return
	}
	sort.Stable(byX{r})
}

type byX struct{ *run }

func (b byX) Len() int           { return len(b.x) }
func (b byX) Less(i, j int) bool { return b.x[i] < b.x[j] }
func (b byX) Swap(i, j int) {
	b.x[i], b.x[j] = b.x[j], b.x[i]
	b.y[i], b.y[j] = b.y[j], b.y[i]
}

// orderBars sorts categories by name, or by the largest value, as the template
// has it, and keeps as many as can be read.
func (c *chart) orderBars(template string) {
	n := len(c.cats)
	top := make([]float64, n)
	for i := range top {
		top[i] = math.Inf(-1)
	}
	for _, r := range c.runs {
		for i, y := range r.y {
			top[int(y)] = max(top[int(y)], r.x[i])
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool {
		i, j := order[a], order[b]
		if template == "bar_horizontal_sorted" {
			return top[i] > top[j]
		}
		return naturalLess(c.cats[i], c.cats[j])
	})
	order = order[:min(n, maxCategories)]
	to := make([]int, n)
	for i := range to {
		to[i] = -1
	}
	names := make([]string, len(order))
	for i, from := range order {
		to[from], names[i] = i, c.cats[from]
	}
	for k := range c.runs {
		r := &c.runs[k]
		var x, y []float64
		for i := range r.y {
			if at := to[int(r.y[i])]; at >= 0 {
				x, y = append(x, r.x[i]), append(y, float64(at))
			}
		}
		r.x, r.y = x, y
	}
	c.cats = names
}

// naturalLess sorts numbers by size and texts by character.
func naturalLess(a, b string) bool {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA == nil && errB == nil {
		return x < y
	}
	return a < b
}

// confusions counts pairs of values, a grid for each revision, file and field.
func (c *chart) confusions(p *Plot, xf, yf string) {
	seen := map[string]bool{}
	var names []string
	each := func(visit func(g int, pts *Points, x, y string)) {
		for g, pts := range p.Data {
			xc, yc := pts.column(xf), pts.column(yf)
			if xc == nil || yc == nil {
				continue
			}
			for i := range pts.N {
				x, okx := xc.At(i)
				y, oky := yc.At(i)
				if okx && oky {
					visit(g, pts, yamlfmt.PyStr(x), yamlfmt.PyStr(y))
				}
			}
		}
	}
	each(func(_ int, _ *Points, x, y string) {
		for _, s := range []string{x, y} {
			if !seen[s] {
				seen[s] = true
				names = append(names, s)
			}
		}
	})
	sort.SliceStable(names, func(i, j int) bool { return naturalLess(names[i], names[j]) })
	if len(names) > maxCells {
		names = names[:maxCells]
	}
	c.cats = names
	at := map[string]int{}
	for i, n := range names {
		at[n] = i
	}
	grids := map[int]*confusion{}
	var order []int
	each(func(g int, pts *Points, x, y string) {
		i, okx := at[x]
		j, oky := at[y]
		if !okx || !oky {
			c.skipped++
			return
		}
		m := grids[g]
		if m == nil {
			m = &confusion{name: p.newRun(pts, len(p.ys) > 1).name, count: make([][]float64, len(names))}
			for k := range m.count {
				m.count[k] = make([]float64, len(names))
			}
			grids[g] = m
			order = append(order, g)
		}
		m.count[j][i]++
		c.points++
	})
	for _, g := range order {
		m := grids[g]
		if c.share {
			for _, row := range m.count {
				sum := 0.0
				for _, n := range row {
					sum += n
				}
				for i := range row {
					if sum > 0 {
						row[i] /= sum
					}
				}
			}
		}
		c.grids = append(c.grids, *m)
	}
}

// bounds is the range of the numbers on each axis; ok is false if there are
// none.
func (c *chart) bounds() (x0, x1, y0, y1 float64, ok bool) {
	x0, y0 = math.Inf(1), math.Inf(1)
	x1, y1 = math.Inf(-1), math.Inf(-1)
	for _, r := range c.runs {
		for i := range r.x {
			x0, x1 = min(x0, r.x[i]), max(x1, r.x[i])
			y0, y1 = min(y0, r.y[i]), max(y1, r.y[i])
			ok = true
		}
	}
	if c.mark == barMark && ok {
		x0, x1 = min(x0, 0), max(x1, 0)
	}
	return x0, x1, y0, y1, ok
}

// scale is an axis: a range that ends at ticks, or so for a loose one.
type scale struct {
	lo, hi float64
	ticks  []tick
}

type tick struct {
	at   float64
	text string
}

// niceScale chooses about n ticks at round numbers. Where tight, the range
// stays as it is and only ticks within it are kept.
func niceScale(lo, hi float64, n int, tight bool) scale {
	if lo > hi {
		lo, hi = hi, lo
	}
	if lo == hi {
		d := math.Abs(lo) * 0.5
		if lo-d == lo || math.IsInf(d, 0) {
			d = 1
		}
		lo, hi = lo-d, hi+d
		tight = false
	}
	span := hi - lo
	step := niceStep(span / float64(max(1, n)))
	if step == 0 || math.IsInf(step, 0) || lo+step == lo || hi-step == hi {
		// Numbers so close together that floating point has none between.
		return scale{lo, hi, []tick{{lo, plainNumber(lo)}, {hi, plainNumber(hi)}}}
	}
	const near = 1e-9 // of a step: what floating point makes of a round number
	first, last := math.Ceil(lo/step-near), math.Floor(hi/step+near)
	if !tight {
		first, last = math.Floor(lo/step+near), math.Ceil(hi/step-near)
		lo, hi = min(lo, first*step), max(hi, last*step)
	}
	s := scale{lo: lo, hi: hi}
	for k := first; k <= last && len(s.ticks) < 100; k++ {
		at := k * step
		s.ticks = append(s.ticks, tick{at, tickText(at, step, max(math.Abs(lo), math.Abs(hi)))})
	}
	return s
}

// niceStep is the smallest of 1, 2, 2.5, 5 times a power of ten that is not
// less than raw.
func niceStep(raw float64) float64 {
	if raw <= 0 || math.IsInf(raw, 0) || math.IsNaN(raw) {
		return 0
	}
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if step := f * power; step >= raw*(1-1e-9) {
			return step
		}
	}
	return 10 * power
}

// Ticks beyond these are written with a power of ten.
const (
	largeTick = 1e6
	smallTick = 1e-4
)

// tickText writes a tick with as many digits as tell it from its neighbours.
func tickText(v, step, top float64) string {
	if math.Abs(v) < step/1e6 {
		return "0"
	}
	if top >= largeTick || top < smallTick {
		digits := max(0, int(math.Ceil(math.Log10(math.Abs(v)/step)-1e-9)))
		s := strconv.FormatFloat(v, 'e', min(digits+1, 12), 64)
		mantissa, exp, _ := strings.Cut(s, "e")
		if strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		n, _ := strconv.Atoi(exp)
		return mantissa + "e" + strconv.Itoa(n)
	}
	decimals := 0
	for s := step; decimals < 12 && math.Abs(s-math.Round(s)) > s*1e-6; s *= 10 {
		decimals++
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// plainNumber is a number as short as it can be told.
func plainNumber(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
