package remote

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/remote/cloudtest"
)

// The emulator takes our batches of deletions, and says which are wrong.
func TestAzureBatch(t *testing.T) {
	t.Parallel()
	s := cloudtest.StartAzure(t, os.Getenv("CAIRN_AZURITE"))
	b := OpenAzureAt(t, s, "a b/é").(*azureBackend)
	keys := []string{"x", "plus+", "per%20cent", "never"}
	for _, k := range keys[:3] {
		if err := b.Put(t.Context(), k, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.deleteMany(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	for e, err := range b.List(t.Context(), "") {
		t.Errorf("left: %v, %v", e, err)
	}
	c := Config{Name: "r", URL: "azure://nosuch/x", Options: s.Options()}
	b = openTestAzure(t, c, nil)
	_, serr := b.Stat(t.Context(), "k")
	_, _, oerr := b.Open(t.Context(), "k", 0, -1)
	for _, err := range []error{serr, oerr, b.Put(t.Context(), "k", 1, strings.NewReader("x")), b.Delete(t.Context(), []string{"k"}), b.Delete(t.Context(), []string{"k", "l"})} {
		if !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), "no such container") {
			t.Errorf("no container: %v", err)
		}
	}
	c.Options = map[string]string{"connection_string": strings.Replace(s.ConnectionString(), s.Key, base64.StdEncoding.EncodeToString([]byte("another key")), 1)}
	b = openTestAzure(t, c, nil)
	if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.Denied) || !strings.Contains(errs.HintOf(err), "account_key") {
		t.Errorf("wrong key: %v, %q", err, errs.HintOf(err))
	}
}

// fakeAzure answers as Azure does, as far as the driver asks. It checks
// signatures, and forgives none.
type fakeAzure struct {
	key  []byte // of the account "acc"; nil is a public container
	page int

	mu     sync.Mutex
	clock  int64
	blobs  map[string][]fakeGen
	blocks map[string]map[string][]byte
}

var fakeAzureKey = []byte("0123456789abcdef")

func newFakeAzure() *fakeAzure {
	return &fakeAzure{key: fakeAzureKey, page: 100, blobs: map[string][]fakeGen{}, blocks: map[string]map[string][]byte{}}
}

