package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
)

// VerifyOptions of [Repo.Verify].
type VerifyOptions struct {
	Targets      []string // stages, stage files and outs; none is everything
	Remote       string   // "" is each out's own, or the default
	NoRemote     bool     // ask no remote
	VerifyRemote bool     // ask for each object, whatever the remote says of whole folders
}

// The kinds of problems besides those of [WhyKind].
const (
	WhyNotRun WhyKind = "not run" // dvc.lock does not know the stage
	WhyRemote WhyKind = "remote"  // the remote lacks an object, or has another
)

// VerifyProblem is a reason why the repository is not what it says.
type VerifyProblem struct {
	Stage string `json:"stage"` // its address; the stage file of data
	Reason
	// Digest is the object that a remote lacks, and Remote its name.
	Digest string `json:"digest,omitempty"`
	Remote string `json:"remote,omitempty"`
}

// VerifyResult is what was found.
type VerifyResult struct {
	OK       bool            `json:"ok"`
	Stages   int             `json:"stages"`
	Objects  int             `json:"objects"` // asked for at remotes
	Remotes  []string        `json:"remotes"`
	Problems []VerifyProblem `json:"problems"`
	// Unchecked are dependencies of which nothing but the data could tell.
	Unchecked []VerifyProblem `json:"unchecked"`
}

// Verify checks without the data that what is recorded is true: dvc.lock goes
// with dvc.yaml, with the parameters, with files that Git tracks and with what
// other stages recorded; and the remotes have all that is named. It takes no
// lock and changes nothing. Problems are no error.
func (r *Repo) Verify(ctx context.Context, o VerifyOptions) (VerifyResult, error) {
	res := VerifyResult{Remotes: []string{}, Problems: []VerifyProblem{}, Unchecked: []VerifyProblem{}}
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	chosen, err := r.stagesToVerify(stages, o.Targets)
	if err != nil {
		return res, err
	}
	v := &verifier{repro: newRepro(r, ReproOptions{Explain: true}), stages: stages, res: &res, manifests: map[object.Digest]object.Manifest{}}
	defer v.release()
	defer v.closeStores()
	v.o = o
	for _, s := range chosen {
		if err := v.stage(ctx, s); err != nil {
			return res, err
		}
	}
	if !o.NoRemote {
		if err := v.remotes(ctx); err != nil {
			return res, err
		}
	}
	res.Stages, res.OK = len(chosen), len(res.Problems) == 0
	return res, nil
}

func (r *Repo) stagesToVerify(stages *Stages, targets []string) ([]*pipeline.Stage, error) {
	if len(targets) == 0 {
		return stages.All, nil
	}
	in := map[*pipeline.Stage]bool{}
	for _, t := range targets {
		found, err := r.collectOne(stages, t, CollectOptions{})
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			in[f.Stage] = true
		}
		for _, s := range r.stagesMeant(stages, t) {
			in[s] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(stages.All), func(s *pipeline.Stage) bool { return !in[s] }), nil
}

// verifier is one run of the verb.
type verifier struct {
	*repro
	o         VerifyOptions
	stages    *Stages
	res       *VerifyResult
	manifests map[object.Digest]object.Manifest
	stores    map[string]openStore
}

type openStore struct {
	store object.Store
	name  string
}

func (v *verifier) closeStores() {
	for _, s := range v.stores {
		closeStore(s.store)
	}
}

// open opens a remote once.
func (v *verifier) open(ctx context.Context, name string) (openStore, error) {
	if s, ok := v.stores[name]; ok {
		return s, nil
	}
	store, full, err := v.openRemote(ctx, name)
	if err != nil {
		return openStore{}, err
	}
	if v.stores == nil {
		v.stores = map[string]openStore{}
	}
	v.stores[name] = openStore{store, full}
	return v.stores[name], nil
}

func (v *verifier) problem(s *pipeline.Stage, why Reason) {
	v.res.Problems = append(v.res.Problems, VerifyProblem{Stage: v.address(s), Reason: why})
}

func (v *verifier) unchecked(s *pipeline.Stage, kind WhyKind, p string) {
	v.res.Unchecked = append(v.res.Unchecked, VerifyProblem{Stage: v.address(s), Reason: Reason{Kind: kind, Path: p}})
}

