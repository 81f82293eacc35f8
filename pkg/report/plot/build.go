package plot

import (
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Config is the definitions of one dvc.yaml, or with File "" those of stages
// and of the command line.
type Config struct {
	File  string
	Plots *yamlfmt.Map // id → properties, a *yamlfmt.Map
}

// Revision is what one revision has to say: definitions and the content of the
// files that they read.
type Revision struct {
	Name    string
	Configs []Config
	Err     error // why there are no definitions
	Sources map[string]Source
	// SourcesErr is why no file could be read at all.
	SourcesErr error
}

// Image is a picture of one revision.
type Image struct {
	Rev, File string
	Content   []byte
	// URL is where it was written, for JSON; pkg/repo fills it in.
	URL string
}

// SourceError is a file that could not be read.
type SourceError struct {
	Rev, File string
	Err       error
}

// DefinitionError is a definition that does not fit the data of a revision.
type DefinitionError struct {
	Rev string
	Err error
}

// Plot is one plot over all revisions.
type Plot struct {
	ID       string
	IsImage  bool
	Props    *yamlfmt.Map // with x and y as names of fields
	Revs     []string     // those with data
	Data     Data
	Images   []Image
	Template *Template

	SourceErrs []SourceError
	DefErrs    []DefinitionError

	ys    []yDef
	ready bool // fields that tell runs apart are settled
}

// Title is the plot's title.
func (p *Plot) Title() string {
	t, _ := p.Props.Get("title")
	if t == nil {
		return ""
	}
	return yamlfmt.PyStr(t)
}

// prop is a property as text, "" if there is none.
func (p *Plot) prop(name string) string {
	v, _ := p.Props.Get(name)
	if v == nil {
		return ""
	}
	return yamlfmt.PyStr(v)
}

type namedSource struct {
	name string
	src  Source
}

// found is a definition of a plot at a revision.
type found struct {
	rev   *Revision
	id    string // as the definition has it
	props *yamlfmt.Map
}

// group is the definitions of one plot.
type group struct {
	id   string
	list []found
}

// groups gathers definitions by the plot's id. An id that several files define
// at a revision is told apart by the file's name.
func groups(revs []Revision) []*group {
	var out []*group
	byID := map[string]*group{}
	for i := range revs {
		rev := &revs[i]
		type place struct {
			file  string
			props *yamlfmt.Map
		}
		var ids []string
		places := map[string][]place{}
		for _, c := range rev.Configs {
			for id, props := range c.Plots.All() {
				m, _ := props.(*yamlfmt.Map)
				if m == nil {
					m = &yamlfmt.Map{}
				}
				if places[id] == nil {
					ids = append(ids, id)
				}
				places[id] = append(places[id], place{c.File, m})
			}
		}
		for _, id := range ids {
			for _, at := range places[id] {
				full := id
				if len(places[id]) > 1 && at.file != "" {
					full = at.file + "::" + id
				}
				g := byID[full]
				if g == nil {
					g = &group{id: full}
					byID[full] = g
					out = append(out, g)
				}
				g.list = append(g.list, found{rev, id, at.props})
			}
		}
	}
	return out
}

// squash merges the properties of all revisions; the first that has one wins.
func squash(list []found) *yamlfmt.Map {
	out := &yamlfmt.Map{}
	for i := len(list) - 1; i >= 0; i-- {
		for k, v := range list[i].props.All() {
			out.Set(k, v)
		}
	}
	return out
}

// Build matches definitions with data. Templates are found with find; its
// error ends the work, as for DVC.
func Build(revs []Revision, find func(name string) (*Template, error)) ([]*Plot, error) {
	var out []*Plot
	for _, g := range groups(revs) {
		p, err := build(g, find)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func build(g *group, find func(string) (*Template, error)) (*Plot, error) {
	p := &Plot{ID: g.id, Props: &yamlfmt.Map{}}
	props := squash(g.list)
	hasProps := false
	for _, f := range g.list {
		p.IsImage = IsImage(f.id)
		if p.IsImage {
			p.ID = f.id
		} else {
			p.ID = g.id
		}
		var files []namedSource
		for _, name := range Sources(f.id, f.props) {
			src := f.rev.Sources[name]
			if src.Err != nil {
				p.SourceErrs = append(p.SourceErrs, SourceError{f.rev.Name, name, src.Err})
			}
			if src.Err == nil && !src.empty() {
				files = append(files, namedSource{name, src})
			}
		}
		if p.IsImage {
			for _, s := range files {
				if content, ok := s.src.Value.([]byte); ok {
					p.Images = append(p.Images, Image{Rev: f.rev.Name, File: s.name, Content: content})
					p.addRev(f.rev.Name)
				}
			}
			if !hasProps {
				p.Props, hasProps = props.Clone(), true
			}
			continue
		}
		fl, err := flatten(f.id, f.rev.Name, props, files)
		if err != nil {
			p.DefErrs = append(p.DefErrs, DefinitionError{f.rev.Name, err})
			continue
		}
		if fl.props == nil {
			continue
		}
		p.addRev(f.rev.Name)
		if !hasProps {
			p.Props, p.ys, hasProps = fl.props, fl.ys, true
		}
		p.Data = append(p.Data, fl.data...)
	}
	if !p.Props.Has("title") {
		p.Props.Set("title", p.ID)
	}
	if p.IsImage {
		return p, nil
	}
	name := "linear"
	if t, _ := p.Props.Get("template"); t != nil {
		name = yamlfmt.PyStr(t)
	}
	var err error
	p.Template, err = find(name)
	return p, err
}

func (p *Plot) addRev(name string) {
	for _, have := range p.Revs {
		if have == name {
			return
		}
	}
	p.Revs = append(p.Revs, name)
}

// ImageName is the name of the file that a picture is written to.
func (i Image) ImageName() string {
	name := strings.ReplaceAll(i.Rev+"_"+i.File, string(filepath.Separator), "_")
	return strings.ReplaceAll(name, "/", "_")
}
