package remote_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// openWeb opens a remote of a web server, with patience around it.
func openWeb(t *testing.T, url string, options map[string]string) remote.Backend {
	t.Helper()
	b, err := remote.OpenBackend(t.Context(), remote.Config{Name: "r", URL: url, Options: options, Jobs: 8}, remote.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// webFixture looks for leftovers in the folder of a server.
func webFixture(b remote.Backend, dir string) objecttest.Fixture {
	return objecttest.Fixture{
		Store: remote.NewStore(b, "web"),
		Damage: func(t *testing.T, d object.Digest, change func([]byte) []byte) {
			name := filepath.Join(dir, filepath.FromSlash(d.Key()))
			v, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, change(v), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		Leftovers: func(t *testing.T) (left []string) {
			// A server notices that an upload broke off when it gets round to it.
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if left = strangers(dir); len(left) == 0 || time.Now().After(end) {
					return left
				}
			}
		},
	}
}

// strangers are the files of a server's folder that are no objects.
func strangers(dir string) (left []string) {
	_ = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err == nil && !e.IsDir() && !strings.HasPrefix(rel, ".DAV") {
			if _, ok := object.ParseKey(filepath.ToSlash(rel)); !ok {
				left = append(left, rel)
			}
		}
		return nil
	})
	return left
}

// webServers are ways to reach a server: each opens a backend on a place of
// its own, and says in which folder it lies.
func webServers() map[string]func(t *testing.T) (remote.Backend, string) {
	return map[string]func(t *testing.T) (remote.Backend, string){
		"http": func(t *testing.T) (remote.Backend, string) {
			s := webserver.NewFiles(t, webserver.Options{})
			return openWeb(t, s.URL+"/some/pre%20fix", nil), filepath.Join(s.Dir, "some", "pre fix")
		},
		"http put, digest": func(t *testing.T) (remote.Backend, string) {
			s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginSHA256})
			return openWeb(t, s.URL, map[string]string{"method": "put", "auth": "digest", "user": s.User, "password": s.Password}), s.Dir
		},
		"https": func(t *testing.T) (remote.Backend, string) {
			s := webserver.NewFiles(t, webserver.Options{TLS: true})
			return openWeb(t, s.URL, map[string]string{"ssl_verify": s.Certificate}), s.Dir
		},
		"webdav": func(t *testing.T) (remote.Backend, string) {
			s := webserver.NewDAV(t, webserver.Options{})
			return openWeb(t, dav(s.URL)+"/some/pre%20fix", nil), filepath.Join(s.Dir, "some", "pre fix")
		},
		"webdavs, basic": func(t *testing.T) (remote.Backend, string) {
			s := webserver.NewDAV(t, webserver.Options{TLS: true, Login: webserver.LoginBasic})
			return openWeb(t, dav(s.URL), map[string]string{"ssl_verify": s.Certificate, "user": s.User, "password": s.Password}), s.Dir
		},
	}
}

func dav(url string) string { return "webdav" + strings.TrimPrefix(url, "http") }

func TestBackendWeb(t *testing.T) {
	for name, open := range webServers() {
		t.Run(name, func(t *testing.T) {
			remotetest.Run(t, func(t *testing.T) remote.Backend { b, _ := open(t); return b })
		})
	}
}

func TestStoreWeb(t *testing.T) {
	for name, open := range webServers() {
		if name != "http put, digest" && name != "webdav" {
			continue // what is between differs below the store
		}
		t.Run(name, func(t *testing.T) {
			objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return webFixture(open(t)) })
		})
	}
}

// apacheServers are ways to reach one Apache, each time below another prefix.
func apacheServers(t *testing.T) map[string]func(t *testing.T) (remote.Backend, string) {
	a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
	login := map[string]string{"user": a.User, "password": a.Password}
	place := func() (string, string) {
		p := rand.Text()
		return p, filepath.Join(a.Dir, p)
	}
	return map[string]func(t *testing.T) (remote.Backend, string){
		"webdav": func(t *testing.T) (remote.Backend, string) {
			p, dir := place()
			return openWeb(t, dav(a.URL)+"/open/"+p+"/sub", nil), filepath.Join(dir, "sub")
		},
		"webdav, basic": func(t *testing.T) (remote.Backend, string) {
			p, dir := place()
			return openWeb(t, dav(a.URL)+"/basic/"+p, login), dir
		},
		"webdav, digest": func(t *testing.T) (remote.Backend, string) {
			p, dir := place()
			return openWeb(t, dav(a.URL)+"/digest/"+p, login), dir
		},
	}
}

func TestBackendApache(t *testing.T) {
	for name, open := range apacheServers(t) {
		t.Run(name, func(t *testing.T) {
			remotetest.Run(t, func(t *testing.T) remote.Backend { b, _ := open(t); return b })
		})
	}
}

func TestStoreApache(t *testing.T) {
	for name, open := range apacheServers(t) {
		if name != "webdav, digest" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return webFixture(open(t)) })
		})
	}
}

// What a killed upload leaves is not listed.
func TestWebDAVLeftovers(t *testing.T) {
	t.Parallel()
	s := webserver.NewDAV(t, webserver.Options{})
	b := openWeb(t, dav(s.URL), nil)
	if err := b.Put(t.Context(), "a/k", 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, disk.TempName()), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range b.List(t.Context(), "") {
		if n++; err != nil || e.Key != "a/k" {
			t.Errorf("listed %+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("listed %d keys, want 1", n)
	}
}

func readAll(t *testing.T, b remote.Backend, key string) []byte {
	t.Helper()
	r, _, err := b.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(v)
}
