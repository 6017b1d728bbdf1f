// Package usage says what the machine has used of its processors, and a process of them and
// of memory. What a measurement used is the difference of two readings.
package usage

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// Machine is how long the processors of the machine have been at what, all of them together
// and all processes, since it started. The kernel counts in ticks of ten milliseconds, and
// in a virtual machine Steal is what the host took away.
type Machine struct {
	User    time.Duration `json:"user"` // nice included
	System  time.Duration `json:"system"`
	IRQ     time.Duration `json:"irq"`
	SoftIRQ time.Duration `json:"softirq"` // the network's receive processing, whoever it interrupts
	Steal   time.Duration `json:"steal"`
	Idle    time.Duration `json:"idle"` // waiting for disks included
}

// Busy is the time spent on work.
func (m Machine) Busy() time.Duration { return m.User + m.System + m.IRQ + m.SoftIRQ }

// Sub returns what was added since an earlier reading.
func (m Machine) Sub(from Machine) Machine {
	return Machine{
		User: m.User - from.User, System: m.System - from.System, IRQ: m.IRQ - from.IRQ,
		SoftIRQ: m.SoftIRQ - from.SoftIRQ, Steal: m.Steal - from.Steal, Idle: m.Idle - from.Idle,
	}
}

// tick is the unit of /proc/stat: USER_HZ is 100 on all systems that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads the first line of /proc/stat, see proc_stat(5):
// "cpu user nice system idle iowait irq softirq steal guest guest_nice".
func parseStat(b []byte) (m Machine, err error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	const least = 9
	if len(fields) < least || string(fields[0]) != "cpu" {
		return m, fmt.Errorf("usage: read /proc/stat: %q is not the line of all processors", line)
	}
	var v [least - 1]time.Duration
	for i := range v {
		n, err := strconv.ParseInt(string(fields[i+1]), 10, 64)
		if err != nil {
			return m, fmt.Errorf("usage: read /proc/stat: %w", err)
		}
		v[i] = time.Duration(n) * tick
	}
	// Guests' time is part of user's and nice's.
	return Machine{
		User: v[0] + v[1], System: v[2], Idle: v[3] + v[4], IRQ: v[5], SoftIRQ: v[6], Steal: v[7],
	}, nil
}

// Process is what one process has used.
type Process struct {
	User   time.Duration `json:"user"`
	System time.Duration `json:"system"` // soft interrupts that came meanwhile are not in it
	// Resident is the octets of memory that it has besides files that are mapped, as its program
	// is, Live those in reachable objects and in
	// stacks of goroutines. They are read when they are asked for, else 0.
	Resident int64 `json:"resident,omitempty"`
	Live     int64 `json:"live,omitempty"`
}

// Busy is the time spent in the process and by the kernel for it.
func (p Process) Busy() time.Duration { return p.User + p.System }

// Sub returns the time that was added since an earlier reading, and the memory.
func (p Process) Sub(from Process) Process {
	return Process{
		User: p.User - from.User, System: p.System - from.System,
		Resident: p.Resident - from.Resident, Live: p.Live - from.Live,
	}
}

// Self reads what this process has used. With memory, it collects garbage first and gives
// back what is free, which takes milliseconds.
func Self(memory bool) (Process, error) {
	p, err := times()
	if err != nil || !memory {
		return p, err
	}
	debug.FreeOSMemory()
	if p.Resident, err = resident(); err != nil {
		return p, err
	}
	live := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(live)
	for _, s := range live {
		p.Live += int64(s.Value.Uint64())
	}
	return p, nil
}
