package disk

import "golang.org/x/sys/unix"

// fullSync asks the drive itself to flush, which fsync does not on macOS.
func fullSync(fd int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0); err == nil {
		return nil
	}
	return unix.Fsync(fd)
}

// SyncFS reports that the system has no call for a whole file system.
func (d *Dir) SyncFS() (bool, error) { return false, nil }

// Reflink makes an empty file share src's bytes, copy on write. False means
// that the file systems cannot.
func Reflink(dst, src *File) (bool, error) {
	if err := dst.dir.ask("write", dst.name); err != nil {
		return false, err
	}
	// clonefile makes the name itself, so the empty file gives way; it also
	// takes the source's mode over, which is not asked for.
	var st unix.Stat_t
	if err := unix.Fstat(dst.fd, &st); err != nil {
		return false, dst.fail("stat", err)
	}
	mode := uint32(st.Mode) & 0o777
	if err := unix.Unlinkat(dst.dir.fd, dst.name, 0); err != nil {
		return false, dst.fail("clone", err)
	}
	if err := unix.Fclonefileat(src.fd, dst.dir.fd, dst.name, unix.CLONE_NOFOLLOW); err != nil {
		fd, oerr := openat(dst.dir.fd, dst.name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
		if oerr != nil {
			return false, dst.fail("create", oerr)
		}
		unix.Close(dst.fd)
		dst.fd = fd
		return false, nil
	}
	fd, err := openat(dst.dir.fd, dst.name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, dst.fail("open", err)
	}
	unix.Close(dst.fd)
	dst.fd = fd
	if err := unix.Fchmod(fd, mode); err != nil {
		return false, dst.fail("chmod", err)
	}
	return true, nil
}

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
