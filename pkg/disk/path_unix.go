//go:build unix

package disk

import "strconv"

// checkNameForOS has nothing to add where only "/" and NUL are special.
func checkNameForOS(rel, name string) error { return nil }

func quoteASCII(s string) string { return strconv.Quote(s) }
