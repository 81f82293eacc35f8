package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	// sshWindow is how many bytes of one value are under way: what OpenSSH
	// lets a session send without being asked for more.
	sshWindow = 2 << 20
	// sshJobs is how many objects are under way at least. To wait for answers
	// costs neither side anything, and three round trips are long from afar.
	sshJobs = 32
	// sshListPage is how many names OpenSSH tells at a time.
	sshListPage = 100
	// sshListers is how many folders are read at a time.
	sshListers = 16
	// sshMakeTries is how often a folder is made that is not there.
	sshMakeTries = 4
	// sshDeletePart is how many deletions are sent at a time.
	sshDeletePart = 64
	// sshMinPart is the least part of a large value that is worth its round
	// trips. The store's are larger.
	sshMinPart = 1 << 20
	// sshStale is how old a temporary file is of which nobody comes back to,
	// sshMostStale how many are removed by one command.
	sshStale     = 7 * 24 * time.Hour
	sshMostStale = 1000
	// sshTidyTime bounds cleaning up on a connection that works.
	sshTidyTime = 2 * time.Second
)

// sshBackend keeps bytes in the files of a server, over SFTP. It speaks the
// protocol itself: with a library that waits for each answer before the next
// request, small files take several times as long.
type sshBackend struct {
	o      *sshOptions
	name   string // of the remote, for hints
	where  string // ssh://host, for messages
	jobs   int
	temp   string // how the names of its temporary files begin
	number atomic.Uint64
	pool   *sshPool

	mu      sync.Mutex
	orphans []string // temporary files on a connection that broke
	stale   []string // those of others, who died long ago
	wrote   bool     // so it may remove what it finds
}

var _ interface {
	Backend
	Describer
	PartPutter
} = (*sshBackend)(nil)

func openSSH(_ context.Context, c Config, env Env) (Backend, error) {
	b, err := newSSH(c, env)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func newSSH(c Config, env Env) (*sshBackend, error) {
	o, err := parseSSH(c, env)
	if err != nil {
		return nil, err
	}
	d := &sshDialer{env: env, name: c.Name, o: o}
	if _, err := d.remote(); err != nil {
		return nil, &errs.Error{Kind: errs.KindOf(err), Hint: errs.HintOf(err), Msg: fmt.Sprintf("remote %q", c.Name), Err: err}
	}
	b := &sshBackend{o: o, name: c.Name, where: "ssh://" + o.host, jobs: o.jobs, temp: tempPrefix()}
	if o.port != "" {
		b.where += ":" + o.port
	}
	if b.jobs <= 0 {
		b.jobs = min(64, max(sshJobs, 4*runtime.NumCPU()))
	}
	b.pool = newSSHPool(sshConns, o.sessions, func(ctx context.Context) (*sshConn, error) {
		t, err := d.remote()
		if err != nil {
			return nil, err
		}
		return d.connect(ctx, t, 0)
	})
	d.onAsk = b.pool.only
	return b, nil
}

const (
	tempStart = ".cairn-"
	tempEnd   = ".tmp"
)

// tempPrefix tells whose temporary files these are, should they be left over.
func tempPrefix() string {
	host, _ := os.Hostname()
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, host)
	return fmt.Sprintf("%s%.32s-%d-%08x-", tempStart, host, os.Getpid(), rand.Uint32())
}

func (b *sshBackend) tempName() string {
	return fmt.Sprintf("%s%d%s", b.temp, b.number.Add(1), tempEnd)
}

// isTemp reports whether a name is that of an upload that goes on or was cut.
func isTemp(name string) bool {
	return strings.HasPrefix(name, tempStart) && strings.HasSuffix(name, tempEnd)
}

func (b *sshBackend) retryOptions() RetryOptions { return RetryOptions{Stall: b.o.timeout} }

func (b *sshBackend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.jobs, ListPrice: sshListPage}, PartSize: sshMinPart}
}

func (b *sshBackend) Close() error {
	b.tidy()
	b.pool.close()
	return nil
}

// key is where a key's value is. Names of temporary files are no keys: a
// listing would not show them.
func (b *sshBackend) key(ctx context.Context, key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if isTemp(path.Base(key)) {
		return "", errs.New(errs.Invalid, "key %q is the name of a temporary file", key)
	}
	return b.o.base + key, ctx.Err()
}

