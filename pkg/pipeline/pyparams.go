package pipeline

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Parameters in Python files are read without Python: the text is split into
// tokens and logical lines, of which only assignments of literals, classes
// and __init__ are looked at. What is no literal is passed over, as DVC does;
// a text whose strings, brackets or indentation are broken is an error.

type pyKind uint8

const (
	pyName pyKind = iota
	pyNumber
	pyString
	pyOp
)

type pyToken struct {
	kind pyKind
	text string // as written
}

func (t pyToken) op(s string) bool { return t.kind == pyOp && t.text == s }

// pyLine is a logical line.
type pyLine struct {
	indent int
	tokens []pyToken
	number int
}

// parsePython returns the parameters of a Python file.
func parsePython(text []byte) (v any, err error) {
	s := &pyScanner{text: strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\r", "\n"), line: 1}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*sourceError)
			if !ok {
				panic(r)
			}
			v, err = nil, e
		}
	}()
	return pyBlock(s.lines(), false), nil
}

type pyScanner struct {
	text  string
	at    int
	line  int
	depth []byte // open brackets
}

func (s *pyScanner) fail(format string, args ...any) {
	panic(&sourceError{s.line, fmt.Sprintf(format, args...)})
}

// lines splits the text and checks that blocks are indented consistently.
func (s *pyScanner) lines() []pyLine {
	var out []pyLine
	open := []int{0}
	for s.at < len(s.text) {
		l := pyLine{indent: s.indent(), number: s.line}
		l.tokens = s.logical()
		if len(l.tokens) == 0 {
			continue
		}
		for l.indent < open[len(open)-1] {
			open = open[:len(open)-1]
		}
		if l.indent > open[len(open)-1] {
			if len(out) == 0 || !out[len(out)-1].opensBlock() {
				panic(&sourceError{l.number, "unexpected indent"})
			}
			open = append(open, l.indent)
		} else if len(out) > 0 && out[len(out)-1].opensBlock() && l.indent <= out[len(out)-1].indent {
			panic(&sourceError{l.number, "expected an indented block"})
		}
		out = append(out, l)
	}
	if len(out) > 0 && out[len(out)-1].opensBlock() {
		s.fail("expected an indented block")
	}
	return out
}

func (l *pyLine) opensBlock() bool { return l.tokens[len(l.tokens)-1].op(":") }

func (s *pyScanner) indent() int {
	n := 0
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ' ':
			n++
		case '\t':
			n += 8 - n%8
		case '\f':
			n = 0
		default:
			return n
		}
	}
	return n
}

// logical reads the tokens up to a line end outside of brackets.
func (s *pyScanner) logical() []pyToken {
	var out []pyToken
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '\n':
			s.at++
			s.line++
			if len(s.depth) == 0 {
				return out
			}
		case c == ' ' || c == '\t' || c == '\f':
			s.at++
		case c == '#':
			for s.at < len(s.text) && s.text[s.at] != '\n' {
				s.at++
			}
		case c == '\\':
			if !strings.HasPrefix(s.text[s.at:], "\\\n") {
				s.fail("unexpected character after line continuation character")
			}
			s.at += 2
			s.line++
		default:
			out = append(out, s.token())
		}
	}
	if len(s.depth) > 0 {
		s.fail("'%c' was never closed", s.depth[len(s.depth)-1])
	}
	return out
}

func (s *pyScanner) token() pyToken {
	start := s.at
	c := s.text[s.at]
	switch {
	case c == '"' || c == '\'':
		return s.str(start)
	case isDigit(c) || c == '.' && s.at+1 < len(s.text) && isDigit(s.text[s.at+1]):
		return s.number()
	}
	r, _ := utf8.DecodeRuneInString(s.text[s.at:])
	if r == '_' || unicode.IsLetter(r) {
		for s.at < len(s.text) {
			r, w := utf8.DecodeRuneInString(s.text[s.at:])
			if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
				break
			}
			s.at += w
		}
		if s.at < len(s.text) && (s.text[s.at] == '"' || s.text[s.at] == '\'') && isStringPrefix(s.text[start:s.at]) {
			return s.str(start)
		}
		return pyToken{pyName, s.text[start:s.at]}
	}
	return s.operator()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isStringPrefix(p string) bool {
	switch strings.ToLower(p) {
	case "r", "u", "b", "f", "br", "rb", "fr", "rf":
		return true
	}
	return false
}

