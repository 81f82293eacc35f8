package repo

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// compareDep is a reason that a dependency gives, wherever it lies.
func (p *repro) compareDep(ctx context.Context, d *pipeline.Dep) (*Reason, error) {
	if !strings.Contains(d.Path, "://") {
		return p.compare(ctx, &d.Entry, d.RepoPath())
	}
	state, err := p.urlStatus(ctx, d)
	if state == "" || err != nil {
		return nil, err
	}
	return &Reason{Path: p.showURL(d), State: state}, nil
}

// urlStatus is placeState in the words of status.
func (r *Repo) urlStatus(ctx context.Context, d *pipeline.Dep) (string, error) {
	state, err := r.placeState(ctx, d)
	if state == IsModified && isBlank(d) {
		state = IsNew
	}
	return state, err
}

// readURL puts what is at a URL now into a dependency.
func (p *repro) readURL(ctx context.Context, d *pipeline.Dep) error {
	pl, err := p.openDep(ctx, d, true)
	if err != nil {
		return err
	}
	defer pl.close()
	s, err := pl.survey(ctx)
	if gone, ok := errors.AsType[*missingPlace](err); ok {
		return &errs.Error{Kind: errs.NotFound, Msg: gone.Error(), Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	in, err := pl.incoming(s)
	if err != nil {
		return err
	}
	return p.recordDep(ctx, d, pl, s, in, nil)
}

// bringAgain brings an import that is not frozen, or has no content yet: from
// the cache if nothing changed, else from where it comes from.
func (p *repro) bringAgain(ctx context.Context, st *step) error {
	s := st.stage
	old, err := p.Dir.ReadFile(s.File)
	if err != nil {
		return err
	}
	out := s.Outs[0]
	plan := &importPlan{rel: out.RepoPath(), stage: s, out: out, old: old}
	t := Target{Stage: s, Out: out}
	if !st.force && s.MD5 == s.ComputeMD5() && !out.Digest.IsZero() {
		cached, err := p.cached(ctx, t)
		if err != nil {
			return err
		}
		if cached && (s.Deps[0].Repo != nil || p.sameURL(ctx, s.Deps[0])) {
			p.o.Say("Importing '%s' -> '%s'", p.depName(s.Deps[0]), p.Show(plan.rel))
			got := &index.Tree{Digest: out.Digest, Size: out.Size, IsDir: out.Digest.IsDir()}
			if got.IsDir {
				if got.Files, err = p.Cache.ReadManifest(ctx, out.Digest); err != nil {
					return err
				}
			}
			return p.placeTree(ctx, plan.rel, got, false)
		}
	}
	d := s.Deps[0]
	switch {
	case d.DB != nil:
		return errs.New(errs.Unsupported, "'%s' is an import from a database, which cairn cannot run", st.addr)
	case d.Repo != nil:
		pin := d.Repo.RevLock
		if pin == "" {
			pin = d.Repo.Rev
		}
		err = p.bringImport(ctx, plan, importing{rev: pin, say: p.o.Say})
	default:
		err = p.bringURL(ctx, plan, urlBringing{say: p.o.Say, update: true})
	}
	if err != nil {
		return err
	}
	_, err = p.finishImport(ctx, plan, true)
	return err
}

func (p *repro) sameURL(ctx context.Context, d *pipeline.Dep) bool {
	state, err := p.placeState(ctx, d)
	return err == nil && state == ""
}
