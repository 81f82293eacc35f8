package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	commandLine "flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

var record = commandLine.Bool("record", false, "ask the DVC that CAIRN_DVC names, and record its answers")

// dvcCase is a text, and what DVC 3.67.1 makes of it.
type dvcCase struct {
	Name    string `json:"name"`
	File    string `json:"file,omitempty"`
	Text    string `json:"text"`
	Entries string `json:"entries,omitempty"`
	Fresh   string `json:"fresh,omitempty"`
	Update  string `json:"update,omitempty"`
	MD5     string `json:"md5,omitempty"`
	Error   string `json:"error,omitempty"`
}

// recorded reads the cases of a file in testdata, after asking DVC again if
// the test runs with -record.
func recorded(t *testing.T, file string) []dvcCase {
	t.Helper()
	file = filepath.Join("testdata", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if *record {
		data = ask(t, data)
		if err := os.WriteFile(file, append(data, '\n'), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var cases []dvcCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func ask(t *testing.T, cases []byte) []byte {
	t.Helper()
	dvc := os.Getenv("CAIRN_DVC")
	if dvc == "" {
		t.Skip("CAIRN_DVC does not name a DVC to record")
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(dvc), "python"), "testdata/record_dvcfiles.py")
	cmd.Stdin = bytes.NewReader(cases)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil || !json.Valid(out) {
		t.Fatalf("%s: %v", out, err)
	}
	return out
}

func TestDvcFilesAsDVC(t *testing.T) {
	for _, c := range recorded(t, "dvcfiles.json") {
		t.Run(c.Name, func(t *testing.T) {
			file := c.File
			if file == "" {
				file = "x.dvc"
			}
			s, err := ParseDvcFile(file, []byte(c.Text))
			if c.Error != "" {
				checkReport(t, err, "./"+file, c.Error)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(s.EncodeDvcFile(nil)); got != c.Fresh {
				t.Errorf("anew\n got %q\nwant %q", got, c.Fresh)
			}
			if got := string(s.EncodeDvcFile([]byte(c.Text))); got != c.Update {
				t.Errorf("rewritten\n got %q\nwant %q", got, c.Update)
			}
			if got := s.ComputeMD5(); got != c.MD5 {
				t.Errorf("md5 is %s, want %s", got, c.MD5)
			}
		})
	}
}

func checkReport(t *testing.T, err error, shown, want string) {
	t.Helper()
	if !errs.Is(err, errs.Invalid) {
		t.Fatalf("error is %v, want invalid: %s", err, want)
	}
	fe, ok := errors.AsType[*FileError](err)
	if !ok {
		t.Fatalf("no FileError in %v", err)
	}
	var lines []string
	for _, line := range strings.Split(fe.Report(shown), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	if got := strings.TrimSpace(strings.Join(lines, "\n")); got != want {
		t.Errorf("reported\n%s\nwant\n%s", got, want)
	}
}

func TestDvcFileStricterThanDVC(t *testing.T) {
	t.Parallel()
	const good = "d3b07384d113edec49eaa6238ad5ff00"
	for name, text := range map[string]string{
		"empty":             "",
		"only comments":     "# nothing\n",
		"null":              "null\n",
		"empty mapping":     "{}\n",
		"short digest":      "outs:\n- md5: d3b07384\n  hash: md5\n  path: f\n",
		"digest of slashes": "outs:\n- md5: ../../../../../../../etc/passwd\n  hash: md5\n  path: f\n",
		"not hex":           "outs:\n- md5: " + good[:31] + "g\n  hash: md5\n  path: f\n",
		"unknown hash":      "outs:\n- md5: " + good + "\n  hash: sha1\n  path: f\n",
		"blake3 short":      "outs:\n- blake3: " + good + "\n  hash: blake3\n  path: f\n",
		"blake3 and md5":    "outs:\n- blake3: " + good + good + "\n  md5: " + good + "\n  hash: blake3\n  path: f\n",
		"no path":           "outs:\n- md5: " + good + "\n",
		"empty path":        "outs:\n- md5: " + good + "\n  path: ''\n",
		"parent":            "outs:\n- md5: " + good + "\n  path: ../f\n",
		"hidden parent":     "outs:\n- md5: " + good + "\n  path: a/../../f\n",
		"absolute":          "outs:\n- md5: " + good + "\n  path: /etc/passwd\n",
		"the root":          "outs:\n- md5: " + good + "\n  path: .\n",
		"in .git":           "outs:\n- md5: " + good + "\n  path: .git/hooks/pre-commit\n",
		"in .GIT":           "outs:\n- md5: " + good + "\n  path: d/.GIT/x\n",
		"in .dvc":           "outs:\n- md5: " + good + "\n  path: .dvc/config\n",
		"NUL":               "outs:\n- md5: " + good + "\n  path: \"a\\0b\"\n",
		"wdir outside":      "wdir: ../..\nouts:\n- md5: " + good + "\n  path: f\n",
		"wdir absolute":     "wdir: /\nouts:\n- md5: " + good + "\n  path: f\n",
		"hostile files":     "outs:\n- hash: md5\n  path: d\n  files:\n  - relpath: ../x\n    md5: " + good + "\n",
		"negative size":     "outs:\n- md5: " + good + "\n  size: -5\n  path: f\n",
	} {
		if s, err := ParseDvcFile("x.dvc", []byte(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: no error, but %+v", name, s)
		}
	}
}

func TestDvcFileBlake3(t *testing.T) {
	t.Parallel()
	text := "outs:\n- blake3: " + strings.Repeat("ab", 32) + ".dir\n  size: 3\n  nfiles: 1\n  hash: blake3\n  path: d\n"
	s, err := ParseDvcFile("x.dvc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Outs[0].Digest; d.Algorithm() != object.BLAKE3 || !d.IsDir() {
		t.Errorf("digest %v", d)
	}
	if got := string(s.EncodeDvcFile(nil)); got != text {
		t.Errorf("written %q, want %q", got, text)
	}
}

func TestLegacyBecomesCurrent(t *testing.T) {
	t.Parallel()
	old := []byte("# kept\nouts:\n- path: f # here\n  md5: d3b07384d113edec49eaa6238ad5ff00\n")
	s, err := ParseDvcFile("x.dvc", old)
	if err != nil {
		t.Fatal(err)
	}
	if s.Outs[0].Digest.Algorithm() != object.MD5Legacy {
		t.Fatalf("digest of %s", s.Outs[0].Digest.Algorithm().Name())
	}
	s.Outs[0].Digest = object.Sum(object.MD5, []byte("x"))
	s.Outs[0].Size = 1
	want := "# kept\nouts:\n- path: f # here\n  md5: 9dd4e461268c8034f5c8564e155c67a6\n  size: 1\n  hash: md5\n"
	if got := string(s.EncodeDvcFile(old)); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func FuzzParseDvcFile(f *testing.F) {
	f.Add("outs:\n- md5: d3b07384d113edec49eaa6238ad5ff00\n  size: 4\n  hash: md5\n  path: f\n")
	f.Add("wdir: ..\ndeps:\n- path: a\n  repo:\n    url: u\nouts:\n- path: b\n  cloud:\n    r:\n      etag: x\nmeta: {a: [1, 2.5, null]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseDvcFile("sub/x.dvc", []byte(text))
		if err != nil {
			if fe, ok := errors.AsType[*FileError](err); ok {
				_ = fe.Report("./x.dvc")
			}
			return
		}
		encoded := s.EncodeDvcFile(nil)
		if len(s.Value().Keys()) == 0 {
			return
		}
		again, err := ParseDvcFile("sub/x.dvc", encoded)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", text, encoded, err)
		}
		if !yamlfmt.Equal(again.Value(), s.Value()) && !bytes.Contains(bytes.ToLower(encoded), []byte(".nan")) {
			t.Fatalf("%q becomes %q", text, encoded)
		}
		s.EncodeDvcFile([]byte(text))
	})
}
