package remote

import (
	"context"
	"net/http"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// FolderKeeper is what a Backend has besides (see [As]) if its keys lie in
// real folders, which stay when their last value is deleted.
type FolderKeeper interface {
	// RemoveFolder removes the folder at key and the folders in it, if they
	// hold no value: else it is a Conflict. One that is not there is no error.
	RemoveFolder(ctx context.Context, key string) error
}

var (
	_ FolderKeeper = (*sshBackend)(nil)
	_ FolderKeeper = (*davBackend)(nil)
)

func folderHolds(where, key, name string) error {
	return errs.New(errs.Conflict, "%s: the folder %s holds %s", where, key, name)
}

// RemoveFolder removes folders from the inside out.
func (b *sshBackend) RemoveFolder(ctx context.Context, key string) error {
	p, err := b.key(ctx, key)
	if err != nil {
		return err
	}
	err = b.with(ctx, func(s *sftpSession) error { return b.removeFolder(ctx, s, p) })
	return b.translate(err, "remove "+p)
}

func (b *sshBackend) removeFolder(ctx context.Context, s *sftpSession, p string) error {
	var below []string
	err := b.readFolder(ctx, s, p, func(names []sftpName) error {
		for _, n := range names {
			switch {
			case n.name == "." || n.name == "..":
			case n.name == "" || strings.Contains(n.name, "/") || !n.attrs.isFolder():
				return folderHolds(b.where, p, n.name)
			default:
				below = append(below, p+"/"+n.name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sub := range below {
		if err := b.removeFolder(ctx, s, sub); err != nil {
			return err
		}
	}
	if err := s.pathCall(fxpRmdir, p).ok(ctx); err != nil && !isStatus(err, fxNoSuchFile) {
		return err
	}
	return nil
}

// RemoveFolder looks first whether there is a value left: DELETE takes all.
func (b *davBackend) RemoveFolder(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	for e, err := range b.List(ctx, key+"/") {
		if err != nil {
			return err
		}
		return folderHolds(b.w.where, key, e.Key)
	}
	resp, err := b.w.do(b.w.requestTo(ctx, http.MethodDelete, b.w.target(key, true), nil))
	if err != nil {
		return err
	}
	if s := resp.StatusCode; webAccepted(s) || s == http.StatusNotFound || s == http.StatusGone {
		webDiscard(resp)
		return nil
	}
	return b.w.fail(resp)
}

type folderRetrier struct {
	*retrier
	b FolderKeeper
}

func (r folderRetrier) RemoveFolder(ctx context.Context, key string) error {
	return r.do(ctx, func(ctx context.Context, _ *watch) error { return r.b.RemoveFolder(ctx, key) })
}
