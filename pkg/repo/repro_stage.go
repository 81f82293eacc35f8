package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/executor"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// prepare does of a step what comes before its command. Without a job the step
// is done.
func (p *repro) prepare(ctx context.Context, st *step) (Outcome, *executor.Job, error) {
	s := st.stage
	if s.Frozen && !s.IsImport() {
		p.warn("%s is frozen. Its dependencies are not going to be reproduced.", p.called(st))
	}
	switch {
	case st.force:
		st.why = []Reason{{Kind: WhyForced}}
	case p.o.Rerun:
	default:
		why, err := p.why(ctx, s, whyOptions{allowMissing: p.o.AllowMissing, needs: st.all, all: p.o.Why})
		if err != nil {
			return "", nil, err
		}
		if st.why = why; len(why) == 0 {
			p.sayUnchanged(st)
			return StageSkipped, nil, nil
		}
		if p.o.Pull {
			if done, err := p.pullInstead(ctx, st); err != nil || done {
				return StagePulled, nil, err
			}
		}
	}
	if p.o.Interactive {
		p.o.Flush()
		if p.o.Confirm == nil || !p.o.Confirm(fmt.Sprintf("Going to reproduce %s. Are you sure you want to continue?", p.called(st))) {
			return "", nil, errs.New(errs.Invalid, "reproduction aborted by the user")
		}
	}
	if p.o.Dry {
		return StageWould, nil, p.dry(ctx, st)
	}
	return p.begin(ctx, st)
}

// called is how messages of DVC call a stage, pointer files too.
func (p *repro) called(st *step) string { return "stage: '" + st.addr + "'" }

func (p *repro) sayUnchanged(st *step) {
	if st.stage.IsPointer() && st.stage.Cmd == nil {
		p.o.Say("'%s' didn't change, skipping", st.addr)
		return
	}
	p.o.Say("Stage '%s' didn't change, skipping", st.addr)
}

// commands are what a stage runs, one after the other.
func commands(s *pipeline.Stage) []string {
	if s.CmdIsList || len(s.Cmd) != 1 {
		return s.Cmd
	}
	return executor.Lines(s.Cmd[0])
}

// dry says what begin would do.
func (p *repro) dry(ctx context.Context, st *step) error {
	s := st.stage
	switch {
	case s.IsImport() && (!s.Frozen || s.Outs[0].Digest.IsZero()):
		p.o.Say("Importing '%s' -> '%s'", p.depName(s.Deps[0]), p.Show(s.Outs[0].RepoPath()))
	case s.Frozen:
	case s.Cmd != nil:
		if !st.force {
			run, err := p.earlierRun(ctx, st)
			if err != nil && !(errs.Is(err, errs.NotFound) && st.waitsForOthers()) {
				return err
			}
			if run != nil {
				p.o.Say("Stage '%s' is cached - skipping run, checking out outputs", st.addr)
			}
		}
		p.o.Say("Running stage '%s':", st.addr)
		for _, c := range commands(s) {
			p.o.Say("> %s", c)
		}
	}
	return nil
}

// waitsForOthers reports whether a stage before this one would run, and so may
// make what is missing now. DVC's dry run ends there, with a failure.
func (st *step) waitsForOthers() bool {
	return slices.ContainsFunc(st.needs, func(n *step) bool { return n.outcome == StageWould && n.stage.Cmd != nil && !n.stage.Frozen })
}

// begin makes way for a stage's outs and brings them from the run cache, or
// returns the command that makes them.
func (p *repro) begin(ctx context.Context, st *step) (Outcome, *executor.Job, error) {
	s := st.stage
	switch {
	case s.IsImport() && (!s.Frozen || s.Outs[0].Digest.IsZero()):
		return StageVerified, nil, p.bringAgain(ctx, st)
	case s.Frozen || s.Cmd == nil:
		what := "data sources in "
		if s.Frozen {
			what = "outputs in frozen "
		}
		p.o.Say("Verifying %s%s", what, p.called(st))
		if err := p.checkOuts(s); err != nil {
			return "", nil, err
		}
		return StageVerified, nil, p.save(ctx, st, 0)
	}
	if err := p.clearOuts(ctx, st); err != nil {
		return "", nil, err
	}
	if !st.force {
		if restored, err := p.restore(ctx, st); err != nil {
			return "", nil, err
		} else if restored {
			return StageRestored, nil, p.save(ctx, st, 0)
		}
		if err := p.readDeps(ctx, s, false); err != nil {
			return "", nil, err
		}
	}
	job, err := p.job(st)
	return StageRan, job, err
}

