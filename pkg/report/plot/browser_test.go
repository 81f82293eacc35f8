package plot

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// browserLimit bounds one page. A machine that is busy needs most of it.
const browserLimit = 2 * time.Minute

// dumpDOM opens a page in a browser without a network. It returns the document
// after its scripts ran, and what they said on the console.
func dumpDOM(t *testing.T, page []byte) (dom, console string) {
	t.Helper()
	chromium := os.Getenv("CAIRN_CHROMIUM")
	if chromium == "" {
		t.Skip("CAIRN_CHROMIUM does not name a browser")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "index.html")
	if err := os.WriteFile(file, page, 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1300,1000", "--enable-logging=stderr", "--virtual-time-budget=30000", "--dump-dom",
		(&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	var said []string
	for line := range strings.SplitSeq(errOut.String(), "\n") {
		if strings.Contains(line, "CONSOLE") {
			said = append(said, line)
		}
	}
	return out.String(), strings.Join(said, "\n")
}

var (
	figureTag = regexp.MustCompile(`<figure[^>]*>`)
	drawnAttr = regexp.MustCompile(`data-drawn="([1-9][0-9]*)"`)
)

func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	all := samples(t)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	var plots []*Plot
	withData := 0
	for _, name := range names {
		p := all[name]
		p.ID = name + " \"'><script>document.title='broken'</script>"
		plots = append(plots, p)
		if p.Data.N() > 0 {
			withData++
		}
	}
	page, err := Page(plots, PageOptions{RevErrs: []DefinitionError{{"v0</details><script>document.title='broken'</script>", fail("X", "<script>document.title='broken'</script>")}}})
	if err != nil {
		t.Fatal(err)
	}
	dom, console := dumpDOM(t, page)
	if console != "" {
		t.Errorf("the console says:\n%s", console)
	}
	if !strings.Contains(dom, "<title>Plots</title>") {
		t.Error("a name or value of the data has changed the page's title")
	}
	if !regexp.MustCompile(`<html[^>]* data-ready="[0-9]+"`).MatchString(dom) {
		t.Error("the page's script has not come to its end")
	}
	figures := figureTag.FindAllString(dom, -1)
	if len(figures) != withData {
		t.Errorf("%d figures for %d plots with data", len(figures), withData)
	}
	for _, f := range figures {
		if !drawnAttr.MatchString(f) || strings.Contains(f, "data-failed") {
			t.Errorf("not drawn: %s", f)
		}
	}
	if n := strings.Count(dom, `class="mark-`); n < withData {
		t.Errorf("%d groups of marks in the document", n)
	}
}

func TestStepsInBrowser(t *testing.T) {
	t.Parallel()
	var plots []*Plot
	for _, name := range []string{"p/10.png", "p/2.png", "q/1.png"} {
		plots = append(plots, mustBuild(t, rev(t, "workspace", name+": {}", map[string]string{name: string(onePNG(t))}))...)
	}
	page, err := Page(plots, PageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dom, console := dumpDOM(t, page)
	if console != "" {
		t.Errorf("the console says:\n%s", console)
	}
	for _, want := range []string{`data-step="2" hidden=""`, `data-step="10">`, `<span>step 10</span>`, `<h2>q/1.png</h2>`} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestUserPageInBrowser(t *testing.T) {
	t.Parallel()
	p := samples(t)["line"]
	page, err := Page([]*Plot{p}, PageOptions{Template: []byte("<html><head><title>Mine</title>{scripts}</head><body>{plot_divs}</body></html>")})
	if err != nil {
		t.Fatal(err)
	}
	dom, console := dumpDOM(t, page)
	for _, bad := range []string{"Uncaught", "Refused", "ERROR"} {
		if strings.Contains(console, bad) {
			t.Errorf("the console says:\n%s", console)
		}
	}
	if !strings.Contains(dom, "<canvas") {
		t.Error("nothing is drawn")
	}
}

// bigPlot is runs of long lines.
func bigPlot(t *testing.T, runs, rows int) *Plot {
	t.Helper()
	files := map[string]string{}
	var fields []string
	for k := range runs {
		var b strings.Builder
		b.WriteString("step,loss\n")
		for i := range rows {
			fmt.Fprintf(&b, "%d,%.4f\n", i, math.Sin(float64(i)/(500+10*float64(k)))+float64(i%7)/50)
		}
		name := fmt.Sprintf("s%d.csv", k)
		files[name] = b.String()
		fields = append(fields, name+": loss")
	}
	return mustBuild(t, rev(t, "workspace", "big: {x: step, y: {"+strings.Join(fields, ", ")+"}}", files))[0]
}

func TestThinned(t *testing.T) {
	t.Parallel()
	p := bigPlot(t, 10, 5000)
	// A spike that no page may lose.
	y := p.Data[3].column("loss")
	y.texts = slices.Clone(y.texts)
	y.texts[2500] = "99"
	thin := p.thinned()
	if n := thin.N(); n > 2*pagePoints || n < pagePoints/4 {
		t.Errorf("%d points are left of %d", n, p.Data.N())
	}
	seen := false
	for k, run := range thin {
		steps := run.column("step")
		if first, _ := steps.At(0); first != "0" {
			t.Errorf("run %d begins at %v", k, first)
		}
		if last, _ := steps.At(run.N - 1); last != "4999" {
			t.Errorf("run %d ends at %v", k, last)
		}
		if run.N != thin[0].N {
			t.Errorf("runs of the same steps keep %d and %d", run.N, thin[0].N)
		}
		for i := range run.N {
			v, _ := run.column("loss").At(i)
			seen = seen || k == 3 && v == "99"
		}
	}
	if !seen {
		t.Error("the spike is lost")
	}
	if got := bigPlot(t, 1, 100).thinned(); got != nil {
		t.Errorf("100 points are thinned to %d", got.N())
	}
	page, err := Page([]*Plot{p}, PageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s of 50,000 points are drawn", grouped(thin.N())); !bytes.Contains(page, []byte(want)) {
		t.Errorf("the page does not say %q", want)
	}
	content, _, err := p.Spec(false)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(AppendJSON(nil, content), []byte(`"step": "`)); n != 50000 {
		t.Errorf("JSON has %d points", n)
	}
}

func TestBigPageInBrowser(t *testing.T) {
	t.Parallel()
	page, err := Page([]*Plot{bigPlot(t, 10, 20000)}, PageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dom, console := dumpDOM(t, page)
	if console != "" {
		t.Errorf("the console says:\n%s", console)
	}
	figures := figureTag.FindAllString(dom, -1)
	if len(figures) != 1 || !drawnAttr.MatchString(figures[0]) || !strings.Contains(dom, "<canvas") {
		t.Errorf("not drawn: %v", figures)
	}
}
