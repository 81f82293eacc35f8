package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// CheckoutOptions of [Repo.Checkout].
type CheckoutOptions struct {
	Targets      []string
	Recursive    bool
	WithDeps     bool
	Relink       bool // make every file anew with the configured link type
	Force        bool // replace files whose bytes are stored nowhere
	AllowMissing bool // objects that are not in the cache are no failure
	// Confirm is asked before bytes that are stored nowhere are replaced or
	// deleted; nil refuses.
	Confirm func(question string) bool
}

// CheckoutResult lists outs by what became of them, as the user sees them.
type CheckoutResult struct {
	Added    []string `json:"added"`
	Deleted  []string `json:"deleted"`
	Modified []string `json:"modified"`
	// Failed are the targets that are not what they should be.
	Failed   []string   `json:"failed,omitempty"`
	Files    FileCounts `json:"-"`
	Relinked bool       `json:"-"`
}

// FileCounts says what became of how many files.
type FileCounts struct{ Modified, Added, Deleted int }

func (c *FileCounts) add(o FileCounts) {
	c.Modified += o.Modified
	c.Added += o.Added
	c.Deleted += o.Deleted
}

// Checkout makes the workspace's outs what the pointer files say, from the
// cache. Files whose bytes are stored nowhere are never replaced unasked.
func (r *Repo) Checkout(ctx context.Context, o CheckoutOptions) (CheckoutResult, error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return CheckoutResult{}, err
	}
	defer unlock()
	targets, err := r.Collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, WithDeps: o.WithDeps})
	if err != nil {
		return CheckoutResult{}, err
	}
	res, err := r.checkout(ctx, targets, o)
	if err == nil && len(o.Targets) == 0 {
		err = r.removeDropped(ctx, targets, o, &res)
	}
	return res, errors.Join(err, r.saveState())
}

// checkout is Checkout for a caller that holds the lock.
func (r *Repo) checkout(ctx context.Context, targets []Target, o CheckoutOptions) (CheckoutResult, error) {
	var res CheckoutResult
	task := r.Progress.Start("Checking out", -1, -1)
	defer task.Done()
	var plans []index.Plan
	var bad failures
	for _, t := range targets {
		if !t.Out.Cache || t.Out.IsExternal() {
			continue
		}
		if t.Out.Digest.IsZero() {
			r.nothingRecorded(t, o, &bad)
			continue
		}
		p, err := r.planCheckout(ctx, t, o)
		switch {
		case ctx.Err() != nil:
			return res, ctx.Err()
		case err != nil:
			if !o.AllowMissing || !errs.Is(err, errs.NotFound) {
				bad.add(t.Path(), err)
			}
		case p.Change != index.Unchanged:
			plans = append(plans, p)
		}
	}
	defer r.phase("plan", "").End()
	plans, err := r.keepWhole(ctx, plans, o, &bad)
	if err != nil {
		return res, err
	}
	if plans, err = r.keepUnstored(ctx, plans, o, &bad); err != nil {
		return res, err
	}
	if o.Force {
		if err := r.removeForeign(plans); err != nil {
			return res, err
		}
	}
	setTotals(task, plans)
	done, err := r.apply(ctx, plans, task)
	if err != nil {
		return res, err
	}
	res.Relinked = o.Relink
	r.reportCheckout(plans, done, &res, &bad, o)
	r.rememberOuts(pathsOfTargets(targets)...)
	res.Failed = bad.paths()
	return res, bad.err("checkout")
}

// nothingRecorded is the failure to check out what was never made: a stage that
// has not run. What lies in its place stays, unlike with DVC. Imports without
// data are meant to be so.
func (r *Repo) nothingRecorded(t Target, o CheckoutOptions, bad *failures) {
	if t.Stage.IsImport() {
		return
	}
	r.warn("No file hash info found for '%s'. It won't be created.", r.abs(t.Path()))
	if !o.AllowMissing {
		bad.add(t.Path(), errs.New(errs.NotFound, "nothing is recorded of '%s'", r.Show(t.Path())))
	}
}

func setTotals(task progress.Task, plans []index.Plan) {
	var items, bytes int64
	for _, p := range plans {
		for i := range p.Create {
			items++
			bytes += max(p.Create[i].Size, 0)
		}
	}
	task.SetTotal(items, bytes)
}

