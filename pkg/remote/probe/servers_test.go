package probe_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/probe"
	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// On every kind of server all checks hold, and nothing is left, no folder
// either where it is ours to remove.
func TestRunOnServers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (c remote.Config, env remote.Env, left func() []string){
		"s3": func(t *testing.T) (remote.Config, remote.Env, func() []string) {
			m := s3server.NewMemory(s3server.MemoryOptions{})
			t.Cleanup(m.Close)
			return remote.Config{URL: "s3://" + m.Bucket + "/x", Options: m.Options()}, remote.Env{}, m.Keys
		},
		"ssh": func(t *testing.T) (remote.Config, remote.Env, func() []string) {
			s := sshserver.New(t, sshserver.Options{})
			return remote.Config{URL: s.URL(""), Options: s.Options()}, remote.Env{Home: s.Home}, func() []string { return files(t, s.Dir) }
		},
		"webdav": func(t *testing.T) (remote.Config, remote.Env, func() []string) {
			s := webserver.NewDAV(t, webserver.Options{})
			return remote.Config{URL: "webdav" + strings.TrimPrefix(s.URL, "http")}, remote.Env{}, func() []string { return files(t, s.Dir) }
		},
		"http": func(t *testing.T) (remote.Config, remote.Env, func() []string) {
			s := webserver.NewFiles(t, webserver.Options{})
			return remote.Config{URL: s.URL, Options: map[string]string{"method": "PUT"}}, remote.Env{}, func() []string { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, env, left := start(t)
			c.Name = "r"
			b, err := remote.OpenBackend(t.Context(), c, env)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			r, err := probe.Run(t.Context(), b, probe.Options{})
			if err != nil || !r.OK || r.ReadOnly {
				t.Errorf("%v, %+v, %v", failures(r), r, err)
			}
			if l := left(); len(l) > 0 {
				t.Errorf("left %v", l)
			}
		})
	}
}

// files are all below a folder.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err == nil && p != dir {
			list = append(list, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A folder of values is not removed with the folders around it.
func TestRemoveFolderKeepsValues(t *testing.T) {
	t.Parallel()
	ssh := sshserver.New(t, sshserver.Options{})
	dav := webserver.NewDAV(t, webserver.Options{})
	for dir, c := range map[string]remote.Config{
		ssh.Dir: {Name: "r", URL: ssh.URL(""), Options: ssh.Options()},
		dav.Dir: {Name: "r", URL: "webdav" + strings.TrimPrefix(dav.URL, "http")},
	} {
		b, err := remote.OpenBackend(t.Context(), c, remote.Env{Home: ssh.Home})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		f, ok := remote.As[remote.FolderKeeper](b)
		if !ok {
			t.Fatalf("%s keeps no folders", c.URL)
		}
		if err := b.Put(t.Context(), "a/b/c", 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if err := f.RemoveFolder(t.Context(), "a"); err == nil {
			t.Errorf("%s: a folder with a value is removed", c.URL)
		}
		if _, err := b.Stat(t.Context(), "a/b/c"); err != nil {
			t.Errorf("%s: the value is gone: %v", c.URL, err)
		}
		if err := b.Delete(t.Context(), []string{"a/b/c"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.RemoveFolder(t.Context(), "a"); err != nil {
				t.Errorf("%s: %v", c.URL, err)
			}
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%s: left %v", c.URL, left)
		}
	}
}

// A web server that only gives is found to be one.
func TestRunOnPlainHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	gives := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		gives.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b, err := remote.OpenBackend(t.Context(), remote.Config{Name: "r", URL: srv.URL}, remote.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, told := range []bool{false, true} {
		r, err := probe.Run(t.Context(), b, probe.Options{ReadOnly: told})
		if err != nil || !r.OK || !r.ReadOnly || r.Scratch != "" {
			t.Errorf("told %v: %v, %+v, %v", told, failures(r), r, err)
		}
	}
}
