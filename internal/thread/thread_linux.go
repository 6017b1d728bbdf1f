package thread

import "syscall"

// Yield lets another thread run that waits for this processor. A packet that who spins has
// sent may have woken one here: the scheduler likes to wake where the waker is, and would
// leave it waiting until the spinning is over.
func Yield() { syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
