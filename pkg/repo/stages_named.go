package repo

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// StagesFor returns the stages in which targets are to be looked for: those of
// the files that the targets name, if every target is a stage file or a stage
// of one, and all stages of the workspace otherwise. As with DVC, what is wrong
// with other files does not matter to who names his own.
func (r *Repo) StagesFor(ctx context.Context, targets []string, o CollectOptions) (*Stages, error) {
	if r.stages != nil || len(targets) == 0 || o.WithDeps || o.Glob || r.hasVersionedRemote() {
		return r.Stages(ctx)
	}
	key := fmt.Sprint(o.Recursive, strings.Join(targets, "\x00"))
	if r.named.stages != nil && r.named.key == key {
		return r.named.stages, nil
	}
	s, err := r.loadNamed(targets, o)
	if s == nil && err == nil {
		return r.Stages(ctx)
	}
	if err == nil {
		r.named = namedStages{key, s}
	}
	return s, err
}

// namedStages are the stages of targets that a verb has asked for already. A
// fetch notes in them what it found out.
type namedStages struct {
	key    string
	stages *Stages
}

// forgetStages has stage files read again, which were written to.
func (r *Repo) forgetStages() { r.stages, r.named = nil, namedStages{} }

// loadNamed returns nil if some target is not the name of a stage file or of
// a stage in one.
func (r *Repo) loadNamed(targets []string, o CollectOptions) (*Stages, error) {
	l := pipeline.NewLoader(workFS{r.Dir}, r.loaderOptions(r.Ignore))
	var all []*pipeline.Stage
	seen := map[*pipeline.Stage]bool{}
	for _, t := range targets {
		found, err := r.namedBy(l, t, o)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		for _, s := range found {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	if err := r.checkAlgorithms(all); err != nil {
		return nil, err
	}
	r.learnVersions(all)
	return newStages(all), nil
}

// namedBy returns the stages of the file that a target names, or the stages
// that it names in one; none if it does neither.
func (r *Repo) namedBy(l *pipeline.Loader, target string, o CollectOptions) ([]*pipeline.Stage, error) {
	file, name, isStage := splitStage(target)
	if pipeline.IsStageFile(path.Base(target)) {
		file, name, isStage = target, "", true
	}
	bare := isStage && name == target
	if !isStage || name == "" && file != target || bare && o.Recursive {
		return nil, nil
	}
	rel, err := r.Rel(file)
	if err != nil || !pipeline.IsStageFile(path.Base(rel)) || r.Git != nil && r.gitIgnored(rel, false) {
		return nil, nil // what is to be said of it is said with all stages at hand
	}
	found, err := l.Stages(rel, name, false)
	if errs.Is(err, errs.NotFound) || bare && err != nil {
		return nil, nil // of a bare name, it may be a path just as well
	}
	return found, err
}

// hasVersionedRemote reports whether some remote keeps files under their own
// names: what it has is known from all stage files.
func (r *Repo) hasVersionedRemote() bool {
	return slices.ContainsFunc(r.Config.Remotes(), func(name string) bool {
		remote, err := r.Config.Remote(name)
		return err != nil || remote.VersionAware
	})
}
