package index_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
)

// The benchmarks work where TMPDIR points. To compare with cp -r:
//
//	TMPDIR=/dev/shm go test -run '^$' -bench . -benchtime 5x ./pkg/index

const (
	benchFiles   = 50_000
	benchFolders = 100
)

// smallFiles makes files of 200 bytes to 4 KB below d, each different, and
// returns their size in all.
func smallFiles(b *testing.B, p *place, n int) int64 {
	b.Helper()
	noise := make([]byte, 8<<10)
	rand.Read(noise)
	var total int64
	for i := range benchFolders {
		if err := os.MkdirAll(filepath.Join(p.path, "d", fmt.Sprintf("s%02d", i)), 0o777); err != nil {
			b.Fatal(err)
		}
	}
	for i := range n {
		size := 200 + i*3797%3800
		text := append([]byte(fmt.Sprintf("%08d", i)), noise[i%4096:][:size-8]...)
		if err := os.WriteFile(filepath.Join(p.path, "d", fmt.Sprintf("s%02d/f%05d", i%benchFolders, i)), text, 0o666); err != nil {
			b.Fatal(err)
		}
		total += int64(size)
	}
	return total
}

func BenchmarkAddSmall(b *testing.B) {
	p := newPlace(b, cache.Copy)
	b.SetBytes(smallFiles(b, p, benchFiles))
	var scan, commit time.Duration
	for b.Loop() {
		b.StopTimer()
		p.cache.Close()
		if err := os.RemoveAll(p.cache.Path()); err != nil {
			b.Fatal(err)
		}
		p.cache = cache.Open(p.cache.Path(), cache.Options{Links: []cache.LinkType{cache.Copy}})
		p.state = index.NewState()
		b.StartTimer()
		w, err := p.cache.BeginAdd()
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if _, err := p.scanner(w).Scan(context.Background(), "d", nil); err != nil {
			b.Fatal(err)
		}
		scan += time.Since(begin)
		begin = time.Now()
		if err := w.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
		commit += time.Since(begin)
	}
	b.ReportMetric(scan.Seconds()*1000/float64(b.N), "scan-ms/op")
	b.ReportMetric(commit.Seconds()*1000/float64(b.N), "commit-ms/op")
}

func BenchmarkScanUnchanged(b *testing.B) {
	p := newPlace(b, cache.Copy)
	smallFiles(b, p, benchFiles)
	time.Sleep(50 * time.Millisecond)
	p.scan("d")
	if err := p.state.Save(p.root, "state"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.state, _ = index.LoadState(p.root, "state")
		if t := p.scan("d"); t.Read != 0 {
			b.Fatalf("read %d files", t.Read)
		}
	}
}

// BenchmarkLstatWalk is the measure of BenchmarkScanUnchanged.
func BenchmarkLstatWalk(b *testing.B) {
	p := newPlace(b, cache.Copy)
	smallFiles(b, p, benchFiles)
	for b.Loop() {
		err := filepath.WalkDir(p.path, func(_ string, e os.DirEntry, err error) error {
			if err == nil {
				_, err = e.Info()
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckoutSmall(b *testing.B) {
	p := newPlace(b, cache.Copy)
	b.SetBytes(smallFiles(b, p, benchFiles))
	tree := p.add("d")
	for b.Loop() {
		b.StopTimer()
		if err := os.RemoveAll(filepath.Join(p.path, "d")); err != nil {
			b.Fatal(err)
		}
		p.state = index.NewState()
		b.StartTimer()
		staging := disk.NewStaging(p.root)
		a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now}
		plan := index.MakePlan(index.Want{Path: "d", Digest: tree.Digest, Files: tree.Files}, nil, false)
		done, err := a.Apply(context.Background(), []index.Plan{plan})
		if err != nil || done.Created != benchFiles {
			b.Fatal(err, done.Err())
		}
		staging.Close()
	}
}

func BenchmarkAddBig(b *testing.B) {
	for _, alg := range []object.Algorithm{object.BLAKE3, object.MD5} {
		b.Run(alg.Name(), func(b *testing.B) {
			p := newPlace(b, cache.Copy)
			p.alg = alg
			const size = 1 << 30
			f, err := os.Create(filepath.Join(p.path, "big"))
			if err != nil {
				b.Fatal(err)
			}
			chunk := make([]byte, 1<<20)
			for range size / len(chunk) {
				rand.Read(chunk)
				if _, err := f.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			f.Close()
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				os.RemoveAll(p.cache.Path())
				p.cache.Close()
				p.cache = cache.Open(p.cache.Path(), cache.Options{Links: []cache.LinkType{cache.Copy}})
				p.state = index.NewState()
				b.StartTimer()
				p.add("big")
			}
		})
	}
}
