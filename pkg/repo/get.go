package repo

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// GetOptions of [Get] and [StorageURL].
type GetOptions struct {
	SourceOptions
	Out   string // where to, as typed; "" is the base name of Path
	Force bool   // files at Out may be replaced
	Jobs  int
}

// GetResult tells what Get did.
type GetResult struct {
	Out   string `json:"out"` // as typed
	Files int    `json:"files"`
}

// Get brings a file or folder of a repository to a place on this machine, which
// need not be in a repository, and tracks nothing. The place has all of it or
// nothing.
func Get(ctx context.Context, env Env, o GetOptions) (GetResult, error) {
	out, err := resolveOut(env, o.Path, o.Out, o.Force)
	if err != nil {
		return GetResult{}, err
	}
	if strings.HasSuffix(out, ".dvc") || filepath.Base(out) == "dvc.yaml" {
		return GetResult{}, errs.New(errs.Invalid, "the given path is a DVC file, you must specify a data file or a directory")
	}
	t, err := openTree(ctx, env, o.SourceOptions)
	if err != nil {
		return GetResult{}, err
	}
	defer func() { t.close() }()
	t, rel, err := t.locate(ctx, env)
	if err != nil {
		return GetResult{}, err
	}
	in, err := t.gather(ctx, rel)
	if err != nil {
		return GetResult{}, err
	}
	return land(ctx, env, in, out, o.Jobs)
}

// land brings incoming data to a place.
func land(ctx context.Context, env Env, in *incoming, out string, jobs int) (GetResult, error) {
	dest := out
	if !filepath.IsAbs(dest) {
		dest = filepath.Join(env.Dir, dest)
	}
	l, err := newLanding(env, filepath.Clean(dest))
	if err != nil {
		return GetResult{}, err
	}
	defer l.close()
	if err := l.bring(ctx, in, filepath.ToSlash(out), jobs); err != nil {
		return GetResult{}, err
	}
	return GetResult{Out: out, Files: len(in.files)}, l.place(ctx, in)
}

// StorageURL is where the object of a path is stored, on the remote of the
// repository or, if it has none, in its cache.
func StorageURL(ctx context.Context, env Env, o SourceOptions) (string, error) {
	t, err := openTree(ctx, env, o)
	if err != nil {
		return "", err
	}
	defer func() { t.close() }()
	t, rel, err := t.locate(ctx, env)
	if err != nil {
		return "", err
	}
	n := node{path: rel, dataSize: -1}
	if err := t.statData(ctx, rel, &n); err != nil {
		return "", err
	}
	if !n.hasData || n.out == nil {
		return "", errs.New(errs.NotFound, "unable to find DVC file with output '%s'", disk.Quote(rel))
	}
	if n.digest.IsZero() {
		return "", errs.New(errs.NotFound, "'%s' has no object of its own", disk.Quote(rel))
	}
	use := t.remote
	if n.out.Remote != "" {
		if use, err = t.repo.Config.Remote(n.out.Remote); err != nil {
			return "", err
		}
	}
	base := t.repo.Cache.Path()
	if use != nil {
		base = config.Redact(use.URL)
	} else if t.far != nil && t.far.foreign {
		return "", errs.New(errs.Config, "config file error: no remote specified in %s. Create a default remote with\n    dvc remote add -d <remote name> <remote url>", disk.Quote(t.far.url))
	}
	return strings.TrimRight(base, "/") + "/" + n.digest.Key(), nil
}
