package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

const (
	s3PageSize = 1000  // keys of a listing, and of a bulk deletion
	s3MinPart  = 5e6   // S3's least part is 5 MiB; the store's parts are larger
	s3MaxParts = 10000 // of one object
	// s3MostWhole is what one request may carry: S3 takes 5 GiB.
	s3MostWhole = 4 << 30
	// s3Timeout bounds connecting, the first byte of an answer, and silence.
	s3Timeout = time.Minute
)

// s3Backend keeps bytes in an S3 bucket below a prefix.
type s3Backend struct {
	o      *s3Options
	name   string // of the remote, for hints
	where  string // s3://bucket, for messages
	region string
	client *s3.Client
	jobs   int

	bucketOnce sync.Once // the first missing key asks whether the bucket is there
	bucketErr  error
	etags      atomic.Int32 // what is known of the server's ETags
	singly     atomic.Bool  // the server cannot delete in bulk
}

// What is known of a server's ETags: that they are the MD5 of what it stored,
// or that they mean something else, as with compression or key management.
const (
	etagUnknown = iota
	etagIsMD5
	etagIsOther
)

var _ interface {
	Backend
	PartPutter
	Describer
	Versioned
} = (*s3Backend)(nil)

func openS3(ctx context.Context, c Config, env Env) (Backend, error) {
	b, err := newS3(ctx, c, env)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (b *s3Backend) retryOptions() RetryOptions { return RetryOptions{Stall: b.o.read} }

func newS3(ctx context.Context, c Config, env Env) (*s3Backend, error) {
	o, err := parseS3(c, env)
	if err != nil {
		return nil, err
	}
	b := &s3Backend{o: o, name: c.Name, where: "s3://" + o.bucket, jobs: o.jobs}
	if b.jobs <= 0 {
		b.jobs = min(64, max(16, 4*runtime.NumCPU()))
	}
	client, err := b.httpClient()
	if err != nil {
		return nil, err
	}
	cfg, err := b.awsConfig(ctx, env, client)
	if err != nil {
		return nil, err
	}
	if b.region = cfg.Region; b.region == "" {
		b.region = "us-east-1"
		if o.endpoint == "" && cfg.BaseEndpoint == nil {
			b.region = b.findRegion(ctx, client, b.region)
		}
	}
	b.client = s3.NewFromConfig(cfg, func(so *s3.Options) {
		so.Region = b.region
		so.EndpointOptions.DisableHTTPS = o.noTLS
		so.UsePathStyle = so.BaseEndpoint != nil
		if o.endpoint != "" {
			so.BaseEndpoint, so.UsePathStyle = &o.endpoint, true
		}
		so.HTTPClient = listGuard{so.HTTPClient, b}
		so.ContinueHeaderThresholdBytes = -1 // many servers do not know Expect
		so.DisableLogOutputChecksumValidationSkipped = true
	})
	return b, nil
}

// httpClient has the limits and the certificates asked for.
func (b *s3Backend) httpClient() (*awshttp.BuildableClient, error) {
	or := func(d time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return s3Timeout
	}
	var roots *x509.CertPool
	if b.o.caBundle != "" {
		pem, err := os.ReadFile(b.o.caBundle)
		if err != nil {
			return nil, &errs.Error{Kind: errs.Config, Msg: fmt.Sprintf("remote %q: %s", b.name, b.o.caSource), Err: err}
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errs.New(errs.Config, "remote %q: %s: %q holds no certificate", b.name, b.o.caSource, b.o.caBundle)
		}
	}
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = or(b.o.connect) }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = or(b.o.connect)
			t.ResponseHeaderTimeout = or(b.o.read)
			t.HTTP2 = pings(or(b.o.read))
			t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, b.jobs+4
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			t.TLSClientConfig.InsecureSkipVerify = b.o.skipVerify
			if roots != nil {
				t.TLSClientConfig.RootCAs = roots
			}
		}), nil
}

