package remote

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

func TestCombineCRC32C(t *testing.T) {
	t.Parallel()
	all := make([]byte, 100_000)
	_, _ = rand.Read(all)
	for _, n := range []int{0, 1, 7, 8, 255, 4096, 99_999, 100_000} {
		got := combineCRC32C(crc32.Checksum(all[:n], castagnoli()), crc32.Checksum(all[n:], castagnoli()), int64(len(all)-n))
		if want := crc32.Checksum(all, castagnoli()); got != want {
			t.Errorf("cut at %d: got %08x, want %08x", n, got, want)
		}
	}
}

func TestGCSRefuses(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "creds.json")
	if err := os.WriteFile(broken, []byte(`{"type":"service_account","private_key":"geheim"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(t.TempDir(), "odd.json")
	if err := os.WriteFile(odd, []byte(`geheim`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		env     map[string]string
		text    string
	}{
		"no bucket":         {"gs://", nil, nil, "gs://bucket/path"},
		"generation":        {"gs://b/p#17", nil, nil, "url"},
		"query":             {"gs://b/p?x=1", nil, nil, "url"},
		"password":          {"gs://user:geheim@b/p", nil, nil, "url"},
		"parent":            {"gs://b/../p", nil, nil, ".."},
		"option of S3":      {"gs://b", map[string]string{"region": "x"}, nil, "region"},
		"bad bool":          {"gs://b", map[string]string{"allow_anonymous_login": "yes"}, nil, "allow_anonymous_login"},
		"endpoint no http":  {"gs://b", map[string]string{"endpointurl": "localhost:9000"}, nil, "endpointurl"},
		"endpoint password": {"gs://b", map[string]string{"endpointurl": "http://u:geheim@h"}, nil, "endpointurl"},
		"bad emulator":      {"gs://b", nil, map[string]string{"STORAGE_EMULATOR_HOST": "ftp://h"}, "STORAGE_EMULATOR_HOST"},
		"no key file":       {"gs://b", map[string]string{"credentialpath": "/no/such/file"}, nil, "credentialpath"},
		"no env file":       {"gs://b", nil, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file"}, "GOOGLE_APPLICATION_CREDENTIALS"},
		"no home":           {"gs://b", map[string]string{"credentialpath": "~/x"}, nil, "credentialpath"},
		"unknown type":      {"gs://b", map[string]string{"credentialpath": odd}, nil, "credentialpath"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Config{Name: "r", URL: c.url, Options: c.options}, Env{Getenv: func(k string) string { return c.env[k] }})
			if !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v of kind %v, want Config naming %q", err, errs.KindOf(err), c.text)
			}
		})
	}
	// A key that is none shows when it is used.
	b := openTestGCS(t, gcsConfig(newFakeGCS().serve(t, nil), map[string]string{"credentialpath": broken}), nil)
	if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Denied) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("broken key: got %v of kind %v", err, errs.KindOf(err))
	}
}

// answerGCS makes a server that answers everything alike.
func answerGCS(t *testing.T, status int, header map[string]string, body string) *gcsBackend {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return openTestGCS(t, gcsConfig(srv.URL, nil), nil)
}

func gcsJSON(status int, reason, msg string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"reason":%q}]}}`, status, msg, reason)
}

func TestGCSErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		kind   errs.Kind
		hint   string
	}{
		"unknown":      {401, nil, gcsJSON(401, "required", "Anonymous caller does not have storage.objects.list access"), errs.Denied, "gcloud auth"},
		"denied":       {403, nil, gcsJSON(403, "forbidden", "x does not have storage.objects.create access"), errs.Denied, "credentialpath"},
		"clock":        {403, map[string]string{"Date": "Mon, 02 Jan 2006 15:04:05 GMT"}, gcsJSON(403, "forbidden", "no"), errs.Denied, ""},
		"no bucket":    {404, nil, gcsJSON(404, "notFound", "The specified bucket does not exist."), errs.Config, "gs://"},
		"rate":         {403, nil, gcsJSON(403, "rateLimitExceeded", "slow"), errs.Unavailable, ""},
		"too many":     {429, map[string]string{"Retry-After": "7"}, gcsJSON(429, "rateLimitExceeded", "slow"), errs.Unavailable, ""},
		"backend":      {503, map[string]string{"Retry-After": "7"}, gcsJSON(503, "backendError", "oops"), errs.Unavailable, ""},
		"bad gateway":  {502, nil, "<html>bad gateway</html>", errs.Unavailable, ""},
		"timeout":      {408, nil, "", errs.Unavailable, ""},
		"flipped":      {400, nil, gcsJSON(400, "invalid", "Provided CRC32C doesn't match calculated CRC32C"), errs.Unavailable, ""},
		"payer":        {400, nil, gcsJSON(400, "required", "Bucket is a requester pays bucket but no user project provided."), errs.Config, "pay"},
		"login page":   {200, nil, "<html>please log in</html>", errs.Config, "endpointurl"},
		"other JSON":   {200, nil, `{"kind":"drive#file"}`, errs.Config, "endpointurl"},
		"redirect":     {302, map[string]string{"Location": "http://127.0.0.1:1/"}, "", errs.Config, "endpointurl"},
		"XML denied":   {403, nil, "<Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>x does not have access</Details></Error>", errs.Denied, ""},
		"XML slowdown": {429, nil, "<Error><Code>SlowDown</Code><Message>easy</Message></Error>", errs.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := answerGCS(t, c.status, c.header, c.body)
			for op, f := range map[string]func() error{
				"put":  func() error { return b.Put(t.Context(), "k", 1, strings.NewReader("x")) },
				"open": func() error { _, _, err := b.Open(t.Context(), "k", 0, -1); return err },
				"stat": func() error { _, err := b.Stat(t.Context(), "k"); return err },
				"one":  func() error { return b.Delete(t.Context(), []string{"k"}) },
				"list": func() error {
					for _, err := range b.List(t.Context(), "") {
						return err
					}
					return nil
				},
			} {
				if op == "one" && c.status == http.StatusOK {
					continue // a deletion is answered with nothing
				}
				err := f()
				if !errs.Is(err, c.kind) || !strings.Contains(errs.HintOf(err), c.hint) {
					t.Errorf("%s: got %v of kind %v with hint %q, want kind %v and %q", op, err, errs.KindOf(err), errs.HintOf(err), c.kind, c.hint)
				}
				if err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "gs://bucket")) {
					t.Errorf("%s: message %q", op, err)
				}
				var after interface{ RetryAfter() time.Duration }
				if c.header["Retry-After"] != "" && (!errors.As(err, &after) || after.RetryAfter() != 7*time.Second) {
					t.Errorf("%s: no Retry-After in %v", op, err)
				}
			}
		})
	}
}

