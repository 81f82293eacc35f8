package object

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"

	"github.com/cairndata/cairn/pkg/errs"
)

// NewVerifier returns a reader of r that gives an errs.Corrupt error in place
// of io.EOF if the bytes do not have the digest d. Closing it closes r.
func NewVerifier(d Digest, r io.ReadCloser) io.ReadCloser {
	return &verifier{d: d, r: r, h: d.Algorithm().New()}
}

type verifier struct {
	d Digest
	r io.ReadCloser
	h hash.Hash
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	if n > 0 {
		v.h.Write(p[:n])
	}
	if err == io.EOF {
		if got := NewDigest(v.d.alg, v.h.Sum(nil), v.d.dir); got != v.d {
			return n, Mismatch(v.d, got)
		}
	}
	return n, err
}

func (v *verifier) Close() error { return v.r.Close() }

// Mismatch is the errs.Corrupt error for bytes that should have the digest
// want and have got.
func Mismatch(want, got Digest) error {
	return errs.New(errs.Corrupt, "object %s is damaged: its bytes have the digest %s", want, got.AsFile())
}

// ReadManifest reads a folder's manifest from s, proves and parses it. A store
// that lacks it may know it otherwise: by a method Lent(Digest) (Manifest, bool).
func ReadManifest(ctx context.Context, s Store, d Digest) (Manifest, error) {
	r, size, err := s.Open(ctx, d)
	if err != nil {
		if l, ok := s.(interface{ Lent(Digest) (Manifest, bool) }); ok && errs.Is(err, errs.NotFound) {
			if m, ok := l.Lent(d); ok {
				return m, nil
			}
		}
		return nil, err
	}
	defer r.Close()
	const most = 8 << 30
	if size > most {
		return nil, errs.New(errs.Invalid, "folder manifest %s has %d bytes", d, size)
	}
	// As it is parsed while it comes, its bytes are proven last. Nothing of it is
	// given away before.
	m, ok, err := parseCanonical(d.Algorithm(), r, size)
	if !ok && err == nil {
		m, err = readLoose(ctx, s, d)
	}
	if errs.KindOf(err) == errs.Invalid {
		return nil, &errs.Error{Kind: errs.Invalid, Msg: "object " + d.String(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// readLoose reads a manifest of another form than the canonical one.
func readLoose(ctx context.Context, s Store, d Digest) (Manifest, error) {
	r, size, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// A store may lie about the size; what it has not sent takes no memory.
	const trust = 64 << 20
	buf := bytes.NewBuffer(make([]byte, 0, min(max(size, 0), trust)+bytes.MinRead))
	if _, err := buf.ReadFrom(r); err != nil {
		return nil, err
	}
	return parseLoose(d.Algorithm(), buf.Bytes())
}

// Check reads an object of a store to its end and reports what is wrong with
// it: errs.Corrupt if its bytes have another digest, NotFound if there is none.
func Check(ctx context.Context, s Store, d Digest) error {
	r, _, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}
