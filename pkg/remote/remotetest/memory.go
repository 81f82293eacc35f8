package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote"
)

// Memory is a backend that works, in memory.
type Memory struct {
	Props remote.Properties // returned as they are

	mu      sync.Mutex
	values  map[string][]byte
	uploads int // begun and not ended
}

var _ remote.PartPutter = (*Memory)(nil)

// NewMemory returns an empty backend that looks like a bucket: eight requests
// at a time, listings of 100, parts of 5 MiB.
func NewMemory() *Memory {
	return &Memory{values: map[string][]byte{}, Props: remote.Properties{
		Properties: object.Properties{Concurrency: 8, ListPrice: 100}, PartSize: 5 << 20, MaxParts: 100}}
}

// Keys lists what is stored, sorted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.values))
}

// Change replaces the value under key behind everybody's back.
func (m *Memory) Change(key string, change func([]byte) []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	if ok {
		m.values[key] = change(bytes.Clone(v))
	}
	return ok
}

// Uploads is how many values in parts were begun and neither completed nor
// aborted.
func (m *Memory) Uploads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uploads
}

func (m *Memory) Properties() remote.Properties { return m.Props }
func (m *Memory) Close() error                  { return nil }

func (m *Memory) get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := remote.CheckKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	if !ok {
		return nil, errs.New(errs.NotFound, "no value %q", key)
	}
	return v, nil
}

func (m *Memory) Stat(ctx context.Context, key string) (int64, error) {
	v, err := m.get(ctx, key)
	return int64(len(v)), err
}

func (m *Memory) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	v, err := m.get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	part := v[min(off, int64(len(v))):]
	if n >= 0 {
		part = part[:min(n, int64(len(part)))]
	}
	return memoryBody{ctxReader{ctx, bytes.NewReader(part)}}, int64(len(v)), nil
}

type memoryBody struct{ io.Reader }

func (memoryBody) Close() error { return nil }

// Partial says that a range is all that was read.
func (memoryBody) Partial() bool { return true }

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (m *Memory) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	if err := remote.CheckKey(key); err != nil {
		return err
	}
	b, err := io.ReadAll(ctxReader{ctx, r})
	if err != nil {
		return err
	}
	if int64(len(b)) != size {
		return errs.New(errs.Corrupt, "%d bytes came for %s instead of %d", len(b), key, size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = b
	return ctx.Err()
}

func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[remote.Entry, error] {
	return func(yield func(remote.Entry, error) bool) {
		m.mu.Lock()
		var found []remote.Entry
		for k, v := range m.values {
			if strings.HasPrefix(k, prefix) {
				found = append(found, remote.Entry{Key: k, Size: int64(len(v))})
			}
		}
		m.mu.Unlock()
		for _, e := range found {
			if err := ctx.Err(); err != nil {
				yield(remote.Entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *Memory) Delete(ctx context.Context, keys []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.values, k)
	}
	return nil
}

// BeginParts starts a value in parts.
func (m *Memory) BeginParts(ctx context.Context, key string) (remote.Parts, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uploads++
	return &memoryParts{m: m, key: key, parts: map[int][]byte{}}, nil
}

type memoryParts struct {
	m     *Memory
	key   string
	parts map[int][]byte
	done  bool
}

func (p *memoryParts) Put(ctx context.Context, i int, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.parts[i] = bytes.Clone(b)
	return nil
}

func (p *memoryParts) Complete(ctx context.Context, n int, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	var b []byte
	for i := range n {
		part, ok := p.parts[i]
		if !ok || i < n-1 && int64(len(part)) < p.m.Props.PartSize {
			return errs.New(errs.Invalid, "part %d of %d is missing or too small", i, n)
		}
		b = append(b, part...)
	}
	if int64(len(b)) != size {
		return errs.New(errs.Corrupt, "%d bytes came for %s instead of %d", len(b), p.key, size)
	}
	p.end()
	p.m.values[p.key] = b
	return nil
}

func (p *memoryParts) Abort(context.Context) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.end()
	return nil
}

func (p *memoryParts) end() {
	if !p.done {
		p.done = true
		p.m.uploads--
	}
}

// Fault is what goes wrong with one call.
type Fault int

// The faults.
const (
	None   Fault = iota
	Before       // an Unavailable error, and nothing happened
	After        // an Unavailable error, but it did happen
	Short        // a body or listing breaks off with an Unavailable error
	Cut          // a body ends early as if it were whole
	Stall        // nothing more comes until the context ends
	Flip         // one bit of a body is wrong
	Refuse       // a Denied error
	Repeat       // a listing yields everything twice
)

// Faulty is a backend on which Plan decides what goes wrong. op is stat, open,
// put, list, delete, begin, part, complete or abort; n counts the calls of op
// from 1.
type Faulty struct {
	remote.Backend
	Plan func(op, key string, n int) Fault

	mu    sync.Mutex
	calls map[string]int
}

// Calls says how often an operation was called.
func (f *Faulty) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *Faulty) fault(op, key string) Fault {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[op]++
	n := f.calls[op]
	f.mu.Unlock()
	return f.Plan(op, key, n)
}

func broken(op, key string) error {
	return errs.New(errs.Unavailable, "%s %s: injected failure", op, key)
}

// around runs call with the fault of an operation that has no body.
func (f *Faulty) around(ctx context.Context, op, key string, call func() error) error {
	fault := f.fault(op, key)
	switch fault {
	case Before:
		return broken(op, key)
	case Refuse:
		return errs.New(errs.Denied, "%s %s: injected refusal", op, key)
	case Stall:
		<-ctx.Done()
		return ctx.Err()
	}
	err := call()
	if fault == After && err == nil {
		err = broken(op, key)
	}
	return err
}

func (f *Faulty) Stat(ctx context.Context, key string) (size int64, err error) {
	err = f.around(ctx, "stat", key, func() error {
		size, err = f.Backend.Stat(ctx, key)
		return err
	})
	return size, err
}

func (f *Faulty) Put(ctx context.Context, key string, size int64, r io.Reader) error {
	return f.around(ctx, "put", key, func() error { return f.Backend.Put(ctx, key, size, r) })
}

func (f *Faulty) Delete(ctx context.Context, keys []string) error {
	return f.around(ctx, "delete", fmt.Sprint(len(keys)), func() error { return f.Backend.Delete(ctx, keys) })
}

func (f *Faulty) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	fault := f.fault("open", key)
	switch fault {
	case Before:
		return nil, 0, broken("open", key)
	case Refuse:
		return nil, 0, errs.New(errs.Denied, "open %s: injected refusal", key)
	}
	r, size, err := f.Backend.Open(ctx, key, off, n)
	if err != nil {
		return nil, 0, err
	}
	length := size - off
	if n >= 0 {
		length = min(length, n)
	}
	return &faultyBody{ReadCloser: r, ctx: ctx, fault: fault, key: key, good: max(0, length+1) / 2}, size, nil
}