func (s *pyScanner) operator() pyToken {
	const two = "== != <= >= -> := += -= *= /= %= @= &= |= ^= << >> ** //"
	for _, op := range []string{"...", "**=", "//=", "<<=", ">>="} {
		if strings.HasPrefix(s.text[s.at:], op) {
			s.at += 3
			return pyToken{pyOp, op}
		}
	}
	if rest := s.text[s.at:]; len(rest) > 1 && !strings.Contains(rest[:2], " ") && strings.Contains(two, rest[:2]) {
		s.at += 2
		return pyToken{pyOp, rest[:2]}
	}
	c := s.text[s.at]
	switch c {
	case '(', '[', '{':
		if len(s.depth) >= maxNesting {
			s.fail("too many nested parentheses")
		}
		s.depth = append(s.depth, c)
	case ')', ']', '}':
		if n := len(s.depth); n == 0 || s.depth[n-1] != map[byte]byte{')': '(', ']': '[', '}': '{'}[c] {
			s.fail("unmatched '%c'", c)
		}
		s.depth = s.depth[:len(s.depth)-1]
	default:
		if strings.IndexByte("+-*/%@&|^~<>=.,:;", c) < 0 {
			r, _ := utf8.DecodeRuneInString(s.text[s.at:])
			s.fail("invalid character %q", r)
		}
	}
	s.at++
	return pyToken{pyOp, string(c)}
}

func (s *pyScanner) number() pyToken {
	start := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		exponent := (c == '+' || c == '-') && s.text[s.at-1]|0x20 == 'e' && !strings.HasPrefix(strings.ToLower(s.text[start:s.at]), "0x")
		if !isDigit(c) && c != '.' && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && !exponent {
			break
		}
		s.at++
	}
	text := s.text[start:s.at]
	// A keyword may follow at once, as in "1if x else 2"; such a line holds
	// no literal, so that the text need not be split.
	return pyToken{pyNumber, text}
}

// str reads a string whose prefix starts at start; s.at is at its quote.
func (s *pyScanner) str(start int) pyToken {
	quote := s.text[s.at : s.at+1]
	if strings.HasPrefix(s.text[s.at:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	s.at += len(quote)
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\\':
			if s.at+1 < len(s.text) && s.text[s.at+1] == '\n' {
				s.line++
			}
			s.at += 2
			continue
		case c == '\n' && len(quote) == 1:
			s.fail("unterminated string literal")
		case c == '\n':
			s.line++
		case strings.HasPrefix(s.text[s.at:], quote):
			s.at += len(quote)
			return pyToken{pyString, s.text[start:s.at]}
		}
		s.at++
	}
	s.fail("unterminated string literal")
	return pyToken{}
}

// pyBlock collects the parameters of lines of one block and of the classes
// in it. With onlySelf it is the body of __init__, where only attributes of
// self count.
func pyBlock(lines []pyLine, onlySelf bool) *yamlfmt.Map {
	out := &yamlfmt.Map{}
	for i := 0; i < len(lines); {
		l := lines[i]
		end := i + 1
		for end < len(lines) && lines[end].indent > l.indent {
			end++
		}
		body := lines[i+1 : end]
		i = end
		head := l.tokens[0]
		switch {
		case head.kind == pyName && head.text == "class" && len(l.tokens) > 1:
			out.Set(l.tokens[1].text, pyBlock(l.body(body), false))
		case head.kind == pyName && head.text == "def" && len(l.tokens) > 1 && l.tokens[1].text == "__init__":
			update(out, pyBlock(l.body(body), true))
		default:
			for _, statement := range splitTokens(l.tokens, ";") {
				pyAssign(out, statement, onlySelf)
			}
		}
	}
	return out
}

