package yamlfmt

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// How a rewritten text spells the numbers it had: ruamel.yaml remembers the
// base, width, precision and underscores, and prints the value by them. That
// is mostly the old spelling, but not always; what comes out must be the same.

// spellInt is the new spelling of an integer whose text and value are given.
func spellInt(text string, value any) string {
	sign, digits := "", strings.ReplaceAll(text, "_", "")
	if digits[0] == '+' || digits[0] == '-' {
		if digits[0] == '-' {
			sign = "-"
		}
		digits = digits[1:]
	}
	abs := absInt(value)
	if abs.Sign() == 0 {
		sign = ""
	}
	group, lead, trail := underscores(text)
	base, prefix, upper := 10, "", false
	if len(digits) > 2 && digits[0] == '0' {
		switch digits[1] {
		case 'b':
			base, prefix = 2, "0b"
		case 'o':
			base, prefix = 8, "0o"
		case 'x':
			base, prefix = 16, "0x"
			i := strings.IndexAny(digits[2:], "abcdefABCDEF")
			upper = i >= 0 && digits[2+i] < 'a'
		}
	}
	width := 0
	switch {
	case base != 10 && digits[2] == '0':
		width = len(digits) - 2
	case base == 10 && digits[0] == '0':
		width = len(digits)
	}
	s := abs.Text(base)
	if upper {
		s = strings.ToUpper(s)
	}
	if n := width - len(sign) - len(s); n > 0 {
		s = strings.Repeat("0", n) + s
	}
	if group > 0 {
		s = groupDigits(s, group)
	}
	if lead && base != 10 {
		s = "_" + s
	}
	if trail {
		s += "_"
	}
	// The library puts the sign behind the prefix, which is no number.
	return sign + prefix + s
}

func absInt(v any) *big.Int {
	if b, ok := v.(*big.Int); ok {
		return new(big.Int).Abs(b)
	}
	return new(big.Int).Abs(big.NewInt(v.(int64)))
}

// underscores says after how many digits from the right one stands, and
// whether one leads or trails.
func underscores(text string) (group int, lead, trail bool) {
	s := strings.TrimRight(text, "_")
	i := strings.LastIndexByte(s, '_')
	if i < 0 {
		return 0, false, false
	}
	return len(s) - i - 1, len(text) > 2 && text[2] == '_', strings.HasSuffix(text, "_")
}

func groupDigits(s string, n int) string {
	var parts []string
	for len(s) > n {
		parts = append([]string{s[len(s)-n:]}, parts...)
		s = s[:len(s)-n]
	}
	return strings.Join(append([]string{s}, parts...), "_")
}

// floatSpelling is what ruamel.yaml remembers of a float's text.
type floatSpelling struct {
	width, prec int
	sign        string // "+", "-" or ""
	lead0       int
	exp         string // "e", "E" or ""
	expWidth    int
	expSign     bool
}

func spellingOf(text string) floatSpelling {
	f := floatSpelling{}
	if text[0] == '+' || text[0] == '-' {
		f.sign = text[:1]
	}
	mantissa := text
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		exponent := text[i+1:]
		f.exp = text[i : i+1]
		f.expWidth = len(exponent)
		f.expSign = exponent[0] == '+' || exponent[0] == '-'
	}
	for i := 0; i < len(mantissa) && (mantissa[i] == '0' || mantissa[i] == '.'); i++ {
		if mantissa[i] == '0' {
			f.lead0++
		}
	}
	f.width = len(mantissa)
	f.prec = strings.IndexByte(mantissa, '.')
	if f.exp != "" && f.sign != "" {
		f.width--
	}
	return f
}

func pad0(s string, width int) string {
	if n := width - len(s); n > 0 {
		if s != "" && (s[0] == '-' || s[0] == '+') {
			return s[:1] + strings.Repeat("0", n) + s[1:]
		}
		return strings.Repeat("0", n) + s
	}
	return s
}

// spellFloat is the new spelling of a float whose text and value are given.
func spellFloat(text string, v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return yamlFloat(v)
	}
	f := spellingOf(text)
	if f.exp != "" {
		return f.exponent(v)
	}
	abs := math.Abs(v)
	if f.prec > 0 && f.prec == f.width-1 {
		return f.sign + strconv.FormatFloat(math.Trunc(abs), 'f', 0, 64) + "."
	}
	s := pad0(strconv.FormatFloat(abs, 'f', max(f.width-f.prec-1, 0), 64), f.width-len(f.sign))
	s = f.sign + s
	if f.prec == 0 || f.prec == 1 && f.sign != "" {
		s = strings.ReplaceAll(s, "0.", ".")
	}
	for len(s) < f.width {
		s += "0"
	}
	return s
}

func (f floatSpelling) exponent(v float64) string {
	digits := f.width
	if f.sign != "" {
		digits++
	}
	printed := strconv.FormatFloat(v, 'e', digits, 64)
	m, es, _ := strings.Cut(printed, "e")
	w := f.width
	if f.prec <= 0 {
		w++
	}
	if v < 0 {
		w++
	}
	m = m[:min(w, len(m))]
	e, _ := strconv.Atoi(es)
	m1, m2, _ := strings.Cut(m, ".")
	least := f.width
	if f.prec >= 0 {
		least--
	}
	for len(m1)+len(m2) < least {
		m2 += "0"
	}
	if f.sign != "" && v > 0 {
		m1 = "+" + m1
	}
	signed := 0
	if f.sign != "" {
		signed = 1
	}
	switch {
	case f.prec < 0:
		if m2 != "0" {
			e -= len(m2)
		} else {
			m2 = ""
		}
		for len(m1)+len(m2)-signed < f.width {
			m2 += "0"
			e--
		}
		return m1 + m2 + f.exp + f.expText(e)
	case f.prec == 0:
		e -= len(m2)
		return m1 + m2 + "." + f.exp + f.expText(e)
	}
	if f.lead0 > 0 {
		m2 = strings.Repeat("0", f.lead0-1) + m1 + m2
		m1 = "0"
		m2 = m2[:max(len(m2)-f.lead0, 0)]
		e += f.lead0
	}
	for len(m1) < f.prec && m2 != "" {
		m1 += m2[:1]
		m2 = m2[1:]
		e--
	}
	return m1 + "." + m2 + f.exp + f.expText(e)
}

// expText is Python's {e:+0wd} or {e:0wd}.
func (f floatSpelling) expText(e int) string {
	s := strconv.Itoa(e)
	if e >= 0 && f.expSign {
		s = "+" + s
	}
	return pad0(s, f.expWidth)
}

// spell is the new spelling of a date or time.
func (d Date) spell(text string) string {
	tee := strings.ContainsAny(text, "tT")
	s := d.String()
	if d.DateOnly || !tee && (d.zone == "" || d.zone == "Z") {
		return s
	}
	if tee {
		s = strings.Replace(s, " ", "T", 1)
	}
	if d.HasZone && len(s) > 6 && (s[len(s)-6] == '+' || s[len(s)-6] == '-') {
		s = s[:len(s)-6] + d.zone
	}
	return s
}
