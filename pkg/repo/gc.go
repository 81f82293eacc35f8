package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/object"
)

// GCOptions say what [Repo.GC] keeps and where it deletes. What the workspace
// uses is always kept.
type GCOptions struct {
	Workspace   bool   // keep nothing else: one of these must be set
	Rev         string // also what a commit uses
	Num         int    // and so many commits before Rev and the branches; 0 is 1
	Branches    bool
	Tags        bool
	Commits     bool
	Experiments bool
	Date        string // also what commits since that day use: 2006-01-02

	NotInRemote bool // keep only what the remote lacks
	Cloud       bool // delete from the remote too
	Remote      string
	SkipFailed  bool     // do without commits that cannot be read
	Projects    []string // folders of other repositories whose data are kept
	Jobs        int      // requests to a remote at the same time; 0 is its choice
	Dry         bool
	// OlderThan is how old an object of a remote must be to be deleted, so
	// that what somebody is pushing now stays; nil is DefaultMargin. Folders
	// of this machine have a trash instead.
	OlderThan *time.Duration
	// LastCopies deletes from a remote also what neither the cache nor its
	// trash has.
	LastCopies bool
	// NoTrash deletes for good, and empties the trash.
	NoTrash bool
	// Trace finds out which commits used what would go.
	Trace bool
	// Confirm is shown the plan and may refuse. nil agrees. The repository is
	// not locked meanwhile; what has come to be used is kept.
	Confirm func(*GCPlan) bool
}

const (
	// DefaultMargin is time enough for a push to be followed by the commit
	// that names what was pushed.
	DefaultMargin = 24 * time.Hour
	// maxTraced bounds the list of commits that used what goes.
	maxTraced = 20
)

// GCPlan is what a collection would delete.
type GCPlan struct {
	Places []*GCPlace `json:"places"`
	// UsedBy are the newest commits that use some of it, if that was asked
	// for; MoreUsers counts the rest.
	UsedBy    []GCUser `json:"used_by,omitempty"`
	MoreUsers int      `json:"more_users,omitempty"`
}

// GCUser is a commit that uses objects that would go.
type GCUser struct {
	Rev     string    `json:"rev"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
	Objects int       `json:"objects"`
}

// GCPlace is a cache or remote with the objects in it that nothing uses.
type GCPlace struct {
	Name    string `json:"name"`             // "repo" and "legacy" for the two parts of the cache, "remote"
	Remote  string `json:"remote,omitempty"` // its name
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"`
	// Oldest and Newest are when the first and the last of them were stored,
	// zero if the place does not tell.
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Young and LastCopies count unused objects that stay: those younger than
	// the margin, and those that no other place is known to have.
	Young      int  `json:"kept_young,omitempty"`
	LastCopies int  `json:"kept_last_copies,omitempty"`
	Removed    int  `json:"removed"`
	Trash      bool `json:"trash"` // deleted objects can be brought back

	unused []object.Digest
	store  object.Store
}

// Paths are the names of the objects that would go: paths on this machine
// where there are any, keys elsewhere.
func (p *GCPlace) Paths() []string {
	c, local := p.store.(*cache.Cache)
	list := make([]string, len(p.unused))
	for i, d := range p.unused {
		if list[i] = d.Key(); local {
			list[i] = filepath.Join(c.Path(), filepath.FromSlash(d.Key()))
		}
	}
	return list
}

// Total sums up all places.
func (p *GCPlan) Total() (objects int, bytes int64) {
	for _, at := range p.Places {
		objects += at.Objects
		bytes += at.Bytes
	}
	return objects, bytes
}

// GC deletes the objects that nothing uses which is to be kept. If there is
// doubt about what is used, nothing is deleted.
func (r *Repo) GC(ctx context.Context, o GCOptions) (*GCPlan, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	others, err := r.openProjects(o.Projects)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range others {
			p.Close()
		}
	}()
	g := &collection{Repo: r, o: o, others: others}
	defer g.close()
	if o.Confirm != nil && !o.Dry {
		plan, err := g.locked(ctx, g.plan)
		if err != nil || !o.Confirm(plan) {
			return plan, err
		}
		g.agreed = map[object.Digest]bool{}
		for _, at := range plan.Places {
			for _, d := range at.unused {
				g.agreed[d] = true
			}
		}
		g.o.Trace = false
	}
	return g.locked(ctx, func(ctx context.Context) (*GCPlan, error) {
		plan, err := g.plan(ctx)
		if err != nil || o.Dry {
			return plan, err
		}
		return plan, g.delete(ctx, plan)
	})
}

