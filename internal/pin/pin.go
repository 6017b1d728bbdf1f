// Package pin chooses processors for workers that are to have one each, and keeps threads there.
// The root package uses it.
package pin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Auto is the choice that Choose makes itself.
const Auto = "auto"

// cpusMax bounds the numbers of processors, and thereby a list: what Linux can be built for.
const cpusMax = 8192

// Choose returns the processor of each of so many workers. want is Auto, or a list that begins
// with the first worker's; allowed are those that may be used, and near, of which Auto takes those
// first, those at the same memory as the NIC. With fewer processors than workers they share.
func Choose(want string, allowed, near []int, workers int) ([]int, error) {
	var from []int
	if want == Auto {
		for _, cpu := range allowed {
			if slices.Contains(near, cpu) {
				from = append(from, cpu)
			}
		}
		for _, cpu := range allowed {
			if !slices.Contains(near, cpu) {
				from = append(from, cpu)
			}
		}
	} else {
		list, err := ParseList(want)
		if err != nil {
			return nil, err
		}
		for _, cpu := range list {
			if !slices.Contains(allowed, cpu) {
				return nil, fmt.Errorf("pin: processor %d is not one of those that the process may use: %v", cpu, allowed)
			}
		}
		from = list
	}
	if len(from) == 0 {
		return nil, fmt.Errorf("pin: there is no processor to choose")
	}
	cpus := make([]int, workers)
	for i := range cpus {
		cpus[i] = from[i%len(from)]
	}
	return cpus, nil
}

// ParseList reads a list of processors as the kernel writes it: "0-3,8". The order is kept.
func ParseList(s string) (list []int, err error) {
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := parseCPU(low)
		last := first
		if err == nil && isRange {
			last, err = parseCPU(high)
		}
		if err != nil || last < first {
			return nil, fmt.Errorf("pin: %q is no list of processors such as 0-3,8", s)
		}
		for cpu := first; cpu <= last; cpu++ {
			if slices.Contains(list, cpu) {
				return nil, fmt.Errorf("pin: %q names processor %d twice", s, cpu)
			}
			list = append(list, cpu)
		}
	}
	return list, nil
}

func parseCPU(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n >= cpusMax {
		err = strconv.ErrRange
	}
	return int(n), err
}
