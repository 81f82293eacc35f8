package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	gcsPageSize = 1000    // keys of a listing
	gcsBatch    = 100     // requests of a batch, Google's limit
	gcsMinPart  = 5 << 20 // of a multipart upload
	gcsMaxParts = 10000   // of one object
)

// gcsBackend keeps bytes in a Google Cloud Storage bucket below a prefix. It
// speaks the JSON API, and the XML API for uploads in parts, by itself:
// Google's library brings gRPC and telemetry, which would double the binary.
type gcsBackend struct {
	restClient
	o      *gcsOptions
	tokens tokenCache

	bucketOnce sync.Once // the first missing key asks whether the bucket is there
	bucketErr  error
	singly     atomic.Bool // the server cannot delete in batches
	composes   atomic.Bool // the server has no uploads in parts; it can join objects
}

var _ interface {
	Backend
	PartPutter
	Describer
	Versioned
} = (*gcsBackend)(nil)

func openGCS(_ context.Context, c Config, env Env) (Backend, error) {
	b, err := newGCS(c, env)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func newGCS(c Config, env Env) (*gcsBackend, error) {
	o, err := parseGCS(c, env)
	if err != nil {
		return nil, err
	}
	if o.jobs <= 0 {
		o.jobs = min(64, max(16, 4*runtime.NumCPU()))
	}
	b := &gcsBackend{restClient: newRESTClient(c, "gs://"+o.bucket, o.jobs, 0, 0), o: o}
	b.tokens.source, err = gcsCredentials(c, o, env, b.http)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (b *gcsBackend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.o.jobs, ListPrice: gcsPageSize}, PartSize: gcsMinPart, MaxParts: gcsMaxParts}
}

func (b *gcsBackend) Close() error { b.close(); return nil }

// bucketURL is the bucket in the JSON API; prefix is "", "/upload" or
// "/download".
func (b *gcsBackend) bucketURL(prefix string) string {
	return b.o.endpoint + prefix + "/storage/v1/b/" + url.PathEscape(b.o.bucket)
}

func (b *gcsBackend) objectURL(key string) string {
	return b.bucketURL("") + "/o/" + url.PathEscape(b.o.prefix+key)
}

// xmlURL is an object in the XML API.
func (b *gcsBackend) xmlURL(key string) string {
	return b.o.endpoint + "/" + url.PathEscape(b.o.bucket) + "/" + strings.ReplaceAll(url.PathEscape(b.o.prefix+key), "%2F", "/")
}

