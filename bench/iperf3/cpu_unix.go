//go:build unix

package iperf3

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of the CPU until a point in time.
type cpuTime struct {
	at           time.Time
	user, system time.Duration
}

// cpuLoad is the use of the CPU over a while, in percent of one core.
type cpuLoad struct{ user, system float64 }

func cpuNow() cpuTime {
	t := cpuTime{at: time.Now()}
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		t.user = time.Duration(ru.Utime.Nano())
		t.system = time.Duration(ru.Stime.Nano())
	}
	return t
}

func cpuSince(from cpuTime) cpuLoad {
	now := cpuNow()
	wall := now.at.Sub(from.at)
	if wall <= 0 {
		return cpuLoad{}
	}
	return cpuLoad{
		user:   100 * float64(now.user-from.user) / float64(wall),
		system: 100 * float64(now.system-from.system) / float64(wall),
	}
}
