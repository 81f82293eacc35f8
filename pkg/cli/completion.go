package cli

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/errs"
)

// completeVerb begins the names of the hidden commands that completion scripts
// call: __complete and __completeNoDesc.
const completeVerb = cobra.ShellCompRequestCmd

// Candidates is a kind of thing that a shell can complete.
type Candidates uint8

// The kinds. Targets are tracked paths, pointer files and stages.
const (
	CompleteTargets Candidates = iota
	CompleteStages
	CompleteRemotes
	CompleteRevs
	CompleteMetrics
	CompletePlots
)

// Complete makes a verb's positional arguments complete to things of a kind,
// besides files.
func (a *App) Complete(cmd *cobra.Command, kind Candidates) {
	cmd.ValidArgsFunction = a.completer(kind)
}

// CompleteFlag makes a flag's value complete to things of a kind.
func (a *App) CompleteFlag(cmd *cobra.Command, flag string, kind Candidates) {
	if err := cmd.RegisterFlagCompletionFunc(flag, a.completer(kind)); err != nil {
		panic(err) // a mistake in the declaration
	}
}

func (a *App) completer(kind Candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if kind == CompleteTargets || kind == CompletePlots {
			directive = cobra.ShellCompDirectiveDefault
		}
		if a.applyGlobals() != nil {
			return nil, directive
		}
		// Outside of a repository, or with a broken one, there is nothing to offer.
		names, err := a.seams.candidates(cmd.Context(), kind)
		if err != nil {
			return nil, directive
		}
		var out []cobra.Completion
		for _, n := range names {
			if strings.HasPrefix(n, word) && !strings.ContainsAny(n, "\n\t") {
				out = append(out, n)
			}
		}
		return out, directive
	}
}

// runCompletion answers a completion script. Cobra does the parsing here: the
// command line is not complete yet.
func (a *App) runCompletion(ctx context.Context, root *cobra.Command, args []string) error {
	// The options of the root stand before the verb only.
	root.TraverseChildren = true
	declareChoices(root)
	root.SetArgs(args)
	var answer strings.Builder
	root.SetOut(&answer)
	// Cobra explains itself on standard error at each key press.
	root.SetErr(io.Discard)
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	for line := range strings.Lines(answer.String()) {
		// Cobra offers a help command, even a hidden one.
		if !strings.HasPrefix(line, noHelp) {
			io.WriteString(a.UI.Out(), line)
		}
	}
	return nil
}

// noHelp is the name of the command that keeps cobra from adding its own help.
const noHelp = "no-help"

// declareChoices lets flags with a fixed set of values complete to them.
func declareChoices(cmd *cobra.Command) {
	for _, f := range flagsOf(cmd) {
		if c := f.Annotations[choicesKey]; len(c) > 0 {
			// Only a second registration fails, and that one is as good.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(c, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, c := range cmd.Commands() {
		declareChoices(c)
	}
}

var shells = []string{"bash", "zsh", "fish", "powershell"}

// newCompletion is `cairn completion`.
func newCompletion(a *App) *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "completion [shell]",
		Short: "Generate shell tab completion.",
		Long: "Prints a script that teaches a shell to complete the commands, options,\n" +
			"targets, stages and remotes. The shell is bash unless named.",
		Example: "  cairn completion bash > /etc/bash_completion.d/cairn\n" +
			"  cairn completion -s zsh > \"${fpath[1]}/_cairn\"\n" +
			"  cairn completion fish > ~/.config/fish/completions/cairn.fish",
		ValidArgs: shells,
	}
	argHelp(cmd, "shell", "bash, zsh, fish or powershell.")
	cmd.Flags().StringVarP(&shell, "shell", "s", "bash", "Shell syntax for completions.")
	choices(cmd, "shell", shells...)
	cmd.RunE = a.Run(func(_ context.Context, args []string) error {
		if len(args) > 0 {
			shell = args[0]
		}
		w, root := a.UI.Out(), cmd.Root()
		switch shell {
		case "bash":
			return root.GenBashCompletionV2(w, true)
		case "zsh":
			return root.GenZshCompletion(w)
		case "fish":
			return root.GenFishCompletion(w, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(w)
		}
		return errs.New(errs.Usage, "unknown shell %s: choose from %s", pyQuote(shell), strings.Join(shells, ", "))
	})
	return cmd
}
