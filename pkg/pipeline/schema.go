package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// FileError says what is wrong with a stage file or lock: its syntax, or that
// it does not have the shape that DVC asks for. It is classed errs.Invalid.
type FileError struct {
	File     string // relative to the repository's root
	Syntax   bool   // it is no YAML at all
	Conflict bool   // it holds conflict markers of a merge
	Problems []FileProblem
	text     []byte
}

// FileProblem is one thing wrong with a file.
type FileProblem struct {
	Msg       string // as DVC words it: "extra keys not allowed"
	Path      []any  // keys and indices that lead there
	Line, Col int    // from 1; 0 if unknown
	from, to  int    // the lines that show it
}

// Error is one line: the file, its first problem, its place, and how many
// more there are.
func (e *FileError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "'%s' %s", e.File, e.verdict())
	for i, p := range e.Problems {
		if i == 1 && !e.Syntax {
			fmt.Fprintf(&b, " (and %d more)", len(e.Problems)-1)
			break
		}
		b.WriteString(": " + p.Explain())
	}
	return b.String()
}

func (e *FileError) verdict() string {
	switch {
	case e.Syntax && e.Conflict:
		return "is invalid (possible merge conflicts)"
	case e.Syntax:
		return "is invalid"
	}
	return "validation failed"
}

// Explain is the problem with its place in words: "extra keys not allowed,
// in outs -> 0 -> blake3, line 2, column 3".
func (p *FileProblem) Explain() string {
	s := p.Msg
	for i, step := range p.Path {
		if i == 0 {
			s += ", in "
		} else {
			s += " -> "
		}
		s += fmt.Sprint(step)
	}
	if p.Line > 0 {
		s += fmt.Sprintf(", line %d", p.Line)
	}
	if p.Line > 0 && p.Col > 0 {
		s += fmt.Sprintf(", column %d", p.Col)
	}
	return s
}

// Report is the text that DVC prints about the file, several lines with
// excerpts, without a line end. shown is how the file is to be called:
// "./x.dvc".
func (e *FileError) Report(shown string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "'%s' %s", shown, e.verdict())
	if !e.Syntax && len(e.Problems) == 1 && len(e.Problems[0].Path) == 0 && e.Problems[0].Line == 0 {
		return b.String() + ": " + e.Problems[0].Msg + "."
	}
	if n := len(e.Problems); n > 1 && !e.Syntax {
		fmt.Fprintf(&b, ": %d errors", n)
	}
	b.WriteString(".\n")
	lines := strings.Split(string(e.text), "\n")
	for i, p := range e.Problems {
		if i > 0 && (!e.Syntax || e.Problems[i-1].from > 0) {
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
		if e.Syntax {
			b.WriteString(wrap(p.syntax()))
		} else {
			b.WriteString(wrap(p.Explain()))
		}
		p.excerpt(&b, lines, e.Syntax)
	}
	return b.String()
}

// reportWidth is that of DVC's reports where there is no terminal.
const reportWidth = 80

// wrap breaks a line at blanks.
func wrap(s string) string {
	var lines []string
	for utf8.RuneCountInString(s) > reportWidth {
		runes := []rune(s)
		cut := reportWidth
		for cut > 0 && runes[cut] != ' ' {
			cut--
		}
		if cut == 0 {
			break
		}
		lines = append(lines, string(runes[:cut]))
		s = string(runes[cut+1:])
	}
	return strings.Join(append(lines, s), "\n")
}

func (p *FileProblem) syntax() string {
	msg := p.Msg
	if msg != "" {
		msg = strings.ToUpper(msg[:1]) + msg[1:]
	}
	return fmt.Sprintf("%s, in line %d, column %d", msg, p.Line, p.Col)
}

func (p *FileProblem) excerpt(b *strings.Builder, lines []string, alone bool) {
	if p.from == 0 {
		return
	}
	width := len(fmt.Sprint(len(lines))) + 2
	if alone {
		width = len(fmt.Sprint(p.from)) + 2
	}
	for n := max(p.from, 1); n <= p.to && n <= len(lines); n++ {
		fmt.Fprintf(b, "\n%*d %s", width, n, strings.ReplaceAll(lines[n-1], "\t", "    "))
	}
}

