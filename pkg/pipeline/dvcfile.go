package pipeline

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// ParseDvcFile reads a pointer file. file is its path from the repository's
// root, with slashes. The error is errs.Invalid and holds a *[FileError].
//
// The file has the shape that DVC asks for; digests have exactly the digits
// of their algorithm; outputs lie in the repository and not in .git or .dvc.
// A file without content, which DVC takes for a stage without outputs, is an
// error: it is what a crash or a bad merge leaves. Entries with hash: blake3
// are read whether or not the repository may hold them.
func ParseDvcFile(file string, data []byte) (*Stage, error) {
	doc, err := loadYAML(file, data)
	if err != nil {
		return nil, err
	}
	v := doc.Value()
	if isFalsy(v) {
		e := &FileError{File: file, text: data, Problems: []FileProblem{{Msg: "the file is empty"}}}
		return nil, errs.WithHint(invalid(e), "Restore %s from Git, or delete it and track the data again.", file)
	}
	if err := validate(file, doc, v, fileSchemas().dvcFile); err != nil {
		return nil, err
	}
	l := loader{file: file}
	s := l.stage(v.(*yamlfmt.Map))
	if len(l.bad) > 0 {
		return nil, fileProblems(file, doc, l.bad)
	}
	return s, nil
}

// loader makes a model of values that have passed a schema, and gathers what
// is wrong beyond it.
type loader struct {
	file string
	bad  []schemaError
}

func (l *loader) say(path []any, format string, args ...any) {
	say(&l.bad, path, fmt.Sprintf(format, args...))
}

func text(m *yamlfmt.Map, key string) string {
	v, _ := m.Get(key)
	s, _ := checksumText(v)
	return s
}

func flag(m *yamlfmt.Map, key string) bool {
	v, _ := m.Get(key)
	return v == true
}

func list(m *yamlfmt.Map, key string) []any {
	v, _ := m.Get(key)
	l, _ := v.([]any)
	return l
}

