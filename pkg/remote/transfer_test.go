package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote"
	"github.com/cairndata/cairn/pkg/remote/remotetest"
)

// noWait retries at once.
var noWait = remote.RetryOptions{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}

func memoryStore(m remote.Backend, name string) *remote.Store {
	return remote.NewStore(remote.WithRetry(m, noWait), name)
}

func item(d object.Digest, size int, path string) remote.Item {
	return remote.Item{Digest: d, Size: int64(size), Path: path}
}

// filesOf are a folder's files as items of their own.
func filesOf(dir remote.Item) []remote.Item {
	var list []remote.Item
	for _, f := range dir.Files {
		list = append(list, remote.Item{Digest: f.Digest, Size: f.Size, Path: dir.Path + "/" + f.Path})
	}
	return list
}

// folder stores n files of a folder and returns its item.
func folder(t *testing.T, s object.Store, name string, n int) remote.Item {
	t.Helper()
	var m object.Manifest
	it := remote.Item{Path: name, Size: -1}
	for i := range n {
		b := objecttest.Bytes(uint64(i)+uint64(len(name))<<32, 100+i)
		d := objecttest.Put(t, s, object.MD5, b)[0]
		p := fmt.Sprintf("f%03d", i)
		m = append(m, object.File{Path: p, Digest: d, Size: int64(len(b))})
		it.Files = append(it.Files, object.File{Path: p, Digest: d, Size: -1})
	}
	b, d := m.Encode(object.MD5)
	w, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	it.Digest = d
	return it
}

func has(t *testing.T, s object.Store, d object.Digest) bool {
	t.Helper()
	got, err := s.Has(t.Context(), []object.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return len(got) == 1
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
	src, dst := memoryStore(sm, "src"), memoryStore(dm, "dst")
	dir := folder(t, src, "data", 300)
	big := objecttest.Bytes(1, 18<<20)
	single := objecttest.Put(t, src, object.BLAKE3, big, nil)
	items := []remote.Item{dir, item(single[0], len(big), "big"), item(single[1], 0, "empty"), filesOf(dir)[3], item(single[1], -1, "also empty")}
	st, err := remote.Transfer(t.Context(), dst, src, items, remote.TransferOptions{})
	if err != nil || st.Done != 303 || st.Skipped != 0 {
		t.Fatalf("got %+v, %v", st, err)
	}
	if st.DoneBytes < 18<<20 {
		t.Errorf("done bytes %d", st.DoneBytes)
	}
	isReceipt := func(k string) bool { _, is := remote.ParseReceiptKey(k); return is }
	if got, want := slices.DeleteFunc(dm.Keys(), isReceipt), sm.Keys(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the stores differ: %d and %d keys", len(got), len(want))
	}
	st, err = remote.Transfer(t.Context(), dst, src, items, remote.TransferOptions{})
	if err != nil || st.Done != 0 || st.Skipped != 303 {
		t.Errorf("again: got %+v, %v", st, err)
	}
	if st, err = remote.Transfer(t.Context(), dst, src, nil, remote.TransferOptions{}); err != nil || st.Done+st.Skipped != 0 {
		t.Errorf("nothing: got %+v, %v", st, err)
	}
}

// What is cut on the destination is sent again, whoever knows its size.
func TestTransferReplacesCut(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"size known": 5000, "size unknown": -1} {
		for _, cheap := range []bool{true, false} {
			sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
			sm.Props.CheapStat = cheap
			src, dst := memoryStore(sm, "src"), memoryStore(dm, "dst")
			b := objecttest.Bytes(1, 5000)
			d := objecttest.Put(t, src, object.MD5, b)[0]
			objecttest.Put(t, dst, object.MD5, b)
			dm.Change(d.Key(), func(b []byte) []byte { return b[:10] })
			st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{item(d, size, "a")}, remote.TransferOptions{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			known := cheap || size >= 0
			if got, err := objecttest.Get(t.Context(), dst, d); known && (err != nil || !bytes.Equal(got, b) || st.Done != 1) {
				t.Errorf("%s, cheap stat %v: got %+v, %v", name, cheap, st, err)
			}
		}
	}
}

func TestTransferWrongHint(t *testing.T) {
	t.Parallel()
	src, dst := memoryStore(remotetest.NewMemory(), "src"), memoryStore(remotetest.NewMemory(), "dst")
	d := objecttest.Put(t, src, object.MD5, []byte("body"))[0]
	for i, want := range []remote.Stats{{Done: 1}, {Skipped: 1}} {
		st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{item(d, 999, "a")}, remote.TransferOptions{})
		if err != nil || st.Done != want.Done || st.Skipped != want.Skipped {
			t.Errorf("round %d: got %+v, %v", i, st, err)
		}
	}
}

