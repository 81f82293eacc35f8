package yamlfmt

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The emitter lays out a tree as ruamel.yaml does with DVC's settings: block
// style, an indent of 2, dashes not indented, lines folded at 80 columns.
// Its state and the order of its decisions follow the original, because the
// place of blanks and line breaks around comments depends on them.

const (
	lineWidth     = 80
	maxSimpleKey  = 128
	indentStep    = 2
	noIndent      = -1
	breakRunes    = "\n\u0085\u2028\u2029"
	blankRunes    = "\x00 \t\r\n\u0085\u2028\u2029"
	firstNotPlain = "#,[]{}&*!|>'\"%@`"
)

// enode is a node to be written.
type enode struct {
	kind     nodeKind
	flow     bool
	style    byte   // of a scalar
	text     string // of a scalar
	isString bool   // the scalar is a string; else its text says its type
	isNull   bool
	tag      string // to be written, "" if none
	anchor   string // to be written; set by assignAnchors
	name     string // the anchor's name in the old text
	always   bool   // write the anchor even if nothing refers to it
	items    []*enode
	c        *comments
	seen     bool // visited by assignAnchors
	written  bool
}

type indentEntry struct {
	indent int
	seq    bool
}

type emitter struct {
	b          []byte
	col        int
	indent     int
	indents    []indentEntry
	whitespace bool // the last character was a blank
	indention  bool // nothing but indentation so far on this line
	noNewline  bool
	openEnded  bool
	flow       []byte
	rootCtx    bool
	seqCtx     bool
	mapCtx     bool
	keyCtx     bool
}

// emit writes a document.
func emit(root *enode) []byte {
	assignAnchors(root, new(int))
	e := &emitter{indent: noIndent, whitespace: true, indention: true}
	e.node(root, true, false, false, false)
	e.writeIndent()
	if e.openEnded {
		e.indicator("...", true, false, false)
		e.writeIndent()
	}
	return e.b
}

// assignAnchors names the nodes that stand in several places.
func assignAnchors(n *enode, last *int) {
	if n.seen {
		if n.anchor == "" {
			n.anchor = n.name
			if n.anchor == "" {
				*last++
				n.anchor = fmt.Sprintf("id%03d", *last)
			}
		}
		return
	}
	n.seen = true
	if n.always {
		n.anchor = n.name
	}
	for _, item := range n.items {
		assignAnchors(item, last)
	}
}

func (e *emitter) write(s string) { e.b = append(e.b, s...) }

// writeText writes text and counts its columns.
func (e *emitter) writeText(s string) {
	e.b = append(e.b, s...)
	e.col += utf8.RuneCountInString(s)
}

func (e *emitter) lineBreak(s string) {
	e.whitespace, e.indention = true, true
	e.col = 0
	e.write(s)
}

func (e *emitter) writeIndent() {
	indent := max(e.indent, 0)
	if !e.indention || e.col > indent || e.col == indent && !e.whitespace {
		if e.noNewline {
			e.noNewline = false
		} else {
			e.lineBreak("\n")
		}
	}
	if e.col < indent {
		e.whitespace = true
		e.write(strings.Repeat(" ", indent-e.col))
		e.col = indent
	}
}

func (e *emitter) indicator(s string, needBlank, whitespace, indention bool) {
	if needBlank && !e.whitespace {
		s = " " + s
	}
	e.whitespace = whitespace
	e.indention = e.indention && indention
	e.openEnded = false
	e.writeText(s)
}

func (e *emitter) pushIndent(flow, seq, indentless bool) {
	e.indents = append(e.indents, indentEntry{e.indent, seq})
	switch {
	case e.indent == noIndent:
		if !flow {
			e.indent = 0
		}
	case !indentless:
		e.indent += indentStep
	}
}

func (e *emitter) popIndent() {
	last := len(e.indents) - 1
	e.indent = e.indents[last].indent
	e.indents = e.indents[:last]
}

