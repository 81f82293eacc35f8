package ui

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes v as a result: one line of JSON in Python's form.
func (u *UI) JSON(v any) error {
	_, err := io.WriteString(u.Out(), JSONString(v)+"\n")
	return err
}

// JSON writes v to w as one line of JSON: see JSONString.
func JSON(w io.Writer, v any) error {
	_, err := io.WriteString(w, JSONString(v)+"\n")
	return err
}

// JSONString encodes v as Python's json.dumps would: ", " and ": " between
// things, ASCII only, floats as Python shows them, NaN and Infinity. Struct
// fields keep their order and honour json tags with omitempty and omitzero; the
// keys of a Go map are sorted; an ordered map (Keys, Get) keeps its order. nil
// slices and maps are empty ones. What is no data, such as a channel, panics.
func JSONString(v any) string {
	var e encoder
	e.value(reflect.ValueOf(v))
	return e.String()
}

// orderedMap is what pkg/yamlfmt's Map offers.
type orderedMap interface {
	Keys() []string
	Get(key string) (any, bool)
}

type encoder struct{ strings.Builder }

func (e *encoder) value(v reflect.Value) {
	if !v.IsValid() {
		e.WriteString("null")
		return
	}
	if nilable(v.Kind()) && v.IsNil() {
		e.WriteString(nilText(v.Kind()))
		return
	}
	if v.CanInterface() && e.special(v.Interface()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		e.value(v.Elem())
	case reflect.Bool:
		e.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		e.WriteString(pyFloat(v.Float()))
	case reflect.String:
		e.text(v.String())
	case reflect.Slice, reflect.Array:
		e.list(v.Len(), func(i int) { e.value(v.Index(i)) })
	case reflect.Map:
		e.goMap(v)
	case reflect.Struct:
		e.WriteString("{")
		e.fields(v, true)
		e.WriteString("}")
	default:
		panic(fmt.Sprintf("ui.JSON of %s", v.Type()))
	}
}

func nilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Interface || k == reflect.Map || k == reflect.Slice
}

func nilText(k reflect.Kind) string {
	switch k {
	case reflect.Map:
		return "{}"
	case reflect.Slice:
		return "[]"
	}
	return "null"
}

// special encodes values that know better than their structure.
func (e *encoder) special(v any) bool {
	switch t := v.(type) {
	case orderedMap:
		keys := t.Keys()
		e.object(len(keys), func(i int) {
			val, _ := t.Get(keys[i])
			e.member(keys[i], func() { e.value(reflect.ValueOf(val)) })
		})
	case json.Number:
		e.WriteString(t.String())
	case json.Marshaler:
		raw, err := t.MarshalJSON()
		if err != nil {
			panic(fmt.Sprintf("ui.JSON of %T: %v", v, err))
		}
		e.raw(raw)
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("ui.JSON of %T: %v", v, err))
		}
		e.text(string(text))
	default:
		return false
	}
	return true
}

// raw re-encodes JSON text in this form, keeping the order of keys.
func (e *encoder) raw(text []byte) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	e.token(d)
}

func (e *encoder) token(d *json.Decoder) {
	t, err := d.Token()
	if err != nil {
		panic(fmt.Sprintf("ui.JSON: a MarshalJSON method returned no JSON: %v", err))
	}
	delim, ok := t.(json.Delim)
	if !ok {
		e.value(reflect.ValueOf(t))
		return
	}
	e.WriteString(delim.String())
	for first := true; d.More(); first = false {
		if !first {
			e.WriteString(", ")
		}
		e.token(d)
		if delim == '{' {
			e.WriteString(": ")
			e.token(d)
		}
	}
	end, err := d.Token()
	if err != nil {
		panic(fmt.Sprintf("ui.JSON: a MarshalJSON method returned no JSON: %v", err))
	}
	e.WriteString(end.(json.Delim).String())
}

func (e *encoder) list(n int, item func(i int)) {
	e.WriteString("[")
	for i := range n {
		if i > 0 {
			e.WriteString(", ")
		}
		item(i)
	}
	e.WriteString("]")
}

func (e *encoder) object(n int, member func(i int)) {
	e.WriteString("{")
	for i := range n {
		if i > 0 {
			e.WriteString(", ")
		}
		member(i)
	}
	e.WriteString("}")
}

func (e *encoder) member(key string, value func()) {
	e.text(key)
	e.WriteString(": ")
	value()
}

func (e *encoder) goMap(v reflect.Value) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return strings.Compare(fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()))
	})
	e.object(len(keys), func(i int) {
		e.member(fmt.Sprint(keys[i].Interface()), func() { e.value(v.MapIndex(keys[i])) })
	})
}

// fields writes a struct's members; an embedded struct's are the struct's own.
// It returns whether the next member is still the first.
func (e *encoder) fields(v reflect.Value, first bool) bool {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && v.Field(i).Kind() == reflect.Struct {
			first = e.fields(v.Field(i), first)
			continue
		}
		if !f.IsExported() || name == "-" || omitted(v.Field(i), options) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if !first {
			e.WriteString(", ")
		}
		first = false
		e.member(name, func() { e.value(v.Field(i)) })
	}
	return first
}

func omitted(v reflect.Value, options string) bool {
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "omitzero":
			if v.IsZero() {
				return true
			}
		case "omitempty":
			switch v.Kind() {
			case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
				return v.Len() == 0
			case reflect.Struct:
			default:
				return v.IsZero()
			}
		}
	}
	return false
}

// decodeRune is utf8.DecodeRuneInString with surrogate escapes for bytes that
// are no UTF-8.
func decodeRune(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return 0xdc00 + rune(s[0]), 1
	}
	return r, size
}

const hexDigits = "0123456789abcdef"

// text writes a string, ASCII only. Invalid UTF-8 becomes lone surrogates, as
// Python shows names that are not text.
func (e *encoder) text(s string) {
	e.WriteByte('"')
	for i := 0; i < len(s); {
		r, size := decodeRune(s[i:])
		i += size
		switch {
		case r == '"' || r == '\\':
			e.WriteByte('\\')
			e.WriteByte(byte(r))
		case r == '\n':
			e.WriteString(`\n`)
		case r == '\r':
			e.WriteString(`\r`)
		case r == '\t':
			e.WriteString(`\t`)
		case r == '\b':
			e.WriteString(`\b`)
		case r == '\f':
			e.WriteString(`\f`)
		case r >= 0x20 && r < 0x7f:
			e.WriteByte(byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			e.unit(hi)
			e.unit(lo)
		default:
			e.unit(r)
		}
	}
	e.WriteByte('"')
}

func (e *encoder) unit(r rune) {
	e.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		e.WriteByte(hexDigits[r>>shift&15])
	}
}

// pyFloat is Python's repr of a float, with JSON's words for what is no number.
func pyFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(s, "e")
	if n, _ := strconv.Atoi(exponent); n < -4 || n >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
