package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// AddOptions of [Repo.Add].
type AddOptions struct {
	Targets  []string // paths as the user typed them
	Glob     bool     // targets are patterns
	NoCommit bool     // write pointer files, store no objects
	Out      string   // where a single target is to be brought first, as typed
	Force    bool     // Out may replace what is there
	Desc     string
	Jobs     int
	Follow   bool // follow links that lead out of the repository
	NoRelink bool // leave workspace files as they are

	ToRemote   bool // send to a remote, not to the cache
	Remote     string
	RemoteJobs int
}

// AddResult tells what Add did.
type AddResult struct {
	Added   []AddedOut `json:"added"`
	Changed []string   `json:"files"` // files for Git to track, relative to the root
	// Skipped are links to folders, which are not part of the data.
	Skipped []string `json:"skipped,omitempty"`
}

// AddedOut is one out that is now tracked.
type AddedOut struct {
	Path   string `json:"path"`
	File   string `json:"file"` // its pointer file
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	NFiles int    `json:"nfiles,omitempty"`
	Read   int    `json:"read"` // how many files were hashed
}

// addition is one target on its way to its pointer file.
type addition struct {
	rel   string          // the out's path
	under string          // the part of a folder that is added, "" for all
	stage *pipeline.Stage // the pointer file, old or new
	out   *pipeline.Out
	old   []byte // the pointer file's text, nil if it is new
	tree  *index.Tree
	keep  bool // unchanged legacy data: the pointer file stays
}

// Add tracks files and folders: their bytes go to the cache, a pointer file
// beside each names them. Either all targets are added or none.
func (r *Repo) Add(ctx context.Context, o AddOptions) (AddResult, error) {
	var res AddResult
	switch {
	case o.Out != "" || o.ToRemote:
		return r.addFrom(ctx, o)
	case o.Remote != "" || o.RemoteJobs != 0:
		return res, errs.New(errs.Usage, "--remote and --remote-jobs can't be used without --to-remote")
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	adds, err := r.planAdd(ctx, o)
	if err != nil {
		return res, err
	}
	w, err := r.Cache.BeginAdd()
	if err != nil {
		return res, err
	}
	defer w.Abort()
	if err := r.scanAdds(ctx, o, adds, w); err != nil {
		r.keepWork(ctx, w)
		return res, err
	}
	if !o.NoCommit {
		if err := w.Commit(ctx); err != nil {
			return res, err
		}
		if !o.NoRelink {
			if err := r.relinkAdds(ctx, adds); err != nil {
				return res, err
			}
		}
	}
	if err := r.finishAdds(adds, &res, true); err != nil {
		return res, err
	}
	rels := make([]string, len(adds))
	for i, a := range adds {
		rels[i] = a.rel
	}
	r.rememberOuts(rels...)
	res.Changed = unique(res.Changed)
	if err := r.autostage(ctx, res.Changed); err != nil {
		return res, err
	}
	return res, r.saveState()
}

// keepWork keeps what an interrupted command has stored and read so far, so that
// the next one has only the rest to do.
func (r *Repo) keepWork(ctx context.Context, w *cache.Writer) {
	if ctx.Err() != nil && w.Keep() == nil {
		_ = r.saveState()
	}
}

// scanAdds reads all targets, storing what is new.
func (r *Repo) scanAdds(ctx context.Context, o AddOptions, adds []*addition, w *cache.Writer) error {
	task := r.Progress.Start("Adding", -1, -1)
	defer task.Done()
	for _, a := range adds {
		s := &index.Scanner{Root: r.Dir, State: r.State(), Cache: r.Cache, Alg: r.Alg, Jobs: o.Jobs, Task: task, Follow: o.Follow, Now: r.now, Phases: r.env.Phases,
			Checkpoint: func() { _ = r.saveState() }}
		if same, err := r.sameLegacy(ctx, a, *s, nil); err != nil {
			return err
		} else if same {
			a.keep = true
			continue
		}
		if !o.NoCommit {
			s.Store = w
		}
		if err := r.scanAdd(ctx, a, s, w, o); err != nil {
			return err
		}
	}
	return nil
}

// sameLegacy reports whether an out recorded by DVC 2 is unchanged by the
// measure of DVC 2. Its entry then stays as it is. With a store, what the
// cache lacks of it is put there, in DVC 2's layout.
func (r *Repo) sameLegacy(ctx context.Context, a *addition, s index.Scanner, store *cache.Writer) (bool, error) {
	if a.out.Digest.Algorithm() != object.MD5Legacy || a.under != "" {
		return false, nil
	}
	s.Alg = object.MD5Legacy
	s.State = index.NewState() // the digests of DVC 2 are not worth remembering
	tree, err := s.Scan(ctx, a.rel, r.rulesAbove(a.rel))
	if err != nil {
		return false, err
	}
	if tree.Digest != a.out.Digest {
		return false, nil
	}
	// Unchanged, but only kept if the cache can give it back.
	if ok, err := r.inCache(ctx, Target{Stage: a.stage, Out: a.out}, nil); err != nil || ok {
		return ok, err
	}
	if store == nil {
		return false, nil
	}
	s.Store = store
	tree, err = s.Scan(ctx, a.rel, r.rulesAbove(a.rel))
	return err == nil && tree.Digest == a.out.Digest, err
}

// scanAdd reads one target. Of a part of a folder, the rest of the manifest
// is kept.
func (r *Repo) scanAdd(ctx context.Context, a *addition, s *index.Scanner, w *cache.Writer, o AddOptions) error {
	target := path.Join(a.rel, a.under)
	tree, err := s.Scan(ctx, target, r.rulesAbove(target))
	gone := errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err)
	if gone && a.under == "" {
		return r.missingOutput(target, err)
	}
	if err != nil && !gone {
		return err
	}
	if a.under != "" {
		if tree, err = r.mergePart(ctx, a, tree); err != nil {
			return err
		}
		if !o.NoCommit {
			if _, err := w.PutManifest(tree.Files, r.Alg); err != nil {
				return err
			}
		}
	}
	if o.NoCommit && tree.IsDir {
		// A manifest costs nothing, and without it nobody could tell what
		// the pointer file means.
		if _, err := w.PutManifest(tree.Files, r.Alg); err != nil {
			return err
		}
	}
	a.tree = tree
	return nil
}

