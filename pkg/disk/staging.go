package disk

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// stagingPrefix begins the name of every staging folder; DVC skips it in a
// cache and a remote, and .dvc/tmp is ours to use.
const stagingPrefix = ".cairn-"

// Staging is a folder for files that do not have their names yet. It lies on
// the file system of those names, is made at first use, and is removed by
// Close. It is safe for concurrent use.
type Staging struct {
	parent *Dir
	name   string
	seq    atomic.Uint64

	mu     sync.Mutex
	dir    *Dir
	shards [stagingShards]*Dir

	foreign sync.Map // *Dir → true: renames to there do not work
}

// stagingShards spreads new files over folders, since a folder takes one new
// name at a time.
const stagingShards = 8

// NewStaging prepares a staging folder in parent, which must outlive it.
func NewStaging(parent *Dir) *Staging {
	return &Staging{parent: parent, name: TempName()}
}

// TempName is a new name that tells every cairn on every host whose it is:
// that of a staging folder, or of a file that cannot be staged elsewhere.
func TempName() string {
	return stagingPrefix + hostTag() + "-" + strconv.Itoa(os.Getpid()) + "-" + uniqueSuffix()
}

// tempOwner takes a TempName apart; ok is false for any other name.
func tempOwner(name string) (host string, pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, stagingPrefix)
	parts := strings.Split(rest, "-")
	if !ok || len(parts) != 3 || len(parts[2]) != 2*suffixBytes {
		return "", 0, false
	}
	if _, err := hex.DecodeString(parts[2]); err != nil {
		return "", 0, false
	}
	pid, err := strconv.Atoi(parts[1])
	return parts[0], pid, err == nil && parts[0] != ""
}

// IsTempName reports whether name is one that TempName made, here or
// elsewhere: never data of the user's.
func IsTempName(name string) bool {
	_, _, ok := tempOwner(name)
	return ok
}

// Shard returns the i-th sub-folder, for any i.
func (s *Staging) Shard(i int) (*Dir, error) {
	i = ((i % stagingShards) + stagingShards) % stagingShards
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[i] != nil {
		return s.shards[i], nil
	}
	if s.dir == nil {
		if err := s.parent.Mkdir(s.name, 0o700); err != nil {
			return nil, err
		}
		dir, err := s.parent.Open(s.name)
		if err != nil {
			_ = s.parent.RemoveDir(s.name)
			return nil, err
		}
		// Shows those to whom our process number says nothing, in another
		// container say, that the folder is in use.
		tryLockDir(dir)
		s.dir = dir
	}
	name := strconv.Itoa(i)
	if err := s.dir.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	dir, err := s.dir.Open(name)
	if err != nil {
		return nil, err
	}
	s.shards[i] = dir
	return dir, nil
}

// CanPlaceFolders is whether a folder can be renamed while it is held open.
const CanPlaceFolders = runtime.GOOS != "windows"

// Folder makes a folder in staging that is to be moved to its place as a
// whole, with the mode it will have there, and opens it. The caller closes
// it. A name is given once.
func (s *Staging) Folder(name string, perm fs.FileMode) (*Dir, error) {
	if _, err := s.Shard(0); err != nil {
		return nil, err
	}
	if err := s.dir.Mkdir(name, perm); err != nil {
		return nil, err
	}
	dir, err := s.dir.Open(name)
	if err == nil && perm&fs.ModeSetgid != 0 {
		err = s.dir.Chmod(name, perm) // neither is Mkdir's to give
	}
	return dir, err
}

// Place moves a folder that Folder made to a name that nobody has. If somebody
// has it the error is fs.ErrExist.
func (s *Staging) Place(name string, to *Dir, newName string) error {
	return s.dir.RenameNew(name, to, newName)
}

// Drop removes a folder that Folder made and Place could not.
func (s *Staging) Drop(name string) error { return s.dir.RemoveAll(name) }

// Next returns a name not used before in this staging folder.
func (s *Staging) Next() string { return strconv.FormatUint(s.seq.Add(1), 36) }

