// Package bench measures cairn and its peers side by side: what `cairn bench`
// does.
//
// A [family] of scenarios is a repository that is set up with generated data
// and then lived through: add, status, a change, push, pull, checkout. Each
// round sets up a fresh repository for every tool and for the floor, and takes
// the steps one by one, each with all tools in turn (A B C, A B C, ...), so that
// ratios hold while the machine's speed drifts. What is not asked for is done
// too where a later step needs it, untimed.
//
// A command is started by a small process of its own (see [Measure]), since the
// kernel counts the memory of the process that starts a program to the
// program's peak.
//
// Everything lies in one scratch folder, which is removed in the end whatever
// happens. The data are the same bytes on every machine.
package bench
