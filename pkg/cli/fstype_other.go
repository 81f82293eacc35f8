//go:build !linux && !darwin && !windows

package cli

// fileSystem is not known on this system.
func fileSystem(string) (name, device string, err error) { return "", "", errNoFileSystem }
