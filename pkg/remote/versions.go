package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Place is where a cloud-versioned remote has bytes: a version of a key.
type Place struct {
	Key     string // of the file in the workspace
	Version string
	ETag    string // "" if not known
	Size    int64  // bytes; -1 if not known
}

// Versions is a remote with the option version_aware: files lie there under
// the names they have in the workspace, and the bucket keeps every version of
// them. As an object.Store it reads what the records of a repository name;
// [Versions.Put] is how something gets there. It is safe for concurrent use.
type Versions struct {
	b      Backend
	v      Versioned
	p      Properties
	name   string
	scheme string
	known  Known
	budget *semaphore.Weighted // bytes in buffers

	mu   sync.Mutex
	sure bool // the bucket has been seen to keep versions
}

// Known is what a repository has recorded of what was pushed.
type Known struct {
	Places   func(object.Digest) []Place                      // of a file's bytes
	Recorded func(object.Digest) bool                         // whether Places has any
	Manifest func(object.Digest) (m object.Manifest, ok bool) // of a folder
}

var _ object.Store = (*Versions)(nil)

// OpenVersions opens a remote that has the option version_aware. A kind that
// keeps no versions is errs.Unsupported. The caller closes it.
func OpenVersions(ctx context.Context, c Config, env Env, known Known) (*Versions, error) {
	noVersions := errs.WithHint(errs.New(errs.Unsupported, "remote %q: option \"version_aware\" needs a place that keeps versions, and %s does not", c.Name, kindOf(c.URL)),
		"Use s3://, gs:// or azure://, or unset the option: cairn remote modify --unset %s version_aware", c.Name)
	if isFolder(c.URL) {
		return nil, noVersions
	}
	b, err := OpenBackend(ctx, c, env)
	if err != nil {
		return nil, err
	}
	v, ok := As[Versioned](b)
	if !ok {
		return nil, errors.Join(noVersions, b.Close())
	}
	p := b.Properties()
	p.Concurrency = max(1, p.Concurrency)
	return &Versions{b: b, v: v, p: p, scheme: Scheme(c.URL), name: "remote " + strconv.Quote(c.Name), known: known, budget: semaphore.NewWeighted(bufferBudget)}, nil
}

func kindOf(url string) string {
	if isFolder(url) {
		return "a folder"
	}
	return Scheme(url) + "://"
}

// Close releases the backend's connections.
func (s *Versions) Close() error { return s.b.Close() }

// Properties are those of the backend, which has no listing of objects.
func (s *Versions) Properties() object.Properties {
	p := s.p.Properties
	p.ListPrice = 0
	return p
}

