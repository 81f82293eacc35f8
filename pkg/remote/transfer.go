package remote

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// Item is an object to be moved.
type Item struct {
	Digest object.Digest
	Size   int64  // bytes of the object; -1 if not known. Not a folder's total
	Path   string // the path it is tracked as, for messages; may be empty

	// Files, for a manifest, are the objects that must be on the destination
	// before it, with their paths relative to Path. They are moved first, and
	// the manifest only if none failed. A manifest without Files is moved as
	// it is.
	Files object.Manifest
}

// file is the i-th of an item's files as an item.
func (it *Item) file(i int) Item {
	f := &it.Files[i]
	return Item{Digest: f.Digest, Size: f.Size, Path: path.Join(it.Path, f.Path)}
}

// TransferOptions guide a transfer. The zero value is the usual case.
type TransferOptions struct {
	Jobs     int           // most objects under way; 0 is what the stores are good for
	Label    string        // of the progress shown
	Progress progress.Sink // nil shows nothing
	DryRun   bool          // find out what would be moved, and move nothing

	Phases *progress.Phases // hears how long the parts take; may be nil

	// Verify asks the destination for every object, whatever receipts say.
	Verify bool

	// A batch is committed after so many objects or bytes, so that what an
	// interrupted run has done stays done. 0 is 20,000 and 4 GiB.
	SliceObjects int
	SliceBytes   int64
}

const (
	sliceObjects = 20_000
	sliceBytes   = 4 << 30
	// sliceTime is how much work on a slow line an interruption may cost.
	sliceTime = 30 * time.Second
)

// Stats say what a transfer did. Objects count once, however many items name
// them.
type Stats struct {
	Done      int   // objects moved (or to be moved, in a dry run)
	DoneBytes int64 // their size
	Skipped   int   // objects that the destination had already
	NotTried  int   // objects left when the transfer ended early
	Missing   []Item
	Failed    []ItemError
}

// ItemError is an object that could not be moved.
type ItemError struct {
	Item Item
	Err  error
}

// Error names the tracked path, if there is one, before what happened.
func (e ItemError) Error() string {
	if e.Item.Path == "" {
		return e.Err.Error()
	}
	return disk.Quote(e.Item.Path) + ": " + e.Err.Error()
}

// Unwrap returns what happened.
func (e ItemError) Unwrap() error { return e.Err }

// Transfer copies the objects of items that dst lacks from src to dst, each
// proven on its way. An object that dst has with another length counts as
// lacking. A failure with one object does not keep the others; the result
// lists them, sorted by path, and the error is not nil if anything asked for
// is not on dst in the end. Its class is Cancelled if ctx ended, Corrupt if
// wrong bytes were met, else that of the first failure, NotFound if objects
// were only missing.
func Transfer(ctx context.Context, dst, src object.Store, items []Item, o TransferOptions) (Stats, error) {
	if o.SliceObjects <= 0 {
		o.SliceObjects = sliceObjects
	}
	if o.SliceBytes <= 0 {
		o.SliceBytes = sliceBytes
	}
	t := &transfer{dst: dst, src: src, o: o, items: items}
	err := t.run(ctx)
	t.sortResults()
	err = t.verdict(ctx, err)
	t.distrust(ctx)
	return t.stats, err
}

// transfer is the state of one call. Objects are millions at times, so what is
// kept for each is small, and refers to the caller's items.
type transfer struct {
	items    []Item
	dst, src object.Store
	o        TransferOptions
	task     progress.Task
	more     streams // besides one for each object under way

	files     []entry // moved first; sorted by digest, each digest once
	manifests []entry // moved after all files; likewise

	mu    sync.Mutex // guards the following, and the states of entries
	stats Stats
	luck  int   // failures since the last success
	stop  error // why to end early
}

// entry is one object of a transfer.
type entry struct {
	key   uint64 // the sum's first bytes: comparing it needs no look at the item
	size  int64  // bytes, as far as known; -1 is not
	item  int32  // the item, or that whose file it is
	file  int32  // which of the item's files; -1 is the item itself
	state state
}

type state uint8

const (
	waiting state = iota
	held          // on dst
	bad           // neither there nor to be had
)

