package remote_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/webserver"
)

// once is a backend without patience.
func once(t *testing.T, url string, options map[string]string) remote.Backend {
	t.Helper()
	return remote.OpenOnce(t, remote.Config{Name: "r", URL: url, Options: options, Jobs: 4}, remote.Env{})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestWebOptions(t *testing.T) {
	t.Parallel()
	env := remote.Env{Home: "/home/me", Prompt: func(_ context.Context, q string, echo bool) (string, error) {
		if echo || !strings.Contains(q, "'me'") && !strings.Contains(q, "'custom'") {
			return "", errors.New("asked " + q)
		}
		return "geheim", nil
	}}
	type o = map[string]string
	for name, c := range map[string]struct {
		url     string
		options o
		kind    errs.Kind // Other is fine
		text    string
	}{
		"plain":                   {"http://h/p", nil, 0, ""},
		"query":                   {"https://h/p?sig=geheim", nil, 0, ""},
		"user in address":         {"http://me:geheim@h/p", nil, 0, ""},
		"no host":                 {"http:///p", nil, errs.Config, "host"},
		"fragment":                {"http://h/p#geheim", nil, errs.Config, "#"},
		"dav query":               {"webdav://h/p?x=geheim", nil, errs.Config, "url"},
		"bad escape":              {"http://h/%zz", nil, errs.Config, "url"},
		"basic":                   {"http://h", o{"auth": "Basic", "user": "me", "password": "geheim"}, 0, ""},
		"basic, no password":      {"http://h", o{"auth": "basic", "user": "me"}, errs.Config, "password"},
		"basic, no user":          {"http://h", o{"auth": "basic", "password": "geheim"}, errs.Config, "user"},
		"basic, asks":             {"http://h", o{"auth": "basic", "user": "me", "ask_password": "true"}, 0, ""},
		"digest":                  {"http://h", o{"auth": "digest", "user": "me", "password": "geheim"}, 0, ""},
		"custom":                  {"http://h", o{"auth": "custom", "custom_auth_header": "X-T", "password": "geheim"}, 0, ""},
		"custom, asks":            {"http://h", o{"auth": "custom", "custom_auth_header": "X-T", "ask_password": "true"}, 0, ""},
		"custom, no header":       {"http://h", o{"auth": "custom", "password": "geheim"}, errs.Config, "custom_auth_header"},
		"custom, framing":         {"http://h", o{"auth": "custom", "custom_auth_header": "content-length", "password": "geheim"}, errs.Config, "custom_auth_header"},
		"custom, no name":         {"http://h", o{"auth": "custom", "custom_auth_header": "a b", "password": "geheim"}, errs.Config, "custom_auth_header"},
		"header without auth":     {"http://h", o{"custom_auth_header": "X-T", "password": "geheim"}, errs.Config, "auth"},
		"password alone":          {"http://h", o{"password": "geheim"}, errs.Config, "auth"},
		"line break in password":  {"http://h", o{"auth": "basic", "user": "me", "password": "geheim\nX: y"}, errs.Config, "control"},
		"unknown auth":            {"http://h", o{"auth": "kerberos"}, errs.Config, "auth"},
		"method":                  {"http://h", o{"method": "put"}, 0, ""},
		"unknown method":          {"http://h", o{"method": "DELETE"}, errs.Config, "method"},
		"timeouts":                {"http://h", o{"connect_timeout": "1.5", "read_timeout": "0"}, 0, ""},
		"bad timeout":             {"http://h", o{"connect_timeout": "soon"}, errs.Config, "connect_timeout"},
		"bad timeout, negative":   {"http://h", o{"read_timeout": "-1"}, errs.Config, "read_timeout"},
		"verify":                  {"http://h", o{"verify": "true", "version_aware": "false"}, 0, ""},
		"versions":                {"http://h", o{"version_aware": "true"}, errs.Config, "version_aware"},
		"worktree":                {"webdav://h", o{"worktree": "true"}, errs.Config, "worktree"},
		"no ca":                   {"https://h", o{"ssl_verify": "/no/such/ca.pem"}, errs.Config, "ssl_verify"},
		"no ca at home":           {"https://h", o{"ssl_verify": "~/ca.pem"}, errs.Config, "/home/me/ca.pem"},
		"dav option of http":      {"http://h", o{"token": "geheim"}, errs.Config, "token"},
		"http option of dav":      {"webdav://h", o{"auth": "basic"}, errs.Config, "auth"},
		"dav, unknown":            {"webdavs://h", o{"colour": "red"}, errs.Config, "colour"},
		"dav, login":              {"webdavs://h", o{"user": "me", "password": "geheim", "timeout": "5"}, 0, ""},
		"dav, asks":               {"webdavs://h", o{"user": "me", "ask_password": "true"}, 0, ""},
		"dav, password alone":     {"webdavs://h", o{"password": "geheim"}, errs.Config, "user"},
		"dav, no timeout":         {"webdavs://h", o{"timeout": "0"}, errs.Config, "timeout"},
		"dav, key alone":          {"webdavs://h", o{"key_path": "/k"}, errs.Config, "cert_path"},
		"dav, no cert":            {"webdavs://h", o{"cert_path": "/no/such/cert"}, errs.Config, "cert_path"},
		"dav, token":              {"webdavs://h", o{"token": "geheim"}, 0, ""},
		"dav, token twice":        {"webdavs://h", o{"token": "geheim", "bearer_token_command": "x"}, errs.Config, "bearer_token_command"},
		"dav, token, line break":  {"webdavs://h", o{"token": "geheim\r\nX: y"}, errs.Config, "control"},
		"dav, open quote":         {"webdavs://h", o{"bearer_token_command": "get 'geheim"}, errs.Config, "quote"},
		"dav, empty command":      {"webdavs://h", o{"bearer_token_command": `""`}, errs.Config, "command"},
		"dav, command and user":   {"webdavs://h", o{"bearer_token_command": "get it", "user": "me"}, 0, ""},
		"dav, colon in user name": {"webdavs://h", o{"user": "a:b", "password": "geheim"}, errs.Config, "colon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := remote.OpenBackend(t.Context(), remote.Config{Name: "r", URL: c.url, Options: c.options}, env)
			if err == nil {
				b.Close()
			}
			if (err == nil) != (c.kind == errs.Other) || err != nil && (!errs.Is(err, c.kind) || !strings.Contains(err.Error()+errs.HintOf(err), c.text)) {
				t.Errorf("got %v of kind %v, want kind %v naming %q", err, errs.KindOf(err), c.kind, c.text)
			}
			if err != nil && strings.Contains(err.Error()+errs.HintOf(err), "geheim") {
				t.Errorf("a secret in %v", err)
			}
		})
	}
	if _, err := remote.OpenBackend(t.Context(), remote.Config{Name: "r", URL: "http://h", Options: o{"auth": "basic", "user": "me", "ask_password": "true"}}, remote.Env{}); !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), "ask_password") {
		t.Errorf("nobody to ask: %v", err)
	}
}

