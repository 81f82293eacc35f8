package git

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
)

// pack is one pack file with its index, version 2. The index is searched in
// place until it has been asked often enough to be worth reading.
type pack struct {
	db   *objectDB
	name string // path of the index
	idx  *os.File
	file *os.File

	count  int
	fanout [256]uint32

	mu      sync.Mutex
	lookups int
	ids     []byte           // all object names once read
	bases   map[int64]packed // recently read bases of deltas
	cached  int              // bytes in bases
}

type packed struct {
	t    objType
	data []byte
}

const (
	idxHeader = 8 + 256*4
	// loadAfter is how many searches in place, each some twenty small reads,
	// cost about as much as reading the names of a large pack.
	loadAfter = 64
	// maxBases bounds the memory for bases of deltas, per pack.
	maxBases = 8 << 20
	// maxDepth bounds a chain of deltas; git's own limit is 4095.
	maxDepth = 4096
)

func (db *objectDB) allPacks() ([]*pack, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.list(); err != nil {
		return nil, err
	}
	return slices.Clone(db.packs), nil
}

// relist forgets which packs there are; those in use stay open until Close.
func (db *objectDB) relist() {
	db.mu.Lock()
	db.loaded = false
	db.mu.Unlock()
}

func (db *objectDB) list() error {
	if db.loaded {
		return nil
	}
	known := map[string]bool{}
	for _, p := range db.packs {
		known[p.name] = true
	}
	for _, dir := range db.dirs {
		list, err := os.ReadDir(filepath.Join(dir, "pack"))
		if err != nil && !missing(err) {
			return err
		}
		for _, e := range list {
			name := filepath.Join(dir, "pack", e.Name())
			if !strings.HasSuffix(name, ".idx") || known[name] {
				continue
			}
			p, err := db.openPack(name)
			if missing(err) {
				continue // repacked this moment
			}
			if err != nil {
				return err
			}
			db.packs = append(db.packs, p)
		}
	}
	db.loaded = true
	return nil
}

func (db *objectDB) openPack(name string) (_ *pack, err error) {
	p := &pack{db: db, name: name, bases: map[int64]packed{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.idx, err = os.Open(name); err != nil {
		return nil, err
	}
	if p.file, err = os.Open(strings.TrimSuffix(name, ".idx") + ".pack"); err != nil {
		return nil, err
	}
	var head [idxHeader]byte
	if _, err = p.idx.ReadAt(head[:], 0); err != nil || string(head[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "the pack index %q is not of version 2", name), "Run: git repack -ad")
	}
	last := uint32(0)
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[8+4*i:])
		if p.fanout[i] < last {
			return nil, errs.New(errs.Corrupt, "the pack index %q is damaged", name)
		}
		last = p.fanout[i]
	}
	p.count = int(last)
	return p, nil
}

func (p *pack) close() {
	for _, f := range []*os.File{p.idx, p.file} {
		if f != nil {
			f.Close()
		}
	}
}

// locate finds the pack that holds an object and its offset there; a nil pack
// says that none does.
func (db *objectDB) locate(raw []byte) (*pack, int64, error) {
	packs, err := db.allPacks()
	if err != nil {
		return nil, 0, err
	}
	for i, p := range packs {
		off, ok, err := p.offset(raw)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			continue
		}
		if i > 0 {
			db.mu.Lock()
			if j := slices.Index(db.packs, p); j > 0 {
				copy(db.packs[1:], db.packs[:j])
				db.packs[0] = p
			}
			db.mu.Unlock()
		}
		return p, off, nil
	}
	return nil, 0, nil
}

// bucket is the range of entries whose names begin with a byte.
func (p *pack) bucket(first byte) (lo, hi int) {
	if first > 0 {
		lo = int(p.fanout[first-1])
	}
	return lo, int(p.fanout[first])
}

// id reads the name of the i-th object into buf, or returns it from memory.
func (p *pack) id(i int, buf []byte) ([]byte, error) {
	n := p.db.hashLen
	p.mu.Lock()
	ids := p.ids
	p.mu.Unlock()
	if ids != nil {
		return ids[i*n : (i+1)*n], nil
	}
	_, err := p.idx.ReadAt(buf[:n], idxHeader+int64(i)*int64(n))
	return buf[:n], p.damaged(err)
}

func (p *pack) damaged(err error) error {
	if err == nil {
		return nil
	}
	return &errs.Error{Kind: errs.Corrupt, Msg: "the pack index " + p.name + " is damaged", Hint: "Run: git fsck", Err: err}
}

