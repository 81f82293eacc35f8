package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// side is one of two states of the data that are compared: what is recorded
// in the workspace or a commit, or what lies in the workspace.
type side struct {
	outs map[string]sideOut
}

// sideOut is one out of a side.
type sideOut struct {
	digest object.Digest // zero if none is recorded
	isDir  bool
	// files is the folder's content; unknown is set if it cannot be told,
	// because the manifest is nowhere at hand.
	files   object.Manifest
	unknown bool
	// odd is set for what is no data, such as a link out of the repository:
	// it has no digest and is never what is recorded.
	odd bool
}

// recordedSide is what stages record. Manifests are read if files is set.
func (r *Repo) recordedSide(ctx context.Context, stages *Stages, files bool) (side, error) {
	s := side{outs: map[string]sideOut{}}
	for _, t := range stages.Outs() {
		o := t.Out
		if !o.Cache || o.IsExternal() || outOfRoot(o.RepoPath()) {
			continue
		}
		out := sideOut{digest: o.Digest, isDir: o.Digest.IsDir()}
		if out.isDir && files {
			m, err := r.Cache.ReadManifest(ctx, o.Digest)
			switch {
			case ctx.Err() != nil:
				return s, ctx.Err()
			case err != nil:
				out.unknown = true
				if !errs.Is(err, errs.NotFound) {
					r.warn("the list of files of %s cannot be used: %v", disk.Quote(r.Show(o.RepoPath())), err)
				}
			default:
				out.files = m
			}
		}
		s.outs[o.RepoPath()] = out
	}
	return s, nil
}

// workspaceSide is what lies at the outs' paths, hashed as the record has it.
func (r *Repo) workspaceSide(ctx context.Context, stages *Stages) (side, error) {
	s := side{outs: map[string]sideOut{}}
	task := r.Progress.Start("Scanning", -1, -1)
	defer task.Done()
	for _, t := range stages.Outs() {
		o := t.Out
		if !o.Cache || o.IsExternal() || outOfRoot(o.RepoPath()) {
			continue
		}
		alg := o.Digest.Algorithm()
		if alg == object.None {
			alg = r.Alg
		}
		sc := r.scanner(alg)
		sc.Task = task
		rel := o.RepoPath()
		have, err := sc.Scan(ctx, rel, r.rulesAbove(rel))
		if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
			continue
		}
		if errs.Is(err, errs.Invalid) {
			r.warn("%v", r.behindLink(rel, err))
			s.outs[rel] = sideOut{odd: true, unknown: true}
			continue
		}
		if err != nil {
			return s, r.behindLink(rel, err)
		}
		s.outs[rel] = sideOut{digest: have.Digest, isDir: have.IsDir, files: have.Files}
	}
	return s, nil
}

// The kinds of a change.
type changeType uint8

const (
	unchanged changeType = iota
	added
	deleted
	modified
	renamed
	unknown
)

// change is one path that two sides have, in the order new over old.
type change struct {
	typ      changeType
	path     string // of the old side for a rename
	newPath  string // of a rename
	isDir    bool
	old, new object.Digest
}

// shown is a path with a slash behind a folder.
func (c change) shown() string {
	if c.isDir {
		return c.path + "/"
	}
	return c.path
}

// compareSides lists the paths of both sides, with the files of folders if
// granular is set.
func compareSides(old, new side, granular bool) []change {
	paths := map[string]bool{}
	for p := range old.outs {
		paths[p] = true
	}
	for p := range new.outs {
		paths[p] = true
	}
	sorted := make([]string, 0, len(paths))
	for p := range paths {
		sorted = append(sorted, p)
	}
	sort.Strings(sorted)
	var list []change
	for _, p := range sorted {
		a, inOld := old.outs[p]
		b, inNew := new.outs[p]
		c := change{typ: kindOf(a.digest, b.digest), path: p, old: a.digest, new: b.digest}
		c.isDir = b.isDir || !inNew && a.isDir
		if a.digest.IsZero() && b.digest.IsZero() {
			continue
		}
		if b.odd {
			c.typ, c.isDir = modified, a.isDir
		}
		list = append(list, c)
		if granular {
			list = append(list, compareFiles(p, a, b, inOld, inNew)...)
		}
	}
	return list
}

