package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// A SYN cookie is an answer to a SYN of which nothing is kept: our initial sequence number
// holds what is needed later, and a peer that can acknowledge it has shown that its address
// is its own (RFC 4987, section 3.6). The number has room for the MSS only; window scale,
// SACK and ECN travel in the low bits of our timestamp, which the peer echoes. A peer without
// timestamps gets none of them.

// CookieMSS are the segment sizes that a cookie distinguishes: what a peer offers is rounded
// down to the next. Linux's eight for both families, less those that no link has, and more
// for IPv6, tunnels and jumbo frames.
var CookieMSS = [...]uint16{MinMSS, DefaultMSS, 1220, 1300, 1400, 1440, 1460, 8940}

// CookieMSSIndex returns the index in CookieMSS for what syn offers.
func CookieMSSIndex(syn *wire.Segment) int {
	offered := uint16(DefaultMSS)
	if syn.Opt.Has&wire.HasMSS != 0 {
		offered = syn.Opt.MSS
	}
	i := len(CookieMSS) - 1
	for i > 0 && CookieMSS[i] > offered {
		i--
	}
	return i
}

// The low bits of the timestamp of a cookie. Taking them costs the clock its resolution of
// 64 ms for one segment.
const (
	cookieScaleMask  = 15 // the peer's window scale; cookieScaleNone: not offered
	cookieScaleNone  = 15
	cookieSACK       = 1 << 4
	cookieECN        = 1 << 5
	cookieStampMask  = 1<<6 - 1
	cookieStampUnits = 1 << 6
)

// CookieRequest reduces syn to what a cookie can carry. iss is the cookie.
func CookieRequest(now mono.Time, syn *wire.Segment, iss seq.Num) Request {
	r := NewRequest(now, syn, iss)
	r.cookie = true
	r.has |= wire.HasMSS
	r.mss = CookieMSS[CookieMSSIndex(syn)]
	r.ecn = 0
	if r.has&wire.HasTimestamps == 0 {
		r.has &^= wire.HasWScale | wire.HasSACKPermitted
		r.flags &^= ecnFlags
	}
	if r.flags&(wire.ECE|wire.CWR) != wire.ECE|wire.CWR {
		r.flags &^= ecnFlags
	}
	r.flags &^= wire.AE // a peer that asks for AccECN takes RFC 3168 (RFC 9768, section 3.1.1)
	return r
}

// CookieOffset returns the TSOffset that makes our timestamp, at now, carry what r has
// agreed to. It is not ahead of the offset that the connection has otherwise, so that its
// timestamps never run backwards.
func (r *Request) CookieOffset(now mono.Time, offset uint32) uint32 {
	bits := uint32(cookieScaleNone)
	if r.has&wire.HasWScale != 0 {
		bits = uint32(min(r.scale, maxShift))
	}
	if r.has&wire.HasSACKPermitted != 0 {
		bits |= cookieSACK
	}
	if r.flags&wire.ECE != 0 {
		bits |= cookieECN
	}
	clock := uint32(now / mono.Time(time.Millisecond))
	stamp := (clock+offset)&^uint32(cookieStampMask) | bits
	if int32(stamp-(clock+offset)) > 0 {
		stamp -= cookieStampUnits
	}
	return stamp - clock
}

// CookieAck makes the request again out of ack, which acknowledges a cookie, and the index of
// the MSS in it. The caller has checked the cookie.
func CookieAck(now mono.Time, ack *wire.Segment, mss int) Request {
	r := Request{
		openedAt: now, sentAt: now, iss: ack.ACK.Add(-1), irs: ack.SEQ.Add(-1),
		flags: wire.SYN, wnd: ack.WND, mss: CookieMSS[mss], has: wire.HasMSS, cookie: true,
	}
	if ack.Opt.Has&wire.HasTimestamps == 0 {
		return r
	}
	r.has |= wire.HasTimestamps
	r.tsVal = ack.Opt.TSVal
	bits := ack.Opt.TSEcr & cookieStampMask
	if scale := uint8(bits & cookieScaleMask); scale != cookieScaleNone {
		r.has |= wire.HasWScale
		r.scale = scale
	}
	if bits&cookieSACK != 0 {
		r.has |= wire.HasSACKPermitted
	}
	if bits&cookieECN != 0 {
		r.flags |= wire.ECE | wire.CWR
	}
	return r
}