// planCheckout compares a target with what is in the workspace.
func (r *Repo) planCheckout(ctx context.Context, t Target, o CheckoutOptions) (index.Plan, error) {
	defer r.phase("plan", "").End()
	rel := t.Out.RepoPath()
	want := index.Want{Path: rel, Digest: t.Out.Digest, Exec: t.Out.IsExec, Under: t.Under}
	have, err := r.scanner(t.Out.Digest.Algorithm()).Scan(ctx, rel, r.rulesAbove(rel))
	if r.isForeign(rel, err) {
		if !o.Force {
			return index.Plan{}, errs.WithHint(errs.New(errs.Conflict, "%w", err), "Use `--force` to put the data in its place.")
		}
		err = nil // apply removes it
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !disk.IsNotDir(err) {
		return index.Plan{}, r.behindLink(rel, err)
	}
	if have != nil && have.Digest == want.Digest && !o.Relink && (have.IsDir || have.Exec == want.Exec) {
		return index.Plan{}, nil
	}
	if want.Digest.IsDir() {
		if want.Files, err = r.Cache.ReadManifest(ctx, want.Digest); err != nil {
			return index.Plan{}, err
		}
		if t.Under != "" && len(want.Files.Under(t.Under)) == 0 {
			return index.Plan{}, errs.New(errs.NotFound, "'%s' is not in the folder '%s'", t.Under, rel)
		}
	}
	return index.MakePlan(want, have, o.Relink), nil
}

// isForeign reports whether what stands at an out's path, and could not be
// read, holds no bytes of its own: a link, a pipe, a socket.
func (r *Repo) isForeign(rel string, err error) bool {
	if !errs.Is(err, errs.Invalid) {
		return false
	}
	st, lerr := r.Dir.LstatPath(rel)
	return lerr == nil && !st.IsDir() && !st.IsRegular()
}

// removeForeign clears the places of outs that are to be made.
func (r *Repo) removeForeign(plans []index.Plan) error {
	for _, p := range plans {
		st, err := r.Dir.LstatPath(p.Path)
		if err != nil || p.Change != index.Added || st.IsDir() || st.IsRegular() {
			continue
		}
		if err := r.removeFile(p.Path); err != nil {
			return err
		}
	}
	return nil
}

// keepWhole drops the plans for which the cache lacks objects: an out is
// checked out whole or stays as it is. Where missing objects are allowed, only
// their files stay as they are.
func (r *Repo) keepWhole(ctx context.Context, plans []index.Plan, o CheckoutOptions, bad *failures) ([]index.Plan, error) {
	missing := 0
	for _, p := range plans {
		lacks, err := r.Cache.Missing(ctx, len(p.Create), func(i int) (object.Digest, int64) { return p.Create[i].Digest, -1 })
		if err != nil {
			return nil, err
		}
		missing += len(lacks)
	}
	if missing == 0 {
		return plans, nil
	}
	var ds []object.Digest
	for _, p := range plans {
		for _, f := range p.Create {
			ds = append(ds, f.Digest)
		}
	}
	have, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	lacks := func(f object.File) bool {
		_, ok := have[f.Digest]
		return !ok
	}
	kept := plans[:0]
	for _, p := range plans {
		i := slices.IndexFunc(p.Create, lacks)
		switch {
		case i < 0:
			kept = append(kept, p)
		case !o.AllowMissing:
			bad.add(p.Path, errs.New(errs.NotFound, "'%s' is not in the cache", p.Create[i].Digest))
		default:
			p.Create = slices.DeleteFunc(slices.Clone(p.Create), lacks)
			if len(p.Create)+len(p.Remove) > 0 {
				kept = append(kept, p)
			}
		}
	}
	return kept, nil
}

// keepUnstored drops the plans that would destroy bytes stored nowhere,
// unless the user wants that. "Stored" means that the object was read and
// proven.
func (r *Repo) keepUnstored(ctx context.Context, plans []index.Plan, o CheckoutOptions, bad *failures) ([]index.Plan, error) {
	if o.Force {
		return plans, nil
	}
	kept := plans[:0]
	for _, p := range plans {
		lost, err := r.unstored(ctx, withoutEmptied(p))
		if err != nil {
			return nil, err
		}
		if len(lost) == 0 || o.Confirm != nil && o.Confirm(removeQuestion(r, p, lost)) {
			kept = append(kept, p)
			continue
		}
		bad.add(p.Path, errs.WithHint(errs.New(errs.Conflict, "unable to remove '%s' without a confirmation: %s", r.Show(p.Path), r.listFiles(lost)),
			"These bytes are stored nowhere else. Use `--force` to give them up, or keep them first with `cairn add` or `cairn commit`."))
	}
	return kept, nil
}

// withoutEmptied are the files whose bytes a plan takes away. An empty file
// that gets its content has none: a power cut leaves such files, since what is
// checked out is not flushed.
func withoutEmptied(p index.Plan) []object.File {
	if !slices.ContainsFunc(p.Losing, func(f object.File) bool { return f.Size == 0 }) {
		return p.Losing
	}
	filled := map[string]bool{}
	for _, c := range p.Create {
		filled[path.Join(p.Path, c.Path)] = true
	}
	return slices.DeleteFunc(slices.Clone(p.Losing), func(f object.File) bool { return f.Size == 0 && filled[f.Path] })
}

func removeQuestion(r *Repo, p index.Plan, lost []object.File) string {
	return fmt.Sprintf("file/directory '%s' is going to be removed (%s). Are you sure you want to proceed?", r.Show(p.Path), r.listFiles(lost))
}

// listFiles names a few files and counts the rest.
func (r *Repo) listFiles(files []object.File) string {
	const most = 5
	var names []string
	for _, f := range files[:min(most, len(files))] {
		names = append(names, "'"+disk.Quote(r.Show(f.Path))+"'")
	}
	text := strings.Join(names, ", ")
	if more := len(files) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + " not in the cache"
}

// unstored returns the files whose bytes the cache cannot give back.
func (r *Repo) unstored(ctx context.Context, files []object.File) ([]object.File, error) {
	var lost []object.File
	for _, f := range files {
		ok, err := r.Cache.Verify(ctx, f.Digest)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || !ok {
			lost = append(lost, f)
		}
	}
	return lost, nil
}

// reportCheckout sorts outs by their fate.
func (r *Repo) reportCheckout(plans []index.Plan, done index.Applied, res *CheckoutResult, bad *failures, o CheckoutOptions) {
	for _, f := range done.Failed {
		if o.AllowMissing && errs.Is(f.Err, errs.NotFound) {
			continue
		}
		bad.add(f.Path, f.Err)
	}
	for _, p := range plans {
		if slices.ContainsFunc(done.Failed, func(f index.FileError) bool {
			return f.Path == p.Path || strings.HasPrefix(f.Path, p.Path+"/")
		}) {
			continue
		}
		if !o.Relink {
			res.Files.add(countPlan(p))
		}
		shown := r.Show(p.Path)
		if p.IsDir || p.Change == index.Deleted && p.RemoveTree != "" {
			shown += "/"
		}
		switch p.Change {
		case index.Added:
			res.Added = append(res.Added, shown)
		case index.Deleted:
			res.Deleted = append(res.Deleted, shown)
		case index.Modified:
			if !o.Relink {
				res.Modified = append(res.Modified, shown)
			}
		}
	}
	sort.Strings(res.Added)
	sort.Strings(res.Deleted)
	sort.Strings(res.Modified)
}

// countPlan counts a plan's files by what becomes of them.
func countPlan(p index.Plan) FileCounts {
	c := FileCounts{Deleted: len(p.Remove), Modified: len(p.Losing) - len(p.Remove)}
	c.Added = len(p.Create) - c.Modified
	return c
}

// failures gathers what went wrong with single paths.
type failures struct{ list []failure }

type failure struct {
	path string
	err  error
}

func (f *failures) add(path string, err error) { f.list = append(f.list, failure{path, err}) }

func (f *failures) paths() []string {
	var out []string
	for _, x := range f.list {
		out = append(out, x.path)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// maxShown is how many failures a message names.
const maxShown = 10

// err joins the failures into one error of the first one's class.
func (f *failures) err(what string) error {
	if len(f.list) == 0 {
		return nil
	}
	sort.SliceStable(f.list, func(i, j int) bool { return f.list[i].path < f.list[j].path })
	return &PartialError{What: what, failures: f.list}
}

// PartialError says that some of what was asked for was not done, and what.
type PartialError struct {
	What     string
	failures []failure
}

// Error names the first failures and counts the rest.
func (e *PartialError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed for following targets:", e.What)
	for i, f := range e.failures {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more", len(e.failures)-maxShown)
			break
		}
		fmt.Fprintf(&b, "\n%s: %v", disk.Quote(f.path), f.err)
	}
	return b.String()
}

// Unwrap gives the first failure, whose class is the whole's.
func (e *PartialError) Unwrap() error { return e.failures[0].err }

// Count is how many targets failed.
func (e *PartialError) Count() int { return len(e.failures) }

// Missing reports whether every failure is a missing object.
func (e *PartialError) Missing() bool {
	return !slices.ContainsFunc(e.failures, func(f failure) bool { return !errs.Is(f.err, errs.NotFound) })
}

// Unsaved reports whether every failure is the refusal to give up bytes that
// are stored nowhere.
func (e *PartialError) Unsaved() bool {
	return !slices.ContainsFunc(e.failures, func(f failure) bool { return !errs.Is(f.err, errs.Conflict) })
}

// Paths are the targets that failed.
func (e *PartialError) Paths() []string {
	f := failures{e.failures}
	return f.paths()
}

// outsFile remembers which outs cairn or DVC checked out, so that an out that
// a later commit no longer has can be removed.
const outsFile = "cairn-outs"

// rememberOuts notes the outs that are in the workspace now.
func (r *Repo) rememberOuts(rels ...string) {
	known := r.knownOuts()
	n := len(known)
	for _, rel := range rels {
		known[rel] = true
	}
	if len(known) != n {
		r.writeKnownOuts(known)
	}
}

// forgetOuts notes that paths are data of ours no longer: nothing will remove
// them.
func (r *Repo) forgetOuts(rels ...string) {
	known := r.knownOuts()
	n := len(known)
	for _, rel := range rels {
		delete(known, rel)
	}
	if len(known) != n {
		r.writeKnownOuts(known)
	}
}

// pathsOfTargets are the outs of targets that a checkout makes.
func pathsOfTargets(targets []Target) []string {
	var rels []string
	for _, t := range targets {
		if rel := t.Out.RepoPath(); t.Out.Cache && !t.Out.IsExternal() && !outOfRoot(rel) {
			rels = append(rels, rel)
		}
	}
	return rels
}

func (r *Repo) knownOuts() map[string]bool {
	known := map[string]bool{}
	b, err := r.Dir.ReadFile(tmpDir + "/" + outsFile)
	if err != nil {
		return known
	}
	for line := range strings.Lines(string(b)) {
		if p := strings.TrimSuffix(line, "\n"); disk.CheckRel(p) == nil {
			known[p] = true
		}
	}
	return known
}

func (r *Repo) writeKnownOuts(known map[string]bool) {
	var b strings.Builder
	list := make([]string, 0, len(known))
	for p := range known {
		if !strings.Contains(p, "\n") {
			list = append(list, p)
		}
	}
	sort.Strings(list)
	for _, p := range list {
		b.WriteString(p + "\n")
	}
	_ = r.Dir.WriteFile(tmpDir+"/"+outsFile, []byte(b.String()), 0o666) // a memory only
}

// removeDropped deletes the outs that were checked out once and that no
// stage has any more, as after a Git checkout of another branch.
func (r *Repo) removeDropped(ctx context.Context, targets []Target, o CheckoutOptions, res *CheckoutResult) error {
	known := r.knownOuts()
	now := map[string]bool{}
	for _, t := range targets {
		now[t.Out.RepoPath()] = true
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return err
	}
	var plans []index.Plan
	var bad failures
	changed := false
	for p := range known {
		if now[p] {
			continue
		}
		delete(known, p)
		changed = true
		if stages.Find(p) != nil || len(stages.Inside(p)) > 0 {
			continue
		}
		have, err := r.scanner(r.Alg).Scan(ctx, p, r.rulesAbove(p))
		if err != nil {
			continue // gone already, or not ours to judge
		}
		if tracked, err := r.gitTracks(p); err != nil || tracked {
			continue
		}
		plans = append(plans, index.MakePlan(index.Want{Path: p}, have, false))
	}
	plans, err = r.keepUnstored(ctx, plans, CheckoutOptions{Force: o.Force, Confirm: o.Confirm}, &bad)
	if err != nil {
		return err
	}
	// What is not stored stays, silently: nobody asked for its removal.
	done, err := r.apply(ctx, plans, nil)
	if err != nil {
		return err
	}
	r.reportCheckout(plans, done, res, &failures{}, o)
	if changed {
		r.writeKnownOuts(known)
	}
	return nil
}

func (r *Repo) gitTracks(rel string) (bool, error) {
	if r.Git == nil {
		return false, nil
	}
	return r.Git.IsTracked(r.gitPath(rel))
}
