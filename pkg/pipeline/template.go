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

// Templating options of the section parsing of the configuration.
type Templating struct {
	// BoolOptional writes a false flag of a mapping in cmd as --no-name
	// instead of leaving it out (parsing.bool = boolean_optional).
	BoolOptional bool
	// ListAppend repeats the flag for each item of a list instead of writing
	// it once (parsing.list = append).
	ListAppend bool
	// WindowsQuoting quotes strings for cmd.exe instead of a POSIX shell.
	WindowsQuoting bool
}

// tmplKind tells failures of templating apart; DVC words and catches them
// differently.
type tmplKind uint8

const (
	tmplSyntax   tmplKind = iota // an expression or its use is wrong
	tmplMissing                  // a name is not in the context
	tmplVars                     // vars cannot be loaded or set
	tmplMerge                    // vars contradict each other
	tmplReloaded                 // the same file is loaded twice
	tmplBroken                   // a file of values cannot be read
)

type tmplError struct {
	kind tmplKind
	msg  string
}

func (e *tmplError) Error() string { return e.msg }

func tmplErr(k tmplKind, format string, args ...any) *tmplError {
	return &tmplError{kind: k, msg: fmt.Sprintf(format, args...)}
}

// spacing is what DVC puts between "failed to parse ...:" and the message.
func (e *tmplError) spacing() string {
	switch e.kind {
	case tmplSyntax, tmplMerge, tmplReloaded:
		return "\n"
	}
	return " "
}

// tmplShape is the shape of a node.
type tmplShape uint8

const (
	scalarNode tmplShape = iota
	listNode
	dictNode
)

// tmplNode is a value of a context that knows where it came from. Nodes are
// never changed once they are in a context; merging copies what it changes.
type tmplNode struct {
	kind   tmplShape
	scalar any
	list   []*tmplNode
	keys   []string
	dict   map[string]*tmplNode

	origin *tmplOrigin
	parent *tmplNode
	name   string // key or index in parent
}

// tmplOrigin is a file of values, or a vars section.
type tmplOrigin struct {
	name string // for messages
	file string // the file, relative to the repository's root; "" for vars
}

// path is the dotted place of the node in its origin.
func (n *tmplNode) path() string {
	if n.parent == nil {
		return ""
	}
	if p := n.parent.path(); p != "" {
		return p + "." + n.name
	}
	return n.name
}

func (n *tmplNode) originName() string {
	if n.origin == nil {
		return "None"
	}
	return n.origin.name
}

