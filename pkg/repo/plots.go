package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/report/plot"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// PlotsOptions of [Repo.Plots].
type PlotsOptions struct {
	// Targets are files, or beginnings of ids as regular expressions, as for
	// DVC; none is all plots.
	Targets []string
	Revs    []string     // none is the workspace
	Props   *yamlfmt.Map // display properties that go before those of definitions
}

// PlotsResult is what there is to show.
type PlotsResult struct {
	Plots []*plot.Plot
	// RevErrs are revisions whose definitions cannot be read.
	RevErrs []plot.DefinitionError
	// Failed lists the revisions of which something could not be read.
	Failed []string
	// Loaded is false if no revision defines any plot.
	Loaded bool
}

// Plots reads plots of the workspace or of revisions.
func (r *Repo) Plots(ctx context.Context, o PlotsOptions) (PlotsResult, error) {
	var res PlotsResult
	var revs []plot.Revision
	c := &plotReader{r: r, o: o, seen: map[sourceKey]plot.Source{}}
	for _, name := range plotRevs(o.Revs) {
		v, err := r.Revision(ctx, name)
		if err != nil {
			return res, err
		}
		rev, failed, err := c.revision(ctx, v, name)
		if err != nil {
			return res, err
		}
		if failed {
			res.Failed = append(res.Failed, name)
		}
		if rev.Err != nil {
			res.RevErrs = append(res.RevErrs, plot.DefinitionError{Rev: name, Err: rev.Err})
		}
		if rev.Err != nil || len(rev.Configs) > 0 {
			res.Loaded = true
			revs = append(revs, rev)
		}
	}
	var err error
	if res.Plots, err = plot.Build(revs, r.plotTemplate); err != nil {
		return res, &PlotTemplateError{err}
	}
	return res, nil
}

// PlotTemplateError is a template that cannot be used.
type PlotTemplateError struct{ Err error }

func (e *PlotTemplateError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PlotTemplateError) Unwrap() error { return e.Err }

// plotRevs puts the workspace first and leaves out what is there already.
func plotRevs(revs []string) []string {
	if len(revs) == 0 {
		return []string{WorkspaceLabel}
	}
	var out []string
	if slices.Contains(revs, WorkspaceLabel) {
		out = append(out, WorkspaceLabel)
	}
	for _, rev := range revs {
		if !slices.Contains(out, rev) {
			out = append(out, rev)
		}
	}
	return out
}

// PlotDiffRevs completes the revisions that plots are compared between: one
// alone is compared with the workspace, none is HEAD if anything has changed
// since. ok is false if there is no commit to compare with.
func (r *Repo) PlotDiffRevs(ctx context.Context, revs []string) (out []string, ok bool, err error) {
	if r.Git == nil {
		return nil, false, errs.New(errs.Unsupported, "only supported for Git repositories")
	}
	if _, err := r.Git.Resolve(ctx, "HEAD"); errs.Is(err, errs.NotFound) {
		return nil, false, nil
	}
	out = slices.Clone(revs)
	if len(out) == 0 {
		st, err := r.Git.Status(ctx, false)
		if err != nil {
			return nil, false, err
		}
		if st.Dirty {
			out = append(out, "HEAD")
		}
	}
	if len(out) <= 1 {
		out = append(out, WorkspaceLabel)
	}
	return out, true, nil
}

// plotTemplate finds a template: among the user's in .dvc/plots, as a path,
// among those that are always there.
func (r *Repo) plotTemplate(name string) (*plot.Template, error) {
	for _, file := range []string{name, strings.TrimSuffix(name, path.Ext(name)) + ".json"} {
		rel := path.Join(dvcDir, "plots", filepath.ToSlash(file))
		if !strings.HasPrefix(rel, dvcDir+"/plots/") {
			continue
		}
		text, err := r.Dir.ReadFile(rel)
		if err == nil {
			return plot.ParseTemplate(name, r.Show(rel), text)
		}
		if !isAbsence(err) {
			return nil, fmt.Errorf("template '%s': %w", disk.Quote(name), err)
		}
	}
	text, err := r.readTyped(name)
	if err == nil {
		return plot.ParseTemplate(name, name, text)
	}
	if !isAbsence(err) {
		return nil, fmt.Errorf("template '%s': %w", disk.Quote(name), err)
	}
	if t, ok := plot.BuiltIn(name); ok {
		return t, nil
	}
	return nil, plot.NotFound(name)
}

