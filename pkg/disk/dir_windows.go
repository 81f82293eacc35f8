package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

// Dir is an open folder. Names given to its methods are single components.
// It is safe for concurrent use until Close.
type Dir struct {
	root *os.Root
	path string
	hook Hook
	// scratch is where files wait for their names; see WithScratch.
	scratch string
}

// OpenDir opens the folder at an ordinary path, following links to it: the
// root of a repository, cache or remote, which the user named.
func OpenDir(path string) (*Dir, error) {
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root: r, path: path}, nil
}

// WithHook returns the same folder with a hook for tests; folders opened
// through it inherit the hook. Closing either closes both.
func (d *Dir) WithHook(h Hook) *Dir {
	return &Dir{root: d.root, path: d.path, hook: h, scratch: d.scratch}
}

// WithScratch returns the same folder with a folder below it, by its path, in
// which WriteFile and WriteFiles keep what has no name yet: so that a process
// that is killed leaves nothing where it is seen. Where the folder is missing
// or on another file system they use the one of the name. Closing either
// closes both.
func (d *Dir) WithScratch(rel string) *Dir {
	return &Dir{root: d.root, path: d.path, hook: d.hook, scratch: rel}
}

// Path is the folder's path as it was opened, for messages.
func (d *Dir) Path() string { return d.path }

// Close releases the handle.
func (d *Dir) Close() error { return d.root.Close() }

func (d *Dir) ask(op, name string) error {
	if d.hook == nil {
		return nil
	}
	return d.hook(op, d.path+"/"+name)
}

func (d *Dir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.path + "/" + name, Err: err}
}

// ErrLink says that a symbolic link stands where a file or folder must.
var ErrLink = errors.New("is a symbolic link")

// plain refuses a link or reparse point under name.
func (d *Dir) plain(op, name string) error {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if fi.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return d.fail(op, name, ErrLink)
	}
	return nil
}

// Open opens a folder in d. A link in its place is refused.
func (d *Dir) Open(name string) (*Dir, error) {
	if err := d.ask("open", name); err != nil {
		return nil, err
	}
	if err := d.plain("open", name); err != nil {
		return nil, err
	}
	r, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: r, path: d.path + "/" + name, hook: d.hook}, nil
}

// Lstat describes a name in d without following it.
func (d *Dir) Lstat(name string) (Stat, error) {
	if err := d.ask("lstat", name); err != nil {
		return Stat{}, err
	}
	fi, err := d.root.Lstat(name)
	if err != nil {
		return Stat{}, err
	}
	return fromInfo(fi), nil
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
	fi, err := d.root.Stat(".")
	if err != nil {
		return Stat{}, err
	}
	return fromInfo(fi), nil
}

func fromInfo(fi fs.FileInfo) Stat {
	s := Stat{Size: fi.Size(), Mode: fi.Mode(), MTime: fi.ModTime().UnixNano(), Nlink: 1}
	if a, ok := fi.Sys().(*syscall.Win32FileAttributeData); ok {
		// There is no change time; the creation time at least tells a
		// replaced file from the one before.
		s.CTime = a.CreationTime.Nanoseconds()
	}
	// Windows has no permission to execute.
	s.Mode &^= 0o111
	return s
}

// ReadDir lists d from its beginning, in the file system's order.
func (d *Dir) ReadDir() ([]Entry, error) {
	if err := d.ask("readdir", "."); err != nil {
		return nil, err
	}
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	out := make([]Entry, 0, len(list))
	for _, e := range list {
		out = append(out, Entry{Name: e.Name(), Type: e.Type()})
	}
	return out, err
}

