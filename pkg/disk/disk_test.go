package disk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/disk/disktest"
	"github.com/cairndata/cairn/pkg/errs"
)

func open(t testing.TB, path string) *disk.Dir {
	t.Helper()
	d, err := disk.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func names(t testing.TB, path string) string {
	t.Helper()
	list, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestCheckRel(t *testing.T) {
	t.Parallel()
	good := []string{
		"a", "a/b/c", ".gitignore", ".github/x", "a.git", "git", ".dvcignore", "x.dvc", "data/model.dvc",
		"...", "a b", "é/ü.txt", "日本/語", "😀", "a\nb", "\tx", "-rf", "~", "a~1", "git~2", "..a", "a..", ".gitx/y", "con.txt.x",
		strings.Repeat("d/", 300) + "f",
	}
	if runtime.GOOS != "windows" {
		good = append(good, `a\b`, "a:b", "CON", "a ", "a.", "nul/x", "*", "?")
	}
	for _, p := range good {
		if err := disk.CheckRel(p); err != nil && !(runtime.GOOS == "windows" && strings.ContainsAny(p, "\n\t") || p == "..." || p == "a..") {
			t.Errorf("%q refused: %v", p, err)
		}
	}
	for name, p := range map[string]string{
		"empty": "", "absolute": "/a", "unc": `\\host\share`, "backslash root": `\a`, "dot": ".", "dots": "..", "up": "../a",
		"inner up": "a/../b", "last up": "a/..", "inner dot": "a/./b", "double slash": "a//b", "trailing slash": "a/",
		"nul": "a\x00b", "nul component": "a/\x00", "invalid utf-8": "a\xffb", "cut rune": "a\xe2\x82", "surrogate": "a\xed\xa0\x80",
		"replacement": "a\ufffdb",
		"git":         ".git", "git inside": "a/.git/config", "git case": ".GiT/config", "git dot": ".git./x", "git blank": ".git /x",
		"git dots and blanks": ".git. . /x", "git stream": ".git::$INDEX_ALLOCATION/x", "git short": "GIT~1/x", "git short dot": "git~1./x",
		"git ignorable": ".g\u200cit/x", "git joiner": ".git\u200d/x", "git bom": "\ufeff.git/x", "git mark": ".gi\u202et/x",
		"git behind backslash": `a\.git\config`, "git before backslash": `.git\config`, "up by backslash": `a\..\..\b`,
		"dvc": ".dvc/config", "dvc case": ".DVC", "dvc blank": "a/.dvc ", "dvc short": "DVC~1/x", "dvc stream": ".dvc:x",
		"kelvin-like dotted I": ".g\u0130t", // lower-cased it is an i
	} {
		if err := disk.CheckRel(p); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %q accepted: %v", name, p, err)
		}
	}
}

func FuzzCheckRel(f *testing.F) {
	for _, s := range []string{"a/b", "../x", ".git/x", "a\\..\\b", ".g\u200cit", "git~1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if disk.CheckRel(p) != nil {
			return
		}
		if !filepath.IsLocal(filepath.FromSlash(p)) || strings.Contains("/"+strings.ToLower(p)+"/", "/.git/") || strings.ContainsRune(p, 0) {
			t.Errorf("%q accepted", p)
		}
	})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a b": "a b", "é": "é", "a\nb": `"a\nb"`, "\x1b[31m": `"\x1b[31m"`, "a\u202eb": `"a\u202eb"`, "a\xff": `"a\xff"`, "\u2028": `"\u2028"`} {
		if got := disk.Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestWriteFileIsAtomic(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"", "old text"} {
		t.Run("over "+strconv.Quote(old), func(t *testing.T) {
			disktest.FailEach(t, nil, func(t *testing.T, f *disktest.Faults) error {
				dir := t.TempDir()
				if old != "" {
					if err := os.WriteFile(filepath.Join(dir, "f"), []byte(old), 0o640); err != nil {
						t.Fatal(err)
					}
				}
				d := open(t, dir)
				err := d.WithHook(f.Hook).WriteFile("f", []byte("new text"), 0o666)
				got, rerr := os.ReadFile(filepath.Join(dir, "f"))
				switch {
				case rerr == nil && (string(got) == old && err != nil || string(got) == "new text"):
				case errors.Is(rerr, fs.ErrNotExist) && old == "" && err != nil:
				default:
					t.Errorf("holds %q (%v) after %v", got, rerr, err)
				}
				if !f.Dead {
					if left := names(t, dir); strings.Contains(left, ".cairn") {
						t.Errorf("left behind: %s", left)
					}
				}
				if err := d.WriteFile("f", []byte("new text"), 0o666); err != nil {
					t.Errorf("retry: %v", err)
				}
				if old != "" {
					if st, _ := d.Lstat("f"); st.Mode.Perm() != 0o640 && runtime.GOOS != "windows" {
						t.Errorf("mode became %v", st.Mode)
					}
				}
				return err
			})
		})
	}
}

func TestWriteFileKeepsModeWhateverTheUmask(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	for _, mode := range []fs.FileMode{0o666, 0o600, 0o444, 0o755} {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "f"), nil, 0o600)
		os.Chmod(filepath.Join(dir, "f"), mode)
		d := open(t, dir)
		if err := d.WriteFile("f", []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		if st, _ := d.Lstat("f"); st.Mode.Perm() != mode {
			t.Errorf("%v became %v", mode, st.Mode.Perm())
		}
	}
}

func TestWriteFileRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(outside, []byte("s"), 0o600)
	os.Symlink(outside, filepath.Join(dir, "link"))
	os.Symlink(filepath.Dir(outside), filepath.Join(dir, "dirlink"))
	os.Mkdir(filepath.Join(dir, "folder"), 0o777)
	d := open(t, dir)
	for _, name := range []string{"link", "folder", "dirlink/x", "dirlink/secret", "../up", "folder/../../up", "/etc/x", "nosuch/x"} {
		if err := d.WriteFile(name, []byte("evil"), 0o666); err == nil {
			t.Errorf("wrote %q", name)
		}
	}
	if b, _ := os.ReadFile(outside); string(b) != "s" || names(t, filepath.Dir(outside)) != "secret" {
		t.Error("wrote outside")
	}
	if b, err := d.ReadFile("dirlink/secret"); err == nil {
		t.Errorf("read %q through a link", b)
	}
	if _, err := d.ReadFile("link"); !errors.Is(err, disk.ErrLink) {
		t.Errorf("read a link: %v", err)
	}
	if _, err := d.LstatPath("../secret"); err == nil {
		t.Error("looked outside")
	}
	if err := d.Chmod("link", 0o777); err == nil && runtime.GOOS == "linux" {
		t.Error("changed the mode of a link")
	}
	if st, _ := os.Stat(outside); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error("changed the mode of a file outside")
	}
}

func TestRemoveAllFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(outside, "keep"), []byte("k"), 0o666)
	deep := filepath.Join(dir, "a", strings.Repeat("d/", 60))
	os.MkdirAll(deep, 0o777)
	os.Symlink(outside, filepath.Join(dir, "a", "link"))
	os.Symlink(filepath.Join(outside, "keep"), filepath.Join(deep, "link"))
	os.Symlink(outside, filepath.Join(dir, "toplink"))
	d := open(t, dir)
	for _, name := range []string{"a", "toplink", "nothing"} {
		if err := d.RemoveAll(name); err != nil {
			t.Error(err)
		}
	}
	if names(t, dir) != "" || names(t, outside) != "keep" {
		t.Errorf("inside %q, outside %q", names(t, dir), names(t, outside))
	}
}

// A parent is swapped for a link out while files are written and removed.
func TestParentSwappedForLink(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(outside, "f"), []byte("keep"), 0o666)
	os.Mkdir(filepath.Join(dir, "real"), 0o777)
	if err := os.Symlink(outside, filepath.Join(dir, "spare")); err != nil {
		t.Skip(err)
	}
	d := open(t, dir)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		a, b, c := filepath.Join(dir, "real"), filepath.Join(dir, "spare"), filepath.Join(dir, "third")
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			os.Rename(a, c)
			os.Rename(b, a)
			os.Rename(c, b)
		}
	})
	for range 400 {
		_ = d.WriteFile("real/f", []byte("evil"), 0o666)
		if p, name, err := d.Parent("real/f"); err == nil {
			_ = p.Remove(name)
			p.Close()
		}
		if p, err := d.MakePath("real/sub", 0o777); err == nil {
			p.Close()
		}
		_ = d.RemoveAll("real/sub")
	}
	close(done)
	wg.Wait()
	if b, err := os.ReadFile(filepath.Join(outside, "f")); string(b) != "keep" || names(t, outside) != "f" {
		t.Errorf("outside changed: %q %v, names %s", b, err, names(t, outside))
	}
}

