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

func BenchmarkOpenAndReadOneFile(b *testing.B) {
	root := bigSandbox(b).Root()
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
		if _, err := t.ReadFile("dir7/sub/file7.txt"); err != nil {
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