func (e *emitter) inSeq(back int) bool {
	i := len(e.indents) - back
	return i >= 0 && e.indents[i].seq
}

// flowPad is how many blanks stand before a flow collection in a sequence.
func (e *emitter) flowPad(pre bool) int {
	if len(e.indents) < 2 || !e.inSeq(1) {
		if len(e.indents) == 0 || !pre {
			return 0
		}
	}
	base := max(e.indents[len(e.indents)-1].indent, 0)
	if pre {
		return base + indentStep
	}
	return base + indentStep - e.col - 1
}

func (e *emitter) writeComment(c *comment, pre bool) {
	v := c.value
	if !pre {
		v = strings.TrimSuffix(v, "\n")
	}
	col := c.col
	if strings.HasPrefix(c.value, "\n") {
		col = e.col
	}
	blanks := col - e.col
	if e.col > 0 && strings.TrimSpace(v) != "" && blanks < 1 && v[0] != '\n' {
		blanks = 1
	}
	if blanks > 0 {
		e.write(strings.Repeat(" ", blanks))
	}
	e.write(v)
	if !pre {
		e.lineBreak("\n")
	}
}

// preComments writes the comments before a node, and reports whether there
// is a list of them, be it empty. Those before a collection are written once.
func (e *emitter) preComments(list []*comment, once bool) bool {
	if list == nil {
		return false
	}
	for _, c := range list {
		if c.header || once && c.done {
			continue
		}
		if e.col != 0 {
			e.lineBreak("\n")
		}
		e.writeComment(c, true)
		c.done = c.done || once
	}
	return true
}

func (n *enode) post() *comment {
	if n.c == nil {
		return nil
	}
	return n.c.post
}

func (n *enode) pre() []*comment {
	if n.c == nil {
		return nil
	}
	return n.c.pre
}

func (n *enode) end() []*comment {
	if n.c == nil {
		return nil
	}
	return n.c.end
}

func (e *emitter) postComment(n *enode) bool {
	c := n.post()
	if c == nil {
		return false
	}
	e.writeComment(c, false)
	return true
}

func (e *emitter) node(n *enode, root, seq, mapping, key bool) {
	e.rootCtx, e.seqCtx, e.mapCtx, e.keyCtx = root, seq, mapping, key
	if n.written {
		e.indicator("*"+n.anchor, true, false, false)
		e.noNewline = false
		return
	}
	if n.anchor != "" {
		n.written = true
		e.indicator("&"+n.anchor, true, false, false)
		e.noNewline = false
		if n.kind == scalarNode {
			e.seqCtx = false
		}
	}
	switch n.kind {
	case scalarNode:
		e.scalar(n)
	case seqNode:
		e.sequence(n)
	case mapNode:
		e.mapping(n)
	}
}

func (e *emitter) sequence(n *enode) {
	forced := false
	indention := e.indention
	if n.c != nil {
		if !n.flow && e.postComment(n) {
			e.indention = false
			e.noNewline = true
		}
		col := e.col
		if e.preComments(n.pre(), true) {
			if n.flow {
				forced = !e.inSeq(1)
			}
			e.indention = indention
			e.noNewline = !e.indention
		}
		if n.flow {
			e.col = col
		}
	}
	if len(e.flow) > 0 || n.flow || len(n.items) == 0 {
		e.flowSequence(n, forced)
	} else {
		e.blockSequence(n)
	}
}

func (e *emitter) mapping(n *enode) {
	forced := false
	if !n.flow && n.c != nil {
		e.postComment(n)
	}
	if len(n.pre()) > 0 {
		e.preComments(n.pre(), true)
		if n.flow && len(e.indents) > 0 {
			forced = !e.inSeq(1)
		}
	}
	if len(e.flow) > 0 || n.flow || len(n.items) == 0 {
		e.flowMapping(n, forced)
	} else {
		e.blockMapping(n)
	}
}

// afterSequenceStart forgets the line of a sequence that begins in another.
func (e *emitter) afterSequenceStart() {
	if e.inSeq(2) && e.inSeq(1) {
		e.indention = true
		e.noNewline = false
	}
}

