package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/cairndata/cairn/pkg/errs"
)

func TestIsTracked(t *testing.T) {
	t.Parallel()
	for _, form := range []struct {
		name         string
		needsProgram bool
		prepare      func(*sandbox)
	}{
		{"version 2", false, func(s *sandbox) { s.run("update-index", "--index-version=2") }},
		{"version 3", false, func(s *sandbox) { s.write("later", "x"); s.run("add", "-N", "later") }},
		{"version 4", false, func(s *sandbox) { s.run("update-index", "--index-version=4") }},
		{"split index", true, func(s *sandbox) { s.run("update-index", "--split-index") }},
		{"sparse index", true, func(s *sandbox) {
			s.run("sparse-checkout", "init", "--cone", "--sparse-index")
			s.run("sparse-checkout", "set", "kept")
		}},
	} {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			for i := range 300 {
				s.write(fmt.Sprintf("dir/sub/file%d", i), "")
			}
			s.write("kept/a", "")
			s.write("dir.txt", "")
			s.write("dir-a/b", "")
			s.write("é/"+strings.Repeat("long", 50)+"/x", "")
			s.commit("one")
			form.prepare(s)
			s.write("untracked", "")
			checkTracked(t, s, s.open(true))
			r := s.open(false)
			if !form.needsProgram {
				checkTracked(t, s, r)
			} else if _, err := r.IsTracked("x"); !errs.Is(err, errs.Unsupported) {
				t.Errorf("without the program: %v", err)
			}
		})
	}
}

func checkTracked(t *testing.T, s *sandbox, r *Repo) {
	t.Helper()
	for _, p := range []string{"dir", "dir/sub", "dir/sub/file7", "dir/sub/file", "dir.txt", "dir-a", "di", "dir-", "é", "é/x", "kept", "kept/a", "kept/b", "later", "untracked", "."} {
		got, err := r.IsTracked(p)
		if want := s.run("ls-files", "--", p) != ""; err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", p, got, err, want)
		}
	}
}

func TestIsIgnored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, with bool) {
		s := newSandbox(t)
		mustWrite(t, filepath.Join(s.home, "gitconfig"), "[include]\n\tpath = more\n")
		mustWrite(t, filepath.Join(s.home, "more"), "[core]\n\texcludesFile = ~/excl\\\nudes # the file\n")
		mustWrite(t, filepath.Join(s.home, "excludes"), "*.user\n*.both\n")
		s.write(".git/info/exclude", "*.info\n!a.both\n")
		s.write(".gitignore", "*.log\n/data/\n!keep.info\n")
		s.write("sub/.gitignore", "!b.log\n/own\n")
		r := s.open(with)
		for _, p := range []string{"x.user", "x.both", "a.both", "x.info", "keep.info", "a.log", "sub/a.log", "sub/b.log", "sub/own", "own", "data/x", "sub/data/x"} {
			_, err := s.try("check-ignore", "-q", "--no-index", p)
			if got, gerr := r.IsIgnored(p, false); gerr != nil || got != (err == nil) {
				t.Errorf("%q: got %v, %v, want %v", p, got, gerr, err == nil)
			}
		}
		if got, err := r.IsIgnored("data", true); !got || err != nil {
			t.Errorf("folder: %v, %v", got, err)
		}
	})
}

func mustWrite(t *testing.T, p, text string) {
	t.Helper()
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestIgnoreAddText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, before string
		add          []string
		want         string
	}{
		{"new file", "", []string{"data"}, "/data\n"},
		{"order of adding", "", []string{"b", "a", "b"}, "/b\n/a\n"},
		{"no final newline", "x", []string{"data"}, "x\n/data\n"},
		{"already there", "/data\n", []string{"data"}, "/data\n"},
		{"covered by a pattern", "*.bin\n", []string{"m.bin"}, "*.bin\n"},
		{"taken back later", "/data\n!/data\n", []string{"data"}, "/data\n!/data\n/data\n"},
		{"CRLF", "x\r\n/data\r\n", []string{"data", "new"}, "x\r\n/data\r\n/new\n"},
		{"special characters", "", []string{"a b#[x]!*?.txt", `back\slash`}, "/a b\\#\\[x\\]\\!\\*\\?.txt\n/back\\\\slash\n"},
		{"final blank", "", []string{"a "}, "/a\\ \n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			if tc.before != "" {
				s.write(".gitignore", tc.before)
			}
			changed, err := s.open(false).IgnoreAdd(tc.add...)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.read(".gitignore"); got != tc.want || (got == tc.before) != (len(changed) == 0) {
				t.Errorf("got %q, changed %q, want %q", got, changed, tc.want)
			}
		})
	}
}

