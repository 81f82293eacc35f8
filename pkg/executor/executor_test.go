package executor

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a", []string{"a"}},
		{"a\nb\n", []string{"a", "b"}},
		{"a\n\nb", []string{"a", "", "b"}},
		{"a\r\nb\rc\vd\fe", []string{"a", "b", "c", "d", "e"}},
		{"a\u2028b\u0085c", []string{"a", "b", "c"}},
		{"\n", []string{""}},
	} {
		if got := Lines(c.in); !slices.Equal(got, c.want) {
			t.Errorf("Lines(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestShellArgs(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{
		"":              "/bin/sh -c x",
		"/bin/bash":     "/bin/bash --noprofile --norc -c x",
		"/usr/bin/zsh":  "/usr/bin/zsh --no-rcs -c x",
		"/opt/fish":     "/opt/fish -c x", // cannot be asked for its version
		"/bin/dash":     "/bin/dash -c x",
		"/usr/bin/BASH": "/usr/bin/BASH --noprofile --norc -c x",
	} {
		if got := strings.Join(shellArgs(shell, "x"), " "); got != want {
			t.Errorf("%q: %s, want %s", shell, got, want)
		}
	}
}

func TestSetenv(t *testing.T) {
	t.Parallel()
	env := []string{"A=1", "B=2"}
	for _, c := range []struct {
		name, value string
		keep        bool
		want        string
	}{
		{"A", "3", true, "A=1 B=2"},
		{"A", "3", false, "B=2 A=3"},
		{"C", "3", true, "A=1 B=2 C=3"},
	} {
		if got := strings.Join(Setenv(env, c.name, c.value, c.keep), " "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func posix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	posix(t)
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	var said []string
	j := Job{Commands: []string{`echo "$X"; pwd`, "echo oops >&2", "exit 3", "echo never"}, Dir: dir, Env: []string{"X=y z"},
		Stdout: &out, Stderr: &errOut, Announce: func(c string) { said = append(said, c) }}
	err := Run(t.Context(), j)
	failed, ok := errors.AsType[*CommandError](err)
	if !ok || failed.Code != 3 || err.Error() != "failed to run: exit 3, exited with 3" || !errs.Is(err, errs.Invalid) {
		t.Errorf("error %v", err)
	}
	real, _ := filepath.EvalSymlinks(dir)
	if got := out.String(); got != "y z\n"+real+"\n" && got != "y z\n"+dir+"\n" {
		t.Errorf("output %q", got)
	}
	if errOut.String() != "oops\n" || len(said) != 3 {
		t.Errorf("stderr %q, announced %q", errOut.String(), said)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	posix(t)
	for name, c := range map[string]struct {
		j    Job
		want string
	}{
		"signal":    {Job{Commands: []string{"kill -9 $$"}}, "exited with -9"},
		"no shell":  {Job{Commands: []string{"x"}, Shell: "/nowhere/sh"}, "no such file"},
		"no folder": {Job{Commands: []string{"true"}, Dir: filepath.Join(t.TempDir(), "no")}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := Run(t.Context(), c.j); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestCancel ends a command, what it runs, and what it left in the background,
// some of it deaf to interrupts.
func TestCancel(t *testing.T) {
	t.Parallel()
	posix(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j := Job{Commands: []string{`(trap "" INT TERM; touch deaf; sleep 60; touch late) & sleep 60 & touch begun; wait; touch late`}, Dir: dir,
		Env: os.Environ(), Grace: 200 * time.Millisecond}
	go func() {
		for {
			_, a := os.Stat(filepath.Join(dir, "begun"))
			_, b := os.Stat(filepath.Join(dir, "deaf"))
			if a == nil && b == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := Run(ctx, j); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "late")); err == nil {
		t.Error("a command went on after it was interrupted")
	}
}

func TestMux(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := NewMux(&out)
	a, b := m.Stream("[a] "), m.Stream("[b] ")
	for _, w := range []struct {
		s    *Stream
		text string
	}{
		{a, "one"}, {b, "two\nthr"}, {a, " line\n"}, {b, "ee\n10%\r20%\r100%\n"}, {a, "crlf\r\n\n"}, {b, "open"},
	} {
		if n, err := w.s.Write([]byte(w.text)); n != len(w.text) || err != nil {
			t.Fatal(n, err)
		}
	}
	a.Close()
	b.Close()
	want := "[b] two\n[a] one line\n[b] three\n[b] 100%\n[a] crlf\n[a] \n[b] open\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
