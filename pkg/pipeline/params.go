package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Values that only files of parameters hold, beside those of yamlfmt.
type (
	// Tuple is a Python tuple.
	Tuple []any
	// Set is a Python set, in the order of the source.
	Set []any
	// Bytes is a Python bytes literal.
	Bytes string
)

// DefaultParamsFile is the file of parameters whose name may be left out.
const DefaultParamsFile = "params.yaml"

// LoadParams reads a file of parameters: JSON, TOML or Python by the suffix
// of its name, YAML otherwise. The result is usually a *yamlfmt.Map; an empty
// file is an empty one. name, as the user would type it, is for messages.
func LoadParams(name string, text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, paramsError(name, "is not valid utf-8", nil)
	}
	var v any
	var err error
	format := "YAML"
	switch strings.ToLower(suffix(name)) {
	case ".json":
		format = "JSON"
		v, err = parseJSON(text)
	case ".toml":
		format = "TOML"
		v, err = parseTOML(text)
	case ".py":
		format = "Python"
		v, err = parsePython(text)
	default:
		var doc *yamlfmt.Doc
		if doc, err = yamlfmt.Parse(text); err == nil {
			v = doc.Value()
		}
	}
	if err != nil {
		return nil, paramsError(name, format+" file structure is corrupted", err)
	}
	if isFalsy(v) {
		return &yamlfmt.Map{}, nil
	}
	return v, nil
}

// paramsError has DVC's words; the cause says where.
func paramsError(name, what string, cause error) error {
	e := &errs.Error{Kind: errs.Invalid, Msg: fmt.Sprintf("unable to read: '%s', %s", name, what), File: name, Err: cause}
	var syntax *yamlfmt.SyntaxError
	var py *sourceError
	switch {
	case errors.As(cause, &syntax):
		e.Line = syntax.Line
	case errors.As(cause, &py):
		e.Line = py.line
	}
	return e
}

// sourceError is what is wrong with a text, and in which line.
type sourceError struct {
	line int
	msg  string
}

func (e *sourceError) Error() string { return fmt.Sprintf("%s, line %d", e.msg, e.line) }

// suffix is the extension of a path, as Python has it: a leading dot is no
// extension.
func suffix(name string) string {
	return path.Ext(strings.TrimLeft(path.Base(name), "."))
}

func isFalsy(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case string:
		return x == ""
	case int64:
		return x == 0
	case float64:
		return x == 0
	case []any:
		return len(x) == 0
	case *yamlfmt.Map:
		return x.Len() == 0
	}
	return false
}

// ReadParams reads the parameters that a stage names: keys of file, or all of
// it if there are none. Keys that the file lacks are left out. The error is of
// kind NotFound if the file does not exist.
func ReadParams(fsys fs.FS, file string, keys []string) (*Lookup, error) {
	text, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("Parameters file '%s' does not exist", file), Err: nil}
	}
	if err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	v, err := LoadParams(file, text)
	if err != nil {
		return nil, err
	}
	return SelectParams(v, keys)
}

// SelectParams picks keys from a loaded file, as [ReadParams].
func SelectParams(v any, keys []string) (*Lookup, error) {
	out := &Lookup{Values: map[string]any{}}
	if len(keys) == 0 {
		m, ok := v.(*yamlfmt.Map)
		if !ok {
			return nil, errs.New(errs.Invalid, "expected a dictionary of parameters, got '%s'", pyType(v))
		}
		for k, e := range m.All() {
			out.Keys = append(out.Keys, k)
			out.Values[k] = e
		}
		return out, nil
	}
	for _, k := range keys {
		e, ok, err := FindParam(v, k)
		if err != nil {
			return nil, err
		}
		if _, again := out.Values[k]; ok && !again {
			out.Keys = append(out.Keys, k)
			out.Values[k] = e
		}
	}
	return out, nil
}

// FindParam looks up a dotted key, whose parts are keys of mappings and
// indices of lists. A part may be a pattern of * ? [] and ** that matches one
// value only; more are an error, as they are for DVC.
func FindParam(v any, key string) (any, bool, error) {
	var found []any
	findParam(v, strings.Split(strings.TrimLeft(key, "."), "."), &found)
	switch len(found) {
	case 0:
		return nil, false, nil
	case 1:
		return found[0], true, nil
	}
	return nil, false, errs.New(errs.Invalid, "the parameter '%s' stands for %d values; name one of them", key, len(found))
}

