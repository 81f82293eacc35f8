//go:build unix

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// scalars are texts of which YAML's versions and libraries make different things.
var scalars = []string{
	"017", "08", "00", "-017", "0o17", "0x1F", "0xg", "0b101", "1_000", "1__0", "0_7", "+1", "-0", "123456789012345678901234567890",
	".5", "5.", "1.50", "1e5", "1E5", "1e-5", "1e+5", "-1e+3", "1.5e3", "1.5e300", "1e400", "0.1e1", "1e5.0", "1.5.3", "1_0.5", "100000000000000000000.0", "1e16", "0.00001",
	".inf", "-.INF", "+.inf", "inf", ".NaN", "nan", "~", "null", "Null", "NULL", "nul", "true", "True", "TRUE", "tRUE", "false", "yes", "No", "ON", "off", "y", "n",
	"1:30", "12:30:45", "1:2:3.5", "'017'", `"1e-5"`, "a: b", "=", "'#'", "é", "\"\\u00e9\"", "1,5", "-", "'- '", "?x", "[1, 017, yes]", "{a: 1e-5, b: 0o7}", "!!str 017", "!!float 1", "!!int 7",
	"''", "|\n  text\n  more\n", ">-\n  folded\n  text\n",
}

// dates may stand in a file of parameters, but in none that templates use.
var dates = []string{"2020-01-01", "2020-1-1", "2020-01-01T00:00:00Z", "2020-01-01 10:11:12.5", "2020-01-01T10:00:00+02:00", "2020-13-01", "20200101", "1999-12-31t23:59:59"}

// scalarCase is a file with one value, and what both tools make of it.
type scalarCase struct {
	name   string
	files  []step
	isDate bool
}

// What the loader makes of a scalar ends in dvc.lock, as a parameter or in a command.
func TestScalarsAsDVC(t *testing.T) {
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	t.Parallel()
	var cases []scalarCase
	for i, v := range append(append([]string(nil), scalars...), dates...) {
		if v == "a: b" {
			continue // no value of a key
		}
		indented := strings.ReplaceAll(v, "\n", "\n  ")
		cases = append(cases, scalarCase{name: fmt.Sprintf("parameter %q", v), isDate: i >= len(scalars), files: steps(
			write("other.yaml", "k: "+v+"\nl:\n- "+indented+"\n"),
			write("dvc.yaml", "stages:\n  s:\n    cmd: echo > out\n    params:\n    - other.yaml: [k, l]\n    outs: [out]\n"))})
		if i < len(scalars) && !strings.ContainsAny(v, "[{\n") {
			cases = append(cases, scalarCase{name: fmt.Sprintf("value %q", v), files: steps(write("params.yaml", "k: "+v+"\n"), rm("other.yaml"),
				write("dvc.yaml", "vars:\n- own:\n    v: "+v+"\nstages:\n  s:\n    cmd: echo '${k}' '${own.v}' > out\n    outs: [out]\n    meta: {m: "+v+"}\n"))})
		}
	}
	real := &player{sandbox: newSandbox(t, dvcTool, "dvc"), server: newForkServer(t)}
	ours := &player{sandbox: newSandbox(t, cairnTool, "cairn")}
	for _, p := range []*player{real, ours} {
		git("init", "-q").do(p.sandbox)
		p.run("", []string{"init", "-q"})
	}
	for _, c := range cases {
		var out [2]output
		var lock [2]string
		for i, p := range []*player{real, ours} {
			for _, st := range steps(rm("dvc.lock", "params.yaml", "out"), c.files) {
				st.do(p.sandbox)
			}
			out[i] = p.run("", []string{"repro", "-q"})
			lock[i] = p.entryOf("dvc.lock")
		}
		if c.isDate && out[0].Exit == 255 && out[1].Exit == 0 && strings.Contains(lock[1], "k: ") {
			continue // DVC cannot make the key of its run cache of a date; cairn records it
		}
		if out[0].Exit != out[1].Exit || lock[0] != lock[1] {
			t.Errorf("%s:\nDVC, exit %d: %s%s\ncairn, exit %d: %s%s", c.name, out[0].Exit, lock[0], out[0].Stderr, out[1].Exit, lock[1], out[1].Stderr)
		}
	}
}

// entryOf is what a snapshot says of a file; "" if it is not there.
func (s *sandbox) entryOf(name string) string { return s.snap()["w/"+name] }
