package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
)

// sumOf is the SHA-256 of all names and contents below a folder.
func sumOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		data, err := os.ReadFile(path)
		h.Write([]byte(filepath.ToSlash(rel)))
		h.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The data are the same bytes on every machine and in every release: figures
// of two machines are of the same work.
func TestDataAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := manyTree(250).writeAll(t.Context(), filepath.Join(dir, "many")); err != nil {
		t.Fatal(err)
	}
	if err := writeBig(t.Context(), filepath.Join(dir, "big.bin"), seedBig, chunk+5, false); err != nil {
		t.Fatal(err)
	}
	if got, want := sumOf(t, dir), "82e6611c1279c8a213aef828360f9897e100b0806e5bd5b5a9515d9d4209c18a"; got != want {
		t.Errorf("data: got %s, want %s", got, want)
	}
	if err := manyTree(250).change(t.Context(), filepath.Join(dir, "many"), changedEvery, seedChange); err != nil {
		t.Fatal(err)
	}
	if got, want := sumOf(t, dir), "d727ed1afc88fea2993e5505361596ff4fc71df6733d90570e772fe671d38612"; got != want {
		t.Errorf("changed data: got %s, want %s", got, want)
	}
}

func TestDataOfManyFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "many")
	const files = 500
	tree := manyTree(files)
	if err := tree.writeAll(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	folders, n, before := map[string]bool{}, 0, map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(data) < 200 || len(data) > 4000 {
			t.Errorf("%s has %d bytes", path, len(data))
		}
		n++
		folders[filepath.Dir(path)], before[path] = true, string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != files || len(folders) != 100 {
		t.Errorf("got %d files in %d folders, want %d in 100", n, len(folders), files)
	}
	if err := tree.change(t.Context(), dir, changedEvery, seedChange); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for path, old := range before {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != old {
			changed++
		}
	}
	if changed != files/changedEvery {
		t.Errorf("%d files changed, want %d", changed, files/changedEvery)
	}
}

func TestManyTreeKeepsAThousandAFolder(t *testing.T) {
	t.Parallel()
	if got := manyTree(1_000_000).folders; got != 1000 {
		t.Errorf("a million files lie in %d folders", got)
	}
}

func TestSparseTakesNoRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sparse")
	if err := writeBig(t.Context(), path, seedBig, 1<<40, true); err != nil {
		t.Skipf("no sparse files of 1 TiB here: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 1<<40 {
		t.Errorf("got %v, %v", st, err)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "512M": 512 << 20, "10G": 10 << 30, "10 GiB": 10 << 30, "1.5k": 1536, "64KB": 64 << 10, "7b": 7, "1T": 1 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "huge", "M", "1E", "1MM", "1 2", "nan", "inf", "9999999T", "1e3X", "0x10"} {
		if got, err := ParseSize(text); err == nil || !errs.Is(err, errs.Usage) {
			t.Errorf("ParseSize(%q) = %d, %v, want a usage error", text, got, err)
		}
	}
}

