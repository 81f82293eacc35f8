package yamlfmt

import (
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"time"
)

// Map is an ordered mapping, as YAML and Python's dict have it. Keys are
// strings in every file that DVC defines; files of parameters may have other
// scalars as keys, which are kept and shown as Python prints them.
//
// The zero Map is empty and ready to use.
type Map struct {
	entries []entry
	// index is built once a linear search costs more than a hash.
	index map[any]int
}

type entry struct{ key, value any }

// indexFrom is the length from which a Map hashes its keys.
const indexFrom = 12

// NewMap returns a mapping of the pairs key, value, key, value...
func NewMap(pairs ...any) *Map {
	m := &Map{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.SetKey(pairs[i], pairs[i+1])
	}
	return m
}

// Len is the number of keys.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.entries)
}

// Get returns the value of a string key. A nil Map has none.
func (m *Map) Get(key string) (any, bool) { return m.GetKey(key) }

// GetKey returns the value of a key of any scalar type.
func (m *Map) GetKey(key any) (any, bool) {
	if i := m.find(key); i >= 0 {
		return m.entries[i].value, true
	}
	return nil, false
}

// Has reports whether the string key is there.
func (m *Map) Has(key string) bool { return m.find(key) >= 0 }

// Set gives key a value, in its place if it is there and at the end if not.
func (m *Map) Set(key string, value any) { m.SetKey(key, value) }

// SetKey is Set for a key of any scalar type.
func (m *Map) SetKey(key, value any) {
	if i := m.find(key); i >= 0 {
		m.entries[i].value = value
		return
	}
	m.append(key, value)
}

func (m *Map) append(key, value any) {
	m.entries = append(m.entries, entry{key, value})
	if m.index != nil {
		m.index[hashable(key)] = len(m.entries) - 1
	}
}

// Delete removes a string key, if it is there.
func (m *Map) Delete(key string) {
	i := m.find(key)
	if i < 0 {
		return
	}
	m.entries = append(m.entries[:i:i], m.entries[i+1:]...)
	m.index = nil
}

// Keys lists the keys in order, other scalars as Python's str has them.
func (m *Map) Keys() []string {
	if m == nil {
		return nil
	}
	keys := make([]string, len(m.entries))
	for i, e := range m.entries {
		keys[i] = PyStr(e.key)
	}
	return keys
}

// All yields keys and values in order, keys as in [Map.Keys].
func (m *Map) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for k, v := range m.AllKeys() {
			if !yield(PyStr(k), v) {
				return
			}
		}
	}
}

// AllKeys yields keys of any type and their values in order.
func (m *Map) AllKeys() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		if m == nil {
			return
		}
		for _, e := range m.entries {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Clone copies the mapping; values are shared.
func (m *Map) Clone() *Map {
	if m == nil {
		return nil
	}
	return &Map{entries: append([]entry(nil), m.entries...)}
}

func (m *Map) find(key any) int {
	if m == nil {
		return -1
	}
	if len(m.entries) < indexFrom {
		if s, ok := key.(string); ok {
			for i := range m.entries {
				if t, ok := m.entries[i].key.(string); ok && t == s {
					return i
				}
			}
			return -1
		}
		key = hashable(key)
		for i := range m.entries {
			if hashable(m.entries[i].key) == key {
				return i
			}
		}
		return -1
	}
	if m.index == nil {
		m.index = make(map[any]int, 2*len(m.entries))
		for i := range m.entries {
			m.index[hashable(m.entries[i].key)] = i
		}
	}
	if i, ok := m.index[hashable(key)]; ok {
		return i
	}
	return -1
}

type bigKey string

// hashable makes keys comparable that Python holds equal: 1, 1.0 and true.
func hashable(key any) any {
	switch k := key.(type) {
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case int:
		return int64(k)
	case float64:
		if k == float64(int64(k)) {
			return int64(k)
		}
	case *big.Int:
		return bigKey(k.String())
	case Date:
		return k.String()
	}
	return key
}

// Date is an unquoted date or time.
type Date struct {
	Time     time.Time // in its zone; UTC if none is given
	DateOnly bool
	HasZone  bool
	zone     string // as written
}

// String is the date as Python's str prints it.
func (d Date) String() string {
	if d.DateOnly {
		return d.Time.Format("2006-01-02")
	}
	s := d.Time.Format("2006-01-02 15:04:05")
	if us := d.Time.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	if d.HasZone {
		s += d.Time.Format("-07:00")
	}
	return s
}

// PyStr is Python's str of a loaded scalar: True, None, 1e-05. Collections
// are as Python's repr.
func PyStr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return PyRepr(v)
}

