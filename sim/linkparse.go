package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// unit is what may stand behind a number, and how much it is.
type unit struct {
	name string
	of   float64
}

// scaled reads a number with one of the units, those that end in another first.
// It says no where there is none of them; the number is NaN if it is none.
func scaled(s string, units ...unit) (n float64, ok bool) {
	lower := strings.ToLower(s)
	for _, u := range units {
		if number, found := strings.CutSuffix(lower, u.name); found {
			v, err := strconv.ParseFloat(number, 64)
			if err != nil {
				v = math.NaN()
			}
			return v * u.of, true
		}
	}
	return 0, false
}

// ParseRate reads a number with bit, kbit, mbit or gbit.
func ParseRate(s string) (int64, error) {
	bits, ok := scaled(s, unit{"gbit", 1e9}, unit{"mbit", 1e6}, unit{"kbit", 1e3}, unit{"bit", 1})
	switch {
	case !ok:
		return 0, fmt.Errorf("want a number with bit, kbit, mbit or gbit")
	case !(bits >= 1 && bits <= 1e12): // NaN is neither
		return 0, fmt.Errorf("want a rate from 1bit to 1000gbit")
	}
	return int64(bits), nil
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

// setECN reads who marks: what waited for too long, what finds too much in the queue, or
// the manager of the queue.
func (l *LinkSpec) setECN(value string) (err error) {
	kind, rest, _ := strings.Cut(value, ":")
	switch {
	case kind == "ce-threshold" && rest != "":
		l.CEThreshold, err = parseDelay(rest)
	case kind == "step" && rest != "":
		l.Step, err = parseQueue(rest)
	case value == "aqm":
		l.MarkECT = true
	default:
		return fmt.Errorf("want ce-threshold:TIME, step:QUEUE or aqm, such as ce-threshold:1ms")
	}
	return err
}

// setAQM reads the manager of the queue with its parameters.
func (l *LinkSpec) setAQM(value string) (err error) {
	part := strings.Split(value, ":")
	switch {
	case (part[0] == "codel" || part[0] == "fq_codel") && len(part) <= 3:
		c := CoDel{Target: 5 * time.Millisecond, Interval: 100 * time.Millisecond}
		for i, d := range []*time.Duration{&c.Target, &c.Interval}[:len(part)-1] {
			if *d, err = parseDelay(part[i+1]); err == nil && *d == 0 {
				err = fmt.Errorf("want a target and an interval above 0")
			}
			if err != nil {
				return err
			}
		}
		l.CoDel, l.Fair = &c, part[0] == "fq_codel"
	case part[0] == "pie" && len(part) <= 2:
		p := PIE{Target: pieTarget}
		if len(part) == 2 {
			if p.Target, err = parseDelay(part[1]); err == nil && p.Target == 0 {
				err = fmt.Errorf("want a target above 0")
			}
		}
		l.PIE = &p
	case part[0] == "red" && (len(part) == 1 || len(part) == 3 || len(part) == 4):
		var r REDSpec
		if len(part) >= 3 {
			if r.Min, err = parseQueue(part[1]); err == nil {
				r.Max, err = parseQueue(part[2])
			}
		}
		if len(part) == 4 && err == nil {
			r.P, err = parseShare(part[3])
		}
		l.RED = &r
	default:
		return fmt.Errorf("want codel, fq_codel, codel:TARGET:INTERVAL, pie, pie:TARGET, red, or red:MIN:MAX:PROBABILITY")
	}
	return err
}

// parseBack reads RATE, and if you like :QUEUE.
func parseBack(s string) (b BackSpec, err error) {
	rate, queue, ok := strings.Cut(s, ":")
	if b.Rate, err = ParseRate(rate); err == nil && ok {
		b.Queue, err = parseQueue(queue)
	}
	return b, err
}

// parseBurst reads the chances of Gilbert's and Elliott's model.
func parseBurst(s string) (b Burst, err error) {
	part := strings.Split(s, ":")
	if len(part) < 2 || len(part) > 4 {
		return b, fmt.Errorf("want ENTER:LEAVE, and if you like :ILL:WELL, such as 0.01:0.3")
	}
	for i, p := range []*float64{&b.Enter, &b.Leave, &b.Ill, &b.Well}[:len(part)] {
		if *p, err = parseShare(part[i]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// parseBucket reads RATE:BURST.
func parseBucket(s string) (b Bucket, err error) {
	rate, burst, ok := strings.Cut(s, ":")
	if !ok {
		return b, fmt.Errorf("want RATE:BURST, such as 10mbit:30kb")
	}
	if b.Rate, err = ParseRate(rate); err != nil {
		return b, err
	}
	b.Burst, err = ParseOctets(burst)
	return b, err
}

// ParseOctets reads a number with b, kb, mb or gb, in powers of ten.
func ParseOctets(s string) (int, error) {
	octets, ok := scaled(s, unit{"gb", 1e9}, unit{"mb", 1e6}, unit{"kb", 1e3}, unit{"b", 1})
	if !ok || !(octets >= 1 && octets <= 1e15) { // NaN is neither
		return 0, fmt.Errorf("want a number of octets with b, kb, mb or gb")
	}
	return int(octets), nil
}

// parseChange reads TIME:rate:RATE or TIME:rtt:TIME.
func parseChange(s string) (c LinkChange, err error) {
	part := strings.Split(s, ":")
	if len(part) != 3 {
		return c, fmt.Errorf("want TIME:rate:RATE or TIME:rtt:TIME, such as 10s:rate:5mbit")
	}
	if c.At, err = parseMoment(part[0]); err != nil {
		return c, err
	}
	switch part[1] {
	case "rate":
		c.Rate, err = ParseRate(part[2])
	case "rtt":
		if c.RTT, err = parseDelay(part[2]); err == nil && c.RTT == 0 {
			err = fmt.Errorf("want a round trip above 0")
		}
	default:
		err = fmt.Errorf("want rate or rtt, not %q", part[1])
	}
	return c, err
}

// parseOutage reads FROM:FOR.
func parseOutage(s string) (o Outage, err error) {
	from, length, ok := strings.Cut(s, ":")
	if !ok {
		return o, fmt.Errorf("want FROM:FOR, such as 10s:2s")
	}
	at, err := parseMoment(from)
	if err != nil {
		return o, err
	}
	d, err := parseMoment(length)
	return Outage{From: mono.Time(at), To: mono.Time(at + d)}, err
}

// parseMoment reads a time of a run.
func parseMoment(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > TimeMax {
		return 0, fmt.Errorf("want a time such as 10s, at most %v", TimeMax)
	}
	return d, nil
}
