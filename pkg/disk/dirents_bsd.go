//go:build unix && !linux

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadDir lists d from its beginning, in the file system's order.
func (d *Dir) ReadDir() ([]Entry, error) {
	if err := d.ask("readdir", "."); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, d.fail("readdir", ".", err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	list, err := f.ReadDir(-1)
	out := make([]Entry, 0, len(list))
	for _, e := range list {
		out = append(out, Entry{Name: e.Name(), Type: e.Type()})
	}
	return out, err
}
