package splice_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/splice"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// pair is two ends of a kernel connection.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, d} {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { _ = c.Close() })
	}
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// joined is two connections that are joined in the middle.
func joined(t *testing.T) (left, right *net.TCPConn, done chan error) {
	t.Helper()
	testutil.NoGoroutineLeak(t)
	left, nearLeft := pair(t)
	right, nearRight := pair(t)
	done = make(chan error, 1)
	var b splice.Buffers
	go func() {
		_, _, err := b.Join(nearLeft, nearRight)
		done <- err
	}()
	return left, right, done
}

// A direction ends alone: what comes the other way still arrives.
func TestHalfCloseIsKept(t *testing.T) {
	left, right, done := joined(t)
	question, answer := bytes.Repeat([]byte("?"), 300_000), bytes.Repeat([]byte("!"), 500_000)
	go func() {
		_, _ = left.Write(question)
		_ = left.CloseWrite()
	}()
	if got, err := io.ReadAll(right); err != nil || !bytes.Equal(got, question) {
		t.Fatalf("right got %d octets, %v, want %d", len(got), err, len(question))
	}
	go func() {
		_, _ = right.Write(answer)
		_ = right.CloseWrite()
	}()
	if got, err := io.ReadAll(left); err != nil || !bytes.Equal(got, answer) {
		t.Fatalf("left got %d octets, %v, want %d", len(got), err, len(answer))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A side that breaks resets the other: half of a transfer must not look like all of it.
func TestResetIsPassedOn(t *testing.T) {
	left, right, done := joined(t)
	if _, err := left.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(right, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	splice.Reset(left)
	if _, err := right.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("right reads %v, want ECONNRESET", err)
	}
	var read *splice.ReadError
	if err := <-done; !errors.As(err, &read) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Join: %v, want a ReadError with ECONNRESET", err)
	}
}

// lens notes the lengths of the buffers that it is read with.
type lens struct {
	io.Reader
	seen []int
}

func (l *lens) Read(b []byte) (int, error) {
	l.seen = append(l.seen, len(b))
	return l.Reader.Read(b)
}

// A busy reader gets a large buffer, and one that waits again holds a small one.
func TestBufferFollowsTheLoad(t *testing.T) {
	const small, large = 4 << 10, 128 << 10
	src := &lens{Reader: io.MultiReader(
		bytes.NewReader(make([]byte, 10)),
		bytes.NewReader(make([]byte, small+large)),
		bytes.NewReader(make([]byte, 10)),
	)}
	var b splice.Buffers
	n, err := b.Copy(io.Discard, src)
	if err != nil || n != 10+small+large+10 {
		t.Fatalf("%d, %v", n, err)
	}
	want := []int{small, small, large, large, small}
	if len(src.seen) != len(want) {
		t.Fatalf("buffers %v, want %v", src.seen, want)
	}
	for i := range want {
		if src.seen[i] != want[i] {
			t.Fatalf("buffers %v, want %v", src.seen, want)
		}
	}
}

func TestErrorsNameTheSide(t *testing.T) {
	var b splice.Buffers
	_, err := b.Copy(io.Discard, iotest.ErrReader(io.ErrNoProgress))
	var read *splice.ReadError
	if !errors.As(err, &read) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v, want a ReadError", err)
	}
	r, w := io.Pipe()
	_ = r.CloseWithError(io.ErrShortWrite)
	_, err = b.Copy(w, bytes.NewReader([]byte("x")))
	var write *splice.WriteError
	if !errors.As(err, &write) || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v, want a WriteError", err)
	}
}
