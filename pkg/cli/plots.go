package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report/plot"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func newPlots(a *App) *cobra.Command {
	return group(&cobra.Command{
		Use:   "plots",
		Short: "Commands to visualize and compare plot data.",
		Long: `Draw plots of tables, of lists in JSON and YAML files, and of images: on a page
that opens without a network, in the terminal, or as JSON for other programs.
Files are read at any revision; nothing is checked out.`,
		Example: "  cairn plots show --terminal\n  cairn plots diff main --open",
	}, newPlotsShow(a), newPlotsDiff(a), newPlotsModify(a), newPlotsTemplates(a))
}

// plotFlags are the options that show and diff have in common.
type plotFlags struct {
	props                           *propFlags
	out, htmlTemplate               string
	showVega, split, open, terminal bool
}

// propFlags are the display properties on a command line.
type propFlags struct {
	cmd                                      *cobra.Command
	template, x, y, title, xLabel, yLabelArg string
	noHeader                                 bool
}

func newPropFlags(cmd *cobra.Command) *propFlags {
	p := &propFlags{cmd: cmd}
	f := cmd.Flags()
	f.StringVarP(&p.template, "template", "t", "", "Template to draw with: one of `cairn plots templates`, one of .dvc/plots, or a file.")
	f.Lookup("template").Usage = "Template to draw with: a name that \"plots templates\" lists, a file of .dvc/plots, or a `<path>`."
	nargs(cmd, "template", "?")
	f.StringVarP(&p.x, "x", "x", "", "Field name for X axis: a `<field>`.")
	f.StringVarP(&p.y, "y", "y", "", "Field name for Y axis: a `<field>`.")
	annotate(cmd, "x", shortOnlyKey, "true")
	annotate(cmd, "y", shortOnlyKey, "true")
	f.BoolVar(&p.noHeader, "no-header", false, "Provided CSV or TSV datafile does not have a header.")
	f.StringVar(&p.title, "title", "", "Plot title: a `<text>`.")
	f.StringVar(&p.xLabel, "x-label", "", "X axis label: a `<text>`.")
	f.StringVar(&p.yLabelArg, "y-label", "", "Y axis label: a `<text>`.")
	return p
}

// values are the properties that were given, in DVC's order.
func (p *propFlags) values() *yamlfmt.Map {
	m := &yamlfmt.Map{}
	given := func(flag string) bool { return p.cmd.Flags().Lookup(flag).Changed }
	if given("template") && p.template != "" {
		m.Set("template", p.template)
	}
	for _, o := range []struct{ flag, key, value string }{
		{"x", "x", p.x}, {"y", "y", p.y}, {"x-label", "x_label", p.xLabel},
		{"y-label", "y_label", p.yLabelArg}, {"title", "title", p.title},
	} {
		if given(o.flag) {
			m.Set(o.key, o.value)
		}
	}
	if p.noHeader {
		m.Set("header", false)
	}
	return m
}

func newPlotFlags(a *App, cmd *cobra.Command) *plotFlags {
	o := &plotFlags{props: newPropFlags(cmd)}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "Directory to save plots to: a `<path>`.")
	f.BoolVar(&o.showVega, "show-vega", false, "Show output in Vega format.")
	a.JSONFlag(cmd)
	f.BoolVar(&o.split, "split", false, "With --json: leave to the reader of a specification what it may choose itself, beside it.")
	f.BoolVar(&o.open, "open", false, "Open plot file directly in the browser.")
	f.StringVar(&o.htmlTemplate, "html-template", "", "Page to put the plots into, with {plot_divs} and {scripts}: a `<path>`.")
	f.BoolVar(&o.terminal, "terminal", false, "Draw in the terminal; no file is written.")
	exclusive(cmd, "json", "terminal")
	exclusive(cmd, "show-vega", "terminal")
	return o
}

func newPlotsShow(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [targets ...]",
		Short: "Generate plots from target files or from `plots` definitions in `dvc.yaml`.",
		Long: `Draw the plots that dvc.yaml files define, those of stages, and files that need
no definition. Without an option a page is written to dvc_plots/index.html: it
holds all it needs, so it opens anywhere, without a network. Long lines are drawn
with the points that make their shape, and the page says so; --json has all.`,
		Example: "  cairn plots show\n  cairn plots show --terminal roc.csv -x fpr -y tpr\n  cairn plots show --json --split",
	}
	o := newPlotFlags(a, cmd)
	argHelp(cmd, "targets", "Plots files or plot IDs from `dvc.yaml` to visualize. Shows all plots by default.")
	a.Complete(cmd, CompletePlots)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error { return a.showPlots(ctx, o, args, nil, false) })
	return cmd
}

