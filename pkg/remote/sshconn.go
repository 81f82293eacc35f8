package remote

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cairndata/cairn/pkg/errs"
)

const (
	// sshTimeout bounds connecting, without what the user takes to type.
	sshTimeout = 30 * time.Second
	// sshAlive is after how long a silence a connection is asked whether it
	// still is one, sshAliveTries how often that time it may take to answer.
	sshAlive      = 15 * time.Second
	sshAliveTries = 3

	// A server encrypts with one core a connection and works on files with
	// one a session. New ones are opened while those at hand are busy.
	sshConns       = 4 // sshd drops some of those that have not logged in beyond 10
	sshPerConn     = 2 // sshd's MaxSessions is 10
	sshSessionBusy = 4 // operations of one session that make another one pay
)

// sshConn is one connection.
type sshConn struct {
	client *ssh.Client
	heard  atomic.Int64 // when the server last said something, in nanoseconds
	ended  chan struct{}
	onEnd  func() // of what carries it
}

func newSSHConn(client *ssh.Client, interval time.Duration, tries int, onEnd func()) *sshConn {
	c := &sshConn{client: client, ended: make(chan struct{}), onEnd: onEnd}
	c.alive()
	go func() {
		_ = client.Wait()
		close(c.ended)
		if onEnd != nil {
			onEnd()
		}
	}()
	if interval > 0 {
		go c.watch(interval, interval*time.Duration(tries))
	}
	return c
}

func (c *sshConn) alive() { c.heard.Store(time.Now().UnixNano()) }

// watch ends a connection that does not answer.
func (c *sshConn) watch(interval, limit time.Duration) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-t.C:
		}
		if time.Since(time.Unix(0, c.heard.Load())) < interval {
			continue
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil)
		}()
		patience := time.NewTimer(limit)
		select {
		case <-c.ended:
		case <-answered:
			c.alive()
		case <-patience.C:
			c.kill(errStall)
		}
		patience.Stop()
	}
}

// kill ends a connection at once; its sessions fail.
func (c *sshConn) kill(error) { _ = c.client.Close() }

func (c *sshConn) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// openSession starts an SFTP session.
func (c *sshConn) openSession() (*sftpSession, error) {
	ch, reqs, err := c.client.OpenChannel("session", nil)
	if err != nil {
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			return nil, errs.New(errs.Config, "the server opens no session: %s", oneLine(refused.Message))
		}
		return nil, &errs.Error{Kind: errs.Unavailable, Msg: "the connection broke", Err: plainNet(err)}
	}
	go ssh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err != nil {
		return nil, &errs.Error{Kind: errs.Unavailable, Msg: "the connection broke", Err: plainNet(err)}
	}
	if !ok {
		_ = ch.Close()
		return nil, errs.WithHint(errs.New(errs.Config, "the server offers no SFTP"), "Its sshd_config needs a line: Subsystem sftp internal-sftp")
	}
	s, err := newSFTP(c, ch)
	if err != nil {
		_ = ch.Close()
		if errs.KindOf(err) == errs.Other {
			err = &errs.Error{Kind: errs.Unavailable, Msg: "the connection broke", Err: plainNet(err)}
		}
		return nil, err
	}
	return s, nil
}

// sshPool holds connections and their sessions.
type sshPool struct {
	dial      func(ctx context.Context) (*sshConn, error)
	mostConns int
	perConn   int

	ctx    context.Context // ends with the pool
	cancel context.CancelFunc

	mu       sync.Mutex
	conns    []*sshConn
	sessions []*sftpSession
	growing  bool
	enough   bool          // the server gave no more
	changed  chan struct{} // closed at every end of growing
	fails    int           // failed attempts
	lastErr  error         // of the last
	final    error         // of an attempt that need not be repeated
	grown    sync.WaitGroup
}

