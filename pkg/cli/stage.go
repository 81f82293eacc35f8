package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
)

func newStage(a *App) *cobra.Command {
	return group(&cobra.Command{
		Use:     "stage",
		Short:   "Commands to list and create stages.",
		Long:    "Stages are what dvc.yaml says: commands, what they read and what they make.",
		Example: "  cairn stage add -n train -d data.csv -p lr -o model.pkl python train.py\n  cairn stage list",
	}, newStageAdd(a), newStageList(a))
}

func newStageAdd(a *App) *cobra.Command {
	var o repo.StageAddOptions
	var run bool
	outs := map[string]*[]string{}
	cmd := &cobra.Command{
		Use:   "add [command ...]",
		Short: "Create stage",
		Long: `Add a stage to the dvc.yaml of the current directory. Everything after the options
is the command, with its own options. Paths are relative to --wdir. The other
stages, comments and the layout of the file stay as they are.

Nothing is written if the stage does not go with the others: outputs that are
another stage's, circles, names that exist already.`,
		Example: "  cairn stage add -n train -d data.csv -p lr,epochs -o model.pkl -M metrics.json \\\n" +
			"    python train.py --out model.pkl\n" +
			"  cairn stage add --run -n fetch -o raw.csv 'curl https://example.com/raw.csv > raw.csv'",
	}
	f := cmd.Flags()
	f.StringVarP(&o.Name, "name", "n", "", "`name` of the stage to add.")
	f.BoolVarP(&o.Force, "force", "f", false, "Overwrite existing stage.")
	f.StringArrayVarP(&o.Deps, "deps", "d", nil, "Declare dependencies for reproducible cmd, as `<path>`.")
	f.StringArrayVarP(&o.Params, "params", "p", nil, "Declare parameters to use as additional dependency, as `[<filename>:]<params_list>`.")
	// In this order, which is also that of lines in .gitignore.
	kinds := []struct {
		name, short, meta, usage string
		out                      repo.StageOut
	}{
		{"outs", "o", "<filename>", "Declare output file or directory.", repo.StageOut{}},
		{"outs-no-cache", "O", "<filename>", "Declare output file or directory (do not put into the cache).", repo.StageOut{NoCache: true}},
		{"outs-persist", "", "<filename>", "Declare output file or directory that will not be removed upon repro.", repo.StageOut{Persist: true}},
		{"outs-persist-no-cache", "", "<filename>", "Declare output file or directory that will not be removed upon repro (do not put into the cache).", repo.StageOut{NoCache: true, Persist: true}},
		{"metrics", "m", "<path>", "Declare output metrics file.", repo.StageOut{IsMetric: true}},
		{"metrics-no-cache", "M", "<path>", "Declare output metrics file (do not put into the cache).", repo.StageOut{NoCache: true, IsMetric: true}},
		{"plots", "", "<path>", "Declare output plot file.", repo.StageOut{IsPlot: true}},
		{"plots-no-cache", "", "<path>", "Declare output plot file (do not put into the cache).", repo.StageOut{NoCache: true, IsPlot: true}},
	}
	for _, k := range kinds {
		outs[k.name] = f.StringArrayP(k.name, k.short, nil, strings.TrimSuffix(k.usage, ".")+", as `"+k.meta+"`.")
	}
	f.StringVarP(&o.WDir, "wdir", "w", "", "Directory within your repo to run your command in, as `<path>`.")
	f.BoolVar(&o.AlwaysChanged, "always-changed", false, "Always consider this stage as changed.")
	f.StringVar(&o.Desc, "desc", "", "User description of the stage, `<text>`. This doesn't affect any operations.")
	f.BoolVar(&run, "run", false, "Execute the stage after generating it.")
	if err := cmd.MarkFlagRequired("name"); err != nil {
		panic(err) // a mistake in the declaration
	}
	remainder(cmd)
	argHelp(cmd, "command", "Command to execute.")
	a.JSONFlag(cmd)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Cmd = joinCommand(args)
		for _, i := range []int{2, 3, 4, 5, 6, 7, 1, 0} {
			for _, p := range *outs[kinds[i].name] {
				out := kinds[i].out
				out.Path = p
				o.Outs = append(o.Outs, out)
			}
		}
		return a.stageAdd(ctx, o, run)
	})
	return cmd
}

// joinCommand makes one command line of words, as DVC does: words with blanks
// are quoted, unless they have quotes of their own. A single word is a command
// line already.
func joinCommand(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, " ")
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		switch {
		case w == "":
			w = `""`
		case strings.Contains(w, " ") && !strings.Contains(w, `"`):
			w = `"` + w + `"`
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

func (a *App) stageAdd(ctx context.Context, o repo.StageAddOptions, run bool) error {
	r, err := a.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	res, err := r.StageAdd(ctx, o)
	if err != nil {
		return err
	}
	for _, f := range res.Unignored {
		a.UI.Notef("Could not create .gitignore entry in %s. DVC will attempt to create .gitignore entry again when the stage is run.", f)
	}
	if !a.JSON {
		a.UI.Printf("Added stage '%s' in '%s'\n", ui.Quote(res.Stage), ui.Quote(res.File))
	}
	if run {
		ro := repo.ReproOptions{Targets: []string{res.File + ":" + res.Stage}, SingleItem: true, Rerun: true}
		a.reproStreams(&ro)
		ran, err := r.Repro(ctx, ro)
		if err != nil {
			return err
		}
		res.Changed = append(res.Changed, ran.Changed...)
	}
	if a.JSON {
		return a.UI.JSON(res)
	}
	a.gitHint(r, res.Changed)
	return nil
}

// maxSummary is how many columns a stage's description gets, as with DVC.
const maxSummary = 80

func newStageList(a *App) *cobra.Command {
	var o repo.StageListOptions
	var names bool
	cmd := &cobra.Command{
		Use:   "list [targets ...]",
		Short: "List stages.",
		Long: `List stages with a line on each: its description, or what it makes. Targets are
stage files, stages, groups of foreach or matrix, and with --recursive folders;
without any, the dvc.yaml of the current directory.`,
		Example: "  cairn stage list\n  cairn stage list --all --name-only\n  cairn stage list -R sub --json",
	}
	f := cmd.Flags()
	f.BoolVar(&o.All, "all", false, "List all of the stages in the repo.")
	f.BoolVar(&o.Fail, "fail", false, "Fail immediately, do not suppress any syntax errors.")
	f.BoolVarP(&o.Recursive, "recursive", "R", false, "List all stages inside the specified directory.")
	f.BoolVar(&names, "name-only", false, "List only stage names.")
	f.BoolVar(&names, "names-only", false, "The same as --name-only.")
	argHelp(cmd, "targets", "Show stages from a dvc.yaml/.dvc file or a directory. 'dvc.yaml' by default.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteStages)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		list, err := r.StageList(ctx, o)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.UI.JSON(list)
		}
		if len(list) == 0 {
			return nil
		}
		var t report.Table
		for _, s := range list {
			text := ""
			if !names {
				text = truncate(s.Summary, maxSummary)
			}
			t.Add(s.Stage, text)
		}
		return t.WriteText(a.UI.Out())
	})
	return cmd
}

// truncate cuts a text of more characters than there may be.
func truncate(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
