package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// packetRoom is the octets of a packet socket's buffer: a flight of several MiB comes at
// once where the forwarder has to share its core.
const packetRoom = 16 * mib

// packetFrame is the room of a frame: the pairs' packets are cut to the MTU of Ethernet.
const packetFrame = 2048

// packetPort is a port on a packet socket: it takes all that comes in by an interface, and
// what it sends leaves by it.
type packetPort struct {
	fd, wake int
	name     string
	rx, tx   packetFrames
	stats    [4]atomic.Uint64 // frames in, octets in, frames out, frames refused
	closed   atomic.Bool
}

// packetFrames is the frames of one direction, and which of them are free.
type packetFrames struct {
	room [dataplane.BatchMax][packetFrame]byte
	free []uint64
}

func (f *packetFrames) init() {
	for i := range f.room {
		f.free = append(f.free, uint64(i))
	}
}

func (f *packetFrames) take() (dataplane.Frame, bool) {
	if len(f.free) == 0 {
		return dataplane.Frame{}, false
	}
	i := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	return dataplane.Frame{Data: f.room[i][:], Handle: i}, true
}

func (f *packetFrames) give(frames []dataplane.Frame) {
	for i := range frames {
		f.free = append(f.free, frames[i].Handle)
	}
}

// openPacketPort opens a port on a host's interface, which receives if listen is set. It
// belongs to the caller.
func openPacketPort(t testing.TB, h *lab.Host, listen bool) *packetPort {
	t.Helper()
	p := &packetPort{fd: -1, wake: -1, name: "packet " + h.Interface}
	p.rx.init()
	p.tx.init()
	var protocol uint16
	if listen {
		protocol = binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL})
	}
	err := h.Do(func() (err error) {
		if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return err
		}
		// Without a protocol it receives nothing until it is bound to the interface.
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetRoom); err != nil {
			return err
		}
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: h.Index})
	})
	if err != nil {
		t.Fatalf("open %s: %v", p.name, err)
	}
	return p
}

// Recv receives what has come. What is longer than a frame is a super-packet, which nobody
// on the path could send on: it is dropped and counted as refused.
func (p *packetPort) Recv(dst []dataplane.Frame) int {
	n := 0
	for n < min(len(dst), dataplane.BatchMax) {
		f, ok := p.rx.take()
		if !ok {
			break
		}
		size, _, err := unix.Recvfrom(p.fd, f.Data, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err != nil || size > len(f.Data) {
			p.rx.free = append(p.rx.free, f.Handle)
			if err != nil {
				break
			}
			p.stats[3].Add(1)
			continue
		}
		p.stats[0].Add(1)
		p.stats[1].Add(uint64(size))
		dst[n] = dataplane.Frame{Data: f.Data[:size], Handle: f.Handle}
		n++
	}
	return n
}

// Free takes received frames back.
func (p *packetPort) Free(frames []dataplane.Frame) { p.rx.give(frames) }

// Alloc lends transmit frames.
func (p *packetPort) Alloc(dst []dataplane.Frame) int {
	for n := range dst {
		f, ok := p.tx.take()
		if !ok {
			return n
		}
		dst[n] = f
	}
	return len(dst)
}

// Send sends frames at once. One that the interface has no room for is lost and counted.
func (p *packetPort) Send(frames []dataplane.Frame) {
	for i := range frames {
		if _, err := unix.Write(p.fd, frames[i].Data); err != nil {
			p.stats[3].Add(1)
			continue
		}
		p.stats[2].Add(1)
	}
	p.tx.give(frames)
}

// Cancel takes transmit frames back.
func (p *packetPort) Cancel(frames []dataplane.Frame) { p.tx.give(frames) }

// Flush has nothing to do: Send has sent.
func (p *packetPort) Flush() {}

// Wait waits for a frame, for Wake, or for d to pass.
func (p *packetPort) Wait(d time.Duration) error {
	if p.closed.Load() {
		return fmt.Errorf("%s: wait: %w", p.name, net.ErrClosed)
	}
	var timeout *unix.Timespec
	if d >= 0 {
		ts := unix.NsecToTimespec(int64(d))
		timeout = &ts
	}
	set := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(set, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("%s: wait: %w", p.name, err)
	}
	if set[1].Revents != 0 {
		_, _ = unix.Read(p.wake, make([]byte, 8)) // nobody else reads it
	}
	return nil
}

// Wake ends the present Wait or the next.
func (p *packetPort) Wake() {
	_, _ = unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1)) // full is woken too
}

// Info describes the port.
func (p *packetPort) Info() dataplane.Info {
	return dataplane.Info{Name: p.name, FrameSize: packetFrame, TXFrames: dataplane.BatchMax}
}

// Stats counts, with what the kernel had no room for.
func (p *packetPort) Stats() dataplane.Stats {
	s := dataplane.Stats{
		RXFrames: p.stats[0].Load(), RXOctets: p.stats[1].Load(),
		TXFrames: p.stats[2].Load(), RXInvalid: p.stats[3].Load(),
	}
	if k, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.RXDropped = uint64(k.Drops) // since it was last asked
	}
	return s
}

// Close closes the sockets. Frames that are out are a fault of the caller.
func (p *packetPort) Close() error {
	p.closed.Store(true)
	err := errors.Join(unix.Close(p.fd), unix.Close(p.wake))
	if out := 2*dataplane.BatchMax - len(p.rx.free) - len(p.tx.free); out != 0 {
		err = errors.Join(err, fmt.Errorf("%s: BUG: %d frames are out", p.name, out))
	}
	return err
}
