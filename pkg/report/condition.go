package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/pipeline"
)

// Condition is a claim about metrics, such as
//
//	accuracy >= 0.8
//	eval/b.json:loss.val < 0.3 and accuracy.diff > -0.01
//	not (model == "old" or abs(f1.diff) > 0.1)
//
// Comparisons of numbers, texts and truth values are joined by and, or, not
// and parentheses; numbers may be computed with + - * / and with abs, min and
// max. A name is that of a metric, with the path of its file and a colon
// before it where that is needed, and with .old or .diff after it for the value
// at the revision that is compared with, or the change since then. A name
// takes all letters, digits and . _ / : - @ that follow each other, so minus and
// division have blanks around them; what else a name holds goes between
// backquotes.
type Condition struct {
	Text string
	root expr
}

// ConditionError says what is wrong in a condition and where.
type ConditionError struct {
	Text   string
	Column int // from 1, in characters
	Msg    string
}

func (e *ConditionError) Error() string {
	return fmt.Sprintf("condition '%s', column %d: %s", e.Text, e.Column, e.Msg)
}

// verdict is what is known of a claim. One that rests on a value which is
// missing, or no number, is neither met nor refuted.
type verdict uint8

const (
	refuted verdict = iota
	open
	met
)

// result is what an expression comes to: a truth, a number or a text; or
// nothing, if a value is missing.
type result struct {
	kind  resultKind
	truth verdict
	num   float64
	text  string
}

type resultKind uint8

const (
	anyKind resultKind = iota // of a metric, before it is looked up; else missing
	truthKind
	numberKind
	textKind
)

func (k resultKind) String() string {
	return [...]string{"a missing value", "a truth value", "a number", "a text"}[k]
}

// expr is a part of a condition.
type expr interface {
	eval(look lookup) (result, error)
	kind() resultKind
	at() int // the byte where it begins
}

// lookup finds the value of a name. The result is of anyKind if it is missing.
type lookup func(n *nameExpr) (result, error)

type (
	literalExpr struct {
		result
		pos int
	}
	nameExpr struct {
		name string
		pos  int
	}
	notExpr struct {
		x   expr
		pos int
	}
	// binaryExpr is and, or, a comparison, or arithmetic.
	binaryExpr struct {
		op   string
		l, r expr
		pos  int // of the operator
	}
	callExpr struct {
		name string
		args []expr
		pos  int
	}
)

func (e *literalExpr) kind() resultKind { return e.result.kind }
func (e *literalExpr) at() int          { return e.pos }
func (e *nameExpr) kind() resultKind    { return anyKind }
func (e *nameExpr) at() int             { return e.pos }
func (e *notExpr) kind() resultKind     { return truthKind }
func (e *notExpr) at() int              { return e.pos }
func (e *callExpr) kind() resultKind    { return numberKind }
func (e *callExpr) at() int             { return e.pos }
func (e *binaryExpr) at() int           { return e.l.at() }
func (e *binaryExpr) kind() resultKind {
	if strings.Contains("+-*/", e.op) {
		return numberKind
	}
	return truthKind
}

// maxCondition and maxParens bound a condition.
const (
	maxCondition = 64 << 10
	maxParens    = 200
)

