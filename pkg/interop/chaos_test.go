//go:build unix

package interop

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/chaostest"
	"github.com/cairndata/cairn/pkg/remote/cloudtest"
	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// chaosTries is how often a command on a bad line is repeated until it must have come to an end.
const chaosTries = 12

// TestChaosS3: push, lose everything, pull, compare, on a line that delays, refuses, breaks, shortens, damages, repeats and
// stalls. Whatever the exit code, no name holds wrong bytes; with exit code 0 all is there; a retry completes.
func TestChaosS3(t *testing.T) {
	if *update {
		t.Skip("nothing to record")
	}
	for name, open := range map[string]func(t *testing.T) (*s3server.Server, func() map[string][]byte){
		"separate server": func(t *testing.T) (*s3server.Server, func() map[string][]byte) {
			s, dir := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
			return s, func() map[string][]byte { return contents(t, dir) }
		},
		"in process": func(t *testing.T) (*s3server.Server, func() map[string][]byte) {
			m := s3server.NewMemory(s3server.MemoryOptions{})
			t.Cleanup(m.Close)
			return &m.Server, func() map[string][]byte {
				all := map[string][]byte{}
				for _, k := range m.Keys() {
					all[k], _ = m.Get(k)
				}
				return all
			}
		},
	} {
		for _, hash := range []string{"md5", "blake3"} {
			for line, start := range map[string]func(t *testing.T, url string, o chaostest.Options) (string, badLine){
				"requests": func(t *testing.T, url string, o chaostest.Options) (string, badLine) {
					p := chaostest.HTTP(t, url, o)
					return p.URL, p
				},
				"connections": func(t *testing.T, url string, o chaostest.Options) (string, badLine) {
					o.Rate = 0.5 // of connections, each of which carries many requests
					o.Faults = []chaostest.Fault{chaostest.Reset, chaostest.Short, chaostest.Stall, chaostest.FlipDown, chaostest.FlipUp}
					p := chaostest.TCP(t, strings.TrimPrefix(url, "http://"), o)
					return "http://" + p.Addr, p
				},
			} {
				t.Run(name+" "+hash+" "+line, func(t *testing.T) {
					t.Parallel()
					server, stored := open(t)
					url, bad := start(t, server.URL, chaostest.Options{Seed: rand.Uint64(), Latency: 50 * time.Millisecond, Rate: 0.15})
					defer func() { t.Log(bad) }()
					through := *server
					through.URL = url
					chaosStory(t, hash, 20<<20, bad, stored, func(d *duo) {
						d.bucket("", "cairn", "store", &through)
						d.ok("cairn", "remote", "modify", "store", "read_timeout", "3")
						d.ok("cairn", "remote", "modify", "store", "connect_timeout", "3")
					})
				})
			}
		}
	}
}

// chaosPlace is a server behind a bad line.
type chaosPlace struct {
	line   badLine
	stored func() map[string][]byte
	begin  func(d *duo)
}

// exceptFor is all faults but some.
func exceptFor(some ...chaostest.Fault) []chaostest.Fault {
	return slices.DeleteFunc(slices.Clone(chaostest.Every), func(f chaostest.Fault) bool { return slices.Contains(some, f) })
}

// onConnections are the faults of a line that carries what it cannot read.
var onConnections = []chaostest.Fault{chaostest.Reset, chaostest.Short, chaostest.Stall, chaostest.FlipDown, chaostest.FlipUp}

