package cli

import (
	"path/filepath"

	"github.com/cairndata/cairn/pkg/errs"
)

// withFileSystems shows, as DVC does, on what file system the folders of a
// repository lie in place of their paths: that is what bug reports need.
func withFileSystems(lines []infoLine) []infoLine {
	for i, l := range lines {
		if l.Name != "Cache directory" && l.Name != "Workspace directory" {
			continue
		}
		path, err := filepath.EvalSymlinks(l.Value)
		if err != nil {
			continue // not made yet: its place says more
		}
		if name, device, err := fileSystem(path); err == nil {
			lines[i].Value = name + " on " + device
		}
	}
	return lines
}

// errNoFileSystem is the error where the system does not tell.
var errNoFileSystem = errs.New(errs.Unsupported, "the file system is not known")
