package disk

import (
	"bytes"
	"encoding/binary"
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
	d.listing.Lock()
	defer d.listing.Unlock()
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
			length := binary.NativeEndian.Uint16(b[unsafe.Offsetof(unix.Dirent{}.Reclen):])
			ino := binary.NativeEndian.Uint64(b[unsafe.Offsetof(unix.Dirent{}.Ino):])
			kind := b[unsafe.Offsetof(unix.Dirent{}.Type)]
			name := b[unsafe.Offsetof(unix.Dirent{}.Name):length]
			b = b[length:]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if ino == 0 || string(name) == "." || string(name) == ".." {
				continue
			}
			out = append(out, Entry{Name: string(name), Type: direntType(kind)})
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
