package remote

import (
	"cmp"
	"context"
	"io"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// shellCommand is a command line of the user's own ssh_config.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.CommandContext(ctx, "cmd.exe", "/c", line)
	}
	return exec.CommandContext(ctx, "/bin/sh", "-c", line)
}

// proxyConn is a program that carries a connection.
type proxyConn struct {
	in    io.WriteCloser
	out   io.ReadCloser
	cmd   *exec.Cmd
	said  *headBuffer // on its standard error
	heard atomic.Bool // it brought a byte
	ended sync.Once
	gone  chan struct{}
}

// headBuffer keeps the beginning of what is written.
type headBuffer struct {
	mu sync.Mutex
	b  []byte
}

const headMost = 1 << 10

func (h *headBuffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, p[:min(len(p), headMost-len(h.b))]...)
	return len(p), nil
}

func (h *headBuffer) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return oneLine(string(h.b))
}

func startProxy(line string) (net.Conn, error) {
	if runtime.GOOS != "windows" {
		line = "exec " + line // so that the program itself is ended
	}
	cmd := shellCommand(context.Background(), line)
	said := &headBuffer{}
	cmd.Stderr = said
	cmd.WaitDelay = time.Second // for what its children keep open
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
	return &proxyConn{in: in, out: out, cmd: cmd, said: said, gone: make(chan struct{})}, nil
}

func (c *proxyConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.why(err)
}

func (c *proxyConn) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	return n, c.why(err)
}

// why is what a program said that ended before it brought anything.
func (c *proxyConn) why(err error) error {
	if err == nil || c.heard.Load() {
		return err
	}
	c.end(proxyGrace) // it may be about to say it
	<-c.gone
	return errs.New(errs.Unavailable, "ProxyCommand ended: %s", cmp.Or(c.said.String(), "without a word"))
}

// proxyGrace is how long a program that brings nothing may take to end.
const proxyGrace = time.Second

func (c *proxyConn) Close() error { c.end(0); return nil }

// end ends the program, once: by itself if it does so in time.
func (c *proxyConn) end(grace time.Duration) {
	c.ended.Do(func() {
		_ = c.in.Close()
		kill := time.AfterFunc(grace, func() { _ = c.cmd.Process.Kill() })
		_ = c.out.Close()
		go func() {
			defer close(c.gone)
			_ = c.cmd.Wait()
			kill.Stop()
		}()
	})
}

func (c *proxyConn) LocalAddr() net.Addr              { return proxyAddr{} }
func (c *proxyConn) RemoteAddr() net.Addr             { return proxyAddr{} }
func (c *proxyConn) SetDeadline(time.Time) error      { return nil }
func (c *proxyConn) SetReadDeadline(time.Time) error  { return nil }
func (c *proxyConn) SetWriteDeadline(time.Time) error { return nil }

type proxyAddr struct{}

func (proxyAddr) Network() string { return "program" }
func (proxyAddr) String() string  { return "ProxyCommand" }
