package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// FsckOptions say what [Repo.Fsck] checks.
type FsckOptions struct {
	Cache   bool     // the cache; so it is too if there are no Remotes
	Remotes []string // remotes by name, "" being the default
	// Share of the objects to be hashed, chosen by chance; 0 is all. What is
	// missing or of the wrong size is looked for among all.
	Share     float64
	TimeLimit time.Duration // end after so long; 0 is no limit
	Continue  bool          // go on where the last run ended
	Repair    bool          // put good copies in the place of damaged and missing ones
	Dry       bool          // report, and move nothing aside
	Jobs      int
	// What is missing is looked for in the workspace and, if asked for, in
	// what these commits use.
	Branches, Tags, Commits bool
}

// FsckResult tells what was found.
type FsckResult struct {
	Places []*FsckPlace `json:"places"`
	// Unfinished is set if the time ran out: Continue goes on.
	Unfinished bool `json:"unfinished,omitempty"`
}

// FsckPlace is a cache or a remote.
type FsckPlace struct {
	Name     string        `json:"name"` // "cache", or "remote NAME"
	Objects  int           `json:"objects"`
	Checked  int           `json:"checked"` // hashed, in this run
	Bytes    int64         `json:"bytes"`   // of these
	Damaged  []*FsckObject `json:"damaged,omitempty"`
	Missing  []*FsckObject `json:"missing,omitempty"`
	Foreign  []string      `json:"foreign,omitempty"` // names among the objects that are none
	Repaired int           `json:"repaired"`

	store object.Store
	local *cache.Cache // nil if it is no folder
}

// FsckObject is an object that is not what it should be.
type FsckObject struct {
	Digest string `json:"digest"`
	What   string `json:"what"` // in words
	// Users are the paths that are recorded with this digest, the workspace
	// first; MoreUsers counts what the list leaves out.
	Users     []FsckUser `json:"used_by,omitempty"`
	MoreUsers int        `json:"more_users,omitempty"`
	MovedTo   string     `json:"moved_to,omitempty"`
	Repaired  string     `json:"repaired_from,omitempty"`

	digest object.Digest
	size   int64 // as it should be; -1 if nobody says
}

// FsckUser is a path of a revision.
type FsckUser struct {
	Rev  string `json:"rev"` // "workspace", or a short SHA
	Path string `json:"path"`
}

// maxUsers bounds the users listed of one object.
const maxUsers = 5

// Clean reports whether nothing is wrong that was not repaired.
func (r *FsckResult) Clean() bool {
	for _, p := range r.Places {
		if p.Repaired < len(p.Damaged)+len(p.Missing) {
			return false
		}
	}
	return true
}

// ErrFsck is the failure of a check that found something wrong.
var ErrFsck = errs.New(errs.Corrupt, "not everything is as it should be")

