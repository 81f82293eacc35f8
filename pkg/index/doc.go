// Package index knows what lies in the workspace. It scans an out into a
// [Tree], remembers what it read so that the next scan need not read it again
// ([State]), compares trees, and makes the workspace be what is wanted
// ([Plan], [Apply]).
//
// Work is proportional to what changed: a scan costs one lstat a file, and
// only files that the state does not know are opened. The state is a file
// outside the object store. It is plain data, each folder's part with a
// checksum of its own; what is damaged in it is forgotten, never believed.
//
// A file that changed within the clock's grain of being read could look
// unchanged for ever. As in Git, such a file is "racy": it is remembered, but
// read again next time.
package index
