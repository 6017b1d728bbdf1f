package sim

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Narrows is a path whose MTU shrinks while it is in use.
type Narrows struct {
	From  mono.Time
	MTU   int  // 0: it does not shrink
	Tells bool // the sender hears of it by ICMP; else the path is a black hole
}

// tooBig says whether the path does not carry a packet of so many octets.
func (l *path) tooBig(now mono.Time, octets int) bool {
	n := &l.cfg.Narrows
	return n.MTU > 0 && now >= n.From && octets > n.MTU
}

// Where the router of a path sends its messages from.
var routerAddr = [2]netip.Addr{netip.MustParseAddr("10.77.0.254"), netip.MustParseAddr("fd77::fe")}

// tell has the sender of a frame hear that the path carries packets of at most mtu octets:
// "fragmentation needed" (RFC 1191), or "packet too big" (RFC 8201). It comes back after the
// delay of the path, as if it were the far end that is narrow.
func (n *network) tell(h *host, frame []byte, mtu int) {
	i, ok := n.packets.get(placeFlying)
	if !ok {
		return
	}
	p := &n.packets.all[i]
	p.n = putTooBig(p.buf, frame, mtu)
	l := n.paths[h.out]
	p.sent, p.path = n.now, n.hosts[l.to].out
	n.events.put(event{at: n.now.Add(l.cfg.Delay + time.Microsecond), kind: eventArrive, ref: i})
}

// quoteMax is how much of the packet a message quotes; RFC 1812 asks for 576 octets in all.
const quoteMax = 500

// putTooBig writes the message about a frame into b, and returns its length.
func putTooBig(b, frame []byte, mtu int) int {
	quote := frame[wire.EthernetLen:]
	v6 := quote[0]>>4 == 6
	quote = quote[:min(len(quote), quoteMax)]
	copy(b, frame[6:12]) // back to who sent it
	copy(b[6:], frame[:6])
	copy(b[12:], frame[12:14])
	ip := b[wire.EthernetLen:]
	clear(ip[:48])
	if v6 {
		n := copy(ip[48:], quote) + 8
		ip[0], ip[6], ip[7] = 0x60, wire.ProtoICMP6, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(n))
		src := routerAddr[1].As16()
		copy(ip[8:], src[:])
		copy(ip[24:], quote[8:24])
		ip[40] = 2 // packet too big
		binary.BigEndian.PutUint32(ip[44:], uint32(mtu))
		pseudo := wire.PseudoSum6(src, [16]byte(quote[8:24]), wire.ProtoICMP6, n)
		binary.BigEndian.PutUint16(ip[42:], wire.Sum(ip[40:40+n], pseudo).Checksum())
		return wire.EthernetLen + 40 + n
	}
	n := copy(ip[28:], quote) + 8
	ip[0], ip[8], ip[9] = 0x45, 64, wire.ProtoICMP
	binary.BigEndian.PutUint16(ip[2:], uint16(20+n))
	src := routerAddr[0].As4()
	copy(ip[12:], src[:])
	copy(ip[16:], quote[12:16])
	clear(ip[20:28])
	ip[20], ip[21] = 3, 4 // fragmentation needed
	binary.BigEndian.PutUint16(ip[26:], uint16(mtu))
	binary.BigEndian.PutUint16(ip[10:], wire.Sum(ip[:20], 0).Checksum())
	binary.BigEndian.PutUint16(ip[22:], wire.Sum(ip[20:20+n], 0).Checksum())
	return wire.EthernetLen + 20 + n
}

// squeezes says whether the path takes some of the window that a segment offers, and how
// much of 65536 it leaves: what a peer does that takes back what it has promised (RFC 9293,
// section 3.8.6, forbids it, and asks the sender to bear it).
func (l *path) squeezes() (left uint32, yes bool) {
	if !l.hit(l.cfg.Squeeze) {
		return 0, false
	}
	if l.hit(0.3) {
		return 0, true
	}
	return l.rng.Uint32N(1 << 16), true
}

// squeeze lowers the window of the segment in frame, and corrects its checksum (RFC 1624,
// equation 3). SYNs are left alone: without an ACK of data behind them nothing was promised.
func squeeze(frame []byte, left uint32) bool {
	var seg wire.Segment
	if !parse(frame, &seg) || seg.Flags&(wire.SYN|wire.RST) != 0 {
		return false
	}
	h := wire.EthernetLen + 20
	if frame[wire.EthernetLen]>>4 == 6 {
		h += 20
	} else {
		h = wire.EthernetLen + int(frame[wire.EthernetLen]&15)*4
	}
	t := frame[h:]
	was := binary.BigEndian.Uint16(t[14:])
	is := uint16(uint32(was) * left >> 16)
	binary.BigEndian.PutUint16(t[14:], is)
	sum := uint32(^binary.BigEndian.Uint16(t[16:])) + uint32(^was) + uint32(is)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(t[16:], ^uint16(sum))
	return true
}
