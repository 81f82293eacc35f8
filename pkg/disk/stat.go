package disk

import "io/fs"

// Stat is what the file system says of a name, without following a link.
// Times are nanoseconds since 1970; CTime is 0 where there is none.
type Stat struct {
	Size         int64
	Mode         fs.FileMode // type and permission bits
	MTime, CTime int64
	Ino, Dev     uint64
	Nlink        uint64
}

// IsRegular reports whether it is a plain file.
func (s Stat) IsRegular() bool { return s.Mode.IsRegular() }

// IsDir reports whether it is a folder.
func (s Stat) IsDir() bool { return s.Mode.IsDir() }

// IsLink reports whether it is a symbolic link.
func (s Stat) IsLink() bool { return s.Mode&fs.ModeSymlink != 0 }

// IsExec reports whether anybody may execute it.
func (s Stat) IsExec() bool { return s.Mode&0o111 != 0 }

// Content is the part of s that SameContent compares.
func (s Stat) Content() Stat {
	return Stat{Size: s.Size, MTime: s.MTime, CTime: s.CTime, Ino: s.Ino, Dev: s.Dev}
}

// SameContent reports whether nothing that a write would change differs: a
// file with the same Stat by this measure has the same bytes, except for
// writes within the clock's grain (see pkg/index).
func (s Stat) SameContent(t Stat) bool {
	return s.Content() == t.Content()
}

// Entry is one name in a folder. Type holds only type bits and is
// fs.ModeIrregular if the file system does not tell.
type Entry struct {
	Name string
	Type fs.FileMode
}

// Hook is asked before each operation on the disk; an error takes the
// operation's place. It exists for tests. Ops that change the disk are create,
// write, sync, rename, link, symlink, remove, mkdir, chmod, syncfs; those that
// only look, see [Looks], are open (a folder), openfile, lstat, stat, readdir,
// readlink, read.
type Hook func(op, path string) error

// Looks reports whether an operation of a [Hook] leaves the disk as it is.
func Looks(op string) bool {
	switch op {
	case "open", "openfile", "lstat", "stat", "readdir", "readlink", "read":
		return true
	}
	return false
}