// Check refuses options that do not go together.
func (o GCOptions) Check() error {
	switch {
	case o.Remote != "" && !o.Cloud && !o.NotInRemote:
		return errs.New(errs.Invalid, "`--remote` requires `--cloud` or `--not-in-remote`")
	case o.NotInRemote && o.Cloud:
		return errs.New(errs.Invalid, "`--not-in-remote` and `--cloud` are mutually exclusive")
	case !o.Workspace && o.Rev == "" && !o.Branches && !o.Tags && !o.Commits && !o.Experiments && o.Date == "":
		return errs.New(errs.Invalid, "Either of `-w|--workspace`, `-a|--all-branches`, `-T|--all-tags` "+
			"`--all-experiments`, `--all-commits`, `--date` or `--rev` needs to be set.")
	case o.Num != 0 && o.Rev == "" && !o.Branches:
		return errs.New(errs.Invalid, "`--num` can only be used alongside `--rev` or `--all-branches`")
	}
	if o.Date != "" {
		if _, err := time.Parse(time.DateOnly, o.Date); err != nil {
			return errs.New(errs.Invalid, "--date: '%s' is not a day of the form 2026-01-31", o.Date)
		}
	}
	return nil
}

// openProjects opens other repositories. One that cannot be opened is doubt.
func (r *Repo) openProjects(paths []string) ([]*Repo, error) {
	var list []*Repo
	for _, p := range paths {
		env := r.env
		env.Dir = p
		if !filepath.IsAbs(env.Dir) {
			env.Dir = filepath.Join(r.env.Dir, env.Dir)
		}
		other, err := Open(env)
		if err == nil && other.Root == r.Root {
			err = other.Close()
			if err == nil {
				continue
			}
		}
		if err != nil {
			for _, p := range list {
				p.Close()
			}
			return nil, fmt.Errorf("project '%s': %w", disk.Quote(p), err)
		}
		list = append(list, other)
	}
	return list, nil
}

// collection is one run of the verb.
type collection struct {
	*Repo
	o      GCOptions
	others []*Repo
	stores map[string]object.Store // remotes by their name in the configuration
	agreed map[object.Digest]bool  // what the user has seen; nil is all
}

func (g *collection) close() {
	for _, s := range g.stores {
		closeStore(s)
	}
}

// locked calls f while no other command changes any of the repositories.
func (g *collection) locked(ctx context.Context, f func(context.Context) (*GCPlan, error)) (*GCPlan, error) {
	all := append([]*Repo{g.Repo}, g.others...)
	// Two collections over the same repositories must not wait for each other.
	slices.SortFunc(all, func(a, b *Repo) int { return strings.Compare(a.Root, b.Root) })
	for _, r := range all {
		unlock, err := r.Lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
		if err := r.nobodyAtWork(); err != nil {
			return nil, err
		}
	}
	return f(ctx)
}

// nobodyAtWork fails if a stage is running, or another process writes into the
// cache: what they are about to record cannot be known yet.
func (r *Repo) nobodyAtWork() error {
	rw := newRWLock(r)
	st, err := rw.load()
	if err != nil {
		return err
	}
	if st != nil {
		for p, u := range st.write {
			if u.pid != rw.me.pid && disk.Alive(int(u.pid)) {
				return errs.WithHint(errs.New(errs.Locked, "process %d (%s) is making '%s'; what it will record cannot be known yet", u.pid, disk.Quote(u.cmd), disk.Quote(p)),
					"Wait for it to end, then run the command again. Nothing was deleted.")
			}
		}
	}
	pids, err := r.Cache.Writers()
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return errs.WithHint(errs.New(errs.Locked, "process %d is writing into the cache '%s'", pids[0], disk.Quote(r.Cache.Path())),
			"Wait for it to end, then run the command again. Nothing was deleted.")
	}
	return nil
}

