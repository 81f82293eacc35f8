package chaostest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// TCPProxy is a bad line that knows nothing of what it carries. Faults strike
// connections, each once, at a byte of chance; [Refuse], [LoseReply] and
// [Twice] mean nothing to it and strike as [Reset].
type TCPProxy struct {
	*dice
	Addr string // of the proxy

	to    string
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

// reach is within how many bytes of a connection something strikes it.
const reach = 32 << 10

// TCP starts a proxy to the server at host:port; it ends with the test.
func TCP(t testing.TB, server string, o Options) *TCPProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &TCPProxy{dice: newDice(o), Addr: l.Addr().String(), to: server, l: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

func (p *TCPProxy) close() {
	p.l.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *TCPProxy) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(c) })
	}
}

// own notes a connection, so that the end of the test closes it.
func (p *TCPProxy) own(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *TCPProxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	c.Close()
}

// carry moves the bytes of one connection both ways.
func (p *TCPProxy) carry(client net.Conn) {
	if !p.own(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp", p.to)
	if err != nil || !p.own(server) {
		return
	}
	defer p.drop(server)
	fault, chance := p.roll()
	at := int64(chance % reach)
	up, down := &way{p: p, from: client, to: server, at: -1}, &way{p: p, from: server, to: client, at: -1}
	struck := down
	if fault == FlipUp || fault != FlipDown && fault != Short && chance>>32&1 == 1 {
		struck = up
	}
	if fault != "" {
		struck.fault, struck.at = fault, at
	}
	var both sync.WaitGroup
	both.Go(up.run)
	both.Go(down.run)
	both.Wait()
}

// way is one direction of a connection.
type way struct {
	p        *TCPProxy
	from, to net.Conn
	fault    Fault
	at       int64 // at which byte it strikes; -1 never
}

type chunk struct {
	b   []byte
	due time.Time
}

// run carries bytes until one side ends, each delayed alike.
func (w *way) run() {
	line := make(chan chunk, 256)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(line)
		for {
			b := make([]byte, 32<<10)
			n, err := w.from.Read(b)
			if n > 0 {
				line <- chunk{b[:n], time.Now().Add(w.p.o.Latency)}
			}
			if err != nil {
				return
			}
		}
	})
	passed := int64(0)
	for c := range line {
		time.Sleep(time.Until(c.due))
		if w.at >= passed && w.at < passed+int64(len(c.b)) && !w.strike(c.b[w.at-passed:]) {
			break
		}
		passed += int64(len(c.b))
		if _, err := w.to.Write(c.b); err != nil {
			break
		}
	}
	if tc, ok := w.to.(*net.TCPConn); ok {
		_ = tc.CloseWrite()
	}
	_ = w.from.(*net.TCPConn).CloseRead()
	for range line { // what nobody will get
	}
	reader.Wait()
}

// strike does what strikes at the first byte of b, and reports whether the
// connection goes on.
func (w *way) strike(b []byte) bool {
	w.p.count(w.fault)
	switch w.fault {
	case FlipUp, FlipDown:
		b[0] ^= 4
		return true
	case Short:
		return false
	case Stall:
		w.at = -1
		// Nothing more goes this way until an end closes.
		buf := make([]byte, 1)
		for {
			if _, err := w.from.Read(buf); err != nil {
				return false
			}
		}
	}
	for _, c := range []net.Conn{w.from, w.to} {
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		c.Close()
	}
	return false
}
