package yamlfmt

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The scanner cuts text into tokens by the rules of YAML 1.2 as PyYAML and
// ruamel.yaml apply them, where they differ from the specification too: what
// DVC reads is what counts. When it keeps comments it places them as
// ruamel.yaml's round-trip loader does, which decides where they stand after
// a rewrite.

type tokenKind uint8

const (
	tStreamStart tokenKind = iota
	tStreamEnd
	tDirective
	tDocStart
	tDocEnd
	tBlockSeq
	tBlockMap
	tBlockEnd
	tFlowSeq
	tFlowMap
	tFlowSeqEnd
	tFlowMapEnd
	tKey
	tValue
	tEntry
	tFlowEntry
	tAlias
	tAnchor
	tTag
	tScalar
	tComment
)

// tokenNames are those of error messages.
var tokenNames = [...]string{
	"<stream start>", "<stream end>", "<directive>", "<document start>", "<document end>",
	"<block sequence start>", "<block mapping start>", "<block end>", "[", "{", "]", "}",
	"?", ":", "-", ",", "<alias>", "<anchor>", "<tag>", "<scalar>", "<comment>",
}

// mark is a place in the text, counted from 0, columns in code points.
type mark struct{ line, col int }

type token struct {
	kind       tokenKind
	style      byte // of a scalar: ' " | > or 0 for plain
	start, end mark
	value      string
	handle     string // of a tag
	c          *comments
}

// comment is one or more lines of comment or blank lines, each with its line
// end.
type comment struct {
	value string
	col   int
	// header is the comment on the line of a block scalar's indicator.
	header bool
	done   bool // written already
}

// comments are those that travel with a token, node or value.
type comments struct {
	post *comment   // on the same line and the lines after
	pre  []*comment // on the lines before
	end  []*comment // after the last item of a collection
	// long marks the shape that a comment after "key:" has, which holds no
	// end; extra is its comment.
	long  bool
	extra *comment
}

type simpleKey struct {
	level, number int
	required      bool
	at            mark
}

type scanner struct {
	b        []byte
	pos      int
	line     int
	col      int
	comments bool // keep them

	queue []token
	head  int // of queue
	taken int
	done  bool

	flow      []byte // '[' or '{' of each open flow collection
	indent    int
	indents   []int
	allowKey  bool
	keys      []simpleKey // by level, which is by number too
	scratch   []byte
	tagPrefix map[string]string
}

func newScanner(b []byte, withComments bool) *scanner {
	s := &scanner{b: b, comments: withComments, indent: -1, allowKey: true}
	s.queue = make([]token, 0, 16)
	s.add(token{kind: tStreamStart})
	return s
}

func (s *scanner) add(t token) { s.queue = append(s.queue, t) }

func (s *scanner) len() int { return len(s.queue) - s.head }

func (s *scanner) here() mark { return mark{s.line, s.col} }

// at is the byte at offset i, 0 beyond the end.
func (s *scanner) at(i int) byte {
	if i < len(s.b) {
		return s.b[i]
	}
	return 0
}

func (s *scanner) peek() byte { return s.at(s.pos) }

// breakLen is the length of the line break at offset i, 0 if there is none.
// The text holds no carriage returns.
func (s *scanner) breakLen(i int) int {
	if i >= len(s.b) {
		return 0
	}
	switch s.b[i] {
	case '\n':
		return 1
	case 0xc2:
		if s.at(i+1) == 0x85 {
			return 2
		}
	case 0xe2:
		if s.at(i+1) == 0x80 && s.at(i+2)|1 == 0xa9 {
			return 3
		}
	}
	return 0
}

// isEnd reports whether a line ends at offset i.
func (s *scanner) isEnd(i int) bool { return i >= len(s.b) || s.breakLen(i) > 0 }

// isBlank reports whether offset i is a blank, a tab or the end of the line.
func (s *scanner) isBlank(i int) bool {
	if i >= len(s.b) {
		return true
	}
	c := s.b[i]
	return c == ' ' || c == '\t' || c == '\n' || c >= 0x80 && s.breakLen(i) > 0
}

// forward moves by n bytes.
func (s *scanner) forward(n int) {
	for _, c := range s.b[s.pos : s.pos+n] {
		switch {
		case c == '\n':
			s.line++
			s.col = 0
		case c&0xc0 != 0x80: // the first byte of a code point
			s.col++
		}
	}
	if n >= 3 && s.b[s.pos] == 0xef && s.b[s.pos+1] == 0xbb && s.b[s.pos+2] == 0xbf {
		s.col-- // a byte order mark has no width
	}
	s.pos += n
}

