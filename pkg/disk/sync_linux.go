package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

func fullSync(fd int) error { return unix.Fdatasync(fd) }

// SyncFS makes everything written so far to d's file system durable, in one
// call however many files it was. Where the system has no such call it
// returns false, and the caller syncs file by file.
func (d *Dir) SyncFS() (bool, error) {
	if err := d.ask("syncfs", "."); err != nil {
		return true, err
	}
	switch err := unix.Syncfs(d.fd); err {
	case nil:
	case unix.ENOSYS: // some sandboxes
		unix.Sync()
	default:
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

// CopyRange copies up to n bytes at offset off from src to the same place in
// dst inside the kernel, and returns how many it was, 0 at src's end. ok is
// false if the file systems cannot; nothing was copied then.
func CopyRange(dst, src *File, off int64, n int) (copied int, ok bool, err error) {
	if err := dst.dir.ask("write", dst.name); err != nil {
		return 0, true, err
	}
	from, to := off, off
	for {
		copied, err = unix.CopyFileRange(src.fd, &from, dst.fd, &to, n, 0)
		switch err {
		case nil:
			return copied, true, nil
		case unix.EINTR:
		case unix.EXDEV, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM, unix.EBADF, unix.ETXTBSY:
			return 0, false, nil
		default:
			return 0, true, dst.fail("write", err)
		}
	}
}

// WillRead tells the kernel that f is about to be read from start to end.
func WillRead(f *File) { _ = unix.Fadvise(f.fd, 0, 0, unix.FADV_SEQUENTIAL) }

// Data finds the next run of bytes in [at, end) that is no hole: from and to
// are end if all of it is one. File systems that know no holes have none. It
// moves the handle's offset, which ReadAt and WriteAt do not use.
func (f *File) Data(at, end int64) (from, to int64) {
	from, err := unix.Seek(f.fd, at, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return end, end
	case err != nil:
		return at, end
	case from >= end:
		return end, end
	}
	if to, err = unix.Seek(f.fd, from, unix.SEEK_HOLE); err != nil || to > end || to <= from {
		to = end
	}
	return from, to
}

// CopiesAfar reports whether the file lies on another machine that copies
// without sending the bytes here, so that CopyRange beats reading and writing.
func (f *File) CopiesAfar() bool {
	var st unix.Statfs_t
	if unix.Fstatfs(f.fd, &st) != nil {
		return false
	}
	const cephfs = 0x00c36400
	switch int64(st.Type) & 0xffffffff {
	case unix.NFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, cephfs:
		return true
	}
	return false
}

// RenameNew is Rename for a name that must not exist yet; fs.ErrExist says
// that it does.
func (d *Dir) RenameNew(name string, to *Dir, newName string) error {
	if err := to.ask("rename", newName); err != nil {
		return err
	}
	err := unix.Renameat2(d.fd, name, to.fd, newName, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP {
		return d.renameIfAbsent(name, to, newName)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: d.path + "/" + name, New: to.path + "/" + newName, Err: err}
	}
	return nil
}
