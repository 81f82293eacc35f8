package pipeline

import (
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Version is where a cloud-versioned remote keeps a file's bytes: which of the
// versions of the key that is the file's path.
type Version struct {
	Remote string // its name; "" where the record does not say
	ETag   string
	ID     string // "" is none: it was not pushed to such a remote
}

// Version is the recorded version of a file, the zero Version without one. An
// entry has at most one, as in DVC.
func (e *Entry) Version() Version {
	if clouds, ok := e.Cloud.(*yamlfmt.Map); ok {
		for name, v := range clouds.All() {
			m, _ := v.(*yamlfmt.Map)
			if m == nil {
				break
			}
			return Version{Remote: name, ETag: text(m, "etag"), ID: text(m, "version_id")}
		}
	}
	return Version{ETag: e.ETag, ID: e.VersionID}
}

// SetVersion records a version in place of another.
func (e *Entry) SetVersion(v Version) {
	e.ETag, e.Checksum, e.VersionID = "", "", ""
	m := yamlfmt.NewMap()
	put(m, "etag", v.ETag)
	put(m, "version_id", v.ID)
	e.Cloud = yamlfmt.NewMap(v.Remote, m)
}

// Manifest is the folder that the files: list names; ok is false if there is no
// list or it lacks digests. The result is sorted.
func (e *Entry) Manifest() (m object.Manifest, ok bool) {
	if e.Files == nil {
		return nil, false
	}
	m = make(object.Manifest, 0, len(e.Files))
	for i := range e.Files {
		f := &e.Files[i]
		if f.Digest.IsZero() {
			return nil, false
		}
		m = append(m, object.File{Path: f.RelPath, Digest: f.Digest, Size: f.Size})
	}
	m.Sort()
	return m, true
}

// SetFiles gives a folder its files: list. Files that old, which may be nil,
// has with the same content keep what is recorded of them there.
func (e *Entry) SetFiles(m object.Manifest, old []FileEntry) {
	known := make(map[string]*FileEntry, len(old))
	for i := range old {
		known[old[i].RelPath] = &old[i]
	}
	e.Files = make([]FileEntry, 0, len(m))
	for _, f := range m {
		fe := FileEntry{RelPath: f.Path, Entry: Entry{Digest: f.Digest, Size: f.Size, NFiles: -1}}
		if k := known[f.Path]; k != nil && k.Digest == f.Digest {
			if fe.Entry = k.Entry; fe.Size < 0 {
				fe.Size = f.Size
			}
		}
		e.Files = append(e.Files, fe)
	}
}

// Renamed gives an entry of DVC 2 the digest that DVC 3 has for its content.
// Where the digits are others, no version that is recorded has them.
func (e *Entry) Renamed(d object.Digest) {
	same := e.Digest.String() == d.String()
	e.Digest, e.Legacy = d, false
	if !same {
		e.Files, e.ETag, e.VersionID, e.Cloud = nil, "", "", nil
		return
	}
	files := make([]FileEntry, len(e.Files))
	for i, f := range e.Files {
		// The folder's digest is that of the files', which are the same then.
		f.Digest, _ = object.ParseDigest(d.Algorithm(), f.Digest.String())
		files[i] = f
	}
	if e.Files != nil {
		e.Files = files
	}
}

// fromFiles gives a folder of the workspace the digest of its files: list, whose
// paths and digests must make a manifest.
func (l *loader) fromFiles(e *Entry, at []any) {
	if e.IsExternal() {
		return
	}
	m, ok := e.Manifest()
	if !ok {
		return
	}
	alg := e.Digest.Algorithm()
	if alg == object.None {
		switch alg = object.MD5; {
		case len(m) > 0:
			alg = m[0].Digest.Algorithm()
		case e.Legacy:
			alg = object.MD5Legacy
		}
	}
	data, d := m.Encode(alg)
	if _, err := object.ParseManifest(alg, data); err != nil {
		l.say(append(at[:len(at):len(at)], "files"), "%v", err)
		return
	}
	e.Digest, e.NFiles, e.Size = d, len(m), m.Size()
}

// RunEntry is [Stage.LockEntry] as the run cache has it: without what says
// where bytes were pushed to, which differs from clone to clone.
func (s *Stage) RunEntry() *yamlfmt.Map {
	run := *s
	run.Deps, run.Outs = make([]*Dep, len(s.Deps)), make([]*Out, len(s.Outs))
	for i, d := range s.Deps {
		c := *d
		c.Entry.unpushed()
		run.Deps[i] = &c
	}
	for i, o := range s.Outs {
		c := *o
		c.Entry.unpushed()
		run.Outs[i] = &c
	}
	return run.LockEntry()
}

func (e *Entry) unpushed() {
	if e.Files != nil && !e.Digest.IsZero() {
		e.Files = nil
	}
	if !e.IsExternal() {
		e.ETag, e.VersionID, e.Cloud = "", "", nil
	}
}

// EntryWith is a stage's entry of the lock with what the stage now records of
// its outs and of the folders it depends on. All else stays, also a command that
// has changed since. nil: the lock has no such entry.
func (l *Lock) EntryWith(s *Stage) *yamlfmt.Map {
	m := l.Entry(s.Name)
	if m == nil {
		return nil
	}
	m = m.Clone()
	replace := func(kind string, entries map[string]*Entry) {
		items := list(m, kind)
		now := make([]any, len(items))
		for i, item := range items {
			now[i] = item
			if e := entries[text(item.(*yamlfmt.Map), "path")]; e != nil {
				now[i] = e.lockValue()
			}
		}
		if len(items) > 0 {
			m.Set(kind, now)
		}
	}
	deps, outs := map[string]*Entry{}, map[string]*Entry{}
	for _, d := range s.Deps {
		if d.Files != nil {
			deps[d.Path] = &d.Entry
		}
	}
	for _, o := range s.Outs {
		if o.Cache {
			outs[o.Path] = &o.Entry
		}
	}
	replace("deps", deps)
	replace("outs", outs)
	return m
}
