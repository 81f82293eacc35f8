package webserver

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 30 * time.Second // for the program to answer
	startTries = 3                // a port may be taken between asking for it and using it

	// apacheModules is where Debian has them.
	apacheModules = "/usr/lib/apache2/modules"
)

// Apache is a separate server. The same files are below each path of its URL:
// /open/ for everybody, /basic/ and /digest/ with a login.
type Apache struct {
	URL            string // with scheme, of the loopback interface
	Dir            string // where the files lie, by key
	User, Password string
}

// StartApache runs the Apache program at binary, with WebDAV over an empty
// folder, until the test ends. Without binary the test is skipped: callers
// hand in what CAIRN_APACHE says.
func StartApache(t testing.TB, binary string) *Apache {
	t.Helper()
	if binary == "" {
		t.Skip("needs Apache: set CAIRN_APACHE to the path of apache2")
	}
	// Not t.TempDir: another user than root has to get there.
	root, err := os.MkdirTemp("", "apache-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for _, dir := range []string{"data", "lock", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(filepath.Join(root, dir), 0o777)
	}
	_ = os.Chmod(root, 0o755)
	a := &Apache{Dir: filepath.Join(root, "data"), User: "user", Password: "pass word/" + rand.Text()[:8]}
	for range startTries {
		if err = a.start(t, binary, root); err == nil {
			return a
		}
	}
	t.Fatalf("start %s: %v", binary, err)
	return nil
}

func (a *Apache) start(t testing.TB, binary, root string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	a.URL = "http://" + addr
	conf := filepath.Join(root, "apache.conf")
	sum := sha1.Sum([]byte(a.Password))
	for name, text := range map[string]string{
		conf:                             a.config(root, addr),
		filepath.Join(root, "htpasswd"):  fmt.Sprintf("%s:{SHA}%s\n", a.User, base64.StdEncoding.EncodeToString(sum[:])),
		filepath.Join(root, "htdigest"):  fmt.Sprintf("%s:files:%x\n", a.User, md5.Sum([]byte(a.User+":files:"+a.Password))),
		filepath.Join(root, "error.log"): "",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.Command(binary, "-f", conf, "-D", "FOREGROUND")
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(startLimit):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	deadline := time.After(startLimit)
	for {
		resp, err := http.Get(a.URL + "/open/")
		if err == nil {
			resp.Body.Close()
			t.Cleanup(stop)
			return nil
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(root, "error.log"))
			return fmt.Errorf("it ended at once: %w\n%s%s", err, said.String(), log)
		case <-deadline:
			stop()
			return fmt.Errorf("no answer in %s: %w\n%s", startLimit, err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *Apache) config(root, addr string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("ServerRoot %q", root)
	line("ServerName localhost")
	line("Listen %s", addr)
	line("PidFile %q", filepath.Join(root, "run", "pid"))
	line("DefaultRuntimeDir %q", filepath.Join(root, "run"))
	line("ErrorLog %q", filepath.Join(root, "error.log"))
	for _, m := range []string{"mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest", "alias", "dav", "dav_fs", "mime"} {
		line("LoadModule %s_module %s/mod_%s.so", m, apacheModules, m)
	}
	if os.Getuid() == 0 {
		name := "www-data"
		if _, err := user.Lookup(name); err != nil {
			name = "nobody"
		}
		line("User %s", name)
		line("Group %s", groupOf(name))
	}
	line("StartServers 1")
	line("ServerLimit 1")
	line("ThreadsPerChild 32")
	line("MaxRequestWorkers 32")
	line("KeepAlive On")
	line("MaxKeepAliveRequests 0")
	line("AddEncoding x-gzip .gz") // as usual, so that it must not matter
	line("TypesConfig /dev/null")
	line("DavLockDB %q", filepath.Join(root, "lock", "db"))
	line("<Directory />\n Require all denied\n</Directory>")
	line("<Directory %q>\n Require all granted\n</Directory>", a.Dir)
	for _, way := range []string{"open", "basic", "digest"} {
		line("Alias /%s %q", way, a.Dir)
		line("<Location /%s>\n Dav On", way)
		if way != "open" {
			line(" AuthType %s\n AuthName files\n AuthUserFile %q\n Require valid-user", way, filepath.Join(root, map[string]string{"basic": "htpasswd", "digest": "htdigest"}[way]))
			if way == "digest" {
				line(" AuthDigestProvider file\n AuthDigestNonceLifetime 5")
			}
		}
		line("</Location>")
	}
	return b.String()
}

func groupOf(name string) string {
	if u, err := user.Lookup(name); err == nil {
		return "#" + u.Gid
	}
	return name
}

// lockedBuffer keeps what the program says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