var awkwardNames = []string{"plain", "with blank", " lead", "trail ", "trail  ", "#hash", "!bang", "a*b", "a?b", "[ab]", "a]b", `b\s`, `end\`, "tab\t", "é", "\xff\xfe",
	"cr\r", "\\", "**", "~", "$HOME", "a\\ ", "--flag", "'q'\"", "\u202egnp"}

func TestIgnoreAddMatchesExactly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the names cannot exist")
	}
	for _, name := range awkwardNames {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			others := append([]string{name + "x", "x" + name, "sub/" + name, "aXb", "a", "b", "trail", "cr", "tab"}, awkwardNames...)
			r := s.open(false)
			if changed, err := r.IgnoreAdd("dir/" + name); err != nil || !slices.Equal(changed, []string{"dir/.gitignore"}) {
				t.Fatal(changed, err)
			}
			for _, o := range others {
				_, err := s.try("check-ignore", "-q", "--no-index", "--", "dir/"+o)
				if (err == nil) != (o == name) {
					t.Errorf("git ignores %q: %v; file %q", o, err == nil, s.read("dir/.gitignore"))
				}
				if got, err := r.IsIgnored("dir/"+o, false); err != nil || got != (o == name) {
					t.Errorf("IsIgnored(%q) = %v, %v", o, got, err)
				}
			}
			if changed, err := r.IgnoreRemove("dir/" + name); err != nil || len(changed) != 1 {
				t.Errorf("remove: %q, %v", changed, err)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "dir/.gitignore")); err == nil {
				t.Errorf("left %q", s.read("dir/.gitignore"))
			}
		})
	}
}

func TestIgnoreAddRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	r := s.open(false)
	for _, bad := range []string{"a\nb", "dir/a\nb", "../x", "", ".", "/abs"} {
		if _, err := r.IgnoreAdd("fine", bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".gitignore")); err == nil {
		t.Errorf("something was written: %q", s.read(".gitignore"))
	}
	outside := filepath.Join(t.TempDir(), "target")
	mustWrite(t, outside, "x\n")
	if err := os.Symlink(outside, filepath.Join(s.dir, ".gitignore")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if _, err := r.IgnoreAdd("y"); !errs.Is(err, errs.Invalid) {
		t.Errorf("link in place of .gitignore: %v", err)
	}
	if b, _ := os.ReadFile(outside); string(b) != "x\n" {
		t.Errorf("the link was followed: %q", b)
	}
}

func TestIgnoreRemoveText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, before, remove, want string
		changed                    bool
	}{
		{"one of several", "/a\n/b\n/c\n", "b", "/a\n/c\n", true},
		{"all of that line", "/b\n/a\n /b \n", "b", "/a\n", true},
		{"other lines alone", "b\n/b/\n*.b\n", "b", "b\n/b/\n*.b\n", false},
		{"CRLF becomes LF", "/a\r\n/b\r\n", "b", "/a\n", true},
		{"a glob is not the name", "/*.txt\n", "*.txt", "/*.txt\n", false},
		{"unescaped by hand", "/a#b\nx\n", "a#b", "x\n", true},
		{"escaped", "/a\\#b\nx\n", "a#b", "x\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.write(".gitignore", tc.before)
			changed, err := s.open(false).IgnoreRemove(tc.remove)
			if got := s.read(".gitignore"); err != nil || got != tc.want || (len(changed) == 1) != tc.changed {
				t.Errorf("got %q, changed %q, %v, want %q", got, changed, err, tc.want)
			}
		})
	}
	s := newSandbox(t)
	if changed, err := s.open(false).IgnoreRemove("no/such"); err != nil || changed != nil {
		t.Errorf("no file: %q, %v", changed, err)
	}
}

func TestStage(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2", "4"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, with bool) {
				for _, format := range []string{"sha1", "sha256"} {
					testStage(t, newSandbox(t, "--object-format="+format), version, with)
				}
			})
		})
	}
}

func testStage(t *testing.T, s *sandbox, version string, with bool) {
	t.Helper()
	r := s.open(with)
	s.write("first.dvc", "one")
	if err := r.Stage(t.Context(), "first.dvc"); err != nil {
		t.Fatal(err)
	}
	s.run("commit", "-q", "-m", "staged")
	s.write("gone.dvc", "x")
	s.write("folder/in", "x")
	s.write("file", "x")
	s.write("forced.log", "x")
	s.write(".gitignore", "*.log\n")
	s.run("add", "-A", "-f")
	s.write("meant", "")
	s.run("add", "-N", "meant")
	if version == "4" {
		s.run("update-index", "--index-version=4")
	}
	s.commit("base")
	s.write("later", "")
	s.run("add", "-N", "later") // extended flags must survive
	os.Remove(filepath.Join(s.dir, "gone.dvc"))
	os.RemoveAll(filepath.Join(s.dir, "folder"))
	os.Remove(filepath.Join(s.dir, "file"))
	s.write("folder", "now a file")
	s.write("file/now/folder", "deep")
	s.write("first.dvc", "two\r\n")
	s.write("forced.log", "tracked though ignored")
	s.write("ignored.log", "x")
	s.write("é b\tc.dvc", "name")
	s.write("left alone", "x")
	s.write("run.sh", "x")
	if err := os.Chmod(filepath.Join(s.dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = s.open(with)
	paths := []string{"first.dvc", "gone.dvc", "folder", "file/now/folder", "forced.log", "ignored.log", "never.dvc", "é b\tc.dvc", "run.sh", "first.dvc"}
	if err := r.Stage(t.Context(), paths...); err != nil {
		t.Fatal(err)
	}
	want := " A later\nM  first.dvc\nD  file\nA  file/now/folder\nA  folder\nD  folder/in\nM  forced.log\nD  gone.dvc\nA  run.sh\nA  é b\tc.dvc\n?? left alone"
	out, err := s.try("-c", "status.renames=false", "status", "--porcelain", "-z")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	wanted := strings.Split(want, "\n")
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("got %q, want %q", got, wanted)
	}
	s.run("fsck", "--strict")
	if out := s.run("ls-files", "-s", "run.sh"); !strings.HasPrefix(out, "100755") {
		t.Errorf("mode lost: %s", out)
	}
	if tracked, err := r.IsTracked("run.sh"); err != nil || !tracked {
		t.Errorf("the new index is not seen: %v, %v", tracked, err)
	}
	for _, bad := range []string{"../x", "/etc/passwd", ".", ""} {
		if err := r.Stage(t.Context(), bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStageLocked(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.write("a", "x")
	s.write(".git/index.lock", "")
	if err := s.open(false).Stage(t.Context(), "a"); !errs.Is(err, errs.Locked) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".git/index.lock")); err != nil {
		t.Error("the lock of another was taken away")
	}
}

func TestStageSkipsSubmodules(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, with bool) {
		s, other := newSandbox(t), newSandbox(t)
		other.commit("one")
		s.run("submodule", "add", "-q", other.dir, "dir/mod")
		s.commit("one")
		s.write("dir/mod/x.dvc", "x")
		s.write("dir/y.dvc", "x")
		if err := s.open(with).Stage(t.Context(), "dir/mod/x.dvc", "dir/y.dvc"); err != nil {
			t.Fatal(err)
		}
		if got := s.run("diff", "--cached", "--name-only"); got != "dir/y.dvc" {
			t.Errorf("staged %q", got)
		}
	})
}

func TestProgramIsNotTakenFromTheRepository(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	evil := "git"
	if runtime.GOOS == "windows" {
		evil = "git.exe"
	}
	s.write("bin/"+evil, "#!/bin/sh\n")
	os.Chmod(filepath.Join(s.dir, "bin", evil), 0o755)
	for _, path := range []string{filepath.Join(s.dir, "bin"), "bin", ".", "", s.dir + "/x/../bin"} {
		r, err := Open(s.dir, Options{Env: []string{"PATH=" + path}})
		if err != nil {
			t.Fatal(err)
		}
		if r.HasProgram() {
			t.Errorf("PATH %q led to %q", path, r.program())
		}
		_, err = r.run(context.Background(), "do it", nil, "version")
		if !errs.Is(err, errs.Unsupported) || errs.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
		r.Close()
	}
}

func TestInstallHooks(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, with bool) {
		s := newSandbox(t)
		r := s.open(with)
		for range 2 { // our own hooks may be there
			if _, err := r.InstallHooks("dvc"); err != nil {
				t.Fatal(err)
			}
		}
		p := filepath.Join(s.dir, ".git/hooks/pre-push")
		st, err := os.Stat(p)
		if err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o777 {
			t.Errorf("%v, %v", st, err)
		}
		if got := s.read(".git/hooks/pre-push"); !strings.HasPrefix(got, "#!/") || !strings.HasSuffix(got, "/sh\nexec dvc git-hook pre-push $@\n") {
			t.Errorf("got %q", got)
		}
		_, err = r.InstallHooks("cairn")
		if !errs.Is(err, errs.Conflict) || !strings.HasPrefix(err.Error(), "Hook 'post-checkout' already exists. Please refer to <https://man.dvc.org/install>") {
			t.Errorf("hooks of another name: %v", err)
		}
	})
}

func TestInstallHooksAllOrNone(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("config", "core.hooksPath", "my hooks")
	s.write("my hooks/pre-push", "mine")
	both(t, func(t *testing.T, with bool) {
		if _, err := s.open(with).InstallHooks("cairn"); !errs.Is(err, errs.Conflict) {
			t.Errorf("got %v", err)
		}
		if list, _ := os.ReadDir(filepath.Join(s.dir, "my hooks")); len(list) != 1 {
			t.Errorf("left %v", list)
		}
	})
}

func TestInstallHooksInWorktree(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.commit("one")
	s.run("worktree", "add", "-q", "../tree")
	tree := &sandbox{t: t, dir: filepath.Join(filepath.Dir(s.dir), "tree"), home: s.home, git: s.git}
	if _, err := tree.open(false).InstallHooks("cairn"); err != nil {
		t.Fatal(err)
	}
	s.read(".git/hooks/pre-commit")
}

func TestInstallMergeDriver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, before, keep string }{
		{"fresh", "", ""},
		{"no final newline", "[user]\n\tname = x # c", "[user]\n\tname = x # c\n"},
		{"old values", "[merge \"dvc\"]\n\tdriver = old \\\n more\n\tname = x\n\trecursive = binary\n[a]\n\tb = c\n", "[a]\n\tb = c\n"},
		{"other drivers", "[merge \"npm\"]\n\tdriver = npm\n[merge]\n\tname = odd\n", "[merge \"npm\"]\n\tdriver = npm\n[merge]\n\tname = odd\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.write(".git/config", s.read(".git/config")+tc.before)
			r := s.open(false)
			if err := r.InstallMergeDriver("dvc"); err != nil {
				t.Fatal(err)
			}
			once := s.read(".git/config")
			if err := r.InstallMergeDriver("dvc"); err != nil || s.read(".git/config") != once {
				t.Errorf("the second time: %v, %q", err, s.read(".git/config"))
			}
			if got, _ := s.try("config", "--get-all", "merge.dvc.driver"); got != "dvc git-hook merge-driver --ancestor %O --our %A --their %B \n" {
				t.Errorf("driver %q", got)
			}
			if got := s.run("config", "--get-all", "merge.dvc.name"); got != "DVC merge driver" {
				t.Errorf("name %q", got)
			}
			if !strings.Contains(once, tc.keep) {
				t.Errorf("lost %q: %q", tc.keep, once)
			}
		})
	}
	s := newSandbox(t)
	broken := s.read(".git/config") + "[unclosed\n"
	r := s.open(false)
	s.write(".git/config", broken)
	if err := r.InstallMergeDriver("dvc"); !errs.Is(err, errs.Config) || s.read(".git/config") != broken {
		t.Errorf("broken file: %v", err)
	}
}

func TestConfigAgreesWithGit(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.write(".git/config", "\ufeff[core]\n\trepositoryformatversion = 0\n[A]B = c ; d\n[x \"Sub \\\"q\\\" \\\\\"]\n Key=\" a # b \" tail  \n\tflag\n"+
		"[Old.Style] v = \"\\t\\n\\\\\" # x\n[y]\r\n\tz = one \\\n   two\r\n\tempty =\n[y \"\"] k = v\n")
	r := s.open(false)
	c, err := r.localConfig()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(s.run("config", "--local", "--null", "--list"), "\x00"), "\x00") {
		k, v, ok := strings.Cut(line, "\n")
		if !ok {
			v = "true"
		}
		want[k] = v
	}
	for k, v := range want {
		if got := c.Get(k); got != v {
			t.Errorf("%s: got %q, want %q", k, got, v)
		}
	}
	if len(want) != len(c.values) {
		t.Errorf("got %q, want %q", c.values, want)
	}
}

func TestAddPreCommit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, before, want string }{
		{"new", "", "repos:\n" + preCommitDVC},
		{"only a comment", "# c\n", "# c\nrepos:\n" + preCommitDVC},
		{"no repos", "fail_fast: true", "fail_fast: true\nrepos:\n" + preCommitDVC},
		{"empty list", "repos: []\nx: 1\n", "repos:\n" + preCommitDVC + "x: 1\n"},
		{"null", "repos:\n", "repos:\n" + preCommitDVC},
		{"append", "repos:\n- repo: a # c\n  rev: '1'\n\n# about x\nx: 1\n", "repos:\n- repo: a # c\n  rev: '1'\n" + preCommitDVC + "\n# about x\nx: 1\n"},
		{"there already", "repos:\n" + preCommitDVC + "- repo: b\n", "repos:\n" + preCommitDVC + "- repo: b\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := addPreCommit(tc.before, "dvc")
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if again, err := addPreCommit(got, "dvc"); err != nil || again != got {
				t.Errorf("the second time: %q, %v", again, err)
			}
		})
	}
	got, err := addPreCommit("repos:\n  - repo: a\n    hooks: []\n", "cairn")
	var doc struct {
		Repos []struct {
			Repo  string
			Hooks []struct{ ID, Entry string }
		}
	}
	if uerr := yaml.Unmarshal([]byte(got), &doc); errors.Join(err, uerr) != nil || len(doc.Repos) != 2 || doc.Repos[1].Hooks[1].Entry != "cairn git-hook pre-push" {
		t.Errorf("indented list: %q, %v, %v", got, err, uerr)
	}
	for _, bad := range []string{"- a\n", "repos: {a: b}\n", "repos: [{repo: a}]\n", "a: [\n", "{repos: []}\n"} {
		if got, err := addPreCommit(bad, "dvc"); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestReftableByProgram(t *testing.T) {
	t.Parallel()
	// This git may not write reftables; the answers of the program do not
	// depend on how it stores refs.
	s := history(t)
	r := s.open(true)
	files, err := r.Branches()
	if err != nil {
		t.Fatal(err)
	}
	byProgram, err := r.refsByProgram("refs/heads/")
	if err != nil || !slices.Equal(files, byProgram) {
		t.Errorf("got %v, %v, want %v", byProgram, err, files)
	}
	h, err := r.Head()
	if p, perr := r.headByProgram(); errors.Join(err, perr) != nil || p != h {
		t.Errorf("got %v, %v, want %v, %v", p, perr, h, err)
	}
}
