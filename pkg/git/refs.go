package git

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Ref is a name for an object.
type Ref struct {
	Name string // in full, such as refs/heads/main
	SHA  string // what it names, not peeled
}

// Head is what is checked out.
type Head struct {
	Branch string // the full name of the branch; empty if detached
	SHA    string // the commit; empty before the first one
}

type packedRef struct{ sha string }

// maxSymbolic is how many symbolic refs Git follows.
const maxSymbolic = 5

// Refs are read here and not by go-git: its list fails beside the empty lock
// file of a running git, it takes a damaged ref for the commit 000..., and it
// does not find refs/bisect/* of a linked worktree.

// Head returns what is checked out. A branch without commits is no error.
func (r *Repo) Head() (Head, error) {
	f, err := r.format()
	if err != nil {
		return Head{}, err
	}
	if f.reftable {
		return r.headByProgram()
	}
	branch, sha, err := r.followRef("HEAD")
	if branch == "HEAD" {
		branch = ""
	}
	if errors.Is(err, fs.ErrNotExist) && branch != "" {
		return Head{Branch: branch}, nil
	}
	return Head{Branch: branch, SHA: sha}, err
}

func (r *Repo) headByProgram() (Head, error) {
	var h Head
	ctx := context.Background()
	if out, err := r.run(ctx, "read HEAD", nil, "symbolic-ref", "--quiet", "HEAD"); err == nil {
		h.Branch = strings.TrimSpace(string(out))
	} else if errs.Is(err, errs.Unsupported) {
		return h, err
	}
	out, err := r.run(ctx, "read HEAD", nil, "rev-parse", "--quiet", "--verify", "HEAD")
	if err == nil {
		h.SHA = strings.TrimSpace(string(out))
	} else if h.Branch == "" {
		return h, err
	}
	return h, nil
}

// followRef resolves a full ref name through symbolic refs. It returns the
// last name in the chain; fs.ErrNotExist if that has no value.
func (r *Repo) followRef(name string) (last, sha string, err error) {
	for range maxSymbolic {
		value, err := r.readRef(name)
		if err != nil {
			return name, "", err
		}
		target, symbolic := strings.CutPrefix(value, "ref:")
		if !symbolic {
			return name, value, nil
		}
		name = strings.TrimSpace(target)
		if !strings.HasPrefix(name, "refs/") || !validRefName(name) {
			return name, "", errs.New(errs.Corrupt, "a Git ref leads to the bad name %q", name)
		}
	}
	return name, "", errs.New(errs.Corrupt, "the Git ref %s leads to refs without end", name)
}

// readRef returns the text of one ref: a SHA, or "ref: " and a name.
func (r *Repo) readRef(name string) (string, error) {
	dir := r.commonDir
	if !strings.HasPrefix(name, "refs/") || perWorktree(name) {
		dir = r.gitDir
	}
	data, err := readSmall(filepath.Join(dir, filepath.FromSlash(name)))
	if err == nil {
		value := strings.TrimSpace(string(data))
		if strings.HasPrefix(value, "ref:") {
			return value, nil
		}
		// FETCH_HEAD has more on its line.
		sha, _, _ := strings.Cut(value, "\t")
		if !r.isFullSHA(sha) {
			return "", errs.New(errs.Corrupt, "the Git ref %s is damaged", name)
		}
		return strings.ToLower(sha), nil
	}
	// A folder in its place holds longer names.
	if !missing(err) && !errs.Is(err, errs.Invalid) {
		return "", err
	}
	if !strings.HasPrefix(name, "refs/") {
		return "", fs.ErrNotExist
	}
	packed, err := r.packed()
	if err != nil {
		return "", err
	}
	if p, ok := packed[name]; ok {
		return p.sha, nil
	}
	return "", fs.ErrNotExist
}

// perWorktree reports whether each working tree has its own ref of that name.
func perWorktree(name string) bool {
	return strings.HasPrefix(name, "refs/bisect/") || strings.HasPrefix(name, "refs/worktree/") || strings.HasPrefix(name, "refs/rewritten/")
}

