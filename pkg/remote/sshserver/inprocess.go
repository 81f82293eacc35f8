package sshserver

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Options of a server in the process. The zero value lets in the holder of
// [Server.KeyFile].
type Options struct {
	Password    string          // lets in by password too, "" not
	Interactive string          // lets in who gives this answer to a question
	Keys        []ssh.PublicKey // let in besides
	Authority   ssh.PublicKey   // certificates of it are let in
	NoKey       bool            // KeyFile is not let in
	HostSigner  ssh.Signer      // shown as the host's key; nil is a new one
	NoSFTP      bool            // refuses the subsystem
	Sessions    int             // most sessions on a connection; 0 is any number
	Forward     bool            // connects to others, as a host on the way does
	KeyTypes    []string        // of clients' signatures; nil is the usual
	Files       *sftp.Handlers  // in place of the files of Dir, for answers that those do not give
}

// InProcess is a server in the process, safe for concurrent use.
type InProcess struct {
	*Server
	o      Options
	config *ssh.ServerConfig
	l      net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	conns   []net.Conn
	logins  int
	cutIn   int64 // bytes from clients until the connection breaks; < 0: never
	stalled bool
	resume  chan struct{}
}

// New starts a server, which stops when the test ends.
func New(t TB, o Options) *InProcess {
	t.Helper()
	s, host, client := newServer(t, "tester")
	if o.HostSigner != nil {
		host = o.HostSigner
		s.HostKey = host.PublicKey()
	}
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.at(t, l.Addr())
	p := &InProcess{Server: s, o: o, l: l, cutIn: -1, resume: make(chan struct{})}
	close(p.resume)
	keys := slices.Clone(o.Keys)
	if !o.NoKey {
		keys = append(keys, client)
	}
	checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool {
		return o.Authority != nil && string(k.Marshal()) == string(o.Authority.Marshal())
	}, UserKeyFallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, k := range keys {
			if string(k.Marshal()) == string(key.Marshal()) {
				return nil, nil
			}
		}
		return nil, errors.New("unknown key")
	}}
	p.config = &ssh.ServerConfig{PublicKeyAuthAlgorithms: o.KeyTypes, PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		p.mu.Lock()
		p.logins++
		p.mu.Unlock()
		if c.User() != s.User {
			return nil, errors.New("unknown user")
		}
		return checker.Authenticate(c, key)
	}}
	if o.Password != "" {
		p.config.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			p.mu.Lock()
			p.logins++
			p.mu.Unlock()
			if c.User() != s.User || string(password) != o.Password {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		}
	}
	if o.Interactive != "" {
		p.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 || answers[0] != o.Interactive {
				return nil, errors.New("wrong answer")
			}
			return nil, nil
		}
	}
	p.config.AddHostKey(host)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *InProcess) close() {
	p.l.Close()
	p.Resume()
	p.Break()
	p.wg.Wait()
}

// Break ends all connections.
func (p *InProcess) Break() {
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// BreakAfter ends a connection once n more bytes came from clients.
func (p *InProcess) BreakAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutIn = n
}

// Stall has the server take in nothing more, until Resume.
func (p *InProcess) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stalled {
		p.stalled, p.resume = true, make(chan struct{})
	}
}

// Resume ends Stall.
func (p *InProcess) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled {
		p.stalled = false
		close(p.resume)
	}
}

// Connections is how many there are.
func (p *InProcess) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Attempts is how many keys and passwords were looked at so far.
func (p *InProcess) Attempts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

func (p *InProcess) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		f := &faultyConn{Conn: c, p: p, closed: make(chan struct{})}
		p.mu.Lock()
		p.conns = append(p.conns, f)
		p.mu.Unlock()
		p.wg.Go(func() {
			p.serve(f)
			p.mu.Lock()
			p.conns = slices.DeleteFunc(p.conns, func(c net.Conn) bool { return c == net.Conn(f) })
			p.mu.Unlock()
		})
	}
}

func (p *InProcess) serve(c net.Conn) {
	defer c.Close()
	_, chans, reqs, err := ssh.NewServerConn(c, p.config)
	if err != nil {
		return
	}
	go func() {
		for r := range reqs {
			if r.WantReply {
				_ = r.Reply(r.Type == "keepalive@openssh.com", nil)
			}
		}
	}()
	sessions := 0
	for ch := range chans {
		switch {
		case ch.ChannelType() == "direct-tcpip" && p.o.Forward:
			p.wg.Go(func() { forward(ch) })
			continue
		case ch.ChannelType() != "session":
			_ = ch.Reject(ssh.Prohibited, "not here")
			continue
		}
		if sessions++; p.o.Sessions > 0 && sessions > p.o.Sessions {
			_ = ch.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		p.wg.Go(func() { p.session(ch) })
	}
}

func (p *InProcess) session(nc ssh.NewChannel) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range reqs {
		ok := r.Type == "subsystem" && string(r.Payload) == string(ssh.Marshal(struct{ Name string }{"sftp"})) && !p.o.NoSFTP
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if ok {
			break
		}
	}
	go ssh.DiscardRequests(reqs)
	if p.o.Files != nil {
		server := sftp.NewRequestServer(ch, *p.o.Files)
		_ = server.Serve()
		_ = server.Close()
		return
	}
	server, err := sftp.NewServer(ch, sftp.WithServerWorkingDirectory(p.Dir))
	if err != nil {
		return
	}
	_ = server.Serve()
	_ = server.Close()
}

// forward carries a connection to another host.
func forward(nc ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "bad address")
		return
	}
	c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(to.Host), Port: int(to.Port)})
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer c.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	go func() {
		_, _ = io.Copy(c, ch)
		_ = c.CloseWrite()
	}()
	_, _ = io.Copy(ch, c)
}

// faultyConn breaks or stands still when its server is told to.
type faultyConn struct {
	net.Conn
	p      *InProcess
	once   sync.Once
	closed chan struct{}
}

func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.mu.Lock()
	resume := c.p.resume
	broke := false
	if c.p.cutIn >= 0 {
		if c.p.cutIn -= int64(n); c.p.cutIn < 0 {
			c.p.cutIn, broke = -1, true
		}
	}
	c.p.mu.Unlock()
	if broke {
		c.Close()
		return 0, net.ErrClosed
	}
	select {
	case <-resume:
	case <-c.closed:
		return 0, net.ErrClosed
	}
	return n, err
}