// with calls f with a session.
func (b *sshBackend) with(ctx context.Context, f func(s *sftpSession) error) error {
	s, err := b.pool.acquire(ctx)
	if err != nil {
		return b.translate(err, "")
	}
	defer b.pool.release(s)
	return f(s)
}

func (b *sshBackend) Stat(ctx context.Context, key string) (int64, error) {
	e, err := b.Describe(ctx, key)
	return e.Size, err
}

// Describe tells the length and the time of change.
func (b *sshBackend) Describe(ctx context.Context, key string) (Entry, error) {
	p, err := b.key(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	var a sftpAttrs
	err = b.with(ctx, func(s *sftpSession) (err error) {
		if a, err = s.pathCall(fxpStat, p).attrs(ctx); err != nil {
			return b.orMissing(ctx, s, p, err)
		}
		return b.fileOnly(a)
	})
	return Entry{Key: key, Size: a.size, Meta: Meta{ModTime: a.modTime}}, b.translate(err, "read "+p)
}

var errNoFile = &sftpStatus{code: fxNoSuchFile, msg: "no such file"}

// fileOnly refuses folders, which are no values, and what is no file at all.
func (b *sshBackend) fileOnly(a sftpAttrs) error {
	switch {
	case a.isFolder():
		return errNoFile
	case !a.isFile():
		return errs.New(errs.Invalid, "it is not a regular file")
	}
	return nil
}

// orMissing turns a failure into a missing file, if that is so: a component
// of its path is a file, which servers have different words for.
func (b *sshBackend) orMissing(ctx context.Context, s *sftpSession, p string, err error) error {
	if !isStatus(err, fxFailure) {
		return err
	}
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		a, derr := s.pathCall(fxpStat, dir).attrs(ctx)
		switch {
		case derr == nil && a.isFolder():
			return err
		case derr == nil, isStatus(derr, fxNoSuchFile):
			return errNoFile
		case !isStatus(derr, fxFailure) || dir == "/" || dir == ".":
			return err
		}
	}
}

func (b *sshBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	p, err := b.key(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	s, err := b.pool.acquire(ctx)
	if err != nil {
		return nil, 0, b.translate(err, "")
	}
	r, size, err := b.open(ctx, s, p, off, n)
	if err != nil {
		b.pool.release(s)
		return nil, 0, b.translate(err, "read "+p)
	}
	return r, size, nil
}

func (b *sshBackend) open(ctx context.Context, s *sftpSession, p string, off, n int64) (io.ReadCloser, int64, error) {
	handle, err := s.openCall(p, fxfRead).handle(ctx)
	if err != nil {
		return nil, 0, b.orMissing(ctx, s, p, err)
	}
	r := &sshBody{b: b, s: s, ctx: ctx, path: p, handle: handle, next: max(0, off), window: 2}
	// The first bytes are asked for together with the length: small values
	// are whole after this one round trip.
	length := s.handleCall(fxpFstat, handle)
	if n != 0 {
		first := int64(s.maxRead)
		if n > 0 {
			first = min(first, n)
		}
		r.ask(int(first))
	}
	a, err := length.attrs(ctx)
	if err == nil {
		err = b.fileOnly(a)
	}
	if err != nil {
		r.drop()
		return nil, 0, err
	}
	left := max(0, a.size-r.start())
	if n >= 0 {
		left = min(left, n)
	}
	r.setEnd(left)
	return r, a.size, nil
}

// sshBody is a file being read, several requests ahead.
type sshBody struct {
	b      *sshBackend
	s      *sftpSession
	ctx    context.Context
	path   string
	handle string // "" once closed
	next   int64  // of the file, to be asked for next
	end    int64
	window int // requests under way at most
	queue  []sshRead

	held   *packet // what rest is part of
	rest   []byte  // arrived and not yet read
	closed bool
}

// sshRead is a request for n bytes.
type sshRead struct {
	call *sftpCall
	off  int64
	n    int
}

// Partial is true of every part of a file.
func (r *sshBody) Partial() bool { return true }

func (r *sshBody) start() int64 {
	if len(r.queue) > 0 {
		return r.queue[0].off
	}
	return r.next
}

func (r *sshBody) ask(n int) {
	r.queue = append(r.queue, sshRead{r.s.readCall(r.handle, r.next, n), r.next, n})
	r.next += int64(n)
}

// setEnd says how many bytes there are to read.
func (r *sshBody) setEnd(left int64) {
	start := r.start()
	r.end = start + left
	if left == 0 {
		for _, q := range r.queue {
			q.call.forget()
		}
		r.queue = nil
	} else if len(r.queue) > 0 && r.queue[0].off+int64(r.queue[0].n) > r.end {
		r.queue[0].n = int(left)
	}
	if r.next >= r.end {
		r.closeHandle()
	}
}

// closeHandle gives the file back; requests before it are still answered.
func (r *sshBody) closeHandle() {
	if r.handle != "" {
		r.s.handleCall(fxpClose, r.handle).forget()
		r.handle = ""
	}
}

func (r *sshBody) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.closed {
			return 0, errs.New(errs.Invalid, "read of a closed body")
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		r.held.free()
		r.held = nil
	}
	return n, nil
}