// do sends a request with credentials and returns a good answer. Every other
// is an error, classified.
func (b *gcsBackend) do(ctx context.Context, method, address string, header map[string]string, size int64, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, errs.New(errs.Config, "%s: %s", b.where, b.scrub(err.Error()))
	}
	if body != nil {
		req.ContentLength = size
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	token, err := b.tokens.get(ctx)
	if err != nil {
		return nil, b.tokenError(ctx, err)
	}
	if token != nil {
		token.SetAuthHeader(req)
	}
	resp, err := b.send(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	return nil, b.failure(ctx, resp)
}

// call is do for requests that answer with JSON of a certain kind.
func (b *gcsBackend) call(ctx context.Context, method, address string, header map[string]string, size int64, body io.Reader, kind string, into any) error {
	resp, err := b.do(ctx, method, address, header, size, body)
	if err != nil {
		return err
	}
	data, err := b.readAnswer(ctx, resp)
	if err != nil {
		return err
	}
	var head struct{ Kind string }
	if json.Unmarshal(data, &head) != nil || head.Kind != kind || json.Unmarshal(data, into) != nil {
		return b.notGCS()
	}
	return nil
}

// notGCS is for an answer that claims success but is not what was asked for:
// a login page, for instance.
func (b *gcsBackend) notGCS() error {
	return errs.WithHint(errs.New(errs.Config, "%s: the answer is not that of Google Cloud Storage", b.where),
		"Check endpointurl, and proxies on the way.")
}

func (b *gcsBackend) noBucket() error {
	return errs.WithHint(errs.New(errs.Config, "%s: there is no such bucket", b.where),
		"Create it, or correct the address: cairn remote modify %s url gs://BUCKET/PATH", b.name)
}

// gcsObject is what the JSON API tells of an object.
type gcsObject struct {
	Name, ETag, Generation, CRC32C, MD5Hash string
	Size                                    string
	Updated                                 time.Time
}

// gcsFields are what is asked for of an object.
const gcsFields = "kind,name,size,etag,generation,crc32c,md5Hash,updated"

func (b *gcsBackend) entry(o *gcsObject) (Entry, error) {
	size, err := strconv.ParseInt(o.Size, 10, 64)
	key, ok := strings.CutPrefix(o.Name, b.o.prefix)
	if err != nil || size < 0 || !ok {
		return Entry{}, b.notGCS()
	}
	return Entry{Key: key, Size: size, Meta: Meta{ETag: o.ETag, VersionID: o.Generation, ModTime: o.Updated}}, nil
}

func (b *gcsBackend) Stat(ctx context.Context, key string) (int64, error) {
	e, err := b.Describe(ctx, key)
	return e.Size, err
}

// Describe asks for all that is known of an object.
func (b *gcsBackend) Describe(ctx context.Context, key string) (Entry, error) {
	return b.DescribeVersion(ctx, key, "")
}

// DescribeVersion asks for one generation of an object.
func (b *gcsBackend) DescribeVersion(ctx context.Context, key, version string) (Entry, error) {
	o, err := b.object(ctx, key, version)
	if err != nil {
		return Entry{}, err
	}
	return b.entry(o)
}

func (b *gcsBackend) object(ctx context.Context, key, version string) (*gcsObject, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	q := url.Values{"fields": {gcsFields}}
	if err := setGeneration(q, version); err != nil {
		return nil, err
	}
	var o gcsObject
	err := b.call(ctx, http.MethodGet, b.objectURL(key)+"?"+q.Encode(), nil, 0, nil, "storage#object", &o)
	if errs.Is(err, errs.NotFound) {
		err = b.orNoBucket(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}

func setGeneration(q url.Values, version string) error {
	if version == "" {
		return nil
	}
	if _, err := strconv.ParseUint(version, 10, 64); err != nil {
		return errs.New(errs.NotFound, "there is no version %q: Google Cloud Storage numbers its versions", version)
	}
	q.Set("generation", version)
	return nil
}

// orNoBucket turns a missing key into a missing bucket, if that is so: the
// server answers both with the same status.
func (b *gcsBackend) orNoBucket(ctx context.Context, missing error) error {
	b.bucketOnce.Do(func() {
		q := url.Values{"maxResults": {"1"}, "fields": {"kind"}, "prefix": {b.o.prefix}}
		var none struct{}
		if err := b.call(ctx, http.MethodGet, b.bucketURL("")+"/o?"+q.Encode(), nil, 0, nil, "storage#objects", &none); errs.Is(err, errs.NotFound) {
			b.bucketErr = b.noBucket()
		}
	})
	if b.bucketErr != nil {
		return b.bucketErr
	}
	return missing
}

func (b *gcsBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	return b.OpenVersion(ctx, key, "", off, n)
}

// OpenVersion reads one generation of an object.
func (b *gcsBackend) OpenVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, int64, error) {
	nothing := func() (io.ReadCloser, int64, error) {
		e, err := b.DescribeVersion(ctx, key, version)
		return emptyBody(), e.Size, err
	}
	if err := CheckKey(key); err != nil {
		return nil, 0, err
	}
	if n == 0 {
		return nothing() // there are no empty ranges
	}
	q := url.Values{"alt": {"media"}}
	if err := setGeneration(q, version); err != nil {
		return nil, 0, err
	}
	// An object stored with Content-Encoding gzip comes as it is stored.
	header := map[string]string{"Accept-Encoding": "gzip"}
	want := rangeHeader(off, n)
	if want != "" {
		header["Range"] = want
	}
	resp, err := b.do(ctx, http.MethodGet, b.objectURL(key)+"?"+q.Encode(), header, 0, nil)
	if f, ok := err.(*gcsFailure); ok && f.status == http.StatusRequestedRangeNotSatisfiable {
		return nothing()
	}
	if errs.Is(err, errs.NotFound) {
		err = b.orNoBucket(ctx, err)
	}
	if err != nil {
		return nil, 0, err
	}
	if resp.Header.Get("X-Goog-Generation") == "" {
		drain(resp)
		return nil, 0, b.notGCS()
	}
	size := int64(-1)
	if resp.StatusCode == http.StatusPartialContent {
		size = totalOf(resp.Header.Get("Content-Range"))
	} else {
		if size, err = strconv.ParseInt(resp.Header.Get("X-Goog-Stored-Content-Length"), 10, 64); err != nil {
			size = resp.ContentLength
		}
	}
	if size < 0 {
		e, err := b.DescribeVersion(ctx, key, version)
		if err != nil {
			resp.Body.Close()
			return nil, 0, err
		}
		size = e.Size
	}
	r, err := b.body(ctx, resp, off, n, size)
	return r, size, err
}

func encodeCRC(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// Put sends a value in one request, with the checksum that Google compares
// with what it got before the object appears.
func (b *gcsBackend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	_, err := b.PutVersion(ctx, key, size, r)
	return err
}

// PutVersion is Put, and tells the generation that came of it.
func (b *gcsBackend) PutVersion(ctx context.Context, key string, size int64, r io.Reader) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	body, ok := r.(io.ReadSeeker)
	if !ok {
		if err := putStream(ctx, b, b.where, key, size, r); err != nil {
			return Entry{}, err
		}
		return b.Describe(ctx, key)
	}
	h := crc32.New(castagnoli())
	if err := hashTwice(h, body, b.where, key, size); err != nil {
		return Entry{}, err
	}
	return b.insert(ctx, key, size, body, h.Sum32())
}

func (b *gcsBackend) insert(ctx context.Context, key string, size int64, body io.Reader, sum uint32) (Entry, error) {
	meta, err := json.Marshal(map[string]string{"name": b.o.prefix + key, "crc32c": encodeCRC(sum), "contentType": "application/octet-stream"})
	if err != nil {
		return Entry{}, err
	}
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	part := func(kind string) {
		_, err = w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind}}) // into memory
	}
	part("application/json; charset=UTF-8")
	head.Write(meta)
	part("application/octet-stream")
	if err != nil {
		return Entry{}, err
	}
	tail := "\r\n--" + w.Boundary() + "--\r\n"
	total := int64(head.Len()) + size + int64(len(tail))
	var o gcsObject
	err = b.call(ctx, http.MethodPost, b.bucketURL("/upload")+"/o?"+url.Values{"uploadType": {"multipart"}, "fields": {gcsFields}}.Encode(),
		map[string]string{"Content-Type": "multipart/related; boundary=" + w.Boundary()}, total,
		io.MultiReader(&head, io.LimitReader(body, size), strings.NewReader(tail)), "storage#object", &o)
	if errs.Is(err, errs.NotFound) {
		err = b.noBucket() // only a bucket can be missing here
	}
	if err != nil {
		return Entry{}, err
	}
	return b.checkStored(ctx, key, size, sum, &o)
}

