//go:build unix

package interop

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// Random pipelines: from a seed a project is made up and edited again and again; both tools play it, and after each
// step exit codes, dvc.lock, the cache, the workspace and the status must be the same.
//
// CAIRN_PIPELINE_SEEDS is how many seeds are played (0 for the usual number), CAIRN_PIPELINE_FROM the first of them.

const (
	usualSeeds   = 16
	stepsPerSeed = 9
)

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func TestRandomPipelines(t *testing.T) {
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	from := number("CAIRN_PIPELINE_FROM", 1)
	for seed := from; seed < from+number("CAIRN_PIPELINE_SEEDS", usualSeeds); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			playPipeline(t, int64(seed))
		})
	}
}

// player is one of the tools in its own world.
type player struct {
	*sandbox
	server *forkServer // of the real DVC
	loose  map[string]bool
}

func playPipeline(t *testing.T, seed int64) {
	acts := inventPipeline(seed)
	real := &player{sandbox: newSandbox(t, dvcTool, "dvc"), server: newForkServer(t, "--ordered"), loose: map[string]bool{}}
	ours := &player{sandbox: newSandbox(t, cairnTool, "cairn")}
	var played []string
	for _, a := range acts {
		played = append(played, a.label)
		if a.args == nil {
			a.do(real.sandbox)
			a.do(ours.sandbox)
			continue
		}
		before := real.cacheObjects()
		want, got := real.run(a.dir, a.args), ours.run(a.dir, a.args)
		want.Stdout, got.Stdout = real.normalise(want.Stdout), ours.normalise(got.Stdout)
		if a.looks || want.Exit != 0 {
			// What DVC stores while it only looks, or before it fails, is of no account.
			for p := range real.cacheObjects() {
				if !before[p] {
					real.loose[p] = true
				}
			}
		}
		bad := a.compare(want, got)
		if a.orEnd && want.Exit != 0 && len(bad) == 0 {
			return
		}
		if want.Exit != 0 {
			mendIgnores(real, ours)
		}
		if a.deletes {
			mendDeleted(real, ours)
		}
		if !a.rewrites {
			bad = append(bad, differentFiles(real, ours)...)
		}
		if len(bad) > 0 {
			t.Fatalf("after\n  %s\n\n%s\n\nDVC, exit %d:\n%s%s\ncairn, exit %d:\n%s%s", strings.Join(played, "\n  "), strings.Join(bad, "\n"),
				want.Exit, want.Stdout, want.Stderr, got.Exit, got.Stdout, got.Stderr)
		}
	}
}

// act is something done to the project, or a call of the tools.
type act struct {
	label    string
	do       func(*sandbox)
	args     []string
	dir      string
	looks    bool // status: it changes nothing
	text     bool // standard output must be the same
	deletes  bool // DVC deletes what is stored nowhere
	orEnd    bool // when it fails, DVC has done a part and cairn nothing: the end of the play
	rewrites bool // DVC writes dvc.yaml anew; it is put back by the next step
}

func (a act) compare(want, got output) (bad []string) {
	if want.Exit != got.Exit && !(a.args[0] == "push" && strings.Contains(got.Stderr, "is missing")) { // DVC ends a push with 0 whatever is missing
		bad = append(bad, fmt.Sprintf("exit code: DVC %d, cairn %d", want.Exit, got.Exit))
	}
	if a.looks {
		var w, g any
		if json.Unmarshal([]byte(want.Stdout), &w) != nil || json.Unmarshal([]byte(got.Stdout), &g) != nil {
			w, g = want.Stdout, got.Stdout
		}
		if want.Exit == 0 && !reflect.DeepEqual(w, g) {
			bad = append(bad, "the status is different")
		}
	}
	if a.text && story(want.Stdout) != story(got.Stdout) {
		bad = append(bad, "standard output is different")
	}
	return bad
}

