package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/progress"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// fake is a UI over buffers, with an environment.
func fake(t *testing.T, env map[string]string, stdin string) (u *UI, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	u = New(Options{
		Stdin: strings.NewReader(stdin), Stdout: stdout, Stderr: stderr,
		Getenv: func(k string) string { return env[k] },
		Now:    func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 67e6, time.UTC) },
	})
	return u, stdout, stderr
}

func TestLevels(t *testing.T) {
	t.Parallel()
	const stamp = "2026-01-02 03:04:05,067 "
	tests := []struct {
		name        string
		level       Level
		out, stderr string
	}{
		{"quiet", Quiet, "result\n", "ERROR: e\n"},
		{"normal", Normal, "remark\nresult\n", "note\nWARNING: w\nERROR: e\n"},
		{"debug", Debug, "remark\nresult\n", "note\n" + stamp + "WARNING: w\n" + stamp + "ERROR: e\n" + stamp + "DEBUG: d\n"},
		{"trace", Trace, "remark\nresult\n", "note\n" + stamp + "WARNING: w\n" + stamp + "ERROR: e\n" + stamp + "DEBUG: d\n" + stamp + "TRACE: t\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u, stdout, stderr := fake(t, nil, "")
			u.SetLevel(tt.level)
			u.Printf("remark\n")
			io.WriteString(u.Out(), "result\n")
			u.Notef("note")
			u.Warnf("w")
			u.Errorf("e")
			u.Debugf("d")
			u.Tracef("t")
			if err := u.Close(); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != tt.out || stderr.String() != tt.stderr {
				t.Errorf("stdout %q, stderr %q; want %q, %q", stdout, stderr, tt.out, tt.stderr)
			}
		})
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	const painted = "\x1b[31mERROR\x1b[39m: e\n"
	tests := []struct {
		name string
		tty  bool
		env  map[string]string
		want string
	}{
		{"pipe", false, nil, "ERROR: e\n"},
		{"pipe with progress", false, map[string]string{"DVC_IGNORE_ISATTY": "true"}, "ERROR: e\n"},
		{"terminal", true, nil, painted},
		{"switched off", true, map[string]string{"NO_COLOR": "1"}, "ERROR: e\n"},
		{"dumb", true, map[string]string{"TERM": "dumb"}, "ERROR: e\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			u := newUI(Options{Stderr: &stderr, Getenv: func(k string) string { return tt.env[k] }}, false, false, tt.tty)
			u.Errorf("e")
			if got := stderr.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOrder: what goes to standard error does not overtake results before it.
func TestOrder(t *testing.T) {
	t.Parallel()
	var both bytes.Buffer
	u := New(Options{Stdout: &both, Stderr: &both})
	u.Printf("one\n")
	u.Warnf("two")
	u.Printf("three\n")
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if got := both.String(); got != "one\nWARNING: two\nthree\n" {
		t.Errorf("got %q", got)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestOutputFails(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	u := New(Options{Stdout: failing{full}})
	u.Printf("%s", strings.Repeat("x", 2*outBuffer))
	err := u.Close()
	if out, ok := errors.AsType[*OutputError](err); !ok || !errors.Is(out, full) {
		t.Errorf("got %v, want an OutputError", err)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer string
		want         bool
	}{
		{"yes", "yes\n", true},
		{"y", " Y \n", true},
		{"no", "no\n", false},
		{"end", "", false},
		{"nonsense, then yes", "what\ny\n", true},
		{"nonsense, then end", "what", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u, _, stderr := fake(t, nil, tt.answer)
			u.inTTY = true
			got, err := u.Confirm("Really?")
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			if !strings.HasPrefix(stderr.String(), "Really? [y/n]: ") {
				t.Errorf("asked %q", stderr)
			}
		})
	}
	t.Run("no terminal", func(t *testing.T) {
		t.Parallel()
		u, _, _ := fake(t, nil, "y\n")
		if ok, err := u.Confirm("Really?"); ok || !errs.Is(err, errs.Conflict) {
			t.Errorf("got %v, %v, want a refusal", ok, err)
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain äö 日\n\tx":    "plain äö 日\n\tx",
		"a\x1b[31mb\r":       `a\x1b[31mb\x0d`,
		"a\u202eb\u2066\x7f": `a\u202eb\u2066\x7f`,
		"\u009b1m":           `\x9b1m`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestProgressNeedsATerminal(t *testing.T) {
	t.Parallel()
	u, _, stderr := fake(t, nil, "")
	if u.Progress() != progress.Discard {
		t.Error("bars are shown in a pipe")
	}
	for env, want := range map[string]bool{"1": true, "Yes": true, "true": true, "0": false, "no": false} {
		forced, _, _ := fake(t, map[string]string{"DVC_IGNORE_ISATTY": env}, "")
		if got := forced.Progress() != progress.Discard; got != want {
			t.Errorf("DVC_IGNORE_ISATTY=%s: bars %v, want %v", env, got, want)
		}
		forced.SetLevel(Quiet)
		if forced.Progress() != progress.Discard {
			t.Error("bars are shown although quiet")
		}
	}
	u.Progress().Start("x", 1, 1).Done()
	if stderr.Len() > 0 {
		t.Errorf("wrote %q", stderr)
	}
}

func TestBarLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                                 string
		items, bytes, totalItems, totalBytes int64
		elapsed                              time.Duration
		want                                 string
	}{
		{"bytes", 3, 50 << 20, 10, 100 << 20, 5 * time.Second,
			"adding  50% |█████      |  50.0 MiB/100.0 MiB  3/10 files  10.0 MiB/s  [00:05<00:05]"},
		{"unknown total", 3, 2048, -1, -1, time.Second, "adding  2.0 KiB  3 files  2.0 KiB/s  [00:01]"},
		{"files only", 5, 0, 20, -1, 10 * time.Second, "adding  25% |██████████                              |  5/20 files  [00:10<00:30]"},
		{"more than promised", 1, 300, 1, 100, time.Second, "adding 100% |███████████████████████████████████████|  300 B/100 B  300 B/s  [00:01]"},
		{"nothing yet", 0, 0, -1, -1, 0, "adding  [00:00]"},
		{"hours", 0, 1 << 30, -1, 1 << 40, time.Hour, "adding   0% |                             |  1.0 GiB/1.0 TiB  291.3 KiB/s  [1:00:00]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &bar{label: "adding"}
			b.SetTotal(tt.totalItems, tt.totalBytes)
			b.Add(tt.items, tt.bytes)
			if got := b.line(tt.elapsed, 84); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			for width := range 84 {
				_ = b.line(tt.elapsed, width) // must not panic on a narrow terminal
			}
		})
	}
}

// TestBarsComeAndGo runs real bars against a writer.
func TestBarsComeAndGo(t *testing.T) {
	t.Parallel()
	s := &screen{}
	sink := &bars{screen: s, out: io.Discard, now: time.Now, width: func() int { return 80 }}
	task := sink.Start("x", -1, 100).(*bar)
	task.show()
	if s.bars == nil || task.bar == nil {
		t.Fatal("no bar is shown")
	}
	task.Add(1, 50)
	if _, err := s.write(io.Discard, []byte("a line\n")); err != nil {
		t.Error(err)
	}
	task.Done()
	task.Done()
	late := sink.Start("y", 1, 1).(*bar)
	late.Done()
	late.show()
	if late.bar != nil {
		t.Error("a task that is over got a bar")
	}
	s.stop()
	s.stop()
}

func TestFormatBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 1 << 30: "1.0 GiB", math.MaxInt64: "8.0 EiB",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %s, want %s", n, got, want)
		}
	}
}

type number int

func (n number) MarshalText() ([]byte, error) { return []byte("no. " + string(rune('0'+n))), nil }

type raw struct{}

func (raw) MarshalJSON() ([]byte, error) {
	return []byte(`{"z":[1,2.50,{}],"a":null,"é":[],"t":true}`), nil
}

func TestJSONString(t *testing.T) {
	t.Parallel()
	type base struct {
		Kind string `json:"kind"`
	}
	type row struct {
		base
		Path   string         `json:"path"`
		Size   int64          `json:"size,omitempty"`
		Hidden string         `json:"-"`
		Ptr    *int           `json:"ptr"`
		Maybe  *int           `json:"maybe,omitempty"`
		Tags   []string       `json:"tags"`
		Plain  float64        //nolint:tagliatelle // the default name
		Time   time.Time      `json:"time,omitzero"`
		M      map[string]int `json:"m,omitempty"`
	}
	seven := 7
	tests := []struct {
		name string
		v    any
		want string
	}{
		{"struct", row{base: base{"k"}, Path: "ä/日😀", Ptr: &seven, Tags: []string{"x", "y"}, Plain: 1},
			`{"kind": "k", "path": "\u00e4/\u65e5\ud83d\ude00", "ptr": 7, "tags": ["x", "y"], "Plain": 1.0}`},
		{"zero struct", row{}, `{"kind": "", "path": "", "ptr": null, "tags": [], "Plain": 0.0}`},
		{"floats", []float64{0.1, 1e-5, 1e-4, 1e15, 1e16, 123456789.5, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)},
			`[0.1, 1e-05, 0.0001, 1000000000000000.0, 1e+16, 123456789.5, NaN, Infinity, -Infinity, -0.0]`},
		{"map", map[string]any{"b": nil, "a": map[string]int(nil)}, `{"a": {}, "b": null}`},
		{"escapes", "\"\\\n\r\t\b\f\x00\x1f\x7f<>&\u2028", `"\"\\\n\r\t\b\f\u0000\u001f\u007f<>&\u2028"`},
		{"ordered", yamlfmt.NewMap("z", "z!", "a", "a!"), `{"z": "z!", "a": "a!"}`},
		{"nested ordered", []any{map[string]any{"o": yamlfmt.NewMap("z", "z!", "a", "a!")}}, `[{"o": {"z": "z!", "a": "a!"}}]`},
		{"text", []number{1, 2}, `["no. 1", "no. 2"]`},
		{"raw", raw{}, `{"z": [1, 2.5, {}], "a": null, "\u00e9": [], "t": true}`},
		{"nothing", nil, "null"},
		{"empty", []int(nil), "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := JSONString(tt.v); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzJSONString(f *testing.F) {
	f.Add("a\"\\ \u2028 😀 \x00", 1.5)
	f.Fuzz(func(t *testing.T, s string, x float64) {
		text := JSONString(map[string]any{"s": s, "l": []string{s}})
		var back map[string]any
		if err := json.Unmarshal([]byte(text), &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := strings.ToValidUTF8(s, ""); want == s && back["s"] != s {
			t.Errorf("%q came back as %q", s, back["s"])
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		var y float64
		if err := json.Unmarshal([]byte(JSONString(x)), &y); err != nil || y != x {
			t.Errorf("%v came back as %v, %v", x, y, err)
		}
	})
}
