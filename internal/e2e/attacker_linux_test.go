package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// wireEnd is a packet socket on a host's interface.
type wireEnd struct {
	t  testing.TB
	fd int
}

// openWire opens a packet socket that sends, and that receives what crosses the interface
// if listen is set. It is closed when the test ends.
func openWire(t testing.TB, h *lab.Host, listen bool) *wireEnd {
	t.Helper()
	w := &wireEnd{t: t, fd: -1}
	protocol := 0
	if listen {
		protocol = unix.ETH_P_ALL
	}
	net16 := binary.NativeEndian.Uint16([]byte{byte(protocol >> 8), byte(protocol)})
	err := h.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(net16))
		if err != nil {
			return err
		}
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: net16, Ifindex: h.Index})
	})
	if err != nil {
		t.Fatalf("open packet socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(w.fd) })
	return w
}

// send sends a frame. That the interface has no room for it loses it, as a flood may.
func (w *wireEnd) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.fd, frame); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EMSGSIZE) {
		w.t.Fatalf("send a frame of %d octets: %v", len(frame), err)
	}
}

// samples returns n frames that this host sent to the port of the other, while stir makes
// it send some. Their checksums are filled in: on a veth pair the kernel leaves them.
func (w *wireEnd) samples(port uint16, n int, stir func()) [][]byte {
	w.t.Helper()
	var found [][]byte
	buf := make([]byte, 64<<10)
	end := time.Now().Add(patience)
	for len(found) < n {
		if time.Now().After(end) {
			w.t.Fatalf("captured %d frames in %v, want %d", len(found), patience, n)
		}
		stir()
		for {
			size, from, err := unix.Recvfrom(w.fd, buf, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				w.t.Fatalf("capture: %v", err)
			}
			link, ok := from.(*unix.SockaddrLinklayer)
			if !ok || link.Pkttype != unix.PACKET_OUTGOING || size > 1514 {
				continue
			}
			frame := append([]byte(nil), buf[:size]...)
			if s, ok := findTCP(frame); ok && s.dstPort() == port {
				s.repair()
				found = append(found, frame)
			}
		}
	}
	return found
}

// found is where TCP stands in a frame.
type found struct {
	frame   []byte
	ip, tcp int // offsets
	end     int // of the IP packet
	v6      bool
}

// findTCP looks for TCP in a frame as leniently as possible: one VLAN tag, no extension
// headers, any lengths that the frame has room for. It is the test's own parser: what is
// tested must not judge itself.
func findTCP(frame []byte) (found, bool) {
	f := found{frame: frame, ip: 14}
	if len(frame) < 14+20 {
		return f, false
	}
	kind := binary.BigEndian.Uint16(frame[12:])
	if kind == 0x8100 {
		kind, f.ip = binary.BigEndian.Uint16(frame[16:]), 18
	}
	p := frame[f.ip:]
	var size, header int
	var protocol byte
	switch {
	case kind == 0x0800 && len(p) >= 20 && p[0]>>4 == 4:
		size, header, protocol = int(binary.BigEndian.Uint16(p[2:])), int(p[0]&15)*4, p[9]
	case kind == 0x86dd && len(p) >= 40 && p[0]>>4 == 6:
		size, header, protocol, f.v6 = int(binary.BigEndian.Uint16(p[4:]))+40, 40, p[6], true
	default:
		return f, false
	}
	if protocol != unix.IPPROTO_TCP || header < 20 || size > len(p) || size < header+20 {
		return f, false
	}
	f.tcp, f.end = f.ip+header, f.ip+size
	return f, true
}

func (f *found) srcPort() uint16 { return binary.BigEndian.Uint16(f.frame[f.tcp:]) }
func (f *found) dstPort() uint16 { return binary.BigEndian.Uint16(f.frame[f.tcp+2:]) }

// repair makes the checksums right.
func (f *found) repair() {
	if !f.v6 {
		h := f.frame[f.ip:f.tcp]
		h[10], h[11] = 0, 0
		binary.BigEndian.PutUint16(h[10:], ^fold(ones(0, h)))
	}
	f.frame[f.tcp+16], f.frame[f.tcp+17] = 0, 0
	binary.BigEndian.PutUint16(f.frame[f.tcp+16:], ^fold(ones(f.pseudo(), f.frame[f.tcp:f.end])))
}

