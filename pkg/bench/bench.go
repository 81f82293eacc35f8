package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/progress"
)

// Options of [Run].
type Options struct {
	Self   string       // this program, absolute
	Tools  []Tool       // named by the user: names and paths
	Found  []Tool       // found on the PATH; those of a name in Tools, and links to Self, are left out
	Dir    string       // where the scratch folder is made, absolute
	Suite  string       // "" is "default"
	Only   []string     // scenarios; empty is all of the suite
	Rounds int          // how often each is measured, at least 1
	Sizes  Sizes        // those that are not 0 replace the suite's
	Scale  float64      // multiplies the sizes; 0 is 1
	Hash   string       // of cairn's repositories: blake3 or md5
	Remote RemoteConfig // the user's own remote; nil is none

	Environ  []string // the environment of the tools
	Progress progress.Sink
	// Note is told of what went wrong with a peer. The table has a dash there.
	Note func(format string, args ...any)
}

// RemoteConfig gives a repository the user's own remote.
type RemoteConfig interface {
	// Configure makes what lies below a name of the remote's scratch place the
	// default remote of the repository in dir.
	Configure(dir, name string) error
}

// Sizes are how much there is of everything.
type Sizes struct {
	Files         int   `json:"files"`          // small files
	Big           int64 `json:"big_bytes"`      // the large file
	Stages        int   `json:"stages"`         // of the pipeline
	Pointers      int   `json:"pointers"`       // .dvc files
	PointerStages int   `json:"pointer_stages"` // stages beside them
}

// suite is a choice of scenarios and sizes.
type suite struct {
	name     string
	families []string
	sizes    Sizes
}

var suites = []suite{
	{
		name:     "default",
		families: []string{"start", "big", "hardlink", "reflink", "many", "pipeline"},
		sizes:    Sizes{Files: 20_000, Big: 512 << 20, Stages: 100, Pointers: 10_000, PointerStages: 3_000},
	},
	{
		name: "million", families: []string{"many"},
		sizes: Sizes{Files: 1_000_000, Big: 512 << 20, Stages: 100, Pointers: 10_000, PointerStages: 3_000},
	},
	{
		name: "large", families: []string{"big", "hardlink", "reflink", "sparse"},
		sizes: Sizes{Files: 20_000, Big: 10 << 30, Stages: 100, Pointers: 10_000, PointerStages: 3_000},
	},
	{
		name: "pointers", families: []string{"pointers"},
		sizes: Sizes{Files: 20_000, Big: 512 << 20, Stages: 100, Pointers: 10_000, PointerStages: 3_000},
	},
	{
		name: "dud", families: []string{"few", "small"},
		sizes: Sizes{Files: 20_000, Big: 1 << 30, Stages: 100, Pointers: 10_000, PointerStages: 3_000},
	},
	{
		name: remoteSuite, families: []string{"remote-many", "remote-big"},
		sizes: Sizes{Files: 1_000, Big: 64 << 20},
	},
}

// remoteSuite is the suite with a remote of the user's, and no other has one.
const remoteSuite = "remote"

// Suites are the names of the suites to choose from.
func Suites() []string {
	var names []string
	for _, s := range suites {
		if s.name != remoteSuite {
			names = append(names, s.name)
		}
	}
	return names
}

// Scenarios are the names of all scenarios, in the order in which they run; of
// a suite, or of all if it is "".
func Scenarios(of string) []string {
	var names []string
	for _, f := range families() {
		if of != "" && !slices.ContainsFunc(suites, func(s suite) bool { return s.name == of && slices.Contains(s.families, f.name) }) {
			continue
		}
		for _, s := range f.steps {
			names = append(names, s.name)
		}
	}
	return names
}

// lab is a run of benchmarks.
type lab struct {
	o     Options
	sizes Sizes
	root  string // the scratch folder
	env   []string
	tools []*Tool // the first is cairn
	res   *Result
	notes map[string]bool
}

// job is a family with the steps that are asked for.
type job struct {
	family
	timed map[string]bool
	need  map[string]bool // done untimed
}

