package remote

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/progress"
)

// RetryOptions say how long to insist. The zero value is the usual case.
type RetryOptions struct {
	Tries int           // how often to try in all; 0 is 6
	First time.Duration // wait after the first failure, doubled each time; 0 is 250 ms
	Most  time.Duration // longest wait, also for a server that asks for more; 0 is 20 s
	Stall time.Duration // end a request after this long without a byte; 0 is one minute

	// Requests hears of each try; may be nil.
	Requests *progress.Meter

	// Sleep waits, for tests; nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Tries <= 0 {
		o.Tries = 6
	}
	if o.First <= 0 {
		o.First = 250 * time.Millisecond
	}
	if o.Most <= 0 {
		o.Most = 20 * time.Second
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// WithRetry returns b with patience and its limit: what fails as
// errs.Unavailable is tried again, a download that breaks goes on where it
// was, and what stands still for too long is ended as Unavailable. A server
// that wants fewer requests gets fewer: see [Throttled]. [As] finds
// b's abilities in it, each with the same patience; a write that is tried
// again may leave a version more than it says.
func WithRetry(b Backend, o RetryOptions) Backend {
	return &retrier{b: b, o: o.withDefaults(), lim: limiter{most: float64(max(1, b.Properties().Concurrency))}}
}

type retrier struct {
	b   Backend
	o   RetryOptions
	lim limiter
}

// As gives the abilities of what is wrapped, with patience.
func (r *retrier) As(target any) bool {
	switch t := target.(type) {
	case *PartPutter:
		b, ok := As[PartPutter](r.b)
		*t = partRetrier{r, b}
		return ok
	case *Describer:
		b, ok := As[Describer](r.b)
		*t = describeRetrier{r, b}
		return ok
	case *FolderKeeper:
		b, ok := As[FolderKeeper](r.b)
		*t = folderRetrier{r, b}
		return ok
	case *Versioned:
		b, ok := As[Versioned](r.b)
		*t = versionRetrier{r, b}
		return ok
	}
	return false
}

func (r *retrier) Properties() Properties { return r.b.Properties() }
func (r *retrier) Close() error           { return r.b.Close() }

// do calls f until it succeeds, fails for good, or has failed too often.
// Each call has a watch that f feeds if it moves bytes. A server that is only
// busy is asked twice as often.
func (r *retrier) do(ctx context.Context, f func(ctx context.Context, w *watch) error) error {
	return r.again(ctx, func(ctx context.Context, w *watch) (err error) {
		w.rest()
		if err := r.lim.acquire(ctx); err != nil {
			return err
		}
		w.feed()
		began := time.Now()
		defer func() { r.lim.release(began, err == nil, isThrottled(err)) }()
		return f(ctx, w)
	})
}

// again is do for what may itself ask the backend while it runs, and must
// therefore not wait for a turn.
func (r *retrier) again(ctx context.Context, f func(ctx context.Context, w *watch) error) error {
	fails := 0
	for try := 1; ; try++ {
		err := r.once(ctx, f)
		busy := isThrottled(err)
		if err == nil || ctx.Err() != nil || !errs.Is(err, errs.Unavailable) {
			return orCtx(ctx, err)
		}
		if fails += 2; busy {
			fails--
		}
		if fails >= 2*r.o.Tries {
			return gaveUp(err, try)
		}
		if serr := r.o.Sleep(ctx, r.pause(try, err)); serr != nil {
			return serr
		}
	}
}

// isThrottled reports whether the server wants fewer requests: every error that
// knows when to come back says so.
func isThrottled(err error) bool {
	var after interface{ RetryAfter() time.Duration }
	return errors.As(err, &after)
}

func (r *retrier) once(ctx context.Context, f func(ctx context.Context, w *watch) error) error {
	w := newWatch(ctx, r.o.Stall)
	defer w.end()
	began := r.o.Requests.Start()
	defer func() { r.o.Requests.Done(began, 1, 0) }()
	return w.why(f(w.ctx, w))
}

// orCtx prefers the plain context error to what a driver made of it.
func orCtx(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func gaveUp(err error, tries int) error {
	if tries < 2 {
		return err
	}
	return &errs.Error{Kind: errs.Unavailable, Msg: fmt.Sprintf("given up after %d tries", tries), Err: err}
}

// pause is the wait after the try-th failure: doubled each time, half of it
// by chance so that many clients do not come back at once.
func (r *retrier) pause(try int, err error) time.Duration {
	d := r.o.Most
	if shift := try - 1; shift < 16 && r.o.First<<shift < d {
		d = r.o.First << shift
	}
	d = d/2 + rand.N(d/2+1)
	var after interface{ RetryAfter() time.Duration }
	if errors.As(err, &after) {
		d = max(d, min(after.RetryAfter(), r.o.Most))
	}
	return d
}

func (r *retrier) Stat(ctx context.Context, key string) (size int64, err error) {
	err = r.do(ctx, func(ctx context.Context, _ *watch) error {
		size, err = r.b.Stat(ctx, key)
		return err
	})
	return size, err
}

func (r *retrier) Delete(ctx context.Context, keys []string) error {
	return r.do(ctx, func(ctx context.Context, _ *watch) error { return r.b.Delete(ctx, keys) })
}

// Put tries again only what can be read again.
func (r *retrier) Put(ctx context.Context, key string, size int64, src io.Reader) error {
	return r.put(ctx, src, func(ctx context.Context, src io.Reader) error { return r.b.Put(ctx, key, size, src) })
}

func (r *retrier) put(ctx context.Context, src io.Reader, put func(context.Context, io.Reader) error) error {
	seeker, canSeek := src.(io.ReadSeeker)
	if !canSeek {
		w := newWatch(ctx, r.o.Stall)
		defer w.end()
		return orCtx(ctx, w.why(put(w.ctx, fedReader{src, w})))
	}
	return r.do(ctx, func(ctx context.Context, w *watch) error {
		if _, err := seeker.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return put(ctx, fedSeeker{fedReader{seeker, w}, seeker})
	})
}

func (r *retrier) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	if l, ok := As[StepLister](r.b); ok {
		return l.ListBy(ctx, prefix, false, r.step)
	}
	return r.list(ctx, func(ctx context.Context) iter.Seq2[Entry, error] { return r.b.List(ctx, prefix) })
}

// step is a Step with patience.
func (r *retrier) step(ctx context.Context, f func(ctx context.Context) error) error {
	return r.do(ctx, func(ctx context.Context, _ *watch) error { return f(ctx) })
}

// list begins again after a failure and leaves out what it yielded before.
func (r *retrier) list(ctx context.Context, list func(context.Context) iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		seed := maphash.MakeSeed()
		seen := map[uint64]struct{}{} // 64 bits of each key, not the keys: listings are long
		stopped := false
		err := r.again(ctx, func(ctx context.Context, w *watch) error {
			for e, err := range list(ctx) {
				if err != nil {
					return err
				}
				h := maphash.String(seed, e.Key)
				if _, twice := seen[h]; twice {
					w.feed()
					continue
				}
				seen[h] = struct{}{}
				w.rest()
				if !yield(e, nil) {
					stopped = true
					return nil
				}
				w.feed()
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Entry{}, err)
		}
	}
}

func (r *retrier) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	return r.download(ctx, key, off, n, func(ctx context.Context, off, n int64) (io.ReadCloser, int64, error) {
		return r.b.Open(ctx, key, off, n)
	})
}

