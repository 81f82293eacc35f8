package progress

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Phases measures where the time of one command goes. It is handed down as a
// [Sink] is; nil measures nothing and costs nothing, and so do the spans and
// meters that a nil Phases gives. It is safe for concurrent use.
//
// A [Span] is a part of the command's own course: at each moment the span that
// was begun last and has not ended has the time, so that the spans of a command
// add up to its wall time, less what lies between them. A [Meter] is work that
// many goroutines do at once, such as hashing or requests: its time is added up
// over all of them, and may be more than the wall time.
type Phases struct {
	now   func() time.Time
	began time.Time

	mu     sync.Mutex
	phases []*phase
	open   []*Span // in the order they were begun
	last   time.Time
	meters []*Meter
}

type phase struct {
	name, unit string
	time       time.Duration
	calls      int
	n, bytes   atomic.Int64
}

// NewPhases starts the measure of a command that began at a moment of the clock.
func NewPhases(now func() time.Time, began time.Time) *Phases {
	return &Phases{now: now, began: began, last: began}
}

// Span is one stretch of a phase.
type Span struct {
	p  *Phases
	of *phase
}

// Begin enters a phase. The unit is what [Span.Add] counts, in the plural; it
// may be empty. Phases of one name are one.
func (p *Phases) Begin(name, unit string) *Span {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.credit()
	i := slices.IndexFunc(p.phases, func(f *phase) bool { return f.name == name })
	if i < 0 {
		i = len(p.phases)
		p.phases = append(p.phases, &phase{name: name, unit: unit})
	}
	s := &Span{p: p, of: p.phases[i]}
	s.of.calls++
	p.open = append(p.open, s)
	return s
}

// credit gives the time since the last change to the span on top.
func (p *Phases) credit() time.Time {
	at := p.now()
	if n := len(p.open); n > 0 {
		p.open[n-1].of.time += at.Sub(p.last)
	}
	p.last = at
	return at
}

// Add counts things done in the span, and their bytes.
func (s *Span) Add(n, bytes int64) {
	if s != nil {
		s.of.n.Add(n)
		s.of.bytes.Add(bytes)
	}
}

// End leaves the phase. A second End does nothing.
func (s *Span) End() {
	if s == nil {
		return
	}
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.open, s)
	if i < 0 {
		return
	}
	p.credit()
	p.open = slices.Delete(p.open, i, i+1)
}

// Meter adds up work that is done in many goroutines at once.
type Meter struct {
	p          *Phases
	name, unit string
	time       atomic.Int64
	n, bytes   atomic.Int64
}

// Meter returns the meter of a name. The unit is what it counts, in the plural.
func (p *Phases) Meter(name, unit string) *Meter {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.meters {
		if m.name == name {
			return m
		}
	}
	m := &Meter{p: p, name: name, unit: unit}
	p.meters = append(p.meters, m)
	return m
}

// Start is the moment that a piece of work begins, for [Meter.Done].
func (m *Meter) Start() time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.p.now()
}

// Done counts a piece of work that began at a moment: so many things with so
// many bytes in all.
func (m *Meter) Done(began time.Time, n, bytes int64) {
	if m != nil {
		m.time.Add(int64(m.p.now().Sub(began)))
		m.n.Add(n)
		m.bytes.Add(bytes)
	}
}

// PhaseTime is one line of a [PhaseReport].
type PhaseTime struct {
	Name  string
	Time  time.Duration
	Calls int    // how often it was begun, of a phase
	Unit  string // what Count counts; may be empty
	Count int64
	Bytes int64
}

// PhaseReport says where the time went.
type PhaseReport struct {
	Wall   time.Duration
	Phases []PhaseTime // in the order they were first begun
	Rest   time.Duration
	Meters []PhaseTime // added up over goroutines
}

// Report sums up until now. Of nil it is empty.
func (p *Phases) Report() PhaseReport {
	if p == nil {
		return PhaseReport{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := PhaseReport{Wall: p.credit().Sub(p.began)}
	r.Rest = r.Wall
	for _, f := range p.phases {
		r.Phases = append(r.Phases, PhaseTime{Name: f.name, Time: f.time, Calls: f.calls, Unit: f.unit, Count: f.n.Load(), Bytes: f.bytes.Load()})
		r.Rest -= f.time
	}
	for _, m := range p.meters {
		if n := m.n.Load(); n > 0 {
			r.Meters = append(r.Meters, PhaseTime{Name: m.name, Time: time.Duration(m.time.Load()), Unit: m.unit, Count: n, Bytes: m.bytes.Load()})
		}
	}
	return r
}
