package remote

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
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
	azureVersion  = "2021-12-02" // of the API
	azurePageSize = 5000         // keys of a listing
	azureBatch    = 256          // requests of a batch, Azure's limit
	azureMinPart  = 5 << 20      // Azure has no least; smaller ones do not pay
	azureMaxParts = 50000        // of one blob
)

// azureBackend keeps bytes in a container of Azure Blob Storage below a
// prefix. It speaks the REST API by itself: Azure's blob library brings Apache
// Arrow with it, and its initialisation is felt at every start.
type azureBackend struct {
	restClient
	o      *azureOptions
	tokens tokenCache

	bucketOnce sync.Once // the first missing key asks whether the container is there
	bucketErr  error
	singly     atomic.Bool // the server cannot delete in batches
}

var _ interface {
	Backend
	PartPutter
	Describer
	Versioned
} = (*azureBackend)(nil)

func openAzure(_ context.Context, c Config, env Env) (Backend, error) {
	b, err := newAzure(c, env)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func newAzure(c Config, env Env) (*azureBackend, error) {
	o, err := parseAzure(c, env)
	if err != nil {
		return nil, err
	}
	if o.jobs <= 0 {
		o.jobs = min(64, max(16, 4*runtime.NumCPU()))
	}
	b := &azureBackend{restClient: newRESTClient(c, "azure://"+o.container, o.jobs, o.connect, o.read), o: o}
	b.secrets = o.secrets()
	if o.token {
		b.tokens.source = &azureTokens{o: o, env: env, client: b.http}
	}
	return b, nil
}

func (b *azureBackend) retryOptions() RetryOptions { return RetryOptions{Stall: b.o.read} }

func (b *azureBackend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.o.jobs, ListPrice: azurePageSize}, PartSize: azureMinPart, MaxParts: azureMaxParts}
}

func (b *azureBackend) Close() error { b.close(); return nil }

func (b *azureBackend) containerURL() string {
	return b.o.endpoint + "/" + url.PathEscape(b.o.container)
}

func (b *azureBackend) blobURL(key string) string {
	return b.containerURL() + "/" + strings.ReplaceAll(url.PathEscape(b.o.prefix+key), "%2F", "/")
}

// request makes a request that carries who we are.
func (b *azureBackend) request(ctx context.Context, method, address string, q url.Values, header map[string]string, size int64, body io.Reader) (*http.Request, error) {
	if b.o.server > 0 {
		q = cloneQuery(q)
		q.Set("timeout", strconv.Itoa(max(1, int(b.o.server/time.Second))))
	}
	query := q.Encode()
	if b.o.sas != "" {
		query = strings.TrimPrefix(query+"&"+b.o.sas, "&")
	}
	if query != "" {
		address += "?" + query
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, errs.New(errs.Config, "%s: the address of the account cannot be used", b.where)
	}
	if body != nil {
		req.ContentLength = size
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	return req, b.identify(ctx, req)
}

func cloneQuery(q url.Values) url.Values {
	c := url.Values{}
	for k, v := range q {
		c[k] = v
	}
	return c
}

// identify adds the date and the signature or token.
func (b *azureBackend) identify(ctx context.Context, req *http.Request) error {
	req.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
	if b.o.key != nil {
		signAzure(req, b.o.account, b.o.key)
		return nil
	}
	token, err := b.tokens.get(ctx)
	if err != nil {
		return b.tokenError(ctx, err)
	}
	if token != nil {
		token.SetAuthHeader(req)
	}
	return nil
}

// do sends a request and returns a good answer. Every other is an error,
// classified.
func (b *azureBackend) do(ctx context.Context, method, address string, q url.Values, header map[string]string, size int64, body io.Reader) (*http.Response, error) {
	if header == nil {
		header = map[string]string{}
	}
	header["X-Ms-Version"] = azureVersion
	req, err := b.request(ctx, method, address, q, header, size, body)
	if err != nil {
		return nil, err
	}
	resp, err := b.send(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return nil, b.failure(ctx, resp)
	}
	if resp.Header.Get("X-Ms-Request-Id") == "" {
		drain(resp)
		return nil, b.notAzure()
	}
	return resp, nil
}

// notAzure is for an answer that claims success but lacks what Azure always
// says: a login page, for instance.
func (b *azureBackend) notAzure() error {
	return errs.WithHint(errs.New(errs.Config, "%s: the answer is not that of Azure Blob Storage", b.where),
		"Check the account, the connection string, and proxies on the way.")
}

func (b *azureBackend) noContainer() error {
	return errs.WithHint(errs.New(errs.Config, "%s: there is no such container", b.where),
		"Create it, or correct the address: cairn remote modify %s url azure://CONTAINER/PATH", b.name)
}

func (b *azureBackend) Stat(ctx context.Context, key string) (int64, error) {
	e, err := b.Describe(ctx, key)
	return e.Size, err
}

// Describe asks for all that is known of a blob.
func (b *azureBackend) Describe(ctx context.Context, key string) (Entry, error) {
	return b.DescribeVersion(ctx, key, "")
}

// DescribeVersion asks for one version of a blob.
func (b *azureBackend) DescribeVersion(ctx context.Context, key, version string) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	resp, err := b.do(ctx, http.MethodHead, b.blobURL(key), versionQuery(version), nil, 0, nil)
	if err != nil {
		return Entry{}, b.missing(ctx, err, version)
	}
	drain(resp)
	if isAzureFolder(resp.Header) {
		return Entry{}, errs.New(errs.NotFound, "%s: %s is a folder", b.where, key)
	}
	if resp.ContentLength < 0 {
		return Entry{}, b.notAzure()
	}
	return Entry{Key: key, Size: resp.ContentLength, Meta: azureMeta(resp.Header)}, nil
}

