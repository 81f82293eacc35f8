package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ImportURLOptions of [Repo.ImportURL].
type ImportURLOptions struct {
	URL        string // or a path of this machine
	Out        string // where to, as typed; "" is the last name of URL
	Force      bool   // replace what is at Out
	NoExec     bool   // write the pointer file and look at nothing
	NoDownload bool   // record what is there and bring no data
	ToRemote   bool   // send to a remote, not to the cache and the workspace
	Remote     string // for ToRemote
	Jobs       int
	// VersionAware pins versions that the bucket keeps.
	VersionAware bool
	FSConfig     []string // options for the URL, as name=value; recorded
	Say          func(format string, args ...any)
}

// ImportURL brings what a URL or path names into the workspace and tracks it,
// with what tells later whether it changed there.
func (r *Repo) ImportURL(ctx context.Context, o ImportURLOptions) (ImportResult, error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	defer unlock()
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	p, err := r.planImport(ctx, o.URL, o.Out, o.Force, func(d *pipeline.Dep) bool { return r.sameAddress(d, o.URL) })
	if err != nil {
		return ImportResult{}, err
	}
	switch {
	case o.ToRemote && (o.NoExec || o.NoDownload || o.VersionAware):
		return ImportResult{}, errs.New(errs.Invalid, "--no-exec/--no-download/--version-aware cannot be combined with --to-remote")
	case !o.ToRemote && o.Remote != "":
		return ImportResult{}, errs.New(errs.Invalid, "--remote can't be used without --to-remote")
	}
	d, err := r.urlDep(p, o)
	if err != nil {
		return ImportResult{}, err
	}
	p.stage.Deps = []*pipeline.Dep{d}
	if !o.NoExec {
		err = r.bringURL(ctx, p, urlBringing{say: o.Say, noDownload: o.NoDownload, toRemote: o.ToRemote, remote: o.Remote, force: o.Force, jobs: o.Jobs})
	} else if pl, perr := r.openDep(ctx, d, false); perr != nil {
		err = perr
	} else {
		pl.close()
	}
	if err != nil {
		return ImportResult{}, err
	}
	return r.finishImport(ctx, p, !o.NoExec)
}

// sameAddress reports whether a dependency is what a URL or path names.
func (r *Repo) sameAddress(d *pipeline.Dep, typed string) bool {
	if d.Repo != nil || d.DB != nil {
		return false
	}
	if d.Path == typed || strings.Contains(d.Path, "://") || strings.Contains(typed, "://") {
		return d.Path == typed
	}
	abs := func(base, p string) string {
		if p = filepath.FromSlash(p); filepath.IsAbs(p) {
			return filepath.Clean(p)
		}
		return filepath.Join(base, p)
	}
	return abs(r.abs(d.Stage.WDir), d.Path) == abs(r.env.Dir, typed)
}

// urlDep is what the pointer file says of the source.
func (r *Repo) urlDep(p *importPlan, o ImportURLOptions) (*pipeline.Dep, error) {
	d := &pipeline.Dep{Stage: p.stage, Entry: pipeline.Entry{Path: o.URL, Size: -1, NFiles: -1}}
	given := yamlfmt.NewMap()
	for _, kv := range o.FSConfig {
		k, v, _ := strings.Cut(kv, "=")
		k = strings.ToLower(k)
		if config.IsSecret(k) {
			return nil, errs.WithHint(errs.New(errs.Invalid, "the option %s is a secret, and --fs-config is recorded in a file that Git tracks", k),
				"Give it to a remote, cairn remote modify --local NAME %s VALUE, and import from remote://NAME/path.", k)
		}
		given.Set(k, v)
	}
	if o.VersionAware {
		given.Set("version_aware", true)
	}
	if given.Len() > 0 {
		d.FSConfig = given
	}
	switch scheme := remote.Scheme(o.URL); scheme {
	case "file":
		// DVC takes the address for a path.
		pl := &place{scheme: scheme, shown: o.URL}
		if err := pl.setPath(remote.Config{URL: o.URL}, r.env.Dir); err != nil {
			return nil, err
		}
		d.Path = filepath.ToSlash(pl.abs)
	case "":
		if !filepath.IsAbs(o.URL) || r.isBelow(o.URL) {
			abs := o.URL
			if !filepath.IsAbs(abs) {
				abs = filepath.Join(r.env.Dir, abs)
			}
			if _, err := os.Stat(abs); filepath.IsAbs(o.URL) && err != nil {
				break
			}
			rel, err := filepath.Rel(r.abs(p.stage.WDir), abs)
			if err != nil {
				return nil, err
			}
			d.Path = filepath.ToSlash(rel)
		}
	default:
		if config.Redact(o.URL) != o.URL {
			return nil, errs.WithHint(errs.New(errs.Invalid, "'%s' holds a password or token, which would be in a file that Git tracks", disk.Quote(config.Redact(o.URL))),
				"Make a remote of it, cairn remote add --local NAME URL, and import from remote://NAME/path.")
		}
	}
	return d, nil
}

