package disk

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
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
}

// stagingShards spreads new files over folders, since a folder takes one new
// name at a time.
const stagingShards = 8

// NewStaging prepares a staging folder in parent, which must outlive it.
func NewStaging(parent *Dir) *Staging {
	return &Staging{parent: parent, name: stagingPrefix + hostTag() + "-" + strconv.Itoa(os.Getpid()) + "-" + uniqueSuffix()}
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
			return nil, err
		}
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

// Next returns a name not used before in this staging folder.
func (s *Staging) Next() string { return strconv.FormatUint(s.seq.Add(1), 36) }

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

// CleanStaging removes the staging folders in d whose process on this host is
// gone. Folders of other hosts are left.
func CleanStaging(d *Dir) {
	list, err := d.ReadDir()
	if err != nil {
		return
	}
	for _, e := range list {
		rest, ok := strings.CutPrefix(e.Name, stagingPrefix)
		if !ok {
			continue
		}
		rest, ok = strings.CutPrefix(rest, hostTag()+"-")
		if !ok {
			continue
		}
		pid, err := strconv.Atoi(strings.SplitN(rest, "-", 2)[0])
		if err != nil || pid == os.Getpid() || Alive(pid) {
			continue
		}
		_ = d.RemoveAll(e.Name)
	}
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

func uniqueSuffix() string {
	var b [6]byte
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
