//go:build unix

package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// pointers runs a command by both tools from the same state and returns what each has written to a pointer file.
func (d *duo) pointers(file string, clean []string, args ...string) map[string]string {
	d.t.Helper()
	got := map[string]string{}
	for _, who := range []string{"dvc", "cairn"} {
		d.play(rm(clean...))
		d.ok(who, args...)
		b, err := os.ReadFile(d.path(file))
		if err != nil {
			d.t.Fatal(err)
		}
		got[who] = string(b)
	}
	if got["dvc"] != got["cairn"] {
		d.t.Errorf("%s: DVC wrote\n%s\ncairn\n%s", quoteArgs(args), got["dvc"], got["cairn"])
	}
	return got
}

// TestImportURLS3: what is recorded of data in a bucket is the same by both tools, and each updates what the other imported.
func TestImportURLS3(t *testing.T) {
	d := newDuo(t, "dvc")
	server, _ := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
	d.bucket("", "dvc", "lake", server)
	ctx := context.Background()
	b, err := remote.OpenBackend(ctx, remote.Config{Name: "lake", URL: "s3://" + server.Bucket + "/lake", Options: server.Options()}, remote.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	put := func(key, text string) {
		t.Helper()
		if err := b.Put(ctx, key, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("in/f", "one")
	put("in/d/a", "a")
	put("in/d/s/b", "b")
	for _, c := range [][]string{
		{"f.dvc", "import-url", "-q", "remote://lake/in/f"},
		{"d.dvc", "import-url", "-q", "remote://lake/in/d"},
		{"nf.dvc", "import-url", "-q", "remote://lake/in/f", "nf", "--no-download"},
		{"nd.dvc", "import-url", "-q", "remote://lake/in/d", "nd", "--no-download"},
		{"ne.dvc", "import-url", "-q", "remote://lake/in/d", "ne", "--no-exec"},
		{"tr.dvc", "import-url", "-q", "remote://lake/in/d", "tr", "--to-remote"},
	} {
		name := strings.TrimSuffix(c[0], ".dvc")
		d.pointers(c[0], []string{name, name + ".dvc"}, c[1:]...)
	}
	// Both take it for what it is, and then for old.
	for i, who := range []string{"dvc", "cairn"} {
		if out := d.ok(who, "update", "f.dvc", "d.dvc"); strings.Contains(out, "Importing") {
			t.Errorf("%s updates what is up to date: %s", who, out)
		}
		put("in/f", fmt.Sprintf("two %d", i))
		put("in/d/new", fmt.Sprint(i))
		if out := d.ok(who, "update", "f.dvc", "d.dvc"); strings.Count(out, "Importing") != 2 {
			t.Errorf("%s does not update: %s", who, out)
		}
		if got, err := os.ReadFile(d.path("d/new")); err != nil || string(got) != fmt.Sprint(i) {
			t.Errorf("%s updated d/new to %q, %v", who, got, err)
		}
	}
	// What was only recorded comes by either.
	d.ok("cairn", "update", "-q", "nd.dvc", "--no-download")
	d.ok("cairn", "pull", "-q", "nd.dvc")
	if want, got := tree(t, d.path("d")), tree(t, d.path("nd")); want != got {
		t.Errorf("pulled:\n%s\nwant\n%s", got, want)
	}
}

// TestImportURLHTTP: the same of a web server that knows ETags.
func TestImportURLHTTP(t *testing.T) {
	var mu sync.Mutex
	content := map[string]string{"/f": "one", "/s/g": "g"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		text, ok := content[r.URL.Path]
		mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", "tag-"+text))
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if r.Method != http.MethodHead {
			fmt.Fprint(w, text)
		}
	}))
	defer server.Close()
	d := newDuo(t, "dvc")
	d.ok("dvc", "remote", "add", "-q", "web", server.URL+"/s")
	d.pointers("f.dvc", []string{"f", "f.dvc"}, "import-url", "-q", server.URL+"/f")
	d.pointers("n.dvc", []string{"n", "n.dvc"}, "import-url", "-q", server.URL+"/f", "n", "--no-download")
	d.pointers("g.dvc", []string{"g", "g.dvc"}, "import-url", "-q", "remote://web/g")
	d.play(write("dvc.yaml", "stages:\n  a:\n    cmd: echo 1 > o\n    deps: ["+server.URL+"/f, remote://web/g]\n    outs: [o]\n"))
	d.pointers("dvc.lock", []string{"dvc.lock", "o"}, "repro", "-q", "a")
	for _, who := range []string{"dvc", "cairn"} {
		if out := d.ok(who, "repro", "a"); !strings.Contains(out, "didn't change, skipping") {
			t.Errorf("%s runs a stage again: %s", who, out)
		}
	}
	mu.Lock()
	content["/f"] = "two"
	mu.Unlock()
	var said []string
	for _, who := range []string{"dvc", "cairn"} {
		said = append(said, d.ok(who, "status", "a", "--json"))
	}
	if said[0] != said[1] || !strings.Contains(said[0], "modified") {
		t.Errorf("status: %q", said)
	}
	d.pointers("f.dvc", nil, "update", "-q", "f.dvc")
}