func (s *scanner) scanBreak() string {
	n := s.breakLen(s.pos)
	if n == 0 {
		return ""
	}
	text := "\n"
	if n == 3 {
		text = string(s.b[s.pos : s.pos+n])
	}
	s.forward(n)
	return text
}

// rune is the character at the current place, quoted for a message.
func (s *scanner) quoted() string { return s.quotedAt(s.pos) }

func (s *scanner) quotedAt(i int) string {
	if i >= len(s.b) {
		return `'\x00'`
	}
	r, _ := utf8.DecodeRune(s.b[i:])
	return string(appendPyString(nil, string(r)))
}

func (s *scanner) docMarker() bool {
	if s.at(s.pos+2) == 0 || !s.isBlank(s.pos+3) {
		return false
	}
	p := string(s.b[s.pos : s.pos+3])
	return p == "---" || p == "..."
}

// Reading tokens.

func (s *scanner) needMore() bool {
	if s.done {
		return false
	}
	if s.len() == 0 {
		return true
	}
	s.dropStaleKeys()
	return len(s.keys) > 0 && s.keys[0].number == s.taken
}

func (s *scanner) pop() token {
	t := s.queue[s.head]
	s.queue[s.head] = token{}
	s.head++
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	} else if s.head > 256 && 2*s.head > len(s.queue) {
		s.queue = s.queue[:copy(s.queue, s.queue[s.head:])]
		s.head = 0
	}
	s.taken++
	return t
}

// popSecond removes the token after the next one.
func (s *scanner) popSecond() token {
	t := s.queue[s.head+1]
	s.queue = append(s.queue[:s.head+1], s.queue[s.head+2:]...)
	s.taken++
	return t
}

func (s *scanner) first() *token { return &s.queue[s.head] }

// second is the token after the next one if it is a comment.
func (s *scanner) secondComment() *token {
	if s.len() > 1 && s.queue[s.head+1].kind == tComment {
		return &s.queue[s.head+1]
	}
	return nil
}

// next is the token at hand, not taken.
func (s *scanner) next() *token {
	for s.needMore() {
		s.fetch()
	}
	if s.comments {
		s.gather()
	}
	return s.first()
}