func (e *emitter) flowStart(open string, seq, forced bool) {
	if forced {
		e.pushIndent(true, seq, false)
	}
	pad := strings.Repeat(" ", max(e.flowPad(forced), 0))
	e.indicator(pad+open, true, true, false)
}

func (e *emitter) flowEnd(n *enode, closing string) {
	e.popIndent()
	e.flow = e.flow[:len(e.flow)-1]
	if closing != "" {
		e.indicator(closing, false, false, false)
	}
	if n.flow && n.post() != nil {
		e.postComment(n)
	} else if len(n.items) > 0 {
		e.noNewline = false
	} else if len(e.flow) == 0 {
		e.lineBreak("\n")
	}
}

func (e *emitter) foldFlow() {
	if e.col > lineWidth {
		e.writeIndent()
	}
}

func (e *emitter) flowSequence(n *enode, forced bool) {
	e.flowStart("[", true, forced)
	if !forced {
		e.pushIndent(true, true, false)
	}
	e.flow = append(e.flow, '[')
	e.afterSequenceStart()
	for i, item := range n.items {
		if i > 0 {
			e.indicator(",", false, false, false)
		}
		e.foldFlow()
		e.node(item, false, true, false, false)
	}
	e.flowEnd(n, "]")
}

func (e *emitter) flowMapping(n *enode, forced bool) {
	open, closing := "{", "}"
	bare := len(n.items) == 2 && len(e.flow) > 0 && e.flow[len(e.flow)-1] == '['
	if bare {
		open, closing = "", ""
	}
	e.flowStart(open, false, forced)
	if bare {
		e.flow = append(e.flow, 0)
	} else {
		e.flow = append(e.flow, '{')
	}
	if !forced {
		e.pushIndent(true, false, false)
	}
	for i := 0; i+1 < len(n.items); i += 2 {
		if i > 0 {
			e.indicator(",", false, false, false)
		}
		e.foldFlow()
		if e.isSimpleKey(n.items[i]) {
			e.node(n.items[i], false, false, true, true)
			e.indicator(":", false, false, false)
		} else {
			e.indicator("?", true, false, false)
			e.node(n.items[i], false, false, true, false)
			e.foldFlow()
			e.indicator(":", true, false, false)
		}
		e.node(n.items[i+1], false, false, true, false)
	}
	e.flowEnd(n, closing)
}

func (e *emitter) blockSequence(n *enode) {
	e.pushIndent(false, true, e.mapCtx && !e.indention)
	e.afterSequenceStart()
	for _, item := range n.items {
		if len(item.pre()) > 0 && !item.written {
			e.preComments(item.pre(), item.kind != scalarNode)
		}
		noNewline := e.noNewline && e.col == 0
		e.writeIndent()
		e.indicator("-", true, false, true)
		if noNewline {
			e.noNewline = true
		}
		e.node(item, false, true, false, false)
	}
	e.preComments(n.end(), false)
	e.popIndent()
	e.noNewline = false
}

func (e *emitter) blockMapping(n *enode) {
	e.pushIndent(false, false, false)
	for i := 0; i+1 < len(n.items); i += 2 {
		k, v := n.items[i], n.items[i+1]
		if len(k.pre()) > 0 && !k.written {
			e.preComments(k.pre(), k.kind != scalarNode)
		}
		e.writeIndent()
		if e.isSimpleKey(k) {
			alias := k.written
			e.node(k, false, false, true, true)
			if alias {
				e.write(" ")
			}
			e.indicator(":", false, false, false)
		} else {
			e.indicator("?", true, false, true)
			e.node(k, false, false, true, false)
			e.writeIndent()
			e.indicator(":", true, false, true)
		}
		e.node(v, false, false, true, false)
	}
	e.preComments(n.end(), false)
	e.popIndent()
}

