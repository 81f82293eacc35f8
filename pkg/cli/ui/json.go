package ui

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// JSON writes v as a result: one line of JSON in Python's form.
func (u *UI) JSON(v any) error { return JSON(u.Out(), v) }

// JSON writes v to w as one line of JSON: see JSONString.
func JSON(w io.Writer, v any) error {
	_, err := io.WriteString(w, JSONString(v)+"\n")
	return err
}

// JSONString encodes v as Python's json.dumps would: see yamlfmt.JSON. Struct
// fields keep their order and honour json tags with omitempty and omitzero; the
// keys of a Go map are sorted, those of a yamlfmt.Map are not. nil slices and
// maps are empty ones. What is no data, such as a channel, panics.
func JSONString(v any) string { return string(yamlfmt.JSON(plain(reflect.ValueOf(v)), false)) }

// plain makes v of the types that yamlfmt knows.
func plain(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
	}
	if out, ok := special(v); ok {
		return out
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return plain(v.Elem())
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return new(big.Int).SetUint64(v.Uint())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.String:
		return v.String()
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case reflect.Map:
		return plainMap(v)
	case reflect.Struct:
		m := yamlfmt.NewMap()
		addFields(m, v)
		return m
	}
	panic(fmt.Sprintf("ui.JSON of %s", v.Type()))
}

// special handles values that know better than their structure.
func special(v reflect.Value) (any, bool) {
	if !v.CanInterface() {
		return nil, false
	}
	switch t := v.Interface().(type) {
	case *yamlfmt.Map, yamlfmt.Date, *big.Int:
		return t, true
	case json.Number:
		return plainNumber(t), true
	case json.Marshaler:
		raw, err := t.MarshalJSON()
		if err != nil {
			panic(fmt.Sprintf("ui.JSON of %T: %v", t, err))
		}
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		return decode(d), true
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("ui.JSON of %T: %v", t, err))
		}
		return string(text), true
	}
	return nil, false
}

// decode reads one JSON value, keeping the order of keys.
func decode(d *json.Decoder) any {
	t, err := d.Token()
	if err != nil {
		panic(fmt.Sprintf("ui.JSON: a MarshalJSON method returned no JSON: %v", err))
	}
	switch t := t.(type) {
	case json.Number:
		return plainNumber(t)
	case json.Delim:
		list, m := []any{}, yamlfmt.NewMap()
		for d.More() {
			item := decode(d)
			if t == '[' {
				list = append(list, item)
			} else {
				m.Set(item.(string), decode(d))
			}
		}
		// The closing bracket; More has seen it.
		_, _ = d.Token()
		if t == '[' {
			return list
		}
		return m
	}
	return t
}

func plainNumber(n json.Number) any {
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return i
	}
	// The decoder has seen that it is a number; beyond the range it is infinite.
	f, _ := n.Float64()
	return f
}

func plainMap(v reflect.Value) *yamlfmt.Map {
	keys := v.MapKeys()
	name := func(k reflect.Value) string { return fmt.Sprint(k.Interface()) }
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(name(a), name(b)) })
	m := yamlfmt.NewMap()
	for _, k := range keys {
		m.Set(name(k), plain(v.MapIndex(k)))
	}
	return m
}

// addFields adds a struct's members; those of an embedded struct are its own.
func addFields(m *yamlfmt.Map, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && v.Field(i).Kind() == reflect.Struct {
			addFields(m, v.Field(i))
			continue
		}
		if !f.IsExported() || name == "-" || omitted(v.Field(i), options) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		m.Set(name, plain(v.Field(i)))
	}
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
