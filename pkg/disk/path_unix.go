//go:build unix

package disk

import (
	"runtime"
	"strconv"
)

// checkNameForOS has nothing to add where only "/" and NUL are special.
func checkNameForOS(rel, name string) error { return nil }

func quoteASCII(s string) string { return strconv.Quote(s) }

// foldsCaseHere is what to assume of a file system that cannot be asked.
const foldsCaseHere = runtime.GOOS == "darwin"