func newPlotsDiff(a *App) *cobra.Command {
	var targets []string
	var experiment bool
	cmd := &cobra.Command{
		Use:   "diff [revisions ...]",
		Short: "Show multiple versions of a plot by overlaying them in a single image.",
		Long: `Draw the plots of several revisions over one another. One revision is compared
with the workspace; without any, the last commit is, if something has changed
since. Nothing is checked out.`,
		Example: "  cairn plots diff\n  cairn plots diff main v1.0 --targets loss.csv --terminal\n  cairn plots diff HEAD~1 --json",
	}
	f := cmd.Flags()
	f.StringArrayVar(&targets, "targets", nil, "Specific plots to visualize: any file path or plot name from `dvc.yaml`. Shows all tracked plots by default.")
	f.Lookup("targets").Usage = "Specific plots to visualize: `<paths>` of files, or names of plots. Shows all tracked plots by default."
	nargs(cmd, "targets", "*")
	f.BoolVarP(&experiment, "experiment", "e", false, "Compare an experiment with the commit it began at.")
	_ = f.MarkHidden("experiment")
	o := newPlotFlags(a, cmd)
	argHelp(cmd, "revisions", "Git commits to plot from.")
	a.Complete(cmd, CompleteRevs)
	a.CompleteFlag(cmd, "targets", CompletePlots)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if experiment {
			return UsageErrorf(cmd, "-e is for experiments, which this version does not know yet: name both revisions instead")
		}
		return a.showPlots(ctx, o, targets, args, true)
	})
	return cmd
}

// checkVega is DVC's word on the combinations of options.
func (o *plotFlags) checkVega(json bool, targets []string) error {
	switch {
	case !o.showVega:
	case len(targets) == 0:
		return errs.New(errs.Usage, "please specify a target for `--show-vega`")
	case len(targets) > 1:
		return errs.New(errs.Usage, "you can only specify one target for `--show-vega`")
	case json:
		return errs.New(errs.Usage, "'--show-vega' and '--json' are mutually exclusive options.")
	}
	return nil
}

func (a *App) showPlots(ctx context.Context, o *plotFlags, targets, revs []string, diff bool) error {
	if err := o.checkVega(a.JSON, targets); err != nil {
		return Handled("", err)
	}
	r, err := a.Anywhere()
	if err != nil {
		return err
	}
	defer r.Close()
	res, err := loadPlots(ctx, r, repo.PlotsOptions{Targets: targets, Revs: revs, Props: o.props.values()}, diff)
	if _, ok := errors.AsType[*repo.PlotTemplateError](err); ok {
		return err
	}
	if err != nil {
		return Handled("", err)
	}
	if len(res.Failed) > 0 {
		a.UI.Notef("DVC failed to load some plots for following revisions: '%s'.", strings.Join(res.Failed, ", "))
	}
	if !res.Loaded && !a.JSON {
		a.UI.Notef("No plots were loaded, visualization file will not be created.")
	}
	for _, p := range res.Plots {
		for _, e := range p.DefErrs {
			a.UI.Warnf("In %s, %s", pyQuote(e.Rev), strings.ToLower(e.Err.Error()))
		}
	}
	dir, err := r.PlotsDir(o.out)
	if err != nil {
		return err
	}
	switch {
	case o.terminal:
		return a.drawPlots(res)
	case a.JSON:
		return a.plotsJSON(r, res, dir, o.split)
	case o.showVega:
		if err := r.WritePlotImages(res.Plots, filepath.Join(dir, "static")); err != nil {
			return err
		}
		return a.showVega(res.Plots)
	}
	return a.plotsPage(ctx, r, res, dir, o)
}

func loadPlots(ctx context.Context, r *repo.Repo, o repo.PlotsOptions, diff bool) (repo.PlotsResult, error) {
	if diff {
		revs, ok, err := r.PlotDiffRevs(ctx, o.Revs)
		if err != nil || !ok {
			return repo.PlotsResult{}, err
		}
		o.Revs = revs
	}
	return r.Plots(ctx, o)
}

func (a *App) plotsJSON(r *repo.Repo, res repo.PlotsResult, dir string, split bool) error {
	if err := r.WritePlotImages(res.Plots, dir); err != nil {
		return err
	}
	v, err := plot.Object(res.Plots, res.RevErrs, split)
	if err != nil {
		return err
	}
	_, err = a.UI.Out().Write(append(plot.AppendJSON(nil, v), '\n'))
	return err
}

// showVega prints the specification of the first plot that has one.
func (a *App) showVega(plots []*plot.Plot) error {
	for _, p := range plots {
		if p.IsImage {
			continue
		}
		v, _, err := p.Spec(false)
		if err != nil {
			return err
		}
		if v == nil {
			v = &yamlfmt.Map{}
		}
		_, err = a.UI.Out().Write(append(plot.AppendJSON(nil, v), '\n'))
		return err
	}
	return nil
}

