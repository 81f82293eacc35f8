package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/repo"
)

// The exit codes. They are DVC's and a promise to scripts.
const (
	exitOK          = 0
	exitHandled     = 1
	exitMissing     = 2
	exitBrokenPipe  = 141
	exitConfig      = 251
	exitInterrupted = 252
	exitNotInRepo   = 253
	exitUsage       = 254
	exitOther       = 255
)

// exitCodes is the table from which docs/exit-codes.md is written.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "Done. Everything that was asked for has happened. Also `status` and `diff` that found differences."},
	{exitHandled, "A verb could not do all it was asked for: `failed to push data to the cloud - ...`. " +
		"Also `status -q` if something changed, `check-ignore` without a match, and `metrics check` if a condition is not met."},
	{exitMissing, "`metrics check` cannot tell, because a metric that a condition names is not there."},
	{exitBrokenPipe, "The reader of the output went away (as after SIGPIPE)."},
	{exitConfig, "The configuration is wrong: an unknown option, a bad value, a remote without url."},
	{exitInterrupted, "Interrupted: Ctrl-C, or the system asked the program to end."},
	{exitNotInRepo, "Not inside of a repository."},
	{exitUsage, "The command line is wrong. The message and the usage are on standard error."},
	{exitOther, "Any other failure."},
}

// errPanic marks what can only be a mistake in the program.
var errPanic = errors.New("internal error")

// handledError is a failure of a verb that ends with exit code 1.
type handledError struct {
	msg string
	err error
}

// Handled says which verb failed: "failed to push data to the cloud". The
// message is "msg - cause", or the cause alone without msg, and the exit code 1,
// except that interruption and a broken pipe keep their own. nil stays nil.
func Handled(msg string, err error) error {
	if err == nil {
		return nil
	}
	return &handledError{msg: msg, err: err}
}

func (e *handledError) Error() string {
	if e.msg == "" {
		return e.err.Error()
	}
	return e.msg + " - " + e.err.Error()
}

func (e *handledError) Unwrap() error { return e.err }

// exitError ends the program with a code and no words.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ExitWith is the error of a verb that has said all there is to say.
func ExitWith(code int) error { return exitError(code) }

// exitCode is the one place that maps failures to exit codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return int(e)
	}
	if _, ok := errors.AsType[*ui.OutputError](err); ok && errors.Is(err, syscall.EPIPE) {
		return exitBrokenPipe
	}
	kind := errs.KindOf(err)
	if kind == errs.Cancelled {
		return exitInterrupted
	}
	if _, ok := errors.AsType[*handledError](err); ok {
		return exitHandled
	}
	switch kind {
	case errs.Config:
		return exitConfig
	case errs.NotInRepo:
		return exitNotInRepo
	case errs.Usage:
		return exitUsage
	}
	return exitOther
}

// message is what the user reads of err.
func message(err error, code int) string {
	switch code {
	case exitInterrupted:
		return "interrupted by the user"
	case exitConfig:
		return "configuration error - " + err.Error()
	}
	if isBug(err, code) {
		return "unexpected error - " + err.Error()
	}
	return err.Error()
}

// isBug reports whether a failure is one that nobody foresaw.
func isBug(err error, code int) bool {
	if errors.Is(err, errPanic) {
		return true
	}
	if code != exitOther || errs.KindOf(err) != errs.Other {
		return false
	}
	_, fromDisk := errors.AsType[*fs.PathError](err)
	_, fromSystem := errors.AsType[syscall.Errno](err)
	return !fromDisk && !fromSystem
}

// hint is the remedy shown under a message, "" if there is none.
func hint(err error, code int) string {
	if code == exitInterrupted {
		return "" // what the error says to do was for another failure
	}
	if u, ok := asUsage(err); ok && u.hint != "" {
		return u.hint
	}
	if h := errs.HintOf(err); h != "" {
		return h
	}
	if fe, ok := errors.AsType[*pipeline.FileError](err); ok {
		return fileHint(fe, err)
	}
	if isBug(err, code) {
		return "This may be a bug: please report it at https://github.com/cairndata/cairn/issues" +
			" with the output of `cairn doctor` and of the same command with -vv."
	}
	return ""
}

