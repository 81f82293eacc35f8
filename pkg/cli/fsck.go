package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newFsck(a *App) *cobra.Command {
	var o repo.FsckOptions
	var cloud, all bool
	var share, limit string
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that the cache and remotes hold what they should.",
		Long: `Hash the objects of the cache, or of remotes, and look for what the pointer files
need and is not there. Each damaged or missing object is named with the paths and
revisions that use it. Damaged ones are moved aside, to names that are no objects,
so that nothing uses them; with --repair a good copy takes their place, from the
workspace, the trash, the cache or any remote.

A long check can be done in parts: a share of the objects, chosen by chance each
time, or all of them with a limit of time, going on later where it ended. The exit
code is 0 if everything is as it should be or was repaired, and 1 if not.`,
		Example: "  cairn fsck\n  cairn fsck --repair\n  cairn fsck -r store --sample 5%\n  cairn fsck --all --time-limit 30m --continue",
	}
	f := cmd.Flags()
	f.BoolVar(&o.Cache, "cache", false, "Check the cache: the default unless a remote is named.")
	f.BoolVarP(&cloud, "cloud", "c", false, "Check the default remote.")
	f.StringArrayVarP(&o.Remotes, "remote", "r", nil, "Check the remote `<name>`; may be given several times.")
	f.BoolVar(&all, "all", false, "Check the cache and all remotes.")
	f.StringVar(&share, "sample", "", "Hash a `<share>` of the objects, such as 5% or 1/20; sizes and absence are looked at for all.")
	f.StringVar(&limit, "time-limit", "", "End after `<time>`, such as 30m.")
	f.BoolVar(&o.Continue, "continue", false, "Go on where the last check ended.")
	f.BoolVar(&o.Repair, "repair", false, "Put good copies in the place of damaged and missing objects.")
	f.BoolVar(&o.Dry, "dry", false, "Only report: move nothing aside.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of objects at the same time.")
	f.BoolVarP(&o.Branches, "all-branches", "a", false, "Miss also what the tips of all branches use.")
	f.BoolVarP(&o.Tags, "all-tags", "T", false, "Miss also what all tags use.")
	f.BoolVarP(&o.Commits, "all-commits", "A", false, "Miss also what any commit uses.")
	a.JSONFlag(cmd)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	exclusive(cmd, "repair", "dry")
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		var err error
		if o.Share, err = parseShare(share); err != nil {
			return UsageErrorf(cmd, "argument --sample: "+err.Error())
		}
		if limit != "" {
			if o.TimeLimit, err = parseAge(limit); err != nil {
				return UsageErrorf(cmd, "argument --time-limit: "+err.Error())
			}
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if cloud {
			o.Remotes = append(o.Remotes, "")
		}
		if all {
			o.Cache, o.Remotes = true, r.Config.Remotes()
		}
		res, err := r.Fsck(ctx, o)
		if a.JSON && res != nil {
			if jerr := a.UI.JSON(res); jerr != nil {
				return jerr
			}
		} else if res != nil {
			a.showFsck(res)
		}
		if errors.Is(err, repo.ErrFsck) {
			return Handled("", errs.WithHint(fsckFailure(res), "%s", fsckRemedy(o, res)))
		}
		return Handled("failed to check", err)
	})
	return cmd
}

// parseShare reads "5%", "1/20" or "0.05"; "" is all.
func parseShare(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	bad := errs.New(errs.Usage, "%q is no share such as 5%% or 1/20", s)
	num, den, isFraction := strings.Cut(s, "/")
	text, percent := strings.CutSuffix(num, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0, bad
	}
	switch {
	case isFraction:
		d, err := strconv.ParseFloat(den, 64)
		if err != nil || percent {
			return 0, bad
		}
		n /= d
	case percent:
		n /= 100
	}
	if !(n > 0 && n <= 1) {
		return 0, bad
	}
	return n, nil
}

func (a *App) showFsck(res *repo.FsckResult) {
	for _, p := range res.Places {
		for _, o := range p.Damaged {
			a.showFsckObject(p, "damaged", o)
		}
		for _, o := range p.Missing {
			a.showFsckObject(p, "missing", o)
		}
		for _, name := range p.Foreign {
			a.UI.Printf("%s: foreign %s\n", p.Name, ui.Quote(name))
		}
		line := p.Name + ": " + strconv.Itoa(p.Checked) + " of " + objects(p.Objects) + " hashed, " + ui.FormatBytes(p.Bytes)
		for _, c := range []struct {
			n    int
			what string
		}{{len(p.Damaged), "damaged"}, {len(p.Missing), "missing"}, {len(p.Foreign), "foreign"}, {p.Repaired, "repaired"}} {
			if c.n > 0 {
				line += ", " + strconv.Itoa(c.n) + " " + c.what
			}
		}
		a.UI.Printf("%s.\n", line)
	}
	if res.Unfinished {
		a.UI.Printf("The time ran out. Go on with: %s fsck --continue and the same options.\n", a.Prog)
	}
}

func (a *App) showFsckObject(p *repo.FsckPlace, state string, o *repo.FsckObject) {
	a.UI.Printf("%s: %s %s: %s\n", p.Name, state, o.Digest, o.What)
	for _, u := range o.Users {
		a.UI.Printf("\tused by %s in %s\n", ui.Quote(u.Path), u.Rev)
	}
	switch {
	case o.MoreUsers > 0:
		a.UI.Printf("\tand by %s\n", plural(o.MoreUsers, "other path or revision", "other paths or revisions"))
	case len(o.Users) == 0:
		a.UI.Printf("\tno pointer file of the workspace or of a commit names it\n")
	}
	if o.MovedTo != "" {
		a.UI.Printf("\tmoved aside: %s\n", ui.Quote(a.Rel(o.MovedTo)))
	}
	if o.Repaired != "" {
		a.UI.Printf("\trepaired from %s\n", ui.Quote(o.Repaired))
	}
}

func fsckFailure(res *repo.FsckResult) error {
	damaged, missing := 0, 0
	for _, p := range res.Places {
		for _, o := range p.Damaged {
			if o.Repaired == "" {
				damaged++
			}
		}
		for _, o := range p.Missing {
			if o.Repaired == "" {
				missing++
			}
		}
	}
	var parts []string
	if damaged > 0 {
		parts = append(parts, objects(damaged)+" damaged")
	}
	if missing > 0 {
		parts = append(parts, objects(missing)+" missing")
	}
	return errs.New(errs.Corrupt, "%s", strings.Join(parts, ", "))
}

func fsckRemedy(o repo.FsckOptions, res *repo.FsckResult) string {
	if o.Repair {
		return "No good copy was found in the workspace, the trash, the cache or the remotes. Another clone may have one: push from there, or add the data again."
	}
	for _, p := range res.Places {
		if p.Name == "cache" && len(p.Missing) > 0 && len(p.Damaged) == 0 {
			return "Bring what is missing: cairn fetch. Look for good copies everywhere: cairn fsck --repair."
		}
	}
	return "Put good copies in their place: cairn fsck --repair with the same options."
}
