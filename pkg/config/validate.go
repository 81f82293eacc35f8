package config

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cairndata/cairn/pkg/errs"
)

// Problem is what is wrong with the configuration, and where. Its text begins
// as DVC's does.
type Problem struct {
	Msg  string   // as DVC words it
	Path []string // section, name, option, as far as they apply
	File string   // as the user would name it; may be empty
	Line int      // 1-based; 0 if unknown
	Hint string   // what to do; may be empty
}

// Error is DVC's text with the place after it.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString("config file error: " + p.Msg)
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, " (%s, line %d)", p.File, p.Line)
	case p.File != "":
		fmt.Fprintf(&b, " (%s)", p.File)
	}
	return b.String()
}

func (p *Problem) asError() error {
	return &errs.Error{Kind: errs.Config, Hint: p.Hint, Err: p}
}

// failf is a failure of class errs.Config, worded as DVC's are.
func failf(format string, args ...any) error {
	return (&Problem{Msg: fmt.Sprintf(format, args...)}).asError()
}

// checker gathers what is wrong with a merged configuration.
type checker struct {
	problems []*Problem
	warnings []string
}

// check compares a merged configuration, with resolved paths, with the table.
// Problems come in DVC's order, which is the order of the data.
func check(tree *section) *checker {
	c := &checker{}
	for _, e := range tree.entries {
		path := []string{e.key}
		switch {
		case e.key == cairnSection:
			c.cairn(e.val)
		case !slices.Contains(sections, e.key):
			hint := ""
			if near := Nearest(e.key, sections); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			c.add(e.val, path, hint, "extra keys not allowed")
		case e.val.sect == nil:
			c.add(e.val, path, "", "expected a dictionary for dictionary value")
		case slices.Contains(namedSections, e.key):
			c.named(e.key, e.val.sect)
		default:
			c.options(e.key, "", e.val.sect, path)
		}
	}
	return c
}

func (c *checker) add(n *node, path []string, hint, format string, args ...any) {
	p := &Problem{Msg: fmt.Sprintf(format, args...), Path: path, Hint: hint}
	quoted := make([]string, len(path))
	for i, s := range path {
		quoted[i] = pyRepr(s)
	}
	p.Msg += " @ data[" + strings.Join(quoted, "][") + "]"
	if f := n.origin.file; f != nil {
		p.File, p.Line = f.shown, n.origin.line
		if p.Hint == "" && f.level < Project {
			p.Hint = fmt.Sprintf("The option stands in the %s config.", f.level)
		}
	}
	c.problems = append(c.problems, p)
}

// cairn checks the section that only cairn has, and that it stands where DVC
// does not see it.
func (c *checker) cairn(n *node) {
	path := []string{cairnSection}
	if n.sect == nil {
		c.add(n, path, "", "expected a dictionary for dictionary value")
		return
	}
	c.options(cairnSection, "", n.sect, path)
}

func (c *checker) named(word string, holder *section) {
	for _, e := range holder.entries {
		path := []string{word, e.key}
		if e.val.sect == nil {
			c.add(e.val, path, "", "expected a dictionary for dictionary value")
			continue
		}
		if word != "remote" {
			c.options(word, "", e.val.sect, path)
			continue
		}
		u := e.val.sect.get("url")
		switch {
		case u == nil:
			hint := fmt.Sprintf("Give it one with `cairn remote modify %s url <url>`, or remove the section from %s.", e.key, originOf(e.val))
			c.add(e.val, path, hint, "expected 'url' for dictionary value")
			continue
		case u.isList || u.sect != nil:
			c.add(u, append(path, "url"), "", "expected str for dictionary value")
			continue
		}
		scheme, ok := remoteScheme(u.text)
		if !ok {
			c.add(u, path, "", "not a valid value for dictionary value")
		} else if !slices.Contains(remoteSchemes, scheme) {
			c.add(u, path, "", "Unsupported URL type %s:// for dictionary value", scheme)
		} else if scheme != "remote" {
			c.options(word, scheme, e.val.sect, path)
		}
	}
}

func originOf(n *node) string {
	if n.origin.file == nil {
		return "the config"
	}
	return n.origin.file.shown
}

// remoteScheme is which kind of remote a URL means, as DVC decides it: without
// a host it is a folder. It is false for URLs that cannot be read.
func remoteScheme(raw string) (string, bool) {
	s := strings.TrimLeftFunc(raw, func(r rune) bool { return r <= ' ' })
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
	scheme, rest, found := strings.Cut(s, ":")
	if !found || !isScheme(scheme) {
		scheme, rest = "", s
	}
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", true
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if strings.Contains(host, "[") != strings.Contains(host, "]") {
		return "", false
	}
	if strings.Contains(host, "[") {
		if u, err := url.Parse("x://" + host); err != nil || u.Host == "" {
			return "", false
		}
	}
	if host == "" {
		return "", true
	}
	return strings.ToLower(scheme), true
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}

// maxHints bounds the search for near names, which costs more than the check;
// only the first problem is shown.
const maxHints = 20

// options checks one section's options.
func (c *checker) options(sect, scheme string, s *section, path []string) {
	for _, x := range exclusive {
		if b := s.get(x.b); x.section == sect && s.get(x.a) != nil && b != nil {
			hint := fmt.Sprintf("Unset %s.%s or %s.%s.", sect, x.a, sect, x.b)
			c.add(b, path, hint, "two or more values in the same group of exclusion '%s'", x.group)
			p := c.problems[len(c.problems)-1]
			p.Msg = strings.TrimSuffix(p.Msg, "]") + "][<" + x.group + ">]"
			return
		}
	}
	var unknown []string
	for _, e := range s.entries {
		at := append(slices.Clip(path), e.key)
		o := option(sect, e.key, scheme)
		switch {
		case o == nil && sect == "feature":
			unknown = append(unknown, e.key)
		case o == nil:
			hint := ""
			if len(c.problems) < maxHints {
				hint = unknownHint(sect, scheme, e.key)
			}
			c.add(e.val, at, hint, "extra keys not allowed")
		case o.Name == "hash" && sect == "core":
			c.hash(o, e.val, at)
		default:
			if msg := o.check(e.val); msg != "" {
				c.add(e.val, at, "", "%s for dictionary value", msg)
			}
		}
	}
	c.features(unknown)
}

