package ui

import (
	"fmt"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Interactive reports whether questions can be asked.
func (u *UI) Interactive() bool { return u.inTTY && u.in != nil }

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
