package usage

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ReadMachine reads what the machine has used.
func ReadMachine() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, fmt.Errorf("usage: read: %w", err)
	}
	return parseStat(b)
}

// MemoryAvailable is the octets that the machine has left, the kernel's own use counted off.
func MemoryAvailable() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("usage: read: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("usage: read /proc/meminfo: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("usage: read /proc/meminfo: there is no MemAvailable")
}

// times reads the processor time of this process.
func times() (p Process, err error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return p, fmt.Errorf("usage: read own time: %w", err)
	}
	p.User, p.System = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	return p, nil
}

// resident reads the resident set without the pages of files, see proc_pid_statm(5): which of its
// own program a process has touched is no memory of what it holds.
func resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("usage: read own memory: %w", err)
	}
	var pages, shared int64
	if _, err := fmt.Sscanf(string(b), "%d %d %d", new(int64), &pages, &shared); err != nil {
		return 0, fmt.Errorf("usage: read own memory: %q: %w", b, err)
	}
	return (pages - shared) * int64(os.Getpagesize()), nil
}
