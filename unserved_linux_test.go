package millrace_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// sendBy has a host's kernel send all by one of its transmit queues: those of a veth are the
// receive queues of its peer.
func sendBy(t *testing.T, h *lab.Host, queue, queues int) {
	t.Helper()
	err := h.Do(func() error {
		for q := range queues {
			processors := "0"
			if q == queue {
				processors = everyProcessor(t)
			}
			file := fmt.Sprintf("/sys/class/net/%s/queues/tx-%d/xps_cpus", h.Interface, q)
			if err := os.WriteFile(file, []byte(processors), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the kernel does not let its transmit queue be chosen (CONFIG_XPS): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// everyProcessor is the mask of all processors, whichever this process may use, in words of 32.
func everyProcessor(t *testing.T) string {
	t.Helper()
	all, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*")
	if err != nil || len(all) == 0 {
		t.Fatalf("there are no processors: %v", err)
	}
	words := slices.Repeat([]string{"ffffffff"}, len(all)/32)
	if rest := len(all) % 32; rest > 0 {
		words = append([]string{fmt.Sprintf("%x", 1<<rest-1)}, words...)
	}
	return strings.Join(words, ",")
}

// wantDropped waits until more segments than before have come by a queue that nobody serves.
func wantDropped(t *testing.T, nic *millrace.NIC, before uint64) {
	t.Helper()
	testutil.Eventually(t, 10*time.Second, func() bool { return nic.Counters().NoSocket > before },
		"a segment to be dropped for want of a socket")
}

// Segments that come by a queue that is not served are dropped, and counted. The kernel, which
// would reset their connections, never sees them: once the peer sends by another queue they go on.
func TestUnservedQueue(t *testing.T) {
	testutil.Privileged(t)
	if lab.OnNICs() {
		t.Skip("needs a veth, whose peer chooses the queue")
	}
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 2})
	nic := open(t, l.A, millrace.Config{Mode: millrace.ModeCopy, Queues: 1})
	echo(t, listen(t, l.A, nic, ":7"))

	sendBy(t, l.B, 1, 2)
	type dialed struct {
		conn net.Conn
		err  error
	}
	result := make(chan dialed, 1)
	go func() {
		c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
		result <- dialed{c, err}
	}()
	wantDropped(t, nic, 0)
	sendBy(t, l.B, 0, 2)
	d := <-result
	if d.err != nil {
		t.Fatalf("a SYN that was dropped and sent again: %v", d.err)
	}
	defer d.conn.Close()
	if err := d.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}

	dropped := nic.Counters().NoSocket
	sendBy(t, l.B, 1, 2)
	if _, err := d.conn.Write([]byte("again")); err != nil {
		t.Fatal(err)
	}
	wantDropped(t, nic, dropped)
	sendBy(t, l.B, 0, 2)
	b := make([]byte, 5)
	if _, err := io.ReadFull(d.conn, b); err != nil || string(b) != "again" {
		t.Errorf("data that was dropped and sent again: %q, %v", b, err)
	}
	if n := nic.Counters().PassedUnclaimed; n != 0 {
		t.Errorf("%d segments reached the kernel", n)
	}
}

// heard is a log whose lines a test waits for.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *heard) has(word string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Contains(h.text.String(), word)
}

// channels sets how many receive queues a veth has.
func channels(t *testing.T, h *lab.Host, n int) {
	t.Helper()
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	if out, err := h.Command(t.Context(), ethtool, "-L", h.Interface, "rx", strconv.Itoa(n)).CombinedOutput(); err != nil {
		t.Fatalf("ethtool -L %s rx %d: %v: %s", h.Interface, n, err, out)
	}
}

// Channels that come while the interface is open: it is said that there are more than are served. The
// kernel lets nobody take away those that have sockets.
func TestChannelsCome(t *testing.T) {
	testutil.Privileged(t)
	if lab.OnNICs() {
		t.Skip("needs a veth")
	}
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 2})
	channels(t, l.A, 1)
	log := &heard{}
	nic := open(t, l.A, millrace.Config{Mode: millrace.ModeGeneric, Log: slog.New(slog.NewTextHandler(log, nil))})
	if log.has("not served") {
		t.Errorf("it warns of queues though all are served: %s", log.text.String())
	}
	channels(t, l.A, 2)
	testutil.Eventually(t, 10*time.Second, func() bool { return log.has("not served") }, "a warning of a queue that is not served")
	if n := nic.Info().QueuesTotal; n != 1 {
		t.Errorf("%d queues when it was opened, want 1", n)
	}
}
