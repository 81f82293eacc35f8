// Package cloudtest runs, for tests, programs of somebody else's making that
// speak as Google Cloud Storage and Azure Blob Storage do.
package cloudtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startLimit = time.Minute // for a program to answer
	startTries = 3           // a port may be taken between asking for it and using it
)

// GCS is a server of the JSON API.
type GCS struct {
	URL    string // with scheme, of the loopback interface
	Bucket string // one that is there
}

// StartGCS runs the fake-gcs-server program at binary, with a bucket in it,
// until the test ends. Without binary the test is skipped: callers hand in
// what CAIRN_GCS_SERVER says.
func StartGCS(t testing.TB, binary string) *GCS {
	t.Helper()
	if binary == "" {
		t.Skip("needs a separate GCS server: set CAIRN_GCS_SERVER to the path of fake-gcs-server")
	}
	s := &GCS{Bucket: "bucket"}
	start(t, func(host, port string) (*exec.Cmd, func(ctx context.Context) error) {
		s.URL = "http://" + net.JoinHostPort(host, port)
		cmd := exec.Command(binary, "-backend", "memory", "-scheme", "http", "-host", host, "-port", port,
			"-external-url", s.URL, "-public-host", net.JoinHostPort(host, port), "-log-level", "error")
		return cmd, func(ctx context.Context) error { return s.makeBucket(ctx, s.Bucket) }
	})
	return s
}

func (s *GCS) makeBucket(ctx context.Context, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/storage/v1/b?project=test", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return expect(http.DefaultClient.Do(req))
}

// expect is nil for an answer that says it went well.
func expect(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)); resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

// Options are those of a cairn or DVC remote that uses the server.
func (s *GCS) Options() map[string]string {
	return map[string]string{"endpointurl": s.URL, "allow_anonymous_login": "true"}
}

// Azure is a server of the Blob API.
type Azure struct {
	URL       string // of the account, with scheme
	Account   string
	Key       string
	Container string // one that is there
}

// StartAzure runs the azurite-blob program at binary, with a container in it,
// until the test ends. Without binary the test is skipped: callers hand in
// what CAIRN_AZURITE says.
func StartAzure(t testing.TB, binary string) *Azure {
	t.Helper()
	if binary == "" {
		t.Skip("needs an Azure server: set CAIRN_AZURITE to the path of azurite-blob")
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	s := &Azure{Account: "cairntest", Key: base64.StdEncoding.EncodeToString(key), Container: "container"}
	start(t, func(host, port string) (*exec.Cmd, func(ctx context.Context) error) {
		s.URL = "http://" + net.JoinHostPort(host, port) + "/" + s.Account
		cmd := exec.Command(binary, "--blobHost", host, "--blobPort", port,
			"--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
		cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+s.Account+":"+s.Key)
		return cmd, func(ctx context.Context) error { return s.makeContainer(ctx, key) }
	})
	return s
}

// makeContainer makes the container by a request signed as Azure wants it.
func (s *Azure) makeContainer(ctx context.Context, key []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.URL+"/"+s.Container+"?restype=container", nil)
	if err != nil {
		return err
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Version", "2021-12-02")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "PUT%s\nx-ms-date:%s\nx-ms-version:2021-12-02\n/%s%s\nrestype:container", strings.Repeat("\n", 11), date, s.Account, req.URL.Path)
	req.Header.Set("Authorization", "SharedKey "+s.Account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return expect(http.DefaultClient.Do(req))
}

// Options are those of a cairn or DVC remote that uses the server.
func (s *Azure) Options() map[string]string {
	return map[string]string{"connection_string": s.ConnectionString()}
}

// ConnectionString is all that a client needs to know.
func (s *Azure) ConnectionString() string {
	return "DefaultEndpointsProtocol=http;AccountName=" + s.Account + ";AccountKey=" + s.Key + ";BlobEndpoint=" + s.URL + ";"
}

// start runs a program on a free port until it is ready and lets it run until
// the test ends.
func start(t testing.TB, command func(host, port string) (*exec.Cmd, func(context.Context) error)) {
	t.Helper()
	var err error
	for range startTries {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		host, port, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		cmd, ready := command(host, port)
		if err = run(t, cmd, ready); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func run(t testing.TB, cmd *exec.Cmd, ready func(context.Context) error) error {
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	stop := func() { _ = cmd.Process.Kill(); <-ended }
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			t.Cleanup(stop)
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended at once: %w\n%s", cmd.Path, err, log.String())
		case <-ctx.Done():
			stop()
			return fmt.Errorf("%s: no answer in %s: %w\n%s", cmd.Path, startLimit, err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockedBuffer keeps what a program says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
