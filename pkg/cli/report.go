package cli

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/report/plot"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// reportRows bounds a table of a report; a comment on GitHub holds 65,536
// characters.
const reportRows = 100

// reportFlags are the options of report beside those of the repository.
type reportFlags struct {
	repo.ReportOptions
	html   bool
	output string
	title  string
	digits int
}

func newReport(a *App) *cobra.Command {
	var o reportFlags
	cmd := &cobra.Command{
		Use:   "report [rev]",
		Short: "Write what changed since a revision as one page, for pull requests.",
		Long: `Write one page about what the workspace changes since a revision: metrics,
parameters, plots, data and stages, and the conditions of "metrics check" if dvc.yaml
has some. By default that is HEAD; in the CI of a request to merge, the commit at
which its branch begins; in other CI, the parent of HEAD. Data is compared by what is
recorded, so it need not be pulled.

The page is Markdown for a comment or a job summary. With -o its plots are pictures
in a folder beside the file, NAME_plots; on standard output they are drawn with
characters. --html writes a page that holds its plots and needs no network.
The exit code is 0 whatever has changed.`,
		Example: "  cairn report main --merge-base\n  cairn report >> \"$GITHUB_STEP_SUMMARY\"\n  cairn report v1.0 --html -o report.html",
	}
	f := cmd.Flags()
	f.BoolVar(&o.html, "html", false, "Write an HTML page; also chosen by an output that ends in .html.")
	f.StringVarP(&o.output, "output", "o", "", "Write to a `<file>` in place of standard output.")
	f.BoolVar(&o.MergeBase, "merge-base", false, "Compare with the commit at which HEAD left the revision.")
	f.BoolVar(&o.All, "all", false, "Show metrics, params and plots that have not changed as well.")
	f.BoolVar(&o.NoPlots, "no-plots", false, "Leave out plots.")
	f.StringVar(&o.title, "title", "Changes", "`<title>` of the page.")
	f.IntVar(&o.digits, "precision", 0, "Round metrics to `<n>` digits precision after the decimal point (5 by default).")
	a.JSONFlag(cmd)
	exclusive(cmd, "json", "html")
	argHelp(cmd, "rev", "Git commit to compare with.")
	a.Complete(cmd, CompleteRevs)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.Rev = args[0]
		}
		if ext := strings.ToLower(filepath.Ext(o.output)); ext == ".html" || ext == ".htm" {
			o.html = o.html || !a.JSON
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		rep, err := r.Report(ctx, o.ReportOptions)
		if err != nil {
			return err
		}
		return a.writeReport(r, rep, o)
	})
	return cmd
}

func (a *App) writeReport(r *repo.Repo, rep repo.Report, o reportFlags) error {
	var out bytes.Buffer
	files := map[string][]byte{}
	if a.JSON {
		if err := ui.JSON(&out, reportJSON(rep)); err != nil {
			return err
		}
	} else {
		page, err := reportPage(rep, o, files)
		if err != nil {
			return err
		}
		write := page.WriteMarkdown
		if o.html {
			write = page.WriteHTML
		}
		if err := write(&out); err != nil {
			return err
		}
	}
	if o.output == "" {
		_, err := a.UI.Out().Write(out.Bytes())
		return err
	}
	return r.WriteReport(o.output, out.Bytes(), files)
}

// reportPage lays out a report. The plots that Markdown shows as pictures go
// to files, by their path beside the report.
func reportPage(rep repo.Report, o reportFlags, files map[string][]byte) (*report.Page, error) {
	since := report.Rich{"Since ", report.Code(rep.Base.Name), " (", report.Code(rep.Base.SHA[:7]), ")."}
	if rep.Base.Fork {
		since = report.Rich{"Since ", report.Code(rep.Base.SHA[:7]), ", where HEAD left ", report.Code(rep.Base.Name), "."}
	}
	p := &report.Page{Title: report.Rich{report.Code(o.title)}, Intro: []report.Rich{since}}
	if o.title == "Changes" {
		p.Title = report.Rich{o.title}
	}
	figures, err := reportFigures(rep, o, files)
	if err != nil {
		return nil, err
	}
	for _, s := range []*report.Section{
		checkSection(rep, orDefault(o.digits)),
		valuesSection("Metrics", "Metric", rep, rep.Metrics, orDefault(o.digits)),
		valuesSection("Params", "Param", rep, rep.Params, 0),
		figures, reportDataSection(rep.Data), stageSection(rep.Stages), noteSection(rep.Notes),
	} {
		if s != nil {
			p.Sections = append(p.Sections, *s)
		}
	}
	if len(p.Sections) == 0 {
		p.Intro = append(p.Intro, report.Rich{"Nothing has changed in data, stages, params, metrics and plots."})
	}
	return p, nil
}

