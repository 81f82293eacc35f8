package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// RunsDir is the folder of the run cache in a cache or a remote.
const RunsDir = "runs"

// RunCache remembers what stages made of what they read: a file for each run,
// holding the stage's lock entry, below runs/ in the cache. DVC shares it. Its
// files are not flushed: each is named after the sum of what it says, so that
// one cut short by a power failure is recognised and thrown away.
type RunCache struct {
	dir string // of the cache, absolute
	// Warn hears of files that were thrown away. It may be nil.
	Warn func(format string, args ...any)
}

// NewRunCache is the run cache of the cache in dir, which need not exist yet.
func NewRunCache(dir string) *RunCache { return &RunCache{dir: dir} }

// notInRuns are the keys that do not count for keys and values.
var notInRuns = map[string]bool{"size": true, "nfiles": true}

// RunKey names a run by what goes into it: command, dependencies, parameters,
// and the paths of its outs. entry is a stage's lock entry.
func RunKey(entry *yamlfmt.Map) string {
	var paths []any
	for _, o := range list(entry, "outs") {
		if m, ok := o.(*yamlfmt.Map); ok {
			paths = append(paths, value(m, "path"))
		}
	}
	e := entry.Clone()
	e.Set("outs", paths)
	return runSum(e)
}

// RunValue names what came out of a run, with what went in.
func RunValue(entry *yamlfmt.Map) string { return runSum(entry) }

func runSum(entry *yamlfmt.Map) string {
	sum := sha256.Sum256(yamlfmt.JSON(without(entry, notInRuns), true))
	return hex.EncodeToString(sum[:])
}

// RunPath is where a run lies in a cache or a remote.
func RunPath(key, value string) string { return path.Join(RunsDir, key[:2], key, value) }

// ParseRunPath splits a path that RunPath made. Anything else is not ok.
func ParseRunPath(p string) (key, value string, ok bool) {
	parts := strings.Split(p, "/")
	if len(parts) != 4 || parts[0] != RunsDir || !isSum(parts[2]) || !isSum(parts[3]) || parts[1] != parts[2][:2] {
		return "", "", false
	}
	return parts[2], parts[3], true
}

func isSum(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// CanRemember reports whether runs of the stage can be kept: it has a command,
// dependencies and outs, does not run always, and all it reads and writes is
// on this machine, the outs in the repository and anew each time. Whether all
// its dependencies are there is another question.
func (s *Stage) CanRemember() bool {
	if len(s.Cmd) == 0 || s.AlwaysChanged || len(s.Outs) == 0 || len(s.Deps)+len(s.Params) == 0 {
		return false
	}
	for _, d := range s.Deps {
		if strings.Contains(d.Path, "://") || d.Repo != nil || d.DB != nil {
			return false
		}
	}
	for _, o := range s.Outs {
		if o.Persist || o.IsExternal() || leaves(o.RepoPath()) {
			return false
		}
	}
	return true
}

// CheckRun parses and checks a run's file: its text must be a lock entry and
// have the sum that the file is named after.
func CheckRun(key, value string, text []byte) (*yamlfmt.Map, error) {
	entry, err := CheckLockEntry(RunPath(key, value), text)
	if err != nil {
		return nil, err
	}
	if RunValue(entry) != value || RunKey(entry) != key {
		return nil, errs.New(errs.Corrupt, "the run %s is not what its name says", RunPath(key, value))
	}
	return entry, nil
}

// Lookup returns the latest run of a key; nil if there is none. A file that is
// damaged is thrown away, as DVC does: it is a memory, and the stage can run.
func (c *RunCache) Lookup(key string) (*yamlfmt.Map, error) {
	dir, err := c.open(key, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	var newest string
	var when int64
	for _, n := range names {
		st, err := dir.Lstat(n.Name)
		if err == nil && st.IsRegular() && isSum(n.Name) && (newest == "" || st.MTime > when) {
			newest, when = n.Name, st.MTime
		}
	}
	if newest == "" {
		return nil, nil
	}
	return c.load(dir, key, newest)
}

func (c *RunCache) load(dir *disk.Dir, key, value string) (*yamlfmt.Map, error) {
	text, err := dir.ReadFile(value)
	if err != nil {
		return nil, err
	}
	entry, err := CheckRun(key, value, text)
	if err != nil {
		if c.Warn != nil {
			c.Warn("corrupted cache file '%s'.", path.Join(c.dir, RunPath(key, value)))
		}
		_ = dir.Remove(value)
		return nil, nil
	}
	return entry, nil
}

func (c *RunCache) open(key string, create bool) (*disk.Dir, error) {
	root, err := disk.OpenDir(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel := path.Dir(RunPath(key, "x"))
	if !create {
		return root.OpenPath(rel)
	}
	return root.MakePath(rel, 0o777)
}

// Save keeps a run, given as the stage's lock entry after it. A run that is
// known already is left as it is.
func (c *RunCache) Save(entry *yamlfmt.Map) error {
	key, value := RunKey(entry), RunValue(entry)
	return c.put(key, value, yamlfmt.Marshal(entry))
}

// Put keeps a run that came from elsewhere, if its text is what its name says.
// added is false if it was there already.
func (c *RunCache) Put(key, value string, text []byte) (added bool, err error) {
	if _, err := CheckRun(key, value, text); err != nil {
		return false, err
	}
	if c.Has(key, value) {
		return false, nil
	}
	return true, c.put(key, value, text)
}

// Has reports whether a run is there and whole.
func (c *RunCache) Has(key, value string) bool {
	dir, err := c.open(key, false)
	if err != nil {
		return false
	}
	defer dir.Close()
	return hasRun(dir, key, value)
}

func hasRun(dir *disk.Dir, key, value string) bool {
	text, err := dir.ReadFile(value)
	if err == nil {
		_, err = CheckRun(key, value, text)
	}
	return err == nil
}

func (c *RunCache) put(key, value string, text []byte) error {
	dir, err := c.open(key, true)
	if err != nil {
		return err
	}
	defer dir.Close()
	if hasRun(dir, key, value) {
		return nil
	}
	return dir.ReplaceFile(value, text, 0o666)
}

// List names all runs, sorted by path. Names that are no runs are left out.
func (c *RunCache) List() ([]string, error) {
	root, err := disk.OpenDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []string
	var walk func(rel string, depth int) error
	walk = func(rel string, depth int) error {
		dir, err := root.OpenPath(rel)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer dir.Close()
		names, err := dir.ReadDir()
		if err != nil {
			return err
		}
		for _, n := range names {
			p := path.Join(rel, n.Name)
			if depth < 2 {
				if n.Type.IsDir() {
					err = walk(p, depth+1)
				}
			} else if _, _, ok := ParseRunPath(p); ok {
				found = append(found, p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(RunsDir, 0)
	slices.Sort(found)
	return found, err
}

// Read returns the text of a run that [RunCache.List] named.
func (c *RunCache) Read(p string) ([]byte, error) {
	root, err := disk.OpenDir(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(p)
}
