package remote

import (
	"context"
	"sync"
	"time"
)

// Throttled marks err, an errs.Unavailable one, as a server's wish for fewer
// requests: S3's SlowDown, HTTP's 429 and 503. after is when it wants to be
// asked again; 0 if it did not say. [WithRetry] then has fewer requests under
// way, and comes back to the full number slowly.
func Throttled(err error, after time.Duration) error { return &throttledError{err, after} }

type throttledError struct {
	error
	after time.Duration
}

func (e *throttledError) RetryAfter() time.Duration { return e.after }
func (e *throttledError) Unwrap() error             { return e.error }

// limiter bounds the requests under way once a server asks for fewer: it
// halves their number, at most once for the requests that were under way
// together, and adds one for as many successes as there may be requests. As
// long as no server complains it does nothing.
type limiter struct {
	most float64 // where it ends to limit

	mu      sync.Mutex
	limit   float64 // 0 is none
	active  int
	cut     time.Time       // of the last halving
	waiting []chan struct{} // first come, first served; closed when it is one's turn
}

// acquire waits for a turn. Each call that returns nil needs a release.
func (l *limiter) acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.limit == 0 || float64(l.active) < l.limit {
		l.active++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	l.active-- // it was our turn meanwhile
	l.wake()
	return ctx.Err()
}

// release ends a request that began at a time. throttled says that the server
// wants fewer; ok that it did what it was asked for.
func (l *limiter) release(began time.Time, ok, throttled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case throttled && !began.Before(l.cut):
		now := float64(l.active)
		if l.limit > 0 {
			now = min(now, l.limit)
		}
		l.limit = max(1, float64(int(now)/2))
		l.cut = time.Now()
	case ok && l.limit > 0:
		if l.limit += 1 / l.limit; l.limit >= l.most {
			l.limit = 0
		}
	}
	l.active--
	l.wake()
}

// wake lets in as many as there is room for.
func (l *limiter) wake() {
	for len(l.waiting) > 0 && (l.limit == 0 || float64(l.active) < l.limit) {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.active++
	}
}
