package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/bench"
	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

// benchFlags are the options of `cairn bench` as typed.
type benchFlags struct {
	o                bench.Options
	only             string
	dir, big, remote string
	tools            []string
	noPeers, md      bool
}

func newBench(a *App) *cobra.Command {
	var b benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this program, its peers and the plain copy on this machine.",
		Long: `Generate data, the same bytes on every machine, and measure in turn: this program;
what no tool can be faster than (cp, hashing alone, a bare walk), which is the floor;
and each of dvc, dud, git-lfs and git-annex that is on the PATH or named by --tool.
Each round is in fresh repositories. Shown are the medians of wall time, processor
time and peak memory, and the ratios; a dash where a tool cannot do a scenario, or
failed, which is said on standard error.

Suites: default (20,000 small files and one of 512 MiB), million (1,000,000 files of
0.2 to 4 KB in 1,000 folders), large (10 GiB, dense and sparse), pointers (10,000
.dvc files and 3,000 stages), dud (the scenarios that dud publishes: 20,000 files of
100 KiB and 4 of 1 GiB). --only takes scenarios of any suite: ` + wrapNames(bench.Scenarios("")) + `

With --remote the user's own remote is measured instead, by this program and by DVC:
push, push again, status -c and pull, with 1,000 small files and one of 64 MiB unless
--files and --big say otherwise. It all goes below a name of its own that begins with
.cairn-test-, and is removed in the end, also after a failure or Ctrl-C; a bucket that
keeps versions keeps them. Credentials are those of the repository around.

Everything else lies in one scratch folder, which is removed in the end too. It is
looked first whether there is room.`,
		Example: "  cairn bench\n  cairn bench --suite million -n 1 --dir /mnt/disk\n  cairn bench --only add-big,status-many --tool dvc=/opt/dvc/bin/dvc --md\n  cairn bench --remote store",
	}
	f := cmd.Flags()
	f.StringVar(&b.only, "only", "", "Measure these `<scenarios>` only, separated by commas.")
	f.StringVar(&b.o.Suite, "suite", "default", "Which scenarios and sizes: `<name>` of a suite.")
	f.IntVarP(&b.o.Rounds, "rounds", "n", 3, "`<number>` of rounds.")
	f.StringVar(&b.dir, "dir", "", "`<path>` of the folder that gets the scratch folder, on the file system to be measured; the system's folder for temporary files if not given.")
	f.IntVar(&b.o.Sizes.Files, "files", 0, "`<number>` of small files.")
	f.StringVar(&b.big, "big", "", "`<size>` of the large file, as 512M or 10G.")
	f.IntVar(&b.o.Sizes.Stages, "stages", 0, "`<number>` of stages of the pipeline.")
	f.Float64Var(&b.o.Scale, "scale", 1, "`<factor>` on all sizes.")
	f.StringVar(&b.remote, "remote", "", "Measure this remote: `<name>`.")
	f.StringArrayVar(&b.tools, "tool", nil, "A peer, as `<name=path>`; its name begins with dvc, dud, git-lfs, git-annex or cairn. Can be repeated.")
	f.BoolVar(&b.noPeers, "no-peers", false, "Do not look for peers on the PATH.")
	f.StringVar(&b.o.Hash, "hash", "blake3", "`<algorithm>` of cairn's repositories.")
	f.BoolVar(&b.md, "md", false, "Show tables in Markdown format.")
	a.JSONFlag(cmd)
	exclusive(cmd, "json", "md")
	exclusive(cmd, "remote", "suite")
	choices(cmd, "hash", "blake3", "md5")
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error { return a.bench(ctx, cmd, &b) })
	return cmd
}

// wrapNames joins names into lines of help text.
func wrapNames(names []string) string {
	const width = 82
	text, column := "", width
	for i, n := range names {
		if i < len(names)-1 {
			n += ","
		} else {
			n += "."
		}
		if column+1+len(n) > width {
			text, column = text+"\n"+n, len(n)
		} else {
			text, column = text+" "+n, column+1+len(n)
		}
	}
	return text
}

func (a *App) bench(ctx context.Context, cmd *cobra.Command, b *benchFlags) (err error) {
	o := &b.o
	if err := b.sizes(cmd); err != nil {
		return err
	}
	if o.Self, err = a.Env.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if b.only != "" {
		for name := range strings.SplitSeq(b.only, ",") {
			o.Only = append(o.Only, strings.TrimSpace(name))
		}
	}
	if o.Tools, err = a.namedTools(b.tools); err != nil {
		return err
	}
	if !b.noPeers {
		o.Found = a.foundTools()
	}
	o.Dir = a.tempDir()
	if b.dir != "" {
		o.Dir = a.Path(b.dir)
	}
	// Git and DVC would not find their way back from behind a link.
	if o.Dir, err = filepath.EvalSymlinks(o.Dir); err != nil {
		return errs.WithHint(err, "--dir names a folder that is there.")
	}
	o.Environ, o.Progress, o.Note = a.repoEnv().Environ, a.UI.Progress(), a.UI.Warnf
	var scratch *repo.ScratchRemote
	if b.remote != "" {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if scratch, err = r.ScratchRemote(ctx, b.remote); err != nil {
			return err
		}
		o.Remote, o.Suite = scratch, "remote"
		if !cmd.Flags().Lookup("hash").Changed {
			o.Hash = scratch.Hash.Name()
		}
	}
	res, err := a.runBench(ctx, *o, scratch)
	if err != nil {
		if c, ok := errors.AsType[*bench.CommandError](err); ok && c.Stderr != "" {
			a.UI.ErrorNote(c.Stderr)
		}
		return err
	}
	res.Command = a.Prog + " " + maskArgs(quoteAll(a.Env.Args[min(1, len(a.Env.Args)):]))
	if name, _, err := fileSystem(o.Dir); err == nil {
		res.Machine.FileSystem = name
	}
	if scratch != nil {
		res.RemoteName = scratch.Name
	}
	switch {
	case a.JSON:
		return a.UI.JSON(res)
	case b.md:
		return res.WriteMarkdown(a.UI.Out())
	}
	return res.WriteText(a.UI.Out())
}