// isAbsence reports whether nothing that could be read is at a path.
func isAbsence(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) || errors.Is(err, disk.ErrLink) || errs.Is(err, errs.Invalid)
}

// readTyped reads a file that the user named, in the workspace or elsewhere.
// A definition may name it too, so that links in the workspace are not
// followed out of it.
func (r *Repo) readTyped(name string) ([]byte, error) {
	if name == "" {
		return nil, fs.ErrNotExist
	}
	if rel, err := r.Rel(name); err == nil {
		return r.Dir.ReadFile(rel)
	}
	abs := filepath.FromSlash(name)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, abs)
	}
	dir, err := disk.OpenDir(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadFile(filepath.Base(abs))
}

// sourceKey is what a file's data depends on; bytes that many revisions share
// are read once.
type sourceKey struct {
	id, name string
	header   bool
}

type plotReader struct {
	r    *Repo
	o    PlotsOptions
	seen map[sourceKey]plot.Source
}

// revision reads the definitions of a revision and the files they name.
// failed tells that something could not be read; err ends the work.
func (c *plotReader) revision(ctx context.Context, v *Revision, name string) (rev plot.Revision, failed bool, err error) {
	rev = plot.Revision{Name: name, Sources: map[string]plot.Source{}}
	d := &plotDefinitions{r: c.r, v: v, props: c.o.Props}
	if err := d.collect(ctx, c.o.Targets); err != nil {
		if ctx.Err() != nil {
			return rev, false, ctx.Err()
		}
		rev.Err = c.r.plotsError(v, err)
		return rev, true, nil
	}
	rev.Configs = d.configs
	outs := d.plotOuts()
	for _, config := range rev.Configs {
		for id, props := range config.Plots.All() {
			for _, file := range plot.Sources(id, props.(*yamlfmt.Map)) {
				if _, ok := rev.Sources[file]; ok {
					continue
				}
				src := plot.Source{Err: c.absence(c.r.plotPath(file), d.unlisted[file])}
				if src.Err == nil {
					src = c.source(ctx, v, file, outs)
				}
				if ctx.Err() != nil {
					return rev, false, ctx.Err()
				}
				failed = failed || src.Err != nil
				rev.Sources[file] = src
			}
		}
	}
	return rev, failed, nil
}

// plotsError gives a broken stage file the class and words that clients of
// DVC's JSON know.
func (r *Repo) plotsError(v *Revision, err error) error {
	fe, ok := errors.AsType[*pipeline.FileError](err)
	switch {
	case !ok:
		// Without the line, which is part of our words only.
		if i := strings.Index(err.Error(), "failed to parse '"); i >= 0 {
			return &plot.Failure{Type: "ResolveError", Msg: err.Error()[i:], Err: err}
		}
		return err
	case fe.Syntax:
		return &plot.Failure{Type: "YAMLSyntaxError", Msg: "unable to read: '" + r.plotID(fe.File) + "', YAML file structure is corrupted", Err: err}
	}
	shown := r.plotID(fe.File)
	if !strings.HasPrefix(shown, "../") {
		shown = "./" + shown
	}
	msg := "'" + shown + "' validation failed"
	if !v.IsWorkspace() {
		msg += " in revision '" + v.SHA[:min(7, len(v.SHA))] + "'"
	}
	if len(fe.Problems) > 1 {
		msg += fmt.Sprintf(": %d errors", len(fe.Problems))
	}
	return &plot.Failure{Type: "YAMLValidationError", Msg: msg, Err: err}
}

