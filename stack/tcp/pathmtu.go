package tcp

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// pathMTU is what is known of the size of segments that get through. What routers say makes
// it smaller at once. When segments of full size vanish and nobody says why, it goes down
// (black hole), and then looks for the way up again with data that is sent anyway.
// https://www.rfc-editor.org/rfc/rfc4821.html, RFC 8899
type pathMTU struct {
	raiseAt mono.Time // when a larger segment is tried
	probe   seq.Range // the one on its way
	// Sizes of segments, options included.
	mss   uint16 // what the path carries as far as is known
	most  uint16 // what the peer takes and the link carries: where a search ends
	high  uint16 // larger segments do not get through; 0: not searching
	size  uint16 // of the one on its way
	out   bool   // one is on its way
	whole bool   // high was in use until of late: try it itself, not what is half way
}

const (
	// blackHoleAfter is how many time-outs in a row of the same full-sized segment make the
	// path suspect: the second one may be bad luck. Each size is given three tries more.
	blackHoleAfter = 3
	blackHoleEvery = 3
	// searchBase is where section 7.2 of RFC 4821 starts from, and close to what QUIC relies on
	// (1200 octets of packet). Below lies what every host accepts: the default MSS.
	searchBase = 1024
	// leastMSS is the payload of the smallest plateau of RFC 1191, section 7.1, that is a link
	// and not a theoretical limit: 296 octets of packet.
	leastMSS = 256
	// raiseEvery is PMTU_RAISE_TIMER of RFC 8899, section 5.1.1, and the ten minutes of RFC 1191,
	// section 6.3, after which what a router said is old.
	raiseEvery = 600 * time.Second
	// searchStep is how close the search goes.
	searchStep = 32
)

// sizeOf is the size of a segment as pathMTU has it: no IP packet is larger.
func sizeOf(octets int) uint16 { return uint16(min(octets, math.MaxUint16)) }

// blackHole makes segments smaller when nothing else explains that they vanish. It may have
// been an outage after all: the size that was in use is the first that is tried when data
// flows again.
func (c *Conn) blackHole(now mono.Time) {
	p := &c.path
	over := c.life.retries - blackHoleAfter
	if c.snd.mss <= searchBase {
		over -= blackHoleEvery // links that narrow are rare: first another try
	}
	next := c.smaller()
	if c.takenBack() {
		return
	}
	if c.cfg.NoPathSearch || over < 0 || over%blackHoleEvery != 0 || next >= c.snd.mss || c.board.first().len() <= next {
		return
	}
	c.p.Stats.TCPMTUPFail++
	if p.high == 0 || !p.whole {
		p.high, p.whole = sizeOf(c.snd.mss), true
	}
	p.raiseAt = now
	c.shrinkMSS(next)
}

// smaller is the next size below the present one: the base of the search, the default MSS,
// half, down to what every path of the family carries.
func (c *Conn) smaller() int {
	least := leastMSS
	if c.p.LeastMSS > 0 {
		least = int(c.p.LeastMSS)
	}
	switch mss := c.snd.mss; {
	case mss > searchBase:
		return max(searchBase, mss/2, least)
	case mss > DefaultMSS:
		return max(DefaultMSS, least)
	default:
		return max(mss/2, least)
	}
}

// searchSize returns the size of the segment to try now, options included, or 0: none. It
// is tried only with data for two more, in a connection that is not recovering, so that its
// loss is found by what follows it (RFC 4821, section 7.4). Without SACK that costs a
// recovery: then only the size that was in use is tried.
func (c *Conn) searchSize(now mono.Time, unsent int) int {
	p := &c.path
	if p.high == 0 || p.out || now < p.raiseAt || c.rec.mode != modeOpen || !c.bySACK() && !p.whole {
		return 0
	}
	high := int(min(p.high, p.most))
	size := (c.snd.mss + high + 1) / 2
	if p.whole {
		size = high
	}
	if size <= c.snd.mss || !p.whole && size-c.snd.mss < searchStep {
		c.searchEnds(now)
		return 0
	}
	room := c.snd.UNA.Add(c.snd.WND).Sub(c.snd.NXT)
	if unsent < 3*size || room < 3*size || c.pipe()+3*size > c.sendWindow() {
		return 0
	}
	return size
}

