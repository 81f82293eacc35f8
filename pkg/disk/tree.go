package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// OpenPath opens the folder at a relative slash path below d, component by
// component, following no link. "." and "" are d itself, opened anew.
func (d *Dir) OpenPath(rel string) (*Dir, error) { return d.descend(rel, 0) }

// MakePath is OpenPath, making the folders that are missing.
func (d *Dir) MakePath(rel string, perm fs.FileMode) (*Dir, error) { return d.descend(rel, perm) }

func (d *Dir) descend(rel string, mkdir fs.FileMode) (*Dir, error) {
	if rel == "" {
		rel = "."
	}
	at := d
	for {
		name, rest, more := strings.Cut(rel, "/")
		if name == ".." || name == "" {
			if at != d {
				at.Close()
			}
			return nil, errs.New(errs.Invalid, "path %q leads out of %q", rel, d.path)
		}
		next, err := at.Open(name)
		if err != nil && mkdir != 0 && errors.Is(err, fs.ErrNotExist) {
			if err = at.Mkdir(name, mkdir); err == nil {
				next, err = at.Open(name)
			}
		}
		if at != d {
			at.Close()
		}
		if err != nil {
			if errors.Is(err, ErrLink) {
				err = &errs.Error{Kind: errs.Invalid, Err: err}
			}
			return nil, err
		}
		if !more {
			return next, nil
		}
		at, rel = next, rest
	}
}

// Parent opens the folder that holds rel and returns it with rel's last name.
func (d *Dir) Parent(rel string) (*Dir, string, error) {
	name := path.Base(rel)
	if name == ".." || name == "/" {
		return nil, "", errs.New(errs.Invalid, "path %q leads out of %q", rel, d.path)
	}
	dir, err := d.OpenPath(path.Dir(rel))
	return dir, name, err
}

// LstatPath describes what is at a relative path, following no link on the
// way. Missing parents are fs.ErrNotExist.
func (d *Dir) LstatPath(rel string) (Stat, error) {
	if !strings.Contains(rel, "/") {
		return d.Lstat(rel)
	}
	dir, name, err := d.Parent(rel)
	if err != nil {
		return Stat{}, err
	}
	defer dir.Close()
	return dir.Lstat(name)
}

// OpenFilePath opens a plain file at a relative path.
func (d *Dir) OpenFilePath(rel string) (*File, error) {
	if rel != "." && rel != ".." && rel != "" && !strings.Contains(rel, "/") {
		return d.OpenFile(rel)
	}
	dir, name, err := d.Parent(rel)
	if err != nil {
		return nil, err
	}
	// The file keeps dir for its name only, never its handle.
	defer dir.Close()
	return dir.OpenFile(name)
}

const (
	// maxText bounds what ReadFile takes into memory: stage files, locks,
	// configuration.
	maxText = 256 << 20
	// maxWhole bounds ReadAll: the index of some ten million files.
	maxWhole = 2 << 30
)

// ReadFile reads a plain file at a relative path whole.
func (d *Dir) ReadFile(rel string) ([]byte, error) {
	f, err := d.OpenFilePath(rel)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.readAll(maxText)
}

// ReadText is ReadAll with the limit of ReadFile.
func (f *File) ReadText() ([]byte, error) { return f.readAll(maxText) }

// ReadAll reads the rest of a plain file; anything else than a plain file is
// errs.Invalid.
func (f *File) ReadAll() ([]byte, error) { return f.readAll(maxWhole) }

func (f *File) readAll(most int64) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.IsRegular() {
		return nil, errs.New(errs.Invalid, "%q is not a regular file", f.Name())
	}
	if st.Size > most {
		return nil, errs.New(errs.Invalid, "%q is too large (%d bytes)", f.Name(), st.Size)
	}
	buf := make([]byte, 0, st.Size+1)
	for {
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		if int64(len(buf)) > most {
			return nil, errs.New(errs.Invalid, "%q is too large", f.Name())
		}
	}
}

// WriteFile puts data at a relative path so that the name holds either what
// it held before or all of data, also after a power cut: temporary file in
// the same folder or in scratch, flush, rename, flush of the folder. An
// existing file keeps its permission bits; a new one gets perm less the umask.
func (d *Dir) WriteFile(rel string, data []byte, perm fs.FileMode) error {
	dir, name, err := d.Parent(rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	scratch := d.openScratch()
	if scratch != nil {
		defer scratch.Close()
	}
	tmp, at, err := dir.writeTemp(scratch, name, data, perm, (*File).Sync)
	if err != nil {
		return err
	}
	if err := at.Rename(tmp, dir, name); err != nil {
		_ = at.Remove(tmp)
		if at != dir && IsCrossDevice(err) {
			return dir.WriteFile(name, data, perm)
		}
		return err
	}
	return dir.Sync()
}

// openScratch opens the folder of WithScratch; nil if there is none.
func (d *Dir) openScratch() *Dir {
	if d.scratch == "" {
		return nil
	}
	scratch, err := d.OpenPath(d.scratch)
	if err != nil {
		return nil
	}
	return scratch
}

// writeTemp writes data to a temporary file, with the mode that name has or
// will have, and hands it to flush. The file is in scratch if that is not nil
// and on the same file system, else beside name.
func (d *Dir) writeTemp(scratch *Dir, name string, data []byte, perm fs.FileMode, flush func(*File) error) (tmp string, at *Dir, err error) {
	keep := false // the mode, whatever the umask
	if st, err := d.Lstat(name); err == nil {
		if !st.IsRegular() {
			return "", nil, notRegular(d.path+"/"+name, st)
		}
		keep = st.Mode.Perm() != perm&^Umask()
		perm = st.Mode.Perm()
	}
	if at = scratch; at == nil || !sameFileSystem(at, d) {
		at = d
	}
	tmp = TempName()
	f, err := at.Create(tmp, perm)
	if err != nil {
		return "", nil, err
	}
	_, err = f.Write(data)
	if err == nil && keep {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = flush(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = at.Remove(tmp)
	}
	return tmp, at, err
}

// sameFileSystem reports whether files can be renamed from one folder to the
// other.
func sameFileSystem(a, b *Dir) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && x.Dev == y.Dev
}

// ReplaceFile gives name new text at once, without a flush: for what is made
// again, or checked when it is read, if a power cut takes it.
func (d *Dir) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	tmp := TempName()
	f, err := d.Create(tmp, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.Rename(tmp, d, name)
	}
	if err != nil {
		_ = d.Remove(tmp)
	}
	return err
}

