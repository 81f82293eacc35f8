package repo

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cairndata/cairn/pkg/errs"
)

// project is a repository in a folder of its own, with the git program at
// hand.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T) project {
	t.Helper()
	p := project{t, t.TempDir()}
	p.git("init", "-q", "-b", "main")
	p.write(".dvc/config", "")
	return p
}

func (p project) git(args ...string) {
	p.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=u", "-c", "user.email=u@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (p project) write(name, text string) {
	p.t.Helper()
	full := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p project) commit(name string) {
	p.t.Helper()
	p.git("add", "-A")
	p.git("commit", "-q", "--allow-empty", "-m", name)
	p.git("tag", name)
}

func (p project) open(sub string) *Repo {
	p.t.Helper()
	r, err := Open(Env{Dir: filepath.Join(p.dir, sub), Home: p.t.TempDir(), Getenv: func(string) string { return "" }, Now: time.Now})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = r.Close() })
	return r
}

func labels(list []*Revision) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Label)
	}
	return out
}

func TestRevisionLabels(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.commit("one")
	p.git("branch", "other")
	p.commit("two")
	r := p.open("")
	for _, tt := range []struct {
		name string
		o    RevisionOptions
		want []string
	}{
		{"none", RevisionOptions{}, []string{""}},
		{"the workspace", RevisionOptions{Revs: []string{"workspace"}}, []string{"workspace"}},
		{"by name", RevisionOptions{Revs: []string{"HEAD", "workspace", "one"}}, []string{"workspace", "HEAD", "one"}},
		{"two names of one", RevisionOptions{Revs: []string{"HEAD", "main"}}, []string{"workspace", "HEAD,main"}},
		{"branches", RevisionOptions{AllBranches: true}, []string{"workspace", "main", "other"}},
		{"both", RevisionOptions{AllBranches: true, AllTags: true}, []string{"workspace", "main,two", "other,one"}},
	} {
		list, err := r.Revisions(t.Context(), tt.o)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, labels(list)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
	if _, err := r.Revisions(t.Context(), RevisionOptions{Revs: []string{"workspace", "workspace"}}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a branch of the name workspace that does not exist: %v", err)
	}
}

// TestRevisionStagesOnce looks at which commits share their stages.
func TestRevisionStagesOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("dvc.yaml", "vars:\n- v/vars.yaml\nstages:\n  s:\n    cmd: echo ${x}\n")
	p.write("v/vars.yaml", "x: 1\n")
	p.commit("first")
	p.write("deep/er/note", "changed\n")
	p.commit("same")
	p.write("v/vars.yaml", "x: 2\n")
	p.commit("vars")
	p.write("deep/er/data.dvc", "outs:\n- path: data\n  hash: md5\n  md5: 9a8ad92c50cae39aa2c5604fd0ab6d8c\n")
	p.commit("pointer")
	p.write(".dvcignore", "deep\n")
	p.commit("ignored")
	p.write("params.yaml", "y: 1\n") // read as soon as it is there
	p.commit("params")
	r := p.open("")
	at := map[string]*Stages{}
	for _, rev := range []string{"first", "same", "vars", "pointer", "ignored", "params"} {
		v, err := r.Revision(t.Context(), rev)
		if err != nil {
			t.Fatal(err)
		}
		if at[rev], err = v.Stages(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if at["first"] != at["same"] {
		t.Error("stages were read again where nothing of them had changed")
	}
	for i, pair := range [][2]string{{"same", "vars"}, {"vars", "pointer"}, {"pointer", "ignored"}, {"ignored", "params"}} {
		if at[pair[0]] == at[pair[1]] {
			t.Errorf("case %d: %s and %s share stages", i, pair[0], pair[1])
		}
	}
	if got := at["vars"].All[0].Cmd[0]; got != "echo 2" {
		t.Errorf("command at vars: %q", got)
	}
	if n, m := len(at["pointer"].All), len(at["ignored"].All); n != 2 || m != 1 {
		t.Errorf("%d stages with the pointer file and %d without, want 2 and 1", n, m)
	}
}

func TestRevisionFiles(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("sub/.dvc/config", "")
	p.write("sub/a.json", "1")
	p.write("sub/dir/b.json", "2")
	p.write("sub/data.dvc", "outs:\n- path: data\n  hash: md5\n  md5: 9a8ad92c50cae39aa2c5604fd0ab6d8c\n")
	p.write("sub/gone.dvc", "outs:\n- path: gone\n  hash: md5\n  md5: 19a8ad92c50cae39aa2c5604fd0ab6d8\n")
	p.write("sub/.dvc/cache/files/md5/9a/8ad92c50cae39aa2c5604fd0ab6d8c", "f\n")
	p.write("secret", "s")
	for name, to := range map[string]string{"link": "dir/b.json", "out": "../secret", "circle": "circle"} {
		if err := os.Symlink(to, filepath.Join(p.dir, "sub", name)); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	p.write("sub/.gitignore", "/data\n/.dvc/cache\n")
	p.commit("one")
	r := p.open("sub")
	one, err := r.Revision(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*Revision{r.Workspace(""), one} {
		for name, want := range map[string]string{"a.json": "1", "dir/b.json": "2", "link": "2", "data": "f\n"} {
			b, err := v.ReadFile(t.Context(), name)
			if err != nil || string(b) != want {
				t.Errorf("%q: %s is %q, %v, want %q", v.Label, name, b, err, want)
			}
		}
		for _, name := range []string{"circle", "nothing", "dir/c", "../secret", "gone"} {
			b, err := v.ReadFile(t.Context(), name)
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %s is %q, %v, want an absence", v.Label, name, b, err)
			}
			if _, recorded := errors.AsType[*UnavailableError](err); recorded != (name == "gone") {
				t.Errorf("%q: %s: %v", v.Label, name, err)
			}
		}
		if b, err := v.ReadFile(t.Context(), "out"); err == nil {
			t.Errorf("%q: a link out of the repository is followed: %q", v.Label, b)
		}
		if _, err := v.ReadFile(t.Context(), "dir"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: a folder is read: %v", v.Label, err)
		}
		if !v.IsDir(t.Context(), "dir") || v.IsDir(t.Context(), "a.json") || v.IsDir(t.Context(), "nothing") {
			t.Errorf("%q: folders are mistaken", v.Label)
		}
		list, err := v.List(t.Context(), "dir")
		if diff := cmp.Diff([]string{"dir/b.json"}, list); err != nil || diff != "" {
			t.Errorf("%q: %v, -want +got:\n%s", v.Label, err, diff)
		}
	}
	a, err := one.Find(t.Context(), "dir/b.json")
	b, berr := one.Find(t.Context(), "link")
	if err != nil || berr != nil || a.ID == "" || a.ID != b.ID {
		t.Errorf("one content has the names %q and %q: %v, %v", a.ID, b.ID, err, berr)
	}
}