// mergePart puts a part of a folder into the folder's manifest. A part that is
// not in the workspace any more, nil, is taken out of it.
func (r *Repo) mergePart(ctx context.Context, a *addition, part *index.Tree) (*index.Tree, error) {
	old, err := r.Cache.ReadManifest(ctx, a.out.Digest)
	if err != nil {
		return nil, errs.WithHint(fmt.Errorf("the list of files of %q is needed to add a part of it: %w", a.rel, err),
			"Get it with: cairn fetch %s", a.stage.File)
	}
	if old, err = r.inAlgorithm(ctx, a, old); err != nil {
		return nil, err
	}
	gone := old.Under(a.under)
	if part == nil {
		if len(gone) == 0 {
			return nil, r.missingOutput(path.Join(a.rel, a.under), fs.ErrNotExist)
		}
		part = &index.Tree{IsDir: true}
	}
	merged := make(object.Manifest, 0, len(old)+len(part.Files)+1)
	for _, f := range old {
		if _, replaced := gone.Find(f.Path); !replaced {
			merged = append(merged, f)
		}
	}
	if part.IsDir {
		for _, f := range part.Files {
			f.Path = path.Join(a.under, f.Path)
			merged = append(merged, f)
		}
	} else {
		merged = append(merged, object.File{Path: a.under, Digest: part.Digest, Size: part.Size})
	}
	merged.Sort()
	if err := r.fillSizes(ctx, a.rel, merged); err != nil {
		return nil, err
	}
	tree := &index.Tree{Path: a.rel, IsDir: true, Files: merged, Size: max(merged.Size(), 0), Read: part.Read}
	for _, l := range part.Links {
		tree.Links = append(tree.Links, path.Join(a.under, l))
	}
	tree.Digest, _ = merged.Digest(r.Alg)
	return tree, nil
}