// is reports whether the token at hand is of one of the kinds.
func (s *scanner) is(kinds ...tokenKind) bool {
	k := s.next().kind
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

// gather gives comments before a token to that token.
func (s *scanner) gather() {
	if s.len() == 0 {
		return
	}
	var got []*comment
	if s.first().kind == tComment {
		t := s.pop()
		got = append(got, t.c.post)
	}
	for s.needMore() {
		s.fetch()
		if s.len() == 0 {
			return
		}
		if s.first().kind == tComment {
			t := s.pop()
			got = append(got, t.c.post)
		}
	}
	if len(got) > 0 {
		t := s.first()
		if t.c == nil {
			t.c = &comments{}
		}
		t.c.pre = got
	}
	// The comment behind a ":" is to be seen with it.
	if !s.done && s.len() < 2 {
		s.fetch()
	}
}

// take removes the token at hand, with the comments that belong behind it.
func (s *scanner) take() token {
	for s.needMore() {
		s.fetch()
	}
	if !s.comments {
		return s.pop()
	}
	s.gather()
	if c := s.secondComment(); c != nil {
		t := s.first()
		sameLine := t.end.line == c.start.line
		takes := t.kind == tScalar
		if sameLine {
			takes = takes || t.kind == tValue || t.kind == tFlowSeqEnd || t.kind == tFlowMapEnd
		}
		if takes {
			s.takeComments(sameLine)
		}
	}
	return s.pop()
}

func (s *scanner) takeComments(sameLine bool) {
	ct := s.popSecond()
	c := ct.c.post
	t := s.first()
	if !sameLine {
		c.value = strings.Repeat("\n", ct.start.line-t.end.line) + strings.Repeat(" ", ct.start.col) + c.value
	}
	if t.c == nil {
		t.c = &comments{}
	}
	t.c.post = c
	s.fetchIfOpen()
	if s.secondComment() == nil {
		return
	}
	var b strings.Builder
	b.WriteString(c.value)
	for s.secondComment() != nil {
		more := s.popSecond()
		b.WriteString(strings.Repeat(" ", more.start.col))
		b.WriteString(more.c.post.value)
		s.fetchIfOpen()
	}
	c.value = b.String()
}

func (s *scanner) fetchIfOpen() {
	if !s.done {
		s.fetch()
	}
}

// fetch adds at least one token to the queue.
func (s *scanner) fetch() {
	if s.comments {
		if c, start, ok := s.skipWithComments(); ok {
			text := strings.TrimRight(c, " ")
			s.add(token{kind: tComment, start: start, c: &comments{post: &comment{value: text, col: start.col}}})
			return
		}
	} else {
		s.skip()
	}
	s.dropStaleKeys()
	s.unwind(s.col)
	if s.pos >= len(s.b) {
		s.fetchEnd()
		return
	}
	c := s.b[s.pos]
	switch c {
	case '%':
		if s.col == 0 {
			s.fetchDirective()
			return
		}
	case '-', '.':
		if s.col == 0 && s.docMarker() {
			kind := tDocStart
			if c == '.' {
				kind = tDocEnd
			}
			s.fetchDocMarker(kind)
			return
		}
		if c == '-' && s.isBlank(s.pos+1) {
			s.fetchEntry()
			return
		}
	case '[':
		s.fetchFlowStart(tFlowSeq, c)
		return
	case '{':
		s.fetchFlowStart(tFlowMap, c)
		return
	case ']':
		s.fetchFlowEnd(tFlowSeqEnd)
		return
	case '}':
		s.fetchFlowEnd(tFlowMapEnd)
		return
	case ',':
		s.allowKey = true
		s.dropKey()
		s.addIndicator(tFlowEntry)
		return
	case '?':
		if len(s.flow) > 0 || s.isBlank(s.pos+1) {
			s.fetchKey()
			return
		}
	case ':':
		if s.valueHere() {
			s.fetchValue()
			return
		}
	case '*', '&':
		s.saveKey()
		s.allowKey = false
		s.scanAnchor(c)
		return
	case '!':
		s.saveKey()
		s.allowKey = false
		s.scanTag()
		return
	case '|', '>':
		if len(s.flow) == 0 {
			s.allowKey = true
			s.dropKey()
			s.scanBlockScalar(c)
			return
		}
	case '\'', '"':
		s.saveKey()
		s.allowKey = false
		s.scanQuoted(c)
		return
	}
	if !s.plainHere(c) {
		failIn("while scanning for the next token", mark{-1, -1}, s.here(), "found character %s that cannot start any token", s.quoted())
	}
	s.saveKey()
	s.allowKey = false
	s.scanPlain()
}

func (s *scanner) valueHere() bool {
	if len(s.flow) == 0 {
		return s.isBlank(s.pos + 1)
	}
	if s.flow[len(s.flow)-1] == '[' {
		return s.isBlank(s.pos + 1)
	}
	if s.len() > 0 && s.queue[len(s.queue)-1].kind == tValue {
		return s.isBlank(s.pos + 1)
	}
	return true
}

func (s *scanner) plainHere(c byte) bool {
	if s.breakLen(s.pos) > 0 {
		return false
	}
	switch c {
	case ' ', '\t', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		return false
	case '-':
		return !s.isBlank(s.pos + 1)
	case ':':
		if len(s.flow) > 0 {
			n := s.at(s.pos + 1)
			return n != ' ' && n != '\t'
		}
		return !s.isBlank(s.pos + 1)
	case '?':
		return len(s.flow) == 0 && !s.isBlank(s.pos+1)
	}
	return true
}

// Simple keys: a key needs no "?" if it stands on one line and has at most
// 1024 characters.

func (s *scanner) dropStaleKeys() {
	if len(s.keys) == 0 {
		return
	}
	kept := s.keys[:0]
	for _, k := range s.keys {
		if k.at.line == s.line && s.col-k.at.col <= 1024 {
			kept = append(kept, k)
		} else if k.required {
			failIn("while scanning a simple key", k.at, s.here(), "could not find expected ':'")
		}
	}
	s.keys = kept
}

func (s *scanner) saveKey() {
	if !s.allowKey {
		return
	}
	required := len(s.flow) == 0 && s.indent == s.col
	s.dropKey()
	s.keys = append(s.keys, simpleKey{len(s.flow), s.taken + s.len(), required, s.here()})
}

// dropKey forgets the possible key of this level.
func (s *scanner) dropKey() {
	if k, ok := s.popKey(); ok && k.required {
		failIn("while scanning a simple key", k.at, s.here(), "could not find expected ':'")
	}
}

func (s *scanner) popKey() (simpleKey, bool) {
	n := len(s.keys)
	if n == 0 || s.keys[n-1].level != len(s.flow) {
		return simpleKey{}, false
	}
	k := s.keys[n-1]
	s.keys = s.keys[:n-1]
	return k, true
}

func (s *scanner) unwind(col int) {
	if len(s.flow) > 0 {
		return
	}
	for s.indent > col {
		at := s.here()
		s.indent = s.indents[len(s.indents)-1]
		s.indents = s.indents[:len(s.indents)-1]
		s.add(token{kind: tBlockEnd, start: at, end: at})
	}
}

func (s *scanner) addIndent(col int) bool {
	if s.indent >= col {
		return false
	}
	s.indents = append(s.indents, s.indent)
	s.indent = col
	return true
}

func (s *scanner) addIndicator(k tokenKind) {
	start := s.here()
	s.forward(1)
	s.add(token{kind: k, start: start, end: s.here()})
}

func (s *scanner) fetchEnd() {
	s.unwind(-1)
	s.dropKey()
	s.allowKey = false
	s.keys = nil
	s.add(token{kind: tStreamEnd, start: s.here(), end: s.here()})
	s.done = true
}

func (s *scanner) fetchDocMarker(k tokenKind) {
	s.unwind(-1)
	s.dropKey()
	s.allowKey = false
	start := s.here()
	s.forward(3)
	s.add(token{kind: k, start: start, end: s.here()})
}

func (s *scanner) fetchFlowStart(k tokenKind, c byte) {
	s.saveKey()
	s.flow = append(s.flow, c)
	if len(s.flow) > maxDepth {
		failAt(s.here(), "collections are nested more than %d deep", maxDepth)
	}
	s.allowKey = true
	s.addIndicator(k)
}

func (s *scanner) fetchFlowEnd(k tokenKind) {
	s.dropKey()
	if len(s.flow) > 0 {
		s.flow = s.flow[:len(s.flow)-1]
	}
	s.allowKey = false
	s.addIndicator(k)
}

func (s *scanner) fetchEntry() {
	if len(s.flow) == 0 {
		if !s.allowKey {
			failAt(s.here(), "sequence entries are not allowed here")
		}
		if s.addIndent(s.col) {
			s.add(token{kind: tBlockSeq, start: s.here(), end: s.here()})
		}
	}
	s.allowKey = true
	s.dropKey()
	s.addIndicator(tEntry)
}

func (s *scanner) fetchKey() {
	if len(s.flow) == 0 {
		if !s.allowKey {
			failAt(s.here(), "mapping keys are not allowed here")
		}
		if s.addIndent(s.col) {
			s.add(token{kind: tBlockMap, start: s.here(), end: s.here()})
		}
	}
	s.allowKey = len(s.flow) == 0
	s.dropKey()
	s.addIndicator(tKey)
}

func (s *scanner) fetchValue() {
	if k, ok := s.popKey(); ok {
		i := s.head + k.number - s.taken
		insert := []token{{kind: tKey, start: k.at, end: k.at}}
		if len(s.flow) == 0 && s.addIndent(k.at.col) {
			insert = []token{{kind: tBlockMap, start: k.at, end: k.at}, insert[0]}
		}
		s.insert(i, insert)
		s.allowKey = false
	} else {
		if len(s.flow) == 0 {
			if !s.allowKey {
				failAt(s.here(), "mapping values are not allowed here")
			}
			if s.addIndent(s.col) {
				s.add(token{kind: tBlockMap, start: s.here(), end: s.here()})
			}
		}
		s.allowKey = len(s.flow) == 0
		s.dropKey()
	}
	s.addIndicator(tValue)
}

func (s *scanner) insert(i int, ts []token) {
	n := len(s.queue)
	for range ts {
		s.queue = append(s.queue, token{})
	}
	copy(s.queue[i+len(ts):], s.queue[i:n])
	copy(s.queue[i:], ts)
}

// Blanks and comments between tokens.

func (s *scanner) skipBOM() {
	if s.pos == 0 && len(s.b) >= 3 && s.b[0] == 0xef && s.b[1] == 0xbb && s.b[2] == 0xbf {
		s.pos = 3
	}
}

func (s *scanner) skipBlanks() {
	i := s.pos
	for s.at(i) == ' ' || s.at(i) == '\t' && len(s.flow) > 0 {
		i++
	}
	s.col += i - s.pos
	s.pos = i
}

func (s *scanner) skip() {
	s.skipBOM()
	for {
		s.skipBlanks()
		if s.peek() == '#' {
			s.forward(s.toEnd(s.pos))
		}
		if s.scanBreak() == "" {
			return
		}
		if len(s.flow) == 0 {
			s.allowKey = true
		}
	}
}

// toEnd is the distance from offset i to the end of its line.
func (s *scanner) toEnd(i int) int {
	n := 0
	for !s.isEnd(i + n) {
		n++
	}
	return n
}

// skipWithComments is skip that stops at a comment or at blank lines, and
// returns them.
func (s *scanner) skipWithComments() (text string, start mark, ok bool) {
	s.skipBOM()
	for {
		s.skipBlanks()
		if s.peek() == '#' {
			return s.scanComment()
		}
		if s.scanBreak() == "" {
			return "", mark{}, false
		}
		if len(s.flow) == 0 {
			s.allowKey = true
		}
		if s.peek() == '\n' {
			return s.scanEmptyLines()
		}
	}
}

func (s *scanner) scanComment() (string, mark, bool) {
	start := s.here()
	n := s.toEnd(s.pos)
	var b strings.Builder
	b.Write(s.b[s.pos : s.pos+n])
	s.forward(n)
	if s.pos >= len(s.b) {
		b.WriteByte('\n')
	} else {
		// The break itself is kept as it is, the blank lines after it too.
		w := s.breakLen(s.pos)
		b.Write(s.b[s.pos : s.pos+w])
		s.forward(w)
		for br := s.scanBreak(); br != ""; br = s.scanBreak() {
			b.WriteString(br)
		}
	}
	if len(s.flow) == 0 {
		s.allowKey = true
	}
	return b.String(), start, true
}

func (s *scanner) scanEmptyLines() (string, mark, bool) {
	start := s.here()
	var b strings.Builder
	for {
		if c := s.peek(); c == ' ' || c == '\t' {
			b.WriteByte(c)
			s.forward(1)
			continue
		}
		br := s.scanBreak()
		if br == "" {
			break
		}
		b.WriteString(br)
	}
	text := b.String()
	if s.peek() == '#' {
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			text = text[:i]
		}
		text += "\n"
	}
	return text, start, true
}

