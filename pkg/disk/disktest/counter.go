package disktest

import (
	"maps"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
)

// Counter counts the operations on the disk, those that only look included: a
// measure of work that does not depend on the machine. Its Hook is handed over
// as a [disk.Hook]. It is safe for concurrent use.
type Counter struct {
	mu     sync.Mutex
	ops    map[string]int
	opened []string
}

// Counted is what happened.
type Counted struct {
	Ops    map[string]int // by the name of the operation; see [disk.Hook]
	Opened []string       // the files that were opened for reading, by path
}

// Hook is given to pkg/disk.
func (c *Counter) Hook(op, path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ops == nil {
		c.ops = map[string]int{}
	}
	c.ops[op]++
	if op == "openfile" {
		c.opened = append(c.opened, path)
	}
	return nil
}

var _ disk.Hook = (*Counter)(nil).Hook

// Take returns what was counted since the last Take.
func (c *Counter) Take() Counted {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := Counted{Ops: maps.Clone(c.ops), Opened: c.opened}
	c.ops, c.opened = nil, nil
	return got
}
