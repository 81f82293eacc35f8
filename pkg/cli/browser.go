package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// fileURI is an absolute path as a URL, with all escaped that Python's as_uri
// escapes.
func fileURI(file string) string {
	var b strings.Builder
	b.WriteString("file://")
	p := filepath.ToSlash(file)
	if !strings.HasPrefix(p, "/") {
		b.WriteByte('/') // file:///C:/...
	}
	for i := range len(p) {
		c := p[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/_.-~", c) >= 0, c == ':' && i == 1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// openBrowser shows a page: with the programs that BROWSER names, in turn, or
// with what the system has for it.
func (a *App) openBrowser(ctx context.Context, uri string) error {
	var last error = errors.New("no browser")
	for _, words := range a.browsers() {
		args := make([]string, 0, len(words)+1)
		placed := false
		for _, w := range words {
			if strings.Contains(w, "%s") {
				w, placed = strings.ReplaceAll(w, "%s", uri), true
			}
			args = append(args, w)
		}
		if !placed {
			args = append(args, uri)
		}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = a.Dir
		if a.Env.Environ != nil {
			cmd.Env = a.Env.Environ()
		}
		if last = cmd.Run(); last == nil {
			return nil
		}
	}
	return last
}

// browsers are the command lines to try.
func (a *App) browsers() [][]string {
	var list [][]string
	for _, b := range filepath.SplitList(a.Env.Getenv("BROWSER")) {
		if words := strings.Fields(b); len(words) > 0 {
			list = append(list, words)
		}
	}
	switch runtime.GOOS {
	case "darwin":
		return append(list, []string{"open"})
	case "windows":
		return append(list, []string{"rundll32", "url.dll,FileProtocolHandler"})
	}
	if a.Env.Getenv("DISPLAY") == "" && a.Env.Getenv("WAYLAND_DISPLAY") == "" {
		return list // nothing to show a window on
	}
	return append(list, []string{"xdg-open"})
}
