package remote

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// httpBackend keeps bytes on a web server, each key below the address of the
// remote. Such a server cannot list, and a value is written straight to its
// name as DVC does it: whether others may see it half is the server's choice,
// so its length is asked for afterwards.
type httpBackend struct {
	w      *webClient
	noHead atomic.Bool // the server does not answer HEAD

	pageMu    sync.Mutex
	pageAsked bool
	page      *http.Response // what it answers for what it cannot have; nil is a refusal
}

var _ Describer = (*httpBackend)(nil)

func openHTTP(ctx context.Context, c Config, env Env) (Backend, error) {
	o, err := parseHTTP(ctx, c, env)
	if err != nil {
		return nil, err
	}
	w, err := newWebClient(c, env, o)
	if err != nil {
		return nil, err
	}
	return &httpBackend{w: w}, nil
}

func (b *httpBackend) retryOptions() RetryOptions { return b.w.retryOptions() }

func (b *httpBackend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.w.jobs}}
}

func (b *httpBackend) Close() error { b.w.close(); return nil }

// Stat asks for the length, and counts the bytes if the server does not say.
// A page that the server has for everything is no value.
func (b *httpBackend) Stat(ctx context.Context, key string) (int64, error) {
	e, resp, err := b.describe(ctx, key)
	if err != nil {
		return 0, err
	}
	if err := b.notForAll(ctx, key, resp); err != nil {
		return 0, err
	}
	if e.Size >= 0 {
		return e.Size, nil
	}
	r, _, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

// notForAll refuses what the server would have answered for any key: a login
// page in place of objects must not be taken for them. The server is asked once
// for something that it cannot have.
func (b *httpBackend) notForAll(ctx context.Context, key string, resp *http.Response) error {
	b.pageMu.Lock()
	defer b.pageMu.Unlock()
	if !b.pageAsked {
		_, page, err := b.describe(ctx, "cairn-"+rand.Text())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			b.page = page
		}
		b.pageAsked = true
	}
	switch {
	case b.page == nil:
		return nil
	case isElsewhere(b.page) && isElsewhere(resp):
		return errs.WithHint(errs.New(errs.Config, "%s: in place of what it has, the server sends to %s", b.w.where, webOrigin(resp.Request.URL)+resp.Request.URL.EscapedPath()),
			"It may want a login. %s", b.w.o.loginHint(b.w.name, resp))
	case isHTML(resp) && isHTML(b.page):
		return errs.New(errs.NotFound, "%s: for %s the server has only the page that it has for everything", b.w.where, key)
	}
	return nil
}

func isHTML(resp *http.Response) bool {
	return strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/html")
}

// isElsewhere is whether an answer came from another place than was asked.
func isElsewhere(resp *http.Response) bool { return resp.Request.Response != nil }

// Describe asks with HEAD, or by the first byte where the server refuses that,
// or says a length that cannot be relied on. Size is -1 if it says none.
func (b *httpBackend) Describe(ctx context.Context, key string) (Entry, error) {
	e, _, err := b.describe(ctx, key)
	return e, err
}

// describe is Describe, and the answer, whose body is over.
func (b *httpBackend) describe(ctx context.Context, key string) (Entry, *http.Response, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, nil, err
	}
	if !b.noHead.Load() {
		resp, err := b.w.do(b.w.request(ctx, http.MethodHead, key))
		if err != nil {
			return Entry{}, nil, err
		}
		e := Entry{Key: key, Size: webLength(resp), Meta: webMeta(resp.Header)}
		switch s := resp.StatusCode; {
		case s == http.StatusOK && e.Size > 0:
			webDiscard(resp)
			return e, resp, nil
		case s == http.StatusOK, s == http.StatusNoContent, isHeadRefused(s):
			// Some frameworks say 0 for every HEAD; addresses signed for GET are
			// refused.
			webDiscard(resp)
			if s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented {
				b.noHead.Store(true)
			}
		default:
			return Entry{}, nil, b.w.fail(resp)
		}
	}
	req := b.w.request(ctx, http.MethodGet, key)
	req.Header.Set("Range", "bytes=0-0")
	resp, err := b.w.do(req)
	if err != nil {
		return Entry{}, nil, err
	}
	e := Entry{Key: key, Size: -1, Meta: webMeta(resp.Header)}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		_, e.Size = webRange(resp.Header)
	case http.StatusRequestedRangeNotSatisfiable:
		e.Size = 0 // there is not even a first byte
	case http.StatusOK:
		e.Size = webLength(resp)
		resp.Body.Close() // it may be long
		return e, resp, nil
	case http.StatusNoContent:
		e.Size = 0
	default:
		return Entry{}, nil, b.w.fail(resp)
	}
	webDiscard(resp)
	return e, resp, nil
}