// searchEnds is reached when the size is known closely enough. Paths change: it is looked for
// again after a while, if there is anything to gain.
func (c *Conn) searchEnds(now mono.Time) {
	p := &c.path
	p.mss = sizeOf(c.snd.mss)
	p.raiseAt = now.Add(raiseEvery)
	p.high = p.most
	p.whole = !c.bySACK()
	if c.snd.mss >= int(p.most) {
		p.high = 0
		return
	}
	c.events |= PathFound
}

// tried takes note of the segment that was sent larger than known to pass.
func (c *Conn) tried(s *sent, size int) {
	c.path.out = true
	c.path.probe = seq.Range{Start: s.start, End: s.end}
	c.path.size = sizeOf(size)
}

// searchAcked raises the size when the probe has arrived, and searches on.
func (c *Conn) searchAcked(now mono.Time) {
	p := &c.path
	if !p.out || c.snd.UNA.Less(p.probe.End) {
		return
	}
	p.out = false
	c.p.Stats.TCPMTUPSuccess++
	c.snd.mss = max(c.snd.mss, int(p.size))
	p.mss = max(p.mss, p.size)
	c.flow.MSS = c.sendMSS()
	p.raiseAt = now
	if p.whole {
		c.searchEnds(now)
	}
}

// searchLost is asked of octets newly given up, the first of which is first. It takes note if
// the probe is among them: the path does not carry its size, or looks as if. It says whether
// the probe is all that was lost: that is no congestion.
// https://www.rfc-editor.org/rfc/rfc4821.html#section-7.6.3
func (c *Conn) searchLost(now mono.Time, lost int, first seq.Num) bool {
	p := &c.path
	if !p.out {
		return false
	}
	i := c.board.find(p.probe.Start)
	if i == c.board.len() || c.board.at(i).start != p.probe.Start || c.board.at(i).mark&markLost == 0 {
		return false
	}
	c.searchFailed(now)
	return first == p.probe.Start && lost == p.probe.Len()
}

// searchFailed takes note that the probe was lost.
func (c *Conn) searchFailed(now mono.Time) {
	p := &c.path
	p.out, p.whole = false, false
	p.high = min(p.high, p.size-1)
	p.raiseAt = now.Add(c.rtt.rto)
	c.p.Stats.TCPMTUPFail++
	if !c.bySACK() {
		c.searchEnds(now)
	}
}

// SetPathMSS says that the path carries segments of at most mss octets, options included, as
// a router said. What is on its way and larger is cut when it is sent again. What we announce
// to the peer is what the link carries, and stays: the way back is another path.
func (c *Conn) SetPathMSS(now mono.Time, mss int) {
	p := &c.path
	mss = max(mss, MinMSS)
	p.mss = min(p.mss, sizeOf(mss))
	if c.snd.mss < mss {
		if int(p.high) > mss {
			p.high, p.whole = sizeOf(mss), true // the search may as well go there
		}
		return
	}
	p.out, p.whole = false, false
	p.high, p.raiseAt = p.most, now.Add(raiseEvery)
	c.shrinkMSS(mss)
}

// SetLinkMSS says that the link carries segments of at most mss octets, options included.
func (c *Conn) SetLinkMSS(mss int) {
	p := &c.path
	mss = max(mss, MinMSS)
	c.p.MSS = min(c.p.MSS, mss) // the peer's SYN, which may be still to come, is measured by it
	p.mss, p.most, p.high = min(p.mss, sizeOf(mss)), min(p.most, sizeOf(mss)), min(p.high, sizeOf(mss))
	c.shrinkMSS(mss)
}

// PathMSS returns what the path carries as far as is known, options included.
func (c *Conn) PathMSS() int { return int(c.path.mss) }

// shrinkMSS makes segments smaller. What is on its way and larger is lost.
func (c *Conn) shrinkMSS(mss int) {
	if mss >= c.snd.mss {
		return
	}
	c.snd.mss = mss
	c.flow.MSS = c.sendMSS()
	for i := range c.board.len() {
		if c.board.at(i).len() > c.sendMSS()+1 {
			c.board.markLost(i)
			c.board.at(i).mark &^= markNews // its size was at fault, not congestion
		}
	}
}
