package plot

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// FuzzTable: whatever a table holds, its columns are as long as it says.
func FuzzTable(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,a\n1,2,3\n4\n", "\"a\"\"b\",c\r\n\"x\ny\",\"", "\n\n,\n", "a\tb\n1\t2"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, header bool) {
		for _, comma := range []byte{',', '\t'} {
			p, err := readTable(text, comma, header)
			if err != nil {
				continue
			}
			for i := range p.Cols {
				c := &p.Cols[i]
				if n := max(len(c.texts), len(c.vals)); n != p.N {
					t.Fatalf("column %q has %d of %d values", c.Name, n, p.N)
				}
			}
		}
	})
}

// FuzzPlot: no definition and no file brings anything down, drawings are XML
// that runs nothing, and what stands in a script element cannot end it.
func FuzzPlot(f *testing.F) {
	f.Add("f.csv: {x: a, y: [b, c]}", "f.csv", "a,b,c\n1,2,3\n4,5,6\n", uint8(0))
	f.Add("p: {x: {f.json: a}, y: {f.json: [b], g: c}}", "f.json", `{"l": [{"a": 1, "b": "x"}, {"a": NaN}]}`, uint8(2))
	f.Add("f.yaml: {y: b, title: \"</script>\"}", "f.yaml", "- {a: 1, b: 1e308}\n- {a: 2, b: -1e308}\n", uint8(7))
	f.Add("f.json: {x_label: 5, y: {f.json: {}}}", "f.json", `[{"a": [], "b": {"c": 1}}]`, uint8(5))
	f.Fuzz(func(t *testing.T, defs, file, text string, template uint8) {
		d, err := yamlfmt.Parse([]byte(defs))
		if err != nil {
			return
		}
		m, _ := d.Value().(*yamlfmt.Map)
		var revs []Revision
		for _, name := range []string{"workspace", "v1"} {
			revs = append(revs, Revision{Name: name, Configs: []Config{{File: "dvc.yaml", Plots: m}}, Sources: map[string]Source{file: ReadSource(file, []byte(text), true)}})
		}
		name := TemplateNames()[int(template)%len(TemplateNames())]
		plots, err := Build(revs, func(string) (*Template, error) { return builtIn(name) })
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plots {
			var b bytes.Buffer
			if err := p.SVG(&b, SVGOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := p.Text(&b, TextOptions{Colour: true, Pictures: HalfBlocks}); err != nil {
				t.Fatal(err)
			}
			b.Reset()
			if err := p.SVG(&b, SVGOptions{Width: 200, Height: 100}); err != nil {
				t.Fatal(err)
			}
			checkXML(t, b.Bytes())
			content, _, err := p.Spec(false)
			if err != nil || content == nil {
				continue
			}
			text := scriptJSON(content)
			if !json.Valid(text) || bytes.ContainsAny(text, "<>&") {
				t.Fatalf("%q", text)
			}
		}
	})
}
