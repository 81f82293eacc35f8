//go:build unix

package bench

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// isolate puts a command into a process group of its own: Ctrl-C is ours to
// hand on.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func interrupt(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// peak is the largest memory of a process that has ended.
func peak(usage any) int64 {
	if u, ok := usage.(*syscall.Rusage); ok {
		return maxRSS(u)
	}
	return 0
}

// maxRSS is in bytes; the systems count it differently.
func maxRSS(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

func self() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u
}

func selfCPU() time.Duration {
	u := self()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func selfPeak() int64 {
	u := self()
	return maxRSS(&u)
}
