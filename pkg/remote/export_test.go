package remote

import (
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// OpenTestS3 opens a backend on an S3 server in the process.
func OpenTestS3(t testing.TB) Backend {
	m := s3server.NewMemory(s3server.MemoryOptions{})
	t.Cleanup(m.Close)
	return OpenS3At(t, &m.Server, "some/prefix")
}

// OpenS3At opens a backend on an S3 server, below a prefix of its bucket.
func OpenS3At(t testing.TB, s *s3server.Server, prefix string) Backend {
	return openTestS3(t, Config{Name: "r", URL: "s3://" + s.Bucket + "/" + prefix, Options: s.Options(), Jobs: 8})
}
