// Package repo is the workspace and its verbs. Each verb is a method of
// [Repo] in a file of its name; it takes an options struct and returns a
// result that marshals to JSON. The package arranges the work of the packages
// below it and holds no algorithm of its own.
//
// Paths inside a Repo are relative to its root, with slashes. What a user
// typed is turned into one by [Repo.Rel], and back by [Repo.Show].
//
// Order of a change, always: objects are stored and flushed, then manifests,
// then pointer files, then .gitignore; the index is saved last and may be
// lost. A process killed between any two of these leaves a repository that
// the same command completes.
package repo
