package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// davListPrice is about how many objects a folder of a listing has: each
// request lists one.
const davListPrice = 64

// davBackend keeps bytes on a WebDAV server (RFC 4918), each key a file below
// the address of the remote. A value gets its name by a MOVE, after it was
// stored whole under a name that says whose it is.
type davBackend struct {
	w *webClient

	made    sync.Map // folders known to be there: key → *davFolder
	cleaned sync.Once

	optionsMu sync.Mutex
	asked     bool
	atomicPut atomic.Bool // a PUT is seen whole or not at all
}

var _ Describer = (*davBackend)(nil)

func openWebDAV(ctx context.Context, c Config, env Env) (Backend, error) {
	o, err := parseWebDAV(ctx, c, env)
	if err != nil {
		return nil, err
	}
	w, err := newWebClient(c, env, o)
	if err != nil {
		return nil, err
	}
	return &davBackend{w: w}, nil
}

func (b *davBackend) retryOptions() RetryOptions { return b.w.retryOptions() }

func (b *davBackend) Properties() Properties {
	return Properties{Properties: object.Properties{Concurrency: b.w.jobs, ListPrice: davListPrice}, ReplaceGap: true}
}

func (b *davBackend) Close() error { b.w.close(); return nil }

func (b *davBackend) Stat(ctx context.Context, key string) (int64, error) {
	e, err := b.Describe(ctx, key)
	return e.Size, err
}

// Describe asks for the properties of one file. A folder of that name is no
// value.
func (b *davBackend) Describe(ctx context.Context, key string) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	found, err := b.props(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	if found.folder {
		return Entry{}, errs.New(errs.NotFound, "%s: %s is a folder", b.w.where, key)
	}
	e := Entry{Key: key, Size: found.size, Meta: found.meta}
	if e.Size < 0 {
		e.Size, err = b.head(ctx, key)
	}
	return e, err
}

// props are the properties of one file or folder.
func (b *davBackend) props(ctx context.Context, key string) (davEntry, error) {
	resp, err := b.propfind(ctx, b.w.request(ctx, "PROPFIND", key), "0")
	if err != nil {
		if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Unavailable) && ctx.Err() == nil && b.isUnderFile(ctx, key) {
			err = errs.New(errs.NotFound, "%s: %s lies below a file", b.w.where, key)
		}
		return davEntry{}, err
	}
	defer webDiscard(resp)
	var found *davEntry
	err = parseMultistatus(resp.Body, func(e davEntry) error {
		if found == nil {
			found = &e
		}
		return nil
	})
	switch {
	case err != nil:
		return davEntry{}, b.listingError(ctx, err)
	case found == nil:
		return davEntry{}, b.notDAV("an empty answer")
	}
	return *found, b.entryError(*found)
}

// isUnderFile is whether what should be a folder above key is a file. Servers
// have many words for it, few of which say so.
func (b *davBackend) isUnderFile(ctx context.Context, key string) bool {
	for dir := parentOf(key); dir != ""; dir = parentOf(dir) {
		resp, err := b.propfind(ctx, b.w.request(ctx, "PROPFIND", dir), "0")
		if err != nil {
			continue
		}
		folder := false
		err = parseMultistatus(resp.Body, func(e davEntry) error { folder = e.folder; return nil })
		webDiscard(resp)
		return err == nil && !folder
	}
	return false
}

// head is for a server that does not tell a file's length among its
// properties.
func (b *davBackend) head(ctx context.Context, key string) (int64, error) {
	resp, err := b.w.do(b.w.request(ctx, http.MethodHead, key))
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, b.w.fail(resp)
	}
	webDiscard(resp)
	if resp.ContentLength < 0 {
		return 0, errs.New(errs.Unsupported, "%s: the server does not tell how long %s is", b.w.where, key)
	}
	return resp.ContentLength, nil
}