// story is what repro says, without what comes in an order of chance: DVC looks at pointer files in the order in which
// the disk returns them.
func story(stdout string) string {
	var b strings.Builder
	for line := range strings.Lines(stdout) {
		if line != "\n" && !strings.HasSuffix(line, ".dvc' didn't change, skipping\n") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// mendIgnores gives real the lines of .gitignore that it takes back when a run fails, also those of stages that
// ended well before: Git would get their outs with the next `git add`, and DVC refuse them from then on.
func mendIgnores(real, ours *player) {
	for p, e := range ours.snap() {
		if filepath.Base(p) == ".gitignore" && strings.HasPrefix(p, "w/") {
			if _, text, ok := strings.Cut(e, " = "); ok {
				write(strings.TrimPrefix(p, "w/"), text).do(real.sandbox)
			}
		}
	}
}

func mendDeleted(real, ours *player) {
	want := real.snap()
	for p := range ours.snap() {
		rel, ok := strings.CutPrefix(p, "w/")
		if _, there := want[p]; ok && !there && (strings.Contains(rel, "out") || strings.Contains(rel, "src")) && !strings.HasPrefix(rel, ".") {
			_ = os.RemoveAll(ours.path(rel))
		}
	}
}

func (p *player) run(dir string, args []string) output {
	if p.server == nil {
		return p.runTool(dir, "", nil, args...)
	}
	out, err := p.server.run(p.sandbox, dir, "", nil, args)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *player) cacheObjects() map[string]bool {
	found := map[string]bool{}
	root := p.path(".dvc/cache")
	_ = filepath.WalkDir(root, func(at string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(p.root, at)
			found[rel] = true
		}
		return nil
	})
	return found
}

func differentFiles(real, ours *player) (bad []string) {
	want, got := real.snap(), ours.snap()
	for p, e := range changes(want, got) {
		if e == "-" && real.loose[p] || strings.HasPrefix(p, "w/.git:index/") {
			continue
		}
		if strings.HasPrefix(want[p], "d ") && e == "-" && strings.Contains(p, ".dvc/cache") {
			continue // an empty folder, or that of what does not count
		}
		bad = append(bad, fmt.Sprintf("file %s:\n  DVC   %q\n  cairn %q", p, want[p], got[p]))
	}
	sort.Strings(bad)
	return bad
}

// genOut is an output of a made-up stage.
type genOut struct {
	path    string // from the root; of a group it ends with the member
	isDir   bool
	field   string // outs, metrics or plots
	flags   []string
	persist bool
}

// genStage is a made-up stage.
type genStage struct {
	name, file, wdir string // wdir from the root
	group            string // "", foreach, map, matrix
	items, more      []string
	deps             []string // from the root
	params           []string // as lines of YAML
	outs             []genOut
	token            int
	usesVar          bool
	list, fails      bool
	frozen, always   bool
	desc             string
	dropsOut         bool // the command forgets an out
}

// plot makes projects up.
type plot struct {
	*rand.Rand
	stages  []*genStage
	data    []string // source files and folders
	pointer map[string]bool
	params  map[string]map[string]string // by file
	vars    string
	acts    []act
	commits int
	next    int
	remote  bool
}

func (r *plot) pick(list ...string) string { return list[r.Intn(len(list))] }
func (r *plot) one(in int) bool            { return r.Intn(in) == 0 }

func (r *plot) call(looks, text bool, args ...string) {
	r.acts = append(r.acts, act{label: "dvc " + quoteArgs(args), args: args, looks: looks, text: text})
}

// callAndMend calls a verb that in DVC deletes outs of which nothing is recorded or stored. cairn keeps them, until the
// test deletes them too.
func (r *plot) callAndMend(args ...string) {
	r.call(false, false, args...)
	r.acts[len(r.acts)-1].deletes = true
}

func (r *plot) prepare(label string, f func(*sandbox)) {
	r.acts = append(r.acts, act{label: label, do: f})
}

func (r *plot) write(name, text string) {
	w := write(name, text)
	r.prepare(w.label, func(s *sandbox) { w.do(s) })
}

func (r *plot) remove(names ...string) {
	w := rm(names...)
	r.prepare("rm -rf "+quoteArgs(names), func(s *sandbox) { w.do(s) })
}

func (r *plot) git(args ...string) {
	g := gitShown("", args...)
	r.prepare("git "+quoteArgs(args), func(s *sandbox) { g.do(s) })
}

// inventPipeline makes up a project and what is done to it.
func inventPipeline(seed int64) []act {
	r := &plot{Rand: rand.New(rand.NewSource(seed)), pointer: map[string]bool{}}
	r.git("init", "-q")
	r.call(false, false, "init", "-q")
	r.start()
	r.commit()
	r.repro(true)
	for range stepsPerSeed {
		r.edit()
		if r.one(3) {
			r.edit()
		}
		r.status()
		r.repro(r.one(3))
		if r.one(4) {
			r.commit()
		}
	}
	r.status()
	return r.acts
}

func (r *plot) status() { r.call(true, false, "status", "--json") }

func (r *plot) commit() {
	r.git("add", "-A")
	r.git("commit", "-qm", fmt.Sprintf("commit %d", r.commits), "--allow-empty")
	r.commits++
}

func (r *plot) start() {
	for _, d := range []string{"sub", "data", "other"} {
		r.write(d+"/keep", "")
	}
	for i := range 2 + r.Intn(3) {
		name := r.pick("", "", "sub/", "data/") + "src" + strconv.Itoa(i)
		r.data = append(r.data, name)
		if r.one(3) {
			r.write(name+"/a", r.words())
			r.write(name+"/in/b", r.words())
		} else {
			r.write(name, r.words())
		}
		if r.one(2) {
			r.pointer[name] = true
			r.call(false, false, "add", "-q", name)
		}
	}
	r.params = map[string]map[string]string{}
	for _, f := range []string{"params.yaml", "p.json", "p.toml", "p.py", "sub/params.yaml"} {
		r.params[f] = map[string]string{}
		for _, k := range []string{"lr", "n", "name", "deep"} {
			r.params[f][k] = r.scalar()
		}
		r.writeParams(f)
	}
	r.vars = r.words()
	for range 2 + r.Intn(5) {
		r.stages = append(r.stages, r.stage())
	}
	r.writeStages()
}

func (r *plot) words() string {
	return r.pick("alpha", "beta", "gamma") + strconv.Itoa(r.Intn(4)) + "\n"
}

func (r *plot) scalar() string {
	return r.pick("1", "2", "0.5", "1e-5", "true", "false", `"txt"`, `"a b"`, "100000", "1.50", "[1, 2]", `"é"`)
}

func (r *plot) writeParams(file string) {
	v := r.params[file]
	var b strings.Builder
	switch path.Ext(file) {
	case ".yaml":
		fmt.Fprintf(&b, "lr: %s # rate\nn: %s\nname: %s\nt:\n  deep: %s\n", v["lr"], v["n"], v["name"], v["deep"])
	case ".json":
		fmt.Fprintf(&b, `{"lr": %s, "n": %s, "name": %s, "t": {"deep": %s}}`, v["lr"], v["n"], v["name"], v["deep"])
	case ".toml":
		fmt.Fprintf(&b, "lr = %s\nn = %s\nname = %s\n[t]\ndeep = %s\n", v["lr"], v["n"], v["name"], v["deep"])
	default:
		py := strings.NewReplacer("true", "True", "false", "False")
		fmt.Fprintf(&b, "lr = %s\nn: int = %s\nname = %s\nclass t:\n    deep = %s\n", py.Replace(v["lr"]), py.Replace(v["n"]), py.Replace(v["name"]), py.Replace(v["deep"]))
	}
	r.write(file, b.String())
}

// made lists what the stages make, as far as it can be a dependency.
func (r *plot) made() (list []string) {
	for _, s := range r.stages {
		for _, o := range s.outs {
			switch s.group {
			case "":
				list = append(list, o.path)
			case "matrix":
				list = append(list, o.path+s.items[0]+"-"+s.more[0])
			default:
				list = append(list, o.path+s.items[0])
			}
		}
	}
	return list
}

func (r *plot) stage() *genStage {
	r.next++
	s := &genStage{name: r.pick("s", "train", "a-b", "x_y") + strconv.Itoa(r.next), file: "dvc.yaml", token: r.Intn(3)}
	if r.one(4) {
		s.file = "sub/dvc.yaml"
	}
	s.wdir = path.Dir(s.file)
	if r.one(4) {
		s.wdir = r.pick("sub", "data", "other", ".")
	}
	switch r.Intn(8) {
	case 0:
		s.group = "foreach"
	case 1:
		s.group = "map"
	case 2:
		s.group, s.more = "matrix", []string{"p", "q"}[:1+r.Intn(2)]
	}
	if s.group != "" {
		s.items = []string{"u", "v", "w"}[:1+r.Intn(3)]
	}
	sources := append(slices.Clone(r.data), r.made()...)
	for range r.Intn(4) {
		if d := r.pick(sources...); !slices.Contains(s.deps, d) {
			s.deps = append(s.deps, d)
		}
	}
	for _, p := range []string{"lr", "t.deep", "p.json: [lr, t.deep]", "p.toml: [n]", "p.py: [name, t.deep]", "p.json:", "nofile"} {
		if r.one(8) && p != "nofile" {
			s.params = append(s.params, p)
		}
	}
	for i := range 1 + r.Intn(3) {
		o := genOut{path: fmt.Sprintf("%sout%d%c", r.pick("", "", "sub/", "other/", "data/"), r.next, 'a'+i), field: "outs"}
		switch r.Intn(7) {
		case 0, 1:
			o.isDir = true
		case 2:
			o.field = "metrics"
		case 3:
			o.field = "plots"
		}
		if r.one(4) {
			o.flags = append(o.flags, "cache: false")
		}
		if r.one(8) {
			o.flags, o.persist = append(o.flags, "persist: true"), true
		}
		if r.one(8) {
			o.flags = append(o.flags, r.pick("push: false", "desc: some text", "type: model", "labels: [a, b]", "meta: {k: 1}"))
		}
		s.outs = append(s.outs, o)
	}
	if r.one(9) {
		s.outs = nil
	}
	s.usesVar = s.file == "dvc.yaml" && r.one(3)
	s.list = r.one(4)
	s.fails = r.one(14)
	s.always = r.one(12)
	s.frozen = r.one(14)
	s.dropsOut = r.one(30)
	if r.one(6) {
		s.desc = "what " + s.name + " does"
	}
	return s
}

// from is a path from the root as a stage has it.
func (s *genStage) from(p string) string {
	rel, err := filepath.Rel(s.wdir, p)
	if err != nil {
		return p
	}
	return rel
}

func (s *genStage) suffix() string {
	switch s.group {
	case "foreach":
		return "${item}"
	case "map":
		return "${key}"
	case "matrix":
		return "${item.i}-${item.m}"
	}
	return ""
}

func (s *genStage) commands() []string {
	var list []string
	for i, o := range s.outs {
		if s.dropsOut && i == 0 {
			continue
		}
		at := s.from(o.path) + s.suffix()
		say := fmt.Sprintf("echo t%d", s.token)
		if s.usesVar {
			say += " ${word} ${v.x}"
		}
		if s.group == "map" {
			say += " ${item.x}"
		}
		gather := "{ " + say + "; "
		for _, d := range s.deps {
			gather += "find " + s.from(d) + " -type f | sort | xargs cat; "
		}
		gather += "}"
		switch {
		case o.field == "metrics":
			list = append(list, fmt.Sprintf(`mkdir -p $(dirname %s) && echo '{"acc": %d}' > %s`, at, s.token, at))
		case o.isDir:
			list = append(list, fmt.Sprintf("mkdir -p %s/in && %s > %s/a && echo t%d > %s/in/b", at, gather, at, s.token, at))
		default:
			list = append(list, fmt.Sprintf("mkdir -p $(dirname %s) && %s > %s", at, gather, at))
		}
	}
	if s.fails {
		list = append(list, "exit 3")
	}
	if len(list) == 0 {
		list = append(list, "echo nothing to do")
	}
	return list
}

func (s *genStage) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	indent := "    "
	fmt.Fprintf(&b, "  %s:\n", s.name)
	switch s.group {
	case "foreach":
		line("foreach: [%s]", strings.Join(s.items, ", "))
	case "map":
		line("foreach:")
		for i, k := range s.items {
			line("  %s: {x: %d}", k, i)
		}
	case "matrix":
		line("matrix:")
		line("  i: [%s]", strings.Join(s.items, ", "))
		line("  m: [%s]", strings.Join(s.more, ", "))
	}
	if s.group == "foreach" || s.group == "map" {
		line("do:")
		indent = "      "
	}
	line = func(format string, args ...any) { fmt.Fprintf(&b, indent+format+"\n", args...) }
	cmds := s.commands()
	if s.list {
		line("cmd:")
		for _, c := range cmds {
			line("- %s", jsonText(c))
		}
	} else {
		line("cmd: %s", jsonText(strings.Join(cmds, " && ")))
	}
	if dir, _ := filepath.Rel(path.Dir(s.file), s.wdir); dir != "." {
		line("wdir: %s", dir)
	}
	if s.desc != "" && s.group == "" {
		line("desc: %s # why", s.desc)
	}
	if len(s.deps) > 0 {
		line("deps:")
		for _, d := range s.deps {
			line("- %s", s.from(d))
		}
	}
	if len(s.params) > 0 {
		line("params:")
		for _, p := range s.params {
			if file, keys, ok := strings.Cut(p, ":"); ok {
				line("- %s:%s", s.from(file), keys)
			} else {
				line("- %s:\n%s  - %s", s.from("params.yaml"), indent, p)
			}
		}
	}
	for _, field := range []string{"outs", "metrics", "plots"} {
		first := true
		for _, o := range s.outs {
			if o.field != field {
				continue
			}
			if first {
				line("%s:", field)
				first = false
			}
			if at := s.from(o.path) + s.suffix(); len(o.flags) == 0 {
				line("- %s", at)
			} else {
				line("- %s:", at)
				for _, f := range o.flags {
					line("    %s", f)
				}
			}
		}
	}
	if s.always {
		line("always_changed: true")
	}
	if s.frozen {
		line("frozen: true")
	}
	return b.String()
}