// passes says whether the TCP checksum is right, or is that of the pseudo-header alone,
// which a receiver on a veth pair has to take.
func (f *found) passes() bool {
	field := binary.BigEndian.Uint16(f.frame[f.tcp+16:])
	return fold(ones(f.pseudo(), f.frame[f.tcp:f.end])) == 0xffff || field == fold(f.pseudo())
}

// pseudo is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
func (f *found) pseudo() uint32 {
	addrs := f.frame[f.ip+12 : f.ip+20]
	if f.v6 {
		addrs = f.frame[f.ip+8 : f.ip+40]
	}
	return ones(uint32(f.end-f.tcp)+unix.IPPROTO_TCP, addrs)
}

// ones adds the 16-bit words of b.
func ones(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold brings a sum to 16 bits by end-around carry (RFC 1071).
func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// attacker makes bad frames of good ones. It spares one connection from what nobody could
// tell from the peer's own segments: a wrong one with a right checksum.
type attacker struct {
	rnd     *rand.Rand
	samples [][]byte
	spared  uint16 // the peer's port of that connection, over IPv4
	mutants []int  // how often each mutation was made
}

// mutations are the ways to spoil a frame in which TCP was found, at most one each. They
// return the frame, which they may have replaced.
var mutations = []struct {
	name string
	do   func(r *rand.Rand, f *found) []byte
}{
	{"flip bits", func(r *rand.Rand, f *found) []byte {
		for range 1 + r.IntN(8) {
			f.frame[r.IntN(len(f.frame))] ^= 1 << r.IntN(8)
		}
		return f.frame
	}},
	{"flip bits of the headers", func(r *rand.Rand, f *found) []byte {
		for range 1 + r.IntN(4) {
			f.frame[f.ip+r.IntN(min(f.tcp+20, len(f.frame))-f.ip)] ^= 1 << r.IntN(8)
		}
		return f.frame
	}},
	{"cut", func(r *rand.Rand, f *found) []byte { return f.frame[:14+r.IntN(len(f.frame)-14)] }},
	{"append", func(r *rand.Rand, f *found) []byte {
		return append(f.frame, noise(r, 1+r.IntN(1514-min(len(f.frame), 1513)))...)
	}},
	{"IP length", func(r *rand.Rand, f *found) []byte {
		at := f.ip + 2
		if f.v6 {
			at = f.ip + 4
		}
		binary.BigEndian.PutUint16(f.frame[at:], length(r, len(f.frame)-f.ip))
		return f.frame
	}},
	{"IP header length", func(r *rand.Rand, f *found) []byte { f.frame[f.ip] = byte(r.Uint32()); return f.frame }},
	{"data offset", func(r *rand.Rand, f *found) []byte { f.frame[f.tcp+12] = byte(r.Uint32()); return f.frame }},
	{"flags", func(r *rand.Rand, f *found) []byte { f.frame[f.tcp+13] = byte(r.Uint32()); return f.frame }},
	{"sequence", func(r *rand.Rand, f *found) []byte { shift(r, f.frame[f.tcp+4:]); return f.frame }},
	{"acknowledgment", func(r *rand.Rand, f *found) []byte { shift(r, f.frame[f.tcp+8:]); return f.frame }},
	{"window and urgent pointer", func(r *rand.Rand, f *found) []byte {
		copy(f.frame[f.tcp+14:f.tcp+16], noise(r, 2))
		copy(f.frame[f.tcp+18:f.tcp+20], noise(r, 2))
		f.frame[f.tcp+13] |= byte(r.Uint32()) & 0x20
		return f.frame
	}},
	{"options", func(r *rand.Rand, f *found) []byte {
		f.frame[f.tcp+12] |= 0xf0
		b := f.frame[f.tcp+20 : f.end]
		copy(b, noise(r, min(len(b), 40)))
		return f.frame
	}},
	{"option kinds and lengths", func(r *rand.Rand, f *found) []byte {
		for b := f.frame[f.tcp+20 : f.end]; len(b) >= 2; b = b[1+r.IntN(len(b)):] {
			b[0], b[1] = byte(r.IntN(9)), byte(r.IntN(40))
		}
		return f.frame
	}},
	{"fragment", func(r *rand.Rand, f *found) []byte {
		if !f.v6 {
			copy(f.frame[f.ip+6:f.ip+8], noise(r, 2))
		} else {
			f.frame[f.ip+6] = 44 // the fragment header, which is then the TCP header
		}
		return f.frame
	}},
	{"extension header", func(r *rand.Rand, f *found) []byte {
		if f.v6 {
			f.frame[f.ip+6] = []byte{0, 43, 50, 51, 59, 60, 135}[r.IntN(7)]
		}
		return f.frame
	}},
	{"VLAN tag", func(r *rand.Rand, f *found) []byte {
		tagged := append([]byte(nil), f.frame[:12]...)
		tagged = append(tagged, 0x81, 0x00, byte(r.Uint32()), byte(r.Uint32()))
		return append(tagged, f.frame[12:]...)
	}},
}

// length returns a length near the true one, near the ends of the range, or any.
func length(r *rand.Rand, truth int) uint16 {
	switch r.IntN(3) {
	case 0:
		return uint16(truth + r.IntN(80) - 40)
	case 1:
		return uint16(r.IntN(60))
	}
	return uint16(r.Uint32())
}

// shift moves a sequence number by a little, by about a window, or anywhere.
func shift(r *rand.Rand, b []byte) {
	n := binary.BigEndian.Uint32(b)
	switch r.IntN(3) {
	case 0:
		n += uint32(r.IntN(3000)) - 1500
	case 1:
		n += uint32(r.IntN(8<<20)) - 4<<20
	default:
		n = r.Uint32()
	}
	binary.BigEndian.PutUint32(b, n)
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// mutant returns a frame made of a captured one by one to three mutations. Every other one
// has its checksums repaired, so that it comes past them.
func (a *attacker) mutant() []byte {
	for {
		frame := append([]byte(nil), a.samples[a.rnd.IntN(len(a.samples))]...)
		for range 1 + a.rnd.IntN(3) {
			f, ok := findTCP(frame)
			if !ok {
				break
			}
			i := a.rnd.IntN(len(mutations))
			a.mutants[i]++
			frame = mutations[i].do(a.rnd, &f)
		}
		f, ok := findTCP(frame)
		if ok && a.rnd.IntN(2) == 0 {
			f.repair()
		}
		if ok && f.srcPort() == a.spared && f.passes() {
			continue
		}
		return frame
	}
}

// random returns a frame of noise: behind an Ethernet header, behind an IP header, or
// behind the ports of TCP, then with its checksums right or not.
func (a *attacker) random() []byte {
	sample := a.samples[a.rnd.IntN(len(a.samples))]
	f, _ := findTCP(sample)
	keep := []int{12, 14, f.tcp, f.tcp + 4}[a.rnd.IntN(4)]
	frame := append(append([]byte(nil), sample[:keep]...), noise(a.rnd, a.rnd.IntN(1514-keep))...)
	if keep < f.tcp {
		return frame
	}
	at, size := f.ip+2, len(frame)-f.ip
	if f.v6 {
		at, size = f.ip+4, size-40
	}
	binary.BigEndian.PutUint16(frame[at:], uint16(size))
	if n, ok := findTCP(frame); ok {
		if a.rnd.IntN(2) == 0 {
			n.repair()
		}
		if n.srcPort() == a.spared && n.passes() {
			frame[n.tcp+16] ^= 0x55
		}
	}
	return frame
}

// flood sends n frames that make returns, or as many as there is time for.
func flood(w *wireEnd, n int, at most, frame func() []byte) string {
	began := time.Now()
	sent := 0
	for ; sent < n && time.Since(began) < time.Duration(at); sent++ {
		if f := frame(); len(f) >= 14 {
			w.send(f)
		}
	}
	return fmt.Sprintf("%d frames in %.1f s", sent, time.Since(began).Seconds())
}
