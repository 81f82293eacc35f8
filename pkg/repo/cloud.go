package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"sort"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
)

// CloudOptions say which objects push, fetch and status -c are about.
type CloudOptions struct {
	Targets []string
	Remote  string // "" is each out's own remote, or the default
	// Remotes, for a push, are several to be sent to, in place of Remote. From
	// names a remote that has what the cache lacks: it is copied from there.
	Remotes []string
	From    string
	// VerifyRemote asks the remote for each object, with its size, whatever it
	// says of whole folders. A fetch asks for those that it need not bring, too.
	VerifyRemote bool
	Jobs         int  // transfers at the same time; 0 is the remote's choice
	Branches     bool // also what the heads of all branches use
	Tags         bool
	Commits      bool // also what any commit uses
	WithDeps     bool
	Recursive    bool
	Glob         bool
	// RunCache includes the history of stage runs; NoRunCache, its negation,
	// is the default.
	RunCache, NoRunCache bool
	// MaxSize and Types limit a fetch: only outs of at most so many bytes
	// (0: any), only metrics or plots.
	MaxSize int64
	Types   []string
}

// bundle is what one out needs: an object, or a manifest and its files.
type bundle struct {
	path   string // of the out, or of the part that is wanted
	digest object.Digest
	size   int64
	under  string
	files  object.Manifest // once the manifest is known
	known  bool            // the manifest could be read
	// hostile is set for a manifest that has its digest and is none that may
	// be used: it goes nowhere.
	hostile bool
}

// wanted is what goes to or comes from one remote.
type wanted struct {
	remote  string // its name
	bundles []*bundle
	imports []Target // of a fetch: what may also come from where it was imported from
	targets []Target // what the bundles are of, some more than once
}

// wantedObjects gathers what the options name, by remote. If some revisions
// cannot be read, the list is that of the others: see goOn. With push set, outs
// that are not to be pushed are left out.
func (r *Repo) wantedObjects(ctx context.Context, o CloudOptions, push bool) ([]*wanted, error) {
	sets, unread := r.revisions(ctx, o)
	if _, stop := goOn(unread); stop != nil {
		return nil, stop
	}
	byRemote := map[string]*wanted{}
	var list []*wanted
	type key struct {
		d     object.Digest
		under string
	}
	seen := map[string]map[key]bool{}
	found := len(o.Targets) == 0
	var missing error
	for _, stages := range sets {
		targets, err := r.collectFrom(stages, o.Targets, CollectOptions{Recursive: o.Recursive, Glob: o.Glob, WithDeps: o.WithDeps})
		if err != nil {
			// A revision need not have every target, but some must.
			if len(sets) > 1 && errs.Is(err, errs.NotFound) {
				missing = err
				continue
			}
			return nil, err
		}
		found = true
		for _, t := range targets {
			if !t.Out.Cache || t.Out.Digest.IsZero() && (push || !t.Stage.IsImport()) || t.Out.IsExternal() || push && !t.Out.Push {
				continue
			}
			if push && t.Stage.IsImport() && t.Stage.Deps[0].Repo != nil {
				continue // its home is the repository it comes from
			}
			if !o.admits(t.Out) {
				continue
			}
			name := o.Remote
			if t.Out.Remote != "" {
				if o.Remote != "" && o.Remote != t.Out.Remote {
					continue // pinned to another remote than the one named
				}
				name = t.Out.Remote
			}
			k := key{t.Out.Digest, t.Under}
			if seen[name] == nil {
				seen[name] = map[key]bool{}
				byRemote[name] = &wanted{remote: name}
				list = append(list, byRemote[name])
			}
			w := byRemote[name]
			if !push && t.Stage.IsImport() {
				w.imports = append(w.imports, t)
				if t.Out.Digest.IsZero() {
					continue
				}
			}
			w.targets = append(w.targets, t)
			if seen[name][k] {
				continue
			}
			seen[name][k] = true
			w.bundles = append(w.bundles, &bundle{path: t.Path(), digest: t.Out.Digest, size: sizeOf(t), under: t.Under})
		}
	}
	if !found {
		return nil, missing
	}
	return list, unread
}