func jsonText(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer(`\u003e`, ">", `\u003c`, "<", `\u0026`, "&").Replace(string(data))
}

func (r *plot) writeStages() {
	for _, file := range []string{"dvc.yaml", "sub/dvc.yaml"} {
		var b strings.Builder
		if file == "dvc.yaml" {
			fmt.Fprintf(&b, "vars:\n- word: %s- v: {x: 1}\n", r.vars)
		}
		n := 0
		for _, s := range r.stages {
			if s.file == file {
				if n++; n == 1 {
					b.WriteString("# made up\nstages:\n")
				}
				b.WriteString(s.yaml())
			}
		}
		if n > 0 || file == "dvc.yaml" {
			r.write(file, b.String())
		} else {
			r.remove(file)
		}
	}
}

func (r *plot) anyStage() *genStage {
	if len(r.stages) == 0 {
		r.stages = append(r.stages, r.stage())
	}
	return r.stages[r.Intn(len(r.stages))]
}

// address names a stage on the command line, or one of a group's members.
func (r *plot) address() string {
	s := r.anyStage()
	name := s.name
	if s.group != "" && r.one(2) {
		name += "@" + s.items[0]
		if s.group == "matrix" {
			name += "-" + s.more[0]
		}
	}
	if s.file != "dvc.yaml" {
		name = s.file + ":" + name
	}
	return name
}