// isSimpleKey reports whether a key needs no "?".
func (e *emitter) isSimpleKey(n *enode) bool {
	length := 0
	if n.anchor != "" {
		length += len(n.anchor)
	}
	if n.written {
		return length < maxSimpleKey
	}
	length += n.tagWidth()
	if n.kind != scalarNode {
		return (n.flow || len(n.items) == 0) && length < maxSimpleKey
	}
	length += utf8.RuneCountInString(n.text)
	return length < maxSimpleKey && !strings.ContainsAny(n.text, breakRunes)
}

// tagWidth is the length of a node's tag, which counts for the length of a
// key although it is not written.
func (n *enode) tagWidth() int {
	if n.kind != scalarNode || n.isString {
		return len("!!str")
	}
	return len("!!") + len(tagNames[resolve(n.text)])
}

var tagNames = [...]string{"str", "null", "bool", "int", "float", "timestamp", "merge", "value"}

// Scalars.

func (e *emitter) scalar(n *enode) {
	a := analyze(n.text)
	style := e.chooseStyle(n, a)
	if n.isNull && n.text == "" && style == '\'' {
		n.text = "null"
		a = analyze(n.text)
		style = e.chooseStyle(n, a)
	}
	if style == 0 && e.plainLoses(n.text) {
		style = '\''
	}
	if style == '\'' && strings.Contains(n.text, "\u0085") {
		style = '"' // it would be read as a line break
	}
	if n.tag != "" {
		e.indicator(n.tag, true, false, false)
		if e.seqCtx && len(e.flow) == 0 {
			e.noNewline = true
		}
	}
	e.pushIndent(true, false, false)
	split := !e.keyCtx
	if e.seqCtx && len(e.flow) == 0 {
		e.writeIndent()
	}
	switch style {
	case '"':
		e.doubleQuoted(n.text, split)
	case '\'':
		e.singleQuoted(n.text, split)
	case '>', '|':
		e.block(n, style)
	default:
		e.plain(n.text, split)
	}
	e.postComment(n)
	e.popIndent()
}

// analysis says in which styles a scalar can be written.
type analysis struct {
	empty, multiline      bool
	flowPlain, blockPlain bool
	single, block         bool
}

func analyze(s string) analysis {
	if s == "" {
		return analysis{empty: true, blockPlain: true, single: true}
	}
	var blockMarks, flowMarks, lineBreaks, special bool
	var leading, trailing, breakSpace, spaceBreak, trailingSpace bool
	if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		blockMarks, flowMarks = true, true
	}
	blankBefore, prevSpace, prevBreak := true, false, false
	for i, r := range s {
		_, width := utf8.DecodeRuneInString(s[i:]) // 1 of a byte that is no UTF-8
		rest := s[i+width:]
		next, _ := utf8.DecodeRuneInString(rest)
		blankAfter := rest == "" || strings.ContainsRune(blankRunes, next)
		if i == 0 {
			switch {
			case strings.ContainsRune(firstNotPlain, r):
				flowMarks, blockMarks = true, true
			case r == '?' || r == ':':
				flowMarks = flowMarks || rest == ""
				blockMarks = blockMarks || blankAfter
			case r == '-' && blankAfter:
				flowMarks, blockMarks = true, true
			}
		} else {
			switch {
			case strings.ContainsRune(",[]{}", r):
				flowMarks = true
			case r == ':' && blankAfter, r == '#' && blankBefore:
				flowMarks, blockMarks = true, true
			}
		}
		isBreak := strings.ContainsRune(breakRunes, r)
		lineBreaks = lineBreaks || isBreak
		special = special || !isPlainRune(r)
		switch {
		case r == ' ':
			leading = leading || i == 0
			trailingSpace = trailingSpace || rest == ""
			breakSpace = breakSpace || prevBreak
			prevSpace, prevBreak = true, false
		case isBreak:
			leading = leading || i == 0
			trailing = trailing || rest == ""
			spaceBreak = spaceBreak || prevSpace
			prevSpace, prevBreak = false, true
		default:
			prevSpace, prevBreak = false, false
		}
		blankBefore = strings.ContainsRune(blankRunes, r)
	}
	plain := !leading && !trailing && !trailingSpace && !breakSpace && !special && !spaceBreak && !lineBreaks
	return analysis{
		multiline:  lineBreaks,
		flowPlain:  plain && !flowMarks,
		blockPlain: plain && !blockMarks,
		single:     !breakSpace && !special && !spaceBreak,
		block:      !trailingSpace && !special && !spaceBreak,
	}
}

