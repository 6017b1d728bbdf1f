package pipe

import "github.com/millrace-tcp/millrace/dataplane"

// Recv takes frames that the peer has sent.
func (p *Port) Recv(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	from, size := p.peer, p.info.FrameSize
	n, packets, octets, inside := 0, 0, 0, false
	for n < len(dst) {
		e, ok := p.in.get()
		if !ok {
			break
		}
		if e.length&moreBit != 0 && !inside && !p.in.whole(len(dst)-n-1) {
			p.in.getAt-- // the packet has no room here
			break
		}
		inside = e.length&moreBit != 0
		start, length := int(e.index)*size, int(e.length&^moreBit)
		f := &dst[n]
		f.Data = from.mem[start : start+length : start+size]
		f.More, f.ChecksumAt, f.Handle = inside, 0, uint64(e.index)
		from.state[e.index] = received
		octets += length
		n++
		if !inside {
			packets++
		}
	}
	if n > 0 {
		p.in.publishGet()
		p.nTaken += n
		p.stats.rxFrames.Add(uint64(packets))
		p.stats.rxOctets.Add(uint64(octets))
	}
	return n
}

// Free sends received frames home to the peer.
func (p *Port) Free(frames []dataplane.Frame) {
	if len(frames) == 0 {
		return
	}
	to := p.peer
	for i := range frames {
		h := frames[i].Handle
		if h >= uint64(len(to.state)) || to.state[h] != received {
			panic("BUG: pipe: freed a frame that was not received, or twice")
		}
		to.state[h] = atHome
		to.home.put(entry{index: uint32(h)}) // as long as the peer has frames: never full
	}
	to.home.publishPut()
	p.nTaken -= len(frames)
	to.cameHome()
}

// Leave takes note of received frames that readers still hold.
func (p *Port) Leave(frames []dataplane.Frame) {
	for i := range frames {
		h := frames[i].Handle
		if h >= uint64(len(p.peer.state)) || p.peer.state[h] != received {
			panic("BUG: pipe: left a frame that was not received")
		}
		p.peer.state[h] = kept
	}
	p.nTaken -= len(frames)
}

// Return sends one of those home to the peer, which may be closed. Any goroutine may call it.
func (p *Port) Return(f dataplane.Frame) {
	p.late.Lock()
	defer p.late.Unlock()
	to := p.peer
	if f.Handle >= uint64(len(to.state)) || to.state[f.Handle] != kept {
		panic("BUG: pipe: returned a frame that was not left, or twice")
	}
	to.state[f.Handle] = atHome
	to.home.put(entry{index: uint32(f.Handle)})
	to.home.publishPut()
	to.cameHome()
}

// Alloc lends own frames that are at home.
func (p *Port) Alloc(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	if len(p.free) < len(dst) {
		p.collect()
	}
	n := min(len(dst), len(p.free))
	size := p.info.FrameSize
	for i := range n {
		index := p.free[len(p.free)-1-i]
		start := int(index) * size
		f := &dst[i]
		f.Data = p.mem[start : start+size : start+size]
		f.More, f.ChecksumAt, f.Handle = false, 0, uint64(index)
		p.state[index] = lent
	}
	p.free = p.free[:len(p.free)-n]
	p.nLent += n
	if n < len(dst) {
		p.starved.Store(true)
	}
	return n
}

// collect takes home what the peer has freed.
func (p *Port) collect() {
	for {
		e, ok := p.home.get()
		if !ok {
			break
		}
		p.free = append(p.free, e.index)
	}
	p.home.publishGet()
}

// giveBack checks that f is on loan, and returns its index.
func (p *Port) giveBack(f *dataplane.Frame) uint32 {
	if f.Handle >= uint64(len(p.state)) || p.state[f.Handle] != lent {
		panic("BUG: pipe: gave back a frame that was not allocated, or twice")
	}
	return uint32(f.Handle)
}

// Send puts frames where the peer's Recv finds them. Those beyond Config.Queue are lost
// and counted as RXDropped at the peer, as a NIC without buffers would count them. What
// is sent to a closed port is lost and counted as TXDropped here.
func (p *Port) Send(frames []dataplane.Frame) {
	if len(frames) == 0 {
		return
	}
	dead := p.peer.closed.Load() || p.closed.Load()
	sent, lost, octets := 0, 0, 0
	for rest := frames; len(rest) > 0; {
		n := dataplane.PacketLen(rest)
		if rest[n-1].More || n > p.info.Pieces {
			panic("BUG: pipe: sent a part of a packet, or one of too many frames")
		}
		if !dead && p.peer.in.room(uint32(n)) {
			octets += p.post(rest[:n])
			sent++
		} else {
			p.recycle(rest[:n])
			lost++
		}
		rest = rest[n:]
	}
	p.nLent -= len(frames)
	p.peer.in.publishPut()
	p.stats.txFrames.Add(uint64(sent))
	p.stats.txOctets.Add(uint64(octets))
	switch {
	case lost == 0:
	case dead:
		p.stats.txDropped.Add(uint64(lost))
	default:
		p.stats.txFrames.Add(uint64(lost))
		p.peer.stats.rxDropped.Add(uint64(lost))
	}
}

// post puts the frames of one packet, for which there is room, on the way to the peer, and
// returns its length.
func (p *Port) post(frames []dataplane.Frame) (octets int) {
	for i := range frames {
		f := &frames[i]
		index := p.giveBack(f)
		length := len(f.Data)
		if length > p.info.FrameSize {
			panic("BUG: pipe: sent a frame longer than its room")
		}
		e := entry{index, uint32(length)}
		if f.More {
			e.length |= moreBit
		}
		p.state[index] = inFlight
		p.peer.in.put(e)
		octets += length
	}
	return octets
}

// recycle puts frames that the worker had on the free list.
func (p *Port) recycle(frames []dataplane.Frame) {
	for i := range frames {
		index := p.giveBack(&frames[i])
		p.state[index] = atHome
		p.free = append(p.free, index)
	}
}

// Cancel takes allocated frames back.
func (p *Port) Cancel(frames []dataplane.Frame) {
	p.recycle(frames)
	p.nLent -= len(frames)
}
