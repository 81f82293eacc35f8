//go:build unix

package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.EINTR):
		default:
			return false, err
		}
	}
}

// tryLockDir takes the lock of a folder until it is closed; false means that
// somebody else has it. Where folders have no locks it is true.
func tryLockDir(d *Dir) bool {
	return unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK
}

// openLock opens or makes the file of a lock. A link in its place could lead
// out of the repository, and a pipe would wait for its other end.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o666)
	if errors.Is(err, unix.ELOOP) {
		err = &os.PathError{Op: "open", Path: path, Err: ErrLink}
	}
	return f, err
}

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// Alive reports whether a process of that number runs on this host.
func Alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}
