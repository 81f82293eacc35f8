package plot

import (
	"errors"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Object is the plots as DVC's --json has them. revErrs are revisions whose
// definitions cannot be read. [AppendJSON] writes it.
func Object(plots []*Plot, revErrs []DefinitionError, split bool) (*yamlfmt.Map, error) {
	failures := []any{}
	data := &yamlfmt.Map{}
	for _, p := range plots {
		list, err := p.object(split)
		if err != nil {
			return nil, err
		}
		data.Set(p.ID, list)
		for _, e := range p.SourceErrs {
			m := yamlfmt.NewMap("name", p.ID, "rev", e.Rev, "source", e.File)
			failures = append(failures, describe(m, e.Err))
		}
		for _, e := range p.DefErrs {
			failures = append(failures, describe(yamlfmt.NewMap("name", p.ID, "rev", e.Rev), e.Err))
		}
	}
	for _, e := range revErrs {
		failures = append(failures, describe(yamlfmt.NewMap("rev", e.Rev), e.Err))
	}
	out := &yamlfmt.Map{}
	if len(failures) > 0 {
		out.Set("errors", failures)
	}
	if data.Len() > 0 {
		out.Set("data", data)
	}
	return out, nil
}

func (p *Plot) object(split bool) ([]any, error) {
	list := []any{}
	if p.IsImage {
		for _, img := range p.Images {
			list = append(list, yamlfmt.NewMap("type", "image", "revisions", []any{img.Rev}, "url", img.URL))
		}
		return list, nil
	}
	content, anchors, err := p.Spec(split)
	if err != nil || content == nil {
		return list, err
	}
	revs := []any{}
	for _, r := range p.Revs {
		revs = append(revs, r)
	}
	m := yamlfmt.NewMap("type", "vega", "revisions", revs, "content", content)
	if split {
		m.Set("anchor_definitions", anchors)
	}
	return append(list, m), nil
}

// describe adds class and message of an error.
func describe(m *yamlfmt.Map, err error) *yamlfmt.Map {
	m.Set("type", class(err))
	m.Set("msg", err.Error())
	return m
}

func class(err error) string {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Type
	}
	switch errs.KindOf(err) {
	case errs.NotFound:
		return "FileNotFoundError"
	case errs.Denied:
		return "PermissionError"
	}
	return "DvcException"
}
