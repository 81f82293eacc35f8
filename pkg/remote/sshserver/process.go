package sshserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	startLimit = 30 * time.Second
	startTries = 3 // a port may be taken between asking for it and using it
)

// Start runs the sshd program at binary until the test ends, for the user who
// runs the test. Without binary the test is skipped: callers hand in what
// CAIRN_SSHD says.
func Start(t testing.TB, binary string) *Server {
	t.Helper()
	if binary == "" {
		t.Skip("needs a separate SSH server: set CAIRN_SSHD to the path of sshd")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		// Debian's sshd wants its empty folder, which its service makes.
		_ = os.Mkdir("/run/sshd", 0o755)
	}
	s, _, client := newServer(t, me.Username)
	dir := filepath.Dir(s.KeyFile)
	write(t, filepath.Join(dir, "authorized_keys"), string(ssh.MarshalAuthorizedKey(client)))
	for range startTries {
		if err = s.start(t, binary, dir); err == nil {
			return s
		}
	}
	t.Fatalf("start %s: %v", binary, err)
	return nil
}

func (s *Server) start(t testing.TB, binary, dir string) error {
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, "0"))
	if err != nil {
		return err
	}
	addr := l.Addr()
	l.Close()
	s.at(t, addr)
	config := filepath.Join(dir, "sshd_config")
	write(t, config, fmt.Sprintf(`Port %s
ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel ERROR
Subsystem sftp internal-sftp
`, s.Port, s.Host, filepath.Join(dir, "host"), filepath.Join(dir, "authorized_keys")))

	cmd := exec.Command(binary, "-D", "-e", "-f", config)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	stop := func() { _ = cmd.Process.Kill(); <-ended }
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	for {
		if err = greets(ctx, addr.String()); err == nil {
			t.Cleanup(stop)
			return nil
		}
		said, _ := os.ReadFile(log.Name())
		select {
		case <-ended:
			return fmt.Errorf("it ended at once: %s", said)
		case <-ctx.Done():
			stop()
			return fmt.Errorf("no answer in %s: %w\n%s", startLimit, err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greets reports whether an SSH server answers.
func greets(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-2.0-") {
		err = fmt.Errorf("it says %q", line)
	}
	return err
}