func sumKey(d object.Digest) uint64 {
	var b [32]byte
	return binary.BigEndian.Uint64(d.AppendSum(b[:0])[:8])
}

func (t *transfer) digest(e *entry) object.Digest {
	if e.file < 0 {
		return t.items[e.item].Digest
	}
	return t.items[e.item].Files[e.file].Digest
}

// itemOf is an entry as an item, without files.
func (t *transfer) itemOf(e *entry) Item {
	if e.file >= 0 {
		return t.items[e.item].file(int(e.file))
	}
	it := t.items[e.item]
	it.Files = nil
	return it
}

func (t *transfer) entry(item, file int) (entry, bool) {
	e := entry{item: int32(item), file: int32(file)}
	d := t.digest(&e)
	if d.IsZero() {
		return e, false
	}
	if e.key = sumKey(d); file < 0 {
		e.size = t.items[item].Size
	} else {
		e.size = t.items[item].Files[file].Size
	}
	return e, true
}

// settle sorts entries and drops all mentions of an object but the first.
func (t *transfer) settle(list []entry) []entry {
	slices.SortFunc(list, func(a, b entry) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Or(t.digest(&a).Compare(t.digest(&b)), cmp.Compare(a.item, b.item), cmp.Compare(a.file, b.file))
	})
	return slices.CompactFunc(list, func(a, b entry) bool { return a.key == b.key && t.digest(&a) == t.digest(&b) })
}

// find returns the entry of a digest in a list, nil if there is none.
func (t *transfer) find(list []entry, d object.Digest) *entry {
	key := sumKey(d)
	i, ok := slices.BinarySearchFunc(list, d, func(x entry, d object.Digest) int {
		if c := cmp.Compare(x.key, key); c != 0 {
			return c
		}
		return t.digest(&x).Compare(d)
	})
	if !ok {
		return nil
	}
	return &list[i]
}

// collect sorts the items into what is free to move and the manifests that
// must wait, dropping repetitions.
func (t *transfer) collect() {
	n := 0
	for i := range t.items {
		it := &t.items[i]
		n += max(1, len(it.Files))
		if it.Files == nil {
			continue
		}
		if e, ok := t.entry(i, -1); ok {
			t.manifests = append(t.manifests, e)
		}
	}
	t.manifests = t.settle(t.manifests)
	t.files = make([]entry, 0, n)
	add := func(item, file int) {
		if e, ok := t.entry(item, file); ok {
			t.files = append(t.files, e)
		}
	}
	for i := range t.items {
		it := &t.items[i]
		for j := range it.Files {
			add(i, j)
		}
		// A manifest that must wait may also be named without files.
		if it.Files == nil && t.find(t.manifests, it.Digest) == nil {
			add(i, -1)
		}
	}
	t.files = t.settle(t.files)
}

func (t *transfer) run(ctx context.Context) error {
	t.collect()
	span := t.o.Phases.Begin("find what is lacking", "objects")
	defer func() { span.End() }()
	span.Add(int64(len(t.files)+len(t.manifests)), 0)
	if err := t.believe(ctx); err != nil {
		return err
	}
	files, manifests, err := t.lacking(ctx)
	if err != nil {
		return err
	}
	span.End()
	span = t.o.Phases.Begin("transfer", "objects")
	defer func() { span.Add(int64(t.stats.Done), t.stats.DoneBytes) }()
	var bytes int64
	for _, i := range files {
		bytes += max(0, t.files[i].size)
	}
	t.task = progress.Or(t.o.Progress).Start(t.o.Label, int64(len(files)+len(manifests)), bytes)
	defer t.task.Done()
	if err := t.move(ctx, t.files, files); err != nil {
		t.stats.NotTried += len(manifests)
		return err
	}
	if err := t.move(ctx, t.manifests, t.ready(manifests)); err != nil {
		return err
	}
	t.leaveReceipts(ctx)
	return nil
}

