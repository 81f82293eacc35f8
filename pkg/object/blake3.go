package object

import (
	"hash"
	"math/bits"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// BLAKE3 is a tree: runs of 2^k chunks of 1 KiB are hashed each on its own, if
// one knows where in the input they begin, and are then joined. zeebo/blake3
// hashes from start to end only and is the fastest for what fits in a few
// kilobytes; the subtrees are lukechampine's. Measured on one core of a Zen 5,
// in a core's cache, in GB/s:
//
//	             zeebo  guts
//	AVX-512       4.7   10.5
//	AVX2          4.7    3.6
//	no assembly   0.8    0.8

// wide is whether the subtrees' code is the fastest on a single core as well.
var wide = cpu.X86.HasAVX512F

const (
	// unit is the subtree that is hashed in one call.
	unit = guts.MaxSIMD * guts.ChunkSize
	// PieceSize is the length of the pieces of [Pieces]. It fits a core's
	// second cache several times.
	PieceSize = 256 << 10

	chunksAPiece = PieceSize / guts.ChunkSize
)

// sumBLAKE3 hashes b on one core.
func sumBLAKE3(b []byte) [32]byte {
	if !wide || len(b) < unit {
		return blake3.Sum256(b)
	}
	var t tree
	return root(t.hash(b, 0))
}

// newBLAKE3 returns the fastest hash for a stream.
func newBLAKE3() hash.Hash {
	if !wide {
		return blake3.New()
	}
	return newTreeHash()
}

// root is the hash of the input whose topmost node is n.
func root(n guts.Node) (sum [32]byte) {
	n.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(n))
	copy(sum[:], out[:])
	return sum
}

// tree joins the subtrees of an input from left to right. All but the last
// have the same number of chunks, a power of two.
type tree struct {
	n     uint64 // subtrees so far; its bits say which heights are taken
	stack [48][8]uint32
}

// push takes the next subtree, which must not be the last.
func (t *tree) push(cv [8]uint32) {
	height := bits.TrailingZeros64(^t.n)
	for _, left := range t.stack[:height] {
		cv = guts.ChainingValue(guts.ParentNode(left, cv, &guts.IV, 0))
	}
	t.stack[height] = cv
	t.n++
}

// join returns the topmost node, given the last subtree's.
func (t *tree) join(last guts.Node) guts.Node {
	for taken := t.n; taken != 0; taken &= taken - 1 {
		left := t.stack[bits.TrailingZeros64(taken)]
		last = guts.ParentNode(left, guts.ChainingValue(last), &guts.IV, 0)
	}
	return last
}

// hash returns the topmost node of b, which begins at the chunk first of the
// input and is either its end or 2^k units. The tree must be empty.
func (t *tree) hash(b []byte, first uint64) guts.Node {
	for ; len(b) > unit; b = b[unit:] {
		t.push(guts.ChainingValue(hashUnit(b[:unit], first)))
		first += guts.MaxSIMD
	}
	return t.join(hashUnit(b, first))
}

// hashUnit returns the topmost node of at most a unit.
func hashUnit(b []byte, first uint64) guts.Node {
	if len(b) == unit {
		return guts.CompressBuffer((*[unit]byte)(b), unit, &guts.IV, first, 0)
	}
	// The assembly reads a whole unit, whatever is to be hashed.
	whole := units.Get().(*[unit]byte)
	defer units.Put(whole)
	n := copy(whole[:], b)
	return guts.CompressBuffer(whole, n, &guts.IV, first, 0)
}

var units = sync.Pool{New: func() any { return new([unit]byte) }}

// treeHash is BLAKE3 of a stream.
type treeHash struct {
	t   tree
	n   int // in buf
	buf [unit]byte
}

func newTreeHash() hash.Hash { return new(treeHash) }

// Write never fails. What fills buf stays there until more comes, as the last
// unit is hashed in another way.
func (h *treeHash) Write(p []byte) (int, error) {
	written := len(p)
	if h.n > 0 {
		n := copy(h.buf[h.n:], p)
		h.n += n
		if p = p[n:]; len(p) == 0 {
			return written, nil
		}
		h.take(h.buf[:])
		h.n = 0
	}
	for ; len(p) > unit; p = p[unit:] {
		h.take(p[:unit])
	}
	h.n = copy(h.buf[:], p)
	return written, nil
}

func (h *treeHash) take(b []byte) {
	h.t.push(guts.ChainingValue(hashUnit(b, h.t.n*guts.MaxSIMD)))
}

// Sum does not change the state.
func (h *treeHash) Sum(b []byte) []byte {
	sum := root(h.t.join(hashUnit(h.buf[:h.n], h.t.n*guts.MaxSIMD)))
	return append(b, sum[:]...)
}

func (h *treeHash) Reset()         { h.t.n, h.n = 0, 0 }
func (h *treeHash) Size() int      { return 32 }
func (h *treeHash) BlockSize() int { return guts.BlockSize }

// Splits reports whether pieces of one input can be hashed side by side, with
// [Pieces].
func (a Algorithm) Splits() bool { return a == BLAKE3 }

// Pieces is the BLAKE3 hash of an input of known length whose pieces of
// [PieceSize] bytes come in any order, each once. It is safe for concurrent
// use. What it holds grows with how far the pieces are out of order.
type Pieces struct {
	count int64
	size  int64

	mu    sync.Mutex
	t     tree
	last  guts.Node
	early map[int64][8]uint32 // pieces that wait for one before them
	have  int64
}

// NewPieces begins the hash of size bytes.
func NewPieces(size int64) *Pieces {
	return &Pieces{size: size, count: max(1, (size+PieceSize-1)/PieceSize), early: map[int64][8]uint32{}}
}

// Count is how many pieces there are: one at least.
func (p *Pieces) Count() int64 { return p.count }

// Add hashes the i-th piece. All have PieceSize bytes but the last, which has
// the rest; b is not kept.
func (p *Pieces) Add(i int64, b []byte) {
	if int64(len(b)) != min(PieceSize, p.size-i*PieceSize) {
		panic("object: a piece of wrong size")
	}
	var t tree
	node := t.hash(b, uint64(i)*chunksAPiece)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have++
	if i == p.count-1 {
		p.last = node
		return
	}
	p.early[i] = guts.ChainingValue(node)
	for {
		next := int64(p.t.n)
		cv, ok := p.early[next]
		if !ok {
			return
		}
		delete(p.early, next)
		p.t.push(cv)
	}
}

// Sum is the digest, once each piece was added.
func (p *Pieces) Sum() Digest {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have != p.count {
		panic("object: a piece is missing")
	}
	return Digest{alg: BLAKE3, sum: root(p.t.join(p.last))}
}
