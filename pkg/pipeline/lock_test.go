package pipeline

import (
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

func TestLocksAsDVC(t *testing.T) {
	for _, c := range recorded(t, "locks.json") {
		t.Run(c.Name, func(t *testing.T) {
			doc, err := yamlfmt.Parse([]byte(c.Entries)) // JSON is YAML
			if err != nil {
				t.Fatal(err)
			}
			var changes []LockChange
			for name, e := range doc.Value().(*yamlfmt.Map).All() {
				changes = append(changes, LockChange{name, e.(*yamlfmt.Map)})
			}
			got, _, err := UpdateLock("dvc.lock", []byte(c.Text), changes)
			if c.Error != "" {
				checkReport(t, err, "./dvc.lock", c.Error)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.Update {
				t.Errorf("got %q\nwant %q", got, c.Update)
			}
		})
	}
}

const sampleLock = `schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - path: in
      hash: md5
      md5: d3b07384d113edec49eaa6238ad5ff00
      size: 4
    params:
      params.yaml:
        lr: 0.1
        steps: 10
    outs:
    - path: model
      hash: md5
      md5: 9dd4e461268c8034f5c8564e155c67a6.dir
      size: 1
      nfiles: 1
`

func sampleStage() *Stage {
	s := &Stage{File: "dvc.yaml", Name: "train", WDir: ".", Cmd: []string{"python train.py"}}
	s.Deps = []*Dep{{Stage: s, Entry: Entry{Path: "in", Size: -1, NFiles: -1}}}
	s.Outs = []*Out{{Stage: s, Cache: true, Push: true, Entry: Entry{Path: "model", Size: -1, NFiles: -1}}}
	s.Params = []*ParamDep{{Path: "params.yaml", Keys: []string{"steps", "lr", "missing"}}}
	return s
}

func TestLockFillsAndEncodes(t *testing.T) {
	t.Parallel()
	l, err := ParseLock("dvc.lock", []byte(sampleLock))
	if err != nil {
		t.Fatal(err)
	}
	s := sampleStage()
	l.Fill(s)
	if !s.HasLock || s.LockedCmd != "python train.py" || s.Outs[0].NFiles != 1 || !s.Outs[0].Digest.IsDir() {
		t.Errorf("filled %+v", s)
	}
	if v := s.Params[0].Values; v == nil || v.Values["lr"] != 0.1 || len(v.Keys) != 2 {
		t.Errorf("params %+v", s.Params[0].Values)
	}
	got := yamlfmt.Marshal(yamlfmt.NewMap("schema", "2.0", "stages", yamlfmt.NewMap("train", s.LockEntry())))
	if string(got) != sampleLock {
		t.Errorf("encoded\n%s", got)
	}
	s.Outs[0].Digest = object.Sum(object.BLAKE3, nil)
	s.Outs[0].NFiles = -1
	item := string(yamlfmt.Marshal(s.LockEntry()))
	if !strings.Contains(item, "- path: model\n  hash: blake3\n  blake3: af1349b9") {
		t.Errorf("blake3 entry\n%s", item)
	}
}

func TestRemoveFromLock(t *testing.T) {
	t.Parallel()
	two := sampleLock + "  other:\n    cmd: ls\n"
	got, changed, err := RemoveFromLock("dvc.lock", []byte(two), "other", "nosuch")
	if err != nil || !changed || string(got) != sampleLock {
		t.Errorf("got %q, %v, %v", got, changed, err)
	}
	if got, changed, err = RemoveFromLock("dvc.lock", []byte(sampleLock), "train"); got != nil || !changed || err != nil {
		t.Errorf("last stage: %q, %v, %v", got, changed, err)
	}
	if got, changed, _ = RemoveFromLock("dvc.lock", []byte(two), "nosuch"); changed || string(got) != two {
		t.Errorf("nothing to remove: %q, %v", got, changed)
	}
}

func TestLockOldForm(t *testing.T) {
	t.Parallel()
	old := "train:\n  cmd: python train.py\n  deps:\n  - path: in\n    md5: d3b07384d113edec49eaa6238ad5ff00\n    size: 4\n"
	l, err := ParseLock("dvc.lock", []byte(old))
	if err != nil {
		t.Fatal(err)
	}
	s := sampleStage()
	l.Fill(s)
	if s.Deps[0].Digest.Algorithm() != object.MD5Legacy {
		t.Errorf("digest %v of %s", s.Deps[0].Digest, s.Deps[0].Digest.Algorithm().Name())
	}
	got, _, err := UpdateLock("dvc.lock", []byte(old), []LockChange{{"x", yamlfmt.NewMap("cmd", "ls")}})
	if want := "schema: '2.0'\nstages:\n  " + strings.ReplaceAll(strings.TrimSpace(old), "\n", "\n  ") + "\n  x:\n    cmd: ls\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

func TestLockDatasets(t *testing.T) {
	t.Parallel()
	ds := yamlfmt.NewMap("name", "a", "type", "url", "url", "s3://b")
	got, err := SetLockDataset("dvc.lock", nil, ds)
	if want := "schema: '2.0'\ndatasets:\n- name: a\n  type: url\n  url: s3://b\nstages: {}\n"; err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
	again, err := SetLockDataset("dvc.lock", got, yamlfmt.NewMap("name", "a", "type", "url", "url", "s3://c"))
	if want := strings.Replace(string(got), "s3://b", "s3://c", 1); err != nil || string(again) != want {
		t.Errorf("got %q, %v", again, err)
	}
}

func TestLockBroken(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"bad digest":   strings.Replace(sampleLock, "d3b0", "../x", 1),
		"unknown hash": strings.Replace(sampleLock, "hash: md5", "hash: sha1", 1),
		"conflict":     "<<<<<<< HEAD\n" + sampleLock + "=======\n",
		"no mapping":   "[1]\n",
		"schema":       "schema: 2.0\nstages: {}\n",
	} {
		if _, err := ParseLock("dvc.lock", []byte(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add(sampleLock)
	f.Add("train:\n  cmd: [a, b]\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLock("dvc.lock", []byte(text))
		if err != nil {
			return
		}
		l.Fill(sampleStage())
		entry := sampleStage().LockEntry()
		got, _, err := UpdateLock("dvc.lock", []byte(text), []LockChange{{"train", entry}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseLock("dvc.lock", got)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", text, got, err)
		}
		if !yamlfmt.Equal(again.Entry("train"), entry) {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}
