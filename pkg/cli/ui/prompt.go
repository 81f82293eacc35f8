package ui

import (
	"fmt"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Interactive reports whether questions can be asked.
func (u *UI) Interactive() bool { return u.inTTY && u.in != nil }

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
