package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// rev is a revision with definitions as YAML and files by name.
func rev(t *testing.T, name, defs string, files map[string]string) Revision {
	t.Helper()
	d, err := yamlfmt.Parse([]byte(defs))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := d.Value().(*yamlfmt.Map)
	r := Revision{Name: name, Configs: []Config{{File: "dvc.yaml", Plots: m}}, Sources: map[string]Source{}}
	for file, text := range files {
		r.Sources[file] = ReadSource(file, []byte(text), true)
	}
	return r
}

func builtIn(name string) (*Template, error) {
	if t, ok := BuiltIn(name); ok {
		return t, nil
	}
	return nil, NotFound(name)
}

func mustBuild(t *testing.T, revs ...Revision) []*Plot {
	t.Helper()
	plots, err := Build(revs, builtIn)
	if err != nil {
		t.Fatal(err)
	}
	return plots
}

func decay(k float64, n int) string {
	var b strings.Builder
	b.WriteString("epoch,train,val\n")
	for i := range n {
		v := math.Exp(-float64(i) / k)
		fmt.Fprintf(&b, "%d,%.4f,%.4f\n", i, v, v+0.05)
	}
	return b.String()
}

// samples are plots of every kind.
func samples(t *testing.T) map[string]*Plot {
	t.Helper()
	one := func(defs, file string, texts ...string) *Plot {
		var revs []Revision
		for i, text := range texts {
			revs = append(revs, rev(t, []string{"workspace", "main", "v1.0"}[i], defs, map[string]string{file: text}))
		}
		return mustBuild(t, revs...)[0]
	}
	var cloud strings.Builder
	cloud.WriteString("x,y\n")
	for i := range 60 {
		fmt.Fprintf(&cloud, "%.3f,%.0f\n", math.Sin(float64(i*i)), math.Cos(float64(i)/3)*1e7)
	}
	return map[string]*Plot{
		"line":      one("l.csv: {x: epoch, y: [train, val], title: \"Loss & <b>bold</b>\"}", "l.csv", decay(8, 12), decay(12, 12)),
		"single":    one("l.json: {}", "l.json", `[{"loss": 0.5}, {"loss": 0.25}, {"loss": 0.125}]`),
		"scatter":   one("s.csv: {x: x, y: y, template: scatter}", "s.csv", cloud.String()),
		"bars":      one("b.csv: {x: importance, y: feature, template: bar_horizontal_sorted}", "b.csv", "feature,importance\nage,0.4\nincome,0.7\nzip,-0.1\n", "feature,importance\nage,0.5\nincome,0.6\nzip,0.2\n"),
		"confusion": one("c.csv: {x: actual, y: predicted, template: confusion}", "c.csv", "actual,predicted\ncat,cat\ncat,dog\ndog,dog\ndog,dog\nbird,cat\n", "actual,predicted\ncat,cat\ndog,dog\n"),
		"shares":    one("c.csv: {x: actual, y: predicted, template: confusion_normalized}", "c.csv", "actual,predicted\n0,0\n0,1\n1,1\n1,1\n10,1\n2,10\n"),
		"words":     one("w.csv: {x: month, y: v}", "w.csv", "month,v\nJan,1\nFeb,3\nMar,2\n"),
		"empty":     one("e.csv: {}", "e.csv", "a,b\n"),
		"hostile":   one("h.csv: {x: \"</text><script>alert(1)</script>\", y: v}", "h.csv", "</text><script>alert(1)</script>,v\n1,2\n2,nan\n3,inf\n4,-1e-9\n"),
		"image":     one("i.png: {}", "i.png", "\x89PNG\r\n\x1a\nno real picture"),
	}
}

func TestSVG(t *testing.T) {
	t.Parallel()
	for name, p := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := p.SVG(&b, SVGOptions{}); err != nil {
				t.Fatal(err)
			}
			checkXML(t, b.Bytes())
			golden(t, name+".svg", b.Bytes())
		})
	}
}

// checkXML fails for a drawing that is no XML, or that could run something.
func checkXML(t *testing.T, text []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if el.Name.Local == "script" || el.Name.Local == "foreignObject" {
			t.Errorf("a drawing with a %s", el.Name.Local)
		}
		for _, a := range el.Attr {
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s of %s is %q", a.Name.Local, el.Name.Local, a.Value)
			}
		}
	}
}
