package pipeline

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Graph says which stage needs the outs of which. Its nodes are in the order
// of the stages it was made of.
type Graph struct {
	Stages []*Stage

	index    map[*Stage]int
	needs    [][]int // of each stage, those whose outs it reads, as its deps are written
	neededBy [][]int
	outs     *pathTree
	p        *Pipeline
}

// GraphError is a graph that cannot be: outs that are declared twice or
// overlap, a stage file inside of an out, or a cycle. Msg has DVC's words.
type GraphError struct {
	Msg    string
	Places []string // "file:line" of the stages concerned
}

// Error is the message with the places.
func (e *GraphError) Error() string {
	return e.Msg + "\n(" + strings.Join(e.Places, ", ") + ")"
}

func (p *Pipeline) graphError(stages []*Stage, format string, args ...any) error {
	e := &GraphError{Msg: fmt.Sprintf(format, args...)}
	for _, s := range stages {
		e.Places = append(e.Places, fmt.Sprintf("%s:%d", p.shown(s.File), max(s.Line, 1)))
	}
	return &errs.Error{Kind: errs.Conflict, Err: e}
}

func (p *Pipeline) shown(file string) string {
	if p.show == nil || file == "" {
		return file
	}
	return p.show(file)
}

// Address names a stage on the command line as seen from where the user is.
func (p *Pipeline) Address(s *Stage) string {
	file := p.shown(s.File)
	switch {
	case s.IsPointer():
		return file
	case file == ProjectFile:
		return s.Name
	}
	return file + ":" + s.Name
}

// ShowPath is how messages name the path of an out or dep.
func (p *Pipeline) ShowPath(s *Stage, e *Entry) string {
	if e.IsExternal() {
		return e.Path
	}
	full := repoPath(s, e)
	if leaves(full) || full == "." {
		if p.Root == "" {
			return full
		}
		return path.Join(p.Root, full)
	}
	return p.shown(full)
}

// key is the parts by which paths are compared. Absolute paths begin with "",
// URLs with their scheme.
func (p *Pipeline) key(repoPath string) []string {
	if strings.Contains(repoPath, "://") {
		return strings.Split(strings.TrimRight(repoPath, "/"), "/")
	}
	if leaves(repoPath) && p.Root != "" {
		repoPath = path.Join(p.Root, repoPath)
	}
	if !path.IsAbs(repoPath) {
		return split(repoPath)
	}
	repoPath = path.Clean(repoPath)
	if p.Root != "" && (repoPath == p.Root || strings.HasPrefix(repoPath, strings.TrimSuffix(p.Root, "/")+"/")) {
		return split(path.Join(".", strings.TrimPrefix(repoPath, p.Root)))
	}
	return strings.Split(repoPath, "/")
}

// pathTree holds outs by the parts of their paths. Children keep the order in
// which they came, on which the order of edges depends.
type pathTree struct {
	out      *Out
	names    map[string]*pathTree
	children []*pathTree
}

func (t *pathTree) child(name string, create bool) *pathTree {
	c := t.names[name]
	if c == nil && create {
		c = &pathTree{}
		if t.names == nil {
			t.names = map[string]*pathTree{}
		}
		t.names[name] = c
		t.children = append(t.children, c)
	}
	return c
}

// each visits the outs at and below t until visit returns false.
func (t *pathTree) each(visit func(*Out) bool) bool {
	if t.out != nil && !visit(t.out) {
		return false
	}
	for _, c := range t.children {
		if !c.each(visit) {
			return false
		}
	}
	return true
}

// first is any out at or below t.
func (t *pathTree) first() (found *Out) {
	t.each(func(o *Out) bool { found = o; return false })
	return found
}

// above visits the outs whose paths lead to key or are key, from the top. It
// returns the node of key itself, or nil.
func (t *pathTree) above(key []string, visit func(*Out) bool) *pathTree {
	for i := 0; ; i++ {
		if t.out != nil && !visit(t.out) {
			return nil
		}
		if i == len(key) {
			return t
		}
		if t = t.child(key[i], false); t == nil {
			return nil
		}
	}
}

