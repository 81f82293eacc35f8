package yamlfmt

import "fmt"

// Marshal writes a value as DVC writes a new file.
func Marshal(v any) []byte {
	r := represent{maps: map[*Map]*enode{}, lists: map[*any]*enode{}}
	return emit(r.value(v, true))
}

// represent makes nodes of values. A mapping or list that stands in several
// places becomes an anchor and aliases, as it does in Python.
type represent struct {
	maps  map[*Map]*enode
	lists map[*any]*enode
}

func (r *represent) value(v any, root bool) *enode {
	switch x := v.(type) {
	case nil:
		if root {
			return &enode{text: "null"}
		}
		return &enode{isNull: true}
	case bool:
		if x {
			return &enode{text: "true"}
		}
		return &enode{text: "false"}
	case string:
		return &enode{text: x, isString: true}
	case float64:
		return &enode{text: yamlFloat(x)}
	case Date:
		return &enode{text: x.String()}
	case *Map:
		return r.mapping(x)
	case []any:
		return r.list(x)
	case []string:
		n := &enode{kind: seqNode, flow: len(x) == 0}
		for _, s := range x {
			n.items = append(n.items, &enode{text: s, isString: true})
		}
		return n
	}
	if s, ok := intText(v); ok {
		return &enode{text: s}
	}
	panic(fmt.Sprintf("yamlfmt: cannot write a %T", v))
}

func yamlFloat(f float64) string {
	switch s := FormatFloat(f); s {
	case "inf", "nan":
		return "." + s
	case "-inf":
		return "-.inf"
	default:
		return s
	}
}

func (r *represent) mapping(m *Map) *enode {
	if n, ok := r.maps[m]; ok && m.Len() > 0 {
		return n
	}
	n := &enode{kind: mapNode, flow: m.Len() == 0}
	r.maps[m] = n
	if m == nil {
		return n
	}
	n.items = make([]*enode, 0, 2*len(m.entries))
	for _, e := range m.entries {
		n.items = append(n.items, r.value(e.key, false), r.value(e.value, false))
	}
	return n
}

func (r *represent) list(l []any) *enode {
	n := &enode{kind: seqNode, flow: len(l) == 0}
	if len(l) == 0 {
		return n
	}
	if n, ok := r.lists[&l[0]]; ok {
		return n
	}
	r.lists[&l[0]] = n
	n.items = make([]*enode, 0, len(l))
	for _, item := range l {
		n.items = append(n.items, r.value(item, false))
	}
	return n
}
