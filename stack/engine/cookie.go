package engine

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Cookies says when a SYN is answered without keeping anything of it (RFC 4987, section 3.6).
type Cookies uint8

// The uses of SYN cookies.
const (
	CookiesWhenFull Cookies = iota // when as many connections are half open as may be
	CookiesAlways
	CookiesNever // what is too much is dropped
)

// cookieTick is the unit of a cookie's age: one is good in the tick that it was made in and
// in the next, which is one to two minutes. The last repetition of a SYN's answer, were there
// one, would come after 31 s.
const cookieTick = time.Minute

// cookieMSSBits is how many of the 32 bits hold the index of the MSS. The other 29 are a
// keyed hash: one of 2^28 guesses passes, two ticks counted.
const cookieMSSBits = 3

var _ = [1 << cookieMSSBits]uint16(tcp.CookieMSS) // as many sizes as the bits can tell

// cookie is our initial sequence number for a SYN with sequence number irs, and the MSS that
// index stands for. All engines with one key make the same.
func (s *secrets) cookie(k *flowKey, irs seq.Num, tick uint64, index int) seq.Num {
	flow := s.cookies.sum(k.words())
	mac := s.cookies.sum([5]uint64{flow, uint64(irs), tick, uint64(index), purposeCookie})
	return seq.Num(uint32(mac)<<cookieMSSBits | uint32(index))
}

func cookieTickOf(now mono.Time) uint64 { return uint64(now) / uint64(cookieTick) }

// sendCookie answers a SYN without keeping anything of it.
func (e *Engine) sendCookie(now mono.Time, l *Listener, in *inbound) {
	back, mtu := e.wayBack(in)
	iss := e.secrets.cookie(&in.key, in.seg.SEQ, cookieTickOf(now), tcp.CookieMSSIndex(&in.seg))
	r := tcp.CookieRequest(now, &in.seg, iss)
	p := e.halfParams(&in.key, l, mtu)
	p.TSOffset = r.CookieOffset(now, p.TSOffset)
	s := &e.scratch
	n := r.Answer(now, &s.tcp, l.tcp, p, s.buf[:])
	e.replyWith(&in.key, back, s.buf[:n])
	e.stats.SyncookiesSent++
	e.noteCookie(now)
}

// cookieIn looks whether a segment of no connection acknowledges a cookie, and makes the
// connection if so. It says whether the segment was dealt with; it was not, then it is
// answered as any other stray one. None is looked at unless cookies were sent lately: who
// only guesses has no chance outside of a flood.
func (e *Engine) cookieIn(now mono.Time, l *Listener, in *inbound) bool {
	seg := &in.seg
	if seg.Flags&(wire.SYN|wire.RST|wire.ACK) != wire.ACK || !e.cookiesOut(now) {
		return false
	}
	iss := seg.ACK.Add(-1)
	index := int(uint32(iss) & (1<<cookieMSSBits - 1))
	tick := cookieTickOf(now)
	if iss != e.secrets.cookie(&in.key, seg.SEQ.Add(-1), tick, index) &&
		iss != e.secrets.cookie(&in.key, seg.SEQ.Add(-1), tick-1, index) {
		e.stats.SyncookiesFailed++
		return false
	}
	e.stats.SyncookiesRecv++
	if e.memoryFull() {
		e.stats.ListenDrops++
		e.stats.Drop.Memory++
		return true
	}
	if !e.refusesConn(l) {
		r := tcp.CookieAck(now, seg, index)
		e.acceptRequest(now, l, in, &r)
	}
	return true
}

// noteCookie takes note, for all queues, that a cookie was sent.
func (e *Engine) noteCookie(now mono.Time) {
	e.cookieAt = now
	if d := e.cfg.Directory; d != nil {
		d.cookieAt.Store(int64(now))
	}
}

// cookiesOut says whether a cookie may be out that is still good.
func (e *Engine) cookiesOut(now mono.Time) bool {
	at := e.cookieAt
	if d := e.cfg.Directory; d != nil {
		at = max(at, mono.Time(d.cookieAt.Load()))
	}
	return at != 0 && now.Sub(at) <= 2*cookieTick
}
