package object

import (
	"fmt"
	"testing"
)

// benchManifest lists 50,000 files.
func benchManifest(a Algorithm) Manifest {
	var m Manifest
	for i := range 50_000 {
		p := fmt.Sprintf("s%02d/f%05d", i%100, i)
		m = append(m, File{Path: p, Digest: Sum(a, []byte(p)), Size: int64(i)})
	}
	m.Sort()
	return m
}

// BenchmarkSum hashes what a small, a middling and a large file hold.
func BenchmarkSum(b *testing.B) {
	for _, a := range []Algorithm{MD5, BLAKE3} {
		for _, size := range []int{200, 4 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", a.Name(), size), func(b *testing.B) {
				text := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					Sum(a, text)
				}
			})
		}
	}
}

// BenchmarkEncodeManifest makes the bytes and their digest.
func BenchmarkEncodeManifest(b *testing.B) {
	for _, a := range []Algorithm{MD5, BLAKE3} {
		b.Run(a.Name(), func(b *testing.B) {
			m := benchManifest(a)
			text, _ := m.Encode(a)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				m.Encode(a)
			}
		})
	}
}

func BenchmarkParseManifest(b *testing.B) {
	for _, a := range []Algorithm{MD5, BLAKE3} {
		b.Run(a.Name(), func(b *testing.B) {
			text, _ := benchManifest(a).Encode(a)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseManifest(a, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
