package repo

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/git"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ArtifactOptions of [GetArtifact] and [ArtifactURL].
type ArtifactOptions struct {
	GetOptions        // of it URL, Out, Force, Jobs and the remote's options
	Name       string // "model", "folder:model" or "folder/dvc.yaml:model"
	Version    string // as in its tag: v1.2.3; "" is the newest
	Stage      string // such as prod
}

// What GTO lets names be. In a tag the folder ends with "=", in what users type
// with ":".
const (
	artifactName   = `[a-zA-Z0-9](?:[a-zA-Z0-9-/_]*[a-zA-Z0-9])?`
	artifactFolder = `[a-zA-Z0-9-_./]+`
	artifactSemver = `(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?`
)

var (
	artifactRegexp = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:(` + artifactFolder + `):)?(` + artifactName + `)$`)
	})
	tagRegexp = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^((?:` + artifactFolder + `=)?` + artifactName + `)(?:#(` + artifactName + `)|@(v` + artifactSemver + `))(!?)(?:#[0-9]+)?$`)
	})
)

// ArtifactNotFoundError says that no tag or dvc.yaml names an artifact.
type ArtifactNotFoundError struct{ Name, Version, Stage string }

func (e *ArtifactNotFoundError) Error() string {
	s := "Unable to find artifact '" + disk.Quote(e.Name)
	if v := e.Version + e.Stage; v != "" {
		s += " @ " + disk.Quote(v)
	}
	return s + "'"
}

// Unwrap makes it an absence.
func (e *ArtifactNotFoundError) Unwrap() error { return errs.New(errs.NotFound, "no such artifact") }

// splitArtifact takes a name apart: the folder of its dvc.yaml, and the name.
func splitArtifact(name string) (folder, base string, err error) {
	m := artifactRegexp().FindStringSubmatch(name)
	if m == nil {
		return "", "", &ArtifactNotFoundError{Name: name}
	}
	folder, base = m[1], m[2]
	if path.Base(folder) == "dvc.yaml" {
		folder = path.Dir(folder)
	}
	if folder = path.Clean(folder); folder == "." {
		folder = ""
	}
	if path.IsAbs(folder) || outOfRoot(folder) {
		return "", "", &ArtifactNotFoundError{Name: name}
	}
	return folder, base, nil
}

// GetArtifact brings what an artifact names at the commit that its tag marks.
func GetArtifact(ctx context.Context, env Env, o ArtifactOptions) (GetResult, error) {
	src, err := o.locate(ctx, env)
	if err != nil {
		return GetResult{}, err
	}
	g := o.GetOptions
	g.SourceOptions = src
	return Get(ctx, env, g)
}

// ArtifactURL is where the object of an artifact is stored.
func ArtifactURL(ctx context.Context, env Env, o ArtifactOptions) (string, error) {
	src, err := o.locate(ctx, env)
	if err != nil {
		return "", err
	}
	return StorageURL(ctx, env, src)
}

// locate finds the commit and the path of an artifact.
func (o *ArtifactOptions) locate(ctx context.Context, env Env) (SourceOptions, error) {
	src := o.SourceOptions
	if o.Version != "" && o.Stage != "" {
		return src, errs.New(errs.Invalid, "Artifact version and stage are mutually exclusive.")
	}
	folder, base, err := splitArtifact(o.Name)
	if err != nil {
		return src, err
	}
	full := base
	if folder != "" {
		full = folder + "=" + base
	}
	dir, err := sourceDir(env, src.URL)
	far := errors.Is(err, errFar)
	if err != nil && !far {
		return src, err
	}
	tags, err := tagsOf(ctx, env, dir, far, func(name string) bool { return o.matches(full, name) })
	if err != nil {
		return src, err
	}
	if len(tags) == 0 {
		return src, &ArtifactNotFoundError{Name: o.Name, Version: o.Version, Stage: o.Stage}
	}
	best := tags[len(tags)-1]
	if o.Version == "" && o.Stage == "" {
		best = newest(tags)
	}
	if !far {
		// Names of folders start at Git's root.
		if g, err := git.Open(dir, git.Options{Env: env.Environ}); err == nil {
			src.URL = g.Root()
			_ = g.Close()
		}
	}
	src.Rev = best.SHA
	src.Path, err = artifactPath(ctx, env, src, folder, base)
	return src, err
}

