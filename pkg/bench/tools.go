package bench

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/errs"
)

// Kind is a family of command lines: how a tool is spoken to.
type Kind string

// The kinds. A tool's kind is what its name begins with: "cairn-0.1" is a
// cairn.
const (
	Cairn Kind = "cairn"
	DVC   Kind = "dvc"
	Dud   Kind = "dud"
	LFS   Kind = "git-lfs"
	Annex Kind = "git-annex"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Cairn, DVC, Dud, LFS, Annex} }

// KindOf is the kind of a tool of that name, "" if there is none.
func KindOf(name string) Kind {
	for _, k := range Kinds() {
		if rest, ok := strings.CutPrefix(name, string(k)); ok && (rest == "" || rest[0] == '-') {
			return k
		}
	}
	return ""
}

// Tool is a program that is measured.
type Tool struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	Path    string `json:"path"`
	Version string `json:"version"` // "" if it does not say
}

// errCannot is the error of a step that a tool has no way to do.
var errCannot = errors.New("this tool cannot do that")

// dvcLike reports whether a tool takes DVC's command line.
func (t *Tool) dvcLike() bool { return t.Kind == Cairn || t.Kind == DVC }

// cmd is a command of the tool.
func (t *Tool) cmd(args ...string) command {
	return command{path: t.Path, args: append([]string{t.argv0()}, args...)}
}

// argv0 is what the tool is told it is called: cairn would take itself for DVC
// under another name.
func (t *Tool) argv0() string {
	if t.Kind == Cairn {
		return "cairn"
	}
	return t.Path
}

func git(args ...string) command { return command{path: "git", args: append([]string{"git"}, args...)} }

// version asks a tool for its version.
func (l *lab) version(ctx context.Context, t *Tool) (string, error) {
	c := t.cmd("--version")
	switch t.Kind {
	case Dud, LFS:
		c = t.cmd("version")
	case Annex:
		c = t.cmd("version", "--raw")
	case DVC:
		c.args[0] = string(Cairn) // a cairn that is called dvc says then what it is
	}
	out, err := l.output(ctx, l.root, c)
	if err != nil {
		return "", err
	}
	switch t.Kind {
	case LFS: // git-lfs/3.3.0 (GitHub; linux amd64; ...)
		out, _, _ = strings.Cut(strings.TrimPrefix(out, "git-lfs/"), " ")
	case Cairn: // 3.67.1 (cairn 0.1.0)
		if _, ours, ok := strings.Cut(out, "(cairn "); ok {
			out = strings.TrimSuffix(ours, ")")
		}
	case Dud: // which may print warnings first, and NONE if it does not know
		if out = out[strings.LastIndexByte(out, '\n')+1:]; out == "NONE" {
			out = ""
		}
	}
	return strings.TrimSpace(out), nil
}

// site is one tool's repository of one round, or the floor's folder.
type site struct {
	l      *lab
	tool   *Tool // nil for the floor
	dir    string
	remote string // a folder, or a prefix on the user's remote
	broken error  // what went wrong; the rest of the family is left out
	n      int    // makes changes differ
}

func (s *site) path(rel ...string) string {
	return filepath.Join(append([]string{s.dir}, rel...)...)
}

func (s *site) run(ctx context.Context, list ...command) error {
	for _, c := range list {
		if err := s.l.run(ctx, s.dir, c); err != nil {
			return err
		}
	}
	return nil
}

// link is how a repository's workspace shares bytes with its cache, in DVC's
// words.
type link string

const (
	linkCopy     link = "copy"
	linkHardlink link = "hardlink"
	linkReflink  link = "reflink"
	linkSymlink  link = "symlink"
)

