package repo

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ImportOptions of [Repo.Import].
type ImportOptions struct {
	URL    string // of the repository, or its folder
	Path   string // in it
	Out    string // where to, as typed; "" is the base name of Path
	Rev    string // a revision; "" is the default branch, or a folder as it is
	Force  bool   // replace what is at Out
	NoExec bool   // write the pointer file and look at nothing
	// NoDownload pins the commit and brings no data.
	NoDownload bool
	Jobs       int

	// How the repository's remote is found, as in [SourceOptions]; recorded.
	Config       string
	Remote       string
	RemoteConfig map[string]string

	// Say shows a line of the result. It may be nil.
	Say func(format string, args ...any)
}

// ImportResult tells what Import did.
type ImportResult struct {
	Path   string `json:"path"`
	File   string `json:"file"`
	Digest string `json:"digest,omitempty"`
	Size   *int64 `json:"size,omitempty"` // bytes
	NFiles *int   `json:"nfiles,omitempty"`
	Rev    string `json:"rev,omitempty"` // the commit it is pinned to
	// Changed are files for Git to track, relative to the root.
	Changed []string `json:"files"`
}

// Import brings a file or folder of another repository into the workspace and
// tracks it, pinned to a commit. The data are whole in the cache before anything
// in the workspace changes.
func (r *Repo) Import(ctx context.Context, o ImportOptions) (ImportResult, error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	defer unlock()
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	src, err := o.repoSource()
	if err != nil {
		return ImportResult{}, err
	}
	p, err := r.planImport(ctx, o.Path, o.Out, o.Force, func(d *pipeline.Dep) bool {
		return d.Repo != nil && d.Repo.URL == o.URL && d.Path == o.Path
	})
	if err != nil {
		return ImportResult{}, err
	}
	if o.URL == "" {
		return ImportResult{}, errs.New(errs.Invalid, "cannot set empty URL")
	}
	if strings.HasSuffix(o.Path, ".dvc") || path.Base(o.Path) == "dvc.yaml" {
		return ImportResult{}, errs.New(errs.Invalid, "DVC file '%s' cannot be a dependency.", disk.Quote(o.Path))
	}
	p.stage.Deps = []*pipeline.Dep{{Stage: p.stage, Entry: pipeline.Entry{Path: o.Path, Size: -1, NFiles: -1}, Repo: src}}
	if !o.NoExec {
		err = r.bringImport(ctx, p, importing{rev: o.Rev, say: o.Say, noDownload: o.NoDownload, force: o.Force, jobs: o.Jobs, source: &SourceOptions{
			URL: o.URL, Rev: o.Rev, Path: strings.TrimLeft(o.Path, "/"), Config: o.Config, Remote: o.Remote, RemoteConfig: o.RemoteConfig,
		}})
	}
	if err != nil {
		return ImportResult{}, err
	}
	return r.finishImport(ctx, p, !o.NoExec)
}

// repoSource is what the pointer file says of the repository. Credentials in
// its address would be in a committed file: they are left to Git's helpers.
func (o *ImportOptions) repoSource() (*pipeline.RepoSource, error) {
	if git.Redact(o.URL) != o.URL {
		return nil, errs.WithHint(errs.New(errs.Invalid, "the address '%s' holds a password, which would be in a file that Git tracks", disk.Quote(git.Redact(o.URL))),
			"Leave it out: Git asks its credential helper for it.")
	}
	src := &pipeline.RepoSource{URL: o.URL, Rev: o.Rev}
	if o.Config != "" {
		src.Config = o.Config
	}
	given := yamlfmt.NewMap()
	for _, k := range sortedKeys(o.RemoteConfig) {
		given.Set(k, o.RemoteConfig[k])
	}
	switch {
	case o.Remote != "" && len(o.RemoteConfig) > 0 && o.Config != "":
		return nil, errs.New(errs.Invalid, "Can't specify config path together with both remote and remote_config")
	case o.Remote != "" && len(o.RemoteConfig) > 0:
		src.Config = yamlfmt.NewMap("core", yamlfmt.NewMap("remote", o.Remote), "remote", yamlfmt.NewMap(o.Remote, given))
	case o.Remote != "":
		src.Remote = o.Remote
	case len(o.RemoteConfig) > 0:
		src.Remote = given
	}
	return src, nil
}

