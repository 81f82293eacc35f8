package git

import (
	"bytes"
	"crypto/sha1"
	"strings"
	"testing"
)

func FuzzParseIndex(f *testing.F) {
	x := &index{entries: []indexEntry{
		{name: "a", raw: make([]byte, indexFixed+20)},
		{name: "dir/b", raw: make([]byte, indexFixed+20), flags: flagExtended, more: 1 << 13},
	}}
	sum := func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	f.Add(x.encode(sum))
	x.flags = true
	f.Add(x.encode(sum))
	f.Add([]byte("DIRC\x00\x00\x00\x04\x00\x00\x00\x01" + strings.Repeat("\x00", 62) + "\x00abc\x00" + strings.Repeat("\x00", 20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parseIndex(data, 20)
		if err != nil {
			return
		}
		y, err := parseIndex(x.encode(sum), 20)
		if err != nil || len(y.entries) != len(x.entries) {
			t.Fatalf("written and read again: %v", err)
		}
		for i := range x.entries {
			a, b := x.entries[i], y.entries[i]
			if a.name != b.name || !bytes.Equal(a.raw, b.raw) || a.more != b.more {
				t.Fatalf("entry %d: %v became %v", i, a, b)
			}
		}
		x.hasBelow("dir")
		x.inSubmodule("a/b/c")
	})
}

func FuzzParseTree(f *testing.F) {
	id := strings.Repeat("i", 20)
	f.Add([]byte("100644 a\x00" + id + "40000 dir\x00" + id + "120000 l\x00" + id))
	f.Add([]byte("100644 ../x\x00" + id))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseTree(data, 20)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.name == "" || e.name == "." || e.name == ".." || strings.Contains(e.name, "/") {
				t.Fatalf("bad name %q", e.name)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("[core]\n\tbare = false\n[merge \"dvc\"]\n\tdriver = \"a \\\"b\\\" \" # c\n")
	f.Add("[merge \"dvc\"] name = x\n[a]\nb\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		values := func(text string) (map[string]string, error) {
			m := map[string]string{}
			err := parseConfig("x", text, func(k, v string) error { m[k] = v; return nil })
			return m, err
		}
		before, err := values(text)
		if err != nil {
			return
		}
		out, err := setConfig("x", text, "merge", "dvc", [][2]string{{"driver", "run %O "}})
		if err != nil {
			return
		}
		after, err := values(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		if after["merge.dvc.driver"] != "run %O " {
			t.Fatalf("%q became %q: driver %q", text, out, after["merge.dvc.driver"])
		}
		for k, v := range before {
			if k != "merge.dvc.driver" && after[k] != v {
				t.Fatalf("%q became %q: %s was %q, is %q", text, out, k, v, after[k])
			}
		}
	})
}

func FuzzAddPreCommit(f *testing.F) {
	f.Add("repos:\n- repo: a\n# c\nx: 1\n")
	f.Add("repos: []")
	f.Fuzz(func(t *testing.T, text string) {
		out, err := addPreCommit(text, "cairn")
		if err != nil {
			return
		}
		if again, err := addPreCommit(out, "cairn"); err != nil || again != out {
			t.Fatalf("%q became %q, then %q, %v", text, out, again, err)
		}
	})
}
