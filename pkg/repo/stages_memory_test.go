package repo

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
)

// manyPointers is a repository with pointer files for n files of nothing in
// folders of ten.
func manyPointers(t *testing.T, n int) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.write(".dvc/config", "")
	w.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
	w.write(".dvc/tmp/x", "")
	for i := range n {
		w.pointer(i, "d41d8cd98f00b204e9800998ecf8427e")
	}
	w.git("init", "-q", ".")
	return w
}

func pointerPath(i int) string { return fmt.Sprintf("data/d%03d/f%05d.bin.dvc", i/10, i) }

func (w *world) pointer(i int, md5 string) {
	w.write(pointerPath(i), fmt.Sprintf("outs:\n- md5: %s\n  size: 0\n  hash: md5\n  path: f%05d.bin\n", md5, i))
}

// later opens the repository at a time when what was written up to now cannot
// change any more without showing it.
func (w *world) later(do func(ctx context.Context, r *Repo) error) error {
	env := Env{Dir: w.path("."), Home: w.dir, Getenv: func(string) string { return "" }, Program: "cairn",
		Now:     func() time.Time { return time.Now().Add(time.Hour) },
		Warn:    func(format string, args ...any) { w.t.Errorf("warning: "+format, args...) },
		Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir}}
	r, err := Open(env)
	if err != nil {
		return err
	}
	return joinClose(do(w.t.Context(), r), r.Close())
}

