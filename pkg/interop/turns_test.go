//go:build unix

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// duo is one repository that both tools use in turn: .bin/dvc is the real DVC, .bin/cairn is cairn.
type duo struct {
	*sandbox
	t *testing.T
}

// newDuo makes a workspace with an md5 repository in it, initialised by first.
func newDuo(t *testing.T, first string) *duo {
	t.Helper()
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	t.Parallel()
	d := &duo{sandbox: newSandbox(t, dvcTool, "dvc"), t: t}
	if err := os.Symlink(cairnTool.path, filepath.Join(d.root, ".bin", "cairn")); err != nil {
		t.Fatal(err)
	}
	d.play(git("init", "-q"))
	d.ok(first, "init", "-q")
	return d
}

// play runs steps of the scenario language.
func (d *duo) play(parts ...any) {
	for _, st := range steps(parts...) {
		st.do(d.sandbox)
	}
}

// run runs one of the tools in a folder.
func (d *duo) run(dir, who string, args ...string) output {
	d.t.Helper()
	if who == "cairn" && args[0] == "init" && cairnTool.hashFlag && !contains(args, "--hash") {
		args = append(args, "--hash", "md5")
	}
	return d.exec(dir, "", nil, append([]string{who}, args...)...)
}

// ok runs a tool that must succeed, and returns its stdout.
func (d *duo) ok(who string, args ...string) string { d.t.Helper(); return d.okIn("", who, args...) }

