package remote

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	key := "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		kind    errs.Kind
		text    string
	}{
		"no driver":         {"ftp://host", nil, errs.Unsupported, "ftp://"},
		"no url":            {"", nil, errs.Config, "url"},
		"no bucket":         {"s3://", nil, errs.Config, "s3://bucket/path"},
		"query":             {"s3://b/p?versionId=1", nil, errs.Config, "url"},
		"password in url":   {"s3://user:geheim@b/p", nil, errs.Config, "url"},
		"parent":            {"s3://b/../p", nil, errs.Config, ".."},
		"unknown option":    {"s3://b", map[string]string{"colour": "red"}, errs.Config, "colour"},
		"bad bool":          {"s3://b", map[string]string{"use_ssl": "yes"}, errs.Config, "use_ssl"},
		"bad timeout":       {"s3://b", map[string]string{"read_timeout": "-1"}, errs.Config, "read_timeout"},
		"bad timeout word":  {"s3://b", map[string]string{"connect_timeout": "soon"}, errs.Config, "connect_timeout"},
		"version aware":     {"s3://b", map[string]string{"version_aware": "true"}, errs.Unsupported, "version_aware"},
		"worktree":          {"s3://b", map[string]string{"worktree": "true"}, errs.Unsupported, "worktree"},
		"half a key":        {"s3://b", map[string]string{"access_key_id": "a"}, errs.Config, "secret_access_key"},
		"token alone":       {"s3://b", map[string]string{"session_token": "geheim"}, errs.Config, "session_token"},
		"acl and grant":     {"s3://b", map[string]string{"acl": "private", "grant_read": "id=1"}, errs.Config, "grant_"},
		"unknown acl":       {"s3://b", map[string]string{"acl": "mine"}, errs.Config, "acl"},
		"unknown sse":       {"s3://b", map[string]string{"sse": "rot13"}, errs.Config, "sse"},
		"kms and own key":   {"s3://b", map[string]string{"sse_kms_key_id": "k", "sse_customer_key": key}, errs.Config, "sse_customer_key"},
		"short own key":     {"s3://b", map[string]string{"sse_customer_key": "Z2VoZWlt"}, errs.Config, "sse_customer_key"},
		"endpoint no http":  {"s3://b", map[string]string{"endpointurl": "localhost:9000"}, errs.Config, "endpointurl"},
		"endpoint password": {"s3://b", map[string]string{"endpointurl": "http://u:geheim@h"}, errs.Config, "endpointurl"},
		"no ca file":        {"s3://b", map[string]string{"endpointurl": "https://h", "ssl_verify": "/no/such/ca.pem"}, errs.Config, "ssl_verify"},
		"no home":           {"s3://b", map[string]string{"credentialpath": "~/x"}, errs.Config, "credentialpath"},
		"no profile":        {"s3://b", map[string]string{"endpointurl": "http://h", "profile": "nobody-has-this"}, errs.Config, "nobody-has-this"},
		"folder option":     {"/data", map[string]string{"region": "x"}, errs.Config, "region"},
		"foreign file host": {"file://elsewhere/data", nil, errs.Config, "file:///"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := Env{Local: func(string, bool) (object.Store, error) { return nil, nil }}
			_, err := Open(t.Context(), Config{Name: "r", URL: c.url, Options: c.options}, env)
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v of kind %v, want kind %v naming %q", err, errs.KindOf(err), c.kind, c.text)
			}
		})
	}
}

func TestOpenLocal(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"/data/x": "/data/x", "../rel": "../rel", "~/x": filepath.Join("/home/me", "x"), "file:///data/a%20b": "/data/a b"} {
		var got string
		var group bool
		env := Env{Home: "/home/me", Local: func(dir string, shared bool) (object.Store, error) { got, group = dir, shared; return nil, nil }}
		if _, err := Open(t.Context(), Config{URL: url, Options: map[string]string{"shared": "group", "verify": "true"}}, env); err != nil || filepath.ToSlash(got) != filepath.ToSlash(want) || !group {
			t.Errorf("%s: got %q, %v, %v, want %q", url, got, group, err, want)
		}
	}
}

// answer makes a server that answers everything alike.
func answer(t *testing.T, status int, header map[string]string, body string) (*s3Backend, *atomic.Int64) {
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(srv.Close)
	return openTestS3(t, s3Config(srv.URL, nil)), &calls
}