// plan finds what nothing uses.
func (g *collection) plan(ctx context.Context) (*GCPlan, error) {
	if err := g.checkSharing(); err != nil {
		return nil, err
	}
	span := g.phase("find what is used", "objects")
	used, err := g.used(ctx)
	span.Add(int64(len(used)), 0)
	span.End()
	if err != nil {
		return nil, err
	}
	plan := &GCPlan{}
	keep := used
	if g.o.NotInRemote {
		if keep, err = g.notInRemote(ctx, used); err != nil {
			return nil, err
		}
	}
	trash := g.trashDays() > 0
	for _, part := range g.cacheParts() {
		at := &GCPlace{Name: part.name, store: g.Cache, Trash: trash}
		for _, a := range part.algorithms {
			if err := g.collect(ctx, at, a, keep, nil); err != nil {
				return nil, err
			}
		}
		plan.Places = append(plan.Places, at)
	}
	if g.o.Cloud {
		store, name, err := g.remote(ctx, g.o.Remote)
		if err != nil {
			return nil, err
		}
		if store.Properties().ListPrice == 0 && !store.Properties().Local {
			return nil, errs.New(errs.Unsupported, "remote '%s' cannot list what it holds, so what is unused cannot be found", name)
		}
		at := &GCPlace{Name: "remote", Remote: name, store: store}
		_, at.Trash = store.(*cache.Cache)
		at.Trash = at.Trash && trash
		for _, a := range g.remoteAlgorithms() {
			if err := g.collect(ctx, at, a, used, g.spare(at)); err != nil {
				return nil, err
			}
		}
		plan.Places = append(plan.Places, at)
	}
	if g.o.Trace {
		err = g.trace(ctx, plan)
	}
	return plan, err
}

type cachePart struct {
	name       string
	algorithms []object.Algorithm
}

// cacheParts are DVC's two caches in one folder. In a cache that lies in this
// repository all objects are its own; elsewhere another repository may keep
// objects of the other algorithm.
func (g *collection) cacheParts() []cachePart {
	own := []object.Algorithm{g.Alg}
	if rel, err := filepath.Rel(g.Root, g.Cache.Path()); err == nil && filepath.IsLocal(rel) {
		own = []object.Algorithm{object.MD5, object.BLAKE3}
	}
	return []cachePart{{"repo", own}, {"legacy", []object.Algorithm{object.MD5Legacy}}}
}

func (g *collection) remoteAlgorithms() []object.Algorithm {
	if g.Alg == object.MD5 {
		return []object.Algorithm{object.MD5, object.MD5Legacy}
	}
	return []object.Algorithm{g.Alg}
}

// collect adds to a place its unused objects. spare, which may be nil, says of
// one whether it stays all the same.
func (g *collection) collect(ctx context.Context, at *GCPlace, a object.Algorithm, used map[object.Digest]bool, spare func(object.Info) (bool, error)) error {
	span := g.phase("list objects", "objects")
	defer span.End()
	for i, err := range at.store.List(ctx, a) {
		if err != nil {
			return err
		}
		span.Add(1, i.Size)
		if used[i.Digest] || g.agreed != nil && !g.agreed[i.Digest] {
			continue
		}
		if spare != nil {
			if stays, err := spare(i); err != nil {
				return err
			} else if stays {
				continue
			}
		}
		at.unused = append(at.unused, i.Digest)
		at.Objects++
		at.Bytes += i.Size
		if i.ModTime != 0 {
			t := time.Unix(0, i.ModTime)
			if at.Oldest.IsZero() || t.Before(at.Oldest) {
				at.Oldest = t
			}
			if t.After(at.Newest) {
				at.Newest = t
			}
		}
	}
	return nil
}

// spare keeps objects of a remote that has no trash: what is young, and what
// nobody else is known to have.
func (g *collection) spare(at *GCPlace) func(object.Info) (bool, error) {
	if at.Trash {
		return nil
	}
	margin := DefaultMargin
	if g.o.OlderThan != nil {
		margin = *g.o.OlderThan
	}
	limit := g.now().Add(-margin).UnixNano()
	return func(i object.Info) (bool, error) {
		if margin > 0 && (i.ModTime == 0 || i.ModTime > limit) {
			at.Young++
			return true, nil
		}
		if g.o.LastCopies {
			return false, nil
		}
		have, err := g.Cache.Has(context.Background(), []object.Digest{i.Digest})
		if err != nil || len(have) > 0 {
			return false, err
		}
		trashed, err := g.Cache.HasTrashed(i.Digest)
		if err == nil && !trashed {
			at.LastCopies++
		}
		return !trashed, err
	}
}

// trashDays is how long deleted objects can be brought back, in days.
func (g *collection) trashDays() int {
	if g.o.NoTrash {
		return 0
	}
	return g.Config.Cairn.TrashDays
}

