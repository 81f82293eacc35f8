package cli

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func newRepro(a *App) *cobra.Command {
	var o repo.ReproOptions
	var keepGoing, ignoreErrors bool
	var resources []string
	cmd := &cobra.Command{
		Use:   "repro [targets ...]",
		Short: "Reproduce complete or partial pipelines by executing their stages.",
		Long: `Run the stages whose command, dependencies, parameters or outputs changed, each
after those it needs, and record in dvc.lock what they read and made. A target is
a stage, a file of stages (dvc.yaml by default), "path/dvc.yaml:stage", a group of
foreach or matrix, or a .dvc file. What a stage has made once of the same inputs
is brought from the run cache instead of made again.

The outputs of a stage are deleted before it runs. Changes to them that were never
recorded are lost with that, and said.

With --jobs stages that do not need each other run at the same time; what they
write, and dvc.lock, is the same as one after the other. A stage can be kept from
running beside others in dvc.yaml, where DVC leaves it alone:

    meta: {cairn: {mutex: database, resources: {gpu: 1, mem: 8GB}}}

How much of a resource there is says --resources, or "cairn config
cairn.resources gpu=1,mem=8GB". What each stage wrote is kept in
.dvc/tmp/cairn-logs; a terminal shows what runs, is done and waits.

While a command runs the repository is not locked, and its outputs are marked as
being written: another repro waits only if it is about the same files.`,
		Example: "  cairn repro\n  cairn repro -j 4 train eval\n  cairn repro --explain\n  cairn repro -s prepare -f",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Force, "force", "f", false, "Reproduce even if dependencies were not changed.")
	f.BoolVarP(&o.Interactive, "interactive", "i", false, "Ask for confirmation before reproducing each stage.")
	f.BoolVarP(&o.SingleItem, "single-item", "s", false, "Reproduce only the targets, without what they depend on.")
	f.BoolVarP(&o.Pipeline, "pipeline", "p", false, "Reproduce the whole pipeline that the targets belong to.")
	f.BoolVarP(&o.AllPipelines, "all-pipelines", "P", false, "Reproduce all pipelines in the repository.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "Reproduce all stages in the specified directory.")
	f.BoolVar(&o.Downstream, "downstream", false, "Start from the specified stages, and go on with what depends on them.")
	f.BoolVar(&o.ForceDownstream, "force-downstream", false, "Reproduce all descendants of a changed stage even if their direct dependencies didn't change.")
	f.BoolVar(&o.Pull, "pull", false, "Try automatically pulling missing data.")
	f.BoolVar(&o.AllowMissing, "allow-missing", false, "Skip stages with missing data but no other changes.")
	f.BoolVar(&o.Dry, "dry", false, "Only print the commands that would be executed.")
	f.BoolVarP(&keepGoing, "keep-going", "k", false, "Continue after a failure, skipping stages that depend on the failed ones.")
	f.BoolVar(&ignoreErrors, "ignore-errors", false, "Ignore errors from stages.")
	f.BoolVar(&o.Glob, "glob", false, "Allows targets containing shell-style wildcards.")
	f.BoolVar(&o.NoCommit, "no-commit", false, "Don't put files/directories into cache.")
	f.BoolVar(&o.NoRunCache, "no-run-cache", false, "Execute commands even if they have been run with the same inputs before.")
	f.IntVarP(&o.Jobs, "jobs", "j", 1, "`<number>` of stages at the same time.")
	f.StringSliceVar(&resources, "resources", nil, "Totals that stages running at the same time share, as `name=amount`.")
	f.BoolVar(&o.Explain, "explain", false, "Show why each stage would run, and run none.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteStages)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) (err error) {
		o.Targets = args
		switch {
		case ignoreErrors:
			o.OnError = repo.IgnoreErrors
		case keepGoing:
			o.OnError = repo.KeepGoing
		}
		if o.Resources, err = repo.ParseResources(resources); err != nil {
			return err
		}
		a.reproStreams(&o)
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		stop := a.watchRepro(&o)
		res, err := r.Repro(ctx, o)
		stop()
		return a.showRepro(r, o, res, err)
	})
	return cmd
}

// reproStreams connects stages with the terminal. With --json, all they say
// goes to standard error.
func (a *App) reproStreams(o *repo.ReproOptions) {
	o.Confirm = a.confirm
	o.Flush = func() { _ = a.UI.Flush() }
	o.Stdin, o.Stdout, o.Stderr = a.Env.Stdin, a.Env.Stdout, a.Env.Stderr
	o.Terminal = a.UI.Interactive()
	o.Say = func(format string, args ...any) { a.UI.Printf("%s\n", ui.Clean(fmt.Sprintf(format, args...))) }
	if a.JSON {
		o.Why = true
		o.Stdout = a.Env.Stderr
		o.Say = func(format string, args ...any) {
			if a.Quiet == 0 {
				fmt.Fprintf(a.UI.Err(), "%s\n", ui.Clean(fmt.Sprintf(format, args...)))
			}
		}
	}
}