// A missing object in a bucket that is not there is a missing bucket.
func TestGCSNoBucket(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		// As an emulator, which words both alike.
		url := newFakeGCS().serve(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if plain {
					gcsRefuse(w, 404, "notFound", "Not Found")
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		c := gcsConfig(url, nil)
		c.URL = "gs://nobucket/x"
		b := openTestGCS(t, c, nil)
		_, err := b.Stat(t.Context(), "k")
		_, _, oerr := b.Open(t.Context(), "k", 0, -1)
		perr := b.Put(t.Context(), "k", 1, strings.NewReader("x"))
		for _, err := range []error{err, oerr, perr} {
			if !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), "no such bucket") {
				t.Errorf("got %v", err)
			}
		}
	}
}

// Bytes that change on the way, or in the server, are not taken.
func TestGCSDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(b []byte) []byte{
		"on the way": func(b []byte) []byte { return bytes.Replace(b, []byte("body"), []byte("bodx"), 1) },
		"by a server that does not look": func(b []byte) []byte {
			b = bytes.Replace(b, []byte("body"), []byte("bodx"), 1)
			return bytes.Replace(b, []byte(`"crc32c"`), []byte(`"c"`), 1)
		},
	} {
		url := newFakeGCS().serve(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					b, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(damage(b)))
				}
				h.ServeHTTP(w, r)
			})
		})
		b := openTestGCS(t, gcsConfig(url, nil), nil)
		if err := b.Put(t.Context(), "k", 4, strings.NewReader("body")); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: then stat %v", name, err)
		}
	}
}