// believe takes as held what receipts on dst say it holds.
func (t *transfer) believe(ctx context.Context) error {
	s, ok := t.dst.(*Store)
	if !ok || t.o.Verify {
		return nil
	}
	folders, err := t.folders(ctx)
	if err != nil {
		return err
	}
	believed, err := s.receipted(ctx, folders)
	if err != nil {
		return err
	}
	for d := range believed {
		m := t.find(t.manifests, d)
		m.state = held
		for _, file := range t.items[m.item].Files {
			if f := t.find(t.files, file.Digest); f != nil {
				f.state = held
			}
		}
	}
	for _, part := range [][]entry{t.files, t.manifests} {
		for i := range part {
			if part[i].state == held {
				t.stats.Skipped++
			}
		}
	}
	return nil
}

// folders are the manifests that wait for their files, with their sizes if
// these are to be had for nothing: one that is cut on dst must show.
func (t *transfer) folders(ctx context.Context) ([]*Item, error) {
	list := make([]*Item, len(t.manifests))
	var ask []object.Digest
	for i := range t.manifests {
		it := t.items[t.manifests[i].item]
		list[i] = &it
		ask = append(ask, it.Digest)
	}
	if !t.src.Properties().CheapStat {
		return list, nil
	}
	has, err := sizes(ctx, t.src, len(ask), func(i int) object.Digest { return ask[i] })
	if err != nil {
		return nil, err
	}
	for i, size := range has {
		if size >= 0 {
			list[i].Size = size
		}
	}
	return list, nil
}

// leaveReceipts says on dst which folders are whole there.
func (t *transfer) leaveReceipts(ctx context.Context) {
	s, ok := t.dst.(*Store)
	if !ok || t.o.DryRun || t.stats.NotTried > 0 {
		return
	}
	var whole []*Item
	for i := range t.manifests {
		m := &t.manifests[i]
		if it := &t.items[m.item]; m.state == held && len(it.Files) >= receiptFiles && t.lacks(it) == 0 {
			whole = append(whole, it)
		}
	}
	s.leaveReceipts(ctx, whole, func(f *object.File) int64 {
		if e := t.find(t.files, f.Digest); e != nil {
			return e.size
		}
		return -1
	})
}

// lacks counts the files of a folder that are not on dst.
func (t *transfer) lacks(folder *Item) int {
	n := 0
	for i := range folder.Files {
		if e := t.find(t.files, folder.Files[i].Digest); e != nil && e.state != held {
			n++
		}
	}
	return n
}

// distrust drops the receipts on src of folders that turned out to lack
// something there, so that the next push asks and mends it.
func (t *transfer) distrust(ctx context.Context) {
	if ctx.Err() != nil || len(t.stats.Missing)+len(t.stats.Failed) == 0 {
		return
	}
	wrong := map[object.Digest]bool{}
	for _, it := range t.stats.Missing {
		wrong[it.Digest] = true
	}
	for _, f := range t.stats.Failed {
		if errs.Is(f.Err, errs.Corrupt) {
			wrong[f.Item.Digest] = true
		}
	}
	var folders []object.Digest
	for i := range t.manifests {
		m := &t.items[t.manifests[i].item]
		if wrong[m.Digest] || slices.ContainsFunc(m.Files, func(f object.File) bool { return wrong[f.Digest] }) {
			folders = append(folders, m.Digest)
		}
	}
	if len(folders) > 0 {
		_ = DropReceipts(ctx, t.src, folders) // it may be read-only
	}
}

// ready leaves out the manifests with a file that is not on dst.
func (t *transfer) ready(manifests []int32) []int32 {
	ready := manifests[:0]
	for _, i := range manifests {
		m := &t.manifests[i]
		broken := 0
		if !t.o.DryRun {
			broken = t.lacks(&t.items[m.item])
		} else {
			for _, f := range t.items[m.item].Files {
				if e := t.find(t.files, f.Digest); e != nil && e.state == bad {
					broken++
				}
			}
		}
		if broken == 0 {
			ready = append(ready, i)
			continue
		}
		m.state = bad
		t.stats.Failed = append(t.stats.Failed, ItemError{t.itemOf(m), &folderError{broken}})
	}
	return ready
}

// folderError says that a manifest was held back.
type folderError struct{ files int }

func (e *folderError) Error() string {
	return fmt.Sprintf("the folder is incomplete: %s not moved", count(e.files, "file was", "files were"))
}