// remote opens a remote once.
func (g *collection) remote(ctx context.Context, name string) (object.Store, string, error) {
	cfg, err := g.remoteConfig(name)
	if err != nil {
		return nil, "", err
	}
	if cfg.VersionAware || cfg.Worktree {
		return nil, "", errs.New(errs.Config, "config file error: 'gc -c' is unsupported for cloud versioned remotes")
	}
	if s := g.stores[cfg.Name]; s != nil {
		return s, cfg.Name, nil
	}
	s, _, err := g.openRemoteJobs(ctx, cfg.Name, g.o.Jobs)
	if err != nil {
		return nil, "", err
	}
	if g.stores == nil {
		g.stores = map[string]object.Store{}
	}
	g.stores[cfg.Name] = s
	return s, cfg.Name, nil
}

// used are the objects that any of the repositories needs for what is kept.
func (g *collection) used(ctx context.Context) (map[object.Digest]bool, error) {
	used := map[object.Digest]bool{}
	for _, r := range append([]*Repo{g.Repo}, g.others...) {
		if err := g.usedBy(ctx, r, used); err != nil {
			return nil, err
		}
	}
	return used, nil
}

func (g *collection) usedBy(ctx context.Context, r *Repo, used map[object.Digest]bool) error {
	src := &watchedFS{workFS: workFS{r.Dir}}
	stages, err := r.loadStages(ctx, src, r.Ignore, "")
	if err == nil && src.closed != "" {
		err = errs.New(errs.Denied, "the folder '%s' cannot be read", disk.Quote(r.Show(src.closed)))
	}
	if err != nil {
		return g.doubt("workspace", err)
	}
	if err := g.addUsed(ctx, r, "workspace", stages, used); err != nil {
		return err
	}
	shas, err := g.keptCommits(ctx, r)
	if err != nil {
		return err
	}
	seen := map[*Stages]bool{}
	for _, sha := range shas {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := r.commitRevision(sha, sha)
		if errors.Is(err, fs.ErrNotExist) {
			continue // from before the repository was there
		}
		var stages *Stages
		if err == nil {
			stages, err = v.Stages(ctx)
		}
		if err == nil {
			if seen[stages] {
				continue
			}
			seen[stages] = true
			err = g.addUsed(ctx, r, sha[:7], stages, used)
		}
		if err != nil {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case stages != nil:
				return err
			case g.o.SkipFailed:
				g.warn("revision '%s' was left out: %v", sha[:7], err)
				continue
			}
			return g.doubt(sha[:7], &revisionError{sha, err})
		}
	}
	return nil
}

// doubt is the failure to find out what something uses.
func (g *collection) doubt(what string, err error) error {
	hint := "Mend it, then run the command again."
	if what != "workspace" {
		hint = "Mend it, or do without what cannot be read: --skip-failed."
	}
	return errs.WithHint(&errs.Error{Kind: errs.KindOf(err), Msg: fmt.Sprintf("Failed to collect '%s'", what), Err: err}, "Nothing was deleted, as what cannot be read may use anything. %s", hint)
}

// addUsed adds the objects of outs. A folder's manifest must be at hand, here
// or on a remote: without it nobody knows what the folder needs.
func (g *collection) addUsed(ctx context.Context, r *Repo, rev string, stages *Stages, used map[object.Digest]bool) error {
	for _, t := range stages.Outs() {
		d := t.Out.Digest
		if d.IsZero() || used[d] || !t.Out.Cache {
			continue
		}
		if !d.IsDir() {
			used[d] = true
			continue
		}
		m, err := g.manifest(ctx, r, t)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && g.o.SkipFailed:
			g.warn("revision '%s': %v; what is left of it is not kept", rev, err)
		case err != nil:
			return g.doubt(rev, err)
		}
		used[d] = true
		for _, f := range m {
			used[f.Digest] = true
		}
	}
	return nil
}

func (g *collection) manifest(ctx context.Context, r *Repo, t Target) (object.Manifest, error) {
	d := t.Out.Digest
	m, err := r.Cache.ReadManifest(ctx, d)
	if err == nil {
		return m, nil
	}
	if r.Cache != g.Cache {
		if m, cerr := g.Cache.ReadManifest(ctx, d); cerr == nil {
			return m, nil
		}
	}
	if m, terr := g.Cache.TrashedManifest(ctx, d); terr == nil {
		return m, nil
	}
	if store, oerr := g.storeOf(ctx, r, t); oerr == nil {
		m, rerr := object.ReadManifest(ctx, store, d)
		if rerr == nil {
			return m, nil
		}
		if errs.Is(err, errs.NotFound) && !errs.Is(rerr, errs.NotFound) {
			err = rerr
		}
	}
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "the list of files of '%s' (%s) is neither in the cache nor on the remote", disk.Quote(t.Path()), d)
	}
	return nil, fmt.Errorf("the list of files of '%s': %w", disk.Quote(t.Path()), err)
}

