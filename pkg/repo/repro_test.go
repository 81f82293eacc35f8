package repo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func lockEntry(r *rand.Rand) *yamlfmt.Map {
	cmd := strings.Repeat("python train.py --some-option value ", r.IntN(5)+1)
	m := yamlfmt.NewMap("cmd", strings.TrimSpace(cmd))
	if r.IntN(2) == 0 {
		m.Set("cmd", []any{"a: b", "multi\nline", cmd})
	}
	m.Set("params", yamlfmt.NewMap("params.yaml", yamlfmt.NewMap("lr", 1e-5, "x.y", []any{int64(1), "yes"}, "n", yamlfmt.NewMap("k", nil))))
	m.Set("outs", []any{yamlfmt.NewMap("path", fmt.Sprint("o", r.IntN(9)), "hash", "md5", "md5", "d41d8cd98f00b204e9800998ecf8427e", "size", int64(0))})
	return m
}

// TestLockText holds a lock that is put together from the texts of its stages
// against one that is edited as a whole.
func TestLockText(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{
		"new":      "",
		"plain":    "schema: '2.0'\nstages:\n  a:\n    cmd: x\n  b@1:\n    cmd: y\n",
		"comment":  "# keep me\nschema: '2.0'\nstages:\n  a:\n    cmd: x   # and me\n  b@1:\n    cmd: y\n",
		"layout":   "stages:\n    a: {cmd: x}\nschema: '2.0'\n",
		"nothing":  "schema: '2.0'\n",
		"datasets": "schema: '2.0'\ndatasets:\n- name: d\n  type: dvc\nstages:\n  a:\n    cmd: x\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			l := &lockText{file: "dvc.lock", base: []byte(base)}
			var all []pipeline.LockChange
			for i, stage := range []string{"new", "b@1", "'quoted", "a", "last: one"} {
				e := lockEntry(r)
				all = append(all, pipeline.LockChange{Name: stage, Entry: e})
				modified, created, err := l.set(i, stage, e)
				if err != nil || !modified || created != (base == "" && i == 0) {
					t.Fatal(stage, modified, created, err)
				}
				if again, _, _ := l.set(i, stage, e.Clone()); again {
					t.Errorf("%s: modified by what it has", stage)
				}
				got, err := l.render()
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := pipeline.UpdateLock("dvc.lock", []byte(base), all)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("after %s: %v\n%s\nwant\n%s", stage, err, got, want)
				}
			}
		})
	}
}

// TestLockOrder: stages that end in another order stand in the lock as in a
// serial run.
func TestLockOrder(t *testing.T) {
	t.Parallel()
	l := &lockText{file: "dvc.lock"}
	for _, i := range []int{3, 1, 4, 0, 2} {
		if _, _, err := l.set(i, fmt.Sprint("s", i), yamlfmt.NewMap("cmd", "x")); err != nil {
			t.Fatal(err)
		}
	}
	text, err := l.render()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := pipeline.ParseLock("dvc.lock", text)
	if err != nil || strings.Join(lock.Names(), " ") != "s0 s1 s2 s3 s4" {
		t.Errorf("%v %v\n%s", lock.Names(), err, text)
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]float64{
		"1": 1, "0.5": 0.5, "8GB": 8e9, "8 GiB": 8 << 30, "512m": 512e6, "3k": 3e3, "7B": 7,
		"": -1, "x": -1, "-1": -1, "GB": -1, "nan": -1, "inf": -1, "1e999": -1, "1XB": -1,
	} {
		got, ok := amount(s)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for text, bad := range map[string]string{
		"":                                       "",
		"{other: 1}":                             "",
		"{cairn: }":                              "",
		"{cairn: {mutex: a, resources: {g: 1}}}": "",
		"{cairn: {mutex: [a, b]}}":               "",
		"{cairn: {mutex: a, check: [a > 1]}}":    "",
		"{cairn: 1}":                             "expected a mapping",
		"{cairn: {mutex: [1]}}":                  "list of names",
		"{cairn: {mutx: a}}":                     `unknown key "mutx"`,
		"{cairn: {resources: 1}}":                "mapping of amounts",
		"{cairn: {resources: {g: lots}}}":        `"lots" is no amount`,
	} {
		doc, err := yamlfmt.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseLimits(&pipeline.Stage{Name: "s", File: "dvc.yaml", Line: 3, Meta: doc.Value()})
		if bad == "" && err != nil || bad != "" && (err == nil || !strings.Contains(err.Error(), bad)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	b := newBudget(map[string]float64{"g": 2})
	one := limits{mutexes: []string{"a"}, needs: map[string]float64{"g": 1}}
	two := limits{needs: map[string]float64{"g": 2}}
	b.take(one)
	if b.fits(one) || b.fits(two) || !b.fits(limits{needs: map[string]float64{"g": 1}}) {
		t.Error("the budget does not count")
	}
	b.give(one)
	if !b.fits(one) || !b.fits(two) {
		t.Error("the budget does not get back")
	}
}

func TestOverlapping(t *testing.T) {
	t.Parallel()
	list := []string{"/r/a", "/r/b/c"}
	for p, want := range map[string]string{
		"/r/a": "/r/a", "/r/a/x": "/r/a", "/r/ab": "", "/r/b": "/r/b/c", "/r": "/r/a", "/r/b/cd": "",
	} {
		if got := overlapping(list, p); got != want {
			t.Errorf("%s: %q", p, got)
		}
	}
}
