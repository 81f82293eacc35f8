package object

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// File is one file of a folder's manifest.
type File struct {
	Path   string // relative to the folder, slashes
	Digest Digest
	Size   int64 // bytes; -1 if the manifest does not say, as DVC's do not
}

// Manifest lists a folder's files, sorted by path.
type Manifest []File

// Sort puts the files in the order of the format: by path, byte by byte,
// which for UTF-8 is by code point, as DVC has it.
func (m Manifest) Sort() {
	slices.SortFunc(m, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// Find returns the file with the path.
func (m Manifest) Find(path string) (File, bool) {
	i, ok := m.search(path)
	if !ok {
		return File{}, false
	}
	return m[i], true
}

func (m Manifest) search(path string) (int, bool) {
	return slices.BinarySearchFunc(m, path, func(f File, p string) int { return strings.Compare(f.Path, p) })
}

// Under returns the part of m below the folder dir, or the file dir itself.
// The result shares m's memory.
func (m Manifest) Under(dir string) Manifest {
	if dir == "" || dir == "." {
		return m
	}
	if i, ok := m.search(dir); ok {
		return m[i : i+1]
	}
	lo, _ := m.search(dir + "/")
	hi, _ := m.search(dir + "0") // "0" follows "/"
	return m[lo:hi]
}

// Size is the sum of the files' sizes, or -1 if one is not known.
func (m Manifest) Size() int64 {
	var sum int64
	for _, f := range m {
		if f.Size < 0 {
			return -1
		}
		sum += f.Size
	}
	return sum
}

// Encode returns the manifest's bytes for algorithm a, and their digest. The
// form is the one DVC writes, Python's json.dumps with sorted keys; a BLAKE3
// manifest also holds sizes. m must be sorted. Of a large one, [Manifest.Write]
// and [Manifest.Digest] need no memory.
func (m Manifest) Encode(a Algorithm) ([]byte, Digest) {
	perFile := len(a.Key()) + 2*a.Size() + 40
	n := 2
	for i := range m {
		n += perFile + len(m[i].Path)
	}
	b := bytes.NewBuffer(make([]byte, 0, n))
	_ = m.Write(b, a) // a buffer takes all
	return b.Bytes(), Sum(a, b.Bytes()).AsDir()
}

// Digest returns the digest and the length of what Encode returns.
func (m Manifest) Digest(a Algorithm) (Digest, int64) {
	h := &measure{h: a.New()}
	_ = m.Write(h, a) // a hash takes all
	return NewDigest(a, h.h.Sum(nil), true), h.n
}

type measure struct {
	h hash.Hash
	n int64
}

func (m *measure) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return m.h.Write(p)
}

// writePiece is how much of a manifest is written at once.
const writePiece = 128 << 10

// Write writes what Encode returns.
func (m Manifest) Write(w io.Writer, a Algorithm) error {
	key := a.Key()
	b := make([]byte, 0, writePiece+writePiece/8)
	b = append(b, '[')
	for i := range m {
		f := &m[i]
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '{', '"')
		b = append(b, key...)
		b = append(b, `": "`...)
		b = appendDigest(b, &f.Digest)
		b = append(b, `", "relpath": `...)
		b = appendPyString(b, f.Path)
		if a == BLAKE3 && f.Size >= 0 {
			b = append(b, `, "size": `...)
			b = strconv.AppendInt(b, f.Size, 10)
		}
		b = append(b, '}')
		if len(b) >= writePiece {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	b = append(b, ']')
	_, err := w.Write(b)
	return err
}

func appendDigest(b []byte, d *Digest) []byte {
	const digits = "0123456789abcdef"
	for _, c := range d.sum[:d.alg.Size()] {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// appendPyString appends s as Python's json.dumps writes it: ASCII, with
// surrogate pairs above the basic plane.
func appendPyString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	if isPlain(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"', c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, '\\', 'n')
			case c == '\r':
				b = append(b, '\\', 'r')
			case c == '\t':
				b = append(b, '\\', 't')
			case c == '\f':
				b = append(b, '\\', 'f')
			case c == '\b':
				b = append(b, '\\', 'b')
			case c < 0x20, c == 0x7f:
				b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		for _, u := range utf16Units(r) {
			b = append(b, '\\', 'u', digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15])
		}
	}
	return append(b, '"')
}

// isPlain reports whether s is written as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func utf16Units(r rune) []uint16 {
	if r < 0x10000 {
		return []uint16{uint16(r)}
	}
	r -= 0x10000
	return []uint16{uint16(0xd800 + r>>10), uint16(0xdc00 + r&0x3ff)}
}

// maxManifestFiles bounds what a manifest may make us allocate.
const maxManifestFiles = 50_000_000

// ParseManifest reads a manifest whose files have algorithm a. It accepts
// what DVC 2 and 3 wrote, in any order and with more keys. Paths that
// [disk.CheckRel] refuses, digests that are not a's, a path given twice, and
// a file that is also a folder are errs.Invalid: nothing of such a manifest
// may be used.
func ParseManifest(a Algorithm, data []byte) (Manifest, error) {
	m, ok, err := parseCanonical(a, bytes.NewReader(data), int64(len(data)))
	if err != nil || ok {
		return m, err
	}
	return parseLoose(a, data)
}

// check refuses what nobody may use, and sorts the rest.
func (m Manifest) check() error {
	if !slices.IsSortedFunc(m, func(x, y File) int { return strings.Compare(x.Path, y.Path) }) {
		m.Sort()
	}
	for i := range m {
		if err := disk.CheckRel(m[i].Path); err != nil {
			return errs.New(errs.Invalid, "folder manifest: %w", err)
		}
		if i > 0 && m[i].Path == m[i-1].Path {
			return errs.New(errs.Invalid, "folder manifest names %q twice", m[i].Path)
		}
	}
	return m.checkFolders()
}

// checkFolders refuses a file whose path is a folder of another. Files below
// "a" need not follow "a" directly ("a b" and "a!" sort between), so the
// folders are looked up.
func (m Manifest) checkFolders() error {
	last := ""
	for _, f := range m {
		i := strings.LastIndexByte(f.Path, '/')
		if i < 0 || f.Path[:i] == last {
			continue
		}
		last = f.Path[:i]
		for dir := last; dir != ""; {
			if _, found := m.search(dir); found {
				return errs.New(errs.Invalid, "folder manifest has %q both as a file and as a folder", dir)
			}
			j := strings.LastIndexByte(dir, '/')
			if j < 0 {
				break
			}
			dir = dir[:j]
		}
	}
	return nil
}

// CaseTwins returns two paths of m, or a path and a folder's, that a file
// system which ignores case takes for one. Folders that differ in case are
// twins even where their files have different names: one would get the
// other's name.
func (m Manifest) CaseTwins() (a, b string, found bool) {
	seen := make(map[string]string, len(m)+len(m)/8)
	lastDir := ""
	for _, f := range m {
		if a, found := seeCase(seen, f.Path); found {
			return a, f.Path, true
		}
		dir := parentOf(f.Path)
		if dir == lastDir {
			continue
		}
		lastDir = dir
		for ; dir != ""; dir = parentOf(dir) {
			if a, found := seeCase(seen, dir); found {
				return a, dir, true
			}
		}
	}
	return "", "", false
}

// seeCase remembers a path by its folded form and returns a different path
// of that form, if there was one.
func seeCase(seen map[string]string, p string) (string, bool) {
	key := foldCase(p)
	if old, ok := seen[key]; ok {
		return old, old != p
	}
	seen[key] = p
	return "", false
}

func parentOf(p string) string { return p[:max(0, strings.LastIndexByte(p, '/'))] }

// foldCase maps letters that differ in case only to one of them.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		if 'A' <= least && least <= 'Z' { // as the Kelvin sign does
			least += 'a' - 'A'
		}
		return least
	}, s)
}

