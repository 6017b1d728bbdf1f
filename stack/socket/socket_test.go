package socket_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/socket"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// pair is two engines on a pipe, in virtual time.
type pair struct {
	t    *testing.T
	now  mono.Time
	a, b *engine.Engine
}

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddrPort("10.0.0.2:80")
)

func newPair(t *testing.T) *pair {
	pa, pb := pipe.New(pipe.Config{})
	p := &pair{t: t, now: mono.Time(time.Hour)}
	p.a = engine.New(engine.Config{Key: [16]byte{1}}, pa, &engine.StaticRouter{Hop: engine.Hop{MTU: 1500, Src: addrA}})
	p.b = engine.New(engine.Config{Key: [16]byte{2}}, pb, &engine.StaticRouter{Hop: engine.Hop{MTU: 1500, Src: addrB.Addr()}})
	return p
}

// settle lets both engines do what there is to do.
func (p *pair) settle() {
	p.t.Helper()
	for range 10_000 {
		workedA, workedB := p.a.Step(p.now), p.b.Step(p.now)
		if !workedA && !workedB {
			return
		}
	}
	p.t.Fatal("the engines never come to rest")
}

func (p *pair) listener(backlog int) *socket.Socket {
	p.t.Helper()
	l := socket.New(p.b, tcp.Config{})
	want(p.t, "bind", l.Bind(addrB), socket.OK)
	want(p.t, "listen", l.Listen(backlog), socket.OK)
	return l
}

// connect returns both ends of a connection.
func (p *pair) connect() (client, server *socket.Socket) {
	p.t.Helper()
	l := p.listener(1)
	_, err := l.Accept()
	want(p.t, "accept of nothing", err, syscall.EAGAIN)
	client = socket.New(p.a, tcp.Config{})
	want(p.t, "connect", client.Connect(p.now, addrB), syscall.EINPROGRESS)
	want(p.t, "connect again", client.Connect(p.now, addrB), syscall.EALREADY)
	p.settle()
	want(p.t, "connect when done", client.Connect(p.now, addrB), socket.OK)
	want(p.t, "connect once more", client.Connect(p.now, addrB), syscall.EISCONN)
	server, err = l.Accept()
	want(p.t, "accept", err, socket.OK)
	return client, server
}

func want(t *testing.T, what string, got, want syscall.Errno) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %d (%v), want %d (%v)", what, got, got, want, want)
	}
}

func TestStream(t *testing.T) {
	p := newPair(t)
	c, s := p.connect()
	buf := make([]byte, 100)
	_, err := s.Read(buf)
	want(t, "read of nothing", err, syscall.EAGAIN)
	if n, err := c.Write([]byte("hello")); n != 5 || err != socket.OK {
		t.Fatalf("wrote %d, %v", n, err)
	}
	p.settle()
	if r := s.Ready(); r != socket.In|socket.Out {
		t.Errorf("ready %#x, want in and out", r)
	}
	if n, _ := s.Peek(buf[:2]); string(buf[:n]) != "he" {
		t.Errorf("peeked %q", buf[:n])
	}
	if n, _ := s.Unread(); n != 5 {
		t.Errorf("%d unread, want 5", n)
	}
	for _, part := range []string{"hel", "lo"} { // what was peeked, and what is behind it
		if n, _ := s.Read(buf[:3]); string(buf[:n]) != part {
			t.Errorf("read %q, want %q", buf[:n], part)
		}
	}
	want(t, "shutdown", c.Shutdown(p.now, false, true), socket.OK)
	p.settle()
	if n, err := s.Read(buf); n != 0 || err != socket.OK {
		t.Errorf("got %d, %v at the end", n, err)
	}
	_, err = c.Write(buf)
	want(t, "write behind the end", err, syscall.EPIPE)
}

// TestErrorOnce: why a connection broke is told once, or always to those who ask for that.
func TestErrorOnce(t *testing.T) {
	p := newPair(t)
	c, s := p.connect()
	s.Settings().Linger = 0
	s.Close(p.now)
	p.settle()
	buf := make([]byte, 1)
	if r := c.Ready(); r&(socket.Err|socket.Hup) != socket.Err|socket.Hup {
		t.Errorf("ready %#x, want error and hangup", r)
	}
	_, err := c.Read(buf)
	want(t, "first read", err, syscall.ECONNRESET)
	if n, err := c.Read(buf); n != 0 || err != socket.OK {
		t.Errorf("the second read got %d, %v; want the end", n, err)
	}
	_, err = c.Write(buf)
	want(t, "write", err, syscall.EPIPE)
	keeps := socket.Stream{KeepError: true}
	keeps.Bind(c.Stream().Conn())
	for range 2 {
		_, err = keeps.Read(buf)
		want(t, "read with KeepError", err, syscall.ECONNRESET)
	}
}

func TestRefusals(t *testing.T) {
	p := newPair(t)
	l := p.listener(1)
	other := socket.New(p.b, tcp.Config{})
	want(t, "bind", other.Bind(addrB), socket.OK)
	want(t, "bind twice", other.Bind(addrB), syscall.EINVAL)
	want(t, "listen on a taken port", other.Listen(1), syscall.EADDRINUSE)
	_, err := other.Accept()
	want(t, "accept without listen", err, syscall.EINVAL)
	_, err = l.Read(nil)
	want(t, "read of a listener", err, syscall.ENOTCONN)
	c := socket.New(p.a, tcp.Config{})
	want(t, "connect", c.Connect(p.now, netip.AddrPortFrom(addrB.Addr(), 81)), syscall.EINPROGRESS)
	p.settle()
	want(t, "refused", c.TakeError(), syscall.ECONNREFUSED)
	want(t, "told once", c.TakeError(), socket.OK)
	l.Close(p.now)
	want(t, "listen when the port is free", other.Listen(1), socket.OK)
}
