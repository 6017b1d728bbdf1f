package stack_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// newLossyPair is newPair over a link that loses, reorders and doubles frames both ways.
func newLossyPair(t testing.TB, cfg stack.Config) *pair {
	t.Helper()
	pa, pb := pipe.New(pipe.Config{})
	bad := fault.Direction{Loss: 0.01, Reorder: 0.01, Duplicate: 0.01}
	fa, err := fault.New(pa, fault.Config{Seed: 7, TX: bad, RX: bad})
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{ports: []dataplane.Port{fa, pb}}
	p.a = newStack(t, cfg, sourceRouter{v4: addrA}, fa)
	p.b = newStack(t, cfg, sourceRouter{v4: addrB}, pb)
	t.Cleanup(func() {
		p.a.Close()
		p.b.Close()
		for _, port := range p.ports {
			if err := port.Close(); err != nil {
				t.Error(err)
			}
		}
		wantNothingHeld(t, p)
	})
	return p
}

// wantNothingHeld checks that every chunk and every lease came back.
func wantNothingHeld(t testing.TB, p *pair) {
	t.Helper()
	for _, s := range []*stack.Stack{p.a, p.b} {
		if n, l := s.BufferOctets(), s.Leases(); n != 0 || l.Open != 0 {
			t.Errorf("%d octets of buffers and %d leases are held at the end", n, l.Open)
		}
	}
}

// noise returns n octets that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// plainReader and plainWriter are nothing but that.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

// TestCopyBothWays has io.Copy send from each kind of reader, and receive into each kind of
// writer, through an echo that itself copies a connection to itself, with loss.
func TestCopyBothWays(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newLossyPair(t, stack.Config{})
	data := noise(300_000)
	name := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pieces := net.Buffers{data[:1], data[1:1], data[1:100_000], data[100_000:]}
	for kind, from := range map[string]io.Reader{
		"plain": plainReader{bytes.NewReader(data)}, "memory": struct{ io.Reader }{io.LimitReader(bytes.NewReader(data), int64(len(data)))},
		"file": file, "buffers": &pieces,
	} {
		a, b := p.connect(t)
		var all sync.WaitGroup
		all.Go(func() {
			if n, err := io.Copy(b, b); n != int64(len(data)) || err != nil {
				t.Errorf("%s: the echo copied %d octets, %v", kind, n, err)
			}
			b.Close()
		})
		all.Go(func() {
			if n, err := a.ReadFrom(from); n != int64(len(data)) || err != nil {
				t.Errorf("%s: sent %d octets, %v", kind, n, err)
			}
			if err := a.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		var got bytes.Buffer
		if n, err := a.WriteTo(plainWriter{&got}); n != int64(len(data)) || err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: received %d octets, %v, want %d", kind, n, err, len(data))
		}
		all.Wait()
		a.Close()
	}
}

// TestProxyToKernel copies between a connection of ours and one of the kernel, by writev.
func TestProxyToKernel(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	data := noise(2 << 20)
	var all sync.WaitGroup
	all.Go(func() { // ours to the kernel's
		io.Copy(near, b)
		near.(*net.TCPConn).CloseWrite()
	})
	all.Go(func() { // and back
		io.Copy(b, near)
		b.CloseWrite()
	})
	all.Go(func() {
		io.Copy(far, far)
		far.(*net.TCPConn).CloseWrite()
	})
	all.Go(func() {
		a.Write(data)
		a.CloseWrite()
	})
	got, err := io.ReadAll(a)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d octets, %v, want %d", len(got), err, len(data))
	}
	all.Wait()
}

