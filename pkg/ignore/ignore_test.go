package ignore

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// tree makes a file system of entries, a final slash meaning a folder.
func tree(entries []string, files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e, "/"); ok {
			m[name] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			continue
		}
		m[e] = &fstest.MapFile{}
	}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// walk returns what a walk with Dir.Match and Dir.Child keeps.
func walk(t *testing.T, m *Matcher, tree fs.FS) map[string]bool {
	t.Helper()
	kept := map[string]bool{}
	var down func(d *Dir, dir string)
	down = func(d *Dir, dir string) {
		list, err := fs.ReadDir(tree, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if d.Match(e.Name(), e.IsDir()) {
				continue
			}
			rel := path.Join(dir, e.Name())
			if !e.IsDir() {
				kept[rel] = true
				continue
			}
			sub, err := fs.ReadDir(tree, rel)
			if err != nil {
				t.Fatal(err)
			}
			var marks Marks
			for _, s := range sub {
				marks |= Mark(s.Name())
			}
			c, err := d.Child(e.Name(), marks)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Ignored() {
				kept[rel+"/"] = true
				down(c, rel)
			}
		}
	}
	root, err := m.Dir("")
	if err != nil {
		t.Fatal(err)
	}
	down(root, ".")
	return kept
}

// agree checks that the three ways to ask give one answer, and returns it.
func agree(t *testing.T, m *Matcher, kept map[string]bool, entry string) Explanation {
	t.Helper()
	name, isDir := strings.CutSuffix(entry, "/")
	x, err := m.Explain(name, isDir)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := m.Ignored(name, isDir)
	if err != nil {
		t.Fatal(err)
	}
	if x.Ignored != ignored || kept != nil && ignored == kept[entry] {
		t.Errorf("%q: Ignored says %v, Explain %v (%v), the walk %v", entry, ignored, x.Ignored, x.Rule, !kept[entry])
	}
	return x
}

type golden struct {
	Files   map[string]string
	Subrepo string
	Answers map[string][2]any
}

func TestDVCGolden(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/dvc.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Scan()
	var head struct{ Entries []string }
	if err := json.Unmarshal(sc.Bytes(), &head); err != nil {
		t.Fatal(err)
	}
	for n := 1; sc.Scan(); n++ {
		var g golden
		if err := json.Unmarshal(sc.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			testGolden(t, g, head.Entries)
		})
	}
}

func testGolden(t *testing.T, g golden, entries []string) {
	files := map[string]string{}
	for dir, text := range g.Files {
		files[path.Join(dir, DVCFile)] = text
	}
	all := slices.Clone(entries)
	if g.Subrepo != "" {
		all = append(all, g.Subrepo+"/.dvc/")
	}
	fsys := tree(all, files)
	m := New(FS(fsys), Options{})
	kept := walk(t, m, fsys)
	for _, e := range entries {
		want, wantRule := false, ""
		if a, ok := g.Answers[e]; ok {
			want, wantRule = a[0].(bool), a[1].(string)
		}
		x := agree(t, m, kept, e)
		rule := ""
		if x.Rule != nil {
			rule = x.Rule.String()
		}
		if x.Rule != nil && x.Rule.File == "" && !want {
			continue // DVC lets its built-in rules be taken back
		}
		if x.Ignored != want || rule != wantRule {
			t.Errorf("%q: got %v by %q, DVC says %v by %q; files %q", e, x.Ignored, rule, want, wantRule, g.Files)
		}
	}
}

func TestInvalidPattern(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"backslash at the end", "a\n\nb\\\n", `.dvcignore:3: pattern "b\\" ends with a backslash`},
		{"escaped blank, which DVC strips", "b\\ \n", `.dvcignore:1: pattern "b\\" ends with a backslash`},
		{"only a negation", "!\n", `.dvcignore:1: pattern "!" is only a negation`},
		{"backward range", "[z-a]\n", `.dvcignore:1: pattern "[z-a]" has a range that runs backwards`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := New(FS(tree(nil, map[string]string{DVCFile: tc.text})), Options{})
			_, err := m.Ignored("x", false)
			if !errs.Is(err, errs.Invalid) || err.Error() != tc.want {
				t.Errorf("got %v (kind %v), want %v", err, errs.KindOf(err), tc.want)
			}
			if _, err := New(FS(tree(nil, map[string]string{GitFile: tc.text})), Options{Syntax: Git}).Ignored("x", false); err != nil {
				t.Errorf("Git syntax: %v", err)
			}
		})
	}
}