// fetch waits for the next bytes, and asks for some more.
func (r *sshBody) fetch() error {
	chunk := r.s.maxRead
	for r.next < r.end && len(r.queue) < r.window {
		r.ask(int(min(int64(chunk), r.end-r.next)))
	}
	if len(r.queue) == 0 {
		return io.EOF
	}
	r.window = min(2*r.window, max(2, sshWindow/chunk))
	q := &r.queue[0]
	held, data, err := q.call.data(r.ctx, max(q.n, chunk))
	if err == io.EOF {
		err = errs.New(errs.Unavailable, "the file ended %d bytes early", r.end-q.off)
	}
	if err != nil {
		return r.b.translate(err, "read "+r.path)
	}
	data = data[:min(len(data), q.n)] // the first request may have asked for more
	r.held, r.rest = held, data
	q.off += int64(len(data))
	if q.n -= len(data); q.n > 0 {
		// The server gave less than was asked for: the rest comes next.
		if r.handle == "" {
			return r.b.translate(errs.New(errs.Unavailable, "the file ended %d bytes early", q.n), "read "+r.path)
		}
		q.call = r.s.readCall(r.handle, q.off, q.n)
	} else {
		r.queue = r.queue[1:]
	}
	if r.next >= r.end && len(r.queue) == 0 {
		r.closeHandle()
	}
	return nil
}

// drop ends the reading without giving the session back.
func (r *sshBody) drop() {
	for _, q := range r.queue {
		q.call.forget()
	}
	r.closeHandle()
	r.held.free()
	r.queue, r.held, r.rest, r.closed = nil, nil, nil, true
}

func (r *sshBody) Close() error {
	if !r.closed {
		r.drop()
		r.b.pool.release(r.s)
	}
	return nil
}

// Put writes a temporary file beside its place, checks its length, has it
// flushed, and renames it. An object of up to 255 KiB takes three round trips.
func (b *sshBackend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	p, err := b.key(ctx, key)
	if err != nil {
		return err
	}
	src := &sshSource{r: r}
	err = b.with(ctx, func(s *sftpSession) error { return b.put(ctx, s, p, size, src) })
	if src.err != nil {
		return src.err // the reader's own words
	}
	if err == nil {
		b.mu.Lock()
		b.wrote = true
		b.mu.Unlock()
	}
	return b.translate(err, "write "+p)
}

// sshSource remembers the error of what is read.
type sshSource struct {
	r   io.Reader
	err error
}

func (s *sshSource) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (b *sshBackend) put(ctx context.Context, s *sftpSession, p string, size int64, r io.Reader) error {
	tmp := path.Join(path.Dir(p), b.tempName())
	handle, err := b.create(ctx, s, tmp)
	if err != nil {
		return b.orFull(ctx, s, path.Dir(p), size, err)
	}
	got, err := b.fill(ctx, s, handle, 0, size, r)
	if err == nil && got != size {
		// Some servers tell the length before they have written all. The
		// file is closed now.
		err = b.checkLength(ctx, s, tmp, size)
	}
	if err == nil {
		err = b.rename(ctx, s, tmp, p)
	} else {
		err = b.orFull(ctx, s, path.Dir(p), size, err)
	}
	if err != nil {
		b.discard(s, tmp)
	}
	return err
}

func (b *sshBackend) checkLength(ctx context.Context, s *sftpSession, p string, size int64) error {
	a, err := s.pathCall(fxpStat, p).attrs(ctx)
	if err == nil && a.hasSize && a.size != size {
		err = errs.New(errs.Unavailable, "the server has %d bytes of %d", a.size, size)
	}
	return err
}