func update(m, from *yamlfmt.Map) {
	for k, v := range from.AllKeys() {
		m.SetKey(k, v)
	}
}

// body is the block that a compound statement opens, which may stand on its
// own line.
func (l *pyLine) body(below []pyLine) []pyLine {
	if l.opensBlock() {
		return below
	}
	parts := splitTokens(l.tokens, ":")
	if len(parts) < 2 {
		return nil
	}
	return []pyLine{{l.indent + 1, l.tokens[len(parts[0])+1:], l.number}}
}

// splitTokens splits at an operator outside of brackets.
func splitTokens(tokens []pyToken, op string) [][]pyToken {
	var out [][]pyToken
	depth, start := 0, 0
	for i, t := range tokens {
		if t.kind != pyOp {
			continue
		}
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case op:
			if depth == 0 {
				out = append(out, tokens[start:i])
				start = i + 1
			}
		}
	}
	return append(out, tokens[start:])
}

// pyAssign adds what a statement assigns, if it is an assignment of a literal
// to one name.
func pyAssign(out *yamlfmt.Map, statement []pyToken, onlySelf bool) {
	parts := splitTokens(statement, "=")
	if len(parts) != 2 {
		return
	}
	target := parts[0]
	if annotated := splitTokens(target, ":"); len(annotated) == 2 {
		target = annotated[0]
	} else if len(annotated) > 2 {
		return
	}
	for len(target) > 2 && target[0].op("(") && target[len(target)-1].op(")") {
		target = target[1 : len(target)-1]
	}
	name, ok := pyTarget(target, onlySelf)
	if !ok {
		return
	}
	p := &pyLiteral{tokens: parts[1]}
	if v, ok := p.top(); ok {
		out.Set(name, v)
	}
}

func pyTarget(t []pyToken, onlySelf bool) (string, bool) {
	switch {
	case len(t) == 1 && t[0].kind == pyName && !onlySelf && !pyKeyword(t[0].text):
		return t[0].text, true
	case len(t) == 3 && t[0].kind == pyName && t[0].text == "self" && t[1].op(".") && t[2].kind == pyName:
		return t[2].text, true
	}
	return "", false
}

func pyKeyword(s string) bool {
	switch s {
	case "else", "try", "finally", "lambda", "True", "False", "None", "pass", "return", "break", "continue", "raise", "yield":
		return true
	}
	return false
}

// pyLiteral evaluates a literal as Python's ast.literal_eval does. ok is
// false for anything else.
type pyLiteral struct {
	tokens []pyToken
	at     int
}

func (p *pyLiteral) is(op string) bool {
	if p.at < len(p.tokens) && p.tokens[p.at].op(op) {
		p.at++
		return true
	}
	return false
}

