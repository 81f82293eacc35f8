package repo

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// MergeFiles are the absolute paths of the three versions of a pointer file
// that Git hands to a merge driver. Ancestor is empty if there is none.
type MergeFiles struct{ Ancestor, Our, Their string }

// MergePointers merges two versions of a pointer file whose folders both
// changed and writes the result to f.Our; the folder's new manifest is stored
// before. Where that cannot be, f.Our stays as it is and the error says why:
// for files that both sides changed it is errs.Conflict and names them.
func (r *Repo) MergePointers(ctx context.Context, f MergeFiles) error {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ancestor, _, err := readVersion(f.Ancestor, true)
	if err != nil {
		return err
	}
	our, text, err := readVersion(f.Our, false)
	if err != nil {
		return err
	}
	their, _, err := readVersion(f.Their, false)
	if err != nil {
		return err
	}
	if err := r.checkAlgorithms([]*pipeline.Stage{our, their}); err != nil {
		return err
	}
	out, err := r.mergeStages(ctx, ancestor, our, their)
	if err != nil {
		return err
	}
	our.Outs = []*pipeline.Out{out}
	if merged := our.EncodeDvcFile(text); !bytes.Equal(merged, text) {
		return writeVersion(f.Our, merged)
	}
	return nil
}

// readVersion reads one version of a pointer file, nil if it may be empty and
// is. Git's name for it says nothing of where it belongs.
func readVersion(file string, mayBeEmpty bool) (*pipeline.Stage, []byte, error) {
	dir, err := disk.OpenDir(filepath.Dir(file))
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	text, err := dir.ReadFile(filepath.Base(file))
	if err != nil {
		return nil, nil, fmt.Errorf("read the version to merge: %w", err)
	}
	if mayBeEmpty && len(bytes.TrimSpace(text)) == 0 {
		return nil, text, nil
	}
	s, err := pipeline.ParseDvcFile(filepath.Base(file), text)
	if err != nil {
		// It may stand in a folder and have a wdir above it.
		if deep, derr := pipeline.ParseDvcFile(strings.Repeat("d/", maxWDirUp)+"merge.dvc", text); derr == nil {
			s, err = deep, nil
		}
	}
	return s, text, err
}

// maxWDirUp is how many folders above itself a merged pointer file may have
// its wdir.
const maxWDirUp = 100

