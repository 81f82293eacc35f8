package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/cairndata/cairn/pkg/errs"
)

// Level is one of the places where options are written.
type Level uint8

// The levels, the weakest first.
const (
	System  Level = iota // the machine
	Global               // the user
	Project              // .dvc/config, committed
	Local                // .dvc/config.local, this checkout only
	levels
)

// Levels lists all levels, the weakest first.
func Levels() []Level { return []Level{System, Global, Project, Local} }

// String is the level's name as in the flags of the config command.
func (l Level) String() string {
	return [...]string{"system", "global", "project", "local"}[l]
}

// CairnSuffix is what the name of a file with options that only cairn has ends
// with, after the name of the file beside it that DVC reads.
const CairnSuffix = ".cairn"

// LoadOptions say where to look. The zero value finds nothing.
type LoadOptions struct {
	DvcDir string // absolute path of the .dvc folder; "" outside of a repository
	Dir    string // absolute path of the working folder, for relative paths
	Home   string // the user's home folder; "" if there is none
	Getenv func(string) string

	// ReadProject reads the project level from elsewhere, as from a revision,
	// by its name in the .dvc folder ("config" or "config.cairn"). A missing
	// file is fs.ErrNotExist. Nil reads the disk. The local level is then left out.
	ReadProject func(name string) ([]byte, error)

	// UserHome finds another user's home folder for "~name"; nil asks the system.
	UserHome func(name string) (string, bool)

	goos string // for tests of other systems' places
}

func (o *LoadOptions) getenv(key string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(key)
}

func (o *LoadOptions) os() string {
	if o.goos != "" {
		return o.goos
	}
	return runtime.GOOS
}

// Path is the absolute path of a level's file, or "" if there is no such level.
func (o *LoadOptions) Path(l Level) string {
	switch l {
	case Project, Local:
		if o.DvcDir == "" || l == Local && o.ReadProject != nil {
			return ""
		}
		if l == Local {
			return filepath.Join(o.DvcDir, "config.local")
		}
		return filepath.Join(o.DvcDir, "config")
	case System:
		return o.configIn("DVC_SYSTEM_CONFIG_DIR", o.systemDir())
	}
	return o.configIn("DVC_GLOBAL_CONFIG_DIR", o.globalDir())
}

func (o *LoadOptions) configIn(override, dir string) string {
	if d := o.getenv(override); d != "" {
		dir = d
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(o.Dir, dir)
		}
	}
	if dir == "" {
		return ""
	}
	return o.join(dir, "config")
}

