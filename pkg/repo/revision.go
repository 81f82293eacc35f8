package repo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
)

// WorkspaceLabel is how the workspace is called among revisions.
const WorkspaceLabel = "workspace"

// RevisionOptions choose revisions. With none of them it is the workspace
// alone; otherwise the workspace comes first and the others after it.
type RevisionOptions struct {
	Revs        []string // by name; one "workspace" among them is understood
	AllBranches bool
	AllTags     bool
	AllCommits  bool // makes the other two superfluous
}

// Revision is the repository in the workspace or at one commit, as far as
// DVC's commands compare such states. Nothing is checked out: files come from
// Git's objects, the workspace, the cache and, where the cache lacks one, the
// remote. It is not safe for concurrent use.
type Revision struct {
	// Label is what DVC calls it: "" for the workspace alone, "workspace"
	// beside others, the name of a branch or tag or the revision as it was
	// asked for, several joined by a comma, and the whole SHA where all
	// commits are listed.
	Label string
	SHA   string // of the commit; "" for the workspace

	repo *Repo
	git  *git.Tree // nil for the workspace
	sub  string    // the repository's folder in Git
	src  fs.FS
	// The stages, once asked for.
	read      bool
	stages    *Stages
	stagesErr error
	data      *tree
}

// history is what revisions share, so that work is done once for what many
// commits have in common.
type history struct {
	skeletons map[string]string           // of folders, as git.Tree.Digest has them
	stages    map[string][]*stageVariants // by the sum of their stage files
	manifests map[object.Digest]object.Manifest
	stores    map[string]object.Store
}

// stageVariants are the stages of commits with the same stage files, for which the
// same other files were looked at, such as variables. There are as many stages
// as those files had contents together.
type stageVariants struct {
	paths []string
	known map[string]*knownStages // by the identities of the contents
}

type knownStages struct {
	stages *Stages
	err    error
}

func (r *Repo) sharedHistory() *history {
	if r.history == nil {
		r.history = &history{
			skeletons: map[string]string{}, stages: map[string][]*stageVariants{},
			manifests: map[object.Digest]object.Manifest{}, stores: map[string]object.Store{},
		}
	}
	return r.history
}

func (h *history) close() {
	if h != nil {
		for _, s := range h.stores {
			closeStore(s)
		}
	}
}

// Workspace returns the state of the workspace under a label.
func (r *Repo) Workspace(label string) *Revision {
	return &Revision{Label: label, repo: r, src: workFS{r.Dir}}
}

// Revisions returns the states that the options choose, in DVC's order.
// Commits from before the repository's folder existed are left out.
func (r *Repo) Revisions(ctx context.Context, o RevisionOptions) ([]*Revision, error) {
	if len(o.Revs) == 0 && !o.AllBranches && !o.AllTags && !o.AllCommits {
		return []*Revision{r.Workspace("")}, nil
	}
	list := []*Revision{r.Workspace(WorkspaceLabel)}
	revs := make([]string, 0, len(o.Revs))
	skipped := false
	for _, rev := range o.Revs {
		if rev == WorkspaceLabel && !skipped {
			skipped = true
			continue
		}
		revs = append(revs, rev)
	}
	if len(revs) == 0 && (r.Git == nil || !o.AllBranches && !o.AllTags && !o.AllCommits) {
		return list, nil
	}
	if r.Git == nil {
		return nil, r.noGit()
	}
	found, err := r.Git.Revs(ctx, git.RevOptions{Revs: revs, AllBranches: o.AllBranches, AllTags: o.AllTags, AllCommits: o.AllCommits})
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		v, err := r.commitRevision(strings.Join(f.Names, ","), f.SHA)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			list = append(list, v)
		}
	}
	return list, nil
}

// Revision returns one state by name; "" and "workspace" are the workspace.
func (r *Repo) Revision(ctx context.Context, name string) (*Revision, error) {
	if name == "" || name == WorkspaceLabel {
		return r.Workspace(WorkspaceLabel), nil
	}
	if r.Git == nil {
		return nil, r.noGit()
	}
	sha, err := r.Git.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	v, err := r.commitRevision(name, sha)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "the repository's folder does not exist in revision '%s'", disk.Quote(name))
	}
	return v, err
}

// noGit is the error of what needs commits.
func (r *Repo) noGit() error {
	return errs.New(errs.Unsupported, "Only supported for Git repositories. If you're seeing this error in a Git repo, "+
		"try updating the DVC configuration with `%s config core.no_scm false`.", r.env.Program)
}

