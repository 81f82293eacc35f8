package remote

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cairndata/cairn/pkg/errs"
)

// SFTP, version 3, as far as a store of bytes needs it:
// draft-ietf-secsh-filexfer-02, and OpenSSH's extensions (its PROTOCOL file).
const (
	fxpInit     = 1
	fxpVersion  = 2
	fxpOpen     = 3
	fxpClose    = 4
	fxpRead     = 5
	fxpWrite    = 6
	fxpFstat    = 8
	fxpOpendir  = 11
	fxpReaddir  = 12
	fxpRemove   = 13
	fxpMkdir    = 14
	fxpRmdir    = 15
	fxpStat     = 17
	fxpRename   = 18
	fxpStatus   = 101
	fxpHandle   = 102
	fxpData     = 103
	fxpName     = 104
	fxpAttrs    = 105
	fxpExtended = 200
	fxpExtReply = 201

	fxfRead  = 0x01
	fxfWrite = 0x02
	fxfCreat = 0x08
	fxfExcl  = 0x20

	fxOK               = 0
	fxEOF              = 1
	fxNoSuchFile       = 2
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxNoConnection     = 6
	fxConnectionLost   = 7
	fxUnsupported      = 8

	extPosixRename = "posix-rename@openssh.com"
	extFsync       = "fsync@openssh.com"
	extLimits      = "limits@openssh.com"
)

const (
	// sftpData is how many bytes one request moves with a server that does
	// not tell its limits: what the protocol grants to all.
	sftpData = 32 << 10
	// sftpMostData is the same for one that allows more. More saves nothing.
	sftpMostData = 255 << 10
	// sftpMostPacket is the longest answer taken.
	sftpMostPacket = 512 << 10
	// sftpBatch is up to how many bytes small requests are sent together: an
	// SSH packet of every server holds them.
	sftpBatch = 32 << 10
)

// sftpStatus is a server's answer to what it did not do.
type sftpStatus struct {
	code uint32
	msg  string
}

func (e *sftpStatus) Error() string {
	if e.msg != "" {
		return e.msg
	}
	names := [...]string{"ok", "end of file", "no such file", "permission denied", "failure", "bad message", "no connection", "connection lost", "operation unsupported"}
	if int(e.code) < len(names) {
		return names[e.code]
	}
	return fmt.Sprintf("status %d", e.code)
}

func statusCode(err error) (uint32, bool) {
	if s, ok := errors.AsType[*sftpStatus](err); ok {
		return s.code, true
	}
	return 0, false
}

func isStatus(err error, code uint32) bool {
	c, ok := statusCode(err)
	return ok && c == code
}

// sftpAttrs are a file's attributes, as far as the server tells them.
type sftpAttrs struct {
	size    int64
	mode    uint32
	modTime time.Time
	hasSize bool
	hasMode bool
}

