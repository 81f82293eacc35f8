package cli

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/repo"
)

func newInstall(a *App) *cobra.Command {
	var o repo.InstallOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install Git hooks into the repository.",
		Long: `Install Git hooks: checkout after a Git checkout, status before a commit, push
before a push, which stops if the data cannot be pushed. Also install a merge
driver that merges directories two branches have changed; to use it, add the
line "*.dvc merge=dvc" to .gitattributes.

Hooks that exist already are never overwritten: then nothing is installed.`,
		Example: "  cairn install\n  cairn install --use-pre-commit-tool",
	}
	cmd.Flags().BoolVar(&o.PreCommitTool, "use-pre-commit-tool", false,
		"Install hooks using pre-commit (https://pre-commit.com) if it is installed.")
	cmd.RunE = a.Run(func(context.Context, []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		o.Name, o.Program, o.ShellQuote = a.Prog, a.hookProgram(), shellQuote
		if !r.HasGit() {
			a.UI.Warnf("the repository has no Git, so there are no hooks to install")
			return nil
		}
		_, err = r.Install(o)
		return Handled("failed to install DVC Git hooks", err)
	})
	return cmd
}

// hookProgram is how a hook calls this program: by its name, if that is what
// the shell finds under it, else by its path.
func (a *App) hookProgram() string {
	if a.Env.Executable == nil {
		return a.Prog
	}
	self, err := a.Env.Executable()
	if err != nil {
		return a.Prog
	}
	me, err := os.Stat(self)
	if err != nil {
		return a.Prog
	}
	name := a.Prog
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	for _, dir := range filepath.SplitList(a.Env.Getenv("PATH")) {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		if os.SameFile(me, st) {
			return a.Prog
		}
		break
	}
	return shellQuote(filepath.ToSlash(self))
}
