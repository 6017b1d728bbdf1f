package sim

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// traceMax bounds a trace: ten million opportunities are an hour at 33 Mbit/s.
const traceMax = 10_000_000

// ReadTrace reads a trace of a cellular link as mahimahi writes them: each line is a time in
// milliseconds, not before that of the line above, at which one packet of 1500 octets may
// leave. After the last it starts over.
func ReadTrace(name string) ([]time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseTrace(f)
}

func parseTrace(r io.Reader) ([]time.Duration, error) {
	var trace []time.Duration
	lines := bufio.NewScanner(r)
	for no := 1; lines.Scan(); no++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		ms, err := strconv.ParseUint(text, 10, 40)
		at := time.Duration(ms) * time.Millisecond
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %q is no time in milliseconds", no, text)
		case len(trace) > 0 && at < trace[len(trace)-1]:
			return nil, fmt.Errorf("line %d: %d lies before the line above", no, ms)
		case len(trace) == traceMax:
			return nil, fmt.Errorf("line %d: more than %d lines", no, traceMax)
		}
		trace = append(trace, at)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(trace) == 0 || trace[len(trace)-1] == 0 {
		return nil, fmt.Errorf("no opportunity to send")
	}
	return trace, nil
}
