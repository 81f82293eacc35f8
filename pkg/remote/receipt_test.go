package remote_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
)

// counted is a backend that counts requests and fails none.
func counted(b remote.Backend) *remotetest.Faulty {
	return &remotetest.Faulty{Backend: b, Plan: func(string, string, int) remotetest.Fault { return remotetest.None }}
}

func requests(f *remotetest.Faulty) int {
	n := 0
	for _, op := range []string{"stat", "open", "put", "list", "delete", "begin", "part", "complete"} {
		n += f.Calls(op)
	}
	return n
}

func pushed(t *testing.T, dst remote.Backend, src object.Store, o remote.TransferOptions, items ...remote.Item) remote.Stats {
	t.Helper()
	st, err := remote.Transfer(t.Context(), memoryStore(dst, "dst"), src, items, o)
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	return st
}

// The second push of a folder, from whatever clone, is a few requests; each
// way of listing a remote has its own.
func TestReceipts(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	for name, c := range map[string]struct{ files, page, most int }{
		"many in a bucket":  {6000, 500, 3},
		"few in a bucket":   {200, 1000, 3}, // the truth is as cheap
		"folders on a host": {200, 1, 3},
		"no listing":        {200, 0, 2},
	} {
		dir := folder(t, src, "data "+name, c.files)
		m := remotetest.NewMemory()
		m.Props.ListPrice = c.page
		if st := pushed(t, m, src, remote.TransferOptions{}, dir); st.Done != c.files+1 {
			t.Fatalf("%s: %+v", name, st)
		}
		f := counted(m)
		if st := pushed(t, f, src, remote.TransferOptions{}, dir); st.Skipped != c.files+1 || requests(f) > c.most {
			t.Errorf("%s: the second push took %d requests, want at most %d: %+v", name, requests(f), c.most, st)
		}
		f = counted(m)
		found, err := remote.Look(t.Context(), memoryStore(f, "dst"), []remote.Item{dir}, false)
		there := 0
		for _, it := range append(filesOf(dir), dir) {
			if _, ok := found.Size(it.Digest); err == nil && ok {
				there++
			}
		}
		if there != c.files+1 || requests(f) > c.most {
			t.Errorf("%s: looking took %d requests, found %d, %v", name, requests(f), there, err)
		}
		f = counted(m)
		if st := pushed(t, f, src, remote.TransferOptions{Verify: true}, dir); st.Skipped != c.files+1 || c.page == 0 && requests(f) < c.files {
			t.Errorf("%s: with verify %d requests: %+v", name, requests(f), st)
		}
	}
}

// What the remote has lost is sent again: at once where the truth was asked
// for, with verify always.
func TestReceiptsDistrusted(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	for _, c := range []struct {
		files, page int
		verify      bool
	}{{200, 1000, false}, {200, 1000, true}, {6000, 500, true}, {200, 1, true}, {200, 0, true}} {
		dir := folder(t, src, fmt.Sprint("data", c), c.files)
		m := remotetest.NewMemory()
		m.Props.ListPrice = c.page
		pushed(t, m, src, remote.TransferOptions{}, dir)
		if err := m.Delete(t.Context(), []string{dir.Files[7].Digest.Key()}); err != nil {
			t.Fatal(err)
		}
		if st := pushed(t, m, src, remote.TransferOptions{Verify: c.verify}, dir); st.Done != 1 {
			t.Errorf("%+v: %+v, want the lost object sent", c, st)
		}
	}
}

// Most of a folder lost shows in the part that is looked at.
func TestReceiptsMassLoss(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	dir := folder(t, src, "data", 2000)
	m := remotetest.NewMemory()
	pushed(t, m, src, remote.TransferOptions{}, dir)
	other := folder(t, src, "others", 2000)
	pushed(t, m, src, remote.TransferOptions{}, other)
	for _, f := range dir.Files {
		_ = m.Delete(t.Context(), []string{f.Digest.Key()})
	}
	if st := pushed(t, m, src, remote.TransferOptions{}, dir, other); st.Done != 2000 {
		t.Errorf("%+v, want 2000 sent", st)
	}
}

