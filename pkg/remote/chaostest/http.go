package chaostest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// HTTPProxy is a bad line to an HTTP server. The Host header passes unchanged,
// so that signatures hold.
type HTTPProxy struct {
	*dice
	URL string // of the proxy

	to     *url.URL
	client *http.Transport
	ended  chan struct{}
}

// HTTP starts a proxy to the server at a URL; it ends with the test.
func HTTP(t testing.TB, server string, o Options) *HTTPProxy {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := &HTTPProxy{dice: newDice(o), to: to, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, ended: make(chan struct{})}
	srv := httptest.NewServer(p)
	p.URL = srv.URL
	t.Cleanup(func() {
		close(p.ended)
		srv.CloseClientConnections()
		srv.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// ServeHTTP passes a request on, or does not.
func (p *HTTPProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		abort(w)
		return
	}
	fault, chance := p.roll()
	if p.o.Spare != nil && p.o.Spare(r) {
		fault = ""
	}
	time.Sleep(p.o.Latency)
	switch fault {
	case Refuse:
		p.count(fault)
		refuse(w, chance)
		return
	case Reset:
		p.count(fault)
		abort(w)
		return
	case Stall:
		p.count(fault)
		select {
		case <-r.Context().Done():
		case <-p.ended:
		}
		abort(w)
		return
	case FlipUp:
		if len(body) > 0 {
			p.count(fault)
			flip(body, chance)
		}
	}
	status, header, answer, err := p.pass(r, body)
	if fault == Twice && err == nil {
		p.count(fault)
		status, header, answer, err = p.pass(r, body)
	}
	if err != nil {
		abort(w)
		return
	}
	time.Sleep(p.o.Latency)
	send := answer
	switch fault {
	case LoseReply:
		p.count(fault)
		w.WriteHeader(http.StatusInternalServerError)
		return
	case ResetLate:
		p.count(fault)
		abort(w)
		return
	case FlipDown:
		if len(answer) > 0 {
			p.count(fault)
			flip(answer, chance)
		}
	case Short:
		if len(answer) > 1 {
			p.count(fault)
			send = answer[:1+chance%uint64(len(answer)-1)]
		}
	}
	for k, v := range header {
		w.Header()[k] = v
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(send)
	if len(send) < len(answer) {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		abort(w)
	}
}

// pass sends a request to the server and reads its whole answer.
func (p *HTTPProxy) pass(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	to := *r.URL
	to.Scheme, to.Host = p.to.Scheme, p.to.Host
	to.Path, to.RawPath = strings.TrimSuffix(p.to.Path, "/")+r.URL.Path, ""
	if r.URL.RawPath != "" {
		to.RawPath = strings.TrimSuffix(p.to.EscapedPath(), "/") + r.URL.RawPath
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.URL = &to // as it was spelled
	req.Host, req.Header, req.ContentLength = r.Host, r.Header.Clone(), int64(len(body))
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	resp, err := p.client.RoundTrip(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}

// refuse answers as an overloaded or broken server does.
func refuse(w http.ResponseWriter, chance uint64) {
	status := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests}[chance%4]
	if status == http.StatusTooManyRequests && chance&16 != 0 {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(status)
}

func flip(b []byte, chance uint64) {
	bit := chance % uint64(8*len(b))
	b[bit/8] ^= 1 << (bit % 8)
}

// abort breaks the connection of a request, with a reset if that can be had.
func abort(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			if tc, ok := c.(*net.TCPConn); ok {
				_ = tc.SetLinger(0)
			}
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
