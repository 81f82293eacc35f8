// Package remotetest runs the checks of package probe in a driver's tests, and
// has a backend in memory and one that fails on demand. A driver's own test is
// a few lines that open it on a server in the process.
package remotetest

import (
	"fmt"
	"testing"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/probe"
)

// Run tests the backends that open makes, each fresh and empty, in a subtest
// of its own.
func Run(t *testing.T, open func(t *testing.T) remote.Backend) {
	for _, c := range probe.Checks() {
		run(t, c.Name, open, c.Run)
	}
}

// RunVersions tests the [remote.Versioned] side of the backends that open makes,
// each fresh and empty, in a place that keeps every version.
func RunVersions(t *testing.T, open func(t *testing.T) remote.Backend) {
	for _, c := range probe.VersionChecks() {
		run(t, c.Name, open, c.Run)
	}
}

func run(t *testing.T, name string, open func(t *testing.T) remote.Backend, check func(probe.T, remote.Backend)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		b := open(t)
		defer func() {
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		defer func() {
			if p := recover(); p != nil {
				why, ok := p.(notApplicable)
				if !ok {
					panic(p)
				}
				t.Log(why)
			}
		}()
		check(promise{t}, b)
	})
}

// promise is a test whose check may find that the backend does not promise
// what is checked. That is a property of the backend and no skipped test.
type promise struct{ *testing.T }

type notApplicable string

func (promise) Skip(args ...any) { panic(notApplicable(fmt.Sprint(args...))) }
