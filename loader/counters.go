package loader

import (
	"iter"

	"github.com/millrace-tcp/millrace/bpf"
)

// Counters are the ways in which packets have left the XDP program since it was attached,
// summed over the CPUs. Each packet is counted once. The names are those of enum counter in
// bpf/xdp.c.
type Counters struct {
	Redirected      uint64 // segments of claimed flows, to their socket
	RedirectedICMP  uint64 // ICMP errors about claimed flows, to the socket
	NoSocket        uint64 // claimed, but the queue has no socket: dropped
	DroppedFragment uint64 // first fragments of claimed flows
	PassedUnclaimed uint64 // TCP, or ICMP errors about TCP, that nobody claims
	PassedFragment  uint64 // fragments without ports, or of unclaimed flows
	PassedProtocol  uint64 // neither TCP nor an ICMP error about TCP
	PassedHeader    uint64 // a second VLAN tag, or an IPv6 header that is not walked
	PassedMalformed uint64 // cut short, or with lengths that cannot be
	PassedGroup     uint64 // to a broadcast or multicast MAC address
}

// counter joins a number of the C enum with its name in metrics and its field.
type counter struct {
	name  string
	value *uint64
}

// table has a counter at each number of the C enum.
func (c *Counters) table() [bpf.MillraceCounterCOUNTERS]counter {
	return [...]counter{
		bpf.MillraceCounterREDIRECTED:       {"redirected", &c.Redirected},
		bpf.MillraceCounterREDIRECTED_ICMP:  {"redirected_icmp", &c.RedirectedICMP},
		bpf.MillraceCounterNO_SOCKET:        {"no_socket", &c.NoSocket},
		bpf.MillraceCounterDROPPED_FRAGMENT: {"dropped_fragment", &c.DroppedFragment},
		bpf.MillraceCounterPASSED_UNCLAIMED: {"passed_unclaimed", &c.PassedUnclaimed},
		bpf.MillraceCounterPASSED_FRAGMENT:  {"passed_fragment", &c.PassedFragment},
		bpf.MillraceCounterPASSED_PROTOCOL:  {"passed_protocol", &c.PassedProtocol},
		bpf.MillraceCounterPASSED_HEADER:    {"passed_header", &c.PassedHeader},
		bpf.MillraceCounterPASSED_MALFORMED: {"passed_malformed", &c.PassedMalformed},
		bpf.MillraceCounterPASSED_GROUP:     {"passed_group", &c.PassedGroup},
	}
}

// All yields each counter under its name in metrics, in the order of the C enum.
func (c Counters) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, n := range c.table() {
			if !yield(n.name, *n.value) {
				return
			}
		}
	}
}