// Open reads with a range, or skips what comes before it where the server
// knows no ranges.
func (b *davBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	if err := CheckKey(key); err != nil {
		return nil, 0, err
	}
	stat := func() (int64, error) { return b.Stat(ctx, key) }
	if n == 0 {
		size, err := stat()
		return io.NopCloser(bytes.NewReader(nil)), size, err
	}
	resp, err := b.w.get(ctx, key, off, n)
	if err != nil {
		return nil, 0, err
	}
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400, s == http.StatusForbidden, s == http.StatusMethodNotAllowed:
		// That may be because it is a folder.
		err := b.w.fail(resp)
		if found, perr := b.props(ctx, key); perr == nil && found.folder {
			err = errs.New(errs.NotFound, "%s: %s is a folder", b.w.where, key)
		} else if errs.Is(perr, errs.NotFound) {
			err = perr
		}
		return nil, 0, err
	case strings.HasSuffix(resp.Request.URL.Path, "/"):
		webDiscard(resp)
		return nil, 0, errs.New(errs.NotFound, "%s: %s is a folder", b.w.where, key)
	}
	return b.w.read(resp, off, n, stat)
}

// options asks the server once what it is. Apache's own file store says its
// name among its features, and is known to write to a temporary file and
// rename it, so that a plain PUT is as good as PUT and MOVE, and better where
// there is something to be replaced.
func (b *davBackend) options(ctx context.Context) error {
	b.optionsMu.Lock()
	defer b.optionsMu.Unlock()
	if b.asked {
		return nil
	}
	resp, err := b.w.do(b.w.requestTo(ctx, http.MethodOptions, b.w.target("", true), nil))
	if err != nil {
		return err
	}
	if s := resp.StatusCode; s == http.StatusUnauthorized || s == http.StatusForbidden || webKind(s) == errs.Unavailable {
		return b.w.fail(resp)
	}
	features := strings.Join(resp.Header.Values("Dav"), ",")
	webDiscard(resp)
	b.atomicPut.Store(strings.Contains(features, "<http://apache.org/dav/propset/fs/1>"))
	b.asked = true
	return nil
}

// Put stores a value in one request where the server writes it whole or not
// at all, else under a temporary name first.
func (b *davBackend) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if err := b.options(ctx); err != nil {
		return err
	}
	if b.atomicPut.Load() {
		if err := b.mkdirs(ctx, parentOf(key)); err != nil {
			return err
		}
		_, err := b.put(ctx, key, size, r)
		return err
	}
	if err := b.mkdirs(ctx, ""); err != nil {
		return err
	}
	b.cleaned.Do(func() { b.clean(ctx) })
	temp := disk.TempName()
	answered, err := b.put(ctx, temp, size, r)
	if err == nil {
		err = b.rename(ctx, temp, key)
	}
	if err != nil {
		// Also after Ctrl-C: nobody else would know whose it is.
		dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		b.drop(dctx, temp, answered)
	}
	return err
}

// davPauses are how long a server may need to see that an upload broke off.
var davPauses = []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}

// drop removes what an upload left. One that broke off may still be about to
// be made.
func (b *davBackend) drop(ctx context.Context, temp string, answered bool) {
	for _, pause := range davPauses {
		if sleep(ctx, pause) != nil {
			return
		}
		resp, err := b.w.do(b.w.request(ctx, http.MethodDelete, temp))
		if err != nil {
			continue
		}
		webDiscard(resp)
		switch s := resp.StatusCode; {
		case webAccepted(s), s == http.StatusNotFound && answered:
			return
		case s == http.StatusNotFound, webKind(s) == errs.Unavailable: // a lock, say
		default:
			return
		}
	}
}

// davOld is how long after its last byte an upload is a dead one.
const davOld = 24 * time.Hour

// clean removes what killed uploads left, by the server's own clock. What it
// cannot do is left to the next.
func (b *davBackend) clean(ctx context.Context) {
	resp, err := b.propfind(ctx, b.w.requestTo(ctx, "PROPFIND", b.w.target("", true), nil), "1")
	if err != nil {
		return
	}
	defer webDiscard(resp)
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	var old []string
	_ = parseMultistatus(resp.Body, func(e davEntry) error {
		name := path.Base(e.path)
		if !e.folder && disk.IsTempName(name) && !e.meta.ModTime.IsZero() && now.Sub(e.meta.ModTime) > davOld {
			old = append(old, name)
		}
		return nil
	})
	_ = b.w.deleteAll(ctx, old)
}

func parentOf(key string) string {
	if dir := path.Dir(key); dir != "." {
		return dir
	}
	return ""
}

