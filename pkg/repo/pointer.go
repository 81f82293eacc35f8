package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// writePointer writes a .dvc file, keeping the user's layout if it exists.
// Nothing is written if nothing changed.
func (r *Repo) writePointer(s *pipeline.Stage, old []byte) error {
	text := s.EncodeDvcFile(old)
	if old != nil && bytes.Equal(text, old) {
		return nil
	}
	span := r.phase("write pointer files", "files")
	defer span.End()
	span.Add(1, int64(len(text)))
	if err := r.Dir.WriteFile(s.File, text, 0o666); err != nil {
		return fmt.Errorf("write %q: %w", r.Show(s.File), err)
	}
	return nil
}

// gitIgnore makes Git leave outs alone and returns the files that changed.
func (r *Repo) gitIgnore(rels ...string) ([]string, error) {
	if r.Git == nil {
		return nil, nil
	}
	defer r.phase("write .gitignore", "").End()
	changed, err := r.Git.IgnoreAdd(r.gitPaths(rels)...)
	return r.fromGit(changed), err
}

// gitUnignore takes outs' lines out of .gitignore again.
func (r *Repo) gitUnignore(rels ...string) ([]string, error) {
	if r.Git == nil {
		return nil, nil
	}
	changed, err := r.Git.IgnoreRemove(r.gitPaths(rels)...)
	return r.fromGit(changed), err
}

func (r *Repo) gitPaths(rels []string) []string {
	list := make([]string, len(rels))
	for i, rel := range rels {
		list[i] = r.gitPath(rel)
	}
	return list
}

// fromGit turns paths relative to Git's root into ones relative to ours.
func (r *Repo) fromGit(files []string) []string {
	list := make([]string, 0, len(files))
	for _, f := range files {
		rel, err := r.relative(filepath.Join(r.Git.Root(), filepath.FromSlash(f)))
		if err != nil {
			rel = f
		}
		list = append(list, rel)
	}
	return list
}

// autostage hands files to Git's index where that is configured.
func (r *Repo) autostage(ctx context.Context, files []string) error {
	if r.Git == nil || !r.Config.Core.Autostage || len(files) == 0 {
		return nil
	}
	defer r.phase("git add", "").End()
	return r.Git.Stage(ctx, r.gitPaths(files)...)
}

// Autostage reports whether changes go to Git's index by themselves.
func (r *Repo) Autostage() bool { return r.Config.Core.Autostage }

// HasGit reports whether the repository lies in a Git one.
func (r *Repo) HasGit() bool { return r.Git != nil }

// expandTargets replaces patterns by the paths they match.
func (r *Repo) expandTargets(targets []string, glob bool) ([]string, error) {
	if !glob {
		return targets, nil
	}
	var out []string
	for _, t := range targets {
		pattern := t
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(r.env.Dir, t)
		}
		found, err := doublestar.FilepathGlob(pattern, doublestar.WithNoFollow())
		if err != nil {
			return nil, errs.New(errs.Invalid, "%q is not a valid pattern", t)
		}
		sort.Strings(found)
		n := len(out)
		for _, f := range found {
			rel, err := r.relative(f)
			if err != nil || pipeline.IsStageFile(filepath.Base(f)) || rel == dvcDir || strings.HasPrefix(rel, dvcDir+"/") {
				continue
			}
			if by, err := r.ignoredBy(rel); err == nil && by == "" {
				out = append(out, f)
			}
		}
		if len(out) == n {
			return nil, errs.New(errs.NotFound, "pattern %q matches no file or folder", t)
		}
	}
	return out, nil
}

// nearest returns the name most like the given one, or "" if none is.
func nearest(name string, among []string) string {
	best, at := "", len(name)/3+1
	for _, n := range among {
		if d := editDistance(name, n, at); d < at {
			best, at = n, d
		}
	}
	return best
}

// editDistance counts the letters to insert, remove or change to get from a
// to b; beyond most it stops counting.
func editDistance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// exists reports whether something is at a path, and fails only if that
// cannot be told.
func (r *Repo) exists(rel string) (bool, error) {
	_, err := r.Dir.LstatPath(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
