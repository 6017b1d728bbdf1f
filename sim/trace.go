package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// traceLen is how many packets a trace remembers.
const traceLen = 40

// traceHeaders is as much of a packet as it remembers: Ethernet, IPv6 and TCP headers.
const traceHeaders = 14 + 40 + 60

// trace is the last packets that were sent.
type trace struct {
	entries [traceLen]traceEntry
	n       int
}

type traceEntry struct {
	at      mono.Time
	host    int16
	octets  int // of the frame
	head    [traceHeaders]byte
	verdict verdict
}

func (t *trace) add(now mono.Time, host int16, frame []byte, v *verdict) {
	e := &t.entries[t.n%traceLen]
	t.n++
	e.at, e.host, e.octets, e.verdict = now, host, len(frame), *v
	copy(e.head[:], frame)
}

// String is the packets in packetdrill's notation, one a line, the latest last: when, from
// whom, what, and what became of it.
func (t *trace) String() string {
	var b strings.Builder
	for i := max(0, t.n-traceLen); i < t.n; i++ {
		e := &t.entries[i%traceLen]
		fmt.Fprintf(&b, "%+14.6f %c > %s%s\n", time.Duration(e.at).Seconds(), 'a'+e.host, e.text(), e.fate())
	}
	return b.String()
}

func (e *traceEntry) text() string {
	frame := make([]byte, max(e.octets, traceHeaders))
	copy(frame, e.head[:])
	var seg wire.Segment
	if !parse(frame[:e.octets], &seg) {
		return "?"
	}
	return fmt.Sprintf("%d>%d %s", seg.SrcPort, seg.DstPort, seg.String())
}

func (e *traceEntry) fate() string {
	v := &e.verdict
	switch {
	case v.dropped:
		return "  (lost)"
	case v.corrupt:
		return "  (corrupted)"
	case v.again != mono.Never:
		return fmt.Sprintf("  (arrives %.6f and %.6f)", time.Duration(v.arrives).Seconds(), time.Duration(v.again).Seconds())
	}
	return fmt.Sprintf("  (arrives %.6f)", time.Duration(v.arrives).Seconds())
}