// isPlainRune reports whether a character needs no escape.
func isPlainRune(r rune) bool {
	return r == '\n' || r >= ' ' && r <= '~' || r == 0x85 || r >= 0xa0 && r <= 0xd7ff ||
		r >= 0xe000 && r <= 0xfffd && r != 0xfeff || r >= 0x10000
}

func (e *emitter) chooseStyle(n *enode, a analysis) byte {
	if n.style == '"' {
		return '"'
	}
	// A string whose text reads as something else is quoted, unless its tag
	// is written.
	implicit := n.tag != "" || !n.isString || resolve(n.text) == strType
	if n.style == 0 && implicit && !(e.keyCtx && (a.empty || a.multiline)) {
		if len(e.flow) > 0 && a.flowPlain || len(e.flow) == 0 && a.blockPlain {
			return 0
		}
	}
	if (n.style == '|' || n.style == '>') && len(e.flow) == 0 && !e.keyCtx {
		return n.style
	}
	if n.style == 0 && strings.ContainsAny(n.text, "'\n") {
		return '"'
	}
	if (n.style == 0 || n.style == '\'') && a.single && !(e.keyCtx && a.multiline) {
		return '\''
	}
	return '"'
}

func (e *emitter) breaks(s string) {
	for _, r := range s {
		e.lineBreak(string(r))
	}
}

func (e *emitter) plain(s string, split bool) {
	if e.rootCtx {
		e.openEnded = true
	}
	if s == "" {
		return
	}
	if !e.whitespace {
		e.writeText(" ")
	}
	e.whitespace, e.indention = false, false
	for s != "" {
		if s[0] == ' ' {
			n := run(s, func(c byte) bool { return c == ' ' })
			if n == 1 && e.col >= lineWidth && split && len(s) > 1 {
				e.writeIndent()
				e.whitespace, e.indention = false, false
			} else {
				e.writeText(s[:n])
			}
			s = s[n:]
			continue
		}
		n := strings.IndexByte(s, ' ')
		if n < 0 {
			n = len(s)
		}
		if utf8.RuneCountInString(s[:n])+e.col > lineWidth && e.indent != noIndent && e.col > e.indent {
			e.writeIndent()
		}
		e.writeText(s[:n])
		s = s[n:]
	}
}

// plainLoses reports whether folding a plain scalar would change it: break a
// line after several blanks, of which a reader finds one, or break a key.
// DVC writes such texts all the same; here they are quoted, so that no name
// changes by being stored.
func (e *emitter) plainLoses(s string) bool {
	if !strings.Contains(s, "  ") && !(e.keyCtx && strings.Contains(s, " ")) {
		return false
	}
	trial := emitter{col: e.col, indent: e.indent, whitespace: e.whitespace}
	if e.indent != noIndent {
		trial.indent += indentStep
		if e.seqCtx && len(e.flow) == 0 {
			trial.col, trial.whitespace = max(e.col, trial.indent), true
		}
	}
	trial.plain(s, !e.keyCtx)
	if e.keyCtx && strings.Contains(string(trial.b), "\n") {
		return true
	}
	for _, line := range strings.Split(string(trial.b), "\n") {
		if strings.HasSuffix(line, "  ") {
			return true
		}
	}
	return false
}

