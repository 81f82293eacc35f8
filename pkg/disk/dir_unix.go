//go:build unix

package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dir is an open folder. Names given to its methods are single components.
// It is safe for concurrent use until Close.
type Dir struct {
	fd   int
	path string
	hook Hook
	// scratch is where files wait for their names; see WithScratch.
	scratch string
	// listing is held by ReadDir, which moves the handle's offset.
	listing *sync.Mutex
}

// OpenDir opens the folder at an ordinary path, following links to it: the
// root of a repository, cache or remote, which the user named.
func OpenDir(path string) (*Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd: fd, path: path, listing: new(sync.Mutex)}, nil
}

// WithHook returns the same folder with a hook for tests; folders opened
// through it inherit the hook. Closing either closes both.
func (d *Dir) WithHook(h Hook) *Dir {
	return &Dir{fd: d.fd, path: d.path, hook: h, scratch: d.scratch, listing: d.listing}
}

// WithScratch returns the same folder with a folder below it, by its path, in
// which WriteFile and WriteFiles keep what has no name yet: so that a process
// that is killed leaves nothing where it is seen. Where the folder is missing
// or on another file system they use the one of the name. Closing either
// closes both.
func (d *Dir) WithScratch(rel string) *Dir {
	return &Dir{fd: d.fd, path: d.path, hook: d.hook, scratch: rel, listing: d.listing}
}

// Path is the folder's path as it was opened, for messages.
func (d *Dir) Path() string { return d.path }

// Close releases the handle. A second Close is an error and harmless: the
// number may be another file's by then.
func (d *Dir) Close() error {
	fd := d.fd
	d.fd = -1
	if fd < 0 {
		return fs.ErrClosed
	}
	return unix.Close(fd)
}

func (d *Dir) ask(op, name string) error {
	if d.hook == nil {
		return nil
	}
	return d.hook(op, d.path+"/"+name)
}

func (d *Dir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.path + "/" + name, Err: err}
}

// Open opens a folder in d. A link in its place is refused.
func (d *Dir) Open(name string) (*Dir, error) {
	if err := d.ask("open", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, d.fail("open", name, notDirIfLink(d.fd, name, err))
	}
	return &Dir{fd: fd, path: d.path + "/" + name, hook: d.hook, listing: new(sync.Mutex)}, nil
}

// ErrLink says that a symbolic link stands where a file or folder must.
var ErrLink = errors.New("is a symbolic link")

// notDirIfLink turns the several ways a kernel refuses a link into ErrLink.
func notDirIfLink(fd int, name string, err error) error {
	if err == unix.ELOOP || err == unix.EMLINK || err == unix.ENOTDIR {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return ErrLink
		}
	}
	return err
}

// Lstat describes a name in d without following it.
func (d *Dir) Lstat(name string) (Stat, error) {
	if err := d.ask("lstat", name); err != nil {
		return Stat{}, err
	}
	var st unix.Stat_t
	for {
		err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return fromUnix(&st), nil
		}
		if err != unix.EINTR {
			return Stat{}, d.fail("lstat", name, err)
		}
	}
}

// Exists reports whether name is there, whatever it is.
func (d *Dir) Exists(name string) bool {
	_, err := d.Lstat(name)
	return err == nil
}

