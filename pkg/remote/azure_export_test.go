package remote

import (
	"testing"

	"github.com/cairndata/cairn/pkg/remote/cloudtest"
)

// OpenAzureAt opens a backend on an Azure server, below a prefix of its
// container.
func OpenAzureAt(t testing.TB, s *cloudtest.Azure, prefix string) Backend {
	return openTestAzure(t, Config{Name: "r", URL: "azure://" + s.Container + "/" + prefix, Options: s.Options(), Jobs: 8}, nil)
}

func openTestAzure(t testing.TB, c Config, env map[string]string) *azureBackend {
	t.Helper()
	b, err := newAzure(c, Env{Getenv: func(k string) string { return env[k] }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
