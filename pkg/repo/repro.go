package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/executor"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// OnError says what becomes of the other stages when one fails.
type OnError uint8

// The ways to go on.
const (
	StopOnError  OnError = iota
	KeepGoing            // leave out what needs the failed stage
	IgnoreErrors         // run them all the same
)

// ReproOptions of [Repo.Repro].
type ReproOptions struct {
	Targets         []string // none is the dvc.yaml of the working directory
	Force           bool     // run what did not change too
	Rerun           bool     // targets count as changed, whatever the lock says: they are new
	SingleItem      bool     // only the targets, not what they need
	Pipeline        bool     // all that is connected with the targets
	AllPipelines    bool
	Recursive       bool // a folder stands for the stages in it
	Downstream      bool // the targets and all that needs them
	ForceDownstream bool // run what needs a stage that ran
	Pull            bool // bring missing data from the remote
	AllowMissing    bool // missing data are no change
	Dry             bool // say what would run
	Glob            bool
	NoCommit        bool // do not store outs
	NoRunCache      bool // do not look up earlier runs
	Interactive     bool // ask before each stage
	OnError         OnError
	Jobs            int // stages at the same time; 0 is 1
	// Resources are the totals that stages share under meta.cairn.resources.
	Resources map[string]float64
	// Explain finds out for every stage why it will run, and runs none.
	Explain bool
	// Why notes the reasons of the stages that do run.
	Why bool

	// Watch is told how the run stands whenever that changes. It may be nil.
	Watch func(ReproState)

	// Say shows a line of DVC's log; Flush writes out what was said, before a
	// command writes to the same place. Both may be called concurrently.
	Say            func(format string, args ...any)
	Flush          func()
	Stdin          io.Reader
	Stdout, Stderr io.Writer // of the commands
	Terminal       bool      // commands may talk to the user
	Confirm        func(question string) bool
}

// ReproState is how a run of many stages stands, for who looks on.
type ReproState struct {
	Running                        []RunningStage // in the order in which they began
	Done, Skipped, Failed, Waiting int
}

// RunningStage is a stage whose command runs.
type RunningStage struct {
	Stage string
	Begin time.Time
}

// Outcome is what became of a stage.
type Outcome string

// The outcomes.
const (
	StageRan      Outcome = "ran"
	StageRestored Outcome = "restored" // from the run cache
	StagePulled   Outcome = "pulled"   // from the remote
	StageVerified Outcome = "recorded" // data without a command, or frozen
	StageSkipped  Outcome = "skipped"  // nothing changed
	StageFailed   Outcome = "failed"
	StageLeftOut  Outcome = "left out" // because of another one's failure
	StageWould    Outcome = "would run"
	StageMay      Outcome = "may run" // depends on what a stage before it makes
)

// StageRun is what became of one stage, and why.
type StageRun struct {
	Stage   string   `json:"stage"`
	Outcome Outcome  `json:"outcome"`
	Why     []Reason `json:"why,omitempty"`
	Error   string   `json:"error,omitempty"`
	Seconds float64  `json:"seconds"`
	Log     string   `json:"log,omitempty"` // of a stage that ran beside others
}

// ReproResult lists the stages in the order of a serial run.
type ReproResult struct {
	Stages []StageRun `json:"stages"`
	// Executed counts the stages that ran, were restored or recorded.
	Executed int      `json:"executed"`
	Changed  []string `json:"files"` // files for Git
	Seconds  float64  `json:"seconds"`
}