// A join that lost or mixed parts shows in the checksum of the whole.
func TestGCSPartsChecked(t *testing.T) {
	t.Parallel()
	for _, emulator := range []bool{false, true} {
		f := newFakeGCS()
		f.noXML = emulator
		b := openTestGCS(t, gcsConfig(f.serve(t, nil), nil), nil)
		p, err := b.BeginParts(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		part := bytes.Repeat([]byte("ab"), gcsMinPart/2)
		for i := range 2 {
			if err := p.Put(t.Context(), i, part); err != nil {
				t.Fatal(err)
			}
		}
		f.mu.Lock()
		for _, parts := range f.uploads {
			parts[2] = bytes.Clone(parts[2])
			parts[2][7] ^= 1
		}
		f.mu.Unlock()
		if emulator {
			c := p.(*gcsCompose)
			f.mu.Lock()
			f.store("some/prefix/"+c.part[1].tag, bytes.Repeat([]byte("ba"), gcsMinPart/2))
			f.mu.Unlock()
		}
		if err := p.Complete(t.Context(), 2, 2*gcsMinPart); err == nil {
			t.Errorf("emulator %v: a mixed up join is taken", emulator)
		}
		if err := p.Abort(t.Context()); err != nil {
			t.Errorf("emulator %v: abort: %v", emulator, err)
		}
		for e, err := range b.List(t.Context(), "") {
			t.Errorf("emulator %v: left %v, %v", emulator, e, err)
		}
	}
}

// More parts than can be joined at once are joined in steps, and a completion
// whose answer was lost is found to have happened.
func TestGCSCompose(t *testing.T) {
	t.Parallel()
	f := newFakeGCS()
	f.noXML = true
	b := openTestGCS(t, gcsConfig(f.serve(t, nil), nil), nil)
	p, err := b.BeginParts(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	const n = 70
	var want []byte
	for i := range n {
		part := fmt.Appendf(nil, "part %d;", i)
		want = append(want, part...)
		if err := p.Put(t.Context(), i, part); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := p.Complete(t.Context(), n, int64(len(want))); err != nil {
			t.Fatal(err)
		}
	}
	r, _, err := b.Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	r.Close()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for e := range b.List(t.Context(), "") {
		if e.Key != "k" {
			t.Errorf("left %v", e)
		}
	}
}

func TestGCSVersions(t *testing.T) {
	t.Parallel()
	b := openTestGCS(t, gcsConfig(newFakeGCS().serve(t, nil), nil), nil)
	first, err := b.PutVersion(t.Context(), "k", 3, strings.NewReader("one"))
	if err != nil || first.Meta.VersionID == "" || first.Meta.ETag == "" || first.Size != 3 || first.Key != "k" {
		t.Fatalf("got %+v, %v", first, err)
	}
	second, err := b.PutVersion(t.Context(), "k", 6, io.MultiReader(strings.NewReader("second")))
	if err != nil || second.Meta.VersionID == first.Meta.VersionID {
		t.Fatalf("got %+v, %v", second, err)
	}
	if err := b.Put(t.Context(), "gone", 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), []string{"gone"}); err != nil {
		t.Fatal(err)
	}
	r, size, err := b.OpenVersion(t.Context(), "k", first.Meta.VersionID, 1, -1)
	if err != nil || size != 3 {
		t.Fatalf("open: %d, %v", size, err)
	}
	if got, _ := io.ReadAll(r); string(got) != "ne" {
		t.Errorf("open: got %q", got)
	}
	r.Close()
	if e, err := b.DescribeVersion(t.Context(), "k", second.Meta.VersionID); err != nil || e.Size != 6 || e.Meta.ModTime.IsZero() {
		t.Errorf("describe: %+v, %v", e, err)
	}
	for _, v := range []string{"99", "nonsense"} {
		if _, err := b.DescribeVersion(t.Context(), "k", v); !errs.Is(err, errs.NotFound) {
			t.Errorf("version %s: %v", v, err)
		}
	}
	n := 0
	for e, err := range b.ListVersions(t.Context(), "") {
		if n++; err != nil || e.Key != "k" || e.Meta.VersionID != second.Meta.VersionID {
			t.Errorf("list: %+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("list: %d entries", n)
	}
}

// The key of a service account becomes a token, which goes to the endpoint.
func TestGCSCredentials(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeGCS()
	f.token = "tok-1"
	refuse := false
	url := f.serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token" && refuse:
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}`)
			case r.URL.Path == "/token":
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"access_token":"tok-1","token_type":"Bearer","expires_in":3600}`)
			case strings.HasPrefix(r.URL.Path, "/computeMetadata/") && r.Header.Get("Metadata-Flavor") == "Google":
				w.Header().Set("Metadata-Flavor", "Google")
				_, _ = io.WriteString(w, `{"access_token":"tok-1","expires_in":3600}`)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	file, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "x@y", "token_uri": url + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	path := filepath.Join(home, "application_default_credentials.json")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	use := func(options, env map[string]string) error {
		b := openTestGCS(t, gcsConfig(url, options), env)
		return b.Put(t.Context(), "k", 1, strings.NewReader("x"))
	}
	for name, c := range map[string][2]map[string]string{
		"option":   {{"credentialpath": path}, nil},
		"variable": {nil, {"GOOGLE_APPLICATION_CREDENTIALS": path}},
		"gcloud":   {nil, {"CLOUDSDK_CONFIG": home}},
		"machine":  {nil, {"GCE_METADATA_HOST": strings.TrimPrefix(url, "http://")}},
	} {
		if err := use(c[0], c[1]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string][2]map[string]string{
		"anonymous":  {{"credentialpath": path, "allow_anonymous_login": "true"}, nil},
		"nothing":    {nil, nil},
		"no machine": {nil, {"GCE_METADATA_HOST": "127.0.0.1:1"}},
	} {
		if err := use(c[0], c[1]); !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "No credentials") {
			t.Errorf("%s: %v, hint %q", name, err, errs.HintOf(err))
		}
	}
	refuse = true
	if err := use(map[string]string{"credentialpath": path}, nil); !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "clock") {
		t.Errorf("refused: %v, hint %q", err, errs.HintOf(err))
	}
}

// A server without batches gets single deletions.
func TestGCSDeleteSingly(t *testing.T) {
	t.Parallel()
	url := newFakeGCS().serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/batch") {
				http.NotFound(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	b := openTestGCS(t, gcsConfig(url, nil), nil)
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

// One deletion of a batch that is refused is a refusal.
func TestGCSDeleteRefused(t *testing.T) {
	t.Parallel()
	url := newFakeGCS().serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/batch") {
				w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
				body := gcsJSON(403, "forbidden", "x does not have storage.objects.delete access")
				fmt.Fprintf(w, "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n"+
					"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s\r\n--b--\r\n", len(body), body)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	b := openTestGCS(t, gcsConfig(url, nil), nil)
	if err := b.Delete(t.Context(), []string{"a", "b"}); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "storage.objects.delete") {
		t.Errorf("got %v", err)
	}
}
