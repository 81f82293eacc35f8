package ignore

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/cairndata/cairn/pkg/errs"
)

// Syntax is the dialect of an ignore file.
type Syntax uint8

// The dialects; see the package comment for how they differ.
const (
	DVC Syntax = iota
	Git
)

// Rule is one line of an ignore file.
type Rule struct {
	File    string // the file's path from the root; empty for a built-in rule
	Line    int    // 1-based; 0 for a built-in rule
	Pattern string // the line, as the syntax strips it
	Negated bool

	// Subrepo is the folder's name if the rule stands for the repository
	// that the folder is.
	Subrepo string

	dirOnly  bool // the rule is not asked about files at all
	needsDir bool // the rule's own match must be a folder
	anchored bool // segs are a path from the file's folder, not one name
	segs     []segment
	deep     int // index of the first "**" in segs, or len(segs)
}

// String is the rule as `check-ignore --details` prints it.
func (r *Rule) String() string {
	switch {
	case r.Subrepo != "":
		return "in sub_repo:" + r.Subrepo
	case r.File == "":
		return ":" + r.Pattern
	}
	return r.File + ":" + strconv.Itoa(r.Line) + ":" + r.Pattern
}

// parse reads the rules of an ignore file. Lines that mean nothing are left
// out. In the DVC syntax a pattern that cannot be compiled is errs.Invalid;
// Git passes over it.
func parse(file string, data []byte, syntax Syntax) ([]Rule, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var rules []Rule
	for n, line := range lines(string(data), syntax) {
		if line == "" || line[0] == '#' {
			continue
		}
		r, problem := compile(line, syntax)
		if problem != "" && syntax == DVC {
			return nil, &errs.Error{Kind: errs.Invalid, File: file, Line: n + 1,
				Msg:  "pattern " + strconv.Quote(line) + " " + problem,
				Hint: "Mend or delete the line."}
		}
		if r == nil {
			continue
		}
		r.File, r.Line = file, n+1
		rules = append(rules, *r)
	}
	return rules, nil
}

func lines(text string, syntax Syntax) []string {
	if syntax == Git {
		list := strings.Split(text, "\n")
		for i, l := range list {
			list[i] = trimGit(strings.TrimSuffix(l, "\r"))
		}
		return list
	}
	// Python ends a line at a lone carriage return as well.
	text = strings.ReplaceAll(text, "\r\n", "\n")
	list := strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
	for i, l := range list {
		list[i] = strings.TrimFunc(l, isPythonSpace)
	}
	return list
}

func isPythonSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// trimGit cuts final blanks that are not escaped.
func trimGit(line string) string {
	end := len(line)
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			if end > i {
				end = i
			}
			continue
		case '\\':
			i++
		}
		end = len(line)
	}
	return line[:end]
}

// compile makes the rule of one line. A nil rule never matches; problem says
// why the pattern cannot be understood, if that is the reason.
func compile(line string, syntax Syntax) (r *Rule, problem string) {
	r = &Rule{Pattern: line}
	text := line
	if text[0] == '!' {
		r.Negated = true
		text = text[1:]
		if text == "" {
			return nil, "is only a negation"
		}
	}
	if text == "/" {
		return nil, ""
	}
	if rest, ok := strings.CutSuffix(text, "/"); ok {
		r.dirOnly, r.needsDir = true, true
		text = rest
	}
	r.anchored = strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")

	for _, part := range splitSegments(text, syntax) {
		if isDeep(part, syntax) {
			if n := len(r.segs); n == 0 || r.segs[n-1].kind != segDeep {
				r.segs = append(r.segs, segment{kind: segDeep})
			}
			continue
		}
		s, ok, problem := compileSegment(part, syntax)
		if !ok {
			return nil, problem
		}
		r.segs = append(r.segs, s)
	}
	r.normalize(syntax)
	return r, ""
}

func isDeep(part string, syntax Syntax) bool {
	if syntax == DVC {
		return part == "**"
	}
	return len(part) >= 2 && strings.Trim(part, "*") == ""
}

// normalize brings the segments to the shape that costs least to match.
func (r *Rule) normalize(syntax Syntax) {
	n := len(r.segs)
	if n > 1 && r.segs[n-1].kind == segDeep && syntax == DVC {
		// "x/**" is x as a folder with all below it.
		r.needsDir = true
		r.segs = r.segs[:n-1]
		n--
	}
	// "**/x" is x anywhere, and "**" alone is any name.
	if n == 2 && r.segs[0].kind == segDeep && r.segs[1].kind != segDeep {
		r.segs = r.segs[1:]
		r.anchored = false
	}
	if len(r.segs) == 1 && r.segs[0].kind == segDeep {
		r.segs[0].kind = segAny
		r.anchored = false
	}
	r.deep = len(r.segs)
	for i := range r.segs {
		if r.segs[i].kind == segDeep {
			r.deep = i
			break
		}
	}
}

// splitSegments cuts a pattern at its slashes. Git does not take a slash in
// brackets for one, and lets a backslash stand before one.
func splitSegments(text string, syntax Syntax) []string {
	if syntax == DVC || !strings.ContainsAny(text, `[\`) {
		return strings.Split(text, "/")
	}
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '/':
			parts = append(parts, text[start:i])
			start = i + 1
		case '\\':
			if i+1 < len(text) && text[i+1] == '/' {
				parts = append(parts, text[start:i])
				start = i + 2
			}
			i++
		case '[':
			if _, n, _ := parseGitSet(text[i+1:]); n > 0 {
				i += n
			}
		}
	}
	return append(parts, text[start:])
}

// matchesSelf reports whether the rule matches the path itself, given as its
// components from the folder of the rule's file.
func (r *Rule) matchesSelf(path []string, isDir bool) bool {
	if r.needsDir && !isDir || len(path) == 0 {
		return false
	}
	if !r.anchored {
		return r.segs[0].match(path[len(path)-1])
	}
	return matchSegments(r.segs, path)
}
