package millrace

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/loader"
)

// doubts is when connections that were placed by RSS were looked at last, and how many had moved:
// had their answer on another queue.
type doubts struct {
	looked atomic.Int64 // by the clock, in nanoseconds
	moved  atomic.Uint64
}

// doubtEach is how long it takes between two looks, and so between two questions to the kernel.
const doubtEach = time.Second

// placeQueues sees to it, after the settings are made, that it is known where packets arrive.
func (n *NIC) placeQueues() {
	n.spread.Refresh()
	s := n.spread.Spreading()
	if s.Known(true) || s.Known(false) {
		n.info.Notes = append(n.info.Notes, "ports of outgoing connections are chosen by RSS")
	}
	n.warnUnserved(s)
}

// steer tells the queue on which what remote sends to local arrives. That connections have moved
// nevertheless is a sign that the NIC spreads otherwise by now, of which kernels before 6.17 do
// not tell.
func (n *NIC) steer(local, remote netip.AddrPort) (queue int, known bool) {
	queue, known = n.spread.Queue(local, remote)
	if !known {
		return 0, false
	}
	now, last := time.Now().UnixNano(), n.doubts.looked.Load()
	if now-last >= int64(doubtEach) && n.doubts.looked.CompareAndSwap(last, now) {
		moved := uint64(0)
		for _, s := range n.Stack.Stats() {
			moved += s.Moved
		}
		if n.doubts.moved.Swap(moved) != moved {
			n.spread.Doubt()
		}
	}
	return queue, true
}

// warnUnserved says so when packets go where nobody takes them: at the beginning, and whenever the NIC
// spreads them anew. Connections stay where they are then, and what comes for one on another queue that
// is served is handed over.
func (n *NIC) warnUnserved(s loader.Spreading) {
	served := len(n.ports)
	beyond := s.Beyond(served)
	if len(beyond) == 0 {
		return
	}
	remedy := fmt.Sprintf("ethtool -X %s equal %d", n.probe.Name, served)
	if len(s.Table) == 0 {
		remedy = "serve all queues: it is not known how the NIC spreads"
	}
	n.log.Warn("millrace: packets arrive on queues that are not served, and are dropped there", "nic", n.probe.Name,
		"served", served, "beyond", beyond, "remedy", remedy)
}