// A damaged file is reported with its path, never copied, keeps its folder's
// manifest back, and keeps nothing else.
func TestTransferDamaged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]byte) []byte{
		"bit":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"emptied": func([]byte) []byte { return nil },
	} {
		for _, part := range []int{0, 18 << 20} {
			sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
			src, dst := memoryStore(sm, "src"), memoryStore(dm, "dst")
			bad, good := folder(t, src, "bad", 10), folder(t, src, "good", 12)
			victim := bad.Files[4]
			if part > 0 {
				b := objecttest.Bytes(77, part)
				victim = object.File{Path: "large", Digest: objecttest.Put(t, src, object.MD5, b)[0], Size: -1}
				bad.Files = append(bad.Files, victim)
			}
			sm.Change(victim.Digest.Key(), change)
			st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{bad, good}, remote.TransferOptions{})
			if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "bad/"+victim.Path) || !strings.Contains(err.Error(), victim.Digest.String()) {
				t.Errorf("%s: error %v, want Corrupt naming %s and %v", name, err, victim.Path, victim.Digest)
			}
			if has(t, dst, victim.Digest) || has(t, dst, bad.Digest) {
				t.Errorf("%s: the damaged file or its folder's manifest was sent", name)
			}
			if !has(t, dst, good.Digest) || !has(t, dst, bad.Files[5].Digest) {
				t.Errorf("%s: what is good was kept back", name)
			}
			if len(st.Failed) != 2 || dm.Uploads() != 0 {
				t.Errorf("%s: failed %v, uploads left %d", name, st.Failed, dm.Uploads())
			}
		}
	}
}

func TestTransferMissing(t *testing.T) {
	t.Parallel()
	for _, cheap := range []bool{true, false} {
		sm := remotetest.NewMemory()
		sm.Props.CheapStat = cheap
		src, dst := memoryStore(sm, "src"), memoryStore(remotetest.NewMemory(), "dst")
		dir := folder(t, src, "data", 20)
		for _, i := range []int{7, 3} {
			if err := src.Delete(t.Context(), []object.Digest{dir.Files[i].Digest}); err != nil {
				t.Fatal(err)
			}
		}
		st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{dir}, remote.TransferOptions{})
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("got %v, want NotFound", err)
		}
		if len(st.Missing) != 2 || st.Missing[0].Path != "data/f003" || st.Missing[1].Path != "data/f007" || st.Done != 18 {
			t.Errorf("got %+v", st)
		}
		if has(t, dst, dir.Digest) {
			t.Error("the manifest of an incomplete folder was sent")
		}
		// A file that is missing here but not there is no loss.
		whole := folder(t, dst, "data", 20)
		if st, err = remote.Transfer(t.Context(), dst, src, []remote.Item{whole}, remote.TransferOptions{}); err != nil || st.Skipped != 21 {
			t.Errorf("again: got %+v, %v", st, err)
		}
	}
}

// Whatever fails once and may pass the next time does pass.
func TestTransferFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"stat", "open", "put", "list", "begin", "part", "complete"} {
		for _, fault := range []remotetest.Fault{remotetest.Before, remotetest.After, remotetest.Short, remotetest.Cut, remotetest.Repeat} {
			t.Run(fmt.Sprintf("%s %d", op, fault), func(t *testing.T) {
				t.Parallel()
				sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
				plan := func(o, _ string, n int) remotetest.Fault {
					if o == op && n%3 == 1 {
						return fault
					}
					return remotetest.None
				}
				dir := folder(t, memoryStore(sm, "src"), "data", 80)
				big := objecttest.Bytes(1, 18<<20)
				d := objecttest.Put(t, memoryStore(sm, "src"), object.BLAKE3, big)[0]
				src, dst := memoryStore(&remotetest.Faulty{Backend: sm, Plan: plan}, "src"), memoryStore(&remotetest.Faulty{Backend: dm, Plan: plan}, "dst")
				st, err := remote.Transfer(t.Context(), dst, src, []remote.Item{dir, item(d, len(big), "big")}, remote.TransferOptions{})
				if err != nil || st.Done != 82 {
					t.Fatalf("got %+v, %v", st, err)
				}
				got, err := objecttest.Get(t.Context(), memoryStore(dm, "dst"), d)
				if err != nil || !bytes.Equal(got, big) {
					t.Errorf("the large object came as %d bytes, %v", len(got), err)
				}
				if op != "begin" && dm.Uploads() != 0 {
					t.Errorf("%d uploads left", dm.Uploads())
				}
			})
		}
	}
}

