package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/ignore"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// SourceOptions say which repository, and which state of it, is looked at.
type SourceOptions struct {
	URL  string // a folder in the repository; "" is the working directory
	Rev  string // a revision; "" is the workspace
	Path string // in the repository, as the user typed it; "" is the root
	// Here looks at the working directory in place of Path.
	Here bool

	// Config is a file of options that go before the repository's own,
	// Remote the name of its default remote, and RemoteConfig options of
	// that remote. They matter where lists of files are not in the cache.
	Config       string
	Remote       string
	RemoteConfig map[string]string

	fromPointer bool // a pointer file has them, not the command line
}

// noPathError says that nothing is at a path.
type noPathError struct{ path string }

func (e *noPathError) Error() string {
	return "[Errno 2] No such file or directory: '" + disk.Quote(e.path) + "'"
}

// Unwrap makes it an absence.
func (e *noPathError) Unwrap() error { return fs.ErrNotExist }

// tree shows data and the files beside it as one: what Git or the workspace
// has, and what stages record even if it is not there.
type tree struct {
	repo   *Repo     // nil where nothing is recorded; then there may be
	git    *git.Repo // Git and, for a workspace,
	dir    *disk.Dir // its folder
	root   string    // absolute path
	src    fs.FS
	live   bool // the workspace, not a commit
	rules  *ignore.Matcher
	stages *Stages // of cached outs only
	opts   SourceOptions
	remote *config.Remote          // to ask for manifests; nil if there is none
	stores map[string]object.Store // of the remotes that were asked, by name

	manifests map[object.Digest]object.Manifest // nil for one not to be had

	env  Env
	rev  string             // the SHA of the commit, "" for a workspace
	own  *cache.Cache       // of who asks: looked into before any other; may be nil
	far  *farSource         // a repository that is read without a workspace, or nil
	from []string           // where the search came from, for chains of imports
	next map[string]chained // where imports of this repository lead, by stage file
}

// node is what a tree has at a path.
type node struct {
	path string // relative to the tree's root
	// What lies there: in the workspace or the commit.
	hasFile, fileDir, exec bool
	fileSize               int64
	// What is recorded.
	hasData, dataDir bool
	isOut            bool // an out, or in one
	digest           object.Digest
	dataSize         int64         // bytes; -1 if not recorded
	out              *pipeline.Out // what records it; nil for a folder above outs
	under            string        // the path below the out
}

func (n *node) isDir() bool {
	if n.hasFile {
		return n.fileDir
	}
	return n.dataDir
}

// size is what is known of the size; -1 if nothing.
func (n *node) size() int64 {
	if n.hasFile {
		return n.fileSize
	}
	return n.dataSize
}

// openTree opens what the options name. The caller closes it.
func openTree(ctx context.Context, env Env, o SourceOptions) (*tree, error) {
	dir, err := sourceDir(env, o.URL)
	if errors.Is(err, errFar) {
		return openFar(ctx, env, dir, o)
	}
	if err != nil {
		return nil, err
	}
	root, err := FindRoot(dir)
	if errs.Is(err, errs.NotInRepo) {
		return openPlainTree(ctx, env, dir, o)
	}
	if err != nil {
		return nil, err
	}
	return openTreeAt(ctx, env, root, o)
}

// errFar says that a URL is for Git to understand.
var errFar = errors.New("an address")

// CloneError is the failure to reach a repository elsewhere at all.
type CloneError struct{ err error }

func (e *CloneError) Error() string { return "SCM error: " + e.err.Error() }

// Unwrap returns why.
func (e *CloneError) Unwrap() error { return e.err }

// cloneError marks a failure to reach a repository.
func cloneError(err error) error {
	switch {
	case err == nil, errs.KindOf(err) == errs.Cancelled:
		return err
	case errors.Is(err, fs.ErrNotExist), errs.Is(err, errs.NotFound) && strings.HasPrefix(err.Error(), "unknown Git revision"):
		return err
	}
	return &CloneError{err}
}

// sourceDir is the folder that a URL names. With errFar it is an address of a
// repository, or of one without a working tree.
func sourceDir(env Env, url string) (string, error) {
	if url == "" {
		return env.Dir, nil
	}
	dir := url
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(env.Dir, dir)
	}
	st, err := os.Stat(dir)
	switch {
	case err == nil && st.IsDir() && git.IsBare(dir):
		return dir, errFar
	case err == nil && st.IsDir():
		return dir, nil
	case err == nil:
		return "", errs.New(errs.Invalid, "'%s' is not a folder", disk.Quote(url))
	case !errors.Is(err, fs.ErrNotExist) && !disk.IsNotDir(err):
		return "", err
	case git.IsAddress(url):
		return url, errFar
	}
	return "", &CloneError{errs.New(errs.NotFound, "Failed to clone repo '%s': No git repository was found at %s", disk.Quote(url), disk.Quote(url))}
}

