//go:build unix

package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// webPlace is a server as both tools reach it. Its folder dir holds what lies
// below its address.
type webPlace struct {
	dir     string
	url     map[string]string   // by tool
	options map[string][]string // by tool; name and value in turn
}

func samePlace(dir, url string, options ...string) webPlace {
	return webPlace{dir, map[string]string{"dvc": url, "cairn": url}, map[string][]string{"dvc": options, "cairn": options}}
}

// webPlaces are servers of somebody else's making, and ones that DVC's way of
// uploading needs: by POST, in chunks, without any folder made before.
var webPlaces = map[string]func(t *testing.T) webPlace{
	"webdav": func(t *testing.T) webPlace {
		a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
		makePlaces(t, a.Dir)
		return samePlace(a.Dir, "webdav"+strings.TrimPrefix(a.URL, "http")+"/basic", "user", a.User, "password", a.Password)
	},
	"webdav, by MOVE": func(t *testing.T) webPlace {
		s := webserver.NewDAV(t, webserver.Options{Login: webserver.LoginBearer})
		makePlaces(t, s.Dir)
		return samePlace(s.Dir, "webdav"+strings.TrimPrefix(s.URL, "http"), "token", s.Password)
	},
	"http, PUT, digest for cairn": func(t *testing.T) webPlace {
		a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
		makeFolders(t, a.Dir)
		p := samePlace(a.Dir, a.URL+"/basic", "method", "PUT", "auth", "basic", "user", a.User, "password", a.Password)
		p.url["cairn"] = a.URL + "/digest"
		p.options["cairn"] = []string{"method", "PUT", "auth", "digest", "user", a.User, "password", a.Password}
		return p
	},
	"http, POST": func(t *testing.T) webPlace {
		s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginHeader})
		return samePlace(s.Dir, s.URL, "auth", "custom", "custom_auth_header", s.Header, "password", s.Password)
	},
}

// makePlaces makes the folders of the remotes: DVC fails on a WebDAV server
// that does not have them.
func makePlaces(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"shared", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil { // the server is another user
			t.Fatal(err)
		}
	}
}

// makeFolders makes all that objects lie in: a web server makes none.
func makeFolders(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"shared", "other"} {
		for i := range 256 {
			p := filepath.Join(dir, name, "files", "md5", fmt.Sprintf("%02x", i))
			if err := os.MkdirAll(p, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(p, 0o777); err != nil { // the server is another user
				t.Fatal(err)
			}
		}
	}
}

// TestTurnsWeb: both tools on one place of a server. What one pushes the other
// pulls into a fresh clone, finds in sync, and would have pushed under the same
// keys with the same bytes.
func TestTurnsWeb(t *testing.T) {
	for name, start := range webPlaces {
		for _, pair := range pairs {
			a, b := pair[0], pair[1]
			t.Run(name+", "+a+" pushes "+b+" pulls", func(t *testing.T) {
				d := newDuo(t, a)
				p := start(t)
				d.play(awkward())
				many := 30
				for i := range many {
					d.play(write(fmt.Sprintf("many/%02d/file %d", i%7, i), strings.Repeat(fmt.Sprint(i), i%90)))
				}
				d.play(write("large", randomText(9<<20)))
				targets := append(awkwardTargets(), "many", "large")
				d.ok(a, append([]string{"add", "-q"}, targets...)...)
				d.webRemote("", a, "shared", p)
				d.play(commit("data"))
				d.ok(a, "push", "-q")
				for _, who := range []string{"cairn", "dvc"} {
					d.webLogin("", who, "shared", p)
					if got := strings.TrimSpace(d.ok(who, "status", "-c", "--json")); got != "{}" {
						t.Errorf("after push: %s status -c --json: %s", who, got)
					}
				}

				d.play(git("clone", "-q", ".", "../w2"))
				d.webLogin("../w2", b, "shared", p)
				d.okIn("../w2", b, "pull", "-q")
				for _, x := range targets {
					if want, got := tree(t, d.path(x)), tree(t, d.path("../w2/"+x)); want != got {
						t.Errorf("%s pulled: want\n%s\ngot\n%s", x, want, got)
					}
				}

				// The same data pushed by the other one.
				d.webRemote("../w2", b, "other", p)
				d.okIn("../w2", b, "push", "-q", "-r", "other")
				shared, other := stored(t, filepath.Join(p.dir, "shared")), stored(t, filepath.Join(p.dir, "other"))
				noReceipts(shared)
				noReceipts(other)
				if len(shared) < many || !maps.Equal(shared, other) {
					t.Errorf("%s stored %d objects, %s %d:\n%v\n%v", a, len(shared), b, len(other), shared, other)
				}

				// Work in the clone comes back; nothing goes twice.
				before := modified(t, filepath.Join(p.dir, "shared"))
				d.play(write("../w2/many/00/new", "new"), write("../w2/plain", "edited in the clone"))
				d.okIn("../w2", b, "add", "-q", "many", "plain")
				d.okIn("../w2", b, "push", "-q", "-r", "shared")
				after := modified(t, filepath.Join(p.dir, "shared"))
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
				d.webLogin("", a, "shared", p)
				d.ok(a, "pull", "-q", "-r", "shared")
				if want, got := tree(t, d.path("../w2/many")), tree(t, d.path("many")); want != got {
					t.Errorf("the clone's work pulled: want\n%s\ngot\n%s", want, got)
				}
			})
		}
	}
}

// webRemote makes a remote called name, below the path name of a server.
func (d *duo) webRemote(dir, who, name string, p webPlace) {
	d.t.Helper()
	add := []string{"remote", "add", "-q"}
	if dir == "" {
		add = append(add, "-d")
	}
	d.okIn(dir, "cairn", append(add, name, p.url[who]+"/"+name)...)
	d.webLogin(dir, who, name, p)
}

// webLogin tells a repository the address and the options for one of the tools,
// in the file that is not shared. cairn writes it, being the quicker.
func (d *duo) webLogin(dir, who, name string, p webPlace) {
	d.t.Helper()
	local := func(option, value string) {
		d.okIn(dir, "cairn", "remote", "modify", "--local", name, option, value)
	}
	local("url", p.url[who]+"/"+name)
	for i := 0; i < len(p.options[who]); i += 2 {
		local(p.options[who][i], p.options[who][i+1])
	}
}