// initialize makes s a repository.
func (s *site) initialize(ctx context.Context, hash string, as link) error {
	if err := s.run(ctx, git("init", "-q", "-b", "main", ".")); err != nil {
		return err
	}
	t := s.tool
	switch t.Kind {
	case Cairn, DVC:
		c := t.cmd("init", "-q")
		if t.Kind == Cairn {
			c = t.cmd("init", "-q", "--hash", hash)
		}
		if err := s.run(ctx, c, t.cmd("config", "cache.type", string(as))); err != nil {
			return err
		}
	case Dud:
		if as != linkCopy && as != linkSymlink {
			return errCannot
		}
		if err := s.run(ctx, t.cmd("init")); err != nil {
			return err
		}
		// It leaves that to the user.
		if err := os.WriteFile(s.path(".gitignore"), []byte("/data/\n/many/\n/big.bin\n/.dud/cache/\n"), 0o666); err != nil {
			return err
		}
	case LFS:
		if as != linkCopy {
			return errCannot
		}
		if err := s.run(ctx, git("lfs", "install", "--local"), git("lfs", "track", "many/**", "big.bin")); err != nil {
			return err
		}
	case Annex:
		if as != linkCopy { // it has its own way, always
			return errCannot
		}
		if err := s.run(ctx, git("annex", "init", "-q", "bench")); err != nil {
			return err
		}
	}
	return s.save(ctx)
}

// save commits what Git has to keep.
func (s *site) save(ctx context.Context) error {
	if s.tool.Kind != Annex { // whose files are staged already, as it wants them
		if err := s.run(ctx, git("add", "-A")); err != nil {
			return err
		}
	}
	return s.run(ctx, git("commit", "-q", "--allow-empty", "-m", "bench"))
}

// track declares what is to be added, where that is a step of its own.
func (s *site) track(ctx context.Context, path string, isDir bool) error {
	if s.tool.Kind != Dud {
		return nil
	}
	text := "outputs:\n  " + path + ": {}\n"
	if isDir {
		text = "outputs:\n  " + path + ":\n    is-dir: true\n"
	}
	if err := os.WriteFile(s.path(path+".yaml"), []byte(text), 0o666); err != nil {
		return err
	}
	return s.run(ctx, s.tool.cmd("stage", "add", path+".yaml"))
}

// add takes data in, a new or a changed path.
func (s *site) add(path string, as link) command {
	switch s.tool.Kind {
	case Dud:
		return s.dud("commit", as)
	case LFS:
		return git("add", path)
	case Annex:
		return git("annex", "add", "-q", path)
	}
	return s.tool.cmd("add", "-q", path)
}

// dud is one of its commands that make links unless told otherwise.
func (s *site) dud(verb string, as link) command {
	if as == linkCopy {
		return s.tool.cmd(verb, "--copy")
	}
	return s.tool.cmd(verb)
}

func (s *site) status() command {
	switch s.tool.Kind {
	case LFS:
		return git("status", "--short")
	case Annex:
		return git("annex", "status")
	}
	return s.tool.cmd("status")
}

// checkout brings a path back that was removed.
func (s *site) checkout(path string, as link) command {
	switch s.tool.Kind {
	case Dud:
		return s.dud("checkout", as)
	case LFS, Annex:
		return git("checkout", "-q", "--", path)
	}
	return s.tool.cmd("checkout", "-q")
}

// connect gives the repository a remote.
func (s *site) connect(ctx context.Context) error {
	t := s.tool
	if r := s.l.o.Remote; r != nil {
		if !t.dvcLike() {
			return errCannot
		}
		return r.Configure(s.dir, s.remote)
	}
	switch t.Kind {
	case Dud:
		// It moves bytes with rclone.
		if _, err := exec.LookPath("rclone"); err != nil {
			return errCannot
		}
		return s.run(ctx, t.cmd("config", "set", "remote", s.remote))
	case LFS:
		return s.run(ctx, git("init", "-q", "--bare", s.remote), git("remote", "add", "origin", "file://"+filepath.ToSlash(s.remote)))
	case Annex:
		if err := os.MkdirAll(s.remote, 0o777); err != nil {
			return err
		}
		return s.run(ctx, git("annex", "initremote", "-q", "store", "type=directory", "directory="+s.remote, "encryption=none"))
	}
	return s.run(ctx, t.cmd("remote", "add", "-q", "-d", "store", s.remote))
}

func (s *site) push() command {
	switch s.tool.Kind {
	case LFS:
		return git("push", "-q", "origin", "HEAD")
	case Annex:
		return git("annex", "copy", "-q", "--to=store", ".")
	case Dud:
		return s.tool.cmd("push")
	}
	return s.tool.cmd("push", "-q")
}

