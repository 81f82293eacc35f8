package executor

import (
	"bytes"
	"io"
	"sync"
)

// Mux lets several commands write to one stream, a line at a time.
type Mux struct {
	mu  sync.Mutex
	out io.Writer
}

// NewMux returns a Mux that writes to out.
func NewMux(out io.Writer) *Mux { return &Mux{out: out} }

// Stream is one command's side of a Mux: what it writes appears line by line,
// each with the prefix. A Stream may be used by a command's standard output
// and standard error at once. Close writes what is left of a last line.
func (m *Mux) Stream(prefix string) *Stream { return &Stream{m: m, prefix: []byte(prefix)} }

// Stream is an io.WriteCloser; see [Mux.Stream].
type Stream struct {
	m      *Mux
	prefix []byte

	mu   sync.Mutex
	part []byte // a line without its end
}

// maxLine is how long a line may get before it is written in pieces.
const maxLine = 64 << 10

// Write never says that it wrote less: an output that went away is the
// command line's to report, and no reason to end a stage.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(p)
	var whole []byte
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.part = append(s.part, p...)
			if len(s.part) < maxLine {
				break
			}
			p = p[:0]
		} else {
			s.part = append(s.part, p[:i]...)
			p = p[i+1:]
		}
		whole = s.line(whole)
	}
	s.flush(whole)
	return n, nil
}

// line moves the part to the lines that are to be written. Of a line that was
// drawn over with carriage returns, as progress bars are, the last state
// counts.
func (s *Stream) line(whole []byte) []byte {
	text := bytes.TrimRight(s.part, "\r")
	if i := bytes.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	whole = append(whole, s.prefix...)
	whole = append(whole, text...)
	s.part = s.part[:0]
	return append(whole, '\n')
}

func (s *Stream) flush(whole []byte) {
	if len(whole) == 0 {
		return
	}
	s.m.mu.Lock()
	_, _ = s.m.out.Write(whole)
	s.m.mu.Unlock()
}

// Close writes an unfinished line.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.part) > 0 {
		s.flush(s.line(nil))
	}
	return nil
}
