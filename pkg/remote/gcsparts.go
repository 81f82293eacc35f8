package remote

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/errs"
)

// gcsParts is an upload in parts of the XML API: nothing of it shows in
// listings, and an abort leaves nothing.
type gcsParts struct {
	b   *gcsBackend
	key string
	id  string

	mu   sync.Mutex
	part map[int]gcsPart
}

type gcsPart struct {
	tag  string
	size int64
	sum  uint32
}

// BeginParts starts an upload in parts. Servers other than Google's know only
// how to join objects; that is found out here.
func (b *gcsBackend) BeginParts(ctx context.Context, key string) (Parts, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if b.composes.Load() {
		return b.beginCompose(key), nil
	}
	resp, err := b.do(ctx, http.MethodPost, b.xmlURL(key)+"?uploads", map[string]string{"Content-Type": "application/octet-stream"}, 0, http.NoBody)
	var begun struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	if err == nil {
		data, rerr := b.readAnswer(ctx, resp)
		if rerr != nil {
			return nil, rerr
		}
		if xml.Unmarshal(data, &begun) == nil && begun.UploadID != "" {
			return &gcsParts{b: b, key: key, id: begun.UploadID, part: map[int]gcsPart{}}, nil
		}
		err = b.notGCS()
	}
	f, failed := err.(*gcsFailure)
	if !b.o.google && (!failed || f.code == "" && f.status >= 400 && f.status < 500 && f.status != http.StatusUnauthorized && f.status != http.StatusForbidden) {
		if ctx.Err() != nil || errs.Is(err, errs.Unavailable) {
			return nil, err
		}
		b.composes.Store(true)
		return b.beginCompose(key), nil
	}
	if errs.Is(err, errs.NotFound) {
		err = b.noBucket()
	}
	return nil, err
}

func (p *gcsParts) url(q string) string {
	return p.b.xmlURL(p.key) + "?" + q + "uploadId=" + url.QueryEscape(p.id)
}

func (p *gcsParts) Put(ctx context.Context, i int, body []byte) error {
	sum := crc32.Checksum(body, castagnoli())
	whole := md5.Sum(body)
	resp, err := p.b.do(ctx, http.MethodPut, p.url(fmt.Sprintf("partNumber=%d&", i+1)),
		map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(whole[:]), "X-Goog-Hash": "crc32c=" + encodeCRC(sum)},
		int64(len(body)), bytes.NewReader(body))
	if err != nil {
		return gone(err)
	}
	drain(resp)
	tag := resp.Header.Get("ETag")
	if tag == "" {
		return p.b.notGCS()
	}
	p.mu.Lock()
	p.part[i] = gcsPart{tag, int64(len(body)), sum}
	p.mu.Unlock()
	return nil
}

// gone makes of an upload that is not there something other than a missing
// key.
func gone(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.Conflict, "the upload was dropped by the server: %w", err)
	}
	return err
}

