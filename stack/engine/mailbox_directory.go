package engine

import (
	"sync"
	"sync/atomic"
)

// Directory knows which engine owns a flow, for the stacks of NICs with several queues: a
// packet may arrive on another queue than its connection was made on, because the NIC, or
// the peer of a veth, spread it so, or because we dialled from a queue of our own choice.
// Engines share one; with a single queue there is none. Packets that find their connection on
// the queue they came by do not ask it.
type Directory struct {
	shards [directoryShards]directoryShard
	// cookieAt is when a SYN cookie was last sent: its ACK may come on any queue.
	cookieAt atomic.Int64
}

// directoryShards keeps workers out of each other's way: more than there are queues.
const directoryShards = 64

type directoryShard struct {
	mu    sync.RWMutex
	owner map[flowKey]*Engine
}

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	d := new(Directory)
	for i := range d.shards {
		d.shards[i].owner = make(map[flowKey]*Engine)
	}
	return d
}

func (d *Directory) shard(k *flowKey) *directoryShard {
	h := uint(k.rport)*31 + uint(k.lport) + uint(k.remote[15])*7
	return &d.shards[h%directoryShards]
}

func (e *Engine) directoryAdd(k *flowKey) {
	if e.cfg.Directory == nil {
		return
	}
	s := e.cfg.Directory.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner[*k] = e
}

func (e *Engine) directoryRemove(k *flowKey) {
	if e.cfg.Directory == nil {
		return
	}
	s := e.cfg.Directory.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner[*k] == e {
		delete(s.owner, *k)
	}
}

// ownerOf returns the engine that a flow belongs to, or nil.
func (d *Directory) ownerOf(k *flowKey) *Engine {
	s := d.shard(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.owner[*k]
}

// forwardToOwner hands the packet in e.in to the engine that owns its flow, and says whether
// there is one other than e. A packet for which that has no room is lost, and counted.
func (e *Engine) forwardToOwner(k *flowKey) bool {
	if e.cfg.Directory == nil {
		return false
	}
	owner := e.cfg.Directory.ownerOf(k)
	if owner == nil || owner == e {
		return false
	}
	e.handTo(owner)
	return true
}

func (e *Engine) handTo(owner *Engine) {
	if owner.forward(e, e.in.frame, e.in.rest) {
		e.stats.Forwarded++
	} else {
		e.stats.Drop.ForwardFull++
	}
}
