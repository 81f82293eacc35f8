package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// Tree is the files of a commit, read as they are asked for. Links are shown
// as links and not followed: reading one fails with disk.ErrLink, Readlink
// says where it points. Submodules are empty folders. It is safe for
// concurrent use.
type Tree struct {
	db   *objectDB
	root string
}

var (
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
)

// File is a file or link of a commit.
type File struct {
	Path string
	Blob string      // the SHA of its content, to cache by
	Mode fs.FileMode // 0644, 0755, or a link
}

type treeEntry struct {
	name string
	sha  string
	mode fs.FileMode
	sub  bool // a submodule
}

// Tree returns the files of a commit, given by its SHA or that of a tag.
func (r *Repo) Tree(sha string) (*Tree, error) {
	db, err := r.objects()
	if err != nil {
		return nil, err
	}
	id, t, err := db.peel(sha)
	if err != nil {
		return nil, err
	}
	if t == typeCommit {
		c, err := db.commit(id)
		if err != nil {
			return nil, err
		}
		id = c.tree
	} else if t != typeTree {
		return nil, errs.New(errs.NotFound, "the Git object %s has no files", sha)
	}
	return &Tree{db: db, root: id}, nil
}

// Blob returns the content of a file by its SHA.
func (r *Repo) Blob(sha string) ([]byte, error) {
	db, err := r.objects()
	if err != nil {
		return nil, err
	}
	return db.blob(sha)
}

func (db *objectDB) blob(sha string) ([]byte, error) {
	t, data, err := db.read(sha)
	if err != nil {
		return nil, err
	}
	if t != typeBlob {
		return nil, errs.New(errs.Corrupt, "the Git object %s is a %s, not a file", sha, t)
	}
	return data, nil
}

// folders remembers parsed folders, of which commits share most.
type folders struct {
	mu      sync.Mutex
	lists   map[string][]treeEntry // by SHA
	entries int
}

// maxEntries bounds the entries remembered, which are about 100 bytes each.
const maxEntries = 1 << 19

func (f *folders) get(sha string) ([]treeEntry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, ok := f.lists[sha]
	return list, ok
}

func (f *folders) put(sha string, list []treeEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries += len(list) + 1; f.lists == nil || f.entries > maxEntries {
		f.lists, f.entries = map[string][]treeEntry{}, len(list)+1
	}
	f.lists[sha] = list
}

func (t *Tree) read(sha string) ([]treeEntry, error) {
	list, ok := t.db.folders.get(sha)
	if ok {
		return list, nil
	}
	kind, data, err := t.db.read(sha)
	if err != nil {
		return nil, err
	}
	if kind != typeTree {
		return nil, errs.New(errs.Corrupt, "the Git object %s is a %s, not a folder", sha, kind)
	}
	list, err = parseTree(data, t.db.hashLen)
	if err != nil {
		return nil, &errs.Error{Kind: errs.Corrupt, Msg: "the Git folder " + sha, Err: err}
	}
	t.db.folders.put(sha, list)
	return list, nil
}

// parseTree reads the entries of a folder and sorts them by name; go-git's
// plumbing/object would bring OpenPGP, 1.2 MB, for it. Names that
// are no single component are refused: whoever joins them to a path would be
// led astray.
func parseTree(data []byte, hashLen int) ([]treeEntry, error) {
	var list []treeEntry
	for len(data) > 0 {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := strings.Cut(string(head), " ")
		if !ok || !ok2 || len(rest) < hashLen {
			return nil, errs.New(errs.Corrupt, "it is not understood")
		}
		if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
			return nil, errs.New(errs.Corrupt, "it has the bad name %q", name)
		}
		e := treeEntry{name: name, sha: hex.EncodeToString(rest[:hashLen])}
		switch strings.TrimLeft(mode, "0") {
		case "40000":
			e.mode = fs.ModeDir | 0o755
		case "160000":
			e.mode, e.sub = fs.ModeDir|0o755, true
		case "120000":
			e.mode = fs.ModeSymlink | 0o777
		case "100755":
			e.mode = 0o755
		case "100644", "100664":
			e.mode = 0o644
		default:
			return nil, errs.New(errs.Corrupt, "%q has the unknown mode %q", name, mode)
		}
		list = append(list, e)
		data = rest[hashLen:]
	}
	slices.SortFunc(list, func(a, b treeEntry) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// lookup finds the entry at a path; the root has an empty name.
func (t *Tree) lookup(op, name string) (treeEntry, error) {
	if !fs.ValidPath(name) {
		return treeEntry{}, pathError(op, name, fs.ErrInvalid)
	}
	at := treeEntry{sha: t.root, mode: fs.ModeDir | 0o755}
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		list, err := t.list(at)
		if err != nil {
			return at, pathError(op, name, err)
		}
		i, ok := slices.BinarySearchFunc(list, part, func(e treeEntry, n string) int { return strings.Compare(e.name, n) })
		if !ok {
			return at, pathError(op, name, fs.ErrNotExist)
		}
		at = list[i]
	}
	return at, nil
}

// list returns the entries of a folder; other entries have none.
func (t *Tree) list(e treeEntry) ([]treeEntry, error) {
	if e.sub || !e.mode.IsDir() {
		return nil, nil
	}
	return t.read(e.sha)
}

// Open opens a file or folder. The bytes of a file are read at once.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.lookup("open", name)
	if err != nil {
		return nil, err
	}
	info := &fileInfo{t: t, e: e, name: path.Base(name)}
	if e.mode.IsDir() {
		list, err := t.ReadDir(name)
		return &openDir{info: info, rest: list}, err
	}
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(data), info: info}, nil
}

