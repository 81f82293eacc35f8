package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

func newGC(a *App) *cobra.Command {
	var o repo.GCOptions
	var force, undo bool
	var olderThan string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Garbage collect unused objects from cache or remote storage.",
		Long: `Delete the objects of the cache, and with --cloud of a remote, that nothing uses
which is to be kept: the workspace, and what the options name besides. Before it
asks, it shows what would go and which commits used it.

What goes from the cache, or from a remote that is a folder, waits in a trash for
seven days ("cairn config cairn.trash_days") and comes back with --undo. Other
remotes have no trash: there, objects younger than a day stay (--older-than), and
so do those that neither the cache nor its trash has (--last-copies).

If there is doubt about what is used, nothing is deleted: a pointer file or list
of files in a kept revision that cannot be read, a stage that is running, another
repository on the same cache that was not named with --projects.`,
		Example: "  cairn gc -w --dry\n  cairn gc -a -T\n  cairn gc -A -c -r store --older-than 30d\n  cairn gc --undo",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Workspace, "workspace", "w", false, "Keep data files used in the current workspace.")
	f.StringVar(&o.Rev, "rev", "", "Keep data files used in the specified `<commit>`.")
	f.IntVarP(&o.Num, "num", "n", 0, "Keep data files used in the last `<num>` commits starting from each selected revision; can be used with --rev and --all-branches.")
	f.BoolVarP(&o.Branches, "all-branches", "a", false, "Keep data files for the tips of all Git branches.")
	f.BoolVarP(&o.Tags, "all-tags", "T", false, "Keep data files for all Git tags.")
	f.BoolVarP(&o.Commits, "all-commits", "A", false, "Keep data files for all Git commits.")
	f.StringVar(&o.Date, "date", "", "Keep data files used in the commits since the day `<yyyy-mm-dd>`.")
	f.BoolVar(&o.Experiments, "all-experiments", false, "Keep data files for all experiments.")
	f.BoolVar(&o.NotInRemote, "not-in-remote", false, "Keep data files that are not present in the remote.")
	f.BoolVarP(&o.Cloud, "cloud", "c", false, "Collect garbage in remote storage in addition to local cache.")
	f.StringVarP(&o.Remote, "remote", "r", "", "Remote storage `<name>` to collect garbage in.")
	f.BoolVar(&o.SkipFailed, "skip-failed", false, "Skip revisions that fail when collected.")
	f.BoolVarP(&force, "force", "f", false, "Do not ask.")
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "`<number>` of requests at the same time.")
	f.StringArrayVarP(&o.Projects, "projects", "p", nil, "Keep data files required by the repositories at `<paths>` too.")
	nargs(cmd, "projects", "*")
	f.BoolVar(&o.Dry, "dry", false, "Only print what would get removed without actually removing.")
	f.StringVar(&olderThan, "older-than", "", "Delete from a remote only what is older than `<time>`, such as 12h or 30d; the default is 24h.")
	f.BoolVar(&o.LastCopies, "last-copies", false, "Delete from a remote also what no other place is known to have.")
	f.BoolVar(&o.NoTrash, "no-trash", false, "Delete for good what would wait in the trash, and what waits there already.")
	f.BoolVar(&undo, "undo", false, "Bring back what the last collection deleted from the cache or, with --cloud, from a remote that is a folder.")
	a.JSONFlag(cmd)
	a.CompleteFlag(cmd, "rev", CompleteRevs)
	a.CompleteFlag(cmd, "remote", CompleteRemotes)
	cmd.RunE = a.Run(func(ctx context.Context, _ []string) error {
		if olderThan != "" {
			age, err := parseAge(olderThan)
			if err != nil {
				return UsageErrorf(cmd, "argument --older-than: "+err.Error())
			}
			o.OlderThan = &age
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		if undo {
			return a.gcUndo(ctx, r, o)
		}
		return a.gc(ctx, r, o, force)
	})
	return cmd
}

// parseAge reads a duration, in days too: "36h", "30d".
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 100_000 {
			return 0, fmt.Errorf("%q is no time such as 12h or 30d", s)
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time such as 12h or 30d", s)
	}
	return d, nil
}

