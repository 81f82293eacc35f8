package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/cairndata/cairn/pkg/errs"
)

const (
	// webTimeout bounds connecting, the first byte of an answer, and silence.
	webTimeout = time.Minute
	// webForever is a limit for who asks for none.
	webForever = 1000 * time.Hour
	// webDrain is how much of an answer nobody wants is read, so that its
	// connection can be used again.
	webDrain = 64 << 10
	// webRedirects is how often one request is sent elsewhere.
	webRedirects = 10
	// webBuffer is what a connection reads and writes at a time.
	webBuffer = 64 << 10
)

// webClient speaks HTTP with the server of one remote. It knows the limits,
// certificates, proxies and credentials; those go to the scheme, host and port
// of the remote's address and nowhere else, whatever a redirect says.
type webClient struct {
	o     *webOptions
	name  string // of the remote, for hints
	where string // its address without credentials, for messages
	http  *http.Client
	jobs  int
}

func newWebClient(c Config, env Env, o *webOptions) (*webClient, error) {
	w := &webClient{o: o, name: c.Name, jobs: c.Jobs,
		where: (&url.URL{Scheme: o.scheme, Host: o.url.Host, Path: o.url.Path, RawPath: o.url.RawPath}).String()}
	if w.jobs <= 0 {
		w.jobs = min(64, max(16, 4*runtime.NumCPU()))
	}
	tc, err := o.tls(c)
	if err != nil {
		return nil, err
	}
	proxy := webProxy(env)
	t := &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext:           (&net.Dialer{Timeout: o.connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       tc,
		TLSHandshakeTimeout:   o.connect,
		ResponseHeaderTimeout: o.read,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   w.jobs + 4,
		ForceAttemptHTTP2:     true,
		HTTP2:                 pings(o.read),
		DisableCompression:    true, // stored bytes are wanted, and their length
		ReadBufferSize:        webBuffer,
		WriteBufferSize:       webBuffer,
	}
	var rt http.RoundTripper = t
	if auth := o.authenticator(w); auth != nil {
		rt = &authTransport{next: t, origin: webOrigin(o.url), auth: auth}
	}
	w.http = &http.Client{Transport: idleCloser{rt, t}, CheckRedirect: w.redirect}
	return w, nil
}

// pings ask a connection of HTTP/2 that has been silent whether it is alive. All
// requests share it, so that each try would wait for a dead one.
func pings(silence time.Duration) *http.HTTP2Config {
	const most = 15 * time.Second
	wait := min(most, silence/3)
	return &http.HTTP2Config{SendPingTimeout: wait, PingTimeout: wait}
}

// idleCloser lets the client close the connections below.
type idleCloser struct {
	http.RoundTripper
	t *http.Transport
}

func (i idleCloser) CloseIdleConnections() { i.t.CloseIdleConnections() }

func (w *webClient) close() { w.http.CloseIdleConnections() }

func (w *webClient) retryOptions() RetryOptions { return RetryOptions{Stall: w.o.read} }

// webProxy is what the environment says of proxies.
func webProxy(env Env) func(*url.URL) (*url.URL, error) {
	get := func(names ...string) string {
		for _, n := range names {
			if v := env.getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	c := httpproxy.Config{
		HTTPProxy:  get("http_proxy", "HTTP_PROXY"),
		HTTPSProxy: get("https_proxy", "HTTPS_PROXY"),
		NoProxy:    get("no_proxy", "NO_PROXY"),
		CGI:        env.getenv("REQUEST_METHOD") != "",
	}
	return c.ProxyFunc()
}

// webOrigin is what credentials are bound to.
func webOrigin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// redirect decides on following. What changes something is never sent
// elsewhere, and neither is what only lacks a slash: that is a folder.
func (w *webClient) redirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // it may hold a signature
	last := via[len(via)-1]
	switch {
	case last.Method != http.MethodGet && last.Method != http.MethodHead, isSlashAdded(last.URL, req.URL):
		return http.ErrUseLastResponse
	case len(via) >= webRedirects:
		return errs.New(errs.Config, "the server redirects again and again")
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return errs.New(errs.Config, "the server redirects to a %s address", req.URL.Scheme)
	}
	return nil
}

func isSlashAdded(from, to *url.URL) bool {
	return webOrigin(from) == webOrigin(to) && to.Path == from.Path+"/"
}

// target is the address of a key, "" being the remote itself. A folder's ends
// in a slash, without which many servers redirect.
func (w *webClient) target(key string, folder bool) *url.URL {
	u := url.URL{Scheme: w.o.url.Scheme, Host: w.o.url.Host, Path: w.o.url.Path, RawPath: w.o.url.EscapedPath(), RawQuery: w.o.query}
	if key != "" {
		u.Path += "/" + key
		for name := range strings.SplitSeq(key, "/") {
			u.RawPath += "/" + url.PathEscape(name)
		}
	}
	if folder || u.Path == "" {
		u.Path += "/"
		u.RawPath += "/"
	}
	return &u
}

// request makes a request without a body.
func (w *webClient) request(ctx context.Context, method, key string) *http.Request {
	return w.requestTo(ctx, method, w.target(key, false), nil)
}

func (w *webClient) requestTo(ctx context.Context, method string, u *url.URL, body *upload) *http.Request {
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	req.Header.Set("User-Agent", "cairn")
	req.Header.Set("Accept-Encoding", "identity")
	if body != nil {
		req.Body, req.ContentLength = body, body.size
		if body.size == 0 {
			req.Body = http.NoBody
		}
	}
	return req
}

// do sends a request. An error has its class; an answer of any status is none.
func (w *webClient) do(req *http.Request) (*http.Response, error) {
	resp, err := w.http.Do(req)
	if err != nil {
		if resp != nil {
			webDiscard(resp)
		}
		return nil, w.netError(req.Context(), err)
	}
	return resp, nil
}

// send sends size bytes of r with a request that changes something, and does
// not return before the last of them was read, since they are the caller's.
func (w *webClient) send(ctx context.Context, method string, u *url.URL, size int64, r io.Reader) (*http.Response, error) {
	body := newUpload(r, size)
	if err := body.check(); err != nil {
		return nil, err
	}
	req := w.requestTo(ctx, method, u, body)
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := w.do(req)
	if size > 0 {
		body.wait()
	}
	if body.err != nil {
		if resp != nil {
			webDiscard(resp)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, body.err
	}
	return resp, err
}

// webDiscard ends an answer that nobody reads.
func webDiscard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, webDrain)
	resp.Body.Close()
}

// fail makes an error of an answer and ends it.
func (w *webClient) fail(resp *http.Response) error {
	webDiscard(resp)
	e := &errs.Error{Kind: webKind(resp.StatusCode),
		Msg: fmt.Sprintf("%s: the server answered %s", w.where, webStatus(resp.StatusCode))}
	from := webOrigin(resp.Request.URL)
	switch s := resp.StatusCode; {
	case s == http.StatusProxyAuthRequired:
		e.Hint = "The proxy wants a login: put user and password into the http_proxy and https_proxy variables."
	case s >= 300 && s < 400:
		if to, err := resp.Location(); err == nil {
			e.Msg += " and redirects to " + webOrigin(to)
		}
		e.Hint = fmt.Sprintf("Use the address that the server wants: cairn remote modify %s url URL", w.name)
	case (s == http.StatusUnauthorized || s == http.StatusForbidden) && from != webOrigin(w.o.url):
		e.Msg = fmt.Sprintf("%s: redirected to %s, which answered %s", w.where, from, webStatus(s))
		e.Hint = fmt.Sprintf("Credentials do not follow to another server. If it is the right one: cairn remote modify %s url URL", w.name)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Hint = w.o.loginHint(w.name, resp)
	case s == http.StatusInsufficientStorage || s == http.StatusRequestEntityTooLarge:
		e.Hint = "The server is full, or takes no files this large."
	}
	after := resp.Header.Get("Retry-After")
	if s := resp.StatusCode; e.Kind == errs.Unavailable && (s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable || after != "") {
		return Throttled(e, parseRetryAfter(after))
	}
	return e
}

func webStatus(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}

// webKind is what a status means where nothing better is known.
func webKind(status int) errs.Kind {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return errs.NotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusUnavailableForLegalReasons, http.StatusPaymentRequired:
		return errs.Denied
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return errs.Unsupported
	case http.StatusInsufficientStorage, http.StatusRequestEntityTooLarge, http.StatusConflict, http.StatusPreconditionFailed:
		return errs.Conflict
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusLocked, http.StatusMisdirectedRequest:
		return errs.Unavailable
	case http.StatusLoopDetected, http.StatusNetworkAuthenticationRequired:
		return errs.Config
	}
	switch {
	case status >= 500:
		return errs.Unavailable
	case status >= 300 && status < 400:
		return errs.Config
	}
	return errs.Other
}

