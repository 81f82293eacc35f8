package report

import (
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Values are those of pkg/yamlfmt and pkg/pipeline: nil, bool, int64, *big.Int,
// float64, string, lists, *yamlfmt.Map and what else files of parameters hold.

// Metrics keeps what of a loaded file is a metric: numbers, texts, truth
// values, and mappings with any of those. The result is an empty mapping if
// there is nothing.
func Metrics(v any) any {
	m, ok := metric(v)
	if !ok || isZero(m) {
		return &yamlfmt.Map{}
	}
	return m
}

func metric(v any) (any, bool) {
	switch x := v.(type) {
	case bool, int, int64, *big.Int, float64, string:
		return v, true
	case *yamlfmt.Map:
		out := &yamlfmt.Map{}
		for k, e := range x.AllKeys() {
			m, ok := metric(e)
			if inner, isMap := m.(*yamlfmt.Map); ok && (!isMap || inner.Len() > 0) {
				out.SetKey(k, m)
			}
		}
		return out, true
	}
	return nil, false
}

func isZero(v any) bool {
	switch x := v.(type) {
	case string:
		return x == ""
	case *yamlfmt.Map:
		return x.Len() == 0
	}
	n, ok := asNumber(v)
	return ok && !n.isInt() && n.float == 0 || ok && n.isInt() && n.int.Sign() == 0
}

// Flat is a mapping without mappings in it: keys of several levels are joined
// with dots, and lists have become texts, as DVC compares them.
type Flat struct {
	Keys   []any // strings, or other scalars where a file has them as keys
	Values []any
}

// Flatten makes a loaded file flat. What is no mapping is under the key "".
func Flatten(v any) Flat {
	var f Flat
	m, ok := v.(*yamlfmt.Map)
	if !ok {
		return Flat{Keys: []any{""}, Values: []any{unlist(v)}}
	}
	f.add(nil, m)
	return f
}

func (f *Flat) add(prefix any, m *yamlfmt.Map) {
	for k, v := range m.AllKeys() {
		if prefix != nil {
			k = yamlfmt.PyStr(prefix) + "." + yamlfmt.PyStr(k)
		}
		if inner, ok := v.(*yamlfmt.Map); ok {
			if k == nil {
				k = yamlfmt.PyStr(k)
			}
			f.add(k, inner)
			continue
		}
		f.Keys = append(f.Keys, k)
		f.Values = append(f.Values, unlist(v))
	}
}

// Get returns the value of a key by its text.
func (f Flat) Get(key string) (any, bool) {
	for i, k := range f.Keys {
		if yamlfmt.PyStr(k) == key {
			return f.Values[i], true
		}
	}
	return nil, false
}

// unlist makes a text of a list.
func unlist(v any) any {
	if list, ok := v.([]any); ok {
		return pipeline.ParamText(list)
	}
	return v
}

// Change is a value that differs between two states.
type Change struct {
	Key  any
	Old  any // nil if there is none
	New  any
	Diff any // new - old; nil unless both are numbers
}

// unparsed is what DVC shows in place of a value where one side has a mapping
// and the other has none.
const unparsed = "unable to parse"

// Compare compares what two states of a file hold; nil is a file that could
// not be read. The changes are sorted by key. With all set, they are also
// those in which nothing changed.
func Compare(before, after any, all bool) []Change {
	before, after = compared(before), compared(after)
	_, oldMap := before.(*yamlfmt.Map)
	_, newMap := after.(*yamlfmt.Map)
	if !oldMap && !newMap {
		if c, ok := compareValues(before, after, all); ok {
			c.Key = ""
			return []Change{c}
		}
		return nil
	}
	var list []Change
	at := map[string]int{}
	for i, side := range []any{before, after} {
		m, ok := side.(*yamlfmt.Map)
		if !ok {
			continue
		}
		flat := Flatten(m)
		for j, k := range flat.Keys {
			name := yamlfmt.PyStr(k)
			n, known := at[name]
			if !known {
				n = len(list)
				at[name] = n
				list = append(list, Change{Key: k})
			}
			if i == 0 {
				list[n].Old = flat.Values[j]
			} else {
				list[n].New = flat.Values[j]
			}
		}
	}
	out := list[:0]
	for _, c := range list {
		if !oldMap && !isNothing(before) {
			c.Old = unparsed
		}
		if !newMap && !isNothing(after) {
			c.New = unparsed
		}
		if d, ok := compareValues(c.Old, c.New, all); ok {
			d.Key = c.Key
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return CompareKeys(a.Key, b.Key) })
	return out
}

// compared is a file's content in the form in which DVC compares it: a list or
// a text that is no mapping counts as what it is if read as JSON.
func compared(v any) any {
	switch x := unlist(v).(type) {
	case nil:
		return &yamlfmt.Map{}
	case string:
		if !json.Valid([]byte(x)) {
			return x
		}
		if parsed, err := pipeline.LoadParams("text.json", []byte(x)); err == nil {
			return parsed
		}
		return x
	}
	return v
}

func isNothing(v any) bool {
	if list, ok := v.([]any); ok {
		return len(list) == 0
	}
	return v == nil || isZero(v)
}

func compareValues(before, after any, all bool) (Change, bool) {
	l, ok := before.([]any)
	r, ok2 := after.([]any)
	if ok && ok2 && len(l) == 1 && len(r) == 1 {
		return compareValues(l[0], r[0], all)
	}
	if !all && yamlfmt.Equal(pipeline.PlainParam(before), pipeline.PlainParam(after)) {
		return Change{}, false
	}
	return Change{Old: before, New: after, Diff: Subtract(after, before)}, true
}

// CompareKeys orders keys: numbers by value, all else by text.
func CompareKeys(a, b any) int {
	x, ok := asNumber(a)
	y, ok2 := asNumber(b)
	if ok && ok2 {
		return x.compare(y)
	}
	return strings.Compare(yamlfmt.PyStr(a), yamlfmt.PyStr(b))
}

// number is an int of any size or a float.
type number struct {
	int   *big.Int // nil for a float
	float float64
}

func (n number) isInt() bool { return n.int != nil }

func asNumber(v any) (number, bool) {
	switch x := v.(type) {
	case bool:
		if x {
			return number{int: big.NewInt(1)}, true
		}
		return number{int: big.NewInt(0)}, true
	case int:
		return number{int: big.NewInt(int64(x))}, true
	case int64:
		return number{int: big.NewInt(x)}, true
	case *big.Int:
		return number{int: x}, true
	case float64:
		return number{float: x}, true
	}
	return number{}, false
}

func (n number) asFloat() float64 {
	if n.isInt() {
		f, _ := new(big.Float).SetInt(n.int).Float64()
		return f
	}
	return n.float
}

// compare orders numbers; NaN is less than all others, as in package cmp.
func (n number) compare(m number) int {
	if n.isInt() && m.isInt() {
		return n.int.Cmp(m.int)
	}
	return cmp.Compare(n.asFloat(), m.asFloat())
}

// Number returns a value as a float, as far as it is a number. Truth values
// count as 0 and 1, as in Python.
func Number(v any) (float64, bool) {
	n, ok := asNumber(v)
	return n.asFloat(), ok
}

// Subtract returns a - b of numbers as Python has it, nil if either is none.
func Subtract(a, b any) any {
	x, ok := asNumber(a)
	y, ok2 := asNumber(b)
	switch {
	case !ok || !ok2:
		return nil
	case x.isInt() && y.isInt():
		d := new(big.Int).Sub(x.int, y.int)
		if d.IsInt64() {
			return d.Int64()
		}
		return d
	}
	return x.asFloat() - y.asFloat()
}

// Rounded shows a value as DVC's tables do: floats rounded to so many digits
// after the point. 0 does not round; a negative number rounds tens.
func Rounded(v any, digits int) string {
	if f, ok := v.(float64); ok && digits != 0 {
		v = round(f, digits)
	}
	return pipeline.ParamText(v)
}

func round(f float64, digits int) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	const beyond = 323 // no float64 has as many digits
	switch {
	case digits > beyond:
		return f
	case digits > 0:
		r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
		if err != nil {
			return f
		}
		return r
	case digits < -308:
		return math.Copysign(0, f)
	}
	unit := math.Pow10(-digits)
	return math.RoundToEven(f/unit) * unit
}
