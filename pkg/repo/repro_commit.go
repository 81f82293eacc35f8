package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/cache"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/pipeline"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// What a stage made is recorded in this order: objects flushed and named,
// .gitignore, run cache, then dvc.lock or the pointer file. Flushing costs as much as a
// trivial command does, so stages that took less than longStage share one
// round of it; those that took longer are recorded before anything else
// happens. A process killed in between has lost at most lagging's worth of
// trivial stages from the record, never a record of what is not stored, and
// the next run makes them again.
const (
	longStage = 100 * time.Millisecond
	lagging   = 200 * time.Millisecond
)

// recorder gathers what stages made until it is recorded.
type recorder struct {
	r    *Repo
	runs *pipeline.RunCache
	// copies is the cache without links: what Git tracks must not become one.
	copies *cache.Cache

	w, wCopies *cache.Writer // open while there is something to store
	adds       []*addition
	ignored    []string // outs that Git is to leave alone
	done       []record
	since      time.Time // of the oldest of done
	locks      map[string]*lockText
	changed    []string // files, for Git
}

// record is a stage that is to be recorded.
type record struct {
	stage   *pipeline.Stage
	pointer []byte        // the text of the pointer file so far
	run     *yamlfmt.Map  // for the run cache; nil for none
	lock    *lockText     // nil for a pointer file
	took    time.Duration // by the command
}

func newRecorder(r *Repo) *recorder {
	rec := &recorder{r: r, runs: pipeline.NewRunCache(r.Cache.Path()), copies: r.Cache, locks: map[string]*lockText{}}
	rec.runs.Warn = r.warn
	if rec.shares() {
		rec.copies = cache.Open(r.Cache.Path(), cache.Options{Links: []cache.LinkType{cache.Copy}, Shared: r.Config.Cache.Shared, Hook: r.env.Hook})
	}
	return rec
}

// shares reports whether workspace files are links into the cache.
func (c *recorder) shares() bool {
	first := c.r.Cache.Links()[0]
	return first == cache.Hardlink || first == cache.Symlink
}

func (c *recorder) close() {
	if c.w != nil {
		c.w.Abort()
	}
	if c.wCopies != nil {
		c.wCopies.Abort()
	}
	if c.copies != c.r.Cache {
		_ = c.copies.Close()
	}
}

// writer is where an out's bytes go.
func (c *recorder) writer(copies bool) (w *cache.Writer, err error) {
	if copies && c.shares() {
		if c.wCopies == nil {
			c.wCopies, err = c.copies.BeginAdd()
		}
		return c.wCopies, err
	}
	if c.w == nil {
		c.w, err = c.r.Cache.BeginAdd()
	}
	return c.w, err
}

// add takes up a stage, at once or with those that follow.
func (c *recorder) add(ctx context.Context, d record) error {
	if len(c.done) == 0 {
		c.since = time.Now()
	}
	c.done = append(c.done, d)
	if d.took >= longStage || c.shares() || time.Since(c.since) >= lagging {
		return c.flush(ctx)
	}
	return nil
}

// due is when what waits must be recorded; zero if nothing waits.
func (c *recorder) due() time.Time {
	if len(c.done) == 0 {
		return time.Time{}
	}
	return c.since.Add(lagging)
}

// flush records all that waits. It is done to its end also after Ctrl-C.
func (c *recorder) flush(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := c.store(ctx); err != nil {
		return err
	}
	if len(c.ignored) > 0 {
		files, err := c.r.gitIgnore(c.ignored...)
		if c.track(files...); err != nil {
			return err
		}
		c.ignored = nil
	}
	defer c.r.phase("write pointer files", "").End()
	done := c.done
	c.done = nil
	locks := map[*lockText]bool{}
	var order []*lockText
	for _, d := range done {
		if d.run != nil {
			if err := c.runs.Save(d.run); err != nil {
				return fmt.Errorf("save to the run cache: %w", err)
			}
		}
		if d.lock == nil {
			if err := c.r.writePointer(d.stage, d.pointer); err != nil {
				return err
			}
		} else if !locks[d.lock] {
			locks[d.lock] = true
			order = append(order, d.lock)
		}
	}
	for _, l := range order {
		if err := l.write(c.r); err != nil {
			return err
		}
	}
	return nil
}

func (c *recorder) store(ctx context.Context) error {
	w, copies, adds := c.w, c.wCopies, c.adds
	c.w, c.wCopies, c.adds = nil, nil, nil
	for _, w := range []*cache.Writer{w, copies} {
		if w != nil {
			if err := w.Commit(ctx); err != nil {
				return err
			}
		}
	}
	return c.r.relinkAdds(ctx, adds)
}

// track notes a file that Git is to take up.
func (c *recorder) track(files ...string) { c.changed = append(c.changed, files...) }

// lockText is a dvc.lock that is being rewritten.
type lockText struct {
	file string
	// base is the text that changes apply to, and disk what the file holds:
	// base, or what we wrote last.
	base, disk []byte
	stat       disk.Stat
	changes    []lockChange // by the order of a serial run
	blocks     *lockBlocks  // of base; nil until they are needed
}

type lockChange struct {
	order int
	name  string
	entry *yamlfmt.Map
}