// outAbove is the topmost out that key lies in or is.
func (t *pathTree) outAbove(key []string) (found *Out) {
	t.above(key, func(o *Out) bool { found = o; return false })
	return found
}

// near visits all outs that contain key, are key or lie in it.
func (t *pathTree) near(key []string, visit func(*Out)) {
	at := t.above(key, func(o *Out) bool { visit(o); return true })
	if at != nil {
		for _, c := range at.children {
			c.each(func(o *Out) bool { visit(o); return true })
		}
	}
}

func (p *Pipeline) buildTree() (*pathTree, error) {
	root := &pathTree{}
	for _, s := range p.Stages {
		for _, o := range s.Outs {
			key := p.key(o.RepoPath())
			if above := root.outAbove(key); above != nil {
				if at := root.above(key, func(*Out) bool { return true }); at != nil && at.out != nil {
					return nil, p.duplicate(o, at.out)
				}
				return nil, p.overlapping(above, o)
			}
			at := root
			for _, part := range key {
				at = at.child(part, true)
			}
			if below := at.first(); below != nil {
				return nil, p.overlapping(o, below)
			}
			at.out = o
		}
	}
	return root, nil
}

func (p *Pipeline) duplicate(a, b *Out) error {
	shown := p.ShowPath(a.Stage, &a.Entry)
	if a.Stage == b.Stage {
		return p.graphError([]*Stage{a.Stage},
			"output '%s' is already specified in stage: '%s'.\nUse `dvc remove %s` to stop tracking the overlapping output.",
			shown, p.Address(a.Stage), p.Address(a.Stage))
	}
	return p.graphError([]*Stage{b.Stage, a.Stage},
		"output '%s' is specified in:\n\t- %s\n\t- %s\nUse `dvc remove` with any of the above targets to stop tracking the overlapping output.",
		shown, p.Address(b.Stage), p.Address(a.Stage))
}

func (p *Pipeline) overlapping(outer, inner *Out) error {
	return p.graphError([]*Stage{outer.Stage, inner.Stage},
		"The output paths:\n'%s'('%s')\n'%s'('%s')\noverlap and are thus in the same tracked directory.\n"+
			"To keep reproducibility, outputs should be in separate tracked directories or tracked individually.",
		p.ShowPath(outer.Stage, &outer.Entry), p.Address(outer.Stage), p.ShowPath(inner.Stage, &inner.Entry), p.Address(inner.Stage))
}

// Graph connects the stages. The error is of kind Conflict and holds a
// *[GraphError].
func (p *Pipeline) Graph() (*Graph, error) {
	outs, err := p.buildTree()
	if err != nil {
		return nil, err
	}
	g := &Graph{Stages: p.Stages, p: p, outs: outs, index: make(map[*Stage]int, len(p.Stages))}
	for i, s := range p.Stages {
		g.index[s] = i
	}
	if err := g.checkFiles(); err != nil {
		return nil, err
	}
	g.needs, g.neededBy = make([][]int, len(p.Stages)), make([][]int, len(p.Stages))
	for i, s := range p.Stages {
		g.connect(i, s)
	}
	if cycle := g.cycle(); cycle != nil {
		names := make([]string, len(cycle))
		for i, s := range cycle {
			names[i] = p.Address(s)
		}
		plural := "s"
		if len(cycle) == 1 {
			plural = ""
		}
		return nil, p.graphError(cycle, "Same item(s) are defined as both a dependency and an output in stage%s: %s.", plural, strings.Join(names, ", "))
	}
	return g, nil
}

// With is the graph of the same stages and one more, which replaces those of its
// file. What that one would break is the error of [Pipeline.Graph].
func (g *Graph) With(s *Stage) (*Graph, error) {
	p := *g.p
	p.Stages = nil
	for _, old := range g.p.Stages {
		if old.File != s.File {
			p.Stages = append(p.Stages, old)
		}
	}
	p.Stages = append(p.Stages, s)
	return p.Graph()
}

