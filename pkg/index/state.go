package index

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/object"
)

// Record is what is remembered of one file: when it had this stat, it had
// this digest.
type Record struct {
	Name   string // within its folder
	Stat   disk.Stat
	Digest object.Digest
	// Racy marks a file that was read so soon after its last change that a
	// later change may have left the same times. Its digest is a hint.
	Racy bool
}

// State remembers files by folder. It is safe for concurrent use.
type State struct {
	mu      sync.Mutex
	folders map[string]*folder
	// single are records of single files, by folder and name, that folders
	// do not have yet: thousands of outs in one folder are remembered one by
	// one, and joined when somebody asks for the folder.
	single  map[string]map[string]Record
	changed bool
}

// folder is the part of the state that a folder's files take. It is parsed
// when somebody asks for it.
type folder struct {
	once    sync.Once
	raw     []byte // the block as read, nil once replaced
	records []Record
}

const (
	// stateMagic begins the file; the digit is the format's version. The
	// format is private: another version is an empty state.
	stateMagic = "CAIRNIX1"
	// blockHeader is a block's length and checksum.
	blockHeader = 8
)

// castagnoli is the table of CRC-32C, made when it is first asked for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// LoadState reads the state from a file of dir. Whatever is wrong with the
// file, the state is usable: what cannot be read is not remembered. note says
// so, and is empty otherwise.
func LoadState(dir *disk.Dir, name string) (s *State, note string) {
	s = &State{folders: map[string]*folder{}}
	f, err := dir.OpenFile(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			note = "the index cannot be read and is rebuilt: " + err.Error()
		}
		return s, note
	}
	defer f.Close()
	b, err := f.ReadAll()
	if err != nil {
		return s, "the index cannot be read and is rebuilt: " + err.Error()
	}
	rest, ok := strings.CutPrefix(string(b[:min(len(b), len(stateMagic))]), stateMagic)
	if !ok || rest != "" {
		return s, "the index has an unknown format and is rebuilt"
	}
	for b = b[len(stateMagic):]; len(b) > 0; {
		if len(b) < blockHeader {
			return s, "the index is cut short; the rest is rebuilt"
		}
		n := int(binary.LittleEndian.Uint32(b))
		if n > len(b)-blockHeader {
			return s, "the index is cut short; the rest is rebuilt"
		}
		block := b[:blockHeader+n]
		b = b[blockHeader+n:]
		if path, ok := blockPath(block); ok {
			s.folders[path] = &folder{raw: block}
		}
	}
	return s, ""
}

// NewState returns a state that remembers nothing.
func NewState() *State { return &State{folders: map[string]*folder{}} }

func blockPath(block []byte) (string, bool) {
	r := reader{b: block[blockHeader:]}
	path := r.text()
	return path, !r.bad
}

// Folder returns what is remembered of a folder's files, sorted by name. The
// path is relative to the repository, "." its root. The slice is shared.
func (s *State) Folder(path string) []Record {
	s.join(path)
	return s.base(path)
}

// base is Folder without the single records.
func (s *State) base(path string) []Record {
	s.mu.Lock()
	f := s.folders[path]
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	f.once.Do(func() {
		if f.raw != nil {
			f.records = decodeBlock(f.raw)
		}
	})
	return f.records
}

// Lookup returns the remembered digest of a file with exactly this stat.
// sure is false if it is only a hint: the file must be read.
func Lookup(records []Record, name string, st disk.Stat, a object.Algorithm) (d object.Digest, sure bool) {
	i, ok := find(records, name)
	if !ok || records[i].Digest.Algorithm() != a {
		return object.Digest{}, false
	}
	r := &records[i]
	return r.Digest, !r.Racy && r.Stat.SameContent(st)
}

// find returns where name is in records, or would be.
func find(records []Record, name string) (int, bool) {
	return slices.BinarySearchFunc(records, name, func(r Record, n string) int { return strings.Compare(r.Name, n) })
}

// SetFolder replaces what is remembered of a folder. The records are sorted
// by name and belong to the state afterwards.
func (s *State) SetFolder(path string, records []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = true
	if len(records) == 0 {
		delete(s.folders, path)
		return
	}
	f := &folder{records: records}
	f.once.Do(func() {})
	s.folders[path] = f
}

// File returns what is remembered of one file: one record or none.
func (s *State) File(folder, name string) []Record {
	s.mu.Lock()
	r, ok := s.single[folder][name]
	s.mu.Unlock()
	if ok {
		return []Record{r}
	}
	records := s.base(folder)
	if i, found := find(records, name); found {
		return records[i : i+1]
	}
	return nil
}

// SetFile replaces what is remembered of one file.
func (s *State) SetFile(folder string, r Record) {
	r.Stat = remembered(r.Stat)
	if old := s.File(folder, r.Name); len(old) == 1 && old[0] == r {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.single == nil {
		s.single = map[string]map[string]Record{}
	}
	if s.single[folder] == nil {
		s.single[folder] = map[string]Record{}
	}
	s.single[folder][r.Name] = r
	s.changed = true
}

// join puts the single records of a folder into the folder.
func (s *State) join(path string) {
	s.mu.Lock()
	fresh := s.single[path]
	delete(s.single, path)
	s.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	var records []Record
	for _, old := range s.base(path) {
		if _, replaced := fresh[old.Name]; !replaced {
			records = append(records, old)
		}
	}
	for _, r := range fresh {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	s.SetFolder(path, records)
}

// remembered is the part of a stat that records hold.
func remembered(st disk.Stat) disk.Stat {
	return disk.Stat{Size: st.Size, MTime: st.MTime, CTime: st.CTime, Ino: st.Ino, Dev: st.Dev}
}

// Forget drops a folder and all below it.
func (s *State) Forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.folders {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(s.folders, p)
			s.changed = true
		}
	}
	for p := range s.single {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(s.single, p)
		}
	}
}