// admits reports whether an out is within the limits of a fetch.
func (o CloudOptions) admits(out *pipeline.Out) bool {
	if o.MaxSize > 0 && out.Size > o.MaxSize {
		return false
	}
	return len(o.Types) == 0 ||
		slices.Contains(o.Types, "metrics") && out.Metric != nil ||
		slices.Contains(o.Types, "plots") && out.Plot != nil
}

// sizeOf is the size of a target's object, -1 if the record does not say.
func sizeOf(t Target) int64 {
	if t.Out.Digest.IsDir() {
		return -1 // of a folder, the record has the sum of its files
	}
	return t.Out.Size
}

// revisions returns the stages of the workspace and of the revisions asked for.
func (r *Repo) revisions(ctx context.Context, o CloudOptions) ([]*Stages, error) {
	stages, err := r.StagesFor(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, Glob: o.Glob, WithDeps: o.WithDeps})
	if err != nil {
		return nil, err
	}
	sets := []*Stages{stages}
	if !o.Branches && !o.Tags && !o.Commits {
		return sets, nil
	}
	if r.Git == nil {
		return nil, errs.New(errs.Unsupported, "this repository has no Git, so it has no branches, tags or commits")
	}
	revs, err := r.Git.Revs(ctx, git.RevOptions{AllBranches: o.Branches, AllTags: o.Tags, AllCommits: o.Commits})
	if err != nil {
		return nil, err
	}
	var bad []error
	for _, rev := range revs {
		s, err := r.StagesAt(ctx, rev.SHA)
		if errors.Is(err, ErrInRevision) {
			bad = append(bad, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, s)
	}
	if len(bad) > 0 {
		return sets, &unreadRevisions{bad}
	}
	return sets, nil
}

// unreadRevisions says that some commits could not be read. What the others
// need is at hand and worth going on with.
type unreadRevisions struct{ list []error }

func (e *unreadRevisions) Error() string {
	s := e.list[0].Error()
	if n := len(e.list) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more revisions that cannot be read)", n)
	}
	return s
}

func (e *unreadRevisions) Unwrap() error { return e.list[0] }

// goOn splits err: what a command has to stop for, and what it may report once
// it has done the rest.
func goOn(err error) (later []error, stop error) {
	if u, ok := errors.AsType[*unreadRevisions](err); ok {
		return []error{u}, nil
	}
	return nil, err
}

// openRemote opens a remote by name, "" being the default.
func (r *Repo) openRemote(ctx context.Context, name string) (object.Store, string, error) {
	return r.openRemoteJobs(ctx, name, 0)
}

// openRemoteJobs is openRemote with so many requests at the same time; 0 is what
// the configuration or the driver says.
func (r *Repo) openRemoteJobs(ctx context.Context, name string, jobs int) (object.Store, string, error) {
	cfg, err := r.remoteConfig(name)
	if err != nil {
		return nil, "", err
	}
	s, err := r.openConfigured(ctx, cfg, jobs)
	return s, cfg.Name, err
}

// remoteSettings is a remote's configuration as its driver wants it.
func remoteSettings(c *config.Remote) remote.Config {
	return remote.Config{Name: c.Name, URL: c.URL, Options: c.Options, Jobs: c.Jobs,
		Committed: func(option string) bool {
			level, ok := c.Levels[option]
			return ok && level == config.Project
		}}
}

// remoteEnv is what drivers may see of the world.
func (r *Repo) remoteEnv() remote.Env {
	return remote.Env{Getenv: r.env.Getenv, Home: r.env.Home, Prompt: r.env.Prompt, Local: r.openLocalRemote, Phases: r.env.Phases}
}

