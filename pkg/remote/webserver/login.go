package webserver

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Login is how a server asks who it is.
type Login string

// The ways. Digest is MD5, DigestSHA256 offers it beside MD5, which it does
// not take; both forget a nonce after some uses, and take each use once.
const (
	LoginNone    Login = ""
	LoginBasic   Login = "basic"
	LoginDigest  Login = "digest"
	LoginSHA256  Login = "digest-sha256"
	LoginHeader  Login = "header" // the password in Server.Header
	LoginBearer  Login = "bearer" // the password as a token
	nonceUses          = 50
	digestRealm        = `the "realm"`
	digestOpaque       = "op=aque"
)

// guard checks logins.
type guard struct {
	s *Server

	mu     sync.Mutex
	nonces map[string]map[string]bool // counts used, by nonce
}

func newGuard(s *Server) *guard { return &guard{s: s, nonces: map[string]map[string]bool{}} }

func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, stale := g.check(r)
		if ok {
			next.ServeHTTP(w, r)
			return
		}
		g.challenge(w, stale)
		http.Error(w, "who is it?", http.StatusUnauthorized)
	})
}

func (g *guard) challenge(w http.ResponseWriter, stale bool) {
	switch g.s.opts.Login {
	case LoginBasic:
		w.Header().Set("WWW-Authenticate", `Basic realm="x", charset="UTF-8"`)
	case LoginDigest, LoginSHA256:
		digest := func(alg string) string {
			nonce := rand.Text()
			g.mu.Lock()
			g.nonces[nonce] = map[string]bool{}
			g.mu.Unlock()
			return fmt.Sprintf(`Digest realm="the \"realm\"", qop="auth-int, auth", algorithm=%s, nonce="%s", opaque="%s", stale=%v`, alg, nonce, digestOpaque, stale)
		}
		if g.s.opts.Login == LoginSHA256 {
			w.Header().Add("WWW-Authenticate", `Negotiate, `+digest("MD5")+`, `+digest("SHA-256"))
			return
		}
		w.Header().Add("WWW-Authenticate", digest("MD5"))
	case LoginBearer:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}

func (g *guard) check(r *http.Request) (ok, stale bool) {
	s := g.s
	switch s.opts.Login {
	case LoginNone:
		return true, false
	case LoginBasic:
		user, password, _ := r.BasicAuth()
		return user == s.User && password == s.Password, false
	case LoginHeader:
		return r.Header.Get(s.Header) == s.Password, false
	case LoginBearer:
		return r.Header.Get("Authorization") == "Bearer "+s.Password, false
	}
	params, isDigest := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !isDigest {
		return false, false
	}
	p := digestParams(params)
	newHash, alg := md5.New, "MD5"
	if s.opts.Login == LoginSHA256 {
		newHash, alg = sha256.New, "SHA-256"
	}
	want := response(newHash, s, r, p)
	if p["algorithm"] != alg || p["username"] != s.User || p["opaque"] != digestOpaque || p["qop"] != "auth" || p["uri"] != r.URL.RequestURI() || p["response"] != want {
		return false, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	used, known := g.nonces[p["nonce"]]
	if !known || used[p["nc"]] || len(used) >= nonceUses {
		return false, true
	}
	used[p["nc"]] = true
	return true, false
}

func response(newHash func() hash.Hash, s *Server, r *http.Request, p map[string]string) string {
	sum := func(text string) string {
		h := newHash()
		_, _ = io.WriteString(h, text)
		return hex.EncodeToString(h.Sum(nil))
	}
	return sum(sum(s.User+":"+digestRealm+":"+s.Password) + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":auth:" + sum(r.Method+":"+p["uri"]))
}

func digestParams(s string) map[string]string {
	p := map[string]string{}
	for s != "" {
		key, rest, ok := strings.Cut(strings.TrimLeft(s, ", "), "=")
		if !ok {
			break
		}
		var value strings.Builder
		i := 0
		if strings.HasPrefix(rest, `"`) {
			for i = 1; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' {
					i++
				}
				value.WriteByte(rest[i])
			}
			i++
		} else {
			for ; i < len(rest) && rest[i] != ','; i++ {
				value.WriteByte(rest[i])
			}
		}
		p[key], s = value.String(), rest[min(i, len(rest)):]
	}
	return p
}