// search returns the first entry whose name is not below prefix.
func (p *pack) search(prefix []byte) (int, error) {
	lo, hi := p.bucket(prefix[0])
	var buf [32]byte
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		id, err := p.id(mid, buf[:])
		if err != nil {
			return 0, err
		}
		if bytes.Compare(id, prefix) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

func (p *pack) offset(raw []byte) (int64, bool, error) {
	if err := p.countLookup(); err != nil {
		return 0, false, err
	}
	i, err := p.search(raw)
	if err != nil || i >= p.count {
		return 0, false, err
	}
	var buf [32]byte
	id, err := p.id(i, buf[:])
	if err != nil || !bytes.Equal(id, raw) {
		return 0, false, err
	}
	// Names, then CRCs, then offsets of 31 bits, then those of 63.
	table := idxHeader + int64(p.count)*int64(p.db.hashLen+4)
	if _, err := p.idx.ReadAt(buf[:4], table+int64(i)*4); err != nil {
		return 0, false, p.damaged(err)
	}
	off := binary.BigEndian.Uint32(buf[:4])
	if off&(1<<31) == 0 {
		return int64(off), true, nil
	}
	if _, err := p.idx.ReadAt(buf[:8], table+int64(p.count)*4+int64(off&^(1<<31))*8); err != nil {
		return 0, false, p.damaged(err)
	}
	return int64(binary.BigEndian.Uint64(buf[:8]) & (1<<63 - 1)), true, nil
}

func (p *pack) countLookup() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookups++
	if p.lookups != loadAfter || p.count == 0 {
		return nil
	}
	size := int64(p.count) * int64(p.db.hashLen)
	if st, err := p.idx.Stat(); err != nil || st.Size() < idxHeader+size {
		return p.damaged(errors.Join(err, io.ErrUnexpectedEOF))
	}
	ids := make([]byte, size)
	if _, err := p.idx.ReadAt(ids, idxHeader); err != nil {
		return p.damaged(err)
	}
	p.ids = ids
	return nil
}

func (p *pack) abbreviated(prefix string, found map[string]bool) error {
	low, err := hex.DecodeString(prefix[:len(prefix)&^1])
	if err != nil {
		return err
	}
	i, err := p.search(low)
	var buf [32]byte
	for ; err == nil && i < p.count; i++ {
		var id []byte
		if id, err = p.id(i, buf[:]); err != nil {
			break
		}
		name := hex.EncodeToString(id)
		if strings.HasPrefix(name, prefix) {
			found[name] = true
		} else if name > prefix {
			break
		}
	}
	return err
}

// entry is the header of an object in a pack.
type entry struct {
	t    objType
	size int64  // of the object, or of the delta
	base int64  // offset of the base of an offset delta
	ref  []byte // name of the base of a reference delta
	data int64  // offset of the compressed bytes
}

var errPack = errors.New("its place in the pack is not understood")

func (p *pack) header(off int64) (entry, error) {
	var buf [64]byte
	n, err := p.file.ReadAt(buf[:], off)
	if err != nil && (err != io.EOF || n == 0) {
		return entry{}, err
	}
	b := buf[:n]
	e := entry{t: objType(b[0] >> 4 & 7), size: int64(b[0] & 15)}
	i := 1
	for shift := 4; b[i-1]&0x80 != 0; shift += 7 {
		if i == len(b) || shift > 56 {
			return e, errPack
		}
		e.size |= int64(b[i]&0x7f) << shift
		i++
	}
	switch e.t {
	case typeCommit, typeTree, typeBlob, typeTag:
	case typeOfsDelta:
		if i == len(b) {
			return e, errPack
		}
		back := int64(b[i] & 0x7f)
		for i++; b[i-1]&0x80 != 0; i++ {
			if i == len(b) || back > 1<<54 {
				return e, errPack
			}
			back = (back+1)<<7 | int64(b[i]&0x7f)
		}
		if e.base = off - back; back == 0 || e.base < 12 {
			return e, errPack
		}
	case typeRefDelta:
		if i+p.db.hashLen > len(b) {
			return e, errPack
		}
		e.ref = bytes.Clone(b[i : i+p.db.hashLen])
		i += p.db.hashLen
	default:
		return e, errPack
	}
	e.data = off + int64(i)
	return e, nil
}

// inflaters are reused: each holds some 40 KiB, more than most objects.
var inflaters sync.Pool

