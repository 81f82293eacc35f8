package cli

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/progress"
)

// App is what every verb is handed: the environment, the terminal and the
// global options.
type App struct {
	Env  Env
	UI   *ui.UI
	Prog string // what the program is called in messages: cairn, or dvc
	Dir  string // working directory, absolute, after --cd

	Quiet       int  // number of -q
	Verbose     int  // number of -v
	WaitForLock bool // wait for a lock without limit
	JSON        bool // the verb was asked for JSON

	cd    string
	seams seams

	profileTo string   // what --profile names, as typed
	profile   *profile // nil while nothing is measured

	began  time.Time
	phases *progress.Phases // nil but with -vv
}

// seams are what only an open repository can answer. app_repo.go fills them in.
type seams struct {
	// repoInfo returns the lines of `version` about the repository around
	// a.Dir; none outside of one.
	repoInfo func(ctx context.Context) ([]infoLine, error)
	// findRoot returns the root folder of the repository around a.Dir.
	findRoot func() (string, error)
	// configDirs returns the global and the system configuration folder.
	configDirs func() (global, system string)
	// candidates returns completions of a kind.
	candidates func(ctx context.Context, kind Candidates) ([]string, error)
	// dataAt names the tracked data that an absolute path lies in, or "".
	dataAt func(ctx context.Context, path string) (string, error)
}

func newApp(env Env) *App {
	a := &App{Env: env, Prog: progName(env.Args), Dir: env.Dir, began: env.Now()}
	a.UI = ui.New(ui.Options{
		Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr,
		Getenv: env.Getenv, Now: env.Now,
	})
	a.seams = a.repoSeams()
	return a
}

// Run makes the body of a verb a cobra function.
func (a *App) Run(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return body(cmd.Context(), args) }
}

// Path resolves a path that the user typed.
func (a *App) Path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(a.Dir, p)
}

// Rel shows an absolute path as the user would type it.
func (a *App) Rel(p string) string {
	if rel, err := filepath.Rel(a.Dir, p); err == nil {
		return rel
	}
	return p
}

// JSONFlag gives a verb --json. App.JSON says whether it was used.
func (a *App) JSONFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "Show output in JSON format.")
}
