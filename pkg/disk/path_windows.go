package disk

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// checkNameForOS refuses what Windows reads as something else than a name:
// separators, streams, devices, trailing dots and blanks.
func checkNameForOS(rel, name string) error {
	if strings.ContainsAny(name, `\:`) || !filepath.IsLocal(name) || strings.TrimRight(name, ". ") != name {
		return errs.New(errs.Invalid, "path %q has the component %q, which this system cannot store", rel, name)
	}
	return nil
}

func quoteASCII(s string) string { return strconv.Quote(s) }

// foldsCaseHere is what to assume of a file system that cannot be asked.
const foldsCaseHere = true