// inAlgorithm refuses to mix digests of two algorithms in one manifest.
func (r *Repo) inAlgorithm(ctx context.Context, a *addition, m object.Manifest) (object.Manifest, error) {
	if a.out.Digest.Algorithm() == r.Alg {
		return m, nil
	}
	return nil, errs.WithHint(errs.New(errs.Unsupported, "%q is recorded with %s, so a part of it cannot be added alone", a.rel, a.out.Digest.Algorithm().Name()),
		"Add the whole folder: cairn add %s", a.rel)
}

// fillSizes finds the sizes of files whose manifest does not say, from their
// objects.
func (r *Repo) fillSizes(ctx context.Context, out string, m object.Manifest) error {
	var ds []object.Digest
	for _, f := range m {
		if f.Size < 0 {
			ds = append(ds, f.Digest)
		}
	}
	if len(ds) == 0 {
		return nil
	}
	have, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return err
	}
	for i := range m {
		if m[i].Size >= 0 {
			continue
		}
		if info, ok := have[m[i].Digest]; ok {
			m[i].Size = info.Size
		} else if st, err := r.Dir.LstatPath(path.Join(out, m[i].Path)); err == nil && st.IsRegular() {
			m[i].Size = st.Size
		}
	}
	return nil
}

// relinkAdds makes workspace files share the cache's bytes where that is
// configured, and replaces links to files by the files.
func (r *Repo) relinkAdds(ctx context.Context, adds []*addition) error {
	first := r.Cache.Links()[0]
	all := first == cache.Hardlink || first == cache.Symlink
	var plans []index.Plan
	for _, a := range adds {
		if a.tree == nil {
			continue
		}
		p := index.Plan{Path: a.rel, IsDir: a.tree.IsDir, Exec: a.tree.Exec, Change: index.Modified}
		files := object.Manifest{{Digest: a.tree.Digest, Size: a.tree.Size}}
		if a.tree.IsDir {
			files = a.tree.Files.Under(a.under)
		}
		if all {
			p.Create = files
		} else if len(a.tree.Links) > 0 {
			links := make(map[string]bool, len(a.tree.Links))
			for _, l := range a.tree.Links {
				links[l] = true
			}
			for _, f := range files {
				if links[f.Path] {
					p.Create = append(p.Create, f)
				}
			}
		}
		if len(p.Create) > 0 {
			plans = append(plans, p)
		}
	}
	if len(plans) == 0 {
		return nil
	}
	done, err := r.apply(ctx, plans, nil)
	if err == nil {
		err = done.Err()
	}
	return err
}

// finishAdds writes the pointer files and then, for data in the workspace,
// the lines in .gitignore.
func (r *Repo) finishAdds(adds []*addition, res *AddResult, ignore bool) error {
	var files []disk.NewFile
	var rels []string
	for _, a := range adds {
		if !a.keep {
			setOut(&a.out.Entry, a.tree)
			for _, s := range a.tree.Skipped {
				res.Skipped = append(res.Skipped, path.Join(a.rel, s))
			}
		}
		if text := a.stage.EncodeDvcFile(a.old); a.old == nil || !bytes.Equal(text, a.old) {
			files = append(files, disk.NewFile{Path: a.stage.File, Data: text, Perm: 0o666})
		}
		rels = append(rels, a.rel)
		res.Changed = append(res.Changed, a.stage.File)
		done := AddedOut{Path: a.rel, File: a.stage.File, Digest: a.out.Digest.String(), Size: a.out.Size}
		if a.tree != nil {
			done.Read = a.tree.Read
			done.NFiles = len(a.tree.Files)
		}
		res.Added = append(res.Added, done)
	}
	span := r.phase("write pointer files", "files")
	span.Add(int64(len(files)), 0)
	err := r.Dir.WriteFiles(files)
	span.End()
	if err != nil {
		return fmt.Errorf("write pointer files: %w", err)
	}
	if !ignore {
		return nil
	}
	changed, err := r.gitIgnore(rels...)
	res.Changed = append(res.Changed, changed...)
	return err
}

// setEntry records a tree, in place of whatever was recorded.
func setEntry(e *pipeline.Entry, t *index.Tree) {
	e.Digest, e.Size, e.NFiles, e.IsExec = t.Digest, t.Size, -1, t.Exec
	if t.IsDir {
		e.NFiles = len(t.Files)
		e.IsExec = false
	}
	e.ETag, e.Checksum, e.VersionID, e.Cloud, e.Files = "", "", "", nil, nil
}

