package yamlfmt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	merges := "m0: &m0 {k: 1}\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9))
		merges += fmt.Sprintf("m%d: &m%d\n  <<: [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*m%d, ", i-1), 9))
	}
	for name, text := range map[string]string{
		"alias bomb":       bomb,
		"merge bomb":       merges,
		"alias of itself":  "a: &a [*a]\n",
		"merge of itself":  "a: &a\n  <<: *a\n",
		"deep flow":        strings.Repeat("[", 200000),
		"deep block":       strings.Repeat("- ", 200000),
		"deep maps":        deepMaps(5000),
		"deep keys":        strings.Repeat("? ", 100000),
		"too large":        strings.Repeat("a", MaxSize+1),
		"duplicate key":    "a: 1\nb: 2\na: 3\n",
		"duplicate number": "1: a\n1.0: b\n",
		"conflict":         "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other\n",
		"binary":           "\x00\x01\x02",
		"control":          "a: \x1b[31m\n",
		"invalid UTF-8":    "a: \xff\xfe\n",
		"UTF-16":           "\xff\xfea\x00:\x00",
		"half a quote":     "a: 'b\n",
		"half a list":      "a: [1, 2\n",
		"tab":              "a:\n\tb: 1\n",
		"long number":      "a: " + strings.Repeat("9", 1<<20) + "\n",
		"long key":         strings.Repeat("k", 1<<20) + ": 1\n",
		"unknown tag":      "a: !!python/object:os.system x\n",
		"two documents":    "a: 1\n---\nb: 2\n",
	} {
		_, err := Parse([]byte(text))
		se, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%s: error is %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
			t.Errorf("%s: not a short line: %.2000q", name, err)
		}
		if name != "too large" && se.Line == 0 && se.ContextLine == 0 {
			t.Errorf("%s: no line in %v", name, err)
		}
	}
}

func deepMaps(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestParseLargeTexts(t *testing.T) {
	t.Parallel()
	// Each would be slow if its time grew with the square of its length.
	for name, text := range map[string]string{
		"long line":    "a: " + strings.Repeat("é ", 1<<19),
		"many keys":    manyKeys(100000),
		"many lines":   "a: |\n" + strings.Repeat("  x\n", 200000),
		"many blanks":  "a: x" + strings.Repeat("\n", 1<<20) + "b: y\n",
		"many comment": strings.Repeat("# c\n", 200000) + "a: 1\n",
		"flow list":    "a: [" + strings.Repeat("x, ", 200000) + "]\n",
		"quoted":       `a: "` + strings.Repeat("x ", 1<<19) + "\"\n",
		"questions":    "a: [" + strings.Repeat("? b, ", 50000) + "]\n",
	} {
		d, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(text) < 1<<22 {
			d.Update(d.Value())
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: value\n", i)
	}
	return b.String()
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old string
		value     any
		want      string
	}{
		{"comments and order", "# head\nb: 'x' # b\n# a is next\na: [1, 2]\n", NewMap("a", []any{int64(1), int64(2)}, "b", "x"), "# head\nb: x   # b\n# a is next\na: [1, 2]\n"},
		{"new key at the end", "b: 1 # one\n", NewMap("a", int64(2), "b", int64(1)), "b: 1 # one\na: 2\n"},
		{"removed key", "a: 1 # one\nb: 2\n", NewMap("b", int64(2)), "b: 2\n"},
		{"numbers keep their spelling", "a: 1e-5\nb: 1.50\nc: 0x10\nd: 1_000\n", NewMap("a", 1e-5, "b", 1.5, "c", int64(16), "d", int64(1000)), "a: 1e-5\nb: 1.50\nc: 0x10\nd: 1_000\n"},
		{"dashes lose their indent", "a:\n  - x\n  - y\n", NewMap("a", []any{"x", "y"}), "a:\n- x\n- y\n"},
		{"list of other length", "a:\n- x # one\n- y\n", NewMap("a", []any{"y"}), "a:\n- y\n"},
		{"anchors", "a: &x\n  k: 1\nb: *x\nc:\n  <<: *x\n  l: 2\n", NewMap("a", NewMap("k", int64(1)), "b", NewMap("k", int64(1)), "c", NewMap("k", int64(1), "l", int64(2)), "d", true),
			"a: &x\n  k: 1\nb: *x\nc:\n  <<: *x\n  l: 2\nd: true\n"},
		{"other kind", "- a\n", NewMap("a", int64(1)), "a: 1\n"},
	} {
		d, err := Parse([]byte(c.old))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(d.Update(c.value)); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestPos(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte("outs:\n- md5: x\n  path: p\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := d.Pos(false, "outs", 0, "path"); !ok || p != (Pos{3, 9}) {
		t.Errorf("value at %v, %v", p, ok)
	}
	if p, ok := d.KeyPos("outs", 0, "path"); !ok || p != (Pos{3, 3}) {
		t.Errorf("key at %v, %v", p, ok)
	}
	if _, ok := d.Pos(true, "outs", 0, "path"); ok {
		t.Error("a scalar is taken for a collection")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"outs:\n- md5: x\n  path: p # c\n", "a: &x {b: [1, 2.5, ~]}\nc: *x\nd: {<<: *x}\n", "? |\n  a\n: >-\n  b\n  c\n", "--- 'a'\n...\n", "\"\\u00e9\\\n  x\": 1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse([]byte(text))
		if err != nil {
			return
		}
		v := d.Value()
		d.Update(v)
		JSON(v, true)
		out := Marshal(v)
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, out, err)
		}
		if !Equal(back.Value(), v) && !bytes.Contains(out, []byte(".nan")) {
			t.Fatalf("%q is written as %q, read back as %s", text, out, PyRepr(back.Value()))
		}
	})
}

func benchText(stages int) string {
	var b strings.Builder
	b.WriteString("schema: '2.0'\nstages:\n")
	for i := range stages {
		fmt.Fprintf(&b, "  stage%d:\n    cmd: python train.py --n %d\n    deps:\n    - path: data/in%d\n      hash: md5\n      md5: d3b07384d113edec49eaa6238ad5ff00\n      size: 1234\n    params:\n      params.yaml:\n        lr: 0.1\n    outs:\n    - path: model%d\n      hash: md5\n      md5: d3b07384d113edec49eaa6238ad5ff00.dir\n      size: 1234\n      nfiles: 10\n", i, i, i, i)
	}
	return b.String()
}

func BenchmarkParseLock(b *testing.B) {
	text := []byte(benchText(3000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePointer(b *testing.B) {
	text := []byte("outs:\n- md5: d3b07384d113edec49eaa6238ad5ff00\n  size: 1234\n  hash: md5\n  path: some/file.bin\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdateLock(b *testing.B) {
	d, err := Parse([]byte(benchText(3000)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Update(d.Value())
	}
}