// tagsOf lists annotated tags of a repository.
func tagsOf(ctx context.Context, env Env, dir string, far bool, match func(string) bool) ([]git.AnnotatedTag, error) {
	if !far {
		g, err := git.Open(dir, git.Options{Env: env.Environ})
		if err != nil {
			return nil, err
		}
		defer g.Close()
		return g.AnnotatedTags(match)
	}
	f, err := env.openFarSource(dir)
	if err != nil {
		return nil, cloneError(err)
	}
	defer f.close()
	if f.mirror != nil {
		tags, err := f.mirror.FetchTags(ctx, match)
		return tags, cloneError(err)
	}
	return f.git.AnnotatedTags(match)
}

// matches reports whether a tag is one of the artifact's that is asked for.
func (o *ArtifactOptions) matches(full, tag string) bool {
	m := tagRegexp().FindStringSubmatch(tag)
	return m != nil && m[1] == full && (o.Stage == "" || m[2] == o.Stage) && (o.Version == "" || m[3] == o.Version)
}

// newest is the tag with the highest version; without one, the latest tag.
func newest(tags []git.AnnotatedTag) git.AnnotatedTag {
	var best *git.AnnotatedTag
	bestVersion := ""
	for i := range tags {
		m := tagRegexp().FindStringSubmatch(tags[i].Name)
		if m == nil || m[3] == "" {
			continue
		}
		if v := m[3][1:]; best == nil || compareSemver(v, bestVersion) > 0 {
			best, bestVersion = &tags[i], v
		}
	}
	if best == nil {
		return tags[len(tags)-1]
	}
	return *best
}

// compareSemver orders versions as semver.org says.
func compareSemver(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	coreA, preA, hasA := strings.Cut(a, "-")
	coreB, preB, hasB := strings.Cut(b, "-")
	if c := comparePieces(coreA, coreB); c != 0 {
		return c
	}
	switch {
	case hasA && !hasB:
		return -1
	case hasB && !hasA:
		return 1
	}
	return comparePieces(preA, preB)
}

// comparePieces compares dotted pieces: numbers as numbers and before words.
func comparePieces(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, xerr := strconv.ParseUint(as[i], 10, 64)
		y, yerr := strconv.ParseUint(bs[i], 10, 64)
		c := strings.Compare(as[i], bs[i])
		switch {
		case xerr == nil && yerr == nil:
			c = 0
			if x < y {
				c = -1
			} else if x > y {
				c = 1
			}
		case xerr == nil:
			c = -1
		case yerr == nil:
			c = 1
		}
		if c != 0 {
			return c
		}
	}
	return len(as) - len(bs)
}

// artifactPath is what dvc.yaml says of an artifact, relative to Git's root.
func artifactPath(ctx context.Context, env Env, src SourceOptions, folder, base string) (string, error) {
	src.Path = folder
	t, err := openTree(ctx, env, src)
	if err != nil {
		return "", err
	}
	defer func() { t.close() }()
	t, rel, err := t.locate(ctx, env)
	if err != nil {
		return "", err
	}
	name := base
	if folder != "" {
		name = folder + ":" + base
	}
	file := path.Join(rel, "dvc.yaml")
	l := pipeline.NewLoader(t.src, pipeline.Options{Root: filepath.ToSlash(t.root)})
	f, err := l.File(file)
	if errors.Is(err, fs.ErrNotExist) || errs.Is(err, errs.NotFound) {
		return "", &ArtifactNotFoundError{Name: name}
	}
	if err != nil {
		return "", err
	}
	var at string
	if f.Top.Artifacts != nil {
		if def, ok := f.Top.Artifacts.Get(base); ok {
			if m, ok := def.(*yamlfmt.Map); ok {
				v, _ := m.Get("path")
				at, _ = v.(string)
			}
		}
	}
	if at == "" {
		return "", &ArtifactNotFoundError{Name: name}
	}
	at = path.Join(folder, at)
	if path.IsAbs(at) || outOfRoot(at) {
		return "", errs.New(errs.Invalid, "the artifact '%s' lies outside of the repository", disk.Quote(name))
	}
	return at, nil
}
