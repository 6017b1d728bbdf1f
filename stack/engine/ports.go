package engine

import "net/netip"

// The range of ephemeral ports (RFC 6056, section 3.2, suggests 1024-65535; IANA's dynamic
// range is 49152 on). Linux's default lies between, and is what its users' firewalls know.
const (
	EphemeralFirst = 32768
	EphemeralLast  = 60999
)

// Ports chooses the local ports of outgoing connections by the simple hash-based algorithm
// of RFC 6056, section 3.3.3: a peer sees its own sequence begin anywhere, and does not see
// how many connections others get. It is for one goroutine at a time.
type Ports struct {
	key  sipKey
	next uint32
}

// NewPorts returns a chooser keyed by key, which must be secret to be of use.
func NewPorts(key [16]byte) *Ports {
	s := newSecrets(newSIPKey(key))
	return &Ports{key: s.port}
}

// Pick returns the first port, in this peer's order, that free agrees to. It says false when
// free refused all of them.
func (p *Ports) Pick(local netip.Addr, remote netip.AddrPort, free func(port uint16) bool) (port uint16, ok bool) {
	k := keyOf(netip.AddrPortFrom(local, 0), remote)
	offset := uint32(p.key.sum(k.words()))
	const span = EphemeralLast - EphemeralFirst + 1
	for range span {
		port = EphemeralFirst + uint16((offset+p.next)%span)
		p.next++
		if free(port) {
			return port, true
		}
	}
	return 0, false
}
