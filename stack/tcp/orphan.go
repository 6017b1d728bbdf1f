package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// orphanPatience is how long a connection that its application has closed waits for a peer
// whose window is closed, or too small to be worth a segment. "As long as the receiving TCP
// peer continues to send acknowledgments ... the sending TCP peer MUST allow the connection
// to stay open" is for those whose application can end them; nobody can end this one, and a
// peer could hold its memory for ever. Linux gives up after 8 probes and a back-off of two
// minutes, which is three to eight minutes (tcp_orphan_retries).
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.1
const orphanPatience = 6 * time.Minute

// orphanStuck says whether the peer of a closed connection has, for orphanPatience, not taken
// as much as a segment. It is asked whenever the peer's window has held data back.
func (c *Conn) orphanStuck(now mono.Time) bool {
	l := &c.life
	if !l.closed {
		return false
	}
	if l.orphanAt == 0 || c.count.acked-l.orphanAcked >= uint64(c.sendMSS()) {
		l.orphanAt, l.orphanAcked = now, c.count.acked
		return false
	}
	return now.Sub(l.orphanAt) >= orphanPatience
}