// importPlan is an import on its way to its pointer file.
type importPlan struct {
	rel   string
	stage *pipeline.Stage
	out   *pipeline.Out
	old   []byte // the pointer file's text, nil if it is new

	ignored []string // the files in which Git was told to ignore it, so far
}

// planImport decides where an import goes, and refuses what cannot be before
// anything is asked for. from is the path or URL it comes from.
func (r *Repo) planImport(ctx context.Context, from, out string, force bool, same func(*pipeline.Dep) bool) (*importPlan, error) {
	again, err := r.brokenOff(ctx, out, same)
	if err != nil {
		return nil, err
	}
	typed := out
	if !again {
		if typed, err = resolveOut(r.env, from, out, force); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(typed, ".dvc") || filepath.Base(typed) == "dvc.yaml" {
		return nil, errs.New(errs.Invalid, "DVC file '%s' cannot be an output.", typed)
	}
	rel, err := r.Rel(typed)
	if err != nil {
		abs := typed
		if !filepath.IsAbs(abs) {
			abs = filepath.Join(r.env.Dir, abs)
		}
		return nil, errs.New(errs.Invalid, "Cached output(s) outside of DVC project: %s. See <https://dvc.org/doc/user-guide/data-management/importing-external-data> for more info.", filepath.Clean(abs))
	}
	if err := r.checkImportPlace(rel); err != nil {
		return nil, err
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	if t := stages.Find(rel); t != nil && t.Under == "" && t.Stage.File != rel+".dvc" {
		addr := r.address(t.Stage)
		return nil, errs.New(errs.Conflict, "output '%s' is already specified in stage: '%s'.\nUse `dvc remove %s` to stop tracking the overlapping output.", r.Show(rel), addr, addr)
	}
	p, err := r.importStage(rel)
	if err != nil {
		return nil, err
	}
	if stages.Graph != nil {
		if _, err := stages.Graph.With(p.stage); err != nil {
			return nil, err
		}
	}
	return p, r.checkUntracked(rel)
}

// brokenOff reports whether out is a folder that the same import has begun to
// fill, and was killed: the data go there again and not into it.
func (r *Repo) brokenOff(ctx context.Context, out string, same func(*pipeline.Dep) bool) (bool, error) {
	if out == "" {
		return false, nil
	}
	rel, err := r.Rel(out)
	if err != nil {
		return false, nil // refused elsewhere
	}
	if st, err := r.Dir.LstatPath(rel); err != nil || !st.IsDir() {
		return false, nil
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return false, err
	}
	t := stages.Find(rel)
	if t == nil || t.Under != "" || t.Stage.File != rel+".dvc" || !t.Stage.IsImport() || t.Out.Digest.IsZero() || !same(t.Stage.Deps[0]) {
		return false, nil
	}
	return r.importChanged(ctx, t.Stage)
}

// checkImportPlace refuses paths that may not become data.
func (r *Repo) checkImportPlace(rel string) error {
	if rel == "." {
		return errs.New(errs.Invalid, "the whole repository cannot be an output")
	}
	if path.Base(rel) == "" || strings.ContainsAny(path.Base(rel), "\n\r") {
		return errs.New(errs.Invalid, "'%s' cannot be an output: .gitignore cannot hold a name with a line break", disk.Quote(rel))
	}
	x, err := r.Ignore.Explain(rel, false)
	if err == nil && x.Ignored {
		return errs.New(errs.Invalid, "Path '%s' is ignored by %s", r.abs(rel), x.Rule.String())
	}
	if err := disk.CheckRel(rel); err != nil {
		return err
	}
	if dir := path.Dir(rel); dir != "." {
		st, err := r.Dir.LstatPath(dir)
		switch {
		case errors.Is(err, disk.ErrLink) || err == nil && st.IsLink():
			return behindLink(r.Show(rel))
		case errors.Is(err, fs.ErrNotExist), disk.IsNotDir(err):
			return errs.New(errs.NotFound, "stage working dir '%s' does not exist", r.abs(dir))
		case err != nil:
			return err
		case !st.IsDir():
			return errs.New(errs.Invalid, "stage working dir '%s' is not directory", r.abs(dir))
		}
	}
	if st, err := r.Dir.LstatPath(rel); err == nil && st.IsLink() {
		if to, err := os.Stat(r.abs(rel)); err == nil && to.IsDir() {
			return behindLink(r.Show(rel))
		}
	}
	if r.Git != nil && r.gitIgnored(rel+".dvc", false) {
		return errs.WithHint(errs.New(errs.Conflict, "bad DVC file name '%s' is git-ignored.", r.Show(rel+".dvc")), "Take the rule out of .gitignore.")
	}
	return nil
}

// importStage prepares the pointer file. One that is there already is replaced,
// but what people wrote about the data stays.
func (r *Repo) importStage(rel string) (*importPlan, error) {
	s := &pipeline.Stage{File: rel + ".dvc", WDir: path.Dir(rel), Frozen: true, Line: 1}
	o := &pipeline.Out{Stage: s, Entry: pipeline.Entry{Path: path.Base(rel), Size: -1, NFiles: -1}, Cache: true, Push: true}
	s.Outs = []*pipeline.Out{o}
	p := &importPlan{rel: rel, stage: s, out: o}
	old, err := r.Dir.ReadFile(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.old = old
	was, err := pipeline.ParseDvcFile(s.File, old)
	if err != nil {
		return nil, err
	}
	s.Desc, s.Meta = was.Desc, was.Meta
	for _, w := range was.Outs {
		if w.RepoPath() == rel {
			o.Desc, o.Type, o.Labels, o.Meta, o.Remote, o.Push = w.Desc, w.Type, w.Labels, w.Meta, w.Remote, w.Push
		}
	}
	return p, nil
}

// resolveOut is where data from a path or URL go: out, or a name in it if it is
// a folder, or the source's own name.
func resolveOut(env Env, from, out string, force bool) (string, error) {
	p := from
	if u, err := url.Parse(from); err == nil && (u.Scheme != "" || u.Host != "") && len(u.Scheme) != 1 {
		p = u.Path
	}
	name := path.Base(path.Clean(filepath.ToSlash(p)))
	if p == "" {
		name = "."
	}
	abs := func(s string) string {
		if filepath.IsAbs(s) {
			return s
		}
		return filepath.Join(env.Dir, s)
	}
	to := out
	if out == "" {
		to = name
	} else if st, err := os.Stat(abs(out)); err == nil && st.IsDir() {
		to = filepath.Join(out, name)
	}
	st, err := os.Stat(abs(to))
	if err == nil && !force {
		what := "file"
		if st.IsDir() {
			what = "directory"
		}
		return "", errs.New(errs.Conflict, "The %s '%s' already exists locally. \nTo override it, re-run with '--force'.", what, disk.Quote(to))
	}
	return to, nil
}

// importing says how an import is brought.
type importing struct {
	source     *SourceOptions // of a repository; nil is what the stage says
	rev        string         // to pin to anew; "" is what the stage says
	say        func(format string, args ...any)
	noDownload bool
	force      bool // what is in the way is of no worth
	jobs       int
}

// bringImport pins an import to a commit and brings its data. Nothing is
// written to the pointer file.
func (r *Repo) bringImport(ctx context.Context, p *importPlan, o importing) error {
	dep := p.stage.Deps[0]
	o.say("Importing '%s' -> '%s'", disk.Quote(r.depName(dep)), disk.Quote(r.Show(p.rel)))
	src := depSource(r.env, dep, o.rev, r.Root, r.abs(p.stage.WDir))
	if o.source != nil {
		src = *o.source
	}
	t, err := openTree(ctx, r.env, src)
	if err != nil {
		return err
	}
	defer func() { t.close() }()
	t.own = r.Cache
	if dep.Repo.RevLock, err = t.revision(ctx); err != nil {
		return err
	}
	if dep.Repo.RevLock == "" {
		return errs.New(errs.NotFound, "'%s' has no commit yet", disk.Quote(git.Redact(dep.Repo.URL)))
	}
	t, rel, err := t.locate(ctx, r.env)
	if err != nil {
		return err
	}
	if o.noDownload {
		// Nothing is brought, but a name that is not there is a mistake.
		if _, err := t.stat(ctx, rel); err != nil {
			return err
		}
		return r.putNothing(ctx, p)
	}
	in, err := t.gather(ctx, rel)
	if err != nil {
		return err
	}
	got, err := r.arrive(ctx, in, r.Alg, r.Show(p.rel), o.jobs)
	if err != nil {
		return err
	}
	return r.putImport(ctx, p, got, o.force)
}

// putImport checks out what arrived and records it.
func (r *Repo) putImport(ctx context.Context, p *importPlan, got *index.Tree, force bool) error {
	if got.IsDir && len(got.Files) == 0 || !got.IsDir && got.Size == 0 {
		r.warn("'%s' is empty.", disk.Quote(r.Show(p.rel)))
	}
	was, wasMD5 := p.out.Entry, p.stage.MD5
	p.out.Entry = pipeline.Entry{Path: p.out.Path, Size: -1, NFiles: -1}
	setEntry(&p.out.Entry, got)
	p.stage.MD5 = p.stage.ComputeMD5()
	fresh := p.old == nil
	if fresh {
		// The data are in the cache. Whoever is killed from here on leaves an
		// import that a checkout, or the same command, completes, and no folder
		// of which nobody knows.
		if err := r.writePointer(p.stage, nil); err != nil {
			return err
		}
		p.old = p.stage.EncodeDvcFile(nil)
		var err error
		if p.ignored, err = r.gitIgnore(p.rel); err != nil {
			return errors.Join(err, r.removeFile(p.stage.File))
		}
	}
	err := r.placeTree(ctx, p.rel, got, force)
	if err == nil {
		return nil
	}
	p.out.Entry, p.stage.MD5 = was, wasMD5
	if fresh && !r.somethingAt(p.rel) {
		p.old = nil
		_, uerr := r.gitUnignore(p.rel)
		err = errors.Join(err, r.removeFile(p.stage.File), uerr)
	}
	return err
}

// somethingAt reports whether there is anything at a path.
func (r *Repo) somethingAt(rel string) bool {
	there, err := r.exists(rel)
	return err != nil || there
}

// putNothing records an import without its content. What is in the workspace of
// an earlier state goes. The checksum still covers the out as it was before, as
// DVC has it.
func (r *Repo) putNothing(ctx context.Context, p *importPlan) error {
	if err := r.placeTree(ctx, p.rel, &index.Tree{}, false); err != nil {
		return err
	}
	p.stage.MD5 = p.stage.ComputeMD5()
	p.out.Entry = pipeline.Entry{Path: p.out.Path, Size: -1, NFiles: -1}
	return nil
}

// depName is how messages name the source of an import.
func (r *Repo) depName(d *pipeline.Dep) string {
	if d.Repo != nil {
		return d.Path + " (" + git.Redact(d.Repo.URL) + ")"
	}
	return r.showURL(d)
}

// finishImport writes the pointer file and .gitignore.
func (r *Repo) finishImport(ctx context.Context, p *importPlan, known bool) (ImportResult, error) {
	res := ImportResult{Path: p.rel, File: p.stage.File, Digest: p.out.Digest.String()}
	if !known {
		p.stage.MD5 = ""
	}
	if err := r.writePointer(p.stage, p.old); err != nil {
		return res, err
	}
	changed, err := r.gitIgnore(p.rel)
	if err != nil {
		return res, err
	}
	res.Changed = unique(append(append([]string{p.stage.File}, p.ignored...), changed...))
	if p.out.Size >= 0 {
		res.Size = &p.out.Size
	}
	if p.out.NFiles >= 0 {
		res.NFiles = &p.out.NFiles
	}
	if d := p.stage.Deps[0]; d.Repo != nil {
		res.Rev = d.Repo.RevLock
	}
	r.rememberOuts(p.rel)
	return res, errors.Join(r.autostage(ctx, res.Changed), r.saveState())
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// showURL is how messages name a dependency that is no repository's.
func (r *Repo) showURL(d *pipeline.Dep) string {
	if strings.Contains(d.Path, "://") {
		return config.Redact(d.Path)
	}
	rel := d.RepoPath()
	if outOfRoot(rel) {
		return r.abs(rel)
	}
	return r.Show(rel)
}
