//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

func times(st *unix.Stat_t) (mtime, ctime int64) {
	return unix.TimespecToNsec(st.Mtim), unix.TimespecToNsec(st.Ctim)
}