// Foreign reports whether MarkForeign was called for the folder.
func (s *Staging) Foreign(to *Dir) bool {
	_, ok := s.foreign.Load(to)
	return ok
}

// MarkForeign remembers that files cannot be renamed from here to a folder,
// which lies on another file system.
func (s *Staging) MarkForeign(to *Dir) { s.foreign.Store(to, true) }

// FoldsCase reports whether the file system takes names that differ in case
// for the same.
func (s *Staging) FoldsCase() bool {
	if _, err := s.Shard(0); err != nil {
		return foldsCaseHere
	}
	if strings.ToUpper(s.name) == s.name {
		return foldsCaseHere
	}
	return s.parent.Exists(strings.ToUpper(s.name))
}

// Close removes the folder and what is left in it.
func (s *Staging) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == nil {
		return nil
	}
	for i, d := range s.shards {
		if d != nil {
			d.Close()
			s.shards[i] = nil
		}
	}
	s.dir.Close()
	s.dir = nil
	return s.parent.RemoveAll(s.name)
}

// CleanStaging removes the staging folders and temporary files in d whose
// process on this host is gone. Those of other hosts are left, and so are
// folders that somebody holds, whatever his number.
func CleanStaging(d *Dir) {
	list, err := d.ReadDir()
	if err != nil {
		return
	}
	for _, e := range list {
		host, pid, ok := tempOwner(e.Name)
		if !ok || host != hostTag() || pid == os.Getpid() || Alive(pid) {
			continue
		}
		if e.Type.IsDir() {
			dir, err := d.Open(e.Name)
			if err != nil {
				continue
			}
			free := tryLockDir(dir)
			if free {
				_ = d.RemoveAll(e.Name)
			}
			dir.Close()
			continue
		}
		_ = d.Remove(e.Name)
	}
}

// TempIsDead reports whether the process that made a temporary name is gone.
// known is false for other hosts, and for names that TempName did not make.
func TempIsDead(name string) (dead, known bool) {
	host, pid, ok := tempOwner(name)
	if !ok || host != hostTag() {
		return false, false
	}
	return pid != os.Getpid() && !Alive(pid), true
}

// LiveStaging lists the processes on this host, other than this one, that have
// a staging folder or temporary file in d.
func LiveStaging(d *Dir) ([]int, error) {
	list, err := d.ReadDir()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range list {
		host, pid, ok := tempOwner(e.Name)
		if ok && host == hostTag() && pid != os.Getpid() && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// hostTag is the host's name in the letters a file name may have everywhere.
var hostTag = sync.OnceValue(func() string {
	h, err := os.Hostname()
	if err != nil || h == "" {
		h = "localhost"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, h)
})

// suffixBytes of randomness end a temporary name.
const suffixBytes = 6

func uniqueSuffix() string {
	var b [suffixBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // crypto/rand does not fail
	}
	return hex.EncodeToString(b[:])
}

// Batch remembers what must be made durable before names are given, and picks
// the cheapest way: a file at a time while they are few, one call for the
// whole file system beyond that. It is safe for concurrent use.
type Batch struct {
	files atomic.Int64
}

// batchFew is up to how many files of a batch are flushed one by one. A flush
// of the file system also writes what other programs have pending, which a
// small change should not pay for.
const batchFew = 4

// Written makes f durable now, or leaves it to Flush.
func (b *Batch) Written(f *File) error {
	if b.files.Add(1) <= batchFew || !canSyncFS {
		return f.Sync()
	}
	return nil
}

// Flush makes durable what Written left, all of it on dir's file system.
func (b *Batch) Flush(dir *Dir) error {
	if n := b.files.Swap(0); n <= batchFew || !canSyncFS {
		return nil
	}
	_, err := dir.SyncFS()
	return err
}

// SyncNames makes the names in dirs durable, all on one file system.
func SyncNames(dirs []*Dir) error {
	if len(dirs) > batchFew && canSyncFS {
		_, err := dirs[0].SyncFS()
		return err
	}
	for _, d := range dirs {
		if err := d.Sync(); err != nil {
			return err
		}
	}
	return nil
}