func versionQuery(version string) url.Values {
	if version == "" {
		return nil
	}
	return url.Values{"versionid": {version}}
}

// isAzureFolder tells the folders of accounts with a hierarchical namespace,
// which look like blobs.
func isAzureFolder(h http.Header) bool {
	return h.Get("X-Ms-Resource-Type") == "directory" || strings.EqualFold(h.Get("X-Ms-Meta-Hdi_isfolder"), "true")
}

func azureMeta(h http.Header) Meta {
	m := Meta{ETag: strings.Trim(h.Get("ETag"), `"`), VersionID: h.Get("X-Ms-Version-Id")}
	m.ModTime, _ = http.ParseTime(h.Get("Last-Modified")) // zero if it is not there
	return m
}

// missing turns the refusal of a version that cannot be into a missing key,
// and a missing key into a missing container, if that is so.
func (b *azureBackend) missing(ctx context.Context, err error, version string) error {
	if f, ok := errors.AsType[*azureFailure](err); ok && version != "" && f.status == http.StatusBadRequest {
		return errs.New(errs.NotFound, "there is no version %q", version)
	}
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	if f, ok := errors.AsType[*azureFailure](err); ok && f.code == "BlobNotFound" {
		return err
	}
	b.bucketOnce.Do(func() {
		resp, err := b.do(ctx, http.MethodGet, b.containerURL(), url.Values{"restype": {"container"}, "comp": {"list"}, "maxresults": {"1"}}, nil, 0, nil)
		if err == nil {
			drain(resp)
		} else if k := errs.KindOf(err); k == errs.NotFound || k == errs.Config {
			b.bucketErr = b.noContainer()
		}
	})
	if b.bucketErr != nil {
		return b.bucketErr
	}
	return err
}

func (b *azureBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	return b.OpenVersion(ctx, key, "", off, n)
}

// OpenVersion reads one version of a blob.
func (b *azureBackend) OpenVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, int64, error) {
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
	header := map[string]string{}
	if want := rangeHeader(off, n); want != "" {
		header["X-Ms-Range"] = want
	}
	resp, err := b.do(ctx, http.MethodGet, b.blobURL(key), versionQuery(version), header, 0, nil)
	if f, ok := errors.AsType[*azureFailure](err); ok && f.status == http.StatusRequestedRangeNotSatisfiable {
		return nothing()
	}
	if err != nil {
		return nil, 0, b.missing(ctx, err, version)
	}
	if isAzureFolder(resp.Header) {
		drain(resp)
		return nil, 0, errs.New(errs.NotFound, "%s: %s is a folder", b.where, key)
	}
	size := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		size = totalOf(resp.Header.Get("Content-Range"))
	}
	if size < 0 {
		resp.Body.Close()
		return nil, 0, b.notAzure()
	}
	r, err := b.body(ctx, resp, off, n, size)
	return r, size, err
}