// Repro runs the stages whose dependencies, parameters, command or outs
// changed, each after what it needs, and records what they made. What a stage
// has done once with the same inputs is taken from the run cache.
func (r *Repo) Repro(ctx context.Context, o ReproOptions) (ReproResult, error) {
	begin := time.Now()
	if err := r.addResources(&o); err != nil {
		return ReproResult{}, err
	}
	p := newRepro(r, o)
	if !o.Explain { // which only looks, as status does
		unlock, err := r.Lock(ctx)
		if err != nil {
			return ReproResult{}, err
		}
		p.unlock = unlock
	}
	defer p.release()
	defer p.rec.close()
	span := r.phase("plan", "")
	err := p.plan(ctx)
	span.End()
	if err != nil {
		return ReproResult{}, err
	}
	if o.Explain {
		err = p.explain(ctx)
	} else {
		err = p.loop(ctx)
	}
	res := p.result()
	res.Seconds = time.Since(begin).Seconds()
	if err != nil {
		return res, errors.Join(err, r.saveState())
	}
	return res, errors.Join(r.autostage(ctx, res.Changed), r.saveState())
}

// repro is one run of the verb. All of it happens in one goroutine, but for
// the commands.
type repro struct {
	*Repo
	o        ReproOptions
	unlock   func() // nil while the repository's lock is free
	loader   *pipeline.Loader
	source   *liveFS         // of loader
	graph    *pipeline.Graph // nil if only the targets are asked for
	whole    *pipeline.Graph // with what frozen stages need
	steps    []*step
	byStage  map[*pipeline.Stage]*step
	rw       *rwlock
	rec      *recorder
	budget   *budget
	params   map[string]*paramsFile
	outside  map[string]*outsideDir
	warned   map[string]bool
	mux      *executor.Mux
	logs     *disk.Dir
	running  int
	events   chan event
	executed bool // the stage before was: an empty line follows
	stop     bool // start nothing more
	last     int  // start no step of a higher order: one has failed
	failed   []*step
	err      error // of recording, or of a single stage that ended it all
}

// step is one stage of the plan.
type step struct {
	stage *pipeline.Stage
	addr  string
	order int
	needs []*step // those of the plan whose outs it reads; none of a frozen one
	all   []*pipeline.Stage
	after []*step // those that must be done before it begins
	force bool

	state   stepState
	outcome Outcome
	why     []Reason
	err     error
	begin   time.Time
	took    time.Duration
	log     string
	streams []io.Closer

	read, write []string // absolute paths, for other processes
	busySince   time.Time
	retryAt     time.Time
	limits      limits
}

type stepState uint8

const (
	stepWaiting stepState = iota
	stepRunning
	stepDone
)

// event is a command that ended.
type event struct {
	step *step
	err  error
	took time.Duration
}

