package cli

import (
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

// ignoreFlags are the options of check-ignore.
type ignoreFlags struct{ details, all, nonMatching, stdin bool }

func newCheckIgnore(a *App) *cobra.Command {
	var o ignoreFlags
	cmd := &cobra.Command{
		Use:   "check-ignore [targets ...]",
		Short: "Check whether files or directories are excluded due to `.dvcignore`.",
		Long: `Print those of the targets that .dvcignore leaves out. The paths need not exist.

With --details the pattern that decided stands before each path, as
file:line:pattern; a pattern that begins with "!" takes a path back in. The exit
code is 0 if a pattern was found for any target, else 1.

With --stdin paths are read one a line and answered at once, until an empty line
or the end.`,
		Example: "  cairn check-ignore data/tmp.log\n  cairn check-ignore -d -n data/*\n  find data | cairn check-ignore --stdin",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.details, "details", "d", false, "Show the exclude patterns along with each target path.")
	f.BoolVarP(&o.all, "all", "a", false, "Show all patterns, not only the last.")
	_ = f.MarkHidden("all") // exists
	f.BoolVarP(&o.nonMatching, "non-matching", "n", false, "Include the target paths which don't match any pattern in the --details list.")
	f.BoolVar(&o.stdin, "stdin", false, "Read paths from standard input instead of providing `targets`.")
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if err := o.check(a, args); err != nil {
			return err
		}
		var found bool
		if o.stdin {
			found, err = a.ignoreStdin(ctx, r, o)
		} else {
			found, err = a.ignoreTargets(r, o, args)
		}
		if err == nil && !found {
			err = ExitWith(exitHandled)
		}
		return err
	})
	return cmd
}

func (o ignoreFlags) check(a *App, args []string) error {
	for _, c := range []struct {
		wrong bool
		msg   string
	}{
		{!o.stdin && len(args) == 0, "`targets` or `--stdin` needed"},
		{o.stdin && len(args) > 0, "cannot have both `targets` and `--stdin`"},
		{o.nonMatching && !o.details, "`--non-matching` is only valid with `--details`"},
		{o.all && !o.details, "`--all` is only valid with `--details`"},
		{a.Quiet > 0 && o.details, "cannot use both `--details` and `--quiet`"},
	} {
		if c.wrong {
			return errs.New(errs.Invalid, "%s", c.msg)
		}
	}
	return nil
}

func (a *App) ignoreTargets(r *repo.Repo, o ignoreFlags, targets []string) (found bool, err error) {
	for _, t := range targets {
		hit, err := a.showIgnore(r, o, t)
		if err != nil {
			return found, err
		}
		found = found || hit
	}
	return found, nil
}

// showIgnore prints what there is to say of a target and reports whether a
// pattern was found for it.
func (a *App) showIgnore(r *repo.Repo, o ignoreFlags, target string) (bool, error) {
	c, err := r.CheckIgnore(target)
	if err != nil {
		return false, err
	}
	switch {
	case o.details && c.Rule != "":
		a.UI.Printf("%s\t%s\n", ui.Quote(c.Rule), ui.Quote(target))
	case o.details:
		if o.nonMatching {
			a.UI.Printf("::\t%s\n", ui.Quote(target))
		}
		return false, nil
	case !c.Ignored:
		return false, nil
	default:
		a.UI.Printf("%s\n", ui.Quote(target))
	}
	return true, nil
}

// ignoreStdin answers line by line, so that a program may ask one path after
// the other. An interrupt ends the questions like the end of the input.
func (a *App) ignoreStdin(ctx context.Context, r *repo.Repo, o ignoreFlags) (found bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := readLines(ctx, a.Env.Stdin)
	for {
		select {
		case <-ctx.Done():
			return found, nil
		case l := <-lines:
			if l.text == "" {
				return found, l.err
			}
			hit, err := a.showIgnore(r, o, l.text)
			if err == nil {
				err = a.UI.Flush()
			}
			if err != nil {
				return found, err
			}
			found = found || hit
		}
	}
}

// line is a line without its end. The last has no text.
type line struct {
	text string
	err  error // of reading; nil at the end of the input
}

// readLines reads in the background, because nothing interrupts a read.
func readLines(ctx context.Context, in io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		b := bufio.NewReader(in)
		for {
			text, err := b.ReadString('\n')
			l := line{text: strings.TrimSuffix(text, "\n")}
			if err != nil && err != io.EOF {
				l = line{err: err}
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
			if l.text == "" {
				return
			}
		}
	}()
	return lines
}
