package git

import (
	"container/heap"
	"context"
	"slices"

	"github.com/cairndata/cairn/pkg/errs"
)

// MergeBase returns the newest commit from which two others descend, or which
// is one of them. There may be several as good; without any it is
// errs.NotFound, as where a shallow clone lacks it.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	db, err := r.objects()
	if err != nil {
		return "", err
	}
	cut, err := r.shallow()
	if err != nil {
		return "", err
	}
	// As git does it: commits are visited newest first and marked with the
	// sides they are seen from. What is below a common one is stale. Dates may
	// be equal or wrong, so a commit is visited again when its marks grow, and
	// a common one is the answer only if it did not turn out to be stale.
	const fromA, fromB, stale = 1, 2, 4
	marks := map[string]int{}
	w := walk{db: db, seen: map[string]bool{}}
	mark := func(sha string, m int) error {
		if marks[sha]|m == marks[sha] {
			return nil
		}
		marks[sha] |= m
		delete(w.seen, sha)
		return w.push(sha)
	}
	if err := mark(a, fromA); err != nil {
		return "", err
	}
	if err := mark(b, fromB); err != nil {
		return "", err
	}
	var common []string
	open := func(c dated) bool { return marks[c.sha]&stale == 0 }
	for slices.ContainsFunc(w.queue, open) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		c := heap.Pop(&w).(dated)
		m := marks[c.sha]
		if m&(fromA|fromB) == fromA|fromB {
			if m&stale == 0 {
				common = append(common, c.sha)
			}
			m |= stale
		}
		if cut[c.sha] {
			continue
		}
		for _, p := range c.parents {
			if err := mark(p, m); err != nil {
				return "", err
			}
		}
	}
	for _, sha := range common {
		if marks[sha]&stale == 0 {
			return sha, nil
		}
	}
	return "", errs.New(errs.NotFound, "the commits %.7s and %.7s have no common ancestor", a, b)
}

// Parent returns the first parent of a commit, "" if there is none.
func (r *Repo) Parent(sha string) (string, error) {
	db, err := r.objects()
	if err != nil {
		return "", err
	}
	c, err := db.commit(sha)
	if err != nil || len(c.parents) == 0 {
		return "", err
	}
	if cut, err := r.shallow(); err != nil || cut[sha] {
		return "", err
	}
	return c.parents[0], nil
}
