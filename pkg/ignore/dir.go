package ignore

import "strings"

// Marks are what a folder's entries mean for ignoring; see [Mark].
type Marks uint8

const (
	hasDVCFile Marks = 1 << iota // an ignore file
	hasGitFile                   // the same of Git
	isSubrepo                    // an entry .dvc: a repository of its own
)

// Mark is what an entry of that name means for its folder. Join the marks of
// all entries with "|" and hand them to [Dir.Child].
func Mark(name string) Marks {
	if len(name) < len(dvcDir) || name[0] != '.' {
		return 0
	}
	switch name {
	case DVCFile:
		return hasDVCFile
	case GitFile:
		return hasGitFile
	case dvcDir:
		return isSubrepo
	}
	return 0
}

// Dir answers for the names in one folder. It is immutable and safe for
// concurrent use.
type Dir struct {
	m      *Matcher
	parent *Dir
	name   string

	ignored bool // all in it is ignored
	subrepo bool // because it is a repository of its own

	scopes []scope
	comps  []string // the path's components, kept only if a rule needs them

	// In the DVC syntax a rule that matched this folder or one above it
	// matches all below. These remember the last such rule that applies to
	// files and to folders: earlier rules have no say any more, and files
	// that no later rule matches are ignored if fileDefault is set.
	fileFrom, dirFrom floor
	fileDefault       bool
}

// floor is a place in the order of rules: scope, then index.
type floor struct{ scope, rule int }

var noFloor = floor{-1, -1}

// scope is the rules of one ignore file as far as they can concern a folder.
type scope struct {
	lv    *level
	depth int // of the folder below the file's
	// paths are the anchored rules that may match here or further down, in
	// order. Those that can only match a literal name in this very folder
	// are in here if they are many.
	paths []int
	here  map[string][]int
}

// level is the compiled rules of one ignore file, indexed by what a name must
// look like. Index lists ascend.
type level struct {
	rules []Rule
	base  int              // depth of its folder
	names map[string][]int // a literal name at any depth
	exts  map[string][]int // "*.ext" at any depth, by ".ext"
	globs []int            // other names at any depth
	first map[string][]int // anchored rules by a literal first component
	rest  []int            // other anchored rules
	deep  bool             // a rule has "**" between components
}

func newLevel(rules []Rule, base int) *level {
	lv := &level{rules: rules, base: base, names: map[string][]int{}, exts: map[string][]int{}, first: map[string][]int{}}
	for i := range rules {
		r := &rules[i]
		s := &r.segs[0]
		dot := strings.LastIndexByte(s.lit, '.')
		switch {
		case r.anchored && s.kind == segLiteral:
			lv.first[s.lit] = append(lv.first[s.lit], i)
		case r.anchored:
			lv.rest = append(lv.rest, i)
		case s.kind == segLiteral:
			lv.names[s.lit] = append(lv.names[s.lit], i)
		case s.kind == segSuffix && dot >= 0:
			lv.exts[s.lit[dot:]] = append(lv.exts[s.lit[dot:]], i)
		default:
			lv.globs = append(lv.globs, i)
		}
		lv.deep = lv.deep || r.deep < len(r.segs)
	}
	return lv
}

// addLevel puts rules read in d above those d has. It is for a Dir that
// nobody else has seen.
func (d *Dir) addLevel(rules []Rule) {
	if len(rules) == 0 {
		return
	}
	lv := newLevel(rules, len(d.components()))
	d.scopes = append(d.scopes[:len(d.scopes):len(d.scopes)], scope{lv: lv})
	if lv.deep {
		d.comps = d.components()
	}
}

// read adds the rules of d's own ignore file.
func (d *Dir) read() error {
	if d.parent != nil && d.m.opts.Syntax == DVC && d.Match(DVCFile, false) {
		return nil
	}
	rules, err := d.m.readRules(d.Path())
	if err != nil {
		return err
	}
	d.addLevel(rules)
	return nil
}

// Path is the folder's path from the root, "" for the root.
func (d *Dir) Path() string { return strings.Join(d.components(), "/") }

func (d *Dir) components() []string {
	if d.comps != nil || d.parent == nil {
		return d.comps
	}
	n := 0
	for at := d; at.parent != nil; at = at.parent {
		n++
	}
	list := make([]string, n)
	for at := d; at.parent != nil; at = at.parent {
		n--
		list[n] = at.name
	}
	return list
}

// Ignored reports whether the folder is ignored with all it holds. The rules
// of the parent do not tell if it is a repository of its own.
func (d *Dir) Ignored() bool { return d.ignored }