func (f *fakeAzure) serve(t testing.TB, wrap func(http.Handler) http.Handler) string {
	var h http.Handler = f
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func azureRefuse(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("X-Ms-Request-Id", "1")
	w.WriteHeader(status)
	fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no.\nRequestId:1\nTime:now</Message><AuthenticationErrorDetail>%s</AuthenticationErrorDetail></Error>", code, detail)
}

func (f *fakeAzure) live(name string) (fakeGen, bool) {
	list := f.blobs[name]
	if n := len(list); n > 0 && list[n-1].data != nil {
		return list[n-1], true
	}
	return fakeGen{}, false
}

func (f *fakeAzure) store(w http.ResponseWriter, name string, data []byte) {
	f.clock++
	f.blobs[name] = append(f.blobs[name], fakeGen{f.clock, append([]byte{}, data...)})
	delete(f.blocks, name)
	w.Header().Set("ETag", fmt.Sprintf(`"0x%d"`, f.clock))
	w.Header().Set("X-Ms-Version-Id", strconv.FormatInt(f.clock, 10))
	w.WriteHeader(http.StatusCreated)
}

func (f *fakeAzure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.route(w, r, body)
}

func (f *fakeAzure) signed(r *http.Request) bool {
	if f.key == nil {
		return r.Header.Get("Authorization") == ""
	}
	c := r.Clone(r.Context())
	signAzure(c, "acc", f.key)
	return c.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func (f *fakeAzure) route(w http.ResponseWriter, r *http.Request, body []byte) {
	q := r.URL.Query()
	w.Header().Set("X-Ms-Request-Id", "1")
	if sum := md5.Sum(body); r.Header.Get("Content-MD5") != "" && r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		azureRefuse(w, http.StatusBadRequest, "Md5Mismatch", "")
		return
	}
	name, inside := strings.CutPrefix(r.URL.Path, "/acc/bucket/")
	switch {
	case !f.signed(r):
		azureRefuse(w, http.StatusForbidden, "AuthenticationFailed", "The MAC signature found in the HTTP request is not the same as any computed signature.")
	case r.URL.Path == "/acc/bucket" && q.Get("comp") == "list":
		f.list(w, q)
	case r.URL.Path == "/acc/bucket" && q.Get("comp") == "batch":
		f.batch(w, r, body)
	case !inside:
		azureRefuse(w, http.StatusNotFound, "ContainerNotFound", "")
	case r.Method == http.MethodPut:
		f.put(w, r, name, q, body)
	default:
		f.blob(w, r, name, q.Get("versionid"))
	}
}

func (f *fakeAzure) blob(w http.ResponseWriter, r *http.Request, name, version string) {
	g, ok := f.live(name)
	if version != "" {
		if _, err := strconv.Atoi(version); err != nil {
			azureRefuse(w, http.StatusBadRequest, "InvalidQueryParameterValue", "")
			return
		}
		i := slices.IndexFunc(f.blobs[name], func(g fakeGen) bool { return strconv.FormatInt(g.gen, 10) == version && g.data != nil })
		if ok = i >= 0; ok {
			g = f.blobs[name][i]
		}
	}
	switch {
	case !ok:
		azureRefuse(w, http.StatusNotFound, "BlobNotFound", "")
	case r.Method == http.MethodDelete:
		f.clock++
		f.blobs[name] = append(f.blobs[name], fakeGen{f.clock, nil})
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"0x%d"`, g.gen))
		w.Header().Set("X-Ms-Version-Id", strconv.FormatInt(g.gen, 10))
		if rg := r.Header.Get("X-Ms-Range"); rg != "" {
			r.Header.Set("Range", rg)
		}
		http.ServeContent(w, r, "", time.Now(), bytes.NewReader(g.data))
	}
}

func (f *fakeAzure) put(w http.ResponseWriter, r *http.Request, name string, q url.Values, body []byte) {
	sum := md5.Sum(body)
	switch q.Get("comp") {
	case "block":
		if f.blocks[name] == nil {
			f.blocks[name] = map[string][]byte{}
		}
		f.blocks[name][q.Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case "blocklist":
		var in struct{ Latest []string }
		_ = xml.Unmarshal(body, &in)
		var all []byte
		for _, id := range in.Latest {
			part, ok := f.blocks[name][id]
			if !ok {
				azureRefuse(w, http.StatusBadRequest, "InvalidBlockList", "")
				return
			}
			all = append(all, part...)
		}
		f.store(w, name, all)
	default:
		if r.Header.Get("X-Ms-Blob-Type") != "BlockBlob" || r.ContentLength < 0 {
			azureRefuse(w, http.StatusBadRequest, "MissingRequiredHeader", "")
			return
		}
		w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
		f.store(w, name, body)
	}
}

func (f *fakeAzure) list(w http.ResponseWriter, q url.Values) {
	most, _ := strconv.Atoi(q.Get("maxresults"))
	most = min(most, f.page)
	var out strings.Builder
	n, next := 0, ""
	for _, name := range slices.Sorted(maps.Keys(f.blobs)) {
		g, live := f.live(name)
		if !live || !strings.HasPrefix(name, q.Get("prefix")) || name < q.Get("marker") {
			continue
		}
		if n++; n > most {
			next = name
			break
		}
		text := "<Name>" + escapeXML(name) + "</Name>"
		if strings.Contains(name, "%") {
			text = `<Name Encoded="true">` + escapeXML(url.PathEscape(name)) + "</Name>"
		}
		blob := func(g fakeGen, current bool) {
			version := ""
			if q.Get("include") == "versions" {
				version = fmt.Sprintf("<VersionId>%d</VersionId>", g.gen)
				if current {
					version += "<IsCurrentVersion>true</IsCurrentVersion>"
				}
			}
			fmt.Fprintf(&out, "<Blob>%s%s<Properties><Content-Length>%d</Content-Length><Etag>0x%d</Etag><Last-Modified>Mon, 02 Jan 2006 15:04:05 GMT</Last-Modified></Properties></Blob>", text, version, len(g.data), g.gen)
		}
		if q.Get("include") == "versions" {
			for _, old := range f.blobs[name] {
				if old.data != nil && old.gen != g.gen {
					blob(old, false)
				}
			}
		}
		blob(g, true)
	}
	fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>%s<BlobPrefix><Name>x/</Name></BlobPrefix></Blobs><NextMarker>%s</NextMarker></EnumerationResults>", out.String(), escapeXML(next))
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (f *fakeAzure) batch(w http.ResponseWriter, r *http.Request, body []byte) {
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	mr := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var out bytes.Buffer
	mw := multipart.NewWriter(&out)
	for {
		part, err := mr.NextRawPart()
		if err != nil {
			break
		}
		req, err := http.ReadRequest(bufio.NewReader(part))
		if err != nil {
			azureRefuse(w, http.StatusBadRequest, "InvalidInput", "")
			return
		}
		rec := httptest.NewRecorder()
		f.route(rec, req, nil)
		pw, _ := mw.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}})
		_ = rec.Result().Write(pw)
	}
	mw.Close()
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+mw.Boundary())
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(out.Bytes())
}

func azureConnection(url string) string {
	return "AccountName=acc;AccountKey=" + base64.StdEncoding.EncodeToString(fakeAzureKey) + ";BlobEndpoint=" + url + "/acc"
}

func azureConfig(url string) Config {
	return Config{Name: "r", URL: "azure://bucket/some/prefix", Options: map[string]string{"connection_string": azureConnection(url)}, Jobs: 8}
}

// OpenTestAzure opens a backend on a server in the process.
func OpenTestAzure(t testing.TB) Backend {
	return openTestAzure(t, azureConfig(newFakeAzure().serve(t, nil)), nil)
}

func TestAzureRefuses(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte("k"))
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		text    string
	}{
		"no container":      {"azure://", nil, "azure://container/path"},
		"version":           {"azure://c/p?versionid=1", nil, "url"},
		"account in url":    {"azure://acc.blob.core.windows.net/c", nil, "url"},
		"password":          {"azure://u:geheim@c/p", nil, "url"},
		"parent":            {"azure://c/../p", nil, ".."},
		"option of S3":      {"azure://c", map[string]string{"region": "x"}, "region"},
		"no account":        {"azure://c", nil, "account_name"},
		"odd account":       {"azure://c", map[string]string{"account_name": "evil.example.com/"}, "account_name"},
		"bad bool":          {"azure://c", map[string]string{"exclude_environment_credential": "yes"}, "exclude_environment_credential"},
		"bad timeout":       {"azure://c", map[string]string{"read_timeout": "-1"}, "read_timeout"},
		"bad key":           {"azure://c", map[string]string{"account_name": "a", "account_key": "geheim!"}, "account_key"},
		"bad sas":           {"azure://c", map[string]string{"account_name": "a", "sas_token": "geheim"}, "sas_token"},
		"half a principal":  {"azure://c", map[string]string{"account_name": "a", "client_id": "x", "client_secret": "geheim"}, "tenant_id"},
		"no principal":      {"azure://c", map[string]string{"account_name": "a", "client_secret": "geheim"}, "client_id"},
		"bad connection":    {"azure://c", map[string]string{"connection_string": "geheim"}, "connection_string"},
		"connection no url": {"azure://c", map[string]string{"connection_string": "AccountKey=" + key}, "connection_string"},
		"connection ftp":    {"azure://c", map[string]string{"connection_string": "BlobEndpoint=ftp://h"}, "connection_string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Config{Name: "r", URL: c.url, Options: c.options}, Env{})
			if !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v of kind %v, want Config naming %q", err, errs.KindOf(err), c.text)
			}
		})
	}
}

// Who to be is decided as DVC does, from options, variables and the file of
// Azure's tool.
func TestAzureLogin(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "config"), []byte("[core]\naccount = wrong\n[storage]\naccount = fromfile\nkey=a2V5\ncontainer_name = box\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type out struct {
		endpoint, container string
		key, sas            string
		token, anonymous    bool
	}
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		env     map[string]string
		want    out
	}{
		"key":         {"azure://c/p", map[string]string{"account_name": "a", "account_key": "a2V5", "sas_token": "sig=x"}, nil, out{"https://a.blob.core.windows.net", "c", "key", "", false, false}},
		"sas":         {"azure://c/p", map[string]string{"account_name": "a", "sas_token": "?sv=1&sig=x"}, nil, out{"https://a.blob.core.windows.net", "c", "", "sv=1&sig=x", false, false}},
		"default":     {"azure://c", map[string]string{"account_name": "a"}, nil, out{"https://a.blob.core.windows.net", "c", "", "", true, false}},
		"principal":   {"azure://c", map[string]string{"account_name": "a", "tenant_id": "t", "client_id": "i", "client_secret": "s"}, nil, out{"https://a.blob.core.windows.net", "c", "", "", true, false}},
		"anonymous":   {"azure://c", map[string]string{"account_name": "a", "allow_anonymous_login": "true"}, nil, out{"https://a.blob.core.windows.net", "c", "", "", false, true}},
		"anon by env": {"azure://c", nil, map[string]string{"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_ANON": "1"}, out{"https://a.blob.core.windows.net", "c", "", "", false, true}},
		"adlfs env":   {"azure://c", nil, map[string]string{"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}, out{"https://a.blob.core.windows.net", "c", "key", "", false, false}},
		"az env":      {"azure://c", nil, map[string]string{"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_SAS_TOKEN": "sig=y"}, out{"https://a.blob.core.windows.net", "c", "", "sig=y", false, false}},
		"az file":     {"azure://", nil, map[string]string{"AZURE_CONFIG_DIR": home}, out{"https://fromfile.blob.core.windows.net", "box", "key", "", false, false}},
		"connection":  {"azure://c", map[string]string{"account_name": "b", "connection_string": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;EndpointSuffix=example.org"}, nil, out{"http://a.blob.example.org", "c", "key", "", false, false}},
		"shared":      {"azure://c", map[string]string{"connection_string": "BlobEndpoint=https://h/a/;SharedAccessSignature=sv=1&sig=z="}, nil, out{"https://h/a", "c", "", "sv=1&sig=z=", false, false}},
		"emulator":    {"azure://c", nil, map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"}, out{emulatorURL, "c", "known", "", false, false}},
	} {
		o, err := parseAzure(Config{Name: "r", URL: c.url, Options: c.options}, Env{Getenv: func(k string) string { return c.env[k] }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := out{o.endpoint, o.container, string(o.key), o.sas, o.token, o.anonymous}
		if name == "emulator" && len(o.key) == 64 {
			got.key = "known"
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAzureErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		code   string
		detail string
		header map[string]string
		kind   errs.Kind
		hint   string
	}{
		"key refused":  {403, "AuthenticationFailed", "The MAC signature found", nil, errs.Denied, "account_key"},
		"clock":        {403, "AuthenticationFailed", "Request date header too old", map[string]string{"Date": "Mon, 02 Jan 2006 15:04:05 GMT"}, errs.Denied, ""},
		"role":         {403, "AuthorizationPermissionMismatch", "", nil, errs.Denied, "Contributor"},
		"network":      {403, "AuthorizationFailure", "", nil, errs.Denied, "network"},
		"no keys":      {403, "KeyBasedAuthenticationNotPermitted", "", nil, errs.Denied, "az login"},
		"not public":   {409, "PublicAccessNotPermitted", "", nil, errs.Denied, ""},
		"no login":     {401, "NoAuthenticationInformation", "", nil, errs.Denied, ""},
		"https":        {400, "AccountRequiresHttps", "", nil, errs.Config, "https"},
		"no container": {404, "ContainerNotFound", "", nil, errs.Config, "azure://"},
		"bad name":     {400, "InvalidResourceName", "", nil, errs.Config, "azure://"},
		"busy":         {503, "ServerBusy", "", map[string]string{"Retry-After": "7"}, errs.Unavailable, ""},
		"internal":     {500, "InternalError", "", nil, errs.Unavailable, ""},
		"flipped":      {400, "Md5Mismatch", "", nil, errs.Unavailable, ""},
		"archived":     {409, "BlobArchived", "", nil, errs.Conflict, "tier"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				azureRefuse(w, c.status, c.code, c.detail)
			}))
			t.Cleanup(srv.Close)
			b := openTestAzure(t, azureConfig(srv.URL), nil)
			for op, f := range map[string]func() error{
				"put":  func() error { return b.Put(t.Context(), "k", 1, strings.NewReader("x")) },
				"open": func() error { _, _, err := b.Open(t.Context(), "k", 0, -1); return err },
				"stat": func() error { _, err := b.Stat(t.Context(), "k"); return err },
				"one":  func() error { return b.Delete(t.Context(), []string{"k"}) },
				"many": func() error { return b.Delete(t.Context(), []string{"k", "l"}) },
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
				if err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "RequestId") || !strings.Contains(err.Error(), "azure://bucket")) {
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

// What is no Azure is said so, and signatures in addresses stay secret.
func TestAzureSecrets(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "<html>log in "+r.URL.RawQuery+"</html>")
			return
		}
		azureRefuse(w, 403, "Odd", "")
		_, _ = io.WriteString(w, r.URL.RawQuery)
	}))
	open := func(addr string) *azureBackend {
		return openTestAzure(t, Config{Name: "r", URL: "azure://c", Options: map[string]string{"connection_string": "BlobEndpoint=" + addr + ";SharedAccessSignature=sv=2&sig=ge%2Bheim"}}, nil)
	}
	b := open(srv.URL)
	_, _, err := b.Open(t.Context(), "k", 0, -1)
	if !errs.Is(err, errs.Config) {
		t.Errorf("login page: %v", err)
	}
	all := []error{err, b.Put(t.Context(), "k", 1, strings.NewReader("x"))}
	srv.Close()
	_, err = b.Stat(t.Context(), "k")
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
	_, err2 := newAzure(Config{Options: map[string]string{"connection_string": "BlobEndpoint=http://[::1;SharedAccessSignature=sv=2&sig=geheim"}, URL: "azure://c"}, Env{})
	for _, err := range append(all, err, err2) {
		if err == nil || strings.Contains(err.Error(), "heim") || strings.Contains(errs.HintOf(err), "heim") {
			t.Errorf("got %v", err)
		}
	}
}

// Bytes that change on the way, or in the server, are not taken.
func TestAzureDamage(t *testing.T) {
	t.Parallel()
	for _, lies := range []bool{false, true} {
		url := newFakeAzure().serve(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					b, _ := io.ReadAll(r.Body)
					b[0] ^= 1
					if lies {
						sum := md5.Sum(b)
						r.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
						signAzure(r, "acc", fakeAzureKey)
					}
					r.Body = io.NopCloser(bytes.NewReader(b))
				}
				h.ServeHTTP(w, r)
			})
		})
		b := openTestAzure(t, azureConfig(url), nil)
		if err := b.Put(t.Context(), "k", 4, strings.NewReader("body")); !errs.Is(err, errs.Unavailable) {
			t.Errorf("lying server %v: got %v", lies, err)
		}
		if _, err := b.Stat(t.Context(), "k"); !errs.Is(err, errs.NotFound) {
			t.Errorf("lying server %v: then stat %v", lies, err)
		}
	}
}

// A completion whose answer was lost is found to have happened; blocks that
// are not there are not made up.
func TestAzureParts(t *testing.T) {
	t.Parallel()
	b := openTestAzure(t, azureConfig(newFakeAzure().serve(t, nil)), nil)
	p, err := b.BeginParts(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := p.Put(t.Context(), i, []byte("part")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Complete(t.Context(), 3, 12); err == nil {
		t.Error("a block that was never put is taken")
	}
	for range 2 {
		if err := p.Complete(t.Context(), 2, 8); err != nil {
			t.Errorf("complete: %v", err)
		}
	}
}

func TestAzureVersions(t *testing.T) {
	t.Parallel()
	b := openTestAzure(t, azureConfig(newFakeAzure().serve(t, nil)), nil)
	first, err := b.PutVersion(t.Context(), "k%", 3, strings.NewReader("one"))
	if err != nil || first.Meta.VersionID == "" || first.Meta.ETag == "" || first.Size != 3 {
		t.Fatalf("got %+v, %v", first, err)
	}
	second, err := b.PutVersion(t.Context(), "k%", 6, io.MultiReader(strings.NewReader("second")))
	if err != nil || second.Meta.VersionID == first.Meta.VersionID {
		t.Fatalf("got %+v, %v", second, err)
	}
	r, size, err := b.OpenVersion(t.Context(), "k%", first.Meta.VersionID, 1, -1)
	if err != nil || size != 3 {
		t.Fatalf("open: %d, %v", size, err)
	}
	if got, _ := io.ReadAll(r); string(got) != "ne" {
		t.Errorf("open: got %q", got)
	}
	r.Close()
	if e, err := b.DescribeVersion(t.Context(), "k%", second.Meta.VersionID); err != nil || e.Size != 6 || e.Meta.ModTime.IsZero() {
		t.Errorf("describe: %+v, %v", e, err)
	}
	for _, v := range []string{"99", "nonsense"} {
		if _, err := b.DescribeVersion(t.Context(), "k%", v); !errs.Is(err, errs.NotFound) {
			t.Errorf("version %s: %v", v, err)
		}
	}
	n := 0
	for e, err := range b.ListVersions(t.Context(), "") {
		if n++; err != nil || e.Key != "k%" || e.Meta.VersionID != second.Meta.VersionID || e.Meta.ETag != second.Meta.ETag {
			t.Errorf("list: %+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("list: %d entries", n)
	}
}

// A login server that refuses is quoted, without the secret and the ids.
func TestAzurePrincipal(t *testing.T) {
	t.Parallel()
	text := azureLoginText(errors.New("ClientSecretCredential authentication failed. \nPOST https://login\n--------\n{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the value. Trace ID: 1\"}"))
	if text != "AADSTS7000215: Invalid client secret provided." {
		t.Errorf("got %q", text)
	}
}

func TestRecordedETag(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"gs", "CKih16GjycICEAE=", "08a8a1d7a1a3c9c2021001"}, {"gs", "?", "?"}, {"azure", "0x8D", `"0x8D"`}, {"s3", "abc", "abc"}, {"azure", "", ""}} {
		if got := RecordedETag(c[0], c[1]); got != c[2] {
			t.Errorf("%s %q: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// aad answers as Microsoft's login servers do, and sends all else on.
type aad struct {
	refuse bool
	mu     sync.Mutex
	forms  []url.Values
}

func (a *aad) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "login.microsoftonline.com" {
		return http.DefaultTransport.RoundTrip(r)
	}
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		_, _ = io.WriteString(rec, `{"tenant_discovery_endpoint":"https://login.microsoftonline.com/tenant/v2.0/.well-known/openid-configuration","metadata":[{"preferred_network":"login.microsoftonline.com","preferred_cache":"login.windows.net","aliases":["login.microsoftonline.com"]}]}`)
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		_, _ = io.WriteString(rec, `{"issuer":"https://login.microsoftonline.com/tenant/v2.0","authorization_endpoint":"https://login.microsoftonline.com/tenant/oauth2/v2.0/authorize","token_endpoint":"https://login.microsoftonline.com/tenant/oauth2/v2.0/token"}`)
	case a.refuse:
		rec.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(rec, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: 1"}`)
	default:
		_ = r.ParseForm()
		a.mu.Lock()
		a.forms = append(a.forms, r.PostForm)
		a.mu.Unlock()
		_, _ = io.WriteString(rec, `{"access_token":"tok","token_type":"Bearer","expires_in":3600}`)
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// A service principal, of options or variables, and a workload's file become a
// token.
func TestAzureToken(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"), true)
		azureRefuse(w, http.StatusNotFound, "BlobNotFound", "")
	}))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion"), 0o600); err != nil {
		t.Fatal(err)
	}
	principal := map[string]string{"tenant_id": "tenant", "client_id": "me", "client_secret": "geheim"}
	try := func(login *aad, options, env map[string]string) error {
		o := map[string]string{"account_name": "acc", "exclude_managed_identity_credential": "true"}
		maps.Copy(o, options)
		env = maps.Clone(env)
		b := openTestAzure(t, Config{Name: "r", URL: "azure://c", Options: o}, env)
		b.http.Transport = login
		b.o.endpoint = srv.URL + "/acc"
		_, err := b.Stat(t.Context(), "k")
		return err
	}
	for name, c := range map[string]struct {
		options, env map[string]string
		field, value string
	}{
		"options":   {principal, nil, "client_secret", "geheim"},
		"variables": {nil, map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "me", "AZURE_CLIENT_SECRET": "geheim"}, "client_secret", "geheim"},
		"workload":  {nil, map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "me", "AZURE_FEDERATED_TOKEN_FILE": file}, "client_assertion", "assertion"},
	} {
		login := &aad{}
		if err := try(login, c.options, c.env); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if len(login.forms) != 1 || login.forms[0].Get(c.field) != c.value || login.forms[0].Get("client_id") != "me" || !strings.Contains(login.forms[0].Get("scope"), azureScope) {
			t.Errorf("%s: asked %v", name, login.forms)
		}
	}
	if _, ok := seen.Load("Bearer tok"); !ok {
		t.Error("the token was not used")
	}
	err := try(&aad{refuse: true}, principal, nil)
	if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), "geheim") || !strings.Contains(errs.HintOf(err), "client_secret") {
		t.Errorf("refused: %v, %q", err, errs.HintOf(err))
	}
}