// load returns the digests by the paths of all outs, and what it took.
func (w *world) load() (outs map[string]string, n StageCounts) {
	w.t.Helper()
	outs = map[string]string{}
	err := w.later(func(ctx context.Context, r *Repo) error {
		s, err := r.Stages(ctx)
		if err != nil {
			return err
		}
		for _, t := range s.Outs() {
			outs[t.Path()] = t.Out.Digest.String()
		}
		n = r.StageCounts()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return outs, n
}

// change makes a change of a file until the file's ctime shows it, as it would
// at once for anything done later than in the next clock tick.
func (w *world) change(rel string, do func()) {
	w.t.Helper()
	ctime := func() int64 {
		d, err := disk.OpenDir(filepath.Dir(w.path(rel)))
		if err != nil {
			w.t.Fatal(err)
		}
		defer d.Close()
		st, err := d.Lstat(filepath.Base(rel))
		if err != nil {
			w.t.Fatal(err)
		}
		return st.CTime
	}
	for before := ctime(); ctime() == before; {
		do()
	}
}

const otherMD5 = "0cc175b9c0f1b6a831c399e269772661"

func TestStageMemory(t *testing.T) {
	const n = 200
	w := manyPointers(t, n)
	first, counts := w.load()
	if len(first) != n || counts.Read != n {
		t.Fatalf("got %d outs, %+v", len(first), counts)
	}
	folders := int64(n/10 + 2) // the root and data
	if counts.Folders != folders {
		t.Errorf("%d folders were listed, want %d", counts.Folders, folders)
	}
	again := func(t *testing.T, read int64, want map[string]string) {
		t.Helper()
		got, counts := w.load()
		if counts.Read != read {
			t.Errorf("%d files were read, want %d", counts.Read, read)
		}
		if counts.Looked > int64(len(want)) || counts.Folders > folders+1 {
			t.Errorf("%+v", counts)
		}
		if !maps.Equal(got, want) {
			t.Errorf("wrong outs")
		}
	}
	want := maps.Clone(first)
	again(t, 0, want)
	again(t, 0, want)

	out := func(i int) string { return strings.TrimSuffix(pointerPath(i), ".dvc") }
	info, err := os.Stat(w.path(pointerPath(7)))
	if err != nil {
		t.Fatal(err)
	}
	old := info.ModTime()
	// An edit of the same size whose time was put back.
	w.change(pointerPath(7), func() {
		w.pointer(7, otherMD5)
		if err := os.Chtimes(w.path(pointerPath(7)), old, old); err != nil {
			t.Fatal(err)
		}
	})
	want[out(7)] = otherMD5
	again(t, 1, want)
	again(t, 0, want)

	// Another file put in place by a rename, with the old one's times.
	w.write("other", fmt.Sprintf("outs:\n- md5: %s\n  size: 0\n  hash: md5\n  path: f%05d.bin\n", otherMD5, 31))
	if err := os.Chtimes(w.path("other"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.path("other"), w.path(pointerPath(31))); err != nil {
		t.Fatal(err)
	}
	want[out(31)] = otherMD5
	again(t, 1, want)

	// Two files change places.
	for _, mv := range [][2]string{{pointerPath(50), "x"}, {pointerPath(51), pointerPath(50)}, {"x", pointerPath(51)}} {
		if err := os.Rename(w.path(mv[0]), w.path(mv[1])); err != nil {
			t.Fatal(err)
		}
	}
	again(t, 2, want)

	// One goes, one comes, a folder goes.
	w.remove(pointerPath(60))
	delete(want, out(60))
	again(t, 0, want)
	w.write("data/d000/new.dvc", "outs:\n- md5: "+otherMD5+"\n  hash: md5\n  path: new\n")
	want["data/d000/new"] = otherMD5
	again(t, 1, want)
	w.remove("data/d019")
	for i := 190; i < 200; i++ {
		delete(want, out(i))
	}
	folders--
	again(t, 0, want)

	// Git brings other files, and back.
	w.git("add", ".")
	w.git("commit", "-qm", "one")
	w.change(pointerPath(3), func() { w.pointer(3, otherMD5) })
	w.git("commit", "-qam", "two")
	w.git("checkout", "-q", "HEAD^")
	again(t, 1, want)
	w.git("checkout", "-q", "-")
	want[out(3)] = otherMD5
	again(t, 1, want)
	again(t, 0, want)

	// Ignore files count as they are now.
	w.write(".dvcignore", "data/d001\n")
	less := maps.Clone(want)
	for i := 10; i < 20; i++ {
		delete(less, out(i))
	}
	again(t, 0, less)
	w.remove(".dvcignore")
	again(t, 10, want)
	w.write("data/d002/.gitignore", "f0002*.dvc\n")
	less = maps.Clone(want)
	for i := 20; i < 30; i++ {
		delete(less, out(i))
	}
	again(t, 0, less)
	w.write("data/d002/.gitignore", "f00020*.dvc\n")
	less = maps.Clone(want)
	delete(less, out(20))
	again(t, 9, less)
	w.write(".gitignore", "d002\n")
	for i := 20; i < 30; i++ {
		delete(less, out(i))
	}
	again(t, 0, less)
	w.remove(".gitignore")
	w.remove("data/d002/.gitignore")
	again(t, 10, want)

	// A file that cannot be read is an error each time, not only once.
	good, err := os.ReadFile(w.path(pointerPath(5)))
	if err != nil {
		t.Fatal(err)
	}
	w.change(pointerPath(5), func() { w.write(pointerPath(5), strings.Replace(string(good), "md5: d", "md5: x", 1)) })
	for range 2 {
		err := w.later(func(ctx context.Context, r *Repo) error { _, err := r.Stages(ctx); return err })
		if !errs.Is(err, errs.Invalid) {
			t.Fatalf("got %v", err)
		}
	}
	w.change(pointerPath(5), func() { w.write(pointerPath(5), string(good)) })
	again(t, 1, want)

	// A link in place of a file, and a folder.
	if err := os.Remove(w.path(pointerPath(8))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.path(pointerPath(8)), 0o777); err != nil {
		t.Fatal(err)
	}
	delete(want, out(8))
	folders++
	again(t, 0, want)
}

// A file that could have been changed after it was read is read again.
func TestStageMemoryRacy(t *testing.T) {
	w := manyPointers(t, 100)
	var readAt time.Time
	count := func() int64 {
		var n StageCounts
		env := Env{Dir: w.path("."), Home: w.dir, Getenv: func(string) string { return "" }, Program: "cairn",
			Now: func() time.Time { return readAt }, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir}}
		r, err := Open(env)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Stages(t.Context()); err != nil {
			t.Fatal(err)
		}
		n = r.StageCounts()
		return n.Read
	}
	d, err := disk.OpenDir(filepath.Dir(w.path(pointerPath(99))))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	st, err := d.Lstat(filepath.Base(pointerPath(99)))
	if err != nil {
		t.Fatal(err)
	}
	readAt = time.Unix(0, st.CTime) // also a clock that has been turned back
	if !index.IsRacy(st, readAt) {
		t.Fatal("not racy")
	}
	for range 2 {
		if n := count(); n == 0 {
			t.Fatal("a racy file was remembered")
		}
	}
	readAt = readAt.Add(time.Hour)
	count()
	if n := count(); n != 0 {
		t.Fatalf("%d files were read again", n)
	}
}

// Whatever is wrong with the memory, what it has not is read.
func TestStageMemoryDamaged(t *testing.T) {
	w := manyPointers(t, 100)
	want, _ := w.load()
	file := w.path(tmpDir + "/" + stagesFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, least int64) {
		t.Helper()
		got, n := w.load()
		if !maps.Equal(got, want) || n.Read < least {
			t.Errorf("%s: %d outs, %+v", what, len(got), n)
		}
		if _, n := w.load(); n.Read != 0 {
			t.Errorf("%s: not remembered anew, %+v", what, n)
		}
	}
	put(nil)
	check("empty", 100)
	put([]byte("something else that is long enough to be taken for a memory"))
	check("foreign", 100)
	other := slices.Clone(whole)
	other[len(stagesMagic)]++
	put(other)
	check("of another version", 100)
	put(append(slices.Clone(whole), 1, 2, 3))
	check("longer", 0)
	for at := 0; at < len(whole); at += 37 {
		flipped := slices.Clone(whole)
		flipped[at] ^= 0x10
		put(flipped)
		check(fmt.Sprintf("byte %d", at), 1)
	}
	for n := 0; n < len(whole); n += 97 {
		put(whole[:n])
		check(fmt.Sprintf("cut at %d", n), 1)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", file); err != nil {
		t.Fatal(err)
	}
	check("a link", 100)
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the link is still there: %v", err)
	}
}

func FuzzStageMemory(f *testing.F) {
	m := &stageMemory{folders: map[string]*rememberedFolder{}}
	v := m.folder("data")
	v.set("a.dvc", disk.Stat{Size: 3, MTime: 1, CTime: 2, Ino: 3, Dev: 4}, "form", time.Unix(1, 0))
	v.done()
	f.Add(string(m.fresh[0].append(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		for {
			block, rest, ok := cutBlock(text)
			if !ok {
				return
			}
			if d := decodeFolder(block); d != nil {
				d.block = ""
				if again := decodeFolder(string(d.append(nil))); again == nil || !slices.Equal(again.records, d.records) {
					t.Fatal("a block that was read cannot be written and read again")
				}
			}
			text = rest
		}
	})
}

// Several processes may read and write the memory at the same time.
func TestStageMemoryConcurrently(t *testing.T) {
	w := manyPointers(t, 100)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				err := w.later(func(ctx context.Context, r *Repo) error {
					s, err := r.Stages(ctx)
					if err == nil && len(s.All) != 100 {
						err = fmt.Errorf("got %d stages", len(s.All))
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := filepath.Glob(w.path(tmpDir + "/*")); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A small repository gets no memory: reading it costs less.
func TestStageMemorySmall(t *testing.T) {
	w := manyPointers(t, 10)
	w.load()
	if _, err := os.Lstat(w.path(tmpDir + "/" + stagesFile)); err == nil {
		t.Error("there is a memory")
	}
}

// Who names stage files has nothing else looked at.
func TestStageCountsNamed(t *testing.T) {
	w := manyPointers(t, 100)
	w.write("dvc.yaml", "stages:\n  s:\n    cmd: x\n    outs: [o]\n  t:\n    cmd: y\n    deps: [o]\n")
	for _, c := range []struct {
		targets []string
		want    StageCounts
	}{
		{[]string{pointerPath(1)}, StageCounts{Read: 1}},
		{[]string{pointerPath(1), pointerPath(2), "s"}, StageCounts{Read: 3}},
		{[]string{"dvc.yaml:t", "s", "dvc.yaml"}, StageCounts{Read: 1}},
	} {
		err := w.later(func(ctx context.Context, r *Repo) error {
			found, err := r.Collect(ctx, c.targets, CollectOptions{})
			if err == nil && len(found) == 0 {
				err = fmt.Errorf("nothing was found")
			}
			if got := r.StageCounts(); got != c.want {
				t.Errorf("%v: got %+v, want %+v", c.targets, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// However deep folders are, few are open at a time, and none is left open.
func TestStageWalkDeep(t *testing.T) {
	w := manyPointers(t, 10)
	deep := "."
	for range 40 {
		deep += "/d"
		w.write(deep+"/sub/.dvc/config", "") // another repository
	}
	w.write(deep+"/x.dvc", "outs:\n- md5: "+otherMD5+"\n  hash: md5\n  path: x\n")
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not say what is open: ", err)
		}
		return len(list)
	}
	before := open()
	outs, n := w.load()
	if len(outs) != 11 || n.Folders < 42 {
		t.Errorf("%d outs, %+v", len(outs), n)
	}
	if after := open(); after > before+5 { // a repository of Git and the like, but not a folder a level
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
}
