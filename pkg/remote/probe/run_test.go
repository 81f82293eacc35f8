package probe_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/probe"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
)

// failures are the failed checks, with what is said about them.
func failures(r probe.Report) map[string]string {
	m := map[string]string{}
	for _, c := range r.Checks {
		if c.Status == probe.Failed {
			m[c.Name] = c.Text + "|" + strings.Join(c.Errors, "|")
		}
	}
	return m
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		m := remotetest.NewMemory()
		shown := 0
		r, err := probe.Run(t.Context(), m, probe.Options{Full: full, Done: func(probe.Result) { shown++ }})
		if err != nil || !r.OK || len(failures(r)) > 0 || r.Speed == nil || r.Speed.Upload <= 0 {
			t.Errorf("full %v: %+v, %v", full, r, err)
		}
		if shown != len(r.Checks) || shown < len(probe.Checks()) {
			t.Errorf("full %v: %d checks of %d shown", full, shown, len(r.Checks))
		}
		if keys := m.Keys(); len(keys) > 0 || m.Uploads() > 0 {
			t.Errorf("full %v: left %v and %d uploads", full, keys, m.Uploads())
		}
	}
}

// What is wrong has a name, and what was written goes away.
func TestRunFinds(t *testing.T) {
	t.Parallel()
	always := func(op string, f remotetest.Fault) func(string, string, int) remotetest.Fault {
		return func(o, _ string, _ int) remotetest.Fault {
			if o == op {
				return f
			}
			return remotetest.None
		}
	}
	for name, c := range map[string]struct {
		plan  func(op, key string, n int) remotetest.Fault
		check string
		says  string
		left  bool
	}{
		"nobody there":   {always("stat", remotetest.Before), "reach", "nothing answers", false},
		"no credentials": {func(string, string, int) remotetest.Fault { return remotetest.Refuse }, "may write", "permission to write is missing", false},
		"may not write":  {always("put", remotetest.Refuse), "may write", "permission to write is missing", false},
		"may not read":   {always("open", remotetest.Refuse), "may read", "permission to read is missing", false},
		"may not list":   {always("list", remotetest.Refuse), "may list", "permission to list is missing", false},
		"may not delete": {always("delete", remotetest.Refuse), "may delete", "permission to delete is missing", true},
		"cuts bodies":    {always("open", remotetest.Cut), "may read", "other bytes", false},
		"flips bits":     {always("open", remotetest.Flip), "may read", "other bytes", false},
		"later": {func(op, _ string, n int) remotetest.Fault {
			if op == "open" && n > 3 {
				return remotetest.Flip
			}
			return remotetest.None
		}, "values", "open", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := remotetest.NewMemory()
			r, err := probe.Run(t.Context(), &remotetest.Faulty{Backend: m, Plan: c.plan}, probe.Options{})
			if err != nil || r.OK || !strings.Contains(failures(r)[c.check], c.says) {
				t.Errorf("got %v, %v, want %q of %q", failures(r), err, c.says, c.check)
			}
			if left := len(m.Keys()) > 0; left != c.left || left != (len(r.Left) > 0) {
				t.Errorf("left %v, told %v", m.Keys(), r.Left)
			}
		})
	}
}

// readOnly takes no writes.
type readOnly struct{ *remotetest.Memory }

func (readOnly) Put(context.Context, string, int64, io.Reader) error {
	return errs.New(errs.Unsupported, "no method PUT")
}

func (readOnly) BeginParts(context.Context, string) (remote.Parts, error) {
	return nil, errs.New(errs.Unsupported, "no method POST")
}

// A place that takes no writes is found to be one; its values are read.
func TestRunReadOnly(t *testing.T) {
	t.Parallel()
	m := remotetest.NewMemory()
	if err := m.Put(t.Context(), "files/md5/aa/bb", 4, strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	for _, told := range []bool{false, true} {
		f := &remotetest.Faulty{Backend: m, Plan: func(string, string, int) remotetest.Fault { return remotetest.None }}
		var b remote.Backend = f
		if !told {
			b = readOnly{m}
		}
		r, err := probe.Run(t.Context(), b, probe.Options{ReadOnly: told})
		if err != nil || !r.OK || !r.ReadOnly || r.Speed == nil || f.Calls("put")+f.Calls("delete") > 0 {
			t.Errorf("told %v: %+v, %v", told, r, err)
		}
		if keys := m.Keys(); len(keys) != 1 {
			t.Errorf("told %v: keys %v", told, keys)
		}
	}
	bad := &remotetest.Faulty{Backend: m, Plan: func(op, _ string, _ int) remotetest.Fault {
		if op == "open" {
			return remotetest.Refuse
		}
		return remotetest.None
	}}
	if r, _ := probe.Run(t.Context(), bad, probe.Options{ReadOnly: true}); r.OK || !strings.Contains(failures(r)["may read"], "permission to read") {
		t.Errorf("got %+v", r)
	}
}

// Whoever interrupts it, at whatever time, finds nothing left.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 2, 7, 40, 90} {
		m := remotetest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		f := &remotetest.Faulty{Backend: m, Plan: func(op, _ string, n int) remotetest.Fault {
			if op == "put" && n == at {
				cancel()
			}
			return remotetest.None
		}}
		_, err := probe.Run(ctx, f, probe.Options{})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("at put %d: %v", at, err)
		}
		if keys := m.Keys(); len(keys) > 0 || m.Uploads() > 0 {
			t.Errorf("at put %d: left %v", at, keys)
		}
	}
}
