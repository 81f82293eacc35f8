package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Sample is one measurement.
type Sample struct {
	Wall float64 `json:"wall_seconds"`
	CPU  float64 `json:"cpu_seconds"` // user and system, with all that the command started
	Peak int64   `json:"peak_bytes"`  // of its largest process; 0 if the system does not tell
	Exit int     `json:"exit_code"`
}

// stepVerb is the hidden command of cairn that calls [Measure].
const stepVerb = "bench-step"

// floors that cairn measures in its own process.
const (
	floorWalk = "walk" // lstat of all below a folder, one thread
	floorHash = "hash" // read and hash a file, one thread
)

// command is a program to start in a repository.
type command struct {
	path string   // of the program; a bare name is looked for on the PATH
	args []string // the first is what the program is told it is called
	// codes are exit codes besides 0 that are no failure.
	codes []int
	// floor is one of the floors that cairn does itself, instead of a program.
	floor string
}

func (c command) String() string {
	if c.floor != "" {
		return c.floor + " " + strings.Join(c.args, " ")
	}
	words := append([]string{filepath.Base(c.args[0])}, c.args[1:]...)
	if len(words) > 12 {
		words = append(words[:12:12], "...")
	}
	return strings.Join(words, " ")
}

// Measure runs a program and writes the [Sample] to the file report: it is the
// body of the process between `cairn bench` and what is measured. The program's
// output is dropped, its standard error is stderr. The error is for a program
// that could not be started; whatever its exit code, it is in the sample.
func Measure(stderr io.Writer, report, path string, args []string) error {
	cmd := exec.Command(path)
	cmd.Args, cmd.Stderr = args, stderr
	start := time.Now()
	err := cmd.Run()
	s := Sample{Wall: time.Since(start).Seconds()}
	if cmd.ProcessState == nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	s.Exit = cmd.ProcessState.ExitCode()
	s.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	s.Peak = peak(cmd.ProcessState.SysUsage())
	return s.write(report)
}

// MeasureFloor does what a floor is and writes the [Sample] to the file report.
func MeasureFloor(report, floor string, args []string) error {
	work, err := floorWork(floor, args)
	if err != nil {
		return err
	}
	before := selfCPU()
	start := time.Now()
	if err := work(); err != nil {
		return err
	}
	s := Sample{Wall: time.Since(start).Seconds(), CPU: (selfCPU() - before).Seconds()}
	s.Peak = selfPeak()
	return s.write(report)
}

func floorWork(floor string, args []string) (func() error, error) {
	switch {
	case floor == floorWalk && len(args) == 1:
		return func() error { return walk(args[0]) }, nil
	case floor == floorHash && len(args) >= 2:
		for _, a := range []object.Algorithm{object.BLAKE3, object.MD5} {
			if a.Name() == args[0] {
				return func() error { return hashAll(a, args[1:]) }, nil
			}
		}
	}
	return nil, errs.New(errs.Invalid, "there is no floor %s %s", floor, strings.Join(args, " "))
}