// stage checks what is recorded of a stage.
func (v *verifier) stage(ctx context.Context, s *pipeline.Stage) error {
	if s.IsPointer() {
		if s.MD5 != s.ComputeMD5() && (s.MD5 != "" || s.IsImport()) {
			v.problem(s, Reason{Kind: WhyChecksum, Path: v.Show(s.File)})
		}
		for _, o := range s.Outs {
			if o.Digest.IsZero() && !s.IsImport() && !o.IsExternal() {
				v.problem(s, Reason{Kind: WhyOut, Path: v.showOut(o), State: IsNew})
			}
		}
		return nil
	}
	if !s.HasLock {
		v.problem(s, Reason{Kind: WhyNotRun})
		return nil
	}
	if commandChanged(s) {
		v.problem(s, Reason{Kind: WhyCommand, Old: s.LockedCmd, New: commandValue(s)})
	}
	if !s.Frozen {
		for _, d := range s.Deps {
			if err := v.dep(ctx, s, d); err != nil {
				return err
			}
		}
		for _, d := range s.Params {
			if err := v.params(s, d); err != nil {
				return err
			}
		}
	}
	for _, o := range s.Outs {
		if err := v.out(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) params(s *pipeline.Stage, d *pipeline.ParamDep) error {
	rel := joinAny(s.WDir, d.Path)
	if o := v.stages.Graph.OutAbove(rel); o != nil && o.Cache {
		if there, err := v.there(rel); err != nil || !there {
			v.unchecked(s, WhyParam, v.Show(rel))
			return err
		}
	}
	why, err := v.whyParams(s, d, whyOptions{all: true})
	for _, w := range why {
		v.problem(s, w)
	}
	return err
}

// out checks an out that Git tracks; of others the record is all there is.
func (v *verifier) out(ctx context.Context, s *pipeline.Stage, o *pipeline.Out) error {
	switch {
	case o.Digest.IsZero():
		v.problem(s, Reason{Kind: WhyOut, Path: v.showOut(o), State: IsNew})
		return nil
	case o.Cache || o.IsExternal() || outOfRoot(o.RepoPath()):
		return nil
	}
	return v.compare(ctx, s, WhyOut, &o.Entry, o.RepoPath())
}

// compare hashes what lies in the workspace at a path.
func (v *verifier) compare(ctx context.Context, s *pipeline.Stage, kind WhyKind, e *pipeline.Entry, rel string) error {
	have, err := v.look(ctx, e, rel, e.Digest.Algorithm())
	switch {
	case errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err):
		v.problem(s, Reason{Kind: kind, Path: v.Show(rel), State: IsDeleted, Old: digestText(e.Digest)})
	case err != nil:
		return err
	case have.Digest != e.Digest:
		v.problem(s, Reason{Kind: kind, Path: v.Show(rel), State: IsModified, Old: digestText(e.Digest), New: digestText(have.Digest)})
	}
	return nil
}

// dep checks a dependency: against what another stage recorded of it, or
// against the file that Git tracks.
func (v *verifier) dep(ctx context.Context, s *pipeline.Stage, d *pipeline.Dep) error {
	rel := d.RepoPath()
	switch {
	case d.Repo != nil || d.DB != nil || strings.HasPrefix(d.Path, "ds://"):
		return nil
	case d.IsExternal() || outOfRoot(rel):
		v.unchecked(s, WhyDep, d.Path)
		return nil
	case d.Digest.IsZero():
		v.problem(s, Reason{Kind: WhyDep, Path: v.Show(rel), State: IsNew})
		return nil
	}
	if o := v.stages.Graph.OutAbove(rel); o != nil {
		return v.depOnOut(ctx, s, d, o)
	}
	for _, o := range v.stages.Graph.OutsAt(rel) {
		if there, err := v.there(o.RepoPath()); err != nil || !there {
			v.unchecked(s, WhyDep, v.Show(rel)) // a folder with data in it that are not here
			return err
		}
	}
	return v.compare(ctx, s, WhyDep, &d.Entry, rel)
}

func (v *verifier) depOnOut(ctx context.Context, s *pipeline.Stage, d *pipeline.Dep, o *pipeline.Out) error {
	rel := d.RepoPath()
	made := o.Digest
	if under := strings.TrimPrefix(rel, o.RepoPath()+"/"); under != rel && made.IsDir() {
		m, err := v.manifest(ctx, o)
		if err != nil {
			return err
		}
		if m == nil {
			v.unchecked(s, WhyDep, v.Show(rel))
			return nil
		}
		if f, ok := m.Find(under); ok {
			made = f.Digest
		} else if part := m.Under(under); len(part) > 0 {
			inner := make(object.Manifest, len(part))
			for i, f := range part {
				inner[i] = object.File{Path: strings.TrimPrefix(f.Path, under+"/"), Digest: f.Digest, Size: f.Size}
			}
			inner.Sort()
			_, made = inner.Encode(made.Algorithm())
		} else {
			v.problem(s, Reason{Kind: WhyDep, Path: v.Show(rel), State: IsDeleted, Old: digestText(d.Digest)})
			return nil
		}
	}
	switch {
	case made.IsZero(): // what makes it is a problem of its own
	case made.Algorithm() != d.Digest.Algorithm():
		v.unchecked(s, WhyDep, v.Show(rel)) // one was recorded by DVC 2
	case made != d.Digest:
		v.problem(s, Reason{Kind: WhyDep, Path: v.Show(rel), State: IsModified, Old: digestText(d.Digest), New: digestText(made)})
	}
	return nil
}

// manifest is the list of a folder's files, from the cache or the out's
// remote; nil if neither has it.
func (v *verifier) manifest(ctx context.Context, o *pipeline.Out) (object.Manifest, error) {
	if m, ok := v.manifests[o.Digest]; ok {
		return m, nil
	}
	from := []object.Store{v.Cache}
	if !v.o.NoRemote && o.Cache {
		s, err := v.open(ctx, orDefault(o.Remote, v.o.Remote))
		if err != nil {
			return nil, err
		}
		from = append(from, s.store)
	}
	for _, s := range from {
		m, err := object.ReadManifest(ctx, s, o.Digest)
		if err == nil {
			v.manifests[o.Digest] = m
			return m, nil
		}
		if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Invalid) {
			return nil, err
		}
	}
	v.manifests[o.Digest] = nil
	return nil, nil
}

