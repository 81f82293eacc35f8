package object

import (
	"context"
	"io"
	"iter"
)

// Info is what a store says of an object it holds.
type Info struct {
	Digest Digest
	Size   int64 // bytes
	// ModTime is when the object was stored, in nanoseconds since 1970, as far
	// as a listing tells; 0 is unknown.
	ModTime int64
}

// Properties are a store's costs and abilities, asked instead of its type.
type Properties struct {
	Concurrency int  // requests that pay at the same time; at least 1
	CheapStat   bool // a Has of one object costs microseconds, not a round trip
	ListPrice   int  // objects that one listing request returns; 0 if it cannot list
	Local       bool // a folder on this machine
}

// Store holds objects by digest. All methods are safe for concurrent use.
// Failures are classified by pkg/errs: NotFound, Denied, Unavailable, Corrupt.
type Store interface {
	// Has returns what the store holds of ds, with sizes, as it is now.
	// Absence is no error. It does not read content.
	Has(ctx context.Context, ds []Digest) (map[Digest]Info, error)

	// Open reads an object. Its reader returns an errs.Corrupt error in place
	// of io.EOF if the bytes do not have the digest. The size is the stored
	// one. A missing object is errs.NotFound.
	Open(ctx context.Context, d Digest) (r io.ReadCloser, size int64, err error)

	// Begin starts a batch of writes. The caller ends it with Commit or Abort.
	Begin(ctx context.Context) (Writer, error)

	// List yields all objects of an algorithm, in no order. Names that are
	// no objects are skipped. The sequence ends after the first error.
	List(ctx context.Context, a Algorithm) iter.Seq2[Info, error]

	// Delete removes objects; absent ones are no error.
	Delete(ctx context.Context, ds []Digest) error

	Properties() Properties
}

// Writer is one batch of writes to a store, safe for concurrent use.
type Writer interface {
	// Put stores what r yields if its bytes have the digest d; otherwise the
	// error is errs.Corrupt and nothing gets d's name. A size of -1 is
	// unknown; any other is checked. The object may become visible as late
	// as Commit, never half. An object already held whole (same size) is kept.
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error

	// Commit makes everything put durable, then visible. The batch is over
	// after it, also on error.
	Commit(ctx context.Context) error

	// Abort drops what is not visible yet. After Commit it does nothing.
	Abort()
}
