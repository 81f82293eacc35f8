package repo

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"sort"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
)

// workFS shows the workspace as an fs.FS that follows no links, so that stage
// files are read the same way from the workspace and from a commit.
type workFS struct{ root *disk.Dir }

var (
	_ fs.ReadFileFS = workFS{}
	_ fs.ReadDirFS  = workFS{}
	_ fs.StatFS     = workFS{}
)

func (w workFS) Open(name string) (fs.File, error) { return openFile(w, name) }

// openFile opens a file of a file system that reads files whole.
func openFile(w interface {
	fs.StatFS
	fs.ReadFileFS
}, name string) (fs.File, error) {
	info, err := w.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &workFile{info: info}, nil
	}
	b, err := w.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &workFile{Reader: bytes.NewReader(b), info: info}, nil
}

func (w workFS) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return w.root.ReadFile(name)
}

func (w workFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	st, err := w.root.LstatPath(name)
	if disk.IsNotDir(err) {
		err = &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return workInfo{path.Base(name), st}, err
}

func (w workFS) ReadDir(name string) ([]fs.DirEntry, error) {
	dir, err := w.root.OpenPath(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, len(list))
	for i, e := range list {
		out[i] = workEntry{e, w, path.Join(name, e.Name)}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

type workEntry struct {
	e    disk.Entry
	fsys workFS
	path string
}

func (e workEntry) Name() string               { return e.e.Name }
func (e workEntry) IsDir() bool                { return e.e.Type.IsDir() }
func (e workEntry) Type() fs.FileMode          { return e.e.Type }
func (e workEntry) Info() (fs.FileInfo, error) { return e.fsys.Stat(e.path) }

type workInfo struct {
	name string
	st   disk.Stat
}

func (i workInfo) Name() string       { return i.name }
func (i workInfo) Size() int64        { return i.st.Size }
func (i workInfo) Mode() fs.FileMode  { return i.st.Mode }
func (i workInfo) ModTime() time.Time { return time.Unix(0, i.st.MTime) }
func (i workInfo) IsDir() bool        { return i.st.IsDir() }
func (i workInfo) Sys() any           { return nil }

type workFile struct {
	io.Reader
	info fs.FileInfo
}

func (f *workFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *workFile) Close() error               { return nil }

func (f *workFile) Read(p []byte) (int, error) {
	if f.Reader == nil {
		return 0, errors.New("is a folder")
	}
	return f.Reader.Read(p)
}