// source reads a file of data.
func (c *plotReader) source(ctx context.Context, v *Revision, file string, outs map[string]*yamlfmt.Map) plot.Source {
	if err := plot.Supported(file); err != nil {
		return plot.Source{Err: err}
	}
	rel := c.r.plotPath(file)
	header := true
	for _, props := range []*yamlfmt.Map{outs[rel], c.o.Props} {
		if h, ok := props.Get("header"); ok {
			header, _ = h.(bool)
		}
	}
	content, err := v.Find(ctx, rel)
	if err != nil {
		return plot.Source{Err: c.absence(rel, err)}
	}
	key := sourceKey{content.ID, file, header}
	if src, ok := c.seen[key]; ok && key.id != "" {
		return src
	}
	text, err := content.Read(ctx)
	if err != nil {
		return plot.Source{Err: c.absence(rel, err)}
	}
	src := plot.ReadSource(file, text, header)
	if key.id != "" {
		c.seen[key] = src
	}
	return src
}

// absence gives a file that is not there DVC's words.
func (c *plotReader) absence(rel string, err error) error {
	if _, ok := errors.AsType[*UnavailableError](err); ok {
		return &plot.Failure{Type: "FileNotFoundError", Msg: "[Errno 2] No storage files available: '" + rel + "'", Err: err}
	}
	if errs.Is(err, errs.NotFound) && !errors.Is(err, fs.ErrNotExist) {
		return &plot.Failure{Type: "FileNotFoundError", Msg: err.Error(), Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &plot.Failure{Type: "FileNotFoundError", Msg: "[Errno 2] No such file or directory: '" + rel + "'", Err: err}
	}
	return err
}

// plotPath is the path relative to the root of a path as definitions have it
// here: relative to the working directory.
func (r *Repo) plotPath(id string) string {
	if path.IsAbs(id) {
		return strings.TrimPrefix(path.Clean(id), "/")
	}
	return path.Join(r.cwd, id)
}

// plotID is the other way around.
func (r *Repo) plotID(rel string) string {
	out, err := filepath.Rel(filepath.FromSlash(r.cwd), filepath.FromSlash(rel))
	if err != nil {
		return rel
	}
	return filepath.ToSlash(out)
}

// plotDefinitions gathers the definitions of one revision.
type plotDefinitions struct {
	r       *Repo
	v       *Revision
	stages  *Stages
	props   *yamlfmt.Map
	targets []plotTarget
	configs []plot.Config
	// unlisted are folders whose files could not be listed, by id.
	unlisted map[string]error
}

// plotTarget is a target: the beginning of an id, and a path.
type plotTarget struct {
	path string
	expr *regexp.Regexp
}

func (d *plotDefinitions) collect(ctx context.Context, targets []string) error {
	for _, t := range targets {
		if filepath.IsAbs(t) {
			if rel, err := d.r.Rel(t); err == nil {
				t = d.r.plotID(rel)
			}
		}
		t = filepath.ToSlash(t)
		d.targets = append(d.targets, plotTarget{path: t})
	}
	var err error
	if d.stages, err = d.v.Stages(ctx); err != nil {
		return err
	}
	if err := d.compile(); err != nil {
		return err
	}
	for _, f := range d.stages.Files {
		if len(f.Top.Plots) > 0 {
			if err := d.topLevel(ctx, f); err != nil {
				return err
			}
		}
	}
	if err := d.ofStages(ctx); err != nil {
		return err
	}
	for _, t := range d.targets {
		if len(d.configs) > 0 && !d.exists(ctx, t.path) {
			continue
		}
		if err := d.unpack(ctx, "", t.path, d.props, nil); err != nil {
			return err
		}
	}
	return nil
}

// compile makes expressions of targets, only if there is an id to match, as
// DVC does.
func (d *plotDefinitions) compile() error {
	for i, t := range d.targets {
		expr, err := regexp.Compile("^(?:" + t.path + ")")
		if err != nil {
			if !d.anyDefinition() {
				continue
			}
			msg := err.Error()
			if strings.HasPrefix(t.path, "*") || strings.HasPrefix(t.path, "?") || strings.HasPrefix(t.path, "+") {
				msg = "nothing to repeat at position 0"
			}
			return &plot.Failure{Type: "error", Msg: msg, Err: errs.New(errs.Invalid, "target '%s' is no regular expression: %v", t.path, err)}
		}
		d.targets[i].expr = expr
	}
	return nil
}

func (d *plotDefinitions) anyDefinition() bool {
	for _, f := range d.stages.Files {
		if len(f.Top.Plots) > 0 {
			return true
		}
	}
	return len(d.plotOuts()) > 0
}

func (d *plotDefinitions) matches(file, id string) bool {
	if len(d.targets) == 0 {
		return true
	}
	full := id
	if file != "" {
		full = file + "::" + id
	}
	for _, t := range d.targets {
		if t.expr != nil && (t.expr.MatchString(id) || t.expr.MatchString(full)) {
			return true
		}
	}
	return false
}

func (d *plotDefinitions) exists(ctx context.Context, id string) bool {
	rel := d.r.plotPath(id)
	if outOfRoot(rel) {
		return false
	}
	if _, err := d.v.Find(ctx, rel); err == nil {
		return true
	} else if _, ok := errors.AsType[*UnavailableError](err); ok {
		return true
	}
	return d.v.IsDir(ctx, rel)
}

// config is the definitions of a file, made when first asked for.
func (d *plotDefinitions) config(file string) *yamlfmt.Map {
	for _, c := range d.configs {
		if c.File == file {
			return c.Plots
		}
	}
	m := &yamlfmt.Map{}
	d.configs = append(d.configs, plot.Config{File: file, Plots: m})
	return m
}

// define adds a definition to those of a file.
func (d *plotDefinitions) define(file, id string, props *yamlfmt.Map) {
	all := d.config(file)
	if old, ok := all.Get(id); ok {
		props = merged(old.(*yamlfmt.Map), props)
	}
	all.Set(id, props)
}

// merged is a mapping with another's keys over its own.
func merged(base, over *yamlfmt.Map) *yamlfmt.Map {
	out := &yamlfmt.Map{}
	for k, v := range base.All() {
		out.Set(k, v)
	}
	for k, v := range over.All() {
		out.Set(k, v)
	}
	return out
}

// unpack defines the files of a folder, or a file, which need not be there.
// Those that keep refuses, if it is given, are left out.
func (d *plotDefinitions) unpack(ctx context.Context, config, id string, props *yamlfmt.Map, keep func(string) bool) error {
	d.config(config)
	id = path.Clean(id)
	rel := d.r.plotPath(id)
	if outOfRoot(rel) || !d.v.IsDir(ctx, rel) {
		if keep == nil || keep(id) {
			d.define(config, id, merged(props, nil))
		}
		return nil
	}
	files, err := d.v.List(ctx, rel)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// What the folder holds is not known: said in place of its files.
		if d.unlisted == nil {
			d.unlisted = map[string]error{}
		}
		d.unlisted[id] = err
		d.define(config, id, merged(props, nil))
		return nil
	}
	for _, f := range files {
		below := f
		if rel != "." {
			below = f[len(rel)+1:]
		}
		// As DVC names them: ./a.csv in the folder ".", ../sub/a.csv even from sub.
		if sub := id + "/" + below; keep == nil || keep(sub) {
			d.define(config, sub, merged(props, nil))
		}
	}
	return nil
}

