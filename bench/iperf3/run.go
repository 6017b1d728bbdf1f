package iperf3

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// run is the part of a test in which data moves. Both ends use it: begin, then finish
// or stop, then close, all from the goroutine that holds the control connection.
type run struct {
	p       params
	streams []*stream
	every   time.Duration // between samples; 0: only one at the end
	info    func(net.Conn) (Info, bool)
	report  func(interval) // called for each sample, by the sampling goroutine

	stopped  atomic.Bool
	halt     chan struct{} // closed by finish
	omitting atomic.Bool
	toSend   atomic.Int64 // octets left of a bounded test
	toGet    atomic.Int64
	bounded  bool

	sent     chan struct{} // closed when every sender has nothing left to send
	quiet    chan struct{} // closed when every sender has ended
	received chan struct{} // closed when a bounded test has received its count
	gotAll   sync.Once
	failed   chan error // the first error of a stream
	workers  sync.WaitGroup
	sampler  sync.WaitGroup

	// What follows belongs to the sampling goroutine, and after stop to the caller.
	start     time.Time // of the measured part
	lastEnd   time.Time
	end       time.Time // set by finish
	seconds   float64   // length of the measured part, set by stop
	intervals []interval
	// congestion is the name of this end's congestion control, "" if nobody knows.
	congestion string
	cpuStart   cpuTime
	cpu        cpuLoad
}

// newRun prepares a run over connections whose order both ends agree on: those on which
// this end sends first if it is the client, last if it is the server.
func newRun(p params, conns []net.Conn, senders func(i int) bool) *run {
	r := &run{
		p:        p,
		halt:     make(chan struct{}),
		sent:     make(chan struct{}),
		quiet:    make(chan struct{}),
		received: make(chan struct{}),
		failed:   make(chan error, 1),
	}
	for i, c := range conns {
		r.streams = append(r.streams, newStream(i, c, senders(i)))
	}
	return r
}

// limit makes the run a bounded one: the senders stop, and received is closed, after that
// many octets of the measured part.
func (r *run) limit(octets int64) {
	r.bounded = true
	r.toSend.Store(octets)
	r.toGet.Store(octets)
}

// begin starts the data.
func (r *run) begin() {
	r.start = time.Now()
	r.lastEnd = r.start
	r.cpuStart = cpuNow()
	r.omitting.Store(r.p.Omit > 0)
	var senders sync.WaitGroup
	var broken atomic.Bool
	for _, s := range r.streams {
		block := make([]byte, r.p.Len)
		work := s.receive
		if s.sender {
			fill(block)
			work = s.send
			senders.Add(1)
		}
		r.workers.Go(func() {
			if s.sender {
				defer senders.Done()
			}
			if err := work(r, block); err != nil {
				broken.Store(true)
				select {
				case r.failed <- err:
				default: // the first error is the one to tell
				}
			}
		})
	}
	go func() {
		senders.Wait()
		close(r.quiet)
		if !broken.Load() {
			close(r.sent)
		}
	}()
	r.sampler.Go(r.sample)
}

// fill writes iperf3's payload: the digits, over and over.
func fill(block []byte) {
	for i := range block {
		block[i] = '0' + byte(i%10)
	}
}

// take asks whether a block of n octets may go, and returns n or 0. A bounded test sends
// whole blocks, so up to a block more than its limit: an iperf3 that receives waits for
// 10 s for the rest of a block before it looks at the control connection again.
func (r *run) take(n int) int {
	if !r.bounded || r.omitting.Load() {
		return n
	}
	if r.toSend.Add(-int64(n)) <= -int64(n) {
		return 0
	}
	return n
}

// got notes n received octets of a bounded test.
func (r *run) got(n int) {
	if !r.bounded || r.omitting.Load() {
		return
	}
	if r.toGet.Add(-int64(n)) <= 0 {
		r.gotAll.Do(func() { close(r.received) })
	}
}

// pause waits for d, or until the run stops.
func (r *run) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.halt:
	}
}

// finish ends the measured part: it is over now, and senders end after the block they are
// at. Receivers read on, but what they read is not part of the result, except for a
// bounded run, see settle.
func (r *run) finish() {
	r.end = time.Now()
	r.stopped.Store(true)
	close(r.halt)
}

// stop finishes the run if that was not done, and waits until the senders have ended.
// Their block may take until grace has passed; then it is cut.
func (r *run) stop(grace time.Duration) {
	if !r.halted() {
		r.finish()
	}
	for _, s := range r.streams {
		if s.sender {
			_ = s.conn.SetWriteDeadline(r.end.Add(grace)) // a closed connection needs none
		}
	}
	r.sampler.Wait()
}

// closeWrite ends the streams on which this end sends, for a receiver that waits for whole
// blocks, as iperf3 does.
func (r *run) closeWrite() {
	for _, s := range r.streams {
		if !s.sender {
			continue
		}
		if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite() // the connection may be gone already
		} else {
			_ = s.conn.Close()
		}
	}
}

// close closes the data connections and waits for their goroutines.
func (r *run) close() {
	for _, s := range r.streams {
		_ = s.conn.Close()
	}
	r.workers.Wait()
}

// halted says that the measured part is over.
func (r *run) halted() bool { return r.stopped.Load() }

// octets is how much all streams have moved.
func (r *run) octets() int64 {
	var sum int64
	for _, s := range r.streams {
		sum += s.octets.Load()
	}
	return sum
}

// settleMax is how long settle waits for octets that are still under way.
const settleMax = 5 * time.Second

// settle waits until what the peer says it sent has come in, so that a test of a given
// number of octets reports exactly that number. A test of a given time is not settled:
// its result is what came within the time.
func (r *run) settle(peer results) {
	patience := time.NewTimer(settleMax)
	defer patience.Stop()
	for _, s := range r.streams {
		if s.sender {
			continue
		}
		sent := peer.stream(s.id)
		if sent == nil {
			continue
		}
		select {
		case <-s.wait(s.omitted + int64(sent.Bytes)):
			s.last = s.omitted + int64(sent.Bytes)
		case <-patience.C:
			s.last = s.octets.Load()
			return
		}
	}
}

// stream returns what the peer says about one stream, or nil.
func (r *results) stream(id int) *streamResult {
	for i := range r.Streams {
		if r.Streams[i].ID == id {
			return &r.Streams[i]
		}
	}
	return nil
}