// Directives, anchors, tags.

func (s *scanner) fetchDirective() {
	s.unwind(-1)
	s.dropKey()
	s.allowKey = false
	start := s.here()
	line := string(s.b[s.pos : s.pos+s.toEnd(s.pos)])
	words := strings.Fields(line)
	const context = "while scanning a directive"
	switch words[0] {
	case "%YAML":
		if len(words) < 2 || !strings.HasPrefix(words[1], "1.") {
			failAt(start, "found incompatible YAML document (version 1.* is required)")
		}
		if words[1] == "1.1" {
			failIn(context, start, start, "YAML 1.1 is not supported")
		}
	case "%TAG":
		if len(words) < 3 {
			failIn(context, start, start, "expected a handle and a prefix")
		}
		if s.tagPrefix == nil {
			s.tagPrefix = map[string]string{}
		}
		s.tagPrefix[words[1]] = words[2]
	case "%":
		failIn(context, start, start, "expected alphabetic or numeric character, but found %s", s.quotedAt(s.pos+1))
	}
	s.forward(len(line))
	s.add(token{kind: tDirective, start: start, end: s.here(), value: words[0]})
	s.scanBreak()
}

func (s *scanner) scanAnchor(c byte) {
	start := s.here()
	kind, name := tAnchor, "anchor"
	if c == '*' {
		kind, name = tAlias, "alias"
	}
	i := s.pos + 1
	for !s.isBlank(i) && strings.IndexByte(",[]{}", s.b[i]) < 0 {
		i++
	}
	if i == s.pos+1 {
		s.forward(1)
		failIn("while scanning an "+name, start, s.here(), "expected alphabetic or numeric character, but found %s", s.quoted())
	}
	value := string(s.b[s.pos+1 : i])
	s.forward(i - s.pos)
	s.add(token{kind: kind, start: start, end: s.here(), value: value})
}