// create opens a new file, and makes the folders it lies in if they are not
// there: to find that out costs nothing where they are.
func (b *sshBackend) create(ctx context.Context, s *sftpSession, tmp string) (string, error) {
	for made := 0; ; made++ {
		r, err := b.openTemp(ctx, s, tmp)
		// Another process may remove a folder that is empty yet.
		if made < sshMakeTries && (isStatus(err, fxNoSuchFile) || isStatus(err, fxFailure) && isStatus(b.orMissing(ctx, s, tmp, err), fxNoSuchFile)) {
			if err := b.makeFolder(ctx, s, path.Dir(tmp)); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			if s.broken() {
				b.orphan(tmp) // the answer was lost, perhaps not the file
			}
			return "", err
		}
		d := decoder{b: r.data}
		handle := d.str()
		r.free()
		if r.typ != fxpHandle || d.bad {
			return "", errShortAnswer
		}
		return handle, nil
	}
}

// openTemp makes a temporary file. If ctx ends meanwhile, it waits a little for
// the file to be removed again: who interrupts a transfer closes the connection next.
func (b *sshBackend) openTemp(ctx context.Context, s *sftpSession, tmp string) (sftpReply, error) {
	gone := make(chan struct{})
	r, err := s.openCall(tmp, fxfWrite|fxfCreat|fxfExcl).waitOr(ctx, func(r sftpReply) {
		defer r.free()
		if r.typ != fxpHandle {
			close(gone)
			return
		}
		d := decoder{b: r.data}
		s.handleCall(fxpClose, d.str()).forget()
		removed := s.pathCall(fxpRemove, tmp)
		go func() {
			defer close(gone)
			tctx, cancel := context.WithTimeout(context.Background(), sshTidyTime)
			defer cancel()
			_ = removed.ok(tctx)
		}()
	})
	if err != nil && err == ctx.Err() {
		patience := time.NewTimer(sshTidyTime)
		defer patience.Stop()
		select {
		case <-gone:
		case <-patience.C:
		case <-s.conn.ended:
			b.orphan(tmp)
		}
	}
	return r, err
}

// makeFolder makes a folder and those above it.
func (b *sshBackend) makeFolder(ctx context.Context, s *sftpSession, dir string) error {
	err := s.pathCall(fxpMkdir, dir).ok(ctx)
	up := path.Dir(dir)
	if isStatus(err, fxNoSuchFile) && up != dir {
		if err := b.makeFolder(ctx, s, up); err != nil {
			return err
		}
		err = s.pathCall(fxpMkdir, dir).ok(ctx)
	}
	if _, refused := statusCode(err); !refused {
		return err
	}
	// Somebody else may have been quicker.
	if a, serr := s.pathCall(fxpStat, dir).attrs(ctx); serr == nil && a.isFolder() {
		return nil
	} else if serr == nil {
		return errs.New(errs.Conflict, "%s is not a folder", dir)
	} else if _, answered := statusCode(serr); !answered {
		return serr
	}
	return err
}