// conflictMarker is what Git leaves in a file that it could not merge.
var conflictMarker = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^[<=>]{7} .*$`)
})

// loadYAML parses a file of DVC's.
func loadYAML(file string, data []byte) (*yamlfmt.Doc, error) {
	doc, err := yamlfmt.Parse(data)
	if err == nil {
		return doc, nil
	}
	bad := &FileError{File: file, Syntax: true, text: data, Conflict: conflictMarker().Match(data)}
	se, ok := errors.AsType[*yamlfmt.SyntaxError](err)
	if !ok {
		return nil, err
	}
	if se.Context != "" && se.ContextLine > 0 {
		p := FileProblem{Msg: se.Context, Line: se.ContextLine, Col: se.ContextCol}
		if se.ContextLine != se.Line || se.ContextCol != se.Col {
			p.from, p.to = p.Line, p.Line
		}
		bad.Problems = append(bad.Problems, p)
	}
	if se.Msg != "" {
		bad.Problems = append(bad.Problems, FileProblem{Msg: se.Msg, Line: se.Line, Col: se.Col, from: se.Line, to: se.Line})
	}
	return nil, invalid(bad)
}

// invalid classes a FileError.
func invalid(e *FileError) error { return &errs.Error{Kind: errs.Invalid, Err: e} }

// Schemas: a check appends what is wrong with a value to the list.

type schemaError struct {
	path []any
	msg  string
}

type check func(path []any, v any, bad *[]schemaError)

func say(bad *[]schemaError, path []any, msg string) {
	*bad = append(*bad, schemaError{append([]any(nil), path...), msg})
}

func isStr(path []any, v any, bad *[]schemaError) {
	if _, ok := v.(string); !ok {
		say(bad, path, "expected str")
	}
}

func isBool(path []any, v any, bad *[]schemaError) {
	if _, ok := v.(bool); !ok {
		say(bad, path, "expected bool")
	}
}

func isInt(path []any, v any, bad *[]schemaError) {
	switch n := v.(type) {
	case int64:
		if n < 0 {
			say(bad, path, "expected a number that is not negative")
		}
	case bool: // as Python has it
		say(bad, path, "expected int")
	default:
		say(bad, path, "expected int")
	}
}

func isDict(path []any, v any, bad *[]schemaError) {
	if _, ok := v.(*yamlfmt.Map); !ok {
		say(bad, path, "expected dict")
	}
}

func isAnything([]any, any, *[]schemaError) {}

// isChecksum is the loose check of DVC; digests are read strictly later.
func isChecksum(path []any, v any, bad *[]schemaError) {
	text, ok := checksumText(v)
	if !ok || text != "" && len(text) < 3 {
		say(bad, path, "not a valid value")
	}
}

// checksumText is a checksum as text; digits without quotes are an integer.
func checksumText(v any) (string, bool) {
	switch x := v.(type) {
	case nil:
		return "", true
	case string:
		return x, true
	case int64:
		return fmt.Sprint(x), true
	case fmt.Stringer: // *big.Int
		if _, isDate := v.(yamlfmt.Date); !isDate {
			return x.String(), true
		}
	}
	return "", false
}

func orNull(c check) check {
	return func(path []any, v any, bad *[]schemaError) {
		if v != nil {
			c(path, v, bad)
		}
	}
}

func either(a, b check) check {
	return func(path []any, v any, bad *[]schemaError) {
		var first, second []schemaError
		if a(path, v, &first); len(first) == 0 {
			return
		}
		if b(path, v, &second); len(second) > 0 {
			*bad = append(*bad, first...)
		}
	}
}

func isList(path []any, v any, bad *[]schemaError) {
	if _, ok := v.([]any); !ok {
		say(bad, path, "expected list")
	}
}

// itemsOf checks items; the first that is wrong inside is all that is said, as
// in the library that DVC uses.
func itemsOf(c check) check {
	return func(path []any, v any, bad *[]schemaError) {
		list, ok := v.([]any)
		if !ok {
			say(bad, path, "expected a list")
			return
		}
		start := len(*bad)
		for i, item := range list {
			var found []schemaError
			at := append(path[:len(path):len(path)], i)
			c(at, item, &found)
			if len(found) > 0 && len(found[0].path) > len(at) {
				*bad = append((*bad)[:start], found...)
				return
			}
			*bad = append(*bad, found...)
		}
	}
}

// fields is the schema of a mapping with known keys.
type fields map[string]check

// mapping checks a mapping of known keys, of which some are required.
func mapping(f fields, required ...string) check {
	return func(path []any, v any, bad *[]schemaError) {
		m, ok := v.(*yamlfmt.Map)
		if !ok {
			say(bad, path, "expected a dictionary")
			return
		}
		for k, e := range m.AllKeys() {
			at := append(path[:len(path):len(path)], k)
			name, isText := k.(string)
			c := f[name]
			if name == "blake3" && f["md5"] != nil && (hasBlake3(m) || f["relpath"] != nil) {
				c = isStr
			}
			if !isText || c == nil {
				say(bad, at, "extra keys not allowed")
				continue
			}
			c(at, e, bad)
		}
		for _, k := range required {
			if !m.Has(k) {
				say(bad, append(path[:len(path):len(path)], k), "required key not provided")
			}
		}
	}
}

// hasBlake3 reports whether an entry is one of cairn's own: DVC does not know
// the key blake3, so it counts only where hash names it.
func hasBlake3(m *yamlfmt.Map) bool {
	h, _ := m.Get("hash")
	return h == "blake3"
}

// valuesOf checks a mapping of any string keys.
func valuesOf(c check) check {
	return func(path []any, v any, bad *[]schemaError) {
		m, ok := v.(*yamlfmt.Map)
		if !ok {
			say(bad, path, "expected a dictionary")
			return
		}
		for k, e := range m.AllKeys() {
			at := append(path[:len(path):len(path)], k)
			if _, ok := k.(string); !ok {
				say(bad, at, "extra keys not allowed")
				continue
			}
			c(at, e, bad)
		}
	}
}

func with(f fields, more ...fields) fields {
	all := fields{}
	for _, g := range append([]fields{f}, more...) {
		for k, c := range g {
			all[k] = c
		}
	}
	return all
}

// fileSchemas are those of pointer files and locks, made when the first file is
// checked.
var fileSchemas = sync.OnceValue(func() (s struct{ dvcFile, lock, lock1, lockEntry check }) {
	meta := fields{"size": isInt, "nfiles": isInt, "isexec": isBool, "version_id": isStr}
	checksum := fields{"md5": isChecksum, "checksum": isChecksum, "etag": isChecksum}
	data := with(checksum, meta)
	cloud := fields{"cloud": isCloud(data)}
	file := with(data, cloud, fields{"relpath": isStr})
	artifact := with(data, cloud, fields{"path": isStr, "persist": isBool, "hash": isStr,
		"files": itemsOf(mapping(file, "relpath")), "fs_config": isDict})
	out := with(artifact, fields{"desc": isStr, "type": isStr, "labels": itemsOf(isStr), "meta": isAnything,
		"cache": isBool, "remote": isStr, "push": isBool,
		// Of DVC 0.x and 1.x; metric and plot are read and kept.
	})
	repo := fields{"url": isStr, "rev": isStr, "rev_lock": isStr, "config": either(isStr, isDict), "remote": either(isStr, isDict)}
	db := fields{"query": isStr, "connection": isStr, "file_format": isStr, "table": isStr}
	dep := with(artifact, fields{"repo": mapping(repo, "url"), "db": mapping(db)})

	s.dvcFile = mapping(fields{
		"md5": isChecksum, "wdir": orNull(isStr), "deps": orNull(itemsOf(mapping(dep))), "outs": orNull(itemsOf(mapping(out))),
		"locked": isBool, "frozen": isBool, "meta": isAnything, "always_changed": isBool, "desc": isStr,
	})

	lockData := with(data, cloud, fields{"path": isStr, "files": itemsOf(mapping(file, "relpath")), "hash": isStr, "dataset": isDict})
	s.lockEntry = mapping(fields{
		"cmd": either(isStr, isList), "deps": itemsOf(mapping(lockData, "path")), "params": valuesOf(valuesOf(isAnything)),
		"outs": itemsOf(mapping(lockData, "path")),
	}, "cmd")
	s.lock = mapping(fields{"schema": isSchema2, "datasets": isAnything, "stages": valuesOf(s.lockEntry)}, "schema")
	s.lock1 = valuesOf(s.lockEntry)
	return s
})

func isSchema2(path []any, v any, bad *[]schemaError) {
	if v != "2.0" {
		say(bad, path, "invalid schema version")
	}
}

// isCloud checks what one remote, and no more, says of a version.
func isCloud(data fields) check {
	versions := valuesOf(mapping(data))
	return func(path []any, v any, bad *[]schemaError) {
		before := len(*bad)
		versions(path, v, bad)
		if m, ok := v.(*yamlfmt.Map); ok && len(*bad) == before && m.Len() > 1 {
			say(bad, path, "length of value must be at most 1")
		}
	}
}

// validate checks a document, and returns what is wrong as one error.
func validate(file string, doc *yamlfmt.Doc, v any, c check) error {
	var bad []schemaError
	c(nil, v, &bad)
	if len(bad) == 0 {
		return nil
	}
	return fileProblems(file, doc, bad)
}

func fileProblems(file string, doc *yamlfmt.Doc, bad []schemaError) error {
	e := &FileError{File: file, text: doc.Text()}
	for _, b := range bad {
		p := FileProblem{Msg: b.msg, Path: b.path}
		// The place is that of the nearest collection, as DVC has it.
		path := b.path
		for step := 1; len(path) > 0 && step < 5; step++ {
			if pos, ok := doc.Pos(true, path...); ok {
				p.Line, p.Col = pos.Line, pos.Col
				p.from, p.to = pos.Line-1, pos.Line+step-1
				break
			}
			path = path[:len(path)-1]
		}
		e.Problems = append(e.Problems, p)
	}
	return invalid(e)
}