// put sends a value. answered is whether the server said anything to it.
func (b *davBackend) put(ctx context.Context, name string, size int64, r io.Reader) (answered bool, err error) {
	resp, err := b.w.send(ctx, http.MethodPut, b.w.target(name, false), size, r)
	if err != nil {
		return false, err
	}
	switch s := resp.StatusCode; {
	case webAccepted(s):
		webDiscard(resp)
		return true, nil
	case s == http.StatusNotFound || s == http.StatusConflict:
		// The folder was there: somebody removed it. The next try makes it anew.
		webDiscard(resp)
		b.made.Clear()
		return true, errs.New(errs.Unavailable, "%s: the folder of %s is gone", b.w.where, name)
	case s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented:
		return true, errs.WithHint(b.w.fail(resp), "The server takes no files there: check the address, and that it speaks WebDAV.")
	}
	return true, b.w.fail(resp)
}

// davLocked is how often a name that somebody else holds a lock on is tried
// for, with waits that double from 25 ms: six seconds in all.
const davLocked = 8

// rename gives a stored value its name, in a folder that is made if need be.
// Somebody who gives something the same name at the same time locks it for a
// moment; the bytes have been sent, so that is worth waiting for.
func (b *davBackend) rename(ctx context.Context, temp, key string) error {
	locked := 0
	for try := 1; ; try++ {
		req := b.w.request(ctx, "MOVE", temp)
		req.Header.Set("Destination", b.w.target(key, false).String())
		req.Header.Set("Overwrite", "T")
		resp, err := b.w.do(req)
		if err != nil {
			return err
		}
		switch s := resp.StatusCode; {
		case webAccepted(s):
			webDiscard(resp)
			return nil
		case s == http.StatusMultiStatus:
			webDiscard(resp)
			return errs.New(errs.Other, "%s: the server could not give %s its name", b.w.where, key)
		case s == http.StatusConflict || s == http.StatusNotFound || s == http.StatusForbidden:
			// The words of servers for a folder that is not there.
			err := b.w.fail(resp)
			if try > 1 {
				return err
			}
			if s == http.StatusConflict {
				b.made.Clear()
			}
			if merr := b.mkdirs(ctx, parentOf(key)); merr != nil {
				return merr
			}
		case s == http.StatusLocked && locked < davLocked:
			webDiscard(resp)
			if err := sleep(ctx, 25*time.Millisecond<<locked); err != nil {
				return err
			}
			locked++
			try--
		case s == http.StatusBadGateway:
			return errs.WithHint(b.w.fail(resp), "The server does not know itself by this address: use the one that it has behind its proxy, or correct the proxy.")
		default:
			return b.w.fail(resp)
		}
	}
}

// davFolder is a folder that is being made, or was.
type davFolder struct {
	once sync.Once
	err  error
}

// mkdirs makes a folder below the remote, "" being the remote's own, with all
// above it. What is there is remembered.
func (b *davBackend) mkdirs(ctx context.Context, dir string) error {
	v, _ := b.made.LoadOrStore(dir, &davFolder{})
	f := v.(*davFolder)
	f.once.Do(func() { f.err = b.mkdir(ctx, dir) })
	if f.err != nil {
		b.made.CompareAndDelete(dir, v)
		// Whoever waited for somebody else's try makes one of its own.
		if ctx.Err() == nil && errs.Is(f.err, errs.Cancelled) {
			return b.mkdirs(ctx, dir)
		}
	}
	return f.err
}

func (b *davBackend) mkdir(ctx context.Context, dir string) error {
	for try := 1; ; try++ {
		resp, err := b.w.do(b.w.requestTo(ctx, "MKCOL", b.w.target(dir, true), nil))
		if err != nil {
			return err
		}
		s := resp.StatusCode
		switch {
		case s == http.StatusCreated, s == http.StatusOK, s == http.StatusNoContent:
			webDiscard(resp)
			return nil
		case s == http.StatusMethodNotAllowed: // it is there, or the server makes none
			webDiscard(resp)
			return nil
		case (s == http.StatusConflict || s == http.StatusNotFound) && try == 1:
			webDiscard(resp)
			if dir == "" {
				if err := b.mkbase(ctx); err != nil {
					return err
				}
				continue
			}
			if err := b.mkdirs(ctx, parentOf(dir)); err != nil {
				return err
			}
		default:
			err := b.w.fail(resp)
			// Some servers refuse to make what is there with other words.
			if s == http.StatusForbidden || s == http.StatusConflict || s >= 300 && s < 400 {
				if found, perr := b.propsOf(ctx, dir); perr == nil && found.folder {
					return nil
				}
			}
			return err
		}
	}
}