// topLevel adds the section plots of a dvc.yaml.
func (d *plotDefinitions) topLevel(ctx context.Context, f *pipeline.File) error {
	file := d.r.plotID(f.Path)
	dir := path.Dir(file)
	d.config(file)
	defs := &yamlfmt.Map{}
	for _, item := range f.Top.Plots {
		m, ok := item.(*yamlfmt.Map)
		if !ok {
			defs.Set(yamlfmt.PyStr(item), nil)
			continue
		}
		for id, props := range m.All() {
			defs.Set(id, props)
			break
		}
	}
	var parents []string
	for _, id := range defs.Keys() {
		parents = append(parents, path.Join(dir, id))
	}
	for id, v := range defs.All() {
		props, _ := v.(*yamlfmt.Map)
		if !d.matches(file, id) {
			continue
		}
		y, _ := props.Get("y")
		if _, ofFiles := y.(*yamlfmt.Map); ofFiles {
			d.define(file, id, merged(fromFolder(props, dir), d.props))
			continue
		}
		at := path.Join(dir, id)
		closest := func(p string) bool { return closestParent(p, parents) == at }
		if err := d.unpack(ctx, file, at, merged(props, d.props), closest); err != nil {
			return err
		}
	}
	return nil
}

// fromFolder makes the files of x and y relative to the working directory
// instead of a folder.
func fromFolder(props *yamlfmt.Map, dir string) *yamlfmt.Map {
	out := merged(props, nil)
	for _, axis := range []string{"x", "y"} {
		v, _ := props.Get(axis)
		files, ok := v.(*yamlfmt.Map)
		if !ok {
			continue
		}
		moved := &yamlfmt.Map{}
		for f, fields := range files.All() {
			moved.Set(path.Join(dir, f), fields)
		}
		out.Set(axis, moved)
	}
	return out
}

