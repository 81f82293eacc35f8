package ui

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/term"

	"github.com/cairndata/cairn/pkg/errs"
)

// Interactive reports whether questions can be asked.
func (u *UI) Interactive() bool { return u.inTTY && u.in != nil }

// Prompter is Prompt where questions can be asked, else nil.
func (u *UI) Prompter() func(ctx context.Context, question string, echo bool) (string, error) {
	if !u.Interactive() || u.tty == nil {
		return nil
	}
	return u.Prompt
}

// Prompt asks for a line, a password say, which is shown as it is typed only
// if echo. The same question is asked once.
func (u *UI) Prompt(ctx context.Context, question string, echo bool) (string, error) {
	u.askMu.Lock()
	defer u.askMu.Unlock()
	if a, ok := u.answers[question]; ok {
		return a, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	fmt.Fprintf(u.err, "%s ", Clean(strings.TrimSpace(question)))
	if err := u.err.flush(); err != nil {
		return "", err
	}
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	fd := int(u.tty.Fd())
	before, _ := term.GetState(fd)
	go func() {
		if echo {
			line, err := u.in.ReadString('\n')
			done <- result{strings.TrimRight(line, "\r\n"), err}
			return
		}
		line, err := term.ReadPassword(fd)
		done <- result{string(line), err}
	}()
	select {
	case r := <-done:
		if !echo {
			fmt.Fprintln(u.err)
		}
		if r.err != nil {
			return "", errs.New(errs.Cancelled, "no answer to %q", strings.TrimSpace(question))
		}
		if u.answers == nil {
			u.answers = map[string]string{}
		}
		u.answers[question] = r.line
		return r.line, nil
	case <-ctx.Done():
		if before != nil {
			_ = term.Restore(fd, before) // typing is to be seen again
		}
		return "", ctx.Err()
	}
}

// Ask is Confirm for a question that a script may answer: it goes to stdout, and
// the answer comes from stdin, whatever that is. Its end is a no.
func (u *UI) Ask(question string) bool {
	if u.in == nil {
		return false
	}
	for {
		fmt.Fprintf(u.out, "%s [y/n]: ", Clean(question))
		if err := u.out.flush(); err != nil {
			return false
		}
		line, err := u.in.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true
		case "n", "no":
			return false
		}
		if err != nil {
			return false
		}
		fmt.Fprint(u.out, "Your response must be one of: ['yes', 'no', 'y', 'n']. Please try again.\n")
	}
}

// Confirm asks a question that is answered with yes or no. No answer is no.
// Without a terminal the error is errs.Conflict: nobody said yes.
func (u *UI) Confirm(question string) (bool, error) {
	if !u.Interactive() {
		return false, errs.New(errs.Conflict, "%s: this needs a yes, and there is no terminal to ask on", question)
	}
	for {
		fmt.Fprintf(u.err, "%s [y/n]: ", Clean(question))
		line, err := u.in.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		if err != nil {
			return false, nil
		}
		fmt.Fprint(u.err, "Please answer yes or no.\n")
	}
}
