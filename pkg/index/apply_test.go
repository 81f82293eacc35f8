package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
)

func digestOf(text string) object.Digest { return object.Sum(object.BLAKE3, []byte(text)) }

// tree makes a Tree of "path=text" words, or of a file if there is one word
// without a path.
func tree(at string, words ...string) *index.Tree {
	if len(words) == 1 && strings.HasPrefix(words[0], "=") {
		return &index.Tree{Path: at, Digest: digestOf(words[0][1:])}
	}
	t := &index.Tree{Path: at, IsDir: true}
	for _, w := range words {
		p, text, _ := strings.Cut(w, "=")
		t.Files = append(t.Files, object.File{Path: p, Digest: digestOf(text), Size: int64(len(text))})
	}
	t.Files.Sort()
	_, t.Digest = t.Files.Encode(object.BLAKE3)
	return t
}

func TestMakePlan(t *testing.T) {
	t.Parallel()
	nothing := []string(nil)
	for _, c := range []struct {
		name           string
		want, have     []string // nil is nothing, "=x" a file
		under          string
		relink         bool
		change         index.Change
		create, remove string
		losing         string
		removeTree     string
	}{
		{name: "new file", want: []string{"=x"}, change: index.Added, create: "o"},
		{name: "same file", want: []string{"=x"}, have: []string{"=x"}},
		{name: "same file relinked", want: []string{"=x"}, have: []string{"=x"}, relink: true, change: index.Modified, create: "o"},
		{name: "other file", want: []string{"=x"}, have: []string{"=y"}, change: index.Modified, create: "o", losing: "o"},
		{name: "file gone", have: []string{"=y"}, change: index.Deleted, remove: "o", losing: "o"},
		{name: "new folder", want: []string{"a=1", "b/c=2"}, change: index.Added, create: "o/a o/b/c"},
		{name: "same folder", want: []string{"a=1"}, have: []string{"a=1"}},
		{name: "folder gone", have: []string{"a=1", "b/c=2"}, change: index.Deleted, remove: "o/a o/b/c", losing: "o/a o/b/c", removeTree: "o"},
		{name: "changed inside", want: []string{"a=1", "b=2", "d=4"}, have: []string{"a=1", "b=3", "c=3"}, change: index.Modified, create: "o/b o/d", remove: "o/c", losing: "o/b o/c"},
		{name: "file to folder", want: []string{"a=1"}, have: []string{"=x"}, change: index.Modified, create: "o/a", remove: "o", losing: "o"},
		{name: "folder to file", want: []string{"=x"}, have: []string{"a=1", "b/c=2"}, change: index.Modified, create: "o", remove: "o/a o/b/c", losing: "o/a o/b/c", removeTree: "o"},
		{name: "inner file to folder", want: []string{"x/y=1"}, have: []string{"x=1"}, change: index.Modified, create: "o/x/y", remove: "o/x", losing: "o/x"},
		{name: "inner folder to file", want: []string{"x=1"}, have: []string{"x/y=1"}, change: index.Modified, create: "o/x", remove: "o/x/y", losing: "o/x/y"},
		{name: "part", want: []string{"a/x=1", "b/x=1"}, have: []string{"a/x=2", "a/y=2", "b/x=2"}, under: "a", change: index.Modified, create: "o/a/x", remove: "o/a/y", losing: "o/a/x o/a/y"},
		{name: "part that is a file", want: []string{"a=1", "a b=1", "b=1"}, have: []string{"a=2", "a b=2", "b=2"}, under: "a", change: index.Modified, create: "o/a", losing: "o/a"},
		{name: "part that is the same", want: []string{"a/x=1", "b=1"}, have: []string{"a/x=1", "b=2"}, under: "a"},
		{name: "part of what is not there", want: []string{"a/x=1", "b=1"}, under: "a", change: index.Added, create: "o/a/x"},
		{name: "empty folder", want: []string{}, change: index.Added},
		{name: "to an empty folder", want: []string{}, have: []string{"a=1"}, change: index.Modified, remove: "o/a", losing: "o/a"},
		{name: "nothing and nothing", want: nothing, have: nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := index.Want{Path: "o", Under: c.under}
			if c.want != nil {
				w := tree("o", c.want...)
				want.Digest, want.Files = w.Digest, w.Files
			}
			var have *index.Tree
			if c.have != nil {
				have = tree("o", c.have...)
			}
			p := index.MakePlan(want, have, c.relink)
			var create, losing []string
			for _, f := range p.Create {
				create = append(create, filepath.Join("o", f.Path))
			}
			for _, f := range p.Losing {
				losing = append(losing, f.Path)
			}
			got := fmt.Sprintf("%q create %v remove %v losing %v tree %q", p.Change, create, p.Remove, losing, p.RemoveTree)
			expect := fmt.Sprintf("%q create %v remove %v losing %v tree %q", c.change, strings.Fields(c.create), strings.Fields(c.remove), strings.Fields(c.losing), c.removeTree)
			if got != expect {
				t.Errorf("got  %s\nwant %s", got, expect)
			}
			if p.Empty() != (c.change == index.Unchanged) {
				t.Error("Empty")
			}
		})
	}
}