// OpenFile opens a plain file of d for reading. A link is refused with
// ErrLink.
func (d *Dir) OpenFile(name string) (*File, error) {
	if err := d.ask("openfile", name); err != nil {
		return nil, err
	}
	if err := d.plain("open", name); err != nil {
		return nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	return &File{f: f, dir: d, name: name}, nil
}

// Create makes a new file in d for writing; a name that exists is an error.
func (d *Dir) Create(name string, perm fs.FileMode) (*File, error) {
	if err := d.ask("create", name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return &File{f: f, dir: d, name: name}, nil
}

// OpenAppend opens a plain file of d whose writes go to its end. A link is
// refused with ErrLink.
func (d *Dir) OpenAppend(name string) (*File, error) {
	if err := d.ask("openfile", name); err != nil {
		return nil, err
	}
	if err := d.plain("open", name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return &File{f: f, dir: d, name: name}, nil
}

// Mkdir makes a folder in d; one that exists already is no error.
func (d *Dir) Mkdir(name string, perm fs.FileMode) error {
	if err := d.ask("mkdir", name); err != nil {
		return err
	}
	if err := d.root.Mkdir(name, perm.Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d *Dir) full(name string) string { return filepath.Join(d.path, name) }

// Rename moves name into the folder to, replacing what is there. A read-only
// file in the way is made writable first, which Windows asks for.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	if err := to.ask("rename", newName); err != nil {
		return err
	}
	return d.rename(name, to, newName)
}

func (d *Dir) rename(name string, to *Dir, newName string) error {
	err := os.Rename(d.full(name), to.full(newName))
	if errors.Is(err, fs.ErrPermission) && to.plain("rename", newName) == nil {
		if cerr := to.root.Chmod(newName, 0o666); cerr == nil {
			err = os.Rename(d.full(name), to.full(newName))
		}
	}
	return err
}

// Link makes a second name for a file.
func (d *Dir) Link(name string, to *Dir, newName string) error {
	if err := to.ask("link", newName); err != nil {
		return err
	}
	if err := d.plain("link", name); err != nil {
		return err
	}
	return os.Link(d.full(name), to.full(newName))
}

// Symlink makes a symbolic link in d.
func (d *Dir) Symlink(target, name string) error {
	if err := d.ask("symlink", name); err != nil {
		return err
	}
	return os.Symlink(target, d.full(name))
}

// Readlink returns where a symbolic link points.
func (d *Dir) Readlink(name string) (string, error) { return d.root.Readlink(name) }

// Remove deletes a file or link of d, also a read-only one.
func (d *Dir) Remove(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	err := d.root.Remove(name)
	if errors.Is(err, fs.ErrPermission) && d.plain("remove", name) == nil {
		if cerr := d.root.Chmod(name, 0o666); cerr == nil {
			err = d.root.Remove(name)
		}
	}
	return err
}

// RemoveDir deletes an empty folder of d.
func (d *Dir) RemoveDir(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	return d.root.Remove(name)
}

// Chmod sets the permission bits of a plain file or folder of d. A link is
// refused.
func (d *Dir) Chmod(name string, perm fs.FileMode) error {
	if err := d.ask("chmod", name); err != nil {
		return err
	}
	if err := d.plain("chmod", name); err != nil {
		return err
	}
	return d.root.Chmod(name, perm.Perm())
}

// Sync does nothing: Windows flushes names with the files.
func (d *Dir) Sync() error { return d.ask("sync", ".") }

// SyncFS reports that the system has no call for a whole file system.
func (d *Dir) SyncFS() (bool, error) { return false, nil }

// File is an open plain file.
type File struct {
	f    *os.File
	dir  *Dir
	name string
}

// Name is the file's path for messages.
func (f *File) Name() string { return f.dir.path + "/" + f.name }

// Fd is the handle, for system calls that this package has no name for.
func (f *File) Fd() uintptr { return f.f.Fd() }

// Stat describes the open file.
func (f *File) Stat() (Stat, error) {
	if err := f.dir.ask("stat", f.name); err != nil {
		return Stat{}, err
	}
	fi, err := f.f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return fromInfo(fi), nil
}

// Read is as in io.Reader.
func (f *File) Read(p []byte) (int, error) { return f.f.Read(p) }

// ReadAt is as in io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Write is as in io.Writer.
func (f *File) Write(p []byte) (int, error) {
	if err := f.dir.ask("write", f.name); err != nil {
		return 0, err
	}
	return f.f.Write(p)
}

// WriteAt is as in io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.dir.ask("write", f.name); err != nil {
		return 0, err
	}
	return f.f.WriteAt(p, off)
}

// Truncate gives the file a size; what is beyond its end reads as zeros.
func (f *File) Truncate(size int64) error {
	if err := f.dir.ask("write", f.name); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

// Allocated is the file's size here.
func (f *File) Allocated() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Data says that there are no holes, as far as is known here.
func (f *File) Data(at, end int64) (from, to int64) { return at, end }

// CopiesAfar says no: the system has no such copy.
func (f *File) CopiesAfar() bool { return false }

// Chmod sets the file's permission bits.
func (f *File) Chmod(perm fs.FileMode) error {
	if err := f.dir.ask("chmod", f.name); err != nil {
		return err
	}
	return f.f.Chmod(perm.Perm())
}

// Sync makes the file's bytes durable.
func (f *File) Sync() error {
	if err := f.dir.ask("sync", f.name); err != nil {
		return err
	}
	return f.f.Sync()
}

// Close releases the handle.
func (f *File) Close() error { return f.f.Close() }

// Reflink reports that the system cannot.
func Reflink(dst, src *File) (bool, error) { return false, nil }

// CopyRange reports that the system cannot.
func CopyRange(dst, src *File, off int64, n int) (copied int, ok bool, err error) {
	return 0, false, nil
}

// WillRead does nothing here.
func WillRead(f *File) {}

// IsNotDir reports whether err says that a component of a path is no folder.
func IsNotDir(err error) bool {
	return errors.Is(err, windows.ERROR_DIRECTORY) || errors.Is(err, syscall.ENOTDIR)
}

// IsCrossDevice reports whether err says that two names lie on different file
// systems.
func IsCrossDevice(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }

// IsNoSpace reports whether err says that the disk or quota is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// IsReadOnly reports whether err says that the file system takes no writes.
func IsReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// Umask is 0: Windows has none.
func Umask() fs.FileMode { return 0 }

var _ io.ReaderAt = (*File)(nil)
