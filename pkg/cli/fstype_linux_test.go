package cli

import (
	"strings"
	"testing"
)

func TestFindMount(t *testing.T) {
	t.Parallel()
	const mounts = `22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /dev/shm rw - tmpfs tmpfs rw
31 22 8:1 / /mnt/a\040b rw shared:2 master:1 - xfs /dev/sd\040a rw
32 31 8:2 / /mnt/a\040b rw - btrfs /dev/sdb rw
broken line
`
	for path, want := range map[string]string{
		"/":             "ext4 /dev/vda1",
		"/dev/shmx/y":   "ext4 /dev/vda1",
		"/dev/shm":      "tmpfs tmpfs",
		"/dev/shm/x":    "tmpfs tmpfs",
		"/mnt/a b/deep": "btrfs /dev/sdb",
	} {
		name, device, err := findMount(strings.NewReader(mounts), path)
		if got := name + " " + device; err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", path, got, err, want)
		}
	}
	if _, _, err := findMount(strings.NewReader(""), "/x"); err == nil {
		t.Error("a file system from an empty list")
	}
}