func (p *pack) inflate(e entry) (io.ReadCloser, error) {
	src := io.NewSectionReader(p.file, e.data, 1<<62-e.data)
	z, ok := inflaters.Get().(io.ReadCloser)
	if !ok {
		return zlib.NewReader(src)
	}
	return z, z.(zlib.Resetter).Reset(src, nil)
}

// read returns the object at an offset, its deltas applied.
func (p *pack) read(off int64, depth int) (objType, []byte, error) {
	p.mu.Lock()
	if b, ok := p.bases[off]; ok {
		p.mu.Unlock()
		return b.t, b.data, nil
	}
	p.mu.Unlock()
	t, data, err := p.readEntry(off, depth)
	if err != nil && errs.KindOf(err) == errs.Other {
		err = &errs.Error{Kind: errs.Corrupt, Msg: "the pack " + p.file.Name() + " is damaged", Hint: "Run: git fsck", Err: err}
	}
	return t, data, err
}

func (p *pack) readEntry(off int64, depth int) (objType, []byte, error) {
	if depth > maxDepth {
		return 0, nil, errPack
	}
	e, err := p.header(off)
	if err != nil {
		return 0, nil, err
	}
	z, err := p.inflate(e)
	if err != nil {
		return 0, nil, err
	}
	data, err := readSized(z, e.size)
	inflaters.Put(z)
	if err != nil || e.t <= typeTag {
		return e.t, data, err
	}
	t, base, err := p.base(e, depth)
	if err != nil {
		return 0, nil, err
	}
	data, err = applyDelta(base, data)
	return t, data, err
}

func (p *pack) base(e entry, depth int) (objType, []byte, error) {
	if e.t == typeRefDelta {
		// In a pack on disk the base is in the same pack.
		off, ok, err := p.offset(e.ref)
		if err != nil || !ok {
			return 0, nil, errors.Join(err, errPack)
		}
		e.base = off
	}
	t, data, err := p.read(e.base, depth+1)
	if err == nil {
		p.remember(e.base, packed{t, data})
	}
	return t, data, err
}

func (p *pack) remember(off int64, b packed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.bases[off]; ok || len(b.data) > maxBases/4 {
		return
	}
	if p.cached += len(b.data); p.cached > maxBases {
		p.bases = map[int64]packed{}
		p.cached = len(b.data)
	}
	p.bases[off] = b
}

// size of the object at an offset: that of a delta's result is at its start.
func (p *pack) size(off int64) (int64, error) {
	e, err := p.header(off)
	if err != nil || e.t <= typeTag {
		return e.size, err
	}
	z, err := p.inflate(e)
	if err != nil {
		return 0, err
	}
	defer inflaters.Put(z)
	var buf [20]byte
	n, err := io.ReadFull(z, buf[:])
	if err != nil && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	_, rest, ok := varint(buf[:n])
	size, _, ok2 := varint(rest)
	if !ok || !ok2 {
		return 0, errPack
	}
	return size, nil
}

// varint reads a size at the start of a delta.
func varint(b []byte) (int64, []byte, bool) {
	var n int64
	for i := 0; i < len(b) && i < 9; i++ {
		n |= int64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

var errDelta = errors.New("a delta in it is not understood")

func applyDelta(base, delta []byte) ([]byte, error) {
	from, delta, ok := varint(delta)
	if !ok || from != int64(len(base)) {
		return nil, errDelta
	}
	size, delta, ok := varint(delta)
	if !ok || size > maxObject {
		return nil, errDelta
	}
	out := make([]byte, 0, min(size, 1<<20))
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			n := int(op)
			if n == 0 || n > len(delta) {
				return nil, errDelta
			}
			out = append(out, delta[:n]...)
			delta = delta[n:]
			continue
		}
		var arg [7]int
		for i := range arg {
			if op&(1<<i) == 0 {
				continue
			}
			if len(delta) == 0 {
				return nil, errDelta
			}
			arg[i] = int(delta[0])
			delta = delta[1:]
		}
		at := arg[0] | arg[1]<<8 | arg[2]<<16 | arg[3]<<24
		n := arg[4] | arg[5]<<8 | arg[6]<<16
		if n == 0 {
			n = 0x10000
		}
		if at < 0 || at+n > len(base) || int64(len(out)+n) > size {
			return nil, errDelta
		}
		out = append(out, base[at:at+n]...)
	}
	if int64(len(out)) != size {
		return nil, errDelta
	}
	return out, nil
}
