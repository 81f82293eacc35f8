package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// place is where data lie under their own names: a path of this machine, or
// what a URL names in a bucket or on a server.
type place struct {
	shown   string // for messages, without credentials
	address string // with the remote's in place of its name
	scheme  string // "" is this machine
	abs     string // a path of this machine

	backend   remote.Backend
	key       string // below the backend's URL; "" is all of it
	versioned remote.Versioned
	version   string // one version of a file, "" is the latest
}

// placed is a file at a place.
type placed struct {
	rel  string // relative to the place; "" is the place itself
	size int64  // bytes; -1 if not known
	exec bool
	meta remote.Meta
}

// survey is what lies at a place now.
type survey struct {
	isDir bool
	files []placed
}

// placeOptions say how a place is reached.
type placeOptions struct {
	fsConfig  map[string]string // options in place of those of a remote
	committed bool              // fsConfig comes from a file that Git has
}

// openPlace prepares to look at a URL or path. base is where relative paths
// start. Nothing is asked of the other side. The caller closes it.
func (e Env) openPlace(ctx context.Context, cfg *config.Config, raw, base string, o placeOptions) (*place, error) {
	p := &place{shown: config.Redact(raw), scheme: remote.Scheme(raw)}
	use := remote.Config{Name: p.shown, URL: raw, Options: map[string]string{}}
	levels := map[string]config.Level{}
	if p.scheme == "remote" {
		found, err := remoteOfURL(cfg, raw)
		if err != nil {
			return nil, err
		}
		use.Name, use.URL, use.Jobs = found.Name, found.URL, found.Jobs
		for k, v := range found.Options {
			use.Options[k] = v
		}
		for k, l := range found.Levels {
			levels[k] = l
		}
		p.scheme = remote.Scheme(use.URL)
	}
	p.address = use.URL
	versions := false
	for k, v := range o.fsConfig {
		if k == "version_aware" {
			versions = strings.EqualFold(v, "true")
			continue
		}
		use.Options[k] = v
		if delete(levels, k); o.committed {
			levels[k] = config.Project
		}
	}
	for _, k := range []string{"version_aware", "worktree"} {
		if use.Options[k] == "true" && k == "version_aware" {
			versions = true
		}
		delete(use.Options, k)
	}
	use.Committed = func(k string) bool { l, ok := levels[k]; return ok && l == config.Project }
	if p.scheme == "" || p.scheme == "file" {
		return p, p.setPath(use, base)
	}
	return p, p.open(ctx, e, use, versions)
}

// remoteOfURL is the remote that remote://name/path names, with the path.
func remoteOfURL(cfg *config.Config, raw string) (*config.Remote, error) {
	_, rest, _ := strings.Cut(raw, "://")
	name, sub, _ := strings.Cut(rest, "/")
	if cfg == nil {
		return nil, errs.New(errs.Config, "config file error: remote '%s' doesn't exist", disk.Quote(name))
	}
	r, err := cfg.Remote(name)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			err = &errs.Error{Kind: errs.Config, Hint: errs.HintOf(err), Err: errors.New("config file error: remote '" + disk.Quote(name) + "' doesn't exist")}
		}
		return nil, err
	}
	joined := *r
	if sub = strings.TrimLeft(sub, "/"); sub != "" {
		joined.URL = strings.TrimRight(r.URL, "/") + "/" + sub
	}
	return &joined, nil
}

// setPath makes it a path of this machine.
func (p *place) setPath(use remote.Config, base string) error {
	at := use.URL
	if p.scheme == "file" {
		u, err := url.Parse(at)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return errs.New(errs.Invalid, "'%s' is not of the form file:///path", disk.Quote(p.shown))
		}
		at = filepath.FromSlash(u.Path)
	}
	if len(use.Options) > 0 {
		for k := range use.Options {
			switch k {
			case "type", "shared", "slow_link_warning", "verify", "protected", "jobs", "checksum_jobs", "no_traverse":
			default:
				return errs.New(errs.Config, "config file error: extra keys not allowed @ data['%s']", k)
			}
		}
	}
	if strings.ContainsRune(at, 0) {
		return errs.New(errs.Invalid, "path %q holds a NUL byte", at)
	}
	p.scheme = ""
	if !filepath.IsAbs(at) {
		at = filepath.Join(base, filepath.FromSlash(at))
	}
	p.abs = filepath.Clean(at)
	return nil
}