// Stat describes d itself.
func (d *Dir) Stat() (Stat, error) {
	if err := d.ask("stat", "."); err != nil {
		return Stat{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return Stat{}, d.fail("stat", ".", err)
	}
	return fromUnix(&st), nil
}

func fromUnix(st *unix.Stat_t) Stat {
	s := Stat{Size: st.Size, Ino: st.Ino, Dev: uint64(st.Dev), Nlink: uint64(st.Nlink)}
	s.MTime, s.CTime = times(st)
	s.Mode = fs.FileMode(st.Mode & 0o777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		s.Mode |= fs.ModeDir
	case unix.S_IFLNK:
		s.Mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		s.Mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		s.Mode |= fs.ModeSocket
	case unix.S_IFCHR:
		s.Mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		s.Mode |= fs.ModeDevice
	default:
		s.Mode |= fs.ModeIrregular
	}
	return s
}

// OpenFile opens a plain file of d for reading. A link is refused with
// ErrLink; a pipe or device is opened without waiting for its other end and
// then refused.
func (d *Dir) OpenFile(name string) (*File, error) {
	if err := d.ask("openfile", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, d.fail("open", name, notDirIfLink(d.fd, name, err))
	}
	return &File{fd: fd, dir: d, name: name}, nil
}

// Create makes a new file in d for writing; a name that exists is an error.
// The permission bits are subject to the umask.
func (d *Dir) Create(name string, perm fs.FileMode) (*File, error) {
	if err := d.ask("create", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, uint32(perm.Perm()))
	if err != nil {
		return nil, d.fail("create", name, err)
	}
	return &File{fd: fd, dir: d, name: name}, nil
}

// OpenAppend opens a plain file of d whose writes go to its end. A link is
// refused with ErrLink.
func (d *Dir) OpenAppend(name string) (*File, error) {
	if err := d.ask("openfile", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, d.fail("open", name, notDirIfLink(d.fd, name, err))
	}
	return &File{fd: fd, dir: d, name: name}, nil
}

// Mkdir makes a folder in d; one that exists already is no error.
func (d *Dir) Mkdir(name string, perm fs.FileMode) error {
	if err := d.ask("mkdir", name); err != nil {
		return err
	}
	if err := unix.Mkdirat(d.fd, name, uint32(perm.Perm())); err != nil && err != unix.EEXIST {
		return d.fail("mkdir", name, err)
	}
	return nil
}

// Rename moves name into the folder to, replacing what is there.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	if err := to.ask("rename", newName); err != nil {
		return err
	}
	return d.rename(name, to, newName)
}

func (d *Dir) rename(name string, to *Dir, newName string) error {
	if err := unix.Renameat(d.fd, name, to.fd, newName); err != nil {
		return &os.LinkError{Op: "rename", Old: d.path + "/" + name, New: to.path + "/" + newName, Err: err}
	}
	return nil
}

// Link makes a second name for a file.
func (d *Dir) Link(name string, to *Dir, newName string) error {
	if err := to.ask("link", newName); err != nil {
		return err
	}
	if err := unix.Linkat(d.fd, name, to.fd, newName, 0); err != nil {
		return &os.LinkError{Op: "link", Old: d.path + "/" + name, New: to.path + "/" + newName, Err: err}
	}
	return nil
}

// Symlink makes a symbolic link in d.
func (d *Dir) Symlink(target, name string) error {
	if err := d.ask("symlink", name); err != nil {
		return err
	}
	if err := unix.Symlinkat(target, d.fd, name); err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: d.path + "/" + name, Err: err}
	}
	return nil
}

// Readlink returns where a symbolic link points.
func (d *Dir) Readlink(name string) (string, error) {
	if err := d.ask("readlink", name); err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", d.fail("readlink", name, err)
	}
	return string(buf[:n]), nil
}

// Remove deletes a file or link of d.
func (d *Dir) Remove(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return d.fail("remove", name, err)
	}
	return nil
}

// RemoveDir deletes an empty folder of d.
func (d *Dir) RemoveDir(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	if err := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); err != nil {
		return d.fail("remove", name, err)
	}
	return nil
}

// Chmod sets the permission bits of a plain file or folder of d. A link is
// refused.
func (d *Dir) Chmod(name string, perm fs.FileMode) error {
	if err := d.ask("chmod", name); err != nil {
		return err
	}
	err := unix.Fchmodat(d.fd, name, modeBits(perm), unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		return nil
	}
	if err != unix.EOPNOTSUPP && err != unix.ENOSYS && err != unix.EINVAL {
		return d.fail("chmod", name, err)
	}
	// An older kernel, or a link.
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return d.fail("chmod", name, notDirIfLink(d.fd, name, err))
	}
	defer unix.Close(fd)
	if err := unix.Fchmod(fd, modeBits(perm)); err != nil {
		return d.fail("chmod", name, err)
	}
	return nil
}

