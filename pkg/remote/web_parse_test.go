package remote

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
)

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]string{
		``:                           nil,
		`Basic`:                      {"Basic"},
		`Basic realm="a b"`:          {`Basic realm=a b`},
		`Basic realm=x`:              {`Basic realm=x`},
		`basic Realm = "x"`:          {`basic realm=x`},
		`Negotiate, Basic realm="x"`: {"Negotiate", "Basic realm=x"},
		`Negotiate YWJj==, Digest nonce="n,\"x", qop="auth,auth-int"`: {"Negotiate =YWJj==", `Digest nonce=n,"x qop=auth,auth-int`},
		`Digest nonce="a", Digest nonce="b", algorithm=SHA-256`:       {"Digest nonce=a", "Digest algorithm=SHA-256 nonce=b"},
		`, ,Basic realm="",`:          {"Basic realm="},
		`Digest nonce="open`:          {"Digest"},
		`Digest realm="x", realm="y"`: {"Digest realm=x"},
		`=,`:                          nil,
	} {
		var got []string
		for _, c := range parseChallenges([]string{header}) {
			var pairs []string
			for k, v := range c.param {
				pairs = append(pairs, k+"="+v)
			}
			slices.Sort(pairs)
			got = append(got, strings.TrimSpace(c.scheme+" "+strings.Join(pairs, " ")))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{`Basic realm="x"`, `Digest nonce="n", qop="auth", algorithm=SHA-256-sess, Negotiate YQ==`, `a b=c,d`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges([]string{s}) {
			if c.scheme == "" {
				t.Error("a challenge without a scheme")
			}
			if d := newDigestChallenge(c); d != nil {
				_ = d.answer("user", "password", "GET", "/", 1, "cnonce")
			}
		}
	})
}

// The examples of RFC 7616 (3.9) and RFC 2617 (3.5).
func TestDigestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ challenge, user, password, method, uri, cnonce, want string }{
		{`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			"Mufasa", "Circle of Life", "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="x"`,
			"Mufasa", "Circle of Life", "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "8ca523f5e9506fed4657c9700eebdbec"},
		{`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b", "6629fae49393a05397450978507c4ef1"},
		{`Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`, // RFC 2069
			"Mufasa", "Circle Of Life", "GET", "/dir/index.html", "", "670fd8c2df070c60b045671b8b24ff02"},
	} {
		d := newDigestChallenge(parseChallenges([]string{c.challenge})[0])
		if d == nil {
			t.Fatalf("cannot answer %s", c.challenge)
		}
		got := d.answer(c.user, c.password, c.method, c.uri, 1, c.cnonce)
		if !strings.Contains(got, `response="`+c.want+`"`) {
			t.Errorf("got %s, want the response %s", got, c.want)
		}
	}
	for _, bad := range []string{`Digest realm="x"`, `Digest nonce="n", algorithm=SHA3`, `Digest nonce="n", qop="auth-int"`, `Digest nonce="n", algorithm=MD5-sess`} {
		if newDigestChallenge(parseChallenges([]string{bad})[0]) != nil {
			t.Errorf("answers %s", bad)
		}
	}
	d := newDigestChallenge(parseChallenges([]string{`Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", userhash=true`})[0])
	if got := d.answer("Jäsøn Doe", "Secret, or not?", "GET", "/doe.json", 1, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm"); !strings.Contains(got, "userhash=true") || strings.Contains(got, "Doe") {
		t.Errorf("userhash: %s", got)
	}
	d.userhash = false
	if got := d.answer("Jäsøn Doe", "x", "GET", "/", 1, "c"); !strings.Contains(got, "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe") {
		t.Errorf("a name beyond ASCII: %s", got)
	}
}

func TestSplitWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"a b":                   {"a", "b"},
		"  a\t'b c'  \"d 'e\" ": {"a", "b c", "d 'e"},
		`a\ b "c\"d\\e\n" ''`:   {"a b", `c"d\e\n`, ""},
		`pre'mid'"post"`:        {"premidpost"},
		"$HOME `x` ; | > *":     {"$HOME", "`x`", ";", "|", ">", "*"},
		"":                      nil,
	} {
		if got, ok := splitWords(in); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"'a", `"a`, `a\`, `"a\"`} {
		if got, ok := splitWords(in); ok {
			t.Errorf("%s: got %q", in, got)
		}
	}
}

