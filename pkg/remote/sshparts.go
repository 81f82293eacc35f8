package remote

import (
	"bytes"
	"context"
	"io"
	"path"
	"sync"

	"github.com/cairndata/cairn/pkg/errs"
)

// sshParts is a large value being written to one temporary file, by several
// sessions, each part to its place. So a connection that breaks costs a part.
type sshParts struct {
	b    *sshBackend
	path string
	tmp  string

	mu       sync.Mutex
	size     int64 // of every part but the last; 0 until the first is there
	parts    map[int]sshPart
	renaming bool
}

// sshPart is a part that is there: in its place, or in a file of its own if it
// came before anybody knew where its place is.
type sshPart struct {
	len  int64
	file string
}

// BeginParts makes the temporary file.
func (b *sshBackend) BeginParts(ctx context.Context, key string) (Parts, error) {
	p, err := b.key(ctx, key)
	if err != nil {
		return nil, err
	}
	parts := &sshParts{b: b, path: p, tmp: path.Join(path.Dir(p), b.tempName()), parts: map[int]sshPart{}}
	err = b.with(ctx, func(s *sftpSession) error {
		handle, err := b.create(ctx, s, parts.tmp)
		if err == nil {
			err = s.handleCall(fxpClose, handle).ok(ctx)
		}
		return err
	})
	if err != nil {
		return nil, b.translate(err, "write "+p)
	}
	return parts, nil
}

func (p *sshParts) Put(ctx context.Context, i int, body []byte) error {
	n := int64(len(body))
	p.mu.Lock()
	if i == 0 {
		p.size = n
	}
	part := sshPart{len: n}
	if p.size == 0 && i > 0 {
		part.file = path.Join(path.Dir(p.path), p.b.tempName())
	}
	off := int64(i) * p.size
	p.mu.Unlock()
	err := p.b.with(ctx, func(s *sftpSession) error {
		if part.file != "" {
			handle, err := p.b.create(ctx, s, part.file)
			if err == nil {
				if _, err = p.b.fill(ctx, s, handle, 0, n, bytes.NewReader(body)); err != nil {
					p.b.discard(s, part.file)
				}
			}
			return p.b.orFull(ctx, s, path.Dir(p.path), n, err)
		}
		return p.b.orFull(ctx, s, path.Dir(p.path), n, p.place(ctx, s, off, n, bytes.NewReader(body)))
	})
	if err != nil {
		return p.b.translate(err, "write "+p.path)
	}
	p.mu.Lock()
	old := p.parts[i]
	p.parts[i] = part
	p.mu.Unlock()
	if old.file != "" {
		p.drop(ctx, old.file)
	}
	return nil
}

// place writes a part where it belongs.
func (p *sshParts) place(ctx context.Context, s *sftpSession, off, n int64, r io.Reader) error {
	handle, err := s.openCall(p.tmp, fxfWrite).handle(ctx)
	if err != nil {
		return err
	}
	_, err = p.b.fill(ctx, s, handle, off, n, r)
	return err
}

func (p *sshParts) drop(ctx context.Context, file string) {
	if err := p.b.with(ctx, func(s *sftpSession) error { p.b.discard(s, file); return nil }); err != nil {
		p.b.orphan(file)
	}
}

// Complete renames the file once it is whole.
func (p *sshParts) Complete(ctx context.Context, n int, size int64) error {
	var total int64
	p.mu.Lock()
	late := map[int]sshPart{}
	for i := range n {
		part, ok := p.parts[i]
		if !ok || i < n-1 && part.len != p.size || part.len > p.size {
			p.mu.Unlock()
			return errs.New(errs.Invalid, "part %d of %d is missing, or of another length than the first", i, n)
		}
		if part.file != "" {
			late[i] = part
		}
		total += part.len
	}
	again := p.renaming
	p.mu.Unlock()
	if total != size {
		return errs.New(errs.Corrupt, "%d bytes came instead of %d", total, size)
	}
	err := p.b.with(ctx, func(s *sftpSession) error {
		for i, part := range late {
			if err := p.move(ctx, s, i, part); err != nil {
				return err
			}
		}
		err := p.b.checkLength(ctx, s, p.tmp, size)
		if again && isStatus(err, fxNoSuchFile) {
			// The first try may have done it, and its answer was lost.
			return p.b.checkLength(ctx, s, p.path, size)
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.renaming = true
		p.mu.Unlock()
		return p.b.rename(ctx, s, p.tmp, p.path)
	})
	return p.b.translate(err, "write "+p.path)
}

// move copies a part from its own file to its place.
func (p *sshParts) move(ctx context.Context, s *sftpSession, i int, part sshPart) error {
	r, size, err := p.b.open(ctx, s, part.file, 0, -1)
	if err != nil {
		return err
	}
	defer r.(*sshBody).drop()
	if size != part.len {
		return errs.New(errs.Unavailable, "the server has %d bytes of %d", size, part.len)
	}
	if err := p.place(ctx, s, int64(i)*p.size, part.len, r); err != nil {
		return err
	}
	p.mu.Lock()
	p.parts[i] = sshPart{len: part.len}
	p.mu.Unlock()
	p.b.discard(s, part.file)
	return nil
}

// Abort removes what was written.
func (p *sshParts) Abort(ctx context.Context) error {
	p.mu.Lock()
	files := []string{p.tmp}
	for _, part := range p.parts {
		if part.file != "" {
			files = append(files, part.file)
		}
	}
	p.parts = map[int]sshPart{}
	p.mu.Unlock()
	err := p.b.with(ctx, func(s *sftpSession) error { return p.b.remove(ctx, s, files) })
	if err != nil {
		for _, f := range files {
			p.b.orphan(f)
		}
	}
	return p.b.translate(err, "write "+p.path)
}
