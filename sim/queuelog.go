package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// QueueKind says what happened at a queue.
type QueueKind uint8

// What happens at a queue.
const (
	QueueIn   QueueKind = iota // a packet was put into it
	QueueOut                   // it has left the transmitter
	QueueDrop                  // it was dropped: no room, or the manager of the queue would not have it
)

// QueueEvent is what happened to a packet at the bottleneck's queue.
type QueueEvent struct {
	At     mono.Time
	Kind   QueueKind
	Octets int           // of IP packet
	Waited time.Duration // of QueueOut: in the queue and the transmitter
}

// log tells who watches the queue. When a packet will leave is known before it does, so a
// QueueOut may lie in the future; those of one path come in their order.
func (l *path) log(e QueueEvent) {
	if l.watch != nil {
		l.watch(e)
	}
}
