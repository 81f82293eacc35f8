package git

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/ignore"
)

// Options of [Open].
type Options struct {
	// Env is the environment as os.Environ has it: where to look for the git
	// program and for the user's configuration. Variables that point Git to
	// a repository are not heeded.
	Env []string

	// Scratch is the absolute path of a folder in the working tree, or "", for
	// files that have no name yet: see disk.Dir.WithScratch.
	Scratch string
}

// Repo is a Git repository with a working tree. It is safe for concurrent
// use, except that edits of one file must not overlap.
type Repo struct {
	root      string // absolute path of the working tree
	gitDir    string // of this working tree
	commonDir string // shared by all working trees
	env       []string
	dir       *disk.Dir // root
	bare      bool      // the root is the Git folder
	source    string    // of a mirror, the address of the other side

	program func() string
	config  func() (*Config, error)
	format  func() (format, error)
	objects func() (*objectDB, error)
	packed  func() (map[string]packedRef, error)

	mu      sync.Mutex
	matcher *ignore.Matcher
	index   *index
}

// Open finds the repository whose working tree holds dir, an absolute path.
// Without one the error is errs.NotFound; a bare repository is
// errs.Unsupported.
func Open(dir string, o Options) (*Repo, error) {
	if !filepath.IsAbs(dir) {
		return nil, errs.New(errs.Invalid, "%q is not an absolute path", dir)
	}
	for at := filepath.Clean(dir); ; {
		gitDir, err := gitDirOf(at)
		if err != nil {
			return nil, err
		}
		if gitDir != "" {
			return open(at, gitDir, o)
		}
		if isGitDir(at) {
			return nil, errs.New(errs.Unsupported, "%q is a Git repository without a working tree", at)
		}
		up := filepath.Dir(at)
		if up == at {
			return nil, errs.New(errs.NotFound, "there is no Git repository at or above %q", dir)
		}
		at = up
	}
}

func open(root, gitDir string, o Options) (*Repo, error) {
	r := &Repo{root: root, gitDir: gitDir, env: o.Env}
	r.commonDir = commonDirOf(gitDir)
	dir, err := disk.OpenDir(root)
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(root, o.Scratch); err == nil && o.Scratch != "" && filepath.IsLocal(rel) {
		dir = dir.WithScratch(filepath.ToSlash(rel))
	}
	r.dir = dir
	r.program = sync.OnceValue(r.findProgram)
	r.config = sync.OnceValues(r.readConfig)
	r.format = sync.OnceValues(r.readFormat)
	r.objects = sync.OnceValues(r.openObjects)
	r.packed = sync.OnceValues(r.readPackedRefs)
	return r, nil
}

// gitDirOf returns the Git folder of the working tree at dir, or "". A .git
// file that leads nowhere is errs.Invalid, as for Git.
func gitDirOf(dir string) (string, error) {
	p := filepath.Join(dir, ".git")
	st, err := os.Stat(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
			return "", nil
		}
		return "", err
	}
	if st.IsDir() {
		if isGitDir(p) {
			return p, nil
		}
		return "", nil
	}
	if !st.Mode().IsRegular() {
		return "", nil
	}
	data, err := readSmall(p)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(string(data), "gitdir:")
	target = strings.TrimSpace(target)
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	if !ok || !isGitDir(target) {
		return "", errs.WithHint(errs.New(errs.Invalid, "%q does not lead to a Git repository", p),
			"If the working tree was moved, run: git worktree repair")
	}
	return filepath.Clean(target), nil
}

func isGitDir(p string) bool {
	if _, err := os.Lstat(filepath.Join(p, "HEAD")); err != nil {
		return false
	}
	common := commonDirOf(p)
	for _, name := range []string{"objects", "refs"} {
		if st, err := os.Stat(filepath.Join(common, name)); err != nil || !st.IsDir() {
			return false
		}
	}
	return true
}

func commonDirOf(gitDir string) string {
	data, err := readSmall(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	p := strings.TrimSpace(string(data))
	if !filepath.IsAbs(p) {
		p = filepath.Join(gitDir, p)
	}
	return filepath.Clean(p)
}

// Close releases what the repository holds open.
func (r *Repo) Close() error {
	if db, err := r.objects(); err == nil {
		db.close()
	}
	return r.dir.Close()
}

// Root is the absolute path of the working tree.
func (r *Repo) Root() string { return r.root }

// GitDir is the absolute path of this working tree's Git folder.
func (r *Repo) GitDir() string { return r.gitDir }

// CommonDir is the absolute path of the Git folder that all working trees
// share; mostly the same as GitDir.
func (r *Repo) CommonDir() string { return r.commonDir }

// Rel turns an absolute path into one relative to the root. A path outside is
// errs.Invalid.
func (r *Repo) Rel(abs string) (string, error) {
	rel, err := filepath.Rel(r.root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", errs.New(errs.Invalid, "%q is outside of the Git repository %q", abs, r.root)
	}
	return filepath.ToSlash(rel), nil
}

// HasProgram reports whether the git program was found.
func (r *Repo) HasProgram() bool { return r.program() != "" }

// maxSmall bounds the files that are read whole: refs, configuration,
// packed-refs.
const maxSmall = 256 << 20

func readSmall(p string) ([]byte, error) {
	st, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSmall {
		return nil, errs.New(errs.Invalid, "%q is not a plain file of moderate size", p)
	}
	return os.ReadFile(p)
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) }

// format is what the configuration says of the repository's formats.
type format struct {
	hashLen  int
	reftable bool
}

func (r *Repo) readFormat() (format, error) {
	f := format{hashLen: 20}
	c, err := r.localConfig()
	if err != nil {
		return f, err
	}
	if v := c.Get("core.repositoryformatversion"); v != "" && v != "0" && v != "1" {
		return f, errs.New(errs.Unsupported, "the Git repository has the unknown format version %q", v)
	}
	switch v := strings.ToLower(c.Get("extensions.objectformat")); v {
	case "", "sha1":
	case "sha256":
		f.hashLen = 32
	default:
		return f, errs.New(errs.Unsupported, "the Git repository has the unknown object format %q", v)
	}
	switch v := strings.ToLower(c.Get("extensions.refstorage")); v {
	case "", "files":
	case "reftable":
		f.reftable = true
	default:
		return f, errs.New(errs.Unsupported, "the Git repository has the unknown ref format %q", v)
	}
	return f, nil
}