func writeVersion(file string, text []byte) error {
	dir, err := disk.OpenDir(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.WriteFile(filepath.Base(file), text, 0o666)
}

// mergeStages checks that the versions can be merged, by DVC's rules, and
// returns the merged out.
func (r *Repo) mergeStages(ctx context.Context, ancestor, our, their *pipeline.Stage) (*pipeline.Out, error) {
	versions := []*pipeline.Stage{our, their}
	if ancestor != nil {
		versions = append(versions, ancestor)
	}
	for _, s := range versions {
		if len(s.Deps) > 0 || len(s.Outs) > 1 {
			return nil, cannotMerge("DVC files that weren't created by `dvc add`")
		}
	}
	var base *pipeline.Out
	if ancestor != nil && len(ancestor.Outs) > 0 {
		base = ancestor.Outs[0]
	}
	switch {
	case len(our.Outs) == 0 && len(their.Outs) == 0 || base != nil && (len(our.Outs) == 0 || len(their.Outs) == 0):
		return nil, cannotMerge("DVC files with deleted outputs")
	case len(their.Outs) == 0:
		return our.Outs[0], nil
	case len(our.Outs) == 0:
		return their.Outs[0], nil
	}
	mine, other := our.Outs[0], their.Outs[0]
	for _, o := range []*pipeline.Out{base, mine, other} {
		if o == nil {
			continue
		}
		if o.Digest.Algorithm() != mine.Digest.Algorithm() || !bytes.Equal(outOptions(o), outOptions(mine)) {
			return nil, cannotMerge("outputs with different options")
		}
		if !o.Digest.IsDir() {
			return nil, cannotMerge("outputs that are not directories")
		}
	}
	return mine, r.mergeOuts(ctx, base, mine, other)
}

func cannotMerge(what string) error {
	return errs.New(errs.Conflict, "unable to auto-merge %s", what)
}

// outOptions is all that a pointer file says of an out besides its content.
func outOptions(o *pipeline.Out) []byte {
	s := pipeline.Stage{File: o.Stage.File, WDir: o.Stage.WDir, Outs: []*pipeline.Out{o}}
	v, _ := s.Value().Get("outs")
	m := v.([]any)[0].(*yamlfmt.Map)
	for _, key := range []string{o.Digest.Algorithm().Key(), "size", "nfiles", "hash"} {
		m.Delete(key)
	}
	return yamlfmt.JSON(m, true)
}

// mergeOuts makes mine the merged folder and stores its manifest.
func (r *Repo) mergeOuts(ctx context.Context, base, mine, other *pipeline.Out) error {
	var lists [3]object.Manifest
	for i, o := range []*pipeline.Out{base, mine, other} {
		if o == nil {
			continue
		}
		m, err := r.Cache.ReadManifest(ctx, o.Digest)
		if err != nil {
			return errs.WithHint(fmt.Errorf("unable to auto-merge without the list of files of '%s': %w", disk.Quote(o.Path), err),
				"Get it with: cairn fetch --all-branches")
		}
		lists[i] = m
	}
	merged, conflicts := mergeManifests(lists[0], lists[1], lists[2])
	if len(conflicts) > 0 {
		return errs.New(errs.Conflict, "unable to auto-merge the following paths:\n%s", boundedList(conflicts))
	}
	alg := mine.Digest.Algorithm()
	text, digest := merged.Encode(alg)
	size, err := r.sizeOfFiles(ctx, merged)
	if err != nil {
		return err
	}
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.PutBytes(digest, text); err != nil {
		return err
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	mine.Digest, mine.Size, mine.NFiles = digest, size, len(merged)
	return nil
}

// maxConflicts is how many conflicting paths a message names.
const maxConflicts = 100

func boundedList(paths []string) string {
	var b strings.Builder
	for i, p := range paths {
		if i == maxConflicts {
			fmt.Fprintf(&b, "\nand %d more", len(paths)-maxConflicts)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(disk.Quote(p))
	}
	return b.String()
}

// sizeOfFiles is the sum of the sizes of a folder's files, from the manifest
// or from the cache; -1 if one is not known.
func (r *Repo) sizeOfFiles(ctx context.Context, m object.Manifest) (int64, error) {
	if n := m.Size(); n >= 0 {
		return n, nil
	}
	ds := make([]object.Digest, 0, len(m))
	for _, f := range m {
		ds = append(ds, f.Digest)
	}
	have, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return -1, err
	}
	var sum int64
	for _, f := range m {
		info, ok := have[f.Digest]
		switch {
		case f.Size >= 0:
			sum += f.Size
		case !ok:
			return -1, nil
		default:
			sum += info.Size
		}
	}
	return sum, nil
}

// mergeManifests brings the changes of two versions of a folder together. A
// path that both changed in different ways is a conflict, and so is a file on
// one side that is a folder on the other.
func mergeManifests(base, our, their object.Manifest) (merged object.Manifest, conflicts []string) {
	merged = object.Manifest{}
	union := append(object.Manifest(nil), our...)
	for _, f := range their {
		if _, found := our.Find(f.Path); !found {
			union = append(union, f)
		}
	}
	union.Sort()
	// What neither side has any more is gone for both.
	for _, f := range union {
		b, inBase := base.Find(f.Path)
		o, inOur := our.Find(f.Path)
		t, inTheir := their.Find(f.Path)
		ourSame := inOur == inBase && o.Digest == b.Digest
		theirSame := inTheir == inBase && t.Digest == b.Digest
		switch {
		case ourSame && inTheir, inOur && inTheir && o.Digest == t.Digest:
			merged = append(merged, t)
		case theirSame && inOur:
			merged = append(merged, o)
		case ourSame, theirSame: // removed by one, untouched by the other
		default:
			conflicts = append(conflicts, f.Path)
		}
	}
	for _, f := range merged {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if _, found := merged.Find(dir); found {
				conflicts = append(conflicts, f.Path)
				break
			}
		}
	}
	slices.Sort(conflicts)
	return merged, conflicts
}