// open opens the folder above, in a bucket or on a server: what the URL names
// may be a file.
func (p *place) open(ctx context.Context, e Env, use remote.Config, versions bool) error {
	top, key := splitURL(use.URL)
	if v, rest, ok := cutVersion(p.scheme, top, key); ok {
		p.version, top, key, versions = v, rest[0], rest[1], true
	}
	use.URL, p.key = top, key
	if p.key != "" {
		if err := remote.CheckKey(p.key); err != nil {
			return errs.New(errs.Invalid, "'%s' cannot be looked up: %w", disk.Quote(p.shown), err)
		}
	}
	var err error
	p.backend, err = remote.OpenBackend(ctx, use, remote.Env{Getenv: e.Getenv, Home: e.Home, Prompt: e.Prompt, Phases: e.Phases})
	if err != nil {
		if errs.Is(err, errs.Unsupported) && errs.HintOf(err) != "" {
			err = errs.WithHint(errs.New(errs.Config, "config file error: Unsupported URL type %s://", p.scheme), "%s", errs.HintOf(err))
		}
		return err
	}
	if !versions {
		return nil
	}
	v, ok := remote.As[remote.Versioned](p.backend)
	if !ok {
		return errs.New(errs.Unsupported, "'%s' keeps no versions: only buckets of S3, Google and Azure do", disk.Quote(p.shown))
	}
	p.versioned = v
	return nil
}

// splitURL takes the last name off a URL. Of a bucket or host alone nothing is
// taken.
func splitURL(raw string) (top, key string) {
	scheme, rest, _ := strings.Cut(raw, "://")
	query := ""
	if s := strings.ToLower(scheme); s == "http" || s == "https" {
		if i := strings.IndexByte(rest, '?'); i >= 0 {
			rest, query = rest[:i], rest[i:]
		}
	}
	rest = strings.TrimRight(rest, "/")
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return raw, ""
	}
	key = rest[i+1:]
	switch strings.ToLower(scheme) {
	case "http", "https", "webdav", "webdavs":
		if plain, err := url.PathUnescape(key); err == nil {
			key = plain
		}
	}
	top = scheme + "://" + rest[:i]
	if strings.ToLower(scheme) == "ssh" && !strings.Contains(rest[:i], "/") {
		top += "/"
	}
	return top + query, key
}

// cutVersion finds the version id in a URL of a bucket.
func cutVersion(scheme, top, key string) (version string, rest [2]string, ok bool) {
	name, sep := "", "?"
	switch scheme {
	case "s3":
		name = "versionId="
	case "azure":
		name = "versionid="
	case "gs":
		name, sep = "", "#"
	default:
		return "", rest, false
	}
	before, after, found := strings.Cut(key, sep)
	if !found || !strings.HasPrefix(strings.ToLower(after), strings.ToLower(name)) || before == "" {
		return "", rest, false
	}
	return after[len(name):], [2]string{top, before}, true
}

func (p *place) close() {
	if p.backend != nil {
		_ = p.backend.Close()
	}
}

// missing is the failure to find anything at a place.
type missingPlace struct{ shown string }

func (e *missingPlace) Error() string {
	return fmt.Sprintf("dependency '%s' does not exist", disk.Quote(e.shown))
}

// Unwrap makes it an absence.
func (e *missingPlace) Unwrap() error {
	return errs.New(errs.NotFound, "dependency '%s' does not exist", disk.Quote(e.shown))
}

// survey looks at what lies there.
func (p *place) survey(ctx context.Context) (*survey, error) {
	if p.backend == nil {
		return p.surveyPath(ctx)
	}
	if p.key != "" {
		f, err := p.describe(ctx, p.key)
		if err == nil {
			return &survey{files: []placed{f}}, nil
		}
		if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Invalid) {
			return nil, err
		}
	}
	return p.surveyFolder(ctx)
}

// describe asks for one file.
func (p *place) describe(ctx context.Context, key string) (placed, error) {
	var e remote.Entry
	var err error
	d, ok := remote.As[remote.Describer](p.backend)
	switch {
	case p.versioned != nil && p.version != "":
		e, err = p.versioned.DescribeVersion(ctx, key, p.version)
	case ok:
		e, err = d.Describe(ctx, key)
	default:
		e.Size, err = p.backend.Stat(ctx, key)
	}
	return placed{size: e.Size, meta: e.Meta}, err
}

