package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
	"github.com/cairndata/cairn/pkg/remote"
)

// landing is where incoming data become plain files, for who wants to have them
// and not to track them. All is put together in a folder beside the place and
// moved there when it is whole.
type landing struct {
	env     Env
	dest    string    // absolute
	parent  *disk.Dir // of dest
	staging *disk.Staging
	dir     *disk.Dir // in staging
	batch   disk.Batch
}

const landingName = "landing"

func newLanding(env Env, dest string) (*landing, error) {
	if err := os.MkdirAll(filepath.Dir(dest), 0o777); err != nil {
		return nil, err
	}
	parent, err := disk.OpenDir(filepath.Dir(dest))
	if err != nil {
		return nil, err
	}
	if env.Hook != nil {
		parent = parent.WithHook(env.Hook)
	}
	disk.CleanStaging(parent)
	l := &landing{env: env, dest: dest, parent: parent, staging: disk.NewStaging(parent)}
	if l.dir, err = l.staging.Folder(landingName, 0o777&^disk.Umask()); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *landing) close() {
	if l.dir != nil {
		l.dir.Close()
	}
	_ = l.staging.Close()
	_ = l.parent.Close()
}

// fileName is the name in staging of what is a single file.
const fileName = "file"

func landingPath(in *incoming, f *incomingFile) string {
	if in.isDir {
		return path.Join(landingName, f.path)
	}
	return fileName
}

// write makes one file in staging.
func (l *landing) write(rel string, from io.Reader) (int64, error) {
	dir, err := l.dir.MakePath(path.Dir(rel), 0o777)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	f, err := dir.Create(path.Base(rel), 0o666)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(onlyWriter{f}, from)
	if err == nil {
		err = l.batch.Written(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = dir.Remove(path.Base(rel))
	}
	return n, err
}

// onlyWriter hides what else a file can do.
type onlyWriter struct{ io.Writer }

// bring writes incoming data to staging.
func (l *landing) bring(ctx context.Context, in *incoming, name string, jobs int) error {
	at := map[object.Digest][]string{}
	var move, read []int
	for i := range in.files {
		f := &in.files[i]
		if f.digest.IsZero() {
			read = append(read, i)
			continue
		}
		at[f.digest] = append(at[f.digest], landingPath(in, f))
		move = append(move, i)
	}
	sink := progress.Or(l.env.Progress)
	if err := moveObjects(ctx, in, move, name, &landingStore{l: l, at: at}, remote.TransferOptions{Jobs: jobs, Progress: sink, Phases: l.env.Phases, Label: "Downloading"}); err != nil {
		return err
	}
	if jobs <= 0 {
		jobs = readJobs
	}
	task := sink.Start("Downloading", int64(len(read)), -1)
	defer task.Done()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, i := range read {
		g.Go(func() error {
			f := &in.files[i]
			body, size, err := f.read(gctx)
			if err != nil {
				return f.wrap(name, err)
			}
			defer body.Close()
			n, err := l.write(landingPath(in, f), ctxBody{gctx, body})
			if err == nil && size >= 0 && n != size {
				err = errs.New(errs.Corrupt, "%d bytes were announced, but %d came", size, n)
			}
			task.Add(1, n)
			return f.wrap(name, err)
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// ctxBody is a reader that ends with its context.
type ctxBody struct {
	ctx context.Context
	r   io.Reader
}

func (b ctxBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

// place gives what is in staging its place. Files of the same name are replaced,
// others in a folder that is there already stay.
func (l *landing) place(ctx context.Context, in *incoming) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.batch.Flush(l.parent); err != nil {
		return err
	}
	name := filepath.Base(l.dest)
	st, err := l.parent.Lstat(name)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !in.isDir {
		if there && st.IsDir() {
			return errs.New(errs.Conflict, "'%s' is a folder, and a file is to take its place", disk.Quote(l.dest))
		}
		return l.sync(l.dir.Rename(fileName, l.parent, name))
	}
	from, err := l.dir.MakePath(landingName, 0o777)
	if err != nil {
		return err
	}
	defer from.Close()
	if there && !st.IsDir() {
		if err := l.parent.Remove(name); err != nil {
			return err
		}
		there = false
	}
	if !there {
		return l.sync(l.dir.Rename(landingName, l.parent, name))
	}
	to, err := l.parent.Open(name)
	if err != nil {
		return err
	}
	defer to.Close()
	for _, f := range in.files {
		if err := merge(from, to, f.path); err != nil {
			return err
		}
	}
	return l.sync(nil)
}

func (l *landing) sync(err error) error {
	if err != nil {
		return err
	}
	return l.parent.Sync()
}

// merge moves a file to its place in a folder.
func merge(from, to *disk.Dir, rel string) error {
	src, name, err := from.Parent(rel)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := to.MakePath(path.Dir(rel), 0o777)
	if err != nil {
		return err
	}
	defer dst.Close()
	if st, err := dst.Lstat(name); err == nil && st.IsDir() {
		return errs.New(errs.Conflict, "'%s' is a folder, and a file is to take its place", disk.Quote(rel))
	}
	return src.Rename(name, dst, name)
}

// landingStore shows a landing as a store that objects can be moved to.
type landingStore struct {
	l  *landing
	at map[object.Digest][]string // the files that an object becomes

	mu   sync.Mutex
	done map[object.Digest]bool
}

var _ object.Store = (*landingStore)(nil)

func (s *landingStore) Has(_ context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[object.Digest]object.Info{}
	for _, d := range ds {
		if s.done[d] {
			found[d] = object.Info{Digest: d, Size: -1}
		}
	}
	return found, nil
}

func (s *landingStore) Open(context.Context, object.Digest) (io.ReadCloser, int64, error) {
	return nil, 0, errs.New(errs.Unsupported, "files on their way cannot be read")
}
func (s *landingStore) Begin(context.Context) (object.Writer, error) { return landingWriter{s}, nil }
func (s *landingStore) Delete(context.Context, []object.Digest) error {
	return errs.New(errs.Unsupported, "files on their way cannot be deleted")
}
func (s *landingStore) Properties() object.Properties {
	return object.Properties{Concurrency: 4, CheapStat: true, Local: true}
}
func (s *landingStore) List(context.Context, object.Algorithm) iter.Seq2[object.Info, error] {
	return func(func(object.Info, error) bool) {}
}

type landingWriter struct{ s *landingStore }

// Put writes an object's first file, proven, and copies it to the others.
func (w landingWriter) Put(ctx context.Context, d object.Digest, size int64, r io.Reader) error {
	s := w.s
	s.mu.Lock()
	done := s.done[d]
	s.mu.Unlock()
	if done {
		return nil
	}
	paths := s.at[d]
	if len(paths) == 0 {
		return errs.New(errs.Invalid, "object %s was not asked for", d)
	}
	proven := object.NewVerifier(d, io.NopCloser(ctxBody{ctx, r}))
	n, err := s.l.write(paths[0], proven)
	if err == nil && size >= 0 && n != size {
		err = errs.New(errs.Corrupt, "object %s should have %d bytes, but %d came", d, size, n)
	}
	if err != nil {
		return err
	}
	for _, p := range paths[1:] {
		if err := s.again(paths[0], p); err != nil {
			return fmt.Errorf("copy '%s': %w", disk.Quote(p), err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = map[object.Digest]bool{}
	}
	s.done[d] = true
	return nil
}

func (s *landingStore) again(from, to string) error {
	f, err := s.l.dir.OpenFilePath(from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.l.write(to, f)
	return err
}

func (w landingWriter) Commit(ctx context.Context) error { return ctx.Err() }
func (w landingWriter) Abort()                           {}
