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

func TestBackendAzure(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remote.OpenTestAzure(t) })
}

func TestVersionsAzure(t *testing.T) {
	remotetest.RunVersions(t, func(t *testing.T) remote.Backend {
		return remote.WithRetry(remote.OpenTestAzure(t), remote.RetryOptions{})
	})
}

func TestStoreAzure(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(remote.OpenTestAzure(t)) })
}

// realAzure runs an Azure emulator and opens backends on it, each below
// another prefix of its container.
func realAzure(t *testing.T) func(t *testing.T) remote.Backend {
	s := cloudtest.StartAzure(t, os.Getenv("CAIRN_AZURITE"))
	return func(t *testing.T) remote.Backend { return remote.OpenAzureAt(t, s, rand.Text()) }
}

func TestBackendRealAzure(t *testing.T) {
	remotetest.Run(t, realAzure(t))
}

func TestStoreRealAzure(t *testing.T) {
	open := realAzure(t)
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(open(t)) })
}
