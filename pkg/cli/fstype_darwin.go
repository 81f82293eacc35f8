package cli

import "golang.org/x/sys/unix"

// fileSystem returns the kind of file system that holds a resolved path, and
// its device.
func fileSystem(path string) (name, device string, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", "", errNoFileSystem
	}
	return unix.ByteSliceToString(st.Fstypename[:]), unix.ByteSliceToString(st.Mntfromname[:]), nil
}
