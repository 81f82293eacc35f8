package cli

import "golang.org/x/sys/windows"

// fileSystem returns the kind of file system that holds a resolved path, and
// its volume.
func fileSystem(path string) (name, device string, err error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", "", errNoFileSystem
	}
	volume := make([]uint16, windows.MAX_PATH+1)
	if err := windows.GetVolumePathName(p, &volume[0], uint32(len(volume))); err != nil {
		return "", "", errNoFileSystem
	}
	kind := make([]uint16, windows.MAX_PATH+1)
	if err := windows.GetVolumeInformation(&volume[0], nil, 0, nil, nil, nil, &kind[0], uint32(len(kind))); err != nil {
		return "", "", errNoFileSystem
	}
	return windows.UTF16ToString(kind), windows.UTF16ToString(volume), nil
}
