package remote

import "testing"

// OpenTestS3 opens a backend on an S3 server in the process.
func OpenTestS3(t testing.TB) Backend { return openTestS3(t, s3Config(serveS3(t, nil), nil)) }

// OpenS3At opens a backend on the S3 server at endpoint.
func OpenS3At(t testing.TB, endpoint, url string, options map[string]string) Backend {
	c := s3Config(endpoint, options)
	c.URL = url
	return openTestS3(t, c)
}