func openTreeAt(ctx context.Context, env Env, root string, o SourceOptions) (*tree, error) {
	r, err := openAt(root, env)
	if err != nil {
		return nil, err
	}
	t := &tree{repo: r, root: root, live: o.Rev == "", opts: o, env: env, stores: map[string]object.Store{}, manifests: map[object.Digest]object.Manifest{}}
	if err := t.load(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tree) load(ctx context.Context) error {
	var err error
	if t.remote, err = t.repo.sourceRemote(t.opts); err != nil {
		return err
	}
	var all *Stages
	if t.live {
		t.src, t.rules = workFS{t.repo.Dir}, t.repo.Ignore
		all, err = t.repo.Stages(ctx)
	} else {
		if t.src, err = t.repo.commitFS(ctx, t.opts.Rev); err != nil {
			return err
		}
		t.rules = ignore.New(ignore.FS(t.src), ignore.Options{})
		all, err = t.repo.StagesAt(ctx, t.opts.Rev)
	}
	if err != nil {
		return err
	}
	t.stages = cachedOuts(all)
	return nil
}

// cachedOuts are the outs whose bytes the cache has or had.
func cachedOuts(all *Stages) *Stages {
	s := &Stages{}
	s.index.Do(func() {
		s.outs = map[string]*pipeline.Out{}
		for p, o := range all.byPath() {
			if o.Cache && !o.IsExternal() && !outOfRoot(p) {
				s.outs[p] = o
			}
		}
	})
	return s
}

// commitFS is [Repo.treeAt] with links shown as links also below Git's root.
func (r *Repo) commitFS(ctx context.Context, rev string) (fs.FS, error) {
	whole, err := r.treeAt(ctx, rev)
	if err != nil || r.gitPath(".") == "." {
		return whole, err
	}
	sha, err := r.Git.Resolve(ctx, rev)
	if err != nil {
		return nil, err
	}
	t, err := r.Git.Tree(sha)
	return subTree{whole, t, r.gitPath(".")}, err
}

// subTree is a folder of a commit. What fs.Sub makes reads a file to say what
// it is.
type subTree struct {
	fs.FS
	tree *git.Tree
	dir  string
}

func (s subTree) Stat(name string) (fs.FileInfo, error) { return s.tree.Stat(path.Join(s.dir, name)) }

// openPlainTree opens a folder in which nothing is recorded: the Git
// repository that dir lies in, or dir itself.
func openPlainTree(ctx context.Context, env Env, dir string, o SourceOptions) (*tree, error) {
	t := &tree{root: dir, live: o.Rev == "", opts: o, env: env, stages: newStages(nil), manifests: map[object.Digest]object.Manifest{}}
	g, err := git.Open(dir, git.Options{Env: env.Environ})
	switch {
	case err == nil:
		t.git, t.root = g, g.Root()
	case !errs.Is(err, errs.NotFound):
		return nil, err
	case !t.live:
		return nil, errs.New(errs.Unsupported, "'%s' is not in a Git repository, so there is no revision '%s'", disk.Quote(orDot(o.URL)), disk.Quote(o.Rev))
	}
	if err := t.openPlain(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tree) openPlain(ctx context.Context) error {
	if t.live {
		var err error
		if t.dir, err = disk.OpenDir(t.root); err != nil {
			return err
		}
		t.src, t.rules = workFS{t.dir}, ignore.New(ignore.Disk(t.dir), ignore.Options{})
		return nil
	}
	sha, err := t.git.Resolve(ctx, t.opts.Rev)
	if err != nil {
		return err
	}
	src, err := t.git.Tree(sha)
	if err != nil {
		return err
	}
	t.src, t.rules = src, ignore.New(ignore.FS(src), ignore.Options{})
	return nil
}

func orDot(s string) string {
	if s == "" {
		return "."
	}
	return s
}

func (t *tree) close() {
	for _, s := range t.stores {
		closeStore(s)
	}
	for _, c := range t.next {
		if c.tree != nil {
			c.tree.close()
		}
	}
	if t.far != nil {
		defer t.far.close()
	}
	if t.repo != nil {
		_ = t.repo.Close()
		return
	}
	if t.dir != nil {
		_ = t.dir.Close()
	}
	if t.git != nil {
		_ = t.git.Close()
	}
}

// locate turns the path that the options name into one of the tree, which may
// then be another: a repository inside of this one.
func (t *tree) locate(ctx context.Context, env Env) (*tree, string, error) {
	rel, err := t.relative(env)
	if err != nil {
		return t, "", err
	}
	rel = t.throughLinks(rel)
	inner := ""
	for at := rel; at != "."; at = path.Dir(at) {
		if st, err := fs.Stat(t.src, at+"/"+dvcDir); err == nil && st.IsDir() {
			inner = at
			break
		}
	}
	if inner == "" {
		return t, rel, nil
	}
	var sub *tree
	if t.far != nil {
		sub, err = t.far.open(ctx, env, inner, t.opts)
	} else {
		sub, err = openTreeAt(ctx, env, filepath.Join(t.root, filepath.FromSlash(inner)), t.opts)
	}
	if err != nil {
		return t, "", err
	}
	sub.own, sub.from = t.own, t.from
	t.far = nil // it is sub's now
	t.close()
	return sub, path.Join(".", strings.TrimPrefix(rel, inner)), nil
}

// relative is the path relative to the root. A relative one starts at the
// working directory if that is in the workspace. In a commit it starts at the
// root, as for DVC, unless only the other makes sense.
func (t *tree) relative(env Env) (string, error) {
	cwd, err := filepath.Rel(t.root, env.Dir)
	cwd = filepath.ToSlash(cwd)
	if err != nil || outOfRoot(cwd) || t.far != nil {
		cwd = "."
	}
	p := t.opts.Path
	switch {
	case t.opts.Here:
		return cwd, nil
	case p == "" || p == "/":
		return ".", nil
	case strings.IndexByte(p, 0) >= 0:
		return "", errs.New(errs.Invalid, "path %q holds a NUL byte", p)
	case filepath.IsAbs(p):
		rel, err := filepath.Rel(t.root, filepath.Clean(p))
		if err != nil || outOfRoot(filepath.ToSlash(rel)) {
			return "", t.outside(p)
		}
		return filepath.ToSlash(rel), nil
	}
	p = filepath.ToSlash(p)
	rel := path.Join(cwd, p)
	if !t.live && cwd != "." {
		if fromRoot := path.Join(".", p); !outOfRoot(fromRoot) && t.has(fromRoot) || outOfRoot(rel) {
			rel = fromRoot
		}
	}
	if outOfRoot(rel) {
		return "", t.outside(t.opts.Path)
	}
	return rel, nil
}

func (t *tree) outside(p string) error {
	return errs.New(errs.Invalid, "'%s' is outside of the repository '%s'", disk.Quote(p), disk.Quote(t.root))
}

// has reports whether a commit has or records anything at a path.
func (t *tree) has(rel string) bool {
	_, err := fs.Stat(t.src, rel)
	return err == nil || t.stages.Find(rel) != nil || len(t.stages.Inside(rel)) > 0
}

// throughLinks follows links on the way to a path of the workspace, where they
// stay in it and are no data.
func (t *tree) throughLinks(rel string) string {
	if !t.live || t.stages.Find(rel) != nil {
		return rel
	}
	real, err := filepath.EvalSymlinks(filepath.Join(t.root, filepath.FromSlash(rel)))
	if err != nil {
		return rel
	}
	root, err := filepath.EvalSymlinks(t.root)
	if err != nil {
		return rel
	}
	to, err := filepath.Rel(root, real)
	if err != nil || outOfRoot(filepath.ToSlash(to)) {
		return rel
	}
	return filepath.ToSlash(to)
}

// notThere is the error for a path where nothing is.
func (t *tree) notThere(rel string) error {
	return &noPathError{filepath.Join(t.root, filepath.FromSlash(rel))}
}

// stat returns what is at a path.
func (t *tree) stat(ctx context.Context, rel string) (node, error) {
	n := node{path: rel, dataSize: -1}
	err := t.statFile(rel, &n)
	if err != nil {
		return n, err
	}
	if err := t.statData(ctx, rel, &n); err != nil {
		return n, err
	}
	if n.hasData && !n.hasFile && t.belowFile(rel) {
		n.hasData = false
	}
	if !n.hasFile && !n.hasData {
		return n, t.notThere(rel)
	}
	return n, nil
}

// statFile fills in what lies at a path, unless it is ignored.
func (t *tree) statFile(rel string, n *node) error {
	info, err := fs.Stat(t.src, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, disk.ErrLink), disk.IsNotDir(err):
		return nil
	case err != nil:
		return err
	}
	if rel != "." {
		ignored, err := t.rules.Ignored(rel, info.IsDir())
		if err != nil || ignored {
			return err
		}
	}
	t.setFile(n, rel, info, info.Mode(), true)
	return nil
}

// setFile fills in a file, folder or link. A link counts with the size of what
// it leads to; alone is set for a path that was asked for.
func (t *tree) setFile(n *node, rel string, info fs.FileInfo, mode fs.FileMode, alone bool) {
	n.hasFile, n.fileDir = true, mode.IsDir()
	n.exec = mode.IsRegular() && mode&0o111 != 0
	n.fileSize = info.Size()
	switch {
	case mode&fs.ModeSymlink != 0 && t.live:
		n.fileSize = 0
		st, err := os.Stat(filepath.Join(t.root, filepath.FromSlash(rel)))
		if err == nil {
			n.fileSize = st.Size()
			n.exec = alone && st.Mode().IsRegular() && st.Mode()&0o111 != 0
		} else if alone {
			n.hasFile = false // leads nowhere
		}
	case mode.IsDir() && !t.live:
		n.fileSize = t.gitFolderSize(rel)
	}
}

// gitFolderSize is the size of Git's object for a folder, which DVC shows.
func (t *tree) gitFolderSize(rel string) int64 {
	list, err := fs.ReadDir(t.src, rel)
	if err != nil {
		return 0
	}
	var sum int64
	for _, e := range list {
		mode := len("100644")
		if e.IsDir() {
			mode = len("40000")
		}
		const around = 2 // a blank and a NUL
		const sha = 20
		sum += int64(mode + len(e.Name()) + around + sha)
	}
	return sum
}

// belowFile reports whether a folder above a path is none.
func (t *tree) belowFile(rel string) bool {
	for at := path.Dir(rel); at != "."; at = path.Dir(at) {
		if st, err := fs.Stat(t.src, at); err == nil {
			return !st.IsDir()
		}
	}
	return false
}

// statData fills in what is recorded of a path.
func (t *tree) statData(ctx context.Context, rel string, n *node) error {
	found := t.stages.Find(rel)
	if found == nil {
		n.hasData = len(t.stages.Inside(rel)) > 0
		n.dataDir = n.hasData
		return nil
	}
	o := found.Out
	if found.Under == "" {
		t.setOut(n, o)
		return nil
	}
	n.out, n.under = o, found.Under
	if !o.Digest.IsDir() {
		return nil
	}
	m, err := t.manifest(ctx, o)
	if err != nil {
		return err
	}
	part := m.Under(found.Under)
	if len(part) == 0 {
		return nil
	}
	n.hasData, n.isOut = true, true
	if n.dataDir = part[0].Path != found.Under; !n.dataDir {
		n.digest, n.dataSize = part[0].Digest, part[0].Size
	}
	return nil
}

func (t *tree) setOut(n *node, o *pipeline.Out) {
	n.hasData, n.isOut, n.dataDir = true, true, o.Digest.IsDir()
	n.digest, n.dataSize, n.out = o.Digest, o.Size, o
}

// list returns what a folder holds, sorted by name. Without dataOnly that
// includes files; pipeline files only if asked for.
func (t *tree) list(ctx context.Context, rel string, dataOnly, stageFiles bool) ([]node, error) {
	found := map[string]*node{}
	at := func(name string) *node {
		n := found[name]
		if n == nil {
			n = &node{path: path.Join(rel, name), dataSize: -1}
			found[name] = n
		}
		return n
	}
	isFolder := false
	if !dataOnly {
		var err error
		if isFolder, err = t.listFiles(rel, at); err != nil {
			return nil, err
		}
	}
	if err := t.listData(ctx, rel, isFolder, at); err != nil {
		return nil, err
	}
	list := make([]node, 0, len(found))
	for name, n := range found {
		if stageFiles || !pipeline.IsStageFile(name) && name != ignore.DVCFile {
			list = append(list, *n)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].path < list[j].path })
	return list, nil
}

