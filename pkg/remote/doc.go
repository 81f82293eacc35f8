// Package remote stores objects elsewhere, and moves them between stores.
//
// A [Backend] is all that a driver's author writes: bytes by key. [NewStore]
// makes an object.Store of one, in DVC's layout, and hashes every byte that
// goes in or comes out. [WithRetry] is the only place that tries again: by
// error class, with growing waits, and it ends what stands still. [Transfer]
// is the one engine behind push, fetch and whatever else copies objects from
// a store to a store.
//
//	Transfer → object.Store (NewStore) → WithRetry → driver
//
// Invariants: bytes with another digest than their name's are never given
// that name; a folder's manifest reaches a store after all its files; what
// was not done is in the result and makes an error.
//
// Drivers are listed in one table in open.go; nothing registers itself, and
// no driver does work before a remote of its kind is opened.
package remote
