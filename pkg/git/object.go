package git

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/cairndata/cairn/pkg/errs"
)

// The types of objects by the names that errors and git give them.
const (
	typeCommit = "commit"
	typeTree   = "tree"
	typeBlob   = "blob"
	typeTag    = "tag"
)

const (
	// maxObject bounds an object that is taken into memory. What cairn reads
	// from Git are small text files.
	maxObject = 1 << 30
	// maxCached bounds the memory for the bases of deltas and recent objects.
	maxCached = 16 * cache.MiByte
	// streamed is the size from which go-git does not take an object into
	// memory before it says how large it is.
	streamed = 32 << 20
	// maxIndexes is the size of pack indexes, about 150,000 objects, from
	// which the git program is asked if it is there: go-git reads all of them
	// before the first answer, 30 ms for 260,000 objects, where git answers
	// after 2 ms. It then needs 1.7 times as long for each object.
	maxIndexes = 4 << 20
	// maxSeeks bounds the places in packs visited for one object. A chain of
	// deltas is at most 4,095 long in git, which visits each place once or
	// twice.
	maxSeeks = 4 * 4096
)

// objectDB reads the objects of a repository. It is safe for concurrent use;
// go-git's storage is not, so reads take turns.
type objectDB struct {
	repo      *Repo
	hashLen   int
	dirs      []string // objects folders: our own, then alternates
	byProgram bool     // all reading is left to the git program
	folders   folders

	mu     sync.Mutex
	stores []*objectStore // one for each folder
	seeks  int            // for the object that is being read
	cat    *catFile       // the git program, once needed
}

type objectStore struct {
	*filesystem.Storage
	packs []plumbing.Hash // when its indexes were last read
}

func (r *Repo) openObjects() (*objectDB, error) {
	f, err := r.format()
	if err != nil {
		return nil, err
	}
	db := &objectDB{repo: r, hashLen: f.hashLen}
	db.addDir(filepath.Join(r.commonDir, "objects"), 0)
	// go-git's names of objects have 20 bytes, fixed when it is compiled.
	db.byProgram = db.hashLen != 20 || db.indexBytes() > maxIndexes && r.HasProgram()
	if db.byProgram {
		return db, nil
	}
	lru := cache.NewObjectLRU(maxCached)
	for _, dir := range db.dirs {
		// go-git follows no link out of the folder it is given and wants the
		// name objects; what is elsewhere is left to the program.
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if filepath.Base(dir) != "objects" {
			continue
		}
		bounded := boundedFS{osfs.New(filepath.Dir(dir)), &db.seeks}
		s := &objectStore{Storage: filesystem.NewStorageWithOptions(bounded, lru,
			filesystem.Options{KeepDescriptors: true, LargeObjectThreshold: streamed})}
		s.packs, _ = s.ObjectPacks()
		db.stores = append(db.stores, s)
	}
	return db, nil
}

// boundedFS makes packs whose deltas lead in a circle fail: go-git would
// follow them until the stack ends and the process with it.
type boundedFS struct {
	billy.Filesystem
	seeks *int
}

type boundedFile struct {
	billy.File
	seeks *int
}

var errCircle = errors.New("its deltas lead to deltas without end")

func (b boundedFS) Open(name string) (billy.File, error) {
	f, err := b.Filesystem.Open(name)
	if err != nil || !strings.HasSuffix(name, ".pack") {
		return f, err
	}
	return boundedFile{f, b.seeks}, nil
}

func (f boundedFile) Seek(offset int64, whence int) (int64, error) {
	if *f.seeks++; *f.seeks > maxSeeks {
		return 0, errCircle
	}
	return f.File.Seek(offset, whence)
}

// maxAlternates is how deep alternates may lead to further ones.
const maxAlternates = 5

// addDir lists a folder and its alternates. go-git knows alternates too, but
// reads their pack indexes again for every object and takes relative paths
// for absolute ones.
func (db *objectDB) addDir(dir string, depth int) {
	db.dirs = append(db.dirs, dir)
	if depth == maxAlternates {
		return
	}
	data, err := readSmall(filepath.Join(dir, "info", "alternates"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(dir, line)
		}
		db.addDir(filepath.Clean(line), depth+1)
	}
}

func (db *objectDB) indexBytes() int64 {
	var sum int64
	for _, dir := range db.dirs {
		list, _ := filepath.Glob(filepath.Join(dir, "pack", "*.idx"))
		for _, p := range list {
			if st, err := os.Stat(p); err == nil {
				sum += st.Size()
			}
		}
	}
	return sum
}

func (db *objectDB) close() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, s := range db.stores {
		_ = s.Close() // nothing was written
	}
	if db.cat != nil {
		db.cat.close()
		db.cat = nil
	}
}

func (db *objectDB) newHash() hash.Hash {
	if db.hashLen == 32 {
		return sha256.New()
	}
	return sha1.New()
}

func (db *objectDB) decode(id string) ([]byte, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != db.hashLen {
		return nil, errs.New(errs.Invalid, "%q is not the name of a Git object", id)
	}
	return raw, nil
}

// read returns an object by the hex of its name, verified against it.
func (db *objectDB) read(id string) (string, []byte, error) {
	raw, err := db.decode(id)
	if err != nil {
		return "", nil, err
	}
	t, data, err := db.find(id)
	if err != nil {
		return "", nil, err
	}
	h := db.newHash()
	fmt.Fprintf(h, "%s %d\x00", t, len(data))
	h.Write(data)
	if !bytes.Equal(h.Sum(nil), raw) {
		return "", nil, damaged(id, errors.New("its bytes have another name"))
	}
	return t, data, nil
}

