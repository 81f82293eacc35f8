//go:build linux

package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/object"
)

// With the default link types a large file is stored and checked out without
// its bytes being written again where the file system clones, and by copies
// where it does not. The first is seen if CAIRN_REFLINK_DIR names a folder on
// such a file system:
//
//	truncate -s 1G x.img && mkfs.btrfs -q x.img && mount -o loop x.img /mnt
func TestReflink(t *testing.T) {
	clones := os.Getenv("CAIRN_REFLINK_DIR")
	ws := disktest.Scratch(t)
	if clones != "" {
		var err error
		if ws, err = os.MkdirTemp(clones, "cairn-test-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(ws) })
	}
	dir := openDir(t, ws)
	whole := bytes.Repeat(big, 25) // 64 MiB
	writeAll(t, ws, map[string][]byte{"f": whole, "small": []byte("small")})
	free := func() int64 {
		if _, err := dir.SyncFS(); err != nil {
			t.Fatal(err)
		}
		n, ok := dir.Free()
		if !ok {
			t.Fatal("the free space is not known")
		}
		return n
	}
	before := free()
	c := openCache(t, filepath.Join(ws, "cache"), cache.Options{})
	w, err := c.BeginAdd()
	if err != nil {
		t.Fatal(err)
	}
	var added []cache.Added
	for _, name := range []string{"f", "small"} {
		a, err := w.AddFile(dir, name, alg, object.Digest{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, a)
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	staging := disk.NewStaging(dir)
	defer staging.Close()
	link, err := c.Checkout(ctx, added[0].Digest, cache.Target{Dir: dir, Name: "out"}, staging, 0, nil)
	if err != nil || clones != "" && link != cache.Reflink {
		t.Fatalf("checked out by %s, %v", link, err)
	}
	// The file system frees what was deleted lately, by others too, when it
	// likes; it takes some for names.
	const names = 8 << 20
	if took := before - free(); clones != "" && took > names {
		t.Errorf("two clones of %d bytes took %d", len(whole), took)
	}
	got, err := os.ReadFile(filepath.Join(ws, "out"))
	if err != nil || !bytes.Equal(got, whole) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	// What shares blocks is no link: the workspace's file is the user's to
	// change, and the object keeps its bytes.
	out := filepath.Join(ws, "out")
	if err := os.WriteFile(out, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, a := range added {
		if ok, err := c.Verify(ctx, a.Digest); !ok || err != nil {
			t.Errorf("object %s after a change of its clone: %v, %v", a.Digest, ok, err)
		}
	}
	// A damaged object is not cloned into the workspace.
	flipped := objectPath(c, added[0].Digest)
	os.Chmod(flipped, 0o644)
	f, err := os.OpenFile(flipped, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{'#'}, int64(len(whole)/2))
	f.Close()
	os.Chtimes(flipped, time.Time{}, time.Unix(0, added[0].Stat.MTime))
	if _, err := c.Checkout(ctx, added[0].Digest, cache.Target{Dir: dir, Name: "out"}, staging, 0, nil); err == nil {
		t.Error("a damaged object was checked out")
	}
}