// lacking returns what dst does not have with its right size, and counts the
// rest as skipped, or as missing if src does not have it either.
func (t *transfer) lacking(ctx context.Context) (files, manifests []int32, err error) {
	all := t.waiting()
	digestOf := func(list []*entry) func(int) object.Digest {
		return func(i int) object.Digest { return t.digest(list[i]) }
	}
	onDst, err := sizes(ctx, t.dst, len(all), digestOf(all))
	if err != nil {
		return nil, nil, err
	}
	// Ask src about what is not there, and about every size in doubt.
	ask := all[:0]
	unknown, unsized, doubtful := 0, 0, 0
	for i, e := range all {
		have := onDst[i]
		if have >= 0 && have == e.size {
			continue
		}
		if e.size < 0 {
			unsized++
			if have < 0 {
				unknown++
			}
		}
		if have >= 0 && e.size >= 0 {
			doubtful++
		}
		ask = append(ask, e)
	}
	var onSrc []int64
	cheap := t.src.Properties().CheapStat && (unsized > 0 || t.o.DryRun)
	if len(ask) > 0 && (cheap || unknown > worthListing || doubtful > 0) {
		if onSrc, err = sizes(ctx, t.src, len(ask), digestOf(ask)); err != nil {
			return nil, nil, err
		}
	}
	i, asked := 0, 0
	pick := func(part []entry) []int32 {
		var todo []int32
		for k := range part {
			e := &part[k]
			if e.state != waiting {
				continue
			}
			have, theirs := onDst[i], unasked
			i++
			if have >= 0 && have == e.size {
				e.state = held
				t.stats.Skipped++
				continue
			}
			if onSrc != nil {
				theirs = onSrc[asked]
				asked++
			}
			switch {
			case have >= 0 && (theirs == have || e.size < 0 && theirs < 0):
				// The hint was wrong, or nobody knows better.
				e.state, e.size = held, have
				t.stats.Skipped++
			case theirs == absent:
				t.lost(e)
			default:
				if theirs >= 0 {
					e.size = theirs
				}
				todo = append(todo, int32(k))
			}
		}
		return todo
	}
	return pick(t.files), pick(t.manifests), nil
}

// worthListing is how many objects of unknown size make it worth asking a
// store that is not a folder; otherwise opening them tells.
const worthListing = 64

// waiting are the files, then the manifests, that dst was not asked for yet.
func (t *transfer) waiting() []*entry {
	all := make([]*entry, 0, len(t.files)+len(t.manifests))
	for _, part := range [][]entry{t.files, t.manifests} {
		for i := range part {
			if part[i].state == waiting {
				all = append(all, &part[i])
			}
		}
	}
	return all
}

// Sizes that are none.
const (
	absent  = int64(-1) // the store does not have the object
	unasked = int64(-2) // it was not asked
)

// askAtOnce is how many objects a store is asked for at once if asking in
// portions costs nothing: the answer is a map.
const askAtOnce = 64 << 10

// sizer is a store that tells the sizes of n objects in their order, -1 if it
// does not have one.
type sizer interface {
	Sizes(ctx context.Context, n int, at func(int) object.Digest) ([]int64, error)
}

// sizes asks a store for the sizes of n objects, in their order.
func sizes(ctx context.Context, s object.Store, n int, at func(int) object.Digest) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	if s, ok := s.(sizer); ok {
		return s.Sizes(ctx, n, at)
	}
	list := make([]int64, n)
	step := n
	if s.Properties().CheapStat {
		step = min(n, askAtOnce)
	}
	ds := make([]object.Digest, 0, step)
	for lo := 0; lo < n; lo += step {
		ds = ds[:0]
		for i := lo; i < min(lo+step, n); i++ {
			ds = append(ds, at(i))
		}
		has, err := s.Has(ctx, ds)
		if err != nil {
			return nil, err
		}
		for i, d := range ds {
			list[lo+i] = absent
			if info, ok := has[d]; ok {
				list[lo+i] = info.Size
			}
		}
	}
	return list, nil
}

// lost notes an object that neither store has whole.
func (t *transfer) lost(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Missing = append(t.stats.Missing, t.itemOf(e))
	e.state = bad
}

