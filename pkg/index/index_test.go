package index_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
)

// place is a workspace and a cache in a scratch folder.
type place struct {
	t     testing.TB
	path  string
	root  *disk.Dir
	cache *cache.Cache
	state *index.State
	alg   object.Algorithm
}

func newPlace(t testing.TB, links ...cache.LinkType) *place {
	t.Helper()
	return newPlaceAt(t, t.TempDir(), links...)
}

func newPlaceAt(t testing.TB, dir string, links ...cache.LinkType) *place {
	t.Helper()
	ws := filepath.Join(dir, "ws")
	if err := os.Mkdir(ws, 0o777); err != nil {
		t.Fatal(err)
	}
	root, err := disk.OpenDir(ws)
	if err != nil {
		t.Fatal(err)
	}
	c := cache.Open(filepath.Join(dir, "cache"), cache.Options{Links: links})
	t.Cleanup(func() { root.Close(); c.Close() })
	return &place{t: t, path: ws, root: root, cache: c, state: index.NewState(), alg: object.BLAKE3}
}

func (p *place) write(rel, text string) {
	p.t.Helper()
	full := filepath.Join(p.path, rel)
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		p.t.Fatal(err)
	}
	if err := os.RemoveAll(full); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o666); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) scanner(w *cache.Writer) *index.Scanner {
	return &index.Scanner{Root: p.root, State: p.state, Cache: p.cache, Store: w, Alg: p.alg, Now: time.Now}
}