// find asks the git program for what go-git does not find or understand, as
// in a partial clone or a pack with an old index.
func (db *objectDB) find(id string) (string, []byte, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	err := plumbing.ErrObjectNotFound
	if !db.byProgram {
		var t string
		var data []byte
		if t, data, err = db.readStored(plumbing.NewHash(id)); err == nil {
			return t, data, nil
		}
	}
	// git would work at a circle of deltas for minutes.
	if db.byProgram || !errors.Is(err, errCircle) && db.repo.HasProgram() {
		t, data, perr := db.readByProgram(id)
		if perr == nil || db.byProgram && !errors.Is(perr, plumbing.ErrObjectNotFound) {
			return t, data, perr
		}
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return "", nil, errs.New(errs.NotFound, "the Git repository lacks the object %s", id)
	}
	return "", nil, damaged(id, err)
}

func damaged(id string, err error) error {
	if errs.KindOf(err) != errs.Other || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &errs.Error{Kind: errs.Corrupt, Msg: "the Git object " + id + " is damaged", Hint: "Run: git fsck", Err: err}
}

func (db *objectDB) readStored(h plumbing.Hash) (string, []byte, error) {
	obj, err := db.stored(h)
	if err != nil {
		return "", nil, err
	}
	if obj.Size() > maxObject {
		return "", nil, errs.New(errs.Unsupported, "the Git object %s of %d bytes is too large", h, obj.Size())
	}
	r, err := obj.Reader()
	if err != nil {
		return "", nil, err
	}
	data, err := readSized(r, obj.Size())
	return obj.Type().String(), data, errors.Join(err, r.Close())
}

// stored returns an object of the stores, whose indexes are read again if a
// repack may have moved it.
func (db *objectDB) stored(h plumbing.Hash) (plumbing.EncodedObject, error) {
	db.seeks = 0
	obj, err := db.lookup(h)
	if err == nil {
		return obj, nil
	}
	again := false
	for _, s := range db.stores {
		packs, lerr := s.ObjectPacks()
		if lerr == nil && !slices.Equal(packs, s.packs) {
			s.packs, again = packs, true
			s.Reindex()
		}
	}
	if again {
		return db.lookup(h)
	}
	return nil, err
}

func (db *objectDB) lookup(h plumbing.Hash) (plumbing.EncodedObject, error) {
	for i, s := range db.stores {
		// A miss of EncodedObject would look into the alternates.
		if last := i == len(db.stores)-1; !last && errors.Is(s.HasEncodedObject(h), plumbing.ErrObjectNotFound) {
			continue
		}
		obj, err := s.EncodedObject(plumbing.AnyObject, h)
		if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
			s.Reindex() // an index that cannot be read would count as empty
		}
		return obj, err
	}
	return nil, plumbing.ErrObjectNotFound
}

// readSized reads exactly size bytes up to the end of r. Memory is taken as
// the bytes come, not as the size claims.
func readSized(r io.Reader, size int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(size, 1<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, size+1))
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("it has %d bytes instead of %d", n, size)
	}
	return b.Bytes(), nil
}

// size returns the length of an object; a large one is not read for it.
func (db *objectDB) size(id string) (int64, error) {
	if _, err := db.decode(id); err != nil {
		return 0, err
	}
	if !db.byProgram {
		db.mu.Lock()
		obj, err := db.stored(plumbing.NewHash(id))
		db.mu.Unlock()
		if err == nil {
			return obj.Size(), nil
		}
	}
	_, data, err := db.read(id)
	return int64(len(data)), err
}

// commit is what cairn needs of a commit, read here as parseTree says.
type commit struct {
	tree    string
	parents []string
	time    int64 // of the committer, seconds since 1970
}

func (db *objectDB) commit(id string) (commit, error) {
	t, data, err := db.read(id)
	if err != nil {
		return commit{}, err
	}
	if t != typeCommit {
		return commit{}, errs.New(errs.NotFound, "the Git object %s is a %s, not a commit", id, t)
	}
	var c commit
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "":
			return c, nil
		case "tree":
			c.tree = value
		case "parent":
			c.parents = append(c.parents, value)
		case "committer":
			if i := strings.LastIndexByte(value, '>'); i >= 0 {
				when, _, _ := strings.Cut(strings.TrimSpace(value[i+1:]), " ")
				c.time, _ = strconv.ParseInt(when, 10, 64)
			}
		}
	}
	return c, nil
}

// maxPeel bounds a chain of tags of tags.
const maxPeel = 32

// peel follows tags from an object to what they name.
func (db *objectDB) peel(id string) (string, string, error) {
	for range maxPeel {
		t, data, err := db.read(id)
		if err != nil || t != typeTag {
			return id, t, err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		target, ok := strings.CutPrefix(line, "object ")
		if !ok {
			return "", "", errs.New(errs.Corrupt, "the Git tag %s names no object", id)
		}
		id = target
	}
	return "", "", errs.New(errs.Corrupt, "the Git tag %s leads to tags without end", id)
}

// abbreviated returns the objects whose names begin with the hex digits.
func (db *objectDB) abbreviated(prefix string) ([]string, error) {
	if db.byProgram {
		out, err := db.repo.run(context.Background(), "find the object "+prefix, nil, "rev-parse", "--disambiguate="+prefix)
		return strings.Fields(string(out)), err
	}
	even, err := hex.DecodeString(prefix[:len(prefix)&^1])
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	found := map[string]bool{}
	for _, s := range db.stores {
		list, err := s.HashesWithPrefix(even)
		if err != nil {
			return nil, damaged(prefix, err)
		}
		for _, h := range list {
			if id := h.String(); strings.HasPrefix(id, prefix) {
				found[id] = true
			}
		}
	}
	return slices.Collect(maps.Keys(found)), nil
}
