package yamlfmt

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Limits on foreign text. They lie far above what DVC's files hold.
const (
	// MaxSize is the size of the largest text that is read, in bytes.
	MaxSize = 64 << 20
	// maxDepth is how deep collections may be nested; DVC itself fails
	// somewhat above 200.
	maxDepth = 256
	// maxExpanded is how many nodes a text may have once its aliases are
	// followed, beyond those that are written out.
	maxExpanded = 1 << 20
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	seqNode
	mapNode
)

// node is a node of the text. An alias is the node it refers to.
type node struct {
	kind     nodeKind
	style    byte // of a scalar: ' " | > or 0 for plain
	flow     bool
	plain    bool // a scalar whose type follows from its text
	value    string
	tag      string // resolved; "" if none is written
	anchor   string
	items    []*node // of a mapping: key, value, key, value...
	start    mark
	c        *comments
	merged   []*node // what << brought in, once flattened
	flat     bool
	state    buildState
	built    any
	expanded int
}

type buildState uint8

const (
	notBuilt buildState = iota
	building
	isBuilt
)

type parser struct {
	scanner
	depth   int
	anchors map[string]*node
	// docStart is where the last "---" stands.
	docStart mark
	slab     []node
}

// compose reads the one document of a text; nil if it is empty.
func compose(text []byte, withComments bool) *node {
	p := &parser{scanner: *newScanner(text, withComments)}
	p.take() // stream start
	var root *node
	ended := false
	if !p.is(tDirective, tDocStart, tStreamEnd) {
		root = p.block()
		ended = p.documentEnd()
	} else if root = p.explicitDocument(); root != nil {
		ended = p.documentEnd()
	}
	const context = "expected a single document in the stream"
	if ended && !p.is(tDirective, tDocStart, tStreamEnd) {
		failIn(context, root.start, p.next().start, "but found another document")
	}
	if again := p.explicitDocument(); again != nil {
		failIn(context, root.start, p.docStart, "but found another document")
	}
	return root
}

// explicitDocument reads a document that begins with "---"; nil at the end
// of the text.
func (p *parser) explicitDocument() *node {
	for p.is(tDocEnd) {
		p.take()
	}
	if p.is(tStreamEnd) {
		return nil
	}
	for p.is(tDirective) {
		p.take()
	}
	if !p.is(tDocStart) {
		t := p.next()
		failAt(t.start, "expected '<document start>', but found '%s'", tokenNames[t.kind])
	}
	p.docStart = p.take().start
	if p.is(tDirective, tDocStart, tDocEnd, tStreamEnd) {
		return p.empty(p.next().start, nil)
	}
	return p.block()
}

// documentEnd reads "...", and reports whether there is one.
func (p *parser) documentEnd() bool {
	if !p.is(tDocEnd) {
		return false
	}
	t := p.take()
	if n := p.next(); n.kind != tStreamEnd && n.start.line == t.end.line {
		failAt(n.start, "found non-comment content after document end marker, '%s'", tokenNames[n.kind])
	}
	return true
}

