// Package doctor says what a machine and one of its interfaces can do for millrace, what
// stands in the way, and the command that mends it. It looks, and changes nothing: no
// program is attached.
package doctor

import (
	"fmt"
	"runtime"

	"github.com/millrace-tcp/millrace/loader"
)

// Status is how bad it is.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Note Status = "note" // works, and could be better
	Warn Status = "warn" // works, with a trap
	Fail Status = "fail" // millrace will not open the interface
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	// Remedy is what to do, if anything, a command where one does it.
	Remedy string `json:"remedy,omitempty"`
}

// Report is what was found.
type Report struct {
	NIC    string  `json:"nic"`
	Usable bool    `json:"usable"` // no check failed
	Checks []Check `json:"checks"`
}

// Examine looks at the machine and at the interface of this name.
func Examine(name string) Report {
	r := Report{NIC: name}
	r.add(machine()...)
	info, err := loader.Probe(name)
	if err != nil {
		r.add(Check{"interface", Fail, err.Error(), "ip link shows what there is"})
		return r.judged()
	}
	r.add(nic(info, readKnobs(info))...)
	return r.judged()
}

func (r *Report) add(checks ...Check) { r.Checks = append(r.Checks, checks...) }

func (r Report) judged() Report {
	r.Usable = true
	for _, c := range r.Checks {
		r.Usable = r.Usable && c.Status != Fail
	}
	return r
}

// machine looks at what is the same for all interfaces.
func machine() []Check {
	k := kernelVersion()
	return []Check{
		kernelCheck(k),
		rights(loader.MissingCapabilities()),
		program(loader.Verify()),
		sockets(openSocket()),
		jit(readInt("/proc/sys/net/core/bpf_jit_enable")),
		{"processors", OK, fmt.Sprintf("%d, of which Go uses %d", runtime.NumCPU(), runtime.GOMAXPROCS(0)), ""},
	}
}

func rights(missing []string) Check {
	c := Check{Name: "rights", Status: OK, Found: "all that opening an interface takes"}
	if len(missing) > 0 {
		c.Status, c.Found = Fail, fmt.Sprintf("lacks %s", join(missing))
		c.Remedy = "run as root, or: setcap cap_net_admin,cap_net_raw,cap_bpf+ep millrace"
	}
	return c
}

func program(err error) Check {
	if err == nil {
		return Check{"XDP program", OK, "the kernel takes it", ""}
	}
	return Check{"XDP program", Fail, err.Error(), "see rights and kernel above"}
}

func sockets(err error) Check {
	if err == nil {
		return Check{"AF_XDP", OK, "the kernel has it", ""}
	}
	return Check{"AF_XDP", Fail, err.Error(), "a kernel with CONFIG_XDP_SOCKETS, and the right to open raw sockets"}
}

func jit(enabled int) Check {
	switch {
	case enabled > 0:
		return Check{"BPF compiler", OK, "on", ""}
	case enabled == 0:
		return Check{"BPF compiler", Warn, "off: the program is interpreted, several times slower", "sysctl -w net.core.bpf_jit_enable=1"}
	}
	return Check{"BPF compiler", Note, "cannot be asked", ""}
}