// Flipped bits on the line are found and never stored.
func TestTransferFlips(t *testing.T) {
	t.Parallel()
	sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
	dir := folder(t, memoryStore(sm, "src"), "data", 9)
	f := &remotetest.Faulty{Backend: sm, Plan: func(op, key string, _ int) remotetest.Fault {
		if op == "open" && key == dir.Files[2].Digest.Key() {
			return remotetest.Flip
		}
		return remotetest.None
	}}
	st, err := remote.Transfer(t.Context(), memoryStore(dm, "dst"), memoryStore(f, "src"), []remote.Item{dir}, remote.TransferOptions{})
	if !errs.Is(err, errs.Corrupt) || st.Done != 8 || has(t, memoryStore(dm, "dst"), dir.Files[2].Digest) {
		t.Errorf("got %+v, %v", st, err)
	}
}

// What the line damaged once comes whole the next time, into whatever.
func TestTransferFlipOnce(t *testing.T) {
	t.Parallel()
	sm := remotetest.NewMemory()
	dir := folder(t, memoryStore(sm, "src"), "data", 9)
	big := objecttest.Bytes(1, 18<<20)
	d := objecttest.Put(t, memoryStore(sm, "src"), object.BLAKE3, big)[0]
	var mu sync.Mutex
	seen := map[string]bool{}
	f := &remotetest.Faulty{Backend: sm, Plan: func(op, key string, _ int) remotetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if op == "open" && !seen[key] {
			seen[key] = true
			return remotetest.Flip
		}
		return remotetest.None
	}}
	dm := remotetest.NewMemory()
	st, err := remote.Transfer(t.Context(), memoryStore(dm, "dst"), memoryStore(f, "src"), []remote.Item{dir, item(d, len(big), "big")}, remote.TransferOptions{})
	if err != nil || st.Done != 11 || dm.Uploads() != 0 {
		t.Errorf("got %+v, %v, %d uploads", st, err, dm.Uploads())
	}
}

// A store that refuses everything is not asked fifty thousand times.
func TestTransferRefused(t *testing.T) {
	t.Parallel()
	for _, fault := range []remotetest.Fault{remotetest.Refuse, remotetest.Before} {
		sm := remotetest.NewMemory()
		dir := folder(t, memoryStore(sm, "src"), "data", 500)
		f := &remotetest.Faulty{Backend: remotetest.NewMemory(), Plan: func(op, _ string, _ int) remotetest.Fault {
			if op == "put" {
				return fault
			}
			return remotetest.None
		}}
		st, err := remote.Transfer(t.Context(), memoryStore(f, "dst"), memoryStore(sm, "src"), []remote.Item{dir}, remote.TransferOptions{})
		want := map[remotetest.Fault]errs.Kind{remotetest.Refuse: errs.Denied, remotetest.Before: errs.Unavailable}[fault]
		if !errs.Is(err, want) {
			t.Errorf("got %v of kind %v, want kind %v", err, errs.KindOf(err), want)
		}
		if f.Calls("put") > 200 || st.Done != 0 || st.NotTried == 0 || st.NotTried+len(st.Failed) != 501 {
			t.Errorf("%d puts, %d failed, %d not tried", f.Calls("put"), len(st.Failed), st.NotTried)
		}
	}
}

// An interrupted run leaves nothing half done, and the next does the rest.
func TestTransferInterrupted(t *testing.T) {
	t.Parallel()
	sm, dm := remotetest.NewMemory(), remotetest.NewMemory()
	src := memoryStore(sm, "src")
	dir := folder(t, src, "data", 200)
	big := objecttest.Bytes(1, 30<<20)
	items := []remote.Item{dir, item(objecttest.Put(t, src, object.BLAKE3, big)[0], len(big), "big")}
	ctx, cancel := context.WithCancel(t.Context())
	var opens atomic.Int64
	f := &remotetest.Faulty{Backend: sm, Plan: func(op, _ string, _ int) remotetest.Fault {
		if op == "open" && opens.Add(1) == 60 {
			cancel()
		}
		return remotetest.None
	}}
	st, err := remote.Transfer(ctx, memoryStore(dm, "dst"), memoryStore(f, "src"), items, remote.TransferOptions{SliceObjects: 20, Jobs: 4})
	if !errs.Is(err, errs.Cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Cancelled", err)
	}
	if st.Done+st.NotTried != 202 || st.Done == 0 || len(st.Failed) != 0 || dm.Uploads() != 0 {
		t.Errorf("got %+v, %d uploads", st, dm.Uploads())
	}
	dst := memoryStore(dm, "dst")
	for i, err := range dst.List(t.Context(), object.MD5) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objecttest.Get(t.Context(), dst, i.Digest); err != nil {
			t.Errorf("left behind: %v", err)
		}
	}
	if has(t, dst, dir.Digest) {
		t.Error("the manifest came before its files")
	}
	again, err := remote.Transfer(t.Context(), dst, src, items, remote.TransferOptions{})
	if err != nil || again.Done+again.Skipped != 202 || again.Skipped < st.Done {
		t.Errorf("again: got %+v, %v", again, err)
	}
}