// Every login that a server asks for works, and no other. Nothing of it is in
// an error, and a wrong one is refused for good.
func TestWebLogins(t *testing.T) {
	t.Parallel()
	type o = map[string]string
	for name, c := range map[string]struct {
		login   webserver.Login
		dav     bool
		options func(s *webserver.Server) o
	}{
		"basic":           {webserver.LoginBasic, false, func(s *webserver.Server) o { return o{"auth": "basic", "user": s.User, "password": s.Password} }},
		"digest":          {webserver.LoginDigest, false, func(s *webserver.Server) o { return o{"auth": "digest", "user": s.User, "password": s.Password} }},
		"digest, sha-256": {webserver.LoginSHA256, false, func(s *webserver.Server) o { return o{"auth": "digest", "user": s.User, "password": s.Password} }},
		"custom": {webserver.LoginHeader, false, func(s *webserver.Server) o {
			return o{"auth": "custom", "custom_auth_header": s.Header, "password": s.Password}
		}},
		"asked for basic":            {webserver.LoginBasic, false, func(s *webserver.Server) o { return o{"user": s.User, "password": s.Password} }},
		"asked for digest":           {webserver.LoginDigest, false, func(s *webserver.Server) o { return o{"user": s.User, "password": s.Password} }},
		"webdav, basic":              {webserver.LoginBasic, true, func(s *webserver.Server) o { return o{"user": s.User, "password": s.Password} }},
		"webdav, digest":             {webserver.LoginDigest, true, func(s *webserver.Server) o { return o{"user": s.User, "password": s.Password} }},
		"webdav, custom":             {webserver.LoginHeader, true, func(s *webserver.Server) o { return o{"custom_auth_header": s.Header, "password": s.Password} }},
		"webdav, token":              {webserver.LoginBearer, true, func(s *webserver.Server) o { return o{"token": s.Password} }},
		"webdav, token by a program": {webserver.LoginBearer, true, func(s *webserver.Server) o { return o{"bearer_token_command": "printf '%s' '" + s.Password + "'"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(name, "program") && runtime.GOOS == "windows" {
				t.Skip("needs printf")
			}
			start, scheme := webserver.NewFiles, func(u string) string { return u }
			if c.dav {
				start, scheme = webserver.NewDAV, dav
			}
			s := start(t, webserver.Options{Login: c.login})
			good := c.options(s)
			if !c.dav {
				good["method"] = "PUT"
			}
			b := once(t, scheme(s.URL), good)
			long := objecttest.Bytes(1, 3<<20)
			for i := range 60 { // more than a nonce of the server is good for
				v := []byte(strconv.Itoa(i))
				if err := b.Put(t.Context(), "k", int64(len(v)), bytes.NewReader(v)); err != nil {
					t.Fatalf("put %d: %v", i, err)
				}
				if got := readAll(t, b, "k"); string(got) != string(v) {
					t.Fatalf("got %q, want %q", got, v)
				}
			}
			if err := b.Put(t.Context(), "long", int64(len(long)), io.MultiReader(bytes.NewReader(long))); err != nil {
				t.Errorf("put a stream: %v", err)
			}
			if err := b.Delete(t.Context(), []string{"k"}); err != nil {
				t.Errorf("delete: %v", err)
			}

			// A stream as the first thing that is sent.
			b = once(t, scheme(s.URL), good)
			if err := b.Put(t.Context(), "long", int64(len(long)), io.MultiReader(bytes.NewReader(long))); err != nil {
				t.Errorf("put a stream at once: %v", err)
			}

			bad := map[string]string{}
			for k, v := range good {
				bad[k] = strings.Replace(v, s.Password, "wrong-"+s.Password[:4], 1)
			}
			s.Requests()
			b = once(t, scheme(s.URL), bad)
			for what, err := range map[string]error{
				"stat": func() error { _, err := b.Stat(t.Context(), "k"); return err }(),
				"put":  b.Put(t.Context(), "k", 1, strings.NewReader("x")),
				"open": func() error { _, _, err := b.Open(t.Context(), "k", 0, -1); return err }(),
			} {
				if !errs.Is(err, errs.Denied) || errs.HintOf(err) == "" || strings.Contains(err.Error()+errs.HintOf(err), "wrong-") {
					t.Errorf("%s with a wrong password: %v, hint %q", what, err, errs.HintOf(err))
				}
			}
			if n := len(s.Requests()); n > 30 {
				t.Errorf("%d requests with a wrong password", n)
			}
		})
	}
}

// Without a login, a server that wants one is said to.
func TestWebNoLogin(t *testing.T) {
	t.Parallel()
	s := webserver.NewFiles(t, webserver.Options{Login: webserver.LoginDigest})
	_, err := once(t, s.URL, nil).Stat(t.Context(), "k")
	if !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "auth") || !strings.Contains(errs.HintOf(err), "Digest") {
		t.Errorf("got %v, hint %q", err, errs.HintOf(err))
	}
	// A server that offers less than was asked for does not get the password.
	s = webserver.NewFiles(t, webserver.Options{Login: webserver.LoginBasic})
	b := once(t, s.URL, map[string]string{"auth": "digest", "user": s.User, "password": s.Password})
	if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "Basic") {
		t.Errorf("digest against basic: got %v, hint %q", err, errs.HintOf(err))
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%v was sent %q", r, r.Header.Get("Authorization"))
		}
	}
}

