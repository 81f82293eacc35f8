package repo

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// limits are what a stage says of running beside others, in dvc.yaml under
// meta, where DVC leaves it alone:
//
//	meta:
//	  cairn:
//	    mutex: database        # or a list: never beside another that names it
//	    resources: {gpu: 1, mem: 8GB}
type limits struct {
	mutexes []string
	needs   map[string]float64
}

// parseLimits reads a stage's limits.
func parseLimits(s *pipeline.Stage) (limits, error) {
	var l limits
	meta, _ := s.Meta.(*yamlfmt.Map)
	v, ok := meta.Get("cairn")
	if !ok || v == nil {
		return l, nil
	}
	bad := func(format string, args ...any) error {
		return &errs.Error{Kind: errs.Invalid, File: s.File, Line: s.Line,
			Msg: fmt.Sprintf("stage '%s': meta.cairn: ", s.Name) + fmt.Sprintf(format, args...)}
	}
	m, ok := v.(*yamlfmt.Map)
	if !ok {
		return l, bad("expected a mapping with check, mutex or resources")
	}
	for key, v := range m.All() {
		switch key {
		case "mutex":
			names, ok := textList(v)
			if !ok {
				return l, bad("mutex: expected a name or a list of names")
			}
			l.mutexes = names
		case "resources":
			r, ok := v.(*yamlfmt.Map)
			if !ok {
				return l, bad("resources: expected a mapping of amounts, such as {gpu: 1, mem: 8GB}")
			}
			l.needs = map[string]float64{}
			for name, v := range r.All() {
				n, ok := amount(yamlfmt.PyStr(v))
				if !ok {
					return l, bad("resources: %s: %q is no amount", name, yamlfmt.PyStr(v))
				}
				l.needs[name] = n
			}
		case "check": // of CheckMetrics
		default:
			return l, bad("unknown key %q; there are check, mutex and resources", key)
		}
	}
	return l, nil
}

func textList(v any) ([]string, bool) {
	switch x := v.(type) {
	case string:
		return []string{x}, x != ""
	case []any:
		var names []string
		for _, e := range x {
			s, ok := e.(string)
			if !ok || s == "" {
				return nil, false
			}
			names = append(names, s)
		}
		return names, true
	}
	return nil, false
}

// units of amounts, as people write memory.
var units = []struct {
	name string
	size float64
}{
	{"TIB", 1 << 40}, {"GIB", 1 << 30}, {"MIB", 1 << 20}, {"KIB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
	{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"K", 1e3}, {"B", 1},
}

// amount reads "2", "0.5", "8GB", "512MiB".
func amount(s string) (float64, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	size := 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	return n * size, err == nil && n >= 0 && !math.IsInf(n*size, 0) && !math.IsNaN(n)
}

// ParseResources reads totals as on the command line: "gpu=1,mem=8GB".
func ParseResources(list []string) (map[string]float64, error) {
	totals := map[string]float64{}
	for _, item := range list {
		for part := range strings.SplitSeq(item, ",") {
			name, v, ok := strings.Cut(part, "=")
			n, isAmount := amount(v)
			if name = strings.TrimSpace(name); !ok || !isAmount || name == "" {
				return nil, errs.New(errs.Usage, "resources: %q is not NAME=AMOUNT, such as gpu=1 or mem=8GB", part)
			}
			totals[name] = n
		}
	}
	return totals, nil
}

// addResources completes totals by those of the configuration.
func (r *Repo) addResources(o *ReproOptions) error {
	if r.Config.Cairn.Resources == "" {
		return nil
	}
	totals, err := ParseResources([]string{r.Config.Cairn.Resources})
	if err != nil {
		return errs.WithHint(errs.New(errs.Config, "cairn.%v", err), "Set it anew: cairn config cairn.resources gpu=1,mem=8GB")
	}
	maps.Copy(totals, o.Resources)
	o.Resources = totals
	return nil
}

// budget is what is left of mutexes and resources while stages run.
type budget struct {
	held  map[string]bool
	left  map[string]float64
	total map[string]float64
}

func newBudget(total map[string]float64) *budget {
	b := &budget{held: map[string]bool{}, left: map[string]float64{}, total: total}
	for k, v := range total {
		b.left[k] = v
	}
	return b
}

// check refuses what could never run.
func (b *budget) check(addr string, l limits) error {
	var names []string
	for name := range l.needs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		total, known := b.total[name]
		switch {
		case !known:
			return errs.WithHint(errs.New(errs.Invalid, "stage '%s' needs the resource '%s', and how much of it there is was not said", addr, name),
				"Say it: --resources %[1]s=AMOUNT, or for good: cairn config cairn.resources %[1]s=AMOUNT", name)
		case l.needs[name] > total:
			return errs.New(errs.Invalid, "stage '%s' needs more of the resource '%s' than the %g there are", addr, name, total)
		}
	}
	return nil
}

func (b *budget) fits(l limits) bool {
	for _, m := range l.mutexes {
		if b.held[m] {
			return false
		}
	}
	for name, n := range l.needs {
		if n > b.left[name] {
			return false
		}
	}
	return true
}

func (b *budget) take(l limits) {
	for _, m := range l.mutexes {
		b.held[m] = true
	}
	for name, n := range l.needs {
		b.left[name] -= n
	}
}

func (b *budget) give(l limits) {
	for _, m := range l.mutexes {
		delete(b.held, m)
	}
	for name, n := range l.needs {
		b.left[name] += n
	}
}