// listFiles adds what lies in a folder and is not ignored, and reports whether
// there is such a folder.
func (t *tree) listFiles(rel string, at func(string) *node) (bool, error) {
	entries, err := fs.ReadDir(t.src, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, disk.ErrLink), disk.IsNotDir(err), errs.Is(err, errs.Invalid):
		return false, nil
	case err != nil:
		return false, err
	}
	rules, err := t.rules.Dir(rel)
	if err != nil {
		return false, err
	}
	if rules.Ignored() {
		return false, nil
	}
	for _, e := range entries {
		p := path.Join(rel, e.Name())
		if rules.Match(e.Name(), e.IsDir()) {
			continue
		}
		if e.IsDir() {
			inside, err := t.rules.Dir(p)
			if err != nil {
				return false, err
			}
			if inside.Ignored() {
				continue
			}
		}
		info, err := e.Info()
		if err != nil {
			continue // gone by now
		}
		t.setFile(at(e.Name()), p, info, e.Type()|info.Mode().Perm(), false)
	}
	return true, nil
}

// listData adds what is recorded in a folder. What is recorded as a file says
// nothing of the folder that is there now.
func (t *tree) listData(ctx context.Context, rel string, isFolder bool, at func(string) *node) error {
	found := t.stages.Find(rel)
	if found == nil {
		for _, o := range t.stages.Inside(rel) {
			below := o.RepoPath()
			if rel != "." {
				below = below[len(rel)+1:]
			}
			name, _, deeper := strings.Cut(below, "/")
			if n := at(name); deeper {
				n.hasData, n.dataDir = true, true
			} else {
				t.setOut(n, o)
			}
		}
		return nil
	}
	if !found.Out.Digest.IsDir() {
		return nil
	}
	m, err := t.manifest(ctx, found.Out)
	if err != nil {
		if isFolder && errs.Is(err, errs.NotFound) {
			t.warnUnknown(found.Out, err)
			return nil
		}
		return err
	}
	skip := 0
	if found.Under != "" {
		skip = len(found.Under) + 1
	}
	for _, f := range m.Under(found.Under) {
		if len(f.Path) < skip {
			return nil // a file, not a folder
		}
		name, _, deeper := strings.Cut(f.Path[skip:], "/")
		n := at(name)
		n.hasData, n.isOut, n.dataDir = true, true, deeper
		n.out, n.under = found.Out, path.Join(found.Under, name)
		if !deeper {
			n.digest, n.dataSize = f.Digest, f.Size
		}
	}
	return nil
}

