package loader_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/loader"
)

// "A fragmented segment of a claimed flow is dropped with a counter, never passed on for
// the kernel to answer with RST." The kernel of host a would, as it shows on a port that is
// not claimed.
func TestFragmentsOfAClaimedFlowAreNotAnswered(t *testing.T) {
	const claimed, closed = 8080, 8081
	l := newLab(t, lab.Config{})
	p := attach(t, l.A, loader.Config{})
	for _, pair := range [][2]netip.Addr{
		{l.B.IP4.Addr(), l.A.IP4.Addr()}, {l.B.IP6.Addr(), l.A.IP6.Addr()},
	} {
		src, dst := pair[0], pair[1]
		if err := p.ClaimListen(netip.AddrPortFrom(dst, claimed)); err != nil {
			t.Fatal(err)
		}
		before := p.Counters()
		answers := rawSocket(t, l.B, src, unix.IPPROTO_TCP)
		out := rawSocket(t, l.B, src, unix.IPPROTO_RAW)
		// In this order: an answer from the first would come before that from the second.
		for i, port := range []uint16{claimed, closed} {
			for _, packet := range fragmentedSYN(src, dst, port, byte(i+1)) {
				if err := unix.Sendto(out, packet, 0, sockaddr(dst)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if from := resetFrom(t, answers, src); from != closed {
			t.Errorf("%v: a reset from port %d, want one from %d alone", dst, from, closed)
		}
		after := p.Counters()
		if n := after.DroppedFragment - before.DroppedFragment; n != 1 {
			t.Errorf("%v: %d fragments dropped, want the first one", dst, n)
		}
		if n := after.PassedFragment - before.PassedFragment; n != 3 {
			t.Errorf("%v: %d fragments passed, want 3", dst, n)
		}
	}
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

func rawSocket(t *testing.T, h *lab.Host, a netip.Addr, protocol int) (fd int) {
	t.Helper()
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	err := h.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	wait := unix.NsecToTimeval(deadline.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		t.Fatal(err)
	}
	return fd
}

// resetFrom waits for a reset and returns the port that it is from.
func resetFrom(t *testing.T, fd int, a netip.Addr) int {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("wait for a reset: %v", err)
		}
		b := buf[:n]
		if a.Is4() {
			b = b[int(b[0]&15)*4:] // raw IPv4 sockets show the header, those of IPv6 do not
		}
		if len(b) >= 20 && b[13]&4 != 0 {
			return int(binary.BigEndian.Uint16(b))
		}
	}
}

// fragmentedSYN is a whole and correct SYN of 40 octets, in two IP packets.
func fragmentedSYN(src, dst netip.Addr, port uint16, id byte) [2][]byte {
	seg := make([]byte, 40)
	binary.BigEndian.PutUint16(seg, 1234)
	binary.BigEndian.PutUint16(seg[2:], port)
	seg[7], seg[12], seg[13], seg[14] = 1, 5<<4, 2, 16
	pseudo := append(append(src.AsSlice(), dst.AsSlice()...), 0, unix.IPPROTO_TCP, 0, byte(len(seg)))
	binary.BigEndian.PutUint16(seg[16:], checksum(append(pseudo, seg...)))

	const cut = 24 // a multiple of eight
	if src.Is4() {
		header := func(field byte, offset byte, n int) []byte {
			h := []byte{0x45, 0, 0, byte(20 + n), 0, id, field, offset, 64, unix.IPPROTO_TCP, 0, 0}
			return append(append(h, src.AsSlice()...), dst.AsSlice()...)
		}
		return [2][]byte{
			append(header(0x20, 0, cut), seg[:cut]...),
			append(header(0, cut/8, len(seg)-cut), seg[cut:]...),
		}
	}
	header := func(offset byte, n int) []byte {
		h := []byte{0x60, 0, 0, 0, 0, byte(8 + n), unix.IPPROTO_FRAGMENT, 64}
		h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
		return append(h, unix.IPPROTO_TCP, 0, 0, offset, 0, 0, 0, id)
	}
	return [2][]byte{
		append(header(1, cut), seg[:cut]...),
		append(header(cut, len(seg)-cut), seg[cut:]...),
	}
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