// chaosPlaces are the other kinds of remote. What a web server or an emulator stores of a damaged upload nobody can tell it
// beforehand, as its protocol, or it, has no checksum: there damage goes one way on plain lines, and both on encrypted ones.
var chaosPlaces = map[string]func(t *testing.T, o chaostest.Options) chaosPlace{
	"webdav requests": func(t *testing.T, o chaostest.Options) chaosPlace {
		a := webserver.StartApache(t, os.Getenv("CAIRN_APACHE"))
		o.Faults = exceptFor(chaostest.FlipUp)
		p := chaostest.HTTP(t, a.URL, o)
		return chaosPlace{p, func() map[string][]byte { return contents(t, a.Dir) }, func(d *duo) {
			d.chaosRemote("webdav"+strings.TrimPrefix(p.URL, "http")+"/basic/store", map[string]string{"user": a.User, "password": a.Password, "timeout": "3"})
		}}
	},
	"webdavs connections": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := webserver.NewDAV(t, webserver.Options{Login: webserver.LoginBearer, TLS: true})
		o.Faults, o.Rate = onConnections, 0.5
		p := chaostest.TCP(t, strings.TrimPrefix(s.URL, "https://"), o)
		return chaosPlace{p, func() map[string][]byte { return contents(t, s.Dir) }, func(d *duo) {
			d.chaosRemote("webdavs://"+p.Addr+"/store", map[string]string{"token": s.Password, "ssl_verify": s.Certificate, "timeout": "3"})
		}}
	},
	"http requests": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginSHA256})
		o.Faults = exceptFor(chaostest.FlipUp)
		p := chaostest.HTTP(t, s.URL, o)
		return chaosPlace{p, func() map[string][]byte { return contents(t, s.Dir) }, func(d *duo) {
			d.chaosRemote(p.URL+"/store", map[string]string{"auth": "digest", "user": s.User, "password": s.Password, "method": "PUT", "read_timeout": "3", "connect_timeout": "3"})
		}}
	},
	"https connections": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginHeader, TLS: true})
		o.Faults, o.Rate = onConnections, 0.5
		p := chaostest.TCP(t, strings.TrimPrefix(s.URL, "https://"), o)
		return chaosPlace{p, func() map[string][]byte { return contents(t, s.Dir) }, func(d *duo) {
			d.chaosRemote("https://"+p.Addr+"/store", map[string]string{"auth": "custom", "custom_auth_header": s.Header, "password": s.Password, "ssl_verify": s.Certificate, "read_timeout": "3", "connect_timeout": "3"})
		}}
	},
	"gs requests": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := cloudtest.StartGCS(t, os.Getenv("CAIRN_GCS_SERVER"))
		o.Faults = exceptFor(chaostest.FlipUp, chaostest.Stall) // a minute, without an option to make it less
		p := chaostest.HTTP(t, s.URL, o)
		direct := cloudPlace{url: "gs://" + s.Bucket, options: s.Options()}
		return chaosPlace{p, func() map[string][]byte { return cloudContents(t, direct) }, func(d *duo) {
			d.chaosRemote(direct.url+"/store", map[string]string{"endpointurl": p.URL, "allow_anonymous_login": "true"})
		}}
	},
	"azure requests": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := cloudtest.StartAzure(t, os.Getenv("CAIRN_AZURITE"))
		p := chaostest.HTTP(t, strings.TrimSuffix(s.URL, "/"+s.Account), o)
		direct := cloudPlace{url: "azure://" + s.Container, options: s.Options()}
		return chaosPlace{p, func() map[string][]byte { return cloudContents(t, direct) }, func(d *duo) {
			through := *s
			through.URL = p.URL + "/" + s.Account
			d.chaosRemote(direct.url+"/store", map[string]string{"connection_string": through.ConnectionString(), "read_timeout": "3", "connection_timeout": "3"})
		}}
	},
	"ssh connections": func(t *testing.T, o chaostest.Options) chaosPlace {
		s := sshserver.Start(t, os.Getenv("CAIRN_SSHD"))
		o.Faults, o.Rate = onConnections, 0.5
		p := chaostest.TCP(t, net.JoinHostPort(s.Host, s.Port), o)
		return chaosPlace{p, func() map[string][]byte { return contents(t, s.Dir) }, func(d *duo) {
			through := *s
			_, through.Port, _ = net.SplitHostPort(p.Addr)
			d.knowHost(&through)
			d.chaosRemote(through.URL("store"), map[string]string{"keyfile": s.KeyFile, "timeout": "3"})
		}}
	},
}

// TestChaosPlaces is the same story on every other kind of remote.
func TestChaosPlaces(t *testing.T) {
	if *update {
		t.Skip("nothing to record")
	}
	for name, open := range chaosPlaces {
		for _, hash := range []string{"md5", "blake3"} {
			t.Run(name+" "+hash, func(t *testing.T) {
				t.Parallel()
				p := open(t, chaostest.Options{Seed: rand.Uint64(), Latency: 50 * time.Millisecond, Rate: 0.15})
				defer func() { t.Log(p.line) }()
				chaosStory(t, hash, 3<<20, p.line, p.stored, p.begin)
			})
		}
	}
}

