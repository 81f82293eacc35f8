package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
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
	// before it. They are moved first, and the manifest only if none failed.
	// A manifest without Files is moved as it is.
	Files []Item
}

// TransferOptions guide a transfer. The zero value is the usual case.
type TransferOptions struct {
	Jobs     int           // most objects under way; 0 is what the stores are good for
	Label    string        // of the progress shown
	Progress progress.Sink // nil shows nothing
	DryRun   bool          // find out what would be moved, and move nothing

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
	t := &transfer{dst: dst, src: src, o: o, bad: map[object.Digest]bool{}}
	t.collect(items)
	err := t.run(ctx)
	t.sortResults()
	return t.stats, t.verdict(ctx, err)
}

// transfer is the state of one call.
type transfer struct {
	dst, src object.Store
	o        TransferOptions
	task     progress.Task

	files     []Item // moved first, each digest once
	manifests []Item // moved after all files

	mu    sync.Mutex // guards the following
	stats Stats
	bad   map[object.Digest]bool // not on dst
	luck  int                    // failures since the last success
	stop  error                  // why to end early
}

// collect sorts the items into what is free to move and the manifests that
// must wait, dropping repetitions.
func (t *transfer) collect(items []Item) {
	n := 0
	for _, it := range items {
		n += 1 + len(it.Files)
	}
	seen := make(map[object.Digest]struct{}, n)
	add := func(to *[]Item, it Item) {
		if it.Digest.IsZero() {
			return
		}
		if _, twice := seen[it.Digest]; !twice {
			seen[it.Digest] = struct{}{}
			*to = append(*to, it)
		}
	}
	// Manifests first: one that must wait may also be named without files.
	for _, it := range items {
		if it.Files != nil {
			add(&t.manifests, it)
		}
	}
	for _, it := range items {
		for _, f := range it.Files {
			add(&t.files, f)
		}
		if it.Files == nil {
			add(&t.files, it)
		}
	}
}

func (t *transfer) run(ctx context.Context) error {
	files, manifests, err := t.lacking(ctx)
	if err != nil {
		return err
	}
	var bytes int64
	for _, it := range files {
		bytes += max(0, it.Size)
	}
	t.task = progress.Or(t.o.Progress).Start(t.o.Label, int64(len(files)+len(manifests)), bytes)
	defer t.task.Done()
	if err := t.move(ctx, files); err != nil {
		t.stats.NotTried += len(manifests)
		return err
	}
	return t.move(ctx, t.ready(manifests))
}

// ready leaves out the manifests with a file that is not on dst.
func (t *transfer) ready(manifests []Item) []Item {
	ready := manifests[:0]
	for _, m := range manifests {
		broken := 0
		for _, f := range m.Files {
			if t.bad[f.Digest] {
				broken++
			}
		}
		if broken == 0 {
			ready = append(ready, m)
			continue
		}
		t.bad[m.Digest] = true
		t.stats.Failed = append(t.stats.Failed, ItemError{m, &folderError{broken}})
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
func (t *transfer) lacking(ctx context.Context) (files, manifests []Item, err error) {
	all := make([]object.Digest, 0, len(t.files)+len(t.manifests))
	for it := range t.each() {
		all = append(all, it.Digest)
	}
	onDst, err := sizes(ctx, t.dst, all)
	if err != nil {
		return nil, nil, err
	}
	// Ask src about what is not there, and about every size in doubt.
	var ask []object.Digest
	unknown, unsized, doubtful, i := 0, 0, 0, 0
	for it := range t.each() {
		have := onDst[i]
		i++
		if have >= 0 && have == it.Size {
			continue
		}
		if it.Size < 0 {
			unsized++
			if have < 0 {
				unknown++
			}
		}
		if have >= 0 && it.Size >= 0 {
			doubtful++
		}
		ask = append(ask, it.Digest)
	}
	var onSrc []int64
	cheap := t.src.Properties().CheapStat && (unsized > 0 || t.o.DryRun)
	if len(ask) > 0 && (cheap || unknown > worthListing || doubtful > 0) {
		if onSrc, err = sizes(ctx, t.src, ask); err != nil {
			return nil, nil, err
		}
	}
	i, asked := 0, 0
	pick := func(part []Item) []Item {
		todo := part[:0]
		for _, it := range part {
			have, theirs := onDst[i], unasked
			i++
			if have >= 0 && have == it.Size {
				t.stats.Skipped++
				continue
			}
			if onSrc != nil {
				theirs = onSrc[asked]
				asked++
			}
			switch {
			case have >= 0 && (theirs == have || it.Size < 0 && theirs < 0):
				// The hint was wrong, or nobody knows better.
				t.stats.Skipped++
			case theirs == absent:
				t.lost(it)
			default:
				if theirs >= 0 {
					it.Size = theirs
				}
				todo = append(todo, it)
			}
		}
		return todo
	}
	return pick(t.files), pick(t.manifests), nil
}

// worthListing is how many objects of unknown size make it worth asking a
// store that is not a folder; otherwise opening them tells.
const worthListing = 64

// each yields the files, then the manifests.
func (t *transfer) each() iter.Seq[*Item] {
	return func(yield func(*Item) bool) {
		for _, part := range [][]Item{t.files, t.manifests} {
			for i := range part {
				if !yield(&part[i]) {
					return
				}
			}
		}
	}
}

// Sizes that are none.
const (
	absent  = int64(-1) // the store does not have the object
	unasked = int64(-2) // it was not asked
)

// sizes asks a store for the sizes of objects, in their order.
func sizes(ctx context.Context, s object.Store, ds []object.Digest) ([]int64, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	has, err := s.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	list := make([]int64, len(ds))
	for i, d := range ds {
		list[i] = absent
		if info, ok := has[d]; ok {
			list[i] = info.Size
		}
	}
	return list, nil
}

// lost notes an object that neither store has whole.
func (t *transfer) lost(it Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Missing = append(t.stats.Missing, it)
	t.bad[it.Digest] = true
}

// move copies items in slices, each committed by itself.
func (t *transfer) move(ctx context.Context, items []Item) error {
	if t.o.DryRun {
		for _, it := range items {
			t.stats.Done++
			t.stats.DoneBytes += max(0, it.Size)
		}
		return nil
	}
	// The longest first, so that none is left alone at the end.
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(b.Size, a.Size) })
	for len(items) > 0 {
		n, err := t.slice(ctx, items)
		if items = items[n:]; err != nil {
			t.stats.NotTried += len(items)
			return err
		}
	}
	return nil
}