// isHeadRefused is whether the refusal of a HEAD may not be one of a GET.
func isHeadRefused(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

// webLength is the length of a whole value, -1 if the answer does not say.
func webLength(resp *http.Response) int64 {
	if isDecoded(resp.Header) {
		return -1 // it is that of the compressed bytes
	}
	if resp.ContentLength < 0 {
		return -1
	}
	if resp.ContentLength == 0 && resp.Request.Method == http.MethodHead && resp.Header.Get("Content-Length") == "" {
		return -1
	}
	return resp.ContentLength
}

// webMeta is what headers tell of a value.
func webMeta(h http.Header) Meta {
	m := Meta{ETag: bareETag(h.Get("ETag")), Checksum: h.Get("ETag")}
	if m.Checksum == "" {
		m.Checksum = h.Get("Content-Md5")
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		m.ModTime = t
	}
	return m
}

// bareETag takes the quotes off.
func bareETag(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// webRange reads Content-Range; either is -1 if it is not known.
func webRange(h http.Header) (off, size int64) {
	off, size = -1, -1
	unit, rest, _ := strings.Cut(strings.TrimSpace(h.Get("Content-Range")), " ")
	span, total, ok := strings.Cut(rest, "/")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return off, size
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64); err == nil && n >= 0 {
		size = n
	}
	first, _, _ := strings.Cut(span, "-")
	if n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64); err == nil && n >= 0 {
		off = n
	}
	return off, size
}

// Open reads with a range, or skips what comes before it where the server
// knows no ranges.
func (b *httpBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	if err := CheckKey(key); err != nil {
		return nil, 0, err
	}
	if n == 0 {
		size, err := b.Stat(ctx, key)
		return io.NopCloser(bytes.NewReader(nil)), size, err
	}
	resp, err := b.w.get(ctx, key, off, n)
	if err != nil {
		return nil, 0, err
	}
	return b.w.read(resp, off, n, func() (int64, error) { return b.Stat(ctx, key) })
}

