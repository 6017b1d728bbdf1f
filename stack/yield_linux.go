package stack

import "syscall"

// yieldThread lets another thread run that waits for this CPU. A packet that the worker has
// sent may have woken one here: the scheduler likes to wake where the waker is, and would
// leave it waiting until the worker has spun to the end.
func yieldThread() { syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