func (e *emitter) singleQuoted(s string, split bool) {
	e.indicator("'", true, false, false)
	for i := 0; i < len(s); {
		switch {
		case s[i] == ' ':
			n := run(s[i:], func(c byte) bool { return c == ' ' })
			if n == 1 && e.col > lineWidth && split && i != 0 && i+n != len(s) {
				e.writeIndent()
			} else {
				e.writeText(s[i : i+n])
			}
			i += n
		case isBreakAt(s, i):
			n := 0
			for i+n < len(s) && isBreakAt(s, i+n) {
				_, w := utf8.DecodeRuneInString(s[i+n:])
				n += w
			}
			if s[i] == '\n' {
				e.lineBreak("\n")
			}
			e.breaks(s[i : i+n])
			e.writeIndent()
			i += n
		case s[i] == '\'':
			e.writeText("''")
			i++
		default:
			n := 0
			for i+n < len(s) && s[i+n] != ' ' && s[i+n] != '\'' && !isBreakAt(s, i+n) {
				n++
			}
			e.writeText(s[i : i+n])
			i += n
		}
	}
	e.indicator("'", false, false, false)
}

func isBreakAt(s string, i int) bool {
	return s[i] == '\n' || strings.HasPrefix(s[i:], "\u0085") || strings.HasPrefix(s[i:], "\u2028") || strings.HasPrefix(s[i:], "\u2029")
}

