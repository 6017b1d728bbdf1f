package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// pathMTU finds out what the path carries without being told: when segments of full size
// vanish it goes down (black hole), and after a while it tries larger ones with data that is
// sent anyway. https://www.rfc-editor.org/rfc/rfc4821.html, RFC 8899
type pathMTU struct {
	high    int       // segments larger than this, options included, do not get through; 0: not searching
	raiseAt mono.Time // when a larger segment is tried
	out     bool      // one is on its way
	probe   seq.Range
	size    int // its size, options included
}

const (
	// blackHoleAfter is how many time-outs in a row of the same full-sized segment make the
	// path suspect: the second one may be bad luck.
	blackHoleAfter = 3
	// searchBase is the segment that every path carries: 1200 octets of packet are what QUIC
	// relies on, and 1024 what section 7.2 of RFC 4821 starts from.
	searchBase = 1024
	// raiseEvery is PMTU_RAISE_TIMER of RFC 8899, section 5.1.1.
	raiseEvery = 600 * time.Second
	// searchStep is how close the search goes.
	searchStep = 32
)

// blackHole makes segments smaller when nothing else explains that they vanish.
func (c *Conn) blackHole(now mono.Time) {
	if c.life.retries < blackHoleAfter || c.snd.mss <= searchBase || c.board.first().len() <= searchBase {
		return
	}
	c.p.Stats.TCPMTUPFail++
	c.path.high = c.snd.mss - 1
	c.path.out = false
	c.path.raiseAt = now.Add(raiseEvery)
	c.shrinkMSS(max(searchBase, c.snd.mss/2))
}

// searchSize returns the size of the segment to try now, options included, or 0: none. It
// is tried only with data for two more, in a connection that is not recovering, so that its
// loss is found by what follows it (RFC 4821, section 7.4).
func (c *Conn) searchSize(now mono.Time, unsent int) int {
	p := &c.path
	if p.high == 0 || p.out || now < p.raiseAt || c.rec.mode != modeOpen || !c.bySACK() {
		return 0
	}
	size := (c.snd.mss + min(p.high, c.p.MSS) + 1) / 2
	if size-c.snd.mss < searchStep {
		p.raiseAt = now.Add(raiseEvery)
		p.high = c.p.MSS
		return 0
	}
	room := c.snd.UNA.Add(c.snd.WND).Sub(c.snd.NXT)
	if unsent < 3*size || room < 3*size || !c.fits(3*size, c.sendWindow()) {
		return 0
	}
	return size
}

// tried takes note of the segment that was sent larger than known to pass.
func (c *Conn) tried(s *sent, size int) {
	c.path.out = true
	c.path.probe = seq.Range{Start: s.start, End: s.end}
	c.path.size = size
}

// searchAcked raises the size when the probe has arrived, and searches on.
func (c *Conn) searchAcked(now mono.Time) {
	p := &c.path
	if !p.out || c.snd.UNA.Less(p.probe.End) {
		return
	}
	p.out = false
	c.p.Stats.TCPMTUPSuccess++
	c.snd.mss = max(c.snd.mss, p.size)
	c.flow.MSS = c.sendMSS()
	p.raiseAt = now
}

// searchLost says whether what was found lost is the probe alone: that is no congestion, and
// the path does not carry the size. https://www.rfc-editor.org/rfc/rfc4821.html#section-7.6.3
func (c *Conn) searchLost(now mono.Time, lost int, first seq.Num) bool {
	p := &c.path
	if !p.out || first != p.probe.Start || lost != p.probe.Len() {
		return false
	}
	p.out = false
	p.high = p.size - 1
	p.raiseAt = now.Add(c.rtt.timeout())
	c.p.Stats.TCPMTUPFail++
	return true
}
