package repo

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// depSource turns what a pointer file says of a repository into options. Where
// a relative path starts is not recorded: it is tried from the working
// directory, as DVC has it, then from each of the bases.
func depSource(env Env, d *pipeline.Dep, rev string, bases ...string) SourceOptions {
	o := SourceOptions{URL: resolveURL(env, d.Repo.URL, bases...), Rev: rev, Path: strings.TrimLeft(d.Path, "/"), fromPointer: true}
	switch c := d.Repo.Config.(type) {
	case string:
		o.Config = resolveURL(env, c, bases...)
	case *yamlfmt.Map:
		// As import writes --remote with --remote-config.
		o.Remote = textAt(c, "core", "remote")
		o.RemoteConfig = textsAt(c, "remote", o.Remote)
	}
	switch r := d.Repo.Remote.(type) {
	case string:
		o.Remote = r
	case *yamlfmt.Map:
		o.RemoteConfig = textsAt(r)
	}
	return o
}

// resolveURL finds where a relative path leads.
func resolveURL(env Env, url string, bases ...string) string {
	if url == "" || filepath.IsAbs(url) {
		return url
	}
	for _, base := range append([]string{env.Dir}, bases...) {
		abs := filepath.Join(base, filepath.FromSlash(url))
		if _, err := os.Stat(abs); err == nil {
			return abs
		}
	}
	return url
}

func mapAt(m *yamlfmt.Map, keys ...string) *yamlfmt.Map {
	for _, k := range keys {
		v, _ := m.Get(k)
		sub, ok := v.(*yamlfmt.Map)
		if !ok {
			return nil
		}
		m = sub
	}
	return m
}

func textAt(m *yamlfmt.Map, section, key string) string {
	if m = mapAt(m, section); m == nil {
		return ""
	}
	v, _ := m.Get(key)
	s, _ := v.(string)
	return s
}

func textsAt(m *yamlfmt.Map, keys ...string) map[string]string {
	if m = mapAt(m, keys...); m == nil {
		return nil
	}
	list := map[string]string{}
	for k, v := range m.All() {
		list[strings.ToLower(k)] = fmt.Sprint(v)
	}
	return list
}

// maxChain bounds how many repositories an import may lead through.
const maxChain = 10

// chained is the repository that an import of a repository leads to.
type chained struct {
	tree *tree
	rel  string
	err  error
}

// chain opens the repository that an out of this one was imported from, at the
// commit it is pinned to.
func (t *tree) chain(ctx context.Context, o *pipeline.Out) (*tree, string, error) {
	if c, ok := t.next[o.Stage.File]; ok {
		return c.tree, c.rel, c.err
	}
	var c chained
	c.tree, c.rel, c.err = t.openChained(ctx, o)
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if t.next == nil {
		t.next = map[string]chained{}
	}
	t.next[o.Stage.File] = c
	return c.tree, c.rel, c.err
}

func (t *tree) openChained(ctx context.Context, o *pipeline.Out) (*tree, string, error) {
	d := o.Stage.Deps[0]
	from := d.Repo.URL
	opts := depSource(t.env, d, d.Repo.RevLock, t.root, filepath.Join(t.root, filepath.FromSlash(o.Stage.WDir)))
	key := opts.URL + "@" + opts.Rev + ":" + path.Clean(d.Path)
	if slices.Contains(t.from, key) || len(t.from) >= maxChain {
		return nil, "", errs.New(errs.Invalid, "'%s' is an import that leads in a circle: %s", disk.Quote(o.RepoPath()), disk.Quote(git.Redact(from)))
	}
	if t.far != nil && t.far.foreign {
		// It may not make this machine hand out files of its own.
		a, err := git.ParseAddress(opts.URL)
		if err != nil {
			return nil, "", err
		}
		if a.Path != "" || !git.IsAddress(opts.URL) {
			return nil, "", errs.New(errs.NotFound, "'%s' was imported from '%s', a folder of another machine", disk.Quote(o.RepoPath()), disk.Quote(from))
		}
	}
	sub, err := openTree(ctx, t.env, opts)
	if err != nil {
		return nil, "", fmt.Errorf("'%s' was imported from '%s': %w", disk.Quote(o.RepoPath()), disk.Quote(git.Redact(from)), err)
	}
	sub.own = t.own
	sub.from = append(slices.Clone(t.from), key)
	sub, rel, err := sub.locate(ctx, t.env)
	if err != nil {
		sub.close()
		return nil, "", err
	}
	return sub, rel, nil
}

