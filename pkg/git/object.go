package git

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
)

type objType uint8

// The numbers are those of packs.
const (
	typeCommit   objType = 1
	typeTree     objType = 2
	typeBlob     objType = 3
	typeTag      objType = 4
	typeOfsDelta objType = 6
	typeRefDelta objType = 7
)

var typeNames = map[objType]string{typeCommit: "commit", typeTree: "tree", typeBlob: "blob", typeTag: "tag"}

func typeNamed(name string) (objType, bool) {
	for t, n := range typeNames {
		if n == name {
			return t, true
		}
	}
	return 0, false
}

// maxObject bounds an object that is taken into memory. What cairn reads from
// Git are small text files.
const maxObject = 1 << 30

var errNoObject = errors.New("no such object")

// objectDB reads the objects of a repository, loose and packed. It is safe
// for concurrent use.
type objectDB struct {
	repo    *Repo
	hashLen int
	dirs    []string // objects folders: our own, then alternates

	mu     sync.Mutex
	packs  []*pack // most recently useful first
	loaded bool    // packs are listed
}

func (r *Repo) openObjects() (*objectDB, error) {
	f, err := r.format()
	if err != nil {
		return nil, err
	}
	db := &objectDB{repo: r, hashLen: f.hashLen}
	db.addDir(filepath.Join(r.commonDir, "objects"), 0)
	return db, nil
}

// maxAlternates is how deep alternates may lead to further ones.
const maxAlternates = 5

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

func (db *objectDB) close() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, p := range db.packs {
		p.close()
	}
	db.packs, db.loaded = nil, false
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
func (db *objectDB) read(id string) (objType, []byte, error) {
	raw, err := db.decode(id)
	if err != nil {
		return 0, nil, err
	}
	t, data, err := db.find(raw)
	if errors.Is(err, errNoObject) {
		t, data, err = db.readWithProgram(id)
	}
	if err != nil {
		return 0, nil, err
	}
	h := db.newHash()
	fmt.Fprintf(h, "%s %d\x00", typeNames[t], len(data))
	h.Write(data)
	if !bytes.Equal(h.Sum(nil), raw) {
		return 0, nil, errs.WithHint(errs.New(errs.Corrupt, "the Git object %s is damaged", id), "Run: git fsck")
	}
	return t, data, nil
}

// find looks in the packs first: most objects are there, and a miss costs no
// system call once their indexes have been seen.
func (db *objectDB) find(raw []byte) (objType, []byte, error) {
	p, off, err := db.locate(raw)
	if err != nil {
		return 0, nil, err
	}
	if p != nil {
		return p.read(off, 0)
	}
	t, data, err := db.readLoose(raw)
	if !errors.Is(err, errNoObject) {
		return t, data, err
	}
	// A repack may have moved it since the packs were listed.
	db.relist()
	if p, off, err = db.locate(raw); err != nil || p == nil {
		return 0, nil, errors.Join(err, errNoObject)
	}
	return p.read(off, 0)
}

// readWithProgram lets git get what is not here, as in a partial clone.
func (db *objectDB) readWithProgram(id string) (objType, []byte, error) {
	gone := errs.New(errs.NotFound, "the Git repository lacks the object %s", id)
	if !db.repo.HasProgram() {
		return 0, nil, gone
	}
	out, err := db.repo.run(context.Background(), "read the object "+id, []byte(id+"\n"), "cat-file", "--batch")
	if err != nil {
		return 0, nil, err
	}
	head, data, ok := bytes.Cut(out, []byte("\n"))
	fields := strings.Fields(string(head))
	if !ok || len(fields) != 3 {
		return 0, nil, gone
	}
	t, known := typeNamed(fields[1])
	size, err := strconv.Atoi(fields[2])
	if !known || err != nil || size < 0 || size > len(data) {
		return 0, nil, gone
	}
	return t, data[:size], nil
}

