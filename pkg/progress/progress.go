// Package progress is how long work reports itself. Work below the command
// line is handed a [Sink]; who gives none gets [Discard], which costs nothing.
package progress

// Sink receives tasks. It is safe for concurrent use.
type Sink interface {
	// Start begins a task. Totals that are not known yet are -1.
	Start(label string, totalItems, totalBytes int64) Task
}

// Task is one piece of long work. Its methods are safe for concurrent use.
type Task interface {
	// Add reports items and bytes done since the last call.
	Add(items, bytes int64)
	// SetTotal corrects the totals once they are known; -1 is unknown.
	SetTotal(items, bytes int64)
	// Done ends the task and removes it from the display.
	Done()
}

// Discard is the sink that shows nothing.
var Discard Sink = discard{}

// Or returns s, or Discard if s is nil.
func Or(s Sink) Sink {
	if s == nil {
		return Discard
	}
	return s
}

type discard struct{}

func (discard) Start(string, int64, int64) Task { return discard{} }
func (discard) Add(int64, int64)                {}
func (discard) SetTotal(int64, int64)           {}
func (discard) Done()                           {}
