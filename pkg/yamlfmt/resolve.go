package yamlfmt

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Which type a plain scalar has follows from its text, by the rules of YAML
// 1.2 as ruamel.yaml has them: "yes" and "1:30" are strings, 017 is
// seventeen, 1_000 and 2020-01-01 are not strings.

type scalarType uint8

const (
	strType scalarType = iota
	nullType
	boolType
	intType
	floatType
	timeType
	mergeType
	valueType
)

// resolve is the type of a plain scalar.
func resolve(s string) scalarType {
	if s == "" {
		return nullType
	}
	switch c := s[0]; c {
	case 't', 'T', 'f', 'F':
		switch s {
		case "true", "True", "TRUE", "false", "False", "FALSE":
			return boolType
		}
	case 'n', 'N':
		switch s {
		case "null", "Null", "NULL":
			return nullType
		}
	case '~':
		if s == "~" {
			return nullType
		}
	case '<':
		if s == "<<" {
			return mergeType
		}
	case '=':
		if s == "=" {
			return valueType
		}
	case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if isFloat(s) {
			return floatType
		}
		if c == '.' {
			return strType
		}
		if isInt(s) {
			return intType
		}
		if isTimestamp(s) {
			return timeType
		}
	}
	return strType
}

func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// run is the length of the prefix of s made of bytes that ok accepts.
func run(s string, ok func(byte) bool) int {
	i := 0
	for i < len(s) && ok(s[i]) {
		i++
	}
	return i
}

func digitOrLine(c byte) bool { return isDigit(c) || c == '_' }

func isFloat(text string) bool {
	s := unsigned(text)
	switch s {
	case ".inf", ".Inf", ".INF":
		return true
	case ".nan", ".NaN", ".NAN":
		return len(s) == len(text)
	case "":
		return false
	}
	if s[0] == '.' {
		n := run(s[1:], digitOrLine)
		return n > 0 && (len(s) == 1+n || isExponent(s[1+n:], true))
	}
	if !isDigit(s[0]) {
		return false
	}
	s = s[run(s, digitOrLine):]
	if s == "" {
		return false
	}
	if s[0] != '.' {
		return isExponent(s, false)
	}
	s = s[1:]
	s = s[run(s, digitOrLine):]
	return s == "" || isExponent(s, false)
}

func isExponent(s string, needSign bool) bool {
	if len(s) < 2 || s[0] != 'e' && s[0] != 'E' {
		return false
	}
	t := unsigned(s[1:])
	if needSign && len(t) == len(s)-1 {
		return false
	}
	return t != "" && run(t, isDigit) == len(t)
}

func isInt(text string) bool {
	s := unsigned(text)
	if s == "" {
		return false
	}
	if run(s, digitOrLine) == len(s) {
		return true
	}
	if len(s) < 3 || s[0] != '0' {
		return false
	}
	digits := ""
	switch s[1] {
	case 'b':
		digits = "01_"
	case 'o':
		digits = "01234567_"
	case 'x':
		digits = "0123456789abcdefABCDEF_"
	default:
		return false
	}
	return strings.Trim(s[2:], digits) == ""
}

func isTimestamp(s string) bool {
	if len(s) < 8 || run(s, isDigit) != 4 || s[4] != '-' {
		return false
	}
	if _, rest, ok := cutDate(s); ok {
		if rest == "" {
			return len(s) == 10
		}
		_, ok := cutClock(rest)
		return ok
	}
	return false
}

// cutDate reads YYYY-M-D with one or two digits.
func cutDate(s string) (ymd [3]int, rest string, ok bool) {
	ymd[0], _ = strconv.Atoi(s[:4])
	rest = s[4:]
	for i := 1; i < 3; i++ {
		if rest == "" || rest[0] != '-' {
			return ymd, "", false
		}
		rest = rest[1:]
		n := min(run(rest, isDigit), 2)
		if n == 0 {
			return ymd, "", false
		}
		ymd[i], _ = strconv.Atoi(rest[:n])
		rest = rest[n:]
	}
	return ymd, rest, true
}

type clock struct {
	hms      [3]int
	fraction string
	zone     string
}

func isSpaceOrTab(c byte) bool { return c == ' ' || c == '\t' }