// awsConfig gathers credentials and region as the AWS tools do, options of
// the remote first. It reads the AWS files and variables, and asks nobody.
func (b *s3Backend) awsConfig(ctx context.Context, env Env, client *awshttp.BuildableClient) (aws.Config, error) {
	o := b.o
	with := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithLogger(logging.Nop{}),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if o.region != "" {
		with = append(with, config.WithRegion(o.region))
	}
	if o.profile != "" {
		with = append(with, config.WithSharedConfigProfile(o.profile))
	}
	// As in DVC, the variables win over these two.
	if o.credentialPath != "" && env.getenv("AWS_SHARED_CREDENTIALS_FILE") == "" {
		with = append(with, config.WithSharedCredentialsFiles([]string{o.credentialPath}))
	}
	if o.configPath != "" && env.getenv("AWS_CONFIG_FILE") == "" {
		with = append(with, config.WithSharedConfigFiles([]string{o.configPath}))
	}
	switch {
	case o.anonymous:
		with = append(with, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	case o.accessKey != "":
		with = append(with, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.accessKey, o.secret, o.session)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return cfg, &errs.Error{Kind: errs.Config, Msg: fmt.Sprintf("remote %q: AWS configuration: %s", b.name, b.scrub(err.Error()))}
	}
	return cfg, nil
}

// findRegion asks Amazon, unsigned, where the bucket is. Every answer, also a
// refusal, says it in a header. Who gets no answer stays with the default.
func (b *s3Backend) findRegion(ctx context.Context, client *awshttp.BuildableClient, fallback string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	scheme := "https"
	if b.o.noTLS {
		scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, scheme+"://s3.amazonaws.com/"+b.o.bucket, nil)
	if err != nil {
		return fallback
	}
	resp, err := client.Do(req)
	if err != nil {
		return fallback
	}
	resp.Body.Close()
	if r := resp.Header.Get("X-Amz-Bucket-Region"); r != "" {
		return r
	}
	return fallback
}

func (b *s3Backend) key(key string) *string { k := b.o.prefix + key; return &k }

func (b *s3Backend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.jobs, ListPrice: s3PageSize}, PartSize: s3MinPart, MaxParts: s3MaxParts}
}

func (b *s3Backend) Close() error { return nil }

func (b *s3Backend) Stat(ctx context.Context, key string) (int64, error) {
	e, err := b.DescribeVersion(ctx, key, "")
	return e.Size, err
}

// Describe is Stat with ETag, version and time.
func (b *s3Backend) Describe(ctx context.Context, key string) (Entry, error) {
	return b.DescribeVersion(ctx, key, "")
}

// DescribeVersion is Describe of one version, "" being the latest.
func (b *s3Backend) DescribeVersion(ctx context.Context, key, version string) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.bucket, Key: b.key(key), VersionId: orNil(version),
		SSECustomerAlgorithm: b.o.customerAlg, SSECustomerKey: b.o.customerKey, SSECustomerKeyMD5: b.o.keyMD5})
	if err != nil {
		if version != "" && isNoVersion(err) {
			return Entry{}, b.orNoBucket(ctx, b.noVersion(key, version))
		}
		err = b.explained(ctx, err)
		if err = b.translate(err); errs.Is(err, errs.NotFound) {
			err = b.orNoBucket(ctx, err)
		}
		return Entry{}, err
	}
	if out.ETag == nil || out.ContentLength == nil {
		return Entry{}, b.notS3()
	}
	if err := b.checkVersion(key, version, out.VersionId); err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Size: *out.ContentLength, Meta: s3Meta(out.ETag, out.VersionId, out.LastModified)}, nil
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// s3Meta is what S3 says of a value. Without versioning it calls the version
// null, and DVC records none.
func s3Meta(etag, version *string, at *time.Time) Meta {
	m := Meta{ETag: strings.Trim(aws.ToString(etag), `"`), VersionID: aws.ToString(version), ModTime: aws.ToTime(at)}
	if m.VersionID == "null" {
		m.VersionID = ""
	}
	return m
}