// snapshot is what lies below a folder: path → text, "/" for a folder.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		switch {
		case err != nil:
			t.Error(err)
		case e.IsDir():
			out[filepath.ToSlash(rel)] = "/"
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				t.Error(err)
			}
			out[filepath.ToSlash(rel)] = string(b)
		}
		return nil
	})
	return out
}

func TestApplyFailsAtEachOperation(t *testing.T) {
	t.Parallel()
	large := string(bytes.Repeat([]byte("large"), 250_000))
	before := map[string]string{"d/keep": "k", "d/edit": "old", "d/gone/x": "x", "d/f2d": "f", "d/d2f/y": "y", "d/d2f/z/w": "w"}
	after := map[string]string{"d/keep": "k", "d/edit": "new", "d/f2d/q": "q", "d/d2f": "now a file", "d/new/deep/er": large, "d/empty": ""}
	for name, links := range map[string][]cache.LinkType{"copy": {cache.Copy}, "hardlink": {cache.Hardlink, cache.Copy}, "symlink": {cache.Symlink, cache.Copy}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := newPlaceAt(t, disktest.Scratch(t), links...)
			for f, text := range after {
				base.write(f, text)
			}
			want := base.add("d")
			mayHide := func(op disktest.Op) bool {
				// A folder that stays, a staging folder that stays, a link that
				// becomes a copy; a staging folder is tried again.
				return op.Name == "remove" || op.Name == "link" || op.Name == "symlink" || op.Name == "mkdir" && strings.Contains(op.Path, ".cairn-")
			}
			disktest.FailEach(t, mayHide, func(t *testing.T, f *disktest.Faults) error {
				p := newPlaceAt(t, disktest.Scratch(t), links...)
				p.cache = base.cache
				for f, text := range before {
					p.write(f, text)
				}
				p.write("d/d2f/mine", "untracked") // not in the scan below
				os.Remove(filepath.Join(p.path, "d/d2f/mine"))
				apply := func(hook disk.Hook) error {
					root := p.root
					if hook != nil {
						root = p.root.WithHook(hook)
					}
					staging := disk.NewStaging(root)
					defer staging.Close()
					plan := index.MakePlan(index.Want{Path: "d", Digest: want.Digest, Files: want.Files}, p.scan("d"), false)
					a := index.Applier{Root: root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now, Jobs: 1}
					done, err := a.Apply(context.Background(), []index.Plan{plan})
					return errors.Join(err, done.Err())
				}
				err := apply(f.Hook)
				for rel, text := range snapshot(t, p.path) {
					if strings.HasPrefix(rel, ".cairn-") || text == "/" {
						continue
					}
					if text != before[rel] && text != after[rel] {
						t.Errorf("%s holds %d bytes that it should never hold", rel, len(text))
					}
				}
				if rerr := apply(nil); rerr != nil {
					t.Errorf("retry: %v", rerr)
				}
				got := snapshot(t, filepath.Join(p.path, "d"))
				for rel, text := range after {
					if got[strings.TrimPrefix(rel, "d/")] != text {
						t.Errorf("after the retry %s is wrong", rel)
					}
				}
				if again := p.scan("d"); again.Digest != want.Digest {
					t.Errorf("after the retry the scan finds %v", again.Files)
				}
				return err
			})
		})
	}
}

