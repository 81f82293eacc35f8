package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// restTimeout bounds connecting, the first byte of an answer, and silence.
const restTimeout = time.Minute

// restBodyLimit is how much of an answer that is no value is looked at.
const restBodyLimit = 64 << 20

// restClient is what the drivers that speak HTTP themselves have in common.
type restClient struct {
	http    *http.Client
	name    string   // of the remote, for hints
	where   string   // bucket or container, for messages
	secrets []string // never printed
}

// newRESTClient makes a client that follows no redirect: credentials stay
// with the host they are for. connect and read are limits; 0 is the usual.
func newRESTClient(c Config, where string, jobs int, connect, read time.Duration) restClient {
	or := func(d time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return restTimeout
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: or(connect), KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   or(connect),
		ResponseHeaderTimeout: or(read),
		MaxIdleConnsPerHost:   jobs + 4,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		HTTP2:                 pings(or(read)),
		DisableCompression:    true, // stored bytes are wanted, and lengths
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return restClient{http: &http.Client{Transport: t, CheckRedirect: stay}, name: c.Name, where: where}
}

func (c *restClient) close() { c.http.CloseIdleConnections() }

// scrub takes secrets out of a message and keeps it to one line.
func (c *restClient) scrub(msg string) string {
	for _, s := range c.secrets {
		msg = strings.ReplaceAll(msg, s, "***")
	}
	msg = strings.Join(strings.Fields(msg), " ")
	if len(msg) > 500 {
		msg = strings.ToValidUTF8(msg[:500], "") + "..."
	}
	return msg
}

// send does a request. An error has its class; any answer is none.
func (c *restClient) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.netError(req.Context(), err)
	}
	return resp, nil
}

// netError classifies a failure without an answer, which may come from the
// reader of what is sent.
func (c *restClient) netError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if ours, ok := errors.AsType[*errs.Error](err); ok {
		return ours
	}
	// The address that net/http puts before the cause may hold a signature.
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, netErr := errors.AsType[net.Error](err)
	text := err.Error()
	e := &errs.Error{Kind: errs.Other, Msg: c.where + ": " + c.scrub(text)}
	switch {
	case badCert || unknownCA:
		e.Kind, e.Hint = errs.Config, "The server's certificate is not trusted here: check its address, proxies on the way, and SSL_CERT_FILE."
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		e.Kind, e.Hint = errs.Config, "The server speaks http, but its address says https."
	case netErr, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(text, "connection reset"), strings.Contains(text, "server closed"), strings.Contains(text, "transport connection broken"), strings.Contains(text, "http2:"):
		e.Kind, e.Hint = errs.Unavailable, "Check the network, and the address of the remote."
	}
	return e
}

// clockHint is for refusals: a server that has another time than this machine
// by more than it would forgive.
func clockHint(h http.Header, hint string) string {
	const forgiven = 5 * time.Minute
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return hint
	}
	if off := time.Since(at); off.Abs() > forgiven {
		return fmt.Sprintf("The clock of this machine is wrong: the server's differs by %v.", off.Abs().Round(time.Minute))
	}
	return hint
}

// statusKind is what a status means where nothing better is known.
func statusKind(status int) errs.Kind {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return errs.NotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return errs.Denied
	case status == http.StatusNotImplemented, status == http.StatusMethodNotAllowed:
		return errs.Unsupported
	case status == http.StatusInsufficientStorage, status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return errs.Conflict
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return errs.Unavailable
	case status >= 300 && status < 400:
		return errs.Config // an address that leads elsewhere
	}
	return errs.Other
}

// withRetryAfter lets an Unavailable error know when to come back, and that the
// server wants fewer requests.
func withRetryAfter(e *errs.Error, status int, h http.Header) error {
	after := h.Get("Retry-After")
	if busy := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; e.Kind == errs.Unavailable && (busy || after != "") {
		return Throttled(e, parseRetryAfter(after))
	}
	return e
}

// readAnswer reads the whole of a short answer and closes it.
func (c *restClient) readAnswer(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, restBodyLimit))
	if err != nil {
		return nil, c.netError(ctx, err)
	}
	return b, nil
}

// answers reads the answers to the requests of a batch; ok is false if data is
// no list of them.
func answers(contentType string, data []byte) (list []*http.Response, ok bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/mixed" {
		return nil, false
	}
	for r := multipart.NewReader(bytes.NewReader(data), params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return list, true
		}
		if err != nil {
			return nil, false
		}
		// Some leave out the empty line after the headers of an answer without body.
		one, err := http.ReadResponse(bufio.NewReader(io.MultiReader(part, strings.NewReader("\r\n\r\n"))), &http.Request{Method: http.MethodDelete})
		if err != nil {
			return nil, false
		}
		// The next part ends this one's body.
		body, err := io.ReadAll(one.Body)
		if err != nil {
			return nil, false
		}
		one.Body = io.NopCloser(bytes.NewReader(body))
		list = append(list, one)
	}
}

// drain reads the rest of an answer, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 256<<10))
	resp.Body.Close()
}

