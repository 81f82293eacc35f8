package git

import (
	"context"
	"strings"
)

// Status is what Git sees beyond the last commit.
type Status struct {
	Untracked []string // files, relative to the root; only if asked for
	Dirty     bool     // something is staged, changed or untracked
}

// Status asks Git for changes and, with untracked set, for the files that it
// neither tracks nor ignores. It needs the git program; its own index of
// times makes the answer quick.
func (r *Repo) Status(ctx context.Context, untracked bool) (Status, error) {
	mode := "--untracked-files=no"
	if untracked {
		mode = "--untracked-files=all"
	}
	out, err := r.run(ctx, "find changes", nil, "status", "--porcelain=v1", "-z", "--ignore-submodules=dirty", "--no-renames", mode)
	if err != nil {
		return Status{}, err
	}
	var s Status
	for line := range strings.SplitSeq(string(out), "\x00") {
		if len(line) < 4 {
			continue
		}
		s.Dirty = true
		if strings.HasPrefix(line, "?? ") {
			s.Untracked = append(s.Untracked, line[3:])
		}
	}
	return s, nil
}
