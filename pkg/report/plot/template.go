package plot

import (
	"embed"
	"fmt"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

//go:embed templates/*.json
var templateFiles embed.FS

// TemplateNames lists the templates that are always there, as DVC orders them.
func TemplateNames() []string {
	return []string{
		"simple", "linear", "confusion", "confusion_normalized", "scatter",
		"scatter_jitter", "smooth", "bar_horizontal_sorted", "bar_horizontal",
	}
}

// Template is a Vega-Lite specification with anchors such as <DVC_METRIC_X>.
type Template struct {
	Name    string
	Content *yamlfmt.Map
	own     bool // from the user's file
}

// BuiltIn finds a template by its name.
func BuiltIn(name string) (*Template, bool) {
	for _, have := range TemplateNames() {
		if have != name {
			continue
		}
		file := name
		if name == "smooth" {
			file = "linear" // the same under another name
		}
		text, err := templateFiles.ReadFile("templates/" + file + ".json")
		if err != nil {
			panic(err) // it is part of the program
		}
		v, err := pipeline.LoadParams(file+".json", text)
		m, ok := v.(*yamlfmt.Map)
		if err != nil || !ok {
			panic(fmt.Sprintf("template %s: %v", name, err))
		}
		return &Template{Name: name, Content: m}, true
	}
	return nil, false
}

// NotFound is the error for a template that is nowhere.
func NotFound(name string) error {
	return errs.WithHint(errs.New(errs.NotFound, "Template '%s' not found.", name),
		"`cairn plots templates` lists those that are always there; your own lie in .dvc/plots.")
}

// ParseTemplate reads a template of the user's. file is for messages.
func ParseTemplate(name, file string, text []byte) (*Template, error) {
	v, err := pipeline.LoadParams(file, text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*yamlfmt.Map)
	if !ok {
		return nil, errs.New(errs.Invalid, "template '%s' is no JSON object", file)
	}
	return &Template{Name: name, Content: m, own: true}, nil
}

func anchor(name string) string { return "<DVC_METRIC_" + strings.ToUpper(name) + ">" }

// holds reports whether a text stands somewhere in a value as a whole.
func holds(v any, text string) bool {
	switch x := v.(type) {
	case string:
		return x == text
	case *yamlfmt.Map:
		for _, e := range x.All() {
			if holds(e, text) {
				return true
			}
		}
	case []any:
		for _, e := range x {
			if holds(e, text) {
				return true
			}
		}
	}
	return false
}

// fill puts a value where an anchor stands; a text also within other texts.
// What was there before stays as it is: v is not changed.
func fill(v any, mark string, with any) any {
	switch x := v.(type) {
	case *yamlfmt.Map:
		out := &yamlfmt.Map{}
		for k, e := range x.AllKeys() {
			if s, ok := e.(string); ok && s != mark {
				if t, isText := with.(string); isText {
					e = strings.ReplaceAll(s, mark, t)
				}
				out.SetKey(k, e)
				continue
			}
			out.SetKey(k, fill(e, mark, with))
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = fill(e, mark, with)
		}
		return out
	case string:
		if x == mark {
			return with
		}
	}
	return v
}

// splitAnchors are left to the client by --split.
var splitAnchors = map[string]bool{
	"color": true, "data": true, "plot_height": true, "plot_width": true, "shape": true, "stroke_dash": true,
	"title": true, "tooltip": true, "x_label": true, "y_label": true, "zoom_and_pan": true,
}

// optionalAnchors may be missing in a template.
var optionalAnchors = []string{
	"color", "column", "group_by_x", "group_by_y", "group_by", "pivot_field", "plot_height", "plot_width", "row",
	"shape", "stroke_dash", "tooltip", "zoom_and_pan",
}

// Palette is the colours of revisions, in order.
var Palette = []string{"#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565"}

// ranges are the values that tell revisions, files and fields apart.
func ranges(name string) []any {
	var out []any
	switch name {
	case "color":
		for _, c := range Palette {
			out = append(out, c)
		}
	case "stroke_dash":
		for _, d := range dashes {
			out = append(out, []any{int64(d[0]), int64(d[1])})
		}
	case "shape":
		out = []any{"circle", "square", "triangle", "diamond"}
	}
	return out
}

var dashes = [][2]int{{1, 0}, {8, 8}, {8, 4}, {4, 4}, {4, 2}, {2, 1}, {1, 1}}
