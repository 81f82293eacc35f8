package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// stream makes reproducible bytes that no compression helps with, several
// gigabytes a second on one core: SplitMix64, whose every state is a good seed.
type stream uint64

func (s *stream) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fill fills p. The bytes do not depend on the machine's byte order.
func (s *stream) fill(p []byte) {
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, s.next())
		p = p[8:]
	}
	if len(p) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], s.next())
		copy(p, last[:])
	}
}

// seeded is the i-th stream of a seed.
func seeded(seed, i uint64) *stream {
	s := stream(seed)
	s = stream(s.next() ^ (i+1)*0xd1342543de82ef95)
	return &s
}

// Seeds of the data, one for each kind.
const (
	seedBig uint64 = 1 + iota
	seedMany
	seedChange
	seedPointer
)

// chunk is how much of a large file has a stream of its own, so that cores
// write it side by side.
const chunk = 4 << 20

// parallel calls do for 0 to n-1 from all cores, each with a buffer of its own,
// until one fails.
func parallel(ctx context.Context, n, buffer int, do func(i int, buf []byte) error) error {
	var (
		next  atomic.Int64
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			buf := make([]byte, buffer)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i, buf); err != nil {
					once.Do(func() { first = err })
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return context.Cause(ctx)
}

// writeBig makes a file of a size; sparse, one without any bytes.
func writeBig(ctx context.Context, path string, seed uint64, size int64, sparse bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil && !sparse {
		err = parallel(ctx, int((size+chunk-1)/chunk), chunk, func(i int, buf []byte) error {
			off := int64(i) * chunk
			buf = buf[:min(chunk, size-off)]
			seeded(seed, uint64(i)).fill(buf)
			_, err := f.WriteAt(buf, off)
			return err
		})
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// tree is a folder of small files.
type tree struct {
	seed    uint64
	files   int
	folders int   // 0: all in one
	least   int64 // bytes a file
	most    int64
}

// manyTree is what a user with many small files has: 0.2 to 4 KB, in a hundred
// folders or, if there are more, with a thousand files each.
func manyTree(files int) tree {
	return tree{seed: seedMany, files: files, folders: max(100, files/1000), least: 200, most: 4000}
}

// name is the i-th file, with slashes.
func (t tree) name(i int) string {
	if t.folders == 0 {
		return fmt.Sprintf("%d.bin", i+1)
	}
	return fmt.Sprintf("d%03d/%07d.bin", i%t.folders, i)
}

// write makes the i-th file in dir, with another seed another content.
func (t tree) write(dir string, i int, seed uint64, buf []byte) error {
	s := seeded(seed, uint64(i))
	buf = buf[:t.least+int64(s.next()%uint64(t.most-t.least+1))]
	s.fill(buf)
	return os.WriteFile(filepath.Join(dir, filepath.FromSlash(t.name(i))), buf, 0o666)
}

// writeAll makes the folder.
func (t tree) writeAll(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for d := range min(t.folders, t.files) {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("d%03d", d)), 0o777); err != nil {
			return err
		}
	}
	return parallel(ctx, t.files, int(t.most), func(i int, buf []byte) error { return t.write(dir, i, t.seed, buf) })
}

// change gives every n-th file another content, as a program does that writes
// files anew: never in place, where a file may be a link into a cache.
func (t tree) change(ctx context.Context, dir string, every int, seed uint64) error {
	n := max(1, t.files/every)
	return parallel(ctx, n, int(t.most), func(i int, buf []byte) error {
		i *= every
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(t.name(i)))); err != nil {
			return err
		}
		return t.write(dir, i, seed, buf)
	})
}

// diskBytes is about what the folder takes on a disk with blocks of 4 KiB.
func (t tree) diskBytes() int64 {
	const block, inode = 4 << 10, 512
	average := (t.least + t.most) / 2
	return int64(t.files) * ((average+block)/block*block + inode)
}
