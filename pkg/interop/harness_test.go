//go:build unix

package interop

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// update records DVC's side of every scenario instead of comparing with it.
var update = flag.Bool("update", false, "record DVC's side of the scenarios anew (needs CAIRN_DVC)")

// stepLimit bounds one command. A tool that waits for a lock or a prompt must not hang the suite.
const stepLimit = 5 * time.Minute

var (
	dvcTool   *tool // the real DVC, nil without CAIRN_DVC
	cairnTool *tool // the binary under test
)

// tool is a program under test, whatever name it is called by.
type tool struct {
	path     string
	hashFlag bool // init needs --hash md5 to make a repository of DVC's kind
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	syscall.Umask(0o022) // mode bits are part of what is compared
	if p := os.Getenv("CAIRN_DVC"); p != "" {
		abs, err := filepath.Abs(p)
		if err != nil {
			return 1, err
		}
		if _, err := os.Stat(abs); err != nil {
			return 1, fmt.Errorf("CAIRN_DVC: %w", err)
		}
		dvcTool = &tool{path: abs}
	}
	defer dvcServers.close()
	if *update {
		if dvcTool == nil {
			return 1, errors.New("-update needs CAIRN_DVC")
		}
		return m.Run(), nil
	}
	path, cleanup, err := buildCairn()
	if err != nil {
		return 1, err
	}
	defer cleanup()
	cairnTool = &tool{path: path}
	help, _ := exec.Command(path, "init", "--help").CombinedOutput()
	cairnTool.hashFlag = bytes.Contains(help, []byte("--hash"))
	return m.Run(), nil
}

// buildCairn returns CAIRN_BIN or a fresh build.
func buildCairn() (path string, cleanup func(), err error) {
	if p := os.Getenv("CAIRN_BIN"); p != "" {
		abs, err := filepath.Abs(p)
		return abs, func() {}, err
	}
	dir, err := os.MkdirTemp("", "cairn-bin-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "cairn")
	cmd := exec.Command("go", "build", "-o", path, "github.com/cairndata/cairn/cmd/cairn")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("build cairn: %w\n%s", err, out)
	}
	return path, func() { os.RemoveAll(dir) }, nil
}

// sandbox is the world of one player: its workspace, home, remotes and the tool by its name on PATH.
type sandbox struct {
	t    testing.TB
	root string
	tool *tool
	name string // what the tool is called by: dvc or cairn
	env  []string
	keep snapshot // the state before the next step
}

// newSandbox makes an empty world in which t is called name.
func newSandbox(tb testing.TB, t *tool, name string) *sandbox {
	tb.Helper()
	root, err := os.MkdirTemp("", "interop-")
	if err != nil {
		tb.Fatal(err)
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { removeAll(tb, root) })
	s := &sandbox{t: tb, root: root, tool: t, name: name}
	for _, d := range []string{"w", ".home", ".bin", ".site", ".tmp"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	s.install(t, name)
	gitconfig := "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n" +
		"[core]\n\tquotePath = false\n[advice]\n\tdetachedHead = false\n[protocol \"file\"]\n\tallow = always\n[gc]\n\tauto = 0\n"
	if err := os.WriteFile(filepath.Join(root, ".home", ".gitconfig"), []byte(gitconfig), 0o644); err != nil {
		tb.Fatal(err)
	}
	home := filepath.Join(root, ".home")
	s.env = []string{
		"PATH=" + filepath.Join(root, ".bin") + ":" + os.Getenv("PATH"),
		"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/.config", "XDG_CACHE_HOME=" + home + "/.cache",
		"TMPDIR=" + filepath.Join(root, ".tmp"), "LC_ALL=C.UTF-8", "TZ=UTC", "SHELL=/bin/sh", "CI=1",
		"DVC_NO_ANALYTICS=1", "DVC_SITE_CACHE_DIR=" + filepath.Join(root, ".site"),
		"DVC_GLOBAL_CONFIG_DIR=" + filepath.Join(home, "global"), "DVC_SYSTEM_CONFIG_DIR=" + filepath.Join(home, "system"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(root),
		"GIT_AUTHOR_DATE=2024-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2024-01-02T03:04:05Z",
	}
	return s
}

// install puts t on the sandbox's PATH. Hooks call dvc whatever the tool is called by, so that name is always there.
func (s *sandbox) install(t *tool, name string) {
	for _, n := range []string{"dvc", name} {
		link := filepath.Join(s.root, ".bin", n)
		os.Remove(link)
		if err := os.Symlink(t.path, link); err != nil {
			s.t.Fatal(err)
		}
	}
	s.tool, s.name = t, name
}

// path resolves a scenario's path: relative to the workspace.
func (s *sandbox) path(p string) string { return filepath.Join(s.root, "w", p) }

// output is what a command did.
type output struct {
	Exit   int
	Stdout string
	Stderr string
}

// exec runs a command in dir, a path relative to the workspace. The real DVC is run by a server that has started already,
// unless CAIRN_DVC_FRESH is set.
func (s *sandbox) exec(dir, stdin string, env []string, argv ...string) output {
	ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
	defer cancel()
	bin := argv[0]
	if bin == "dvc" || bin == "cairn" {
		bin = filepath.Join(s.root, ".bin", bin)
		if to, _ := os.Readlink(bin); dvcTool != nil && to == dvcTool.path && os.Getenv("CAIRN_DVC_FRESH") == "" {
			out, err := dvcServers.run(s, dir, stdin, env, argv[1:])
			if err != nil {
				s.t.Fatalf("run %q: %v", argv, err)
			}
			return out
		}
	}
	cmd := exec.CommandContext(ctx, bin, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir = s.path(dir)
	cmd.Env = append(append(append([]string(nil), s.env...), "PWD="+cmd.Dir), env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := output{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		out.Exit = -1
		out.Stderr += fmt.Sprintf("\n(killed after %s)", stepLimit)
	case errors.As(err, &exit):
		out.Exit = exit.ExitCode()
	case err != nil:
		s.t.Fatalf("run %q: %v", argv, err)
	}
	return out
}

// runTool runs the tool under test, as a repository of DVC's kind needs it.
func (s *sandbox) runTool(dir, stdin string, env []string, args ...string) output {
	if s.tool.hashFlag && len(args) > 0 && args[0] == "init" && !contains(args, "--hash") {
		args = append([]string{"init", "--hash", "md5"}, args[1:]...)
	}
	return s.exec(dir, stdin, env, append([]string{s.name}, args...)...)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// removeAll removes a tree that may hold read-only folders.
func removeAll(tb testing.TB, root string) {
	filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(p, 0o755)
		}
		return nil
	})
	if err := os.RemoveAll(root); err != nil {
		tb.Log(err)
	}
}