// forget empties the cache and removes a path.
func (s *site) forget(ctx context.Context, path string) error {
	var cache string
	switch s.tool.Kind {
	case Cairn, DVC:
		cache = s.path(".dvc", "cache")
	case Dud:
		cache = s.path(".dud", "cache")
	case LFS:
		cache = s.path(".git", "lfs", "objects")
	case Annex: // which has the names in Git and the bytes behind them
		return s.run(ctx, git("annex", "drop", "-q", "--force", "."))
	}
	if err := removeAll(s.path(path)); err != nil {
		return err
	}
	if err := removeAll(cache); err != nil {
		return err
	}
	if s.tool.Kind == Dud { // it does not make it anew
		return os.Mkdir(cache, 0o777)
	}
	return nil
}

func (s *site) pull(as link) command {
	switch s.tool.Kind {
	case LFS:
		return git("lfs", "pull")
	case Annex:
		return git("annex", "get", "-q", ".")
	case Dud:
		return s.dud("pull", as)
	}
	return s.tool.cmd("pull", "-q")
}

// find reports which peers there are: those that the user named, and those on
// the PATH.
func (l *lab) find(ctx context.Context) error {
	l.tools = []*Tool{{Name: string(Cairn), Kind: Cairn, Path: l.o.Self}}
	taken := map[string]bool{string(Cairn): true}
	for _, t := range l.o.Tools {
		kind := KindOf(t.Name)
		if kind == "" {
			return unknown("tool", t.Name, kindNames(), "A tool is called by what it is, or by that with something behind a hyphen: dvc-2.58=/opt/dvc2/bin/dvc.")
		}
		if taken[t.Name] {
			return errs.New(errs.Usage, "there are two tools called %s", t.Name)
		}
		st, err := os.Stat(t.Path)
		if err != nil {
			return errs.New(errs.NotFound, "tool %s: %w", t.Name, err)
		}
		if st.IsDir() {
			return errs.New(errs.Invalid, "tool %s: %s is a folder", t.Name, t.Path)
		}
		taken[t.Name] = true
		l.tools = append(l.tools, &Tool{Name: t.Name, Kind: kind, Path: t.Path})
	}
	for _, t := range l.o.Found {
		if taken[t.Name] || l.isSelf(t.Path) {
			continue
		}
		l.tools = append(l.tools, &Tool{Name: t.Name, Kind: KindOf(t.Name), Path: t.Path})
	}
	found := l.tools
	l.tools = nil
	for _, t := range found {
		if err := l.link(t); err != nil {
			return err
		}
		var err error
		if t.Version, err = l.version(ctx, t); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if t == found[0] {
				return err
			}
			l.note(t, "", err)
		}
		if t.Kind == DVC && strings.Contains(t.Version, "(cairn ") {
			l.o.Note("%s is left out: %s is a cairn", t.Name, t.Path)
			continue
		}
		l.tools = append(l.tools, t)
	}
	return nil
}

// isSelf reports whether a peer is a link to this very program.
func (l *lab) isSelf(path string) bool {
	a, err := os.Stat(path)
	if err != nil {
		return false
	}
	b, err := os.Stat(l.o.Self)
	return err == nil && os.SameFile(a, b)
}

// link lets Git find its extensions, which it looks for by name on the PATH.
func (l *lab) link(t *Tool) error {
	if t.Kind != LFS && t.Kind != Annex || filepath.Base(t.Path) == t.Path {
		return nil
	}
	bin := filepath.Join(l.root, "bin")
	if err := os.MkdirAll(bin, 0o777); err != nil {
		return err
	}
	if err := os.Symlink(t.Path, filepath.Join(bin, string(t.Kind))); err != nil {
		return errs.New(errs.Usage, "tool %s: Git has one %s only: %w", t.Name, t.Kind, err)
	}
	return nil
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}

// unknown is the error of a name that does not exist.
func unknown(what, name string, known []string, more string) error {
	hint := "There are " + strings.Join(known, ", ") + "."
	if near := config.Nearest(name, known); near != "" {
		hint = "Did you mean " + near + "?"
	}
	if more != "" {
		hint += " " + more
	}
	return errs.WithHint(errs.New(errs.Usage, "there is no %s called %q", what, name), "%s", hint)
}