func findParam(v any, parts []string, found *[]any) {
	if len(parts) == 0 {
		*found = append(*found, v)
		return
	}
	part, rest := parts[0], parts[1:]
	if part == "**" {
		findParam(v, rest, found)
		eachChild(v, func(_, e any) { findParam(e, parts, found) })
		return
	}
	if m, ok := v.(*yamlfmt.Map); ok && !strings.ContainsAny(part, "*?[") {
		if e, ok := m.Get(part); ok {
			findParam(e, rest, found)
			return
		}
	}
	eachChild(v, func(k, e any) {
		if matchPart(part, k) {
			findParam(e, rest, found)
		}
	})
}

func eachChild(v any, visit func(k, e any)) {
	list, ok := sequence(v)
	if m, isMap := v.(*yamlfmt.Map); isMap {
		for k, e := range m.AllKeys() {
			visit(k, e)
		}
	} else if ok {
		for i, e := range list {
			visit(int64(i), e)
		}
	}
}

func matchPart(part string, key any) bool {
	switch k := key.(type) {
	case string:
		return fnmatch(part, k)
	case bool:
		n := 0
		if k {
			n = 1
		}
		i, ok := pyInt(part)
		return ok && i == n || fnmatch(part, pyStr(k))
	case int64:
		if i, ok := pyInt(strings.TrimSpace(part)); ok {
			return int64(i) == k
		}
		return fnmatch(part, strconv.FormatInt(k, 10))
	}
	return false
}

// fnmatch is Python's fnmatch.fnmatchcase.
func fnmatch(pattern, s string) bool {
	if !strings.ContainsAny(pattern, "*?[") {
		return pattern == s
	}
	return fnmatchRunes([]rune(pattern), []rune(s))
}

func fnmatchRunes(p, s []rune) bool {
	// Only the last star needs to be tried again: what an earlier one could
	// take, a later one can too.
	star, back := -1, 0
	i, j := 0, 0
	for j < len(s) {
		if i < len(p) && p[i] == '*' {
			star, back = i, j
			i++
			continue
		}
		if n, ok := matchOne(p[i:], s[j]); ok {
			i += n
			j++
			continue
		}
		if star < 0 {
			return false
		}
		back++
		i, j = star+1, back
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// matchOne matches one character with the head of a pattern, whose length it
// returns.
func matchOne(p []rune, c rune) (int, bool) {
	if len(p) == 0 {
		return 0, false
	}
	if p[0] == '?' {
		return 1, true
	}
	if p[0] == '[' {
		first := 1
		not := len(p) > 1 && p[1] == '!'
		if not {
			first = 2
		}
		for end := first + 1; end < len(p); end++ {
			if p[end] == ']' {
				return end + 1, inClass(p[first:end], c) != not
			}
		}
	}
	return 1, p[0] == c
}

func inClass(class []rune, c rune) bool {
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			if class[i] <= c && c <= class[i+2] {
				return true
			}
			i += 2
		} else if class[i] == c {
			return true
		}
	}
	return false
}

// sequence is a list or a tuple.
func sequence(v any) ([]any, bool) {
	switch x := v.(type) {
	case []any:
		return x, true
	case Tuple:
		return x, true
	}
	return nil, false
}

// ParamChange is how a parameter differs from what the lock recorded.
type ParamChange struct {
	Key      string // "" is the file as a whole
	State    string // new, deleted or modified
	Old, New any
}

// Changes compares what the lock recorded with what the file holds now, in the
// order in which DVC reports it. actual is nil if the file does not exist.
func (d *ParamDep) Changes(actual *Lookup) []ParamChange {
	switch {
	case actual == nil:
		return []ParamChange{{State: "deleted"}}
	case d.Values == nil:
		return []ParamChange{{State: "new"}}
	}
	keys := d.Keys
	if keys == nil {
		keys = append(append(keys, actual.Keys...), d.Values.Keys...)
	}
	var out []ParamChange
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		now, isThere := actual.Values[k]
		old, wasThere := d.Values.Values[k]
		switch {
		case !isThere:
			out = append(out, ParamChange{k, "deleted", old, nil})
		case !wasThere:
			out = append(out, ParamChange{k, "new", nil, now})
		case !EqualParams(now, old):
			out = append(out, ParamChange{k, "modified", old, now})
		}
	}
	return out
}

