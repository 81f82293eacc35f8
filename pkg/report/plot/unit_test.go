package plot

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func TestReadTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		comma      byte
		header     bool
		want       string
	}{
		{"plain", "a,b\n1,2\n3,4", ',', true, `[{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]`},
		{"quotes", "a,\"b \"\"c\"\"\"\n\"1\n2\",x\"y\"\n", ',', true, `[{"a": "1\n2", "b \"c\"": "x\"y\""}]`},
		{"after a quote", "a\n\"1\"2\"\n", ',', true, `[{"a": "12\""}]`},
		{"open quote", "a,b\n\"1,2\n", ',', true, `[{"a": "1,2\n", "b": null}]`},
		{"line ends", "a,b\r\n1,2\r3,4\n\n", ',', true, `[{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]`},
		{"short and long rows", "a,b\n1\n1,2,3,4\n", ',', true, `[{"a": "1", "b": null}, {"a": "1", "b": "2", "null": ["3", "4"]}]`},
		{"one name twice", "a,b,a\n1,2,3\n4,5\n", ',', true, `[{"a": "3", "b": "2"}, {"a": null, "b": "5"}]`},
		{"tabs", "a\tb\n1,5\t2\n", '\t', true, `[{"a": "1,5", "b": "2"}]`},
		{"no header", "1,2\n3,4\n", ',', false, `[{"0": "1", "1": "2"}, {"0": "3", "1": "4"}]`},
		{"no header, tabs: the names are counted by commas", "1\t2\n", '\t', false, `[{"0": "1", "null": ["2"]}]`},
		{"a blank first line", "\n1,2\n", ',', true, `[{"null": ["1", "2"]}]`},
		{"empty", "", ',', true, `[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := readTable(c.text, c.comma, c.header)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(AppendJSON(nil, Data{p})); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if _, err := readTable("a\n"+strings.Repeat("x", maxField+1), ',', true); err == nil || err.Error() != "field larger than field limit (131072)" {
		t.Errorf("a field without end: %v", err)
	}
}

func TestNiceScale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lo, hi float64
		n      int
		tight  bool
		want   string
	}{
		{"unit", 0, 1, 5, true, "0 0.2 0.4 0.6 0.8 1.0"},
		{"loose", 0.03, 0.97, 4, false, "0 0.25 0.50 0.75 1.00"},
		{"negative", -3.2, 7, 5, false, "-5.0 -2.5 0 2.5 5.0 7.5"},
		{"one value", 5, 5, 4, true, "2 4 6 8"},
		{"zero", 0, 0, 4, true, "-1.0 -0.5 0 0.5 1.0"},
		{"large", 0, 3e7, 3, true, "0 1e7 2e7 3e7"},
		{"small", 0, 3e-6, 3, true, "0 1e-6 2e-6 3e-6"},
		{"swapped", 1, 0, 2, true, "0 0.5 1.0"},
		{"too close to tell", 1e16, 1e16 + 2, 5, true, "1e+16 1e+16"},
		{"extremes", -1e300, 1e300, 2, true, "-1e300 0 1e300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := niceScale(c.lo, c.hi, c.n, c.tight)
			var got []string
			for _, tick := range s.ticks {
				got = append(got, tick.text)
				if slack := 1e-9 * math.Max(math.Abs(s.lo), math.Abs(s.hi)); tick.at < s.lo-slack || tick.at > s.hi+slack {
					t.Errorf("tick %v is not in %v to %v", tick.at, s.lo, s.hi)
				}
			}
			if !(s.hi > s.lo) {
				t.Errorf("from %v to %v", s.lo, s.hi)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

func TestThin(t *testing.T) {
	t.Parallel()
	x, y := make([]float64, 1000), make([]float64, 1000)
	for i := range x {
		x[i] = float64(i)
	}
	y[321], y[700] = 5, -5
	rows := thin(x, y, 50)
	if len(rows) != 50 || rows[0] != 0 || rows[49] != 999 {
		t.Fatalf("%d rows, %v", len(rows), rows)
	}
	found := 0
	for k, i := range rows {
		if k > 0 && i <= rows[k-1] {
			t.Errorf("row %d after %d", i, rows[k-1])
		}
		if y[i] != 0 {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 peaks are left", found)
	}
	for _, n := range []int{0, 1, 2, 3, 999, 1000, 2000} {
		if got := len(thin(x, y, n)); n >= 3 && n <= 1000 && got != n || (n < 3 || n > 1000) && got != 1000 {
			t.Errorf("thin to %d: %d", n, got)
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	content := yamlfmt.NewMap("a", "<DVC_METRIC_X>", "b", "on <DVC_METRIC_X>", "c", []any{"<DVC_METRIC_X>", "on <DVC_METRIC_X>", yamlfmt.NewMap("d", "<DVC_METRIC_X>")})
	got := string(AppendJSON(nil, fill(content, anchor("x"), "loss")))
	want := `{"a": "loss", "b": "on loss", "c": ["loss", "on <DVC_METRIC_X>", {"d": "loss"}]}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What is no text is put only where the anchor stands alone.
	got = string(AppendJSON(nil, fill(content, anchor("x"), int64(3))))
	want = `{"a": 3, "b": "on <DVC_METRIC_X>", "c": [3, "on <DVC_METRIC_X>", {"d": 3}]}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := string(AppendJSON(nil, content)); strings.Contains(s, "loss") {
		t.Errorf("the template has changed: %s", s)
	}
}

// TestSpecTwice: a plot can be shown in several ways, one after the other.
func TestSpecTwice(t *testing.T) {
	t.Parallel()
	p := samples(t)["line"]
	first, _, err := p.Spec(false)
	if err != nil {
		t.Fatal(err)
	}
	text := string(AppendJSON(nil, first))
	if _, anchors, err := p.Spec(true); err != nil || !anchors.Has("<DVC_METRIC_DATA>") || !anchors.Has("<DVC_METRIC_STROKE_DASH>") {
		t.Fatalf("%v %v", err, anchors.Keys())
	}
	again, _, err := p.Spec(false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(AppendJSON(nil, again))); diff != "" {
		t.Error(diff)
	}
}
