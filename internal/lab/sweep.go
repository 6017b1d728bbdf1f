package lab

import (
	"os"
	"strconv"
	"strings"
)

// Sweep removes the labs of processes that are no more: those whose names are a prefix, the
// process and, after a hyphen, anything. One that cannot be removed is left for the next.
func Sweep(prefix string) {
	names, err := List()
	if err != nil {
		return
	}
	for _, name := range names {
		if pid, ours := processOf(prefix, name); ours && !alive(pid) {
			_ = Remove(name)
		}
	}
}

// processOf returns the process that made a lab, from the lab's name.
func processOf(prefix, name string) (pid int, ours bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return pid, ours && err == nil && pid > 0
}

func alive(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}