func (s Sample) write(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// walk asks for the size and times of all that is below a folder.
func walk(path string) error {
	d, err := disk.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return walkDir(d)
}

func walkDir(d *disk.Dir) error {
	entries, err := d.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type&fs.ModeDir == 0 {
			if _, err := d.Lstat(e.Name); err != nil {
				return err
			}
			continue
		}
		sub, err := d.Open(e.Name)
		if err != nil {
			return err
		}
		err = walkDir(sub)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// hashAll reads and hashes files, and those in folders, one after the other.
func hashAll(a object.Algorithm, paths []string) error {
	buf := make([]byte, 1<<20)
	for _, p := range paths {
		err := filepath.WalkDir(p, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			h := a.New()
			// Without the wrapper the file would write to the hash with a buffer of its own.
			_, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, buf)
			h.Sum(nil)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CommandError is a command that a benchmark cannot go on without.
type CommandError struct {
	Tool     string
	Scenario string // "" while the repository is set up
	Command  string
	Exit     int
	Stderr   string // the end of what it said
	Err      error  // why it could not be run at all; nil if it ran
}

// Error is one line.
func (e *CommandError) Error() string {
	place := e.Tool
	if e.Scenario != "" {
		place = e.Scenario + ": " + e.Tool
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %q could not be run: %v", place, e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %q ended with exit code %d", place, e.Command, e.Exit)
}

// Unwrap is why it could not be run.
func (e *CommandError) Unwrap() error { return e.Err }

// grace is how long a command may take to end after Ctrl-C: an upload in parts
// is called off meanwhile, which would stay on the remote for ever otherwise.
const grace = 10 * time.Second

// run runs a command untimed.
func (l *lab) run(ctx context.Context, dir string, c command) error {
	_, err := l.start(ctx, dir, c, c.path, c.args)
	return err
}

// output runs a command untimed and returns what it prints, cut at the ends.
func (l *lab) output(ctx context.Context, dir string, c command) (string, error) {
	var out bytes.Buffer
	err := l.exec(ctx, dir, c, c.path, c.args, &out)
	return strings.TrimSpace(out.String()), err
}

// time measures a command.
func (l *lab) time(ctx context.Context, dir string, c command) (Sample, error) {
	report := filepath.Join(l.root, "sample.json")
	if err := os.Remove(report); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Sample{}, err
	}
	// The kernel writes back what was prepared, not what is measured.
	if err := l.flush(); err != nil {
		return Sample{}, err
	}
	args := []string{"cairn", stepVerb, "--report", report}
	if c.floor != "" {
		args = append(args, "--floor", c.floor)
	} else {
		path := c.path
		if !filepath.IsAbs(path) {
			found, err := exec.LookPath(path)
			if err != nil {
				return Sample{}, errCannot
			}
			path = found
		}
		args = append(args, "--program", path)
	}
	args = append(args, c.args...)
	return l.start(ctx, dir, c, l.o.Self, args)
}

// start runs path with args in dir; where that makes a report, it is the
// sample.
func (l *lab) start(ctx context.Context, dir string, c command, path string, args []string) (Sample, error) {
	if err := l.exec(ctx, dir, c, path, args, nil); err != nil {
		return Sample{}, err
	}
	report := filepath.Join(l.root, "sample.json")
	data, err := os.ReadFile(report)
	if errors.Is(err, fs.ErrNotExist) {
		return Sample{}, nil
	}
	if err != nil {
		return Sample{}, err
	}
	var s Sample
	if err := json.Unmarshal(data, &s); err != nil {
		return Sample{}, fmt.Errorf("read measurement: %w", err)
	}
	if err := os.Remove(report); err != nil {
		return Sample{}, err
	}
	if !c.allows(s.Exit) {
		return s, &CommandError{Command: c.String(), Exit: s.Exit, Stderr: l.stderr()}
	}
	return s, nil
}

func (c command) allows(code int) bool {
	if code == 0 {
		return true
	}
	for _, ok := range c.codes {
		if code == ok {
			return true
		}
	}
	return false
}

func (l *lab) stderrPath() string { return filepath.Join(l.root, "stderr.txt") }

// stderr is the end of what the last command said.
func (l *lab) stderr() string {
	const most = 4 << 10
	data, err := os.ReadFile(l.stderrPath())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data[max(0, len(data)-most):]))
}

// exec runs a program in a process group of its own, which is ended as a whole
// when ctx is.
func (l *lab) exec(ctx context.Context, dir string, c command, path string, args []string, stdout io.Writer) error {
	stderr, err := os.Create(l.stderrPath())
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Dir, cmd.Env, cmd.Stderr, cmd.Stdout = args, dir, l.env, stderr, stdout
	isolate(cmd)
	cmd.Cancel = func() error { return interrupt(cmd) }
	cmd.WaitDelay = grace
	err = cmd.Run()
	if cmd.Process != nil {
		killGroup(cmd) // helpers that a tool leaves behind would write on
	}
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	failed := &CommandError{Command: c.String(), Stderr: l.stderr()}
	if cmd.ProcessState == nil {
		failed.Err = err
		return failed
	}
	if failed.Exit = cmd.ProcessState.ExitCode(); c.allows(failed.Exit) {
		return nil
	}
	return failed
}

// flush makes what was written so far durable.
func (l *lab) flush() error {
	d, err := disk.OpenDir(l.root)
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.SyncFS()
	return err
}
