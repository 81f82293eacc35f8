package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/cairndata/cairn/pkg/errs"
)

// sandbox is a repository made by the git program, cut off from the user's
// configuration.
type sandbox struct {
	t    *testing.T
	dir  string
	home string
	git  string
	tick int
}

func newSandbox(t *testing.T, initArgs ...string) *sandbox {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("needs the git program")
	}
	s := &sandbox{t: t, dir: filepath.Join(t.TempDir(), "repo"), home: t.TempDir(), git: git}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(append([]string{"init", "-q", "-b", "main"}, initArgs...)...)
	return s
}

func (s *sandbox) env() []string {
	date := fmt.Sprintf("2026-01-01T00:%02d:%02dZ", s.tick/60, s.tick%60)
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(s.home, "gitconfig"),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "GIT_ALLOW_PROTOCOL=file"}
}

func (s *sandbox) try(args ...string) (string, error) {
	cmd := exec.Command(s.git, args...)
	cmd.Dir, cmd.Env = s.dir, s.env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("git %q: %w: %s", args, err, &stderr)
	}
	return string(out), err
}

func (s *sandbox) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (s *sandbox) write(rel, text string) {
	s.t.Helper()
	p := filepath.Join(s.dir, rel)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) read(rel string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, rel))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// commit stages everything and commits, each time a second later.
func (s *sandbox) commit(msg string) string {
	s.t.Helper()
	s.tick++
	s.run("add", "-A")
	s.run("commit", "-q", "--allow-empty", "-m", msg)
	return s.run("rev-parse", "HEAD")
}