func newRepro(r *Repo, o ReproOptions) *repro {
	o.Jobs = max(1, o.Jobs)
	if o.AllPipelines || o.Pipeline {
		o.SingleItem, o.Downstream = false, false
	}
	if o.SingleItem {
		o.Jobs = 1 // in the order of the targets, whatever they need
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Flush == nil {
		o.Flush = func() {}
	}
	for _, w := range []*io.Writer{&o.Stdout, &o.Stderr} {
		if *w == nil {
			*w = io.Discard
		}
	}
	o.Interactive = o.Interactive || r.Config.Core.Interactive
	p := &repro{Repo: r, o: o, rw: newRWLock(r), rec: newRecorder(r), byStage: map[*pipeline.Stage]*step{},
		params: map[string]*paramsFile{}, outside: map[string]*outsideDir{}, warned: map[string]bool{},
		events: make(chan event, o.Jobs), budget: newBudget(o.Resources), last: math.MaxInt}
	if o.Jobs > 1 {
		p.mux = executor.NewMux(flushing{o.Stdout, o.Flush})
	}
	return p
}

// flushing writes at once, so that what stages say appears when they say it.
type flushing struct {
	w     io.Writer
	flush func()
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	f.flush()
	return n, err
}

func (p *repro) release() {
	if p.logs != nil {
		p.logs.Close()
	}
	for _, d := range p.outside {
		if d.dir != nil {
			d.dir.Close()
		}
	}
	if p.unlock != nil {
		p.unlock()
		p.unlock = nil
	}
}

// plan finds the stages and their order.
func (p *repro) plan(ctx context.Context) error {
	p.loader, p.source = p.workspaceLoader()
	all := sync.OnceValues(func() (*pipeline.Graph, error) { return p.loadAll(ctx) })
	stages, err := p.targets(all)
	if err != nil {
		return err
	}
	if p.o.Pull && !p.o.NoRunCache && !p.o.Dry && !p.o.Explain {
		if _, err := p.fetchRuns(ctx, ""); err != nil {
			p.warn("Failed to pull run cache: %v", err)
		}
	}
	if p.o.SingleItem {
		return p.setSteps(stages)
	}
	g, err := all()
	if err != nil {
		return err
	}
	p.whole = g
	g = g.WithoutFrozen()
	p.graph = g
	switch {
	case len(stages) == 0:
		stages = g.Upstream(g.Stages...)
	case p.o.Pipeline:
		stages = g.Whole(stages...)
	case p.o.Downstream:
		stages = g.Downstream(stages...)
	default:
		stages = g.Upstream(inOrder(g, g.Upstream(stages...))...)
	}
	return p.setSteps(stages)
}

// inOrder sorts stages as the graph has them.
func inOrder(g *pipeline.Graph, stages []*pipeline.Stage) []*pipeline.Stage {
	in := make(map[*pipeline.Stage]bool, len(stages))
	for _, s := range stages {
		in[s] = true
	}
	out := make([]*pipeline.Stage, 0, len(stages))
	for _, s := range g.Stages {
		if in[s] {
			out = append(out, s)
		}
	}
	return out
}

// targets are the stages that the user named.
func (p *repro) targets(all func() (*pipeline.Graph, error)) ([]*pipeline.Stage, error) {
	if p.o.AllPipelines {
		return nil, nil
	}
	names := p.o.Targets
	if len(names) == 0 {
		names = []string{pipeline.ProjectFile}
	}
	var stages []*pipeline.Stage
	seen := map[*pipeline.Stage]bool{}
	o := pipeline.CollectOptions{Dir: p.cwd, Recursive: p.o.Recursive, Glob: p.o.Glob}
	for _, t := range names {
		found, err := p.loader.Collect(filepath.ToSlash(t), o, all)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if !seen[m.Stage] {
				seen[m.Stage] = true
				stages = append(stages, m.Stage)
			}
		}
	}
	return stages, nil
}

// loadAll reads all stages of the repository, with the loader that the
// targets are found with.
func (p *repro) loadAll(ctx context.Context) (*pipeline.Graph, error) {
	loaded, err := p.loadWorkspace(ctx, p.loader, p.source, false)
	if err != nil {
		return nil, err
	}
	if len(loaded.Errors) > 0 {
		return nil, loaded.Errors[0]
	}
	g, err := loaded.Graph()
	if err != nil {
		return nil, err
	}
	if err := p.checkAlgorithms(loaded.Stages); err != nil {
		return nil, err
	}
	p.learnVersions(loaded.Stages)
	s := newStages(loaded.Stages)
	s.Graph = g
	p.stages = s
	return g, nil
}