func (s *scanner) scanTag() {
	start := s.here()
	i := s.pos
	for !s.isBlank(i) && (len(s.flow) == 0 || strings.IndexByte(",[]{}", s.b[i]) < 0) {
		i++
	}
	text := string(s.b[s.pos:i])
	s.forward(i - s.pos)
	t := token{kind: tTag, start: start, end: s.here()}
	switch {
	case strings.HasPrefix(text, "!<"):
		if !strings.HasSuffix(text, ">") || len(text) < 4 {
			failIn("while parsing a tag", start, s.here(), "expected '>' but found %s", s.quoted())
		}
		t.value = text[2 : len(text)-1]
	case text == "!":
		t.value = "!"
	default:
		cut := strings.IndexByte(text[1:], '!') + 2
		if cut < 2 {
			cut = 1
		}
		t.handle, t.value = text[:cut], text[cut:]
		if t.value == "" {
			failIn("while parsing a tag", start, s.here(), "expected URI, but found %s", s.quoted())
		}
	}
	if !s.isBlank(s.pos) && len(s.flow) == 0 {
		failIn("while scanning a tag", start, s.here(), "expected ' ', but found %s", s.quoted())
	}
	s.add(t)
}

// Scalars.

func (s *scanner) scanPlain() {
	start := s.here()
	end := start
	indent := s.indent + 1
	s.scratch = s.scratch[:0]
	var value string // while there is one piece only
	pieces := 0
	var spaces string
	inFlow := len(s.flow) > 0
	for s.peek() != '#' {
		i := s.plainWord(inFlow)
		n := i - s.pos
		if n == 0 {
			break
		}
		s.allowKey = false
		if pieces == 0 {
			value = string(s.b[s.pos:i])
		} else {
			if pieces == 1 {
				s.scratch = append(s.scratch, value...)
			}
			s.scratch = append(s.scratch, spaces...)
			s.scratch = append(s.scratch, s.b[s.pos:i]...)
		}
		pieces++
		s.forward(n)
		end = s.here()
		spaces = s.plainSpaces()
		if spaces == "" || s.peek() == '#' || !inFlow && s.col < indent {
			break
		}
	}
	if pieces > 1 {
		value = string(s.scratch)
	}
	t := token{kind: tScalar, start: start, end: end, value: value}
	if s.comments && strings.HasPrefix(spaces, "\n") {
		t.c = &comments{post: &comment{value: spaces + "\n", col: start.col}}
	}
	s.add(t)
}