// remoteConfig is a remote's configuration, by name or of the default one.
func (r *Repo) remoteConfig(name string) (*config.Remote, error) {
	if name == "" {
		return r.Config.DefaultRemote()
	}
	return r.Config.Remote(name)
}

// openLocalRemote opens a folder of this machine as a remote.
func (r *Repo) openLocalRemote(dir string, shared bool) (object.Store, error) {
	c := cache.Open(dir, cache.Options{Shared: shared, Hook: r.env.Hook})
	c.Clean() // what killed transfers left there
	return c, nil
}

func closeStore(s object.Store) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close()
	}
}

// readManifests reads the manifests of folders from the first store that has
// them. It goes on after one that cannot be used and reports all of those.
func readManifests(ctx context.Context, bundles []*bundle, from ...object.Store) error {
	var bad []error
	for _, b := range bundles {
		if !b.digest.IsDir() || b.known {
			continue
		}
		for _, s := range from {
			m, err := object.ReadManifest(ctx, s, b.digest)
			if err == nil {
				b.files, b.known, b.hostile = m, true, false
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !errs.Is(err, errs.NotFound) {
				b.hostile = b.hostile || errs.Is(err, errs.Invalid)
				bad = append(bad, fmt.Errorf("the list of files of '%s': %w", b.path, err))
			}
		}
	}
	return joinErrors(bad)
}

// out is the path of the out, of which a part may be wanted.
func (b *bundle) out() string {
	if b.under != "" && b.digest.IsDir() {
		return b.path[:len(b.path)-len(b.under)-1]
	}
	return b.path
}

// manifest is the item of a folder's manifest, without its files.
func (b *bundle) manifest() remote.Item {
	return remote.Item{Digest: b.digest, Size: -1, Path: b.out()}
}

// items yields a bundle's objects, the manifest last.
func (b *bundle) items() iter.Seq[remote.Item] {
	return func(yield func(remote.Item) bool) {
		if !b.digest.IsDir() {
			yield(remote.Item{Digest: b.digest, Size: b.size, Path: b.path})
			return
		}
		out := b.out()
		for _, f := range b.files.Under(b.under) {
			if !yield(remote.Item{Digest: f.Digest, Size: f.Size, Path: path.Join(out, f.Path)}) {
				return
			}
		}
		yield(b.manifest())
	}
}

// transferItems prepares bundles for a transfer: a folder's manifest waits for
// its files. Of a part of a folder only the files go; the manifest would
// claim the rest.
func transferItems(bundles []*bundle) []remote.Item {
	var list []remote.Item
	for _, b := range bundles {
		switch {
		case b.digest.IsDir() && b.known && b.under == "":
			m := b.manifest()
			if m.Files = b.files; m.Files == nil {
				m.Files = object.Manifest{}
			}
			list = append(list, m)
		case b.digest.IsDir() && b.known:
			list = append(list, slices.Collect(b.items())...)
			list = list[:len(list)-1]
		default:
			// A manifest that could not be read names no files; the transfer
			// reports it as missing.
			list = slices.AppendSeq(list, b.items())
		}
	}
	return list
}

// failedPaths lists what a transfer did not do.
func failedPaths(s remote.Stats) []string {
	var list []string
	for _, m := range s.Missing {
		list = append(list, m.Path)
	}
	for _, f := range s.Failed {
		list = append(list, f.Item.Path)
	}
	sort.Strings(list)
	return list
}

// PushResult tells what went to remotes.
type PushResult struct {
	Pushed int      `json:"pushed"`
	Bytes  int64    `json:"bytes"`
	Failed []string `json:"failed,omitempty"`
	// Remotes are the parts of a push to several.
	Remotes []RemotePush `json:"remotes,omitempty"`
}

// RemotePush tells what went to one of several remotes.
type RemotePush struct {
	Remote string   `json:"remote"`
	Pushed int      `json:"pushed"`
	Bytes  int64    `json:"bytes"`
	Failed []string `json:"failed,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Push sends the objects that the remotes lack. What the remotes have is
// asked of them, with sizes, each time. A remote that fails does not keep the
// others.
func (r *Repo) Push(ctx context.Context, o CloudOptions) (PushResult, error) {
	if len(o.Remotes) < 2 {
		if len(o.Remotes) == 1 {
			o.Remote = o.Remotes[0]
		}
		return r.push(ctx, o)
	}
	var all PushResult
	var failed []error
	for _, name := range o.Remotes { // none of them may be a mistake
		if _, err := r.remoteConfig(name); err != nil {
			return all, err
		}
	}
	for _, name := range o.Remotes {
		one := o
		one.Remote = name
		res, err := r.push(ctx, one)
		part := RemotePush{Remote: name, Pushed: res.Pushed, Bytes: res.Bytes, Failed: res.Failed}
		if err != nil {
			part.Error = err.Error()
			failed = append(failed, errs.WithHint(fmt.Errorf("remote '%s': %w", name, err), "%s", errs.HintOf(err)))
		}
		all.Pushed += res.Pushed
		all.Bytes += res.Bytes
		all.Failed = append(all.Failed, res.Failed...)
		all.Remotes = append(all.Remotes, part)
		if ctx.Err() != nil {
			return all, err
		}
	}
	return all, joinErrors(failed)
}

func (r *Repo) push(ctx context.Context, o CloudOptions) (PushResult, error) {
	var res PushResult
	unlock, err := r.lockVersions(ctx, o)
	if err != nil {
		return res, err
	}
	defer unlock()
	list, err := r.wantedObjects(ctx, o, true)
	errsFound, err := goOn(err)
	if err != nil {
		return res, err
	}
	if len(list) == 0 {
		// Nothing to do, but a remote that does not exist is a mistake.
		if _, err := r.remoteConfig(o.Remote); err != nil {
			return res, err
		}
	}
	src, err := r.pushSource(ctx, o)
	if err != nil {
		return res, err
	}
	defer closeStore(src)
	if o.RunCache {
		if res.Pushed, err = r.pushRuns(ctx, o.Remote); err != nil {
			return res, err
		}
	}
	for _, w := range list {
		store, _, err := r.openRemoteJobs(ctx, w.remote, o.Jobs)
		if err != nil {
			return res, err
		}
		if versions, ok := store.(*remote.Versions); ok {
			err = r.pushVersions(ctx, versions, src, w, o, &res)
		} else {
			err = r.pushTo(ctx, store, src, w, o, &res)
		}
		closeStore(store)
		if err != nil {
			errsFound = append(errsFound, err)
		}
	}
	return res, joinErrors(errsFound)
}

// pushSource is the cache, with a remote behind it if one is named.
func (r *Repo) pushSource(ctx context.Context, o CloudOptions) (object.Store, error) {
	if o.From == "" {
		return r.Cache, nil
	}
	s, name, err := r.openRemoteJobs(ctx, o.From, o.Jobs)
	if err != nil {
		return nil, err
	}
	return remote.NewChain([]remote.Link{{Store: r.Cache, Name: "the cache"}, {Store: s, Name: fmt.Sprintf("remote %q", name)}}, r.warn), nil
}

func (r *Repo) pushTo(ctx context.Context, store, src object.Store, w *wanted, o CloudOptions, res *PushResult) error {
	bad := readManifests(ctx, w.bundles, r.Cache)
	// A folder whose manifest is not at hand may still be whole on the remote.
	others := []object.Store{store}
	if o.From != "" {
		others = []object.Store{src, store}
	}
	if err := readManifests(ctx, w.bundles, others...); err != nil {
		bad = err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Of the others, what is wrong with a manifest shows when it is sent.
	if w.bundles = slices.DeleteFunc(w.bundles, func(b *bundle) bool { return b.hostile }); !errs.Is(bad, errs.Invalid) {
		bad = nil
	}
	stats, err := remote.Transfer(ctx, store, src, transferItems(w.bundles), remote.TransferOptions{
		Jobs: o.Jobs, Progress: r.Progress, Phases: r.env.Phases, Label: "Pushing", Verify: o.VerifyRemote,
	})
	res.Pushed += stats.Done
	res.Bytes += stats.DoneBytes
	res.Failed = append(res.Failed, failedPaths(stats)...)
	return joinErrors(slices.DeleteFunc([]error{bad, err}, func(e error) bool { return e == nil }))
}

// FetchResult tells what came from remotes.
type FetchResult struct {
	Fetched int      `json:"fetched"`
	Bytes   int64    `json:"bytes"`
	Failed  []string `json:"failed,omitempty"`
}

// Fetch brings the objects that the cache lacks from the remotes.
func (r *Repo) Fetch(ctx context.Context, o CloudOptions) (FetchResult, error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return FetchResult{}, err
	}
	defer unlock()
	return r.fetch(ctx, o)
}

func (r *Repo) fetch(ctx context.Context, o CloudOptions) (FetchResult, error) {
	var res FetchResult
	if o.Remote != "" {
		// A remote that does not exist is a mistake even if nothing is lacking.
		if _, err := r.remoteConfig(o.Remote); err != nil {
			return res, err
		}
	}
	list, err := r.wantedObjects(ctx, o, false)
	errsFound, err := goOn(err)
	if err != nil {
		return res, err
	}
	if o.RunCache {
		// Runs are no data: DVC counts them as pushed, not as fetched.
		if _, err := r.fetchRuns(ctx, o.Remote); err != nil {
			return res, err
		}
	}
	for _, w := range list {
		w.leaveImports()
		if err := r.fetchFrom(ctx, w, o, &res); err != nil {
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			errsFound = append(errsFound, err)
		}
		if err := r.fetchImports(ctx, w, o, &res); err != nil {
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			errsFound = append(errsFound, err)
		}
	}
	return res, joinErrors(errsFound)
}

// fetchFrom brings what one remote has. The remote is opened only if the
// cache lacks something.
func (r *Repo) fetchFrom(ctx context.Context, w *wanted, o CloudOptions, res *FetchResult) error {
	if err := readManifests(ctx, w.bundles, r.Cache); err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Invalid) {
		return err
	}
	if whole, err := r.haveAll(ctx, w.bundles); err != nil || whole && !o.VerifyRemote {
		return err
	}
	store, err := r.openSources(ctx, w.remote, o.Jobs, o.Remote != "" || o.VerifyRemote)
	if err != nil {
		return err
	}
	defer closeStore(store)
	var manifests []remote.Item
	for _, b := range w.bundles {
		if b.digest.IsDir() && !b.known {
			r.dropDamaged(ctx, b.digest)
			manifests = append(manifests, remote.Item{Digest: b.digest, Size: -1, Path: b.path})
		}
	}
	opts := remote.TransferOptions{Jobs: o.Jobs, Progress: r.Progress, Phases: r.env.Phases, Label: "Fetching"}
	var first error
	if len(manifests) > 0 {
		stats, err := remote.Transfer(ctx, r.Cache, store, manifests, opts)
		res.Fetched += stats.Done
		res.Bytes += stats.DoneBytes
		res.Failed = append(res.Failed, failedPaths(stats)...)
		first = err
		if err := readManifests(ctx, w.bundles, r.Cache); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			first = errors.Join(first, err)
		}
	}
	var rest []*bundle
	for _, b := range w.bundles {
		if !b.digest.IsDir() || b.known {
			rest = append(rest, b)
		}
	}
	lists, err := r.recordedLists(ctx, store, w)
	if err != nil {
		return errors.Join(first, err)
	}
	held, err := r.Cache.Has(ctx, lists)
	if err != nil {
		return errors.Join(first, err)
	}
	stats, err := remote.Transfer(ctx, r.Cache, store, transferItems(rest), opts)
	res.Fetched += stats.Done
	if now, herr := r.Cache.Has(ctx, lists); herr == nil {
		res.Fetched -= len(now) - len(held)
	}
	res.Bytes += stats.DoneBytes
	res.Failed = append(res.Failed, failedPaths(stats)...)
	r.distrust(ctx, store, rest, stats)
	if o.VerifyRemote && ctx.Err() == nil {
		err = errors.Join(err, r.verifyRemote(ctx, store, rest))
	}
	return errors.Join(first, err)
}

// dropDamaged moves an object whose bytes are wrong out of the way.
func (r *Repo) dropDamaged(ctx context.Context, d object.Digest) {
	if ok, err := r.Cache.Verify(ctx, d); err == nil && !ok {
		_ = r.Cache.Quarantine(d) // missing is fine too
	}
}

// haveAll reports whether the cache has everything the bundles need.
func (r *Repo) haveAll(ctx context.Context, bundles []*bundle) (bool, error) {
	// Single objects are many at times, so they are asked for together.
	single := object.Manifest{}
	for _, b := range bundles {
		if b.digest.IsDir() && !b.known {
			return false, nil
		}
		single = append(single, object.File{Digest: b.digest, Size: b.size})
		if b.digest.IsDir() {
			single[len(single)-1].Size = -1
		}
	}
	if whole, err := r.cacheHolds(ctx, single); err != nil || !whole {
		return false, err
	}
	for _, b := range bundles {
		if whole, err := r.cacheHolds(ctx, b.files.Under(b.under)); err != nil || !whole {
			return false, err
		}
	}
	return true, nil
}

// cacheHolds reports whether the cache has all files of a list, as long as it says.
func (r *Repo) cacheHolds(ctx context.Context, m object.Manifest) (bool, error) {
	if len(m) == 0 {
		return true, nil
	}
	sizes, err := r.Cache.Sizes(ctx, len(m), func(i int) object.Digest { return m[i].Digest })
	if err != nil {
		return false, err
	}
	for i, size := range sizes {
		if size < 0 || m[i].Size >= 0 && size != m[i].Size {
			return false, nil
		}
	}
	return true, nil
}

func joinErrors(list []error) error {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &errs.Error{Kind: errs.KindOf(list[0]), Err: errors.Join(list...)}
}

// CloudStatus is how the cache and a remote differ, by path.
type CloudStatus struct {
	Remote string
	State  map[string]string // new, deleted or missing, by the path of the data
}

// The words of status -c.
const (
	OnlyInCache  = "new"     // the remote lacks it
	OnlyInRemote = "deleted" // the cache lacks it
	Nowhere      = "missing" // both lack it
)

// StatusCloud compares the cache with the remotes.
func (r *Repo) StatusCloud(ctx context.Context, o CloudOptions) (CloudStatus, error) {
	res := CloudStatus{State: map[string]string{}}
	list, err := r.wantedObjects(ctx, o, true)
	if err != nil {
		return res, err
	}
	for _, w := range list {
		if cfg, err := r.remoteConfig(w.remote); err == nil && cfg.VersionAware {
			return res, errs.New(errs.Config, "config file error: 'status' is unsupported for cloud versioned remotes")
		}
	}
	if len(list) == 0 {
		cfg, err := r.remoteConfig(o.Remote)
		if err == nil {
			res.Remote = cfg.Name
		}
		return res, err
	}
	for _, w := range list {
		store, name, err := r.openRemoteJobs(ctx, w.remote, o.Jobs)
		if err != nil {
			return res, err
		}
		if res.Remote = name; o.Remote == "" && w.remote != "" {
			// Of several, the default one gives the answer its name.
			if cfg, err := r.remoteConfig(""); err == nil {
				res.Remote = cfg.Name
			}
		}
		err = r.statusOf(ctx, store, w, o.VerifyRemote, res.State)
		closeStore(store)
		if err != nil {
			return res, err
		}
	}
	return res, nil
}

func (r *Repo) statusOf(ctx context.Context, store object.Store, w *wanted, verify bool, into map[string]string) error {
	if err := readManifests(ctx, w.bundles, r.Cache, store); err != nil {
		return err
	}
	asked := transferItems(w.bundles)
	heads, err := r.Cache.Sizes(ctx, len(w.bundles), func(i int) object.Digest { return w.bundles[i].digest })
	if err != nil {
		return err
	}
	own := make(map[object.Digest]int64, len(heads)) // of what is an object by itself, or a manifest
	n := 0
	for i, b := range w.bundles {
		own[b.digest] = heads[i]
		n += 1 + len(b.files)
	}
	for i := range asked {
		if size, ok := own[asked[i].Digest]; ok && size >= 0 {
			asked[i].Size = size
		}
	}
	span := r.phase("ask the remote", "objects")
	span.Add(int64(n), 0)
	there, err := remote.Look(ctx, store, asked, verify)
	span.End()
	if err != nil {
		return err
	}
	for i, b := range w.bundles {
		_, claimed := there.Size(b.digest)
		compareOne(there, b.digest, heads[i], b.out(), false, into)
		if !b.digest.IsDir() {
			continue
		}
		part := b.files.Under(b.under)
		here, err := r.Cache.Sizes(ctx, len(part), func(i int) object.Digest { return part[i].Digest })
		if err != nil {
			return err
		}
		for i, f := range part {
			compareOne(there, f.Digest, here[i], path.Join(b.out(), f.Path), claimed, into)
		}
	}
	return nil
}

// compareOne says how an object of the cache, of a size or -1 if it lacks it, and
// a remote differ. claimed is whether the remote says, by holding a folder's
// manifest, that it has the folder's files: DVC calls what is missing of them
// deleted.
func compareOne(there remote.Held, d object.Digest, here int64, at string, claimed bool, into map[string]string) {
	far, inRemote := there.Size(d)
	// An object of another size is not the object.
	if here >= 0 && inRemote && far >= 0 && here != far {
		inRemote = false
	}
	switch {
	case here >= 0 && !inRemote:
		into[at] = OnlyInCache
	case here >= 0:
	case d.IsDir() && inRemote:
		// A folder is named for its files: its manifest alone says nothing.
	case inRemote, claimed:
		into[at] = OnlyInRemote
	default:
		into[at] = Nowhere
	}
}

// notInRemote lists the recorded data that the remote lacks.
func (r *Repo) notInRemote(ctx context.Context, stages *Stages, paths []string, o DataStatusOptions) ([]string, error) {
	list, err := r.wantedObjects(ctx, CloudOptions{Remote: o.Remote}, true)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, w := range list {
		store, _, err := r.openRemote(ctx, w.remote)
		if err != nil {
			return nil, err
		}
		found, err := r.lacking(ctx, store, w, o.Granular)
		closeStore(store)
		if err != nil {
			return nil, err
		}
		changes = append(changes, found...)
	}
	var names []string
	for _, c := range filterChanges(changes, paths) {
		names = append(names, c.shown())
	}
	sort.Strings(names)
	return names, nil
}

func (r *Repo) lacking(ctx context.Context, store object.Store, w *wanted, granular bool) ([]change, error) {
	if granular {
		if err := readManifests(ctx, w.bundles, r.Cache, store); err != nil {
			return nil, err
		}
	}
	var items []remote.Item
	for _, b := range w.bundles {
		items = slices.AppendSeq(items, b.items())
	}
	there, err := remote.Look(ctx, store, transferItems(w.bundles), false)
	if err != nil {
		return nil, err
	}
	var list []change
	for _, it := range items {
		if _, ok := there.Size(it.Digest); !ok {
			list = append(list, change{path: it.Path, isDir: it.Digest.IsDir()})
		}
	}
	return list, nil
}

// PullOptions of [Repo.Pull].
type PullOptions struct {
	CloudOptions
	Force        bool
	AllowMissing bool
	Confirm      func(question string) bool
}

// PullResult tells what Pull did.
type PullResult struct {
	Fetched  FetchResult    `json:"fetch"`
	Checkout CheckoutResult `json:"checkout"`
}

// Pull fetches and checks out. What could be fetched is checked out even if
// something is missing; the error then names what is.
func (r *Repo) Pull(ctx context.Context, o PullOptions) (PullResult, error) {
	var res PullResult
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	var ferr error
	res.Fetched, ferr = r.fetch(ctx, o.CloudOptions)
	if ferr != nil && (ctx.Err() != nil || errs.Is(ferr, errs.Config) || errs.Is(ferr, errs.Usage)) {
		return res, ferr
	}
	targets, err := r.Collect(ctx, o.Targets, CollectOptions{Recursive: o.Recursive, WithDeps: o.WithDeps, Glob: o.Glob})
	if err != nil {
		return res, err
	}
	co := CheckoutOptions{Targets: o.Targets, Force: o.Force, AllowMissing: o.AllowMissing, Confirm: o.Confirm}
	res.Checkout, err = r.checkout(ctx, targets, co)
	if corrupt := errs.Is(err, errs.Corrupt); corrupt && ferr == nil {
		if err = r.heal(ctx, targets, o, &res); err != nil {
			return res, errors.Join(err, r.saveState())
		}
	}
	if err == nil && o.AllowMissing && onlyMissing(ferr) && areOuts(targets, res.Fetched.Failed) {
		ferr = nil
	}
	if err != nil && ferr != nil && onlyMissing(ferr) {
		r.warn("%v", ferr)
	}
	if err == nil || !onlyMissing(ferr) {
		err = ferr // why objects are missing says more than that they are
	}
	return res, errors.Join(err, r.saveState())
}

// heal replaces damaged objects of the cache from the remote and checks out
// once more.
func (r *Repo) heal(ctx context.Context, targets []Target, o PullOptions, res *PullResult) error {
	for _, t := range targets {
		if t.Out.Digest.IsZero() || t.Out.IsExternal() {
			continue
		}
		r.dropDamaged(ctx, t.Out.Digest)
		if m, err := r.Cache.ReadManifest(ctx, t.Out.Digest); t.Out.Digest.IsDir() && err == nil {
			for _, f := range m.Under(t.Under) {
				r.dropDamaged(ctx, f.Digest)
			}
		}
	}
	more, err := r.fetch(ctx, o.CloudOptions)
	res.Fetched.Fetched += more.Fetched
	res.Fetched.Bytes += more.Bytes
	if err != nil {
		return err
	}
	again, err := r.checkout(ctx, targets, CheckoutOptions{Force: o.Force, AllowMissing: o.AllowMissing, Confirm: o.Confirm})
	res.Checkout.Added = append(res.Checkout.Added, again.Added...)
	res.Checkout.Modified = append(res.Checkout.Modified, again.Modified...)
	res.Checkout.Files.add(again.Files)
	res.Checkout.Failed = again.Failed
	return err
}

// areOuts reports whether all paths are those of whole outs or targets. What is
// asked for may be allowed to be missing; a folder that lacks files may not.
func areOuts(targets []Target, paths []string) bool {
	outs := map[string]bool{}
	for _, t := range targets {
		outs[t.Out.RepoPath()], outs[t.Path()] = true, true
	}
	return !slices.ContainsFunc(paths, func(p string) bool { return !outs[p] })
}

// onlyMissing reports whether an error says of nothing but absent objects.
func onlyMissing(err error) bool { return err == nil || errs.Is(err, errs.NotFound) }