// Put sends a value in one request. Azure checks the MD5 that goes with it
// before the blob appears, and answers with the MD5 of what it stored.
func (b *azureBackend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	_, err := b.PutVersion(ctx, key, size, r)
	return err
}

// PutVersion is Put, and tells the version that came of it.
func (b *azureBackend) PutVersion(ctx context.Context, key string, size int64, r io.Reader) (Entry, error) {
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
	h := md5.New()
	if err := hashTwice(h, body, b.where, key, size); err != nil {
		return Entry{}, err
	}
	sum := base64.StdEncoding.EncodeToString(h.Sum(nil))
	resp, err := b.do(ctx, http.MethodPut, b.blobURL(key), nil, map[string]string{"X-Ms-Blob-Type": "BlockBlob", "Content-MD5": sum,
		"Content-Type": "application/octet-stream"}, size, sized(body, size))
	if err != nil {
		return Entry{}, b.notThere(err)
	}
	drain(resp)
	if got := resp.Header.Get("Content-MD5"); got != sum {
		_ = b.Delete(ctx, []string{key})
		return Entry{}, errs.New(errs.Unavailable, "%s: the server stored other bytes than it was sent", b.where)
	}
	return Entry{Key: key, Size: size, Meta: azureMeta(resp.Header)}, nil
}

// sized is a body of which net/http believes the length, also if it is 0, and
// which it does not close.
func sized(r io.Reader, size int64) io.Reader {
	if size == 0 {
		return http.NoBody
	}
	return io.LimitReader(r, size)
}

// notThere is for writes and listings: only the container can be missing.
func (b *azureBackend) notThere(err error) error {
	if errs.Is(err, errs.NotFound) {
		return b.noContainer()
	}
	return err
}

// azureParts is a blob in blocks, which show nowhere until they are listed.
// Blocks that never are, Azure drops after a week.
type azureParts struct {
	b   *azureBackend
	key string
	id  string // in the names of the blocks

	mu    sync.Mutex
	begun time.Time // by the server's clock; zero before the first block
}

// BeginParts asks for nothing: blocks need no beginning.
func (b *azureBackend) BeginParts(ctx context.Context, key string) (Parts, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	return &azureParts{b: b, key: key, id: rand.Text()}, ctx.Err()
}

// block names block i. All blocks of a blob must have names of one length,
// also those that others left unlisted: this is the length of Microsoft's
// Python library, which DVC uses.
func (p *azureParts) block(i int) string {
	const length = 46
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%0*d", p.id, length-len(p.id), i))
}

func (p *azureParts) Put(ctx context.Context, i int, body []byte) error {
	sum := md5.Sum(body)
	sum64 := base64.StdEncoding.EncodeToString(sum[:])
	resp, err := p.b.do(ctx, http.MethodPut, p.b.blobURL(p.key), url.Values{"comp": {"block"}, "blockid": {p.block(i)}},
		map[string]string{"Content-MD5": sum64}, int64(len(body)), sized(bytes.NewReader(body), int64(len(body))))
	if err != nil {
		return p.b.notThere(err)
	}
	drain(resp)
	if got := resp.Header.Get("Content-MD5"); got != "" && got != sum64 {
		return errs.New(errs.Unavailable, "%s: the server stored other bytes than it was sent", p.b.where)
	}
	at, _ := http.ParseTime(resp.Header.Get("Date")) // zero distrusts nothing
	p.mu.Lock()
	if p.begun.IsZero() {
		p.begun = at
	}
	p.mu.Unlock()
	return nil
}

