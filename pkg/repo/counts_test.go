package repo

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// The tests of this file count work: operations on the disk a file, objects
// read, requests a transfer. The numbers are those of the code, not of the
// machine. When one grows, a hot path has got slower for everybody; when one
// falls, lower its bound here, and the table in docs/benchmarks.md with it.

// counted is a repository whose operations are counted.
type counted struct {
	*world
	n     int // files of data
	count disktest.Counter
}

// countFolders is how many folders the files lie in, however many they are:
// what a folder costs is no part of what a file costs.
const countFolders = 8

// newCounted makes a repository with n files that are not added yet.
func newCounted(t *testing.T, n int, a object.Algorithm) *counted {
	t.Helper()
	c := &counted{world: &world{t, disktest.Scratch(t)}, n: n}
	if err := os.Mkdir(c.path("."), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), c.env(), InitOptions{NoSCM: true, Hash: a}); err != nil {
		t.Fatal(err)
	}
	c.configure("url = ../../store\n")
	for i := range n {
		c.write(c.file(i), contentIn(i, a))
	}
	return c
}

// contentIn makes content for the i-th file so that the objects of 256 files in
// a row lie in the 256 folders of a cache: no folder is there at one size and
// not at the other.
func contentIn(i int, a object.Algorithm) string {
	for try := 0; ; try++ {
		s := fmt.Sprintf("file %d, %d", i, try)
		if int(object.Sum(a, []byte(s)).First()) == i%256 {
			return s
		}
	}
}

// configure writes the options of the default remote.
func (c *counted) configure(remote string) {
	c.t.Helper()
	// Whether the file system can clone is not to change the numbers.
	c.write(".dvc/config.local", "[cache]\n    type = copy\n[core]\n    remote = store\n['remote \"store\"']\n"+remote)
}

func (c *counted) file(i int) string {
	return fmt.Sprintf("data/%d/file-%06d", i%countFolders, i)
}

// env is a world an hour ahead of the files' times: none is too young to be
// believed unchanged.
func (c *counted) env() Env {
	return Env{Dir: c.path("."), Home: c.dir, Getenv: func(string) string { return "" }, Program: "cairn",
		Now: func() time.Time { return time.Now().Add(time.Hour) }, Hook: c.count.Hook}
}

// do counts what something does in a repository that was opened for it.
func (c *counted) do(what func(ctx context.Context, r *Repo) error) disktest.Counted {
	c.t.Helper()
	c.count.Take()
	r, err := Open(c.env())
	if err != nil {
		c.t.Fatal(err)
	}
	if err := joinClose(what(c.t.Context(), r), r.Close()); err != nil {
		c.t.Fatal(err)
	}
	return c.count.Take()
}

func countAdd(ctx context.Context, r *Repo) error {
	_, err := r.Add(ctx, AddOptions{Targets: []string{"data"}})
	return err
}

func countStatus(ctx context.Context, r *Repo) error {
	_, err := r.Status(ctx, StatusOptions{})
	return err
}

func countCheckout(ctx context.Context, r *Repo) error {
	_, err := r.Checkout(ctx, CheckoutOptions{})
	return err
}

func countPush(ctx context.Context, r *Repo) error {
	_, err := r.Push(ctx, CloudOptions{})
	return err
}

func countFetch(ctx context.Context, r *Repo) error {
	_, err := r.Fetch(ctx, CloudOptions{})
	return err
}

// story does everything once, in the order in which it comes to a user, and
// counts each.
func (c *counted) story() map[string]disktest.Counted {
	got := map[string]disktest.Counted{}
	got["add, all new"] = c.do(countAdd)
	got["add, nothing changed"] = c.do(countAdd)
	got["status, nothing changed"] = c.do(countStatus)
	got["checkout, nothing changed"] = c.do(countCheckout)
	got["push to a folder"] = c.do(countPush)
	got["push, nothing to do"] = c.do(countPush)
	c.remove(".dvc/cache")
	got["fetch from a folder"] = c.do(countFetch)
	got["fetch, nothing to do"] = c.do(countFetch)
	c.remove("data")
	got["checkout, all new"] = c.do(countCheckout)
	return got
}

