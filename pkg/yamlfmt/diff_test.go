package yamlfmt

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python runs testdata/oracle.py with the Python beside the real DVC, which
// answers each line with a line.
type python struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func startPython(t *testing.T) *python {
	t.Helper()
	dvc := os.Getenv("CAIRN_DVC")
	if dvc == "" {
		t.Skip("CAIRN_DVC does not name a DVC to compare with")
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(dvc), "python"), "testdata/oracle.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &python{t, in, bufio.NewReaderSize(out, 1<<20)}
}

type answer struct {
	Err   string
	Value string // repr
	JSON  string
	Text  string
}

// ask sends a command and its texts.
func (p *python) ask(verb string, texts ...string) answer {
	p.t.Helper()
	req := map[string]any{"verb": verb}
	var enc []string
	for _, s := range texts {
		enc = append(enc, base64.StdEncoding.EncodeToString([]byte(s)))
	}
	req["texts"] = enc
	line, _ := json.Marshal(req)
	if _, err := fmt.Fprintf(p.in, "%s\n", line); err != nil {
		p.t.Fatal(err)
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(reply, &a); err != nil {
		p.t.Fatalf("%s: %v", reply, err)
	}
	return a
}

// scalarTexts are plain scalars whose type is not obvious.
var scalarTexts = strings.Fields(`yes no on off y n Y N true True TRUE tRue false null Null NULL nUll ~ 1 0 -1 +1 017 0o17 0x1F 0x1f 0X1f 0b11 0b12
	1_000 1_ _1 -_ -_1 1:30 1:30:20 190:20:30.15 1e5 1e-5 1E5 1.5e5 1.5e+5 .5 .5e5 .5e+5 -.5 +.5 1. -1. 1_0.5 1.e5 1.0e 1e 1e+ . .. ... -.. .inf .Inf
	.INF -.inf +.inf .nan .NaN .NAN -.nan .iNF 2020-01-01 2020-1-1 2020-01-01T10:00:00 2020-01-01T10:00:00Z 2020-1-1T1:00:00+02:30 2020-01-01t10:00:00.123456789
	2020-01-01T10:00:00.9999999 2020-13-01 2020-02-30 2020-01-01T25:00:00 2020-01-01T10:00:00-5 == a=b << <<< 1.2.3 08 09 00 007 -017 0o8 0o
	0x 0b 0x_ 1e400 -1e400 123456789012345678901234567890 0x123456789abcdef123456789 - + -a +a a-b 1-2 9223372036854775807 9223372036854775808 -9223372036854775808 0.1
	1.50 1e16 1e15 123456789.123456789 1e-4 1e-5 0.0001 0.00001 -0.0 0e0 +0 ._ ._1 1._ 0_8 inf nan NaN Infinity a:b a#b`)

func TestScalarsAgainstRuamel(t *testing.T) {
	p := startPython(t)
	texts := append([]string{"2020-01-01 10:00:00", "2020-01-01 10:00:00 +1", "2020-01-01\t10:00:00.5 Z", ""}, scalarTexts...)
	r := rand.New(rand.NewPCG(1, 2))
	const chars = "0123456789__..--++eEoxbaf:TZ "
	for range 3000 {
		var b strings.Builder
		for range 1 + r.IntN(8) {
			b.WriteByte(chars[r.IntN(len(chars))])
		}
		texts = append(texts, b.String())
	}
	for _, s := range texts {
		compareParse(t, p, "k: "+s+"\n")
	}
}

func compareParse(t *testing.T, p *python, text string) {
	t.Helper()
	want := p.ask("load", text)
	d, err := Parse([]byte(text))
	if (err != nil) != (want.Err != "") {
		t.Errorf("%q\n got error %v\nwant error %v (%s)", text, err, want.Err, want.Value)
		return
	}
	if err != nil {
		return
	}
	if got := PyRepr(d.Value()); got != want.Value {
		t.Errorf("%q\n got %s\nwant %s", text, got, want.Value)
	}
	if want.JSON != "" {
		if got := string(JSON(d.Value(), true)); got != want.JSON {
			t.Errorf("%q\n got JSON %s\nwant JSON %s", text, got, want.JSON)
		}
	}
}

// genText writes a random text, mostly YAML, over few letters so that all
// rules meet.
func genText(r *rand.Rand) string {
	var b strings.Builder
	n := 1 + r.IntN(12)
	pieces := []string{"a", "b", "key", ": ", ":", "- ", "-", "\n", "\n", "\n", "  ", " ", "    ", "# c", " # c d", "[", "]", "{", "}", ", ", ",",
		"'", "\"", "'q'", "\"d\"", "''", "|", ">", "|-", "|+", ">-", "|2", "&x ", "*x", "*x ", "<<: *x", "? ", "!!str ", "!!int ", "!", "1", "1.5", "true", "null",
		"~", "---\n", "...", "\\", "\t", "é", "\u2028", "\u0085", "%", "@", "\n\n", "word word", "<<", "=", "\n  ", "\n- ", "\na: ", "\nb: "}
	for range n {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func TestParseAgainstRuamel(t *testing.T) {
	p := startPython(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		compareParse(t, p, genText(r))
		if t.Failed() && testing.Short() {
			return
		}
	}
}
