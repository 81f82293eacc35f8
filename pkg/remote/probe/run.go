package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// Options of [Run] and [RunStore].
type Options struct {
	ReadOnly bool         // write nothing
	Full     bool         // also what moves many bytes
	Done     func(Result) // called after each check; nil is nobody
}

// Status is how a check ended.
type Status string

// The ways.
const (
	OK      Status = "ok"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is one check.
type Result struct {
	Name    string   `json:"name"`
	Status  Status   `json:"status"`
	Text    string   `json:"text,omitempty"` // why it was skipped, or what is to be known
	Errors  []string `json:"errors,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Speed is what was measured.
type Speed struct {
	Latency  float64 `json:"latency_seconds"` // of one small request, the median
	Jobs     int     `json:"jobs"`            // requests at a time for the following
	Upload   float64 `json:"upload_bytes_per_second"`
	Download float64 `json:"download_bytes_per_second"`
}

// Report is the outcome.
type Report struct {
	OK       bool     `json:"ok"`
	ReadOnly bool     `json:"read_only"` // asked for, or found out: the place takes no writes
	Scratch  string   `json:"scratch,omitempty"`
	Checks   []Result `json:"checks"`
	Speed    *Speed   `json:"speed,omitempty"`
	Left     []string `json:"left,omitempty"` // what could not be removed
}

// cleanTime bounds the removal of what the checks made.
const cleanTime = time.Minute

// shownErrors bounds what is kept of one check.
const shownErrors = 5

// run is the state of [Run].
type run struct {
	o      Options
	report Report
}

// add records a check.
func (r *run) add(res Result) {
	if res.Status == Failed {
		r.report.OK = false
	}
	r.report.Checks = append(r.report.Checks, res)
	if r.o.Done != nil {
		r.o.Done(res)
	}
}

// check runs f as a check of its own.
func (r *run) check(ctx context.Context, name string, f func(T)) Status {
	res := Result{Name: name, Status: OK}
	if ctx.Err() != nil {
		return Skipped
	}
	start := time.Now()
	t := &reporter{ctx: ctx, brief: !r.o.Full}
	done := make(chan struct{})
	go func() { // Fatalf and Skip end it
		defer close(done)
		f(t)
	}()
	<-done
	if ctx.Err() != nil {
		return Skipped // interrupted: its errors say nothing of the remote
	}
	res.Seconds = time.Since(start).Seconds()
	res.Errors, res.Hint, res.Text = t.errors, t.hint, t.skip
	switch {
	case len(t.errors) > 0:
		res.Status, res.Text = Failed, t.text
		if t.more > 0 {
			res.Errors = append(res.Errors, fmt.Sprintf("and %d more", t.more))
		}
	case t.skip != "":
		res.Status = Skipped
	}
	r.add(res)
	return res.Status
}

// skip records checks that make no sense.
func (r *run) skip(ctx context.Context, why string, names ...string) {
	if ctx.Err() != nil {
		return
	}
	for _, n := range names {
		r.add(Result{Name: n, Status: Skipped, Text: why})
	}
}

// reporter is a T that keeps what it is told.
type reporter struct {
	ctx   context.Context
	brief bool

	mu     sync.Mutex
	errors []string
	more   int
	hint   string
	text   string
	skip   string
}

var _ T = (*reporter)(nil)

func (t *reporter) Helper()                  {}
func (t *reporter) Context() context.Context { return t.ctx }
func (t *reporter) Brief() bool              { return t.brief }

// Errorf keeps the first few errors, and the first hint in what they are
// about.
func (t *reporter) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range args {
		if err, ok := a.(error); ok && t.hint == "" {
			t.hint = errs.HintOf(err)
		}
	}
	msg := fmt.Errorf(format, args...).Error() // it knows %w
	switch {
	case slices.Contains(t.errors, msg):
	case len(t.errors) < shownErrors:
		t.errors = append(t.errors, msg)
	default:
		t.more++
	}
}

func (t *reporter) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *reporter) Skip(args ...any) {
	t.mu.Lock()
	t.skip = fmt.Sprint(args...)
	t.mu.Unlock()
	runtime.Goexit()
}

// say explains a failure in words.
func say(t T, text string) {
	if r, ok := t.(*reporter); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.text = text
	}
}

// ScratchName makes a name for a folder that is removed again.
func ScratchName() string { return ".cairn-test-" + strings.ToLower(rand.Text()[:12]) }

// Run checks a remote of a user's, below a prefix of its own making which it
// removes again, also when ctx ends meanwhile: the error is then ctx's. Failed
// checks are in the report, and no error.
func Run(ctx context.Context, b remote.Backend, o Options) (Report, error) {
	r := &run{o: o, report: Report{OK: true, ReadOnly: o.ReadOnly}}
	s := &scratch{b: b, prefix: ScratchName() + "/", made: newKeySet()}
	switch answers := r.reach(ctx, s); {
	case !answers:
		r.skip(ctx, "nothing else makes sense before that", "the other checks")
	case o.ReadOnly:
		r.reading(ctx, b)
	case r.access(ctx, s):
		r.rest(ctx, s)
	case r.report.ReadOnly:
		r.reading(ctx, b)
	default:
		r.skip(ctx, "not all kinds of access are there", "the other checks")
	}
	if s.made.any {
		r.report.Scratch = s.prefix
		r.clean(ctx, s)
	}
	return r.report, ctx.Err()
}

func (r *run) clean(ctx context.Context, s *scratch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	left, err := s.clean(ctx)
	if err == nil {
		return
	}
	const most = 20
	if r.report.Left = left; len(left) > most {
		r.report.Left = append(left[:most:most], fmt.Sprintf("and %d more", len(left)-most))
	}
	r.add(Result{Name: "clean up", Status: Failed, Errors: []string{err.Error()}, Hint: errs.HintOf(err),
		Text: fmt.Sprintf("what the test wrote below %s could not be removed", s.prefix)})
}

// reach asks for a value that is not there: whoever may read is told so. It
// reports whether asking on makes sense.
func (r *run) reach(ctx context.Context, s *scratch) (answers bool) {
	r.check(ctx, "reach", func(t T) {
		_, err := s.Stat(ctx, "reach/nothing")
		switch k := errs.KindOf(err); k {
		case errs.NotFound:
			answers = true
			return
		case errs.Denied:
			// What is allowed all the same, the next checks tell.
			answers = true
			say(t, "the credentials are refused, or may not read and list: some clouds answer a missing object so to whoever may not list")
		case errs.Config:
			say(t, "the remote's address or options are wrong")
		case errs.Unavailable:
			say(t, "nothing answers there")
		}
		if err == nil {
			t.Fatalf("the remote has a value that nobody put there")
		}
		t.Errorf("%w", err)
	})
	return answers
}

// access tries each kind of access once, so that what is missing has a name.
// It reports whether all are there.
func (r *run) access(ctx context.Context, s *scratch) bool {
	v := []byte("written by cairn remote test")
	denied := func(t T, err error, to string) {
		if errs.Is(err, errs.Denied) {
			say(t, "the permission to "+to+" is missing")
		}
	}
	wrote := r.check(ctx, "may write", func(t T) {
		err := s.Put(ctx, "access/value", int64(len(v)), bytes.NewReader(v))
		if errs.Is(err, errs.Unsupported) {
			r.report.ReadOnly = true
			t.Skip("the server takes no writes: the remote can be read only")
		}
		if err != nil {
			if errs.Is(err, errs.Denied) {
				s.made.forget() // nothing is there
			}
			denied(t, err, "write")
			t.Errorf("%w", err)
		}
	})
	if r.report.ReadOnly {
		s.made.forget()
		return false
	}
	listed := r.check(ctx, "may list", func(t T) {
		if s.Properties().ListPrice == 0 {
			t.Skip(noList)
		}
		n := 0
		for e, err := range s.List(ctx, "access/") {
			if err != nil {
				denied(t, err, "list")
				t.Fatalf("%w", err)
			}
			if e.Key == "access/value" && e.Size == int64(len(v)) {
				n++
			}
		}
		if wrote == OK && n != 1 {
			t.Errorf("what was written is not in the listing")
		}
	})
	if wrote != OK {
		r.skip(ctx, "nothing could be written", "may read", "may delete")
		return false
	}
	read := r.check(ctx, "may read", func(t T) {
		got, _, err := get(ctx, s, "access/value", 0, -1)
		if err != nil {
			denied(t, err, "read")
			t.Fatalf("%w", err)
		}
		if !bytes.Equal(got, v) {
			t.Errorf("other bytes came back than were written")
		}
	})
	deleted := r.check(ctx, "may delete", func(t T) {
		if err := s.Delete(ctx, []string{"access/value"}); err != nil {
			denied(t, err, "delete")
			t.Fatalf("%w", err)
		}
		if _, err := s.Stat(ctx, "access/value"); !errs.Is(err, errs.NotFound) {
			t.Errorf("what was deleted is still there")
		}
	})
	return read == OK && listed != Failed && deleted == OK
}

const noList = "the server cannot list; each object is asked for by itself"

// rest runs the checks that the drivers' own tests run, each in a place of its
// own, then those of objects, and measures.
func (r *run) rest(ctx context.Context, s *scratch) {
	for i, c := range Checks() {
		own := &scratch{b: s.b, prefix: fmt.Sprintf("%s%d/", s.prefix, i), made: s.made}
		r.check(ctx, c.Name, func(t T) { c.Run(t, own) })
	}
	r.store(ctx, remote.NewStore(&scratch{b: s.b, prefix: s.prefix + "store/", made: s.made}, "the remote"))
	speed := &scratch{b: s.b, prefix: s.prefix + "speed/", made: s.made}
	r.check(ctx, "speed", func(t T) { r.report.Speed = measure(t, speed, r.o.Full) })
}

// RunStore checks a folder that is a remote: s is a store in a folder of its
// own, which the caller removes, or the remote itself if nothing is written.
func RunStore(ctx context.Context, s object.Store, o Options) (Report, error) {
	r := &run{o: o, report: Report{OK: true, ReadOnly: o.ReadOnly}}
	if o.ReadOnly {
		r.readingStore(ctx, s)
	} else {
		r.store(ctx, s)
		if r.report.OK {
			r.check(ctx, "speed", func(t T) { r.report.Speed = measureStore(t, s) })
		}
	}
	return r.report, ctx.Err()
}

// store checks objects, which are proven on their way in and out.
func (r *run) store(ctx context.Context, s object.Store) {
	v := Bytes(7, 10_000)
	d := object.Sum(object.MD5, v)
	put := func(ctx context.Context, d object.Digest, size int64, src io.Reader) error {
		w, err := s.Begin(ctx)
		if err != nil {
			return err
		}
		defer w.Abort()
		if err := w.Put(ctx, d, size, src); err != nil {
			return err
		}
		return w.Commit(ctx)
	}
	absent := func(t T, d object.Digest) {
		t.Helper()
		if has, err := s.Has(ctx, []object.Digest{d}); err != nil || len(has) != 0 {
			t.Errorf("a refused object is there: %v, %v", has, err)
		}
	}
	wrote := r.check(ctx, "object", func(t T) {
		if err := put(ctx, d, int64(len(v)), bytes.NewReader(v)); err != nil {
			if errs.Is(err, errs.Denied) {
				say(t, "the permission to write is missing")
			}
			t.Fatalf("put: %v", err)
		}
		body, size, err := s.Open(ctx, d)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || size != int64(len(v)) || !bytes.Equal(got, v) {
			t.Errorf("open: got %d bytes of %d, %v", len(got), size, err)
		}
		if has, err := s.Has(ctx, []object.Digest{d, object.Sum(object.MD5, v[1:])}); err != nil || len(has) != 1 || has[d].Size != int64(len(v)) {
			t.Errorf("has: got %v, %v", has, err)
		}
		n := 0
		for i, err := range s.List(ctx, object.MD5) {
			if errs.Is(err, errs.Unsupported) {
				n = 1 // a web server
				break
			}
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			if i.Digest == d {
				n++
			}
		}
		if n != 1 {
			t.Errorf("list: the object is there %d times", n)
		}
	})
	if wrote != OK {
		r.skip(ctx, "no object can be written", "wrong bytes", "cut short", "stopped", "delete object")
		return
	}
	r.check(ctx, "wrong bytes", func(t T) {
		other := object.Sum(object.MD5, []byte("other"))
		if err := put(ctx, other, int64(len(v)), bytes.NewReader(v)); !errs.Is(err, errs.Corrupt) {
			t.Errorf("bytes with another digest: got %v, want a refusal", err)
		}
		absent(t, other)
	})
	r.check(ctx, "cut short", func(t T) {
		w := v[:5000]
		cut := object.Sum(object.MD5, w)
		if err := put(ctx, cut, int64(len(w))+1, bytes.NewReader(w)); err == nil {
			t.Errorf("an object that is too short is taken")
		}
		absent(t, cut)
	})
	r.check(ctx, "stopped", func(t T) {
		w := v[1:]
		half := object.Sum(object.MD5, w)
		sctx, cancel := context.WithCancel(ctx)
		src := io.MultiReader(bytes.NewReader(w[:5000]), readFunc(func(p []byte) (int, error) { cancel(); return 0, errors.New("stopped") }))
		if err := put(sctx, half, int64(len(w)), src); err == nil {
			t.Errorf("an interrupted put succeeds")
		}
		cancel()
		absent(t, half)
	})
	r.check(ctx, "delete object", func(t T) {
		if err := s.Delete(ctx, []object.Digest{d}); err != nil {
			t.Fatalf("delete: %v", err)
		}
		absent(t, d)
	})
}

// readingStore proves the first few objects that there are.
func (r *run) readingStore(ctx context.Context, s object.Store) {
	const most = 10
	r.check(ctx, "may read", func(t T) {
		n := 0
		for _, a := range object.Algorithms() {
			for i, err := range s.List(ctx, a) {
				if err != nil {
					t.Fatalf("list: %w", err)
				}
				if n++; n > most {
					return
				}
				body, size, err := s.Open(ctx, i.Digest)
				if err != nil {
					t.Errorf("open: %w", err)
					continue
				}
				read, err := io.Copy(io.Discard, body)
				body.Close()
				if err != nil || read != size {
					t.Errorf("object %s: got %d bytes of %d, %v", i.Digest, read, size, err)
				}
			}
		}
		if n == 0 {
			t.Skip("there is no object that could be read")
		}
	})
}

// reading checks what can be without writing: on the first value that a
// listing has, if there is one.
func (r *run) reading(ctx context.Context, b remote.Backend) {
	var found remote.Entry
	r.check(ctx, "may list", func(t T) {
		if b.Properties().ListPrice == 0 {
			t.Skip(noList)
		}
		n := 0
		for e, err := range b.List(ctx, "") {
			if err != nil {
				if errs.Is(err, errs.Denied) {
					say(t, "the permission to list is missing")
				}
				t.Fatalf("%v", err)
			}
			if e.Size > 0 && found.Key == "" {
				found = e
			}
			if n++; found.Key != "" || n > 1000 {
				break
			}
		}
	})
	r.check(ctx, "may read", func(t T) {
		if found.Key == "" {
			t.Skip("nothing is known that could be read")
		}
		const most = 64 << 10
		n := min(found.Size, most)
		whole, size, err := get(ctx, b, found.Key, 0, n)
		if errs.Is(err, errs.Denied) {
			say(t, "the permission to read is missing")
		}
		if err != nil || size != found.Size || int64(len(whole)) != n {
			t.Fatalf("read %s: got %d bytes of %d, %v", found.Key, len(whole), size, err)
		}
		half, _, err := get(ctx, b, found.Key, n/2, n-n/2)
		if err != nil || !bytes.Equal(half, whole[n/2:]) {
			t.Errorf("read a part of %s: got %d bytes, %v", found.Key, len(half), err)
		}
		var times []time.Duration
		for range latencyTries {
			start := time.Now()
			if _, err := b.Stat(ctx, found.Key); err != nil {
				t.Fatalf("%v", err)
			}
			times = append(times, time.Since(start))
		}
		r.report.Speed = &Speed{Latency: median(times), Jobs: 1}
	})
}

const (
	latencyTries = 9
	speedValues  = 8 // at the same time
	// quick is a round that says little: a larger one follows.
	quick = 300 * time.Millisecond
)

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return times[len(times)/2].Seconds()
}

// measure moves some megabytes.
func measure(t T, b remote.Backend, full bool) *Speed {
	s := &Speed{Jobs: min(speedValues, max(1, b.Properties().Concurrency))}
	ctx := t.Context()
	put(t, b, "k", []byte("x"))
	var times []time.Duration
	for range latencyTries {
		start := time.Now()
		if _, err := b.Stat(ctx, "k"); err != nil {
			t.Fatalf("%v", err)
		}
		times = append(times, time.Since(start))
	}
	s.Latency = median(times)
	sizes := []int{256 << 10, 2 << 20}
	if full {
		sizes = append(sizes, 16<<20)
	}
	for _, size := range sizes {
		v := Bytes(1, size)
		all := func(f func(key string) error) time.Duration {
			var wg sync.WaitGroup
			start := time.Now()
			for i := range s.Jobs {
				wg.Go(func() {
					if err := f(fmt.Sprint(i)); err != nil {
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
			return time.Since(start)
		}
		up := all(func(k string) error { return b.Put(ctx, k, int64(size), bytes.NewReader(v)) })
		down := all(func(k string) error {
			r, _, err := b.Open(ctx, k, 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		})
		moved := float64(size * s.Jobs)
		s.Upload, s.Download = moved/up.Seconds(), moved/down.Seconds()
		if up > quick && down > quick {
			break
		}
	}
	return s
}

// measureStore moves some megabytes, each object in a batch of its own, as a
// folder is slowest.
func measureStore(t T, s object.Store) *Speed {
	ctx := t.Context()
	const size = 4 << 20
	sp := &Speed{Jobs: 1}
	var times []time.Duration
	var up, down time.Duration
	for i := range latencyTries {
		v := Bytes(uint64(i), size)
		d := object.Sum(object.MD5, v)
		start := time.Now()
		w, err := s.Begin(ctx)
		if err == nil {
			if err = w.Put(ctx, d, size, bytes.NewReader(v)); err == nil {
				err = w.Commit(ctx)
			}
			w.Abort()
		}
		if err != nil {
			t.Fatalf("put: %w", err)
		}
		up += time.Since(start)
		start = time.Now()
		if _, err := s.Has(ctx, []object.Digest{d}); err != nil {
			t.Fatalf("has: %w", err)
		}
		times = append(times, time.Since(start))
		start = time.Now()
		r, _, err := s.Open(ctx, d)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if err != nil {
			t.Fatalf("open: %w", err)
		}
		down += time.Since(start)
	}
	moved := float64(size * latencyTries)
	sp.Latency, sp.Upload, sp.Download = median(times), moved/up.Seconds(), moved/down.Seconds()
	return sp
}