// cutClock reads the rest of a timestamp behind the date.
func cutClock(s string) (c clock, ok bool) {
	if s[0] == 'T' || s[0] == 't' {
		s = s[1:]
	} else if n := run(s, isSpaceOrTab); n > 0 {
		s = s[n:]
	} else {
		return c, false
	}
	for i := range c.hms {
		n := min(run(s, isDigit), 2)
		if n == 0 || i > 0 && n != 2 {
			return c, false
		}
		c.hms[i], _ = strconv.Atoi(s[:n])
		s = s[n:]
		if i < 2 {
			if s == "" || s[0] != ':' {
				return c, false
			}
			s = s[1:]
		}
	}
	if s != "" && s[0] == '.' {
		n := run(s[1:], isDigit)
		c.fraction = s[1 : 1+n]
		s = s[1+n:]
	}
	if s == "" {
		return c, true
	}
	c.zone = strings.TrimLeft(s, " \t")
	return c, isZone(c.zone)
}

func isZone(z string) bool {
	if z == "Z" {
		return true
	}
	if len(z) < 2 || z[0] != '+' && z[0] != '-' {
		return false
	}
	z = z[1:]
	n := min(run(z, isDigit), 2)
	z = z[n:]
	return n > 0 && (z == "" || len(z) == 3 && z[0] == ':' && run(z[1:], isDigit) == 2)
}

// maxIntDigits is Python's limit on the digits of a decimal integer.
const maxIntDigits = 4300

// parseInt reads what isInt accepts: int64, or *big.Int beyond it. ok is
// false for text like "0x_" that has no digits.
func parseInt(text string) (v any, ok bool) {
	s := text
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "")
	}
	digits := unsigned(s)
	negative := s != "" && s[0] == '-'
	base := 10
	if len(digits) > 1 && digits[0] == '0' {
		switch digits[1] {
		case 'b':
			base = 2
		case 'o':
			base = 8
		case 'x':
			base = 16
		}
		if base != 10 {
			digits = digits[2:]
		}
	}
	if n, err := strconv.ParseInt(digits, base, 64); err == nil {
		if negative {
			n = -n
		}
		return n, true
	}
	if digits == "" || base == 10 && len(digits) > maxIntDigits || len(digits) > 4*maxIntDigits {
		return nil, false
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return nil, false
	}
	if negative {
		n.Neg(n)
	}
	if n.IsInt64() {
		return n.Int64(), true
	}
	return n, true
}

// parseFloat reads what isFloat accepts; ok is false for "._".
func parseFloat(text string) (f float64, ok bool) {
	s := strings.ToLower(text)
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "")
	}
	switch unsigned(s) {
	case ".inf":
		if s[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case ".nan":
		return math.NaN(), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// parseTimestamp reads what isTimestamp accepts; ok is false for a date that
// is on no calendar.
func parseTimestamp(s string) (d Date, ok bool) {
	ymd, rest, _ := cutDate(s)
	loc := time.UTC
	var c clock
	if rest != "" {
		c, _ = cutClock(rest)
	}
	d.DateOnly = rest == ""
	switch {
	case c.zone == "Z":
		d.HasZone, d.zone = true, "Z"
	case c.zone != "":
		offset := zoneOffset(c.zone)
		if offset <= -24*3600 || offset >= 24*3600 {
			return d, false
		}
		d.HasZone, d.zone = true, c.zone
		loc = time.FixedZone(c.zone, offset)
	}
	nanos, carry := fractionNanos(c.fraction)
	d.Time = time.Date(ymd[0], time.Month(ymd[1]), ymd[2], c.hms[0], c.hms[1], c.hms[2], nanos, loc)
	t := d.Time
	if ymd[0] < 1 || t.Year() != ymd[0] || int(t.Month()) != ymd[1] || t.Day() != ymd[2] ||
		c.hms[0] > 23 || c.hms[1] > 59 || c.hms[2] > 59 {
		return d, false
	}
	if carry {
		d.Time = d.Time.Add(time.Second)
	}
	return d, true
}

func zoneOffset(z string) int {
	hours, minutes, _ := strings.Cut(z[1:], ":")
	h, _ := strconv.Atoi(hours)
	m, _ := strconv.Atoi(minutes)
	seconds := h*3600 + m*60
	if z[0] == '-' {
		return -seconds
	}
	return seconds
}

// fractionNanos rounds to microseconds by the seventh digit, as ruamel.yaml
// does; carry is a full second.
func fractionNanos(f string) (nanos int, carry bool) {
	if f == "" {
		return 0, false
	}
	us, _ := strconv.Atoi((f + "000000")[:6])
	if len(f) > 6 && f[6] > '4' {
		us++
	}
	if us > 999999 {
		return 0, true
	}
	return us * 1000, false
}