// faultyBody goes wrong after its first half.
type faultyBody struct {
	io.ReadCloser
	ctx   context.Context
	fault Fault
	key   string
	good  int64
}

// Partial is what the backend says.
func (b *faultyBody) Partial() bool {
	p, ok := b.ReadCloser.(interface{ Partial() bool })
	return ok && p.Partial()
}

func (b *faultyBody) Read(p []byte) (int, error) {
	switch b.fault {
	case Short, Cut, Stall, Flip:
	default:
		return b.ReadCloser.Read(p)
	}
	if b.good == 0 {
		switch b.fault {
		case Short:
			return 0, broken("read", b.key)
		case Cut:
			return 0, io.EOF
		case Stall:
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		case Flip:
			n, err := b.ReadCloser.Read(p)
			if n > 0 {
				p[0] ^= 4
				b.fault = None
			}
			return n, err
		}
	}
	if int64(len(p)) > b.good {
		p = p[:b.good]
	}
	n, err := b.ReadCloser.Read(p)
	b.good -= int64(n)
	return n, err
}

func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[remote.Entry, error] {
	return func(yield func(remote.Entry, error) bool) {
		fault := f.fault("list", prefix)
		rounds := 1
		switch fault {
		case Before:
			yield(remote.Entry{}, broken("list", prefix))
			return
		case Refuse:
			yield(remote.Entry{}, errs.New(errs.Denied, "list %s: injected refusal", prefix))
			return
		case Stall:
			<-ctx.Done()
			yield(remote.Entry{}, ctx.Err())
			return
		case Repeat:
			rounds = 2
		}
		n := 0
		for range rounds {
			for e, err := range f.Backend.List(ctx, prefix) {
				if n++; n > 3 && fault == Short {
					yield(remote.Entry{}, broken("list", prefix))
					return
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// As gives the abilities of the backend below that can fail on demand.
func (f *Faulty) As(target any) bool {
	t, ok := target.(*remote.PartPutter)
	if !ok {
		return false
	}
	b, ok := remote.As[remote.PartPutter](f.Backend)
	*t = faultyPutter{f, b}
	return ok
}

type faultyPutter struct {
	*Faulty
	b remote.PartPutter
}

func (f faultyPutter) BeginParts(ctx context.Context, key string) (p remote.Parts, err error) {
	err = f.around(ctx, "begin", key, func() error {
		p, err = f.b.BeginParts(ctx, key)
		return err
	})
	return &faultyParts{f.Faulty, p, key}, err
}

type faultyParts struct {
	f   *Faulty
	p   remote.Parts
	key string
}

func (p *faultyParts) Put(ctx context.Context, i int, b []byte) error {
	return p.f.around(ctx, "part", p.key, func() error { return p.p.Put(ctx, i, b) })
}

func (p *faultyParts) Complete(ctx context.Context, n int, size int64) error {
	return p.f.around(ctx, "complete", p.key, func() error { return p.p.Complete(ctx, n, size) })
}

func (p *faultyParts) Abort(ctx context.Context) error {
	return p.f.around(ctx, "abort", p.key, func() error { return p.p.Abort(ctx) })
}
