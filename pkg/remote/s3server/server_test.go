package s3server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// The server in the process refuses what a real one would, as the other tests
// rely on it.
func TestMemoryChecks(t *testing.T) {
	t.Parallel()
	m := s3server.NewMemory(s3server.MemoryOptions{Region: "eu-north-1"})
	t.Cleanup(m.Close)
	good := m.Server
	if _, err := good.Objects(t.Context(), ""); err != nil {
		t.Errorf("the owner: %v", err)
	}
	for name, change := range map[string]func(*s3server.Server){
		"key":    func(s *s3server.Server) { s.AccessKey += "x" },
		"secret": func(s *s3server.Server) { s.SecretKey += "x" },
		"region": func(s *s3server.Server) { s.Region = "us-west-2" },
		"bucket": func(s *s3server.Server) { s.Bucket = "another" },
	} {
		bad := good
		change(&bad)
		if _, err := bad.Objects(t.Context(), ""); err == nil {
			t.Errorf("wrong %s: let in", name)
		}
	}
	m.Requests()
	m.FailAfter(1, 500)
	for i, fails := range []bool{false, true, true} {
		if _, err := good.Objects(t.Context(), ""); (err != nil) != fails {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if n := len(m.Requests()); n != 3 {
		t.Errorf("%d requests counted, want 3", n)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	s, dir := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
	if got, err := s.Objects(t.Context(), ""); err != nil || len(got) != 0 {
		t.Errorf("a new bucket: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("value"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Objects(t.Context(), ""); err != nil || got["key"] != 5 {
		t.Errorf("a file in the bucket's folder: %v, %v", got, err)
	}
}
