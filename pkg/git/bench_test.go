package git

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// bigSandbox has 100,000 tracked files, in the index only.
func bigSandbox(b *testing.B) *Repo {
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("needs the git program")
	}
	dir := b.TempDir()
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b"}
	var list strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&list, "100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\tdir%d/sub/file%d.txt\n", i%500, i)
	}
	for _, args := range [][]string{{"init", "-q"}, {"hash-object", "-w", "--stdin"}, {"update-index", "--index-info"}, {"commit", "-q", "-m", "x"}, {"gc", "-q"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, env
		if args[0] == "update-index" {
			cmd.Stdin = strings.NewReader(list.String())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(args, err, string(out))
		}
	}
	r, err := Open(dir, Options{Env: env})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}

// historySandbox has n commits, each with a new version of one of 200 files
// in 20 folders and with fresh files beside it, in one pack.
func historySandbox(b *testing.B, n, fresh int) string {
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("needs the git program")
	}
	dir := b.TempDir()
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}
	var in strings.Builder
	file := func(name string, text string) {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", name, len(text), text)
	}
	for i := range n {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n", 1700000000+i)
		for j := range 200 {
			if i == 0 || j == i%200 {
				file(fmt.Sprintf("dir%d/data%d.dvc", j%20, j), fmt.Sprintf("outs:\n- md5: %032x\n  size: %d\n  hash: md5\n  path: data%d\n", i*7919+j, i, j))
			}
		}
		for j := range fresh {
			file(fmt.Sprintf("more/%d/%d", i%100, j), fmt.Sprintf("%d of %d", j, i))
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"fast-import", "--quiet"}, {"gc", "-q"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, env
		cmd.Stdin = strings.NewReader(in.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(args, err, string(out))
		}
	}
	return dir
}

// BenchmarkHistory reads the trees of 1,000 commits and a file of each.
func BenchmarkHistory(b *testing.B) {
	root := historySandbox(b, 1000, 0)
	for b.Loop() {
		r, err := Open(root, Options{})
		if err != nil {
			b.Fatal(err)
		}
		all, err := r.Commits(b.Context())
		if len(all) != 1000 || err != nil {
			b.Fatal(len(all), err)
		}
		for _, sha := range all {
			t, err := r.Tree(sha)
			if err != nil {
				b.Fatal(err)
			}
			if list, err := t.Files("."); len(list) != 200 || err != nil {
				b.Fatal(len(list), err)
			}
			if _, err := t.ReadFile("dir7/data7.dvc"); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
	}
}

// BenchmarkOneFileOfLargeHistory reads one file next to 260,000 objects.
func BenchmarkOneFileOfLargeHistory(b *testing.B) {
	readOneFile(b, historySandbox(b, 10_000, 20), "dir7/data7.dvc")
}

func BenchmarkOpenAndReadOneFile(b *testing.B) {
	readOneFile(b, bigSandbox(b).Root(), "dir7/sub/file7.txt")
}

func readOneFile(b *testing.B, root, name string) {
	for b.Loop() {
		r, err := Open(root, Options{})
		if err != nil {
			b.Fatal(err)
		}
		h, err := r.Head()
		if err != nil {
			b.Fatal(err)
		}
		t, err := r.Tree(h.SHA)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := t.ReadFile(name); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkIsTracked(b *testing.B) {
	r := bigSandbox(b)
	for b.Loop() {
		r.forgetIndex()
		if ok, err := r.IsTracked("dir7/sub"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkStage(b *testing.B) {
	r := bigSandbox(b)
	if err := r.dir.WriteFile("new.dvc", []byte("x"), 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.Stage(b.Context(), "new.dvc"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFiles(b *testing.B) {
	r := bigSandbox(b)
	h, err := r.Head()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, err := r.Tree(h.SHA)
		if err != nil {
			b.Fatal(err)
		}
		if list, err := t.Files("."); len(list) != 100_000 || err != nil {
			b.Fatal(len(list), err)
		}
	}
}