func (p *place) add(rel string) *index.Tree {
	p.t.Helper()
	w, err := p.cache.BeginAdd()
	if err != nil {
		p.t.Fatal(err)
	}
	t, err := p.scanner(w).Scan(context.Background(), rel, nil)
	if err != nil {
		w.Abort()
		p.t.Fatal(err)
	}
	if err := w.Commit(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	return t
}

func (p *place) scan(rel string) *index.Tree {
	p.t.Helper()
	t, err := p.scanner(nil).Scan(context.Background(), rel, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

func (p *place) checkout(want index.Want, relink bool) index.Applied {
	p.t.Helper()
	if want.Digest.IsDir() && want.Files == nil {
		m, err := p.cache.ReadManifest(context.Background(), want.Digest)
		if err != nil {
			p.t.Fatal(err)
		}
		want.Files = m
	}
	staging := disk.NewStaging(p.root)
	defer staging.Close()
	a := index.Applier{Root: p.root, State: p.state, Cache: p.cache, Staging: staging, Now: time.Now}
	plan := index.MakePlan(want, p.scan(want.Path), relink)
	done, err := a.Apply(context.Background(), []index.Plan{plan})
	if err != nil {
		p.t.Fatal(err)
	}
	return done
}

func TestAddThenCheckout(t *testing.T) {
	t.Parallel()
	for _, links := range [][]cache.LinkType{nil, {cache.Copy}, {cache.Hardlink, cache.Copy}, {cache.Symlink}} {
		for _, alg := range []object.Algorithm{object.MD5, object.BLAKE3} {
			t.Run(fmt.Sprint(links, alg.Name()), func(t *testing.T) {
				t.Parallel()
				p := newPlace(t, links...)
				p.alg = alg
				big := make([]byte, 3<<20+7)
				rand.Read(big)
				files := map[string]string{"d/a": "1", "d/a b": "2", "d/b.txt": "3", "d/b/y": "4", "d/b/z/q": "", "d/big": string(big), "d/é": "1"}
				for f, text := range files {
					p.write(f, text)
				}
				first := p.add("d")
				if first.Read != len(files) || first.Digest.Algorithm() != alg || len(first.Files) != len(files) {
					t.Fatalf("first add: read %d, digest %v", first.Read, first.Digest)
				}
				os.RemoveAll(filepath.Join(p.path, "d"))
				if done := p.checkout(index.Want{Path: "d", Digest: first.Digest}, false); len(done.Failed) > 0 || done.Created != len(files) {
					t.Fatalf("checkout: %+v", done)
				}
				for f, text := range files {
					got, err := os.ReadFile(filepath.Join(p.path, f))
					if err != nil || string(got) != text {
						t.Errorf("%s: %v, equal %v", f, err, string(got) == text)
					}
				}
				again := p.scan("d")
				if again.Digest != first.Digest || again.Read != 0 {
					t.Errorf("scan after checkout: digest %v, read %d files", again.Digest, again.Read)
				}
				left, _ := filepath.Glob(filepath.Join(p.path, ".cairn-*"))
				left2, _ := filepath.Glob(filepath.Join(p.cache.Path(), ".cairn-*"))
				if len(left)+len(left2) > 0 {
					t.Errorf("staging left behind: %v %v", left, left2)
				}
			})
		}
	}
}

func TestScanReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for i := range 2000 {
		p.write(fmt.Sprintf("d/s%d/f%04d", i%7, i), fmt.Sprint(i))
	}
	time.Sleep(40 * time.Millisecond) // so that nothing is racy
	p.add("d")
	if n := p.scan("d").Read; n != 0 {
		t.Fatalf("unchanged scan read %d files", n)
	}
	p.write("d/s3/f0003", "x")
	os.Remove(filepath.Join(p.path, "d/s4/f0004"))
	if n := p.scan("d").Read; n != 1 {
		t.Errorf("scan after one change read %d files", n)
	}
	// Through a file and back.
	if err := p.state.Save(p.root, "state"); err != nil {
		t.Fatal(err)
	}
	var note string
	p.state, note = index.LoadState(p.root, "state")
	if note != "" {
		t.Error(note)
	}
	time.Sleep(40 * time.Millisecond)
	if n := p.scan("d").Read; n > 1 { // the change itself may have been racy
		t.Errorf("scan with loaded state read %d files", n)
	}
}

func TestRacyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("f", "aaaa")
	first := p.scan("f")
	st, err := os.Stat(filepath.Join(p.path, "f"))
	if err != nil {
		t.Fatal(err)
	}
	// Same length, same mtime, within the clock's grain.
	f, _ := os.OpenFile(filepath.Join(p.path, "f"), os.O_WRONLY, 0)
	f.WriteString("bbbb")
	f.Close()
	os.Chtimes(filepath.Join(p.path, "f"), st.ModTime(), st.ModTime())
	if again := p.scan("f"); again.Digest == first.Digest {
		t.Error("a change within the clock's grain was missed")
	}
}

func TestDamagedObjectIsNotCheckedOut(t *testing.T) {
	t.Parallel()
	for _, links := range [][]cache.LinkType{{cache.Copy}, {cache.Hardlink}, {cache.Symlink}} {
		p := newPlace(t, links...)
		p.write("d/a", "good")
		p.write("d/b", "fine")
		tree := p.add("d")
		os.RemoveAll(filepath.Join(p.path, "d"))
		a, _ := tree.Files.Find("a")
		obj := filepath.Join(p.cache.Path(), filepath.FromSlash(a.Digest.Key()))
		os.Chmod(obj, 0o644)
		os.WriteFile(obj, []byte("evil"), 0o644)
		os.Chmod(obj, 0o444)
		done := p.checkout(index.Want{Path: "d", Digest: tree.Digest}, false)
		if len(done.Failed) != 1 || !errs.Is(done.Failed[0].Err, errs.Corrupt) || done.Failed[0].Path != "d/a" {
			t.Errorf("%v: %+v", links, done)
		}
		if _, err := os.Lstat(filepath.Join(p.path, "d/a")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: damaged bytes got a name", links)
		}
		// Adding the good bytes again heals the object.
		p.write("d/a", "good")
		p.add("d")
		if got, _ := os.ReadFile(obj); string(got) != "good" {
			t.Errorf("%v: add left the damaged object in place", links)
		}
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	outsideFile := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(outsideFile, []byte("s"), 0o600)
	for name, make := range map[string]func(p *place){
		"link out":      func(p *place) { os.Symlink(outsideFile, filepath.Join(p.path, "d/l")) },
		"link up":       func(p *place) { os.Symlink("../../../x", filepath.Join(p.path, "d/l")) },
		"broken link":   func(p *place) { os.Symlink("nothing", filepath.Join(p.path, "d/l")) },
		"circle":        func(p *place) { os.Symlink("l", filepath.Join(p.path, "d/l")) },
		"git inside":    func(p *place) { p.write("d/.git/config", "") },
		"dvcignore":     func(p *place) { p.write("d/.dvcignore", "") },
		"invalid UTF-8": func(p *place) { p.write("d/a\xffb", "") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.write("d/ok", "1")
			make(p)
			if tree, err := p.scanner(nil).Scan(context.Background(), "d", nil); err == nil {
				t.Errorf("accepted: %v", tree.Files)
			}
		})
	}
}

func TestStateSurvivesDamage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for i := range 50 {
		p.write(fmt.Sprintf("d/s%d/f%d", i%5, i), fmt.Sprint(i))
	}
	want := p.scan("d").Digest
	p.state.Save(p.root, "state")
	good, err := os.ReadFile(filepath.Join(p.path, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 13 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x55
		os.WriteFile(filepath.Join(p.path, "state"), bad, 0o666)
		p.state, _ = index.LoadState(p.root, "state")
		if got := p.scan("d").Digest; got != want {
			t.Fatalf("byte %d flipped: digest %v, want %v", i, got, want)
		}
		os.WriteFile(filepath.Join(p.path, "state"), good[:i], 0o666)
		p.state, _ = index.LoadState(p.root, "state")
		if got := p.scan("d").Digest; got != want {
			t.Fatalf("cut at %d: digest %v, want %v", i, got, want)
		}
	}
}

func FuzzLoadState(f *testing.F) {
	f.Add([]byte("CAIRNIX1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "s"), b, 0o666)
		root, err := disk.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		s, _ := index.LoadState(root, "s")
		s.Folder("d")
		s.Save(root, "s")
	})
}