// remotes asks the remotes for all that is named.
func (v *verifier) remotes(ctx context.Context) error {
	list, err := v.wantedObjects(ctx, CloudOptions{Targets: v.o.Targets, Remote: v.o.Remote}, true)
	if err != nil {
		return err
	}
	for _, w := range list {
		s, err := v.open(ctx, w.remote)
		if err != nil {
			return err
		}
		v.res.Remotes = append(v.res.Remotes, s.name)
		if err := v.remote(ctx, s, w); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) remote(ctx context.Context, s openStore, w *wanted) error {
	owner := map[string]string{}
	for _, st := range v.stages.All {
		for _, o := range st.Outs {
			owner[o.RepoPath()] = v.address(st)
		}
	}
	miss := func(b *bundle, it remote.Item, state string) {
		out := b.path
		for out != "." && owner[out] == "" {
			out = path.Dir(out)
		}
		v.res.Problems = append(v.res.Problems, VerifyProblem{Stage: owner[out], Remote: s.name, Digest: it.Digest.String(),
			Reason: Reason{Kind: WhyRemote, Path: v.Show(it.Path), State: state}})
	}
	// A manifest that no store has, or only a spoiled one, is found missing below.
	_ = readManifests(ctx, w.bundles, v.Cache, s.store)
	if err := ctx.Err(); err != nil {
		return err
	}
	there, err := remote.Look(ctx, s.store, transferItems(w.bundles), v.o.VerifyRemote)
	if err != nil {
		return err
	}
	seen := map[object.Digest]bool{}
	for _, b := range w.bundles {
		for it := range b.items() {
			if !seen[it.Digest] {
				seen[it.Digest] = true
				v.res.Objects++
			}
			far, ok := there.Size(it.Digest)
			switch {
			case !ok:
				miss(b, it, "missing")
			case it.Digest.IsDir() && b.hostile:
				miss(b, it, "damaged")
			case it.Size >= 0 && far >= 0 && far != it.Size:
				miss(b, it, fmt.Sprintf("%d bytes instead of %d", far, it.Size))
			}
		}
	}
	return nil
}
