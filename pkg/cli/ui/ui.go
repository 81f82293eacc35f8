package ui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/progress"
)

// Level is how much is said.
type Level int8

// The levels: Quiet shows results and errors only.
const (
	Quiet Level = iota - 1
	Normal
	Debug
	Trace
)

// Options are the streams and the world around them.
type Options struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
}

// UI is a terminal, or the pipes in its place. It is safe for concurrent use.
type UI struct {
	in     *bufio.Reader
	tty    *os.File // what in reads, if that is a terminal
	out    *stream
	err    *stream
	inTTY  bool
	dumb   bool
	bars   bool // progress may be shown
	now    func() time.Time
	level  Level
	shared *screen

	askMu   sync.Mutex // one question at a time
	answers map[string]string
}

// New makes a UI at level Normal.
func New(o Options) *UI {
	return newUI(o, isTTY(o.Stdin), isTTY(o.Stdout), isTTY(o.Stderr))
}

func newUI(o Options, inTTY, outTTY, errTTY bool) *UI {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &screen{}
	u := &UI{
		now:    o.Now,
		inTTY:  inTTY,
		dumb:   o.Getenv("TERM") == "dumb",
		shared: s,
	}
	if o.Stdin != nil {
		u.in = bufio.NewReader(o.Stdin)
		if f, ok := o.Stdin.(*os.File); ok && inTTY {
			u.tty = f
		}
	}
	colours := o.Getenv("NO_COLOR") == "" && !u.dumb
	u.out = newStream(o.Stdout, s, outTTY, colours)
	u.err = newStream(o.Stderr, s, errTTY, colours)
	u.bars = u.err.tty && !u.dumb || truthy(o.Getenv("DVC_IGNORE_ISATTY"))
	u.err.underBars = u.bars
	// Words on standard error must not overtake results that came before.
	u.err.before = u.out
	return u
}

// truthy is how DVC reads switches in the environment: 1, y, yes or true
// anywhere in them.
func truthy(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "1") || strings.Contains(s, "y") || strings.Contains(s, "true")
}

func isTTY(v any) bool {
	f, ok := v.(*os.File)
	return ok && f != nil && term.IsTerminal(int(f.Fd()))
}

// SetLevel says how much is to be shown.
func (u *UI) SetLevel(l Level) { u.level = l }

// Level is how much is shown.
func (u *UI) Level() Level { return u.level }

// OutTTY reports whether results go to a terminal.
func (u *UI) OutTTY() bool { return u.out.tty }

// OutColour reports whether results may have colours.
func (u *UI) OutColour() bool { return u.out.colour }

// OutWidth is how many columns standard output has: those of its terminal, or
// 80.
func (u *UI) OutWidth() int {
	if f, ok := u.out.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// Out takes results, which --quiet does not silence. They are buffered unless
// they go to a terminal; Flush before starting a program that writes too.
func (u *UI) Out() io.Writer { return u.out }

// Err takes what belongs to standard error as it is, such as the output of a
// program.
func (u *UI) Err() io.Writer { return u.err }

// Flush writes out what is buffered. The error is the first that any write to
// standard output met.
func (u *UI) Flush() error { return u.out.flush() }

// Close ends progress and flushes.
func (u *UI) Close() error {
	u.shared.stop()
	return u.Flush()
}

// Printf says something on standard output, unless quiet.
func (u *UI) Printf(format string, args ...any) {
	if u.level > Quiet {
		fmt.Fprintf(u.out, format, args...)
	}
}

// Warnf prints a line "WARNING: ..." on standard error, unless quiet.
func (u *UI) Warnf(format string, args ...any) {
	if u.level > Quiet {
		u.log(yellow, "WARNING", fmt.Sprintf(format, args...))
	}
}

// Errorf prints a line "ERROR: ..." on standard error.
func (u *UI) Errorf(format string, args ...any) {
	u.log(red, "ERROR", fmt.Sprintf(format, args...))
}

// ErrorNote prints text below an error.
func (u *UI) ErrorNote(text string) {
	fmt.Fprintf(u.err, "%s\n", Clean(text))
}

// Notef prints a line on standard error, unless quiet: what goes on, as opposed
// to what came out.
func (u *UI) Notef(format string, args ...any) {
	if u.level > Quiet {
		fmt.Fprintf(u.err, "%s\n", Clean(fmt.Sprintf(format, args...)))
	}
}

// Debugf prints a line with the time on standard error from -v on.
func (u *UI) Debugf(format string, args ...any) {
	if u.level >= Debug {
		u.log(blue, "DEBUG", fmt.Sprintf(format, args...))
	}
}

// Tracef prints a line with the time on standard error from -vv on.
func (u *UI) Tracef(format string, args ...any) {
	if u.level >= Trace {
		u.log(green, "TRACE", fmt.Sprintf(format, args...))
	}
}

func (u *UI) log(c colour, level, msg string) {
	stamp := ""
	if u.level >= Debug {
		stamp = u.err.paint(c, u.now().Format("2006-01-02 15:04:05,000")) + " "
	}
	fmt.Fprintf(u.err, "%s%s: %s\n", stamp, u.err.paint(c, level), Clean(msg))
}

// Progress returns the sink that shows bars on standard error, or one that
// shows nothing when that is no terminal or the user wants quiet.
func (u *UI) Progress() progress.Sink {
	if !u.bars || u.level == Quiet {
		return progress.Discard
	}
	return &bars{screen: u.shared, out: u.err.w, now: u.now, width: u.width}
}

// width is the terminal's width in columns.
func (u *UI) width() int {
	if f, ok := u.err.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// Quote returns a name as it may be printed: see disk.Quote.
func Quote(name string) string { return disk.Quote(name) }

// Clean makes a message safe to print: line ends and tabs stay, other control
// and all bidirectional characters are shown by their number.
func Clean(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unsafeRune(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 ||
		r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069)
}
