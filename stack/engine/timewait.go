package engine

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// TimeWaitDefault is the most connections that rest in TIME-WAIT: 65,536 of 150 octets are
// 10 MiB, and 1,000 connections closed a second for one minute.
const TimeWaitDefault = 1 << 16

// resting is a connection in TIME-WAIT whose application is done with it: what is left of it
// after the Conn is gone.
type resting struct {
	key        flowKey
	tw         tcp.TimeWait
	until      mono.Time
	answered   mono.Time // when something else than its FIN was answered last
	claim      Claim
	prev, next *resting
}

func (r *resting) flow() *flowKey { return &r.key }

// timeWait holds the connections that rest, in the order in which they end: all rest for the
// same time, and one that starts again goes to the back.
type timeWait struct {
	table table[*resting]
	list  resting // prev is the last, next the first
	spare *resting
}

func (t *timeWait) init(seed hashSeed) {
	t.table.init(seed)
	t.list.prev, t.list.next = &t.list, &t.list
}

func (t *timeWait) pushBack(r *resting) {
	last := t.list.prev
	r.prev, r.next = last, &t.list
	last.next, t.list.prev = r, r
}

func (t *timeWait) unlink(r *resting) {
	r.prev.next, r.next.prev = r.next, r.prev
	r.prev, r.next = nil, nil
}

// deadline returns when the first one's time is over.
func (t *timeWait) deadline() mono.Time {
	if t.table.n == 0 {
		return mono.Never
	}
	return t.list.next.until
}

// timeWaitLen is 2 MSL.
func (e *Engine) timeWaitLen() time.Duration { return 2 * e.cfg.TCP.MSL }

// rest replaces c, which is in TIME-WAIT and closed by its application, by the little that
// TIME-WAIT needs.
func (e *Engine) rest(now mono.Time, c *Conn) {
	tw, ok := c.tcp.TimeWait()
	if !ok {
		return
	}
	if e.timeWait.table.n >= e.cfg.TimeWaitMax {
		e.stats.TimeWaitEvicted++
		e.wakeResting(e.timeWait.list.next)
	}
	r := e.timeWait.spare
	if r == nil {
		r = new(resting)
	}
	e.timeWait.spare = nil
	*r = resting{key: c.key, tw: tw, until: now.Add(e.timeWaitLen()), answered: now.Add(-restAnswerEvery), claim: c.claim}
	c.claim = nil
	e.remove(c, false)
	e.timeWait.table.put(r)
	e.timeWait.pushBack(r)
}

// wakeResting ends the TIME-WAIT of r.
func (e *Engine) wakeResting(r *resting) {
	e.timeWait.table.remove(r)
	e.timeWait.unlink(r)
	e.directoryRemove(&r.key)
	if r.claim != nil {
		r.claim.Release()
	}
	*r = resting{}
	e.timeWait.spare = r
}

// endTimeWaits lets those go whose time is over.
func (e *Engine) endTimeWaits(now mono.Time) bool {
	worked := false
	for e.timeWait.deadline() <= now {
		e.wakeResting(e.timeWait.list.next)
		worked = true
	}
	return worked
}

// restAnswerEvery bounds the answers to what is not the peer's FIN again, as RFC 5961, section 7,
// has those of a connection bounded: ten in a second.
const restAnswerEvery = 100 * time.Millisecond

// timeWaitIn handles a segment for a connection that rests.
func (e *Engine) timeWaitIn(now mono.Time, r *resting, in *inbound) {
	if r.tw.CanReuse(&in.seg) {
		if l := e.listening(in.ip.Dst, in.key.lport); l != nil && e.keepsSYN(l, &in.key) {
			next := reusable{nextISS: r.tw.NextISS()}
			e.wakeResting(r)
			e.stats.TimeWaitReused++
			e.stats.TCP.TWRecycled++
			e.request(now, l, in, &next)
			return
		}
	}
	ack, restart := r.tw.Input(&in.seg)
	if restart {
		r.until = now.Add(e.timeWaitLen())
		e.timeWait.unlink(r)
		e.timeWait.pushBack(r)
	}
	if in.seg.Flags&wire.RST != 0 {
		e.stats.TCP.TWRST++
	}
	if !ack {
		return
	}
	if !restart && now.Sub(r.answered) < restAnswerEvery {
		e.stats.TCP.TCPACKSkippedTimeWait++
		return
	}
	if a := e.answer(in); a != nil {
		r.answered = now
		r.tw.Answer(now, &a.seg)
		e.stats.TimeWaitAnswers++
	}
}