func value(m *yamlfmt.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

func (l *loader) stage(m *yamlfmt.Map) *Stage {
	s := &Stage{
		File: l.file, Frozen: flag(m, "frozen") || flag(m, "locked"), AlwaysChanged: flag(m, "always_changed"),
		Desc: text(m, "desc"), Meta: value(m, "meta"), MD5: strings.ToLower(text(m, "md5")), Line: 1,
	}
	wdir := text(m, "wdir")
	s.WDir = path.Join(path.Dir(l.file), wdir)
	if path.IsAbs(wdir) || leaves(s.WDir) || strings.ContainsRune(wdir, 0) {
		l.say([]any{"wdir"}, "stage working dir %q is outside of the repository", wdir)
		s.WDir = path.Dir(l.file)
	}
	for i, d := range list(m, "deps") {
		s.Deps = append(s.Deps, l.dep(s, d.(*yamlfmt.Map), []any{"deps", i}))
	}
	for i, o := range list(m, "outs") {
		s.Outs = append(s.Outs, l.out(s, o.(*yamlfmt.Map), []any{"outs", i}))
	}
	return s
}

// leaves reports whether a cleaned relative path leads out of the repository.
func leaves(p string) bool { return p == ".." || strings.HasPrefix(p, "../") }

func (l *loader) dep(s *Stage, m *yamlfmt.Map, at []any) *Dep {
	d := &Dep{Stage: s, DB: value(m, "db")}
	d.Entry = l.entry(m, at)
	if r, ok := value(m, "repo").(*yamlfmt.Map); ok {
		d.Repo = &RepoSource{URL: text(r, "url"), Rev: text(r, "rev"), RevLock: text(r, "rev_lock"), Config: value(r, "config"), Remote: value(r, "remote")}
	}
	if d.DB == nil {
		l.checkName(at, d.Path)
	}
	return d
}

func (l *loader) checkName(at []any, p string) {
	if p == "" {
		l.say(append(at, "path"), "required key not provided")
	} else if strings.ContainsRune(p, 0) {
		l.say(append(at, "path"), "path %q holds a NUL byte", p)
	}
}

func (l *loader) out(s *Stage, m *yamlfmt.Map, at []any) *Out {
	o := &Out{
		Stage: s, Cache: value(m, "cache") != false, Persist: flag(m, "persist"), Push: value(m, "push") != false,
		Remote: text(m, "remote"), Metric: value(m, "metric"), Plot: value(m, "plot"),
		Desc: text(m, "desc"), Type: text(m, "type"), Meta: value(m, "meta"),
	}
	for _, label := range list(m, "labels") {
		o.Labels = append(o.Labels, label.(string))
	}
	o.Entry = l.entry(m, at)
	if l.checkName(at, o.Path); o.Path == "" {
		return o
	}
	if o.IsExternal() {
		if o.Cache {
			l.say(append(at, "path"), "output %q is outside of the repository", o.Path)
		}
		return o
	}
	if err := disk.CheckRel(o.RepoPath()); err != nil {
		l.say(append(at, "path"), "%v", err)
	}
	return o
}

// entry reads what deps, outs and lock entries have in common.
func (l *loader) entry(m *yamlfmt.Map, at []any) Entry {
	e := Entry{
		Path: text(m, "path"), Size: number(m, "size"), NFiles: int(number(m, "nfiles")), IsExec: flag(m, "isexec"),
		ETag: text(m, "etag"), Checksum: text(m, "checksum"), VersionID: text(m, "version_id"),
		Cloud: value(m, "cloud"), FSConfig: value(m, "fs_config"),
	}
	e.Legacy = !m.Has("hash") && !e.IsExternal()
	e.Digest = l.digest(m, at, e.Legacy)
	files, has := m.Get("files")
	if !has || files == nil {
		return e
	}
	e.Files = []FileEntry{}
	for i, f := range files.([]any) {
		fm := f.(*yamlfmt.Map)
		fat := append(at[:len(at):len(at)], "files", i)
		fe := FileEntry{RelPath: text(fm, "relpath"), Entry: Entry{
			Size: number(fm, "size"), NFiles: -1, IsExec: flag(fm, "isexec"), ETag: text(fm, "etag"),
			Checksum: text(fm, "checksum"), VersionID: text(fm, "version_id"), Cloud: value(fm, "cloud"),
		}}
		fe.Digest = l.fileDigest(m, fm, fat, e.Legacy)
		if err := disk.CheckRel(fe.RelPath); err != nil {
			l.say(append(fat, "relpath"), "%v", err)
		}
		e.Files = append(e.Files, fe)
	}
	l.fromFiles(&e, at)
	return e
}

func number(m *yamlfmt.Map, key string) int64 {
	if n, ok := value(m, key).(int64); ok {
		return n
	}
	return -1
}

// digest reads the digest of an entry by its hash field.
func (l *loader) digest(m *yamlfmt.Map, at []any, legacy bool) object.Digest {
	return l.hashed(text(m, "hash"), m, at, legacy)
}

// fileDigest reads the digest of a file of a folder's files: list. The hash
// field is the folder's.
func (l *loader) fileDigest(folder, m *yamlfmt.Map, at []any, legacy bool) object.Digest {
	if text(folder, "hash") != "blake3" && m.Has("blake3") {
		l.say(append(at, "blake3"), "extra keys not allowed")
	}
	return l.hashed(text(folder, "hash"), m, at, legacy)
}

func (l *loader) hashed(name string, m *yamlfmt.Map, at []any, legacy bool) object.Digest {
	a := object.MD5
	switch name {
	case "", "md5":
		if legacy {
			a = object.MD5Legacy
		}
	case "blake3":
		a = object.BLAKE3
		if text(m, "md5") != "" {
			l.say(append(at, "md5"), "an entry with hash: blake3 has no md5")
		}
	default:
		l.say(append(at, "hash"), "unknown hash %q, expected md5 or blake3", name)
		return object.Digest{}
	}
	s := text(m, a.Key())
	if s == "" {
		return object.Digest{}
	}
	d, err := object.ParseDigest(a, strings.ToLower(s))
	if err != nil {
		l.say(append(at, a.Key()), "%v", err)
	}
	return d
}

// Value is the mapping that the pointer file holds, in DVC's order.
func (s *Stage) Value() *yamlfmt.Map {
	m := yamlfmt.NewMap()
	put(m, "desc", s.Desc)
	put(m, "md5", s.MD5)
	if w := relativeTo(path.Dir(s.File), s.WDir); w != "." {
		m.Set("wdir", w)
	}
	put(m, "frozen", s.Frozen)
	var deps, outs []any
	for _, d := range s.Deps {
		deps = append(deps, d.value())
	}
	for _, o := range s.Outs {
		outs = append(outs, o.value())
	}
	put(m, "deps", deps)
	put(m, "outs", outs)
	put(m, "always_changed", s.AlwaysChanged)
	put(m, "meta", s.Meta)
	return m
}

// put sets a key unless the value is what Python holds for false.
func put(m *yamlfmt.Map, key string, v any) {
	if !isFalsy(v) {
		m.Set(key, v)
	}
}

// relativeTo is the path from one folder to another, both from the root.
func relativeTo(from, to string) string {
	a, b := split(from), split(to)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	steps := make([]string, 0, len(a)+len(b))
	for range a {
		steps = append(steps, "..")
	}
	return path.Join(append(append(steps, b...), ".")...)
}

func split(p string) []string {
	if p = path.Clean(p); p == "." || p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

func (d *Dep) value() *yamlfmt.Map {
	m := yamlfmt.NewMap()
	switch {
	case d.DB != nil:
		db := yamlfmt.NewMap()
		if given, ok := d.DB.(*yamlfmt.Map); ok {
			for k, v := range given.All() {
				if v != nil {
					db.Set(k, v)
				}
			}
		}
		m.Set("db", db)
	case d.Repo != nil:
		m.Set("path", d.Path)
		r := yamlfmt.NewMap("url", d.Repo.URL)
		put(r, "rev", d.Repo.Rev)
		put(r, "rev_lock", d.Repo.RevLock)
		put(r, "config", d.Repo.Config)
		put(r, "remote", d.Repo.Remote)
		m.Set("repo", r)
	default:
		d.Entry.put(m)
		d.Entry.putFiles(m)
	}
	return m
}

func (o *Out) value() *yamlfmt.Map {
	m := yamlfmt.NewMap()
	o.Entry.put(m)
	put(m, "desc", o.Desc)
	put(m, "type", o.Type)
	put(m, "labels", labels(o.Labels))
	put(m, "meta", o.Meta)
	if !o.Cache {
		m.Set("cache", false)
	}
	put(m, "metric", o.Metric)
	put(m, "plot", o.Plot)
	put(m, "persist", o.Persist)
	put(m, "remote", o.Remote)
	if !o.Push {
		m.Set("push", false)
	}
	o.Entry.putFiles(m)
	return m
}

func labels(l []string) []any {
	var v []any
	for _, s := range l {
		v = append(v, s)
	}
	return v
}

// isLegacy reports whether the entry is written as DVC 2 did, without hash.
func (e *Entry) isLegacy() bool {
	if e.IsExternal() {
		return false
	}
	return e.Digest.Algorithm() == object.MD5Legacy || e.Digest.IsZero() && e.Legacy
}

// hashName is the value of the hash field.
func (e *Entry) hashName() string {
	if e.Digest.Algorithm() == object.BLAKE3 {
		return object.BLAKE3.Name()
	}
	return object.MD5.Name()
}

// put adds the entry in the order of a pointer file, without files.
func (e *Entry) put(m *yamlfmt.Map) {
	if e.Files == nil {
		if e.isLegacy() && e.Digest.IsZero() {
			m.Set("md5", nil)
		}
		e.putContent(m)
	}
	if !e.isLegacy() {
		m.Set("hash", e.hashName())
	}
	p := e.Path
	if !e.IsExternal() {
		p = path.Clean(p)
	}
	m.Set("path", p)
	put(m, "fs_config", e.FSConfig)
}

// putContent adds what is recorded of the content.
func (e *Entry) putContent(m *yamlfmt.Map) {
	switch {
	case !e.Digest.IsZero():
		m.Set(e.Digest.Algorithm().Key(), e.Digest.String())
	case e.IsExternal() && e.ETag != "":
		m.Set("etag", e.ETag)
	case e.IsExternal() && e.Checksum != "":
		m.Set("checksum", e.Checksum)
	}
	if e.Size >= 0 {
		m.Set("size", e.Size)
	}
	if e.NFiles >= 0 {
		m.Set("nfiles", int64(e.NFiles))
	}
	put(m, "isexec", e.IsExec)
	put(m, "version_id", e.VersionID)
	put(m, "etag", e.ETag)
	put(m, "checksum", e.Checksum)
	put(m, "cloud", e.Cloud)
}

func (e *Entry) putFiles(m *yamlfmt.Map) {
	if e.Files == nil {
		return
	}
	files := make([]any, 0, len(e.Files))
	for i := range e.Files {
		f := &e.Files[i]
		fm := yamlfmt.NewMap("relpath", f.RelPath)
		if f.Digest.IsZero() {
			// The server's word stands in place of a digest.
			put(fm, "etag", f.ETag)
			put(fm, "checksum", f.Checksum)
		}
		f.putContent(fm)
		files = append(files, fm)
	}
	m.Set("files", files)
}

// EncodeDvcFile is the text of the pointer file: with old, its present text,
// rewritten so that comments, the order of keys and flow style stay, as DVC
// does it; without, written anew.
func (s *Stage) EncodeDvcFile(old []byte) []byte {
	if len(old) > 0 {
		if doc, err := yamlfmt.Parse(old); err == nil && !doc.IsEmpty() {
			return doc.Update(s.Value())
		}
	}
	return yamlfmt.Marshal(s.Value())
}

// notHashed are the keys that do not count for a stage's md5, anywhere in it.
var notHashed = map[string]bool{
	"desc": true, "type": true, "labels": true, "meta": true, "locked": true, "frozen": true,
	"metric": true, "persist": true, "isexec": true, "size": true, "nfiles": true,
}

// ComputeMD5 is the stage's own md5, which DVC writes into pointer files with
// dependencies; "" without any. It covers what the file says but annotations
// and sizes.
func (s *Stage) ComputeMD5() string {
	if len(s.Deps) == 0 {
		return ""
	}
	m := s.Value()
	m.Delete("md5")
	sum := md5.Sum(yamlfmt.JSON(without(m, notHashed), true))
	return hex.EncodeToString(sum[:])
}

// without drops keys from all mappings in a value.
func without(v any, drop map[string]bool) any {
	switch x := v.(type) {
	case *yamlfmt.Map:
		m := yamlfmt.NewMap()
		for k, e := range x.AllKeys() {
			if name, ok := k.(string); !ok || !drop[name] {
				m.SetKey(k, without(e, drop))
			}
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = without(e, drop)
		}
		return l
	}
	return v
}
