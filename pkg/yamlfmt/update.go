package yamlfmt

import (
	"math"
	"math/big"
	"strings"
	"unicode"
)

// Update rewrites the text so that its value becomes v, as DVC does: only
// differences are applied, and comments, the order of keys and the style of
// collections stay. New keys go to the end of their mapping. Scalars are
// written anew, so quotes and blanks are not kept; the spelling of numbers is.
//
// A document that is not of v's kind (mapping or list) is written from
// scratch.
func (d *Doc) Update(v any) []byte {
	root := d.roundTrip()
	if root == nil {
		return Marshal(v)
	}
	if m, ok := v.(*Map); ok && root.kind == mapNode {
		root.applyMap(m)
	} else if l, ok := asList(v); ok && root.kind == seqNode {
		root.applyList(l)
	} else if !equal(v, root.plainValue()) {
		return Marshal(v)
	}
	return emitTree(root)
}

// Edit rewrites the text after change was applied to its tree. It returns an
// error if the document is no mapping.
func (d *Doc) Edit(change func(root *Tree)) []byte {
	root := d.roundTrip()
	if root == nil {
		root = &tnode{kind: mapNode}
	}
	change(&Tree{root})
	return emitTree(root)
}

// Tree is a mapping of a text that is being rewritten.
type Tree struct{ n *tnode }

// IsMap reports whether the tree is a mapping at all.
func (t *Tree) IsMap() bool { return t != nil && t.n.kind == mapNode }

// Len is the number of keys.
func (t *Tree) Len() int { return len(t.n.items) }

// Sub is the mapping under a key; nil if there is none.
func (t *Tree) Sub(key string) *Tree {
	if i := t.n.find(key); i >= 0 && t.n.items[i].value.kind == mapNode {
		return &Tree{t.n.items[i].value}
	}
	return nil
}

// Value is the value under a key.
func (t *Tree) Value(key string) (any, bool) {
	if i := t.n.find(key); i >= 0 {
		return t.n.items[i].value.plainValue(), true
	}
	return nil, false
}

// Set replaces the value under a key as a whole: what stood in it, comments
// too, is gone. The key keeps its place and its own comments.
func (t *Tree) Set(key string, v any) { t.n.setKey(key, v) }

// Apply makes the value under a key equal to v by its differences, as
// [Doc.Update].
func (t *Tree) Apply(key string, v any) {
	i := t.n.find(key)
	if i >= 0 && t.n.items[i].value.applyInside(v) {
		return
	}
	t.n.setKey(key, v)
}

// Delete removes a key.
func (t *Tree) Delete(key string) { t.n.deleteKey(key) }

func emitTree(root *tnode) []byte {
	c := converter{done: map[*tnode]*enode{}, represent: represent{maps: map[*Map]*enode{}, lists: map[*any]*enode{}}}
	return emit(c.node(root, true))
}

// tnode is a node of a text that is being rewritten: a value and where its
// comments go. The fields follow ruamel.yaml's commented collections.
type tnode struct {
	kind  nodeKind
	fresh any // a new value, if isFresh
	// isFresh marks what was put in by the update.
	isFresh bool

	value  any // of a scalar
	text   string
	style  byte
	header *comment
	isStr  bool
	isNull bool
	tag    string

	items []titem
	flow  bool
	// styled is false of a collection that was empty in the text: once it
	// has items, they are written in block style.
	styled bool
	c      *comments // before and behind the collection, and its end
	name   string    // anchor

	merges   []*tnode
	mergeSeq *tnode
	mergeAt  int
}

type titem struct {
	key   *tnode // nil in a sequence
	value *tnode
	own   bool // not brought in by a merge key
	c     *itemComments
}

// itemComments are the comments of a mapping's key and value, or of an item.
type itemComments struct {
	keyPost, valuePost *comment
	keyPre, valuePre   []*comment
}

func (d *Doc) roundTrip() *tnode {
	root := compose(d.text, true)
	if root == nil {
		return nil
	}
	t := treeMaker{done: map[*node]*tnode{}}
	return t.node(root, root.c)
}

type treeMaker struct{ done map[*node]*tnode }