// setOut is setEntry for an out: what has not changed stays where it was pushed to.
func setOut(e *pipeline.Entry, t *index.Tree) {
	old := *e
	setEntry(e, t)
	switch {
	case t.IsDir && old.Files != nil:
		e.SetFiles(t.Files, old.Files)
	case !t.IsDir && old.Digest == e.Digest:
		e.ETag, e.Checksum, e.VersionID, e.Cloud = old.ETag, old.Checksum, old.VersionID, old.Cloud
	}
}

// planAdd finds out, for every target, which pointer file it belongs to, and
// refuses what cannot be added before anything is read.
func (r *Repo) planAdd(ctx context.Context, o AddOptions) ([]*addition, error) {
	targets, err := r.expandTargets(o.Targets, o.Glob)
	if err != nil {
		return nil, err
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	var adds []*addition
	seen := map[[2]string]bool{}
	for _, t := range targets {
		a, err := r.planTarget(t, stages, o)
		if err != nil {
			return nil, err
		}
		k := [2]string{a.rel, a.under}
		if !seen[k] {
			seen[k] = true
			adds = append(adds, a)
		}
	}
	return adds, checkNewOuts(adds)
}

func (r *Repo) planTarget(target string, stages *Stages, o AddOptions) (*addition, error) {
	rel, err := r.Rel(target)
	if err != nil {
		if target != "" && errs.Is(err, errs.Invalid) {
			err = errs.WithHint(err, "Bring it into the repository: cairn add %s --out <name>.", target)
		}
		return nil, err
	}
	if strings.HasSuffix(rel, ".dvc") {
		if _, err := r.Dir.LstatPath(rel); err == nil && stages.File(rel) != nil {
			return nil, errs.WithHint(errs.New(errs.Invalid, "cannot add %q: it is a pointer file", target), "Give the data's path instead.")
		}
	}
	t := stages.Find(rel)
	if err := r.checkAddable(target, rel); err != nil {
		// A part of a tracked folder that is gone is taken out of it.
		if t == nil || t.Under == "" || !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	if t != nil {
		if !t.Stage.IsPointer() {
			return nil, errs.WithHint(errs.New(errs.Conflict, "cannot update '%s': overlaps with an output of %s in '%s'.", target, r.stageName(t.Stage), r.Show(t.Stage.File)),
				"Run the pipeline or use 'cairn commit' to force update it.")
		}
		old, err := r.Dir.ReadFile(t.Stage.File)
		if err != nil {
			return nil, err
		}
		if o.Desc != "" {
			t.Out.Desc = o.Desc
		}
		return &addition{rel: t.Out.RepoPath(), under: t.Under, stage: t.Stage, out: t.Out, old: old}, nil
	}
	if inside := stages.Inside(rel); len(inside) > 0 {
		in := r.Show(inside[0].RepoPath())
		return nil, errs.WithHint(errs.New(errs.Conflict, "Cannot add '%s', because it is overlapping with other DVC tracked output: '%s'.", target, in),
			"To include '%s' in '%s', run 'cairn remove %s' and then 'cairn add %s'", in, target, r.address(inside[0].Stage), target)
	}
	return r.newPointer(rel, o.Desc)
}

// newPointer prepares a pointer file that does not exist yet.
func (r *Repo) newPointer(rel, desc string) (*addition, error) {
	s := &pipeline.Stage{File: rel + ".dvc", WDir: path.Dir(rel)}
	out := &pipeline.Out{Stage: s, Entry: pipeline.Entry{Path: path.Base(rel), Size: -1, NFiles: -1}, Cache: true, Push: true, Desc: desc}
	s.Outs = []*pipeline.Out{out}
	if r.Git != nil && r.gitIgnored(s.File, false) {
		return nil, errs.WithHint(errs.New(errs.Conflict, "bad DVC file name '%s' is git-ignored.", r.Show(s.File)),
			"Git would never see what tracks the data. Take the rule out of .gitignore, or add '!%s' there.", path.Base(s.File))
	}
	if _, err := r.Dir.LstatPath(s.File); err == nil {
		return nil, errs.WithHint(errs.New(errs.Conflict, "%q exists and describes something else", s.File),
			"Move it away, or remove what it tracks: cairn remove %s", s.File)
	}
	return &addition{rel: rel, stage: s, out: out}, nil
}

// checkAddable refuses paths that may not become data.
func (r *Repo) checkAddable(target, rel string) error {
	if rel == "." {
		return errs.WithHint(errs.New(errs.Invalid, "the whole repository cannot be added"), "Add the folders with the data in it.")
	}
	if err := disk.CheckRel(rel); err != nil {
		return errs.New(errs.Invalid, "cannot add %q: %w", target, err)
	}
	if strings.ContainsAny(path.Base(rel), "\n\r") {
		return errs.WithHint(errs.New(errs.Invalid, "cannot add %q: .gitignore cannot hold a name with a line break", target), "Rename it, or add the folder it lies in.")
	}
	dir, name, err := r.Dir.Parent(rel)
	if errors.Is(err, disk.ErrLink) {
		return behindLink(target)
	}
	if err == nil {
		var st disk.Stat
		st, err = dir.Lstat(name)
		dir.Close()
		if to, serr := os.Stat(r.abs(rel)); err == nil && st.IsLink() && serr == nil && to.IsDir() {
			return behindLink(target)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return r.missingOutput(rel, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if by, err := r.ignoredBy(rel); err != nil || by != "" {
		if err == nil {
			if sub, ok := strings.CutPrefix(by, "in sub_repo:"); ok {
				return errs.New(errs.Invalid, "Path '%s' lies in another repository, '%s': add it there", r.abs(rel), r.Show(sub))
			}
			file, _, _ := strings.Cut(by, ":")
			err = errs.WithHint(errs.New(errs.Invalid, "Path '%s' is ignored by %s", r.abs(rel), by),
				"Take the rule out of %s, or make an exception below it: !%s", file, rel)
		}
		return err
	}
	return r.checkUntracked(rel)
}

// behindLink refuses a path that is or goes through a link to a folder.
func behindLink(target string) error {
	return errs.WithHint(errs.New(errs.Invalid, "Cannot add files inside symlinked directories to DVC: '%s' is or lies behind a symbolic link", disk.Quote(target)),
		"Add the folder that the link points to, in its own place.")
}

// missingOutput is the failure to find what should be added or committed.
func (r *Repo) missingOutput(rel string, err error) error {
	e := errs.New(errs.NotFound, "output '%s' does not exist: [Errno 2] No such file or directory: '%s'", r.Show(rel), r.abs(rel))
	if near := nearest(path.Base(rel), r.namesBeside(rel)); near != "" {
		e = errs.WithHint(e, "Did you mean '%s'?", r.Show(path.Join(path.Dir(rel), near)))
	}
	return e
}

// namesBeside are the names in a path's folder.
func (r *Repo) namesBeside(rel string) []string {
	list, _ := fs.ReadDir(workFS{r.Dir}, path.Dir(rel))
	var names []string
	for _, e := range list {
		if e.Name() != path.Base(rel) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkUntracked refuses what Git tracks already.
func (r *Repo) checkUntracked(rel string) error {
	if r.Git == nil {
		return nil
	}
	tracked, err := r.Git.IsTracked(r.gitPath(rel))
	if err != nil || !tracked {
		return err
	}
	show := r.Show(rel)
	return errs.New(errs.Conflict, ` output '%s' is already tracked by SCM (e.g. Git).
    You can remove it from Git, then add to DVC.
        To stop tracking from Git:
            git rm -r --cached '%s'
            git commit -m "stop tracking %s" `, show, show, show)
}

// checkNewOuts refuses targets of one command that overlap.
func checkNewOuts(adds []*addition) error {
	at := make(map[string]*addition, len(adds))
	for _, a := range adds {
		at[a.rel] = a
	}
	for _, a := range adds {
		for up := path.Dir(a.rel); up != "." && up != "/"; up = path.Dir(up) {
			if b := at[up]; b != nil && b.stage != a.stage {
				return errs.WithHint(errs.New(errs.Conflict, "cannot add both %q and %q: one lies in the other", b.rel, a.rel), "Add one of them.")
			}
		}
	}
	return nil
}

func unique(list []string) []string {
	seen := map[string]bool{}
	out := list[:0]
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