// checkOuts makes sure that data without a command are there.
func (p *repro) checkOuts(s *pipeline.Stage) error {
	var missing []string
	for _, o := range s.Outs {
		if there, err := p.there(o.RepoPath()); err != nil {
			return err
		} else if !there {
			missing = append(missing, p.Show(o.RepoPath()))
		}
	}
	plural := ""
	switch len(missing) {
	case 0:
		return nil
	case 1:
	default:
		plural = "s"
	}
	return errs.New(errs.NotFound, "missing data 'source%s': %s", plural, strings.Join(missing, ", "))
}

// there reports whether something is at a path, links followed.
func (p *repro) there(rel string) (bool, error) {
	_, err := os.Stat(p.place(rel))
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return false, nil
	}
	return err == nil, err
}

// job is the call of a stage's commands.
func (p *repro) job(st *step) (*executor.Job, error) {
	s := st.stage
	if there, err := p.there(s.WDir); err == nil && !there {
		return nil, errs.New(errs.NotFound, "[Errno 2] No such file or directory: '%s'", p.abs(s.WDir))
	}
	env := executor.Setenv(p.env.Environ, "DVC_ROOT", p.Root, true)
	env = executor.Setenv(env, "DVC_STAGE", st.addr, false)
	env = executor.Setenv(env, parentsEnv, p.rw.parents(), false)
	j := &executor.Job{Commands: commands(s), Dir: p.abs(s.WDir), Env: env, Shell: p.env.Getenv("SHELL")}
	if p.o.Jobs == 1 {
		j.Stdin, j.Stdout, j.Stderr, j.Foreground = p.o.Stdin, p.o.Stdout, p.o.Stderr, p.o.Terminal
		p.o.Say("Running stage '%s':", st.addr)
		j.Announce = func(c string) {
			p.o.Say("> %s", c)
			p.o.Flush()
		}
		return j, nil
	}
	out := p.mux.Stream("[" + st.addr + "] ")
	log, err := p.openLog(st)
	if err != nil {
		return nil, err
	}
	st.streams = []io.Closer{out, log}
	both := io.MultiWriter(out, log)
	j.Stdout, j.Stderr = both, both
	p.o.Say("Running stage '%s':", st.addr)
	j.Announce = func(c string) {
		p.o.Say("[%s] > %s", st.addr, c)
		p.o.Flush()
	}
	return j, nil
}

// logsDir keeps what stages said that ran beside others.
const logsDir = tmpDir + "/cairn-logs"

func (p *repro) openLog(st *step) (*disk.File, error) {
	if p.logs == nil {
		dir, err := p.Dir.MakePath(logsDir, 0o777)
		if err != nil {
			return nil, err
		}
		p.logs = dir
	}
	name := logName(st.addr)
	if err := p.logs.RemoveAll(name); err != nil {
		return nil, err
	}
	st.log = path.Join(logsDir, name)
	return p.logs.Create(name, 0o666)
}

// logName makes one name of a stage's address.
func logName(addr string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, addr)
	if clean != addr || len(clean) > 100 {
		// Two addresses may be alike once cleaned.
		clean = clean[:min(len(clean), 100)] + "-" + object.Sum(object.MD5, []byte(addr)).String()[:8]
	}
	return clean + ".log"
}