func TestBuiltinCannotBeTakenBack(t *testing.T) {
	t.Parallel()
	m := New(FS(tree(nil, map[string]string{DVCFile: "!.*\n!.git\n!*\n!.dvc/\n"})), Options{})
	for _, e := range []string{".git", ".git/", ".dvc/", ".hg/", "a/.git", "a/.dvc/config"} {
		if x := agree(t, m, nil, e); !x.Ignored {
			t.Errorf("%q is not ignored", e)
		}
	}
	for _, e := range []string{".dvc", ".hg", ".github/", "a.git"} {
		if x := agree(t, m, nil, e); x.Ignored {
			t.Errorf("%q is ignored by %v", e, x.Rule)
		}
	}
}

func TestIgnoreFileOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(rel, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(rel)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, rel), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(DVCFile, "\ufeff*.log\n")
	write("real/"+DVCFile, "x\n")
	write("folder/"+DVCFile+"/x", "")
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	write("linked/y", "")
	if err := os.Symlink("../real/.dvcignore", filepath.Join(dir, "linked", DVCFile)); err != nil {
		t.Fatal(err)
	}
	root, err := disk.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m := New(Disk(root), Options{})
	for _, tc := range []struct {
		path string
		want bool
	}{{"a.log", true}, {"real/x", true}, {"real/y", false}, {"link/y", false}, {"no/such/y", false}, {DVCFile + "/y", false}} {
		got, err := m.Ignored(tc.path, false)
		if got != tc.want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", tc.path, got, err, tc.want)
		}
	}
	for _, bad := range []string{"linked/y", "folder/y"} {
		if _, err := m.Ignored(bad, false); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: got %v, want an errs.Invalid error", bad, err)
		}
	}
}

func TestManyRules(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "/f%d\n/data/f%d\nn%d\n*.e%d\n", i, i, i, i)
	}
	text.WriteString("!/data/f7\n!n9\n")
	m := New(FS(tree(nil, map[string]string{GitFile: text.String()})), Options{Syntax: Git})
	for p, want := range map[string]bool{
		"f1": true, "data/f1": true, "data/f7": false, "f7": true, "x/f1": false, "x/n8": true, "x/n9": false,
		"x/a.e2999": true, "x/a.e3000": false, "f1/x": true, "data/f2999/x": true, "data/x/f1": false,
	} {
		if got := agree(t, m, nil, p).Ignored; got != want {
			t.Errorf("%q: got %v, want %v", p, got, want)
		}
	}
}

// Patterns for the comparison with Git. There is no "f**": after a slash Git
// takes its stars for any number of folders, against its documentation.
var gitWords = []string{
	"a", "b", "foo", "bar.txt", "*", "**", "*.txt", "f*", "*o*", "?", "[ab]", "[!a]*", "[a-f]oo", "\\a", "\\*",
	"[[:alpha:]]", "[\\]a]", "[]a]*", "***", "**o", "[z-a]", "[a", "sub", "deep", "a b", "é", "??", "#a", "\\#a", "!a", "\\!a",
	"a\\ ", "[[:upper:][:digit:]]*", "[^-a]", "x*y*z", ".", "..", "\\",
}

func randomGitIgnore(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(5) {
		if rnd.IntN(3) == 0 {
			b.WriteByte('!')
		}
		if rnd.IntN(4) == 0 {
			b.WriteByte('/')
		}
		parts := []string{}
		for range 1 + max(0, rnd.IntN(5)-2) {
			parts = append(parts, gitWords[rnd.IntN(len(gitWords))])
		}
		b.WriteString(strings.Join(parts, "/"))
		b.WriteString([]string{"", "", "", "/", " ", "  ", "\t", "\r"}[rnd.IntN(8)])
		b.WriteByte('\n')
	}
	return b.String()
}

