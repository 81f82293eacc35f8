package report

import (
	"fmt"
	"html"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/disk"
)

// Page is a document of titles, words, tables and pictures, in Markdown as
// GitHub and GitLab show it or as an HTML page that needs nothing else. Code in
// Rich texts is what others have named.
type Page struct {
	Title    Rich
	Intro    []Rich
	Sections []Section
}

// Section is one part of a page.
type Section struct {
	Title   string
	Words   []Rich // paragraphs before the table
	Table   *Table
	Items   []Rich // a list after it
	Figures []Figure
}

// Figure is a picture with a title.
type Figure struct {
	Title Rich
	SVG   []byte // for HTML
	// For Markdown: Link is the path or URL of the picture; without one the
	// drawing in characters, Text, is shown.
	Link string
	Text string
}

// markdown escapes what a program wrote; it has no markup of its own.
func (r Rich) markdown() string {
	var b strings.Builder
	for _, part := range r {
		if c, ok := part.(Code); ok {
			b.WriteString(MarkdownCode(disk.Quote(string(c))))
		} else {
			b.WriteString(Text(part))
		}
	}
	return b.String()
}

func (r Rich) html() string {
	var b strings.Builder
	for _, part := range r {
		if c, ok := part.(Code); ok {
			b.WriteString(htmlCode(disk.Quote(string(c))))
		} else {
			b.WriteString(html.EscapeString(Text(part)))
		}
	}
	return b.String()
}

// WriteMarkdown writes the page as Markdown.
func (p *Page) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", p.Title.markdown())
	for _, r := range p.Intro {
		fmt.Fprintf(&b, "\n%s\n", r.markdown())
	}
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n## %s\n", s.Title)
		for _, r := range s.Words {
			fmt.Fprintf(&b, "\n%s\n", r.markdown())
		}
		if s.Table != nil {
			var t strings.Builder
			if err := s.Table.WriteMarkdown(&t); err != nil {
				return err
			}
			fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(t.String(), "\n"))
		}
		if len(s.Items) > 0 {
			b.WriteString("\n")
		}
		for _, r := range s.Items {
			fmt.Fprintf(&b, "- %s\n", r.markdown())
		}
		for _, f := range s.Figures {
			f.markdown(&b)
		}
	}
	return write(w, strings.TrimRight(b.String(), "\n")+"\n")
}

func (f Figure) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%s**\n\n", f.Title.markdown())
	if f.Link != "" {
		parts := strings.Split(f.Link, "/")
		for i, p := range parts {
			parts[i] = url.PathEscape(p)
		}
		fmt.Fprintf(b, "![plot](%s)\n", strings.Join(parts, "/"))
		return
	}
	fence := "```"
	for strings.Contains(f.Text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "%stext\n%s\n%s\n", fence, strings.Trim(f.Text, "\n"), fence)
}

const pageStyle = `:root{color-scheme:light dark;--fg:#1f2328;--bg:#fff;--line:#d1d9e0;--soft:#f6f8fa;--dim:#59636e}
@media (prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--line:#30363d;--soft:#151b23;--dim:#9198a1}}
body{margin:2rem auto;max-width:72rem;padding:0 1rem;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;color:var(--fg);background:var(--bg)}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
table{border-collapse:collapse;display:block;overflow-x:auto}th,td{border:1px solid var(--line);padding:.3rem .7rem;text-align:left;vertical-align:top}
th,tr:nth-child(even) td{background:var(--soft)}code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
td.num{text-align:right;font-variant-numeric:tabular-nums}.figures{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;border:1px solid var(--line);border-radius:6px;overflow:hidden;max-width:100%}
figcaption{padding:.4rem .7rem;background:var(--soft);color:var(--dim)}figure svg{display:block;max-width:100%;height:auto}
`

// WriteHTML writes the page as HTML. It loads nothing and runs nothing.
func (p *Page) WriteHTML(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<h1>%s</h1>
`, html.EscapeString(disk.Quote(p.Title.String())), pageStyle, p.Title.html())
	for _, r := range p.Intro {
		fmt.Fprintf(&b, "<p>%s</p>\n", r.html())
	}
	for _, s := range p.Sections {
		if err := s.html(&b); err != nil {
			return err
		}
	}
	b.WriteString("</body>\n</html>\n")
	return write(w, b.String())
}

func (s Section) html(b *strings.Builder) error {
	fmt.Fprintf(b, "<section>\n<h2>%s</h2>\n", html.EscapeString(s.Title))
	for _, r := range s.Words {
		fmt.Fprintf(b, "<p>%s</p>\n", r.html())
	}
	if s.Table != nil {
		if err := s.Table.WriteHTML(b); err != nil {
			return err
		}
	}
	if len(s.Items) > 0 {
		b.WriteString("<ul>\n")
		for _, r := range s.Items {
			fmt.Fprintf(b, "<li>%s</li>\n", r.html())
		}
		b.WriteString("</ul>\n")
	}
	if len(s.Figures) > 0 {
		b.WriteString("<div class=\"figures\">\n")
		for _, f := range s.Figures {
			fmt.Fprintf(b, "<figure>\n%s<figcaption>%s</figcaption>\n</figure>\n", inlineSVG(f.SVG), f.Title.html())
		}
		b.WriteString("</div>\n")
	}
	b.WriteString("</section>\n")
	return nil
}

// inlineSVG is a drawing as it may stand in HTML, without the declaration that
// a file of its own begins with.
func inlineSVG(svg []byte) string {
	s := string(svg)
	if i := strings.Index(s, "<svg"); i > 0 {
		s = s[i:]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return s
}
