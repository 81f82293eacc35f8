package repo

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// Move gives data that a pointer file tracks another path, together with the
// pointer file and the line in .gitignore. Paths are as the user typed them.
func (r *Repo) Move(ctx context.Context, from, to string) (RemoveResult, error) {
	var res RemoveResult
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	out, err := r.movable(stages, from)
	if err != nil {
		return res, err
	}
	old := out.RepoPath()
	dst, err := r.moveTarget(stages, old, to)
	if err != nil {
		return res, err
	}
	if dst == old {
		return res, nil
	}
	files, err := r.moveOut(out, old, dst)
	res.Changed = unique(files)
	return res, errors.Join(err, r.autostage(ctx, res.Changed), r.saveState())
}

// movable finds the out to move. Only an out of a pointer file that has one
// out can be moved: others have their paths in commands.
func (r *Repo) movable(stages *Stages, from string) (*pipeline.Out, error) {
	rel, err := r.Rel(from)
	if err != nil {
		return nil, err
	}
	t := stages.Find(rel)
	if list := stages.File(rel); len(list) == 1 && len(list[0].Outs) == 1 {
		t = &Target{Stage: list[0], Out: list[0].Outs[0]}
	}
	switch {
	case t == nil || t.Under != "":
		return nil, errs.New(errs.NotFound, "Unable to find DVC file with output '%s'", from)
	case !t.Stage.IsPointer():
		addr := r.address(t.Stage)
		return nil, errs.New(errs.Unsupported, "move is not permitted for stages that are not data sources. "+
			"You need to either move '%s' to a new location and edit it by hand, or remove '%s' and create a new one at the desired location.", addr, addr)
	case len(t.Stage.Outs) != 1:
		return nil, errs.New(errs.Unsupported, "unable to move '%s': it is one of several outputs of %s; change its path there", from, r.address(t.Stage))
	}
	return t.Out, nil
}

// moveTarget decides the new path: into a folder that exists, or exactly as
// given.
func (r *Repo) moveTarget(stages *Stages, old, to string) (string, error) {
	dst, err := r.Rel(to)
	if err != nil {
		return "", err
	}
	st, err := r.Dir.LstatPath(dst)
	into := err == nil && st.IsDir() && dst != old
	if t := stages.Find(dst); into && t != nil && t.Under == "" {
		into = false // a tracked folder is no place to move into
	}
	if into || strings.HasSuffix(to, "/") {
		dst = path.Join(dst, path.Base(old))
	}
	switch t := stages.Find(dst); {
	case dst == old:
		return dst, nil
	case pipeline.IsStageFile(path.Base(dst)):
		return "", errs.New(errs.Invalid, "DVC file '%s' cannot be an output.", r.Show(dst))
	case t != nil && t.Under == "":
		addr := r.address(t.Stage)
		return "", errs.New(errs.Conflict, "output '%s' is already specified in stage: '%s'.\nUse `dvc remove %s` to stop tracking the overlapping output.", r.Show(dst), addr, addr)
	case t != nil:
		return "", errs.New(errs.Conflict, "'%s' lies in '%s', which %s tracks", r.Show(dst), r.Show(t.Out.RepoPath()), r.address(t.Stage))
	case strings.HasPrefix(dst, old+"/"):
		return "", errs.New(errs.Invalid, "cannot move '%s' into itself", r.Show(old))
	}
	if ok, err := r.exists(path.Dir(dst)); err != nil || !ok {
		return "", errs.New(errs.NotFound, "stage working dir '%s' does not exist", r.abs(path.Dir(dst)))
	}
	for _, p := range []string{dst, dst + ".dvc"} {
		if ok, err := r.exists(p); err != nil || ok {
			return "", errs.New(errs.Conflict, "'%s' exists", r.Show(p))
		}
	}
	return dst, nil
}

// moveOut renames the data, then writes the new pointer file, then removes
// the old one: at every moment one of them describes the data that is there,
// or the data that a checkout brings back.
func (r *Repo) moveOut(out *pipeline.Out, old, dst string) ([]string, error) {
	s := out.Stage
	oldFile, newFile := s.File, s.File
	if s.File == old+".dvc" || path.Base(s.File) == path.Base(old)+".dvc" {
		newFile = dst + ".dvc"
	}
	ignored, err := r.gitIgnore(dst)
	if err != nil {
		return nil, err
	}
	files := append([]string{oldFile, newFile}, ignored...)
	if err := r.renameData(old, dst); err != nil {
		return files, err
	}
	s.File, s.WDir = newFile, path.Dir(newFile)
	out.Path = path.Base(dst)
	if newFile != dst+".dvc" {
		out.Path = dst
	}
	if err := r.Dir.WriteFile(newFile, s.EncodeDvcFile(nil), 0o666); err != nil {
		return files, err
	}
	if oldFile != newFile {
		if err := r.removeFile(oldFile); err != nil {
			return files, err
		}
	}
	unignored, err := r.gitUnignore(old)
	r.State().Forget(old)
	r.forgetOuts(old)
	r.rememberOuts(dst)
	return append(files, unignored...), err
}

// renameData moves what is at old; nothing there is fine, checkout brings it.
func (r *Repo) renameData(old, dst string) error {
	from, name, err := r.Dir.Parent(old)
	if err != nil {
		return ignoreMissing(err)
	}
	defer from.Close()
	to, newName, err := r.Dir.Parent(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	return ignoreMissing(from.Rename(name, to, newName))
}
