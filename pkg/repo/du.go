package repo

import (
	"context"
	"path"

	"github.com/cairndata/cairn/pkg/object"
)

// DiskUsageOptions of [DiskUsage].
type DiskUsageOptions struct {
	SourceOptions
	Summarize bool // the total only
}

// Usage is how much a path takes.
type Usage struct {
	Path  string `json:"path"` // "" for the repository
	Bytes int64  `json:"size"`
}

// DiskUsage adds up what each entry of a folder holds, in bytes, whether it is
// in the workspace or not; the last is the total. Pipeline and pointer files
// do not count.
func DiskUsage(ctx context.Context, env Env, o DiskUsageOptions) ([]Usage, error) {
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
	if o.Summarize || !top.isDir() {
		n, err := t.usage(ctx, top)
		return []Usage{{o.Path, n}}, err
	}
	nodes, err := t.list(ctx, rel, false, false)
	if err != nil {
		return nil, err
	}
	var list []Usage
	var sum int64
	for _, n := range nodes {
		used, err := t.usage(ctx, n)
		if err != nil {
			return nil, err
		}
		sum += used
		list = append(list, Usage{path.Join(o.Path, path.Base(n.path)), used})
	}
	return append(list, Usage{o.Path, sum}), nil
}

// usage is what a path and all below it hold.
func (t *tree) usage(ctx context.Context, top node) (int64, error) {
	var sum int64
	var ask []object.Digest // files whose size only the cache may know
	todo := []node{top}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		size := n.size()
		switch {
		case n.isDir() && (n.hasFile || size < 0):
			nodes, err := t.list(ctx, n.path, false, false)
			if err != nil {
				return 0, err
			}
			todo = append(todo, nodes...)
		case size < 0 && !n.digest.IsZero():
			ask = append(ask, n.digest)
		default:
			sum += max(size, 0)
		}
	}
	if len(ask) == 0 {
		return sum, nil
	}
	have, err := t.repo.Cache.Has(ctx, ask)
	for _, d := range ask {
		sum += have[d].Size
	}
	return sum, err
}
