package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// profileFlag is the name of the option. It is one of those that stay out of
// the help unless -v is given, like DVC's --cprofile-dump: no shortened option
// of DVC becomes ambiguous by it.
const profileFlag = "profile"

// NoProfile keeps the runtime from sampling allocations, as it would in any
// program that can write a profile of them. --profile turns it on. It is for
// main to call first.
func NoProfile() { runtime.MemProfileRate = 0 }

// memProfileRate is Go's own: one sample in so many bytes allocated.
const memProfileRate = 512 << 10

// profile is what is measured of one command, in files that have no name yet.
type profile struct {
	path  string // of the CPU profile, absolute
	dir   *disk.Dir
	parts []profilePart
	rate  int // MemProfileRate before
}

// profilePart is one of the files.
type profilePart struct {
	suffix string
	tmp    string
	file   *disk.File
}

// The files, by what is added to the name that the user gives.
const (
	cpuPart   = ""
	memPart   = ".mem"
	tracePart = ".trace"
)

// startProfile begins to measure, if that was asked for. What cannot be
// written in the end is refused now.
func (a *App) startProfile(ctx context.Context, call call) error {
	if a.profileTo == "" {
		return nil
	}
	p, err := a.openProfile(ctx, call)
	if err == nil {
		if err = p.start(); err != nil {
			p.drop()
		}
	}
	if err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	a.profile = p
	return nil
}

func (a *App) openProfile(ctx context.Context, call call) (*profile, error) {
	path := a.Path(a.profileTo)
	if strings.HasSuffix(a.profileTo, "/") || strings.HasSuffix(a.profileTo, string(filepath.Separator)) {
		return nil, errs.New(errs.Invalid, "'%s' is a folder; name a file", ui.Quote(a.profileTo))
	}
	if base := filepath.Base(path); pipeline.IsStageFile(base) || slices.Contains([]string{"dvc.lock", ".dvcignore", ".gitignore"}, base) {
		return nil, errs.New(errs.Invalid, "'%s' has the name of a file that means something else; choose another", ui.Quote(a.profileTo))
	}
	// Through links, so that data is recognised behind them.
	real, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	p := &profile{path: filepath.Join(real, filepath.Base(path))}
	if err := a.checkProfilePlace(ctx, p.path); err != nil {
		return nil, err
	}
	for _, target := range addedBy(call) {
		if in, err := filepath.EvalSymlinks(a.Path(target)); err == nil && liesIn(in, p.path) {
			return nil, inData(a.profileTo, target)
		}
	}
	if p.dir, err = disk.OpenDir(real); err != nil {
		return nil, err
	}
	for _, suffix := range []string{cpuPart, memPart, tracePart} {
		if err := p.create(suffix); err != nil {
			p.drop()
			return nil, err
		}
	}
	return p, nil
}

// addedBy are the targets of an add, which are to become data.
func addedBy(call call) []string {
	if call.cmd.HasParent() && !call.cmd.Parent().HasParent() && call.cmd.Name() == "add" {
		return call.args
	}
	return nil
}

func liesIn(folder, path string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

func inData(file, data string) error {
	return errs.WithHint(errs.New(errs.Conflict, "'%s' lies in '%s' and would become part of it", ui.Quote(file), ui.Quote(data)),
		"Name a file elsewhere: --profile /tmp/%s.", filepath.Base(file))
}

// checkProfilePlace refuses a place among data, or in the repository's own
// folder.
func (a *App) checkProfilePlace(ctx context.Context, path string) error {
	data, err := a.seams.dataAt(ctx, path)
	if err != nil {
		return errs.WithHint(fmt.Errorf("find out whether '%s' lies among data: %w", ui.Quote(a.profileTo), err),
			"Name a file outside of the repository: --profile /tmp/%s.", filepath.Base(path))
	}
	if data != "" {
		return inData(a.profileTo, data)
	}
	return nil
}

// create makes the file that will get the name, unless something is there
// that is no profile.
func (p *profile) create(suffix string) error {
	name := filepath.Base(p.path) + suffix
	st, err := p.dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !st.IsRegular():
		return disk.CheckRegular(p.path+suffix, st)
	case st.Size > 0 && !p.isProfile(name, suffix):
		return errs.WithHint(errs.New(errs.Conflict, "'%s' exists and is no profile", ui.Quote(p.path+suffix)),
			"Nothing was replaced. Name another file.")
	}
	tmp := disk.TempName()
	f, err := p.dir.Create(tmp, 0o666)
	if err != nil {
		return err
	}
	p.parts = append(p.parts, profilePart{suffix: suffix, tmp: tmp, file: f})
	return nil
}