// ParseCondition reads a condition. Errors are *ConditionError.
func ParseCondition(text string) (*Condition, error) {
	p := &conditionParser{text: text}
	if len(text) > maxCondition {
		p.text = text[:20] + "..."
		return nil, p.fail(0, "it is too long")
	}
	if !utf8.ValidString(text) {
		return nil, p.fail(0, "it is not valid UTF-8")
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.tok == "" {
		return nil, p.fail(0, "it is empty")
	}
	e, err := p.or()
	if err == nil && p.tok != "" {
		err = p.fail(p.pos, "unexpected '"+p.tok+"'")
	}
	if err == nil {
		err = p.want(e, truthKind)
	}
	if err != nil {
		return nil, err
	}
	return &Condition{Text: text, root: e}, nil
}

// token kinds beside operators, which are their own text.
type tokenKind uint8

const (
	operatorToken tokenKind = iota
	nameToken               // of a metric or function
	quotedToken             // a name in backquotes
	numberToken
	textToken
)

type conditionParser struct {
	text  string
	i     int // where the next token begins
	pos   int // of tok
	tok   string
	typ   tokenKind
	depth int
}

func (p *conditionParser) fail(at int, msg string) error {
	return &ConditionError{Text: p.text, Column: utf8.RuneCountInString(p.text[:min(at, len(p.text))]) + 1, Msg: msg}
}

var operators = []string{"==", "!=", "<=", ">=", "<", ">", "(", ")", ",", "+", "-", "*", "/"}

func isNameStart(r rune) bool {
	return unicode.IsLetter(r) || r == '_' || r == '.' || r == '/' || r == '@'
}
func isNamePart(r rune) bool {
	return isNameStart(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == ':' || r == '-'
}

// next reads a token; at the end it is "" and an operator.
func (p *conditionParser) next() error {
	for p.i < len(p.text) && strings.ContainsRune(" \t\r\n", rune(p.text[p.i])) {
		p.i++
	}
	p.pos, p.tok, p.typ = p.i, "", operatorToken
	if p.i == len(p.text) {
		return nil
	}
	rest := p.text[p.i:]
	first, size := utf8.DecodeRuneInString(rest)
	switch {
	case first == '"' || first == '\'' || first == '`':
		return p.quoted(rest, first)
	case first >= '0' && first <= '9', first == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return p.number(rest)
	// A slash with a blank after it is division, with anything else a path.
	case isNameStart(first) && !(first == '/' && (len(rest) == 1 || !isNamePart(rune(rest[1])))):
		end := size
		for end < len(rest) {
			r, n := utf8.DecodeRuneInString(rest[end:])
			if !isNamePart(r) {
				break
			}
			end += n
		}
		p.take(rest[:end], nameToken)
		return nil
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			p.take(op, operatorToken)
			return nil
		}
	}
	msg := "unexpected '" + string(first) + "'"
	if first == '=' {
		msg += ": equality is '=='"
	}
	if first == '&' || first == '|' || first == '!' {
		msg += ": write 'and', 'or', 'not'"
	}
	return p.fail(p.i, msg)
}

func (p *conditionParser) take(tok string, typ tokenKind) {
	p.tok, p.typ = tok, typ
	p.i += len(tok)
}

func (p *conditionParser) quoted(rest string, quote rune) error {
	end := strings.IndexRune(rest[1:], quote)
	if end < 0 {
		return p.fail(p.i, "the quote is not closed")
	}
	p.tok, p.typ = rest[1:1+end], textToken
	if quote == '`' {
		p.typ = quotedToken
		if p.tok == "" {
			return p.fail(p.i, "the name is empty")
		}
	}
	p.i += end + 2
	return nil
}

func (p *conditionParser) number(rest string) error {
	end := 0
	for end < len(rest) {
		c := rest[end]
		exponent := end > 0 && (rest[end-1] == 'e' || rest[end-1] == 'E')
		if c >= '0' && c <= '9' || c == '.' || c == '_' || c == 'e' || c == 'E' || exponent && (c == '+' || c == '-') {
			end++
			continue
		}
		break
	}
	if r, _ := utf8.DecodeRuneInString(rest[end:]); end < len(rest) && (isNamePart(r) && r != '-' && r != '/') {
		return p.fail(p.i, "a name that begins with a digit goes between backquotes")
	}
	if _, err := strconv.ParseFloat(rest[:end], 64); err != nil || strings.Contains(rest[:end], "_") {
		return p.fail(p.i, "'"+rest[:end]+"' is not a number")
	}
	p.take(rest[:end], numberToken)
	return nil
}

// isWord reports whether the token is a word of the language.
func (p *conditionParser) isWord(w string) bool { return p.typ == nameToken && p.tok == w }

func (p *conditionParser) isOp(ops ...string) bool {
	return p.typ == operatorToken && p.tok != "" && slices.Contains(ops, p.tok)
}

// want checks what is known of a kind before values are.
func (p *conditionParser) want(e expr, k resultKind) error {
	if have := e.kind(); have != anyKind && have != k {
		if k == truthKind {
			return p.fail(e.at(), "this is "+have.String()+" and claims nothing: compare it with something")
		}
		return p.fail(e.at(), "this is "+have.String()+", not "+k.String())
	}
	return nil
}

// binary reads operands between operators of one rank.
func (p *conditionParser) binary(operand func() (expr, error), is func() bool, kind resultKind) (expr, error) {
	l, err := operand()
	for err == nil && is() {
		e := &binaryExpr{op: p.tok, l: l, pos: p.pos}
		if err = p.want(l, kind); err != nil {
			break
		}
		if err = p.next(); err != nil {
			break
		}
		if e.r, err = operand(); err != nil {
			break
		}
		err = p.want(e.r, kind)
		l = e
	}
	return l, err
}

func (p *conditionParser) or() (expr, error) {
	return p.binary(p.and, func() bool { return p.isWord("or") }, truthKind)
}

func (p *conditionParser) and() (expr, error) {
	return p.binary(p.not, func() bool { return p.isWord("and") }, truthKind)
}

func (p *conditionParser) not() (expr, error) {
	if !p.isWord("not") {
		return p.comparison()
	}
	pos := p.pos
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return nil, err
	}
	x, err := p.not()
	if err != nil {
		return nil, err
	}
	return &notExpr{x, pos}, p.want(x, truthKind)
}

