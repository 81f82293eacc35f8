package git

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// getenv looks a variable up in the environment handed to Open.
func (r *Repo) getenv(name string) string {
	value := ""
	for _, kv := range r.env {
		k, v, ok := strings.Cut(kv, "=")
		if ok && (k == name || runtime.GOOS == "windows" && strings.EqualFold(k, name)) {
			value = v
		}
	}
	return value
}

// findProgram returns the absolute path of git, or "".
func (r *Repo) findProgram() string { return r.lookPath("git") }

// lookPath finds a program in the absolute folders of PATH. Folders inside
// the working tree do not count: what a clone brings is not run.
func (r *Repo) lookPath(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	for _, dir := range filepath.SplitList(r.getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		p := filepath.Join(dir, name)
		if _, err := r.Rel(p); err == nil {
			continue
		}
		st, err := os.Stat(p)
		if err != nil || !st.Mode().IsRegular() || runtime.GOOS != "windows" && st.Mode()&0o111 == 0 {
			continue
		}
		return p
	}
	return ""
}

// foreign are the variables that would lead git to another repository or
// index, or make it run something.
var foreign = map[string]bool{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true, "GIT_CONFIG": true, "GIT_CONFIG_PARAMETERS": true,
	"GIT_CONFIG_COUNT": true, "GIT_OBJECT_DIRECTORY": true, "GIT_DIR": true, "GIT_WORK_TREE": true,
	"GIT_IMPLICIT_WORK_TREE": true, "GIT_GRAFT_FILE": true, "GIT_INDEX_FILE": true,
	"GIT_NO_REPLACE_OBJECTS": true, "GIT_REPLACE_REF_BASE": true, "GIT_PREFIX": true,
	"GIT_SHALLOW_FILE": true, "GIT_COMMON_DIR": true, "GIT_NAMESPACE": true,
	"GIT_LITERAL_PATHSPECS": true, "GIT_GLOB_PATHSPECS": true, "GIT_NOGLOB_PATHSPECS": true,
	"GIT_ICASE_PATHSPECS": true, "GIT_EXTERNAL_DIFF": true, "GIT_TRACE": true,
}

// run runs git in the root. Without the program the error is
// errs.Unsupported and says for what it was needed.
func (r *Repo) run(ctx context.Context, need string, stdin []byte, args ...string) ([]byte, error) {
	program := r.program()
	if program == "" {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "the git program is needed to %s", need),
			"Install Git and make sure that it is in PATH.")
	}
	// A file monitor is a program named by the repository's configuration.
	args = append([]string{"--literal-pathspecs", "-c", "core.fsmonitor=false"}, args...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.root
	for _, kv := range r.env {
		k, _, _ := strings.Cut(kv, "=")
		if !foreign[k] {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	text := strings.TrimSpace(stderr.String())
	if _, ok := errors.AsType[*exec.ExitError](err); ok && text != "" {
		err = errors.New(text)
	}
	return out, &errs.Error{Kind: errs.Unavailable, Msg: "git could not " + need, Err: err}
}