func (t *treeMaker) node(n *node, c *comments) *tnode {
	if x, ok := t.done[n]; ok {
		return x
	}
	x := &tnode{kind: n.kind, name: n.anchor}
	if n.kind != scalarNode || n.anchor != "" {
		t.done[n] = x
	}
	switch n.kind {
	case scalarNode:
		x.scalar(n)
	case seqNode:
		x.takeComments(c)
		x.flow, x.styled = n.flow, len(n.items) > 0
		for _, item := range n.items {
			var ic *itemComments
			child := item.c
			if child != nil {
				ic = &itemComments{keyPost: child.post, keyPre: child.pre}
				child = nil
				item.c = nil
			}
			x.items = append(x.items, titem{value: t.node(item, child), own: true, c: ic})
		}
	case mapNode:
		x.takeComments(c)
		x.flow, x.styled = n.flow, len(n.items) > 0
		t.mapping(x, n)
	}
	return x
}

func (x *tnode) takeComments(c *comments) {
	if c != nil {
		x.c = &comments{post: c.post, pre: c.pre}
		if !c.long {
			x.c.end = c.end
		}
	}
}

func (t *treeMaker) mapping(x *tnode, n *node) {
	last := -1
	for i := 0; i+1 < len(n.items); i += 2 {
		kn, vn := n.items[i], n.items[i+1]
		if kn.isMerge() {
			x.mergeAt = len(x.items)
			t.merge(x, vn)
			continue
		}
		if kn.plain && kn.value == "=" {
			kn.plain = false
		}
		item := titem{key: t.node(kn, kn.c), value: t.node(vn, vn.c), own: true}
		kc := kn.c
		if kc != nil && kc.long && kc.extra != nil {
			// The comment belongs behind the key before, if that has no value.
			if last >= 0 && x.items[last].value.isNull {
				prev := &x.items[last]
				prev.addValueComments(&comments{post: kc.extra, pre: kc.pre})
			} else {
				item.addKeyComments(kc)
			}
			kc = nil
		}
		if kc != nil {
			item.addKeyComments(kc)
		}
		if vn.c != nil {
			item.addValueComments(vn.c)
		}
		x.items = append(x.items, item)
		last = len(x.items) - 1
	}
	for _, m := range x.merges {
		for _, item := range m.items {
			if x.find(item.key.value) < 0 {
				x.items = append(x.items, titem{key: item.key, value: item.value})
			}
		}
	}
}

func (t *treeMaker) merge(x *tnode, v *node) {
	m := t.node(v, v.c)
	if v.kind == mapNode {
		x.merges = []*tnode{m}
		return
	}
	x.mergeSeq = m
	for _, item := range m.items {
		x.merges = append(x.merges, item.value)
	}
}

func (i *titem) addKeyComments(c *comments) {
	if i.c == nil {
		i.c = &itemComments{}
	}
	if i.c.keyPre == nil {
		i.c.keyPre = c.pre
	}
	i.c.keyPost = c.post
}

func (i *titem) addValueComments(c *comments) {
	if i.c == nil {
		i.c = &itemComments{}
	}
	if i.c.valuePre == nil {
		i.c.valuePre = c.pre
	}
	i.c.valuePost = c.post
}

// scalar takes over the value and spelling of a scalar.
func (x *tnode) scalar(n *node) {
	// A folded scalar's value has no marks.
	text := n.value
	if n.style == '>' {
		n.value = strings.ReplaceAll(text, string(rune(foldMark)), "")
		defer func() { x.text = foldable(text) }()
	}
	x.value = scalarValue(n)
	x.text = n.value
	if n.tag != "" && n.tag != "!" && strings.HasPrefix(n.tag, yamlTag) {
		x.tag = "!!" + strings.TrimPrefix(n.tag, yamlTag)
	}
	switch v := x.value.(type) {
	case string:
		x.isStr = true
		if n.style == '|' || n.style == '>' {
			x.style = n.style
			if n.c != nil && len(n.c.pre) > 0 && n.c.pre[0].header {
				x.header = n.c.pre[0]
			}
		}
		return
	case nil:
		x.isNull = true
		x.text = ""
	case bool:
		x.text = "false"
		if v {
			x.text = "true"
		}
	case int64, *big.Int:
		x.text = spellInt(n.value, v)
	case float64:
		x.text = spellFloat(n.value, v)
	case Date:
		x.text = v.spell(n.value)
	}
	x.tag = ""
}

