package iperf3

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Info is what a transport tells about one connection. A value that it does not know is zero.
type Info struct {
	Retransmits int64 // segments, since the connection opened
	Cwnd        int64 // congestion window, octets
	SndWnd      int64 // window that the peer offers, octets
	RTT         time.Duration
	RTTVar      time.Duration
	PMTU        int
	Congestion  string // name of the congestion control
}

// stream is one data connection of a test. Its goroutine moves the data; the run that it
// belongs to reads the counters.
type stream struct {
	id     int // iperf3's: 1, 3, 4, 5, …
	conn   net.Conn
	sender bool

	octets atomic.Int64 // moved since the connection opened
	target atomic.Int64 // reached is closed when octets get here

	reachedOnce sync.Once
	reached     chan struct{}

	// What follows belongs to the goroutine that takes the samples.
	omitted     int64 // octets that were moved before the measured part began
	omittedRetr int64
	last        int64 // octets at the end of the last interval
	lastRetr    int64
	info        Info
	hasInfo     bool
	rtt         rttSummary
	cwndMax     int64
	sndWndMax   int64
}

// streamID returns iperf3's number of the i-th stream, counted from 0. It skips 2, which
// iperf3 itself keeps for the sake of its older versions.
func streamID(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}

func newStream(i int, conn net.Conn, sender bool) *stream {
	s := &stream{id: streamID(i), conn: conn, sender: sender, reached: make(chan struct{})}
	s.target.Store(math.MaxInt64)
	return s
}

// count adds n octets and tells who waits for them.
func (s *stream) count(n int) {
	if s.octets.Add(int64(n)) >= s.target.Load() {
		s.reachedOnce.Do(func() { close(s.reached) })
	}
}

// wait returns a channel that is closed when the stream has moved that many octets.
func (s *stream) wait(octets int64) <-chan struct{} {
	s.target.Store(octets)
	s.count(0)
	return s.reached
}

// send writes blocks until the run ends or there is nothing left to send.
func (s *stream) send(r *run, block []byte) error {
	start := time.Now()
	for !r.stopped.Load() {
		n := r.take(len(block))
		if n == 0 {
			return nil
		}
		sent, err := s.conn.Write(block[:n])
		s.count(sent)
		if err != nil {
			if r.stopped.Load() || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return fmt.Errorf("iperf3: stream %d: %w", s.id, err)
		}
		if rate := r.p.Bandwidth; rate != 0 {
			due := time.Duration(float64(s.octets.Load()) * 8 / float64(rate) * float64(time.Second))
			r.pause(due - time.Since(start))
		}
	}
	return nil
}

// receive reads until the other end closes or the connection is closed here. It goes on
// when the run has ended, so that the other end does not hang with a full window while it
// waits to say so.
func (s *stream) receive(r *run, block []byte) error {
	for {
		n, err := s.conn.Read(block)
		s.count(n)
		if n > 0 && !r.stopped.Load() {
			r.got(n)
		}
		if err != nil {
			if err == io.EOF || r.stopped.Load() {
				return nil
			}
			return fmt.Errorf("iperf3: stream %d: %w", s.id, err)
		}
	}
}

// rttSummary is the lowest, highest and mean of the RTTs that the samples saw.
type rttSummary struct {
	low, high, sum time.Duration
	n              int64
}

func (s *rttSummary) add(d time.Duration) {
	if s.n == 0 || d < s.low {
		s.low = d
	}
	s.high = max(s.high, d)
	s.sum += d
	s.n++
}

func (s *rttSummary) mean() time.Duration {
	if s.n == 0 {
		return 0
	}
	return s.sum / time.Duration(s.n)
}