func newSSHPool(conns, perConn int, dial func(context.Context) (*sshConn, error)) *sshPool {
	p := &sshPool{dial: dial, mostConns: conns, perConn: perConn, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// acquire returns the session with the least to do. The caller releases it.
func (p *sshPool) acquire(ctx context.Context) (*sftpSession, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fails := p.fails
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.drop()
		var best *sftpSession
		for _, s := range p.sessions {
			if best == nil || s.load < best.load {
				best = s
			}
		}
		switch {
		case best == nil && p.final != nil:
			return nil, p.final
		case best == nil && p.fails != fails:
			return nil, p.lastErr
		case best == nil:
			p.enough = false
		}
		if (best == nil || best.load >= sshSessionBusy) && !p.growing && !p.enough && len(p.sessions) < p.mostConns*p.perConn {
			p.growing = true
			p.grown.Go(p.grow)
		}
		if best != nil {
			best.load++
			return best, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
	}
}

func (p *sshPool) release(s *sftpSession) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.load--
}

// drop forgets what broke.
func (p *sshPool) drop() {
	p.sessions = slices.DeleteFunc(p.sessions, (*sftpSession).broken)
	p.conns = slices.DeleteFunc(p.conns, (*sshConn).over)
}

// grow opens a session, on a connection of its own as long as there may be
// more of them.
func (p *sshPool) grow() {
	p.mu.Lock()
	p.drop()
	var conn *sshConn
	if len(p.conns) >= p.mostConns {
		least := p.perConn
		for _, c := range p.conns {
			n := 0
			for _, s := range p.sessions {
				if s.conn == c {
					n++
				}
			}
			if n < least {
				conn, least = c, n
			}
		}
	}
	p.mu.Unlock()
	fresh := conn == nil
	var err error
	var s *sftpSession
	if fresh {
		conn, err = p.dial(p.ctx)
	}
	if err == nil {
		stop := context.AfterFunc(p.ctx, func() { conn.kill(nil) })
		s, err = conn.openSession()
		stop()
	}
	if err != nil && fresh && conn != nil {
		conn.kill(nil)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.growing = false
	close(p.changed)
	p.changed = make(chan struct{})
	if err != nil {
		p.fails++
		p.lastErr = err
		p.enough = true
		// To try again what was refused is to be locked out.
		if k := errs.KindOf(err); len(p.sessions) == 0 && k != errs.Unavailable && k != errs.Cancelled {
			p.final = err
		}
		return
	}
	if fresh {
		p.conns = append(p.conns, conn)
	}
	p.sessions = append(p.sessions, s)
	if p.ctx.Err() != nil {
		conn.kill(nil)
	}
}

// only keeps the pool to one connection, for logins that ask the user each time.
func (p *sshPool) only() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mostConns, p.perConn = 1, max(p.perConn, sshConns)
}

// idle returns a session that works, or nil.
func (p *sshPool) idle() *sftpSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	if len(p.sessions) == 0 {
		return nil
	}
	return p.sessions[0]
}

func (p *sshPool) close() {
	p.cancel()
	p.grown.Wait()
	p.mu.Lock()
	conns := p.conns
	p.mu.Unlock()
	for _, c := range conns {
		c.kill(nil)
	}
	for _, c := range conns {
		// A peer behind a program may not notice that we left.
		select {
		case <-c.ended:
		case <-time.After(time.Second):
		}
	}
}

// sshDial connects to the server that o names, through others where the
// user's configuration says so.
func (d *sshDialer) connect(ctx context.Context, o *sshTarget, depth int) (*sshConn, error) {
	ctx, limit := newDialLimit(ctx, o.connect)
	defer limit.end()
	carrier, onEnd, err := d.carrier(ctx, o, depth)
	if err != nil {
		return nil, limit.why(err)
	}
	stop := context.AfterFunc(ctx, func() { carrier.Close() })
	defer stop()
	login, err := d.login(ctx, o, limit)
	if err != nil {
		carrier.Close()
		if onEnd != nil {
			onEnd()
		}
		return nil, limit.why(err)
	}
	defer login.close()
	heard := &heardConn{Conn: carrier}
	login.heard = heard
	conn, chans, reqs, err := ssh.NewClientConn(heard, o.addr(), login.config)
	if err != nil || !stop() && ctx.Err() != nil {
		carrier.Close()
		if onEnd != nil {
			onEnd()
		}
		if err == nil {
			err = ctx.Err()
		}
		if ctx.Err() != nil {
			return nil, limit.why(ctx.Err())
		}
		return nil, login.explain(err)
	}
	if login.asked && o.final && d.onAsk != nil {
		d.onAsk()
	}
	return newSSHConn(ssh.NewClient(conn, chans, reqs), o.aliveEvery, o.aliveTries, onEnd), nil
}