// maxEntry bounds an entry of the canonical form.
const maxEntry = 64 << 10

// parseCanonical reads the exact form that Encode and DVC write, some twenty
// times as fast as a general JSON reader, and in little more memory than the
// result takes. size is a guess of how much is to be read. ok is false when
// the data has another form. It reads r to its end if ok.
func parseCanonical(a Algorithm, r io.Reader, size int64) (m Manifest, ok bool, err error) {
	c := canonical{a: a, open: []byte(`{"` + a.Key() + `": "`), buf: make([]byte, 2*maxEntry)}
	first := true
	for {
		if err := c.fill(r); err != nil {
			return nil, false, err
		}
		if first {
			if first = false; !c.skip("[") {
				return nil, false, nil
			}
		}
		// Short of an entry's length only the end of the data is parsed.
		for c.eof || len(c.rest) >= maxEntry {
			f, good := c.file()
			if !good {
				return nil, false, nil
			}
			if len(m) == cap(m) {
				m = slices.Grow(m, c.guess(len(m), size))
			}
			if m = append(m, f); len(m) > maxManifestFiles {
				return nil, false, errs.New(errs.Invalid, "folder manifest names more than %d files", maxManifestFiles)
			}
			switch {
			case c.skip("}, "):
			case c.eof && string(c.rest) == "}]":
				return m, true, m.check()
			default:
				return nil, false, nil
			}
		}
	}
}

// canonical is the state of parseCanonical.
type canonical struct {
	a     Algorithm
	open  []byte
	buf   []byte
	rest  []byte // of buf, what is not parsed yet
	taken int64  // bytes read in all
	eof   bool
	paths strings.Builder // the paths of many files lie side by side
}

