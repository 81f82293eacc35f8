package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// WhyKind is the kind of a reason.
type WhyKind string

// The kinds of reasons.
const (
	WhyForced   WhyKind = "forced"
	WhyCommand  WhyKind = "command"
	WhyAlways   WhyKind = "always changed"
	WhyDep      WhyKind = "dep"
	WhyParam    WhyKind = "param"
	WhyOut      WhyKind = "out"
	WhyChecksum WhyKind = "checksum" // the pointer file was changed by hand
	WhyStage    WhyKind = "stage"    // one before it will run
)

// Reason is one thing for which a stage will run.
type Reason struct {
	Kind  WhyKind `json:"kind"`
	Path  string  `json:"path,omitempty"`  // of a dep, out or file of parameters; the address of a stage
	Key   string  `json:"key,omitempty"`   // of a parameter
	State string  `json:"state,omitempty"` // new, modified, deleted, not in cache
	Old   any     `json:"old,omitempty"`   // digest, value or command that was recorded
	New   any     `json:"new,omitempty"`   // as it is now
}

type whyOptions struct {
	allowMissing bool
	needs        []*pipeline.Stage // direct, for allowMissing
	all          bool              // every reason, not only one
}

// why finds reasons for a stage to run; none means that it need not.
func (p *repro) why(ctx context.Context, s *pipeline.Stage, o whyOptions) ([]Reason, error) {
	var list []Reason
	if s.IsPointer() {
		if s.MD5 != s.ComputeMD5() && (s.MD5 != "" || s.IsImport()) {
			list = append(list, Reason{Kind: WhyChecksum, Path: p.Show(s.File)})
		}
	} else if s.HasLock && commandChanged(s) {
		list = append(list, Reason{Kind: WhyCommand, Old: s.LockedCmd, New: commandValue(s)})
	}
	if len(list) > 0 && !o.all {
		return list, nil
	}
	if !s.Frozen {
		deps, err := p.whyDeps(ctx, s, o)
		if err != nil || len(deps) > 0 && !o.all {
			return deps, err
		}
		list = append(list, deps...)
	}
	for _, out := range s.Outs {
		r, err := p.whyOut(ctx, s, out, o)
		if err != nil {
			return nil, err
		}
		if r != nil {
			list = append(list, *r)
			if !o.all {
				break
			}
		}
	}
	return list, nil
}

func commandValue(s *pipeline.Stage) any {
	v, _ := s.LockEntry().Get("cmd")
	return v
}

// whyDeps are the reasons among dependencies and parameters.
func (p *repro) whyDeps(ctx context.Context, s *pipeline.Stage, o whyOptions) ([]Reason, error) {
	if len(s.Cmd) > 0 && len(s.Deps)+len(s.Params)+len(s.Outs) == 0 || s.AlwaysChanged {
		return []Reason{{Kind: WhyAlways}}, nil
	}
	var list []Reason
	for _, d := range s.Deps {
		r, err := p.whyDep(ctx, s, d, o)
		if err != nil {
			return nil, err
		}
		if r != nil {
			if list = append(list, *r); !o.all {
				return list, nil
			}
		}
	}
	for _, d := range s.Params {
		more, err := p.whyParams(s, d, o)
		if err != nil {
			return nil, err
		}
		if list = append(list, more...); len(list) > 0 && !o.all {
			return list, nil
		}
	}
	return list, nil
}

func (p *repro) whyDep(ctx context.Context, s *pipeline.Stage, d *pipeline.Dep, o whyOptions) (*Reason, error) {
	switch {
	case strings.HasPrefix(d.Path, "ds://"):
		return p.whyDataset(s, d)
	case d.Repo != nil || d.DB != nil:
		return nil, nil // update asks the source
	}
	r, err := p.compareDep(ctx, d)
	if r == nil || err != nil {
		return nil, err
	}
	r.Kind = WhyDep
	if r.State == IsDeleted && o.allowMissing {
		if !madeAnew(d, o.needs) {
			return nil, nil
		}
		r.State = IsModified
	}
	return r, nil
}

// madeAnew reports whether a stage that this one needs has recorded something
// else at the path of a missing dependency.
func madeAnew(d *pipeline.Dep, needs []*pipeline.Stage) bool {
	for _, s := range needs {
		for _, out := range s.Outs {
			if out.RepoPath() == d.RepoPath() && out.Digest != d.Digest {
				return true
			}
		}
	}
	return false
}

// compare compares a recorded path with what is there.
func (p *repro) compare(ctx context.Context, e *pipeline.Entry, rel string) (*Reason, error) {
	r := &Reason{Path: p.Show(rel), Old: digestText(e.Digest)}
	have, err := p.look(ctx, e, rel, algorithmOr(e.Digest, p.Alg))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err != nil && disk.IsNotDir(err):
		r.State = IsDeleted
		return r, nil
	case err != nil:
		return nil, err
	case have.Digest == e.Digest:
		return nil, nil
	}
	r.New = digestText(have.Digest)
	r.State = IsModified
	if e.Digest.IsZero() {
		r.State = IsNew
	}
	return r, nil
}

