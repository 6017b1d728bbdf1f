package xsk

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// kernel is a Port over rings in ordinary memory, and this test in the kernel's place: it
// can lie, and its indexes can start where they wrap.
type kernel struct {
	*Port
	t     *testing.T
	batch [dataplane.BatchMax]dataplane.Frame
}

func fakeRing(size int, start uint32) ring {
	r := ring{
		producer: new(atomic.Uint32), consumer: new(atomic.Uint32), flags: new(atomic.Uint32),
		mask: uint32(size - 1), prod: start, cons: start,
	}
	r.producer.Store(start)
	r.consumer.Store(start)
	return r
}

func newKernel(t *testing.T, start uint32) *kernel {
	t.Helper()
	cfg, err := Config{RXRing: 64, TXRing: 64, TXFrames: 64}.withDefaults(false, 1500)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{
		fd:   -1,
		umem: make([]byte, (cfg.RXFrames+cfg.TXFrames)*cfg.FrameSize),
		fill: addrRing{fakeRing(cfg.fillRing(), start), make([]uint64, cfg.fillRing())},
		comp: addrRing{fakeRing(cfg.TXRing, start), make([]uint64, cfg.TXRing)},
		rx:   descRing{fakeRing(cfg.RXRing, start), make([]unix.XDPDesc, cfg.RXRing)},
		tx:   descRing{fakeRing(cfg.TXRing, start), make([]unix.XDPDesc, cfg.TXRing)},
	}
	s.stock(&cfg)
	return &kernel{Port: deal(cfg, s), t: t}
}

// fillAddr takes the next free receive frame, as a driver does.
func (k *kernel) fillAddr() uint64 {
	k.t.Helper()
	r := &k.sock.fill
	c := r.consumer.Load()
	if c == r.producer.Load() {
		k.t.Fatal("the fill ring is empty")
	}
	r.consumer.Store(c + 1)
	return r.addrs[c&r.mask]
}

// deliver puts a descriptor on the receive ring.
func (k *kernel) deliver(d unix.XDPDesc) {
	r := &k.sock.rx
	at := r.producer.Load()
	r.descs[at&r.mask] = d
	r.producer.Store(at + 1)
}

// complete puts an address on the completion ring.
func (k *kernel) complete(addr uint64) {
	r := &k.sock.comp
	at := r.producer.Load()
	r.addrs[at&r.mask] = addr
	r.producer.Store(at + 1)
}

// transmit takes the next frame to send.
func (k *kernel) transmit() unix.XDPDesc {
	k.t.Helper()
	r := &k.sock.tx
	c := r.consumer.Load()
	if c == r.producer.Load() {
		k.t.Fatal("the transmit ring is empty")
	}
	r.consumer.Store(c + 1)
	return r.descs[c&r.mask]
}

func (k *kernel) wantBooks(what string) {
	k.t.Helper()
	if err := k.missing(); err != nil {
		k.t.Errorf("%s: %v", what, err)
	}
}

// The indexes count through 2^32 and nothing is lost or found.
func TestIndexesWrap(t *testing.T) {
	k := newKernel(t, ^uint32(0)-1000)
	for turn := range 3000 {
		addr := k.fillAddr()
		k.deliver(unix.XDPDesc{Addr: addr + 256, Len: 100})
		n := k.Recv(k.batch[:])
		if n != 1 || k.batch[0].Handle != addr || len(k.batch[0].Data) != 100 {
			t.Fatalf("turn %d: Recv = %d, %#x", turn, n, k.batch[0].Handle)
		}
		k.Free(k.batch[:n])
		if n = k.Alloc(k.batch[:1]); n != 1 {
			t.Fatalf("turn %d: Alloc = %d, want 1", turn, n)
		}
		k.batch[0].Data = k.batch[0].Data[:60]
		k.Send(k.batch[:1])
		if d := k.transmit(); d.Addr != k.batch[0].Handle || d.Len != 60 {
			t.Fatalf("turn %d: sent %+v, want frame %#x", turn, d, k.batch[0].Handle)
		}
		k.complete(k.batch[0].Handle)
		k.collect()
	}
	k.wantBooks("after 3000 turns")
}

