//go:build linux

package interop

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/object"
)

// fileCalls are the system calls that are counted: all that names, opens,
// reads, writes or describes files. Those of Go's scheduler and memory depend
// on the machine. The question mark lets strace pass over what a kernel of
// another kind does not have.
const fileCalls = "?open,openat,?openat2,?creat,close,?stat,?lstat,fstat,?newfstatat,?fstatat64,?statx,?access,?faccessat,?faccessat2," +
	"?readlink,readlinkat,?getdents,getdents64,lseek,read,pread64,?preadv,?readv,write,pwrite64,?pwritev,?writev," +
	"copy_file_range,sendfile,fallocate,ftruncate,ioctl,flock,fcntl," +
	"?link,linkat,?symlink,symlinkat,?rename,?renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir," +
	"?chmod,fchmod,?fchmodat,?fchmodat2,?chown,fchown,?fchownat,?utimensat,fsync,fdatasync,sync_file_range,syncfs,chdir,fchdir,getcwd,?mmap2"

// straced is a repository of n files whose system calls are counted.
type straced struct {
	*sandbox
	strace string
}

// calls runs cairn and returns how often it made each of fileCalls.
func (s *straced) calls(args ...string) map[string]int {
	s.t.Helper()
	out := filepath.Join(s.root, ".tmp", "calls")
	cmd := exec.Command(s.strace, append([]string{"-f", "--seccomp-bpf", "-qq", "-c", "-U", "calls,name", "-e", "trace=" + fileCalls, "-o", out, s.tool.path}, args...)...)
	cmd.Dir, cmd.Env = filepath.Join(s.root, "w"), s.env
	if text, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("strace cairn %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		s.t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 2 || f[1] == "total" {
			continue
		}
		if n, err := strconv.Atoi(f[0]); err == nil {
			calls[f[1]] = n
		}
	}
	if calls["openat"] == 0 {
		s.t.Fatalf("strace counted nothing: %s", b)
	}
	return calls
}

// settle waits until the files' times are old enough for cairn to believe that
// they tell of every change; see docs/formats.md.
func (s *straced) settle() {
	s.t.Helper()
	probe := filepath.Join(s.root, ".tmp", "probe")
	var first time.Time
	for {
		if err := os.WriteFile(probe, nil, 0o644); err != nil {
			s.t.Fatal(err)
		}
		st, err := os.Stat(probe)
		if err != nil {
			s.t.Fatal(err)
		}
		if first.IsZero() {
			first = st.ModTime()
		}
		if st.ModTime().Sub(first) > 50*time.Millisecond {
			return
		}
	}
}

// contentIn makes content for the i-th file so that the objects of 256 files in
// a row lie in the 256 folders of a cache: no folder is there at one size and
// not at the other.
func contentIn(i int) []byte {
	for try := 0; ; try++ {
		b := fmt.Appendf(nil, "file %d, %d", i, try)
		if int(object.Sum(object.BLAKE3, b).First()) == i%256 {
			return b
		}
	}
}

// straceStory counts the calls of each verb, in the order in which a user comes
// to them.
func straceStory(t *testing.T, strace string, n int) map[string]map[string]int {
	t.Helper()
	s := &straced{newSandbox(t, cairnTool, "cairn"), strace}
	work := filepath.Join(s.root, "w")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(s.tool.path, args...)
		cmd.Dir, cmd.Env = work, s.env
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cairn %s: %v\n%s", strings.Join(args, " "), err, text)
		}
	}
	run("init", "--no-scm", "-q")
	// Whether the file system can clone is not to change the numbers.
	run("config", "cache.type", "copy")
	run("remote", "add", "-d", "-q", "store", filepath.Join(s.root, "store"))
	for i := range n {
		dir := filepath.Join(work, "data", strconv.Itoa(i%8))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%06d", i)), contentIn(i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.settle()
	got := map[string]map[string]int{}
	got["add, all new"] = s.calls("add", "data")
	got["add, nothing changed"] = s.calls("add", "data")
	got["status, nothing changed"] = s.calls("status")
	got["checkout, nothing changed"] = s.calls("checkout")
	got["push to a folder"] = s.calls("push")
	got["push, nothing to do"] = s.calls("push")
	removeAll(t, filepath.Join(work, "data"))
	got["checkout, all new"] = s.calls("checkout")
	removeAll(t, filepath.Join(work, ".dvc", "cache"))
	removeAll(t, filepath.Join(work, "data"))
	got["pull from a folder"] = s.calls("pull")
	return got
}

// TestSystemCallsPerFile bounds the true number of system calls that each file
// costs, counted by strace at two sizes. pkg/repo's TestOperationsPerFile says
// the same without strace, apart from what pkg/disk does not see.
func TestSystemCallsPerFile(t *testing.T) {
	strace := os.Getenv("CAIRN_STRACE")
	if strace == "" {
		t.Skip("CAIRN_STRACE does not name strace")
	}
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() && os.Getenv("TMPDIR") == "" {
		t.Setenv("TMPDIR", "/dev/shm") // the flushes of others are not waited for
	}
	// Today's numbers. Of this few objects each is looked at; from 2,048 on the
	// cache is listed, and status, checkout and pull cost one less.
	bounds := map[string]int{
		"add, all new":              9,  // lstat, open, stat, read, stat, close; create, write, close
		"add, nothing changed":      2,  // lstat of the file and of the object
		"status, nothing changed":   2,  // the same
		"checkout, all new":         9,  // lstat of the object, twice, open, read, close; create, write, stat, close
		"checkout, nothing changed": 1,  // lstat
		"push to a folder":          8,  // lstat, open, read, close; create, write, close, rename
		"push, nothing to do":       1,  // lstat of the object there
		"pull from a folder":        17, // a push back and a checkout
	}
	const small, large = 512, 768
	const slack = 0.2
	one, two := straceStory(t, strace, small), straceStory(t, strace, large)
	for _, verb := range slices.Sorted(maps.Keys(one)) {
		names := map[string]bool{}
		for name := range one[verb] {
			names[name] = true
		}
		for name := range two[verb] {
			names[name] = true
		}
		sum, fixed := 0.0, 0
		var shown []string
		for _, name := range slices.Sorted(maps.Keys(names)) {
			a, b := one[verb][name], two[verb][name]
			slope := float64(b-a) / (large - small)
			sum += slope
			fixed += a - int(slope*small)
			if slope > 0.03 || slope < -0.03 {
				shown = append(shown, fmt.Sprintf("%s %.2f", name, slope))
			}
		}
		most, bounded := bounds[verb]
		t.Logf("%s: %.2f system calls a file (%s), and %d", verb, sum, strings.Join(shown, ", "), fixed)
		if !bounded || sum > float64(most)+slack {
			t.Errorf("%s: %.2f system calls a file, at most %d are allowed: %s", verb, sum, most, strings.Join(shown, ", "))
		}
	}
}
