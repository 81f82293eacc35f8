package plot

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"maps"
	"math"
	"net/url"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

var (
	//go:embed vega/*.gz
	libraries embed.FS
	//go:embed page.js
	pageScript string
	//go:embed page.css
	pageStyle string
)

// library unpacks a script. It is done for a page only, not at start-up.
func library(name string) string {
	f, err := libraries.Open("vega/" + name + ".min.js.gz")
	if err != nil {
		panic(err) // it is part of the program
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		panic(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	// Without the place of a source map, which nobody has.
	if i := bytes.LastIndex(b, []byte("//# sourceMappingURL=")); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func scripts() []string {
	return []string{library("vega"), library("vega-lite"), library("vega-embed")}
}

// PageOptions of [Page].
type PageOptions struct {
	// Template is a page of the user's with {plot_divs} and, if it likes,
	// {scripts}; nil for cairn's own.
	Template []byte
	// Static is the folder that pictures were written to, relative to the
	// page, for those that are too many to be part of it.
	Static string
	// RevErrs are revisions whose definitions cannot be read.
	RevErrs []DefinitionError
}

// Limits of what a page holds.
const (
	// pagePoints is how many points of a line or cloud a browser is given: a
	// page has some 500 pixels for them.
	pagePoints = 10000
	runPoints  = 2000
	// heavyRows is from where what cannot be thinned, since it is counted, is
	// drawn by cairn instead of by the browser.
	heavyRows = 50000
	// svgPoints is up to where a plot is drawn as SVG, which is sharp at any
	// size, rather than on a canvas, which is fast.
	svgPoints = 3000
	// imageBytes is up to where pictures are part of the page.
	imageBytes = 24 << 20
)

// Page is an HTML page that shows plots without a network. What definitions
// and data say cannot run anything: names are escaped, data is no script, and
// the page's policy lets nothing run but cairn's own scripts.
func Page(plots []*Plot, o PageOptions) ([]byte, error) {
	sorted := slices.Clone(plots)
	sort.SliceStable(sorted, func(i, j int) bool { return imageLess(sorted[i], sorted[j]) })
	if o.Template != nil {
		return userPage(sorted, o)
	}
	var body bytes.Buffer
	embedded := 0
	for i := 0; i < len(sorted); i++ {
		p := sorted[i]
		if n := stepsAt(sorted, i); n > 1 {
			writeSteps(&body, sorted[i:i+n], o, &embedded)
			i += n - 1
			continue
		}
		if p.IsImage {
			p.writeImages(&body, o, &embedded)
			continue
		}
		if err := p.writeFigure(&body); err != nil {
			return nil, err
		}
	}
	if body.Len() == 0 {
		body.WriteString("<p class=\"soft\">There is no data to draw.</p>\n")
	}
	list := append(scripts(), pageScript)
	var hashes []string
	for _, s := range list {
		sum := sha256.Sum256([]byte(s))
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src %s; style-src 'unsafe-inline'; img-src data: blob: 'self' file:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plots</title>
<style>
%s</style>
</head>
<body>
`, strings.Join(hashes, " "), pageStyle)
	writeHead(&b, sorted, o.RevErrs)
	b.WriteString("<main>\n")
	b.Write(body.Bytes())
	b.WriteString("</main>\n<footer>Made by cairn, with Vega " + vegaVersions + ".</footer>\n")
	for _, s := range list {
		b.WriteString("<script>" + s + "</script>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes(), nil
}

// vegaVersions are those that vega/NOTICE lists.
const vegaVersions = "5.33.1, Vega-Lite 5.23.0 and Vega-Embed 6.29.0"

// writeHead names the revisions with their colours, and what is not shown.
func writeHead(b *bytes.Buffer, plots []*Plot, revErrs []DefinitionError) {
	b.WriteString("<header>\n<h1>Plots</h1>\n")
	var revs []string
	for _, p := range plots {
		for _, r := range p.Revs {
			if !slices.Contains(revs, r) {
				revs = append(revs, r)
			}
		}
	}
	if len(revs) > 1 {
		b.WriteString("<ul class=\"revs\">\n")
		for _, r := range revs {
			fmt.Fprintf(b, "<li>%s</li>\n", xmlText(r))
		}
		b.WriteString("</ul>\n")
	}
	var bad []string
	for _, p := range plots {
		for _, e := range p.SourceErrs {
			bad = append(bad, fmt.Sprintf("%s, %s: %s", p.ID, e.Rev, e.Err))
		}
		for _, e := range p.DefErrs {
			bad = append(bad, fmt.Sprintf("%s, %s: %s", p.ID, e.Rev, e.Err))
		}
	}
	for _, e := range revErrs {
		bad = append(bad, fmt.Sprintf("%s: %s", e.Rev, e.Err))
	}
	if len(bad) > 0 {
		fmt.Fprintf(b, "<details class=\"errors warn\"><summary>%d not shown</summary><ul>\n", len(bad))
		for _, text := range bad {
			fmt.Fprintf(b, "<li>%s</li>\n", xmlText(text))
		}
		b.WriteString("</ul></details>\n")
	}
	b.WriteString("</header>\n")
}

// writeFigure writes a plot that has data.
func (p *Plot) writeFigure(b *bytes.Buffer) error {
	total := p.Data.N()
	if total == 0 {
		return nil
	}
	if why := p.drawnByUs(); why != "" {
		fmt.Fprintf(b, "<figure data-drawn=\"%d\">\n", total)
		if err := p.SVG(b, SVGOptions{}); err != nil {
			return err
		}
		fmt.Fprintf(b, "<figcaption>%s</figcaption>\n</figure>\n", why)
		return nil
	}
	shown := total
	content, _, err := p.spec(false, func() Data {
		data := p.pageData()
		shown = data.N()
		return data
	})
	if err != nil {
		return err
	}
	attrs := ""
	if p.fits(content) {
		attrs += ` data-fit="yes"`
	}
	if shown > svgPoints {
		attrs += ` data-renderer="canvas"`
	}
	class := ""
	if !p.fits(content) && len(p.Data) > 1 {
		class = ` class="wide"`
	}
	fmt.Fprintf(b, "<figure data-plot=\"%s\" data-name=\"%s\"%s%s>\n<div class=\"view\"></div>\n<script type=\"application/json\">", xmlText(p.ID), divID(p.ID), attrs, class)
	b.Write(scriptJSON(content))
	b.WriteString("</script>\n")
	if shown < total {
		fmt.Fprintf(b, "<figcaption>%s of %s points are drawn: those that make the shape. <code>--json</code> has all.</figcaption>\n", grouped(shown), grouped(total))
	}
	b.WriteString("</figure>\n")
	return nil
}

// drawnByUs is why a plot of a template of ours is not left to the browser: too
// much to count there, or names that Vega-Lite makes bad expressions of. "" if
// it is.
func (p *Plot) drawnByUs() string {
	m, _ := p.mark()
	switch total := p.Data.N(); {
	case p.Template.own:
		return ""
	case total > heavyRows && (m == barMark || m == cellMark):
		return grouped(total) + " points, counted by cairn."
	case strings.ContainsAny(p.prop("x")+p.prop("y"), "\"'\\\n\r\u2028\u2029"):
		return "Drawn by cairn: Vega-Lite cannot work with fields of such names."
	}
	return ""
}

// grouped is a number with marks at the thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// fits reports whether a specification may be as wide as the page lets it:
// one of ours that is a single view.
func (p *Plot) fits(content *yamlfmt.Map) bool {
	if p.Template.own || content.Has("facet") {
		return false
	}
	enc, _ := content.Get("encoding")
	m, _ := enc.(*yamlfmt.Map)
	for _, channel := range []string{"column", "row"} {
		if v, ok := m.Get(channel); ok {
			if c, isMap := v.(*yamlfmt.Map); isMap && c.Len() > 0 {
				return false
			}
		}
	}
	return true
}

// thinned is the points that a page shows of a line or a cloud; nil for all.
func (p *Plot) thinned() Data {
	m, _ := p.mark()
	total := p.Data.N()
	if m == barMark || m == cellMark || p.Template.own && counts(p.Template.Content) {
		return nil
	}
	if total <= pagePoints && (m != lineMark || p.longest() <= runPoints) {
		return nil
	}
	runs := len(p.Data)
	out := make(Data, runs)
	if m == pointMark {
		for k, pts := range p.Data {
			out[k] = pts.pick(spread(pts.N, max(1, pts.N*pagePoints/total)))
		}
		return out
	}
	xs, ys := make([][]float64, runs), make([][]float64, runs)
	order := make([][]int, runs)
	for k, pts := range p.Data {
		xs[k], ys[k], order[k] = numbers(pts, p.prop("x"), p.prop("y"))
	}
	each := min(runPoints, max(50, pagePoints/runs))
	alike := runs > 1 && sameNumbers(xs)
	if alike {
		// All runs keep the points that any of them needs, so that the
		// values at a place can be compared.
		each = max(20, each/runs)
	}
	if !alike {
		for k, pts := range p.Data {
			rows := thin(xs[k], ys[k], each)
			for j, i := range rows {
				rows[j] = order[k][i]
			}
			out[k] = pts.pick(rows)
		}
		return out
	}
	rows := needed(xs, ys, each)
	// Runs of one shape need the same points: there is room for more.
	for len(rows)*runs < pagePoints/2 && each < runPoints && each < len(xs[0]) {
		each *= 2
		rows = needed(xs, ys, each)
	}
	for k, pts := range p.Data {
		mine := make([]int, len(rows))
		for j, i := range rows {
			mine[j] = order[k][i]
		}
		out[k] = pts.pick(mine)
	}
	return out
}

// needed are the points that any of several lines needs.
func needed(xs, ys [][]float64, each int) []int {
	keep := map[int]bool{}
	for k := range xs {
		for _, i := range thin(xs[k], ys[k], each) {
			keep[i] = true
		}
	}
	return slices.Sorted(maps.Keys(keep))
}

func (p *Plot) longest() int {
	n := 0
	for _, pts := range p.Data {
		n = max(n, pts.N)
	}
	return n
}

// numbers are x and y of points in the order of x, and where they come from.
// What is no number is as the one before.
func numbers(pts *Points, xf, yf string) (x, y []float64, order []int) {
	read := func(name string, otherwise func(i int, before float64) float64) []float64 {
		c := pts.column(name)
		out := make([]float64, pts.N)
		before := 0.0
		for i := range out {
			f, ok := 0.0, false
			if c != nil {
				if v, has := c.At(i); has {
					f, ok = asNumber(v)
				}
			}
			if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
				f = otherwise(i, before)
			}
			out[i], before = f, f
		}
		return out
	}
	x = read(xf, func(i int, before float64) float64 { return before })
	y = read(yf, func(_ int, before float64) float64 { return before })
	order = make([]int, pts.N)
	for i := range order {
		order[i] = i
	}
	if !sort.Float64sAreSorted(x) {
		sort.SliceStable(order, func(a, b int) bool { return x[order[a]] < x[order[b]] })
		sx, sy := make([]float64, pts.N), make([]float64, pts.N)
		for j, i := range order {
			sx[j], sy[j] = x[i], y[i]
		}
		x, y = sx, sy
	}
	return x, y, order
}

func sameNumbers(lists [][]float64) bool {
	for _, l := range lists[1:] {
		if !slices.Equal(l, lists[0]) {
			return false
		}
	}
	return true
}

// counts reports whether a specification computes anything of all points, so
// that fewer of them would make it say something else.
func counts(v any) bool {
	switch x := v.(type) {
	case []any:
		return slices.ContainsFunc(x, counts)
	case *yamlfmt.Map:
		for k, e := range x.All() {
			if k == "aggregate" || k == "transform" || k == "bin" || k == "timeUnit" || counts(e) {
				return true
			}
		}
	}
	return false
}

// pageData is the data of a page: thinned, with those fields that templates of
// ours show.
func (p *Plot) pageData() Data {
	data := p.thinned()
	if data == nil {
		data = p.Data
	}
	out := make(Data, 0, len(data))
	for _, pts := range data {
		pts = pts.clone()
		if !p.Template.own {
			joined := filenameField + separator + fieldField
			pts.Cols = slices.DeleteFunc(pts.Cols, func(c Column) bool {
				return !slices.Contains([]string{p.prop("x"), p.prop("y"), revField, filenameField, fieldField, joined}, c.Name)
			})
		}
		out = append(out, pts)
	}
	return out
}

// imageLess puts pictures last, those of a folder together, in the order of
// numbers that they are named by.
func imageLess(a, b *Plot) bool {
	if !a.IsImage || !b.IsImage {
		return !a.IsImage && b.IsImage
	}
	if da, db := path.Dir(a.ID), path.Dir(b.ID); da != db {
		return da < db
	}
	na, oka := imageNumber(a.ID)
	nb, okb := imageNumber(b.ID)
	if oka != okb {
		return oka
	}
	if oka && na != nb {
		return na < nb
	}
	return path.Base(a.ID) < path.Base(b.ID)
}

func imageNumber(id string) (uint64, bool) {
	base := path.Base(id)
	n, err := strconv.ParseUint(strings.TrimSuffix(base, path.Ext(base)), 10, 64)
	return n, err == nil
}

func (p *Plot) writeImages(b *bytes.Buffer, o PageOptions, embedded *int) {
	if len(p.Images) == 0 {
		return
	}
	fmt.Fprintf(b, "<section class=\"images\">\n<h2>%s</h2>\n", xmlText(p.Title()))
	p.writeRow(b, o, embedded, "")
	b.WriteString("</section>\n")
}

// writeRow writes the pictures of all revisions side by side.
func (p *Plot) writeRow(b *bytes.Buffer, o PageOptions, embedded *int, attrs string) {
	fmt.Fprintf(b, "<div class=\"row\"%s>\n", attrs)
	for _, img := range p.Images {
		fmt.Fprintf(b, "<div><p>%s</p><img alt=\"%s\" src=\"%s\" loading=\"lazy\"></div>\n", xmlText(img.Rev), xmlText(p.ID+", "+img.Rev), html.EscapeString(img.source(o, embedded)))
	}
	b.WriteString("</div>\n")
}

// writeSteps writes pictures of one folder that are named by numbers as one
// section; the page's script shows one step at a time.
func writeSteps(b *bytes.Buffer, steps []*Plot, o PageOptions, embedded *int) {
	fmt.Fprintf(b, "<section class=\"images\" data-steps=\"yes\">\n<h2>%s</h2>\n", xmlText(path.Dir(steps[0].ID)))
	for _, p := range steps {
		base := path.Base(p.ID)
		p.writeRow(b, o, embedded, fmt.Sprintf(" data-step=\"%s\"", xmlText(strings.TrimSuffix(base, path.Ext(base)))))
	}
	b.WriteString("</section>\n")
}

// stepsAt counts the pictures from i on that are steps of one thing.
func stepsAt(plots []*Plot, i int) int {
	n := 0
	for _, p := range plots[i:] {
		if _, ok := imageNumber(p.ID); !ok || !p.IsImage || len(p.Images) == 0 || path.Dir(p.ID) != path.Dir(plots[i].ID) {
			break
		}
		n++
	}
	return n
}

// source is where a browser finds a picture.
func (i Image) source(o PageOptions, embedded *int) string {
	if *embedded += len(i.Content); *embedded <= imageBytes || o.Static == "" {
		return i.DataURL()
	}
	return o.Static + "/" + url.PathEscape(i.ImageName())
}

// userPage fills a page of the user's as DVC does.
func userPage(plots []*Plot, o PageOptions) ([]byte, error) {
	text := string(o.Template)
	const divs = "{plot_divs}"
	if !strings.Contains(text, divs) {
		return nil, errs.New(errs.Invalid, "HTML template has to contain '%s'.", divs)
	}
	var body bytes.Buffer
	embedded := 0
	for _, p := range plots {
		if p.IsImage {
			p.writeImages(&body, o, &embedded)
			continue
		}
		if p.Data.N() == 0 {
			continue
		}
		content, _, err := p.spec(false, p.pageData)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&body, "<div id=\"%s\">\n<script type=\"text/javascript\">\nvegaEmbed(document.currentScript.parentElement, %s);\n</script>\n</div>\n", divID(p.ID), scriptJSON(content))
	}
	var libs strings.Builder
	for _, s := range scripts() {
		libs.WriteString("<script>" + s + "</script>\n")
	}
	return []byte(strings.NewReplacer("{scripts}", libs.String(), divs, body.String(), "{refresh_tag}", "").Replace(text)), nil
}

// divID makes a name one that an element, or a file, may have.
func divID(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// scriptJSON writes JSON that may stand in a script element: it has no < or &,
// and no NaN or infinity, which JSON does not know.
func scriptJSON(v any) []byte {
	b := AppendJSON(nil, finite(v))
	var out bytes.Buffer
	out.Grow(len(b))
	for _, c := range b {
		switch c {
		case '<', '>', '&':
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.Bytes()
}

// finite is a value with null for what is no finite number.
func finite(v any) any {
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = finite(e)
		}
		return out
	case *yamlfmt.Map:
		out := &yamlfmt.Map{}
		for k, e := range x.AllKeys() {
			out.SetKey(k, finite(e))
		}
		return out
	case Data:
		out := make(Data, len(x))
		for i, pts := range x {
			pts = pts.clone()
			for j := range pts.Cols {
				if c := &pts.Cols[j]; c.kind == mixed {
					c.vals = finite(c.vals).([]any)
				}
			}
			out[i] = pts
		}
		return out
	}
	return v
}