func (p *conditionParser) comparison() (expr, error) {
	comparing := func() bool { return p.isOp("==", "!=", "<", "<=", ">", ">=") }
	l, err := p.sum()
	if err != nil || !comparing() {
		return l, err
	}
	e := &binaryExpr{op: p.tok, l: l, pos: p.pos}
	if err := p.next(); err != nil {
		return nil, err
	}
	if e.r, err = p.sum(); err != nil {
		return nil, err
	}
	lk, rk := e.l.kind(), e.r.kind()
	switch {
	case lk != anyKind && rk != anyKind && lk != rk:
		return nil, p.fail(e.pos, lk.String()+" cannot be compared with "+rk.String())
	case e.op != "==" && e.op != "!=" && (lk == truthKind || rk == truthKind):
		return nil, p.fail(e.pos, "truth values are only equal or not")
	case comparing():
		return nil, p.fail(p.pos, "a comparison has two sides: join two with 'and'")
	}
	return e, nil
}

func (p *conditionParser) sum() (expr, error) {
	return p.binary(p.product, func() bool { return p.isOp("+", "-") }, numberKind)
}

func (p *conditionParser) product() (expr, error) {
	return p.binary(p.unary, func() bool { return p.isOp("*", "/") }, numberKind)
}

func (p *conditionParser) enter() error {
	if p.depth++; p.depth > maxParens {
		return p.fail(p.pos, "it is nested too deeply")
	}
	return nil
}

func (p *conditionParser) unary() (expr, error) {
	if !p.isOp("-", "+") {
		return p.primary()
	}
	pos, op := p.pos, p.tok
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return nil, err
	}
	x, err := p.unary()
	if err != nil {
		return nil, err
	}
	zero := &literalExpr{result{kind: numberKind}, pos}
	return &binaryExpr{op: op, l: zero, r: x, pos: pos}, p.want(x, numberKind)
}

var functions = map[string][2]int{"abs": {1, 1}, "min": {2, 10}, "max": {2, 10}} // fewest and most arguments

