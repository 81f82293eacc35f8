// Package disktest injects failures into the operations of pkg/disk. A
// [Faults] is handed over as a [disk.Hook]; it counts and records what is
// about to change the disk, and makes the n-th such operation fail, or all
// from the n-th on, as after a power cut.
//
// The method is that of SQLite and pebble: n counts up until the work
// succeeds; after each failure the invariants are checked, and the same work
// is done again without faults and must succeed. [FailEach] is that loop.
package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cairndata/cairn/pkg/disk"
)

// ErrInjected is the failure that is injected unless another is asked for.
var ErrInjected = errors.New("injected failure")

// ErrFull is what a full disk says.
var ErrFull error = syscall.ENOSPC

// Op is one operation that changes the disk.
type Op struct {
	Name string // create, write, sync, rename, link, symlink, remove, mkdir, chmod, syncfs
	Path string
}

// Faults decides which operations fail. The zero value lets all pass. Its
// fields are set before use; it is safe for concurrent use.
type Faults struct {
	// FailAt is the number of the operation that fails, from 1; 0 is none.
	FailAt int
	// Dead makes all operations from FailAt on fail: the process died there.
	Dead bool
	// Only limits counting and failing to these operations; empty is all.
	Only []string
	// Match limits both further, to paths that contain the text.
	Match string
	// Looks counts the operations that only look, too; without it they pass.
	Looks bool
	// Err is the failure; nil is ErrInjected.
	Err error
	// Before, if not nil, is called before each operation that is counted,
	// whether it fails or not: the place to meddle from outside.
	Before func(n int, op Op)

	// Volatile remembers which files have bytes that were not flushed, for
	// PowerCut.
	Volatile bool

	mu     sync.Mutex
	ops    []Op
	failed int
	dirty  []os.FileInfo // files written to and not flushed since
}

// Hook is given to pkg/disk.
func (f *Faults) Hook(op, path string) error {
	if !f.counts(op, path) {
		return nil
	}
	f.mu.Lock()
	f.ops = append(f.ops, Op{op, path})
	n := len(f.ops)
	fail := f.FailAt > 0 && (n == f.FailAt || f.Dead && n > f.FailAt)
	if fail {
		f.failed++
	}
	f.mu.Unlock()
	if f.Before != nil {
		f.Before(n, Op{op, path})
	}
	if !fail {
		if f.Volatile {
			f.remember(op, path)
		}
		return nil
	}
	err := f.Err
	if err == nil {
		err = ErrInjected
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}

// remember keeps account of what a power cut would take: it is told of an
// operation before it happens.
func (f *Faults) remember(op, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch op {
	case "write":
		if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() {
			f.dirty = append(f.dirty, st)
		}
	case "sync":
		if st, err := os.Lstat(path); err == nil {
			f.dirty = slices.DeleteFunc(f.dirty, func(d os.FileInfo) bool { return os.SameFile(d, st) })
		}
	case "syncfs":
		f.dirty = nil
	}
}

// PowerCut does to the files below root what a power cut does at worst: their
// names stay, and bytes that were not flushed are gone. It needs Volatile, and
// returns how many files were emptied.
func (f *Faults) PowerCut(root string) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(f.dirty, func(d os.FileInfo) bool { return os.SameFile(d, st) }) {
			return nil
		}
		n++
		if err := os.Chmod(p, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(p, 0); err != nil {
			return err
		}
		return os.Chmod(p, st.Mode().Perm())
	})
	return n, err
}

func (f *Faults) counts(op, path string) bool {
	if disk.Looks(op) && !f.Looks || f.Match != "" && !strings.Contains(path, f.Match) {
		return false
	}
	for _, o := range f.Only {
		if o == op {
			return true
		}
	}
	return len(f.Only) == 0
}

var _ disk.Hook = (*Faults)(nil).Hook

// Ops are the operations so far, including those that failed.
func (f *Faults) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.ops...)
}

// Failed counts the failures so far.
func (f *Faults) Failed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Full returns Faults of a disk that is full from the n-th operation on:
// nothing new can be made or written, the rest works.
func Full(n int) *Faults {
	return &Faults{FailAt: n, Dead: true, Err: ErrFull, Only: []string{"create", "write", "mkdir", "link", "symlink"}}
}

// Kind is a way to fail.
type Kind struct {
	Name string
	New  func(n int) *Faults
}

// Kinds are the ways to fail at n: once, for good, and on a full disk.
func Kinds() []Kind {
	return []Kind{
		{"once", func(n int) *Faults { return &Faults{FailAt: n} }},
		{"dead", func(n int) *Faults { return &Faults{FailAt: n, Dead: true} }},
		{"full", Full},
	}
}

// maxSteps ends a FailEach whose work never succeeds.
const maxSteps = 5000

// Step is from one n to the next where every n-th operation fails in turn: 1,
// or with -short 7, so that a run with the race detector, five to ten times as
// slow, still meets failures at all stages of the work.
func Step() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// FailEach runs a test for n = 1, 2, 3, ..., or in larger [Step]s, and each of
// [Kinds] until no operation failed any more. try gets fresh faults and does the work from a
// fresh start; it checks the invariants itself and returns the work's error.
// FailEach checks that work which met a failure does not claim success,
// unless mayHide allows it for the operation that failed first.
func FailEach(t *testing.T, mayHide func(Op) bool, try func(t *testing.T, f *Faults) error) {
	t.Helper()
	for i, k := range Kinds() {
		for n := 1 + i*(Step()-1)/2; ; n += Step() {
			if n > maxSteps {
				t.Fatalf("%s: still failing at operation %d", k.Name, n)
			}
			f := k.New(n)
			err := try(t, f)
			if f.Failed() == 0 {
				if err != nil {
					t.Fatalf("%s: without a failure: %v", k.Name, err)
				}
				break
			}
			op := f.Ops()[n-1]
			if err == nil && (mayHide == nil || !mayHide(op)) {
				t.Errorf("%s: operation %d, %s %s, failed and nobody said so", k.Name, n, op.Name, op.Path)
			}
			if t.Failed() {
				t.Fatalf("%s: after the failure of operation %d, %s %s (the error was: %v)", k.Name, n, op.Name, op.Path, err)
			}
		}
	}
}
