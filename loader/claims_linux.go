package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/bpf"
)

// Register enters the AF_XDP socket that serves a receive queue. The map holds the socket,
// not the descriptor: the caller's remains the caller's. The kernel takes the socket out
// when it is closed.
func (p *Program) Register(queue int, xskFD int) error {
	what := fmt.Sprintf("register the socket of queue %d", queue)
	if err := checkQueue(queue); err != nil {
		return p.failed(what, err)
	}
	return p.do(what, func() error {
		return p.objs.Xsks.Put(uint32(queue), uint32(xskFD))
	})
}

// Unregister takes a queue's socket out. That there is none is no error.
func (p *Program) Unregister(queue int) error {
	what := fmt.Sprintf("unregister the socket of queue %d", queue)
	if err := checkQueue(queue); err != nil {
		return p.failed(what, err)
	}
	return p.do(what, func() error {
		err := p.objs.Xsks.Delete(uint32(queue))
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		return err
	})
}

func checkQueue(queue int) error {
	if queue < 0 || queue >= QueuesMax {
		return fmt.Errorf("%w: queues are numbered from 0 to %d", unix.EINVAL, QueuesMax-1)
	}
	return nil
}

// ClaimListen claims what is sent to a listening address and port. The wildcard 0.0.0.0 is
// for IPv4 and :: for IPv6; who listens on both claims both. A wildcard applies to the
// addresses of SetLocalAddrs alone, so that what is forwarded stays with the kernel. A
// second claim fails with an error that wraps EADDRINUSE, a full map with ErrFull.
func (p *Program) ClaimListen(local netip.AddrPort) error {
	what := fmt.Sprintf("claim %v", local)
	if err := checkListen(local); err != nil {
		return p.failed(what, err)
	}
	return p.do(what, func() error { return claim(p.objs.Listens, listenKey(local)) })
}

// ReleaseListen gives a listening address back to the kernel. The caller has seen to it
// that no connection to it is left.
func (p *Program) ReleaseListen(local netip.AddrPort) error {
	return p.do(fmt.Sprintf("release %v", local), func() error {
		return p.objs.Listens.Delete(listenKey(local))
	})
}

// ClaimFlow claims one connection by its two ends. A second claim fails with an error that
// wraps EADDRINUSE, a full map with ErrFull.
func (p *Program) ClaimFlow(local, remote netip.AddrPort) error {
	what := fmt.Sprintf("claim %v to %v", local, remote)
	if err := checkFlow(local, remote); err != nil {
		return p.failed(what, err)
	}
	return p.do(what, func() error { return claim(p.objs.Flows, flowKey(local, remote)) })
}

// ReleaseFlow gives a connection's segments back to the kernel.
func (p *Program) ReleaseFlow(local, remote netip.AddrPort) error {
	return p.do(fmt.Sprintf("release %v to %v", local, remote), func() error {
		return p.objs.Flows.Delete(flowKey(local, remote))
	})
}

// SetLocalAddrs replaces the addresses that a wildcard claim applies to. Addresses that
// stay are never absent on the way.
func (p *Program) SetLocalAddrs(addrs []netip.Addr) error {
	return p.do("set the local addresses", func() error {
		p.addrsMu.Lock()
		defer p.addrsMu.Unlock()
		want := make(map[bpf.MillraceAddr]struct{}, len(addrs))
		for _, a := range addrs {
			want[addrKey(a)] = struct{}{}
		}
		for a := range p.addrs {
			if _, stays := want[a]; stays {
				continue
			}
			if err := p.objs.Addrs.Delete(a); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
			delete(p.addrs, a)
		}
		for a := range want {
			if _, known := p.addrs[a]; known {
				continue
			}
			if err := claim(p.objs.Addrs, a); err != nil {
				return err
			}
			p.addrs[a] = struct{}{}
		}
		return nil
	})
}

// Counters returns the counters. After Close they are zero.
func (p *Program) Counters() Counters {
	var c Counters
	_ = p.do("read the counters", func() error {
		for i, n := range c.table() {
			var cpus []uint64
			if err := p.objs.Counters.Lookup(uint32(i), &cpus); err != nil {
				return err
			}
			for _, v := range cpus {
				*n.value += v
			}
		}
		return nil
	})
	return c
}

// do runs f while the maps are open.
func (p *Program) do(what string, f func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return p.failed(what, net.ErrClosed)
	}
	if err := f(); err != nil {
		return p.failed(what, err)
	}
	return nil
}

// claim enters a key that is not there.
func claim(m *ebpf.Map, key any) error {
	err := m.Update(key, uint8(1), ebpf.UpdateNoExist)
	switch {
	case errors.Is(err, ebpf.ErrKeyExist):
		return fmt.Errorf("%w: claimed already", unix.EADDRINUSE)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%w: it has %d entries", ErrFull, m.MaxEntries())
	}
	return err
}

// addrKey is an address as the program compares it: the sixteen octets on the wire, IPv4
// as ::ffff:a.b.c.d. A zone is not part of it.
func addrKey(a netip.Addr) bpf.MillraceAddr {
	var k bpf.MillraceAddr
	octets := a.As16()
	for i := range k.Word {
		k.Word[i] = binary.NativeEndian.Uint32(octets[4*i:])
	}
	return k
}

// portKey is a port in the order of the wire.
func portKey(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func listenKey(local netip.AddrPort) bpf.MillraceListen {
	return bpf.MillraceListen{Addr: addrKey(local.Addr()), Port: portKey(local.Port())}
}

func flowKey(local, remote netip.AddrPort) bpf.MillraceFlow {
	return bpf.MillraceFlow{
		Local: addrKey(local.Addr()), LocalPort: portKey(local.Port()),
		Remote: addrKey(remote.Addr()), RemotePort: portKey(remote.Port()),
	}
}