// heardConn keeps the first bytes that came, to tell who it was that spoke.
type heardConn struct {
	net.Conn
	head []byte
}

const heardMost = 256

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if len(c.head) < heardMost {
		c.head = append(c.head, p[:min(n, heardMost-len(c.head))]...)
	}
	return n, err
}

// carrier opens what the SSH connection runs over.
func (d *sshDialer) carrier(ctx context.Context, o *sshTarget, depth int) (net.Conn, func(), error) {
	const deepest = 8
	switch {
	case depth > deepest:
		return nil, nil, errs.New(errs.Config, "ProxyJump: more than %d hosts on the way", deepest)
	case len(o.jumps) > 0:
		last := len(o.jumps) - 1
		hop, err := d.target(o.jumps[last], o.jumps[:last])
		if err != nil {
			return nil, nil, err
		}
		via, err := d.connect(ctx, hop, depth+1)
		if err != nil {
			return nil, nil, &errs.Error{Kind: errs.KindOf(err), Hint: errs.HintOf(err), Msg: "by way of " + hop.addr(), Err: err}
		}
		c, err := via.client.DialContext(ctx, "tcp", o.addr())
		if err != nil {
			via.kill(nil)
			kind := errs.Unavailable
			if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok && refused.Reason == ssh.Prohibited {
				kind = errs.Config
			}
			return nil, nil, &errs.Error{Kind: kind, Hint: "Check host and port of the remote's address.", Msg: hop.addr() + " does not reach " + o.addr(), Err: errors.New(oneLine(err.Error()))}
		}
		return c, func() { via.kill(nil) }, nil
	case o.proxyCommand != "":
		c, err := startProxy(o.proxyCommand)
		if err != nil {
			return nil, nil, errs.New(errs.Config, "ProxyCommand: %w", err)
		}
		return c, nil, nil
	}
	var nd net.Dialer
	c, err := nd.DialContext(ctx, o.network, o.addr())
	if err != nil {
		return nil, nil, classifyDial(err)
	}
	return c, nil, nil
}

// classifyDial classifies a failure to reach a host.
func classifyDial(err error) error {
	e := &errs.Error{Kind: errs.Unavailable, Err: err, Hint: "Check the network, and host and port of the remote's address."}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = op.Err
		if op.Addr != nil {
			e.Msg = "connect to " + op.Addr.String()
		}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		e.Msg, e.Err = "", errors.New("host "+dns.Name+": "+dns.Err)
		if dns.IsNotFound {
			e.Kind = errs.Config
		}
	}
	return e
}

// dialLimit bounds connecting, and stops while the user is asked something.
type dialLimit struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

var errDialLimit = errors.New("no answer in time")

func newDialLimit(ctx context.Context, after time.Duration) (context.Context, *dialLimit) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &dialLimit{ctx, cancel, time.AfterFunc(after, func() { cancel(errDialLimit) }), after}
}

func (l *dialLimit) rest() { l.timer.Stop() }
func (l *dialLimit) feed() { l.timer.Reset(l.after) }

func (l *dialLimit) end() {
	l.timer.Stop()
	l.cancel(nil)
}

// why turns the error of what the limit ended into what it means.
func (l *dialLimit) why(err error) error {
	if context.Cause(l.ctx) == errDialLimit {
		return errs.New(errs.Unavailable, "no answer in %v", l.after)
	}
	return err
}