// plainWord is the offset of the end of the word that begins here.
func (s *scanner) plainWord(inFlow bool) int {
	i := s.pos
	for ; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == ' ' || c == '\t' || c == '\n':
			return i
		case c == ':':
			if s.isBlank(i + 1) {
				return i
			}
		case c == ',' || c == '[' || c == ']' || c == '{' || c == '}':
			if inFlow {
				return i
			}
		case c >= 0x80 && s.breakLen(i) > 0:
			return i
		}
	}
	return i
}

// plainSpaces reads what separates two words of a plain scalar and returns
// what stands for it in the value; "" ends the scalar.
func (s *scanner) plainSpaces() string {
	from := s.pos
	for s.peek() == ' ' {
		s.pos++
		s.col++
	}
	if s.breakLen(s.pos) == 0 {
		if s.pos-from == 1 {
			return " "
		}
		return string(s.b[from:s.pos])
	}
	br := s.scanBreak()
	s.allowKey = true
	if s.docMarker() {
		return ""
	}
	var b strings.Builder
	for {
		if s.peek() == ' ' {
			s.pos++
			s.col++
			continue
		}
		more := s.scanBreak()
		if more == "" {
			break
		}
		b.WriteString(more)
		if s.docMarker() {
			return ""
		}
	}
	breaks := b.String()
	if br != "\n" {
		return br + breaks
	}
	if breaks == "" {
		return " "
	}
	return breaks
}

func (s *scanner) scanQuoted(quote byte) {
	start := s.here()
	s.forward(1)
	s.scratch = s.scratch[:0]
	s.quotedWord(quote, start)
	for s.peek() != quote {
		s.quotedSpaces(start)
		s.quotedWord(quote, start)
	}
	s.forward(1)
	s.add(token{kind: tScalar, style: quote, start: start, end: s.here(), value: string(s.scratch)})
}