func multistatus(inner string) string {
	return `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<D:multistatus xmlns:D="DAV:">` + inner + `</D:multistatus>`
}

func TestParseMultistatus(t *testing.T) {
	t.Parallel()
	file := func(href string) string {
		return `<D:response><D:href>` + href + `</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>5</D:getcontentlength><D:getetag>"e"</D:getetag>` +
			`<D:getlastmodified>Wed, 21 Oct 2015 07:28:00 GMT</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`
	}
	type entry struct {
		path   string
		folder bool
		size   int64
		status int
	}
	for name, c := range map[string]struct {
		text string
		want []entry
	}{
		"a file":           {multistatus(file("/a/b")), []entry{{"/a/b", false, 5, 0}}},
		"escaped":          {multistatus(file("/a%20b/%C3%A9%25")), []entry{{"/a b/é%", false, 5, 0}}},
		"not escaped":      {multistatus(file("/a b/100%/q?x#y")), []entry{{"/a b/100%/q?x#y", false, 5, 0}}},
		"with a host":      {multistatus(file("http://h:80/a/b")), []entry{{"/a/b", false, 5, 0}}},
		"host alone":       {multistatus(file("//h/a/b")), []entry{{"/a/b", false, 5, 0}}},
		"colons and slash": {multistatus(file("/a/x://y")), []entry{{"/a/x://y", false, 5, 0}}},
		"spaces around":    {multistatus(file("\n /a/b \n")), []entry{{"/a/b", false, 5, 0}}},
		"other prefixes": {`<multistatus xmlns="DAV:" xmlns:x="urn:x"><response><href>/d/</href><propstat><prop><resourcetype><collection/><x:calendar/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat></response>` +
			`<x:response><x:href>/not/this</x:href></x:response></multistatus>`, []entry{{"/d/", true, -1, 0}}},
		"prefix on the inside": {`<a:multistatus xmlns:a="DAV:"><b:response xmlns:b="DAV:"><c:href xmlns:c="DAV:">/d</c:href><b:propstat><b:prop><b:resourcetype><b:collection/></b:resourcetype></b:prop><b:status>HTTP/2 200</b:status></b:propstat></b:response></a:multistatus>`,
			[]entry{{"/d", true, -1, 0}}},
		"properties that are not there": {multistatus(`<D:response><D:href>/f</D:href><D:propstat><D:prop><D:getcontentlength>7</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>` +
			`<D:propstat><D:prop><D:getcontentlength>9</D:getcontentlength><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>`), []entry{{"/f", false, 7, 0}}},
		"folder by its slash": {multistatus(`<D:response><D:href>/f/</D:href><D:propstat><D:prop/><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`), []entry{{"/f/", true, -1, 0}}},
		"refused":             {multistatus(`<D:response><D:href>/f</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>`), []entry{{"/f", false, -1, 403}}},
		"none":                {multistatus(""), nil},
		"negative length":     {multistatus(strings.Replace(file("/f"), ">5<", ">-5<", 1)), []entry{{"/f", false, -1, 0}}},
		"BOM":                 {"\ufeff" + multistatus(file("/f")), []entry{{"/f", false, 5, 0}}},
	} {
		var got []entry
		err := parseMultistatus(strings.NewReader(c.text), func(e davEntry) error {
			got = append(got, entry{e.path, e.folder, e.size, e.status})
			return nil
		})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "html": "<html><body>log in</body></html>", "text": "hello", "cut": multistatus(file("/f"))[:120], "open": `<D:multistatus xmlns:D="DAV:">`,
		"no address": multistatus("<D:response></D:response>"), "other namespace": `<D:multistatus xmlns:D="urn:x"/>`,
		"bomb":    `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + multistatus(file("/&b;")),
		"charset": strings.Replace(multistatus(""), "utf-8", "utf-16", 1),
	} {
		if err := parseMultistatus(strings.NewReader(text), func(davEntry) error { return nil }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	stop := errors.New("stop")
	if err := parseMultistatus(strings.NewReader(multistatus(file("/f"))), func(davEntry) error { return stop }); err != stop {
		t.Errorf("got %v, want f's error", err)
	}
}

func FuzzParseMultistatus(f *testing.F) {
	f.Add(multistatus(`<D:response><D:href>/a%20b</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype><D:getcontentlength>5</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`))
	f.Add(`<a xmlns="DAV:"/>`)
	f.Fuzz(func(t *testing.T, s string) {
		_ = parseMultistatus(strings.NewReader(s), func(e davEntry) error {
			if e.path == "" || e.size < -1 {
				t.Errorf("%+v", e)
			}
			return nil
		})
	})
}

// A listing finds the folder it is of, whatever name the server has for it.
func TestDAVSelf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked string
		list  []string
		self  string
		rest  int
	}{
		"left out":             {"/a", []string{"/a/x", "/a/y"}, "/a", 2},
		"behind a proxy":       {"/a", []string{"/in/a/x", "/in/a", "/in/a/y"}, "/in/a", 2},
		"at a proxy's root":    {"", []string{"/dav", "/dav/x"}, "/dav", 1},
		"empty behind a proxy": {"/a", []string{"/in/a"}, "/in/a", 0},
	} {
		var list []davEntry
		for _, p := range c.list {
			list = append(list, davEntry{path: p})
		}
		if self, rest := davSelf(c.asked, list); self != c.self || len(rest) != c.rest {
			t.Errorf("%s: got %q and %d more", name, self, len(rest))
		}
	}
}

// An upload holds its end back until its source has ended well.
func TestUpload(t *testing.T) {
	t.Parallel()
	boom := errs.New(errs.Denied, "boom")
	for name, c := range map[string]struct {
		r    io.Reader
		size int64
		kind errs.Kind // Other is fine
	}{
		"exact":            {strings.NewReader("12345"), 5, errs.Other},
		"exact, a stream":  {io.MultiReader(strings.NewReader("12"), strings.NewReader("345")), 5, errs.Other},
		"too long":         {io.MultiReader(strings.NewReader("12345"), strings.NewReader("6")), 5, errs.Corrupt},
		"too short":        {io.MultiReader(strings.NewReader("1234")), 5, errs.Corrupt},
		"fails at the end": {io.MultiReader(strings.NewReader("12345"), errReader{boom}), 5, errs.Denied},
		"fails before":     {io.MultiReader(strings.NewReader("123"), errReader{boom}), 5, errs.Denied},
	} {
		u := newUpload(c.r, c.size)
		got, err := io.ReadAll(u)
		if c.kind == errs.Other {
			if err != nil || string(got) != "12345" {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
			continue
		}
		if !errs.Is(err, c.kind) || int64(len(got)) >= c.size {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestWebOrigin(t *testing.T) {
	t.Parallel()
	same := [][2]string{{"http://h/a", "http://H:80/b"}, {"https://h", "https://h:443/x"}}
	other := [][2]string{{"http://h", "https://h"}, {"http://h", "http://h:81"}, {"http://h", "http://h2"}, {"http://h", "http://x.h"}, {"http://h:443", "https://h"}}
	origin := func(s string) string { u, _ := url.Parse(s); return webOrigin(u) }
	for _, p := range same {
		if origin(p[0]) != origin(p[1]) {
			t.Errorf("%v differ", p)
		}
	}
	for _, p := range other {
		if origin(p[0]) == origin(p[1]) {
			t.Errorf("%v are the same", p)
		}
	}
}

func TestWebRange(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][2]int64{"bytes 0-9/100": {0, 100}, "bytes 5-9/*": {5, -1}, "bytes */100": {-1, 100}, "": {-1, -1}, "items 0-1/2": {-1, -1}, "bytes x-y/z": {-1, -1}, "Bytes 1-2/3": {1, 3}} {
		off, size := webRange(http.Header{"Content-Range": {s}})
		if off != want[0] || size != want[1] {
			t.Errorf("%q: got %d, %d, want %v", s, off, size, want)
		}
	}
}