// closestParent is the longest folder that a path shares with any of others.
func closestParent(p string, others []string) string {
	best := ""
	for _, o := range others {
		a, b := strings.Split(p, "/"), strings.Split(o, "/")
		n := 0
		for n < len(a) && n < len(b) && a[n] == b[n] {
			n++
		}
		if common := strings.Join(a[:n], "/"); len(common) > len(best) {
			best = common
		}
	}
	return best
}

// isPlot reports whether an out is declared as a plot.
func isPlot(o *pipeline.Out) bool {
	switch v := o.Plot.(type) {
	case nil:
		return false
	case bool:
		return v
	case *yamlfmt.Map:
		return v.Len() > 0
	case []any:
		return len(v) > 0
	}
	return true
}

// plotOuts are the display properties of outs that are plots, by path.
func (d *plotDefinitions) plotOuts() map[string]*yamlfmt.Map {
	out := map[string]*yamlfmt.Map{}
	for _, s := range d.stages.All {
		for _, o := range s.Outs {
			if isPlot(o) {
				out[o.RepoPath()] = plotProps(o)
			}
		}
	}
	return out
}

func plotProps(o *pipeline.Out) *yamlfmt.Map {
	all, _ := o.Plot.(*yamlfmt.Map)
	props := &yamlfmt.Map{}
	for _, k := range PlotProps() {
		if v, ok := all.Get(k); ok {
			props.Set(k, v)
		}
	}
	return props
}

// PlotProps lists the display properties, as DVC orders them.
func PlotProps() []string {
	return []string{"template", "x", "y", "x_label", "y_label", "title", "header"}
}