// Missing lists the keys that the stage names and the file lacks, without
// which what the stage used cannot be recorded.
func (d *ParamDep) Missing(actual *Lookup) []string {
	var out []string
	for _, k := range d.Keys {
		if _, ok := actual.Values[k]; !ok && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// EqualParams compares a value with a recorded one as Python does: 1, 1.0 and
// True are equal, the order of keys does not count. Tuples and sets are equal
// to the lists that the lock makes of them.
func EqualParams(a, b any) bool { return yamlfmt.Equal(PlainParam(a), PlainParam(b)) }

// PlainParam is v as a lock can hold it: tuples are lists, sets are lists in
// sorted order of their text, bytes are text.
func PlainParam(v any) any {
	switch x := v.(type) {
	case Tuple:
		return plainList(x)
	case []any:
		return plainList(x)
	case Set:
		list := plainList(x)
		sort.SliceStable(list, func(i, j int) bool { return pyStr(list[i]) < pyStr(list[j]) })
		return list
	case Bytes:
		return string(x)
	case *yamlfmt.Map:
		m := &yamlfmt.Map{}
		for k, e := range x.AllKeys() {
			m.SetKey(k, PlainParam(e))
		}
		return m
	}
	return v
}

func plainList(list []any) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = PlainParam(e)
	}
	return out
}

// ParamText shows a value as Python's str does.
func ParamText(v any) string { return pyStr(v) }

// pyType is the name of the Python type that holds a value.
func pyType(v any) string {
	switch x := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case float64:
		return "float"
	case int64, int, *big.Int:
		return "int"
	case []any:
		return "list"
	case *yamlfmt.Map:
		return "dict"
	case Tuple:
		return "tuple"
	case Set:
		return "set"
	case Bytes:
		return "bytes"
	case yamlfmt.Date:
		if x.DateOnly {
			return "date"
		}
		return "datetime"
	case *tmplNode:
		return pyType(x.value())
	}
	return fmt.Sprintf("%T", v)
}

// pyStr is Python's str of a value.
func pyStr(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case *tmplNode:
		return pyStr(x.value())
	case Bytes:
		return "b" + yamlfmt.PyRepr(string(x))
	case Tuple:
		s := yamlfmt.PyRepr(PlainParam(x))
		s = s[1 : len(s)-1]
		if len(x) == 1 {
			s += ","
		}
		return "(" + s + ")"
	case Set:
		if len(x) == 0 {
			return "set()"
		}
		s := yamlfmt.PyRepr(PlainParam(x))
		return "{" + s[1:len(s)-1] + "}"
	}
	return yamlfmt.PyStr(v)
}

// maxNesting is how deep the values of JSON and Python files may be nested.
const maxNesting = 200

// parseJSON reads JSON as Python does: with NaN and Infinity, integers of any
// size, and the last of equal keys.
func parseJSON(text []byte) (v any, err error) {
	p := &jsonParser{text: text}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*sourceError)
			if !ok {
				panic(r)
			}
			v, err = nil, e
		}
	}()
	v = p.value(0)
	p.blank()
	if p.at < len(text) {
		p.fail("extra data")
	}
	return v, nil
}

type jsonParser struct {
	text []byte
	at   int
}

func (p *jsonParser) fail(msg string) {
	panic(&sourceError{1 + strings.Count(string(p.text[:min(p.at, len(p.text))]), "\n"), msg})
}

func (p *jsonParser) blank() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

// is takes c if it comes next.
func (p *jsonParser) is(c byte) bool {
	p.blank()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *jsonParser) word(w string) bool {
	if strings.HasPrefix(string(p.text[p.at:min(len(p.text), p.at+len(w))]), w) {
		p.at += len(w)
		return true
	}
	return false
}

func (p *jsonParser) value(depth int) any {
	if depth > maxNesting {
		p.fail("too deeply nested")
	}
	switch {
	case p.is('{'):
		return p.object(depth)
	case p.is('['):
		return p.array(depth)
	case p.is('"'):
		return p.str()
	case p.word("true"):
		return true
	case p.word("false"):
		return false
	case p.word("null"):
		return nil
	case p.word("NaN"):
		return math.NaN()
	case p.word("Infinity"):
		return math.Inf(1)
	case p.word("-Infinity"):
		return math.Inf(-1)
	}
	return p.number()
}

func (p *jsonParser) object(depth int) any {
	m := &yamlfmt.Map{}
	if p.is('}') {
		return m
	}
	for {
		if !p.is('"') {
			p.fail("expected a name in double quotes")
		}
		k := p.str()
		if !p.is(':') {
			p.fail("expected ':'")
		}
		m.Set(k, p.value(depth+1))
		if p.is('}') {
			return m
		}
		if !p.is(',') {
			p.fail("expected ',' or '}'")
		}
	}
}