func (t *tree) warnUnknown(o *pipeline.Out, err error) {
	if t.repo != nil {
		t.repo.warn("what is recorded of %s is not shown: %v", disk.Quote(t.repo.Show(o.RepoPath())), err)
	}
	t.manifests[o.Digest] = object.Manifest{} // said once
}

// manifest is the list of files of a folder.
func (t *tree) manifest(ctx context.Context, o *pipeline.Out) (object.Manifest, error) {
	if m, ok := t.manifests[o.Digest]; ok {
		return m, nil
	}
	m, err := t.findManifest(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("the list of files of '%s': %w", disk.Quote(t.repo.Show(o.RepoPath())), err)
	}
	t.manifests[o.Digest] = m
	return m, nil
}

// findManifest looks in the caches, then asks the remote and, for what the
// repository has imported, the repository it came from.
func (t *tree) findManifest(ctx context.Context, o *pipeline.Out) (object.Manifest, error) {
	var bad error
	for _, c := range t.caches() {
		m, err := c.ReadManifest(ctx, o.Digest)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil || !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Corrupt) {
			return nil, err
		}
		if errs.Is(err, errs.Corrupt) {
			bad = err
		}
	}
	s, err := t.storeOf(ctx, o)
	if err == nil {
		var m object.Manifest
		if m, err = object.ReadManifest(ctx, s, o.Digest); err == nil {
			return m, nil
		}
	}
	if ctx.Err() == nil && isRepoImport(o.Stage) {
		if m, cerr := t.chainedManifest(ctx, o); cerr == nil {
			return m, nil
		} else if !errs.Is(cerr, errs.NotFound) {
			err = cerr
		}
	}
	if bad != nil && errs.Is(err, errs.NotFound) {
		err = bad
	}
	return nil, err
}