// fill reads on until the buffer is full or the data ends.
func (c *canonical) fill(r io.Reader) error {
	n := copy(c.buf, c.rest)
	for n < len(c.buf) && !c.eof {
		k, err := r.Read(c.buf[n:])
		n += k
		c.taken += int64(k)
		if err == io.EOF {
			c.eof = true
		} else if err != nil {
			return err
		}
	}
	c.rest = c.buf[:n]
	return nil
}

// guess is how many more files there may be, from how long the first were.
func (c *canonical) guess(n int, size int64) int {
	const few = 256
	done := c.taken - int64(len(c.rest))
	if n < few || done <= 0 {
		return few
	}
	total := int64(float64(min(size, 64*done)) / float64(done) * float64(n))
	return max(int(total)+int(total)/64-n, n/8) + few
}

func (c *canonical) skip(text string) bool {
	rest, ok := bytes.CutPrefix(c.rest, []byte(text))
	c.rest = rest
	return ok
}

// file parses an entry up to its closing brace.
func (c *canonical) file() (f File, ok bool) {
	const mid = `", "relpath": "`
	if !bytes.HasPrefix(c.rest, c.open) {
		return f, false
	}
	b, hexLen := c.rest[len(c.open):], 2*c.a.Size()
	if len(b) < hexLen+len(mid) || string(b[hexLen:hexLen+len(mid)]) != mid {
		return f, false
	}
	f = File{Digest: Digest{alg: c.a}, Size: -1}
	if _, err := hex.Decode(f.Digest.sum[:], b[:hexLen]); err != nil {
		return f, false
	}
	b = b[hexLen+len(mid):]
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return f, false
	}
	if bytes.IndexByte(b[:end], '\\') >= 0 {
		text, n, err := unescape(c.rest[len(c.rest)-len(b)-1:])
		if err != nil {
			return f, false
		}
		f.Path, end = text, n
	} else {
		f.Path = c.keep(b[:end])
	}
	b = b[end+1:]
	if s, ok := bytes.CutPrefix(b, []byte(`, "size": `)); ok {
		n, size := 0, int64(0)
		for ; n < len(s) && n < 18 && s[n] >= '0' && s[n] <= '9'; n++ {
			size = 10*size + int64(s[n]-'0')
		}
		if n == 0 {
			return f, false
		}
		f.Size, b = size, s[n:]
	}
	c.rest = b
	return f, true
}

// keep returns b as a string that shares its memory with others.
func (c *canonical) keep(b []byte) string {
	const piece = 32 << 10
	if c.paths.Cap()-c.paths.Len() < len(b) {
		c.paths = strings.Builder{}
		c.paths.Grow(max(piece, len(b)))
	}
	at := c.paths.Len()
	c.paths.Write(b)
	return c.paths.String()[at:]
}

// unescape decodes the JSON string that text begins with. end is the offset
// of its closing quote, counted from behind the opening one.
func unescape(text []byte) (s string, end int, err error) {
	i := 1
	for i < len(text) && text[i] != '"' {
		if text[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(text) {
		return "", 0, errs.New(errs.Invalid, "folder manifest is cut short")
	}
	err = json.Unmarshal(text[:i+1], &s)
	return s, i - 1, err
}

func parseLoose(a Algorithm, data []byte) (Manifest, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	bad := func(err error) error {
		return errs.New(errs.Invalid, "folder manifest is not what it should be, at byte %d: %v", dec.InputOffset(), err)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, bad(err)
	}
	if tok != json.Delim('[') {
		return nil, errs.New(errs.Invalid, "folder manifest is not a list")
	}
	var m Manifest
	for dec.More() {
		var e map[string]json.RawMessage
		if err := dec.Decode(&e); err != nil {
			return nil, bad(err)
		}
		var path, sum string
		if err := json.Unmarshal(e["relpath"], &path); err != nil {
			return nil, errs.New(errs.Invalid, "folder manifest: entry %d has no relpath", len(m)+1)
		}
		if err := json.Unmarshal(e[a.Key()], &sum); err != nil {
			return nil, errs.New(errs.Invalid, "folder manifest: entry %q has no %s", path, a.Key())
		}
		d, err := ParseDigest(a, sum)
		if err != nil || d.IsDir() {
			return nil, errs.New(errs.Invalid, "folder manifest: entry %q: %q is not a %s digest", path, shorten(sum), a.Name())
		}
		f := File{Path: path, Digest: d, Size: -1}
		if raw, ok := e["size"]; ok {
			if err := json.Unmarshal(raw, &f.Size); err != nil || f.Size < 0 {
				f.Size = -1
			}
		}
		if m = append(m, f); len(m) > maxManifestFiles {
			return nil, errs.New(errs.Invalid, "folder manifest names more than %d files", maxManifestFiles)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errs.New(errs.Invalid, "folder manifest has text after its end")
	}
	if m == nil {
		m = Manifest{}
	}
	return m, m.check()
}
