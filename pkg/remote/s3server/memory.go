package s3server

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// MemoryOptions of a server in the process. The zero value is a private
// bucket in us-east-1, by http.
type MemoryOptions struct {
	Region string
	TLS    bool // https, with a certificate that nobody trusts yet
	Public bool // unsigned requests are let in

	Versions bool // the bucket keeps every version of a value
}

// Memory is an S3 server in the process, safe for concurrent use.
type Memory struct {
	Server
	Certificate []byte // PEM; nil without TLS

	public   bool
	versions bool
	mem      *s3mem.Backend
	http     *httptest.Server

	mu       sync.Mutex
	requests []Request
	failing  bool
	good     int // requests until all fail
	status   int // the answer then; 0 breaks the connection
}

// Request is one that the server got.
type Request struct {
	Method string
	Key    string // "" for the bucket
	Query  string
	Status int // of the answer; 0 if the connection was broken
}

// String is for tests that compare: "PUT key", "LIST prefix", "HEAD key".
func (r Request) String() string {
	if r.Key == "" && r.Method == http.MethodGet {
		return "LIST"
	}
	if r.Method == http.MethodPost && strings.Contains(r.Query, "delete") {
		return "DELETE many"
	}
	return strings.TrimSpace(r.Method + " " + r.Key)
}

// NewMemory starts a server; the caller closes it.
func NewMemory(o MemoryOptions) *Memory {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	m := &Memory{Server: newServer(o.Region), public: o.Public, versions: o.Versions, mem: s3mem.New()}
	if err := m.mem.CreateBucket(m.Bucket); err != nil {
		panic(err) // an empty one has room
	}
	if o.Versions {
		var c gofakes3.VersioningConfiguration
		c.SetEnabled(true)
		if err := m.mem.SetVersioningConfiguration(m.Bucket, c); err != nil {
			panic(err)
		}
	}
	m.http = httptest.NewUnstartedServer(m.handler(gofakes3.New(m.mem).Server()))
	m.http.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that distrust the certificate
	if o.TLS {
		m.http.StartTLS()
		m.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.http.Certificate().Raw})
	} else {
		m.http.Start()
	}
	m.URL = m.http.URL
	return m
}

// Close stops the server.
func (m *Memory) Close() { m.http.Close() }

// FailAfter lets n requests through and answers all others with an HTTP
// status, or breaks their connection if status is 0.
func (m *Memory) FailAfter(n, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing, m.good, m.status = true, n, status
}

// Recover ends [Memory.FailAfter].
func (m *Memory) Recover() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = false
}

// Requests returns what came since the last call, in the order of the answers.
func (m *Memory) Requests() []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.requests
	m.requests = nil
	return list
}

// Keys lists the bucket, sorted.
func (m *Memory) Keys() []string {
	list, err := m.mem.ListBucket(m.Bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		panic(err)
	}
	var keys []string
	for _, o := range list.Contents {
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys
}

// Get returns the value of a key.
func (m *Memory) Get(key string) ([]byte, error) {
	o, err := m.mem.GetObject(m.Bucket, key, nil)
	if err != nil {
		return nil, err
	}
	defer o.Contents.Close()
	return io.ReadAll(o.Contents)
}

// Change replaces the value of a key behind everybody's back.
func (m *Memory) Change(key string, change func([]byte) []byte) error {
	old, err := m.Get(key)
	if err != nil {
		return err
	}
	b := change(old)
	_, err = m.mem.PutObject(m.Bucket, key, map[string]string{}, bytes.NewReader(b), int64(len(b)), nil)
	return err
}

// Delete removes a key behind everybody's back.
func (m *Memory) Delete(key string) error {
	_, err := m.mem.DeleteObject(m.Bucket, key)
	return err
}

func (m *Memory) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(strings.TrimPrefix(path.Clean(r.URL.Path), "/"+m.Bucket), "/")
		rec := &recorder{ResponseWriter: w, status: http.StatusOK, noSums: m.versions}
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.requests = append(m.requests, Request{r.Method, key, r.URL.RawQuery, rec.status})
		}()
		if status, fails := m.fails(); fails {
			if rec.status = status; status == 0 {
				panic(http.ErrAbortHandler)
			}
			refuse(rec, status, "Failing", "as the test asked for")
			return
		}
		if status, code, msg := m.check(r); status != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			rec.Header().Set("X-Amz-Bucket-Region", m.Region)
			refuse(rec, status, code, msg)
			return
		}
		if r.Method == http.MethodHead && r.URL.Query().Has("versionId") {
			// The server below answers this for the latest version.
			get := r.Clone(r.Context())
			get.Method = http.MethodGet
			next.ServeHTTP(headless{rec}, get)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// headless drops the body of an answer.
type headless struct{ http.ResponseWriter }

func (headless) Write(p []byte) (int, error) { return len(p), nil }

func (m *Memory) fails() (status int, fails bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.failing {
		return 0, false
	}
	m.good--
	return m.status, m.good < 0
}

// check does what S3 does about a signature: it signs the request as the owner
// would have, and compares.
func (m *Memory) check(r *http.Request) (status int, code, msg string) {
	auth, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		if m.public {
			return 0, "", ""
		}
		return http.StatusForbidden, "AccessDenied", "Access Denied"
	}
	part := map[string]string{}
	for field := range strings.SplitSeq(auth, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		part[k] = v
	}
	scope := strings.Split(part["Credential"], "/")
	if len(scope) != 5 {
		return http.StatusBadRequest, "AuthorizationHeaderMalformed", "no scope"
	}
	if scope[0] != m.AccessKey {
		return http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
	}
	if scope[2] != m.Region {
		return http.StatusBadRequest, "AuthorizationHeaderMalformed", fmt.Sprintf("the region '%s' is wrong; expecting '%s'", scope[2], m.Region)
	}
	want, err := m.sign(r, strings.Split(part["SignedHeaders"], ";"))
	if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("Authorization"))) != 1 {
		return http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	}
	return 0, "", ""
}

// sign returns the Authorization header that the owner would have sent.
func (m *Memory) sign(r *http.Request, signed []string) (string, error) {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", err
	}
	c, err := http.NewRequestWithContext(r.Context(), r.Method, m.URL+r.RequestURI, nil)
	if err != nil {
		return "", err
	}
	c.Host = r.Host
	for _, h := range signed {
		switch h {
		case "host":
		case "content-length":
			c.ContentLength = r.ContentLength
		default:
			c.Header[http.CanonicalHeaderKey(h)] = r.Header.Values(h)
		}
	}
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: m.AccessKey, SecretAccessKey: m.SecretKey},
		c, r.Header.Get("X-Amz-Content-Sha256"), "s3", m.Region, at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return c.Header.Get("Authorization"), err
}

func refuse(w http.ResponseWriter, status int, code, msg string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: code, Message: msg})
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
	noSums bool
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	if r.noSums {
		// The server below gives a version the checksums of an older one.
		for name := range r.Header() {
			if strings.HasPrefix(name, "X-Amz-Checksum-") {
				r.Header().Del(name)
			}
		}
	}
	r.ResponseWriter.WriteHeader(status)
}