// Save writes the state to a file of dir if anything in it changed.
func (s *State) Save(dir *disk.Dir, name string) error {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.single))
	s.mu.Unlock()
	for _, path := range open {
		s.join(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		return nil
	}
	paths := make([]string, 0, len(s.folders))
	size := len(stateMagic)
	for p, f := range s.folders {
		paths = append(paths, p)
		size += len(f.raw) + 100*len(f.records)
	}
	slices.Sort(paths)
	b := make([]byte, 0, size)
	b = append(b, stateMagic...)
	for _, p := range paths {
		f := s.folders[p]
		if f.raw != nil {
			b = append(b, f.raw...)
		} else {
			b = appendBlock(b, p, f.records)
		}
	}
	tmp := disk.TempName() // two readers may save at the same time
	w, err := dir.Create(tmp, 0o666)
	if err != nil {
		return err
	}
	// No flush: a state lost to a power cut is rebuilt, a torn one has
	// checksums.
	for rest := b; err == nil && len(rest) > 0; {
		piece := rest[:min(len(rest), 1<<20)]
		rest = rest[len(piece):]
		_, err = w.Write(piece)
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = dir.Rename(tmp, dir, name)
	}
	if err != nil {
		_ = dir.Remove(tmp)
		return err
	}
	s.changed = false
	return nil
}

// grain is how coarse a clock of file times may be: a tick of the slowest
// common kernel, with room to spare. A file system that keeps whole seconds
// shows it by its zeros, and FAT keeps two.
const (
	grain       = 15 * time.Millisecond
	grainSecond = 2 * time.Second
)

// IsRacy reports whether a file with this stat, read at a time, could have
// been changed afterwards without a change of its times.
func IsRacy(st disk.Stat, readAt time.Time) bool {
	last := max(st.MTime, st.CTime)
	return last+int64(grainOf(st)) > readAt.UnixNano()
}

func grainOf(st disk.Stat) time.Duration {
	if st.MTime%int64(time.Second) == 0 && st.CTime%int64(time.Second) == 0 {
		return grainSecond
	}
	return grain
}

// Settle waits until a change of a file with one of these times must show,
// so that what was just written need not be taken for racy. It waits for
// clocks of fine grain only and says whether that was enough.
func Settle(latest disk.Stat, now func() time.Time) bool {
	if grainOf(latest) != grain {
		return false
	}
	wait := time.Unix(0, max(latest.MTime, latest.CTime)).Add(grain).Sub(now())
	if wait > grain {
		return false // the file system's clock is not ours
	}
	if wait > 0 {
		time.Sleep(wait)
	}
	return true
}

func appendBlock(b []byte, path string, records []Record) []byte {
	at := len(b)
	b = append(b, make([]byte, blockHeader)...)
	b = appendText(b, path)
	b = binary.AppendUvarint(b, uint64(len(records)))
	for i := range records {
		r := &records[i]
		b = appendText(b, r.Name)
		flags := byte(r.Digest.Algorithm())
		if r.Racy {
			flags |= flagRacy
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(r.Stat.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Stat.MTime))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Stat.CTime))
		b = binary.AppendUvarint(b, r.Stat.Ino)
		b = binary.AppendUvarint(b, r.Stat.Dev)
		b = r.Digest.AppendSum(b)
	}
	body := b[at+blockHeader:]
	binary.LittleEndian.PutUint32(b[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[at+4:], crc32.Checksum(body, castagnoli()))
	return b
}

const (
	flagRacy = 0x80
	flagAlg  = 0x0f
)

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decodeBlock returns a block's records, or none if it is damaged.
func decodeBlock(block []byte) []Record {
	body := block[blockHeader:]
	if crc32.Checksum(body, castagnoli()) != binary.LittleEndian.Uint32(block[4:]) {
		return nil
	}
	r := reader{b: body}
	r.text()
	n := r.uvarint()
	const least = 1 + 1 + 1 + 16 + 2 // bytes of the smallest record
	if r.bad || n > uint64(len(r.b)/least) {
		return nil
	}
	records := make([]Record, 0, n)
	for range n {
		var rec Record
		rec.Name = r.text()
		flags := r.byte()
		rec.Racy = flags&flagRacy != 0
		rec.Stat.Size = int64(r.uvarint())
		rec.Stat.MTime = int64(r.uint64())
		rec.Stat.CTime = int64(r.uint64())
		rec.Stat.Ino = r.uvarint()
		rec.Stat.Dev = r.uvarint()
		a := object.Algorithm(flags & flagAlg)
		if sum := r.take(a.Size()); !r.bad && a.Size() > 0 {
			rec.Digest = object.NewDigest(a, sum, false)
		}
		if r.bad {
			return nil
		}
		records = append(records, rec)
	}
	return records
}

// reader takes fields from a block; once something is missing it is bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	return string(r.take(int(n)))
}
