package disk

import (
	"encoding/binary"
	"io/fs"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direntBuf holds about a thousand names a system call.
const direntBuf = 64 << 10

// shortDirent is what an entry takes at least.
const shortDirent = 24

var direntBufs = sync.Pool{New: func() any { b := make([]byte, direntBuf); return &b }}

// ReadDir lists d from its beginning, in the file system's order.
func (d *Dir) ReadDir() ([]Entry, error) {
	if err := d.ask("readdir", "."); err != nil {
		return nil, err
	}
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
		text := string(buf[:n]) // names are parts of it
		if out == nil {
			out = make([]Entry, 0, min(n/shortDirent+1, 256))
		}
		for at := 0; at < n; {
			b := buf[at:n]
			length := int(binary.NativeEndian.Uint16(b[unsafe.Offsetof(unix.Dirent{}.Reclen):]))
			ino := binary.NativeEndian.Uint64(b[unsafe.Offsetof(unix.Dirent{}.Ino):])
			kind := b[unsafe.Offsetof(unix.Dirent{}.Type)]
			name := text[at+int(unsafe.Offsetof(unix.Dirent{}.Name)) : at+length]
			at += length
			if end := strings.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if ino == 0 || name == "." || name == ".." {
				continue
			}
			out = append(out, Entry{Name: name, Type: direntType(kind)})
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