// Fsck hashes the objects of the cache and of remotes, and looks for those
// that the pointer files need and no place has. Damaged ones are moved aside,
// to names that are no objects, and repaired if that is asked for. What it
// finds wrong is in the result, and makes ErrFsck.
func (r *Repo) Fsck(ctx context.Context, o FsckOptions) (*FsckResult, error) {
	if o.Share < 0 || o.Share > 1 {
		return nil, errs.New(errs.Usage, "the share to be checked must be more than 0%% and at most 100%%")
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f := &fsck{Repo: r, o: o, res: &FsckResult{}, begin: r.now()}
	if o.Continue {
		f.after = r.loadFsck()
	} else {
		f.after = map[string]string{}
	}
	if o.Cache || len(o.Remotes) == 0 {
		f.add(&FsckPlace{Name: "cache", store: r.Cache, local: r.Cache})
	}
	for _, name := range o.Remotes {
		store, known, err := r.openRemote(ctx, name)
		if err != nil {
			return nil, err
		}
		defer closeStore(store)
		p := &FsckPlace{Name: "remote " + known, store: store}
		p.local, _ = store.(*cache.Cache)
		if store.Properties().ListPrice == 0 && p.local == nil {
			return nil, errs.WithHint(errs.New(errs.Unsupported, "remote '%s' cannot list what it holds", known),
				"Fetching checks what is fetched: `cairn fetch -r %s` into an empty cache.", known)
		}
		f.add(p)
	}
	for _, p := range f.res.Places {
		if err := f.place(ctx, p); err != nil {
			return f.res, err
		}
	}
	if err := f.findUsers(ctx); err != nil {
		return f.res, err
	}
	if o.Repair {
		if err := f.repair(ctx); err != nil {
			return f.res, err
		}
	}
	if !f.res.Unfinished {
		f.after = nil
	}
	if err := r.saveFsck(f.after); err != nil {
		return f.res, err
	}
	if !f.res.Clean() {
		return f.res, ErrFsck
	}
	return f.res, nil
}

type fsck struct {
	*Repo
	o     FsckOptions
	res   *FsckResult
	begin time.Time
	after map[string]string // of a place, the last key that was hashed
}

func (f *fsck) add(p *FsckPlace) { f.res.Places = append(f.res.Places, p) }

func (f *fsck) outOfTime() bool {
	return f.o.TimeLimit > 0 && f.now().Sub(f.begin) >= f.o.TimeLimit
}

// fsckChunk is how many objects are hashed between two looks at the clock.
const fsckChunk = 512

// place checks one place.
func (f *fsck) place(ctx context.Context, p *FsckPlace) error {
	all, err := f.list(ctx, p)
	if err != nil {
		return err
	}
	p.Objects = len(all)
	todo := f.choose(p, all)
	var total int64
	for _, i := range todo {
		total += i.Size
	}
	task := f.Progress.Start("Checking "+p.Name, int64(len(todo)), total)
	defer task.Done()
	jobs := f.o.Jobs
	if jobs <= 0 {
		if jobs = runtime.NumCPU(); p.local == nil {
			jobs = max(jobs, p.store.Properties().Concurrency)
		}
	}
	for chunk := range slices.Chunk(todo, fsckChunk) {
		if f.outOfTime() {
			f.res.Unfinished = true
			break
		}
		var mu sync.Mutex
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(jobs)
		for _, i := range chunk {
			g.Go(func() error {
				what, err := f.check(gctx, p, i)
				task.Add(1, i.Size)
				if what != "" && err == nil {
					mu.Lock()
					p.Damaged = append(p.Damaged, &FsckObject{Digest: i.Digest.String(), What: what, digest: i.Digest, size: -1})
					mu.Unlock()
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, i := range chunk {
			p.Checked++
			p.Bytes += i.Size
		}
		f.after[p.Name] = chunk[len(chunk)-1].Digest.Key()
	}
	slices.SortFunc(p.Damaged, func(a, b *FsckObject) int { return a.digest.Compare(b.digest) })
	if p.local != nil {
		if p.Foreign, err = p.local.Foreign(ctx); err != nil {
			return err
		}
		if !f.o.Dry {
			if err := f.moveAside(p); err != nil {
				return err
			}
		}
	}
	return f.missing(ctx, p, all)
}

// list is all that a place has, in the order of keys.
func (f *fsck) list(ctx context.Context, p *FsckPlace) ([]object.Info, error) {
	var all []object.Info
	for _, a := range object.Algorithms() {
		for i, err := range p.store.List(ctx, a) {
			if err != nil {
				return nil, err
			}
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b object.Info) int { return strings.Compare(a.Digest.Key(), b.Digest.Key()) })
	return all, nil
}

// choose leaves out what an earlier run has hashed, and all but a share.
func (f *fsck) choose(p *FsckPlace, all []object.Info) []object.Info {
	if last := f.after[p.Name]; last != "" {
		i, found := slices.BinarySearchFunc(all, last, func(i object.Info, key string) int { return strings.Compare(i.Digest.Key(), key) })
		if found {
			i++
		}
		all = all[i:]
	}
	if f.o.Share == 0 || f.o.Share == 1 {
		return all
	}
	// Digests are evenly spread; a seed makes another choice each time.
	seed := uint32(f.begin.UnixNano() / 1000)
	limit := uint64(f.o.Share * (1 << 32))
	var some []object.Info
	for _, i := range all {
		b := i.Digest.AppendSum(nil)
		n := uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
		if uint64(n^seed) < limit {
			some = append(some, i)
		}
	}
	return some
}

// check says what is wrong with an object, "" if nothing is.
func (f *fsck) check(ctx context.Context, p *FsckPlace, i object.Info) (string, error) {
	var err error
	if i.Digest.IsDir() {
		_, err = object.ReadManifest(ctx, p.store, i.Digest)
	} else {
		err = object.Check(ctx, p.store, i.Digest)
	}
	switch {
	case err == nil, errs.Is(err, errs.NotFound): // deleted meanwhile
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errs.Is(err, errs.Corrupt):
		return "its bytes are not those of its digest", nil
	case errs.Is(err, errs.Invalid):
		return "it is no list of files that may be used", nil
	}
	return "", err
}

// moveAside gives damaged objects of a folder names that are no objects. Where
// nothing may be written they stay: whoever reads them notices.
func (f *fsck) moveAside(p *FsckPlace) error {
	for _, o := range p.Damaged {
		err := p.local.Quarantine(o.digest)
		switch {
		case err == nil:
			o.MovedTo = path.Join(p.local.Path(), o.digest.Key()+".damaged")
		case errors.Is(err, fs.ErrPermission), disk.IsReadOnly(err):
			f.warn("%s: the damaged object %s stays where it is: %v", p.Name, o.Digest, err)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// missing looks for what pointer files need and a place lacks, or has with
// another size.
func (f *fsck) missing(ctx context.Context, p *FsckPlace, all []object.Info) error {
	isRemote := p.local != f.Cache
	o := CloudOptions{Branches: f.o.Branches, Tags: f.o.Tags, Commits: f.o.Commits}
	list, err := f.wantedObjects(ctx, o, isRemote)
	if err != nil {
		return err
	}
	have := make(map[object.Digest]int64, len(all))
	for _, i := range all {
		have[i.Digest] = i.Size
	}
	damaged := map[object.Digest]bool{}
	for _, d := range p.Damaged {
		damaged[d.digest] = true
	}
	seen := map[object.Digest]bool{}
	note := func(d object.Digest, size int64, what string) {
		if !seen[d] && !damaged[d] {
			seen[d] = true
			p.Missing = append(p.Missing, &FsckObject{Digest: d.String(), What: what, digest: d, size: size})
		}
	}
	for _, w := range list {
		if isRemote {
			cfg, err := f.remoteConfig(w.remote)
			if err != nil {
				return err
			}
			if "remote "+cfg.Name != p.Name {
				continue // that data belongs elsewhere
			}
		}
		// What is wrong with a manifest was told above.
		if err := readManifests(ctx, w.bundles, p.store, f.Cache); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, b := range w.bundles {
			if b.digest.IsDir() && !b.known {
				if _, ok := have[b.digest]; !ok {
					note(b.digest, -1, "it is not there, so what files it names is not known")
				}
				continue
			}
			for it := range b.items() {
				size, ok := have[it.Digest]
				switch {
				case !ok:
					note(it.Digest, it.Size, "it is not there")
				case it.Size >= 0 && size != it.Size:
					note(it.Digest, it.Size, fmt.Sprintf("it has %d bytes instead of %d", size, it.Size))
				}
			}
		}
	}
	return nil
}

// findUsers adds to every object which paths are recorded with it.
func (f *fsck) findUsers(ctx context.Context) error {
	byDigest := map[object.Digest][]*FsckObject{}
	for _, p := range f.res.Places {
		for _, o := range slices.Concat(p.Damaged, p.Missing) {
			byDigest[o.digest] = append(byDigest[o.digest], o)
		}
	}
	if len(byDigest) == 0 {
		return nil
	}
	return f.eachUse(ctx, func(d object.Digest, u FsckUser) {
		for _, o := range byDigest[d] {
			if len(o.Users) < maxUsers {
				o.Users = append(o.Users, u)
			} else {
				o.MoreUsers++
			}
		}
	})
}

// eachUse calls use for every object that the workspace or a commit records,
// with a path that it is recorded under: the workspace first, then commits from
// the newest on. What a commit has in common with one before it is not told
// again. Commits that cannot be read are left out.
func (r *Repo) eachUse(ctx context.Context, use func(object.Digest, FsckUser)) error {
	type recorded struct {
		d    object.Digest
		path string
	}
	told := map[recorded]bool{}
	tell := func(rev string, stages *Stages) {
		for _, t := range stages.Outs() {
			d, p := t.Out.Digest, t.Out.RepoPath()
			if d.IsZero() || told[recorded{d, p}] {
				continue
			}
			told[recorded{d, p}] = true
			use(d, FsckUser{rev, p})
			if !d.IsDir() {
				continue
			}
			m, err := r.Cache.ReadManifest(ctx, d)
			if err != nil {
				continue
			}
			for _, file := range m {
				at := path.Join(p, file.Path)
				if !told[recorded{file.Digest, at}] {
					told[recorded{file.Digest, at}] = true
					use(file.Digest, FsckUser{rev, at})
				}
			}
		}
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return err
	}
	tell(WorkspaceLabel, stages)
	if r.Git == nil {
		return nil
	}
	commits, err := r.Git.Commits(ctx)
	if err != nil {
		return err
	}
	for _, sha := range commits {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v, err := r.commitRevision(sha, sha)
		if err != nil {
			continue
		}
		if stages, err := v.Stages(ctx); err == nil {
			tell(sha[:7], stages)
		}
	}
	return nil
}

// repair puts good copies in the place of what is damaged or missing: into the
// cache from the workspace, the trash or a remote; into a remote from the cache
// or another remote.
func (f *fsck) repair(ctx context.Context) error {
	// The cache goes first, since remotes are repaired from it.
	for _, p := range f.res.Places {
		bad := slices.Concat(p.Damaged, p.Missing)
		if len(bad) == 0 {
			continue
		}
		if p.local == f.Cache {
			if err := f.repairFromWorkspace(ctx, p, bad); err != nil {
				return err
			}
			if err := f.repairFromTrash(ctx, p, bad); err != nil {
				return err
			}
		} else {
			if err := f.repairFrom(ctx, p, bad, f.Cache, "the cache"); err != nil {
				return err
			}
		}
		if err := f.repairFromRemotes(ctx, p, bad); err != nil {
			return err
		}
	}
	return nil
}

// repairFromWorkspace stores files of the workspace that still have the bytes.
func (f *fsck) repairFromWorkspace(ctx context.Context, p *FsckPlace, bad []*FsckObject) error {
	w, err := f.Cache.BeginAdd()
	if err != nil {
		return err
	}
	defer w.Abort()
	var done []*FsckObject
	var from []string
	for _, o := range bad {
		for _, u := range o.Users {
			if u.Rev != WorkspaceLabel {
				continue
			}
			ok, err := f.storeFromWorkspace(ctx, w, o.digest, u.Path)
			if err != nil {
				return err
			}
			if ok {
				done, from = append(done, o), append(from, "the workspace: "+u.Path)
				break
			}
		}
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	for i, o := range done {
		o.Repaired = from[i]
		p.Repaired++
	}
	return nil
}

func (f *fsck) storeFromWorkspace(ctx context.Context, w *cache.Writer, d object.Digest, rel string) (bool, error) {
	if d.IsDir() {
		t, err := f.scanner(d.Algorithm()).Scan(ctx, rel, f.rulesAbove(rel))
		if err != nil {
			return false, ctx.Err()
		}
		text, sum := t.Files.Encode(d.Algorithm())
		if sum != d {
			return false, nil
		}
		return true, w.PutBytes(d, text)
	}
	file, err := f.Dir.OpenFilePath(rel)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	err = w.Put(ctx, d, -1, file)
	if errs.Is(err, errs.Corrupt) {
		return false, nil
	}
	return err == nil, err
}

func (f *fsck) repairFromTrash(ctx context.Context, p *FsckPlace, bad []*FsckObject) error {
	trashes, err := f.Cache.Trashes()
	if err != nil {
		return err
	}
	for _, t := range trashes {
		store := f.Cache.OpenTrash(t)
		err := f.repairFrom(ctx, p, bad, store, "the trash")
		_ = store.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) repairFromRemotes(ctx context.Context, p *FsckPlace, bad []*FsckObject) error {
	names := f.Config.Remotes()
	if cfg, err := f.Config.DefaultRemote(); err == nil {
		sort.SliceStable(names, func(i, j int) bool { return names[i] == cfg.Name && names[j] != cfg.Name })
	}
	for _, name := range names {
		if p.Repaired == len(bad) {
			return nil
		}
		if "remote "+name == p.Name {
			continue
		}
		cfg, err := f.remoteConfig(name)
		if err != nil || cfg.VersionAware {
			continue
		}
		store, _, err := f.openRemote(ctx, name)
		if err == nil {
			err = f.repairFrom(ctx, p, bad, store, "remote "+name)
			closeStore(store)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			f.warn("remote '%s' cannot help: %v", name, err)
		}
	}
	return nil
}

// repairFrom copies what src has of it. What is damaged in a remote without
// folders is deleted only once a good copy is known to be at hand.
func (f *fsck) repairFrom(ctx context.Context, p *FsckPlace, bad []*FsckObject, src object.Store, from string) error {
	var want []object.Digest
	for _, o := range bad {
		if o.Repaired == "" {
			want = append(want, o.digest)
		}
	}
	if len(want) == 0 {
		return nil
	}
	have, err := src.Has(ctx, want)
	if err != nil {
		return err
	}
	for _, o := range bad {
		i, ok := have[o.digest]
		if o.Repaired != "" || !ok {
			continue
		}
		if p.local == nil {
			if err := object.Check(ctx, src, o.digest); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue
			}
			if err := p.store.Delete(ctx, []object.Digest{o.digest}); err != nil {
				return err
			}
		}
		_, err := remote.Transfer(ctx, p.store, src, []remote.Item{{Digest: o.digest, Size: i.Size}}, remote.TransferOptions{Jobs: f.o.Jobs})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errs.Is(err, errs.Corrupt), errs.Is(err, errs.NotFound):
			continue // another place may have a good one
		case err != nil:
			return err
		}
		o.Repaired = from
		p.Repaired++
	}
	return nil
}

// fsckFile remembers how far a check has come, below .dvc/tmp.
const fsckFile = tmpDir + "/cairn-fsck"

type fsckState struct {
	Version int               `json:"version"`
	After   map[string]string `json:"after"`
}

// loadFsck reads it; an unreadable one is none.
func (r *Repo) loadFsck() map[string]string {
	var s fsckState
	text, err := r.Dir.ReadFile(fsckFile)
	if err == nil && json.Unmarshal(text, &s) == nil && s.Version == 1 && s.After != nil {
		return s.After
	}
	return map[string]string{}
}

func (r *Repo) saveFsck(after map[string]string) error {
	if after == nil {
		dir, name, err := r.Dir.Parent(fsckFile)
		if err != nil {
			return nil
		}
		defer dir.Close()
		_ = dir.Remove(name)
		return nil
	}
	text, err := json.Marshal(fsckState{1, after})
	if err != nil {
		return err
	}
	return r.Dir.WriteFile(fsckFile, text, 0o666)
}
