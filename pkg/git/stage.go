package git

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// Stage puts files into the index as `git add` does, and takes out those that
// are gone. Files that Git ignores and does not track, and files in
// submodules, are passed over. Without the git program the bytes are taken as
// they are: no filter and no change of line ends.
func (r *Repo) Stage(ctx context.Context, paths ...string) error {
	x, err := r.readIndex()
	if err != nil {
		return err
	}
	var todo []string
	for _, rel := range paths {
		rel = path.Clean(rel)
		if err := checkRel(rel); err != nil {
			return err
		}
		if x.inSubmodule(rel) {
			continue
		}
		if !x.has(rel) {
			skip, err := r.notForIndex(rel)
			if err != nil {
				return err
			}
			if skip {
				continue
			}
		}
		todo = append(todo, rel)
	}
	if len(todo) == 0 {
		return nil
	}
	slices.Sort(todo)
	todo = slices.Compact(todo)
	defer r.forgetIndex()
	if r.HasProgram() {
		stdin := []byte(strings.Join(todo, "\x00") + "\x00")
		_, err = r.run(ctx, "stage files", stdin, "update-index", "--add", "--remove", "--replace", "-z", "--stdin")
		return err
	}
	return r.stageNatively(todo)
}

func checkRel(rel string) error {
	if rel == "." || rel == "" || rel == ".." || strings.HasPrefix(rel, "../") || path.IsAbs(rel) || strings.ContainsRune(rel, 0) {
		return errs.New(errs.Invalid, "%q is not the path of a file in the Git repository", rel)
	}
	return nil
}

// notForIndex reports whether an untracked path is ignored or not there.
func (r *Repo) notForIndex(rel string) (bool, error) {
	if _, err := r.dir.LstatPath(rel); missing(err) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	return r.IsIgnored(rel, false)
}

func (r *Repo) forgetIndex() {
	r.mu.Lock()
	r.index = nil
	r.mu.Unlock()
}

// stageNatively holds Git's own lock, the new index under its lock name.
func (r *Repo) stageNatively(paths []string) (err error) {
	file := filepath.Join(r.gitDir, "index")
	lock, err := lockFile(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.rollback()) }()
	r.forgetIndex()
	x, err := r.readIndex()
	if err != nil {
		return err
	}
	db, err := r.objects()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(x.entries, func(e indexEntry) bool { return len(e.raw) == indexFixed }) {
		return errs.WithHint(errs.New(errs.Unsupported, "the git program is needed to change this form of index"),
			"Install Git and make sure that it is in PATH.")
	}
	// The index in memory is shared; change a copy.
	y := &index{entries: slices.Clone(x.entries), flags: x.flags}
	for _, rel := range paths {
		e, there, err := r.newEntry(db, rel)
		if err != nil {
			return err
		}
		y.remove(rel)
		if there {
			y.insert(e)
		}
	}
	sum := func(b []byte) []byte {
		h := db.newHash()
		h.Write(b)
		return h.Sum(nil)
	}
	return lock.commit(y.encode(sum))
}

// remove takes out all stages of a file, and what lies below if it was a
// folder.
func (x *index) remove(name string) {
	x.entries = slices.DeleteFunc(x.entries, func(e indexEntry) bool {
		return e.name == name || strings.HasPrefix(e.name, name+"/")
	})
}

// insert puts in a file, in place of any file where its folders are now.
func (x *index) insert(e indexEntry) {
	for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
		if i := x.find(dir); i < len(x.entries) && x.entries[i].name == dir {
			x.entries = slices.Delete(x.entries, i, i+1)
		}
	}
	x.entries = slices.Insert(x.entries, x.find(e.name), e)
}

// newEntry stores a file's content and describes it.
func (r *Repo) newEntry(db *objectDB, rel string) (indexEntry, bool, error) {
	st, err := r.dir.LstatPath(rel)
	if missing(err) {
		return indexEntry{}, false, nil
	}
	if err != nil {
		return indexEntry{}, false, err
	}
	mode := uint32(modeFile)
	var data []byte
	switch {
	case st.IsLink():
		mode = modeLink
		parent, name, perr := r.dir.Parent(rel)
		if perr != nil {
			return indexEntry{}, false, perr
		}
		var target string
		target, err = parent.Readlink(name)
		parent.Close()
		data = []byte(target)
	case st.IsRegular():
		if st.Mode&0o100 != 0 {
			mode = modeExec
		}
		data, err = r.dir.ReadFile(rel)
	default:
		err = disk.CheckRegular(rel, st)
	}
	if err != nil {
		return indexEntry{}, false, err
	}
	id, err := db.writeBlob(data)
	if err != nil {
		return indexEntry{}, false, err
	}
	fixed := make([]byte, indexFixed)
	put := func(at int, v uint32) { binary.BigEndian.PutUint32(fixed[at:], v) }
	put(8, uint32(st.MTime/1e9))
	put(12, uint32(st.MTime%1e9))
	put(24, mode)
	// Change time, device, inode and owner are left at zero and the size at
	// what was stored: git then looks at the file again the next time.
	put(36, uint32(len(data)))
	return indexEntry{name: rel, raw: append(fixed, id...)}, true, nil
}

// writeBlob stores a loose object unless it is there, and returns its name.
func (db *objectDB) writeBlob(data []byte) ([]byte, error) {
	head := fmt.Appendf(nil, "blob %d\x00", len(data))
	h := db.newHash()
	h.Write(head)
	h.Write(data)
	raw := h.Sum(nil)
	name := hex.EncodeToString(raw)
	if _, err := db.size(name); err == nil {
		return raw, nil
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, err := z.Write(append(head, data...))
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	dir, err := disk.OpenDir(db.dirs[0])
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := dir.Mkdir(name[:2], 0o777); err != nil {
		return nil, err
	}
	return raw, dir.WriteFile(name[:2]+"/"+name[2:], b.Bytes(), 0o444)
}

// fileLock is Git's way to change a file: the new one is written under the
// name with .lock, which nobody else may hold, and renamed.
type fileLock struct {
	path string
	f    *os.File
}

func lockFile(p string) (*fileLock, error) {
	f, err := os.OpenFile(p+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, errs.WithHint(errs.New(errs.Locked, "another Git process is at work: %q exists", p+".lock"),
			"If no Git process is running, delete that file.")
	}
	if err != nil {
		return nil, err
	}
	return &fileLock{p, f}, nil
}

func (l *fileLock) commit(data []byte) error {
	if st, err := os.Stat(l.path); err == nil {
		if err := l.f.Chmod(st.Mode().Perm()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if _, err := l.f.Write(data); err != nil {
		return err
	}
	if err := errors.Join(l.f.Sync(), l.f.Close()); err != nil {
		return err
	}
	err := os.Rename(l.path+".lock", l.path)
	if err == nil {
		l.f = nil
	}
	return err
}

// rollback gives the lock up unless the change was made.
func (l *fileLock) rollback() error {
	if l.f == nil {
		return nil
	}
	l.f.Close()
	return os.Remove(l.path + ".lock")
}