func s3Error(code, msg string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>` + msg + `</Message></Error>`
}

func TestS3Errors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		kind   errs.Kind
		hint   string
	}{
		"denied":         {403, nil, s3Error("AccessDenied", "no"), errs.Denied, "credentials"},
		"bad key":        {403, nil, s3Error("InvalidAccessKeyId", "no such key"), errs.Denied, "credentials"},
		"expired":        {400, nil, s3Error("ExpiredToken", "old"), errs.Denied, "credentials"},
		"secret echoed":  {403, nil, s3Error("SignatureDoesNotMatch", "you signed with very-secret"), errs.Denied, ""},
		"no bucket":      {404, nil, s3Error("NoSuchBucket", "gone"), errs.Config, "url"},
		"other region":   {301, map[string]string{"X-Amz-Bucket-Region": "eu-west-7"}, s3Error("PermanentRedirect", "go"), errs.Config, "eu-west-7"},
		"wrong region":   {400, map[string]string{"X-Amz-Bucket-Region": "eu-west-7"}, s3Error("AuthorizationHeaderMalformed", "go"), errs.Config, "eu-west-7"},
		"slow down":      {503, map[string]string{"Retry-After": "7"}, s3Error("SlowDown", "easy"), errs.Unavailable, ""},
		"internal":       {500, nil, s3Error("InternalError", "oops"), errs.Unavailable, ""},
		"bad gateway":    {502, nil, "<html>bad gateway</html>", errs.Unavailable, ""},
		"too many":       {429, nil, "", errs.Unavailable, ""},
		"clock":          {403, nil, s3Error("RequestTimeTooSkewed", "late"), errs.Config, "clock"},
		"full":           {507, nil, s3Error("XMinioStorageFull", "full"), errs.Conflict, ""},
		"login page":     {200, nil, "<html>please log in</html>", errs.Config, "endpointurl"},
		"redirect away":  {302, map[string]string{"Location": "http://127.0.0.1:1/"}, "", errs.Other, ""},
		"not authorized": {401, nil, "", errs.Denied, "credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := answer(t, c.status, c.header, c.body)
			for op, f := range map[string]func() error{
				"put": func() error { return b.Put(t.Context(), "k", 1, strings.NewReader("x")) },
				"open": func() error {
					_, _, err := b.Open(t.Context(), "k", 0, -1)
					return err
				},
				"list": func() error {
					for _, err := range b.List(t.Context(), "") {
						return err
					}
					return nil
				},
			} {
				err := f()
				if !errs.Is(err, c.kind) || !strings.Contains(errs.HintOf(err), c.hint) {
					t.Errorf("%s: got %v of kind %v with hint %q, want kind %v and %q", op, err, errs.KindOf(err), errs.HintOf(err), c.kind, c.hint)
				}
				if err != nil && (strings.Contains(err.Error(), "very-secret") || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "s3://bucket")) {
					t.Errorf("%s: message %q", op, err)
				}
				if after, ok := err.(interface{ RetryAfter() time.Duration }); c.header["Retry-After"] != "" && (!ok || after.RetryAfter() != 7*time.Second) {
					t.Errorf("%s: no Retry-After in %v", op, err)
				}
			}
		})
	}
}

// Asking for an object does not take a missing bucket for a missing object.
func TestS3NoBucket(t *testing.T) {
	t.Parallel()
	c := s3Config(serveS3(t, nil), nil)
	c.URL = "s3://nobucket/x"
	b := openTestS3(t, c)
	if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Config) {
		t.Errorf("stat: got %v", err)
	}
	for _, err := range b.List(t.Context(), "") {
		if !errs.Is(err, errs.Config) {
			t.Errorf("list: got %v", err)
		}
	}
	if _, _, err := b.Open(t.Context(), "k", 0, -1); !errs.Is(err, errs.Config) {
		t.Errorf("open: got %v", err)
	}
}

func TestS3Unreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := openTestS3(t, s3Config("http://"+l.Addr().String(), nil))
	if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v of kind %v", err, errs.KindOf(err))
	}
}

// A body that the connection loses is not taken for the whole.
func TestS3BodyCut(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 40))
	}))
	t.Cleanup(srv.Close)
	b := openTestS3(t, s3Config(srv.URL, nil))
	r, _, err := b.Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestS3Certificates(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Length", "0")
	}))
	srv.Config.ErrorLog = nil
	srv.TLS = &tls.Config{}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for verify, want := range map[string]errs.Kind{"true": errs.Config, "false": errs.Other, ca: errs.Other} {
		b := openTestS3(t, s3Config(srv.URL, map[string]string{"ssl_verify": verify}))
		if _, err := b.Stat(t.Context(), "k"); errs.KindOf(err) != want || (err == nil) != (want == errs.Other) {
			t.Errorf("ssl_verify=%s: got %v", filepath.Base(verify), err)
		}
	}
	// As for DVC, whose libraries read it.
	for _, c := range []struct {
		options map[string]string
		bundle  string
		want    errs.Kind
	}{{nil, ca, errs.Other}, {nil, "", errs.Config}, {map[string]string{"ssl_verify": "true"}, ca, errs.Config}} {
		env := Env{Getenv: func(name string) string {
			if name == "REQUESTS_CA_BUNDLE" {
				return c.bundle
			}
			return ""
		}}
		b, err := newS3(t.Context(), s3Config(srv.URL, c.options), env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stat(t.Context(), "k"); errs.KindOf(err) != c.want || (err == nil) != (c.want == errs.Other) {
			t.Errorf("%v with REQUESTS_CA_BUNDLE=%s: got %v", c.options, filepath.Base(c.bundle), err)
		}
	}
	missing := Env{Getenv: func(name string) string {
		if name == "REQUESTS_CA_BUNDLE" {
			return "/no/such/bundle"
		}
		return ""
	}}
	if _, err := newS3(t.Context(), s3Config(srv.URL, nil), missing); !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), "REQUESTS_CA_BUNDLE") {
		t.Errorf("got %v", err)
	}
}

// What is asked of the server reaches it.
func TestS3Headers(t *testing.T) {
	t.Parallel()
	var last atomic.Pointer[http.Request]
	url := serveS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				last.Store(r.Clone(r.Context()))
			}
			h.ServeHTTP(w, r)
		})
	})
	put := func(options map[string]string) http.Header {
		t.Helper()
		b := openTestS3(t, s3Config(url, options))
		if err := b.Put(t.Context(), "k", 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		return last.Load().Header
	}
	for option, header := range map[[2]string]string{
		{"sse", "aws:kms"}:              "X-Amz-Server-Side-Encryption",
		{"sse_kms_key_id", "key1"}:      "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
		{"acl", "public-read"}:          "X-Amz-Acl",
		{"grant_read", "id=1"}:          "X-Amz-Grant-Read",
		{"grant_full_control", "id=2"}:  "X-Amz-Grant-Full-Control",
		{"session_token", "tokentoken"}: "X-Amz-Security-Token",
	} {
		if got := put(map[string]string{option[0]: option[1]}).Get(header); got != option[1] {
			t.Errorf("%s: header %s is %q, want %q", option[0], header, got, option[1])
		}
	}
	h := put(map[string]string{"sse_customer_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})
	if h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "AES256" || h.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == "" {
		t.Errorf("customer key: %v", h)
	}
	h = put(nil)
	if h.Get("Content-Md5") == "" || h.Get("X-Amz-Trailer") != "" || h.Get("X-Amz-Sdk-Checksum-Algorithm") != "" || h.Get("Expect") != "" {
		t.Errorf("plain put: %v", h)
	}
	c := s3Config(url, map[string]string{"allow_anonymous_login": "true"})
	delete(c.Options, "access_key_id")
	delete(c.Options, "secret_access_key")
	b := openTestS3(t, c)
	if err := b.Put(t.Context(), "k", 1, strings.NewReader("x")); err != nil || last.Load().Header.Get("Authorization") != "" {
		t.Errorf("anonymous: %v, %v", err, last.Load().Header)
	}
}

// A server whose ETags are not MD5s is believed once its bytes were seen to
// be right; one that stores other bytes is not.
func TestS3ETags(t *testing.T) {
	t.Parallel()
	for _, lies := range []bool{false, true} {
		url := serveS3(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut && lies {
					b, _ := io.ReadAll(r.Body)
					b[0] ^= 1
					r.Body = io.NopCloser(bytes.NewReader(b))
					r.Header.Del("Content-Md5")
				}
				h.ServeHTTP(etagChanger{w, r.Method == http.MethodPut}, r)
			})
		})
		b := openTestS3(t, s3Config(url, nil))
		for range 2 {
			err := b.Put(t.Context(), "k", 4, strings.NewReader("body"))
			if lies != errs.Is(err, errs.Unavailable) || lies == (err == nil) {
				t.Errorf("lying server %v: got %v", lies, err)
			}
		}
		if _, err := b.Stat(t.Context(), "k"); lies != errs.Is(err, errs.NotFound) {
			t.Errorf("lying server %v: then stat %v", lies, err)
		}
	}
}

type etagChanger struct {
	http.ResponseWriter
	on bool
}

func (e etagChanger) WriteHeader(status int) {
	if e.on {
		e.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e etagChanger) Write(b []byte) (int, error) {
	if e.on {
		e.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	}
	return e.ResponseWriter.Write(b)
}

// A server without bulk deletion gets single ones.
func TestS3DeleteSingly(t *testing.T) {
	t.Parallel()
	url := serveS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Query().Has("delete") {
				w.WriteHeader(http.StatusNotImplemented)
				_, _ = io.WriteString(w, s3Error("NotImplemented", "no"))
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	b := openTestS3(t, s3Config(url, nil))
	for _, k := range []string{"a", "b", "c"} {
		if err := b.Put(t.Context(), k, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), []string{"a", "b", "never"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range b.List(t.Context(), "") {
		n++
	}
	if n != 1 {
		t.Errorf("%d keys left, want 1", n)
	}
}

func TestS3LegacyListing(t *testing.T) {
	t.Parallel()
	b := openTestS3(t, s3Config(serveS3(t, nil), map[string]string{"listobjects": "true"}))
	if err := b.Put(t.Context(), "a/b", 3, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	for e, err := range b.List(t.Context(), "a/") {
		if err != nil || e.Key != "a/b" || e.Size != 3 {
			t.Errorf("got %v, %v", e, err)
		}
	}
}

// Without a delimiter, the old listing does not say where it goes on.
func TestS3LegacyListingOfManyPages(t *testing.T) {
	t.Parallel()
	const keys, perPage = 25, 10
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := 0
		if after := r.URL.Query().Get("marker"); after != "" {
			n, err := strconv.Atoi(strings.TrimPrefix(after, "some/prefix/k"))
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			first = n + 1
		}
		last := min(first+perPage, keys)
		fmt.Fprintf(w, "<ListBucketResult><Name>bucket</Name><IsTruncated>%v</IsTruncated>", last < keys)
		for i := first; i < last; i++ {
			fmt.Fprintf(w, "<Contents><Key>some/prefix/k%02d</Key><Size>%d</Size></Contents>", i, i)
		}
		fmt.Fprint(w, "</ListBucketResult>")
	}))
	t.Cleanup(srv.Close)
	b := openTestS3(t, s3Config(srv.URL, map[string]string{"listobjects": "true"}))
	n := 0
	for e, err := range b.List(t.Context(), "") {
		if want := fmt.Sprintf("k%02d", n); err != nil || e.Key != want || e.Size != int64(n) {
			t.Fatalf("key %d: got %v, %v, want %s", n, e, err, want)
		}
		n++
	}
	if n != keys {
		t.Errorf("%d keys, want %d", n, keys)
	}
}

// A name is listed and read as it was written, whatever it looks like.
func TestS3OddKeys(t *testing.T) {
	t.Parallel()
	b := openTestS3(t, s3Config(serveS3(t, nil), nil))
	for _, k := range []string{"a__0x41__b", "up../down", "100%", "a b+c", "x%2Fy", "ü/\u00e9", "q?x=1&y#z"} {
		if err := b.Put(t.Context(), k, int64(len(k)), strings.NewReader(k)); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		r, size, err := b.Open(t.Context(), k, 1, -1)
		if err != nil {
			t.Errorf("%s: %v", k, err)
			continue
		}
		got, err := io.ReadAll(r)
		if r.Close(); err != nil || string(got) != k[1:] || size != int64(len(k)) {
			t.Errorf("%s: read %q of %d, %v", k, got, size, err)
		}
		var listed []string
		for e := range b.List(t.Context(), k) {
			listed = append(listed, e.Key)
		}
		if len(listed) != 1 || listed[0] != k {
			t.Errorf("%s: listed as %q", k, listed)
		}
	}
}

// A server may answer a request for a part with the whole, in chunks too.
func TestS3WholeForAPart(t *testing.T) {
	t.Parallel()
	const whole = "0123456789"
	for _, chunked := range []bool{false, true} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"x"`)
			if !chunked || r.Method == http.MethodHead {
				w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
			}
			w.WriteHeader(http.StatusOK)
			if r.Method == http.MethodGet {
				w.(http.Flusher).Flush()
				_, _ = io.WriteString(w, whole)
			}
		}))
		t.Cleanup(srv.Close)
		b := openTestS3(t, s3Config(srv.URL, nil))
		for _, c := range []struct {
			off, n int64
			want   string
		}{{0, -1, whole}, {3, -1, "3456789"}, {3, 4, "3456"}, {0, 4, "0123"}, {8, 5, "89"}, {12, 5, ""}} {
			r, size, err := b.Open(t.Context(), "k", c.off, c.n)
			if err != nil {
				t.Fatalf("chunked %v: %+v: %v", chunked, c, err)
			}
			got, err := io.ReadAll(r)
			if r.Close(); err != nil || string(got) != c.want || size != int64(len(whole)) {
				t.Errorf("chunked %v: %+v: got %q of %d, %v", chunked, c, got, size, err)
			}
		}
	}
}
