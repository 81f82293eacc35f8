package repo

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/progress"
)

// stopper cancels once so many items are done.
type stopper struct {
	progress.Task
	left   atomic.Int64
	cancel context.CancelFunc
}

func (s *stopper) Start(string, int64, int64) progress.Task { return s }
func (s *stopper) Add(items, bytes int64) {
	if s.left.Add(-items) <= 0 {
		s.cancel()
	}
}

// Who interrupts an add has only the rest to do in the next one.
func TestInterruptedAdd(t *testing.T) {
	const folders, files = 40, 20
	w := newWorld(t)
	for i := range folders * files {
		w.write(fmt.Sprintf("many/d%02d/f%02d", i/files, i%files), fmt.Sprint("content ", i))
	}
	stored := func(r *Repo) (n int) {
		for _, err := range r.Cache.List(t.Context(), r.Alg) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	// The files are older than the grain of the clock.
	later := func() time.Time { return time.Now().Add(time.Minute) }
	var before, after int
	w.must(func(ctx context.Context, r *Repo) error {
		before = stored(r)
		r.env.Now = later
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s := &stopper{Task: progress.Discard.Start("", 0, 0), cancel: cancel}
		s.left.Store(folders * files / 2)
		r.Progress = s
		if _, err := r.Add(ctx, AddOptions{Targets: []string{"many"}}); !errs.Is(err, errs.Cancelled) && ctx.Err() == nil {
			t.Errorf("add was not interrupted: %v", err)
		}
		after = stored(r) - before
		return nil
	})
	if after < folders*files/2 || after >= folders*files {
		t.Errorf("%d of %d objects were kept", after, folders*files)
	}
	w.must(func(ctx context.Context, r *Repo) error {
		r.env.Now = later
		res, err := r.Add(ctx, AddOptions{Targets: []string{"many"}})
		if err != nil {
			return err
		}
		// Those of the folders that were being read are read again.
		if read := res.Added[0].Read; read > folders*files/2+2*files {
			t.Errorf("%d files were read, after %d of %d", read, after, folders*files)
		}
		if n := stored(r) - before; n != folders*files+1 {
			t.Errorf("%d objects in the end", n)
		}
		return nil
	})
}
