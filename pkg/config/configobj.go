package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// node is the value of a key: a text, a list of texts, or a section.
type node struct {
	text string
	list []string // nil unless isList
	sect *section // nil unless a section

	isList bool
	origin place
}

// place is where something was read.
type place struct {
	file *levelFile
	line int
}

// section is an ordered mapping.
type section struct {
	entries []entry
	index   map[string]int // built once entries are many
}

type entry struct {
	key string
	val *node
}

// indexFrom is the number of entries from which a map beats a scan.
const indexFrom = 16

func (s *section) find(key string) int {
	if s.index != nil {
		if i, ok := s.index[key]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.entries, func(e entry) bool { return e.key == key })
}

func (s *section) get(key string) *node {
	if s == nil {
		return nil
	}
	if i := s.find(key); i >= 0 {
		return s.entries[i].val
	}
	return nil
}

// sub is the section at key, or nil.
func (s *section) sub(key string) *section {
	if n := s.get(key); n != nil {
		return n.sect
	}
	return nil
}

// set replaces key's value in its place, or appends it.
func (s *section) set(key string, n *node) {
	if i := s.find(key); i >= 0 {
		s.entries[i].val = n
		return
	}
	s.entries = append(s.entries, entry{key, n})
	if s.index != nil {
		s.index[key] = len(s.entries) - 1
	} else if len(s.entries) >= indexFrom {
		s.reindex()
	}
}

func (s *section) remove(key string) {
	i := s.find(key)
	if i < 0 {
		return
	}
	s.entries = slices.Delete(s.entries, i, i+1)
	if s.index != nil {
		s.reindex()
	}
}

func (s *section) reindex() {
	s.index = make(map[string]int, len(s.entries))
	for i, e := range s.entries {
		s.index[e.key] = i
	}
}

// ensure is the section at key, made if it is missing.
func (s *section) ensure(key string) *section {
	if t := s.sub(key); t != nil {
		return t
	}
	t := &section{}
	s.set(key, &node{sect: t})
	return t
}

func (s *section) clone() *section {
	c := &section{entries: slices.Clone(s.entries)}
	for i, e := range c.entries {
		c.entries[i].val = e.val.clone()
	}
	if s.index != nil {
		c.reindex()
	}
	return c
}

func (n *node) clone() *node {
	c := *n
	if n.sect != nil {
		c.sect = n.sect.clone()
	}
	return &c
}

// merge lays update over s; sections are merged, all else replaced.
func (s *section) merge(update *section) {
	for _, e := range update.entries {
		have := s.get(e.key)
		if have == nil || have.sect == nil || e.val.sect == nil {
			s.set(e.key, e.val.clone())
			continue
		}
		if have.origin.file == nil {
			have.origin = e.val.origin
		}
		have.sect.merge(e.val.sect)
	}
}

