//go:build unix

package interop

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/cloudtest"
)

// cloudPlace is a bucket as both tools reach it.
type cloudPlace struct {
	url     string // of the bucket
	options map[string]string
	secret  string // the option that is one
}

var cloudPlaces = map[string]func(t *testing.T, d *duo) cloudPlace{
	"azure": func(t *testing.T, _ *duo) cloudPlace {
		s := cloudtest.StartAzure(t, os.Getenv("CAIRN_AZURITE"))
		return cloudPlace{"azure://" + s.Container, s.Options(), "connection_string"}
	},
	"gs": func(t *testing.T, d *duo) cloudPlace {
		s := cloudtest.StartGCS(t, os.Getenv("CAIRN_GCS_SERVER"))
		// DVC's library asks what kind of bucket it is by gRPC, which the emulator
		// does not speak, and gives up after a minute, each time.
		d.env = append(d.env, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false")
		return cloudPlace{"gs://" + s.Bucket, s.Options(), ""}
	},
}

// TestTurnsCloud: both tools on one bucket of an emulator of somebody else's
// making. What one pushes the other pulls into a fresh clone, finds in sync,
// and would have pushed under the same keys with the same bytes.
func TestTurnsCloud(t *testing.T) {
	for name, start := range cloudPlaces {
		for _, pair := range pairs {
			a, b := pair[0], pair[1]
			t.Run(name+", "+a+" pushes "+b+" pulls", func(t *testing.T) {
				d := newDuo(t, a)
				p := start(t, d)
				d.play(awkward())
				many := 60
				for i := range many {
					d.play(write(fmt.Sprintf("many/%02d/file %d", i%7, i), strings.Repeat(fmt.Sprint(i), i%90)))
				}
				d.play(write("large", randomText(20<<20)))
				targets := append(awkwardTargets(), "many", "large")
				d.ok(a, append([]string{"add", "-q"}, targets...)...)
				d.cloudRemote("", a, "shared", p)
				d.play(commit("data"))
				d.ok(a, "push", "-q")
				d.inSync("after push")

				d.play(git("clone", "-q", ".", "../w2"))
				d.cloudLogin("../w2", b, "shared", p)
				d.okIn("../w2", b, "pull", "-q")
				d.cleanIn("../w2", "in the clone")
				for _, x := range targets {
					if want, got := tree(t, d.path(x)), tree(t, d.path("../w2/"+x)); want != got {
						t.Errorf("%s pulled: want\n%s\ngot\n%s", x, want, got)
					}
				}

				// The same data pushed by the other one.
				d.cloudRemote("../w2", b, "other", p)
				d.okIn("../w2", b, "push", "-q", "-r", "other")
				shared, other := cloudStored(t, p, "shared"), cloudStored(t, p, "other")
				if len(shared) < many || !maps.Equal(shared, other) {
					t.Errorf("%s stored %d objects, %s %d:\n%v\n%v", a, len(shared), b, len(other), shared, other)
				}

				// Work in the clone comes back.
				d.play(write("../w2/many/00/new", "new"), write("../w2/plain", "edited in the clone"))
				d.okIn("../w2", b, "add", "-q", "many", "plain")
				d.okIn("../w2", b, "push", "-q", "-r", "shared")
				if now := cloudStored(t, p, "shared"); len(now) != len(shared)+3 {
					t.Errorf("%s pushed %d objects, want 3", b, len(now)-len(shared))
				}
				d.play(gitIn("../w2", "commit", "-qam", "clone"), git("pull", "-q", "../w2", "HEAD"))
				d.ok(a, "pull", "-q", "-r", "shared")
				d.clean("after pulling the clone's work")
				if got, err := os.ReadFile(d.path("many/00/new")); err != nil || string(got) != "new" {
					t.Errorf("the clone's file: %q, %v", got, err)
				}
			})
		}
	}
}

// cloudRemote makes a remote called name, below the prefix name of a bucket.
func (d *duo) cloudRemote(dir, who, name string, p cloudPlace) {
	d.t.Helper()
	add := []string{"remote", "add", "-q"}
	if dir == "" {
		add = append(add, "-d")
	}
	d.okIn(dir, who, append(add, name, p.url+"/"+name)...)
	for k, v := range p.options {
		if k != p.secret {
			d.okIn(dir, who, "remote", "modify", name, k, v)
		}
	}
	d.cloudLogin(dir, who, name, p)
}

// cloudLogin tells a repository how to log in, in the file that is not shared.
func (d *duo) cloudLogin(dir, who, name string, p cloudPlace) {
	d.t.Helper()
	if p.secret != "" {
		d.okIn(dir, who, "remote", "modify", "--local", name, p.secret, p.options[p.secret])
	}
}

// cloudStored reads the objects of a remote, without cairn's receipts: sums by
// key.
func cloudStored(t *testing.T, p cloudPlace, name string) map[string]string {
	t.Helper()
	b, err := remote.OpenBackend(t.Context(), remote.Config{Name: name, URL: p.url + "/" + name, Options: p.options}, remote.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	found := map[string]string{}
	for e, err := range b.List(t.Context(), "files/") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := b.Open(t.Context(), e.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		found[e.Key] = fmt.Sprintf("%x", h.Sum(nil))
	}
	return found
}
