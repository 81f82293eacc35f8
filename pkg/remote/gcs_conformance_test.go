package remote_test

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/cloudtest"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
)

func TestBackendGCS(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remote.OpenTestGCS(t, false) })
}

func TestBackendGCSEmulator(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remote.OpenTestGCS(t, true) })
}

func TestVersionsGCS(t *testing.T) {
	remotetest.RunVersions(t, func(t *testing.T) remote.Backend {
		return remote.WithRetry(remote.OpenTestGCS(t, false), remote.RetryOptions{})
	})
}

func TestStoreGCS(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(remote.OpenTestGCS(t, false)) })
}

// realGCS runs a separate GCS server and opens backends on it, each below
// another prefix of its bucket.
func realGCS(t *testing.T) func(t *testing.T) remote.Backend {
	s := cloudtest.StartGCS(t, os.Getenv("CAIRN_GCS_SERVER"))
	return func(t *testing.T) remote.Backend { return remote.OpenGCSAt(t, s, rand.Text()) }
}

func TestBackendRealGCS(t *testing.T) {
	remotetest.Run(t, realGCS(t))
}

func TestStoreRealGCS(t *testing.T) {
	open := realGCS(t)
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(open(t)) })
}
