package pipeline

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// Lock is a dvc.lock: what each stage read and wrote when it ran last.
type Lock struct {
	File     string // relative to the repository's root, slashes
	Datasets []any  // entries of the datasets list, as loaded

	doc     *yamlfmt.Doc
	stages  *yamlfmt.Map // name → entry, checked
	oldForm bool         // DVC 1: stages at the top, no schema
}

// ParseLock reads a dvc.lock of schema 2.0, or of DVC 1, which had no schema.
// An empty text, as DVC has it, is an error too. The error is errs.Invalid and
// holds a *[FileError].
func ParseLock(file string, data []byte) (*Lock, error) {
	doc, err := loadYAML(file, data)
	if err != nil {
		return nil, err
	}
	l := &Lock{File: file, doc: doc, stages: yamlfmt.NewMap()}
	v := doc.Value()
	if isFalsy(v) {
		v = yamlfmt.NewMap()
	}
	m, ok := v.(*yamlfmt.Map)
	if ok && m.Len() > 0 && !m.Has("schema") && !m.Has("stages") && validate(file, doc, v, fileSchemas().lock1) == nil {
		l.oldForm, l.stages = true, m
		return l, l.check(nil)
	}
	if err := validate(file, doc, v, fileSchemas().lock); err != nil {
		return nil, err
	}
	if s, ok := value(m, "stages").(*yamlfmt.Map); ok {
		l.stages = s
	}
	l.Datasets = list(m, "datasets")
	return l, l.check([]any{"stages"})
}

// check reads every entry, so that what is wrong with digests is said before
// any of them is used.
func (l *Lock) check(at []any) error {
	ld := loader{file: l.File}
	for name, v := range l.stages.All() {
		for _, kind := range []string{"deps", "outs"} {
			for i, item := range list(v.(*yamlfmt.Map), kind) {
				where := append(at[:len(at):len(at)], name, kind, i)
				e := ld.entry(item.(*yamlfmt.Map), where)
				ld.checkName(where, e.Path)
			}
		}
	}
	if len(ld.bad) > 0 {
		return fileProblems(l.File, l.doc, ld.bad)
	}
	return nil
}

// Names lists the stages in the order of the file.
func (l *Lock) Names() []string { return l.stages.Keys() }

// Has reports whether the lock has an entry for a stage.
func (l *Lock) Has(name string) bool { return l.stages.Has(name) }

// Entry is a stage's entry as loaded; nil if there is none.
func (l *Lock) Entry(name string) *yamlfmt.Map {
	m, _ := value(l.stages, name).(*yamlfmt.Map)
	return m
}

// LockFile is the lock that belongs to a dvc.yaml: "sub/dvc.lock" to
// "sub/dvc.yaml".
func LockFile(pipelineFile string) string {
	return strings.TrimSuffix(pipelineFile, path.Ext(pipelineFile)) + ".lock"
}

// Fill puts what the lock says of a stage into it: digests and sizes of deps
// and outs, values of parameters, the command. What the lock does not know
// becomes zero. A stage without an entry stays as it is.
func (l *Lock) Fill(s *Stage) {
	if m := l.Entry(s.Name); m != nil {
		FillFromEntry(s, m)
	}
}

// FillFromEntry is [Lock.Fill] with a given entry, such as one of the run
// cache. The entry must have passed [CheckLockEntry] or [ParseLock].
func FillFromEntry(s *Stage, m *yamlfmt.Map) {
	s.HasLock = true
	s.LockedCmd = value(m, "cmd")
	deps, outs := byPath(list(m, "deps")), byPath(list(m, "outs"))
	ld := loader{file: s.File}
	for _, d := range s.Deps {
		item := deps[d.Path]
		fill(&ld, &d.Entry, item)
		if item != nil {
			d.Dataset = value(item, "dataset")
		}
	}
	for _, o := range s.Outs {
		fill(&ld, &o.Entry, outs[o.Path])
	}
	params, _ := value(m, "params").(*yamlfmt.Map)
	for _, p := range s.Params {
		p.Values = nil
		if values, ok := value(params, p.Path).(*yamlfmt.Map); ok {
			p.Values = pick(values, p.Keys)
		}
	}
}