// surveyFolder lists what lies below a key.
func (p *place) surveyFolder(ctx context.Context) (*survey, error) {
	if p.scheme == "http" || p.scheme == "https" {
		return nil, &missingPlace{p.shown} // a web server lists nothing
	}
	prefix := ""
	if p.key != "" {
		prefix = p.key + "/"
	}
	list := p.backend.List(ctx, prefix)
	if p.versioned != nil {
		list = p.versioned.ListVersions(ctx, prefix)
	}
	s := &survey{isDir: true}
	for e, err := range list {
		if errs.Is(err, errs.NotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		rel := strings.TrimPrefix(e.Key, prefix)
		if rel == "" || strings.HasSuffix(rel, "/") {
			continue // what stands for an empty folder
		}
		s.files = append(s.files, placed{rel: rel, size: e.Size, meta: e.Meta})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.files) == 0 {
		return nil, &missingPlace{p.shown}
	}
	sort.Slice(s.files, func(i, j int) bool { return s.files[i].rel < s.files[j].rel })
	return s, p.fillMeta(ctx, s)
}

// fillMeta asks for what a listing did not tell.
func (p *place) fillMeta(ctx context.Context, s *survey) error {
	if p.hashKey() == "md5" {
		return nil
	}
	for i := range s.files {
		f := &s.files[i]
		if p.token(f.meta) != "" {
			continue
		}
		got, err := p.describe(ctx, p.keyOf(f.rel))
		if err != nil {
			return err
		}
		f.meta, f.size = got.meta, got.size
	}
	return nil
}

func (p *place) keyOf(rel string) string {
	if p.key == "" {
		return rel
	}
	return path.Join(p.key, rel)
}

// surveyPath looks at a path of this machine. Links in a folder are followed
// within it; one to a folder is left out, as in a folder that is added.
func (p *place) surveyPath(ctx context.Context) (*survey, error) {
	st, err := os.Stat(p.abs)
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return nil, &missingPlace{p.shown}
	}
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		if !st.Mode().IsRegular() {
			return nil, errs.New(errs.Invalid, "'%s' is not a file or directory", disk.Quote(p.shown))
		}
		return &survey{files: []placed{{size: st.Size(), exec: st.Mode()&0o111 != 0, meta: remote.Meta{ModTime: st.ModTime()}}}}, nil
	}
	top, err := filepath.EvalSymlinks(p.abs)
	if err != nil {
		return nil, err
	}
	s := &survey{isDir: true}
	err = filepath.WalkDir(top, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(top, at)
		if err != nil || d.IsDir() {
			return err
		}
		rel = filepath.ToSlash(rel)
		st, err := os.Stat(at)
		switch {
		case err != nil:
			return fmt.Errorf("'%s': %w", disk.Quote(rel), err)
		case st.IsDir():
			return nil // a link to a folder
		case !st.Mode().IsRegular():
			return errs.New(errs.Invalid, "'%s' is not a plain file", disk.Quote(rel))
		}
		s.files = append(s.files, placed{rel: rel, size: st.Size(), meta: remote.Meta{ModTime: st.ModTime()}})
		return nil
	})
	return s, err
}

// read opens one file of a place.
func (p *place) read(ctx context.Context, f placed) (io.ReadCloser, int64, error) {
	if p.backend == nil {
		return p.readPath(f)
	}
	key := p.keyOf(f.rel)
	if f.rel == "" {
		key = p.key
	}
	if v := f.meta.VersionID; p.versioned != nil && v != "" {
		return p.versioned.OpenVersion(ctx, key, v, 0, -1)
	}
	return p.backend.Open(ctx, key, 0, -1)
}

