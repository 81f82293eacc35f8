package remote

import (
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
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

// OpenSSHAt opens a backend on an SSH server, below a folder of its files.
func OpenSSHAt(t testing.TB, s *sshserver.Server, sub string) Backend {
	b, err := newSSH(Config{Name: "r", URL: s.URL(sub), Options: s.Options()}, Env{Home: s.Home})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// OpenOnce opens a remote without patience.
func OpenOnce(t testing.TB, c Config, env Env) Backend {
	t.Helper()
	b, err := drivers[Scheme(c.URL)](t.Context(), c, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}
