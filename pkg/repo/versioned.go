package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
)

// versionBook is what stage files, of the workspace and of commits, say of
// cloud-versioned remotes. It is safe for concurrent use.
type versionBook struct {
	mu        sync.Mutex
	places    map[object.Digest][]bookedPlace
	seen      map[bookedFile]bool // what is in places
	manifests map[object.Digest]object.Manifest
}

type bookedFile struct {
	d  object.Digest
	at bookedPlace
}

type bookedPlace struct {
	remote string // "": the record does not say
	place  remote.Place
}

func (b *versionBook) add(name string, d object.Digest, p remote.Place) {
	if b.places == nil {
		b.places, b.seen = map[object.Digest][]bookedPlace{}, map[bookedFile]bool{}
	}
	at := bookedPlace{name, p}
	if f := (bookedFile{d, at}); !b.seen[f] {
		b.seen[f] = true
		b.places[d] = append(b.places[d], at)
	}
}

// of lists where a remote has bytes.
func (b *versionBook) of(name string, d object.Digest) []remote.Place {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []remote.Place
	for _, p := range b.places[d] {
		if p.remote == "" || p.remote == name {
			list = append(list, p.place)
		}
	}
	return list
}

// has reports whether of lists anything.
func (b *versionBook) has(name string, d object.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.places[d], func(p bookedPlace) bool { return p.remote == "" || p.remote == name })
}

func (b *versionBook) manifest(d object.Digest) (object.Manifest, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.manifests[d]
	return m, ok
}

// learnVersions remembers what stages say of cloud-versioned remotes.
func (r *Repo) learnVersions(stages []*pipeline.Stage) {
	b := &r.versions
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range stages {
		for _, o := range s.Outs {
			if o.IsExternal() || o.Digest.IsZero() {
				continue
			}
			if v := o.Version(); v.ID != "" {
				b.add(v.Remote, o.Digest, remote.Place{Key: o.RepoPath(), Version: v.ID, ETag: v.ETag, Size: o.Size})
			}
			m, ok := o.Manifest()
			if !ok {
				continue
			}
			if b.manifests == nil {
				b.manifests = map[object.Digest]object.Manifest{}
			}
			b.manifests[o.Digest] = m
			r.Cache.Lend(o.Digest, m)
			for i := range o.Files {
				f := &o.Files[i]
				if v := f.Version(); v.ID != "" {
					b.add(v.Remote, f.Digest, remote.Place{Key: path.Join(o.RepoPath(), f.RelPath), Version: v.ID, ETag: v.ETag, Size: f.Size})
				}
			}
		}
	}
}

