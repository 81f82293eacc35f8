//go:build unix && !linux && !darwin

package disk

import "golang.org/x/sys/unix"

func fullSync(fd int) error { return unix.Fsync(fd) }

// SyncFS reports that the system has no call for a whole file system.
func (d *Dir) SyncFS() (bool, error) { return false, nil }

// Reflink reports that the system cannot.
func Reflink(dst, src *File) (bool, error) { return false, nil }

// CopyRange reports that the system cannot.
func CopyRange(dst, src *File, off int64, n int) (copied int, ok bool, err error) {
	return 0, false, nil
}

// WillRead does nothing here.
func WillRead(f *File) {}

// Data says that there are no holes, as far as is known here.
func (f *File) Data(at, end int64) (from, to int64) { return at, end }

// CopiesAfar says no: the system has no such copy.
func (f *File) CopiesAfar() bool { return false }
