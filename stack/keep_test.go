package stack_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// lendFrame returns a lease of at least two octets of what is in a received frame.
func lendFrame(t *testing.T, s *stack.Stack, from, to *stack.Conn) (l stack.Lease, want []byte) {
	t.Helper()
	data := noise(1400)
	for range 100 { // the first ones come before frames are wanted
		if _, err := from.Write(data); err != nil {
			t.Fatal(err)
		}
		before := s.Leases().Frames
		got := 0
		for got < len(data) {
			l, err := to.Lend(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			n := len(l.Bytes())
			if s.Leases().Frames > before && n > 1 {
				return l, data[got : got+n]
			}
			l.Release()
			got += n
		}
	}
	t.Fatal("no frame was lent")
	return l, nil
}

// A lease of a frame stays as it is though the connection is closed, or reset by the peer, and
// many others come; then the frame goes back, and the port misses none.
func TestLeasedFrameOutlivesConn(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newLossyPair(t, stack.Config{})
	for name, end := range map[string]func(a, b *stack.Conn) error{
		"close": func(a, b *stack.Conn) error { return b.Close() },
		"abort": func(a, b *stack.Conn) error { _ = b.SetLinger(0); return b.Close() },
		"reset": func(a, b *stack.Conn) error {
			_ = a.SetLinger(0)
			if err := a.Close(); err != nil {
				return err
			}
			_, err := b.Read(make([]byte, 1))
			for ; err == nil; _, err = b.Read(make([]byte, 1)) {
			}
			return b.Close()
		},
	} {
		a, b := p.connect(t)
		l, want := lendFrame(t, p.b, a, b)
		if err := end(a, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		a.Close()
		c, d := p.connect(t)
		data := noise(2 << 20)
		go func() {
			_, _ = c.Write(data)
			c.Close()
		}()
		var got bytes.Buffer
		if _, err := d.WriteTo(plainWriter{&got}); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: of %d octets came %d, or others, %v", name, len(data), got.Len(), err)
		}
		d.Close()
		if !bytes.Equal(l.Bytes(), want) {
			t.Errorf("%s: the lease has changed", name)
		}
		l.Release()
	}
}

// A lease of a frame outlives the stack, and the port.
func TestLeasedFrameOutlivesPort(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newLossyPair(t, stack.Config{})
	a, b := p.connect(t)
	l, want := lendFrame(t, p.b, a, b)
	m, more := lendFrame(t, p.b, a, b)
	// This one is in a frame too, and nobody has read it when the stack is closed.
	if _, err := a.Write(noise(1400)); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := b.Read(first); err != nil {
		t.Fatal(err)
	}
	p.b.Close()
	m.Release()
	if err := p.ports[1].Close(); err != nil {
		t.Error(err)
	}
	p.ports = p.ports[:1]
	rest, _ := io.ReadAll(b) // ends by an error: the connection was aborted
	if rest = append(first, rest...); !bytes.HasPrefix(noise(1400), rest) {
		t.Errorf("what was queued differs: %d octets", len(rest))
	}
	if !bytes.Equal(l.Bytes(), want) || len(more) == 0 {
		t.Error("the lease has changed")
	}
	l.Release()
	b.Close()
	a.Close()
}

// Where the application keeps more leases than there are frames to spare, what follows is copied,
// and the connections go on.
func TestLeasedFramesRunShort(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newLossyPair(t, stack.Config{})
	a, b := p.connect(t)
	data := noise(1 << 20)
	go func() {
		_, _ = a.Write(data)
		_ = a.CloseWrite()
	}()
	var kept []stack.Lease
	at := 0
	for {
		l, err := b.Lend(1 << 20)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if at < 130_000 { // half of the window
			kept = append(kept, l)
			at += len(l.Bytes())
			continue
		}
		if n := len(l.Bytes()); !bytes.Equal(l.Bytes(), data[at:at+n]) {
			t.Fatalf("%d octets at %d differ", n, at)
		}
		at += len(l.Bytes())
		l.Release()
	}
	st := p.b.Stats()[0]
	if st.FramesKeptShort == 0 || at != len(data) {
		t.Errorf("%d frames were short, %d octets came, want some and %d", st.FramesKeptShort, at, len(data))
	}
	at = 0
	for i := range kept {
		n := len(kept[i].Bytes())
		if !bytes.Equal(kept[i].Bytes(), data[at:at+n]) {
			t.Errorf("lease %d has changed", i)
		}
		at += n
		kept[i].Release()
	}
	b.Close()
	a.Close()
}
