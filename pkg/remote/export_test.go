package remote

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/object"
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

// SetHungry makes a store's readers ask for ranges however fast they get bytes.
func (s *Store) SetHungry() { s.hungry, s.partWait = 0, time.Minute }

// SetImpatient makes them give up a first part that has not come.
func (s *Store) SetImpatient() { s.partWait = time.Millisecond }

// OpenRanged opens an object as a transfer does that has so many streams to
// spare.
func (s *Store) OpenRanged(ctx context.Context, d object.Digest, spare int) (io.ReadCloser, int64, *Streams, error) {
	var more streams
	more.give(spare)
	r, size, err := s.openRanged(ctx, d, &more)
	return r, size, &Streams{&more}, err
}

// Streams are what OpenRanged may open.
type Streams struct{ s *streams }

// Spare is how many are not in use.
func (s *Streams) Spare() int { return int(s.s.spare.Load()) }

// BuffersFree reports whether no buffer of the store is in use.
func (s *Store) BuffersFree() bool {
	if !s.budget.TryAcquire(bufferBudget) {
		return false
	}
	s.budget.Release(bufferBudget)
	return true
}

// What the reader of a large object may have ahead of it, in bytes.
const RangeWindow = (rangeMost + 1) * rangePart

// IsPartial reports whether a body is known to be no more than was asked for.
func IsPartial(r io.Reader) bool { return isPartial(r) }

// TakeBuffers takes all memory of a store's buffers.
func (s *Store) TakeBuffers(t testing.TB) (release func()) {
	if !s.budget.TryAcquire(bufferBudget) {
		t.Fatal("buffers are in use")
	}
	return func() { s.budget.Release(bufferBudget) }
}
