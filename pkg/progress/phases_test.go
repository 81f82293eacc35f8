package progress

import (
	"sync"
	"testing"
	"time"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(seconds int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Duration(seconds) * time.Second)
}

func TestPhasesAddUpToTheWallTime(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	p := NewPhases(c.now, c.at)
	c.pass(1) // before any phase
	scan := p.Begin("scan", "files")
	c.pass(2)
	load := p.Begin("load", "")
	c.pass(4)
	load.End()
	load.End() // harmless
	c.pass(8)
	scan.Add(7, 70)
	scan.End()
	c.pass(16) // between
	again := p.Begin("scan", "files")
	c.pass(32)
	again.Add(1, 1)
	again.End()
	// Ended in another order than begun, as goroutines may.
	a, b := p.Begin("a", ""), p.Begin("b", "")
	c.pass(64)
	a.End()
	c.pass(128)
	b.End()
	open := p.Begin("unfinished", "")
	c.pass(256)

	r := p.Report()
	want := []PhaseTime{
		{Name: "scan", Time: 42 * time.Second, Calls: 2, Unit: "files", Count: 8, Bytes: 71},
		{Name: "load", Time: 4 * time.Second, Calls: 1},
		{Name: "a", Calls: 1},
		{Name: "b", Time: 192 * time.Second, Calls: 1},
		{Name: "unfinished", Time: 256 * time.Second, Calls: 1},
	}
	if len(r.Phases) != len(want) {
		t.Fatalf("got %v, want %v", r.Phases, want)
	}
	sum := r.Rest
	for i, w := range want {
		if r.Phases[i] != w {
			t.Errorf("phase %d: got %+v, want %+v", i, r.Phases[i], w)
		}
		sum += r.Phases[i].Time
	}
	if r.Wall != 511*time.Second || sum != r.Wall || r.Rest != 17*time.Second {
		t.Errorf("wall %v, sum %v, rest %v", r.Wall, sum, r.Rest)
	}
	open.End()
}

func TestMetersAddUpOverGoroutines(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	p := NewPhases(c.now, c.at)
	m := p.Meter("hash", "files")
	p.Meter("never used", "files")
	starts := make([]time.Time, 10)
	for i := range starts {
		starts[i] = m.Start()
	}
	c.pass(3)
	var g sync.WaitGroup
	for _, s := range starts {
		g.Go(func() {
			p.Meter("hash", "files").Done(s, 1, 100)
			p.Begin("scan", "").End()
		})
	}
	g.Wait()
	r := p.Report()
	want := PhaseTime{Name: "hash", Time: 30 * time.Second, Unit: "files", Count: 10, Bytes: 1000}
	if len(r.Meters) != 1 || r.Meters[0] != want {
		t.Errorf("got %+v, want %+v alone", r.Meters, want)
	}
}

// What is not asked for costs nothing.
func TestNoPhasesCostNothing(t *testing.T) {
	var p *Phases
	m := p.Meter("hash", "files")
	n := testing.AllocsPerRun(100, func() {
		s := p.Begin("scan", "files")
		m.Done(m.Start(), 1, 2)
		s.Add(1, 2)
		s.End()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if r := p.Report(); r.Wall != 0 || r.Phases != nil {
		t.Errorf("a report of nothing: %+v", r)
	}
}