func (p *jsonParser) array(depth int) any {
	list := []any{}
	if p.is(']') {
		return list
	}
	for {
		list = append(list, p.value(depth+1))
		if p.is(']') {
			return list
		}
		if !p.is(',') {
			p.fail("expected ',' or ']'")
		}
	}
}

func (p *jsonParser) number() any {
	start := p.at
	digits := func() int {
		from := p.at
		for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
			p.at++
		}
		return p.at - from
	}
	p.word("-")
	first := p.at
	if n := digits(); n == 0 {
		p.at = start
		p.fail("expected a value")
	} else if n > 1 && p.text[first] == '0' {
		p.at = first + 1 // what follows is extra data
	}
	isFloat := false
	if mark := p.at; p.word(".") {
		if isFloat = digits() > 0; !isFloat {
			p.at = mark
		}
	}
	if mark := p.at; p.word("e") || p.word("E") {
		_ = p.word("+") || p.word("-")
		if digits() > 0 {
			isFloat = true
		} else {
			p.at = mark
		}
	}
	return parseNumber(string(p.text[start:p.at]), isFloat)
}

// parseNumber reads a decimal number; a float beyond range is infinite.
func parseNumber(s string, isFloat bool) any {
	if isFloat {
		f, _ := strconv.ParseFloat(s, 64)
		return f
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	i, _ := new(big.Int).SetString(s, 10)
	return i
}

func (p *jsonParser) str() string {
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return b.String()
		case c < ' ':
			p.at--
			p.fail("control character in a string")
		case c != '\\':
			b.WriteByte(c)
		default:
			p.escape(&b)
		}
	}
	p.fail("unterminated string")
	return ""
}

func (p *jsonParser) escape(b *strings.Builder) {
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		if i := strings.IndexByte(from, c); i >= 0 {
			b.WriteByte(to[i])
			return
		}
		if c == 'u' {
			r := p.hex4()
			if r >= 0xd800 && r < 0xdc00 && p.word(`\u`) {
				low := p.hex4()
				if low >= 0xdc00 && low < 0xe000 {
					r = (r-0xd800)<<10 + low - 0xdc00 + 0x10000
				} else {
					b.WriteRune(utf8.RuneError)
					r = low
				}
			}
			b.WriteRune(r)
			return
		}
	}
	p.fail("bad escape in a string")
}

func (p *jsonParser) hex4() rune {
	if p.at+4 <= len(p.text) {
		if n, err := strconv.ParseUint(string(p.text[p.at:p.at+4]), 16, 32); err == nil {
			p.at += 4
			return rune(n)
		}
	}
	p.fail(`bad \u escape`)
	return 0
}

// parseTOML reads TOML, keys in the order of the text.
func parseTOML(text []byte) (any, error) {
	var raw map[string]any
	if err := toml.Unmarshal(text, &raw); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			line, _ := de.Position()
			return nil, &sourceError{line, strings.TrimPrefix(err.Error(), "toml: ")}
		}
		return nil, err
	}
	order := tomlOrder(text)
	return fromTOML(raw, "", order), nil
}

// tomlOrder numbers the keys of a text by first appearance.
func tomlOrder(text []byte) map[string]int {
	o := tomlKeys{order: map[string]int{}, items: map[string]int{}}
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			table = o.item(o.key("", e.Key()))
		case unstable.ArrayTable:
			table = o.key("", e.Key())
			o.items[table]++
			table = o.item(table)
		case unstable.KeyValue:
			o.value(table, e)
		}
	}
	return o.order
}

// tomlKeys names the keys of a text by their paths, see [tomlKey] and
// [tomlItem].
type tomlKeys struct {
	order map[string]int
	items map[string]int // how many [[tables]] there are of a name so far
}

func tomlKey(table, key string) string    { return table + "\x00" + key }
func tomlItem(array string, i int) string { return array + "\x01" + strconv.Itoa(i) }

// item is the last table of an array of tables.
func (o *tomlKeys) item(path string) string {
	if n := o.items[path]; n > 0 {
		return tomlItem(path, n-1)
	}
	return path
}

func (o *tomlKeys) key(path string, it unstable.Iterator) string {
	for it.Next() {
		path = tomlKey(o.item(path), string(it.Node().Data))
		if _, ok := o.order[path]; !ok {
			o.order[path] = len(o.order)
		}
	}
	return path
}