// foldable leaves only those marks at which ruamel.yaml folds again.
func foldable(text string) string {
	var plain []rune
	var at []int
	for _, r := range text {
		if r == foldMark {
			at = append(at, len(plain))
			continue
		}
		plain = append(plain, r)
	}
	var out []rune
	from := 0
	for _, p := range at {
		if p > 0 && p+1 < len(plain) && plain[p] == ' ' && !unicode.IsSpace(plain[p-1]) && !unicode.IsSpace(plain[p+1]) {
			out = append(append(out, plain[from:p]...), foldMark)
			from = p
		}
	}
	return string(append(out, plain[from:]...))
}

// Applying differences.

func (x *tnode) find(key any) int {
	k := hashable(key)
	for i := range x.items {
		if hashable(x.items[i].key.value) == k {
			return i
		}
	}
	return -1
}

// index is find for many keys.
func (x *tnode) index() map[any]int {
	m := make(map[any]int, len(x.items))
	for i := range x.items {
		m[hashable(x.items[i].key.value)] = i
	}
	return m
}

func asList(v any) ([]any, bool) {
	switch l := v.(type) {
	case []any:
		return l, true
	case []string:
		list := make([]any, len(l))
		for i, s := range l {
			list[i] = s
		}
		return list, true
	}
	return nil, false
}

func freshNode(v any) *tnode {
	t := &tnode{fresh: v, isFresh: true, kind: scalarNode, value: v}
	switch v.(type) {
	case *Map:
		t.kind = mapNode
	case []any, []string:
		t.kind = seqNode
	}
	return t
}

// applyInside applies a collection to one of its kind; false if it is not.
func (x *tnode) applyInside(v any) bool {
	if x.isFresh {
		return false
	}
	if m, ok := v.(*Map); ok && x.kind == mapNode {
		x.applyMap(m)
		return true
	}
	if l, ok := asList(v); ok && x.kind == seqNode {
		x.applyList(l)
		return true
	}
	return false
}

func (x *tnode) applyMap(m *Map) {
	have := x.index()
	for k, v := range m.AllKeys() {
		i, ok := have[hashable(k)]
		if !ok {
			x.items = append(x.items, titem{key: freshNode(k), value: freshNode(v), own: true})
			continue
		}
		if x.items[i].value.applyInside(v) || equal(v, x.items[i].value.plainValue()) {
			continue
		}
		x.items[i].set(v)
	}
	for i := len(x.items) - 1; i >= 0; i-- {
		if _, ok := m.GetKey(x.items[i].key.value); !ok {
			x.deleteAt(i)
		}
	}
}

// set replaces the value; a block scalar stays one, as in ruamel.yaml.
func (i *titem) set(v any) {
	s, ok := v.(string)
	old := i.value
	i.value = freshNode(v)
	i.own = true
	if ok && !old.isFresh && (old.style == '|' || old.style == '>') {
		i.value = &tnode{value: s, text: s, isStr: true, style: old.style}
	}
}

func (x *tnode) setKey(key string, v any) {
	if i := x.find(key); i >= 0 {
		x.items[i].set(v)
		return
	}
	x.items = append(x.items, titem{key: freshNode(key), value: freshNode(v), own: true})
}

func (x *tnode) deleteKey(key string) {
	if i := x.find(key); i >= 0 {
		x.deleteAt(i)
	}
}

func (x *tnode) deleteAt(i int) {
	if x.mergeAt > i {
		x.mergeAt--
	}
	x.items = append(x.items[:i], x.items[i+1:]...)
}

func (x *tnode) applyList(l []any) {
	if len(l) != len(x.items) {
		x.items = x.items[:0]
		for _, v := range l {
			x.items = append(x.items, titem{value: freshNode(v), own: true})
		}
		return
	}
	for i, v := range l {
		if x.items[i].value.applyInside(v) || equal(v, x.items[i].value.plainValue()) {
			continue
		}
		x.items[i].set(v)
	}
}

// plainValue is the value that the node stands for now.
func (x *tnode) plainValue() any {
	if x.isFresh {
		return x.fresh
	}
	switch x.kind {
	case seqNode:
		l := make([]any, len(x.items))
		for i := range x.items {
			l[i] = x.items[i].value.plainValue()
		}
		return l
	case mapNode:
		m := &Map{}
		for i := range x.items {
			m.append(x.items[i].key.value, x.items[i].value.plainValue())
		}
		return m
	}
	return x.value
}

// Equal compares values as Python's == does: 1, 1.0 and true are the same,
// and mappings are so whatever the order of their keys.
func Equal(a, b any) bool { return equal(a, b) }

