package ui

import (
	"bufio"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
)

type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	blue   colour = "34"
)

// screen is what both streams and the bars share: the one terminal.
type screen struct {
	mu   sync.Mutex
	bars *mpb.Progress // nil while nothing is shown
}

// OutputError says that standard output or error took no more. It is told apart
// from failures of files and connections, which have the same causes.
type OutputError struct{ Err error }

func (e *OutputError) Error() string { return "write output: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// stream is an output. It buffers unless it is a terminal, and lets nothing run
// into the bars.
type stream struct {
	w      io.Writer
	tty    bool
	colour bool
	screen *screen
	// underBars says that bars may be shown where this stream goes.
	underBars bool
	before    *stream // flushed before each write

	mu  sync.Mutex
	buf *bufio.Writer
	err error // the first failure to write; nothing is written after it
}

func newStream(w io.Writer, s *screen, tty, colours bool) *stream {
	if w == nil {
		w = io.Discard
	}
	return &stream{w: w, tty: tty, colour: tty && colours, screen: s, underBars: tty}
}

// outBuffer is the size of the buffer before a pipe or file: large enough to
// make a listing of many files cheap.
const outBuffer = 64 << 10

// Write takes all of p. Failures are kept for flush, so that who reports
// something need not check each time; only a broken stream is told at once.
func (s *stream) Write(p []byte) (int, error) {
	if s.before != nil {
		// Its failure is its own to report.
		_ = s.before.flush()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	var err error
	switch {
	case s.underBars:
		_, err = s.screen.write(s.w, p)
	case s.before != nil:
		_, err = s.w.Write(p)
	default:
		if s.buf == nil {
			s.buf = bufio.NewWriterSize(s.w, outBuffer)
		}
		_, err = s.buf.Write(p)
	}
	if err != nil {
		s.err = &OutputError{err}
		return 0, s.err
	}
	return len(p), nil
}

func (s *stream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.buf != nil {
		if err := s.buf.Flush(); err != nil {
			s.err = &OutputError{err}
		}
	}
	return s.err
}

// paint colours text where that is wanted.
func (s *stream) paint(c colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[39m"
}

// write puts whole lines above the bars if there are any.
func (s *screen) write(w io.Writer, p []byte) (int, error) {
	s.mu.Lock()
	bars := s.bars
	s.mu.Unlock()
	if bars != nil && len(p) > 0 && p[len(p)-1] == '\n' {
		if n, err := bars.Write(p); err == nil {
			return n, nil
		}
	}
	return w.Write(p)
}

// stop takes all bars off the terminal.
func (s *screen) stop() {
	s.mu.Lock()
	bars := s.bars
	s.bars = nil
	s.mu.Unlock()
	if bars != nil {
		bars.Shutdown()
	}
}