// maxShown is how many running stages a terminal shows.
const maxShown = 12

// watchRepro shows on a terminal how stages stand that run beside each other.
func (a *App) watchRepro(o *repo.ReproOptions) (stop func()) {
	if o.Jobs < 2 || o.Dry || o.Explain {
		return func() {}
	}
	if !a.JSON {
		o.Stdout = a.UI.Out() // what stages say goes above the view
	}
	var state atomic.Pointer[repo.ReproState]
	o.Watch = func(s repo.ReproState) { state.Store(&s) }
	begin := a.Env.Now()
	return a.UI.Board(func(now time.Time, _ int) []string {
		s := state.Load()
		if s == nil {
			return nil
		}
		return reproLines(*s, now, begin)
	})
}

// reproLines is the view of a run: what runs and since when, then the counts.
func reproLines(s repo.ReproState, now, begin time.Time) []string {
	var lines []string
	for i, r := range s.Running {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("  and %d more", len(s.Running)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("  %8s  %s", duration(now.Sub(r.Begin).Seconds()), ui.Quote(r.Stage)))
	}
	counts := fmt.Sprintf("%d running, %d done", len(s.Running), s.Done)
	for _, c := range []struct {
		n    int
		what string
	}{{s.Skipped, "skipped"}, {s.Failed, "failed"}, {s.Waiting, "waiting"}} {
		if c.n > 0 {
			counts += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return append(lines, counts+"  ["+duration(now.Sub(begin).Seconds())+"]")
}

// showRepro prints how it ended.
func (a *App) showRepro(r *repo.Repo, o repo.ReproOptions, res repo.ReproResult, err error) error {
	if a.JSON {
		if len(res.Stages) > 0 || err == nil {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		}
		return err
	}
	if o.Explain {
		if err == nil {
			a.showWhy(res)
		}
		return err
	}
	if o.Jobs > 1 && !o.Dry && len(res.Stages) > 0 {
		a.showRuns(res)
	}
	if err != nil {
		return err
	}
	a.gitHint(r, res.Changed)
	if res.Executed == 0 {
		a.UI.Printf("Data and pipelines are up to date.\n")
	} else {
		a.UI.Printf("Use `dvc push` to send your updates to remote storage.\n")
	}
	return nil
}

// showRuns is the summary of stages that ran beside each other.
func (a *App) showRuns(res repo.ReproResult) {
	count := map[repo.Outcome]int{}
	a.UI.Printf("\n")
	for _, s := range res.Stages {
		count[s.Outcome]++
		if s.Outcome != repo.StageSkipped {
			a.UI.Printf("%-10s%8s  %s\n", s.Outcome, duration(s.Seconds), ui.Quote(s.Stage))
		}
	}
	text := ""
	for _, o := range []repo.Outcome{repo.StageRan, repo.StageRestored, repo.StagePulled, repo.StageVerified, repo.StageSkipped, repo.StageFailed, repo.StageLeftOut} {
		if count[o] > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%d %s", count[o], o)
		}
	}
	a.UI.Printf("%s in %s\n", text, duration(res.Seconds))
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", seconds)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", seconds)
	}
	return d.Round(time.Second).String()
}

// showWhy prints the reasons for stages to run.
func (a *App) showWhy(res repo.ReproResult) {
	out := a.UI.Out()
	for _, s := range res.Stages {
		if s.Outcome == repo.StageSkipped {
			fmt.Fprintf(out, "%s: unchanged\n", ui.Quote(s.Stage))
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", ui.Quote(s.Stage), s.Outcome)
		for _, w := range s.Why {
			fmt.Fprintf(out, "\t%s\n", ui.Clean(whyLine(w)))
		}
	}
}

func whyLine(w repo.Reason) string {
	line := string(w.Kind)
	switch w.Kind {
	case repo.WhyForced:
		return "forced: --force was given"
	case repo.WhyAlways:
		return "always changed"
	case repo.WhyStage:
		return fmt.Sprintf("stage '%s' runs before it", w.Path)
	case repo.WhyCommand:
		line = "command changed"
	default:
		line += " " + w.Path
		if w.Key != "" {
			line += ": " + w.Key
		}
		if w.State != "" {
			line += " " + w.State
		}
	}
	switch {
	case w.Old != nil && w.New != nil:
		line += fmt.Sprintf(" (%s -> %s)", plainValue(w.Old), plainValue(w.New))
	case w.New != nil:
		line += fmt.Sprintf(" (now %s)", plainValue(w.New))
	case w.Old != nil:
		line += fmt.Sprintf(" (was %s)", plainValue(w.Old))
	}
	return line
}

// plainValue shows a value: text as it is, the rest as JSON.
func plainValue(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(yamlfmt.JSON(v, false))
}
