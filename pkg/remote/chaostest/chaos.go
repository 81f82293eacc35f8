package chaostest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is what strikes a request, or, with [TCP], a connection.
type Fault string

// The faults.
const (
	Refuse    Fault = "refuse"     // HTTP: 500, 502, 503 or 429 in place of doing it
	LoseReply Fault = "lose reply" // HTTP: it is done, and the answer says 500
	Reset     Fault = "reset"      // the connection breaks before anything is done
	ResetLate Fault = "reset late" // HTTP: it is done, then the connection breaks
	Short     Fault = "short"      // the answer ends in the middle
	FlipDown  Fault = "flip down"  // one bit of the answer's body is wrong
	FlipUp    Fault = "flip up"    // one bit of the request's body is wrong
	Twice     Fault = "twice"      // HTTP: it is done twice
	Stall     Fault = "stall"      // nothing more comes until the client gives up
)

// Every is all faults that a server with checksums of its own must survive.
var Every = []Fault{Refuse, LoseReply, Reset, ResetLate, Short, FlipDown, FlipUp, Twice, Stall}

// Options say how bad the line is.
type Options struct {
	Seed    uint64
	Latency time.Duration // added to each way there and back
	Rate    float64       // how many of the requests or connections something strikes, 0 to 1
	Faults  []Fault       // what may strike, all alike; none is [Every]
	// Spare, which may be nil, sees each request before it is passed on, and
	// exempts it from faults if it returns true. Only [HTTP] asks it.
	Spare func(r *http.Request) bool
}

// dice decide what strikes, and remember it. Safe for concurrent use.
type dice struct {
	o Options

	mu     sync.Mutex
	rng    *rand.Rand
	struck map[Fault]int
	asked  int
	calm   bool
}

func newDice(o Options) *dice {
	if len(o.Faults) == 0 {
		o.Faults = Every
	}
	return &dice{o: o, rng: rand.New(rand.NewPCG(o.Seed, 1)), struck: map[Fault]int{}}
}

// roll returns what strikes, "" being nothing, and a number of chance.
func (d *dice) roll() (Fault, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	n := d.rng.Uint64()
	if d.rng.Float64() >= d.o.Rate || d.calm {
		return "", n
	}
	return d.o.Faults[d.rng.IntN(len(d.o.Faults))], n
}

func (d *dice) count(f Fault) {
	d.mu.Lock()
	d.struck[f]++
	d.mu.Unlock()
}

// Calm ends the faults; the latency stays.
func (d *dice) Calm() {
	d.mu.Lock()
	d.calm = true
	d.mu.Unlock()
}

// Struck is how often something struck.
func (d *dice) Struck() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, k := range d.struck {
		n += k
	}
	return n
}

// String sums up, for a test's log.
func (d *dice) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var parts []string
	for _, f := range slices.Sorted(maps.Keys(d.struck)) {
		parts = append(parts, fmt.Sprintf("%s %d", f, d.struck[f]))
	}
	return fmt.Sprintf("seed %d, %d asked, struck: %s", d.o.Seed, d.asked, strings.Join(parts, ", "))
}