// Match reports whether the name in this folder is ignored. isDir says
// whether it is a folder; DVC takes a link to a folder for one, Git does not.
func (d *Dir) Match(name string, isDir bool) bool {
	if d.ignored || d.m.builtin(name, isDir) != nil {
		return true
	}
	if len(d.scopes) == 0 {
		return d.fileDefault && !isDir
	}
	if isDir {
		at := d.last(name, true, false, d.dirFrom)
		return at != d.dirFrom && !d.rule(at).Negated
	}
	at := d.last(name, false, false, d.fileFrom)
	if at == d.fileFrom {
		return d.fileDefault
	}
	return !d.rule(at).Negated
}

// Child returns the rules for the names in a folder of d, with the marks of
// that folder's entries. If they have an ignore file it is read.
func (d *Dir) Child(name string, marks Marks) (*Dir, error) {
	c := &Dir{m: d.m, parent: d, name: name}
	if d.ignored || d.Match(name, true) {
		c.ignored = true
		return c, nil
	}
	if marks&isSubrepo != 0 && d.m.opts.Syntax == DVC {
		c.ignored, c.subrepo = true, true
		return c, nil
	}
	c.fileFrom, c.dirFrom, c.fileDefault = d.fileFrom, d.dirFrom, d.fileDefault
	if len(d.scopes) > 0 {
		c.inherit(d, name)
	}
	if marks&d.m.mark() != 0 {
		return c, c.read()
	}
	return c, nil
}

// inherit narrows d's rules to those that can concern its folder c.
func (c *Dir) inherit(d *Dir, name string) {
	if d.m.opts.Syntax == DVC {
		c.dirFrom = d.last(name, true, false, d.dirFrom)
		if at := d.last(name, true, true, d.fileFrom); at != d.fileFrom {
			c.fileFrom = at
			c.fileDefault = !d.rule(at).Negated
		}
	}
	c.scopes = make([]scope, len(d.scopes))
	deep := false
	for i := range d.scopes {
		c.scopes[i] = d.scopes[i].below(name)
		deep = deep || c.scopes[i].lv.deep
	}
	if deep {
		c.comps = append(d.comps[:len(d.comps):len(d.comps)], name)
	}
}

// manyHere is from how many rules on a map beats going through them.
const manyHere = 8

func (s *scope) below(name string) scope {
	c := scope{lv: s.lv, depth: s.depth + 1}
	lists := [2][]int{s.paths, nil}
	if s.depth == 0 {
		lists = [2][]int{s.lv.first[name], s.lv.rest}
	}
	literal := 0
	for i := range merged(lists[0], lists[1]) {
		r := &s.lv.rules[i]
		if s.depth < r.deep && (len(r.segs) <= c.depth || !r.segs[s.depth].match(name)) {
			continue
		}
		c.paths = append(c.paths, i)
		if r.endsAt(c.depth) {
			literal++
		}
	}
	if literal >= manyHere {
		c.split(literal)
	}
	return c
}

// endsAt reports whether the rule can only match one literal name, in a
// folder that deep.
func (r *Rule) endsAt(depth int) bool {
	return r.deep == len(r.segs) && len(r.segs) == depth+1 && r.segs[depth].kind == segLiteral
}

// split moves the rules that end here to the map.
func (s *scope) split(n int) {
	s.here = make(map[string][]int, n)
	keep := s.paths[:0]
	for _, i := range s.paths {
		r := &s.lv.rules[i]
		if !r.endsAt(s.depth) {
			keep = append(keep, i)
			continue
		}
		lit := r.segs[s.depth].lit
		s.here[lit] = append(s.here[lit], i)
	}
	s.paths = keep
}

// merged yields two ascending lists as one.
func merged(a, b []int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for len(a) > 0 || len(b) > 0 {
			from := &a
			if len(a) == 0 || len(b) > 0 && b[0] < a[0] {
				from = &b
			}
			if !yield((*from)[0]) {
				return
			}
			*from = (*from)[1:]
		}
	}
}

func (d *Dir) rule(at floor) *Rule { return &d.scopes[at.scope].lv.rules[at.rule] }

// last finds the last rule above from that matches the name itself, or
// returns from. skipDirOnly leaves out the rules that say nothing of files.
func (d *Dir) last(name string, isDir, skipDirOnly bool, from floor) floor {
	for i := len(d.scopes) - 1; i >= 0 && i >= from.scope; i-- {
		best := -1
		if i == from.scope {
			best = from.rule
		}
		q := query{d: d, s: &d.scopes[i], name: name, isDir: isDir, skipDirOnly: skipDirOnly, best: best}
		q.run()
		if q.best > best {
			return floor{i, q.best}
		}
	}
	return from
}

// query looks for the last rule of one scope that matches a name.
type query struct {
	d           *Dir
	s           *scope
	name        string
	isDir       bool
	skipDirOnly bool
	best        int
}