func (p *gcsParts) Complete(ctx context.Context, n int, size int64) error {
	type partXML struct {
		PartNumber int
		ETag       string
	}
	var list struct {
		XMLName xml.Name  `xml:"CompleteMultipartUpload"`
		Part    []partXML `xml:"Part"`
	}
	var sum uint32
	p.mu.Lock()
	for i := range n {
		part := p.part[i]
		list.Part = append(list.Part, partXML{i + 1, part.tag})
		sum = combineCRC32C(sum, part.sum, part.size)
	}
	p.mu.Unlock()
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	resp, err := p.b.do(ctx, http.MethodPost, p.url(""), map[string]string{"Content-Type": "application/xml"}, int64(len(body)), bytes.NewReader(body))
	if err == nil {
		drain(resp)
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	// An upload that is gone may be one whose completion was not heard of.
	return p.b.checkJoined(ctx, p.key, size, sum, gone(err))
}

// checkJoined looks at an object made of parts; failed is what kept it from
// being made, perhaps.
func (b *gcsBackend) checkJoined(ctx context.Context, key string, size int64, sum uint32, failed error) error {
	o, err := b.object(ctx, key, "")
	if err == nil && (failed == nil || o.CRC32C == encodeCRC(sum)) {
		_, err = b.checkStored(ctx, key, size, sum, o)
		return err
	}
	if failed != nil {
		return failed
	}
	return err
}

func (p *gcsParts) Abort(ctx context.Context) error {
	resp, err := p.b.do(ctx, http.MethodDelete, p.url(""), nil, 0, nil)
	if err == nil {
		drain(resp)
	}
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// gcsCompose makes a value of parts that are objects until they are joined.
type gcsCompose struct {
	b   *gcsBackend
	key string
	dir string // key prefix of the parts

	mu   sync.Mutex
	part map[int]gcsPart // tag is the part's key
	made []string        // all keys that may be there
	done bool
}

const (
	composeMost = 32              // objects that can be joined at once, Google's limit
	composeWait = 5 * time.Second // for the answer to a part when the upload was ended
)

func (b *gcsBackend) beginCompose(key string) *gcsCompose {
	return &gcsCompose{b: b, key: key, dir: "tmp/cairn-parts/" + rand.Text() + "/", part: map[int]gcsPart{}}
}

func (p *gcsCompose) name(s string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.dir + s
	p.made = append(p.made, k)
	return k
}

func (p *gcsCompose) Put(ctx context.Context, i int, body []byte) error {
	k := p.name(strconv.Itoa(i))
	sum := crc32.Checksum(body, castagnoli())
	// Whoever stops it stops the sending. What was sent whole is waited for: an
	// object that appeared after its deletion would stay.
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(composeWait, cancel) })()
	if _, err := p.b.insert(sctx, k, int64(len(body)), ctxReader{ctx, bytes.NewReader(body)}, sum); err != nil {
		return orCtx(ctx, err)
	}
	p.mu.Lock()
	p.part[i] = gcsPart{k, int64(len(body)), sum}
	p.mu.Unlock()
	return nil
}

func (p *gcsCompose) Complete(ctx context.Context, n int, size int64) error {
	keys := make([]string, n)
	var sum uint32
	p.mu.Lock()
	done := p.done
	for i := range n {
		part := p.part[i]
		keys[i], sum = part.tag, combineCRC32C(sum, part.sum, part.size)
	}
	p.mu.Unlock()
	if done { // only the parts were left to delete
		return p.Abort(ctx)
	}
	for level := 0; len(keys) > composeMost; level++ {
		groups := make([]string, (len(keys)+composeMost-1)/composeMost)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(p.b.o.jobs)
		for i := range groups {
			part := keys[i*composeMost : min((i+1)*composeMost, len(keys))]
			groups[i] = p.name(fmt.Sprintf("%d-%d", level, i))
			g.Go(func() error { return p.compose(gctx, groups[i], part) })
		}
		if err := g.Wait(); err != nil {
			return orCtx(ctx, err)
		}
		keys = groups
	}
	err := p.compose(ctx, p.key, keys)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err := p.b.checkJoined(ctx, p.key, size, sum, gone(err)); err != nil {
		return err
	}
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	return p.Abort(ctx)
}

func (p *gcsCompose) compose(ctx context.Context, key string, parts []string) error {
	type source struct {
		Name string `json:"name"`
	}
	var in struct {
		SourceObjects []source          `json:"sourceObjects"`
		Destination   map[string]string `json:"destination"`
	}
	for _, k := range parts {
		in.SourceObjects = append(in.SourceObjects, source{p.b.o.prefix + k})
	}
	in.Destination = map[string]string{"contentType": "application/octet-stream"}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var o gcsObject
	return p.b.call(ctx, http.MethodPost, p.b.objectURL(key)+"/compose", map[string]string{"Content-Type": "application/json"},
		int64(len(body)), bytes.NewReader(body), "storage#object", &o)
}

// Abort deletes the parts.
func (p *gcsCompose) Abort(ctx context.Context) error {
	p.mu.Lock()
	made := p.made
	p.mu.Unlock()
	if err := p.b.Delete(ctx, made); err != nil {
		return err
	}
	p.mu.Lock()
	p.made = p.made[len(made):]
	p.mu.Unlock()
	return nil
}

// gcsFailure is an answer that is an error.
type gcsFailure struct {
	err    error // with its class
	status int
	code   string // of the XML API
}

func (f *gcsFailure) Error() string { return f.err.Error() }
func (f *gcsFailure) Unwrap() error { return f.err }

