package executor

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// shellCommand hands the command to cmd.exe as it is: its quoting is not that
// of argument lists.
func shellCommand(_, command string) *exec.Cmd {
	cmd := exec.Command("cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /c "` + command + `"`}
	return cmd
}

func isolate(cmd *exec.Cmd, foreground bool) {
	if !foreground {
		cmd.SysProcAttr.CreationFlags |= syscall.CREATE_NEW_PROCESS_GROUP
	}
}

// interrupt does nothing: cmd.exe has no way to be asked.
func interrupt(*exec.Cmd) {}

func terminate(cmd *exec.Cmd, foreground bool) { kill(cmd, foreground) }

func kill(cmd *exec.Cmd, _ bool) {
	_ = exec.Command("taskkill.exe", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run()
	_ = cmd.Process.Kill()
}

func groupGone(*exec.Cmd, bool) bool { return true }

func exitCode(p *os.ProcessState) int {
	if p == nil {
		return -1
	}
	return p.ExitCode()
}

func sameName(a, b string) bool { return strings.EqualFold(a, b) }