func (r *retrier) download(ctx context.Context, key string, off, n int64, open opener) (io.ReadCloser, int64, error) {
	d := &download{r: r, ctx: ctx, get: open, key: key, off: off, n: n}
	if err := r.do(ctx, func(_ context.Context, w *watch) error { return d.open(ctx) }); err != nil {
		return nil, 0, err
	}
	return d, d.size, nil
}

// opener opens a value at an offset.
type opener func(ctx context.Context, off, n int64) (io.ReadCloser, int64, error)

// download is a body that goes on after a break. Its digest is checked by
// whoever reads it, so a value replaced meanwhile is noticed.
type download struct {
	r      *retrier
	ctx    context.Context
	get    opener
	key    string
	off, n int64 // what is still to come; n < 0 is to the end
	size   int64 // of the whole value
	left   int64 // bytes that must still come; less than 0 is unknown
	fails  int   // since the last byte

	body io.ReadCloser
	w    *watch
}

func (d *download) open(ctx context.Context) error {
	w := newWatch(ctx, d.r.o.Stall)
	body, size, err := d.get(w.ctx, d.off, d.n)
	if err != nil {
		err = w.why(err)
		w.end()
		return err
	}
	w.rest()
	if d.w != nil && size >= 0 && d.size >= 0 && size != d.size {
		body.Close()
		w.end()
		return errs.New(errs.Conflict, "read %s: it was replaced while it was read", d.key)
	}
	d.body, d.w, d.size = body, w, size
	switch d.left = max(0, size-d.off); {
	case size < 0:
		d.left = -1
	case d.n >= 0:
		d.left = min(d.left, d.n)
	}
	return nil
}

// maxEmptyReads is how many reads of a body may yield nothing at all.
const maxEmptyReads = 100

func (d *download) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for empty := 0; ; {
		n, err := d.read(p)
		if n > 0 {
			d.fails = 0
			return n, err
		}
		if err == io.EOF {
			return 0, err
		}
		if err == nil {
			if empty++; empty < maxEmptyReads {
				continue
			}
			err = errs.New(errs.Unavailable, "read %s: %w", d.key, io.ErrNoProgress)
		}
		if d.ctx.Err() != nil {
			return 0, d.ctx.Err()
		}
		if d.fails++; d.fails >= d.r.o.Tries || !errs.Is(err, errs.Unavailable) {
			return 0, gaveUp(err, d.fails)
		}
		d.drop()
		if err := d.r.o.Sleep(d.ctx, d.r.pause(d.fails, err)); err != nil {
			return 0, err
		}
	}
}

