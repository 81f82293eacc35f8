package repo

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// GetURLOptions of [GetURL].
type GetURLOptions struct {
	URL      string // or a path of this machine
	Out      string // where to, as typed; "" is the last name of URL
	Force    bool   // files at Out may be replaced
	Jobs     int
	FSConfig map[string]string // options for the URL
}

// PathMissingError says that nothing is at a URL.
type PathMissingError struct{ URL string }

func (e *PathMissingError) Error() string {
	return "The path '" + disk.Quote(e.URL) + "' does not exist"
}

// Unwrap makes it an absence.
func (e *PathMissingError) Unwrap() error { return errs.New(errs.NotFound, "no such path") }

// GetURL brings what a URL or path names to a place on this machine, which has
// all of it in the end or nothing.
func GetURL(ctx context.Context, env Env, o GetURLOptions) (GetResult, error) {
	out, err := resolveOut(env, o.URL, o.Out, o.Force)
	if err != nil {
		return GetResult{}, err
	}
	p, err := env.placeHere(ctx, o.URL, o.FSConfig)
	if err != nil {
		return GetResult{}, err
	}
	defer p.close()
	s, err := p.surveyed(ctx, o.URL)
	if err != nil {
		return GetResult{}, err
	}
	in, err := p.incoming(s)
	if err != nil {
		return GetResult{}, err
	}
	return land(ctx, env, in, out, o.Jobs)
}

// placeHere prepares to look at a URL with the remotes of the repository that
// the working directory is in, if it is in one.
func (e Env) placeHere(ctx context.Context, raw string, fsConfig map[string]string) (*place, error) {
	root, err := FindRoot(e.Dir)
	if err != nil {
		root = ""
	}
	cfg, err := config.Load(e.ConfigOptions(root))
	if err != nil {
		return nil, err
	}
	return e.openPlace(ctx, cfg, raw, e.Dir, placeOptions{fsConfig: fsConfig})
}

func (p *place) surveyed(ctx context.Context, typed string) (*survey, error) {
	s, err := p.survey(ctx)
	if _, gone := errors.AsType[*missingPlace](err); gone {
		return nil, &PathMissingError{config.Redact(typed)}
	}
	return s, err
}

// ListURLOptions of [ListURL] and [ListURLTree].
type ListURLOptions struct {
	URL       string // or a path of this machine
	Recursive bool
	Level     int // how deep folders are entered; below 0 it is no limit
	FSConfig  map[string]string
}

// ListURL lists what is at a URL or path: of a folder what is in it, files first,
// else the path itself.
func ListURL(ctx context.Context, env Env, o ListURLOptions) ([]ListEntry, error) {
	p, err := env.placeHere(ctx, o.URL, o.FSConfig)
	if err != nil {
		return nil, err
	}
	defer p.close()
	s, err := p.surveyed(ctx, o.URL)
	if gone, ok := errors.AsType[*PathMissingError](err); ok && p.backend == nil {
		return nil, errs.New(errs.NotFound, "%w: [Errno 2] No such file or directory: '%s'", gone, disk.Quote(p.fullName(env, o.URL)))
	}
	if err != nil {
		return nil, err
	}
	if !s.isDir || o.Level == 0 {
		return []ListEntry{{Path: p.fullName(env, o.URL), IsDir: false}}, nil
	}
	depth := 1
	if o.Recursive {
		depth = o.Level
	}
	return flatten(p.topEntry(s, o.URL), depth), nil
}

// ListURLTree is ListURL as a tree.
func ListURLTree(ctx context.Context, env Env, o ListURLOptions) (ListEntry, error) {
	p, err := env.placeHere(ctx, o.URL, o.FSConfig)
	if err != nil {
		return ListEntry{}, err
	}
	defer p.close()
	s, err := p.surveyed(ctx, o.URL)
	if err != nil {
		return ListEntry{}, err
	}
	top := p.topEntry(s, o.URL)
	prune(&top, o.Level)
	return top, nil
}

// fullName is what DVC calls a single file.
func (p *place) fullName(env Env, typed string) string {
	if p.backend == nil {
		if filepath.IsAbs(typed) || strings.Contains(typed, "://") {
			return p.abs
		}
		return strings.TrimSuffix(env.Dir, "/") + "/" + typed
	}
	_, rest, _ := strings.Cut(p.address, "://")
	switch p.scheme {
	case "s3", "gs", "azure":
		return rest
	case "ssh":
		return rest[max(0, strings.IndexByte(rest, '/')):]
	case "http", "https":
		return config.Redact(p.address)
	}
	return config.Redact(typed)
}

// topEntry arranges what lies at a place as folders in folders.
func (p *place) topEntry(s *survey, typed string) ListEntry {
	top := ListEntry{Path: config.Redact(typed), IsDir: s.isDir}
	if !s.isDir {
		top.Size = known(s.files[0].size)
		return top
	}
	for _, f := range s.files {
		at := &top
		dir, name := path.Split(f.rel)
		for part := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
			if part != "" {
				at = at.folder(part)
			}
		}
		at.Contents = append(at.Contents, ListEntry{Path: name, Size: known(f.size), IsExec: f.exec})
	}
	top.sortContents()
	return top
}

func known(size int64) *int64 {
	if size < 0 {
		return nil
	}
	return &size
}

func (e *ListEntry) folder(name string) *ListEntry {
	for i := len(e.Contents) - 1; i >= 0; i-- {
		if c := &e.Contents[i]; c.IsDir && c.Path == name {
			return c
		}
	}
	e.Contents = append(e.Contents, ListEntry{Path: name, IsDir: true})
	return &e.Contents[len(e.Contents)-1]
}

func (e *ListEntry) sortContents() {
	sort.Slice(e.Contents, func(i, j int) bool { return e.Contents[i].Path < e.Contents[j].Path })
	for i := range e.Contents {
		e.Contents[i].sortContents()
	}
}

// flatten lists files, then folders or what is in them, down to a depth; below 0
// it is no limit.
func flatten(e ListEntry, depth int) []ListEntry {
	var list []ListEntry
	for _, c := range e.Contents {
		if !c.IsDir {
			list = append(list, c)
		}
	}
	for _, c := range e.Contents {
		if !c.IsDir {
			continue
		}
		if depth == 1 {
			list = append(list, c)
			continue
		}
		for _, sub := range flatten(c, depth-1) {
			sub.Path = c.Path + "/" + sub.Path
			list = append(list, sub)
		}
	}
	return list
}

// prune empties the folders below a depth; below 0 it is no limit.
func prune(e *ListEntry, depth int) {
	if depth == 0 {
		e.Contents = nil
	}
	for i := range e.Contents {
		prune(&e.Contents[i], depth-1)
	}
}
