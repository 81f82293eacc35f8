package disktest

import (
	"os"
	"testing"
)

// Scratch is t.TempDir on a RAM disk where there is one. Loops over failures
// flush thousands of times, and a flush of a whole file system waits for
// whatever else goes on there.
func Scratch(t testing.TB) string {
	t.Helper()
	if os.Getenv("TMPDIR") != "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "cairn-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