// digestText is a digest for people; nil for none.
func digestText(d object.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d.Algorithm().Name() + ": " + d.String()
}

func (p *repro) whyParams(s *pipeline.Stage, d *pipeline.ParamDep, o whyOptions) ([]Reason, error) {
	file := p.Show(joinAny(s.WDir, d.Path))
	now, err := p.paramsNow(s, d)
	switch {
	case errs.Is(err, errs.NotFound):
		if o.allowMissing {
			return nil, nil
		}
		return []Reason{{Kind: WhyParam, Path: file, State: IsDeleted}}, nil
	case err != nil:
		return nil, err
	}
	was := d.Values
	if was == nil {
		if !o.all || len(now.Keys) == 0 {
			return []Reason{{Kind: WhyParam, Path: file, State: IsNew}}, nil
		}
		was = &pipeline.Lookup{}
	}
	var list []Reason
	for _, c := range compareParams(&pipeline.ParamDep{Path: d.Path, Keys: d.Keys, Values: was}, now) {
		r := Reason{Kind: WhyParam, Path: file, Key: c.Key, State: c.State}
		if v, ok := was.Values[c.Key]; ok {
			r.Old = pipeline.PlainParam(v)
		}
		if v, ok := now.Values[c.Key]; ok {
			r.New = pipeline.PlainParam(v)
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *repro) whyOut(ctx context.Context, s *pipeline.Stage, out *pipeline.Out, o whyOptions) (*Reason, error) {
	if strings.Contains(out.Path, "://") {
		return nil, errs.New(errs.Unsupported, "output '%s' is not on this machine, and cairn cannot tell yet whether it changed", out.Path)
	}
	r := &Reason{Kind: WhyOut, Path: p.Show(out.RepoPath()), State: IsNotInCache, Old: digestText(out.Digest)}
	if out.Cache && !out.Digest.IsZero() {
		ok, err := p.cached(ctx, Target{Stage: s, Out: out})
		if err != nil {
			return nil, err
		}
		if !ok {
			if o.allowMissing {
				return nil, nil
			}
			return r, nil
		}
	}
	r, err := p.compare(ctx, &out.Entry, out.RepoPath())
	if r == nil || err != nil || o.allowMissing && r.State == IsDeleted {
		return nil, err
	}
	r.Kind = WhyOut
	return r, nil
}

// dataset finds the lock entry of a ds:// dependency; nil if there is none.
func (p *repro) dataset(s *pipeline.Stage, d *pipeline.Dep) (*yamlfmt.Map, error) {
	name := strings.TrimPrefix(d.Path, "ds://")
	files := []string{s.File}
	if p.stages != nil {
		for _, other := range p.stages.All {
			if !other.IsPointer() && other.File != files[len(files)-1] {
				files = append(files, other.File)
			}
		}
	}
	for _, file := range files {
		f, err := p.loader.File(file)
		if err != nil {
			return nil, err
		}
		for _, e := range f.DatasetsLock {
			if m, ok := e.(*yamlfmt.Map); ok {
				if n, _ := m.Get("name"); n == name {
					return m, nil
				}
			}
		}
	}
	return nil, nil
}

func (p *repro) whyDataset(s *pipeline.Stage, d *pipeline.Dep) (*Reason, error) {
	lock, err := p.dataset(s, d)
	if err != nil {
		return nil, err
	}
	r := &Reason{Kind: WhyDep, Path: d.Path, Old: d.Dataset}
	switch {
	case lock == nil:
		r.State = "not in sync"
	case d.Dataset == nil:
		r.State, r.New = IsNew, lock
	case !yamlfmt.Equal(d.Dataset, lock):
		r.State, r.New = IsModified, lock
	default:
		return nil, nil
	}
	return r, nil
}

func (p *repro) readDataset(s *pipeline.Stage, d *pipeline.Dep) error {
	lock, err := p.dataset(s, d)
	if err == nil && lock == nil {
		err = errs.New(errs.NotFound, "Dataset information missing from %s file", path.Base(pipeline.LockFile(s.File)))
	}
	if err == nil {
		d.Dataset = lock
	}
	return err
}

// explain finds out what would happen to each stage and why, and changes
// nothing. What a stage before it would make is not known, so what needs it
// may run or not.
func (p *repro) explain(ctx context.Context) error {
	for _, st := range p.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		why, err := p.why(ctx, st.stage, whyOptions{allowMissing: p.o.AllowMissing, needs: st.all, all: true})
		if err != nil {
			return reproError(err, st)
		}
		st.state, st.outcome, st.why = stepDone, StageSkipped, why
		if st.force {
			st.why = append([]Reason{{Kind: WhyForced}}, why...)
		}
		if len(st.why) > 0 {
			st.outcome = StageWould
		}
		if st.stage.Frozen {
			continue
		}
		for _, n := range st.needs {
			if n.outcome == StageWould || n.outcome == StageMay {
				st.why = append(st.why, Reason{Kind: WhyStage, Path: n.addr})
				switch {
				case p.o.ForceDownstream:
					st.outcome = StageWould
				case st.outcome == StageSkipped:
					st.outcome = StageMay
				}
			}
		}
	}
	return nil
}
