package report

import (
	"math"
	"slices"
	"strings"
)

// Graph drawing, after Sugiyama: nodes stand in layers below all that they
// need, long edges get a bend in each layer that they cross, the order in the
// layers is the one with the fewest crossings that a few sweeps find, and
// columns come from Brandes and Köpf, "Fast and Simple Horizontal Coordinate
// Assignment" (2001). Sizes, distances and the way in which lines meet boxes
// are DVC's, so that chains and trees look the same to the blank.

const (
	boxHeight   = 3
	layerHeight = 2 * boxHeight // of boxes and the space below them
	sweeps      = 8
)

// vertex is a box, or the bend of a long edge.
type vertex struct {
	label string // "" of a bend
	width int    // columns
	layer int
	at    int // in its layer
	up    []int
	down  []int
	x     float64 // the middle
	bend  bool
}

// drawing is a graph in layers.
type drawing struct {
	v      []vertex
	layers [][]int
	routes [][]int // the vertices that each edge passes, its ends included
	space  float64 // between neighbours
	bend   int     // columns that the bend of an edge takes
}

// Boxes draws a connected graph without circles in characters: a box for each
// node, stars for edges, which lead downwards. An edge is a pair of indexes of
// nodes.
func Boxes(nodes []string, edges [][2]int) string {
	if len(nodes) == 0 {
		return ""
	}
	d := newDrawing(nodes, edges)
	d.order()
	d.place()
	return d.paint()
}

func newDrawing(nodes []string, edges [][2]int) *drawing {
	d := &drawing{v: make([]vertex, len(nodes)), space: math.MaxFloat64}
	for i, n := range nodes {
		label := " " + n + " "
		d.v[i] = vertex{label: label, width: len([]rune(label)) + 2}
		d.space = min(d.space, float64(d.v[i].width))
	}
	widths := make([]int, len(nodes))
	for i := range nodes {
		widths[i] = d.v[i].width
	}
	slices.Sort(widths)
	d.bend = widths[len(widths)/2]
	edges = slices.DeleteFunc(slices.Clone(edges), func(e [2]int) bool { return e[0] == e[1] })
	d.setLayers(len(nodes), edges)
	for _, e := range edges {
		route := []int{e[0]}
		for l := d.v[e[0]].layer + 1; l < d.v[e[1]].layer; l++ {
			route = append(route, len(d.v))
			d.layers[l] = append(d.layers[l], len(d.v))
			d.v = append(d.v, vertex{width: d.bend, layer: l, bend: true})
		}
		route = append(route, e[1])
		for i := 1; i < len(route); i++ {
			d.v[route[i-1]].down = append(d.v[route[i-1]].down, route[i])
			d.v[route[i]].up = append(d.v[route[i]].up, route[i-1])
		}
		d.routes = append(d.routes, route)
	}
	d.setPlaces()
	return d
}

// setLayers puts each node below all that it needs, and then, from the bottom
// up, what is needed right above the first that needs it. Nodes come in waves:
// those that need nothing, then those that need only these, and so on. What was
// pulled down stands behind what was not; DVC has this order, too.
func (d *drawing) setLayers(nodes int, edges [][2]int) {
	needs, neededBy := make([][]int, nodes), make([][]int, nodes)
	for _, e := range edges {
		needs[e[1]] = append(needs[e[1]], e[0])
		neededBy[e[0]] = append(neededBy[e[0]], e[1])
	}
	left := make([]int, nodes)
	var wave []int
	for i := range nodes {
		if left[i] = len(needs[i]); left[i] == 0 {
			wave = append(wave, i)
		}
	}
	for l := 0; len(wave) > 0; l++ {
		d.layers = append(d.layers, wave)
		var next []int
		for _, i := range wave {
			d.v[i].layer = l
			for _, j := range neededBy[i] {
				if left[j]--; left[j] == 0 {
					next = append(next, j)
				}
			}
		}
		wave = next
	}
	for l := len(d.layers) - 1; l > 0; l-- {
		for _, i := range d.layers[l] {
			for _, j := range needs[i] {
				if slices.ContainsFunc(neededBy[j], func(k int) bool { return d.v[k].layer < l }) {
					continue
				}
				from := d.layers[d.v[j].layer]
				at := slices.Index(from, j)
				d.layers[d.v[j].layer] = slices.Delete(from, at, at+1)
				d.v[j].layer = l - 1
				d.layers[l-1] = append(d.layers[l-1], j)
			}
		}
	}
}

