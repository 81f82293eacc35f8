package yamlfmt

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FormatFloat is Python's repr of a float: 0.1, 1e-05, 1e+16, 3.0, inf, nan.
func FormatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	case f == 0:
		if math.Signbit(f) {
			return "-0.0"
		}
		return "0.0"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	e := strings.IndexByte(s, 'e')
	exp, _ := strconv.Atoi(s[e+1:])
	if exp < -4 || exp >= 16 {
		return s // Go writes at least two digits of exponent, as Python does
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if strings.IndexByte(s, '.') < 0 {
		s += ".0"
	}
	return s
}

// JSON is Python's json.dumps: separators ", " and ": ", everything beyond
// ASCII escaped, floats as Python's repr, NaN and Infinity bare. With
// sortKeys the keys of mappings are sorted by code points. A date, which
// Python refuses, is written as its text.
func JSON(v any, sortKeys bool) []byte { return appendJSON(nil, v, sortKeys) }

func appendJSON(b []byte, v any, sortKeys bool) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, x)
	case string:
		return appendJSONString(b, x)
	case float64:
		return append(b, jsonFloat(x)...)
	case Date:
		return appendJSONString(b, x.String())
	case *Map:
		return appendJSONMap(b, x, sortKeys)
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJSON(b, e, sortKeys)
		}
		return append(b, ']')
	case []string:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJSONString(b, e)
		}
		return append(b, ']')
	}
	if s, ok := intText(v); ok {
		return append(b, s...)
	}
	panic(fmt.Sprintf("yamlfmt: JSON of a %T", v))
}

func jsonFloat(f float64) string {
	switch s := FormatFloat(f); s {
	case "inf":
		return "Infinity"
	case "-inf":
		return "-Infinity"
	case "nan":
		return "NaN"
	default:
		return s
	}
}

func appendJSONMap(b []byte, m *Map, sortKeys bool) []byte {
	keys := make([]string, m.Len())
	order := make([]int, m.Len())
	if m != nil {
		for i, e := range m.entries {
			keys[i], order[i] = jsonKey(e.key), i
		}
	}
	if sortKeys {
		sort.SliceStable(order, func(i, j int) bool { return keys[order[i]] < keys[order[j]] })
	}
	b = append(b, '{')
	for i, j := range order {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendJSONString(b, keys[j])
		b = append(b, ": "...)
		b = appendJSON(b, m.entries[j].value, sortKeys)
	}
	return append(b, '}')
}

func jsonKey(k any) string {
	switch x := k.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return jsonFloat(x)
	}
	return PyStr(k)
}

const hexDigits = "0123456789abcdef"

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			b = append(b, c)
			i++
			continue
		}
		r, w := utf8.DecodeRuneInString(s[i:])
		i += w
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		default:
			if r > 0xffff {
				r -= 0x10000
				b = appendU(b, 0xd800+(r>>10))
				r = 0xdc00 + r&0x3ff
			}
			b = appendU(b, r)
		}
	}
	return append(b, '"')
}

func appendU(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
