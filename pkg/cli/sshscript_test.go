package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cairndata/cairn/pkg/remote/sshserver"
)

// sshServers are the servers in this process, by the script that started them.
var sshServers sync.Map // *testscript.TestScript → *sshserver.InProcess

// scriptTB is a script for what wants a test.
type scriptTB struct{ ts *testscript.TestScript }

func (s scriptTB) Helper()           {}
func (s scriptTB) Fatal(args ...any) { s.ts.Fatalf("%s", fmt.Sprint(args...)) }
func (s scriptTB) Cleanup(f func())  { s.ts.Defer(f) }

func (s scriptTB) TempDir() string {
	dir, err := os.MkdirTemp(s.ts.Getenv("WORK"), ".ssh-")
	s.ts.Check(err)
	return dir
}

// scriptSSH runs an SSH server in the test's process: see the README.
func scriptSSH(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ssh start|break|files ...")
	}
	if args[0] == "start" {
		var o sshserver.Options
		for _, a := range args[1:] {
			var ok bool
			if o.Password, ok = strings.CutPrefix(a, "-password="); !ok {
				ts.Fatalf("usage: ssh start [-password=P]")
			}
		}
		s := sshserver.New(scriptTB{ts}, o)
		sshServers.Store(ts, s)
		ts.Defer(func() { sshServers.Delete(ts) })
		for key, value := range map[string]string{"SSH_HOST": s.Host, "SSH_PORT": s.Port, "SSH_USER": s.User, "SSH_KEY": s.KeyFile,
			"SSH_DIR": filepath.ToSlash(s.Dir), "SSH_KNOWN": filepath.Join(s.Home, ".ssh", "known_hosts")} {
			ts.Setenv(key, value)
		}
		return
	}
	v, ok := sshServers.Load(ts)
	if !ok {
		ts.Fatalf("there is no server: ssh start")
	}
	s := v.(*sshserver.InProcess)
	switch args[0] {
	case "break":
		if len(args) == 1 {
			s.Break()
			return
		}
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		s.BreakAfter(int64(n))
	case "files":
		ts.Check(filepath.WalkDir(s.Dir, func(p string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				rel, _ := filepath.Rel(s.Dir, p)
				fmt.Fprintln(ts.Stdout(), filepath.ToSlash(rel))
			}
			return err
		}))
	default:
		ts.Fatalf("ssh %s: unknown", args[0])
	}
}
