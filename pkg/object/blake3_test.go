package object

import (
	"bufio"
	"bytes"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/zeebo/blake3"
	"lukechampine.com/blake3/guts"
)

// blake3Vector is a line of testdata/blake3.txt.
type blake3Vector struct {
	size int
	sum  string
}

func blake3Vectors(t *testing.T) []blake3Vector {
	t.Helper()
	f, err := os.Open("testdata/blake3.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var vs []blake3Vector
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		var v blake3Vector
		if _, err := fmt.Sscan(s.Text(), &v.size, &v.sum); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		vs = append(vs, v)
	}
	if len(vs) < 50 {
		t.Fatalf("%d vectors", len(vs))
	}
	return vs
}

// vectorInput is the input of the official test vectors.
func vectorInput(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// blake3Ways are all the ways to BLAKE3 in this package.
var blake3Ways = []struct {
	name string
	sum  func(b []byte) []byte
}{
	{"sum", func(b []byte) []byte { s := sumBLAKE3(b); return s[:] }},
	{"subtrees", func(b []byte) []byte { var t tree; s := root(t.hash(b, 0)); return s[:] }},
	{"stream at once", func(b []byte) []byte { return streamed(newTreeHash(), b, len(b)) }},
	{"stream of odd writes", func(b []byte) []byte { return streamed(newTreeHash(), b, 1021) }},
	{"stream of units", func(b []byte) []byte { return streamed(newTreeHash(), b, unit) }},
	{"stream", func(b []byte) []byte { return streamed(BLAKE3.New(), b, 300<<10) }},
	{"pieces", func(b []byte) []byte { return inPieces(b, func(n int) []int { return ordered(n) }) }},
	{"pieces from the end", func(b []byte) []byte {
		return inPieces(b, func(n int) []int {
			order := ordered(n)
			for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
				order[i], order[j] = order[j], order[i]
			}
			return order
		})
	}},
	{"pieces by chance", func(b []byte) []byte {
		return inPieces(b, func(n int) []int { return rand.New(rand.NewPCG(1, uint64(len(b)))).Perm(n) })
	}},
}

func ordered(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func streamed(h hash.Hash, b []byte, step int) []byte {
	for len(b) > 0 {
		n := min(step, len(b))
		h.Write(b[:n])
		b = b[n:]
	}
	return h.Sum(nil)
}

func inPieces(b []byte, order func(int) []int) []byte {
	p := NewPieces(int64(len(b)))
	for _, i := range order(int(p.Count())) {
		p.Add(int64(i), b[i*PieceSize:min((i+1)*PieceSize, len(b))])
	}
	return p.Sum().AppendSum(nil)
}

func TestBLAKE3Vectors(t *testing.T) {
	for _, v := range blake3Vectors(t) {
		b := vectorInput(v.size)
		if got := fmt.Sprintf("%x", blake3.Sum256(b)); got != v.sum {
			t.Errorf("%d bytes, zeebo: got %s, want %s", v.size, got, v.sum)
		}
		for _, way := range blake3Ways {
			if got := fmt.Sprintf("%x", way.sum(b)); got != v.sum {
				t.Errorf("%d bytes, %s: got %s, want %s", v.size, way.name, got, v.sum)
			}
		}
	}
}

// TestBLAKE3Borders compares with an implementation that knows nothing of
// subtrees, at each length about the borders of chunks, units and pieces.
func TestBLAKE3Borders(t *testing.T) {
	var sizes []int
	for k := range 5 * guts.MaxSIMD {
		sizes = append(sizes, k*guts.ChunkSize)
	}
	for k := 1; k <= 12<<20; k *= 2 {
		sizes = append(sizes, k, k+unit, k+PieceSize)
	}
	for k := range 9 {
		sizes = append(sizes, k*PieceSize+3*unit+5)
	}
	input := make([]byte, 20<<20)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(input)
	for _, size := range sizes {
		for _, d := range []int{-65, -1, 0, 1, 64} {
			n := size + d
			if n < 0 || n > len(input) || n > 4<<20 && d != 0 && d != 1 {
				continue
			}
			want := blake3.Sum256(input[:n])
			for _, way := range blake3Ways {
				if got := way.sum(input[:n]); !bytes.Equal(got, want[:]) {
					t.Errorf("%d bytes, %s: got %x, want %x", n, way.name, got, want)
				}
			}
		}
	}
}

// A hash goes on after Sum, and begins anew after Reset.
func TestBLAKE3Stream(t *testing.T) {
	b := vectorInput(3*unit + 17)
	h := newTreeHash()
	for round := range 2 {
		for n := range len(b) / 1000 {
			h.Write(b[n*1000 : (n+1)*1000])
			want := blake3.Sum256(b[:(n+1)*1000])
			prefix := []byte("before")
			if got := h.Sum(prefix); !bytes.Equal(got, append(prefix, want[:]...)) {
				t.Fatalf("round %d: after %d bytes %x, want %x", round, (n+1)*1000, got, want)
			}
		}
		h.Reset()
	}
}

// Pieces may come from many goroutines at once.
func TestBLAKE3PiecesTogether(t *testing.T) {
	b := vectorInput(40*PieceSize + 4097)
	p := NewPieces(int64(len(b)))
	var wg sync.WaitGroup
	for w := range int64(4) {
		wg.Go(func() {
			for i := w; i < p.Count(); i += 4 {
				p.Add(i, b[i*PieceSize:min((i+1)*PieceSize, int64(len(b)))])
			}
		})
	}
	wg.Wait()
	if got, want := p.Sum(), Sum(BLAKE3, b); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A digest of half the pieces is never given.
func TestBLAKE3PiecesMissing(t *testing.T) {
	p := NewPieces(2 * PieceSize)
	p.Add(0, make([]byte, PieceSize))
	defer func() {
		if recover() == nil {
			t.Error("Sum of one piece of two")
		}
	}()
	p.Sum()
}

func FuzzBLAKE3(f *testing.F) {
	f.Add([]byte("a"), uint16(3), uint32(1<<20))
	f.Fuzz(func(t *testing.T, seed []byte, step uint16, size uint32) {
		if len(seed) == 0 || step == 0 {
			return
		}
		b := bytes.Repeat(seed, int(size%(3<<20))/len(seed)+1)
		want := blake3.Sum256(b)
		if got := streamed(newTreeHash(), b, int(step)); !bytes.Equal(got, want[:]) {
			t.Errorf("stream: %x, want %x", got, want)
		}
		if got := inPieces(b, rand.New(rand.NewPCG(uint64(step), 2)).Perm); !bytes.Equal(got, want[:]) {
			t.Errorf("pieces: %x, want %x", got, want)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, a := range []Algorithm{MD5, BLAKE3} {
		for _, n := range []int{300, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 64 << 20} {
			data := vectorInput(n)
			b.Run(fmt.Sprintf("%s/%d", a.Name(), n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					Sum(a, data)
				}
			})
		}
	}
}
