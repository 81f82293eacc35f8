package repo

import (
	"context"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/report"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ParamsOptions of [Repo.Params].
type ParamsOptions struct {
	RevisionOptions
	Targets       []string // files to read whole in place of declared ones, relative to the root
	DepsOnly      bool     // only what stages depend on
	KeepWorkspace bool     // as in MetricsOptions
}

// Params reads the parameters of revisions: what stages depend on, whole the
// files that dvc.yaml lists and the default one, and what expressions in
// dvc.yaml used of other files.
func (r *Repo) Params(ctx context.Context, o ParamsOptions) ([]report.RevisionValues, error) {
	g := &gatherer{repo: r, what: "params", memo: map[string]loaded{}}
	g.paths = func(v *Revision) ([]valuesFile, error) { return v.paramFiles(ctx, o) }
	g.pick = func(f valuesFile, value any) any {
		if len(f.keys) == 0 {
			return value
		}
		return pipeline.SearchParams(value, f.keys)
	}
	return g.run(ctx, o.RevisionOptions, o.KeepWorkspace)
}

// wholeFile in place of keys means all of a file.
var wholeFile []string

// paramFiles lists the files of parameters and what is wanted of each.
func (v *Revision) paramFiles(ctx context.Context, o ParamsOptions) ([]valuesFile, error) {
	list := paramList{at: map[string]int{}}
	for _, t := range o.Targets {
		list.add(t, wholeFile)
	}
	var stages *Stages
	if len(o.Targets) == 0 {
		var err error
		if stages, err = v.Stages(ctx); err != nil {
			return nil, err
		}
		for _, s := range stages.All {
			for _, p := range s.Params {
				list.add(path.Join(s.WDir, p.Path), p.Keys)
			}
		}
		if !o.DepsOnly {
			v.addListedParams(ctx, stages, &list)
		}
	}
	var files []valuesFile
	at := map[string]int{}
	for _, f := range list.files {
		expanded, err := v.Expand(ctx, []string{f.path})
		if err != nil {
			return nil, err
		}
		for _, p := range expanded {
			// The last one that names a file says what is wanted of it.
			i, known := at[p]
			if !known {
				i = len(files)
				at[p] = i
				files = append(files, valuesFile{path: p})
			}
			files[i].keys = f.keys
		}
	}
	if stages != nil {
		files = append(files, usedVars(stages, at)...)
	}
	return files, nil
}

// addListedParams adds what dvc.yaml files list and the default file.
func (v *Revision) addListedParams(ctx context.Context, stages *Stages, list *paramList) {
	for _, f := range stages.Files {
		for _, p := range f.Top.Params {
			list.add(path.Join(path.Dir(f.Path), p), wholeFile)
		}
	}
	if _, err := v.Find(ctx, pipeline.DefaultParamsFile); err == nil || v.IsDir(ctx, pipeline.DefaultParamsFile) {
		list.add(pipeline.DefaultParamsFile, wholeFile)
	}
}

// paramList merges what is wanted of each file; the whole of it wins.
type paramList struct {
	files []valuesFile
	at    map[string]int
}

func (l *paramList) add(file string, keys []string) {
	i, known := l.at[file]
	switch {
	case !known:
		l.at[file] = len(l.files)
		l.files = append(l.files, valuesFile{path: file, keys: slices.Clone(keys)})
	case len(keys) == 0 || len(l.files[i].keys) == 0:
		l.files[i].keys = wholeFile
	default:
		l.files[i].keys = append(l.files[i].keys, keys...)
	}
}

// usedVars are the values that expressions used of files which are not shown
// anyway.
func usedVars(stages *Stages, shown map[string]int) []valuesFile {
	values := map[string]*yamlfmt.Map{}
	for _, f := range stages.Files {
		for _, name := range slices.Sorted(maps.Keys(f.Uses)) {
			for _, u := range f.Uses[name] {
				if _, ok := shown[u.File]; ok {
					continue
				}
				if values[u.File] == nil {
					values[u.File] = &yamlfmt.Map{}
				}
				values[u.File].Set(u.Key, u.Value)
			}
		}
	}
	var list []valuesFile
	for _, file := range slices.Sorted(maps.Keys(values)) {
		list = append(list, valuesFile{path: file, values: values[file]})
	}
	return list
}

// ParamsDiffOptions of [Repo.ParamsDiff].
type ParamsDiffOptions struct {
	MetricsDiffOptions
	DepsOnly bool // only what stages depend on
}

// ParamsDiff compares the parameters of two revisions.
func (r *Repo) ParamsDiff(ctx context.Context, o ParamsDiffOptions) (ValuesDiff, error) {
	if some, err := r.hasCommits(ctx); !some {
		return ValuesDiff{}, err
	}
	revs, err := r.Params(ctx, ParamsOptions{
		RevisionOptions: RevisionOptions{Revs: []string{o.A, o.B}}, Targets: o.Targets, DepsOnly: o.DepsOnly, KeepWorkspace: true,
	})
	return compareRevisions(revs, o.MetricsDiffOptions), err
}

// RelFromRoot is [Repo.RelAny] for paths that are relative to the root, not to
// the working directory.
func (r *Repo) RelFromRoot(typed string) (string, error) {
	if filepath.IsAbs(typed) {
		return r.RelAny(typed)
	}
	return path.Clean(filepath.ToSlash(typed)), nil
}
