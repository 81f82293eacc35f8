package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Link is one store of a [Chain].
type Link struct {
	object.Store
	Name string // as messages call it
}

// Chain reads each object from the first of several stores that has it whole.
// A store that cannot be reached, or refuses, is left out from then on, and
// the user is told once. It cannot be written to. It is safe for concurrent
// use.
type Chain struct {
	links []Link
	warn  func(format string, args ...any)

	mu   sync.Mutex
	down []error // why a store is left out
}

var _ object.Store = (*Chain)(nil)

// NewChain makes a chain of stores, the one to be asked first in front. warn
// hears of stores that are left out. The chain closes them with itself.
func NewChain(links []Link, warn func(format string, args ...any)) *Chain {
	return &Chain{links: links, warn: warn, down: make([]error, len(links))}
}

// Names are those of all stores.
func (c *Chain) Names() []string {
	names := make([]string, len(c.links))
	for i, l := range c.links {
		names[i] = l.Name
	}
	return names
}

// Close closes the stores.
func (c *Chain) Close() error {
	var all []error
	for _, l := range c.links {
		if s, ok := l.Store.(io.Closer); ok {
			all = append(all, s.Close())
		}
	}
	return errors.Join(all...)
}

// use returns the stores that are not left out, in order.
func (c *Chain) use() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []int
	for i := range c.links {
		if c.down[i] == nil {
			list = append(list, i)
		}
	}
	return list
}

// failed leaves a store out if its error is about the store, not an object.
func (c *Chain) failed(i int, err error) {
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Corrupt, errs.Invalid, errs.Cancelled:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down[i] != nil {
		return
	}
	c.down[i] = err
	if c.warn != nil && i < len(c.links)-1 {
		c.warn("%s cannot be used, going on with %s: %v", c.links[i].Name, c.links[i+1].Name, err)
	}
}

// nobody is the error when no store is left.
func (c *Chain) nobody() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var why []string
	kind := errs.Unavailable
	for i, err := range c.down {
		if err != nil {
			why = append(why, fmt.Sprintf("%s: %v", c.links[i].Name, err))
			kind = errs.KindOf(err)
		}
	}
	return errs.New(kind, "none of %s can be used: %s", strings.Join(c.Names(), ", "), strings.Join(why, "; "))
}

// Has returns what the stores hold together.
func (c *Chain) Has(ctx context.Context, ds []object.Digest) (map[object.Digest]object.Info, error) {
	found := make(map[object.Digest]object.Info, len(ds))
	answers := 0
	for _, i := range c.use() {
		has, err := c.links[i].Has(ctx, ds)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.failed(i, err)
			continue
		}
		answers++
		for d, info := range has {
			found[d] = info
		}
		if len(has) > 0 {
			ds = slices.DeleteFunc(slices.Clone(ds), func(d object.Digest) bool { _, ok := has[d]; return ok })
		}
		if len(ds) == 0 {
			return found, nil
		}
	}
	if answers == 0 {
		return nil, c.nobody()
	}
	return found, nil
}

// Open reads from the first store that has the object. If its bytes turn out
// to be wrong the reader says so: [Transfer] then takes them from the next.
func (c *Chain) Open(ctx context.Context, d object.Digest) (io.ReadCloser, int64, error) {
	var said []error
	for _, i := range c.use() {
		r, size, err := c.links[i].Open(ctx, d)
		if err == nil {
			return r, size, nil
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		c.failed(i, err)
		said = append(said, c.named(i, err))
	}
	return nil, 0, c.verdict(d, said)
}

// named says which store an error is of, if it does not say itself.
func (c *Chain) named(i int, err error) error {
	if name := c.links[i].Name; !strings.Contains(err.Error(), name) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// verdict joins what the stores said of an object that none of them gave.
func (c *Chain) verdict(d object.Digest, said []error) error {
	if len(said) == 0 {
		return c.nobody()
	}
	var worst error
	texts := make([]string, len(said))
	for i, err := range said {
		texts[i] = err.Error()
		if k := errs.KindOf(err); worst == nil || errs.Is(worst, errs.NotFound) || k == errs.Corrupt {
			worst = err
		}
	}
	if errs.Is(worst, errs.NotFound) {
		return errs.New(errs.NotFound, "object %s is in none of %s", d, strings.Join(c.Names(), ", "))
	}
	return &errs.Error{Kind: errs.KindOf(worst), Msg: strings.Join(texts, "; "), Hint: errs.HintOf(worst)}
}

// List is of no use on a chain.
func (c *Chain) List(context.Context, object.Algorithm) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) { yield(object.Info{}, c.readOnly("be listed")) }
}

// Begin refuses.
func (c *Chain) Begin(context.Context) (object.Writer, error) {
	return nil, c.readOnly("be written to")
}

// Delete refuses.
func (c *Chain) Delete(context.Context, []object.Digest) error { return c.readOnly("lose objects") }

func (c *Chain) readOnly(what string) error {
	return errs.New(errs.Unsupported, "several stores together (%s) cannot %s", strings.Join(c.Names(), ", "), what)
}

// Properties are those of the first store, where most is asked; local only if
// all are.
func (c *Chain) Properties() object.Properties {
	p := c.links[0].Properties()
	for _, l := range c.links[1:] {
		q := l.Properties()
		p.Local, p.CheapStat = p.Local && q.Local, p.CheapStat && q.CheapStat
		p.Concurrency = max(p.Concurrency, q.Concurrency)
	}
	return p
}
