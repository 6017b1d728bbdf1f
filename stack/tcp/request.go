package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Request is a passive open whose handshake is under way: the SYN, and what became of our
// answer to it. It is a plain value of 48 octets, where a Conn has some thousands; when
// there is something to decide a Conn is made of it, for the moment or for good, so that
// the rules stand in one place.
type Request struct {
	openedAt mono.Time // when the SYN came
	sentAt   mono.Time // when it was last answered
	iss, irs seq.Num
	tsVal    uint32
	flags    wire.Flags
	wnd, mss uint16
	has      wire.OptionSet
	scale    uint8
	ecn      uint8
	resent   uint8 // how often the answer was repeated
	cookie   bool  // nothing was kept: when the SYN came, and was answered, is not known
}

// NewRequest keeps what syn asks for. iss is our initial sequence number for it.
func NewRequest(now mono.Time, syn *wire.Segment, iss seq.Num) Request {
	return Request{
		openedAt: now, sentAt: now, iss: iss, irs: syn.SEQ, tsVal: syn.Opt.TSVal,
		flags: syn.Flags, wnd: syn.WND, mss: syn.Opt.MSS,
		has: syn.Opt.Has &^ wire.HasSACK, scale: syn.Opt.WScale, ecn: syn.ECN,
	}
}

// syn is the segment that the request was made of.
func (r *Request) syn() wire.Segment {
	return wire.Segment{
		SEQ: r.irs, Flags: r.flags, WND: r.wnd, ECN: r.ecn,
		Opt: wire.Options{Has: r.has, MSS: r.mss, WScale: r.scale, TSVal: r.tsVal},
	}
}

// Answer writes our SYN and ACK into b, by way of c, which is overwritten, and returns its
// length.
func (r *Request) Answer(now mono.Time, c *Conn, cfg *Config, p Params, b []byte) int {
	opens := p.Stats.PassiveOpens
	syn := r.syn()
	p.ISS = r.iss
	c.Accept(now, cfg, p, &syn)
	p.Stats.PassiveOpens = opens
	c.count.synResent = int(r.resent)
	r.sentAt = now
	return c.Output(now, b)
}

// Due is when the answer is to be repeated if nothing comes: the time-out of RFC 6298 with
// its back-off.
func (r *Request) Due(cfg *Config) mono.Time {
	return r.sentAt.Add(backedOff(cfg.RTOInitial, uint(r.resent), cfg.RTOMax))
}

// Repeat takes note that the answer is to be repeated. It says false when it was repeated
// often enough: the request is given up.
func (r *Request) Repeat(cfg *Config, stats *Stats) bool {
	if int(r.resent) >= min(cfg.SYNACKRetries, resentMax) {
		stats.AttemptFails++
		return false
	}
	r.resent++
	stats.TCPSynRetrans++
	return true
}

// resentMax is what the counter of repetitions holds. With the back-off of RFC 6298 it is
// more than an hour.
const resentMax = 255

// Age is how long the request has waited.
func (r *Request) Age(now mono.Time) time.Duration { return now.Sub(r.openedAt) }

// Completes says whether seg acknowledges our SYN: a Conn made by AcceptRequest that takes it
// as its input is open, unless it lies outside of the window.
func (r *Request) Completes(seg *wire.Segment) bool {
	return seg.Flags&(wire.RST|wire.ACK) == wire.ACK && seg.ACK == r.iss.Add(1)
}

// AcceptRequest makes c the connection that r asks for: in SYN-RECEIVED, our answer sent.
func (c *Conn) AcceptRequest(cfg *Config, p Params, r *Request) {
	syn := r.syn()
	p.ISS = r.iss
	sent := p.Stats.OutSegs
	c.Accept(r.openedAt, cfg, p, &syn)
	c.count.synResent = int(r.resent)
	c.life.retries = int(r.resent)
	c.count.unmeasured = r.cookie
	var b [headerMax]byte
	c.putSYN(r.sentAt, b[:]) // it was sent before: this only brings c to where it was then
	p.Stats.OutSegs = sent
	c.owe.syn = false
}

// Judge takes a segment that does not complete the handshake, by way of c, which is
// overwritten. What is owed then is for c.Output. It says whether the request lives on.
func (r *Request) Judge(now mono.Time, c *Conn, cfg *Config, p Params, seg *wire.Segment) bool {
	opens := p.Stats.PassiveOpens
	if seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN && seg.SEQ == r.irs {
		// What is fed back of the handshake is the codepoint of "the latest valid SYN".
		// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.5
		r.ecn = seg.ECN
		// "SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent": what is echoed is the latest, too.
		// https://www.rfc-editor.org/rfc/rfc7323.html#section-4.3
		if seg.Opt.Has&r.has&wire.HasTimestamps != 0 && int32(seg.Opt.TSVal-r.tsVal) > 0 {
			r.tsVal = seg.Opt.TSVal
		}
	}
	c.AcceptRequest(cfg, p, r)
	p.Stats.PassiveOpens = opens
	c.Input(now, seg)
	return c.state != StateClosed
}

// Abort has c, which is overwritten, owe the RST that tells the peer that the request is
// refused after all.
func (r *Request) Abort(now mono.Time, c *Conn, cfg *Config, p Params) {
	opens := p.Stats.PassiveOpens
	c.AcceptRequest(cfg, p, r)
	p.Stats.PassiveOpens = opens
	c.Abort(now)
}