func (d *duo) okIn(dir, who string, args ...string) string {
	d.t.Helper()
	out := d.run(dir, who, args...)
	if out.Exit != 0 {
		d.t.Errorf("%s %s: exit %d\n%s%s", who, quoteArgs(args), out.Exit, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

// clean requires that both tools find nothing changed.
func (d *duo) clean(when string) { d.t.Helper(); d.cleanIn("", when) }

func (d *duo) cleanIn(dir, when string) {
	d.t.Helper()
	for _, who := range []string{"cairn", "dvc"} {
		if got := strings.TrimSpace(d.okIn(dir, who, "status", "--json")); got != "{}" {
			d.t.Errorf("%s: %s status --json: %s", when, who, got)
		}
		if got := strings.TrimSpace(d.okIn(dir, who, "data", "status", "--json", "--granular")); strings.Contains(got, "uncommitted") || strings.Contains(got, "not_in_cache") {
			d.t.Errorf("%s: %s data status: %s", when, who, got)
		}
	}
}

// inSync requires that both tools find cache and remote equal.
func (d *duo) inSync(when string) {
	d.t.Helper()
	for _, who := range []string{"cairn", "dvc"} {
		if got := strings.TrimSpace(d.ok(who, "status", "-c", "--json")); got != "{}" {
			d.t.Errorf("%s: %s status -c --json: %s", when, who, got)
		}
	}
}

// stamps tells whether a file was written again: inode and mtime of everything but the tools' scratch.
func (d *duo) stamps() map[string]string {
	out := map[string]string{}
	filepath.WalkDir(d.root, func(p string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(d.root, p)
		if err != nil || e.IsDir() {
			if strings.HasPrefix(rel, ".") && rel != "." || strings.HasSuffix(rel, "/.git") || strings.HasSuffix(rel, ".dvc/tmp") {
				return filepath.SkipDir
			}
			return err
		}
		if fi, err := os.Lstat(p); err == nil {
			st := fi.Sys().(*syscall.Stat_t)
			out[rel] = fmt.Sprintf("%s ino=%d mtime=%d", fi.Mode(), st.Ino, fi.ModTime().UnixNano())
		}
		return nil
	})
	return out
}

// untouched runs f and requires that no file was written, not even with the same bytes.
func (d *duo) untouched(what string, f func()) {
	d.t.Helper()
	before := d.stamps()
	f()
	after := d.stamps()
	for p, was := range before {
		if now := after[p]; now != was {
			d.t.Errorf("%s: %s was rewritten\n  before %s\n  after  %s", what, p, was, now)
		}
	}
	for p := range after {
		if _, ok := before[p]; !ok {
			d.t.Errorf("%s: %s was made", what, p)
		}
	}
}

// unchanged is untouched for cairn; of DVC, which writes equal files again, it asks for equal content only.
func (d *duo) unchanged(who, what string, f func()) {
	d.t.Helper()
	if who == "cairn" {
		d.untouched(who+" "+what, f)
		return
	}
	before := d.snap()
	f()
	for p, e := range changes(before, d.snap()) {
		if len(e) < 6 || len(before[p]) < 6 || e[6:] != before[p][6:] {
			d.t.Errorf("%s %s: %s changed\n  before %q\n  after  %q", who, what, p, before[p], e)
		}
	}
}

// awkward is the data of the turn-taking tests.
func awkward() []step {
	return steps(write("plain", "plain\n"), write("empty", ""), write("é 日本.txt", "unicode"), write("q'u\"o#[x]", "specials"), writeMode("run.sh", "#!/bin/sh\n", 0o755),
		write("crlf", "a\r\nb\r\n"), write("d/a", "1"), write("d/a b", "2"), write("d/é", "3"), write("d/s/deep/f", "4"), write("d/s/none", ""), writeMode("d/x.sh", "#!", 0o755),
		write("d/"+strings.Repeat("n", 200), "long"), mkdir("v"), write("big", strings.Repeat("0123456789abcdef", 200_000)))
}

func awkwardTargets() []string {
	return []string{"plain", "empty", "é 日本.txt", "q'u\"o#[x]", "run.sh", "crlf", "d", "v", "big"}
}

// pairs names the two ways of taking turns.
var pairs = [][2]string{{"cairn", "dvc"}, {"dvc", "cairn"}}

func TestTurnsAddAndCheckout(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" adds "+b+" checks out", func(t *testing.T) {
			d := newDuo(t, a)
			d.play(awkward())
			d.ok(a, append([]string{"add", "-q"}, awkwardTargets()...)...)
			d.clean("after add")
			d.play(git("commit", "-q", "--allow-empty", "-m", "so that there is something to compare with"))
			d.unchanged(b, "looks and adds again", func() {
				d.ok(b, "status")
				d.ok(b, "diff")
				d.ok(b, append([]string{"add", "-q"}, awkwardTargets()...)...)
				d.ok(b, "commit")
				d.ok(b, "checkout")
			})
			before := d.snap()
			d.play(rm(awkwardTargets()...))
			d.ok(b, "checkout")
			delta := changes(before, d.snap())
			for p, e := range delta {
				if len(e) > 6 && len(before[p]) > 6 && e[6:] == before[p][6:] {
					delete(delta, p) // the same but for mode bits, which folders do not carry and DVC narrows to u+x
				}
			}
			if len(delta) > 0 {
				t.Errorf("%s's checkout differs from what was added: %v", b, delta)
			}
			d.clean("after checkout")

			d.play(write("plain", "changed"), write("d/a", "11"), rm("d/a b"), write("d/new/n", "n"))
			d.ok(b, "add", "-q", "plain", "d")
			d.clean("after the other one's add")
			d.ok(a, "remove", "plain.dvc")
			d.ok(a, "move", "crlf", "moved")
			d.clean("after remove and move")
			d.ok(b, "remove", "moved.dvc", "--outs")
			d.ok(b, "move", "empty", "s.empty")
			d.clean("after the other one's remove and move")
		})
	}
}

func TestTurnsRevisions(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" then "+b, func(t *testing.T) {
			d := newDuo(t, a)
			who := [2]string{a, b}
			for i := range 4 {
				d.play(write("f", strings.Repeat("x", i+1)), write("d/same", "s"), write(fmt.Sprintf("d/%d", i), "n"), write("d/changes", fmt.Sprint(i)))
				d.ok(who[i%2], "add", "-q", "f", "d")
				d.play(commit(fmt.Sprint(i)), git("tag", fmt.Sprintf("v%d", i)))
			}
			for i, rev := range []string{"v0", "v3", "v1", "v2"} {
				d.play(git("checkout", "-q", rev))
				d.ok(who[i%2], "checkout")
				d.clean("at " + rev)
				if x, y := sorted(d.ok(a, "diff", "--json", "v0")), sorted(d.ok(b, "diff", "--json", "v0")); x != y {
					t.Errorf("diff v0 at %s: %s: %s, %s: %s", rev, a, x, b, y)
				}
			}
		})
	}
}