// Has asks for every version that is recorded. A manifest, which is not stored
// there, is had if each of its files has a version.
func (s *Versions) Has(ctx context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	var mu sync.Mutex
	have := make(map[object.Digest]object.Info, len(ds))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.p.Concurrency)
	for _, d := range ds {
		if d.IsDir() {
			if m, ok := s.known.Manifest(d); ok && s.covers(m) {
				data, _ := m.Encode(d.Algorithm())
				mu.Lock()
				have[d] = object.Info{Digest: d, Size: int64(len(data))}
				mu.Unlock()
			}
			continue
		}
		g.Go(func() error {
			for _, p := range s.known.Places(d) {
				e, ok, err := s.Check(gctx, p)
				if err != nil {
					return err
				}
				if ok {
					mu.Lock()
					have[d] = object.Info{Digest: d, Size: e.Size}
					mu.Unlock()
					break
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return have, err
}

func (s *Versions) covers(m object.Manifest) bool {
	for _, f := range m {
		if !s.known.Recorded(f.Digest) {
			return false
		}
	}
	return true
}

// Recorded reports whether a version with the bytes of d is known.
func (s *Versions) Recorded(d object.Digest) bool { return s.known.Recorded(d) }

// Check reports whether a version is there and is what was recorded, by length
// and ETag as far as these are known.
func (s *Versions) Check(ctx context.Context, p Place) (e Entry, ok bool, err error) {
	e, err = s.v.DescribeVersion(ctx, p.Key, p.Version)
	switch {
	case errs.Is(err, errs.NotFound):
		return Entry{}, false, nil
	case err != nil:
		return Entry{}, false, fmt.Errorf("%s: %w", s.name, err)
	}
	s.seen(e.Meta.VersionID)
	return e, (p.Size < 0 || p.Size == e.Size) && (p.ETag == "" || p.ETag == RecordedETag(s.scheme, e.Meta.ETag)), nil
}

// Open reads an object from one of its places and proves it. A manifest comes
// from the records.
func (s *Versions) Open(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	r, size, err := s.OpenUnverified(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	return object.NewVerifier(d, r), size, nil
}

// OpenUnverified reads an object for a reader that proves it itself.
func (s *Versions) OpenUnverified(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	if d.IsDir() {
		if m, ok := s.known.Manifest(d); ok {
			data, _ := m.Encode(d.Algorithm())
			return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
		}
	}
	err := errs.New(errs.NotFound, "no version of it in %s is recorded: it was not pushed there", s.name)
	for _, p := range s.known.Places(d) {
		r, size, oerr := s.v.OpenVersion(ctx, p.Key, p.Version, 0, -1)
		if oerr == nil {
			return r, size, nil
		}
		if err = oerr; !errs.Is(err, errs.NotFound) {
			break
		}
	}
	return nil, 0, err
}

// Content is what is put: it may be read several times.
type Content struct {
	Size int64
	Open func(ctx context.Context) (io.ReadCloser, error) // proves the bytes
}

// Put stores bytes under the key of their file and returns the new version. In
// a bucket that turns out to keep no versions nothing is left and nothing is
// replaced: that is errs.Config.
func (s *Versions) Put(ctx context.Context, key string, c Content) (Place, error) {
	fresh, err := s.first(ctx, key)
	if err != nil {
		return Place{}, err
	}
	if fresh {
		defer s.mu.Unlock() // held by first: until it is known, one at a time
	}
	e, err := s.put(ctx, key, c)
	if err != nil {
		return Place{}, err
	}
	if e.Meta.VersionID == "" {
		if fresh {
			err = s.b.Delete(context.WithoutCancel(ctx), []string{key})
		}
		return Place{}, errors.Join(s.noVersions(), err)
	}
	if fresh {
		s.sure = true // s.mu is held
	}
	return Place{Key: key, Version: e.Meta.VersionID, ETag: RecordedETag(s.scheme, e.Meta.ETag), Size: c.Size}, nil
}

// first makes sure that nothing is overwritten as long as no version has been
// seen. fresh means that key is free, and that s.mu is held.
func (s *Versions) first(ctx context.Context, key string) (fresh bool, err error) {
	s.mu.Lock()
	if s.sure {
		s.mu.Unlock()
		return false, nil
	}
	e, err := s.v.DescribeVersion(ctx, key, "")
	switch {
	case errs.Is(err, errs.NotFound):
		return true, nil
	case err == nil && e.Meta.VersionID == "":
		err = s.noVersions()
	case err == nil:
		s.sure = true
	}
	s.mu.Unlock()
	return false, err
}

func (s *Versions) seen(version string) {
	if version != "" {
		s.mu.Lock()
		s.sure = true
		s.mu.Unlock()
	}
}

func (s *Versions) noVersions() error {
	return errs.WithHint(errs.New(errs.Config, "%s: the bucket keeps no versions, as the option version_aware needs", s.name),
		"Switch versioning on for the bucket, or unset the option.")
}

func (s *Versions) put(ctx context.Context, key string, c Content) (Entry, error) {
	if c.Size > wholeLimit {
		r := &reopener{ctx: ctx, c: c}
		defer r.Close()
		return s.v.PutVersion(ctx, key, c.Size, r)
	}
	if err := s.budget.Acquire(ctx, c.Size+1); err != nil {
		return Entry{}, err
	}
	defer s.budget.Release(c.Size + 1)
	r, err := c.Open(ctx)
	if err != nil {
		return Entry{}, err
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return Entry{}, err
	}
	return s.v.PutVersion(ctx, key, int64(len(data)), bytes.NewReader(data))
}

// reopener is large content that can be read again from any place.
type reopener struct {
	ctx context.Context
	c   Content
	r   io.ReadCloser // nil: to be opened at pos
	pos int64
}

func (r *reopener) Read(p []byte) (int, error) {
	if r.pos >= r.c.Size && r.r == nil {
		return 0, io.EOF
	}
	if r.r == nil {
		body, err := r.c.Open(r.ctx)
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(io.Discard, body, r.pos); err != nil {
			body.Close()
			return 0, err
		}
		r.r = body
	}
	n, err := r.r.Read(p)
	r.pos += int64(n)
	return n, err
}

func (r *reopener) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.pos
	case io.SeekEnd:
		off += r.c.Size
	}
	if off < 0 {
		return 0, errs.New(errs.Invalid, "seek to %d", off)
	}
	if off != r.pos {
		r.Close()
		r.pos = off
	}
	return off, nil
}

func (r *reopener) Close() {
	if r.r != nil {
		r.r.Close()
		r.r = nil
	}
}

// List is errs.Unsupported: files lie there by name, not by digest.
func (s *Versions) List(context.Context, object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) { yield(object.Info{}, s.no("list objects of")) }
}

// Begin is errs.Unsupported: an object without a path has no place there.
func (s *Versions) Begin(context.Context) (object.Writer, error) { return nil, s.no("send objects to") }

// Delete is errs.Unsupported.
func (s *Versions) Delete(context.Context, []object.Digest) error { return s.no("delete objects of") }

func (s *Versions) no(what string) error {
	return errs.New(errs.Unsupported, "cannot %s %s: it is cloud versioned and holds files by their paths", what, s.name)
}