func (s *scanner) quotedWord(quote byte, start mark) {
	for {
		i := s.pos
		for i < len(s.b) && !s.isBlank(i) && s.b[i] != '\'' && s.b[i] != '"' && s.b[i] != '\\' {
			i++
		}
		s.scratch = append(s.scratch, s.b[s.pos:i]...)
		s.forward(i - s.pos)
		c := s.peek()
		switch {
		case quote == '\'' && c == '\'' && s.at(s.pos+1) == '\'':
			s.scratch = append(s.scratch, '\'')
			s.forward(2)
		case quote == '"' && c == '\'', quote == '\'' && (c == '"' || c == '\\'):
			s.scratch = append(s.scratch, c)
			s.forward(1)
		case quote == '"' && c == '\\':
			s.scanEscape(start)
		default:
			return
		}
	}
}

// escapes are what may follow a backslash, and what it stands for.
const (
	escapeLetters = "0abt\tnvfre \"/\\N_LP"
	escapeRunes   = "\x00\a\b\t\t\n\v\f\r\x1b \"/\\\u0085\u00a0\u2028\u2029"
)

var escapes = func() (t [256]rune) {
	rs := []rune(escapeRunes)
	for i := range t {
		t[i] = -1
	}
	for i := 0; i < len(escapeLetters); i++ {
		t[escapeLetters[i]] = rs[i]
	}
	return t
}()

func (s *scanner) scanEscape(start mark) {
	const context = "while scanning a double-quoted scalar"
	s.forward(1)
	c := s.peek()
	if s.pos < len(s.b) && escapes[c] >= 0 {
		s.scratch = utf8.AppendRune(s.scratch, escapes[c])
		s.forward(1)
		return
	}
	if s.breakLen(s.pos) > 0 {
		s.scanBreak()
		s.quotedBreaks(start)
		return
	}
	digits := 0
	switch c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		failIn(context, start, s.here(), "found unknown escape character %s", s.quoted())
	}
	s.forward(1)
	for k := range digits {
		if strings.IndexByte("0123456789ABCDEFabcdef", s.at(s.pos+k)) < 0 || s.pos+k >= len(s.b) {
			failIn(context, start, s.here(), "expected escape sequence of %d hexdecimal numbers, but found %s", digits, s.quotedAt(s.pos+k))
		}
	}
	code, _ := strconv.ParseUint(string(s.b[s.pos:s.pos+digits]), 16, 32)
	if code > utf8.MaxRune || !utf8.ValidRune(rune(code)) {
		failIn(context, start, s.here(), "the escape is no Unicode character")
	}
	s.scratch = utf8.AppendRune(s.scratch, rune(code))
	s.forward(digits)
}

func (s *scanner) quotedSpaces(start mark) {
	i := s.pos
	for s.at(i) == ' ' || s.at(i) == '\t' {
		i++
	}
	blanks := s.b[s.pos:i]
	s.forward(i - s.pos)
	if s.pos >= len(s.b) {
		failIn("while scanning a quoted scalar", start, s.here(), "found unexpected end of stream")
	}
	br := s.scanBreak()
	if br == "" {
		s.scratch = append(s.scratch, blanks...)
		return
	}
	if br != "\n" {
		s.scratch = append(s.scratch, br...)
		s.quotedBreaks(start)
	} else if !s.quotedBreaks(start) {
		s.scratch = append(s.scratch, ' ')
	}
}

// quotedBreaks appends the breaks of empty lines, and reports whether there
// are any.
func (s *scanner) quotedBreaks(start mark) bool {
	found := false
	for {
		if s.docMarker() {
			failIn("while scanning a quoted scalar", start, s.here(), "found unexpected document separator")
		}
		for s.peek() == ' ' || s.peek() == '\t' {
			s.forward(1)
		}
		br := s.scanBreak()
		if br == "" {
			return found
		}
		found = true
		s.scratch = append(s.scratch, br...)
	}
}

// foldMark stands where a folded scalar was folded, in the value of a token
// of a scanner that keeps comments; it cannot occur in text otherwise.
const foldMark = '\a'

