package xsk_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// vethOnly skips a test that is about veth pairs.
func vethOnly(t testing.TB, why string) {
	t.Helper()
	if lab.OnNICs() {
		t.Skipf("on NICs (%s): %s", lab.EnvNICs, why)
	}
}

// A driver that has zero-copy is asked for it by Auto, and gives way to Copy.
func TestZeroCopyModes(t *testing.T) {
	if !lab.OnNICs() {
		t.Skipf("needs two NICs with zero-copy drivers, joined by a cable, in %s=%q", lab.EnvNICs, "eth0 eth1")
	}
	b := newBench(t, link.XDPDriverMode)
	for _, tt := range []struct {
		mode xsk.Mode
		want bool
	}{{xsk.Auto, true}, {xsk.Copy, false}, {xsk.ZeroCopy, true}, {xsk.Copy, false}} {
		cfg := xsk.Config{Ifindex: b.A.Index, Mode: tt.mode, HWRing: hwRing}
		if err := b.A.Do(func() error {
			p, err := xsk.Open(cfg)
			if err == nil {
				if p.ZeroCopy() != tt.want {
					t.Errorf("%v: %s, want zero-copy %v", tt.mode, p.Info().Name, tt.want)
				}
				closePorts(t, p)
			}
			return err
		}); err != nil {
			t.Errorf("%v: %v", tt.mode, err)
		}
	}
	// There is no such queue.
	err := b.A.Do(func() error {
		_, err := xsk.Open(xsk.Config{Ifindex: b.A.Index, Queue: 63, Mode: xsk.ZeroCopy})
		return err
	})
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("Open of queue 63 = %v, want %v", err, unix.EINVAL)
	}
}

// awaitWay sends stray frames until one comes: a driver may restart the queue when a socket
// is bound, and lose without a counter what comes meanwhile. It ends when the last one that was
// sent has come, so that none disturbs the test.
func awaitWay(t testing.TB, from, to *xsk.Port) {
	t.Helper()
	sendStray := func(n uint64) {
		var one [1]dataplane.Frame
		if from.Alloc(one[:]) == 1 {
			one[0].Data = one[0].Data[:68]
			number(one[0].Data, dataplanetest.Stray)
			binary.BigEndian.PutUint64(one[0].Data[60:], n)
			from.Send(one[:])
		}
		from.Flush()
	}
	var batch [dataplane.BatchMax]dataplane.Frame
	sent, came := uint64(0), uint64(0)
	for end := time.Now().Add(patience); sent == 0 || came < sent; {
		if came == 0 {
			sent++
			sendStray(sent)
		}
		if err := to.Wait(20 * time.Millisecond); err != nil || time.Now().After(end) {
			t.Fatalf("of %d frames from %s %d came to %s, Wait: %v", sent, from.Info().Name, came, to.Info().Name, err)
		}
		n := to.Recv(batch[:])
		for _, f := range batch[:n] {
			if len(f.Data) >= 68 && binary.BigEndian.Uint64(f.Data[14:]) == dataplanetest.Stray {
				came = binary.BigEndian.Uint64(f.Data[60:])
			}
		}
		to.Free(batch[:n])
		to.Flush()
		from.Flush()
	}
}
