//go:build unix

package interop

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// TestTurnsS3: both tools on one bucket of a separate S3 server. What one pushes the other pulls into a fresh clone, finds
// in sync, and would have pushed under the same keys with the same bytes.
func TestTurnsS3(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" pushes "+b+" pulls", func(t *testing.T) {
			d := newDuo(t, a)
			server, bucket := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
			d.play(awkward())
			many := 300
			for i := range many {
				d.play(write(fmt.Sprintf("many/%02d/file %d", i%7, i), strings.Repeat(fmt.Sprint(i), i%90)))
			}
			d.play(write("large", randomText(20<<20)))
			targets := append(awkwardTargets(), "many", "large")
			d.ok(a, append([]string{"add", "-q"}, targets...)...)
			d.bucket("", a, "shared", server)
			d.play(commit("data"))
			d.ok(a, "push", "-q")
			d.inSync("after push")

			d.play(git("clone", "-q", ".", "../w2"))
			d.keys("../w2", b, "shared", server)
			d.okIn("../w2", b, "pull", "-q")
			d.cleanIn("../w2", "in the clone")
			for _, p := range targets {
				if want, got := tree(t, d.path(p)), tree(t, d.path("../w2/"+p)); want != got {
					t.Errorf("%s pulled: want\n%s\ngot\n%s", p, want, got)
				}
			}

			// The same data pushed by the other one.
			d.bucket("../w2", b, "other", server)
			d.okIn("../w2", b, "push", "-q", "-r", "other")
			shared, other := stored(t, filepath.Join(bucket, "shared")), stored(t, filepath.Join(bucket, "other"))
			if len(shared) < many || !maps.Equal(shared, other) {
				t.Errorf("%s stored %d objects, %s %d:\n%v\n%v", a, len(shared), b, len(other), shared, other)
			}

			// Work in the clone comes back; nothing goes twice.
			before := modified(t, filepath.Join(bucket, "shared"))
			d.play(write("../w2/many/00/new", "new"), write("../w2/plain", "edited in the clone"))
			d.okIn("../w2", b, "add", "-q", "many", "plain")
			d.okIn("../w2", b, "push", "-q", "-r", "shared")
			after := modified(t, filepath.Join(bucket, "shared"))
			if len(after) != len(before)+3 {
				t.Errorf("%s pushed %d objects, want 3", b, len(after)-len(before))
			}
			for key, was := range before {
				if after[key] != was {
					t.Errorf("%s wrote %s again", b, key)
				}
			}
			d.play(gitIn("../w2", "commit", "-qam", "clone"), git("pull", "-q", "../w2", "HEAD"))
			d.ok(a, "pull", "-q", "-r", "shared")
			d.clean("after pulling the clone's work")
			if got, err := os.ReadFile(d.path("many/00/new")); err != nil || string(got) != "new" {
				t.Errorf("the clone's file: %q, %v", got, err)
			}
			d.play(rm("many"), wipeCache())
			d.ok(a, "pull", "-q", "-r", "shared", "many/03")
			if want, got := tree(t, d.path("../w2/many/03")), tree(t, d.path("many/03")); want != got {
				t.Errorf("a part pulled: want\n%s\ngot\n%s", want, got)
			}
		})
	}
}

// bucket makes a remote called name, below the prefix name of the server's bucket.
func (d *duo) bucket(dir, who, name string, s *s3server.Server) {
	d.t.Helper()
	add := []string{"remote", "add", "-q"}
	if dir == "" {
		add = append(add, "-d")
	}
	d.okIn(dir, who, append(add, name, "s3://"+s.Bucket+"/"+name)...)
	d.okIn(dir, who, "remote", "modify", name, "endpointurl", s.URL)
	d.okIn(dir, who, "remote", "modify", name, "region", s.Region)
	d.keys(dir, who, name, s)
}

// keys tells a repository the server's keys, in the file that is not shared.
func (d *duo) keys(dir, who, name string, s *s3server.Server) {
	d.t.Helper()
	d.okIn(dir, who, "remote", "modify", "--local", name, "access_key_id", s.AccessKey)
	d.okIn(dir, who, "remote", "modify", "--local", name, "secret_access_key", s.SecretKey)
}

// stored lists the objects in a server's folder: sums by key.
func stored(t *testing.T, dir string) map[string]string {
	t.Helper()
	return objects(t, dir, func(p string, _ fs.FileInfo) (string, error) {
		b, err := os.ReadFile(p)
		return fmt.Sprintf("%x", sha256.Sum256(b)), err
	})
}

// modified lists the objects in a server's folder: when they were written, by key.
func modified(t *testing.T, dir string) map[string]string {
	t.Helper()
	return objects(t, dir, func(_ string, fi fs.FileInfo) (string, error) { return fi.ModTime().String(), nil })
}

func objects(t *testing.T, dir string, describe func(string, fs.FileInfo) (string, error)) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fi, err := e.Info()
		if err == nil {
			found[rel], err = describe(p, fi)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// randomText is n bytes that do not repeat, the same each time.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}
