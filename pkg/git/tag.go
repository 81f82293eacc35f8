package git

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// AnnotatedTag is a tag with an object of its own. Plain names for commits are
// none.
type AnnotatedTag struct {
	Name string // without refs/tags/
	SHA  string // of the commit
	Time int64  // when it was made, seconds since 1970
}

// AnnotatedTags lists the annotated tags whose names match, the oldest first.
func (r *Repo) AnnotatedTags(match func(name string) bool) ([]AnnotatedTag, error) {
	refs, err := r.Tags()
	if err != nil {
		return nil, err
	}
	db, err := r.objects()
	if err != nil {
		return nil, err
	}
	var list []AnnotatedTag
	for _, ref := range refs {
		name := strings.TrimPrefix(ref.Name, "refs/tags/")
		if !match(name) {
			continue
		}
		kind, data, err := db.read(ref.SHA)
		if err != nil {
			return nil, err
		}
		if kind != typeTag {
			continue
		}
		sha, kind, err := db.peel(ref.SHA)
		if err != nil {
			return nil, err
		}
		if kind == typeCommit {
			list = append(list, AnnotatedTag{Name: name, SHA: sha, Time: tagTime(string(data))})
		}
	}
	slices.SortStableFunc(list, func(a, b AnnotatedTag) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		}
		return 0
	})
	return list, nil
}

// tagTime is the time in a tag object's tagger line, 0 without one.
func tagTime(text string) int64 {
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return 0
		}
		rest, ok := strings.CutPrefix(line, "tagger ")
		if !ok {
			continue
		}
		i := strings.LastIndexByte(rest, '>')
		when, _, _ := strings.Cut(strings.TrimSpace(rest[i+1:]), " ")
		t, _ := strconv.ParseInt(when, 10, 64)
		return t
	}
	return 0
}

// FetchTags brings the annotated tags of the other side whose names match, with
// the commits they name, and lists them as [Repo.AnnotatedTags] does.
func (m *Mirror) FetchTags(ctx context.Context, match func(name string) bool) ([]AnnotatedTag, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	there, err := m.RemoteTags(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--depth=1", "--filter=blob:none", "--", mirrorRemote}
	n := len(args)
	for name := range there {
		if match(name) && validRefName("tags/"+name) {
			args = append(args, "+refs/tags/"+name+":refs/tags/"+name)
		}
	}
	if len(args) == n {
		return nil, nil
	}
	slices.Sort(args[n:])
	if _, err := m.network(ctx, nil, args...); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := m.fetchAll(ctx); err != nil {
			return nil, err
		}
	}
	again, err := m.reopened()
	if err != nil {
		return nil, err
	}
	defer again.Close()
	return again.AnnotatedTags(func(name string) bool { _, ok := there[name]; return ok && match(name) })
}