func TestApplyKeepsWhatIsNotTracked(t *testing.T) {
	t.Parallel()
	p := newPlace(t, cache.Copy)
	p.write("d/a/x", "x")
	p.write("d/b/y", "y")
	first := p.add("d")
	have := p.scan("d")
	p.write("d/a/mine", "mine") // after the scan, or ignored
	os.Mkdir(filepath.Join(p.path, "d/b/minetoo"), 0o777)
	p.write("d/b/minetoo/z", "z")
	apply := func(want index.Want) index.Applied {
		staging := disk.NewStaging(p.root)
		defer staging.Close()
		a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now}
		done, err := a.Apply(context.Background(), []index.Plan{index.MakePlan(want, have, false)})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if done := apply(index.Want{Path: "d"}); done.Err() != nil || done.Removed != 2 {
		t.Errorf("removal: %+v", done)
	}
	want := map[string]string{".": "/", "a": "/", "a/mine": "mine", "b": "/", "b/minetoo": "/", "b/minetoo/z": "z"}
	if got := snapshot(t, filepath.Join(p.path, "d")); !reflect.DeepEqual(got, want) {
		t.Errorf("left: %v", got)
	}
	// A file is wanted where the folder still is.
	p.write("f", "file")
	file := p.add("f")
	done := apply(index.Want{Path: "d", Digest: file.Digest})
	if len(done.Failed) == 0 || !errs.Is(done.Failed[len(done.Failed)-1].Err, errs.Conflict) {
		t.Errorf("file over a folder with files: %+v", done)
	}
	if got := snapshot(t, filepath.Join(p.path, "d")); !reflect.DeepEqual(got, want) {
		t.Errorf("left: %v", got)
	}
	_ = first
}

// Bytes that came between the scan and the change are not lost.
func TestApplyKeepsWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPlace(t, cache.Copy)
	p.write("d/edit", "one")
	p.write("d/gone", "one")
	p.write("d/same", "one")
	old := p.add("d")
	p.write("d/edit", "two")
	os.Remove(filepath.Join(p.path, "d/gone"))
	p.add("d")
	have := p.scan("d")
	p.write("d/edit", "precious")
	p.write("d/gone", "precious")
	staging := disk.NewStaging(p.root)
	defer staging.Close()
	a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now}
	plan := index.MakePlan(index.Want{Path: "d", Digest: old.Digest, Files: old.Files}, have, false)
	done, err := a.Apply(context.Background(), []index.Plan{plan})
	if err != nil || len(done.Failed) == 0 || !errs.Is(done.Failed[0].Err, errs.Conflict) || done.Failed[0].Path != "d/edit" {
		t.Errorf("%+v %v", done, err)
	}
	if b, _ := os.ReadFile(filepath.Join(p.path, "d/edit")); string(b) != "precious" {
		t.Errorf("edit holds %q", b)
	}
	plan = index.MakePlan(index.Want{Path: "d"}, have, false)
	if done, _ := a.Apply(context.Background(), []index.Plan{plan}); done.Err() == nil {
		t.Error("a changed file was removed")
	}
	if b, _ := os.ReadFile(filepath.Join(p.path, "d/edit")); string(b) != "precious" {
		t.Errorf("edit holds %q", b)
	}
}