func equal(a, b any) bool {
	switch x := a.(type) {
	case *Map:
		y, ok := b.(*Map)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for k, v := range x.AllKeys() {
			if w, ok := y.GetKey(k); !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any, []string:
		l, _ := asList(x)
		m, ok := asList(b)
		if !ok || len(l) != len(m) {
			return false
		}
		for i := range l {
			if !equal(l[i], m[i]) {
				return false
			}
		}
		return true
	case Date:
		y, ok := b.(Date)
		return ok && x.DateOnly == y.DateOnly && x.HasZone == y.HasZone && x.Time.Equal(y.Time)
	case string:
		y, ok := b.(string)
		return ok && x == y
	case nil:
		return b == nil
	}
	if f, ok := a.(float64); ok && math.IsNaN(f) {
		return false
	}
	x, ok := number(a)
	y, ok2 := number(b)
	return ok && ok2 && x.Cmp(y) == 0
}

// number is a scalar as an exact number; infinities are beyond all others.
func number(v any) (*big.Float, bool) {
	switch x := v.(type) {
	case bool:
		if x {
			return big.NewFloat(1), true
		}
		return new(big.Float), true
	case float64:
		if math.IsNaN(x) {
			return nil, false
		}
		return big.NewFloat(x), true
	case int:
		return new(big.Float).SetInt64(int64(x)), true
	case int64:
		return new(big.Float).SetInt64(x), true
	case uint64:
		return new(big.Float).SetUint64(x), true
	case *big.Int:
		return new(big.Float).SetInt(x), true
	}
	return nil, false
}

// converter makes nodes to be written of a tree.
type converter struct {
	done map[*tnode]*enode
	represent
}

func (c *converter) node(x *tnode, root bool) *enode {
	if x.isFresh {
		return c.value(x.fresh, root)
	}
	if n, ok := c.done[x]; ok {
		return n
	}
	n := &enode{kind: x.kind, name: x.name}
	if x.kind != scalarNode || x.name != "" {
		c.done[x] = n
	}
	switch x.kind {
	case scalarNode:
		n.text, n.style, n.isString, n.isNull, n.tag = x.text, x.style, x.isStr, x.isNull, x.tag
		n.always = x.name != "" && !x.isNull
		if x.isNull && root {
			n.text = "null"
		}
		if x.header != nil {
			n.c = &comments{pre: []*comment{x.header}}
		}
	case seqNode:
		c.collection(n, x)
		for _, item := range x.items {
			child := c.node(item.value, false)
			if item.c != nil {
				child.mergeComments(item.c)
			}
			n.items = append(n.items, child)
		}
	case mapNode:
		c.collection(n, x)
		c.mapping(n, x)
	}
	return n
}

func (c *converter) collection(n *enode, x *tnode) {
	// DVC writes a block collection that has become empty at the start of a
	// line if it has comments, where it cannot be read; so this is flow style.
	n.flow = x.flow && x.styled || len(x.items) == 0
	n.c = x.c
}

// mergeComments puts those of a list's item on it; its own take precedence.
func (n *enode) mergeComments(ic *itemComments) {
	m := &comments{post: ic.keyPost, pre: ic.keyPre}
	if n.c != nil {
		if n.c.post != nil {
			m.post = n.c.post
		}
		if n.c.pre != nil {
			m.pre = n.c.pre
		}
		m.end = n.c.end
	}
	n.c = m
}

func (c *converter) mapping(n *enode, x *tnode) {
	at := 0
	for _, item := range x.items {
		if !item.own {
			continue
		}
		if at == x.mergeAt && len(x.merges) > 0 {
			c.mergeKey(n, x)
		}
		at++
		k, v := c.node(item.key, false), c.node(item.value, false)
		if ic := item.c; ic != nil {
			k.c = &comments{post: ic.keyPost, pre: ic.keyPre}
			end := v.end()
			v.c = &comments{post: ic.valuePost, pre: ic.valuePre, end: end}
		}
		n.items = append(n.items, k, v)
	}
	if at <= x.mergeAt && len(x.merges) > 0 {
		c.mergeKey(n, x)
	}
}

func (c *converter) mergeKey(n *enode, x *tnode) {
	what := x.mergeSeq
	if what == nil {
		what = x.merges[0]
	}
	n.items = append(n.items, &enode{text: "<<"}, c.node(what, false))
}