// storeOf is the remote of an out, of whichever repository.
func (g *collection) storeOf(ctx context.Context, r *Repo, t Target) (object.Store, error) {
	cfg, err := r.remoteConfig(t.Out.Remote)
	if err != nil {
		return nil, err
	}
	key := r.Root + "\x00" + cfg.Name
	if r == g.Repo {
		key = cfg.Name
	}
	if s := g.stores[key]; s != nil {
		return s, nil
	}
	s, _, err := r.openRemoteJobs(ctx, cfg.Name, g.o.Jobs)
	if err != nil {
		return nil, err
	}
	if g.stores == nil {
		g.stores = map[string]object.Store{}
	}
	g.stores[key] = s
	return s, nil
}

// keptCommits are the commits of a repository whose data are kept.
func (g *collection) keptCommits(ctx context.Context, r *Repo) ([]string, error) {
	o := g.o
	if o.Rev == "" && !o.Branches && !o.Tags && !o.Commits && !o.Experiments && o.Date == "" {
		return nil, nil
	}
	if r.Git == nil {
		return nil, errs.New(errs.Unsupported, "only supported for Git repositories")
	}
	var shas []string
	seen := map[string]bool{}
	add := func(list ...string) {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				shas = append(shas, s)
			}
		}
	}
	num := o.Num
	if num == 0 {
		num = 1
	}
	if o.Rev != "" {
		sha, err := r.Git.Resolve(ctx, o.Rev)
		if err != nil {
			return nil, err
		}
		list, err := r.Git.Ancestors(sha, num)
		if err != nil {
			return nil, err
		}
		add(list...)
	}
	if o.Commits {
		list, err := r.Git.Commits(ctx)
		if err != nil {
			return nil, err
		}
		add(list...)
	}
	refs, err := r.Git.Revs(ctx, git.RevOptions{AllBranches: o.Branches && !o.Commits})
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		list, err := r.Git.Ancestors(ref.SHA, num)
		if err != nil {
			return nil, err
		}
		add(list...)
	}
	if o.Tags && !o.Commits {
		tags, err := r.Git.Revs(ctx, git.RevOptions{AllTags: true})
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			add(t.SHA)
		}
	}
	if o.Date != "" && !o.Commits {
		day, err := time.ParseInLocation(time.DateOnly, o.Date, time.Local)
		if err != nil {
			return nil, err
		}
		all, err := r.Git.Commits(ctx)
		if err != nil {
			return nil, err
		}
		for _, sha := range all {
			c, err := r.Git.Commit(sha)
			if err != nil {
				return nil, err
			}
			if !c.Time.Before(day) {
				add(sha)
			}
		}
	}
	if o.Experiments {
		exps, err := r.Git.Refs("refs/exps/")
		if err != nil {
			return nil, err
		}
		for _, e := range exps {
			add(e.SHA)
		}
	}
	return shas, nil
}

// notInRemote leaves of the used objects those that the remote lacks.
func (g *collection) notInRemote(ctx context.Context, used map[object.Digest]bool) (map[object.Digest]bool, error) {
	store, _, err := g.remote(ctx, g.o.Remote)
	if err != nil {
		return nil, err
	}
	ds := make([]object.Digest, 0, len(used))
	for d := range used {
		ds = append(ds, d)
	}
	there, err := store.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	here, err := g.Cache.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	keep := map[object.Digest]bool{}
	for _, d := range ds {
		// A cut object is not the object.
		if far, ok := there[d]; !ok || here[d].Size != far.Size {
			keep[d] = true
		}
	}
	return keep, nil
}

// trace finds the commits that use what would go, the newest first.
func (g *collection) trace(ctx context.Context, plan *GCPlan) error {
	if g.Git == nil {
		return nil
	}
	going := map[object.Digest]bool{}
	for _, at := range plan.Places {
		for _, d := range at.unused {
			going[d] = true
		}
	}
	if len(going) == 0 {
		return nil
	}
	commits, err := g.Git.Commits(ctx)
	if err != nil {
		return err
	}
	known := map[object.Digest]int{}
	for _, sha := range commits {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := g.commitRevision(sha, sha)
		if err != nil {
			continue
		}
		stages, err := v.Stages(ctx)
		if err != nil {
			continue // it is not kept, and only to be told of
		}
		n := 0
		for _, t := range stages.Outs() {
			d := t.Out.Digest
			if d.IsZero() {
				continue
			}
			count, ok := known[d]
			if !ok {
				if going[d] {
					count++
				}
				if d.IsDir() {
					if m, err := g.Cache.ReadManifest(ctx, d); err == nil {
						for _, f := range m {
							if going[f.Digest] {
								count++
							}
						}
					}
				}
				known[d] = count
			}
			n += count
		}
		if n == 0 {
			continue
		}
		if len(plan.UsedBy) == maxTraced {
			plan.MoreUsers++
			continue
		}
		c, err := g.Git.Commit(sha)
		if err != nil {
			return err
		}
		plan.UsedBy = append(plan.UsedBy, GCUser{Rev: sha, Time: c.Time, Subject: c.Subject, Objects: n})
	}
	return nil
}