// move copies entries in slices, each committed by itself.
func (t *transfer) move(ctx context.Context, all []entry, todo []int32) error {
	if t.o.DryRun {
		for _, i := range todo {
			t.stats.Done++
			t.stats.DoneBytes += max(0, all[i].size)
		}
		return nil
	}
	// The longest first, so that none is left alone at the end.
	slices.SortFunc(todo, func(a, b int32) int { return cmp.Or(cmp.Compare(all[b].size, all[a].size), cmp.Compare(a, b)) })
	q := &queue{all: all, todo: todo}
	for len(q.todo) > 0 {
		if err := t.slice(ctx, q); err != nil {
			t.stats.NotTried += len(q.todo)
			return err
		}
	}
	return nil
}

// queue hands out what is to be moved, the longest in front. It is taken from
// at both ends: small objects do not wait until all large ones are done.
type queue struct {
	mu   sync.Mutex
	all  []entry
	todo []int32
}

func (q *queue) take(large bool) *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.todo)
	if n == 0 {
		return nil
	}
	i := q.todo[0]
	if large {
		q.todo = q.todo[1:]
	} else {
		i, q.todo = q.todo[n-1], q.todo[:n-1]
	}
	return &q.all[i]
}

// slice moves as many entries of a queue as one batch may have.
func (t *transfer) slice(ctx context.Context, q *queue) error {
	w, err := t.dst.Begin(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	var taken, bytes atomic.Int64
	until := time.Now().Add(sliceTime)
	most := int64(min(len(q.todo), t.o.SliceObjects))
	jobs := min(t.jobs(), int(most))
	t.more.spare.Store(int64(t.jobs() - jobs))
	moved := make([][]*entry, jobs) // by worker
	var g errgroup.Group
	for worker := range jobs {
		// The second half of the workers begins with the small objects.
		large := worker < (jobs+1)/2
		g.Go(func() error {
			defer t.more.give(1)
			for bytes.Load() < t.o.SliceBytes && time.Now().Before(until) {
				if ctx.Err() != nil || t.stopped() != nil || taken.Add(1) > most {
					return nil
				}
				e := q.take(large)
				if e == nil {
					return nil
				}
				n, err := t.one(ctx, w, e)
				bytes.Add(n)
				if t.note(ctx, e, err) {
					e.size = n
					moved[worker] = append(moved[worker], e)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	err = ctx.Err()
	if err == nil {
		err = w.Commit(ctx)
	}
	for _, list := range moved {
		if err != nil {
			t.stats.NotTried += len(list)
			continue
		}
		for _, e := range list {
			e.state = held
			t.stats.Done++
			t.stats.DoneBytes += e.size
		}
	}
	if err != nil {
		return err
	}
	return t.stopped()
}

// jobs is how many objects pay to be under way: as many as the slower side
// can work on, since that is where the waiting is.
func (t *transfer) jobs() int {
	n := max(1, t.src.Properties().Concurrency, t.dst.Properties().Concurrency)
	if t.o.Jobs > 0 {
		n = min(n, t.o.Jobs)
	}
	return min(n, max(1, (openFiles()-reservedFiles)/filesPerJob))
}

// Where descriptors are scarce, fewer objects are under way.
const (
	reservedFiles = 16 // open whatever the number of jobs
	filesPerJob   = 3  // a file, its folder, a connection
)

// copier is a Writer that knows a shorter way from some stores, for objects
// that its own store lacks.
type copier interface {
	CopyFrom(ctx context.Context, src object.Store, d object.Digest, size int64, tick func(int64)) (copied bool, err error)
}

// one copies an object and returns its length: from src, or, if that is a
// chain, from the first link that has it whole.
func (t *transfer) one(ctx context.Context, w object.Writer, e *entry) (int64, error) {
	c, ok := t.src.(*Chain)
	if !ok {
		return t.fromTwice(ctx, w, t.src, e)
	}
	var said []error
	for _, i := range c.use() {
		n, err := t.fromTwice(ctx, w, c.links[i].Store, e)
		if err == nil || ctx.Err() != nil {
			return n, err
		}
		if err == errMissing {
			said = append(said, errs.New(errs.NotFound, "%s does not have it", c.links[i].Name))
			continue
		}
		if _, reading := errors.AsType[*sourceError](err); !reading && !errs.Is(err, errs.Corrupt) {
			return n, err // dst is at fault
		}
		c.failed(i, err)
		said = append(said, c.named(i, err))
	}
	err := c.verdict(t.digest(e), said)
	if errs.Is(err, errs.NotFound) {
		return 0, errMissing
	}
	return 0, &sourceError{err}
}

// fromTwice reads wrong bytes of another machine once more: what damaged them may
// have been the line.
func (t *transfer) fromTwice(ctx context.Context, w object.Writer, src object.Store, e *entry) (int64, error) {
	n, err := t.from(ctx, w, src, e)
	if errs.Is(err, errs.Corrupt) && !src.Properties().Local && ctx.Err() == nil {
		n, err = t.from(ctx, w, src, e)
	}
	return n, err
}

// from copies an object from one store.
func (t *transfer) from(ctx context.Context, w object.Writer, src object.Store, e *entry) (int64, error) {
	d := t.digest(e)
	if short, ok := w.(copier); ok {
		c := &counter{task: t.task}
		copied, err := short.CopyFrom(ctx, src, d, e.size, c.count)
		if err != nil {
			return 0, err
		}
		if copied {
			t.task.Add(1, c.pending)
			return e.size, nil
		}
	}
	r, size, err := t.open(ctx, src, d)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return 0, errMissing
		}
		return 0, &sourceError{err}
	}
	defer r.Close()
	c := &counter{r: r, task: t.task}
	if err := w.Put(ctx, d, size, c); err != nil {
		if c.err != nil && !errs.Is(err, errs.Corrupt) {
			err = &sourceError{err}
		}
		return 0, err
	}
	t.task.Add(1, c.pending)
	return size, nil
}

// errMissing is an object that src does not have, as opposed to whatever dst
// may not find.
var errMissing = errors.New("missing")

// sourceError is a failure to open an object to be copied.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// open opens an object for a Writer. One on a remote may be read in several
// streams.
func (t *transfer) open(ctx context.Context, src object.Store, d object.Digest) (io.ReadCloser, int64, error) {
	if s, ok := src.(*Store); ok {
		return s.openRanged(ctx, d, &t.more)
	}
	return openUnverified(ctx, src, d)
}

// openUnverified opens an object for a Writer, which proves the bytes. A
// store that would prove them as well is spared that if it can be.
func openUnverified(ctx context.Context, s object.Store, d object.Digest) (io.ReadCloser, int64, error) {
	if u, ok := s.(interface {
		OpenUnverified(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error)
	}); ok {
		return u.OpenUnverified(ctx, d)
	}
	return s.Open(ctx, d)
}

// counter reports bytes as they pass, in portions worth showing.
type counter struct {
	r       io.Reader
	task    progress.Task
	pending int64
	err     error // of reading
}

const progressStep = 1 << 20

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(int64(n))
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *counter) count(n int64) {
	if c.pending += n; c.pending >= progressStep {
		c.task.Add(0, c.pending)
		c.pending = 0
	}
}

// note records how it went with an object and reports whether it went well.
func (t *transfer) note(ctx context.Context, e *entry, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.luck = 0
		return true
	}
	e.state = bad
	switch {
	case ctx.Err() != nil:
		t.stats.NotTried++
		return false
	case err == errMissing:
		t.stats.Missing = append(t.stats.Missing, t.itemOf(e))
		return false
	}
	t.stats.Failed = append(t.stats.Failed, ItemError{t.itemOf(e), err})
	// Damaged and unreadable files are one by one. Anything else that strikes again
	// and again without one success between is about the store.
	k := errs.KindOf(err)
	if _, reading := errors.AsType[*sourceError](err); k == errs.Corrupt || reading && t.src.Properties().Local {
		return false
	}
	if t.luck++; t.stop == nil && (k == errs.Config || t.luck >= max(8, 2*t.jobs())) {
		t.stop = err
	}
	return false
}

func (t *transfer) stopped() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stop
}

func (t *transfer) sortResults() {
	slices.SortStableFunc(t.stats.Missing, compareItems)
	slices.SortStableFunc(t.stats.Failed, func(a, b ItemError) int { return compareItems(a.Item, b.Item) })
}

func compareItems(a, b Item) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), a.Digest.Compare(b.Digest))
}