func byPath(items []any) map[string]*yamlfmt.Map {
	m := make(map[string]*yamlfmt.Map, len(items))
	for _, item := range items {
		if e, ok := item.(*yamlfmt.Map); ok {
			m[text(e, "path")] = e
		}
	}
	return m
}

func fill(ld *loader, e *Entry, m *yamlfmt.Map) {
	p, fsConfig := e.Path, e.FSConfig
	if m == nil {
		*e = Entry{Path: p, Size: -1, NFiles: -1, FSConfig: fsConfig}
		return
	}
	*e = ld.entry(m, nil)
	e.Path, e.FSConfig = p, fsConfig
}

// pick selects the keys that the stage asks for; all if it asks for none.
func pick(values *yamlfmt.Map, keys []string) *Lookup {
	l := &Lookup{Values: map[string]any{}}
	if len(keys) == 0 {
		keys = values.Keys()
	}
	for _, k := range keys {
		if v, ok := values.Get(k); ok {
			if _, again := l.Values[k]; !again {
				l.Keys = append(l.Keys, k)
			}
			l.Values[k] = v
		}
	}
	return l
}

// CheckLockEntry checks a lock entry from elsewhere, such as a file of the
// run cache, and returns it. name is for messages.
func CheckLockEntry(name string, data []byte) (*yamlfmt.Map, error) {
	doc, err := loadYAML(name, data)
	if err != nil {
		return nil, err
	}
	if err := validate(name, doc, doc.Value(), fileSchemas().lockEntry); err != nil {
		return nil, err
	}
	m := doc.Value().(*yamlfmt.Map)
	l := Lock{File: name, doc: doc, stages: yamlfmt.NewMap(name, m)}
	return m, l.check(nil)
}

// LockEntry is the entry that dvc.lock gets for the stage: command, deps and
// outs sorted by path, parameters with the default file first.
func (s *Stage) LockEntry() *yamlfmt.Map {
	m := yamlfmt.NewMap()
	if s.CmdIsList || len(s.Cmd) != 1 {
		m.Set("cmd", labels(s.Cmd))
	} else {
		m.Set("cmd", s.Cmd[0])
	}
	var deps, outs []any
	for _, d := range sortedBy(s.Deps, func(d *Dep) string { return d.Path }) {
		if d.Dataset != nil {
			deps = append(deps, yamlfmt.NewMap("path", d.Path, "dataset", d.Dataset))
			continue
		}
		deps = append(deps, d.Entry.lockValue())
	}
	for _, o := range sortedBy(s.Outs, func(o *Out) string { return o.Path }) {
		outs = append(outs, o.Entry.lockValue())
	}
	put(m, "deps", deps)
	if p := s.lockParams(); p.Len() > 0 {
		m.Set("params", p)
	}
	put(m, "outs", outs)
	return m
}

func sortedBy[T any](list []T, key func(T) string) []T {
	list = slices.Clone(list)
	sort.SliceStable(list, func(i, j int) bool { return key(list[i]) < key(list[j]) })
	return list
}

func (e *Entry) lockValue() *yamlfmt.Map {
	m := yamlfmt.NewMap("path", e.Path)
	if !e.isLegacy() {
		m.Set("hash", e.hashName())
	}
	if e.Files != nil {
		e.putFiles(m)
	} else {
		e.putContent(m)
	}
	return m
}

func (s *Stage) lockParams() *yamlfmt.Map {
	m := yamlfmt.NewMap()
	params := sortedBy(s.Params, func(p *ParamDep) string { return p.Path })
	slices.SortStableFunc(params, func(a, b *ParamDep) int {
		switch {
		case a.Path == b.Path:
			return 0
		case a.Path == DefaultParamsFile:
			return -1
		case b.Path == DefaultParamsFile:
			return 1
		}
		return 0
	})
	for _, p := range params {
		if p.Values == nil || len(p.Values.Keys) == 0 {
			if len(p.Keys) == 0 {
				m.Set(p.Path, yamlfmt.NewMap())
			}
			continue
		}
		values := yamlfmt.NewMap()
		keys := slices.Clone(p.Values.Keys)
		slices.Sort(keys)
		for _, k := range keys {
			values.Set(k, PlainParam(p.Values.Values[k]))
		}
		m.Set(p.Path, values)
	}
	return m
}