// runBench measures, and clears the user's remote whatever happens.
func (a *App) runBench(ctx context.Context, o bench.Options, scratch *repo.ScratchRemote) (res *bench.Result, err error) {
	if scratch != nil {
		defer func() {
			if rerr := scratch.Remove(ctx); rerr != nil {
				if err != nil { // which is said; this would not be
					a.UI.Warnf("%v. %s", rerr, errs.HintOf(rerr))
				} else {
					err = rerr
				}
			}
		}()
	}
	return bench.Run(ctx, o)
}

// sizes checks what was typed.
func (b *benchFlags) sizes(cmd *cobra.Command) (err error) {
	if b.big != "" {
		if b.o.Sizes.Big, err = bench.ParseSize(b.big); err != nil {
			return err
		}
	}
	for name, n := range map[string]int{"files": b.o.Sizes.Files, "stages": b.o.Sizes.Stages} {
		if cmd.Flags().Lookup(name).Changed && n < 1 {
			return errs.New(errs.Usage, "--%s is %d: it has to be 1 at least", name, n)
		}
	}
	if !(b.o.Scale > 0) || math.IsInf(b.o.Scale, 0) {
		return errs.New(errs.Usage, "--scale is %v: it has to be above 0", b.o.Scale)
	}
	return nil
}

// namedTools reads --tool name=path.
func (a *App) namedTools(list []string) ([]bench.Tool, error) {
	var tools []bench.Tool
	for _, t := range list {
		name, path, ok := strings.Cut(t, "=")
		if !ok || name == "" || path == "" {
			return nil, errs.WithHint(errs.New(errs.Usage, "--tool %s is no name and path", ui.Quote(t)), "Say --tool dvc=/usr/bin/dvc, for instance.")
		}
		tools = append(tools, bench.Tool{Name: name, Path: a.Path(path)})
	}
	return tools, nil
}

// foundTools are the peers on the PATH.
func (a *App) foundTools() []bench.Tool {
	var tools []bench.Tool
	for _, k := range bench.Kinds() {
		if k == bench.Cairn {
			continue // it is this one, or an older one that nobody asked for
		}
		name := string(k)
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		for _, dir := range filepath.SplitList(a.Env.Getenv("PATH")) {
			path := filepath.Join(dir, name)
			if st, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && (runtime.GOOS == "windows" || st.Mode()&0o111 != 0) {
				tools = append(tools, bench.Tool{Name: string(k), Path: path})
				break
			}
		}
	}
	return tools
}

// tempDir is the system's folder for temporary files.
func (a *App) tempDir() string {
	names := []string{"TMPDIR"}
	if runtime.GOOS == "windows" {
		names = []string{"TMP", "TEMP", "USERPROFILE"}
	}
	for _, n := range names {
		if dir := a.Env.Getenv(n); dir != "" {
			return a.Path(dir)
		}
	}
	return os.TempDir()
}

// quoteAll makes arguments a command line that a shell reads the same way.
func quoteAll(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`!*?[](){}<>|&;#~") {
			out[i] = shellQuote(arg)
		}
	}
	return out
}

// newBenchStep is the hidden command between `bench` and what it measures: the
// kernel counts the memory of the process that starts a program to the
// program's peak, and this one has little.
func newBenchStep(a *App) *cobra.Command {
	var report, program, floor string
	cmd := &cobra.Command{
		Use:     "bench-step [args ...]",
		Short:   "Measure one command.",
		Long:    "What `bench` calls for each measurement.",
		Example: "  cairn bench-step --report FILE --program /bin/true true",
		Hidden:  true,
	}
	f := cmd.Flags()
	f.StringVar(&report, "report", "", "`<file>` for the result.")
	f.StringVar(&program, "program", "", "`<path>` of the program.")
	f.StringVar(&floor, "floor", "", "`<what>` to do instead of a program.")
	argHelp(cmd, "args", "Arguments, the program's own name included.")
	remainder(cmd)
	exclusive(cmd, "program", "floor")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		switch {
		case report == "" || program == "" && floor == "" || len(args) == 0:
			return UsageErrorf(cmd, "--report, --program or --floor, and arguments are needed")
		case floor != "":
			return bench.MeasureFloor(report, floor, args)
		}
		return bench.Measure(a.UI.Err(), report, program, args)
	})
	return cmd
}