// verdict turns the result into the error of the whole.
func (t *transfer) verdict(ctx context.Context, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return &errs.Error{Kind: errs.Cancelled, Msg: "interrupted", Err: cerr}
	}
	s := &t.stats
	if err != nil && (len(s.Failed) == 0 || !errors.Is(err, t.stop)) {
		return err
	}
	if len(s.Failed)+len(s.Missing)+s.NotTried == 0 {
		return nil
	}
	e := &TransferError{Stats: *s}
	if c, ok := t.src.(*Chain); ok {
		e.Asked = c.Names()
	}
	kind := errs.NotFound
	for i, f := range s.Failed {
		k := errs.KindOf(f.Err)
		if _, held := errors.AsType[*folderError](f.Err); held {
			continue // the files below tell why
		}
		if k == errs.Corrupt || i == 0 || kind == errs.NotFound {
			kind = k
		}
		if kind == errs.Corrupt {
			break
		}
	}
	hint := ""
	for _, f := range s.Failed {
		if hint = errs.HintOf(f.Err); hint != "" {
			break
		}
	}
	if hint == "" && kind == errs.Corrupt && !t.src.Properties().Local {
		hint = "Nothing damaged was taken. Where the data are whole, `cairn fsck -r REMOTE --repair` puts good copies in their place."
	}
	return &errs.Error{Kind: kind, Hint: hint, Err: e}
}

