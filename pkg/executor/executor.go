package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// Job is what a stage runs.
type Job struct {
	Commands []string // one after the other, up to the first that fails
	Dir      string   // working directory, absolute
	Env      []string // the whole environment
	// Shell is the program that reads the commands, as $SHELL has it; "" is
	// the system's.
	Shell string
	// Stdin may be nil: there is nothing to read then.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Announce is called before each command. It may be nil.
	Announce func(command string)
	// Grace is how long the commands may take to end once the context is
	// cancelled, before they are killed; 0 is DefaultGrace.
	Grace time.Duration
	// Foreground leaves the commands in our process group, as a program that
	// talks to the user at a terminal must be. The terminal sends Ctrl-C to
	// all of it.
	Foreground bool
}

// DefaultGrace is time enough to write a checkpoint, and short enough for
// somebody who waits.
const DefaultGrace = 10 * time.Second

// CommandError is a command that did not end well.
type CommandError struct {
	Command string
	Code    int   // exit code, or the negated number of the signal that ended it
	Err     error // why it could not be started; nil if it ran
}

// Error is DVC's message.
func (e *CommandError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("failed to run: %s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("failed to run: %s, exited with %d", e.Command, e.Code)
}

// Unwrap is the cause, if there is one.
func (e *CommandError) Unwrap() error { return e.Err }

// Run runs a job's commands and waits for them. A command that fails is a
// *[CommandError] of kind Invalid; a cancelled context ends the commands and
// what they started, and is the error.
func Run(ctx context.Context, j Job) error {
	for _, c := range j.Commands {
		if err := ctx.Err(); err != nil {
			return err
		}
		if j.Announce != nil {
			j.Announce(c)
		}
		if err := runOne(ctx, j, c); err != nil {
			return err
		}
	}
	return nil
}

func runOne(ctx context.Context, j Job, command string) error {
	cmd := shellCommand(j.Shell, command)
	cmd.Dir, cmd.Env = j.Dir, j.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = j.Stdin, j.Stdout, j.Stderr
	// What is still written to a pipe by a process that outlives the command
	// is not waited for longer than this.
	cmd.WaitDelay = time.Second
	isolate(cmd, j.Foreground)
	if err := cmd.Start(); err != nil {
		return &errs.Error{Kind: errs.Invalid, Err: &CommandError{Command: command, Code: -1, Err: err}}
	}
	done := make(chan error)
	var err error
	go func() {
		err = cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		end(cmd, j, done)
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command itself ended well
	}
	if err == nil {
		return nil
	}
	failed := &CommandError{Command: command, Code: exitCode(cmd.ProcessState)}
	if cmd.ProcessState == nil || cmd.ProcessState.Success() {
		failed.Code, failed.Err = -1, err // not the command: its output
	}
	return &errs.Error{Kind: errs.Invalid, Err: failed}
}

// end asks a command and all it started to end, and kills what does not:
// first as Ctrl-C would, then, since what a shell starts in the background is
// deaf to that, as the system does when it goes down.
func end(cmd *exec.Cmd, j Job, done <-chan error) {
	grace := j.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	gone := func() bool { return groupGone(cmd, j.Foreground) }
	if !j.Foreground {
		interrupt(cmd)
	}
	if ended := wait(done, grace/4); ended && gone() {
		return
	}
	terminate(cmd, j.Foreground)
	for limit := time.Now().Add(grace - grace/4); time.Now().Before(limit); {
		if wait(done, 10*time.Millisecond) && gone() {
			return
		}
	}
	kill(cmd, j.Foreground)
	<-done
}

// wait reports whether a command has ended, waiting for it for a while. done
// is closed then.
func wait(done <-chan error, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// shellOptions keep shells from reading files of the user's that could change
// what a command does.
var shellOptions = map[string][]string{
	"zsh":  {"--no-rcs"},
	"bash": {"--noprofile", "--norc"},
}

// shellArgs is the call of a POSIX shell with a command.
func shellArgs(shell, command string) []string {
	if shell == "" {
		shell = "/bin/sh"
	}
	args := []string{shell}
	name := strings.ToLower(filepath.Base(shell))
	args = append(args, shellOptions[name]...)
	if name == "fish" && fishHasNoConfig(shell) {
		args = append(args, "--no-config")
	}
	return append(args, "-c", command)
}

// fishHasNoConfig reports whether fish knows --no-config, as it does from
// 3.3 on.
func fishHasNoConfig(shell string) bool {
	out, err := exec.Command(shell, "--version").Output()
	if err != nil {
		return false
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(words[len(words)-1], "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major > 3 || major == 3 && minor >= 3
}

// Lines splits a command of several lines into commands, as Python's
// splitlines does.
func Lines(command string) []string {
	var lines []string
	rest := command
	for rest != "" {
		i := strings.IndexFunc(rest, isLineBreak)
		if i < 0 {
			return append(lines, rest)
		}
		lines = append(lines, rest[:i])
		if strings.HasPrefix(rest[i:], "\r\n") {
			i++
		}
		rest = strings.TrimPrefix(rest[i:], string(firstRune(rest[i:])))
	}
	return lines
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

func isLineBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// Setenv returns an environment with a variable set, or set unless it is
// there already if keep is true.
func Setenv(env []string, name, value string, keep bool) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		if !sameName(k, name) {
			out = append(out, kv)
			continue
		}
		if keep {
			return env
		}
	}
	return append(out, name+"="+value)
}
