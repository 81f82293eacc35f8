package repo

import (
	"context"
	"path"
	"path/filepath"
	"sort"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// ListOptions of [List] and [ListTree].
type ListOptions struct {
	SourceOptions
	Recursive bool // files of all folders; of List only
	DataOnly  bool // only what stages record
	// Level limits how deep folders are entered; below 0 it is no limit.
	Level int
}

// ListEntry is a file or folder of a repository. Its JSON is DVC's; a BLAKE3
// digest has a key of its own.
type ListEntry struct {
	IsOut  bool    `json:"isout"`
	IsDir  bool    `json:"isdir"`
	IsExec bool    `json:"isexec"`
	Size   *int64  `json:"size"` // bytes; nil if not known
	MD5    *string `json:"md5"`
	BLAKE3 string  `json:"blake3,omitempty"`
	Path   string  `json:"path"`

	Contents []ListEntry `json:"-"` // of a folder in a tree, sorted by name
}

// Hash is the recorded digest, "" if there is none.
func (e *ListEntry) Hash() string {
	if e.MD5 != nil {
		return *e.MD5
	}
	return e.BLAKE3
}

func (n *node) entry(shown string) ListEntry {
	e := ListEntry{IsOut: n.isOut, IsDir: n.isDir(), IsExec: n.exec, Path: shown}
	if s := n.size(); s >= 0 {
		e.Size = &s
	}
	sum := n.digest.String()
	switch n.digest.Algorithm() {
	case object.MD5, object.MD5Legacy:
		e.MD5 = &sum
	case object.BLAKE3:
		e.BLAKE3 = sum
	}
	return e
}

// List lists a folder of a repository, or one file: what Git or the workspace
// has and what stages record, sorted by path. Paths are relative to the
// folder that is listed.
func List(ctx context.Context, env Env, o ListOptions) ([]ListEntry, error) {
	if o.Recursive && o.Level < -1 {
		return nil, errs.New(errs.Invalid, "maxdepth must be at least 1")
	}
	t, err := openTree(ctx, env, o.SourceOptions)
	if err != nil {
		return nil, err
	}
	defer func() { t.close() }()
	t, rel, err := t.locate(ctx, env)
	if err != nil {
		return nil, err
	}
	top, err := t.stat(ctx, rel)
	if err != nil {
		return nil, err
	}
	if !top.isDir() || o.Recursive && o.Level == 0 {
		return []ListEntry{top.entry(path.Base(orDot(o.Path)))}, nil
	}
	l := lister{t: t, o: o, base: t.shownFrom(env, rel)}
	err = l.folder(ctx, rel, 1)
	sort.Slice(l.list, func(i, j int) bool { return l.list[i].Path < l.list[j].Path })
	return l.list, err
}

// shownFrom is the folder that paths are relative to: the one that is listed
// or, where none was named, the working directory.
func (t *tree) shownFrom(env Env, rel string) string {
	if t.opts.Path != "" || t.opts.Here || !t.live {
		return rel
	}
	cwd, err := filepath.Rel(t.root, env.Dir)
	if cwd = filepath.ToSlash(cwd); err != nil || outOfRoot(cwd) {
		return rel
	}
	return cwd
}

type lister struct {
	t    *tree
	o    ListOptions
	base string
	list []ListEntry
}

// folder adds what is in a folder, the depth-th from the top.
func (l *lister) folder(ctx context.Context, rel string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	nodes, err := l.t.list(ctx, rel, l.o.DataOnly, true)
	if err != nil {
		return err
	}
	from, err := filepath.Rel(filepath.FromSlash(l.base), filepath.FromSlash(rel))
	if err != nil {
		return err
	}
	enter := l.o.Recursive && (l.o.Level < 0 || depth < l.o.Level)
	for i := range nodes {
		n := &nodes[i]
		if n.isDir() && enter {
			if err := l.folder(ctx, n.path, depth+1); err != nil {
				return err
			}
			continue
		}
		l.list = append(l.list, n.entry(filepath.Join(from, path.Base(n.path))))
	}
	return nil
}

// ListTree is List with each folder's content in its entry. The one entry it
// returns is that of the path.
func ListTree(ctx context.Context, env Env, o ListOptions) (ListEntry, error) {
	t, err := openTree(ctx, env, o.SourceOptions)
	if err != nil {
		return ListEntry{}, err
	}
	defer func() { t.close() }()
	t, rel, err := t.locate(ctx, env)
	if err != nil {
		return ListEntry{}, err
	}
	top, err := t.stat(ctx, rel)
	if err != nil {
		return ListEntry{}, err
	}
	e := top.entry(orDot(o.Path))
	return e, t.fill(ctx, &e, rel, o, 0)
}

// fill adds the content of a folder to its entry.
func (t *tree) fill(ctx context.Context, e *ListEntry, rel string, o ListOptions, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !e.IsDir || o.Level != -1 && depth >= o.Level {
		return nil
	}
	nodes, err := t.list(ctx, rel, o.DataOnly, true)
	if err != nil {
		return err
	}
	for i := range nodes {
		sub := nodes[i].entry(path.Base(nodes[i].path))
		if err := t.fill(ctx, &sub, nodes[i].path, o, depth+1); err != nil {
			return err
		}
		e.Contents = append(e.Contents, sub)
	}
	return nil
}