// newTmplNode wraps a loaded value. Values that are nodes already stay what they
// are, with the origin they had.
func newTmplNode(v any, o *tmplOrigin, parent *tmplNode, name string) (*tmplNode, error) {
	if n, ok := v.(*tmplNode); ok {
		return n, nil
	}
	n := &tmplNode{origin: o, parent: parent, name: name}
	switch x := v.(type) {
	case nil, bool, string, int64, float64, *big.Int, Bytes:
		n.scalar = x
		return n, nil
	case []any:
		n.kind = listNode
		n.list = make([]*tmplNode, len(x))
		for i, e := range x {
			var err error
			if n.list[i], err = newTmplNode(e, o, n, strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
		return n, nil
	case *yamlfmt.Map:
		n.kind = dictNode
		n.keys = make([]string, 0, x.Len())
		n.dict = make(map[string]*tmplNode, x.Len())
		for k, e := range x.AllKeys() {
			key, ok := k.(string)
			if !ok {
				continue // cannot be named in an expression
			}
			child, err := newTmplNode(e, o, n, key)
			if err != nil {
				return nil, err
			}
			n.put(key, child)
		}
		return n, nil
	}
	return nil, tmplErr(tmplBroken, "Unsupported value of type '%s' in '%s:%s'", pyType(v), n.originName(), n.path())
}

func (n *tmplNode) put(key string, child *tmplNode) {
	if _, ok := n.dict[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.dict[key] = child
}

// value is the plain value that the node wraps.
func (n *tmplNode) value() any {
	switch n.kind {
	case listNode:
		out := make([]any, len(n.list))
		for i, e := range n.list {
			out[i] = e.value()
		}
		return out
	case dictNode:
		m := &yamlfmt.Map{}
		for _, k := range n.keys {
			m.Set(k, n.dict[k].value())
		}
		return m
	}
	return n.scalar
}

// child is the item at an index or key as written in an expression.
func (n *tmplNode) child(index string) *tmplNode {
	index = strings.TrimSpace(index)
	switch n.kind {
	case dictNode:
		return n.dict[index]
	case listNode:
		i, ok := pyInt(index)
		if ok && i < 0 {
			i += len(n.list)
		}
		if ok && i >= 0 && i < len(n.list) {
			return n.list[i]
		}
	}
	return nil
}

// pyInt reads an integer as Python's int does.
func pyInt(s string) (int, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Contains(s, "__") || digits[0] == '_' || digits[len(digits)-1] == '_' {
		return 0, false
	}
	i, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	return i, err == nil
}

// mergeNodes adds the entries of update to into and returns the result. Mappings
// merge, anything else that is there already is an error.
func mergeNodes(into, update *tmplNode) (*tmplNode, error) {
	out := *into
	out.keys = append([]string(nil), into.keys...)
	out.dict = make(map[string]*tmplNode, len(into.dict)+len(update.dict))
	for k, v := range into.dict {
		out.dict[k] = v
	}
	for _, k := range update.keys {
		val := update.dict[k]
		old, ok := out.dict[k]
		switch {
		case !ok:
			out.put(k, val)
		case old.kind == dictNode && val.kind == dictNode:
			merged, err := mergeNodes(old, val)
			if err != nil {
				return nil, err
			}
			out.dict[k] = merged
		default:
			return nil, tmplErr(tmplMerge, "cannot redefine '%s' from '%s' as it already exists in '%s'",
				val.path(), val.originName(), old.originName())
		}
	}
	return &out, nil
}

// tmplScope is what expressions are looked up in. Copies are cheap and
// independent of each other.
type tmplScope struct {
	root *tmplNode
	// imports holds the files loaded and which of their keys; nil is all.
	imports map[string][]string
	// item and key are those of the iteration, or nil.
	item, key *tmplNode
}

func newScope() tmplScope {
	return tmplScope{root: &tmplNode{kind: dictNode, dict: map[string]*tmplNode{}}}
}

func (c *tmplScope) reserved(name string) bool {
	return name == "item" && c.item != nil || name == "key" && c.key != nil
}

func (c *tmplScope) top(name string) *tmplNode {
	name = strings.TrimSpace(name)
	switch {
	case name == "item" && c.item != nil:
		return c.item
	case name == "key" && c.key != nil:
		return c.key
	}
	return c.root.dict[name]
}

var bracketsToDots = strings.NewReplacer("[", ".", "]", "")

// lookup finds what an expression names.
func (c *tmplScope) lookup(expr string) (*tmplNode, error) {
	path := expr
	if strings.IndexByte(path, '[') >= 0 || strings.IndexByte(path, ']') >= 0 {
		path = bracketsToDots.Replace(path)
	}
	first, rest, more := strings.Cut(path, ".")
	n := c.top(first)
	for n != nil && more {
		first, rest, more = strings.Cut(rest, ".")
		n = n.child(first)
	}
	if n == nil {
		return nil, tmplErr(tmplMissing, "Could not find '%s'", expr)
	}
	return n, nil
}

// add merges values into the context. what is the entry of vars they come
// from, for the message; empty for an inline mapping.
func (c *tmplScope) add(values *tmplNode, what string) error {
	var clash []string
	for _, name := range []string{"item", "key"} {
		if values.dict[name] != nil && c.reserved(name) {
			clash = append(clash, name)
		}
	}
	if len(clash) > 0 {
		plural := ""
		if len(clash) > 1 {
			plural = "s"
		}
		msg := fmt.Sprintf("attempted to modify reserved key%s %s", plural, strings.Join(clash, " and "))
		if what != "" {
			msg += " in '" + what + "'"
		}
		return tmplErr(tmplVars, "%s", msg)
	}
	root, err := mergeNodes(c.root, values)
	if err != nil {
		return err
	}
	c.root = root
	return nil
}

// imported notes that keys of a file were loaded; nil is all of them.
func (c *tmplScope) imported(file string, keys []string) {
	next := make(map[string][]string, len(c.imports)+1)
	for k, v := range c.imports {
		next[k] = v
	}
	if old, ok := next[file]; ok {
		if old == nil || len(keys) == 0 {
			return
		}
		keys = append(old[:len(old):len(old)], keys...)
	}
	next[file] = keys
	c.imports = next
}

// checkImport refuses an entry of vars whose values are there already. skip
// means that there is nothing left to load.
func (c *tmplScope) checkImport(file, item string, keys []string) (skip bool, err error) {
	loaded, ok := c.imports[file]
	switch {
	case !ok:
		return false, nil
	case len(keys) == 0 && loaded == nil:
		return true, nil
	case len(keys) > 0 && loaded == nil:
		return false, tmplErr(tmplReloaded, "cannot partially load '%s' as it's already loaded.", item)
	case len(keys) == 0 || shareItem(keys, loaded):
		return false, tmplErr(tmplReloaded, "cannot load '%s' as it's partially loaded already", item)
	}
	return false, nil
}

func shareItem(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// exprSpan is one ${...} of a template.
type exprSpan struct {
	start, end int // of the whole in the template
	inner      string
}

// nextSpan finds the next expression at or after from.
func nextSpan(s string, from int) (sp exprSpan, ok bool) {
	for {
		i := strings.Index(s[from:], "${")
		if i < 0 {
			return sp, false
		}
		i += from
		from = i + 1
		if i > 0 && s[i-1] == '\\' {
			continue
		}
		end := strings.IndexAny(s[i+2:], "}\n")
		if end < 0 || s[i+2+end] == '\n' {
			continue
		}
		return exprSpan{i, i + end + 3, s[i+2 : i+2+end]}, true
	}
}

// hasExpression reports whether a string holds an expression.
func hasExpression(s string) bool {
	_, ok := nextSpan(s, 0)
	return ok
}

// checkExpr checks the syntax of an expression, name(.name|[index])*, and
// returns it with dots for brackets.
func checkExpr(inner string) (string, error) {
	if !strings.ContainsAny(inner, ".[]\t") && inner != "" {
		return inner, nil
	}
	text := expandTabs(inner)
	word := func(at int) int {
		if n := strings.IndexAny(text[at:], ".[]"); n >= 0 {
			return at + n
		}
		return len(text)
	}
	at := word(0)
	if at == 0 {
		return "", exprError(inner, text, 0, "!W:(.[])")
	}
	var parts strings.Builder
	parts.WriteString(text[:at])
	for {
		next := at + len(text[at:]) - len(strings.TrimLeft(text[at:], " \t\r\n"))
		if next == len(text) {
			return parts.String(), nil
		}
		end := word(next + 1)
		bracket := text[next] == '['
		if text[next] != '.' && !bracket || end == next+1 || bracket && (end == len(text) || text[end] != ']') {
			return "", exprError(inner, text, next, "end of text")
		}
		parts.WriteByte('.')
		parts.WriteString(text[next+1 : end])
		at = end
		if bracket {
			at++
		}
	}
}

// expandTabs is Python's str.expandtabs, which the original's parser applies.
func expandTabs(s string) string {
	if strings.IndexByte(s, '\t') < 0 {
		return s
	}
	var b strings.Builder
	col := 0
	for _, r := range s {
		if r != '\t' {
			b.WriteRune(r)
			col++
			continue
		}
		for ok := true; ok; ok = col%8 != 0 {
			b.WriteByte(' ')
			col++
		}
	}
	return b.String()
}

// exprError points at the place in the expression, in three lines.
func exprError(inner, text string, at int, expected string) error {
	col := utf8.RuneCountInString(text[:at]) + 2
	return tmplErr(tmplSyntax, "${%s}\n%s^\nParseException: Expected %s, found %s  (at char %d), (line:1, col:%d)",
		inner, strings.Repeat(" ", col), expected, foundWord(text[at:]+"}"), col, col+1)
}

// foundWord is how much of the rest a message quotes: a word, or one
// character.
func foundWord(rest string) string {
	n := 0
	for i, r := range rest {
		if n == 16 || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			if n == 0 {
				_, i = utf8.DecodeRuneInString(rest)
			}
			rest = rest[:i]
			break
		}
		n++
	}
	return strings.ReplaceAll(yamlfmt.PyRepr(rest), `\\`, `\`)
}

// checkSyntax checks every expression in a value.
func checkSyntax(v any) error {
	switch x := v.(type) {
	case string:
		for at := 0; ; {
			sp, ok := nextSpan(x, at)
			if !ok {
				return nil
			}
			if _, err := checkExpr(sp.inner); err != nil {
				return err
			}
			at = sp.end
		}
	case []any:
		for _, e := range x {
			if err := checkSyntax(e); err != nil {
				return err
			}
		}
	case *yamlfmt.Map:
		for k, e := range x.AllKeys() {
			if err := checkSyntax(k); err != nil {
				return err
			}
			if err := checkSyntax(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// anyExpression reports whether a value holds an expression anywhere.
func anyExpression(v any) bool {
	switch x := v.(type) {
	case string:
		return hasExpression(x)
	case []any:
		for _, e := range x {
			if anyExpression(e) {
				return true
			}
		}
	case *yamlfmt.Map:
		for k, e := range x.AllKeys() {
			if anyExpression(k) || anyExpression(e) {
				return true
			}
		}
	}
	return false
}

// Use is a value of a file that an expression used.
type Use struct {
	File  string // relative to the repository's root
	Key   string // dotted
	Value any
}

// expander replaces the expressions of a value.
type expander struct {
	ctx     *tmplScope
	opt     *Templating
	field   string // the key of the stage that is expanded
	inField bool   // whether field restricts what may be interpolated
	checked bool   // the syntax was checked before
	keep    bool   // leave nodes in the result instead of their values
	changed bool   // set if the result differs from the source
	uses    *[]Use // what was used of files, or nil
}

func (x *expander) use(n *tmplNode) {
	if x.uses == nil || n.origin == nil || n.origin.file == "" || n.kind == dictNode {
		return
	}
	*x.uses = append(*x.uses, Use{File: n.origin.file, Key: n.path(), Value: n.value()})
}

// value expands v. The source is not changed; parts of it may be shared.
func (x *expander) value(v any) (any, error) {
	switch t := v.(type) {
	case string:
		return x.text(t)
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			var err error
			if out[i], err = x.value(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *yamlfmt.Map:
		out := &yamlfmt.Map{}
		for k, e := range t.AllKeys() {
			key, err := x.value(k)
			if err != nil {
				return nil, err
			}
			switch key.(type) {
			case []any, *yamlfmt.Map, *tmplNode:
				return nil, tmplErr(tmplSyntax, "Cannot use data of type '%s' as a key", pyType(key))
			}
			val, err := x.value(e)
			if err != nil {
				return nil, err
			}
			out.SetKey(key, val)
		}
		return out, nil
	}
	return v, nil
}

// expr looks an expression up.
func (x *expander) expr(inner string) (*tmplNode, error) {
	if !x.checked {
		var err error
		if inner, err = checkExpr(inner); err != nil {
			return nil, err
		}
	}
	n, err := x.ctx.lookup(inner)
	if err == nil {
		x.use(n)
	}
	return n, err
}

// allowed refuses collections where only scalars may stand.
func (x *expander) allowed(n *tmplNode) error {
	if n.kind == scalarNode || !x.inField || strings.Contains(x.field, "foreach") {
		return nil
	}
	if n.kind == dictNode && x.field == "cmd" {
		return nil
	}
	typ := "list"
	if n.kind == dictNode {
		typ = "dict"
	}
	return tmplErr(tmplSyntax, "Cannot interpolate data of type '%s'", typ)
}

func (x *expander) text(s string) (any, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	sp, ok := nextSpan(s, 0)
	if ok && sp.start == 0 && sp.end == len(s) {
		x.changed = true
		n, err := x.expr(sp.inner)
		if err != nil {
			return nil, err
		}
		if x.keep {
			return n, nil
		}
		return n.value(), x.allowed(n)
	}
	var b strings.Builder
	at := 0
	for ok {
		n, err := x.expr(sp.inner)
		if err != nil {
			return nil, err
		}
		if err := x.allowed(n); err != nil {
			return nil, err
		}
		text, err := x.opt.text(n.value())
		if err != nil {
			return nil, err
		}
		b.WriteString(s[at:sp.start])
		b.WriteString(text)
		at = sp.end
		sp, ok = nextSpan(s, at)
	}
	b.WriteString(s[at:])
	out := strings.ReplaceAll(b.String(), `\${`, "${")
	x.changed = x.changed || out != s
	return out, nil
}

// text is how a value is written inside of a string.
func (t *Templating) text(v any) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case *yamlfmt.Map:
		return t.flags(x)
	}
	return pyStr(v), nil
}

// flags writes a mapping as options of a command line.
func (t *Templating) flags(m *yamlfmt.Map) (string, error) {
	var b strings.Builder
	seen := map[string]bool{}
	err := flattenMap(m, "", func(key string, v any) error {
		if seen[key] {
			return tmplErr(tmplBroken, "duplicated key '%s'", key)
		}
		seen[key] = true
		switch x := v.(type) {
		case bool:
			if x {
				b.WriteString("--" + key + " ")
			} else if t.BoolOptional {
				b.WriteString("--no-" + key + " ")
			}
		case string:
			b.WriteString("--" + key + " " + t.quote(x) + " ")
		case []any:
			return t.listFlag(&b, key, x)
		default:
			b.WriteString("--" + key + " " + pyStr(v) + " ")
		}
		return nil
	})
	return strings.TrimRight(b.String(), " \t\n\r\f\v"), err
}

func (t *Templating) listFlag(b *strings.Builder, key string, list []any) error {
	for i, e := range list {
		var text string
		switch x := e.(type) {
		case string:
			text = t.quote(x)
		case []any, *yamlfmt.Map:
			return tmplErr(tmplSyntax, "Cannot interpolate nested iterable in '%s'", key)
		default:
			text = pyStr(e)
		}
		if i == 0 || t.ListAppend {
			b.WriteString("--" + key + " ")
		}
		b.WriteString(text + " ")
	}
	return nil
}

// flattenMap visits the leaves of nested mappings with their dotted keys; empty
// mappings have none.
func flattenMap(m *yamlfmt.Map, prefix string, visit func(key string, v any) error) error {
	for k, v := range m.All() {
		key := k
		if prefix != "" {
			key = prefix + "." + k
		}
		var err error
		if sub, ok := v.(*yamlfmt.Map); ok {
			err = flattenMap(sub, key, visit)
		} else {
			err = visit(key, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Templating) quote(s string) string {
	if t.WindowsQuoting {
		return quoteWindows(s)
	}
	return quoteShell(s)
}

// quoteShell is Python's shlex.quote.
func quoteShell(s string) string {
	safe := s != ""
	for i := 0; i < len(s) && safe; i++ {
		c := s[i]
		safe = c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("_@%+=:,./-", c) >= 0
	}
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// quoteWindows is Python's subprocess.list2cmdline of one argument.
func quoteWindows(s string) string {
	quote := s == "" || strings.ContainsAny(s, " \t")
	var b strings.Builder
	if quote {
		b.WriteByte('"')
	}
	slashes := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			slashes++
			continue
		case '"':
			b.WriteString(strings.Repeat(`\`, 2*slashes) + `\"`)
		default:
			b.WriteString(strings.Repeat(`\`, slashes))
			b.WriteByte(s[i])
		}
		slashes = 0
	}
	b.WriteString(strings.Repeat(`\`, slashes))
	if quote {
		b.WriteString(strings.Repeat(`\`, slashes) + `"`)
	}
	return b.String()
}
