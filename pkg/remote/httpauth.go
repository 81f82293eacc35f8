package remote

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/cairndata/cairn/pkg/errs"
)

// authTransport adds credentials to requests that go to origin, and to no
// other: it sits below redirects.
type authTransport struct {
	next   http.RoundTripper
	origin string
	auth   authenticator
}

// authenticator sends a request with credentials.
type authenticator interface {
	send(next http.RoundTripper, req *http.Request) (*http.Response, error)
}

func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if webOrigin(req.URL) != t.origin {
		return t.next.RoundTrip(req)
	}
	return t.auth.send(t.next, req)
}

// authenticator is nil where no credentials are sent.
func (o *webOptions) authenticator(w *webClient) authenticator {
	switch o.auth {
	case authHeader:
		return headerAuth{o.header, o.password}
	case authToken:
		if len(o.tokenCommand) > 0 {
			return &commandAuth{w: w, argv: o.tokenCommand, limit: o.tokenTime}
		}
		return headerAuth{"Authorization", "Bearer " + o.token}
	case authBasic, authLogin, authDigest, authAsked:
		return &loginAuth{user: o.user, password: o.password,
			unasked: o.auth == authBasic || o.auth == authLogin, basic: o.auth != authDigest, digest: o.auth != authBasic}
	}
	return nil
}

// withHeader is a request with one more header; the original is the client's.
func withHeader(req *http.Request, name, value string) *http.Request {
	c := *req
	c.Header = req.Header.Clone()
	c.Header.Set(name, value)
	return &c
}

// closeBody ends a request that is not sent.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// again prepares a request to be sent once more, after its answer.
func again(req *http.Request, resp *http.Response) error {
	webDiscard(resp)
	if body, ok := req.Body.(*upload); ok {
		return body.rewind()
	}
	return nil
}

// headerAuth is one header that does not change.
type headerAuth struct{ name, value string }

func (a headerAuth) send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	return next.RoundTrip(withHeader(req, a.name, a.value))
}

// commandAuth is a bearer token that a program prints: asked when the first
// request goes out, and again when the server no longer takes it.
type commandAuth struct {
	w     *webClient
	argv  []string
	limit time.Duration

	mu    sync.Mutex
	token string
}

func (a *commandAuth) send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	token, err := a.get(req.Context(), "")
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := next.RoundTrip(withHeader(req, "Authorization", "Bearer "+token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if err := again(req, resp); err != nil {
		return nil, err
	}
	if token, err = a.get(req.Context(), token); err != nil {
		closeBody(req)
		return nil, err
	}
	return next.RoundTrip(withHeader(req, "Authorization", "Bearer "+token))
}

// get returns a token that is not refused.
func (a *commandAuth) get(ctx context.Context, refused string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && a.token != refused {
		return a.token, nil
	}
	a.token = ""
	token, err := runTokenCommand(ctx, a.argv, a.limit)
	if err != nil {
		return "", errs.WithHint(&errs.Error{Kind: errs.KindOf(err), Msg: fmt.Sprintf("remote %q: bearer_token_command", a.w.name), Err: err},
			"Run it by hand: it must print a token, and end with 0.")
	}
	a.token = token
	return token, nil
}

// tokenLimit is more than any token has.
const tokenLimit = 64 << 10

// runTokenCommand runs a program, without a shell, for the token that it
// prints. What it says otherwise may hold secrets and is dropped.
func runTokenCommand(ctx context.Context, argv []string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out := &limitedBuffer{most: tokenLimit}
	cmd.Stdout = out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case context.Cause(ctx) == context.DeadlineExceeded:
		return "", errs.New(errs.Denied, "%q did not end within %v", argv[0], limit)
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", errs.New(errs.Denied, "%q: %v", argv[0], err)
	}
	token := strings.TrimSpace(out.String())
	switch {
	case token == "":
		return "", errs.New(errs.Denied, "%q printed no token", argv[0])
	case out.full || !httpguts.ValidHeaderFieldValue(token):
		return "", errs.New(errs.Denied, "%q printed something that is no token", argv[0])
	}
	return token, nil
}

