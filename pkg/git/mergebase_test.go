package git

import (
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
)

func TestMergeBase(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("commit", "-q", "--allow-empty", "-m", "root")
	s.run("tag", "root")
	s.run("branch", "side")
	s.run("commit", "-q", "--allow-empty", "-m", "a1")
	s.run("tag", "a1")
	s.run("checkout", "-q", "side")
	s.run("commit", "-q", "--allow-empty", "-m", "b1")
	s.run("tag", "b1")
	s.run("merge", "-q", "--no-ff", "-m", "b2", "a1")
	s.run("tag", "b2")
	s.run("checkout", "-q", "main")
	s.run("commit", "-q", "--allow-empty", "-m", "a2")
	s.run("tag", "a2")
	// A way past the best one, to the root, that is shorter.
	s.run("checkout", "-q", "-b", "long", "a1")
	for range 4 {
		s.run("commit", "-q", "--allow-empty", "-m", "long")
	}
	s.run("merge", "-q", "--no-ff", "-s", "ours", "-m", "short cut", s.run("commit-tree", "-p", "root", "-m", "beside", "root^{tree}"))
	s.run("tag", "long1")
	s.run("checkout", "-q", "--orphan", "alone")
	s.run("commit", "-q", "--allow-empty", "-m", "alone")
	s.run("tag", "lonely")
	r := s.open(false)
	sha := func(rev string) string {
		t.Helper()
		id, err := r.Resolve(t.Context(), rev)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, tt := range [][3]string{
		{"a1", "b1", "root"}, {"b1", "a1", "root"}, {"a2", "b2", "a1"}, {"b2", "a2", "a1"}, {"root", "a2", "root"}, {"a2", "a2", "a2"}, {"a2", "long1", "a1"}, {"long1", "a2", "a1"},
	} {
		got, err := r.MergeBase(t.Context(), sha(tt[0]), sha(tt[1]))
		if err != nil || got != sha(tt[2]) {
			t.Errorf("%s and %s: %s, %v, want %s", tt[0], tt[1], got, err, sha(tt[2]))
		}
	}
	if _, err := r.MergeBase(t.Context(), sha("lonely"), sha("a2")); !errs.Is(err, errs.NotFound) {
		t.Errorf("without a common ancestor: %v", err)
	}
	for rev, want := range map[string]string{"b2": "b1", "a1": "root", "root": ""} {
		got, err := r.Parent(sha(rev))
		if want != "" {
			want = sha(want)
		}
		if err != nil || got != want {
			t.Errorf("parent of %s: %q, %v", rev, got, err)
		}
	}
}
