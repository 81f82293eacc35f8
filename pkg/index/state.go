package index

import (
	"cmp"
	"encoding/binary"
	"errors"
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

// State remembers files by folder. It is safe for concurrent use. Of folders
// that nobody asks for it holds no more than where they are in its file.
type State struct {
	mu      sync.Mutex
	folders map[string]place
	fresh   map[string][]byte // blocks that are not in the file yet; nil is a folder that is to go
	// single are records of single files, by folder and name, that folders
	// do not have yet: thousands of outs in one folder are remembered one by
	// one, and joined when somebody asks for the folder.
	single map[string]map[string]Record
	recent [4]recent // what was asked for last

	file *disk.File // what folders' places are in; nil if there is none
	size int64      // of the file, as this state knows it
	live int64      // bytes of the blocks in folders
}

// place is where in the file a folder's block is.
type place struct {
	at   int64
	size uint32
}

type recent struct {
	path    string
	records Records
}

// The file is a list of blocks, each with its length and checksum in front:
// folders, and contents that say where the folders are. A state that changed
// is written behind what is there, with new contents; a block counts for more
// than one of the same folder before it. A file that ends in anything but
// contents is read from its beginning, as far as its blocks are whole.
//
// The format is private: another version is an empty state.
const (
	stateMagic    = "CAIRNIX2"
	blockFolder   = 1 // path, records
	blockContents = 2 // path, offset, length of each folder
	blockEnd      = 3 // where the contents are; the last block of a file
	endSize       = BlockHeader + 1 + 8

	mostBlock = 1 << 31
	// A file is written anew once so much of it is of no use any more.
	wasteLeast = 1 << 20
)

// LoadState reads the state from a file of dir. Whatever is wrong with the
// file, the state is usable: what cannot be read is not remembered. note says
// so, and is empty otherwise. The caller closes the state.
func LoadState(dir *disk.Dir, name string) (s *State, note string) {
	s = NewState()
	f, err := dir.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, ""
	}
	if err == nil {
		note, err = s.load(f)
		if s.file == nil {
			f.Close()
		}
	}
	if err != nil {
		return s, "the index cannot be read and is rebuilt: " + err.Error()
	}
	return s, note
}

func (s *State) load(f *disk.File) (note string, err error) {
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.IsRegular() {
		return "the index is no file and is rebuilt", nil
	}
	magic := make([]byte, len(stateMagic))
	if _, err := f.ReadAt(magic, 0); err != nil || string(magic) != stateMagic {
		return "the index has an unknown format and is rebuilt", nil
	}
	s.file, s.size = f, st.Size
	if s.contents() {
		return "", nil
	}
	clear(s.folders)
	return s.scanBlocks(), nil
}

// contents reads where the folders are from the end of the file.
func (s *State) contents() bool {
	if s.size < int64(len(stateMagic))+endSize {
		return false
	}
	b, ok := s.block(place{s.size - endSize, endSize})
	if !ok || len(b) != endSize-BlockHeader || b[0] != blockEnd {
		return false
	}
	at := int64(binary.LittleEndian.Uint64(b[1:]))
	end := s.size - endSize
	if at < int64(len(stateMagic)) || at >= end || end-at > mostBlock {
		return false
	}
	b, ok = s.block(place{at, uint32(end - at)})
	if !ok || b[0] != blockContents {
		return false
	}
	r := reader{b: b[1:]}
	n := r.uvarint()
	for range n {
		p := r.text()
		at, size := int64(r.uvarint()), r.uvarint()
		if r.bad || at < 0 || size > mostBlock || at > end-int64(size) {
			return false
		}
		s.folders[p] = place{at, uint32(size)}
		s.live += int64(size)
	}
	return true
}

// scanBlocks finds the folders of a file without contents.
func (s *State) scanBlocks() (note string) {
	const cut = "the index is cut short; the rest is rebuilt"
	for at := int64(len(stateMagic)); at < s.size; {
		header := make([]byte, BlockHeader)
		if _, err := s.file.ReadAt(header, at); err != nil {
			return cut
		}
		size := BlockHeader + int64(binary.LittleEndian.Uint32(header))
		if size > mostBlock || size > s.size-at {
			return cut
		}
		b, ok := s.block(place{at, uint32(size)})
		if !ok {
			return cut
		}
		if b[0] == blockFolder {
			r := reader{b: b[1:]}
			p := r.text()
			s.live -= int64(s.folders[p].size)
			delete(s.folders, p)
			if n := r.uvarint(); !r.bad && n > 0 {
				s.folders[p] = place{at, uint32(size)}
				s.live += size
			}
		}
		at += size
	}
	return ""
}