// ofStages adds the outs of stages that are plots.
func (d *plotDefinitions) ofStages(ctx context.Context) error {
	for _, s := range d.stages.All {
		for _, o := range s.Outs {
			if !isPlot(o) {
				continue
			}
			if _, several := o.Plot.([]any); several {
				return &plot.Failure{Type: "DvcException", Msg: "Multiple plots per data file not supported.", Err: errs.New(errs.Invalid, "plot")}
			}
			id := d.r.plotID(o.RepoPath())
			name := id
			if !d.v.IsWorkspace() {
				name = o.Path // what DVC calls an out of a commit
			}
			if !d.matches(d.r.plotID(s.File), name) {
				continue
			}
			if err := d.unpack(ctx, "", id, merged(plotProps(o), d.props), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// PlotsDir is the folder that pages and pictures go to: what the user typed,
// or the one of the configuration, which must not lead out of the workspace if
// it came with the clone.
func (r *Repo) PlotsDir(typed string) (string, error) {
	dir := typed
	if dir == "" {
		dir = r.Config.Plots.OutDir
	}
	if dir == "" {
		dir = "dvc_plots"
	}
	abs := dir
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.env.Dir, filepath.FromSlash(abs))
	}
	abs = filepath.Clean(abs)
	if typed == "" && r.Config.Plots.OutDirCommitted {
		if rel, err := r.relative(abs); err != nil || outOfRoot(rel) {
			return "", errs.WithHint(errs.New(errs.Denied, "plots.out_dir in the committed .dvc/config names '%s', which is not in the workspace", disk.Quote(dir)),
				"If you want the page there, say so: -o PATH, or %s config --local plots.out_dir PATH", r.program())
		}
	}
	return abs, nil
}

// MayOpenPlots reports whether the configuration says that a page is opened in
// a browser. What came with the clone may ask so for cairn's page, not for one
// of its own.
func (r *Repo) MayOpenPlots() bool {
	c := r.Config.Plots
	return c.AutoOpen && !(c.AutoOpenCommitted && c.HTMLTemplateCommitted && c.HTMLTemplate != "")
}

// outDir opens a folder for results, making it. In the workspace no link is
// followed: a folder of that name may have come with a commit.
func (r *Repo) outDir(abs string) (*disk.Dir, error) {
	if rel, err := r.relative(abs); err == nil && !outOfRoot(rel) {
		return r.Dir.MakePath(rel, 0o777)
	}
	at, missing := abs, []string{}
	for {
		dir, err := disk.OpenDir(at)
		if err == nil {
			defer dir.Close()
			return dir.MakePath(path.Join(missing...), 0o777)
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(at) == at {
			return nil, err
		}
		missing = append([]string{filepath.Base(at)}, missing...)
		at = filepath.Dir(at)
	}
}

// WritePlotImages writes the pictures among plots to a folder, an absolute
// path, which is made if there is a picture, and sets where they are.
func (r *Repo) WritePlotImages(plots []*plot.Plot, dir string) error {
	var files []disk.NewFile
	for _, p := range plots {
		for i := range p.Images {
			img := &p.Images[i]
			files = append(files, disk.NewFile{Path: img.ImageName(), Data: img.Content, Perm: 0o666})
			img.URL = filepath.Join(dir, img.ImageName())
		}
	}
	if len(files) == 0 {
		return nil
	}
	d, err := r.outDir(dir)
	if err != nil {
		return fmt.Errorf("write pictures to '%s': %w", disk.Quote(dir), err)
	}
	defer d.Close()
	return d.WriteFiles(files)
}

// WritePlotPage writes index.html to a folder and returns its path.
func (r *Repo) WritePlotPage(page []byte, dir string) (string, error) {
	d, err := r.outDir(dir)
	if err != nil {
		return "", fmt.Errorf("write a page to '%s': %w", disk.Quote(dir), err)
	}
	defer d.Close()
	return filepath.Join(dir, "index.html"), d.WriteFile("index.html", page, 0o666)
}

// PlotPageTemplate reads the page that plots are put into: what the user
// named, or the configuration, where a path is relative to .dvc. nil if there
// is none.
func (r *Repo) PlotPageTemplate(typed string) ([]byte, error) {
	name := typed
	if name == "" {
		if name = r.Config.Plots.HTMLTemplate; name == "" {
			return nil, nil
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(r.Root, dvcDir, filepath.FromSlash(name))
		}
	}
	text, err := r.readTyped(name)
	if err != nil {
		return nil, fmt.Errorf("HTML template '%s': %w", disk.Quote(name), err)
	}
	return text, nil
}

// PlotNames lists the ids of the workspace's plots.
func (r *Repo) PlotNames(ctx context.Context) ([]string, error) {
	d := &plotDefinitions{r: r, v: r.Workspace(WorkspaceLabel)}
	if err := d.collect(ctx, nil); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range d.configs {
		names = append(names, c.Plots.Keys()...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
