package cache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
)

// TestStore holds the cache to the promises that every store makes, of which
// the local remote, a cache in another folder, is one more.
func TestStore(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]cache.Options{
		"cache":         {Links: []cache.LinkType{cache.Reflink, cache.Copy}},
		"linking cache": {Links: []cache.LinkType{cache.Hardlink, cache.Symlink}},
		"shared":        {Shared: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objecttest.Run(t, func(t *testing.T) objecttest.Fixture { return storeFixture(t, o) })
		})
	}
}

func storeFixture(t *testing.T, o cache.Options) objecttest.Fixture {
	c := openCache(t, filepath.Join(t.TempDir(), "not yet", "there"), o)
	return objecttest.Fixture{
		Store: c,
		Damage: func(t *testing.T, d object.Digest, change func([]byte) []byte) {
			p := objectPath(c, d)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			// Objects are read-only, so another takes the name.
			if err := os.WriteFile(p+".new", change(b), 0o444); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(p+".new", p); err != nil {
				t.Fatal(err)
			}
		},
		Leftovers: func(t *testing.T) (left []string) {
			err := filepath.WalkDir(c.Path(), func(p string, e fs.DirEntry, err error) error {
				rel, _ := filepath.Rel(c.Path(), p)
				rel = filepath.ToSlash(rel)
				switch {
				case err != nil && p == c.Path():
					return nil // nothing was stored
				case err != nil:
					return err
				case e.IsDir():
					if strings.HasPrefix(e.Name(), ".") && rel != "." {
						left = append(left, rel)
					}
					return nil
				}
				if _, ok := object.ParseKey(rel); !ok {
					left = append(left, rel)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return left
		},
	}
}
