package iperf3

import (
	"fmt"
	"strconv"
	"strings"
)

// octetsText writes a number of octets in four digits and a power of 1024, as iperf3 does.
func octetsText(n float64) string { return scaled(n, 1024, "Byte") + "s" }

// bitsText writes a rate in four digits and a power of 1000.
func bitsText(perSecond float64) string { return scaled(perSecond, 1000, "bit") + "s/sec" }

func scaled(v, base float64, unit string) string {
	prefix := 0
	for v >= base && prefix < 4 {
		v /= base
		prefix++
	}
	digits := 0
	switch {
	case v < 9.995: // more would be rounded to 10.0
		digits = 2
	case v < 99.95:
		digits = 1
	}
	return fmt.Sprintf("%4.*f %s%s", digits, v, strings.TrimSpace(" KMGT"[prefix:prefix+1]), unit)
}

// ParseSize reads a number of octets as iperf3's options -n, -l and -w take it: a number,
// and K, M, G or T for a power of 1024.
func ParseSize(s string) (int64, error) {
	v, ok := parseScaled(s, 1024)
	if !ok {
		return 0, fmt.Errorf("iperf3: %q is not a size such as 128K or 10M", s)
	}
	return int64(v), nil
}

// ParseRate reads a number of bits a second as iperf3's option -b takes it: a number, and
// K, M, G or T for a power of 1000.
func ParseRate(s string) (uint64, error) {
	v, ok := parseScaled(s, 1000)
	if !ok {
		return 0, fmt.Errorf("iperf3: %q is not a rate such as 500K or 10M", s)
	}
	return uint64(v), nil
}

func parseScaled(s string, base float64) (v float64, ok bool) {
	number, factor := s, 1.0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("KMGT", s[n-1]&^0x20); i >= 0 {
			number = s[:n-1]
			for range i + 1 {
				factor *= base
			}
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	v *= factor
	// 2^62 leaves room to add to it; NaN fails the comparison.
	return v, err == nil && v >= 0 && v < 1<<62
}
