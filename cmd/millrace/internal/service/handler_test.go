package service_test

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/service"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// only is a router of a link with two ends.
type only struct{ src netip.Addr }

func (r only) Route(_, _ netip.Addr) (engine.Hop, engine.RouteStatus) {
	return engine.Hop{LocalMAC: [6]byte{2, 0, 0, 0, 0, 1}, RemoteMAC: [6]byte{2, 0, 0, 0, 0, 2}, MTU: 1500, Src: r.src}, engine.RouteOK
}

func (only) Generation() uint64 { return 1 }

// onWorker serves by handlers over a pipe, and returns a client's connection.
func onWorker(t *testing.T, open service.OnWorker) *stack.Conn {
	t.Helper()
	testutil.NoGoroutineLeak(t)
	portA, portB := pipe.New(pipe.Config{})
	var both [2]*stack.Stack
	for i, port := range []*pipe.Port{portA, portB} {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)})
		s, err := stack.New(stack.Config{Router: only{addr}, Addrs: engine.NewAddrSet(addr)}, port)
		if err != nil {
			t.Fatal(err)
		}
		both[i] = s
		t.Cleanup(func() {
			s.Close()
			if n, p := s.BufferOctets(), s.HandlerPanics(); n != 0 || p != 0 {
				t.Errorf("%d octets are held at the end, after %d panics", n, p)
			}
			port.Close()
		})
	}
	if _, err := both[1].ListenHandler("tcp", ":7", open); err != nil {
		t.Fatal(err)
	}
	c, err := both[0].Dial("tcp", "10.0.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	return c.(*stack.Conn)
}

func TestEchoOnWorker(t *testing.T) {
	c := onWorker(t, service.EchoOnWorker)
	sent := bytes.Repeat([]byte("echo"), 500_000) // more than both queues hold
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d octets came back, %v, want %d", len(got), err, len(sent))
	}
}

func TestDiscardOnWorker(t *testing.T) {
	c := onWorker(t, service.DiscardOnWorker)
	if _, err := c.Write(make([]byte, 5_000_000)); err != nil {
		t.Error(err)
	}
	_ = c.CloseWrite()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v, want nothing but the end", n, err)
	}
}

// A server that is told to stop ends its connections as one on goroutines does, by FIN.
func TestTrackedAreClosed(t *testing.T) {
	var all service.Conns
	c := onWorker(t, all.Track(service.EchoOnWorker))
	if _, err := c.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err) // it is open on both sides now
	}
	all.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v, want the end", n, err)
	}
}