// A descriptor that points nowhere, at a frame that the kernel does not have, or past the
// frame's end is counted and never trusted.
func TestInvalidDescriptors(t *testing.T) {
	k := newKernel(t, 0)
	size := uint64(k.cfg.FrameSize)
	good := k.fillAddr()
	held := k.fillAddr()
	k.deliver(unix.XDPDesc{Addr: held, Len: 60})
	if k.Recv(k.batch[:1]) != 1 {
		t.Fatal("a good frame was refused")
	}
	for _, d := range []unix.XDPDesc{
		{Addr: ^uint64(0), Len: 60},
		{Addr: uint64(len(k.sock.umem)), Len: 60},
		{Addr: uint64(k.cfg.RXFrames) * size, Len: 60}, // a transmit frame
		{Addr: held, Len: 60},                          // with the worker
		{Addr: good + size - 10, Len: 11},              // over the end; its frame goes back
	} {
		before := k.stats.rxInvalid.Load()
		k.deliver(d)
		if n := k.Recv(k.batch[1:2]); n != 0 {
			t.Errorf("%+v was received", d)
		}
		if got := k.stats.rxInvalid.Load() - before; got != 1 {
			t.Errorf("%+v: counted %d times, want once", d, got)
		}
	}
	k.Free(k.batch[:1])
	k.wantBooks("after five lies")
}

// chain delivers a packet of n pieces of size octets; the last has XDP_PKT_CONTD if cut.
func (k *kernel) chain(n int, size uint32, cut bool) {
	for i := range n {
		d := unix.XDPDesc{Addr: k.fillAddr(), Len: size}
		if i < n-1 || cut {
			d.Options = unix.XDP_PKT_CONTD
		}
		k.deliver(d)
	}
}

// wantPackets receives with room for room frames, and wants packets of so many pieces.
func (k *kernel) wantPackets(room int, pieces ...int) {
	k.t.Helper()
	n := k.Recv(k.batch[:room])
	at := 0
	for _, want := range pieces {
		for i := range want {
			if at == n || k.batch[at].More != (i < want-1) {
				k.t.Fatalf("got %d frames, want packets of %v", n, pieces)
			}
			at++
		}
	}
	if at != n {
		k.t.Fatalf("got %d frames, want packets of %v", n, pieces)
	}
	k.Free(k.batch[:n])
}

// "XDP_PKT_CONTD": the packet continues in the next descriptor. It is received whole, and
// counted once. https://docs.kernel.org/networking/af_xdp.html#multi-buffer-support
func TestPacketOfSeveralDescriptors(t *testing.T) {
	k := newKernel(t, 0)
	k.chain(1, 100, false)
	k.chain(3, 1000, false)
	k.chain(dataplane.PiecesMax, 7, false)
	k.wantPackets(len(k.batch), 1, 3, dataplane.PiecesMax)
	if s := &k.stats; s.rxFrames.Load() != 3 || s.rxOctets.Load() != 100+3000+7*dataplane.PiecesMax {
		t.Errorf("counted %d packets of %d octets", s.rxFrames.Load(), s.rxOctets.Load())
	}
	k.wantBooks("after packets of several")
}

// A packet whose end has not come, or that the caller has no room for, waits, and does not keep
// the ring from being read: Wait would not sleep.
func TestPacketWaitsForItsEnd(t *testing.T) {
	k := newKernel(t, 0)
	k.chain(2, 10, true)
	k.wantPackets(len(k.batch))
	if !k.sock.rx.drained() {
		t.Error("the pieces stay on the ring")
	}
	k.chain(1, 10, true)
	k.wantPackets(len(k.batch))
	k.chain(1, 10, false)
	k.wantPackets(3) // no room
	k.wantPackets(4, 4)
	k.chain(1, 10, false)
	k.chain(5, 10, false)
	k.wantPackets(4, 1)
	k.wantPackets(len(k.batch), 5)
	k.chain(3, 10, true) // Its end never comes: the frames are accounted for at the end.
	k.wantPackets(len(k.batch))
	k.wantBooks("with a packet begun")
}

// A packet of too many pieces, or with a piece that is not to be believed, is dropped whole and
// counted once, and all its frames are back on the fill ring.
func TestBadPacketOfSeveralDescriptors(t *testing.T) {
	bad := func(k *kernel, d unix.XDPDesc) {
		k.chain(2, 10, true)
		k.deliver(d)
		k.chain(2, 10, false)
	}
	for name, send := range map[string]func(k *kernel){
		"too many":        func(k *kernel) { k.chain(dataplane.PiecesMax+1, 10, false) },
		"far too many":    func(k *kernel) { k.chain(50, 10, false) },
		"a stray address": func(k *kernel) { bad(k, unix.XDPDesc{Addr: ^uint64(0), Options: unix.XDP_PKT_CONTD}) },
		"too long": func(k *kernel) {
			bad(k, unix.XDPDesc{Addr: k.fillAddr(), Len: 5000, Options: unix.XDP_PKT_CONTD})
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(t, 0)
			send(k)
			k.chain(2, 20, false)
			k.wantPackets(len(k.batch), 2)
			if got := k.stats.rxInvalid.Load(); got != 1 {
				t.Errorf("RXInvalid = %d, want 1", got)
			}
			k.wantBooks("after a bad packet")
			for range k.cfg.RXFrames {
				k.fillAddr() // All of them are there.
			}
		})
	}
}

