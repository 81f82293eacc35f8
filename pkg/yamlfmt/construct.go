package yamlfmt

import (
	"fmt"
	"strings"
)

// Doc is a parsed text.
type Doc struct {
	text []byte
	root *node
}

// Parse reads a text of at most one document. The error is a *SyntaxError.
// An empty text is a document whose value is nil.
func Parse(data []byte) (d *Doc, err error) {
	defer catch(&err)
	text := clean(data)
	d = &Doc{text: text, root: compose(text, false)}
	if d.root != nil {
		b := builder{limit: maxExpanded + 4*len(text)}
		b.build(d.root)
	}
	return d, nil
}

// IsEmpty reports whether the text holds no document: nothing but blanks and
// comments.
func (d *Doc) IsEmpty() bool { return d.root == nil }

// Value is what the text says.
func (d *Doc) Value() any {
	if d.root == nil {
		return nil
	}
	return d.root.built
}

// Text is the text with line ends as \n.
func (d *Doc) Text() []byte { return d.text }

// Pos is a place in a text, counted from 1. The zero Pos is unknown.
type Pos struct{ Line, Col int }

// Pos finds the node at a path of keys (string) and indices (int). ok is
// false if there is none, or if it is null or no collection and collections
// is true.
func (d *Doc) Pos(collections bool, path ...any) (p Pos, ok bool) {
	n := d.root
	for _, step := range path {
		if n == nil {
			return p, false
		}
		n = n.child(step)
	}
	if n == nil || collections && n.kind == scalarNode {
		return p, false
	}
	return Pos{n.start.line + 1, n.start.col + 1}, true
}

// KeyPos is the place of the last key of a path itself.
func (d *Doc) KeyPos(path ...any) (p Pos, ok bool) {
	if len(path) == 0 || d.root == nil {
		return p, false
	}
	n := d.root
	for _, step := range path[:len(path)-1] {
		if n = n.child(step); n == nil {
			return p, false
		}
	}
	last := path[len(path)-1]
	if i, isIndex := last.(int); isIndex && n.kind == seqNode {
		if i < 0 || i >= len(n.items) {
			return p, false
		}
		n = n.items[i]
		return Pos{n.start.line + 1, n.start.col + 1}, true
	}
	for i := 0; n.kind == mapNode && i+1 < len(n.items); i += 2 {
		if hashable(n.items[i].built) == hashable(last) {
			at := n.items[i].start
			return Pos{at.line + 1, at.col + 1}, true
		}
	}
	return p, false
}

func (n *node) child(step any) *node {
	switch n.kind {
	case seqNode:
		if i, ok := step.(int); ok && i >= 0 && i < len(n.items) {
			return n.items[i]
		}
	case mapNode:
		for i := 0; i+1 < len(n.items); i += 2 {
			if k := n.items[i]; k.kind == scalarNode && hashable(k.built) == hashable(step) {
				return n.items[i+1]
			}
		}
	}
	return nil
}

// builder makes values of nodes.
type builder struct {
	limit  int // of nodes with aliases followed
	merges int
}

func (b *builder) build(n *node) any {
	switch n.state {
	case isBuilt:
		return n.built
	case building:
		failAt(n.start, "the anchor '%s' holds an alias of itself", n.anchor)
	}
	n.state = building
	n.expanded = 1
	switch n.kind {
	case scalarNode:
		n.built = scalarValue(n)
	case seqNode:
		n.checkTag("seq")
		n.built = b.seq(n)
	case mapNode:
		n.checkTag("map")
		n.built = b.mapping(n)
	}
	if n.expanded > b.limit {
		failAt(n.start, "the aliases stand for more than %d values", b.limit)
	}
	n.state = isBuilt
	return n.built
}

func (n *node) checkTag(name string) {
	if n.tag != "" && n.tag != "!" && n.tag != yamlTag+name {
		n.unknownTag(n.tag)
	}
}

func (n *node) unknownTag(tag string) {
	failAt(n.start, "could not determine a constructor for the tag '%s'", tag)
}

func (b *builder) seq(n *node) any {
	list := make([]any, len(n.items))
	for i, item := range n.items {
		list[i] = b.build(item)
		n.expanded += item.expanded
	}
	return list
}

