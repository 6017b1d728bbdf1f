package tcp

import (
	"math"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// sent is one segment on its way: what was sent when, and what has become of it.
type sent struct {
	start, end seq.Num // FIN counts as the last octet
	mark       mark
	appLimited bool
	run        uint16    // of one marked sacked: so many behind it are, at least
	inFlight   int32     // octets in flight when it was last sent, itself included
	at         mono.Time // when it was last sent

	// For the delivery rate (draft-ietf-ccwg-bbr, section 4.1.2.2): the connection's
	// state when it was sent.
	delivered   uint64
	deliveredAt mono.Time
	firstAt     mono.Time
	lost        uint64
	ce          uint64
}

func (s *sent) len() int { return s.end.Sub(s.start) }

// mark is what has become of a sent segment.
type mark uint8

const (
	markSacked mark = 1 << iota // the peer has it, out of order
	markLost                    // the detector has given it up
	markResent                  // it was sent again since it was given up
	markTwice                   // it was sent more than once: no RTT sample (Karn)
	markNews                    // it was given up, and is not yet counted
)

// scoreboard is the segments between SND.UNA and SND.NXT, oldest first, in a ring.
type scoreboard struct {
	ring   []sent // length a power of two
	head   int
	n      int
	sacked int // octets marked sacked
	// sackedSegs is the segments marked sacked.
	sackedSegs int
	lost       int // octets marked lost and not sent again since
	// judged: every segment before it has been marked lost or sacked.
	judged seq.Num
	// hint: no segment before it waits to be sent again.
	hint int
}

// segmentsMax is how many segments may be on their way whatever their size: 4096 of 64 octets on
// the scoreboard are 256 KiB, and an ACK that makes the detector look at all of them costs 14 µs.
// More must carry segmentsMean octets in the mean, as a path with an MTU of 576 has them.
const (
	segmentsMax  = 4096
	segmentsMean = 512
)

// crowded says that there are too many segments for the octets that they carry, of which flight
// are on their way.
func (b *scoreboard) crowded(flight int) bool {
	return b.n >= segmentsMax && flight < segmentsMean*b.n
}

func (b *scoreboard) reset() { *b = scoreboard{} }

func (b *scoreboard) len() int { return b.n }

func (b *scoreboard) at(i int) *sent { return &b.ring[(b.head+i)&(len(b.ring)-1)] }

func (b *scoreboard) first() *sent { return b.at(0) }

// boardIdleMax is the longest ring that is kept when nothing is on its way.
const boardIdleMax = 8

// push adds a segment that was just sent.
func (b *scoreboard) push(s sent) { *b.extend() = s }

// extend adds a segment and returns it, to be filled in: all of it is what an older one was.
func (b *scoreboard) extend() *sent {
	if b.n == len(b.ring) {
		b.grow()
	}
	b.n++
	return b.at(b.n - 1)
}

func (b *scoreboard) grow() {
	ring := make([]sent, max(4, 2*len(b.ring)))
	for i := range b.n {
		ring[i] = *b.at(i)
	}
	b.ring, b.head = ring, 0
}

// pop drops the oldest segment.
func (b *scoreboard) pop() {
	s := b.first()
	b.unmark(s)
	if s.mark&markSacked != 0 && s.run > 0 {
		next := b.at(1)
		next.run = max(next.run, s.run-1)
	}
	b.head = (b.head + 1) & (len(b.ring) - 1)
	b.n--
	b.hint = max(0, b.hint-1)
}

// bulky says that nothing is on its way and that the ring is larger than worth keeping.
func (b *scoreboard) bulky() bool { return b.n == 0 && len(b.ring) > boardIdleMax }

// shrink gives the ring of a bulky scoreboard to the garbage collector.
func (b *scoreboard) shrink() {
	if b.bulky() {
		b.ring, b.head = nil, 0
	}
}

func (b *scoreboard) unmark(s *sent) {
	if s.mark&markSacked != 0 {
		b.sacked -= s.len()
		b.sackedSegs--
	}
	if s.mark&(markLost|markResent) == markLost {
		b.lost -= s.len()
	}
}

// split cuts segment i so that its first part has n octets.
func (b *scoreboard) split(i, n int) {
	b.push(sent{})
	for j := b.n - 1; j > i+1; j-- {
		*b.at(j) = *b.at(j - 1)
	}
	first, second := b.at(i), b.at(i+1)
	*second = *first
	first.end = first.start.Add(n)
	second.start = first.end
	if first.mark&markSacked != 0 {
		b.sackedSegs++
	}
}

// markLost gives segment i up.
func (b *scoreboard) markLost(i int) int {
	s := b.at(i)
	if s.mark&markSacked != 0 || s.mark&(markLost|markResent) == markLost {
		return 0
	}
	s.mark = s.mark&^markResent | markLost | markNews
	b.lost += s.len()
	b.hint = min(b.hint, i)
	return s.len()
}

// allLost gives up everything that the peer has not reported, after a time-out. It returns
// the octets newly given up.
//
// "The data sender SHOULD turn off all of the SACKed bits" when a time-out suggests that the
// peer reneged: it did if it holds the oldest segment and does not acknowledge it.
// https://www.rfc-editor.org/rfc/rfc2018.html#section-8
func (b *scoreboard) allLost() int {
	n := 0
	if b.n > 0 && b.first().mark&markSacked != 0 {
		for i := range b.n {
			b.at(i).mark &^= markSacked
		}
		b.sacked, b.sackedSegs = 0, 0
	}
	for i := range b.n {
		n += b.markLost(i)
	}
	b.hint = 0
	return n
}

// forgive takes back that segments were given up: they are on their way after all.
func (b *scoreboard) forgive() {
	for i := range b.n {
		if s := b.at(i); s.mark&(markLost|markResent) == markLost {
			s.mark &^= markLost
		}
	}
	b.lost = 0
	b.judged = b.first0()
}

// first0 is the first octet on its way, or what was judged when there is none.
func (b *scoreboard) first0() seq.Num {
	if b.n == 0 {
		return b.judged
	}
	return b.first().start
}

// repairs counts the octets given up and not reported since, sent again or not, and those sent
// again: Linux's lost_out and retrans_out.
func (b *scoreboard) repairs() (givenUp, resent int) {
	if b.lost == 0 && (b.n == 0 || b.first().mark&(markLost|markTwice) == 0) {
		return 0, 0 // what is repaired begins with the oldest
	}
	for i := range b.n {
		s := b.at(i)
		if s.mark&markLost != 0 {
			givenUp += s.len()
		}
		if s.mark&(markLost|markResent) == markLost|markResent {
			resent += s.len()
		}
	}
	return givenUp, resent
}

// nextLost returns the index of the first segment that waits to be sent again, or -1.
func (b *scoreboard) nextLost() int {
	if b.lost == 0 {
		return -1
	}
	for i := b.hint; i < b.n; i++ {
		if b.at(i).mark&(markLost|markResent) == markLost {
			b.hint = i
			return i
		}
	}
	return -1
}

// resent notes that segment i was sent again at now.
func (b *scoreboard) resent(i int, now mono.Time) {
	s := b.at(i)
	if s.mark&(markLost|markResent) == markLost {
		b.lost -= s.len()
		s.mark |= markResent
	}
	s.mark |= markTwice
	s.at = now
}

// begins returns the index of the first segment that begins at or after start.
func (b *scoreboard) begins(start seq.Num) int {
	i := b.find(start)
	if i < b.n && b.at(i).start.Less(start) {
		i++
	}
	return i
}

// unsacked returns the index of the first segment from i on that ends by end and is not marked
// sacked. It says no, and where it looked last, when there is none.
func (b *scoreboard) unsacked(i int, end seq.Num) (at int, ok bool) {
	for i < b.n {
		s := b.at(i)
		if end.Less(s.end) {
			break
		}
		if s.mark&markSacked == 0 {
			return i, true
		}
		i += 1 + int(s.run)
	}
	return i, false
}

// sack marks segment i, which was not marked so, and returns its octets.
func (b *scoreboard) sack(i int) int {
	s := b.at(i)
	if s.mark&(markLost|markResent) == markLost {
		b.lost -= s.len()
	}
	s.mark = s.mark&^(markLost|markResent) | markSacked
	s.run = 0
	b.sacked += s.len()
	b.sackedSegs++
	return s.len()
}

// join takes note that the segments from first up to, but not including, end are marked sacked, so
// that none of them is looked at again for itself: a peer may report the same ones with each ACK.
func (b *scoreboard) join(first, end int) {
	for i := first; i < end; {
		s := b.at(i)
		next := i + 1 + int(s.run)
		s.run = uint16(min(end-i-1, math.MaxUint16))
		i = next
	}
}

// find returns the index of the first segment that ends after s.
func (b *scoreboard) find(s seq.Num) int {
	low, high := 0, b.n
	for low < high {
		mid := (low + high) / 2
		if b.at(mid).end.LessEq(s) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// dupThresh is DupThresh of RFC 6675, and the three duplicate ACKs of RFC 5681.
const dupThresh = 3

// detect gives up the segments that three others, or more than two segments' worth of
// octets, were delivered after. It returns the octets newly given up, and the first octet.
// https://www.rfc-editor.org/rfc/rfc6675.html#section-4 (IsLost)
func (b *scoreboard) detect(mss int) (lost int, first seq.Num) {
	if b.sackedSegs == 0 {
		return 0, 0
	}
	above, octets := 0, 0
	before := b.judged
	for i := b.n - 1; i >= 0; i-- {
		s := b.at(i)
		if s.end.LessEq(before) {
			break
		}
		if s.mark&markSacked != 0 {
			above++
			octets += s.len()
			continue
		}
		if above < dupThresh && octets <= (dupThresh-1)*mss {
			continue
		}
		// All below is lost too, down to what was judged before.
		b.judged = seq.Max(b.judged, s.end)
		for ; i >= 0 && before.Less(b.at(i).end); i-- {
			// What was sent again and not reported since is left to the timer.
			if s := b.at(i); s.mark&(markSacked|markLost) == 0 {
				if n := b.markLost(i); n > 0 {
					lost += n
					first = s.start
				}
			}
		}
	}
	return lost, first
}

// trimFirst cuts the octets before ack off the first segment, which ack lies within. It
// returns how many of them are news.
func (b *scoreboard) trimFirst(ack seq.Num) int {
	s := b.first()
	n := ack.Sub(s.start)
	if n <= 0 {
		return 0
	}
	b.unmark(s)
	s.start = ack
	switch {
	case s.mark&markSacked != 0:
		b.sacked += s.len()
		b.sackedSegs++
		return 0
	case s.mark&(markLost|markResent) == markLost:
		b.lost += s.len()
	}
	return n
}
