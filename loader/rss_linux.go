package loader

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/loader/rss"
)

// What of RSS has no name in x/sys/unix: messages, and attributes, of linux/ethtool_netlink_generated.h.
const (
	rssSet = 48 // ETHTOOL_MSG_RSS_SET, since Linux 6.17

	rssFunction  = 3
	rssTable     = 4
	rssKey       = 5
	rssTransform = 6
	rssFlowHash  = 8 // since Linux 6.17

	flowTCP4 = 4 // in rssFlowHash
	flowTCP6 = 5
)

// spread asks how an interface spreads what it receives over its queues. An interface that has no
// RSS, or none that the kernel tells of, which it does since 6.3, has settings of which nothing is
// known.
func (s sockets) spread(ifindex int) (rss.Settings, error) {
	attrs, err := s.ask(unix.ETHTOOL_GENL_NAME, unix.ETHTOOL_GENL_VERSION, unix.ETHTOOL_MSG_RSS_GET, interfaceHeader(ifindex))
	switch {
	case err != nil && unknown(err):
		return rss.Settings{}, nil
	case err != nil:
		return rss.Settings{}, fmt.Errorf("ask for the RSS: %w", err)
	}
	return readSpread(attrs), nil
}

// setTable changes the indirection table, which kernels let us do by netlink since 6.17.
func (s sockets) setTable(ifindex int, table []uint32) error {
	octets := make([]byte, 0, 4*len(table))
	for _, q := range table {
		octets = binary.NativeEndian.AppendUint32(octets, q)
	}
	err := s.tell(unix.ETHTOOL_GENL_NAME, unix.ETHTOOL_GENL_VERSION, rssSet, interfaceHeader(ifindex), nl.NewRtAttr(rssTable, octets))
	if err != nil {
		return fmt.Errorf("set the indirection table: %w", err)
	}
	return nil
}

// readSpread reads an answer. What is hashed of TCP a kernel before 6.17 does not say: what NICs
// hash unless they are told otherwise, then.
func readSpread(attrs map[uint16][]byte) rss.Settings {
	s := rss.Settings{
		Function: rss.Function(number(attrs[rssFunction])), Transform: rss.Transform(number(attrs[rssTransform])),
		Key: attrs[rssKey], Fields4: rss.Whole, Fields6: rss.Whole,
	}
	for table := attrs[rssTable]; len(table) >= 4; table = table[4:] {
		s.Table = append(s.Table, binary.NativeEndian.Uint32(table))
	}
	told, has := attrs[rssFlowHash]
	if !has {
		return s
	}
	s.Fields4, s.Fields6 = 0, 0
	flows, err := parseAttrs(told)
	if err != nil {
		return s
	}
	for _, f := range flows {
		switch f.Attr.Type &^ unix.NLA_F_NESTED {
		case flowTCP4:
			s.Fields4 = rss.Fields(number(f.Value))
		case flowTCP6:
			s.Fields6 = rss.Fields(number(f.Value))
		}
	}
	return s
}

// number reads an unsigned number, of 32 or 64 bits. What is neither, or larger than 32 bits, has
// all bits set: it is none of those that are known.
func number(b []byte) uint32 {
	switch len(b) {
	case 0:
		return 0
	case 4:
		return binary.NativeEndian.Uint32(b)
	case 8:
		return uint32(min(binary.NativeEndian.Uint64(b), 1<<32-1))
	}
	return 1<<32 - 1
}
