package cli

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// fileSystem returns the kind of file system that holds a resolved path, and
// its device.
func fileSystem(path string) (name, device string, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", "", errNoFileSystem
	}
	defer f.Close()
	return findMount(f, path)
}

// findMount reads the kernel's list of mounts: see proc_pid_mountinfo(5).
func findMount(r io.Reader, path string) (name, device string, err error) {
	best := -1
	for s := bufio.NewScanner(r); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		place, source := strings.Fields(before), strings.Fields(after)
		if !ok || len(place) < 5 || len(source) < 2 {
			continue
		}
		// The last of several mounts on one place is the visible one.
		if at := unescapeMount(place[4]); within(path, at) && len(at) >= best {
			best, name, device = len(at), unescapeMount(source[0]), unescapeMount(source[1])
		}
	}
	if best < 0 {
		return "", "", errNoFileSystem
	}
	return name, device, nil
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// unescapeMount reads \040 and the like.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
