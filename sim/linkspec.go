package sim

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// MTU is that of simulated links.
const MTU = 1500

// LinkSpec is a link as --link describes it. Rate, queue, loss and the other faults are of
// the data direction; the round trip is shared evenly by both.
type LinkSpec struct {
	Rate  int64         // bits a second of IP packets
	RTT   time.Duration // without queueing and transmission
	Queue QueueSpec     // zero is 1bdp

	Loss, Reorder, Duplicate, Corrupt float64
	// Jitter is of both directions; negative is none, 0 is the time of one packet, without
	// which flows lock into phase with each other.
	Jitter      time.Duration
	CEThreshold time.Duration
	// Trace replaces Rate: when packets may leave, counted from the start of each round.
	Trace []time.Duration
}

// QueueSpec is the room of a queue, in the unit that it was given in; one of them is set.
type QueueSpec struct {
	BDP     float64
	Time    time.Duration // at the link's rate
	Octets  int
	Packets int
}

// LinkDefault is the link where none is named.
const LinkDefault = "rate=20mbit,rtt=50ms,queue=1bdp"

// ParseLink reads the description of a link:
//
//	rate=20mbit,rtt=50ms,queue=1bdp,loss=0.01,reorder=0.01,dup=0.01,corrupt=0.001,jitter=1ms,ecn=ce-threshold:1ms,trace=FILE
//
// Only rate, or trace in its place, and rtt are required.
func ParseLink(text string) (LinkSpec, error) {
	var l LinkSpec
	given := make(map[string]bool)
	for _, item := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || value == "" {
			return LinkSpec{}, fmt.Errorf("sim: parse link: %q is not of the form key=value", item)
		}
		if given[key] {
			return LinkSpec{}, fmt.Errorf("sim: parse link: %s is given twice", key)
		}
		given[key] = true
		if err := l.set(key, value); err != nil {
			return LinkSpec{}, fmt.Errorf("sim: parse link: %s=%s: %w", key, value, err)
		}
	}
	switch {
	case !given["rate"] && !given["trace"]:
		return LinkSpec{}, fmt.Errorf("sim: parse link: %q lacks rate, such as rate=20mbit", text)
	case given["rate"] && given["trace"]:
		return LinkSpec{}, fmt.Errorf("sim: parse link: %q has both rate and trace", text)
	case !given["rtt"]:
		return LinkSpec{}, fmt.Errorf("sim: parse link: %q lacks rtt, such as rtt=50ms", text)
	}
	return l, nil
}

func (l *LinkSpec) set(key, value string) (err error) {
	switch key {
	case "rate":
		l.Rate, err = parseRate(value)
	case "rtt":
		l.RTT, err = parseDelay(value)
	case "queue":
		l.Queue, err = parseQueue(value)
	case "loss":
		l.Loss, err = parseShare(value)
	case "reorder":
		l.Reorder, err = parseShare(value)
	case "dup":
		l.Duplicate, err = parseShare(value)
	case "corrupt":
		l.Corrupt, err = parseShare(value)
	case "jitter":
		if l.Jitter, err = parseDelay(value); l.Jitter == 0 {
			l.Jitter = -1
		}
	case "ecn":
		threshold, ok := strings.CutPrefix(value, "ce-threshold:")
		if !ok {
			return fmt.Errorf("want ce-threshold:TIME, such as ce-threshold:1ms")
		}
		l.CEThreshold, err = parseDelay(threshold)
	case "trace":
		l.Trace, err = readTrace(value)
	default:
		return fmt.Errorf("unknown key; want rate, rtt, queue, loss, reorder, dup, corrupt, jitter, ecn or trace")
	}
	return err
}

