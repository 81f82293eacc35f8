//go:build unix

package cache

import "golang.org/x/sys/unix"

// reservedFiles is what the rest of the program may need open at once.
const reservedFiles = 128

// openShards is how many folders of objects may stay open: all 256 of one
// algorithm on an ordinary system, none where descriptors are scarce.
func openShards() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0
	}
	if lim.Cur > 1<<20 {
		return 768
	}
	// The other caches of the process, a local remote say, want theirs too.
	return min(768, max(0, int(lim.Cur)-reservedFiles)/3)
}
