package loader

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sockets is a socket of generic netlink that stays in the network namespace in which it was
// opened. Without one each question opens its own, in the namespace of the calling thread.
type sockets map[int]*nl.SocketHandle

func openSockets() (sockets, error) {
	s, err := nl.Subscribe(unix.NETLINK_GENERIC)
	if err == nil {
		err = s.SetReceiveTimeout(&nl.SocketTimeoutTv)
	}
	if err != nil {
		return nil, fmt.Errorf("open generic netlink: %w", err)
	}
	return sockets{unix.NETLINK_GENERIC: &nl.SocketHandle{Socket: s}}, nil
}

func (s sockets) close() {
	for _, one := range s {
		one.Close()
	}
}

// ethtoolHeader is the attribute with which each message of ethtool begins.
const ethtoolHeader = 1

// interfaceHeader names the interface that a question to ethtool is about.
func interfaceHeader(ifindex int) *nl.RtAttr {
	header := nl.NewRtAttr(ethtoolHeader|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	return header
}

// ask puts one question to a family of generic netlink and returns the attributes of the
// answer.
func (s sockets) ask(family string, version, command uint8, question ...*nl.RtAttr) (map[uint16][]byte, error) {
	return s.exchange(family, version, command, 0, question)
}

// tell has a family of generic netlink do something, and returns when it is done.
func (s sockets) tell(family string, version, command uint8, what ...*nl.RtAttr) error {
	_, err := s.exchange(family, version, command, unix.NLM_F_ACK, what)
	return err
}

func (s sockets) exchange(family string, version, command uint8, flags int, attrs []*nl.RtAttr) (map[uint16][]byte, error) {
	f, err := netlink.GenlFamilyGet(family)
	if err != nil {
		return nil, err
	}
	req := nl.NewNetlinkRequest(int(f.ID), flags)
	req.Sockets = s
	// Not nl.Genlmsg: it sends two octets that are not its own where the kernel may
	// insist on zeroes.
	message := []byte{command, version, 0, 0}
	for _, a := range attrs {
		message = append(message, a.Serialize()...)
	}
	req.AddRawData(message)
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	answer := make(map[uint16][]byte)
	for _, m := range msgs {
		if len(m) < nl.SizeofGenlmsg {
			continue
		}
		attrs, err := parseAttrs(m[nl.SizeofGenlmsg:])
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			answer[a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = a.Value
		}
	}
	return answer, nil
}

// parseAttrs reads attributes. The library's parser takes for granted that the last one is padded, as
// the kernel does it, but does not count it in the length of what they are nested in.
func parseAttrs(b []byte) ([]syscall.NetlinkRouteAttr, error) {
	return nl.ParseRouteAttr(append(slices.Clip(b), make([]byte, -len(b)&3)...))
}
