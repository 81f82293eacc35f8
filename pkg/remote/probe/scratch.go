package probe

import (
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/remote"
)

// scratch is the part of a backend below a prefix. It remembers what may be
// there, so that it can be removed also where listing is not allowed.
type scratch struct {
	b      remote.Backend
	prefix string // with a slash at its end
	made   *keySet
}

// keySet is a set of keys, safe for concurrent use.
type keySet struct {
	mu   sync.Mutex
	keys map[string]bool
	any  bool // there was a key
}

func newKeySet() *keySet { return &keySet{keys: map[string]bool{}} }

// forget makes it as if nothing had ever been there.
func (s *keySet) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.any = map[string]bool{}, false
}

func (s *keySet) add(k string) {
	if remote.CheckKey(k) != nil {
		return // nobody has it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k], s.any = true, true
}

func (s *keySet) drop(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.keys, k)
	}
}

func (s *keySet) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.keys))
}

// key is an own key as the backend has it, unless it is none: the backend is
// to refuse that by itself.
func (s *scratch) key(k string) string {
	if remote.CheckKey(k) != nil {
		return k
	}
	return s.prefix + k
}

func (s *scratch) Properties() remote.Properties { return s.b.Properties() }
func (s *scratch) Close() error                  { return nil }

func (s *scratch) Stat(ctx context.Context, key string) (int64, error) {
	return s.b.Stat(ctx, s.key(key))
}

func (s *scratch) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	return s.b.Open(ctx, s.key(key), off, n)
}

func (s *scratch) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	k := s.key(key)
	s.made.add(k)
	return s.b.Put(ctx, k, size, r)
}

func (s *scratch) List(ctx context.Context, prefix string) iter.Seq2[remote.Entry, error] {
	return func(yield func(remote.Entry, error) bool) {
		for e, err := range s.b.List(ctx, s.prefix+prefix) {
			e.Key = strings.TrimPrefix(e.Key, s.prefix)
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *scratch) Delete(ctx context.Context, keys []string) error {
	theirs := make([]string, len(keys))
	for i, k := range keys {
		theirs[i] = s.key(k)
	}
	err := s.b.Delete(ctx, theirs)
	if err == nil {
		s.made.drop(theirs)
	}
	return err
}

// As gives the abilities of the backend that the checks ask for.
func (s *scratch) As(target any) bool {
	switch t := target.(type) {
	case *remote.PartPutter:
		b, ok := remote.As[remote.PartPutter](s.b)
		*t = scratchParts{s, b}
		return ok
	case *remote.Describer:
		b, ok := remote.As[remote.Describer](s.b)
		*t = scratchDescriber{s, b}
		return ok
	}
	return false
}

type scratchParts struct {
	s *scratch
	b remote.PartPutter
}

func (s scratchParts) BeginParts(ctx context.Context, key string) (remote.Parts, error) {
	k := s.s.key(key)
	s.s.made.add(k)
	return s.b.BeginParts(ctx, k)
}

type scratchDescriber struct {
	s *scratch
	b remote.Describer
}

func (s scratchDescriber) Describe(ctx context.Context, key string) (remote.Entry, error) {
	e, err := s.b.Describe(ctx, s.s.key(key))
	e.Key = strings.TrimPrefix(e.Key, s.s.prefix)
	return e, err
}

// clean deletes all that is below the prefix, and returns what may be left.
func (s *scratch) clean(ctx context.Context) (left []string, err error) {
	keys := s.made.all()
	if s.b.Properties().ListPrice > 0 {
		for e, lerr := range s.b.List(ctx, s.prefix) {
			if lerr != nil {
				break // what was made is known without it
			}
			keys = append(keys, e.Key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) > 0 {
		if err := s.b.Delete(ctx, keys); err != nil {
			return keys, err
		}
	}
	if f, ok := remote.As[remote.FolderKeeper](s.b); ok {
		if err := f.RemoveFolder(ctx, strings.TrimSuffix(s.prefix, "/")); err != nil {
			return []string{s.prefix}, err
		}
	}
	return nil, nil
}

// removeBatch is how many keys are asked to be deleted at a time.
const removeBatch = 1000

// Remove deletes all that lies below a folder of a backend that lists, and the
// folder itself where there are folders. That nothing is there is no error.
func Remove(ctx context.Context, b remote.Backend, folder string) error {
	var keys []string
	for e, err := range b.List(ctx, folder+"/") {
		if err != nil {
			return err
		}
		keys = append(keys, e.Key)
	}
	for batch := range slices.Chunk(keys, removeBatch) {
		if err := b.Delete(ctx, batch); err != nil {
			return err
		}
	}
	if f, ok := remote.As[remote.FolderKeeper](b); ok {
		return f.RemoveFolder(ctx, folder)
	}
	return nil
}
