package pipeline

import (
	"errors"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// DVC's JSON names the Python class of the failure to read a file. The classes
// are those of the messages, which are worded in this package.

// ErrorName is the class by which DVC calls the failure to read stage files or
// a file of values; "DvcException" if there is no better one.
func ErrorName(err error) string {
	if fe, ok := errors.AsType[*FileError](err); ok {
		switch {
		case fe.BadEncoding():
			return "EncodingError"
		case fe.Syntax:
			return "YAMLSyntaxError"
		}
		return "YAMLValidationError"
	}
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return "DvcException"
	}
	format, corrupted := strings.CutSuffix(e.Msg, " file structure is corrupted")
	switch {
	case corrupted:
		return format[strings.LastIndexByte(format, ' ')+1:] + "FileCorruptedError"
	case strings.HasSuffix(e.Msg, "is not valid utf-8"):
		return "EncodingError"
	case strings.HasPrefix(e.Msg, "Unsupported value of type"):
		return "TypeError"
	case strings.HasPrefix(e.Msg, "duplicated key"):
		return "ValueError"
	case strings.HasPrefix(e.Msg, "failed to parse"), strings.HasPrefix(e.Msg, "failed to resolve"):
		return "ResolveError"
	}
	return "DvcException"
}

// BadEncoding reports whether the file is no UTF-8.
func (e *FileError) BadEncoding() bool {
	return e.Syntax && len(e.Problems) > 0 && strings.HasPrefix(e.Problems[0].Msg, "invalid UTF-8")
}

// ParseMessage is what DVC says of a file of values that cannot be parsed,
// without where and why: "unable to read: ..."; "" if err is something else.
func ParseMessage(err error) string {
	if e, ok := errors.AsType[*errs.Error](err); ok && strings.HasPrefix(e.Msg, "unable to read: ") {
		return e.Msg
	}
	return ""
}

// Unplaced is what is wrong in a dvc.yaml in DVC's words, without the line that
// messages of this package begin with; "" if err is nothing of the kind.
func Unplaced(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || ErrorName(err) == "DvcException" {
		return ""
	}
	return e.Msg
}