func (r *plot) repro(plain bool) {
	args := []string{"repro"}
	if !plain {
		switch r.Intn(16) {
		case 0:
			args = append(args, "-f")
		case 1:
			args = append(args, r.address())
		case 2:
			args = append(args, "-s", r.address(), r.address())
		case 3:
			args = append(args, "--downstream", r.address())
		case 4:
			args = append(args, "-P")
		case 5:
			args = append(args, "-p", r.address())
		case 6:
			args = append(args, "--force-downstream")
		case 7:
			args = append(args, "-k")
		case 8:
			args = append(args, "--ignore-errors")
		case 9:
			args = append(args, "--no-commit")
		case 10:
			args = append(args, "--no-run-cache")
		case 11:
			args = append(args, "--dry")
		case 12:
			if r.dropsOuts() {
				break
			}
			args = append(args, "--allow-missing")
		case 13:
			args = append(args, "-R", r.pick("sub", "."))
		case 14:
			args = append(args, "--glob", r.pick("s*", "*", "train?", "sub/dvc.yaml:*"))
		case 15:
			args = append(args, "sub/dvc.yaml")
		}
	}
	r.call(false, true, args...)
	r.status()
}

// edit does something that a user may do between two runs.
func (r *plot) edit() {
	s := r.anyStage()
	switch r.Intn(22) {
	case 0, 1:
		f := r.pick("params.yaml", "p.json", "p.toml", "p.py", "sub/params.yaml")
		r.params[f][r.pick("lr", "n", "name", "deep")] = r.scalar()
		r.writeParams(f)
	case 2, 3:
		d := r.pick(r.data...)
		r.prepare("change "+d, func(text string) func(*sandbox) {
			return func(s *sandbox) {
				at := d
				if fi, err := os.Stat(s.path(d)); err == nil && fi.IsDir() {
					at = d + "/a"
				}
				write(at, text).do(s)
			}
		}(r.words()))
		if r.pointer[d] && r.one(2) {
			r.call(false, false, "add", "-q", d)
		}
	case 4:
		s.token = r.Intn(3)
		r.writeStages()
	case 5:
		if made := r.made(); len(made) > 0 {
			r.remove(r.pick(made...))
		}
	case 6:
		if made := r.made(); len(made) > 0 {
			r.prepare("spoil an out", func(name, text string) func(*sandbox) {
				return func(s *sandbox) {
					if fi, err := os.Stat(s.path(name)); err == nil && !fi.IsDir() {
						write(name, text).do(s)
					}
				}
			}(r.pick(made...), r.words()))
		}
	case 7:
		sources := append(slices.Clone(r.data), r.stages[0].madeBefore(r)...)
		if d := r.pick(sources...); !slices.Contains(s.deps, d) && !s.makes(d) {
			s.deps = append(s.deps, d)
		} else if len(s.deps) > 0 {
			s.deps = s.deps[1:]
		}
		r.writeStages()
	case 8:
		r.call(false, false, r.pick("freeze", "unfreeze"), r.address())
		r.acts[len(r.acts)-1].rewrites = true
		r.writeStages() // the edit keeps more of the text than DVC's
	case 9:
		if r.commits > 1 {
			r.commit()
			r.git("checkout", "-qf", fmt.Sprintf("HEAD~%d", 1+r.Intn(r.commits-1)))
			r.callAndMend("checkout", "-f")
			r.status()
			if r.one(2) {
				r.repro(true)
			}
			r.git("add", "-A")
			r.git("stash", "-q")
			r.git("checkout", "-qf", "main")
			r.callAndMend("checkout", "-f")
		}
	case 10:
		r.remove("dvc.lock")
	case 11:
		r.call(false, false, "commit", "-f")
		r.acts[len(r.acts)-1].orEnd = true
	case 12:
		r.prepare("lose objects", func(n int) func(*sandbox) {
			return func(s *sandbox) {
				found, _ := filepath.Glob(s.path(".dvc/cache/files/md5/*/*"))
				sort.Strings(found)
				if len(found) > 0 {
					_ = os.Remove(found[n%len(found)])
				}
			}
		}(r.Intn(1000)))
	case 13:
		if s.group != "" {
			s.items = []string{"u", "v", "w", "x"}[r.Intn(2) : 2+r.Intn(3)]
			r.writeStages()
		}
	case 14:
		r.stages = append(r.stages, r.stage())
		r.writeStages()
	case 15:
		if len(r.stages) > 1 {
			r.stages = r.stages[:len(r.stages)-1]
			r.writeStages()
		}
	case 16:
		s.fails = !s.fails
		r.writeStages()
	case 17:
		s.frozen = !s.frozen
		r.writeStages()
	case 18:
		s.list = !s.list
		r.writeStages()
	case 19:
		r.vars = r.words()
		r.writeStages()
	case 20:
		r.transfer()
	case 21:
		r.prepare("touch the lock", func(s *sandbox) {
			if text, err := os.ReadFile(s.path("dvc.lock")); err == nil {
				write("dvc.lock", "# mine\n"+strings.Replace(string(text), "md5: md5", "md5: md5", 1)).do(s)
			}
		})
	}
}