func (p *conditionParser) primary() (expr, error) {
	pos, tok, typ := p.pos, p.tok, p.typ
	switch {
	case typ == operatorToken && tok == "(":
		return p.parens()
	case typ == operatorToken && tok == "":
		return nil, p.fail(pos, "it ends where a value is expected")
	case typ == operatorToken:
		return nil, p.fail(pos, "expected a value, not '"+tok+"'")
	case typ == nameToken && slices.Contains([]string{"and", "or", "not"}, tok):
		return nil, p.fail(pos, "expected a value, not '"+tok+"'")
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	switch typ {
	case textToken:
		return &literalExpr{result{kind: textKind, text: tok}, pos}, nil
	case numberToken:
		f, _ := strconv.ParseFloat(tok, 64) // checked by number
		return &literalExpr{result{kind: numberKind, num: f}, pos}, nil
	case nameToken:
		if tok == "true" || tok == "false" {
			v := refuted
			if tok == "true" {
				v = met
			}
			return &literalExpr{result{kind: truthKind, truth: v}, pos}, nil
		}
		if _, ok := functions[tok]; ok && p.isOp("(") {
			return p.call(tok, pos)
		}
	}
	return &nameExpr{tok, pos}, nil
}

func (p *conditionParser) parens() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.isOp(")") {
		return nil, p.fail(p.pos, "expected ')'")
	}
	return e, p.next()
}

func (p *conditionParser) call(name string, pos int) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	c := &callExpr{name: name, pos: pos}
	for {
		if err := p.next(); err != nil { // the parenthesis or comma
			return nil, err
		}
		a, err := p.sum()
		if err == nil {
			err = p.want(a, numberKind)
		}
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, a)
		if !p.isOp(",") {
			break
		}
	}
	if !p.isOp(")") {
		return nil, p.fail(p.pos, "expected ')'")
	}
	if n, most := len(c.args), functions[name]; n < most[0] || n > most[1] {
		return nil, p.fail(pos, fmt.Sprintf("%s takes %d to %d numbers, not %d", name, most[0], most[1], n))
	}
	return c, p.next()
}

func (e *literalExpr) eval(lookup) (result, error)   { return e.result, nil }
func (e *nameExpr) eval(look lookup) (result, error) { return look(e) }

func (e *notExpr) eval(look lookup) (result, error) {
	x, err := truthOf(e.x, look)
	return result{kind: truthKind, truth: met - x}, err
}

// kindError is a value of a kind that does not fit its place.
func kindError(e expr, have resultKind, want string) error {
	name := "this"
	if n, ok := e.(*nameExpr); ok {
		name = "'" + n.name + "'"
	}
	return &badKind{e.at(), name + " is " + have.String() + ", not " + want}
}

type badKind struct {
	at  int
	msg string
}

func (e *badKind) Error() string { return e.msg }

func truthOf(e expr, look lookup) (verdict, error) {
	v, err := e.eval(look)
	switch {
	case err != nil || v.kind == anyKind:
		return open, err
	case v.kind != truthKind:
		return open, kindError(e, v.kind, "a truth value")
	}
	return v.truth, nil
}

// numberOf is NaN for a missing value; ok is false then.
func numberOf(e expr, look lookup) (f float64, ok bool, err error) {
	v, err := e.eval(look)
	switch {
	case err != nil || v.kind == anyKind:
		return math.NaN(), false, err
	case v.kind != numberKind:
		return 0, false, kindError(e, v.kind, "a number")
	}
	return v.num, true, nil
}

func (e *callExpr) eval(look lookup) (result, error) {
	out := result{kind: numberKind}
	for i, a := range e.args {
		f, ok, err := numberOf(a, look)
		if err != nil || !ok {
			return result{}, err
		}
		switch {
		case e.name == "abs":
			out.num = math.Abs(f)
		case i == 0:
			out.num = f
		case e.name == "min":
			out.num = math.Min(out.num, f)
		default:
			out.num = math.Max(out.num, f)
		}
	}
	return out, nil
}

func (e *binaryExpr) eval(look lookup) (result, error) {
	switch e.op {
	case "and", "or":
		// Both sides are looked at, so that all names are found or missed.
		l, err := truthOf(e.l, look)
		if err != nil {
			return result{}, err
		}
		r, err := truthOf(e.r, look)
		if e.op == "and" {
			return result{kind: truthKind, truth: min(l, r)}, err
		}
		return result{kind: truthKind, truth: max(l, r)}, err
	case "+", "-", "*", "/":
		return e.compute(look)
	}
	l, err := e.l.eval(look)
	if err != nil {
		return result{}, err
	}
	r, err := e.r.eval(look)
	if err != nil {
		return result{}, err
	}
	return e.compare(l, r)
}