const (
	modeType    = 0o170000
	modeFolder  = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

func (a sftpAttrs) isFolder() bool { return a.hasMode && a.mode&modeType == modeFolder }
func (a sftpAttrs) isLink() bool   { return a.hasMode && a.mode&modeType == modeLink }

// isFile is also true of what the server says no type of.
func (a sftpAttrs) isFile() bool {
	return a.hasSize && (!a.hasMode || a.mode&modeType == modeRegular || a.mode&modeType == 0)
}

// sftpName is an entry of a folder.
type sftpName struct {
	name  string
	attrs sftpAttrs
}

// sftpSession is one SFTP session, safe for concurrent use. Requests are sent
// as they come, many in one packet, without waiting for answers. Callers
// wait for them; who stops waiting leaves a note what to do with a late one.
type sftpSession struct {
	conn     *sshConn
	ch       ssh.Channel
	ext      map[string]string
	maxRead  int
	maxWrite int
	load     int // operations under way; the pool's

	wake chan struct{} // to the writer

	mu      sync.Mutex
	queue   []*packet
	calls   map[uint32]*sftpCall
	lastID  uint32
	failure error // why the session ended
	stderr  []byte
}

// sftpCall is a request whose answer is to come.
type sftpCall struct {
	s    *sftpSession
	id   uint32
	done chan sftpReply // has room for the one answer
	late func(sftpReply)
}

type sftpReply struct {
	typ  byte
	body *packet
	data []byte // the body after the id
	err  error  // the session broke
}

func (r *sftpReply) free() { r.body.free() }

// packet is a message in a pooled buffer.
type packet struct{ b []byte }

// packetRooms are the sizes of pooled buffers: for requests and statuses,
// for what every server takes at once, and for the most that is asked of any.
var packetRooms = [...]int{1 << 10, sftpData + 1<<10, sftpMostData + 1<<10}

var packets [len(packetRooms)]sync.Pool

func newPacket(room int) *packet {
	for i, most := range packetRooms {
		if room > most {
			continue
		}
		if p, ok := packets[i].Get().(*packet); ok {
			p.b = p.b[:0]
			return p
		}
		return &packet{make([]byte, 0, most)}
	}
	return &packet{make([]byte, 0, room)}
}

func (p *packet) free() {
	if p == nil {
		return
	}
	if i := slices.Index(packetRooms[:], cap(p.b)); i >= 0 {
		packets[i].Put(p)
	}
}

func (p *packet) u32(v uint32) { p.b = binary.BigEndian.AppendUint32(p.b, v) }
func (p *packet) u64(v uint64) { p.b = binary.BigEndian.AppendUint64(p.b, v) }
func (p *packet) str(s string) { p.u32(uint32(len(s))); p.b = append(p.b, s...) }

// request begins a message; its length and id are filled in when it is sent.
func request(typ byte, room int) *packet {
	p := newPacket(room + 64)
	p.b = append(p.b, 0, 0, 0, 0, typ, 0, 0, 0, 0)
	return p
}

// newSFTP starts the protocol on a channel.
func newSFTP(conn *sshConn, ch ssh.Channel) (*sftpSession, error) {
	s := &sftpSession{conn: conn, ch: ch, ext: map[string]string{}, maxRead: sftpData, maxWrite: sftpData,
		wake: make(chan struct{}, 1), calls: map[uint32]*sftpCall{}}
	go s.drainErrors()
	if _, err := ch.Write([]byte{0, 0, 0, 5, fxpInit, 0, 0, 0, 3}); err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(ch, 64<<10)
	if err := s.handshake(br); err != nil {
		return nil, err
	}
	go s.read(br)
	go s.write()
	if s.ext[extLimits] == "1" {
		if err := s.askLimits(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// noSFTP is for what answers in another language than SFTP.
func (s *sftpSession) noSFTP(what string) error {
	s.mu.Lock()
	said := strings.Join(strings.Fields(string(s.stderr)), " ")
	s.mu.Unlock()
	if said != "" {
		what += ": " + said
	}
	return errs.WithHint(errs.New(errs.Config, "the server does not speak SFTP: %s", what),
		"The account needs the sftp subsystem, and login scripts that print nothing.")
}

func (s *sftpSession) handshake(br *bufio.Reader) error {
	var head [5]byte
	if n, err := io.ReadFull(br, head[:]); err != nil {
		if err == io.EOF || n > 0 {
			return s.noSFTP("it ended the session")
		}
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > sftpMostPacket || head[4] != fxpVersion {
		return s.noSFTP("it began with other bytes")
	}
	body := make([]byte, n-1)
	if _, err := io.ReadFull(br, body); err != nil {
		return err
	}
	d := decoder{b: body}
	if v := d.u32(); v < 3 {
		return errs.New(errs.Unsupported, "the server speaks version %d of SFTP, not 3", v)
	}
	for len(d.b) > 0 && !d.bad {
		name := d.str()
		s.ext[name] = d.str()
	}
	return nil
}

func (s *sftpSession) askLimits() error {
	ctx, cancel := context.WithTimeout(context.Background(), sshTimeout)
	defer cancel()
	p := request(fxpExtended, 0)
	p.str(extLimits)
	r, err := s.send(p).wait(ctx)
	if err != nil {
		if _, refused := statusCode(err); refused {
			return nil
		}
		return err
	}
	defer r.free()
	d := decoder{b: r.data}
	if r.typ != fxpExtReply {
		return nil
	}
	most := d.u64()
	read, write := d.u64(), d.u64()
	limit := func(n uint64) int {
		if n == 0 || n > sftpMostData {
			n = sftpMostData
		}
		const header = 1 << 10
		if most > 2*header && n > most-header {
			n = most - header
		}
		return int(n)
	}
	if !d.bad {
		s.maxRead, s.maxWrite = limit(read), limit(write)
	}
	return nil
}

// drainErrors keeps the beginning of what the server's program complains of.
func (s *sftpSession) drainErrors() {
	var b [1024]byte
	for {
		n, err := s.ch.Stderr().Read(b[:])
		s.mu.Lock()
		if len(s.stderr) < len(b) {
			s.stderr = append(s.stderr, b[:n]...)
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send queues a request.
func (s *sftpSession) send(p *packet) *sftpCall {
	c := &sftpCall{s: s, done: make(chan sftpReply, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		p.free()
		c.done <- sftpReply{err: s.failure}
		return c
	}
	s.lastID++
	c.id = s.lastID
	s.calls[c.id] = c
	binary.BigEndian.PutUint32(p.b, uint32(len(p.b)-4))
	binary.BigEndian.PutUint32(p.b[5:], c.id)
	s.queue = append(s.queue, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return c
}

// write sends what is queued, small requests together.
func (s *sftpSession) write() {
	batch := make([]byte, 0, sftpBatch)
	for range s.wake {
		s.mu.Lock()
		list := s.queue
		s.queue = nil
		s.mu.Unlock()
		var err error
		flush := func() {
			if len(batch) > 0 && err == nil {
				_, err = s.ch.Write(batch)
			}
			batch = batch[:0]
		}
		for _, p := range list {
			if len(batch)+len(p.b) > sftpBatch {
				flush()
			}
			if len(p.b) > sftpBatch {
				if err == nil {
					_, err = s.ch.Write(p.b)
				}
			} else {
				batch = append(batch, p.b...)
			}
			p.free()
		}
		flush()
		if err != nil {
			s.fail(err)
		}
	}
}

// read hands answers to who waits for them.
func (s *sftpSession) read(br *bufio.Reader) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			s.fail(err)
			return
		}
		s.conn.alive()
		n := binary.BigEndian.Uint32(head[:])
		if n < 5 || n > sftpMostPacket {
			s.fail(s.noSFTP("a message of impossible length"))
			return
		}
		body := newPacket(int(n))
		body.b = body.b[:n-5]
		if _, err := io.ReadFull(br, body.b); err != nil {
			s.fail(err)
			return
		}
		s.deliver(binary.BigEndian.Uint32(head[5:]), sftpReply{typ: head[4], body: body, data: body.b})
	}
}

func (s *sftpSession) deliver(id uint32, r sftpReply) {
	s.mu.Lock()
	c := s.calls[id]
	delete(s.calls, id)
	var late func(sftpReply)
	if c != nil {
		late = c.late
	}
	s.mu.Unlock()
	switch {
	case c == nil:
		r.free()
	case late != nil:
		late(r)
	default:
		c.done <- r
	}
}

// fail ends the session; everybody who waits learns why.
func (s *sftpSession) fail(err error) {
	s.mu.Lock()
	if s.failure != nil {
		s.mu.Unlock()
		return
	}
	if errs.KindOf(err) != errs.Config {
		err = &errs.Error{Kind: errs.Unavailable, Msg: "the connection broke", Err: plainNet(err)}
	}
	s.failure = err
	calls, queue := s.calls, s.queue
	s.calls, s.queue = nil, nil
	close(s.wake)
	s.mu.Unlock()
	for _, p := range queue {
		p.free()
	}
	for _, c := range calls {
		if c.late != nil {
			continue
		}
		c.done <- sftpReply{err: err}
	}
	// A close may have to wait for a peer that does not listen.
	go s.ch.Close()
}

// plainNet leaves out io.EOF, which says no more than that it broke.
func plainNet(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (s *sftpSession) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure != nil
}

// wait returns the answer, its status as an error. The caller frees it.
func (c *sftpCall) wait(ctx context.Context) (sftpReply, error) {
	return c.waitOr(ctx, func(r sftpReply) { r.free() })
}

// waitOr is wait; an answer that comes after ctx ended goes to late.
func (c *sftpCall) waitOr(ctx context.Context, late func(sftpReply)) (sftpReply, error) {
	select {
	case r := <-c.done:
		return r.result()
	default:
	}
	select {
	case r := <-c.done:
		return r.result()
	case <-ctx.Done():
	}
	c.s.mu.Lock()
	if c.s.calls[c.id] == c {
		c.late = late
		c.s.mu.Unlock()
	} else {
		c.s.mu.Unlock()
		if r := <-c.done; r.err == nil {
			late(r)
		}
	}
	if context.Cause(ctx) == errStall {
		// Whatever else waits on this connection waits in vain.
		c.s.conn.kill(errStall)
	}
	return sftpReply{}, ctx.Err()
}

func (r sftpReply) result() (sftpReply, error) {
	if r.err != nil || r.typ != fxpStatus {
		return r, r.err
	}
	defer r.free()
	d := decoder{b: r.data}
	code := d.u32()
	msg := d.str() // may be absent
	if code == fxOK {
		return sftpReply{typ: fxpStatus}, nil
	}
	return sftpReply{}, &sftpStatus{code, msg}
}

// decoder reads a message; bad is set when it is too short.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u32() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) str() string { return string(d.take(int(d.u32()))) }

func (d *decoder) attrs() (a sftpAttrs) {
	flags := d.u32()
	if flags&1 != 0 {
		a.size, a.hasSize = int64(d.u64()), true
		if a.size < 0 {
			d.bad = true
		}
	}
	if flags&2 != 0 {
		d.take(8)
	}
	if flags&4 != 0 {
		a.mode, a.hasMode = d.u32(), true
	}
	if flags&8 != 0 {
		d.take(4)
		a.modTime = time.Unix(int64(d.u32()), 0)
	}
	if flags&0x80000000 != 0 {
		for n := d.u32(); n > 0 && !d.bad; n-- {
			d.str()
			d.str()
		}
	}
	return a
}

var errShortAnswer = errs.New(errs.Config, "the server's answer is not SFTP")

func (s *sftpSession) pathCall(typ byte, path string) *sftpCall {
	p := request(typ, len(path))
	p.str(path)
	if typ == fxpMkdir {
		p.u32(0) // no attributes: the server's own
	}
	return s.send(p)
}

func (s *sftpSession) renameCall(from, to string) *sftpCall {
	var p *packet
	if s.ext[extPosixRename] == "1" {
		p = request(fxpExtended, len(from)+len(to))
		p.str(extPosixRename)
	} else {
		p = request(fxpRename, len(from)+len(to))
	}
	p.str(from)
	p.str(to)
	return s.send(p)
}

func (s *sftpSession) openCall(path string, flags uint32) *sftpCall {
	p := request(fxpOpen, len(path))
	p.str(path)
	p.u32(flags)
	p.u32(0)
	return s.send(p)
}

func (s *sftpSession) handleCall(typ byte, handle string) *sftpCall {
	p := request(typ, len(handle))
	p.str(handle)
	return s.send(p)
}

func (s *sftpSession) fsyncCall(handle string) *sftpCall {
	p := request(fxpExtended, len(handle))
	p.str(extFsync)
	p.str(handle)
	return s.send(p)
}

func (s *sftpSession) readCall(handle string, off int64, n int) *sftpCall {
	p := request(fxpRead, len(handle))
	p.str(handle)
	p.u64(uint64(off))
	p.u32(uint32(n))
	return s.send(p)
}

// forget sends a request whose answer nobody needs.
func (c *sftpCall) forget() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.calls[c.id] == c {
		c.late = func(r sftpReply) { r.free() }
	}
}

// ok waits for a status.
func (c *sftpCall) ok(ctx context.Context) error {
	r, err := c.wait(ctx)
	if err == nil && r.typ != fxpStatus {
		r.free()
		return errShortAnswer
	}
	return err
}

// handle waits for a handle; one that comes too late is closed again.
func (c *sftpCall) handle(ctx context.Context) (string, error) {
	r, err := c.waitOr(ctx, func(r sftpReply) {
		if r.typ == fxpHandle {
			d := decoder{b: r.data}
			c.s.handleCall(fxpClose, d.str()).forget()
		}
		r.free()
	})
	if err != nil {
		return "", err
	}
	defer r.free()
	d := decoder{b: r.data}
	h := d.str()
	if r.typ != fxpHandle || d.bad {
		return "", errShortAnswer
	}
	return h, nil
}

func (c *sftpCall) attrs(ctx context.Context) (sftpAttrs, error) {
	r, err := c.wait(ctx)
	if err != nil {
		return sftpAttrs{}, err
	}
	defer r.free()
	d := decoder{b: r.data}
	a := d.attrs()
	if r.typ != fxpAttrs || d.bad {
		return a, errShortAnswer
	}
	return a, nil
}

// data waits for bytes of a file, at most most of them. The caller frees the
// packet. io.EOF is the end of the file.
func (c *sftpCall) data(ctx context.Context, most int) (*packet, []byte, error) {
	r, err := c.wait(ctx)
	if err != nil {
		if isStatus(err, fxEOF) {
			err = io.EOF
		}
		return nil, nil, err
	}
	d := decoder{b: r.data}
	n := int(d.u32())
	b := d.take(n)
	if r.typ != fxpData || d.bad || n > most || n == 0 {
		r.free()
		return nil, nil, errShortAnswer
	}
	return r.body, b, nil
}

// names waits for entries of a folder. io.EOF is the end.
func (c *sftpCall) names(ctx context.Context) ([]sftpName, error) {
	r, err := c.wait(ctx)
	if err != nil {
		if isStatus(err, fxEOF) {
			err = io.EOF
		}
		return nil, err
	}
	defer r.free()
	d := decoder{b: r.data}
	n := d.u32()
	var list []sftpName
	for range n {
		e := sftpName{name: d.str()}
		d.str() // how ls -l would show it
		e.attrs = d.attrs()
		if d.bad {
			break
		}
		list = append(list, e)
	}
	if r.typ != fxpName || d.bad {
		return nil, errShortAnswer
	}
	return list, nil
}