// dropsOuts tells of commands that forget an out. Where missing data are allowed DVC keeps such runs in its run cache,
// without the sum of what was not made; cairn keeps runs that can be brought back.
func (r *plot) dropsOuts() bool {
	return slices.ContainsFunc(r.stages, func(s *genStage) bool { return s.dropsOut })
}

func (s *genStage) makes(p string) bool {
	return slices.ContainsFunc(s.outs, func(o genOut) bool { return strings.HasPrefix(p, o.path) })
}

// madeBefore is what the first stage makes: a dependency on it can close no circle but its own.
func (s *genStage) madeBefore(r *plot) []string {
	first := *r
	first.stages = r.stages[:1]
	return first.made()
}

// transfer pushes what there is, loses it and gets it back.
func (r *plot) transfer() {
	if !r.remote {
		r.remote = true
		r.call(false, false, "remote", "add", "-q", "-d", "store", "../remote")
	}
	r.call(false, false, "push", "-q", "--run-cache")
	switch r.Intn(3) {
	case 0:
		r.remove(".dvc/cache")
		r.call(false, false, "repro", "--pull")
	case 1:
		r.remove(append([]string{".dvc/cache"}, r.made()...)...)
		if r.dropsOuts() {
			r.call(false, false, "repro", "--pull")
		} else {
			r.call(false, false, "repro", "--pull", "--allow-missing")
		}
	case 2:
		r.remove(append([]string{".dvc/cache"}, r.made()...)...)
		r.callAndMend("pull", "-q", "--run-cache")
	}
	r.status()
}