func (o *tomlKeys) value(path string, n *unstable.Node) {
	if n.Kind == unstable.KeyValue {
		path = o.key(path, n.Key())
		n = n.Value()
	}
	i := 0
	for it := n.Children(); (n.Kind == unstable.InlineTable || n.Kind == unstable.Array) && it.Next(); i++ {
		if n.Kind == unstable.Array {
			o.value(tomlItem(path, i), it.Node())
		} else {
			o.value(path, it.Node())
		}
	}
}

func fromTOML(v any, prefix string, order map[string]int) any {
	switch x := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool {
			a, okA := order[tomlKey(prefix, keys[i])]
			b, okB := order[tomlKey(prefix, keys[j])]
			if okA && okB {
				return a < b
			}
			return okA || !okB && keys[i] < keys[j]
		})
		m := &yamlfmt.Map{}
		for _, k := range keys {
			m.Set(k, fromTOML(x[k], tomlKey(prefix, k), order))
		}
		return m
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = fromTOML(e, tomlItem(prefix, i), order)
		}
		return list
	case toml.LocalDate:
		return yamlfmt.Date{Time: x.AsTime(time.UTC), DateOnly: true}
	case toml.LocalDateTime:
		return yamlfmt.Date{Time: x.AsTime(time.UTC)}
	case time.Time:
		return yamlfmt.Date{Time: x, HasZone: true}
	case toml.LocalTime:
		return x.String()
	}
	return v
}

// SearchParams is what a loaded file has at keys, in the shape it has there:
// mappings with nothing else in them, lists with nil before an element that
// was asked for. A part of a key may be a pattern. What several keys find is
// merged as DVC does it: mappings into each other, lists by appending.
func SearchParams(v any, keys []string) *yamlfmt.Map {
	out := &yamlfmt.Map{}
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		if found, ok := viewParam(v, strings.Split(strings.TrimLeft(k, "."), ".")); ok {
			if m, isMap := found.(*yamlfmt.Map); isMap {
				mergeView(out, m)
			}
		}
	}
	return out
}

// viewParam copies the part of v that a key stands for.
func viewParam(v any, parts []string) (any, bool) {
	if len(parts) == 0 {
		return copyParam(v), true
	}
	part, rest := parts[0], parts[1:]
	deeper := rest
	if part == "**" {
		if whole, ok := viewParam(v, rest); ok && len(rest) == 0 {
			return whole, true
		}
		deeper = parts
	}
	var m *yamlfmt.Map
	var list []any
	some := false
	exact := false
	if x, ok := v.(*yamlfmt.Map); ok && !strings.ContainsAny(part, "*?[") {
		exact = x.Has(part)
	}
	eachChild(v, func(k, e any) {
		var found any
		ok := false
		switch {
		case part == "**":
			// Both of none and of some levels.
			if len(rest) > 0 && matchPart(rest[0], k) {
				found, ok = viewParam(e, rest[1:])
			}
			if !ok {
				found, ok = viewParam(e, deeper)
			}
		case exact && k != any(part):
		case matchPart(part, k):
			found, ok = viewParam(e, rest)
		}
		if !ok {
			return
		}
		some = true
		if _, isMap := v.(*yamlfmt.Map); isMap {
			if m == nil {
				m = &yamlfmt.Map{}
			}
			m.SetKey(k, found)
			return
		}
		for int64(len(list)) < k.(int64) {
			list = append(list, nil)
		}
		list = append(list, found)
	})
	if !some {
		return nil, false
	}
	if m != nil {
		return m, true
	}
	return list, true
}

func copyParam(v any) any {
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = copyParam(e)
		}
		return out
	case *yamlfmt.Map:
		m := &yamlfmt.Map{}
		for k, e := range x.AllKeys() {
			m.SetKey(k, copyParam(e))
		}
		return m
	}
	return v
}

func mergeView(dst, src *yamlfmt.Map) {
	for k, v := range src.AllKeys() {
		old, _ := dst.GetKey(k)
		switch x := v.(type) {
		case *yamlfmt.Map:
			if into, ok := old.(*yamlfmt.Map); ok {
				mergeView(into, x)
				continue
			}
		case []any:
			if into, ok := old.([]any); ok {
				dst.SetKey(k, append(into[:len(into):len(into)], x...))
				continue
			}
		}
		dst.SetKey(k, v)
	}
}
