package remote

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeGCS answers as Google does, as far as the driver asks: the JSON API and,
// which no other server has, the uploads in parts of the XML API.
type fakeGCS struct {
	token string // wanted of every request; "" is a public bucket
	noXML bool   // as emulators
	page  int    // most keys of a listing

	mu      sync.Mutex
	clock   int64
	objects map[string][]fakeGen // the last is live, unless its data is nil
	uploads map[string]map[int][]byte
}

type fakeGen struct {
	gen  int64
	data []byte
}

func newFakeGCS() *fakeGCS {
	return &fakeGCS{page: 100, objects: map[string][]fakeGen{}, uploads: map[string]map[int][]byte{}}
}

func (f *fakeGCS) serve(t testing.TB, wrap func(http.Handler) http.Handler) string {
	var h http.Handler = f
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func gcsRefuse(w http.ResponseWriter, status int, reason, msg string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"reason":%q,"message":%q}]}}`, status, msg, reason, msg)
}

func (f *fakeGCS) store(name string, data []byte) *gcsObject {
	f.clock++
	g := fakeGen{f.clock, data}
	f.objects[name] = append(f.objects[name], g)
	return f.describe(name, g)
}

func (f *fakeGCS) describe(name string, g fakeGen) *gcsObject {
	return &gcsObject{Name: name, Size: strconv.Itoa(len(g.data)), Generation: strconv.FormatInt(g.gen, 10), ETag: base64.StdEncoding.EncodeToString([]byte{8, byte(g.gen)}),
		CRC32C: encodeCRC(crc32.Checksum(g.data, castagnoli())), Updated: time.Unix(1700000000+g.gen, 0).UTC()}
}

// find returns a generation; "" is the live one.
func (f *fakeGCS) find(name, gen string) (fakeGen, bool) {
	list := f.objects[name]
	if gen == "" {
		if n := len(list); n > 0 && list[n-1].data != nil {
			return list[n-1], true
		}
		return fakeGen{}, false
	}
	for _, g := range list {
		if strconv.FormatInt(g.gen, 10) == gen && g.data != nil {
			return g, true
		}
	}
	return fakeGen{}, false
}

func reply(w http.ResponseWriter, o *gcsObject) {
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "storage#object", "name": o.Name, "size": o.Size, "generation": o.Generation, "etag": o.ETag, "crc32c": o.CRC32C, "updated": o.Updated})
}

func (f *fakeGCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away: nothing is stored
	}
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token && !strings.HasPrefix(r.URL.Path, "/token") {
		gcsRefuse(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.route(w, r, body)
}

func (f *fakeGCS) route(w http.ResponseWriter, r *http.Request, body []byte) {
	q := r.URL.Query()
	path := r.URL.EscapedPath()
	switch {
	case path == "/batch/storage/v1":
		f.batch(w, r, body)
	case strings.HasPrefix(path, "/upload/storage/v1/b/bucket/o"):
		f.insert(w, r, body)
	case path == "/storage/v1/b/bucket/o":
		f.list(w, q)
	case strings.HasPrefix(path, "/storage/v1/b/bucket/o/"):
		name, op, _ := strings.Cut(strings.TrimPrefix(path, "/storage/v1/b/bucket/o/"), "/")
		name, _ = url.PathUnescape(name)
		f.object(w, r, name, op, body)
	case strings.HasPrefix(path, "/storage/v1/b/"), strings.HasPrefix(path, "/upload/"):
		gcsRefuse(w, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	case strings.HasPrefix(path, "/bucket/") && !f.noXML:
		f.xml(w, r, strings.TrimPrefix(r.URL.Path, "/bucket/"), body)
	default:
		http.Error(w, "what?", http.StatusBadRequest)
	}
}

func (f *fakeGCS) object(w http.ResponseWriter, r *http.Request, name, op string, body []byte) {
	g, ok := f.find(name, r.URL.Query().Get("generation"))
	switch {
	case op == "compose":
		var in struct{ SourceObjects []struct{ Name string } }
		_ = json.Unmarshal(body, &in)
		all := []byte{}
		for _, s := range in.SourceObjects {
			part, ok := f.find(s.Name, "")
			if !ok || len(in.SourceObjects) > composeMost {
				gcsRefuse(w, http.StatusNotFound, "notFound", "No such object: bucket/"+s.Name)
				return
			}
			all = append(all, part.data...)
		}
		reply(w, f.store(name, all))
	case !ok:
		gcsRefuse(w, http.StatusNotFound, "notFound", "No such object: bucket/"+name)
	case r.Method == http.MethodDelete:
		f.clock++
		f.objects[name] = append(f.objects[name], fakeGen{f.clock, nil})
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Query().Get("alt") == "media":
		w.Header().Set("X-Goog-Generation", strconv.FormatInt(g.gen, 10))
		w.Header().Set("X-Goog-Stored-Content-Length", strconv.Itoa(len(g.data)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(g.data))
	default:
		reply(w, f.describe(name, g))
	}
}

func (f *fakeGCS) insert(w http.ResponseWriter, r *http.Request, body []byte) {
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	mr := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var meta struct{ Name, CRC32C string }
	part, err := mr.NextPart()
	if err == nil {
		err = json.NewDecoder(part).Decode(&meta)
	}
	if err == nil {
		part, err = mr.NextPart()
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(part)
	}
	if err != nil {
		gcsRefuse(w, http.StatusBadRequest, "badRequest", "Missing end boundary in multipart body.")
		return
	}
	if meta.CRC32C != "" && meta.CRC32C != encodeCRC(crc32.Checksum(data, castagnoli())) {
		gcsRefuse(w, http.StatusBadRequest, "invalid", "Provided CRC32C \""+meta.CRC32C+"\" doesn't match calculated CRC32C.")
		return
	}
	reply(w, f.store(meta.Name, append([]byte{}, data...)))
}

func (f *fakeGCS) list(w http.ResponseWriter, q url.Values) {
	most, _ := strconv.Atoi(q.Get("maxResults"))
	most = min(most, f.page)
	items := []map[string]string{}
	next := ""
	for _, name := range slices.Sorted(maps.Keys(f.objects)) {
		g, live := f.find(name, "")
		if !live || !strings.HasPrefix(name, q.Get("prefix")) || name < q.Get("pageToken") {
			continue
		}
		if len(items) == most {
			next = name
			break
		}
		o := f.describe(name, g)
		items = append(items, map[string]string{"name": name, "size": o.Size, "generation": o.Generation, "etag": o.ETag})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "storage#objects", "items": items, "nextPageToken": next})
}

func (f *fakeGCS) batch(w http.ResponseWriter, r *http.Request, body []byte) {
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	mr := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var out bytes.Buffer
	mw := multipart.NewWriter(&out)
	for {
		part, err := mr.NextPart()
		if err != nil {
			break
		}
		req, err := http.ReadRequest(bufio.NewReader(part))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		rec := httptest.NewRecorder()
		f.route(rec, req, nil)
		pw, _ := mw.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}})
		_ = rec.Result().Write(pw)
	}
	mw.Close()
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+mw.Boundary())
	_, _ = w.Write(out.Bytes())
}

func (f *fakeGCS) xml(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	parts, ok := f.uploads[id]
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.clock++
		id := fmt.Sprintf("up/%d+", f.clock)
		f.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>bucket</Bucket><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case !ok:
		refuse(http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		sum := md5.Sum(body)
		if r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
			refuse(http.StatusBadRequest, "BadDigest")
			return
		}
		n, _ := strconv.Atoi(q.Get("partNumber"))
		parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum))
	case r.Method == http.MethodDelete:
		delete(f.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		var in struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		_ = xml.Unmarshal(body, &in)
		all := []byte{}
		for i, p := range in.Part {
			data := parts[p.PartNumber]
			if sum := md5.Sum(data); p.ETag != fmt.Sprintf(`"%x"`, sum) || i < len(in.Part)-1 && len(data) < gcsMinPart {
				refuse(http.StatusBadRequest, "InvalidPart")
				return
			}
			all = append(all, data...)
		}
		f.store(name, all)
		delete(f.uploads, id)
		fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	}
}

func gcsConfig(url string, more map[string]string) Config {
	o := map[string]string{"endpointurl": url}
	maps.Copy(o, more)
	return Config{Name: "r", URL: "gs://bucket/some/prefix", Options: o, Jobs: 8}
}

func openTestGCS(t testing.TB, c Config, env map[string]string) *gcsBackend {
	t.Helper()
	b, err := newGCS(c, Env{Getenv: func(k string) string { return env[k] }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// OpenTestGCS opens a backend on a server in the process; emulator asks for
// one that can only join objects.
func OpenTestGCS(t testing.TB, emulator bool) Backend {
	f := newFakeGCS()
	f.noXML = emulator
	return openTestGCS(t, gcsConfig(f.serve(t, nil), nil), nil)
}
