package repo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// CheckOptions of [Repo.CheckMetrics].
type CheckOptions struct {
	// Conditions to check; without any, those in dvc.yaml, where a stage has
	// them in meta.cairn.check.
	Conditions []string
	Rev        string // to compare with; see FindBase
	MergeBase  bool
}

// CheckResult tells which conditions the metrics of the workspace meet.
type CheckResult struct {
	// Rev is the revision compared with; "" if no condition needed one.
	Rev        string           `json:"rev,omitempty"`
	Conditions []CheckedMetrics `json:"conditions"`
	OK         bool             `json:"ok"`
}

// CheckedMetrics is a condition and what came of it.
type CheckedMetrics struct {
	Condition string       `json:"condition"`
	State     report.State `json:"state"`
	// Stage is the stage in dvc.yaml that has it.
	Stage   string        `json:"stage,omitempty"`
	Metrics []CheckMetric `json:"metrics"`
}

// CheckMetric is a metric that a condition names. Old and Diff are set where it
// is compared with what it was.
type CheckMetric struct {
	Name  string `json:"name"`
	File  string `json:"file,omitempty"`
	Key   string `json:"key,omitempty"`
	Value any    `json:"value"`
	Old   any    `json:"old,omitempty"`
	Diff  any    `json:"diff,omitempty"`
	// Near is a name that may have been meant, where there is no such metric.
	Near string `json:"near,omitempty"`
}

// condition is one with where it stands.
type condition struct {
	*report.Condition
	stage *pipeline.Stage // nil if from the command line
	dir   string          // from which paths in it start, relative to the root
}

// CheckMetrics checks conditions on the metrics of the workspace and on how
// they changed. A condition that cannot be read is *report.ConditionError from
// the options, and errs.Invalid from dvc.yaml.
func (r *Repo) CheckMetrics(ctx context.Context, o CheckOptions) (CheckResult, error) {
	res := CheckResult{OK: true}
	list, err := r.conditions(ctx, o.Conditions)
	if err != nil {
		return res, err
	}
	c := &checker{repo: r, known: map[string]bool{}}
	compares := o.Rev != ""
	for _, cond := range list {
		for _, name := range cond.Names() {
			if _, what := splitChange(name); what != "" {
				compares = true
			}
		}
	}
	if compares {
		base, err := r.FindBase(ctx, o.Rev, o.MergeBase)
		if err != nil {
			return res, err
		}
		res.Rev, c.base = base.Name, &base
	}
	if err := c.read(ctx, list); err != nil {
		return res, err
	}
	for _, cond := range list {
		m, err := c.check(cond)
		if err != nil {
			return res, cond.explain(err)
		}
		res.OK = res.OK && m.State == report.Met
		res.Conditions = append(res.Conditions, m)
	}
	if slices.ContainsFunc(res.Conditions, func(m CheckedMetrics) bool { return m.State == report.Missing }) {
		for _, f := range c.unread {
			r.warn("'%s' was not read: %v", f.Path, f.Err)
		}
	}
	return res, nil
}

// explain names the place of a condition in dvc.yaml.
func (c condition) explain(err error) error {
	if c.stage == nil {
		return err
	}
	return &errs.Error{Kind: errs.Invalid, File: c.stage.File, Line: c.stage.Line,
		Msg: fmt.Sprintf("stage '%s', meta.cairn.check: %v", c.stage.Name, err)}
}

