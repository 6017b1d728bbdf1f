package bench

import (
	"bytes"

	"github.com/millrace-tcp/millrace/stack"
)

// OpenHandler is for ListenHandler of a stack, and serves workloads as a Server does, without a
// goroutine: transfers where they lie, and a message is sent back when all of it is there. It
// waits for ever for a peer that says nothing, and so is for measurements among ends of one's
// own.
func OpenHandler(*stack.HandlerConn) stack.Handler { return new(handled) }

// handled is a connection that is served by a handler: first by this one, which reads what is
// asked for.
type handled struct{ do stack.Handler }

// Data reads the request, and leaves what follows to the handler for it.
func (h *handled) Data(c *stack.HandlerConn) {
	switch {
	case h.do != nil:
	case c.Len() >= RequestLen:
		var b [RequestLen]byte
		c.Read(b[:])
		w, seed, err := readRequest(bytes.NewReader(b[:]))
		if err == nil {
			h.do = handlerFor(c, w, seed)
		}
		if h.do == nil {
			c.Abort()
			return
		}
	case c.Ended():
		c.Close() // nothing was asked
		return
	default:
		return
	}
	h.do.Data(c)
}

// Writable is for the handler of what was asked.
func (h *handled) Writable(c *stack.HandlerConn) {
	if h.do != nil {
		h.do.Writable(c)
	}
}

// Closed is the end.
func (h *handled) Closed(*stack.HandlerConn, error) {}

// handlerFor returns what serves a workload, nil if nothing does.
func handlerFor(c *stack.HandlerConn, w Workload, seed uint64) stack.Handler {
	switch w.Kind {
	case Bulk, Exact:
		if w.Way == Upload {
			return &handledUpload{s: newSink(w)}
		}
		return &handledDownload{o: newOrigin(w, seed), w: w}
	case RequestResponse, Connect:
		return &handledMessages{size: w.Size}
	case Idle:
		c.Write([]byte{1})
		return handledIdle{}
	case HTTP:
	}
	return nil
}

// handledEnd is what handlers of all workloads do at the end: nothing.
type handledEnd struct{}

// Closed is the end.
func (handledEnd) Closed(*stack.HandlerConn, error) {}

// finish writes what is still to be said, and closes after the last of it. It returns what is left.
func finish(c *stack.HandlerConn, rest []byte) []byte {
	rest = rest[c.Write(rest):]
	if len(rest) == 0 {
		c.Close()
	}
	return rest
}

// handledUpload receives, and answers with a tally.
type handledUpload struct {
	handledEnd
	s      *sink
	answer []byte // what is left of it; nil before the end
}

// Data takes what has come, where it lies.
func (h *handledUpload) Data(c *stack.HandlerConn) {
	for c.Len() > 0 {
		l := c.Lend(c.Len())
		h.s.take(l.Bytes())
		l.Release()
	}
	if !c.Ended() {
		return
	}
	if h.answer == nil {
		h.answer = h.s.tally().octets()
	}
	h.answer = finish(c, h.answer)
}

// Writable goes on with the answer.
func (h *handledUpload) Writable(c *stack.HandlerConn) { h.Data(c) }

// handledDownload sends.
type handledDownload struct {
	handledEnd
	o     *origin
	w     Workload
	tally []byte // what is left of it; nil before the end
}

// Data is the start.
func (h *handledDownload) Data(c *stack.HandlerConn) { h.Writable(c) }

// Writable makes as much as there is room for, where it goes from.
func (h *handledDownload) Writable(c *stack.HandlerConn) {
	for h.o.more() {
		b := c.Reserve(BlockSize)
		if b == nil {
			return
		}
		c.Commit(h.o.fill(b))
	}
	if h.tally == nil && h.w.Kind == Exact {
		h.tally = h.o.tally().octets()
	}
	h.tally = finish(c, h.tally)
}

// wholeMax is up to how many octets a message is sent back when all of it is there: what any
// receive queue holds. Of longer ones the rest follows as it comes.
const wholeMax = 64 << 10

// handledMessages sends back messages.
type handledMessages struct {
	handledEnd
	size int
	left int // of the message that is sent back now
}

// Data sends back what is whole, as far as there is room; Writable goes on.
func (h *handledMessages) Data(c *stack.HandlerConn) {
	for {
		if h.left == 0 && c.Len() >= min(h.size, wholeMax) {
			h.left = h.size
		}
		n := min(h.left, c.Len(), c.Space())
		if n == 0 {
			break
		}
		l := c.Lend(n)
		h.left -= c.Write(l.Bytes())
		l.Release()
	}
	if c.Ended() && (h.left == 0 || c.Len() == 0) {
		c.Close()
	}
}

// Writable goes on where Data had no room.
func (h *handledMessages) Writable(c *stack.HandlerConn) { h.Data(c) }

// handledIdle does nothing until its peer ends.
type handledIdle struct{ handledEnd }

// Data ends with the peer.
func (handledIdle) Data(c *stack.HandlerConn) {
	if c.Ended() {
		c.Close()
	}
}

// Writable is of no interest.
func (handledIdle) Writable(*stack.HandlerConn) {}