// isNoVersion reports whether err says that there is no such version. Of an id
// that cannot be one, some servers say that the request is bad; of a deletion,
// that it cannot be read.
func isNoVersion(err error) bool {
	switch f := parseFailure(err); f.code {
	case "NoSuchVersion", "InvalidArgument", "InvalidVersionId", "BadRequest":
		return true
	default:
		return f.status == http.StatusNotFound || f.status == http.StatusMethodNotAllowed
	}
}

// checkVersion refuses the answer of a server that knows no versions and gives
// the latest value instead.
func (b *s3Backend) checkVersion(key, want string, got *string) error {
	if want == "" || got != nil && *got == want {
		return nil
	}
	return errs.New(errs.Unsupported, "%s: asked for version %s of %s, the server answered with another", b.where, want, key)
}

func (b *s3Backend) noVersion(key, version string) error {
	return errs.New(errs.NotFound, "%s: %s has no version %s", b.where, key, version)
}

// notS3 is for an answer that claims success but lacks what S3 always says: a
// login page, for instance.
func (b *s3Backend) notS3() error {
	return errs.WithHint(errs.New(errs.Config, "%s: the answer is not that of an S3 server", b.where),
		"Check endpointurl, and proxies on the way.")
}

// explained returns why a HEAD was refused: its answer has no room for a
// reason, that to a listing has.
func (b *s3Backend) explained(ctx context.Context, refusal error) error {
	switch parseFailure(refusal).status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
	default:
		return refusal
	}
	_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.o.bucket, Prefix: &b.o.prefix, MaxKeys: aws.Int32(1)})
	if f := parseFailure(err); err != nil && (f.code != "" || f.status != 0) {
		return err
	}
	return refusal
}

// orNoBucket turns a missing key into a missing bucket, if that is so: the
// answer to HEAD has no room to tell them apart.
func (b *s3Backend) orNoBucket(ctx context.Context, missing error) error {
	b.bucketOnce.Do(func() {
		_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.o.bucket})
		if f := parseFailure(err); err != nil && f.status == http.StatusNotFound {
			b.bucketErr = b.noBucket()
		}
	})
	if b.bucketErr != nil {
		return b.bucketErr
	}
	return missing
}

func (b *s3Backend) noBucket() error {
	return errs.WithHint(errs.New(errs.Config, "%s: there is no such bucket", b.where),
		"Create it, or correct the address: cairn remote modify %s url s3://BUCKET/PATH", b.name)
}

func (b *s3Backend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	return b.OpenVersion(ctx, key, "", off, n)
}

// OpenVersion is Open of one version, "" being the latest.
func (b *s3Backend) OpenVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, int64, error) {
	if err := CheckKey(key); err != nil {
		return nil, 0, err
	}
	if n == 0 {
		// S3 has no empty ranges.
		e, err := b.DescribeVersion(ctx, key, version)
		return emptyBody(), e.Size, err
	}
	in := &s3.GetObjectInput{Bucket: &b.o.bucket, Key: b.key(key), Range: orNil(rangeHeader(off, n)), VersionId: orNil(version),
		SSECustomerAlgorithm: b.o.customerAlg, SSECustomerKey: b.o.customerKey, SSECustomerKeyMD5: b.o.keyMD5}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		if f := parseFailure(err); f.status == http.StatusRequestedRangeNotSatisfiable || f.code == "InvalidRange" {
			e, serr := b.DescribeVersion(ctx, key, version)
			return emptyBody(), e.Size, serr
		}
		if version != "" && isNoVersion(err) {
			return nil, 0, b.orNoBucket(ctx, b.noVersion(key, version))
		}
		return nil, 0, b.translate(err)
	}
	refuse := func(err error) (io.ReadCloser, int64, error) {
		out.Body.Close()
		return nil, 0, err
	}
	if out.ETag == nil {
		return refuse(b.notS3())
	}
	if err := b.checkVersion(key, version, out.VersionId); err != nil {
		return refuse(err)
	}
	size, part := totalOf(aws.ToString(out.ContentRange)), out.ContentRange != nil
	if !part && out.ContentLength != nil {
		size = *out.ContentLength
	}
	if size < 0 {
		e, err := b.DescribeVersion(ctx, key, version)
		if err != nil {
			return refuse(err)
		}
		size = e.Size
	}
	left := max(0, size-off)
	if n > 0 {
		left = min(left, n)
	}
	if off > 0 && !part {
		// All of it came: what was not asked for is left out.
		whole := &s3Body{b: b, r: out.Body, left: size}
		if _, err := io.CopyN(io.Discard, whole, min(off, size)); err != nil {
			return refuse(err)
		}
	}
	return &s3Body{b: b, r: out.Body, left: left, part: part}, size, nil
}