// clearOuts deletes what a stage is about to make anew. Bytes that are stored
// nowhere go too, as the stage's declaration has it, but not unsaid.
func (p *repro) clearOuts(ctx context.Context, st *step) error {
	for _, o := range st.stage.Outs {
		rel := o.RepoPath()
		if strings.Contains(o.Path, "://") {
			return errs.New(errs.Unsupported, "output '%s' of %s is not on this machine, and cairn cannot make such outputs yet", o.Path, p.called(st))
		}
		if o.Persist {
			if err := p.keepPersistent(ctx, o); err != nil {
				return err
			}
			continue
		}
		if err := p.sayLost(ctx, st, o); err != nil {
			return err
		}
		if err := p.deletePlace(rel); err != nil {
			return fmt.Errorf("delete output '%s': %w", p.Show(rel), err)
		}
	}
	return nil
}

// keepPersistent makes an out that stays safe to change.
func (p *repro) keepPersistent(ctx context.Context, o *pipeline.Out) error {
	if !o.Cache || o.IsExternal() || outOfRoot(o.RepoPath()) {
		return nil
	}
	err := p.unprotect(ctx, o.RepoPath())
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func (p *repro) sayLost(ctx context.Context, st *step, o *pipeline.Out) error {
	have, err := p.look(ctx, &o.Entry, o.RepoPath(), algorithmOr(o.Digest, p.Alg))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return nil // missing, or nothing that could be stored
	}
	if have.Digest == o.Digest || have.IsDir && len(have.Files) == 0 {
		return nil
	}
	t := Target{Stage: st.stage, Out: &pipeline.Out{Stage: st.stage, Entry: pipeline.Entry{Path: o.Path, Digest: have.Digest}}}
	if stored, err := p.cached(ctx, t); err != nil || stored {
		return err
	}
	p.warn("'%s' was changed since it was recorded; %s replaces it, and what was in it is stored nowhere", disk.Quote(p.Show(o.RepoPath())), p.called(st))
	p.o.Flush()
	return nil
}

// deletePlace deletes what is at a path, in the repository or where a stage
// says that its out lies.
func (p *repro) deletePlace(rel string) error {
	if !path.IsAbs(rel) && !outOfRoot(rel) {
		return p.deleteOut(rel)
	}
	abs := p.place(rel)
	dir, err := disk.OpenDir(filepath.Dir(abs))
	if err != nil {
		return ignoreMissing(err)
	}
	defer dir.Close()
	return dir.RemoveAll(filepath.Base(abs))
}

// cached is [Repo.inCache] after what waits to be stored was stored, if that
// may make a difference.
func (p *repro) cached(ctx context.Context, t Target) (bool, error) {
	ok, err := p.inCache(ctx, t, nil)
	if err != nil || ok || p.rec.due().IsZero() {
		return ok, err
	}
	if err := p.rec.flush(ctx); err != nil {
		return false, err
	}
	return p.inCache(ctx, t, nil)
}

func algorithmOr(d object.Digest, a object.Algorithm) object.Algorithm {
	if d.IsZero() {
		return a
	}
	return d.Algorithm()
}

// outsideDir is a folder outside of the repository that deps lie in.
type outsideDir struct {
	dir   *disk.Dir
	state *index.State
}

// look hashes what lies at a path. Nothing there is fs.ErrNotExist.
func (p *repro) look(ctx context.Context, e *pipeline.Entry, rel string, a object.Algorithm) (*index.Tree, error) {
	if strings.Contains(e.Path, "://") {
		return nil, errs.New(errs.Unsupported, "'%s' is not on this machine, and cairn cannot tell yet whether it changed", e.Path)
	}
	if path.IsAbs(rel) || outOfRoot(rel) {
		return p.lookOutside(ctx, p.place(rel), a)
	}
	t, err := p.scanner(a).Scan(ctx, rel, p.rulesAbove(rel))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	// A folder behind a link is no part of the repository for a scan. A stage
	// may read it all the same.
	if real, rerr := filepath.EvalSymlinks(p.abs(rel)); rerr == nil && real != p.abs(rel) {
		return p.lookOutside(ctx, real, a)
	}
	return nil, err
}

