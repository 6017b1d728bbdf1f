package engine

import "github.com/millrace-tcp/millrace/mono"

// timers is the connections, open or half open, that wait for a time, in a heap with four
// children a node. A connection's entry is only ever too early: when its deadline moves back, which every ACK
// does, the entry stays, and is put right when it comes up. So a busy connection costs the
// heap a few moves a second and an idle one none; and the next deadline is exact, which a
// simulator in virtual time and a pacer need, where a wheel would round it to its tick.
type timers[T timed] struct {
	heap []timer[T]
}

type timer[T timed] struct {
	at mono.Time
	c  T
}

// timed is what can wait: it keeps its place in the heap.
type timed interface {
	comparable
	slot() *int32
}

// unscheduled is the place of what is not in the heap.
const unscheduled = -1

// next returns when the first entry is due.
func (t *timers[T]) next() mono.Time {
	if len(t.heap) == 0 {
		return mono.Never
	}
	return t.heap[0].at
}

// schedule sees to it that c comes up at the time at, or before.
func (t *timers[T]) schedule(c T, at mono.Time) {
	if at == mono.Never {
		return
	}
	i := int(*c.slot())
	if i == unscheduled {
		t.heap = append(t.heap, timer[T]{at, c})
		t.up(len(t.heap) - 1)
		return
	}
	if at < t.heap[i].at {
		t.heap[i].at = at
		t.up(i)
	}
}

// pop returns a connection whose entry is due and takes the entry out, or the zero value.
func (t *timers[T]) pop(now mono.Time) (c T) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return c
	}
	c = t.heap[0].c
	t.cancel(c)
	return c
}

// cancel takes the entry of c out, if it has one.
func (t *timers[T]) cancel(c T) {
	i := int(*c.slot())
	if i == unscheduled {
		return
	}
	*c.slot() = unscheduled
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap[last] = timer[T]{}
	t.heap = t.heap[:last]
	if i < last {
		t.set(i, moved)
		t.up(i)
		t.down(int(*moved.c.slot()))
	}
	if cap(t.heap) > 1024 && len(t.heap) < cap(t.heap)/8 {
		t.heap = append(make([]timer[T], 0, cap(t.heap)/2), t.heap...)
	}
}

func (t *timers[T]) set(i int, e timer[T]) {
	t.heap[i] = e
	*e.c.slot() = int32(i)
}

func (t *timers[T]) up(i int) {
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

func (t *timers[T]) down(i int) {
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