func (c *checker) features(unknown []string) {
	if len(unknown) == 0 {
		return
	}
	slices.Sort(unknown)
	for i, u := range unknown {
		unknown[i] = "'feature." + u + "'"
	}
	are := " is"
	if len(unknown) > 1 {
		are = "s are"
	}
	c.warnings = append(c.warnings, strings.Join(unknown, ", ")+" config option"+are+" unsupported")
}

// hash checks core.hash, which says how a repository's objects are named and
// so belongs to the repository.
func (c *checker) hash(o *Option, n *node, path []string) {
	if msg := o.check(n); msg != "" {
		hint := "Unset it to use md5, or use a release of cairn that knows this hash."
		c.add(n, path, hint, "unknown hash %s, expected one of blake3, md5 for dictionary value", pyRepr(n.String()))
	} else if f := n.origin.file; f != nil && f.level != Project {
		c.add(n, path, "Remove it there; `cairn init --hash` sets it for a repository.", "core.hash may stand in .dvc/config only")
	}
}

func unknownHint(sect, scheme, name string) string {
	if near := Nearest(name, knownNames(sect, scheme)); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	if sect == "remote" && option(sect, name, "*") != nil {
		return fmt.Sprintf("A remote with this URL has no option %q.", name)
	}
	return ""
}

// check returns what is wrong with a value, in DVC's words, or "".
func (o *Option) check(n *node) string {
	if n.sect != nil {
		return map[Type]string{
			String: "expected str", Int: "expected int", Float: "expected float", NotInt: "expected int",
			NotBool: "expected bool", Bool: "expected true or false", BoolOrPath: "expected true or false",
			Links: "expected link types", Choice: o.choices(), Lower: "expected a name",
		}[o.Type]
	}
	switch o.Type {
	case String:
		if n.isList {
			return "expected str"
		}
	case Bool, BoolOrPath:
		if _, ok := parseBool(n.text); n.isList || !ok && o.Type == Bool {
			return "expected true or false"
		}
	case NotBool:
		return "expected bool"
	case NotInt:
		return "expected int"
	case Int:
		v, ok := parseInt(n.text)
		if n.isList || !ok {
			return "expected int"
		}
		return o.bounds(float64(v))
	case Float:
		v, ok := parseFloat(n.text)
		if n.isList || !ok {
			return "expected float"
		}
		return o.bounds(v)
	case Choice:
		if n.isList || !slices.Contains(o.Choices, strings.ToLower(n.text)) {
			return o.choices()
		}
	case Links:
		return checkLinks(linkTypes(n))
	}
	return ""
}

func (o *Option) choices() string { return "expected one of " + strings.Join(o.Choices, ", ") }

func (o *Option) bounds(v float64) string {
	if o.Min != nil && !(v >= float64(*o.Min)) {
		return fmt.Sprintf("value must be at least %d", *o.Min)
	}
	if o.Max != nil && !(v <= float64(*o.Max)) {
		return fmt.Sprintf("value must be at most %d", *o.Max)
	}
	return ""
}

var knownLinks = []string{"reflink", "hardlink", "symlink", "copy"}

func linkTypes(n *node) []string {
	if n.isList {
		return n.list
	}
	types := strings.Split(n.text, ",")
	for i, t := range types {
		types[i] = strings.TrimFunc(t, isSpace)
	}
	return types
}

func checkLinks(types []string) string {
	var bad []string
	for _, t := range types {
		if !slices.Contains(knownLinks, t) && !slices.Contains(bad, t) {
			bad = append(bad, t)
		}
	}
	if bad == nil {
		return ""
	}
	return "Unsupported cache type(s): " + strings.Join(bad, ", ")
}

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// digits takes the underscores out of a number as Python allows them: single,
// between digits. Digits of other scripts become ASCII.
func digits(s string) (string, bool) {
	s = strings.TrimFunc(s, isSpace)
	var b strings.Builder
	var last rune
	for _, r := range s {
		if r > unicode.MaxASCII && unicode.Is(unicode.Nd, r) {
			zero := r
			for unicode.Is(unicode.Nd, zero-1) && r-zero < 9 {
				zero--
			}
			r = '0' + r - zero
		}
		if r == '_' && (last < '0' || last > '9') || last == '_' && (r < '0' || r > '9') {
			return "", false
		}
		if last = r; r != '_' {
			b.WriteRune(r)
		}
	}
	return b.String(), last != '_'
}

// parseInt reads an integer as Python's int does; one too large is the largest.
func parseInt(s string) (int, bool) {
	s, ok := digits(s)
	if !ok {
		return 0, false
	}
	v, err := strconv.Atoi(s)
	if err != nil && strings.TrimLeft(strings.TrimLeft(s, "+-"), "0123456789") == "" && len(s) > 10 {
		if s[0] == '-' {
			return math.MinInt, true
		}
		return math.MaxInt, true
	}
	return v, err == nil
}

// parseFloat reads a number as Python's float does.
func parseFloat(s string) (float64, bool) {
	s, ok := digits(s)
	if !ok || strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil || math.IsInf(v, 0)
}