// top is a whole right-hand side, where a tuple needs no brackets.
func (p *pyLiteral) top() (any, bool) {
	v, ok := p.value(0)
	if !ok {
		return nil, false
	}
	if p.at < len(p.tokens) && p.tokens[p.at].op(",") {
		list := Tuple{v}
		for p.is(",") && p.at < len(p.tokens) {
			if v, ok = p.value(0); !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, p.at == len(p.tokens)
	}
	return v, p.at == len(p.tokens)
}

func (p *pyLiteral) value(depth int) (any, bool) {
	if p.at >= len(p.tokens) || depth > maxNesting {
		return nil, false
	}
	t := p.tokens[p.at]
	p.at++
	switch t.kind {
	case pyString:
		p.at--
		return p.strings()
	case pyNumber:
		return pyNumberValue(t.text)
	case pyName:
		return p.constant(t.text)
	}
	switch t.text {
	case "-", "+":
		// The sign of a sign is an expression, which is no literal.
		for i := p.at; i < len(p.tokens) && p.tokens[i].kind != pyNumber; i++ {
			if !p.tokens[i].op("(") {
				return nil, false
			}
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		return signed(t.text, v)
	case "(":
		return p.parens(depth + 1)
	case "[":
		list, ok := p.items("]", depth+1)
		return list, ok
	case "{":
		return p.braces(depth + 1)
	}
	return nil, false
}

func (p *pyLiteral) constant(name string) (any, bool) {
	switch name {
	case "True":
		return true, true
	case "False":
		return false, true
	case "None":
		return nil, true
	case "set":
		return Set{}, p.is("(") && p.is(")")
	}
	return nil, false
}

func signed(sign string, v any) (any, bool) {
	switch x := v.(type) {
	case int64:
		if sign == "-" {
			if x == -x && x != 0 {
				return new(big.Int).Neg(big.NewInt(x)), true
			}
			return -x, true
		}
		return x, true
	case *big.Int:
		if sign == "-" {
			return normalInt(new(big.Int).Neg(x)), true
		}
		return x, true
	case float64:
		if sign == "-" {
			return -x, true
		}
		return x, true
	}
	return nil, false
}

func normalInt(i *big.Int) any {
	if i.IsInt64() {
		return i.Int64()
	}
	return i
}

func (p *pyLiteral) items(closing string, depth int) ([]any, bool) {
	list := []any{}
	for !p.is(closing) {
		v, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		list = append(list, v)
		if !p.is(",") {
			return list, p.is(closing)
		}
	}
	return list, true
}

func (p *pyLiteral) parens(depth int) (any, bool) {
	from := p.at
	list, ok := p.items(")", depth)
	if !ok {
		return nil, false
	}
	if len(list) == 1 && !p.tokens[p.at-2].op(",") && p.at-from > 1 {
		return list[0], true
	}
	return Tuple(list), true
}

func (p *pyLiteral) braces(depth int) (any, bool) {
	m := &yamlfmt.Map{}
	if p.is("}") {
		return m, true
	}
	first, ok := p.value(depth)
	if !ok {
		return nil, false
	}
	if !p.is(":") {
		set := Set{first}
		if p.is(",") {
			rest, ok := p.items("}", depth)
			if !ok {
				return nil, false
			}
			for _, v := range rest {
				if !set.has(v) {
					set = append(set, v)
				}
			}
			return set, set.hashable()
		}
		return set, p.is("}") && set.hashable()
	}
	for {
		v, ok := p.value(depth)
		if !ok || !isHashable(first) {
			return nil, false
		}
		m.SetKey(pyKey(first), v)
		if p.is("}") {
			return m, true
		}
		if !p.is(",") {
			return nil, false
		}
		if p.is("}") {
			return m, true
		}
		if first, ok = p.value(depth); !ok || !p.is(":") {
			return nil, false
		}
	}
}

// pyKey is a key as a mapping can have it: a tuple or bytes becomes its text.
func pyKey(v any) any {
	switch v.(type) {
	case Tuple, Bytes:
		return pyStr(v)
	}
	return v
}

func (s Set) hashable() bool {
	for _, v := range s {
		if !isHashable(v) {
			return false
		}
	}
	return true
}

func (s Set) has(v any) bool {
	for _, w := range s {
		if EqualParams(v, w) {
			return true
		}
	}
	return false
}

func isHashable(v any) bool {
	switch x := v.(type) {
	case []any, Set, *yamlfmt.Map:
		return false
	case Tuple:
		return Set(x).hashable()
	}
	return true
}

func pyNumberValue(text string) (any, bool) {
	clean := strings.ToLower(text)
	if strings.Contains(clean, "__") || strings.HasSuffix(clean, "_") {
		return nil, false
	}
	clean = strings.ReplaceAll(clean, "_", "")
	if len(clean) > 1 && clean[0] == '0' && strings.IndexByte("xob", clean[1]) >= 0 {
		i, ok := new(big.Int).SetString(clean, 0)
		if !ok {
			return nil, false
		}
		return normalInt(i), true
	}
	if !strings.ContainsAny(clean, ".e") {
		if len(clean) > 1 && clean[0] == '0' && strings.Trim(clean, "0") != "" {
			return nil, false
		}
		i, ok := new(big.Int).SetString(clean, 10)
		if !ok {
			return nil, false
		}
		return normalInt(i), true
	}
	for i := 0; i < len(clean); i++ {
		if c := clean[i]; !isDigit(c) && strings.IndexByte(".e+-", c) < 0 {
			return nil, false
		}
	}
	f, err := strconv.ParseFloat(clean, 64)
	if err != nil && (err.(*strconv.NumError)).Err != strconv.ErrRange {
		return nil, false
	}
	return f, true
}

// strings joins adjacent string literals.
func (p *pyLiteral) strings() (any, bool) {
	var text strings.Builder
	isBytes := false
	for first := true; p.at < len(p.tokens) && p.tokens[p.at].kind == pyString; first = false {
		s, b, ok := unquotePython(p.tokens[p.at].text)
		if !ok || !first && b != isBytes {
			return nil, false
		}
		isBytes = b
		text.WriteString(s)
		p.at++
	}
	if isBytes {
		return Bytes(text.String()), true
	}
	return text.String(), true
}

// unquotePython evaluates one string literal; ok is false for an f-string
// and for escapes that need a table of names.
func unquotePython(lit string) (s string, isBytes, ok bool) {
	q := strings.IndexAny(lit, `"'`)
	prefix := strings.ToLower(lit[:q])
	if strings.Contains(prefix, "f") {
		return "", false, false
	}
	isBytes = strings.Contains(prefix, "b")
	n := 1
	if triple := strings.Repeat(lit[q:q+1], 3); strings.HasPrefix(lit[q:], triple) && len(lit) >= q+6 {
		n = 3
	}
	body := lit[q+n : len(lit)-n]
	if strings.Contains(prefix, "r") || strings.IndexByte(body, '\\') < 0 {
		return body, isBytes, true
	}
	var b strings.Builder
	for i := 0; i < len(body); {
		if body[i] != '\\' {
			b.WriteByte(body[i])
			i++
			continue
		}
		w, ok := pyEscape(&b, body[i:], isBytes)
		if !ok {
			return "", false, false
		}
		i += w
	}
	return b.String(), isBytes, true
}

// pyEscape writes the escape at the head of s and returns its length.
func pyEscape(b *strings.Builder, s string, isBytes bool) (int, bool) {
	const from, to = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
	if len(s) < 2 {
		return 0, false
	}
	put := func(n uint64) {
		if isBytes {
			b.WriteByte(byte(n))
		} else {
			b.WriteRune(rune(n))
		}
	}
	c := s[1]
	if c == '\n' {
		return 2, true
	}
	if i := strings.IndexByte(from, c); i >= 0 {
		b.WriteByte(to[i])
		return 2, true
	}
	if c >= '0' && c <= '7' {
		end := 2
		for end < len(s) && end < 4 && s[end] >= '0' && s[end] <= '7' {
			end++
		}
		n, _ := strconv.ParseUint(s[1:end], 8, 32)
		put(n)
		return end, true
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits == 0 || isBytes && c != 'x' {
		if c == 'N' && !isBytes {
			return 0, false
		}
		b.WriteByte('\\')
		return 1, true // an unknown escape stands for itself
	}
	if len(s) < 2+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
	if err != nil || n > unicode.MaxRune {
		return 0, false
	}
	put(n)
	return 2 + digits, true
}
