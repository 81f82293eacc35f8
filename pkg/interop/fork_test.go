//go:build unix

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forkServer is a process of the real DVC that has started already, and runs one command after the other in children of
// its own. Two thirds of the time of a short command are its start.
type forkServer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startForkServer(flags ...string) (*forkServer, error) {
	script, err := filepath.Abs(filepath.Join("testdata", "forkdvc.py"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(dvcTool.path), "python"), append([]string{script}, flags...)...)
	// What Python looks at when it starts; all else is set for each command.
	cmd.Env = append(os.Environ(), "PYTHONHASHSEED=0", "LC_ALL=C.UTF-8", "TZ=UTC", "DVC_NO_ANALYTICS=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that it ends with what it runs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &forkServer{cmd, in, bufio.NewReader(out)}, nil
}

// newForkServer is one for a test alone.
func newForkServer(t testing.TB, flags ...string) *forkServer {
	f, err := startForkServer(flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

func (f *forkServer) close() {
	f.in.Close()
	_ = f.cmd.Wait()
}

// run runs DVC as [sandbox.exec] would.
func (f *forkServer) run(s *sandbox, dir, stdin string, env, args []string) (output, error) {
	scratch, err := os.MkdirTemp("", "forkdvc-")
	if err != nil {
		return output{}, err
	}
	defer os.RemoveAll(scratch)
	inFile, outFile, errFile := "", filepath.Join(scratch, "out"), filepath.Join(scratch, "err")
	if stdin != "" {
		inFile = filepath.Join(scratch, "in")
		if err := os.WriteFile(inFile, []byte(stdin), 0o600); err != nil {
			return output{}, err
		}
	}
	vars := map[string]string{}
	for _, e := range append(append(s.env[:len(s.env):len(s.env)], "PWD="+s.path(dir)), env...) {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	call, err := json.Marshal(map[string]any{"program": filepath.Join(s.root, ".bin", "dvc"), "args": args,
		"cwd": s.path(dir), "env": vars, "in": inFile, "out": outFile, "err": errFile})
	if err != nil {
		return output{}, err
	}
	if _, err := f.in.Write(append(call, '\n')); err != nil {
		return output{}, fmt.Errorf("DVC's server: %w", err)
	}
	late := time.AfterFunc(stepLimit, func() { _ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL) })
	line, err := f.out.ReadString('\n')
	late.Stop()
	if err != nil {
		return output{}, fmt.Errorf("DVC's server: %w", err)
	}
	code, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return output{}, fmt.Errorf("DVC's server: %w", err)
	}
	stdout, err := os.ReadFile(outFile)
	if err != nil {
		return output{}, err
	}
	stderr, err := os.ReadFile(errFile)
	return output{Exit: code, Stdout: string(stdout), Stderr: string(stderr)}, err
}

// forkPool lends servers: as many are started as commands of DVC run at once.
type forkPool struct {
	mu   sync.Mutex
	idle []*forkServer
}

var dvcServers forkPool

func (p *forkPool) run(s *sandbox, dir, stdin string, env, args []string) (output, error) {
	p.mu.Lock()
	var f *forkServer
	if n := len(p.idle); n > 0 {
		f, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	p.mu.Unlock()
	if f == nil {
		var err error
		if f, err = startForkServer(); err != nil {
			return output{}, err
		}
	}
	out, err := f.run(s, dir, stdin, env, args)
	if err != nil {
		f.close()
		return out, err
	}
	p.mu.Lock()
	p.idle = append(p.idle, f)
	p.mu.Unlock()
	return out, nil
}

func (p *forkPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.idle {
		f.close()
	}
	p.idle = nil
}
