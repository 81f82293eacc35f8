package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func newDiff(a *App) *cobra.Command {
	var o repo.DiffOptions
	var showHash, markdown, hideMissing bool
	cmd := &cobra.Command{
		Use:   "diff [a_rev] [b_rev]",
		Short: "Show added, modified, or deleted data between commits, or between a commit and the workspace.",
		Long: `Show added, modified, deleted or renamed data between two commits, or between a
commit (HEAD if none is given) and the workspace. Nothing is checked out.`,
		Example: "  cairn diff\n  cairn diff HEAD~1 HEAD --json\n  cairn diff --targets data -- v1.0",
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Targets, "targets", nil, "Specific tracked files to compare: one or more `<paths>`.")
	nargs(cmd, "targets", "*")
	a.JSONFlag(cmd)
	f.BoolVar(&showHash, "show-hash", false, "Display hash value for each entry.")
	f.BoolVar(&markdown, "md", false, "Show tabulated output in the Markdown format (GFM).")
	f.BoolVar(&hideMissing, "hide-missing", false, "Hide missing cache file status.")
	a.Complete(cmd, CompleteRevs)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.A = args[0]
		}
		if len(args) > 1 {
			o.B = args[1]
			hideMissing = true
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.Diff(ctx, o)
		if _, ok := errors.AsType[*repo.DiffTargetError](err); ok {
			return fmt.Errorf("failed to get diff - %w", err) // with DVC's exit code
		}
		if err != nil {
			return Handled("failed to get diff", err)
		}
		groups := diffGroups(res, hideMissing)
		switch {
		case a.JSON:
			return a.UI.JSON(diffObject(res, groups, showHash))
		case markdown:
			return diffTable(groups, showHash).WriteMarkdown(a.UI.Out())
		case !res.Empty():
			a.showDiff(groups, showHash)
		}
		return nil
	})
	return cmd
}

// diffGroup is the paths of one state.
type diffGroup struct {
	state string
	paths []repo.DiffPath
}

func diffGroups(d repo.DiffResult, hideMissing bool) []diffGroup {
	g := []diffGroup{{"added", d.Added}, {"deleted", d.Deleted}, {"renamed", d.Renamed}, {"modified", d.Modified}}
	if !hideMissing {
		g = append(g, diffGroup{"not in cache", d.NotInCache})
	}
	return g
}

// diffObject is the result as DVC's JSON has it; {} if nothing differs.
func diffObject(d repo.DiffResult, groups []diffGroup, showHash bool) any {
	top := yamlfmt.NewMap()
	if d.Empty() {
		return top
	}
	for _, state := range []string{"added", "deleted", "modified", "renamed", "not in cache"} {
		for _, g := range groups {
			if g.state != state {
				continue
			}
			list := make([]any, 0, len(g.paths))
			for _, p := range g.paths {
				list = append(list, diffEntry(p, showHash))
			}
			top.Set(state, list)
		}
	}
	return top
}

func diffEntry(p repo.DiffPath, showHash bool) *yamlfmt.Map {
	e := yamlfmt.NewMap("path", p.Path)
	if p.New != "" {
		e.Set("path", yamlfmt.NewMap("old", p.Path, "new", p.New))
	}
	switch {
	case !showHash:
	case p.NewHash != "":
		e.Set("hash", yamlfmt.NewMap("old", p.Hash, "new", p.NewHash))
	default:
		e.Set("hash", p.Hash)
	}
	return e
}

// shortHash is the first digits of a hash, or of both.
func shortHash(p repo.DiffPath) string {
	short := func(h string) string { return h[:min(8, len(h))] }
	if p.NewHash != "" {
		return short(p.Hash) + ".." + short(p.NewHash)
	}
	return short(p.Hash)
}

func diffName(p repo.DiffPath) string {
	if p.New != "" {
		return ui.Quote(p.Path) + " -> " + ui.Quote(p.New)
	}
	return ui.Quote(p.Path)
}

func diffTable(groups []diffGroup, showHash bool) *report.Table {
	t := &report.Table{Headers: []string{"Status", "Path"}}
	if showHash {
		t.Headers = []string{"Status", "Hash", "Path"}
	}
	for _, g := range groups {
		for _, p := range g.paths {
			if showHash {
				t.Add(g.state, shortHash(p), diffName(p))
			} else {
				t.Add(g.state, diffName(p))
			}
		}
	}
	return t
}

func (a *App) showDiff(groups []diffGroup, showHash bool) {
	var summary []string
	for _, g := range groups {
		if len(g.paths) == 0 {
			continue
		}
		a.UI.Printf("%s:\n", strings.ToUpper(g.state[:1])+g.state[1:])
		files := 0
		for _, p := range g.paths {
			hash := ""
			if showHash {
				hash = shortHash(p) + "  "
			}
			a.UI.Printf("    %s%s\n", hash, diffName(p))
			if !strings.HasSuffix(p.Path, "/") {
				files++
			}
		}
		a.UI.Printf("\n")
		if files > 0 {
			summary = append(summary, fmt.Sprintf("%d %s", files, g.state))
		}
	}
	if len(summary) > 0 {
		a.UI.Printf("files summary: %s\n", strings.Join(summary, ", "))
	}
}