// ReadDir lists a folder, sorted by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.mode.IsDir() {
		return nil, pathError("readdir", name, errs.New(errs.Invalid, "not a folder"))
	}
	entries, err := t.list(e)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	list := make([]fs.DirEntry, len(entries))
	for i, e := range entries {
		list[i] = fs.FileInfoToDirEntry(&fileInfo{t: t, e: e, name: e.name})
	}
	return list, nil
}

// ReadFile returns the content of a file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.lookup("open", name)
	switch {
	case err != nil:
		return nil, err
	case e.mode.IsDir():
		return nil, pathError("read", name, errs.New(errs.Invalid, "is a folder"))
	case e.mode&fs.ModeSymlink != 0:
		return nil, pathError("read", name, disk.ErrLink)
	}
	data, err := t.db.blob(e.sha)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return data, nil
}

// Readlink returns where a link points.
func (t *Tree) Readlink(name string) (string, error) {
	e, err := t.lookup("readlink", name)
	if err == nil && e.mode&fs.ModeSymlink == 0 {
		err = pathError("readlink", name, fs.ErrInvalid)
	}
	if err != nil {
		return "", err
	}
	data, err := t.db.blob(e.sha)
	return string(data), err
}

// Stat describes what is at a path, a link as a link. The size is worked out
// when it is first asked for; -1 says that the object cannot be read.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return &fileInfo{t: t, e: e, name: path.Base(name)}, nil
}

// File returns the file or link at a path.
func (t *Tree) File(name string) (File, error) {
	e, err := t.lookup("stat", name)
	if err != nil {
		return File{}, err
	}
	if e.mode.IsDir() {
		return File{}, pathError("stat", name, errs.New(errs.Invalid, "is a folder"))
	}
	return File{Path: name, Blob: e.sha, Mode: e.mode}, nil
}

// ID is the SHA of the file, link or folder at a path. What has the same SHA
// has the same content.
func (t *Tree) ID(name string) (string, error) {
	e, err := t.lookup("stat", name)
	return e.sha, err
}

// Digest sums up the files of chosen names below a folder of a commit: their
// paths and contents, and nothing else. It is "" if there are none. seen holds
// what is known of folders already; use one for one choice of names.
func (t *Tree) Digest(dir string, choose func(name string) bool, seen map[string]string) (string, error) {
	e, err := t.lookup("readdir", dir)
	if err != nil {
		return "", err
	}
	return t.digest(e, choose, seen, 0)
}

func (t *Tree) digest(dir treeEntry, choose func(string) bool, seen map[string]string, depth int) (string, error) {
	if sum, ok := seen[dir.sha]; ok {
		return sum, nil
	}
	if depth > maxTreeDepth {
		return "", errs.New(errs.Corrupt, "the Git folder %s is nested too deeply", dir.sha)
	}
	list, err := t.list(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	some := false
	for _, e := range list {
		id := e.sha
		if e.mode.IsDir() {
			if id, err = t.digest(e, choose, seen, depth+1); err != nil {
				return "", err
			}
		} else if !choose(e.name) {
			id = ""
		}
		if id != "" {
			some = true
			fmt.Fprintf(h, "%q %v %s\n", e.name, e.mode, id)
		}
	}
	sum := ""
	if some {
		sum = hex.EncodeToString(h.Sum(nil))
	}
	seen[dir.sha] = sum
	return sum, nil
}

// Files lists the files and links below a folder, "." for all, in the order
// of a walk. Submodules are left out.
func (t *Tree) Files(dir string) ([]File, error) {
	e, err := t.lookup("readdir", dir)
	if err != nil {
		return nil, err
	}
	var files []File
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
	}
	err = t.walk(e, prefix, 0, &files)
	return files, err
}

// maxTreeDepth bounds folders in folders; a path cannot be longer than some
// thousand bytes on any system.
const maxTreeDepth = 4096

func (t *Tree) walk(dir treeEntry, prefix string, depth int, files *[]File) error {
	if depth > maxTreeDepth {
		return errs.New(errs.Corrupt, "the Git folder %s is nested too deeply", dir.sha)
	}
	list, err := t.list(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !e.mode.IsDir() {
			*files = append(*files, File{Path: prefix + e.name, Blob: e.sha, Mode: e.mode})
			continue
		}
		if err := t.walk(e, prefix+e.name+"/", depth+1, files); err != nil {
			return err
		}
	}
	return nil
}

type fileInfo struct {
	t    *Tree
	e    treeEntry
	name string
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Mode() fs.FileMode  { return i.e.mode }
func (i *fileInfo) ModTime() time.Time { return time.Time{} }
func (i *fileInfo) IsDir() bool        { return i.e.mode.IsDir() }
func (i *fileInfo) Sys() any           { return nil }

func (i *fileInfo) Size() int64 {
	if i.e.mode.IsDir() {
		return 0
	}
	n, err := i.t.db.size(i.e.sha)
	if err != nil {
		return -1
	}
	return n
}

type openFile struct {
	*bytes.Reader
	info *fileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info *fileInfo
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, pathError("read", d.info.name, errs.New(errs.Invalid, "is a folder"))
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.rest) {
		if n > 0 && len(d.rest) == 0 {
			return nil, io.EOF
		}
		n = len(d.rest)
	}
	list := d.rest[:n]
	d.rest = d.rest[n:]
	return list, nil
}
