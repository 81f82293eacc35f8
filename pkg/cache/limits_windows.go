package cache

// openShards is how many folders of objects may stay open.
func openShards() int { return 768 }

// placesFolders is whether a folder can be renamed while it is held open.
const placesFolders = false
