package splice_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/splice"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/stack"
)

// plain is a reader that does not say what it is.
type plain struct{ io.Reader }

// giving is a port whose frames cannot be kept.
type giving struct{ dataplane.SharedPort }

// BenchmarkEcho has an echo copy to and fro over a pipe: out of received frames, out of the
// receive queue, and by way of a buffer.
func BenchmarkEcho(b *testing.B) {
	lent := func(c net.Conn) (int64, error) { return c.(*stack.Conn).WriteTo(c) }
	giveBack := func(p dataplane.Port) dataplane.Port { return giving{p.(dataplane.SharedPort)} }
	for _, mtu := range []int{1500, 4000, 9000} {
		b.Run(fmt.Sprintf("from=frames/mtu=%d", mtu), func(b *testing.B) { benchmarkEcho(b, mtu, nil, lent) })
		b.Run(fmt.Sprintf("from=queue/mtu=%d", mtu), func(b *testing.B) { benchmarkEcho(b, mtu, giveBack, lent) })
		b.Run(fmt.Sprintf("from=buffer/mtu=%d", mtu), func(b *testing.B) {
			var buffers splice.Buffers
			benchmarkEcho(b, mtu, nil, func(c net.Conn) (int64, error) { return buffers.Copy(c, c) })
		})
	}
}

func benchmarkEcho(b *testing.B, mtu int, wrap func(dataplane.Port) dataplane.Port, echo func(c net.Conn) (int64, error)) {
	p, err := testbed.NewPair(mtu, stack.Config{}, wrap)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	l, err := p.Listen()
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = echo(c)
			_ = c.Close()
		}
		ended <- err
	}()
	c, err := p.B.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	const each = 1 << 20
	b.SetBytes(each)
	b.ResetTimer()
	go func() {
		block := make([]byte, 128<<10)
		for range b.N * each / len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
		_ = c.(*stack.Conn).CloseWrite()
	}()
	n, err := io.CopyBuffer(io.Discard, plain{c}, make([]byte, 128<<10))
	b.StopTimer()
	if n != int64(b.N)*each || err != nil {
		b.Errorf("%d octets came back, %v, want %d", n, err, int64(b.N)*each)
	}
	if err := <-ended; err != nil {
		b.Error(err)
	}
	_ = c.Close()
	_ = l.Close()
}
