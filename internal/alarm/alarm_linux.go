// Package alarm wakes a sleeper to the tenth of a millisecond. Go's own timers are late by up
// to a millisecond when nothing else runs, for the runtime then waits in whole milliseconds;
// the kernel's timer, as a file in the same poller, is not.
package alarm

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Alarm calls a function at a time. Set and Close are for one goroutine.
type Alarm struct {
	fd   int // file's; asking the file for it would make it block
	file *os.File
	done chan struct{}
}

// New returns an alarm that calls ring, on a goroutine of its own.
func New(ring func()) (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("alarm: make timer: %w", err)
	}
	a := &Alarm{fd: fd, file: os.NewFile(uintptr(fd), "timer"), done: make(chan struct{})}
	go a.listen(ring)
	return a, nil
}

func (a *Alarm) listen(ring func()) {
	defer close(a.done)
	var count [8]byte
	for {
		if _, err := a.file.Read(count[:]); err != nil {
			return
		}
		ring()
	}
}

// Set has it ring when d has passed, and not at the time before. What is set is one time.
func (a *Alarm) Set(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("alarm: set timer: %w", err)
	}
	return nil
}

// Close ends the alarm. When it returns, ring is not called any more.
func (a *Alarm) Close() error {
	err := a.file.Close()
	<-a.done
	return err
}
