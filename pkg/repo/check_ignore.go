package repo

import (
	"os"
	"strings"
)

// IgnoreCheck says what .dvcignore makes of a path.
type IgnoreCheck struct {
	Ignored bool
	// Rule is what decided, as "file:line:pattern"; "" if nothing matched.
	// A rule that takes back is one too: Ignored is false then.
	Rule string
}

// CheckIgnore tells whether a path, which need not exist, is left out. Nothing
// is said of what lies outside of the repository.
func (r *Repo) CheckIgnore(target string) (IgnoreCheck, error) {
	if target == "" {
		target = "."
	}
	if strings.IndexByte(target, 0) >= 0 {
		return IgnoreCheck{}, nil // no path at all
	}
	rel, err := r.Rel(target)
	if err != nil {
		return IgnoreCheck{}, nil
	}
	// A link to a folder counts as a folder here, as for DVC.
	st, err := os.Stat(r.abs(rel))
	x, err := r.Ignore.Explain(rel, err == nil && st.IsDir())
	if err != nil || x.Rule == nil {
		return IgnoreCheck{Ignored: x.Ignored}, err
	}
	return IgnoreCheck{Ignored: x.Ignored, Rule: x.Rule.String()}, nil
}
