package cli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/repo"
)

// Repo opens the repository around the working directory. The verb closes it.
func (a *App) Repo() (*repo.Repo, error) { return repo.Open(a.repoEnv()) }

// Anywhere is Repo for verbs that also work outside of a repository.
func (a *App) Anywhere() (*repo.Repo, error) { return repo.OpenAnywhere(a.repoEnv()) }

// repoEnv is the world as repositories see it.
func (a *App) repoEnv() repo.Env {
	e := repo.Env{
		Dir: a.Dir, Home: a.Env.Home, Getenv: a.Env.Getenv, Now: a.Env.Now,
		Progress: a.UI.Progress(), Warn: a.UI.Warnf, Prompt: a.UI.Prompter(), Program: a.Prog, WaitForLock: a.WaitForLock,
		Phases: a.phases,
	}
	if a.Env.Environ != nil {
		e.Environ = a.Env.Environ()
	}
	return e
}

// repoSeams connects the command line to repositories.
func (a *App) repoSeams() seams {
	return seams{
		findRoot:   func() (string, error) { return repo.FindRoot(a.Dir) },
		configDirs: a.configDirs,
		repoInfo:   a.repoInfo,
		candidates: a.candidates,
		dataAt:     a.dataAt,
	}
}

func (a *App) configDirs() (global, system string) {
	o := a.repoEnv().ConfigOptions("")
	return filepath.Dir(o.Path(config.Global)), filepath.Dir(o.Path(config.System))
}

// repoInfo describes the repository for `version`.
func (a *App) repoInfo(ctx context.Context) ([]infoLine, error) {
	r, err := a.Repo()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	types := "https://error.dvc.org/no-dvc-cache"
	if works := linkTypes(r.Cache.Path(), filepath.Join(r.Root, ".dvc", "tmp")); len(works) > 0 {
		types = strings.Join(works, ", ")
	}
	lines := []infoLine{{Name: "Cache types", Value: types}}
	for _, l := range r.Info() {
		lines = append(lines, infoLine{Name: l.Name, Value: l.Value})
	}
	return lines, nil
}

// dataAt names the tracked data around a path, or "".
func (a *App) dataAt(ctx context.Context, path string) (string, error) {
	e := a.repoEnv()
	e.Dir = filepath.Dir(path)
	e.Phases, e.Warn = nil, nil // the verb itself warns, and is measured
	name, err := repo.DataAt(ctx, e, path)
	if name != "" {
		name = a.Rel(name)
	}
	return name, err
}

// candidates lists what a word on the command line may become.
func (a *App) candidates(ctx context.Context, kind Candidates) ([]string, error) {
	r, err := a.Repo()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	switch kind {
	case CompleteRemotes:
		return r.Config.Remotes(), nil
	case CompleteRevs:
		return r.RevNames()
	case CompleteMetrics:
		return r.MetricNames(ctx)
	case CompleteStages:
		return r.StageNames(ctx)
	case CompletePlots:
		return r.PlotNames(ctx)
	}
	return r.TargetNames(ctx)
}