// s3Body translates errors and tells an early end from the end.
type s3Body struct {
	b    *s3Backend
	r    io.ReadCloser
	left int64
	part bool // the server sends this part alone
}

// Partial reports whether the server knows ranges.
func (r *s3Body) Partial() bool { return r.part }

func (r *s3Body) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && r.left > 0:
		return n, errs.New(errs.Unavailable, "%s: the body ended %d bytes early", r.b.where, r.left)
	case err == io.EOF:
		return n, io.EOF
	}
	return n, r.b.translate(err)
}

func (r *s3Body) Close() error { return r.r.Close() }

func (b *s3Backend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	_, err := b.PutVersion(ctx, key, size, r)
	return err
}

// PutVersion sends a value in one request. S3 checks the MD5 that goes with
// it, and answers with the MD5 of what it stored; a server that does neither
// is found out once, by reading back.
func (b *s3Backend) PutVersion(ctx context.Context, key string, size int64, r io.Reader) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	body, ok := r.(io.ReadSeeker)
	if !ok || size > s3MostWhole {
		return b.putStream(ctx, key, size, r)
	}
	h := md5.New()
	n, err := io.Copy(h, body)
	if err != nil {
		return Entry{}, err
	}
	if n != size {
		return Entry{}, errs.New(errs.Corrupt, "%s: %d bytes came for %s instead of %d", b.where, n, key, size)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return Entry{}, err
	}
	sum := h.Sum(nil)
	sum64 := base64.StdEncoding.EncodeToString(sum)
	o := b.o
	in := &s3.PutObjectInput{Bucket: &o.bucket, Key: b.key(key), Body: body, ContentLength: &size, ContentMD5: &sum64,
		ACL: o.acl, GrantRead: o.grantRead, GrantReadACP: o.grantReadACP, GrantWriteACP: o.grantWriteACP, GrantFullControl: o.grantFull,
		ServerSideEncryption: o.sse, SSECustomerAlgorithm: o.customerAlg, SSECustomerKey: o.customerKey, SSECustomerKeyMD5: o.keyMD5}
	if o.kmsKey != "" {
		in.SSEKMSKeyId = &o.kmsKey
	}
	out, err := b.client.PutObject(ctx, in)
	if err != nil {
		return Entry{}, b.translate(err)
	}
	return Entry{Key: key, Size: size, Meta: s3Meta(out.ETag, out.VersionId, nil)}, b.checkStored(ctx, key, size, sum, out.ETag)
}

// checkStored compares the server's ETag with the MD5 of what was sent, if it
// is one, or reads the first value back to learn what ETags mean here.
func (b *s3Backend) checkStored(ctx context.Context, key string, size int64, sum []byte, etag *string) error {
	if etag == nil {
		return b.notS3()
	}
	switch {
	case strings.EqualFold(strings.Trim(*etag, `"`), hex.EncodeToString(sum)):
		b.etags.CompareAndSwap(etagUnknown, etagIsMD5)
		return nil
	case b.etags.Load() == etagIsOther:
		return nil
	}
	h := md5.New()
	r, _, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), sum) {
		_ = b.Delete(ctx, []string{key})
		return errs.New(errs.Unavailable, "%s: the server stored other bytes than it was sent", b.where)
	}
	b.etags.Store(etagIsOther)
	return nil
}