// delete does what the plan says: the cache first, so that what only the
// remote would still have is noticed.
func (g *collection) delete(ctx context.Context, plan *GCPlan) error {
	span := g.phase("delete", "objects")
	defer span.End()
	for _, at := range plan.Places {
		span.Add(int64(at.Objects), at.Bytes)
	}
	var caches []*cache.Cache
	discard := map[*cache.Cache][]object.Digest{} // one deletion for both parts of a cache
	for _, at := range plan.Places {
		if c, ok := at.store.(*cache.Cache); ok && at.Trash {
			if discard[c] == nil {
				caches = append(caches, c)
			}
			discard[c] = append(discard[c], at.unused...)
		}
	}
	for _, c := range caches {
		if _, err := c.Discard(ctx, discard[c], g.now()); err != nil {
			return err
		}
	}
	for _, at := range plan.Places {
		if at.Trash {
			at.Removed = len(at.unused)
		} else if err := g.deleteForGood(ctx, at); err != nil {
			return err
		}
	}
	// What has waited long enough goes for good; without a trash, all of it.
	before := g.now().AddDate(0, 0, -g.trashDays())
	if g.trashDays() == 0 {
		before = g.now().Add(time.Second)
	}
	for _, c := range append(caches, g.Cache) {
		if _, err := c.EmptyTrash(ctx, before); err != nil {
			return err
		}
	}
	return nil
}

func (g *collection) deleteForGood(ctx context.Context, at *GCPlace) error {
	var manifests, files []object.Digest
	for _, d := range at.unused {
		if d.IsDir() {
			manifests = append(manifests, d)
		} else {
			files = append(files, d)
		}
	}
	task := g.Progress.Start("Deleting", int64(len(at.unused)), -1)
	defer task.Done()
	// A manifest says that its files are there: it goes before them.
	for _, list := range [][]object.Digest{manifests, files} {
		for part := range slices.Chunk(list, 10_000) {
			if err := at.store.Delete(ctx, part); err != nil {
				return err
			}
			at.Removed += len(part)
			task.Add(int64(len(part)), 0)
		}
	}
	return nil
}

// GCRestored tells what [Repo.GCUndo] brought back.
type GCRestored struct {
	Objects int       `json:"objects"`
	Bytes   int64     `json:"bytes"`
	Deleted time.Time `json:"deleted"` // when they were deleted
	Remote  string    `json:"remote,omitempty"`
}

// GCUndo brings back what the last collection deleted from the cache or, if
// cloud is set, from a remote that is a folder. Called again it undoes the one
// before. NotFound if the trash is empty.
func (r *Repo) GCUndo(ctx context.Context, cloud bool, name string) (GCRestored, error) {
	var res GCRestored
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	c := r.Cache
	if cloud {
		store, known, err := r.openRemote(ctx, name)
		if err != nil {
			return res, err
		}
		defer closeStore(store)
		folder, ok := store.(*cache.Cache)
		if !ok {
			return res, errs.New(errs.Unsupported, "remote '%s' has no trash: only folders of this machine have one", known)
		}
		c, res.Remote = folder, known
	}
	list, err := c.Trashes()
	if err != nil {
		return res, err
	}
	if len(list) == 0 {
		return res, errs.New(errs.NotFound, "there is nothing in the trash")
	}
	res.Deleted = list[0].When
	res.Objects, res.Bytes, err = c.Restore(ctx, list[0])
	return res, err
}

// watchedFS notes a folder that is closed to us: whoever looks for stage files
// to work on passes it by.
type watchedFS struct {
	workFS
	closed string
}

func (w *watchedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := w.workFS.ReadDir(name)
	if errors.Is(err, fs.ErrPermission) {
		w.closed = name
	}
	return list, err
}