func TestReadDirFromManyGoroutines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const n = 3000
	for i := range n {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("a rather long name of a file %d", i)), nil, 0o666)
	}
	d := open(t, dir)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if list, err := d.ReadDir(); err != nil || len(list) != n {
					t.Errorf("%d names, %v", len(list), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRenameNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o666)
	os.WriteFile(filepath.Join(dir, "b"), []byte("b"), 0o666)
	if err := d.RenameNew("a", d, "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if err := d.RenameNew("a", d, "c"); err != nil || names(t, dir) != "b c" {
		t.Errorf("to a new name: %v, %s", err, names(t, dir))
	}
}

func TestStagingCleanup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	live := disk.NewStaging(d)
	sub, err := live.Shard(3)
	if err != nil {
		t.Fatal(err)
	}
	f, err := sub.Create(live.Next(), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	own := names(t, dir)
	parts := strings.Split(own, "-") // .cairn, host, pid, suffix
	dead := strconv.Itoa(deadProcess(t))
	leftover := strings.Join([]string{parts[0], parts[1], dead, parts[3]}, "-")
	held := strings.Join([]string{parts[0], parts[1], dead, "0123456789ab"}, "-")
	otherHost := strings.Join([]string{parts[0], "elsewhere", dead, parts[3]}, "-")
	theirs := []string{".cairn-mine", ".cairn-a-b-c", ".cairn-" + parts[1] + "-" + dead + "-notours", "data"}
	for _, n := range append([]string{leftover, held, otherHost}, theirs...) {
		os.MkdirAll(filepath.Join(dir, n, "0"), 0o777)
		os.WriteFile(filepath.Join(dir, n, "0", "x"), []byte("x"), 0o444)
	}
	os.WriteFile(filepath.Join(dir, leftover+"f"), nil, 0o666) // not quite such a name
	file := strings.Join([]string{parts[0], parts[1], dead, "ba9876543210"}, "-")
	os.WriteFile(filepath.Join(dir, file), nil, 0o666)
	release := holdFolder(t, filepath.Join(dir, held))
	disk.CleanStaging(d)
	got := names(t, dir)
	for _, n := range append([]string{own, otherHost, held, leftover + "f"}, theirs...) {
		if !strings.Contains(" "+got+" ", " "+n+" ") {
			t.Errorf("%s was removed", n)
		}
	}
	for _, n := range []string{leftover, file} {
		if strings.Contains(" "+got+" ", " "+n+" ") {
			t.Errorf("%s was left", n)
		}
	}
	release()
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	disk.CleanStaging(d)
	if got := names(t, dir); strings.Contains(got, own) || strings.Contains(got, held) {
		t.Errorf("left: %s", got)
	}
	if !disk.IsTempName(own) || !disk.IsTempName(otherHost) || disk.IsTempName(".cairn-mine") || disk.IsTempName("data") {
		t.Error("IsTempName")
	}
}

// deadProcess returns the number of a process that has ended.
func deadProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestFoldsCase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	s := disk.NewStaging(d)
	defer s.Close()
	os.WriteFile(filepath.Join(dir, "Case"), nil, 0o666)
	_, err := os.Lstat(filepath.Join(dir, "cASE"))
	if got := s.FoldsCase(); got != (err == nil) {
		t.Errorf("FoldsCase is %v, but lstat says %v", got, err)
	}
}

func acquire(t *testing.T, path string, o disk.LockOptions) (*disk.Lock, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return disk.Acquire(ctx, path, o)
}

func TestLockWithinOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := acquire(t, path, disk.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != fmt.Sprintf(" %d\n", os.Getpid()) {
		t.Errorf("the lock's text is %q", b)
	}
	if _, err := acquire(t, path, disk.LockOptions{}); !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second lock: %v", err)
	}
	told := make(chan string, 2)
	got := make(chan error, 1)
	go func() {
		second, err := acquire(t, path, disk.LockOptions{Timeout: -1, Waiting: func(h string) { told <- h }})
		second.Release()
		got <- err
	}()
	if h := <-told; !strings.Contains(h, strconv.Itoa(os.Getpid())) {
		t.Errorf("waiting for %q", h)
	}
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if err := <-got; err != nil {
		t.Errorf("after the release: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Errorf("second release: %v", err)
	}
	if len(told) != 0 {
		t.Error("Waiting was called twice")
	}
}