// block reads a block and returns its body if it is whole. A body has at least
// a byte, which says what it is.
func (s *State) block(p place) (body []byte, ok bool) {
	if p.size <= BlockHeader {
		return nil, false
	}
	b := make([]byte, p.size)
	if _, err := s.file.ReadAt(b, p.at); err != nil {
		return nil, false
	}
	return CheckBlock(b)
}

// NewState returns a state that remembers nothing.
func NewState() *State {
	return &State{folders: map[string]place{}, fresh: map[string][]byte{}}
}

// Close releases the state's file. What is not saved is lost.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Records are what is remembered of a folder's files, sorted by name. They are
// not changed. The zero Records is none.
type Records struct {
	b  []byte   // a folder's block
	at []uint32 // where in it each record begins
}

// Len is how many there are.
func (r Records) Len() int { return len(r.at) }

// At returns the i-th.
func (r Records) At(i int) Record {
	in := reader{b: r.b[r.at[i]:]}
	name := string(in.name())
	rec := in.record()
	rec.Name = name
	return rec
}

// All returns all of them, to be changed.
func (r Records) All() []Record {
	list := make([]Record, r.Len())
	for i := range list {
		list[i] = r.At(i)
	}
	return list
}

// Find returns the record with the name.
func (r Records) Find(name string) (Record, bool) {
	i, ok := r.search(name)
	if !ok {
		return Record{}, false
	}
	in := reader{b: r.b[r.at[i]:]}
	in.name()
	rec := in.record()
	rec.Name = name
	return rec, true
}

func (r Records) search(name string) (int, bool) {
	lo, hi := 0, len(r.at)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		in := reader{b: r.b[r.at[mid]:]}
		if string(in.name()) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(r.at) {
		return lo, false
	}
	in := reader{b: r.b[r.at[lo]:]}
	return lo, string(in.name()) == name
}

// Lookup returns the remembered digest of a file with exactly this stat.
// sure is false if it is only a hint: the file must be read.
func (r Records) Lookup(name string, st disk.Stat, a object.Algorithm) (d object.Digest, sure bool) {
	rec, ok := r.Find(name)
	if !ok || rec.Digest.Algorithm() != a {
		return object.Digest{}, false
	}
	return rec.Digest, !rec.Racy && rec.Stat.SameContent(st)
}

// Folder returns what is remembered of a folder's files. The path is relative to
// the repository, "." its root.
func (s *State) Folder(path string) Records {
	s.join(path)
	return s.base(path)
}

// base is Folder without the single records.
func (s *State) base(path string) Records {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.recent {
		if r := s.recent[i]; r.path == path && r.records.b != nil {
			copy(s.recent[1:i+1], s.recent[:i])
			s.recent[0] = r
			return r.records
		}
	}
	body, ok := []byte(nil), false
	if b, isFresh := s.fresh[path]; isFresh {
		if b != nil {
			body, ok = b[BlockHeader:], true
		}
	} else if p, known := s.folders[path]; known && s.file != nil {
		body, ok = s.block(p)
	}
	if !ok {
		return Records{}
	}
	records := decodeFolder(body, path)
	copy(s.recent[1:], s.recent[:])
	s.recent[0] = recent{path, records}
	return records
}

