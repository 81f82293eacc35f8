package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// governMemory makes the collector the keener the more is alive: for a small
// command its work is all waste, while a million files must not take twice
// the room they need.
func governMemory() {
	debug.SetGCPercent(200)
	watch(&governor{sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: 200})
}

type governor struct {
	sample  []metrics.Sample
	percent int
}

// watch calls adjust after each collection.
func watch(g *governor) {
	type sentinel struct{ _ *byte } // not so small that it is put together with others
	runtime.SetFinalizer(&sentinel{}, func(*sentinel) {
		g.adjust()
		watch(g)
	})
}

func (g *governor) adjust() {
	metrics.Read(g.sample)
	if p := percentFor(g.sample[0].Value.Uint64()); p != g.percent {
		g.percent = p
		debug.SetGCPercent(p)
	}
}

// percentFor is how much may be allocated until the next collection, in percent
// of the bytes that are alive now.
func percentFor(live uint64) int {
	switch {
	case live < 24<<20:
		return 200
	case live < 64<<20:
		return 100
	case live < 128<<20:
		return 50
	}
	return 30
}
