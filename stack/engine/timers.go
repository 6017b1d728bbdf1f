package engine

import "github.com/millrace-tcp/millrace/mono"

// timers is the connections that wait for a time, in a heap with four children a node. A
// connection's entry is only ever too early: when its deadline moves back, which every ACK
// does, the entry stays, and is put right when it comes up. So a busy connection costs the
// heap a few moves a second and an idle one none; and the next deadline is exact, which a
// simulator in virtual time and a pacer need, where a wheel would round it to its tick.
type timers struct {
	heap []timer
}

type timer struct {
	at mono.Time
	c  *Conn
}

// unscheduled is a Conn's timerPos when it is not in the heap.
const unscheduled = -1

// next returns when the first entry is due.
func (t *timers) next() mono.Time {
	if len(t.heap) == 0 {
		return mono.Never
	}
	return t.heap[0].at
}

// schedule sees to it that c comes up at the time at, or before.
func (t *timers) schedule(c *Conn, at mono.Time) {
	if at == mono.Never {
		return
	}
	if c.timerPos == unscheduled {
		t.heap = append(t.heap, timer{at, c})
		c.timerPos = len(t.heap) - 1
		t.up(c.timerPos)
		return
	}
	if at < t.heap[c.timerPos].at {
		t.heap[c.timerPos].at = at
		t.up(c.timerPos)
	}
}

// pop returns a connection whose entry is due and takes the entry out; nil if there is none.
func (t *timers) pop(now mono.Time) *Conn {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return nil
	}
	c := t.heap[0].c
	t.cancel(c)
	return c
}

// cancel takes the entry of c out, if it has one.
func (t *timers) cancel(c *Conn) {
	i := c.timerPos
	if i == unscheduled {
		return
	}
	c.timerPos = unscheduled
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap[last] = timer{}
	t.heap = t.heap[:last]
	if i < last {
		t.set(i, moved)
		t.up(i)
		t.down(moved.c.timerPos)
	}
	if cap(t.heap) > 1024 && len(t.heap) < cap(t.heap)/8 {
		t.heap = append(make([]timer, 0, cap(t.heap)/2), t.heap...)
	}
}

func (t *timers) set(i int, e timer) {
	t.heap[i] = e
	e.c.timerPos = i
}

func (t *timers) up(i int) {
	e := t.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if t.heap[parent].at <= e.at {
			break
		}
		t.set(i, t.heap[parent])
		i = parent
	}
	t.set(i, e)
}

func (t *timers) down(i int) {
	e := t.heap[i]
	for {
		first := 4*i + 1
		if first >= len(t.heap) {
			break
		}
		least := first
		for j := first + 1; j < min(first+4, len(t.heap)); j++ {
			if t.heap[j].at < t.heap[least].at {
				least = j
			}
		}
		if e.at <= t.heap[least].at {
			break
		}
		t.set(i, t.heap[least])
		i = least
	}
	t.set(i, e)
}
