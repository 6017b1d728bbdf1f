package xsk_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cilium/ebpf/link"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// udpTo returns a function that has a's kernel send one UDP packet of size octets of
// payload to b. It fills the payload with its number.
func udpTo(t testing.TB, b *bench) func(size int) {
	t.Helper()
	conn, err := b.A.ListenPacket("udp4", b.A.IP4.Addr().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// Nobody answers ARP for b while its program may redirect; the pair is told.
	if err := b.A.Do(func() error {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: b.A.Index, State: netlink.NUD_PERMANENT,
			IP: b.B.IP4.Addr().AsSlice(), HardwareAddr: b.B.MAC,
		})
	}); err != nil {
		t.Fatalf("set neighbour: %v", err)
	}
	to := &net.UDPAddr{IP: b.B.IP4.Addr().AsSlice(), Port: 9}
	payload := make([]byte, 1472)
	number := uint64(0)
	return func(size int) {
		binary.BigEndian.PutUint64(payload, number)
		number++
		if _, err := conn.WriteTo(payload[:size], to); err != nil {
			t.Fatalf("send UDP: %v", err)
		}
	}
}

// What the kernel sends arrives octet for octet: IPv4, UDP, the payload's number.
func TestReceiveFromKernelUDP(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		p := open(t, b.B, b.b, xsk.Config{})
		send := udpTo(t, b)
		var batch [dataplane.BatchMax]dataplane.Frame
		want := uint64(0)
		size := func(n uint64) int { return 8 + int(n*7%1464) }
		for sent := uint64(0); sent < 2000; {
			for range 20 {
				send(size(sent))
				sent++
			}
			for end := time.Now().Add(patience); want < sent; {
				n := p.Recv(batch[:])
				for _, f := range batch[:n] {
					// What is too short for a wire may come padded from one.
					got, length := len(f.Data), 14+20+8+size(want)
					if got != length && (!lab.OnNICs() || got != max(length, 60)) {
						t.Fatalf("frame %d has %d octets, want %d", want, got, length)
					}
					if got := binary.BigEndian.Uint64(f.Data[42:]); got != want {
						t.Fatalf("got frame %d, want %d", got, want)
					}
					want++
				}
				p.Free(batch[:n])
				p.Flush()
				if err := p.Wait(time.Millisecond); err != nil || time.Now().After(end) {
					t.Fatalf("frame %d did not come, Wait: %v", want, err)
				}
			}
		}
		closePorts(t, p)
	})
}

// What the port sends, a packet socket of the kernel receives.
func TestSendToKernelPacketSocket(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		// Only A has a socket; B's program passes what it finds no socket for.
		p := open(t, b.A, b.a, xsk.Config{})
		fd := packetSocket(t, b.B)
		var buf [2048]byte
		for n := range uint64(2000) {
			size := 60 + int(n*11%1455)
			sendNumbered(t, p, n, size)
			got, err := recvFrom(fd, buf[:])
			if err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
			if num := binary.BigEndian.Uint64(buf[14:]); got != size || num != n {
				t.Fatalf("got frame %d of %d octets, want %d of %d", num, got, n, size)
			}
		}
		closePorts(t, p)
	})
}

// recvFrom receives from a socket that has a time-out, with which the kernel does not restart a
// call that a signal of Go's scheduler interrupts.
func recvFrom(fd int, b []byte) (n int, err error) {
	for {
		if n, _, err = unix.Recvfrom(fd, b, 0); err != unix.EINTR {
			return n, err
		}
	}
}

// packetSocket opens a socket in h that receives the tests' frames and waits for them.
func packetSocket(t *testing.T, h *lab.Host) int {
	t.Helper()
	proto := int(uint16(big(etherTypeTest)))
	fd := -1
	if err := h.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto); err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(proto), Ifindex: h.Index})
	}); err != nil {
		t.Fatalf("packet socket: %v", err)
	}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	return fd
}