// fill writes size bytes from offset off, and closes the file in any case. It
// returns the length of the file as the server tells it.
func (b *sshBackend) fill(ctx context.Context, s *sftpSession, handle string, off, size int64, r io.Reader) (int64, error) {
	var under []*sftpCall
	var total int64
	err := func() error {
		for {
			// One byte more than announced is enough to know.
			chunk := int(min(int64(s.maxWrite), size-total+1))
			p := request(fxpWrite, len(handle)+chunk)
			p.str(handle)
			p.u64(uint64(off + total))
			p.u32(0)
			head := len(p.b)
			n, err := io.ReadFull(r, p.b[head:head+chunk])
			if n > 0 && (err == nil || err == io.ErrUnexpectedEOF) && total+int64(n) <= size {
				p.b = p.b[:head+n]
				binary.BigEndian.PutUint32(p.b[head-4:], uint32(n))
				under = append(under, s.send(p))
			} else {
				p.free()
			}
			total += int64(n)
			switch {
			case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
				return err
			case err != nil && total != size, total > size:
				return errs.New(errs.Corrupt, "%d bytes came instead of %d", total, size)
			case err != nil:
				return nil
			}
			for len(under) > 0 && len(under)*s.maxWrite >= sshWindow {
				if err := under[0].ok(ctx); err != nil {
					return err
				}
				under = under[1:]
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}()
	if err != nil {
		for _, c := range under {
			c.forget()
		}
		s.handleCall(fxpClose, handle).forget()
		return 0, err
	}
	// The protocol has the server do these in order, after the writing.
	var flushed *sftpCall
	if s.ext[extFsync] == "1" {
		flushed = s.fsyncCall(handle)
	}
	length, closed := s.handleCall(fxpFstat, handle), s.handleCall(fxpClose, handle)
	for _, c := range under {
		if werr := c.ok(ctx); err == nil {
			err = werr
		}
	}
	if flushed != nil {
		if ferr := flushed.ok(ctx); err == nil && !isStatus(ferr, fxUnsupported) {
			err = ferr
		}
	}
	a, lerr := length.attrs(ctx)
	if cerr := closed.ok(ctx); lerr == nil {
		lerr = cerr
	}
	if err == nil {
		err = lerr
	}
	if !a.hasSize {
		a.size = off + size
	}
	return a.size, err
}

// rename gives a finished file its name. A server without the extension of
// OpenSSH does not replace: the old file has to go first.
func (b *sshBackend) rename(ctx context.Context, s *sftpSession, from, to string) error {
	err := s.renameCall(from, to).ok(ctx)
	if _, refused := statusCode(err); !refused || s.ext[extPosixRename] == "1" {
		return err
	}
	if a, serr := s.pathCall(fxpStat, to).attrs(ctx); serr != nil || !a.isFile() {
		return err
	}
	if rerr := s.pathCall(fxpRemove, to).ok(ctx); rerr != nil {
		return rerr
	}
	return s.renameCall(from, to).ok(ctx)
}

// discard removes a temporary file after a failure: at once, if the
// connection still works, or when there is another one.
func (b *sshBackend) discard(s *sftpSession, tmp string) {
	ctx, cancel := context.WithTimeout(context.Background(), sshTidyTime)
	defer cancel()
	err := s.pathCall(fxpRemove, tmp).ok(ctx)
	if _, answered := statusCode(err); err != nil && !answered {
		b.orphan(tmp)
	}
}

func (b *sshBackend) orphan(tmp string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orphans = append(b.orphans, tmp)
}

func (b *sshBackend) foundStale(p string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stale) < sshMostStale && !slices.Contains(b.stale, p) {
		b.stale = append(b.stale, p)
	}
}

// tidy removes what broken connections left, if there is one that works, and
// after an upload what a listing found of processes that died long ago.
func (b *sshBackend) tidy() {
	b.mu.Lock()
	list := b.orphans
	if b.wrote {
		list = slices.Concat(list, b.stale)
	}
	b.orphans, b.stale = nil, nil
	b.mu.Unlock()
	s := b.pool.idle()
	if len(list) == 0 || s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sshTidyTime)
	defer cancel()
	var calls []*sftpCall
	for _, p := range list {
		calls = append(calls, s.pathCall(fxpRemove, p))
	}
	for _, c := range calls {
		_ = c.ok(ctx)
	}
}

// Delete removes files, many at a time, and folders that become empty but for
// those of objects, which others may be about to write to.
func (b *sshBackend) Delete(ctx context.Context, keys []string) error {
	paths := make([]string, len(keys))
	for i, k := range keys {
		var err error
		if paths[i], err = b.key(ctx, k); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, b.jobs/2))
	for lo := 0; lo < len(paths); lo += sshDeletePart {
		part := paths[lo:min(lo+sshDeletePart, len(paths))]
		g.Go(func() error {
			return b.with(gctx, func(s *sftpSession) error { return b.remove(gctx, s, part) })
		})
	}
	if err := g.Wait(); err != nil {
		return orCtx(ctx, err)
	}
	return b.prune(ctx, keys)
}

// prune removes the folders of keys that have become empty, the deepest first.
func (b *sshBackend) prune(ctx context.Context, keys []string) error {
	levels := map[int]map[string]bool{} // by depth
	deepest := 0
	for _, k := range keys {
		if _, isObject := object.ParseKey(k); isObject {
			continue
		}
		for dir := path.Dir(k); dir != "."; dir = path.Dir(dir) {
			depth := strings.Count(dir, "/")
			if levels[depth] == nil {
				levels[depth] = map[string]bool{}
			}
			if levels[depth][dir] {
				break
			}
			levels[depth][dir] = true
			deepest = max(deepest, depth)
		}
	}
	if len(levels) == 0 {
		return nil
	}
	return b.with(ctx, func(s *sftpSession) error {
		for depth := deepest; depth >= 0; depth-- {
			var calls []*sftpCall
			for dir := range levels[depth] {
				calls = append(calls, s.pathCall(fxpRmdir, b.o.base+dir))
			}
			for _, c := range calls {
				// One that is not empty stays, whatever the server's word for it.
				if err := c.ok(ctx); err != nil && ctx.Err() != nil {
					return ctx.Err()
				} else if s.broken() {
					return nil // the files are gone, which is what was asked for
				}
			}
		}
		return nil
	})
}