func TestApplyRefusesCaseTwins(t *testing.T) {
	t.Parallel()
	for name, paths := range map[string][]string{
		"files":         {"a", "A"},
		"folders":       {"dir/x", "Dir/y"},
		"deep":          {"q/a/b", "q/A/c/d"},
		"file, folder":  {"a", "A/x"},
		"beyond ASCII":  {"É", "é"},
		"kelvin":        {"k", "\u212a"},
		"sharp s aside": {"x/ſ", "x/s"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			var words []string
			for _, f := range paths {
				words = append(words, f+"=text")
			}
			words = append(words, "other=text")
			want := tree("d", words...)
			staging := disk.NewStaging(p.root)
			defer staging.Close()
			a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now, FoldsCase: true}
			plan := index.MakePlan(index.Want{Path: "d", Digest: want.Digest, Files: want.Files}, nil, false)
			if _, err := a.Apply(context.Background(), []index.Plan{plan}); !errs.Is(err, errs.Conflict) {
				t.Errorf("got %v", err)
			}
			staging.Close()
			if got := snapshot(t, p.path); len(got) != 1 {
				t.Errorf("something was written: %v", got)
			}
		})
	}
	m := tree("d", "a/b=1", "a/c=1", "b=1", "ab=1").Files
	if a, b, found := m.CaseTwins(); found {
		t.Errorf("%q and %q are no twins", a, b)
	}
}

