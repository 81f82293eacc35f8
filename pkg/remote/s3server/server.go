package s3server

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Server is how to reach a server that runs.
type Server struct {
	URL       string // with scheme, of the loopback interface
	Bucket    string // one that is there
	Region    string
	AccessKey string
	SecretKey string
}

func newServer(region string) Server {
	return Server{Bucket: "bucket", Region: region, AccessKey: "AK" + rand.Text()[:16], SecretKey: "sk/" + rand.Text() + "+"}
}

// Options are those of a cairn or DVC remote that uses the server.
func (s *Server) Options() map[string]string {
	return map[string]string{"endpointurl": s.URL, "region": s.Region, "access_key_id": s.AccessKey, "secret_access_key": s.SecretKey}
}

// client speaks to the server as its owner.
func (s *Server) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.URL, UsePathStyle: true, Region: s.Region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
}

// Purge deletes all versions of a key.
func (s *Server) Purge(ctx context.Context, key string) error {
	pages := s3.NewListObjectVersionsPaginator(s.client(), &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Key) != key {
				continue
			}
			if _, err := s.client().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: &key, VersionId: v.VersionId}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Objects lists the bucket below a prefix: sizes by key.
func (s *Server) Objects(ctx context.Context, prefix string) (map[string]int64, error) {
	found := map[string]int64{}
	pages := s3.NewListObjectsV2Paginator(s.client(), &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if key := aws.ToString(o.Key); !strings.HasSuffix(key, "/") {
				found[key] = aws.ToInt64(o.Size)
			}
		}
	}
	return found, nil
}

// Uploads lists the keys of uploads in parts that were begun and not ended.
func (s *Server) Uploads(ctx context.Context) ([]string, error) {
	out, err := s.client().ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.Bucket})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, u := range out.Uploads {
		keys = append(keys, aws.ToString(u.Key))
	}
	return keys, nil
}
