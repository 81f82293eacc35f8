package ui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/cairndata/cairn/pkg/progress"
)

// showAfter is how long a task must have run before it gets a bar: what takes
// less is over before one can read it.
const showAfter = 700 * time.Millisecond

// bars shows tasks as bars on a terminal.
type bars struct {
	screen *screen
	out    io.Writer
	now    func() time.Time
	width  func() int
}

// bar is one task.
type bar struct {
	bars                   *bars
	label                  string
	start                  time.Time
	items, bytes           atomic.Int64
	totalItems, totalBytes atomic.Int64

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	bar   *mpb.Bar // nil while not shown
	done  bool
}

// Start begins a task; its bar appears when it lasts.
func (s *bars) Start(label string, totalItems, totalBytes int64) progress.Task {
	b := &bar{bars: s, label: Quote(label), start: s.now()}
	b.SetTotal(totalItems, totalBytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(showAfter, b.show)
	return b
}

// Add counts; the bar reads the counters when it is drawn.
func (b *bar) Add(items, bytes int64) {
	b.items.Add(items)
	b.bytes.Add(bytes)
}

func (b *bar) SetTotal(items, bytes int64) {
	b.totalItems.Store(items)
	b.totalBytes.Store(bytes)
}

func (b *bar) Done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	if b.bar != nil && !b.done {
		b.bar.Abort(true)
		b.bar.Wait()
	}
	b.done = true
}

func (b *bar) show() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return
	}
	s := b.bars.screen
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bars == nil {
		s.bars = mpb.New(mpb.WithOutput(b.bars.out), mpb.WithAutoRefresh(), mpb.ForceTTY())
	}
	// The task alone says when it is over, so mpb gets no total.
	bar, err := s.bars.Add(0, mpb.BarFillerFunc(b.draw),
		mpb.BarRemoveOnComplete(), mpb.BarFillerTrim())
	if err == nil {
		b.bar = bar
	}
}

// maxLines is how many lines a [UI.Board] may have.
const maxLines = 16

// trimmed leaves out line ends.
type trimmed struct{ w io.Writer }

func (t trimmed) Write(p []byte) (int, error) {
	_, err := t.w.Write(bytes.TrimRight(p, "\n"))
	return len(p), err
}

// Board keeps lines at the bottom of the terminal, below what is said, until
// stop is called. lines is called for each frame, also concurrently with the
// caller. Where there is no terminal nothing is shown.
func (u *UI) Board(lines func(now time.Time, width int) []string) (stop func()) {
	if !u.bars || u.level == Quiet {
		return func() {}
	}
	s := u.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bars == nil {
		s.bars = mpb.New(mpb.WithOutput(u.err.w), mpb.WithAutoRefresh(), mpb.ForceTTY())
	}
	var mu sync.Mutex
	var frame []string
	draw := func() {
		mu.Lock()
		defer mu.Unlock()
		frame = lines(u.now(), u.width()-1)
		frame = frame[:min(len(frame), maxLines)]
	}
	// A bar is one line, and so is each of its extensions; one that writes
	// nothing takes no room.
	line := func(i int) mpb.BarFillerFunc {
		return func(w io.Writer, _ decor.Statistics) error {
			if i == 0 {
				draw()
			}
			mu.Lock()
			defer mu.Unlock()
			if i >= len(frame) {
				return nil
			}
			_, err := io.WriteString(w, runewidth.Truncate(Clean(frame[i]), u.width()-1, "…")+"\n")
			return err
		}
	}
	var rest []mpb.BarFiller
	for i := range maxLines - 1 {
		rest = append(rest, line(i+1))
	}
	b, err := s.bars.Add(0, mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) error {
		return line(0)(trimmed{w}, st)
	}), mpb.BarRemoveOnComplete(), mpb.BarFillerTrim(), mpb.BarBtmExtender(rest...))
	if err != nil {
		return func() {}
	}
	return func() {
		b.Abort(true)
		b.Wait()
		s.stop() // the last frame is gone before anything else is said
	}
}

func (b *bar) draw(w io.Writer, _ decor.Statistics) error {
	_, err := io.WriteString(w, b.line(b.bars.now().Sub(b.start), b.bars.width()-1))
	return err
}

// line is the bar as text: label, share, counts, rate, time left.
func (b *bar) line(elapsed time.Duration, width int) string {
	items, bytes := b.items.Load(), b.bytes.Load()
	totalItems, totalBytes := b.totalItems.Load(), b.totalBytes.Load()
	done, total := bytes, totalBytes
	if total <= 0 {
		done, total = items, totalItems
	}
	var facts []string
	if totalBytes > 0 || bytes > 0 {
		facts = append(facts, ofTotal(FormatBytes(bytes), totalBytes, FormatBytes))
	}
	if totalItems > 1 || items > 0 && totalBytes <= 0 {
		facts = append(facts, ofTotal(fmt.Sprint(items), totalItems, func(n int64) string { return fmt.Sprint(n) })+" files")
	}
	if s := elapsed.Seconds(); s > 0 && bytes > 0 {
		facts = append(facts, FormatBytes(int64(float64(bytes)/s))+"/s")
	}
	facts = append(facts, "["+clock(elapsed)+left(elapsed, done, total)+"]")
	tail := strings.Join(facts, "  ")
	label := runewidth.Truncate(b.label, max(10, width/3), "…")
	if total > 0 {
		share := min(1, float64(done)/float64(total))
		label += fmt.Sprintf(" %3.0f%%", 100*share)
		if room := width - runewidth.StringWidth(label) - len(tail) - 5; room >= 8 {
			room = min(room, 40)
			full := int(share * float64(room))
			label += " |" + strings.Repeat("█", full) + strings.Repeat(" ", room-full) + "|"
		}
	}
	return runewidth.Truncate(label+"  "+tail, width, "…")
}

func ofTotal(done string, total int64, format func(int64) string) string {
	if total <= 0 {
		return done
	}
	return done + "/" + format(total)
}

// left estimates the time a task still needs, "" if nothing can be said.
func left(elapsed time.Duration, done, total int64) string {
	if done <= 0 || total < done {
		return ""
	}
	rest := float64(elapsed) / float64(done) * float64(total-done)
	if rest > float64(1000*time.Hour) {
		return ""
	}
	return "<" + clock(time.Duration(rest))
}

func clock(d time.Duration) string {
	s := int64(d.Seconds() + 0.5)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// FormatBytes shows a size with a binary unit: "12.3 MiB".
func FormatBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := -1
	for f >= 1023.95 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %s", f, units[max(i, 0)])
}
