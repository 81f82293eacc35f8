package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
)

// testApp is an App over buffers.
func testApp(t *testing.T, args ...string) (a *App, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return newApp(Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Getenv: func(string) string { return "" }, Environ: func() []string { return nil },
		Dir: t.TempDir(), Now: func() time.Time { return time.Unix(0, 0).UTC() },
	}), stdout, stderr
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		code int
		want string // standard error
	}{
		{"none", nil, 0, ""},
		{"handled", Handled("failed to add", errs.New(errs.NotFound, "no x")), 1, "ERROR: failed to add - no x\n"},
		{"handled without words", Handled("", errs.New(errs.NotFound, "no x")), 1, "ERROR: no x\n"},
		{"handled configuration", Handled("failed to push", errs.New(errs.Config, "no remote r")), 1, "ERROR: failed to push - no remote r\n"},
		{"wrapped handled", fmt.Errorf("a: %w", Handled("b", errs.New(errs.Invalid, "c"))), 1, "ERROR: a: b - c\n"},
		{"silent", ExitWith(1), 1, ""},
		{"configuration", errs.New(errs.Config, "bad"), 251, "ERROR: configuration error - bad\n"},
		{"cancelled", errs.New(errs.Cancelled, "%w", context.Canceled), 252, "ERROR: interrupted by the user\n"},
		{"handled cancelled", Handled("failed", errs.New(errs.Cancelled, "x")), 252, "ERROR: interrupted by the user\n"},
		{"not in repo", errs.New(errs.NotInRepo, "you are not inside"), 253, "ERROR: you are not inside\n"},
		{"usage", errs.New(errs.Usage, "name is wrong"), 254, "ERROR: name is wrong\n"},
		{"other", errs.New(errs.Conflict, "no"), 255, "ERROR: no\n"},
		{"disk", fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}), 255, "ERROR: read: open f: permission denied\n"},
		{"pipe", &ui.OutputError{Err: syscall.EPIPE}, 141, ""},
		{"handled pipe", Handled("failed", &ui.OutputError{Err: syscall.EPIPE}), 141, ""},
		{"pipe elsewhere", Handled("failed", fmt.Errorf("send: %w", syscall.EPIPE)), 1, "ERROR: failed - send: broken pipe\n"},
		{"hint", errs.WithHint(errs.New(errs.Conflict, "no"), "Use `cairn commit`."), 255, "ERROR: no\nUse `cairn commit`.\n"},
		{"bug", errors.New("what"), 255, "ERROR: unexpected error - what\nThis may be a bug: please report it at " +
			"https://github.com/cairndata/cairn/issues with the output of `cairn doctor` and of the same command with -vv.\n"},
		{"hostile", errs.New(errs.Invalid, "a\x1b[2Jb\u202ec"), 255, "ERROR: a\\x1b[2Jb\\u202ec\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, _, stderr := testApp(t, "cairn")
			code := exitCode(tt.err)
			if tt.err != nil {
				code = a.report(tt.err)
			}
			if code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			if got := stderr.String(); got != tt.want {
				t.Errorf("stderr %q, want %q", got, tt.want)
			}
		})
	}
}