func (q *query) run() {
	lv := q.s.lv
	if len(lv.names) > 0 {
		q.known(lv.names[q.name])
	}
	if len(lv.exts) > 0 {
		if dot := strings.LastIndexByte(q.name, '.'); dot >= 0 {
			q.try(lv.exts[q.name[dot:]])
		}
	}
	q.try(lv.globs)
	if q.s.depth == 0 {
		if len(lv.first) > 0 {
			q.tryPaths(lv.first[q.name])
		}
		q.tryPaths(lv.rest)
		// A first component followed by "**" may stand for none.
		return
	}
	if q.s.here != nil {
		q.known(q.s.here[q.name])
	}
	q.tryPaths(q.s.paths)
}

func (q *query) applies(r *Rule) bool {
	return (q.isDir || !r.needsDir) && !(q.skipDirOnly && r.dirOnly)
}

// known takes rules that match the name for certain.
func (q *query) known(list []int) {
	for i := len(list) - 1; i >= 0 && list[i] > q.best; i-- {
		if q.applies(&q.s.lv.rules[list[i]]) {
			q.best = list[i]
			return
		}
	}
}

// try takes rules for a name at any depth.
func (q *query) try(list []int) {
	for i := len(list) - 1; i >= 0 && list[i] > q.best; i-- {
		r := &q.s.lv.rules[list[i]]
		if q.applies(r) && r.segs[0].match(q.name) {
			q.best = list[i]
			return
		}
	}
}

// tryPaths takes anchored rules whose components above "**", or all but the
// last, are known to match the folder.
func (q *query) tryPaths(list []int) {
	for i := len(list) - 1; i >= 0 && list[i] > q.best; i-- {
		r := &q.s.lv.rules[list[i]]
		if q.applies(r) && q.matchPath(r) {
			q.best = list[i]
			return
		}
	}
}

func (q *query) matchPath(r *Rule) bool {
	n := len(r.segs)
	if r.deep == n {
		return n == q.s.depth+1 && r.segs[n-1].match(q.name)
	}
	if r.segs[n-1].kind != segDeep && !r.segs[n-1].match(q.name) {
		return false
	}
	var buf [32]string
	path := append(buf[:0], q.d.comps[q.s.lv.base:]...)
	return matchSegments(r.segs, append(path, q.name))
}

// Built-in rules of DVC.
var (
	builtinHg  = &Rule{Pattern: ".hg/"}
	builtinGit = &Rule{Pattern: ".git"}
	builtinDVC = &Rule{Pattern: ".dvc/"}
)

// builtin returns the built-in rule that ignores the name, if one does.
func (m *Matcher) builtin(name string, isDir bool) *Rule {
	if len(name) < 3 || len(name) > 4 || name[0] != '.' || m.opts.Syntax != DVC {
		return nil
	}
	switch {
	case name == ".git":
		return builtinGit
	case isDir && name == dvcDir:
		return builtinDVC
	case isDir && name == ".hg":
		return builtinHg
	}
	return nil
}

// explain returns the rule that decides about a path in d, going through all
// rules one by one.
func (d *Dir) explain(path []string, isDir bool) *Rule {
	own := d
	for own.ignored { // no file is read below an ignored folder
		own = own.parent
	}
	var found *Rule
	var group Rule // polarity and kind of the rules that adjoin found
	builtin := d.m.builtin(path[len(path)-1], isDir)
	for i := len(own.scopes) - 1; i >= 0; i-- {
		lv := own.scopes[i].lv
		for j := len(lv.rules) - 1; j >= 0; j-- {
			r := &lv.rules[j]
			if found != nil && (r.Negated || r.dirOnly != group.dirOnly) {
				return orBuiltin(found, builtin)
			}
			if !r.decides(path[min(lv.base, len(path)):], isDir, d.m.opts.Syntax) {
				continue
			}
			found, group = r, *r
			if r.Negated || d.m.opts.Syntax == Git {
				return orBuiltin(found, builtin)
			}
		}
	}
	return orBuiltin(found, builtin)
}

func orBuiltin(r, builtin *Rule) *Rule {
	if builtin != nil && (r == nil || r.Negated) {
		return builtin
	}
	return r
}

// decides reports whether the rule speaks for the path: matches it or, in the
// DVC syntax, a folder above it.
func (r *Rule) decides(path []string, isDir bool, syntax Syntax) bool {
	if r.dirOnly && !isDir {
		return false
	}
	if r.matchesSelf(path, isDir) {
		return true
	}
	if syntax == Git {
		return false
	}
	for n := 1; n < len(path); n++ {
		if r.matchesSelf(path[:n], true) {
			return true
		}
	}
	return false
}
