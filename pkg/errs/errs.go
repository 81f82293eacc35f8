// Package errs classifies failures, so that callers branch on a [Kind] and
// never on text. Only pkg/cli turns an error into words and an exit code.
package errs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Kind is the class of a failure.
type Kind uint8

// The classes. Other is anything not classified, which the command line
// treats as unexpected.
const (
	Other       Kind = iota
	NotFound         // a path, object, revision, stage or remote does not exist
	Invalid          // input that cannot be accepted: a broken file, a bad name
	Conflict         // doing it would lose data or contradict what is there
	Locked           // somebody else holds the lock
	Corrupt          // bytes do not have the digest or length they must have
	Denied           // permission or credentials refused
	Unavailable      // a server or disk failed; trying again may help
	Unsupported      // asked for something cairn does not do
	Cancelled        // interrupted by the user
	Usage            // the command line is wrong
	Config           // a configuration file or option is wrong
	NotInRepo        // there is no repository here
)

// Error is a failure with its class and, where known, its place and remedy.
type Error struct {
	Kind Kind
	Msg  string // what happened, lower case, no full stop
	File string // the file at fault, as the user would type it; may be empty
	Line int    // 1-based line in File; 0 if unknown
	Hint string // what to do next, a full sentence or a command; may be empty
	Err  error  // the cause; may be nil
}

// Error joins place, message and cause with ": ". The hint is not part of it.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Err != nil {
		// The text of a hidden cause is part of Msg already.
		if cause := e.Err.Error(); cause != "" {
			if e.Msg != "" {
				b.WriteString(": ")
			}
			b.WriteString(cause)
		}
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a classified error with a formatted message. A %w verb makes
// its operand the cause, as in [fmt.Errorf].
func New(k Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		cause = errors.Join(many.Unwrap()...)
	}
	return &Error{Kind: k, Msg: err.Error(), Err: hidden{cause}.orNil()}
}

// WithHint returns err with a remedy attached; nil stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Hint: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the class of the outermost classified error in err's chain.
// An error that nobody classified has the class its system error stands for:
// permission, absence, a full or failing disk, a cancelled context; or Other.
func KindOf(err error) Kind {
	if k := classified(err); k != Other {
		return k
	}
	switch {
	case err == nil:
		return Other
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return Denied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ENOSPC),
		errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EMFILE):
		return Unavailable
	}
	return Other
}

func classified(err error) Kind {
	for err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			if e.Kind != Other {
				return e.Kind
			}
			err = e.Err
			continue
		}
		return Other
	}
	return Other
}

// Is reports whether err is of class k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// HintOf returns the first remedy in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// hidden is a cause whose text is already part of the message that wraps it.
type hidden struct{ error }

func (h hidden) orNil() error {
	if h.error == nil {
		return nil
	}
	return h
}

func (h hidden) Error() string { return "" }
func (h hidden) Unwrap() error { return h.error }
