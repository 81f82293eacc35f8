package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/progress"
)

// Env is the world as the command line sees it. Nothing below reads any of this
// from the process.
type Env struct {
	Args    []string // the program's name, then the arguments
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Environ func() []string // the whole environment, for programs that cairn starts
	Dir     string          // working directory, absolute
	Home    string          // home folder, "" if there is none
	Now     func() time.Time
	// Executable is the path of this program, for hooks that call it later.
	Executable func() (string, error)
}

// OSEnv is the process's own Env.
func OSEnv() Env {
	// A failure of either shows when the folder is needed, with a name to it.
	dir, _ := os.Getwd()
	home, _ := os.UserHomeDir()
	return Env{
		Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Environ: os.Environ, Dir: dir, Home: home,
		Now: time.Now, Executable: os.Executable,
	}
}

// Signals returns a context that the first interrupt or request to end cancels;
// the second ends the process at once. A reader that goes away becomes an error
// of the write instead of a signal, so that what was begun is finished properly;
// programs that cairn starts are not affected.
func Signals() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return ctx, stop
}

// Main runs one command line and returns the exit code. It never panics.
func Main(ctx context.Context, env Env) (code int) {
	a := newApp(env)
	defer a.finish(&code)
	defer a.guard(&code)
	if err := a.execute(ctx); err != nil {
		if ctx.Err() != nil {
			// What fails after Ctrl-C fails because of it, whatever it says.
			a.UI.Debugf("%v", err)
			err = errs.New(errs.Cancelled, "%w", err)
		}
		return a.report(err)
	}
	return 0
}

// guard, deferred, reports a panic as a failure.
func (a *App) guard(code *int) {
	if p := recover(); p != nil {
		a.UI.Tracef("%s", debug.Stack())
		*code = a.report(fmt.Errorf("%w: %v", errPanic, p))
	}
}

// finish, deferred, writes out what is left. A result that could not be written
// is a failure.
func (a *App) finish(code *int) {
	if err := a.UI.Close(); err != nil && *code == 0 {
		*code = a.report(err)
	}
	if err := a.endProfile(); err != nil && *code == 0 {
		*code = a.report(err)
	}
	a.showPhases()
}

// execute sorts out the arguments and runs the command they name.
func (a *App) execute(ctx context.Context) error {
	if a.Env.Dir == "" {
		return errs.New(errs.NotFound, "the working directory does not exist any more")
	}
	root := newRoot(a)
	args := a.Env.Args[min(1, len(a.Env.Args)):]
	if len(args) > 0 && strings.HasPrefix(args[0], completeVerb) {
		return a.runCompletion(ctx, root, args)
	}
	// Known before parsing, so that bad usage too is reported as an object.
	a.JSON = slices.Contains(args, "--json")
	call, err := parseArgs(root, args)
	if err != nil {
		return err
	}
	a.JSON = call.changed("json")
	if err := a.applyGlobals(); err != nil {
		return err
	}
	a.UI.Debugf("%s %s, command: %s", a.Prog, buildVersion(), ui.Quote(maskArgs(a.Env.Args)))
	switch {
	case call.help:
		return writeHelp(a.UI.Out(), call.cmd, a.Verbose > 0)
	case call.version:
		fmt.Fprintln(a.UI.Out(), a.versionLine())
		return nil
	}
	if err := a.startProfile(ctx, call); err != nil {
		return err
	}
	call.cmd.SetContext(ctx)
	return call.cmd.RunE(call.cmd, call.args)
}

// applyGlobals makes the global options take effect.
func (a *App) applyGlobals() error {
	switch {
	case a.Quiet > 0:
		a.UI.SetLevel(ui.Quiet)
	case a.Verbose == 1:
		a.UI.SetLevel(ui.Debug)
	case a.Verbose > 1:
		a.UI.SetLevel(ui.Trace)
		a.phases = progress.NewPhases(a.Env.Now, a.began)
	}
	if a.cd == "" {
		return nil
	}
	dir := a.Path(a.cd)
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("change to %s: %w", ui.Quote(a.cd), err)
	}
	if !st.IsDir() {
		return errs.New(errs.Invalid, "change to %s: not a folder", ui.Quote(a.cd))
	}
	a.Dir = dir
	return nil
}

// progName is what the program calls itself: dvc when run under that name.
func progName(args []string) string {
	if len(args) == 0 {
		return "cairn"
	}
	base := strings.TrimSuffix(strings.ToLower(filepath.Base(args[0])), ".exe")
	if base == "dvc" {
		return base
	}
	return "cairn"
}