func TestTurnsRemote(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" pushes "+b+" pulls", func(t *testing.T) {
			d := newDuo(t, a)
			d.play(awkward())
			d.ok(a, append([]string{"add", "-q"}, awkwardTargets()...)...)
			d.ok(b, "remote", "add", "-q", "-d", "r", filepath.Join(d.root, "rem"))
			d.play(commit("data"))
			d.ok(a, "push", "-q")
			d.inSync("after push")
			d.unchanged(b, "pushes again", func() { d.ok(b, "push") })
			d.play(git("clone", "-q", ".", "../w2"))
			d.okIn("../w2", b, "pull", "-q")
			d.cleanIn("../w2", "in the clone")
			for _, p := range awkwardTargets() {
				if want, got := tree(t, d.path(p)), tree(t, d.path("../w2/"+p)); want != got {
					t.Errorf("%s pulled: want\n%s\ngot\n%s", p, want, got)
				}
			}
			d.play(write("../w2/d/from-clone", "c"), write("../w2/plain", "edited in the clone"))
			d.okIn("../w2", b, "add", "-q", "d", "plain")
			d.okIn("../w2", b, "push", "-q")
			d.play(gitIn("../w2", "commit", "-qam", "clone"), git("pull", "-q", "../w2", "HEAD"))
			d.ok(a, "pull", "-q")
			d.clean("after pulling the clone's work")
			d.inSync("at the end")
			d.play(rm("d", "plain"), wipeCache())
			d.ok(a, "pull", "-q", "d/s")
			d.ok(b, "fetch", "-q")
			d.ok(a, "checkout", "-q")
			d.clean("after pulling by halves")
		})
	}
}