// number makes b a frame of the tests with number n.
func number(b []byte, n uint64) {
	copy(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint16(b[12:], etherTypeTest)
	binary.BigEndian.PutUint64(b[14:], n)
}

func sendNumbered(t testing.TB, p *xsk.Port, n uint64, size int) {
	t.Helper()
	var one [1]dataplane.Frame
	for end := time.Now().Add(patience); p.Alloc(one[:]) == 0; p.Flush() {
		if time.Now().After(end) {
			t.Fatalf("frame %d: no transmit frame", n)
		}
	}
	one[0].Data = one[0].Data[:size]
	number(one[0].Data, n)
	p.Send(one[:])
	p.Flush()
}

// The ring indexes pass 2^16 on small rings, many times round, and no frame is missed.
func TestRingsGoRound(t *testing.T) {
	b := newBench(t, link.XDPDriverMode)
	pa, pb := b.ports(t, xsk.Config{RXRing: 256, TXRing: 64})
	const frames = 1<<16 + 1000
	next, want := uint64(0), uint64(0)
	var batch [dataplane.BatchMax]dataplane.Frame
	for end := time.Now().Add(6 * patience); want < frames; {
		n := pa.Alloc(batch[:min(dataplane.BatchMax, frames-next)])
		for i := range n {
			batch[i].Data = batch[i].Data[:60]
			number(batch[i].Data, next)
			next++
		}
		pa.Send(batch[:n])
		pa.Flush()
		for want < next {
			n = pb.Recv(batch[:])
			for _, f := range batch[:n] {
				if got := binary.BigEndian.Uint64(f.Data[14:]); got != want {
					t.Fatalf("got frame %d, want %d; %+v", got, want, pb.Stats())
				}
				want++
			}
			pb.Free(batch[:n])
			if time.Now().After(end) {
				t.Fatalf("frame %d did not come; %+v", want, pb.Stats())
			}
		}
	}
	closePorts(t, pa, pb)
}

// A link that goes down and up again: the port counts, remembers, and goes on.
func TestLinkDownAndUp(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		pa, pb := b.ports(t, xsk.Config{})
		set := func(up bool) {
			t.Helper()
			if err := b.A.Do(func() error {
				l, err := netlink.LinkByIndex(b.A.Index)
				if err != nil {
					return err
				}
				if up {
					return netlink.LinkSetUp(l)
				}
				return netlink.LinkSetDown(l)
			}); err != nil {
				t.Fatalf("set link: %v", err)
			}
		}
		sendNumbered(t, pa, 1, 60)
		wantNumber(t, pb, 1)
		set(false)
		sent := pa.Stats().TXFrames
		for n := range uint64(10) {
			sendNumbered(t, pa, 100+n, 60)
		}
		if err := pa.Err(); err == nil || pa.Stats().TXFrames != sent+10 {
			t.Errorf("Err = %v and %+v, want the kick's error and 10 frames beside %d", err, pa.Stats(), sent)
		}
		start := time.Now()
		turns := 0
		for ; time.Since(start) < 200*time.Millisecond; turns++ {
			if err := pa.Wait(-1); err != nil { // Ends by itself: frames wait to be sent.
				t.Fatal(err)
			}
			pa.Flush()
		}
		if turns > 50 {
			t.Errorf("the worker turned %d times in 200 ms on a dead link", turns)
		}
		set(true)
		testutil.Eventually(t, patience, func() bool {
			pa.Flush()
			return running(b.A)
		}, "the link runs again")
		sendNumbered(t, pa, 2, 60)
		wantNumber(t, pb, 2)
		closePorts(t, pa, pb)
	})
}

// running says whether h's interface has carrier and is up.
func running(h *lab.Host) (yes bool) {
	_ = h.Do(func() error {
		l, err := netlink.LinkByIndex(h.Index)
		yes = err == nil && l.Attrs().OperState == netlink.OperUp
		return nil
	})
	return yes
}

// wantNumber receives until frame n comes; others before it are freed.
func wantNumber(t *testing.T, p *xsk.Port, n uint64) {
	t.Helper()
	var batch [dataplane.BatchMax]dataplane.Frame
	testutil.Eventually(t, patience, func() bool {
		got := p.Recv(batch[:])
		found := false
		for _, f := range batch[:got] {
			found = found || binary.BigEndian.Uint64(f.Data[14:]) == n
		}
		p.Free(batch[:got])
		return found
	}, fmt.Sprintf("frame %d comes", n))
}

