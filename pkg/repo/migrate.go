package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// MigrateOptions of [Repo.MigrateCache].
type MigrateOptions struct {
	DvcFiles bool // also rewrite the entries in pointer files and dvc.lock
	Dry      bool // only look
}

// MigrateResult tells what was or, with Dry, would be migrated.
type MigrateResult struct {
	Objects int      // objects of the cache
	Files   []string // pointer files and, without Dry, dvc.lock files, sorted
}

// MigrateCache brings what DVC 2 left up to date: its objects get their names
// of DVC 3, and its entries are rewritten to those. Recorded is what was
// recorded before, whatever the workspace holds. Objects that are damaged, and
// outs whose bytes are nowhere at hand, stay as they are, and are an error
// after the rest is done.
func (r *Repo) MigrateCache(ctx context.Context, o MigrateOptions) (MigrateResult, error) {
	var res MigrateResult
	if r.Alg != object.MD5 {
		return res, errs.WithHint(errs.New(errs.Unsupported, "cannot migrate the cache: this repository names its data by %s, DVC 2 and 3 by md5", r.Alg.Name()),
			"Run it in the md5 repository that the data come from.")
	}
	if o.Dry {
		return r.migrateDry(ctx, o)
	}
	unlock, err := r.Lock(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	done, err := r.Cache.Migrate(ctx, r.Progress)
	res.Objects = done.Added
	if err != nil {
		return res, err
	}
	bad := damagedError(done.Damaged)
	if !o.DvcFiles {
		return res, bad
	}
	m := &migration{r: r, names: done.New}
	if res.Files, err = m.files(ctx); err != nil {
		return res, errors.Join(bad, err)
	}
	if err := r.autostage(ctx, res.Files); err != nil {
		return res, err
	}
	return res, errors.Join(bad, m.lost())
}

func damagedError(ds []object.Digest) error {
	if len(ds) == 0 {
		return nil
	}
	what := ds[0].String()
	if n := len(ds) - 1; n > 0 {
		what = fmt.Sprintf("%s and %d more", what, n)
	}
	return errs.WithHint(errs.New(errs.Corrupt, "damaged objects were not migrated: %s", what),
		"Delete them from the cache and get them again with `cairn fetch`, then repeat the command.")
}

func (r *Repo) migrateDry(ctx context.Context, o MigrateOptions) (MigrateResult, error) {
	var res MigrateResult
	for _, err := range r.Cache.List(ctx, object.MD5Legacy) {
		if err != nil {
			return res, err
		}
		res.Objects++
	}
	if !o.DvcFiles {
		return res, nil
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	for _, s := range stages.All {
		if hasLegacy(s) {
			res.Files = append(res.Files, s.File)
		}
	}
	res.Files = unique(res.Files)
	sort.Strings(res.Files)
	return res, nil
}

// hasLegacy reports whether a stage has entries of DVC 2 to be migrated.
func hasLegacy(s *pipeline.Stage) bool {
	return slices.ContainsFunc(s.Outs, func(o *pipeline.Out) bool { return isLegacy(&o.Entry) }) ||
		!s.IsImport() && slices.ContainsFunc(s.Deps, func(d *pipeline.Dep) bool { return isLegacy(&d.Entry) })
}

func isLegacy(e *pipeline.Entry) bool {
	return !e.IsExternal() && e.Digest.Algorithm() == object.MD5Legacy
}

// migration rewrites entries.
type migration struct {
	r       *Repo
	w       *cache.Writer
	names   map[object.Digest]object.Digest // new names of legacy objects
	missing []string                        // outs whose bytes are not at hand
}

func (m *migration) lost() error {
	if len(m.missing) == 0 {
		return nil
	}
	what := disk.Quote(m.missing[0])
	if n := len(m.missing) - 1; n > 0 {
		what = fmt.Sprintf("%s and %d more", what, n)
	}
	return errs.WithHint(errs.New(errs.NotFound, "not migrated: %s is neither in the cache nor unchanged in the workspace", what),
		"Get the data with `cairn fetch`, then repeat the command.")
}

// files rewrites all pointer files and dvc.lock files that need it, once the
// objects they will name are stored.
func (m *migration) files(ctx context.Context) (changed []string, err error) {
	stages, err := m.r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	if m.w, err = m.r.Cache.BeginAdd(); err != nil {
		return nil, err
	}
	defer m.w.Abort()
	var pointers []*pipeline.Stage
	locks := map[string][]pipeline.LockChange{}
	for _, s := range stages.All {
		if !hasLegacy(s) {
			continue
		}
		found, err := m.entries(ctx, s)
		if err != nil {
			return nil, err
		}
		switch {
		case len(found) == 0:
		case s.IsPointer():
			replaceEntries(s, found)
			pointers = append(pointers, s)
		default:
			entry, err := m.lockEntry(s, found)
			if err != nil {
				return nil, err
			}
			file := pipeline.LockFile(s.File)
			locks[file] = append(locks[file], pipeline.LockChange{Name: s.Name, Entry: entry})
		}
	}
	if err := m.w.Commit(ctx); err != nil {
		return nil, err
	}
	return m.write(pointers, locks)
}

func (m *migration) write(pointers []*pipeline.Stage, locks map[string][]pipeline.LockChange) (changed []string, err error) {
	for _, s := range pointers {
		old, err := m.r.Dir.ReadFile(s.File)
		if err != nil {
			return changed, err
		}
		if err := m.r.writePointer(s, old); err != nil {
			return changed, err
		}
		changed = append(changed, s.File)
	}
	for file, changes := range locks {
		old, err := m.r.Dir.ReadFile(file)
		if err != nil {
			return changed, err
		}
		text, differs, err := pipeline.UpdateLock(file, old, changes)
		if err != nil {
			return changed, err
		}
		if !differs {
			continue
		}
		if err := m.r.Dir.WriteFile(file, text, 0o666); err != nil {
			return changed, fmt.Errorf("write %q: %w", m.r.Show(file), err)
		}
		changed = append(changed, file)
	}
	sort.Strings(changed)
	return changed, nil
}

// entries finds the new digests of a stage's legacy entries, by path. What is
// not found is missed only if it is an out: a dependency that changed is out of
// date either way.
func (m *migration) entries(ctx context.Context, s *pipeline.Stage) (map[string]object.Digest, error) {
	found := map[string]object.Digest{}
	for _, o := range s.Outs {
		if !isLegacy(&o.Entry) {
			continue
		}
		d, err := m.digest(ctx, o.RepoPath(), o.Digest, o.Cache)
		if err != nil {
			return nil, err
		}
		if d.IsZero() {
			m.missing = append(m.missing, m.r.Show(o.RepoPath()))
			continue
		}
		found[o.Path] = d
	}
	if s.IsImport() {
		return found, nil
	}
	for _, dep := range s.Deps {
		if !isLegacy(&dep.Entry) {
			continue
		}
		d, err := m.digest(ctx, dep.RepoPath(), dep.Digest, false)
		if err != nil {
			return nil, err
		}
		if !d.IsZero() {
			found[dep.Path] = d
		}
	}
	return found, nil
}

// digest is the MD5 digest of what the legacy digest was recorded, from the
// cache or else from the workspace; zero if neither has the bytes.
func (m *migration) digest(ctx context.Context, rel string, d object.Digest, store bool) (object.Digest, error) {
	to, err := m.fromCache(ctx, d)
	if err != nil || !to.IsZero() || outOfRoot(rel) {
		return to, err
	}
	rules := m.r.rulesAbove(rel)
	tree, err := m.r.scanner(object.MD5Legacy).Scan(ctx, rel, rules)
	if errors.Is(err, fs.ErrNotExist) || err == nil && tree.Digest != d {
		return object.Digest{}, nil
	}
	if err != nil {
		return object.Digest{}, err
	}
	s := m.r.scanner(object.MD5)
	if store {
		s.Store = m.w
	}
	tree, err = s.Scan(ctx, rel, rules)
	if err != nil {
		return object.Digest{}, err
	}
	return tree.Digest, nil
}

// fromCache translates a digest by the objects that were migrated. A folder
// gets a manifest with the new digests of its files.
func (m *migration) fromCache(ctx context.Context, d object.Digest) (object.Digest, error) {
	to, ok := m.names[d]
	if !ok || !d.IsDir() {
		return to, nil
	}
	files, err := m.r.Cache.ReadManifest(ctx, d)
	if err != nil {
		return object.Digest{}, err
	}
	files = slices.Clone(files)
	for i := range files {
		if files[i].Digest, ok = m.names[files[i].Digest]; !ok {
			return object.Digest{}, nil
		}
	}
	text, to := files.Encode(object.MD5)
	return to, m.w.PutBytes(to, text)
}

// replaceEntries puts digests into a pointer file's stage.
func replaceEntries(s *pipeline.Stage, found map[string]object.Digest) {
	put := func(e *pipeline.Entry) {
		if d, ok := found[e.Path]; ok && isLegacy(e) {
			e.Renamed(d)
		}
	}
	for _, o := range s.Outs {
		put(&o.Entry)
	}
	for _, d := range s.Deps {
		put(&d.Entry)
	}
}

// lockEntry is a stage's entry in dvc.lock with digests replaced and all else,
// such as the command that ran, as it is.
func (m *migration) lockEntry(s *pipeline.Stage, found map[string]object.Digest) (*yamlfmt.Map, error) {
	file := pipeline.LockFile(s.File)
	text, err := m.r.Dir.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lock, err := pipeline.ParseLock(file, text)
	if err != nil {
		return nil, err
	}
	entry := yamlfmt.NewMap()
	for k, v := range lock.Entry(s.Name).All() {
		if list, ok := v.([]any); ok && (k == "deps" || k == "outs") {
			v = replaceItems(list, found)
		}
		entry.Set(k, v)
	}
	return entry, nil
}

// replaceItems replaces the md5 of items without a hash field, and adds it
// where DVC 3 has it, after the path.
func replaceItems(list []any, found map[string]object.Digest) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
		item, ok := v.(*yamlfmt.Map)
		if !ok || item.Has("hash") || !item.Has("md5") {
			continue
		}
		at, _ := item.Get("path")
		name, _ := at.(string)
		d, ok := found[name]
		if !ok {
			continue
		}
		now := yamlfmt.NewMap("path", name, "hash", object.MD5.Name(), "md5", d.String())
		for k, v := range item.All() {
			if !now.Has(k) {
				now.Set(k, v)
			}
		}
		out[i] = now
	}
	return out
}

// LinksByName reports whether workspace files may be symbolic links, which name
// the place of an object rather than its bytes.
func (r *Repo) LinksByName() bool { return slices.Contains(r.Cache.Links(), cache.Symlink) }
