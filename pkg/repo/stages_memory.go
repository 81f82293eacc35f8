package repo

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/index"
	"github.com/cairndata/cairn/pkg/pipeline"
)

// stageMemory remembers what pointer files said when they had a certain stat,
// so that one lstat does for reading them again. It is a file of blocks, one a
// folder, each with its checksum. Whatever is wrong with it, from another
// version to a flipped bit, is not remembered.
//
// A record is made only of a file that could not have changed since without
// another stat: see [index.IsRacy].
type stageMemory struct {
	folders map[string]*rememberedFolder
	fresh   []*rememberedFolder // as the walk comes to them
	kept    int                 // of them, as they were in the file
}

// rememberedFolder is the block of a folder.
type rememberedFolder struct {
	path    string
	block   string // as in the file; "" if it is to be written anew
	records []rememberedFile
}

type rememberedFile struct {
	name string
	stat disk.Stat
	form string // see pipeline.AppendPointer
}

const (
	// stagesFile lies below .dvc/tmp, beside the index.
	stagesFile = "cairn-stages"
	// stagesMagic begins it, followed by the number of the form of stages.
	stagesMagic = "CAIRNST1"
	// worthRemembering is from how many files on reading them takes longer
	// than a memory costs.
	worthRemembering = 50
)

// loadStageMemory reads the memory; there is always one.
func loadStageMemory(root *disk.Dir) *stageMemory {
	m := &stageMemory{folders: map[string]*rememberedFolder{}}
	f, err := root.OpenFilePath(tmpDir + "/" + stagesFile)
	if err != nil {
		return m
	}
	defer f.Close()
	b, err := f.ReadAll()
	if err != nil {
		return m
	}
	text, ok := strings.CutPrefix(string(b), stagesHeader())
	for ok && text != "" {
		var block string
		if block, text, ok = cutBlock(text); !ok {
			break
		}
		if folder := decodeFolder(block); folder != nil {
			m.folders[folder.path] = folder
		}
	}
	return m
}

func stagesHeader() string {
	return string(binary.LittleEndian.AppendUint32([]byte(stagesMagic), pipeline.PointerForm))
}

func cutBlock(text string) (block, rest string, ok bool) {
	if len(text) < index.BlockHeader {
		return "", "", false
	}
	n := uint64(binary.LittleEndian.Uint32([]byte(text[:4])))
	if n > uint64(len(text)-index.BlockHeader) {
		return "", "", false
	}
	return text[:index.BlockHeader+n], text[index.BlockHeader+n:], true
}

// decodeFolder returns nil if the block is damaged.
func decodeFolder(block string) *rememberedFolder {
	if _, whole := index.CheckBlock([]byte(block)); !whole {
		return nil
	}
	r := pipeline.NewFields(block[index.BlockHeader:])
	f := &rememberedFolder{path: r.Text(), block: block}
	n := r.Number()
	const least = 1 + 16 + 3 + 1 // bytes of the smallest record
	if r.Bad() || n > uint64(r.Left()/least) {
		return nil
	}
	f.records = make([]rememberedFile, 0, n)
	for range n {
		rec := rememberedFile{name: r.Text()}
		rec.stat.MTime, rec.stat.CTime = int64(r.Uint64()), int64(r.Uint64())
		rec.stat.Size, rec.stat.Ino, rec.stat.Dev = int64(r.Number()), r.Number(), r.Number()
		rec.form = r.Text()
		f.records = append(f.records, rec)
	}
	if r.Bad() || r.Left() > 0 {
		return nil
	}
	return f
}

func (f *rememberedFolder) append(b []byte) []byte {
	if f.block != "" {
		return append(b, f.block...)
	}
	at := len(b)
	b = append(b, make([]byte, index.BlockHeader)...)
	b = index.AppendText(b, f.path)
	b = binary.AppendUvarint(b, uint64(len(f.records)))
	for i := range f.records {
		r := &f.records[i]
		b = index.AppendText(b, r.name)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.stat.MTime))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.stat.CTime))
		b = binary.AppendUvarint(b, uint64(r.stat.Size))
		b = binary.AppendUvarint(b, r.stat.Ino)
		b = binary.AppendUvarint(b, r.stat.Dev)
		b = index.AppendText(b, r.form)
	}
	index.SealBlock(b[at:])
	return b
}

// folder begins the visit of a folder, whose files are then asked for in the
// order of their names.
func (m *stageMemory) folder(path string) *folderVisit {
	v := &folderVisit{m: m, path: path, old: m.folders[path]}
	if v.old != nil {
		v.rest = v.old.records
	}
	return v
}

type folderVisit struct {
	m     *stageMemory
	path  string
	old   *rememberedFolder
	rest  []rememberedFile // what comes after the last name asked for
	kept  int
	added bool
	now   []rememberedFile
}

// lookup returns the remembered form of a file that has this stat.
func (v *folderVisit) lookup(name string, st disk.Stat) (form string, ok bool) {
	i := 0
	for i < len(v.rest) && v.rest[i].name < name {
		i++
	}
	v.rest = v.rest[i:]
	if len(v.rest) == 0 || v.rest[0].name != name || !st.IsRegular() || !v.rest[0].stat.SameContent(st) {
		return "", false
	}
	return v.rest[0].form, true
}

// keep notes that the last lookup was good.
func (v *folderVisit) keep() {
	v.now = append(v.now, v.rest[0])
	v.kept++
}

// set notes what a file is by now.
func (v *folderVisit) set(name string, st disk.Stat, form string, readAt time.Time) {
	if index.IsRacy(st, readAt) || !st.IsRegular() {
		return
	}
	v.now = append(v.now, rememberedFile{name, st.Content(), form})
	v.added = true
}

// done ends the visit.
func (v *folderVisit) done() {
	switch {
	case len(v.now) == 0:
	case v.old != nil && !v.added && v.kept == len(v.old.records):
		v.m.fresh = append(v.m.fresh, v.old)
		v.m.kept++
	default:
		v.m.fresh = append(v.m.fresh, &rememberedFolder{path: v.path, records: v.now})
	}
}

// save writes what the walk that is over has seen. It is only a memory:
// failing to write it, on a read-only disk say, is no failure.
func (m *stageMemory) save(root *disk.Dir) error {
	if m.kept == len(m.fresh) && m.kept == len(m.folders) {
		return nil
	}
	n := 0
	for _, f := range m.fresh {
		n += len(f.records)
	}
	if n < worthRemembering && len(m.folders) == 0 {
		return nil
	}
	tmp, err := root.OpenPath(tmpDir)
	if err != nil {
		return nil
	}
	defer tmp.Close()
	b := make([]byte, 0, len(stagesMagic)+4+160*n)
	b = append(b, stagesHeader()...)
	for _, f := range m.fresh {
		b = f.append(b)
	}
	// No flush: what a power cut leaves has checksums.
	err = tmp.ReplaceFile(stagesFile, b, 0o666)
	if errors.Is(err, fs.ErrPermission) || disk.IsReadOnly(err) {
		return nil
	}
	return err
}