// code is a value in a report, nil if there is none.
func code(v any, digits int) any {
	if v == nil {
		return nil
	}
	text := report.Rounded(v, digits)
	if _, ok := report.Number(v); ok {
		return text
	}
	return report.Code(text)
}

// bounded cuts a table and says how much was left out.
func bounded(t *report.Table) []report.Rich {
	n := len(t.Rows) - reportRows
	if n <= 0 {
		return nil
	}
	t.Rows = t.Rows[:reportRows]
	return []report.Rich{{fmt.Sprintf("%d more are not shown.", n)}}
}

func checkSection(rep repo.Report, digits int) *report.Section {
	if rep.Checks == nil {
		return nil
	}
	t := &report.Table{Headers: []string{"", "Condition", "State", "Metric", "Value", "Before", "Change"}}
	mark := map[report.State]string{report.Met: "✅", report.Failed: "❌", report.Missing: "❓"}
	failed := 0
	for _, c := range rep.Checks.Conditions {
		if c.State != report.Met {
			failed++
		}
		lead := []any{mark[c.State], report.Code(c.Condition), string(c.State)}
		for _, m := range c.Metrics {
			t.Add(append(lead, report.Code(m.Name), code(m.Value, digits), code(m.Old, digits), code(m.Diff, digits))...)
			lead = []any{"", "", ""}
		}
		if len(c.Metrics) == 0 {
			t.Add(append(lead, "", "", "", "")...)
		}
	}
	words := report.Rich{"All conditions are met."}
	if failed > 0 {
		words = report.Rich{fmt.Sprintf("%d of %d conditions are not met.", failed, len(rep.Checks.Conditions))}
	}
	s := &report.Section{Title: "Checks", Words: []report.Rich{words}, Table: t}
	s.Items = bounded(t)
	return s
}

func valuesSection(title, column string, rep repo.Report, d repo.ValuesDiff, digits int) *report.Section {
	if len(d.Files) == 0 {
		return nil
	}
	t := &report.Table{
		Headers: []string{"Path", column, "Before", "Now", "Change"},
		Align:   []report.Align{report.Left, report.Left, report.Right, report.Right, report.Right},
	}
	for _, f := range d.Files {
		for _, c := range f.Changes {
			t.Add(report.Code(f.Path), report.Code(yamlfmt.PyStr(c.Key)), code(c.Old, digits), code(c.New, digits), code(c.Diff, digits))
		}
	}
	s := &report.Section{Title: title, Table: t}
	s.Items = bounded(t)
	return s
}

// reportFigures draws the plots.
func reportFigures(rep repo.Report, o reportFlags, files map[string][]byte) (*report.Section, error) {
	if len(rep.Plots) == 0 {
		return nil, nil
	}
	s := &report.Section{Title: "Plots"}
	base := filepath.Base(o.output)
	folder := strings.TrimSuffix(base, filepath.Ext(base)) + "_plots"
	for _, p := range rep.Plots {
		f := report.Figure{Title: report.Rich{report.Code(p.ID)}}
		if !o.html && o.output == "" {
			var text strings.Builder
			if err := p.Text(&text, plot.TextOptions{}); err != nil {
				return nil, err
			}
			f.Text = text.String()
			s.Figures = append(s.Figures, f)
			continue
		}
		var svg bytes.Buffer
		if err := p.SVG(&svg, plot.SVGOptions{}); err != nil {
			return nil, err
		}
		if f.SVG = svg.Bytes(); !o.html {
			f.Link = folder + "/" + figureName(p.ID, folder, files)
			files[f.Link] = f.SVG
		}
		s.Figures = append(s.Figures, f)
	}
	return s, nil
}

// figureName makes the id of a plot the name of a file, one of its own.
func figureName(id, folder string, files map[string][]byte) string {
	stem := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-') {
			return r
		}
		return '_'
	}, id), ".")
	const most = 100
	stem = stem[:min(len(stem), most)]
	if stem == "" {
		stem = "plot"
	}
	name := stem + ".svg"
	for i := 2; ; i++ {
		taken := false
		for f := range files {
			taken = taken || strings.EqualFold(f, folder+"/"+name)
		}
		if !taken {
			return name
		}
		name = fmt.Sprintf("%s-%d.svg", stem, i)
	}
}