func (b *sshBackend) remove(ctx context.Context, s *sftpSession, paths []string) error {
	calls := make([]*sftpCall, len(paths))
	for i, p := range paths {
		calls[i] = s.pathCall(fxpRemove, p)
	}
	var first error
	for i, c := range calls {
		err := c.ok(ctx)
		if isStatus(err, fxFailure) || isStatus(err, fxPermissionDenied) {
			// A folder is no value, so there is nothing to remove.
			if a, serr := s.pathCall(fxpStat, paths[i]).attrs(ctx); serr == nil && a.isFolder() || isStatus(serr, fxNoSuchFile) {
				continue
			} else {
				err = b.orMissing(ctx, s, paths[i], err)
			}
		}
		if err != nil && !isStatus(err, fxNoSuchFile) && first == nil {
			first = b.translate(err, "delete "+paths[i])
		}
	}
	return first
}

// List walks the folders below prefix, several at a time.
func (b *sshBackend) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		dir, part := path.Split(prefix)
		if dir != "" && CheckKey(strings.TrimSuffix(dir, "/")) != nil {
			return // no key begins like that
		}
		wctx, cancel := context.WithCancel(ctx)
		defer cancel()
		found := make(chan []Entry, sshListers)
		var walkErr error
		go func() {
			defer close(found)
			g, gctx := errgroup.WithContext(wctx)
			g.SetLimit(sshListers)
			g.Go(func() error { return b.walk(gctx, g, dir, part, found) })
			walkErr = g.Wait()
		}()
		stopped := false
		for list := range found {
			for _, e := range list {
				if !stopped && !yield(e, nil) {
					stopped = true
					cancel()
				}
			}
		}
		if stopped {
			return
		}
		if err := ctx.Err(); err != nil {
			yield(Entry{}, err)
		} else if walkErr != nil {
			yield(Entry{}, walkErr)
		}
	}
}