func (d *drawing) setPlaces() {
	for _, layer := range d.layers {
		for at, i := range layer {
			d.v[i].at = at
		}
	}
}

// order sorts the layers by where the neighbours of each vertex stand, down
// and up again, and keeps the order with the fewest crossings.
func (d *drawing) order() {
	best, least := d.copyLayers(), d.crossings()
	for n := 0; n < sweeps && least > 0; n++ {
		for l := range d.layers {
			if n%2 == 0 {
				d.sortLayer(l, func(v *vertex) []int { return v.up })
			} else {
				d.sortLayer(len(d.layers)-1-l, func(v *vertex) []int { return v.down })
			}
		}
		if c := d.crossings(); c < least {
			best, least = d.copyLayers(), c
		}
	}
	d.layers = best
	d.setPlaces()
}

func (d *drawing) copyLayers() [][]int {
	out := make([][]int, len(d.layers))
	for i, l := range d.layers {
		out[i] = slices.Clone(l)
	}
	return out
}

func (d *drawing) sortLayer(l int, neighbours func(*vertex) []int) {
	middle := map[int]float64{}
	for _, i := range d.layers[l] {
		list := neighbours(&d.v[i])
		sum := float64(d.v[i].at)
		if len(list) > 0 {
			sum = 0
			for _, j := range list {
				sum += float64(d.v[j].at)
			}
			sum /= float64(len(list))
		}
		middle[i] = sum
	}
	slices.SortStableFunc(d.layers[l], func(a, b int) int {
		switch {
		case middle[a] < middle[b]:
			return -1
		case middle[a] > middle[b]:
			return 1
		}
		return 0
	})
	for at, i := range d.layers[l] {
		d.v[i].at = at
	}
}

// crossings counts the pairs of edges that cross, each layer with a tree of
// partial sums.
func (d *drawing) crossings() int {
	count := 0
	for _, layer := range d.layers {
		var ends []int
		most := 0
		for _, i := range layer {
			down := make([]int, 0, len(d.v[i].down))
			for _, j := range d.v[i].down {
				down = append(down, d.v[j].at)
				most = max(most, d.v[j].at+1)
			}
			slices.Sort(down)
			ends = append(ends, down...)
		}
		sums := make([]int, most+1)
		for n, end := range ends {
			before := 0
			for i := end + 1; i > 0; i -= i & -i {
				before += sums[i]
			}
			count += n - before
			for i := end + 1; i <= most; i += i & -i {
				sums[i]++
			}
		}
	}
	return count
}

// place gives each vertex its column: the mean of the two middle ones of four
// placements, which lean to the left and to the right, along the edges upwards
// and downwards.
func (d *drawing) place() {
	marked := d.conflicts()
	four := make([][]float64, len(d.v))
	for _, upwards := range []bool{true, false} {
		for _, left := range []bool{true, false} {
			for i, x := range d.lean(upwards, left, marked) {
				four[i] = append(four[i], x)
			}
		}
	}
	for i, xs := range four {
		slices.Sort(xs)
		d.v[i].x = (xs[1] + xs[2]) / 2
	}
	d.part()
}

// part moves boxes apart that came to stand over each other, as they may where
// the four placements disagree.
func (d *drawing) part() {
	for _, layer := range d.layers {
		last := -1
		for _, i := range layer {
			if d.v[i].bend {
				continue
			}
			if last >= 0 {
				d.v[i].x = max(d.v[i].x, d.v[last].x+float64(d.v[last].width+d.v[i].width)/2+2)
			}
			last = i
		}
	}
}

