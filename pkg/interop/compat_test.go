//go:build unix

package interop

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compatDir has repositories with their remotes, written by DVC and by cairn with make.sh beside them. They are never made
// anew: what they hold must be readable for ever.
const compatDir = "../../testdata/compat"

// compatFirst and compatSecond are the data of their two commits.
var (
	compatFirst = map[string]string{
		"data/crlf.txt": "one\r\ntwo\r\n", "data/a.txt": "plain\n", "data/empty": "",
		"data/sub dir/b": strings.Repeat("x", 3000), "data/sub dir/deep/é.bin": "\x00\x01binary\r\n",
		"model.txt": "model 1\r\n", "run.sh": "#!/bin/sh\necho hello\n",
		"prep/sorted": "plain\n", "prep/n": "3\n", "out-a": "plain\n", "out-b": "plain\n",
	}
	compatSecond = map[string]string{
		"data/crlf.txt": "one\r\ntwo\r\n", "data/a.txt": "plain\nmore\n", "data/new": "new\n",
		"data/sub dir/b": strings.Repeat("x", 3000), "data/sub dir/deep/é.bin": "\x00\x01binary\r\n",
		"model.txt": "model 2\n", "run.sh": "#!/bin/sh\necho hello\n",
		"prep/sorted": "more\nplain\n", "prep/n": "3\n", "out-a": "more\nplain\n", "out-b": "more\nplain\n",
	}
)

// TestWrittenBefore reads repositories of releases past: pulls both commits, finds nothing changed and nothing to run, and works
// on.
func TestWrittenBefore(t *testing.T) {
	if *update {
		t.Skip("nothing of DVC's to be recorded")
	}
	files, err := filepath.Glob(filepath.Join(compatDir, "*.tar.gz"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d repositories in %s, %v", len(files), compatDir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, cairnTool, "cairn")
			if err := unpack(file, s.root); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(s.path("")), os.Rename(filepath.Join(s.root, "repo"), s.path(""))); err != nil {
				t.Fatal(err)
			}
			run := func(argv ...string) string {
				t.Helper()
				out := s.exec("", "", nil, argv...)
				if out.Exit != 0 {
					t.Fatalf("%v: exit %d\n%s%s", argv, out.Exit, out.Stdout, out.Stderr)
				}
				return out.Stdout
			}
			run("git", "reset", "-q", "--hard", "main")
			has := func(want map[string]string) {
				t.Helper()
				got := map[string]string{}
				for name := range want {
					text, err := os.ReadFile(s.path(name))
					if err != nil {
						t.Error(err)
					}
					got[name] = string(text)
				}
				for _, name := range slices.Sorted(maps.Keys(want)) {
					if got[name] != want[name] {
						t.Errorf("%s: %.40q, want %.40q", name, got[name], want[name])
					}
				}
				if n := len(run("cairn", "status", "--json")); n > 3 {
					t.Errorf("status: %s", run("cairn", "status"))
				}
				if out := run("cairn", "repro"); !strings.Contains(out, "Data and pipelines are up to date.") {
					t.Errorf("repro: %s", out)
				}
				if st, err := os.Stat(s.path("run.sh")); err != nil || st.Mode()&0o100 == 0 {
					t.Errorf("run.sh cannot be run: %v", err)
				}
			}
			run("cairn", "pull", "-q")
			has(compatSecond)
			if _, err := os.Stat(s.path("data/empty")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("data/empty: %v", err)
			}
			run("git", "checkout", "-q", "HEAD~1")
			run("cairn", "pull", "-q")
			has(compatFirst)
			run("cairn", "fsck", "-q", "--all", "-A")
			if got := run("cairn", "status", "-c", "-A", "--json"); strings.TrimSpace(got) != "{}" {
				t.Errorf("status -c: %s", got)
			}

			// Work goes on.
			run("git", "checkout", "-q", "-B", "next", "main")
			run("cairn", "checkout", "-q")
			if err := os.WriteFile(s.path("data/added"), []byte("added\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			run("cairn", "add", "-q", "data")
			run("cairn", "push", "-q")
			if err := errors.Join(os.RemoveAll(s.path(".dvc/cache")), os.RemoveAll(s.path("data"))); err != nil {
				t.Fatal(err)
			}
			run("cairn", "pull", "-q")
			want := maps.Clone(compatSecond)
			want["data/added"] = "added\n"
			has(want)
		})
	}
}

func unpack(file, to string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		p := filepath.Join(to, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(p, 0o755)
		} else {
			var text []byte
			if text, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(p, text, h.FileInfo().Mode().Perm())
			}
		}
		if err != nil {
			return err
		}
	}
}
