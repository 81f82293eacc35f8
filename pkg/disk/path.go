package disk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndata/cairn/pkg/errs"
)

// CheckRel refuses a relative slash path that may not be tracked: empty, with
// an empty, "." or ".." component, absolute, with a drive or stream (":" in a
// component as Windows reads it), NUL, or with ".git" or ".dvc" or a disguise
// of them as a component. The error is errs.Invalid and says which rule.
//
// A path that passes stays below the folder it is applied to on every system
// that cairn runs on, as long as each component is opened without following
// links.
func CheckRel(rel string) error {
	if rel == "" {
		return errs.New(errs.Invalid, "empty path")
	}
	if rel[0] == '/' || rel[0] == '\\' {
		return errs.New(errs.Invalid, "path %q is absolute", rel)
	}
	// The replacement rune is what reading such a name from JSON leaves.
	if !utf8.ValidString(rel) || strings.ContainsRune(rel, utf8.RuneError) {
		return errs.New(errs.Invalid, "path %q is not valid UTF-8", rel)
	}
	rest := rel
	for {
		name, more, found := strings.Cut(rest, "/")
		if err := checkName(rel, name); err != nil {
			return err
		}
		if !found {
			return nil
		}
		rest = more
	}
}

func checkName(rel, name string) error {
	switch name {
	case "":
		return errs.New(errs.Invalid, "path %q has an empty component", rel)
	case ".", "..":
		return errs.New(errs.Invalid, "path %q has the component %q", rel, name)
	}
	plain := true
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == 0 {
			return errs.New(errs.Invalid, "path %q holds a NUL byte", rel)
		}
		// What hides a reserved name begins with a dot, git~1 or dvc~1, or
		// holds an ignorable rune.
		if c == '.' && i == 0 || c == '~' || c == ':' || c == '\\' || c >= 0x80 {
			plain = false
		}
	}
	if plain {
		return checkNameForOS(rel, name)
	}
	if isReserved(name) {
		return errs.New(errs.Invalid, "path %q has the reserved component %q", rel, name)
	}
	return checkNameForOS(rel, name)
}

// isReserved reports whether some supported file system takes name for .git
// or .dvc: other case, trailing dots and blanks, NTFS streams and short names,
// runes that HFS+ ignores.
func isReserved(name string) bool {
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	var b strings.Builder
	for _, r := range name {
		if !ignorable(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	folded := strings.TrimRight(b.String(), ". ")
	switch folded {
	case ".git", ".dvc", "git~1", "dvc~1":
		return true
	}
	// A backslash is a separator on Windows.
	for _, part := range strings.Split(folded, "\\") {
		switch strings.TrimRight(part, ". ") {
		case ".git", ".dvc", "git~1", "dvc~1":
			return true
		case "":
			if strings.Contains(part, "..") {
				return true
			}
		}
	}
	return false
}

// ignorable reports whether HFS+ leaves the rune out when it compares names.
func ignorable(r rune) bool {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e,
		r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return true
	}
	return false
}

// Quote returns name as it may be printed: unchanged, or in Go's quotes if it
// holds control, bidirectional or invalid characters.
func Quote(name string) string {
	for _, r := range name {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 {
			return quoteASCII(name)
		}
	}
	return name
}