// commitRevision is fs.ErrNotExist if the commit lacks the repository's folder.
func (r *Repo) commitRevision(label, sha string) (*Revision, error) {
	t, err := r.Git.Tree(sha)
	if err != nil {
		return nil, err
	}
	v := &Revision{Label: label, SHA: sha, repo: r, git: t, sub: r.gitPath("."), src: t}
	if v.sub == "." {
		return v, nil
	}
	if _, err := t.ID(v.sub); err != nil {
		return nil, err
	}
	whole, err := fs.Sub(t, v.sub)
	v.src = subTree{whole, t, v.sub}
	return v, err
}

// IsWorkspace reports whether the state is that of the workspace.
func (v *Revision) IsWorkspace() bool { return v.git == nil }

// Stages returns the stages of the revision and, in Files, what else its
// dvc.yaml files say. Neither overlaps nor circles are looked for.
func (v *Revision) Stages(ctx context.Context) (*Stages, error) {
	if !v.read {
		stages, err := v.loadStages(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		v.read, v.stages, v.stagesErr = true, stages, err
	}
	return v.stages, v.stagesErr
}

func (v *Revision) loadStages(ctx context.Context) (*Stages, error) {
	r := v.repo
	if v.IsWorkspace() {
		return r.loadStageFiles(ctx, v.src, r.Ignore, r.workspaceSkip())
	}
	h := r.sharedHistory()
	key, err := v.git.Digest(v.sub, isSkeleton, h.skeletons)
	if err != nil {
		return nil, err
	}
	for _, g := range h.stages[key] {
		if k := g.known[v.contents(g.paths)]; k != nil {
			return k.stages, k.err
		}
	}
	rec := &recordingFS{FS: v.src, reads: map[string]bool{}}
	stages, err := r.loadStageFiles(ctx, rec, ignore.New(ignore.FS(v.src), ignore.Options{}), v.barren(h))
	if ctx.Err() == nil {
		h.remember(key, slices.Sorted(maps.Keys(rec.reads)), v, &knownStages{stages, err})
	}
	return stages, err
}

// isSkeleton reports whether a file of that name can decide what stages there
// are. The files of variables are the other ones that can.
func isSkeleton(name string) bool {
	return pipeline.IsStageFile(name) || name == pipeline.LockFile(pipeline.ProjectFile) || name == ignore.DVCFile
}

// barren leaves out folders in which there are no stage files.
func (v *Revision) barren(h *history) func(rel string, isDir bool) bool {
	return func(rel string, isDir bool) bool {
		if !isDir {
			return false
		}
		sum, err := v.git.Digest(path.Join(v.sub, rel), isSkeleton, h.skeletons)
		return err == nil && sum == ""
	}
}

// gitID is the name that Git has for the content of a path, "" if it has none.
func (v *Revision) gitID(rel string) string {
	id, err := v.git.ID(path.Join(v.sub, rel))
	if err != nil {
		return ""
	}
	return id
}

// contents are the identities of what is at paths.
func (v *Revision) contents(paths []string) string {
	ids := make([]string, len(paths))
	for i, p := range paths {
		ids[i] = v.gitID(p)
	}
	return strings.Join(ids, " ")
}

func (h *history) remember(key string, paths []string, v *Revision, k *knownStages) {
	for _, g := range h.stages[key] {
		if slices.Equal(g.paths, paths) {
			g.known[v.contents(paths)] = k
			return
		}
	}
	h.stages[key] = append(h.stages[key], &stageVariants{paths, map[string]*knownStages{v.contents(paths): k}})
}

// recordingFS remembers what was read from a commit, or found missing.
type recordingFS struct {
	fs.FS
	mu    sync.Mutex
	reads map[string]bool
}

func (f *recordingFS) note(name string) {
	if !isSkeleton(path.Base(name)) && fs.ValidPath(name) {
		f.mu.Lock()
		f.reads[name] = true
		f.mu.Unlock()
	}
}

func (f *recordingFS) Open(name string) (fs.File, error) {
	f.note(name)
	return f.FS.Open(name)
}

func (f *recordingFS) ReadFile(name string) ([]byte, error) {
	f.note(name)
	return fs.ReadFile(f.FS, name)
}

func (f *recordingFS) Stat(name string) (fs.FileInfo, error) {
	f.note(name)
	return fs.Stat(f.FS, name)
}

// ReadDir is not noted: which folders are entered follows from the skeleton.
func (f *recordingFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }

// tree is the revision with its data. Without stages there is none.
func (v *Revision) tree(ctx context.Context) (*tree, error) {
	if v.data != nil {
		return v.data, nil
	}
	stages, err := v.Stages(ctx)
	if err != nil {
		return nil, err
	}
	h := v.repo.sharedHistory()
	t := &tree{repo: v.repo, root: v.repo.Root, src: v.src, live: v.IsWorkspace(), stores: h.stores, manifests: h.manifests}
	if t.rules = v.repo.Ignore; !t.live {
		t.rules = ignore.New(ignore.FS(v.src), ignore.Options{})
	}
	if t.remote, err = v.repo.sourceRemote(SourceOptions{}); err != nil {
		return nil, err
	}
	t.stages = cachedOuts(stages)
	v.data = t
	return t, nil
}

// UnavailableError is a file of which only the record is at hand: neither the
// cache nor the remote has its bytes.
type UnavailableError struct{ Path string }

func (e *UnavailableError) Error() string {
	return "neither the cache nor the remote has '" + disk.Quote(e.Path) + "'"
}

// Unwrap makes it an absence.
func (e *UnavailableError) Unwrap() error { return fs.ErrNotExist }

// Content is what a revision has at a path before it is read.
type Content struct {
	// ID is the same only for the same bytes: a name of Git's or a digest.
	// It is "" for a file of the workspace.
	ID  string
	rel string
	rev *Revision
	out *pipeline.Out // of data; nil for a file of Git or the workspace
	dig object.Digest
}

// Find looks for a file by its path from the repository's root: in the commit
// or the workspace, then among the data that the stages record. An absent one
// is fs.ErrNotExist, an *UnavailableError if only its bytes are. The error of
// a folder is errs.Invalid.
func (v *Revision) Find(ctx context.Context, rel string) (Content, error) {
	c := Content{rel: rel, rev: v}
	err := v.findFile(&c)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	t, terr := v.tree(ctx)
	if terr != nil {
		return c, terr
	}
	n := node{path: rel, dataSize: -1}
	if err := t.statData(ctx, rel, &n); err != nil {
		if errs.Is(err, errs.NotFound) {
			err = &UnavailableError{rel}
		}
		return c, err
	}
	switch {
	case !n.hasData || t.belowFile(rel):
		return c, &noPathError{rel}
	case n.dataDir:
		if f := t.stages.Find(rel); f != nil {
			if _, err := t.manifest(ctx, f.Out); errs.Is(err, errs.NotFound) {
				return c, &UnavailableError{rel}
			}
		}
		return c, &isFolderError{rel}
	case n.digest.IsZero():
		return c, &UnavailableError{rel}
	}
	c.dig, c.ID, c.out = n.digest, n.digest.String(), t.stages.Find(rel).Out
	return c, nil
}

type isFolderError struct{ path string }

func (e *isFolderError) Error() string { return "'" + disk.Quote(e.path) + "' is a folder" }

// Unwrap gives the failure its class.
func (e *isFolderError) Unwrap() error { return errs.New(errs.Invalid, "is a folder") }

// maxLinks bounds links that lead to links.
const maxLinks = 16

func (v *Revision) findFile(c *Content) error {
	if !fs.ValidPath(c.rel) {
		return &noPathError{c.rel}
	}
	if v.IsWorkspace() {
		return v.findInWorkspace(c)
	}
	for range maxLinks {
		f, err := v.git.File(path.Join(v.sub, c.rel))
		switch {
		case errs.Is(err, errs.Invalid):
			return &isFolderError{c.rel}
		case err != nil:
			return err
		case f.Mode&fs.ModeSymlink == 0:
			c.ID = f.Blob
			return nil
		}
		to, err := v.git.Readlink(f.Path)
		if err != nil {
			return err
		}
		to = path.Join(path.Dir(c.rel), to)
		if path.IsAbs(to) || outOfRoot(to) {
			return &noPathError{c.rel}
		}
		c.rel = to
	}
	return &noPathError{c.rel}
}

// findInWorkspace follows links into the cache and inside of the workspace.
func (v *Revision) findInWorkspace(c *Content) error {
	r := v.repo
	st, err := r.Dir.LstatPath(c.rel)
	if err == nil && st.Mode&fs.ModeSymlink != 0 || errors.Is(err, disk.ErrLink) {
		return v.followInWorkspace(c)
	}
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return &isFolderError{c.rel}
	}
	return nil
}

