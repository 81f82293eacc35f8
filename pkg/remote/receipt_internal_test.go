package remote

import (
	"testing"

	"github.com/cairndata/cairn/pkg/object"
)

// What is accepted means the same when written again, and no hostile text does
// more than be refused.
func FuzzReceipt(f *testing.F) {
	folder := &Item{Digest: object.Sum(object.BLAKE3, []byte("x")).AsDir(), Files: object.Manifest{{Digest: object.Sum(object.BLAKE3, nil), Size: 0}}}
	f.Add(string(receiptOf(folder, hint).encode()))
	f.Add(receiptVersion + "\n")
	f.Add(receiptVersion + "\nfiles 1\nbytes 9223372036854775808\n")
	f.Add(receiptVersion + "\nfiles -1\nlist md5 x\nfolder\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseReceipt([]byte(text))
		if !ok {
			return
		}
		again, ok := parseReceipt(r.encode())
		if !ok || !again.holds(r) {
			t.Errorf("%q was read as %+v, and again as %+v, %t", text, r, again, ok)
		}
		if want := receiptOf(folder, hint); r.holds(want) && r.files != 1 {
			t.Errorf("%q holds for a folder of 1 file: %+v", text, r)
		}
	})
}