func (p *azureParts) Complete(ctx context.Context, n int, size int64) error {
	var list struct {
		XMLName xml.Name `xml:"BlockList"`
		Latest  []string
	}
	for i := range n {
		list.Latest = append(list.Latest, p.block(i))
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	sum := md5.Sum(body)
	resp, err := p.b.do(ctx, http.MethodPut, p.b.blobURL(p.key), url.Values{"comp": {"blocklist"}},
		map[string]string{"Content-Type": "application/xml", "Content-MD5": base64.StdEncoding.EncodeToString(sum[:]), "X-Ms-Blob-Content-Type": "application/octet-stream"},
		int64(len(body)), bytes.NewReader(body))
	if f, ok := errors.AsType[*azureFailure](err); ok && f.code == "InvalidBlockList" {
		return p.lost(ctx, err)
	}
	if err != nil {
		return p.b.notThere(err)
	}
	drain(resp)
	got, err := p.b.Stat(ctx, p.key)
	if err == nil && got != size {
		return errs.New(errs.Unavailable, "%s: the server stored %d bytes instead of %d", p.b.where, got, size)
	}
	return err
}

// lost is for blocks that are gone when they are to be listed. They were
// listed by a completion whose answer got lost, or somebody else wrote the
// blob meanwhile, which drops them: then ours was the value before theirs.
func (p *azureParts) lost(ctx context.Context, failed error) error {
	e, err := p.b.Describe(ctx, p.key)
	p.mu.Lock()
	begun := p.begun
	p.mu.Unlock()
	// Times have full seconds.
	if err != nil || begun.IsZero() || e.Meta.ModTime.Before(begun.Add(-time.Second)) {
		return failed
	}
	return nil
}

// Abort leaves the blocks to Azure, which has no way to drop them without
// touching the blob.
func (p *azureParts) Abort(context.Context) error { return nil }

func (b *azureBackend) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, false, onlyOnce)
}

// ListVersions yields the current versions with their ids.
func (b *azureBackend) ListVersions(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, true, onlyOnce)
}

// azurePage is a page of a listing.
type azurePage struct {
	XMLName xml.Name `xml:"EnumerationResults"`
	Blobs   struct {
		Blob []struct {
			Name struct {
				Encoded bool   `xml:"Encoded,attr"`
				Text    string `xml:",chardata"`
			}
			VersionID  string `xml:"VersionId"`
			Current    string `xml:"IsCurrentVersion"`
			Properties struct {
				Length       int64  `xml:"Content-Length"`
				ETag         string `xml:"Etag"`
				Modified     string `xml:"Last-Modified"`
				ResourceType string
			}
		}
	}
	NextMarker string
}

// ListBy is List or ListVersions, a page a step.
func (b *azureBackend) ListBy(ctx context.Context, prefix string, versions bool, step Step) iter.Seq2[Entry, error] {
	return listPages(ctx, b.where, step, func(ctx context.Context, token string) ([]Entry, string, error) {
		q := url.Values{"restype": {"container"}, "comp": {"list"}, "maxresults": {strconv.Itoa(azurePageSize)}, "prefix": {b.o.prefix + prefix}}
		if versions {
			q.Set("include", "versions")
		}
		if token != "" {
			q.Set("marker", token)
		}
		page, err := b.page(ctx, q)
		if err != nil {
			return nil, "", err
		}
		found := make([]Entry, 0, len(page.Blobs.Blob))
		for i := range page.Blobs.Blob {
			o := &page.Blobs.Blob[i]
			name := o.Name.Text
			if o.Name.Encoded {
				if name, err = url.PathUnescape(name); err != nil {
					continue // no key of ours
				}
			}
			key, ok := strings.CutPrefix(name, b.o.prefix)
			if !ok || !strings.HasPrefix(key, prefix) || key == "" || strings.HasSuffix(key, "/") || o.Properties.ResourceType == "directory" {
				continue
			}
			if versions && o.VersionID != "" && o.Current != "true" {
				continue
			}
			at, _ := http.ParseTime(o.Properties.Modified) // zero if it is not there
			found = append(found, Entry{Key: key, Size: o.Properties.Length, Meta: Meta{ETag: strings.Trim(o.Properties.ETag, `"`), VersionID: o.VersionID, ModTime: at}})
		}
		return found, page.NextMarker, nil
	})
}