func (b *builder) mapping(n *node) any {
	b.flatten(n)
	m := &Map{entries: make([]entry, 0, len(n.items)/2)}
	hasMerge := n.merged != nil
	for i := 0; i+1 < len(n.merged); i += 2 {
		k, v := b.key(n, n.merged[i]), b.build(n.merged[i+1])
		n.expanded += n.merged[i+1].expanded
		m.SetKey(k, v)
	}
	for i := 0; i+1 < len(n.items); i += 2 {
		kn := n.items[i]
		if kn.isMerge() {
			kn.state = isBuilt
			kn.built = "<<"
			continue
		}
		k, v := b.key(n, kn), b.build(n.items[i+1])
		n.expanded += 1 + n.items[i+1].expanded
		if hasMerge {
			m.SetKey(k, v)
			continue
		}
		if j := m.find(k); j >= 0 {
			failIn("while constructing a mapping", n.start, kn.start,
				`found duplicate key "%s" with value "%s" (original value: "%s")`,
				brief(k), brief(v), brief(m.entries[j].value))
		}
		m.append(k, v)
	}
	return m
}

// brief is a value in a message about duplicate keys, in which DVC shows
// collections as empty.
func brief(v any) string {
	switch v.(type) {
	case *Map:
		return "{}"
	case []any:
		return "[]"
	}
	s := PyStr(v)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

func (b *builder) key(n, k *node) any {
	if k.plain && k.kind == scalarNode && k.value == "=" {
		k.state, k.built = isBuilt, "="
		return "="
	}
	if k.kind != scalarNode {
		failIn("while constructing a mapping", n.start, k.start, "found unhashable key")
	}
	return b.build(k)
}

func (n *node) isMerge() bool {
	return n.kind == scalarNode && (n.plain && n.value == "<<" || n.tag == yamlTag+"merge")
}

// flatten collects what << keys bring into a mapping.
func (b *builder) flatten(n *node) {
	if n.flat {
		return
	}
	n.flat = true
	for i := 0; i+1 < len(n.items); i += 2 {
		if !n.items[i].isMerge() {
			continue
		}
		const context = "while constructing a mapping"
		if n.merged != nil {
			failIn(context, n.start, n.items[i].start, `found duplicate merge key "<<"`)
		}
		n.merged = []*node{}
		v := n.items[i+1]
		switch v.kind {
		case mapNode:
			b.addMerge(n, v)
		case seqNode:
			for j := len(v.items) - 1; j >= 0; j-- {
				if v.items[j].kind != mapNode {
					failIn(context, n.start, v.items[j].start, "expected a mapping for merging, but found %s", kindNames[v.items[j].kind])
				}
				b.addMerge(n, v.items[j])
			}
		default:
			failIn(context, n.start, v.start, "expected a mapping or list of mappings for merging, but found %s", kindNames[v.kind])
		}
	}
}

var kindNames = [...]string{"scalar", "sequence", "mapping"}

func (b *builder) addMerge(n, from *node) {
	if from.state == building || from == n {
		failAt(n.start, "a mapping is merged into itself")
	}
	b.flatten(from)
	n.merged = append(n.merged, from.merged...)
	for i := 0; i+1 < len(from.items); i += 2 {
		if !from.items[i].isMerge() {
			n.merged = append(n.merged, from.items[i], from.items[i+1])
		}
	}
	b.merges += len(from.merged) + len(from.items)
	if b.merges > b.limit {
		failAt(n.start, "the merge keys bring in more than %d values", b.limit)
	}
}

// scalarValue is the value of a scalar node.
func scalarValue(n *node) any {
	t := strType
	if n.plain {
		t = resolve(n.value)
	} else if n.tag != "" {
		t = n.taggedType()
	}
	switch t {
	case strType:
		return n.value
	case nullType:
		return nil
	case boolType:
		switch strings.ToLower(n.value) {
		case "true", "yes", "on", "y":
			return true
		case "false", "no", "off", "n":
			return false
		}
	case intType:
		if v, ok := parseInt(n.value); ok {
			return v
		}
	case floatType:
		if v, ok := parseFloat(n.value); ok {
			return v
		}
	case timeType:
		if isTimestamp(n.value) {
			if v, ok := parseTimestamp(n.value); ok {
				return v
			}
		}
	case mergeType:
		n.unknownTag(yamlTag + "merge")
	case valueType:
		n.unknownTag(yamlTag + "value")
	}
	failAt(n.start, "%s is no %s", strings.ToValidUTF8(fmt.Sprintf("%.60q", n.value), ""), typeNames[t])
	return nil
}

var typeNames = [...]string{"string", "null", "boolean", "integer", "number", "date", "merge key", "value key"}

func (n *node) taggedType() scalarType {
	name, ok := strings.CutPrefix(n.tag, yamlTag)
	if ok {
		switch name {
		case "str":
			return strType
		case "null":
			return nullType
		case "bool":
			return boolType
		case "int":
			return intType
		case "float":
			return floatType
		case "timestamp":
			return timeType
		}
	}
	n.unknownTag(n.tag)
	return strType
}
