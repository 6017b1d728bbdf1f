package pin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Allowed returns the processors that the calling thread may run on, in order.
func Allowed() (list []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("pin: ask for the processors that may be used: %w", err)
	}
	for cpu := range len(set) * strconv.IntSize {
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list, nil
}

// Near returns the processors of a NUMA node; none if there is no such node.
func Near(node int) []int {
	b, err := os.ReadFile(filepath.Join("/sys/devices/system/node", "node"+strconv.Itoa(node), "cpulist"))
	if err != nil {
		return nil
	}
	list, err := ParseList(strings.TrimSpace(string(b)))
	if err != nil {
		return nil // a node without processors has an empty list
	}
	return list
}

// Thread keeps the calling thread on a processor. The goroutine has locked it, and ends with it:
// another goroutine would not know where it runs.
func Thread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin: stay on processor %d: %w", cpu, err)
	}
	return nil
}
