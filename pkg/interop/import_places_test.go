//go:build unix

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// lake is a place with data of others, a remote called lake to both tools.
type lake struct {
	url      string   // of the place, as DVC has it without a remote
	fsConfig []string // what makes the URL alone work, as --fs-config has it
	lists    bool     // whether folders can be imported
	flat     bool     // DVC's library reads no single file, and loses the names of folders in folders
	put      func(t *testing.T, key, text string)
}

// byBackend puts by cairn's driver.
func byBackend(url string, options map[string]string) func(t *testing.T, key, text string) {
	return func(t *testing.T, key, text string) {
		t.Helper()
		b, err := remote.OpenBackend(t.Context(), remote.Config{Name: "lake", URL: url, Options: options}, remote.Env{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Put(t.Context(), key, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// byFile puts behind the server's back.
func byFile(dir string) func(t *testing.T, key, text string) {
	past := time.Now().Add(-time.Hour)
	return func(t *testing.T, key, text string) {
		t.Helper()
		p := filepath.Join(dir, key)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		// Apache trusts no time that has just been.
		past = past.Add(time.Second)
		if err := os.Chtimes(p, past, past); err != nil {
			t.Fatal(err)
		}
	}
}

// lakeOf makes the remote called lake.
func (d *duo) lakeOf(url string, options map[string]string, secrets ...string) {
	d.t.Helper()
	d.ok("cairn", "remote", "add", "-q", "lake", url)
	for k, v := range options {
		at := "--project"
		for _, s := range secrets {
			if s == k {
				at = "--local"
			}
		}
		d.ok("cairn", "remote", "modify", at, "lake", k, v)
	}
}

var lakes = map[string]func(t *testing.T, d *duo) lake{
	"s3": func(t *testing.T, d *duo) lake {
		s, _ := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
		url := "s3://" + s.Bucket + "/lake"
		d.lakeOf(url, s.Options(), "access_key_id", "secret_access_key")
		d.env = append(d.env, "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
		return lake{url: url, fsConfig: []string{"endpointurl=" + s.URL, "region=" + s.Region}, lists: true, put: byBackend(url, s.Options())}
	},
	"ssh": func(t *testing.T, d *duo) lake {
		s := sshserver.Start(t, os.Getenv("CAIRN_SSHD"))
		d.knowHost(s)
		d.lakeOf(s.URL("lake"), s.Options())
		return lake{url: "ssh://store" + filepath.Join(s.Dir, "lake"), fsConfig: nil, lists: true, put: byFile(filepath.Join(s.Dir, "lake"))}
	},
	"webdav": func(t *testing.T, d *duo) lake {
		a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
		d.lakeOf("webdav"+strings.TrimPrefix(a.URL, "http")+"/basic/lake", map[string]string{"user": a.User, "password": a.Password}, "password")
		return lake{url: "webdav" + strings.TrimPrefix(a.URL, "http") + "/open/lake", lists: true, flat: true, put: byFile(filepath.Join(a.Dir, "lake"))}
	},
	"http": func(t *testing.T, d *duo) lake {
		a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
		d.lakeOf(a.URL+"/basic/lake", map[string]string{"auth": "basic", "user": a.User, "password": a.Password}, "password")
		return lake{url: a.URL + "/open/lake", put: byFile(filepath.Join(a.Dir, "lake"))}
	},
	"http custom header": func(t *testing.T, d *duo) lake {
		s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginHeader})
		d.lakeOf(s.URL+"/lake", map[string]string{"auth": "custom", "custom_auth_header": s.Header, "password": s.Password}, "password")
		return lake{put: byFile(filepath.Join(s.Dir, "lake"))}
	},
	"azure": func(t *testing.T, d *duo) lake {
		p := cloudPlaces["azure"](t, d)
		url := p.url + "/lake"
		d.lakeOf(url, p.options, p.secret)
		d.env = append(d.env, "AZURE_STORAGE_CONNECTION_STRING="+p.options[p.secret])
		return lake{url: url, lists: true, put: byBackend(url, p.options)}
	},
	"gs": func(t *testing.T, d *duo) lake {
		p := cloudPlaces["gs"](t, d)
		url := p.url + "/lake"
		d.lakeOf(url, p.options)
		return lake{url: url, fsConfig: []string{"endpointurl=" + p.options["endpointurl"], "allow_anonymous_login=true"}, lists: true, put: byBackend(url, p.options)}
	},
}

// TestImportURLPlaces: what is recorded of data on each kind of server is the
// same by both tools, by every way of importing; each updates what the other
// imported; both get and list the same.
func TestImportURLPlaces(t *testing.T) {
	for name, open := range lakes {
		t.Run(name, func(t *testing.T) {
			d := newDuo(t, "dvc")
			l := open(t, d)
			d.play(mkdir("../rem"))
			d.ok("cairn", "remote", "add", "-q", "-d", "store", "../rem")
			l.put(t, "in/f", "one")
			l.put(t, "in/flat/a", "a")
			l.put(t, "in/flat/b", "b")
			l.put(t, "in/d/a", "a")
			l.put(t, "in/d/s/b", "b")
			l.put(t, "in/d/s/empty", "")
			l.put(t, "in/d/z ü+%41", "odd")
			l.put(t, "in/od d%41+é.txt", "odd")
			imports := [][]string{
				{"nf.dvc", "remote://lake/in/f", "nf", "--no-download"},
				{"ef.dvc", "remote://lake/in/f", "ef", "--no-exec"},
			}
			dir := "in/d"
			if l.flat {
				dir = "in/flat"
			} else {
				imports = append(imports, [][]string{
					{"f.dvc", "remote://lake/in/f"},
					{"tf.dvc", "remote://lake/in/f", "tf", "--to-remote"},
				}...)
			}
			if l.lists {
				imports = append(imports, [][]string{
					{"d.dvc", "remote://lake/" + dir, "d", "-j", "2"},
					{"nd.dvc", "remote://lake/" + dir, "nd", "--no-download"},
				}...)
			}
			if l.url != "" && !l.flat {
				alone := []string{"uf.dvc", l.url + "/in/f", "uf"}
				for _, o := range l.fsConfig {
					alone = append(alone, "--fs-config", o)
				}
				imports = append(imports, alone)
			}
			for _, c := range imports {
				out := strings.TrimSuffix(c[0], ".dvc")
				d.pointers(c[0], []string{out, c[0]}, append([]string{"import-url", "-q"}, c[1:]...)...)
			}
			if l.flat {
				d.ok("cairn", "import-url", "-q", "remote://lake/in/f")
				d.ok("cairn", "import-url", "-q", "remote://lake/in/f", "tf", "--to-remote")
			}

			// What is odd in a name is odd for nobody.
			odd := "in/od d%41+é.txt"
			if strings.HasPrefix(name, "http") || l.flat {
				odd = "in/od%20d%2541+%C3%A9.txt"
			}
			args := []string{"import-url", "-q", "remote://lake/" + odd, "odd"}
			if l.flat {
				d.ok("cairn", args...)
			} else {
				d.pointers("odd.dvc", []string{"odd", "odd.dvc"}, args...)
			}
			if b, err := os.ReadFile(d.path("odd")); err != nil || string(b) != "odd" {
				t.Errorf("the odd name gave %q, %v", b, err)
			}

			// Both take it for what it is, and then for old.
			files := []string{"f.dvc", "nf.dvc", "tf.dvc"}
			same := files[:1]
			if l.lists {
				files = append(files, "d.dvc", "nd.dvc")
				same = []string{"f.dvc", "d.dvc"}
			}
			if l.flat {
				files = []string{"d.dvc", "nd.dvc"}
				same = files[:1]
			}
			for i, who := range []string{"dvc", "cairn"} {
				if out := d.ok(who, append([]string{"update"}, same...)...); strings.Contains(out, "Importing") {
					t.Errorf("%s updates what is up to date: %s", who, out)
				}
				l.put(t, "in/f", fmt.Sprintf("longer %d", i))
				if l.lists {
					l.put(t, dir+"/new", fmt.Sprint(i))
				}
				before := d.texts(files)
				var wrote []map[string]string
				for _, one := range []string{"dvc", "cairn"} {
					for f, text := range before {
						d.play(write(f, text))
					}
					d.ok(one, append([]string{"update", "-q"}, files...)...)
					wrote = append(wrote, d.texts(files))
				}
				for _, f := range files {
					if wrote[0][f] != wrote[1][f] {
						t.Errorf("update of %s: DVC wrote\n%s\ncairn\n%s", f, wrote[0][f], wrote[1][f])
					}
				}
				if l.flat {
					d.ok("cairn", "update", "-q", "f.dvc")
				}
				if b, err := os.ReadFile(d.path("f")); err != nil || string(b) != fmt.Sprintf("longer %d", i) {
					t.Errorf("%s: f is %q, %v", who, b, err)
				}
			}

			// What was only recorded comes by either.
			var never []string
			for _, f := range []string{"nf.dvc", "nd.dvc", "ef.dvc"} {
				if _, err := os.Stat(d.path(f)); err == nil {
					never = append(never, f)
				}
			}
			d.play(rm("nf", "nd"), wipeCache())
			d.ok("cairn", append([]string{"update", "-q"}, never...)...)
			for _, f := range never {
				if _, err := os.Stat(d.path(strings.TrimSuffix(f, ".dvc"))); err != nil {
					t.Errorf("update of %s: %v", f, err)
				}
			}

			// Without tracking it.
			get := []string{"get-url", "-q", "remote://lake/in/f", "got"}
			for _, who := range []string{"dvc", "cairn"} {
				if who == "dvc" && l.flat {
					continue
				}
				d.play(rm("got"))
				d.ok(who, get...)
				if b, err := os.ReadFile(d.path("got")); err != nil || string(b) != "longer 1" {
					t.Errorf("%s get-url: %q, %v", who, b, err)
				}
			}
			if !l.lists {
				return
			}
			var trees, lists []string
			for _, who := range []string{"dvc", "cairn"} {
				d.play(rm("gotd"))
				d.ok(who, "get-url", "-q", "remote://lake/"+dir, "gotd", "-j", "2")
				trees = append(trees, tree(t, d.path("gotd")))
				said := ""
				looks := [][]string{{"in"}, {"in/d/s", "--size"}}
				if !l.flat {
					looks = append(looks, []string{"in", "-R"}, []string{"in/f"})
				}
				for _, c := range looks {
					lines := strings.Split(strings.TrimSpace(d.ok(who, append([]string{"ls-url", "remote://lake/" + c[0]}, c[1:]...)...)), "\n")
					sort.Strings(lines)
					said += fmt.Sprint(c) + "\n" + strings.Join(lines, "\n") + "\n"
				}
				lists = append(lists, said)
			}
			if trees[0] != trees[1] {
				t.Errorf("get-url: DVC got\n%s\ncairn\n%s", trees[0], trees[1])
			}
			if lists[0] != lists[1] {
				t.Errorf("ls-url: DVC says\n%s\ncairn\n%s", lists[0], lists[1])
			}
		})
	}
}

// TestImportURLVersions: of a bucket that keeps versions both record the same
// ones, get those that are recorded though there are newer ones, and go on to
// the newest when they are told to.
func TestImportURLVersions(t *testing.T) {
	d := newDuo(t, "dvc")
	s, _ := s3server.StartVersions(t, os.Getenv("CAIRN_S3_SERVER"))
	url := "s3://" + s.Bucket + "/lake"
	d.lakeOf(url, s.Options(), "access_key_id", "secret_access_key")
	d.env = append(d.env, "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
	put := byBackend(url, s.Options())
	put(t, "in/f", "one")
	put(t, "in/d/a", "a")
	put(t, "in/d/s/b", "b")
	for _, c := range [][]string{
		{"f.dvc", "remote://lake/in/f", "f"},
		{"d.dvc", "remote://lake/in/d", "d"},
		{"nf.dvc", "remote://lake/in/f", "nf", "--no-download"},
		{"nd.dvc", "remote://lake/in/d", "nd", "--no-download"},
	} {
		out := strings.TrimSuffix(c[0], ".dvc")
		d.pointers(c[0], []string{out, c[0]}, append([]string{"import-url", "-q", "--version-aware"}, c[1:]...)...)
		if text := d.texts(c[:1])[c[0]]; !strings.Contains(text, "version_id: ") {
			t.Errorf("%s has no version:\n%s", c[0], text)
		}
	}
	was := map[string]string{"f": tree(t, d.path("f")), "d": tree(t, d.path("d"))}
	put(t, "in/f", "two")
	put(t, "in/d/a", "a2")
	put(t, "in/d/new", "new")
	// What is recorded comes again, by either.
	for _, who := range []string{"dvc", "cairn"} {
		d.play(rm("f"), rm("d"), wipeCache())
		d.ok(who, "pull", "-q", "f.dvc", "d.dvc")
		for out, want := range was {
			if got := tree(t, d.path(out)); got != want {
				t.Errorf("%s pulled of %s\n%s\nwant\n%s", who, out, got, want)
			}
		}
	}
	files := []string{"f.dvc", "d.dvc", "nf.dvc", "nd.dvc"}
	before := d.texts(files)
	var wrote []map[string]string
	for _, who := range []string{"dvc", "cairn"} {
		for f, text := range before {
			d.play(write(f, text))
		}
		d.ok(who, "update", "-q", "f.dvc", "d.dvc")
		d.ok(who, "update", "-q", "--no-download", "nf.dvc", "nd.dvc")
		wrote = append(wrote, d.texts(files))
		if b, err := os.ReadFile(d.path("f")); err != nil || string(b) != "two" {
			t.Errorf("%s: f is %q, %v", who, b, err)
		}
	}
	for _, f := range files {
		if wrote[0][f] == before[f] || wrote[0][f] != wrote[1][f] {
			t.Errorf("update of %s: it was\n%s\nDVC wrote\n%s\ncairn\n%s", f, before[f], wrote[0][f], wrote[1][f])
		}
	}
}

// texts reads files.
func (d *duo) texts(files []string) map[string]string {
	d.t.Helper()
	got := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(d.path(f))
		if err != nil {
			d.t.Fatal(err)
		}
		got[f] = string(b)
	}
	return got
}