func (p *repro) setSteps(stages []*pipeline.Stage) error {
	if !p.o.Dry && !p.o.Explain {
		p.cleanBeside(stages)
	}
	for i, s := range stages {
		st := &step{stage: s, addr: p.address(s), order: i, force: p.o.Force}
		st.read, st.write = p.lockPaths(s)
		p.steps = append(p.steps, st)
		p.byStage[s] = st
	}
	for _, st := range p.steps {
		if !p.o.Dry && !p.o.Explain && !st.stage.IsPointer() {
			// Known from here on, so that what others record is seen.
			if _, err := p.rec.lock(st.stage.File); err != nil {
				return err
			}
		}
		if p.graph != nil {
			st.all = p.graph.Needs(st.stage)
			for _, n := range st.all {
				if m := p.byStage[n]; m != nil {
					st.needs = append(st.needs, m)
				}
			}
		}
		if p.o.Jobs > 1 && !p.o.Explain && !p.o.Dry {
			p.setAfter(st)
			var err error
			if st.limits, err = parseLimits(st.stage); err == nil {
				err = p.budget.check(st.addr, st.limits)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanBeside removes what a killed process left beside the stage files and
// outs: files that had not got their names yet.
func (p *repro) cleanBeside(stages []*pipeline.Stage) {
	done := map[string]bool{".": true} // the root is clean
	clean := func(folder string) {
		if done[folder] || path.IsAbs(folder) || outOfRoot(folder) || strings.Contains(folder, "://") {
			return
		}
		done[folder] = true
		if dir, err := p.Dir.OpenPath(folder); err == nil {
			disk.CleanStaging(dir)
			dir.Close()
		}
	}
	for _, s := range stages {
		clean(path.Dir(s.File))
		for _, o := range s.Outs {
			clean(path.Dir(o.RepoPath()))
		}
	}
}

// setAfter says what a step and those whose outs it reads wait for beside
// others. A frozen stage needs nothing, but what it reads must not be in the
// making while it is recorded: it goes before or after, as in a serial run.
func (p *repro) setAfter(st *step) {
	for _, n := range p.whole.Needs(st.stage) {
		switch m := p.byStage[n]; {
		case m == nil:
		case m.order < st.order:
			st.after = append(st.after, m)
		default:
			m.after = append(m.after, st)
		}
	}
}

// lockPaths are the paths on this machine that a stage reads and writes.
func (p *repro) lockPaths(s *pipeline.Stage) (read, write []string) {
	add := func(list *[]string, rel string) {
		if !strings.Contains(rel, "://") {
			*list = append(*list, p.place(rel))
		}
	}
	for _, d := range s.Deps {
		if d.Repo == nil && d.DB == nil {
			add(&read, d.RepoPath())
		}
	}
	for _, d := range s.Params {
		add(&read, joinAny(s.WDir, d.Path))
	}
	for _, o := range s.Outs {
		add(&write, o.RepoPath())
	}
	return read, write
}

// joinAny is path.Join for a second path that may be absolute.
func joinAny(dir, p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(dir, p)
}

// place is the absolute path of one that may be absolute already.
func (p *repro) place(rel string) string {
	if path.IsAbs(rel) || filepath.IsAbs(filepath.FromSlash(rel)) {
		return filepath.FromSlash(rel)
	}
	return p.abs(rel)
}

// loop runs the steps. The repository's lock is held but for the waiting.
func (p *repro) loop(ctx context.Context) error {
	for {
		if !p.stop && ctx.Err() == nil {
			p.startReady(ctx)
		}
		later, waits := p.nextRetry()
		if p.running == 0 && (!waits || p.stop || ctx.Err() != nil) {
			break
		}
		if err := p.wait(ctx, later); err != nil {
			p.rec.done = nil // without the lock nothing may be recorded
			p.abort(err)
		}
	}
	if err := p.rec.flush(ctx); err != nil {
		p.abort(err)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.err != nil:
		return p.err
	case len(p.failed) > 0 && p.o.OnError == StopOnError:
		return p.firstFailure()
	case len(p.failed) > 0 && p.o.OnError == KeepGoing:
		return reproError(nil, p.failed...)
	}
	return nil
}

// firstFailure is the failure that a serial run would have ended with; the
// others that ran beside it are said before.
func (p *repro) firstFailure() error {
	slices.SortFunc(p.failed, func(a, b *step) int { return a.order - b.order })
	for _, st := range p.failed[1:] {
		p.warn("%v", reproError(st.err, st))
	}
	err := reproError(p.failed[0].err, p.failed[0])
	if e, ok := err.(*errs.Error); ok && p.o.Rerun {
		return &errs.Error{Kind: e.Kind, Msg: p.failed[0].err.Error()} // of one that was named just now
	}
	return err
}

// abort is what ends everything: nothing can be recorded any more.
func (p *repro) abort(err error) {
	p.stop = true
	if p.err == nil {
		p.err = err
	}
}

// watched tells who looks on how the run stands.
func (p *repro) watched() {
	if p.o.Watch == nil {
		return
	}
	var s ReproState
	for _, st := range p.steps {
		switch {
		case st.state == stepWaiting:
			s.Waiting++
		case st.state == stepRunning:
			s.Running = append(s.Running, RunningStage{st.addr, st.begin})
		case st.outcome == StageFailed:
			s.Failed++
		case st.outcome == StageSkipped:
			s.Skipped++
		case st.outcome != StageLeftOut:
			s.Done++
		}
	}
	slices.SortStableFunc(s.Running, func(a, b RunningStage) int { return a.Begin.Compare(b.Begin) })
	p.o.Watch(s)
}

func (p *repro) startReady(ctx context.Context) {
	defer p.phase("find out what must run", "").End()
	for p.running < p.o.Jobs && !p.stop && ctx.Err() == nil {
		st := p.next()
		if st == nil {
			return
		}
		p.start(ctx, st)
	}
}

// next is the step to start now. One at a time they go in their order; beside
// others, any whose needs are done may.
func (p *repro) next() *step {
	now := time.Now()
	for _, st := range p.steps {
		if st.state != stepWaiting {
			continue
		}
		ready := now.After(st.retryAt)
		if p.o.Jobs == 1 {
			if ready {
				return st
			}
			return nil
		}
		if st.order > p.last {
			return nil
		}
		if ready && p.budget.fits(st.limits) && !slices.ContainsFunc(st.after, func(n *step) bool { return n.state != stepDone }) {
			return st
		}
	}
	return nil
}

// nextRetry is when to look again at a stage that another process was in the
// way of.
func (p *repro) nextRetry() (at time.Time, waits bool) {
	for _, st := range p.steps {
		if st.state == stepWaiting && !st.retryAt.IsZero() && st.order <= p.last {
			if !waits || st.retryAt.Before(at) {
				at, waits = st.retryAt, true
			}
		}
	}
	return at, waits
}

// wait lets go of the lock until a command ends, something is to be recorded,
// or it is time to look again.
func (p *repro) wait(ctx context.Context, later time.Time) error {
	if due := p.rec.due(); !due.IsZero() && (later.IsZero() || due.Before(later)) {
		later = due
	}
	var clock <-chan time.Time
	if !later.IsZero() {
		t := time.NewTimer(max(time.Until(later), time.Millisecond))
		defer t.Stop()
		clock = t.C
	}
	p.unlock()
	p.unlock = nil
	p.watched()
	var ended []event
	span := p.phase("wait for commands", "")
	select {
	case e := <-p.events:
		ended = append(ended, e)
	case <-clock:
	case <-p.cancelled(ctx):
	}
	span.End()
	if err := p.relock(ctx); err != nil {
		return err
	}
	for {
		select {
		case e := <-p.events:
			ended = append(ended, e)
			continue
		default:
		}
		break
	}
	for _, e := range ended {
		p.ended(ctx, e)
	}
	if due := p.rec.due(); !due.IsZero() && !time.Now().Before(due) {
		return p.rec.flush(ctx)
	}
	return nil
}

// cancelled is ctx's end while nothing runs; what runs ends by itself then and
// says so.
func (p *repro) cancelled(ctx context.Context) <-chan struct{} {
	if p.running > 0 {
		return nil
	}
	return ctx.Done()
}

// relock takes the repository's lock again, also after Ctrl-C, since what
// ended well is still to be recorded.
func (p *repro) relock(ctx context.Context) error {
	timeout := p.Config.Cairn.LockTimeout
	if p.env.WaitForLock {
		timeout = -1
	}
	if ctx.Err() != nil {
		ctx, timeout = context.WithoutCancel(ctx), 5*time.Second
	}
	lock, err := disk.Acquire(ctx, p.abs(tmpDir+"/lock"), disk.LockOptions{
		Timeout: timeout,
		Waiting: func(holder string) { p.warn("waiting for %s, which holds the lock of the repository", holder) },
	})
	if err != nil {
		p.unlock = func() {}
		return err
	}
	p.unlock = func() { _ = lock.Release() }
	return p.catchUp()
}

// catchUp learns what another process recorded meanwhile.
func (p *repro) catchUp() error {
	for _, l := range p.rec.locks {
		changed, err := l.reload(p.Repo)
		if err != nil || !changed {
			if err != nil {
				return err
			}
			continue
		}
		lock, err := pipeline.ParseLock(l.file, l.disk)
		if err != nil {
			return err
		}
		for _, st := range p.steps {
			if st.state == stepWaiting && !st.stage.IsPointer() && pipeline.LockFile(st.stage.File) == l.file {
				lock.Fill(st.stage)
			}
		}
	}
	// What a command wrote may be an ignore file.
	p.Ignore = ignore.New(ignore.Disk(p.Dir), ignore.Options{})
	return nil
}

// start begins a step and, unless it has a command to wait for, ends it.
func (p *repro) start(ctx context.Context, st *step) {
	if !p.available(st) {
		return
	}
	if p.o.Jobs == 1 && p.executed {
		p.o.Say("")
	}
	st.begin = time.Now()
	st.state = stepRunning
	outcome, job, err := p.prepare(ctx, st)
	switch {
	case err != nil:
		p.fail(st, err)
	case job != nil:
		if err := p.launch(ctx, st, job); err != nil {
			p.fail(st, err)
		}
	default:
		p.settle(st, outcome)
	}
}

// available reports whether no other process is at what a stage reads and
// writes. If one is, the stage waits, as long as one waits for a lock.
func (p *repro) available(st *step) bool {
	if p.o.Dry {
		return true
	}
	err := p.rw.check(st.read, st.write)
	if err == nil {
		return true
	}
	busy, ok := errors.AsType[*busyError](err)
	now := time.Now()
	if st.busySince.IsZero() {
		st.busySince = now
		if ok && !busy.above {
			p.warn("stage '%s' waits for process %d (%s), which is at '%s'", st.addr, busy.by[0].pid, disk.Quote(busy.by[0].cmd), disk.Quote(busy.path))
			p.o.Flush()
		}
	}
	limit := p.Config.Cairn.LockTimeout
	if ok && !busy.above && (p.env.WaitForLock || now.Sub(st.busySince) < limit) {
		st.retryAt = now.Add(rwlockPoll)
		return false
	}
	p.fail(st, err)
	return false
}

// launch starts a step's command.
func (p *repro) launch(ctx context.Context, st *step, job *executor.Job) error {
	if usesUs(job.Commands) {
		// It will look at what is recorded.
		if err := p.rec.flush(ctx); err != nil {
			return err
		}
	}
	if err := p.rw.acquire(ctx, st.read, st.write); err != nil {
		return err
	}
	p.budget.take(st.limits)
	p.running++
	go func() {
		begin := time.Now()
		meter := p.env.Phases.Meter("commands", "commands")
		began := meter.Start()
		err := executor.Run(ctx, *job)
		meter.Done(began, int64(len(job.Commands)), 0)
		p.events <- event{st, err, time.Since(begin)}
	}()
	return nil
}

// usesUs reports whether commands may ask cairn or DVC about the repository.
func usesUs(commands []string) bool {
	return slices.ContainsFunc(commands, func(c string) bool {
		return strings.Contains(c, "dvc") || strings.Contains(c, "cairn")
	})
}

// ended is a command's end: what it made is recorded.
func (p *repro) ended(ctx context.Context, e event) {
	defer p.phase("record what was made", "").End()
	st := e.step
	p.running--
	p.budget.give(st.limits)
	for _, c := range st.streams {
		_ = c.Close()
	}
	err := e.err
	if err == nil {
		err = p.save(context.WithoutCancel(ctx), st, e.took)
	}
	if rerr := p.rw.release(context.WithoutCancel(ctx), st.read, st.write); err == nil {
		err = rerr
	}
	if err != nil {
		p.fail(st, err)
		return
	}
	p.settle(st, StageRan)
}

// settle is the good end of a step.
func (p *repro) settle(st *step, outcome Outcome) {
	st.state, st.outcome = stepDone, outcome
	st.took = time.Since(st.begin)
	p.executed = outcome != StageSkipped && outcome != StagePulled
	if p.o.ForceDownstream && (p.executed || st.force) && p.graph != nil {
		for _, s := range p.graph.NeededBy(st.stage) {
			if d := p.byStage[s]; d != nil {
				d.force = true
			}
		}
	}
}

// fail is the bad end of a step.
func (p *repro) fail(st *step, err error) {
	st.state, st.outcome, st.err = stepDone, StageFailed, err
	if !st.begin.IsZero() {
		st.took = time.Since(st.begin)
	}
	if errs.Is(err, errs.Cancelled) {
		p.stop = true
		return
	}
	p.failed = append(p.failed, st)
	switch p.o.OnError {
	case StopOnError:
		// What a serial run would have done before comes to its end.
		p.last = min(p.last, st.order)
		p.stop = p.o.Jobs == 1
	case IgnoreErrors:
		p.warn("%v (ignored)", err)
	case KeepGoing:
		p.warn("%v", err)
		p.leaveOut(st)
	}
}

// leaveOut drops what needs a stage that failed.
func (p *repro) leaveOut(failed *step) {
	if p.graph == nil {
		return
	}
	var names []string
	for _, s := range p.graph.Downstream(failed.stage) {
		if s == failed.stage {
			continue
		}
		names = append(names, yamlfmt.PyRepr(p.address(s)))
		if d := p.byStage[s]; d != nil && d.state == stepWaiting {
			d.state, d.outcome = stepDone, StageLeftOut
		}
	}
	switch len(names) {
	case 0:
	case 1:
		p.warn("Stage %s will be skipped due to this failure", names[0])
	default:
		p.warn("Stages %s will be skipped due to this failure", joinAnd(names))
	}
}

// joinAnd is "a", "a and b", "a, b and c".
func joinAnd(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// reproError is the failure of the whole.
func reproError(cause error, failed ...*step) error {
	sorted := slices.Clone(failed)
	slices.SortFunc(sorted, func(a, b *step) int { return a.order - b.order })
	names := make([]string, len(sorted))
	for i, st := range sorted {
		names[i] = yamlfmt.PyRepr(st.addr)
	}
	what := ""
	if len(names) > 1 {
		what = " stages:"
	}
	e := &errs.Error{Kind: errs.Invalid, Msg: fmt.Sprintf("failed to reproduce%s %s", what, joinAnd(names)), Err: cause}
	// The exit code of a stage's failure is always the same; the classes that
	// have one of their own are about cairn's own call.
	if k := errs.KindOf(cause); cause != nil && k != errs.Other && k != errs.Config && k != errs.Usage && k != errs.NotInRepo {
		e.Kind = k
	}
	return e
}

func (p *repro) result() ReproResult {
	res := ReproResult{Stages: []StageRun{}, Changed: unique(slices.Sorted(slices.Values(p.rec.changed)))}
	if res.Changed == nil {
		res.Changed = []string{}
	}
	for _, st := range p.steps {
		if st.state != stepDone {
			st.outcome = StageLeftOut
		}
		run := StageRun{Stage: st.addr, Outcome: st.outcome, Why: st.why, Seconds: st.took.Seconds(), Log: st.log}
		if st.err != nil {
			run.Error = st.err.Error()
		}
		res.Stages = append(res.Stages, run)
		switch st.outcome {
		case StageRan, StageRestored, StageVerified, StageWould:
			res.Executed++
		}
	}
	return res
}