// FuzzReceive: whatever descriptors come, no frame is lost or found, and no packet is torn.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x01, 0x81, 0x01, 0xc0, 0x42, 0x00})
	f.Fuzz(func(t *testing.T, orders []byte) {
		k := newKernel(t, 0)
		for _, o := range orders {
			waiting := k.sock.rx.producer.Load() - k.sock.rx.consumer.Load()
			if o&2 != 0 || waiting == k.sock.rx.mask+1 { // receive, and free what came
				n := k.Recv(k.batch[:1+int(o>>2)])
				if n > 0 && k.batch[n-1].More {
					t.Fatalf("the last packet of %d frames is torn", n)
				}
				k.Free(k.batch[:n])
				continue
			}
			d := unix.XDPDesc{Len: uint32(o>>2&7) * 400, Options: uint32(o & unix.XDP_PKT_CONTD)}
			if o&0xe0 == 0xe0 || k.sock.fill.unread() == 0 {
				d.Addr = 1<<40 | uint64(o)
			} else {
				d.Addr = k.fillAddr() + 256
			}
			k.deliver(d)
		}
		for n := 1; n > 0; {
			n = k.Recv(k.batch[:])
			k.Free(k.batch[:n])
		}
		k.sock.fill.publish()
		k.wantBooks("after the fuzzer")
	})
}

// A packet of several frames is sent as one, and what the kernel would choke on is not sent.
func TestSendPacketOfSeveralFrames(t *testing.T) {
	k := newKernel(t, 0)
	k.info.Pieces = 3
	send := func(sizes ...int) {
		n := k.Alloc(k.batch[:len(sizes)])
		for i := range n {
			k.batch[i].Data = k.batch[i].Data[:sizes[i]]
			k.batch[i].More = i < n-1
		}
		k.Send(k.batch[:n])
	}
	send(2048, 2048, 5)
	for _, want := range []unix.XDPDesc{
		{Len: 2048, Options: unix.XDP_PKT_CONTD}, {Len: 2048, Options: unix.XDP_PKT_CONTD}, {Len: 5},
	} {
		d := k.transmit()
		if d.Len != want.Len || d.Options != want.Options {
			t.Errorf("sent %+v, want %+v", d, want)
		}
		k.complete(d.Addr)
	}
	send(2048, 0, 5)
	send(13, 2048)
	if k.sock.tx.unread() != 0 || k.stats.txDropped.Load() != 2 {
		t.Errorf("%d frames were sent, %d packets dropped, want 0 and 2", k.sock.tx.unread(), k.stats.txDropped.Load())
	}
	k.wantBooks("after packets of several frames")
	defer func() {
		if recover() == nil {
			t.Error("a packet of more frames than the port takes was sent")
		}
	}()
	send(60, 60, 60, 60)
}

// struct xsk_tx_metadata lies right before the packet: the flags, where the header begins, and
// where in it the checksum is. https://docs.kernel.org/networking/xsk-tx-metadata.html
func TestChecksumIsAskedFor(t *testing.T) {
	k := newKernel(t, 0)
	k.sock.headroom, k.info.TXChecksum, k.info.Pieces = txHeadroom, true, 2
	k.info.FrameSize -= txHeadroom
	n := k.Alloc(k.batch[:3])
	for i := range n {
		k.batch[i].Data = k.batch[i].Data[:100]
	}
	k.batch[0].ChecksumAt, k.batch[0].More = 34, true
	k.Send(k.batch[:n])
	for i, options := range []uint32{unix.XDP_PKT_CONTD | unix.XDP_TX_METADATA, 0, 0} {
		d := k.transmit()
		if d.Addr != k.batch[i].Handle+txHeadroom || d.Options != options {
			t.Errorf("frame %d: sent %+v, want it at %d, options %d", i, d, k.batch[i].Handle+txHeadroom, options)
		}
		if m := k.sock.umem[d.Addr-metadataLen:]; i == 0 && !bytes.Equal(m[:12], binary.NativeEndian.AppendUint16(
			binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint64(nil, 2), 34), 16)) {
			t.Errorf("metadata %x", m[:metadataLen])
		}
		k.complete(d.Addr)
	}
	k.collect()
	k.wantBooks("after a checksum")
}