// checkStored compares what the server says that it stored with what was sent.
func (b *gcsBackend) checkStored(ctx context.Context, key string, size int64, sum uint32, o *gcsObject) (Entry, error) {
	e, err := b.entry(o)
	if err != nil {
		return Entry{}, err
	}
	if e.Size != size || o.CRC32C != encodeCRC(sum) {
		_ = b.Delete(ctx, []string{key})
		return Entry{}, errs.New(errs.Unavailable, "%s: the server stored other bytes than it was sent", b.where)
	}
	return e, nil
}

func (b *gcsBackend) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, false, onlyOnce)
}

// ListVersions is List: what it yields are the live generations.
func (b *gcsBackend) ListVersions(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.List(ctx, prefix)
}

// ListBy is List, a page a step.
func (b *gcsBackend) ListBy(ctx context.Context, prefix string, _ bool, step Step) iter.Seq2[Entry, error] {
	return listPages(ctx, b.where, step, func(ctx context.Context, token string) ([]Entry, string, error) {
		q := url.Values{"maxResults": {strconv.Itoa(gcsPageSize)}, "prefix": {b.o.prefix + prefix},
			"fields": {"kind,nextPageToken,items(" + gcsFields + ")"}}
		if token != "" {
			q.Set("pageToken", token)
		}
		var page struct {
			NextPageToken string
			Items         []gcsObject
		}
		err := b.call(ctx, http.MethodGet, b.bucketURL("")+"/o?"+q.Encode(), nil, 0, nil, "storage#objects", &page)
		if errs.Is(err, errs.NotFound) {
			err = b.noBucket() // only a bucket can be missing here
		}
		if err != nil {
			return nil, "", err
		}
		found := make([]Entry, 0, len(page.Items))
		for i := range page.Items {
			// A folder that a console made is a key with a slash at its end.
			if name := page.Items[i].Name; strings.HasSuffix(name, "/") || !strings.HasPrefix(name, b.o.prefix+prefix) {
				continue
			}
			e, err := b.entry(&page.Items[i])
			if err != nil {
				return nil, "", err
			}
			found = append(found, e)
		}
		return found, page.NextPageToken, nil
	})
}