func (p *place) readPath(f placed) (io.ReadCloser, int64, error) {
	at, err := filepath.EvalSymlinks(p.abs)
	if err == nil && f.rel != "" {
		top := at
		if at, err = filepath.EvalSymlinks(filepath.Join(top, filepath.FromSlash(f.rel))); err == nil {
			if in, rerr := filepath.Rel(top, at); rerr != nil || outOfRoot(filepath.ToSlash(in)) {
				return nil, 0, errs.WithHint(errs.New(errs.Invalid, "'%s' is a symbolic link that leads out of the folder", disk.Quote(f.rel)),
					"Put the file in the place of the link.")
			}
		}
	}
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(at)
	if err != nil {
		return nil, 0, err
	}
	st, err := file.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errs.New(errs.Invalid, "'%s' is not a plain file", disk.Quote(at))
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, st.Size(), nil
}

// incoming is a survey as data to be brought.
func (p *place) incoming(s *survey) (*incoming, error) {
	in := &incoming{isDir: s.isDir, files: make([]incomingFile, len(s.files))}
	for i, f := range s.files {
		in.files[i] = incomingFile{path: f.rel, size: f.size, open: func(ctx context.Context) (io.ReadCloser, int64, error) { return p.read(ctx, f) }}
	}
	return in, in.check()
}

// hashKey is how DVC calls what it records of content at such a place.
func (p *place) hashKey() string {
	switch p.scheme {
	case "s3", "gs", "azure", "webdav", "webdavs":
		return "etag"
	case "http", "https":
		return "checksum"
	}
	return "md5"
}

// token is what is recorded of one file in place of a digest, as DVC writes it.
func (p *place) token(m remote.Meta) string {
	switch p.scheme {
	case "http", "https":
		return m.Checksum
	case "webdav", "webdavs":
		if m.ETag != "" && !strings.HasPrefix(m.ETag, "W/") {
			return `"` + m.ETag + `"`
		}
	}
	return remote.RecordedETag(p.scheme, m.ETag)
}

// record is what a pointer file or lock says of what a survey found, of a place
// whose content is not hashed. The path and options stay.
func (p *place) record(e *pipeline.Entry, s *survey) {
	*e = pipeline.Entry{Path: e.Path, FSConfig: e.FSConfig, Size: -1, NFiles: -1}
	if !s.isDir {
		f := s.files[0]
		e.Size = f.size
		p.recordFile(e, f)
		return
	}
	if p.versioned != nil {
		e.Files = make([]pipeline.FileEntry, len(s.files))
		for i, f := range s.files {
			fe := pipeline.FileEntry{RelPath: f.rel, Entry: pipeline.Entry{Size: f.size, NFiles: -1}}
			p.recordFile(&fe.Entry, f)
			e.Files[i] = fe
		}
		return
	}
	e.Size, e.NFiles, e.Digest = 0, len(s.files), p.folderToken(s)
	for _, f := range s.files {
		e.Size += max(f.size, 0)
	}
}

func (p *place) recordFile(e *pipeline.Entry, f placed) {
	if p.hashKey() == "checksum" {
		e.Checksum = p.token(f.meta)
	} else {
		e.ETag = p.token(f.meta)
	}
	// Of a single file DVC always records the version, if the bucket says it.
	e.VersionID = f.meta.VersionID
}

// folderToken is the digest of the list of a folder's tokens.
func (p *place) folderToken(s *survey) object.Digest {
	list := make([]any, len(s.files))
	for i, f := range s.files {
		list[i] = yamlfmt.NewMap(p.hashKey(), p.token(f.meta), "relpath", f.rel)
	}
	return object.Sum(object.MD5, yamlfmt.JSON(list, true)).AsDir()
}

// same reports whether a survey found what is recorded, of a place whose content
// is not hashed.
func (p *place) same(e *pipeline.Entry, s *survey) bool {
	now := pipeline.Entry{Path: e.Path}
	p.record(&now, s)
	if len(e.Files) > 0 || len(now.Files) > 0 {
		if len(e.Files) != len(now.Files) {
			return false
		}
		for i := range now.Files {
			a, b := &e.Files[i], &now.Files[i]
			if a.RelPath != b.RelPath || a.ETag != b.ETag || a.VersionID != b.VersionID {
				return false
			}
		}
		return true
	}
	if p.versioned != nil && e.VersionID != "" && now.VersionID != "" && e.VersionID != now.VersionID {
		return false
	}
	known := e.ETag != "" || e.Checksum != "" || !e.Digest.IsZero()
	return known && e.ETag == now.ETag && e.Checksum == now.Checksum && e.Digest == now.Digest
}
