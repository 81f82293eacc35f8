package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
)

// newRoot builds the whole tree of commands. It runs at each start, so it only
// declares.
func newRoot(a *App) *cobra.Command {
	root := &cobra.Command{
		Use:   a.Prog,
		Short: "Data Version Control",
		Long: "Versions data, models and pipelines next to Git, on the files of DVC.\n\n" +
			"Large files are kept outside of Git, in a cache and in remotes; small pointer\n" +
			"files stand for them in Git.",
		SilenceErrors: true,
		SilenceUsage:  true,
		// The sub-commands are ours: see help.go and completion.go.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetHelpCommand(&cobra.Command{Use: noHelp, Hidden: true})
	p := root.PersistentFlags()
	p.CountVarP(&a.Quiet, "quiet", "q", "Be quiet.")
	p.CountVarP(&a.Verbose, "verbose", "v", "Be verbose.")
	exclusive(root, "quiet", "verbose")
	a.declareProfile(root)
	f := root.Flags()
	f.BoolP("help", "h", false, "Show this help message and exit.")
	f.BoolP("version", "V", false, "Show program's version.")
	f.StringVar(&a.cd, "cd", "", "Change to `<path>` before executing.")
	f.BoolVar(&a.WaitForLock, "wait-for-lock", false,
		"Wait without limit for a lock that another process holds.")
	for _, verb := range verbs {
		root.AddCommand(verb(a))
	}
	return root
}

// newRootVerb is `cairn root`.
func newRootVerb(a *App) *cobra.Command {
	return &cobra.Command{
		Use:   "root",
		Short: "Return the relative path to the root of the project.",
		Long: "Prints the path of the project's root, relative to the working directory.\n" +
			"The root is the nearest folder above that holds a `.dvc` folder; the search\n" +
			"does not leave the file system.",
		Example: "  cd src/models && cairn root    # prints ../..",
		RunE: a.Run(func(context.Context, []string) error {
			root, err := a.seams.findRoot()
			if err != nil {
				return err
			}
			fmt.Fprintln(a.UI.Out(), ui.Quote(a.Rel(root)))
			return nil
		}),
	}
}

// group is a command that only holds others.
func group(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subs...)
	return cmd
}

// versionLine is what --version prints. Tools that drive DVC, such as its
// VS Code extension, read a DVC version at the start of the line and refuse to
// work with one that is too low.
func (a *App) versionLine() string {
	if a.Prog == "dvc" {
		return dvcVersion
	}
	return fmt.Sprintf("%s (cairn %s)", dvcVersion, buildVersion())
}
