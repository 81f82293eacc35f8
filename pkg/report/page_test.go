package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdownCode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": "", "a b": "`a b`", "a`b": "``a`b``", "``": "``` `` ```", "`a": "`` `a ``", " a ": "`  a  `", "<b>*_[x](y)": "`<b>*_[x](y)`",
	} {
		if got := MarkdownCode(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestCellCode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a|b": "`a\\|b`", "|": "`\\|`", `a\b`: "`a\\b`", `\|<i>`: "<code>&#92;&#124;&#60;i&#62;</code>", `ä\\|`: "<code>ä&#92;&#92;&#124;</code>",
	} {
		if got := cellCode(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// hostile is a name that would do harm wherever it is taken for markup.
const hostile = "`|<script>alert(1)</script>\n# x ![i](http://e)" + "\x1b[2J```"

func hostilePage() *Page {
	table := &Table{Headers: []string{"Path", "What"}}
	table.Add(Code(hostile), Rich{"changed ", Code(hostile)})
	return &Page{
		Title: Rich{Code(hostile)}, Intro: []Rich{{"Since ", Code(hostile), "."}},
		Sections: []Section{
			{Title: "Data", Words: []Rich{{"1 < 2"}}, Table: table, Items: []Rich{{Code(hostile), ": no"}}},
			{Title: "Plots", Figures: []Figure{
				{Title: Rich{Code(hostile)}, Link: "a b_plots/x#.svg", SVG: []byte("<?xml version=\"1.0\"?>\n<svg></svg>\n")},
				{Title: Rich{Code("y")}, Text: "\n```\n# not a title\n"},
			}},
		},
	}
}

func TestPageMarkdown(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := hostilePage().WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	const shown = "```` \"`|<script>alert(1)</script>\\n# x ![i](http://e)\\x1b[2J```\" ````"
	got := strings.ReplaceAll(b.String(), MarkdownCode(`"`+"`|<script>alert(1)</script>"+`\n# x ![i](http://e)\x1b[2J`+"```\""), "NAME")
	got = strings.ReplaceAll(got, escapeBar(MarkdownCode(`"`+"`|<script>alert(1)</script>"+`\n# x ![i](http://e)\x1b[2J`+"```\"")), "NAME")
	if strings.Contains(got, "script") {
		t.Errorf("a name is not in backquotes, as %s:\n%s", shown, got)
	}
	if diff := cmp.Diff([]string{"# NAME", "## Data", "## Plots"}, regexp.MustCompile(`(?m)^#.*`).FindAllString(strings.ReplaceAll(got, "# not a title", ""), -1)); diff != "" {
		t.Errorf("titles: -want +got:\n%s", diff)
	}
	for _, want := range []string{
		"Since NAME.", "- NAME: no", "![plot](a%20b_plots/x%23.svg)", "````text\n```\n# not a title\n````\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q:\n%s", want, got)
		}
	}
}

func TestPageHTML(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := hostilePage().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if strings.Contains(got, "<script") || strings.Contains(got, "<img") || strings.Contains(got, "\x1b") || strings.Contains(got, "<?xml") {
		t.Errorf("what was named became markup:\n%s", got)
	}
	for _, want := range []string{"<figure>\n<svg></svg>\n<figcaption>", "<p>1 &lt; 2</p>", "default-src 'none'", "changed <code>"} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "&lt;script&gt;"); n != 7 {
		t.Errorf("the name is shown %d times, want 7", n)
	}
}
