package disk

// canSyncFS is whether SyncFS works here.
const canSyncFS = true
