package report

import (
	"bytes"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	t.Parallel()
	metrics := Table{
		Headers: []string{"Path", "acc", "n.l"},
		Rows:    [][]any{{"m.json", 0.5, nil}, {"längere/datei.json", 1, "x"}},
	}
	sizes := Table{
		Headers: []string{"size", "path"}, Align: []Align{Right},
		Rows: [][]any{{"1 B", "f"}, {"1000 B", "total"}},
	}
	tests := []struct {
		name  string
		table Table
		write func(*Table, io.Writer) error
		want  string
	}{
		// The first ones are what DVC's own table writer makes of the same.
		{"text", metrics, (*Table).WriteText,
			"Path                acc    n.l\nm.json              0.5    -\nlängere/datei.json  1      x\n"},
		{"text without headers", Table{Rows: [][]any{{"a", "b"}, {"ccc", "d"}}}, (*Table).WriteText, "a    b\nccc  d\n"},
		{"text, right", sizes, (*Table).WriteText, "  size  path\n   1 B  f\n1000 B  total\n"},
		{"text, wide characters", Table{Headers: []string{"k", "v"}, Rows: [][]any{{"日本", "x"}, {"a", "y"}}}, (*Table).WriteText,
			"k     v\n日本  x\na     y\n"},
		{"text, centre", Table{Headers: []string{"k", "vvvvv"}, Align: []Align{Left, Center}, Rows: [][]any{{"a", "m"}, {"b", "ccc"}}},
			(*Table).WriteText, "k     vvvvv\na       m\nb      ccc\n"},
		{"text, no rows", Table{Headers: []string{"k", "v"}}, (*Table).WriteText, "k    v\n"},
		{"text, nothing", Table{}, (*Table).WriteText, ""},
		{"markdown", metrics, (*Table).WriteMarkdown,
			"| Path               | acc   | n.l   |\n|--------------------|-------|-------|\n" +
				"| m.json             | 0.5   | -     |\n| längere/datei.json | 1     | x     |\n\n"},
		{"markdown, right", sizes, (*Table).WriteMarkdown,
			"|   size | path   |\n|--------|--------|\n|    1 B | f      |\n| 1000 B | total  |\n\n"},
		{"markdown, no rows", Table{Headers: []string{"k", "v"}}, (*Table).WriteMarkdown, "| k   | v   |\n|-----|-----|\n\n"},
		{"markdown, bar", Table{Headers: []string{"k"}, Rows: [][]any{{"a|b"}}}, (*Table).WriteMarkdown,
			"| k    |\n|------|\n| a\\|b |\n\n"},
		{"hostile name", Table{Rows: [][]any{{"a\nb\x1b[2J"}}}, (*Table).WriteText, `"a\nb\x1b[2J"` + "\n"},
		{"blanks cut", Table{Rows: [][]any{{"  a ", "b"}}}, (*Table).WriteText, "a  b\n"},
		{"blanks kept", Table{Rows: [][]any{{"  a", "b"}}, KeepSpace: true}, (*Table).WriteText, "  a  b\n"},
		{"csv", Table{Headers: []string{"a", "b", "c"}, Rows: [][]any{{"x,y", nil, 1.0}, {"q\"", true}}}, (*Table).WriteCSV,
			"a,b,c\r\n\"x,y\",,1.0\r\n\"q\"\"\",True,\r\n"},
		{"json", Table{Headers: []string{"b", "a"}, Rows: [][]any{{"é", nil}, {math.NaN(), 3}, {1e16, false}}}, (*Table).WriteJSON,
			`[{"b": "\u00e9", "a": null}, {"b": NaN, "a": 3}, {"b": 1e+16, "a": false}]` + "\n"},
		{"json, no rows", Table{Headers: []string{"b"}}, (*Table).WriteJSON, "[]\n"},
		{"html", Table{Headers: []string{"<k>", "v"}, Align: []Align{Left, Right}, Rows: [][]any{{"a&b", 1}}}, (*Table).WriteHTML,
			"<table>\n<thead>\n<tr><th>&lt;k&gt;</th><th style=\"text-align: right\">v</th></tr>\n</thead>\n<tbody>\n" +
				"<tr><td>a&amp;b</td><td style=\"text-align: right\">1</td></tr>\n</tbody>\n</table>\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := tt.write(&tt.table, &b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    any
		want string
	}{
		{nil, ""}, {true, "True"}, {false, "False"}, {1, "1"}, {int64(-3), "-3"}, {1.0, "1.0"}, {1e-05, "1e-05"},
		{math.NaN(), "nan"}, {math.Inf(1), "inf"}, {math.Inf(-1), "-inf"}, {"x", "x"},
	} {
		if got := Text(tt.v); got != tt.want {
			t.Errorf("Text(%v) = %q, want %q", tt.v, got, tt.want)
		}
	}
}