// rangeHeader asks for n bytes from off; "" is for the whole.
func rangeHeader(off, n int64) string {
	switch {
	case n >= 0:
		return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		return fmt.Sprintf("bytes=%d-", off)
	}
	return ""
}

// totalOf reads the length of the whole from a Content-Range; -1 is unknown.
func totalOf(contentRange string) int64 {
	_, total, ok := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || n < 0 {
		return -1
	}
	return n
}

// restBody translates errors and tells an early end from the end.
type restBody struct {
	ctx  context.Context
	c    *restClient
	r    io.ReadCloser
	left int64
	only bool // the server sends this part alone
}

// Partial reports whether the server knows ranges.
func (r *restBody) Partial() bool { return r.only }

// body is what there is to read of an answer for n bytes from off of a value
// of a size. If all of it came, what was not asked for is left out.
func (c *restClient) body(ctx context.Context, resp *http.Response, off, n, size int64) (io.ReadCloser, error) {
	b := c.part(ctx, resp.Body, off, n, size)
	b.only = resp.StatusCode == http.StatusPartialContent
	if resp.StatusCode == http.StatusPartialContent || off == 0 {
		return b, nil
	}
	whole := c.part(ctx, resp.Body, 0, -1, size)
	if _, err := io.CopyN(io.Discard, whole, min(off, size)); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return b, nil
}

func (c *restClient) part(ctx context.Context, r io.ReadCloser, off, n, size int64) *restBody {
	left := max(0, size-off)
	if n >= 0 {
		left = min(left, n)
	}
	return &restBody{ctx: ctx, c: c, r: r, left: left}
}

func (r *restBody) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && r.left > 0:
		return n, errs.New(errs.Unavailable, "%s: the body ended %d bytes early", r.c.where, r.left)
	case err == io.EOF:
		return n, io.EOF
	}
	return n, r.c.netError(r.ctx, err)
}

func (r *restBody) Close() error { return r.r.Close() }

// emptyBody is what there is to read beyond the end.
func emptyBody() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }

// putStream stores what cannot be read twice: whole if it is short, else in
// parts as they come.
func putStream(ctx context.Context, b interface {
	Backend
	PartPutter
}, where, key string, size int64, r io.Reader) error {
	buf := make([]byte, min(size+1, max(wholeLimit, size/int64(b.Properties().MaxParts)+1)))
	n, err := io.ReadFull(r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && int64(n) > size {
		return b.Put(ctx, key, size, bytes.NewReader(buf[:n]))
	}
	if err != nil {
		return err
	}
	parts, err := b.BeginParts(ctx, key)
	if err != nil {
		return err
	}
	var total int64
	count := 0
	for err == nil && n > 0 {
		if err = parts.Put(ctx, count, buf[:n]); err != nil {
			break
		}
		count++
		if total += int64(n); total > size {
			break
		}
		if n, err = io.ReadFull(r, buf); err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
	}
	if err == nil && total != size {
		err = errs.New(errs.Corrupt, "%s: %d bytes came for %s instead of %d", where, total, key, size)
	}
	if err == nil {
		err = parts.Complete(ctx, count, size)
	}
	if err != nil {
		actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		_ = parts.Abort(actx)
	}
	return err
}

// hashTwice reads body to its end through w, checks its length, and goes back
// to the start.
func hashTwice(w io.Writer, body io.ReadSeeker, where, key string, size int64) error {
	n, err := io.Copy(w, body)
	if err != nil {
		return err
	}
	if n != size {
		return errs.New(errs.Corrupt, "%s: %d bytes came for %s instead of %d", where, n, key, size)
	}
	_, err = body.Seek(0, io.SeekStart)
	return err
}

// castagnoli is the table of CRC-32C, made when it is first asked for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// combineCRC32C gives the checksum of a followed by n bytes with checksum b:
// what n zero bytes make of a, by squaring the matrix that one zero bit is.
func combineCRC32C(a, b uint32, n int64) uint32 {
	times := func(m *[32]uint32, v uint32) (sum uint32) {
		for i := 0; v != 0; i, v = i+1, v>>1 {
			if v&1 != 0 {
				sum ^= m[i]
			}
		}
		return sum
	}
	square := func(m [32]uint32) (sq [32]uint32) {
		for i := range m {
			sq[i] = times(&m, m[i])
		}
		return sq
	}
	var m [32]uint32 // one zero bit
	m[0] = crc32.Castagnoli
	for i := 1; i < 32; i++ {
		m[i] = 1 << (i - 1)
	}
	m = square(square(square(m))) // one zero byte
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = times(&m, a)
		}
		m = square(m)
	}
	return a ^ b
}

// RecordedETag is an ETag, as [Meta] has it, in the form in which DVC records
// it for data at a URL of a scheme: hexadecimal for gs, quoted for azure.
func RecordedETag(scheme, etag string) string {
	switch {
	case etag == "":
	case scheme == "gs":
		if raw, err := base64.StdEncoding.DecodeString(etag); err == nil {
			return hex.EncodeToString(raw)
		}
	case scheme == "azure":
		return `"` + etag + `"`
	}
	return etag
}