func modeBits(perm fs.FileMode) uint32 {
	bits := uint32(perm.Perm())
	if perm&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	return bits
}

// Sync makes names created, renamed and removed in d durable.
func (d *Dir) Sync() error {
	if err := d.ask("sync", "."); err != nil {
		return err
	}
	if err := unix.Fsync(d.fd); err != nil && err != unix.EINVAL && err != unix.ENOTSUP {
		return d.fail("sync", ".", err)
	}
	return nil
}

// File is an open plain file.
type File struct {
	fd   int
	dir  *Dir
	name string
}

// Name is the file's path for messages.
func (f *File) Name() string { return f.dir.path + "/" + f.name }

// Fd is the handle, for system calls that this package has no name for.
func (f *File) Fd() uintptr { return uintptr(f.fd) }

// Stat describes the open file.
func (f *File) Stat() (Stat, error) {
	if err := f.dir.ask("stat", f.name); err != nil {
		return Stat{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return Stat{}, f.fail("stat", err)
	}
	return fromUnix(&st), nil
}

// Read is as in io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if err := f.dir.ask("read", f.name); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(f.fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, f.fail("read", err)
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

// ReadAt is as in io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.dir.ask("read", f.name); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, f.fail("read", err)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// Write is as in io.Writer.
func (f *File) Write(p []byte) (int, error) {
	if err := f.dir.ask("write", f.name); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := unix.Write(f.fd, p[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, f.fail("write", err)
		}
		done += n
	}
	return done, nil
}

// WriteAt is as in io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.dir.ask("write", f.name); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(f.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, f.fail("write", err)
		}
		done += n
	}
	return done, nil
}

// Truncate gives the file a size; what is beyond its end reads as zeros and
// takes no space where the file system knows holes.
func (f *File) Truncate(size int64) error {
	if err := f.dir.ask("write", f.name); err != nil {
		return err
	}
	for {
		err := unix.Ftruncate(f.fd, size)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return f.fail("write", err)
		}
	}
}

// Allocated is how many bytes of the disk the file takes, holes apart.
func (f *File) Allocated() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, f.fail("stat", err)
	}
	const block = 512 // by POSIX's tradition, whatever the file system's is
	return int64(st.Blocks) * block, nil
}

// Chmod sets the file's permission bits.
func (f *File) Chmod(perm fs.FileMode) error {
	if err := f.dir.ask("chmod", f.name); err != nil {
		return err
	}
	if err := unix.Fchmod(f.fd, modeBits(perm)); err != nil {
		return f.fail("chmod", err)
	}
	return nil
}

// Sync makes the file's bytes durable.
func (f *File) Sync() error {
	if err := f.dir.ask("sync", f.name); err != nil {
		return err
	}
	if err := fullSync(f.fd); err != nil && err != unix.EINVAL && err != unix.ENOTSUP {
		return f.fail("sync", err)
	}
	return nil
}

// Close releases the handle.
func (f *File) Close() error {
	fd := f.fd
	f.fd = -1
	if fd < 0 {
		return f.fail("close", fs.ErrClosed)
	}
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return f.fail("close", err)
	}
	return nil
}

func (f *File) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.Name(), Err: err}
}

func openat(dir int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// IsNotDir reports whether err says that a component of a path is no folder.
func IsNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// IsCrossDevice reports whether err says that two names lie on different file
// systems.
func IsCrossDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }

// IsNoSpace reports whether err says that the disk or quota is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsReadOnly reports whether err says that the file system takes no writes.
func IsReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// Umask is the process's file mode mask, read once where the system has no way
// to read it without setting it.
func Umask() fs.FileMode {
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "Umask:"); ok {
				var m fs.FileMode
				for _, c := range strings.TrimSpace(v) {
					m = m<<3 | fs.FileMode(c-'0')
				}
				return m
			}
		}
	}
	return onceUmask()
}

var onceUmask = sync.OnceValue(func() fs.FileMode {
	m := unix.Umask(0o077)
	unix.Umask(m)
	return fs.FileMode(m)
})