// perFile bounds, for one verb, the operations that each file may cost, and
// those of the whole command that are there however many files there are. The
// latter are mostly the 256 folders of a cache, each of which is opened.
type perFile struct {
	ops   map[string]float64
	fixed int
}

// bounds are today's numbers, the fixed ones with some room.
var bounds = map[string]perFile{
	"add, all new": {map[string]float64{
		"lstat": 1, "openfile": 1, "stat": 2, "read": 1, // of the file; stat before and after
		"create": 1, "write": 1, // of the object, which gets its name with its folder
	}, 2200},
	"add, nothing changed":      {map[string]float64{"lstat": 1}, 680},
	"status, nothing changed":   {map[string]float64{"lstat": 1}, 660},
	"checkout, nothing changed": {map[string]float64{"lstat": 1}, 120},
	"checkout, all new": {map[string]float64{
		"lstat": 1, "openfile": 1, "stat": 1, "read": 1, "create": 1, "write": 1,
	}, 750},
	"push to a folder":     {map[string]float64{"lstat": 1, "openfile": 1, "read": 1, "create": 1, "write": 1, "rename": 1}, 2500},
	"push, nothing to do":  {map[string]float64{"lstat": 1}, 350}, // the object there
	"fetch from a folder":  {map[string]float64{"lstat": 1, "openfile": 1, "read": 1, "create": 1, "write": 1, "rename": 1}, 3100},
	"fetch, nothing to do": {map[string]float64{"lstat": 1}, 350},
}

// slack is what a slope may be off: a folder of the 256 is opened once more
// when too many others are open.
const slack = 0.05

// TestOperationsPerFile bounds what each file costs on the disk: the growth of
// the number of operations between two sizes, over the files between them.
func TestOperationsPerFile(t *testing.T) { eachAlgorithm(t, operationsPerFile) }

// eachAlgorithm runs a test in a repository of each kind.
func eachAlgorithm(t *testing.T, test func(*testing.T, object.Algorithm)) {
	for _, a := range []object.Algorithm{object.BLAKE3, object.MD5} {
		t.Run(a.Name(), func(t *testing.T) {
			t.Parallel()
			test(t, a)
		})
	}
}

func operationsPerFile(t *testing.T, a object.Algorithm) {
	// From 2,048 on, a cache is listed.
	small, large := 2304, 2560
	bounds := maps.Clone(bounds)
	if a == object.MD5 {
		small, large = 512, 768
		// Each object of few is looked at.
		for _, verb := range []string{"status, nothing changed", "checkout, all new", "add, nothing changed"} {
			most := bounds[verb]
			most.ops = maps.Clone(most.ops)
			most.ops["lstat"] = 2
			bounds[verb] = most
		}
		// Manifests without sizes: the object here is looked at, too.
		bounds["push, nothing to do"] = perFile{map[string]float64{"lstat": 2}, 650}
	}
	one, two := newCounted(t, small, a).story(), newCounted(t, large, a).story()
	if len(one) != len(bounds) {
		t.Errorf("%d verbs are bounded, %d measured", len(bounds), len(one))
	}
	for verb, most := range bounds {
		fixed := 0
		var shown []string
		for _, op := range opsOf(one[verb], two[verb]) {
			a, b := one[verb].Ops[op], two[verb].Ops[op]
			slope := float64(b-a) / float64(large-small)
			if slope > most.ops[op]+slack {
				t.Errorf("%s: %.2f %s a file, at most %.0f are allowed", verb, slope, op, most.ops[op])
			}
			if slope < most.ops[op]-0.5 {
				t.Logf("%s: only %.2f %s a file: the bound of %.0f can be lowered", verb, slope, op, most.ops[op])
			}
			fixed += a - int(math.Round(slope*float64(small)))
			if slope > slack {
				shown = append(shown, fmt.Sprintf("%.2f %s", slope, op))
			}
		}
		for op := range most.ops {
			if one[verb].Ops[op] == 0 {
				t.Errorf("%s: no %s at all: it is not counted, or its bound is to go", verb, op)
			}
		}
		if fixed > most.fixed {
			t.Errorf("%s: %d operations however many files there are, at most %d are allowed", verb, fixed, most.fixed)
		}
		t.Logf("%s: %s, and %d", verb, strings.Join(shown, ", "), fixed)
	}
}