func TestErrorObject(t *testing.T) {
	t.Parallel()
	a, _, stderr := testApp(t, "dvc")
	a.JSON = true
	a.report(Handled("failed to add", &errs.Error{
		Kind: errs.Invalid, Msg: "bad thing", File: "d\u00e9.dvc", Line: 3, Hint: "Run `cairn doctor`.",
	}))
	want := "ERROR: failed to add - dé.dvc:3: bad thing\nRun `dvc doctor`.\n" +
		`{"error": {"type": "invalid", "msg": "failed to add - d\u00e9.dvc:3: bad thing", "file": "d\u00e9.dvc", "line": 3, ` +
		`"hint": "Run ` + "`dvc doctor`" + `.", "code": 1}}` + "\n"
	if got := stderr.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMainAsDVC(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	for _, tt := range []struct{ arg0, want string }{
		{"/usr/bin/dvc", "3.67.1\n"},
		{"cairn", "3.67.1 (cairn " + buildVersion() + ")\n"},
	} {
		env := a.Env
		var out bytes.Buffer
		env.Args, env.Stdout = []string{tt.arg0, "--version"}, &out
		if code := Main(t.Context(), env); code != 0 || out.String() != tt.want {
			t.Errorf("%s: code %d, got %q, want %q", tt.arg0, code, out.String(), tt.want)
		}
	}
	if got := progName([]string{filepath.Join("x", "DVC.EXE")}); got != "dvc" {
		t.Errorf("progName of DVC.EXE is %s", got)
	}
}

// closedPipe is an output whose reader is gone.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	env := a.Env
	env.Args, env.Stdout = []string{"cairn", "--help"}, closedPipe{}
	if code := Main(t.Context(), env); code != exitBrokenPipe {
		t.Errorf("code %d, want %d", code, exitBrokenPipe)
	}
}

func TestPanicIsReported(t *testing.T) {
	t.Parallel()
	a, _, stderr := testApp(t)
	code := 0
	func() {
		defer a.guard(&code)
		panic("boom")
	}()
	if got := stderr.String(); !strings.HasPrefix(got, "ERROR: unexpected error - internal error: boom\nThis may be a bug") || code != exitOther {
		t.Errorf("code %d, stderr %q", code, got)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	a, _, stderr := testApp(t, "cairn", "root")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := a.Env
	if code := Main(ctx, env); code != exitInterrupted || stderr.String() != "ERROR: interrupted by the user\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

// TestVerbsAreDocumented: each command says what it does and shows it, and each
// option is explained.
func TestVerbsAreDocumented(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t, "cairn")
	eachCommand(newRoot(a), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s: Short and Long must say what it does", path)
		}
		if cmd.HasSubCommands() {
			return
		}
		if cmd.RunE == nil {
			t.Errorf("%s: has no RunE", path)
		}
		if !strings.Contains(cmd.Example, "cairn "+strings.Join(strings.Fields(path)[1:], " ")) &&
			!strings.Contains(cmd.Example, "cairn ") {
			t.Errorf("%s: Example must show a call", path)
		}
		for _, f := range flagsOf(cmd) {
			if f.Usage == "" && !f.Hidden {
				t.Errorf("%s: --%s has no help", path, f.Name)
			}
		}
	})
}

// TestExamplesParse: the examples of the help texts are lines that work.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t, "cairn")
	eachCommand(newRoot(a), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, "#")
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " > ")
			_, rest, ok := strings.Cut(strings.TrimSpace(line), "cairn ")
			if !ok || strings.ContainsAny(rest, `"'`+"`") {
				continue
			}
			b, _, _ := testApp(t, "cairn")
			if _, err := parseArgs(newRoot(b), strings.Fields(rest)); err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), strings.TrimSpace(line), err)
			}
		}
	})
}

// TestReference: the generated pages in docs/ are up to date.
func TestReference(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t, "cairn")
	docs := filepath.Join("..", "..", "docs")
	pages := referencePages(newRoot(a))
	for name, want := range pages {
		path := filepath.Join(docs, filepath.FromSlash(name))
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != want {
			t.Errorf("docs/%s is not what the help texts say: run make docs", name)
		}
	}
	old, _ := filepath.Glob(filepath.Join(docs, "commands", "*.md"))
	for _, path := range old {
		if _, ok := pages["commands/"+filepath.Base(path)]; !ok {
			t.Errorf("%s describes no command any more", path)
		}
	}
}

func TestLinkTypes(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	got := strings.Join(linkTypes(from, to), ",")
	if !strings.Contains(got, "hardlink") {
		t.Errorf("link types %q in a temporary folder, want hardlink among them", got)
	}
	for _, dir := range []string{from, to} {
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("left in %s: %v, %v", dir, names, err)
		}
	}
	if got := linkTypes(filepath.Join(from, "none"), to); got != nil {
		t.Errorf("link types from a folder that is not there: %v", got)
	}
}
