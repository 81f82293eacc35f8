package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// A receipt says that all files of a folder were on the remote, whole, when
// it was written: after the last of them was confirmed, and the manifest too.
// It lies beside the manifest, and counts only together with it. So a folder
// of a million files is asked for in two requests, also from another clone.
//
// It is a saving and never the truth: it is believed by push and status, not
// by what reads bytes; where a listing of everything is as cheap, that is
// taken; with the receipt a part of the folder, picked by chance, is looked
// at; and who meets an object that is not as it should be drops the receipt.
// Deleting a receipt loses nothing.

const (
	receiptSuffix  = ".cairn"
	receiptVersion = "cairn receipt 1"
	// receiptFiles is from how many files on a folder gets a receipt: fewer
	// are asked for one by one.
	receiptFiles = 20
	// receiptMost bounds what is read of a receipt.
	receiptMost = 1 << 10
	// cheapPages is up to how many pages of a listing the truth costs about
	// as much as a receipt.
	cheapPages = 3
	// bucketPage is from what page on a listing is that of an object store,
	// where a page costs one request, however the keys are spread.
	bucketPage = 500
)

// ReceiptKey is where the receipt of a folder lies on a remote.
func ReceiptKey(manifest object.Digest) string { return manifest.Key() + receiptSuffix }

// ParseReceiptKey is the inverse of [ReceiptKey]; ok is false for any other
// key.
func ParseReceiptKey(key string) (manifest object.Digest, ok bool) {
	of, ok := strings.CutSuffix(key, receiptSuffix)
	if !ok {
		return object.Digest{}, false
	}
	d, ok := object.ParseKey(of)
	return d, ok && d.IsDir()
}

// DropReceipts deletes the receipts of folders on a remote. Who deletes
// objects there calls it before, with every folder that may name one of them:
// [Store.Delete] knows only of the manifests it deletes and of the receipts
// that a listing before it met. Stores without receipts, and folders without
// one, are no error.
func DropReceipts(ctx context.Context, s object.Store, manifests []object.Digest) error {
	if c, ok := s.(*Chain); ok {
		var first error
		for _, l := range c.links {
			if err := DropReceipts(ctx, l.Store, manifests); err != nil && first == nil {
				first = err
			}
		}
		return first
	}
	if st, ok := s.(*Store); ok {
		return st.dropReceipts(ctx, manifests)
	}
	return nil
}