// Delete removes keys a hundred at a time, or one by one where the server
// cannot do better.
func (b *gcsBackend) Delete(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	for lo := 0; lo < len(keys); lo += gcsBatch {
		part := keys[lo:min(lo+gcsBatch, len(keys))]
		if len(part) > 1 && !b.singly.Load() {
			err := b.deleteMany(ctx, part)
			if err == nil {
				continue
			}
			if k := errs.KindOf(err); k != errs.Unsupported && k != errs.NotFound {
				return err
			}
			b.singly.Store(true)
		}
		for _, k := range part {
			resp, err := b.do(ctx, http.MethodDelete, b.objectURL(k), nil, 0, nil)
			if err == nil {
				drain(resp)
			} else if !errs.Is(err, errs.NotFound) {
				return err
			}
		}
	}
	return nil
}

// deleteMany sends many deletions in one request of the batch API, whose
// answer is a list of answers.
func (b *gcsBackend) deleteMany(ctx context.Context, keys []string) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i, k := range keys {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-ID": {fmt.Sprintf("<%d>", i)}})
		if err != nil {
			return err
		}
		fmt.Fprintf(part, "DELETE %s HTTP/1.1\r\n\r\n", strings.TrimPrefix(b.objectURL(k), b.o.endpoint))
	}
	if err := w.Close(); err != nil {
		return err
	}
	resp, err := b.do(ctx, http.MethodPost, b.o.endpoint+"/batch/storage/v1", map[string]string{"Content-Type": "multipart/mixed; boundary=" + w.Boundary()},
		int64(body.Len()), &body)
	if err != nil {
		return err
	}
	data, err := b.readAnswer(ctx, resp)
	if err != nil {
		return err
	}
	list, ok := answers(resp.Header.Get("Content-Type"), data)
	if !ok {
		return b.notGCS()
	}
	var first error
	for _, one := range list {
		if one.StatusCode < 300 || one.StatusCode == http.StatusNotFound {
			continue
		}
		if one.Header.Get("Date") == "" {
			one.Header.Set("Date", resp.Header.Get("Date"))
		}
		if err := b.failure(ctx, one); first == nil || !errs.Is(err, errs.Unavailable) {
			first = err
		}
	}
	if first == nil && len(list) != len(keys) {
		return errs.New(errs.Unavailable, "%s: the server answered %d of %d deletions", b.where, len(list), len(keys))
	}
	return first
}
