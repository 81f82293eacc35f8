//go:build unix

package bench

import "golang.org/x/sys/unix"

// kernel is the system's release, "" if it does not tell.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
