package object

import (
	"bytes"
	"crypto/md5"
	"hash"
)

// dos2unix is DVC 2's hash: the input is cut into chunks of 1 MiB; in a chunk
// whose first 512 bytes look like text, CRLF becomes LF before md5.
type dos2unix struct {
	md5 hash.Hash
	buf []byte
}

const (
	dosChunk = 1 << 20
	dosProbe = 512
)

func newDos2Unix() hash.Hash { return &dos2unix{md5: md5.New()} }

func (h *dos2unix) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(dosChunk-len(h.buf), len(p))
		h.buf = append(h.buf, p[:take]...)
		p = p[take:]
		if len(h.buf) == dosChunk {
			h.md5.Write(unixLines(h.buf))
			h.buf = h.buf[:0]
		}
	}
	return n, nil
}

// Sum does not change the state, as hash.Hash asks: the pending chunk goes
// into a copy.
func (h *dos2unix) Sum(b []byte) []byte {
	c := h.md5.(interface{ Clone() (hash.Cloner, error) })
	clone, err := c.Clone()
	if err != nil {
		panic(err) // crypto/md5 clones always
	}
	if len(h.buf) > 0 {
		clone.Write(unixLines(h.buf))
	}
	return clone.Sum(b)
}

func (h *dos2unix) Reset()         { h.md5.Reset(); h.buf = h.buf[:0] }
func (h *dos2unix) Size() int      { return md5.Size }
func (h *dos2unix) BlockSize() int { return md5.BlockSize }

func unixLines(chunk []byte) []byte {
	if !isText(chunk[:min(dosProbe, len(chunk))]) {
		return chunk
	}
	return bytes.ReplaceAll(chunk, []byte("\r\n"), []byte("\n"))
}

// isText reports what DVC 2 took for text: no NUL and at most 30 % of bytes
// that are neither printable ASCII nor one of \n \r \t \f \b.
func isText(probe []byte) bool {
	odd := 0
	for _, c := range probe {
		switch {
		case c == 0:
			return false
		case c >= 0x20 && c < 0x7f, c == '\n', c == '\r', c == '\t', c == '\f', c == '\b':
		default:
			odd++
		}
	}
	return odd*10 <= len(probe)*3
}