// SetFolder replaces what is remembered of a folder. The records are sorted
// by name.
func (s *State) SetFolder(path string, records []Record) {
	var block []byte
	if len(records) > 0 {
		block = folderBlock(path, records)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(path, block)
}

func (s *State) set(path string, block []byte) {
	for i := range s.recent {
		if s.recent[i].path == path {
			s.recent[i] = recent{}
		}
	}
	if _, inFile := s.folders[path]; block == nil && !inFile {
		delete(s.fresh, path)
		return
	}
	s.fresh[path] = block
}

// File returns what is remembered of one file: one record or none.
func (s *State) File(folder, name string) Records {
	s.mu.Lock()
	r, ok := s.single[folder][name]
	s.mu.Unlock()
	if ok {
		return decodeFolder(folderBlock(folder, []Record{r})[BlockHeader:], folder)
	}
	records := s.base(folder)
	if i, found := records.search(name); found {
		return Records{records.b, records.at[i : i+1]}
	}
	return Records{}
}

// SetFile replaces what is remembered of one file.
func (s *State) SetFile(folder string, r Record) {
	r.Stat = r.Stat.Content()
	if old, ok := s.File(folder, r.Name).Find(r.Name); ok && old == r {
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
}

// join puts the single records of a folder into the folder.
func (s *State) join(path string) {
	s.mu.Lock()
	fresh := s.single[path]
	delete(s.single, path)
	s.mu.Unlock()
	if len(fresh) > 0 {
		s.merge(path, slices.Collect(maps.Values(fresh)))
	}
}

// merge puts records in place of those of the same names.
func (s *State) merge(path string, fresh []Record) {
	names := make(map[string]bool, len(fresh))
	for _, r := range fresh {
		names[r.Name] = true
	}
	records := slices.DeleteFunc(s.base(path).All(), func(r Record) bool { return names[r.Name] })
	records = append(records, fresh...)
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	s.SetFolder(path, records)
}

// Forget drops a folder and all below it.
func (s *State) Forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	within := func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") }
	for p := range s.fresh {
		if within(p) {
			s.set(p, nil)
		}
	}
	for p := range s.folders {
		if within(p) {
			s.set(p, nil)
		}
	}
	for p := range s.single {
		if within(p) {
			delete(s.single, p)
		}
	}
}

// Save writes what changed since the state was loaded to a file of dir.
func (s *State) Save(dir *disk.Dir, name string) error {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.single))
	s.mu.Unlock()
	for _, path := range open {
		s.join(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) == 0 {
		return nil
	}
	if done, err := s.extend(dir, name); done || err != nil {
		return err
	}
	return s.rewrite(dir, name)
}

// extend writes what changed behind what is in the file, unless the file is
// another one by now, or too much of it would be of no use.
func (s *State) extend(dir *disk.Dir, name string) (done bool, err error) {
	if s.file == nil {
		return false, nil
	}
	live, grown := s.live, int64(0)
	for p, b := range s.fresh {
		live += int64(len(b)) - int64(s.folders[p].size)
		grown += int64(len(b))
	}
	if waste := s.size + grown - live; waste > wasteLeast && waste > live {
		return false, nil
	}
	ours, err := s.file.Stat()
	if err != nil {
		return false, nil
	}
	f, err := dir.OpenAppend(name)
	if err != nil {
		return false, nil
	}
	st, err := f.Stat()
	if err != nil || st.Ino != ours.Ino || st.Dev != ours.Dev || st.Size != s.size {
		f.Close()
		return false, nil
	}
	w := blockWriter{f: f, at: s.size}
	folders := maps.Clone(s.folders)
	s.writeFresh(&w, folders)
	w.contents(folders)
	if err := w.close(); err != nil {
		return false, nil // a torn end is not used; the file is made anew
	}
	s.saved(folders, w.at, live)
	return true, nil
}

// saved notes that all is in the file.
func (s *State) saved(folders map[string]place, size, live int64) {
	s.folders, s.size, s.live = folders, size, live
	s.fresh = map[string][]byte{}
}

// writeFresh writes the changed folders, and notes their places.
func (s *State) writeFresh(w *blockWriter, folders map[string]place) {
	for _, p := range slices.Sorted(maps.Keys(s.fresh)) {
		b := s.fresh[p]
		if b == nil {
			w.write(folderBlock(p, nil)) // in case the contents are lost
			delete(folders, p)
			continue
		}
		folders[p] = place{w.at, uint32(len(b))}
		w.write(b)
	}
}