// netError classifies a failure without an answer.
func (w *webClient) netError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if ours, ok := errors.AsType[*errs.Error](err); ok && ours.Kind != errs.Other {
		if strings.HasPrefix(ours.Msg, w.where) {
			return ours
		}
		return &errs.Error{Kind: ours.Kind, Hint: ours.Hint, Msg: w.where + ": " + w.scrub(ours.Error())}
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // the address before it may hold secrets
	}
	kind, hint := w.classifyNet(err)
	return &errs.Error{Kind: kind, Hint: hint, Msg: w.where + ": " + w.scrub(err.Error())}
}

func (w *webClient) classifyNet(err error) (errs.Kind, string) {
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, isAlert := errors.AsType[tls.AlertError](err)
	_, netErr := errors.AsType[net.Error](err)
	text := err.Error()
	switch {
	case badCert || unknownCA:
		return errs.Config, fmt.Sprintf("If the server's certificate is to be trusted: cairn remote modify %s ssl_verify PATH-OF-CA-BUNDLE", w.name)
	case isAlert, strings.Contains(text, "remote error: tls:"):
		return errs.Config, "The server refuses the connection: it may want a client certificate (cert_path, key_path), or another version of TLS."
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return errs.Config, fmt.Sprintf("The server speaks plain HTTP: cairn remote modify %s url %s://...", w.name, strings.TrimSuffix(w.o.scheme, "s"))
	case strings.Contains(text, "malformed HTTP response"):
		return errs.Config, fmt.Sprintf("What answers there is no HTTP server. If it wants TLS: cairn remote modify %s url %ss://...", w.name, strings.TrimSuffix(w.o.scheme, "s"))
	case netErr, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(text, "connection reset"), strings.Contains(text, "server closed idle connection"), strings.Contains(text, "transport connection broken"),
		strings.Contains(text, "http2:"), strings.Contains(text, "stream error"):
		return errs.Unavailable, "Check the network, the remote's address, and proxies on the way."
	}
	return errs.Other, ""
}