// checkFiles refuses stage files that lie in an out.
func (g *Graph) checkFiles() error {
	last := ""
	for _, s := range g.Stages {
		if s.File == last {
			continue
		}
		last = s.File
		if o := g.outs.outAbove(g.p.key(s.File)); o != nil {
			return g.p.graphError([]*Stage{s, o.Stage}, "stage: '%s' is within an output '%s' of another stage", g.p.Address(s), g.p.ShowPath(o.Stage, &o.Entry))
		}
	}
	return nil
}

// connect adds the edges from a stage to those it needs.
func (g *Graph) connect(i int, s *Stage) {
	if s.IsImport() && (s.Deps[0].Repo != nil || s.Deps[0].DB != nil) {
		return
	}
	var seen map[int]bool
	add := func(o *Out) {
		j := g.index[o.Stage]
		if seen[j] {
			return
		}
		if seen == nil {
			seen = map[int]bool{}
		}
		seen[j] = true
		g.needs[i] = append(g.needs[i], j)
		g.neededBy[j] = append(g.neededBy[j], i)
	}
	for _, d := range s.Deps {
		if !strings.HasPrefix(d.Path, "ds://") {
			g.outs.near(g.p.key(d.RepoPath()), add)
		}
	}
	for _, d := range s.Params {
		e := Entry{Path: d.Path}
		g.outs.near(g.p.key(repoPath(s, &e)), add)
	}
}