// tree lists a path's content without mode bits, which folders do not carry.
func tree(t *testing.T, p string) string {
	var b strings.Builder
	err := filepath.WalkDir(p, func(q string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(p, q)
		if e.IsDir() {
			fmt.Fprintf(&b, "%s/\n", rel)
			return nil
		}
		data, err := os.ReadFile(q)
		fmt.Fprintf(&b, "%s %.40q %d\n", rel, data, len(data))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return b.String()
}

func TestTurnsConfig(t *testing.T) {
	d := newDuo(t, "dvc")
	d.ok("dvc", "config", "core.autostage", "true")
	d.ok("cairn", "config", "core.checksum_jobs", "2")
	d.ok("cairn", "remote", "add", "-d", "one", "../rem one")
	d.ok("dvc", "remote", "modify", "one", "jobs", "3")
	d.ok("dvc", "remote", "add", "two", "s3://bucket/x")
	d.ok("cairn", "remote", "modify", "two", "region", "eu, west")
	d.ok("cairn", "remote", "modify", "--local", "two", "secret_access_key", `a"b'c#`)
	d.ok("cairn", "config", "cache.type", "hardlink,copy")
	d.ok("cairn", "remote", "rename", "one", "first")
	for _, args := range [][]string{{"config", "-l"}, {"remote", "list"}, {"remote", "default"}, {"cache", "dir"}, {"config", "--local", "-l"}} {
		want := strings.ReplaceAll(d.ok("dvc", args...), `a"b'c#`, "***") // cairn does not list secrets
		if got := d.ok("cairn", args...); want != got {
			t.Errorf("%s: dvc %q, cairn %q", quoteArgs(args), want, got)
		}
	}
	if got := d.ok("dvc", "config", "remote.two.secret_access_key"); got != "a\"b'c#\n" {
		t.Errorf("the secret cairn wrote, as DVC reads it: %q", got)
	}
	d.play(write("a", "1"))
	d.ok("cairn", "add", "a")
	d.clean("after add with autostage and hardlinks")
}

// TestTurnsLinks: what one tool linked into the workspace the other takes for unchanged, and replaces on demand.
func TestTurnsLinks(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair[0], pair[1]
		t.Run(a+" links "+b+" relinks", func(t *testing.T) {
			d := newDuo(t, a)
			d.play(write("f", "1"), write("d/x", "2"), write("d/e", ""))
			for i, kind := range []string{"symlink", "hardlink", "copy"} {
				d.ok(a, "config", "cache.type", kind)
				if i == 0 {
					d.ok(a, "add", "-q", "f", "d")
				}
				d.ok(b, "checkout", "-q", "--relink")
				d.clean("with " + kind)
				was := d.snap()
				d.ok(a, "checkout", "-q", "--relink")
				if delta := changes(was, d.snap()); len(delta) > 0 {
					t.Errorf("%s: %s relinks otherwise than %s: %v", kind, a, b, delta)
				}
			}
			d.ok(a, "unprotect", "f")
			d.play(write("f", "edited"))
			d.ok(b, "add", "-q", "f")
			d.clean("after unprotect and add")
		})
	}
}

// TestTurnsStages: cairn takes what DVC's repro made for what it is, and DVC takes cairn's commit for a run.
func TestTurnsStages(t *testing.T) {
	d := newDuo(t, "dvc")
	d.play(write("raw", "3\n1\n"), write("params.yaml", "n: 1\n"), mkdir("../rem"), write("dvc.yaml", "stages:\n  s:\n    cmd: mkdir -p out && sort raw > out/s\n    deps: [raw]\n    params: [n]\n    outs: [out]\n"))
	d.ok("dvc", "add", "-q", "raw")
	d.ok("dvc", "repro", "-q")
	d.clean("after repro")
	d.untouched("cairn looks", func() { d.ok("cairn", "status"); d.ok("cairn", "commit"); d.ok("cairn", "checkout") })
	d.ok("cairn", "remote", "add", "-d", "r", "../rem")
	d.ok("cairn", "push", "-q")
	d.inSync("after cairn's push")
	d.play(rm("out", "raw", ".dvc/cache"))
	d.ok("cairn", "pull", "-q")
	d.clean("after cairn's pull")
	if got := d.ok("dvc", "repro"); !strings.Contains(got, "Data and pipelines are up to date.") {
		t.Errorf("dvc repro after cairn's pull ran again: %s", got)
	}
	d.play(write("out/s", "by hand\n"), write("params.yaml", "n: 2\n"))
	d.ok("cairn", "commit", "-f", "-q")
	d.clean("after cairn's commit")
	d.unchanged("dvc", "repro after cairn's commit", func() { d.ok("dvc", "repro") })
}

// TestTurnsAtOnce: both tools run at the same time; the locks make it a sequence.
func TestTurnsAtOnce(t *testing.T) {
	d := newDuo(t, "dvc")
	const each = 4
	var targets []string
	for i := range 2 * each {
		name := fmt.Sprintf("f%d", i)
		d.play(write(name, strings.Repeat(name, i+1)))
		targets = append(targets, name)
	}
	var wg sync.WaitGroup
	for i, name := range targets {
		who := [2]string{"dvc", "cairn"}[i%2]
		wg.Go(func() {
			if out := d.run("", who, "--wait-for-lock", "add", "-q", name); out.Exit != 0 {
				// DVC before it knew the flag everywhere takes it after the verb only.
				if out = d.run("", who, "add", "-q", "--wait-for-lock", name); out.Exit != 0 {
					t.Errorf("%s add %s: exit %d\n%s", who, name, out.Exit, out.Stderr)
				}
			}
		})
	}
	wg.Wait()
	d.clean("after all")
	ignored, err := os.ReadFile(d.path(".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range targets {
		if n := strings.Count(string(ignored), "/"+name+"\n"); n != 1 {
			t.Errorf("/%s is %d times in .gitignore:\n%s", name, n, ignored)
		}
	}
	d.play(rm(targets...))
	d.ok("cairn", "checkout")
	d.clean("after checkout")
}

// What cairn remembers of pointer files never hides what DVC or Git did to
// them in between.
func TestTurnsManyPointers(t *testing.T) {
	d := newDuo(t, "cairn")
	const n = 60
	name := func(i int) string { return fmt.Sprintf("d%d/f%02d", i%4, i) }
	clean := func(when string) {
		if got := strings.TrimSpace(d.ok("cairn", "status", "--json")); got != "{}" {
			t.Errorf("%s: status --json: %s", when, got)
		}
	}
	all := make([]string, n)
	for i := range n {
		all[i] = name(i)
		d.play(write(name(i), fmt.Sprintf("first %d\n", i)))
	}
	d.ok("cairn", append([]string{"add", "-q"}, all...)...)
	d.play(git("add", "."), git("commit", "-qm", "first"))
	clean("added")
	clean("remembered")
	memory := d.path(".dvc/tmp/cairn-stages")
	if _, err := os.Stat(memory); err != nil {
		t.Fatal("nothing is remembered: ", err)
	}
	for _, i := range []int{3, 41} {
		d.play(write(name(i), fmt.Sprintf("other %d\n", i))) // of the same size
		d.ok("dvc", "add", "-q", name(i))
		clean("dvc add " + name(i))
	}
	d.play(git("commit", "-qam", "second"))
	for _, rev := range []string{"HEAD^", "-"} {
		d.play(git("checkout", "-q", rev))
		d.ok("cairn", "checkout", "-q")
		clean("checkout of " + rev)
	}
	d.ok("dvc", "remove", name(5)+".dvc", "--outs")
	clean("dvc remove")
	d.ok("dvc", "move", name(7), "d0/moved")
	clean("dvc move")
	if out := d.ok("cairn", "status", "--json", "d0/moved"); strings.TrimSpace(out) != "{}" {
		t.Errorf("status of what was moved: %s", out)
	}
	if out := d.run("", "cairn", "status", name(5)); out.Exit == 0 {
		t.Errorf("what was removed is still known: %s", out.Stdout)
	}
	// DVC minds neither the memory nor rubbish in its place.
	if err := os.WriteFile(memory, []byte("rubbish"), 0o666); err != nil {
		t.Fatal(err)
	}
	d.clean("rubbish")
}
