package sim

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// network is hosts, the paths between them, and the time. Nothing in it runs by itself: run
// takes the next event, until there is none.
type network struct {
	now     mono.Time
	events  eventHeap
	calls   []func(now mono.Time) // of eventCall
	spare   []int32               // free entries of calls
	packets packets
	sources int32 // of cross traffic
	hosts   []*host
	paths   []*path
	seed    uint64
	digest  uint64
	steps   uint64
	trace   trace
	pattern *pattern
	buf     [64 << 10]byte // what applications read into
	watch   watcher        // nil: nobody looks
	err     error          // the first broken rule; run stops
}

// watcher is told what happens, to check it or to measure.
type watcher interface {
	// sent is called for each packet that a host sends, before anything happens to it.
	sent(h *host, frame []byte)
	// stepped is called after each step of a host's engine: it has taken what arrived, and
	// then sent what it had to.
	stepped(h *host)
}

// host is an engine with its port.
type host struct {
	net     *network
	id      int16
	addr    netip.Addr
	eng     *engine.Engine
	port    *port
	router  *router
	origin  mono.Time // the host's clock shows the network's time and this
	out     int16     // the path that its packets take
	dirty   bool      // must be stepped
	wakeAt  mono.Time // when it is to be woken; mono.Never: not at all
	grain   mono.Time // it is stepped at multiples of it only; 0: whenever there is something to do
	options hostOptions
	dead    bool // it was switched off: it neither hears nor speaks
}

// stepsMax bounds what a host does at one moment: 64 packets and 256 frames a step make it
// 16 million packets, far beyond what any queue holds.
const stepsMax = 1 << 16

func newNetwork(seed uint64) *network {
	n := &network{seed: seed}
	n.pattern = newPattern(n.rand(streamPattern))
	return n
}

// rand returns a source of the network's seed; each use has its stream.
func (n *network) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(n.seed, stream)) }

// The streams of a seed.
const (
	streamPath    = 1 << 32
	streamApp     = 2 << 32
	streamStart   = 3 << 32
	streamKey     = 4 << 32
	streamPattern = 5 << 32
	streamCross   = 6 << 32
)

// hostConfig says what a host is like.
type hostConfig struct {
	addr     netip.Addr
	engine   engine.Config
	mtu      int           // 1500 if 0
	txFrames int           // 1024 if 0
	txSlow   time.Duration // how long a frame is in use after it was sent
	origin   mono.Time
	known    mono.Time // when its neighbour answers
	grain    time.Duration
}

// addHost adds a host that has no path yet.
func (n *network) addHost(cfg hostConfig) *host {
	h := &host{net: n, id: int16(len(n.hosts)), addr: cfg.addr, origin: cfg.origin, out: -1, wakeAt: mono.Never, grain: mono.Time(cfg.grain)}
	if cfg.txFrames == 0 {
		cfg.txFrames = 1024
	}
	if cfg.mtu == 0 {
		cfg.mtu = 1500
	}
	h.port = newPort(h, cfg.txFrames, cfg.txSlow)
	mac := [6]byte{2, 0, 0, 0, 0, byte(h.id) + 1}
	cfg.engine.Addrs = engine.NewAddrSet(cfg.addr)
	h.router = &router{net: n, generation: 1, known: cfg.known, hop: engine.Hop{
		LocalMAC: mac, RemoteMAC: [6]byte{2, 0, 0, 0, 0, 0xff}, MTU: cfg.mtu, Src: cfg.addr,
	}}
	h.eng = engine.New(cfg.engine, h.port, h.router)
	n.hosts = append(n.hosts, h)
	return h
}

// join lays a path from a host to another. All that the first sends takes it.
func (n *network) join(from, to *host, cfg PathConfig) *path {
	l := newPath(cfg, n.rand(streamPath+uint64(len(n.paths))))
	l.to = to.id
	from.out = int16(len(n.paths))
	n.paths = append(n.paths, l)
	return l
}

// clock is the host's own time.
func (h *host) clock() mono.Time { return h.net.now + h.origin }

// after has f called when d has passed, and the hosts stepped that it touches.
func (n *network) after(d time.Duration, f func(now mono.Time)) {
	i := int32(len(n.calls))
	if k := len(n.spare); k > 0 {
		i = n.spare[k-1]
		n.spare = n.spare[:k-1]
		n.calls[i] = f
	} else {
		n.calls = append(n.calls, f)
	}
	n.events.put(event{at: n.now.Add(d), kind: eventCall, ref: i})
}

// fail records that a rule was broken. The first one counts.
func (n *network) fail(format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("at %v: %s", time.Duration(n.now), fmt.Sprintf(format, args...))
	}
}

// run lets time pass until end, or until nothing will ever happen again, or a rule is broken.
func (n *network) run(end mono.Time) {
	for n.err == nil {
		t := n.events.next()
		if t > end || t == mono.Never {
			if end != mono.Never {
				n.now = max(n.now, end)
			}
			return
		}
		n.now = t
		for n.events.next() == t {
			n.handle(n.events.take())
		}
		for _, h := range n.hosts {
			if h.dirty && !h.dead && h.ticks() {
				h.step()
			}
		}
	}
}

func (n *network) handle(e event) {
	switch e.kind {
	case eventArrive:
		n.arrive(e.ref)
	case eventWake:
		h := n.hosts[e.ref]
		if h.wakeAt == e.at {
			h.wakeAt = mono.Never
			h.dirty = true
		}
	case eventTX:
		h := n.hosts[e.arg]
		h.port.credit += int(e.ref)
		h.dirty = true
	case eventCall:
		f := n.calls[e.ref]
		n.calls[e.ref] = nil
		n.spare = append(n.spare, e.ref)
		f(n.now)
	case eventTransmit:
		n.transmit(e.arg)
	}
}

