package cache

// openShards is how many folders of objects may stay open.
func openShards() int { return 768 }