func opsOf(all ...disktest.Counted) []string {
	ops := map[string]bool{}
	for _, c := range all {
		for op := range c.Ops {
			ops[op] = true
		}
	}
	return slices.Sorted(maps.Keys(ops))
}

// opened counts the files opened for reading below a folder, apart from the
// question whether there are ignore rules.
func (c *counted) opened(got disktest.Counted, folder string) int {
	n := 0
	for _, p := range got.Opened {
		if rel, err := filepath.Rel(filepath.Join(c.dir, folder), p); err == nil && filepath.IsLocal(rel) && path.Base(p) != ".dvcignore" {
			n++
		}
	}
	return n
}

const (
	dataFiles    = "w/data"
	cacheObjects = "w/.dvc/cache/files"
	storeObjects = "store/files"
)

// TestFilesRead: what has not changed is not read again, neither in the
// workspace nor in the cache, and of what has changed nothing else is.
func TestFilesRead(t *testing.T) { eachAlgorithm(t, filesRead) }

func filesRead(t *testing.T, a object.Algorithm) {
	const n, changed = 300, 3
	c := newCounted(t, n, a)
	// reads counts the files of the workspace, of the cache and of the remote
	// that something opens. A manifest is an object, too.
	reads := func(what string, do func(context.Context, *Repo) error, data, cache, store int) {
		t.Helper()
		got := c.do(do)
		for _, x := range []struct {
			where string
			most  int
		}{{dataFiles, data}, {cacheObjects, cache}, {storeObjects, store}} {
			if n := c.opened(got, x.where); n > x.most {
				t.Errorf("%s: %d files of %s read, at most %d are allowed: %v", what, n, x.where, x.most, got.Opened)
			}
		}
	}
	index := func() os.FileInfo {
		t.Helper()
		st, err := os.Stat(c.path(".dvc/tmp/cairn-index"))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	reads("add, all new", countAdd, n, 0, 0)
	old := index()
	reads("status, nothing changed", countStatus, 0, 1, 0)
	reads("add, nothing changed", countAdd, 0, 1, 0)
	reads("checkout, nothing changed", countCheckout, 0, 0, 0)
	reads("push", countPush, 0, n+2, 0)
	reads("push, nothing to do", countPush, 0, 1, 0)
	reads("fetch, nothing to do", countFetch, 0, 1, 0)
	if !os.SameFile(old, index()) {
		t.Error("the index was written anew, and nothing had changed")
	}

	pointer, err := os.ReadFile(c.path("data.dvc"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range changed {
		c.write(c.file(i*50), "changed")
	}
	reads("status, some changed", countStatus, changed, 1, 0)
	reads("status again", countStatus, 0, 1, 0)
	reads("add, some changed", countAdd, changed, 2, 0)
	const recordBytes = 110 // of a file in the index, with its name
	if st := index(); st.Size() > n*recordBytes {
		t.Errorf("the index has %d bytes for %d files", st.Size(), n)
	}
	reads("push, some changed", countPush, 0, changed+2, 1)

	// Back to the first version: as many objects are read as files differ, and
	// those of the bytes that go, which are proven to be there first.
	c.write("data.dvc", string(pointer))
	reads("checkout, some changed", countCheckout, 0, 2*changed+1, 0)
	reads("status after it", countStatus, 0, 1, 0)
	c.remove(".dvc/cache")
	reads("fetch", countFetch, 0, 4, n+2)
}

// TestStageFilesRead: who names a target has only its stage file read.
func TestStageFilesRead(t *testing.T) {
	t.Parallel()
	const n = 400
	c := newCounted(t, 1, object.BLAKE3)
	var targets []string
	for i := range n {
		f := fmt.Sprintf("many/%d/%d", i%20, i)
		c.write(f, strconv.Itoa(i))
		targets = append(targets, f)
	}
	c.do(func(ctx context.Context, r *Repo) error {
		_, err := r.Add(ctx, AddOptions{Targets: targets})
		return err
	})
	c.do(countPush)
	one := targets[n/2] + ".dvc"
	stageFiles := func(got disktest.Counted) int {
		return len(slices.DeleteFunc(got.Opened, func(p string) bool { return !strings.HasSuffix(p, ".dvc") }))
	}
	most := func(what string, most int, do func(context.Context, *Repo) error) {
		t.Helper()
		if n := stageFiles(c.do(do)); n > most {
			t.Errorf("%s: %d stage files read, at most %d are allowed", what, n, most)
		}
	}
	most("status", n, countStatus) // once each
	most("status of one", 1, func(ctx context.Context, r *Repo) error {
		_, err := r.Status(ctx, StatusOptions{Targets: []string{one}})
		return err
	})
	most("pull of one", 1, func(ctx context.Context, r *Repo) error {
		_, err := r.Pull(ctx, PullOptions{CloudOptions: CloudOptions{Targets: []string{one}}})
		return err
	})
	most("push of one", 1, func(ctx context.Context, r *Repo) error {
		_, err := r.Push(ctx, CloudOptions{Targets: []string{one}})
		return err
	})
}

// TestRequestsPerObject bounds what a transfer asks of a server.
func TestRequestsPerObject(t *testing.T) { eachAlgorithm(t, requestsPerObject) }

func requestsPerObject(t *testing.T, a object.Algorithm) {
	story := func(n int) map[string]int {
		m := s3server.NewMemory(s3server.MemoryOptions{})
		defer m.Close()
		c := newCounted(t, n, a)
		remote := "url = s3://" + m.Bucket + "/x\n"
		for k, v := range m.Options() {
			remote += k + " = " + v + "\n"
		}
		c.configure(remote)
		got := map[string]int{}
		do := func(what string, f func(context.Context, *Repo) error) {
			m.Requests()
			c.do(f)
			got[what] = len(m.Requests())
		}
		status := func(ctx context.Context, r *Repo) error {
			_, err := r.StatusCloud(ctx, CloudOptions{})
			return err
		}
		c.do(countAdd)
		do("status -c, all new", status)
		do("push", countPush)
		do("push, nothing to do", countPush)
		do("status -c", status)
		c.write(c.file(7), "changed")
		c.do(countAdd)
		do("push of one more", countPush)
		c.remove(".dvc/cache")
		do("fetch", countFetch)
		do("fetch, nothing to do", countFetch)
		return got
	}
	const small, large = 100, 300
	one, two := story(small), story(large)
	for what, most := range map[string]struct{ each, fixed int }{
		"status -c, all new":   {0, 3},
		"push":                 {1, 5},
		"push, nothing to do":  {0, 3},
		"status -c":            {0, 3},
		"push of one more":     {0, 7},
		"fetch":                {1, 4},
		"fetch, nothing to do": {0, 0},
	} {
		t.Logf("%s: %d for %d files, %d for %d", what, one[what], small, two[what], large)
		for n, got := range map[int]int{small: one[what], large: two[what]} {
			if got > most.each*n+most.fixed {
				t.Errorf("%s: %d requests for %d files, at most %d are allowed", what, got, n, most.each*n+most.fixed)
			}
		}
	}
}