// TransferError is a transfer that did not do all that was asked.
type TransferError struct {
	Stats Stats
	Asked []string // the stores that lack what is missing, if there were several
}

// shownFailures bounds what an error message lists.
const shownFailures = 5

// cause is what happened, without the object it happened to.
func cause(err error) string {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}

// common is the cause of all failures, if they have the same one, as when the
// store is at fault and not its objects.
func (e *TransferError) common() (string, bool) {
	if len(e.Stats.Missing) > 0 {
		return "", false
	}
	all, n := "", 0
	for _, f := range e.Stats.Failed {
		if _, held := errors.AsType[*folderError](f.Err); held {
			continue
		}
		if n++; n == 1 {
			all = cause(f.Err)
		} else if cause(f.Err) != all {
			return "", false
		}
	}
	return all, n > 1 || n == 1 && e.Stats.NotTried > 0
}

// Error counts what was not done and names the first few, or what kept all.
func (e *TransferError) Error() string {
	if why, ok := e.common(); ok {
		n := len(e.Stats.Failed) + e.Stats.NotTried
		return count(n, "object was", "objects were") + " not moved: " + why
	}
	lines, held := e.lines()
	var b strings.Builder
	b.WriteString(count(len(lines)+e.Stats.NotTried, "object was", "objects were"))
	b.WriteString(" not moved")
	if held > 0 {
		b.WriteString(", nor " + count(held, "folder", "folders") + " they belong to")
	}
	b.WriteString(bounded(lines))
	if e.Stats.NotTried > 0 {
		fmt.Fprintf(&b, "\n  not tried after that: %d", e.Stats.NotTried)
	}
	return b.String()
}

// Lacking counts what is missing or wrong, and names the first few.
func (e *TransferError) Lacking() string {
	lines, _ := e.lines()
	return count(len(lines), "object", "objects") + bounded(lines)
}

// lines says of each object what happened to it, and counts the manifests that
// were held back.
func (e *TransferError) lines() (lines []string, held int) {
	for _, f := range e.Stats.Failed {
		if _, ok := errors.AsType[*folderError](f.Err); ok {
			held++
			continue
		}
		lines = append(lines, f.Error())
	}
	where := ""
	if len(e.Asked) > 0 {
		where = " in " + strings.Join(e.Asked, ", ")
	}
	for _, m := range e.Stats.Missing {
		lines = append(lines, ItemError{m, fmt.Errorf("object %s is missing%s", m.Digest, where)}.Error())
	}
	return lines, held
}

// bounded is a line for each of the first few.
func bounded(lines []string) string {
	var b strings.Builder
	for i, l := range lines {
		if i == shownFailures {
			fmt.Fprintf(&b, "\n  and %d more", len(lines)-i)
			break
		}
		b.WriteString("\n  " + l)
	}
	return b.String()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