// walk sends the files of a folder whose names begin with part, and walks the
// folders in it: by others as long as there are hands.
func (b *sshBackend) walk(ctx context.Context, g *errgroup.Group, dir, part string, found chan<- []Entry) error {
	var below []string
	err := b.with(ctx, func(s *sftpSession) error {
		return b.readFolder(ctx, s, b.o.base+dir, func(names []sftpName) error {
			list := make([]Entry, 0, len(names))
			for _, n := range names {
				switch {
				case n.name == "." || n.name == ".." || !strings.HasPrefix(n.name, part):
					continue
				case isTemp(n.name) && !strings.ContainsAny(n.name, "/\x00"):
					if t := n.attrs.modTime; n.attrs.isFile() && !t.IsZero() && time.Since(t) > sshStale {
						b.foundStale(b.o.base + dir + n.name)
					}
					continue
				case n.name == "" || strings.ContainsAny(n.name, "/\x00"):
					return errs.New(errs.Invalid, "the server lists the name %q", n.name)
				}
				if n.attrs.isLink() || !n.attrs.hasMode || !n.attrs.hasSize {
					a, err := s.pathCall(fxpStat, b.o.base+dir+n.name).attrs(ctx)
					if isStatus(err, fxNoSuchFile) {
						continue
					}
					// Links to files are files. Those to folders may lead round.
					if err != nil || n.attrs.isLink() && a.isFolder() {
						if err != nil && !n.attrs.isLink() {
							return err
						}
						continue
					}
					n.attrs = a
				}
				switch {
				case n.attrs.isFolder():
					below = append(below, dir+n.name+"/")
				case n.attrs.isFile():
					list = append(list, Entry{Key: dir + n.name, Size: n.attrs.size, Meta: Meta{ModTime: n.attrs.modTime}})
				}
			}
			if len(list) == 0 {
				return nil
			}
			select {
			case found <- list:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	if err != nil {
		return b.translate(err, "list "+b.o.base+dir)
	}
	for _, sub := range below {
		visit := func() error { return b.walk(ctx, g, sub, "", found) }
		if !g.TryGo(visit) {
			if err := visit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFolder calls f with the entries of a folder. One that is not there has
// none.
func (b *sshBackend) readFolder(ctx context.Context, s *sftpSession, dir string, f func([]sftpName) error) error {
	if dir == "" {
		dir = "."
	} else if dir != "/" {
		dir = strings.TrimSuffix(dir, "/")
	}
	handle, err := s.pathCall(fxpOpendir, dir).handle(ctx)
	if isStatus(err, fxFailure) {
		if a, serr := s.pathCall(fxpStat, dir).attrs(ctx); serr == nil && !a.isFolder() {
			return nil
		}
		err = b.orMissing(ctx, s, dir, err)
	}
	if isStatus(err, fxNoSuchFile) {
		return nil
	}
	if err != nil {
		return err
	}
	// One request ahead: while one part is looked at, the next is read.
	ahead := s.handleCall(fxpReaddir, handle)
	defer func() {
		ahead.forget()
		s.handleCall(fxpClose, handle).forget()
	}()
	for {
		now := ahead
		ahead = s.handleCall(fxpReaddir, handle)
		names, err := now.names(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f(names)
		}
		if err != nil {
			return err
		}
	}
}

// orFull finds out whether a server that says no more than "failure" of a
// write has no room.
func (b *sshBackend) orFull(ctx context.Context, s *sftpSession, dir string, size int64, err error) error {
	if !isStatus(err, fxFailure) || s.ext["statvfs@openssh.com"] == "" {
		return err
	}
	p := request(fxpExtended, len(dir))
	p.str("statvfs@openssh.com")
	p.str(dir)
	r, serr := s.send(p).wait(ctx)
	if serr != nil {
		return err
	}
	defer r.free()
	d := decoder{b: r.data}
	d.u64() // block size
	unit := d.u64()
	d.take(16) // blocks, free blocks
	room := d.u64()
	d.take(16) // inodes, free inodes
	inodes := d.u64()
	if r.typ == fxpExtReply && !d.bad && (inodes == 0 || room == 0 || unit > 0 && room < uint64(size)/unit) {
		return errFull
	}
	return err
}

var errFull = &sftpStatus{code: fxNoSpace, msg: "no space is left on the server"}

// Codes of later versions of the protocol, which some servers use anyhow.
const (
	fxWriteProtect  = 12
	fxNoSpace       = 14
	fxQuotaExceeded = 15
)

// translate gives an error its class, the server's name, and a remedy.
func (b *sshBackend) translate(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if e, ok := errors.AsType[*sshError](err); ok {
		return e
	}
	e := &errs.Error{Kind: errs.KindOf(err), Hint: errs.HintOf(err), Msg: b.where}
	if code, ok := statusCode(err); ok {
		e.Kind, e.Hint = b.classify(code, doing)
	}
	text := oneLine(err.Error())
	if doing != "" {
		text = doing + ": " + text
	}
	for _, secret := range []string{b.o.password, b.o.passphrase} {
		if len(secret) > 3 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	e.Msg += ": " + text
	return &sshError{e}
}

// sshError is one that names the server already.
type sshError struct{ e *errs.Error }

func (e *sshError) Error() string { return e.e.Error() }
func (e *sshError) Unwrap() error { return e.e }

func (b *sshBackend) classify(code uint32, doing string) (errs.Kind, string) {
	switch code {
	case fxNoSuchFile:
		if strings.HasPrefix(doing, "write") {
			return errs.Config, "The folder of the address cannot be made there: check its path."
		}
		return errs.NotFound, ""
	case fxPermissionDenied, fxWriteProtect:
		who := b.o.user
		if who == "" {
			who = "the user"
		}
		return errs.Denied, fmt.Sprintf("On the server, %s lacks the permission: check owner and mode of the folder, and the path of the address.", who)
	case fxNoSpace, fxQuotaExceeded:
		return errs.Conflict, "Make room on the server, or raise the quota, and try again: what is there already is not sent twice."
	case fxFailure:
		if strings.HasPrefix(doing, "write") {
			return errs.Other, "The server does not say why: look for free space (df) and quota there."
		}
		return errs.Other, ""
	case fxNoConnection, fxConnectionLost:
		return errs.Unavailable, ""
	case fxUnsupported:
		return errs.Unsupported, ""
	}
	return errs.Other, ""
}
