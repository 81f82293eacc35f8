package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// fetchImports brings what the cache lacks of imports: from the remote, if it
// has them, else from where they were imported from, at the state they are
// pinned to.
func (r *Repo) fetchImports(ctx context.Context, w *wanted, o CloudOptions, res *FetchResult) error {
	if len(w.imports) == 0 {
		return nil
	}
	left, err := r.importsLacking(ctx, w.imports)
	if err != nil || len(left) == 0 {
		return err
	}
	if left, err = r.fetchOwn(ctx, w.remote, left, o, res); err != nil {
		return err
	}
	var bad []error
	for _, t := range left {
		err := r.fetchSource(ctx, t, o, res)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			res.Failed = append(res.Failed, t.Path())
			bad = append(bad, fmt.Errorf("'%s': %w", disk.Quote(r.Show(t.Path())), err))
		}
	}
	return joinErrors(bad)
}

// leaveImports takes imports out of what only a remote can give.
func (w *wanted) leaveImports() {
	type key struct {
		d     object.Digest
		under string
	}
	own := map[key]bool{}
	for _, t := range w.imports {
		own[key{t.Out.Digest, t.Under}] = true
	}
	w.bundles = slices.DeleteFunc(w.bundles, func(b *bundle) bool { return own[key{b.digest, b.under}] })
}

// importsLacking keeps the imports of which the cache lacks something. What was
// imported without its content counts with what it was found to be.
func (r *Repo) importsLacking(ctx context.Context, all []Target) ([]Target, error) {
	var left []Target
	memory := r.importMemory()
	for _, t := range all {
		if t.Out.Digest.IsZero() {
			memory.recall(t.Stage)
		}
		if t.Out.Digest.IsZero() {
			if isBlank(t.Stage.Deps[0]) {
				continue // made without a look at the source
			}
			left = append(left, t)
			continue
		}
		whole, err := r.inCacheWhole(ctx, t)
		if err != nil {
			return nil, err
		}
		if !whole {
			left = append(left, t)
		}
	}
	return left, nil
}

// isBlank reports whether nothing is recorded of a dependency's content.
func isBlank(d *pipeline.Dep) bool {
	if d.Repo != nil {
		return d.Repo.RevLock == ""
	}
	return d.Digest.IsZero() && d.ETag == "" && d.Checksum == "" && d.VersionID == "" && len(d.Files) == 0
}

// inCacheWhole is inCache with lengths, as far as they are known.
func (r *Repo) inCacheWhole(ctx context.Context, t Target) (bool, error) {
	b := &bundle{path: t.Path(), digest: t.Out.Digest, size: sizeOf(t), under: t.Under}
	if err := readManifests(ctx, []*bundle{b}, r.Cache); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, nil // damaged is as good as missing
	}
	return r.haveAll(ctx, []*bundle{b})
}

// fetchOwn asks the repository's own remote, and returns what that did not have.
// A remote that is not there, or cannot be reached, leaves it to the source.
func (r *Repo) fetchOwn(ctx context.Context, name string, all []Target, o CloudOptions, res *FetchResult) ([]Target, error) {
	if _, err := r.remoteConfig(name); err != nil {
		return all, nil
	}
	w := &wanted{remote: name}
	var left []Target
	for _, t := range all {
		if t.Out.Digest.IsZero() {
			left = append(left, t)
			continue
		}
		w.bundles = append(w.bundles, &bundle{path: t.Path(), digest: t.Out.Digest, size: sizeOf(t), under: t.Under})
	}
	if len(w.bundles) == 0 {
		return left, nil
	}
	var got FetchResult
	err := r.fetchFrom(ctx, w, o, &got)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		r.warn("the remote could not give imported data, so their source is asked: %v", err)
	}
	res.Fetched += got.Fetched
	res.Bytes += got.Bytes
	rest, err := r.importsLacking(ctx, all)
	return rest, err
}