// A receipt counts only whole, for its own folder, and beside the manifest.
func TestReceiptsFalse(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	dir := folder(t, src, "data", 100)
	other := folder(t, src, "others", 100)
	key := remote.ReceiptKey(dir.Digest)
	var foreign []byte
	set := func(to func(m *remotetest.Memory, b []byte) []byte) func(*testing.T, *remotetest.Memory) {
		return func(t *testing.T, m *remotetest.Memory) {
			if !m.Change(key, func(b []byte) []byte { return to(m, b) }) {
				t.Error("there is no receipt")
			}
		}
	}
	text := func(to string) func(*testing.T, *remotetest.Memory) {
		return set(func(*remotetest.Memory, []byte) []byte { return []byte(to) })
	}
	for name, spoil := range map[string]func(*testing.T, *remotetest.Memory){
		"empty": text(""),
		"cut":   set(func(_ *remotetest.Memory, b []byte) []byte { return b[:len(b)-1] }),
		"page":  text("<html>please log in</html>\n"),
		"long":  text("cairn receipt 1\n" + strings.Repeat("x\n", 10_000)),
		"version": set(func(_ *remotetest.Memory, b []byte) []byte {
			return bytes.Replace(b, []byte("receipt 1"), []byte("receipt 2"), 1)
		}),
		"count": set(func(_ *remotetest.Memory, b []byte) []byte {
			return bytes.Replace(b, []byte("files 100"), []byte("files 101"), 1)
		}),
		"foreign": set(func(_ *remotetest.Memory, _ []byte) []byte { return foreign }),
		"no manifest": func(t *testing.T, m *remotetest.Memory) {
			_ = m.Delete(t.Context(), []string{dir.Digest.Key()})
		},
		"cut manifest": func(t *testing.T, m *remotetest.Memory) {
			m.Change(dir.Digest.Key(), func(b []byte) []byte { return b[:5] })
		},
	} {
		m := remotetest.NewMemory()
		m.Props.ListPrice = 1
		pushed(t, m, src, remote.TransferOptions{}, dir, other)
		m.Change(remote.ReceiptKey(other.Digest), func(b []byte) []byte { foreign = b; return b })
		spoil(t, m)
		_ = m.Delete(t.Context(), []string{dir.Files[3].Digest.Key()})
		known := dir
		known.Size = int64(len(read(t, src, dir.Digest)))
		st := pushed(t, m, src, remote.TransferOptions{}, known)
		if st.Done == 0 || !has(t, memoryStore(m, "dst"), dir.Files[3].Digest) {
			t.Errorf("%s: %+v, want the lost object sent", name, st)
		}
		f := counted(m)
		if st := pushed(t, f, src, remote.TransferOptions{}, known); st.Done != 0 || requests(f) > 3 {
			t.Errorf("%s: the push after it took %d requests: %+v", name, requests(f), st)
		}
	}
}

func read(t *testing.T, s object.Store, d object.Digest) []byte {
	t.Helper()
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A push that did not send everything leaves no receipt; a pull that finds
// something wrong drops the one that there is.
func TestReceiptsOnlyForWhole(t *testing.T) {
	t.Parallel()
	sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
	dm.Props.ListPrice = 1
	src := memoryStore(sm, "src")
	dir := folder(t, src, "data", 100)
	lost := dir.Files[5].Digest
	_ = sm.Delete(t.Context(), []string{lost.Key()})
	if _, err := remote.Transfer(t.Context(), memoryStore(dm, "dst"), src, []remote.Item{dir}, remote.TransferOptions{}); err == nil {
		t.Fatal("an incomplete push succeeds")
	}
	key := remote.ReceiptKey(dir.Digest)
	receipt := func() bool { return dm.Change(key, func(b []byte) []byte { return b }) }
	if receipt() {
		t.Error("an incomplete push left a receipt")
	}
	// A part of the folder, without its manifest.
	pushed(t, dm, src, remote.TransferOptions{}, filesOf(dir)[6:]...)
	if receipt() {
		t.Error("a push of a part left a receipt")
	}
	whole := memoryStore(remotetest.NewMemory(), "whole")
	dir = folder(t, whole, "data", 100)
	for _, spoil := range []func(){
		func() { _ = dm.Delete(t.Context(), []string{lost.Key()}) },
		func() { dm.Change(lost.Key(), func(b []byte) []byte { b[0] ^= 1; return b }) },
	} {
		pushed(t, dm, whole, remote.TransferOptions{}, dir)
		if !receipt() {
			t.Fatal("a push left no receipt")
		}
		spoil()
		back := memoryStore(remotetest.NewMemory(), "back")
		if _, err := remote.Transfer(t.Context(), back, memoryStore(dm, "dst"), []remote.Item{dir}, remote.TransferOptions{}); err == nil {
			t.Fatal("a pull of what is damaged succeeds")
		}
		if receipt() {
			t.Error("the receipt of a folder that is not whole stays")
		}
	}
	if err := remote.DropReceipts(t.Context(), memoryStore(dm, "dst"), []object.Digest{dir.Digest, dir.Files[0].Digest}); err != nil {
		t.Error(err)
	}
	if !has(t, memoryStore(dm, "dst"), dir.Digest) || !has(t, memoryStore(dm, "dst"), dir.Files[0].Digest) {
		t.Error("dropping receipts dropped objects")
	}
}

// Where asking costs next to nothing it is done, each time.
func TestReceiptsNotWhereCheap(t *testing.T) {
	t.Parallel()
	src := memoryStore(remotetest.NewMemory(), "src")
	dir := folder(t, src, "data", 100)
	for name, p := range map[string]object.Properties{
		"a folder of this machine":       {CheapStat: true, ListPrice: 1},
		"a bucket that is one page long": {ListPrice: 1000},
	} {
		m := remotetest.NewMemory()
		m.Props.Properties = p
		pushed(t, m, src, remote.TransferOptions{}, dir)
		for _, k := range m.Keys() {
			if _, is := remote.ParseReceiptKey(k); is {
				t.Errorf("%s: %s was left", name, k)
			}
		}
	}
}