func (b *azureBackend) page(ctx context.Context, q url.Values) (*azurePage, error) {
	resp, err := b.do(ctx, http.MethodGet, b.containerURL(), q, nil, 0, nil)
	if err != nil {
		return nil, b.notThere(err)
	}
	data, err := b.readAnswer(ctx, resp)
	if err != nil {
		return nil, err
	}
	page := &azurePage{}
	if err := xml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), page); err != nil {
		return nil, b.notAzure()
	}
	return page, nil
}

// Delete removes keys 256 at a time, or one by one where the server or the
// signature does not allow it.
func (b *azureBackend) Delete(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	for lo := 0; lo < len(keys); lo += azureBatch {
		part := keys[lo:min(lo+azureBatch, len(keys))]
		if len(part) > 1 && !b.singly.Load() {
			err := b.deleteMany(ctx, part)
			if err == nil {
				continue
			}
			if ctx.Err() != nil || errs.Is(err, errs.Unavailable) {
				return err
			}
			// It may be the batch that is refused; a single one tells.
			b.singly.Store(true)
		}
		for _, k := range part {
			resp, err := b.do(ctx, http.MethodDelete, b.blobURL(k), nil, map[string]string{"X-Ms-Delete-Snapshots": "include"}, 0, nil)
			if err == nil {
				drain(resp)
				continue
			}
			if err = b.missing(ctx, err, ""); !errs.Is(err, errs.NotFound) {
				return err
			}
		}
	}
	return nil
}

// deleteMany sends many deletions, each with its own signature, in one
// request, whose answer is a list of answers.
func (b *azureBackend) deleteMany(ctx context.Context, keys []string) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i, k := range keys {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-Transfer-Encoding": {"binary"}, "Content-ID": {strconv.Itoa(i)}})
		if err != nil {
			return err
		}
		req, err := b.request(ctx, http.MethodDelete, b.blobURL(k), nil, map[string]string{"X-Ms-Delete-Snapshots": "include"}, 0, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(part, "DELETE %s HTTP/1.1\r\n", req.URL.RequestURI())
		req.Header.Set("Content-Length", "0")
		if err := req.Header.Write(part); err != nil {
			return err
		}
		_, _ = io.WriteString(part, "\r\n")
	}
	if err := w.Close(); err != nil {
		return err
	}
	resp, err := b.do(ctx, http.MethodPost, b.containerURL(), url.Values{"restype": {"container"}, "comp": {"batch"}},
		map[string]string{"Content-Type": "multipart/mixed; boundary=" + w.Boundary()}, int64(body.Len()), &body)
	if err != nil {
		return err
	}
	data, err := b.readAnswer(ctx, resp)
	if err != nil {
		return err
	}
	list, ok := answers(resp.Header.Get("Content-Type"), data)
	if !ok {
		return b.notAzure()
	}
	var first error
	for _, one := range list {
		if one.StatusCode < 300 {
			continue
		}
		err := b.failure(ctx, one)
		if f, ok := errors.AsType[*azureFailure](err); ok && f.code == "BlobNotFound" {
			continue
		}
		if first == nil || !errs.Is(err, errs.Unavailable) {
			first = err
		}
	}
	if first == nil && len(list) != len(keys) {
		return errs.New(errs.Unavailable, "%s: the server answered %d of %d deletions", b.where, len(list), len(keys))
	}
	return first
}

// azureFailure is an answer that is an error.
type azureFailure struct {
	err    error // with its class
	status int
	code   string
}

func (f *azureFailure) Error() string { return f.err.Error() }
func (f *azureFailure) Unwrap() error { return f.err }

// failure reads an answer that is no success, and classifies it.
func (b *azureBackend) failure(ctx context.Context, resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	drain(resp)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	var in struct {
		XMLName                                  xml.Name `xml:"Error"`
		Code, Message, AuthenticationErrorDetail string
	}
	_ = xml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &in) // HEAD has a header only
	f := &azureFailure{status: resp.StatusCode, code: resp.Header.Get("X-Ms-Error-Code")}
	if f.code == "" {
		f.code = in.Code
	}
	if f.code == "ContainerNotFound" {
		return b.noContainer()
	}
	f.err = withRetryAfter(b.classify(f.status, f.code, in.Message, in.AuthenticationErrorDetail, resp.Header), f.status, resp.Header)
	return f
}