// scrub takes secrets out of a message and keeps it to one line.
func (w *webClient) scrub(msg string) string {
	for _, s := range w.o.secrets() {
		msg = strings.ReplaceAll(msg, s, "***")
	}
	msg = strings.Join(strings.Fields(msg), " ")
	if len(msg) > 500 {
		msg = strings.ToValidUTF8(msg[:500], "") + "..."
	}
	return msg
}

// tls is the configuration that the options ask for.
func (o *webOptions) tls(c Config) (*tls.Config, error) {
	tc := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.skipVerify}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, &errs.Error{Kind: errs.Config, Msg: fmt.Sprintf("remote %q: option \"ssl_verify\"", c.Name), Err: err}
		}
		tc.RootCAs = x509.NewCertPool()
		if !tc.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.New(errs.Config, "remote %q: option \"ssl_verify\": %q holds no certificate", c.Name, o.caFile)
		}
	}
	if o.certFile != "" {
		key := o.keyFile
		if key == "" {
			key = o.certFile // one file may hold both
		}
		pair, err := tls.LoadX509KeyPair(o.certFile, key)
		if err != nil {
			return nil, &errs.Error{Kind: errs.Config, Msg: fmt.Sprintf("remote %q: client certificate of options cert_path and key_path", c.Name), Err: err}
		}
		tc.Certificates = []tls.Certificate{pair}
	}
	return tc, nil
}

// upload is the body of a request: exactly size bytes of r. It keeps its last
// bytes until r has ended there and without an error, so that a server that
// got all it was promised got the right number, and those r stands for.
type upload struct {
	r    io.Reader
	size int64
	from int64 // where r began
	left int64
	err  error // of r; to be read after wait

	touched bool // something was read since the start

	mu     sync.Mutex
	closed chan struct{} // nobody reads any more
	ended  bool
}

func newUpload(r io.Reader, size int64) *upload {
	return &upload{r: r, size: size, left: size, closed: make(chan struct{})}
}

// check finds out before anything is sent what can be known by then.
func (u *upload) check() error {
	if s, ok := u.r.(io.Seeker); ok && u.size > 0 {
		at, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		end, err := s.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if end-at != u.size {
			return u.wrongLength(end - at)
		}
		u.from = at
		_, err = s.Seek(at, io.SeekStart)
		return err
	}
	if u.size == 0 {
		return u.atEnd()
	}
	return nil
}

func (u *upload) wrongLength(n int64) error {
	return errs.New(errs.Corrupt, "%d bytes came instead of %d", n, u.size)
}

// atEnd proves that r has ended.
func (u *upload) atEnd() error {
	var one [1]byte
	for range maxEmptyReads {
		n, err := u.r.Read(one[:])
		switch {
		case n > 0:
			return errs.New(errs.Corrupt, "more than %d bytes came", u.size)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	u.touched = true
	if u.left == 0 || len(p) == 0 {
		if u.left == 0 {
			return 0, io.EOF
		}
		return 0, nil
	}
	if int64(len(p)) > u.left {
		p = p[:u.left]
	}
	n, err := u.r.Read(p)
	u.left -= int64(n)
	switch {
	case u.left == 0 && (err == nil || err == io.EOF):
		if err == nil {
			err = u.atEnd()
		} else {
			err = nil
		}
	case err == io.EOF:
		err = u.wrongLength(u.size - u.left)
	}
	if err != nil {
		u.err = err
		return 0, err
	}
	return n, nil
}

func (u *upload) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.ended {
		u.ended = true
		close(u.closed)
	}
	return nil
}

// wait returns when the transport is done with the body.
func (u *upload) wait() { <-u.closed }

// rewind makes the body ready to be sent again, if that can be.
func (u *upload) rewind() error {
	u.wait()
	if u.err != nil {
		return u.err
	}
	if u.touched {
		s, ok := u.r.(io.Seeker)
		if !ok {
			return errs.New(errs.Unavailable, "the server asked for a login after it was sent what cannot be sent twice")
		}
		if _, err := s.Seek(u.from, io.SeekStart); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.left, u.touched, u.ended, u.closed = u.size, false, false, make(chan struct{})
	return nil
}

// again is whether the body can be sent again after it was sent.
func (u *upload) again() bool { _, ok := u.r.(io.Seeker); return ok }

// webAccepted is whether an upload's answer says that it is stored.
func webAccepted(status int) bool {
	return slices.Contains([]int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}, status)
}
