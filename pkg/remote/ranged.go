package remote

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// One stream of a long line or of a cloud is slower than the line is. When
// the reader of a large object waits for most of the time, and fewer objects
// are under way than may be, ranges ahead of it are fetched beside it.
//
// The object begins as one plain request to its end, and stays that if the
// reader is the slower side: that costs no request more. Otherwise the stream is cut
// some way ahead, and from there on parts come through buffers, in order, as
// many at once as streams and memory are spare. Whoever reads hashes what it
// gets, so an object that is replaced between two ranges is wrong bytes like
// any others, and is read once more from the start.
const (
	rangedLeast = 32 << 20 // of an object that is worth it
	rangePart   = 8 << 20
	rangeMost   = 8       // parts of one object under way or waiting to be read
	rangeLook   = 1 << 20 // how often the reader looks whether it waits

	// rangeWait is how long a stream that is to be cut waits for the first part's
	// answer.
	rangeWait = time.Second
	// A reader that waits for so much of the time gets another stream.
	rangeHungry = 0.6
)

// streams are those that may be opened besides the one of each object under
// way. Nil has none.
type streams struct{ spare atomic.Int64 }

func (s *streams) take() bool {
	if s == nil {
		return false
	}
	for {
		n := s.spare.Load()
		if n <= 0 {
			return false
		}
		if s.spare.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (s *streams) give(n int) { s.spare.Add(int64(n)) }

// isPartial reports whether a body is known to be only the range that was asked
// for, and not the whole with the rest left out.
func isPartial(r io.Reader) bool {
	p, ok := r.(interface{ Partial() bool })
	return ok && p.Partial()
}

// openRanged is OpenUnverified with ranges in parallel where that pays, as long
// as more has streams to spare.
func (s *Store) openRanged(ctx context.Context, d object.Digest, more *streams) (io.ReadCloser, int64, error) {
	if d.IsZero() {
		return nil, 0, errs.New(errs.Invalid, "no digest")
	}
	r := &rangedBody{s: s, d: d, ctx: ctx, more: more}
	if err := r.openHead(); err != nil {
		return nil, 0, s.wrap(err, "read", d)
	}
	if r.size < rangedLeast {
		r.more = nil
	}
	return named{r, s, d}, r.size, nil
}

// rangedBody is an object being read, by one goroutine at a time. Each part is
// fetched by another.
type rangedBody struct {
	s    *Store
	d    object.Digest
	ctx  context.Context
	more *streams // nil once ranges are of no use
	size int64    // -1 is unknown
	at   int64    // the next byte to be read

	head io.ReadCloser // the plain stream; nil after its cut
	cut  int64         // where it ends; -1 is the object's end
	lent bool          // the stream that head needed serves others

	parts  []*rangePiece // what comes after head, in order
	next   int64         // where the next part begins
	want   int           // parts that may be there
	pctx   context.Context
	cancel context.CancelFunc // ends the parts

	mark   time.Time // since then
	moved  int64     // so much was read,
	waited time.Duration
}

// rangePiece is a part on its way.
type rangePiece struct {
	off, n int64
	buf    *buffer
	read   int // of buf, by the reader

	said chan struct{} // closed when the server has answered

	mu    sync.Mutex
	cond  sync.Cond
	ready int   // bytes of buf that are there
	open  bool  // the server sends this range
	done  bool  // nothing more comes
	err   error // why, if not all did
}

// errWhole is why a part was given up of which the server sends everything.
var errWhole = errors.New("the server has no ranges")

func (r *rangedBody) openHead() error {
	var body io.ReadCloser
	var size int64
	err := r.s.request(r.ctx, func() (err error) {
		body, size, err = r.s.b.Open(r.ctx, r.d.Key(), r.at, -1)
		return err
	})
	if err != nil {
		return err
	}
	if r.at > 0 && size != r.size {
		body.Close()
		return r.replaced()
	}
	r.lend(false)
	r.head, r.cut, r.size = body, -1, size
	r.look()
	return nil
}

// lend gives the plain stream's place to parts of whatever object, or takes
// it back.
func (r *rangedBody) lend(yes bool) {
	if r.lent != yes {
		if r.lent = yes; yes {
			r.more.give(1)
		} else {
			r.more.give(-1)
		}
	}
}

func (r *rangedBody) replaced() error {
	return errs.New(errs.Corrupt, "object %s was replaced in %s while it was read", r.d, r.s.name)
}

// look begins a new measurement.
func (r *rangedBody) look() { r.mark, r.moved, r.waited = time.Now(), 0, 0 }

func (r *rangedBody) Read(p []byte) (int, error) {
	for {
		var n int
		var err error
		switch {
		case r.head != nil:
			n, err = r.readHead(p)
		case len(r.parts) > 0:
			n, err = r.readPart(p)
		case r.at >= r.size:
			return 0, io.EOF
		default:
			// There was no stream or no memory for a part.
			err = r.openHead()
		}
		if n == 0 && err == nil {
			continue
		}
		r.at += int64(n)
		if r.moved += int64(n); r.moved >= rangeLook && r.more != nil {
			r.grow()
		}
		return n, err
	}
}

// readHead reads from the plain stream, up to where it is cut.
func (r *rangedBody) readHead(p []byte) (int, error) {
	if r.cut >= 0 && r.at >= r.cut {
		if q := r.parts[0]; q.answer(r.ctx, r.s.partWait) {
			r.head.Close()
			r.head = nil
			r.lend(true)
			return 0, nil
		}
		r.plain() // as if nothing had been
	}
	if r.cut >= 0 {
		p = p[:min(int64(len(p)), r.cut-r.at)]
	}
	began := time.Now()
	n, err := r.head.Read(p)
	r.waited += time.Since(began)
	return n, err
}

// readPart reads from the first part.
func (r *rangedBody) readPart(p []byte) (int, error) {
	q := r.parts[0]
	began := time.Now()
	b, err := q.wait()
	r.waited += time.Since(began)
	if len(b) == 0 {
		if err == errWhole {
			r.plain()
			return 0, r.openHead()
		}
		return 0, orCtx(r.ctx, err)
	}
	n := copy(p, b)
	if q.read += n; int64(q.read) == q.n {
		q.buf.free()
		r.parts = r.parts[1:]
		for len(r.parts) < r.want && r.start() {
		}
	}
	return n, nil
}

// plain does without ranges from here on, and for the objects after this one
// if the server has none, or seems to answer one request after another and to
// wait for the plain stream's end before it begins a part.
func (r *rangedBody) plain() {
	switch err := r.parts[0].failed(); {
	case err == errWhole:
		r.s.noRanges.Store(true)
	case err == nil && r.s.unanswered.Add(1) >= 2:
		r.s.noRanges.Store(true)
	}
	r.drop()
	r.lend(false)
	r.more, r.cut = nil, -1
}

// drop ends all parts.
func (r *rangedBody) drop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	for _, q := range r.parts {
		q.finish()
		q.buf.free()
	}
	r.parts, r.cancel = nil, nil
}

// Close ends the requests of the object.
func (r *rangedBody) Close() error {
	r.drop()
	r.lend(false)
	if r.head == nil {
		return nil
	}
	return r.head.Close()
}

// grow starts one more part if the reader has waited most of the time.
func (r *rangedBody) grow() {
	hungry := r.waited.Seconds() >= r.s.hungry*time.Since(r.mark).Seconds()
	if r.look(); !hungry {
		return
	}
	switch {
	case len(r.parts) == 0 && r.head != nil:
		// The first part shows whether the server has ranges, before the plain
		// stream gets there.
		r.next, r.want = r.at+rangePart, 1
		if r.size-r.next >= rangePart && !r.s.noRanges.Load() && r.start() {
			r.cut = r.parts[0].off
		}
	case len(r.parts) > 0 && r.parts[0].opened():
		if r.want < rangeMost {
			r.want++
		}
		for len(r.parts) < r.want && r.start() {
		}
	}
}

// start begins to fetch the next part, if there is one, and a stream and
// memory for it.
func (r *rangedBody) start() bool {
	if r.more == nil || r.next >= r.size || !r.more.take() {
		return false
	}
	q := &rangePiece{said: make(chan struct{}), off: r.next, n: min(rangePart, r.size-r.next)}
	q.cond.L = &q.mu
	if q.buf = r.s.tryBuffer(q.n); q.buf == nil {
		r.more.give(1)
		return false
	}
	if r.cancel == nil {
		r.pctx, r.cancel = context.WithCancel(r.ctx)
	}
	r.next += q.n
	r.parts = append(r.parts, q)
	more := r.more
	go func(ctx context.Context) {
		err := r.fetch(ctx, q)
		more.give(1)
		q.tell(func() {
			if q.done, q.err = true, err; !q.open {
				close(q.said)
			}
		})
	}(r.pctx)
	return true
}

// fetch reads a part into its buffer.
func (r *rangedBody) fetch(ctx context.Context, q *rangePiece) error {
	var body io.ReadCloser
	var size int64
	err := r.s.request(ctx, func() (err error) {
		body, size, err = r.s.b.Open(ctx, r.d.Key(), q.off, q.n)
		return err
	})
	if err != nil {
		return err
	}
	defer body.Close()
	if size != r.size {
		return r.replaced()
	}
	if !isPartial(body) {
		return errWhole
	}
	q.tell(func() { q.open = true; close(q.said) })
	for at := 0; int64(at) < q.n; {
		n, err := body.Read(q.buf.b[at:min(int64(at)+rangeLook/4, q.n)])
		at += n
		q.tell(func() { q.ready = at })
		switch {
		case int64(at) == q.n:
		case err == io.EOF:
			return errs.New(errs.Unavailable, "a range ended %d bytes early", q.n-int64(at))
		case err != nil:
			return err
		}
	}
	return nil
}

// tell changes the state that the reader looks at.
func (q *rangePiece) tell(change func()) {
	q.mu.Lock()
	change()
	q.mu.Unlock()
	q.cond.Signal()
}

// wait returns what has come and was not read, or why nothing more comes.
func (q *rangePiece) wait() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.ready == q.read && !q.done {
		q.cond.Wait()
	}
	return q.buf.b[q.read:q.ready], q.err
}

// opened reports whether the server sends the part.
func (q *rangePiece) opened() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open
}

// answer is opened, after at most so long a wait.
func (q *rangePiece) answer(ctx context.Context, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-q.said:
	case <-t.C:
	case <-ctx.Done():
	}
	return q.opened()
}

// failed returns why the part does not come, nil if it may.
func (q *rangePiece) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// finish waits until nothing more is written to the buffer.
func (q *rangePiece) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.done {
		q.cond.Wait()
	}
}