func (r *Repo) conditions(ctx context.Context, texts []string) ([]condition, error) {
	var list []condition
	for _, t := range texts {
		p, err := report.ParseCondition(t)
		if err != nil {
			return nil, err
		}
		list = append(list, condition{p, nil, r.cwd})
	}
	if len(texts) > 0 {
		return list, nil
	}
	stages, err := r.Workspace("").Stages(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range stages.All {
		c := condition{stage: s, dir: s.WDir}
		texts, err := checksOf(s)
		if err != nil {
			return nil, c.explain(err)
		}
		for _, t := range texts {
			if c.Condition, err = report.ParseCondition(t); err != nil {
				return nil, c.explain(err)
			}
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, errs.WithHint(errs.New(errs.Invalid, "there is no condition to check"),
			"Give one, such as 'accuracy >= 0.8', or list some in dvc.yaml, as meta.cairn.check of a stage.")
	}
	return list, nil
}

// checksOf returns the conditions in a stage's meta.cairn.check: a text or a
// list of texts.
func checksOf(s *pipeline.Stage) ([]string, error) {
	meta, _ := s.Meta.(*yamlfmt.Map)
	own, _ := meta.Get("cairn")
	m, ok := own.(*yamlfmt.Map)
	if !ok {
		return nil, nil // repro says what it thinks of anything else
	}
	for key := range m.All() {
		if !slices.Contains([]string{"check", "mutex", "resources"}, key) {
			// A slip of the pen must not open the gate.
			return nil, fmt.Errorf("there is no such key beside it as %q", key)
		}
	}
	v, _ := m.Get("check")
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var texts []string
		for _, e := range v {
			t, ok := e.(string)
			if !ok {
				return nil, errors.New("a condition must be a text, so put quotes around it")
			}
			texts = append(texts, t)
		}
		return texts, nil
	}
	return nil, errors.New("it must be a condition or a list of conditions")
}

// splitChange cuts .old or .diff off a name.
func splitChange(name string) (base, what string) {
	for _, s := range []string{"old", "diff"} {
		if b, ok := strings.CutSuffix(name, "."+s); ok && b != "" {
			return b, s
		}
	}
	return name, ""
}

// checker holds the metrics that conditions are about.
type checker struct {
	repo     *Repo
	base     *Base
	now, was []metricsFile
	known    map[string]bool // paths read
	unread   []report.FileValues
}

type metricsFile struct {
	path string // relative to the root
	report.Flat
}

func (c *checker) read(ctx context.Context, list []condition) error {
	if err := c.readFiles(ctx, nil); err != nil {
		return err
	}
	// Files that dvc.yaml does not name count if a condition names them.
	var extra []string
	for _, cond := range list {
		for _, name := range cond.Names() {
			file, _, ok := strings.Cut(name, ":")
			if rel := path.Join(cond.dir, file); ok && file != "" && !c.known[rel] && !outOfRoot(rel) {
				c.known[rel] = true
				extra = append(extra, rel)
			}
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return c.readFiles(ctx, extra)
}

func (c *checker) readFiles(ctx context.Context, targets []string) error {
	o := MetricsOptions{Targets: targets, KeepWorkspace: true}
	if c.base != nil {
		o.Revs = []string{c.base.SHA}
	}
	revs, err := c.repo.Metrics(ctx, o)
	if err != nil {
		return err
	}
	for i, v := range revs {
		side := &c.now
		if i > 0 {
			side = &c.was
		} else if v.Err != nil {
			return v.Err
		}
		for _, f := range v.Files {
			rel, err := c.repo.RelAny(f.Path)
			if err != nil {
				return err
			}
			c.known[rel] = true
			if f.Err == nil {
				*side = append(*side, metricsFile{rel, report.Flatten(f.Values)})
			} else if i == 0 && targets == nil {
				c.unread = append(c.unread, f)
			}
		}
	}
	return nil
}

func (c *checker) check(cond condition) (CheckedMetrics, error) {
	out := CheckedMetrics{Condition: cond.Text, Metrics: []CheckMetric{}}
	if cond.stage != nil {
		out.Stage = cond.stage.Address()
	}
	at := map[string]int{}
	find := func(name string) (any, bool, error) {
		base, what, m, err := c.find(cond, name)
		if err != nil {
			return nil, false, err
		}
		if i, ok := at[base]; ok {
			if what != "" {
				out.Metrics[i].Old, out.Metrics[i].Diff = m.Old, m.Diff
			}
		} else {
			at[base] = len(out.Metrics)
			shown := m
			if what == "" {
				shown.Old, shown.Diff = nil, nil
			}
			out.Metrics = append(out.Metrics, shown)
		}
		switch what {
		case "old":
			return m.Old, m.Old != nil, nil
		case "diff":
			if m.Value != nil && m.Old != nil && m.Diff == nil {
				return nil, false, fmt.Errorf("'%s' is not a number in both revisions, so it has no change", base)
			}
			return m.Diff, m.Diff != nil, nil
		}
		return m.Value, m.Value != nil, nil
	}
	var err error
	out.State, err = cond.Check(find)
	return out, err
}

// find looks up a name: as it is, and else without .old or .diff at its end.
func (c *checker) find(cond condition, name string) (base, what string, m CheckMetric, err error) {
	file, key, err := c.locate(cond, name)
	if err == nil && file == "" {
		if b, w := splitChange(name); w != "" {
			base, what = b, w
			file, key, err = c.locate(cond, b)
		}
	}
	if what == "" {
		base = name
	}
	m = CheckMetric{Name: base}
	if err != nil || file == "" {
		m.Near = c.near(cond, base)
		return base, what, m, err
	}
	m.File, m.Key = c.repo.Show(file), key
	m.Value = valueIn(c.now, file, key)
	m.Old = valueIn(c.was, file, key)
	m.Diff = report.Subtract(m.Value, m.Old)
	return base, what, m, nil
}

// near is the name of a metric that is most like another name.
func (c *checker) near(cond condition, name string) string {
	var names []string
	for _, f := range c.now {
		for _, k := range f.Keys {
			key := yamlfmt.PyStr(k)
			names = append(names, key, c.shownFrom(cond, f.path)+":"+key)
		}
	}
	return nearest(name, names)
}

func valueIn(files []metricsFile, file, key string) any {
	for _, f := range files {
		if f.path == file {
			v, _ := f.Get(key)
			return v
		}
	}
	return nil
}

// locate finds the file and key that a name means, in the workspace or else in
// the revision compared with. The file is "" if there is none.
func (c *checker) locate(cond condition, name string) (file, key string, err error) {
	for i := 0; i < len(name); i++ {
		if name[i] != ':' || i == 0 {
			continue
		}
		rel := path.Join(cond.dir, name[:i])
		for _, side := range [][]metricsFile{c.now, c.was} {
			for _, f := range side {
				if _, ok := f.Get(name[i+1:]); ok && f.path == rel {
					return rel, name[i+1:], nil
				}
			}
		}
	}
	for _, side := range [][]metricsFile{c.now, c.was} {
		var own, all []string
		for _, f := range side {
			if _, ok := f.Get(name); !ok {
				continue
			}
			all = append(all, f.path)
			if cond.stage != nil && makes(cond.stage, f.path) {
				own = append(own, f.path)
			}
		}
		if len(own) > 0 {
			all = own // a stage's conditions are about its own metrics first
		}
		switch len(all) {
		case 0:
		case 1:
			return all[0], name, nil
		default:
			return "", "", fmt.Errorf("'%s' is in several files: write %s:%s or %s:%s", name,
				c.shownFrom(cond, all[0]), name, c.shownFrom(cond, all[1]), name)
		}
	}
	return "", "", nil
}

// shownFrom is a path as it is to be written in a condition.
func (c *checker) shownFrom(cond condition, rel string) string {
	if cond.stage == nil {
		return c.repo.Show(rel)
	}
	if out, err := filepath.Rel(filepath.FromSlash(cond.dir), filepath.FromSlash(rel)); err == nil {
		return filepath.ToSlash(out)
	}
	return rel
}

// makes reports whether a path is or lies in an out of a stage.
func makes(s *pipeline.Stage, rel string) bool {
	for _, o := range s.Outs {
		if p := o.RepoPath(); p == rel || strings.HasPrefix(rel, p+"/") {
			return true
		}
	}
	return false
}