// conflicts are the edges that cross a piece of a long one, which is to be
// straight.
func (d *drawing) conflicts() map[[2]int]bool {
	marked := map[[2]int]bool{}
	for l := 1; l < len(d.layers); l++ {
		upper, lower := d.layers[l-1], d.layers[l]
		begin, next := 0, 0
		for n, i := range lower {
			end := len(upper) - 1
			inner := d.inner(i)
			if inner >= 0 {
				end = d.v[inner].at
			}
			if inner < 0 && n < len(lower)-1 {
				continue
			}
			for ; next <= n; next++ {
				for _, j := range d.v[lower[next]].up {
					if at := d.v[j].at; (at < begin || at > end) && d.inner(lower[next]) != j {
						marked[[2]int{j, lower[next]}] = true
					}
				}
			}
			begin = end
		}
	}
	return marked
}

// inner is the bend above a bend, or -1.
func (d *drawing) inner(i int) int {
	if d.v[i].bend && d.v[d.v[i].up[0]].bend {
		return d.v[i].up[0]
	}
	return -1
}

// leaning is one of the four placements. Left and right are turned round for
// those that lean to the right, up and down for those along edges downwards.
type leaning struct {
	*drawing
	left, upwards bool
	root, align   []int
	sink          []int
	shift, x      []float64
	placed        []bool
}

func (d *drawing) lean(upwards, left bool, marked map[[2]int]bool) []float64 {
	n := len(d.v)
	p := &leaning{drawing: d, left: left, upwards: upwards, root: make([]int, n), align: make([]int, n), sink: make([]int, n),
		shift: make([]float64, n), x: make([]float64, n), placed: make([]bool, n)}
	for i := range n {
		p.root[i], p.align[i], p.sink[i], p.shift[i] = i, i, i, math.Inf(1)
	}
	p.alignBlocks(marked)
	return p.compact()
}

// at is a vertex's place in its layer as this placement counts it.
func (p *leaning) at(i int) int {
	if p.left {
		return p.v[i].at
	}
	return len(p.layers[p.v[i].layer]) - 1 - p.v[i].at
}

// before is the vertex's neighbour on the side that the placement leans to,
// or -1.
func (p *leaning) before(i int) int {
	layer, at := p.layers[p.v[i].layer], p.v[i].at-1
	if !p.left {
		at = p.v[i].at + 1
	}
	if at < 0 || at == len(layer) {
		return -1
	}
	return layer[at]
}

// ordered are the layers from the one to begin with, as the placement sees
// them.
func (p *leaning) ordered() [][]int {
	out := p.copyLayers()
	if !p.upwards {
		slices.Reverse(out)
	}
	if !p.left {
		for _, l := range out {
			slices.Reverse(l)
		}
	}
	return out
}

// alignBlocks joins each vertex with a middle one of its neighbours in the
// layer before, so that they stand in one column.
func (p *leaning) alignBlocks(marked map[[2]int]bool) {
	for _, layer := range p.ordered() {
		last := -1
		for _, i := range layer {
			near := slices.Clone(p.v[i].up)
			if !p.upwards {
				near = slices.Clone(p.v[i].down)
			}
			if len(near) == 0 {
				continue
			}
			slices.SortFunc(near, func(a, b int) int { return p.at(a) - p.at(b) })
			for _, m := range []int{(len(near) - 1) / 2, len(near) / 2} {
				j := near[m]
				edge := [2]int{j, i}
				if !p.upwards {
					edge = [2]int{i, j}
				}
				if p.align[i] == i && !marked[edge] && last < p.at(j) {
					p.align[j], p.root[i], p.align[i] = i, p.root[j], p.root[j]
					last = p.at(j)
				}
			}
		}
	}
}

// compact moves the blocks together.
func (p *leaning) compact() []float64 {
	for _, layer := range p.ordered() {
		for _, i := range layer {
			if p.root[i] == i {
				p.placeBlock(i)
			}
		}
	}
	out := make([]float64, len(p.v))
	for i := range out {
		out[i] = p.x[p.root[i]]
		if s := p.shift[p.sink[p.root[i]]]; !math.IsInf(s, 1) {
			out[i] += s
		}
		if !p.left {
			out[i] = -out[i]
		}
	}
	return out
}

