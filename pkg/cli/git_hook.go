package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

// newGitHook is the hidden command that Git's hooks call.
func newGitHook(a *App) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "git-hook",
		Short:   "Run GIT hook.",
		Long:    "What the hooks that `install` writes call. Outside of a repository they do nothing.",
		Example: "  cairn git-hook pre-push",
		Hidden:  true,
	},
		a.hook("pre-commit", "Show the status before a commit.", func(ctx context.Context, _ []string) error {
			return a.call(ctx, newStatus(a))
		}),
		a.hook("post-checkout", "Checkout the data after Git has checked out a revision.", a.postCheckout),
		a.hook("pre-push", "Push the data before Git pushes; fails if that fails.", func(ctx context.Context, _ []string) error {
			return a.call(ctx, newPush(a))
		}),
		newMergeDriver(a),
	)
	return cmd
}

// hook is one hook: body runs in a repository only.
func (a *App) hook(name, short string, body func(ctx context.Context, args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " [args ...]", Short: short, Long: short, Example: "  cairn git-hook " + name,
	}
	argHelp(cmd, "args", "Arguments passed by GIT or pre-commit tool.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if _, err := a.seams.findRoot(); err != nil {
			if errs.Is(err, errs.NotInRepo) {
				return nil
			}
			return err
		}
		return body(ctx, args)
	})
	return cmd
}

// call runs another verb as if it stood alone on the command line.
func (a *App) call(ctx context.Context, verb *cobra.Command) error {
	a.Quiet = 0 // the hook's own: what is said stays silent, status ends with 0
	verb.SetContext(ctx)
	return verb.RunE(verb, nil)
}

// postCheckout follows a checkout of a revision, not one of single files. In
// the middle of a rebase it keeps still.
func (a *App) postCheckout(ctx context.Context, args []string) error {
	// The pre-commit tool hands no arguments on.
	flag := a.Env.Getenv("PRE_COMMIT_CHECKOUT_TYPE")
	if flag == "" && len(args) >= 3 {
		flag = args[2]
	}
	if flag != "1" {
		return nil
	}
	r, err := a.Repo()
	if err != nil {
		return err
	}
	rebasing := r.IsRebasing()
	r.Close()
	if rebasing {
		return nil
	}
	return a.call(ctx, newCheckout(a))
}

func newMergeDriver(a *App) *cobra.Command {
	var f repo.MergeFiles
	cmd := &cobra.Command{
		Use:   "merge-driver",
		Short: "Run GIT merge driver.",
		Long: `Merge two versions of a pointer file whose directories have both changed: files
added, removed or changed on either side. The result goes to the file that --our
names. If both sides have changed one file, the paths are listed, nothing is
written, and the exit code is 1, which Git takes for a conflict.`,
		Example: "  cairn git-hook merge-driver --ancestor %O --our %A --their %B",
	}
	fl := cmd.Flags()
	for _, o := range []struct {
		into       *string
		name, help string
	}{
		{&f.Ancestor, "ancestor", "Ancestor's version of the conflicting `<file>`."},
		{&f.Our, "our", "Current version of the conflicting `<file>`."},
		{&f.Their, "their", "Other branch's version of the conflicting `<file>`."},
	} {
		fl.StringVar(o.into, o.name, "", o.help)
		_ = cmd.MarkFlagRequired(o.name) // exists
	}
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		// Git names the files from where it starts the driver, whatever
		// folder --cd goes to.
		for _, p := range []*string{&f.Ancestor, &f.Our, &f.Their} {
			if !filepath.IsAbs(*p) {
				*p = filepath.Join(a.Env.Dir, *p)
			}
		}
		r, err := a.Repo()
		if errs.Is(err, errs.NotInRepo) {
			return nothingToMerge(f.Our, err)
		}
		if err != nil {
			return Handled("", err) // more than 128 would end Git's merge
		}
		defer r.Close()
		return Handled("", r.MergePointers(ctx, f))
	})
	return cmd
}

// nothingToMerge is no failure outside of a repository, unless Git did ask for
// a merge: it would take silence for a result.
func nothingToMerge(our string, err error) error {
	if _, serr := os.Lstat(our); errors.Is(serr, fs.ErrNotExist) {
		return nil
	}
	return Handled("", errs.WithHint(errs.New(errs.NotInRepo, "cannot merge a pointer file here: %w", err),
		"Install the merge driver anew, in the repository's folder: cairn install"))
}