// rewrite writes the state to a new file.
func (s *State) rewrite(dir *disk.Dir, name string) error {
	tmp := disk.TempName() // two readers may save at the same time
	f, err := dir.Create(tmp, 0o666)
	if err != nil {
		return err
	}
	w := blockWriter{f: f}
	w.write([]byte(stateMagic))
	folders := make(map[string]place, len(s.folders)+len(s.fresh))
	// In the order of the old file, to read it from front to end.
	kept := make([]string, 0, len(s.folders))
	for p := range s.folders {
		if _, changed := s.fresh[p]; !changed {
			kept = append(kept, p)
		}
	}
	slices.SortFunc(kept, func(a, b string) int { return cmp.Compare(s.folders[a].at, s.folders[b].at) })
	for _, p := range kept {
		if s.file == nil {
			break
		}
		if b, ok := s.block(s.folders[p]); ok {
			folders[p] = place{w.at, s.folders[p].size}
			w.header(b)
			w.write(b)
		}
	}
	maps.DeleteFunc(s.fresh, func(_ string, b []byte) bool { return b == nil })
	s.writeFresh(&w, folders)
	var live int64
	for _, p := range folders {
		live += int64(p.size)
	}
	w.contents(folders)
	// No flush: a state lost to a power cut is rebuilt, a torn one has
	// checksums.
	err = w.close()
	if err == nil {
		if s.file != nil {
			s.file.Close() // where an open file cannot be replaced
			s.file = nil
		}
		err = dir.Rename(tmp, dir, name)
	}
	if err != nil {
		_ = dir.Remove(tmp)
		return err
	}
	s.saved(folders, w.at, live)
	if s.file, err = dir.OpenFile(name); err != nil {
		s.file, s.folders = nil, map[string]place{}
	}
	return nil
}

// blockWriter gathers blocks into few writes.
type blockWriter struct {
	f   *disk.File
	at  int64 // where the next block goes
	buf []byte
	err error
}

func (w *blockWriter) write(b []byte) {
	const piece = 256 << 10
	w.at += int64(len(b))
	if len(w.buf)+len(b) > piece {
		w.flush()
	}
	if len(b) > piece {
		w.put(b)
		return
	}
	w.buf = append(w.buf, b...)
}

func (w *blockWriter) put(b []byte) {
	if w.err == nil && len(b) > 0 {
		_, w.err = w.f.Write(b)
	}
}

func (w *blockWriter) flush() {
	w.put(w.buf)
	w.buf = w.buf[:0]
}

// header writes what stands before a block's body.
func (w *blockWriter) header(body []byte) {
	var h [BlockHeader]byte
	putHeader(h[:], body)
	w.write(h[:])
}

// contents writes where the folders are, and ends the file.
func (w *blockWriter) contents(folders map[string]place) {
	at := w.at
	b := []byte{blockContents}
	b = binary.AppendUvarint(b, uint64(len(folders)))
	for _, p := range slices.Sorted(maps.Keys(folders)) {
		b = AppendText(b, p)
		b = binary.AppendUvarint(b, uint64(folders[p].at))
		b = binary.AppendUvarint(b, uint64(folders[p].size))
	}
	w.header(b)
	w.write(b)
	end := binary.LittleEndian.AppendUint64([]byte{blockEnd}, uint64(at))
	w.header(end)
	w.write(end)
}

func (w *blockWriter) close() error {
	w.flush()
	if err := w.f.Close(); w.err == nil {
		w.err = err
	}
	return w.err
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

// folderBlock is the block of a folder. Without records it says that nothing is
// remembered of it.
func folderBlock(path string, records []Record) []byte {
	size := BlockHeader + 1 + 2*binary.MaxVarintLen64 + len(path)
	for i := range records {
		size += recordMost + len(records[i].Name)
	}
	b := make([]byte, BlockHeader, size)
	b = append(b, blockFolder)
	b = AppendText(b, path)
	b = binary.AppendUvarint(b, uint64(len(records)))
	for i := range records {
		r := &records[i]
		b = AppendText(b, r.Name)
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
	SealBlock(b)
	return slices.Clip(b)
}

const (
	flagRacy = 0x80
	flagAlg  = 0x0f

	recordLeast = 1 + 1 + 1 + 16 + 2           // bytes of the smallest record
	recordMost  = 2 + 1 + 4 + 16 + 10 + 5 + 32 // and of a usual one, without its name
)

// decodeFolder returns the records of a block's body, or none if they are not
// those of the folder, sorted.
func decodeFolder(body []byte, path string) Records {
	r := reader{b: body}
	if r.byte() != blockFolder || r.text() != path {
		return Records{}
	}
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)/recordLeast) {
		return Records{}
	}
	at := make([]uint32, 0, n)
	var last []byte
	for i := range n {
		at = append(at, uint32(len(body)-len(r.b)))
		name := r.name()
		r.record()
		if r.bad || i > 0 && string(last) >= string(name) {
			return Records{}
		}
		last = name
	}
	return Records{body, at}
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

func (r *reader) name() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

func (r *reader) text() string { return string(r.name()) }

// record reads all of a record but its name.
func (r *reader) record() (rec Record) {
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
	return rec
}