// LockChange sets the entry of a stage.
type LockChange struct {
	Name  string
	Entry *yamlfmt.Map
}

// UpdateLock rewrites the text of a dvc.lock so that it has the given
// entries: in their place if the stage is there, at the end if not. Old is
// empty if there is no lock yet. Comments outside the entries stay. modified
// is false if every entry was there already, whatever became of the text.
func UpdateLock(file string, old []byte, changes []LockChange) (text []byte, modified bool, err error) {
	l, err := parseOrNew(file, old)
	if err != nil {
		return nil, false, err
	}
	for _, c := range changes {
		have, ok := l.stages.Get(c.Name)
		modified = modified || !ok || !yamlfmt.Equal(have, c.Entry)
	}
	if l.oldForm || l.doc == nil {
		return l.writeAnew(changes), modified, nil
	}
	return l.doc.Edit(func(root *yamlfmt.Tree) {
		stages := root.Sub("stages")
		if stages == nil {
			m := yamlfmt.NewMap()
			for _, c := range changes {
				m.Set(c.Name, c.Entry)
			}
			root.Set("stages", m)
			return
		}
		for _, c := range changes {
			stages.Set(c.Name, c.Entry)
		}
	}), modified, nil
}

// parseOrNew is ParseLock for which an empty text is a lock yet to be written.
func parseOrNew(file string, old []byte) (*Lock, error) {
	if len(old) == 0 {
		return &Lock{File: file, stages: yamlfmt.NewMap()}, nil
	}
	return ParseLock(file, old)
}

func (l *Lock) writeAnew(changes []LockChange) []byte {
	stages := l.stages.Clone()
	for _, c := range changes {
		stages.Set(c.Name, c.Entry)
	}
	return yamlfmt.Marshal(yamlfmt.NewMap("schema", "2.0", "stages", stages))
}

// RemoveFromLock removes the entries of stages. The text is nil if none is
// left: the file is to be deleted. changed is false if no stage was there.
func RemoveFromLock(file string, old []byte, names ...string) (text []byte, changed bool, err error) {
	l, err := ParseLock(file, old)
	if err != nil {
		return nil, false, err
	}
	left := l.stages.Clone()
	for _, name := range names {
		changed = changed || left.Has(name)
		left.Delete(name)
	}
	switch {
	case !changed:
		return old, false, nil
	case left.Len() == 0:
		return nil, true, nil
	}
	return l.doc.Edit(func(root *yamlfmt.Tree) {
		if !l.oldForm {
			root = root.Sub("stages")
		}
		for _, name := range names {
			root.Delete(name)
		}
	}), true, nil
}

// SetLockDataset sets the lock entry of a dataset, which has a name.
func SetLockDataset(file string, old []byte, dataset *yamlfmt.Map) ([]byte, error) {
	l, err := parseOrNew(file, old)
	if err != nil {
		return nil, err
	}
	name := value(dataset, "name")
	datasets := slices.Clone(l.Datasets)
	found := false
	for i, d := range datasets {
		if m, ok := d.(*yamlfmt.Map); ok && value(m, "name") == name && !found {
			datasets[i], found = dataset, true
		}
	}
	if !found {
		datasets = append(datasets, dataset)
	}
	if l.oldForm {
		return nil, errs.New(errs.Invalid, "%s is of DVC 1, which had no datasets", file)
	}
	if l.doc == nil {
		return yamlfmt.Marshal(yamlfmt.NewMap("schema", "2.0", "datasets", datasets, "stages", yamlfmt.NewMap())), nil
	}
	return l.doc.Edit(func(root *yamlfmt.Tree) {
		root.Apply("datasets", datasets)
		if root.Sub("stages") == nil {
			root.Set("stages", yamlfmt.NewMap())
		}
	}), nil
}