// openConfigured opens a remote of the configuration. More than 0 jobs are how
// many requests it gets at once, in place of its own choice.
func (r *Repo) openConfigured(ctx context.Context, cfg *config.Remote, jobs int) (object.Store, error) {
	c := remoteSettings(cfg)
	if jobs > 0 {
		c.Jobs = jobs
	}
	switch {
	case cfg.Worktree:
		return nil, errs.WithHint(errs.New(errs.Unsupported, "remote '%s': option \"worktree\" is not supported", cfg.Name),
			"A remote that keeps versions without mirroring the workspace is: cairn remote modify %s version_aware true", cfg.Name)
	case !cfg.VersionAware:
		return remote.Open(ctx, c, r.remoteEnv())
	}
	v, err := remote.OpenVersions(ctx, c, r.remoteEnv(), remote.Known{
		Places:   func(d object.Digest) []remote.Place { return r.versions.of(cfg.Name, d) },
		Recorded: func(d object.Digest) bool { return r.versions.has(cfg.Name, d) },
		Manifest: r.versions.manifest,
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// lockVersions takes the repository's lock for a push that records versions in
// stage files, as a push to any other remote does not.
func (r *Repo) lockVersions(ctx context.Context, o CloudOptions) (unlock func(), err error) {
	versioned := slices.ContainsFunc(r.Config.Remotes(), func(name string) bool {
		cfg, err := r.Config.Remote(name)
		return err == nil && cfg.VersionAware
	})
	if !versioned {
		return func() {}, nil
	}
	if cfg, err := r.remoteConfig(o.Remote); err == nil && cfg.VersionAware && (o.Branches || o.Tags || o.Commits) {
		return nil, errs.New(errs.Invalid, "Multiple rev push is unsupported for cloud versioned remotes")
	}
	if unlock, err = r.Lock(ctx); err == nil {
		r.forgetStages() // what was read before may have changed
	}
	return unlock, err
}

// versionFile is a file on its way to a cloud-versioned remote.
type versionFile struct {
	entry *pipeline.Entry // gets the version
	path  string          // from the root, and the key
}

// versionPush is a push to one cloud-versioned remote.
type versionPush struct {
	r     *Repo
	store *remote.Versions
	src   object.Store
	name  string
	jobs  int
	outs  []*versionOut
	files []versionFile

	mu      sync.Mutex // guards the following, and what is recorded in outs
	stats   remote.Stats
	waiting int   // files sent and not yet recorded
	bytes   int64 // in them
}

// versionOut is an out with what is to be recorded of it.
type versionOut struct {
	out *pipeline.Out
	now pipeline.Entry
}

// pushVersions sends the files that have no version there under their paths,
// then records the new versions, also if some could not be sent.
func (r *Repo) pushVersions(ctx context.Context, store *remote.Versions, src object.Store, w *wanted, o CloudOptions, res *PushResult) error {
	cfg, err := r.remoteConfig(w.remote)
	if err != nil {
		return err
	}
	p := &versionPush{r: r, store: store, src: src, name: cfg.Name, jobs: o.Jobs}
	bad := p.plan(ctx, w.targets)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.jobs <= 0 {
		p.jobs = max(1, store.Properties().Concurrency)
	}
	err = p.send(ctx)
	res.Pushed += p.stats.Done
	res.Bytes += p.stats.DoneBytes
	res.Failed = append(res.Failed, failedPaths(p.stats)...)
	found := slices.DeleteFunc([]error{bad, err, p.record(), ctx.Err()}, func(e error) bool { return e == nil })
	if len(p.stats.Failed)+len(p.stats.Missing) > 0 {
		found = append(found, p.failure())
	}
	return joinErrors(found)
}

// plan lists the files of targets, each once.
func (p *versionPush) plan(ctx context.Context, targets []Target) error {
	var bad []error
	byOut := map[*pipeline.Out]*versionOut{}
	seen := map[*pipeline.Entry]bool{}
	for _, t := range targets {
		vo := byOut[t.Out]
		if vo == nil {
			vo = &versionOut{out: t.Out, now: t.Out.Entry}
			if t.Out.Digest.IsDir() {
				m, err := p.manifest(ctx, t.Out)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					bad = append(bad, fmt.Errorf("the list of files of '%s': %w", disk.Quote(t.Out.RepoPath()), err))
					p.stats.Missing = append(p.stats.Missing, remote.Item{Digest: t.Out.Digest, Path: t.Out.RepoPath()})
					continue
				}
				vo.now.SetFiles(m, t.Out.Files)
			}
			byOut[t.Out] = vo
			p.outs = append(p.outs, vo)
		}
		if vo.now.Files == nil {
			if !seen[&vo.now] {
				seen[&vo.now] = true
				p.files = append(p.files, versionFile{&vo.now, t.Out.RepoPath()})
			}
			continue
		}
		for i := range vo.now.Files {
			f := &vo.now.Files[i]
			if !seen[&f.Entry] && (t.Under == "" || f.RelPath == t.Under || len(f.RelPath) > len(t.Under) && f.RelPath[:len(t.Under)+1] == t.Under+"/") {
				seen[&f.Entry] = true
				p.files = append(p.files, versionFile{&f.Entry, path.Join(t.Out.RepoPath(), f.RelPath)})
			}
		}
	}
	slices.SortStableFunc(p.files, func(a, b versionFile) int { return cmp.Compare(b.entry.Size, a.entry.Size) })
	return joinErrors(bad)
}

func (p *versionPush) manifest(ctx context.Context, o *pipeline.Out) (object.Manifest, error) {
	if m, ok := o.Manifest(); ok {
		return m, nil
	}
	m, err := p.r.Cache.ReadManifest(ctx, o.Digest)
	if err != nil && p.src != object.Store(p.r.Cache) {
		return object.ReadManifest(ctx, p.src, o.Digest)
	}
	return m, err
}

// Versions are recorded after so many files or bytes, so that a killed push need
// not send everything again.
const (
	recordFiles = 1000
	recordBytes = 1 << 30
)

// maxFailures is after how many failures of the remote a push gives up.
const maxFailures = 10

func (p *versionPush) send(ctx context.Context) error {
	task := p.r.Progress.Start("Pushing", int64(len(p.files)), -1)
	defer task.Done()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, f := range p.files {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			n, sent, err := p.sendOne(gctx, f)
			task.Add(1, n)
			p.mu.Lock()
			defer p.mu.Unlock()
			item := remote.Item{Digest: f.entry.Digest, Size: f.entry.Size, Path: f.path}
			switch {
			case err == nil && sent:
				p.stats.Done++
				p.stats.DoneBytes += n
				p.waiting++
				if p.bytes += n; p.waiting >= recordFiles || p.bytes >= recordBytes {
					p.waiting, p.bytes = 0, 0
					return p.record()
				}
			case err == nil:
				p.stats.Skipped++
			case gctx.Err() != nil:
			case errs.Is(err, errs.Config), errs.Is(err, errs.Denied):
				return err // the next would fare no better
			case errs.Is(err, errs.NotFound):
				p.stats.Missing = append(p.stats.Missing, item)
			default:
				p.stats.Failed = append(p.stats.Failed, remote.ItemError{Item: item, Err: err})
				if len(p.stats.Failed) >= maxFailures && errs.Is(err, errs.Unavailable) {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// sendOne sends a file unless its version is there.
func (p *versionPush) sendOne(ctx context.Context, f versionFile) (n int64, sent bool, err error) {
	e := f.entry
	if v := e.Version(); v.ID != "" && (v.Remote == p.name || v.Remote == "") {
		_, ok, err := p.store.Check(ctx, remote.Place{Key: f.path, Version: v.ID, ETag: v.ETag, Size: e.Size})
		if ok || err != nil {
			return 0, false, err
		}
	}
	size, err := p.sizeOf(ctx, e)
	if err != nil {
		return 0, false, err
	}
	at, err := p.store.Put(ctx, f.path, remote.Content{Size: size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		body, _, err := p.src.Open(ctx, e.Digest)
		return body, err
	}})
	if err != nil {
		return 0, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Size = size
	e.SetVersion(pipeline.Version{Remote: p.name, ETag: at.ETag, ID: at.Version})
	return size, true, nil
}

// sizeOf is a file's size as it is stored here.
func (p *versionPush) sizeOf(ctx context.Context, e *pipeline.Entry) (int64, error) {
	have, err := p.src.Has(ctx, []object.Digest{e.Digest})
	if err != nil {
		return 0, err
	}
	info, ok := have[e.Digest]
	switch {
	case !ok:
		return 0, errs.New(errs.NotFound, "object %s is not in the cache", e.Digest)
	case e.Size >= 0 && info.Size != e.Size:
		return 0, errs.New(errs.Corrupt, "object %s has %d bytes instead of %d", e.Digest, info.Size, e.Size)
	}
	return info.Size, nil
}

// failure names what was not sent.
func (p *versionPush) failure() error {
	e := remote.TransferError{Stats: p.stats}
	kind := errs.NotFound
	if len(p.stats.Failed) > 0 {
		kind = errs.KindOf(p.stats.Failed[0].Err)
	}
	return &errs.Error{Kind: kind, Msg: "not everything was pushed: " + e.Lacking()}
}

// record writes the versions into stage files; p.mu is held, or nothing is under
// way. A folder of which nothing is
// there keeps its record.
func (p *versionPush) record() error {
	byStage := map[*pipeline.Stage]bool{}
	var stages []*pipeline.Stage
	for _, vo := range p.outs {
		has := vo.now.Version().ID != ""
		for i := range vo.now.Files {
			has = has || vo.now.Files[i].Version().ID != ""
		}
		if !has && len(vo.now.Files) > 0 || !has && vo.now.Files == nil {
			continue
		}
		vo.out.Entry = vo.now
		if !byStage[vo.out.Stage] {
			byStage[vo.out.Stage] = true
			stages = append(stages, vo.out.Stage)
		}
	}
	p.r.learnVersions(stages)
	var bad []error
	locks := map[string][]*pipeline.Stage{}
	var order []string
	for _, s := range stages {
		if !s.IsPointer() {
			file := pipeline.LockFile(s.File)
			if locks[file] == nil {
				order = append(order, file)
			}
			locks[file] = append(locks[file], s)
			continue
		}
		if err := p.recordPointer(s); err != nil {
			bad = append(bad, err)
		}
	}
	for _, file := range order {
		if err := p.recordLock(file, locks[file]); err != nil {
			bad = append(bad, err)
		}
	}
	return joinErrors(bad)
}

func (p *versionPush) recordPointer(s *pipeline.Stage) error {
	old, err := p.r.Dir.ReadFile(s.File)
	if err != nil {
		return err
	}
	if s.MD5 != "" {
		if was, err := pipeline.ParseDvcFile(s.File, old); err == nil && was.ComputeMD5() == s.MD5 {
			s.MD5 = s.ComputeMD5()
		}
	}
	return p.r.writePointer(s, old)
}

func (p *versionPush) recordLock(file string, stages []*pipeline.Stage) error {
	old, err := p.r.Dir.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lock, err := pipeline.ParseLock(file, old)
	if err != nil {
		return err
	}
	var changes []pipeline.LockChange
	for _, s := range stages {
		for _, d := range s.Deps {
			// As DVC does, which lists the files of such folders, too.
			if d.Digest.IsDir() && d.Files == nil && !d.IsExternal() {
				if m, err := p.r.Cache.ReadManifest(context.Background(), d.Digest); err == nil {
					d.SetFiles(m, nil)
				}
			}
		}
		if m := lock.EntryWith(s); m != nil {
			changes = append(changes, pipeline.LockChange{Name: s.Name, Entry: m})
		}
	}
	text, changed, err := pipeline.UpdateLock(file, old, changes)
	if err != nil || !changed {
		return err
	}
	if err := p.r.Dir.WriteFile(file, text, 0o666); err != nil {
		return fmt.Errorf("write %q: %w", p.r.Show(file), err)
	}
	return nil
}

// recordedLists are the manifests of wanted folders that a cloud-versioned
// remote has in stage files alone: they are not counted as fetched. The user is
// told of the files that such a remote was never sent and that are not here.
func (r *Repo) recordedLists(ctx context.Context, store object.Store, w *wanted) ([]object.Digest, error) {
	versions, ok := store.(*remote.Versions)
	if !ok {
		return nil, nil
	}
	var lists, never []object.Digest
	at := map[object.Digest]string{}
	for _, b := range w.bundles {
		if b.digest.IsDir() {
			lists = append(lists, b.digest)
		}
		for it := range b.items() {
			if !it.Digest.IsDir() && !versions.Recorded(it.Digest) {
				never = append(never, it.Digest)
				at[it.Digest] = it.Path
			}
		}
	}
	have, err := r.Cache.Has(ctx, never)
	if err != nil {
		return nil, err
	}
	cfg, err := r.remoteConfig(w.remote)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range slices.Compact(never) {
		if _, here := have[d]; !here {
			names = append(names, disk.Quote(config.Redact(cfg.URL)+"/"+at[d]))
		}
	}
	if len(names) > 0 {
		const shown = 20
		slices.Sort(names)
		if more := len(names) - shown; more > 0 {
			names = append(names[:shown], fmt.Sprintf("and %d more", more))
		}
		r.warn("Some files are missing cloud version information and will not be fetched from the remote:\n%s", strings.Join(names, "\n"))
	}
	return lists, nil
}