func TestScaledSizes(t *testing.T) {
	t.Parallel()
	base := Sizes{Files: 1000, Big: 1 << 20, Stages: 10, Pointers: 5, PointerStages: 3}
	got := Sizes{Big: 1 << 30}.over(base, 0.25)
	want := Sizes{Files: 250, Big: 1 << 28, Stages: 2, Pointers: 1, PointerStages: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if z := (Sizes{Files: math.MaxInt}).over(base, 1e300); z.Files < 1 || z.Big < 1 {
		t.Errorf("overflow: %+v", z)
	}
}

// A scenario that is asked for brings along what it needs, untimed.
func TestPlan(t *testing.T) {
	t.Parallel()
	jobs, _, err := plan(Options{Suite: "default", Rounds: 1, Only: []string{"pull-many", "version"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 2 || jobs[0].name != "start" || jobs[1].name != "many" {
		t.Fatalf("got %d jobs", len(jobs))
	}
	if j := jobs[1]; len(j.timed) != 1 || !j.timed["pull-many"] || !j.need["push-many"] || !j.need["add-many"] || j.need["status-many"] {
		t.Errorf("timed %v, needed %v", j.timed, j.need)
	}
}

func TestScenariosHaveDifferentNames(t *testing.T) {
	t.Parallel()
	names := Scenarios("")
	slices.Sort(names)
	if n := len(names); n != len(slices.Compact(names)) {
		t.Errorf("a name is there twice: %v", names)
	}
	for _, f := range families() {
		earlier := map[string]bool{}
		for _, s := range f.steps {
			for _, n := range s.needs {
				if !earlier[n] {
					t.Errorf("%s needs %s, which is no earlier step", s.name, n)
				}
			}
			earlier[s.name] = true
		}
	}
	for _, s := range suites {
		if len(Scenarios(s.name)) == 0 {
			t.Errorf("suite %s has no scenario", s.name)
		}
	}
}

// Ratios are those within a round, so that a slow round does not bend them.
func TestRatios(t *testing.T) {
	t.Parallel()
	row := &Row{}
	tools := []*Tool{{Name: "cairn"}, {Name: "dvc"}}
	for round, wall := range []float64{1, 10, 2} {
		row.addFloor("cp", round, Sample{Wall: wall / 2})
		row.addFloor("hash", round, Sample{Wall: wall})
		row.add("dvc", round, Sample{Wall: wall * 6, CPU: 1, Peak: 5})
		row.add("cairn", round, Sample{Wall: wall * 2})
	}
	row.finish(tools)
	if row.Floor().Name != "hash" {
		t.Errorf("the floor is %s", row.Floor().Name)
	}
	if row.Cells[0].Name != "cairn" {
		t.Error("cairn does not come first")
	}
	dvc := row.Cell("dvc")
	if dvc.Wall != 12 || *dvc.Cairn != 3 || *dvc.Floor != 6 || dvc.CPU != 1 || dvc.Peak != 5 {
		t.Errorf("got %+v, x cairn %v, x floor %v", dvc, *dvc.Cairn, *dvc.Floor)
	}
	if row.Cell("cairn").Cairn != nil {
		t.Error("cairn is compared with itself")
	}
}

func TestHeaderNamesWhatFiguresDependOn(t *testing.T) {
	t.Parallel()
	r := Result{
		Command: "cairn bench -n 3", Rounds: 3, Hash: "blake3",
		Machine: Machine{Cores: 2, OS: "linux", Arch: "amd64", Kernel: "6.1", FileSystem: "ext4"},
		Tools:   []Tool{{Name: "cairn", Kind: Cairn, Version: "0.1.0"}, {Name: "dvc", Kind: DVC, Version: "3.67.1"}},
	}
	want := "2 cores, linux/amd64 6.1, ext4, cairn 0.1.0 (blake3), dvc 3.67.1 (md5); seconds of wall time, medians of 3, in turn; `cairn bench -n 3`"
	if got := r.Header(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Kind{"dvc": DVC, "dvc-2.58": DVC, "dvcx": "", "git-lfs": LFS, "git-lfs-old": LFS, "": "", "cairn-old": Cairn} {
		if got := KindOf(name); got != want {
			t.Errorf("KindOf(%q) = %q, want %q", name, got, want)
		}
	}
}

// Git-annex keeps objects in folders that nobody may write to.
func TestRemoveReadOnlyFolders(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.MkdirAll(filepath.Join(dir, "b", "c"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"b/c", "b"} {
		if err := os.Chmod(filepath.Join(dir, filepath.FromSlash(d)), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := manyTree(20).writeAll(t.Context(), filepath.Join(dir, "many")); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report")
	for _, c := range [][]string{{floorWalk, filepath.Join(dir, "many")}, {floorHash, "blake3", filepath.Join(dir, "many")}, {floorHash, "md5", filepath.Join(dir, "many", "d000", "0000000.bin")}} {
		if err := MeasureFloor(report, c[0], c[1:]); err != nil {
			t.Errorf("%v: %v", c, err)
		}
		data, err := os.ReadFile(report)
		if err != nil || !strings.Contains(string(data), "wall_seconds") {
			t.Errorf("%v: got %s, %v", c, data, err)
		}
	}
	for _, c := range [][]string{{"walk"}, {"hash", "sha1", dir}, {"jump", dir}, {floorWalk, filepath.Join(dir, "none")}} {
		if err := MeasureFloor(report, c[0], c[1:]); err == nil {
			t.Errorf("%v: no error", c)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"512M", "10 GiB", "1.5T", "nan", "-1", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil && (n < 0 || n > maxBytes) {
			t.Errorf("ParseSize(%q) = %d", s, n)
		}
	})
}