// openDep prepares to look at a dependency that is no repository's. committed
// says that its options come from a file that Git has.
func (r *Repo) openDep(ctx context.Context, d *pipeline.Dep, committed bool) (*place, error) {
	o := placeOptions{committed: committed, fsConfig: map[string]string{}}
	if m, ok := d.FSConfig.(*yamlfmt.Map); ok {
		for k, v := range m.All() {
			o.fsConfig[strings.ToLower(k)] = fmt.Sprint(v)
		}
	}
	if d.Stage.IsImport() && isVersioned(d) {
		o.fsConfig["version_aware"] = "true" // to a stage a version says nothing, its ETag does
	}
	raw, base := d.Path, r.abs(d.Stage.WDir)
	p, err := r.env.openPlace(ctx, r.Config, raw, base, o)
	if err == nil {
		p.shown = r.showURL(d)
	}
	return p, err
}

// urlBringing says how data of a URL are brought.
type urlBringing struct {
	say        func(format string, args ...any)
	noDownload bool
	toRemote   bool
	remote     string // for toRemote
	force      bool   // what is in the way is of no worth
	update     bool   // the options come from the pointer file
	version    string // to pin to, "" is the latest
	jobs       int
}

// bringURL records what is at a URL and brings it.
func (r *Repo) bringURL(ctx context.Context, p *importPlan, o urlBringing) error {
	d := p.stage.Deps[0]
	pl, err := r.openDep(ctx, d, o.update)
	if err != nil {
		return err
	}
	defer pl.close()
	if !o.toRemote {
		o.say("Importing '%s' -> '%s'", disk.Quote(r.showURL(d)), disk.Quote(r.Show(p.rel)))
	}
	if o.version != "" {
		pl.version = o.version
	}
	s, err := pl.survey(ctx)
	if err != nil {
		return err
	}
	in, err := pl.incoming(s)
	if err != nil {
		return err
	}
	if pl.versioned != nil && !o.update {
		p.out.Push = false
	}
	if o.noDownload {
		if err := r.recordDep(ctx, d, pl, s, in, nil); err != nil {
			return err
		}
		return r.putNothing(ctx, p)
	}
	var got *index.Tree
	if o.toRemote {
		got, err = r.sendIncoming(ctx, in, o)
	} else {
		got, err = r.arrive(ctx, in, r.Alg, r.Show(p.rel), o.jobs)
	}
	if err != nil {
		return err
	}
	if err := pl.unchangedSince(ctx, s); err != nil {
		return err
	}
	if err := r.recordDep(ctx, d, pl, s, in, got); err != nil {
		return err
	}
	if o.toRemote {
		p.out.Entry = pipeline.Entry{Path: p.out.Path, Size: -1, NFiles: -1}
		setEntry(&p.out.Entry, got)
		if !o.update {
			// An update leaves the old one, as with DVC.
			p.stage.MD5 = p.stage.ComputeMD5()
		}
		return nil
	}
	return r.putImport(ctx, p, got, o.force)
}

// recordDep writes down what is at a place: the server's words, or the digest
// of what came, which is worked out if nothing did.
func (r *Repo) recordDep(ctx context.Context, d *pipeline.Dep, pl *place, s *survey, in *incoming, got *index.Tree) error {
	if pl.hashKey() != "md5" {
		pl.record(&d.Entry, s)
		return nil
	}
	if got == nil {
		var err error
		if got, err = r.hashIncoming(ctx, in, r.Alg); err != nil {
			return err
		}
	}
	d.Entry = pipeline.Entry{Path: d.Path, FSConfig: d.FSConfig, Size: -1, NFiles: -1}
	setEntry(&d.Entry, got)
	d.IsExec = !s.isDir && s.files[0].exec
	return nil
}

