package pipeline

import (
	"path"
	"strings"

	"github.com/cairndata/cairn/pkg/object"
)

// Entry is what a stage file or lock records of one path.
type Entry struct {
	// Path is as written in the file: slashes, relative to the stage's
	// working directory, or absolute, or a URL.
	Path string
	// Digest is the recorded content, or zero if none is recorded. Entries
	// of DVC 2 (no hash field) have the algorithm object.MD5Legacy.
	Digest object.Digest
	Size   int64 // bytes; -1 if not recorded
	NFiles int   // files in a folder; -1 if not recorded
	IsExec bool
	// Legacy marks an entry without a hash field, as DVC 2 wrote it. It says
	// something only where Digest is zero, which has no algorithm.
	Legacy bool

	// What an external or cloud-versioned path has in place of a digest.
	ETag, Checksum, VersionID string
	Cloud                     any         // the cloud: mapping as loaded; nil if absent
	Files                     []FileEntry // the files: list; nil if absent
	FSConfig                  any
}

// FileEntry is one file of the files: list of a cloud-versioned folder.
type FileEntry struct {
	RelPath string
	Entry
}

// Out is an output of a stage.
type Out struct {
	Entry
	Stage   *Stage
	Cache   bool // false: the bytes are left to Git
	Persist bool
	Push    bool
	Remote  string // the remote it is pinned to, or ""
	Metric  any    // nil, true, or a mapping
	Plot    any
	Desc    string
	Type    string
	Labels  []string
	Meta    any
}

// Dep is an input of a stage other than a parameter.
type Dep struct {
	Entry
	Stage *Stage
	Repo  *RepoSource // set by import
	DB    any         // set by import-db
	// Dataset is the lock entry of a ds:// dependency.
	Dataset any
}

// RepoSource is the repo: mapping of an import.
type RepoSource struct {
	URL, Rev, RevLock string
	Config, Remote    any // a path or name, or a mapping
}

// ParamDep names the parameters that a stage reads from one file.
type ParamDep struct {
	Path   string   // relative to the stage's working directory
	Keys   []string // dotted; nil is the whole file
	Values *Lookup  // what the lock recorded; nil if nothing
}

// Lookup is an ordered map from a dotted key to a recorded value.
type Lookup struct {
	Keys   []string
	Values map[string]any
}

// Stage is an entry of dvc.yaml with what dvc.lock says of it, or a .dvc file.
type Stage struct {
	File string // the file it stands in, relative to the repository's root, slashes
	Name string // "" for a .dvc file
	WDir string // its working directory, relative to the repository's root, "." for the root

	Cmd           []string // nil for a .dvc file
	CmdIsList     bool     // how cmd was written
	Deps          []*Dep
	Params        []*ParamDep
	Outs          []*Out
	Frozen        bool
	AlwaysChanged bool
	Desc          string
	Meta          any
	MD5           string // the stage's own md5 field, or ""
	LockedCmd     any    // cmd as dvc.lock has it: string, []any or nil
	HasLock       bool   // dvc.lock has an entry for it
	Generated     bool   // made by foreach, matrix or templating: cannot be rewritten
	Line          int    // where it begins in File
}

// IsPointer reports whether the stage is a .dvc file rather than a pipeline stage.
func (s *Stage) IsPointer() bool { return s.Name == "" }

// IsImport reports whether the stage brings data from elsewhere.
func (s *Stage) IsImport() bool {
	return s.IsPointer() && s.Cmd == nil && len(s.Deps) == 1 && len(s.Outs) == 1
}

// Address is the stage's name on the command line, seen from the root:
// "data.dvc", "train", "sub/dvc.yaml:train".
func (s *Stage) Address() string {
	switch {
	case s.IsPointer():
		return s.File
	case s.File == "dvc.yaml":
		return s.Name
	}
	return s.File + ":" + s.Name
}

// IsExternal reports whether the path is a URL or absolute, so that it does
// not lie in the workspace.
func (e *Entry) IsExternal() bool {
	return strings.Contains(e.Path, "://") || path.IsAbs(e.Path)
}

// RepoPath is the out's path relative to the repository's root, slashes. It
// begins with "../" if it leaves the repository; for an external path it is
// the path itself.
func (o *Out) RepoPath() string { return repoPath(o.Stage, &o.Entry) }

// RepoPath is the dependency's path, as [Out.RepoPath].
func (d *Dep) RepoPath() string { return repoPath(d.Stage, &d.Entry) }

func repoPath(s *Stage, e *Entry) string {
	if e.IsExternal() {
		return e.Path
	}
	return path.Join(s.WDir, e.Path)
}
