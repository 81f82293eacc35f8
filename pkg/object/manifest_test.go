package object

import (
	"strings"
	"testing"
)

func TestManifestGolden(t *testing.T) {
	sum := func(s string) Digest {
		d, err := ParseDigest(MD5, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := Manifest{
		{Path: "é.txt", Digest: sum("88df14e6957d2adb8ae54d0269f546ab")},
		{Path: "a b", Digest: sum("401b30e3b8b5d629635a5c613cdb7919")},
		{Path: "a", Digest: sum("60b725f10c9c85c70d97880dfe8191b3")},
	}
	m.Sort()
	const want = `[{"md5": "60b725f10c9c85c70d97880dfe8191b3", "relpath": "a"}, {"md5": "401b30e3b8b5d629635a5c613cdb7919", "relpath": "a b"}, {"md5": "88df14e6957d2adb8ae54d0269f546ab", "relpath": "\u00e9.txt"}]`
	got, d := m.Encode(MD5)
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if d != Sum(MD5, []byte(want)).AsDir() {
		t.Errorf("digest %v", d)
	}
	back, err := ParseManifest(MD5, got)
	if err != nil || len(back) != 3 || back[2].Path != "é.txt" {
		t.Errorf("parsed %v, %v", back, err)
	}
	if empty, d := (Manifest{}).Encode(MD5); string(empty) != "[]" || d.String() != "d751713988987e9331980363e24189ce.dir" {
		t.Errorf("empty manifest: %s %v", empty, d)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	const h = "60b725f10c9c85c70d97880dfe8191b3"
	entry := func(p string) string { return `{"md5": "` + h + `", "relpath": "` + p + `"}` }
	for name, text := range map[string]string{
		"parent":         "[" + entry("../x") + "]",
		"inner parent":   "[" + entry("a/../../x") + "]",
		"absolute":       "[" + entry("/etc/passwd") + "]",
		"git":            "[" + entry("a/.git/config") + "]",
		"git disguised":  "[" + entry("a/.GIT /config") + "]",
		"git short name": "[" + entry("git~1/config") + "]",
		"git ignorable":  "[" + entry(`.g\u200cit/config`) + "]",
		"own folder":     "[" + entry(".dvc/config") + "]",
		"nul":            "[" + entry(`a\u0000b`) + "]",
		"empty":          "[" + entry("") + "]",
		"empty part":     "[" + entry("a//b") + "]",
		"twice":          "[" + entry("a") + ", " + entry("a") + "]",
		"file and dir":   "[" + entry("a") + ", " + entry("a b") + ", " + entry("a/b") + "]",
		"deep file dir":  "[" + entry("a") + ", " + entry("a/b/c") + "]",
		"short digest":   `[{"md5": "60", "relpath": "a"}]`,
		"long digest":    `[{"md5": "` + h + `00", "relpath": "a"}]`,
		"dir digest":     `[{"md5": "` + h + `.dir", "relpath": "a"}]`,
		"digest path":    `[{"md5": "../../../../../../../etc/passwd1", "relpath": "a"}]`,
		"no digest":      `[{"relpath": "a"}]`,
		"no path":        `[{"md5": "` + h + `"}]`,
		"cut":            "[" + entry("a"),
		"trailing":       "[" + entry("a") + "] x",
		"object":         "{}",
		"nothing":        "",
		"html":           "<html>login</html>",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := ParseManifest(MD5, []byte(text)); err == nil {
				t.Errorf("accepted as %v", m)
			}
		})
	}
}

func TestManifestUnder(t *testing.T) {
	var m Manifest
	for _, p := range []string{"a", "a b", "b/x", "b/y/z", "b.txt", "b0"} {
		m = append(m, File{Path: p})
	}
	m.Sort()
	for dir, want := range map[string]string{"b": "b/x b/y/z", "a": "a", "b/y": "b/y/z", "c": "", "": "a a b b.txt b/x b/y/z b0"} {
		var got []string
		for _, f := range m.Under(dir) {
			got = append(got, f.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Under(%q) = %v, want %q", dir, got, want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`[{"md5": "60b725f10c9c85c70d97880dfe8191b3", "relpath": "a"}, {"md5": "401b30e3b8b5d629635a5c613cdb7919", "relpath": "\u00e9\ud83d\ude00 \"b"}]`))
	f.Add([]byte(`[{"relpath": "x", "size": 3, "md5": "60B725F10C9C85C70D97880DFE8191B3", "isexec": true}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(MD5, data)
		if err != nil {
			return
		}
		enc, d := m.Encode(MD5)
		again, err := ParseManifest(MD5, enc)
		if err != nil {
			t.Fatalf("own encoding refused: %v\n%s", err, enc)
		}
		if enc2, d2 := again.Encode(MD5); d != d2 || string(enc) != string(enc2) {
			t.Fatalf("encoding changed:\n%s\n%s", enc, enc2)
		}
	})
}

func TestDos2Unix(t *testing.T) {
	for in, same := range map[string]string{"a\r\nb\r\n": "a\nb\n", "": "", "\x00\r\n": "\x00\r\n"} {
		h := MD5Legacy.New()
		for i := range in { // a byte at a time
			h.Write([]byte{in[i]})
		}
		if got, want := NewDigest(MD5, h.Sum(nil), false), Sum(MD5, []byte(same)); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, a := range []Algorithm{MD5, BLAKE3, MD5Legacy} {
		for _, d := range []Digest{Sum(a, []byte("x")), Sum(a, []byte("y")).AsDir()} {
			if got, ok := ParseKey(d.Key()); !ok || got != d {
				t.Errorf("%v: key %q parses to %v, %v", d, d.Key(), got, ok)
			}
		}
	}
	for _, bad := range []string{"", "a", "files/md5/aa", "files/md5/aa/../bb", "runs/ab/cd", "files/md5/AA/" + strings.Repeat("0", 30), "aa/" + strings.Repeat("0", 30) + ".tmp"} {
		if d, ok := ParseKey(bad); ok {
			t.Errorf("%q parses to %v", bad, d)
		}
	}
}
