package cache_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/object"
)

// BenchmarkHas asks for 50,000 objects. CAIRN_BENCH_DIR names a RAM disk.
func BenchmarkHas(b *testing.B) {
	dir, err := os.MkdirTemp(os.Getenv("CAIRN_BENCH_DIR"), "cairn-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	const n = 50_000
	full, empty := openCache(b, dir+"/full", cache.Options{}), openCache(b, dir+"/none", cache.Options{})
	w, err := full.BeginAdd()
	if err != nil {
		b.Fatal(err)
	}
	var present, absent []object.Digest
	for i := range n {
		body := strconv.AppendInt(nil, int64(i), 10)
		d := object.Sum(object.BLAKE3, body)
		if err := w.PutBytes(d, body); err != nil {
			b.Fatal(err)
		}
		present = append(present, d)
		absent = append(absent, object.Sum(object.BLAKE3, append(body, 'x')))
	}
	if err := w.Commit(ctx); err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct {
		c    *cache.Cache
		ds   []object.Digest
		want int
	}{
		"present":  {full, present, n},
		"absent":   {full, absent, 0},
		"no cache": {empty, present, 0},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := c.c.Has(ctx, c.ds); err != nil || len(got) != c.want {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