// putStream is Put for what cannot be read twice, in parts as they come.
func (b *s3Backend) putStream(ctx context.Context, key string, size int64, r io.Reader) (Entry, error) {
	buf := make([]byte, min(size+1, max(wholeLimit, size/s3MaxParts+1)))
	n, err := io.ReadFull(r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && int64(n) > size {
		return b.PutVersion(ctx, key, size, bytes.NewReader(buf[:n]))
	}
	if err != nil {
		return Entry{}, err
	}
	parts, err := b.beginParts(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	var total int64
	count := 0
	for err == nil && n > 0 {
		if err = parts.Put(ctx, count, buf[:n]); err != nil {
			break
		}
		count++
		if total += int64(n); total > size {
			break
		}
		if n, err = io.ReadFull(r, buf); err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
	}
	if err == nil && total != size {
		err = errs.New(errs.Corrupt, "%s: %d bytes came for %s instead of %d", b.where, total, key, size)
	}
	if err == nil {
		err = parts.Complete(ctx, count, size)
	}
	if err != nil {
		actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		_ = parts.Abort(actx)
		return Entry{}, err
	}
	return parts.made, nil
}

// s3Parts is a multipart upload.
type s3Parts struct {
	b    *s3Backend
	key  string
	id   *string
	made Entry // by Complete

	mu   sync.Mutex
	tags map[int]*string
}

// BeginParts starts a multipart upload.
func (b *s3Backend) BeginParts(ctx context.Context, key string) (Parts, error) {
	p, err := b.beginParts(ctx, key)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (b *s3Backend) beginParts(ctx context.Context, key string) (*s3Parts, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	o := b.o
	in := &s3.CreateMultipartUploadInput{Bucket: &o.bucket, Key: b.key(key),
		ACL: o.acl, GrantRead: o.grantRead, GrantReadACP: o.grantReadACP, GrantWriteACP: o.grantWriteACP, GrantFullControl: o.grantFull,
		ServerSideEncryption: o.sse, SSECustomerAlgorithm: o.customerAlg, SSECustomerKey: o.customerKey, SSECustomerKeyMD5: o.keyMD5}
	if o.kmsKey != "" {
		in.SSEKMSKeyId = &o.kmsKey
	}
	out, err := b.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, b.translate(err)
	}
	if out.UploadId == nil {
		return nil, b.notS3()
	}
	return &s3Parts{b: b, key: key, id: out.UploadId, tags: map[int]*string{}}, nil
}

func (p *s3Parts) Put(ctx context.Context, i int, body []byte) error {
	sum := md5.Sum(body)
	sum64 := base64.StdEncoding.EncodeToString(sum[:])
	o := p.b.o
	out, err := p.b.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &o.bucket, Key: p.b.key(p.key), UploadId: p.id,
		PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ContentMD5: &sum64,
		SSECustomerAlgorithm: o.customerAlg, SSECustomerKey: o.customerKey, SSECustomerKeyMD5: o.keyMD5})
	if err != nil {
		return p.b.translate(err)
	}
	if out.ETag == nil {
		return p.b.notS3()
	}
	if p.b.etags.Load() == etagIsMD5 && !strings.EqualFold(strings.Trim(*out.ETag, `"`), hex.EncodeToString(sum[:])) {
		return errs.New(errs.Unavailable, "%s: the server stored other bytes than it was sent", p.b.where)
	}
	p.mu.Lock()
	p.tags[i] = out.ETag
	p.mu.Unlock()
	return nil
}