func (p *parser) newNode(kind nodeKind, start mark) *node {
	if len(p.slab) == 0 {
		p.slab = make([]node, 32)
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	n.kind, n.start = kind, start
	return n
}

func (p *parser) empty(at mark, c *comments) *node {
	n := p.newNode(scalarNode, at)
	n.plain = true
	n.c = c
	return n
}

func (p *parser) block() *node             { return p.node(true, false) }
func (p *parser) flowNode() *node          { return p.node(false, false) }
func (p *parser) blockOrIndentless() *node { return p.node(true, true) }

// move gives a token's comments to the next token.
func (p *parser) move(t *token, empty bool) {
	if !p.comments || t.c == nil {
		return
	}
	to := p.next()
	if to.kind == tStreamEnd || to.kind == tDocStart {
		return
	}
	c := t.c
	t.c = nil
	if to.c == nil {
		if empty {
			c = &comments{post: c.post, pre: c.pre, long: true, extra: c.post}
		}
		to.c = c
		return
	}
	if len(c.pre) > 0 && len(to.c.pre) > 0 {
		c.pre = append(c.pre[:len(c.pre):len(c.pre)], to.c.pre...)
	}
	if c.post != nil {
		to.c.post = c.post
	}
	if len(c.pre) > 0 {
		to.c.pre = c.pre
	}
}

func (p *parser) node(block, indentless bool) *node {
	if p.is(tAlias) {
		t := p.take()
		n, ok := p.anchors[t.value]
		if !ok {
			failAt(t.start, "found undefined alias '%s'", t.value)
		}
		return n
	}
	anchor, tag, start := p.properties()
	n := p.content(block, indentless, anchor, tag, start)
	return n
}

// properties reads an anchor and a tag, in either order. start is where they
// begin, or where the node does.
func (p *parser) properties() (anchor, tag string, start mark) {
	first := true
	for {
		t := p.next()
		if t.kind == tAnchor && anchor == "" || t.kind == tTag && tag == "" {
			x := p.take()
			if first {
				start = x.start
				p.move(&x, false)
				first = false
			}
			if x.kind == tAnchor {
				anchor = x.value
			} else {
				tag = p.resolveTag(x)
			}
			continue
		}
		if first {
			start = t.start
		}
		return anchor, tag, start
	}
}

func (p *parser) resolveTag(t token) string {
	prefix, ok := p.tagPrefix[t.handle]
	switch {
	case ok:
		return prefix + t.value
	case t.handle == "":
		return t.value
	case t.handle == "!":
		return "!" + t.value
	case t.handle == "!!":
		return yamlTag + t.value
	}
	failIn("while parsing a node", t.start, t.start, "found undefined tag handle '%s'", t.handle)
	return ""
}

const yamlTag = "tag:yaml.org,2002:"

// define makes the node known under its anchor, before its content is read,
// so that a loop is seen as such.
func (p *parser) define(n *node, anchor, tag string) *node {
	n.anchor, n.tag = anchor, tag
	if anchor != "" {
		if p.anchors == nil {
			p.anchors = map[string]*node{}
		}
		p.anchors[anchor] = n
	}
	return n
}

func (p *parser) content(block, indentless bool, anchor, tag string, start mark) *node {
	t := p.next()
	switch {
	case indentless && t.kind == tEntry:
		n := p.define(p.newNode(seqNode, start), anchor, tag)
		if c := t.c; c != nil && c.post != nil {
			n.c = &comments{post: c.post, pre: []*comment{}}
			c.post = nil
		} else if c != nil && c.pre != nil {
			n.c = &comments{pre: c.pre}
			c.pre = nil
		}
		p.nested(n, (*parser).indentlessItems)
		return n
	case t.kind == tScalar:
		x := p.take()
		n := p.define(p.newNode(scalarNode, start), anchor, tag)
		n.value, n.style, n.c = x.value, x.style, x.c
		n.plain = x.style == 0 && tag == "" || tag == "!"
		return n
	case t.kind == tFlowSeq || t.kind == tFlowMap:
		kind, read := seqNode, (*parser).flowSeq
		if t.kind == tFlowMap {
			kind, read = mapNode, (*parser).flowMap
		}
		n := p.define(p.newNode(kind, start), anchor, tag)
		n.flow = true
		n.c = t.c
		p.nested(n, read)
		return n
	case block && t.kind == tBlockSeq:
		n := p.define(p.newNode(seqNode, start), anchor, tag)
		n.c = t.c
		if c := t.c; c != nil && c.pre == nil {
			n.c = nil
			if c.post != nil {
				n.c = &comments{post: c.post}
				t.c = nil
			}
		}
		p.nested(n, (*parser).blockSeq)
		return n
	case block && t.kind == tBlockMap:
		n := p.define(p.newNode(mapNode, start), anchor, tag)
		n.c = t.c
		p.nested(n, (*parser).blockMap)
		return n
	case anchor != "" || tag != "":
		n := p.define(p.newNode(scalarNode, start), anchor, tag)
		n.plain = tag == "" || tag == "!"
		return n
	}
	what := "flow"
	if block {
		what = "block"
	}
	failIn(fmt.Sprintf("while parsing a %s node", what), start, t.start, "expected the node content, but found '%s'", tokenNames[t.kind])
	return nil
}

// nested reads the items of a collection, one level deeper.
func (p *parser) nested(n *node, read func(*parser, *node)) {
	p.depth++
	if p.depth > maxDepth {
		failAt(n.start, "collections are nested more than %d deep", maxDepth)
	}
	read(p, n)
	p.depth--
}

// ended takes over the comments before the end of a collection.
func (n *node) ended(c *comments) {
	if n.flow && c != nil {
		n.c = c
	}
	if c == nil || len(c.pre) == 0 {
		return
	}
	if n.c == nil {
		n.c = &comments{}
	}
	end := c.pre
	c.pre = nil
	if !n.c.long {
		n.c.end = end
	}
}

func (p *parser) blockSeq(n *node) {
	began := p.take().start
	for p.is(tEntry) {
		t := p.take()
		p.move(&t, false)
		if p.is(tEntry, tBlockEnd) {
			n.items = append(n.items, p.empty(t.end, nil))
		} else {
			n.items = append(n.items, p.block())
		}
	}
	if !p.is(tBlockEnd) {
		p.unexpected("while parsing a block collection", began, "expected <block end>, but found '%s'")
	}
	n.ended(p.take().c)
}

func (p *parser) indentlessItems(n *node) {
	for p.is(tEntry) {
		t := p.take()
		p.move(&t, false)
		if p.is(tEntry, tKey, tValue, tBlockEnd) {
			n.items = append(n.items, p.empty(t.end, nil))
		} else {
			n.items = append(n.items, p.block())
		}
	}
	n.ended(p.next().c)
}

func (p *parser) unexpected(context string, began mark, format string) {
	t := p.next()
	failIn(context, began, t.start, format, tokenNames[t.kind])
}

func (p *parser) blockMap(n *node) {
	began := p.take().start
	for {
		switch {
		case p.is(tKey):
			t := p.take()
			p.move(&t, false)
			if p.is(tKey, tValue, tBlockEnd) {
				n.items = append(n.items, p.empty(t.end, nil))
			} else {
				n.items = append(n.items, p.blockOrIndentless())
			}
		case p.is(tValue):
			n.items = append(n.items, p.empty(p.next().start, nil))
		case p.is(tBlockEnd):
			t := p.take()
			p.move(&t, false)
			n.ended(t.c)
			return
		default:
			p.unexpected("while parsing a block mapping", began, "expected <block end>, but found '%s'")
		}
		n.items = append(n.items, p.blockValue())
	}
}

func (p *parser) blockValue() *node {
	if !p.is(tValue) {
		return p.empty(p.next().start, nil)
	}
	t := p.take()
	switch {
	case p.is(tValue):
		p.move(&t, false)
	case !p.is(tKey):
		p.move(&t, true)
	}
	if !p.is(tKey, tValue, tBlockEnd) {
		return p.blockOrIndentless()
	}
	c := t.c
	if c == nil {
		next := p.next()
		if next.c != nil {
			c = &comments{post: next.c.post}
			next.c = &comments{pre: next.c.pre}
		}
	}
	return p.empty(t.end, c)
}

func (p *parser) flowSeq(n *node) {
	began := p.take().start
	for first := true; !p.is(tFlowSeqEnd); first = false {
		if !first {
			if !p.is(tFlowEntry) {
				p.unexpected("while parsing a flow sequence", began, "expected ',' or ']', but got '%s'")
			}
			p.take()
		}
		if p.is(tKey) {
			n.items = append(n.items, p.flowPair())
		} else if !p.is(tFlowSeqEnd) {
			n.items = append(n.items, p.flowNode())
		} else {
			break
		}
	}
	n.ended(p.take().c)
}

// flowPair reads "key: value" in a sequence, a mapping of one key.
func (p *parser) flowPair() *node {
	t := p.take()
	n := p.newNode(mapNode, t.start)
	n.flow = true
	if p.is(tValue, tFlowEntry, tFlowSeqEnd) {
		n.items = append(n.items, p.empty(t.end, nil))
	} else {
		n.items = append(n.items, p.flowNode())
	}
	n.items = append(n.items, p.flowValue(tFlowSeqEnd))
	return n
}

func (p *parser) flowValue(closing tokenKind) *node {
	if !p.is(tValue) {
		return p.empty(p.next().start, nil)
	}
	t := p.take()
	if p.is(tFlowEntry, closing) {
		return p.empty(t.end, nil)
	}
	return p.flowNode()
}

func (p *parser) flowMap(n *node) {
	began := p.take().start
	for first := true; !p.is(tFlowMapEnd); first = false {
		if !first {
			if !p.is(tFlowEntry) {
				p.unexpected("while parsing a flow mapping", began, "expected ',' or '}', but got '%s'")
			}
			p.take()
		}
		switch {
		case p.is(tKey):
			t := p.take()
			if p.is(tValue, tFlowEntry, tFlowMapEnd) {
				n.items = append(n.items, p.empty(t.end, nil))
			} else {
				n.items = append(n.items, p.flowNode())
			}
			n.items = append(n.items, p.flowValue(tFlowMapEnd))
		case p.is(tValue):
			n.items = append(n.items, p.empty(p.next().end, nil), p.flowValue(tFlowMapEnd))
		case !p.is(tFlowMapEnd):
			n.items = append(n.items, p.flowNode(), nil)
			n.items[len(n.items)-1] = p.empty(p.next().start, nil)
		default:
			n.ended(p.take().c)
			return
		}
	}
	n.ended(p.take().c)
}

// clean checks that data is text that YAML allows and returns it with line
// ends as Python's text mode has them.
func clean(data []byte) []byte {
	if len(data) > MaxSize {
		panic(&SyntaxError{Msg: fmt.Sprintf("the file has %d bytes; more than %d are not read", len(data), MaxSize)})
	}
	if bytes.IndexByte(data, '\r') >= 0 {
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	ascii := true
	for i, c := range data {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			failAt(place(data, i), "unacceptable character #x%04x: special characters are not allowed", c)
		}
		ascii = ascii && c < 0x80
	}
	if ascii {
		return data
	}
	for i := 0; i < len(data); {
		r, w := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && w == 1:
			failAt(place(data, i), "invalid UTF-8: byte 0x%02x", data[i])
		case r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			failAt(place(data, i), "unacceptable character #x%04x: special characters are not allowed", r)
		}
		i += w
	}
	return data
}

func place(data []byte, i int) mark {
	before := data[:i]
	line := bytes.Count(before, []byte("\n"))
	return mark{line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])}
}
