//go:build unix

package executor

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func shellCommand(shell, command string) *exec.Cmd {
	args := shellArgs(shell, command)
	cmd := exec.Command(args[0])
	cmd.Args = args
	return cmd
}

// isolate puts the command into a process group of its own.
func isolate(cmd *exec.Cmd, foreground bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !foreground}
	dieWithParent(cmd.SysProcAttr)
}

// signalAll signals the command's group; in the foreground, where the group is
// ours too, the command alone.
func signalAll(cmd *exec.Cmd, foreground bool, s syscall.Signal) {
	if foreground {
		_ = cmd.Process.Signal(s)
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, s)
}

func interrupt(cmd *exec.Cmd) { signalAll(cmd, false, syscall.SIGINT) }

func terminate(cmd *exec.Cmd, foreground bool) { signalAll(cmd, foreground, syscall.SIGTERM) }

func kill(cmd *exec.Cmd, foreground bool) { signalAll(cmd, foreground, syscall.SIGKILL) }

// groupGone reports whether nobody is left in the command's group.
func groupGone(cmd *exec.Cmd, foreground bool) bool {
	return foreground || errors.Is(syscall.Kill(-cmd.Process.Pid, 0), syscall.ESRCH)
}

// exitCode is as Python has it: negative for a signal.
func exitCode(p *os.ProcessState) int {
	if p == nil {
		return -1
	}
	if ws, ok := p.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -int(ws.Signal())
	}
	return p.ExitCode()
}

func sameName(a, b string) bool { return a == b }
