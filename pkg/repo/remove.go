package repo

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// RemoveResult tells which files changed.
type RemoveResult struct {
	Changed []string `json:"files"`
}

// Remove stops tracking what pointer files and stages track, and with outs
// set deletes the data too. Without, the data stays as plain files. As in DVC,
// nothing is staged, whatever core.autostage says.
func (r *Repo) Remove(ctx context.Context, targets []string, outs bool) (RemoveResult, error) {
	var res RemoveResult
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	stages, err := r.StagesFor(ctx, targets, CollectOptions{})
	if err != nil {
		return res, err
	}
	var todo []*pipeline.Stage
	for _, t := range targets {
		found, err := r.removable(stages, t)
		if err != nil {
			return res, err
		}
		todo = append(todo, found...)
	}
	for _, s := range todo {
		if err := pipeline.CheckRewritable(s, "remove", r.address(s)); err != nil {
			return res, err // before any of its outs is touched
		}
	}
	for _, s := range todo {
		files, err := r.removeStage(ctx, s, outs)
		if err != nil {
			return res, err
		}
		res.Changed = append(res.Changed, files...)
	}
	res.Changed = unique(res.Changed)
	return res, r.saveState()
}

// removable finds the stages that a target of remove names: pointer files and
// stages, but not data.
func (r *Repo) removable(stages *Stages, target string) ([]*pipeline.Stage, error) {
	if file, name, ok := splitStage(target); ok {
		rel, err := r.Rel(file)
		if err != nil {
			return nil, err
		}
		for _, s := range stages.File(rel) {
			if s.Name == name {
				return []*pipeline.Stage{s}, nil
			}
		}
	}
	rel, err := r.Rel(target)
	if err != nil {
		return nil, err
	}
	if found := stages.File(rel); len(found) > 0 {
		return found, nil
	}
	return nil, r.notRemovable(stages, target, rel)
}

// notRemovable says that a target of remove is no stage, and what may have
// been meant.
func (r *Repo) notRemovable(stages *Stages, target, rel string) error {
	file, name, err := pipeline.ParseTarget(target, false)
	if err != nil {
		return err
	}
	if name == "" {
		e := errs.New(errs.NotFound, "'%s' does not exist", r.abs(rel))
		if r.Git != nil {
			if tracked, err := r.Git.IsTracked(r.gitPath(rel)); err == nil && tracked {
				return errs.WithHint(e, "Git has it: did you mean `git checkout -- %s`?", r.Show(rel))
			}
		}
		return e
	}
	file = orDefault(file, pipeline.ProjectFile)
	why := fmt.Sprintf("'%s' does not exist", file)
	if at, err := r.Rel(file); err == nil {
		if there, _ := r.exists(at); there {
			why = fmt.Sprintf("Stage '%s' not found inside '%s' file", name, r.Show(at))
		}
	}
	e := errs.New(errs.NotFound, "%s", why)
	t := stages.Find(rel)
	switch {
	case t != nil && t.Under == "" && t.Stage.IsPointer():
		return errs.New(errs.NotFound, "'%s' is not a .dvc file. Do you mean '%s'?: %s", target, r.Show(t.Stage.File), why)
	case t != nil && t.Under == "":
		return errs.WithHint(e, "It is an output of '%s'.", r.address(t.Stage))
	}
	for _, s := range stages.All {
		if group, _, ok := strings.Cut(s.Name, "@"); ok && s.Generated && group == name {
			return errs.WithHint(e, "It is a group of foreach or matrix: take it out of '%s' by hand.", r.Show(s.File))
		}
	}
	if near := nearest(target, r.names(stages)); near != "" && near != target {
		e = errs.WithHint(e, "Did you mean '%s'?", near)
	}
	return e
}

func (r *Repo) removeStage(ctx context.Context, s *pipeline.Stage, outs bool) ([]string, error) {
	var files []string
	for _, o := range s.Outs {
		rel := o.RepoPath()
		if o.IsExternal() || outOfRoot(rel) {
			continue
		}
		if outs {
			if err := r.deleteOut(rel); err != nil {
				return files, err
			}
		} else if err := r.unprotect(ctx, rel); err != nil && !errs.Is(err, errs.NotFound) {
			return files, err
		}
		r.forgetOuts(rel)
		changed, err := r.gitUnignore(rel)
		if err != nil {
			return files, err
		}
		files = append(files, changed...)
	}
	// The record goes last, so that a command cut short can be repeated.
	if s.IsPointer() {
		return append(files, s.File), r.removeFile(s.File)
	}
	changed, err := r.dropStage(s)
	return append(files, changed...), err
}

// deleteOut deletes an out's data and forgets it.
func (r *Repo) deleteOut(rel string) error {
	dir, name, err := r.Dir.Parent(rel)
	if err != nil {
		return r.behindLink(rel, ignoreMissing(err))
	}
	defer dir.Close()
	r.State().Forget(rel)
	return dir.RemoveAll(name)
}