func kindOf(a, b object.Digest) changeType {
	switch {
	case a == b:
		return unchanged
	case a.IsZero():
		return added
	case b.IsZero():
		return deleted
	}
	return modified
}

// compareFiles lists the files of two states of a folder.
func compareFiles(out string, a, b sideOut, inOld, inNew bool) []change {
	var list []change
	dontKnow := a.unknown || b.unknown
	i, j := 0, 0
	for i < len(a.files) || j < len(b.files) {
		var c change
		switch {
		case j == len(b.files) || i < len(a.files) && a.files[i].Path < b.files[j].Path:
			c = change{typ: deleted, path: a.files[i].Path, old: a.files[i].Digest}
			i++
		case i == len(a.files) || b.files[j].Path < a.files[i].Path:
			c = change{typ: added, path: b.files[j].Path, new: b.files[j].Digest}
			j++
		default:
			c = change{path: a.files[i].Path, old: a.files[i].Digest, new: b.files[j].Digest}
			c.typ = kindOf(c.old, c.new)
			i++
			j++
		}
		if dontKnow {
			c.typ = unknown
		}
		c.path = path.Join(out, c.path)
		list = append(list, c)
	}
	return list
}

// findRenames joins an added and a deleted path of one content, in order of
// their names.
func findRenames(list []change) []change {
	gone := map[object.Digest][]int{}
	for i, c := range list {
		if c.typ == deleted {
			gone[c.old] = append(gone[c.old], i)
		}
	}
	used := map[int]bool{}
	for i := range list {
		c := &list[i]
		if c.typ != added {
			continue
		}
		if from := gone[c.new]; len(from) > 0 {
			gone[c.new] = from[1:]
			used[from[0]] = true
			*c = change{typ: renamed, path: list[from[0]].path, newPath: c.path, isDir: c.isDir, old: c.new, new: c.new}
		}
	}
	kept := list[:0]
	for i, c := range list {
		if !used[i] {
			kept = append(kept, c)
		}
	}
	return kept
}

// filterChanges keeps the changes at or below one of the paths; no paths keep
// all.
func filterChanges(list []change, paths []string) []change {
	if len(paths) == 0 {
		return list
	}
	kept := list[:0]
	for _, c := range list {
		at := c.path
		if c.typ == renamed {
			at = c.newPath
		}
		for _, p := range paths {
			if p == "." || at == p || strings.HasPrefix(at, p+"/") {
				kept = append(kept, c)
				break
			}
		}
	}
	return kept
}

// pathsOf turns typed targets into paths of data: a pointer file stands for
// its outs.
func (r *Repo) pathsOf(stages *Stages, targets []string) ([]string, error) {
	var paths []string
	for _, t := range targets {
		rel, err := r.Rel(t)
		if err != nil {
			return nil, err
		}
		if list := stages.File(rel); len(list) > 0 {
			for _, s := range list {
				for _, o := range s.Outs {
					paths = append(paths, o.RepoPath())
				}
			}
			continue
		}
		paths = append(paths, rel)
	}
	return paths, nil
}

// notCached returns the changes whose old content the cache does not hold.
func (r *Repo) notCached(ctx context.Context, list []change) ([]change, error) {
	ds := make([]object.Digest, 0, len(list))
	for _, c := range list {
		if !c.old.IsZero() {
			ds = append(ds, c.old)
		}
	}
	have, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	var missing []change
	for _, c := range list {
		if _, ok := have[c.old]; !ok && !c.old.IsZero() {
			if c.typ == renamed || c.typ == deleted {
				c.isDir = c.old.IsDir()
			}
			missing = append(missing, c)
		}
	}
	return missing, nil
}
