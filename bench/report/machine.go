package report

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where it was measured.
type Machine struct {
	CPU     string `json:"cpu"`
	CPUs    int    `json:"cpus"`
	Virtual bool   `json:"virtual"` // below a hypervisor
	Memory  int64  `json:"memory"`  // octets
	Kernel  string `json:"kernel"`
	Clock   string `json:"clock"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Version string `json:"version"` // of millrace
}

// ThisMachine describes this one. What cannot be read is empty.
func ThisMachine(version string) Machine {
	m := Machine{
		CPUs: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Version: version,
		Kernel: read("/proc/sys/kernel/osrelease"),
		Clock:  read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
	}
	m.CPU = field("/proc/cpuinfo", "model name")
	m.Virtual = strings.Contains(" "+field("/proc/cpuinfo", "flags")+" ", " hypervisor ")
	kb, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	n, _ := strconv.ParseInt(kb, 10, 64) // 0 if there is none
	m.Memory = n << 10
	return m
}

func read(path string) string {
	b, _ := os.ReadFile(path) // empty if there is none
	return string(bytes.TrimSpace(b))
}

// field returns the first value of a name in a file of lines "name: value".
func field(path, name string) string {
	b, _ := os.ReadFile(path) // empty if there is none
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		k, v, _ := strings.Cut(s.Text(), ":")
		if strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// String is the machine in a line.
func (m Machine) String() string {
	kind := ""
	if m.Virtual {
		kind = " of a virtual machine"
	}
	cpu := m.CPU
	if cpu == "" {
		cpu = m.Arch
	}
	return strconv.Itoa(m.CPUs) + " CPUs" + kind + " (" + cpu + "), " + strconv.FormatInt(m.Memory>>30, 10) + " GiB, " +
		m.OS + " " + m.Kernel + ", clock " + m.Clock + ", " + m.Go + ", millrace " + m.Version
}
