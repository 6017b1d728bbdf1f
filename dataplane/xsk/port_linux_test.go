package xsk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

func TestPort(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		for _, tt := range []struct {
			name string
			cfg  xsk.Config
		}{
			{"default", xsk.Config{}},
			{"small rings, large frames", xsk.Config{RXRing: 128, TXRing: 64, TXFrames: 50, FrameSize: 4096}},
			{"busy poll", xsk.Config{BusyPoll: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				dataplanetest.TestPort(t, func(t *testing.T) (dataplane.Port, dataplane.Port) {
					pa, pb := b.ports(t, tt.cfg)
					return pa, pb
				})
			})
		}
	})
}

// Packets of a large MTU, in as many frames as it takes.
func TestLongPackets(t *testing.T) {
	vethOnly(t, "a driver has a limit of its own")
	for _, m := range modes {
		for _, mtu := range []int{3498, 9000, 65000, 65535} {
			t.Run(fmt.Sprintf("%s/%d", m.name, mtu), func(t *testing.T) {
				b := newBenchOf(t, m.flag, lab.Config{MTU: mtu})
				dataplanetest.TestLong(t, mtu+14, func(t *testing.T) (dataplane.Port, dataplane.Port) {
					pa, pb := b.ports(t, xsk.Config{})
					return pa, pb
				})
			})
		}
	}
}

// veth has no zero-copy: Auto takes copy mode and says so, ZeroCopy is refused.
func TestModes(t *testing.T) {
	vethOnly(t, "TestZeroCopyModes is about them")
	b := newBench(t, link.XDPDriverMode)
	p := open(t, b.A, b.a, xsk.Config{Mode: xsk.Auto})
	if p.ZeroCopy() || !strings.HasSuffix(p.Info().Name, "/0 copy") {
		t.Errorf("got zero-copy %v and name %q, want copy mode", p.ZeroCopy(), p.Info().Name)
	}
	closePorts(t, p)
	for _, tt := range []struct {
		name string
		cfg  xsk.Config
		want error
	}{
		{"zero-copy on veth", xsk.Config{Ifindex: b.A.Index, Mode: xsk.ZeroCopy}, unix.EOPNOTSUPP},
		{"a queue that is not there", xsk.Config{Ifindex: b.A.Index, Queue: 5}, unix.EINVAL},
	} {
		if err := b.A.Do(func() error {
			p, err := xsk.Open(tt.cfg)
			if err == nil {
				closePorts(t, p)
			}
			return err
		}); !errors.Is(err, tt.want) {
			t.Errorf("%s: Open = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A queue has one socket. One that was just closed may hold it a little longer, and Open
// waits for that; the frames of the contract's tests depend on it at every turn.
func TestQueueIsBusy(t *testing.T) {
	b := newBench(t, link.XDPDriverMode)
	first := open(t, b.A, b.a, xsk.Config{})
	if err := b.A.Do(func() error {
		p, err := xsk.Open(xsk.Config{Ifindex: b.A.Index, Mode: xsk.Copy})
		if err == nil {
			closePorts(t, p)
		}
		return err
	}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("Open of a queue in use = %v, want EBUSY", err)
	}
	closePorts(t, first)
	for range 10 {
		closePorts(t, open(t, b.A, b.a, xsk.Config{}))
	}
}

// A socket that nobody serves loses what does not fit, and says how much.
func TestOverrunIsCounted(t *testing.T) {
	vethOnly(t, "one that is overrun drops before it has a frame of ours")
	eachMode(t, func(t *testing.T, b *bench) {
		p := open(t, b.B, b.b, xsk.Config{RXRing: 64})
		send := udpTo(t, b)
		for range 164 {
			send(100)
		}
		testutil.Eventually(t, patience, func() bool { return p.Stats().RXDropped == 100 },
			"100 of 164 packets are counted as dropped")
		var batch [dataplane.BatchMax]dataplane.Frame
		n := p.Recv(batch[:])
		p.Free(batch[:n])
		if n != 64 {
			t.Errorf("Recv = %d, want the 64 there was room for", n)
		}
		last := p.KernelStats()
		closePorts(t, p)
		if got := p.KernelStats(); got != last || p.Stats().RXDropped != 100 {
			t.Errorf("after Close: %+v, want the last %+v", got, last)
		}
	})
}
