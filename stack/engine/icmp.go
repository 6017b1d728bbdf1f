package engine

import (
	"net/netip"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// icmpIn handles an ICMP message. Only errors about connections of ours are of interest, and
// only those that quote what is in flight are believed.
// https://www.rfc-editor.org/rfc/rfc5927.html#section-4.1
func (e *Engine) icmpIn(now mono.Time, forwarded bool) {
	m := &e.icmp
	if wire.ParseICMP(&e.in.ip, m) != nil {
		e.stats.Drop.ICMP++
		return
	}
	key := keyOf(netip.AddrPortFrom(m.Src, m.SrcPort), netip.AddrPortFrom(m.Dst, m.DstPort))
	c := e.flows.get(&key)
	if c == nil {
		if forwarded || !e.forwardToOwner(&key) {
			e.stats.Drop.ICMP++
		}
		return
	}
	if !c.tcp.InFlight(m.SEQ) {
		e.stats.Drop.ICMPSequence++
		return
	}
	e.believe(now, c, m)
}

// believe acts on an ICMP error. None ends a connection (RFC 9293, section 3.9.2.2), and tcp.Conn
// sees to it that each ends an attempt to connect: the soft ones too, which the RFC would only
// have reported, for whoever dials has other addresses to try (RFC 5461, section 4.1).
func (e *Engine) believe(now mono.Time, c *Conn, m *wire.ICMPError) {
	switch m.Kind {
	case wire.PacketTooBig:
		e.tooBig(now, c, m.MTU)
	case wire.PortUnreachable:
		e.stats.ICMPUnreachable++
		c.tcp.Unreachable(now, true)
	case wire.ProtoUnreachable:
		e.stats.ICMPUnreachable++
		c.tcp.FailConnect(tcp.NoProtocol)
	case wire.NetUnreachable:
		e.stats.ICMPUnreachable++
		c.tcp.FailConnect(tcp.NetUnreachable)
	case wire.HostUnreachable, wire.AdminProhibited, wire.SourceRouteFailed,
		wire.TimeExceeded, wire.ParameterProblem:
		e.stats.ICMPUnreachable++
		c.tcp.Unreachable(now, false)
	}
	e.touch(c)
}

// plateaus are the MTUs that links have (RFC 1191, section 7.1), for routers that do not say
// which theirs is.
var plateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68}

// tooBig lowers the path MTU of c, and with it of all connections to its peer. A router cannot
// raise it, nor press it below what every path of its family carries.
func (e *Engine) tooBig(now mono.Time, c *Conn, mtu int) {
	w := &c.way
	carries := c.tcp.PathMSS() + w.overhead()
	if mtu == 0 && !w.v6 {
		for _, p := range plateaus {
			if p < carries {
				mtu = p
				break
			}
		}
	}
	switch {
	case w.v6 && mtu < pathMin6:
		// "If a node receives a Packet Too Big message reporting a next-hop MTU that is less than
		// the IPv6 minimum link MTU, it must discard it" (RFC 8201, section 4).
		e.stats.Drop.ICMP++
		return
	case !w.v6:
		mtu = max(mtu, pathMin4)
	}
	if mtu >= carries || c.tcp.State() == tcp.StateClosed {
		return
	}
	e.stats.ICMPPathMTU++
	e.learnPath(now, c, mtu)
	e.followPath(now, c)
}

// What is the least that a path MTU is taken for. Linux's floor for IPv4 (min_pmtu) is 552:
// links below it are extinct, and forged messages are not. RFC 8200 says 1280 for IPv6, and who
// says less there is not believed at all.
const (
	pathMin4 = 552
	pathMin6 = 1280
)