// A token that the server no longer takes is asked for again, once.
func TestWebDAVTokenRefresh(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "token")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho x >> "+dir+"/runs\necho token$(wc -l < "+dir+"/runs)\necho geheim >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var want atomic.Value
	want.Store("token1")
	inner := webserver.NewDAV(t, webserver.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Join(strings.Fields(r.Header.Get("Authorization")), "") != "Bearer"+want.Load().(string) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	b := once(t, dav(inner.URL), map[string]string{"bearer_token_command": script})
	put := func() error { return b.Put(t.Context(), "a/k", 1, strings.NewReader("x")) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	want.Store("token2")
	if err := put(); err != nil {
		t.Fatal(err)
	}
	want.Store("never")
	if err := put(); !errs.Is(err, errs.Denied) {
		t.Errorf("a token that nobody takes: %v", err)
	}
	for name, command := range map[string]string{"fails": "false", "prints nothing": "true", "is not there": "no-such-program-here", "prints much": "yes geheim"} {
		b := once(t, dav(inner.URL), map[string]string{"bearer_token_command": command, "timeout": "2"})
		if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "bearer_token_command") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("a program that %s: %v", name, err)
		}
	}
	_, err := remote.OpenBackend(t.Context(), remote.Config{Name: "r", URL: dav(inner.URL), Options: map[string]string{"bearer_token_command": script},
		Committed: func(o string) bool { return o == "bearer_token_command" }}, remote.Env{})
	if !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "--local") {
		t.Errorf("a committed program: %v", err)
	}
}

