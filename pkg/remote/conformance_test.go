package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"github.com/cairndata/cairn/pkg/errs"
	"io"
	"iter"
	"os"
	"testing"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
	"github.com/cairndata/cairn/pkg/remote/s3server"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
)

func TestBackendMemory(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remotetest.NewMemory() })
}

func TestBackendRetried(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend {
		return remote.WithRetry(remotetest.NewMemory(), remote.RetryOptions{})
	})
}

func TestBackendS3(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remote.OpenTestS3(t) })
}

func TestVersionsS3(t *testing.T) {
	for name, wrap := range map[string]func(remote.Backend) remote.Backend{
		"bare":    func(b remote.Backend) remote.Backend { return b },
		"retried": func(b remote.Backend) remote.Backend { return remote.WithRetry(b, remote.RetryOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			remotetest.RunVersions(t, func(t *testing.T) remote.Backend {
				m := s3server.NewMemory(s3server.MemoryOptions{Versions: true})
				t.Cleanup(m.Close)
				return wrap(remote.OpenS3At(t, &m.Server, "some/prefix"))
			})
		})
	}
}

// What wraps a backend has its abilities, and none besides.
func TestAbilities(t *testing.T) {
	t.Parallel()
	if b := remote.WithRetry(struct{ remote.Backend }{remotetest.NewMemory()}, remote.RetryOptions{}); true {
		_, parts := remote.As[remote.PartPutter](b)
		_, describes := remote.As[remote.Describer](b)
		_, versions := remote.As[remote.Versioned](b)
		if parts || describes || versions {
			t.Errorf("a plain backend, wrapped: parts %t, describes %t, versions %t", parts, describes, versions)
		}
	}
	b := remote.WithRetry(remote.OpenTestS3(t), remote.RetryOptions{})
	_, parts := remote.As[remote.PartPutter](b)
	_, describes := remote.As[remote.Describer](b)
	_, versions := remote.As[remote.Versioned](b)
	if !parts || !describes || !versions {
		t.Errorf("S3, wrapped: parts %t, describes %t, versions %t", parts, describes, versions)
	}
	if got, ok := remote.BackendOf(remote.NewStore(b, "s3")); !ok || got != b {
		t.Errorf("the store's backend: %v, %t", got, ok)
	}
}

func memoryFixture(m *remotetest.Memory) objecttest.Fixture {
	return objecttest.Fixture{
		Store: remote.NewStore(remote.WithRetry(m, remote.RetryOptions{}), "memory"),
		Damage: func(t *testing.T, d object.Digest, change func([]byte) []byte) {
			if !m.Change(d.Key(), change) {
				t.Fatalf("no object %v to damage", d)
			}
		},
		Leftovers: func(t *testing.T) (left []string) {
			for _, k := range m.Keys() {
				if _, ok := object.ParseKey(k); !ok {
					left = append(left, k)
				}
			}
			if m.Uploads() > 0 {
				left = append(left, "uploads")
			}
			return left
		},
	}
}

func TestStoreMemory(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return memoryFixture(remotetest.NewMemory()) })
}

// A folder-like backend asks one by one; a small page makes listings split.
func TestStoreMemoryManyPages(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture {
		m := remotetest.NewMemory()
		m.Props.ListPrice = 1
		return memoryFixture(m)
	})
}

func TestStoreMemoryStatOnly(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture {
		m := remotetest.NewMemory()
		m.Props.ListPrice = 0
		m.Props.PartSize = 8 << 20
		f := memoryFixture(m)
		f.Store = remote.NewStore(remote.WithRetry(unlisted{m}, remote.RetryOptions{}), "memory")
		return f
	})
}

func TestStoreS3(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(remote.OpenTestS3(t)) })
}

func backendFixture(b remote.Backend) objecttest.Fixture {
	return objecttest.Fixture{
		Store: remote.NewStore(remote.WithRetry(b, remote.RetryOptions{}), "store"),
		Damage: func(t *testing.T, d object.Digest, change func([]byte) []byte) {
			r, _, err := b.Open(t.Context(), d.Key(), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			v, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			v = change(v)
			if err := b.Put(t.Context(), d.Key(), int64(len(v)), bytes.NewReader(v)); err != nil {
				t.Fatal(err)
			}
		},
		Leftovers: func(t *testing.T) (left []string) {
			for e, err := range b.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := object.ParseKey(e.Key); !ok {
					left = append(left, e.Key)
				}
			}
			return left
		},
	}
}

// realS3 runs a separate S3 server and opens backends on it, each below
// another prefix of its bucket.
func realS3(t *testing.T) func(t *testing.T) remote.Backend {
	s, _ := s3server.Start(t, os.Getenv("CAIRN_S3_SERVER"))
	return func(t *testing.T) remote.Backend { return remote.OpenS3At(t, s, rand.Text()) }
}

func TestBackendRealS3(t *testing.T) {
	remotetest.Run(t, realS3(t))
}

func TestStoreRealS3(t *testing.T) {
	open := realS3(t)
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(open(t)) })
}

func TestBackendSSH(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Backend {
		return remote.OpenSSHAt(t, sshserver.New(t, sshserver.Options{}).Server, "some/folder")
	})
}

func TestStoreSSH(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture {
		return backendFixture(remote.OpenSSHAt(t, sshserver.New(t, sshserver.Options{}).Server, ""))
	})
}

func TestBackendRealSSH(t *testing.T) {
	s := sshserver.Start(t, os.Getenv("CAIRN_SSHD"))
	remotetest.Run(t, func(t *testing.T) remote.Backend { return remote.OpenSSHAt(t, s, rand.Text()) })
}

func TestStoreRealSSH(t *testing.T) {
	s := sshserver.Start(t, os.Getenv("CAIRN_SSHD"))
	objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return backendFixture(remote.OpenSSHAt(t, s, rand.Text())) })
}

// unlisted is a backend that cannot list.
type unlisted struct{ *remotetest.Memory }

func (unlisted) List(context.Context, string) iter.Seq2[remote.Entry, error] {
	return func(yield func(remote.Entry, error) bool) {
		yield(remote.Entry{}, errs.New(errs.Unsupported, "no listing"))
	}
}
