package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
)

func newVerify(a *App) *cobra.Command {
	var o repo.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify [targets ...]",
		Short: "Check, without the data, that what is recorded is true and stored.",
		Long: `For continuous integration, on a plain clone: check that dvc.lock goes with
dvc.yaml, with the parameters, with the files that Git tracks and with what the
stages before recorded, so that repro would have nothing to do; and that the remote
has every object that dvc.lock and .dvc files name. No data are needed or fetched,
at most lists of the files of folders. Takes no lock and changes nothing.

Dependencies that only the data could tell about are listed as unchecked, and are
no failure.

Exit codes: 0 all is right; 1 something is not, and standard output says what; 251
no remote is configured (use --no-remote) or the configuration is wrong; 253 not in
a repository; 255 it could not be found out, as when the remote cannot be reached.

With --json: {"ok": false, "stages": 12, "objects": 340, "remotes": ["origin"],
"problems": [{"stage": "train", "kind": "param", "path": "params.yaml", "key": "lr",
"state": "modified", "old": 0.1, "new": 0.2}], "unchecked": []}. Kinds are not run,
command, dep, param, out, checksum and remote; the last have digest and remote.`,
		Example: "  cairn verify\n  cairn verify --no-remote train\n  cairn verify -r backup --json",
	}
	f := cmd.Flags()
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>`; the default remote if not given.")
	f.BoolVar(&o.NoRemote, "no-remote", false, "Ask no remote.")
	f.BoolVar(&o.VerifyRemote, "verify-remote", false, "Ask the remote for each object, with its size, whatever it says of whole folders.")
	exclusive(cmd, "remote", "no-remote")
	argHelp(cmd, "targets", "Limit the check to these stages, stage files or outputs.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteTargets)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		o.Targets = args
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Verify(ctx, o)
		if err != nil {
			return err
		}
		if a.JSON {
			if err := a.UI.JSON(res); err != nil {
				return err
			}
		} else {
			a.showVerify(res, o)
		}
		if !res.OK {
			return ExitWith(exitHandled)
		}
		return nil
	})
	return cmd
}

func (a *App) showVerify(res repo.VerifyResult, o repo.VerifyOptions) {
	last := ""
	for _, p := range res.Problems {
		if p.Stage != last {
			a.UI.Printf("%s:\n", ui.Quote(p.Stage))
			last = p.Stage
		}
		a.UI.Printf("\t%s\n", ui.Clean(problemLine(p)))
	}
	for _, p := range res.Unchecked {
		a.UI.Notef("%s: %s %s could not be checked without the data", ui.Quote(p.Stage), p.Kind, ui.Quote(p.Path))
	}
	what := fmt.Sprintf("%s and %s", count(res.Stages, "stage"), count(res.Objects, "object"))
	if o.NoRemote {
		what = count(res.Stages, "stage")
	} else if len(res.Remotes) > 0 {
		what += " in " + ui.Quote(strings.Join(res.Remotes, ", "))
	}
	if res.OK {
		a.UI.Printf("Verified %s.\n", what)
		return
	}
	a.UI.Printf("%s in %s.\n", count(len(res.Problems), "problem"), what)
}

func problemLine(p repo.VerifyProblem) string {
	switch p.Kind {
	case repo.WhyNotRun:
		return "is not in dvc.lock: it has not run"
	case repo.WhyRemote:
		return fmt.Sprintf("remote '%s': %s %s (%s)", p.Remote, p.Path, p.State, p.Digest)
	case repo.WhyChecksum:
		return "the checksum in the file is not that of the file"
	}
	return whyLine(p.Reason)
}

// count is a number of things: "1 stage", "2 stages".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
