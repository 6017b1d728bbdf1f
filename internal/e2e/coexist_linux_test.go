package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// transfer is a download that goes on in the background.
type transfer struct {
	t    testing.TB
	conn net.Conn
	got  *digest
	done chan error
	seen chan struct{} // closed when the first MiB is there
	fast atomic.Bool   // no longer slowed down
}

// begin starts a download over the kernel's TCP of a host and returns when octets flow.
// The reader takes at most rateMax octets a second, so that the transfer lasts; 0 is as
// fast as it comes.
func begin(t testing.TB, h *lab.Host, c content, rateMax int64) *transfer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := h.Dial(ctx, "tcp", "10.77.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tr := &transfer{t: t, conn: conn, got: newDigest(), done: make(chan error, 1), seen: make(chan struct{})}
	go func() { tr.done <- tr.run(c, rateMax) }()
	select {
	case <-tr.seen:
	case err := <-tr.done:
		t.Fatalf("the transfer ended before it was under way: %v", err)
	case <-time.After(patience):
		t.Fatalf("no MiB came in %v", patience)
	}
	return tr
}

func (tr *transfer) run(c content, rateMax int64) error {
	if _, err := io.WriteString(tr.conn, "GET /"+c.name+" HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	if err := skipHeader(tr.conn); err != nil {
		return err
	}
	began, told := time.Now(), false
	buf := make([]byte, 64<<10)
	for {
		n, err := tr.conn.Read(buf)
		if n > 0 {
			_, _ = tr.got.Write(buf[:n])
		}
		if !told && tr.got.size >= min(mib, c.size) {
			told = true
			close(tr.seen)
		}
		if err == io.EOF {
			return tr.got.differs(c)
		}
		if err != nil {
			return fmt.Errorf("after %d octets: %w", tr.got.size, err)
		}
		if rateMax > 0 && !tr.fast.Load() {
			ahead := time.Duration(float64(tr.got.size)/float64(rateMax)*float64(time.Second)) - time.Since(began)
			// Real time is what a rate is about.
			<-time.After(min(ahead, time.Second))
		}
	}
}

// skipHeader reads an HTTP response's header, which must say 200, octet by octet, so that
// nothing of the body is read.
func skipHeader(r io.Reader) error {
	var header []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(header), "\r\n\r\n"); {
		if _, err := io.ReadFull(r, one); err != nil {
			return fmt.Errorf("read header after %q: %w", header, err)
		}
		if header = append(header, one[0]); len(header) > 4096 {
			return errors.New("the header does not end")
		}
	}
	if f := strings.Fields(string(header)); len(f) < 2 || f[1] != "200" {
		return fmt.Errorf("the header is %q", header)
	}
	return nil
}

// await waits for the transfer to end and returns what was wrong with it.
func (tr *transfer) await(at most) error {
	select {
	case err := <-tr.done:
		return err
	case <-time.After(time.Duration(at)):
		return fmt.Errorf("the transfer has not ended in %v", time.Duration(at))
	}
}

// hurry lets the rest of the transfer come as fast as it can.
func (tr *transfer) hurry() { tr.fast.Store(true) }

// ended says whether the transfer has ended, however.
func (tr *transfer) ended() bool { return len(tr.done) > 0 }

// TestBesideTheKernel is point 5, the peaceful half: while a transfer runs, all else that
// the address is good for works as before.
func TestBesideTheKernel(t *testing.T) {
	l := byHand(t)
	ping := testutil.Command(t, "iputils-ping", "ping")
	c := file(t, sized[int64](256, 64)*mib)
	listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	seconds := sized(6, 2)
	tr := begin(t, l.B, c, c.size/int64(seconds))

	for _, host := range []string{"10.77.0.1", "fd77::1"} {
		got := output(t, most(patience), l.B, ping, "-c", "20", "-i", "0.02", "-W", "2", host)
		if lost := pingLoss(got); lost != "0%" {
			t.Errorf("point 5: ping %s lost %s:\n%s", host, lost, got)
		}
	}
	for _, address := range []string{"10.77.0.1", "fd77::1"} {
		if err := kernelEcho(t, l.B, l.A, address, "0"); err != nil {
			t.Errorf("point 5: kernel TCP on another port of %s: %v", address, err)
		}
	}
	if err := kernelEcho(t, l.A, l.B, "10.77.0.2", "0"); err != nil {
		t.Errorf("point 5: kernel TCP from the host of millrace: %v", err)
	}
	if ln, err := l.A.Listen("tcp", ":8080"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("point 5: the kernel listens on the port that millrace serves: %v, %v, want %v", ln, err, syscall.EADDRINUSE)
	}
	if tr.ended() {
		t.Error("point 5: the transfer ended before all was tried: it must run meanwhile")
	}
	if err := tr.await(most(time.Minute)); err != nil {
		t.Errorf("point 5: the transfer: %v", err)
	}
	if !t.Failed() {
		t.Logf("point 5: ping, and kernel TCP both ways on other ports, work beside a transfer of %d MiB, sha256 ok", c.size/mib)
	}
}

// TestPortOfTheKernel is point 5: a port that the kernel listens on is refused, and the
// kernel's service does not notice.
func TestPortOfTheKernel(t *testing.T) {
	l := made(t)
	for _, at := range []string{":8081", "10.77.0.1:8081", "[fd77::1]:8081"} {
		ln, err := l.A.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		p := millrace(t, l.A, "serve", "http", "--listen", ":8081", "--root", built.files)
		err = p.wait(most(patience))
		status := -1
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			status = exit.ExitCode()
		}
		said := p.failure()
		if status != 1 || !strings.Contains(said, "address already in use") {
			t.Errorf("point 5: the kernel listens on %s: status %d, %q, want 1 and %q", at, status, said, "address already in use")
		}
		if strings.Contains(said, "\n") || strings.Contains(said, "invalid") {
			t.Errorf("point 5: the error is %q, want one line that names the port", said)
		}
		_ = ln.Close()
		t.Logf("point 5: the kernel listens on %s: status %d, %q", at, status, said)
	}
	if x := attached(t, l.A); x != "" {
		t.Errorf("point 5: %s is left on the interface", x)
	}
}

// kernelEcho sends a line over the kernel's TCP from one host to another and back.
func kernelEcho(t testing.TB, from, to *lab.Host, address, port string) error {
	t.Helper()
	l, err := to.Listen("tcp", net.JoinHostPort(address, port))
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	return echo(c, "hello")
}

var lossWord = regexp.MustCompile(`([0-9.]+%) packet loss`)

// pingLoss returns the share of packets that ping says were lost.
func pingLoss(output string) string {
	if found := lossWord.FindStringSubmatch(output); found != nil {
		return found[1]
	}
	return "unknown"
}