func (p *repro) lookOutside(ctx context.Context, abs string, a object.Algorithm) (*index.Tree, error) {
	folder := filepath.Dir(abs)
	d := p.outside[folder]
	if d == nil {
		dir, err := disk.OpenDir(folder)
		if err != nil {
			return nil, err
		}
		d = &outsideDir{dir, index.NewState()}
		p.outside[folder] = d
	}
	s := &index.Scanner{Root: d.dir, State: d.state, Cache: p.Cache, Alg: a, Now: p.now, Follow: true, Phases: p.env.Phases}
	if a == object.MD5Legacy {
		s.State = index.NewState()
	}
	return s.Scan(ctx, filepath.Base(abs), nil)
}

// paramsFile is a file of parameters, read once while it stays the same.
type paramsFile struct {
	stat  disk.Stat
	value any
	err   error
}

// loadParams reads a file of parameters; one that is missing is NotFound.
func (p *repro) loadParams(rel string) (any, error) {
	dir, err := disk.OpenDir(filepath.Dir(p.place(rel)))
	if err == nil {
		defer dir.Close()
		var st disk.Stat
		base := filepath.Base(p.place(rel))
		if st, err = dir.Lstat(base); err == nil && st.IsLink() {
			if real, rerr := filepath.EvalSymlinks(p.place(rel)); rerr == nil {
				return p.loadParams(filepath.ToSlash(real))
			}
		}
		if err == nil {
			if f := p.params[rel]; f != nil && f.stat.SameContent(st) && !index.IsRacy(st, p.now()) {
				return f.value, f.err
			}
			if st.IsDir() {
				return nil, errs.New(errs.Invalid, "'%s' is a directory, expected a parameters file", p.Show(rel))
			}
			var text []byte
			if text, err = dir.ReadFile(base); err == nil {
				f := &paramsFile{stat: st}
				f.value, f.err = pipeline.LoadParams(p.Show(rel), text)
				p.params[rel] = f
				return f.value, f.err
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return nil, errs.New(errs.NotFound, "dependency '%s' does not exist", p.Show(rel))
	}
	return nil, err
}

// paramsNow are the parameters that a stage reads from a file.
func (p *repro) paramsNow(s *pipeline.Stage, d *pipeline.ParamDep) (*pipeline.Lookup, error) {
	v, err := p.loadParams(joinAny(s.WDir, d.Path))
	if err != nil {
		return nil, err
	}
	return pipeline.SelectParams(v, d.Keys)
}

// missingParams is the failure to find parameters that a stage asks for.
func (p *repro) missingParams(s *pipeline.Stage, d *pipeline.ParamDep, now *pipeline.Lookup) error {
	var missing []string
	for _, k := range d.Keys {
		if _, ok := now.Values[k]; !ok && !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errs.New(errs.NotFound, "Parameters '%s' are missing from '%s'.", strings.Join(missing, ", "), p.Show(joinAny(s.WDir, d.Path)))
}

// canRemember reports whether a run with what is there now could be in the run
// cache. What a stage needs and lacks is an error, as it is for DVC.
func (p *repro) canRemember(s *pipeline.Stage) (bool, error) {
	if !s.CanRemember() {
		return false, nil
	}
	for _, d := range s.Deps {
		if d.Dataset != nil || strings.HasPrefix(d.Path, "ds://") {
			return false, nil
		}
		there, err := p.there(d.RepoPath())
		if err == nil && !there {
			err = errs.New(errs.NotFound, "[Errno 2] No such file or directory: '%s'", p.place(d.RepoPath()))
		}
		if err != nil {
			return false, err
		}
	}
	for _, d := range s.Params {
		now, err := p.paramsNow(s, d)
		switch {
		case errs.Is(err, errs.NotFound) && len(d.Keys) > 0:
			return false, p.missingParams(s, d, &pipeline.Lookup{})
		case errs.Is(err, errs.NotFound):
			return false, nil
		case err != nil:
			return false, err
		}
		if err := p.missingParams(s, d, now); err != nil {
			return false, err
		}
		if len(now.Keys) == 0 {
			return false, nil // DVC remembers nothing of a file without parameters
		}
	}
	return true, nil
}

// earlierRun is the lock entry of a run with the same inputs; nil if there is
// none. It is the stage's own if nothing but outs changed.
func (p *repro) earlierRun(ctx context.Context, st *step) (*yamlfmt.Map, error) {
	s := st.stage
	if ok, err := p.canRemember(s); err != nil || !ok {
		return nil, err
	}
	entry := s.LockEntry()
	if same, err := p.sameInputs(ctx, s); err != nil {
		return nil, err
	} else if !same || slices.ContainsFunc(s.Outs, func(o *pipeline.Out) bool { return o.Digest.IsZero() }) {
		if p.o.NoRunCache {
			return nil, nil
		}
		if !p.o.Dry {
			if err := p.readDeps(ctx, s, false); err != nil {
				return nil, err
			}
		}
		key := pipeline.RunKey(s.RunEntry())
		if p.rec.waits(key) {
			if err := p.rec.flush(ctx); err != nil {
				return nil, err
			}
		}
		if entry, err = p.rec.runs.Lookup(key); err != nil || entry == nil {
			return nil, err
		}
	}
	made := outsOfRun(s, entry)
	if made == nil {
		return nil, nil
	}
	if p.o.Pull && !p.o.Dry {
		p.fetchOuts(ctx, made)
	}
	for _, o := range made.Outs {
		if o.Digest.IsZero() {
			return nil, nil
		}
		if ok, err := p.cached(ctx, Target{Stage: made, Out: o}); err != nil || !ok {
			return nil, err
		}
	}
	return entry, nil
}

// waits reports whether a run that is to be saved has the key.
func (c *recorder) waits(key string) bool {
	return slices.ContainsFunc(c.done, func(d record) bool { return d.run != nil && pipeline.RunKey(d.run) == key })
}

// sameInputs reports whether command, dependencies and parameters are those
// that the lock has.
func (p *repro) sameInputs(ctx context.Context, s *pipeline.Stage) (bool, error) {
	if s.HasLock && commandChanged(s) {
		return false, nil
	}
	why, err := p.whyDeps(ctx, s, whyOptions{})
	return len(why) == 0, err
}

// outsOfRun is a stage with the outs of a run; nil if they are not those that
// the stage declares. What a run says is foreign: it may come from a remote.
func outsOfRun(s *pipeline.Stage, entry *yamlfmt.Map) *pipeline.Stage {
	made := &pipeline.Stage{File: s.File, Name: s.Name, WDir: s.WDir}
	for _, o := range s.Outs {
		c := *o
		c.Stage = made
		c.Cache = true
		made.Outs = append(made.Outs, &c)
	}
	pipeline.FillFromEntry(made, entry)
	list, _ := entry.Get("outs")
	if outs, ok := list.([]any); !ok || len(outs) != len(made.Outs) {
		return nil
	}
	return made
}

// restore brings a stage's outs from an earlier run.
func (p *repro) restore(ctx context.Context, st *step) (bool, error) {
	if p.o.Pull {
		if err := p.pullDeps(ctx, st.stage); err != nil {
			return false, err
		}
	}
	entry, err := p.earlierRun(ctx, st)
	if err != nil || entry == nil {
		return false, err
	}
	p.o.Say("Stage '%s' is cached - skipping run, checking out outputs", st.addr)
	made := outsOfRun(st.stage, entry)
	var plain, tracked []index.Plan
	for i, o := range made.Outs {
		plan, err := p.planCheckout(ctx, Target{Stage: made, Out: o}, CheckoutOptions{})
		if err != nil {
			return false, err
		}
		switch {
		case plan.Change == index.Unchanged:
		case st.stage.Outs[i].Cache:
			plain = append(plain, plan)
		default:
			tracked = append(tracked, plan)
		}
	}
	if err := p.bring(ctx, plain, false); err != nil {
		return false, err
	}
	return true, p.bring(ctx, tracked, true)
}

// bring checks outs out, those that Git tracks as copies.
func (p *repro) bring(ctx context.Context, plans []index.Plan, copies bool) error {
	if len(plans) == 0 {
		return nil
	}
	staging, done, err := p.staging()
	if err != nil {
		return err
	}
	defer done()
	a := index.Applier{Root: p.Dir, State: p.State(), Cache: p.Cache, Staging: staging, Now: p.now, Phases: p.env.Phases}
	if copies {
		a.Cache = p.rec.copies
	}
	applied, err := a.Apply(ctx, plans)
	if err == nil {
		err = applied.Err()
	}
	return err
}

// readDeps puts dependencies and parameters as they are now into the stage.
func (p *repro) readDeps(ctx context.Context, s *pipeline.Stage, allowMissing bool) error {
	for _, d := range s.Deps {
		if d.Repo != nil || d.DB != nil {
			continue
		}
		if strings.HasPrefix(d.Path, "ds://") {
			if err := p.readDataset(s, d); err != nil {
				return err
			}
			continue
		}
		err := p.readDep(ctx, d)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			if !allowMissing {
				return errs.New(errs.NotFound, "dependency '%s' does not exist", p.Show(d.RepoPath()))
			}
		default:
			return err
		}
	}
	for _, d := range s.Params {
		now, err := p.paramsNow(s, d)
		switch {
		case errs.Is(err, errs.NotFound) && allowMissing:
			continue
		case err != nil:
			return err
		}
		if err := p.missingParams(s, d, now); err != nil {
			return err
		}
		d.Values = now
	}
	return nil
}

func (p *repro) readDep(ctx context.Context, d *pipeline.Dep) error {
	if strings.Contains(d.Path, "://") {
		return p.readURL(ctx, d)
	}
	rel := d.RepoPath()
	if d.Digest.Algorithm() == object.MD5Legacy {
		// What DVC 2 recorded stays as it is while it is right.
		have, err := p.look(ctx, &d.Entry, rel, object.MD5Legacy)
		if err != nil {
			return err
		}
		if have.Digest == d.Digest {
			return nil
		}
	}
	have, err := p.look(ctx, &d.Entry, rel, p.Alg)
	if err != nil {
		return err
	}
	p.sayEmpty(have, rel)
	setEntry(&d.Entry, have)
	d.Entry.Legacy = false
	return nil
}

// sayEmpty warns of data without a byte, once a path.
func (p *repro) sayEmpty(t *index.Tree, rel string) {
	if t.IsDir && len(t.Files) == 0 || !t.IsDir && t.Size == 0 {
		if !p.warned[rel] {
			p.warned[rel] = true
			p.warn("'%s' is empty.", disk.Quote(p.Show(rel)))
		}
	}
}

// save records a stage's inputs and outs as they are, and has the outs stored.
func (p *repro) save(ctx context.Context, st *step, took time.Duration) error {
	s := st.stage
	if err := p.readDeps(ctx, s, p.o.AllowMissing); err != nil {
		return err
	}
	remember := s.Cmd != nil && !p.o.NoCommit && !slices.ContainsFunc(s.Outs, func(o *pipeline.Out) bool {
		return !o.Cache && o.Metric == nil && o.Plot == nil
	})
	if remember {
		var err error
		if remember, err = p.canRemember(s); err != nil && !p.o.AllowMissing {
			return err
		}
	}
	// What is wrong with one out is found before any of them is stored.
	for _, o := range s.Outs {
		if err := p.checkMetric(o); err != nil {
			return err
		}
		if there, err := p.there(o.RepoPath()); err == nil && !there && !p.o.AllowMissing {
			return errs.New(errs.NotFound, "output '%s' does not exist", p.Show(o.RepoPath()))
		}
	}
	var ignored []string
	for _, o := range s.Outs {
		done, err := p.saveOut(ctx, s, o, remember)
		if errors.Is(err, fs.ErrNotExist) {
			if p.o.AllowMissing {
				remember = false
				continue
			}
			return errs.New(errs.NotFound, "output '%s' does not exist", p.Show(o.RepoPath()))
		}
		if err != nil {
			return err
		}
		if done && o.Cache {
			ignored = append(ignored, o.RepoPath())
		}
	}
	if err := p.ignoreOuts(ignored); err != nil {
		return err
	}
	return p.record(ctx, st, remember, took)
}

// ignoreOuts keeps Git from outs.
func (p *repro) ignoreOuts(rels []string) error {
	for _, rel := range rels {
		if err := p.checkUntracked(rel); err != nil {
			return err
		}
	}
	p.rec.ignored = append(p.rec.ignored, rels...)
	return nil
}

// saveOut reads an out. done is false for one outside of the repository.
func (p *repro) saveOut(ctx context.Context, s *pipeline.Stage, o *pipeline.Out, remember bool) (done bool, err error) {
	rel := o.RepoPath()
	if o.IsExternal() || outOfRoot(rel) {
		if o.Cache {
			return false, errs.New(errs.Unsupported, "Saving cached external output %s is not supported since DVC 3.0. See <https://dvc.org/doc/user-guide/upgrade> for more info.", o.Path)
		}
		have, err := p.look(ctx, &o.Entry, rel, p.Alg)
		if err == nil {
			setEntry(&o.Entry, have)
		}
		return false, err
	}
	a := &addition{rel: rel, stage: s, out: o}
	sc := p.scanner(p.Alg)
	copies := !o.Cache
	if !p.o.NoCommit && (o.Cache || remember) {
		if sc.Store, err = p.rec.writer(copies); err != nil {
			return false, err
		}
		if copies {
			sc.Cache = p.rec.copies
		}
	}
	if same, err := p.keepLegacy(ctx, a, *sc); err != nil || same {
		return true, err
	}
	tree, err := sc.Scan(ctx, rel, p.rulesAbove(rel))
	if err != nil {
		return false, err
	}
	p.sayEmpty(tree, rel)
	setOut(&o.Entry, tree)
	o.Entry.Legacy = false
	if a.tree = tree; !copies && !p.o.NoCommit {
		p.rec.adds = append(p.rec.adds, a)
	}
	return true, nil
}

// keepLegacy reports whether an out is what DVC 2 recorded, so that its entry
// stays.
func (p *repro) keepLegacy(ctx context.Context, a *addition, sc index.Scanner) (bool, error) {
	if a.out.Digest.Algorithm() != object.MD5Legacy {
		return false, nil
	}
	store := sc.Store
	sc.Store = nil
	if store == nil || !a.out.Cache {
		have, err := p.look(ctx, &a.out.Entry, a.rel, object.MD5Legacy)
		return err == nil && have.Digest == a.out.Digest, err
	}
	return p.sameLegacy(ctx, a, sc, store)
}

// checkMetric refuses metrics that cannot be read as text, by DVC's measure:
// a NUL, or more than three in ten of the first bytes out of the ordinary.
func (p *repro) checkMetric(o *pipeline.Out) error {
	at := p.place(o.RepoPath())
	if o.Metric == nil || o.Metric == false {
		return nil
	}
	if st, err := os.Stat(at); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(at)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	const probe = 512
	b, err := io.ReadAll(io.LimitReader(f, probe))
	if err != nil {
		return err
	}
	odd := 0
	for _, c := range b {
		if c == 0 {
			odd = len(b)
			break
		}
		if (c < 32 || c > 126) && !strings.ContainsRune("\n\r\t\f\b", rune(c)) {
			odd++
		}
	}
	if len(b) > 0 && float64(odd)/float64(len(b)) > 0.30 {
		return errs.New(errs.Invalid, "binary file '%s' cannot be used as metrics.", at)
	}
	return nil
}

// record hands a stage to the recorder.
func (p *repro) record(ctx context.Context, st *step, remember bool, took time.Duration) error {
	s := st.stage
	d := record{stage: s, took: took}
	if s.IsPointer() {
		old, err := p.Dir.ReadFile(s.File)
		if err != nil {
			return err
		}
		if d.pointer = old; s.MD5 != "" {
			s.MD5 = s.ComputeMD5()
		}
		p.rec.track(s.File)
		return p.rec.add(ctx, d)
	}
	entry := s.LockEntry()
	if remember {
		d.run = s.RunEntry()
	}
	s.HasLock = true
	s.LockedCmd, _ = entry.Get("cmd")
	lock, err := p.rec.lock(s.File)
	if err != nil {
		return err
	}
	modified, created, err := lock.set(st.order, s.Name, entry)
	if err != nil {
		return err
	}
	if created {
		p.o.Say("Generating lock file '%s'", p.Show(lock.file))
	}
	if modified {
		p.o.Say("Updating lock file '%s'", p.Show(lock.file))
		p.rec.track(lock.file)
	}
	d.lock = lock
	return p.rec.add(ctx, d)
}

// pullDeps brings the dependencies that are missing.
func (p *repro) pullDeps(ctx context.Context, s *pipeline.Stage) error {
	for _, d := range s.Deps {
		rel := d.RepoPath()
		if d.IsExternal() || outOfRoot(rel) || strings.HasPrefix(d.Path, "ds://") {
			continue
		}
		missing, err := p.missingOf(ctx, rel)
		if err != nil || len(missing) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if err := p.pullTargets(ctx, missing...); err != nil {
			return err
		}
	}
	return nil
}

// missingOf lists what is to be pulled so that a dependency is there: itself,
// or the outs in a folder of files and outs.
func (p *repro) missingOf(ctx context.Context, rel string) ([]string, error) {
	stages, err := p.Stages(ctx)
	if err != nil {
		return nil, err
	}
	inside := stages.Inside(rel)
	if len(inside) == 0 || stages.Find(rel) != nil {
		there, err := p.there(rel)
		if err != nil || there {
			return nil, err
		}
		return []string{p.Show(rel)}, nil
	}
	var missing []string
	for _, o := range inside {
		there, err := p.there(o.RepoPath())
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, p.Show(o.RepoPath()))
		}
	}
	return missing, nil
}

