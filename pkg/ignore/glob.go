package ignore

import (
	"strings"
	"unicode/utf8"
)

// Kinds of a segment, the part of a pattern between slashes. The plain ones
// exist for speed: nearly all patterns in use are made of them.
type segKind uint8

const (
	segLiteral segKind = iota // foo
	segAny                    // *
	segSuffix                 // *foo
	segPrefix                 // foo*
	segGlob                   // anything else
	segDeep                   // **, any number of segments
	segNever                  // what cannot match
)

type segment struct {
	kind     segKind
	lit      string
	toks     []token
	byteWise bool // "?" and "[]" stand for a byte, as in Git
}

type tokenKind uint8

const (
	tokLiteral tokenKind = iota
	tokOne
	tokStar
	tokSet
)

type token struct {
	kind tokenKind
	lit  string
	set  *set
}

// set is a bracket expression.
type set struct {
	negated bool
	ranges  []runeRange
}

type runeRange struct{ lo, hi rune }

func (s *set) has(r rune) bool {
	for _, x := range s.ranges {
		if x.lo <= r && r <= x.hi {
			return !s.negated
		}
	}
	return s.negated
}

// match reports whether the segment matches all of one path component.
func (s *segment) match(name string) bool {
	switch s.kind {
	case segLiteral:
		return name == s.lit
	case segAny, segDeep:
		return name != ""
	case segSuffix:
		return strings.HasSuffix(name, s.lit)
	case segPrefix:
		return strings.HasPrefix(name, s.lit)
	case segGlob:
		return s.matchGlob(name)
	}
	return false
}

// matchGlob goes back to the last star only, which suffices because a star
// can take up whatever an earlier one could; time is at most the product of
// the lengths.
func (s *segment) matchGlob(name string) bool {
	t, at := 0, 0
	star, starAt := -1, 0
	for {
		if t == len(s.toks) {
			if at == len(name) {
				return true
			}
		} else {
			tok := &s.toks[t]
			if tok.kind == tokStar {
				star, starAt = t, at
				t++
				continue
			}
			if n := s.take(tok, name[at:]); n > 0 {
				at += n
				t++
				continue
			}
		}
		if star < 0 || starAt >= len(name) {
			return false
		}
		_, n := s.next(name[starAt:])
		starAt += n
		t, at = star+1, starAt
	}
}

// take returns how many bytes at the start of rest the token matches, or 0.
func (s *segment) take(tok *token, rest string) int {
	if tok.kind == tokLiteral {
		if strings.HasPrefix(rest, tok.lit) {
			return len(tok.lit)
		}
		return 0
	}
	if rest == "" {
		return 0
	}
	r, n := s.next(rest)
	if tok.kind == tokSet && !tok.set.has(r) {
		return 0
	}
	return n
}

// next is the first unit of rest, which is not empty. A byte that is no UTF-8
// counts as one character, as in Python's surrogate escapes.
func (s *segment) next(rest string) (rune, int) {
	if s.byteWise || rest[0] < utf8.RuneSelf {
		return rune(rest[0]), 1
	}
	return utf8.DecodeRuneInString(rest)
}

// matchSegments reports whether segs match all of path. A "**" stands for any
// number of components; at the end, for at least one.
func matchSegments(segs []segment, path []string) bool {
	p, at := 0, 0
	deep, deepAt := -1, 0
	for {
		switch {
		case p < len(segs) && segs[p].kind == segDeep:
			if p == len(segs)-1 {
				return at < len(path)
			}
			deep, deepAt = p, at
			p++
			continue
		case p < len(segs) && at < len(path) && segs[p].match(path[at]):
			p++
			at++
			continue
		case p == len(segs) && at == len(path):
			return true
		}
		if deep < 0 || deepAt >= len(path) {
			return false
		}
		deepAt++
		p, at = deep+1, deepAt
	}
}

