package repo

import (
	"slices"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/object"
)

// manifestOf makes a manifest of "path=content" words.
func manifestOf(text string) object.Manifest {
	m := object.Manifest{}
	for _, w := range strings.Fields(text) {
		p, content, _ := strings.Cut(w, "=")
		m = append(m, object.File{Path: p, Digest: object.Sum(object.MD5, []byte(content)), Size: -1})
	}
	m.Sort()
	return m
}

func TestMergeManifests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, base, our, their, want, conflicts string }{
		{"no ancestor", "", "a=1", "b=2", "a=1 b=2", ""},
		{"added on both sides", "a=1", "a=1 b=2", "a=1 c=3 d/e=4", "a=1 b=2 c=3 d/e=4", ""},
		{"added alike", "a=1", "a=1 b=2", "a=1 b=2", "a=1 b=2", ""},
		{"added differently", "a=1", "a=1 b=2", "a=1 b=3", "", "b"},
		{"only ours", "a=1 b=2", "a=9 c=1", "a=1 b=2", "a=9 c=1", ""},
		{"only theirs", "a=1 b=2", "a=1 b=2", "a=9 c=1", "a=9 c=1", ""},
		{"removed here, added there", "a=1 b=2", "b=2", "a=1 b=2 c=3", "b=2 c=3", ""},
		{"removed by both", "a=1 b=2", "b=2", "b=2 c=3", "b=2 c=3", ""},
		{"removed here, changed there", "a=1 b=2", "b=2", "a=9 b=2", "", "a"},
		{"changed here, removed there", "a=1 b=2", "a=9 b=2", "b=2", "", "a"},
		{"changed alike", "a=1", "a=2", "a=2", "a=2", ""},
		{"changed differently", "a=1 b=1 c=1", "a=2 b=2 c=1", "a=3 b=3 c=4", "", "a b"},
		{"file here, folder there", "z=1", "z=1 x=1", "z=1 x/y=2", "", "x/y"},
		{"file here, deep folder there", "z=1", "z=1 x=1 x!=2", "z=1 x/y/w=2", "", "x/y/w"},
		{"all removed", "a=1 b=2", "a=1", "b=2", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, conflicts := mergeManifests(manifestOf(tt.base), manifestOf(tt.our), manifestOf(tt.their))
			if c := strings.Join(conflicts, " "); c != tt.conflicts {
				t.Fatalf("conflicts %q, want %q", c, tt.conflicts)
			}
			if tt.conflicts == "" && !slices.Equal(got, manifestOf(tt.want)) {
				t.Errorf("got %v, want %v", got, manifestOf(tt.want))
			}
			_, mirrored := mergeManifests(manifestOf(tt.base), manifestOf(tt.their), manifestOf(tt.our))
			if !slices.Equal(conflicts, mirrored) {
				t.Errorf("the other way round conflicts are %v", mirrored)
			}
		})
	}
}
