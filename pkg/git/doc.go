// Package git is the narrow seam to Git: what cairn must know of the
// repository it lives in, and the few files of it that cairn edits.
//
// [Open] finds the repository and reads next to nothing; every answer is
// worked out when it is first asked for. Objects are read by go-git's storage,
// from the folder that linked worktrees share. What go-git also offers but is
// read here instead, because it was measured or tried and found wanting
// (go-git 5.19.3, 2 cores):
//
//   - the index: 130 ms and 1.6 million allocations for 100,000 files against
//     4 to 7 ms, and its writer drops the assume-unchanged flag;
//   - refs: its list fails beside the empty lock file of a running git, a
//     damaged ref is the commit 000..., and refs/bisect/* of a linked worktree
//     are not found;
//   - revisions: they are part of its main package, which doubles what go-git
//     costs at start-up (0.45 ms to 1 ms) and adds 5 MB of transports, and know
//     neither @{u} nor DVC's short names of remote branches;
//   - the parsing of trees and commits, some 70 lines: its package brings
//     OpenPGP, 1.2 MB;
//   - alternates: it reads their pack indexes again for each object.
//
// Reading the trees of 1,000 commits takes as long as with the pack reader that
// was here before, 0.2 s. Before the first object go-git reads all pack indexes:
// 1 ms for some thousand objects, 30 ms for 260,000. Of large histories the git
// program is asked instead.
//
// The git program is asked for the rest: objects of SHA-256 repositories and
// those a partial clone has left out, pack indexes of version 1, reftables,
// split and sparse indexes, revisions in the rarer notations, the comparison
// of the working tree.
// It is looked up in the PATH handed to Open, in absolute folders outside
// the repository only, and may be absent; what then cannot be done is
// errs.Unsupported.
//
// Paths given to a [Repo] are relative to its root, with slashes. A commit's
// tree is an [io/fs.FS] that shows links as links and never follows them.
package git
