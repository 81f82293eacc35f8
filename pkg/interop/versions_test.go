//go:build unix

package interop

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// versionID is one, and the line before it where it was too long for its own.
var versionID = regexp.MustCompile(`version_id: *(\n +)?\S+`)

// TestTurnsVersions: both tools on a cloud-versioned remote, a bucket of a
// separate S3 server that keeps versions. What one pushes is recorded as the
// other would, and the other pulls exactly those versions, whatever came later.
func TestTurnsVersions(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" pushes "+b+" pulls", func(t *testing.T) {
			d := newDuo(t, a)
			server, bucket := s3server.StartVersions(t, os.Getenv("CAIRN_S3_SERVER"))
			d.play(write("f", "one"), write("d/a", "a"), write("d/sub/ü b", "b"), write("d/sub/empty", ""),
				write("big", randomText(12<<20)), write("sub/in", "in"), write("dvc.yaml", "stages:\n  t:\n    cmd: mkdir -p o && cp f o/f && cp f p && cp f m\n"+
					"    deps: [f, d]\n    outs: [o, p]\n    metrics: [m: {cache: false}]\n"))
			targets := []string{"f", "d", "big", "sub/in"}
			d.ok(a, append([]string{"add", "-q"}, targets...)...)
			d.ok(a, "repro", "-q")
			for _, name := range []string{"other", "shared"} {
				d.bucket("", a, name, server) // the last is the default
				d.ok(a, "remote", "modify", name, "version_aware", "true")
			}
			d.play(commit("data"))
			d.play(git("clone", "-q", ".", "../w3"))
			d.ok(a, "push", "-q")
			d.clean("after push")
			d.play(commit("pushed"))

			// The other one would have written the same into the same files.
			d.keys("../w3", b, "shared", server)
			d.keys("../w3", b, "other", server)
			d.exec("", "", nil, "cp", "-a", ".dvc/cache", "../w3/.dvc/cache")
			d.okIn("../w3", b, "checkout", "-q")
			d.okIn("../w3", b, "push", "-q", "-r", "other")
			for _, file := range []string{"f.dvc", "d.dvc", "big.dvc", "sub/in.dvc", "dvc.lock"} {
				want, got := d.records(file), strings.ReplaceAll(d.records("../w3/"+file), "other:", "shared:")
				if file == "big.dvc" { // in parts of another size
					want, got = bigTag.ReplaceAllString(want, "etag: E"), bigTag.ReplaceAllString(got, "etag: E")
				}
				if want != got {
					t.Errorf("%s: %s wrote\n%s\n%s\n%s", file, a, want, b, got)
				}
			}
			shared, other := stored(t, filepath.Join(bucket, "shared")), stored(t, filepath.Join(bucket, "other"))
			if len(shared) != 8 || !maps.Equal(shared, other) {
				t.Errorf("%s stored %v, %s %v", a, shared, b, other)
			}

			d.play(git("clone", "-q", ".", "../w2"))
			d.keys("../w2", b, "shared", server)
			d.okIn("../w2", b, "pull", "-q")
			d.cleanIn("../w2", "in the clone")
			same := func(what, dir string) {
				t.Helper()
				for _, p := range append(targets, "o", "p") {
					if want, got := tree(t, d.path(p)), tree(t, d.path(dir+"/"+p)); want != got {
						t.Errorf("%s, %s: want\n%s\ngot\n%s", what, p, want, got)
					}
				}
			}
			same("pulled", "../w2")
			d.unchanged(b, "a push of what is there", func() { d.okIn("../w2", b, "push", "-q") })

			// Work in the clone comes back; only what changed is sent. DVC does not
			// record the version of a single file that it sends over an older one on
			// this server, and cannot pull it either then.
			before := modified(t, filepath.Join(bucket, "shared"))
			edited := []string{"d"}
			d.play(write("../w2/d/sub/new", "new"))
			if b == "cairn" {
				edited = append(edited, "sub/in")
				d.play(write("../w2/sub/in", "two"))
			}
			d.okIn("../w2", b, append([]string{"add", "-q"}, edited...)...)
			d.okIn("../w2", b, "push", "-q")
			changed := 0
			for key, at := range modified(t, filepath.Join(bucket, "shared")) {
				if before[key] != at {
					changed++
				}
			}
			if changed != len(edited) {
				t.Errorf("%s sent %d files, want %d", b, changed, len(edited))
			}
			// Of the old commit the old versions are had, though newer ones are there.
			d.play(wipeCache(), rm("sub/in"), rm("d"))
			d.ok(a, "pull", "-q")
			if got, err := os.ReadFile(d.path("sub/in")); err != nil || string(got) != "in" {
				t.Errorf("the old version: %q, %v", got, err)
			}
			d.play(gitIn("../w2", "commit", "-qam", "clone"), git("pull", "-q", "../w2", "HEAD"))
			d.ok(a, "pull", "-q")
			same("the clone's work", "../w2")
		})
	}
}

// bigTag is the ETag of what was sent in parts.
var bigTag = regexp.MustCompile(`etag: \S+`)

// records is a stage file without the version ids.
func (d *duo) records(file string) string {
	d.t.Helper()
	text, err := os.ReadFile(d.path(file))
	if err != nil {
		d.t.Fatal(err)
	}
	return versionID.ReplaceAllString(string(text), "version_id: V")
}