// slice moves the first of items, as many as one batch may have, and returns
// how many it dealt with.
func (t *transfer) slice(ctx context.Context, items []Item) (int, error) {
	w, err := t.dst.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	var next, bytes atomic.Int64
	var moved, movedBytes atomic.Int64
	until := time.Now().Add(sliceTime)
	most := int64(min(len(items), t.o.SliceObjects))
	var g errgroup.Group
	for range min(int64(t.jobs()), most) {
		g.Go(func() error {
			for bytes.Load() < t.o.SliceBytes && time.Now().Before(until) {
				if ctx.Err() != nil || t.stopped() != nil {
					return nil
				}
				i := next.Add(1) - 1
				if i >= most {
					return nil
				}
				n, err := t.one(ctx, w, items[i])
				bytes.Add(n)
				if t.note(ctx, items[i], err) {
					moved.Add(1)
					movedBytes.Add(n)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	n := int(min(next.Load(), most))
	if err := ctx.Err(); err != nil {
		t.stats.NotTried += int(moved.Load())
		return n, err
	}
	if err := w.Commit(ctx); err != nil {
		t.stats.NotTried += int(moved.Load())
		return n, err
	}
	t.stats.Done += int(moved.Load())
	t.stats.DoneBytes += movedBytes.Load()
	return n, t.stopped()
}

// jobs is how many objects pay to be under way: as many as the slower side
// can work on, since that is where the waiting is.
func (t *transfer) jobs() int {
	n := max(1, t.src.Properties().Concurrency, t.dst.Properties().Concurrency)
	if t.o.Jobs > 0 {
		n = min(n, t.o.Jobs)
	}
	return n
}

// copier is a Writer that knows a shorter way from some stores, for objects
// that its own store lacks.
type copier interface {
	CopyFrom(ctx context.Context, src object.Store, d object.Digest, size int64, tick func(int64)) (copied bool, err error)
}

// one copies an object and returns its length.
func (t *transfer) one(ctx context.Context, w object.Writer, it Item) (int64, error) {
	if short, ok := w.(copier); ok {
		c := &counter{task: t.task}
		copied, err := short.CopyFrom(ctx, t.src, it.Digest, it.Size, c.count)
		if err != nil {
			return 0, err
		}
		if copied {
			t.task.Add(1, c.pending)
			return it.Size, nil
		}
	}
	r, size, err := openUnverified(ctx, t.src, it.Digest)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return 0, errMissing
		}
		return 0, &sourceError{err}
	}
	defer r.Close()
	c := &counter{r: r, task: t.task}
	if err := w.Put(ctx, it.Digest, size, c); err != nil {
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
}

const progressStep = 1 << 20

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(int64(n))
	return n, err
}

func (c *counter) count(n int64) {
	if c.pending += n; c.pending >= progressStep {
		c.task.Add(0, c.pending)
		c.pending = 0
	}
}

// note records how it went with an object and reports whether it went well.
func (t *transfer) note(ctx context.Context, it Item, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.luck = 0
		return true
	}
	t.bad[it.Digest] = true
	switch {
	case ctx.Err() != nil:
		t.stats.NotTried++
		return false
	case err == errMissing:
		t.stats.Missing = append(t.stats.Missing, it)
		return false
	}
	t.stats.Failed = append(t.stats.Failed, ItemError{it, err})
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
		hint = "Nothing damaged was taken. Delete these objects there, then push them again from where they are whole."
	}
	return &errs.Error{Kind: kind, Hint: hint, Err: e}
}

// TransferError is a transfer that did not do all that was asked.
type TransferError struct{ Stats Stats }

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
	var lines []string
	held := 0
	for _, f := range e.Stats.Failed {
		if _, ok := errors.AsType[*folderError](f.Err); ok {
			held++
			continue
		}
		lines = append(lines, f.Error())
	}
	for _, m := range e.Stats.Missing {
		lines = append(lines, ItemError{m, fmt.Errorf("object %s is missing", m.Digest)}.Error())
	}
	var b strings.Builder
	b.WriteString(count(len(lines)+e.Stats.NotTried, "object was", "objects were"))
	b.WriteString(" not moved")
	if held > 0 {
		b.WriteString(", nor " + count(held, "folder", "folders") + " they belong to")
	}
	for i, l := range lines {
		if i == shownFailures {
			fmt.Fprintf(&b, "\n  and %d more", len(lines)-i)
			break
		}
		b.WriteString("\n  " + l)
	}
	if e.Stats.NotTried > 0 {
		fmt.Fprintf(&b, "\n  not tried after that: %d", e.Stats.NotTried)
	}
	return b.String()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
