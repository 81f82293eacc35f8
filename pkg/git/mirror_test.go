package git

import (
	"context"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
)

// webServer serves the repositories below a folder as Git's own CGI program
// does, to who knows the password if there is one, and counts requests.
type webServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
}

func serveGit(t *testing.T, root, user, password string) *webServer {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Fatalf("Git's own server is needed: %v", err)
	}
	backend := &cgi.Handler{Path: program, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	s := &webServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		if u, p, _ := r.BasicAuth(); password != "" && (u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *webServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.requests
	s.requests = 0
	return n
}

// runGit runs git in a folder for a test.
func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir(), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// farRepo makes a repository of three commits, the first tagged.
func farRepo(t *testing.T) (root string, shas []string) {
	t.Helper()
	root = t.TempDir()
	work := filepath.Join(t.TempDir(), "work")
	runGit(t, filepath.Dir(work), "init", "-q", "-b", "main", work)
	for _, text := range []string{"one", "two", "three"} {
		for _, name := range []string{"a", "b", "c"} {
			if err := os.WriteFile(filepath.Join(work, name), []byte(name+" "+text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		runGit(t, work, "add", "-A")
		runGit(t, work, "commit", "-qm", text)
		shas = append(shas, runGit(t, work, "rev-parse", "HEAD"))
		if text == "one" {
			runGit(t, work, "tag", "-am", "first", "v1")
			runGit(t, work, "branch", "old")
		}
	}
	runGit(t, root, "clone", "-q", "--bare", work, "repo.git")
	runGit(t, filepath.Join(root, "repo.git"), "config", "uploadpack.allowFilter", "true")
	return root, shas
}

func mirrorEnviron(t *testing.T) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
}

func TestMirror(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	root, shas := farRepo(t)
	s := serveGit(t, root, "", "")
	dir := filepath.Join(t.TempDir(), "mirror")
	m, err := OpenMirror(s.URL+"/repo.git", dir, Options{Env: mirrorEnviron(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct{ rev, want string }{{"", shas[2]}, {"main", shas[2]}, {"v1", shas[0]}, {"old", shas[0]}, {shas[1], shas[1]}} {
		got, err := m.Fetch(ctx, c.rev)
		if err != nil || got != c.want {
			t.Fatalf("Fetch(%q) = %q, %v; want %q", c.rev, got, err, c.want)
		}
	}
	// No history came: every commit that was asked for is a root here.
	if n := strings.Count(runGit(t, dir, "--git-dir="+dir, "rev-list", "--count", shas[2]), "1"); n != 1 {
		t.Errorf("history was fetched")
	}
	// A SHA that is there costs nothing, a branch one question.
	s.count()
	if _, err := m.Fetch(ctx, shas[1]); err != nil || s.count() != 0 {
		t.Errorf("a commit that was there was asked for: %v", err)
	}
	if sha, _, err := m.Tip(ctx, "main"); err != nil || sha != shas[2] {
		t.Errorf("Tip = %q, %v", sha, err)
	}
	// Files come when they are read, many in one request.
	tree, err := m.Tree(shas[2])
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Files(".")
	if err != nil || len(files) != 3 {
		t.Fatalf("Files: %v, %v", files, err)
	}
	blobs := []string{files[0].Blob, files[1].Blob, files[2].Blob}
	if left := m.absent(ctx, blobs); len(left) != 3 {
		t.Logf("git or the server cannot leave files out: %d of 3 were left", len(left))
	}
	if err := m.Prefetch(ctx, blobs); err != nil {
		t.Fatal(err)
	}
	s.count()
	for _, f := range files {
		if b, err := tree.ReadFile(f.Path); err != nil || string(b) != f.Path+" three" {
			t.Errorf("%s = %q, %v", f.Path, b, err)
		}
	}
	if n := s.count(); n != 0 {
		t.Errorf("%d requests for files that were prefetched", n)
	}
	// What only history tells is fetched, too.
	if got, err := m.Fetch(ctx, "main~1"); err != nil || got != shas[1] {
		t.Errorf("main~1 = %q, %v", got, err)
	}
	if got, err := m.Fetch(ctx, shas[0][:9]); err != nil || got != shas[0] {
		t.Errorf("abbreviated = %q, %v", got, err)
	}
	if got, err := m.Fetch(ctx, "HEAD~2"); err != nil || got != shas[0] {
		t.Errorf("HEAD~2 = %q, %v", got, err)
	}
	for _, rev := range []string{"nope", "-x", "--upload-pack=touch x", "v1\nx"} {
		if _, err := m.Fetch(ctx, rev); !errs.Is(err, errs.NotFound) {
			t.Errorf("Fetch(%q): %v", rev, err)
		}
	}
	tags, err := m.FetchTags(ctx, func(string) bool { return true })
	if err != nil || len(tags) != 1 || tags[0].Name != "v1" || tags[0].SHA != shas[0] || tags[0].Time == 0 {
		t.Errorf("FetchTags: %+v, %v", tags, err)
	}
}

func TestMirrorSecrets(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	root, shas := farRepo(t)
	s := serveGit(t, root, "ada", "s3cr%t/x")
	dir := filepath.Join(t.TempDir(), "mirror")
	address := strings.Replace(s.URL, "://", "://ada:s3cr%25t%2Fx@", 1) + "/repo.git"
	m, err := OpenMirror(address, dir, Options{Env: mirrorEnviron(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, err := m.Fetch(ctx, "main"); err != nil || got != shas[2] {
		t.Fatalf("Fetch with a password: %q, %v", got, err)
	}
	// It is nowhere on the disk.
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(b), "s3cr") {
			t.Errorf("%s holds the password", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := OpenMirror(strings.Replace(s.URL, "://", "://ada:wrong-pass@", 1)+"/repo.git", filepath.Join(t.TempDir(), "m"), Options{Env: mirrorEnviron(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	_, err = wrong.Fetch(ctx, "main")
	if !errs.Is(err, errs.Denied) || strings.Contains(err.Error(), "wrong-pass") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err = wrong.RemoteTags(ctx); err == nil || strings.Contains(err.Error(), "wrong-pass") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://example.com/r.git", "ssh://git@example.com/r", "git@example.com:org/r.git", "git://example.com/r", "file:///srv/r.git"} {
		if _, err := ParseAddress(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "-x", "--upload-pack=touch", "ext::sh -c touch", "fd::17", "transport::address", "ssh://-oProxyCommand=x/r", "ssh://git@-oProxyCommand=x/r",
		"-oProxyCommand=x:r", "git@-oProxyCommand=x:r", "ftp://example.com/r", "s3://bucket/r", "https:///r", "https://example.com/\nr", "file://host/r",
	} {
		if _, err := ParseAddress(bad); err == nil {
			t.Errorf("%q was let through", bad)
		}
	}
	for in, want := range map[string]string{
		"https://ada:secret@example.com/r":                    "https://ada:***@example.com/r",
		"https://ghp_0123456789012345678901234567@github.com": "https://***@github.com",
		"ssh://git@example.com/r":                             "ssh://git@example.com/r",
		"https://example.com/r@v1":                            "https://example.com/r@v1",
		"git@example.com:r":                                   "git@example.com:r",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
