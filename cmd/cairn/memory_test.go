package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The collector works harder once much is alive, and eases again after.
func TestGovernMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	governMemory()
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	reach := func(want int) {
		t.Helper()
		for range 1000 {
			runtime.GC()
			if percent() == want {
				return
			}
			time.Sleep(time.Millisecond) // finalizers run in a goroutine of their own
		}
		t.Fatalf("percent is %d, want %d", percent(), want)
	}
	reach(200)
	big := make([]byte, 150<<20)
	reach(30)
	runtime.KeepAlive(big)
	big = nil
	reach(200)
}
