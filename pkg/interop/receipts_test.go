//go:build unix

package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// TestTurnsRunCacheS3: what one tool pushes of the run cache to a bucket the other knows.
func TestTurnsRunCacheS3(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" pushes "+b+" fetches", func(t *testing.T) {
			d := newDuo(t, a)
			server, bucket := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
			d.play(write("params.yaml", "n: 1\n"), write("dvc.yaml", "stages:\n  s:\n    cmd: cp params.yaml out\n    params: [n]\n    outs: [out]\n"))
			d.bucket("", a, "shared", server)
			d.ok(a, "repro", "-q")
			d.play(write("params.yaml", "n: 2\n"))
			d.ok(a, "repro", "-q")
			if got := d.ok(a, "push", "--run-cache"); got != "3 files pushed\n" {
				t.Errorf("%s push: %q", a, got)
			}
			runs := filepath.Join(".dvc", "cache", "runs")
			want := stored(t, d.path(runs))
			if got := stored(t, filepath.Join(bucket, "shared", "runs")); len(want) != 2 || !maps.Equal(got, want) {
				t.Errorf("%s stored the runs %v, want %v", a, got, want)
			}
			d.play(rm(".dvc/cache", "out"))
			d.ok(b, "fetch", "-q", "--run-cache")
			if got := stored(t, d.path(runs)); !maps.Equal(got, want) {
				t.Errorf("%s fetched the runs %v, want %v", b, got, want)
			}
			d.play(rm("dvc.lock"))
			if got := d.ok(b, "repro"); !strings.Contains(got, "is cached - skipping run") {
				t.Errorf("%s repro: %s", b, got)
			}
		})
	}
}

// TestTurnsReceipts: a receipt of cairn's beside a folder's manifest is nothing to DVC; its gc deletes it with whatever else
// it does not know.
func TestTurnsReceipts(t *testing.T) {
	d := newDuo(t, "dvc")
	server, bucket := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
	for i := range 40 {
		d.play(write(fmt.Sprintf("data/%d", i), fmt.Sprint(i)))
	}
	d.ok("dvc", "add", "-q", "data")
	d.bucket("", "dvc", "shared", server)
	d.ok("dvc", "push", "-q")
	receipts := func() (list []string) {
		for key := range stored(t, bucket) {
			if strings.HasSuffix(key, ".dir.cairn") {
				list = append(list, key)
			}
		}
		return list
	}
	for key := range stored(t, bucket) {
		if strings.HasSuffix(key, ".dir") {
			if err := os.WriteFile(filepath.Join(bucket, key+".cairn"), []byte("cairn receipt 1\n"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(receipts()) != 1 {
		t.Fatalf("receipts: %v", receipts())
	}
	d.inSync("with a receipt")
	d.play(write("data/new", "new"))
	d.ok("dvc", "add", "-q", "data")
	d.ok("dvc", "push", "-q")
	d.inSync("after DVC's push")
	d.play(rm("data"), wipeCache())
	d.ok("dvc", "pull", "-q")
	d.clean("after DVC's pull")
	if len(receipts()) != 1 {
		t.Errorf("after push and pull the receipts are %v", receipts())
	}
	d.ok("dvc", "gc", "-w", "-c", "-f", "-q")
	if len(receipts()) != 0 {
		t.Errorf("after gc the receipts are %v", receipts())
	}
	d.inSync("after DVC's gc")
}
