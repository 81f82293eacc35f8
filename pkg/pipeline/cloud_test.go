package pipeline

import (
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// cloudFile is what DVC 3.67 wrote after a push to a version_aware remote.
const cloudFile = `outs:
- md5: 5bbf5a52328e7439ae6e719dfe712200
  size: 4
  hash: md5
  path: f
  cloud:
    r:
      etag: 5bbf5a52328e7439ae6e719dfe712200
      version_id: 
        3/60O30C1G60O30C1G60O30C1G60O30C1G60O30C1G60O30C1H03FOGPA0I9IGJDG=
- hash: md5
  path: d
  files:
  - relpath: a
    md5: 60b725f10c9c85c70d97880dfe8191b3
    size: 2
    cloud:
      r:
        etag: 60b725f10c9c85c70d97880dfe8191b3
        version_id: V1
  - relpath: sub/b
    md5: 3b5d5c3712955042212316173ccf37be
    size: 2
`

const (
	digestA = "60b725f10c9c85c70d97880dfe8191b3"
	digestB = "3b5d5c3712955042212316173ccf37be"
	// dirDigest is that of the folder before it was pushed.
	dirDigest = "8b3662b0d460701f7734cdf533c5aa85.dir"
)

func TestCloudEntries(t *testing.T) {
	t.Parallel()
	s, err := ParseDvcFile("x.dvc", []byte(cloudFile))
	if err != nil {
		t.Fatal(err)
	}
	f, d := s.Outs[0], s.Outs[1]
	if got, want := f.Version(), (Version{"r", "5bbf5a52328e7439ae6e719dfe712200", "3/60O30C1G60O30C1G60O30C1G60O30C1G60O30C1G60O30C1H03FOGPA0I9IGJDG="}); got != want {
		t.Errorf("version %v, want %v", got, want)
	}
	if d.Digest.String() != dirDigest || d.NFiles != 2 || d.Size != 4 {
		t.Errorf("the folder: %s, %d files, %d bytes", d.Digest, d.NFiles, d.Size)
	}
	if got := string(s.EncodeDvcFile([]byte(cloudFile))); got != cloudFile {
		t.Errorf("rewritten:\n%s", got)
	}

	// The file that stays keeps its version, the one that changed loses it.
	m := object.Manifest{{Path: "a", Digest: d.Files[0].Digest, Size: 2}, {Path: "sub/b", Digest: f.Digest, Size: 4}}
	d.SetFiles(m, d.Files)
	if d.Files[0].Version().ID != "V1" || d.Files[1].Version().ID != "" {
		t.Errorf("versions after a change: %v", d.Files)
	}
	d.Files[1].SetVersion(Version{"r", "E", "V2"})
	text := string(s.EncodeDvcFile([]byte(cloudFile)))
	if !strings.Contains(text, "    md5: 5bbf5a52328e7439ae6e719dfe712200\n    size: 4\n    cloud:\n      r:\n        etag: E\n        version_id: V2\n") {
		t.Errorf("a new version:\n%s", text)
	}
}

func TestCloudEntriesRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"leaves":       {"sub/b", "../b", "relpath"},
		"twice":        {"sub/b", "a", "twice"},
		"file, folder": {"sub/b", "a/b", "both as a file and as a folder"},
		"not a digest": {digestB, "3b", "md5"},
		"two remotes":  {"        version_id: V1\n", "        version_id: V1\n      s: {etag: x}\n", "cloud"},
		"foreign key":  {"    md5: " + digestB, "    blake3: " + digestB + digestB, "extra keys not allowed"},
	} {
		text := strings.Replace(cloudFile, c.old, c.new, 1)
		if _, err := ParseDvcFile("x.dvc", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// Without digests nothing is known of the folder, and nothing is lost.
	text := strings.Replace(cloudFile, "    md5: "+digestA+"\n", "", 1)
	s, err := ParseDvcFile("x.dvc", []byte(text))
	if err != nil || !s.Outs[1].Digest.IsZero() {
		t.Fatalf("a list without digests: %v", err)
	}
	if got := string(s.EncodeDvcFile([]byte(text))); got != text {
		t.Errorf("rewritten:\n%s", got)
	}
}

func TestCloudRenamed(t *testing.T) {
	t.Parallel()
	old := strings.ReplaceAll(cloudFile, "hash: md5\n  path: f", "path: f")
	old = strings.Replace(old, "- hash: md5\n  path: d", "- path: d", 1)
	for _, digits := range []string{dirDigest, digestB + ".dir"} {
		s, err := ParseDvcFile("x.dvc", []byte(old))
		if err != nil {
			t.Fatal(err)
		}
		d := s.Outs[1]
		if alg := d.Digest.Algorithm(); alg != object.MD5Legacy || d.Files[0].Digest.Algorithm() != alg {
			t.Fatalf("an entry of DVC 2 has %v", d.Digest)
		}
		to, err := object.ParseDigest(object.MD5, digits)
		if err != nil {
			t.Fatal(err)
		}
		d.Renamed(to)
		again, err := ParseDvcFile("x.dvc", s.EncodeDvcFile(nil))
		if err != nil || again.Outs[1].Digest != to || (again.Outs[1].Files != nil) != (digits == dirDigest) {
			t.Errorf("%s: %v\n%s", digits, err, s.EncodeDvcFile(nil))
		}
	}
}

const cloudLock = `schema: '2.0'
stages:
  t:
    cmd: old
    deps:
    - path: d
      hash: md5
      md5: 8b3662b0d460701f7734cdf533c5aa85.dir
      size: 4
      nfiles: 2
    outs:
    - path: o
      hash: md5
      md5: 8b3662b0d460701f7734cdf533c5aa85.dir
      size: 4
      nfiles: 2
`

const cloudLockPushed = `schema: '2.0'
stages:
  t:
    cmd: old
    deps:
    - path: d
      hash: md5
      files:
      - relpath: a
        md5: 60b725f10c9c85c70d97880dfe8191b3
    outs:
    - path: o
      hash: md5
      files:
      - relpath: a
        md5: 60b725f10c9c85c70d97880dfe8191b3
        size: 2
        cloud:
          r:
            etag: E
            version_id: V
`

func TestCloudLock(t *testing.T) {
	t.Parallel()
	l, err := ParseLock("dvc.lock", []byte(cloudLock))
	if err != nil {
		t.Fatal(err)
	}
	s := &Stage{File: "dvc.yaml", Name: "t", WDir: ".", Cmd: []string{"new"}}
	s.Deps = []*Dep{{Stage: s, Entry: Entry{Path: "d"}}}
	s.Outs = []*Out{{Stage: s, Cache: true, Entry: Entry{Path: "o"}}}
	l.Fill(s)
	before := yamlfmt.Marshal(s.RunEntry())
	a, err := object.ParseDigest(object.MD5, digestA)
	if err != nil {
		t.Fatal(err)
	}
	s.Deps[0].SetFiles(object.Manifest{{Path: "a", Digest: a, Size: -1}}, nil)
	s.Outs[0].SetFiles(object.Manifest{{Path: "a", Digest: a, Size: 2}}, nil)
	s.Outs[0].Files[0].SetVersion(Version{"r", "E", "V"})
	text, changed, err := UpdateLock("dvc.lock", []byte(cloudLock), []LockChange{{Name: "t", Entry: l.EntryWith(s)}})
	if err != nil || !changed || string(text) != cloudLockPushed {
		t.Errorf("%v, %v:\n%s", err, changed, text)
	}
	if after := yamlfmt.Marshal(s.RunEntry()); string(after) != string(before) {
		t.Errorf("the run was\n%s\nand is\n%s", before, after)
	}
}
