package remote

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// serveS3 runs an S3 server in the process, with the bucket "bucket".
func serveS3(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	mem := s3mem.New()
	if err := mem.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	h := gofakes3.New(mem).Server()
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func s3Config(url string, more map[string]string) Config {
	o := map[string]string{"endpointurl": url, "access_key_id": "AKID", "secret_access_key": "very-secret", "region": "us-east-1"}
	for k, v := range more {
		o[k] = v
	}
	return Config{Name: "r", URL: "s3://bucket/some/prefix", Options: o, Jobs: 8}
}

func openTestS3(t testing.TB, c Config) *s3Backend {
	t.Helper()
	b, err := newS3(context.Background(), c, Env{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
