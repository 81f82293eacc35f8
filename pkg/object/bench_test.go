package object

import (
	"fmt"
	"testing"
)

func BenchmarkParseManifest(b *testing.B) {
	for _, a := range []Algorithm{MD5, BLAKE3} {
		b.Run(a.Name(), func(b *testing.B) {
			var m Manifest
			for i := range 50_000 {
				p := fmt.Sprintf("s%02d/f%05d", i%100, i)
				m = append(m, File{Path: p, Digest: Sum(a, []byte(p)), Size: int64(i)})
			}
			m.Sort()
			text, _ := m.Encode(a)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := ParseManifest(a, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