// compileSegment turns one segment of a pattern into its matcher. ok is false
// if a bracket is not closed; problem names what DVC refuses to compile.
func compileSegment(text string, syntax Syntax) (s segment, ok bool, problem string) {
	s.byteWise = syntax == Git
	var toks []token
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			toks = append(toks, token{kind: tokLiteral, lit: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
			if i == len(text) {
				return s, false, "ends with a backslash"
			}
			lit.WriteByte(text[i])
		case '*':
			flush()
			if len(toks) == 0 || toks[len(toks)-1].kind != tokStar {
				toks = append(toks, token{kind: tokStar})
			}
		case '?':
			flush()
			toks = append(toks, token{kind: tokOne})
		case '[':
			flush()
			set, n, problem := parseSet(text[i+1:], syntax)
			if set == nil {
				return s, false, problem
			}
			toks = append(toks, token{kind: tokSet, set: set})
			i += n
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return simplify(s, toks), true, ""
}

// simplify picks the cheapest kind that does what toks say.
func simplify(s segment, toks []token) segment {
	is := func(i int, k tokenKind) bool { return i < len(toks) && toks[i].kind == k }
	switch {
	case len(toks) == 0:
		s.kind = segNever // components are never empty
	case len(toks) == 1 && is(0, tokLiteral):
		s.kind, s.lit = segLiteral, toks[0].lit
	case len(toks) == 1 && is(0, tokStar):
		s.kind = segAny
	case len(toks) == 2 && is(0, tokStar) && is(1, tokLiteral):
		s.kind, s.lit = segSuffix, toks[1].lit
	case len(toks) == 2 && is(0, tokLiteral) && is(1, tokStar):
		s.kind, s.lit = segPrefix, toks[0].lit
	default:
		s.kind, s.toks = segGlob, toks
	}
	return s
}

// parseSet reads a bracket expression after its "[" and returns it with the
// bytes it took, including the "]". A nil set has no end or is refused.
func parseSet(text string, syntax Syntax) (*set, int, string) {
	if syntax == Git {
		return parseGitSet(text)
	}
	return parseDVCSet(text)
}

// parseDVCSet: the end is the first "]" that is not the first character, and
// backslashes are themselves.
func parseDVCSet(text string) (*set, int, string) {
	s := &set{}
	body := text
	if body != "" && (body[0] == '!' || body[0] == '^') {
		s.negated = true
		body = body[1:]
	}
	if body == "" {
		return nil, 0, ""
	}
	end := strings.IndexByte(body[1:], ']') + 1
	if end == 0 {
		return nil, 0, ""
	}
	chars := []rune(body[:end])
	for i := 0; i < len(chars); i++ {
		lo, hi := chars[i], chars[i]
		if i+2 < len(chars) && chars[i+1] == '-' {
			hi = chars[i+2]
			i += 2
			if hi < lo {
				return nil, 0, "has a range that runs backwards"
			}
		}
		s.ranges = append(s.ranges, runeRange{lo, hi})
	}
	return s, len(text) - len(body) + end + 1, ""
}

// parseGitSet: bytes, escapes, and POSIX classes; a backward range is empty.
func parseGitSet(text string) (*set, int, string) {
	s := &set{}
	i := 0
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		s.negated = true
		i++
	}
	prev := -1 // the character a "-" would start a range from
	for first := true; ; first = false {
		if i >= len(text) {
			return nil, 0, ""
		}
		c := text[i]
		switch {
		case c == ']' && !first:
			return s, i + 1, ""
		case c == '[' && i+1 < len(text) && text[i+1] == ':':
			n := strings.IndexByte(text[i+2:], ']')
			if n < 0 {
				return nil, 0, ""
			}
			if n == 0 || text[i+2+n-1] != ':' {
				// Not ":]": an ordinary bracket.
				s.add('[', '[')
				prev = '['
				i++
				continue
			}
			class, known := posixClasses[text[i+2:i+2+n-1]]
			if !known {
				return nil, 0, ""
			}
			s.ranges = append(s.ranges, class...)
			prev = -1
			i += 2 + n + 1
			continue
		case c == '-' && prev >= 0 && i+1 < len(text) && text[i+1] != ']':
			i++
			hi := text[i]
			if hi == '\\' {
				if i++; i >= len(text) {
					return nil, 0, ""
				}
				hi = text[i]
			}
			s.add(byte(prev), hi)
			prev = -1
			i++
			continue
		case c == '\\':
			if i++; i >= len(text) {
				return nil, 0, ""
			}
			c = text[i]
		}
		s.add(c, c)
		prev = int(c)
		i++
	}
}

func (s *set) add(lo, hi byte) {
	s.ranges = append(s.ranges, runeRange{rune(lo), rune(hi)})
}

var posixClasses = map[string][]runeRange{
	"alnum":  {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}},
	"alpha":  {{'A', 'Z'}, {'a', 'z'}},
	"blank":  {{' ', ' '}, {'\t', '\t'}},
	"cntrl":  {{0, 31}, {127, 127}},
	"digit":  {{'0', '9'}},
	"graph":  {{33, 126}},
	"lower":  {{'a', 'z'}},
	"print":  {{32, 126}},
	"punct":  {{33, 47}, {58, 64}, {91, 96}, {123, 126}},
	"space":  {{9, 13}, {' ', ' '}},
	"upper":  {{'A', 'Z'}},
	"xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
}