func (db *objectDB) looseFile(raw []byte) (*os.File, error) {
	name := hex.EncodeToString(raw)
	for _, dir := range db.dirs {
		f, err := os.Open(filepath.Join(dir, name[:2], name[2:]))
		if err == nil {
			return f, nil
		}
		if !missing(err) {
			return nil, err
		}
	}
	return nil, errNoObject
}

func (db *objectDB) readLoose(raw []byte) (objType, []byte, error) {
	f, err := db.looseFile(raw)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	t, size, body, err := looseHeader(f)
	if err != nil {
		return 0, nil, corrupt(raw, err)
	}
	data, err := readSized(body, size)
	if err != nil {
		return 0, nil, corrupt(raw, err)
	}
	return t, data, nil
}

func looseHeader(r io.Reader) (objType, int64, io.Reader, error) {
	z, err := zlib.NewReader(r)
	if err != nil {
		return 0, 0, nil, err
	}
	body := bufio.NewReader(z)
	head, err := body.ReadSlice(0)
	if err != nil {
		return 0, 0, nil, err
	}
	name, num, _ := strings.Cut(string(head[:len(head)-1]), " ")
	t, known := typeNamed(name)
	size, err := strconv.ParseInt(num, 10, 64)
	if err != nil || !known || size < 0 {
		return 0, 0, nil, errors.New("its header is not understood")
	}
	return t, size, body, nil
}

// readSized reads exactly size bytes up to the end of r. Memory is taken as
// the bytes come, not as the size claims.
func readSized(r io.Reader, size int64) ([]byte, error) {
	if size > maxObject {
		return nil, errs.New(errs.Unsupported, "an object of %d bytes is too large", size)
	}
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

func corrupt(raw []byte, err error) error {
	if errs.KindOf(err) != errs.Other || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &errs.Error{Kind: errs.Corrupt, Msg: "the Git object " + hex.EncodeToString(raw) + " is damaged", Hint: "Run: git fsck", Err: err}
}

// size returns the length of an object without reading all of it.
func (db *objectDB) size(id string) (int64, error) {
	raw, err := db.decode(id)
	if err != nil {
		return 0, err
	}
	p, off, err := db.locate(raw)
	if err != nil {
		return 0, err
	}
	if p != nil {
		return p.size(off)
	}
	f, err := db.looseFile(raw)
	if errors.Is(err, errNoObject) {
		_, data, err := db.read(id)
		return int64(len(data)), err
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, size, _, err := looseHeader(f)
	if err != nil {
		return 0, corrupt(raw, err)
	}
	return size, nil
}

// commit is what cairn needs of a commit.
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
		return commit{}, errs.New(errs.NotFound, "the Git object %s is a %s, not a commit", id, typeNames[t])
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
func (db *objectDB) peel(id string) (string, objType, error) {
	for range maxPeel {
		t, data, err := db.read(id)
		if err != nil || t != typeTag {
			return id, t, err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		target, ok := strings.CutPrefix(line, "object ")
		if !ok {
			return "", 0, errs.New(errs.Corrupt, "the Git tag %s names no object", id)
		}
		id = target
	}
	return "", 0, errs.New(errs.Corrupt, "the Git tag %s leads to tags without end", id)
}

// abbreviated returns the objects whose names begin with the hex digits.
func (db *objectDB) abbreviated(prefix string) ([]string, error) {
	found := map[string]bool{}
	for _, dir := range db.dirs {
		list, err := os.ReadDir(filepath.Join(dir, prefix[:2]))
		if err != nil && !missing(err) {
			return nil, err
		}
		for _, e := range list {
			if id := prefix[:2] + e.Name(); len(id) == 2*db.hashLen && strings.HasPrefix(id, prefix) {
				found[id] = true
			}
		}
	}
	packs, err := db.allPacks()
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		if err := p.abbreviated(prefix, found); err != nil {
			return nil, err
		}
	}
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	return ids, nil
}