func (s *scanner) scanBlockScalar(style byte) {
	start := s.here()
	s.forward(1)
	chomp, step := s.blockHeader(start)
	header := s.blockHeaderRest(start)
	minIndent := s.indent + 1
	var breaks string
	var end mark
	indent := 0
	if step == 0 {
		var deepest int
		breaks, deepest, end = s.blockIndentation()
		indent = max(minIndent, deepest)
	} else {
		indent = max(minIndent, 1) + step - 1
		breaks, end = s.blockBreaks(indent)
	}
	value := s.scratch[:0]
	br := ""
	for s.col == indent && s.pos < len(s.b) {
		value = append(value, breaks...)
		solid := s.peek() != ' ' && s.peek() != '\t'
		n := s.toEnd(s.pos)
		value = append(value, s.b[s.pos:s.pos+n]...)
		s.forward(n)
		br = s.scanBreak()
		breaks, end = s.blockBreaks(indent)
		if minIndent == 0 && s.col == 0 && s.docMarker() {
			break
		}
		if s.col != indent || s.pos >= len(s.b) {
			break
		}
		if s.comments && style == '>' && br == "\n" {
			value = append(value, foldMark)
		}
		if style == '>' && br == "\n" && solid && s.peek() != ' ' && s.peek() != '\t' {
			if breaks == "" {
				value = append(value, ' ')
			}
		} else {
			value = append(value, br...)
		}
	}
	if chomp != '-' {
		value = append(value, br...)
	}
	trailing := breaks
	if chomp == '+' {
		value = append(value, breaks...)
		trailing = ""
	}
	s.scratch = value
	t := token{kind: tScalar, style: style, start: start, end: end, value: string(value)}
	if s.comments {
		if header != "" {
			t.c = &comments{pre: []*comment{{value: header, header: true}}}
		}
		if trailing != "" {
			var b strings.Builder
			b.WriteString(trailing)
			for {
				text, at, ok := s.skipWithComments()
				if !ok {
					break
				}
				b.WriteString(strings.Repeat(" ", at.col))
				b.WriteString(text)
			}
			trailing = b.String()
			if t.c == nil {
				t.c = &comments{}
			}
			t.c.post = &comment{value: trailing, col: end.col}
		}
	}
	s.add(t)
}

// blockHeader reads the indicators behind | or >: chomping, or 0, and the
// indentation, or 0.
func (s *scanner) blockHeader(start mark) (chomp byte, step int) {
	const context = "while scanning a block scalar"
	for range 2 {
		switch c := s.peek(); {
		case (c == '+' || c == '-') && chomp == 0:
			chomp = c
			s.forward(1)
		case c >= '0' && c <= '9' && step == 0:
			if c == '0' {
				failIn(context, start, s.here(), "expected indentation indicator in the range 1-9, but found 0")
			}
			step = int(c - '0')
			s.forward(1)
		}
	}
	if s.peek() != ' ' && !s.isEnd(s.pos) {
		failIn(context, start, s.here(), "expected chomping or indentation indicators, but found %s", s.quoted())
	}
	return chomp, step
}

func (s *scanner) blockHeaderRest(start mark) string {
	from := s.pos
	for s.peek() == ' ' {
		s.forward(1)
	}
	text := ""
	if s.peek() == '#' {
		s.forward(s.toEnd(s.pos))
		text = string(s.b[from:s.pos])
	}
	if !s.isEnd(s.pos) {
		failIn("while scanning a block scalar", start, s.here(), "expected a comment or a line break, but found %s", s.quoted())
	}
	s.scanBreak()
	return text
}

func (s *scanner) blockIndentation() (breaks string, deepest int, end mark) {
	first := -1
	end = s.here()
	var b strings.Builder
	for {
		if s.peek() == ' ' {
			s.forward(1)
			deepest = max(deepest, s.col)
			continue
		}
		col := s.col
		br := s.scanBreak()
		if br == "" {
			break
		}
		if first < 0 {
			first = col
		}
		b.WriteString(br)
		end = s.here()
	}
	if first > 0 && deepest > first {
		fail("more indented follow up line than first in a block scalar", s.here(), "")
	}
	return b.String(), deepest, end
}

func (s *scanner) blockBreaks(indent int) (string, mark) {
	end := s.here()
	var b strings.Builder
	for {
		for s.col < indent && s.peek() == ' ' {
			s.forward(1)
		}
		br := s.scanBreak()
		if br == "" {
			return b.String(), end
		}
		b.WriteString(br)
		end = s.here()
	}
}
