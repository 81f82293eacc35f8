//go:build unix

package disk

import "golang.org/x/sys/unix"

// Free is how many bytes an ordinary user may still write to d's file system;
// ok is false if that cannot be told.
func (d *Dir) Free() (n int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &st); err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