// propsOf are those of a folder.
func (b *davBackend) propsOf(ctx context.Context, dir string) (found davEntry, err error) {
	resp, err := b.propfind(ctx, b.w.requestTo(ctx, "PROPFIND", b.w.target(dir, true), nil), "0")
	if err != nil {
		return found, err
	}
	defer webDiscard(resp)
	err = parseMultistatus(resp.Body, func(e davEntry) error { found = e; return nil })
	return found, err
}

// mkbase makes the folders above the remote's own, from the first that the
// server refuses to have there already.
func (b *davBackend) mkbase(ctx context.Context) error {
	u := *b.w.target("", true)
	var above []string // escaped paths, nearest first
	for p := path.Dir(strings.TrimSuffix(u.RawPath, "/")); p != "/" && p != "."; p = path.Dir(p) {
		above = append(above, p)
	}
	for i := 0; i < len(above); i++ {
		status, err := b.mkcolAt(ctx, above[i])
		if err != nil {
			return err
		}
		if status == http.StatusConflict || status == http.StatusNotFound {
			continue // farther up
		}
		// From here down.
		for i--; i >= 0; i-- {
			if _, err := b.mkcolAt(ctx, above[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return errs.WithHint(errs.New(errs.Config, "%s: the server does not let the folder be made", b.w.where),
		"Check the path in the address: cairn remote modify %s url %s://HOST/PATH", b.w.name, b.w.o.scheme)
}

func (b *davBackend) mkcolAt(ctx context.Context, escaped string) (int, error) {
	u := b.w.target("", true)
	p, err := unescapePath(escaped)
	if err != nil {
		return 0, err
	}
	u.Path, u.RawPath = p+"/", escaped+"/"
	resp, err := b.w.do(b.w.requestTo(ctx, "MKCOL", u, nil))
	if err != nil {
		return 0, err
	}
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized, webKind(s) == errs.Unavailable:
		return s, b.w.fail(resp)
	}
	webDiscard(resp)
	return resp.StatusCode, nil
}

// Delete removes keys with a request each.
func (b *davBackend) Delete(ctx context.Context, keys []string) error {
	return b.w.deleteAll(ctx, keys)
}

// List walks the folders that hold prefix, several at a time.
func (b *davBackend) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return b.ListBy(ctx, prefix, false, onlyOnce)
}

// ListBy is List, a folder a step.
func (b *davBackend) ListBy(ctx context.Context, prefix string, _ bool, step Step) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		outer := ctx
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		start, _ := path.Split(prefix)
		found := make(chan Entry, 1024)
		walk := &davWalk{b: b, prefix: prefix, step: step, found: found}
		walk.more = sync.NewCond(&walk.mu)
		walk.queue = []string{strings.TrimSuffix(start, "/")}
		walk.open = 1
		g, gctx := errgroup.WithContext(ctx)
		stop := context.AfterFunc(gctx, walk.end)
		defer stop()
		for range b.w.jobs {
			g.Go(func() error { return walk.run(gctx) })
		}
		done := make(chan error, 1)
		go func() { done <- g.Wait(); close(found) }()
		for e := range found {
			if !yield(e, nil) {
				cancel()
				for range found { // let the walkers see it and end
				}
				return
			}
		}
		if err := orCtx(outer, <-done); err != nil {
			yield(Entry{}, err)
		}
	}
}

// davWalk is the state of one listing.
type davWalk struct {
	b      *davBackend
	prefix string
	step   Step
	found  chan<- Entry

	mu    sync.Mutex
	more  *sync.Cond
	queue []string // folders to be listed
	open  int      // folders that are in the queue or being listed
	ended bool
}

// davDepth is more than any folder of ours lies deep: a server whose folders
// hold themselves must not be walked for ever.
const davDepth = 100

func (w *davWalk) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.more.Broadcast()
}

// run lists folders until there are none.
func (w *davWalk) run(ctx context.Context) error {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && w.open > 0 && !w.ended {
			w.more.Wait()
		}
		if w.ended || len(w.queue) == 0 {
			w.mu.Unlock()
			return ctx.Err()
		}
		dir := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.mu.Unlock()
		err := w.enter(ctx, dir)
		w.mu.Lock()
		w.open--
		w.mu.Unlock()
		w.more.Broadcast()
		if err != nil {
			return err
		}
	}
}

