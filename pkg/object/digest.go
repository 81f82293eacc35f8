package object

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Algorithm is a content hash, together with where objects of it live.
type Algorithm uint8

// The algorithms. MD5Legacy is DVC 2's md5-dos2unix: text files are hashed
// with CRLF read as LF, and objects live outside files/.
const (
	None Algorithm = iota
	MD5
	BLAKE3
	MD5Legacy
)

// Algorithms lists all of them.
func Algorithms() []Algorithm { return []Algorithm{MD5, BLAKE3, MD5Legacy} }

// Name is the algorithm's name as in the hash field of a pointer file.
func (a Algorithm) Name() string {
	switch a {
	case MD5:
		return "md5"
	case BLAKE3:
		return "blake3"
	case MD5Legacy:
		return "md5-dos2unix"
	}
	return "none"
}

// Key is the key under which pointer files and manifests hold a digest of a.
func (a Algorithm) Key() string {
	if a == MD5Legacy {
		return "md5"
	}
	return a.Name()
}

// Size is the length of a sum in bytes.
func (a Algorithm) Size() int {
	switch a {
	case MD5, MD5Legacy:
		return md5.Size
	case BLAKE3:
		return 32
	}
	return 0
}

// New returns a fresh hash of a; it panics on None. The legacy hash finds the
// line ends of a chunk of 1 MiB at a time and must be written to in any sizes.
func (a Algorithm) New() hash.Hash {
	switch a {
	case MD5:
		return md5.New()
	case BLAKE3:
		return newBLAKE3()
	case MD5Legacy:
		return newDos2Unix()
	}
	panic("object: hash of no algorithm")
}

// Prefix is the folder of a's objects in a cache or remote: "files/md5/",
// "files/blake3/" or, for legacy objects, "".
func (a Algorithm) Prefix() string {
	if a == MD5Legacy {
		return ""
	}
	return "files/" + a.Name() + "/"
}

// AlgorithmByName finds an algorithm by [Algorithm.Name].
func AlgorithmByName(name string) (Algorithm, bool) {
	for _, a := range []Algorithm{MD5, BLAKE3, MD5Legacy} {
		if a.Name() == name {
			return a, true
		}
	}
	return None, false
}

// Digest identifies an object: a file's content, or a folder's manifest. It
// is comparable; the zero Digest is no digest.
type Digest struct {
	alg Algorithm
	dir bool
	sum [32]byte
}

// DirSuffix marks the digest of a folder's manifest.
const DirSuffix = ".dir"

// ParseDigest reads a digest as pointer files write it: exactly the
// hexadecimal digits of the algorithm, with ".dir" after them for a folder.
// Upper case is read and written lower. Anything else is [errs.Invalid].
func ParseDigest(a Algorithm, text string) (Digest, error) {
	d := Digest{alg: a}
	digits, dir := strings.CutSuffix(text, DirSuffix)
	d.dir = dir
	if a == None || len(digits) != 2*a.Size() {
		return Digest{}, errs.New(errs.Invalid, "%q is not a %s digest", shorten(text), a.Name())
	}
	if _, err := hex.Decode(d.sum[:], []byte(digits)); err != nil {
		return Digest{}, errs.New(errs.Invalid, "%q is not a %s digest", shorten(text), a.Name())
	}
	return d, nil
}

// NewDigest makes a digest from a sum of a's size.
func NewDigest(a Algorithm, sum []byte, dir bool) Digest {
	d := Digest{alg: a, dir: dir}
	if len(sum) != a.Size() {
		panic("object: sum of wrong size")
	}
	copy(d.sum[:], sum)
	return d
}

// Sum hashes b.
func Sum(a Algorithm, b []byte) Digest {
	switch a {
	case MD5:
		s := md5.Sum(b)
		return NewDigest(a, s[:], false)
	case BLAKE3:
		return Digest{alg: a, sum: sumBLAKE3(b)}
	}
	h := a.New()
	h.Write(b)
	return NewDigest(a, h.Sum(nil), false)
}

// Algorithm returns d's algorithm, None for the zero Digest.
func (d Digest) Algorithm() Algorithm { return d.alg }

// IsDir reports whether d is that of a folder's manifest.
func (d Digest) IsDir() bool { return d.dir }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.alg == None }

// AsDir returns d marked as a folder's manifest.
func (d Digest) AsDir() Digest { d.dir = true; return d }

// AsFile returns d without the folder mark.
func (d Digest) AsFile() Digest { d.dir = false; return d }

// AppendSum appends the raw sum to b.
func (d Digest) AppendSum(b []byte) []byte { return append(b, d.sum[:d.alg.Size()]...) }

// First returns the first byte of the sum, after which objects are sharded.
func (d Digest) First() byte { return d.sum[0] }

// String returns the digits, with ".dir" for a folder; "" for no digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	var buf [2*32 + len(DirSuffix)]byte
	return string(d.AppendText(buf[:0]))
}

// AppendText appends what String returns to b.
func (d Digest) AppendText(b []byte) []byte {
	b = appendDigest(b, &d)
	if d.dir {
		b = append(b, DirSuffix...)
	}
	return b
}

// Key is the object's place in a cache or remote, with slashes, as DVC lays
// it out: "files/md5/d4/1d8cd98f00b204e9800998ecf8427e".
func (d Digest) Key() string {
	s := d.String()
	return d.alg.Prefix() + s[:2] + "/" + s[2:]
}

// ParseKey is the inverse of [Digest.Key]; ok is false for any other path.
func ParseKey(key string) (d Digest, ok bool) {
	a, rest := MD5Legacy, key
	for _, x := range []Algorithm{MD5, BLAKE3} {
		if r, found := strings.CutPrefix(key, x.Prefix()); found {
			a, rest = x, r
		}
	}
	if len(rest) < 4 || rest[2] != '/' || strings.Contains(rest[3:], "/") {
		return Digest{}, false
	}
	d, err := ParseDigest(a, rest[:2]+rest[3:])
	if err != nil || d.Key() != key { // upper case is not our layout
		return Digest{}, false
	}
	return d, true
}

// Compare orders digests by algorithm, sum and folder mark.
func (d Digest) Compare(e Digest) int {
	if d.alg != e.alg {
		return int(d.alg) - int(e.alg)
	}
	for i := range d.sum {
		if d.sum[i] != e.sum[i] {
			return int(d.sum[i]) - int(e.sum[i])
		}
	}
	switch {
	case d.dir == e.dir:
		return 0
	case d.dir:
		return 1
	}
	return -1
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
