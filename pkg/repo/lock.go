package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// paramsStatus compares a stage's parameters with the lock.
func (r *Repo) paramsStatus(s *pipeline.Stage, into *StageStatus) error {
	for _, p := range s.Params {
		rel := path.Join(s.WDir, p.Path)
		st := PathStatus{Path: r.Show(rel)}
		now, err := pipeline.ReadParams(workFS{r.Dir}, rel, p.Keys)
		switch {
		case errs.Is(err, errs.NotFound):
			st.State = IsDeleted
		case err != nil:
			return err
		case p.Values == nil:
			st.State = IsNew
		default:
			st.Params = compareParams(p, now)
		}
		if st.State != "" || len(st.Params) > 0 {
			into.Deps = append(into.Deps, st)
		}
	}
	return nil
}

// compareParams lists the parameters that are not what the lock has.
func compareParams(p *pipeline.ParamDep, now *pipeline.Lookup) []ParamStatus {
	keys := p.Keys
	if len(keys) == 0 {
		keys = append(append([]string(nil), now.Keys...), p.Values.Keys...)
	}
	var list []ParamStatus
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		a, inLock := p.Values.Values[k]
		b, inFile := now.Values[k]
		switch {
		case !inFile:
			list = append(list, ParamStatus{k, IsDeleted})
		case !inLock:
			list = append(list, ParamStatus{k, IsNew})
		case !pipeline.EqualParams(a, b):
			list = append(list, ParamStatus{k, IsModified})
		}
	}
	return list
}

// commandChanged reports whether a stage's command is not the one that ran.
func commandChanged(s *pipeline.Stage) bool {
	switch locked := s.LockedCmd.(type) {
	case string:
		return s.CmdIsList || len(s.Cmd) != 1 || s.Cmd[0] != locked
	case []any:
		if !s.CmdIsList || len(s.Cmd) != len(locked) {
			return true
		}
		for i, c := range locked {
			if c != any(s.Cmd[i]) {
				return true
			}
		}
		return false
	}
	return len(s.Cmd) > 0
}

// writeLock records a stage in dvc.lock as its fields are now and returns the
// files that changed.
func (r *Repo) writeLock(s *pipeline.Stage) ([]string, error) {
	file := pipeline.LockFile(s.File)
	old, err := r.Dir.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, changed, err := pipeline.UpdateLock(file, old, []pipeline.LockChange{{Name: s.Name, Entry: s.LockEntry()}})
	if err != nil || !changed {
		return nil, err
	}
	if err := r.Dir.WriteFile(file, text, 0o666); err != nil {
		return nil, fmt.Errorf("write %q: %w", r.Show(file), err)
	}
	return []string{file}, nil
}

// dropStage takes a stage out of dvc.yaml and dvc.lock and returns the files
// that changed. The lock goes first: an entry without a stage would stay for
// ever, a stage without an entry has merely not run.
func (r *Repo) dropStage(s *pipeline.Stage) ([]string, error) {
	if err := pipeline.CheckRewritable(s, "remove", r.address(s)); err != nil {
		return nil, err
	}
	text, err := r.Dir.ReadFile(s.File)
	if err != nil {
		return nil, err
	}
	left, err := pipeline.RemoveStage(s.File, text, s.Name)
	if err != nil {
		return nil, err
	}
	files := []string{s.File}
	lock := pipeline.LockFile(s.File)
	old, err := r.Dir.ReadFile(lock)
	if err == nil {
		locked, changed, err := pipeline.RemoveFromLock(lock, old, s.Name)
		if err != nil {
			return nil, err
		}
		if changed {
			files = append(files, lock)
			if err := r.putOrRemove(lock, locked); err != nil {
				return nil, err
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return files, r.putOrRemove(s.File, left)
}

// putOrRemove writes a file, or deletes it if there is no text.
func (r *Repo) putOrRemove(rel string, text []byte) error {
	if text == nil {
		return r.removeFile(rel)
	}
	return r.Dir.WriteFile(rel, text, 0o666)
}