// davContent is what lies in a folder, of what the listing is of.
type davContent struct {
	files   []Entry
	folders []string // keys
}

// enter lists one folder and passes on what lies in it.
func (w *davWalk) enter(ctx context.Context, dir string) error {
	var in *davContent
	err := w.step(ctx, func(ctx context.Context) error {
		in = &davContent{}
		return w.list(ctx, dir, in)
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.queue = append(w.queue, in.folders...)
	w.open += len(in.folders)
	w.mu.Unlock()
	w.more.Broadcast()
	for _, e := range in.files {
		select {
		case w.found <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// list lists one folder. One that is not there holds nothing.
func (w *davWalk) list(ctx context.Context, dir string, in *davContent) error {
	b := w.b
	resp, err := b.propfind(ctx, b.w.requestTo(ctx, "PROPFIND", b.w.target(dir, true), nil), "1")
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer webDiscard(resp)
	self := strings.TrimSuffix(resp.Request.URL.Path, "/")
	selfSeen := false
	var early []davEntry // met before the folder itself, which most servers put first
	add := func(e davEntry) error {
		name, ok := nameIn(self, e.path)
		if !ok {
			return errs.New(errs.Config, "%s: the listing of a folder holds the address %q, which is not in it", b.w.where, e.path)
		}
		return w.add(ctx, dir, name, e, in)
	}
	err = parseMultistatus(resp.Body, func(e davEntry) error {
		e.path = strings.TrimSuffix(e.path, "/")
		switch {
		case e.path == self:
			if selfSeen = true; !e.folder && e.ok() {
				return errNoFolder
			}
			return nil
		case selfSeen:
			return add(e)
		}
		early = append(early, e)
		return nil
	})
	if err == nil && !selfSeen {
		self, early = davSelf(self, early)
	}
	for i := 0; i < len(early) && err == nil; i++ {
		err = add(early[i])
	}
	if err == errNoFolder {
		return nil
	}
	return b.listingError(ctx, err)
}

// nameIn is the name of what lies in a folder.
func nameIn(folder, p string) (string, bool) {
	name, ok := strings.CutPrefix(p, folder+"/")
	return name, ok && name != "" && !strings.Contains(name, "/")
}

// davSelf finds the folder that a listing is of, where nothing in it has the
// path that was asked for. Some servers leave the folder itself out; behind a
// proxy, one may know itself by another path, and the shortest is it.
func davSelf(asked string, list []davEntry) (self string, rest []davEntry) {
	at, inside := 0, true
	for i, e := range list {
		if _, ok := nameIn(asked, e.path); !ok {
			inside = false
		}
		if len(e.path) < len(list[at].path) {
			at = i
		}
	}
	if inside {
		return asked, list
	}
	return list[at].path, append(list[:at:at], list[at+1:]...)
}

// errNoFolder says that a file has the name of what should be a folder.
var errNoFolder = errors.New("no folder")

// add takes one name of a folder.
func (w *davWalk) add(ctx context.Context, dir, name string, e davEntry, in *davContent) error {
	key := name
	if dir != "" {
		key = dir + "/" + name
	}
	if e.folder {
		// One that cannot hold a key with the prefix is not looked at.
		below := key + "/"
		if !strings.HasPrefix(below, w.prefix) && !strings.HasPrefix(w.prefix, below) || CheckKey(key) != nil {
			return nil
		}
		if strings.Count(key, "/") > davDepth {
			return errs.New(errs.Config, "%s: folders lie more than %d deep", w.b.w.where, davDepth)
		}
		in.folders = append(in.folders, key)
		return nil
	}
	if !strings.HasPrefix(key, w.prefix) || CheckKey(key) != nil || disk.IsTempName(name) {
		return nil
	}
	if err := w.b.entryError(e); err != nil {
		if errs.Is(err, errs.NotFound) {
			return nil // gone meanwhile
		}
		return err
	}
	if e.size < 0 {
		size, err := w.b.head(ctx, key)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		e.size = size
	}
	in.files = append(in.files, Entry{Key: key, Size: e.size, Meta: e.meta})
	return nil
}