// chainedManifest makes the list of files of a folder that the repository
// imported, from the repository it came from. It must have the recorded digest.
func (t *tree) chainedManifest(ctx context.Context, o *pipeline.Out) (object.Manifest, error) {
	sub, rel, err := t.chain(ctx, o)
	if err != nil {
		return nil, err
	}
	in, err := sub.gather(ctx, rel)
	if err != nil {
		return nil, err
	}
	alg := o.Digest.Algorithm()
	m := make(object.Manifest, 0, len(in.files))
	for i := range in.files {
		f := &in.files[i]
		d := f.digest
		if d.Algorithm() != alg {
			if d, err = f.hash(ctx, alg); err != nil {
				return nil, err
			}
		}
		m = append(m, object.File{Path: f.path, Digest: d, Size: f.size})
	}
	m.Sort()
	if _, d := m.Encode(alg); d != o.Digest {
		return nil, errs.New(errs.NotFound, "the folder in '%s' is not the one that was imported", disk.Quote(git.Redact(o.Stage.Deps[0].Repo.URL)))
	}
	return m, nil
}

// hash reads a file for its digest.
func (f *incomingFile) hash(ctx context.Context, a object.Algorithm) (object.Digest, error) {
	body, _, err := f.read(ctx)
	if err != nil {
		return object.Digest{}, err
	}
	defer body.Close()
	h := a.New()
	n, err := io.Copy(h, body)
	if err != nil {
		return object.Digest{}, err
	}
	f.size = n
	return object.NewDigest(a, h.Sum(nil), false), nil
}

// chainStore shows the data of an import of a repository as objects, as the
// repository has them that it came from. It can only be read, and is asked last.
type chainStore struct {
	t   *tree
	out *pipeline.Out

	files map[object.Digest]*incomingFile
	err   error
}

var _ object.Store = (*chainStore)(nil)

// load finds out which file has which digest.
func (s *chainStore) load(ctx context.Context) error {
	if s.files != nil || s.err != nil {
		return s.err
	}
	files := map[object.Digest]*incomingFile{}
	if s.err = s.fill(ctx, files); s.err == nil {
		s.files = files
	}
	return s.err
}

func (s *chainStore) fill(ctx context.Context, files map[object.Digest]*incomingFile) error {
	sub, rel, err := s.t.chain(ctx, s.out)
	if err != nil {
		return err
	}
	in, err := sub.gather(ctx, rel)
	if err != nil {
		return err
	}
	if in.isDir != s.out.Digest.IsDir() {
		return errs.New(errs.NotFound, "'%s' is not what was imported", disk.Quote(s.out.RepoPath()))
	}
	if !in.isDir {
		files[s.out.Digest] = &in.files[0]
		return nil
	}
	m, err := s.t.manifest(ctx, s.out)
	if err != nil {
		return err
	}
	for i := range in.files {
		if part := m.Under(in.files[i].path); len(part) == 1 && part[0].Path == in.files[i].path {
			files[part[0].Digest] = &in.files[i]
		}
	}
	return nil
}

func (s *chainStore) Has(ctx context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	found := map[object.Digest]object.Info{}
	for _, d := range ds {
		if f := s.files[d]; f != nil {
			found[d] = object.Info{Digest: d, Size: f.size}
		}
	}
	return found, nil
}

func (s *chainStore) Open(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	if err := s.load(ctx); err != nil {
		return nil, 0, err
	}
	f := s.files[d]
	if f == nil {
		return nil, 0, errs.New(errs.NotFound, "object %s was not imported", d)
	}
	body, size, err := f.read(ctx)
	if err != nil {
		return nil, 0, err
	}
	return object.NewVerifier(d, body), size, nil
}

func (s *chainStore) Begin(context.Context) (object.Writer, error)  { return nil, errReadOnly }
func (s *chainStore) Delete(context.Context, []object.Digest) error { return errReadOnly }
func (s *chainStore) Properties() object.Properties                 { return object.Properties{Concurrency: 1} }
func (s *chainStore) List(context.Context, object.Algorithm) iter.Seq2[object.Info, error] {
	return func(func(object.Info, error) bool) {}
}
