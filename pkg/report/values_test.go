package report

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func load(t *testing.T, name, text string) any {
	t.Helper()
	v, err := pipeline.LoadParams(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"a.json", `{"a": 1, "b": [1], "c": null, "d": {"e": {}}, "f": {"g": "x", "h": [2]}, "i": false, "z": 0}`,
			"{'a': 1, 'f': {'g': 'x'}, 'i': False, 'z': 0}"},
		{"a.json", `[1, 2]`, "{}"},
		{"a.json", `0.5`, "0.5"},
		{"a.json", `""`, "{}"},
		{"a.json", `{"big": 123456789012345678901234567890, "nan": NaN, "inf": -Infinity}`,
			"{'big': 123456789012345678901234567890, 'nan': nan, 'inf': -inf}"},
		{"a.yaml", "when: 2020-01-01\nx: 1\n", "{'x': 1}"},
		{"a.toml", "when = 2020-01-01\nx = 1\n", "{'x': 1}"},
		{"a.py", "x = (1, 2)\ny = 3\n", "{'y': 3}"},
	} {
		if got := yamlfmt.PyRepr(Metrics(load(t, tt.name, tt.text))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	type row struct{ Key, Old, New, Diff string }
	show := func(v any) string { return yamlfmt.PyRepr(v) }
	for _, tt := range []struct {
		name, before, after string
		all                 bool
		want                []row
	}{
		{"numbers", `{"a": 1, "b": 2}`, `{"a": 1.0, "b": 2.5}`, false, []row{{"'b'", "2", "2.5", "0.5"}}},
		{"unchanged too", `{"a": 1}`, `{"a": true}`, true, []row{{"'a'", "1", "True", "0"}}},
		{"levels", `{"a": {"b": 1}}`, `{"a": {"b": 3, "c": "x"}}`, false, []row{{"'a.b'", "1", "3", "2"}, {"'a.c'", "None", "'x'", "None"}}},
		{"a level less", `{"a": {"b": 1}}`, `{"a": 1}`, false, []row{{"'a'", "None", "1", "None"}, {"'a.b'", "1", "None", "None"}}},
		{"texts", `{"a": "x"}`, `{"a": "y"}`, false, []row{{"'a'", "'x'", "'y'", "None"}}},
		{"lists", `{"a": [1, "x"]}`, `{"a": [2]}`, false, []row{{"'a'", `"[1, 'x']"`, "'[2]'", "None"}}},
		{"NaN is never the same", `{"a": NaN}`, `{"a": NaN}`, false, []row{{"'a'", "nan", "nan", "nan"}}},
		{"infinite", `{"a": Infinity}`, `{"a": Infinity}`, true, []row{{"'a'", "inf", "inf", "nan"}}},
		{"large", `{"a": 9223372036854775807}`, `{"a": -9223372036854775807}`, false,
			[]row{{"'a'", "9223372036854775807", "-9223372036854775807", "-18446744073709551614"}}},
		{"single values", `1`, `2`, false, []row{{"''", "1", "2", "1"}}},
		{"a single value is new", `{}`, `2`, false, nil},
		{"lists of one", `[1]`, `[1.5]`, false, []row{{"''", "1", "1.5", "0.5"}}},
		{"lists of more", `[1, 2]`, `[1, 3]`, false, []row{{"''", "[1, 2]", "[1, 3]", "None"}}},
		{"no mapping on one side", `{"a": 1}`, `[1, 2]`, false, []row{{"'a'", "1", "'unable to parse'", "None"}}},
		{"empty on one side", `{"a": 1}`, `{}`, false, []row{{"'a'", "1", "None", "None"}}},
		{"empty on both", `{}`, `{}`, true, nil},
	} {
		var got []row
		for _, c := range Compare(load(t, "a.json", tt.before), load(t, "a.json", tt.after), tt.all) {
			got = append(got, row{show(c.Key), show(c.Old), show(c.New), show(c.Diff)})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
	keys := Compare(nil, load(t, "a.yaml", "10: a\n3: b\nx: c\ntrue: d\n"), false)
	var order []string
	for _, c := range keys {
		order = append(order, show(c.Key))
	}
	if diff := cmp.Diff([]string{"True", "3", "10", "'x'"}, order); diff != "" {
		t.Errorf("keys of other types: -want +got:\n%s", diff)
	}
}

// TestRounded has what Python's round and str make of the same.
func TestRounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v      any
		digits int
		want   string
	}{
		{0.123456789, 5, "0.12346"}, {2.5, 0, "2.5"}, {0.5, 5, "0.5"}, {1.0, 5, "1.0"}, {2.675, 2, "2.67"}, {0.125, 2, "0.12"}, {0.375, 2, "0.38"},
		{1e-7, 5, "0.0"}, {-1e-7, 5, "-0.0"}, {1e22, 5, "1e+22"}, {1234.5, -2, "1200.0"}, {1250.0, -2, "1200.0"}, {-1350.0, -2, "-1400.0"}, {5.0, -400, "0.0"}, {0.1, 400, "0.1"},
		{math.NaN(), 5, "nan"}, {math.Inf(-1), 5, "-inf"}, {true, 5, "True"}, {int64(123456), -2, "123456"}, {"0.123456789", 5, "0.123456789"},
	} {
		if got := Rounded(tt.v, tt.digits); got != tt.want {
			t.Errorf("Rounded(%v, %d) = %s, want %s", tt.v, tt.digits, got, tt.want)
		}
	}
}

func TestMetricsTable(t *testing.T) {
	t.Parallel()
	revs := []RevisionValues{
		{Label: "workspace", Files: []FileValues{{Path: "a.json", Values: load(t, "a.json", `{"z": 1, "a": {"b": 0.123456}}`)}, {Path: "x", Err: errTest}}},
		{Label: "main", Files: []FileValues{{Path: "n", Values: 2.0}}},
		{Label: "broken", Err: errTest},
	}
	var b bytes.Buffer
	if err := MetricsTable(revs, true, 5).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := "Revision    Path         a.b      z\nworkspace   a.json  -    0.12346  1\nworkspace   x       -    -        -\nmain        n       2.0  -        -\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i, want := range []bool{true, false, true} {
		if got := revs[i].Unread(); got != want {
			t.Errorf("%s unread: %v", revs[i].Label, got)
		}
	}
}

type testError struct{}

func (testError) Error() string { return "test" }

var errTest = testError{}
