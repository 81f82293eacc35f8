// Package executor runs the commands of a stage on this machine: in the user's
// shell as DVC runs them, in a process group of their own, so that an
// interruption ends all of them and not only the first, with their output
// handed on as it comes.
//
// It knows nothing of repositories. What a stage may read and write, and what
// becomes of its outs, is pkg/repo's.
package executor