// isProfile reports whether a file was written by an earlier --profile.
func (p *profile) isProfile(name, suffix string) bool {
	f, err := p.dir.OpenFile(name)
	if err != nil {
		return false
	}
	defer f.Close()
	const enough = 64 << 20
	if suffix == tracePart {
		head, err := io.ReadAll(io.LimitReader(f, 16))
		return err == nil && bytes.HasPrefix(head, []byte("go 1.")) && bytes.Contains(head, []byte(" trace"))
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(z, enough))
	// Two strings of pprof's table, after a tag and a length: \x32 is field 6.
	words := []string{"\x32\x07samples", "\x32\x0bnanoseconds"}
	if suffix == memPart {
		words = []string{"\x32\x0dalloc_objects", "\x32\x0binuse_space"}
	}
	return err == nil && bytes.Contains(text, []byte(words[0])) && bytes.Contains(text, []byte(words[1]))
}

func (p *profile) part(suffix string) *disk.File {
	i := slices.IndexFunc(p.parts, func(x profilePart) bool { return x.suffix == suffix })
	return p.parts[i].file
}

func (p *profile) start() error {
	p.rate = runtime.MemProfileRate
	runtime.MemProfileRate = memProfileRate
	if err := trace.Start(p.part(tracePart)); err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(p.part(cpuPart)); err != nil {
		trace.Stop()
		return err
	}
	return nil
}

// stop ends the measure and completes the files.
func (p *profile) stop() error {
	pprof.StopCPUProfile()
	trace.Stop()
	runtime.GC() // what is still in use is as of the last collection
	err := pprof.Lookup("allocs").WriteTo(p.part(memPart), 0)
	runtime.MemProfileRate = p.rate
	for i := range p.parts {
		if cerr := p.parts[i].file.Close(); err == nil {
			err = cerr
		}
		p.parts[i].file = nil
	}
	return err
}

// keep gives the files their names.
func (p *profile) keep() error {
	for i, part := range p.parts {
		if err := p.dir.Rename(part.tmp, p.dir, filepath.Base(p.path)+part.suffix); err != nil {
			return err
		}
		p.parts[i].tmp = ""
	}
	return nil
}

// drop removes what has no name.
func (p *profile) drop() {
	for _, part := range p.parts {
		if part.file != nil {
			part.file.Close()
		}
		if part.tmp != "" {
			_ = p.dir.Remove(part.tmp)
		}
	}
	p.parts = nil
	if p.dir != nil {
		p.dir.Close()
	}
}

// endProfile writes out what was measured, also of a command that failed or
// was interrupted.
func (a *App) endProfile() error {
	p := a.profile
	if p == nil {
		return nil
	}
	a.profile = nil
	defer p.drop()
	err := p.stop()
	if err == nil {
		// The command may have made data of the place.
		err = a.checkProfilePlace(context.Background(), p.path)
	}
	if err == nil {
		err = p.keep()
	}
	if err != nil {
		return fmt.Errorf("--profile: nothing was written: %w", err)
	}
	a.UI.Notef("Profile of processor time in %s, of memory in %[1]s%s, a trace in %[1]s%[3]s. Look at them with `go tool pprof` and `go tool trace`.",
		ui.Quote(a.profileTo), memPart, tracePart)
	return nil
}

// declareProfile is the option, of every verb.
func (a *App) declareProfile(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.profileTo, profileFlag, "",
		"Write a profile of processor time to `<file>`, of memory to <file>.mem, and an execution trace to <file>.trace.")
	if err := f.MarkHidden(profileFlag); err != nil {
		panic(err) // a mistake in the declaration
	}
}