func (e *binaryExpr) compute(look lookup) (result, error) {
	l, ok, err := numberOf(e.l, look)
	if err != nil {
		return result{}, err
	}
	r, ok2, err := numberOf(e.r, look)
	if err != nil || !ok || !ok2 {
		return result{}, err
	}
	out := result{kind: numberKind}
	switch e.op {
	case "+":
		out.num = l + r
	case "-":
		out.num = l - r
	case "*":
		out.num = l * r
	case "/":
		out.num = l / r
	}
	return out, nil
}

func (e *binaryExpr) compare(l, r result) (result, error) {
	out := result{kind: truthKind, truth: open}
	if l.kind == anyKind || r.kind == anyKind {
		return out, nil
	}
	order := 0
	switch {
	case l.kind != r.kind:
		return out, kindError(e.l, l.kind, r.kind.String())
	case l.kind == numberKind && (math.IsNaN(l.num) || math.IsNaN(r.num)):
		return out, nil
	case l.kind == numberKind && l.num < r.num, l.kind == textKind && l.text < r.text:
		order = -1
	case l.kind == numberKind && l.num > r.num, l.kind == textKind && l.text > r.text:
		order = 1
	case l.kind == truthKind:
		if e.op != "==" && e.op != "!=" {
			return out, kindError(e.l, l.kind, "a number")
		}
		if l.truth == open || r.truth == open {
			return out, nil
		}
		order = int(l.truth) - int(r.truth)
	}
	is := map[string]bool{
		"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	}[e.op]
	if out.truth = refuted; is {
		out.truth = met
	}
	return out, nil
}

// resultOf is a metric's value in a condition.
func resultOf(v any) result {
	switch x := v.(type) {
	case bool:
		r := result{kind: truthKind, truth: refuted}
		if x {
			r.truth = met
		}
		return r
	case string:
		return result{kind: textKind, text: x}
	}
	if f, ok := Number(v); ok {
		return result{kind: numberKind, num: f}
	}
	return result{kind: textKind, text: pipeline.ParamText(v)}
}

// Names are the names in the condition, in order, each once.
func (c *Condition) Names() []string {
	var names []string
	var visit func(e expr)
	visit = func(e expr) {
		switch x := e.(type) {
		case *nameExpr:
			if !slices.Contains(names, x.name) {
				names = append(names, x.name)
			}
		case *notExpr:
			visit(x.x)
		case *callExpr:
			for _, a := range x.args {
				visit(a)
			}
		case *binaryExpr:
			visit(x.l)
			visit(x.r)
		}
	}
	visit(c.root)
	return names
}

// State is what came of a condition.
type State string

// The states. Missing says that a value was not there on which the rest hangs.
const (
	Met     State = "met"
	Failed  State = "failed"
	Missing State = "missing"
)

// Check evaluates the condition. find returns the value of a name; ok is false
// if there is none. Its errors are returned as *ConditionError.
func (c *Condition) Check(find func(name string) (value any, ok bool, err error)) (State, error) {
	missing := false
	v, err := truthOf(c.root, func(n *nameExpr) (result, error) {
		value, ok, err := find(n.name)
		if err != nil {
			return result{}, &badKind{n.pos, err.Error()}
		}
		if !ok {
			missing = true
			return result{}, nil
		}
		return resultOf(value), nil
	})
	if err != nil {
		p := conditionParser{text: c.Text}
		at := 0
		if b, ok := err.(*badKind); ok {
			at = b.at
		}
		return Failed, p.fail(at, err.Error())
	}
	switch {
	case v == met:
		return Met, nil
	case v == open && missing:
		return Missing, nil
	}
	return Failed, nil
}
