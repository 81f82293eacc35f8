package remote

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// Backend keeps bytes by key. It is all that a driver implements, and knows
// nothing of digests. remotetest.Run checks what is said here.
//
// Keys are relative slash paths that [CheckKey] accepts. All methods are safe
// for concurrent use, return soon after their context ends, and classify
// their errors with pkg/errs at the door: NotFound only for a missing key,
// never for a missing bucket or host (Config); Denied for refused
// credentials; Unavailable for what may work when tried again, and for
// nothing else. A driver does not try again by itself; [WithRetry] does. An
// error that knows when to come back has a method RetryAfter() time.Duration.
type Backend interface {
	// Stat returns the length of what is stored under key, or NotFound.
	Stat(ctx context.Context, key string) (size int64, err error)

	// Open reads n bytes from offset off; n < 0 reads to the end. Reading
	// beyond the end yields what is there. size is the length of the whole, or
	// -1 if a web server tells it only by ending.
	// A body that ends before its announced length is an Unavailable error,
	// never a bare io.EOF. ctx bounds the reading too. The caller closes r.
	Open(ctx context.Context, key string, off, n int64) (r io.ReadCloser, size int64, err error)

	// Put stores size bytes from r under key, replacing what is there, all or
	// nothing: at every instant key holds what it held before or all of r, or
	// nothing where Properties has ReplaceGap.
	// If r fails or has another length than size, nothing is stored and the
	// error is r's, or Corrupt. It may read r twice if r is an io.Seeker.
	Put(ctx context.Context, key string, size int64, r io.Reader) error

	// List yields every key that begins with prefix, as it is now, in any
	// order; prefix is plain text and may end within a name. It must yield
	// all or end with an error.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]

	// Delete removes keys; those that are absent are no error. On an error
	// some may be gone.
	Delete(ctx context.Context, keys []string) error

	// Properties are constant.
	Properties() Properties

	// Close releases connections. Nothing is called after it.
	Close() error
}

// As finds an ability of b that not every backend has: [PartPutter],
// [Describer], [Versioned]. Ask for it here and not by a type assertion: what
// wraps a backend has no more abilities than what it wraps, and says so with a
// method As(target any) bool, which fills a pointer to an ability it passes on,
// with its own behaviour around it.
func As[T any](b Backend) (ability T, ok bool) {
	if ability, ok = b.(T); ok {
		return ability, true
	}
	if w, wraps := b.(interface{ As(target any) bool }); wraps {
		ok = w.As(&ability)
	}
	return ability, ok
}

// PartPutter is what a Backend has besides, if Properties.PartSize is not 0:
// large values in parts, each of which can be tried again by itself.
type PartPutter interface {
	// BeginParts starts a value under key. It becomes visible at Complete.
	BeginParts(ctx context.Context, key string) (Parts, error)
}

// Parts is one value being put together. Put may be called concurrently and
// twice with the same number, the later call counting.
type Parts interface {
	// Put stores part number i, counted from 0.
	Put(ctx context.Context, i int, b []byte) error
	// Complete joins n parts and gives the result its key.
	Complete(ctx context.Context, n int, size int64) error
	// Abort drops what was put. After Complete it must not be called.
	Abort(ctx context.Context) error
}

// Entry is a key and the length of its value.
type Entry struct {
	Key  string
	Size int64
	Meta Meta // as far as a listing tells; see [Describer]
}

// Meta is what a backend knows of a value besides its length. What it does not
// know is zero. DVC records some of it for data that stays where it is.
type Meta struct {
	ETag      string // as the server wrote it, without the quotes
	VersionID string // of the value, where the backend keeps versions
	Checksum  string // of HTTP: the ETag, or Content-MD5, as DVC records it
	ModTime   time.Time
}

// Describer is what a Backend has besides (see [As]) if it can tell more of a value than
// its length: drivers of everything but plain folders.
type Describer interface {
	// Describe is Stat with all that is known of the value. Size is -1 if a web
	// server tells it only by ending.
	Describe(ctx context.Context, key string) (Entry, error)
}

// Versioned is what a Backend has besides (see [As]) if the place it writes to can keep
// every version of a value: S3, GCS and Azure with versioning switched on.
type Versioned interface {
	// OpenVersion is Open of one version. One that is gone is NotFound.
	OpenVersion(ctx context.Context, key, version string, off, n int64) (r io.ReadCloser, size int64, err error)
	// PutVersion is Put, and tells the ETag and the version that came of it.
	PutVersion(ctx context.Context, key string, size int64, r io.Reader) (Entry, error)
	// DescribeVersion is Describe of one version.
	DescribeVersion(ctx context.Context, key, version string) (Entry, error)
	// ListVersions yields the latest versions of all keys that begin with
	// prefix, with their ids, without those whose latest is a deletion.
	ListVersions(ctx context.Context, prefix string) iter.Seq2[Entry, error]
}

// Step does f, which is one request and may be done again.
type Step func(ctx context.Context, f func(ctx context.Context) error) error

// StepLister is what a Backend has besides (see [As]) if its listings take many
// requests, each of which can be tried again by itself: what is listed again
// from its start does not come to an end on a bad line.
type StepLister interface {
	// ListBy is List, or ListVersions if versions is set, with each request
	// done by step.
	ListBy(ctx context.Context, prefix string, versions bool, step Step) iter.Seq2[Entry, error]
}

// onlyOnce is the Step of a List that nobody is patient with.
func onlyOnce(ctx context.Context, f func(ctx context.Context) error) error { return f(ctx) }

// listPages yields what comes in pages. get asks for the page that a token
// names, "" being the first, and returns the token of the next one, "" after
// the last.
func listPages(ctx context.Context, where string, step Step, get func(ctx context.Context, token string) ([]Entry, string, error)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		token := ""
		for {
			var page []Entry
			var next string
			err := step(ctx, func(ctx context.Context) (err error) {
				page, next, err = get(ctx, token)
				return err
			})
			if err == nil && next != "" && next == token {
				err = errs.New(errs.Config, "%s: the server's listing goes in a circle", where)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// Properties are a backend's costs and abilities.
type Properties struct {
	object.Properties
	PartSize int64 // least bytes of a part other than the last; 0: no parts
	MaxParts int   // most parts of one value

	// ReplaceGap is whether Put, where there is a value to be replaced, may
	// leave none for an instant before the new one is there.
	ReplaceGap bool
}

// CheckKey refuses a key that some backend could not hold or would take for
// another: empty, absolute, with an empty, "." or ".." component, control
// characters, backslashes or invalid UTF-8. The error is errs.Invalid.
func CheckKey(key string) error {
	if !utf8.ValidString(key) {
		return errs.New(errs.Invalid, "key %q is not valid UTF-8", key)
	}
	for _, r := range key {
		if r < 0x20 || r == 0x7f || r == '\\' {
			return errs.New(errs.Invalid, "key %q holds the character %q", key, r)
		}
	}
	for name := range strings.SplitSeq(key, "/") {
		switch name {
		case "", ".", "..":
			return errs.New(errs.Invalid, "key %q has the component %q", key, name)
		}
	}
	return nil
}
