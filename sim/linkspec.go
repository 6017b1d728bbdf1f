package sim

import (
	"fmt"
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
	Burst       Burst
	ACKLoss     float64
	// ACKAggregate has ACKs arrive at multiples of it only.
	ACKAggregate    time.Duration
	Aggregate       time.Duration // likewise data
	Back            BackSpec
	Policer, Shaper Bucket
	RED             *REDSpec // at most one of RED, PIE and CoDel
	PIE             *PIE
	CoDel           *CoDel
	Fair            bool      // each flow has a queue of its own, with the CoDel
	MarkECT         bool      // the manager marks rather than drops
	Step            QueueSpec // marks beyond so much in the queue
	Changes         []LinkChange
	Down            []Outage
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

// BackSpec is the way back: what it carries, where that is not without limit, and its queue,
// one BDP of it if zero.
type BackSpec struct {
	Rate  int64
	Queue QueueSpec
}

// REDSpec is RED with its thresholds in the units of queues. Without them they are a sixth
// and a half of the queue.
type REDSpec struct {
	Min, Max QueueSpec
	P        float64
}

// LinkChange is what becomes of a link at a time; what is 0 stays as it was.
type LinkChange struct {
	At   time.Duration
	Rate int64
	RTT  time.Duration
}

// LinkDefault is the link where none is named.
const LinkDefault = "rate=20mbit,rtt=50ms,queue=1bdp"

// ParseLink reads the description of a link: key=value, separated by commas. Only rate, or
// trace in its place, and rtt are required; change and down may be given several times.
//
//	rate=20mbit,rtt=50ms,queue=1bdp,loss=0.01,reorder=0.01,dup=0.01,corrupt=0.001,jitter=1ms
//	ecn=ce-threshold:1ms  ecn=step:30pkt  ecn=aqm
//	aqm=codel:5ms:100ms   aqm=fq_codel:5ms:100ms  aqm=pie:15ms  aqm=red:20kb:60kb:0.1
//	burst=ENTER:LEAVE:ILL:WELL  agg=4ms  ackloss=0.1  ackagg=10ms  back=1mbit:50pkt
//	police=10mbit:30kb  bucket=10mbit:30kb
//	change=10s:rate:5mbit  change=20s:rtt:80ms  down=10s:2s  trace=FILE
func ParseLink(text string) (LinkSpec, error) {
	var l LinkSpec
	given := make(map[string]bool)
	for _, item := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || value == "" {
			return LinkSpec{}, fmt.Errorf("sim: parse link: %q is not of the form key=value", item)
		}
		if given[key] && key != "change" && key != "down" {
			return LinkSpec{}, fmt.Errorf("sim: parse link: %s is given twice", key)
		}
		given[key] = true
		if err := l.Set(key, value); err != nil {
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
	if err := l.Check(); err != nil {
		return LinkSpec{}, fmt.Errorf("sim: parse link: %w", err)
	}
	return l, nil
}

// Set sets one key of a description, as ParseLink reads it.
func (l *LinkSpec) Set(key, value string) (err error) {
	switch key {
	case "rate":
		l.Rate, err = ParseRate(value)
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
		err = l.setECN(value)
	case "aqm":
		err = l.setAQM(value)
	case "burst":
		l.Burst, err = parseBurst(value)
	case "ackloss":
		l.ACKLoss, err = parseShare(value)
	case "ackagg":
		l.ACKAggregate, err = parseDelay(value)
	case "agg":
		l.Aggregate, err = parseDelay(value)
	case "back":
		l.Back, err = parseBack(value)
	case "police":
		l.Policer, err = parseBucket(value)
	case "bucket":
		l.Shaper, err = parseBucket(value)
	case "change":
		var c LinkChange
		c, err = parseChange(value)
		l.Changes = append(l.Changes, c)
	case "down":
		var o Outage
		o, err = parseOutage(value)
		l.Down = append(l.Down, o)
	case "trace":
		l.Trace, err = ReadTrace(value)
	default:
		return fmt.Errorf("unknown key; want rate, rtt, queue, loss, reorder, dup, corrupt, jitter, ecn, aqm, " +
			"burst, agg, ackloss, ackagg, back, police, bucket, change, down or trace")
	}
	return err
}
