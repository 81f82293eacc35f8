package index_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/object"
)

// BenchmarkState writes the index of 50,000 files, and reads it and looks each
// of them up, as a scan of an unchanged repository does.
func BenchmarkState(b *testing.B) {
	dir, err := disk.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	folders := map[string][]index.Record{}
	for i := range benchFiles {
		f := fmt.Sprintf("d/s%02d", i%benchFolders)
		folders[f] = append(folders[f], index.Record{Name: fmt.Sprintf("f%05d", i), Digest: object.Sum(object.BLAKE3, []byte(fmt.Sprint(i))),
			Stat: disk.Stat{Size: int64(i), MTime: 1e18 + int64(i), CTime: 1e18 + int64(i), Ino: uint64(i), Dev: 1}})
	}
	save := func() {
		s := index.NewState()
		for f, records := range folders {
			s.SetFolder(f, records)
		}
		if err := s.Save(dir, "index"); err != nil {
			b.Fatal(err)
		}
	}
	save()
	st, err := os.Stat(filepath.Join(dir.Path(), "index"))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) {
		b.SetBytes(st.Size())
		b.ReportAllocs()
		for b.Loop() {
			save()
		}
	})
	b.Run("load and look up", func(b *testing.B) {
		b.SetBytes(st.Size())
		b.ReportAllocs()
		for b.Loop() {
			s, note := index.LoadState(dir, "index")
			if note != "" {
				b.Fatal(note)
			}
			for f, records := range folders {
				have := s.Folder(f)
				for i := range records {
					if _, sure := have.Lookup(records[i].Name, records[i].Stat, object.BLAKE3); !sure {
						b.Fatalf("%s/%s is not known", f, records[i].Name)
					}
				}
			}
		}
	})
}