// TestReadFromLetsOthersWrite: a reader that waits holds up neither writes nor Close.
func TestReadFromLetsOthersWrite(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer b.Close()
	r, w := io.Pipe()
	result := make(chan error, 1)
	go func() { _, err := a.ReadFrom(r); result <- err }()
	w.Write([]byte("1"))
	got := make([]byte, 1)
	for n := range 100 {
		want := []byte{byte(n)}
		if n%2 == 0 {
			w.Write(want)
		} else {
			a.Write(want)
		}
		if n == 0 {
			io.ReadFull(b, got) // the first "1"
		}
		if _, err := io.ReadFull(b, got); err != nil || got[0] != want[0] {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
	if p.a.Leases().Moved == 0 {
		t.Error("no write overtook the reader")
	}
	a.Close()
	w.Write([]byte("late"))
	wantIs(t, <-result, net.ErrClosed)
}

// TestCopyDeadlines: both directions fail as those of package net.
func TestCopyDeadlines(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	a.SetDeadline(time.Unix(1, 0))
	_, err := a.WriteTo(io.Discard)
	wantIs(t, err, os.ErrDeadlineExceeded)
	wantOp(t, err, "read")
	_, err = a.ReadFrom(bytes.NewReader(make([]byte, 10)))
	wantIs(t, err, os.ErrDeadlineExceeded)
	wantOp(t, err, "write")
	_, err = a.WriteBuffers(&net.Buffers{make([]byte, 10)})
	wantIs(t, err, os.ErrDeadlineExceeded)
	_, err = a.Lend(1)
	wantIs(t, err, os.ErrDeadlineExceeded)
	_, err = a.Reserve(1)
	wantIs(t, err, os.ErrDeadlineExceeded)
	a.SetDeadline(time.Time{})
	reads := 0
	n, err := a.ReadFrom(readerFunc(func(b []byte) (int, error) {
		if reads++; reads == 3 {
			a.SetWriteDeadline(time.Unix(1, 0))
		}
		return 100, nil
	}))
	wantIs(t, err, os.ErrDeadlineExceeded)
	if n != 300 {
		t.Errorf("%d octets were taken before the deadline, want 300", n)
	}
}

// readerFunc is a reader that is a function.
type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestLeasesUnderLoadAndLoss passes leases to other goroutines, which hold some for a while and
// release them in any order, and fills reservations, both ways on several connections.
func TestLeasesUnderLoadAndLoss(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newLossyPair(t, stack.Config{})
	data := noise(200_000)
	var all sync.WaitGroup
	for range 4 {
		a, b := p.connect(t)
		for _, way := range [][2]*stack.Conn{{a, b}, {b, a}} {
			all.Go(func() { reserveAll(t, way[0], data) })
			all.Go(func() { lendAll(t, way[1], data) })
		}
		defer a.Close()
		defer b.Close()
	}
	all.Wait()
	if p.a.Leases().Frames == 0 || p.b.Leases().Frames == 0 {
		t.Errorf("no frame was lent: %+v, %+v", p.a.Leases(), p.b.Leases())
	}
}

func reserveAll(t *testing.T, c *stack.Conn, data []byte) {
	for len(data) > 0 {
		r, err := c.Reserve(1 + len(data)%20_000)
		if err != nil {
			t.Error(err)
			return
		}
		n := copy(r.Bytes(), data)
		end := r.Commit
		if len(data)%3 != 0 {
			end = r.CommitMore
		}
		if err := end(n); err != nil {
			t.Error(err)
			return
		}
		data = data[n:]
	}
	c.CloseWrite()
}

// TestCommitMoreWaitsForMore: what is committed by CommitMore leaves with what follows it, in one
// segment, and does not keep who writes on waiting when it has filled the queue.
func TestCommitMoreWaitsForMore(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	commit := func(text string, end func(*stack.Reservation, int) error) {
		t.Helper()
		r, err := a.Reserve(len(text))
		if err == nil {
			err = end(&r, copy(r.Bytes(), text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := func() (segments uint64, left int) {
		t.Helper()
		info, err := a.Info()
		if err != nil {
			t.Fatal(err)
		}
		return info.SegmentsOut, info.NotSent
	}
	// A round trip, so that nothing is owed on behalf of the handshake.
	commit("x", (*stack.Reservation).Commit)
	got := make([]byte, 16)
	io.ReadFull(b, got[:1])
	b.Write([]byte("y"))
	io.ReadFull(a, got[:1])
	before, _ := sent()
	commit("one, ", (*stack.Reservation).CommitMore)
	if now, left := sent(); now > before+1 || left != 5 { // an ACK of y may have come in between
		t.Fatalf("after CommitMore %d segments were sent and %d octets wait, want at most an ACK, and 5", now-before, left)
	}
	before, _ = sent()
	commit("two", (*stack.Reservation).Commit)
	if n, err := io.ReadFull(b, got[:8]); string(got[:n]) != "one, two" || err != nil {
		t.Fatalf("got %q, %v", got[:n], err)
	}
	if now, _ := sent(); now != before+1 {
		t.Errorf("%d segments were sent, want 1", now-before)
	}
}

// TestCommitMoreFillsTheQueue: who writes on behind it, and has to wait for space, is not left
// waiting for octets that nobody sends.
func TestCommitMoreFillsTheQueue(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	const room = 16 << 10
	for name, on := range map[string]func(c *stack.Conn, data []byte) (int, error){
		"Write": (*stack.Conn).Write,
		"WriteBuffers": func(c *stack.Conn, data []byte) (int, error) {
			n, err := c.WriteBuffers(&net.Buffers{data})
			return int(n), err
		},
		"ReadFrom": func(c *stack.Conn, data []byte) (int, error) {
			n, err := c.ReadFrom(plainReader{bytes.NewReader(data)})
			return int(n), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, stack.Config{SendBuffer: room, SendMax: room})
			a, b := p.connect(t)
			defer a.Close()
			defer b.Close()
			a.SetDeadline(time.Now().Add(patience))
			b.SetDeadline(time.Now().Add(patience))
			var all sync.WaitGroup
			defer all.Wait()
			data, size := noise(200_000), 0
			for size < room {
				r, err := a.Reserve(room - size)
				if err != nil {
					t.Fatal(err)
				}
				n := copy(r.Bytes(), data[size:])
				size += n
				if err := r.CommitMore(n); err != nil {
					t.Fatal(err)
				}
			}
			all.Go(func() { lendAll(t, b, data) })
			if n, err := on(a, data[size:]); n != len(data)-size || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			a.CloseWrite()
		})
	}
}

func lendAll(t *testing.T, c *stack.Conn, want []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	var kept []stack.Lease
	defer func() {
		for i := range kept {
			kept[i].Release()
		}
	}()
	for {
		l, err := c.Lend(1 + r.IntN(9000))
		if err == io.EOF && len(want) == 0 {
			return
		}
		if err != nil || !bytes.HasPrefix(want, l.Bytes()) {
			t.Errorf("with %d octets to come got %d others, %v", len(want), len(l.Bytes()), err)
			return
		}
		want = want[len(l.Bytes()):]
		if kept = append(kept, l); len(kept) > 8 {
			i := r.IntN(len(kept))
			kept[i].Release()
			kept = append(kept[:i], kept[i+1:]...)
		}
	}
}

// TestLeaseAndWindow: what is lent takes room in the window until it is released.
func TestLeaseAndWindow(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	if err := b.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	data := noise(1 << 20)
	go a.Write(data)
	// The first window was offered before the buffer was set.
	const most = 512 << 10
	var kept []stack.Lease
	held := 0
	for {
		b.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		l, err := b.Lend(1 << 20)
		if err != nil {
			wantIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		kept = append(kept, l)
		held += len(l.Bytes())
	}
	if held == 0 || held > most {
		t.Errorf("%d octets are lent, want at most %d", held, most)
	}
	b.SetReadDeadline(time.Time{})
	var got []byte
	for i := range kept {
		got = append(got, kept[i].Bytes()...)
		kept[i].Release()
	}
	rest := make([]byte, len(data)-held)
	if _, err := io.ReadFull(b, rest); err != nil || !bytes.Equal(append(got, rest...), data) {
		t.Errorf("the stream differs, or %v", err)
	}
}

// TestLeaseOutlivesClose: the bytes of a lease stay though connection and stack are closed.
func TestLeaseOutlivesClose(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	data := noise(1000)
	a.Write(data)
	l, err := b.Lend(1000)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Reserve(10)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	a.Close()
	p.b.Close()
	wantIs(t, r.Commit(10), net.ErrClosed)
	if !bytes.Equal(l.Bytes(), data[:len(l.Bytes())]) || p.b.Leases().Open != 1 {
		t.Errorf("the lease changed, or %+v", p.b.Leases())
	}
	l.Release()
	l.Release()
	if n, l := p.b.BufferOctets(), p.b.Leases(); n != 0 || l.Open != 0 {
		t.Errorf("%d octets of buffers and %d leases are held at the end", n, l.Open)
	}
}
