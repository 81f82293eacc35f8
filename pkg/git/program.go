package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

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

// command prepares git to be run in the root. Without the program the error
// is errs.Unsupported and says for what it was needed.
func (r *Repo) command(ctx context.Context, need string, args ...string) (*exec.Cmd, error) {
	program := r.program()
	if program == "" {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "the git program is needed to %s", need),
			"Install Git and make sure that it is in PATH.")
	}
	// A file monitor is a program named by the repository's configuration.
	args = append([]string{"--literal-pathspecs", "-c", "core.fsmonitor=false"}, args...)
	if r.bare {
		args = append([]string{"--git-dir=" + r.gitDir}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.root
	if r.source != "" {
		cmd.Env = r.mirrorEnv()
		return cmd, nil
	}
	for _, kv := range r.env {
		k, _, _ := strings.Cut(kv, "=")
		if !foreign[k] {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	return cmd, nil
}

// run runs git and returns what it prints.
func (r *Repo) run(ctx context.Context, need string, stdin []byte, args ...string) ([]byte, error) {
	cmd, err := r.command(ctx, need, args...)
	if err != nil {
		return nil, err
	}
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

// catFile is a git process that answers with objects until it is closed.
type catFile struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (r *Repo) startCatFile() (*catFile, error) {
	cmd, err := r.command(context.Background(), "read objects", "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		in.Close()
		return nil, &errs.Error{Kind: errs.Unavailable, Msg: "git could not read objects", Err: err}
	}
	return &catFile{cmd, in, bufio.NewReader(out)}, nil
}

func (c *catFile) close() {
	c.in.Close()
	_ = c.cmd.Process.Kill() // it may be in the middle of an object
	_ = c.cmd.Wait()
}

// read returns plumbing.ErrObjectNotFound for what git does not have; after
// any other error the process is of no more use.
func (c *catFile) read(id string) (string, []byte, error) {
	if _, err := io.WriteString(c.in, id+"\n"); err != nil {
		return "", nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return "", nil, plumbing.ErrObjectNotFound
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 || size > maxObject {
		return "", nil, errs.New(errs.Unsupported, "the Git object %s of %s bytes is too large", id, fields[2])
	}
	data := make([]byte, size+1) // a line break follows
	_, err = io.ReadFull(c.out, data)
	return fields[1], data[:size], err
}

// readByProgram asks the git program for an object. It needs db.mu.
func (db *objectDB) readByProgram(id string) (t string, data []byte, err error) {
	if db.cat == nil {
		if db.cat, err = db.repo.startCatFile(); err != nil {
			return "", nil, err
		}
	}
	t, data, err = db.cat.read(id)
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
		db.cat.close()
		db.cat = nil
		if errs.KindOf(err) == errs.Other {
			err = &errs.Error{Kind: errs.Unavailable, Msg: "git could not read the object " + id, Err: err}
		}
	}
	return t, data, err
}