// caches are the local stores that may have the repository's objects.
func (t *tree) caches() []*cache.Cache {
	var list []*cache.Cache
	if t.own != nil {
		list = append(list, t.own)
	}
	if t.repo != nil && (t.own == nil || t.own.Path() != t.repo.Cache.Path()) {
		list = append(list, t.repo.Cache)
	}
	return list
}

// storeOf is the remote that has an out's objects: the out's own, or that
// which the options name, or the default one.
func (t *tree) storeOf(ctx context.Context, o *pipeline.Out) (object.Store, error) {
	use := t.remote
	if o.Remote != "" {
		var err error
		if use, err = t.repo.Config.Remote(o.Remote); err != nil {
			return nil, err
		}
	}
	if use == nil {
		return nil, errs.WithHint(errs.New(errs.NotFound, "it is not in the cache, and there is no default remote to ask"),
			"Set one with: cairn remote default NAME")
	}
	if s := t.stores[use.Name]; s != nil {
		return s, nil
	}
	if err := t.trusted(use); err != nil {
		return nil, err
	}
	s, err := t.repo.openConfigured(ctx, use, 0)
	if err != nil {
		return nil, err
	}
	t.stores[use.Name] = s
	return s, nil
}

// sourceRemote is the remote that the options name, nil if there is none.
func (r *Repo) sourceRemote(o SourceOptions) (*config.Remote, error) {
	name := o.Remote
	var extra *config.Config
	if o.Config != "" {
		var err error
		if extra, err = r.extraConfig(o.Config); err != nil {
			return nil, err
		}
		if name == "" {
			name = extra.Core.Remote
		}
	}
	if name == "" {
		name = r.Config.Core.Remote
	}
	if name == "" {
		return nil, nil
	}
	cfg, err := r.Config.Remote(name)
	if extra != nil {
		if over, oerr := extra.Remote(name); oerr == nil {
			if !o.fromPointer {
				over.Levels = nil // the user named the file
			}
			cfg, err = overlayRemote(cfg, over), nil
		}
	}
	if err != nil && o.RemoteConfig["url"] != "" {
		cfg, err = &config.Remote{Name: name}, nil
	}
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			err = &errs.Error{Kind: errs.Config, Err: err}
		}
		return nil, err
	}
	if o.fromPointer {
		if err := refusePrograms(o, extra, name); err != nil {
			return nil, err
		}
	}
	over := &config.Remote{Name: cfg.Name, URL: cfg.URL, Jobs: cfg.Jobs, Options: map[string]string{}, Levels: map[string]config.Level{}}
	for k, v := range o.RemoteConfig {
		if k == "url" {
			over.URL = v
		} else {
			over.Options[k] = v
		}
		if o.fromPointer {
			over.Levels[k] = config.Project
		}
	}
	return overlayRemote(cfg, over), nil
}