// pullTargets is [Repo.Pull] for a caller that holds the lock.
func (p *repro) pullTargets(ctx context.Context, targets ...string) error {
	if err := p.rec.flush(ctx); err != nil {
		return err
	}
	if _, err := p.fetch(ctx, CloudOptions{Targets: targets}); err != nil {
		return err
	}
	found, err := p.Collect(ctx, targets, CollectOptions{})
	if err != nil {
		return err
	}
	_, err = p.checkout(ctx, found, CheckoutOptions{})
	return err
}

// pullInstead brings a stage's outs if nothing but their absence changed.
func (p *repro) pullInstead(ctx context.Context, st *step) (bool, error) {
	why, err := p.why(ctx, st.stage, whyOptions{allowMissing: true, needs: st.all})
	if err != nil || len(why) > 0 {
		return false, err
	}
	p.o.Say("Pulling data for %s", p.called(st))
	if p.o.Dry {
		return true, nil
	}
	err = p.pullTargets(ctx, st.addr)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	p.o.Say("Unable to pull data for %s", p.called(st))
	p.warn("%v", err)
	return false, nil
}

// fetchOuts brings the objects of an earlier run, if a remote has them. That
// it has not is no failure: the stage can run.
func (p *repro) fetchOuts(ctx context.Context, made *pipeline.Stage) {
	byRemote := map[string]*wanted{}
	for _, o := range made.Outs {
		if o.Digest.IsZero() {
			continue
		}
		w := byRemote[o.Remote]
		if w == nil {
			w = &wanted{remote: o.Remote}
			byRemote[o.Remote] = w
		}
		t := Target{Stage: made, Out: o}
		w.bundles = append(w.bundles, &bundle{path: t.Path(), digest: o.Digest, size: sizeOf(t)})
	}
	for _, w := range byRemote {
		var res FetchResult
		_ = p.fetchFrom(ctx, w, CloudOptions{}, &res)
	}
}
