package queue

// Level says how near a pool is to its ceiling.
type Level uint32

// The levels. Reaching one slows connections down and refuses new ones; none that is open
// ever stands still: each queue may hold FloorOctets, whatever the level.
const (
	Plenty   Level = iota
	Pressure       // three quarters of the ceiling: queues do not grow, and hold PressureOctets
	Full           // the ceiling: queues hold FloorOctets
)

// PressureOctets is the most that a queue takes under pressure: TCP's window without scaling.
// FloorOctets is what it may always hold, five segments of 1460. So the chunks of n
// connections stay below the ceiling and 2 n (FloorOctets + ChunkSize): 1,000 connections
// overdraw it by 32 MiB, if all of them fill both queues at once.
const (
	PressureOctets = 64 << 10
	FloorOctets    = 8 << 10
)

// SetMax sets the ceiling in octets; 0 is none.
func (p *Pool) SetMax(octets int64) {
	p.max.Store(octets)
	p.relevel()
}

// Charge counts octets that are not chunks against the ceiling: what connections cost
// besides. Less than zero gives back.
func (p *Pool) Charge(octets int64) {
	p.charged.Add(octets)
	p.relevel()
}

// Level returns how near the ceiling is. It is what the last change left: who asks often does
// not touch what others change often.
func (p *Pool) Level() Level { return Level(p.level.Load()) }

// relevel sets the level after a change. Of several at once the last to look is right.
func (p *Pool) relevel() {
	for l := p.measure(); ; {
		if p.Level() != l {
			p.level.Store(uint32(l))
		}
		again := p.measure()
		if again == l {
			return
		}
		l = again
	}
}

func (p *Pool) measure() Level {
	most := p.max.Load()
	if most == 0 {
		return Plenty
	}
	switch used := p.InUse() + p.charged.Load(); {
	case used >= most:
		return Full
	case used >= most/4*3:
		return Pressure
	}
	return Plenty
}

// bound is the most that a queue with a limit holds at this level.
func (l Level) bound(limit int64) int64 {
	switch l {
	case Plenty:
	case Pressure:
		return min(limit, PressureOctets)
	case Full:
		return min(limit, FloorOctets)
	}
	return limit
}

// Bound returns the most bytes that are held while memory is as it is. Safe for concurrent use.
func (q *Send) Bound() int { return int(q.row.pool.Level().bound(q.limit.Load())) }

// Roomy says that there is space worth waking a writer for: a quarter of what is held at the
// most. Safe for concurrent use.
func (q *Send) Roomy() bool { return 4*q.Space() >= q.Bound() }

// MayGrow says that the limit may be raised: memory is plenty.
func (q *Send) MayGrow() bool { return q.row.pool.Level() == Plenty }

// Bound returns the most bytes that are held while memory is as it is. What was offered to the
// peer before may be more. Safe for concurrent use.
func (q *Recv) Bound() int { return int(q.row.pool.Level().bound(q.limit.Load())) }

// MayGrow says that the limit may be raised: memory is plenty.
func (q *Recv) MayGrow() bool { return q.row.pool.Level() == Plenty }

// Refuses says that n more bytes in order, at end, are more than memory allows, though the peer was
// offered room for them: they are to be dropped as if the path had lost them.
func (q *Recv) Refuses(end uint64, n int) bool {
	return q.row.pool.Level() == Full && int(end-q.taken.Load())+n > FloorOctets
}

// RefusesAhead says that memory allows no bytes out of order.
func (q *Recv) RefusesAhead() bool { return q.row.pool.Level() == Full }

// Prune drops what was written beyond End, out of order. For the worker only.
func (q *Recv) Prune() {
	var home homeward
	q.mu.Lock()
	q.into, q.held = nil, false
	if end := q.end.Load(); !q.shut && q.high > end {
		q.high = end
		q.dropKept(end, &home)
		q.row.dropFrom(end)
		q.drop()
	}
	q.mu.Unlock()
	home.send()
}

// dropFrom gives back the chunks that lie wholly at off or after.
func (r *row) dropFrom(off uint64) {
	for r.n > 0 && (r.first+uint64(r.n)-1)*ChunkSize >= off {
		slot := r.slot(r.n - 1)
		if *slot != nil {
			r.pool.put(*slot)
			*slot = nil
		}
		r.n--
	}
}