// Credentials do not follow to another host, port or scheme, whatever their
// kind, and neither do signatures in the address.
func TestWebRedirects(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]string{
		"basic":  {"auth": "basic", "user": "me", "password": "geheim"},
		"custom": {"auth": "custom", "custom_auth_header": "X-Token", "password": "geheim"},
		"asked":  {"user": "me", "password": "geheim"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var leaked atomic.Value
			elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range r.Header {
					if strings.Contains(strings.Join(v, " "), "geheim") || k == "Authorization" || k == "X-Token" || k == "Referer" {
						leaked.Store(k + ": " + strings.Join(v, " "))
					}
				}
				if strings.HasPrefix(r.URL.Path, "/login") {
					w.Header().Set("WWW-Authenticate", `Basic realm="give it to me"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				_, _ = io.WriteString(w, "value")
			})
			home := serve(t, func(w http.ResponseWriter, r *http.Request) {
				to := elsewhere + r.URL.Path
				if strings.HasPrefix(r.URL.Path, "/name") {
					to = strings.Replace(to, "127.0.0.1", "localhost", 1)
				}
				if r.URL.Path == "/circle" {
					to = "/circle"
				}
				if r.URL.Path == "/file" {
					to = "file:///etc/passwd"
				}
				http.Redirect(w, r, to, http.StatusFound)
			})
			b := once(t, home+"?sig=geheim", options)
			for _, key := range []string{"k", "name"} {
				if got := readAll(t, b, key); string(got) != "value" {
					t.Errorf("%s: got %q", key, got)
				}
			}
			_, err := b.Stat(t.Context(), "login")
			if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), elsewhere) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("redirected to a login: %v", err)
			}
			for _, key := range []string{"circle", "file"} {
				if _, _, err := b.Open(t.Context(), key, 0, -1); !errs.Is(err, errs.Config) {
					t.Errorf("%s: %v", key, err)
				}
			}
			// What changes something is not sent elsewhere at all.
			if err := b.Put(t.Context(), "k", 1, strings.NewReader("x")); !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), elsewhere) {
				t.Errorf("put: %v", err)
			}
			if l := leaked.Load(); l != nil {
				t.Errorf("leaked %v", l)
			}
		})
	}
}

func TestWebErrors(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]errs.Kind{
		401: errs.Denied, 403: errs.Denied, 404: errs.NotFound, 410: errs.NotFound, 407: errs.Denied, 408: errs.Unavailable,
		423: errs.Unavailable, 425: errs.Unavailable, 429: errs.Unavailable, 500: errs.Unavailable, 502: errs.Unavailable, 503: errs.Unavailable, 504: errs.Unavailable,
		507: errs.Conflict, 413: errs.Conflict, 501: errs.Unsupported, 405: errs.Unsupported, 451: errs.Denied, 511: errs.Config, 599: errs.Unavailable, 418: errs.Other,
	} {
		for _, scheme := range []string{"http", "webdav"} {
			t.Run(fmt.Sprint(scheme, status), func(t *testing.T) {
				t.Parallel()
				url := serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(status)
					_, _ = io.WriteString(w, "geheim\x1b[31m")
				})
				b := once(t, scheme+strings.TrimPrefix(url, "http")+"/p", map[string]string{"user": "me", "password": "geheim"})
				ops := map[string]error{
					"open": func() error { _, _, err := b.Open(t.Context(), "k", 0, -1); return err }(),
					"stat": func() error { _, err := b.Stat(t.Context(), "k"); return err }(),
				}
				if want != errs.NotFound && !(scheme == "webdav" && want == errs.Unsupported) {
					ops["put"] = b.Put(t.Context(), "k", 1, strings.NewReader("x"))
					ops["delete"] = b.Delete(t.Context(), []string{"k"})
				}
				for op, err := range ops {
					kind := want
					if scheme == "webdav" && kind == errs.Unsupported && op == "stat" {
						kind = errs.Config // not a WebDAV server
					}
					if !errs.Is(err, kind) {
						t.Errorf("%s: got %v of kind %v, want %v", op, err, errs.KindOf(err), kind)
					}
					if err == nil {
						continue
					}
					if strings.Contains(err.Error(), "geheim") || strings.ContainsAny(err.Error(), "\n\x1b") || !strings.Contains(err.Error(), "127.0.0.1") {
						t.Errorf("%s: message %q", op, err)
					}
					if after, ok := errors.AsType[interface {
						error
						RetryAfter() time.Duration
					}](err); kind == errs.Unavailable && (!ok || after.RetryAfter() != 7*time.Second) {
						t.Errorf("%s: no Retry-After in %v", op, err)
					}
				}
			})
		}
	}
}

// A server that says 503 and when to come back is asked again.
func TestWebRetries(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := webserver.NewFiles(t, webserver.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := calls.Add(1); n%4 == 1 {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			} else if n == 2 {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	var waits []time.Duration
	b := remote.WithRetry(once(t, s.URL, map[string]string{"method": "PUT"}), remote.RetryOptions{Tries: 8, Sleep: func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}})
	v := objecttest.Bytes(1, 100_000)
	if err := b.Put(t.Context(), "k", int64(len(v)), bytes.NewReader(v)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, b, "k"); !bytes.Equal(got, v) {
		t.Errorf("got %d bytes", len(got))
	}
	long := false
	for _, w := range waits {
		long = long || w >= 2*time.Second
	}
	if !long {
		t.Errorf("waited %v, never as long as asked to", waits)
	}
}

// Bodies that break off are gone on with, with and without ranges; one that is
// short for good is no success.
func TestWebBrokenBodies(t *testing.T) {
	t.Parallel()
	v := objecttest.Bytes(1, 1<<20)
	for _, ranges := range []bool{true, false} {
		var calls atomic.Int64
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			part := v
			if spec := r.Header.Get("Range"); spec != "" && ranges {
				var off int
				_, _ = fmt.Sscanf(spec, "bytes=%d-", &off)
				part = v[off:]
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, len(v)-1, len(v)))
				w.Header().Set("Content-Length", strconv.Itoa(len(part)))
				w.WriteHeader(http.StatusPartialContent)
			} else {
				w.Header().Set("Content-Length", strconv.Itoa(len(part)))
			}
			if n := calls.Add(1); n < 4 {
				_, _ = w.Write(part[:len(part)*int(n)/5])
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(part)
		})
		b := remote.WithRetry(once(t, url, nil), remote.RetryOptions{First: time.Millisecond})
		if got := readAll(t, b, "k"); !bytes.Equal(got, v) {
			t.Errorf("ranges %v: got %d bytes", ranges, len(got))
		}
	}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 40))
	})
	r, _, err := once(t, url, nil).Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a short body: %v", err)
	}
}

// Servers differ in what they know: ranges, HEAD, lengths.
func TestWebLengths(t *testing.T) {
	t.Parallel()
	v := objecttest.Bytes(1, 300_000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(v)
	_ = z.Close()
	whole := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", strconv.Itoa(len(v)))
		_, _ = w.Write(v)
	}
	chunked := func(w http.ResponseWriter) {
		for i := 0; i < len(v); i += 50_000 {
			_, _ = w.Write(v[i : i+50_000])
			w.(http.Flusher).Flush()
		}
	}
	noHead := func(status int, next func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(status)
				return
			}
			next(w, r)
		}
	}
	ranged := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "k", time.Time{}, bytes.NewReader(v))
	}
	for name, c := range map[string]struct {
		h       http.HandlerFunc
		unknown bool
	}{
		"all":                {ranged, false},
		"no ranges":          {func(w http.ResponseWriter, r *http.Request) { whole(w) }, false},
		"no HEAD":            {noHead(http.StatusMethodNotAllowed, ranged), false},
		"signed for GET":     {noHead(http.StatusForbidden, ranged), false},
		"HEAD says 0":        {noHead(http.StatusOK, ranged), false},
		"no HEAD, no ranges": {noHead(http.StatusNotImplemented, func(w http.ResponseWriter, r *http.Request) { whole(w) }), false},
		"chunked":            {func(w http.ResponseWriter, r *http.Request) { chunked(w) }, true},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" {
				t.Error("compression was not asked to stay away")
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", strconv.Itoa(zipped.Len()))
			_, _ = w.Write(zipped.Bytes())
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := remote.WithRetry(once(t, serve(t, c.h), nil), remote.RetryOptions{})
			if n, err := b.Stat(t.Context(), "k"); err != nil || n != int64(len(v)) {
				t.Errorf("stat: %d, %v", n, err)
			}
			want := int64(len(v))
			if c.unknown {
				want = -1
			}
			d, _ := remote.As[remote.Describer](b)
			if e, err := d.Describe(t.Context(), "k"); err != nil || e.Size != want {
				t.Errorf("describe: %+v, %v, want size %d", e, err, want)
			}
			for _, p := range [][2]int64{{0, -1}, {0, 1000}, {200_000, -1}, {200_000, 5}, {299_999, 100}, {300_000, -1}, {400_000, 7}, {0, 0}} {
				lo := min(p[0], int64(len(v)))
				hi := int64(len(v))
				if p[1] >= 0 {
					hi = min(hi, lo+p[1])
				}
				r, size, err := b.Open(t.Context(), "k", p[0], p[1])
				if err != nil {
					t.Fatalf("open %v: %v", p, err)
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, v[lo:hi]) || size != int64(len(v)) && size != want {
					t.Errorf("open %v: got %d bytes of %d, %v, want %d", p, len(got), size, err, hi-lo)
				}
			}
			// An object whose length nobody tells goes its way all the same.
			s := remote.NewStore(b, "web")
			d2 := object.Sum(object.MD5, v)
			if got, err := objectBytes(t, s, d2); err != nil || !bytes.Equal(got, v) {
				t.Errorf("object: %d bytes, %v", len(got), err)
			}
			if _, err := objectBytes(t, s, object.Sum(object.MD5, []byte("other"))); !errs.Is(err, errs.Corrupt) {
				t.Errorf("another object: %v", err)
			}
		})
	}
}

func objectBytes(t *testing.T, s object.Store, d object.Digest) ([]byte, error) {
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// A file beside data has its address's query, and its metadata as DVC notes it.
func TestWebAnyURL(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		if r.URL.Query().Get("etag") != "" {
			w.Header().Set("ETag", r.URL.Query().Get("etag"))
		}
		w.Header().Set("Content-MD5", "bWQ1")
		w.Header().Set("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
		_, _ = io.WriteString(w, "data")
	})
	for _, c := range []struct{ base, key, uri, etag, checksum string }{
		{"/a", "b.csv", "/a/b.csv", "", "bWQ1"},
		{"", "b.csv", "/b.csv", "", "bWQ1"},
		{"/", "b.csv", "/b.csv", "", "bWQ1"},
		{"/a%2Fb/", "c d+e", "/a%2Fb/c%20d+e", "", "bWQ1"},
		{"/a?etag=%22x1%22&sig=1%2B2", "b.csv", "/a/b.csv?etag=%22x1%22&sig=1%2B2", "x1", `"x1"`},
		{"/a?etag=W/%22x1%22", "b.csv", "/a/b.csv?etag=W/%22x1%22", `W/"x1"`, `W/"x1"`},
		{"/a/./x/../b", "k", "/a/b/k", "", "bWQ1"},
	} {
		b := once(t, url+c.base, nil)
		if got := readAll(t, b, c.key); string(got) != "data" || asked.Load() != c.uri {
			t.Errorf("%s + %s: asked for %v, want %s", c.base, c.key, asked.Load(), c.uri)
		}
		d, _ := remote.As[remote.Describer](b)
		e, err := d.Describe(t.Context(), c.key)
		if err != nil || e.Meta.ETag != c.etag || e.Meta.Checksum != c.checksum || e.Meta.ModTime.Unix() != 1445412480 || e.Size != 4 {
			t.Errorf("%s: %+v, %v, want ETag %q and checksum %q", c.base, e, err, c.etag, c.checksum)
		}
	}
}

// A proxy of the environment is used, except for what it is not for.
func TestWebProxy(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.RequestURI + " " + r.Header.Get("Proxy-Authorization"))
		_, _ = io.WriteString(w, "by proxy")
	})
	u, _ := url.Parse(proxy)
	for _, name := range []string{"http_proxy", "HTTP_PROXY"} {
		env := map[string]string{name: "http://u:p@" + u.Host, "no_proxy": "direct.example"}
		b := remote.OpenOnce(t, remote.Config{Name: "r", URL: "http://data.example/p"}, remote.Env{Getenv: func(k string) string { return env[k] }})
		if got := readAll(t, b, "k"); string(got) != "by proxy" || seen.Load() != "http://data.example/p/k Basic dTpw" {
			t.Errorf("%s: got %q, asked for %v", name, got, seen.Load())
		}
	}
}

// What a server stores wrong is noticed, and what is no store is said to be.
func TestWebLyingUploads(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		kind errs.Kind
	}{
		"cuts": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "half") }, errs.Unavailable},
		"says ok to all": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				w.WriteHeader(http.StatusNotFound)
			}
		}, errs.Config},
		"takes no POST": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }, errs.Unsupported},
		"is full":       {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInsufficientStorage) }, errs.Conflict},
		"has no place":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }, errs.Config},
	} {
		err := once(t, serve(t, c.h), nil).Put(t.Context(), "k", 8, strings.NewReader("12345678"))
		if !errs.Is(err, c.kind) || c.kind == errs.Unsupported && !strings.Contains(errs.HintOf(err), "method PUT") {
			t.Errorf("a server that %s: %v of kind %v, hint %q", name, err, errs.KindOf(err), errs.HintOf(err))
		}
	}
}

func TestWebCertificates(t *testing.T) {
	t.Parallel()
	s := webserver.NewFiles(t, webserver.Options{TLS: true})
	for verify, want := range map[string]errs.Kind{"true": errs.Config, "": errs.Config, "false": errs.NotFound, s.Certificate: errs.NotFound} {
		options := map[string]string{"ssl_verify": verify}
		if verify == "" {
			options = nil
		}
		if _, err := once(t, s.URL, options).Stat(t.Context(), "k"); !errs.Is(err, want) {
			t.Errorf("ssl_verify=%s: %v", filepath.Base(verify), err)
		}
	}
	for _, r := range s.Requests() {
		if r.Proto != "HTTP/2.0" {
			t.Errorf("%v by %s", r, r.Proto)
		}
	}
	plain := "https" + strings.TrimPrefix(webserver.NewFiles(t, webserver.Options{}).URL, "http")
	if _, err := once(t, plain, nil).Stat(t.Context(), "k"); !errs.Is(err, errs.Config) {
		t.Errorf("https to a plain server: %v", err)
	}
}

// An upload by WebDAV is a PUT and a MOVE, on few connections; and one listing
// tells of many objects.
func TestWebDAVRequests(t *testing.T) {
	t.Parallel()
	s := webserver.NewDAV(t, webserver.Options{})
	b := openWeb(t, dav(s.URL)+"/deep/below", nil)
	put := func(key string) {
		t.Helper()
		if err := b.Put(t.Context(), key, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	put("files/md5/aa/1")
	s.Requests()
	put("files/md5/aa/2")
	var got []string
	for _, r := range s.Requests() {
		got = append(got, r.Method)
	}
	if strings.Join(got, " ") != "PUT MOVE" {
		t.Errorf("an upload took %v", got)
	}
	for range b.List(t.Context(), "files/md5/aa/") {
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("a listing of one folder took %d requests", n)
	}
}

// A login page, or a page for all that is missing, is not taken for objects:
// neither when they are looked up, nor when they are read.
func TestWebPageForAll(t *testing.T) {
	t.Parallel()
	page := "<html>please log in</html>"
	html := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page)
	}
	real := []byte("a real object")
	key := object.Sum(object.MD5, real).Key()
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		kind errs.Kind // of Has; Other is none
		has  int
	}{
		"login by redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return
			}
			html(w)
		}, errs.Config, 0},
		"login in place": {func(w http.ResponseWriter, _ *http.Request) { html(w) }, errs.Other, 0},
		"page for what is missing": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/"+key {
				html(w)
				return
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(real)
		}, errs.Other, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := remote.NewStore(once(t, serve(t, c.h), nil), "web")
			missing := object.Sum(object.MD5, []byte("missing"))
			has, err := s.Has(t.Context(), []object.Digest{object.Sum(object.MD5, real), missing, missing.AsDir()})
			if (err == nil) != (c.kind == errs.Other) || err != nil && !errs.Is(err, c.kind) || len(has) != c.has {
				t.Errorf("has: %v, %v of kind %v", has, err, errs.KindOf(err))
			}
			if _, err := objectBytes(t, s, missing); !errs.Is(err, errs.Corrupt) {
				t.Errorf("open: %v", err)
			}
		})
	}
}
