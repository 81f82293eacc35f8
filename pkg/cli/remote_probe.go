package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/remote/probe"
	"github.com/cairndata/cairn/pkg/repo"
)

func newRemoteTest(a *App) *cobra.Command {
	var o repo.RemoteTestOptions
	cmd := &cobra.Command{
		Use:   "test [name]",
		Short: "Check that a data remote does what cairn needs of it.",
		Long: `Write, read, list and delete in a remote, and say in words what does not work:
credentials, permissions, region, clock, certificates, addresses. Then check that
the place keeps its promises: nothing half written is ever seen, lengths and bytes
are right, many requests at the same time do no harm. How long a request takes
and how fast bytes move is measured briefly.

All happens below a name of its own that begins with .cairn-test-, which is
removed in the end, also after a failure or Ctrl-C. A bucket that keeps versions
keeps those of the test too.

The exit code is 0 if all that is needed works, and 1 if not. Without a name it is
the default remote that is tested.`,
		Example: "  cairn remote test store\n  cairn remote test --read-only public\n  cairn remote test store --json",
	}
	f := cmd.Flags()
	f.BoolVar(&o.ReadOnly, "read-only", false, "Write nothing: check what fetch needs.")
	f.BoolVar(&o.Full, "full", false, "Also move large objects and list many: some hundred megabytes.")
	a.JSONFlag(cmd)
	argHelp(cmd, "name", "Name of the remote")
	a.Complete(cmd, CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.Remote = args[0]
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if !a.JSON {
			o.Begin = func(name, url string) { a.UI.Printf("Testing remote '%s' at %s\n", ui.Clean(name), ui.Clean(url)) }
			o.Done = a.printCheck
		}
		res, err := r.TestRemote(ctx, o)
		if a.JSON && res.Checks != nil {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else if err == nil {
			a.printVerdict(res)
		}
		if err == nil && !res.OK {
			return ExitWith(exitHandled)
		}
		return Handled("failed to test the remote", err)
	})
	return cmd
}

// printCheck shows a check as soon as it has ended.
func (a *App) printCheck(c probe.Result) {
	line := fmt.Sprintf("  %-8s%s", c.Status, c.Name)
	if c.Text != "" {
		line += ": " + ui.Clean(c.Text)
	}
	a.UI.Printf("%s\n", line)
	for _, e := range c.Errors {
		a.UI.Printf("          %s\n", ui.Clean(strings.ReplaceAll(e, "\n", " ")))
	}
	if c.Hint != "" {
		a.UI.Printf("          %s\n", ui.Clean(c.Hint))
	}
}

func (a *App) printVerdict(res repo.RemoteTest) {
	if s := res.Speed; s != nil {
		line := "A request takes " + time.Duration(s.Latency*float64(time.Second)).Round(10*time.Microsecond).String()
		if s.Upload > 0 {
			line += fmt.Sprintf("; with %d at a time, %s/s go up and %s/s come down", s.Jobs, ui.FormatBytes(int64(s.Upload)), ui.FormatBytes(int64(s.Download)))
		}
		a.UI.Printf("%s.\n", line)
	}
	if len(res.Left) > 0 {
		a.UI.Printf("Left behind, please delete: %s\n", ui.Clean(strings.Join(res.Left, ", ")))
	}
	failed := 0
	for _, c := range res.Checks {
		if c.Status == probe.Failed {
			failed++
		}
	}
	name := ui.Clean(res.Remote)
	switch {
	case failed > 0:
		a.UI.Printf("Remote '%s' does not do what is needed: %d of %d checks failed.\n", name, failed, len(res.Checks))
	case res.ReadOnly:
		a.UI.Printf("Remote '%s' can be read. Nothing was written.\n", name)
	default:
		a.UI.Printf("Remote '%s' works.\n", name)
	}
}
