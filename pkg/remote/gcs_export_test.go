package remote

import (
	"testing"

	"github.com/cairndata/cairn/pkg/remote/cloudtest"
)

// OpenGCSAt opens a backend on a GCS server, below a prefix of its bucket.
func OpenGCSAt(t testing.TB, s *cloudtest.GCS, prefix string) Backend {
	b, err := newGCS(Config{Name: "r", URL: "gs://" + s.Bucket + "/" + prefix, Options: s.Options(), Jobs: 8}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
