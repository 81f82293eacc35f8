package pipeline

import (
	"testing"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// TestSearchParams has what DVC's own library finds.
func TestSearchParams(t *testing.T) {
	t.Parallel()
	doc, err := LoadParams("p.json", []byte(`{"train": {"lr": 1, "e": 2}, "lst": [1, {"a": "x"}, "s", null, true, 1.5],
		"nest": [[1, 2], [3, {"e": 5}]], "n": {"1": "one"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		keys []string
		want string
	}{
		{[]string{"lst.1"}, "{'lst': [None, {'a': 'x'}]}"},
		{[]string{"lst.1.a"}, "{'lst': [None, {'a': 'x'}]}"},
		{[]string{"lst.4"}, "{'lst': [None, None, None, None, True]}"},
		{[]string{"lst.4", "lst.1"}, "{'lst': [None, None, None, None, True, None, {'a': 'x'}]}"},
		{[]string{"lst.*"}, "{'lst': [1, {'a': 'x'}, 's', None, True, 1.5]}"},
		{[]string{"train.l?", "train.e", "train.e"}, "{'train': {'lr': 1, 'e': 2}}"},
		{[]string{"**.e"}, "{'train': {'e': 2}, 'nest': [None, [None, {'e': 5}]]}"},
		{[]string{"nest.1.1"}, "{'nest': [None, [None, {'e': 5}]]}"},
		{[]string{"nest.0.1", "nest.1"}, "{'nest': [[None, 2], None, [3, {'e': 5}]]}"},
		{[]string{"nest.*.1"}, "{'nest': [[None, 2], [None, {'e': 5}]]}"},
		{[]string{"train.*"}, "{'train': {'lr': 1, 'e': 2}}"},
		{[]string{"lst.0", "lst"}, "{'lst': [1, 1, {'a': 'x'}, 's', None, True, 1.5]}"},
		{[]string{"n.1"}, "{'n': {'1': 'one'}}"},
		{[]string{"x.y", "train.lr.z"}, "{}"},
	} {
		if got := yamlfmt.PyRepr(SearchParams(doc, tt.keys)); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.keys, got, tt.want)
		}
	}
	if got := yamlfmt.PyRepr(doc); got[:20] != "{'train': {'lr': 1, " {
		t.Errorf("the file was changed: %s", got)
	}
}