func TestApplyFollowsNoLink(t *testing.T) {
	t.Parallel()
	for _, links := range [][]cache.LinkType{{cache.Copy}, {cache.Hardlink}, {cache.Symlink}} {
		p := newPlace(t, links...)
		p.write("d/sub/x", "tracked")
		p.write("d/sub/gone", "tracked")
		big := p.add("d")
		os.Remove(filepath.Join(p.path, "d/sub/gone"))
		small := p.add("d")
		outside := t.TempDir()
		for _, f := range []string{"x", "gone"} {
			os.WriteFile(filepath.Join(outside, f), []byte("outside"), 0o666)
		}
		have := p.scan("d")
		os.RemoveAll(filepath.Join(p.path, "d/sub"))
		os.Symlink(outside, filepath.Join(p.path, "d/sub"))
		staging := disk.NewStaging(p.root)
		a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now}
		for _, want := range []index.Want{{Path: "d"}, {Path: "d", Digest: big.Digest, Files: big.Files}, {Path: "d", Digest: small.Digest, Files: small.Files}} {
			for _, h := range []*index.Tree{have, nil, {Path: "d", IsDir: true, Files: big.Files, Digest: big.Digest}} {
				if _, err := a.Apply(context.Background(), []index.Plan{index.MakePlan(want, h, true)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		staging.Close()
		if got := snapshot(t, outside); got["x"] != "outside" || got["gone"] != "outside" || len(got) != 3 {
			t.Errorf("%v: outside is now %v", links, got)
		}
	}
}

func TestBigFlatFolder(t *testing.T) {
	t.Parallel()
	p := newPlaceAt(t, disktest.Scratch(t), cache.Copy)
	const n = 20_000
	os.Mkdir(filepath.Join(p.path, "d"), 0o777)
	for i := range n {
		if err := os.WriteFile(filepath.Join(p.path, "d", fmt.Sprintf("f%d", i)), []byte(fmt.Sprint(i%100)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	first := p.add("d")
	if len(first.Files) != n || !slices.IsSortedFunc(first.Files, func(a, b object.File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Fatalf("%d files", len(first.Files))
	}
	os.RemoveAll(filepath.Join(p.path, "d"))
	if done := p.checkout(index.Want{Path: "d", Digest: first.Digest}, false); done.Created != n || done.Err() != nil {
		t.Fatalf("%+v", done)
	}
	if again := p.scan("d"); again.Digest != first.Digest || again.Read != 0 {
		t.Errorf("read %d", again.Read)
	}
}

// rules ignore names by a suffix, everywhere or below one folder.
type rules struct{ suffix, only, at string }

func (r rules) Skip(name string, isDir bool) bool {
	return strings.HasSuffix(name, r.suffix) && (r.only == "" || r.only == r.at)
}

func (r rules) Child(name string) index.Rules {
	r.at = strings.TrimPrefix(r.at+"/"+name, "/")
	return r
}

func TestScanRules(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, f := range []string{"d/a", "d/a.tmp", "d/s/b", "d/s/b.tmp", "d/x.tmp/c", "d/s/.git/config", "d/.cairn-host-1-0123456789ab/0/y"} {
		p.write(f, f)
	}
	os.RemoveAll(filepath.Join(p.path, "d/s/.git"))
	for _, c := range []struct {
		r    index.Rules
		want string
	}{
		{nil, "a a.tmp s/b s/b.tmp x.tmp/c"},
		{rules{suffix: ".tmp"}, "a s/b"},
		{rules{suffix: ".tmp", only: "d/s"}, "a a.tmp s/b x.tmp/c"},
	} {
		got, err := p.scanner(nil).Scan(context.Background(), "d", c.r)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range got.Files {
			names = append(names, f.Path)
		}
		if strings.Join(names, " ") != c.want {
			t.Errorf("%v: got %v", c.r, names)
		}
	}
}

func TestScanOfOutBelowAFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("d", "a file")
	if got := p.scan("d/x"); got != nil {
		t.Errorf("found %v", got)
	}
}

func TestIsRacy(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 500_000_000)
	stat := func(m, c time.Time) disk.Stat { return disk.Stat{MTime: m.UnixNano(), CTime: c.UnixNano()} }
	for name, c := range map[string]struct {
		st   disk.Stat
		want bool
	}{
		"long ago":                  {stat(at.Add(-time.Minute), at.Add(-time.Minute)), false},
		"this instant":              {stat(at, at), true},
		"within the grain":          {stat(at.Add(-10*time.Millisecond), at.Add(-10*time.Millisecond)), true},
		"past the grain":            {stat(at.Add(-30*time.Millisecond), at.Add(-30*time.Millisecond)), false},
		"old mtime, new ctime":      {stat(at.Add(-time.Hour), at), true},
		"in the future":             {stat(at.Add(time.Hour), at.Add(-time.Hour)), true},
		"whole seconds, just now":   {stat(time.Unix(1000, 0), time.Unix(1000, 0)), true},
		"whole seconds, last":       {stat(time.Unix(999, 0), time.Unix(999, 0)), true},
		"whole seconds, before":     {stat(time.Unix(997, 0), time.Unix(997, 0)), false},
		"no ctime, whole seconds":   {stat(time.Unix(999, 0), time.Unix(0, 0)), true},
		"copied mtime, fine change": {stat(time.Unix(5, 0), at.Add(-30*time.Millisecond)), false},
	} {
		if got := index.IsRacy(c.st, at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	dir := openDir(t, t.TempDir())
	s := index.NewState()
	want := map[string][]index.Record{}
	for i := range 40 {
		path := fmt.Sprintf("d/%d é\n", i)
		for j := range i {
			want[path] = append(want[path], index.Record{
				Name: fmt.Sprintf("n%03d\x00 ", j), Racy: j%3 == 0, Digest: object.Sum([]object.Algorithm{object.MD5, object.BLAKE3, object.MD5Legacy}[j%3], []byte{byte(j)}),
				Stat: disk.Stat{Size: int64(j) << 33, MTime: int64(-j) << 40, CTime: int64(j) << 50, Ino: ^uint64(0) - uint64(j), Dev: uint64(j)},
			})
		}
		s.SetFolder(path, slices.Clone(want[path]))
	}
	if err := s.Save(dir, "s"); err != nil {
		t.Fatal(err)
	}
	back, note := index.LoadState(dir, "s")
	for path, records := range want {
		if got := back.Folder(path).All(); note != "" || !reflect.DeepEqual(got, records) {
			t.Errorf("%q: %d of %d records, %s", path, len(got), len(records), note)
		}
	}
	// A failing save leaves the old file and nothing else. A state whose file is
	// another's by now writes a new one.
	if err := back.Save(dir, "s"); err != nil {
		t.Fatal(err)
	}
	other := index.NewState()
	for path, records := range want {
		other.SetFolder(path, records)
	}
	if err := other.Save(dir, "s"); err != nil {
		t.Fatal(err)
	}
	s.SetFile("d", index.Record{Name: "x", Digest: digestOf("x")})
	for _, op := range []string{"create", "write", "rename"} {
		f := &disktest.Faults{FailAt: 1, Only: []string{op}}
		if err := s.Save(dir.WithHook(f.Hook), "s"); !errors.Is(err, disktest.ErrInjected) {
			t.Errorf("%s: %v", op, err)
		}
		if list, _ := dir.ReadDir(); len(list) != 1 {
			t.Errorf("%s left %v", op, list)
		}
	}
	if back, note = index.LoadState(dir, "s"); note != "" || back.Folder("d/39 é\n").Len() != 39 {
		t.Error("the old state is gone")
	}
}

// What changed is written behind what is there; whatever happens to the end of
// the file, the rest is still known.
func TestStateExtend(t *testing.T) {
	dir := openDir(t, t.TempDir())
	file := filepath.Join(dir.Path(), "s")
	s := index.NewState()
	t.Cleanup(func() { s.Close() })
	set := func(folder, name string) {
		s.SetFolder(folder, []index.Record{{Name: name, Digest: digestOf(folder + name)}})
		if err := s.Save(dir, "s"); err != nil {
			t.Fatal(err)
		}
	}
	names := func(s *index.State, folder string) (list []string) {
		for _, r := range s.Folder(folder).All() {
			if r.Digest != digestOf(folder+r.Name) {
				t.Errorf("%s/%s has a wrong digest", folder, r.Name)
			}
			list = append(list, r.Name)
		}
		return list
	}
	expect := func(s *index.State, folder string, want ...string) {
		t.Helper()
		if got := names(s, folder); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", folder, got, want)
		}
	}
	load := func(wantNote bool) *index.State {
		t.Helper()
		s, note := index.LoadState(dir, "s")
		t.Cleanup(func() { s.Close() })
		if (note != "") != wantNote {
			t.Errorf("note %q", note)
		}
		return s
	}
	for i := range 100 {
		set(fmt.Sprintf("f%02d", i), "a")
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set("f50", "b")
	second, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(second, first) || len(second) == len(first) {
		t.Error("one change wrote everything")
	}
	now := load(false)
	expect(now, "f50", "b")
	expect(now, "f51", "a")
	s.Forget("f52")
	if err := s.Save(dir, "s"); err != nil {
		t.Fatal(err)
	}
	expect(load(false), "f52")
	third, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	// Killed in the middle of a save: the change may be lost, no more.
	for n := len(first); n < len(third); n += 3 {
		if err := os.WriteFile(file, third[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		cut, _ := index.LoadState(dir, "s")
		expect(cut, "f51", "a")
		if got := names(cut, "f50"); len(got) != 1 {
			t.Errorf("cut at %d: f50 has %v", n, got)
		}
		cut.Close()
	}
	// A failing write at the end: the file is made anew.
	if err := os.WriteFile(file, third, 0o666); err != nil {
		t.Fatal(err)
	}
	s = load(false)
	s.SetFolder("new", []index.Record{{Name: "x", Digest: digestOf("newx")}})
	faults := &disktest.Faults{FailAt: 1, Only: []string{"write"}}
	if err := s.Save(dir.WithHook(faults.Hook), "s"); err != nil {
		t.Fatal(err)
	}
	again := load(false)
	expect(again, "new", "x")
	expect(again, "f50", "b")
	expect(again, "f52")

	// Two processes at once: neither is misled.
	one, two := load(false), load(false)
	for i, st := range []*index.State{one, two} {
		st.SetFolder("both", []index.Record{{Name: fmt.Sprint(i), Digest: digestOf("both" + fmt.Sprint(i))}})
		if err := st.Save(dir, "s"); err != nil {
			t.Fatal(err)
		}
	}
	last := load(false)
	expect(last, "both", "1")
	expect(last, "f51", "a")
	expect(one, "both", "0")
	expect(one, "f51", "a")

	// What is of no use any more does not pile up.
	big := strings.Repeat("n", 200)
	for i := range 30_000 {
		s.SetFolder("big", []index.Record{{Name: big + fmt.Sprint(i), Digest: digestOf("x")}})
		if i%100 == 0 {
			for j := range 200 {
				s.SetFolder(fmt.Sprintf("g%03d", j), []index.Record{{Name: big, Digest: digestOf(fmt.Sprint(i))}})
			}
			if err := s.Save(dir, "s"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if st, err := os.Stat(file); err != nil || st.Size() > 4<<20 {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
}

func openDir(t testing.TB, path string) *disk.Dir {
	t.Helper()
	d, err := disk.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
