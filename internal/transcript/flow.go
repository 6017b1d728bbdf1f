package transcript

import (
	"net/netip"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// flow is the connection that a script is about: one at a time, as with packetdrill. It
// translates between the numbers of the script and those on the link.
type flow struct {
	remote    netip.AddrPort
	localPort uint16
	passive   bool
	listening bool // no packet has come yet

	known        bool    // the local sequence number is
	localISN     seq.Num // on the link
	scriptISN    seq.Num // in the script
	remoteOffset seq.Num // added to the script's numbers of the peer

	stamps      map[uint32]uint32 // timestamps of the script, and what stood in their place
	stampKnown  bool
	firstScript uint32
	firstActual uint32
}

// listenFlow makes that of a listener the one that packets are about: the first of a peer
// begins a flow of its own.
func (p *player) listenFlow(port uint16) {
	p.under = &flow{listening: true, passive: true, localPort: port}
}

// connectFlow is that of a socket that connects: its port is known when it sends.
func (p *player) connectFlow(local uint16, remote netip.AddrPort) {
	p.under = &flow{remote: remote, localPort: local, remoteOffset: p.base, stamps: make(map[uint32]uint32)}
}

// peerFlow is that of a peer whose first packet is injected.
func (p *player) peerFlow() {
	f := &flow{passive: true, localPort: bindPort, remoteOffset: p.base, stamps: make(map[uint32]uint32)}
	if p.under != nil {
		f.localPort = p.under.localPort
	}
	f.remote = netip.AddrPortFrom(p.remote, uint16(peerPort+p.peers))
	p.peers++
	p.under = f
}

// localToScript translates one of our sequence numbers.
func (f *flow) localToScript(s seq.Num) uint32 { return uint32(s - f.localISN + f.scriptISN) }

// scriptToLocal is the other way round.
func (f *flow) scriptToLocal(s uint32) seq.Num {
	if !f.known {
		return seq.Num(s)
	}
	return seq.Num(s) - f.scriptISN + f.localISN
}

// learn takes our first sequence number from the first SYN that we send.
func (f *flow) learn(actual seq.Num, script *pktdrill.Packet) {
	if !f.known && script.Flags&pktdrill.SYN != 0 {
		f.known = true
		f.localISN, f.scriptISN = actual, seq.Num(script.Seq)
	}
}

// stamp remembers which timestamp stood where the script says val.
func (f *flow) stamp(val, actual uint32) {
	f.stamps[val] = actual
	if !f.stampKnown {
		f.stampKnown, f.firstScript, f.firstActual = true, val, actual
	}
}

// echo translates an echoed timestamp of the script.
func (f *flow) echo(ecr uint32) uint32 {
	if actual, ok := f.stamps[ecr]; ok {
		return actual
	}
	if f.stampKnown && ecr != 0 {
		return ecr - f.firstScript + f.firstActual
	}
	return ecr
}

// octet is what stands at offset i of either stream.
func octet(i int) byte { return byte(i*7 + i>>8) }

func fill(b []byte, from int) {
	for i := range b {
		b[i] = octet(from + i)
	}
}

// mismatch returns the index of the first octet of b that is not the pattern's, or -1.
func mismatch(b []byte, from int) int {
	for i := range b {
		if b[i] != octet(from+i) {
			return i
		}
	}
	return -1
}