// read reads once, opening the body anew if it was lost.
func (d *download) read(p []byte) (int, error) {
	if d.body == nil {
		if err := d.open(d.ctx); err != nil {
			return 0, err
		}
	}
	if d.left == 0 || d.n == 0 {
		return 0, io.EOF
	}
	if d.left > 0 && int64(len(p)) > d.left {
		p = p[:d.left] // a server that sends more than it announced is cut
	}
	d.w.feed()
	n, err := d.body.Read(p)
	d.w.rest()
	d.off += int64(n)
	if d.left > 0 {
		d.left -= int64(n)
	}
	if d.n >= 0 {
		d.n -= int64(n)
	}
	switch {
	case n > 0:
		return n, nil // an error comes again with the next read
	case err == io.EOF && d.left < 0:
		return 0, err
	case err == io.EOF:
		return 0, errs.New(errs.Unavailable, "read %s: the body ended %d bytes early", d.key, d.left)
	}
	return 0, d.w.why(err)
}

// Partial reports whether the body is the range that was asked for.
func (d *download) Partial() bool { return isPartial(d.body) }

func (d *download) drop() {
	if d.body != nil {
		d.body.Close()
		d.w.end()
		d.body = nil
	}
}

func (d *download) Close() error { d.drop(); return nil }

type describeRetrier struct {
	*retrier
	b Describer
}

func (r describeRetrier) Describe(ctx context.Context, key string) (e Entry, err error) {
	err = r.do(ctx, func(ctx context.Context, _ *watch) error {
		e, err = r.b.Describe(ctx, key)
		return err
	})
	return e, err
}

type versionRetrier struct {
	*retrier
	b Versioned
}

func (r versionRetrier) OpenVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, int64, error) {
	return r.download(ctx, key, off, n, func(ctx context.Context, off, n int64) (io.ReadCloser, int64, error) {
		return r.b.OpenVersion(ctx, key, version, off, n)
	})
}

func (r versionRetrier) PutVersion(ctx context.Context, key string, size int64, src io.Reader) (e Entry, err error) {
	err = r.put(ctx, src, func(ctx context.Context, src io.Reader) error {
		e, err = r.b.PutVersion(ctx, key, size, src)
		return err
	})
	return e, err
}

func (r versionRetrier) DescribeVersion(ctx context.Context, key, version string) (e Entry, err error) {
	err = r.do(ctx, func(ctx context.Context, _ *watch) error {
		e, err = r.b.DescribeVersion(ctx, key, version)
		return err
	})
	return e, err
}

func (r versionRetrier) ListVersions(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	if l, ok := As[StepLister](r.retrier.b); ok {
		return l.ListBy(ctx, prefix, true, r.step)
	}
	return r.list(ctx, func(ctx context.Context) iter.Seq2[Entry, error] { return r.b.ListVersions(ctx, prefix) })
}

type partRetrier struct {
	*retrier
	b PartPutter
}

// BeginParts starts a value in parts; each part is tried again by itself.
func (r partRetrier) BeginParts(ctx context.Context, key string) (parts Parts, err error) {
	err = r.do(ctx, func(ctx context.Context, _ *watch) error {
		parts, err = r.b.BeginParts(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &partsRetrier{r.retrier, parts}, nil
}

type partsRetrier struct {
	r *retrier
	p Parts
}

// Put gives a part, which hides its progress, time by its length: a stall
// apart from some 64 KiB a second.
func (p *partsRetrier) Put(ctx context.Context, i int, b []byte) error {
	return p.r.do(ctx, func(ctx context.Context, w *watch) error {
		w.allow(time.Duration(len(b)/(64<<10)) * time.Second)
		return p.p.Put(ctx, i, b)
	})
}

// Complete may take a server minutes for many parts.
func (p *partsRetrier) Complete(ctx context.Context, n int, size int64) error {
	return p.r.do(ctx, func(ctx context.Context, w *watch) error {
		w.allow(time.Duration(n) * time.Second)
		return p.p.Complete(ctx, n, size)
	})
}

func (p *partsRetrier) Abort(ctx context.Context) error {
	return p.r.do(ctx, func(ctx context.Context, _ *watch) error { return p.p.Abort(ctx) })
}

// watch ends its context when it is not fed for too long.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// errStall is the cause of a context that a watch ended.
var errStall = errors.New("stalled")

func newWatch(ctx context.Context, limit time.Duration) *watch {
	w := &watch{limit: limit}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(limit, func() { w.cancel(errStall) })
	return w
}

// feed says that something moved, and starts the clock anew.
func (w *watch) feed() { w.timer.Reset(w.limit) }

// rest stops the clock while it is the caller's turn.
func (w *watch) rest() { w.timer.Stop() }

// allow grants more time once.
func (w *watch) allow(d time.Duration) { w.timer.Reset(w.limit + d) }

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// why turns the error of a call that the watch ended into what it means.
func (w *watch) why(err error) error {
	if err != nil && context.Cause(w.ctx) == errStall {
		return errs.New(errs.Unavailable, "no byte moved for %v", w.limit)
	}
	return err
}

type fedReader struct {
	io.Reader
	w *watch
}

func (f fedReader) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.w.feed()
	return n, err
}

type fedSeeker struct {
	fedReader
	io.Seeker
}
