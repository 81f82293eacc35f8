package repo

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/probe"
)

// ScratchRemote is a place of its own on one of the user's remotes, which other
// repositories are given as theirs, to measure it for instance. Remove removes
// it.
type ScratchRemote struct {
	Name string // of the user's remote
	URL  string // of that, without secrets
	Hash object.Algorithm

	r      *Repo
	cfg    *config.Remote
	folder string   // of a remote that is a folder of this machine
	made   []string // folders that did not exist before
	name   string
}

// scratchRemoteTime bounds the removal: it also happens after Ctrl-C.
const scratchRemoteTime = 5 * time.Minute

// ScratchRemote finds a place on a remote, "" is the default one, and writes
// nothing yet. A remote that cannot list what it has is errs.Unsupported: what
// others write there could not be found again.
func (r *Repo) ScratchRemote(ctx context.Context, name string) (*ScratchRemote, error) {
	cfg, err := r.remoteConfig(name)
	if err != nil {
		return nil, err
	}
	s := &ScratchRemote{Name: cfg.Name, URL: config.Redact(cfg.URL), Hash: r.Config.Core.Hash, r: r, cfg: cfg, name: probe.ScratchName()}
	if scheme := remote.Scheme(cfg.URL); scheme == "" || scheme == "file" {
		env := r.remoteEnv()
		env.Local = func(dir string, shared bool) (object.Store, error) {
			s.folder = dir
			return cache.Open(dir, cache.Options{Shared: shared}), nil
		}
		store, err := remote.Open(ctx, remoteSettings(cfg), env)
		if err != nil {
			return nil, err
		}
		closeStore(store)
		s.made = missingDirs(s.folder)
		return s, nil
	}
	b, err := remote.OpenBackend(ctx, remoteSettings(cfg), r.remoteEnv())
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Properties().ListPrice == 0 {
		return nil, errs.New(errs.Unsupported, "remote %q at %s cannot list what it has, so what a benchmark writes there could not be removed", cfg.Name, s.URL)
	}
	return s, nil
}

// Place is the scratch place's name below the remote's URL.
func (s *ScratchRemote) Place() string { return s.name }

// Configure makes what lies below a name in the scratch place the default
// remote of the repository in dir. All options come along, each at the level
// that it has in the user's repository: what somebody else has committed must
// not become what the user has said.
func (s *ScratchRemote) Configure(dir, name string) error {
	const as = "scratch"
	url := strings.TrimSuffix(s.cfg.URL, "/") + "/" + s.name + "/" + name
	if s.folder != "" {
		url = filepath.Join(s.folder, s.name, name)
	}
	levelOf := func(option string) config.Level {
		if l, ok := s.cfg.Levels[option]; ok && l == config.Project {
			return config.Project
		}
		return config.Local
	}
	o := config.LoadOptions{DvcDir: filepath.Join(dir, ".dvc"), Dir: dir}
	for _, level := range []config.Level{config.Project, config.Local} {
		ed, err := config.Open(o, level)
		if err != nil {
			return err
		}
		if level == levelOf("url") {
			if err := ed.Set(config.RemoteKey(as, "url"), url); err != nil {
				return err
			}
		}
		for option, value := range s.cfg.Options {
			if option == "url" || levelOf(option) != level {
				continue
			}
			if err := ed.Set(config.RemoteKey(as, option), value); err != nil {
				return err
			}
		}
		if level == config.Local {
			if err := ed.Set(config.Key{Section: "core", Option: "remote"}, as); err != nil {
				return err
			}
		}
		if err := ed.Save(); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes all that is in the scratch place, also after ctx has ended. A
// bucket that keeps versions keeps those.
func (s *ScratchRemote) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scratchRemoteTime)
	defer cancel()
	err := s.remove(ctx)
	return errs.WithHint(err, "Please delete %s below %s.", s.name, s.URL)
}

func (s *ScratchRemote) remove(ctx context.Context) error {
	if s.folder != "" {
		return removeScratch(s.folder, s.name, s.made)
	}
	b, err := remote.OpenBackend(ctx, remoteSettings(s.cfg), s.r.remoteEnv())
	if err != nil {
		return err
	}
	defer b.Close()
	return probe.Remove(ctx, b, s.name)
}