// lock opens the lock of a stage file.
func (c *recorder) lock(file string) (*lockText, error) {
	file = pipeline.LockFile(file)
	if l := c.locks[file]; l != nil {
		return l, nil
	}
	l := &lockText{file: file}
	if err := l.read(c.r); err != nil {
		return nil, err
	}
	l.base = l.disk
	c.locks[file] = l
	return l, nil
}

func (l *lockText) read(r *Repo) error {
	text, err := r.Dir.ReadFile(l.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.disk = text
	l.stat, _ = r.Dir.LstatPath(l.file)
	return nil
}

// reload reads a lock that somebody else rewrote and reports whether one did.
// What was to be recorded is applied to the new text.
func (l *lockText) reload(r *Repo) (bool, error) {
	st, err := r.Dir.LstatPath(l.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if st.SameContent(l.stat) {
		return false, nil
	}
	old := l.disk
	if err := l.read(r); err != nil || bytes.Equal(old, l.disk) {
		return false, err
	}
	l.base, l.blocks = l.disk, nil
	return true, nil
}

// set takes up a stage's entry and reports whether it is another one than the
// lock has, and whether the lock is new.
func (l *lockText) set(order int, name string, entry *yamlfmt.Map) (modified, created bool, err error) {
	have, err := l.entry(name)
	if err != nil {
		return false, false, err
	}
	created = len(l.base) == 0 && len(l.changes) == 0
	i := slices.IndexFunc(l.changes, func(c lockChange) bool { return c.name == name })
	if i >= 0 {
		l.changes[i].entry = entry
	} else {
		at, _ := slices.BinarySearchFunc(l.changes, order, func(c lockChange, o int) int { return c.order - o })
		l.changes = slices.Insert(l.changes, at, lockChange{order, name, entry})
	}
	return have == nil || !yamlfmt.Equal(have, entry), created, nil
}

// entry is what the lock has of a stage; nil if nothing.
func (l *lockText) entry(name string) (*yamlfmt.Map, error) {
	for _, c := range l.changes {
		if c.name == name {
			return c.entry, nil
		}
	}
	b, err := l.parse()
	if err != nil || b.lock == nil {
		return nil, err
	}
	return b.lock.Entry(name), nil
}

// lockBlocks is a lock cut into the texts of its stages, so that one can be
// replaced without making the others anew: 200 stages that are recorded one
// by one would take the square of that otherwise.
type lockBlocks struct {
	lock  *pipeline.Lock // nil of an empty text
	plain bool           // the text is head and blocks, nothing else
	head  string
	names []string
	text  map[string]string
}

const lockHead = "schema: '2.0'\nstages:\n"

func (l *lockText) parse() (*lockBlocks, error) {
	if l.blocks != nil {
		return l.blocks, nil
	}
	b := &lockBlocks{head: lockHead, text: map[string]string{}, plain: true}
	l.blocks = b
	if len(l.base) == 0 {
		return b, nil
	}
	var err error
	if b.lock, err = pipeline.ParseLock(l.file, l.base); err != nil {
		l.blocks = nil
		return nil, err
	}
	b.names = b.lock.Names()
	for _, n := range b.names {
		b.text[n] = lockBlock(n, b.lock.Entry(n))
	}
	b.plain = b.join(b.names, b.text) == string(l.base)
	return b, nil
}

func (b *lockBlocks) join(names []string, text map[string]string) string {
	var s strings.Builder
	s.WriteString(b.head)
	for _, n := range names {
		s.WriteString(text[n])
	}
	return s.String()
}

// lockBlock is a stage's part of a lock. Lines are folded by their columns,
// so it is written where it stands.
func lockBlock(name string, entry *yamlfmt.Map) string {
	whole := yamlfmt.Marshal(yamlfmt.NewMap("stages", yamlfmt.NewMap(name, entry)))
	return strings.TrimPrefix(string(whole), "stages:\n")
}

// render is base with all changes. The entries of stages that are new stand
// in the order of a serial run, whichever ended first.
func (l *lockText) render() ([]byte, error) {
	b, err := l.parse()
	if err != nil {
		return nil, err
	}
	if !b.plain {
		changes := make([]pipeline.LockChange, len(l.changes))
		for i, c := range l.changes {
			changes[i] = pipeline.LockChange{Name: c.name, Entry: c.entry}
		}
		text, _, err := pipeline.UpdateLock(l.file, l.base, changes)
		return text, err
	}
	names := slices.Clone(b.names)
	text := make(map[string]string, len(b.text)+len(l.changes))
	for n, t := range b.text {
		text[n] = t
	}
	for _, c := range l.changes {
		if _, there := text[c.name]; !there {
			names = append(names, c.name)
		}
		text[c.name] = lockBlock(c.name, c.entry)
	}
	return []byte(b.join(names, text)), nil
}

// write puts the lock on the disk if it is not there already.
func (l *lockText) write(r *Repo) error {
	if _, err := l.reload(r); err != nil {
		return err
	}
	text, err := l.render()
	if err != nil || bytes.Equal(text, l.disk) {
		return err
	}
	if err := r.Dir.WriteFile(l.file, text, 0o666); err != nil {
		return &errs.Error{Kind: errs.KindOf(err), Msg: fmt.Sprintf("write %q", r.Show(l.file)), Err: err}
	}
	l.disk = text
	l.stat, err = r.Dir.LstatPath(l.file)
	return err
}
