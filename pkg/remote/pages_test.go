package remote

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// pagedBackend lists in pages, of which each second request fails.
type pagedBackend struct {
	Backend
	pages, asked int
	circle       bool
}

func (b *pagedBackend) Properties() Properties { return Properties{} }

func (b *pagedBackend) get(_ context.Context, token string) ([]Entry, string, error) {
	if b.asked++; b.asked%2 == 1 {
		return nil, "", errs.New(errs.Unavailable, "a bad line")
	}
	n := 0
	if token != "" {
		n, _ = strconv.Atoi(token)
	}
	next := strconv.Itoa(n + 1)
	if b.circle && n == 3 {
		next = token
	} else if n+1 == b.pages {
		next = ""
	}
	return []Entry{{Key: fmt.Sprint(n)}}, next, nil
}

func (b *pagedBackend) ListBy(ctx context.Context, _ string, _ bool, step Step) iter.Seq2[Entry, error] {
	return listPages(ctx, "there", step, b.get)
}

// A long listing on a line of which much gets lost comes to an end: each page is
// tried again by itself, and nothing is yielded twice.
func TestListPagesPatient(t *testing.T) {
	t.Parallel()
	b := &pagedBackend{pages: 500}
	r := WithRetry(b, RetryOptions{Sleep: func(context.Context, time.Duration) error { return nil }})
	n := 0
	for e, err := range r.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key != fmt.Sprint(n) {
			t.Fatalf("entry %d is %s", n, e.Key)
		}
		n++
	}
	if n != b.pages || b.asked != 2*b.pages {
		t.Errorf("%d entries by %d requests", n, b.asked)
	}
}

// A server that names the same page for ever is told from one with much to tell.
func TestListPagesCircle(t *testing.T) {
	t.Parallel()
	r := WithRetry(&pagedBackend{pages: 500, circle: true}, RetryOptions{Sleep: func(context.Context, time.Duration) error { return nil }})
	n := 0
	var last error
	for _, err := range r.List(t.Context(), "") {
		if n++; n > 100 {
			t.Fatal("it goes on for ever")
		}
		last = err
	}
	if !errs.Is(last, errs.Config) {
		t.Errorf("it ended with %v", last)
	}
}