// fetchSource brings an import from where it came from. What comes must be what
// is recorded.
func (r *Repo) fetchSource(ctx context.Context, t Target, o CloudOptions, res *FetchResult) error {
	d := t.Stage.Deps[0]
	var in *incoming
	var done func()
	var err error
	switch {
	case d.DB != nil:
		return errs.New(errs.Unsupported, "it is an import from a database, which cairn cannot run")
	case d.Repo != nil:
		in, done, err = r.gatherImport(ctx, t)
	default:
		in, done, err = r.gatherURL(ctx, t)
	}
	if err != nil {
		return err
	}
	defer done()
	want := t.Out.Digest
	alg := want.Algorithm()
	if alg == object.None {
		alg = r.Alg
	}
	if want.IsDir() && t.Under == "" && in.want.IsZero() {
		in.want = want
	}
	before, err := r.countLacking(ctx, in)
	if err != nil {
		return err
	}
	got, err := r.arrive(ctx, in, alg, r.Show(t.Path()), o.Jobs)
	if err != nil {
		return err
	}
	if t.Under == "" && !want.IsZero() && got.Digest != want {
		return errs.WithHint(errs.New(errs.NotFound, "what is there now is not what was imported: %s instead of %s", got.Digest, want),
			"Take what is there with: cairn update %s", r.Show(t.Stage.File))
	}
	res.Fetched += before
	res.Bytes += got.Size
	if want.IsZero() {
		setEntry(&t.Out.Entry, got)
		r.importMemory().remember(t.Stage, got)
	}
	return nil
}

// countLacking is how many files the cache is about to get, as far as known.
func (r *Repo) countLacking(ctx context.Context, in *incoming) (int, error) {
	var ds []object.Digest
	n := 0
	for _, f := range in.files {
		if f.digest.IsZero() {
			n++
		} else {
			ds = append(ds, f.digest)
		}
	}
	have, err := r.Cache.Has(ctx, ds)
	if err != nil {
		return 0, err
	}
	for _, d := range ds {
		if _, ok := have[d]; !ok {
			n++
		}
	}
	if in.isDir && !in.want.IsZero() {
		n++
	}
	return n, nil
}

// gatherImport lists an import's data at the commit it is pinned to.
func (r *Repo) gatherImport(ctx context.Context, t Target) (*incoming, func(), error) {
	d := t.Stage.Deps[0]
	src, err := openTree(ctx, r.env, depSource(r.env, d, d.Repo.RevLock, r.Root, r.abs(t.Stage.WDir)))
	if err != nil {
		return nil, nil, fmt.Errorf("from '%s': %w", disk.Quote(git.Redact(d.Repo.URL)), err)
	}
	src.own = r.Cache
	src, rel, err := src.locate(ctx, r.env)
	if err == nil {
		var in *incoming
		if in, err = src.gather(ctx, path.Join(rel, t.Under)); err == nil {
			return in, src.close, nil
		}
	}
	src.close()
	return nil, nil, err
}

// importMemory remembers what imports without a recorded digest were found to
// be, so that a pull need not bring them again to see that nothing changed. It
// is disposable.
type importMemory struct {
	r     *Repo
	known map[string]rememberedImport
}

type rememberedImport struct {
	Hash   string `json:"hash"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	NFiles int    `json:"nfiles"`
}

const importMemoryFile = "cairn-imports.json"

func (r *Repo) importMemory() *importMemory {
	if r.imports != nil {
		return r.imports
	}
	m := &importMemory{r: r, known: map[string]rememberedImport{}}
	r.imports = m
	if tmp, err := r.Dir.OpenPath(tmpDir); err == nil {
		defer tmp.Close()
		if text, err := tmp.ReadFile(importMemoryFile); err == nil {
			if json.Unmarshal(text, &m.known) != nil {
				m.known = map[string]rememberedImport{}
			}
		}
	}
	return m
}

// key is what an import is of, and where it stands.
func (m *importMemory) key(s *pipeline.Stage) string {
	return s.File + " " + s.MD5
}

// recall sets a stage's out to what was found, for as long as the command runs.
func (m *importMemory) recall(s *pipeline.Stage) {
	was, ok := m.known[m.key(s)]
	if !ok || s.MD5 == "" || s.MD5 != s.ComputeMD5() {
		return
	}
	a, ok := object.AlgorithmByName(was.Hash)
	if !ok || a != m.r.Alg {
		return
	}
	if d, err := object.ParseDigest(a, was.Digest); err == nil {
		setEntry(&s.Outs[0].Entry, &index.Tree{Digest: d, Size: was.Size, IsDir: d.IsDir(), Files: make(object.Manifest, max(was.NFiles, 0))})
	}
}

func (m *importMemory) remember(s *pipeline.Stage, got *index.Tree) {
	if s.MD5 == "" {
		return
	}
	const most = 10_000
	if len(m.known) >= most {
		clear(m.known)
	}
	m.known[m.key(s)] = rememberedImport{Hash: got.Digest.Algorithm().Name(), Digest: got.Digest.String(), Size: got.Size, NFiles: len(got.Files)}
	text, err := json.Marshal(m.known)
	if err != nil {
		return
	}
	if tmp, err := m.r.Dir.MakePath(tmpDir, 0o777); err == nil {
		_ = tmp.ReplaceFile(importMemoryFile, text, 0o666) // only a memory
		tmp.Close()
	}
}
