package bench

import (
	"slices"
	"sort"
)

// Result is what was measured.
type Result struct {
	Command    string    `json:"command"` // to do it again
	Machine    Machine   `json:"machine"`
	Suite      string    `json:"suite"`
	Rounds     int       `json:"rounds"`
	Hash       string    `json:"hash"`
	Sizes      Sizes     `json:"sizes"`
	Alone      bool      `json:"one_after_the_other"` // there was no room for all tools side by side
	Tools      []Tool    `json:"tools"`
	Rows       []*Row    `json:"scenarios"`
	Failures   []Failure `json:"failures"`
	RemoteName string    `json:"remote,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Kernel     string `json:"kernel,omitempty"`
	FileSystem string `json:"file_system,omitempty"`
}

// Failure is a peer that went wrong.
type Failure struct {
	Tool     string `json:"tool"`
	Scenario string `json:"scenario"`
	Error    string `json:"error"`
}

// Row is a scenario.
type Row struct {
	Scenario string  `json:"scenario"`
	Title    string  `json:"title"`
	Floors   []*Cell `json:"floors"`
	Cells    []*Cell `json:"tools"` // of those that could do it
}

// Cell is what one tool took: medians, and ratios of the wall time to those of
// the same round.
type Cell struct {
	Name   string   `json:"name"`
	Wall   float64  `json:"wall_seconds"`
	CPU    float64  `json:"cpu_seconds"`
	Peak   int64    `json:"peak_bytes"`
	Floor  *float64 `json:"x_floor,omitempty"` // to the slowest floor
	Cairn  *float64 `json:"x_cairn,omitempty"`
	Rounds []Sample `json:"rounds"`

	at []int // the round of each sample
}

// Floor is the slowest floor, which a tool cannot beat that does all that the
// floors do; nil if there is none.
func (r *Row) Floor() *Cell {
	if len(r.Floors) == 0 {
		return nil
	}
	return slices.MaxFunc(r.Floors, func(a, b *Cell) int {
		if a.Wall < b.Wall {
			return -1
		}
		return 1
	})
}

// Cell is a tool's, nil if it could not do it.
func (r *Row) Cell(tool string) *Cell { return find(r.Cells, tool) }

func find(cells []*Cell, name string) *Cell {
	if i := slices.IndexFunc(cells, func(c *Cell) bool { return c.Name == name }); i >= 0 {
		return cells[i]
	}
	return nil
}

func (r *Row) add(tool string, round int, s Sample) { r.Cells = add(r.Cells, tool, round, s) }

func (r *Row) addFloor(name string, round int, s Sample) { r.Floors = add(r.Floors, name, round, s) }

func add(cells []*Cell, name string, round int, s Sample) []*Cell {
	c := find(cells, name)
	if c == nil {
		c = &Cell{Name: name}
		cells = append(cells, c)
	}
	c.Rounds, c.at = append(c.Rounds, s), append(c.at, round)
	return cells
}

// finish computes medians and ratios.
func (r *Row) finish(tools []*Tool) {
	for _, c := range slices.Concat(r.Floors, r.Cells) {
		c.Wall = median(c.Rounds, func(s Sample) float64 { return s.Wall })
		c.CPU = median(c.Rounds, func(s Sample) float64 { return s.CPU })
		c.Peak = int64(median(c.Rounds, func(s Sample) float64 { return float64(s.Peak) }))
	}
	floor, cairn := r.Floor(), r.Cell(tools[0].Name)
	for _, c := range r.Cells {
		c.Floor = c.ratio(floor)
		if c != cairn {
			c.Cairn = c.ratio(cairn)
		}
	}
	slices.SortStableFunc(r.Cells, func(a, b *Cell) int { return place(tools, a.Name) - place(tools, b.Name) })
	if r.Floors == nil {
		r.Floors = []*Cell{}
	}
	if r.Cells == nil {
		r.Cells = []*Cell{}
	}
}

func place(tools []*Tool, name string) int {
	return slices.IndexFunc(tools, func(t *Tool) bool { return t.Name == name })
}

// ratio is the median of the ratios within a round, which hold while the
// machine's speed drifts from round to round.
func (c *Cell) ratio(to *Cell) *float64 {
	if to == nil {
		return nil
	}
	var ratios []float64
	for i, round := range c.at {
		if k := slices.Index(to.at, round); k >= 0 && to.Rounds[k].Wall > 0 {
			ratios = append(ratios, c.Rounds[i].Wall/to.Rounds[k].Wall)
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	m := middle(ratios)
	return &m
}

func median(samples []Sample, of func(Sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Clone(values)
	sort.Float64s(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