// NewFile is a file for [Dir.WriteFiles].
type NewFile struct {
	Path string // relative, slashes
	Data []byte
	Perm fs.FileMode
}

// WriteFiles is WriteFile for many files at the price of two flushes in all.
// Each name holds the old or the new text at every moment; after a failure
// some may be new.
func (d *Dir) WriteFiles(files []NewFile) error {
	if len(files) <= batchFew || !canSyncFS {
		for _, f := range files {
			if err := d.WriteFile(f.Path, f.Data, f.Perm); err != nil {
				return err
			}
		}
		return nil
	}
	scratch := d.openScratch()
	if scratch != nil {
		defer scratch.Close()
	}
	tmps := make([]string, len(files))
	beside := make([]bool, len(files)) // the name, not in scratch
	drop := func() {
		for i, tmp := range tmps {
			switch dir, _, err := d.Parent(files[i].Path); {
			case err != nil:
			case tmp != "" && beside[i]:
				_ = dir.Remove(tmp)
				dir.Close()
			default:
				dir.Close()
				if tmp != "" {
					_ = scratch.Remove(tmp)
				}
			}
		}
	}
	later := func(*File) error { return nil }
	for i, f := range files {
		dir, name, err := d.Parent(f.Path)
		if err == nil {
			var at *Dir
			tmps[i], at, err = dir.writeTemp(scratch, name, f.Data, f.Perm, later)
			beside[i] = at == dir
			dir.Close()
		}
		if err != nil {
			tmps[i] = ""
			drop()
			return err
		}
	}
	if _, err := d.SyncFS(); err != nil {
		drop()
		return err
	}
	for i, f := range files {
		dir, name, err := d.Parent(f.Path)
		if err == nil {
			from := scratch
			if beside[i] {
				from = dir
			}
			err = from.Rename(tmps[i], dir, name)
			if err != nil && !beside[i] && IsCrossDevice(err) {
				// A part of the same file system that is mounted there.
				_ = scratch.Remove(tmps[i])
				err = dir.WriteFile(name, f.Data, f.Perm)
			}
			dir.Close()
		}
		if err != nil {
			drop()
			return err
		}
		tmps[i] = ""
	}
	_, err := d.SyncFS()
	return err
}

// RemoveAll deletes what is at name in d: a file, a link (not what it points
// to) or a folder with all it holds. Nothing there is no error.
func (d *Dir) RemoveAll(name string) error {
	err := d.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	st, serr := d.Lstat(name)
	if serr != nil || !st.IsDir() {
		return err
	}
	sub, err := d.Open(name)
	if err != nil {
		return err
	}
	list, err := sub.ReadDir()
	for _, e := range list {
		if rerr := sub.RemoveAll(e.Name); err == nil {
			err = rerr
		}
	}
	sub.Close()
	if err != nil {
		return err
	}
	return d.RemoveDir(name)
}

// RemoveEmptyParents deletes the folders of rel's path that are empty, from
// the deepest up, leaving d itself.
func (d *Dir) RemoveEmptyParents(rel string) {
	for p := path.Dir(rel); p != "." && p != "/"; p = path.Dir(p) {
		dir, name, err := d.Parent(p)
		if err != nil {
			return
		}
		err = dir.RemoveDir(name)
		dir.Close()
		if err != nil {
			return
		}
	}
}

// renameIfAbsent is RenameNew where the system does not do it in one step.
func (d *Dir) renameIfAbsent(name string, to *Dir, newName string) error {
	if _, err := to.Lstat(newName); err == nil {
		return &fs.PathError{Op: "rename", Path: to.path + "/" + newName, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.rename(name, to, newName)
}

// notRegular says what stands in place of a plain file.
func notRegular(name string, st Stat) error {
	kind := "not a regular file"
	switch {
	case st.IsDir():
		kind = "a folder"
	case st.IsLink():
		kind = "a symbolic link"
	case st.Mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case st.Mode&fs.ModeSocket != 0:
		kind = "a socket"
	case st.Mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return errs.New(errs.Invalid, "%s is %s", fmt.Sprintf("%q", name), kind)
}

// CheckRegular returns an errs.Invalid error that names what name is, unless
// it is a plain file.
func CheckRegular(name string, st Stat) error {
	if st.IsRegular() {
		return nil
	}
	return notRegular(name, st)
}
