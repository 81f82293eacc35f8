package index

import (
	"encoding/binary"
	"hash/crc32"
)

// BlockHeader is the length of what stands before the body of a block: the
// body's length and checksum. The index and the memory of stage files are
// made of blocks, so that what is damaged is forgotten and the rest is not.
const BlockHeader = 8

// castagnoli is the table of CRC-32C, made when it is first asked for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// SealBlock fills in the header of a block: b is room for it, then the body.
func SealBlock(b []byte) { putHeader(b, b[BlockHeader:]) }

func putHeader(h, body []byte) {
	binary.LittleEndian.PutUint32(h, uint32(len(body)))
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(body, castagnoli()))
}

// CheckBlock returns a block's body if it is whole. A body has at least a byte.
func CheckBlock(b []byte) (body []byte, ok bool) {
	if len(b) <= BlockHeader || int64(binary.LittleEndian.Uint32(b)) != int64(len(b)-BlockHeader) {
		return nil, false
	}
	body = b[BlockHeader:]
	return body, crc32.Checksum(body, castagnoli()) == binary.LittleEndian.Uint32(b[4:])
}

// AppendText appends a text to a body: its length and bytes.
func AppendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
