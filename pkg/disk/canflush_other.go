//go:build !linux

package disk

// canSyncFS is whether SyncFS works here.
const canSyncFS = false