func (v *Revision) followInWorkspace(c *Content) error {
	r := v.repo
	if dir, name, err := r.Dir.Parent(c.rel); err == nil {
		to, err := dir.Readlink(name)
		dir.Close()
		if err == nil && !filepath.IsAbs(to) {
			to = filepath.Join(r.abs(path.Dir(c.rel)), to)
		}
		if d, ok := r.Cache.LinkedTo(to); err == nil && ok {
			if st, err := r.Cache.Stat(d); err == nil && st.Mode.IsRegular() {
				c.dig, c.ID = d, d.String()
				return nil
			}
			return &noPathError{c.rel}
		}
	}
	t := &tree{root: r.Root, live: true, stages: newStages(nil)}
	real := t.throughLinks(c.rel)
	if st, err := r.Dir.LstatPath(real); err != nil || !st.Mode.IsRegular() {
		if err == nil && st.IsDir() {
			return &isFolderError{c.rel}
		}
		if _, err := os.Stat(r.abs(c.rel)); err == nil {
			return errs.New(errs.Invalid, "'%s' is a link out of the repository, which is not followed", disk.Quote(c.rel))
		}
		return &noPathError{c.rel}
	}
	c.rel = real
	return nil
}

// Read returns the bytes. Data that the cache lacks is fetched from the
// out's remote; the error is an *UnavailableError if that lacks it too.
func (c Content) Read(ctx context.Context) ([]byte, error) {
	v := c.rev
	switch {
	case c.out != nil:
		return v.readObject(ctx, c)
	case !c.dig.IsZero():
		return readAll(v.repo.Cache.Open(ctx, c.dig))
	case v.IsWorkspace():
		return v.repo.Dir.ReadFile(c.rel)
	}
	return v.repo.Git.Blob(c.ID)
}