func (p *leaning) placeBlock(top int) {
	if p.placed[top] {
		return
	}
	p.placed[top] = true
	for i := top; ; {
		if j := p.before(i); j >= 0 {
			u := p.root[j]
			p.placeBlock(u)
			if p.sink[top] == top {
				p.sink[top] = p.sink[u]
			}
			gap := float64(p.v[i].width+p.v[j].width)/2 + p.space
			if p.sink[top] != p.sink[u] {
				p.shift[p.sink[u]] = min(p.shift[p.sink[u]], p.x[top]-p.x[u]-gap)
			} else {
				p.x[top] = max(p.x[top], p.x[u]+gap)
			}
		}
		if i = p.align[i]; i == top {
			return
		}
	}
}

// paint draws the lines, and the boxes over them.
func (d *drawing) paint() string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range d.v {
		half := float64(v.width) / 2
		if v.bend {
			half = 0
		}
		least, most = min(least, v.x-half), max(most, v.x+half)
	}
	c := newCanvas(int(math.Ceil(most)-math.Floor(least))+1, layerHeight*(len(d.layers)-1)+boxHeight)
	for _, route := range d.routes {
		var xs, ys []float64
		for _, i := range route {
			xs, ys = append(xs, d.v[i].x), append(ys, float64(layerHeight*d.v[i].layer))
		}
		n := len(route) - 1
		bx, by := d.border(route[0], xs[1]-xs[0], ys[1]-ys[0])
		ex, ey := d.border(route[n], xs[n-1]-xs[n], ys[n-1]-ys[n])
		xs[0], ys[0], xs[n], ys[n] = xs[0]+bx, ys[0]+by, xs[n]+ex, ys[n]+ey
		for i := 1; i <= n; i++ {
			c.line(roundEven(xs[i-1]-least), roundEven(ys[i-1]), roundEven(xs[i]-least), roundEven(ys[i]))
		}
	}
	for _, v := range d.v {
		if !v.bend {
			c.box(roundEven(v.x-float64(v.width)/2-least), layerHeight*v.layer, v.label)
		}
	}
	return c.String()
}

// border is how far from a box's middle a line in a direction leaves it.
func (d *drawing) border(i int, dx, dy float64) (x, y float64) {
	w, h := math.Floor(float64(d.v[i].width)/2), math.Floor(boxHeight/2.0)
	t := h / math.Abs(dy)
	if dx != 0 {
		t = min(t, w/math.Abs(dx))
	}
	return dx * t, dy * t
}

func roundEven(f float64) int { return int(math.RoundToEven(f)) }

// canvas is a rectangle of characters.
type canvas [][]rune

func newCanvas(columns, lines int) canvas {
	c := make(canvas, lines)
	for i := range c {
		c[i] = []rune(strings.Repeat(" ", columns))
	}
	return c
}

// String is the lines, with the blanks at their ends, without a final newline.
func (c canvas) String() string {
	lines := make([]string, len(c))
	for i, l := range c {
		lines[i] = string(l)
	}
	return strings.Join(lines, "\n")
}

func (c canvas) set(x, y int, r rune) {
	if y >= 0 && y < len(c) && x >= 0 && x < len(c[y]) {
		c[y][x] = r
	}
}

// line draws stars along the longer direction.
func (c canvas) line(x0, y0, x1, y1 int) {
	dx, dy := x1-x0, y1-y0
	abs := func(n int) int { return max(n, -n) }
	switch {
	case dx == 0 && dy == 0:
		c.set(x0, y0, '*')
	case abs(dx) >= abs(dy):
		if dx < 0 {
			x0, y0, dx, dy = x1, y1, -dx, -dy
		}
		for n := range dx + 1 {
			c.set(x0+n, y0+roundEven(float64(n)*float64(dy)/float64(dx)), '*')
		}
	default:
		if dy < 0 {
			x0, y0, dx, dy = x1, y1, -dx, -dy
		}
		for n := range dy + 1 {
			c.set(x0+roundEven(float64(n)*float64(dx)/float64(dy)), y0+n, '*')
		}
	}
}

func (c canvas) box(x, y int, label string) {
	text := []rune(label)
	edge := "+" + strings.Repeat("-", len(text)) + "+"
	for i, r := range edge {
		c.set(x+i, y, r)
		c.set(x+i, y+2, r)
	}
	c.set(x, y+1, '|')
	c.set(x+len(text)+1, y+1, '|')
	for i, r := range text {
		c.set(x+1+i, y+1, r)
	}
}
