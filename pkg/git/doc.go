// Package git is the narrow seam to Git: what cairn must know of the
// repository it lives in, and the few files of it that cairn edits.
//
// [Open] finds the repository and reads next to nothing; every answer is
// worked out when it is first asked for. Refs, objects, the index and the
// configuration are read from their files directly, because a command must
// answer in milliseconds next to a history of any size: a pack's index is
// searched in place until it has been asked so often that reading its names
// is cheaper. SHA-1 and SHA-256 repositories, linked worktrees, submodules,
// alternates and shallow clones are read this way.
//
// The git program is asked for the rest: reftables, objects a partial clone
// has left out, split and sparse indexes, revisions in the rarer notations,
// the comparison of the working tree.
// It is looked up in the PATH handed to Open, in absolute folders outside
// the repository only, and may be absent; what then cannot be done is
// errs.Unsupported.
//
// Paths given to a [Repo] are relative to its root, with slashes. A commit's
// tree is an [io/fs.FS] that shows links as links and never follows them.
package git
