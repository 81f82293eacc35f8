package disk

import "golang.org/x/sys/unix"

func fullSync(fd int) error { return unix.Fdatasync(fd) }

// SyncFS makes everything written so far to d's file system durable, in one
// call however many files it was. Where the system has no such call it
// returns false, and the caller syncs file by file.
func (d *Dir) SyncFS() (bool, error) {
	if err := d.ask("syncfs", "."); err != nil {
		return true, err
	}
	if err := unix.Syncfs(d.fd); err != nil {
		return true, d.fail("syncfs", ".", err)
	}
	return true, nil
}

// Reflink makes an empty file share src's bytes, copy on write. False means
// that the file systems cannot.
func Reflink(dst, src *File) (bool, error) {
	if err := dst.dir.ask("write", dst.name); err != nil {
		return false, err
	}
	err := unix.IoctlFileClone(dst.fd, src.fd)
	switch err {
	case nil:
		return true, nil
	case unix.EOPNOTSUPP, unix.EXDEV, unix.EINVAL, unix.ENOTTY, unix.ENOSYS, unix.EPERM, unix.ETXTBSY:
		return false, nil
	}
	return false, dst.fail("clone", err)
}

// WillRead tells the kernel that f is about to be read from start to end.
func WillRead(f *File) { _ = unix.Fadvise(f.fd, 0, 0, unix.FADV_SEQUENTIAL) }
