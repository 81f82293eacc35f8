package cli

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/repo"
)

func TestReproLines(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	now := begin.Add(90 * time.Second)
	var many []repo.RunningStage
	for i := range maxShown + 2 {
		many = append(many, repo.RunningStage{Stage: fmt.Sprint("s", i), Begin: now.Add(-time.Second)})
	}
	got := reproLines(repo.ReproState{Running: []repo.RunningStage{{Stage: "a", Begin: now.Add(-75 * time.Second)}, {Stage: "b\x1b", Begin: now}},
		Done: 2, Waiting: 3}, now, begin)
	want := []string{"     1m15s  a", "    0.00 s  \"b\\x1b\"", "2 running, 2 done, 3 waiting  [1m30s]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got = reproLines(repo.ReproState{Running: many, Failed: 1, Skipped: 4}, now, begin)
	if len(got) != maxShown+2 || got[maxShown] != "  and 2 more" || got[maxShown+1] != "14 running, 0 done, 4 skipped, 1 failed  [1m30s]" {
		t.Errorf("got %q", got)
	}
}