// parseRate reads a number with bit, kbit, mbit or gbit.
func parseRate(s string) (int64, error) {
	units := []struct {
		name string
		bits float64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
	lower := strings.ToLower(s)
	for _, u := range units {
		number, ok := strings.CutSuffix(lower, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v*u.bits >= 1) || v*u.bits > 1e12 {
			return 0, fmt.Errorf("want a rate from 1bit to 1000gbit")
		}
		return int64(v * u.bits), nil
	}
	return 0, fmt.Errorf("want a number with bit, kbit, mbit or gbit")
}

func parseDelay(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fmt.Errorf("want a time such as 50ms, at most an hour")
	}
	return d, nil
}

func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("want a probability from 0 to 1")
	}
	return v, nil
}

// parseQueue reads a number with bdp, ms, kb or pkt.
func parseQueue(s string) (q QueueSpec, err error) {
	lower := strings.ToLower(s)
	i := strings.IndexFunc(lower, func(r rune) bool { return r >= 'a' && r <= 'z' })
	if i < 0 {
		return q, fmt.Errorf("want a number with bdp, ms, kb or pkt")
	}
	v, err := strconv.ParseFloat(lower[:i], 64)
	if err != nil || !(v > 0 && v <= 1e9) {
		return q, fmt.Errorf("want a number above 0 with bdp, ms, kb or pkt")
	}
	switch lower[i:] {
	case "bdp":
		q.BDP = v
	case "ms":
		q.Time = time.Duration(v * float64(time.Millisecond))
	case "kb":
		q.Octets = max(1, int(v*1000))
	case "pkt":
		q.Packets = max(1, int(v))
	default:
		return q, fmt.Errorf("want a number with bdp, ms, kb or pkt")
	}
	return q, nil
}

// traceMax bounds a trace: ten million opportunities are an hour at 33 Mbit/s.
const traceMax = 10_000_000

// readTrace reads a trace of a cellular link as mahimahi writes them: each line is a time in
// milliseconds, not before that of the line above, at which one packet of 1500 octets may leave.
func readTrace(name string) ([]time.Duration, error) {
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

// rate is the link's rate, of a trace its mean.
func (l *LinkSpec) rate() float64 {
	if n := len(l.Trace); n > 0 {
		return float64(n) * MTU * 8 / l.Trace[n-1].Seconds()
	}
	return float64(l.Rate)
}

// bdp is the bandwidth-delay product in octets.
func (l *LinkSpec) bdp() float64 { return l.rate() / 8 * l.RTT.Seconds() }

// paths makes the two directions.
func (l *LinkSpec) paths() (there, back PathConfig) {
	there = PathConfig{
		Rate: l.Rate, Trace: l.Trace, Delay: l.RTT / 2, CEThreshold: l.CEThreshold,
		Loss: l.Loss, Reorder: l.Reorder, Duplicate: l.Duplicate, Corrupt: l.Corrupt,
		ReorderBy: max(l.RTT/2, time.Millisecond),
	}
	q := l.Queue
	if q == (QueueSpec{}) {
		q.BDP = 1
	}
	switch {
	case q.Packets > 0:
		there.QueuePackets = q.Packets
	case q.Octets > 0:
		there.QueueOctets = q.Octets
	case q.Time > 0:
		there.QueueOctets = int(math.Ceil(l.rate() / 8 * q.Time.Seconds()))
	default:
		there.QueueOctets = int(math.Ceil(l.bdp() * q.BDP))
	}
	// Less than a packet would drop all that do not find it idle.
	if there.QueuePackets == 0 {
		there.QueueOctets = max(there.QueueOctets, MTU)
	}
	back = PathConfig{Delay: l.RTT - l.RTT/2}
	switch {
	case l.Jitter == 0:
		back.Jitter = transmission(MTU, max(1, int64(l.rate())))
	case l.Jitter > 0:
		there.Jitter, back.Jitter = l.Jitter, l.Jitter
	}
	return there, back
}

// queueMax is the most octets that wait.
func (p *PathConfig) queueMax() int {
	if p.QueuePackets > 0 {
		return p.QueuePackets * MTU
	}
	return p.QueueOctets
}