func (a *App) gc(ctx context.Context, r *repo.Repo, o repo.GCOptions, force bool) error {
	asks := !force && !o.Dry
	refused := false
	if asks {
		o.Confirm = func(p *repo.GCPlan) bool {
			a.showGCPlan(p)
			if n, _ := p.Total(); n == 0 {
				return true
			}
			refused = !a.confirm("Are you sure you want to proceed?")
			return !refused
		}
	}
	o.Trace = asks || o.Dry
	if err := o.Check(); err != nil {
		return err
	}
	a.UI.Warnf("%s", gcWarning(o, a.Path))
	plan, err := r.GC(ctx, o)
	if a.JSON && plan != nil {
		if jerr := a.UI.JSON(plan); jerr != nil {
			return jerr
		}
	}
	if err != nil {
		return err
	}
	if refused {
		return ExitWith(exitHandled)
	}
	if a.JSON {
		return nil
	}
	if o.Dry {
		a.showGCPlan(plan)
	}
	undoable := 0
	for _, at := range plan.Places {
		n := at.Removed
		if o.Dry {
			n = at.Objects
			for _, p := range at.Paths() {
				a.UI.Printf("Removing %s\n", ui.Quote(p))
			}
		}
		a.UI.Printf("%s\n", gcResult(at, n))
		if at.Trash {
			undoable += at.Removed
		}
		if at.Young > 0 {
			a.UI.Notef("Kept %s of remote '%s' that nothing uses but that are too young to be given up: see --older-than.", objects(at.Young), at.Remote)
		}
		if at.LastCopies > 0 {
			a.UI.Notef("Kept %s of remote '%s' that nothing uses but that neither the cache nor its trash has: see --last-copies.", objects(at.LastCopies), at.Remote)
		}
	}
	if undoable > 0 {
		a.UI.Notef("They can be brought back for %s: %s gc --undo", plural(r.Config.Cairn.TrashDays, "day", "days"), a.Prog)
	}
	return nil
}

// gcResult is DVC's line about a place.
func gcResult(at *repo.GCPlace, n int) string {
	switch {
	case at.Remote != "" && n == 0:
		return "No unused cache to remove from remote."
	case at.Remote != "":
		return fmt.Sprintf("Removed %d objects from remote.", n)
	case n == 0:
		return fmt.Sprintf("No unused '%s' cache to remove.", at.Name)
	}
	return fmt.Sprintf("Removed %d objects from %s cache.", n, at.Name)
}

// gcWarning is DVC's text about what is kept.
func gcWarning(o repo.GCOptions, abs func(string) string) string {
	msg := "This will remove all cache except items used in the workspace"
	num := o.Num
	last := ""
	if num != 0 {
		last = fmt.Sprintf("last %d commits from ", num)
	}
	switch {
	case o.Commits:
		msg += " and all git commits"
	default:
		switch {
		case o.Branches && o.Tags && last != "":
			msg += " and " + last + "all git branches and all git tags"
		case o.Branches && o.Tags:
			msg += " and all git branches and tags"
		case o.Branches:
			msg += " and " + last + "all git branches"
		case o.Tags:
			msg += " and all git tags"
		}
		if o.Date != "" {
			msg += " and all git commits since " + o.Date
		}
		if o.Rev != "" {
			msg += fmt.Sprintf(" and last %d commits from %s", max(num, 1), o.Rev)
		}
	}
	if o.Experiments {
		msg += " and all experiments"
	}
	if o.NotInRemote {
		msg += " that are not present in the DVC remote"
	}
	if len(o.Projects) == 0 {
		return msg + " of the current repo."
	}
	msg += " of the current and the following repos:"
	for _, p := range o.Projects {
		msg += "\n  - " + filepath.Clean(abs(p))
	}
	return msg
}

// showGCPlan says what would go, and who used it.
func (a *App) showGCPlan(p *repo.GCPlan) {
	for _, at := range p.Places {
		if at.Objects == 0 {
			continue
		}
		where := "the cache"
		switch {
		case at.Remote != "":
			where = "remote '" + at.Remote + "'"
		case at.Name == "legacy":
			where = "the cache of DVC 2"
		}
		line := fmt.Sprintf("From %s would go %s, %s", where, objects(at.Objects), ui.FormatBytes(at.Bytes))
		if !at.Oldest.IsZero() {
			line += fmt.Sprintf(", stored from %s to %s", at.Oldest.Format(time.DateOnly), at.Newest.Format(time.DateOnly))
		}
		a.UI.Notef("%s.", line)
	}
	if len(p.UsedBy) > 0 {
		a.UI.Notef("Used by:")
		for _, u := range p.UsedBy {
			a.UI.Notef("  %s  %s  %s  (%s)", u.Rev[:min(7, len(u.Rev))], u.Time.Format(time.DateOnly), ui.Quote(u.Subject), objects(u.Objects))
		}
		if p.MoreUsers > 0 {
			a.UI.Notef("  and %s", plural(p.MoreUsers, "older commit", "older commits"))
		}
	}
}

func objects(n int) string { return plural(n, "object", "objects") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (a *App) gcUndo(ctx context.Context, r *repo.Repo, o repo.GCOptions) error {
	if o.Workspace || o.Rev != "" || o.Branches || o.Tags || o.Commits || o.Experiments || o.Date != "" || o.Dry {
		return errs.New(errs.Usage, "--undo goes with --cloud and --remote only")
	}
	res, err := r.GCUndo(ctx, o.Cloud, o.Remote)
	if err != nil {
		return Handled("failed to bring back what gc deleted", err)
	}
	if a.JSON {
		return a.UI.JSON(res)
	}
	where := "the cache"
	if res.Remote != "" {
		where = "remote '" + res.Remote + "'"
	}
	a.UI.Printf("Brought back %s (%s) that were deleted from %s on %s.\n", objects(res.Objects), ui.FormatBytes(res.Bytes), where,
		res.Deleted.Format("2006-01-02 15:04"))
	return nil
}
