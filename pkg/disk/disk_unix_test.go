//go:build unix

package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cairndata/cairn/pkg/disk"
)

// holdFolder locks a folder as its owner in another container would.
func holdFolder(t *testing.T, path string) (release func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

func TestSpecialFilesDoNotHang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Skip(err)
	}
	d := open(t, dir)
	if _, err := d.ReadFile("pipe"); err == nil {
		t.Error("read a pipe")
	}
	if err := d.WriteFile("pipe", []byte("x"), 0o666); err == nil {
		t.Error("replaced a pipe")
	}
	if _, err := disk.Acquire(t.Context(), filepath.Join(dir, "pipe"), disk.LockOptions{}); err == nil {
		t.Error("locked a pipe")
	}
}

func TestClosedHandleIsNotAnothers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o666)
	d := open(t, dir)
	f, err := d.OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("read from a closed file")
	}
}
