package disk

import "golang.org/x/sys/windows"

// Free is how many bytes an ordinary user may still write to d's file system;
// ok is false if that cannot be told.
func (d *Dir) Free() (n int64, ok bool) {
	path, err := windows.UTF16PtrFromString(d.path)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(free), true
}