// cycle finds stages that need each other.
func (g *Graph) cycle() []*Stage {
	const open, done = 1, 2
	state := make([]uint8, len(g.Stages))
	var path []int
	var visit func(i int) []*Stage
	visit = func(i int) []*Stage {
		state[i] = open
		path = append(path, i)
		for _, j := range g.needs[i] {
			switch state[j] {
			case open:
				var found []*Stage
				for k := len(path) - 1; ; k-- {
					found = append(found, g.Stages[path[k]])
					if path[k] == j {
						return found
					}
				}
			case done:
			default:
				if found := visit(j); found != nil {
					return found
				}
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		return nil
	}
	for i := range g.Stages {
		if state[i] == 0 {
			if found := visit(i); found != nil {
				sort.SliceStable(found, func(a, b int) bool { return g.index[found[a]] < g.index[found[b]] })
				return found
			}
		}
	}
	return nil
}

// WithoutFrozen is the graph in which frozen stages need nothing, as repro
// has it.
func (g *Graph) WithoutFrozen() *Graph {
	out := *g
	out.needs, out.neededBy = make([][]int, len(g.Stages)), make([][]int, len(g.Stages))
	for i, s := range g.Stages {
		if s.Frozen {
			continue
		}
		out.needs[i] = g.needs[i]
		for _, j := range g.needs[i] {
			out.neededBy[j] = append(out.neededBy[j], i)
		}
	}
	return &out
}

func (g *Graph) pick(ids []int) []*Stage {
	out := make([]*Stage, len(ids))
	for k, i := range ids {
		out[k] = g.Stages[i]
	}
	return out
}

func (g *Graph) ids(stages []*Stage) []int {
	var out []int
	for _, s := range stages {
		if i, ok := g.index[s]; ok {
			out = append(out, i)
		}
	}
	return out
}

// Needs are the stages whose outs s reads, in the order of its deps.
func (g *Graph) Needs(s *Stage) []*Stage { return g.direct(g.needs, s) }

// NeededBy are the stages that read outs of s.
func (g *Graph) NeededBy(s *Stage) []*Stage { return g.direct(g.neededBy, s) }

func (g *Graph) direct(edges [][]int, s *Stage) []*Stage {
	if i, ok := g.index[s]; ok {
		return g.pick(edges[i])
	}
	return nil
}

// postorder lists all that is reached from the given nodes, each after what
// it leads to.
func postorder(edges [][]int, from []int, within map[int]bool) []int {
	var out []int
	seen := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		if seen[i] || within != nil && !within[i] {
			return
		}
		seen[i] = true
		for _, j := range edges[i] {
			visit(j)
		}
		out = append(out, i)
	}
	for _, i := range from {
		visit(i)
	}
	return out
}

func setOf(ids []int) map[int]bool {
	set := make(map[int]bool, len(ids))
	for _, i := range ids {
		set[i] = true
	}
	return set
}

// Upstream lists the given stages and all that they need, each after what it
// needs, in the order that repro runs them.
func (g *Graph) Upstream(stages ...*Stage) []*Stage {
	return g.pick(postorder(g.needs, g.ids(stages), nil))
}

// Downstream lists the given stages and all that need them, each after those
// of the list that it needs.
func (g *Graph) Downstream(stages ...*Stage) []*Stage {
	set := postorder(g.neededBy, g.ids(stages), nil)
	sort.Ints(set)
	return g.pick(postorder(g.needs, set, setOf(set)))
}

// Whole lists the stages that are connected with the given ones in any way,
// each after what it needs.
func (g *Graph) Whole(stages ...*Stage) []*Stage {
	both := make([][]int, len(g.Stages))
	for i := range both {
		both[i] = append(append(both[i], g.needs[i]...), g.neededBy[i]...)
	}
	set := postorder(both, g.ids(stages), nil)
	sort.Ints(set)
	return g.pick(postorder(g.needs, set, setOf(set)))
}

// OutsAt are the outs that contain a path from the root, are it, or lie below.
func (g *Graph) OutsAt(repoPath string) []*Out {
	var out []*Out
	g.outs.near(g.p.key(repoPath), func(o *Out) { out = append(out, o) })
	return out
}

// OutAbove is the out that a path from the root is or lies in; nil if none.
func (g *Graph) OutAbove(repoPath string) *Out { return g.outs.outAbove(g.p.key(repoPath)) }

// CollectOptions say how a target of the command line is understood.
type CollectOptions struct {
	Dir       string // where the user is, relative to the root; "" is the root
	WithDeps  bool   // also what the stages need
	Recursive bool   // a folder stands for all stage files in it
	Glob      bool   // the name of a stage is a pattern
	Outs      bool   // a path of an out or in an out stands for its stage
}

// Match is a stage that a target stands for.
type Match struct {
	Stage *Stage
	// Path is the part of the stage's outs that is meant, from the root, if
	// the target was such a path; "" is all.
	Path string
}

// ParseTarget splits "path/dvc.yaml:stage", "stage", "file.dvc" and
// "group@key" into file and name. file is "" if the target is a name or a
// path, which cannot be told apart.
func ParseTarget(target string, glob bool) (file, name string, err error) {
	if target == "" {
		return "", "", nil
	}
	if glob {
		i := strings.LastIndexByte(target, ':')
		if i <= 0 {
			return ProjectFile, target[i+1:], nil
		}
		return target[:i], target[i+1:], nil
	}
	group, key, _ := strings.Cut(target, groupSep)
	file = group
	if i := strings.LastIndexByte(group, ':'); i >= 0 && !strings.ContainsAny(group[i+1:], `\/`) {
		file, name = group[:i], group[i+1:]
		if name != "" && key != "" {
			name += groupSep + key
		}
	}
	switch {
	case path.Base(file) == "dvc.lock":
		return "", "", errs.New(errs.Invalid, "Did you mean: `%s`?", strings.Replace(target, ".lock", ".yaml", 1))
	case file == "":
		return ProjectFile, name, nil
	case name != "":
		return file, name, nil
	case IsStageFile(path.Base(target)):
		return target, "", nil
	}
	return "", target, nil
}

// Collect finds the stages that a target stands for. all gives all stages of
// the repository; it is called only if the target asks for more than one
// stage file.
func (l *Loader) Collect(target string, o CollectOptions, all func() (*Graph, error)) ([]Match, error) {
	c := &collector{l: l, o: o, all: all}
	if o.Outs {
		return c.granular(strings.ReplaceAll(target, `\`, "/"))
	}
	stages, err := c.collect(target)
	return wholeMatches(stages), err
}

type collector struct {
	l   *Loader
	o   CollectOptions
	all func() (*Graph, error)
}

func wholeMatches(stages []*Stage) []Match {
	out := make([]Match, len(stages))
	for i, s := range stages {
		out[i].Stage = s
	}
	return out
}

func (c *collector) repoPath(p string) string {
	return c.l.join(path.Join(c.o.Dir, "."), p)
}

func (c *collector) isDir(target string) bool {
	p := c.repoPath(target)
	if !fs.ValidPath(p) {
		return false
	}
	info, err := fs.Stat(c.l.fsys, p)
	return err == nil && info.IsDir()
}

func (c *collector) inProject(name string) ([]*Stage, error) {
	return c.l.Stages(c.repoPath(ProjectFile), name, false)
}

// collect finds stages by name or file.
func (c *collector) collect(target string) ([]*Stage, error) {
	if target == "" {
		g, err := c.all()
		if err != nil {
			return nil, err
		}
		return g.Stages, nil
	}
	if c.o.Recursive && c.isDir(target) {
		return c.inside(c.repoPath(target))
	}
	file, name, err := ParseTarget(target, c.o.Glob)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = ProjectFile
		if _, err := fs.Stat(c.l.fsys, c.repoPath(file)); err != nil {
			return nil, fileMissing(ProjectFile, false)
		}
	}
	stages, err := c.l.Stages(c.repoPath(file), name, c.o.Glob)
	if err != nil {
		return nil, err
	}
	return c.withDeps(stages)
}

// inside finds the stages whose files lie in a folder.
func (c *collector) inside(dir string) ([]*Stage, error) {
	g, err := c.all()
	if err != nil {
		return nil, err
	}
	var out []*Stage
	for _, s := range g.Upstream(g.Stages...) {
		if dir == "." || strings.HasPrefix(s.File, dir+"/") {
			out = append(out, s)
		}
	}
	return out, nil
}

func (c *collector) withDeps(stages []*Stage) ([]*Stage, error) {
	if !c.o.WithDeps || len(stages) == 0 {
		return stages, nil
	}
	g, err := c.all()
	if err != nil {
		return nil, err
	}
	for _, s := range stages {
		if _, ok := g.index[s]; !ok {
			return nil, errs.New(errs.NotFound, "Stage stage: '%s' is not found in the project. "+
				"Check that there are no symlinks in the parents leading up to it within the project.", g.p.Address(s))
		}
	}
	return g.Upstream(stages...), nil
}

// granular finds stages by name, file, or path of an out.
func (c *collector) granular(target string) ([]Match, error) {
	if target == "" {
		stages, err := c.collect("")
		return wholeMatches(stages), err
	}
	file, name, err := ParseTarget(target, false)
	if err != nil {
		return nil, err
	}
	folder := c.o.Recursive && c.isDir(target)
	var stages []*Stage
	switch {
	case file == "" && !folder:
		if stages, err = c.inProject(name); errs.Is(err, errs.NotFound) {
			stages, err = nil, nil
		} else if err == nil {
			stages, err = c.withDeps(stages)
		}
	case file != "" && !c.o.WithDeps && IsStageFile(path.Base(file)):
		stages, err = c.l.Stages(c.repoPath(file), name, false)
	}
	if err != nil {
		return nil, err
	}
	if len(stages) > 0 {
		return wholeMatches(stages), nil
	}
	if !folder {
		m, err := c.byOut(target)
		if m != nil || err != nil {
			return m, err
		}
	}
	stages, err = c.collect(target)
	if errs.Is(err, errs.NotFound) && (file == "" || !IsStageFile(path.Base(file))) {
		where := ProjectFile
		if file != "" {
			where = c.l.absolute(c.repoPath(file))
		}
		return nil, &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("'%s' does not exist as an output or a stage name in '%s'", target, where), Err: err}
	}
	return wholeMatches(stages), err
}

func (c *collector) byOut(target string) ([]Match, error) {
	g, err := c.all()
	if err != nil {
		return nil, err
	}
	p := c.repoPath(target)
	if o := g.OutAbove(p); o != nil && !strings.Contains(o.Path, "://") {
		return []Match{{o.Stage, p}}, nil
	}
	return nil, nil
}
