package s3server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	startLimit = 30 * time.Second // for the program to answer
	startTries = 3                // a port may be taken between asking for it and using it
)

// Start runs the versitygw program at binary, with a bucket in it, until the
// test ends. Without binary the test is skipped: callers hand in what
// CAIRN_S3_SERVER says. The second result is the folder in which the server
// keeps the bucket's objects, each in a file named by its key.
func Start(t testing.TB, binary string) (*Server, string) {
	t.Helper()
	return run(t, binary, false)
}

// StartVersions is Start with a bucket that keeps every version of a value. The
// folder holds the latest ones.
func StartVersions(t testing.TB, binary string) (*Server, string) {
	t.Helper()
	return run(t, binary, true)
}

func run(t testing.TB, binary string, versions bool) (*Server, string) {
	t.Helper()
	if binary == "" {
		t.Skip("needs a separate S3 server: set CAIRN_S3_SERVER to the path of versitygw")
	}
	dir := t.TempDir()
	for _, sub := range []string{"data", "meta", "versions"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for range startTries {
		s := newServer("us-east-1")
		if err = s.start(t, binary, dir, versions); err == nil {
			return &s, filepath.Join(dir, "data", s.Bucket)
		}
	}
	t.Fatalf("start %s: %v", binary, err)
	return nil, ""
}

// start runs the program on a free port and makes the bucket.
func (s *Server) start(t testing.TB, binary, dir string, versions bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	s.URL = "http://" + addr

	// Keys go by the environment, where other users do not see them. Metadata
	// lies beside the data, since not every file system has attributes.
	args := []string{"--quiet", "--port", addr, "--region", s.Region, "posix", "--sidecar", filepath.Join(dir, "meta")}
	if versions {
		args = append(args, "--versioning-dir", filepath.Join(dir, "versions"))
	}
	cmd := exec.Command(binary, append(args, filepath.Join(dir, "data"))...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	stop := func() { _ = cmd.Process.Kill(); <-ended }

	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	for {
		if _, err = s.client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.Bucket}); err == nil {
			t.Cleanup(stop)
			if versions {
				_, err = s.client().PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &s.Bucket,
					VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
			}
			return err
		}
		select {
		case <-ended:
			return fmt.Errorf("it ended at once: %w\n%s", err, log.String())
		case <-ctx.Done():
			stop()
			return fmt.Errorf("no answer in %s: %w\n%s", startLimit, err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockedBuffer keeps what the program says.
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
