//go:build unix

package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote/chaostest"
	"github.com/cairndata/cairn/pkg/remote/s3server"
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
					chaosStory(t, hash, &through, stored)
					if bad.Struck() == 0 {
						t.Error("nothing struck: the test proves nothing")
					}
				})
			}
		}
	}
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

func chaosStory(t *testing.T, hash string, server *s3server.Server, stored func() map[string][]byte) {
	d := &duo{sandbox: newSandbox(t, cairnTool, "cairn"), t: t}
	d.play(git("init", "-q"))
	d.ok("cairn", "init", "-q", "--hash", hash)
	for i := range 60 {
		d.play(write(fmt.Sprintf("data/%d/%d", i%7, i), strings.Repeat(fmt.Sprint(i), 1+i*17)))
	}
	d.play(write("large", randomText(20<<20)))
	d.ok("cairn", "add", "-q", "data", "large")
	d.bucket("", "cairn", "store", server)
	d.ok("cairn", "remote", "modify", "store", "read_timeout", "3")
	d.ok("cairn", "remote", "modify", "store", "connect_timeout", "3")
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
