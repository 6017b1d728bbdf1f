package tcp

import (
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// reassembly remembers which octets beyond RCV.NXT have arrived. The octets themselves lie
// at their final place in the receive queue.
type reassembly struct {
	ranges []seq.Range // in order, apart from each other, none empty
	// recent is the start of the ranges that segments arrived in last, newest first: the
	// order of SACK blocks (RFC 2018, section 4).
	recent [wire.SACKMax]seq.Num
	marks  int
	// duplicate is the block of the last segment that came twice (RFC 2883), to be reported.
	duplicate    seq.Range
	hasDuplicate bool
}

// rangesMax bounds the memory and the work of an attacker's holes: 4096 ranges are 32 KiB, and
// to find a place among them and make room is a microsecond. A slow start that ends in loss on
// a path of 100 Mbit/s and 100 ms leaves 1100, one of 1 Gbit/s several thousand.
//
// rangesTight holds while memory is short: the ranges are not the pool's, and 2 KiB of them
// are less than the chunk that the octets between the holes take.
const (
	rangesMax   = 4096
	rangesTight = 256
)

func (r *reassembly) count() int { return len(r.ranges) }

// add takes note of x, which lies beyond RCV.NXT. It says no when there are most ranges.
func (r *reassembly) add(x seq.Range, most int) bool {
	i := r.find(x.Start)
	j := i
	for j < len(r.ranges) && r.ranges[j].Start.LessEq(x.End) {
		x.Start = seq.Min(x.Start, r.ranges[j].Start)
		x.End = seq.Max(x.End, r.ranges[j].End)
		j++
	}
	switch {
	case j > i:
		r.ranges[i] = x
		r.ranges = append(r.ranges[:i+1], r.ranges[j:]...)
	case len(r.ranges) >= most:
		return false
	default:
		r.ranges = append(r.ranges, seq.Range{})
		copy(r.ranges[i+1:], r.ranges[i:])
		r.ranges[i] = x
	}
	r.note(x)
	return true
}

// rangesRoom is how many ranges may be remembered at present.
func (c *Conn) rangesRoom() int {
	if c.p.Recv.MayGrow() {
		return rangesMax
	}
	return rangesTight
}

// find returns the index of the first range that ends at s or after.
func (r *reassembly) find(s seq.Num) int {
	low, high := 0, len(r.ranges)
	for low < high {
		mid := (low + high) / 2
		if r.ranges[mid].End.Less(s) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// note puts x in front of the recent blocks; what it has swallowed goes.
func (r *reassembly) note(x seq.Range) {
	var next [wire.SACKMax]seq.Num
	next[0] = x.Start
	n := 1
	for _, s := range r.recent[:r.marks] {
		if n < len(next) && !s.In(x.Start, x.Len()) {
			next[n] = s
			n++
		}
	}
	r.recent, r.marks = next, n
}

// advance says that everything before next has arrived in order. It returns the first octet
// that has not, which is behind what was kept of it.
func (r *reassembly) advance(next seq.Num) seq.Num {
	n := 0
	for n < len(r.ranges) && r.ranges[n].Start.LessEq(next) {
		next = seq.Max(next, r.ranges[n].End)
		n++
	}
	if n > 0 {
		r.ranges = append(r.ranges[:0], r.ranges[n:]...)
		r.forget(next)
	}
	return next
}

// forget drops the recent blocks before next, and the memory when no hole is left.
func (r *reassembly) forget(next seq.Num) {
	n := 0
	for _, s := range r.recent[:r.marks] {
		if next.Less(s) {
			r.recent[n] = s
			n++
		}
	}
	r.marks = n
	if len(r.ranges) == 0 && cap(r.ranges) > 16 {
		r.ranges = nil
	}
}

// cut forgets what lies at end or behind it.
func (r *reassembly) cut(end seq.Num) {
	n := r.find(end)
	if n < len(r.ranges) && r.ranges[n].Start.Less(end) {
		r.ranges[n].End = end
		n++
	}
	r.ranges = r.ranges[:n]
	n = 0
	for _, s := range r.recent[:r.marks] {
		if s.Less(end) {
			r.recent[n] = s
			n++
		}
	}
	r.marks = n
}

// blocks writes the SACK blocks to report into o, at most room of them: first a duplicate,
// then the range that the last segment came in, then the others, newest first.
// https://www.rfc-editor.org/rfc/rfc2018.html#section-4
func (r *reassembly) blocks(o *wire.Options, room int) {
	n := 0
	if r.hasDuplicate && n < room {
		o.SACK[n] = r.duplicate
		n++
		r.hasDuplicate = false
	}
	for _, s := range r.recent[:r.marks] {
		if n == room {
			break
		}
		if i := r.find(s); i < len(r.ranges) && s.In(r.ranges[i].Start, r.ranges[i].Len()) {
			o.SACK[n] = r.ranges[i]
			n++
		}
	}
	if n > 0 {
		o.Has |= wire.HasSACK
		o.NSACK = uint8(n)
	}
}

// noteDuplicateAhead does so for the first octets of r that lie beyond RCV.NXT and had arrived
// before. https://www.rfc-editor.org/rfc/rfc2883.html#section-4.3
func (c *Conn) noteDuplicateAhead(r seq.Range) {
	h := &c.rcv.holes
	i := h.find(r.Start.Add(1))
	if !c.rcv.sackOK || h.hasDuplicate || i >= len(h.ranges) {
		return
	}
	twice := seq.Range{Start: seq.Max(r.Start, h.ranges[i].Start), End: seq.Min(r.End, h.ranges[i].End)}
	if twice.Start.Less(twice.End) {
		h.duplicate, h.hasDuplicate = twice, true
	}
}

// sackFIN reports a FIN that came out of order: it occupies an octet of the sequence space as
// data does, and a sender whose last segment carries it learns only so that this has arrived.
func (c *Conn) sackFIN(o *wire.Options, room int) {
	if !c.rcv.finAhead {
		return
	}
	fin := seq.Range{Start: c.rcv.finSEQ, End: c.rcv.finSEQ.Add(1)}
	n := int(o.NSACK)
	for i := range n {
		if o.SACK[i].End == fin.Start {
			o.SACK[i].End = fin.End
			return
		}
	}
	if n < room {
		o.SACK[n] = fin
		o.NSACK++
		o.Has |= wire.HasSACK
	}
}

// noteDuplicate remembers the octets of a segment that had all arrived before, to tell the
// sender that it sent them in vain (RFC 2883, section 4). What lies next to those that it was not
// told of yet joins them: of a batch of segments the sender should hear of each.
func (c *Conn) noteDuplicate(seg *wire.Segment) {
	if !c.rcv.sackOK || seg.DataLen() == 0 {
		return
	}
	h := &c.rcv.holes
	r := seq.Range{Start: seg.SEQ, End: seg.SEQ.Add(seg.DataLen())}
	if c.rcv.NXT.Less(r.End) {
		return
	}
	if h.hasDuplicate && r.Start.LessEq(h.duplicate.End) && h.duplicate.Start.LessEq(r.End) {
		r.Start, r.End = seq.Min(r.Start, h.duplicate.Start), seq.Max(r.End, h.duplicate.End)
	}
	h.duplicate, h.hasDuplicate = r, true
}