// refusePrograms refuses options in a pointer file that would run a program:
// whoever can commit would choose it.
func refusePrograms(o SourceOptions, extra *config.Config, name string) error {
	given := maps.Clone(o.RemoteConfig)
	if extra != nil {
		if over, err := extra.Remote(name); err == nil {
			if given == nil {
				given = map[string]string{}
			}
			maps.Copy(given, over.Options)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if config.RunsProgram(k) {
			return errs.WithHint(errs.New(errs.Denied, "a pointer file sets the option %s, which names a program: it was not used", k),
				"Set it in your own configuration: cairn remote modify --global NAME %s VALUE.", k)
		}
	}
	return nil
}

// overlayRemote is a remote with the options of another over its own.
func overlayRemote(base, over *config.Remote) *config.Remote {
	merged := *over
	merged.Options = map[string]string{}
	if base != nil {
		for k, v := range base.Options {
			merged.Options[k] = v
		}
	}
	for k, v := range over.Options {
		merged.Options[k] = v
	}
	merged.Levels = map[string]config.Level{}
	if base != nil {
		maps.Copy(merged.Levels, base.Levels)
	}
	for k := range over.Options {
		delete(merged.Levels, k)
	}
	maps.Copy(merged.Levels, over.Levels)
	return &merged
}

// extraConfig reads a file of options by itself.
func (r *Repo) extraConfig(file string) (*config.Config, error) {
	abs := file
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	dir, err := disk.OpenDir(filepath.Dir(abs))
	if err != nil {
		return nil, &noPathError{file}
	}
	defer dir.Close()
	text, err := dir.ReadFile(filepath.Base(abs))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noPathError{file}
	}
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(config.LoadOptions{
		DvcDir: filepath.Dir(abs), Dir: r.env.Dir, Home: r.env.Home,
		ReadProject: func(name string) ([]byte, error) {
			if name == "config" {
				return text, nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		err = fmt.Errorf("options of '%s': %w", disk.Quote(file), err)
	}
	return cfg, err
}