// limitedBuffer forgets what is too much.
type limitedBuffer struct {
	bytes.Buffer
	most int
	full bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.full = true
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// splitWords splits a command as a POSIX shell splits words: by blanks, with
// quotes and backslashes, and with nothing expanded.
func splitWords(s string) (words []string, ok bool) {
	var word strings.Builder
	in := false // a word, which may be empty if it was quoted
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			word.WriteString(s[i+1 : i+1+end])
			i += end + 1
			in = true
		case '"':
			in = true
			for i++; ; i++ {
				if i >= len(s) {
					return nil, false
				}
				if s[i] == '"' {
					break
				}
				if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
					i++
				}
				word.WriteByte(s[i])
			}
		case '\\':
			if i++; i >= len(s) {
				return nil, false
			}
			word.WriteByte(s[i])
			in = true
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, true
}

// loginAuth logs in with user and password: Basic (RFC 7617) unasked or asked,
// or Digest (RFC 7616) as the server asks, whose nonce is used on as long as
// the server takes it.
type loginAuth struct {
	user, password string
	unasked        bool // send Basic before anybody asks
	basic, digest  bool // what may be answered

	mu     sync.Mutex
	useOld bool // Basic was asked for
	ch     *digestChallenge
	nc     uint32 // uses of its nonce
}

// loginTries is how often one request is sent: with what is known, as the
// server then asked, and with new nonces for those that others used up.
const loginTries = 6

func (a *loginAuth) send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	header, nonce := a.header(req)
	if _, ok := req.Body.(*upload); ok && header == "" {
		// Learn what the server asks for before it is sent what may be large,
		// or cannot be sent twice.
		if err := a.probe(next, req); err != nil {
			closeBody(req)
			return nil, err
		}
		header, nonce = a.header(req)
	}
	if body, ok := req.Body.(*upload); ok && body.size > 0 && (header == "" || nonce != "" && !body.again()) {
		// A refusal, as of a nonce that is too old, then comes before the body.
		req = withHeader(req, "Expect", "100-continue")
	}
	for try := 1; ; try++ {
		r := req
		if header != "" {
			r = withHeader(req, "Authorization", header)
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		a.rotate(resp, nonce)
		if resp.StatusCode != http.StatusUnauthorized || try == loginTries || !a.learn(resp, header, nonce, try) {
			return resp, nil
		}
		if err := again(req, resp); err != nil {
			return nil, err
		}
		header, nonce = a.header(req)
	}
}

// probe asks for the same without a body, by what changes nothing, so that the
// server says how to log in. Who refuses reading refuses with HEAD, who refuses
// only writing often with OPTIONS too.
func (a *loginAuth) probe(next http.RoundTripper, req *http.Request) error {
	for _, method := range []string{http.MethodHead, http.MethodOptions} {
		p := &http.Request{Method: method, URL: req.URL, Host: req.Host, Header: http.Header{}, Proto: req.Proto, ProtoMajor: 1, ProtoMinor: 1}
		resp, err := next.RoundTrip(p.WithContext(req.Context()))
		if err != nil {
			return err
		}
		learnt := resp.StatusCode == http.StatusUnauthorized && a.learn(resp, "", "", 1)
		webDiscard(resp)
		if learnt {
			return nil
		}
	}
	return nil
}

// header is the Authorization to be sent now, "" if nothing was asked for, and
// the nonce in it.
func (a *loginAuth) header(req *http.Request) (header, nonce string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.ch != nil:
		a.nc++
		return a.ch.answer(a.user, a.password, req.Method, req.URL.RequestURI(), a.nc, rand.Text()), a.ch.nonce
	case a.unasked || a.useOld:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.user+":"+a.password)), ""
	}
	return "", ""
}