// String is the value as DVC prints it.
func (n *node) String() string {
	if !n.isList {
		return n.text
	}
	items := make([]string, len(n.list))
	for i, s := range n.list {
		items[i] = pyRepr(s)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func textNode(s string) *node { return &node{text: s} }

// syntaxError is one line that cannot be read.
type syntaxError struct {
	msg  string
	line int // 1-based
	more int // further bad lines
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("%s at line %d", e.msg, e.line)
}

// The dialect's white space is Python's.
const (
	spaceClass = `[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`
	nonSpace   = `[^\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`
)

func isSpace(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r >= 0x1c && r <= 0x20, r == 0x85, r == 0xa0, r == 0x1680,
		r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}

// grammar holds the dialect as expressions. The reference reader is defined by
// backtracking expressions whose corners (stray quotes, comments, commas) have
// no shorter description, so they are kept; ordinary lines never reach them.
type grammar struct{ section, keyword, value, listItem, oneLine1, oneLine2, lastLine1, lastLine2 *regexp.Regexp }

var theGrammar = sync.OnceValue(func() *grammar {
	re := func(s string) *regexp.Regexp {
		s = strings.ReplaceAll(s, `\s`, spaceClass)
		return regexp.MustCompile(strings.ReplaceAll(s, `\S`, nonSpace))
	}
	const unq = `[^'"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`
	const last = `[^'",#\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`
	return &grammar{
		section:   re(`^\s*((?:\[\s*)+)((?:"\s*\S.*?\s*")|(?:'\s*\S.*?\s*')|(?:` + unq + `.*?))((?:\s*\])+)\s*(?:#.*)?$`),
		keyword:   re(`^\s*((?:".*?")|(?:'.*?')|(?:[^'"=].*?))\s*=\s*(.*)$`),
		value:     re(`^(?:(?:((?:(?:(?:".*?")|(?:'.*?')|(?:[^'",#][^,#]*?))\s*,\s*)*)((?:".*?")|(?:'.*?')|(?:` + last + `[^,]*?)|)?)|(,))\s*(?:#.*)?$`),
		listItem:  re(`((?:".*?")|(?:'.*?')|(?:[^'",#]?.*?))\s*,\s*`),
		oneLine1:  re(`^'''(.*?)'''\s*(?:#.*)?$`),
		oneLine2:  re(`^"""(.*?)"""\s*(?:#.*)?$`),
		lastLine1: re(`^(.*?)'''\s*(?:#.*)?$`),
		lastLine2: re(`^(.*?)"""\s*(?:#.*)?$`),
	}
})

// scope is a section while it is being read: the dialect nests, and values may
// refer to others.
type scope struct {
	*section
	name   string
	parent *scope // itself at the top
	depth  int
	kids   []*scope
}

// parser reads one file.
type parser struct {
	lines []string
	at    int
	file  *levelFile
	root  *scope
	cur   *scope
	err   *syntaxError
}

// parse reads a file of the dialect as it stands: names in their case, sections
// by their titles, references to other values replaced.
func parse(data []byte, file *levelFile) (*section, error) {
	if !utf8.Valid(data) {
		return nil, &syntaxError{msg: "invalid UTF-8", line: lineOfBadUTF8(data)}
	}
	root := &scope{section: &section{}}
	root.parent = root
	p := &parser{lines: splitLines(strings.TrimPrefix(string(data), "\ufeff")), file: file, root: root, cur: root}
	for ; p.at < len(p.lines); p.at++ {
		if msg := p.line(p.lines[p.at]); msg != "" {
			if p.err == nil {
				p.err = &syntaxError{msg: msg, line: p.at + 1}
			} else {
				p.err.more++
			}
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	if err := p.interpolate(root); err != nil {
		return nil, err
	}
	return root.section, nil
}

func lineOfBadUTF8(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[n:]
	}
	return line
}

// splitLines splits as Python's universal newlines and str.splitlines do
// together. Ends other than CR and LF stay, as white space.
func splitLines(s string) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		switch r {
		case '\n':
			out = append(out, s[start:i])
			start = i + n
		case '\r':
			out = append(out, s[start:i])
			if i+1 < len(s) && s[i+1] == '\n' {
				n = 2
			}
			start = i + n
		case '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
			out = append(out, s[start:i+n])
			start = i + n
		}
		i += n
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// line reads the line at p.at, and those a long value goes on over. It returns
// what is wrong.
func (p *parser) line(line string) string {
	trimmed := strings.TrimFunc(line, isSpace)
	if trimmed == "" || trimmed[0] == '#' {
		return ""
	}
	if name, depth, ok := p.sectionMarker(line, trimmed); ok {
		if depth == 0 {
			return "section brackets do not match"
		}
		return p.enter(name, depth)
	}
	key, value, ok := keyword(trimmed)
	if !ok {
		// The regular expression must see the indent: it may become a key.
		m := theGrammar().keyword.FindStringSubmatch(line)
		if m == nil {
			return "neither a [section] nor an option = value"
		}
		key, value = m[1], m[2]
	}
	first := p.at
	n, ok := p.value(value)
	if !ok {
		return "unbalanced quotes or a misplaced comma in the value"
	}
	n.origin = place{p.file, first + 1}
	key = unquote(key)
	if p.cur.get(key) != nil {
		return fmt.Sprintf("option %s given twice", pyRepr(key))
	}
	p.cur.set(key, n)
	return ""
}

// enter starts a section. Depth counts brackets.
func (p *parser) enter(name string, depth int) string {
	if depth > p.cur.depth+1 {
		return "section nested too deep"
	}
	parent := p.cur
	for parent.depth >= depth {
		parent = parent.parent
	}
	if parent.get(name) != nil {
		return fmt.Sprintf("section %s given twice", pyRepr(name))
	}
	s := &scope{section: &section{}, name: name, parent: parent, depth: depth}
	parent.kids = append(parent.kids, s)
	parent.set(name, &node{sect: s.section, origin: place{p.file, p.at + 1}})
	p.cur = s
	return ""
}

// sectionMarker reads a section's line; depth 0 means that its brackets do not
// match.
func (p *parser) sectionMarker(line, trimmed string) (name string, depth int, ok bool) {
	if trimmed[0] != '[' {
		return "", 0, false
	}
	if last := len(trimmed) - 1; last > 1 && trimmed[last] == ']' {
		inner := trimmed[1:last]
		if isWord(inner) {
			return inner, 1, true
		}
		if n := len(inner); n > 4 && inner[0] == '\'' && inner[n-1] == '\'' && isWord(inner[1:2]) && !strings.ContainsAny(inner[1:n-1], "'[]#") {
			return inner[1 : n-1], 1, true
		}
	}
	m := theGrammar().section.FindStringSubmatch(line)
	if m == nil {
		return "", 0, false
	}
	depth = strings.Count(m[1], "[")
	if depth != strings.Count(m[3], "]") {
		depth = 0
	}
	return unquote(m[2]), depth, true
}

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}

// keyword splits an ordinary "option = value"; ok is false for all else.
func keyword(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, "=")
	if key = strings.TrimRightFunc(key, isSpace); !ok || !isWord(key) {
		return "", "", false
	}
	return key, strings.TrimLeftFunc(value, isSpace), true
}

// value reads a value, with its comment cut off.
func (p *parser) value(v string) (*node, bool) {
	if strings.HasPrefix(v, `"""`) || strings.HasPrefix(v, `'''`) {
		return p.multiline(v)
	}
	if n := len(v); !strings.ContainsAny(v, `'",#`) {
		return textNode(strings.TrimRightFunc(v, isSpace)), true
	} else if n > 1 && v[0] == '"' && v[n-1] == '"' && strings.Count(v, `"`) == 2 {
		return textNode(v[1 : n-1]), true
	}
	m := theGrammar().value.FindStringSubmatch(v)
	switch {
	case m == nil:
		return nil, false
	case m[3] != "":
		return &node{isList: true}, true
	case m[1] == "":
		return textNode(unquote(m[2])), true
	}
	n := &node{isList: true}
	for _, item := range theGrammar().listItem.FindAllStringSubmatch(m[1], -1) {
		if item[1] == "" {
			return nil, false
		}
		n.list = append(n.list, unquote(item[1]))
	}
	if m[2] != "" {
		n.list = append(n.list, unquote(m[2]))
	}
	return n, true
}

// multiline reads a value in triple quotes, moving p.at to its last line.
func (p *parser) multiline(v string) (*node, bool) {
	g, quote := theGrammar(), v[:3]
	one, last := g.oneLine1, g.lastLine1
	if quote == `"""` {
		one, last = g.oneLine2, g.lastLine2
	}
	if m := one.FindStringSubmatch(v); m != nil {
		return textNode(m[1]), true
	}
	if strings.Contains(v[3:], quote) {
		return nil, false
	}
	var b strings.Builder
	b.WriteString(v[3:])
	for i := p.at + 1; i < len(p.lines); i++ {
		b.WriteByte('\n')
		if !strings.Contains(p.lines[i], quote) {
			b.WriteString(p.lines[i])
			continue
		}
		m := last.FindStringSubmatch(p.lines[i])
		if m == nil {
			return nil, false
		}
		p.at = i
		b.WriteString(m[1])
		return textNode(b.String()), true
	}
	return nil, false
}

func unquote(s string) string {
	if s == "" || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	if len(s) == 1 {
		return ""
	}
	return s[1 : len(s)-1]
}

// maxExpanded bounds what references in one file may expand to, in bytes, so
// that a few lines cannot fill the memory.
const maxExpanded = 1 << 16

// maxReferences bounds how far one reference may lead to the next.
const maxReferences = 100

// expander replaces "%(name)s" by the value of name.
type expander struct {
	left int // bytes that may still be made
}

// interpolate replaces the references in all values below s.
func (p *parser) interpolate(s *scope) error {
	if !slices.ContainsFunc(p.lines, func(l string) bool { return strings.Contains(l, "%(") }) {
		return nil
	}
	x := &expander{left: maxExpanded}
	type job struct {
		at  *scope
		n   *node
		key string
		out node
	}
	var jobs []job
	var walk func(s *scope) error
	walk = func(s *scope) error {
		for _, e := range s.entries {
			if e.val.sect != nil {
				continue
			}
			out := *e.val
			var err error
			if out.isList {
				out.list = slices.Clone(out.list)
				for i, t := range out.list {
					if out.list[i], err = x.expand(e.key, t, s, nil); err != nil {
						return &syntaxError{msg: err.Error(), line: out.origin.line}
					}
				}
			} else if out.text, err = x.expand(e.key, out.text, s, nil); err != nil {
				return &syntaxError{msg: err.Error(), line: out.origin.line}
			}
			jobs = append(jobs, job{s, e.val, e.key, out})
		}
		for _, k := range s.kids {
			if err := walk(k); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(s); err != nil {
		return err
	}
	for _, j := range jobs {
		*j.n = j.out
	}
	return nil
}

func (x *expander) expand(key, value string, at *scope, trail []string) (string, error) {
	mark := key + "\x00" + at.name
	if slices.Contains(trail, mark) {
		return "", fmt.Errorf("option %s refers to itself", pyRepr(key))
	}
	if trail = append(trail, mark); len(trail) > maxReferences {
		return "", fmt.Errorf("option %s refers through more than %d others", pyRepr(key), maxReferences)
	}
	var b strings.Builder
	for {
		start, end, name := reference(value)
		if start < 0 {
			b.WriteString(value)
			break
		}
		b.WriteString(value[:start])
		value = value[end:]
		found, owner := lookup(name, at)
		if found == nil {
			return "", fmt.Errorf("%%(%s)s refers to an option that is not there", name)
		}
		text, err := x.expand(name, found.text, owner, trail)
		if err != nil {
			return "", err
		}
		// The one more is for the step itself: empty values cost time too.
		if x.left -= len(text) + 1; x.left < 0 {
			return "", fmt.Errorf("references expand to more than %d bytes", maxExpanded)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// reference finds the first "%(name)s" in s.
func reference(s string) (start, end int, name string) {
	for from := 0; ; {
		i := strings.Index(s[from:], "%(")
		if i < 0 {
			return -1, 0, ""
		}
		i += from
		j := strings.IndexByte(s[i:], ')')
		if j < 0 {
			return -1, 0, ""
		}
		if j += i; j+1 < len(s) && s[j+1] == 's' {
			return i, j + 2, s[i+2 : j]
		}
		from = j + 1 // what opens before has the same end
	}
}

// lookup finds what a reference means: an option of the section, of its
// DEFAULT section, or of a section around it.
func lookup(name string, at *scope) (*node, *scope) {
	for {
		if n := at.get(name); n != nil && n.sect == nil && !n.isList {
			return n, at
		}
		if n := at.sub("DEFAULT").get(name); n != nil && n.sect == nil && !n.isList {
			return n, at
		}
		if at.parent == at {
			return nil, nil
		}
		at = at.parent
	}
}

// render writes a tree of sections as DVC does; nothing becomes one empty line.
// A value that would not be read back as it is, is an error.
func render(top *section) ([]byte, error) {
	var b strings.Builder
	if err := renderInto(&b, top, 0); err != nil {
		return nil, err
	}
	if b.Len() == 0 {
		b.WriteByte('\n')
	}
	return []byte(b.String()), nil
}

func renderInto(b *strings.Builder, s *section, depth int) error {
	indent := strings.Repeat("    ", depth)
	for _, e := range s.entries {
		if e.val.sect != nil {
			continue
		}
		key, err := quote(e.key, false)
		if err != nil {
			return err
		}
		val, err := quoteNode(e.val)
		if err != nil {
			return fmt.Errorf("option %s: %w", pyRepr(e.key), err)
		}
		b.WriteString(indent + key + " = " + val + "\n")
	}
	for _, e := range s.entries {
		if e.val.sect == nil {
			continue
		}
		title, err := quote(e.key, false)
		if err != nil {
			return err
		}
		b.WriteString(indent + strings.Repeat("[", depth+1) + title + strings.Repeat("]", depth+1) + "\n")
		if err := renderInto(b, e.val.sect, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func quoteNode(n *node) (string, error) {
	if !n.isList {
		return quote(n.text, true)
	}
	items := make([]string, len(n.list))
	for i, s := range n.list {
		var err error
		if items[i], err = quote(s, false); err != nil {
			return "", err
		}
	}
	if len(items) < 2 {
		return strings.Join(items, "") + ",", nil
	}
	return strings.Join(items, ", "), nil
}

var errQuote = fmt.Errorf("cannot be written in a config file, because of its quotes or line breaks")

// quote writes a text, in quotes where it needs them; multiline allows triple
// ones, which names and items of lists cannot have.
func quote(s string, multiline bool) (string, error) {
	if s == "" {
		return `""`, nil
	}
	single, double, lf := strings.Contains(s, "'"), strings.Contains(s, `"`), strings.Contains(s, "\n")
	if multiline && (lf || single && double) {
		if !strings.Contains(s, `"""`) {
			return "'''" + s + "'''", nil
		}
		if strings.Contains(s, "'''") {
			return "", errQuote
		}
		return `"""` + s + `"""`, nil
	}
	const edge = " \r\n\v\t'\""
	plain := !strings.ContainsAny(s[:1], edge) && !strings.ContainsAny(s[len(s)-1:], edge) && !strings.ContainsAny(s, ",#")
	switch {
	case lf:
		return "", errQuote
	case plain:
		return s, nil
	case single && double:
		return "", errQuote
	case double:
		return "'" + s + "'", nil
	}
	return `"` + s + `"`, nil
}

// pyRepr is Python's repr of a text, as DVC's messages have it.
func pyRepr(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa1 || r == 0xad:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xff && !unicode.IsPrint(r):
			if r > 0xffff {
				fmt.Fprintf(&b, `\U%08x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(q)
	return b.String()
}