func (v *Revision) readObject(ctx context.Context, c Content) ([]byte, error) {
	b, err := readAll(v.repo.Cache.Open(ctx, c.dig))
	if !errs.Is(err, errs.NotFound) {
		return b, err
	}
	t, err := v.tree(ctx)
	if err != nil {
		return nil, err
	}
	s, err := t.storeOf(ctx, c.out)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			err = &UnavailableError{c.rel}
		}
		return nil, err
	}
	if _, local := s.(*cache.Cache); !local {
		// What came over a network stays in the cache, as with DVC.
		item := remote.Item{Digest: c.dig, Size: -1, Path: c.rel}
		if _, err := remote.Transfer(ctx, v.repo.Cache, s, []remote.Item{item}, remote.TransferOptions{}); err == nil {
			return readAll(v.repo.Cache.Open(ctx, c.dig))
		}
	}
	b, err = readAll(s.Open(ctx, c.dig))
	if errs.Is(err, errs.NotFound) {
		err = &UnavailableError{c.rel}
	}
	return b, err
}

func readAll(rd io.ReadCloser, _ int64, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	return io.ReadAll(rd)
}

// ReadFile finds and reads a file.
func (v *Revision) ReadFile(ctx context.Context, rel string) ([]byte, error) {
	c, err := v.Find(ctx, rel)
	if err != nil {
		return nil, err
	}
	return c.Read(ctx)
}

// IsDir reports whether there is a folder at a path, be it only recorded.
func (v *Revision) IsDir(ctx context.Context, rel string) bool {
	if !v.IsWorkspace() && rel != "." {
		if _, err := v.git.File(path.Join(v.sub, rel)); err == nil {
			return false
		}
	}
	t, err := v.tree(ctx)
	if err != nil {
		return false
	}
	n, err := t.stat(ctx, t.throughLinks(rel))
	return err == nil && n.isDir()
}

// Expand replaces folders by the files below them and leaves out what is there
// already.
func (v *Revision) Expand(ctx context.Context, paths []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, p := range paths {
		if !v.IsDir(ctx, p) {
			add(p)
			continue
		}
		files, err := v.List(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			add(p) // reading it will say why
			continue
		}
		for _, f := range files {
			add(f)
		}
	}
	return out, nil
}

// List returns the paths of all files below a folder, sorted: those that
// .dvcignore does not hide and those that are recorded, without stage files.
func (v *Revision) List(ctx context.Context, rel string) ([]string, error) {
	t, err := v.tree(ctx)
	if err != nil {
		return nil, err
	}
	real := t.throughLinks(rel)
	var files []string
	var walk func(at string) error
	walk = func(at string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := t.list(ctx, at, false, false)
		if errs.Is(err, errs.NotFound) && at != real {
			files = append(files, at) // what is in it is not at hand
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range list {
			if !n.isDir() {
				files = append(files, n.path)
			} else if err := walk(n.path); err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(real)
	if real != rel {
		for i, f := range files {
			files[i] = path.Join(rel, strings.TrimPrefix(f, real))
		}
	}
	sort.Strings(files)
	return files, err
}