// learn takes a refusal's challenges, and reports whether another try may do
// better than the one that was sent with header.
func (a *loginAuth) learn(resp *http.Response, header, nonce string, try int) bool {
	var best *digestChallenge
	basic := false
	for _, c := range parseChallenges(resp.Header.Values("Www-Authenticate")) {
		switch strings.ToLower(c.scheme) {
		case "basic":
			basic = true
		case "digest":
			if d := newDigestChallenge(c); d != nil && (best == nil || d.strength > best.strength) {
				best = d
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.digest && best != nil:
		if nonce != "" && a.ch != nil && a.ch.nonce != nonce {
			return true // somebody else has learnt meanwhile
		}
		if nonce != "" && try > 1 && !best.stale {
			return false // the password is wrong
		}
		a.ch, a.nc = best, 0
		return true
	case a.basic && basic && !strings.HasPrefix(header, "Basic "):
		a.useOld, a.ch = true, nil
		return true
	}
	return false
}

// rotate takes a nonce that the server names for the next request.
func (a *loginAuth) rotate(resp *http.Response, nonce string) {
	info := resp.Header.Get("Authentication-Info")
	if info == "" || nonce == "" {
		return
	}
	list := parseChallenges([]string{"Digest " + info})
	if len(list) == 0 || list[0].param["nextnonce"] == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch != nil && a.ch.nonce == nonce {
		c := *a.ch
		c.nonce = list[0].param["nextnonce"]
		a.ch, a.nc = &c, 0
	}
}

// digestChallenge is what a server says for Digest.
type digestChallenge struct {
	realm, nonce, opaque string
	hasOpaque            bool
	algorithm            string // as the server wrote it, "" if it did not
	session              bool   // the -sess variant
	qop                  bool   // auth; without, as RFC 2069 had it
	userhash, stale      bool
	strength             int
	hash                 func() hash.Hash
}

// newDigestChallenge is nil for what cannot be answered.
func newDigestChallenge(c authChallenge) *digestChallenge {
	d := &digestChallenge{realm: c.param["realm"], nonce: c.param["nonce"], algorithm: c.param["algorithm"],
		userhash: strings.EqualFold(c.param["userhash"], "true"), stale: strings.EqualFold(c.param["stale"], "true")}
	d.opaque, d.hasOpaque = c.param["opaque"]
	alg := strings.ToUpper(d.algorithm)
	alg, d.session = strings.CutSuffix(alg, "-SESS")
	switch alg {
	case "", "MD5":
		d.hash, d.strength = md5.New, 1
	case "SHA-256":
		d.hash, d.strength = sha256.New, 3
	case "SHA-512-256":
		d.hash, d.strength = sha512.New512_256, 2 // servers differ on what it is
	default:
		return nil
	}
	if qop, ok := c.param["qop"]; ok && qop != "" {
		d.qop = slices.ContainsFunc(strings.Split(qop, ","), func(q string) bool { return strings.EqualFold(strings.TrimSpace(q), "auth") })
		if !d.qop {
			return nil // auth-int would need the body before it is sent
		}
	}
	if d.nonce == "" || d.session && !d.qop {
		return nil
	}
	return d
}

// answer is the Authorization header for one request.
func (d *digestChallenge) answer(user, password, method, uri string, nc uint32, cnonce string) string {
	sum := func(s string) string {
		h := d.hash()
		_, _ = io.WriteString(h, s)
		return hex.EncodeToString(h.Sum(nil))
	}
	ha1 := sum(user + ":" + d.realm + ":" + password)
	if d.session {
		ha1 = sum(ha1 + ":" + d.nonce + ":" + cnonce)
	}
	ha2 := sum(method + ":" + uri)
	count := fmt.Sprintf("%08x", nc)
	response := sum(ha1 + ":" + d.nonce + ":" + ha2)
	if d.qop {
		response = sum(ha1 + ":" + d.nonce + ":" + count + ":" + cnonce + ":auth:" + ha2)
	}
	var b strings.Builder
	b.WriteString("Digest ")
	switch {
	case d.userhash:
		fmt.Fprintf(&b, "username=%s, userhash=true", quoteParam(sum(user+":"+d.realm)))
	case strings.ContainsFunc(user, func(r rune) bool { return r > 0x7e }):
		fmt.Fprintf(&b, "username*=UTF-8''%s", strings.ReplaceAll(url.QueryEscape(user), "+", "%20"))
	default:
		fmt.Fprintf(&b, "username=%s", quoteParam(user))
	}
	fmt.Fprintf(&b, ", realm=%s, nonce=%s, uri=%s, response=%s", quoteParam(d.realm), quoteParam(d.nonce), quoteParam(uri), quoteParam(response))
	if d.algorithm != "" {
		fmt.Fprintf(&b, ", algorithm=%s", d.algorithm)
	}
	if d.qop {
		fmt.Fprintf(&b, ", qop=auth, nc=%s, cnonce=%s", count, quoteParam(cnonce))
	}
	if d.hasOpaque {
		fmt.Fprintf(&b, ", opaque=%s", quoteParam(d.opaque))
	}
	return b.String()
}

func quoteParam(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// authChallenge is one of a WWW-Authenticate header. Names of parameters are
// in lower case.
type authChallenge struct {
	scheme string
	param  map[string]string
}

// parseChallenges reads WWW-Authenticate headers (RFC 9110, 11.6.1), of which
// each may hold several challenges. What cannot be read ends its header.
func parseChallenges(headers []string) (list []authChallenge) {
	for _, h := range headers {
		p := &headerParser{s: h}
		var cur *authChallenge
		for p.skip(", \t"); p.s != ""; p.skip(", \t") {
			name := p.token()
			if name == "" {
				break
			}
			p.skip(" \t")
			if cur != nil && strings.HasPrefix(p.s, "=") {
				p.s = p.s[1:]
				p.skip(" \t")
				value, ok := p.value()
				if !ok {
					break
				}
				if key := strings.ToLower(name); cur.param[key] == "" {
					cur.param[key] = value
				}
				continue
			}
			list = append(list, authChallenge{name, map[string]string{}})
			cur = &list[len(list)-1]
			// A token68, as Negotiate has, is no parameter.
			if blob := p.token68(); blob != "" {
				cur.param[""] = blob
			}
		}
	}
	return list
}

type headerParser struct{ s string }

func (p *headerParser) skip(set string) { p.s = strings.TrimLeft(p.s, set) }

func (p *headerParser) token() string {
	n := 0
	for n < len(p.s) && httpguts.IsTokenRune(rune(p.s[n])) {
		n++
	}
	t := p.s[:n]
	p.s = p.s[n:]
	return t
}

// token68 takes a word that ends the challenge, if that is what follows.
func (p *headerParser) token68() string {
	end := strings.IndexAny(p.s, ", \t\"")
	if end < 0 {
		end = len(p.s)
	}
	word := p.s[:end]
	core := strings.TrimRight(word, "=")
	if word == "" || strings.Contains(core, "=") || len(core) == len(word) && !strings.ContainsAny(word, "/+") {
		return "" // parameters, or the next scheme
	}
	if rest := strings.TrimLeft(p.s[end:], " \t"); rest != "" && rest[0] != ',' {
		return ""
	}
	p.s = p.s[end:]
	return word
}

// value is a token or a quoted string.
func (p *headerParser) value() (string, bool) {
	if !strings.HasPrefix(p.s, `"`) {
		end := strings.IndexAny(p.s, ", \t")
		if end < 0 {
			end = len(p.s)
		}
		v := p.s[:end]
		p.s = p.s[end:]
		return v, true
	}
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.s):
			i++
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
