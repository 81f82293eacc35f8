package repo

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// DagOptions of [Repo.Dag].
type DagOptions struct {
	Target   string // a stage, .dvc file, group or out; "" is everything
	Full     bool   // all that is connected with the target, not only what it needs
	Outs     bool   // outs instead of stages
	Collapse bool   // a group of foreach or matrix is one node
}

// Dag is a graph of stages or outs by name.
type Dag struct {
	Nodes []string  `json:"nodes"`
	Edges []DagEdge `json:"edges"`
}

// DagEdge says that To needs From.
type DagEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Dag shows which stage needs which. Nodes come in the order of the stage
// files, edges in that of the nodes they come from.
func (r *Repo) Dag(ctx context.Context, o DagOptions) (*Dag, error) {
	if o.Outs && o.Collapse {
		return nil, errs.New(errs.Invalid, "`--outs` and `--collapse-foreach-matrix` are mutually exclusive")
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := r.dagTargets(stages, o)
	if err != nil {
		return nil, err
	}
	d := r.stageDag(stages)
	if o.Outs {
		d = r.outDag(stages)
	}
	if o.Target != "" {
		d = d.around(targets, o.Full)
	}
	if o.Collapse {
		d = d.collapsed()
	}
	return d.sorted(), nil
}

func (r *Repo) stageDag(stages *Stages) *Dag {
	d := &Dag{Nodes: []string{}, Edges: []DagEdge{}}
	for _, s := range stages.All {
		addr := r.address(s)
		d.Nodes = append(d.Nodes, addr)
		for _, n := range stages.Graph.Needs(s) {
			d.Edges = append(d.Edges, DagEdge{r.address(n), addr})
		}
	}
	return d
}

func (r *Repo) outDag(stages *Stages) *Dag {
	d := &Dag{Nodes: []string{}, Edges: []DagEdge{}}
	for _, s := range stages.All {
		for _, o := range s.Outs {
			d.Nodes = append(d.Nodes, r.showOut(o))
		}
	}
	for _, s := range stages.All {
		if s.IsImport() && (s.Deps[0].Repo != nil || s.Deps[0].DB != nil) {
			continue
		}
		var paths []string
		for _, dep := range s.Deps {
			if !strings.HasPrefix(dep.Path, "ds://") {
				paths = append(paths, dep.RepoPath())
			}
		}
		for _, p := range s.Params {
			paths = append(paths, joinAny(s.WDir, p.Path))
		}
		for _, p := range paths {
			for _, from := range stages.Graph.OutsAt(p) {
				for _, to := range s.Outs {
					d.Edges = append(d.Edges, DagEdge{r.showOut(from), r.showOut(to)})
				}
			}
		}
	}
	return d
}

// showOut is an out's path as the user would type it.
func (r *Repo) showOut(o *pipeline.Out) string {
	if rel := o.RepoPath(); !o.IsExternal() && !outOfRoot(rel) {
		return r.Show(rel)
	}
	return o.Path
}

// dagTargets are the names of the nodes that a target stands for.
func (r *Repo) dagTargets(stages *Stages, o DagOptions) ([]string, error) {
	if o.Target == "" {
		return nil, nil
	}
	l := pipeline.NewLoader(workFS{r.Dir}, r.loaderOptions(r.Ignore))
	found, err := l.Collect(filepath.ToSlash(o.Target), pipeline.CollectOptions{Dir: r.cwd, Outs: true},
		func() (*pipeline.Graph, error) { return stages.Graph, nil })
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range found {
		switch {
		case !o.Outs:
			names = append(names, r.address(m.Stage))
		case m.Path != "":
			names = append(names, r.showOut(stages.Graph.OutAbove(m.Path)))
		default:
			for _, out := range m.Stage.Outs {
				names = append(names, r.showOut(out))
			}
		}
	}
	return names, nil
}

// around keeps what the targets need, or all that is connected with them.
func (d *Dag) around(targets []string, full bool) *Dag {
	next := map[string][]string{}
	for _, e := range d.Edges {
		next[e.To] = append(next[e.To], e.From)
		if full {
			next[e.From] = append(next[e.From], e.To)
		}
	}
	keep := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		if !keep[n] {
			keep[n] = true
			for _, m := range next[n] {
				visit(m)
			}
		}
	}
	for _, t := range targets {
		visit(t)
	}
	return &Dag{
		Nodes: slices.DeleteFunc(slices.Clone(d.Nodes), func(n string) bool { return !keep[n] }),
		Edges: slices.DeleteFunc(slices.Clone(d.Edges), func(e DagEdge) bool { return !keep[e.From] || !keep[e.To] }),
	}
}

// collapsed makes one node of each group, where its first member was.
func (d *Dag) collapsed() *Dag {
	group := func(n string) string {
		if strings.HasSuffix(n, ".dvc") {
			return n
		}
		name, _, _ := strings.Cut(n, "@")
		return name
	}
	out := &Dag{Nodes: []string{}, Edges: []DagEdge{}}
	seen := map[string]bool{}
	for _, n := range d.Nodes {
		if g := group(n); !seen[g] {
			seen[g] = true
			out.Nodes = append(out.Nodes, g)
		}
	}
	for _, e := range d.Edges {
		out.Edges = append(out.Edges, DagEdge{group(e.From), group(e.To)})
	}
	return out
}

// sorted brings edges into the order of the nodes they come from, then of
// those they lead to, each once.
func (d *Dag) sorted() *Dag {
	at := make(map[string]int, len(d.Nodes))
	for i, n := range d.Nodes {
		at[n] = i
	}
	slices.SortStableFunc(d.Edges, func(a, b DagEdge) int {
		if a.From != b.From {
			return at[a.From] - at[b.From]
		}
		return at[a.To] - at[b.To]
	})
	d.Edges = slices.Compact(d.Edges)
	return d
}

// Pipelines are the parts of a graph that have nothing to do with each other,
// in the order of their first nodes.
func (d *Dag) Pipelines() []*Dag {
	near := map[string][]string{}
	for _, e := range d.Edges {
		near[e.From] = append(near[e.From], e.To)
		near[e.To] = append(near[e.To], e.From)
	}
	part := map[string]int{}
	var list []*Dag
	for _, n := range d.Nodes {
		if _, ok := part[n]; !ok {
			i := len(list)
			list = append(list, &Dag{})
			for todo := []string{n}; len(todo) > 0; {
				m := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				if _, ok := part[m]; !ok {
					part[m] = i
					todo = append(todo, near[m]...)
				}
			}
		}
		p := list[part[n]]
		p.Nodes = append(p.Nodes, n)
	}
	for _, e := range d.Edges {
		p := list[part[e.From]]
		p.Edges = append(p.Edges, e)
	}
	return list
}