func (a *App) plotsPage(ctx context.Context, r *repo.Repo, res repo.PlotsResult, dir string, o *plotFlags) error {
	if len(res.Plots) == 0 {
		return nil
	}
	if err := r.WritePlotImages(res.Plots, filepath.Join(dir, "static")); err != nil {
		return err
	}
	template, err := r.PlotPageTemplate(o.htmlTemplate)
	if err != nil {
		return err
	}
	page, err := plot.Page(res.Plots, plot.PageOptions{Template: template, Static: "static", RevErrs: res.RevErrs})
	if err != nil {
		return err
	}
	file, err := r.WritePlotPage(page, dir)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	uri := fileURI(file)
	a.UI.Printf("%s\n", uri)
	auto := r.MayOpenPlots()
	if !o.open && !auto {
		return nil
	}
	if !auto {
		a.UI.Printf("To enable auto opening, you can run:\n\n\t%s config plots.auto_open true\n", a.Prog)
	}
	if err := a.openBrowser(ctx, uri); err != nil {
		a.UI.Debugf("%v", err)
		a.UI.Notef("Failed to open %s. Please try opening it manually.", uri)
		return ExitWith(exitHandled)
	}
	return nil
}

// drawPlots draws in the terminal.
func (a *App) drawPlots(res repo.PlotsResult) error {
	o := plot.TextOptions{Width: a.UI.OutWidth(), Colour: a.UI.OutColour()}
	if o.Colour {
		o.Pictures = pictureProtocol(a.Env.Getenv)
	}
	for i, p := range res.Plots {
		if i > 0 {
			a.UI.Printf("\n")
		}
		if err := p.Text(a.UI.Out(), o); err != nil {
			return err
		}
		for _, e := range p.SourceErrs {
			a.UI.Printf("%s: %s\n", ui.Quote(e.Rev), ui.Clean(e.Err.Error()))
		}
	}
	return nil
}

// pictureProtocol tells from the environment how a terminal shows pictures.
// Within tmux and screen, which do not pass them on, it is by half blocks.
func pictureProtocol(getenv func(string) string) plot.PictureProtocol {
	termName := getenv("TERM")
	switch {
	case getenv("TMUX") != "", strings.HasPrefix(termName, "screen"), strings.HasPrefix(termName, "tmux"):
		return plot.HalfBlocks
	case getenv("KITTY_WINDOW_ID") != "", termName == "xterm-kitty", termName == "xterm-ghostty":
		return plot.Kitty
	case getenv("TERM_PROGRAM") == "iTerm.app", getenv("TERM_PROGRAM") == "WezTerm", getenv("LC_TERMINAL") == "iTerm2":
		return plot.ITerm
	}
	return plot.HalfBlocks
}

func newPlotsTemplates(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates [template]",
		Short: "List built-in plots templates or show JSON specification for one.",
		Long: `List the templates that are always there, or print one. A changed copy in
.dvc/plots is a template of your own, named by the file's name.`,
		Example: "  cairn plots templates\n  cairn plots templates linear > .dvc/plots/mine.json",
	}
	a.JSONFlag(cmd)
	argHelp(cmd, "template", "Template for which to show JSON specification. List all template names by default.")
	cmd.ValidArgsFunction = func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var out []cobra.Completion
		for _, n := range plot.TemplateNames() {
			if strings.HasPrefix(n, word) {
				out = append(out, n)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if len(args) == 0 || args[0] == "" {
			if a.JSON {
				return a.UI.JSON(plot.TemplateNames())
			}
			for _, n := range plot.TemplateNames() {
				a.UI.Printf("%s\n", n)
			}
			return nil
		}
		t, ok := plot.BuiltIn(args[0])
		if !ok {
			return Handled("", errs.New(errs.NotFound, "Unexpected template: %s.", args[0]))
		}
		_, err := a.UI.Out().Write(append(plot.AppendJSON(nil, t.Content), '\n'))
		return err
	})
	return cmd
}

func newPlotsModify(a *App) *cobra.Command {
	var unset []string
	cmd := &cobra.Command{
		Use:   "modify target",
		Short: "Modify display properties of data-series plots defined in stages (has no effect on image plots).",
		Long: `Set or unset how an output of a stage is drawn. An output that is no plot becomes
one. The properties stand in dvc.yaml, below the output; the rest of the file stays
as it is.`,
		Example: "  cairn plots modify loss.csv -x epoch -y loss --title \"Loss\"\n  cairn plots modify loss.csv --unset title x_label",
	}
	props := newPropFlags(cmd)
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "Unset one or more display properties: each a `<property>`.")
	nargs(cmd, "unset", "*")
	a.JSONFlag(cmd)
	argHelp(cmd, "target", "Plots file to set properties for (defined at the stage level).")
	a.Complete(cmd, CompletePlots)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		res, err := r.ModifyPlot(ctx, repo.ModifyPlotOptions{
			Target: args[0], Props: props.values(), Unset: unset, Unsets: cmd.Flags().Lookup("unset").Changed,
		})
		if err != nil {
			return err
		}
		if a.JSON {
			return a.UI.JSON(res)
		}
		if res.Stage != "" {
			a.UI.Printf("Modifying stage '%s' in '%s'\n", ui.Quote(res.Stage), ui.Quote(res.File))
		}
		return nil
	})
	return cmd
}