// PyRepr is Python's repr of a loaded value.
func PyRepr(v any) string { return string(appendRepr(nil, v, 0)) }

func appendRepr(b []byte, v any, depth int) []byte {
	if depth > maxDepth {
		return append(b, "..."...)
	}
	switch x := v.(type) {
	case nil:
		return append(b, "None"...)
	case bool:
		if x {
			return append(b, "True"...)
		}
		return append(b, "False"...)
	case string:
		return appendPyString(b, x)
	case float64:
		return append(b, FormatFloat(x)...)
	case Date:
		if depth == 0 {
			return append(b, x.String()...)
		}
		return append(b, x.repr()...)
	case *Map:
		b = append(b, '{')
		first := true
		for k, e := range x.AllKeys() {
			if !first {
				b = append(b, ", "...)
			}
			first = false
			b = appendRepr(b, k, depth+1)
			b = append(b, ": "...)
			b = appendRepr(b, e, depth+1)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendRepr(b, e, depth+1)
		}
		return append(b, ']')
	}
	if s, ok := intText(v); ok {
		return append(b, s...)
	}
	return fmt.Append(b, v)
}

func (d Date) repr() string {
	t := d.Time
	if d.DateOnly {
		return fmt.Sprintf("datetime.date(%d, %d, %d)", t.Year(), t.Month(), t.Day())
	}
	s := fmt.Sprintf("datetime.datetime(%d, %d, %d, %d, %d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute())
	if us := t.Nanosecond() / 1000; t.Second() != 0 || us != 0 {
		s += fmt.Sprintf(", %d", t.Second())
		if us != 0 {
			s += fmt.Sprintf(", %d", us)
		}
	}
	if d.HasZone {
		_, offset := t.Zone()
		s += ", tzinfo=datetime.timezone(" + reprDelta(offset) + ", " + PyRepr(d.zone) + ")"
	}
	return s + ")"
}

// reprDelta is Python's repr of a timedelta of seconds.
func reprDelta(seconds int) string {
	switch {
	case seconds == 0:
		return "datetime.timedelta(0)"
	case seconds < 0:
		return fmt.Sprintf("datetime.timedelta(days=-1, seconds=%d)", seconds+24*3600)
	}
	return fmt.Sprintf("datetime.timedelta(seconds=%d)", seconds)
}

func appendPyString(b []byte, s string) []byte {
	quote := byte('\'')
	hasSingle, hasDouble := false, false
	for i := 0; i < len(s); i++ {
		hasSingle = hasSingle || s[i] == '\''
		hasDouble = hasDouble || s[i] == '"'
	}
	if hasSingle && !hasDouble {
		quote = '"'
	}
	b = append(b, quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < ' ' || r == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, r)
		case strconv.IsPrint(r):
			b = append(b, string(r)...)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return append(b, quote)
}

// intText is the decimal text of an integer of any of the types that values
// may have.
func intText(v any) (string, bool) {
	switch x := v.(type) {
	case int:
		return strconv.Itoa(x), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case uint64:
		return strconv.FormatUint(x, 10), true
	case *big.Int:
		return x.String(), true
	}
	return "", false
}