// send puts a packet onto the path of its host.
func (n *network) send(h *host, i int32) {
	p := &n.packets.all[i]
	frame := p.buf[:p.n]
	if n.watch != nil {
		n.watch.sent(h, frame)
	}
	n.sum(uint64(n.now), uint64(h.id)<<32|uint64(crc32.Checksum(frame, castagnoli)))
	l := n.paths[h.out]
	p.sent, p.path, p.from = n.now, h.out, h.id
	var v verdict
	if l.manager != nil {
		if v = l.admit(n.now, frame); !v.dropped {
			n.serve(h.out, i, len(frame)-wire.EthernetLen)
			return
		}
	} else {
		v = l.put(n.now, frame)
	}
	if !v.dropped {
		n.fly(i, l, &v)
		return
	}
	n.trace.add(n.now, h.id, frame, &v)
	l.lostData(frame)
	if v.tooBig && l.cfg.Narrows.Tells {
		n.tell(h, frame, l.cfg.Narrows.MTU)
	}
	n.packets.drop(i, placeFlying)
}

// lostData counts a frame that is lost, if it must be sent again.
func (l *path) lostData(frame []byte) {
	var seg wire.Segment
	if parse(frame, &seg) && seg.LEN() > 0 {
		l.stats.LostData++
	}
}

// fly does to packet i what the verdict says, and has it arrive.
func (n *network) fly(i int32, l *path, v *verdict) {
	p := &n.packets.all[i]
	frame := p.frame()
	n.trace.add(n.now, p.from, frame, v)
	if v.mark && markCE(frame) {
		l.stats.Marked++
	}
	if v.squeeze && squeeze(frame, v.left) {
		l.stats.Squeezed++
	}
	if v.again != mono.Never {
		n.duplicate(i, v.again)
	}
	if v.corrupt {
		n.packets.all[i].broken = true
		frame[l.rng.IntN(len(frame))] ^= byte(1 + l.rng.IntN(255))
	}
	n.events.put(event{at: v.arrives, kind: eventArrive, ref: i})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// duplicate has a copy of packet i arrive at a time.
func (n *network) duplicate(i int32, at mono.Time) {
	j, ok := n.packets.get(placeFlying)
	if !ok {
		return
	}
	from, to := &n.packets.all[i], &n.packets.all[j]
	to.n = copy(to.buf, from.buf[:from.n])
	to.sent, to.path, to.from = from.sent, from.path, from.from
	n.events.put(event{at: at, kind: eventArrive, ref: j})
}

// arrive hands a packet to the host at the end of its path.
func (n *network) arrive(i int32) {
	p := &n.packets.all[i]
	l := n.paths[p.path]
	h := n.hosts[l.to]
	if h.dead {
		n.packets.drop(i, placeFlying)
		return
	}
	l.stats.Delivered++
	n.sum(uint64(n.now), uint64(p.path)<<32|uint64(p.n))
	n.packets.move(i, placeFlying, placeWaiting)
	h.port.arrive(i)
	h.dirty = true
}

// sum adds to the digest of all that was sent and arrived, and when.
func (n *network) sum(a, b uint64) {
	hi, lo := bits.Mul64(n.digest^a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	n.digest = hi ^ lo + n.digest<<1
}

// ticks says whether the host may be stepped now; if not, it will be when its clock ticks.
func (h *host) ticks() bool {
	at := h.onGrain(h.net.now)
	if at == h.net.now {
		return true
	}
	h.wake(at)
	return false
}

// onGrain is the first tick of the host's clock at or after t.
func (h *host) onGrain(t mono.Time) mono.Time {
	if h.grain == 0 {
		return t
	}
	return (t + h.grain - 1) / h.grain * h.grain
}

// wake has the host stepped at a time, if it is not before that.
func (h *host) wake(at mono.Time) {
	if at < h.wakeAt {
		h.wakeAt = at
		h.net.events.put(event{at: at, kind: eventWake, ref: int32(h.id)})
	}
}

// step has the host do all there is to do at this moment, and settles when it is next woken.
func (h *host) step() {
	n := h.net
	h.dirty = false
	for i, worked := 0, true; worked; i++ {
		worked = h.eng.Step(h.clock())
		n.steps++
		if n.watch != nil {
			n.watch.stepped(h)
		}
		if i == stepsMax {
			n.fail("host %c does not come to rest", 'a'+h.id)
			return
		}
	}
	next := h.eng.Deadline()
	if next == mono.Never {
		return
	}
	next -= h.origin
	if next <= n.now {
		n.fail("host %c: the engine is due at %v and does nothing", 'a'+h.id, time.Duration(next))
		return
	}
	h.wake(h.onGrain(next))
}

// close ends the network: engines, ports, and what flies. It says what is missing.
func (n *network) close() error {
	for _, h := range n.hosts {
		h.eng.Close(h.clock())
	}
	for n.events.len() > 0 {
		if e := n.events.take(); e.kind == eventArrive {
			n.packets.drop(e.ref, placeFlying)
		}
	}
	for _, l := range n.paths {
		n.abandon(l)
	}
	for _, h := range n.hosts {
		if err := h.port.Close(); err != nil {
			return err
		}
	}
	if out := n.packets.out(); out != 0 {
		return fmt.Errorf("sim: close: BUG: %d frames are missing", out)
	}
	return nil
}
