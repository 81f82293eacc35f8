package remote

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// davQuery asks for what is looked at, and for nothing that a server would
// have to compute.
const davQuery = `<?xml version="1.0" encoding="utf-8"?>` +
	`<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/><D:getetag/><D:getlastmodified/></D:prop></D:propfind>`

// davEntry is one file or folder of a server's answer.
type davEntry struct {
	path   string // decoded
	folder bool
	size   int64 // -1 is not known
	meta   Meta
	status int // of this one alone; 0 is fine
}

func (e *davEntry) ok() bool { return e.status == 0 || e.status == http.StatusOK }

// propfind sends a PROPFIND. Any answer but a listing is an error.
func (b *davBackend) propfind(ctx context.Context, req *http.Request, depth string) (*http.Response, error) {
	req.Header.Set("Depth", depth)
	req.Header.Set("Content-Type", "application/xml; charset=utf-8")
	body := newUpload(strings.NewReader(davQuery), int64(len(davQuery)))
	req.Body, req.ContentLength = body, body.size
	resp, err := b.w.do(req)
	if err != nil {
		return nil, err
	}
	switch s := resp.StatusCode; {
	case s == http.StatusMultiStatus:
		return resp, nil
	case s == http.StatusOK, s == http.StatusMethodNotAllowed, s == http.StatusNotImplemented:
		webDiscard(resp)
		return nil, b.notDAV(webStatus(s))
	}
	return nil, b.w.fail(resp)
}

// notDAV is for an answer that no WebDAV server gives: a login page, say.
func (b *davBackend) notDAV(what string) error {
	return errs.WithHint(errs.New(errs.Config, "%s: what answers there is not a WebDAV server (%s)", b.w.where, what),
		"Check the address and its path: cairn remote modify %s url %s://HOST/PATH", b.w.name, b.w.o.scheme)
}

// entryError is what an answer says of one file alone.
func (b *davBackend) entryError(e davEntry) error {
	if e.ok() {
		return nil
	}
	return errs.New(webKind(e.status), "%s: of %q the server says %s", b.w.where, e.path, webStatus(e.status))
}

// listingError classifies what ended the reading of a listing.
func (b *davBackend) listingError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok && ctx.Err() == nil {
		if strings.Contains(syntax.Msg, "unexpected EOF") {
			return errs.New(errs.Unavailable, "%s: the listing ended early", b.w.where)
		}
		if _, begun := errors.AsType[*davBrokenError](err); begun {
			return errs.New(errs.Unavailable, "%s: a listing came damaged (%w)", b.w.where, syntax)
		}
		return b.notDAV(syntax.Error())
	}
	if bad, ok := errors.AsType[*davSyntaxError](err); ok && ctx.Err() == nil {
		return b.notDAV(bad.Error())
	}
	return b.w.netError(ctx, err)
}

// davSyntaxError is XML that is no answer to PROPFIND.
type davSyntaxError struct{ msg string }

func (e *davSyntaxError) Error() string { return e.msg }

// davBrokenError is XML that was a listing up to some place.
type davBrokenError struct{ err error }

func (e *davBrokenError) Error() string { return e.err.Error() }
func (e *davBrokenError) Unwrap() error { return e.err }

// davResponse is the response element, of whatever namespace prefix.
type davResponse struct {
	Href   string `xml:"DAV: href"`
	Status string `xml:"DAV: status"`
	Props  []struct {
		Status string `xml:"DAV: status"`
		Prop   struct {
			Type *struct {
				Collection *struct{} `xml:"DAV: collection"`
			} `xml:"DAV: resourcetype"`
			Length   string `xml:"DAV: getcontentlength"`
			ETag     string `xml:"DAV: getetag"`
			Modified string `xml:"DAV: getlastmodified"`
		} `xml:"DAV: prop"`
	} `xml:"DAV: propstat"`
}

// parseMultistatus reads an answer to PROPFIND element by element, so that
// folders of any size need little memory. It returns what f returns.
func parseMultistatus(r io.Reader, f func(davEntry) error) error {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "us-ascii", "ascii", "utf8":
			return in, nil
		}
		return nil, &davSyntaxError{fmt.Sprintf("the listing is in %q, not in UTF-8", charset)}
	}
	depth := 0
	for {
		t, err := d.Token()
		if err == io.EOF && depth == 0 {
			return &davSyntaxError{"the listing is empty"}
		}
		if err != nil {
			if depth > 0 {
				err = &davBrokenError{err}
			}
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 {
				if t.Name.Space != "DAV:" || t.Name.Local != "multistatus" {
					return &davSyntaxError{fmt.Sprintf("the answer is of type %q", t.Name.Local)}
				}
				depth = 1
				continue
			}
			if t.Name.Space != "DAV:" || t.Name.Local != "response" {
				if err := d.Skip(); err != nil {
					return &davBrokenError{err}
				}
				continue
			}
			var raw davResponse
			if err := d.DecodeElement(&raw, &t); err != nil {
				return &davBrokenError{err}
			}
			e, err := raw.entry()
			if err != nil {
				return err
			}
			if err := f(e); err != nil {
				return err
			}
		case xml.EndElement:
			return nil // of multistatus
		}
	}
}

func (r *davResponse) entry() (davEntry, error) {
	e := davEntry{size: -1, status: statusOf(r.Status)}
	href := strings.TrimSpace(r.Href)
	// An address with a host, or the path alone. What comes after the path is
	// part of a name, since there are no queries here.
	if scheme, rest, ok := strings.Cut(href, "://"); ok && !strings.Contains(scheme, "/") {
		_, p, _ := strings.Cut(rest, "/")
		href = "/" + p
	} else if rest, ok := strings.CutPrefix(href, "//"); ok {
		_, p, _ := strings.Cut(rest, "/")
		href = "/" + p
	}
	if href == "" {
		return e, &davSyntaxError{"a file of the listing has no address"}
	}
	p, err := unescapePath(href)
	if err != nil {
		p = href // some servers do not escape
	}
	e.path = p
	typed := false
	for _, ps := range r.Props {
		if s := statusOf(ps.Status); s != 0 && s != http.StatusOK {
			continue // properties that are not there
		}
		if t := ps.Prop.Type; t != nil {
			typed = true
			e.folder = e.folder || t.Collection != nil
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(ps.Prop.Length), 10, 64); err == nil && n >= 0 {
			e.size = n
		}
		if tag := strings.TrimSpace(ps.Prop.ETag); tag != "" {
			e.meta.ETag, e.meta.Checksum = bareETag(tag), tag
		}
		if t, err := http.ParseTime(strings.TrimSpace(ps.Prop.Modified)); err == nil {
			e.meta.ModTime = t
		}
	}
	if !typed {
		e.folder = strings.HasSuffix(p, "/")
	}
	return e, nil
}

// statusOf reads "HTTP/1.1 200 OK"; 0 is none.
func statusOf(line string) int {
	f := strings.Fields(line)
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 100 || n > 999 {
		return 0
	}
	return n
}

func unescapePath(p string) (string, error) {
	s, err := url.PathUnescape(p)
	if err != nil {
		return "", errs.New(errs.Invalid, "the path %q is not escaped as it should be", p)
	}
	return s, nil
}