// A completion that names no frame on its way is counted; the frame that it should have
// named is missing, and Close would say so.
func TestInvalidCompletion(t *testing.T) {
	k := newKernel(t, 0)
	n := k.Alloc(k.batch[:3])
	for i := range n {
		k.batch[i].Data = k.batch[i].Data[:60]
	}
	k.Send(k.batch[:n])
	first := k.transmit().Addr
	for _, addr := range []uint64{first, first, 0} { // once right, twice, a receive frame
		k.complete(addr)
	}
	k.collect()
	if got := k.stats.txInvalid.Load(); got != 2 {
		t.Errorf("counted %d invalid completions, want 2", got)
	}
	if err := k.missing(); err == nil || !strings.Contains(err.Error(), "2 transmit frames") {
		t.Errorf("missing = %v, want 2 transmit frames", err)
	}
}

// A frame shorter than an Ethernet header never reaches the kernel, which would refuse it
// and not give it back.
func TestShortFrameIsDropped(t *testing.T) {
	k := newKernel(t, 0)
	k.Alloc(k.batch[:2])
	k.batch[0].Data = k.batch[0].Data[:0]
	k.batch[1].Data = k.batch[1].Data[:14]
	k.Send(k.batch[:2])
	if d := k.transmit(); d.Len != 14 || k.sock.tx.unread() != 0 {
		t.Errorf("sent %+v, want the whole header alone", d)
	}
	if got := k.stats.txDropped.Load(); got != 1 {
		t.Errorf("TXDropped = %d, want 1", got)
	}
	k.wantBooks("after a short frame")
}

func TestFrameGivenTwicePanics(t *testing.T) {
	for name, give := range map[string]func(k *kernel){
		"Free": func(k *kernel) {
			if k.nTaken == 0 && k.stats.rxFrames.Load() == 0 {
				k.deliver(unix.XDPDesc{Addr: k.fillAddr(), Len: 60})
				k.Recv(k.batch[:1])
			}
			k.Free(k.batch[:1])
		},
		"Cancel": func(k *kernel) { k.Cancel(k.batch[:1]) },
		"Send":   func(k *kernel) { k.Send(k.batch[:1]) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(t, 0)
			k.Alloc(k.batch[:1])
			give(k)
			defer func() {
				if recover() == nil {
					t.Error("a frame was given back twice and nobody saw it")
				}
			}()
			give(k)
		})
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cfg      Config
		hardware bool
		mtu      int
		want     func(Config) bool // nil: an error
	}{
		{"default", Config{}, false, 1500, func(c Config) bool {
			return c.FrameSize == 2048 && c.RXRing == 4096 && c.RXFrames == 4096 && c.TXFrames == 1024 && c.fillRing() == 4096
		}},
		{"hardware might be igb", Config{}, true, 1500, func(c Config) bool { return c.FrameSize == 4096 }},
		{"hardware in copy mode", Config{Mode: Copy}, true, 1500, func(c Config) bool { return c.FrameSize == 2048 }},
		{"a larger MTU", Config{}, false, 3000, func(c Config) bool { return c.FrameSize == 4096 }},
		{"room for both rings", Config{HWRing: 512, RXRing: 1024}, false, 1500, func(c Config) bool {
			return c.RXFrames == 1536 && c.fillRing() == 2048
		}},
		{"too few frames", Config{HWRing: 512, RXRing: 1024, RXFrames: 1024}, false, 1500, nil},
		{"more frames than room to send", Config{TXRing: 64, TXFrames: 65}, false, 1500, nil},
		{"ring of an odd size", Config{RXRing: 1000}, false, 1500, nil},
		{"chunk of an odd size", Config{FrameSize: 3000}, false, 1500, nil},
		{"negative queue", Config{Queue: -1}, false, 1500, nil},
		{"unknown mode", Config{Mode: 7}, false, 1500, nil},
		{"budget", Config{BusyPollBudget: 1 << 16}, false, 1500, nil},
	} {
		got, err := tt.cfg.withDefaults(tt.hardware, tt.mtu)
		if (err == nil) != (tt.want != nil) || err == nil && !tt.want(got) {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
}
