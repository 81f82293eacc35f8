package executor

import "syscall"

// dieWithParent ends the command if this process is killed: it would go on
// writing outs that a second run is about to make.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