// open opens the repository, without the program if asked.
func (s *sandbox) open(withProgram bool) *Repo {
	s.t.Helper()
	env := s.env()
	if !withProgram {
		env[0] = "PATH=/nonexistent"
	}
	r, err := Open(s.dir, Options{Env: env})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

// both runs a test with and without the git program.
func both(t *testing.T, f func(t *testing.T, withProgram bool)) {
	for _, with := range []bool{true, false} {
		t.Run(map[bool]string{true: "with program", false: "without program"}[with], func(t *testing.T) {
			t.Parallel()
			f(t, with)
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.write("sub/deep/x", "")
	s.commit("one")
	s.run("worktree", "add", "-q", "../tree", "-b", "side")
	other := newSandbox(t)
	other.write("y", "")
	other.commit("one")
	s.run("submodule", "add", "-q", other.dir, "mod")
	tree := filepath.Join(filepath.Dir(s.dir), "tree")
	for _, tc := range []struct{ name, dir, root, gitDir, commonDir string }{
		{"root", s.dir, s.dir, s.dir + "/.git", s.dir + "/.git"},
		{"subfolder", s.dir + "/sub/deep", s.dir, s.dir + "/.git", s.dir + "/.git"},
		{"not there yet", s.dir + "/no/such", s.dir, s.dir + "/.git", s.dir + "/.git"},
		{"linked worktree", tree + "/sub", tree, s.dir + "/.git/worktrees/tree", s.dir + "/.git"},
		{"submodule", s.dir + "/mod", s.dir + "/mod", s.dir + "/.git/modules/mod", s.dir + "/.git/modules/mod"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Open(filepath.FromSlash(tc.dir), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got := []string{r.Root(), r.GitDir(), r.CommonDir()}
			want := []string{filepath.FromSlash(tc.root), filepath.FromSlash(tc.gitDir), filepath.FromSlash(tc.commonDir)}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if h, err := r.Head(); err != nil || h.SHA == "" {
				t.Errorf("Head: %v, %v", h, err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	bare := newSandbox(t, "--bare")
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, ".git"), []byte("gitdir: nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, dir string
		kind      errs.Kind
	}{
		{"no repository", t.TempDir(), errs.NotFound},
		{"bare", bare.dir, errs.Unsupported},
		{"inside bare", filepath.Join(bare.dir, "refs"), errs.Unsupported},
		{"link file to nowhere", broken, errs.Invalid},
		{"relative", "x", errs.Invalid},
	} {
		if _, err := Open(tc.dir, Options{}); !errs.Is(err, tc.kind) {
			t.Errorf("%s: got %v (kind %d), want kind %d", tc.name, err, errs.KindOf(err), tc.kind)
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, with bool) {
		s := newSandbox(t)
		if h, err := s.open(with).Head(); err != nil || h != (Head{Branch: "refs/heads/main"}) {
			t.Errorf("before the first commit: %v, %v", h, err)
		}
		sha := s.commit("one")
		if h, err := s.open(with).Head(); err != nil || h != (Head{"refs/heads/main", sha}) {
			t.Errorf("on a branch: %v, %v", h, err)
		}
		s.run("pack-refs", "--all")
		if h, err := s.open(with).Head(); err != nil || h != (Head{"refs/heads/main", sha}) {
			t.Errorf("packed: %v, %v", h, err)
		}
		s.run("checkout", "-q", "--detach")
		if h, err := s.open(with).Head(); err != nil || h != (Head{"", sha}) {
			t.Errorf("detached: %v, %v", h, err)
		}
	})
}

// history makes branches, tags of all kinds, a merge, remotes and deltas.
func history(t *testing.T, initArgs ...string) *sandbox {
	s := newSandbox(t, initArgs...)
	var big strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&big, "line %d of a file that is worth a delta\n", i*i)
	}
	for i := range 6 {
		s.write("big.txt", big.String()[i*100:]+fmt.Sprint("end ", i))
		s.write(fmt.Sprintf("dir/sub%d/file.dvc", i%3), fmt.Sprint("outs: ", i))
		s.commit(fmt.Sprint("commit ", i))
		if i == 2 {
			s.run("checkout", "-q", "-b", "feature/x")
			s.write("feature", "x")
			s.commit("feature")
			s.run("tag", "light")
			s.run("tag", "-a", "-m", "annotated", "v1.0")
			s.run("tag", "-a", "-m", "tag of a tag", "nested", "v1.0")
			s.run("checkout", "-q", "main")
		}
	}
	s.tick++
	s.run("merge", "-q", "--no-ff", "-m", "merge", "feature/x")
	s.run("tag", "blobtag", "HEAD:big.txt")
	s.run("tag", "treetag", "HEAD^{tree}")
	s.run("config", "remote.origin.url", "/nowhere")
	s.run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
	s.run("config", "remote.Other.url", "/nowhere")
	s.run("update-ref", "refs/remotes/origin/only-remote", "HEAD~1")
	s.run("update-ref", "refs/remotes/origin/main", "HEAD~2")
	s.run("update-ref", "refs/remotes/origin/both", "HEAD~1")
	s.run("update-ref", "refs/remotes/Other/both", "HEAD~2")
	s.run("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	s.run("config", "branch.main.remote", "origin")
	s.run("config", "branch.main.merge", "refs/heads/main")
	s.run("update-ref", "refs/exps/aa/bb/name", "HEAD~3")
	if err := os.Symlink("dir", filepath.Join(s.dir, "link")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	s.write("run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(s.dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("name with é and\ttab", "z")
	s.commit("last")
	return s
}

var layouts = []struct {
	name string
	init []string
	then func(*sandbox)
}{
	{"loose", nil, func(*sandbox) {}},
	{"packed", nil, func(s *sandbox) { s.run("gc", "-q", "--aggressive", "--prune=now") }},
	{"reference deltas", nil, func(s *sandbox) { s.run("-c", "repack.useDeltaBaseOffset=false", "repack", "-qadf") }},
	{"two packs and loose", nil, func(s *sandbox) {
		s.run("repack", "-qd")
		s.write("more", "m")
		s.commit("more")
		s.run("repack", "-qd")
		s.write("most", "m2")
		s.commit("most")
	}},
	{"sha256", []string{"--object-format=sha256"}, func(s *sandbox) { s.run("gc", "-q", "--prune=now") }},
	{"sha256 loose", []string{"--object-format=sha256"}, func(*sandbox) {}},
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := history(t, l.init...)
			l.then(s)
			head := s.run("rev-parse", "HEAD")
			revs := []string{"HEAD", "@", "main", "feature/x", "heads/main", "refs/heads/main", "origin/main", "origin", "light", "v1.0", "nested",
				"tags/v1.0", "HEAD~", "HEAD~2", "HEAD^", "HEAD~1^2", "HEAD~1^2~1", "HEAD^0", "v1.0^{}", "v1.0^{commit}", "main@{u}", "@{upstream}", "@{u}~1",
				head, strings.ToUpper(head), head[:7], head[:4], head[:9] + "~1", "only-remote", "refs/exps/aa/bb/name", "exps/aa/bb/name",
				"HEAD~99", "HEAD^3", "nope", "zzz", "blobtag", "treetag", "deadbeef", strings.Repeat("0", len(head)), "", "..", "HEAD..main", "refs/../HEAD",
				"feature", "main.lock", "a b", "HEAD^{tree}", "config", "../config"}
			for _, with := range []bool{true, false} {
				r := s.open(with)
				if !with && len(l.init) > 0 {
					if _, err := r.Resolve(t.Context(), "HEAD"); !errs.Is(err, errs.Unsupported) {
						t.Errorf("SHA-256 without the program: %v", err)
					}
					continue
				}
				for _, rev := range revs {
					got, err := r.Resolve(t.Context(), rev)
					want := ""
					if rev == "only-remote" {
						want = s.run("rev-parse", "origin/only-remote") // as DVC, unlike git
					} else if out, err := s.try("rev-parse", "-q", "--verify", "--end-of-options", rev+"^{commit}"); err == nil && rev != "" {
						want = strings.TrimSpace(out)
					}
					if got != want {
						t.Errorf("%q (program %v): got %q, %v, want %q", rev, with, got, err, want)
					}
					if want == "" && (!errs.Is(err, errs.NotFound) || err.Error() != "unknown Git revision '"+rev+"'") {
						t.Errorf("%q: got error %v", rev, err)
					}
				}
				if _, err := r.Resolve(t.Context(), "both"); !errs.Is(err, errs.Invalid) || err.Error() != "ambiguous Git revision 'both'" {
					t.Errorf("branch of two remotes: %v", err)
				}
				if _, err := r.Resolve(t.Context(), "--all"); !errs.Is(err, errs.NotFound) {
					t.Errorf("option as revision: %v", err)
				}
			}
			if got, err := s.open(true).Resolve(t.Context(), ":/^commit 3"); err != nil || got != s.run("rev-parse", ":/^commit 3") {
				t.Errorf("notation for the program: %v, %v", got, err)
			}
		})
	}
}

func TestObjectsAndTrees(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := history(t, l.init...)
			l.then(s)
			r := s.open(len(l.init) > 0)
			db, err := r.objects()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(s.run("cat-file", "--batch-all-objects", "--batch-check")) {
				f := strings.Fields(line)
				typ, data, err := db.read(f[0])
				if err != nil || typ != f[1] || fmt.Sprint(len(data)) != f[2] {
					t.Errorf("%s: got %s of %d bytes, %v, want %s", f[0], typ, len(data), err, line)
				}
				if n, err := db.size(f[0]); err != nil || fmt.Sprint(n) != f[2] {
					t.Errorf("%s: got size %d, %v, want %s", f[0], n, err, f[2])
				}
			}
			checkTree(t, s, r, "HEAD")
			checkTree(t, s, r, "v1.0")
		})
	}
}

func checkTree(t *testing.T, s *sandbox, r *Repo, rev string) {
	t.Helper()
	sha, err := r.Resolve(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.Tree(sha)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Blob+"\t"+f.Path)
		if f.Mode.Type() != 0 {
			if _, err := tree.ReadFile(f.Path); err == nil {
				t.Errorf("the link %q was read", f.Path)
			}
			continue
		}
		data, err := tree.ReadFile(f.Path)
		if want, _ := s.try("cat-file", "blob", f.Blob); err != nil || string(data) != want {
			t.Errorf("%q: got %q, %v, want %q", f.Path, data, err, want)
		}
	}
	var want []string
	for line := range strings.SplitSeq(strings.TrimSuffix(s.run("ls-tree", "-r", "-z", rev), "\x00"), "\x00") {
		head, name, _ := strings.Cut(line, "\t")
		want = append(want, strings.Fields(head)[2]+"\t"+name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got files %q, want %q", rev, got, want)
	}
	if rev != "v1.0" {
		return // fstest reads every entry, links too
	}
	if err := fstest.TestFS(tree, "dir/sub0/file.dvc", "big.txt"); err != nil {
		t.Error(err)
	}
}

func TestTreeLinks(t *testing.T) {
	t.Parallel()
	s := history(t)
	r := s.open(false)
	tree, err := r.Tree(s.run("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	if to, err := tree.Readlink("link"); err != nil || to != "dir" {
		t.Errorf("Readlink: %q, %v", to, err)
	}
	if _, err := tree.Stat("link/sub0"); !missing(err) {
		t.Errorf("a link was followed: %v", err)
	}
	st, err := tree.Stat("run.sh")
	if err != nil || st.Mode() != 0o755 || st.Size() != 10 {
		t.Errorf("Stat: %v, %v", st, err)
	}
}

func TestRevs(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, with bool) {
		s := history(t)
		r := s.open(with)
		revs, err := r.Revs(t.Context(), RevOptions{AllCommits: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range revs {
			got = append(got, v.SHA)
		}
		want := strings.Fields(s.run("rev-list", "--branches", "--tags", "--remotes", "HEAD"))
		if !slices.Equal(got, want) {
			t.Errorf("all commits: got %v, want %v", got, want)
		}
		revs, err = r.Revs(t.Context(), RevOptions{Revs: []string{"HEAD", "feature/x"}, AllBranches: true, AllTags: true})
		if err != nil {
			t.Fatal(err)
		}
		head, feature := s.run("rev-parse", "HEAD"), s.run("rev-parse", "feature/x")
		text := fmt.Sprint(revs)
		if want := fmt.Sprint([]Rev{{head, []string{"HEAD", "main"}}, {feature, []string{"feature/x", "light", "nested", "v1.0"}}}); text != want {
			t.Errorf("got %s, want %s", text, want)
		}
	})
}

func TestShallowClone(t *testing.T) {
	t.Parallel()
	s := history(t)
	clone := newSandbox(t)
	clone.run("fetch", "-q", "--depth=2", "file://"+s.dir, "main")
	clone.run("reset", "-q", "--hard", "FETCH_HEAD")
	r := clone.open(false)
	got, err := r.Commits(t.Context())
	if want := strings.Fields(clone.run("rev-list", "HEAD")); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := r.Resolve(t.Context(), "HEAD~5"); !errs.Is(err, errs.NotFound) {
		t.Errorf("beyond the cut: %v", err)
	}
}

func TestPartialCloneAndAlternates(t *testing.T) {
	t.Parallel()
	s := history(t)
	s.run("config", "uploadpack.allowFilter", "true")
	sha := s.run("rev-parse", "HEAD~4")
	for _, args := range [][]string{{"--filter=blob:none"}, {"--shared"}} {
		dir := filepath.Join(t.TempDir(), "clone")
		url := s.dir
		if args[0] != "--shared" {
			url = "file://" + s.dir
		}
		s.run(append(append([]string{"clone", "-q"}, args...), url, dir)...)
		clone := &sandbox{t: t, dir: dir, home: s.home, git: s.git}
		tree, err := clone.open(args[0] != "--shared").Tree(sha)
		if err != nil {
			t.Fatal(args, err)
		}
		data, err := tree.ReadFile("dir/sub0/file.dvc")
		if want, _ := s.try("show", sha+":dir/sub0/file.dvc"); err != nil || string(data) != want {
			t.Errorf("%v: got %q, %v, want %q", args, data, err, want)
		}
	}
}

func TestDamagedObject(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.write("f", "text")
	s.commit("one")
	blob := s.run("rev-parse", "HEAD:f")
	other := s.run("rev-parse", "HEAD")
	from := filepath.Join(s.dir, ".git/objects", other[:2], other[2:])
	to := filepath.Join(s.dir, ".git/objects", blob[:2], blob[2:])
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(to, 0o644)
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(false).Blob(blob); !errs.Is(err, errs.Corrupt) {
		t.Errorf("another object's bytes: %v", err)
	}
	if err := os.WriteFile(to, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(false).Blob(blob); !errs.Is(err, errs.Corrupt) {
		t.Errorf("cut: %v", err)
	}
}

// writePack stores a pack with two deltas, each of which is the base of the
// other.
func writePack(t *testing.T, dir string, delta []byte) (first plumbing.Hash) {
	t.Helper()
	ids := []plumbing.Hash{{0xaa}, {0xbb}}
	pack := bytes.NewBufferString("PACK\x00\x00\x00\x02\x00\x00\x00\x02")
	var crcs, offsets []byte
	for i := range ids {
		offsets = binary.BigEndian.AppendUint32(offsets, uint32(pack.Len()))
		entry := append([]byte{7<<4 | byte(len(delta))}, ids[1-i][:]...)
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		w.Write(delta)
		w.Close()
		entry = append(entry, z.Bytes()...)
		crcs = binary.BigEndian.AppendUint32(crcs, crc32.ChecksumIEEE(entry))
		pack.Write(entry)
	}
	sum := plumbing.Hash(sha1.Sum(pack.Bytes()))
	pack.Write(sum[:])
	idx := []byte("\xfftOc\x00\x00\x00\x02")
	for i := range 256 {
		n := uint32(0)
		for _, id := range ids {
			if i >= int(id[0]) {
				n++
			}
		}
		idx = binary.BigEndian.AppendUint32(idx, n)
	}
	idx = slices.Concat(idx, ids[0][:], ids[1][:], crcs, offsets, sum[:])
	own := sha1.Sum(idx)
	name := filepath.Join(dir, "pack-"+sum.String())
	if err := errors.Join(os.WriteFile(name+".pack", pack.Bytes(), 0o644), os.WriteFile(name+".idx", append(idx, own[:]...), 0o644)); err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

func TestDeltasInACircle(t *testing.T) {
	t.Parallel()
	for name, delta := range map[string][]byte{
		"small": {4, 4, 4, 'a', 'b', 'c', 'd'},
		"large": {0xa0, 0x9c, 1, 0xa0, 0x9c, 1, 0xb0, 0x20, 0x4e},
	} {
		s := newSandbox(t)
		s.write("f", "text")
		s.commit("one")
		id := writePack(t, filepath.Join(s.dir, ".git/objects/pack"), delta)
		both(t, func(t *testing.T, with bool) {
			r := s.open(with)
			if _, err := r.Blob(id.String()); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%s: %v", name, err)
			}
			if data, err := r.Blob(s.run("rev-parse", "HEAD:f")); err != nil || string(data) != "text" {
				t.Errorf("%s: another object: %q, %v", name, data, err)
			}
		})
	}
}

func TestOldPackIndexAndLinkedObjects(t *testing.T) {
	t.Parallel()
	s := history(t)
	s.run("-c", "pack.indexVersion=1", "repack", "-adq")
	checkTree(t, s, s.open(true), "HEAD")
	s.run("repack", "-adfq")
	moved := filepath.Join(t.TempDir(), "objects")
	if err := os.Rename(filepath.Join(s.dir, ".git/objects"), moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(moved, filepath.Join(s.dir, ".git/objects")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	checkTree(t, s, s.open(false), "HEAD")
}

// TestRepackedMeanwhile reads before and after git has moved all objects.
func TestRepackedMeanwhile(t *testing.T) {
	t.Parallel()
	s := history(t)
	s.run("repack", "-qd")
	r := s.open(false)
	checkTree(t, s, r, "v1.0")
	s.write("more", "m")
	s.commit("more")
	s.run("repack", "-adfq", "--depth=3")
	s.run("prune-packed")
	checkTree(t, s, r, "HEAD~1")
	sha := s.run("rev-parse", "HEAD")
	if _, err := r.Tree(sha); err != nil {
		t.Error(err)
	}
}

// TestByProgram compares what the git program reads with what go-git reads.
func TestByProgram(t *testing.T) {
	t.Parallel()
	s := history(t)
	r := s.open(true)
	db, err := r.objects()
	if err != nil {
		t.Fatal(err)
	}
	db.byProgram = true
	checkTree(t, s, r, "HEAD")
	head := s.run("rev-parse", "HEAD")
	if got, err := r.Resolve(t.Context(), head[:7]); err != nil || got != head {
		t.Errorf("got %q, %v, want %q", got, err, head)
	}
	if _, err := r.Blob(strings.Repeat("0", 40)); !errs.Is(err, errs.NotFound) {
		t.Errorf("missing object: %v", err)
	}
}