func (p *s3Parts) Complete(ctx context.Context, n int, size int64) error {
	list := make([]types.CompletedPart, n)
	p.mu.Lock()
	for i := range n {
		list[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.tags[i]}
	}
	p.mu.Unlock()
	o := p.b.o
	out, err := p.b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &o.bucket, Key: p.b.key(p.key), UploadId: p.id,
		MultipartUpload:      &types.CompletedMultipartUpload{Parts: list},
		SSECustomerAlgorithm: o.customerAlg, SSECustomerKey: o.customerKey, SSECustomerKeyMD5: o.keyMD5})
	// An upload that is gone may be one whose completion was not heard of.
	if f := parseFailure(err); err != nil && f.code != "NoSuchUpload" {
		return p.b.translate(err)
	}
	var version string
	if err == nil {
		version = s3Meta(nil, out.VersionId, nil).VersionID
	}
	got, serr := p.b.DescribeVersion(ctx, p.key, version)
	switch {
	case err != nil && errs.Is(serr, errs.NotFound):
		// It may be about to be completed, by a request whose answer was lost.
		return errs.New(errs.Unavailable, "%s: the upload of %s is gone, and what it was to make is not there", p.b.where, p.key)
	case serr != nil && err != nil:
		return p.b.translate(err)
	case serr != nil:
		return serr
	case got.Size != size:
		return errs.New(errs.Unavailable, "%s: the server stored %d bytes instead of %d", p.b.where, got.Size, size)
	}
	p.made = got
	return nil
}

func (p *s3Parts) Abort(ctx context.Context) error {
	_, err := p.b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &p.b.o.bucket, Key: p.b.key(p.key), UploadId: p.id})
	if f := parseFailure(err); f.code == "NoSuchUpload" || f.status == http.StatusNotFound {
		return nil
	}
	return p.b.translate(err)
}

// listGuard refuses what is no listing. The SDK would read a login page as a
// listing of nothing.
type listGuard struct {
	s3.HTTPClient
	b *s3Backend
}

func (g listGuard) Do(req *http.Request) (*http.Response, error) {
	resp, err := g.HTTPClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK || req.Method != http.MethodGet || !req.URL.Query().Has("max-keys") {
		return resp, err
	}
	root := "ListBucketResult"
	if req.URL.Query().Has("versions") {
		root = "VersionsResult" // some servers have more before it than S3
	}
	const head = 1024 // room for a declaration, comments and a name space
	body := bufio.NewReaderSize(resp.Body, head)
	start, _ := body.Peek(head) // shorter at the end; an error comes again
	if !bytes.Contains(start, []byte(root)) {
		resp.Body.Close()
		return nil, g.b.notS3()
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return resp, nil
}

func (b *s3Backend) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, false, onlyOnce)
}

// ListVersions yields the latest version of each key.
func (b *s3Backend) ListVersions(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, true, onlyOnce)
}

// ListBy is List or ListVersions, a page a step.
func (b *s3Backend) ListBy(ctx context.Context, prefix string, versions bool, step Step) iter.Seq2[Entry, error] {
	full := b.o.prefix + prefix
	get := b.listPage
	if versions {
		get = b.versionsPage()
	}
	return listPages(ctx, b.where, step, func(ctx context.Context, token string) ([]Entry, string, error) {
		page, next, err := get(ctx, full, token)
		if err != nil {
			if err = b.translate(err); errs.Is(err, errs.NotFound) {
				err = b.noBucket() // only a bucket can be missing here
			}
			return nil, "", err
		}
		return slices.DeleteFunc(page, func(e Entry) bool {
			// A folder that a console made is a key with a slash at its end.
			return !strings.HasPrefix(e.Key, prefix) || e.Key == "" || strings.HasSuffix(e.Key, "/")
		}), next, nil
	})
}

// listed adds a key of the bucket to a page, if it is below the prefix.
func (b *s3Backend) listed(page []Entry, key *string, size *int64, m Meta) []Entry {
	if k, ok := strings.CutPrefix(aws.ToString(key), b.o.prefix); ok {
		page = append(page, Entry{Key: k, Size: aws.ToInt64(size), Meta: m})
	}
	return page
}

