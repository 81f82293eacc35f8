//go:build unix

package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/sshserver"
)

// TestTurnsSSH: both tools on one server, the real sshd. What one pushes the other pulls into a fresh clone, finds in sync,
// and would have pushed under the same names with the same bytes.
func TestTurnsSSH(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" pushes "+b+" pulls", func(t *testing.T) {
			d := newDuo(t, a)
			server := sshserver.Start(t, os.Getenv("CAIRN_SSHD"))
			d.knowHost(server)
			d.play(awkward())
			many := 300
			for i := range many {
				d.play(write(fmt.Sprintf("many/%02d/file %d", i%7, i), strings.Repeat(fmt.Sprint(i), i%90)))
			}
			d.play(write("large", randomText(20<<20)))
			targets := append(awkwardTargets(), "many", "large")
			d.ok(a, append([]string{"add", "-q"}, targets...)...)
			d.onSSH("", a, "shared", server)
			d.play(commit("data"))
			d.ok(a, "push", "-q")
			d.inSync("after push")

			d.play(git("clone", "-q", ".", "../w2"))
			d.okIn("../w2", b, "pull", "-q")
			d.cleanIn("../w2", "in the clone")
			for _, p := range targets {
				if want, got := tree(t, d.path(p)), tree(t, d.path("../w2/"+p)); want != got {
					t.Errorf("%s pulled: want\n%s\ngot\n%s", p, want, got)
				}
			}

			// The same data pushed by the other one. Its address has a space and a sign that other addresses escape.
			d.onSSH("../w2", b, "other place%20", server)
			d.okIn("../w2", b, "push", "-q", "-r", "other")
			place := func(sub string) string { return filepath.Join(server.Dir, sub, "files", "md5") }
			shared, other := stored(t, place("shared")), stored(t, place("other place%20"))
			noReceipts(shared)
			noReceipts(other)
			if len(shared) < many || !maps.Equal(shared, other) {
				t.Errorf("%s stored %d objects, %s %d, not the same", a, len(shared), b, len(other))
			}

			// Work in the clone comes back; nothing goes twice.
			before := modified(t, place("shared"))
			d.play(write("../w2/many/00/new", "new"), write("../w2/plain", "edited in the clone"))
			d.okIn("../w2", b, "add", "-q", "many", "plain")
			d.okIn("../w2", b, "push", "-q", "-r", "shared")
			after := modified(t, place("shared"))
			noReceipts(before)
			noReceipts(after)
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
		})
	}
}

// noReceipts leaves out what cairn leaves beside manifests, of which DVC knows nothing.
func noReceipts(objects map[string]string) {
	maps.DeleteFunc(objects, func(key, _ string) bool { return strings.HasSuffix(key, ".cairn") })
}

// knowHost makes the server's key known, and its address short: the real DVC reads ssh_config too.
func (d *duo) knowHost(s *sshserver.Server) {
	d.t.Helper()
	home := filepath.Join(d.root, ".home", ".ssh")
	if err := os.MkdirAll(home, 0o700); err != nil {
		d.t.Fatal(err)
	}
	config := fmt.Sprintf("Host store\n\tHostName %s\n\tPort %s\n\tUser %s\n\tIdentityFile %s\n", s.Host, s.Port, s.User, s.KeyFile)
	for name, text := range map[string]string{"config": config, "known_hosts": s.KnownHost(s.HostKey)} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// onSSH makes a remote in the folder sub of the server's files, called by the first word of its name. That of the first
// workspace is spelled out, the other reaches its server by ssh_config.
func (d *duo) onSSH(dir, who, sub string, s *sshserver.Server) {
	d.t.Helper()
	name, _, _ := strings.Cut(sub, " ")
	if dir != "" {
		d.okIn(dir, who, "remote", "add", "-q", name, "ssh://store"+filepath.Join(s.Dir, sub))
		return
	}
	d.okIn(dir, who, "remote", "add", "-q", "-d", name, fmt.Sprintf("ssh://%s%s", s.Host, filepath.Join(s.Dir, sub)))
	for option, value := range map[string]string{"port": s.Port, "user": s.User, "keyfile": s.KeyFile} {
		d.okIn(dir, who, "remote", "modify", name, option, value)
	}
}
