package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// mailbox is how other goroutines reach the worker, and the only place of the engine where
// goroutines meet. A connection is posted by setting bits of its mail and, when it had none,
// putting it on a list; commands, which are rare, are functions behind a mutex.
//
// No wake-up is lost and none is spent on a worker that runs: who posts puts first and then
// looks whether the worker is parked; the worker says that it is parked and then looks
// whether there is mail.
type mailbox struct {
	posted atomic.Pointer[Conn] // a stack, linked by shared.next
	parked atomic.Bool
	orders atomic.Bool  // commands or frames may be waiting
	closed atomic.Bool  // set under mu; the worker reads no mail any more, but for a last time
	held   atomic.Int32 // connections of the engine

	mu       sync.Mutex
	commands []func(now mono.Time)
	spare    []func(now mono.Time) // the slice that commands had before: reused
	frames   []stray               // packets of our flows that came on another queue
	spareIn  []stray
}

// shared is what a connection shares with its application besides the queues.
type shared struct {
	mail   atomic.Uint32
	next   *Conn                  // on the list of the mailbox
	eng    atomic.Pointer[Engine] // that it belongs to, or is on its way to
	status atomic.Uint32
}

// stray is a copy of a packet that came on another queue than its flow's.
type stray struct {
	packet []byte
	from   *Engine // that of the queue it came on
}

// forwardMax is the most frames that wait for the worker from other queues: four batches,
// as many as a queue is behind when it has just been scheduled.
const forwardMax = 256

// mail is what an application asks of its connection.
type mail = uint32

const (
	mailWrote mail = 1 << iota
	mailRead
	mailACK
	mailCloseWrite
	mailCloseRead
	mailClose
	mailAbort
)

// post leaves m for c. Any goroutine may call it.
func (e *Engine) post(c *Conn, m mail) {
	if c.shared.mail.Or(m) != 0 {
		return // it is on the list, or about to be put there by who came first
	}
	e.enlist(c)
	if h := e.cfg.Helper; h == nil || !h() {
		e.wake()
	}
}

// enlist puts c, which has mail and is on no list, on that of e.
func (e *Engine) enlist(c *Conn) {
	for {
		head := e.mail.posted.Load()
		c.shared.next = head
		if e.mail.posted.CompareAndSwap(head, c) {
			return
		}
	}
}

func (e *Engine) wake() {
	if e.mail.parked.Load() && e.mail.parked.CompareAndSwap(true, false) {
		e.port.Wake()
	}
}

// Do has f called on the worker, and returns before it is. After Close it returns false and
// f is not called. Any goroutine may call it.
func (e *Engine) Do(f func(now mono.Time)) bool {
	e.mail.mu.Lock()
	if e.mail.closed.Load() {
		e.mail.mu.Unlock()
		return false
	}
	e.mail.commands = append(e.mail.commands, f)
	e.mail.orders.Store(true)
	e.mail.mu.Unlock()
	e.wake()
	return true
}

// forward hands a copy of a packet over that belongs to a flow of this engine, in one piece. The
// worker of the queue that it came on calls it. It says false when there is no room.
func (e *Engine) forward(from *Engine, frame []byte, rest [][]byte) bool {
	e.mail.mu.Lock()
	if e.mail.closed.Load() || len(e.mail.frames) >= forwardMax {
		e.mail.mu.Unlock()
		return false
	}
	whole := append([]byte(nil), frame...)
	for _, b := range rest {
		whole = append(whole, b...)
	}
	e.mail.frames = append(e.mail.frames, stray{whole, from})
	e.mail.orders.Store(true)
	e.mail.mu.Unlock()
	e.wake()
	return true
}

// Wait blocks until there is something to do, or d has passed; d < 0 is for ever. It is for
// the worker, after a Step that had nothing to do.
func (e *Engine) Wait(d time.Duration) error {
	m := &e.mail
	m.parked.Store(true)
	if e.HasMail() {
		d = 0
	}
	err := e.port.Wait(d)
	m.parked.Store(false)
	return err
}

// HasMail says whether something was posted that no step has read. Any goroutine may call it.
func (e *Engine) HasMail() bool { return e.mail.posted.Load() != nil || e.mail.orders.Load() }

// readMail does what was posted, and says whether there was anything.
func (e *Engine) readMail(now mono.Time) bool {
	worked := false
	if e.mail.orders.Load() {
		e.obey(now)
		worked = true
	}
	if e.mail.posted.Load() == nil {
		return worked
	}
	list := e.mail.posted.Swap(nil)
	// The list is last in, first out: turn it round, so that none waits behind its successors.
	var first *Conn
	for list != nil {
		list, list.shared.next, first = list.shared.next, first, list
	}
	for c := first; c != nil; {
		next := c.shared.next
		c.shared.next = nil
		if e.holds(c) {
			// From here on c may be posted again.
			c.read(now, c.shared.mail.Swap(0))
		}
		c = next
	}
	return true
}

// obey carries out the commands, and takes in the frames that other queues forwarded.
func (e *Engine) obey(now mono.Time) {
	m := &e.mail
	m.mu.Lock()
	m.orders.Store(false)
	commands, frames := m.commands, m.frames
	m.commands, m.spare = m.spare[:0], nil
	m.frames, m.spareIn = m.spareIn[:0], nil
	m.mu.Unlock()
	for _, f := range commands {
		f(now)
	}
	for _, s := range frames {
		e.stats.ForwardedIn++
		e.in.frame, e.in.rest = s.packet, nil
		e.frameIn(now, s.from)
	}
	clear(commands)
	clear(frames)
	m.spare, m.spareIn = commands[:0], frames[:0]
}