func escapeOf(r rune) string {
	switch r {
	case 0:
		return `\0`
	case '\a':
		return `\a`
	case '\b':
		return `\b`
	case '\t':
		return `\t`
	case '\n':
		return `\n`
	case '\v':
		return `\v`
	case '\f':
		return `\f`
	case '\r':
		return `\r`
	case 0x1b:
		return `\e`
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case 0x85:
		return `\N`
	case 0xa0:
		return `\_`
	case 0x2028:
		return `\L`
	case 0x2029:
		return `\P`
	}
	switch {
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

func needsEscape(r rune) bool {
	return r == '"' || r == '\\' || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == '\n' || !isPlainRune(r)
}

// doubleQuoted breaks long lines at blanks; where the reader would not give
// back the blank, a backslash stands at the end of the line.
func (e *emitter) doubleQuoted(text string, split bool) {
	e.indicator(`"`, true, false, false)
	s := []rune(text)
	start := 0
	for end := 0; end <= len(s); end++ {
		atEnd := end == len(s)
		if atEnd || needsEscape(s[end]) {
			if start < end {
				e.writeText(string(s[start:end]))
				start = end
			}
			if !atEnd {
				e.writeText(escapeOf(s[end]))
				start = end + 1
			}
		}
		if 0 < end && end < len(s)-1 && (s[end] == ' ' || start >= end) && e.col+end-start > lineWidth && split {
			start = e.foldQuoted(s, start, end)
		}
	}
	e.indicator(`"`, false, false, false)
}

func (e *emitter) foldQuoted(s []rune, start, end int) int {
	backslash := foldNeedsBackslash(s, start, end)
	data := ""
	if start < end {
		data = string(s[start:end])
		start = end
	}
	if backslash {
		data += `\`
	}
	e.writeText(data)
	e.writeIndent()
	e.whitespace, e.indention = false, false
	if s[start] == ' ' {
		if backslash {
			e.writeText(`\`)
		} else {
			start++
		}
	}
	return start
}

func foldNeedsBackslash(s []rune, start, end int) bool {
	space := indexRune(s, ' ', end, len(s))
	if space < 0 {
		return true
	}
	if nl := indexRune(s, '\n', end, space); nl >= 0 {
		space = nl
	}
	if space+1 >= len(s) {
		return true
	}
	if s[space] == '\n' && s[space+1] != ' ' {
		return true
	}
	// Behind an escape DVC leaves the backslash out, and a blank comes in.
	if start == end || start > end && s[start] != ' ' {
		return true
	}
	if indexRune(s, '"', end, space) >= 0 || indexRune(s, '\'', end, space) >= 0 {
		return true
	}
	return s[space+1] == ' ' || s[space+1] == '\n' || s[end-1] == ' ' && s[end] == ' '
}

func indexRune(s []rune, r rune, from, to int) int {
	for i := from; i < to; i++ {
		if s[i] == r {
			return i
		}
	}
	return -1
}

// blockHints is what stands behind | or > for a text.
func (e *emitter) blockHints(s string) (hints string, indent int) {
	if s == "" {
		return "", 0
	}
	if s[0] == ' ' || isBreakAt(s, 0) {
		indent = 2
		hints = "2"
	} else if e.rootCtx && hasDocMarker(s) {
		indent = 2
	}
	_, w := utf8.DecodeLastRuneInString(s)
	last := len(s) - w
	switch {
	case !isBreakAt(s, last):
		hints += "-"
	case last == 0:
		hints += "+"
	default:
		_, w := utf8.DecodeLastRuneInString(s[:last])
		if isBreakAt(s, last-w) {
			hints += "+"
		}
	}
	return hints, indent
}

func hasDocMarker(s string) bool {
	for _, line := range strings.Split(s, "\n") {
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") {
			if len(line) == 3 || line[3] == ' ' {
				return true
			}
		}
	}
	return false
}

func (e *emitter) block(n *enode, style byte) {
	hints, extra := e.blockHints(n.text)
	header := string(style) + hints
	if pre := n.pre(); len(pre) > 0 && pre[0].header {
		header += pre[0].value
	}
	e.indicator(header, true, false, false)
	if strings.HasSuffix(hints, "+") {
		e.openEnded = true
	}
	e.lineBreak("\n")
	if style == '|' {
		e.literal(n.text, extra)
	} else {
		e.folded([]rune(n.text))
	}
	if c := n.post(); c != nil && c.col >= e.indent {
		c.col = e.indent - 1
	}
}

func (e *emitter) literal(s string, extra int) {
	for first := true; s != "" || first; first = false {
		n := 0
		for n < len(s) && isBreakAt(s, n) {
			_, w := utf8.DecodeRuneInString(s[n:])
			n += w
		}
		e.breaks(s[:n])
		s = s[n:]
		if s == "" {
			return
		}
		if e.rootCtx {
			e.write(strings.Repeat(" ", extra+max(e.indent, 0)))
		} else {
			e.writeIndent()
		}
		n = 0
		for n < len(s) && !isBreakAt(s, n) {
			n++
		}
		e.write(s[:n])
		s = s[n:]
		if s == "" {
			e.lineBreak("\n")
		}
	}
}

func isBreakRune(r rune) bool { return strings.ContainsRune(breakRunes, r) }

// folded writes a folded scalar; foldMark stands where its lines end.
func (e *emitter) folded(s []rune) {
	leading, spaces, breaks := true, false, true
	start := 0
	for end := 0; end <= len(s); end++ {
		ch := rune(-1)
		if end < len(s) {
			ch = s[end]
		}
		switch {
		case breaks:
			if ch != -1 && (isBreakRune(ch) || ch == foldMark) {
				break
			}
			if !leading && ch != -1 && ch != ' ' && s[start] == '\n' {
				e.lineBreak("\n")
			}
			leading = ch == ' '
			e.breaks(string(s[start:end]))
			if ch != -1 {
				e.writeIndent()
			}
			start = end
		case spaces:
			if ch == ' ' {
				break
			}
			if start+1 == end && e.col > lineWidth {
				e.writeIndent()
			} else {
				e.writeText(string(s[start:end]))
			}
			start = end
		default:
			if ch != -1 && ch != ' ' && ch != foldMark && !isBreakRune(ch) {
				break
			}
			e.writeText(string(s[start:end]))
			if ch == foldMark && end+2 < len(s) {
				e.lineBreak("\n")
				e.writeIndent()
				end += 2 // the mark and the blank that the fold stands for
				start = end
				ch = s[end]
				break
			}
			if ch == -1 {
				e.lineBreak("\n")
			}
			start = end
		}
		if ch != -1 {
			breaks, spaces = isBreakRune(ch), ch == ' '
		}
	}
}