// fileHint says how to go on with a broken stage file.
func fileHint(fe *pipeline.FileError, err error) string {
	switch {
	case errors.Is(err, repo.ErrInRevision):
		return ""
	case fe.Conflict:
		return "Resolve the conflict in the file, then run the command again."
	}
	return "Correct the file, or bring back its last good version from Git."
}

// errorObject is a failure as --json shows it on standard error.
type errorObject struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Type string `json:"type"`
	Msg  string `json:"msg"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Hint string `json:"hint,omitempty"`
	Code int    `json:"code"`
}

var kindNames = map[errs.Kind]string{
	errs.Other: "other", errs.NotFound: "not found", errs.Invalid: "invalid", errs.Conflict: "conflict",
	errs.Locked: "locked", errs.Corrupt: "corrupt", errs.Denied: "denied", errs.Unavailable: "unavailable",
	errs.Unsupported: "unsupported", errs.Cancelled: "cancelled", errs.Usage: "usage", errs.Config: "config",
	errs.NotInRepo: "not in repository",
}

// report prints err and returns the exit code.
func (a *App) report(err error) int {
	code := exitCode(err)
	if _, silent := errors.AsType[exitError](err); silent || code == exitBrokenPipe {
		return code
	}
	help := hint(err, code)
	if a.Prog != "cairn" {
		for _, before := range []string{"`", "'", ": "} {
			help = strings.ReplaceAll(help, before+"cairn ", before+a.Prog+" ")
		}
	}
	msg := message(err, code)
	if text := a.fileReport(err); text != "" {
		// As DVC has it: the file's own report instead of a line "ERROR: ...".
		a.UI.ErrorNote(text)
	} else {
		a.UI.Errorf("%s", msg)
	}
	if help != "" {
		a.UI.ErrorNote(help)
	}
	if u, ok := asUsage(err); ok && !a.JSON {
		a.UI.ErrorNote(usageNote(u))
	}
	if a.JSON {
		body := errorBody{Type: kindNames[errs.KindOf(err)], Msg: msg, Hint: help, Code: code}
		body.File, body.Line = place(err)
		a.UI.ErrorNote(ui.JSONString(errorObject{body}))
	}
	return code
}

// fileReport is the report about a broken stage file or lock of the workspace,
// "" if err is about something else. What stands in a commit gets a line like
// any failure, since the file to be seen is not the one at fault.
func (a *App) fileReport(err error) string {
	fe, ok := errors.AsType[*pipeline.FileError](err)
	if !ok || errors.Is(err, repo.ErrInRevision) {
		return ""
	}
	shown := fe.File
	if root, rerr := a.seams.findRoot(); rerr == nil {
		shown = filepath.ToSlash(a.Rel(filepath.Join(root, filepath.FromSlash(fe.File))))
	}
	if !strings.HasPrefix(shown, "../") {
		shown = "./" + shown
	}
	return fe.Report(ui.Quote(shown))
}

// place is the file and the line that a failure is about, as far as known.
func place(err error) (file string, line int) {
	if fe, ok := errors.AsType[*pipeline.FileError](err); ok {
		if len(fe.Problems) > 0 {
			line = fe.Problems[0].Line
		}
		return fe.File, line
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.File, e.Line
	}
	return "", 0
}

// exitCodesDoc is docs/exit-codes.md.
func exitCodesDoc() string {
	var b strings.Builder
	b.WriteString("# Exit codes\n\n" +
		"They are the same as DVC's. Zero means that everything asked for was done; anything else that it was not.\n\n" +
		"| code | meaning |\n|---|---|\n")
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", row.code, row.meaning)
	}
	b.WriteString("\nA failure is one line on standard error that begins with `ERROR: `, often followed by a line that says what\n" +
		"to do. A verb called with `--json` adds a last line with the same as an object:\n" +
		"`{\"error\": {\"type\": \"not found\", \"msg\": \"...\", \"code\": 1}}`; `file`, `line` and `hint` are there if known.\n" +
		"`type` is one of: ")
	for k := errs.Other; k <= errs.NotInRepo; k++ {
		if k > errs.Other {
			b.WriteString(", ")
		}
		b.WriteString("`" + kindNames[k] + "`")
	}
	b.WriteString(".\n")
	return b.String()
}
