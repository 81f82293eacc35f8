package disk

import (
	"io/fs"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direntBuf holds about a thousand names a system call.
const direntBuf = 64 << 10

var direntBufs = sync.Pool{New: func() any { b := make([]byte, direntBuf); return &b }}

// ReadDir lists d from its beginning, in the file system's order.
func (d *Dir) ReadDir() ([]Entry, error) {
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return nil, d.fail("readdir", ".", err)
	}
	bp := direntBufs.Get().(*[]byte)
	defer direntBufs.Put(bp)
	buf := *bp
	var out []Entry
	for {
		n, err := unix.Getdents(d.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return out, d.fail("readdir", ".", err)
		}
		if n == 0 {
			return out, nil
		}
		for b := buf[:n]; len(b) > 0; {
			rec := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			nameBytes := b[unsafe.Offsetof(rec.Name):rec.Reclen]
			b = b[rec.Reclen:]
			end := 0
			for end < len(nameBytes) && nameBytes[end] != 0 {
				end++
			}
			nameBytes = nameBytes[:end]
			if rec.Ino == 0 || string(nameBytes) == "." || string(nameBytes) == ".." {
				continue
			}
			out = append(out, Entry{Name: string(nameBytes), Type: direntType(rec.Type)})
		}
	}
}

func direntType(t uint8) fs.FileMode {
	switch t {
	case unix.DT_REG:
		return 0
	case unix.DT_DIR:
		return fs.ModeDir
	case unix.DT_LNK:
		return fs.ModeSymlink
	case unix.DT_FIFO:
		return fs.ModeNamedPipe
	case unix.DT_SOCK:
		return fs.ModeSocket
	case unix.DT_CHR, unix.DT_BLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}
