package yamlfmt

import "fmt"

// SyntaxError says what is wrong with a text, in the words and at the places
// that DVC prints. Lines and columns begin at 1; 0 means unknown.
type SyntaxError struct {
	// Context is what was being read, with the place where it began; it may
	// be empty.
	Context                 string
	ContextLine, ContextCol int
	// Msg is what is wrong, and where.
	Msg       string
	Line, Col int
}

// Error is one line: context, message and place.
func (e *SyntaxError) Error() string {
	s := e.Msg
	if e.Context != "" && e.Msg != "" {
		s = e.Context + ": " + s
	} else if e.Context != "" {
		s = e.Context
	}
	if e.Line > 0 {
		s += fmt.Sprintf(", line %d, column %d", e.Line, e.Col)
	}
	return s
}

// The functions of this package that read text panic with a *SyntaxError,
// which the exported ones turn into a returned error.

func fail(context string, at mark, format string, args ...any) {
	panic(&SyntaxError{Context: context, ContextLine: at.line + 1, ContextCol: at.col + 1, Msg: fmt.Sprintf(format, args...)})
}

func failAt(at mark, format string, args ...any) {
	panic(&SyntaxError{Msg: fmt.Sprintf(format, args...), Line: at.line + 1, Col: at.col + 1})
}

func failIn(context string, began, at mark, format string, args ...any) {
	panic(&SyntaxError{
		Context: context, ContextLine: began.line + 1, ContextCol: began.col + 1,
		Msg: fmt.Sprintf(format, args...), Line: at.line + 1, Col: at.col + 1,
	})
}

// catch is deferred by exported functions.
func catch(err *error) {
	switch x := recover().(type) {
	case nil:
	case *SyntaxError:
		*err = x
	default:
		panic(x)
	}
}