// hashIncoming reads data for their digest and stores nothing.
func (r *Repo) hashIncoming(ctx context.Context, in *incoming, a object.Algorithm) (*index.Tree, error) {
	task := r.Progress.Start("Hashing", int64(len(in.files)), -1)
	defer task.Done()
	digests := make([]object.Digest, len(in.files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readJobs)
	for i := range in.files {
		g.Go(func() (err error) {
			digests[i], err = in.files[i].hash(gctx, a)
			task.Add(1, max(in.files[i].size, 0))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return in.tree(a, digests), nil
}

// tree is incoming data whose digests are known.
func (in *incoming) tree(a object.Algorithm, digests []object.Digest) *index.Tree {
	if !in.isDir {
		return &index.Tree{Digest: digests[0], Size: in.files[0].size}
	}
	m := make(object.Manifest, len(in.files))
	for i, f := range in.files {
		m[i] = object.File{Path: f.path, Digest: digests[i], Size: f.size}
	}
	m.Sort()
	t := &index.Tree{IsDir: true, Files: m, Size: max(m.Size(), 0)}
	t.Digest, _ = m.Digest(a)
	return t
}

// unchangedSince makes sure that what was read is what was recorded.
func (p *place) unchangedSince(ctx context.Context, s *survey) error {
	if p.versioned != nil {
		return nil // versions do not change
	}
	now, err := p.survey(ctx)
	if err != nil {
		return err
	}
	same := now.isDir == s.isDir && len(now.files) == len(s.files)
	for i := 0; same && i < len(s.files); i++ {
		a, b := s.files[i], now.files[i]
		same = a.rel == b.rel && a.size == b.size && p.token(a.meta) == p.token(b.meta) && a.meta.ModTime.Equal(b.meta.ModTime)
	}
	if !same {
		return errs.WithHint(errs.New(errs.Conflict, "'%s' changed while it was read", disk.Quote(p.shown)), "Try again.")
	}
	return nil
}

// sendWhole is up to what size a file is held in memory on its way to a remote.
// A larger one is read twice: its digest, which is its name there, comes first.
const sendWhole = 8 << 20

// sendIncoming streams data to a remote.
func (r *Repo) sendIncoming(ctx context.Context, in *incoming, o urlBringing) (*index.Tree, error) {
	store, _, err := r.openRemote(ctx, o.remote)
	if err != nil {
		return nil, err
	}
	defer closeStore(store)
	w, err := store.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	jobs := o.jobs
	if jobs <= 0 {
		jobs = max(1, min(readJobs, store.Properties().Concurrency))
	}
	task := r.Progress.Start("Transferring", int64(len(in.files)), -1)
	defer task.Done()
	digests := make([]object.Digest, len(in.files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i := range in.files {
		g.Go(func() (err error) {
			f := &in.files[i]
			digests[i], err = f.send(gctx, w, r.Alg)
			task.Add(1, max(f.size, 0))
			return f.wrap("", err)
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	got := in.tree(r.Alg, digests)
	if in.isDir {
		// The list of files comes after all of them are there.
		if err := w.Commit(ctx); err != nil {
			return nil, err
		}
		if w, err = store.Begin(ctx); err != nil {
			return nil, err
		}
		defer w.Abort()
		text, _ := got.Files.Encode(r.Alg)
		if err := w.Put(ctx, got.Digest, int64(len(text)), bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	return got, w.Commit(ctx)
}

// send streams one file to a store, under the digest that it turns out to have.
func (f *incomingFile) send(ctx context.Context, w object.Writer, a object.Algorithm) (object.Digest, error) {
	body, size, err := f.read(ctx)
	if err != nil {
		return object.Digest{}, err
	}
	defer func() { body.Close() }()
	if folder, ok := w.(*cache.Writer); ok {
		d, n, err := folder.AddReader(ctx, body, size, a, nil)
		f.size = n
		return d, err
	}
	head, err := io.ReadAll(io.LimitReader(body, sendWhole+1))
	if err != nil {
		return object.Digest{}, err
	}
	if len(head) <= sendWhole {
		if size >= 0 && int64(len(head)) != size {
			return object.Digest{}, errs.New(errs.Corrupt, "%d bytes were announced, but %d came", size, len(head))
		}
		d := object.Sum(a, head)
		f.size = int64(len(head))
		return d, w.Put(ctx, d, f.size, bytes.NewReader(head))
	}
	h := a.New()
	h.Write(head)
	n, err := io.Copy(h, body)
	if err != nil {
		return object.Digest{}, err
	}
	f.size = n + int64(len(head))
	d := object.NewDigest(a, h.Sum(nil), false)
	body.Close()
	if body, _, err = f.read(ctx); err != nil {
		body = io.NopCloser(bytes.NewReader(nil))
		return object.Digest{}, err
	}
	return d, w.Put(ctx, d, f.size, body)
}

// updateURL brings an import of a URL up to date. It returns nil if there was
// nothing to do.
func (r *Repo) updateURL(ctx context.Context, p *importPlan, o UpdateOptions) (*ImportResult, error) {
	d := p.stage.Deps[0]
	pinned := o.Rev
	if !isVersioned(d) {
		pinned = ""
	}
	changed := o.Rev != "" && isVersioned(d)
	if !changed {
		state, err := r.placeState(ctx, d)
		if err != nil {
			return nil, err
		}
		changed = state != ""
	}
	if !changed {
		var err error
		if changed, err = r.importChanged(ctx, p.stage); err != nil {
			return nil, err
		}
	}
	if !changed && !o.ToRemote {
		o.Say("'%s' didn't change, skipping", disk.Quote(r.address(p.stage)))
		return nil, nil
	}
	err := r.bringURL(ctx, p, urlBringing{say: o.Say, noDownload: o.NoDownload, toRemote: o.ToRemote, remote: o.Remote, jobs: o.Jobs, update: true, version: pinned})
	if err != nil {
		return nil, err
	}
	res, err := r.finishImport(ctx, p, true)
	return &res, err
}

// placeState is how what is at a dependency's place differs from what is
// recorded; "" if it does not.
func (r *Repo) placeState(ctx context.Context, d *pipeline.Dep) (string, error) {
	pl, err := r.openDep(ctx, d, true)
	if err != nil {
		return "", err
	}
	defer pl.close()
	s, err := pl.survey(ctx)
	if _, gone := errors.AsType[*missingPlace](err); gone {
		return IsDeleted, nil
	}
	if err != nil {
		return "", err
	}
	if pl.hashKey() != "md5" {
		if !pl.same(&d.Entry, s) {
			return IsModified, nil
		}
		return "", nil
	}
	if d.Digest.IsZero() || d.Digest.IsDir() != s.isDir {
		return IsModified, nil
	}
	if !s.isDir && d.Size >= 0 && s.files[0].size >= 0 && d.Size != s.files[0].size {
		return IsModified, nil
	}
	in, err := pl.incoming(s)
	if err != nil {
		return "", err
	}
	got, err := r.hashIncoming(ctx, in, d.Digest.Algorithm())
	if err != nil {
		return "", err
	}
	if got.Digest != d.Digest {
		return IsModified, nil
	}
	return "", nil
}

// gatherURL lists the data of an import of a URL, as it is pinned or as it is
// now.
func (r *Repo) gatherURL(ctx context.Context, t Target) (*incoming, func(), error) {
	d := t.Stage.Deps[0]
	pl, err := r.openDep(ctx, d, true)
	if err != nil {
		return nil, nil, err
	}
	s, err := pl.pinned(ctx, d)
	if err == nil && t.Out.Digest.IsZero() && pl.hashKey() != "md5" && pl.versioned == nil && !pl.same(&d.Entry, s) {
		err = errs.WithHint(errs.New(errs.NotFound, "'%s' is not what was imported any more", disk.Quote(pl.shown)),
			"Take what is there with: cairn update %s", r.Show(t.Stage.File))
	}
	if err != nil {
		pl.close()
		return nil, nil, err
	}
	in, err := pl.incoming(s)
	if err == nil && t.Under != "" {
		in.keepUnder(t.Under)
	}
	if err != nil {
		pl.close()
		return nil, nil, err
	}
	return in, pl.close, nil
}

// pinned is the survey of what is recorded, for versions, or of what is there.
func (p *place) pinned(ctx context.Context, d *pipeline.Dep) (*survey, error) {
	switch {
	case p.versioned != nil && len(d.Files) > 0:
		s := &survey{isDir: true}
		for _, f := range d.Files {
			s.files = append(s.files, placed{rel: f.RelPath, size: f.Size, meta: remote.Meta{ETag: f.ETag, VersionID: f.VersionID}})
		}
		return s, nil
	case p.versioned != nil && d.VersionID != "":
		return &survey{files: []placed{{size: d.Size, meta: remote.Meta{ETag: d.ETag, VersionID: d.VersionID}}}}, nil
	}
	return p.survey(ctx)
}

// keepUnder leaves the files at and below a path.
func (in *incoming) keepUnder(under string) {
	kept := in.files[:0]
	single := false
	for _, f := range in.files {
		switch {
		case f.path == under:
			f.path, single = "", true
			kept = append(kept, f)
		case strings.HasPrefix(f.path, under+"/"):
			f.path = f.path[len(under)+1:]
			kept = append(kept, f)
		}
	}
	in.files, in.isDir = kept, !single
}
