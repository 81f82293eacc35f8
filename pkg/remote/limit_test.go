package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
)

// busy is a server that takes so many uploads at a time, and tells the others
// to slow down.
type busy struct {
	*remotetest.Memory
	most int

	mu                    sync.Mutex
	active, peak, refused int
}

func (b *busy) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	b.mu.Lock()
	if b.active >= b.most {
		b.refused++
		b.mu.Unlock()
		return remote.Throttled(errs.New(errs.Unavailable, "slow down"), 0)
	}
	b.active++
	b.peak = max(b.peak, b.active)
	b.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	defer func() { b.mu.Lock(); b.active--; b.mu.Unlock() }()
	return b.Memory.Put(ctx, key, size, r)
}

// A push to a server that can do with few requests gets through, with few
// requests; the time is not real.
func TestThrottled(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	dir := folder(t, src, "data", 800)
	for _, most := range []int{1, 4, 20} {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{Memory: remotetest.NewMemory(), most: most}
			b.Props.Concurrency = 64
			dst := remote.NewStore(remote.WithRetry(b, remote.RetryOptions{}), "dst")
			st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{dir}, remote.TransferOptions{})
			if err != nil || st.Done != 801 {
				t.Fatalf("most %d: %+v, %v", most, st, err)
			}
			if b.refused > 801 {
				t.Errorf("most %d: %d requests were refused, more than there were objects", most, b.refused)
			}
			if b.peak < most {
				t.Errorf("most %d: at most %d requests were under way", most, b.peak)
			}
		})
	}
}

// Who waits for a turn ends with its context, and takes nobody's turn along.
func TestThrottledCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &busy{Memory: remotetest.NewMemory()}
		b.Props.Concurrency = 8
		r := remote.WithRetry(b, remote.RetryOptions{Tries: 1000})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := r.Put(ctx, fmt.Sprint(i), 1, &oneByte{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		b.most = 1
		for i := range 3 {
			if err := r.Put(t.Context(), fmt.Sprint(i), 1, &oneByte{}); err != nil {
				t.Errorf("put later: %v", err)
			}
		}
	})
}

// oneByte is a value that can be read again.
type oneByte struct{ at int64 }

func (o *oneByte) Read(p []byte) (int, error) {
	if o.at > 0 || len(p) == 0 {
		return 0, io.EOF
	}
	o.at, p[0] = 1, 'x'
	return 1, nil
}

func (o *oneByte) Seek(off int64, _ int) (int64, error) { o.at = off; return off, nil }

// Small objects do not wait until all large ones are done.
func TestTransferBothEnds(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	var items []remote.Item
	for i := range 20 {
		n := 10
		if i < 10 {
			n = 100_000 + i
		}
		b := objecttest.Bytes(uint64(i), n)
		items = append(items, item(objecttest.Put(t, src, object.MD5, b)[0], n, fmt.Sprint(i)))
	}
	large := map[string]bool{}
	for i, it := range items {
		large[it.Digest.Key()] = i < 10
	}
	// Either kind waits for the first of the other.
	began := map[bool]chan struct{}{true: make(chan struct{}), false: make(chan struct{})}
	var once [2]sync.Once
	f := &remotetest.Faulty{Backend: remotetest.NewMemory(), Plan: func(op, key string, _ int) remotetest.Fault {
		if op != "put" {
			return remotetest.None
		}
		l := large[key]
		if l {
			once[0].Do(func() { close(began[l]) })
		} else {
			once[1].Do(func() { close(began[l]) })
		}
		select {
		case <-began[!l]:
		case <-time.After(20 * time.Second):
			t.Error("one kind waits for the other")
		}
		return remotetest.None
	}}
	pushed(t, f, src, remote.TransferOptions{Jobs: 2}, items...)
}
