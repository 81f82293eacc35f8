package plot

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Failure is an error with the name of the class that DVC gives it, which
// clients see in JSON.
type Failure struct {
	Type string
	Msg  string
	Err  error // the cause; may be nil
}

func (f *Failure) Error() string { return f.Msg }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Source is the content of one file: *Points of a table, an image's []byte, or
// what a file of values holds, as [pipeline.LoadParams] returns it.
type Source struct {
	Value any
	Err   error // why it could not be read; Value is nil then
}

// empty reports whether there is nothing in it, which is no error.
func (s Source) empty() bool {
	switch v := s.Value.(type) {
	case nil:
		return true
	case *Points:
		return v.N == 0
	case []byte:
		return len(v) == 0
	case *yamlfmt.Map:
		return v.Len() == 0
	}
	return false
}

// suffix is the extension of a path, as Python has it.
func suffix(name string) string { return path.Ext(strings.TrimLeft(path.Base(name), ".")) }

// IsImage reports whether a file is drawn as it is.
func IsImage(name string) bool {
	switch suffix(name) {
	case ".jpg", ".jpeg", ".gif", ".png", ".svg":
		return true
	}
	return false
}

// Supported is why a file cannot be plotted, by its name; nil if it can.
func Supported(name string) error {
	switch suffix(name) {
	case ".json", ".yaml", ".yml", ".csv", ".tsv", ".toml", ".py":
		return nil
	}
	if IsImage(name) {
		return nil
	}
	return &Failure{
		Type: "PlotMetricTypeError",
		Msg:  "'" + name + "' - file type error\nOnly JSON, YAML, CSV and TSV formats are supported.",
		Err:  errs.New(errs.Invalid, "file type"),
	}
}

// ReadSource makes sense of a file's content. header says whether a table's
// first row names its fields.
func ReadSource(name string, content []byte, header bool) Source {
	if err := Supported(name); err != nil {
		return Source{Err: err}
	}
	if IsImage(name) {
		return Source{Value: content}
	}
	shown := path.Clean(name)
	if !utf8.Valid(content) {
		return Source{Err: &Failure{Type: "EncodingError", Msg: "unable to read: '" + shown + "', is not valid utf8", Err: errs.New(errs.Invalid, "encoding")}}
	}
	ext := suffix(name)
	if ext == ".csv" || ext == ".tsv" {
		comma := byte(',')
		if ext == ".tsv" {
			comma = '\t'
		}
		p, err := readTable(string(content), comma, header)
		if err != nil {
			return Source{Err: err}
		}
		return Source{Value: p}
	}
	v, err := pipeline.LoadParams(name, content)
	if err != nil {
		kind := map[string]string{".json": "JSON", ".toml": "TOML", ".py": "Python"}[ext]
		if kind == "" {
			kind = "YAML"
		}
		// The cause, which tells the place, is for people; clients get DVC's words.
		return Source{Err: &Failure{Type: kind + "FileCorruptedError", Msg: "unable to read: '" + shown + "', " + kind + " file structure is corrupted", Err: err}}
	}
	return Source{Value: pipeline.PlainParam(v)}
}