// chaosRemote makes the default remote.
func (d *duo) chaosRemote(url string, options map[string]string) {
	d.t.Helper()
	d.ok("cairn", "remote", "add", "-q", "-d", "store", url)
	for k, v := range options {
		d.ok("cairn", "remote", "modify", "-q", "--local", "store", k, v)
	}
}

// cloudContents reads all objects of a bucket's place called store, by key.
func cloudContents(t *testing.T, p cloudPlace) map[string][]byte {
	t.Helper()
	b, err := remote.OpenBackend(t.Context(), remote.Config{Name: "store", URL: p.url + "/store", Options: p.options}, remote.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all := map[string][]byte{}
	for e, err := range b.List(t.Context(), "files/") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := b.Open(t.Context(), e.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		all[e.Key], err = io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

type badLine interface {
	Struck() int
	String() string
}

// contents reads all files below a folder, by path.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		all[filepath.ToSlash(rel)], err = os.ReadFile(p)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}

// proven counts the objects among values, by the end of their keys, each of which must have the bytes its name says.
func proven(t *testing.T, where string, values map[string][]byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for key, b := range values {
		i := strings.Index(key, "files/")
		if i < 0 {
			continue
		}
		d, ok := object.ParseKey(key[i:])
		if !ok {
			continue
		}
		if object.Sum(d.Algorithm(), b).AsFile() != d.AsFile() {
			t.Errorf("%s: %s holds %d bytes that are not it", where, key, len(b))
		}
		found[key[i:]] = true
	}
	return found
}

// chaosStory plays with a file of large bytes among the others, and with the remote that begin makes the default one, until
// something has struck the line to it.
func chaosStory(t *testing.T, hash string, large int, line badLine, stored func() map[string][]byte, begin func(d *duo)) {
	d := &duo{sandbox: newSandbox(t, cairnTool, "cairn"), t: t}
	d.play(git("init", "-q"))
	d.ok("cairn", "init", "-q", "--hash", hash)
	for i := range 60 {
		d.play(write(fmt.Sprintf("data/%d/%d", i%7, i), strings.Repeat(fmt.Sprint(i), 1+i*17)))
	}
	d.play(write("large", randomText(large)))
	d.ok("cairn", "add", "-q", "data", "large")
	begin(d)
	want := proven(t, "cache", contents(t, d.path(".dvc/cache")))

	until := func(check func(done bool), args ...string) {
		t.Helper()
		for range chaosTries {
			out := d.run("", "cairn", args...)
			check(out.Exit == 0)
			if out.Exit == 0 {
				return
			}
			if !strings.Contains(out.Stderr, "ERROR: ") || strings.Contains(out.Stderr, "panic") {
				t.Fatalf("cairn %s: exit %d without a reason:\n%s", quoteArgs(args), out.Exit, out.Stderr)
			}
			t.Logf("cairn %s: %s", quoteArgs(args), out.Stderr)
		}
		t.Fatalf("cairn %s does not come to an end", quoteArgs(args))
	}
	until(func(done bool) {
		got := proven(t, "remote", stored())
		for key := range want {
			if done && !got[key] {
				t.Errorf("push says it is done, and %s is not there", key)
			}
		}
	}, "push")
	until(func(bool) {}, "push", "--verify-remote")
	until(func(bool) {}, "status", "-c")

	before := tree(t, d.path("data")) + tree(t, d.path("large"))
	for try := range chaosTries {
		if try > 0 && line.Struck() > 0 {
			break
		}
		d.play(rm("data", "large", ".dvc/cache"))
		until(func(done bool) {
			got := proven(t, "cache", contents(t, d.path(".dvc/cache")))
			for key := range want {
				if done && !got[key] {
					t.Errorf("pull says it is done, and the cache lacks %s", key)
				}
			}
		}, "pull")
		if after := tree(t, d.path("data")) + tree(t, d.path("large")); after != before {
			t.Errorf("pulled:\n%s\nwant\n%s", after, before)
		}
	}
	if line.Struck() == 0 {
		t.Error("nothing struck: the test proves nothing")
	}
	proven(t, "remote", stored())
}

// TestInterruptedPushS3: Ctrl-C in the middle of a large object leaves no part of it behind, which would cost money for
// ever; the next push completes.
func TestInterruptedPushS3(t *testing.T) {
	if *update {
		t.Skip("nothing to record")
	}
	t.Parallel()
	server, _ := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
	parts := make(chan bool, 1000)
	line := chaostest.HTTP(t, server.URL, chaostest.Options{Latency: 20 * time.Millisecond, Spare: func(r *http.Request) bool {
		if r.URL.Query().Has("partNumber") {
			parts <- true
		}
		return true
	}})
	through := *server
	through.URL = line.URL
	d := &duo{sandbox: newSandbox(t, cairnTool, "cairn"), t: t}
	d.play(git("init", "-q"))
	d.ok("cairn", "init", "-q", "--hash", "md5")
	d.play(write("large", strings.Repeat(randomText(1<<20), 100)))
	d.ok("cairn", "add", "-q", "large")
	d.bucket("", "cairn", "store", &through)
	cmd := exec.Command(cairnTool.path, "push", "-j", "1")
	cmd.Dir, cmd.Env = d.path("."), d.env
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-parts
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() == 0 {
		t.Log("it was done before it heard of the interruption")
		return
	}
	if code := cmd.ProcessState.ExitCode(); code != 252 {
		t.Errorf("exit %d, want 252\n%s", code, said.String())
	}
	if left, err := server.Uploads(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("uploads left behind: %v, %v", left, err)
	}
	d.ok("cairn", "push")
	d.ok("cairn", "fetch", "--verify-remote")
	if left, err := server.Uploads(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("uploads left behind by a push: %v, %v", left, err)
	}
}

// TestTwoPushAtOnce: two clones push to one bucket at the same time, in part the same data.
func TestTwoPushAtOnce(t *testing.T) {
	if *update {
		t.Skip("nothing to record")
	}
	t.Parallel()
	m := s3server.NewMemory(s3server.MemoryOptions{})
	t.Cleanup(m.Close)
	line := chaostest.HTTP(t, m.URL, chaostest.Options{Seed: rand.Uint64(), Latency: 5 * time.Millisecond, Rate: 0.05,
		Faults: []chaostest.Fault{chaostest.Refuse, chaostest.LoseReply, chaostest.Twice, chaostest.ResetLate}})
	defer func() { t.Log(line) }()
	through := m.Server
	through.URL = line.URL
	var clones []*duo
	want := map[string]bool{}
	for c := range 2 {
		d := &duo{sandbox: newSandbox(t, cairnTool, "cairn"), t: t}
		d.play(git("init", "-q"))
		d.ok("cairn", "init", "-q", "--hash", "md5")
		for i := range 150 {
			d.play(write(fmt.Sprintf("data/%d", i), fmt.Sprint(i*(1+c*(i%2)))))
		}
		d.play(write("large", strings.Repeat("the same in both ", 1<<20)))
		d.ok("cairn", "add", "-q", "data", "large")
		d.bucket("", "cairn", "store", &through)
		for key := range proven(t, "cache", contents(t, d.path(".dvc/cache"))) {
			want[key] = true
		}
		clones = append(clones, d)
	}
	var both sync.WaitGroup
	for _, d := range clones {
		both.Go(func() { d.ok("cairn", "push") })
	}
	both.Wait()
	all := map[string][]byte{}
	for _, k := range m.Keys() {
		all[k], _ = m.Get(k)
	}
	got := proven(t, "remote", all)
	for key := range want {
		if !got[key] {
			t.Errorf("both pushed, and %s is not there", key)
		}
	}
	for _, d := range clones {
		d.ok("cairn", "status", "-c")
		d.play(rm("data", ".dvc/cache"))
		d.ok("cairn", "pull")
		if s := strings.TrimSpace(d.ok("cairn", "status", "--json")); s != "{}" {
			t.Errorf("after pull: %s", s)
		}
	}
}