func TestGitDifferential(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("needs the git binary")
	}
	names := []string{"a", "b", "foo", "bar.txt", "sub", "deep", "A1", "é", "a b", "#a", "!a", "*", "]", "-", "xayaz", "f"}
	var entries []string
	for _, n := range names {
		entries = append(entries, n, "d/"+n, "sub/d/"+n, "foo/sub/"+n, "a/b/deep/"+n)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		files := map[string]string{GitFile: randomGitIgnore(rnd)}
		if i%2 == 0 {
			files["sub/"+GitFile] = randomGitIgnore(rnd)
			files["foo/sub/"+GitFile] = randomGitIgnore(rnd)
		}
		extra := randomGitIgnore(rnd)
		want := gitCheckIgnore(t, git, files, extra, entries)
		m := New(FS(tree(nil, files)), Options{Syntax: Git, Extra: []Source{{Name: ".git/info/exclude", Data: []byte(extra)}}})
		for _, e := range entries {
			asked := e
			if e == "foo" || e == "sub" { // on disk, for their ignore files
				asked += "/"
			}
			x := agree(t, m, nil, asked)
			got := ""
			if x.Rule != nil {
				got = x.Rule.String()
			}
			if got != want[e] {
				t.Errorf("%q: got %q, git says %q\nfiles %q\nexclude %q", e, got, want[e], files, extra)
			}
		}
	}
}

// gitCheckIgnore asks git about paths that do not exist, which it takes for
// files; those above them are folders.
func gitCheckIgnore(t *testing.T, git string, files map[string]string, exclude string, entries []string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run := func(stdin string, args ...string) string {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if x, ok := err.(*exec.ExitError); err != nil && (!ok || x.ExitCode() != 1) {
			t.Fatal(args, err)
		}
		return string(out)
	}
	run("", "init", "-q")
	files = map[string]string{".git/info/exclude": exclude, GitFile: files[GitFile], "sub/" + GitFile: files["sub/"+GitFile], "foo/sub/" + GitFile: files["foo/sub/"+GitFile]}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := run(strings.Join(entries, "\x00")+"\x00", "check-ignore", "-z", "-v", "-n", "--stdin", "--no-index")
	answers := map[string]string{}
	fields := strings.Split(out, "\x00")
	for i := 0; i+3 < len(fields); i += 4 {
		if fields[i] != "" {
			answers[fields[i+3]] = fields[i] + ":" + fields[i+1] + ":" + fields[i+2]
		}
	}
	return answers
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.txt\n!a\n", "a/**/b/\n", "[!a-c]x\\", "\\ \r\n**\n/*/", "[[:alpha:]]\n", "!\n/\n//\n", "a/[b/c]d\n", "\xff[\xfe-\xff]?\n"} {
		f.Add(s, "a/b/c.txt")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if !fs.ValidPath(name) || name == "." {
			return
		}
		for _, syntax := range []Syntax{DVC, Git} {
			m := New(FS(tree(nil, nil)), Options{Syntax: syntax, Extra: []Source{{Name: "x", Data: []byte(text)}}})
			if _, err := m.Dir(""); err != nil {
				continue
			}
			agree(t, m, nil, name)
			agree(t, m, nil, name+"/")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m := New(FS(tree(nil, map[string]string{DVCFile: "*.log\n__pycache__/\n/build\ntmp*\ndata/**/x\n"})), Options{})
	d, err := m.Dir("data/images")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Match("image_000123.png", false)
	}
}

func BenchmarkChild(b *testing.B) {
	m := New(FS(tree(nil, nil)), Options{})
	d, err := m.Dir("")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Child("images", 0); err != nil {
			b.Fatal(err)
		}
	}
}
