package engine

import (
	"net/netip"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// inbound is the packet being looked at. There is one, reused, so that nothing escapes.
type inbound struct {
	// frame is the packet, or its first piece; rest is the others, which the parsers may cut,
	// and pieces the room for it.
	frame  []byte
	rest   [][]byte
	pieces [dataplane.PiecesMax][]byte

	eth wire.EthHeader
	ip  wire.Packet
	seg wire.Segment
	key flowKey
}

// lately is the flow of the last segment of the batch that belonged to a connection. What follows is
// mostly of the same one: its addresses need not be judged again, nor the flow be looked up.
type lately struct {
	conn          *Conn // nil: there is none; else inbound.key is its flow's
	local, remote netip.Addr
}

// between says whether p is from and to the addresses of that flow.
func (l *lately) between(p *wire.Packet) bool {
	return l.conn != nil && p.Src == l.remote && p.Dst == l.local
}

// receive takes what has come, batch after batch, and says whether anything has. It takes no more
// frames than a step sends (stepFrames), and not far fewer: where 64 connections sent 256 frames
// a step, and had an ACK for every third, 64 a step left ever more ACKs waiting, for 50 ms.
// What is owed to strangers by a batch is sent before the next one, and a batch of data is shown to
// its readers and acknowledged: see bulkOctets.
func (e *Engine) receive(now mono.Time) bool {
	e.received = 0
	e.noteCrowd()
	left := bulkOctets
	for {
		n, octets := e.receiveBatch(now)
		e.received += n
		if left -= octets; left <= 0 {
			return true
		}
		// A packet that comes next had room in this batch.
		none := n <= dataplane.BatchMax-dataplane.PiecesMax
		if none || e.received+dataplane.BatchMax > stepFrames || e.replies.n > 0 {
			return e.received > 0
		}
	}
}

// bulkOctets is how much a step takes at the most before it takes no other batch: over a pipe, 256
// full frames a step left reader and sender idle meanwhile, and moved a sixth less than 64.
const bulkOctets = 64 << 10

// receiveBatch takes one batch of frames from the port, and gives it back before anything is sent,
// but for those that are kept. It returns how many there were, and of how many octets.
func (e *Engine) receiveBatch(now mono.Time) (frames, octets int) {
	e.keeping.freeHome()
	n := e.port.Recv(e.rx[:])
	e.lately.conn = nil
	if n == 0 {
		return 0, 0
	}
	for i := range e.rx[:n] {
		octets += len(e.rx[i].Data)
	}
	e.keeping.begin()
	back := 0
	for i := 0; i < n; i++ {
		first := i
		e.in.frame, e.in.rest = e.rx[i].Data, nil
		if e.rx[i].More {
			i = e.gather(i, n)
		}
		e.stats.RXFrames++
		packet := e.rx[first : i+1]
		e.keeping.offer(packet)
		e.frameIn(now, nil)
		back += e.keeping.settle(packet, e.rx[back:])
	}
	e.port.Free(e.rx[:back])
	e.keeping.freeHome()
	return n, octets
}

// gather collects the pieces of the packet whose first frame is number first of n, and returns
// the number of its last one.
func (e *Engine) gather(first, n int) (last int) {
	in := &e.in
	last = first
	for e.rx[last].More && last+1 < n && last-first < len(in.pieces) {
		last++
		in.pieces[last-first-1] = e.rx[last].Data
	}
	in.rest = in.pieces[:last-first]
	return last
}

// frameIn takes the packet in e.in apart. from is the engine of the queue that it came on if that
// has handed it over, else nil.
func (e *Engine) frameIn(now mono.Time, from *Engine) {
	in := &e.in
	b := in.frame
	if wire.ParseEthernet(b, &in.eth) != nil {
		e.stats.Drop.Ethernet++
		return
	}
	if in.eth.EtherType != wire.EtherTypeIPv4 && in.eth.EtherType != wire.EtherTypeIPv6 {
		e.stats.Drop.EtherType++
		return
	}
	if err := wire.ParsePieces(b[in.eth.Len:], in.rest, &in.ip); err != nil {
		e.dropIP(err)
		return
	}
	again := e.lately.between(&in.ip)
	if !again && !e.cfg.Addrs.Has(in.ip.Dst) {
		e.stats.Drop.NotOurs++
		return
	}
	if in.ip.Fragment {
		e.stats.Drop.Fragment++
		return
	}
	switch in.ip.Proto {
	case wire.ProtoTCP:
		e.tcpIn(now, from, again)
	case wire.ProtoICMP, wire.ProtoICMP6:
		e.icmpIn(now, from != nil)
	default:
		e.stats.Drop.NotTCP++
	}
}

func (e *Engine) dropIP(err error) {
	switch err {
	case wire.ErrIPTruncated:
		e.stats.Drop.IPTruncated++
	case wire.ErrIPChecksum:
		e.stats.Drop.IPChecksum++
	default:
		e.stats.Drop.IPHeader++
	}
}

// tcpIn handles a packet that carries TCP. again says that it is between the addresses of the
// segment before.
func (e *Engine) tcpIn(now mono.Time, from *Engine, again bool) {
	in := &e.in
	p := &in.ip
	err := wire.ParseTCP(p.Payload, &in.seg)
	in.seg.ECN, in.seg.Rest = p.ECN(), p.Rest
	again = again && err == nil && in.seg.DstPort == in.key.lport && in.seg.SrcPort == in.key.rport
	if !e.checksumOK(in, again) {
		e.stats.Drop.TCPChecksum++
		return
	}
	if err != nil {
		if err == wire.ErrTCPOptions {
			e.stats.Drop.TCPOptions++
		} else {
			e.stats.Drop.TCPHeader++
		}
		return
	}
	if !again {
		e.lookUp(in)
	}
	if c := e.lately.conn; c != nil {
		if from == nil || from == e || !e.follow(c, from) {
			e.connIn(now, c, in)
		}
		return
	}
	if e.halves.n > 0 {
		if h := e.halves.get(&in.key); h != nil {
			e.halfIn(now, h, in)
			return
		}
	}
	if e.timeWait.table.n > 0 {
		if tw := e.timeWait.table.get(&in.key); tw != nil {
			e.timeWaitIn(now, tw, in)
			return
		}
	}
	if e.passOn(from) {
		return
	}
	e.strangerIn(now, in)
}

// lookUp finds the connection that in.seg belongs to.
func (e *Engine) lookUp(in *inbound) {
	p, k, l := &in.ip, &in.key, &e.lately
	k.local, k.remote = p.Dst.As16(), p.Src.As16()
	k.lport, k.rport = in.seg.DstPort, in.seg.SrcPort
	l.conn, l.local, l.remote = e.flows.get(k), p.Dst, p.Src
}

// checksumOK says whether the TCP checksum is right, or is one that the sender's kernel left
// for hardware which this link does not have. again says that in.seg, as far as can be said before
// that, belongs to the connection of the segment before: then its payload may be put in its place
// while it is summed.
func (e *Engine) checksumOK(in *inbound, again bool) bool {
	p := &in.ip
	if e.info.LinkLocal && p.TCPPartial() {
		e.stats.PartialChecksums++
		return true
	}
	if again {
		if payload, ok := e.lately.conn.tcp.Place(&in.seg); ok {
			return p.TCPValidSum(len(p.Payload)-len(in.seg.Payload), payload)
		}
	}
	return p.TCPValid()
}

// connIn hands a segment to its connection.
func (e *Engine) connIn(now mono.Time, c *Conn, in *inbound) {
	opens := in.seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN
	if opens && c.tcp.State() == tcp.StateClosed {
		// It ended in this batch, as by an RST from a peer that begins again at once.
		e.notify(c)
		e.bury(c)
		e.strangerIn(now, in)
		return
	}
	if opens && c.tcp.CanReuse(&in.seg) {
		// TIME-WAIT, and the application has not closed it yet. It has all its data.
		if l := e.listening(in.ip.Dst, in.key.lport); l != nil && e.keepsSYN(l, &in.key) {
			r := reusable{nextISS: c.tcp.NextISS()}
			c.tcp.Abort(now)
			e.notify(c)
			e.bury(c)
			e.stats.TimeWaitReused++
			e.request(now, l, in, &r)
			return
		}
	}
	c.input(now, &in.seg)
}

// strangerIn handles a segment that belongs to no connection.
//
// "An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer":
// nothing from there is answered. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.9.2.3
func (e *Engine) strangerIn(now mono.Time, in *inbound) {
	if in.ip.Src == in.ip.Dst || !isHost(in.ip.Src) {
		e.stats.Drop.Martian++
		return
	}
	if l := e.listening(in.ip.Dst, in.key.lport); l != nil {
		e.listen(now, l, in)
		return
	}
	e.stats.Drop.NoListener++
	if in.seg.Flags&wire.RST == 0 {
		e.replyReset(now, in)
	}
}

// laterISS returns iss, or least if iss lies before it: a connection that takes the place of
// one in TIME-WAIT begins beyond it (RFC 6191, section 2).
func laterISS(iss, least seq.Num) seq.Num {
	if iss.Less(least) {
		return least
	}
	return iss
}

// reusable is what a new connection must know of the one in TIME-WAIT whose place it takes.
type reusable struct{ nextISS seq.Num }

// rxBatch is the frames of the present batch.
type rxBatch [dataplane.BatchMax]dataplane.Frame
