package cli

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// webServers are the servers in this process, by the script that started them.
var webServers sync.Map // *testscript.TestScript → *webserver.Server

// scriptOwner lets a server live as long as a script.
type scriptOwner struct{ ts *testscript.TestScript }

func (o scriptOwner) TempDir() string {
	dir, err := os.MkdirTemp(o.ts.Getenv("WORK"), ".web-")
	o.ts.Check(err)
	return dir
}

func (o scriptOwner) Cleanup(f func())  { o.ts.Defer(f) }
func (o scriptOwner) Fatal(args ...any) { o.ts.Fatalf("%s", fmt.Sprint(args...)) }

// scriptWeb runs a web server in the test's process: see the README.
func scriptWeb(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) == 0:
	case args[0] == "start":
		webStart(ts, args[1:])
		return
	case args[0] == "requests":
		s, ok := webServers.Load(ts)
		if !ok {
			ts.Fatalf("there is no server: web start")
		}
		for _, r := range s.(*webserver.Server).Requests() {
			fmt.Fprintln(ts.Stdout(), r.Status, r)
		}
		return
	}
	ts.Fatalf("usage: web start|requests ...")
}

func webStart(ts *testscript.TestScript, args []string) {
	var o webserver.Options
	start := webserver.NewFiles
	for _, a := range args {
		switch login, isLogin := strings.CutPrefix(a, "-login="); {
		case isLogin:
			o.Login = webserver.Login(login)
		case a == "-tls":
			o.TLS = true
		case a == "-dav":
			start = webserver.NewDAV
		default:
			ts.Fatalf("usage: web start [-dav] [-tls] [-login=LOGIN]")
		}
	}
	s := start(scriptOwner{ts}, o)
	webServers.Store(ts, s)
	ts.Defer(func() { webServers.Delete(ts) })
	for key, value := range map[string]string{"WEB_URL": s.URL, "WEB_DAV": "webdav" + strings.TrimPrefix(s.URL, "http"), "WEB_DIR": s.Dir,
		"WEB_USER": s.User, "WEB_PASSWORD": s.Password, "WEB_HEADER": s.Header, "WEB_CA": s.Certificate} {
		ts.Setenv(key, value)
	}
}
