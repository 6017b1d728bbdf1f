package sim

import "github.com/millrace-tcp/millrace/mono"

// eventKind says what an event is about.
type eventKind uint8

const (
	eventArrive   eventKind = iota // packet ref reaches the far end of its path
	eventWake                      // host ref has something due
	eventTX                        // ref transmit frames of host arg are free again
	eventCall                      // function ref of Network.calls
	eventTransmit                  // the transmitter of path arg is free
)

// event is something that happens at a time. It holds no pointer, so that the heap costs the
// garbage collector nothing.
type event struct {
	at   mono.Time
	no   uint64 // events of one time happen in the order in which they were put
	ref  int32
	arg  int16
	kind eventKind
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.no < f.no }

// eventHeap is the future, the earliest event first: a heap with four children a node.
type eventHeap struct {
	heap []event
	no   uint64
}

func (h *eventHeap) len() int { return len(h.heap) }

// put adds an event.
func (h *eventHeap) put(e event) {
	h.no++
	e.no = h.no
	h.heap = append(h.heap, e)
	i := len(h.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h.heap[parent]) {
			break
		}
		h.heap[i] = h.heap[parent]
		i = parent
	}
	h.heap[i] = e
}

// next returns when the first event is; mono.Never if there is none.
func (h *eventHeap) next() mono.Time {
	if len(h.heap) == 0 {
		return mono.Never
	}
	return h.heap[0].at
}

// take removes the first event. There is one.
func (h *eventHeap) take() event {
	first := h.heap[0]
	last := len(h.heap) - 1
	e := h.heap[last]
	h.heap = h.heap[:last]
	if last == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= last {
			break
		}
		least := child
		for j := child + 1; j < min(child+4, last); j++ {
			if h.heap[j].before(&h.heap[least]) {
				least = j
			}
		}
		if !h.heap[least].before(&e) {
			break
		}
		h.heap[i] = h.heap[least]
		i = least
	}
	h.heap[i] = e
	return first
}