func TestLockWaitIsCancelled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := acquire(t, path, disk.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	ctx, cancel := context.WithCancel(context.Background())
	_, err = disk.Acquire(ctx, path, disk.LockOptions{Timeout: -1, Waiting: func(string) { cancel() }})
	if !errs.Is(err, errs.Cancelled) {
		t.Errorf("got %v", err)
	}
}

func TestLockFileThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	os.WriteFile(victim, []byte("precious"), 0o666)
	if err := os.Symlink(victim, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	os.Symlink(filepath.Join(dir, "new"), filepath.Join(dir, "dangling"))
	os.Mkdir(filepath.Join(dir, "folder"), 0o777)
	for _, n := range []string{"link", "dangling", "folder"} {
		if l, err := acquire(t, filepath.Join(dir, n), disk.LockOptions{}); err == nil {
			l.Release()
			t.Errorf("locked a %s", n)
		}
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the link's target became %q", b)
	}
	if _, err := os.Lstat(filepath.Join(dir, "new")); err == nil {
		t.Error("a file was made through a link")
	}
}

func TestLockFileDeletedWhileWaiting(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("open files cannot be deleted")
	}
	path := filepath.Join(t.TempDir(), "lock")
	first, err := acquire(t, path, disk.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *disk.Lock, 1)
	waiting := make(chan struct{})
	go func() {
		l, err := acquire(t, path, disk.LockOptions{Timeout: -1, Waiting: func(string) { close(waiting) }})
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	<-waiting
	os.Remove(path)
	first.Release()
	second := <-got
	defer second.Release()
	if _, err := acquire(t, path, disk.LockOptions{}); !errs.Is(err, errs.Locked) {
		t.Errorf("the lock is held, but a third got: %v", err)
	}
}

// holderEnv makes the test binary hold a lock until it is killed.
const holderEnv = "CAIRN_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(holderEnv); path != "" {
		l, err := disk.Acquire(context.Background(), path, disk.LockOptions{})
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println("held")
		bufio.NewReader(os.Stdin).ReadString('\n')
		l.Release()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLockOfKilledProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderEnv+"="+path)
	in, _ := cmd.StdinPipe()
	defer in.Close()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("holder says %q", line)
	}
	begin := time.Now()
	_, err := acquire(t, path, disk.LockOptions{Timeout: 50 * time.Millisecond})
	if !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("while held: %v", err)
	}
	if waited := time.Since(begin); waited < 50*time.Millisecond {
		t.Errorf("gave up after %v", waited)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l, err := acquire(t, path, disk.LockOptions{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	l.Release()
}

// DVC takes its lock with zc.lockfile; each must see the other's.
func TestLockAgainstDVC(t *testing.T) {
	t.Parallel()
	dvc := os.Getenv("CAIRN_DVC")
	if dvc == "" {
		t.Skip("CAIRN_DVC does not name a dvc")
	}
	python := filepath.Join(filepath.Dir(dvc), "python")
	path := filepath.Join(t.TempDir(), "lock")
	const script = `
import sys, zc.lockfile
try:
    l = zc.lockfile.LockFile(sys.argv[1])
except zc.lockfile.LockError:
    print("locked", flush=True); sys.exit()
print("held", flush=True)
sys.stdin.readline()
l.close()`
	l, err := acquire(t, path, disk.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", script, path).CombinedOutput()
	if string(out) != "locked\n" {
		t.Errorf("DVC while we hold it: %q %v", out, err)
	}
	l.Release()
	cmd := exec.Command(python, "-c", script, path)
	in, _ := cmd.StdinPipe()
	pipe, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(pipe).ReadString('\n'); line != "held\n" {
		t.Fatalf("DVC says %q", line)
	}
	if _, err := acquire(t, path, disk.LockOptions{}); !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("while DVC holds it: %v", err)
	}
	in.Close()
	cmd.Wait()
	if l, err = acquire(t, path, disk.LockOptions{Timeout: time.Second}); err != nil {
		t.Errorf("after DVC: %v", err)
	}
	l.Release()
}
