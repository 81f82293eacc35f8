package repo

import (
	"bytes"
	"context"
	"fmt"
	"path"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// FreezeResult tells what was frozen or set free.
type FreezeResult struct {
	Stage   string `json:"stage"`
	File    string `json:"file"`
	Frozen  bool   `json:"frozen"`
	Changed bool   `json:"changed"`

	IsPointer bool   `json:"-"`
	Name      string `json:"-"` // of a stage in a dvc.yaml
}

// Freeze sets or takes away frozen from a stage or a .dvc file. Only the line
// that says so changes.
func (r *Repo) Freeze(ctx context.Context, target string, frozen bool) (FreezeResult, error) {
	var res FreezeResult
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	s, err := r.oneStage(target)
	if err != nil {
		return res, err
	}
	res = FreezeResult{Stage: r.address(s), File: r.Show(s.File), Frozen: frozen, IsPointer: s.IsPointer(), Name: s.Name}
	if err := pipeline.CheckRewritable(s, "dump", r.address(s)); err != nil {
		return res, errs.WithHint(err, "Its text is that of a template: write `frozen: true` there by hand.")
	}
	old, err := r.Dir.ReadFile(s.File)
	if err != nil {
		return res, err
	}
	text := old
	if s.IsPointer() {
		if s.Frozen != frozen {
			s.Frozen = frozen
			text = s.EncodeDvcFile(old)
		}
	} else if text, err = pipeline.SetFrozen(s.File, old, s.Name, frozen); err != nil {
		return res, err
	}
	if bytes.Equal(text, old) {
		return res, nil
	}
	r.forgetStages()
	res.Changed = true
	if err := r.Dir.WriteFile(s.File, text, 0o666); err != nil {
		return res, fmt.Errorf("write %q: %w", r.Show(s.File), err)
	}
	return res, nil
}

// oneStage finds the stage or .dvc file that a target names. Other stage files
// than its own are not read.
func (r *Repo) oneStage(target string) (*pipeline.Stage, error) {
	file, name, err := pipeline.ParseTarget(target, false)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = pipeline.ProjectFile
		if there, err := r.exists(path.Join(r.cwd, file)); err != nil || !there {
			return nil, errs.New(errs.NotFound, "'%s' does not exist", r.abs(path.Join(r.cwd, file)))
		}
	}
	rel, err := r.Rel(file)
	if err != nil {
		return nil, err
	}
	if name == "" && path.Base(rel) == pipeline.ProjectFile {
		if there, err := r.exists(rel); err == nil && there {
			return nil, errs.New(errs.Invalid, "Stage name not provided.Please specify the name as: `%s:stage_name`", r.Show(rel))
		}
	}
	l := pipeline.NewLoader(workFS{r.Dir}, r.loaderOptions(r.Ignore))
	found, err := l.Stages(rel, name, false)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || !found[0].IsPointer() && found[0].Name != name {
		return nil, errs.New(errs.NotFound, "Stage '%s' not found inside '%s' file", name, r.Show(rel))
	}
	return found[0], nil
}
