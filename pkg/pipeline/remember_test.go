package pipeline

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

var rememberedPointers = map[string]string{
	"plain": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  hash: md5\n  path: a\n",
	"legacy": "md5: 0123456789abcdef0123456789abcdef\nwdir: ..\nfrozen: true\nalways_changed: true\ndesc: of old\nouts:\n" +
		"- md5: d41d8cd98f00b204e9800998ecf8427e.dir\n  nfiles: 3\n  path: a b\n  cache: false\n  persist: true\n  push: false\n" +
		"  labels: [x, 'y z']\n  type: t\n  desc: d\n  meta: {k: [1, 2.5, true, null, {z: text}]}\n  remote: r\n",
	"nothing recorded": "outs:\n- path: a\n",
	"blake3":           "outs:\n- blake3: af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262\n  hash: blake3\n  size: 0\n  path: a\n",
	"import": "deps:\n- path: data\n  repo:\n    url: https://x/y\n    rev: main\n    rev_lock: abc\n    config: {a: {b: c}}\n    remote: r\n" +
		"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  hash: md5\n  path: a\n",
	"import-url": "deps:\n- etag: '\"1\"'\n  size: 5\n  hash: md5\n  path: s3://b/k\n  version_id: v\n  fs_config: {a: b}\nouts:\n- path: a\n  hash: md5\n",
	"cloud": "outs:\n- hash: md5\n  path: d\n  files:\n  - relpath: x/y\n    md5: d41d8cd98f00b204e9800998ecf8427e\n    size: 0\n" +
		"    cloud:\n      r:\n        etag: abcdef\n        version_id: v\n  - relpath: z\n    size: 1\n    md5: 0cc175b9c0f1b6a831c399e269772661\n    isexec: true\n",
	"no files": "outs:\n- hash: md5\n  path: d\n  files: []\n",
	"db":       "deps:\n- db: {query: select 1, file_format: csv}\nouts:\n- path: a\n",
	"meta":     "meta: {a: [], c: -5, d: 1e-5}\nouts: []\n",
}

func parsed(t *testing.T, text string) *Stage {
	t.Helper()
	s, err := ParseDvcFile("dir/f.dvc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRememberedPointer(t *testing.T) {
	for name, text := range rememberedPointers {
		t.Run(name, func(t *testing.T) {
			s := parsed(t, text)
			form, ok := AppendPointer([]byte("before"), s)
			if !ok {
				t.Fatal("cannot be remembered")
			}
			got, ok := ReadPointer("dir/f.dvc", string(form[len("before"):]))
			if !ok || !reflect.DeepEqual(got, s) {
				t.Fatalf("got %+v, %v, want %+v", got, ok, s)
			}
			whole := string(form[len("before"):])
			for n := range whole {
				if _, ok := ReadPointer("dir/f.dvc", whole[:n]); ok {
					t.Fatalf("the first %d of %d bytes are taken for the whole", n, len(whole))
				}
			}
		})
	}
}

// What the form has no way to write is not remembered, rather than changed.
func TestNotRemembered(t *testing.T) {
	for name, text := range map[string]string{
		"date":         "meta: 2001-02-03\nouts: []\n",
		"large number": "meta: 123456789012345678901234567890\nouts: []\n",
		"other key":    "meta: {1: a}\nouts: []\n",
		"deep":         "meta: " + strings.Repeat("[", 80) + strings.Repeat("]", 80) + "\nouts: []\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := AppendPointer(nil, parsed(t, text)); ok {
				t.Fatal("remembered")
			}
		})
	}
}

func FuzzReadPointer(f *testing.F) {
	for _, text := range rememberedPointers {
		s, err := ParseDvcFile("dir/f.dvc", []byte(text))
		if err != nil {
			f.Fatal(err)
		}
		form, _ := AppendPointer(nil, s)
		f.Add(string(form))
	}
	f.Fuzz(func(t *testing.T, form string) {
		s, ok := ReadPointer("dir/f.dvc", form)
		if !ok {
			return
		}
		again, ok := AppendPointer(nil, s)
		if !ok {
			return
		}
		if back, ok := ReadPointer("dir/f.dvc", string(again)); !ok || len(back.Outs) != len(s.Outs) {
			t.Fatal("a form that was read cannot be written and read again")
		}
	})
}

// Whatever file parses is remembered as it is, or not at all.
func FuzzRememberFile(f *testing.F) {
	for _, text := range rememberedPointers {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseDvcFile("dir/f.dvc", []byte(text))
		if err != nil {
			return
		}
		form, ok := AppendPointer(nil, s)
		if !ok {
			return
		}
		got, ok := ReadPointer("dir/f.dvc", string(form))
		if !ok {
			t.Fatal("what was written cannot be read")
		}
		again, _ := AppendPointer(nil, got)
		if !bytes.Equal(again, form) || !bytes.Equal(got.EncodeDvcFile(nil), s.EncodeDvcFile(nil)) {
			t.Fatalf("got %+v, want %+v", got, s)
		}
	})
}