// A device that is removed under the port leaves a port that still obeys.
func TestDeviceRemoved(t *testing.T) {
	vethOnly(t, "they cannot be deleted")
	b := newBench(t, link.XDPDriverMode)
	pa, pb := b.ports(t, xsk.Config{})
	if err := b.A.Do(func() error {
		l, err := netlink.LinkByIndex(b.A.Index)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	}); err != nil {
		t.Fatalf("delete link: %v", err)
	}
	sendNumbered(t, pa, 1, 60)
	if pa.Err() == nil {
		t.Error("Err = nil, want the kick's error")
	}
	start, turns := time.Now(), 0
	for ; time.Since(start) < 200*time.Millisecond; turns++ {
		if err := pb.Wait(10 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if turns > 100 {
		t.Errorf("Wait returned %d times in 200 ms, want about 20", turns)
	}
	done := make(chan error, 1)
	go func() { done <- pb.Wait(-1) }()
	testutil.Eventually(t, patience, func() bool {
		pb.Wake()
		runtime.Gosched()
		return len(done) == 1
	}, "Wake ends Wait")
	closePorts(t, pa, pb)
}

// A wake-up that is lost stops this: single packets at odd moments, from another
// goroutine, each waited for without a time-out.
func TestNoWakeupIsLost(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		p := open(t, b.B, b.b, xsk.Config{RXRing: 64})
		send := udpTo(t, b)
		packets := 20000
		if lab.OnNICs() {
			packets /= 40 // each turn takes a while, which is what this is about
		}
		came := make(chan int, packets)
		stopped := make(chan error, 1)
		go func() {
			var batch [dataplane.BatchMax]dataplane.Frame
			for total := 0; total < packets; {
				n := p.Recv(batch[:])
				if n == 0 {
					if err := p.Wait(-1); err != nil {
						stopped <- err
						return
					}
					continue
				}
				p.Free(batch[:n])
				p.Flush()
				total += n
				came <- n
			}
			stopped <- nil
		}()
		timeout := time.NewTimer(time.Minute)
		defer timeout.Stop()
		for sent, got := 0, 0; sent < packets; {
			send(8)
			sent++
			for range sent % 61 { // A little time, each time another.
				runtime.Gosched()
			}
			for sent-got > sent%7 { // One to seven on the way.
				select {
				case n := <-came:
					got += n
				case <-timeout.C:
					t.Fatalf("packet %d of %d did not wake the worker: %+v", got, sent, p.Stats())
				}
			}
		}
		select {
		case err := <-stopped:
			if err != nil {
				t.Fatal(err)
			}
		case <-timeout.C:
			t.Fatalf("the last packets did not wake the worker: %+v", p.Stats())
		}
		if got := p.Stats().Waits; got < uint64(packets/20) {
			t.Errorf("the worker slept %d times, want often: this tested nothing", got)
		}
		closePorts(t, p)
	})
}

// BenchmarkSend is frames a second from the port to a peer that has no socket: its kernel
// drops them.
func BenchmarkSend(b *testing.B) {
	for _, m := range modes {
		b.Run(m.name, func(b *testing.B) {
			l := newBench(b, m.flag)
			p := open(b, l.A, l.a, xsk.Config{})
			var batch [dataplane.BatchMax]dataplane.Frame
			b.SetBytes(1514)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				k := p.Alloc(batch[:min(dataplane.BatchMax, b.N-n)])
				for i := range k {
					batch[i].Data = batch[i].Data[:1514]
					number(batch[i].Data, uint64(n+i))
				}
				p.Send(batch[:k])
				p.Flush()
				n += k
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(float64(p.Stats().Kicks)/float64(b.N), "kicks/frame")
			closePorts(b, p)
		})
	}
}

// BenchmarkReceive is frames a second that one port sends as fast as another one, which
// spins or waits, receives.
func BenchmarkReceive(b *testing.B) {
	for _, m := range modes {
		for _, spin := range []bool{true, false} {
			name := m.name + "/wait"
			if spin {
				name = m.name + "/spin"
			}
			b.Run(name, func(b *testing.B) { receive(b, m.flag, spin) })
		}
	}
}

func receive(b *testing.B, mode link.XDPAttachFlags, spin bool) {
	l := newBench(b, mode)
	pa, pb := l.ports(b, xsk.Config{})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var batch [dataplane.BatchMax]dataplane.Frame
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			k := pa.Alloc(batch[:])
			for i := range k {
				batch[i].Data = batch[i].Data[:1514]
				number(batch[i].Data, n)
			}
			pa.Send(batch[:k])
			pa.Flush()
		}
	}()
	var batch [dataplane.BatchMax]dataplane.Frame
	b.SetBytes(1514)
	b.ResetTimer()
	for n := 0; n < b.N; {
		k := pb.Recv(batch[:])
		pb.Free(batch[:k])
		pb.Flush()
		if n += k; k == 0 && !spin {
			if err := pb.Wait(-1); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	close(stop)
	<-stopped
	closePorts(b, pa, pb)
}