func TestTransferDryRun(t *testing.T) {
	t.Parallel()
	dm := remotetest.NewMemory()
	src := memoryStore(remotetest.NewMemory(), "src")
	dir := folder(t, src, "data", 5)
	st, err := remote.Transfer(t.Context(), memoryStore(dm, "dst"), src, []remote.Item{dir}, remote.TransferOptions{DryRun: true})
	if err != nil || st.Done != 6 || len(dm.Keys()) != 0 {
		t.Errorf("got %+v, %v, keys %v", st, err, dm.Keys())
	}
}

// A server that stands still is left after a while; the time is not real.
func TestStall(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"stat", "put", "open", "list", "delete", "part"} {
		synctest.Test(t, func(t *testing.T) {
			m := remotetest.NewMemory()
			b := objecttest.Bytes(1, 9<<20)
			d := objecttest.Put(t, memoryStore(m, "m"), object.MD5, b)[0]
			f := &remotetest.Faulty{Backend: m, Plan: func(o, _ string, n int) remotetest.Fault {
				if o == op && n == 1 {
					return remotetest.Stall
				}
				return remotetest.None
			}}
			w := remote.WithRetry(f, remote.RetryOptions{})
			s := remote.NewStore(w, "m")
			start := time.Now()
			if got, err := objecttest.Get(t.Context(), s, d); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: read: %v", op, err)
			}
			objecttest.Put(t, s, object.MD5, []byte("small"), objecttest.Bytes(2, 9<<20))
			if _, err := s.Has(t.Context(), []object.Digest{d}); err != nil {
				t.Errorf("%s: has: %v", op, err)
			}
			for _, err := range s.List(t.Context(), object.MD5) {
				if err != nil {
					t.Errorf("%s: list: %v", op, err)
				}
			}
			if err := s.Delete(t.Context(), []object.Digest{d}); err != nil {
				t.Errorf("%s: delete: %v", op, err)
			}
			if waited := time.Since(start); waited < time.Minute || waited > 6*time.Minute {
				t.Errorf("%s: waited %v", op, waited)
			}
		})
	}
}

func TestRetryWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &remotetest.Faulty{Backend: remotetest.NewMemory(), Plan: func(string, string, int) remotetest.Fault { return remotetest.Before }}
		start := time.Now()
		_, err := remote.WithRetry(f, remote.RetryOptions{Tries: 4, First: time.Second}).Stat(t.Context(), "k")
		if !errs.Is(err, errs.Unavailable) || f.Calls("stat") != 4 {
			t.Errorf("%d calls, %v", f.Calls("stat"), err)
		}
		if waited := time.Since(start); waited < 3500*time.Millisecond || waited > 7*time.Second {
			t.Errorf("waited %v", waited)
		}
		f.Plan = func(string, string, int) remotetest.Fault { return remotetest.Refuse }
		if _, err := remote.WithRetry(f, remote.RetryOptions{}).Stat(t.Context(), "k"); !errs.Is(err, errs.Denied) || f.Calls("stat") != 5 {
			t.Errorf("a refusal was tried again: %d calls, %v", f.Calls("stat"), err)
		}
	})
}

// A download goes on where it broke instead of beginning anew.
func TestDownloadResumes(t *testing.T) {
	t.Parallel()
	m := remotetest.NewMemory()
	b := objecttest.Bytes(1, 1<<20)
	if err := m.Put(t.Context(), "k", int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []remotetest.Fault{remotetest.Short, remotetest.Cut} {
		f := &remotetest.Faulty{Backend: m, Plan: func(string, string, int) remotetest.Fault { return fault }}
		for _, c := range [][2]int64{{0, -1}, {100, -1}, {5, 1000}} {
			r, size, err := remote.WithRetry(f, noWait).Open(t.Context(), "k", c[0], c[1])
			if err != nil || size != int64(len(b)) {
				t.Fatal(size, err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			end := int64(len(b))
			if c[1] >= 0 {
				end = c[0] + c[1]
			}
			if err != nil || !bytes.Equal(got, b[c[0]:end]) {
				t.Errorf("fault %d, range %v: got %d bytes, %v", fault, c, len(got), err)
			}
		}
	}
}
