package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// addFrom tracks data that lies elsewhere on this machine: with Out it is
// brought to a path in the workspace, with ToRemote its bytes go to a remote
// and neither to the cache nor to the workspace.
func (r *Repo) addFrom(ctx context.Context, o AddOptions) (AddResult, error) {
	var res AddResult
	if len(o.Targets) != 1 || o.Glob {
		return res, errs.New(errs.Usage, "multiple targets can't be used with --out or --to-remote")
	}
	src := o.Targets[0]
	if strings.Contains(src, "://") {
		return res, errs.WithHint(errs.New(errs.Unsupported, "cannot add %q: addresses are not data of this machine", src), "Bring it here first, then add the copy.")
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	a, err := r.planFrom(ctx, o)
	if err != nil {
		return res, err
	}
	from, name, err := r.openSource(src)
	if err != nil {
		return res, err
	}
	defer from.Close()
	task := r.Progress.Start("Adding", -1, -1)
	defer task.Done()
	s := &index.Scanner{Root: from, State: index.NewState(), Alg: r.Alg, Jobs: o.Jobs, Task: task, Follow: o.Follow, Now: r.now}
	if o.ToRemote {
		err = r.sendFrom(ctx, o, a, s, name)
	} else {
		err = r.bringFrom(ctx, o, a, s, name)
	}
	if err != nil {
		return res, err
	}
	if err := r.finishAdds([]*addition{a}, &res, !o.ToRemote); err != nil {
		return res, err
	}
	res.Changed = unique(res.Changed)
	return res, errors.Join(r.autostage(ctx, res.Changed), r.saveState())
}

// openSource opens the folder that a typed path lies in.
func (r *Repo) openSource(src string) (*disk.Dir, string, error) {
	abs := filepath.FromSlash(src)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	if _, err := os.Lstat(abs); err != nil {
		return nil, "", errs.New(errs.NotFound, "'%s' does not exist", src)
	}
	from, err := disk.OpenDir(filepath.Dir(abs))
	return from, filepath.Base(abs), err
}

// planFrom decides the path in the workspace and its pointer file.
func (r *Repo) planFrom(ctx context.Context, o AddOptions) (*addition, error) {
	out := o.Out
	if out == "" {
		out = filepath.Base(o.Targets[0])
	}
	rel, err := r.Rel(out)
	if err != nil {
		return nil, err
	}
	if st, err := r.Dir.LstatPath(rel); err == nil && st.IsDir() && o.Out != "" {
		rel = path.Join(rel, filepath.Base(o.Targets[0]))
	}
	if err := disk.CheckRel(rel); err != nil {
		return nil, errs.New(errs.Invalid, "cannot add to %q: %w", out, err)
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	there, err := r.exists(rel)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	src, _ := r.Rel(o.Targets[0]) // "" for data from outside
	if there && !o.Force && !(o.ToRemote && src == rel) {
		return nil, errs.New(errs.Conflict, "The file '%s' already exists locally.\nTo override it, re-run with '--force'.", r.Show(rel))
	}
	if err := r.checkUntracked(rel); err != nil {
		return nil, err
	}
	if t := stages.Find(rel); t != nil {
		if t.Under != "" || !t.Stage.IsPointer() {
			return nil, errs.New(errs.Conflict, "cannot add to '%s': it is tracked by %s", r.Show(rel), t.Stage.Address())
		}
		old, err := r.Dir.ReadFile(t.Stage.File)
		return &addition{rel: rel, stage: t.Stage, out: t.Out, old: old}, err
	}
	if inside := stages.Inside(rel); len(inside) > 0 {
		return nil, errs.New(errs.Conflict, "cannot add to '%s': it holds the output '%s' of %s", r.Show(rel), r.Show(inside[0].RepoPath()), inside[0].Stage.Address())
	}
	return r.newPointer(rel, o.Desc)
}

// bringFrom stores the data and checks them out.
func (r *Repo) bringFrom(ctx context.Context, o AddOptions, a *addition, s *index.Scanner, name string) error {
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return err
	}
	defer w.Abort()
	s.Store, s.Cache = w, r.Cache
	tree, err := s.Scan(ctx, name, nil)
	if err != nil {
		return err
	}
	tree.Path = a.rel
	a.tree = tree
	if err := w.Commit(ctx); err != nil || o.NoCommit {
		return err
	}
	have, err := r.scanner(r.Alg).Scan(ctx, a.rel, r.rulesAbove(a.rel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	plan := index.MakePlan(index.Want{Path: a.rel, Digest: tree.Digest, Exec: tree.Exec, Files: tree.Files}, have, false)
	done, err := r.apply(ctx, []index.Plan{plan}, nil)
	if err == nil {
		err = done.Err()
	}
	return err
}

// sendFrom sends the data to a remote.
func (r *Repo) sendFrom(ctx context.Context, o AddOptions, a *addition, s *index.Scanner, name string) error {
	store, _, err := r.openRemoteJobs(ctx, o.Remote, o.RemoteJobs)
	if err != nil {
		return err
	}
	defer closeStore(store)
	tree, err := s.Scan(ctx, name, nil)
	if err != nil {
		return err
	}
	src := newFolderStore(s.Root, name, tree)
	items := []remote.Item{{Digest: tree.Digest, Size: tree.Size, Path: a.rel}}
	if tree.IsDir {
		items[0].Size = src.size[tree.Digest]
		items[0].Files = tree.Files
	}
	tree.Path = a.rel
	a.tree = tree
	_, err = remote.Transfer(ctx, store, src, items, remote.TransferOptions{Jobs: o.RemoteJobs, Progress: r.Progress, Phases: r.env.Phases, Label: "Sending"})
	return err
}

// folderStore shows files of a folder, once scanned, as objects. It can only
// be read.
type folderStore struct {
	root  *disk.Dir
	path  map[object.Digest]string
	size  map[object.Digest]int64
	extra map[object.Digest][]byte // the manifest
}

var _ object.Store = (*folderStore)(nil)

func newFolderStore(root *disk.Dir, name string, t *index.Tree) *folderStore {
	s := &folderStore{root: root, path: map[object.Digest]string{}, size: map[object.Digest]int64{}, extra: map[object.Digest][]byte{}}
	if !t.IsDir {
		s.path[t.Digest], s.size[t.Digest] = name, t.Size
		return s
	}
	for _, f := range t.Files {
		s.path[f.Digest], s.size[f.Digest] = path.Join(name, f.Path), f.Size
	}
	text, _ := t.Files.Encode(t.Digest.Algorithm())
	s.extra[t.Digest], s.size[t.Digest] = text, int64(len(text))
	return s
}

func (s *folderStore) Has(_ context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	found := map[object.Digest]object.Info{}
	for _, d := range ds {
		if n, ok := s.size[d]; ok {
			found[d] = object.Info{Digest: d, Size: n}
		}
	}
	return found, nil
}

func (s *folderStore) Open(_ context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	if b, ok := s.extra[d]; ok {
		return object.NewVerifier(d, io.NopCloser(bytes.NewReader(b))), int64(len(b)), nil
	}
	p, ok := s.path[d]
	if !ok {
		return nil, 0, errs.New(errs.NotFound, "object %s is not among the files", d)
	}
	f, err := s.root.OpenFilePath(p)
	if err != nil {
		return nil, 0, err
	}
	return object.NewVerifier(d, f), s.size[d], nil
}

var errReadOnly = errs.New(errs.Unsupported, "the source of data cannot be written to")

func (s *folderStore) Begin(context.Context) (object.Writer, error)  { return nil, errReadOnly }
func (s *folderStore) Delete(context.Context, []object.Digest) error { return errReadOnly }
func (s *folderStore) Properties() object.Properties {
	return object.Properties{Concurrency: 4, CheapStat: true, Local: true}
}
func (s *folderStore) List(context.Context, object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {}
}