// get asks for n bytes from off.
func (w *webClient) get(ctx context.Context, key string, off, n int64) (*http.Response, error) {
	req := w.request(ctx, http.MethodGet, key)
	switch {
	case n > 0 && off <= math.MaxInt64-n:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	return w.do(req)
}

// read makes of the answer to get what Backend.Open returns. stat is for a
// length that the answer does not tell.
func (w *webClient) read(resp *http.Response, off, n int64, stat func() (int64, error)) (io.ReadCloser, int64, error) {
	size, skip := int64(-1), int64(0)
	switch resp.StatusCode {
	case http.StatusPartialContent:
		var first int64
		if first, size = webRange(resp.Header); first > off || first < 0 {
			webDiscard(resp)
			return nil, 0, errs.New(errs.Unsupported, "%s: the server answered with another range than was asked for", w.where)
		}
		skip = off - first
	case http.StatusRequestedRangeNotSatisfiable:
		_, size = webRange(resp.Header)
		webDiscard(resp)
		if size < 0 {
			var err error
			if size, err = stat(); err != nil {
				return nil, 0, err
			}
		}
		return io.NopCloser(bytes.NewReader(nil)), size, nil
	case http.StatusOK:
		size, skip = webLength(resp), off
	case http.StatusNoContent:
		webDiscard(resp)
		return io.NopCloser(bytes.NewReader(nil)), 0, nil
	default:
		return nil, 0, w.fail(resp)
	}
	body := &webBody{w: w, ctx: resp.Request.Context(), r: resp.Body, close: resp.Body, skip: skip, n: n, left: -1}
	body.only = resp.StatusCode == http.StatusPartialContent && skip == 0
	body.step = max(webBuffer, skip/(maxEmptyReads/2))
	if size >= 0 {
		if body.left = max(0, size-off); n >= 0 {
			body.left = min(body.left, n)
		}
	}
	if err := body.decode(resp.Header); err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	if size >= 0 && off >= size {
		resp.Body.Close()
		return io.NopCloser(bytes.NewReader(nil)), size, nil
	}
	return body, size, nil
}

// webBody is a part of an answer. It translates errors and tells an early end
// from the end.
type webBody struct {
	w     *webClient
	ctx   context.Context
	r     io.Reader
	close io.Closer
	skip  int64 // bytes of r before the part
	step  int64 // how many of them are skipped by one Read
	n     int64 // most bytes of the part; less than 0 is all
	left  int64 // bytes of the part that must come; -1 is unknown
	only  bool  // the server sends this part alone
}

// Partial reports whether the server knows ranges.
func (r *webBody) Partial() bool { return r.only }

// isDecoded is whether an answer is compressed on its way, although it was
// asked not to be.
func isDecoded(h http.Header) bool {
	switch strings.ToLower(h.Get("Content-Encoding")) {
	case "", "identity", "x-gzip": // the last is how servers name what a file is anyway
		return false
	}
	return true
}

// decode undoes a compression.
func (r *webBody) decode(h http.Header) error {
	if !isDecoded(h) {
		return nil
	}
	switch enc := strings.ToLower(h.Get("Content-Encoding")); enc {
	case "gzip":
		r.r = &lazyReader{src: r.r, open: func(s io.Reader) (io.Reader, error) { return gzip.NewReader(s) }}
	case "deflate":
		r.r = &lazyReader{src: r.r, open: func(s io.Reader) (io.Reader, error) { return zlib.NewReader(s) }}
	default:
		return errs.New(errs.Unsupported, "%s: the server compresses by %q, which it was not asked for", r.w.where, enc)
	}
	return nil
}

// lazyReader opens a decompressor when the first byte is wanted, since that
// reads.
type lazyReader struct {
	src  io.Reader
	open func(io.Reader) (io.Reader, error)
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open(l.src)
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

func (r *webBody) Read(p []byte) (int, error) {
	if r.skip > 0 {
		k, err := io.CopyN(io.Discard, r.r, min(r.skip, r.step))
		r.skip -= k
		if err == io.EOF && r.left < 0 {
			return 0, io.EOF // beyond the end
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, r.w.netError(r.ctx, err)
		}
		return 0, nil // what is skipped is progress too
	}
	if r.left == 0 || r.n == 0 {
		return 0, io.EOF
	}
	if r.left > 0 {
		p = p[:min(int64(len(p)), r.left)]
	}
	if r.n > 0 {
		p = p[:min(int64(len(p)), r.n)]
	}
	n, err := r.r.Read(p)
	if r.left > 0 {
		r.left -= int64(n)
	}
	if r.n > 0 {
		r.n -= int64(n)
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && r.left > 0:
		return n, errs.New(errs.Unavailable, "%s: the body ended %d bytes early", r.w.where, r.left)
	case err == io.EOF:
		return n, io.EOF
	}
	if _, bad := errors.AsType[flate.CorruptInputError](err); bad || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) {
		return n, errs.New(errs.Corrupt, "%s: the server compresses, and what it sends cannot be decompressed: %w", r.w.where, err)
	}
	return n, r.w.netError(r.ctx, err)
}

func (r *webBody) Close() error { return r.close.Close() }

// Put sends a value to its name, by the method that the options name, and asks
// for the length of what the server has then.
func (b *httpBackend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	resp, err := b.w.send(ctx, b.w.o.method, b.w.target(key, false), size, r)
	if err != nil {
		return err
	}
	switch s := resp.StatusCode; {
	case s == http.StatusMethodNotAllowed, s == http.StatusNotImplemented:
		other := http.MethodPut
		if b.w.o.method == other {
			other = http.MethodPost
		}
		return errs.WithHint(b.w.fail(resp), "The server takes no %s there. Perhaps: cairn remote modify %s method %s", b.w.o.method, b.w.name, other)
	case !webAccepted(s):
		err := b.w.fail(resp)
		if errs.Is(err, errs.NotFound) { // not of the key: that is to be made
			err = errs.New(errs.Config, "%s: the server has no place for an upload there (%s)", b.w.where, webStatus(s))
		}
		return err
	}
	webDiscard(resp)
	got, err := b.Stat(ctx, key)
	switch {
	case errs.Is(err, errs.NotFound):
		return errs.WithHint(errs.New(errs.Config, "%s: the server accepted %s and does not have it", b.w.where, key),
			"Something else than a store of files may answer %s there: check the address, and the option method.", b.w.o.method)
	case err != nil:
		return err
	case got != size:
		return errs.New(errs.Unavailable, "%s: the server stored %d bytes of %s instead of %d", b.w.where, got, key, size)
	}
	return nil
}

// List is what web servers cannot do.
func (b *httpBackend) List(ctx context.Context, _ string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if ctx.Err() != nil {
			yield(Entry{}, ctx.Err())
			return
		}
		yield(Entry{}, errs.WithHint(errs.New(errs.Unsupported, "%s: a web server cannot list what it has", b.w.where),
			"If it speaks WebDAV, use its address with webdav:// or webdavs://."))
	}
}

// Delete removes keys with a request each.
func (b *httpBackend) Delete(ctx context.Context, keys []string) error {
	return b.w.deleteAll(ctx, keys)
}

func (w *webClient) deleteAll(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.jobs)
	for _, k := range keys {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return w.delete(gctx, k) })
	}
	return orCtx(ctx, g.Wait())
}

// delete removes one key, which may be absent. The depth keeps a folder of
// this name from being taken along.
func (w *webClient) delete(ctx context.Context, key string) error {
	req := w.request(ctx, http.MethodDelete, key)
	req.Header.Set("Depth", "0")
	resp, err := w.do(req)
	if err != nil {
		return err
	}
	switch s := resp.StatusCode; {
	case webAccepted(s), s == http.StatusNotFound, s == http.StatusGone:
		webDiscard(resp)
		return nil
	case s == http.StatusMethodNotAllowed, s == http.StatusNotImplemented:
		return errs.WithHint(w.fail(resp), "The server does not let anybody delete.")
	}
	return w.fail(resp)
}
