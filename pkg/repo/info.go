package repo

import (
	"context"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/remote"
)

// InfoLine is one fact about a repository.
type InfoLine struct{ Name, Value string }

// Info describes the repository, for people and bug reports.
func (r *Repo) Info() []InfoLine {
	lines := []InfoLine{
		{"Cache directory", r.Cache.Path()},
		{"Hash", r.Alg.Name()},
	}
	var remotes []string
	for _, name := range r.Config.Remotes() {
		if c, err := r.Config.Remote(name); err == nil {
			remotes = append(remotes, orLocal(remote.Scheme(c.URL)))
		}
	}
	lines = append(lines, InfoLine{"Remotes", orNone(strings.Join(remotes, ", "))}, InfoLine{"Workspace directory", r.Root})
	in := "dvc (no_scm)"
	if r.Git != nil {
		in = "dvc, git"
		if r.Git.Root() != r.Root {
			in = "dvc (subdir), git"
		}
	}
	lines = append(lines, InfoLine{"Repo", in})
	for _, risk := range config.RiskyProjectOptions(r.Config) {
		lines = append(lines, InfoLine{"Mind", disk.Quote(risk.Key) + " in " + risk.File + " " + risk.Reason})
	}
	return lines
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

func orLocal(scheme string) string {
	if scheme == "" {
		return "local"
	}
	return scheme
}

// TargetNames are the names that a target may have, as seen from the working
// directory.
func (r *Repo) TargetNames(ctx context.Context) ([]string, error) {
	s, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	return r.names(s), nil
}

// DataAt returns the absolute path of the out that a path lies in or is, as
// tracked in the repository around env.Dir, or of the repository's own folder
// .dvc. "" is neither, or no repository.
func DataAt(ctx context.Context, env Env, abs string) (string, error) {
	r, err := Open(env)
	if errs.Is(err, errs.NotInRepo) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	rel, err := r.relative(abs)
	if err != nil {
		return "", err
	}
	if rel == dvcDir || strings.HasPrefix(rel, dvcDir+"/") {
		return r.abs(dvcDir), nil
	}
	stages, err := r.Stages(ctx)
	if err != nil {
		return "", err
	}
	if t := stages.Find(rel); t != nil {
		return r.abs(t.Out.RepoPath()), nil
	}
	return "", nil
}

// StageNames are the names of the pipeline's stages.
func (r *Repo) StageNames(ctx context.Context) ([]string, error) {
	s, err := r.Stages(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, st := range s.All {
		if !st.IsPointer() {
			names = append(names, r.address(st))
		}
	}
	return names, nil
}

// RevNames are the branches and tags.
func (r *Repo) RevNames() ([]string, error) {
	if r.Git == nil {
		return nil, errs.New(errs.Unsupported, "no Git")
	}
	branches, err := r.Git.Branches()
	if err != nil {
		return nil, err
	}
	tags, err := r.Git.Tags()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, ref := range append(branches, tags...) {
		names = append(names, ref.Name)
	}
	return names, nil
}

// Env is the world the repository was opened in.
func (r *Repo) Env() Env { return r.env }