// Run measures. Nothing is left in o.Dir, whatever happens; the error of an
// interruption is ctx's. A peer that cannot do something, or fails, has a dash
// in the table; cairn itself and the floor must not fail: [CommandError].
func Run(ctx context.Context, o Options) (res *Result, err error) {
	o.Progress = progress.Or(o.Progress)
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	jobs, sizes, err := plan(o)
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp(o.Dir, ".cairn-bench-")
	if err != nil {
		return nil, errs.WithHint(fmt.Errorf("make a scratch folder: %w", err), "Another place can be named with --dir.")
	}
	defer func() {
		if rerr := removeAll(root); rerr != nil && err == nil {
			err = fmt.Errorf("remove the scratch folder: %w", rerr)
		}
	}()
	l := &lab{o: o, sizes: sizes, root: root, notes: map[string]bool{}}
	if err := l.environment(); err != nil {
		return nil, err
	}
	if err := l.find(ctx); err != nil {
		return nil, err
	}
	l.res = &Result{
		Suite: o.Suite, Rounds: o.Rounds, Sizes: sizes, Hash: o.Hash,
		Machine: Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: kernel()},
	}
	for _, t := range l.tools {
		l.res.Tools = append(l.res.Tools, *t)
	}
	alone, err := l.checkSpace(jobs)
	if err != nil {
		return nil, err
	}
	l.res.Alone = alone
	for _, j := range jobs {
		if err := l.measure(ctx, j, alone); err != nil {
			return nil, err
		}
	}
	return l.res, nil
}

// plan sorts out what is asked for.
func plan(o Options) ([]job, Sizes, error) {
	if o.Rounds < 1 {
		return nil, Sizes{}, errs.New(errs.Usage, "the number of rounds is %d: it has to be 1 at least", o.Rounds)
	}
	if o.Scale < 0 {
		return nil, Sizes{}, errs.New(errs.Usage, "the scale is %v: it has to be above 0", o.Scale)
	}
	i := slices.IndexFunc(suites, func(s suite) bool { return s.name == o.Suite && (s.name != remoteSuite || o.Remote != nil) })
	if i < 0 {
		return nil, Sizes{}, unknown("suite", o.Suite, Suites(), "")
	}
	chosen := suites[i]
	all := families()
	known := Scenarios("")
	if o.Suite == remoteSuite {
		known = Scenarios(remoteSuite)
	} else {
		known = slices.DeleteFunc(known, func(n string) bool { return slices.Contains(Scenarios(remoteSuite), n) })
	}
	for _, name := range o.Only {
		if !slices.Contains(known, name) {
			return nil, Sizes{}, unknown("scenario", name, known, "")
		}
	}
	var jobs []job
	for _, f := range all {
		j := job{family: f, timed: map[string]bool{}, need: map[string]bool{}}
		for _, s := range f.steps {
			if len(o.Only) == 0 && slices.Contains(chosen.families, f.name) || slices.Contains(o.Only, s.name) {
				j.timed[s.name] = true
			}
		}
		if len(j.timed) == 0 {
			continue
		}
		for _, s := range slices.Backward(f.steps) {
			if j.timed[s.name] || j.need[s.name] {
				for _, n := range s.needs {
					j.need[n] = true
				}
			}
		}
		jobs = append(jobs, j)
	}
	return jobs, o.Sizes.over(chosen.sizes, o.Scale), nil
}

// maxCount bounds how many there are of anything.
const maxCount = 1<<31 - 1

// over are the sizes, or others where they are 0, scaled.
func (z Sizes) over(base Sizes, scale float64) Sizes {
	if scale == 0 {
		scale = 1
	}
	scaled := func(n, base int64, most float64) int64 {
		if n == 0 {
			n = base
		}
		return int64(min(max(1, float64(n)*scale), most))
	}
	count := func(n, base int) int { return int(scaled(int64(n), int64(base), maxCount)) }
	return Sizes{
		Files:         count(z.Files, base.Files),
		Big:           scaled(z.Big, base.Big, maxBytes),
		Stages:        count(z.Stages, base.Stages),
		Pointers:      count(z.Pointers, base.Pointers),
		PointerStages: count(z.PointerStages, base.PointerStages),
	}
}