func (r *Repo) readPackedRefs() (map[string]packedRef, error) {
	data, err := readSmall(filepath.Join(r.commonDir, "packed-refs"))
	if err != nil {
		if missing(err) {
			return nil, nil
		}
		return nil, err
	}
	refs := map[string]packedRef{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' || line[0] == '^' {
			continue
		}
		sha, name, ok := strings.Cut(line, " ")
		if !ok || !r.isFullSHA(sha) {
			return nil, errs.WithHint(errs.New(errs.Corrupt, "the file %q is damaged", filepath.Join(r.commonDir, "packed-refs")), "Run: git fsck")
		}
		refs[name] = packedRef{sha: sha}
	}
	return refs, nil
}

func (r *Repo) isFullSHA(s string) bool {
	f, err := r.format()
	return err == nil && len(s) == 2*f.hashLen && isHex(s)
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return s != ""
}

// validRefName refuses what could lead out of the Git folder or that Git does
// not allow in names.
func validRefName(name string) bool {
	if strings.ContainsAny(name, "\\ ~^:?*[\x7f") || strings.Contains(name, "@{") || strings.HasSuffix(name, ".") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.Contains(part, "..") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' {
			return false
		}
	}
	return true
}

// Branches lists the local branches, sorted by name.
func (r *Repo) Branches() ([]Ref, error) { return r.Refs("refs/heads/") }

// Tags lists the tags, sorted by name, annotated ones not peeled.
func (r *Repo) Tags() ([]Ref, error) { return r.Refs("refs/tags/") }

// Refs lists the refs below a prefix that ends in a slash, sorted by name.
// Symbolic refs are resolved; those that lead nowhere are left out.
func (r *Repo) Refs(prefix string) ([]Ref, error) {
	f, err := r.format()
	if err != nil {
		return nil, err
	}
	if f.reftable {
		return r.refsByProgram(prefix)
	}
	packed, err := r.packed()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range packed {
		if strings.HasPrefix(name, prefix) {
			names[name] = true
		}
	}
	root := filepath.Join(r.commonDir, filepath.FromSlash(prefix))
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if missing(err) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(r.commonDir, p)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); !d.IsDir() && validRefName(name) {
			names[name] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.resolveNames(names)
}

func (r *Repo) resolveNames(names map[string]bool) ([]Ref, error) {
	refs := make([]Ref, 0, len(names))
	for name := range names {
		_, sha, err := r.followRef(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		refs = append(refs, Ref{name, sha})
	}
	sort.Slice(refs, func(i, j int) bool { return refs[i].Name < refs[j].Name })
	return refs, nil
}

func (r *Repo) refsByProgram(prefix string) ([]Ref, error) {
	out, err := r.run(context.Background(), "list the refs", nil, "for-each-ref", "--format=%(objectname) %(refname)", strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		if sha, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			refs = append(refs, Ref{name, sha})
		}
	}
	return refs, nil
}

// GetRef returns what a full ref name, or HEAD, names; errs.NotFound if there
// is none.
func (r *Repo) GetRef(name string) (string, error) {
	f, err := r.format()
	if err != nil {
		return "", err
	}
	if name != "HEAD" && !validRefName(name) {
		return "", errs.New(errs.Invalid, "%q is not the name of a Git ref", name)
	}
	if f.reftable {
		out, err := r.run(context.Background(), "read the ref "+name, nil, "rev-parse", "--quiet", "--verify", "--end-of-options", name)
		if err != nil {
			if errs.Is(err, errs.Unavailable) {
				err = errs.New(errs.NotFound, "there is no Git ref %q", name)
			}
			return "", err
		}
		return strings.TrimSpace(string(out)), nil
	}
	_, sha, err := r.followRef(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errs.New(errs.NotFound, "there is no Git ref %q", name)
	}
	return sha, err
}

// shallow are the commits whose parents a shallow clone lacks.
func (r *Repo) shallow() (map[string]bool, error) {
	data, err := readSmall(filepath.Join(r.commonDir, "shallow"))
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	set := map[string]bool{}
	for _, sha := range strings.Fields(string(data)) {
		set[sha] = true
	}
	return set, nil
}