func (s *Store) dropReceipts(ctx context.Context, manifests []object.Digest) error {
	if !s.keepsReceipts() {
		return nil
	}
	var keys []string
	for _, d := range manifests {
		if d.IsDir() {
			keys = append(keys, ReceiptKey(d))
		}
	}
	for lo := 0; lo < len(keys); lo += deleteBatch {
		part := keys[lo:min(lo+deleteBatch, len(keys))]
		if err := s.request(ctx, func() error { return s.b.Delete(ctx, part) }); err != nil {
			return orCtx(ctx, fmt.Errorf("delete receipts from %s: %w", s.name, err))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range manifests {
		delete(s.receipts, d)
	}
	return nil
}

// doubtful are the folders whose receipts may be false once ds are deleted:
// those deleted with them, and all whose receipt was seen.
func (s *Store) doubtful(ds []object.Digest) []object.Digest {
	var list []object.Digest
	for _, d := range ds {
		if d.IsDir() {
			list = append(list, d)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, seen := range s.receipts {
		if seen {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, object.Digest.Compare)
	return slices.Compact(list)
}

// keepsReceipts: where asking for each object costs nothing there are none.
func (s *Store) keepsReceipts() bool { return !s.p.CheapStat }

// listsCheaply: a listing of everything takes as many requests as it has pages.
func (s *Store) listsCheaply() bool { return s.p.ListPrice >= bucketPage }

// paysFor reports whether the receipt of a folder would be asked for: where
// the truth is cheap there need be none.
func (s *Store) paysFor(folder *Item) bool {
	if !s.listsCheaply() {
		return true
	}
	pages := len(folder.Files) / s.p.ListPrice
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.samples[folder.Digest.Algorithm()]; there != nil {
		pages = max(pages, there.pages)
	}
	return pages > cheapPages
}

// receipt is what a receipt says.
type receipt struct {
	folder string // the manifest's digest with its algorithm
	files  int    // named by the manifest
	bytes  int64  // of all files; -1 is not known
	list   string // BLAKE3 of the files' digests, in the order of the manifest
}

// receiptOf is what the receipt of a folder must say. Sizes come from size, -1
// being unknown.
func receiptOf(folder *Item, size func(*object.File) int64) receipt {
	r := receipt{folder: folder.Digest.Algorithm().Name() + " " + folder.Digest.String(), files: len(folder.Files)}
	h := blake3.New()
	buf := make([]byte, 0, 64)
	for i := range folder.Files {
		f := &folder.Files[i]
		buf = append(f.Digest.AppendSum(buf[:0]), '\n')
		_, _ = h.Write(buf)
		if n := size(f); n < 0 || r.bytes < 0 {
			r.bytes = -1
		} else {
			r.bytes += n
		}
	}
	r.list = fmt.Sprintf("%x", h.Sum(nil))
	return r
}

// encode writes a receipt: its kind, then a line a fact, name and value.
func (r receipt) encode() []byte {
	b := fmt.Appendf(nil, "%s\nfolder %s\nfiles %d\n", receiptVersion, r.folder, r.files)
	if r.bytes >= 0 {
		b = fmt.Appendf(b, "bytes %d\n", r.bytes)
	}
	return fmt.Appendf(b, "list blake3 %s\n", r.list)
}

// parseReceipt reads a receipt. Lines that it does not know say more than it
// needs.
func parseReceipt(b []byte) (r receipt, ok bool) {
	text, whole := strings.CutSuffix(string(b), "\n")
	lines := strings.Split(text, "\n")
	if !whole || lines[0] != receiptVersion {
		return receipt{}, false
	}
	r.files, r.bytes = -1, -1
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, " ")
		var err error
		switch name {
		case "folder":
			r.folder = value
		case "files":
			r.files, err = strconv.Atoi(value)
		case "bytes":
			r.bytes, err = strconv.ParseInt(value, 10, 64)
		case "list":
			r.list, _ = strings.CutPrefix(value, "blake3 ")
		}
		if err != nil {
			return receipt{}, false
		}
	}
	return r, true
}

// holds compares with what must be said. Sizes are compared if both know them.
func (r receipt) holds(want receipt) bool {
	if r.bytes < 0 || want.bytes < 0 {
		r.bytes, want.bytes = -1, -1
	}
	return r == want
}

// hint is the size that a manifest says.
func hint(f *object.File) int64 { return f.Size }

func (s *Store) sawReceipt(folder object.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.receipts[folder]; !known {
		s.receipts[folder] = true
	}
}

// receipted returns which of the folders, manifests with their files, are
// wholly there as far as receipts say, and are worth believing: the truth
// costs more, and a part of it that was looked at agrees.
func (s *Store) receipted(ctx context.Context, folders []*Item) (map[object.Digest]bool, error) {
	if !s.keepsReceipts() {
		return nil, nil
	}
	byAlg := map[object.Algorithm][]*Item{}
	for _, f := range folders {
		if len(f.Files) >= receiptFiles {
			byAlg[f.Digest.Algorithm()] = append(byAlg[f.Digest.Algorithm()], f)
		}
	}
	believed := map[object.Digest]bool{}
	for a, list := range byAlg {
		there := &sample{}
		if s.p.ListPrice > 0 {
			var err error
			if there, err = s.sample(ctx, a); err != nil {
				return nil, orCtx(ctx, fmt.Errorf("look up objects in %s: %w", s.name, err))
			}
			if s.listsCheaply() && there.pages <= max(cheapPages, len(list)) {
				continue
			}
		}
		if err := s.receiptsOf(ctx, list, there, believed); err != nil {
			return nil, orCtx(ctx, fmt.Errorf("read receipts of %s: %w", s.name, err))
		}
	}
	return believed, nil
}

func (s *Store) receiptsOf(ctx context.Context, folders []*Item, there *sample, believed map[object.Digest]bool) error {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.p.Concurrency)
	for _, f := range folders {
		g.Go(func() error {
			ok, err := s.hasReceipt(gctx, f)
			if err != nil {
				return err
			}
			ok = ok && there.agrees(f)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				believed[f.Digest] = true
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.receipts[f.Digest] = ok
			return nil
		})
	}
	return g.Wait()
}

// agrees reports whether what was looked at has the files of a folder that
// should be in it.
func (p *sample) agrees(folder *Item) bool {
	if p.prefix == "" {
		return true
	}
	for i := range folder.Files {
		f := &folder.Files[i]
		if !strings.HasPrefix(f.Digest.Key(), p.prefix) {
			continue
		}
		if size, ok := p.sizes[f.Digest]; !ok || f.Size >= 0 && f.Size != size {
			return false
		}
	}
	return true
}

// hasReceipt reports whether a folder's manifest is there with a receipt that
// holds.
func (s *Store) hasReceipt(ctx context.Context, folder *Item) (bool, error) {
	key := folder.Digest.Key()
	size := absent
	if s.p.ListPrice > 0 {
		seen := false
		err := s.request(ctx, func() error {
			for e, err := range s.b.List(ctx, key) {
				switch {
				case err != nil:
					return err
				case e.Key == key:
					size = e.Size
				case e.Key == key+receiptSuffix:
					seen = e.Size <= receiptMost
				}
			}
			return nil
		})
		if err != nil || !seen {
			return false, err
		}
	} else {
		err := s.request(ctx, func() (err error) {
			size, err = s.b.Stat(ctx, key)
			return err
		})
		if errs.Is(err, errs.NotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	if size < 0 || folder.Size >= 0 && size != folder.Size {
		return false, nil
	}
	var text []byte
	err := s.request(ctx, func() error {
		r, _, err := s.b.Open(ctx, key+receiptSuffix, 0, receiptMost)
		if err != nil {
			return err
		}
		defer r.Close()
		text, err = io.ReadAll(io.LimitReader(r, receiptMost))
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	got, ok := parseReceipt(text)
	return ok && got.holds(receiptOf(folder, hint)), nil
}

// leaveReceipts writes the receipts of folders that are wholly there, unless
// they have one. That it fails is no harm, and not reported.
func (s *Store) leaveReceipts(ctx context.Context, folders []*Item, size func(*object.File) int64) {
	if !s.keepsReceipts() {
		return
	}
	var g errgroup.Group
	g.SetLimit(s.p.Concurrency)
	for _, f := range folders {
		s.mu.Lock()
		known := s.receipts[f.Digest]
		s.mu.Unlock()
		if known || len(f.Files) < receiptFiles || !s.paysFor(f) || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			text := receiptOf(f, size).encode()
			err := s.request(ctx, func() error {
				return s.b.Put(ctx, ReceiptKey(f.Digest), int64(len(text)), bytes.NewReader(text))
			})
			if err == nil {
				s.mu.Lock()
				s.receipts[f.Digest] = true
				s.mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
}

// Held is what a store said that it holds.
type Held struct{ t *transfer }

// Size is the size of an object that the store holds, -1 if it was not asked
// for it by itself. ok is false if it does not hold it.
func (h Held) Size(d object.Digest) (size int64, ok bool) {
	for _, list := range [][]entry{h.t.files, h.t.manifests} {
		if e := h.t.find(list, d); e != nil && e.state == held {
			return e.size, true
		}
	}
	return 0, false
}

// Look asks a store what it holds of items and of the files they name. Of a
// folder with a receipt that is believed the files are not asked for, and
// their size is -1; not so with verify.
func Look(ctx context.Context, s object.Store, items []Item, verify bool) (Held, error) {
	t := &transfer{dst: s, items: items}
	t.collect()
	if st, ok := s.(*Store); ok && !verify {
		var folders []*Item
		for i := range items {
			if items[i].Files != nil {
				folders = append(folders, &items[i])
			}
		}
		believed, err := st.receipted(ctx, folders)
		if err != nil {
			return Held{}, err
		}
		sure := func(e *entry) {
			if e != nil {
				e.state, e.size = held, -1
			}
		}
		for _, f := range folders {
			if !believed[f.Digest] {
				continue
			}
			sure(t.find(t.manifests, f.Digest))
			for i := range f.Files {
				sure(t.find(t.files, f.Files[i].Digest))
			}
		}
	}
	ask := t.waiting()
	found, err := sizes(ctx, s, len(ask), func(i int) object.Digest { return t.digest(ask[i]) })
	if err != nil {
		return Held{}, err
	}
	for i, e := range ask {
		if e.state, e.size = held, found[i]; found[i] < 0 {
			e.state = bad
		}
	}
	return Held{t}, nil
}
