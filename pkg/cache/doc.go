// Package cache is the local object store: a folder of objects by digest, on
// this machine or shared by a team, in DVC's layout.
//
// A [Cache] is an [object.Store]. Beyond that it takes files straight from
// the workspace ([Writer.AddFile]: one pass over the bytes, which are hashed
// as they are stored) and gives them back ([Cache.Checkout]: hashed as they
// are copied or linked).
//
// What is new is written to a staging folder, flushed with the rest of its
// batch, and only then renamed to its digest: a name in the cache always
// holds whole bytes, and those bytes had the digest when they were written.
// The cache is foreign all the same: others may share it, disks rot. So
// objects are opened without following links, only plain files count, and
// bytes are hashed whenever they leave.
package cache
