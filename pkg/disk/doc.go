// Package disk is the seam to the file system: folders held open by handle,
// files written so that a name never holds half of them, links of every kind,
// and the locks of a repository.
//
// A [Dir] is an open folder. Its methods take single names, never paths, and
// follow no symbolic link, so that whoever walks from a repository's root
// through Dirs cannot be led out of it, not even by a link that appears while
// the program runs. Paths that come from files somebody else may have written
// go through [CheckRel] first.
//
// New bytes go to a [Staging] folder on the same file system, are flushed in
// one batch, and are renamed to their names. A process that is killed leaves
// a staging folder whose name carries its host and process number, which
// [CleanStaging] recognises.
//
// Tests inject failures and count operations through [Hook]: every operation
// on the disk asks it first.
package disk
