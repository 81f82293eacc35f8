// Package cli is the command line: it turns arguments into options, calls a
// verb of pkg/repo, prints its result, and turns an error into words and an
// exit code. It holds no logic of its own.
//
// # A verb
//
// Each verb is one file with one constructor, listed in verbs.go:
//
//	func newPush(a *App) *cobra.Command {
//		var o repo.PushOptions
//		cmd := &cobra.Command{
//			Use:     "push [targets ...]",
//			Short:   "Upload tracked files or directories to remote storage.",
//			Long:    "...", // what it does and what it promises
//			Example: "  cairn push\n  cairn push -r backup data/raw",
//		}
//		f := cmd.Flags()
//		f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of transfers at the same time.")
//		a.JSONFlag(cmd)
//		a.Complete(cmd, CompleteTargets)
//		a.CompleteFlag(cmd, "remote", CompleteRemotes)
//		cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
//			...
//		})
//		return cmd
//	}
//
// Constructors run at every start of the program, so they do nothing but
// declare. The positional arguments are read off the Use line, in the notation
// of usage texts: "name" is required, "[name]" optional, "name [name ...]" one
// or more, "[name ...]" any number. See args.go for what options can be.
//
// A verb returns errors. What failed inside a verb and ends with exit code 1 in
// DVC is wrapped with Handled; a failure without words is ExitWith.
//
// # Output
//
// Results go to App.UI.Out or App.UI.JSON and are never silenced. Remarks go to
// App.UI.Printf and vanish with --quiet. Warnings, errors, debugging, progress
// and questions go to standard error.
package cli
