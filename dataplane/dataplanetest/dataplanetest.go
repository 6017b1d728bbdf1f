// Package dataplanetest is what every dataplane.Port must pass. An implementation opens
// two ports that are joined and hands them over:
//
//	func TestPort(t *testing.T) {
//		dataplanetest.TestPort(t, func(t *testing.T) (a, b dataplane.Port) { … })
//	}
//
// The link between the ports must not lose, reorder or change frames as long as few of
// them are on the way. It may carry frames of others (a kernel sends ND on a veth): the
// frames of the tests have an EtherType of their own, and all others are freed unseen.
package dataplanetest

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// patience is how long a test waits for what must happen. It is long because it is only
// ever used up by a failure.
const patience = 10 * time.Second

// etherType marks the frames of the tests: IEEE 802, local experimental.
const etherType = 0x88B5

const (
	headerLen = 14 + 8 // Ethernet, then the frame's number
	lengthMin = 60
	lengthMax = 1514
)

// Open makes two joined ports. The tests close them.
type Open func(t *testing.T) (a, b dataplane.Port)

// TestPort runs all tests, each over ports of its own.
func TestPort(t *testing.T, open Open) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, l *link)
	}{
		{"Info", testInfo},
		{"OrderAndContent", testOrderAndContent},
		{"BothWays", testBothWays},
		{"HeldFramesKeepTheirContent", testHeldFrames},
		{"CutFramesAreWholeAgain", testCutFrames},
		{"AllocRunsDryAndRecovers", testAllocDry},
		{"SendTakesAll", testSendTakesAll},
		{"BatchIsClipped", testBatchClipped},
		{"EmptyBatches", testEmptyBatches},
		{"Stats", testStats},
		{"PacketsOfSeveralFrames", testPieces},
		{"PacketsOfSeveralFramesComeWhole", testPiecesWhole},
		{"WaitZeroReturnsAtOnce", testWaitZero},
		{"WaitTimesOut", testWaitTimesOut},
		{"WakeBeforeWait", testWakeBeforeWait},
		{"WakeEndsWait", testWakeEndsWait},
		{"FrameEndsWait", testFrameEndsWait},
		{"NoWakeUpIsLost", testPingPong},
		{"ConcurrentWake", testConcurrentWake},
		{"NoAllocation", testNoAllocation},
		{"PollOrWait", testPollOrWait},
		{"InterruptEndsPoll", testInterruptEndsPoll},
		{"PollLosesNoFrame", testPollLosesNoFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(t, open)
			tt.run(t, l)
			l.close(t)
		})
	}
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, l *link)
	}{
		{"CloseMissesAllocatedFrame", testCloseMissesAllocated},
		{"CloseMissesReceivedFrame", testCloseMissesReceived},
		{"AfterClose", testAfterClose},
		{"KeptFrames", testKeptFrames},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, newLink(t, open)) })
	}
}

// link is a pair of ports and the numbers of the frames on the way from a to b and back.
type link struct {
	a, b *end
}

// end is a port, with what its worker needs to keep.
type end struct {
	dataplane.Port
	peer       *end
	next, want uint64 // numbers of the next frame to send, and to receive
	batch      [dataplane.BatchMax]dataplane.Frame
}

func newLink(t *testing.T, open Open) *link {
	t.Helper()
	a, b := open(t)
	l := &link{&end{Port: a}, &end{Port: b}}
	l.a.peer, l.b.peer = l.b, l.a
	return l
}

// close closes both ports, and says that no frame may be missing.
func (l *link) close(t *testing.T) {
	t.Helper()
	for _, e := range []*end{l.a, l.b} {
		if err := e.Close(); err != nil {
			t.Errorf("%s: Close: %v", e.Info().Name, err)
		}
	}
}

// length is the length of frame number n: every one from lengthMin to lengthMax comes up.
func length(n uint64, room int) int {
	return lengthMin + int(n*7919%uint64(min(lengthMax, room)-lengthMin+1))
}

// fill writes frame number n into b and returns its length.
func fill(b []byte, n uint64) int {
	size := length(n, len(b))
	for i := range 6 {
		b[i] = 0xff // all may receive it
	}
	copy(b[6:], []byte{2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint16(b[12:], etherType)
	binary.BigEndian.PutUint64(b[14:], n)
	for i := headerLen; i < size; i++ {
		b[i] = byte(n) + byte(i)
	}
	return size
}

// Stray is the number of frames that look like those of the tests and are freed unseen: whoever
// opens the ports may send them to learn that the link works.
const Stray = 1 << 63

// ours says whether b is a frame of the tests.
func ours(b []byte) bool {
	return len(b) >= headerLen && binary.BigEndian.Uint16(b[12:]) == etherType && number(b) != Stray
}

// number is the frame's number.
func number(b []byte) uint64 { return binary.BigEndian.Uint64(b[14:]) }

// wantFrame checks every octet of frame number n.
func wantFrame(t *testing.T, b []byte, n uint64, room int) {
	t.Helper()
	if got := number(b); got != n {
		t.Fatalf("got frame %d, want %d", got, n)
	}
	var model [lengthMax]byte
	size := fill(model[:min(lengthMax, room)], n)
	if !bytes.Equal(b, model[:size]) {
		t.Fatalf("frame %d: %d octets came, not as the %d that were sent", n, len(b), size)
	}
}

// send sends n frames, no more than BatchMax, waiting for free ones.
func (e *end) send(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(patience); n > 0; {
		got := e.Alloc(e.batch[:n])
		for i := range got {
			f := &e.batch[i]
			f.Data = f.Data[:fill(f.Data, e.next)]
			e.next++
		}
		e.Send(e.batch[:got])
		e.Flush()
		if n -= got; n > 0 && time.Now().After(end) {
			t.Fatalf("%s: %d frames could not be allocated", e.Info().Name, n)
		}
	}
}

// take receives what is there, keeps our frames and frees the others.
func (e *end) take(dst []dataplane.Frame) int {
	got, kept := e.Recv(dst), 0
	for i := range got {
		if !ours(dst[i].Data) {
			e.Free(dst[i : i+1])
			continue
		}
		dst[kept] = dst[i]
		kept++
	}
	return kept
}

// receive waits for n frames, checks them and frees them. It flushes both ports, as both
// their workers would at every turn: a link may want to be told again.
func (e *end) receive(t *testing.T, n int, room int) {
	t.Helper()
	for end := time.Now().Add(patience); n > 0; {
		got := e.take(e.batch[:])
		for i := range got {
			wantFrame(t, e.batch[i].Data, e.want, room)
			e.want++
		}
		e.Free(e.batch[:got])
		if n -= got; n > 0 && got == 0 {
			e.Flush()
			e.peer.Flush()
			if time.Now().After(end) {
				t.Fatalf("%s: frame %d and %d more did not come", e.Info().Name, e.want, n-1)
			}
			if err := e.Wait(time.Millisecond); err != nil {
				t.Fatalf("Wait: %v", err)
			}
		}
	}
	if n < 0 {
		t.Fatalf("%s: %d frames came that were not sent", e.Info().Name, -n)
	}
}

// within runs f in a goroutine and fails if it does not end in time.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	withinTime(t, patience, what, f)
}

func withinTime(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s did not happen within %v", what, limit)
	}
}