// environment is that of the tools: the user's, without what would send them to
// other repositories or make them differ from machine to machine.
func (l *lab) environment() error {
	config := filepath.Join(l.root, "config")
	if err := os.Mkdir(config, 0o700); err != nil {
		return err
	}
	gitConfig := filepath.Join(config, "git")
	if err := os.WriteFile(gitConfig, nil, 0o600); err != nil {
		return err
	}
	// DVC would ask the network for news, in the background.
	if err := os.WriteFile(filepath.Join(config, "config"), []byte("[core]\n    analytics = false\n    check_update = false\n"), 0o600); err != nil {
		return err
	}
	path := ""
	for _, kv := range l.o.Environ {
		key, value, _ := strings.Cut(kv, "=")
		switch upper := strings.ToUpper(key); {
		case upper == "PATH":
			path = value
		case strings.HasPrefix(upper, "DVC_"), strings.HasPrefix(upper, "GIT_"):
		default:
			l.env = append(l.env, kv)
		}
	}
	l.env = append(l.env,
		"PATH="+filepath.Join(l.root, "bin")+string(filepath.ListSeparator)+path,
		"DVC_NO_ANALYTICS=1",
		"DVC_GLOBAL_CONFIG_DIR="+config,
		"DVC_SYSTEM_CONFIG_DIR="+filepath.Join(config, "none"),
		"DVC_SITE_CACHE_DIR="+filepath.Join(config, "site"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+gitConfig, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost",
		"GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost",
	)
	return nil
}

// spare is left free on the file system.
const spare = 64 << 20

// checkSpace refuses what would fill the disk, before anything is written.
// alone is whether there is room for one tool's repositories at a time only.
func (l *lab) checkSpace(jobs []job) (alone bool, err error) {
	d, err := disk.OpenDir(l.root)
	if err != nil {
		return false, err
	}
	defer d.Close()
	free, ok := d.Free()
	if !ok {
		return false, nil
	}
	var most, mostAlone int64
	for _, j := range jobs {
		one := j.space(l.sizes)
		sites := int64(len(l.tools))
		if j.floor != nil {
			sites++
		}
		most, mostAlone = max(most, sites*one), max(mostAlone, one)
	}
	if most+spare <= free {
		return false, nil
	}
	if mostAlone+spare <= free {
		return true, nil
	}
	return false, errs.WithHint(
		errs.New(errs.Unavailable, "%s: %s are needed and %s are free", l.o.Dir, sizeText(mostAlone+spare), sizeText(free)),
		"Another place can be named with --dir; --scale 0.1, --files and --big make it less.")
}

// measure runs a family, round by round.
func (l *lab) measure(ctx context.Context, j job, alone bool) error {
	rows := map[string]*Row{}
	for _, s := range j.steps {
		if j.timed[s.name] {
			l.res.Rows = append(l.res.Rows, &Row{Scenario: s.name, Title: s.title(l.sizes)})
			rows[s.name] = l.res.Rows[len(l.res.Rows)-1]
		}
	}
	rounds := l.o.Rounds * max(1, j.rounds)
	task := l.o.Progress.Start("Measuring "+j.name, int64(rounds*len(j.timed)), -1)
	defer task.Done()
	for round := range rounds {
		sites := l.sites(j, round)
		groups := [][]*site{sites}
		if alone {
			groups = groups[:0]
			for _, s := range sites {
				groups = append(groups, []*site{s})
			}
		}
		for i, g := range groups {
			if err := l.round(ctx, j, g, rows, round, func() {
				if i == 0 {
					task.Add(1, 0)
				}
			}); err != nil {
				return err
			}
			for _, s := range g {
				if err := errors.Join(removeAll(s.dir), removeAll(s.localRemote())); err != nil {
					return err
				}
			}
		}
	}
	for _, r := range rows {
		r.finish(l.tools)
	}
	// What nobody can do here, as reflinks, is shown to who asked for it.
	l.res.Rows = slices.DeleteFunc(l.res.Rows, func(r *Row) bool {
		return rows[r.Scenario] != nil && len(r.Cells) == 0 && !slices.Contains(l.o.Only, r.Scenario)
	})
	return nil
}

// sites are where a round takes place: the floor's and each tool's.
func (l *lab) sites(j job, round int) []*site {
	var sites []*site
	add := func(t *Tool, name string) {
		dir := fmt.Sprintf("%s-%d-%s", j.name, round, name)
		s := &site{l: l, tool: t, dir: filepath.Join(l.root, dir), remote: filepath.Join(l.root, dir+"-remote")}
		if l.o.Remote != nil {
			s.remote = dir
		}
		sites = append(sites, s)
	}
	if j.floor != nil {
		add(nil, "floor")
	}
	for _, t := range l.tools {
		add(t, t.Name)
	}
	return sites
}

// localRemote is the folder that is the site's remote, as far as it is one of
// ours.
func (s *site) localRemote() string {
	if s.l.o.Remote != nil {
		return filepath.Join(s.l.root, "none")
	}
	return s.remote
}

// round is one time through the steps.
func (l *lab) round(ctx context.Context, j job, sites []*site, rows map[string]*Row, round int, done func()) error {
	for _, s := range sites {
		if err := os.Mkdir(s.dir, 0o777); err != nil {
			return err
		}
		setup := j.setup
		if s.tool == nil {
			setup = j.floor
		}
		if err := s.fail(ctx, j.name, setup(ctx, s)); err != nil {
			return err
		}
	}
	for _, st := range j.steps {
		timed := j.timed[st.name]
		if !timed && !j.need[st.name] {
			continue
		}
		for _, s := range sites {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			switch {
			case s.broken != nil:
			case s.tool == nil && timed:
				err = s.takeFloors(ctx, st, rows[st.name], round)
			case s.tool != nil:
				err = s.take(ctx, st, rows[st.name], round)
			}
			if err := s.fail(ctx, st.name, err); err != nil {
				return err
			}
		}
		if timed {
			done()
		}
	}
	return nil
}

// take does a step, timed if there is a row for it. A tool that cannot do it
// may still do the next one.
func (s *site) take(ctx context.Context, st step, row *Row, round int) error {
	c, err := st.do(ctx, s)
	if errors.Is(err, errCannot) {
		return nil
	}
	if err != nil {
		return err
	}
	if row == nil {
		return s.run(ctx, c)
	}
	sample, err := s.l.time(ctx, s.dir, c)
	if errors.Is(err, errCannot) {
		return nil
	}
	if err != nil {
		return err
	}
	row.add(s.tool.Name, round, sample)
	return nil
}

// takeFloors measures what a step is compared with. What the machine does not
// have, as cp on Windows, is left out.
func (s *site) takeFloors(ctx context.Context, st step, row *Row, round int) error {
	for _, f := range st.floors {
		c, err := f.do(ctx, s)
		if err == nil {
			var sample Sample
			sample, err = s.l.time(ctx, s.dir, c)
			if err == nil {
				row.addFloor(f.name, round, sample)
				continue
			}
		}
		if !errors.Is(err, errCannot) {
			return err
		}
	}
	return nil
}

// fail decides what becomes of an error: a peer's ends its part of the family,
// any other ends the run.
func (s *site) fail(ctx context.Context, where string, err error) error {
	if err == nil {
		return nil
	}
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if errors.Is(err, errCannot) {
		s.broken = err
		return nil
	}
	name := "floor"
	if s.tool != nil {
		name = s.tool.Name
	}
	if c, ok := errors.AsType[*CommandError](err); ok {
		c.Tool, c.Scenario = name, where
	} else {
		err = fmt.Errorf("%s: %s: %w", where, name, err)
	}
	if s.tool == nil || s.tool == s.l.tools[0] {
		return err
	}
	s.broken = err
	s.l.note(s.tool, where, err)
	return nil
}

// note tells of a peer that failed, once for each scenario.
func (l *lab) note(t *Tool, where string, err error) {
	key := t.Name + " " + where
	if l.notes[key] {
		return
	}
	l.notes[key] = true
	text := err.Error()
	if c, ok := errors.AsType[*CommandError](err); ok {
		if c.Tool == "" {
			c.Tool = t.Name
		}
		text = c.Error()
		if c.Stderr != "" {
			text += ": " + c.Stderr
		}
	}
	if l.res != nil {
		l.res.Failures = append(l.res.Failures, Failure{Tool: t.Name, Scenario: where, Error: text})
	} else {
		l.o.Note("%s does not say its version: %s", t.Name, text)
		return
	}
	l.o.Note("left out: %s", text)
}

// reflinks reports whether the scratch folder's file system shares blocks
// between files.
func (l *lab) reflinks() bool {
	d, err := disk.OpenDir(l.root)
	if err != nil {
		return false
	}
	defer d.Close()
	const from, to = "reflink-from", "reflink-to"
	defer d.Remove(from)
	defer d.Remove(to)
	if d.WriteFile(from, []byte("cairn"), 0o600) != nil {
		return false
	}
	src, err := d.OpenFile(from)
	if err != nil {
		return false
	}
	defer src.Close()
	dst, err := d.Create(to, 0o600)
	if err != nil {
		return false
	}
	defer dst.Close()
	ok, err := disk.Reflink(dst, src)
	return ok && err == nil
}

// removeAll removes a tree, also one with folders that may not be written, as
// git-annex has them.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// countText is a number with its thousands apart.
func countText(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sizeText is a number of bytes in the largest unit that keeps it short.
func sizeText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return strconv.FormatFloat(f, 'g', 4, 64) + " " + units[u]
}

// maxBytes bounds sizes, so that a few of them can be added up.
const maxBytes = 1 << 56

// ParseSize reads a number of bytes as "512M", "10 GiB" or "1000000": units
// are powers of 1024.
func ParseSize(s string) (int64, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	digits := strings.TrimRight(text, "KMGTIB ")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(text[len(digits):]), "B"), "I")
	exp, ok := map[string]int{"": 0, "K": 1, "M": 2, "G": 3, "T": 4}[unit]
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !(f > 0) || f*float64(int64(1)<<(10*exp)) > maxBytes {
		return 0, errs.WithHint(errs.New(errs.Usage, "%q is no size", s), "Say 512M or 10G, for instance.")
	}
	return int64(f * float64(int64(1)<<(10*exp))), nil
}