func (b *azureBackend) classify(status int, code, msg, detail string, header http.Header) *errs.Error {
	msg, _, _ = strings.Cut(msg, "\n") // then come ids and times
	text := strings.TrimSuffix(strings.TrimSpace(msg), ".")
	switch {
	case text != "" && code != "":
		text = code + ": " + text
	case code != "":
		text = code
	case text == "":
		text = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	}
	e := &errs.Error{Kind: statusKind(status), Msg: b.where + ": " + b.scrub(text)}
	switch code {
	case "BlobNotFound", "ResourceNotFound":
		e.Kind = errs.NotFound
	case "ServerBusy", "OperationTimedOut", "InternalError", "ContainerBeingDeleted", "AccountBeingCreated":
		e.Kind = errs.Unavailable
	case "Md5Mismatch", "Crc64Mismatch", "InvalidMd5":
		e.Kind = errs.Unavailable // damaged on its way
	case "AuthenticationFailed":
		e.Kind, e.Hint = errs.Denied, b.refusedHint(detail, header)
	case "InvalidAuthenticationInfo", "NoAuthenticationInformation":
		e.Kind, e.Hint = errs.Denied, b.loginHint()
	case "AuthorizationPermissionMismatch", "InsufficientAccountPermissions":
		e.Kind, e.Hint = errs.Denied, "Give this login the role Storage Blob Data Contributor on the container (Reader is enough to read), or a signature with the permissions rwdl."
	case "AuthorizationFailure", "AuthorizationSourceIPMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch":
		e.Kind, e.Hint = errs.Denied, "The account's network rules or the limits of the signature forbid it, or the login is another account's: check account_name with account_key or sas_token."
	case "AuthorizationProtocolMismatch", "AccountRequiresHttps":
		e.Kind, e.Hint = errs.Config, "The account wants https: check DefaultEndpointsProtocol of the connection string."
	case "KeyBasedAuthenticationNotPermitted":
		e.Kind, e.Hint = errs.Denied, "The account takes no keys: unset account_key or connection_string of the remote and use `az login`, or a service principal."
	case "PublicAccessNotPermitted":
		e.Kind, e.Hint = errs.Denied, b.loginHint()
	case "AccountIsDisabled":
		e.Kind = errs.Denied
	case "InvalidResourceName", "InvalidUri", "OutOfRangeInput":
		e.Kind, e.Hint = errs.Config, fmt.Sprintf("Check the container's name: cairn remote modify %s url azure://CONTAINER/PATH", b.name)
	case "BlobArchived":
		e.Kind, e.Hint = errs.Conflict, "It is archived: bring it back to the hot or cool tier first."
	case "BlobImmutableDueToPolicy", "LeaseIdMissing", "SnapshotsPresent":
		e.Kind = errs.Conflict
	}
	if code == "" && e.Kind == errs.Denied {
		e.Hint = b.loginHint()
	}
	if code == "" && e.Kind == errs.Config {
		e.Hint = "Check the account, the connection string, and proxies on the way."
	}
	return e
}

// loginHint says how to log in where nothing was accepted.
func (b *azureBackend) loginHint() string {
	if b.o.key != nil || b.o.sas != "" || b.o.token {
		return "Check the login: account_key, sas_token, connection_string or client_secret of the remote, or `az login`."
	}
	return fmt.Sprintf("No login was used: set account_key, sas_token or connection_string of the remote (cairn remote modify --local %s account_key ...).", b.name)
}

// refusedHint says what is wrong with a login that was refused.
func (b *azureBackend) refusedHint(detail string, header http.Header) string {
	switch {
	case b.o.sas != "" && strings.Contains(detail, "time frame"):
		return clockHint(header, "The shared access signature has run out, or does not hold yet: make a new one.")
	case b.o.sas != "":
		return clockHint(header, "Check sas_token: the signature is not for this account, or was cut.")
	case strings.Contains(detail, "date header"):
		return clockHint(header, "The clock of this machine is wrong.")
	case b.o.key != nil:
		return clockHint(header, "The account's key was refused: check account_name and account_key, or the connection string.")
	}
	return clockHint(header, b.loginHint())
}