// join is filepath.Join as the system in question has it.
func (o *LoadOptions) join(elem ...string) string {
	if o.os() == runtime.GOOS {
		return filepath.Join(elem...)
	}
	if o.os() == "windows" {
		return strings.Join(elem, `\`)
	}
	return path.Join(elem...)
}

// systemDir and globalDir follow the platform's habits as DVC does.
func (o *LoadOptions) systemDir() string {
	if o.os() == "windows" {
		if d := o.getenv("PROGRAMDATA"); d != "" {
			return o.join(d, "iterative", "dvc")
		}
		return `C:\ProgramData\iterative\dvc`
	}
	for d := range strings.SplitSeq(o.getenv("XDG_CONFIG_DIRS"), ":") {
		if path.IsAbs(d) {
			return o.join(d, "dvc")
		}
	}
	if o.os() == "darwin" {
		return "/Library/Application Support/dvc"
	}
	return "/etc/xdg/dvc"
}

func (o *LoadOptions) globalDir() string {
	if o.os() == "windows" {
		if d := o.getenv("LOCALAPPDATA"); d != "" {
			return o.join(d, "iterative", "dvc")
		}
		if o.Home == "" {
			return ""
		}
		return o.join(o.Home, "AppData", "Local", "iterative", "dvc")
	}
	if d := o.getenv("XDG_CONFIG_HOME"); path.IsAbs(d) {
		return o.join(d, "dvc")
	}
	switch {
	case o.Home == "":
		return ""
	case o.os() == "darwin":
		return o.join(o.Home, "Library", "Application Support", "dvc")
	}
	return o.join(o.Home, ".config", "dvc")
}

// levelFile is one file of a level: DVC's, or cairn's sibling of it.
type levelFile struct {
	level   Level
	path    string // absolute
	shown   string // as messages and --show-origin have it
	sibling bool
	data    []byte
	exists  bool
	tree    *section // names lower, paths as written
}

// maxFile bounds a config file, in bytes. Real ones have a thousand.
const maxFile = 1 << 20

// file describes a level's file or its sibling; nil if there is no such level.
func (o *LoadOptions) file(l Level, sibling bool) *levelFile {
	p := o.Path(l)
	if p == "" {
		return nil
	}
	f := &levelFile{level: l, path: p, sibling: sibling}
	if sibling {
		f.path += CairnSuffix
	}
	if f.shown = f.path; l >= Project {
		f.shown = filepath.ToSlash(filepath.Join(".dvc", filepath.Base(f.path)))
	}
	return f
}

// readLevel reads both files of a level. A missing one is empty.
func (o *LoadOptions) readLevel(l Level) ([]*levelFile, error) {
	var files []*levelFile
	for _, sibling := range []bool{false, true} {
		f := o.file(l, sibling)
		if f == nil {
			return nil, nil
		}
		if err := f.read(o); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (f *levelFile) read(o *LoadOptions) error {
	var err error
	if f.level == Project && o.ReadProject != nil {
		f.data, err = o.ReadProject(filepath.Base(f.path))
	} else {
		f.data, err = readRegular(f.path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.tree = &section{}
		return nil
	case errors.Is(err, fs.ErrPermission):
		return errs.New(errs.Denied, "read config file %s: %w", f.shown, err)
	case err != nil:
		return errs.New(errs.Config, "config file error: read %s: %w", f.shown, err)
	}
	f.exists = true
	tree, err := parse(f.data, f)
	if err != nil {
		return syntaxProblem(err, f).asError()
	}
	f.tree = named(lowered(tree))
	return nil
}

func syntaxProblem(err error, f *levelFile) *Problem {
	e, ok := errors.AsType[*syntaxError](err)
	if !ok {
		return &Problem{Msg: err.Error(), File: f.shown}
	}
	p := &Problem{Msg: e.msg, File: f.shown, Line: e.line, Hint: fmt.Sprintf("Mend or remove line %d of %s.", e.line, f.path)}
	if e.more > 0 {
		p.Msg += fmt.Sprintf(", the first of %d such lines", e.more+1)
	}
	return p
}

// readRegular reads a plain file of sane size; a pipe is not waited for.
func readRegular(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		// A file where a folder should be holds no config either.
		if p := filepath.Dir(name); !errors.Is(err, fs.ErrNotExist) && isFile(p) {
			return nil, fs.ErrNotExist
		}
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a plain file")
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return os.ReadFile(name)
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// lowered makes all names lower case and puts options before sections. Where
// two names become one, the later counts, in the place of the earlier.
func lowered(s *section) *section {
	out := &section{entries: make([]entry, 0, len(s.entries))}
	for _, wantSection := range []bool{false, true} {
		for _, e := range s.entries {
			if (e.val.sect != nil) != wantSection {
				continue
			}
			if wantSection {
				out.set(strings.ToLower(e.key), &node{sect: lowered(e.val.sect), origin: e.val.origin})
			} else {
				out.set(strings.ToLower(e.key), e.val)
			}
		}
	}
	return out
}

// namedSections hold one section for each name, titled like 'remote "name"'.
var namedSections = []string{"remote", "machine", "db"}

// named gathers titled sections below the word they begin with.
func named(s *section) *section {
	out := &section{}
	for _, k := range namedSections {
		out.set(k, &node{sect: &section{}})
	}
	for _, e := range s.entries {
		word, name, ok := splitTitle(e.key)
		holder := out.sub(word)
		if !ok || holder == nil {
			out.set(e.key, e.val)
			continue
		}
		holder.set(name, e.val)
	}
	return out
}

// splitTitle splits 'remote "name"' into its word and name.
func splitTitle(title string) (word, name string, ok bool) {
	t := strings.TrimFunc(title, isSpace)
	for _, k := range namedSections {
		rest, found := strings.CutPrefix(t, k)
		if !found {
			continue
		}
		rest = strings.TrimLeftFunc(rest, isSpace)
		if n := len(rest); n > 1 && rest[0] == '"' && rest[n-1] == '"' && !strings.Contains(rest, "\n") {
			return k, rest[1 : n-1], true
		}
	}
	return "", "", false
}

// titled is the inverse of named, as DVC writes: what is empty at the top
// falls away, named sections come last.
func titled(s *section) *section {
	out := &section{}
	for _, e := range s.entries {
		empty := e.val.text == "" && len(e.val.list) == 0 && (e.val.sect == nil || len(e.val.sect.entries) == 0)
		if empty || slices.Contains(namedSections, e.key) {
			continue
		}
		out.set(e.key, e.val)
	}
	for _, k := range namedSections {
		if sub := s.sub(k); sub != nil {
			for _, e := range sub.entries {
				out.set(k+` "`+e.key+`"`, e.val)
			}
		}
	}
	return out
}

// isURL reports whether DVC takes the text for a URL, not a path.
func isURL(s string) bool {
	i := strings.Index(s, "://")
	return i > 0 && !strings.ContainsFunc(s[:i], func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})
}

// expandHome replaces a leading "~" or "~name"; without such a home the text stays.
func (o *LoadOptions) expandHome(p string) string {
	if !strings.HasPrefix(p, "~") {
		return p
	}
	end := strings.IndexAny(p, "/"+string(filepath.Separator))
	if end < 0 {
		end = len(p)
	}
	home := o.Home
	if name := p[1:end]; name != "" {
		find := o.UserHome
		if find == nil {
			find = systemHome
		}
		var ok bool
		if home, ok = find(name); !ok {
			return p
		}
	}
	if home == "" {
		return p
	}
	return cmp.Or(strings.TrimRight(home, string(filepath.Separator))+p[end:], home)
}

func systemHome(name string) (string, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", false
	}
	return u.HomeDir, true
}

// keptAsIs reports whether a path is stored as the user gave it: a URL, an
// absolute path, or on Windows one that begins with a slash.
func keptAsIs(p string) bool {
	return isURL(p) || filepath.IsAbs(p) ||
		runtime.GOOS == "windows" && path.IsAbs(p) && !strings.Contains(p, `\`)
}

// resolve makes a path-like option absolute, relative to the folder of the file
// it stands in.
func (o *LoadOptions) resolve(p, file string) string {
	if keptAsIs(p) {
		return p
	}
	p = filepath.FromSlash(p)
	if e := o.expandHome(p); filepath.IsAbs(e) {
		return e
	}
	return filepath.Join(filepath.Dir(file), p)
}

// stored is how a path-like option is written in a file. The path is relative
// to the folder base.
func (o *LoadOptions) stored(p, base, file string) string {
	if keptAsIs(p) {
		return p
	}
	if o.expandHome(p) != p {
		return filepath.ToSlash(p)
	}
	abs := filepath.Join(base, filepath.FromSlash(p))
	rel, err := filepath.Rel(filepath.Dir(file), abs)
	if err != nil { // another drive
		return abs
	}
	return filepath.ToSlash(rel)
}

// mapPaths replaces the path-like options below tree.
func mapPaths(tree *section, change func(string) string) {
	one := func(s *section, word string) {
		for i := range s.entries {
			n := s.entries[i].val
			if n.sect == nil && !n.isList && pathOption(word, s.entries[i].key) {
				c := *n
				c.text = change(n.text)
				s.entries[i].val = &c
			}
		}
	}
	if s := tree.sub("cache"); s != nil {
		one(s, "cache")
	}
	for _, word := range []string{"remote", "machine"} {
		if holder := tree.sub(word); holder != nil {
			for _, e := range holder.entries {
				if e.val.sect != nil {
					one(e.val.sect, word)
				}
			}
		}
	}
}

// resolved is a copy of the file's tree with absolute paths.
func (f *levelFile) resolved(o *LoadOptions) *section {
	t := f.tree.clone()
	mapPaths(t, func(p string) string { return o.resolve(p, f.path) })
	return t
}

// outside reports whether a path in a file of the repository leads out of it.
func outside(p string, f *levelFile) bool {
	if keptAsIs(p) || strings.HasPrefix(p, "~") {
		return true
	}
	dir := filepath.Dir(f.path)
	rel, err := filepath.Rel(filepath.Dir(dir), filepath.Join(dir, filepath.FromSlash(p)))
	return err != nil || !filepath.IsLocal(rel)
}