func reportDataSection(list []repo.DataChange) *report.Section {
	if len(list) == 0 {
		return nil
	}
	t := &report.Table{
		Headers: []string{"Change", "Path", "Before", "Now"},
		Align:   []report.Align{report.Left, report.Left, report.Right, report.Right},
	}
	counts := map[string]int{}
	for _, c := range list {
		slash := ""
		if c.IsDir {
			slash = "/"
		}
		name := report.Rich{report.Code(c.Path + slash)}
		if c.New != "" {
			name = append(name, " → ", report.Code(c.New+slash))
		}
		t.Add(c.State, name, amount(c.OldSize, c.OldFiles), amount(c.NewSize, c.NewFiles))
		if !c.InFolder {
			counts[c.State]++
		}
	}
	var words []string
	for _, state := range []string{"added", "deleted", "modified", "renamed"} {
		if counts[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	s := &report.Section{Title: "Data", Table: t}
	if len(words) > 0 {
		s.Words = []report.Rich{{strings.Join(words, ", ") + "."}}
	}
	s.Items = bounded(t)
	return s
}

// amount is a size and a number of files, nil if neither is known.
func amount(size int64, files int) any {
	var words []string
	if size >= 0 {
		words = append(words, naturalSize(size)+"B")
	}
	if size >= 0 && size < 1024 {
		words[0] = fmt.Sprintf("%d B", size)
	}
	switch {
	case files == 1:
		words = append(words, "1 file")
	case files > 1:
		words = append(words, fmt.Sprintf("%d files", files))
	}
	if len(words) == 0 {
		return nil
	}
	return strings.Join(words, ", ")
}

func stageSection(list []repo.StageChange) *report.Section {
	if len(list) == 0 {
		return nil
	}
	t := &report.Table{Headers: []string{"Change", "Stage", "What"}}
	const most = 8
	for _, c := range list {
		var what report.Rich
		for i, d := range c.What {
			if i > 0 {
				what = append(what, "; ")
			}
			what = append(what, d.Part)
			for j, name := range d.Names {
				if j == most {
					what = append(what, fmt.Sprintf(" and %d more", len(d.Names)-most))
					break
				}
				sep := ", "
				if j == 0 {
					sep = " "
				}
				what = append(what, sep, report.Code(name))
			}
		}
		t.Add(c.State, report.Code(c.Stage), what)
	}
	s := &report.Section{Title: "Stages", Table: t}
	s.Items = bounded(t)
	return s
}

func noteSection(notes []repo.ReportNote) *report.Section {
	if len(notes) == 0 {
		return nil
	}
	s := &report.Section{Title: "Not read"}
	for i, n := range notes {
		if i == reportRows {
			s.Items = append(s.Items, report.Rich{fmt.Sprintf("and %d more", len(notes)-i)})
			break
		}
		s.Items = append(s.Items, report.Rich{report.Code(n.What + " " + n.Name), ": ", report.Code(n.Why)})
	}
	return s
}

// reportObject is a report as data; of plots it has the ids.
type reportObject struct {
	Rev     string             `json:"rev"`
	SHA     string             `json:"sha"`
	Checks  *yamlfmt.Map       `json:"checks"`
	Metrics *yamlfmt.Map       `json:"metrics"`
	Params  *yamlfmt.Map       `json:"params"`
	Plots   []string           `json:"plots"`
	Data    []repo.DataChange  `json:"data"`
	Stages  []repo.StageChange `json:"stages"`
	Notes   []string           `json:"notes"`
}

func reportJSON(rep repo.Report) reportObject {
	o := reportObject{
		Rev: rep.Base.Name, SHA: rep.Base.SHA, Metrics: changesObject(rep.Metrics.Files), Params: changesObject(rep.Params.Files),
		Data: rep.Data, Stages: rep.Stages,
	}
	if rep.Checks != nil {
		o.Checks = checksObject(*rep.Checks)
	}
	for _, p := range rep.Plots {
		o.Plots = append(o.Plots, p.ID)
	}
	for _, n := range rep.Notes {
		o.Notes = append(o.Notes, n.What+" "+n.Name+": "+n.Why)
	}
	return o
}
