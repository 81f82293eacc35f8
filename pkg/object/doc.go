// Package object knows what is stored: digests and their algorithms, the
// manifests of folders, and the [Store] interface that caches and remotes
// implement.
//
// An object is the content of one file, named by its digest. A folder is an
// object too: a manifest, the sorted list of its files' relative paths and
// digests, named by the manifest's own digest plus ".dir". Whoever holds a
// pointer file's one digest can thus find and prove every byte below it.
//
// Invariants: a digest that parses is exactly the digits of its algorithm; a
// manifest that parses names only clean relative paths, none twice, none the
// parent of another; bytes that leave a Store's reader without error have the
// digest asked for.
package object