// listPage asks for a page of keys, and says where the next one starts: ""
// after the last.
func (b *s3Backend) listPage(ctx context.Context, prefix, from string) (page []Entry, next string, err error) {
	var token *string
	if from != "" {
		token = &from
	}
	if !b.o.legacyLst {
		out, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.o.bucket, Prefix: &prefix,
			MaxKeys: aws.Int32(s3PageSize), ContinuationToken: token})
		if err != nil {
			return nil, "", err
		}
		for _, o := range out.Contents {
			page = b.listed(page, o.Key, o.Size, s3Meta(o.ETag, nil, o.LastModified))
		}
		return page, aws.ToString(out.NextContinuationToken), nil
	}
	out, err := b.client.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &b.o.bucket, Prefix: &prefix,
		MaxKeys: aws.Int32(s3PageSize), Marker: token})
	if err != nil {
		return nil, "", err
	}
	for _, o := range out.Contents {
		page = b.listed(page, o.Key, o.Size, s3Meta(o.ETag, nil, o.LastModified))
	}
	next = aws.ToString(out.NextMarker)
	if n := len(out.Contents); next == "" && n > 0 && aws.ToBool(out.IsTruncated) {
		next = aws.ToString(out.Contents[n-1].Key) // S3 names it only for listings with a delimiter
	}
	return page, next, nil
}

// versionsPage is listPage of the latest versions. Where a page starts takes two
// names there, so that it is for one listing.
func (b *s3Backend) versionsPage() func(ctx context.Context, prefix, from string) ([]Entry, string, error) {
	starts := map[string]*s3.ListObjectVersionsOutput{}
	return func(ctx context.Context, prefix, from string) (page []Entry, next string, err error) {
		in := &s3.ListObjectVersionsInput{Bucket: &b.o.bucket, Prefix: &prefix, MaxKeys: aws.Int32(s3PageSize)}
		if at := starts[from]; at != nil {
			in.KeyMarker, in.VersionIdMarker = at.NextKeyMarker, at.NextVersionIdMarker
		}
		out, err := b.client.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, "", err
		}
		for _, v := range out.Versions {
			if aws.ToBool(v.IsLatest) {
				page = b.listed(page, v.Key, v.Size, s3Meta(v.ETag, v.VersionId, v.LastModified))
			}
		}
		if aws.ToBool(out.IsTruncated) {
			next = aws.ToString(out.NextKeyMarker) + "\x00" + aws.ToString(out.NextVersionIdMarker)
			clear(starts)
			starts[next] = out
		}
		return page, next, nil
	}
}

// Delete removes keys a thousand at a time, or one by one where the server
// cannot do better.
func (b *s3Backend) Delete(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	for lo := 0; lo < len(keys); lo += s3PageSize {
		part := keys[lo:min(lo+s3PageSize, len(keys))]
		if len(part) > 1 && !b.singly.Load() {
			err := b.deleteMany(ctx, part)
			if err == nil {
				continue
			}
			if !errs.Is(err, errs.Unsupported) {
				return err
			}
			b.singly.Store(true)
		}
		for _, k := range part {
			_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.o.bucket, Key: b.key(k)})
			if err = b.translate(err); err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
		}
	}
	return nil
}

func (b *s3Backend) deleteMany(ctx context.Context, keys []string) error {
	ids := make([]types.ObjectIdentifier, len(keys))
	for i, k := range keys {
		ids[i] = types.ObjectIdentifier{Key: b.key(k)}
	}
	out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.o.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}},
		// The SDK sends a CRC; older servers insist on Content-MD5.
		s3.WithAPIOptions(smithyhttp.AddContentChecksumMiddleware))
	if err != nil {
		return b.translate(err)
	}
	var all []error
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			kind, hint := b.classify(s3Failure{code: code, header: http.Header{}}, errors.New(code))
			all = append(all, &errs.Error{Kind: kind, Hint: hint, Msg: b.scrub(fmt.Sprintf("%s: delete %s: %s: %s", b.where, aws.ToString(e.Key), code, aws.ToString(e.Message)))})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}