// failure reads an answer that is no success, and classifies it.
func (b *gcsBackend) failure(ctx context.Context, resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	drain(resp)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	var in struct {
		Error struct {
			Message string
			Errors  []struct{ Reason string }
		}
	}
	var inXML struct {
		XMLName                xml.Name `xml:"Error"`
		Code, Message, Details string
	}
	f := &gcsFailure{status: resp.StatusCode}
	reason, msg := "", ""
	kind := resp.Header.Get("Content-Type")
	switch {
	case json.Unmarshal(data, &in) == nil && in.Error.Message != "":
		msg = in.Error.Message
		if len(in.Error.Errors) > 0 {
			reason = in.Error.Errors[0].Reason
		}
	case xml.Unmarshal(data, &inXML) == nil && inXML.Code != "":
		f.code, reason = inXML.Code, inXML.Code
		if msg = inXML.Message; inXML.Details != "" {
			msg = inXML.Details
		}
	case strings.HasPrefix(kind, "text/plain"):
		msg = string(data)
	}
	e := b.classify(f.status, reason, msg, resp.Header)
	if e == nil {
		return b.noBucket()
	}
	f.err = withRetryAfter(e, f.status, resp.Header)
	return f
}

// classify makes an error of a refusal; nil is for a missing bucket.
func (b *gcsBackend) classify(status int, reason, msg string, header http.Header) *errs.Error {
	text := strings.TrimSuffix(strings.TrimSpace(msg), ".")
	if text == "" {
		text = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	}
	e := &errs.Error{Kind: statusKind(status), Msg: b.where + ": " + b.scrub(text)}
	lower := strings.ToLower(msg)
	switch {
	case reason == "NoSuchBucket", status == http.StatusNotFound && strings.Contains(lower, "bucket does not exist"):
		return nil
	case reason == "rateLimitExceeded", reason == "userRateLimitExceeded", reason == "SlowDown", reason == "backendError", reason == "internalError":
		e.Kind = errs.Unavailable
	case reason == "userProjectMissing", reason == "UserProjectMissing", reason == "required" && strings.Contains(lower, "requester pays"):
		e.Kind, e.Hint = errs.Config, "The bucket makes its readers pay, which cairn does not support."
	case status == http.StatusBadRequest && (reason == "BadDigest" || strings.Contains(lower, "crc32c") || strings.Contains(lower, "md5")):
		e.Kind = errs.Unavailable // damaged on its way
	case reason == "RequestTimeTooSkewed":
		e.Kind, e.Hint = errs.Config, "The clock of this machine is wrong."
	case status == http.StatusUnauthorized && !b.tokens.known(), status == http.StatusForbidden && !b.tokens.known():
		e.Hint = fmt.Sprintf("No credentials were used: set credentialpath of the remote (cairn remote modify --local %s credentialpath PATH), GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth application-default login`.", b.name)
	case status == http.StatusUnauthorized:
		e.Hint = clockHint(header, "The credentials were refused: renew them with `gcloud auth application-default login`, or check the key file of the service account.")
	case status == http.StatusForbidden:
		e.Hint = clockHint(header, "Give this account the role Storage Object User on the bucket (Storage Object Viewer is enough to read).")
	case e.Kind == errs.Config:
		e.Hint = "Check endpointurl, and proxies on the way."
	}
	return e
}

// tokenError is for credentials that could not be turned into a token.
func (b *gcsBackend) tokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	status, code, detail, header := retrieveError(err)
	if status == 0 {
		if e := b.netError(ctx, err); errs.Is(e, errs.Unavailable) || errs.Is(e, errs.Config) {
			return e
		}
		return errs.WithHint(errs.New(errs.Denied, "%s: no token came of the credentials: %s", b.where, b.scrub(err.Error())),
			"Check the credentials of the remote.")
	}
	e := &errs.Error{Kind: errs.Denied, Msg: b.where + ": the credentials were refused: " + b.scrub(strings.TrimSpace(code+" "+detail))}
	if k := statusKind(status); k == errs.Unavailable {
		e.Kind = k
		return withRetryAfter(e, status, header)
	}
	e.Hint = clockHint(header, "Renew them with `gcloud auth application-default login`, or make a new key of the service account.")
	if strings.Contains(detail, "iat and exp") {
		e.Hint = "The clock of this machine is wrong, or the key is."
	}
	return e
}
