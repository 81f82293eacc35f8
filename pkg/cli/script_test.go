package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite golden files and scripts with what came out")

// TestMain lets this test binary be the program: scripts run each command as a
// process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cairn": func() {
			ctx, stop := Signals()
			defer stop()
			os.Exit(Main(ctx, OSEnv()))
		},
	})
}

// TestScripts runs the stories in testdata/script: see its README.md.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup:               isolate,
		Condition:           scriptCondition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"git":    program("git"),
			"dvc":    program(os.Getenv("CAIRN_DVC")),
			"mkfile": scriptMkfile,
			"sha":    scriptSha,
			"chmodx": scriptChmodx,
			"jsoneq": scriptJSONEq,
			"append": scriptAppend,
			"damage": scriptDamage,
			"s3":     scriptS3,
			"ssh":    scriptSSH,
			"web":    scriptWeb,
		},
	})
}

// isolate gives a script its own home, configuration and identity.
func isolate(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(filepath.Join(home, ".config"), 0o777); err != nil {
		return err
	}
	for _, kv := range [][2]string{
		{"HOME", home}, {"USERPROFILE", home}, {"LOCALAPPDATA", filepath.Join(home, "local")},
		{"XDG_CONFIG_HOME", filepath.Join(home, ".config")},
		{"XDG_CACHE_HOME", filepath.Join(home, ".cache")},
		{"XDG_STATE_HOME", filepath.Join(home, ".state")},
		{"DVC_GLOBAL_CONFIG_DIR", filepath.Join(home, "dvc-global")},
		{"DVC_SYSTEM_CONFIG_DIR", filepath.Join(home, "dvc-system")},
		{"DVC_SITE_CACHE_DIR", filepath.Join(home, "dvc-site")},
		{"DVC_NO_ANALYTICS", "1"},
		{"GIT_CONFIG_NOSYSTEM", "1"},
		{"GIT_CONFIG_COUNT", "1"},
		{"GIT_CONFIG_KEY_0", "init.defaultBranch"}, {"GIT_CONFIG_VALUE_0", "main"},
		{"GIT_AUTHOR_NAME", "Ada"}, {"GIT_AUTHOR_EMAIL", "ada@example.com"},
		{"GIT_COMMITTER_NAME", "Ada"}, {"GIT_COMMITTER_EMAIL", "ada@example.com"},
		{"GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z"}, {"GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z"},
		{"GIT_TERMINAL_PROMPT", "0"},
		{"AWS_EC2_METADATA_DISABLED", "true"},
		{"AWS_CONFIG_FILE", filepath.Join(home, "aws-config")},
		{"AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "aws-credentials")},
		{"CAIRN_DVC", os.Getenv("CAIRN_DVC")},
		{"LC_ALL", "C.UTF-8"}, {"PYTHONUTF8", "1"},
	} {
		env.Setenv(kv[0], kv[1])
	}
	return nil
}

// scriptCondition knows [dvc], where the real DVC is at hand, and [root], where
// permissions do not hold anybody back.
func scriptCondition(cond string) (bool, error) {
	switch cond {
	case "dvc":
		return os.Getenv("CAIRN_DVC") != "", nil
	case "root":
		return runtime.GOOS != "windows" && os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// program makes a command of a program elsewhere.
func program(path string) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if path == "" {
			ts.Fatalf("CAIRN_DVC is not set: guard the line with [dvc]")
		}
		err := ts.Exec(path, args...)
		switch {
		case err != nil && !neg:
			ts.Fatalf("%s: %v", filepath.Base(path), err)
		case err == nil && neg:
			ts.Fatalf("%s succeeded unexpectedly", filepath.Base(path))
		}
	}
}

// scriptMkfile makes a file of pseudo-random bytes: mkfile path size seed. Sizes
// may end in K, M or G.
func scriptMkfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mkfile path size seed")
	}
	size, err := parseSize(args[1])
	ts.Check(err)
	seed, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o777))
	f, err := os.Create(path)
	ts.Check(err)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, err = io.CopyN(f, rand.NewChaCha8(key), size)
	ts.Check(err)
	ts.Check(f.Close())
}

func parseSize(s string) (int64, error) {
	unit := int64(1)
	if n := len(s); n > 1 {
		switch s[n-1] {
		case 'K':
			unit, s = 1<<10, s[:n-1]
		case 'M':
			unit, s = 1<<20, s[:n-1]
		case 'G':
			unit, s = 1<<30, s[:n-1]
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err
}

// scriptSha prints the SHA-256 of each file, and fails where one is missing.
func scriptSha(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sha path...")
	}
	for _, name := range args {
		data, err := os.ReadFile(ts.MkAbs(name))
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%x  %s\n", sha256.Sum256(data), name)
	}
}

// scriptChmodx makes files executable; with ! not.
func scriptChmodx(ts *testscript.TestScript, neg bool, args []string) {
	mode := os.FileMode(0o755)
	if neg {
		mode = 0o644
	}
	for _, name := range args {
		ts.Check(os.Chmod(ts.MkAbs(name), mode))
	}
}

// scriptAppend adds a line to a file: append path text.
func scriptAppend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append path text")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	ts.Check(err)
	_, err = fmt.Fprintln(f, args[1])
	ts.Check(err)
	ts.Check(f.Close())
}

// scriptDamage flips a bit in the middle of files, read-only ones too.
func scriptDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: damage path...")
	}
	for _, pattern := range args {
		names, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(names) == 0 {
			ts.Fatalf("damage: no file %s", pattern)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			ts.Check(err)
			info, err := os.Stat(name)
			ts.Check(err)
			if len(data) == 0 {
				ts.Fatalf("damage: %s is empty", name)
			}
			data[len(data)/2] ^= 1
			ts.Check(os.Chmod(name, 0o644))
			ts.Check(os.WriteFile(name, data, 0o644))
			ts.Check(os.Chtimes(name, time.Time{}, info.ModTime()))
			ts.Check(os.Chmod(name, info.Mode()))
		}
	}
}

// scriptJSONEq compares JSON, whatever the order of keys: jsoneq stdout want,
// where want is a file or the text itself.
func scriptJSONEq(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: jsoneq file file-or-text")
	}
	got, want := scriptJSON(ts, ts.ReadFile(args[0])), any(nil)
	if json.Valid([]byte(args[1])) {
		want = scriptJSON(ts, args[1])
	} else {
		want = scriptJSON(ts, ts.ReadFile(args[1]))
	}
	diff := cmp.Diff(want, got)
	if diff != "" && !neg {
		ts.Fatalf("JSON differs (-want +got):\n%s", diff)
	}
	if diff == "" && neg {
		ts.Fatalf("JSON is equal unexpectedly")
	}
}

func scriptJSON(ts *testscript.TestScript, text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("no JSON: %v\n%s", err, text)
	}
	return v
}
