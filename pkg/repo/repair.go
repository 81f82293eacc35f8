package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
)

// RepairResult tells what was left behind and removed, by path: those of the
// repository as the user would type them, others absolute.
type RepairResult struct {
	Removed []string `json:"removed"`
}

// DefaultLeftoverAge is from when on temporary files of other machines, and of
// DVC, are taken for left behind: their processes cannot be asked for.
const DefaultLeftoverAge = 7 * 24 * time.Hour

// Repair removes what processes that are gone left behind: temporary files and
// folders in the workspace, the cache and remotes that are folders, and notes
// of stages that do not run any more. Of this machine's processes it is known
// whether they live; what others wrote must be older than age.
func (r *Repo) Repair(ctx context.Context, age time.Duration, dry bool) (RepairResult, error) {
	res := RepairResult{Removed: []string{}}
	unlock, err := r.lockOnly(ctx)
	if err != nil {
		return res, err
	}
	defer unlock()
	l := &leftovers{res: &res, before: r.now().Add(-age).UnixNano(), dry: dry}
	stages, err := r.Stages(ctx)
	if err != nil {
		return res, err
	}
	places := []*cache.Cache{r.Cache}
	for _, name := range r.Config.Remotes() {
		cfg, err := r.remoteConfig(name)
		if err != nil || cfg.Scheme != "" {
			continue
		}
		// Opened as a remote it would be cleaned unsaid.
		c := cache.Open(cfg.URL, cache.Options{})
		defer c.Close()
		places = append(places, c)
	}
	inside := map[string]bool{} // places that lie in the repository
	for _, c := range places {
		if rel, err := r.relative(c.Path()); err == nil {
			inside[rel] = true
		}
	}
	if err := l.tree(ctx, r.Dir, ".", r.Show, func(rel string) bool {
		// What lies in data is data, whatever it is called.
		return rel == ".git" || inside[rel] || stages.Find(rel) != nil
	}); err != nil {
		return res, err
	}
	for _, c := range places {
		dir, err := disk.OpenDir(c.Path())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return res, err
		}
		err = l.tree(ctx, dir, ".", func(rel string) string { return path.Join(c.Path(), rel) }, nil)
		dir.Close()
		if err != nil {
			return res, err
		}
	}
	if !dry {
		err = newRWLock(r).edit(ctx, func(*rwState) error { return nil }) // drops what the dead hold
	}
	return res, err
}

type leftovers struct {
	res    *RepairResult
	before int64 // nanoseconds since 1970
	dry    bool
}

// tree removes leftovers below a folder. skip, which may be nil, says which
// folders are not entered.
func (l *leftovers) tree(ctx context.Context, root *disk.Dir, rel string, show func(string) string, skip func(string) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := root.OpenPath(rel)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, disk.ErrLink) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := dir.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range list {
		at := path.Join(rel, e.Name)
		if left, err := l.isLeft(dir, e.Name); err != nil {
			return err
		} else if left {
			l.res.Removed = append(l.res.Removed, show(at))
			if !l.dry {
				if err := dir.RemoveAll(e.Name); err != nil {
					return err
				}
			}
			continue
		}
		if e.Type.IsDir() && (skip == nil || !skip(at)) && !disk.IsTempName(e.Name) {
			if err := l.tree(ctx, root, at, show, skip); err != nil {
				return err
			}
		}
	}
	return nil
}

// isLeft reports whether a name is that of a temporary file whose process is
// gone, as far as one can know.
func (l *leftovers) isLeft(dir *disk.Dir, name string) (bool, error) {
	ours := disk.IsTempName(name)
	if !ours && !isDVCTemp(name) {
		return false, nil
	}
	if ours {
		if dead, known := disk.TempIsDead(name); known {
			return dead, nil
		}
	}
	st, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.MTime < l.before, err
}

// isDVCTemp knows the temporary files that DVC makes next to objects: a dot,
// letters and digits, ".tmp". In the workspace such a name may be the user's,
// so only one as long as DVC makes them counts.
func isDVCTemp(name string) bool {
	mid, ok := strings.CutSuffix(name, ".tmp")
	if !ok || !strings.HasPrefix(mid, ".") {
		return false
	}
	mid = mid[1:]
	return len(mid) == 22 && strings.IndexFunc(mid, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_')
	}) < 0
}
